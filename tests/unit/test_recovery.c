/* SPDX-License-Identifier: Apache-2.0 */
#include "history_fixture.h"

#include "check/judge.h"

#define HEADER                                                                                                                             \
    "{\"schema\":1,\"scenario\":\"t\",\"seed\":7,\"loads\":[{\"name\":\"writes\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000}],"      \
    "\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false},{\"name\":\"pause\",\"kind\":\"pod-pause\",\"holds\":true}],"   \
    "\"workloads\":[{\"name\":\"etcd\",\"replicas\":2}]}"

static void act(struct fixture *f, double t, int id, const char *fault, const char *target, const char *more) {
    char data[512];
    snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"%s\",\"occurrence\":%d%s}", id, fault, id, more);
    fixture_event(f, t - 1, "fault/act", "invoke", "pod-kill", target, data);
    fixture_event(f, t, "fault/act", "ok", "pod-kill", target, data);
    fixture_event(f, t + 1, "fault/observed", "info", "", target, data);
}

/* Requests each 100 ms. Good to 2000; the act at 2050; bad 2100..2900 taking 50 ms; good from 3000 on, 10 ms each.
 * detect: 2150 - 2050 = 100. First good after the first bad, and of the closing streak: 3010 - 2050 = 960.
 * Window: start 2100, max 3010 - 2000 = 1010, min 2900 - 2150 = 750, point 3010 - 2100 = 910. */
static void test_plain(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_requests(&f, 0, 2100, 10, OUTCOME_GOOD);
    fixture_requests(&f, 2100, 3000, 50, OUTCOME_BAD);
    fixture_requests(&f, 3000, 6000, 10, OUTCOME_GOOD);
    act(&f, 2050, 1, "kill", "etcd-0", "");
    struct judgement *j = judged(&f);
    const struct downtime *d = j->lanes[0].downtime;
    assert_int_equal(j->lanes[0].downtime_count, 1);
    assert_int_equal(d->start, 2100 * MS);
    assert_int_equal(d->end, 3010 * MS);
    assert_int_equal(d->min, 750 * MS);
    assert_int_equal(d->point, 910 * MS);
    assert_int_equal(d->max, 1010 * MS);
    assert_int_equal(d->act, 0);
    assert_int_equal(d->bad, 9);
    assert_int_equal(j->act_count, 1);
    const struct act_figures *a = &j->acts[0];
    assert_int_equal(a->at, 2050 * MS); /* "ok", not "invoke" */
    assert_true(a->acted && a->observed && a->noticed && !a->censored && !a->holds);
    assert_int_equal(a->detect, 100 * MS);
    assert_int_equal(a->first_good, 960 * MS);
    assert_int_equal(a->sustained, 960 * MS);
    assert_int_equal(a->redundancy, UNKNOWN_NS); /* no pod events: unknown, not 0 */
    judgement_free(j);
    fixture_free(&f);
}

/* A request under way when the act came (start 2000, bad at 2500) counts; so does a good one that came through in between: with
 * three targets the first good is at once (2110 - 2050), the sustained one waits for the streak's first good (2310 - 2050). */
static void test_in_flight(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_requests(&f, 0, 2000, 10, OUTCOME_GOOD);
    fixture_sample(&f, 0, LANE_REUSED, 0, 2000, 500, OUTCOME_BAD);
    fixture_sample(&f, 0, LANE_REUSED, 1, 2100, 10, OUTCOME_GOOD);
    fixture_sample(&f, 0, LANE_REUSED, 0, 2200, 20, OUTCOME_BAD);
    fixture_requests(&f, 2300, 6000, 10, OUTCOME_GOOD);
    act(&f, 2050, 1, "kill", "etcd-0", "");
    struct judgement *j = judged(&f);
    assert_int_equal(j->acts[0].detect, 170 * MS); /* the later request was the first to fail: 2220 - 2050 */
    assert_int_equal(j->acts[0].first_good, 60 * MS);
    assert_int_equal(j->acts[0].sustained, 260 * MS);
    judgement_free(j);
    fixture_free(&f);
}

static void test_not_noticed(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_requests(&f, 0, 6000, 10, OUTCOME_GOOD);
    act(&f, 2050, 1, "kill", "etcd-0", "");
    act(&f, 5500, 2, "kill", "etcd-1", ""); /* 0.4 s of goods after it: too short to say */
    struct judgement *j = judged(&f);
    assert_false(j->acts[0].noticed || j->acts[0].censored);
    assert_int_equal(j->acts[0].sustained, 0);
    assert_int_equal(j->acts[0].detect, UNKNOWN_NS);
    assert_int_equal(j->acts[0].first_good, UNKNOWN_NS);
    assert_false(j->acts[1].noticed);
    assert_true(j->acts[1].censored);
    assert_int_equal(j->acts[1].sustained, UNKNOWN_NS);
    judgement_free(j);
    fixture_free(&f);
}

