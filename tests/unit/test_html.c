/* SPDX-License-Identifier: Apache-2.0 */
/* report.html's data: texts that cannot break out, figures as they are, and bounds that hold for a million faults. */
#include "report/html_json.h"
#include "report/report.h"

#include "history_fixture.h"

#include <math.h>
#include <time.h>

static const char header[] = "{\"schema\":1,\"scenario\":\"s\",\"loads\":[{\"name\":\"writes\",\"lanes\":[\"reused\"]}],\"faults\":[{\"name\":\"f\",\"kind\":\"k\"}]}";

static void check_text(const char *in, size_t len, const char *want) {
    struct buf b = {0};
    struct jw w = {.out = &b};
    jw_text_n(&w, in, len);
    assert_string_equal(b.data, want);
    json_t *back = json_loads(b.data, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(back);
    json_decref(back);
    buf_free(&b);
}

static void test_texts(void **state) {
    (void)state;
    static const struct { const char *in, *want; } rows[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"</script><!--", "\"\\u003c/script\\u003e\\u003c!--\""},
        {"a&b\"c\\d", "\"a\\u0026b\\u0022c\\u005cd\""},
        {"\x1b[31m\n\x7f", "\"\\u001b[31m\\u000a\\u007f\""},
        {"\xe2\x80\xa8\xe2\x80\xa9x", "\"\\u2028\\u2029x\""},
        {"\xff\xc3(\xed\xa0\x80.", "\"\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd.\""},
        {"\xc0\xaf\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"caf\xc3\xa9 \xf0\x9f\x94\xa5", "\"caf\xc3\xa9 \xf0\x9f\x94\xa5\""},
        {"cut \xf0\x9f\x94", "\"cut \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_text(rows[i].in, strlen(rows[i].in), rows[i].want);
    check_text("a\0b", 3, "\"a\\u0000b\"");
}

static void test_values(void **state) {
    (void)state;
    struct buf b = {0};
    struct jw w = {.out = &b};
    json_t *data = json_pack("{s:s,s:i,s:n,s:[i]}", "<k>", "v", "n", 3, "z", "deep", 1);
    jw_begin(&w, '{');
    jw_begin(jw_key(&w, "ms"), '[');
    static const int64_t times[] = {0, 1, 499, 500, 1500000, -1500000, 1000000, INT64_MIN, INT64_MAX, INT64_MIN + 1};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        jw_ms(&w, times[i]);
    jw_end(&w, ']');
    jw_begin(jw_key(&w, "real"), '[');
    static const double reals[] = {0, -0.0, 1, 0.5, 1.25, -0.001, 1e30, NAN, INFINITY};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        jw_real(&w, reals[i], 2);
    jw_end(&w, ']');
    jw_text(jw_key(&w, "none"), NULL);
    jw_bool(jw_key(&w, "yes"), true);
    jw_json(jw_key(&w, "data"), data);
    jw_end(&w, '}');
    assert_string_equal(b.data, "{\"ms\":[0,0,0,0.001,1.5,-1.5,1,null,9223372036854.776,-9223372036854.776],\"real\":[0,0,1,0.5,1.25,0,null,null,null],"
                                "\"none\":null,\"yes\":true,\"data\":{\"\\u003ck\\u003e\":\"v\",\"n\":3,\"z\":null,\"deep\":null}}");
    json_decref(data);
    buf_clear(&b);
    html_text(&b, "<a href='x'>\"&\x1b\xff\xc3\xa9\xe2\x80\xae.");
    assert_string_equal(b.data, "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd.");
    buf_free(&b);
}

/* The page's data, parsed. */
static json_t *render(const struct judgement *j, size_t *ret_size) {
    struct buf out = {0};
    struct error err;
    assert_int_equal(report_kind("html")->render(j, &out, &err), 0);
    static const char open[] = "id=\"data\">";
    char *from = strstr(out.data, open), *to = from ? strstr(from, "</script>") : NULL;
    assert_non_null(to);
    from += sizeof open - 1;
    json_error_t where;
    json_t *data = json_loadb(from, (size_t)(to - from), 0, &where);
    if (!data)
        fail_msg("the page's data: %s", where.text);
    *ret_size = out.len;
    buf_free(&out);
    return data;
}

static void test_page_of_a_drill(void **state) {
    (void)state;
    struct fixture f;
    struct judgement *j = NULL;
    struct error err;
    size_t size;
    fixture_init(&f, header);
    fixture_event(&f, 1000, "run/schedule", "info", "", "", "{}");
    fixture_event(&f, 3000, "fault/act", "invoke", "k", "p-0", "{\"id\":1,\"fault\":\"f\",\"occurrence\":1,\"candidates\":[\"p-0\",\"p-1\"],\"draw\":\"0f\"}");
    fixture_event(&f, 3000, "fault/act", "ok", "k", "p-0", "{\"id\":1}");
    fixture_event(&f, 3001, "fault/observed", "info", "k", "p-0", "{\"id\":1}");
    fixture_requests(&f, 1000, 3000, 2, OUTCOME_GOOD);
    fixture_requests(&f, 3000, 4000, 9, OUTCOME_BAD);
    fixture_requests(&f, 4000, 9000, 2, OUTCOME_GOOD);
    assert_int_equal(judge(&f.h, &j, &err), 0);
    json_t *page = render(j, &size), *load = json_array_get(json_object_get(page, "loads"), 0), *v;
    int64_t good = 0, bad = 0;
    size_t i;
    json_array_foreach(json_object_get(load, "good"), i, v) good += json_integer_value(v);
    json_array_foreach(json_object_get(load, "bad"), i, v) bad += json_integer_value(v);
    assert_int_equal(good, 70);
    assert_int_equal(bad, 10);
    json_t *card = json_array_get(json_object_get(page, "cards"), 0);
    assert_int_equal((int)json_number_value(json_object_get(card, "at")), 2000); /* from the schedule's start */
    assert_string_equal(json_string_value(json_object_get(card, "draw")), "0f");
    assert_int_equal(json_array_size(json_object_get(card, "candidates")), 2);
    assert_int_equal(json_array_size(json_object_get(page, "worst")), 80);
    json_decref(page);
    judgement_free(j);
    fixture_free(&f);
}

enum { MANY = 1000000 };

static void test_a_million_faults(void **state) {
    (void)state;
    struct fixture f;
    size_t size;
    fixture_init(&f, header);
    struct act_figures *acts = calloc(MANY, sizeof *acts);
    assert_non_null(acts);
    for (size_t i = 0; i < MANY; i++)
        acts[i] = (struct act_figures){.fault = "f", .kind = "k", .target = "p", .id = (int64_t)i, .at = (int64_t)i * MS, .acted = true, .observed = true,
                                       .observed_at = (int64_t)i * MS, .noticed = true, .sustained = (int64_t)(i * 7919 % MANY), .detect = 1, .first_good = 2,
                                       .redundancy = UNKNOWN_NS, .reverted_at = UNKNOWN_NS, .at_least = UNKNOWN_NS, .role_after_at = UNKNOWN_NS};
    acts[777777].observed = false; /* the gravest is shown, wherever it is */
    struct judgement j = {.history = &f.h, .why = "why", .acts = acts, .act_count = MANY, .schedule_t = 0, .loads_end_t = UNKNOWN_NS, .end_t = MANY * MS};
    clock_t began = clock();
    json_t *page = render(&j, &size), *cards = json_object_get(page, "cards"), *card;
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    bool found = false;
    size_t i;
    assert_int_equal(json_array_size(cards), 200);
    assert_int_equal(json_integer_value(json_object_get(page, "cards_left_out")), MANY - 200);
    json_array_foreach(cards, i, card) found |= json_integer_value(json_object_get(card, "act")) == 777777;
    assert_true(found);
    assert_true(size < 5000000);
    assert_true(seconds < 20); /* linear: a fraction of a second without sanitizers */
    json_decref(page);
    free(acts);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_page_of_a_drill),
        cmocka_unit_test(test_a_million_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
