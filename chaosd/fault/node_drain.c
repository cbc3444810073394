/* SPDX-License-Identifier: Apache-2.0 */
/* node-drain: as kubectl drain, on the node of the drawn pod, and uncordoned after it: no new pod comes, and every pod of the followed
 * namespaces is evicted, where its PodDisruptionBudgets allow it; what is blocked is asked again until the time is over. Pods of DaemonSets
 * and of the kubelet itself stay, and those that nobody made, unless they are forced. Proof is that nothing of them runs on the node any more. */
#include "fault/object.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/units.h"

#include <errno.h>
#include <string.h>

enum { AT_ONCE = 8 }; /* evictions under way */
#define LONGEST_PAUSE_NS (5 * NS_PER_S)

struct node_drain {
    struct pod_target target;
    int64_t grace_ns, timeout_ns;
    bool force;
};

struct eviction { /* of one pod */
    struct draining *of;
    char uid[64], namespace[64], name[OBJECT_NAME_SIZE];
    struct kube_call *call;
    int64_t next_ns;
    unsigned blocked, tries;
    bool asked, gone; /* asked: accepted; gone: nothing of it runs, or it cannot be evicted */
};

struct draining {
    struct object_edit edit;
    struct eviction *pods;
    size_t count, failed;
    int64_t began_ns;
};

static const struct field fields[] = {
    POD_TARGET_FIELDS(struct node_drain, target),
    OBJECT_GRACE_FIELD(struct node_drain, grace_ns),
    {.name = "timeout", .type = F_DURATION, .offset = offsetof(struct node_drain, timeout_ns),
     .doc = "How long evictions are tried that a PodDisruptionBudget blocks; else as long as the fault is held."},
    {.name = "force", .type = F_BOOL, .offset = offsetof(struct node_drain, force),
     .doc = "Also pods that no controller made, and that nothing brings back."},
    {0},
};

static int check(void *value, const struct schema_at *at, struct error *err) {
    struct node_drain *d = value;
    return object_check(&d->target, d->grace_ns, at, err);
}

static const struct shape shape = {
    .name = "node-drain", .size = sizeof(struct node_drain), .fields = fields, .check = check,
    .doc = "Cordons the node of a drawn pod and evicts its pods; it is uncordoned after `for`.",
};

static const struct pod_target *target(const void *params) { return &((const struct node_drain *)params)->target; }

static bool evictable(const struct node_drain *d, const struct pod *p) {
    if (p->phase == POD_ENDED)
        return false;
    return p->owners && p->owners->count ? strcmp(p->owners->items[0].kind, "DaemonSet") != 0 : d->force;
}

static size_t struck(const struct fault_env *env, const struct fault_spec *f, const struct pod *victim, const struct pod **list,
                     size_t max) {
    size_t n = kubernetes_on_node(env->cluster, victim->node, list, max), count = 0;
    for (size_t i = 0; i < n; i++)
        if (evictable(f->kind.params, list[i]))
            list[count++] = list[i];
    return count;
}

/* --- evicting --- */

static const struct node_drain *params_of(const struct draining *d) { return d->edit.base.act->spec->kind.params; }

/* A pod that stays is told of once; "blocked" is no trouble of ours, but the node is not drained as asked meanwhile. */
static void tell_blocked(struct draining *d, const struct eviction *v, const struct kube_answer *answer) {
    struct fault_act *a = d->edit.base.act;
    char why[OBJECT_WHY_SIZE], text[OBJECT_WHY_SIZE + OBJECT_NAME_SIZE + 8];
    object_blocked(a->env, v->uid, answer, why, sizeof why);
    snprintf(text, sizeof text, "%s: %s", v->name, why);
    a->trouble(a, text);
}

static void on_evicted(const struct kube_answer *answer, void *arg) {
    struct eviction *v = arg;
    struct draining *d = v->of;
    struct fault_act *a = d->edit.base.act;
    v->call = NULL;
    if (answer->trouble == KUBE_OK) {
        v->asked = true;
        return;
    }
    if (answer->trouble == KUBE_NOT_FOUND || answer->trouble == KUBE_CONFLICT) { /* by itself, or by an earlier try */
        v->gone = true;
        return;
    }
    int64_t pause = kube_pause_ns(kubernetes_client(a->env->cluster), ++v->tries);
    v->next_ns = loop_now() + (pause < LONGEST_PAUSE_NS ? pause : LONGEST_PAUSE_NS);
    if (answer->trouble == KUBE_BLOCKED && v->blocked++ == 0)
        tell_blocked(d, v, answer);
    if (answer->trouble == KUBE_FORBIDDEN || answer->trouble == KUBE_INVALID) {
        v->gone = true;
        d->failed++;
        a->trouble(a, answer->why);
    }
}

static void evict(struct draining *d, struct eviction *v) {
    struct fault_act *a = d->edit.base.act;
    struct error err;
    const struct kube_deletion how = {.uid = v->uid, .grace_s = object_grace_s(params_of(d)->grace_ns), .limit_ns = OBJECT_ASK_NS};
    if (object_evict(a->env, v->namespace, v->name, &how, on_evicted, v, &v->call, &err) < 0) {
        v->gone = true;
        d->failed++;
        a->trouble(a, err.text);
    }
}

/* The list is of when the cordon was in: one that came after the guards had looked was never asked about. */
static bool is_barred(struct draining *d, struct eviction *v, const struct pod *p) {
    struct fault_act *a = d->edit.base.act;
    const char *why = a->env->barred ? a->env->barred(a->env, p) : NULL;
    char text[OBJECT_WHY_SIZE];
    if (!why)
        return false;
    snprintf(text, sizeof text, "it is left on the node: %s", why);
    v->gone = true;
    d->failed++;
    a->trouble(a, text);
    return true;
}

