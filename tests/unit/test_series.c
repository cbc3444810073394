/* SPDX-License-Identifier: Apache-2.0 */
/* Several runs together: proportions, medians, bounds, censoring, and what does not belong together. */
#include "history_fixture.h"

#include "check/orderstat.h"
#include "check/series.h"
#include "report/series.h"

#include <errno.h>
#include <math.h>

/* Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I, method 3 (the score
 * interval without continuity correction), which R gives as prop.test(k, n, correct = FALSE). Four decimals there. */
static void test_wilson_published(void **state) {
    (void)state;
    static const struct { size_t k, n; double lo, hi; } rows[] = {
        {81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double lo, hi;
        wilson(rows[i].k, rows[i].n, &lo, &hi);
        if (fabs(lo - rows[i].lo) > 5.1e-5 || fabs(hi - rows[i].hi) > 5.1e-5)
            fail_msg("%zu of %zu: %.6f .. %.6f", rows[i].k, rows[i].n, lo, hi);
        wilson(rows[i].n - rows[i].k, rows[i].n, &lo, &hi); /* the other side mirrors it */
        assert_true(fabs(1 - hi - rows[i].lo) < 5.1e-5 && fabs(1 - lo - rows[i].hi) < 5.1e-5);
    }
}

static void test_wilson_ends(void **state) {
    (void)state;
    double lo, hi;
    wilson(0, 0, &lo, &hi);
    assert_true(lo == 0 && hi == 1);
    wilson(0, 7, &lo, &hi);
    assert_true(lo == 0 && hi < 0.5);
    wilson(7, 7, &lo, &hi);
    assert_true(lo > 0.5 && hi == 1);
}

/* The interval of the median from ranks, as the sign test gives it; tests/e2e/test_figures.py has the same from exact fractions. By hand
 * for n = 6: 1 - 2/64 = 0.969; with 5 only 0.9375. */
static void test_median_ranks(void **state) {
    (void)state;
    static const struct { size_t n, lower, upper; } rows[] = {{5, 0, 0}, {6, 1, 6}, {10, 2, 9}, {15, 4, 12}, {20, 6, 15}, {25, 8, 18}, {50, 18, 33}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(rank_lower(rows[i].n, 0.5, CONFIDENCE_EACH), rows[i].lower);
        assert_int_equal(rank_upper(rows[i].n, 0.5, CONFIDENCE_EACH), rows[i].upper);
    }
    assert_int_equal(rank_least_n(0.5, CONFIDENCE_EACH), 6);
}

/* A judgement as far as a series looks at it. */
struct one { struct history h; struct judgement j; struct lane_figures lane; struct downtime windows[4]; struct act_figures acts[100]; };

static void make(struct one *o, const char *run, int64_t wall, enum verdict v, double available) {
    memset(o, 0, sizeof *o);
    o->h.header = json_pack("{s:s,s:s,s:s,s:i,s:I}", "run", run, "scenario", "etcd", "digest", "d1", "seed", (int)wall, "wall_ns", (json_int_t)wall);
    o->lane = (struct lane_figures){.load = "writes", .lane = -1, .planned = 1000, .by_requests = available, .downtime = o->windows};
    o->j = (struct judgement){.history = &o->h, .verdict = v, .why = "so", .lanes = &o->lane, .lane_count = 1, .acts = o->acts, .end_t = 60000 * MS};
}

static void window(struct one *o, int64_t min, int64_t max) {
    o->windows[o->lane.downtime_count++] = (struct downtime){.min = min * MS, .max = max < 0 ? UNKNOWN_NS : max * MS, .act = -1};
}

/* sustained < 0: not reached, at least so long. */
static void recovery(struct one *o, const char *fault, double sustained) {
    struct act_figures *f = &o->acts[o->j.act_count++];
    *f = (struct act_figures){.fault = fault, .kind = "k", .target = "t", .occurrence = (unsigned)o->j.act_count, .acted = true, .noticed = true, .detect = 3 * MS, .first_good = 5 * MS,
                              .redundancy = UNKNOWN_NS, .late = UNKNOWN_NS, .at_least = UNKNOWN_NS, .sustained = (int64_t)(sustained * 1e6)};
    if (sustained >= 0)
        return;
    f->censored = true;
    f->sustained = UNKNOWN_NS;
    f->at_least = (int64_t)(-sustained * 1e6);
}

static void add(struct series *s, struct one *o) {
    struct error err = {""};
    if (series_add(s, json_string_value(json_object_get(o->h.header, "run")), &o->j, false, &err) < 0)
        fail_msg("%s", err.text);
    json_decref(o->h.header);
}

static void conclude(struct series *s) {
    struct error err;
    assert_int_equal(series_conclude(s, &err), 0);
}

static const struct series_recoveries *group(const struct series *s, const char *fault, enum milestone m) {
    for (size_t i = 0; i < s->recovery_count; i++)
        if (s->recoveries[i].milestone == m && (fault ? s->recoveries[i].fault && !strcmp(s->recoveries[i].fault, fault) : !s->recoveries[i].fault))
            return &s->recoveries[i];
    fail_msg("no such recoveries");
    return NULL;
}

/* Six runs: 4 passed, 1 failed, 1 nobody knows. Availability sorted: .90 .91 .95 .97 .98 .99: medians .95 (low); interval of six: .90 .. .99.
 * Longest downtimes: 0 20 30 40 50 60: the longer middle one is 40. */
static void test_runs(void **state) {
    (void)state;
    static const struct { enum verdict v; double available; int64_t down; } rows[] = {
        {VERDICT_PASS, 0.97, 30}, {VERDICT_PASS, 0.99, 0}, {VERDICT_FAIL, 0.90, 60}, {VERDICT_PASS, 0.95, 40}, {VERDICT_INCONCLUSIVE, 0.91, 50}, {VERDICT_PASS, 0.98, 20},
    };
    struct series *s = series_new(6);
    for (int i = 0; i < 6; i++) {
        struct one o;
        char name[8];
        snprintf(name, sizeof name, "r%d", i);
        make(&o, name, i + 1, rows[i].v, rows[i].available);
        if (rows[i].down) {
            window(&o, 1, rows[i].down);
            window(&o, 1, rows[i].down - 5);
        }
        add(s, &o);
    }
    conclude(s);
    assert_int_equal(s->passed, 4);
    assert_int_equal(s->decided, 5);
    assert_true(fabs(s->passed_low - 0.3755) < 5e-5 && fabs(s->passed_high - 0.9638) < 5e-5); /* R: prop.test(4, 5, correct = FALSE) */
    assert_int_equal(s->verdict, VERDICT_FAIL);
    assert_int_equal(s->load_count, 1);
    const struct series_load *l = s->loads;
    assert_int_equal(l->count, 6);
    assert_true(l->worst == 0.90 && l->median == 0.95 && l->best == 0.99 && l->low == 0.90 && l->high == 0.99);
    assert_true(l->down_median == 40 && l->down_most == 60 && !l->down_open && !l->doubt);
    series_free(s);
}

/* Worst first: fail, inconclusive, aborted, skipped, pass. */
static void test_worst(void **state) {
    (void)state;
    static const enum verdict order[] = {VERDICT_PASS, VERDICT_SKIPPED, VERDICT_ABORTED, VERDICT_INCONCLUSIVE, VERDICT_FAIL};
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 5; b++) {
            struct series *s = series_new(2);
            struct one o;
            make(&o, "a", 1, order[a], 1);
            add(s, &o);
            make(&o, "b", 2, order[b], 1);
            add(s, &o);
            conclude(s);
            assert_int_equal(s->verdict, order[a > b ? a : b]);
            series_free(s);
        }
}

