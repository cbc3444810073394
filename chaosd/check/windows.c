/* SPDX-License-Identifier: Apache-2.0 */
#include "check/windows.h"

#include <errno.h>
#include <stdlib.h>

void windows_init(struct windows *w, int64_t goods, int64_t over_ns) {
    *w = (struct windows){.goods = goods, .over_ns = over_ns, .last_good_start = WINDOW_UNKNOWN};
}

void windows_free(struct windows *w) {
    free(w->list);
    *w = (struct windows){0};
}

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

static int open_window(struct windows *w, size_t ordinal, int64_t start, int64_t end) {
    if (w->count == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 8;
        struct window *list = realloc(w->list, cap * sizeof *list);
        if (!list)
            return -ENOMEM;
        w->list = list;
        w->cap = cap;
    }
    w->list[w->count++] = (struct window){
        .before = w->last_good_start,
        .first_start = start,
        .first_end = end,
        .end = WINDOW_UNKNOWN,
        .late = WINDOW_UNKNOWN,
        .first = ordinal,
    };
    w->open = true;
    return 0;
}

static void add_good(struct windows *w, int64_t start, int64_t end) {
    bool missed = w->stall_pending;
    w->last_good_start = start;
    if (!w->open)
        return;
    struct window *cur = &w->list[w->count - 1];
    if (cur->goods_after && missed)
        cur->late = end;
    else if (missed)
        cur->stalled_before_last |= start - w->last_start >= w->over_ns;
    if (!cur->goods_after++) {
        cur->good_start = start;
        cur->first_good_end = cur->latest_good_end = end;
    }
    cur->latest_good_end = max64(cur->latest_good_end, end);
    if (!w->hold && cur->goods_after >= w->goods && cur->latest_good_end - cur->first_good_end >= w->over_ns) {
        cur->end = cur->first_good_end;
        w->open = false;
    }
}

static int add_bad(struct windows *w, size_t ordinal, enum request what, int64_t start, int64_t end) {
    bool first = !w->open;
    if (first) {
        int r = open_window(w, ordinal, start, end);
        if (r < 0)
            return r;
    }
    struct window *cur = &w->list[w->count - 1];
    cur->stalled_before_last |= w->stall_pending && (first || start - w->last_start >= w->over_ns);
    cur->stalled = cur->stalled_before_last;
    cur->goods_after = 0;
    cur->late = WINDOW_UNKNOWN;
    cur->last_start = start;
    cur->last = ordinal;
    cur->bad += what != REQUEST_SLOW;
    cur->slow += what == REQUEST_SLOW;
    return 0;
}

int windows_add(struct windows *w, size_t ordinal, enum request what, int64_t start, int64_t end) {
    if (what == REQUEST_UNSENT_STALL) {
        /* Right before or after the bad ones it takes the edge's meaning away; within the goods that close a window it leaves two
         * possible ends; between bad ones it matters only where a recovery fits in. */
        w->stall_pending = true;
        if (w->open && !w->list[w->count - 1].goods_after)
            w->list[w->count - 1].stalled = true;
        return 0;
    }
    int rc = 0;
    if (what == REQUEST_GOOD)
        add_good(w, start, end);
    else
        rc = add_bad(w, ordinal, what, start, end);
    w->stall_pending = false;
    w->last_start = start;
    return rc;
}

static bool meet(int64_t from, int64_t to, int64_t a, int64_t b) { return from <= b && to >= a; }

void windows_stall(struct windows *w, int64_t from, int64_t to, int64_t data_end) {
    for (size_t i = 0; i < w->count; i++) {
        struct window *cur = &w->list[i];
        int64_t begin = cur->before != WINDOW_UNKNOWN ? cur->before : cur->first_start;
        bool closed = cur->end != WINDOW_UNKNOWN;
        int64_t end = closed ? cur->end : data_end;
        cur->split |= to - from >= w->over_ns && meet(from, to, begin, end);
        cur->stalled |= cur->split || meet(from, to, begin, cur->first_start) || meet(from, to, cur->first_end, cur->first_end) ||
                        meet(from, to, cur->last_start, closed ? cur->good_start : end) || meet(from, to, end, end);
    }
}

int64_t window_min(const struct window *w) { return max64(0, w->last_start - w->first_end); }

int64_t window_point(const struct window *w) { return w->end == WINDOW_UNKNOWN ? WINDOW_UNKNOWN : max64(0, w->end - w->first_start); }

int64_t window_max(const struct window *w) {
    return w->end == WINDOW_UNKNOWN || w->before == WINDOW_UNKNOWN ? WINDOW_UNKNOWN : max64(0, w->end - w->before);
}
