/* SPDX-License-Identifier: Apache-2.0 */
#include "check/track.h"

void track_init(struct track *t, int64_t goods, int64_t over_ns) {
    *t = (struct track){.last_good = WINDOW_UNKNOWN, .blind_since = WINDOW_UNKNOWN};
    windows_init(&t->windows, goods, over_ns);
}

void track_free(struct track *t) { windows_free(&t->windows); }

static void look_away(struct track *t, enum request what, int64_t start, int64_t end) {
    if (what == REQUEST_UNSENT_STALL) {
        if (t->blind_since == WINDOW_UNKNOWN && !t->windows.open)
            t->blind_since = t->last_good != WINDOW_UNKNOWN ? t->last_good : start;
        t->blind_last = start;
        return;
    }
    if (t->blind_since != WINDOW_UNKNOWN && what == REQUEST_GOOD) {
        int64_t gap = end - t->blind_since;
        t->blind_max = gap > t->blind_max ? gap : t->blind_max;
        t->blind_total += (double)gap;
        t->blind_count++;
    }
    t->blind_since = WINDOW_UNKNOWN;
    if (what == REQUEST_GOOD)
        t->last_good = start;
}

int track_add(struct track *t, size_t ordinal, enum request what, int64_t start, int64_t end) {
    look_away(t, what, start, end);
    return windows_add(&t->windows, ordinal, what, start, end);
}

void track_end(struct track *t) {
    if (t->blind_since == WINDOW_UNKNOWN)
        return;
    t->blind_total += (double)(t->blind_last - t->blind_since);
    t->blind_count++;
    t->blind_end = true;
    t->blind_since = WINDOW_UNKNOWN;
}

void track_sum(struct track *t) {
    for (size_t i = 0; i < t->windows.count; i++) {
        const struct window *w = &t->windows.list[i];
        t->stalled_bad += w->stalled || w->suspect ? w->bad - w->certain_bad : 0;
        t->suspect = t->suspect ? t->suspect : w->suspect;
    }
}
