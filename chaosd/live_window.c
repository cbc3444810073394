/* SPDX-License-Identifier: Apache-2.0 */
#include "live_window.h"

#include <math.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)

/* Buckets of one microsecond up to 16, then 16 to the octave; the last takes everything above some 35 minutes. */
static unsigned bucket_of(int64_t ns) {
    uint64_t us = ns > 0 ? (uint64_t)ns / 1000 : 0;
    if (us < 16)
        return (unsigned)us;
    unsigned octave = 63 - (unsigned)__builtin_clzll(us);
    unsigned at = 16 * (octave - 3) + (unsigned)(us >> (octave - 4) & 15);
    return at < LIVE_BUCKETS ? at : LIVE_BUCKETS - 1;
}

/* The upper end: a figure is never better than it was. */
static double bucket_ms(unsigned at) {
    if (at < 16)
        return (at + 1) / 1e3;
    unsigned octave = at / 16 + 3;
    return (double)((UINT64_C(16) + at % 16 + 1) << (octave - 4)) / 1e3;
}

void live_window_add(struct live_window *w, const struct sample *s) {
    if (s->outcome == OUTCOME_UNSENT_STALL) {
        w->stalled++;
        return;
    }
    bool good = s->outcome == OUTCOME_GOOD;
    int64_t end = s->end_ns > 0 ? s->end_ns : 0, planned = s->planned_ns > 0 ? s->planned_ns : 0, tenth = end / LIVE_SLOT_NS + 1, second = end / SECOND_NS + 1;
    *(good ? &w->good : &w->bad) += 1;
    struct live_slot *slot = &w->slots[tenth % LIVE_SLOTS];
    if (slot->epoch < tenth) {
        memset(slot, 0, sizeof *slot);
        slot->epoch = tenth;
    }
    if (slot->epoch == tenth) {
        *(good ? &slot->good : &slot->bad) += 1;
        if (good)
            slot->latency[bucket_of(end - planned)]++;
    }
    struct live_second *sec = &w->seconds[second % LIVE_SECONDS];
    if (sec->epoch < second)
        *sec = (struct live_second){.epoch = second};
    if (sec->epoch == second)
        *(good ? &sec->good : &sec->bad) += 1;
}

void live_window_now(const struct live_window *w, int64_t now_ns, struct live_now *ret) {
    int64_t current = now_ns / LIVE_SLOT_NS + 1; /* not whole yet */
    uint32_t sum[LIVE_BUCKETS] = {0};
    *ret = (struct live_now){.p99_ms = NAN};
    for (size_t i = 0; i < LIVE_SLOTS; i++) {
        const struct live_slot *s = &w->slots[i];
        if (!s->epoch || s->epoch >= current || s->epoch < current - LIVE_SLOTS_SHOWN)
            continue;
        ret->good += s->good;
        ret->bad += s->bad;
        for (size_t k = 0; k < LIVE_BUCKETS; k++)
            sum[k] += s->latency[k];
    }
    uint64_t n = (uint64_t)ret->good + ret->bad, rank = (n * 99 + 99) / 100, seen = 0;
    if (!n)
        return;
    ret->p99_ms = INFINITY;
    for (unsigned k = 0; k < LIVE_BUCKETS && seen < rank; k++)
        if ((seen += sum[k]) >= rank)
            ret->p99_ms = bucket_ms(k);
}

bool live_window_second(const struct live_window *w, int64_t now_ns, int64_t ago, uint32_t *ret_good, uint32_t *ret_bad) {
    int64_t epoch = now_ns / SECOND_NS + 1 - ago;
    const struct live_second *s = epoch > 0 ? &w->seconds[epoch % LIVE_SECONDS] : NULL;
    if (!s || s->epoch != epoch)
        return false;
    *ret_good = s->good;
    *ret_bad = s->bad;
    return true;
}
