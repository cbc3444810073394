/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Distribution-free bounds of a quantile by order statistics (Hahn, Meeker: Statistical Intervals, section 5.2): the k-th smallest of n
 * independent values is an upper bound of the q-quantile with the confidence P(Bin(n, q) <= k - 1), a lower one with P(Bin(n, q) >= k). */
#include <stddef.h>

#define CONFIDENCE 0.95      /* of a bound on one side */
#define CONFIDENCE_EACH 0.975 /* of each end of an interval that is to have 95 % */

/* Ranks from 1; 0: n values are too few for such a bound. 0 < q < 1. */
size_t rank_upper(size_t n, double q, double confidence);
size_t rank_lower(size_t n, double q, double confidence);
/* The least n for which there is an upper bound: with 95 %, 59 for q = 0.95 and 299 for 0.99. */
size_t rank_least_n(double q, double confidence);
/* Wilson's interval of a proportion from k of n, with 95 %; [0, 1] of none. Wilson, Probable inference, JASA 22 (1927). */
void wilson_at(size_t k, size_t n, double z, double *lo, double *hi); /* with another confidence, by the normal distribution's quantile */
#define WILSON_99 2.5758293035489004
void wilson(size_t k, size_t n, double *lo, double *hi);
