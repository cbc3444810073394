/* SPDX-License-Identifier: Apache-2.0 */
/* What of a window is certain although a stall of chaosd, or a control that failed as well, takes its bracket away: an outage of a minute is
 * one, whatever became of two seconds in it. A bad request that neither touches counts, nor either has touched for as long as it takes to be seen
 * well; a recovery may hide where they were long enough. */
#include "base/cleanup.h"
#include "check/internal.h"

#include <stdlib.h>

struct doubts { struct interval *list; size_t count, cap; }; /* sorted, disjoint: in these nobody knows how it was */

static void doubts_free(struct doubts *d) { free(d->list); }

static int doubt(struct doubts *d, int64_t from, int64_t to) {
    if (grow(&d->list, d->count, &d->cap, sizeof *d->list) < 0)
        return -1;
    d->list[d->count++] = (struct interval){from, to};
    return 0;
}

static int by_from(const void *a, const void *b) {
    const struct interval *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static void join(struct doubts *d) {
    size_t to = 0;
    if (d->count)
        qsort(d->list, d->count, sizeof *d->list, by_from);
    for (size_t i = 0; i < d->count; i++)
        if (to && d->list[i].from <= d->list[to - 1].to)
            d->list[to - 1].to = d->list[i].to > d->list[to - 1].to ? d->list[i].to : d->list[to - 1].to;
        else
            d->list[to++] = d->list[i];
    d->count = to;
}

/* Stalls in which a recovery could have gone unseen, and what it takes to see well again after them; where a control failed, as much before. */
static int collect(const struct work *w, const struct load_work *l, struct doubts *d) {
    for (size_t i = 0; i < w->stall_count; i++)
        if (w->stalls[i].to - w->stalls[i].from >= l->over_ns && doubt(d, w->stalls[i].from, w->stalls[i].to + l->over_ns) < 0)
            return -1;
    for (size_t i = 0; i < w->load_count; i++) {
        const struct row *r = &w->rows[i];
        for (size_t k = 0; w->loads[i].control && k < r->down.windows.count; k++) {
            const struct window *win = &r->down.windows.list[k];
            int64_t from = win->before != WINDOW_UNKNOWN ? win->before : win->first_start, to = win->end != WINDOW_UNKNOWN ? win->end : r->to;
            if (doubt(d, from - l->over_ns, to + l->over_ns) < 0)
                return -1;
        }
    }
    join(d);
    return 0;
}

static bool meets(const struct doubts *d, int64_t from, int64_t to) {
    size_t lo = 0, hi = d->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (d->list[mid].to < from)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < d->count && d->list[lo].from <= to;
}

static void measure(const struct work *w, const struct load_work *l, int lane, const struct doubts *d, struct window *win) {
    int64_t first_end = WINDOW_UNKNOWN, last_start = 0;
    for (size_t i = win->first; i <= win->last && i < l->count; i++) {
        const struct sample *s = l->order[i];
        if ((lane >= 0 && s->lane != lane) || (s->outcome != OUTCOME_BAD && s->outcome != OUTCOME_UNSENT_CAP) || stall_excuses(w, l, s))
            continue;
        int64_t end = s->outcome == OUTCOME_BAD ? s->end_ns : s->planned_ns + l->deadline_ns;
        if (stalled_between(w, s->planned_ns - l->over_ns, end) || meets(d, s->planned_ns, end))
            continue;
        if (first_end == WINDOW_UNKNOWN || meets(d, last_start, s->start_ns))
            first_end = end;
        last_start = s->start_ns;
        win->certain = last_start - first_end > win->certain ? last_start - first_end : win->certain;
        win->certain_bad++;
        win->certain_last = last_start;
    }
}

int certain_measure(struct work *w, struct error *err) {
    for (size_t at = 0; at < w->j->lane_count; at++) {
        const struct lane_figures *f = &w->j->lanes[at];
        struct windows *list = &w->rows[at].down.windows;
        const struct load_work *l = &w->loads[f->load_index];
        cleanup(doubts_free) struct doubts d = {0};
        bool any = false;
        for (size_t i = 0; i < list->count; i++) {
            struct window *win = &list->list[i];
            if (f->target || !(win->stalled || win->suspect)) /* no threshold asks for a target */
                continue;
            if (!any && collect(w, l, &d) < 0)
                return out_of_memory(err);
            any = true;
            measure(w, l, f->lane, &d, win);
        }
    }
    return 0;
}
