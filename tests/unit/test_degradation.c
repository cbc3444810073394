/* SPDX-License-Identifier: Apache-2.0 */
/* Slow is not down: baseline, limit, windows of degradation and what they hold, from hand-made histories. */
#include "history_fixture.h"

#include "check/judge.h"
#include "report/report.h"

#include <math.h>

#define HEAD(load, more)                                                                                                          \
    "{\"schema\":1,\"scenario\":\"t\",\"seed\":7,\"loads\":[{\"name\":\"writes\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000" load "}]," \
    "\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false}]" more "}"

static void event(struct fixture *f, double t, const char *op, const char *phase, const char *data) {
    fixture_event(f, t, op, phase, "pod-kill", "etcd-0", data);
}

static void begin(struct fixture *f, const char *header, double act) {
    fixture_init(f, header);
    event(f, 0, "run/schedule", "info", "{}");
    if (act >= 0) {
        event(f, act, "fault/act", "invoke", "{\"id\":1,\"fault\":\"kill\",\"occurrence\":1}");
        event(f, act, "fault/act", "ok", "{\"id\":1,\"fault\":\"kill\",\"occurrence\":1}");
        event(f, act + 1, "fault/observed", "info", "{\"id\":1}");
    }
    event(f, 30000, "run/end", "info", "{}");
}

/* After a second of warming up that does not count: 110 requests of 10 ms, the act at 12050, nine requests of 300 ms, then 10 ms again. */
static void slow_spell(struct fixture *f, const char *header) {
    begin(f, header, 12050);
    fixture_requests(f, 0, 12100, 10, OUTCOME_GOOD);
    fixture_requests(f, 12100, 13000, 300, OUTCOME_GOOD);
    fixture_requests(f, 13000, 20000, 10, OUTCOME_GOOD);
}

/* Limit: max(3 x 10, 10 + 10, 10) = 30 ms. min: 12900 - 12400 (the first slow one's end) = 500; point: 13010 - 12100 = 910;
 * max: 13010 - 12000 = 1010. */
static void test_spell(void **state) {
    (void)state;
    struct fixture f;
    slow_spell(&f, HEAD("", ""));
    struct judgement *j = judged(&f);
    for (int i = 0; i < 2; i++) { /* the load, its lane */
        const struct lane_figures *l = &j->lanes[i];
        assert_int_equal(l->downtime_count, 0);
        assert_true(l->slow_known);
        assert_int_equal(l->slow_limit, 30 * MS);
        assert_int_equal(l->baseline.planned, 111); /* 1000 ... 12000 */
        assert_true(l->baseline.p50_ms == 10 && l->baseline.p99_ms == 10 && l->baseline.max_ms == 10 && l->baseline.bad == 0);
        assert_int_equal(l->degradation_count, 1);
        const struct downtime *d = l->degradation;
        assert_int_equal(d->start, 12100 * MS);
        assert_int_equal(d->end, 13010 * MS);
        assert_int_equal(d->min, 500 * MS);
        assert_int_equal(d->point, 910 * MS);
        assert_int_equal(d->max, 1010 * MS);
        assert_int_equal(d->slow, 9);
        assert_int_equal(d->bad, 0);
        assert_int_equal(d->down, 0);
        assert_int_equal(d->act, 0);
        assert_int_equal(d->shared_count, 0);
        assert_false(d->stalled || d->censored || d->suspect);
    }
    assert_int_equal(j->verdict, VERDICT_PASS);
    assert_true(!j->acts[0].noticed && j->acts[0].sustained == 0); /* no request failed */
    judgement_free(j);
    fixture_free(&f);
}

