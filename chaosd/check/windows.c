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
    w->stall_pending = false;
    if (!w->open)
        return;
    struct window *cur = &w->list[w->count - 1];
    if (missed)
        cur->late = end;
    if (!cur->goods_after++) {
        cur->first_good_end = cur->latest_good_end = end;
    }
    cur->latest_good_end = max64(cur->latest_good_end, end);
    if (!w->hold && cur->goods_after >= w->goods && cur->latest_good_end - cur->first_good_end >= w->over_ns) {
        cur->end = cur->first_good_end;
        w->open = false;
    }
}

static int add_bad(struct windows *w, size_t ordinal, enum request what, int64_t start, int64_t end) {
    if (!w->open) {
        int r = open_window(w, ordinal, start, end);
        if (r < 0)
            return r;
    }
    struct window *cur = &w->list[w->count - 1];
    cur->goods_after = 0;
    cur->late = WINDOW_UNKNOWN;
    cur->last_start = start;
    cur->last = ordinal;
    cur->bad += what != REQUEST_SLOW;
    cur->slow += what == REQUEST_SLOW;
    cur->stalled |= what == REQUEST_BAD_STALLED || w->stall_pending;
    w->stall_pending = false;
    return 0;
}

int windows_add(struct windows *w, size_t ordinal, enum request what, int64_t start, int64_t end) {
    switch (what) {
    case REQUEST_GOOD:
        add_good(w, start, end);
        return 0;
    case REQUEST_BAD:
    case REQUEST_SLOW:
    case REQUEST_BAD_STALLED:
        return add_bad(w, ordinal, what, start, end);
    case REQUEST_UNSENT_STALL:
        /* It says nothing of the target. Inside a window, or right before one, it takes the edge's meaning away; within the
         * goods that close a window it leaves two possible ends. */
        if (w->open && !w->list[w->count - 1].goods_after)
            w->list[w->count - 1].stalled = true;
        else
            w->stall_pending = true;
        return 0;
    }
    return 0;
}

void windows_stall(struct windows *w, int64_t from, int64_t to, int64_t data_end) {
    for (size_t i = 0; i < w->count; i++) {
        struct window *cur = &w->list[i];
        int64_t begin = cur->before != WINDOW_UNKNOWN ? cur->before : cur->first_start;
        int64_t end = cur->end != WINDOW_UNKNOWN ? cur->end : data_end;
        cur->stalled |= from <= end && to >= begin;
    }
}

int64_t window_min(const struct window *w) { return max64(0, w->last_start - w->first_end); }

int64_t window_point(const struct window *w) { return w->end == WINDOW_UNKNOWN ? WINDOW_UNKNOWN : max64(0, w->end - w->first_start); }

int64_t window_max(const struct window *w) {
    return w->end == WINDOW_UNKNOWN || w->before == WINDOW_UNKNOWN ? WINDOW_UNKNOWN : max64(0, w->end - w->before);
}
