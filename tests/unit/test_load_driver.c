/* SPDX-License-Identifier: Apache-2.0 */
#include "load_fixture.h"

/* A store in awk: writes and reads, one line at a time; what it does with the nth line is up to the test. */
#define STORE                                                                                                                      \
    "function field(name) { if (match($0, \"\\\"\" name \"\\\":\\\"?[^\\\",}]*\")) { s = substr($0, RSTART, RLENGTH); "            \
    "sub(/^\"[a-z]*\":\"?/, \"\", s); return s } return \"\" } "                                                                   \
    "{ id = field(\"id\"); op = field(\"op\"); key = field(\"key\") } "                                                            \
    "op == \"start\" { print > \"/dev/stderr\"; me = field(\"worker\"); next } "
#define SERVE                                                                                                                      \
    "op == \"write\" { kept[key] = field(\"value\"); printf \"{\\\"id\\\":%s,\\\"ok\\\":true}\\n\", id; fflush(); next } "         \
    "op == \"read\" { v = key in kept ? \"\\\"\" kept[key] \"\\\"\" : \"null\"; "                                                  \
    "printf \"{\\\"id\\\":%s,\\\"ok\\\":true,\\\"value\\\":%s}\\n\", id, v; fflush() } "

static void load(struct rig *r, const char *more, const char *special) {
    char text[4000];
    snprintf(text, sizeof text, "rate: 200/s\n%s\ncommand: [mawk, -W, interactive, -f, store.awk]\nfiles:\n  store.awk: |\n    %s %s %s\n", more,
             STORE, special, SERVE);
    rig_start(r, "driver", text);
}

static void lines_there_and_back(void **state) {
    (void)state;
    struct rig r;
    load(&r, "ledger: {}", "");
    rig_run(&r, 500 * NS_PER_MS);
    for (uint32_t e = 1; e <= 100; e++) {
        assert_int_equal(ledger_get(r.load->ledger, e), LEDGER_KEPT);
        assert_int_equal(rig_read(&r, e), LEDGER_PRESENT);
    }
    assert_int_equal(ledger_get(r.load->ledger, 101), LEDGER_NONE);
    assert_int_equal(rig_read(&r, 101), LEDGER_ABSENT); /* never written */
    rig_close(&r);
    assert_int_equal(r.count, 100);
    assert_int_equal(rig_count(&r, OUTCOME_GOOD, REASON_NONE), 100);
    for (size_t i = 0; i < r.count; i++) {
        const struct sample *s = &r.samples[i];
        assert_int_equal(s->entry, i + 1);
        assert_int_equal(s->lane, LANE_EXEC);
        assert_int_equal(s->load, 3);
        assert_int_equal(s->target, SAMPLE_NO_TARGET);
        assert_true(s->planned_ns <= s->start_ns && s->start_ns < s->end_ns && s->bytes > 10);
    }
    /* The first line names the load, the worker and its deadline; stderr is in the log. */
    assert_int_equal(rig_says(&r, "logs/driver.writes.log",
                              "{\"op\":\"start\",\"load\":\"writes\",\"worker\":0,\"deadline_ms\":1000}"), 1);
    rig_free(&r);
}

