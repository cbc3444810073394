/* SPDX-License-Identifier: Apache-2.0 */
/* pod-kill: a signal to the pod's first process, by pidfd. Proof is the exit that the pidfd reports. */
#include "base/signals.h"
#include "fault/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

struct pod_kill {
    struct pod_target target;
    bool host_network;
    const char *signal_text;
    int signal; /* filled by the check */
};

static const struct field fields[] = {
    POD_TARGET_FIELDS(struct pod_kill, target),
    {.name = "signal", .type = F_STRING, .offset = offsetof(struct pod_kill, signal_text), .def = "SIGKILL",
     .doc = "Signal sent to the pod's first process; like a container's, it is pid 1 and ignores what it has no handler for, SIGKILL aside."},
    FAULT_HOST_NETWORK_FIELD(struct pod_kill, host_network),
    {0},
};

static int check(void *value, const struct schema_at *at, struct error *err) {
    struct pod_kill *k = value;
    struct error why;
    if (signal_parse(k->signal_text, &k->signal, &why) < 0)
        return schema_bad(at, "signal", err, "%s", why.text);
    return pod_target_check(&k->target, at, err);
}

static const struct shape shape = {
    .name = "pod-kill", .size = sizeof(struct pod_kill), .fields = fields, .check = check,
    .doc = "Kills pods; their restart policy brings them back.",
};

static const struct pod_target *target(const void *params) { return &((const struct pod_kill *)params)->target; }

static int inject(struct fault_act *a, const struct pod *victim, struct error *err) {
    struct cluster *c = a->env->cluster;
    return c->kind->signal(c, victim->uid, ((const struct pod_kill *)a->spec->kind.params)->signal, err);
}

static void describe(const void *params, char *out, size_t size) { signal_name(((const struct pod_kill *)params)->signal, out, size); }

static int able(const struct fault_kind *k, struct error *err) {
    return cluster_able(k->needs, err);
}

const struct fault_kind fault_pod_kill = {
    .row = {"pod-kill", &shape, "Sends a signal (SIGKILL by default) to selected pods."},
    .like = "end a pod",
    .proof = CL_POD_EXITED,
    .needs = CLUSTER_SIGNAL,
    .target = target,
    .takes = fault_takes,
    .able = able,
    .inject = inject,
    .describe = describe,
};
