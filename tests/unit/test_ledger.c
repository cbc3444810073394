/* SPDX-License-Identifier: Apache-2.0 */
#include "http_server.h"
#include "load_fixture.h"

static struct test_server server;

/* --- entries --- */

static struct ledger *ledger_of_seed(uint64_t seed, uint16_t load, struct recorder *rec) {
    const struct load_context ctx = {.seed = seed, .index = load, .recorder = rec};
    const struct ledger_spec spec = {.recent = 10};
    struct ledger *g = NULL;
    assert_return_code(ledger_new(&spec, &ctx, &g, NULL), 0);
    return g;
}

static void keys_are_a_function_of_the_number(void **state) {
    (void)state;
    struct rig r;
    rig_start(&r, "http", "{rate: 1/s, targets: {url: \"http://127.0.0.1:1\"}, steps: [{get: /}]}");
    struct ledger *a = ledger_of_seed(7, 0, r.ctx.recorder), *again = ledger_of_seed(7, 0, r.ctx.recorder);
    struct ledger *other_load = ledger_of_seed(7, 1, r.ctx.recorder), *other_seed = ledger_of_seed(8, 0, r.ctx.recorder);
    char k[6][LEDGER_TEXT], v[LEDGER_TEXT];
    ledger_key(a, 17, k[0]);
    ledger_key(again, 17, k[1]);
    assert_string_equal(k[0], k[1]);
    ledger_key(a, 18, k[2]);
    ledger_key(other_load, 17, k[3]);
    ledger_key(other_seed, 17, k[4]);
    ledger_value(a, 17, k[5]);
    for (int i = 2; i < 6; i++)
        for (int n = 1; n < i; n++)
            assert_string_not_equal(k[i], k[n]);
    assert_int_equal(strlen(k[0]), strspn(k[0], "abcdefghijklmnopqrstuvwxyz0123456789-")); /* as URLs take it */
    ledger_value(a, UINT32_MAX, v);
    assert_int_equal(strncmp(v, "4294967295-", 11), 0);
    assert_int_equal(ledger_entry(a, 0), 1);
    assert_int_equal(ledger_entry(a, UINT32_MAX - 1), UINT32_MAX);
    assert_int_equal(ledger_entry(a, UINT32_MAX), 0); /* no number is left: not in the ledger */
    assert_int_equal(ledger_entry(NULL, 5), 0);
    struct ledger *const all[] = {a, again, other_load, other_seed, NULL};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        ledger_free(all[i]);
    rig_close(&r);
    rig_free(&r);
}

static void note(struct ledger *g, uint32_t entry, enum outcome outcome, int64_t start_ms, int64_t end_ms) {
    ledger_note(g, &(struct sample){.entry = entry, .outcome = (uint8_t)outcome, .start_ns = start_ms * NS_PER_MS, .end_ns = end_ms * NS_PER_MS});
}

static void states_keep_apart(void **state) {
    (void)state;
    struct rig r;
    rig_start(&r, "http", "{rate: 1/s, targets: {url: \"http://127.0.0.1:1\"}, steps: [{get: /}]}");
    struct ledger *g = ledger_of_seed(7, 0, r.ctx.recorder);
    assert_int_equal(ledger_get(g, 1), LEDGER_NONE);
    for (uint32_t e = 1; e <= 50000; e++) /* in any order: a request may end after a later one */
        note(g, e % 2 ? e : 50002 - e, e % 3 ? OUTCOME_GOOD : OUTCOME_BAD, e, e);
    note(g, 60000, OUTCOME_UNSENT_CAP, 0, 0); /* nobody saw it */
    note(g, 0, OUTCOME_GOOD, 0, 0);           /* not of the ledger */
    ledger_note(NULL, &(struct sample){.entry = 1});
    assert_int_equal(ledger_top(g), 50000);
    for (uint32_t e = 1; e <= 50000; e++) {
        uint32_t noted = e % 2 ? e : 50002 - e;
        assert_int_equal(ledger_get(g, noted), e % 3 ? LEDGER_KEPT : LEDGER_OPEN);
    }
    for (uint32_t e = 1; e <= 50000; e++)
        ledger_set(g, e, (enum ledger_state)(e % 4));
    for (uint32_t e = 1; e <= 50000; e++)
        assert_int_equal(ledger_get(g, e), e % 4);
    ledger_set(g, 50001, LEDGER_KEPT); /* beyond the top: nothing */
    assert_int_equal(ledger_get(g, 50001), LEDGER_NONE);
    assert_false(ledger_broken(g));
    ledger_free(g);
    rig_close(&r);
    rig_free(&r);
}

