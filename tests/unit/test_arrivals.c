/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "load/arrivals.h"

#define RATE(per_s) ((int64_t)(per_s) * 1000000)

static void constant_table(void **state) {
    (void)state;
    static const struct {
        int64_t micro_per_s;
        int64_t times[4];
    } rows[] = {
        {RATE(200), {0, 5000000, 10000000, 15000000}},
        {RATE(3), {0, 333333333, 666666666, 1000000000}}, /* floor(i * 1e9 / 3), not i * floor(1e9 / 3) */
        {RATE(7), {0, 142857142, 285714285, 428571428}},
        {500000, {0, 2000000000, 4000000000, 6000000000}}, /* 0.5/s */
        {RATE(1000000), {0, 1000, 2000, 3000}},
        {833, {0, 1200480192076, 2400960384153, 3601440576230}}, /* 3/h: 833 millionths a second */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arrivals a;
        arrivals_init(&a, ARRIVAL_CONSTANT, rows[i].micro_per_s, 1, "writes");
        for (int k = 0; k < 4; k++, arrivals_advance(&a)) {
            assert_int_equal(arrivals_peek(&a), rows[i].times[k]);
            assert_int_equal(a.index, k);
        }
    }
}

/* After 10 days at a million a second: still exactly where the index says. */
static void constant_does_not_drift(void **state) {
    (void)state;
    struct arrivals a;
    arrivals_init(&a, ARRIVAL_CONSTANT, RATE(1000000), 1, "writes");
    const int64_t days = INT64_C(10) * 86400;
    a.index = (uint64_t)days * 1000000 - 1;
    arrivals_advance(&a);
    assert_int_equal(arrivals_peek(&a), days * NS_PER_S);

    arrivals_init(&a, ARRIVAL_CONSTANT, RATE(999983), 1, "writes"); /* a prime: no gap is whole */
    a.index = (uint64_t)days * 999983 - 1;
    arrivals_advance(&a);
    assert_int_equal(arrivals_peek(&a), days * NS_PER_S);
}

static void constant_by_steps_equals_by_index(void **state) {
    (void)state;
    struct arrivals a;
    arrivals_init(&a, ARRIVAL_CONSTANT, RATE(999983), 1, "writes");
    for (int i = 0; i < 999983; i++)
        arrivals_advance(&a);
    assert_int_equal(arrivals_peek(&a), NS_PER_S);
}

static void ends_are_never(void **state) {
    (void)state;
    struct arrivals a;
    arrivals_init(&a, ARRIVAL_CONSTANT, 0, 1, "none");
    assert_int_equal(arrivals_peek(&a), INT64_MAX);
    arrivals_advance(&a);
    assert_int_equal(arrivals_peek(&a), INT64_MAX);
    arrivals_init(&a, ARRIVAL_POISSON, -5, 1, "none");
    assert_int_equal(arrivals_peek(&a), INT64_MAX);

    arrivals_init(&a, ARRIVAL_CONSTANT, 1, 1, "rare"); /* one in 10^6 s: the 9224th is past what ns can hold */
    a.index = 9223371;
    arrivals_advance(&a);
    assert_int_equal(arrivals_peek(&a), INT64_MAX);

    arrivals_init(&a, ARRIVAL_POISSON, 1, 1, "rare");
    int64_t last = 0;
    for (int i = 0; i < 20000; i++, arrivals_advance(&a)) {
        assert_true(arrivals_peek(&a) >= last);
        last = arrivals_peek(&a);
    }
    assert_int_equal(last, INT64_MAX);
}

enum { GAPS = 100000 };

