/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/rng.h"

/* splitmix64 from seed 0 is published: e220a8397b1dcdaf 6e789e6aa1b965f4 06c45d188009454f f88bb8a8724c81ec. */
static void seeds_through_splitmix(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 0);
    assert_true(r.s[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(r.s[1] == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(r.s[2] == UINT64_C(0x06c45d188009454f));
    assert_true(r.s[3] == UINT64_C(0xf88bb8a8724c81ec));
}

/* The first numbers of the authors' xoshiro256** from state {1, 2, 3, 4}. The first is rotl(2 * 5, 7) * 9; then s[1] = 2^3^1 = 0. */
static void follows_xoshiro(void **state) {
    (void)state;
    struct rng r = {{1, 2, 3, 4}};
    static const uint64_t wanted[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};
    for (int i = 0; i < 4; i++)
        assert_true(rng_u64(&r) == wanted[i]);
}

static void streams_are_their_own(void **state) {
    (void)state;
    struct rng a, again, b, c;
    rng_derive(&a, 7, "kill");
    rng_derive(&again, 7, "kill");
    rng_derive(&b, 7, "pause");
    rng_derive(&c, 8, "kill");
    int same_b = 0, same_c = 0;
    for (int i = 0; i < 64; i++) {
        uint64_t x = rng_u64(&a);
        assert_true(x == rng_u64(&again));
        same_b += x == rng_u64(&b);
        same_c += x == rng_u64(&c);
    }
    assert_int_equal(same_b, 0);
    assert_int_equal(same_c, 0);
}

static void below_stays_below(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    assert_int_equal(rng_below(&r, 0), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rng_below(&r, 1), 0);
    for (int i = 0; i < 1000; i++)
        assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
}

/* Chi-square over 10 bins, 9 degrees: 33.72 is its 99.99 % quantile. */
static void below_is_even(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 42);
    int bins[10] = {0};
    const int n = 100000;
    for (int i = 0; i < n; i++)
        bins[rng_below(&r, 10)]++;
    double chi = 0, want = n / 10.0;
    for (int i = 0; i < 10; i++)
        chi += (bins[i] - want) * (bins[i] - want) / want;
    assert_true(chi < 33.72);
    assert_true(chi > 0.1); /* and not suspiciously even */
}

static void unit_is_in_range(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 3);
    double sum = 0;
    const int n = 100000;
    for (int i = 0; i < n; i++) {
        double u = rng_unit(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_true(sum / n > 0.4964 && sum / n < 0.5036); /* 1/2 +- 3.9 * sqrt(1 / 12n) */
}

/* Published values of FNV-1a, 64 bits. */
static void names_are_hashed_as_published(void **state) {
    (void)state;
    assert_true(hash_text(HASH_SEED, "") == UINT64_C(0xcbf29ce484222325));
    assert_true(hash_text(HASH_SEED, "a") == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(hash_text(HASH_SEED, "foobar") == UINT64_C(0x85944171f73967e8));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_through_splitmix), cmocka_unit_test(follows_xoshiro), cmocka_unit_test(names_are_hashed_as_published),
        cmocka_unit_test(streams_are_their_own),
        cmocka_unit_test(below_stays_below),      cmocka_unit_test(below_is_even),   cmocka_unit_test(unit_is_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
