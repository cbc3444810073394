/* SPDX-License-Identifier: Apache-2.0 */
/* What is certain in spite of a stall or of a failing control is judged; what is not is never a pass, nor a fail. */
#include "history_fixture.h"

#include "check/judge.h"

#define LOAD(name, more) "{\"name\":\"" name "\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000" more "}"
#define HEAD(loads) "{\"schema\":1,\"loads\":[" loads "],\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false}]}"
#define ONE HEAD(LOAD("writes", ""))

static void act(struct fixture *f, double t, int id, int occurrence, const char *pod) {
    char data[128];
    snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"kill\",\"occurrence\":%d}", id, occurrence);
    fixture_event(f, t, "fault/act", "ok", "pod-kill", pod, data);
    fixture_event(f, t, "fault/observed", "info", "", pod, data);
}

static void stall(struct fixture *f, double from, double to) {
    char data[100];
    snprintf(data, sizeof data, "{\"from\":%.0f,\"to\":%.0f}", from * 1e6, to * 1e6);
    fixture_event(f, to, "self/stall", "info", "", "", data);
}

static void refused(struct fixture *f, int load, double from, double to) {
    for (double t = from; t < to; t += 100)
        fixture_sample(f, load, LANE_REUSED, SAMPLE_NO_TARGET, t, 5, OUTCOME_BAD)->reason = REASON_REFUSED;
}

static void spell(struct fixture *f, int load, double from, double to, int outcome) {
    for (double t = from; t < to; t += 100)
        fixture_sample(f, load, LANE_REUSED, SAMPLE_NO_TARGET, t, outcome == OUTCOME_UNSENT_STALL ? 0 : 10, outcome);
}

#define EXPECT(head, build, rows) expect_verdicts(head, build, 90000, rows, sizeof rows / sizeof *rows)

/* Refused from 10 to 60 s; chaosd stopped from 20 to 22 s in it. Nobody knows of those 2 s, nor of 1 s after them: from 23 to 59.9 s all was
 * bad for certain. 99 and 369 of 900 were refused without doubt: 100 planned ones less the 20 missed. */
static void stopped_within(struct fixture *f) {
    spell(f, 0, 0, 10000, OUTCOME_GOOD);
    refused(f, 0, 10000, 20000);
    spell(f, 0, 20000, 22000, OUTCOME_UNSENT_STALL);
    refused(f, 0, 22000, 60000);
    spell(f, 0, 60000, 90000, OUTCOME_GOOD);
    stall(f, 19950, 22000);
    act(f, 9950, 1, 1, "etcd-0");
}

static void test_stopped_within(void **state) {
    (void)state;
    static const struct want rows[] = {
        {"downtime.max < 30s", VERDICT_FAIL},         {"downtime.max < 45s", VERDICT_INCONCLUSIVE}, {"downtime.max < 10m", VERDICT_INCONCLUSIVE},
        {"downtime.max > 30s", VERDICT_PASS}, {"downtime.total < 30s", VERDICT_FAIL},       {"availability >= 60%", VERDICT_FAIL},
        {"errors < 40%", VERDICT_FAIL},               {"availability.time >= 70%", VERDICT_FAIL},   {"availability.time >= 50%", VERDICT_INCONCLUSIVE},
        {"recovery.max < 45s", VERDICT_FAIL},         {"recovery.max < 51s", VERDICT_INCONCLUSIVE}, {"downtime.count <= 1", VERDICT_INCONCLUSIVE},
        {"downtime.count < 1", VERDICT_INCONCLUSIVE},
    };
    EXPECT(ONE, stopped_within, rows);
}

/* A control that failed for 200 ms says nothing of the 50 s around. */
static void control_blip(struct fixture *f) {
    spell(f, 1, 0, 30000, OUTCOME_GOOD);
    refused(f, 1, 30000, 30200);
    spell(f, 1, 30200, 90000, OUTCOME_GOOD);
    spell(f, 0, 0, 10000, OUTCOME_GOOD);
    refused(f, 0, 10000, 60000);
    spell(f, 0, 60000, 90000, OUTCOME_GOOD);
    act(f, 9950, 1, 1, "etcd-0");
}

static void test_control_blip(void **state) {
    (void)state;
    static const struct want rows[] = {
        {"downtime.max < 20s", VERDICT_FAIL},   {"downtime.max < 40s", VERDICT_INCONCLUSIVE}, {"availability >= 60%", VERDICT_FAIL},
        {"recovery.max < 20s", VERDICT_FAIL},   {"recovery.max < 1h", VERDICT_INCONCLUSIVE},  {"availability.time >= 80%", VERDICT_FAIL},
    };
    EXPECT(HEAD(LOAD("writes", "") "," LOAD("ctl", ",\"control\":true")), control_blip, rows);
}