/* 1 ... 59 ms: the largest is the upper bound of P95, of P99 there is none before 299. With 58 it takes one more. */
static void test_bounds(void **state) {
    (void)state;
    for (int n = 58; n <= 60; n++) {
        struct series *s = series_new(1);
        struct one o;
        make(&o, "a", 1, VERDICT_PASS, 1);
        for (int i = n; i > 0; i--)
            recovery(&o, "kill", i);
        add(s, &o);
        conclude(s);
        const struct series_recoveries *r = group(s, NULL, MILESTONE_SUSTAINED);
        assert_int_equal(r->of.count, n);
        assert_int_equal(r->of.open, 0);
        assert_true(r->least == 1 && r->most == n && r->median == n / 2 + 1);
        assert_int_equal(r->p95.missing, n == 58);
        assert_true(n == 58 ? isnan(r->p95.at_most) : r->p95.at_most == n);
        assert_int_equal(r->p99.missing, 299 - n);
        assert_true(isnan(r->p99.at_most));
        series_free(s);
    }
}

/* Of ten, three were not reached: at least 4, 50 and 60 ms. Known: 1 2 3 10 20 30 40. The k-th smallest lies between the k-th of
 * 1 2 3 4 10 20 30 40 50 60 and the k-th of 1 2 3 10 20 30 40 and three without end. The sixth is 20 .. 30: not known; the interval of the
 * median, from the second to the ninth, has a beginning (2) and no end. */