static void answers_in_the_samples(void **state) {
    (void)state;
    static const struct {
        const char *special; /* of the third line after the first */
        enum reason reason;
        size_t bad;
    } rows[] = {
        {"NR == 4 { printf \"{\\\"id\\\":%s,\\\"ok\\\":false,\\\"error\\\":\\\"READONLY\\\"}\\n\", id; fflush(); next }", REASON_STATUS, 1},
        {"NR == 4 { printf \"{\\\"id\\\":%s}\\n\", id; fflush(); next }", REASON_PROTOCOL, 1},
        {"NR == 4 { printf \"{\\\"id\\\":%s,\\\"ok\\\":1}\\n\", id; fflush(); next }", REASON_PROTOCOL, 1},
        {"NR == 4 { print \"Traceback (most recent call last):\"; fflush(); next }", REASON_PROTOCOL, 1},
        {"NR == 4 { printf \"\\001\\377\\376junk\\n\"; fflush(); next }", REASON_PROTOCOL, 1},
        {"NR == 4 { print \"{\\\"id\\\":999999999,\\\"ok\\\":true}\"; fflush(); next }", REASON_PROTOCOL, 1},
        {"NR == 4 { print \"[1,2]\"; fflush(); next }", REASON_PROTOCOL, 1},
        {"NR == 4 { s = \"endless \"; for (i = 0; i < 15; i++) s = s s; print s; fflush(); next }", REASON_PROTOCOL, 1},
        {"NR == 4 { next }", REASON_TIMEOUT, 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rig r;
        load(&r, "deadline: 300ms", rows[i].special);
        rig_run(&r, 200 * NS_PER_MS);
        assert_null(r.load->ledger);
        rig_close(&r);
        assert_int_equal(r.count, 40);
        if (rig_count(&r, OUTCOME_BAD, rows[i].reason) != rows[i].bad || rig_count(&r, OUTCOME_GOOD, REASON_NONE) != 40 - rows[i].bad)
            fail_msg("%s: %zu bad of %zu", rows[i].special, rig_count(&r, OUTCOME_BAD, rows[i].reason), r.count);
        assert_int_equal(r.samples[2].reason, rows[i].reason);
        assert_int_equal(r.samples[2].entry, 0);
        if (rows[i].reason == REASON_PROTOCOL && i > 2)
            assert_int_equal(rig_says(&r, "history.jsonl", "\"kind\":\"noise\""), 1);
        rig_free(&r);
    }
}

static void a_program_that_dies_is_started_anew(void **state) {
    (void)state;
    struct rig r;
    load(&r, "ledger: {}", "NR == 11 { exit 3 }");
    rig_run(&r, 1500 * NS_PER_MS);
    assert_int_equal(ledger_get(r.load->ledger, 1), LEDGER_KEPT);
    for (int i = 0; i < 200 && r.load->kind->read(r.load, 1, rig_told, &r) < 0; i++)
        rig_turn(&r, 50); /* none runs just now */
    while (!r.answers)
        rig_turn(&r, 10);
    assert_int_equal(r.answer, LEDGER_ABSENT); /* its memory died with it: a store that loses what it acknowledged */
    rig_close(&r);
    assert_int_equal(r.count, 300);
    size_t ends = rig_says(&r, "history.jsonl", "\"why\":\"ended with status 3\"");
    assert_true(ends >= 2);
    assert_int_equal(rig_says(&r, "history.jsonl", "\"kind\":\"started\""), ends + 1);
    assert_true(rig_count(&r, OUTCOME_BAD, REASON_RESET) >= 2);      /* what it owed when it ended */
    assert_true(rig_count(&r, OUTCOME_BAD, REASON_NO_TARGET) >= 20); /* 100 ms and more without any */
    assert_in_range(rig_count(&r, OUTCOME_GOOD, REASON_NONE), 10, 10 * (ends + 1)); /* nine or ten a life */
    assert_int_equal(rig_says(&r, "logs/driver.writes.log", "\"op\":\"start\""), rig_says(&r, "history.jsonl", "\"kind\":\"started\""));
    rig_free(&r);
}

static void a_program_that_does_not_read(void **state) {
    (void)state;
    struct rig r;
    rig_start(&r, "driver", "rate: 1000/s\nconcurrency: 50\ndeadline: 20ms\ncommand: [sleep, \"60\"]\nledger: {timeout: 100ms, concurrency: 3}\n");
    rig_run(&r, 300 * NS_PER_MS);
    assert_int_equal(rig_read(&r, 1), LEDGER_UNKNOWN);
    assert_string_equal(r.why, "timeout");
    int64_t start = loop_now();
    rig_close(&r);
    assert_true(loop_now() - start < 10 * NS_PER_S); /* it does not heed the end of its stdin: SIGTERM ends it */
    assert_int_equal(r.count, 300);
    assert_int_equal(rig_count(&r, OUTCOME_BAD, REASON_TIMEOUT) + rig_count(&r, OUTCOME_UNSENT_STALL, REASON_STALL) +
                         rig_count(&r, OUTCOME_UNSENT_CAP, REASON_CAP), 300);
    assert_in_range(rig_count(&r, OUTCOME_BAD, REASON_TIMEOUT), 1, 50); /* given up is not forgotten: it still owes those */
    rig_free(&r);
}

static void a_program_that_closes_its_output(void **state) {
    (void)state;
    struct rig r;
    rig_start(&r, "driver", "rate: 100/s\ncommand: [sh, -c, \"exec >&-; sleep 60\"]\n");
    rig_run(&r, 1500 * NS_PER_MS);
    rig_close(&r);
    assert_int_equal(r.count, 150);
    assert_true(rig_says(&r, "history.jsonl", "ended by signal 9, after it had closed its output") >= 1);
    assert_int_equal(rig_count(&r, OUTCOME_GOOD, REASON_NONE), 0);
    rig_free(&r);
}

static void answers_to_reads(void **state) {
    (void)state;
    static const struct { const char *answer; enum ledger_answer wanted; const char *why; } rows[] = {
        {"\\\"ok\\\":true,\\\"value\\\":null", LEDGER_ABSENT, ""},
        {"\\\"ok\\\":true,\\\"value\\\":\\\"17-0\\\"", LEDGER_OTHER, "another value is there"},
        {"\\\"ok\\\":true", LEDGER_UNKNOWN, "an answer to a read needs \"value\": a string or null"},
        {"\\\"ok\\\":true,\\\"value\\\":7", LEDGER_UNKNOWN, "an answer to a read needs \"value\": a string or null"},
        {"\\\"ok\\\":false,\\\"error\\\":\\\"LOADING\\\"", LEDGER_UNKNOWN, "LOADING"},
        {"\\\"ok\\\":null", LEDGER_UNKNOWN, "an answer needs \"ok\": true or false"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rig r;
        char special[300];
        snprintf(special, sizeof special, "op == \"read\" { printf \"{\\\"id\\\":%%s,%s}\\n\", id; fflush(); next }", rows[i].answer);
        load(&r, "ledger: {}", special);
        rig_run(&r, 20 * NS_PER_MS);
        assert_int_equal(rig_read(&r, 1), rows[i].wanted);
        assert_string_equal(r.why, rows[i].why);
        rig_close(&r);
        assert_int_equal(r.count, 4); /* reads leave no sample */
        rig_free(&r);
    }
}

static void workers_share(void **state) {
    (void)state;
    struct rig r;
    load(&r, "workers: 3", "op == \"write\" { print \"served by \" me > \"/dev/stderr\" }");
    rig_run(&r, 300 * NS_PER_MS);
    rig_close(&r);
    assert_int_equal(rig_count(&r, OUTCOME_GOOD, REASON_NONE), 60);
    assert_int_equal(rig_says(&r, "history.jsonl", "\"kind\":\"started\""), 3);
    for (int i = 0; i < 3; i++) { /* equals in turn: each says of itself that it served, and none did it all */
        char who[40];
        snprintf(who, sizeof who, "served by %d\n", i);
        assert_in_range(rig_says(&r, "logs/driver.writes.log", who), 5, 50);
    }
    rig_free(&r);
}

static void bad_scenarios_and_programs(void **state) {
    (void)state;
    static const struct { const char *text, *why; } rows[] = {
        {"rate: 1/s", "\"command\""},
        {"rate: 1/s\ncommand: [a, \"${pod.ip}\"]", "${pod.ip}: the program is started once and not for a request or pod"},
        {"rate: 1/s\ncommand: [a]\nfiles: {x: \"${secret.word}\"}", "${secret.word}: a file stays in the run's folder; give the secret in env"},
        {"rate: 1/s\ncommand: [a]\nfiles: {../x: y}", "\"../x\": expected the name of a file, without a folder"},
        {"rate: 1/s\ncommand: [a]\nworkers: 9\nconcurrency: 8", "9 workers are more than the 8 requests that may be under way"},
        {"rate: 1/s\ncommand: [no-such-program-here]", "no-such-program-here: No such file or directory: is it installed, and in PATH?"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rig r;
        struct error err = {{0}};
        int rc = rig_new(&r, "driver", rows[i].text, &err);
        assert_true(rc < 0);
        if (!strstr(err.text, rows[i].why))
            fail_msg("%s\nwanted: %s", err.text, rows[i].why);
        if (r.ctx.recorder)
            recorder_close(r.ctx.recorder, NULL);
        rig_free(&r);
    }
}

static void the_environment_holds_secrets(void **state) {
    (void)state;
    struct rig r;
    rig_start(&r, "driver", "rate: 100/s\nenv: {WORD: \"${secret.word}/${run.id}\"}\ncommand: [sh, -c, 'echo \"$WORD $(pwd)\" >&2; cat >/dev/null']\n");
    rig_run(&r, 10 * NS_PER_MS);
    rig_close(&r);
    char wanted[200];
    snprintf(wanted, sizeof wanted, "s3cret/the-run %s/driver/writes\n", r.dir);
    assert_int_equal(rig_says(&r, "logs/driver.writes.log", wanted), 1);
    rig_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_there_and_back), cmocka_unit_test(answers_in_the_samples), cmocka_unit_test(a_program_that_dies_is_started_anew),
        cmocka_unit_test(a_program_that_does_not_read), cmocka_unit_test(a_program_that_closes_its_output),
        cmocka_unit_test(answers_to_reads), cmocka_unit_test(workers_share), cmocka_unit_test(bad_scenarios_and_programs),
        cmocka_unit_test(the_environment_holds_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
