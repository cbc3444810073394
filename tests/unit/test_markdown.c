/* SPDX-License-Identifier: Apache-2.0 */
#include "history_fixture.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "report/report.h"

#define HEADER(scenario, load, fault) HEADER_(scenario, load, fault, "%")
#define HEADER_(scenario, load, fault, percent)                                                                                                    \
    "{\"schema\":1,\"run\":\"20261121T225201Z-drill\",\"scenario\":" scenario ",\"seed\":7,\"wall_ns\":1795301521000000000,"               \
    "\"loads\":[{\"name\":" load ",\"lanes\":[\"reused\"],\"deadline_ns\":500000000}],"                                                    \
    "\"faults\":[{\"name\":" fault ",\"kind\":\"kind\",\"holds\":false}],\"expect\":[\"availability >= 90" percent "\",\"downtime.max < 1s\"]}"

/* A window of 750..910..1010 ms after an act at 3050 ms. */
static void drill(struct fixture *f, const char *header, const char *act, const char *target) {
    fixture_init(f, header);
    fixture_event(f, 1000, "run/schedule", "info", "", "", "{}");
    for (int i = 0; i < 100; i++) {
        bool bad = i >= 21 && i < 30;
        fixture_sample(f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 1000 + i * 100, bad ? 50 : 10, bad ? OUTCOME_BAD : OUTCOME_GOOD);
    }
    fixture_event(f, 3050, "fault/act", "ok", "kind", target, act);
    fixture_event(f, 3052, "fault/observed", "info", "", target, "{\"id\":1}");
    fixture_event(f, 11100, "run/end", "info", "", "", "{}");
}

static char *rendered(struct fixture *f, const char *kind) {
    struct judgement *j = NULL;
    struct buf b = {0};
    struct error err = {""};
    if (judge(&f->h, &j, &err) < 0 || report_kind(kind)->render(j, &b, &err) < 0)
        fail_msg("%s", err.text);
    judgement_free(j);
    return buf_take(&b);
}

static void test_page(void **state) {
    (void)state;
    struct fixture f;
    drill(&f, HEADER("\"drill\"", "\"writes\"", "\"kill\""), "{\"id\":1,\"fault\":\"kill\",\"occurrence\":1}", "etcd-1");
    cleanup_free char *text = rendered(&f, "markdown"), *again = rendered(&f, "markdown");
    assert_string_equal(
        text,
        "## ❌ Failed: drill\n\n"
        "**downtime.max was 1,010 ms, limit 1,000 ms.**\n\n"
        "Run <code>20261121T225201Z-drill</code>, seed <code>7</code>, 11.1 s.\n\n"
        "### Load\n\n"
        "| load | planned | bad | available | p50 ms | p99 ms | max ms | windows | worst downtime, ms | worst degradation, ms |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| <code>writes</code> | 100 | 9 | 91 % | 10 | bad | bad | 1 | 750 .. 910 .. 1,010 | ? |\n"
        "| — reused | 100 | 9 | 91 % | 10 | bad | bad | 1 | 750 .. 910 .. 1,010 | ? |\n\n"
        "Downtime and degradation (slow or bad) as least .. likely .. most; \"at most\" is judged on the last. A figure that says *bad* falls on a bad request.\n\n"
        "### Faults\n\n"
        "| at s | fault | victim | detected | first good | sustained | full | downtime | |\n"
        "| ---: | :--- | :--- | ---: | ---: | ---: | ---: | ---: | :--- |\n"
        "| 2.05 | <code>kill</code> 1 | <code>etcd-1</code> | 100 | 960 | 960 | ? | 750 .. 910 .. 1,010 | recovered |\n\n"
        "Milliseconds from the act; full: every replica ready again.\n\n"
        "### Checks\n\n"
        "| | check | why |\n| :--- | :--- | :--- |\n"
        "| fail | <code>downtime.max &lt; 1s</code> | downtime.max was 1,010 ms, limit 1,000 ms. |\n"
        "| pass | <code>complete</code> | The run went to its end. |\n"
        "| pass | <code>baseline</code> | Every load had successes before the first fault. |\n"
        "| pass | <code>observed</code> | Every fault was seen in effect. |\n"
        "| pass | <code>reverted</code> | There was nothing to revert. |\n"
        "| pass | <code>availability &gt;= 90%</code> | availability was 91 %, limit 90 %. |\n");
    assert_string_equal(text, again);
    fixture_free(&f);
}

