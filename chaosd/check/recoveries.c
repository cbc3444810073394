/* SPDX-License-Identifier: Apache-2.0 */
#include "check/recoveries.h"

#include "base/cleanup.h"
#include "check/orderstat.h"
#include "check/words.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool recovery_bounds(const struct judgement *j, const struct act_figures *f, enum milestone m, double *lo, double *hi, const char **unknown) {
    const int64_t values[] = {[MILESTONE_DETECT] = f->detect, [MILESTONE_FIRST_GOOD] = f->first_good, [MILESTONE_SUSTAINED] = f->sustained,
                              [MILESTONE_REDUNDANCY] = f->redundancy};
    int64_t v = values[m];
    bool unnoticed = !f->noticed && f->sustained == 0;
    if (m == MILESTONE_DETECT && unnoticed)
        return false;
    if (m == MILESTONE_FIRST_GOOD && unnoticed)
        v = 0; /* the users never lost it */
    *lo = *hi = words_ns_ms(v);
    if ((f->stalled || f->suspect) && m != MILESTONE_REDUNDANCY) {
        *lo = m == MILESTONE_SUSTAINED ? (double)f->certain / 1e6 : 0;
        *hi = INFINITY;
        *unknown = f->stalled ? stalled_text : f->suspect;
    } else if (m == MILESTONE_SUSTAINED && f->late != UNKNOWN_NS) {
        *hi = fmax(*hi, words_ns_ms(f->late));
        *unknown = stalled_text;
    } else if (v == UNKNOWN_NS) {
        int64_t least = m == MILESTONE_REDUNDANCY ? (f->short_of && j->end_t != UNKNOWN_NS ? j->end_t - f->at : 0)
                        : m == MILESTONE_DETECT   ? 0
                                                  : f->at_least;
        *lo = least > 0 ? (double)least / 1e6 : 0;
        *hi = INFINITY;
        *unknown = f->censored ? "a recovery was not seen before the run ended" : "it was not measured";
    }
    return true;
}

static int add(struct recoveries *r, double lo, double hi) {
    if (r->count == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        double *more_lo = realloc(r->lo, cap * sizeof *more_lo), *more_hi = realloc(r->hi, cap * sizeof *more_hi);
        r->lo = more_lo ? more_lo : r->lo;
        r->hi = more_hi ? more_hi : r->hi;
        if (!more_lo || !more_hi)
            return -ENOMEM;
        r->cap = cap;
    }
    r->lo[r->count] = lo;
    r->hi[r->count++] = hi;
    r->open += isinf(hi) != 0;
    r->unmeasured += lo <= 0 && isinf(hi);
    return 0;
}

static int by_plan(const void *a, const void *b) {
    const struct act_figures *x = *(struct act_figures *const *)a, *y = *(struct act_figures *const *)b;
    int fault = strcmp(x->fault, y->fault);
    return fault ? fault : (x->occurrence > y->occurrence) - (x->occurrence < y->occurrence);
}

int recoveries_add(struct recoveries *r, const struct judgement *j, const char *fault, enum milestone m) {
    cleanup_free const struct act_figures **order = calloc(j->act_count + 1, sizeof *order);
    size_t n = 0;
    int rc = order ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < j->act_count; i++)
        if (j->acts[i].acted && (!fault || !strcmp(fault, j->acts[i].fault)))
            order[n++] = &j->acts[i];
    if (n)
        qsort(order, n, sizeof *order, by_plan);
    for (size_t from = 0, to; rc == 0 && from < n; from = to) {
        double lo = 0, hi = 0, one_lo, one_hi;
        bool any = false;
        for (to = from; to < n && !by_plan(&order[from], &order[to]); to++)
            if (recovery_bounds(j, order[to], m, &one_lo, &one_hi, &r->unknown)) {
                lo = any ? fmax(lo, one_lo) : one_lo;
                hi = any ? fmax(hi, one_hi) : one_hi;
                any = true;
            }
        if (any)
            rc = add(r, lo, hi);
    }
    return rc;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void recoveries_sort(struct recoveries *r) {
    if (!r->count)
        return;
    qsort(r->lo, r->count, sizeof *r->lo, by_value);
    qsort(r->hi, r->count, sizeof *r->hi, by_value);
}

void recoveries_free(struct recoveries *r) {
    free(r->lo);
    free(r->hi);
    *r = (struct recoveries){0};
}

void recoveries_quantile(const struct recoveries *r, double q, double confidence, double *lo, double *hi, bool *enough) {
    size_t upper = q < 1 ? rank_upper(r->count, q, confidence) : r->count, lower = q < 1 ? rank_lower(r->count, q, confidence) : r->count;
    *enough = upper > 0;
    *lo = lower ? r->lo[lower - 1] : 0;
    *hi = upper ? r->hi[upper - 1] : INFINITY;
}
