/* SPDX-License-Identifier: Apache-2.0 */
/* How a load was before anything was done to its targets, and from when on an answer counts as slow. docs/DEFINITIONS.md argues the rule. */
#include "base/units.h"
#include "check/internal.h"
#include "check/words.h"

#include <math.h>

enum { BASELINE_LEAST = 100 }; /* requests; of fewer, the 99th percentile is the largest */
#define WARM_UP_NS INT64_C(1000000000)
#define SLOW_MARGIN_MS 10.0
#define SLOW_TIMES 3.0

struct before { int64_t from, until; int lane; }; /* lane -1: all */

/* Planned after the load warmed up, and over before any fault could have had a hand in it. What touched a stall of chaosd's is its own. */
static bool is_before(const struct work *w, const struct load_work *l, const struct sample *s, const struct before *b) {
    int64_t end = s->outcome == OUTCOME_UNSENT_CAP ? s->planned_ns + l->deadline_ns : s->end_ns;
    return (b->lane < 0 || s->lane == b->lane) && s->outcome != OUTCOME_UNSENT_STALL && s->planned_ns >= b->from && end <= b->until &&
           !stalled_between(w, s->planned_ns, end);
}

/* *most: the slowest good one, ms. */
static int figures(const struct work *w, const struct load_work *l, const struct before *b, struct baseline *ret, double *most) {
    struct latencies all = {0};
    int64_t slowest = 0;
    int rc = 0;
    *ret = (struct baseline){.p50_ms = NAN, .p99_ms = NAN, .max_ms = NAN};
    for (size_t i = 0; i < l->count && rc == 0 && l->order[i]->start_ns <= b->until; i++) {
        const struct sample *s = l->order[i];
        bool good = s->outcome == OUTCOME_GOOD;
        int64_t latency = s->end_ns - s->planned_ns;
        if (!is_before(w, l, s, b))
            continue;
        ret->planned++;
        ret->bad += !good;
        slowest = good && latency > slowest ? latency : slowest;
        rc = latencies_add(&all, good ? latency : LATENCY_BAD);
    }
    if (rc == 0 && (rc = latencies_sort(&all)) == 0) {
        ret->p50_ms = latencies_ms(&all, 500000);
        ret->p99_ms = latencies_ms(&all, 990000);
        ret->max_ms = latencies_ms(&all, 1000000);
        *most = (double)slowest / 1e6;
    }
    latencies_free(&all);
    return rc;
}

/* Nothing that the load did without any fault counts as a fault's degradation, and a little more than that does not either. */
static struct slow limit(struct work *w, const struct load_work *l, const struct baseline *b, double most) {
    char ms[WORDS_SIZE], have[WORDS_SIZE];
    const char *why;
    if (b->planned < BASELINE_LEAST) {
        why = arena_printf(w->a, "the baseline takes %d requests%s, there were %s; %s, or set the load's \"slow\"",
                           BASELINE_LEAST, w->first_act == UNKNOWN_NS ? "" : " before the first fault", words_count(b->planned, have),
                           w->first_act == UNKNOWN_NS ? "let it last longer" : "begin the faults later");
        return (struct slow){.unknown = why ? why : "the baseline is too short"};
    }
    if (isinf(b->p99_ms))
        return (struct slow){.unknown = "requests were bad already before the first fault; set the load's \"slow\""};
    double slow = fmax(fmax(SLOW_TIMES * b->p99_ms, b->p99_ms + SLOW_MARGIN_MS), most);
    if (l->deadline_ns && slow * 1e6 >= (double)l->deadline_ns) {
        why = arena_printf(w->a, "the baseline puts the limit at %s, which is not within the deadline; set the load's \"slow\"", words_ms(slow, ms));
        return (struct slow){.unknown = why ? why : "the baseline's limit is not within the deadline"};
    }
    return (struct slow){.ns = llround(slow * 1e6)};
}

int baseline_measure(struct work *w, size_t load, struct error *err) {
    struct load_work *l = &w->loads[load];
    int64_t first = l->count ? l->order[0]->planned_ns : 0;
    struct before b = {.from = first + WARM_UP_NS, .until = w->first_act == UNKNOWN_NS ? INT64_MAX : w->first_act, .lane = -1};
    double most = 0;
    if (figures(w, l, &b, &l->whole, &most) < 0)
        return out_of_memory(err);
    struct slow whole = limit(w, l, &l->whole, most);
    for (b.lane = 0; b.lane < LANE_COUNT; b.lane++) {
        struct baseline *own = &l->lanes[b.lane];
        if (figures(w, l, &b, own, &most) < 0)
            return out_of_memory(err);
        bool enough = own->planned >= BASELINE_LEAST;
        l->slow[b.lane] = l->slow_ns ? (struct slow){.ns = l->slow_ns} : enough ? limit(w, l, own, most) : whole;
    }
    return 0;
}
