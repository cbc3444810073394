/* SPDX-License-Identifier: Apache-2.0 */
/* Is the record whole, and does it say what became of all that was planned? */
#include "history_fixture.h"

#include "base/cleanup.h"
#include "check/judge.h"
#include "report/report.h"

#define HEADER                                                                                                                             \
    "{\"schema\":1,\"loads\":[{\"name\":\"writes\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000}],"                                    \
    "\"faults\":[{\"name\":\"pause\",\"kind\":\"pod-pause\",\"holds\":true},{\"name\":\"kill-leader\",\"kind\":\"pod-kill\","              \
    "\"holds\":false}]}"

static void act(struct fixture *f, double t, int id, const char *fault, int occurrence, const char *phase) {
    char data[128];
    snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"%s\",\"occurrence\":%d,\"why\":\"no candidate\"}", id, fault, occurrence);
    bool skipped = strcmp(phase, "skip") == 0;
    fixture_event(f, t, "fault/act", skipped ? "info" : phase, skipped ? "skip" : "k", "etcd-0", data);
    if (!skipped)
        fixture_event(f, t, "fault/observed", "info", "", "etcd-0", data);
}

/* The pause's one act is there and reverted; of kill-leader's three planned ones those of the row are. */
static void test_plan(void **state) {
    (void)state;
    static const struct row {
        const char *kills; /* a digit each occurrence; after it s: skipped */
        const char *more;  /* an op */
        bool ends;
        enum verdict verdict;
        const char *why; /* NULL: passes */
    } rows[] = {
        {"123", NULL, true, VERDICT_PASS, NULL},
        {"12s3s", NULL, true, VERDICT_PASS, NULL}, /* skipped is a trace */
        {"1", NULL, true, VERDICT_INCONCLUSIVE, "2 of 3 planned acts of kill-leader left no trace."},
        {"13", NULL, true, VERDICT_INCONCLUSIVE, "1 of 3 planned acts of kill-leader left no trace."},
        {"1112", NULL, true, VERDICT_INCONCLUSIVE, "1 of 3 planned acts of kill-leader left no trace."}, /* three victims are one act */
        {"", NULL, true, VERDICT_INCONCLUSIVE, "3 of 3 planned acts of kill-leader left no trace."},
        {"1", "run/abort", true, VERDICT_ABORTED, NULL},
        {"1", NULL, false, VERDICT_INCONCLUSIVE, NULL},
        {"1239", NULL, true, VERDICT_PASS, NULL}, /* more than planned */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, HEADER);
        json_t *plan = json_array();
        static const int planned[][2] = {{1, 1}, {0, 1}, {1, 2}, {1, 3}, {77, 1}}; /* fault 77: none of the header's */
        for (size_t k = 0; k < sizeof planned / sizeof *planned; k++)
            json_array_append_new(plan, json_pack("{s:i,s:i}", "fault", planned[k][0], "occurrence", planned[k][1]));
        json_object_set_new(f.h.header, "plan", plan);
        fixture_requests(&f, 0, 20000, 10, OUTCOME_GOOD);
        act(&f, 2000, 1, "pause", 1, "ok");
        fixture_event(&f, 3000, "fault/revert", "ok", "", "etcd-0", "{\"id\":1}");
        int id = 1;
        for (const char *p = rows[i].kills; *p; p++)
            if (*p != 's') {
                ++id;
                act(&f, 3000 + id * 2000, id, "kill-leader", *p - '0', p[1] == 's' ? "skip" : "ok");
            }
        if (rows[i].more)
            fixture_event(&f, 19000, rows[i].more, "info", "", "", "{}");
        if (rows[i].ends)
            fixture_event(&f, 20100, "run/end", "info", "", "", "{}");
        struct judgement *j = judged(&f);
        const struct check_result *c = check(j, "observed");
        if (j->verdict != rows[i].verdict || c->verdict != (rows[i].why ? VERDICT_INCONCLUSIVE : VERDICT_PASS) ||
            (rows[i].why && strcmp(c->why, rows[i].why)))
            fail_msg("row %zu: %s: %s", i, verdict_names[j->verdict], c->why);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Another act right behind it ends what is observed of it, not what was felt while it was held. */
static void test_held_beside_another(void **state) {
    (void)state;
    static const struct { double first, held_to; const char *why; } rows[] = {
        {5001, 7005, NULL}, /* requests at 5010, 5020, ... */
        {5001, 5005, "No request was sent after pause #1 on etcd-0: nobody could have noticed it."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, HEADER);
        fixture_requests(&f, 0, 20000, 10, OUTCOME_GOOD);
        act(&f, rows[i].first, 1, "pause", 1, "ok");
        act(&f, rows[i].first + 2, 2, "kill-leader", 1, "ok");
        fixture_event(&f, rows[i].held_to, "fault/revert", "ok", "", "etcd-0", "{\"id\":1}");
        fixture_event(&f, 20100, "run/end", "info", "", "", "{}");
        struct judgement *j = judged(&f);
        const struct check_result *c = check(j, "observed");
        if (c->verdict != (rows[i].why ? VERDICT_INCONCLUSIVE : VERDICT_PASS) || (rows[i].why && strcmp(c->why, rows[i].why)))
            fail_msg("row %zu: %s: %s", i, verdict_names[c->verdict], c->why);
        judgement_free(j);
        fixture_free(&f);
    }
}

static void test_whole(void **state) {
    (void)state;
    static const struct { const char *end; bool torn; const char *why; } rows[] = {
        {"{}", false, NULL},
        {"{\"samples\":50}", false, NULL},
        {"{\"samples\":\"49\"}", false, NULL}, /* no number says nothing */
        {"{\"samples\":1049}", false, "The run wrote 1,049 samples, the record has 50."},
        {"{\"samples\":49}", false, "The run wrote 49 samples, the record has 50."},
        {"{\"samples\":0}", false, "The run wrote 0 samples, the record has 50."},
        {"{\"samples\":50}", true, "The record is torn: its last piece is missing."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, "{\"schema\":1,\"loads\":[{\"name\":\"writes\"}]}");
        fixture_requests(&f, 0, 5000, 10, OUTCOME_GOOD);
        f.h.torn = rows[i].torn;
        fixture_event(&f, 5100, "run/end", "info", "", "", rows[i].end);
        struct judgement *j = judged(&f);
        if (j->verdict != (rows[i].why ? VERDICT_INCONCLUSIVE : VERDICT_PASS) || (rows[i].why && strcmp(j->why, rows[i].why)))
            fail_msg("row %zu: %s", i, j->why);
        assert_int_equal(check(j, "complete")->verdict, j->verdict);
        judgement_free(j);
        fixture_free(&f);
    }
}

static char *text_of(const struct judgement *j) {
    struct buf b = {0};
    assert_int_equal(report_kind("text")->render(j, &b, NULL), 0);
    return buf_take(&b);
}

/* What is left behind fails, however the run went; where the history just ends, nobody knows, and the report says no more. */
static void test_left(void **state) {
    (void)state;
    static const struct { bool held, aborted, ends; const char *left, *why, *note; enum verdict verdict; } rows[] = {
        {false, false, true, "{\"why\":\"etcd-0 is still frozen\"}", "etcd-0 is still frozen.", NULL, VERDICT_FAIL},
        {false, true, true, "{\"why\":\"the undo journal still has records.\"}", "the undo journal still has records.", NULL, VERDICT_FAIL},
        {false, false, false, "{}", "something could not be undone.", NULL, VERDICT_FAIL},
        {true, false, true, NULL, "pause #1 on etcd-0 was not reverted.", "was NOT REVERTED", VERDICT_FAIL},
        {true, false, false, NULL, "pause #1 on etcd-0: its end was not seen: the history stops before.",
         "its end was not seen: the history stops before", VERDICT_INCONCLUSIVE},
        {false, false, true, NULL, "Every fault was reverted.", NULL, VERDICT_PASS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_init(&f, HEADER);
        json_array_remove(json_object_get(f.h.header, "faults"), 1);
        fixture_requests(&f, 0, 5000, 10, OUTCOME_GOOD);
        act(&f, 2000, 1, "pause", 1, "ok");
        json_object_del(f.h.events[0].json, "why");
        if (!rows[i].held)
            fixture_event(&f, 3000, "fault/revert", "ok", "", "etcd-0", "{\"id\":1}");
        if (rows[i].aborted)
            fixture_event(&f, 4000, "run/abort", "info", "", "", "{}");
        if (rows[i].left)
            fixture_event(&f, 5000, "self/left", "info", "", "", rows[i].left);
        if (rows[i].ends)
            fixture_event(&f, 5100, "run/end", "info", "", "", "{}");
        struct judgement *j = judged(&f);
        const struct check_result *c = check(j, "reverted");
        if (j->verdict != rows[i].verdict || c->verdict != rows[i].verdict || strcmp(c->why, rows[i].why))
            fail_msg("row %zu: %s: %s", i, verdict_names[j->verdict], c->why);
        cleanup_free char *text = text_of(j);
        if (!!strstr(text, "was NOT REVERTED") != (rows[i].note && !strcmp(rows[i].note, "was NOT REVERTED")))
            fail_msg("row %zu: %s", i, text);
        const char *faults = strstr(text, "\nFaults"), *found = rows[i].note ? strstr(faults, rows[i].note) : faults;
        if (!found || found > strstr(text, "\nChecks"))
            fail_msg("row %zu: no \"%s\" in %s", i, rows[i].note, text);
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Times beyond all clocks are unknown: no figure comes of them. The sanitizers see to it that nothing overflows. */
static void test_times(void **state) {
    (void)state;
    static const char *const times[] = {"9223372036854775807", "-9223372036854775808", "1152921504606846976", "-1152921504606846976"};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct fixture f;
        char data[400];
        fixture_init(&f, HEADER);
        fixture_requests(&f, 0, 6000, 10, OUTCOME_GOOD);
        snprintf(data, sizeof data, "{\"id\":1,\"fault\":\"kill-leader\",\"occurrence\":%s,\"role\":\"leader\",\"role_seen\":%s}",
                 times[i], times[i]);
        fixture_event(&f, -1e9, "fault/act", "ok", "k", "etcd-0", data);
        fixture_event(&f, 2050, "fault/observed", "info", "", "", "{\"id\":1}");
        snprintf(data, sizeof data, "{\"asked\":%s,\"seen\":%s}", times[i], times[i]);
        fixture_event(&f, 2060, "role/now", "info", "leader", "etcd-1", data);
        snprintf(data, sizeof data, "{\"asked\":2100000000,\"seen\":%s}", times[i]);
        fixture_event(&f, 2070, "role/now", "info", "leader", "etcd-2", data);
        snprintf(data, sizeof data, "{\"at\":%s}", times[i]);
        fixture_event(&f, 2080, "note/mark", "info", "won", "etcd-2", data);
        snprintf(data, sizeof data, "{\"from\":%s,\"to\":%s}", times[i], times[i]);
        fixture_event(&f, 3000, "self/stall", "info", "", "", data);
        fixture_event(&f, 6100, "run/end", "info", "", "", "{\"samples\":-1}");
        struct judgement *j = judged(&f);
        const struct act_figures *a = &j->acts[0];
        assert_int_equal(a->occurrence, 0);
        assert_int_equal(a->role_seen_before, UNKNOWN_NS);
        assert_string_equal(a->role_after, "etcd-2"); /* not etcd-1: nobody knows when that was asked */
        assert_int_equal(a->role_after_at, UNKNOWN_NS);
        assert_int_equal(a->mark_count, 0);
        assert_int_equal(j->lanes[0].downtime_count, 0);
        free(text_of(j));
        judgement_free(j);
        fixture_free(&f);
    }
}

/* Many acts must not take for ever: two hundred thousand, each judged against the ones after it. */
static void test_many(void **state) {
    (void)state;
    enum { MANY = 200000 };
    struct history h = {.dir = "", .header = json_loads(HEADER, 0, NULL)};
    h.events = calloc(MANY, sizeof *h.events);
    assert_non_null(h.events);
    for (int i = 0; i < MANY; i++) {
        json_t *data = json_pack("{s:i,s:s,s:i}", "id", i + 1, "fault", i % 2 ? "kill-leader" : "pause", "occurrence", 1);
        h.events[h.event_count++] = (struct event){i, i * MS, "fault", "fault/act", "ok", "k", "etcd-0", data, data};
    }
    struct judgement *j = NULL;
    assert_int_equal(judge(&h, &j, NULL), 0);
    assert_int_equal(j->act_count, MANY);
    judgement_free(j);
    for (int i = 0; i < MANY; i++)
        json_decref(h.events[i].json);
    free(h.events);
    json_decref(h.header);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan), cmocka_unit_test(test_held_beside_another), cmocka_unit_test(test_whole), cmocka_unit_test(test_left), cmocka_unit_test(test_times),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
