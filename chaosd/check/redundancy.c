/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/internal.h"

#include <string.h>

struct edge { int64_t t; bool full; };

struct group { /* a workload */
    const char *name;
    int64_t replicas; /* wanted; -1: nobody says: as many as were ever seen at a time */
    int64_t alive, most, ready; /* alive: pods that were not asked to end; most: of those at a time */
    struct edge *edges; /* when it became full, or ceased to be */
    size_t count, cap;
    bool jumps; /* times do not only grow */
};

struct pod_state { const char *uid; size_t group; bool ready, frozen, ending, left; };

struct replay {
    json_t *group_of, *pod_of, *uid_of; /* name, or uid -> index; a name's is that of the last pod that had it */
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
    json_decref(r->uid_of);
}

static int64_t wanted_replicas(const struct work *w, const char *workload) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(w->h->header, "workloads"), i, row)
        if (!strcmp(json_str_or(row, "name", ""), workload))
            return json_int_or(row, "replicas", 0) ? json_int_or(row, "replicas", 0) : -1;
    return -1;
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

/* One with the same name and another uid is another pod. Who says no uid speaks of the last one by that name. */
static size_t known_pod(const struct replay *r, const char *name, const char *uid) {
    size_t i = (size_t)json_int_or(*uid ? r->uid_of : r->pod_of, *uid ? uid : name, (int64_t)r->pod_count);
    if (i < r->pod_count || !*uid)
        return i;
    i = (size_t)json_int_or(r->pod_of, name, (int64_t)r->pod_count);
    return i < r->pod_count && !*r->pods[i].uid ? i : r->pod_count;
}

static int find_pod(const struct work *w, struct replay *r, const struct event *e, size_t *ret) {
    const char *uid = json_str_or(e->data, "uid", "");
    size_t group = 0;
    *ret = known_pod(r, e->target, uid);
    if (*ret == r->pod_count) {
        if (find_group(w, r, json_str_or(e->data, "workload", ""), &group) < 0 ||
            grow(&r->pods, r->pod_count, &r->pod_cap, sizeof *r->pods) < 0 ||
            json_object_set_new(r->pod_of, e->target, json_integer((json_int_t)r->pod_count)) < 0)
            return -1;
        r->pods[r->pod_count++] = (struct pod_state){.uid = "", .group = group, .left = true};
    }
    if (!*uid || *r->pods[*ret].uid)
        return 0;
    r->pods[*ret].uid = uid;
    return json_object_set_new(r->uid_of, uid, json_integer((json_int_t)*ret));
}

static void change(struct pod_state *p, const char *kind) {
    static const struct { const char *kind; int ready, frozen; /* -1: as it was */ } rows[] = {
        {"created", 0, 0}, {"started", 0, 0}, {"exited", 0, 0}, {"ready", 1, -1},  {"unready", 0, -1},
        {"frozen", -1, 1}, {"thawed", -1, 0}, {"backoff", 0, 0}, {"failed", 0, 0}, {"removed", 0, 0}, {"terminating", 0, -1},
    };
    p->ending = !strcmp(kind, "terminating") || (p->ending && strcmp(kind, "created") != 0); /* it may say ready until it ends */
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (!strcmp(rows[i].kind, kind)) {
            p->ready = rows[i].ready < 0 ? p->ready : rows[i].ready;
            p->frozen = rows[i].frozen < 0 ? p->frozen : rows[i].frozen;
        }
    p->ready &= !p->ending;
}

/* A pod that is asked to end is none of the wanted ones any more: its replacement comes while it still ends. */
static void count_alive(struct group *g, struct pod_state *p, const char *kind) {
    bool left = p->ending || !strcmp(kind, "removed");
    g->alive += (int64_t)p->left - (int64_t)left;
    p->left = left;
    g->most = g->alive > g->most ? g->alive : g->most;
}

static int add_edge(struct group *g, int64_t t) {
    bool full = g->ready >= (g->replicas >= 0 ? g->replicas : g->most);
    if (g->count && g->edges[g->count - 1].full == full)
        return 0;
    g->jumps |= g->count && t < g->edges[g->count - 1].t;
    if (grow(&g->edges, g->count, &g->cap, sizeof *g->edges) < 0)
        return -1;
    g->edges[g->count++] = (struct edge){.t = t, .full = full};
    return 0;
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
    count_alive(g, p, e->kind);
    return add_edge(g, e->t);
}

/* What is wanted may change: a workload is scaled. */
static int replay_workload(const struct work *w, struct replay *r, const struct event *e) {
    size_t group = 0;
    int64_t wanted = json_int_or(e->data, "replicas", -1);
    if (wanted < 0 || find_group(w, r, e->target, &group) < 0)
        return wanted < 0 ? 0 : -1;
    r->groups[group].replicas = wanted;
    return add_edge(&r->groups[group], e->t);
}

/* Until when a loss is this act's: the next one's effect may be seen before it is written down as done, and at the end
 * of a run its pods go. Where a control plane was followed, an act on other workloads takes none of it. */
static int64_t losses_until(const struct work *w, size_t act) {
    int64_t ends = w->j->loads_end_t, next = w->scoped ? w->acts[act].scope_end : w->acts[act].next_begin;
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

/* The victim's workload. The target may be no pod (a node that is drained): then the act says whose pod it was chosen by. NULL: not known. */
static const struct group *group_of(const struct work *w, const struct replay *r, size_t act) {
    const struct act_work *a = &w->acts[act];
    size_t group = a->workload ? (size_t)json_int_or(r->group_of, a->workload, (int64_t)r->group_count) : r->group_count;
    size_t pod = known_pod(r, w->j->acts[act].target, a->uid ? a->uid : "");
    return group < r->group_count ? &r->groups[group] : pod < r->pod_count ? &r->groups[r->pods[pod].group] : NULL;
}

static void act_redundancy(const struct work *w, const struct replay *r, size_t act) {
    struct act_figures *f = &w->j->acts[act];
    const struct group *g = f->acted ? group_of(w, r, act) : NULL;
    if (!g)
        return;
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
    cleanup(replay_free) struct replay r = {.group_of = json_object(), .pod_of = json_object(), .uid_of = json_object()};
    if (!r.group_of || !r.pod_of || !r.uid_of)
        return out_of_memory(err);
    for (size_t i = 0; i < w->h->event_count; i++) {
        const struct event *e = &w->h->events[i];
        if ((!strcmp(e->op, "cluster/pod") && replay_event(w, &r, e) < 0) || (!strcmp(e->op, "cluster/workload") && replay_workload(w, &r, e) < 0))
            return out_of_memory(err);
    }
    for (size_t i = 0; i < w->j->act_count; i++)
        act_redundancy(w, &r, i);
    return 0;
}
