/* SPDX-License-Identifier: Apache-2.0 */
/* A control is a load off the fault's path: where it fails as well, what the others say proves nothing. */
#include "history_fixture.h"

#include "check/judge.h"
#include "report/report.h"

#include <math.h>

static const char header[] =
    "{\"schema\":1,\"scenario\":\"t\",\"seed\":7,\"loads\":[{\"name\":\"ctl\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000,\"control\":true},"
    "{\"name\":\"writes\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000}],\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false}]}";

static void event(struct fixture *f, double t, const char *op, const char *phase, const char *data) {
    fixture_event(f, t, op, phase, "pod-kill", "etcd-0", data);
}

/* A spell of the load: bad, or good and slow (300 ms). */
struct spell { double from, to; bool slow; };

static void load(struct fixture *f, int index, const struct spell *s) {
    for (double t = 0; t < 20000; t += 100) {
        bool in = t >= s->from && t < s->to;
        fixture_sample(f, index, LANE_REUSED, SAMPLE_NO_TARGET, t, in ? s->slow ? 300 : 50 : 10, in && !s->slow ? OUTCOME_BAD : OUTCOME_GOOD);
    }
}

/* The act at 12050. */
static void history(struct fixture *f, const struct spell *control, const struct spell *writes, const char *expect) {
    fixture_init(f, header);
    if (expect)
        json_object_set_new(f->h.header, "expect", json_pack("[s]", expect));
    event(f, 0, "run/schedule", "info", "{}");
    load(f, 0, control);
    load(f, 1, writes);
    event(f, 12050, "fault/act", "invoke", "{\"id\":1,\"fault\":\"kill\",\"occurrence\":1}");
    event(f, 12050, "fault/act", "ok", "{\"id\":1,\"fault\":\"kill\",\"occurrence\":1}");
    event(f, 12051, "fault/observed", "info", "{\"id\":1}");
    event(f, 20100, "run/end", "info", "{}");
}

static const struct spell none = {0, 0, false}, outage = {12100, 13000, false}, slowness = {12100, 13000, true};
#define DOUBT "the control failed as well: ctl was bad from 12.5 to 12.7 s"

