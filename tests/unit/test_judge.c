/* SPDX-License-Identifier: Apache-2.0 */
#include "history_fixture.h"

#include "check/judge.h"

#include <math.h>

#define LOAD "\"loads\":[{\"name\":\"writes\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000}]"
#define FAULTS "\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false}]"
#define PAUSE "\"faults\":[{\"name\":\"pause\",\"kind\":\"pod-pause\",\"holds\":true}]"
#define HEAD(more) "{\"schema\":1,\"scenario\":\"t\",\"seed\":7," more "}"

static void event(struct fixture *f, double t, const char *op, const char *phase, const char *kind, const char *data) {
    fixture_event(f, t, op, phase, kind, "etcd-0", data);
}

static void kill_at(struct fixture *f, double t, int id) {
    char data[128];
    snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"kill\",\"occurrence\":%d}", id, id);
    event(f, t, "fault/act", "invoke", "pod-kill", data);
    event(f, t, "fault/act", "ok", "pod-kill", data);
    event(f, t + 1, "fault/observed", "info", "", data);
}

/* 100 requests, one each 100 ms, 10 ms each; 2100..2900 (9 of them) bad. With the act at 2050 and the run's end. */
static void drill(struct fixture *f, const char *header) {
    fixture_init(f, header);
    event(f, 0, "run/schedule", "info", "", "{}");
    fixture_requests(f, 0, 2100, 10, OUTCOME_GOOD);
    fixture_requests(f, 2100, 3000, 50, OUTCOME_BAD);
    fixture_requests(f, 3000, 10000, 10, OUTCOME_GOOD);
    kill_at(f, 2050, 1);
    event(f, 10100, "run/end", "info", "", "{}");
}

/* 91 of 100 good. Latencies, sorted: 91 times 10 ms, then 9 bad: ranks 50 and 90 are 10 ms, 99 and 100 bad.
 * Observed: 0 .. 9910 ms. Window: min 2900 - 2150 = 750, point 3010 - 2100 = 910, max 3010 - 2000 = 1010. */
static void test_figures(void **state) {
    (void)state;
    struct fixture f;
    drill(&f, HEAD(LOAD "," FAULTS));
    struct judgement *j = judged(&f);
    assert_int_equal(j->lane_count, 2); /* the load, and its lane */
    assert_int_equal(j->lanes[0].lane, -1);
    assert_int_equal(j->lanes[1].lane, LANE_REUSED);
    for (int i = 0; i < 2; i++) {
        const struct lane_figures *l = &j->lanes[i];
        assert_int_equal(l->planned, 100);
        assert_int_equal(l->good, 91);
        assert_int_equal(l->bad, 9);
        assert_int_equal(l->reasons[REASON_TIMEOUT], 9);
        assert_true(l->by_requests == 0.91);
        assert_true(fabs(l->by_time - (1 - 910.0 / 9910)) < 1e-12);
        assert_true(fabs(l->time_low - (1 - 1010.0 / 9910)) < 1e-12);
        assert_true(fabs(l->time_high - (1 - 750.0 / 9910)) < 1e-12);
        assert_true(l->p50_ms == 10 && l->p90_ms == 10);
        assert_true(isinf(l->p99_ms) && isinf(l->max_ms));
    }
    assert_int_equal(j->verdict, VERDICT_PASS);
    assert_string_equal(j->why, "All 4 checks passed: 91 % of 100 writes good, worst downtime 750..1,010 ms, slowest recovery 960 ms.");
    assert_int_equal(j->schedule_t, 0);
    assert_int_equal(j->end_t, 10100 * MS);
    judgement_free(j);
    fixture_free(&f);
}