/* --- looking --- */

static void tell_left(struct draining *d, int64_t limit_ns) {
    struct fault_act *a = d->edit.base.act;
    cleanup_buf struct buf text = {0};
    char limit[32];
    size_t left = 0;
    format_duration(limit_ns, limit, sizeof limit);
    for (size_t i = 0; i < d->count; i++)
        if (!d->pods[i].gone && left++ < 5)
            buf_printf(&text, "%s%s", left > 1 ? ", " : "", d->pods[i].name);
    char why[OBJECT_WHY_SIZE];
    snprintf(why, sizeof why, "not drained within %s: %zu of %zu pods are left: %s%s", limit, left, d->count, text.data ? text.data : "",
             left > 5 ? ", ..." : "");
    a->trouble(a, why);
}

static void tell_drained(struct draining *d) {
    struct fault_act *a = d->edit.base.act;
    unsigned blocked = 0;
    for (size_t i = 0; i < d->count; i++)
        blocked += d->pods[i].blocked > 0;
    a->observed(a, json_pack("{s:s, s:i, s:i, s:I}", "proof", "drained", "pods", (int)d->count, "blocked", (int)blocked, "took_ns",
                             (json_int_t)(loop_now() - d->began_ns)));
}

/* True: some are left on the node. */
static bool work(struct draining *d, bool in_time) {
    const struct fault_act *a = d->edit.base.act;
    size_t under_way = 0, left = 0;
    for (size_t i = 0; i < d->count; i++)
        under_way += d->pods[i].call != NULL;
    for (size_t i = 0; i < d->count; i++) {
        struct eviction *v = &d->pods[i];
        const struct pod *p = a->env->cluster->kind->pod(a->env->cluster, v->uid);
        v->gone = v->gone || !p || (v->asked && p->phase == POD_ENDED);
        left += !v->gone;
        if (!v->gone && !v->asked && !v->call && in_time && under_way < AT_ONCE && loop_now() >= v->next_ns && !is_barred(d, v, p)) {
            under_way++;
            evict(d, v);
        }
    }
    return left > 0;
}

static bool look(struct object_edit *e) {
    struct draining *d = (struct draining *)e;
    int64_t limit = params_of(d)->timeout_ns;
    const bool in_time = !limit || loop_now() < d->began_ns + limit;
    if (work(d, in_time)) {
        if (!in_time && limit)
            tell_left(d, limit);
        return in_time || !limit;
    }
    if (!object_cordoned(e))
        return true;
    if (!d->failed)
        tell_drained(d);
    return false;
}

/* --- the act --- */

/* The pods that are there when the cordon is in: none comes after it, DaemonSets' aside. */
static json_t *more(struct object_edit *e) {
    struct draining *d = (struct draining *)e;
    const struct fault_env *env = e->base.act->env;
    const struct pod *pods[CLUSTER_PODS_MOST];
    size_t n = kubernetes_on_node(env->cluster, e->name, pods, CLUSTER_PODS_MOST);
    d->began_ns = loop_now();
    d->pods = calloc(n + 1, sizeof *d->pods);
    for (size_t i = 0; d->pods && i < n; i++) {
        if (!evictable(params_of(d), pods[i]))
            continue;
        struct eviction *v = &d->pods[d->count++];
        v->of = d;
        snprintf(v->uid, sizeof v->uid, "%s", pods[i]->uid);
        snprintf(v->namespace, sizeof v->namespace, "%s", pods[i]->namespace);
        snprintf(v->name, sizeof v->name, "%s", pods[i]->name);
    }
    return json_pack("{s:i}", "pods", (int)d->count);
}

static int undo(struct fault_act *a, const struct pod *victim, json_t **ret, struct error *err) {
    int rc = object_cordon_new(a, sizeof(struct draining), victim, err);
    if (rc < 0)
        return rc;
    struct draining *d = a->own;
    d->edit.look = look;
    d->edit.more = more;
    return object_cordon_undo(a, ret, err);
}

static void stop_evicting(struct draining *d) {
    for (size_t i = 0; i < d->count; i++)
        kube_cancel(take_ptr(d->pods[i].call));
}

static int revert(struct fault_act *a, struct error *err) {
    stop_evicting(a->own);
    return object_edit_revert(a, err);
}

static void release(struct fault_act *a) {
    struct draining *d = a->own;
    if (d) {
        stop_evicting(d);
        free(d->pods);
    }
    object_edit_free(a);
}

static void describe(const void *params, char *out, size_t size) {
    snprintf(out, size, "drain%s", ((const struct node_drain *)params)->force ? " by force" : "");
}

static const struct kube_where rules[] = {OBJECT_CORDON_RULES, {.verb = "create", .group = "", .resource = "pods", .subresource = "eviction"}, {0}};

const struct fault_kind fault_node_drain = {
    .row = {"node-drain", &shape, "Drains the node of a selected pod for a while."},
    .layer = FAULT_OBJECT,
    .needs = CLUSTER_OBJECTS,
    .holds = true,
    .once = true,
    .proof = CL_EVENT_COUNT,
    .proof_reverted = CL_EVENT_COUNT,
    .rules = rules,
    .target = target,
    .takes = fault_takes,
    .struck = struck,
    .place = object_node_place,
    .inject = object_edit_start,
    .revert = revert,
    .undo = undo,
    .release = release,
    .describe = describe,
};
