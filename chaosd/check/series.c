/* SPDX-License-Identifier: Apache-2.0 */
#include "check/series.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "check/internal.h"
#include "check/orderstat.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const milestone_names[] = {
    [MILESTONE_DETECT] = "detect", [MILESTONE_FIRST_GOOD] = "first_good", [MILESTONE_SUSTAINED] = "sustained", [MILESTONE_REDUNDANCY] = "redundancy",
};
enum { MILESTONES = MILESTONE_REDUNDANCY + 1 };

struct series *series_new(size_t runs) {
    struct series *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->arena = arena_new();
    s->runs = calloc(runs + 1, sizeof *s->runs);
    s->run_cap = runs;
    if (s->arena && s->runs)
        return s;
    series_free(s);
    return NULL;
}

void series_free(struct series *s) {
    if (!s)
        return;
    for (size_t i = 0; i < s->recovery_count; i++)
        recoveries_free(&s->recoveries[i].of);
    free(s->recoveries);
    free(s->loads);
    free(s->runs);
    arena_free(s->arena);
    free(s);
}

static const char *text_of(struct series *s, const json_t *header, const char *key) {
    char tmp[64];
    const char *text = json_text(json_object_get(header, key), tmp, sizeof tmp);
    return text ? arena_strdup(s->arena, text) : NULL;
}

static bool same_text(const char *a, const char *b) { return a && b && !strcmp(a, b); }

/* Other parameters make another scenario: its digest is of the resolved one. The seed is not in it. */
static int check_fit(const struct series *s, const struct series_run *r, bool mixed, struct error *err) {
    for (size_t i = 0; i < s->run_count; i++)
        if (same_text(s->runs[i].name, r->name) && s->runs[i].wall_ns == r->wall_ns && r->wall_ns)
            return error_set(err, -EEXIST, "%s is the same run as %s: it would count twice", r->folder, s->runs[i].folder);
    const struct series_run *first = s->runs;
    if (mixed || !s->run_count || (same_text(first->scenario, r->scenario) && (!first->digest || !r->digest || same_text(first->digest, r->digest))))
        return 0;
    if (same_text(first->scenario, r->scenario))
        return error_set(err, -EXDEV, "%s and %s are of \"%s\" with other contents or parameters (%s, %s): their figures do not add up; --mixed takes them together all the same",
                         first->folder, r->folder, r->scenario, first->digest, r->digest);
    return error_set(err, -EXDEV, "%s is of scenario \"%s\", %s of \"%s\": their figures do not add up; --mixed takes them together all the same", first->folder,
                     first->scenario, r->folder, r->scenario);
}

static struct series_load *find_load(struct series *s, const struct lane_figures *f) {
    for (size_t i = 0; i < s->load_count; i++)
        if (!strcmp(s->loads[i].name, f->load))
            return &s->loads[i];
    if (grow(&s->loads, s->load_count, &s->load_cap, sizeof *s->loads) < 0)
        return NULL;
    struct series_load *l = &s->loads[s->load_count];
    *l = (struct series_load){.name = arena_strdup(s->arena, f->load), .control = f->control,
                              .values = arena_alloc(s->arena, (s->run_cap + 1) * sizeof *l->values)};
    if (!l->name || !l->values)
        return NULL;
    for (size_t i = 0; i <= s->run_cap; i++)
        l->values[i] = (struct series_value){.available = NAN, .down_ms = NAN};
    s->load_count++;
    return l;
}

static int add_load(struct series *s, size_t run, const struct lane_figures *f) {
    struct series_load *l = find_load(s, f);
    if (!l)
        return -ENOMEM;
    struct series_value *v = &l->values[run];
    v->available = f->by_requests;
    v->down_ms = f->planned ? 0 : NAN;
    for (size_t i = 0; i < f->downtime_count; i++) {
        const struct downtime *d = &f->downtime[i];
        v->down_ms = fmax(v->down_ms, (double)downtime_known(d) / 1e6);
        v->down_open |= d->max == UNKNOWN_NS;
        v->doubt |= d->stalled || d->suspect;
    }
    return 0;
}