/* Never recovered: bad from 2100 to the end. Not sustained when the last bad one started, 3900 - 2050 = 1850. */
static void test_censored(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_requests(&f, 0, 2100, 10, OUTCOME_GOOD);
    fixture_requests(&f, 2100, 4000, 50, OUTCOME_BAD);
    act(&f, 2050, 1, "kill", "etcd-0", "");
    struct judgement *j = judged(&f);
    assert_true(j->acts[0].noticed && j->acts[0].censored);
    assert_int_equal(j->acts[0].sustained, UNKNOWN_NS);
    assert_int_equal(j->acts[0].at_least, 1850 * MS);
    assert_int_equal(j->acts[0].first_good, UNKNOWN_NS);
    assert_true(j->lanes[0].downtime[0].censored);
    assert_int_equal(j->lanes[0].downtime[0].min, (3900 - 2150) * MS);
    assert_int_equal(j->lanes[0].downtime[0].short_by, UNKNOWN_NS); /* no good at the end */
    judgement_free(j);
    fixture_free(&f);
}

/* The second act falls into the first one's window: both answer for it, but the window is the first one's. */
static void test_two_in_a_window(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_requests(&f, 0, 2100, 10, OUTCOME_GOOD);
    fixture_requests(&f, 2100, 4000, 50, OUTCOME_BAD);
    fixture_requests(&f, 4000, 8000, 10, OUTCOME_GOOD);
    act(&f, 2050, 1, "kill", "etcd-0", "");
    act(&f, 3020, 2, "kill", "etcd-1", "");
    struct judgement *j = judged(&f);
    assert_int_equal(j->lanes[0].downtime[0].act, 0);
    assert_int_equal(j->acts[0].sustained, (4010 - 2050) * MS);
    assert_int_equal(j->acts[1].sustained, (4010 - 3020) * MS);
    assert_int_equal(j->acts[1].detect, 30 * MS); /* the one of 3000, under way, ended at 3050 */
    assert_int_equal(j->acts[1].first_good, (4010 - 3020) * MS);
    judgement_free(j);
    fixture_free(&f);
}

/* Each row: acts as {at, reverted (0: never), holds}, and whose a window is whose first bad ended at `end`. */
static void test_attribution(void **state) {
    (void)state;
    static const struct { struct { int at, reverted, holds; } acts[3]; size_t n; int end, want; } rows[] = {
        {{{0}}, 0, 10, -1},
        {{{10, 0, 0}}, 1, 9, -1},                     /* before it */
        {{{10, 0, 0}}, 1, 10, 0},                     /* at once */
        {{{10, 0, 0}}, 1, 40, 0},                     /* 30 s after */
        {{{10, 0, 0}}, 1, 41, -1},                    /* later */
        {{{10, 0, 0}, {12, 0, 0}}, 2, 13, 1},         /* the latest */
        {{{10, 0, 1}}, 1, 100, 0},                    /* held still */
        {{{10, 50, 1}}, 1, 80, 0},                    /* 30 s after its end */
        {{{10, 50, 1}}, 1, 81, -1},
        {{{10, 50, 1}, {12, 20, 1}}, 2, 21, 0},       /* the one still held, not the one just reverted */
        {{{10, 50, 1}, {12, 20, 1}}, 2, 13, 1},       /* both held: the latest */
        {{{10, 50, 1}, {12, 0, 0}}, 2, 13, 1},        /* a kill during a pause is the kill's */
        {{{2, 0, 0}, {1, 15, 1}}, 2, 16, 1},          /* the end of a pause is later than the kill */
        {{{10, 0, 0}, {10, 0, 0}}, 2, 11, 1},         /* ties: the later one written */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, HEADER);
        for (size_t k = 0; k < rows[i].n; k++) {
            int at = rows[i].acts[k].at;
            act(&f, at * 1000, (int)k + 1, rows[i].acts[k].holds ? "pause" : "kill", "etcd-0", "");
            char id[32];
            snprintf(id, sizeof id, "{\"id\":%d}", (int)k + 1);
            if (rows[i].acts[k].reverted)
                fixture_event(&f, rows[i].acts[k].reverted * 1000, "fault/revert", "ok", "", "", id);
        }
        fixture_sample(&f, 0, 0, SAMPLE_NO_TARGET, 0, 1, OUTCOME_GOOD);
        fixture_sample(&f, 0, 0, SAMPLE_NO_TARGET, rows[i].end * 1000 - 1, 1, OUTCOME_BAD);
        struct judgement *j = judged(&f);
        if (j->lanes[0].downtime[0].act != rows[i].want)
            fail_msg("row %zu: %d", i, j->lanes[0].downtime[0].act);
        judgement_free(j);
        fixture_free(&f);
    }
}

