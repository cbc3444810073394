/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "check/internal.h"
#include "check/order.h"

static int64_t min_known(int64_t a, int64_t b) { return a == UNKNOWN_NS || (b != UNKNOWN_NS && b < a) ? b : a; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

static bool same_act(const struct judgement *j, int a, size_t b) { return a >= 0 && act_same(j, (size_t)a, b); }

/* Attributed to the act, or still open when it came: then both answer for it. So do, unless the load was seen to be well in between,
 * all victims of one planned act, and the act before where the window's first bad request was under way when a later one came. */
static bool concerns(const struct work *w, size_t act, const struct load_work *l, const struct window *win, const struct downtime *d) {
    const struct judgement *j = w->j;
    int64_t at = j->acts[act].at, next = w->acts[act].next;
    if (d->act == (int)act)
        return true;
    if (win->end != UNKNOWN_NS && win->end <= at)
        return false;
    if (downtime_of(d, (int)act) && win->first_start < next)
        return true; /* another's revert came in between: whose it is nobody knows */
    return win->first_end < at || ((same_act(j, d->act, act) || same_act(j, d->begun_in, act)) && !seen_well(l, at, win->first_start));
}

/* End of the earliest bad request of the window that ended after the act. */
static int64_t first_bad_end(const struct work *w, const struct load_work *l, const struct window *win, int64_t at) {
    int64_t best = UNKNOWN_NS;
    size_t i = order_find(l->order, l->count, at - l->longest);
    for (i = i < win->first ? win->first : i; i <= win->last && i < l->count; i++) {
        const struct sample *s = l->order[i];
        if (best != UNKNOWN_NS && s->start_ns > best)
            break; /* it cannot have ended earlier */
        if ((s->outcome == OUTCOME_BAD || s->outcome == OUTCOME_UNSENT_CAP) && !stall_excuses(w, l, s)) {
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

/* When it was over. A window of nothing but requests that were under way when the act came ends with the first good one after it. */
static int64_t end_for(const struct load_work *l, const struct window *win, int64_t at) {
    return win->end == UNKNOWN_NS || win->end > at ? win->end : first_good_end(l, win, at);
}

static void add_window(const struct work *w, struct act_figures *f, const struct load_work *l, const struct window *win) {
    int64_t bad = first_bad_end(w, l, win, f->at), end = end_for(l, win, f->at);
    if (bad != UNKNOWN_NS && (f->detect == UNKNOWN_NS || bad - f->at < f->detect)) {
        int64_t good = first_good_end(l, win, f->at);
        f->detect = bad - f->at;
        f->first_good = good == UNKNOWN_NS ? UNKNOWN_NS : good - f->at;
    }
    f->noticed = true;
    f->stalled |= win->stalled;
    f->suspect = f->suspect ? f->suspect : win->suspect;
    int64_t known = !win->stalled && !win->suspect ? win->last_start : win->certain_bad ? win->certain_last : f->at;
    f->certain = max64(f->certain, known - f->at);
    if (end == UNKNOWN_NS) {
        f->censored = true;
        f->at_least = max64(f->at_least, max64(0, win->last_start - f->at));
        return;
    }
    f->sustained = max64(f->sustained, end - f->at);
    if (win->late != UNKNOWN_NS && win->late > f->at)
        f->late = max64(f->late, win->late - f->at);
}

struct sight { /* what one load says of an act that it did not notice */
    bool through; /* goods enough after the act, up to the next one, to say that it saw nothing */
    bool blind;   /* chaosd stalled before they were enough */
    bool silent;  /* sent nothing before the next act nor while this one was held, though it had before */
    bool gone;    /* sent nothing at all any more */
};

static struct sight look(const struct work *w, const struct load_work *l, int64_t at, int64_t next, int64_t held) {
    int64_t count = 0, first_end = 0, latest = 0;
    size_t i = order_find(l->order, l->count, at);
    struct sight s = {.silent = i > 0, .gone = i > 0};
    for (; i < l->count && (l->order[i]->start_ns < next || s.gone); i++) {
        const struct sample *one = l->order[i];
        if (one->outcome == OUTCOME_UNSENT_STALL || stall_excuses(w, l, one)) {
            s.blind |= one->start_ns < next;
            continue;
        }
        s.gone = false;
        if (l->closed && (one->lane != LANE_EXEC || l->driver) && i && l->order[i - 1]->start_ns < next) /* no unsent ones tell of a stall there */
            s.blind |= stalled_between(w, max64(at, l->order[i - 1]->start_ns + 1), one->start_ns);
        s.silent &= one->start_ns >= next && one->start_ns >= held;
        if (one->start_ns >= next)
            break;
        if (one->outcome != OUTCOME_GOOD)
            continue;
        first_end = count++ ? first_end : one->end_ns;
        latest = max64(latest, one->end_ns);
        if (s.blind || (count >= l->goods && latest - first_end >= l->over_ns))
            break;
    }
    s.through = !s.blind && count >= l->goods && (latest - first_end >= l->over_ns || (i < l->count && l->order[i]->start_ns >= next));
    return s;
}

static void widen(struct span *near, struct span acts, size_t window) {
    for (size_t i = acts.from; i < acts.to; i++) {
        near[i].from = near[i].to && near[i].from < window ? near[i].from : window;
        near[i].to = window + 1;
    }
}

/* For each act the windows of a load that may concern it. */
static void find_near(const struct work *w, size_t load, struct span *near) {
    const struct windows *list = &w->rows[load].down.windows;
    for (size_t k = 0; k < list->count; k++) {
        const struct window *win = &list->list[k];
        const struct downtime *d = &w->j->lanes[load].downtime[k];
        widen(near, reach_within(w, win->first_end, win->end != UNKNOWN_NS ? win->end : INT64_MAX), k);
        if (d->act >= 0)
            widen(near, reach_same(w, (size_t)d->act), k);
        if (d->begun_in >= 0)
            widen(near, reach_same(w, (size_t)d->begun_in), k);
        for (size_t i = 0; i < d->shared_count; i++)
            widen(near, (struct span){(size_t)d->shared[i], (size_t)d->shared[i] + 1}, k);
    }
}

static size_t add_windows(struct work *w, size_t act, size_t load, struct span near) {
    const struct windows *list = &w->rows[load].down.windows;
    size_t n = 0;
    for (size_t k = near.from; k < near.to; k++)
        if (concerns(w, act, &w->loads[load], &list->list[k], &w->j->lanes[load].downtime[k])) {
            add_window(w, &w->j->acts[act], &w->loads[load], &list->list[k]);
            n++;
        }
    return n;
}

static void recover(struct work *w, size_t act, const struct span *near) {
    struct act_figures *f = &w->j->acts[act];
    struct act_work *a = &w->acts[act];
    struct sight any = {0};
    const char *silent = NULL, *gone = NULL;
    for (size_t i = 0; i < w->load_count; i++) {
        const struct load_work *l = &w->loads[i];
        if (l->not_judged || l->control || add_windows(w, act, i, near[i * w->j->act_count + act]))
            continue;
        struct sight s = look(w, l, f->at, a->next, f->reverted_at != UNKNOWN_NS ? f->reverted_at : f->at);
        any.through |= s.through;
        any.blind |= s.blind;
        silent = s.silent ? l->name : silent;
        gone = s.gone ? l->name : gone;
    }
    a->silent = f->noticed ? gone : silent;
    if (f->noticed && a->silent) {
        f->censored = true;
        f->at_least = max64(f->at_least, 0);
    }
    if (f->noticed && f->at_least != UNKNOWN_NS) {
        f->at_least = max64(f->at_least, f->sustained);
        f->sustained = f->late = UNKNOWN_NS; /* a load that never recovered outweighs one that did */
    } else if (!f->noticed && any.through && !any.blind && !a->silent) {
        f->sustained = 0;
    } else if (!f->noticed && w->load_count > w->control_count) {
        f->censored = true; /* nobody was looking for long enough */
        f->stalled = any.blind;
        f->at_least = 0;
    }
}

int recovery_measure(struct work *w, struct error *err) {
    cleanup_free struct span *near = calloc(w->load_count * w->j->act_count + 1, sizeof *near);
    if (!near)
        return out_of_memory(err);
    for (size_t i = 0; i < w->load_count; i++)
        find_near(w, i, near + i * w->j->act_count);
    for (size_t i = 0; i < w->j->act_count; i++)
        if (w->j->acts[i].acted)
            recover(w, i, near);
    return 0;
}
