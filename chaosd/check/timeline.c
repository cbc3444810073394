/* SPDX-License-Identifier: Apache-2.0 */
/* Each act as the control plane told of it: what came when, and what had to come and did not. */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/telling.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TIMELINE_MOST = 100 };
#define LATE_NS INT64_C(1000000000) /* what a list tells after a gap comes within so long of its end */

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

/* --- gaps: what was seen late --- */

bool telling_follows(const char *resource, const char *op) {
    static const struct { const char *resource, *op; } rows[] = {
        {"pods", "cluster/pod"}, {"endpointslices", "cluster/endpoint"}, {"nodes", "cluster/node"}, {"leases", "cluster/lease"}, {"events", "cluster/event"},
        {"deployments", "cluster/workload"}, {"statefulsets", "cluster/workload"}, {"daemonsets", "cluster/workload"}, {"replicasets", "cluster/workload"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (!strcmp(rows[i].resource, resource))
            return !strcmp(rows[i].op, op);
    return true;
}

/* Since when it may have been so: the beginning of the gap in whose wake it was seen. UNKNOWN_NS: it was seen as it came. */
static int64_t hidden_since(const struct telling *t, const struct event *e) {
    int64_t since = UNKNOWN_NS;
    const struct places *api = &t->o->api;
    for (size_t i = places_from(t->o, api, e->t - LATE_NS); i < api->count; i++) {
        const struct event *gap = event_at(t, api->items[i]);
        int64_t from = time_or(gap->data, "from", gap->t), to = time_or(gap->data, "to", gap->t);
        if (is_gap(gap) && telling_follows(gap->target, e->op) && from < e->t && e->t <= to + LATE_NS)
            since = since == UNKNOWN_NS ? from : min64(since, from);
        if (from > e->t && gap->t > e->t + LATE_NS)
            break;
    }
    return since;
}

/* --- milestones --- */

static void add(struct telling *t, struct sighting m) {
    if (grow(&t->list, t->count, &t->cap, sizeof *t->list) < 0) {
        t->failed = true;
        return;
    }
    t->list[t->count++] = m;
}

void telling_add(struct telling *t, const struct event *e, size_t since, const char *what, const char *object, const char *note) {
    for (size_t i = since; i < t->count; i++)
        if (!strcmp(t->list[i].what, what) && !strcmp(t->list[i].object, object) && !strcmp(t->list[i].note ? t->list[i].note : "", note ? note : ""))
            return;
    int64_t hidden = hidden_since(t, e);
    add(t, (struct sighting){.what = what, .object = object, .note = note, .stamp = filled(json_str_or(e->data, "stamp", NULL)), .at = e->t - t->f->at,
                              .from = hidden == UNKNOWN_NS ? UNKNOWN_NS : hidden - t->f->at, .late = hidden != UNKNOWN_NS});
}

void telling_add_api(struct telling *t, const struct event *e, size_t since) {
    static const char *const reasons[] = {"Killing", "FailedScheduling", "Unhealthy", "Evicted", "Preempted", "TaintManagerEviction", "NodeNotReady", "NodeReady"};
    const char *object = strchr(e->target, '/') + 1;
    bool notable = !strcmp(json_str_or(e->data, "type", ""), "Warning");
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        notable |= !strcmp(e->kind, reasons[i]);
    char *what = notable ? arena_printf(t->w->a, "event %s", e->kind) : NULL;
    t->failed |= notable && !what;
    for (size_t i = since; what && i < t->count; i++)
        if (!strcmp(t->list[i].what, what) && !strcmp(t->list[i].object, object))
            return;
    if (what)
        telling_add(t, e, since, what, object, filled(json_str_or(e->data, "message", NULL)));
}

/* --- what is no pod's --- */

/* How far what is nobody's in particular is told: on from what the pods did, as long as something is under way. */
static int64_t told_until(const struct telling *t) {
    return t->open ? t->s->until : min64(t->s->until, max64(act_answers_until(t->f), t->last < INT64_MAX ? t->last + 1 : t->last));
}

static void tell_accepted(struct telling *t) {
    const struct event *e = event_at(t, t->w->acts[t->s->act].event);
    int64_t asked = time_or(e->data, "asked", UNKNOWN_NS), seen = time_or(e->data, "seen", UNKNOWN_NS);
    if (asked != UNKNOWN_NS && seen != UNKNOWN_NS)
        add(t, (struct sighting){.what = "accepted", .object = t->f->target, .at = seen - t->f->at, .from = asked - t->f->at,
                                  .stamp = filled(json_str_or(e->data, "date", NULL))});
}

/* The workload that it was chosen by is whole when its redundancy is back; of others, their own word counts. */
static void tell_group(struct telling *t, size_t index, bool first, int64_t until) {
    const struct object_group *g = &t->o->groups[index];
    bool less = false, whole = false;
    size_t since = t->count;
    for (size_t i = places_from(t->o, &g->events, t->s->begin); i < g->events.count; i++) {
        const struct event *e = event_at(t, g->events.items[i]);
        if (e->t >= until)
            break;
        if (!strcmp(e->op, "cluster/event")) {
            telling_add_api(t, e, since);
            continue;
        }
        bool full = json_int_or(e->data, "ready", 0) >= json_int_or(e->data, "replicas", 0);
        if (!first && less && full && !whole)
            telling_add(t, e, since, "whole again", g->name, NULL);
        whole |= less && full;
        less |= !full;
    }
    struct chain c = {.t = t, .object = g->name, .events = &g->events, .told = t->missing_count > 0}; /* what pods lack is why */
    if (first && t->f->redundancy > 0)
        add(t, (struct sighting){.what = "whole again", .object = g->name, .at = t->f->redundancy, .from = UNKNOWN_NS});
    telling_lacks(&c, first ? t->f->short_of : less && !whole, "whole again", NULL);
}

static void tell_node(struct telling *t, size_t index, int64_t until) {
    static const struct { const char *kind, *what; } rows[] = {
        {"ready", "node ready"}, {"unready", "node not ready"}, {"unknown", "node not heard of"}, {"cordoned", "cordoned"}, {"uncordoned", "uncordoned"},
        {"added", "node added"}, {"removed", "node gone"},
    };
    const struct object_node *n = &t->o->nodes[index];
    size_t since = t->count;
    for (size_t i = places_from(t->o, &n->events, t->s->begin); i < n->events.count; i++) {
        const struct event *e = event_at(t, n->events.items[i]);
        if (e->t >= until)
            break;
        if (!strcmp(e->op, "cluster/event"))
            telling_add_api(t, e, since);
        for (size_t k = 0; !strcmp(e->op, "cluster/node") && k < ARRAY_SIZE(rows); k++)
            if (!strcmp(rows[k].kind, e->kind))
                telling_add(t, e, since, rows[k].what, n->name, filled(json_str_or(e->data, "reason", NULL)));
    }
}

/* The nodes of its pods; what happens to them is the last act's. */
static void tell_nodes(struct telling *t, int64_t until) {
    cleanup(places_freep) struct places nodes = {0};
    const struct places *lists[] = {&t->s->victims, &t->s->fresh};
    if (t->s->node >= 0) {
        tell_node(t, (size_t)t->s->node, until);
        return;
    }
    for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
        for (size_t i = 0; i < lists[l]->count; i++) {
            int64_t node = objects_node(t->o, t->o->pods[lists[l]->items[i]].node);
            t->failed |= node >= 0 && places_add_once(&nodes, (size_t)node) < 0;
        }
    for (size_t i = 0; i < nodes.count; i++)
        tell_node(t, nodes.items[i], min64(until, t->w->acts[t->s->act].next_begin));
}

/* Whoever holds a lease anew: one that was let go is held by nobody, which is no news yet. */
static void tell_leases(struct telling *t, int64_t until) {
    const struct places *leases = &t->o->leases;
    size_t since = t->count;
    for (size_t i = places_from(t->o, leases, t->s->begin); i < leases->count; i++) {
        const struct event *e = event_at(t, leases->items[i]);
        if (e->t >= min64(until, t->w->acts[t->s->act].next_begin))
            break;
        if (*json_str_or(e->data, "holder", ""))
            telling_add(t, e, since, "lease moved", e->target, json_str_or(e->data, "holder", ""));
    }
}

static void tell_api(struct telling *t, int64_t until) {
    const struct places *api = &t->o->api;
    for (size_t i = places_from(t->o, api, t->s->begin); i < api->count; i++) {
        const struct event *e = event_at(t, api->items[i]);
        int64_t from = time_or(e->data, "from", e->t), to = time_or(e->data, "to", e->t);
        if (is_gap(e) && from < until)
            add(t, (struct sighting){.what = "API gap", .object = e->target, .at = to - t->f->at, .from = from - t->f->at,
                                      .note = json_is_true(json_object_get(e->data, "relisted")) ? "listed again" : NULL});
        else if (e->t < until && (!strcmp(e->kind, "troubled") || !strcmp(e->kind, "denied")))
            telling_add(t, e, 0, !strcmp(e->kind, "denied") ? "API denied" : "API troubled", e->target, filled(json_str_or(e->data, "why", NULL)));
    }
}

/* --- one act --- */

/* What one piece of news brings is told in the order in which it must have come about. */
static int rank(const char *what) {
    static const char *const order[] = {"accepted", "cordoned", "deletion stamped", "endpoint not ready", "containers ended", "endpoint gone", "pod gone",
                                        "replacement created", "scheduled", "started", "ready", "endpoint added", "whole again"};
    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        if (!strcmp(order[i], what))
            return (int)i;
    return -1;
}

static int by_at(const void *a, const void *b) {
    const struct sighting *x = a, *y = b;
    if (x->at != y->at)
        return (x->at > y->at) - (x->at < y->at);
    int order = rank(x->what) - rank(y->what);
    order = order ? order : strcmp(x->what, y->what);
    return order ? order : strcmp(x->object, y->object);
}

/* Where there are too many, the first and the last of each kind stay, and then the earliest. */
static void trim(struct telling *t, const bool *keep, size_t kept) {
    size_t n = 0, room = kept < TIMELINE_MOST ? TIMELINE_MOST - kept : 0;
    for (size_t i = 0; i < t->count; i++)
        if ((keep[i] || (room && room--)) && n < TIMELINE_MOST)
            t->list[n++] = t->list[i];
    t->f->timeline_left_out = t->count - n;
    t->count = n;
}

static void choose(struct telling *t) {
    size_t kept = 0;
    cleanup_free bool *keep = calloc(t->count + 1, sizeof *keep);
    if (!keep || t->count <= TIMELINE_MOST) {
        t->failed |= !keep;
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        bool first = true, last = true;
        for (size_t k = 0; k < t->count && (first || last); k++)
            if (k != i && !strcmp(t->list[k].what, t->list[i].what)) {
                first &= k > i;
                last &= k < i;
            }
        kept += keep[i] = first || last;
    }
    trim(t, keep, kept);
}

static void *into_arena(struct telling *t, const void *list, size_t count, size_t size) {
    void *copy = arena_alloc(t->w->a, (count + 1) * size);
    if (copy && count)
        memcpy(copy, list, count * size);
    t->failed |= !copy;
    return copy;
}

static void tell_all(struct telling *t) {
    tell_accepted(t);
    telling_pods(t);
    int64_t until = told_until(t);
    for (size_t i = 0; i < t->s->groups.count; i++)
        tell_group(t, t->s->groups.items[i], i == 0, until);
    tell_nodes(t, until);
    tell_leases(t, until);
    tell_api(t, until);
}

static int tell(const struct work *w, const struct objects *o, const struct scope *s) {
    struct telling t = {.w = w, .o = o, .s = s, .f = &w->j->acts[s->act], .last = s->begin};
    tell_all(&t);
    if (t.count)
        qsort(t.list, t.count, sizeof *t.list, by_at);
    choose(&t);
    t.f->timeline = into_arena(&t, t.list, t.count, sizeof *t.list);
    t.f->timeline_count = t.count;
    t.f->not_reached = into_arena(&t, t.missing, t.missing_count, sizeof *t.missing);
    t.f->not_reached_count = t.missing_count;
    free(t.list);
    free(t.missing);
    free(t.served.items);
    return t.failed ? -ENOMEM : 0;
}

int acts_timeline(struct work *w, struct error *err) {
    for (size_t i = 0; w->scoped && i < w->scoped->count; i++)
        if (tell(w, &w->scoped->objects, &w->scoped->list[i]) < 0)
            return out_of_memory(err);
    return 0;
}