static void pod(struct fixture *f, double t, const char *kind, const char *name) {
    fixture_event(f, t, "cluster/pod", "info", kind, name, "{\"workload\":\"etcd\"}");
}

/* Ready: 2 of 2. Killed at 2050, seen gone at 2055, ready again at 4050: 2000 ms. The second act, on a pod that stays ready: 0.
 * The third freezes at once (before "ok" is written) and thaws at 16000. */
static void test_redundancy(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_requests(&f, 0, 20000, 10, OUTCOME_GOOD);
    pod(&f, 1, "created", "etcd-0");
    pod(&f, 1, "created", "etcd-1");
    pod(&f, 100, "ready", "etcd-0");
    pod(&f, 110, "ready", "etcd-1");
    act(&f, 2050, 1, "kill", "etcd-0", "");
    pod(&f, 2055, "exited", "etcd-0");
    pod(&f, 3060, "started", "etcd-0");
    pod(&f, 4050, "ready", "etcd-0");
    act(&f, 8000, 2, "kill", "etcd-1", "");
    pod(&f, 11999.5, "frozen", "etcd-1");
    act(&f, 12000, 3, "pause", "etcd-1", "");
    act(&f, 15000, 4, "kill", "other-0", "");
    pod(&f, 16000, "thawed", "etcd-1");
    act(&f, 17000, 5, "kill", "etcd-0", "");
    fixture_event(&f, 20000, "run/loads-end", "info", "", "", "{}");
    pod(&f, 20001, "removed", "etcd-0"); /* the run's end is no loss */
    struct judgement *j = judged(&f);
    assert_int_equal(j->acts[0].redundancy, 2000 * MS);
    assert_int_equal(j->acts[1].redundancy, 0);
    assert_int_equal(j->acts[2].redundancy, 4000 * MS);
    assert_int_equal(j->acts[3].redundancy, UNKNOWN_NS); /* a pod that nothing is known of */
    assert_int_equal(j->acts[4].redundancy, 0);
    assert_false(j->acts[4].censored);
    judgement_free(j);
    f.h.event_count -= 6; /* without the thaw and what follows: never seen whole again */
    j = judged(&f);
    assert_int_equal(j->acts[2].redundancy, UNKNOWN_NS);
    assert_true(j->acts[2].censored);
    f.h.event_count += 6;
    judgement_free(j);
    fixture_free(&f);
}

/* Killed at 2050 as the leader, seen as such at 2000; etcd-1 leads by an answer asked for at 2900 and seen at 2950. An answer asked
 * for before the act says nothing of afterwards. The next act comes before anybody is seen to lead again. */
static void test_roles(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    act(&f, 2050, 1, "kill", "etcd-0",
        ",\"role\":\"leader\",\"role_asked\":1999000000,\"role_seen\":2000000000,\"role_data\":{\"term\":\"2\"}");
    fixture_event(&f, 2060, "role/now", "info", "leader", "etcd-9", "{\"asked\":2040000000,\"seen\":2060000000}");
    fixture_event(&f, 2070, "role/now", "info", "leader", "", "{\"asked\":2060000000,\"seen\":2070000000}");
    fixture_event(&f, 2080, "role/now", "info", "standby", "etcd-2", "{\"asked\":2070000000,\"seen\":2080000000}");
    fixture_event(&f, 2950, "role/now", "info", "leader", "etcd-1", "{\"asked\":2900000000,\"seen\":2950000000,\"data\":{\"term\":\"3\"}}");
    act(&f, 5000, 2, "kill", "etcd-1", ",\"role\":\"leader\",\"role_seen\":4990000000");
    act(&f, 5100, 3, "kill", "etcd-2", "");
    fixture_event(&f, 5200, "role/now", "info", "leader", "etcd-0", "{\"asked\":5150000000,\"seen\":5200000000,\"data\":null}");
    struct judgement *j = judged(&f);
    assert_string_equal(j->acts[0].role_before, "etcd-0");
    assert_int_equal(j->acts[0].role_seen_before, 50 * MS);
    assert_string_equal(j->acts[0].role_after, "etcd-1");
    assert_int_equal(j->acts[0].role_after_at, 900 * MS);
    assert_string_equal(json_string_value(json_object_get(j->acts[0].role_before_data, "term")), "2");
    assert_string_equal(json_string_value(json_object_get(j->acts[0].role_after_data, "term")), "3");
    assert_string_equal(j->acts[1].role_before, "etcd-1");
    assert_null(j->acts[1].role_after);
    assert_int_equal(j->acts[1].role_after_at, UNKNOWN_NS);
    assert_null(j->acts[2].role_before);
    judgement_free(j);
    fixture_free(&f);
}

