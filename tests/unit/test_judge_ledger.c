/* SPDX-License-Identifier: Apache-2.0 */
#include "history_fixture.h"

#include "base/cleanup.h"
#include "check/judge.h"
#include "report/ledger.h"
#include "report/report.h"

#include <math.h>

/* Two loads with a ledger, one without. */
#define HEADER(expect)                                                                                                            \
    "{\"schema\":1,\"scenario\":\"t\",\"seed\":7,\"loads\":[{\"name\":\"writes\",\"lanes\":[\"exec\"],\"ledger\":true},"           \
    "{\"name\":\"reads\",\"lanes\":[\"exec\"]}],\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false}],"           \
    "\"workloads\":[],\"expect\":[" expect "]}"

static void act(struct fixture *f, double t, int id) {
    char data[200];
    snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"kill\",\"occurrence\":%d}", id, id);
    fixture_event(f, t - 1, "fault/act", "invoke", "pod-kill", "redis-0", data);
    fixture_event(f, t, "fault/act", "ok", "pod-kill", "redis-0", data);
    fixture_event(f, t + 1, "fault/observed", "info", "", "redis-0", data);
}

/* Entry n is planned at (n - 1) * 100 ms and acknowledged 1 ms later: entry 49 at 4801, 50 at 4901. Bad ones take 50 ms. */
static void writes(struct fixture *f, int from, int to, int outcome) {
    for (int n = from; n <= to; n++)
        fixture_sample(f, 0, LANE_EXEC, SAMPLE_NO_TARGET, (n - 1) * 100.0, outcome == OUTCOME_GOOD ? 1 : 50, outcome)->entry = (uint32_t)n;
}

static void missing(struct fixture *f, const char *kind, const char *when, int act_id, const char *entries) {
    char data[300], id[20] = "null";
    if (act_id)
        snprintf(id, sizeof id, "%d", act_id);
    snprintf(data, sizeof data, "{\"when\":\"%s\",\"act\":%s,\"entries\":%s}", when, id, entries);
    fixture_event(f, 11000, "ledger/missing", "info", kind, "writes", data);
}

static void read_back(struct fixture *f, const char *when, int act_id, const char *more) {
    char data[400], id[20] = "null";
    if (act_id)
        snprintf(id, sizeof id, "%d", act_id);
    snprintf(data, sizeof data, "{\"when\":\"%s\",\"act\":%s%s}", when, id, more);
    fixture_event(f, 11000, "ledger/read", "ok", "", "writes", data);
}

static void is(const struct judgement *j, const char *name, enum verdict v, double value) {
    const struct check_result *c = check(j, name);
    if (c->verdict != v || (isnan(value) ? !isnan(c->value) : c->value != value))
        fail_msg("%s: %s, %f: %s", name, verdict_names[c->verdict], c->value, c->why);
}

static void ended(struct fixture *f) {
    char data[60];
    snprintf(data, sizeof data, "{\"samples\":%zu}", f->h.sample_count);
    fixture_event(f, 12000, "run/end", "info", "", "", data);
}

/* 100 entries, all acknowledged but 60 to 62; act at 5000. All there: 97 present. */
static void nothing_lost(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER("\"ledger.lost == 0\",\"rpo.max < 1s\",\"ledger.stale(writes) == 0\",\"ledger.unknown == 0\""));
    act(&f, 5000, 1);
    writes(&f, 1, 59, OUTCOME_GOOD);
    writes(&f, 60, 62, OUTCOME_BAD);
    writes(&f, 63, 100, OUTCOME_GOOD);
    read_back(&f, "recovery", 1, ",\"asked\":60,\"present\":60,\"lost\":0");
    read_back(&f, "end", 0, ",\"asked\":97,\"present\":97,\"lost\":0,\"stale\":0,\"recovered\":2,\"keys\":[]");
    ended(&f);
    struct judgement *j = judged(&f);
    assert_int_equal(j->ledger_count, 1);
    const struct ledger_figures *g = &j->ledgers[0];
    assert_string_equal(g->load, "writes");
    assert_true(g->read);
    assert_int_equal(g->written, 100);
    assert_int_equal(g->acknowledged, 97);
    assert_int_equal(g->lost, 0);
    assert_int_equal(g->unknown, 0);
    assert_int_equal(g->recovered, 2);
    assert_int_equal(g->loss_count, 0);
    is(j, "ledger", VERDICT_PASS, NAN);
    is(j, "ledger.lost == 0", VERDICT_PASS, 0);
    is(j, "rpo.max < 1s", VERDICT_PASS, 0);
    is(j, "ledger.stale(writes) == 0", VERDICT_PASS, 0);
    is(j, "ledger.unknown == 0", VERDICT_PASS, 0);
    judgement_free(j);
    fixture_free(&f);
}