static void test_censored(void **state) {
    (void)state;
    static const double list[] = {40, -4, 10, 3, -60, 30, 1, -50, 2, 20};
    struct series *s = series_new(1);
    struct one o;
    make(&o, "a", 1, VERDICT_PASS, 1);
    for (size_t i = 0; i < 10; i++)
        recovery(&o, "kill", list[i]);
    add(s, &o);
    conclude(s);
    const struct series_recoveries *r = group(s, "kill", MILESTONE_SUSTAINED);
    assert_int_equal(r->of.count, 10);
    assert_int_equal(r->of.open, 3);
    assert_true(r->least == 1 && isinf(r->most) && isnan(r->median) && r->low == 2 && isnan(r->high));
    assert_int_equal(r->median_missing, 0);
    series_free(s);
    /* Where all that is open lasted longer than the median, the median is known: of 1 2 3 and at least 50, the longer middle one is 3. */
    s = series_new(1);
    make(&o, "a", 1, VERDICT_PASS, 1);
    recovery(&o, "kill", 3);
    recovery(&o, "kill", -50);
    recovery(&o, "kill", 1);
    recovery(&o, "kill", 2);
    add(s, &o);
    conclude(s);
    r = group(s, NULL, MILESTONE_SUSTAINED);
    assert_true(r->median == 3 && isnan(r->low) && isinf(r->most));
    assert_int_equal(r->median_missing, 2);
    series_free(s);
}

/* A suspect recovery may have been anything. One that nobody noticed took no time, and has no detection. */
static void test_unlike(void **state) {
    (void)state;
    struct series *s = series_new(1);
    struct one o;
    make(&o, "a", 1, VERDICT_PASS, 1);
    recovery(&o, "kill", 10);
    recovery(&o, "kill", 20);
    o.acts[1].suspect = "the control failed as well";
    recovery(&o, "pause", 0);
    o.acts[2].noticed = false;
    recovery(&o, "pause", 5);
    o.acts[3].acted = false;
    add(s, &o);
    conclude(s);
    const struct series_recoveries *r = group(s, NULL, MILESTONE_SUSTAINED);
    assert_int_equal(r->of.count, 3);
    assert_int_equal(r->of.open, 1);
    assert_int_equal(r->of.unmeasured, 1);
    assert_true(r->least == 0 && isnan(r->median));
    assert_int_equal(group(s, NULL, MILESTONE_DETECT)->of.count, 2);
    assert_int_equal(group(s, "pause", MILESTONE_SUSTAINED)->of.count, 1);
    assert_int_equal(group(s, NULL, MILESTONE_REDUNDANCY)->of.unmeasured, 3);
    assert_true(s->runs[0].slowest_ms == 10 && s->runs[0].slowest_open);
    struct buf text = {0};
    struct error err;
    assert_int_equal(series_text(s, 100, &text, &err), 0);
    assert_null(strstr(text.data, "full")); /* nothing at all is known of it */
    buf_free(&text);
    series_free(s);
}

