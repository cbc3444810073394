/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "params.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static char why[NETEM_ERROR_SIZE];

/* What Debian 12's tc (iproute2 6.1) sends, seen with strace:
 * tc qdisc add dev lo root netem delay 100ms 20ms 25% loss 5% 10% duplicate 1% 2% corrupt 0.1% 3% reorder 25% 50% gap 5
 *   rate 1mbit 4 53 5 limit 1234 ecn slot 1ms 2ms packets 3 bytes 4000 */
static const unsigned char by_tc[] =
    "\x84\xd7\x17\x00\xd2\x04\x00\x00\xcd\xcc\xcc\x0c\x05\x00\x00\x00\x29\x5c\x8f\x02\xb4\xc4\x04\x00\x10\x00\x01\x00\x00\x00\x00\x40\x9a\x99"
    "\x99\x19\x52\xb8\x1e\x05\x0c\x00\x03\x00\x00\x00\x00\x40\x00\x00\x00\x80\x08\x00\x07\x00\x01\x00\x00\x00\x0c\x00\x04\x00\x37\x89\x41\x00"
    "\x7b\x14\xae\x07\x2c\x00\x0c\x00\x40\x42\x0f\x00\x00\x00\x00\x00\x80\x84\x1e\x00\x00\x00\x00\x00\x03\x00\x00\x00\xa0\x0f\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x14\x00\x06\x00\x48\xe8\x01\x00\x04\x00\x00\x00\x35\x00\x00\x00\x05\x00\x00\x00";
static const struct netem_params of_tc = {
    .delay_ns = 100000000, .jitter_ns = 20000000, .delay_corr_ppm = 250000,
    .loss = NETEM_LOSS_RANDOM, .loss_ppm = 50000, .loss_corr_ppm = 100000, .ecn = true,
    .duplicate_ppm = 10000, .duplicate_corr_ppm = 20000, .corrupt_ppm = 1000, .corrupt_corr_ppm = 30000,
    .reorder_ppm = 250000, .reorder_corr_ppm = 500000, .gap = 5,
    .rate_bps = 125000, .packet_overhead = 4, .cell_size = 53, .cell_overhead = 5,
    .slot = {.min_ns = 1000000, .max_ns = 2000000, .packets = 3, .bytes = 4000}, .limit = 1234,
};

/* tc qdisc add dev lo root netem delay 50ms loss gemodel 1% 10% 70% 0.5% */
static const unsigned char gemodel_by_tc[] =
    "\xc2\xeb\x0b\x00\xe8\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x18\x00\x05\x80\x14\x00\x02\x00\x29\x5c"
    "\x8f\x02\x9a\x99\x99\x19\xcd\xcc\xcc\x4c\x14\xae\x47\x01";

static void reads_what_tc_sends(void **state) {
    (void)state;
    struct netem_params got;
    assert_int_equal(netem_decode(by_tc, sizeof by_tc - 1, &got, why), 0);
    assert_null(netem_differs(&of_tc, &got));
    assert_int_equal(netem_decode(gemodel_by_tc, sizeof gemodel_by_tc - 1, &got, why), 0);
    assert_int_equal(got.loss, NETEM_LOSS_GILBERT_ELLIOTT);
    assert_int_equal(got.ge_ppm.to_bad, 10000);
    assert_int_equal(got.ge_ppm.to_good, 100000);
    assert_int_equal(got.ge_ppm.loss_in_bad, 700000);
    assert_int_equal(got.ge_ppm.loss_in_good, 5000);
    assert_int_equal(got.delay_ns, 50000000 / 64 * 64);
}

/* The fixed part byte for byte; tc adds no 64-bit times to whole ticks, and orders attributes otherwise. */
static void writes_what_tc_sends(void **state) {
    (void)state;
    unsigned char wire[NETEM_WIRE_MAX];
    int len = netem_encode(&of_tc, 0, wire, sizeof wire, why);
    assert_true(len > (int)sizeof by_tc - 1);
    uint32_t ours[6], theirs[6];
    memcpy(ours, wire, sizeof ours);
    memcpy(theirs, by_tc, sizeof theirs);
    assert_memory_equal(ours, theirs, sizeof ours);
}

static uint32_t any(struct rng *r, uint32_t most) { return (uint32_t)(rng_u64(r) % (most + UINT64_C(1))); }

