/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Downtime windows: pure, fed one request after the other, ordered by start. A window runs from its first bad request; it is
 * closed by a streak of goods in a row, at least `goods` of them, whose ends span at least over_ns (from the end of the streak's
 * first good to the latest end among its goods). A bad one before that belongs to the same window. All times in ns. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum request {
    REQUEST_GOOD,
    REQUEST_BAD,
    REQUEST_SLOW,         /* as bad, and counted apart: for windows of degradation */
    REQUEST_UNSENT_STALL, /* it says nothing of the target, as chaosd itself stalled */
};

#define WINDOW_UNKNOWN INT64_MIN

struct window {
    int64_t before;                /* start of the last good before; WINDOW_UNKNOWN: there was none */
    int64_t first_start, first_end; /* of the first bad */
    int64_t last_start;            /* of the last bad */
    int64_t end;                   /* end of the closing streak's first good; WINDOW_UNKNOWN: never closed */
    int64_t good_start;            /* start of the first good after the last bad, where goods_after > 0 */
    int64_t late;                  /* what end would be if all that was missed within the closing streak was bad; WINDOW_UNKNOWN */
    int64_t goods_after, first_good_end, latest_good_end; /* the streak after the last bad; 0: none */
    int64_t bad, slow;
    size_t first, last;            /* ordinals of the first and last bad, as fed */
    bool stalled;                  /* chaosd itself stalled where it matters: see windows_stall */
    bool split;                    /* a stall in it was so long that it may be two */
    bool stalled_before_last;      /* the part of it that a later bad one does not take back */
    const char *suspect;           /* why else it is not to be judged, or NULL */
    int64_t certain, certain_bad;  /* of one not to be judged, set by the caller: lasted so long at least; bad requests in no doubt */
    int64_t certain_last;          /* start of the last of these; where certain_bad > 0 */
};

struct windows {
    int64_t goods, over_ns;
    struct window *list;
    size_t count, cap;
    bool open, stall_pending;
    bool hold; /* set by the caller: the window does not close yet, as another that lies in it is open */
    int64_t last_good_start; /* WINDOW_UNKNOWN: none yet */
    int64_t last_start;      /* of the last request that says something */
};

void windows_init(struct windows *w, int64_t goods, int64_t over_ns);
int windows_add(struct windows *w, size_t ordinal, enum request what, int64_t start, int64_t end); /* 0 or -ENOMEM */
void windows_free(struct windows *w);

/* Marks the windows whose bracket a stall of chaosd itself may have widened or cut: it touches the gap before the first bad, the end of the first bad,
 * the gap after the last bad or the end; or it was long enough (over_ns) to hide that the service came back in the meantime. A shorter one between bad
 * requests changes nothing. data_end stands for an open window's end. */
void windows_stall(struct windows *w, int64_t from, int64_t to, int64_t data_end);

/* The bracket. min is always known; point and max are WINDOW_UNKNOWN where the window never closed, max also where no good
 * one was before it. */
int64_t window_min(const struct window *w);
int64_t window_point(const struct window *w);
int64_t window_max(const struct window *w);