/* Figures as above: recovery 960 ms, detect 100 ms, first good 960 ms. p(90) 10 ms. */
static void test_thresholds(void **state) {
    (void)state;
    static const struct { const char *text; enum verdict verdict; double value, limit; const char *unit, *why;
    } rows[] = {
        {"availability >= 91%", VERDICT_PASS, 91, 91, "%", "availability was 91 %, limit 91 %."},
        {"availability(writes) > 91%", VERDICT_FAIL, 91, 91, "%", "availability(writes) was 91 %, limit 91 %."},
        {"availability(writes, reused) >= 90%", VERDICT_PASS, 91, 90, "%", NULL},
        {"availability(writes, fresh) >= 90%", VERDICT_INCONCLUSIVE, NAN, 90, "%",
         "availability(writes, fresh) cannot be judged: the load has no such lane."},
        {"availability(reads) >= 90%", VERDICT_INCONCLUSIVE, NAN, 90, "%",
         "availability(reads) cannot be judged: there is no load \"reads\"."},
        {"availability.time >= 90%", VERDICT_PASS, 100 - 9100.0 / 991, 90, "%", NULL},
        {"availability.time >= 91%", VERDICT_FAIL, 100 - 9100.0 / 991, 91, "%", NULL},
        {"errors <= 9%", VERDICT_PASS, 9, 9, "%", NULL},
        {"errors < 9%", VERDICT_FAIL, 9, 9, "%", NULL},
        {"downtime.max < 1011ms", VERDICT_PASS, 1010, 1011, "ms", "downtime.max was 1,010 ms, limit 1,011 ms."},
        {"downtime.max < 1010ms", VERDICT_FAIL, 1010, 1010, "ms", NULL}, /* judged on the bracket's upper end: 910 would pass */
        {"downtime.max >= 750ms", VERDICT_PASS, 750, 750, "ms", NULL},   /* "at least" on its lower end */
        {"downtime.max > 750ms", VERDICT_FAIL, 750, 750, "ms", NULL},
        {"downtime.total <= 1010ms", VERDICT_PASS, 1010, 1010, "ms", NULL},
        {"downtime.count <= 1", VERDICT_PASS, 1, 1, "", NULL},
        {"downtime.count < 1", VERDICT_FAIL, 1, 1, "", NULL},
        {"downtime.count == 1", VERDICT_PASS, 1, 1, "", NULL},
        {"recovery.max < 961ms", VERDICT_PASS, 960, 961, "ms", NULL},
        {"recovery.sustained.max(kill) < 960ms", VERDICT_FAIL, 960, 960, "ms", "recovery.sustained.max(kill) was 960 ms, limit 960 ms."},
        {"recovery.sustained.max(other) < 1s", VERDICT_INCONCLUSIVE, NAN, 1000, "ms",
         "recovery.sustained.max(other) cannot be judged: there was no act."},
        {"recovery.detect.max <= 100ms", VERDICT_PASS, 100, 100, "ms", NULL},
        {"recovery.first_good.max <= 959ms", VERDICT_FAIL, 960, 959, "ms", NULL},
        {"recovery.redundancy.max < 10s", VERDICT_INCONCLUSIVE, NAN, 10000, "ms", NULL},
        {"recovery.p(50) < 1s", VERDICT_INCONCLUSIVE, NAN, 1000, "ms",
         "recovery.p(50) cannot be judged: it takes at least 5 acts, there were 1."},
        {"p(90) <= 10ms", VERDICT_PASS, 10, 10, "ms", NULL},
        {"p(92) < 1h", VERDICT_FAIL, INFINITY, 3600000, "ms", "p(92) fell on a bad request, limit 3,600,000 ms."},
        {"p(99.9) < 1h", VERDICT_INCONCLUSIVE, NAN, 3600000, "ms",
         "p(99.9) cannot be judged: it takes at least 1,000 requests, there were 100."},
        {"nonsense < 3", VERDICT_INCONCLUSIVE, NAN, NAN, "", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        drill(&f, HEAD(LOAD "," FAULTS));
        json_object_set_new(f.h.header, "expect", json_pack("[s]", rows[i].text));
        struct judgement *j = judged(&f);
        const struct check_result *c = check(j, rows[i].text);
        bool same = isnan(rows[i].value) ? isnan(c->value) : isinf(rows[i].value) ? isinf(c->value) : fabs(c->value - rows[i].value) < 1e-9;
        bool limit = isnan(rows[i].limit) ? isnan(c->limit) : c->limit == rows[i].limit;
        if (c->verdict != rows[i].verdict || !same || !limit || strcmp(c->unit, rows[i].unit) ||
            (rows[i].why && strcmp(c->why, rows[i].why)))
            fail_msg("%s: %s, %f, limit %f %s: %s", rows[i].text, verdict_names[c->verdict], c->value, c->limit, c->unit, c->why);
        assert_int_equal(j->verdict, rows[i].verdict);
        assert_string_equal(j->why, rows[i].verdict == VERDICT_PASS ? j->why : c->why);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* The window never closed: known is only that it lasted 1750 ms (3900 - 2150). */
static void test_censored(void **state) {
    (void)state;
    static const struct { const char *text; enum verdict verdict; double value; } rows[] = {
        {"downtime.max < 1700ms", VERDICT_FAIL, 1750},
        {"downtime.max < 2s", VERDICT_INCONCLUSIVE, NAN},
        {"downtime.max > 1s", VERDICT_PASS, 1750},
        {"recovery.max < 1800ms", VERDICT_FAIL, 1850}, /* not recovered at 3900: 1850 after the act */
        {"recovery.max < 5s", VERDICT_INCONCLUSIVE, NAN},
        /* observed 0..4010; low: 2000 to the end is lost: 49.9 %; high: 1750 are: 56.4 % */
        {"availability.time >= 40%", VERDICT_PASS, NAN},
        {"availability.time >= 50%", VERDICT_INCONCLUSIVE, NAN},
        {"availability.time >= 60%", VERDICT_FAIL, 100 * (1 - 1750.0 / 4010)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, HEAD(LOAD "," FAULTS));
        json_object_set_new(f.h.header, "expect", json_pack("[s]", rows[i].text));
        fixture_requests(&f, 0, 2100, 10, OUTCOME_GOOD);
        fixture_requests(&f, 2100, 4000, 50, OUTCOME_BAD);
        fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 4000, 10, OUTCOME_GOOD);
        kill_at(&f, 2050, 1);
        event(&f, 4100, "run/end", "info", "", "{}");
        struct judgement *j = judged(&f);
        const struct check_result *c = check(j, rows[i].text);
        if (c->verdict != rows[i].verdict || (isnan(rows[i].value) ? !isnan(c->value) : fabs(c->value - rows[i].value) > 1e-9))
            fail_msg("%s: %s, %f: %s", rows[i].text, verdict_names[c->verdict], c->value, c->why);
        if (i == 1)
            assert_string_equal(
                c->why, "downtime.max cannot be judged: the window at 2.1 s never closed: the load ended 0 ms after the first good one; "
                        "give the load more time after the last fault (duration).");
        assert_true(isnan(j->lanes[0].by_time));
        judgement_free(j);
        fixture_free(&f);
    }
}

/* chaosd stalled from 2.0 to 2.09 s, as the outage began, and did not send 10 requests: the window is not judged; 91/110 .. 91/91 is what may have been. */
static void test_stalled(void **state) {
    (void)state;
    static const struct { const char *text; enum verdict verdict;
    } rows[] = {
        {"downtime.max < 10s", VERDICT_INCONCLUSIVE},
        {"downtime.total < 10s", VERDICT_INCONCLUSIVE},
        {"downtime.count <= 1", VERDICT_PASS},
        {"downtime.count < 1", VERDICT_INCONCLUSIVE},
        {"recovery.max < 10s", VERDICT_INCONCLUSIVE},
        {"availability >= 80%", VERDICT_PASS},
        {"availability >= 90%", VERDICT_INCONCLUSIVE},
        {"errors < 1%", VERDICT_INCONCLUSIVE},
        {"availability.time >= 50%", VERDICT_INCONCLUSIVE},
        {"p(50) < 20ms", VERDICT_PASS},
        {"p(50) < 5ms", VERDICT_FAIL},
        {"p(85) < 20ms", VERDICT_INCONCLUSIVE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        drill(&f, HEAD(LOAD "," FAULTS));
        json_object_set_new(f.h.header, "expect", json_pack("[s]", rows[i].text));
        event(&f, 2090, "self/stall", "info", "", "{\"from\":2020000000,\"to\":2090000000}");
        for (int k = 0; k < 10; k++)
            fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 2030 + k, 0, OUTCOME_UNSENT_STALL);
        struct judgement *j = judged(&f);
        assert_int_equal(j->lanes[0].planned, 100);
        assert_int_equal(j->lanes[0].stalled_unsent, 10);
        assert_true(j->lanes[0].downtime[0].stalled);
        assert_true(j->acts[0].stalled);
        if (check(j, rows[i].text)->verdict != rows[i].verdict)
            fail_msg("%s: %s: %s", rows[i].text, verdict_names[check(j, rows[i].text)->verdict], check(j, rows[i].text)->why);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Unsent by the cap is bad; it would have been known at planned + deadline (500 ms): min = 2900 - 2600 = 300. */
static void test_unsent(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD(LOAD));
    fixture_requests(&f, 0, 2100, 10, OUTCOME_GOOD);
    fixture_requests(&f, 2100, 3000, 0, OUTCOME_UNSENT_CAP);
    fixture_requests(&f, 3000, 10000, 10, OUTCOME_GOOD);
    event(&f, 10100, "run/end", "info", "", "{}");
    struct judgement *j = judged(&f);
    assert_int_equal(j->lanes[0].planned, 100);
    assert_int_equal(j->lanes[0].bad, 0);
    assert_int_equal(j->lanes[0].unsent, 9);
    assert_true(j->lanes[0].by_requests == 0.91);
    assert_true(isinf(j->lanes[0].p99_ms));
    assert_int_equal(j->lanes[0].downtime[0].min, 300 * MS);
    assert_int_equal(j->lanes[0].downtime[0].act, -1);
    judgement_free(j);
    fixture_free(&f);
}

/* Three targets in turn, one dead for a second: the load's window is one, and so is the target's. The samples come in the order of
 * completion, so the slow bad ones late. */
static void test_targets(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD(LOAD));
    for (int i = 0; i < 3; i++) {
        char id[32];
        snprintf(id, sizeof id, "{\"id\":%d}", i + 10);
        fixture_event(&f, 0, "load/target", "info", "", i == 0 ? "etcd-0" : i == 1 ? "etcd-1" : "etcd-2", id);
    }
    for (int i = 0; i < 90; i++) {
        bool dead = i % 3 == 1 && i >= 30 && i < 60; /* i = 31, 34, ... 58 */
        if (!dead)
            fixture_sample(&f, 0, LANE_REUSED, 10 + i % 3, i * 100, 10, OUTCOME_GOOD);
    }
    for (int i = 31; i < 60; i += 3)
        fixture_sample(&f, 0, LANE_REUSED, 11, i * 100, 500, OUTCOME_BAD);
    event(&f, 9100, "run/end", "info", "", "{}");
    struct judgement *j = judged(&f);
    assert_int_equal(j->lane_count, 5);
    assert_string_equal(j->lanes[3].target, "etcd-1");
    assert_int_equal(j->lanes[3].planned, 30);
    assert_int_equal(j->lanes[3].bad, 10);
    assert_int_equal(j->lanes[2].downtime_count, 0);
    assert_int_equal(j->lanes[0].downtime_count, 1);
    assert_int_equal(j->lanes[0].downtime[0].max, (5910 - 3000) * MS); /* last good before: i = 30; first good after: i = 59 */
    assert_int_equal(j->lanes[3].downtime_count, 1);
    assert_int_equal(j->lanes[3].downtime[0].max, (6110 - 2800) * MS); /* the target's own: i = 28 and i = 61 */
    assert_int_equal(j->lanes[3].downtime[0].min, (5800 - 3600) * MS);
    judgement_free(j);
    fixture_free(&f);
}

enum {
    NO_END = 1,
    ABORT = 2,
    ERROR = 4,
    SKIP = 8,
    SKIPPED_ACT = 16,
    NO_ACT = 32,
    FAILED_ACT = 64,
    UNSEEN = 128,
    UNREVERTED = 256,
    REVERTED = 512,
    LATE_LOAD = 1024,
    DEAD_LOAD = 2048,
    REVERT_FAILS = 4096,
    OVER_LIMIT = 8192,
    NEVER_READY = 16384,
    UNANSWERED = 32768
};

static void build(struct fixture *f, int flags) {
    const bool held = flags & (UNREVERTED | REVERTED | REVERT_FAILS | UNANSWERED);
    fixture_init(f, held ? HEAD(LOAD "," PAUSE) : HEAD(LOAD "," FAULTS));
    if (flags & OVER_LIMIT)
        json_object_set_new(f->h.header, "expect", json_pack("[s]", "availability > 100%"));
    const char *fault = held ? "pause" : "kill";
    char data[128];
    snprintf(data, sizeof data, "{\"id\":1,\"fault\":\"%s\",\"occurrence\":1,\"why\":\"no candidate\"}", fault);
    fixture_requests(f, 0, 5000, 10, flags & DEAD_LOAD ? OUTCOME_BAD : OUTCOME_GOOD);
    double at = flags & LATE_LOAD ? 5 : 2050; /* before the first answer */
    if (flags & NEVER_READY)
        event(f, 1, "run/ready", "fail", "", "{\"why\":\"etcd-2 never got ready\"}");
    if (flags & SKIPPED_ACT)
        event(f, at, "fault/act", "info", "skip", data);
    else if (!(flags & NO_ACT))
        event(f, at, "fault/act", "invoke", "k", data);
    if (flags & FAILED_ACT)
        event(f, at, "fault/act", "fail", "k", data);
    else if (!(flags & (NO_ACT | SKIPPED_ACT | UNANSWERED)))
        event(f, at, "fault/act", "ok", "k", data);
    if (!(flags & (NO_ACT | SKIPPED_ACT | FAILED_ACT | UNSEEN | UNANSWERED)))
        event(f, at, "fault/observed", "info", "", "{\"id\":1}");
    if (flags & REVERT_FAILS)
        event(f, 3000, "fault/revert", "fail", "", "{\"id\":1,\"why\":\"EIO\"}");
    if (flags & REVERTED)
        event(f, 3001, "fault/revert", "ok", "", "{\"id\":1}");
    if (flags & ABORT)
        event(f, 4000, "run/abort", "info", "", "{\"why\":\"a person asked\"}");
    if (flags & ERROR)
        event(f, 4000, "self/error", "info", "", "{\"why\":\"disk full\"}");
    if (flags & SKIP)
        event(f, 4000, "run/skip", "info", "", "{\"why\":\"nothing to do\"}");
    if (!(flags & NO_END))
        event(f, 5100, "run/end", "info", "", "{}");
}

static void test_verdicts(void **state) {
    (void)state;
    static const struct { int flags; enum verdict verdict; const char *why; } rows[] = {
        {0, VERDICT_PASS, "All 4 checks passed: 100 % of 50 writes good, no downtime, no fault was noticed."},
        {OVER_LIMIT, VERDICT_FAIL, "availability was 100 %, limit 100 %."},
        {NO_END, VERDICT_INCONCLUSIVE, "The history has no end: chaosd was killed, or could not write."},
        {NO_END | OVER_LIMIT, VERDICT_FAIL, "availability was 100 %, limit 100 %."},
        {ABORT, VERDICT_ABORTED, "Aborted: a person asked."},
        {ABORT | OVER_LIMIT, VERDICT_ABORTED, "Aborted: a person asked."},
        {ABORT | UNREVERTED, VERDICT_FAIL, "pause #1 on etcd-0 was not reverted."},
        {ABORT | REVERTED, VERDICT_ABORTED, NULL},
        {ERROR, VERDICT_INCONCLUSIVE, "The run is not to be trusted: disk full."},
        {NEVER_READY, VERDICT_INCONCLUSIVE, "The run is not to be trusted: etcd-2 never got ready."},
        {SKIP, VERDICT_SKIPPED, "Skipped: nothing to do."},
        {SKIPPED_ACT, VERDICT_SKIPPED, "Skipped: no candidate."},
        {SKIPPED_ACT | OVER_LIMIT, VERDICT_FAIL, "availability was 100 %, limit 100 %."}, /* a violated limit is one without any act too */
        {SKIP | OVER_LIMIT, VERDICT_FAIL, NULL},
        {SKIPPED_ACT | NO_END, VERDICT_INCONCLUSIVE, NULL},
        {SKIPPED_ACT | ABORT, VERDICT_ABORTED, NULL},
        {NO_ACT, VERDICT_INCONCLUSIVE, "kill was never carried out: it was never due."},
        {FAILED_ACT, VERDICT_INCONCLUSIVE, "kill #1 on etcd-0 failed: no candidate."},
        {UNSEEN, VERDICT_INCONCLUSIVE, "kill #1 on etcd-0 was never seen in effect."},
        {UNREVERTED, VERDICT_FAIL, "pause #1 on etcd-0 was not reverted."},
        {UNREVERTED | NO_END, VERDICT_INCONCLUSIVE, NULL}, /* the record just ends: unknown is not failure */
        {UNANSWERED, VERDICT_INCONCLUSIVE, NULL},
        {UNANSWERED | REVERTED, VERDICT_INCONCLUSIVE, NULL},
        {UNANSWERED | NO_END, VERDICT_INCONCLUSIVE, NULL},
        {REVERT_FAILS, VERDICT_FAIL, "pause #1 on etcd-0 was not reverted: EIO."},
        {REVERT_FAILS | NO_END, VERDICT_FAIL, NULL},
        {REVERT_FAILS | REVERTED, VERDICT_PASS, NULL}, /* at the second try */
        {REVERTED, VERDICT_PASS, NULL},
        {LATE_LOAD, VERDICT_INCONCLUSIVE, "writes had no success before the first fault (is the target right?)."},
        {LATE_LOAD | OVER_LIMIT, VERDICT_INCONCLUSIVE, NULL}, /* not judged at all: not "0 %: fail" */
        {DEAD_LOAD, VERDICT_INCONCLUSIVE, "writes had no success at all (is the target right?)."},
        {DEAD_LOAD | OVER_LIMIT, VERDICT_INCONCLUSIVE, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        build(&f, rows[i].flags);
        struct judgement *j = judged(&f);
        if (j->verdict != rows[i].verdict || (rows[i].why && strcmp(j->why, rows[i].why)))
            fail_msg("row %zu: %s: %s", i, verdict_names[j->verdict], j->why);
        if (rows[i].flags == SKIPPED_ACT) { /* the checks keep their own words */
            assert_int_equal(check(j, "complete")->verdict, VERDICT_PASS);
            assert_string_equal(check(j, "observed")->why, "kill was never carried out: no candidate.");
        }
        if (rows[i].flags == (UNANSWERED | NO_END)) /* carried out or not, it was not undone here */
            assert_string_equal(check(j, "reverted")->why, "pause #1 on etcd-0 may have been carried out: its end was not seen: the history stops before.");
        judgement_free(j);
        fixture_free(&f);
    }
}

static void test_exit_codes(void **state) {
    (void)state;
    static const int want[] = {0, 1, 2, 3, 4};
    for (int v = VERDICT_PASS; v <= VERDICT_ABORTED; v++)
        assert_int_equal(verdict_exit_code((enum verdict)v), want[v]);
}

/* Nothing, next to nothing, and things that do not fit. */
static void test_odd_histories(void **state) {
    (void)state;
    static const char *const headers[] = {
        "{\"schema\":1}", HEAD(LOAD), "{\"schema\":1,\"loads\":7,\"faults\":{},\"expect\":\"x\",\"workloads\":[1]}",
        "{\"schema\":1,\"loads\":[7,{\"name\":1,\"goods\":-1,\"lanes\":[3]}],\"faults\":[null],\"expect\":[1,\"p(50) < 1s\"]}"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        for (int what = 0; what < 4; what++) {
            struct fixture f;
            fixture_init(&f, headers[i]);
            if (what & 1) {
                struct sample *s = fixture_sample(&f, 0, 0, 77, 5, -3, OUTCOME_GOOD);
                s->load = (uint16_t)(i == 0 ? 9 : 0);
                s->planned_ns = 900 * MS; /* planned after it ended */
            }
            if (what & 2) {
                event(&f, -5, "fault/act", "ok", "", "{}"); /* no id, no fault */
                event(&f, 3, "fault/observed", "info", "", "{\"id\":4}");
                event(&f, 2, "fault/revert", "ok", "", "{\"id\":\"x\"}");
                event(&f, 1, "self/stall", "info", "", "{\"from\":9,\"to\":1}");
                event(&f, 1, "cluster/pod", "info", "ready", "{}");
            }
            struct judgement *j = judged(&f);
            assert_int_equal(j->verdict, VERDICT_INCONCLUSIVE);
            judgement_free(j);
            fixture_free(&f);
        }
}

/* "All loads" means each of them: the worst one decides, and is named. */
static void test_worst_load(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, "{\"schema\":1,\"loads\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"expect\":[\"errors <= 10%\", \"errors(a) <= 10%\"]}");
    for (int i = 0; i < 100; i++) {
        fixture_sample(&f, 0, 0, SAMPLE_NO_TARGET, i, 1, i == 50 ? OUTCOME_BAD : OUTCOME_GOOD);
        fixture_sample(&f, 1, 0, SAMPLE_NO_TARGET, i, 1, i >= 40 && i < 60 ? OUTCOME_BAD : OUTCOME_GOOD);
    }
    event(&f, 200, "run/end", "info", "", "{}");
    struct judgement *j = judged(&f);
    assert_string_equal(check(j, "errors <= 10%")->why, "errors of b was 20 %, limit 10 %.");
    assert_int_equal(check(j, "errors(a) <= 10%")->verdict, VERDICT_PASS);
    assert_int_equal(j->verdict, VERDICT_FAIL);
    judgement_free(j);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),    cmocka_unit_test(test_thresholds), cmocka_unit_test(test_censored),
        cmocka_unit_test(test_stalled),    cmocka_unit_test(test_unsent),     cmocka_unit_test(test_targets),
        cmocka_unit_test(test_verdicts),   cmocka_unit_test(test_exit_codes), cmocka_unit_test(test_odd_histories),
        cmocka_unit_test(test_worst_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
