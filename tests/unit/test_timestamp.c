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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
