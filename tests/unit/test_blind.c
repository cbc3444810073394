/* SPDX-License-Identifier: Apache-2.0 */
/* What nobody could have seen is not "nothing": chaosd stalled, or nothing was sent. */
#include "history_fixture.h"

#include "check/judge.h"

#define LOAD(name) "{\"name\":\"" name "\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000}"
#define HEAD(loads) "{\"schema\":1,\"loads\":[" loads "],\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false}]}"

static void kill_at(struct fixture *f, double t, int id) {
    char data[128];
    snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"kill\",\"occurrence\":%d}", id, id);
    fixture_event(f, t, "fault/act", "ok", "pod-kill", "etcd-0", data);
    fixture_event(f, t, "fault/observed", "info", "", "etcd-0", data);
}

static void requests(struct fixture *f, int load, double from, double to, int outcome) {
    double latency = outcome == OUTCOME_UNSENT_STALL ? 0 : outcome == OUTCOME_BAD ? 50 : 10;
    for (double t = from; t < to; t += 100)
        fixture_sample(f, load, LANE_REUSED, SAMPLE_NO_TARGET, t, latency, outcome);
}

#define EXPECT(build, rows) expect_verdicts(HEAD(LOAD("writes")), build, 10100, rows, sizeof rows / sizeof *rows)

/* The act at 2050, then chaosd stalls: nothing is sent from 2100 to 2900, all else is good. An outage may hide between the start of
 * the last good before (2000) and the end of the first after (3010): 1010 ms of 9910. */
static void stalled_after_act(struct fixture *f) {
    requests(f, 0, 0, 2100, OUTCOME_GOOD);
    requests(f, 0, 2100, 3000, OUTCOME_UNSENT_STALL);
    requests(f, 0, 3000, 10000, OUTCOME_GOOD);
    kill_at(f, 2050, 1);
    fixture_event(f, 2990, "self/stall", "info", "", "", "{\"from\":2060000000,\"to\":2990000000}");
}

static void test_stalled_after_act(void **state) {
    (void)state;
    static const struct want rows[] = {
        {"downtime.max < 1010ms", VERDICT_INCONCLUSIVE},
        {"downtime.max < 1011ms", VERDICT_PASS}, /* it cannot have been longer */
        {"downtime.max > 1s", VERDICT_INCONCLUSIVE},
        {"downtime.max > 2s", VERDICT_FAIL},
        {"downtime.total < 1s", VERDICT_INCONCLUSIVE},
        {"downtime.total <= 1010ms", VERDICT_PASS},
        {"downtime.count < 1", VERDICT_INCONCLUSIVE},
        {"downtime.count == 0", VERDICT_INCONCLUSIVE},
        {"downtime.count <= 1", VERDICT_PASS},
        {"availability.time >= 90%", VERDICT_INCONCLUSIVE}, /* 100 - 1010/9910: 89.8 % */
        {"availability.time >= 89%", VERDICT_PASS},
        {"availability >= 95%", VERDICT_INCONCLUSIVE}, /* 91 of 91 to 91 of 100 */
        {"recovery.max < 1h", VERDICT_INCONCLUSIVE},
        {"recovery.detect.max < 1h", VERDICT_INCONCLUSIVE},
        {"recovery.first_good.max < 1h", VERDICT_INCONCLUSIVE},
    };
    EXPECT(stalled_after_act, rows);
    struct fixture f;
    fixture_init(&f, HEAD(LOAD("writes")));
    json_object_set_new(f.h.header, "expect", json_pack("[s]", "recovery.max < 1h"));
    stalled_after_act(&f);
    struct judgement *j = judged(&f);
    assert_true(j->acts[0].stalled && !j->acts[0].noticed);
    assert_int_equal(j->acts[0].sustained, UNKNOWN_NS);
    assert_string_equal(check(j, "recovery.max < 1h")->why, "recovery.max cannot be judged: chaosd itself stalled in the meantime.");
    assert_int_equal(j->lanes[0].reasons[REASON_STALL], 0); /* not sent is no reason for a bad one */
    judgement_free(j);
    fixture_free(&f);
}

