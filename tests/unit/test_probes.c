/* SPDX-License-Identifier: Apache-2.0 */
#include "history_fixture.h"

#include "base/buf.h"
#include "report/probes.h"
#include "report/report.h"

#include <math.h>

#define HEADER(mode, expect)                                                                                                             \
    "{\"schema\":1,\"run\":\"r\",\"scenario\":\"drill\",\"seed\":7,\"probes\":[{\"name\":\"pings\",\"kind\":\"tcp\",\"mode\":\"" mode "\"}]," \
    "\"expect\":[" expect "]}"

static void answer(struct fixture *f, int id, const char *pod, bool ok, double asked_ms, double seen_ms, double before_ms) {
    char data[400], before[80] = "";
    if (before_ms >= 0)
        snprintf(before, sizeof before, ",\"before_asked\":%.0f,\"before_seen\":%.0f", before_ms * 1e6, (before_ms + 2) * 1e6);
    snprintf(data, sizeof data, "{\"probe\":\"pings\",\"id\":%d,\"ok\":%s,\"asked\":%.0f,\"seen\":%.0f%s%s}", id, ok ? "true" : "false", asked_ms * 1e6,
             seen_ms * 1e6, ok ? ",\"value\":\"+PONG\"" : ",\"why\":\"connect: Connection refused\"", before);
    fixture_event(f, seen_ms, "probe/answer", "info", "tcp", pod, data);
}

static void summary(struct fixture *f, int id, const char *pod, int good, int bad, int unsure, double last_ms) {
    char data[300];
    snprintf(data, sizeof data, "{\"probe\":\"pings\",\"id\":%d,\"asked\":%d,\"good\":%d,\"bad\":%d,\"unsure\":%d,\"unwritten\":0,\"last_asked\":%.0f}", id,
             good + bad + unsure, good, bad, unsure, last_ms * 1e6);
    fixture_event(f, 9900, "probe/summary", "info", "tcp", pod, data);
}

static void begin(struct fixture *f, const char *header) {
    fixture_init(f, header);
    fixture_event(f, 1000, "run/schedule", "info", "", "", "{}");
}

static void end(struct fixture *f) { fixture_event(f, 9950, "run/end", "info", "", "", "{}"); }

/* Asked each 500 ms: right at 2000, wrong at 2500 (known 2510), 3000 and 3500, right at 4000 (known 4010).
 * By hand, as for downtime: least 3500 - 2510 = 990, likely 4010 - 2500 = 1510, most 4010 - 2000 = 2010. */
static void a_stretch_has_its_bracket(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEADER("continuous", ""));
    answer(&f, 1, "web-0", true, 1000, 1010, -1);
    answer(&f, 2, "web-1", true, 1000, 1010, -1);
    answer(&f, 1, "web-0", false, 2500, 2510, 2000);
    answer(&f, 1, "web-0", true, 4000, 4010, 3500);
    summary(&f, 1, "web-0", 12, 3, 0, 8500);
    summary(&f, 2, "web-1", 15, 0, 0, 8500);
    end(&f);
    struct judgement *j = judged(&f);
    assert_int_equal(j->verdict, VERDICT_FAIL);
    assert_int_equal(j->probe_count, 1);
    const struct probe_figures *p = &j->probes[0];
    assert_true(p->target_count == 2 && p->asked == 30 && p->good == 27 && p->bad == 3);
    assert_int_equal(p->targets[1].stretch_count, 0);
    assert_ptr_equal(p->first, p->longest);
    assert_int_equal(p->first->start, 2500 * MS);
    assert_int_equal(p->first->min, 990 * MS);
    assert_int_equal(p->first->point, 1510 * MS);
    assert_int_equal(p->first->max, 2010 * MS);
    const struct check_result *c = check(j, "probe pings");
    assert_int_equal(c->verdict, VERDICT_FAIL);
    assert_true(fabs(c->value - 90) < 1e-9 && c->limit == 100);
    assert_string_equal(c->why, "Probe pings: 3 of 30 answers wrong, the first at 1.50 s on web-0: connect: Connection refused; the longest stretch 990..1,510..2,010 ms.");
    judgement_free(j);
    fixture_free(&f);
}

