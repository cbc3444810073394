/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The objects of one kind that a watch follows, small: 100,000 pods in some 30 MB. Of a pod only what a drill needs is kept, packed; of
 * other kinds what their table in kube/kinds.c names, as JSON text. By namespace and name, as the API server keeps them. */
#include "kube/intern.h"
#include "kube/kinds.h"

#include <jansson.h>
#include <stdint.h>

struct kube_store;
struct kube_object;

enum kube_phase { KUBE_PHASE_UNKNOWN, KUBE_PENDING, KUBE_RUNNING, KUBE_SUCCEEDED, KUBE_FAILED };
extern const char *const kube_phase_names[]; /* "Pending", ... */

struct kube_container {
    const char *name, *reason; /* reason: waiting or terminated, as the kubelet says it; "" */
    char id[13];               /* the first 12 digits, as runtimes show it; "": none yet */
    enum kube_container_state { KUBE_WAITING, KUBE_STARTED, KUBE_ENDED } state;
    bool ready;
    uint32_t restarts;
    int exit_code;
    uint32_t started_s, finished_s;
};

/* All texts are borrowed from the object, and none is NULL. Times are the server's wall clock in s, 0: not so. */
struct kube_view {
    const char *namespace, *name, *uid,
        *version; /* namespace "": not in one. version: resourceVersion, to be compared for equality alone */
    const struct kube_pairs *labels, *annotations; /* annotations: those that were asked for */
    const struct kube_owner *owner;                /* the controller; NULL: it has none */
    uint32_t created_s, deleting_s;                /* deleting_s: deletionTimestamp, which lies the grace period after the deletion */
    int32_t grace_s;                               /* deletionGracePeriodSeconds; -1: none */
    /* pods */
    enum kube_phase phase;
    const char *node, *ip, *ip2; /* ip2: of the other family, where there are two */
    const char *container; /* the name of the one that is meant where none is named; "": not known */
    const char *reason;   /* why it failed, or could not be scheduled: the scheduler's message */
    bool ready, scheduled, mirror;
    uint32_t ready_s, scheduled_s, started_s; /* when `ready` and `scheduled` last changed; when the kubelet took it */
    size_t container_count;
    /* other kinds: spec, status and what else is kept, as JSON; "" for pods */
    const char *body;
};
void kube_object_view(const struct kube_object *o, struct kube_view *ret);
struct kube_container kube_object_container(const struct kube_object *o, size_t i); /* i < container_count */
json_t *kube_pairs_json(const struct kube_pairs *p); /* new reference; NULL: out of memory */
const char *kube_pairs_get(const struct kube_pairs *p, const char *key); /* NULL: absent */

int kube_store_new(const struct kube_kind *kind, struct kube_store **ret, struct error *err);
void kube_store_free(struct kube_store *s); /* NULL-safe */
size_t kube_store_count(const struct kube_store *s);
const struct kube_object *kube_store_get(const struct kube_store *s, const char *namespace, const char *name); /* NULL: absent */
/* All, in no order; a change in between ends it. */
const struct kube_object *kube_store_next(const struct kube_store *s,
                                          const struct kube_object *after); /* NULL: the first; returns NULL: no more */

/* --- for kube/watch --- */

/* What a change did. before lives until kube_change_end. */
struct kube_change {
    struct kube_object *before;      /* NULL: it was not there */
    const struct kube_object *after; /* NULL: it is gone */
    bool same;                       /* this very version was there */
};
/* object: as its table keeps it. -EPROTO: no name in it, or it is not what its kind says. */
int kube_store_put(struct kube_store *s, const json_t *object, struct kube_change *ret, struct error *err);
/* Out of the store, as the object said last: after is the deleted object's own last state, which goes with kube_change_end too.
 * before NULL: it was not there. */
int kube_store_delete(struct kube_store *s, const json_t *object, struct kube_change *ret, struct error *err);
void kube_change_end(struct kube_store *s, struct kube_change *c);

void kube_store_mark(struct kube_store *s); /* all that is there is old now; what is put from here on is not */
bool kube_store_take_old(struct kube_store *s, struct kube_change *ret); /* one that is still old, out of the store; false: none left */
