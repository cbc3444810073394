/* SPDX-License-Identifier: Apache-2.0 */
/* Network faults as they are judged and told: what was hit, what was measured, what went wrong, what could not be done here. */
#include "history_fixture.h"

#include "check/orderstat.h"
#include "report/effect.h"
#include "report/kinds.h"

#include <math.h>

#define LOAD "\"loads\":[{\"name\":\"writes\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000}]"
#define CUT "{\"name\":\"cut\",\"kind\":\"net-partition\",\"holds\":true}"
#define SLOW "{\"name\":\"slow\",\"kind\":\"net-delay\",\"holds\":true,\"unable\":\"netem: this kernel has none\"}"
#define HEAD(faults) "{\"schema\":1,\"scenario\":\"t\",\"seed\":7," LOAD ",\"faults\":[" faults "]}"

static void event(struct fixture *f, double t, const char *op, const char *phase, const char *kind, const char *data) {
    fixture_event(f, t, op, phase, kind, "web-0", data);
}

static void cut(struct fixture *f, const char *ok, const char *observed, const char *revert) {
    event(f, 2000, "fault/act", "invoke", "net-partition", "{\"id\":1,\"fault\":\"cut\",\"occurrence\":1}");
    event(f, 2001, "fault/act", "ok", "net-partition", ok);
    if (observed)
        event(f, 2005, "fault/observed", "info", "net-partition", observed);
    event(f, 3000, "fault/revert", "invoke", "net-partition", "{\"id\":1}");
    event(f, 3001, "fault/revert", "ok", "net-partition", revert);
}

static void skipped(struct fixture *f, int id) {
    char data[160];
    snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"slow\",\"occurrence\":1,\"why\":\"netem: this kernel has none\"}", id);
    event(f, 2500, "fault/act", "info", "skip", data);
}

static struct judgement *end(struct fixture *f) {
    fixture_requests(f, 0, 10000, 10, OUTCOME_GOOD);
    event(f, 10100, "run/end", "info", "", "{}");
    return judged(f);
}

static void done(struct fixture *f, struct judgement *j) {
    judgement_free(j);
    fixture_free(f);
}

/* A report of it, to be freed. */
static char *rendered(const struct judgement *j, const struct report_kind *kind) {
    struct buf out = {0};
    struct error err;
    assert_int_equal(kind->render(j, &out, &err), 0);
    return buf_take(&out);
}

static void tells(const struct judgement *j, const struct report_kind *kind, const char *text) {
    char *all = rendered(j, kind);
    if (!strstr(all, text))
        fail_msg("%s does not say \"%s\": %s", kind->name, text, all);
    free(all);
}

static void test_what_it_hit(void **state) {
    (void)state;
    static const struct { const char *ok, *observed, *revert, *measured, *says; } rows[] = {
        {"{\"id\":1,\"by\":\"drop\"}", "{\"id\":1,\"packets\":1,\"bytes\":74}", "{\"id\":1,\"packets\":1,\"bytes\":74,\"drain_ns\":100000}", NULL, "hit 1 packet (74 B), dropped"},
        {"{\"id\":1,\"by\":\"drop\"}", "{\"id\":1,\"packets\":1,\"bytes\":74}", "{\"id\":1,\"packets\":30,\"bytes\":2124,\"drain_ns\":100000}", NULL, "hit 30 packets (2.1 kB), all dropped"},
        {"{\"id\":1,\"by\":\"netem\"}", "{\"id\":1,\"packets\":9,\"bytes\":999}",
         "{\"id\":1,\"packets\":1234,\"bytes\":1234567,\"queue_sent\":1203,\"queue_dropped\":31,\"drain_ns\":84000000}",
         "{\"id\":1,\"hosts\":1,\"sent\":100,\"lost\":0,\"rtt_ns\":81000000,\"sent_after\":100,\"lost_after\":0,\"rtt_after_ns\":700000}",
         "hit 1,234 packets (1.2 MB), 31 dropped; drained in 84 ms; measured +80.3 ms"},
        {"{\"id\":1,\"by\":\"netem\"}", "{\"id\":1,\"packets\":9,\"bytes\":999}", "{\"id\":1,\"drain_ns\":2000000000,\"cut\":7}",
         "{\"id\":1,\"sent\":100,\"lost\":10,\"rtt_ns\":700100,\"sent_after\":100,\"lost_after\":0,\"rtt_after_ns\":700000}",
         "hit 9 packets (999 B); drained in 2,000 ms, 7 still queued were dropped; measured +0 ms, 10 % lost (4.6 % to 20.37 %)"},
        {"{\"id\":1,\"by\":\"drop\"}", "{\"id\":1,\"packets\":9,\"bytes\":999}", "{\"id\":1}", "{\"id\":1,\"sent\":20,\"lost\":20,\"sent_after\":20,\"lost_after\":0,\"rtt_after_ns\":700000}",
         "hit 9 packets (999 B), all dropped; measured no answer at all"},
        {"{\"id\":1,\"by\":\"drop\"}", "{\"id\":1,\"packets\":9,\"bytes\":999}", "{\"id\":1}", "{\"id\":1,\"sent\":0,\"lost\":0,\"why\":\"no far end of it is a single host now\"}",
         "hit 9 packets (999 B), all dropped; measured nothing: no far end of it is a single host now"},
        {"{\"id\":1,\"by\":\"drop\"}", "{\"id\":1}", "{\"id\":1}", NULL, "what it hit is not known"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, HEAD(CUT));
        cut(&f, rows[i].ok, rows[i].observed, rows[i].revert);
        if (rows[i].measured)
            event(&f, 4000, "fault/measured", "info", "net-partition", rows[i].measured);
        struct judgement *j = end(&f);
        struct buf line = {0};
        assert_int_equal(j->verdict, VERDICT_PASS);
        assert_true(effect_say(&j->acts[0], &line));
        assert_string_equal(line.data, rows[i].says);
        buf_free(&line);
        if (strlen(rows[i].says) < 60) { /* a longer one is wrapped */
            tells(j, &report_text, rows[i].says);
            tells(j, &report_html, rows[i].says);
        }
        done(&f, j);
    }
}

