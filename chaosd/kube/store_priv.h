/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* An object as it lies in the store: one piece of memory. Shared by store.c (which are there) and object.c (what one is). */
#include "base/table.h"
#include "kube/store.h"

/* For a pod its own part and its containers follow, then the texts: name, uid, version, then the body, or ip and ip2, each with its NUL. */
struct kube_object {
    struct table_link link;
    const char *namespace;    /* interned, as the next three */
    const struct kube_pairs *labels, *annotations;
    const struct kube_owner *owner;
    uint32_t round;           /* of the list or watch that told it last */
    uint32_t created_s, deleting_s;
    int32_t grace_s;
    uint16_t text_at, uid_at, version_at, last_at; /* offsets from the beginning; last: ip or body */
    uint16_t containers;
    bool pod;
};

/* Packs what the kind's table kept. -EPROTO: something in it is too long. */
int object_pack(struct intern *in, const struct kube_kind *kind, const json_t *object, struct kube_object **ret, struct error *err);
void object_free(struct intern *in, struct kube_object *o); /* NULL-safe */
static inline const char *object_name(const struct kube_object *o) { return (const char *)o + o->text_at; }
static inline const char *object_uid(const struct kube_object *o) { return (const char *)o + o->uid_at; }
bool object_is(const struct kube_object *o, const char *uid, const char *version); /* NULL: whichever */
