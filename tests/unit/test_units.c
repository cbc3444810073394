/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/units.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *text;
    int64_t value; /* -1: must be refused */
    const char *says;
};

typedef int (*parse_fn)(const char *, int64_t *, struct error *);

static void check_rows(parse_fn parse, const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct error err = {"untouched"};
        int64_t v = -77;
        int rc = parse(rows[i].text, &v, &err);
        if (rows[i].value < 0) {
            if (rc >= 0)
                fail_msg("\"%s\" was taken as %lld", rows[i].text, (long long)v);
            assert_int_equal(v, -77);
            if (rows[i].says && !strstr(err.text, rows[i].says))
                fail_msg("\"%s\": \"%s\" does not say \"%s\"", rows[i].text, err.text, rows[i].says);
        } else {
            if (rc != 0 || v != rows[i].value)
                fail_msg("\"%s\": rc %d, %lld instead of %lld (%s)", rows[i].text, rc, (long long)v, (long long)rows[i].value, err.text);
            assert_string_equal(err.text, "untouched");
        }
    }
}

#define S INT64_C(1000000000)

static void durations(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"0", 0, NULL}, {"0s", 0, NULL}, {"1ns", 1, NULL}, {"1us", 1000, NULL}, {"1\xc2\xb5s", 1000, NULL}, {"1\xce\xbcs", 1000, NULL},
        {"250ms", 250000000, NULL}, {"0.5ms", 500000, NULL}, {"1.5h30m", 7200 * S, NULL}, {"1m30s", 90 * S, NULL}, {"1h", 3600 * S, NULL},
        {"1h0m0.000000001s", 3600 * S + 1, NULL}, {"30s1m", 90 * S, NULL}, {"007s", 7 * S, NULL}, {"87600h", 87600 * 3600 * S, NULL},
        {"87600h1ns", -1, "too large"}, {"87600h87600h", -1, "too large"}, {"99999999999999999999h", -1, "too large"},
        {"99999999999999999999999999999999999999999999999s", -1, "too large"}, {"", -1, "empty"}, {"10", -1, "say \"10s\""},
        {"0.5", -1, "say \"0.5s\""}, {"-1s", -1, "negative"}, {"+1s", -1, NULL}, {" 1s", -1, NULL}, {"1s ", -1, NULL}, {"1 s", -1, NULL},
        {"1S", -1, NULL}, {"1d", -1, NULL}, {"s", -1, NULL}, {".5s", -1, NULL}, {"1.s", -1, NULL}, {"1.5.5s", -1, NULL}, {"1s5", -1, NULL},
        {"1sx", -1, NULL}, {"1e3s", -1, NULL}, {"0x1s", -1, NULL}, {"0.5ns", -1, "too fine"}, {"0.0000000001s", -1, "too fine"},
        {"0.0000000000000000000000000000000000000001s", -1, "too fine"}, {"inf", -1, NULL}, {"nan", -1, NULL},
    };
    check_rows(parse_duration, rows, ARRAY_SIZE(rows));
}

static void rates(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"200/s", 200000000, NULL}, {"0.5/s", 500000, NULL}, {"12000/m", 200000000, NULL}, {"3/h", 833, NULL}, {"100/m", 1666667, NULL},
        {"0/s", 0, NULL}, {"0.000001/s", 1, NULL}, {"9223372036854/s", INT64_C(9223372036854000000), NULL},
        {"9223372036855/s", -1, "too large"}, {"0.0000001/s", -1, "too fine"}, {"200", -1, "say \"200/s\""}, {"200/", -1, NULL},
        {"200/d", -1, NULL}, {"/s", -1, NULL}, {"-1/s", -1, "negative"}, {"", -1, "empty"}, {"200/s/s", -1, NULL}, {"200 /s", -1, NULL},
        {"1/s1/s", -1, NULL},
    };
    check_rows(parse_rate, rows, ARRAY_SIZE(rows));
}

static void percents(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"5%", 50000, NULL}, {"99.95%", 999500, NULL}, {"0.01%", 100, NULL}, {"0%", 0, NULL}, {"100%", 1000000, NULL},
        {"99.9999%", 999999, NULL}, {"99.99999%", -1, "too fine"}, {"100.1%", -1, "too large"}, {"5", -1, "say \"5%\""},
        {"5 %", -1, NULL}, {"%", -1, NULL}, {"-5%", -1, "negative"}, {"5%%", -1, NULL}, {"", -1, "empty"}, {"five%", -1, NULL},
    };
    check_rows(parse_percent, rows, ARRAY_SIZE(rows));
}

