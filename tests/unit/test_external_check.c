/* SPDX-License-Identifier: Apache-2.0 */
/* What is concluded from a program beside the faults. */
#include "base/buf.h"
#include "check/judge.h"
#include "check/notes.h"
#include "history_fixture.h"
#include "report/external.h"

#define HEADER(samples, more) \
    "{\"schema\":1,\"run\":\"r\",\"scenario\":\"s\",\"seed\":1,\"loads\":[{\"name\":\"tool\",\"kind\":\"exec\",\"lanes\":[\"exec\"],\"samples\":\"" samples \
    "\",\"closed\":true,\"goods\":3,\"over_ns\":200000000,\"pass_status\":0,\"fail_status\":2}" more "],\"faults\":[],\"workloads\":[],\"expect\":[\"availability >= 90%\"],\"plan\":[]}"

static struct fixture fixture(const char *header, const char *exit_phase, const char *exit_data) {
    struct fixture f;
    fixture_init(&f, header);
    fixture_event(&f, 0, "run/schedule", "info", "", "", "{}");
    if (exit_data)
        fixture_event(&f, 9000, "load/exit", exit_phase, "exec", "tool", exit_data);
    fixture_event(&f, 10000, "run/end", "info", "", "", "{}");
    return f;
}

#define ENDED "\"from\":1000000000,\"to\":9000000000,\"asked\":false,\"killed\":false,\"left\":0,\"cut\":false,\"clock_step\":0,\"samples\":100"

static const struct { const char *data; enum verdict verdict; const char *why; } rows[] = {
    {"{" ENDED ",\"code\":0,\"unreadable\":0}", VERDICT_PASS, "tool ended with status 0 after 8,000 ms, 100 samples."},
    {"{" ENDED ",\"code\":3,\"unreadable\":0,\"last_words\":\"no such url\"}", VERDICT_INCONCLUSIVE, "tool ended with status 3 after 8,000 ms; status 0 was expected. Its last words: no such url"},
    {"{" ENDED ",\"signal\":11,\"unreadable\":0}", VERDICT_INCONCLUSIVE, "signal 11"},
    {"{" ENDED ",\"code\":2,\"unreadable\":0}", VERDICT_FAIL, "by its own word the service failed it"},
    {"{" ENDED ",\"code\":0,\"unreadable\":1,\"unreadable_first\":7,\"unreadable_why\":\"not JSON\"}", VERDICT_PASS, "status 0"},
    {"{" ENDED ",\"code\":0,\"unreadable\":2,\"unreadable_first\":7,\"unreadable_why\":\"not JSON\"}", VERDICT_INCONCLUSIVE, "2 of the 102 lines of tool could not be read, the first is line 7: not JSON."},
    {"{" ENDED ",\"code\":0,\"unreadable\":0,\"no_samples\":\"report.json: the program did not write it\"}", VERDICT_INCONCLUSIVE, "tool has no samples: report.json: the program did not write it."},
    {"{\"from\":1000000000,\"to\":9000000000,\"asked\":true,\"killed\":false,\"signal\":15,\"samples\":100}", VERDICT_PASS, "was asked to end, and did with signal 15"},
    {"{\"from\":1000000000,\"to\":9000000000,\"asked\":true,\"killed\":false,\"code\":1,\"samples\":100}", VERDICT_PASS, "status 1"},
    {"{\"from\":1000000000,\"to\":9000000000,\"asked\":true,\"killed\":false,\"code\":2,\"samples\":100}", VERDICT_FAIL, "status 2"},
    {"{\"from\":1000000000,\"to\":9000000000,\"asked\":true,\"killed\":true,\"signal\":9,\"samples\":100}", VERDICT_INCONCLUSIVE, "did not end when it was asked to, and was killed"},
    {"{\"asked\":false,\"why\":\"k6: No such file or directory\"}", VERDICT_INCONCLUSIVE, "tool could not be started: k6: No such file or directory."},
    {"{\"from\":1000000000,\"to\":9000000000,\"code\":0,\"samples\":100,\"clock_step\":3600000000000}", VERDICT_INCONCLUSIVE, "The wall clock was set by 3,600,000 ms"},
    {NULL, VERDICT_INCONCLUSIVE, "does not tell how tool ended"},
};

