/* SPDX-License-Identifier: Apache-2.0 */
#include "check/internal.h"
#include "check/order.h"

static int64_t min_known(int64_t a, int64_t b) { return a == UNKNOWN_NS || (b != UNKNOWN_NS && b < a) ? b : a; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Attributed to the act, or still open when it came: then both answer for it. */
static bool concerns(const struct judgement *j, size_t act, const struct window *win, int window_act) {
    int64_t at = j->acts[act].at;
    return window_act == (int)act || (window_act >= 0 && act_same(j, (size_t)window_act, act)) ||
           act_of_window(j, win->first_start) == (int)act || (win->first_end < at && (win->end == UNKNOWN_NS || win->end > at));
}

/* End of the earliest bad request of the window that ended after the act. */
static int64_t first_bad_end(const struct load_work *l, const struct window *win, int64_t at) {
    int64_t best = UNKNOWN_NS;
    size_t i = order_find(l->order, l->count, at - l->longest);
    for (i = i < win->first ? win->first : i; i <= win->last && i < l->count; i++) {
        const struct sample *s = l->order[i];
        if (best != UNKNOWN_NS && s->start_ns > best)
            break; /* it cannot have ended earlier */
        if (s->outcome == OUTCOME_BAD || s->outcome == OUTCOME_UNSENT_CAP) {
            int64_t end = s->outcome == OUTCOME_BAD ? s->end_ns : s->planned_ns + l->deadline_ns;
            best = end >= at ? min_known(best, end) : best;
        }
    }
    return best;
}

/* End of the first good request that was started after both the act and the window's first bad one. */
static int64_t first_good_end(const struct load_work *l, const struct window *win, int64_t at) {
    for (size_t i = max64((int64_t)order_find(l->order, l->count, at), (int64_t)win->first); i < l->count; i++)
        if (l->order[i]->outcome == OUTCOME_GOOD)
            return l->order[i]->end_ns;
    return UNKNOWN_NS;
}

static void add_window(struct act_figures *f, const struct load_work *l, const struct window *win) {
    int64_t bad = first_bad_end(l, win, f->at);
    if (bad != UNKNOWN_NS && (f->detect == UNKNOWN_NS || bad - f->at < f->detect)) {
        int64_t good = first_good_end(l, win, f->at);
        f->detect = bad - f->at;
        f->first_good = good == UNKNOWN_NS ? UNKNOWN_NS : good - f->at;
    }
    f->noticed = true;
    f->stalled |= win->stalled;
    if (win->end == UNKNOWN_NS) {
        f->censored = true;
        f->at_least = max64(f->at_least, max64(0, win->last_start - f->at));
    } else if (f->sustained == UNKNOWN_NS || win->end - f->at > f->sustained) {
        f->sustained = win->end - f->at;
    }
}

/* Goods enough after the act, up to the next one, to say that this load saw nothing. */
static bool undisturbed(const struct load_work *l, int64_t at, int64_t next) {
    int64_t count = 0, first_end = 0, latest = 0;
    for (size_t i = order_find(l->order, l->count, at); i < l->count; i++) {
        const struct sample *s = l->order[i];
        if (s->start_ns >= next)
            return count >= l->goods;
        if (s->outcome == OUTCOME_UNSENT_STALL)
            return false; /* chaosd was blind */
        if (s->outcome != OUTCOME_GOOD)
            continue;
        first_end = count++ ? first_end : s->end_ns;
        latest = max64(latest, s->end_ns);
        if (count >= l->goods && latest - first_end >= l->over_ns)
            return true;
    }
    return false;
}

static void recover(struct work *w, size_t act) {
    struct act_figures *f = &w->j->acts[act];
    bool seen_through = false;
    int64_t next = act_next(w->j, act);
    for (size_t i = 0; i < w->load_count; i++) {
        const struct load_work *l = &w->loads[i];
        const struct row *r = &w->rows[i];
        if (l->not_judged)
            continue;
        size_t after = order_find(l->order, l->count, f->at);
        f->watched |= after < l->count && l->order[after]->start_ns < next;
        seen_through |= undisturbed(l, f->at, next);
        for (size_t k = 0; k < r->windows.count; k++)
            if (concerns(w->j, act, &r->windows.list[k], w->j->lanes[i].downtime[k].act))
                add_window(f, l, &r->windows.list[k]);
    }
    if (f->noticed && f->at_least != UNKNOWN_NS) {
        f->at_least = max64(f->at_least, f->sustained);
        f->sustained = UNKNOWN_NS; /* a load that never recovered outweighs one that did */
    } else if (!f->noticed && seen_through) {
        f->sustained = 0;
    } else if (!f->noticed && w->load_count) {
        f->censored = true; /* nobody was looking for long enough */
        f->at_least = 0;
    }
}

void recovery_measure(struct work *w) {
    for (size_t i = 0; i < w->j->act_count; i++)
        if (w->j->acts[i].acted)
            recover(w, i);
}
