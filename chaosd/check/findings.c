/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "check/orderstat.h"
#include "check/thresholds.h"
#include "check/words.h"

#include <math.h>
#include <string.h>

static bool at_least(const struct expect *e) { return e->compare == CMP_GT || e->compare == CMP_GE; }

/* Seconds into the schedule, as the report shows times. */
static double schedule_s(const struct work *w, int64_t t) {
    return (double)(t - (w->j->schedule_t == UNKNOWN_NS ? 0 : w->j->schedule_t)) / 1e9;
}

static const char stalled_text[] = "chaosd itself stalled in the meantime";

/* Stalls of chaosd leave two ends: all it missed was bad, and none of what was bad then was the target's fault. */
static void find_requests(const struct lane_figures *f, const struct row *r, bool errors, struct finding *ret) {
    if (!f->planned) {
        ret->unknown = "no request was planned";
        return;
    }
    double good = (double)f->good, bad = (double)(f->planned - f->good);
    double most = (double)(f->planned - r->stalled_bad), least = (double)(f->planned + f->stalled_unsent);
    ret->value = 100 * (errors ? bad : good) / (double)f->planned;
    ret->lo = errors ? 100 * (bad - (double)r->stalled_bad) / most : 100 * good / least;
    ret->hi = errors ? 100 * (bad + (double)f->stalled_unsent) / least : 100 * good / most;
    ret->unknown = stalled_text;
}

/* By how much more a window would have lasted had all been bad that chaosd missed while it closed. */
static double missed_ns(const struct downtime *d) {
    return d->late != UNKNOWN_NS && d->end != UNKNOWN_NS ? (double)d->late - (double)d->end : 0;
}

static void find_time(const struct lane_figures *f, const struct row *r, struct finding *ret) {
    double span = (double)r->to - (double)r->from, lost = 0, missed = r->blind_total;
    bool stalled = false;
    for (size_t i = 0; i < f->downtime_count; i++) {
        stalled |= f->downtime[i].stalled;
        lost += f->downtime[i].stalled ? 0 : (double)f->downtime[i].min;
        missed += missed_ns(&f->downtime[i]);
    }
    ret->value = 100 * f->by_time;
    if (stalled) {
        ret->lo = 0;
        ret->hi = 100 * (1 - lost / span);
        ret->unknown = stalled_text;
        return;
    }
    bool known = !isnan(f->by_time);
    ret->lo = known ? ret->value : 100 * f->time_low;
    ret->hi = known ? ret->value : 100 * f->time_high;
    ret->unknown = isnan(ret->lo) ? "no time was observed" : missed > 0 ? stalled_text : "a downtime window has no known beginning or end";
    if (missed > 0 && !isnan(ret->lo))
        ret->lo = fmax(0, ret->lo - 100 * missed / span);
}

/* Why a window's length is not known, for a person who wants to mend it. */
static const char *window_unknown(struct work *w, const struct downtime *d) {
    double at = schedule_s(w, d->start);
    char ms[WORDS_SIZE];
    const char *text;
    if (d->stalled)
        text = arena_printf(w->a, "chaosd itself stalled in the window at %.1f s", at);
    else if (d->short_by != UNKNOWN_NS)
        text = arena_printf(w->a, "the window at %.1f s never closed: the load ended %s after the first good one; "
                                  "give the load more time after the last fault (duration)", at,
                            words_ms(words_ns_ms(d->short_by), ms));
    else if (d->end == UNKNOWN_NS)
        text = arena_printf(w->a, "the window at %.1f s never closed: the load ended first, when it had lasted at least %s", at,
                            words_ms(words_ns_ms(d->min), ms));
    else
        text = arena_printf(w->a, "the window at %.1f s has no good request before it", at);
    return text ? text : "a window's length is not known";
}

/* One window's contribution: "at most" looks at the bracket's upper end, "at least" at its lower one. */
static void window_bounds(const struct expect *e, const struct downtime *d, double *lo, double *hi) {
    bool known = d->max != UNKNOWN_NS || at_least(e);
    double judged = at_least(e) || d->max == UNKNOWN_NS ? (double)d->min : (double)d->max;
    *lo = d->stalled ? 0 : judged / 1e6;
    *hi = d->stalled || !known ? INFINITY : judged / 1e6;
}

