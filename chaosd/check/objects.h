/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a control plane said in a history, by the object that it is about. Texts are borrowed from the history; all times are the run's clock's. */
#include "check/internal.h"

enum { OBJECT_NONE = -1 };

struct places { size_t *items, count, cap; }; /* indices */

/* Pods of a workload or on a node in the order in which they came, and who of them is there at a moment that only moves on. */
struct roster { struct places came, here; size_t next; };

struct object_pod {
    const char *uid, *name, *owner, *node; /* owner, node: "" where not said */
    int64_t group, namesake;               /* namesake: the pod before it by the same name; OBJECT_NONE */
    int64_t created, placed;               /* first seen; first seen on its node. UNKNOWN_NS */
    int64_t lost, gone;                    /* first asked to end, failed, or gone; gone. UNKNOWN_NS: never */
    bool ran;                              /* was seen started */
    bool taken;                            /* for whoever asks: it is somebody's replacement already */
    struct places events;                  /* cluster/pod, cluster/endpoint and cluster/event of it, by time */
};

struct object_group { /* a workload */
    const char *name, *kind; /* "Deployment shop/web", "Deployment"; kind "": not told */
    struct roster pods;
    struct places events;    /* cluster/workload of it, cluster/event of it or of what makes its pods */
};

struct object_node {
    const char *name;
    struct roster pods;
    struct places events; /* cluster/node, cluster/event */
};

struct objects {
    const struct history *h;
    json_t *index; /* "u" uid, "p" name of a pod (its last), "g" workload, "n" node -> place in the lists below */
    struct object_pod *pods;
    struct object_group *groups;
    struct object_node *nodes;
    size_t pod_count, pod_cap, group_count, group_cap, node_count, node_cap;
    struct places leases, api; /* cluster/lease; cluster/api: gaps by their end */
};

/* Whether a control plane was followed at all: a local cluster has none. */
bool objects_told(const struct history *h);
int objects_collect(const struct history *h, struct objects *o, struct error *err);
void objects_free(struct objects *o);
int64_t objects_pod(const struct objects *o, const char *uid, const char *name); /* uid "": by name. OBJECT_NONE */
int64_t objects_group(const struct objects *o, const char *name);
int64_t objects_node(const struct objects *o, const char *name);
/* The first of those events that is not before t. */
size_t places_from(const struct objects *o, const struct places *p, int64_t t);
int places_add(struct places *p, size_t item);      /* 0 or -ENOMEM */
bool places_has(const struct places *p, size_t item);
int places_add_once(struct places *p, size_t item);
void places_freep(struct places *p);
/* Who came before t and was neither gone nor asked to end by then; t never less than the last time. NULL: out of memory. */
const struct places *roster_at(const struct objects *o, struct roster *r, int64_t t, bool on_node);