static void test_endings(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f = fixture(HEADER("jsonl", ""), "ok", rows[i].data);
        for (int t = 1000; t < 9000; t += 100)
            fixture_sample(&f, 0, LANE_EXEC, SAMPLE_NO_TARGET, t, 10, OUTCOME_GOOD);
        struct judgement *j = judged(&f);
        const struct check_result *c = check(j, "external(tool)");
        if (c->verdict != rows[i].verdict || !strstr(c->why, rows[i].why))
            fail_msg("row %zu: %s: %s", i, verdict_names[c->verdict], c->why);
        assert_int_equal(j->verdict, rows[i].verdict);
        assert_true(j->lanes[0].closed);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* A tool of which nobody can say whether it saw anything is not judged by its requests; other loads still are. */
static void test_a_program_without_samples(void **state) {
    (void)state;
    struct fixture f = fixture(HEADER("none", ",{\"name\":\"gets\",\"kind\":\"http\",\"lanes\":[\"reused\"],\"goods\":3,\"over_ns\":200000000}"), "ok",
                               "{" ENDED ",\"code\":0}");
    for (int t = 1000; t < 9000; t += 100)
        fixture_sample(&f, 1, LANE_REUSED, SAMPLE_NO_TARGET, t, 10, OUTCOME_GOOD);
    struct judgement *j = judged(&f);
    assert_int_equal(j->verdict, VERDICT_PASS);
    assert_true(j->lanes[0].silent && !j->lanes[1].silent && !j->lanes[1].closed);
    assert_int_equal(check(j, "baseline")->verdict, VERDICT_PASS);
    assert_int_equal(check(j, "availability >= 90%")->verdict, VERDICT_PASS);
    judgement_free(j);
    fixture_free(&f);
    f = fixture(HEADER("none", ""), "ok", "{" ENDED ",\"code\":0}"); /* all loads are: nothing measures what is asked for */
    j = judged(&f);
    assert_int_equal(check(j, "availability >= 90%")->verdict, VERDICT_INCONCLUSIVE);
    judgement_free(j);
    fixture_free(&f);
}

static void test_sla(void **state) {
    (void)state;
    struct fixture f = fixture(HEADER("rally", ""), "ok", "{" ENDED ",\"code\":0}");
    fixture_event(&f, 9500, "load/sla", "ok", "max_avg_duration", "tool", "{\"scenario\":\"Web.visit\",\"detail\":\"fine\"}");
    fixture_event(&f, 9500, "load/sla", "fail", "failure_rate", "tool", "{\"scenario\":\"Web.visit\",\"detail\":\"33.55% > 5.00%\"}");
    fixture_event(&f, 9500, "load/sla", "fail", "failure_rate", "nobody", "{}");
    for (int t = 1000; t < 9000; t += 100)
        fixture_sample(&f, 0, LANE_EXEC, SAMPLE_NO_TARGET, t, 10, OUTCOME_GOOD);
    struct judgement *j = judged(&f);
    assert_int_equal(j->verdict, VERDICT_FAIL);
    assert_string_equal(j->why, "tool, Web.visit: 33.55% > 5.00%");
    assert_int_equal(check(j, "sla(tool, max_avg_duration)")->verdict, VERDICT_PASS);
    assert_int_equal(check(j, "sla(tool, failure_rate)")->verdict, VERDICT_FAIL);
    assert_int_equal(j->externals[0].sla_count, 2);
    struct buf said = {0};
    char notes[NOTES_MOST][NOTE_SIZE];
    external_say(&j->externals[0], &said);
    assert_string_equal(said.data, "tool: status 0 after 8,000 ms; 100 samples; logs/tool.out, logs/tool.err");
    assert_int_equal(notes_of(&j->lanes[0], notes), 1);
    assert_string_equal(notes[0], "CLOSED LOOP: tool asks again only after an answer. Latency counts from the send, and whoever answers slowly is asked less: not to be compared with a planned load.");
    buf_free(&said);
    judgement_free(j);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_a_program_without_samples),
        cmocka_unit_test(test_sla),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