static void test_thresholds(void **state) {
    (void)state;
    static const struct { const char *text; enum verdict verdict; double value; const char *why; } rows[] = {
        {"degradation.max < 1011ms", VERDICT_PASS, 1010, "degradation.max was 1,010 ms, limit 1,011 ms."},
        {"degradation.max(writes) < 1010ms", VERDICT_FAIL, 1010, NULL},
        {"degradation.max(writes, reused) >= 500ms", VERDICT_PASS, 500, NULL},
        {"degradation.max > 500ms", VERDICT_FAIL, 500, NULL},
        {"degradation.total <= 1010ms", VERDICT_PASS, 1010, NULL},
        {"degradation.count == 1", VERDICT_PASS, 1, NULL},
        {"degradation.count < 1", VERDICT_FAIL, 1, NULL},
        {"downtime.count == 0", VERDICT_PASS, 0, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        slow_spell(&f, HEAD("", ""));
        json_object_set_new(f.h.header, "expect", json_pack("[s]", rows[i].text));
        struct judgement *j = judged(&f);
        const struct check_result *c = check(j, rows[i].text);
        if (c->verdict != rows[i].verdict || c->value != rows[i].value || (rows[i].why && strcmp(c->why, rows[i].why)))
            fail_msg("%s: %s, %g: %s", rows[i].text, verdict_names[c->verdict], c->value, c->why);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Frozen from `at` for `length` ms, a request each 10 ms, 1 ms of work: who comes meanwhile waits for the rest of it. */
static void hang(struct fixture *f, const char *header, double at, double length) {
    begin(f, header, at);
    for (double t = 0; t < 20000; t += 10)
        fixture_sample(f, 0, LANE_REUSED, SAMPLE_NO_TARGET, t, t >= at && t < at + length ? at + length - t + 1 : 1, OUTCOME_GOOD);
}

/* A hang shorter than the deadline, at each phase of the arrivals: one window, the truth inside, no downtime. Limit: max(3, 1 + 10, 1) = 11. */
static void test_hang(void **state) {
    (void)state;
    static const double lengths[] = {40, 123, 300, 470};
    for (size_t i = 0; i < 4; i++)
        for (int phase = 0; phase < 10; phase++) {
            struct fixture f;
            hang(&f, HEAD("", ""), 12150 + phase, lengths[i]);
            struct judgement *j = judged(&f);
            const struct lane_figures *l = j->lanes;
            int64_t truth = (int64_t)lengths[i] * MS;
            assert_int_equal(l->slow_limit, 11 * MS);
            assert_int_equal(l->downtime_count, 0);
            assert_int_equal(l->degradation_count, 1);
            const struct downtime *d = l->degradation;
            if (d->min > truth || d->max < truth || d->max > truth + 12 * MS)
                fail_msg("%g ms at phase %d: %g .. %g ms", lengths[i], phase, (double)d->min / 1e6, (double)d->max / 1e6);
            judgement_free(j);
            fixture_free(&f);
        }
}

/* Slow at 12100 (300 ms) and 12500 (400 ms), bad from 12200 to 12400. Down: 0 .. 12900 - 12200 = 700 .. 12900 - 12100 = 800.
 * Degraded: 12500 - 12400 = 100 .. 800 .. 900: its end is the first good answer's, 12900, though the first quick one came at 12610. */
static void test_down_within(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEAD("", ""), 12050);
    fixture_requests(&f, 0, 12100, 10, OUTCOME_GOOD);
    fixture_requests(&f, 12100, 12200, 300, OUTCOME_GOOD);
    fixture_requests(&f, 12200, 12500, 500, OUTCOME_BAD);
    fixture_requests(&f, 12500, 12600, 400, OUTCOME_GOOD);
    fixture_requests(&f, 12600, 20000, 10, OUTCOME_GOOD);
    struct judgement *j = judged(&f);
    const struct lane_figures *l = j->lanes;
    assert_int_equal(l->downtime_count, 1);
    assert_int_equal(l->downtime->min, 0);
    assert_int_equal(l->downtime->point, 700 * MS);
    assert_int_equal(l->downtime->max, 800 * MS);
    assert_int_equal(l->degradation_count, 1);
    const struct downtime *d = l->degradation;
    assert_int_equal(d->min, 100 * MS);
    assert_int_equal(d->point, 800 * MS);
    assert_int_equal(d->max, 900 * MS);
    assert_int_equal(d->slow, 2);
    assert_int_equal(d->bad, 3);
    assert_int_equal(d->down, 1);
    assert_int_equal(d->down_min, 0);
    assert_int_equal(d->down_max, 800 * MS);
    struct buf text = {0};
    struct error err;
    assert_int_equal(report_kind("text")->render(j, &text, &err), 0);
    assert_non_null(strstr(text.data, "baseline writes: p50 10, p99 10, max 10 ms, 0 bad, of 111 requests before the first fault\n"));
    assert_non_null(strstr(text.data, "degraded writes: 1 window, worst 100..800..900 ms, down for 0..800 ms of it; slow is over 30 ms\n"));
    buf_free(&text);
    judgement_free(j);
    fixture_free(&f);
}

/* Latencies 1 ... 110 ms in some order: p50 the 55th, p99 the 109th (0.99 x 110 = 108.9). What came in the first second, and what was
 * under way when the act came (11990, 200 ms), is left out. Limit: max(3 x 109, 119, 110) = 327 ms. */
static void test_baseline(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEAD("", ""), 12050);
    fixture_requests(&f, 0, 1000, 450, OUTCOME_GOOD);
    for (int i = 0; i < 110; i++)
        fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 1000 + 99 * i, 1 + i * 37 % 110, OUTCOME_GOOD);
    fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 11990, 200, OUTCOME_GOOD);
    fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 5000.5, 350, OUTCOME_GOOD); /* chaosd's own doing */
    event(&f, 5340, "self/stall", "info", "{\"from\":5320000000,\"to\":5340000000}");
    fixture_requests(&f, 12100, 20000, 5, OUTCOME_GOOD);
    struct judgement *j = judged(&f);
    const struct lane_figures *l = j->lanes;
    assert_int_equal(l->baseline.planned, 110);
    assert_true(l->baseline.p50_ms == 55 && l->baseline.p99_ms == 109 && l->baseline.max_ms == 110);
    assert_int_equal(l->slow_limit, 327 * MS);
    judgement_free(j);
    fixture_free(&f);
}

