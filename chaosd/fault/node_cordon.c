/* SPDX-License-Identifier: Apache-2.0 */
/* node-cordon: as kubectl cordon, on the node of the drawn pod, and back: no new pod is scheduled to it meanwhile. Proof is the node as the
 * watch tells it. */
#include "fault/object.h"

#include <stdio.h>

struct node_cordon {
    struct pod_target target;
};

static const struct field fields[] = {POD_TARGET_FIELDS(struct node_cordon, target), {0}};

static int check(void *value, const struct schema_at *at, struct error *err) {
    return pod_target_check(&((struct node_cordon *)value)->target, at, err);
}

static const struct shape shape = {
    .name = "node-cordon", .size = sizeof(struct node_cordon), .fields = fields, .check = check,
    .doc = "Has no new pods scheduled to the node of a drawn pod, until `for` is over; its pods stay.",
};

static const struct pod_target *target(const void *params) { return &((const struct node_cordon *)params)->target; }

static bool look(struct object_edit *e) {
    struct fault_act *a = e->base.act;
    if (!object_cordoned(e))
        return true;
    a->observed(a, json_pack("{s:s}", "proof", "unschedulable"));
    return false;
}

static int undo(struct fault_act *a, const struct pod *victim, json_t **ret, struct error *err) {
    int rc = object_cordon_new(a, sizeof(struct object_edit), victim, err);
    if (rc < 0)
        return rc;
    ((struct object_edit *)a->own)->look = look;
    return object_cordon_undo(a, ret, err);
}

static void describe(const void *params, char *out, size_t size) {
    (void)params;
    snprintf(out, size, "cordon");
}

static const struct kube_where rules[] = {OBJECT_CORDON_RULES, {0}};

const struct fault_kind fault_node_cordon = {
    .row = {"node-cordon", &shape, "Cordons the node of a selected pod for a while."},
    .layer = FAULT_OBJECT,
    .needs = CLUSTER_OBJECTS,
    .holds = true,
    .once = true,
    .proof = CL_EVENT_COUNT,
    .proof_reverted = CL_EVENT_COUNT,
    .rules = rules,
    .target = target,
    .place = object_node_place,
    .inject = object_edit_start,
    .revert = object_edit_revert,
    .undo = undo,
    .release = object_edit_free,
    .describe = describe,
};
