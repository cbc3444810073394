/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Many recoveries, of one run or of several: what is known of each as a span of ms, and of their quantiles. One that was never
 * reached lasts at least so long, and for all that is known for ever: a quantile is known only where it lies below all of those. */
#include "check/expect.h"
#include "check/judge.h"

struct recoveries {
    double *lo, *hi; /* each sorted on its own: the k-th smallest recovery lies between lo[k - 1] and hi[k - 1] */
    size_t count, cap;
    size_t open;         /* of which the end is not known */
    size_t unmeasured;   /* of which nothing at all is known */
    const char *unknown; /* why, or NULL */
};

/* What is known of one act's milestone; false: it has none, as nobody noticed the act. lo = hi: exactly that. */
bool recovery_bounds(const struct judgement *j, const struct act_figures *f, enum milestone m, double *lo, double *hi, const char **unknown);
/* Adds those of a fault's acts (NULL: of all) that were carried out and have one. The victims of one planned act are one, as they met the same
 * moment: the slowest of them. 0 or -ENOMEM. */
int recoveries_add(struct recoveries *r, const struct judgement *j, const char *fault, enum milestone m);
void recoveries_sort(struct recoveries *r);
void recoveries_free(struct recoveries *r);
/* Confidence bounds of the q-quantile of all such recoveries; each to be had on its own: lo 0, hi INFINITY where there is none.
 * *enough: whether there are enough of them for an upper one. q 1: the largest of these. */
void recoveries_quantile(const struct recoveries *r, double q, double confidence, double *lo, double *hi, bool *enough);