/* Lost: 49 and 50 (acknowledged at 4801 and 4901, the act at 5000), and 71 to 74 (7001 to 7301, the act at 8000 only 0.7 s later).
 * Kept around the first: 48 at 4701, 51 at 5001: least 4901 - 4801 = 100, most 5001 - 4701 = 300.
 * Around the second: 70 at 6901; 75 and 76 are bad, so 77 at 7601: least 300, most 700.
 * 74 lies within a second of the act at 8000, 71 (7001) does too: both to act 2. */
static void losses_have_acts_and_brackets(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER("\"ledger.lost <= 5\",\"ledger.lost(writes) <= 6\",\"rpo.max < 700ms\",\"rpo.max <= 700ms\",\"rpo.max >= 300ms\","
                            "\"rpo.max > 300ms\""));
    act(&f, 5000, 1);
    act(&f, 8000, 2);
    writes(&f, 1, 74, OUTCOME_GOOD);
    writes(&f, 75, 76, OUTCOME_BAD);
    writes(&f, 77, 100, OUTCOME_GOOD);
    missing(&f, "lost", "end", 0, "[[71,76]]"); /* of a range only what was acknowledged */
    missing(&f, "lost", "end", 0, "[[50,50],[49,49]]");
    read_back(&f, "end", 0, ",\"asked\":98,\"present\":92,\"lost\":6,\"keys\":[\"chaosd-1\"]");
    ended(&f);
    struct judgement *j = judged(&f);
    const struct ledger_figures *g = &j->ledgers[0];
    assert_int_equal(g->acknowledged, 98);
    assert_int_equal(g->lost, 6);
    assert_int_equal(g->unknown, 0);
    assert_int_equal(g->loss_count, 2);
    assert_false(g->truncated);
    static const struct { int act, lost; int64_t first, last, least, most; } rows[] = {
        {0, 2, 4801, 4901, 100, 300}, {1, 4, 7001, 7301, 300, 700},
    };
    for (size_t i = 0; i < 2; i++) {
        const struct ledger_loss *l = &g->losses[i];
        assert_int_equal(l->act, rows[i].act);
        assert_int_equal(l->lost, rows[i].lost);
        assert_int_equal(l->first, rows[i].first * MS);
        assert_int_equal(l->last, rows[i].last * MS);
        assert_int_equal(l->rpo_min, rows[i].least * MS);
        assert_int_equal(l->rpo_max, rows[i].most * MS);
    }
    is(j, "ledger", VERDICT_PASS, NAN); /* limits speak of it */
    is(j, "ledger.lost <= 5", VERDICT_FAIL, 6);
    is(j, "ledger.lost(writes) <= 6", VERDICT_PASS, 6);
    is(j, "rpo.max < 700ms", VERDICT_FAIL, 700); /* "at most" on the upper end */
    is(j, "rpo.max <= 700ms", VERDICT_PASS, 700);
    is(j, "rpo.max >= 300ms", VERDICT_PASS, 300);
    is(j, "rpo.max > 300ms", VERDICT_FAIL, 300);
    cleanup_json json_t *s = ledger_json(j);
    assert_int_equal(json_integer_value(json_object_get(s, "lost")), 6);
    assert_int_equal(json_integer_value(json_object_get(s, "acknowledged")), 98);
    assert_int_equal(json_integer_value(json_object_get(s, "stale")), 0);
    assert_true(json_real_value(json_object_get(json_object_get(s, "rpo_ms"), "max")) == 700);
    judgement_free(j);
    fixture_free(&f);
}

/* Every report says it: two lost, one of an act, three unknown. */
static void reports_say_it(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER("\"availability >= 50%\""));
    act(&f, 5000, 1);
    writes(&f, 1, 100, OUTCOME_GOOD);
    missing(&f, "lost", "end", 0, "[[49,50]]");
    read_back(&f, "end", 0, ",\"asked\":100,\"present\":95,\"lost\":2,\"keys\":[\"chaosd-1\"]");
    ended(&f);
    struct judgement *j = judged(&f);
    static const struct { const char *kind, *says; } rows[] = {
        {"text", "writes      100           100     2      0        3          0  100..?"},
        {"text", "kill #1: 2 lost: acknowledged between 4.80 s and 4.90 s, 100..300 ms"},
        {"json", "\"lost_keys\": [\n          \"chaosd-1\""},
        {"markdown", "| <code>writes</code> | 100 | **2** | 0 | 3 | 0 | 100 .. ? |"},
        {"junit", "writes: 2 of 100 acknowledged writes are lost, and no limit allows that (ledger.lost or rpo.max)."},
        {"html", "<div class=\"tile alarm\" id=\"tile-data\"><dt>Writes lost</dt><dd class=\"figure\">2</dd><dd class=\"more\">of 100 acknowledged "
                 "writes; RPO 100 ms to unknown; 3 could not be read back"},
        {"html", "\"losses\":[[\"writes\",2,4801,4901,100,300]]"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_buf struct buf out = {0};
        struct error err;
        for (size_t k = 0; report_kinds[k]; k++)
            if (strcmp(report_kinds[k]->name, rows[i].kind) == 0)
                assert_return_code(report_kinds[k]->render(j, &out, &err), 0);
        if (!out.data || !strstr(out.data, rows[i].says))
            fail_msg("%s does not say %s%s", rows[i].kind, rows[i].says, strcmp(rows[i].kind, "html") ? out.data : "");
    }
    judgement_free(j);
    fixture_free(&f);
}

