/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The kinds of objects that a drill looks at: where they are found in the API, and what is kept of them. */
#include "kube/sieve.h"

#include <stdbool.h>

enum kube_kind_id {
    KUBE_PODS,
    KUBE_NODES,
    KUBE_NAMESPACES,
    KUBE_DEPLOYMENTS,
    KUBE_STATEFULSETS,
    KUBE_DAEMONSETS,
    KUBE_REPLICASETS,
    KUBE_ENDPOINTSLICES,
    KUBE_LEASES,
    KUBE_PDBS,
    KUBE_EVENTS,
    KUBE_CONFIGMAPS,
    KUBE_NODEFAULTS, /* ours: work for the nodes' agents, see agent/node_fault.h */
    KUBE_EVICTIONS, /* no resource of its own: the version that pods/eviction takes */
    KUBE_KIND_COUNT
};

struct kube_kind {
    const char *group;        /* "": core */
    const char *versions[3];  /* that are understood, newest first; ends with NULL */
    const char *resource;     /* plural, as in paths and RBAC rules */
    const char *name;         /* "Pod" */
    bool namespaced;
    bool pod;                 /* kept packed, see kube/store.h */
    const struct keep *body;  /* beside kind and metadata */
};
extern const struct kube_kind kube_kinds[KUBE_KIND_COUNT];
const struct kube_kind *kube_kind_find(const char *resource); /* by plural; NULL: unknown */

enum { KUBE_ANNOTATIONS_MOST = 15 };
/* Tables for a sieve, put together for one kind and the annotations that somebody asks for. Holds pointers into itself: not to be moved. */
struct kube_tables {
    struct keep annotations[KUBE_ANNOTATIONS_MOST + 4], metadata[12], object[24], event[3];
    struct keep bare_object[7], bare_event[3]; /* only who it is */
};
/* annotations: keys, ends with NULL, at most KUBE_ANNOTATIONS_MOST; borrowed. NULL: none. -E2BIG. */
int kube_tables_init(struct kube_tables *t, const struct kube_kind *kind, const char *const *annotations, struct error *err);
extern const struct keep kube_list_keep[]; /* around a list's items, and of a Status that came in its place */

#define KUBE_STATIC_UID "kubernetes.io/config.hash" /* of a pod of the kubelet's own: the UID by which it is known on its node */
#define KUBE_DEFAULT_CONTAINER "kubectl.kubernetes.io/default-container" /* of a pod: which of its containers is meant where none is named */
#define KUBE_MIRROR "kubernetes.io/config.mirror" /* a pod of the kubelet's own: deleting it does nothing to it */
