/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Seeded random numbers: xoshiro256** (Blackman, Vigna 2018), seeded through splitmix64. The stream is part of
 * the contract "same seed, same plan": never change it without a new schema version. */
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
/* An independent stream for a named part (a fault, a load), so that adding one does not move the others. */
void rng_derive(struct rng *r, uint64_t seed, const char *name);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* uniform in [0, n), without modulo bias; 0 for n = 0 */
double rng_unit(struct rng *r);                /* uniform in [0, 1), 53 bits */