static struct netem_params draw(struct rng *r) {
    struct netem_params p = {.limit = any(r, 1) ? any(r, 100000) + 1 : 0};
    if (any(r, 1)) {
        p.delay_ns = 1 + (int64_t)(rng_u64(r) % 3600000000000);
        p.jitter_ns = any(r, 1) ? (int64_t)(rng_u64(r) % (uint64_t)p.delay_ns) + 1 : 0;
        p.delay_corr_ppm = p.jitter_ns ? any(r, NETEM_PPM) : 0;
        p.reorder_ppm = any(r, NETEM_PPM);
        p.gap = p.reorder_ppm ? any(r, 9) : 0;
        p.reorder_corr_ppm = p.reorder_ppm ? any(r, NETEM_PPM) : 0;
    }
    switch (any(r, 3)) {
    case 1:
        p.loss = NETEM_LOSS_RANDOM;
        p.loss_ppm = 1 + any(r, NETEM_PPM - 1);
        p.loss_corr_ppm = any(r, NETEM_PPM);
        break;
    case 2:
        p.loss = NETEM_LOSS_STATES;
        p.states_ppm.p13 = any(r, NETEM_PPM);
        p.states_ppm.p31 = any(r, NETEM_PPM);
        p.states_ppm.p32 = any(r, NETEM_PPM);
        p.states_ppm.p23 = any(r, NETEM_PPM);
        p.states_ppm.p14 = any(r, NETEM_PPM);
        break;
    case 3:
        p.loss = NETEM_LOSS_GILBERT_ELLIOTT;
        p.ge_ppm.to_bad = any(r, NETEM_PPM);
        p.ge_ppm.to_good = any(r, NETEM_PPM);
        p.ge_ppm.loss_in_bad = any(r, NETEM_PPM);
        p.ge_ppm.loss_in_good = any(r, NETEM_PPM);
        break;
    }
    p.ecn = p.loss && any(r, 1);
    if (any(r, 1)) {
        p.rate_bps = 1 + rng_u64(r) % (UINT64_C(1) << any(r, 40));
        p.packet_overhead = (int32_t)any(r, 2000) - 1000;
        p.cell_size = any(r, 1500);
        p.cell_overhead = p.cell_size ? (int32_t)any(r, 100) - 50 : 0;
    }
    p.duplicate_ppm = any(r, NETEM_PPM);
    p.duplicate_corr_ppm = p.duplicate_ppm ? any(r, NETEM_PPM) : 0;
    p.corrupt_ppm = any(r, NETEM_PPM);
    p.corrupt_corr_ppm = p.corrupt_ppm ? any(r, NETEM_PPM) : 0;
    if (any(r, 1)) {
        p.slot.max_ns = 1 + any(r, 1000000000);
        p.slot.min_ns = any(r, (uint32_t)p.slot.max_ns);
        p.slot.packets = (int32_t)any(r, 1000);
        p.slot.bytes = (int32_t)any(r, INT32_MAX);
    }
    p.seeded = any(r, 1);
    p.seed = p.seeded ? rng_u64(r) : 0;
    return p;
}

static void what_is_written_is_read(void **state) {
    (void)state;
    unsigned char wire[NETEM_WIRE_MAX];
    struct rng r;
    rng_seed(&r, 5);
    for (int i = 0; i < 20000; i++) {
        struct netem_params p = draw(&r), got;
        int len = netem_encode(&p, NETEM_ENCODE_SEED, wire, sizeof wire, why);
        if (len < 0)
            fail_msg("%s", why);
        assert_int_equal(netem_decode(wire, (size_t)len, &got, why), 0);
        const char *where = netem_differs(&p, &got);
        if (where)
            fail_msg("round %d: %s is not what was written", i, where);
        assert_true(p.seeded == got.seeded && p.seed == got.seed);
        for (int cut = len - 1; i < 50 && cut >= 0; cut--) { /* whatever is cut off: an error or something else, never a crash */
            unsigned char *copy = memcpy(malloc((size_t)cut + 1), wire, (size_t)cut);
            (void)netem_decode(copy, (size_t)cut, &got, why);
            free(copy);
        }
    }
}

