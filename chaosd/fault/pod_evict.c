/* SPDX-License-Identifier: Apache-2.0 */
/* pod-evict: as pod-delete, but asked for as an Eviction, which a PodDisruptionBudget may forbid. Its no is an answer, not a failure. */
#include "fault/object.h"

#include "base/json.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>

enum on_blocked { BLOCKED_SKIP, BLOCKED_RETRY };
static const char *const blocked_names[] = {"skip", "retry", NULL};

struct pod_evict {
    struct pod_target target;
    int64_t grace_ns, timeout_ns;
    int on_blocked;
};

struct evicting {
    struct object_act base;
    int64_t give_up_ns;
    unsigned blocked; /* times */
};

static const struct field fields[] = {
    POD_TARGET_FIELDS(struct pod_evict, target),
    OBJECT_GRACE_FIELD(struct pod_evict, grace_ns),
    {.name = "onBlocked", .type = F_ENUM, .offset = offsetof(struct pod_evict, on_blocked), .def = "skip", .values = blocked_names,
     .doc = "What a PodDisruptionBudget's no leads to: skip, told as blocked, or retry until `timeout`."},
    {.name = "timeout", .type = F_DURATION, .offset = offsetof(struct pod_evict, timeout_ns), .def = "30s", .min = NS_PER_S,
     .max = 3600 * NS_PER_S, .doc = "How long a blocked eviction is tried again."},
    {0},
};

static int check(void *value, const struct schema_at *at, struct error *err) {
    struct pod_evict *e = value;
    return object_check(&e->target, e->grace_ns, at, err);
}

static const struct shape shape = {
    .name = "pod-evict", .size = sizeof(struct pod_evict), .fields = fields, .check = check,
    .doc = "Evicts pods, as a drain does: a PodDisruptionBudget may forbid it, which is recorded as blocked.",
};

static const struct pod_target *target(const void *params) { return &((const struct pod_evict *)params)->target; }

static void blocked(struct evicting *e, const struct kube_answer *answer) {
    struct fault_act *a = e->base.act;
    const struct pod_evict *params = a->spec->kind.params;
    char why[OBJECT_WHY_SIZE];
    struct kube *k = kubernetes_client(a->env->cluster);
    int64_t pause = kube_pause_ns(k, ++e->blocked < 4 ? e->blocked : 4); /* the 10 s that are asked for would be most of a drill */
    if (params->on_blocked == BLOCKED_RETRY && loop_now() + pause < e->give_up_ns) {
        timer_after(e->base.timer, pause);
    } else {
        object_blocked(a->env, a->uid, answer, why, sizeof why);
        object_refused(a, -EBUSY, "%s", why);
    }
}

static void on_evicted(const struct kube_answer *answer, void *arg) {
    struct evicting *e = arg;
    struct fault_act *a = e->base.act;
    e->base.call = NULL;
    if (answer->trouble == KUBE_BLOCKED) {
        blocked(e, answer);
        return;
    }
    if (!object_done(answer)) {
        object_not_done(a, answer);
        return;
    }
    const struct pod_evict *params = a->spec->kind.params;
    a->told = object_told(answer);
    if (e->blocked)
        json_object_set_new(a->told, "blocked", json_integer(e->blocked));
    /* Its answer does not tell the pod's own grace. */
    a->proof_ns = OBJECT_PROOF_NS + (params->grace_ns ? params->grace_ns : 60 * NS_PER_S);
    a->in_effect(a, 0, NULL);
}

static int ask(struct evicting *e, const struct pod *victim, struct error *err) {
    const struct fault_act *a = e->base.act;
    const struct pod_evict *params = a->spec->kind.params;
    const struct kube_deletion how = {.uid = victim->uid, .grace_s = object_grace_s(params->grace_ns), .limit_ns = OBJECT_ASK_NS};
    return object_evict(a->env, victim->namespace, victim->name, &how, on_evicted, e, &e->base.call, err);
}

static void again(struct object_act *o) {
    struct fault_act *a = o->act;
    struct error err;
    const struct pod *victim = a->env->cluster->kind->pod(a->env->cluster, a->uid);
    if (!victim || victim->terminating)
        object_refused(a, -EBUSY, "%s ended by itself while its eviction was blocked", a->target);
    else if (ask((struct evicting *)o, victim, &err) < 0)
        object_refused(a, -EIO, "%s", err.text);
}

static int inject(struct fault_act *a, const struct pod *victim, struct error *err) {
    int rc = object_act_new(a, sizeof(struct evicting), again, err);
    if (rc < 0)
        return rc;
    struct evicting *e = a->own;
    e->give_up_ns = loop_now() + ((const struct pod_evict *)a->spec->kind.params)->timeout_ns;
    rc = ask(e, victim, err);
    return rc < 0 ? rc : FAULT_LATER;
}

static void describe(const void *params, char *out, size_t size) {
    const struct pod_evict *e = params;
    char timeout[32];
    format_duration(e->timeout_ns, timeout, sizeof timeout);
    snprintf(out, size, "evict%s%s", e->on_blocked == BLOCKED_RETRY ? ", retried for " : "", e->on_blocked == BLOCKED_RETRY ? timeout : "");
}

static const struct kube_where rules[] = {{.verb = "create", .group = "", .resource = "pods", .subresource = "eviction"}, {0}};

const struct fault_kind fault_pod_evict = {
    .row = {"pod-evict", &shape, "Evicts selected pods, where their PodDisruptionBudgets allow it."},
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
