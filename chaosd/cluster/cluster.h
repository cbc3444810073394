/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A provider of pods. One implementation a kind (local; kubernetes later), one row in table.c. All calls are on the loop
 * and none blocks: what takes time is told by an event. */
#include "base/error.h"
#include "history/journal.h"
#include "io/loop.h"
#include "io/ports.h"
#include "scenario/scenario.h"

#include <stdbool.h>
#include <sys/types.h>

enum pod_phase { POD_PENDING, POD_RUNNING, POD_BACKOFF, POD_ENDED, POD_PHASE_COUNT };
extern const char *const pod_phase_names[]; /* "Pending", "Running", "CrashLoopBackOff", "Ended" */

/* A pod as last known. Owned by the cluster; valid until the loop turns. */
struct pod {
    const char *uid, *name, *namespace, *node, *ip, *workload;
    const json_t *labels, *annotations;
    enum pod_phase phase;
    bool ready;  /* set by cluster_set_ready, from the prober; cleared on exit */
    bool frozen;
    pid_t pid; /* 0: not running */
    uint64_t start_time;
    unsigned restarts;
    int64_t replicas; /* wanted by its workload */
    const void *spec; /* provider's: for local, const struct workload * */
    const char *dir;  /* the pod's own folder on this machine; NULL: none */
};

enum cluster_event { CL_POD_CREATED, CL_POD_STARTED, CL_POD_EXITED, CL_POD_READY, CL_POD_UNREADY, CL_POD_FROZEN, CL_POD_THAWED,
                     CL_POD_BACKOFF, CL_POD_FAILED, CL_POD_REMOVED, CL_EVENT_COUNT };
extern const char *const cluster_event_names[]; /* "created", "started", ... as in history/event.h */

struct cluster_options {
    struct loop *loop;
    const struct scenario *scenario;
    struct journal *journal; /* undo records of the cluster itself */
    const char *run;         /* short unique id, [a-z0-9]{1,8}: prefix of everything named in the kernel */
    const char *log_dir;     /* absolute */
    const struct template_vars *vars; /* secret.*, run.*; NULL: none. Valid as long as the cluster */
    void (*event)(enum cluster_event e, const struct pod *p, json_t *data /* stolen, may be NULL */, void *arg);
    void *arg;
};

struct cluster;
struct cluster_kind {
    struct kind_row row;
    int (*preflight)(const struct scenario *s, struct error *err); /* can it run here? NULL: always */
    /* Pods that the scenario will bring about, for a plan before there is a cluster; in the arena. Returns their number. NULL: not known beforehand. */
    size_t (*declared)(const struct kind_value *v, struct arena *a, struct candidate **ret);
    int (*start)(const struct kind_value *v, const struct cluster_options *o, struct cluster **ret, struct error *err);
    /* Pods sorted by namespace, name; borrowed until the loop turns. */
    size_t (*pods)(struct cluster *c, const struct pod **list, size_t max);
    const struct pod *(*pod)(struct cluster *c, const char *uid);
    void (*set_ready)(struct cluster *c, const char *uid, bool ready, const char *why);
    int (*signal)(struct cluster *c, const char *uid, int sig, struct error *err); /* by pidfd */
    int (*freeze)(struct cluster *c, const char *uid, bool on, struct error *err); /* CL_POD_FROZEN / THAWED follows when seen */
    int (*undo_freeze)(struct cluster *c, const char *uid, json_t **ret, struct error *err); /* undo record that thaws */
    int (*netns)(struct cluster *c);                                                /* where its clients live; -1: here */
    void (*ports)(struct ports *ret);                                               /* local ports that clients will have there, known before there is a cluster; NULL: this machine's */
    int (*clients_group)(struct cluster *c);                                        /* control group folder for programs that run beside the pods (exec probes), swept with the cluster; -1: none */
    const char *(*hosts)(struct cluster *c); /* a file as /etc/hosts with the pods' names, for programs that run beside them; NULL: none */
    int (*stop)(struct cluster *c, struct error *err); /* undoes everything, bounded; frees also on failure */
};

struct cluster { const struct cluster_kind *kind; }; /* first member of every provider's struct */
extern const struct cluster_kind *const cluster_kinds[]; /* NULL-terminated; first member is the row, so castable to kind_rows */

/* Variables of a pod for templates: pod.name, pod.ip, pod.dir, pod.node, pod.namespace, pod.uid, pod.index. dir may be NULL. */
const char *pod_var(const struct pod *p, const char *name);
