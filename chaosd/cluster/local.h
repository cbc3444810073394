/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The embedded cluster: nodes are network namespaces on a fabric bridge, pods are processes in their own network, pid, mount
 * and uts namespaces, each in a cgroup of its own. The fabric is itself a namespace: nothing appears among the host's links and routes. */
#include "cluster/cluster.h"

struct restart_policy { int policy; int64_t delay_ns, max_delay_ns; }; /* delay doubles up to max, and starts again after 10 s alive */
enum { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };

struct workload {
    const char *name; /* pods are name-0 ... */
    const char *namespace;
    int64_t replicas;
    struct pairs labels, annotations;
    struct templates command;
    struct template_pairs env;
    struct template_pairs files; /* path under the pod's folder -> contents, written before the first start */
    struct pairs marks;          /* name -> text: log lines that have it become note/mark events */
    struct ready_spec *ready;    /* NULL: ready when running */
    struct restart_policy *restart; /* never NULL */
    int64_t stop_timeout_ns;     /* SIGTERM to SIGKILL when the run ends */
};

struct local_config { int64_t nodes; const char *subnet; struct list workloads; };
extern const struct cluster_kind cluster_local;
json_t *local_workloads(const struct kind_value *v); /* cluster_kind.workloads */
/* cluster_kind.declared of it; the candidates' tag is their struct workload. */
size_t local_declared(const struct kind_value *v, struct arena *a, struct candidate **ret);
