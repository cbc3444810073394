/* SPDX-License-Identifier: Apache-2.0 */
#include "check/objects.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool objects_told(const struct history *h) {
    static const char *const ops[] = {"cluster/workload", "cluster/endpoint", "cluster/node", "cluster/lease", "cluster/event", "cluster/api"};
    for (size_t i = 0; i < h->event_count; i++)
        for (size_t k = 0; k < ARRAY_SIZE(ops); k++)
            if (!strcmp(h->events[i].op, ops[k]))
                return true;
    return false;
}

int places_add(struct places *p, size_t item) {
    if (grow(&p->items, p->count, &p->cap, sizeof *p->items) < 0)
        return -ENOMEM;
    p->items[p->count++] = item;
    return 0;
}

bool places_has(const struct places *p, size_t item) {
    for (size_t i = 0; i < p->count; i++)
        if (p->items[i] == item)
            return true;
    return false;
}

int places_add_once(struct places *p, size_t item) { return places_has(p, item) ? 0 : places_add(p, item); }

void places_freep(struct places *p) { free(p->items); }

static void roster_free(struct roster *r) {
    free(r->came.items);
    free(r->here.items);
}

void objects_free(struct objects *o) {
    for (size_t i = 0; i < o->pod_count; i++)
        free(o->pods[i].events.items);
    for (size_t i = 0; i < o->group_count; i++) {
        roster_free(&o->groups[i].pods);
        free(o->groups[i].events.items);
    }
    for (size_t i = 0; i < o->node_count; i++) {
        roster_free(&o->nodes[i].pods);
        free(o->nodes[i].events.items);
    }
    free(o->pods);
    free(o->groups);
    free(o->nodes);
    free(o->leases.items);
    free(o->api.items);
    json_decref(o->index);
}

/* --- by name --- */

/* A name with the letter of what it names before it. The caller's buffer; cut where it is longer than any name in Kubernetes. */
enum { KEY_SIZE = 600 };
static const char *key_of(char *out, char letter, const char *name) {
    size_t len = strnlen(name, KEY_SIZE - 2);
    *out = letter;
    *(char *)mempcpy(out + 1, name, len) = 0;
    return out;
}

static int64_t look_up(const struct objects *o, char letter, const char *name) {
    char key[KEY_SIZE];
    return json_int_or(o->index, key_of(key, letter, name), OBJECT_NONE);
}

static int remember(struct objects *o, char letter, const char *name, size_t at) {
    char key[KEY_SIZE];
    return json_object_set_new(o->index, key_of(key, letter, name), json_integer((json_int_t)at));
}

int64_t objects_pod(const struct objects *o, const char *uid, const char *name) {
    int64_t at = *uid ? look_up(o, 'u', uid) : OBJECT_NONE;
    return at >= 0 || *uid ? at : look_up(o, 'p', name);
}

int64_t objects_group(const struct objects *o, const char *name) { return look_up(o, 'g', name); }
int64_t objects_node(const struct objects *o, const char *name) { return look_up(o, 'n', name); }

static int64_t need_group(struct objects *o, const char *name) {
    int64_t at = objects_group(o, name);
    if (at >= 0)
        return at;
    if (grow(&o->groups, o->group_count, &o->group_cap, sizeof *o->groups) < 0 || remember(o, 'g', name, o->group_count) < 0)
        return -ENOMEM;
    o->groups[o->group_count] = (struct object_group){.name = name, .kind = ""};
    return (int64_t)o->group_count++;
}

static int64_t need_node(struct objects *o, const char *name) {
    int64_t at = objects_node(o, name);
    if (at >= 0)
        return at;
    if (grow(&o->nodes, o->node_count, &o->node_cap, sizeof *o->nodes) < 0 || remember(o, 'n', name, o->node_count) < 0)
        return -ENOMEM;
    o->nodes[o->node_count] = (struct object_node){.name = name};
    return (int64_t)o->node_count++;
}

