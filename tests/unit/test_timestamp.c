/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timestamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Expected values: date -u -d '...' +%s%N */
static const struct {
    const char *line;
    int64_t ns; /* 0: none */
} rows[] = {
    {"{\"level\":\"info\",\"ts\":\"2026-11-21T22:52:01.123Z\",\"msg\":\"x\"}", INT64_C(1795301521123000000)},
    {"2026-11-21 22:52:01,5 INFO", INT64_C(1795301521500000000)},
    {"1:M 2026-11-21T22:52:01Z", INT64_C(1795301521000000000)},
    {"2026-11-21T23:52:01.000000001+01:00", INT64_C(1795301521000000001)},
    {"2026-11-21T21:22:01-0130", INT64_C(1795301521000000000)},
    {"2026-11-21T22:52:01.1234567899Z", INT64_C(1795301521123456789)},
    {"192.168.100.200:2379 2026-11-21T22:52:01Z", INT64_C(1795301521000000000)},
    {"12026-11-21T22:52:01Z", 0},
    {"2026-11-21", 0},
    {"9999-11-21T22:52:01Z", 0},
    {"", 0},
    {"no digits at all", 0},
};

static void finds(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t got = 0;
        assert_int_equal(timestamp_find(rows[i].line, &got), rows[i].ns != 0);
        assert_int_equal(got, rows[i].ns);
    }
}

static const struct {
    const char *text;
    bool ok;
} whole[] = {
    {"2026-11-21T22:52:01Z", true},         {"2026-11-21T22:52:01.1Z", true},     {"2026-11-21T22:52:01.123456789Z", true}, {"2026-11-21T23:52:01+01:00", true},
    {"2028-02-29T00:00:00Z", true},         {"2026-02-29T00:00:00Z", false},      {"2026-11-21 22:52:01Z", false},          {"2026-11-21T22:52:01", false},
    {"2026-11-21T22:52:01.Z", false},       {"2026-11-21T22:52:01,5Z", false},    {"2026-11-21T22:52:01+0100", false},      {" 2026-11-21T22:52:01Z", false},
    {"2026-11-21T22:52:01Z ", false},       {"2026-13-21T22:52:01Z", false},      {"2026-11-21T24:00:00Z", false},          {"2026-11-21T22:60:00Z", false},
    {"2026-11-21T22:52:01+01:0", false},    {"2026-11-21T22:52:01+25:00", false}, {"1969-11-21T22:52:01Z", false},          {"9999-11-21T22:52:01Z", false},
    {"2026-11-21T22:52:01+01:00x", false},  {"2026-11-21T22:52:01+:1:00", false}, {"", false},                              {"now", false},
};

static void parses_whole_ones_alone(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        int64_t got;
        if (timestamp_parse(whole[i].text, &got) != whole[i].ok)
            fail_msg("\"%s\" is taken wrongly", whole[i].text);
    }
}

static void formats_what_it_parses(void **state) {
    (void)state;
    char out[TIMESTAMP_SIZE];
    int64_t got;
    timestamp_format(INT64_C(1795301521000001999), out);
    assert_string_equal(out, "2026-11-21T22:52:01.000001Z");
    assert_true(timestamp_parse(out, &got));
    assert_int_equal(got, INT64_C(1795301521000001000));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds), cmocka_unit_test(parses_whole_ones_alone), cmocka_unit_test(formats_what_it_parses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
