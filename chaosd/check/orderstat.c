/* SPDX-License-Identifier: Apache-2.0 */
#include "check/orderstat.h"

#include <math.h>

/* log P(Bin(n, q) = i) from that of i - 1. */
static double next_term(double log_term, size_t n, double q, size_t i) {
    return log_term + log((double)(n - i + 1) / (double)i) + log(q / (1 - q));
}

size_t rank_upper(size_t n, double q, double confidence) {
    double log_term = (double)n * log1p(-q), sum = 0;
    for (size_t k = 1; k <= n; k++) {
        sum += exp(log_term); /* P(Bin <= k - 1) */
        if (sum >= confidence)
            return k;
        log_term = next_term(log_term, n, q, k);
    }
    return 0;
}

size_t rank_lower(size_t n, double q, double confidence) {
    double log_term = (double)n * log1p(-q), sum = 0;
    size_t best = 0;
    for (size_t k = 1; k <= n; k++) {
        sum += exp(log_term);
        if (sum > 1 - confidence)
            break;
        best = k;
        log_term = next_term(log_term, n, q, k);
    }
    return best;
}

size_t rank_least_n(double q, double confidence) { return (size_t)ceil(log1p(-confidence) / log(q)); }

void wilson_at(size_t k, size_t n, double z, double *lo, double *hi) {
    *lo = 0;
    *hi = 1;
    if (!n)
        return;
    double p = (double)k / (double)n, m = (double)n, middle = p + z * z / (2 * m), half = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m));
    if (k) /* at the ends the bound is the end itself, rounding aside */
        *lo = (middle - half) / (1 + z * z / m);
    if (k < n)
        *hi = (middle + half) / (1 + z * z / m);
}

void wilson(size_t k, size_t n, double *lo, double *hi) { wilson_at(k, n, 1.959963984540054, lo, hi); }