/* The rule's three parts: three times the p99, ten ms over it, the slowest of all. 200 requests, the last of them `most`. */
static void test_limit(void **state) {
    (void)state;
    static const struct { double usual, most; int64_t limit; } rows[] = {{20, 20, 60}, {1, 1, 11}, {5, 5, 15}, {1, 80, 80}, {20, 50, 60}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        begin(&f, HEAD("", ""), 21050);
        fixture_requests(&f, 0, 20900, rows[i].usual, OUTCOME_GOOD);
        fixture_requests(&f, 20900, 21000, rows[i].most, OUTCOME_GOOD);
        fixture_requests(&f, 21100, 23000, 1, OUTCOME_GOOD);
        struct judgement *j = judged(&f);
        assert_int_equal(j->lanes[0].slow_limit, rows[i].limit * MS);
        assert_int_equal(j->lanes[0].degradation_count, 0);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* No limit, no claim; but what was down was degraded too. "short" has 96: 1000 ... 10500, the last of them over before the act at 10550. */
static void test_unknown(void **state) {
    (void)state;
    static const struct { const char *name, *load; double first, latency; int outcome; const char *words; } rows[] = {
        {"short", "", 10500, 10, OUTCOME_GOOD, "the baseline takes 100 requests before the first fault, there were 96; begin the faults later, or set the load's \"slow\""},
        {"bad", "", 12000, 10, OUTCOME_BAD, "requests were bad already before the first fault; set the load's \"slow\""},
        {"deadline", "", 13000, 170, OUTCOME_GOOD, "the baseline puts the limit at 510 ms, which is not within the deadline; set the load's \"slow\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        double first = rows[i].first;
        begin(&f, HEAD("", ",\"expect\":[\"degradation.max < 2s\",\"degradation.max < 1s\",\"degradation.count < 9\",\"degradation.count == 0\"]"), first + 50);
        fixture_requests(&f, 0, first - 200, rows[i].latency, OUTCOME_GOOD);
        fixture_requests(&f, first - 200, first, 20, rows[i].outcome);
        fixture_requests(&f, first, first + 100, 10, OUTCOME_GOOD);
        fixture_requests(&f, first + 100, first + 1100, 50, OUTCOME_BAD);
        fixture_requests(&f, first + 1100, first + 6000, 10, OUTCOME_GOOD);
        struct judgement *j = judged(&f);
        const struct lane_figures *l = j->lanes;
        assert_false(l->slow_known);
        assert_int_equal(l->degradation_count, 0);
        assert_int_equal(l->slow_limit, UNKNOWN_NS);
        assert_string_equal(l->slow_unknown, rows[i].words);
        assert_int_equal(l->downtime_count, 1);
        assert_int_equal(check(j, "degradation.max < 2s")->verdict, VERDICT_INCONCLUSIVE);
        assert_non_null(strstr(check(j, "degradation.max < 2s")->why, rows[i].words));
        assert_int_equal(check(j, "degradation.max < 1s")->verdict, VERDICT_FAIL); /* it was down for longer */
        assert_int_equal(check(j, "degradation.count < 9")->verdict, VERDICT_INCONCLUSIVE);
        assert_int_equal(check(j, "degradation.count == 0")->verdict, VERDICT_FAIL);
        json_t *s = report_summary(j), *load = json_array_get(json_object_get(s, "loads"), 0);
        assert_true(json_is_null(json_object_get(load, "degradation")) && json_is_null(json_object_get(load, "slow_ms")));
        assert_string_equal(json_string_value(json_object_get(load, "degradation_unknown")), rows[i].words);
        json_decref(s);
        judgement_free(j);
        fixture_free(&f);
    }
}

static void test_said(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEAD(",\"slow_ns\":250000000", ""), 500); /* no baseline worth the name, but the scenario says what is slow */
    fixture_requests(&f, 0, 1000, 10, OUTCOME_GOOD);
    fixture_requests(&f, 1000, 1500, 250, OUTCOME_GOOD); /* not over it */
    fixture_requests(&f, 1500, 2000, 251, OUTCOME_GOOD);
    fixture_requests(&f, 2000, 2300, 10, OUTCOME_GOOD);
    struct judgement *j = judged(&f);
    const struct lane_figures *l = j->lanes;
    assert_true(l->slow_known && l->slow_limit == 250 * MS);
    assert_int_equal(l->degradation_count, 1);
    assert_int_equal(l->degradation->start, 1500 * MS);
    assert_true(l->degradation->censored && l->degradation->max == UNKNOWN_NS); /* three quick ones close nothing */
    assert_int_equal(l->degradation->min, (1900 - 1751) * MS);
    judgement_free(j);
    fixture_free(&f);
}

/* Two outages may lie in one degradation, but there is one at least. */
static void test_count_without_limit(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEAD("", ",\"expect\":[\"degradation.count < 1\",\"degradation.count < 2\",\"downtime.count < 2\"]"), 1050);
    fixture_requests(&f, 0, 1100, 10, OUTCOME_GOOD);
    fixture_requests(&f, 1100, 1300, 50, OUTCOME_BAD);
    fixture_requests(&f, 1300, 4000, 10, OUTCOME_GOOD);
    fixture_requests(&f, 4000, 4300, 50, OUTCOME_BAD);
    fixture_requests(&f, 4300, 8000, 10, OUTCOME_GOOD);
    struct judgement *j = judged(&f);
    assert_int_equal(check(j, "downtime.count < 2")->verdict, VERDICT_FAIL);
    assert_int_equal(check(j, "degradation.count < 1")->verdict, VERDICT_FAIL);
    assert_int_equal(check(j, "degradation.count < 2")->verdict, VERDICT_INCONCLUSIVE);
    judgement_free(j);
    fixture_free(&f);
}

/* chaosd's own doing is no degradation: what it sent late, and what was under way while it stalled. That hides something, though. */
static void test_own_doing(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEAD("", ",\"expect\":[\"degradation.count < 1\",\"degradation.max < 90ms\",\"degradation.max < 2s\"]"), 12050);
    fixture_requests(&f, 0, 12500, 10, OUTCOME_GOOD);
    struct sample *late = fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 12500, 10, OUTCOME_GOOD);
    late->start_ns += 90 * MS;
    late->end_ns += 90 * MS;
    fixture_requests(&f, 12600, 14000, 10, OUTCOME_GOOD);
    fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 14000, 80, OUTCOME_GOOD);
    event(&f, 14060, "self/stall", "info", "{\"from\":14010000000,\"to\":14060000000}");
    fixture_requests(&f, 14100, 20000, 10, OUTCOME_GOOD);
    struct judgement *j = judged(&f);
    assert_int_equal(j->lanes[0].degradation_count, 0);
    assert_int_equal(check(j, "degradation.count < 1")->verdict, VERDICT_INCONCLUSIVE);
    assert_int_equal(check(j, "degradation.max < 90ms")->verdict, VERDICT_INCONCLUSIVE); /* 14110 - 13900 = 210 may hide in there */
    assert_int_equal(check(j, "degradation.max < 2s")->verdict, VERDICT_PASS);
    judgement_free(j);
    fixture_free(&f);
}

