/* SPDX-License-Identifier: Apache-2.0 */
#include "history_fixture.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "report/grid.h"
#include "report/report.h"

#include <errno.h>
#include <math.h>

#define HEADER                                                                                                                             \
    "{\"schema\":1,\"run\":\"20261121T225201Z-drill\",\"scenario\":\"drill\",\"seed\":7,\"wall_ns\":1795301521000000000,\"version\":\"0."  \
    "1.0\","                                                                                                                               \
    "\"loads\":[{\"name\":\"writes\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000}],"                                                  \
    "\"faults\":[{\"name\":\"kill-leader\",\"kind\":\"pod-kill\",\"holds\":false}],"                                                       \
    "\"expect\":[\"availability(writes) >= 90%\",\"downtime.max < 1s\",\"p(99.99) < 1s\"]}"

/* The drill of test_judge.c, moved by a schedule that starts at 1 s: window 750..910..1010 ms, recovery 960 ms. */
static void drill(struct fixture *f) {
    fixture_init(f, HEADER);
    fixture_event(f, 1000, "run/schedule", "info", "", "", "{}");
    fixture_event(f, 1000, "load/target", "info", "", "etcd-0", "{\"id\":3}");
    for (int i = 0; i < 100; i++) {
        bool bad = i >= 21 && i < 30;
        fixture_sample(f, 0, LANE_REUSED, 3, 1000 + i * 100, bad ? 50 : 10, bad ? OUTCOME_BAD : OUTCOME_GOOD);
    }
    fixture_event(f, 3050, "fault/act", "ok", "pod-kill", "etcd-1",
                  "{\"id\":1,\"fault\":\"kill-leader\",\"occurrence\":1,\"role\":\"leader\",\"role_seen\":3000000000,\"role_data\":{"
                  "\"term\":\"2\"}}");
    fixture_event(f, 3052, "fault/observed", "info", "", "etcd-1", "{\"id\":1}");
    fixture_event(f, 3900, "role/now", "info", "leader", "etcd-2", "{\"asked\":3890000000,\"seen\":3900000000,\"data\":{\"term\":\"3\"}}");
    fixture_event(f, 11100, "run/end", "info", "", "", "{}");
}

static char *rendered(const struct judgement *j, const char *kind) {
    struct buf b = {0};
    struct error err = {""};
    const struct report_kind *k = report_kind(kind);
    assert_non_null(k);
    if (k->render(j, &b, &err) < 0)
        fail_msg("%s", err.text);
    return buf_take(&b);
}

static const json_t *at(const json_t *root, const char *path) {
    char part[64];
    const json_t *v = root;
    for (const char *p = path; *p && v;) {
        size_t len = strcspn(p, "/");
        snprintf(part, sizeof part, "%.*s", (int)len, p);
        v = json_is_array(v) ? json_array_get(v, (size_t)atoi(part)) : json_object_get(v, part);
        p += len + (p[len] == '/');
    }
    return v;
}

