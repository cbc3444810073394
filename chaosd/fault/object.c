/* SPDX-License-Identifier: Apache-2.0 */
/* What acts on an API server's objects share beside edits: their memory, what is told of an answer, whom they are about. */
#include "fault/object.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static void on_timer(void *arg) {
    struct object_act *o = arg;
    o->turn(o);
}

int object_act_new(struct fault_act *a, size_t size, void (*turn)(struct object_act *o), struct error *err) {
    struct object_act *o = calloc(1, size);
    if (!o)
        return error_set(err, -ENOMEM, "out of memory");
    o->act = a;
    o->turn = turn;
    int rc = timer_new(a->env->loop, on_timer, o, &o->timer, err);
    if (rc < 0)
        free(o);
    else
        a->own = o;
    return rc;
}

void object_act_free(struct fault_act *a) {
    struct object_act *o = take_ptr(a->own);
    if (!o)
        return;
    kube_cancel(o->call);
    timer_free(o->timer);
    free(o);
}

json_t *object_told(const struct kube_answer *a) {
    return json_pack("{s:I, s:I, s:s*, s:i}", "asked_mono", (json_int_t)a->asked_ns, "seen_mono", (json_int_t)a->seen_ns, "date", a->date,
                     "tries", (int)a->tries);
}

bool object_done(const struct kube_answer *a) {
    return a->trouble == KUBE_OK;
}

int object_evict(const struct fault_env *env, const char *namespace, const char *name, const struct kube_deletion *how,
                 kube_done *told, void *arg, struct kube_call **ret, struct error *err) {
    const struct kube_api *api = kubernetes_api(env->cluster);
    const char *version = api ? api->versions[KUBE_EVICTIONS] : NULL;
    if (!version)
        return error_set(err, -EOPNOTSUPP, "the API server takes no Eviction in a version that is understood");
    return kube_evict(kubernetes_client(env->cluster), version, namespace, name, how, told, arg, ret, err);
}

void object_refused(struct fault_act *a, int rc, const char *fmt, ...) {
    struct error why;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why.text, sizeof why.text, fmt, ap);
    va_end(ap);
    a->in_effect(a, rc, &why);
}

void object_not_done(struct fault_act *a, const struct kube_answer *answer) {
    bool gone = answer->trouble == KUBE_NOT_FOUND || answer->trouble == KUBE_CONFLICT;
    if (gone && answer->unknown)
        object_refused(a, -EINPROGRESS, "%s is gone, or another one by now: by an earlier try of ours, whose answer was lost, or by somebody else",
                       a->target);
    else if (gone)
        object_refused(a, -EBUSY, "%s is gone, or another one by now", a->target);
    else
        object_refused(a, answer->unknown ? -EINPROGRESS : -EIO, "%s", answer->why);
}

void object_blocked(const struct fault_env *env, const char *uid, const struct kube_answer *answer, char *out, size_t size) {
    const struct pod *p = env->cluster->kind->pod(env->cluster, uid);
    const char *budget = p ? kubernetes_budget(env->cluster, p) : NULL;
    const char *why = json_str_or(json_array_get(json_at(answer->json, "details.causes"), 0), "message", answer->why);
    snprintf(out, size, "blocked by PodDisruptionBudget%s%s: %s", budget ? " " : "", budget ? budget : "", why);
}

int object_check(struct pod_target *t, int64_t grace_ns, const struct schema_at *at, struct error *err) {
    if (grace_ns % NS_PER_S)
        return schema_bad(at, "gracePeriod", err, "expected whole seconds: an API server knows no shorter ones");
    return pod_target_check(t, at, err);
}

/* --- whom --- */

int object_workload(const struct fault_env *env, const struct pod *victim, const enum kube_kind_id *can, const char *done,
                    struct kubernetes_workload *ret, struct error *err) {
    if (!kubernetes_workload(env->cluster, victim, ret))
        return error_set(err, -EBUSY, "%s has no workload that could be %s: nobody made it", victim->name, done);
    for (; ret->kind && *can != KUBE_KIND_COUNT; can++)
        if (ret->kind == &kube_kinds[*can])
            return 0;
    return error_set(err, -EBUSY, "%s is of %s %s, and a %s cannot be %s", victim->name, ret->kind_name, ret->name, ret->kind_name, done);
}

void object_workload_place(const struct fault_env *env, const struct pod *victim, char *out, size_t size) {
    struct kubernetes_workload w;
    if (kubernetes_workload(env->cluster, victim, &w))
        snprintf(out, size, "%s %s/%s", w.kind_name, w.namespace, w.name);
    else
        snprintf(out, size, "Pod %s/%s", victim->namespace, victim->name);
}

void object_node_place(const struct fault_env *env, const struct pod *victim, char *out, size_t size) {
    (void)env;
    snprintf(out, size, "%s", victim->node);
}

size_t object_some(const struct fault_env *env, const struct pod *victim, int64_t wanted, const struct pod **list, size_t max) {
    const struct pod *pods[CLUSTER_PODS_MOST];
    size_t n = object_pods(env, victim->workload, pods, CLUSTER_PODS_MOST), count = 0;
    if (wanted > 0 && max > 0)
        list[count++] = victim;
    while (n > 0 && (int64_t)count < wanted && count < max)
        if (pods[--n]->ready && pods[n] != victim)
            list[count++] = pods[n];
    return count;
}

size_t object_pods(const struct fault_env *env, const char *workload, const struct pod **list, size_t max) {
    const struct pod *all[CLUSTER_PODS_MOST];
    size_t n = env->cluster->kind->pods(env->cluster, all, CLUSTER_PODS_MOST), count = 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i]->workload, workload) == 0 && !all[i]->terminating && all[i]->phase != POD_ENDED && count < max)
            list[count++] = all[i];
    return count;
}