/* The same at the very end (5000 .. 5400): whether it ever ended is unknown. By time: 4900 to 5400 of 4910. */
static void stalled_at_end(struct fixture *f) {
    requests(f, 0, 0, 5000, OUTCOME_GOOD);
    requests(f, 0, 5000, 5500, OUTCOME_UNSENT_STALL);
    kill_at(f, 2050, 1);
}

static void test_stalled_at_end(void **state) {
    (void)state;
    static const struct want rows[] = {
        {"downtime.max < 1h", VERDICT_INCONCLUSIVE},
        {"downtime.total < 1h", VERDICT_INCONCLUSIVE},
        {"downtime.count <= 1", VERDICT_PASS},
        {"downtime.count < 1", VERDICT_INCONCLUSIVE},
        {"availability.time >= 89%", VERDICT_PASS},
        {"availability.time >= 90%", VERDICT_INCONCLUSIVE},
        {"recovery.max < 1s", VERDICT_PASS}, /* the act was watched for long enough before */
    };
    EXPECT(stalled_at_end, rows);
}

/* Down from 2100 to 2900. While the goods from 3000 on close the window, chaosd misses those of 3200 and 3300: the outage ended at
 * 3010 or at 3410. At most 1010 or 1410, recovery 960 or 1360; by time 1 - 910/9910 = 90.8 % or 400 ms less, 86.8 %. */
static void stalled_while_closing(struct fixture *f) {
    requests(f, 0, 0, 2100, OUTCOME_GOOD);
    requests(f, 0, 2100, 3000, OUTCOME_BAD);
    requests(f, 0, 3000, 3200, OUTCOME_GOOD);
    requests(f, 0, 3200, 3400, OUTCOME_UNSENT_STALL);
    requests(f, 0, 3400, 10000, OUTCOME_GOOD);
    kill_at(f, 2050, 1);
}

static void test_stalled_while_closing(void **state) {
    (void)state;
    static const struct want rows[] = {
        {"downtime.max < 1010ms", VERDICT_FAIL},
        {"downtime.max < 1410ms", VERDICT_INCONCLUSIVE},
        {"downtime.max < 1411ms", VERDICT_PASS},
        {"downtime.max > 750ms", VERDICT_INCONCLUSIVE}, /* 750 or 1150 */
        {"downtime.max > 1150ms", VERDICT_FAIL},
        {"downtime.total < 1410ms", VERDICT_INCONCLUSIVE},
        {"downtime.total < 1411ms", VERDICT_PASS},
        {"downtime.count == 1", VERDICT_PASS}, /* one, whatever was missed */
        {"recovery.max < 960ms", VERDICT_FAIL},
        {"recovery.max < 1360ms", VERDICT_INCONCLUSIVE},
        {"recovery.max < 1361ms", VERDICT_PASS},
        {"recovery.first_good.max <= 960ms", VERDICT_PASS},
        {"availability.time >= 91%", VERDICT_FAIL},
        {"availability.time >= 87%", VERDICT_INCONCLUSIVE},
        {"availability.time >= 86%", VERDICT_PASS},
    };
    EXPECT(stalled_while_closing, rows);
}

/* One bad request (planned at 5000, deadline 500 ms) among good ones, and one stall of chaosd. What the target said is the target's; what only did
 * not come in time is nobody's where chaosd was not there to send it or to take it. */