static void test_summary(void **state) {
    (void)state;
    struct fixture f;
    drill(&f);
    struct judgement *j = judged(&f);
    cleanup_free char *text = rendered(j, "json");
    cleanup_json json_t *s = json_loads(text, 0, NULL);
    assert_non_null(s);
    static const struct { const char *path, *want;
    } rows[] = {
        /* as compact JSON; NULL: null */
        {"schema", "1"},
        {"run", "\"20261121T225201Z-drill\""},
        {"scenario", "\"drill\""},
        {"seed", "7"},
        {"verdict", "\"fail\""},
        {"why", "\"downtime.max was 1,010 ms, limit 1,000 ms.\""},
        {"schedule_ms", "1000.0"},
        {"end_ms", "11100.0"},
        {"checks/0/name", "\"complete\""},
        {"checks/0/verdict", "\"pass\""},
        {"checks/0/value", "null"},
        {"checks/0/limit", "null"},
        {"checks/4/name", "\"availability(writes) >= 90%\""},
        {"checks/4/value", "91.0"},
        {"checks/4/limit", "90.0"},
        {"checks/4/unit", "\"%\""},
        {"checks/5/verdict", "\"fail\""},
        {"checks/5/value", "1010.0"},
        {"checks/5/unit", "\"ms\""},
        {"checks/6/verdict", "\"inconclusive\""},
        {"checks/6/value", "null"},
        {"lanes/0/load", "\"writes\""},
        {"lanes/0/lane", "\"reused\""},
        {"lanes/0/planned", "100"},
        {"lanes/0/good", "91"},
        {"lanes/0/bad", "9"},
        {"lanes/0/unsent", "0"},
        {"lanes/0/stale_retry", "0"},
        {"lanes/0/availability/requests", "0.91"},
        {"lanes/0/availability/time", "0.908173562"},
        {"lanes/0/availability/low", "0.898082745"},
        {"lanes/0/availability/high", "0.924318870"},
        {"lanes/0/latency_ms/p50", "10.0"},
        {"lanes/0/latency_ms/p99", "null"},
        {"lanes/0/latency_ms/max", "null"},
        {"lanes/0/downtime/0/start_ms", "3100.0"},
        {"lanes/0/downtime/0/min_ms", "750.0"},
        {"lanes/0/downtime/0/point_ms", "910.0"},
        {"lanes/0/downtime/0/max_ms", "1010.0"},
        {"lanes/0/downtime/0/fault", "\"kill-leader\""},
        {"lanes/0/downtime/0/censored", "false"},
        {"loads/0/load", "\"writes\""},
        {"loads/0/downtime/0/act", "0"},
        {"targets/0/target", "\"etcd-0\""},
        {"targets/0/reasons/timeout", "9"},
        {"faults/0/name", "\"kill-leader\""},
        {"faults/0/kind", "\"pod-kill\""},
        {"faults/0/target", "\"etcd-1\""},
        {"faults/0/at_ms", "3050.0"},
        {"faults/0/observed", "true"},
        {"faults/0/observed_ms", "2.0"},
        {"faults/0/reverted", "null"},
        {"faults/0/recovery/detect_ms", "100.0"},
        {"faults/0/recovery/first_good_ms", "960.0"},
        {"faults/0/recovery/sustained_ms", "960.0"},
        {"faults/0/recovery/redundancy_ms", "null"},
        {"faults/0/recovery/censored", "false"},
        {"faults/0/role/before", "\"etcd-1\""},
        {"faults/0/role/seen_before_ms", "50.0"},
        {"faults/0/role/before_data/term", "\"2\""},
        {"faults/0/role/after", "\"etcd-2\""},
        {"faults/0/role/after_ms", "850.0"},
        {"faults/0/role/after_data/term", "\"3\""},
        {"ledger/acknowledged", "null"},
        {"ledger/lost", "null"},
        {"ledger/stale", "null"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *v = at(s, rows[i].path);
        cleanup_free char *got = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
        cleanup_json json_t *want = json_loads(rows[i].want, JSON_DECODE_ANY, NULL);
        bool same = v && (json_is_real(v) ? fabs(json_real_value(v) - json_number_value(want)) < 1e-12 : json_equal(v, want));
        if (!same)
            fail_msg("%s: %s, wanted %s", rows[i].path, got ? got : "nothing", rows[i].want);
    }
    cleanup_free char *again = rendered(j, "json");
    assert_string_equal(text, again);
    assert_null(strstr(text, "runs/test")); /* a moved folder gives the same bytes */
    judgement_free(j);
    fixture_free(&f);
}

static void test_text(void **state) {
    (void)state;
    struct fixture f;
    drill(&f);
    struct judgement *j = judged(&f);
    cleanup_free char *text = rendered(j, "text");
    static const char want[] =
        "FAIL  drill  (run 20261121T225201Z-drill, seed 7)\n"
        "  downtime.max was 1,010 ms, limit 1,000 ms.\n"
        "\n"
        "Load (latency and downtime in ms, downtime as least..likely..most; bad: a bad request)\n"
        "  load         planned  good  available  p50  p99  max  windows   worst downtime\n"
        "  writes           100    91       91 %   10  bad  bad        1  750..910..1,010\n"
        "    reused         100    91       91 %   10  bad  bad        1  750..910..1,010\n"
        "    at etcd-0      100    91       91 %   10  bad  bad        1  750..910..1,010\n"
        "  bad writes: 9 timeout\n"
        "  baseline writes: p50 10, p99 10, max 10 ms, 0 bad, of 11 requests before the first fault\n"
        "  degraded writes: unknown: the baseline takes 100 requests before the first fault, there were 11;\n"
        "    begin the faults later, or set the load's \"slow\"\n"
        "\n"
        "Faults (at: seconds of the schedule; then ms from the act: first bad answer, first good after it,\n"
        "lasting good; downtime; every replica ready again. A→B: the role went from A to B)\n"
        "    at  fault           victim         term  detect  good  sustained         downtime  full\n"
        "  2.05  kill-leader #1  etcd-1→etcd-2  2→3      100   960        960  750..910..1,010     ?\n"
        "\n"
        "Checks\n"
        "  pass          complete                     The run went to its end.\n"
        "  pass          baseline                     Every load had successes before the first fault.\n"
        "  pass          observed                     Every fault was seen in effect.\n"
        "  pass          reverted                     There was nothing to revert.\n"
        "  pass          availability(writes) >= 90%  availability(writes) was 91 %, limit 90 %.\n"
        "  fail          downtime.max < 1s            downtime.max was 1,010 ms, limit 1,000 ms.\n"
        "  inconclusive  p(99.99) < 1s                p(99.99) cannot be judged: it takes at least 10,000\n"
        "                                             requests, there were 100.\n"
        "\n"
        "Files in runs/test\n  history.jsonl samples.bin";
    char *files = text + strlen(want); /* then those of the kinds, in the table's order */
    cleanup_free char *head = strndup(text, strlen(want));
    assert_string_equal(head, want);
    for (size_t i = 0; report_kinds[i]; i++)
        if (report_kinds[i]->file) {
            files += strspn(files, " \n");
            size_t len = strcspn(files, " \n");
            assert_true(len == strlen(report_kinds[i]->file) && !strncmp(files, report_kinds[i]->file, len));
            files += len;
        }
    assert_string_equal(files, "\n");
    judgement_free(j);
    fixture_free(&f);
}

/* Widths stay within 100 columns, whatever the names; figures are never cut. */
static void test_width(void **state) {
    (void)state;
    struct fixture f;
    drill(&f);
    char *data = NULL;
    assert_true(asprintf(&data,
                         "{\"id\":2,\"fault\":\"%060d\",\"occurrence\":1,\"why\":\"%0300d "
                         "%s\",\"role\":\"leader\",\"role_data\":{\"a-long-word\":\"%060d\"}}",
                         1, 2, "and so on", 3) > 0);
    fixture_event(&f, 12000, "fault/act", "ok", "pod-kill", "a-pod-with-a-very-very-long-name-that-goes-on-and-on-0", data);
    fixture_event(&f, 12001, "fault/act", "info", "skip", "",
                  "{\"id\":3,\"fault\":\"\\u001b[31mred\",\"occurrence\":1,\"why\":\"no candidate\\u0007\"}");
    struct judgement *j = judged(&f);
    cleanup_free char *text = rendered(j, "text");
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        if (text_width(line) > 100)
            fail_msg("%zu columns: %s", text_width(line), line);
        for (const char *p = line; *p; p++)
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
    free(data);
    judgement_free(j);
    fixture_free(&f);
}

static void test_junit(void **state) {
    (void)state;
    struct fixture f;
    drill(&f);
    json_object_set_new(f.h.header, "scenario", json_string("a<b>&\"c'\x01\n\xef\xbf\xbe"));
    struct judgement *j = judged(&f);
    cleanup_free char *text = rendered(j, "junit");
    static const char *const parts[] = {
        ("<testsuite name=\"a&lt;b&gt;&amp;&quot;c&apos;\xef\xbf\xbd&#10;\xef\xbf\xbd\" tests=\"7\" failures=\"1\" "
         "errors=\"0\" skipped=\"1\" time=\"11.100\" timestamp=\"2026-11-21T22:52:01\">"),
        "<property name=\"seed\" value=\"7\"/>",
        "name=\"availability(writes) &gt;= 90%\" time=\"0.000\">\n    <system-out>availability(writes) was 91 %, limit 90 %.</system-out>",
        "name=\"downtime.max &lt; 1s\" time=\"0.000\">\n    <failure message=\"downtime.max was 1,010 ms, limit 1,000 ms.\" "
        "type=\"fail\">downtime.max was 1,010 ms, limit 1,000 ms.</failure>",
        "<skipped message=\"p(99.99) cannot be judged: it takes at least 10,000 requests, there were 100.\">inconclusive: p(99.99)",
        "</testsuite>\n</testsuites>\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(text, parts[i]))
            fail_msg("missing: %s\nin: %s", parts[i], text);
    judgement_free(j);
    fixture_free(&f);
}

static void test_junit_skipped(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER);
    fixture_event(&f, 1, "run/skip", "info", "", "", "{\"why\":\"no etcd\"}");
    struct judgement *j = judged(&f);
    cleanup_free char *text = rendered(j, "junit");
    assert_int_equal(j->verdict, VERDICT_SKIPPED);
    assert_non_null(strstr(text, "failures=\"0\" errors=\"0\" skipped=\"6\"")); /* the checks keep their words: one passes */
    assert_non_null(strstr(text, "<system-out>Skipped: no etcd.</system-out>"));
    judgement_free(j);
    fixture_free(&f);
}

static void test_write_all(void **state) {
    (void)state;
    char dir[] = "/tmp/chaosd-report-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    struct fixture f;
    drill(&f);
    free(f.h.dir);
    f.h.dir = strdup(dir);
    struct judgement *j = judged(&f);
    assert_int_equal(report_write_all(j, NULL), 0);
    assert_int_equal(report_write_all(j, NULL), 0); /* over what is there */
    static const char *const files[][2] = {{"summary.json", "json"}, {"junit.xml", "junit"}};
    for (size_t i = 0; i < 2; i++) {
        cleanup_buf struct buf b = {0};
        cleanup_free char *want = rendered(j, files[i][1]);
        snprintf(path, sizeof path, "%s/%s", dir, files[i][0]);
        assert_int_equal(fs_read(path, 1 << 20, &b, NULL), 0);
        assert_string_equal(b.data, want);
    }
    fs_remove_tree(dir, NULL);
    struct error err = {""};
    assert_true(report_write_all(j, &err) < 0); /* the folder is gone */
    assert_true(*err.text);
    judgement_free(j);
    fixture_free(&f);
}

static void test_kinds(void **state) {
    (void)state;
    assert_null(report_kind("nonsense"));
    assert_null(report_kind("text")->file);
    assert_string_equal(report_kind("json")->file, "summary.json");
    assert_string_equal(report_kind("junit")->file, "junit.xml");
}

static void test_clean(void **state) {
    (void)state;
    static const struct { const char *in, *out; } rows[] = {
        {"", ""}, {"plain", "plain"}, {"a\tb\n", "a\\x09b\\x0a"}, {"\x1b[2J", "\\x1b[2J"}, {"\xc3\xa9", "\xc3\xa9"},
        {"\xc3", "\\xc3"}, {"\xc2\x9bq", "\\xc2\\x9bq"}, {"\xff\xfe", "\\xff\\xfe"}, {"\x7f", "\\x7f"},
    };
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(text_clean(a, rows[i].in), rows[i].out);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary),       cmocka_unit_test(test_text),      cmocka_unit_test(test_width), cmocka_unit_test(test_junit),
        cmocka_unit_test(test_junit_skipped), cmocka_unit_test(test_write_all), cmocka_unit_test(test_kinds), cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
