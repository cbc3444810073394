/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Distribution-free bounds of a quantile by order statistics (Hahn, Meeker: Statistical Intervals, section 5.2): the k-th smallest of n
 * independent values is an upper bound of the q-quantile with the confidence P(Bin(n, q) <= k - 1), a lower one with P(Bin(n, q) >= k). */
#include <stddef.h>

#define CONFIDENCE 0.95

/* Ranks from 1; 0: n values are too few for such a bound. 0 < q < 1. */
size_t rank_upper(size_t n, double q);
size_t rank_lower(size_t n, double q);
/* The least n for which there is an upper bound: 59 for q = 0.95, 299 for 0.99. */
size_t rank_least_n(double q);