/* Two gaps of 300 ms with 400 ms of goods between them: were both bad, it would be one window, as no streak of 1 s lies between. From 4,900 to 6,010. */
static void two_gaps(struct fixture *f) {
    spell(f, 0, 0, 5000, OUTCOME_GOOD);
    spell(f, 0, 5000, 5300, OUTCOME_UNSENT_STALL);
    spell(f, 0, 5300, 5700, OUTCOME_GOOD);
    spell(f, 0, 5700, 6000, OUTCOME_UNSENT_STALL);
    spell(f, 0, 6000, 90000, OUTCOME_GOOD);
    stall(f, 4960, 5290);
    stall(f, 5660, 5990);
}

/* A gap of 300 ms, goods for 500 ms, then down for 1 s: at most 1,210 or, were the gap bad, 2,010. */
static void gap_before(struct fixture *f) {
    spell(f, 0, 0, 5000, OUTCOME_GOOD);
    spell(f, 0, 5000, 5300, OUTCOME_UNSENT_STALL);
    spell(f, 0, 5300, 5800, OUTCOME_GOOD);
    refused(f, 0, 5800, 6800);
    spell(f, 0, 6800, 90000, OUTCOME_GOOD);
    stall(f, 4960, 5290);
}

static void test_gaps_join(void **state) {
    (void)state;
    static const struct want two[] = {
        {"downtime.max < 1100ms", VERDICT_INCONCLUSIVE}, {"downtime.max <= 1110ms", VERDICT_PASS}, {"downtime.total < 1100ms", VERDICT_INCONCLUSIVE},
    };
    static const struct want before[] = {
        {"downtime.max < 1100ms", VERDICT_FAIL}, {"downtime.max < 1900ms", VERDICT_INCONCLUSIVE}, {"downtime.max <= 1910ms", VERDICT_PASS},
    };
    EXPECT(ONE, two_gaps, two);
    EXPECT(ONE, gap_before, before);
}

/* To saturate plans nothing: what chaosd missed as it stood still leaves no sample. */
static void saturated(struct fixture *f) {
    spell(f, 0, 0, 5000, OUTCOME_GOOD);
    spell(f, 0, 8000, 90000, OUTCOME_GOOD);
    stall(f, 4950, 7950);
    act(f, 5100, 1, 1, "etcd-0");
}

/* So does a load that may be late for long: what was planned in the stall went out after it. */
static void burst(struct fixture *f) {
    spell(f, 0, 0, 5000, OUTCOME_GOOD);
    for (double t = 5000; t < 8000; t += 100)
        fixture_sample(f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 7960, 10, OUTCOME_GOOD)->planned_ns = (int64_t)(t * 1e6);
    spell(f, 0, 8000, 90000, OUTCOME_GOOD);
    stall(f, 4950, 7950);
}

static void test_no_samples_missed(void **state) {
    (void)state;
    static const struct want rows[] = {
        {"downtime.max < 1s", VERDICT_INCONCLUSIVE}, {"downtime.count == 0", VERDICT_INCONCLUSIVE}, {"downtime.max < 4s", VERDICT_PASS},
        {"recovery.max < 1s", VERDICT_INCONCLUSIVE}, {"availability.time >= 99%", VERDICT_INCONCLUSIVE},
    };
    EXPECT(HEAD(LOAD("writes", ",\"closed\":true")), saturated, rows);
    static const struct want late[] = {{"downtime.max < 1s", VERDICT_INCONCLUSIVE}, {"downtime.max < 4s", VERDICT_PASS}};
    EXPECT(ONE, burst, late);
}

/* What was sent right after the act timed out as chaosd stalled: nobody's fault, and nobody saw anything. */
static void excused(struct fixture *f) {
    spell(f, 0, 0, 5000, OUTCOME_GOOD);
    for (double t = 5000; t < 8000; t += 100)
        fixture_sample(f, 0, LANE_REUSED, SAMPLE_NO_TARGET, t, 500, OUTCOME_BAD);
    spell(f, 0, 8000, 90000, OUTCOME_GOOD);
    stall(f, 4950, 8600);
    act(f, 4950, 1, 1, "etcd-0");
}

