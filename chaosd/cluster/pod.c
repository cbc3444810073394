/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster.h"

#include <string.h>

const char *const pod_phase_names[] = {
    [POD_PENDING] = "Pending", [POD_RUNNING] = "Running", [POD_BACKOFF] = "CrashLoopBackOff", [POD_ENDED] = "Ended",
    [POD_PHASE_COUNT] = NULL};

const char *const cluster_event_names[] = {
    [CL_POD_CREATED] = "created", [CL_POD_STARTED] = "started",   [CL_POD_EXITED] = "exited",   [CL_POD_READY] = "ready",
    [CL_POD_UNREADY] = "unready", [CL_POD_FROZEN] = "frozen",     [CL_POD_THAWED] = "thawed",   [CL_POD_BACKOFF] = "backoff",
    [CL_POD_FAILED] = "failed",   [CL_POD_REMOVED] = "removed",   [CL_POD_SCHEDULED] = "scheduled",
    [CL_POD_TERMINATING] = "terminating", [CL_EVENT_COUNT] = NULL};

static const struct {
    const char *name;
    size_t offset;
} rows[] = {
    {"pod.name", offsetof(struct pod, name)}, {"pod.namespace", offsetof(struct pod, namespace)}, {"pod.uid", offsetof(struct pod, uid)},
    {"pod.node", offsetof(struct pod, node)}, {"pod.ip", offsetof(struct pod, ip)},               {"pod.dir", offsetof(struct pod, dir)},
};

const char *pod_var(const struct pod *p, const char *name) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(name, rows[i].name) == 0)
            return *(const char *const *)((const char *)p + rows[i].offset);
    if (strcmp(name, "pod.index") == 0 && p->name && strrchr(p->name, '-'))
        return strrchr(p->name, '-') + 1;
    return NULL;
}
