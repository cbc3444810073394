/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to the local provider: local.c (the cluster as a whole) and local_pod.c (one pod's life). */
#include "cluster/cgroup.h"
#include "cluster/local.h"
#include "cluster/local_net.h"
#include "io/child.h"

struct local;

struct local_node {
    char name[24];
    int netns_fd;
};

struct local_pod {
    struct pod pub;
    struct local *c;
    const struct workload *w;
    char *uid, *name, *dir;
    const struct local_node *node;
    char ip[16], cgroup[CGROUP_PATH_MAX];
    json_t *labels, *annotations;
    int netns_fd;
    char **argv, **envp; /* rendered once: a restart runs the same */
    struct child *child; /* NULL: not running */
    struct timer *restart, *look;
    int64_t started_ns, delay_ns; /* delay_ns: of the next restart */
    int64_t look_since_ns;
    bool want_frozen, want_thawed; /* asked for and not seen yet (want_frozen stays while frozen) */
};

struct local {
    struct cluster base;
    struct loop *loop;
    struct journal *journal;
    const struct local_config *config;
    const struct template_vars *vars; /* the run's */
    char run[9];
    char *log_dir, *state, *hosts; /* state: folder of the run's pods; hosts: the file every pod sees as /etc/hosts */
    void (*event)(enum cluster_event e, const struct pod *p, int64_t at_ns, json_t *data, void *arg);
    void *arg;
    struct cgroup_tree tree;
    struct subnet subnet;
    int fabric_fd, clients_fd;
    struct local_node *nodes;
    size_t node_count;
    struct local_pod **pods; /* by namespace, name */
    size_t pod_count;
    struct timer *begin; /* tells of what start() did, once the caller has the cluster in hand */
    bool begun;
    json_t *undo;
    int64_t undo_id;
};

void local_emit(struct local_pod *p, enum cluster_event e, const char *why);
void local_emit_exit(struct local_pod *p, const struct child_exit *exit, pid_t pid, uint64_t start_time);

/* Folder, files, cgroup, namespace, link, command line: everything but the process. */
int local_pod_make(struct local_pod *p, int prefix, struct error *err);
int local_pod_start(struct local_pod *p, struct error *err);
int local_pod_freeze(struct local_pod *p, bool on, struct error *err);
int local_pod_signal(struct local_pod *p, int sig, struct error *err);
void local_pod_set_ready(struct local_pod *p, bool ready, const char *why);
void local_pod_free(struct local_pod *p); /* NULL-safe; kills nothing */