static void bandwidths(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"10mbit", 10000000, NULL}, {"1gbit", S, NULL}, {"128kbps", 1024000, NULL}, {"1bps", 8, NULL}, {"1kibit", 1024, NULL},
        {"1Mibps", 8 * 1024 * 1024, NULL}, {"1.5Mbit", 1500000, NULL}, {"0bit", 0, NULL}, {"10", -1, "say \"10bit\""},
        {"0.5bit", -1, "too fine"}, {"10mb", -1, NULL}, {"-1bit", -1, "negative"}, {"9999999999tbit", -1, "too large"}, {"", -1, "empty"},
    };
    check_rows(parse_bandwidth, rows, ARRAY_SIZE(rows));
}

static void byte_counts(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"512", 512, NULL}, {"64KiB", 65536, NULL}, {"1.5MB", 1500000, NULL}, {"1Gi", 1 << 30, NULL}, {"0", 0, NULL}, {"7B", 7, NULL},
        {"9223372036854775807", INT64_MAX, NULL}, {"9223372036854775808", -1, "too large"}, {"8388608TiB", -1, "too large"},
        {"0.5", -1, "too fine"}, {"1kb", -1, NULL}, {"-1", -1, "negative"}, {"KiB", -1, NULL}, {"1 KiB", -1, NULL}, {"", -1, "empty"},
    };
    check_rows(parse_bytes, rows, ARRAY_SIZE(rows));
}

static void integers(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"0", 0, NULL}, {"42", 42, NULL}, {"007", 7, NULL}, {"9223372036854775807", INT64_MAX, NULL},
        {"9223372036854775808", -1, "too large"}, {"-9223372036854775809", -1, "too large"}, {"", -1, NULL}, {"+1", -1, NULL},
        {"1.0", -1, NULL}, {"1e3", -1, NULL}, {" 1", -1, NULL}, {"1 ", -1, NULL}, {"--1", -1, NULL}, {"-", -1, NULL}, {"0x10", -1, NULL},
    };
    check_rows(parse_int, rows, ARRAY_SIZE(rows));
    int64_t v;
    assert_int_equal(parse_int("-9223372036854775808", &v, NULL), 0);
    assert_int_equal(v, INT64_MIN);
}

static void spelling(void **state) {
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {0, "0"}, {1, "1ns"}, {999, "999ns"}, {1000, "1us"}, {1500, "1.5us"}, {1500000, "1.5ms"}, {1000001, "1.000001ms"}, {S, "1s"},
        {S + 1, "1.000000001s"}, {90 * S, "1m30s"}, {60 * S, "1m"}, {3600 * S, "1h"}, {3601 * S, "1h1s"}, {60 * S + 1000000, "1m1ms"},
        {86400 * S, "24h"}, {-90 * S, "-1m30s"}, {3661500000000, "1h1m1.5s"}, {INT64_MIN, "-2562047h47m16.854775808s"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[64];
        format_duration(rows[i].ns, out, sizeof out);
        assert_string_equal(out, rows[i].text);
    }
    char small[4];
    format_duration(90 * S, small, sizeof small);
    assert_string_equal(small, "1m3");
}

static void round_trip(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 7);
    for (int i = 0; i < 100000; i++) {
        char out[64];
        int64_t ns = (int64_t)(rng_u64(&r) >> (1 + rng_below(&r, 63))), back;
        if (rng_below(&r, 2)) /* round values are where trailing parts are left out */
            ns = ns / 500000000 * 500000000;
        if (ns > 87600 * 3600 * S)
            continue;
        format_duration(ns, out, sizeof out);
        assert_int_equal(parse_duration(out, &back, NULL), 0);
        assert_int_equal(back, ns);
    }
}

