/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "history/event.h"
#include "load/external.h"
#include "load/wallclock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T0 1795313823000000000 /* 2026-11-22T02:17:03Z */
#define T0_TEXT "2026-11-22T02:17:03"
#define K6(time, value, tags) "{\"type\":\"Point\",\"metric\":\"http_req_duration\",\"data\":{\"time\":\"" time "\",\"value\":" value ",\"tags\":{" tags "}}}"

static const struct {
    enum external_format format;
    const char *line;
    int64_t start, end; /* from T0, or from the program's start where relative */
    bool relative, good;
    uint8_t reason;
    uint16_t status;
    const char *target;
} good_rows[] = {
    /* jsonl: the three ways to say when, the two to say how long */
    {EXTERNAL_JSONL, "{\"start\": \"" T0_TEXT ".250Z\", \"duration_ms\": 12.5, \"ok\": true}", 250000000, 262500000, false, true, 0, 0, ""},
    {EXTERNAL_JSONL, "{\"start\": \"" T0_TEXT "Z\", \"end\": \"2026-11-22T03:17:03.5+01:00\", \"ok\": true}", 0, 500000000, false, true, 0, 0, ""},
    {EXTERNAL_JSONL, "{\"start\": 1795313823, \"duration_ms\": 1, \"ok\": true, \"status\": 204}", 0, 1000000, false, true, 0, 204, ""},
    {EXTERNAL_JSONL, "{\"at\": 2.5, \"duration_ms\": 0, \"ok\": true, \"more\": [1]}\r", 2500000000, 2500000000, true, true, 0, 0, ""},
    {EXTERNAL_JSONL, "{\"at\": 0, \"duration_ms\": 3, \"ok\": false, \"error\": \"[Errno 111] Connection refused\"}", 0, 3000000, true, false, REASON_REFUSED, 0, ""},
    {EXTERNAL_JSONL, "{\"at\": 0, \"duration_ms\": 3, \"ok\": false, \"status\": 503, \"target\": \"web-1\"}", 0, 3000000, true, false, REASON_STATUS, 503, "web-1"},
    {EXTERNAL_JSONL, "{\"at\": 0, \"duration_ms\": 3, \"ok\": false, \"error\": \"gone fishing\"}", 0, 3000000, true, false, REASON_OTHER, 0, ""},
    {EXTERNAL_JSONL, "{\"at\": 0, \"duration_ms\": 3, \"ok\": true, \"error\": \"timeout\"}", 0, 3000000, true, true, 0, 0, ""}, /* ok is its word */
    {EXTERNAL_JSONL, "{\"at\": 0, \"duration_ms\": 3, \"ok\": false, \"error\": null, \"status\": null}", 0, 3000000, true, false, REASON_OTHER, 0, ""},
    /* h2load */
    {EXTERNAL_H2LOAD, "1795313823000100\t200\t184", 100000, 284000, false, true, 0, 200, ""},
    {EXTERNAL_H2LOAD, "1795313823000100\t304\t184\ta new column", 100000, 284000, false, true, 0, 304, ""},
    {EXTERNAL_H2LOAD, "1795313823000100\t503\t184", 100000, 284000, false, false, REASON_STATUS, 503, ""},
    {EXTERNAL_H2LOAD, "1795313823000100\t-1\t184", 100000, 284000, false, false, REASON_OTHER, 0, ""},
    /* k6: its time is the end */
    {EXTERNAL_K6, K6(T0_TEXT ".5Z", "12.25", "\"status\":\"200\",\"expected_response\":\"true\""), 487750000, 500000000, false, true, 0, 200, ""},
    {EXTERNAL_K6, K6("2026-11-22T04:17:03.5+02:00", "100", "\"status\":\"404\",\"expected_response\":\"true\",\"error_code\":\"1404\""), 400000000, 500000000, false, true, 0, 404, ""},
    {EXTERNAL_K6, K6(T0_TEXT "Z", "0", "\"status\":\"0\",\"expected_response\":\"false\",\"error_code\":\"1212\""), 0, 0, false, false, REASON_REFUSED, 0, ""},
    {EXTERNAL_K6, K6(T0_TEXT "Z", "0", "\"status\":\"0\",\"expected_response\":\"false\",\"error_code\":\"1050\""), 0, 0, false, false, REASON_TIMEOUT, 0, ""},
    {EXTERNAL_K6, K6(T0_TEXT "Z", "0", "\"status\":\"0\",\"expected_response\":\"false\",\"error_code\":\"1220\""), 0, 0, false, false, REASON_RESET, 0, ""},
    {EXTERNAL_K6, K6(T0_TEXT "Z", "0", "\"status\":\"0\",\"expected_response\":\"false\",\"error_code\":\"1101\""), 0, 0, false, false, REASON_DNS, 0, ""},
    {EXTERNAL_K6, K6(T0_TEXT "Z", "0", "\"status\":\"503\",\"expected_response\":\"false\",\"error_code\":\"1503\""), 0, 0, false, false, REASON_STATUS, 503, ""},
    {EXTERNAL_K6, K6(T0_TEXT "Z", "0", "\"status\":\"302\""), 0, 0, false, true, 0, 302, ""}, /* without the tag: k6's own rule */
    {EXTERNAL_K6, K6(T0_TEXT "Z", "0", "\"status\":\"500\""), 0, 0, false, false, REASON_STATUS, 500, ""},
};