static void goods_in_a_row(void **state) {
    (void)state;
    struct rig r;
    rig_start(&r, "http", "{rate: 1/s, targets: {url: \"http://127.0.0.1:1\"}, steps: [{get: /}]}");
    struct ledger *g = ledger_of_seed(7, 0, r.ctx.recorder);
    static const struct { enum outcome outcome; int64_t start, end; bool served; } rows[] = {
        {OUTCOME_GOOD, 100, 110, false}, {OUTCOME_BAD, 200, 210, false},  {OUTCOME_GOOD, 300, 320, false},
        {OUTCOME_UNSENT_STALL, 350, 350, false}, /* chaosd's own: says nothing */
        {OUTCOME_GOOD, 400, 419, false}, /* two, over 99 ms */
        {OUTCOME_GOOD, 401, 420, true},  /* three, over 100 ms */
        {OUTCOME_BAD, 500, 510, true},   /* it was so once */
    };
    for (int since = 0; since <= 300; since += 300) {
        note(g, 1, OUTCOME_GOOD, 0, 1000); /* before anybody asked */
        ledger_watch(g, since * NS_PER_MS, 3, 100 * NS_PER_MS);
        assert_false(ledger_served(g));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            note(g, (uint32_t)i + 1, rows[i].outcome, rows[i].start, rows[i].end);
            assert_int_equal(ledger_served(g), rows[i].served);
        }
    }
    /* Goods that go on across the act count from the act on: one that nobody notices is read after all the same. */
    ledger_watch(g, 1050 * NS_PER_MS, 3, 100 * NS_PER_MS);
    for (int t = 1000; t <= 1150; t += 50) {
        note(g, 1, OUTCOME_GOOD, t, t + 10);
        assert_int_equal(ledger_served(g), t == 1150);
    }
    ledger_free(g);
    rig_close(&r);
    rig_free(&r);
}

/* --- over HTTP --- */

#define WRITE "{put: \"/echo/${ledger.key}\", body: \"${ledger.value}\", expect: {contains: \"${ledger.value}\"}}"

static void http_start_with(struct rig *r, const char *read, const char *more) {
    char text[2000];
    snprintf(text, sizeof text, "{rate: 100/s, deadline: 500ms, targets: {url: \"http://127.0.0.1:%d\"}, steps: [" WRITE "], "
             "ledger: {timeout: 100ms, read: [%s]%s}}", server.port, read, more);
    rig_start(r, "http", text);
}