static int64_t need_pod(struct objects *o, const struct event *e) {
    const char *uid = json_str_or(e->data, "uid", "");
    int64_t at = objects_pod(o, uid, e->target);
    if (at >= 0)
        return at;
    int64_t group = need_group(o, json_str_or(e->data, "workload", ""));
    if (group < 0 || grow(&o->pods, o->pod_count, &o->pod_cap, sizeof *o->pods) < 0)
        return -ENOMEM;
    o->pods[o->pod_count] = (struct object_pod){.uid = uid, .name = e->target, .owner = "", .node = "", .group = group, .namesake = look_up(o, 'p', e->target),
                                                .created = e->t, .placed = UNKNOWN_NS, .lost = UNKNOWN_NS, .gone = UNKNOWN_NS};
    if ((*uid && remember(o, 'u', uid, o->pod_count) < 0) || remember(o, 'p', e->target, o->pod_count) < 0 ||
        places_add(&o->groups[group].pods.came, o->pod_count) < 0)
        return -ENOMEM;
    return (int64_t)o->pod_count++;
}

/* --- one event after another --- */

static int64_t earlier(int64_t known, int64_t t) { return known == UNKNOWN_NS || t < known ? t : known; }

static int pod_event(struct objects *o, size_t i) {
    const struct event *e = &o->h->events[i];
    int64_t at = need_pod(o, e);
    if (at < 0)
        return -ENOMEM;
    struct object_pod *p = &o->pods[at];
    const char *node = json_str_or(e->data, "node", "");
    p->owner = json_str_or(e->data, "owner", p->owner);
    p->created = earlier(p->created, e->t);
    p->ran |= !strcmp(e->kind, "started");
    if (!strcmp(e->kind, "terminating") || !strcmp(e->kind, "failed") || !strcmp(e->kind, "removed"))
        p->lost = earlier(p->lost, e->t);
    if (!strcmp(e->kind, "removed"))
        p->gone = earlier(p->gone, e->t);
    if (*node && !*p->node) {
        int64_t n = need_node(o, node);
        if (n < 0 || places_add(&o->nodes[n].pods.came, (size_t)at) < 0)
            return -ENOMEM;
        p->node = node;
        p->placed = e->t;
    }
    return places_add(&p->events, i);
}

static int workload_event(struct objects *o, size_t i) {
    const struct event *e = &o->h->events[i];
    int64_t at = need_group(o, e->target);
    if (at < 0)
        return -ENOMEM;
    o->groups[at].kind = e->kind;
    return places_add(&o->groups[at].events, i);
}

static int node_event(struct objects *o, size_t i) {
    int64_t at = need_node(o, o->h->events[i].target);
    return at < 0 ? -ENOMEM : places_add(&o->nodes[at].events, i);
}

static int lease_event(struct objects *o, size_t i) { return places_add(&o->leases, i); }
static int api_event(struct objects *o, size_t i) { return places_add(&o->api, i); }

static int each(struct objects *o) {
    static const struct { const char *op; int (*fn)(struct objects *o, size_t i); } rows[] = {
        {"cluster/pod", pod_event}, {"cluster/workload", workload_event}, {"cluster/node", node_event}, {"cluster/lease", lease_event}, {"cluster/api", api_event},
    };
    for (size_t i = 0; i < o->h->event_count; i++)
        for (size_t k = 0; k < ARRAY_SIZE(rows); k++)
            if (!strcmp(o->h->events[i].op, rows[k].op) && rows[k].fn(o, i) < 0)
                return -ENOMEM;
    return 0;
}

/* --- what speaks of objects that may be told of only later: each watch has its own pace --- */

/* Of pods with the name, the one that was there then; without a uid nothing else tells them apart. */
static int64_t pod_then(const struct objects *o, const char *uid, const char *name, int64_t t) {
    int64_t at = objects_pod(o, uid, name);
    if (at < 0 && *uid)
        return OBJECT_NONE;
    while (at >= 0 && o->pods[at].created > t && o->pods[at].namesake >= 0)
        at = o->pods[at].namesake;
    return at;
}