/* Whatever names say: the only HTML is ours, no cell ends early, nothing calls anyone. */
static void test_hostile(void **state) {
    (void)state;
    static const char evil[] = "</script><img src=x onerror=y>|`*_~[a](http://b)$x$ @all #1 !2 %3 www.c &lt; \x1b[31m\xe2\x80\xae\n## head";
    char header[2000], act[600];
    cleanup_json json_t *name = json_string(evil);
    cleanup_free char *quoted = json_dumps(name, JSON_ENCODE_ANY);
    snprintf(header, sizeof header, HEADER_("%s", "%s", "%s", "%%"), quoted, quoted, quoted);
    snprintf(act, sizeof act, "{\"id\":1,\"fault\":%s,\"occurrence\":1,\"why\":%s}", quoted, quoted);
    struct fixture f;
    drill(&f, header, act, evil);
    cleanup_free char *text = rendered(&f, "markdown");
    assert_null(strchr(text, '\x1b'));
    static const char *const tags[] = {"<code>", "</code>"};
    for (const char *p = text; (p = strchr(p, '<')); p++)
        if (strncmp(p, tags[0], strlen(tags[0])) && strncmp(p, tags[1], strlen(tags[1])))
            fail_msg("a tag: %.40s", p);
    static const char *const never[] = {"@all", "](", "http://", "www.c", "\n## head", " #1", "!2", "%3", "$x", "&lt; \\"};
    size_t at_names = 0;
    for (const char *p = text; (p = strstr(p, "@&#8288;all")); p++)
        at_names++;
    assert_true(at_names > 3);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (i != 5 && i != 6 && i != 7 && strstr(text, never[i])) /* in code those three are left alone */
            fail_msg("%s is there:\n%s", never[i], text);
    size_t lines = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        size_t bars = 0;
        for (char *c = line; c < end; c++)
            bars += *c == '|';
        if (bars != 0 && bars != 11 && bars != 10 && bars != 4)
            fail_msg("%zu bars: %.*s", bars, (int)(end - line), line);
    }
    assert_true(lines > 20);
    fixture_free(&f);
}

/* Long runs stay short pages. */
static void test_many(void **state) {
    (void)state;
    struct fixture f;
    drill(&f, HEADER("\"drill\"", "\"writes\"", "\"kill\""), "{\"id\":1,\"fault\":\"kill\",\"occurrence\":1}", "etcd-1");
    for (int i = 2; i <= 5000; i++) {
        char act[100];
        snprintf(act, sizeof act, "{\"id\":%d,\"fault\":\"kill\",\"occurrence\":%d,\"why\":\"no candidate\"}", i, i);
        fixture_event(&f, 3052 + i, "fault/act", "info", "skip", "", act);
    }
    cleanup_free char *text = rendered(&f, "markdown");
    assert_non_null(strstr(text, "… and 4900 more, in `summary.json`."));
    assert_non_null(strstr(text, "skipped: no candidate |"));
    assert_true(strlen(text) < 20000);
    fixture_free(&f);
}

static void test_nothing(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER("\"drill\"", "\"writes\"", "\"kill\""));
    fixture_event(&f, 1, "run/skip", "info", "", "", "{\"why\":\"no etcd\"}");
    cleanup_free char *text = rendered(&f, "markdown");
    assert_non_null(strstr(text, "## ⏩ Skipped: drill\n\n**Skipped: no etcd.**"));
    fixture_free(&f);
}

/* JUnit: what tools make of each verdict. */

static void test_junit_words(void **state) {
    (void)state;
    struct fixture f;
    drill(&f, HEADER("\"drill\"", "\"writes\"", "\"kill\""), "{\"id\":1,\"fault\":\"kill\",\"occurrence\":1}", "etcd-1");
    cleanup_free char *text = rendered(&f, "junit");
    static const char *const parts[] = {
        "<testsuites name=\"chaosd\" tests=\"6\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"11.100\">\n<testsuite name=\"drill\" tests=\"6\" ",
        "name=\"complete\" time=\"11.100\">\n    <system-out>The run went to its end.</system-out>",
        "<failure message=\"downtime.max was 1,010 ms, limit 1,000 ms.\" type=\"fail\">downtime.max was 1,010 ms, limit 1,000 ms.</failure>",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(text, parts[i]))
            fail_msg("missing: %s\nin: %s", parts[i], text);
    fixture_free(&f);
}

static void test_junit_trouble(void **state) {
    (void)state;
    static const struct { const char *op, *data, *counts, *element; } rows[] = {
        {"self/error", "{\"why\":\"disk full\"}", "failures=\"0\" errors=\"1\"", "<error message=\"The run is not to be trusted: disk full.\" type=\"inconclusive\">The run"},
        {"run/abort", "{\"why\":\"SIGINT\"}", "failures=\"0\" errors=\"0\"", "<skipped message=\"The run was aborted: SIGINT.\">inconclusive: The run was"},
        {"note/nothing", "{}", "failures=\"0\" errors=\"1\"", "<error message=\"The history has no end: chaosd was killed, or could not write.\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, HEADER("\"drill\"", "\"writes\"", "\"kill\""));
        fixture_event(&f, 1000, "run/schedule", "info", "", "", "{}");
        fixture_requests(&f, 1000, 9000, 10, OUTCOME_GOOD);
        fixture_event(&f, 9000, rows[i].op, "info", "", "", rows[i].data);
        cleanup_free char *text = rendered(&f, "junit");
        if (!strstr(text, rows[i].counts) || !strstr(text, rows[i].element))
            fail_msg("%s: %s", rows[i].op, text);
        fixture_free(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),    cmocka_unit_test(test_hostile),     cmocka_unit_test(test_many),
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_junit_words), cmocka_unit_test(test_junit_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