static void test_excuse(void **state) {
    (void)state;
    enum { SENT = SAMPLE_SENT };
    static const struct {
        int reason, flags, steps, connect_us;
        double from, to, latency;
        bool excused;
    } rows[] = {
        {REASON_TIMEOUT, SENT, 0, 0, 4000, 4999, 500, false}, /* over before */
        {REASON_TIMEOUT, SENT, 0, 0, 4000, 5000, 500, true},  /* planned in it */
        {REASON_TIMEOUT, SENT, 0, 0, 5001, 5499, 500, false}, /* long gone out; chaosd was back in time for the answer, and there was none */
        {REASON_TIMEOUT, SENT, 0, 0, 5400, 5500, 500, true},  /* its deadline passed in it */
        {REASON_TIMEOUT, SENT, 0, 0, 5400, 7400, 2399, true}, /* and was noticed afterwards */
        {REASON_TIMEOUT, SENT, 0, 0, 5501, 5600, 500, false},
        {REASON_TIMEOUT, 0, 0, 0, 5001, 5200, 500, true},     /* never went out: who knows why */
        {REASON_TIMEOUT, 0, 0, 0, 5501, 5600, 500, false},
        {REASON_TIMEOUT, SENT, 0, 9000, 5008, 5100, 500, true},  /* while it connected */
        {REASON_TIMEOUT, SENT, 0, 9000, 5010, 5100, 500, false}, /* connected before */
        {REASON_TIMEOUT, SENT, 1, 0, 5100, 5200, 500, true},  /* between two of its steps, maybe */
        {REASON_RESET, SENT, 0, 0, 5000, 5010, 20, true},
        {REASON_RESET, SENT, 0, 0, 5015, 5025, 20, true},     /* closed by a target that had waited for us? */
        {REASON_RESET, SENT, 0, 0, 5021, 5500, 20, false},
        {REASON_REFUSED, 0, 0, 0, 4900, 5400, 300, false},
        {REASON_STATUS, SENT, 1, 0, 4900, 5400, 300, false},
        {REASON_BODY, SENT, 1, 0, 4900, 5600, 500, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, HEAD(LOAD("writes")));
        requests(&f, 0, 0, 5000, OUTCOME_GOOD);
        struct sample *s = fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 5000, rows[i].latency, OUTCOME_BAD);
        s->reason = (uint8_t)rows[i].reason;
        s->flags = (uint8_t)rows[i].flags;
        s->steps = (uint8_t)rows[i].steps;
        s->connect_us = (uint32_t)rows[i].connect_us;
        requests(&f, 0, 5100, 10000, OUTCOME_GOOD);
        char data[100];
        snprintf(data, sizeof data, "{\"from\":%.0f,\"to\":%.0f}", rows[i].from * 1e6, rows[i].to * 1e6);
        fixture_event(&f, rows[i].to, "self/stall", "info", "", "", data);
        fixture_event(&f, 10100, "run/end", "info", "", "", "{}");
        json_object_set_new(f.h.header, "expect", json_pack("[s]", "downtime.count == 0"));
        struct judgement *j = judged(&f);
        const struct lane_figures *l = &j->lanes[0];
        if (l->stalled_unsent != rows[i].excused || l->bad != !rows[i].excused || l->planned != 99 + !rows[i].excused ||
            l->downtime_count != !rows[i].excused)
            fail_msg("row %zu: planned %ld bad %ld stalled %ld windows %zu", i, (long)l->planned, (long)l->bad, (long)l->stalled_unsent, l->downtime_count);
        enum verdict want = rows[i].excused || l->downtime[0].stalled ? VERDICT_INCONCLUSIVE : VERDICT_FAIL;
        assert_int_equal(check(j, "downtime.count == 0")->verdict, want);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* The cap was full: of what hangs, or of answers that chaosd did not take as it stalled. */
static void test_excuse_cap(void **state) {
    (void)state;
    for (int stalled = 0; stalled < 2; stalled++) {
        struct fixture f;
        fixture_init(&f, HEAD(LOAD("writes")));
        requests(&f, 0, 0, 5000, OUTCOME_GOOD);
        requests(&f, 0, 5000, 5200, OUTCOME_UNSENT_CAP);
        requests(&f, 0, 5200, 10000, OUTCOME_GOOD);
        if (stalled)
            fixture_event(&f, 5150, "self/stall", "info", "", "", "{\"from\":4950000000,\"to\":5150000000}");
        struct judgement *j = judged(&f);
        assert_int_equal(j->lanes[0].unsent, stalled ? 0 : 2);
        assert_int_equal(j->lanes[0].stalled_unsent, stalled ? 2 : 0);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* A driver's requests are chaosd's own, though they go the way of a program; another program's do not wait for chaosd. */
static void test_excuse_driver(void **state) {
    (void)state;
    for (int driver = 0; driver < 2; driver++) {
        struct fixture f;
        char header[300];
        snprintf(header, sizeof header, "{\"schema\":1,\"loads\":[{\"name\":\"writes\",\"kind\":\"%s\",\"lanes\":[\"exec\"],\"deadline_ns\":500000000}],"
                 "\"faults\":[]}", driver ? "driver" : "exec");
        fixture_init(&f, header);
        for (int i = 0; i < 50; i++)
            fixture_sample(&f, 0, LANE_EXEC, SAMPLE_NO_TARGET, i * 100, 10, OUTCOME_GOOD);
        fixture_sample(&f, 0, LANE_EXEC, SAMPLE_NO_TARGET, 5000, 700, OUTCOME_BAD)->flags = SAMPLE_SENT;
        fixture_event(&f, 5700, "self/stall", "info", "", "", "{\"from\":5400000000,\"to\":5700000000}");
        struct judgement *j = judged(&f);
        assert_int_equal(j->lanes[0].bad, !driver);
        assert_int_equal(j->lanes[0].stalled_unsent, driver);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Nothing is sent after the act, or only planned: no pass. */
static void test_nothing_sent(void **state) {
    (void)state;
    static const char why[] = "No request was sent after kill #1 on etcd-0: nobody could have noticed it.";
    for (int stalls = 0; stalls < 2; stalls++) {
        struct fixture f;
        fixture_init(&f, HEAD(LOAD("writes")));
        requests(&f, 0, 0, 5000, OUTCOME_GOOD);
        requests(&f, 0, 6000, stalls ? 7000 : 0, OUTCOME_UNSENT_STALL);
        kill_at(&f, 5500, 1);
        fixture_event(&f, 10100, "run/end", "info", "", "", "{}");
        struct judgement *j = judged(&f);
        assert_int_equal(check(j, "observed")->verdict, VERDICT_INCONCLUSIVE);
        assert_string_equal(j->why, why);
        assert_true(j->acts[0].censored);
        judgement_free(j);
        requests(&f, 0, 8000, 8100, OUTCOME_GOOD); /* one is enough to have noticed it, not to say that all was well */
        j = judged(&f);
        assert_int_equal(check(j, "observed")->verdict, VERDICT_PASS);
        assert_int_equal(j->acts[0].sustained, UNKNOWN_NS);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Of two loads, "reads" sends nothing from 2000 on: "writes", to which all is well, does not speak for it. */
static void test_silent_load(void **state) {
    (void)state;
    static const struct {
        int noticed, again; /* writes notice it; reads send again from 4000 on, where the second act is */
        enum verdict observed;
        int64_t sustained;
    } rows[] = {
        {0, 0, VERDICT_INCONCLUSIVE, UNKNOWN_NS},
        {0, 1, VERDICT_INCONCLUSIVE, UNKNOWN_NS},
        {1, 0, VERDICT_INCONCLUSIVE, UNKNOWN_NS},
        {1, 1, VERDICT_PASS, 960 * MS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, HEAD(LOAD("writes") "," LOAD("reads")));
        requests(&f, 0, 0, 2100, OUTCOME_GOOD);
        requests(&f, 0, 2100, 3000, rows[i].noticed ? OUTCOME_BAD : OUTCOME_GOOD);
        requests(&f, 0, 3000, 8000, OUTCOME_GOOD);
        requests(&f, 1, 0, 2000, OUTCOME_GOOD);
        requests(&f, 1, 4000, rows[i].again ? 8000 : 0, OUTCOME_GOOD);
        kill_at(&f, 2050, 1);
        if (rows[i].again)
            kill_at(&f, 4000, 2);
        fixture_event(&f, 8100, "run/end", "info", "", "", "{}");
        struct judgement *j = judged(&f);
        if (check(j, "observed")->verdict != rows[i].observed || j->acts[0].sustained != rows[i].sustained)
            fail_msg("row %zu: %s, %ld", i, check(j, "observed")->why, (long)j->acts[0].sustained);
        if (rows[i].observed != VERDICT_PASS) {
            assert_string_equal(j->why, "reads sent no request after kill #1 on etcd-0: it could not have noticed it.");
            assert_true(j->acts[0].censored);
            assert_int_equal(j->acts[0].at_least, rows[i].noticed ? 960 * MS : 0);
        }
        if (rows[i].again)
            assert_int_equal(j->acts[1].sustained, 0);
        judgement_free(j);
        fixture_free(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stalled_after_act), cmocka_unit_test(test_stalled_at_end), cmocka_unit_test(test_stalled_while_closing),
        cmocka_unit_test(test_excuse),            cmocka_unit_test(test_excuse_cap),     cmocka_unit_test(test_excuse_driver),
        cmocka_unit_test(test_nothing_sent),
        cmocka_unit_test(test_silent_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
