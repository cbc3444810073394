/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/internal.h"
#include "check/objects.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static struct act_figures *find_act(struct work *w, const struct event *e, bool create, struct act_work **ret_work, struct error *err) {
    const json_t *id_json = json_object_get(e->data, "id");
    int64_t id = json_is_integer(id_json) ? json_integer_value(id_json) : -1;
    for (size_t i = w->j->act_count; i-- && id >= 0 && id <= w->top_id;)
        if (w->j->acts[i].id == id) {
            *ret_work = &w->acts[i];
            return &w->j->acts[i];
        }
    if (!create)
        return NULL;
    size_t cap = w->act_cap;
    if (grow(&w->j->acts, w->j->act_count, &w->act_cap, sizeof *w->j->acts) < 0 ||
        grow(&w->acts, w->j->act_count, &cap, sizeof *w->acts) < 0) {
        out_of_memory(err);
        return NULL;
    }
    w->top_id = id > w->top_id ? id : w->top_id;
    w->acts[w->j->act_count] = (struct act_work){.invoked = UNKNOWN_NS, .ok = UNKNOWN_NS, .answered = UNKNOWN_NS, .role_seen = UNKNOWN_NS};
    struct act_figures *f = &w->j->acts[w->j->act_count];
    *f = (struct act_figures){
        .fault = "", .kind = "", .target = "", .id = id,
        .at = UNKNOWN_NS, .observed_at = UNKNOWN_NS, .reverted_at = UNKNOWN_NS,
        .detect = UNKNOWN_NS, .first_good = UNKNOWN_NS, .sustained = UNKNOWN_NS, .redundancy = UNKNOWN_NS, .at_least = UNKNOWN_NS,
        .late = UNKNOWN_NS, .role_seen_before = UNKNOWN_NS, .role_after_at = UNKNOWN_NS,
    };
    effect_init(f);
    *ret_work = &w->acts[w->j->act_count++];
    return f;
}

/* The invoke event knows most, the later ones may know more: the last that says something wins. */
static void learn(struct act_figures *f, struct act_work *a, const struct event *e) {
    if (*e->target)
        f->target = e->target;
    if (*e->kind && strcmp(e->kind, "skip"))
        f->kind = e->kind;
    f->fault = json_str_or(e->data, "fault", f->fault);
    int64_t occurrence = json_int_or(e->data, "occurrence", f->occurrence);
    f->occurrence = occurrence < 0 || occurrence > UINT_MAX ? 0 : (unsigned)occurrence;
    f->why = json_str_or(e->data, "why", f->why);
    a->uid = json_str_or(e->data, "uid", a->uid);
    a->workload = json_str_or(e->data, "workload", a->workload);
    a->pod = json_str_or(e->data, "pod", a->pod);
    a->role = json_str_or(e->data, "role", a->role);
    a->role_seen = time_or(e->data, "role_seen", a->role_seen);
    const json_t *data = json_object_get(e->data, "role_data");
    if (json_is_object(data))
        a->role_data = data;
}

static int on_act(struct work *w, const struct event *e, struct error *err) {
    struct act_work *a = NULL;
    struct act_figures *f = find_act(w, e, true, &a, err);
    if (!f)
        return out_of_memory(err);
    learn(f, a, e);
    a->event = (size_t)(e - w->h->events);
    if (!strcmp(e->phase, "invoke"))
        a->invoked = e->t;
    else if (!strcmp(e->phase, "ok")) {
        a->answered = e->t;
        a->ok = time_or(e->data, "asked", e->t); /* an API server may have done it from then on */
    } else if (!strcmp(e->phase, "fail"))
        a->failed = true;
    else if (!strcmp(e->phase, "info") && !strcmp(e->kind, "skip"))
        f->skipped = true;
    return 0;
}

static void on_observed(struct work *w, const struct event *e) {
    struct act_work *a = NULL;
    struct act_figures *f = find_act(w, e, false, &a, NULL);
    if (f && !f->observed) {
        f->observed = true;
        f->observed_at = e->t;
    }
}

static void on_revert(struct work *w, const struct event *e) {
    struct act_work *a = NULL;
    struct act_figures *f = find_act(w, e, false, &a, NULL);
    if (!f)
        return;
    f->holds = true;
    if (!strcmp(e->phase, "ok") && !f->reverted) {
        f->reverted = true;
        f->reverted_at = e->t;
    } else if (!strcmp(e->phase, "fail")) {
        a->revert_failed = true;
        f->revert_why = json_str_or(e->data, "why", f->revert_why);
    }
}

/* Faults of the header: the kind of an act that was skipped, and whether it holds. */
static void from_header(const struct work *w, struct act_figures *f) {
    size_t i;
    json_t *fault;
    json_array_foreach(json_object_get(w->h->header, "faults"), i, fault) {
        if (strcmp(json_str_or(fault, "name", ""), f->fault))
            continue;
        f->holds |= json_is_true(json_object_get(fault, "holds"));
        f->unable = json_str_or(fault, "unable", f->unable);
        if (!*f->kind)
            f->kind = json_str_or(fault, "kind", "");
    }
}

bool act_same(const struct judgement *j, size_t a, size_t b) {
    return j->acts[a].occurrence == j->acts[b].occurrence && !strcmp(j->acts[a].fault, j->acts[b].fault);
}

static int by_at(const void *a, const void *b, void *arg) {
    const struct judgement *j = arg;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int64_t at_x = j->acts[x].at, at_y = j->acts[y].at;
    return at_x != at_y ? (at_x > at_y) - (at_x < at_y) : (x > y) - (x < y);
}

