/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/cleanup.h"
#include "report/external.h"
#include "report/kinds.h"
#include "report/probes.h"
#include "report/worst.h"
#include "report/ledger.h"
#include "report/timeline.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* jansson's own sticky failure: setting a NULL value fails, and so does setting into a NULL object. */
struct put {
    json_t *o;
    bool failed;
};

static void put(struct put *p, const char *key, json_t *value) {
    if (json_object_set_new(p->o, key, value) < 0)
        p->failed = true;
}

static json_t *done(struct put *p) {
    if (!p->failed && p->o)
        return p->o;
    json_decref(p->o);
    return NULL;
}

/* Decimals are fixed, so that the bytes are. */
static json_t *real(double v, double unit) { return isnan(v) || isinf(v) ? json_null() : json_real(round(v * unit) / unit); }

static json_t *ms(double v) { return real(v, 1e3); }

static json_t *copy_or_null(const json_t *v) { return v ? json_deep_copy(v) : json_null(); }

/* Adds a member made by fn for each of n things that it wants (NULL with *skip set: it does not). */
static json_t *list_of(const struct judgement *j, size_t n, json_t *(*fn)(const struct judgement *, size_t, bool *skip)) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++) {
        bool skip = false;
        json_t *v = fn(j, i, &skip);
        if (!skip && json_array_append_new(list, v) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *check_json(const struct judgement *j, size_t i, bool *skip) {
    (void)skip;
    const struct check_result *c = &j->checks[i];
    struct put p = {json_object(), false};
    put(&p, "name", json_string(c->name));
    put(&p, "verdict", json_string(verdict_names[c->verdict]));
    put(&p, "value", real(c->value, 1e6));
    put(&p, "limit", real(c->limit, 1e6));
    put(&p, "unit", json_string(c->unit));
    put(&p, "why", json_string(c->why));
    return done(&p);
}

static json_t *fault_ref(const struct judgement *j, int act) {
    const struct act_figures *f = &j->acts[act];
    return json_pack("{s:s,s:o,s:o,s:i}", "name", f->fault, "occurrence", f->occurrence ? json_integer(f->occurrence) : json_null(), "target",
                     *f->target ? json_string(f->target) : json_null(), "act", act);
}

/* The act that the window is attributed to comes first, then those that share it. */
static json_t *faults_json(const struct judgement *j, const struct downtime *d) {
    json_t *list = json_array();
    if (d->act >= 0)
        json_array_append_new(list, fault_ref(j, d->act));
    for (size_t i = 0; i < d->shared_count; i++)
        json_array_append_new(list, fault_ref(j, d->shared[i]));
    return list;
}

static json_t *window_json(const struct judgement *j, const struct downtime *d, bool degradation) {
    struct put p = {json_object(), false};
    put(&p, "start_ms", json_ms(d->start));
    put(&p, "end_ms", json_ms(d->end));
    put(&p, "min_ms", json_ms(d->min));
    put(&p, "point_ms", json_ms(d->point));
    put(&p, "max_ms", json_ms(d->max));
    put(&p, "fault", d->act < 0 ? json_null() : json_string(j->acts[d->act].fault));
    put(&p, "act", d->act < 0 ? json_null() : json_integer(d->act));
    put(&p, "faults", faults_json(j, d));
    put(&p, "faults_left_out", json_boolean(d->shared_more));
    put(&p, "bad", json_integer(d->bad));
    if (degradation) {
        put(&p, "slow", json_integer(d->slow));
        put(&p, "down", json_pack("{s:I,s:o,s:o}", "count", (json_int_t)d->down, "min_ms", json_ms(d->down_min), "max_ms", json_ms(d->down_max)));
    }
    put(&p, "censored", json_boolean(d->censored));
    put(&p, "stalled", json_boolean(d->stalled));
    put(&p, "suspect", json_string_or_null(d->suspect));
    return done(&p);
}

static json_t *windows_json(const struct judgement *j, const struct downtime *windows, size_t count, bool degradation) {
    size_t n = 0;
    cleanup_free size_t *told = worst_windows(windows, count, TOLD_MOST, &n);
    json_t *list = told ? json_array() : NULL;
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, window_json(j, &windows[told[i]], degradation)) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *availability_json(const struct lane_figures *f) {
    struct put p = {json_object(), false};
    put(&p, "requests", real(f->by_requests, 1e9));
    put(&p, "time", real(f->by_time, 1e9));
    put(&p, "low", real(f->time_low, 1e9));
    put(&p, "high", real(f->time_high, 1e9));
    return done(&p);
}

static json_t *latency_json(const struct lane_figures *f) {
    struct put p = {json_object(), false};
    put(&p, "p50", ms(f->p50_ms));
    put(&p, "p90", ms(f->p90_ms));
    put(&p, "p99", ms(f->p99_ms));
    put(&p, "p999", ms(f->p999_ms));
    put(&p, "max", ms(f->max_ms));
    return done(&p);
}

/* Of a load or lane: how it was before any fault. */
static json_t *baseline_json(const struct baseline *b) {
    struct put p = {json_object(), false};
    put(&p, "planned", json_integer(b->planned));
    put(&p, "bad", json_integer(b->bad));
    put(&p, "p50_ms", ms(b->p50_ms));
    put(&p, "p99_ms", ms(b->p99_ms));
    put(&p, "max_ms", ms(b->max_ms));
    return done(&p);
}

static json_t *reasons_json(const struct lane_figures *f) {
    struct put p = {json_object(), false};
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++)
        if (f->reasons[i])
            put(&p, reason_names[i], json_integer(f->reasons[i]));
    return done(&p);
}

static json_t *figures_json(const struct judgement *j, const struct lane_figures *f) {
    struct put p = {json_object(), false};
    put(&p, "load", json_string(f->load));
    if (f->lane >= 0)
        put(&p, "lane", json_string(lane_names[f->lane]));
    if (f->target)
        put(&p, "target", json_string(f->target));
    if (f->control)
        put(&p, "control", json_true());
    put(&p, "closed_loop", json_boolean(f->closed));
    put(&p, "planned", json_integer(f->planned));
    put(&p, "good", json_integer(f->good));
    put(&p, "bad", json_integer(f->bad));
    put(&p, "unsent", json_integer(f->unsent));
    put(&p, "unsent_stalled", json_integer(f->stalled_unsent));
    put(&p, "unsent_own", json_integer(f->own_unsent));
    if (f->lane < 0 && !f->target) {
        put(&p, "insecure", json_boolean(f->insecure));
    }
    put(&p, "stale_retry", json_integer(f->stale_retry));
    put(&p, "late", json_integer(f->late));
    put(&p, "availability", availability_json(f));
    put(&p, "latency_ms", latency_json(f));
    put(&p, "reasons", reasons_json(f));
    put(&p, "downtime", windows_json(j, f->downtime, f->downtime_count, false));
    put(&p, "downtime_total", json_integer((json_int_t)f->downtime_count));
    if (!f->target)
        put(&p, "baseline", baseline_json(&f->baseline));
    put(&p, "slow_ms", json_ms(f->slow_limit));
    put(&p, "degradation", f->slow_known ? windows_json(j, f->degradation, f->degradation_count, true) : json_null());
    put(&p, "degradation_total", f->slow_known ? json_integer((json_int_t)f->degradation_count) : json_null());
    put(&p, "degradation_unknown", json_string_or_null(f->slow_unknown));
    return done(&p);
}

static json_t *load_json(const struct judgement *j, size_t i, bool *skip) {
    *skip = j->lanes[i].lane >= 0 || j->lanes[i].target;
    return *skip ? NULL : figures_json(j, &j->lanes[i]);
}

static json_t *lane_json(const struct judgement *j, size_t i, bool *skip) {
    *skip = j->lanes[i].lane < 0 || j->lanes[i].target;
    return *skip ? NULL : figures_json(j, &j->lanes[i]);
}

static json_t *target_json(const struct judgement *j, size_t i, bool *skip) {
    *skip = !j->lanes[i].target;
    return *skip ? NULL : figures_json(j, &j->lanes[i]);
}

static json_t *recovery_json(const struct act_figures *f) {
    struct put p = {json_object(), false};
    put(&p, "noticed", f->acted ? json_boolean(f->noticed) : json_null());
    put(&p, "detect_ms", json_ms(f->detect));
    put(&p, "first_good_ms", json_ms(f->first_good));
    put(&p, "sustained_ms", json_ms(f->sustained));
    put(&p, "redundancy_ms", json_ms(f->redundancy));
    put(&p, "censored", json_boolean(f->censored));
    put(&p, "at_least_ms", json_ms(f->at_least));
    put(&p, "stalled", json_boolean(f->stalled));
    put(&p, "suspect", json_string_or_null(f->suspect));
    return done(&p);
}

/* Offsets may lie on either side of the act, so a negative one is not "unknown" here. */
static json_t *offset(int64_t ns) { return ns == UNKNOWN_NS ? json_null() : json_real(round((double)ns / 1e3) / 1e3); }

static json_t *marks_json(const struct act_figures *f) {
    json_t *list = json_array();
    for (size_t i = 0; i < f->mark_count; i++) {
        struct put p = {json_object(), false};
        put(&p, "name", json_string(f->marks[i].name));
        put(&p, "pod", json_string(f->marks[i].pod));
        put(&p, "at_ms", offset(f->marks[i].at));
        json_array_append_new(list, done(&p));
    }
    return list;
}

static json_t *role_json(const struct act_figures *f) {
    if (!f->role_before)
        return json_null();
    struct put p = {json_object(), false};
    put(&p, "before", json_string(f->role_before));
    put(&p, "seen_before_ms", offset(f->role_seen_before));
    put(&p, "before_data", copy_or_null(f->role_before_data));
    put(&p, "after", json_string_or_null(f->role_after));
    put(&p, "after_ms", offset(f->role_after_at));
    put(&p, "after_data", copy_or_null(f->role_after_data));
    return done(&p);
}

static json_t *count_or_null(int64_t n) { return n < 0 ? json_null() : json_integer(n); }

static json_t *affected_json(const struct act_figures *f) {
    if (!f->by)
        return json_null();
    struct put p = {json_object(), false};
    put(&p, "packets", count_or_null(f->affected.packets));
    put(&p, "bytes", count_or_null(f->affected.bytes));
    put(&p, "queue_sent", count_or_null(f->affected.queue_sent));
    put(&p, "queue_dropped", count_or_null(f->affected.queue_dropped));
    put(&p, "drain_ms", json_ms(f->affected.drain));
    put(&p, "cut", json_integer(f->affected.cut));
    return done(&p);
}

static json_t *measured_json(const struct act_measured *m) {
    if (!m->known)
        return json_null();
    struct put p = {json_object(), false};
    put(&p, "sent", json_integer(m->sent));
    put(&p, "lost", json_integer(m->lost));
    put(&p, "sent_after", json_integer(m->sent_after));
    put(&p, "lost_after", json_integer(m->lost_after));
    put(&p, "rtt_ms", json_pack("{s:o,s:o}", "during", json_ms(m->rtt), "after", json_ms(m->rtt_after)));
    put(&p, "added_ms", offset(m->added));
    put(&p, "loss", json_pack("{s:o,s:o,s:o}", "share", m->sent ? real((double)m->lost / (double)m->sent, 1e9) : json_null(), "low",
                              m->sent ? real(m->loss_low, 1e9) : json_null(), "high", m->sent ? real(m->loss_high, 1e9) : json_null()));
    put(&p, "why", json_string_or_null(m->why));
    return done(&p);
}

static json_t *act_json(const struct judgement *j, size_t i) {
    const struct act_figures *f = &j->acts[i];
    struct put p = {json_object(), false};
    put(&p, "act", json_integer((json_int_t)i));
    put(&p, "name", json_string(f->fault));
    put(&p, "kind", json_string(f->kind));
    put(&p, "target", *f->target ? json_string(f->target) : json_null());
    put(&p, "occurrence", f->occurrence ? json_integer(f->occurrence) : json_null());
    put(&p, "at_ms", json_ms(f->at));
    put(&p, "injected", json_boolean(f->acted));
    put(&p, "skipped", json_boolean(f->skipped));
    put(&p, "observed", json_boolean(f->observed));
    put(&p, "observed_ms", f->observed && f->acted ? offset(f->observed_at - f->at) : json_null());
    put(&p, "reverted", f->holds && (f->acted || f->unclear) ? json_boolean(f->reverted) : json_null()); /* null: nothing to revert */
    put(&p, "reverted_ms", f->reverted && f->acted ? offset(f->reverted_at - f->at) : json_null());
    put(&p, "unclear", json_boolean(f->unclear));
    put(&p, "why", json_string_or_null(f->why));
    put(&p, "revert_why", json_string_or_null(f->revert_why));
    put(&p, "unable", json_string_or_null(f->unable));
    put(&p, "trouble", json_string_or_null(f->trouble));
    put(&p, "affected", affected_json(f));
    put(&p, "measured", measured_json(&f->measured));
    put(&p, "recovery", recovery_json(f));
    put(&p, "role", role_json(f));
    put(&p, "marks", marks_json(f));
    p.failed |= p.o && timeline_json(f, p.o) < 0;
    return done(&p);
}

static json_t *acts_json(const struct judgement *j) {
    size_t n = 0;
    cleanup_free size_t *told = worst_acts(j, TOLD_MOST, &n);
    json_t *list = told ? json_array() : NULL;
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, act_json(j, told[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *one_probe(const struct judgement *j, size_t i, bool *skip) {
    (void)skip;
    return probe_json(j, i);
}

json_t *report_summary(const struct judgement *j) {
    const json_t *h = j->history->header;
    struct put p = {json_object(), false};
    put(&p, "schema", json_integer(HISTORY_SCHEMA));
    put(&p, "run", copy_or_null(json_object_get(h, "run")));
    put(&p, "scenario", copy_or_null(json_object_get(h, "scenario")));
    put(&p, "seed", copy_or_null(json_object_get(h, "seed")));
    put(&p, "verdict", json_string(verdict_names[j->verdict]));
    put(&p, "why", json_string(j->why));
    put(&p, "version", copy_or_null(json_object_get(h, "version")));
    put(&p, "wall_ns", copy_or_null(json_object_get(h, "wall_ns")));
    put(&p, "torn", json_boolean(j->history->torn));
    put(&p, "schedule_ms", json_ms(j->schedule_t));
    put(&p, "loads_end_ms", json_ms(j->loads_end_t));
    put(&p, "end_ms", json_ms(j->end_t));
    put(&p, "checks", list_of(j, j->check_count, check_json));
    put(&p, "loads", list_of(j, j->lane_count, load_json));
    put(&p, "lanes", list_of(j, j->lane_count, lane_json));
    put(&p, "targets", list_of(j, j->lane_count, target_json));
    put(&p, "faults", acts_json(j));
    put(&p, "faults_total", json_integer((json_int_t)j->act_count));
    put(&p, "probes", list_of(j, j->probe_count, one_probe));
    put(&p, "ledger", ledger_json(j));
    put(&p, "externals", externals_json(j));
    return done(&p);
}

static int render(const struct judgement *j, struct buf *out, struct error *err) {
    cleanup_json json_t *tree = report_summary(j);
    return json_file(tree, "summary", out, err);
}

const struct report_kind report_json = {.name = "json", .file = "summary.json", .render = render};
