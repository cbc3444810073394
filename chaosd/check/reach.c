/* SPDX-License-Identifier: Apache-2.0 */
#include "check/reach.h"

#include "base/cleanup.h"
#include "check/internal.h"

#include <stdlib.h>
#include <string.h>

struct reach {
    struct moment { int64_t at, until; size_t act; } *list; /* by at; until: the latest of this act and all before it */
    size_t count;
    struct span *same; /* by act */
};

static int by_at(const void *a, const void *b) {
    const struct moment *x = a, *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : (x->act > y->act) - (x->act < y->act);
}

static int by_plan(const void *a, const void *b, void *arg) {
    const struct judgement *j = arg;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int fault = strcmp(j->acts[x].fault, j->acts[y].fault);
    unsigned ox = j->acts[x].occurrence, oy = j->acts[y].occurrence;
    return fault ? fault : ox != oy ? (ox > oy) - (ox < oy) : (x > y) - (x < y);
}

int64_t act_answers_until(const struct act_figures *f) {
    if (f->holds && f->reverted_at == UNKNOWN_NS)
        return INT64_MAX;
    return (f->holds && f->reverted_at > f->at ? f->reverted_at : f->at) + ATTRIBUTION_NS;
}

static void fill_moments(const struct judgement *j, struct reach *r) {
    for (size_t i = 0; i < j->act_count; i++)
        if (j->acts[i].acted)
            r->list[r->count++] = (struct moment){j->acts[i].at, act_answers_until(&j->acts[i]), i};
    qsort(r->list, r->count, sizeof *r->list, by_at);
    for (size_t i = 1; i < r->count; i++)
        if (r->list[i - 1].until > r->list[i].until)
            r->list[i].until = r->list[i - 1].until;
}

static void fill_same(struct judgement *j, struct reach *r, size_t *order) {
    for (size_t i = 0; i < j->act_count; i++)
        order[i] = i;
    qsort_r(order, j->act_count, sizeof *order, by_plan, j);
    for (size_t from = 0, to; from < j->act_count; from = to) {
        for (to = from + 1; to < j->act_count && act_same(j, order[from], order[to]); to++)
            ;
        for (size_t i = from; i < to; i++)
            r->same[order[i]] = (struct span){order[from], order[to - 1] + 1};
    }
}

int reach_make(struct work *w, struct error *err) {
    size_t n = w->j->act_count + 1;
    cleanup_free size_t *order = calloc(n, sizeof *order);
    struct reach *r = w->reach = calloc(1, sizeof *r);
    if (!order || !r || !(r->list = calloc(n, sizeof *r->list)) || !(r->same = calloc(n, sizeof *r->same)))
        return out_of_memory(err);
    fill_moments(w->j, r);
    fill_same(w->j, r, order);
    return 0;
}

void reach_free(struct reach *r) {
    if (!r)
        return;
    free(r->list);
    free(r->same);
    free(r);
}

/* How many were injected at t or before. */
static size_t injected_by(const struct reach *r, int64_t t) {
    size_t lo = 0, hi = r->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->list[mid].at <= t)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void widen(struct span *s, size_t act) {
    s->from = act < s->from ? act : s->from;
    s->to = act + 1 > s->to ? act + 1 : s->to;
}

struct span reach_of(const struct work *w, int64_t from, int64_t to) {
    const struct reach *r = w->reach;
    struct span s = {SIZE_MAX, 0};
    for (size_t i = injected_by(r, to); i > 0 && r->list[i - 1].until >= from; i--)
        widen(&s, r->list[i - 1].act);
    return s;
}

struct span reach_within(const struct work *w, int64_t from, int64_t to) {
    const struct reach *r = w->reach;
    struct span s = {SIZE_MAX, 0};
    for (size_t i = injected_by(r, to); i > 0 && r->list[i - 1].at >= from; i--)
        widen(&s, r->list[i - 1].act);
    return s;
}

struct span reach_same(const struct work *w, size_t act) { return w->reach->same[act]; }
