/* SPDX-License-Identifier: Apache-2.0 */
/* Whose window is it? One act answers for it; others that were in effect in it share it. */
#include "check/internal.h"
#include "check/order.h"

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

bool seen_well(const struct load_work *l, int64_t from, int64_t to) {
    int64_t count = 0, first_end = 0, latest = 0;
    for (size_t i = order_find(l->order, l->count, from); i < l->count && l->order[i]->start_ns < to; i++) {
        const struct sample *s = l->order[i];
        if (s->outcome != OUTCOME_GOOD) {
            count = 0;
            continue;
        }
        first_end = count++ ? first_end : s->end_ns;
        latest = count > 1 ? max64(latest, s->end_ns) : s->end_ns;
        if (count >= l->goods && latest - first_end >= l->over_ns)
            return true;
    }
    return false;
}

struct claim { bool active, over; int64_t touch; };

/* A fault still held wins over one already reverted; otherwise the latest touch wins. */
static bool beats(const struct claim *a, const struct claim *b) {
    if (a->active != b->active && a->over != b->over)
        return a->active;
    return a->touch >= b->touch;
}

/* By the latest injection or revert up to the first sign of trouble. */
static int act_of_window(const struct work *w, int64_t first_end) {
    int best = -1;
    struct claim top = {0};
    struct span near = reach_of(w, first_end, first_end);
    for (size_t i = near.from; i < near.to; i++) {
        const struct act_figures *f = &w->j->acts[i];
        if (!f->acted || f->at > first_end)
            continue;
        struct claim c = {.over = f->holds && f->reverted_at != UNKNOWN_NS && f->reverted_at <= first_end};
        c.active = f->holds && !c.over;
        c.touch = c.over ? f->reverted_at : f->at;
        if (!c.active && first_end - c.touch > ATTRIBUTION_NS)
            continue;
        if (best < 0 || beats(&c, &top)) {
            best = (int)i;
            top = c;
        }
    }
    return best;
}

/* In effect in the window, or come just before it without the load having been seen well in between. */
static bool shares(const struct load_work *l, const struct window *win, const struct act_figures *f) {
    if (!f->acted || (win->end != WINDOW_UNKNOWN && f->at >= win->end))
        return false;
    bool over = f->holds && f->reverted_at != UNKNOWN_NS;
    if (f->holds && !over)
        return true;
    int64_t touch = over ? f->reverted_at : f->at;
    return win->first_start - touch <= ATTRIBUTION_NS && !seen_well(l, touch, win->first_start);
}

void attribute(const struct work *w, const struct load_work *l, const struct window *win, struct downtime *d) {
    d->act = act_of_window(w, win->first_end);
    d->begun_in = act_of_window(w, win->first_start);
    struct span near = reach_of(w, win->first_start, win->end != WINDOW_UNKNOWN ? win->end : INT64_MAX);
    for (size_t i = near.from; i < near.to && !d->shared_more; i++) {
        if ((int)i == d->act || !shares(l, win, &w->j->acts[i]))
            continue;
        if (d->shared_count < SHARED_MOST)
            d->shared[d->shared_count++] = (int)i;
        else
            d->shared_more = true;
    }
}
