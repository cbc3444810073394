/* SPDX-License-Identifier: Apache-2.0 */
/* Workloads: how many pods they want and have, and who made whom. */
#include "cluster/kubernetes_priv.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <string.h>

struct kube_load *kubernetes_load_find(struct kubernetes *k, const char *kind, const char *namespace, const char *name) {
    for (struct kube_load *l = k->loads; l; l = l->next)
        if (strcmp(l->name, name) == 0 && strcmp(l->namespace, namespace) == 0 && strcmp(l->kind->name, kind) == 0)
            return l;
    return NULL;
}

/* A ReplicaSet that is not known yet, as its watch comes later than the pods': named by its Deployment and the hash that the pod carries. */
static bool guess_deployment(struct kubernetes *k, const char *namespace, const char *set, const char *hash, struct pod_owners *ret) {
    size_t len = strlen(set), tail = hash ? strlen(hash) : 0;
    char name[256];
    if (!tail || len < tail + 2 || len >= sizeof name || set[len - tail - 1] != '-' || strcmp(set + len - tail, hash) != 0)
        return false;
    snprintf(name, sizeof name, "%.*s", (int)(len - tail - 1), set);
    const struct kube_load *l = kubernetes_load_find(k, "Deployment", namespace, name);
    if (l) {
        ret->items[ret->count].kind = l->kind->name;
        ret->items[ret->count].name = l->name;
        ret->items[ret->count++].uid = l->uid;
    }
    return l;
}

void kubernetes_owners(struct kubernetes *k, const char *namespace, const struct kube_owner *first, const char *hash, struct pod_owners *ret) {
    *ret = (struct pod_owners){0};
    if (!first)
        return;
    const char *kind = first->kind, *name = first->name, *uid = first->uid;
    while (kind && ret->count < POD_OWNERS_MOST) {
        ret->items[ret->count].kind = kind;
        ret->items[ret->count].name = name;
        ret->items[ret->count++].uid = uid;
        const struct kube_load *l = kubernetes_load_find(k, kind, namespace, name);
        if (!l && strcmp(kind, "ReplicaSet") == 0 && ret->count < POD_OWNERS_MOST)
            guess_deployment(k, namespace, name, hash, ret);
        kind = l ? l->owner_kind : NULL;
        name = l ? l->owner_name : NULL;
        uid = l ? l->owner_uid : NULL;
    }
}

/* --- one workload --- */

static void load_free(struct kube_load *l) {
    char *texts[] = {l->namespace, l->name, l->uid, l->version, l->title, l->owner_kind, l->owner_name, l->owner_uid};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        free(texts[i]);
    free(l);
}

void kubernetes_loads_free(struct kubernetes *k) {
    while (k->loads) {
        struct kube_load *l = k->loads;
        k->loads = l->next;
        load_free(l);
    }
}

static void set_text(char **to, const char *text) {
    if (*to && text && strcmp(*to, text) == 0)
        return;
    free(*to);
    *to = text ? strdup(text) : NULL;
}

static struct kube_load *load_new(struct kubernetes *k, const struct kube_kind *kind, const struct kube_view *v) {
    struct kube_load *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (struct kube_load){.kind = kind, .namespace = strdup(v->namespace), .name = strdup(v->name)};
    if (asprintf(&l->title, "%s %s/%s", kind->name, v->namespace, v->name) < 0)
        l->title = NULL;
    if (!l->namespace || !l->name || !l->title) {
        load_free(l);
        return NULL;
    }
    l->next = k->loads;
    k->loads = l;
    return l;
}

/* A number, or "25%" of all. */
static int64_t share(const json_t *value, int64_t of, bool up, int64_t otherwise) {
    int64_t percent;
    const char *text = json_string_value(value), *sign = text ? strchr(text, '%') : NULL;
    if (json_is_integer(value))
        return json_integer_value(value);
    if (!sign || (percent = strtoll(text, NULL, 10)) < 0 || percent > 100)
        return otherwise;
    return (percent * of + (up ? 99 : 0)) / 100;
}

/* A Deployment rounds a share down and replaces a quarter unless told otherwise, a DaemonSet rounds up and takes one. */
static int64_t rollout_takes(const struct kube_load *l, const json_t *spec) {
    const json_t *deployment = json_object_get(spec, "strategy"), *other = json_object_get(spec, "updateStrategy");
    if (strcmp(json_str_or(deployment, "type", ""), "Recreate") == 0)
        return l->replicas;
    if (strcmp(l->kind->name, "Deployment") == 0)
        return share(json_at(deployment, "rollingUpdate.maxUnavailable"), l->replicas, false, l->replicas / 4);
    return strcmp(l->kind->name, "DaemonSet") == 0 ? share(json_at(other, "rollingUpdate.maxUnavailable"), l->replicas, true, 1) : 1;
}