static void stretches_that_are_open(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEADER("continuous", ""));
    answer(&f, 1, "", false, 1000, 1010, -1); /* never right before */
    answer(&f, 1, "", true, 2000, 2010, 1500);
    answer(&f, 1, "", false, 5000, 5010, 4500); /* never right again; last asked at 9000 */
    summary(&f, 1, "", 6, 11, 0, 9000);
    end(&f);
    struct judgement *j = judged(&f);
    const struct probe_target *t = &j->probes[0].targets[0];
    assert_int_equal(t->stretch_count, 2);
    assert_true(t->stretches[0].min == 490 * MS && t->stretches[0].point == 1010 * MS && t->stretches[0].max == UNKNOWN_NS);
    assert_true(t->stretches[1].min == 3990 * MS && t->stretches[1].point == UNKNOWN_NS && t->stretches[1].max == UNKNOWN_NS);
    assert_ptr_equal(j->probes[0].longest, &t->stretches[1]);
    assert_non_null(strstr(check(j, "probe pings")->why, "it was not right again"));
    judgement_free(j);
    fixture_free(&f);
}

/* What the longest stretch surely was, not what it may have been: an on-fault probe asks nothing between its faults. */
static void a_stretch_without_a_beginning(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEADER("on-fault", ""));
    answer(&f, 1, "web-0", false, 1000, 1010, -1);
    answer(&f, 1, "web-0", true, 9000, 9010, 1500);
    summary(&f, 1, "web-0", 4, 2, 0, 9500);
    end(&f);
    struct judgement *j = judged(&f);
    assert_non_null(strstr(check(j, "probe pings")->why, "; the longest stretch at least 490 ms."));
    char text[160];
    assert_string_equal(probe_length(j->probes[0].longest, text, sizeof text), "490..8,010..?");
    judgement_free(j);
    fixture_free(&f);
}

/* Many changes: the lists grow, and the longest is found among them. */
static void flapping(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEADER("continuous", ""));
    for (int i = 0; i < 100; i++) {
        answer(&f, 1, "", true, 1000 + i * 40, 1001 + i * 40, i ? 990 + i * 40 : -1);
        answer(&f, 1, "", false, 1020 + i * 40, 1021 + i * 40, 1010 + i * 40 - (i == 77 ? 9 : 0));
    }
    summary(&f, 1, "", 200, 200, 0, 5000);
    end(&f);
    struct judgement *j = judged(&f);
    const struct probe_figures *p = &j->probes[0];
    assert_int_equal(p->targets[0].stretch_count, 100);
    assert_ptr_equal(p->longest, &p->targets[0].stretches[77]);
    assert_true(p->longest->max > p->targets[0].stretches[78].max);
    judgement_free(j);
    fixture_free(&f);
}