/* writes: down from 12100 to 13000, bracket 750 .. 910 .. 1010 within [12000, 13010]; 191 of 200 good, 95.5 %. */
static const struct row {
    const char *name;
    struct spell control;
    const struct spell *writes;
    const char *text;
    enum verdict verdict;
    const char *why; /* or NULL */
} rows[] = {
    {"the control is good", {0, 0, false}, &outage, "downtime.max < 1s", VERDICT_FAIL, "downtime.max was 1,010 ms, limit 1,000 ms."},
    {"good, within the limit", {0, 0, false}, &outage, "downtime.max < 2s", VERDICT_PASS, NULL},
    {"it failed too", {12500, 12700, false}, &outage, "downtime.max < 1s", VERDICT_INCONCLUSIVE,
     "downtime.max cannot be judged: the window at 12.1 s is not judged, for " DOUBT "."},
    {"it failed too: what passes is open as well", {12500, 12700, false}, &outage, "downtime.max < 2s", VERDICT_INCONCLUSIVE, NULL},
    {"it failed too: count", {12500, 12700, false}, &outage, "downtime.count < 1", VERDICT_INCONCLUSIVE, "downtime.count cannot be judged: " DOUBT "."},
    {"count that holds in any case", {12500, 12700, false}, &outage, "downtime.count <= 1", VERDICT_PASS, NULL},
    {"it failed too: availability", {12500, 12700, false}, &outage, "availability >= 99%", VERDICT_INCONCLUSIVE,
     "availability cannot be judged: " DOUBT "."},
    {"availability kept in any case", {12500, 12700, false}, &outage, "availability >= 95%", VERDICT_PASS, NULL},
    {"it failed too: by time", {12500, 12700, false}, &outage, "availability.time >= 99%", VERDICT_INCONCLUSIVE, NULL},
    {"it failed too: quantile", {12500, 12700, false}, &outage, "p(97) < 100ms", VERDICT_INCONCLUSIVE, NULL},
    {"the quantile falls elsewhere", {12500, 12700, false}, &outage, "p(90) < 100ms", VERDICT_PASS, NULL},
    {"it failed too: recovery", {12500, 12700, false}, &outage, "recovery.max < 500ms", VERDICT_INCONCLUSIVE,
     "recovery.max cannot be judged: " DOUBT "."},
    {"good: recovery", {0, 0, false}, &outage, "recovery.max < 500ms", VERDICT_FAIL, NULL},
    {"it failed at another time", {16000, 16200, false}, &outage, "downtime.max < 1s", VERDICT_FAIL, NULL},
    {"right before: its bracket ends at 11910", {11700, 11900, false}, &outage, "downtime.max < 1s", VERDICT_FAIL, NULL},
    {"its bracket ends at 12010, the other's begins at 12000", {11800, 12000, false}, &outage, "downtime.max < 1s", VERDICT_INCONCLUSIVE, NULL},
    {"right after: its bracket begins at 13000", {13100, 13200, false}, &outage, "downtime.max < 1s", VERDICT_INCONCLUSIVE, NULL},
    {"later: its bracket begins at 13100", {13200, 13300, false}, &outage, "downtime.max < 1s", VERDICT_FAIL, NULL},
    {"only slow: that does not excuse what was down", {12500, 12700, true}, &outage, "downtime.max < 1s", VERDICT_FAIL, NULL},
    {"both were slow", {12500, 12700, true}, &slowness, "degradation.max < 1s", VERDICT_INCONCLUSIVE,
     "degradation.max cannot be judged: the window at 12.1 s is not judged, for the control failed as well: ctl was slow from 12.5 to 12.7 s."},
    {"slow alone", {0, 0, false}, &slowness, "degradation.max < 1s", VERDICT_FAIL, NULL},
    {"slow, and the control bad", {12500, 12700, false}, &slowness, "degradation.max < 1s", VERDICT_INCONCLUSIVE, NULL},
    /* A control is judged only where it is named. */
    {"bad control, unscoped", {12100, 16000, false}, &none, "availability >= 100%", VERDICT_PASS, "availability was 100 %, limit 100 %."},
    {"bad control, named", {12100, 16000, false}, &none, "availability(ctl) >= 99%", VERDICT_FAIL, "availability(ctl) was 80.5 %, limit 99 %."},
    {"bad control, named window", {12500, 12700, false}, &outage, "downtime.max(ctl) < 100ms", VERDICT_FAIL, NULL},
    {"bad control: nobody's recovery", {12100, 13000, false}, &none, "recovery.max <= 0ms", VERDICT_PASS, NULL},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        history(&f, &rows[i].control, rows[i].writes, rows[i].text);
        struct judgement *j = judged(&f);
        const struct check_result *c = &j->checks[j->check_count - 1];
        assert_string_equal(c->name, rows[i].text);
        if (c->verdict != rows[i].verdict || (rows[i].why && strcmp(c->why, rows[i].why)))
            fail_msg("%s: %s: %s", rows[i].name, verdict_names[c->verdict], c->why);
        judgement_free(j);
        fixture_free(&f);
    }
}

static void test_said(void **state) {
    (void)state;
    static const struct { struct spell control; const char *text, *verdict; } cases[] = {
        {{0, 0, false}, "\n  control ctl: good throughout, 200 requests\n",
         "All 4 checks passed: 95.5 % of 200 writes good, worst downtime 750..1,010 ms, slowest recovery 960 ms."},
        {{12500, 12700, false}, "\n  ! writes at 12.10 s is not judged, for " DOUBT "\n  control ctl: 2 of 200 requests bad\n", NULL},
    };
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        struct buf text = {0};
        struct error err;
        history(&f, &cases[i].control, &outage, NULL);
        struct judgement *j = judged(&f);
        assert_true(j->lanes[0].control && !j->lanes[1].control);
        assert_int_equal(report_kind("text")->render(j, &text, &err), 0);
        assert_non_null(strstr(text.data, cases[i].text));
        assert_non_null(strstr(text.data, "\n  ctl (control) "));
        if (cases[i].verdict)
            assert_string_equal(j->why, cases[i].verdict);
        json_t *s = report_summary(j), *loads = json_object_get(s, "loads");
        assert_true(json_is_true(json_object_get(json_array_get(loads, 0), "control")));
        assert_null(json_object_get(json_array_get(loads, 1), "control"));
        const json_t *window = json_array_get(json_object_get(json_array_get(loads, 1), "downtime"), 0);
        assert_true(i ? json_is_string(json_object_get(window, "suspect")) : json_is_null(json_object_get(window, "suspect")));
        json_decref(s);
        buf_free(&text);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* A control that never worked is a drill that must be mended. */
static void test_never_worked(void **state) {
    (void)state;
    struct fixture f;
    history(&f, &(struct spell){0, 20000, false}, &none, NULL);
    struct judgement *j = judged(&f);
    assert_int_equal(j->verdict, VERDICT_INCONCLUSIVE);
    assert_string_equal(j->why, "ctl had no success at all (is the target right?).");
    judgement_free(j);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_said), cmocka_unit_test(test_never_worked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
