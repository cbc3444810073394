/* SPDX-License-Identifier: Apache-2.0 */
/* A run with more acts and windows than anybody reads: the worst are told, and how many there were. */
#include "history_fixture.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "report/report.h"
#include "report/worst.h"

static int64_t weight(const void *of, size_t i) { return ((const int64_t *)of)[i]; }

static void test_the_heaviest_in_their_own_order(void **state) {
    (void)state;
    static const int64_t list[] = {5, 9, 1, 9, 7, 9, 0};
    static const struct { size_t most, want[7], count; } rows[] = {
        {0, {0}, 0}, {1, {1}, 1}, {2, {1, 3}, 2}, {4, {1, 3, 4, 5}, 4}, {5, {0, 1, 3, 4, 5}, 5}, {7, {0, 1, 2, 3, 4, 5, 6}, 7}, {99, {0, 1, 2, 3, 4, 5, 6}, 7},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t n = 99;
        cleanup_free size_t *got = worst_of(list, ARRAY_SIZE(list), rows[i].most, weight, &n);
        assert_non_null(got);
        assert_int_equal(n, rows[i].count);
        assert_memory_equal(got, rows[i].want, n * sizeof *got);
    }
}

enum { ACTS = TOLD_MOST + 500, BAD_ONE = 700, LONG_ONE = 1234 };

/* An act each 2 s with a window of one bad request (100 ms apart, closed by goods over 300 ms); one act has three of them, one is not seen. */
static void soak(struct fixture *f) {
    fixture_init(f, "{\"schema\":1,\"run\":\"soak\",\"scenario\":\"soak\",\"loads\":[{\"name\":\"gets\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000,"
                    "\"goods\":3,\"over_ns\":300000000}],\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false}]}");
    fixture_event(f, 0, "run/schedule", "info", "", "", "{}");
    for (int i = 0; i < ACTS; i++) {
        char data[80];
        snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"kill\",\"occurrence\":%d}", i + 1, i + 1);
        fixture_event(f, 1000 + i * 2000.0, "fault/act", "ok", "pod-kill", "web-0", data);
        if (i != BAD_ONE)
            fixture_event(f, 1001 + i * 2000.0, "fault/observed", "info", "", "web-0", data);
    }
    for (int i = 0; i < ACTS * 20; i++) {
        int in_act = (i - 10) % 20, act = (i - 10) / 20;
        bool bad = i >= 10 && (in_act == 1 || (act == LONG_ONE && in_act < 4 && in_act > 0));
        fixture_sample(f, 0, LANE_REUSED, SAMPLE_NO_TARGET, i * 100.0, 10, bad ? OUTCOME_BAD : OUTCOME_GOOD);
    }
    fixture_event(f, ACTS * 2000.0, "run/end", "info", "", "", "{}");
}

static bool listed(const json_t *list, const char *key, int64_t want) {
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)list, i, one)
        if (json_integer_value(json_object_get(one, key)) == want)
            return true;
    return false;
}

static void test_a_soak_is_told_by_its_worst(void **state) {
    (void)state;
    struct fixture f;
    soak(&f);
    struct judgement *j = judged(&f);
    assert_int_equal(j->act_count, ACTS);
    cleanup_json json_t *s = report_summary(j);
    const json_t *faults = json_object_get(s, "faults"), *load = json_array_get(json_object_get(s, "loads"), 0), *windows = json_object_get(load, "downtime");
    assert_int_equal(json_array_size(faults), TOLD_MOST);
    assert_int_equal(json_integer_value(json_object_get(s, "faults_total")), ACTS);
    assert_int_equal(json_array_size(windows), TOLD_MOST);
    assert_int_equal(json_integer_value(json_object_get(load, "downtime_total")), ACTS);
    assert_true(listed(faults, "act", BAD_ONE));
    assert_true(listed(faults, "act", LONG_ONE));
    assert_true(listed(windows, "act", LONG_ONE));
    assert_false(listed(faults, "act", ACTS - 1)); /* no worse than the others, and the last of them */
    struct buf text = {0};
    assert_return_code(report_kind("text")->render(j, &text, NULL), 0);
    assert_non_null(strstr(text.data, "and 1,300 more acts, none of them worse"));
    assert_non_null(strstr(text.data, "kill #701 was never seen in effect"));
    buf_free(&text);
    judgement_free(j);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_heaviest_in_their_own_order),
        cmocka_unit_test(test_a_soak_is_told_by_its_worst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
