/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of the kubernetes provider: kubernetes.c (start, watches, end), kubernetes_rows.c, kubernetes_pods.c (pods and what becomes of
 * them), kubernetes_loads.c (workloads and whose pods are whose), kubernetes_around.c (endpoints, nodes, leases, budgets, events). */
#include "cluster/kubernetes.h"
#include "io/http.h"
#include "kube/client.h"
#include "kube/watch.h"

struct following;
struct kubernetes;

/* What one followed kind of objects is told to. */
struct follower {
    enum kube_kind_id kind;
    bool needed; /* not being allowed to ends the run; else it goes without, and says so */
    bool everywhere; /* of the cluster, not of a namespace */
    bool annotated;  /* pods: the annotations that selectors name; others: CHAOSD_UNDO_ANNOTATION */
    void (*told)(struct following *f, const struct kube_event *e); /* ADDED, MODIFIED, DELETED */
};

struct following { /* one watch */
    struct following *next;
    struct kubernetes *k;
    const struct follower *what;
    char *namespace, *field; /* NULL: all */
    struct kube_watch *watch; /* NULL: denied */
    bool synced;             /* at least once, or denied */
    bool troubled;           /* it cannot be followed just now */
};

struct kube_pod { /* one that is told of */
    struct pod pub;  /* first; its texts are in `texts` */
    struct pod_owners owners;
    char *texts, *workload;
    json_t *labels, *annotations;
    char *phase_reason;
    unsigned restarts;
    int32_t grace_s; /* of its deletion; -1: none */
    bool created_told, scheduled, running, backoff, failed, selected;
};

struct kube_load { /* a workload: Deployment, StatefulSet, DaemonSet, ReplicaSet */
    struct kube_load *next;
    const struct kube_kind *kind;
    char *namespace, *name, *uid, *version, *title; /* title: "Deployment shop/web" */
    char *owner_kind, *owner_name, *owner_uid; /* its controller; NULL: none */
    int64_t replicas, ready, updated, generation, observed, rollout_takes;
    bool paused, rolls, told; /* rolls: its controller brings every pod up to date by itself */
};

struct kubernetes {
    struct cluster pub;
    const struct kubernetes_config *config;
    struct cluster_options o;
    struct http *http;
    struct kube_config *access;
    struct kube *kube;
    struct kube_discovery *discovery;
    struct kubernetes_sweep *sweep; /* under way; NULL: not */
    struct kube_api api;
    bool discovered, synced, begun, too_many; /* synced: all is listed; begun: and told of */
    struct following *followings;
    char **namespaces; /* followed, ends with NULL; [0] NULL: all */
    size_t namespace_count;
    struct kube_pod **pods; /* by namespace, name */
    size_t pod_count, pod_cap;
    void *by_uid;       /* tsearch */
    struct kube_load *loads;
    int64_t events_told;
    char where[512];    /* scratch for kubernetes_budget */
};

static inline struct kubernetes *kubernetes_self(struct cluster *c) { return (struct kubernetes *)c; }
extern const struct shape kubernetes_shape;
extern const struct follower kubernetes_followers[]; /* ends with told NULL */

/* "2026-11-22T09:00:00Z"; NULL for 0, which means unknown. */
json_t *kubernetes_stamp(uint32_t wall_s);
void kubernetes_tell(struct kubernetes *k, const char *op, const char *kind, const char *target, int64_t at_ns, json_t *data /* stolen */);

/* kubernetes_session.c: the kubeconfig files that are read, as a later chaosd finds them from elsewhere and as another user: absolute, with
 * colons between several. path: the scenario's; NULL: as kubectl finds them. NULL: out of memory. */
char *kubernetes_config_files(const char *path);

/* kubernetes_present.c: cluster_kind.present */
int kubernetes_present(const struct scenario *s, struct arena *a, struct candidate **ret, size_t *ret_count, struct error *err);

/* kubernetes_pods.c */
void kubernetes_pod_told(struct following *f, const struct kube_event *e);
void kubernetes_pods_begin(struct kubernetes *k); /* all is listed: tells of every pod there is */
struct kube_pod *kubernetes_pod_find(struct kubernetes *k, const char *uid);
void kubernetes_pods_free(struct kubernetes *k);
void kubernetes_pods_owned(struct kubernetes *k, const struct kube_load *l); /* who has an owner was told of after its pods: they are that owner's */
void kubernetes_pods_wanted(struct kubernetes *k); /* the workloads' replicas changed */

/* kubernetes_loads.c */
void kubernetes_load_told(struct following *f, const struct kube_event *e);
void kubernetes_loads_begin(struct kubernetes *k);
struct kube_load *kubernetes_load_find(struct kubernetes *k, const char *kind, const char *namespace, const char *name);
/* Who made it, up to whom nobody made; the last is the workload. hash: the pod's pod-template-hash, NULL: none. */
void kubernetes_owners(struct kubernetes *k, const char *namespace, const struct kube_owner *first, const char *hash, struct pod_owners *ret);
bool kubernetes_load_settled(const struct kube_load *l);
void kubernetes_loads_free(struct kubernetes *k);

/* kubernetes_around.c */
void kubernetes_slice_told(struct following *f, const struct kube_event *e);
void kubernetes_node_told(struct following *f, const struct kube_event *e);
void kubernetes_lease_told(struct following *f, const struct kube_event *e);
void kubernetes_event_told(struct following *f, const struct kube_event *e);
void kubernetes_quiet(struct following *f, const struct kube_event *e); /* looked up when it is asked for */
void kubernetes_namespace_told(struct following *f, const struct kube_event *e);
const struct kube_store *kubernetes_store(struct kubernetes *k, enum kube_kind_id kind, const char *namespace); /* NULL: not followed */