static void test_lines(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good_rows); i++) {
        struct external_sample s;
        char why[EXTERNAL_WHY] = "";
        enum external_word word = external_line(good_rows[i].format, good_rows[i].line, strlen(good_rows[i].line), &s, why);
        if (word != EXTERNAL_SAMPLE)
            fail_msg("row %zu: %s: %s", i, good_rows[i].line, why);
        int64_t zero = good_rows[i].relative ? 0 : T0;
        if (llabs(s.start_ns - zero - good_rows[i].start) > 300 || llabs(s.end_ns - zero - good_rows[i].end) > 300)
            fail_msg("row %zu: from %lld to %lld", i, (long long)(s.start_ns - zero), (long long)(s.end_ns - zero));
        if (s.relative != good_rows[i].relative || s.good != good_rows[i].good || s.reason != good_rows[i].reason || s.status != good_rows[i].status)
            fail_msg("row %zu: relative %d good %d reason %s status %u", i, s.relative, s.good, reason_names[s.reason], s.status);
        assert_string_equal(s.target, good_rows[i].target);
    }
}

static const struct { enum external_format format; const char *line, *why; } bad_rows[] = {
    {EXTERNAL_JSONL, "hello", "not JSON"},
    {EXTERNAL_JSONL, "{\"at\": 0, \"duration_ms\": 3, \"ok\": tr", "not JSON"},
    {EXTERNAL_JSONL, "[1]", "not a JSON object"},
    {EXTERNAL_JSONL, "{\"ok\": true}", "\"at\""},
    {EXTERNAL_JSONL, "{\"at\": 1, \"ok\": true}", "duration_ms"},
    {EXTERNAL_JSONL, "{\"at\": 1, \"duration_ms\": 1}", "\"ok\""},
    {EXTERNAL_JSONL, "{\"at\": 1, \"duration_ms\": 1, \"ok\": \"yes\"}", "\"ok\""},
    {EXTERNAL_JSONL, "{\"at\": -1, \"duration_ms\": 1, \"ok\": true}", "\"at\""},
    {EXTERNAL_JSONL, "{\"at\": 1, \"duration_ms\": -1, \"ok\": true}", "a length"},
    {EXTERNAL_JSONL, "{\"at\": 1, \"end\": 2, \"ok\": true}", "goes with \"start\""},
    {EXTERNAL_JSONL, "{\"start\": \"yesterday\", \"duration_ms\": 1, \"ok\": true}", "no time"},
    {EXTERNAL_JSONL, "{\"start\": 1e300, \"duration_ms\": 1, \"ok\": true}", "no time"},
    {EXTERNAL_JSONL, "{\"start\": NaN, \"duration_ms\": 1, \"ok\": true}", "not JSON"},
    {EXTERNAL_JSONL, "{\"start\": 5, \"end\": 4, \"ok\": true}", "ended before it started"},
    {EXTERNAL_JSONL, "{\"at\": 1, \"duration_ms\": 1, \"ok\": true, \"status\": \"200\"}", "\"status\""},
    {EXTERNAL_JSONL, "{\"at\": 1, \"duration_ms\": 1, \"ok\": false, \"error\": 7}", "\"error\""},
    {EXTERNAL_JSONL, "\x1f\x8b\xff\xfe", "not JSON"},
    {EXTERNAL_H2LOAD, "1795313823000100\t200", "three columns"},
    {EXTERNAL_H2LOAD, "1795313823000100 200 184", "three columns"},
    {EXTERNAL_H2LOAD, "1795313823000100\t2x0\t184", "three columns"},
    {EXTERNAL_H2LOAD, "\t\t", "three columns"},
    {EXTERNAL_H2LOAD, "99999999999999999999999999\t200\t184", "three columns"},
    {EXTERNAL_H2LOAD, "9999999999999999999\t200\t184", "beyond all clocks"},
    {EXTERNAL_H2LOAD, "-1\t200\t184", "beyond all clocks"},
    {EXTERNAL_H2LOAD, "1795313823000100\t200\t-184", "beyond all clocks"},
    {EXTERNAL_H2LOAD, "1795313823000100\t2000\t184", "no status"},
    {EXTERNAL_K6, "{\"time\": 1}", "no line of k6"},
    {EXTERNAL_K6, K6("soon", "1", ""), "\"time\""},
    {EXTERNAL_K6, K6(T0_TEXT "Z", "-1", ""), "no length"},
    {EXTERNAL_K6, K6(T0_TEXT "Z", "\"1\"", ""), "no length"},
    {EXTERNAL_K6, "{\"type\":\"Point\",\"metric\":\"http_req_duration\"}", "\"time\""},
};

