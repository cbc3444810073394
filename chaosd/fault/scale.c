/* SPDX-License-Identifier: Apache-2.0 */
/* scale: as kubectl scale, on the workload of the drawn pod, and back. Proof is that its controller has followed: so many pods are left, or
 * there. Somebody who scales it meanwhile, an autoscaler say, keeps what he made of it. */
#include "fault/object.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { BY_MOST = 10000 };

struct scale {
    struct pod_target target;
    const char *replicas_text;
    int64_t replicas; /* filled by the check; < 0: by `by` */
    int64_t by;
};

struct scaling {
    struct object_edit edit;
    char *workload; /* as pod.workload */
    int64_t from, to;
};

static const struct field fields[] = {
    POD_TARGET_FIELDS(struct scale, target),
    {.name = "replicas", .type = F_STRING, .offset = offsetof(struct scale, replicas_text), .doc = "How many it is scaled to, from 0 on."},
    {.name = "by", .type = F_INT, .offset = offsetof(struct scale, by), .min = -BY_MOST, .max = BY_MOST,
     .doc = "Instead: how many more, or with a minus fewer."},
    {0},
};

static int check(void *value, const struct schema_at *at, struct error *err) {
    struct scale *s = value;
    s->replicas = -1;
    if (!s->replicas_text == !s->by)
        return schema_bad(at, "", err, "scale needs one of replicas: N and by: N");
    if (s->replicas_text && (parse_int(s->replicas_text, &s->replicas, NULL) < 0 || s->replicas < 0 || s->replicas > BY_MOST))
        return schema_bad(at, "replicas", err, "expected a whole number from 0 to %d, not \"%s\"", BY_MOST, s->replicas_text);
    return pod_target_check(&s->target, at, err);
}

static const struct shape shape = {
    .name = "scale", .size = sizeof(struct scale), .fields = fields, .check = check,
    .doc = "Scales the workload of a drawn pod, and back after `for`; any later chaosd does it where this one cannot.",
};

static const struct pod_target *target(const void *params) { return &((const struct scale *)params)->target; }

static bool takes(const void *params) {
    const struct scale *s = params;
    return s->replicas >= 0 || s->by < 0;
}

static int64_t wanted(const struct scale *s, int64_t now) {
    int64_t to = s->replicas >= 0 ? s->replicas : now + s->by;
    return to > 0 ? to : 0;
}

static size_t struck(const struct fault_env *env, const struct fault_spec *f, const struct pod *victim, const struct pod **list,
                     size_t max) {
    struct kubernetes_workload w;
    if (!kubernetes_workload(env->cluster, victim, &w) || w.replicas < 0)
        return 0;
    return object_some(env, victim, w.replicas - wanted(f->kind.params, w.replicas), list, max);
}

static json_t *patch(struct object_edit *e, const json_t *object, struct error *why) {
    const struct scaling *s = (const struct scaling *)e;
    int64_t now = json_int_or(json_object_get(object, "spec"), "replicas", 1);
    if (json_is_true(json_at(object, "spec.paused"))) {
        error_set(why, 0, "%s is paused: kubectl rollout resume", e->title);
        return NULL;
    }
    if (now != s->from) {
        error_set(why, 0, "%s was scaled from %" PRId64 " to %" PRId64 " by somebody else just now", e->title, s->from, now);
        return NULL;
    }
    return object_marked_patch(e, object, why);
}

static bool look(struct object_edit *e) {
    const struct scaling *s = (const struct scaling *)e;
    struct fault_act *a = e->base.act;
    const struct pod *pods[CLUSTER_PODS_MOST];
    size_t n = object_pods(a->env, s->workload, pods, CLUSTER_PODS_MOST);
    if ((int64_t)n != s->to)
        return true;
    a->observed(a, json_pack("{s:s, s:I, s:I}", "proof", "pods", "from", (json_int_t)s->from, "to", (json_int_t)s->to));
    return false;
}

