/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/json.h"
#include "report/grid.h"
#include "report/series.h"

#include <errno.h>
#include <math.h>

static json_t *real(double v, double unit) { return isnan(v) || isinf(v) ? json_null() : json_real(round(v * unit) / unit); }
static json_t *ms(double v) { return real(v, 1e3); }
static json_t *share(double v) { return real(v, 1e9); }
/* A folder may be named by any bytes; JSON holds text. */
static json_t *run_json(const struct series *s, const struct series_run *r) {
    const char *folder = text_clean(s->arena, r->folder);
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:s,s:s,s:I,s:o,s:b}", "folder", folder ? folder : "", "run", r->name, "scenario", r->scenario, "digest",
                     json_string_or_null(r->digest), "seed", json_string_or_null(r->seed), "verdict", verdict_names[r->verdict], "why", r->why, "acts",
                     (json_int_t)r->acts, "slowest_recovery_ms", ms(r->slowest_ms), "slowest_open", r->slowest_open);
}

static json_t *load_json(const struct series *s, const struct series_load *l) {
    json_t *values = json_array();
    for (size_t i = 0; i < s->run_count; i++)
        json_array_append_new(values, json_pack("{s:o,s:o,s:b,s:b}", "available", share(l->values[i].available), "worst_downtime_ms",
                                                ms(l->values[i].down_ms), "open", l->values[i].down_open, "doubt", l->values[i].doubt));
    return json_pack("{s:s,s:b,s:I,s:{s:o,s:o,s:o,s:o,s:o},s:{s:o,s:o,s:b,s:b},s:o}", "load", l->name, "control", l->control, "count",
                     (json_int_t)l->count, "availability", "min", share(l->worst), "median", share(l->median), "max", share(l->best), "low",
                     share(l->low), "high", share(l->high), "worst_downtime", "median_ms", ms(l->down_median), "max_ms", ms(l->down_most), "open",
                     l->down_open, "doubt", l->doubt, "runs", values);
}

static json_t *bound_json(const struct series_bound *b) {
    return json_pack("{s:o,s:I}", "at_most_ms", ms(b->at_most), "missing", (json_int_t)b->missing);
}

static json_t *recoveries_json(const struct series_recoveries *r) {
    return json_pack("{s:o,s:s,s:I,s:I,s:I,s:o,s:o,s:{s:o,s:o,s:o,s:I},s:o,s:o}", "fault", json_string_or_null(r->fault), "milestone",
                     milestone_names[r->milestone], "count", (json_int_t)r->of.count, "open", (json_int_t)r->of.open, "unmeasured",
                     (json_int_t)r->of.unmeasured, "min_ms", ms(r->least), "max_ms", ms(r->most), "median", "ms", ms(r->median), "low_ms",
                     ms(r->low), "high_ms", ms(r->high), "missing", (json_int_t)r->median_missing, "p95", bound_json(&r->p95), "p99",
                     bound_json(&r->p99));
}

/* Appending NULL, a piece that could not be made, fails as well. */
static json_t *tree(const struct series *s) {
    cleanup_json json_t *runs = json_array(), *loads = json_array(), *recoveries = json_array();
    int rc = 0;
    for (size_t i = 0; i < s->run_count; i++)
        rc |= json_array_append_new(runs, run_json(s, &s->runs[i]));
    for (size_t i = 0; i < s->load_count; i++)
        rc |= json_array_append_new(loads, load_json(s, &s->loads[i]));
    for (size_t i = 0; i < s->recovery_count; i++)
        if (s->recoveries[i].of.count)
            rc |= json_array_append_new(recoveries, recoveries_json(&s->recoveries[i]));
    if (rc)
        return NULL;
    return json_pack("{s:i,s:s,s:s,s:{s:I,s:I,s:o,s:o,s:o},s:O,s:O,s:O}", "schema", 1, "scenario", s->run_count ? s->runs[0].scenario : "", "verdict",
                     verdict_names[s->verdict], "passed", "passed", (json_int_t)s->passed, "decided", (json_int_t)s->decided, "share",
                     s->decided ? share((double)s->passed / (double)s->decided) : json_null(), "low", share(s->passed_low), "high",
                     share(s->passed_high), "runs", runs, "loads", loads, "recoveries", recoveries);
}

int series_json(const struct series *s, struct buf *out, struct error *err) {
    cleanup_json json_t *t = tree(s);
    return json_file(t, "runs together", out, err);
}
