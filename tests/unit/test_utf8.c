/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/harmful.h"
#include "base/utf8.h"

/* An encoder of its own: RFC 3629's table, written down another way. */
static size_t encode(uint32_t c, char *out) {
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
    out[n] = 0;
    return n;
}

static void every_character_comes_back(void **state) {
    (void)state;
    char text[8];
    for (uint32_t c = 1; c <= 0x10ffff; c++) {
        size_t n = encode(c, text);
        uint32_t got = 0;
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        if (utf8_decode(text, UTF8_MOST, &got) != (surrogate ? 0 : n) || (!surrogate && got != c))
            fail_msg("U+%04x", c);
        for (size_t left = 0; left < n; left++)
            if (utf8_decode(text, left, NULL) != 0)
                fail_msg("U+%04x in %zu bytes", c, left);
    }
}

static void what_is_none_is_none(void **state) {
    (void)state;
    static const char *const rows[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                       "\xff", "\xc3", "\xc3(", "\xe2\x82", "\xe2\x82(", "\xf0\x9f\x98"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t c = 0;
        assert_int_equal(utf8_decode(rows[i], UTF8_MOST, &c), 0);
        assert_int_equal(c, (unsigned char)*rows[i]);
        assert_int_equal(harmful(rows[i]), 1);
    }
}

static void what_harms_is_told(void **state) {
    (void)state;
    static const struct { uint32_t first, last; } rows[] = {{1, 0x1f}, {0x7f, 0x9f}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};
    char text[8];
    for (uint32_t c = 1; c < 0x3000; c++) {
        bool bad = false;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
            bad |= c >= rows[i].first && c <= rows[i].last;
        size_t n = encode(c, text);
        if (harmful(text) != (bad ? n : 0))
            fail_msg("U+%04x", c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_comes_back),
        cmocka_unit_test(what_is_none_is_none),
        cmocka_unit_test(what_harms_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