static json_t *more(struct object_edit *e) {
    const struct scaling *s = (const struct scaling *)e;
    return json_pack("{s:I, s:I}", "replicas_before", (json_int_t)s->from, "replicas", (json_int_t)s->to);
}

static int set_counts(struct scaling *s, const struct scale *params, int64_t now, struct error *err) {
    s->from = now;
    s->to = wanted(params, now);
    if (now < 0)
        return error_set(err, -EBUSY, "%s: how many replicas it has is not known", s->edit.title);
    if (s->to == s->from)
        return error_set(err, -EBUSY, "%s has %" PRId64 " replicas already", s->edit.title, now);
    return 0;
}

static int undo(struct fault_act *a, const struct pod *victim, json_t **ret, struct error *err) {
    static const enum kube_kind_id can[] = {KUBE_DEPLOYMENTS, KUBE_STATEFULSETS, KUBE_REPLICASETS, KUBE_KIND_COUNT};
    struct kubernetes_workload w;
    char what[512];
    int rc = object_workload(a->env, victim, can, "scaled", &w, err);
    if (rc == 0 && w.paused)
        rc = error_set(err, -EBUSY, "%s %s is paused: kubectl rollout resume", w.kind_name, w.name);
    if (rc < 0 || (rc = object_edit_new(a, sizeof(struct scaling), w.kind, w.namespace, w.name, w.uid, err)) < 0)
        return rc;
    struct scaling *s = a->own;
    s->edit.patch = patch;
    s->edit.ours = object_marked_ours;
    s->edit.look = look;
    s->edit.more = more;
    if (!(s->workload = strdup(victim->workload)))
        return error_set(err, -ENOMEM, "out of memory");
    rc = set_counts(s, a->spec->kind.params, w.replicas, err);
    object_edit_holds(&s->edit, "replicas", json_integer(s->from), json_integer(s->to));
    snprintf(what, sizeof what, "scale %s back to %" PRId64, s->edit.title, s->from);
    return rc < 0 ? rc : object_edit_undo(a, what, ret, err);
}

static void release(struct fault_act *a) {
    struct scaling *s = a->own;
    if (s)
        free(s->workload);
    object_edit_free(a);
}

static void describe(const void *params, char *out, size_t size) {
    const struct scale *s = params;
    if (s->replicas >= 0)
        snprintf(out, size, "to %" PRId64, s->replicas);
    else
        snprintf(out, size, "by %+" PRId64, s->by);
}

/* ReplicaSets also for the mark's copies there; list: for `chaosd revert --cluster`. */
static const struct kube_where rules[] = {
    {.verb = "get", .group = "apps", .resource = "deployments"},     {.verb = "patch", .group = "apps", .resource = "deployments"},
    {.verb = "list", .group = "apps", .resource = "deployments"},    {.verb = "get", .group = "apps", .resource = "statefulsets"},
    {.verb = "patch", .group = "apps", .resource = "statefulsets"},  {.verb = "list", .group = "apps", .resource = "statefulsets"},
    {.verb = "get", .group = "apps", .resource = "replicasets"},     {.verb = "patch", .group = "apps", .resource = "replicasets"},
    {.verb = "list", .group = "apps", .resource = "replicasets"},    {0},
};

const struct fault_kind fault_scale = {
    .row = {"scale", &shape, "Scales the workload of a selected pod for a while."},
    .layer = FAULT_OBJECT,
    .needs = CLUSTER_OBJECTS,
    .holds = true,
    .once = true,
    .proof = CL_EVENT_COUNT,
    .proof_reverted = CL_EVENT_COUNT,
    .rules = rules,
    .target = target,
    .takes = takes,
    .struck = struck,
    .place = object_workload_place,
    .inject = object_edit_start,
    .revert = object_edit_revert,
    .undo = undo,
    .release = release,
    .describe = describe,
};