static void test_excused_is_blind(void **state) {
    (void)state;
    static const struct want rows[] = {{"recovery.max < 1s", VERDICT_INCONCLUSIVE}, {"recovery.first_good.max < 1s", VERDICT_INCONCLUSIVE}};
    EXPECT(ONE, excused, rows);
}

/* Twenty acts on three pods each, all well: the victims of one act are no independent trials. 20 do not bound P95. */
static void many_victims(struct fixture *f) {
    spell(f, 0, 0, 90000, OUTCOME_GOOD);
    for (int i = 0; i < 60; i++)
        act(f, 2050 + i / 3 * 4000, i, i / 3 + 1, i % 3 ? i % 3 == 1 ? "etcd-1" : "etcd-2" : "etcd-0");
}

static void test_victims(void **state) {
    (void)state;
    static const struct want rows[] = {{"recovery.p(95) < 1s", VERDICT_INCONCLUSIVE}, {"recovery.p(50) < 1s", VERDICT_PASS}};
    EXPECT(ONE, many_victims, rows);
}

/* The load never recovered; nobody ever looked at the replicas. That is no violation of a limit on them. */
static void no_pods(struct fixture *f) {
    spell(f, 0, 0, 5000, OUTCOME_GOOD);
    refused(f, 0, 5000, 20000);
    act(f, 4950, 1, 1, "etcd-0");
}

static void test_redundancy_unmeasured(void **state) {
    (void)state;
    static const struct want rows[] = {{"recovery.redundancy.max < 5s", VERDICT_INCONCLUSIVE}, {"recovery.max < 5s", VERDICT_FAIL}};
    EXPECT(ONE, no_pods, rows);
}

/* A kill, and 200 ms later the end of another fault; then down. Which of the two it was nobody knows: both answer. */
static void kill_and_revert(struct fixture *f) {
    spell(f, 0, 0, 10400, OUTCOME_GOOD);
    refused(f, 0, 10400, 40000);
    spell(f, 0, 40000, 90000, OUTCOME_GOOD);
    fixture_event(f, 5000, "fault/act", "ok", "pod-pause", "etcd-1", "{\"id\":1,\"fault\":\"pause\",\"occurrence\":1}");
    fixture_event(f, 5000, "fault/observed", "info", "", "etcd-1", "{\"id\":1}");
    act(f, 10050, 2, 1, "etcd-0");
    fixture_event(f, 10250, "fault/revert", "ok", "pod-pause", "etcd-1", "{\"id\":1}");
}

static void test_kill_and_revert(void **state) {
    (void)state;
    static const struct want rows[] = {{"recovery.max(kill) < 5s", VERDICT_FAIL}, {"recovery.max(pause) < 5s", VERDICT_FAIL}};
    EXPECT("{\"schema\":1,\"loads\":[" LOAD("writes", "") "],\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false},"
           "{\"name\":\"pause\",\"kind\":\"pod-pause\",\"holds\":true}]}", kill_and_revert, rows);
}

/* Set by a minute while the program ran: what stands between two of its stamps is no downtime. */
static void clock_set(struct fixture *f) {
    for (double t = 0; t < 90000; t += t < 9900 || t >= 69000 ? 100 : 60000)
        fixture_sample(f, 0, LANE_EXEC, SAMPLE_NO_TARGET, t, 10, t >= 9800 && t < 10000 ? OUTCOME_BAD : OUTCOME_GOOD);
    fixture_event(f, 89000, "load/exit", "info", "exec", "writes",
                  "{\"from\":0,\"to\":89000000000,\"code\":0,\"samples\":300,\"clock_step\":60000000000}");
}

static void test_clock_set(void **state) {
    (void)state;
    static const struct want rows[] = {{"downtime.max < 5s", VERDICT_INCONCLUSIVE}, {"downtime.max < 1h", VERDICT_INCONCLUSIVE}};
    EXPECT("{\"schema\":1,\"loads\":[{\"name\":\"writes\",\"kind\":\"exec\",\"lanes\":[\"exec\"],\"closed\":true,\"samples\":\"k6\"}],\"faults\":[]}", clock_set, rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_within),    cmocka_unit_test(test_control_blip),     cmocka_unit_test(test_gaps_join),
        cmocka_unit_test(test_no_samples_missed), cmocka_unit_test(test_excused_is_blind), cmocka_unit_test(test_victims),
        cmocka_unit_test(test_redundancy_unmeasured), cmocka_unit_test(test_kill_and_revert),
        cmocka_unit_test(test_clock_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