static void near_words(void **state) {
    (void)state;
    static const char *const names[] = {"every", "count", "at", "for", "pod-kill", "pod-pause", "labelSelectors", "x", NULL};
    static const struct {
        const char *word, *meant;
    } rows[] = {
        {"evry", "every"}, {"eevry", "every"}, {"veery", "every"}, {"EVERY", "every"}, {"conut", "count"}, {"pod_kill", "pod-kill"},
        {"labelSelector", "labelSelectors"}, {"labelselectors", "labelSelectors"}, {"fro", "for"}, {"q", NULL}, {"zz", NULL}, {"", NULL},
        {"duration", NULL}, {"pod", NULL}, {"labels", NULL}, {"ta", "at"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *got = did_you_mean(rows[i].word, names);
        if (!rows[i].meant != !got || (got && strcmp(got, rows[i].meant) != 0))
            fail_msg("\"%s\": %s", rows[i].word, got ? got : "nothing");
    }
    char longest[200];
    memset(longest, 'e', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(did_you_mean(longest, names));
}

static void clipping(void **state) {
    (void)state;
    char out[CLIP_SIZE], word[3 * CLIP_SIZE];
    assert_string_equal(text_clip("short", out), "short");
    memset(word, 0, sizeof word);
    for (size_t i = 0; i < CLIP_SIZE; i++)
        memcpy(word + 2 * i, "\xc3\xa9", 2); /* e acute: no half of one may be left */
    text_clip(word, out);
    cleanup_json json_t *j = json_string(out);
    assert_non_null(j);
    assert_string_equal(out + strlen(out) - 3, "...");
}

static void no_error_wanted(void **state) {
    (void)state;
    int64_t v;
    assert_true(parse_duration("x", &v, NULL) < 0);
    assert_true(parse_int("x", &v, NULL) < 0);
}

static void json_paths(void **state) {
    (void)state;
    cleanup_json json_t *j = json_loads("{\"a\":{\"b\":[{\"n\":1},{\"n\":2.5}]},\"x.y\":true,\"s\":\"t\",\"z\":null,\"i\":-3}", 0, NULL);
    char tmp[40];
    assert_ptr_equal(json_at(j, ""), j);
    assert_int_equal(json_integer_value(json_at(j, "a.b.0.n")), 1);
    assert_string_equal(json_text(json_at(j, "a.b.1.n"), tmp, sizeof tmp), "2.5");
    assert_string_equal(json_text(json_at(j, "x.y"), tmp, sizeof tmp), "true");
    assert_string_equal(json_text(json_at(j, "s"), tmp, sizeof tmp), "t");
    assert_string_equal(json_text(json_at(j, "i"), tmp, sizeof tmp), "-3");
    assert_null(json_text(json_at(j, "z"), tmp, sizeof tmp));
    assert_null(json_text(NULL, tmp, sizeof tmp));
    static const char *const absent[] = {"a.b.2", "a.b.-1", "a.b.x", "a.c", "s.t", "a.", ".", "a..b", "a.b.99999999999999999999"};
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
        assert_null(json_at(j, absent[i]));
    assert_null(json_at(NULL, "a"));
    assert_int_equal(json_int_or(j, "i", 9), -3);
    assert_int_equal(json_int_or(j, "s", 9), 9);
    assert_string_equal(json_str_or(j, "s", "f"), "t");
    assert_string_equal(json_str_or(j, "i", "f"), "f");
}

static void json_numbers(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *text;
    } rows[] = {{0.1, "0.1"}, {1.0 / 3, "0.3333333333333333"}, {0.1 + 0.2, "0.30000000000000004"}, {1e300, "1e+300"}, {5, "5"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char tmp[40];
        cleanup_json json_t *j = json_real(rows[i].v);
        assert_string_equal(json_text(j, tmp, sizeof tmp), rows[i].text);
    }
    cleanup_json json_t *unknown = json_ms(-1), *ms = json_ms(1234567), *zero = json_ms(0), *up = json_ms(1999999);
    assert_true(json_is_null(unknown));
    assert_true(json_real_value(ms) == 1.235);
    assert_true(json_is_real(zero) && json_real_value(zero) == 0);
    assert_true(json_real_value(up) == 2.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),  cmocka_unit_test(rates),      cmocka_unit_test(percents),        cmocka_unit_test(bandwidths),
        cmocka_unit_test(byte_counts), cmocka_unit_test(integers),   cmocka_unit_test(spelling),        cmocka_unit_test(round_trip),
        cmocka_unit_test(near_words), cmocka_unit_test(clipping),   cmocka_unit_test(no_error_wanted), cmocka_unit_test(json_paths),
        cmocka_unit_test(json_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