/* What was seen to be missing after act 1 is act 1's, although it was acknowledged just before act 2; and the first time counts. */
static void what_was_seen_goes_before_the_times(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER("\"ledger.lost <= 9\""));
    act(&f, 5000, 1);
    act(&f, 8000, 2);
    writes(&f, 1, 100, OUTCOME_GOOD);
    missing(&f, "missing", "recovery", 2, "[[75,76]]");
    missing(&f, "missing", "recovery", 1, "[[75,75]]");
    missing(&f, "lost", "end", 0, "[[75,77]]");
    read_back(&f, "end", 0, ",\"asked\":100,\"present\":97,\"lost\":3");
    ended(&f);
    struct judgement *j = judged(&f);
    const struct ledger_figures *g = &j->ledgers[0];
    assert_int_equal(g->loss_count, 2);
    assert_int_equal(g->losses[0].act, 0);
    assert_int_equal(g->losses[0].lost, 1);
    assert_int_equal(g->losses[1].act, 1);
    assert_int_equal(g->losses[1].lost, 2);
    judgement_free(j);
    fixture_free(&f);
}

static void losses_without_a_limit_fail(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER("\"availability >= 50%\",\"ledger.stale <= 10\""));
    act(&f, 5000, 1);
    writes(&f, 1, 100, OUTCOME_GOOD);
    missing(&f, "lost", "end", 0, "[[100,100]]");
    read_back(&f, "recovery", 1, ",\"asked\":50,\"present\":50,\"lost\":0");
    read_back(&f, "end", 0, ",\"asked\":100,\"present\":99,\"lost\":1,\"stale\":3");
    ended(&f);
    struct judgement *j = judged(&f);
    is(j, "ledger", VERDICT_FAIL, NAN);
    is(j, "ledger.stale <= 10", VERDICT_PASS, 3);
    assert_int_equal(j->verdict, VERDICT_FAIL);
    assert_non_null(strstr(j->why, "1 of 100 acknowledged writes"));
    /* The last one: nothing was acknowledged after it, so no more can be gone. 9901 - 9801. */
    assert_int_equal(j->ledgers[0].losses[0].rpo_min, 0);
    assert_int_equal(j->ledgers[0].losses[0].rpo_max, 100 * MS);
    judgement_free(j);
    fixture_free(&f);
}

/* 100 acknowledged, 95 present, 2 lost: 3 are unknown, and may be lost. */
static void unknown_is_never_a_pass(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER("\"ledger.lost <= 1\",\"ledger.lost <= 4\",\"ledger.lost <= 5\",\"rpo.max < 1s\",\"ledger.unknown == 0\",\"ledger.unknown <= 3\""));
    act(&f, 5000, 1);
    writes(&f, 1, 100, OUTCOME_GOOD);
    missing(&f, "lost", "end", 0, "[[10,11]]");
    missing(&f, "unknown", "end", 0, "[[12,14]]");
    read_back(&f, "end", 0, ",\"asked\":100,\"present\":95,\"lost\":2,\"why\":\"refused\"");
    ended(&f);
    struct judgement *j = judged(&f);
    assert_int_equal(j->ledgers[0].unknown, 3);
    assert_int_equal(j->ledgers[0].losses[0].rpo_max, (1401 - 801) * MS); /* 9 and 15 are the nearest known to be kept */
    is(j, "ledger", VERDICT_INCONCLUSIVE, NAN);
    is(j, "ledger.lost <= 1", VERDICT_FAIL, 2);
    is(j, "ledger.lost <= 4", VERDICT_INCONCLUSIVE, 2);
    is(j, "ledger.lost <= 5", VERDICT_PASS, 2); /* even if all three are */
    is(j, "rpo.max < 1s", VERDICT_INCONCLUSIVE, NAN);
    is(j, "ledger.unknown == 0", VERDICT_FAIL, 3);
    is(j, "ledger.unknown <= 3", VERDICT_PASS, 3);
    assert_non_null(strstr(check(j, "ledger")->why, "3 of 100 acknowledged writes could not be read back: refused"));
    judgement_free(j);
    fixture_free(&f);
}

