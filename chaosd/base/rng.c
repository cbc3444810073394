/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include "base/hash.h"

static uint64_t splitmix(uint64_t *x) {
    uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void rng_seed(struct rng *r, uint64_t seed) {
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
}

void rng_derive(struct rng *r, uint64_t seed, const char *name) {
    uint64_t mixed = seed;
    rng_seed(r, splitmix(&mixed) ^ hash_text(HASH_SEED, name));
}

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t rng_u64(struct rng *r) {
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t n) {
    if (!n)
        return 0;
    uint64_t floor = -n % n, x; /* 2^64 mod n: what would be over-represented is drawn again */
    do
        x = rng_u64(r);
    while (x < floor);
    return x % n;
}

double rng_unit(struct rng *r) { return (double)(rng_u64(r) >> 11) * 0x1p-53; }
