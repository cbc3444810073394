/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/rng.h"
#include "check/latency.h"
#include "check/order.h"
#include "check/orderstat.h"
#include "check/words.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Nearest rank: k = ceil(q n), here from 0. */
static void test_rank(void **state) {
    (void)state;
    static const struct { size_t n; int64_t ppm; size_t want;
    } rows[] = {
        {1, 500000, 0},    {2, 500000, 0},    {3, 500000, 1},      {4, 500000, 1},  {5, 500000, 2}, {100, 990000, 98},
        {100, 990001, 99}, {101, 990000, 99}, {1000, 999000, 998}, {7, 1000000, 6}, {10, 1, 0},     {10000000, 999999, 9999989},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(quantile_rank(rows[i].n, rows[i].ppm), rows[i].want);
}

static void test_quantiles(void **state) {
    (void)state;
    struct latencies l = {0};
    assert_true(isnan(latencies_ms(&l, 500000)));
    /* 10 values: 1 to 8 ms, one of -5 (counts as 0), one bad. Sorted: 0 1 2 3 4 5 6 7 8 bad */
    for (int64_t i = 8; i; i--)
        assert_int_equal(latencies_add(&l, i * 1000000), 0);
    latencies_add(&l, LATENCY_BAD);
    latencies_add(&l, -5000000);
    assert_int_equal(latencies_sort(&l), 0);
    assert_true(latencies_ms(&l, 100000) == 0);
    assert_true(latencies_ms(&l, 500000) == 4);
    assert_true(latencies_ms(&l, 900000) == 8);
    assert_true(isinf(latencies_ms(&l, 900001)));
    assert_true(isinf(latencies_ms(&l, 1000000)));
    latencies_free(&l);
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void test_sort(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 7);
    for (int bits = 1; bits < 64; bits += 6) {
        struct latencies l = {0};
        for (int i = 0; i < 3000; i++)
            latencies_add(&l, (int64_t)(rng_u64(&r) >> (64 - bits)));
        int64_t *copy = malloc(l.count * sizeof *copy);
        memcpy(copy, l.ns, l.count * sizeof *copy);
        qsort(copy, l.count, sizeof *copy, compare);
        assert_int_equal(latencies_sort(&l), 0);
        assert_memory_equal(copy, l.ns, l.count * sizeof *copy);
        free(copy);
        latencies_free(&l);
    }
}

/* By start, then planned, then place in the file. */
static void test_order(void **state) {
    (void)state;
    enum { N = 5000 };
    struct sample *s = calloc(N, sizeof *s);
    const struct sample **list = calloc(N, sizeof *list);
    struct rng r;
    rng_seed(&r, 3);
    for (size_t i = 0; i < N; i++) {
        s[i].start_ns = (int64_t)(i + rng_below(&r, 200)) / 4;
        s[i].planned_ns = (int64_t)rng_below(&r, 3);
        list[i] = &s[i];
    }
    assert_int_equal(order_samples(list, N), 0);
    for (size_t i = 1; i < N; i++) {
        const struct sample *a = list[i - 1], *b = list[i];
        bool right = a->start_ns != b->start_ns       ? a->start_ns < b->start_ns
                     : a->planned_ns != b->planned_ns ? a->planned_ns < b->planned_ns
                                                      : a < b;
        assert_true(right);
    }
    size_t at = order_find(list, N, 500);
    assert_true(list[at]->start_ns >= 500 && list[at - 1]->start_ns < 500);
    assert_int_equal(order_find(list, N, INT64_MIN), 0);
    assert_int_equal(order_find(list, N, INT64_MAX), N);
    free(list);
    free(s);
}

/* The largest of n is a 95 % upper bound of P95 from n = 59 on (0.95^59 = 0.0485), of P99 from 299, of the median from 5 (1/32 = 0.031).
 * For n = 10, q = 0.5: P(Bin <= 7) = 968/1024 = 0.945, P(Bin <= 8) = 1013/1024 = 0.989: the ninth; by symmetry the second below. */
static void test_order_statistics(void **state) {
    (void)state;
    assert_int_equal(rank_upper(58, 0.95, CONFIDENCE), 0);
    assert_int_equal(rank_upper(59, 0.95, CONFIDENCE), 59);
    assert_int_equal(rank_upper(298, 0.99, CONFIDENCE), 0);
    assert_int_equal(rank_upper(299, 0.99, CONFIDENCE), 299);
    assert_int_equal(rank_upper(4, 0.5, CONFIDENCE), 0);
    assert_int_equal(rank_upper(5, 0.5, CONFIDENCE), 5);
    assert_int_equal(rank_upper(10, 0.5, CONFIDENCE), 9);
    assert_int_equal(rank_lower(10, 0.5, CONFIDENCE), 2);
    assert_int_equal(rank_lower(4, 0.5, CONFIDENCE), 0);
    assert_int_equal(rank_lower(5, 0.5, CONFIDENCE), 1);
    assert_int_equal(rank_upper(0, 0.5, CONFIDENCE), 0);
    assert_int_equal(rank_least_n(0.95, CONFIDENCE), 59);
    assert_int_equal(rank_least_n(0.99, CONFIDENCE), 299);
    assert_int_equal(rank_least_n(0.5, CONFIDENCE), 5);
}

static void test_words(void **state) {
    (void)state;
    char out[WORDS_SIZE];
    assert_string_equal(words_count(0, out), "0");
    assert_string_equal(words_count(999, out), "999");
    assert_string_equal(words_count(1000, out), "1,000");
    assert_string_equal(words_count(-1234567, out), "-1,234,567");
    assert_string_equal(words_count(INT64_MIN, out), "-9,223,372,036,854,775,808");
    assert_string_equal(words_ms(3412.4, out), "3,412 ms");
    assert_string_equal(words_ms(99.96, out), "100 ms");
    assert_string_equal(words_ms(9.996, out), "10 ms");
    assert_string_equal(words_ms(4.256, out), "4.26 ms");
    assert_string_equal(words_ms(0, out), "0 ms");
    assert_string_equal(words_ms(NAN, out), "unknown");
    assert_string_equal(words_ms(INFINITY, out), "a bad request");
    assert_string_equal(words_percent(0.992, out), "99.2 %");
    assert_string_equal(words_percent(1, out), "100 %");
    assert_string_equal(words_percent(0.9999999, out), "99.999 %"); /* never rounded up to perfect */
    assert_string_equal(words_percent(0.91, out), "91 %");
    assert_string_equal(words_percent(0, out), "0 %");
    assert_string_equal(words_percent(NAN, out), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rank),  cmocka_unit_test(test_quantiles),        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_order), cmocka_unit_test(test_order_statistics), cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
