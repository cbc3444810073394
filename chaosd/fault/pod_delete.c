/* SPDX-License-Identifier: Apache-2.0 */
/* pod-delete: as kubectl delete pod. The deletion names the pod's UID, so that its successor by the same name is never meant. Proof is the
 * end of its containers, as its kubelet reports it. */
#include "fault/object.h"

#include "base/json.h"
#include "base/units.h"

#include <stdio.h>

struct pod_delete {
    struct pod_target target;
    int64_t grace_ns;
    bool force;
};

static const struct field fields[] = {
    POD_TARGET_FIELDS(struct pod_delete, target),
    OBJECT_GRACE_FIELD(struct pod_delete, grace_ns),
    {.name = "force", .type = F_BOOL, .offset = offsetof(struct pod_delete, force),
     .doc = "The API server forgets it at once, without its node's word (kubectl delete --force); its containers may go on for a while."},
    {0},
};

static int check(void *value, const struct schema_at *at, struct error *err) {
    struct pod_delete *d = value;
    if (d->force && d->grace_ns)
        return schema_bad(at, "force", err, "beside gracePeriod: what is forced is given no time");
    return object_check(&d->target, d->grace_ns, at, err);
}

static const struct shape shape = {
    .name = "pod-delete", .size = sizeof(struct pod_delete), .fields = fields, .check = check,
    .doc = "Deletes pods through the API server, by UID; their workload brings others.",
};

static const struct pod_target *target(const void *params) { return &((const struct pod_delete *)params)->target; }

static void on_deleted(const struct kube_answer *answer, void *arg) {
    struct object_act *o = arg;
    struct fault_act *a = o->act;
    o->call = NULL;
    if (!object_done(answer)) {
        object_not_done(a, answer);
        return;
    }
    a->told = object_told(answer);
    if (((const struct pod_delete *)a->spec->kind.params)->force)
        json_object_set_new(a->told, "forced", json_true());
    const json_t *metadata = json_object_get(answer->json, "metadata");
    a->proof_ns = OBJECT_PROOF_NS + json_int_or(metadata, "deletionGracePeriodSeconds", 30) * NS_PER_S;
    a->in_effect(a, 0, NULL);
}

static int inject(struct fault_act *a, const struct pod *victim, struct error *err) {
    const struct pod_delete *d = a->spec->kind.params;
    const struct kube_deletion how = {.uid = victim->uid, .grace_s = d->force ? 0 : object_grace_s(d->grace_ns), .limit_ns = OBJECT_ASK_NS};
    int rc = object_act_new(a, sizeof(struct object_act), NULL, err);
    if (rc < 0)
        return rc;
    struct object_act *o = a->own;
    rc = kube_delete(kubernetes_client(a->env->cluster), &kube_kinds[KUBE_PODS], victim->namespace, victim->name, &how, on_deleted, o,
                     &o->call, err);
    return rc < 0 ? rc : FAULT_LATER;
}

static void describe(const void *params, char *out, size_t size) {
    const struct pod_delete *d = params;
    char grace[32];
    format_duration(d->grace_ns, grace, sizeof grace);
    snprintf(out, size, "delete%s%s", d->force ? " by force" : d->grace_ns ? ", gracePeriod " : "", d->grace_ns ? grace : "");
}

static const struct kube_where rules[] = {{.verb = "delete", .group = "", .resource = "pods"}, {0}};

const struct fault_kind fault_pod_delete = {
    .row = {"pod-delete", &shape, "Deletes selected pods through the API server."},
    .layer = FAULT_OBJECT,
    .needs = CLUSTER_OBJECTS,
    .like = "end a pod",
    .proof = CL_POD_EXITED,
    .proof_reverted = CL_EVENT_COUNT,
    .rules = rules,
    .target = target,
    .takes = fault_takes,
    .inject = inject,
    .release = object_act_free,
    .describe = describe,
};