static double *gaps_in_means(int64_t micro_per_s, uint64_t seed) {
    double *gaps = malloc(GAPS * sizeof *gaps);
    assert_non_null(gaps);
    struct arrivals a;
    arrivals_init(&a, ARRIVAL_POISSON, micro_per_s, seed, "writes");
    int64_t last = 0;
    for (int i = 0; i < GAPS; i++, arrivals_advance(&a)) {
        assert_true(arrivals_peek(&a) >= last);
        gaps[i] = (double)(arrivals_peek(&a) - last) * (double)micro_per_s / 1e15;
        last = arrivals_peek(&a);
    }
    return gaps;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Mean 1 and standard deviation 1; 3.891 is the normal's two-sided 99.99 %. */
static void poisson_keeps_its_rate(void **state) {
    (void)state;
    double *gaps = gaps_in_means(RATE(200), 7), sum = 0;
    for (int i = 0; i < GAPS; i++)
        sum += gaps[i];
    free(gaps);
    assert_true(fabs(sum / GAPS - 1) < 3.891 / sqrt(GAPS));
    /* at a million a second a gap is 1000 ns: without the carried part it would be half a ns short, 0.05 % */
    gaps = gaps_in_means(RATE(1000000), 7);
    double fast = 0;
    for (int i = 0; i < GAPS; i++)
        fast += gaps[i];
    free(gaps);
    assert_true(fabs(fast - sum) < 0.01); /* the same draws, so the same sum but for the last ns */
}

/* Kolmogorov-Smirnov against 1 - e^-x; sqrt(n) D stays below 2.2254 in 99.99 % of honest samples. */
static void poisson_gaps_are_exponential(void **state) {
    (void)state;
    double *gaps = gaps_in_means(RATE(200), 20), d = 0;
    qsort(gaps, GAPS, sizeof *gaps, compare);
    for (int i = 0; i < GAPS; i++) {
        double f = -expm1(-gaps[i]);
        d = fmax(d, fmax(f - (double)i / GAPS, (double)(i + 1) / GAPS - f));
    }
    free(gaps);
    assert_true(d * sqrt(GAPS) < 2.2254);
    assert_true(d * sqrt(GAPS) > 0.2);
}

/* Counts per interval of 10 means have variance = mean: what tells Poisson from merely exponential-looking but ordered gaps. */
static void poisson_counts_disperse(void **state) {
    (void)state;
    double *gaps = gaps_in_means(RATE(200), 21), t = 0;
    enum { BINS = 9000 };
    static int bins[BINS];
    for (int i = 0; i < GAPS; i++) {
        t += gaps[i];
        if (t < BINS * 10.0)
            bins[(int)(t / 10)]++;
    }
    free(gaps);
    double chi = 0;
    for (int i = 0; i < BINS; i++)
        chi += (bins[i] - 10) * (bins[i] - 10) / 10.0;
    assert_true(fabs(chi - BINS) < 3.891 * sqrt(2.1 * BINS)); /* variance of chi: BINS * (2 + 1/10) */
}

static void seed_and_name_decide(void **state) {
    (void)state;
    struct arrivals a, same, name, seed;
    arrivals_init(&a, ARRIVAL_POISSON, RATE(10), 7, "writes");
    arrivals_init(&same, ARRIVAL_POISSON, RATE(10), 7, "writes");
    arrivals_init(&name, ARRIVAL_POISSON, RATE(10), 7, "reads");
    arrivals_init(&seed, ARRIVAL_POISSON, RATE(10), 8, "writes");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(arrivals_peek(&a), arrivals_peek(&same));
        assert_true(arrivals_peek(&a) != arrivals_peek(&name));
        assert_true(arrivals_peek(&a) != arrivals_peek(&seed));
        arrivals_advance(&a);
        arrivals_advance(&same);
        arrivals_advance(&name);
        arrivals_advance(&seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_table),         cmocka_unit_test(constant_does_not_drift),
        cmocka_unit_test(constant_by_steps_equals_by_index), cmocka_unit_test(ends_are_never),
        cmocka_unit_test(poisson_keeps_its_rate), cmocka_unit_test(poisson_gaps_are_exponential),
        cmocka_unit_test(poisson_counts_disperse), cmocka_unit_test(seed_and_name_decide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
