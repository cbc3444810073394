/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/yaml_text.h"

#include "base/utf8.h"
#include "scenario/yaml_items.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int printable(uint32_t c) {
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c < 0x7f) || c == 0x85 || (c >= 0xa0 && c != 0xfffe && c != 0xffff);
}

int text_check(const char *name, const char **text, size_t *len, struct error *err) {
    if (*len >= 3 && memcmp(*text, "\xef\xbb\xbf", 3) == 0) {
        *text += 3;
        *len -= 3;
    }
    const unsigned char *s = (const unsigned char *)*text;
    int line = 1, column = 1;
    for (size_t i = 0, n; i < *len; i += n) {
        uint32_t c = 0;
        n = utf8_decode((const char *)s + i, *len - i, &c);
        if (n == 0)
            return item_error(name, line, column, err, -EILSEQ, "byte 0x%02x is not UTF-8: save the file as UTF-8", s[i]);
        if (c == 0)
            return item_error(name, line, column, err, -EILSEQ, "a NUL byte: this is no text file, or a broken one");
        if (!printable(c))
            return item_error(name, line, column, err, -EILSEQ, "control character U+%04X: delete it, or write it as \"\\x%02x\"", c, c);
        if (c == '\n' || (c == '\r' && (i + 1 == *len || s[i + 1] != '\n'))) {
            line++;
            column = 1;
        } else {
            column++;
        }
    }
    return 0;
}

size_t text_offset(const char *text, size_t len, int line, int column) {
    size_t i = 0;
    for (; line > 1 && i < len; i++)
        line -= text[i] == '\n';
    for (; column > 1 && i < len; column--)
        do
            i++;
        while (i < len && ((unsigned char)text[i] & 0xc0) == 0x80);
    return i;
}

static const char *skip_digits(const char *s) {
    return s + strspn(s, "0123456789");
}

static int is_one_of(const char *text, const char *const *words) {
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return 1;
    return 0;
}

/* [-+]? digits, 0x hex, 0o octal; what strtoll cannot hold is a string, so that no digit of an id is lost. */
static int is_int(const char *text) {
    const char *s = text + (*text == '-' || *text == '+');
    int base = 10;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'o') && s == text) {
        base = s[1] == 'x' ? 16 : 8;
        s += 2;
    }
    size_t n = strspn(s, base == 16 ? "0123456789abcdefABCDEF" : base == 8 ? "01234567" : "0123456789");
    if (n == 0 || s[n] || (base == 10 && s[0] == '0' && n > 1))
        return 0;
    errno = 0;
    strtoll(base == 10 ? text : s, NULL, base);
    return errno == 0;
}

static int is_real(const char *text) {
    const char *s = text + (*text == '-' || *text == '+'), *end = skip_digits(s);
    size_t digits = (size_t)(end - s);
    if (digits > 1 && s[0] == '0')
        return 0;
    if (*end == '.') {
        const char *fraction = end + 1;
        end = skip_digits(fraction);
        digits += (size_t)(end - fraction);
    } else if (*end != 'e' && *end != 'E') {
        return 0; /* digits alone: an integer, or one that does not fit */
    }
    if (digits == 0)
        return 0;
    if (*end == 'e' || *end == 'E') {
        end += 1 + (end[1] == '-' || end[1] == '+');
        if (skip_digits(end) == end)
            return 0;
        end = skip_digits(end);
    }
    if (*end)
        return 0;
    double v = strtod(text, NULL);
    return v - v == 0; /* JSON has no infinity: 1e999 stays a string */
}

enum scalar_type scalar_type(const char *text) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    if (is_one_of(text, nulls))
        return SCALAR_NULL;
    if (is_one_of(text, bools))
        return SCALAR_BOOL;
    return is_int(text) ? SCALAR_INT : is_real(text) ? SCALAR_REAL : SCALAR_STRING;
}
