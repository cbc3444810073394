/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a load did in the last second, and second by second before: fed a sample at a time, at full rate. A log-linear histogram
 * (16 steps to the octave of microseconds, so at most 1/16 off) for each tenth of a second. */
#include "history/event.h"

#include <stdbool.h>

enum { LIVE_SLOTS = 16, LIVE_SLOTS_SHOWN = 10, LIVE_BUCKETS = 16 * 28, LIVE_SECONDS = 240 };
#define LIVE_SLOT_NS INT64_C(100000000)

struct live_window {
    struct live_slot {
        int64_t epoch; /* number of the tenth it stands for, plus one */
        uint32_t good, bad;
        uint32_t latency[LIVE_BUCKETS]; /* of the good ones, from the planned time */
    } slots[LIVE_SLOTS];
    struct live_second {
        int64_t epoch;
        uint32_t good, bad;
    } seconds[LIVE_SECONDS];
    uint64_t good, bad, stalled; /* so far; stalled: not sent as chaosd itself stalled, which is nobody's answer */
};

struct live_now {
    uint32_t good, bad; /* in the last second */
    double p99_ms;      /* of all planned in it; INFINITY: a bad one falls there; NaN: none */
};

void live_window_add(struct live_window *w, const struct sample *s);
void live_window_now(const struct live_window *w, int64_t now_ns, struct live_now *ret);
/* Seconds ago, 1: the last whole one. False: nothing ended in it. */
bool live_window_second(const struct live_window *w, int64_t now_ns, int64_t ago, uint32_t *ret_good, uint32_t *ret_bad);