/* A DaemonSet counts nodes, and names the fields otherwise. */
static void read_counts(struct kube_load *l, const char *body) {
    cleanup_json json_t *o = json_loads(body, 0, NULL);
    const json_t *spec = json_object_get(o, "spec"), *status = json_object_get(o, "status");
    bool nodes = strcmp(l->kind->name, "DaemonSet") == 0;
    l->replicas = nodes ? json_int_or(status, "desiredNumberScheduled", 0) : json_int_or(spec, "replicas", 1);
    l->ready = json_int_or(status, nodes ? "numberReady" : "readyReplicas", 0);
    l->updated = json_int_or(status, nodes ? "updatedNumberScheduled" : "updatedReplicas", 0);
    l->generation = json_int_or(o, "generation", 0);
    l->observed = json_int_or(status, "observedGeneration", 0);
    l->rollout_takes = rollout_takes(l, spec);
    l->paused = json_is_true(json_object_get(spec, "paused"));
    const json_t *strategy = json_object_get(spec, "updateStrategy");
    l->rolls = !l->paused && strcmp(json_str_or(strategy, "type", ""), "OnDelete") != 0 &&
               json_int_or(json_object_get(strategy, "rollingUpdate"), "partition", 0) == 0;
}

/* A ReplicaSet knows no updates, nor does a StatefulSet that was never changed. */
static int64_t updated(const struct kube_load *l) {
    bool counts = strcmp(l->kind->name, "Deployment") == 0 || strcmp(l->kind->name, "DaemonSet") == 0;
    return counts || l->updated ? l->updated : l->replicas;
}

bool kubernetes_load_settled(const struct kube_load *l) { return l->observed >= l->generation && l->ready >= l->replicas && (!l->rolls || updated(l) >= l->replicas); }

static void tell(struct kubernetes *k, struct kube_load *l, int64_t at_ns) {
    if (l->owner_kind)
        return; /* a Deployment's ReplicaSet: the Deployment is told of */
    l->told = true;
    kubernetes_tell(k, "cluster/workload", l->kind->name, l->title, at_ns,
                    json_pack("{s:I,s:I,s:I}", "replicas", (json_int_t)l->replicas, "ready", (json_int_t)l->ready, "updated", (json_int_t)updated(l)));
}

static void removed(struct kubernetes *k, const struct kube_load *gone) {
    for (struct kube_load **at = &k->loads; *at; at = &(*at)->next)
        if (*at == gone) {
            struct kube_load *l = *at;
            *at = l->next;
            load_free(l);
            return;
        }
}

void kubernetes_load_told(struct following *f, const struct kube_event *e) {
    struct kube_view v;
    kube_object_view(e->object ? e->object : e->before, &v);
    struct kubernetes *k = f->k;
    const struct kube_kind *kind = &kube_kinds[f->what->kind];
    struct kube_load *l = kubernetes_load_find(k, kind->name, v.namespace, v.name);
    if (e->what == KUBE_DELETED) {
        removed(k, l);
        return;
    }
    if (!l && !(l = load_new(k, kind, &v)))
        return;
    const struct kube_load was = *l;
    set_text(&l->uid, v.uid);
    set_text(&l->version, v.version);
    set_text(&l->owner_kind, v.owner ? v.owner->kind : NULL);
    set_text(&l->owner_name, v.owner ? v.owner->name : NULL);
    set_text(&l->owner_uid, v.owner ? v.owner->uid : NULL);
    read_counts(l, v.body);
    if (k->synced && l->owner_kind && !was.uid)
        kubernetes_pods_owned(k, l);
    if (k->synced && (!was.told || was.replicas != l->replicas || was.ready != l->ready || was.updated != l->updated))
        tell(k, l, e->seen_ns);
    if (k->synced && was.replicas != l->replicas)
        kubernetes_pods_wanted(k);
    if (k->synced && k->o.changed)
        k->o.changed(k->o.arg);
}

void kubernetes_loads_begin(struct kubernetes *k) {
    for (struct kube_load *l = k->loads; l; l = l->next)
        tell(k, l, 0);
}

/* --- what fault kinds ask --- */

bool kubernetes_workload(struct cluster *c, const struct pod *p, struct kubernetes_workload *ret) {
    if (!p->owners || !p->owners->count)
        return false;
    size_t last = p->owners->count - 1;
    const struct kube_load *l = kubernetes_load_find(kubernetes_self(c), p->owners->items[last].kind, p->namespace, p->owners->items[last].name);
    *ret = (struct kubernetes_workload){.kind_name = p->owners->items[last].kind, .namespace = p->namespace, .name = p->owners->items[last].name,
                                        .uid = p->owners->items[last].uid, .version = "", .replicas = -1, .ready = -1, .updated = -1};
    if (l) {
        ret->kind = l->kind;
        ret->version = l->version;
        ret->replicas = l->replicas;
        ret->ready = l->ready;
        ret->updated = updated(l);
        ret->rollout_takes = l->rollout_takes;
        ret->settled = kubernetes_load_settled(l);
        ret->paused = l->paused;
    }
    return true;
}