/* A run that was killed, or interrupted, before it read anything back. */
static void not_read_is_unknown(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, HEADER("\"ledger.lost == 0\",\"ledger.stale == 0\",\"rpo.max < 1s\",\"ledger.lost(reads) == 0\""));
    act(&f, 5000, 1);
    writes(&f, 1, 100, OUTCOME_GOOD);
    fixture_sample(&f, 1, LANE_EXEC, SAMPLE_NO_TARGET, 100, 1, OUTCOME_GOOD);
    fixture_event(&f, 11000, "ledger/read", "invoke", "", "writes", "{\"when\":\"end\",\"act\":null}");
    ended(&f);
    struct judgement *j = judged(&f);
    static const char *const open[] = {"ledger", "ledger.lost == 0", "ledger.stale == 0", "rpo.max < 1s", "ledger.lost(reads) == 0"};
    for (size_t i = 0; i < ARRAY_SIZE(open); i++)
        is(j, open[i], VERDICT_INCONCLUSIVE, NAN);
    assert_non_null(strstr(check(j, "ledger.lost(reads) == 0")->why, "the load keeps no ledger"));
    assert_int_equal(j->ledgers[0].unknown, 100);
    cleanup_json json_t *s = ledger_json(j);
    assert_true(json_is_null(json_object_get(s, "lost")));
    assert_int_equal(json_integer_value(json_object_get(s, "acknowledged")), 100);
    judgement_free(j);
    fixture_free(&f);
}

/* Nobody looked after the second act, or the look was cut off: something may have been missing for a while. */
static void stale_needs_a_look_after_each_act(void **state) {
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        struct fixture f;
        fixture_init(&f, HEADER("\"ledger.stale <= 5\",\"ledger.stale <= 1\""));
        act(&f, 5000, 1);
        act(&f, 8000, 2);
        writes(&f, 1, 100, OUTCOME_GOOD);
        read_back(&f, "recovery", 1, ",\"asked\":60,\"present\":58,\"lost\":2");
        if (cut)
            read_back(&f, "recovery", 2, ",\"asked\":3,\"present\":3,\"lost\":0,\"stopped\":true");
        read_back(&f, "end", 0, ",\"asked\":100,\"present\":100,\"lost\":0,\"stale\":2");
        ended(&f);
        struct judgement *j = judged(&f);
        is(j, "ledger", VERDICT_PASS, NAN);
        is(j, "ledger.stale <= 5", VERDICT_INCONCLUSIVE, 2);
        is(j, "ledger.stale <= 1", VERDICT_FAIL, 2);
        assert_non_null(strstr(check(j, "ledger.stale <= 5")->why, "not read after the recovery from kill #2"));
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Whatever stands in a history: it is judged, and nothing is made of nonsense. */
static void nonsense(void **state) {
    (void)state;
    static const char *const entries[] = {"[[5]]", "[[5,4]]", "[[0,5]]", "[[-1,5]]", "[[1,99999999999]]", "[[\"a\",7]]", "7", "{\"a\":1}", "[7]"};
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
        struct fixture f;
        fixture_init(&f, HEADER("\"ledger.lost == 0\",\"rpo.max < 1s\""));
        writes(&f, 1, 20, OUTCOME_GOOD);
        missing(&f, "lost", "end", 0, entries[i]);
        missing(&f, "missing", "recovery", 99, "[[1,5]]"); /* of an act that is not there */
        read_back(&f, "end", 0, ",\"present\":18,\"lost\":2,\"stale\":-4,\"recovered\":1e9");
        ended(&f);
        struct judgement *j = judged(&f);
        assert_int_equal(j->ledgers[0].loss_count, 0);
        assert_true(j->ledgers[0].truncated); /* two are said to be lost, none is named */
        is(j, "ledger.lost == 0", VERDICT_FAIL, 2);
        is(j, "rpo.max < 1s", VERDICT_INCONCLUSIVE, NAN);
        judgement_free(j);
        fixture_free(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_lost), cmocka_unit_test(losses_have_acts_and_brackets), cmocka_unit_test(what_was_seen_goes_before_the_times),
        cmocka_unit_test(losses_without_a_limit_fail), cmocka_unit_test(reports_say_it), cmocka_unit_test(unknown_is_never_a_pass), cmocka_unit_test(not_read_is_unknown),
        cmocka_unit_test(stale_needs_a_look_after_each_act), cmocka_unit_test(nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
