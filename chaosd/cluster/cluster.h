/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A provider of pods. One implementation a kind (local, kubernetes), one row in table.c. All calls are on the loop
 * and none blocks: what takes time is told by an event. */
#include "base/buf.h"
#include "base/error.h"
#include "history/journal.h"
#include "io/loop.h"
#include "io/ports.h"
#include "scenario/scenario.h"

#include <stdbool.h>
#include <sys/types.h>

enum pod_phase { POD_PENDING, POD_RUNNING, POD_BACKOFF, POD_ENDED, POD_PHASE_COUNT };
extern const char *const pod_phase_names[]; /* "Pending", "Running", "CrashLoopBackOff", "Ended" */

struct ready_spec { struct kind_value kind; int64_t interval_ns, timeout_ns; int64_t failures; }; /* probe kind; failures in a row make it unready */

/* A pod as last known. Owned by the cluster; valid until the loop turns. */
struct pod {
    const char *uid, *name, *namespace, *node, *ip;
    const char *ip2; /* of the other family, where it has two; NULL or "": it has one */
    const char *workload; /* its workload, unique in the cluster: "web"; kubernetes: "Deployment shop/web" */
    const json_t *labels, *annotations;
    const struct pod_owners *owners; /* NULL: none */
    enum pod_phase phase;
    bool excluded;    /* its namespace says that nothing is to be done to it: CHAOSD_EXCLUDE_LABEL */
    bool of_node;     /* its node's own, a static pod: what is done to its object does nothing to it */
    bool terminating; /* asked to end: no candidate any more */
    int64_t created_s; /* wall clock, by the API server; 0: not known */
    bool ready;  /* set by cluster_set_ready, from the prober; cleared on exit */
    bool frozen;
    pid_t pid; /* 0: not running */
    uint64_t start_time;
    unsigned restarts;
    int64_t replicas; /* wanted by its workload */
    const struct ready_spec *ready_spec; /* how the interpreter finds out whether it is ready; NULL: the provider knows by itself */
    const void *spec; /* provider's: for local, const struct workload * */
    const char *dir;  /* the pod's own folder on this machine; NULL: none */
};

enum cluster_event { CL_POD_CREATED, CL_POD_STARTED, CL_POD_EXITED, CL_POD_READY, CL_POD_UNREADY, CL_POD_FROZEN, CL_POD_THAWED,
                     CL_POD_BACKOFF, CL_POD_FAILED, CL_POD_REMOVED, CL_POD_SCHEDULED, CL_POD_TERMINATING, CL_EVENT_COUNT };
extern const char *const cluster_event_names[]; /* "created", "started", ... as in history/event.h */

/* Where a pod's packets pass. */
struct pod_network {
    int netns_fd;     /* the cluster's, as long as the pod is there */
    const char *path; /* the namespace by name, for who comes after us; valid until the next call */
    const char *dev;
};

struct cluster_options {
    struct loop *loop;
    const struct scenario *scenario;
    struct journal *journal; /* undo records of the cluster itself */
    const char *run;         /* short unique id, [a-z0-9]{1,8}: prefix of everything named in the kernel */
    const char *log_dir;     /* absolute */
    const struct template_vars *vars; /* secret.*, run.*; NULL: none. Valid as long as the cluster */
    /* at_ns: when it was seen, CLOCK_MONOTONIC; 0: now */
    void (*event)(enum cluster_event e, const struct pod *p, int64_t at_ns, json_t *data /* stolen, may be NULL */, void *arg);
    /* What is no pod's: op as in history/event.h ("cluster/workload"). */
    void (*other)(const char *op, const char *kind, const char *target, int64_t at_ns, json_t *data /* stolen */, void *arg);
    bool (*selected)(const struct candidate *c, void *arg); /* could a fault of the scenario strike it, names, nodes and roles aside; NULL: every one */
    const char *const *annotations; /* keys that the scenario's selectors speak of, ends with NULL; NULL: none */
    void (*changed)(void *arg); /* `waiting` may say something else now; NULL: nobody asks */
    void (*failed)(const struct error *why, void *arg); /* it cannot be used, and will not get better by waiting */
    void *arg;
};

/* What a provider can do to its pods; a fault kind says which of it it needs. */
enum cluster_ability {
    CLUSTER_SIGNAL = 1,  /* signal, freeze: the pod's processes are at hand */
    CLUSTER_NETWORK = 2, /* network */
    CLUSTER_OBJECTS = 4, /* pods, workloads and nodes are an API server's objects: cluster/kubernetes.h */
    CLUSTER_AGENTS = 8, /* the three others beside CLUSTER_OBJECTS are not at hand, but agents on the pods' nodes can be asked: fault/ask.h */
    CLUSTER_CONTAINERS = 16, /* signal and freeze may mean one container of a pod */
};