void least_add(const struct judgement *j, struct least *l, size_t act, int64_t t) {
    bool same = l->t[0] != INT64_MAX && act_same(j, l->act[0], act);
    if (t < l->t[0]) {
        if (!same) {
            l->t[1] = l->t[0];
            l->act[1] = l->act[0];
        }
        l->t[0] = t;
        l->act[0] = act;
    } else if (!same && t < l->t[1]) {
        l->t[1] = t;
        l->act[1] = act;
    }
}

int least_other(const struct judgement *j, const struct least *l, size_t act) { return l->t[0] != INT64_MAX && act_same(j, l->act[0], act); }

static int64_t begin_of(const struct work *w, size_t act) {
    return w->acts[act].invoked != UNKNOWN_NS ? w->acts[act].invoked : w->j->acts[act].at;
}

/* An API server takes its time to answer, so that of two acts of one moment each is asked for before the other is done. */
static bool same_moment(const struct work *w, size_t before, size_t after, int64_t begun) {
    return begun <= w->acts[before].answered && w->j->acts[after].at - w->j->acts[before].at <= MOMENT_NS;
}

/* What each act's observation ends with: from the last act to the first, so that many acts take hardly more than linear time. */
static int find_next(struct work *w, struct error *err) {
    struct judgement *j = w->j;
    size_t n = 0;
    struct least at = LEAST_NONE, begin = at;
    cleanup_free size_t *order = calloc(j->act_count + 1, sizeof *order);
    if (!order)
        return out_of_memory(err);
    for (size_t i = 0; i < j->act_count; i++)
        if (j->acts[i].acted)
            order[n++] = i;
    qsort_r(order, n, sizeof *order, by_at, j);
    bool slow = objects_told(w->h);
    for (size_t to = n, from; to; to = from) { /* those at the same time do not end each other */
        int64_t begun = begin_of(w, order[to - 1]);
        for (from = to - 1; from && (j->acts[order[from - 1]].at == j->acts[order[to - 1]].at || (slow && same_moment(w, order[from - 1], order[from], begun))); from--)
            begun = begin_of(w, order[from - 1]) < begun ? begin_of(w, order[from - 1]) : begun;
        for (size_t i = from; i < to; i++) {
            w->acts[order[i]].next = at.t[least_other(j, &at, order[i])];
            w->acts[order[i]].next_begin = begin.t[least_other(j, &begin, order[i])];
        }
        for (size_t i = from; i < to; i++) {
            least_add(j, &at, order[i], j->acts[order[i]].at);
            least_add(j, &begin, order[i], begin_of(w, order[i]));
        }
    }
    return 0;
}

/* Who has the role afterwards: the first answer that was asked for after the act, before the next act confuses it. */
static void find_role_after(const struct work *w, size_t index) {
    struct act_figures *f = &w->j->acts[index];
    const struct act_work *a = &w->acts[index];
    if (!a->role || !f->acted)
        return;
    f->role_before = f->target;
    f->role_before_data = a->role_data;
    if (a->role_seen != UNKNOWN_NS)
        f->role_seen_before = f->at - a->role_seen;
    for (size_t i = a->event; i < w->h->event_count && w->h->events[i].t < a->next; i++) {
        const struct event *e = &w->h->events[i];
        if (e->t <= f->at || strcmp(e->op, "role/now") || strcmp(e->kind, a->role) || !*e->target)
            continue;
        if (time_or(e->data, "asked", INT64_MIN) < f->at)
            continue;
        int64_t seen = time_or(e->data, "seen", json_object_get(e->data, "seen") ? UNKNOWN_NS : e->t);
        const json_t *data = json_object_get(e->data, "data");
        f->role_after = e->target;
        f->role_after_at = seen == UNKNOWN_NS ? UNKNOWN_NS : seen - f->at;
        f->role_after_data = json_is_object(data) ? data : NULL;
        return;
    }
}

int acts_collect(struct work *w, struct error *err) {
    for (size_t i = 0; i < w->h->event_count; i++) {
        const struct event *e = &w->h->events[i];
        int rc = 0;
        if (!strcmp(e->op, "fault/act"))
            rc = on_act(w, e, err);
        else if (!strcmp(e->op, "fault/observed"))
            on_observed(w, e);
        else if (!strcmp(e->op, "fault/revert"))
            on_revert(w, e);
        struct act_work *a = NULL;
        struct act_figures *f = rc == 0 && !strncmp(e->op, "fault/", 6) ? find_act(w, e, false, &a, NULL) : NULL;
        if (f)
            effect_learn(f, e);
        if (rc < 0)
            return rc;
    }
    w->first_act = UNKNOWN_NS;
    for (size_t i = 0; i < w->j->act_count; i++) {
        struct act_figures *f = &w->j->acts[i];
        const struct act_work *a = &w->acts[i];
        from_header(w, f);
        /* "ok" is written in the same breath as the act; what came before it (a record synced to disk) is not the fault's. */
        f->at = a->ok != UNKNOWN_NS ? a->ok : f->observed ? a->invoked != UNKNOWN_NS ? a->invoked : f->observed_at : UNKNOWN_NS;
        f->acted = f->at != UNKNOWN_NS;
        f->unclear = !f->acted && !f->skipped && !a->failed && a->invoked != UNKNOWN_NS; /* also where the history ends before its answer */
        f->stuck = f->holds && !f->reverted && (a->revert_failed || (f->acted && w->j->ended));
        if (f->acted && (w->first_act == UNKNOWN_NS || f->at < w->first_act))
            w->first_act = f->at;
    }
    if (find_next(w, err) < 0 || reach_make(w, err) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < w->j->act_count; i++)
        find_role_after(w, i);
    return 0;
}
