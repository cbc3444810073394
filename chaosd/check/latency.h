/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Exact latency quantiles, by the nearest rank: the smallest value that at least the asked share of all values does not exceed. */
#include <stddef.h>
#include <stdint.h>

#define LATENCY_BAD INT64_MAX /* a bad request counts as infinite */

struct latencies {
    int64_t *ns;
    size_t count, cap;
};

int latencies_add(struct latencies *l, int64_t ns); /* negative counts as 0; 0 or -ENOMEM */
int latencies_sort(struct latencies *l);            /* 0 or -ENOMEM; in linear time */
void latencies_free(struct latencies *l);
/* Rank (from 0) of the quantile among n values; n > 0. quantile_ppm 1000000: the largest. */
size_t quantile_rank(size_t n, int64_t quantile_ppm);
/* In ms; INFINITY where a bad one falls there, NaN when there is none. Sorted first. */
double latencies_ms(const struct latencies *l, int64_t quantile_ppm);
