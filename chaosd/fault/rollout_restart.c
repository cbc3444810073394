/* SPDX-License-Identifier: Apache-2.0 */
/* rollout-restart: as kubectl rollout restart, on the workload of the drawn pod. Proof is what its controller does: a pod that was not
 * there before. */
#include "fault/object.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define STAMP "kubectl.kubernetes.io/restartedAt"

struct rollout_restart {
    struct pod_target target;
};

struct restarting {
    struct object_edit edit;
    char *workload; /* as pod.workload */
    char stamp[32];
    json_t *before; /* {uid: true} of its pods */
};

static const struct field fields[] = {POD_TARGET_FIELDS(struct rollout_restart, target), {0}};

static int check(void *value, const struct schema_at *at, struct error *err) {
    return pod_target_check(&((struct rollout_restart *)value)->target, at, err);
}

static const struct shape shape = {
    .name = "rollout-restart", .size = sizeof(struct rollout_restart), .fields = fields, .check = check,
    .doc = "Has the workload of a drawn pod replace all of its pods, in the order that its own strategy says.",
};

static const struct pod_target *target(const void *params) { return &((const struct rollout_restart *)params)->target; }

static bool takes(const void *params) {
    (void)params;
    return true;
}

/* As many as its strategy takes out at once; one at least, as none stays. */
static size_t struck(const struct fault_env *env, const struct fault_spec *f, const struct pod *victim, const struct pod **list,
                     size_t max) {
    struct kubernetes_workload w;
    (void)f;
    const int64_t away = kubernetes_workload(env->cluster, victim, &w) ? w.rollout_takes : 1;
    return object_some(env, victim, away > 1 ? away : 1, list, max);
}

static json_t *patch(struct object_edit *e, const json_t *object, struct error *why) {
    const struct restarting *r = (const struct restarting *)e;
    if (json_is_true(json_at(object, "spec.paused"))) {
        error_set(why, 0, "%s is paused, so that nothing is rolled out: kubectl rollout resume", e->title);
        return NULL;
    }
    return json_pack("{s:{s:s, s:s}, s:{s:{s:{s:{s:s}}}}}", "metadata", "uid", e->uid, "resourceVersion",
                     json_str_or(json_object_get(object, "metadata"), "resourceVersion", ""), "spec", "template", "metadata", "annotations",
                     STAMP, r->stamp);
}

static bool ours(const struct object_edit *e, const json_t *object) {
    const char *stamp = json_str_or(json_at(object, "spec.template.metadata.annotations"), STAMP, "");
    return e->maybe && strcmp(stamp, ((const struct restarting *)e)->stamp) == 0;
}

/* Pods of it that were not there before; the first of them by name. */
static size_t newcomers(const struct restarting *r, const char **ret_first, size_t *ret_count) {
    const struct pod *pods[CLUSTER_PODS_MOST];
    size_t n = object_pods(r->edit.base.act->env, r->workload, pods, CLUSTER_PODS_MOST), count = 0;
    for (size_t i = 0; i < n; i++)
        if (!json_object_get(r->before, pods[i]->uid) && count++ == 0)
            *ret_first = pods[i]->name;
    *ret_count = n;
    return count;
}

static bool look(struct object_edit *e) {
    const struct restarting *r = (const struct restarting *)e;
    struct fault_act *a = e->base.act;
    const char *first = NULL;
    size_t pods, fresh = newcomers(r, &first, &pods);
    if (!fresh)
        return true;
    a->observed(a, json_pack("{s:s, s:s, s:i, s:i}", "proof", "a new pod", "pod", first, "new", (int)fresh, "pods", (int)pods));
    return false;
}

static json_t *more(struct object_edit *e) { return json_pack("{s:s}", "stamp", ((const struct restarting *)e)->stamp); }

static int remember(struct restarting *r, const struct pod *victim, struct error *err) {
    const struct pod *pods[CLUSTER_PODS_MOST];
    struct tm tm;
    const time_t now = clock_wall_ns() / NS_PER_S;
    r->workload = strdup(victim->workload);
    r->before = json_object();
    if (!r->workload || !r->before)
        return error_set(err, -ENOMEM, "out of memory");
    size_t n = object_pods(r->edit.base.act->env, r->workload, pods, CLUSTER_PODS_MOST);
    for (size_t i = 0; i < n; i++)
        json_object_set_new(r->before, pods[i]->uid, json_true());
    if (gmtime_r(&now, &tm))
        strftime(r->stamp, sizeof r->stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return 0;
}

static int inject(struct fault_act *a, const struct pod *victim, struct error *err) {
    static const enum kube_kind_id can[] = {KUBE_DEPLOYMENTS, KUBE_STATEFULSETS, KUBE_DAEMONSETS, KUBE_KIND_COUNT};
    struct kubernetes_workload w;
    int rc = object_workload(a->env, victim, can, "restarted", &w, err);
    if (rc < 0 || (rc = object_edit_new(a, sizeof(struct restarting), w.kind, w.namespace, w.name, w.uid, err)) < 0)
        return rc;
    struct restarting *r = a->own;
    r->edit.patch = patch;
    r->edit.ours = ours;
    r->edit.look = look;
    r->edit.more = more;
    a->proof_ns = 2 * OBJECT_PROOF_NS;
    rc = remember(r, victim, err);
    return rc < 0 ? rc : object_edit_start(a, victim, err);
}

static void release(struct fault_act *a) {
    struct restarting *r = a->own;
    if (r) {
        free(r->workload);
        json_decref(r->before);
    }
    object_edit_free(a);
}

static void describe(const void *params, char *out, size_t size) {
    (void)params;
    snprintf(out, size, "restart");
}

static const struct kube_where rules[] = {
    {.verb = "get", .group = "apps", .resource = "deployments"},    {.verb = "patch", .group = "apps", .resource = "deployments"},
    {.verb = "get", .group = "apps", .resource = "statefulsets"},   {.verb = "patch", .group = "apps", .resource = "statefulsets"},
    {.verb = "get", .group = "apps", .resource = "daemonsets"},     {.verb = "patch", .group = "apps", .resource = "daemonsets"},
    {0},
};

const struct fault_kind fault_rollout_restart = {
    .row = {"rollout-restart", &shape, "Restarts the workload of a selected pod, pod by pod."},
    .layer = FAULT_OBJECT,
    .needs = CLUSTER_OBJECTS,
    .once = true,
    .proof = CL_EVENT_COUNT,
    .proof_reverted = CL_EVENT_COUNT,
    .rules = rules,
    .target = target,
    .takes = takes,
    .struck = struck,
    .place = object_workload_place,
    .inject = inject,
    .release = release,
    .describe = describe,
};