/* A load that never worked before the act says nothing of the recovery; another one does. */
static void test_unjudged_load(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, "{\"schema\":1,\"loads\":[{\"name\":\"a\"},{\"name\":\"b\"}]}");
    for (int i = 0; i < 60; i++) {
        fixture_sample(&f, 0, 0, SAMPLE_NO_TARGET, i * 100, 10, OUTCOME_GOOD);
        fixture_sample(&f, 1, 0, SAMPLE_NO_TARGET, i * 100, 10, OUTCOME_BAD);
    }
    act(&f, 2050, 1, "kill", "etcd-0", "");
    struct judgement *j = judged(&f);
    assert_false(j->acts[0].noticed);
    assert_int_equal(j->acts[0].sustained, 0);
    judgement_free(j);
    fixture_free(&f);
}

/* Acts at 1000 and 3000. Marks by their own stamps: of "lost" the first after the act counts (1200, not 1300), what stands
 * before the act (900) is nobody's, and one after the next act is that act's. Noted out of order, told by time. */
static void test_marks(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_requests(&f, 0, 6000, 10, OUTCOME_GOOD);
    act(&f, 1000, 1, "kill", "etcd-0", "");
    act(&f, 3000, 2, "kill", "etcd-1", "");
    static const struct { const char *name, *pod, *data; } marks[] = {
        {"won", "etcd-2", "{\"at\":1400000000}"}, {"lost", "etcd-1", "{\"at\":1300000000}"}, {"lost", "etcd-2", "{\"at\":1200000000}"},
        {"lost", "etcd-1", "{\"at\":900000000}"}, {"won", "etcd-0", "{\"at\":3000000000}"},  {"won", "etcd-0", "{}"},
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        fixture_event(&f, 6000, "note/mark", "info", marks[i].name, marks[i].pod, marks[i].data);
    struct judgement *j = judged(&f);
    const struct act_figures *a = &j->acts[0], *b = &j->acts[1];
    assert_int_equal(a->mark_count, 2);
    assert_string_equal(a->marks[0].name, "lost");
    assert_string_equal(a->marks[0].pod, "etcd-2");
    assert_int_equal(a->marks[0].at, 200000000);
    assert_string_equal(a->marks[1].name, "won");
    assert_int_equal(a->marks[1].at, 400000000);
    assert_int_equal(b->mark_count, 1);
    assert_int_equal(b->marks[0].at, 0);
    judgement_free(j);
    fixture_free(&f);
}

/* One planned act with two victims (mode: all), at 2050 and 2060. Bad 2100..2900, and one that was
 * under way, 2040 to 2100: over at 3010. Both seen gone at 2070, after the
 * second was invoked; etcd-0 is ready again at 3000, etcd-1, and with it all, at 4050. */
static void test_victims_of_one_act(void **state) {
    (void)state;
    static const char *const data[] = {"{\"id\":1,\"fault\":\"kill\",\"occurrence\":1}", "{\"id\":2,\"fault\":\"kill\",\"occurrence\":1}"};
    for (int noticed = 0; noticed < 2; noticed++) {
        struct fixture f;
        fixture_init(&f, HEADER);
        fixture_requests(&f, 0, 2100, 10, OUTCOME_GOOD);
        fixture_requests(&f, 2100, 3000, noticed ? 50 : 10, noticed ? OUTCOME_BAD : OUTCOME_GOOD);
        fixture_requests(&f, 3000, 6000, 10, OUTCOME_GOOD);
        if (noticed)
            fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 2040, 60, OUTCOME_BAD);
        for (int i = 0; i < 2; i++)
            pod(&f, 100, "ready", i ? "etcd-1" : "etcd-0");
        for (int i = 0; i < 2; i++) {
            fixture_event(&f, 2049 + 10 * i, "fault/act", "invoke", "pod-kill", i ? "etcd-1" : "etcd-0", data[i]);
            fixture_event(&f, 2050 + 10 * i, "fault/act", "ok", "pod-kill", i ? "etcd-1" : "etcd-0", data[i]);
        }
        for (int i = 0; i < 2; i++) {
            pod(&f, 2070, "exited", i ? "etcd-1" : "etcd-0");
            fixture_event(&f, 2070, "fault/observed", "info", "", "", data[i]);
        }
        pod(&f, 3000, "ready", "etcd-0");
        pod(&f, 4050, "ready", "etcd-1");
        struct judgement *j = judged(&f);
        for (int i = 0; i < 2; i++) {
            const struct act_figures *a = &j->acts[i];
            assert_int_equal(a->redundancy, (2000 - 10 * i) * MS);
            assert_int_equal(a->noticed, noticed);
            assert_int_equal(a->detect, noticed ? (50 - 10 * i) * MS : UNKNOWN_NS);
            assert_int_equal(a->sustained, noticed ? (960 - 10 * i) * MS : 0); /* 0: 10 ms until the next victim do not end the watch */
            assert_false(a->censored);
        }
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Faults at 2050 and 2300. The first bad request starts at 2100, before the second fault, and hangs until 2600, after it: the window is
 * the second one's, as the latest, but the first answers for it too. */
static void test_begun_before_the_next(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_requests(&f, 0, 2100, 10, OUTCOME_GOOD);
    fixture_requests(&f, 2100, 3000, 500, OUTCOME_BAD);
    fixture_requests(&f, 3000, 6000, 10, OUTCOME_GOOD);
    act(&f, 2050, 1, "kill", "etcd-0", "");
    act(&f, 2300, 2, "kill", "etcd-1", "");
    struct judgement *j = judged(&f);
    assert_int_equal(j->lanes[0].downtime[0].act, 1);
    assert_int_equal(j->lanes[0].downtime[0].begun_in, 0);
    assert_true(j->acts[0].noticed);
    assert_int_equal(j->acts[0].detect, 550 * MS);
    assert_int_equal(j->acts[0].sustained, 960 * MS);
    assert_int_equal(j->acts[1].detect, 300 * MS);
    assert_int_equal(j->acts[1].sustained, 710 * MS);
    judgement_free(j);
    fixture_free(&f);
}

/* The same with the faults 3 s apart, and all well in between: the request under way at the second one is not the first one's. */
static void test_in_flight_at_the_next(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_requests(&f, 0, 5000, 10, OUTCOME_GOOD);
    fixture_requests(&f, 5000, 6000, 500, OUTCOME_BAD);
    fixture_requests(&f, 6000, 9000, 10, OUTCOME_GOOD);
    act(&f, 2050, 1, "kill", "etcd-0", "");
    act(&f, 5050, 2, "kill", "etcd-1", "");
    struct judgement *j = judged(&f);
    assert_int_equal(j->lanes[0].downtime[0].begun_in, 0);
    assert_false(j->acts[0].noticed);
    assert_int_equal(j->acts[0].sustained, 0);
    assert_int_equal(j->acts[1].sustained, 960 * MS);
    judgement_free(j);
    fixture_free(&f);
}

/* Only one request fails, and it was under way when the act came: the goods around it end before the act, and so does, by their starts,
 * the window. It was over for the user with the first good one after the act: started at 2060, ended at 2065. */
static void test_only_in_flight(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_requests(&f, 0, 2000, 10, OUTCOME_GOOD);
    fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 2000, 500, OUTCOME_BAD);
    for (int t = 2010; t < 4000; t += 10)
        if (t != 2050)
            fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, t, 5, OUTCOME_GOOD);
    act(&f, 2050, 1, "kill", "etcd-0", "");
    struct judgement *j = judged(&f);
    assert_int_equal(j->lanes[0].downtime[0].end, 2015 * MS);
    assert_int_equal(j->acts[0].detect, 450 * MS);
    assert_int_equal(j->acts[0].sustained, 15 * MS);
    judgement_free(j);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_only_in_flight),
        cmocka_unit_test(test_not_noticed),
        cmocka_unit_test(test_censored),
        cmocka_unit_test(test_two_in_a_window),
        cmocka_unit_test(test_victims_of_one_act),
        cmocka_unit_test(test_begun_before_the_next),
        cmocka_unit_test(test_in_flight_at_the_next),
        cmocka_unit_test(test_attribution),
        cmocka_unit_test(test_redundancy),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_unjudged_load),
        cmocka_unit_test(test_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