static void join(bool total, double *sum, double one) { *sum = total ? *sum + one : fmax(*sum, one); }

static void find_downtime(struct work *w, const struct expect *e, const struct lane_figures *f, const struct row *r, struct finding *ret) {
    bool total = e->metric == METRIC_DOWNTIME_TOTAL;
    ret->lo = ret->hi = ret->value = 0;
    for (size_t i = 0; i < f->downtime_count; i++) {
        double lo, hi, missed = missed_ns(&f->downtime[i]);
        window_bounds(e, &f->downtime[i], &lo, &hi);
        if (isinf(hi))
            ret->unknown = window_unknown(w, &f->downtime[i]);
        else if (missed > 0 && !ret->unknown)
            ret->unknown = stalled_text;
        join(total, &ret->lo, lo);
        join(total, &ret->value, hi);
        join(total, &ret->hi, hi + missed / 1e6);
    }
    if (r->blind_count && !isinf(ret->hi)) { /* there may have been one that nobody saw */
        join(total, &ret->hi, r->blind_end ? INFINITY : (total ? r->blind_total : (double)r->blind_max) / 1e6);
        ret->unknown = stalled_text;
    }
    if (isinf(ret->value))
        ret->value = NAN;
}

static void find_count(const struct lane_figures *f, const struct row *r, struct finding *ret) {
    ret->lo = ret->hi = ret->value = (double)f->downtime_count;
    for (size_t i = 0; i < f->downtime_count; i++)
        ret->lo -= f->downtime[i].stalled;
    ret->hi += (double)r->blind_count;
    ret->unknown = stalled_text;
}

static void find_latency(struct work *w, const struct expect *e, const struct lane_figures *f, const struct row *r, struct finding *ret) {
    size_t n = r->latencies.count;
    char have[WORDS_SIZE], need[WORDS_SIZE];
    if (!n) {
        ret->unknown = "no request was planned";
        return;
    }
    /* A quantile that no single value lies beyond is the maximum under another name. */
    int64_t beyond = 1000000 - e->quantile_ppm;
    if (beyond && (double)n * (double)beyond < 1e6) {
        ret->unknown = arena_printf(w->a, "it takes at least %s requests, there were %s",
                                    words_count((1000000 + beyond - 1) / beyond, need), words_count((int64_t)n, have));
        return;
    }
    size_t k = quantile_rank(n, e->quantile_ppm), worst = quantile_rank(n + (size_t)f->stalled_unsent, e->quantile_ppm);
    struct latencies upper = r->latencies, lower = r->latencies;
    ret->value = latencies_ms(&r->latencies, e->quantile_ppm);
    lower.count = upper.count = 1;
    lower.ns += k >= (size_t)r->touched ? k - (size_t)r->touched : 0;
    upper.ns += worst < n ? worst : n - 1;
    ret->lo = k >= (size_t)r->touched ? latencies_ms(&lower, 1000000) : 0;
    ret->hi = worst < n ? latencies_ms(&upper, 1000000) : INFINITY;
    ret->unknown = stalled_text;
}

void find_in_row(struct work *w, const struct expect *e, size_t row, struct finding *ret) {
    const struct lane_figures *f = &w->j->lanes[row];
    const struct row *r = &w->rows[row];
    switch (e->metric) {
    case METRIC_AVAILABILITY:
    case METRIC_ERRORS:
        find_requests(f, r, e->metric == METRIC_ERRORS, ret);
        break;
    case METRIC_AVAILABILITY_TIME:
        find_time(f, r, ret);
        break;
    case METRIC_DOWNTIME_MAX:
    case METRIC_DOWNTIME_TOTAL:
        find_downtime(w, e, f, r, ret);
        break;
    case METRIC_DOWNTIME_COUNT:
        find_count(f, r, ret);
        break;
    case METRIC_STALE_RETRIES: /* what was not sent could have met a dead one too */
        ret->value = ret->lo = (double)f->stale_retry;
        ret->hi = ret->lo + (double)f->stalled_unsent;
        ret->unknown = stalled_text;
        break;
    case METRIC_LATENCY:
        find_latency(w, e, f, r, ret);
        break;
    case METRIC_RECOVERY:
    case METRIC_COUNT:
        break;
    }
}