static int add_recoveries(struct series *s, const char *fault, enum milestone m, const struct judgement *j) {
    struct series_recoveries *r = NULL;
    for (size_t i = 0; i < s->recovery_count && !r; i++)
        if (s->recoveries[i].milestone == m && (fault ? same_text(s->recoveries[i].fault, fault) : !s->recoveries[i].fault))
            r = &s->recoveries[i];
    if (!r) {
        const char *name = fault ? arena_strdup(s->arena, fault) : NULL;
        if ((fault && !name) || grow(&s->recoveries, s->recovery_count, &s->recovery_cap, sizeof *s->recoveries) < 0)
            return -ENOMEM;
        r = &s->recoveries[s->recovery_count++];
        *r = (struct series_recoveries){.fault = name, .milestone = m};
    }
    return recoveries_add(&r->of, j, fault, m);
}

static bool first_of_fault(const struct judgement *j, size_t act) {
    for (size_t i = 0; i < act; i++)
        if (j->acts[i].acted && !strcmp(j->acts[i].fault, j->acts[act].fault))
            return false;
    return true;
}

static int add_acts(struct series *s, struct series_run *r, const struct judgement *j) {
    double lo, hi;
    const char *unknown;
    for (size_t i = 0; i < j->act_count; i++) {
        const struct act_figures *f = &j->acts[i];
        if (!f->acted)
            continue;
        for (int m = 0; m < MILESTONES; m++)
            if ((!r->acts && add_recoveries(s, NULL, (enum milestone)m, j) < 0) ||
                (first_of_fault(j, i) && add_recoveries(s, f->fault, (enum milestone)m, j) < 0))
                return -ENOMEM;
        r->acts++;
        recovery_bounds(j, f, MILESTONE_SUSTAINED, &lo, &hi, &unknown);
        r->slowest_ms = fmax(r->slowest_ms, isinf(hi) ? lo : hi); /* fmax passes NaN over */
        r->slowest_open |= isinf(hi);
    }
    return 0;
}

