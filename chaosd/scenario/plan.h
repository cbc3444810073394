/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The plan: a pure function of scenario and seed. When, what, and the random draw that will pick the victim. */
#include "scenario/scenario.h"

struct plan_act {
    size_t fault;        /* index into the scenario's faults */
    unsigned occurrence; /* 1.. of that fault */
    int64_t at_ns;       /* since the schedule's start */
    int64_t for_ns;      /* 0: nothing is held */
    uint64_t draw;
};

struct plan {
    uint64_t seed;
    struct plan_act *acts; /* by time, then fault, then occurrence */
    size_t count;
};

int plan_make(const struct scenario *s, uint64_t seed, struct plan *ret, struct error *err);
void plan_free(struct plan *p); /* NULL-safe, frees the acts */
/* {"scenario", "seed", "duration_ns", "duration", "settle_ns", "faults": [{"name", "kind", "asked", "planned"}],
 *  "acts": [{"fault", "name", "kind", "occurrence", "at_ns", "at", "for_ns", "for", "draw"}]}; asked is null for as many as fit.
 * New reference, key order is fixed; NULL: out of memory. */
json_t *plan_to_json(const struct plan *p, const struct scenario *s);