struct recoveries {
    double *lo, *hi;
    size_t n;
    const char *unknown;
};

/* What is known of one act's milestone; false: it has none, as nobody noticed the act. */
static bool milestone(const struct work *w, const struct act_figures *f, enum milestone m, double *lo, double *hi, const char **unknown) {
    const int64_t values[] = {[MILESTONE_DETECT] = f->detect, [MILESTONE_FIRST_GOOD] = f->first_good, [MILESTONE_SUSTAINED] = f->sustained,
                              [MILESTONE_REDUNDANCY] = f->redundancy};
    int64_t v = values[m];
    bool unnoticed = !f->noticed && f->sustained == 0;
    if (m == MILESTONE_DETECT && unnoticed)
        return false;
    if (m == MILESTONE_FIRST_GOOD && unnoticed)
        v = 0; /* the users never lost it */
    *lo = *hi = words_ns_ms(v);
    if (f->stalled && m != MILESTONE_REDUNDANCY) {
        *lo = 0;
        *hi = INFINITY;
        *unknown = stalled_text;
    } else if (m == MILESTONE_SUSTAINED && f->late != UNKNOWN_NS) {
        *hi = fmax(*hi, words_ns_ms(f->late));
        *unknown = stalled_text;
    } else if (v == UNKNOWN_NS) {
        int64_t least = m == MILESTONE_REDUNDANCY ? (f->censored && w->j->end_t != UNKNOWN_NS ? w->j->end_t - f->at : 0)
                        : m == MILESTONE_DETECT   ? 0
                                                  : f->at_least;
        *lo = least > 0 ? (double)least / 1e6 : 0;
        *hi = INFINITY;
        *unknown = f->censored ? "a recovery was not reached before the run ended" : "it was not measured";
    }
    return true;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int collect(struct work *w, const struct expect *e, struct recoveries *r, struct error *err) {
    size_t size = (w->j->act_count + 1) * sizeof(double);
    r->lo = arena_alloc(w->a, size);
    r->hi = arena_alloc(w->a, size);
    if (!r->lo || !r->hi)
        return out_of_memory(err);
    for (size_t i = 0; i < w->j->act_count; i++) {
        const struct act_figures *f = &w->j->acts[i];
        if (f->acted && (!*e->of || !strcmp(e->of, f->fault)))
            r->n += milestone(w, f, e->milestone, &r->lo[r->n], &r->hi[r->n], &r->unknown);
    }
    qsort(r->lo, r->n, sizeof(double), by_value);
    qsort(r->hi, r->n, sizeof(double), by_value);
    return 0;
}

int find_recovery(struct work *w, const struct expect *e, struct finding *ret, struct error *err) {
    struct recoveries r = {0};
    int rc = collect(w, e, &r, err);
    if (rc < 0)
        return rc;
    if (!r.n) {
        ret->unknown = e->milestone == MILESTONE_DETECT ? "there was no act that a load noticed" : "there was no act";
        return 0;
    }
    double q = (double)e->quantile_ppm / 1e6;
    size_t upper = q < 1 ? rank_upper(r.n, q) : r.n, lower = q < 1 ? rank_lower(r.n, q) : r.n;
    ret->lo = lower ? r.lo[lower - 1] : 0;
    ret->hi = upper ? r.hi[upper - 1] : INFINITY;
    ret->value = isinf(ret->hi) ? NAN : ret->hi;
    ret->unknown = upper && isinf(ret->hi) ? r.unknown
                   : upper                 ? "the acts are too few to tell: the bounds lie on both sides of the limit"
                                           : arena_printf(w->a, "it takes at least %zu acts, there were %zu", rank_least_n(q), r.n);
    return 0;
}