/* What decides, row by row. */
static void verdicts(void **state) {
    (void)state;
    enum { NEVER, ACTED = 1, ENDED = 2, ABORTED = 4 };
    static const struct {
        const char *header;
        int what, answers, good, bad, unsure; /* answers: events; -1 in good: no summary */
        enum verdict verdict;
        const char *why;
    } rows[] = {
        {HEADER("continuous", ""), ENDED, 1, 9, 0, 0, VERDICT_PASS, "All 9 answers were right."},
        {HEADER("start", ""), ENDED, 1, 1, 0, 0, VERDICT_PASS, "The answer was right."},
        {HEADER("continuous", ""), ENDED, 1, 9, 0, 2, VERDICT_PASS, "All 9 answers were right."}, /* what chaosd missed is said by its stalls */
        {HEADER("continuous", ""), ENDED, 0, 0, 0, 7, VERDICT_INCONCLUSIVE, "chaosd itself stalled whenever it was asked"},
        {HEADER("continuous", ""), ENDED, 0, 0, 0, 0, VERDICT_INCONCLUSIVE, "no answer came before the run ended"},
        {HEADER("end", ""), ENDED | ABORTED, NEVER, -1, 0, 0, VERDICT_INCONCLUSIVE, "it was not asked, as the run was aborted before that"},
        {HEADER("continuous", ""), 0, NEVER, -1, 0, 0, VERDICT_INCONCLUSIVE, "it was not asked, as the history stops before that"},
        {HEADER("continuous", ""), 0, 1, -1, 0, 0, VERDICT_INCONCLUSIVE, "the history stops before its end"},
        {HEADER("on-fault", ""), ENDED, NEVER, -1, 0, 0, VERDICT_SKIPPED, "No fault was carried out, so it was not asked."},
        {HEADER("on-fault", ""), ENDED | ACTED, NEVER, -1, 0, 0, VERDICT_INCONCLUSIVE, "it was never asked"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        begin(&f, rows[i].header);
        if (rows[i].what & ACTED)
            fixture_event(&f, 1100, "fault/act", "ok", "pod-kill", "web-0", "{\"id\":1,\"fault\":\"x\",\"occurrence\":1}");
        if (rows[i].answers)
            answer(&f, 1, "", true, 1200, 1210, -1);
        if (rows[i].what & ABORTED)
            fixture_event(&f, 2000, "run/abort", "info", "", "", "{\"why\":\"SIGINT\"}");
        if (rows[i].good >= 0)
            summary(&f, 1, "", rows[i].good, rows[i].bad, rows[i].unsure, 9000);
        if (rows[i].what & ENDED)
            end(&f);
        struct judgement *j = judged(&f);
        const struct check_result *c = check(j, "probe pings");
        if (c->verdict != rows[i].verdict || !strstr(c->why, rows[i].why))
            fail_msg("row %zu: %s, %s", i, verdict_names[c->verdict], c->why);
        assert_int_equal(j->probes[0].verdict, rows[i].verdict);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* A threshold on a probe takes the place of its own check. */
static void thresholds(void **state) {
    (void)state;
    static const struct { const char *header; int good, bad, unsure; enum verdict verdict; } rows[] = {
        {HEADER("continuous", "\"probe(pings) >= 90%\""), 90, 10, 0, VERDICT_PASS},
        {HEADER("continuous", "\"probe(pings) >= 90%\""), 89, 11, 0, VERDICT_FAIL},
        {HEADER("continuous", "\"probe(pings) >= 90%\""), 89, 10, 1, VERDICT_INCONCLUSIVE},
        {HEADER("continuous", "\"probe(pings) >= 90%\""), 85, 14, 1, VERDICT_FAIL}, /* whichever way the last one was */
        {HEADER("continuous", "\"probe(pings) >= 90%\""), 91, 8, 1, VERDICT_PASS},
        {HEADER("continuous", "\"probe(pings) >= 90%\""), 0, 0, 0, VERDICT_INCONCLUSIVE},
        {HEADER("continuous", "\"probe(pongs) >= 90%\""), 9, 0, 0, VERDICT_INCONCLUSIVE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        begin(&f, rows[i].header);
        answer(&f, 1, "", true, 1000, 1010, -1);
        if (rows[i].bad)
            answer(&f, 1, "", false, 2500, 2510, 2000);
        summary(&f, 1, "", rows[i].good, rows[i].bad, rows[i].unsure, 9000);
        end(&f);
        struct judgement *j = judged(&f);
        bool on_it = strstr(rows[i].header, "(pings)");
        const struct check_result *c = check(j, on_it ? "probe(pings) >= 90%" : "probe(pongs) >= 90%");
        if (c->verdict != rows[i].verdict)
            fail_msg("row %zu: %s, %s", i, verdict_names[c->verdict], c->why);
        size_t own = 0;
        for (size_t k = 0; k < j->check_count; k++)
            own += !strcmp(j->checks[k].name, "probe pings");
        assert_int_equal(own, !on_it);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Times beyond all clocks, ids that are none, probes that the header does not name: nothing overflows, nobody is blamed. */
static void wild_events(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEADER("continuous", ""));
    fixture_event(&f, 1000, "probe/answer", "info", "tcp", "", "{\"probe\":\"others\",\"id\":1,\"ok\":false}");
    fixture_event(&f, 1000, "probe/answer", "info", "tcp", "", "{}");
    fixture_event(&f, 1000, "probe/answer", "info", "tcp", "", "{\"probe\":\"pings\",\"ok\":true,\"asked\":-9223372036854775807,\"seen\":9223372036854775807}");
    fixture_event(&f, 1100, "probe/answer", "info", "tcp", "", "{\"probe\":\"pings\",\"ok\":false,\"asked\":\"x\",\"before_asked\":-1152921504606846975}");
    fixture_event(&f, 1200, "probe/answer", "info", "tcp", "", "{\"probe\":\"pings\",\"ok\":true,\"seen\":1152921504606846975,\"before_asked\":-5}");
    fixture_event(&f, 1300, "probe/summary", "info", "tcp", "", "{\"probe\":\"pings\",\"asked\":\"many\"}");
    fixture_event(&f, 1300, "probe/summary", "info", "tcp", "", "{\"probe\":\"pings\",\"id\":2,\"asked\":9223372036854775807,\"good\":9223372036854775807,\"bad\":-4}");
    end(&f);
    struct judgement *j = judged(&f);
    assert_int_equal(j->probes[0].target_count, 2);
    assert_true(j->probes[0].asked == -1 && j->probes[0].good == -1 && j->probes[0].bad == -1);
    assert_int_equal(check(j, "probe pings")->verdict, VERDICT_FAIL);
    judgement_free(j);
    fixture_free(&f);
}

static void reports_tell_it(void **state) {
    (void)state;
    static const struct { const char *kind, *says; } rows[] = {
        {"text", "pings  continuous  web-0"},
        {"text", "80 %         1.50"},
        {"text", "990..1,510..2,010"},
        {"json", "\"longest_wrong\": {\n        \"start_ms\": 2500.0"},
        {"json", "\"success\": 0.8"},
        {"json", "\"wrong_total\": 1"},
        {"markdown", "| <code>pings</code> | continuous | web-0 | 15 | 3 | 990..1,510..2,010 |"},
        {"junit", "name=\"probe pings\""},
        {"junit", "3 of 15 answers wrong"},
        {"html", "\"probes\":[{\"name\":\"pings\",\"mode\":\"continuous\",\"target\":\"web-0\",\"changes\":[[0,10,true,\"+PONG\",null,null],[1500,1510,false,"},
    };
    struct fixture f;
    begin(&f, HEADER("continuous", ""));
    answer(&f, 1, "web-0", true, 1000, 1010, -1);
    answer(&f, 1, "web-0", false, 2500, 2510, 2000);
    answer(&f, 1, "web-0", true, 4000, 4010, 3500);
    summary(&f, 1, "web-0", 12, 3, 0, 8500);
    end(&f);
    struct judgement *j = judged(&f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = {0};
        assert_return_code(report_kind(rows[i].kind)->render(j, &b, NULL), 0);
        if (!strstr(b.data, rows[i].says))
            fail_msg("%s: no %s in\n%.3000s", rows[i].kind, rows[i].says, b.data);
        buf_free(&b);
    }
    judgement_free(j);
    fixture_free(&f);
}

/* Flapping beyond what the history keeps: the last change it tells of was a wrong answer, at 3000; that all was wrong until the end it does not say. */
static void unwritten_changes_are_no_stretch(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEADER("continuous", ""));
    answer(&f, 1, "", true, 2000, 2010, -1);
    answer(&f, 1, "", false, 3000, 3010, 2500);
    fixture_event(&f, 9900, "probe/summary", "info", "tcp", "",
                  "{\"probe\":\"pings\",\"id\":1,\"asked\":20,\"good\":10,\"bad\":10,\"unsure\":0,\"unwritten\":6,\"last_asked\":9800000000}");
    end(&f);
    struct judgement *j = judged(&f);
    assert_int_equal(j->probes[0].targets[0].stretches[0].min, 0);
    judgement_free(j);
    fixture_free(&f);
}

/* on-fault: wrong from 2000 (known 2010) to 2500, when the fault was over and nobody asked any more. Asked again at the next, from 7000 on: wrong,
 * and right at 8000 (known 8010). What was in between nobody knows: two stretches, 490 ms at least and 1010 likely, not one of 5 s at least. */
static void nobody_asked_between_faults(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, HEADER("on-fault", ""));
    answer(&f, 1, "", false, 2000, 2010, -1);
    answer(&f, 1, "", false, 7000, 7010, 2500);
    answer(&f, 1, "", true, 8000, 8010, 7500);
    summary(&f, 1, "", 1, 4, 0, 8000);
    end(&f);
    struct judgement *j = judged(&f);
    const struct probe_target *t = &j->probes[0].targets[0];
    assert_int_equal(t->stretch_count, 2);
    assert_int_equal(t->stretches[0].min, 490 * MS);
    assert_int_equal(t->stretches[0].end, UNKNOWN_NS);
    assert_int_equal(t->stretches[1].min, 490 * MS);
    assert_int_equal(t->stretches[1].point, 1010 * MS);
    assert_int_equal(t->stretches[1].max, UNKNOWN_NS);
    assert_non_null(strstr(check(j, "probe pings")->why, "the longest stretch at least 490 ms"));
    judgement_free(j);
    fixture_free(&f);
}

/* Before the schedule there are no seconds of it. */
static void wrong_before_the_schedule(void **state) {
    (void)state;
    struct fixture f;
    struct buf b = {0};
    begin(&f, HEADER("start", ""));
    answer(&f, 1, "web-0", false, 500, 510, -1);
    summary(&f, 1, "web-0", 0, 1, 0, 500);
    end(&f);
    struct judgement *j = judged(&f);
    assert_return_code(report_kind("text")->render(j, &b, NULL), 0);
    if (!strstr(b.data, "before  not right again"))
        fail_msg("%s", b.data);
    buf_free(&b);
    judgement_free(j);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_asked_between_faults), cmocka_unit_test(unwritten_changes_are_no_stretch),
        cmocka_unit_test(a_stretch_has_its_bracket), cmocka_unit_test(stretches_that_are_open), cmocka_unit_test(a_stretch_without_a_beginning), cmocka_unit_test(wrong_before_the_schedule),
        cmocka_unit_test(flapping), cmocka_unit_test(verdicts),
        cmocka_unit_test(thresholds),                cmocka_unit_test(wild_events),             cmocka_unit_test(reports_tell_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
