/* SPDX-License-Identifier: Apache-2.0 */
/* Whose window it is, and who shares it: one act answers for it, others had a part. */
#include "history_fixture.h"

#include "check/judge.h"
#include "report/report.h"

#define HEADER                                                                                                                     \
    "{\"schema\":1,\"scenario\":\"t\",\"seed\":7,\"loads\":[{\"name\":\"writes\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000}]," \
    "\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false},{\"name\":\"pause\",\"kind\":\"pod-pause\",\"holds\":true}]}"

static void event(struct fixture *f, double t, const char *op, const char *phase, const char *data) {
    fixture_event(f, t, op, phase, "k", "etcd-0", data);
}

/* until 0: a kill; else a pause from at to until, negative: never ended. */
struct act { double at, until; };

static void add_act(struct fixture *f, int id, const struct act *a) {
    char data[128];
    snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"%s\",\"occurrence\":%d}", id, a->until != 0 ? "pause" : "kill", id);
    event(f, a->at, "fault/act", "invoke", data);
    event(f, a->at, "fault/act", "ok", data);
    event(f, a->at + 1, "fault/observed", "info", data);
    if (a->until > 0)
        event(f, a->until, "fault/revert", "ok", data);
}

/* Good, 10 ms each, but bad (50 ms) from 12100 to 12900: a window whose first bad one ends at 12150 and which closes at 13010. */
static void history(struct fixture *f, const struct act *acts, size_t n, bool closes) {
    fixture_init(f, HEADER);
    event(f, 0, "run/schedule", "info", "{}");
    fixture_requests(f, 0, 12100, 10, OUTCOME_GOOD);
    fixture_requests(f, 12100, 13000, 50, OUTCOME_BAD);
    fixture_requests(f, 13000, closes ? 20000 : 13300, 10, OUTCOME_GOOD);
    for (size_t i = 0; i < n; i++)
        add_act(f, (int)i + 1, &acts[i]);
    event(f, 60000, "run/end", "info", "{}");
}

/* K = 5 goods over H = 1 s: the load is seen to be well between two acts when they are 1.2 s apart or more. */
static const struct row {
    const char *name;
    struct act acts[4];
    int act;
    int shared[3]; /* -1 ends */
    bool open;
} rows[] = {
    {"alone", {{12050, 0}}, 0, {-1}, false},
    {"nobody", {{50000, 0}}, -1, {-1}, false},
    {"held all the while", {{5000, 15000}, {12050, 0}}, 1, {0, -1}, false},
    {"held, then the act is not", {{12050, 0}, {5000, 15000}}, 0, {1, -1}, false},
    {"held, ended in it", {{5000, 12500}, {12050, 0}}, 1, {0, -1}, false},
    {"ended long before, well since", {{5000, 8000}, {12050, 0}}, 1, {-1}, false},
    {"ended just before", {{5000, 11900}, {12050, 0}}, 1, {0, -1}, false},
    {"never ended", {{5000, -1}, {12050, 0}}, 1, {0, -1}, false},
    {"two kills, one just before the other", {{11600, 0}, {12050, 0}}, 1, {0, -1}, false},
    {"two kills, well in between", {{9000, 0}, {12050, 0}}, 1, {-1}, false},
    {"at the same time", {{12050, 0}, {12050, 0}}, 1, {0, -1}, false},
    {"pause and kill at the same time", {{12050, 14000}, {12050, 0}}, 1, {0, -1}, false},
    {"one comes into it", {{12050, 0}, {12400, 0}}, 0, {1, -1}, false},
    {"one comes as it ends", {{12050, 0}, {13009, 0}}, 0, {1, -1}, false},
    {"one comes when it has ended", {{12050, 0}, {13010, 0}}, 0, {-1}, false},
    {"none before, one comes into it", {{12400, 0}}, -1, {0, -1}, false},
    {"one comes long after, but it is still open", {{12050, 0}, {40000, 0}}, 0, {1, -1}, true},
    {"three", {{5000, 20000}, {11900, 0}, {12050, 0}}, 2, {0, 1, -1}, false},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        size_t n = 0, shared = 0;
        while (n < 4 && rows[i].acts[n].at > 0)
            n++;
        while (rows[i].shared[shared] >= 0)
            shared++;
        history(&f, rows[i].acts, n, !rows[i].open);
        struct judgement *j = judged(&f);
        const struct lane_figures *l = j->lanes;
        assert_int_equal(l->downtime_count, 1);
        const struct downtime *d = l->downtime;
        if (d->act != rows[i].act || d->shared_count != shared || memcmp(d->shared, rows[i].shared, shared * sizeof *d->shared) != 0)
            fail_msg("%s: act %d, shared with %zu: %d %d", rows[i].name, d->act, d->shared_count, d->shared[0], d->shared[1]);
        assert_false(d->shared_more);
        for (size_t k = 0; k < n; k++) {
            bool in = (int)k == rows[i].act;
            for (size_t s = 0; s < shared; s++)
                in |= rows[i].shared[s] == (int)k;
            assert_int_equal(downtime_of(d, (int)k), in);
        }
        judgement_free(j);
        fixture_free(&f);
    }
}

static void test_bounded(void **state) {
    (void)state;
    struct act acts[30];
    struct fixture f;
    for (int i = 0; i < 30; i++)
        acts[i] = (struct act){12000 + i, 0};
    history(&f, acts, 30, true);
    struct judgement *j = judged(&f);
    assert_int_equal(j->lanes[0].downtime->act, 29);
    assert_int_equal(j->lanes[0].downtime->shared_count, SHARED_MOST);
    assert_true(j->lanes[0].downtime->shared_more);
    judgement_free(j);
    fixture_free(&f);
}

/* "fault" names the one, "faults" all of them; the text says who shares. */
static void test_said(void **state) {
    (void)state;
    static const struct act acts[] = {{5000, 15000}, {12050, 0}};
    struct fixture f;
    history(&f, acts, 2, true);
    struct judgement *j = judged(&f);
    json_t *s = report_summary(j), *load = json_array_get(json_object_get(s, "loads"), 0);
    json_t *window = json_array_get(json_object_get(load, "downtime"), 0), *list = json_object_get(window, "faults");
    assert_string_equal(json_string_value(json_object_get(window, "fault")), "kill");
    assert_int_equal(json_integer_value(json_object_get(window, "act")), 1);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "name")), "kill");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "name")), "pause");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "occurrence")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "act")), 0);
    json_decref(s);
    struct buf text = {0};
    struct error err;
    assert_int_equal(report_kind("text")->render(j, &text, &err), 0);
    assert_non_null(strstr(text.data, "750..910..1,010 &"));
    assert_non_null(strstr(text.data, "  & writes at 12.10 s: kill #2 on etcd-0, shared with pause #1 on etcd-0\n"));
    buf_clear(&text);
    assert_int_equal(report_kind("html")->render(j, &text, &err), 0);
    assert_non_null(strstr(text.data, "[\"kill #2 on etcd-0\",\"pause #1 on etcd-0\"]"));
    assert_non_null(strstr(text.data, "[\"pause #1 on etcd-0\"]")); /* the kill's card */
    buf_free(&text);
    judgement_free(j);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_bounded), cmocka_unit_test(test_said)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
