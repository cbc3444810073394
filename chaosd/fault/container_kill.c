/* SPDX-License-Identifier: Apache-2.0 */
/* container-kill: as pod-kill, of one container. Which it is stands beside the victim's UID, in the NodeFault: who carries it out knows a
 * pod whose other containers are left out. */
#include "base/signals.h"
#include "fault/fault.h"

#include <signal.h>

struct container_kill {
    struct pod_target target;
    bool host_network;
    const char *container, *signal_text;
    int signal; /* filled by the check */
};

static const struct field fields[] = {
    POD_TARGET_FIELDS(struct container_kill, target),
    {.name = "container", .type = F_STRING, .offset = offsetof(struct container_kill, container), .max = 253,
     .doc = "Name of the container (default: the first of the pod's spec, or the one that its annotation kubectl.kubernetes.io/default-container names)."},
    {.name = "signal", .type = F_STRING, .offset = offsetof(struct container_kill, signal_text), .def = "SIGKILL",
     .doc = "Signal sent to the container's first process; it is pid 1 there and ignores what it has no handler for, SIGKILL aside."},
    FAULT_HOST_NETWORK_FIELD(struct container_kill, host_network),
    {0},
};

static int check(void *value, const struct schema_at *at, struct error *err) {
    struct container_kill *k = value;
    struct error why;
    if (signal_parse(k->signal_text, &k->signal, &why) < 0)
        return schema_bad(at, "signal", err, "%s", why.text);
    return pod_target_check(&k->target, at, err);
}

static const struct shape shape = {
    .name = "container-kill", .size = sizeof(struct container_kill), .fields = fields, .check = check,
    .doc = "Kills one container of a pod; the kubelet starts it anew, as the pod's restartPolicy has it.",
};

static const struct pod_target *target(const void *params) { return &((const struct container_kill *)params)->target; }

static const char *container(const void *params) { return ((const struct container_kill *)params)->container; }

static int inject(struct fault_act *a, const struct pod *victim, struct error *err) {
    struct cluster *c = a->env->cluster;
    return c->kind->signal(c, victim->uid, ((const struct container_kill *)a->spec->kind.params)->signal, err);
}

static void describe(const void *params, char *out, size_t size) { signal_name(((const struct container_kill *)params)->signal, out, size); }

const struct fault_kind fault_container_kill = {
    .row = {"container-kill", &shape, "Sends a signal (SIGKILL by default) to one container of selected pods."},
    .like = "end a pod",
    .proof = CL_POD_EXITED,
    .needs = CLUSTER_CONTAINERS,
    .target = target,
    .container = container,
    .takes = fault_takes,
    .inject = inject,
    .describe = describe,
};