/* Wilson's interval with 99 % of 10 of 100: the figures that the line above shows. */
static void test_interval(void **state) {
    (void)state;
    double lo, hi;
    wilson_at(10, 100, WILSON_99, &lo, &hi);
    assert_true(fabs(lo - 0.0460) < 1e-4 && fabs(hi - 0.2038) < 1e-4);
    wilson_at(0, 100, WILSON_99, &lo, &hi);
    assert_true(lo == 0 && fabs(hi - 0.0622) < 1e-4);
    wilson_at(0, 0, WILSON_99, &lo, &hi);
    assert_true(lo == 0 && hi == 1);
}

/* Figures that nobody could have measured are no figures, and break nothing. */
static void test_hostile_figures(void **state) {
    (void)state;
    static const char *const datas[] = {
        "{\"id\":1,\"sent\":-5,\"lost\":10,\"rtt_ns\":-9223372036854775807,\"rtt_after_ns\":9223372036854775807}",
        "{\"id\":1,\"sent\":\"x\",\"lost\":9223372036854775807,\"rtt_ns\":{},\"why\":7}",
        "{\"id\":1,\"packets\":-1,\"bytes\":1e300,\"queue_sent\":null,\"drain_ns\":\"soon\",\"cut\":-4}",
    };
    for (size_t i = 0; i < sizeof datas / sizeof *datas; i++) {
        struct fixture f;
        fixture_init(&f, HEAD(CUT));
        cut(&f, "{\"id\":1,\"by\":\"drop\"}", datas[i], datas[i]);
        event(&f, 4000, "fault/measured", "info", "net-partition", datas[i]);
        event(&f, 4000, "fault/measured", "info", "net-partition", "{\"id\":99}");
        struct judgement *j = end(&f);
        const struct act_figures *a = &j->acts[0];
        assert_int_equal(a->affected.packets, -1);
        assert_int_equal(a->affected.cut, 0);
        assert_true(a->measured.sent >= 0 && a->measured.lost <= a->measured.sent && a->measured.added == UNKNOWN_NS);
        tells(j, &report_json, "\"packets\": null");
        done(&f, j);
    }
}

static void test_never_in_effect(void **state) {
    (void)state;
    static const struct { const char *kind, *ok, *trouble, *why; } rows[] = {
        {"net-partition", "{\"id\":1,\"by\":\"drop\"}", NULL, "cut #1 on web-0 was never seen in effect: no packet matched."},
        {"net-delay", "{\"id\":1,\"by\":\"netem\"}", NULL, "cut #1 on web-0 was never seen in effect: no packet matched."},
        {"net-loss", "{\"id\":1,\"by\":\"drop\",\"share_ppm\":1}", NULL, "cut #1 on web-0 was never seen in effect: no packet was dropped."},
        {"net-delay", "{\"id\":1,\"by\":\"netem\"}", "its ifb is down", "cut #1 on web-0 was never seen in effect: its ifb is down."},
        {"pod-pause", "{\"id\":1}", NULL, "cut #1 on web-0 was never seen in effect."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, HEAD(CUT));
        event(&f, 2000, "fault/act", "invoke", rows[i].kind, "{\"id\":1,\"fault\":\"cut\",\"occurrence\":1}");
        event(&f, 2001, "fault/act", "ok", rows[i].kind, rows[i].ok);
        if (rows[i].trouble)
            event(&f, 2100, "fault/trouble", "info", rows[i].kind, "{\"id\":1,\"why\":\"its ifb is down\"}");
        event(&f, 3000, "fault/revert", "ok", rows[i].kind, "{\"id\":1,\"packets\":0,\"bytes\":0}");
        struct judgement *j = end(&f);
        assert_int_equal(j->verdict, VERDICT_INCONCLUSIVE);
        assert_string_equal(j->why, rows[i].why);
        done(&f, j);
    }
}