static void room_is_kept(void **state) {
    (void)state;
    unsigned char wire[NETEM_WIRE_MAX];
    int16_t table[16384] = {0};
    struct netem_params p = of_tc;
    p.dist = NETEM_CUSTOM;
    p.table = table;
    p.table_len = ARRAY_SIZE(table);
    int len = netem_encode(&p, NETEM_ENCODE_SEED, wire, sizeof wire, why);
    assert_true(len > 32768);
    for (int room = 0; room < len; room += 37)
        assert_int_equal(netem_encode(&p, NETEM_ENCODE_SEED, wire, (size_t)room, why), -ENOSPC);
    assert_int_equal(netem_encode(&p, NETEM_ENCODE_SEED, wire, (size_t)len, why), len);
}

static void refuses_nonsense(void **state) {
    (void)state;
    static const struct { struct netem_params p; const char *says; } rows[] = {
        {{.loss = NETEM_LOSS_RANDOM, .loss_ppm = 1010000}, "loss: 101 % is more than 100 %"},
        {{.delay_ns = 10000000, .jitter_ns = 11000000}, "jitter: 11 ms is more than the delay of 10 ms; a packet cannot leave before it came"},
        {{.delay_ns = -1}, "delay: expected 0 to an hour"},
        {{.delay_ns = 10, .dist = NETEM_NORMAL}, "a distribution needs jitter: without it every delay is the same"},
        {{.delay_ns = 10, .jitter_ns = 5, .dist = NETEM_CUSTOM}, "a distribution of your own has 1 to 16384 values"},
        {{.delay_ns = 10, .delay_corr_ppm = 5}, "delay correlation needs jitter: without it every delay is the same"},
        {{.reorder_ppm = 5}, "reorder needs delay: packets overtake those that are delayed"},
        {{.delay_ns = 10, .gap = 5}, "gap goes with reorder"},
        {{.ecn = true}, "ecn marks packets instead of losing them: it needs loss"},
        {{.loss_corr_ppm = 1}, "loss correlation goes with random loss"},
        {{.loss = NETEM_LOSS_STATES, .loss_ppm = 1}, "loss: only one model at a time"},
        {{.cell_size = 53}, "packet overhead and cells go with rate"},
        {{.slot = {.min_ns = 2, .max_ns = 1}}, "slot: expected 0 <= min <= max <= an hour"},
        {{.slot = {.packets = 2}}, "slot: a burst's size goes with the pause between bursts"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(netem_check(&rows[i].p, why), -EINVAL);
        assert_string_equal(why, rows[i].says);
    }
}

static void the_queue_holds_what_is_delayed(void **state) {
    (void)state;
    assert_int_equal(netem_limit(&(struct netem_params){0}), 1000);
    assert_int_equal(netem_limit(&(struct netem_params){.delay_ns = 100000000}), 100000);         /* 0.1 s of 10^6/s */
    assert_int_equal(netem_limit(&(struct netem_params){.delay_ns = 3600000000000}), 1000000);
    assert_int_equal(netem_limit(&(struct netem_params){.rate_bps = 125000}), 20);                /* 0.25 s of 82.6/s */
    assert_int_equal(netem_limit(&(struct netem_params){.rate_bps = 12500000, .delay_ns = 100000000}), 2889); /* 0.35 s of 8256/s */
}

/* Mean 0, deviation 1; and the normal one's values against its published quantiles: z(0.975) = 1.959964, z(0.75) = 0.674490. */
static void distributions_are_what_they_say(void **state) {
    (void)state;
    for (enum netem_dist d = NETEM_NORMAL; d <= NETEM_PARETONORMAL; d++) {
        int16_t t[NETEM_TABLE];
        double sum = 0, squares = 0;
        netem_dist_table(d, t);
        for (int i = 0; i < NETEM_TABLE; i++) {
            assert_true(i == 0 || t[i] >= t[i - 1]);
            sum += t[i] / 8192.0;
            squares += t[i] / 8192.0 * (t[i] / 8192.0);
        }
        assert_true(fabs(sum / NETEM_TABLE) < 0.06); /* the tail that 16 bits cut off */
        if (d == NETEM_NORMAL) {
            assert_true(fabs(sqrt(squares / NETEM_TABLE) - 1) < 0.001);
            assert_true(fabs(t[(int)(0.975 * NETEM_TABLE)] / 8192.0 - 1.959964) < 0.01);
            assert_true(fabs(t[(int)(0.75 * NETEM_TABLE)] / 8192.0 - 0.674490) < 0.001);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_tc_sends),
        cmocka_unit_test(writes_what_tc_sends),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(room_is_kept),
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(the_queue_holds_what_is_delayed),
        cmocka_unit_test(distributions_are_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
