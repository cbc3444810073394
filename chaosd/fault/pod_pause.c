/* SPDX-License-Identifier: Apache-2.0 */
/* pod-pause: freezes a pod's cgroup, as a long garbage collection or a stalled disk would, and thaws it. Proof is the
 * kernel's own "frozen" in cgroup.events. */
#include "fault/freeze.h"

#include <stdio.h>

struct pod_pause {
    struct pod_target target;
    bool host_network;
};

static const struct field fields[] = {POD_TARGET_FIELDS(struct pod_pause, target), FAULT_HOST_NETWORK_FIELD(struct pod_pause, host_network), {0}};

static int check(void *value, const struct schema_at *at, struct error *err) {
    return pod_target_check(&((struct pod_pause *)value)->target, at, err);
}

static const struct shape shape = {
    .name = "pod-pause", .size = sizeof(struct pod_pause), .fields = fields, .check = check,
    .doc = "Freezes pods and thaws them after `for`; a reaper thaws them at that deadline also when chaosd is gone.",
};

static const struct pod_target *target(const void *params) { return &((const struct pod_pause *)params)->target; }

int freeze_inject(struct fault_act *a, const struct pod *victim, struct error *err) {
    return a->env->cluster->kind->freeze(a->env->cluster, victim->uid, true, err);
}

int freeze_revert(struct fault_act *a, struct error *err) { return a->env->cluster->kind->freeze(a->env->cluster, a->uid, false, err); }

int freeze_undo(struct fault_act *a, const struct pod *victim, json_t **ret, struct error *err) {
    return a->env->cluster->kind->undo_freeze(a->env->cluster, victim->uid, ret, err);
}

void freeze_describe(const void *params, char *out, size_t size) {
    (void)params;
    snprintf(out, size, "freeze");
}

static int able(const struct fault_kind *k, struct error *err) {
    return cluster_able(k->needs, err);
}

const struct fault_kind fault_pod_pause = {
    .row = {"pod-pause", &shape, "Freezes selected pods for a while."},
    .like = "pause a pod",
    .holds = true,
    .proof = CL_POD_FROZEN,
    .proof_reverted = CL_POD_THAWED,
    .needs = CLUSTER_SIGNAL,
    .target = target,
    .takes = fault_takes,
    .able = able,
    .inject = freeze_inject,
    .revert = freeze_revert,
    .undo = freeze_undo,
    .describe = freeze_describe,
};