static void test_trouble(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD(CUT));
    cut(&f, "{\"id\":1,\"by\":\"drop\"}", "{\"id\":1,\"packets\":4,\"bytes\":300}", "{\"id\":1,\"packets\":4,\"bytes\":300}");
    event(&f, 2500, "fault/trouble", "info", "net-partition", "{\"id\":1,\"why\":\"its filters were taken away\"}");
    event(&f, 2600, "fault/trouble", "info", "net-partition", "{\"id\":1,\"why\":\"a second one\"}");
    struct judgement *j = end(&f);
    assert_int_equal(j->verdict, VERDICT_INCONCLUSIVE);
    assert_string_equal(j->why, "cut #1 on web-0 was not in effect as asked: its filters were taken away.");
    tells(j, &report_text, "cut #1 was not in effect as asked: its filters were taken away");
    tells(j, &report_markdown, "not in effect as asked: its filters were taken away; hit 4 packets");
    tells(j, &report_html, "\"trouble\":\"its filters were taken away\"");
    tells(j, &report_json, "\"trouble\": \"its filters were taken away\"");
    done(&f, j);
}

/* One of two could not be done here: said everywhere, and no part of the verdict. */
static void test_one_is_not_possible(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD(CUT "," SLOW));
    cut(&f, "{\"id\":1,\"by\":\"drop\"}", "{\"id\":1,\"packets\":4,\"bytes\":300}", "{\"id\":1,\"packets\":4,\"bytes\":300}");
    skipped(&f, 2);
    struct judgement *j = end(&f);
    const struct check_result *c = check(j, "possible(slow)");
    assert_int_equal(j->verdict, VERDICT_PASS);
    assert_int_equal(c->verdict, VERDICT_SKIPPED);
    assert_string_equal(c->why, "slow was skipped: netem: this kernel has none.");
    assert_string_equal(check(j, "observed")->why, "Every fault that this machine can do was seen in effect.");
    assert_non_null(strstr(j->why, "4 checks passed, 1 skipped: "));
    assert_string_equal(j->acts[1].unable, "netem: this kernel has none");
    assert_string_equal(j->acts[1].kind, "net-delay");
    tells(j, &report_text, "slow #1 was skipped: netem: this kernel has none");
    tells(j, &report_junit, "name=\"possible(slow)\" time=\"0.000\">\n    <skipped message=\"slow was skipped: netem: this kernel has none.\"");
    tells(j, &report_markdown, "| skipped | <code>possible(slow)</code>");
    tells(j, &report_markdown, "cannot be done here: netem");
    tells(j, &report_html, "\"unable\":true");
    tells(j, &report_json, "\"unable\": \"netem: this kernel has none\"");
    done(&f, j);
}

static void test_none_is_possible(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD(SLOW));
    skipped(&f, 1);
    struct judgement *j = end(&f);
    assert_int_equal(j->verdict, VERDICT_SKIPPED);
    assert_string_equal(j->why, "Skipped: netem: this kernel has none.");
    assert_string_equal(check(j, "observed")->why, "No fault could be done here.");
    assert_int_equal(verdict_exit_code(j->verdict), 3);
    done(&f, j);
}

/* What could be done, and was not seen, is no less inconclusive for it. */
static void test_not_possible_excuses_nothing_else(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEAD(CUT "," SLOW));
    cut(&f, "{\"id\":1,\"by\":\"drop\"}", NULL, "{\"id\":1,\"packets\":0,\"bytes\":0}");
    skipped(&f, 2);
    struct judgement *j = end(&f);
    assert_int_equal(j->verdict, VERDICT_INCONCLUSIVE);
    assert_string_equal(j->why, "cut #1 on web-0 was never seen in effect: no packet matched.");
    done(&f, j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_hit),         cmocka_unit_test(test_interval), cmocka_unit_test(test_hostile_figures),
        cmocka_unit_test(test_never_in_effect),     cmocka_unit_test(test_trouble),  cmocka_unit_test(test_one_is_not_possible),
        cmocka_unit_test(test_none_is_possible),    cmocka_unit_test(test_not_possible_excuses_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
