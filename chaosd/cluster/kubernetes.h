/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A Kubernetes as a provider of pods: followed by watches from its API server, never touched but by acts. Pods that no selector of the
 * scenario could mean, and that share no workload with one, are left out. The rest of this header is for fault kinds with CLUSTER_OBJECTS,
 * which act on the API themselves: what they need to know of a pod's surroundings, and the client. */
#include "cluster/cluster.h"
#include "kube/discovery.h"
#include "kube/watch.h"

struct kubernetes_config {
    const char *kubeconfig, *context; /* NULL: as kubectl finds them; in a pod: its service account */
    struct strings namespaces;        /* that are followed; none: the context's; "*": all */
    const char *label_selector;       /* of the pods that are followed, applied by the server; NULL: all */
    struct strings leases;            /* "namespace/name": whose holder is told */
    const char *agent_namespace;
};
extern const struct cluster_kind cluster_kubernetes;

/* The workload of a pod: Deployment, StatefulSet, DaemonSet, or whatever made it. Texts are borrowed until the loop turns. */
struct kubernetes_workload {
    const struct kube_kind *kind; /* NULL: of a kind that is not followed (a Job, a custom resource) */
    const char *kind_name, *namespace, *name, *uid, *version; /* version: resourceVersion */
    int64_t replicas, ready, updated; /* wanted; -1: not known */
    int64_t rollout_takes;            /* how many pods a rollout takes out at once, by its strategy */
    bool paused;                      /* a Deployment whose changes are not rolled out */
    bool settled;                     /* its controller has seen the last change, and all wanted are updated and ready */
};

struct kubernetes_node {
    const char *name, *uid, *version;
    bool ready, unschedulable;
    const char *undo; /* its CHAOSD_UNDO_ANNOTATION; NULL: it has none */
};

/* Each of these takes a cluster of kind cluster_kubernetes. */
struct kube *kubernetes_client(struct cluster *c);
const struct kube_api *kubernetes_api(struct cluster *c); /* NULL: not discovered yet */
/* How a later chaosd reaches the same server as the same user: {"kubeconfig","context","server"} or {"account":true,"server"}. kubeconfig: absolute
 * paths; server: its URL, by which it is seen that they still lead to the same one. No secret in it. */
json_t *kubernetes_access(struct cluster *c);
bool kubernetes_workload(struct cluster *c, const struct pod *p, struct kubernetes_workload *ret); /* false: it has none, or it is not known */
bool kubernetes_node(struct cluster *c, const char *name, struct kubernetes_node *ret);
/* Every followed pod on the node, sorted; those that the kubelet made itself are not followed. */
size_t kubernetes_on_node(struct cluster *c, const char *node, const struct pod **list, size_t max);
/* The name of a PodDisruptionBudget that forbids to disrupt this pod just now, as last told; NULL: none does, or none is known. */
const char *kubernetes_budget(struct cluster *c, const struct pod *p);
/* The name of the tightest that covers it, and how many more disruptions it allows, as last told: its status lags behind. NULL: none is known. */
const char *kubernetes_budget_left(struct cluster *c, const struct pod *p, int64_t *ret_left);

const char *kubernetes_agent_namespace(struct cluster *c); /* as long as the cluster */
struct kubernetes_container { char name[254], id[16]; }; /* id: the first 12 digits */
/* By name; NULL: the pod's default, which is the first of its spec or what its annotation names. -EBUSY: it is not there, or does not run;
 * never another one in its place. */
int kubernetes_container(struct cluster *c, const struct pod *p, const char *name, struct kubernetes_container *ret,
                         struct error *err);
/* The UID that its control groups carry: a static pod's is not that of its object. */
void kubernetes_group_uid(struct cluster *c, const struct pod *p, char *out, size_t size);

/* The client for an access record, and what it needs, outside of a run; the caller turns the loop. -EXDEV: its files lead to another server
 * by now, of which nothing is asked: an object that is not there is still there elsewhere. */
struct kubernetes_session;
int kubernetes_session_open(const json_t *access, struct kubernetes_session **ret, struct error *err);
void kubernetes_session_close(struct kubernetes_session *s); /* NULL-safe */
struct kube *kubernetes_session_client(struct kubernetes_session *s);
/* Turns the loop until *done, at most so long: -ETIMEDOUT. */
int kubernetes_session_wait(struct kubernetes_session *s, const bool *done, int64_t limit_ns, struct error *err);

#define KUBERNETES_AGENT_NAMESPACE "chaosd-agent"

/* Undoes what runs left on the objects of the API server: whatever carries the label below, and is past its deadline; and deletes NodeFaults
 * that are past theirs by more than a minute. */
struct kubernetes_sweep;
enum { KUBERNETES_SWEEP_KINDS = 4 }; /* whose refusal is told; NodeFaults are looked for where one may */
enum kubernetes_swept {
    KUBERNETES_SWEPT,   /* undone */
    KUBERNETES_KEPT,    /* its deadline is still to come */
    KUBERNETES_STUCK,   /* could not be undone, or not be looked for */
    KUBERNETES_UNSEEN,  /* a kind of objects that may not be looked at */
};
struct kubernetes_sweep_spec {
    const char *const *namespaces; /* ends with NULL; NULL: all, and where that is not allowed the context's own */
    const char *agent_namespace;   /* of NodeFaults; NULL: any, and where that is not allowed the usual one */
    bool all;                      /* also what is not past its deadline */
    int64_t limit_ns;              /* of one object's undoing; 0: 60 s */
    void (*told)(enum kubernetes_swept what, const char *line, void *arg); /* "Deployment shop/web: ..." Must not end the sweep */
    void (*done)(void *arg);       /* over, and freed */
    void *arg;
};
int kubernetes_sweep_start(struct kube *k, const struct kubernetes_sweep_spec *s, struct kubernetes_sweep **ret, struct error *err);
void kubernetes_sweep_cancel(struct kubernetes_sweep *s); /* NULL-safe; no callback follows */

/* How what a held fault changed is found and put back by any later chaosd: an annotation on the object itself, set in the same patch as the
 * change, with a label beside it by which it is found. */
#define CHAOSD_UNDO_ANNOTATION "chaosd.io/undo"  /* {"run","fault","id","kind","deadline":"2026-...Z","undo":[JSON patch]} */
#define CHAOSD_UNDO_LABEL "chaosd.io/undo"       /* the run's short id */
