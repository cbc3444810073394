/* SPDX-License-Identifier: Apache-2.0 */
#include "load/arrivals.h"

#include <math.h>
#include <stdio.h>

#define MICRO_NS INT64_C(1000000000000000) /* ns a second * 10^6: a rate is in millionths of an event a second */

/* From the index, never by adding gaps: rounding does not pile up over days. */
static int64_t constant_at(const struct arrivals *a) {
    unsigned __int128 t = (unsigned __int128)a->index * (uint64_t)MICRO_NS / (uint64_t)a->micro_per_s;
    return t > INT64_MAX ? INT64_MAX : (int64_t)t;
}

/* Inverse of the exponential distribution; log1p keeps the small gaps exact. What is less than a ns is carried over. */
static int64_t poisson_after(struct arrivals *a, int64_t last) {
    double gap = -log1p(-rng_unit(&a->rng)) * ((double)MICRO_NS / (double)a->micro_per_s) + a->carry_ns;
    double whole = floor(gap);
    a->carry_ns = gap - whole;
    if (whole >= (double)(INT64_MAX - last))
        return INT64_MAX;
    return last + (int64_t)whole;
}

void arrivals_init(struct arrivals *a, enum arrival_kind kind, int64_t micro_per_s, uint64_t seed, const char *name) {
    char stream[80]; /* a load and a fault of one name draw from different streams */
    snprintf(stream, sizeof stream, "load/%s", name);
    *a = (struct arrivals){.kind = kind, .micro_per_s = micro_per_s};
    rng_derive(&a->rng, seed, stream);
    if (micro_per_s <= 0)
        a->next_ns = INT64_MAX;
    else if (kind == ARRIVAL_POISSON)
        a->next_ns = poisson_after(a, 0);
}

int64_t arrivals_peek(const struct arrivals *a) { return a->next_ns; }

void arrivals_advance(struct arrivals *a) {
    if (a->next_ns == INT64_MAX)
        return;
    a->index++;
    a->next_ns = a->kind == ARRIVAL_POISSON ? poisson_after(a, a->next_ns) : constant_at(a);
}
