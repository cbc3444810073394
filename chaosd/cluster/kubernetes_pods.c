/* SPDX-License-Identifier: Apache-2.0 */
/* Pods as the API server has them, and what becomes of them, told in the words that every provider uses. */
#include "cluster/kubernetes_priv.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <search.h>
#include <string.h>

/* --- by uid, and in order --- */

static int by_uid(const void *a, const void *b) { return strcmp(((const struct kube_pod *)a)->pub.uid, ((const struct kube_pod *)b)->pub.uid); }

static int by_place(const struct pod *a, const struct pod *b) {
    int r = strcmp(a->namespace, b->namespace);
    r = r ? r : strcmp(a->name, b->name);
    return r ? r : strcmp(a->uid, b->uid);
}

struct kube_pod *kubernetes_pod_find(struct kubernetes *k, const char *uid) {
    const struct kube_pod key = {.pub.uid = uid};
    void *const *found = tfind(&key, &k->by_uid, by_uid);
    return found ? *found : NULL;
}

static size_t place_of(const struct kubernetes *k, const struct pod *p) { /* of the first that is not before it */
    size_t lo = 0, hi = k->pod_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (by_place(&k->pods[mid]->pub, p) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void pod_free(struct kube_pod *p) {
    if (!p)
        return;
    json_decref(p->labels);
    json_decref(p->annotations);
    free(p->texts);
    free(p->workload);
    free(p);
}

static int insert(struct kubernetes *k, struct kube_pod *p) {
    if (k->pod_count == k->pod_cap) {
        size_t cap = k->pod_cap ? k->pod_cap * 2 : 64;
        struct kube_pod **grown = realloc(k->pods, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        k->pods = grown;
        k->pod_cap = cap;
    }
    if (!tsearch(p, &k->by_uid, by_uid))
        return -ENOMEM;
    size_t at = place_of(k, &p->pub);
    memmove(&k->pods[at + 1], &k->pods[at], (k->pod_count - at) * sizeof *k->pods);
    k->pods[at] = p;
    k->pod_count++;
    return 0;
}

static void take_out(struct kubernetes *k, struct kube_pod *p) {
    size_t at = place_of(k, &p->pub);
    memmove(&k->pods[at], &k->pods[at + 1], (--k->pod_count - at) * sizeof *k->pods);
    tdelete(p, &k->by_uid, by_uid);
}

void kubernetes_pods_free(struct kubernetes *k) {
    for (size_t i = 0; i < k->pod_count; i++) {
        tdelete(k->pods[i], &k->by_uid, by_uid);
        pod_free(k->pods[i]);
    }
    free(k->pods);
    k->pods = NULL;
    k->pod_count = 0;
}

/* --- what is known of one --- */

/* namespace, name, uid, node, addresses and the owners' texts in one piece, anew with each state: what others hold they copied. */
static int set_texts(struct kubernetes *k, struct kube_pod *p, const struct kube_view *v) {
    struct pod_owners owners;
    kubernetes_owners(k, v->namespace, v->owner, kube_pairs_get(v->labels, "pod-template-hash"), &owners);
    const char **to[] = {&p->pub.namespace, &p->pub.name, &p->pub.uid, &p->pub.node, &p->pub.ip, &p->pub.ip2,
                         &p->owners.items[0].kind, &p->owners.items[0].name, &p->owners.items[0].uid,
                         &p->owners.items[1].kind, &p->owners.items[1].name, &p->owners.items[1].uid,
                         &p->owners.items[2].kind, &p->owners.items[2].name, &p->owners.items[2].uid};
    const char *from[ARRAY_SIZE(to)] = {v->namespace, v->name, v->uid, v->node, v->ip, v->ip2};
    size_t count = 6, len = 0;
    for (size_t i = 0; i < owners.count; i++) {
        from[count++] = owners.items[i].kind;
        from[count++] = owners.items[i].name;
        from[count++] = owners.items[i].uid;
    }
    for (size_t i = 0; i < count; i++)
        len += strlen(from[i]) + 1;
    char *texts = malloc(len), *at = texts, *was = p->texts;
    if (!texts)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        *to[i] = at;
        at = stpcpy(at, from[i]) + 1;
    }
    p->owners.count = owners.count;
    p->pub.owners = owners.count ? &p->owners : NULL;
    p->texts = texts;
    free(was);
    return 0;
}

/* "Deployment shop/web"; a pod that nobody made is its own workload. */
static int set_workload(struct kube_pod *p) {
    const size_t last = p->owners.count ? p->owners.count - 1 : 0;
    char *title;
    if (asprintf(&title, "%s %s/%s", p->owners.count ? p->owners.items[last].kind : "Pod", p->pub.namespace,
                 p->owners.count ? p->owners.items[last].name : p->pub.name) < 0)
        return -ENOMEM;
    free(p->workload);
    p->pub.workload = p->workload = title;
    return 0;
}

static void set_replicas(struct kubernetes *k, struct kube_pod *p) {
    p->pub.replicas = 1;
    if (!p->owners.count)
        return;
    const struct kube_load *l = kubernetes_load_find(k, p->owners.items[p->owners.count - 1].kind, p->pub.namespace, p->owners.items[p->owners.count - 1].name);
    if (l && l->replicas >= 0)
        p->pub.replicas = l->replicas;
}

static struct kube_pod *pod_new(struct kubernetes *k, const struct kube_view *v) {
    struct kube_pod *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->labels = kube_pairs_json(v->labels);
    p->annotations = kube_pairs_json(v->annotations);
    if (!p->labels || !p->annotations || set_texts(k, p, v) < 0 || set_workload(p) < 0) {
        pod_free(p);
        return NULL;
    }
    p->pub.labels = p->labels;
    p->pub.annotations = p->annotations;
    p->pub.created_s = v->created_s;
    p->pub.of_node = v->mirror;
    return p;
}

/* --- states --- */

struct summary { /* of the containers */
    bool running, all_ended, backoff;
    unsigned restarts;
    uint32_t started_s, finished_s;
    int exit_code;
    const char *reason;
};

static struct summary look(const struct kube_object *o, const struct kube_view *v) {
    struct summary s = {.all_ended = v->container_count > 0, .reason = ""};
    for (size_t i = 0; i < v->container_count; i++) {
        struct kube_container c = kube_object_container(o, i);
        s.running |= c.state == KUBE_STARTED;
        s.all_ended &= c.state == KUBE_ENDED;
        s.backoff |= c.state == KUBE_WAITING && strcmp(c.reason, "CrashLoopBackOff") == 0;
        s.restarts += c.restarts;
        s.started_s = c.started_s > s.started_s ? c.started_s : s.started_s;
        s.finished_s = c.finished_s > s.finished_s ? c.finished_s : s.finished_s;
        if (c.state == KUBE_ENDED)
            s.exit_code = c.exit_code;
        if (*c.reason)
            s.reason = c.reason;
    }
    s.running &= v->phase == KUBE_RUNNING;
    return s;
}

static void tell(struct kubernetes *k, const struct kube_pod *p, enum cluster_event e, int64_t at_ns, json_t *stamp, const char *why) {
    json_t *data = json_pack("{s:s,s:s,s:s,s:s,s:i,s:o*,s:s*}", "uid", p->pub.uid, "workload", p->pub.workload, "node", p->pub.node, "ip", p->pub.ip,
                             "restarts", (int)p->pub.restarts, "stamp", stamp, "why", why && *why ? why : NULL);
    if (data && p->owners.count)
        json_object_set_new(data, "owner", json_string(p->owners.items[0].name));
    k->o.event(e, &p->pub, at_ns, data, k->o.arg);
}

/* The end of what ran, whatever shows it: the containers' state, a restart, or that the pod is gone. */
static void ended(struct kubernetes *k, struct kube_pod *p, int64_t at_ns, const struct summary *s, const char *why) {
    p->running = p->pub.ready = false;
    tell(k, p, CL_POD_EXITED, at_ns, s ? kubernetes_stamp(s->finished_s) : NULL, why);
}

static void phase_of(struct kube_pod *p, const struct kube_view *v, const struct summary *s) {
    bool over = v->deleting_s && s->all_ended; /* its object may stay for long while the kubelet tidies up */
    p->pub.phase = over || v->phase == KUBE_SUCCEEDED || v->phase == KUBE_FAILED ? POD_ENDED
                   : s->backoff                                           ? POD_BACKOFF
                   : v->phase == KUBE_RUNNING                             ? POD_RUNNING
                                                                          : POD_PENDING;
}

static void tell_states(struct kubernetes *k, struct kube_pod *p, const struct kube_view *v, const struct summary *s, int64_t at_ns) {
    bool restarted = p->running && s->restarts > p->restarts, terminating = p->pub.terminating, backoff = p->backoff;
    p->restarts = p->pub.restarts = s->restarts;
    p->pub.terminating = v->deleting_s != 0;
    p->grace_s = v->grace_s;
    p->backoff = s->backoff;
    if (!p->created_told)
        tell(k, p, CL_POD_CREATED, at_ns, kubernetes_stamp(v->created_s), v->scheduled ? NULL : v->reason);
    p->created_told = true;
    if (!p->scheduled && v->scheduled)
        tell(k, p, CL_POD_SCHEDULED, at_ns, kubernetes_stamp(v->scheduled_s), NULL);
    p->scheduled = v->scheduled;
    /* deletionTimestamp lies the grace period after the deletion */
    if (!terminating && p->pub.terminating)
        tell(k, p, CL_POD_TERMINATING, at_ns, kubernetes_stamp(v->deleting_s - (v->grace_s > 0 ? (uint32_t)v->grace_s : 0)), NULL);
    if (restarted || (p->running && !s->running))
        ended(k, p, at_ns, s, s->all_ended ? s->reason : NULL);
    if (!p->running && s->running) {
        p->running = true;
        tell(k, p, CL_POD_STARTED, at_ns, kubernetes_stamp(s->started_s), NULL);
    }
    if (!backoff && p->backoff)
        tell(k, p, CL_POD_BACKOFF, at_ns, NULL, s->reason);
    if (!p->failed && v->phase == KUBE_FAILED)
        tell(k, p, CL_POD_FAILED, at_ns, NULL, v->reason);
    p->failed = v->phase == KUBE_FAILED;
    bool ready = v->ready && s->running;
    if (ready != p->pub.ready) {
        p->pub.ready = ready;
        tell(k, p, ready ? CL_POD_READY : CL_POD_UNREADY, at_ns, kubernetes_stamp(v->ready_s), NULL);
    }
}

static void is_selected(struct kubernetes *k, struct kube_pod *p) {
    const struct candidate c = {.uid = p->pub.uid, .name = p->pub.name, .namespace = p->pub.namespace, .node = p->pub.node,
                                .labels = p->labels, .annotations = p->annotations, .owners = p->pub.owners, .created_s = p->pub.created_s};
    p->selected = !k->o.selected || k->o.selected(&c, k->o.arg);
}

/* Labels and annotations may change; a pod's place and phase do. */
static int refresh(struct kubernetes *k, struct kube_pod *p, const struct kube_event *e, const struct kube_view *v) {
    json_t *labels = kube_pairs_json(v->labels), *annotations = kube_pairs_json(v->annotations);
    if (!labels || !annotations || set_texts(k, p, v) < 0) {
        json_decref(labels);
        json_decref(annotations);
        return -ENOMEM;
    }
    json_decref(p->labels);
    json_decref(p->annotations);
    p->pub.labels = p->labels = labels;
    p->pub.annotations = p->annotations = annotations;
    struct summary s = look(e->object, v);
    set_workload(p);
    set_replicas(k, p);
    is_selected(k, p);
    phase_of(p, v, &s);
    tell_states(k, p, v, &s, e->seen_ns);
    return 0;
}

static const char *excluded_by(struct kubernetes *k, const char *namespace) {
    const struct kube_store *s = kubernetes_store(k, KUBE_NAMESPACES, NULL);
    const struct kube_object *o = s ? kube_store_get(s, "", namespace) : NULL;
    struct kube_view v;
    if (!o)
        return NULL;
    kube_object_view(o, &v);
    return kube_pairs_get(v.labels, CHAOSD_EXCLUDE_LABEL);
}

static void set_excluded(struct kubernetes *k, struct kube_pod *p) {
    const char *out = excluded_by(k, p->pub.namespace);
    p->pub.excluded = out && strcmp(out, "true") == 0;
}

/* Opting a namespace out is how a drill is stopped from outside: it counts at once. */
void kubernetes_namespace_told(struct following *f, const struct kube_event *e) {
    (void)e;
    for (size_t i = 0; i < f->k->pod_count; i++)
        set_excluded(f->k, f->k->pods[i]);
}

static void gone(struct kubernetes *k, const char *uid, int64_t at_ns) {
    struct kube_pod *p = kubernetes_pod_find(k, uid);
    if (!p)
        return;
    bool orderly = p->pub.terminating && p->grace_s > 0; /* only its kubelet takes it away then, when nothing of it runs */
    const char *why = p->running && !orderly ? "removed by force: its containers may go on" : NULL;
    if (p->running && orderly)
        ended(k, p, at_ns, NULL, "the pod is gone from the API server");
    p->pub.phase = POD_ENDED;
    p->pub.ready = false;
    tell(k, p, CL_POD_REMOVED, at_ns, NULL, why);
    take_out(k, p);
    pod_free(p);
}

static void appear(struct kubernetes *k, const struct kube_event *e, const struct kube_view *v) {
    if (k->pod_count == CLUSTER_PODS_MOST) {
        struct error err;
        error_set(&err, 0, "more than %d pods are followed: name fewer `namespaces`, or give a `labelSelector`", CLUSTER_PODS_MOST);
        if (!k->too_many)
            k->o.failed(&err, k->o.arg);
        k->too_many = true;
        return;
    }
    struct kube_pod *p = pod_new(k, v);
    if (!p || insert(k, p) < 0) {
        pod_free(p);
        return;
    }
    set_excluded(k, p);
    refresh(k, p, e, v);
}

void kubernetes_pod_told(struct following *f, const struct kube_event *e) {
    struct kubernetes *k = f->k;
    struct kube_view v, was;
    if (!k->synced)
        return; /* all that there is is told at once */
    if (e->before)
        kube_object_view(e->before, &was);
    if (e->object)
        kube_object_view(e->object, &v);
    if (e->what == KUBE_DELETED) {
        gone(k, e->before ? was.uid : v.uid, e->seen_ns);
        return;
    }
    if (e->before && strcmp(was.uid, v.uid) != 0) /* another by the same name: its end was not seen */
        gone(k, was.uid, e->seen_ns);
    struct kube_pod *p = kubernetes_pod_find(k, v.uid);
    if (p)
        refresh(k, p, e, &v);
    else
        appear(k, e, &v);
}

void kubernetes_pods_begin(struct kubernetes *k) {
    for (const struct following *f = k->followings; f; f = f->next) {
        const struct kube_store *s = f->what->kind == KUBE_PODS && f->watch ? kube_watch_store(f->watch) : NULL;
        for (const struct kube_object *o = s ? kube_store_next(s, NULL) : NULL; o; o = kube_store_next(s, o)) {
            struct kube_view v;
            kube_object_view(o, &v);
            const struct kube_event e = {.what = KUBE_ADDED, .object = o, .listed = true, .seen_ns = loop_now()};
            appear(k, &e, &v);
        }
    }
}

void kubernetes_pods_owned(struct kubernetes *k, const struct kube_load *l) {
    for (size_t i = 0; i < k->pod_count; i++) {
        struct kube_pod *p = k->pods[i];
        const size_t last = p->owners.count - 1;
        if (!p->owners.count || strcmp(p->owners.items[last].name, l->name) != 0 || strcmp(p->owners.items[last].kind, l->kind->name) != 0 ||
            strcmp(p->pub.namespace, l->namespace) != 0)
            continue;
        struct kube_view v = {0};
        const struct kube_store *s = kubernetes_store(k, KUBE_PODS, p->pub.namespace);
        const struct kube_object *o = s ? kube_store_get(s, p->pub.namespace, p->pub.name) : NULL;
        if (o)
            kube_object_view(o, &v);
        if (!o || strcmp(v.uid, p->pub.uid) != 0 || set_texts(k, p, &v) < 0 || set_workload(p) < 0)
            continue;
        set_replicas(k, p);
        is_selected(k, p);
    }
}

void kubernetes_pods_wanted(struct kubernetes *k) {
    for (size_t i = 0; i < k->pod_count; i++)
        set_replicas(k, k->pods[i]);
}
