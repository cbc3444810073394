/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the kinds share that act on objects of an API server: one request with its answer, or an edit: read the object, see that it may be
 * changed, patch it as it was read, look for the effect, and put it back by its mark (cluster/kubernetes_undo.h). */
#include "cluster/kubernetes_undo.h"
#include "fault/fault.h"

#define OBJECT_ASK_NS (10 * NS_PER_S)   /* an act that comes later than this was decided on what is no longer so */
#define OBJECT_POLL_NS (100 * NS_PER_MS)
#define OBJECT_PROOF_NS (30 * NS_PER_S) /* beyond a pod's grace */
enum { OBJECT_NAME_SIZE = 256, OBJECT_WHY_SIZE = 512 };

/* --- any act --- */

struct object_act { /* first in what an act keeps */
    struct fault_act *act;
    struct kube_call *call;
    struct timer *timer;
    void (*turn)(struct object_act *o); /* the timer's */
};

/* Zeroed, size bytes, in a->own. */
int object_act_new(struct fault_act *a, size_t size, void (*turn)(struct object_act *o), struct error *err);
void object_act_free(struct fault_act *a); /* as release */
/* {"asked_mono","seen_mono","date","tries"} of an accepted request. */
json_t *object_told(const struct kube_answer *a);
/* Accepted. */
bool object_done(const struct kube_answer *a);
/* Tells that it is not in effect: as in_effect wants it. */
void object_refused(struct fault_act *a, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void object_not_done(struct fault_act *a, const struct kube_answer *answer);
/* As kube_evict; -EOPNOTSUPP: the server takes no eviction in a version that is understood. */
int object_evict(const struct fault_env *env, const char *namespace, const char *name, const struct kube_deletion *how,
                 kube_done *told, void *arg, struct kube_call **ret, struct error *err);
/* "blocked by PodDisruptionBudget web: ..." of an eviction's answer. */
void object_blocked(const struct fault_env *env, const char *uid, const struct kube_answer *answer, char *out, size_t size);

/* --- rows that several have --- */

#define OBJECT_GRACE_FIELD(owner, at)                                                                                                      \
    {.name = "gracePeriod", .type = F_DURATION, .offset = offsetof(owner, at), .min = NS_PER_S, .max = 3600 * NS_PER_S,                    \
     .doc = "What the containers are given to end in, in whole seconds; else what the pod itself says."}
/* Seconds for a deletion: < 0: the pod's own. */
static inline int64_t object_grace_s(int64_t grace_ns) { return grace_ns ? grace_ns / NS_PER_S : -1; }
int object_check(struct pod_target *t, int64_t grace_ns, const struct schema_at *at, struct error *err);

/* --- an edit --- */

struct object_edit { /* first in what such an act keeps */
    struct object_act base;
    const struct kube_kind *kind;
    char namespace[OBJECT_NAME_SIZE], name[OBJECT_NAME_SIZE], uid[OBJECT_NAME_SIZE]; /* namespace "": of none */
    char title[OBJECT_NAME_SIZE + 64];                                               /* "Deployment web" */
    int64_t give_up_ns;
    unsigned rounds;
    bool maybe, in, leaving; /* a patch may have been taken; in effect; to be undone when the call is over */
    struct kubernetes_undo *undo;
    const char *field; /* of spec, that is held with a mark: object_edit_holds */
    json_t *from, *to;
    /* The kind's. patch: of the object as read, a new reference, or NULL and why it is not to be changed. */
    json_t *(*patch)(struct object_edit *e, const json_t *object, struct error *why);
    bool (*ours)(const struct object_edit *e, const json_t *object); /* our patch is in it */
    /* Each OBJECT_POLL_NS; false: there is nothing more to look for. May end the act when it returns false. */
    bool (*look)(struct object_edit *e);
    json_t *(*more)(struct object_edit *e); /* for the history's "ok", taken over; NULL: nothing */
};

int object_edit_new(struct fault_act *a, size_t size, const struct kube_kind *kind, const char *namespace, const char *name,
                    const char *uid, struct error *err);
int object_edit_start(struct fault_act *a, const struct pod *victim, struct error *err); /* as inject */
int object_edit_revert(struct fault_act *a, struct error *err); /* as revert */
void object_edit_free(struct fault_act *a);                     /* as release */
/* The journal's record. what: "uncordon node-2". */
int object_edit_undo(struct fault_act *a, const char *what, json_t **ret, struct error *err);
/* A change of one field of spec that is held, with its mark; before object_edit_undo. from: as it was, NULL for not there. Both taken over. */
void object_edit_holds(struct object_edit *e, const char *field, json_t *from, json_t *to);
/* patch and ours of such an edit. NULL and why: another change is on it. */
json_t *object_marked_patch(struct object_edit *e, const json_t *object, struct error *why);
bool object_marked_ours(const struct object_edit *e, const json_t *object);

/* --- workloads and nodes of a victim --- */

/* -EBUSY: it has none, or none that this can be done to; `can` ends with KUBE_KIND_COUNT. done: "scaled". */
int object_workload(const struct fault_env *env, const struct pod *victim, const enum kube_kind_id *can, const char *done,
                    struct kubernetes_workload *ret, struct error *err);
void object_workload_place(const struct fault_env *env, const struct pod *victim, char *out, size_t size); /* "Deployment shop/web", as place */
void object_node_place(const struct fault_env *env, const struct pod *victim, char *out, size_t size);     /* as place */
/* A pod of the workload; title: as pod.workload. The number of those that are not on their way out. */
size_t object_pods(const struct fault_env *env, const char *workload, const struct pod **list, size_t max);
/* So many pods of the victim's workload that will be away, as struck: which ones go is its controller's choice, so that ready ones are counted,
 * the victim and then from the end of the list. */
size_t object_some(const struct fault_env *env, const struct pod *victim, int64_t wanted, const struct pod **list, size_t max);

/* The node's edit that cordons it, which draining begins with. */
#define OBJECT_CORDON_RULES                                                                                                        \
    {.verb = "get", .group = "", .resource = "nodes"}, {.verb = "list", .group = "", .resource = "nodes"},                         \
        {.verb = "patch", .group = "", .resource = "nodes"}
int object_cordon_new(struct fault_act *a, size_t size, const struct pod *victim, struct error *err);
int object_cordon_undo(struct fault_act *a, json_t **ret, struct error *err);
bool object_cordoned(const struct object_edit *e); /* as last told */
