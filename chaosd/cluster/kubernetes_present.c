/* SPDX-License-Identifier: Apache-2.0 */
/* The pods that there are just now, for a plan that is only looked at: the provider itself, on a loop of its own, until it has seen all. */
#include "cluster/kubernetes_priv.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

#define LIMIT_NS (10 * NS_PER_S)

struct look {
    bool over;
    int rc;
    struct error err;
};

static void on_pod(enum cluster_event e, const struct pod *p, int64_t at_ns, json_t *data, void *arg) {
    (void)e, (void)p, (void)at_ns, (void)arg;
    json_decref(data);
}

static void on_changed(void *arg) { ((struct look *)arg)->over = true; }

static void on_failed(const struct error *why, void *arg) {
    struct look *l = arg;
    l->over = true;
    l->rc = -EIO;
    l->err = *why;
}

static void on_limit(void *arg) { (void)arg; } /* that the loop turns is all */

static void decref(void *j) { json_decref(j); }

static int keep_json(struct arena *a, const json_t *j, const json_t **ret) {
    *ret = json_incref((json_t *)j);
    return arena_defer(a, decref, (json_t *)j);
}

static struct pod_owners *keep_owners(struct arena *a, const struct pod_owners *o) {
    struct pod_owners *copy = o ? arena_alloc(a, sizeof *copy) : NULL;
    if (!copy)
        return NULL;
    copy->count = o->count;
    for (size_t i = 0; i < o->count; i++) {
        copy->items[i].kind = arena_strdup(a, o->items[i].kind);
        copy->items[i].name = arena_strdup(a, o->items[i].name);
        copy->items[i].uid = arena_strdup(a, o->items[i].uid);
    }
    return copy;
}

/* Everything is copied: the cluster goes before the plan does. */
static size_t keep(struct kubernetes *k, struct arena *a, struct candidate *list) {
    size_t n = 0;
    for (size_t i = 0; i < k->pod_count; i++) {
        const struct pod *p = &k->pods[i]->pub;
        struct candidate *c = &list[n];
        *c = (struct candidate){.uid = arena_strdup(a, p->uid), .name = arena_strdup(a, p->name), .namespace = arena_strdup(a, p->namespace),
                                .node = arena_strdup(a, p->node), .phase = pod_phase_names[p->phase], .owners = keep_owners(a, p->owners),
                                .created_s = p->created_s, .of_node = p->of_node};
        if (!p->terminating && keep_json(a, p->labels, &c->labels) == 0 && keep_json(a, p->annotations, &c->annotations) == 0)
            n++;
    }
    return n;
}

static int wait_for(struct loop *loop, struct look *l, struct error *err) {
    struct timer *limit = NULL;
    int64_t deadline = loop_now() + LIMIT_NS;
    int rc = timer_new(loop, on_limit, NULL, &limit, err);
    if (rc < 0)
        return rc;
    timer_at(limit, deadline);
    while (!l->over && loop_now() < deadline)
        loop_once(loop);
    timer_free(limit);
    if (!l->over)
        return error_set(err, -ETIMEDOUT, "the API server did not answer in time");
    if (l->rc < 0)
        *err = l->err;
    return l->rc;
}

int kubernetes_present(const struct scenario *s, struct arena *a, struct candidate **ret, size_t *ret_count, struct error *err) {
    struct look look = {0};
    struct cluster *c = NULL;
    struct loop *loop = NULL;
    int rc = loop_new(&loop, err);
    if (rc < 0)
        return rc;
    const struct cluster_options o = {.loop = loop, .scenario = s, .run = "plan", .event = on_pod, .changed = on_changed, .failed = on_failed, .arg = &look};
    rc = cluster_kubernetes.start(&s->cluster, &o, &c, err);
    if (rc == 0)
        rc = wait_for(loop, &look, err);
    struct kubernetes *k = rc == 0 ? kubernetes_self(c) : NULL;
    *ret_count = 0;
    if (k && !(*ret = arena_alloc(a, (k->pod_count + 1) * sizeof **ret)))
        rc = error_set(err, -ENOMEM, "out of memory");
    else if (k)
        *ret_count = keep(k, a, *ret);
    struct error ignored;
    if (c)
        cluster_kubernetes.stop(c, &ignored);
    loop_free(loop);
    return rc;
}