static void test_unreadable_lines(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad_rows); i++) {
        struct external_sample s;
        char why[EXTERNAL_WHY] = "";
        enum external_word word = external_line(bad_rows[i].format, bad_rows[i].line, strlen(bad_rows[i].line), &s, why);
        if (word != EXTERNAL_UNREADABLE || !strstr(why, bad_rows[i].why))
            fail_msg("row %zu: %s: word %d, %s", i, bad_rows[i].line, word, why);
    }
    static char endless[EXTERNAL_LINE_MAX + 1];
    struct external_sample s;
    char why[EXTERNAL_WHY];
    memset(endless, '1', sizeof endless);
    assert_int_equal(external_line(EXTERNAL_JSONL, endless, sizeof endless, &s, why), EXTERNAL_UNREADABLE);
    assert_non_null(strstr(why, "longer than"));
}

static void test_lines_that_are_no_requests(void **state) {
    (void)state;
    static const struct { enum external_format format; const char *line; } rows[] = {
        {EXTERNAL_K6, "{\"type\":\"Metric\",\"data\":{\"type\":\"trend\"},\"metric\":\"http_req_duration\"}"},
        {EXTERNAL_K6, "{\"type\":\"Point\",\"data\":{\"time\":\"2026-11-22T02:17:03Z\",\"value\":5,\"tags\":null},\"metric\":\"vus\"}"},
        {EXTERNAL_JSONL, ""}, {EXTERNAL_H2LOAD, "\r"}, {EXTERNAL_NONE, "anything"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct external_sample s;
        char why[EXTERNAL_WHY];
        assert_int_equal(external_line(rows[i].format, rows[i].line, strlen(rows[i].line), &s, why), EXTERNAL_OTHER);
    }
}

/* --- Rally --- */

struct seen {
    struct external_sample samples[8];
    size_t count, unreadable, first_unreadable, slas;
    char why[8][EXTERNAL_WHY];
    char sla[4][64];
    bool success[4];
};

static void on_sample(const struct external_sample *s, void *arg) {
    struct seen *seen = arg;
    seen->samples[seen->count++] = *s;
}
static void on_unreadable(size_t nth, const char *why, void *arg) {
    struct seen *seen = arg;
    snprintf(seen->why[seen->unreadable], sizeof seen->why[0], "%s", why);
    if (!seen->unreadable++)
        seen->first_unreadable = nth;
}
static void on_sla(const struct external_sla *s, void *arg) {
    struct seen *seen = arg;
    snprintf(seen->sla[seen->slas], sizeof seen->sla[0], "%s %s: %s", s->scenario, s->criterion, s->detail);
    seen->success[seen->slas++] = s->success;
}

static bool rally(const char *text, struct seen *seen, char why[EXTERNAL_WHY]) {
    const struct external_report r = {on_sample, on_unreadable, on_sla, seen};
    *seen = (struct seen){0};
    return external_rally(text, strlen(text), &r, why);
}

#define REPORT(workloads) "{\"info\":{},\"tasks\":[{\"subtasks\":[{\"workloads\":[" workloads "]}]}]}"
#define ACTION(from, to) "{\"name\":\"web.get\",\"started_at\":" from ",\"finished_at\":" to ",\"children\":[]}"
#define ITERATION(at, took, idle, error, actions) "{\"timestamp\":" at ",\"duration\":" took ",\"idle_duration\":" idle ",\"error\":[" error "],\"atomic_actions\":[" actions "]}"

static void test_rally(void **state) {
    (void)state;
    struct seen seen;
    char why[EXTERNAL_WHY] = "";
    assert_true(rally(REPORT("{\"scenario\":{\"Web.visit\":{\"url\":\"u\"}},\"data\":["
                             /* paused after its one action: the pause is no answer */
                             ITERATION("1795313823.0", "0.002", "0.05", "", ACTION("1795313823.0", "1795313823.002")) ","
                             /* paused between its two */
                             ITERATION("1795313824.0", "0.2", "1", "", ACTION("1795313824.0", "1795313824.1") "," ACTION("1795313825.1", "1795313825.2")) ","
                             ITERATION("1795313826.0", "0.5", "0", "\"TimeoutError\",\"timed out\",\"Traceback\"", "") ","
                             ITERATION("1795313827.0", "0", "0", "\"ConnectionRefusedError\",\"[Errno 111]\",\"Traceback\"", "")
                             "],\"sla_results\":{\"sla\":[{\"criterion\":\"failure_rate\",\"success\":false,\"detail\":\"50 % > 5 %\"},"
                             "{\"criterion\":\"max_avg_duration\",\"success\":true,\"detail\":\"fine\"}]}}"), &seen, why));
    assert_int_equal(seen.count, 4);
    assert_int_equal(seen.unreadable, 0);
    static const struct { int64_t start, end; bool good; uint8_t reason, steps; } wanted[] = {
        {0, 2000000, true, 0, 1}, {1000000000, 2200000000, true, 0, 2}, {3000000000, 3500000000, false, REASON_TIMEOUT, 0},
        {4000000000, 4000000000, false, REASON_REFUSED, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        assert_true(llabs(seen.samples[i].start_ns - T0 - wanted[i].start) < 1000 && llabs(seen.samples[i].end_ns - T0 - wanted[i].end) < 1000);
        assert_int_equal(seen.samples[i].good, wanted[i].good);
        assert_int_equal(seen.samples[i].reason, wanted[i].reason);
        assert_int_equal(seen.samples[i].steps, wanted[i].steps);
        assert_string_equal(seen.samples[i].target, "");
    }
    assert_int_equal(seen.slas, 2);
    assert_string_equal(seen.sla[0], "Web.visit failure_rate: 50 % > 5 %");
    assert_false(seen.success[0]);
    assert_true(seen.success[1]);
}

static void test_rally_workloads_are_targets(void **state) {
    (void)state;
    struct seen seen;
    char why[EXTERNAL_WHY] = "";
    assert_true(rally(REPORT("{\"scenario\":{\"A.a\":{}},\"data\":[" ITERATION("1795313823", "1", "0", "", "") "]},"
                             "{\"scenario\":{\"B.b\":{}},\"data\":[" ITERATION("1795313823", "1", "0", "", "") "]}"), &seen, why));
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.samples[0].target, "A.a");
    assert_string_equal(seen.samples[1].target, "B.b");
}

static void test_rally_junk(void **state) {
    (void)state;
    struct seen seen;
    char why[EXTERNAL_WHY] = "";
    assert_true(rally(REPORT("{\"scenario\":[],\"data\":[7," ITERATION("\"x\"", "1", "0", "", "") "," ITERATION("1", "-1", "0", "", "") ","
                             "{\"timestamp\":1,\"duration\":1,\"error\":\"none\"}," ITERATION("1", "1", "0", "", "{}") ","
                             ITERATION("1", "1", "0", "", ACTION("2", "1")) "],\"sla_results\":{\"sla\":[{\"criterion\":\"x\",\"success\":\"maybe\"}]}}"),
                      &seen, why));
    assert_int_equal(seen.count, 0);
    assert_int_equal(seen.slas, 0);
    assert_int_equal(seen.unreadable, 7);
    assert_int_equal(seen.first_unreadable, 1);
    assert_non_null(strstr(seen.why[0], "timestamp"));
    assert_non_null(strstr(seen.why[2], "duration"));
    assert_non_null(strstr(seen.why[3], "error"));
    assert_non_null(strstr(seen.why[4], "atomic action"));
    assert_non_null(strstr(seen.why[6], "SLA"));
    static const char *const no_reports[] = {"", "\xff\xfe", "[]", "{}", "{\"tasks\": 3}", "{\"tasks\": [{\"subtasks\": [{\"workl"};
    for (size_t i = 0; i < ARRAY_SIZE(no_reports); i++) {
        *why = 0;
        assert_false(rally(no_reports[i], &seen, why));
        assert_true(*why != 0);
        assert_int_equal(seen.count, 0);
    }
}

/* --- the wall clock --- */

static void test_wallclock(void **state) {
    (void)state;
    const int64_t S = 1000000000;
    struct wallclock w = {0};
    assert_int_equal(wallclock_map(&w, 5), 5);
    assert_int_equal(wallclock_note(&w, 1000 * S, 0), 0);
    assert_int_equal(wallclock_note(&w, 1001 * S + 100000, 1 * S), 0); /* read a little later: the same */
    assert_int_equal(w.count, 1);
    assert_int_equal(wallclock_map(&w, 1001 * S), 1 * S);
    assert_int_equal(wallclock_note(&w, 1010 * S + 1000000, 10 * S), 0); /* slewed by a millisecond */
    assert_int_equal(wallclock_map(&w, 1009 * S), 9 * S);
    assert_int_equal(wallclock_map(&w, 1011 * S + 1000000), 11 * S);
    assert_int_equal(w.largest_step_ns, 1000000);
    assert_int_equal(wallclock_note(&w, 900 * S, 20 * S), 0); /* set back by two minutes */
    assert_int_equal(wallclock_map(&w, 901 * S), 21 * S);
    assert_int_equal(w.largest_step_ns, 120 * S + 1000000);
    assert_int_equal(wallclock_map(&w, 899 * S), -101 * S); /* before all notes: by the first */
    wallclock_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),      cmocka_unit_test(test_unreadable_lines),
        cmocka_unit_test(test_lines_that_are_no_requests),
        cmocka_unit_test(test_rally),      cmocka_unit_test(test_rally_workloads_are_targets),
        cmocka_unit_test(test_rally_junk), cmocka_unit_test(test_wallclock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