struct kube_where;
/* What somebody will want to do to a cluster. */
struct cluster_need {
    const char *who;                  /* "fault kill-one" */
    const struct kube_where *rules;   /* ends with verb NULL; NULL: nothing that it has to ask for */
    const struct strings *namespaces; /* whose pods it takes; none, or NULL: any that is followed */
    const struct selector *selector;  /* which of them; NULL: not known */
};

struct cluster;
struct cluster_kind {
    struct kind_row row;
    unsigned abilities; /* enum cluster_ability */
    int (*able)(struct error *err); /* could any of it run here? NULL: always */
    int (*preflight)(const struct scenario *s, struct error *err); /* can it run here? At once, from what is on this machine. NULL: always */
    const char *at_hand; /* what preflight saw to, for people */
    /* Is it there, and does it allow what the scenario needs? It is asked, and nothing is changed; blocks, for a minute at worst. What it
     * says goes into out, a line a fact ("ok", "no" or "!!" first). -EACCES: it does not allow all. NULL: nobody to ask. */
    int (*access)(const struct scenario *s, const struct cluster_need *needs, size_t count, struct buf *out, struct error *err);
    /* Pods that the scenario will bring about, for a plan before there is a cluster; in the arena. Returns their number. NULL: not known beforehand. */
    size_t (*declared)(const struct kind_value *v, struct arena *a, struct candidate **ret);
    /* Pods that there are now, for a plan, copied to the arena; asks for seconds at most. NULL: it has none before it is started. */
    int (*present)(const struct scenario *s, struct arena *a, struct candidate **ret, size_t *ret_count, struct error *err);
    json_t *(*workloads)(const struct kind_value *v); /* for the history's header: [{"name","replicas"}]; NULL: told by cluster/workload events */
    int (*start)(const struct kind_value *v, const struct cluster_options *o, struct cluster **ret, struct error *err);
    /* What the drill still has to wait for, in words; false: nothing, every selected workload is whole. NULL: every pod must be ready. */
    bool (*waiting)(struct cluster *c, struct buf *out);
    /* 1: what ("pods", "budgets", "namespaces") is followed, and up to date just now. Else why: 0 not now, -EACCES never. NULL: always. */
    int (*sees)(struct cluster *c, const char *what, struct buf *why);
    const char *(*context)(struct cluster *c); /* as whom and whither its configuration leads; returns NULL where it is a pod's own. NULL: no such thing */
    /* Pods sorted by namespace, name; borrowed until the loop turns. */
    size_t (*pods)(struct cluster *c, const struct pod **list, size_t max);
    const struct pod *(*pod)(struct cluster *c, const char *uid);
    void (*set_ready)(struct cluster *c, const char *uid, bool ready, const char *why);
    /* --- NULL where the abilities say so --- */
    int (*signal)(struct cluster *c, const char *uid, int sig, struct error *err); /* by pidfd */
    int (*freeze)(struct cluster *c, const char *uid, bool on, struct error *err); /* CL_POD_FROZEN / THAWED follows when seen */
    int (*undo_freeze)(struct cluster *c, const char *uid, json_t **ret, struct error *err); /* undo record that thaws */
    int (*network)(struct cluster *c, const char *uid, struct pod_network *ret, struct error *err);
    /* --- */
    int (*netns)(struct cluster *c);                                                /* where its clients live; -1: here */
    void (*ports)(struct ports *ret);                                               /* local ports that clients will have there, known before there is a cluster; NULL: this machine's */
    int (*clients_group)(struct cluster *c);                                        /* control group folder for programs that run beside the pods (exec probes), swept with the cluster; -1: none */
    const char *(*hosts)(struct cluster *c); /* a file as /etc/hosts with the pods' names, for programs that run beside them; NULL: none */
    int (*stop)(struct cluster *c, struct error *err); /* undoes everything, bounded; frees also on failure */
};

enum { CLUSTER_PODS_MOST = 8192 }; /* pods that one drill follows */
struct cluster { const struct cluster_kind *kind; }; /* first member of every provider's struct */
extern const struct cluster_kind *const cluster_kinds[]; /* NULL-terminated; first member is the row, so castable to kind_rows */

int cluster_able(unsigned needs, struct error *err); /* could any kind that can do all of it (enum cluster_ability) run here */

/* Variables of a pod for templates: pod.name, pod.ip, pod.dir, pod.node, pod.namespace, pod.uid, pod.index. dir may be NULL. */
const char *pod_var(const struct pod *p, const char *name);
