/* SPDX-License-Identifier: Apache-2.0 */
/* container-pause: as pod-pause, of one container. Which it is stands beside the victim's UID, in the NodeFault: who carries it out knows a
 * pod whose other containers are left out. */
#include "fault/freeze.h"

struct container_pause {
    struct pod_target target;
    bool host_network;
    const char *container;
};

static const struct field fields[] = {
    POD_TARGET_FIELDS(struct container_pause, target),
    {.name = "container", .type = F_STRING, .offset = offsetof(struct container_pause, container), .max = 253,
     .doc = "Name of the container (default: the first of the pod's spec, or the one that its annotation kubectl.kubernetes.io/default-container names)."},
    FAULT_HOST_NETWORK_FIELD(struct container_pause, host_network),
    {0},
};

static int check(void *value, const struct schema_at *at, struct error *err) {
    return pod_target_check(&((struct container_pause *)value)->target, at, err);
}

static const struct shape shape = {
    .name = "container-pause", .size = sizeof(struct container_pause), .fields = fields, .check = check,
    .doc = "Freezes one container of a pod and thaws it after `for`; a reaper thaws it at that deadline also when the node's agent is gone.",
};

static const struct pod_target *target(const void *params) { return &((const struct container_pause *)params)->target; }

static const char *container(const void *params) { return ((const struct container_pause *)params)->container; }

const struct fault_kind fault_container_pause = {
    .row = {"container-pause", &shape, "Freezes one container of selected pods for a while."},
    .like = "pause a pod",
    .holds = true,
    .proof = CL_POD_FROZEN,
    .proof_reverted = CL_POD_THAWED,
    .needs = CLUSTER_CONTAINERS,
    .target = target,
    .container = container,
    .takes = fault_takes,
    .inject = freeze_inject,
    .revert = freeze_revert,
    .undo = freeze_undo,
    .describe = freeze_describe,
};
