/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "check/orderstat.h"
#include "check/recoveries.h"
#include "check/thresholds.h"
#include "check/words.h"

#include <math.h>
#include <string.h>

static bool at_least(const struct expect *e) { return e->compare == CMP_GT || e->compare == CMP_GE; }

/* Seconds into the schedule, as the report shows times. */
static double schedule_s(const struct work *w, int64_t t) {
    return (double)(t - (w->j->schedule_t == UNKNOWN_NS ? 0 : w->j->schedule_t)) / 1e9;
}

/* Stalls of chaosd leave two ends: all it missed was bad, and none of what was bad then was the target's fault. */
static void find_requests(const struct lane_figures *f, const struct row *r, bool errors, struct finding *ret) {
    if (!f->planned) {
        ret->unknown = "no request was planned";
        return;
    }
    double good = (double)f->good, bad = (double)(f->planned - f->good);
    double most = (double)(f->planned - r->down.stalled_bad), least = (double)(f->planned + f->stalled_unsent);
    ret->value = 100 * (errors ? bad : good) / (double)f->planned;
    ret->lo = errors ? 100 * (bad - (double)r->down.stalled_bad) / most : 100 * good / least;
    ret->hi = errors ? 100 * (bad + (double)f->stalled_unsent) / least : 100 * good / most;
    ret->unknown = r->down.suspect ? r->down.suspect : stalled_text;
}

static bool not_judged(const struct downtime *d) { return d->stalled || d->suspect; }

/* By how much more a window would have lasted had all been bad that chaosd missed while it closed. */
static double missed_ns(const struct downtime *d) {
    return d->late != UNKNOWN_NS && d->end != UNKNOWN_NS ? (double)d->late - (double)d->end : 0;
}

/* Likely lengths of the windows there would be, were all bad that chaosd missed. */
static double worst_lost(const struct windows *list) {
    double sum = 0;
    for (size_t i = 0; i < list->count; i++)
        sum += window_point(&list->list[i]) != WINDOW_UNKNOWN ? (double)window_point(&list->list[i]) : 0;
    return sum;
}

static void find_time(const struct lane_figures *f, const struct row *r, struct finding *ret) {
    double span = (double)r->to - (double)r->from, lost = 0, missed = r->down.blind_total;
    bool stalled = false;
    for (size_t i = 0; i < f->downtime_count; i++) {
        bool open = not_judged(&f->downtime[i]);
        stalled |= open;
        lost += (double)(open ? f->downtime[i].certain : f->downtime[i].min);
        missed += missed_ns(&f->downtime[i]);
    }
    ret->value = 100 * f->by_time;
    if (stalled) {
        ret->lo = 0;
        ret->hi = 100 * (1 - lost / span);
        ret->unknown = r->down.suspect ? r->down.suspect : stalled_text;
        return;
    }
    bool known = !isnan(f->by_time);
    ret->lo = known ? ret->value : 100 * f->time_low;
    ret->hi = known ? ret->value : 100 * f->time_high;
    ret->unknown = isnan(ret->lo) ? "no time was observed" : missed > 0 ? stalled_text : "a downtime window has no known beginning or end";
    double least = known ? 100 * (1 - worst_lost(&r->worst) / span) : NAN;
    if (missed > 0 && !isnan(ret->lo))
        ret->lo = fmax(0, ret->lo - 100 * missed / span);
    if (least < ret->lo - 1e-9) {
        ret->lo = fmax(0, least);
        ret->unknown = stalled_text;
    }
}

/* Why a window's length is not known, for a person who wants to mend it. */
static const char *window_unknown(struct work *w, const struct downtime *d) {
    double at = schedule_s(w, d->start);
    char ms[WORDS_SIZE];
    const char *text;
    if (d->stalled)
        text = arena_printf(w->a, "chaosd itself stalled in the window at %.1f s", at);
    else if (d->suspect)
        text = arena_printf(w->a, "the window at %.1f s is not judged, for %s", at, d->suspect);
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
    *lo = (not_judged(d) ? (double)d->certain : judged) / 1e6;
    *hi = not_judged(d) || !known ? INFINITY : judged / 1e6;
}

static void join(bool total, double *sum, double one) { *sum = total ? *sum + one : fmax(*sum, one); }

/* The windows that a threshold looks at. */
struct windows_view { const struct downtime *list; size_t count; const struct track *track; bool total; const struct windows *worst; };

/* One that never closed counts to the first good after it: the requests at the load's end were seen. */
static double worst_ns(const struct expect *e, const struct window *win) {
    if (at_least(e))
        return (double)window_min(win);
    int64_t end = win->end != WINDOW_UNKNOWN ? win->end : win->goods_after ? win->first_good_end : win->last_start;
    return (double)(end - (win->before != WINDOW_UNKNOWN ? win->before : win->first_start));
}