/* The workload that an Event's object is, or makes pods for: ReplicaSet web-7d9f8 does it for Deployment web. */
static int64_t group_about(const struct objects *o, const char *namespace, const char *kind, const char *name) {
    char title[KEY_SIZE];
    const char *dash = strrchr(name, '-');
    int len = !strcmp(kind, "ReplicaSet") && dash ? (int)(dash - name) : (int)strlen(name);
    snprintf(title, sizeof title, "%s/%.*s", namespace, len, name);
    int64_t at = objects_group(o, title);
    return at >= 0 && (!strcmp(kind, "ReplicaSet") || !*o->groups[at].kind || !strcmp(o->groups[at].kind, kind)) ? at : OBJECT_NONE;
}

static int about_event(struct objects *o, size_t i) {
    const struct event *e = &o->h->events[i];
    const char *slash = strchr(e->target, '/');
    char kind[64];
    if (!slash)
        return 0;
    snprintf(kind, sizeof kind, "%.*s", (int)(slash - e->target), e->target);
    if (!strcmp(kind, "Pod")) {
        int64_t pod = pod_then(o, json_str_or(e->data, "uid", ""), slash + 1, e->t);
        return pod < 0 ? 0 : places_add(&o->pods[pod].events, i);
    }
    if (!strcmp(kind, "Node")) {
        int64_t node = objects_node(o, slash + 1);
        return node < 0 ? 0 : places_add(&o->nodes[node].events, i);
    }
    int64_t group = group_about(o, json_str_or(e->data, "namespace", ""), kind, slash + 1);
    return group < 0 ? 0 : places_add(&o->groups[group].events, i);
}

static int endpoint_event(struct objects *o, size_t i) {
    const struct event *e = &o->h->events[i];
    int64_t pod = pod_then(o, json_str_or(e->data, "uid", ""), e->target, e->t);
    return pod < 0 ? 0 : places_add(&o->pods[pod].events, i);
}

static int each_about(struct objects *o) {
    for (size_t i = 0; i < o->h->event_count; i++) {
        const char *op = o->h->events[i].op;
        int rc = !strcmp(op, "cluster/event") ? about_event(o, i) : !strcmp(op, "cluster/endpoint") ? endpoint_event(o, i) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- in order --- */

static int by_time(const void *a, const void *b, void *arg) {
    const struct history *h = arg;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int64_t tx = h->events[x].t, ty = h->events[y].t;
    return tx != ty ? (tx > ty) - (tx < ty) : (x > y) - (x < y);
}

static void sort(const struct objects *o, struct places *p) {
    if (p->count)
        qsort_r(p->items, p->count, sizeof *p->items, by_time, (void *)o->h);
}

int objects_collect(const struct history *h, struct objects *o, struct error *err) {
    *o = (struct objects){.h = h, .index = json_object()};
    if (!o->index || each(o) < 0 || each_about(o) < 0)
        return out_of_memory(err);
    for (size_t i = 0; i < o->pod_count; i++)
        sort(o, &o->pods[i].events);
    for (size_t i = 0; i < o->group_count; i++)
        sort(o, &o->groups[i].events);
    for (size_t i = 0; i < o->node_count; i++)
        sort(o, &o->nodes[i].events);
    sort(o, &o->leases);
    sort(o, &o->api);
    return 0;
}

size_t places_from(const struct objects *o, const struct places *p, int64_t t) {
    size_t lo = 0, hi = p->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (o->h->events[p->items[mid]].t < t)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct places *roster_at(const struct objects *o, struct roster *r, int64_t t, bool on_node) {
    size_t kept = 0;
    for (; r->next < r->came.count; r->next++) {
        const struct object_pod *p = &o->pods[r->came.items[r->next]];
        if ((on_node ? p->placed : p->created) >= t)
            break;
        if (places_add(&r->here, r->came.items[r->next]) < 0)
            return NULL;
    }
    for (size_t i = 0; i < r->here.count; i++) {
        const struct object_pod *p = &o->pods[r->here.items[i]];
        if (p->lost == UNKNOWN_NS || p->lost >= t)
            r->here.items[kept++] = r->here.items[i];
    }
    r->here.count = kept;
    return &r->here;
}
