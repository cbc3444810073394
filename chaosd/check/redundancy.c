/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/internal.h"

#include <string.h>

struct edge { int64_t t; bool full; };

struct group { /* a workload */
    const char *name;
    int64_t replicas, known, ready;
    struct edge *edges; /* when it became full, or ceased to be */
    size_t count, cap;
    bool jumps; /* times do not only grow */
};

struct pod_state { size_t group; bool ready, frozen; };

struct replay {
    json_t *group_of, *pod_of; /* name -> index */
    struct group *groups;
    struct pod_state *pods;
    size_t group_count, group_cap, pod_count, pod_cap;
};

static void replay_free(struct replay *r) {
    for (size_t i = 0; i < r->group_count; i++)
        free(r->groups[i].edges);
    free(r->groups);
    free(r->pods);
    json_decref(r->group_of);
    json_decref(r->pod_of);
}

static int64_t wanted_replicas(const struct work *w, const char *workload) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(w->h->header, "workloads"), i, row)
        if (!strcmp(json_str_or(row, "name", ""), workload))
            return json_int_or(row, "replicas", 0);
    return 0; /* not declared: as many as were seen */
}

static int find_group(const struct work *w, struct replay *r, const char *name, size_t *ret) {
    *ret = (size_t)json_int_or(r->group_of, name, (int64_t)r->group_count);
    if (*ret < r->group_count)
        return 0;
    if (grow(&r->groups, r->group_count, &r->group_cap, sizeof *r->groups) < 0 ||
        json_object_set_new(r->group_of, name, json_integer((json_int_t)r->group_count)) < 0)
        return -1;
    r->groups[r->group_count++] = (struct group){.name = name, .replicas = wanted_replicas(w, name)};
    return 0;
}

static int find_pod(const struct work *w, struct replay *r, const struct event *e, size_t *ret) {
    *ret = (size_t)json_int_or(r->pod_of, e->target, (int64_t)r->pod_count);
    if (*ret < r->pod_count)
        return 0;
    size_t group = 0;
    if (find_group(w, r, json_str_or(e->data, "workload", ""), &group) < 0 ||
        grow(&r->pods, r->pod_count, &r->pod_cap, sizeof *r->pods) < 0 ||
        json_object_set_new(r->pod_of, e->target, json_integer((json_int_t)r->pod_count)) < 0)
        return -1;
    r->groups[group].known++;
    r->pods[r->pod_count++] = (struct pod_state){.group = group};
    return 0;
}

static void change(struct pod_state *p, const char *kind) {
    static const struct { const char *kind; int ready, frozen; /* -1: as it was */ } rows[] = {
        {"created", 0, 0}, {"started", 0, 0}, {"exited", 0, 0}, {"ready", 1, -1},  {"unready", 0, -1},
        {"frozen", -1, 1}, {"thawed", -1, 0}, {"backoff", 0, 0}, {"failed", 0, 0}, {"removed", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (!strcmp(rows[i].kind, kind)) {
            p->ready = rows[i].ready < 0 ? p->ready : rows[i].ready;
            p->frozen = rows[i].frozen < 0 ? p->frozen : rows[i].frozen;
        }
}

static int replay_event(const struct work *w, struct replay *r, const struct event *e) {
    size_t index = 0;
    if (find_pod(w, r, e, &index) < 0)
        return -1;
    struct pod_state *p = &r->pods[index];
    struct group *g = &r->groups[p->group];
    g->ready -= p->ready && !p->frozen;
    change(p, e->kind);
    g->ready += p->ready && !p->frozen;
    bool full = g->ready >= (g->replicas ? g->replicas : g->known);
    if (g->count && g->edges[g->count - 1].full == full)
        return 0;
    g->jumps |= g->count && e->t < g->edges[g->count - 1].t;
    if (grow(&g->edges, g->count, &g->cap, sizeof *g->edges) < 0)
        return -1;
    g->edges[g->count++] = (struct edge){.t = e->t, .full = full};
    return 0;
}

/* Until when a loss is this act's: the next one's effect may be seen before it is written down as done, and at the end
 * of a run its pods go. */
static int64_t losses_until(const struct work *w, size_t act) {
    int64_t ends = w->j->loads_end_t, next = w->acts[act].next_begin;
    return ends != UNKNOWN_NS && ends > w->j->acts[act].at && ends < next ? ends : next;
}

/* The last edge at t or before, or the first of all. */
static size_t edge_before(const struct group *g, int64_t t) {
    size_t lo = 0, hi = g->jumps ? 0 : g->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (g->edges[mid].t <= t)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? lo - 1 : 0;
}

static void act_redundancy(const struct work *w, const struct replay *r, size_t act) {
    struct act_figures *f = &w->j->acts[act];
    size_t pod = (size_t)json_int_or(r->pod_of, f->target, (int64_t)r->pod_count);
    if (!f->acted || pod >= r->pod_count)
        return;
    const struct group *g = &r->groups[r->pods[pod].group];
    int64_t next = losses_until(w, act);
    bool lost = false;
    for (size_t i = edge_before(g, f->at); i < g->count; i++) {
        const struct edge *e = &g->edges[i];
        if (e->t <= f->at) { /* the state that the act found, or made at once */
            lost = !e->full;
        } else if (!lost && e->t >= next) {
            break; /* lost to something else */
        } else if (lost && e->full) {
            f->redundancy = e->t - f->at;
            return;
        } else {
            lost |= !e->full;
        }
    }
    if (!lost)
        f->redundancy = 0;
    f->short_of = lost;
    f->censored |= lost;
}

int acts_redundancy(struct work *w, struct error *err) {
    cleanup(replay_free) struct replay r = {.group_of = json_object(), .pod_of = json_object()};
    if (!r.group_of || !r.pod_of)
        return out_of_memory(err);
    for (size_t i = 0; i < w->h->event_count; i++) {
        const struct event *e = &w->h->events[i];
        if (!strcmp(e->op, "cluster/pod") && replay_event(w, &r, e) < 0)
            return out_of_memory(err);
    }
    for (size_t i = 0; i < w->j->act_count; i++)
        act_redundancy(w, &r, i);
    return 0;
}