static void find_length(struct work *w, const struct expect *e, const struct windows_view *v, struct finding *ret) {
    const struct track *t = v->track;
    ret->lo = ret->hi = ret->value = 0;
    for (size_t i = 0; i < v->count; i++) {
        double lo, hi, missed = missed_ns(&v->list[i]);
        window_bounds(e, &v->list[i], &lo, &hi);
        if (isinf(hi))
            ret->unknown = window_unknown(w, &v->list[i]);
        else if (missed > 0 && !ret->unknown)
            ret->unknown = stalled_text;
        join(v->total, &ret->lo, lo);
        join(v->total, &ret->value, hi);
        join(v->total, &ret->hi, hi + missed / 1e6);
    }
    if (t->blind_count && !isinf(ret->hi)) { /* there may have been one that nobody saw */
        join(v->total, &ret->hi, t->blind_end ? INFINITY : (v->total ? t->blind_total : (double)t->blind_max) / 1e6);
        ret->unknown = stalled_text;
    }
    if (isinf(ret->value))
        ret->value = NAN;
    double worst = 0;
    for (size_t i = 0; v->worst && i < v->worst->count; i++)
        join(v->total, &worst, worst_ns(e, &v->worst->list[i]) / 1e6);
    if (worst > ret->hi + 1e-6) {
        ret->hi = worst;
        ret->unknown = stalled_text;
    }
}

static void find_count(const struct windows_view *v, struct finding *ret) {
    ret->lo = ret->hi = ret->value = (double)v->count;
    for (size_t i = 0; i < v->count; i++)
        ret->lo -= not_judged(&v->list[i]);
    for (size_t i = 0; i < v->track->windows.count; i++)
        ret->hi += v->track->windows.list[i].split;
    ret->hi += (double)v->track->blind_count;
    if (v->worst)
        ret->hi = fmax(ret->hi, (double)v->worst->count);
    ret->unknown = v->track->suspect ? v->track->suspect : stalled_text;
}

static void find_windows(struct work *w, const struct expect *e, const struct lane_figures *f, const struct row *r, struct finding *ret) {
    bool slow = e->metric >= METRIC_DEGRADATION_MAX && e->metric <= METRIC_DEGRADATION_COUNT, unknown = slow && !f->slow_known;
    struct windows_view v = {f->downtime, f->downtime_count, &r->down, e->metric == METRIC_DOWNTIME_TOTAL || e->metric == METRIC_DEGRADATION_TOTAL, &r->worst};
    if (slow && !unknown)
        v = (struct windows_view){f->degradation, f->degradation_count, &r->slow, v.total, &r->worst};
    if (e->metric != METRIC_DOWNTIME_COUNT && e->metric != METRIC_DEGRADATION_COUNT)
        find_length(w, e, &v, ret);
    else
        find_count(&v, ret);
    if (!unknown)
        return;
    /* Without a limit only downtime is known, and all of it lies in a degradation; several may lie in one. */
    if (e->metric == METRIC_DEGRADATION_COUNT)
        ret->lo = ret->lo > 0;
    ret->hi = INFINITY;
    ret->value = NAN;
    ret->unknown = f->slow_unknown;
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
    size_t doubtful = (size_t)(r->touched + (r->down.suspect ? r->down.stalled_bad : 0)); /* may have been good and quick */
    struct latencies upper = r->latencies, lower = r->latencies;
    ret->value = latencies_ms(&r->latencies, e->quantile_ppm);
    lower.count = upper.count = 1;
    lower.ns += k >= doubtful ? k - doubtful : 0;
    upper.ns += worst < n ? worst : n - 1;
    ret->lo = k >= doubtful ? latencies_ms(&lower, 1000000) : 0;
    ret->hi = worst < n ? latencies_ms(&upper, 1000000) : INFINITY;
    ret->unknown = r->down.suspect ? r->down.suspect : stalled_text;
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
    case METRIC_DOWNTIME_COUNT:
    case METRIC_DEGRADATION_MAX:
    case METRIC_DEGRADATION_TOTAL:
    case METRIC_DEGRADATION_COUNT:
        find_windows(w, e, f, r, ret);
        break;
    case METRIC_STALE_RETRIES: /* what was not sent could have met a dead one too */
        ret->value = ret->lo = (double)f->stale_retry;
        ret->hi = ret->lo + (double)f->stalled_unsent;
        ret->unknown = stalled_text;
        break;
    case METRIC_LATENCY:
        find_latency(w, e, f, r, ret);
        break;
    case METRIC_LEDGER_LOST:
    case METRIC_LEDGER_STALE:
    case METRIC_LEDGER_UNKNOWN:
    case METRIC_RPO:
    case METRIC_RECOVERY:
    case METRIC_PROBE:
    case METRIC_COUNT:
        break;
    }
}

int find_recovery(struct work *w, const struct expect *e, struct finding *ret, struct error *err) {
    cleanup(recoveries_free) struct recoveries r = {0};
    if (recoveries_add(&r, w->j, *e->of ? e->of : NULL, e->milestone) < 0)
        return out_of_memory(err);
    if (!r.count) {
        ret->unknown = e->milestone == MILESTONE_DETECT ? "there was no act that a load noticed" : "there was no act";
        return 0;
    }
    double q = (double)e->quantile_ppm / 1e6;
    bool enough;
    recoveries_sort(&r);
    recoveries_quantile(&r, q, CONFIDENCE, &ret->lo, &ret->hi, &enough);
    ret->value = isinf(ret->hi) ? NAN : ret->hi;
    ret->unknown = enough && isinf(ret->hi) ? r.unknown
                   : enough                 ? "the acts are too few to tell: the bounds lie on both sides of the limit"
                                            : arena_printf(w->a, "it takes at least %zu acts, there were %zu", rank_least_n(q, CONFIDENCE), r.count);
    return 0;
}
