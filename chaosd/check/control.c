/* SPDX-License-Identifier: Apache-2.0 */
/* A control is a load off the fault's path. Where it fails together with another load, the trouble is likely that of who asks: of the
 * machine chaosd is on, or of its network. Then the other's window proves nothing. */
#include "check/internal.h"

static int64_t begin_of(const struct window *w) { return w->before != WINDOW_UNKNOWN ? w->before : w->first_start; }
static int64_t end_of(const struct window *w, int64_t data_end) { return w->end != WINDOW_UNKNOWN ? w->end : data_end; }

/* The first window whose bracket touches [from, to]; NULL: none. They follow one another. */
static const struct window *touching(const struct windows *list, int64_t data_end, int64_t from, int64_t to) {
    size_t lo = 0, hi = list->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (end_of(&list->list[mid], data_end) < from)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < list->count && begin_of(&list->list[lo]) <= to ? &list->list[lo] : NULL;
}

static double seconds(const struct work *w, int64_t t) {
    return ((double)t - (double)(w->j->schedule_t == UNKNOWN_NS ? 0 : w->j->schedule_t)) / 1e9;
}

/* slow: being slow counts against the control as well. */
static const char *doubt(struct work *w, int64_t from, int64_t to, bool slow) {
    for (size_t i = 0; i < w->load_count; i++) {
        const struct row *r = &w->rows[i];
        const struct window *win = w->loads[i].control ? touching(slow ? &r->slow.windows : &r->down.windows, r->to, from, to) : NULL;
        if (!win)
            continue;
        const char *why = arena_printf(w->a, "the control failed as well: %s was %s from %.1f to %.1f s", w->loads[i].name, win->bad ? "bad" : "slow",
                                       seconds(w, win->first_start), seconds(w, end_of(win, r->to)));
        return why ? why : "the control failed as well";
    }
    return NULL;
}

static void mark(struct work *w, struct track *t, int64_t data_end, bool slow) {
    for (size_t i = 0; i < t->windows.count; i++) {
        struct window *win = &t->windows.list[i];
        win->suspect = doubt(w, begin_of(win), end_of(win, data_end), slow);
    }
}

void control_mark(struct work *w) {
    for (size_t i = 0; i < w->j->lane_count && w->control_count; i++) {
        struct row *r = &w->rows[i];
        if (w->loads[w->j->lanes[i].load_index].control)
            continue;
        mark(w, &r->down, r->to, false);
        mark(w, &r->slow, r->to, true);
    }
}