int series_add(struct series *s, const char *folder, const struct judgement *j, bool mixed, struct error *err) {
    const json_t *h = j->history->header;
    if (s->run_count == s->run_cap)
        return error_set(err, -ENOSPC, "more runs than were announced");
    struct series_run r = {
        .folder = arena_strdup(s->arena, folder), .name = text_of(s, h, "run"), .scenario = text_of(s, h, "scenario"), .digest = text_of(s, h, "digest"),
        .seed = text_of(s, h, "seed"), .why = arena_strdup(s->arena, j->why), .wall_ns = json_int_or(h, "wall_ns", 0), .verdict = j->verdict,
        .slowest_ms = NAN,
    };
    r.scenario = r.scenario ? r.scenario : "unnamed";
    r.name = r.name ? r.name : r.folder;
    int rc = r.folder && r.why ? check_fit(s, &r, mixed, err) : out_of_memory(err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < j->lane_count && rc == 0; i++)
        if (j->lanes[i].lane < 0 && !j->lanes[i].target)
            rc = add_load(s, s->run_count, &j->lanes[i]);
    if (rc == 0)
        rc = add_acts(s, &r, j);
    if (rc < 0)
        return out_of_memory(err);
    s->runs[s->run_count++] = r;
    return 0;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Medians of sorted lists. Of two in the middle the worse one is taken: the lower availability, the longer time. */
static double median_low(const double *sorted, size_t n) { return sorted[(n - 1) / 2]; }
static double median_high(const double *sorted, size_t n) { return sorted[n / 2]; }

static void conclude_load(const struct series *s, struct series_load *l, double *tmp) {
    size_t n = 0, lower, upper;
    for (size_t i = 0; i < s->run_count; i++)
        if (!isnan(l->values[i].available))
            tmp[n++] = l->values[i].available;
    l->count = n;
    l->worst = l->median = l->best = l->low = l->high = l->down_median = l->down_most = NAN;
    if (!n)
        return;
    qsort(tmp, n, sizeof *tmp, by_value);
    l->worst = tmp[0];
    l->median = median_low(tmp, n);
    l->best = tmp[n - 1];
    lower = rank_lower(n, 0.5, CONFIDENCE_EACH);
    upper = rank_upper(n, 0.5, CONFIDENCE_EACH);
    if (lower && upper) {
        l->low = tmp[lower - 1];
        l->high = tmp[upper - 1];
    }
    n = 0;
    for (size_t i = 0; i < s->run_count; i++) {
        l->down_open |= l->values[i].down_open;
        l->doubt |= l->values[i].doubt;
        if (!isnan(l->values[i].down_ms))
            tmp[n++] = l->values[i].down_ms;
    }
    qsort(tmp, n, sizeof *tmp, by_value);
    l->down_most = n ? tmp[n - 1] : NAN;
    l->down_median = n && !l->down_open && !l->doubt ? median_high(tmp, n) : NAN;
}

static double known_or_nan(double v) { return isinf(v) ? NAN : v; }

static void upper_bound(const struct recoveries *r, double q, struct series_bound *ret) {
    double lo, hi;
    bool enough;
    recoveries_quantile(r, q, CONFIDENCE, &lo, &hi, &enough);
    ret->at_most = known_or_nan(hi);
    ret->missing = enough ? 0 : rank_least_n(q, CONFIDENCE) - r->count;
}

static void conclude_recoveries(struct series_recoveries *r) {
    size_t n = r->of.count, lower, upper, least = rank_least_n(0.5, CONFIDENCE_EACH);
    r->least = r->most = r->median = r->low = r->high = r->p95.at_most = r->p99.at_most = NAN;
    if (!n)
        return;
    recoveries_sort(&r->of);
    size_t k = n / 2; /* as median_high */
    r->least = r->of.lo[0] == r->of.hi[0] ? r->of.lo[0] : NAN;
    r->most = r->of.hi[n - 1];
    r->median = r->of.lo[k] == r->of.hi[k] ? r->of.lo[k] : NAN;
    lower = rank_lower(n, 0.5, CONFIDENCE_EACH);
    upper = rank_upper(n, 0.5, CONFIDENCE_EACH);
    r->median_missing = n < least ? least - n : 0;
    r->low = lower ? r->of.lo[lower - 1] : NAN;
    r->high = upper ? known_or_nan(r->of.hi[upper - 1]) : NAN;
    upper_bound(&r->of, 0.95, &r->p95);
    upper_bound(&r->of, 0.99, &r->p99);
}

static int gravity(enum verdict v) {
    static const int ranks[] = {[VERDICT_PASS] = 0, [VERDICT_SKIPPED] = 1, [VERDICT_ABORTED] = 2, [VERDICT_INCONCLUSIVE] = 3, [VERDICT_FAIL] = 4};
    return ranks[v];
}

int series_conclude(struct series *s, struct error *err) {
    cleanup_free double *tmp = calloc(s->run_count + 1, sizeof *tmp);
    if (!tmp)
        return out_of_memory(err);
    s->verdict = VERDICT_PASS;
    for (size_t i = 0; i < s->run_count; i++) {
        enum verdict v = s->runs[i].verdict;
        s->passed += v == VERDICT_PASS;
        s->decided += v == VERDICT_PASS || v == VERDICT_FAIL;
        s->verdict = gravity(v) > gravity(s->verdict) ? v : s->verdict;
    }
    wilson(s->passed, s->decided, &s->passed_low, &s->passed_high);
    for (size_t i = 0; i < s->load_count; i++)
        conclude_load(s, &s->loads[i], tmp);
    for (size_t i = 0; i < s->recovery_count; i++)
        conclude_recoveries(&s->recoveries[i]);
    return 0;
}