/* The same slow spell, with a stall of chaosd at its end: shown, not judged. One between slow answers takes nothing from the bracket. */
static void test_stalled(void **state) {
    (void)state;
    static const struct { double t; const char *stall; bool stalled; enum verdict verdict; } rows[] = {
        {13060, "{\"from\":13005000000,\"to\":13060000000}", true, VERDICT_INCONCLUSIVE},
        {12510, "{\"from\":12450000000,\"to\":12510000000}", false, VERDICT_PASS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        slow_spell(&f, HEAD("", ",\"expect\":[\"degradation.max < 1200ms\"]"));
        event(&f, rows[i].t, "self/stall", "info", rows[i].stall);
        struct judgement *j = judged(&f);
        assert_int_equal(j->lanes[0].degradation_count, 1);
        assert_int_equal(j->lanes[0].degradation->stalled, rows[i].stalled);
        assert_int_equal(check(j, "degradation.max < 1200ms")->verdict, rows[i].verdict);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Each of the slow answers was under way in a stall that is far shorter than it was slow: all of them are slow. */
static void test_short_stalls(void **state) {
    (void)state;
    struct fixture f;
    slow_spell(&f, HEAD("", ""));
    event(&f, 12290, "self/stall", "info", "{\"from\":12250000000,\"to\":12290000000}");
    event(&f, 12590, "self/stall", "info", "{\"from\":12550000000,\"to\":12590000000}");
    event(&f, 12890, "self/stall", "info", "{\"from\":12850000000,\"to\":12890000000}");
    struct judgement *j = judged(&f);
    assert_int_equal(j->lanes[0].degradation_count, 1);
    const struct downtime *d = j->lanes[0].degradation;
    assert_int_equal(d->slow, 9);
    assert_int_equal(d->min, 500 * MS);
    assert_int_equal(d->point, 910 * MS);
    assert_int_equal(d->max, 1010 * MS);
    assert_false(d->stalled);
    judgement_free(j);
    fixture_free(&f);
}

/* Each lane has its own limit; the load's window is that of both. fresh: 40 ms, limit 120; reused: 5 ms, limit 15. */
static void test_lanes(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, "{\"schema\":1,\"scenario\":\"t\",\"loads\":[{\"name\":\"writes\",\"lanes\":[\"fresh\",\"reused\"],\"deadline_ns\":500000000}]}", 13050);
    for (double t = 0; t < 20000; t += 100) {
        bool spell = t >= 13100 && t < 13600;
        fixture_sample(&f, 0, LANE_FRESH, SAMPLE_NO_TARGET, t, spell ? 60 : 40, OUTCOME_GOOD);
        fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, t + 50, spell ? 60 : 5, OUTCOME_GOOD);
    }
    struct judgement *j = judged(&f);
    assert_int_equal(j->lane_count, 3);
    assert_int_equal(j->lanes[1].slow_limit, 120 * MS);
    assert_int_equal(j->lanes[2].slow_limit, 15 * MS);
    assert_true(j->lanes[0].slow_known && j->lanes[0].slow_limit == UNKNOWN_NS); /* they differ */
    assert_int_equal(j->lanes[1].degradation_count, 0);
    assert_int_equal(j->lanes[2].degradation_count, 1);
    assert_int_equal(j->lanes[0].degradation_count, 1);
    /* the load's: from the first quick one before (fresh, 13100) to the end of the first one after (fresh, 13600 + 40), closed by it */
    assert_int_equal(j->lanes[0].degradation->slow, 5);
    assert_int_equal(j->lanes[0].degradation->max, (13640 - 13100) * MS);
    assert_int_equal(j->lanes[2].degradation->max, (13655 - 13050) * MS);
    judgement_free(j);
    fixture_free(&f);
}

/* Without any fault the whole run is its own baseline: nothing in it can be slower than its slowest. */
static void test_quiet(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEAD("", ""), -1);
    for (int i = 0; i < 2000; i++)
        fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 1000 + 10 * i, i % 500 == 3 ? 200 : 1 + i % 3, OUTCOME_GOOD);
    struct judgement *j = judged(&f);
    assert_true(j->lanes[0].slow_known);
    assert_int_equal(j->lanes[0].slow_limit, 200 * MS);
    assert_int_equal(j->lanes[0].degradation_count, 0);
    judgement_free(j);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spell),    cmocka_unit_test(test_thresholds), cmocka_unit_test(test_hang),  cmocka_unit_test(test_down_within),
        cmocka_unit_test(test_baseline), cmocka_unit_test(test_limit),      cmocka_unit_test(test_unknown), cmocka_unit_test(test_said),
        cmocka_unit_test(test_own_doing), cmocka_unit_test(test_stalled),   cmocka_unit_test(test_short_stalls), cmocka_unit_test(test_lanes), cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_count_without_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