static void what_answers_say(void **state) {
    (void)state;
    static const struct { const char *read, *more; enum ledger_answer wanted; const char *why; } rows[] = {
        {"{get: \"/mirror/${ledger.value}\", headers: {K: \"${ledger.key}\"}, expect: {json: {x: \"${ledger.value}\"}}}", "", LEDGER_PRESENT, ""},
        {"{post: \"/echo\", body: \"${ledger.key}=${ledger.value}\", expect: {contains: \"=${ledger.value}\"}}", "", LEDGER_PRESENT, ""},
        {"{get: \"/json\", capture: {t: n.term}}, {get: \"/mirror/${capture.t}/${ledger.key}/${ledger.value}\", expect: {contains: \"${ledger.value}\"}}", "",
         LEDGER_PRESENT, ""},
        {"{get: \"/status/404?${ledger.key}\", expect: {contains: \"${ledger.value}\"}}", "", LEDGER_ABSENT, "status 404"},
        {"{get: \"/status/410?${ledger.key}\", expect: {contains: \"${ledger.value}\"}}", ", absent: {status: 410}", LEDGER_ABSENT, ""},
        {"{get: \"/status/404?${ledger.key}\", expect: {contains: \"${ledger.value}\"}}", ", absent: {status: 410}", LEDGER_UNKNOWN, "status 404"},
        {"{get: \"/mirror/a?${ledger.key}\", expect: {json: {y.0.v: \"${ledger.value}\"}}}", ", absent: {missing: y}", LEDGER_ABSENT, ""},
        {"{get: \"/mirror/a?${ledger.key}\", expect: {json: {y.0.v: \"${ledger.value}\"}}}", ", absent: {missing: [y, x]}", LEDGER_UNKNOWN, "y.0.v is absent"},
        {"{get: \"/mirror/a?${ledger.key}\", expect: {json: {x: \"${ledger.value}\"}}}", "", LEDGER_OTHER, "x is \"a?"},
        {"{get: \"/ok?${ledger.key}\", expect: {contains: \"${ledger.value}\"}}", "", LEDGER_OTHER, "body without"},
        {"{get: \"/ok?${ledger.key}\", expect: {json: {x: \"${ledger.value}\"}}}", "", LEDGER_UNKNOWN, "body is no JSON"},
        {"{get: \"/status/503?${ledger.key}\", expect: {contains: \"${ledger.value}\"}}", "", LEDGER_UNKNOWN, "status 503"},
        {"{get: \"/status/404\"}, {get: \"/ok?${ledger.key}\", expect: {contains: \"${ledger.value}\"}}", "", LEDGER_UNKNOWN, "status 404"}, /* the first step's */
        {"{get: \"/hang?${ledger.key}\", expect: {contains: \"${ledger.value}\"}}", ", limit: 1s", LEDGER_OTHER, "body without"},
        {"{get: \"/hang\", headers: {K: \"${ledger.key}\"}, expect: {contains: \"${ledger.value}\"}}", "", LEDGER_UNKNOWN, "timeout"},
        {"{get: \"/reset\", headers: {K: \"${ledger.key}\"}, expect: {contains: \"${ledger.value}\"}}", "", LEDGER_UNKNOWN, "reset"},
        {"{get: \"/half\", headers: {K: \"${ledger.key}\"}, expect: {contains: \"${ledger.value}\"}}", "", LEDGER_UNKNOWN, "reset"},
        {"{get: \"/garbage\", headers: {K: \"${ledger.key}\"}, expect: {contains: \"${ledger.value}\"}}", "", LEDGER_UNKNOWN, "protocol"},
        {"{get: \"/endless\", headers: {K: \"${ledger.key}\"}, expect: {contains: \"${ledger.value}\"}}", "", LEDGER_UNKNOWN, "protocol"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rig r;
        http_start_with(&r, rows[i].read, rows[i].more);
        rig_run(&r, 20 * NS_PER_MS);
        enum ledger_answer got = rig_read(&r, 2);
        if (got != rows[i].wanted || !strstr(r.why, rows[i].wanted == LEDGER_ABSENT ? "" : rows[i].why))
            fail_msg("%s%s: %d (%s), wanted %d (%s)", rows[i].read, rows[i].more, (int)got, r.why, (int)rows[i].wanted, rows[i].why);
        rig_close(&r);
        assert_int_equal(r.count, 2); /* the reads left none */
        assert_int_equal(rig_count(&r, OUTCOME_GOOD, REASON_NONE), 2);
        assert_int_equal(r.samples[0].entry, 1);
        assert_int_equal(r.samples[1].entry, 2);
        rig_free(&r);
    }
}

/* Freed with a read under way: nobody is told. */
static void freed_while_reading(void **state) {
    (void)state;
    struct rig r;
    http_start_with(&r, "{get: \"/hang\", headers: {K: \"${ledger.key}\"}, expect: {contains: \"${ledger.value}\"}}", "");
    rig_run(&r, 10 * NS_PER_MS);
    assert_int_equal(r.load->kind->read(r.load, 1, rig_told, &r), 0);
    rig_close(&r);
    rig_turn(&r, 200);
    assert_int_equal(r.answers, 0);
    rig_free(&r);
}

static void bad_ledgers(void **state) {
    (void)state;
    static const struct { const char *text, *why; } rows[] = {
        {"steps: [{put: \"/${ledger.key}\"}]", "${ledger.key}: this load keeps no ledger; ledger: {read: [...]} says how an entry is read back"},
        {"steps: [{put: \"/x\"}], ledger: {read: [{get: \"/${ledger.key}\"}]}", "no step writes ${ledger.key}: there is nothing to read back"},
        {"steps: [{put: \"/${ledger.key}\"}], ledger: {read: [{get: \"/${ledger.key}\"}]}", "no step writes ${ledger.value}"},
        {"steps: [" WRITE "], ledger: {read: [{get: \"/x\", expect: {contains: \"${ledger.value}\"}}]}", "read asks for no entry: ${ledger.key}"},
        {"steps: [" WRITE "], ledger: {read: [{get: \"/${ledger.key}\"}]}", "the last step of read must expect ${ledger.value}"},
        {"steps: [" WRITE "], ledger: {read: [{get: \"/${ledger.key}/${ledger.value}\"}]}", "the last step of read must expect ${ledger.value}"},
        {"steps: [" WRITE "], ledger: {read: [{get: \"/${ledger.key}\", expect: {contains: \"${ledger.value}\"}}, {get: /x}]}", "the last step of read must"},
        {"steps: [" WRITE "], ledger: {read: [{get: \"/${ledger.key}\", expect: {json: {x: \"${capture.y}\"}}}]}", "no earlier step captures \"y\""},
        {"steps: [" WRITE "], ledger: {read: []}", "read"},
        {"steps: [" WRITE "], ledger: {}", "\"read\""},
        {"steps: [" WRITE "], ledger: {reads: []}", "did you mean \"read\""},
        {"steps: [" WRITE "], ledger: {concurrency: 0, read: [{get: \"/${ledger.key}\", expect: {contains: \"${ledger.value}\"}}]}", "concurrency"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rig r = {0};
        struct error err = {{0}};
        char text[1000];
        snprintf(text, sizeof text, "{rate: 1/s, targets: {url: \"http://a\"}, %s}", rows[i].text);
        assert_true(rig_decode(&r, "http", text, &err) < 0);
        if (!strstr(err.text, rows[i].why))
            fail_msg("%s\nwanted: %s", err.text, rows[i].why);
        doc_free(r.doc);
        arena_free(r.arena);
    }
}

static int setup(void **state) {
    (void)state;
    server = server_start(0, false);
    return server.pid < 0 ? -1 : 0;
}

static int teardown(void **state) {
    (void)state;
    server_stop(&server);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_a_function_of_the_number), cmocka_unit_test(states_keep_apart), cmocka_unit_test(goods_in_a_row),
        cmocka_unit_test(what_answers_say), cmocka_unit_test(freed_while_reading), cmocka_unit_test(bad_ledgers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