/* One window has no known end, one is doubtful: the longest known is a least, the median is not known. */
static void test_open_windows(void **state) {
    (void)state;
    struct series *s = series_new(3);
    struct one o;
    make(&o, "a", 1, VERDICT_PASS, 0.9);
    window(&o, 100, 120);
    add(s, &o);
    make(&o, "b", 2, VERDICT_INCONCLUSIVE, 0.8);
    window(&o, 300, -1);
    add(s, &o);
    make(&o, "c", 3, VERDICT_INCONCLUSIVE, 0.8);
    window(&o, 10, 20);
    o.windows[0].suspect = "so";
    add(s, &o);
    conclude(s);
    const struct series_load *l = s->loads;
    assert_true(l->down_open && l->doubt && l->down_most == 300 && isnan(l->down_median) && isnan(l->low));
    assert_true(l->values[1].down_open && !l->values[0].down_open && l->values[2].doubt);
    struct series *doubtful = series_new(1);
    make(&o, "c", 3, VERDICT_INCONCLUSIVE, 0.8);
    window(&o, 10, 20);
    o.windows[0].stalled = true;
    add(doubtful, &o);
    conclude(doubtful);
    assert_true(doubtful->loads->doubt && !doubtful->loads->down_open && isnan(doubtful->loads->down_median));
    series_free(doubtful);
    struct buf text = {0};
    struct error err;
    assert_int_equal(series_text(s, 100, &text, &err), 0);
    assert_non_null(strstr(text.data, "over 300"));
    assert_non_null(strstr(text.data, "20 !"));
    assert_non_null(strstr(text.data, "1 of 1 passed: 100 %, 95 % interval 20.65 % to 100 %. 2 runs neither passed nor failed and are"));
    buf_clear(&text);
    assert_int_equal(series_json(s, &text, &err), 0);
    json_t *t = json_loads(text.data, 0, NULL);
    assert_true(json_is_null(json_object_get(json_object_get(json_array_get(json_object_get(t, "loads"), 0), "worst_downtime"), "median_ms")));
    json_decref(t);
    buf_free(&text);
    series_free(s);
}

static void test_fit(void **state) {
    (void)state;
    struct error err;
    struct series *s = series_new(4);
    struct one o;
    make(&o, "a", 1, VERDICT_PASS, 1);
    add(s, &o);
    make(&o, "a", 1, VERDICT_PASS, 1);
    assert_int_equal(series_add(s, "copy", &o.j, true, &err), -EEXIST);
    assert_string_equal(err.text, "copy is the same run as a: it would count twice");
    json_object_set_new(o.h.header, "wall_ns", json_integer(2));
    json_object_set_new(o.h.header, "digest", json_string("d2"));
    assert_int_equal(series_add(s, "b", &o.j, false, &err), -EXDEV);
    assert_non_null(strstr(err.text, "a and b are of \"etcd\" with other contents or parameters (d1, d2)"));
    assert_int_equal(series_add(s, "b", &o.j, true, &err), 0);
    json_object_set_new(o.h.header, "wall_ns", json_integer(3));
    json_object_set_new(o.h.header, "scenario", json_string("redis"));
    assert_int_equal(series_add(s, "c", &o.j, false, &err), -EXDEV);
    assert_non_null(strstr(err.text, "a is of scenario \"etcd\", c of \"redis\""));
    json_object_set_new(o.h.header, "scenario", json_string("etcd"));
    json_object_del(o.h.header, "digest"); /* an old run says none: the name decides */
    assert_int_equal(series_add(s, "c", &o.j, false, &err), 0);
    json_decref(o.h.header);
    series_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wilson_published), cmocka_unit_test(test_wilson_ends), cmocka_unit_test(test_median_ranks), cmocka_unit_test(test_runs),
        cmocka_unit_test(test_worst), cmocka_unit_test(test_bounds), cmocka_unit_test(test_censored), cmocka_unit_test(test_unlike),
        cmocka_unit_test(test_open_windows), cmocka_unit_test(test_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
