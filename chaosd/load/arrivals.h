/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Planned arrivals: a pure sequence of times. Constant: i / rate, without drift. Poisson: exponential gaps.
 * A rate of 0 never arrives: peek gives INT64_MAX. */
#include "base/rng.h"

#include <stdint.h>

enum arrival_kind { ARRIVAL_CONSTANT, ARRIVAL_POISSON };
struct arrivals {
    enum arrival_kind kind;
    int64_t micro_per_s; /* events a second * 10^6 */
    int64_t next_ns;     /* since the load's start */
    uint64_t index;
    double carry_ns;     /* poisson: the part of a ns not yet given out */
    struct rng rng;
};
void arrivals_init(struct arrivals *a, enum arrival_kind kind, int64_t micro_per_s, uint64_t seed, const char *name);
int64_t arrivals_peek(const struct arrivals *a);
void arrivals_advance(struct arrivals *a);
