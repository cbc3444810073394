/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "io/ports.h"

#define S NS_PER_S
#define PER_S INT64_C(1000000)

/* By hand: n a second use n * t ports at t, and n * hold from then on. */
static void ports_run_out_when_they_do(void **state) {
    (void)state;
    static const struct {
        int64_t count, hold_ns;
        struct port_demand list[3];
        size_t n;
        int64_t want_ns; /* INT64_MAX: never */
    } rows[] = {
        {28232, 60 * S, {{900 * PER_S, 0, 100 * S}}, 1, INT64_C(31368888888)}, /* 28232 / 900 */
        {28232, 60 * S, {{900 * PER_S, 0, 31 * S}}, 1, INT64_MAX},             /* over before */
        {28232, 60 * S, {{470 * PER_S, 0, 3600 * S}}, 1, INT64_MAX},           /* 28200 at most */
        {28232, 60 * S, {{471 * PER_S, 0, 3600 * S}}, 1, INT64_C(59940552016)}, /* 28260: within the last minute's tenth */
        {28232, 1 * S, {{20000 * PER_S, 0, 3600 * S}}, 1, INT64_MAX},          /* reused after a second */
        {28232, 1 * S, {{30000 * PER_S, 0, 3600 * S}}, 1, INT64_C(941066666)},
        {28232, 0, {{900 * PER_S, 0, 3600 * S}}, 1, INT64_MAX},                /* the kernel keeps none back */
        {0, 60 * S, {{900 * PER_S, 0, 3600 * S}}, 1, INT64_MAX},               /* unknown */
        {28232, 60 * S, {{0}}, 0, INT64_MAX},
        /* Two loads: 400 from the start, 400 more from 30 s: 12000 at 30 s, then 800 a second. */
        {28232, 60 * S, {{400 * PER_S, 0, 200 * S}, {400 * PER_S, 30 * S, 200 * S}}, 2, 30 * S + INT64_C(20290000000)},
        /* One after the other: the first one's ports come free as the second one's are taken. */
        {28232, 60 * S, {{400 * PER_S, 0, 60 * S}, {400 * PER_S, 60 * S, 200 * S}}, 2, INT64_MAX},
        /* A burst of 20000 is still held when 1000 a second come 10 s later. */
        {28232, 60 * S, {{20000 * PER_S, 0, 1 * S}, {1000 * PER_S, 11 * S, 40 * S}}, 2, 11 * S + INT64_C(8232000000)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t got = ports_exhausted_ns(rows[i].count, rows[i].hold_ns, rows[i].list, rows[i].n);
        if (rows[i].want_ns == INT64_MAX ? got != INT64_MAX : got < rows[i].want_ns - 1000 || got > rows[i].want_ns + 1000)
            fail_msg("row %zu: %lld, wanted %lld", i, (long long)got, (long long)rows[i].want_ns);
    }
}

static void this_machine_has_some(void **state) {
    (void)state;
    struct ports p;
    ports_read(&p);
    assert_in_range(p.count, 1, 65536);
    assert_true(p.hold_ns == 0 || p.hold_ns == S || p.hold_ns == 60 * S);
    assert_true(p.loopback_hold_ns <= p.hold_ns);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ports_run_out_when_they_do), cmocka_unit_test(this_machine_has_some)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
