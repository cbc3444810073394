/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encode.h"

#include <ctype.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct buf *out, const void *data, size_t len) {
    const unsigned char *s = data;
    for (size_t i = 0; i < len; i += 3) {
        unsigned v = 0;
        for (size_t j = 0; j < 3; j++)
            v = v << 8 | (i + j < len ? s[i + j] : 0);
        char quad[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < len ? digits[v >> 6 & 63] : '=', i + 2 < len ? digits[v & 63] : '='};
        buf_add(out, quad, sizeof quad);
    }
}

bool base64_decode(const char *text, struct buf *out) {
    unsigned v = 0, bits = 0, count = 0;
    buf_add(out, "", 0);
    for (; *text && *text != '='; text++) {
        if (isspace((unsigned char)*text))
            continue;
        const char *d = strchr(digits, *text);
        if (!d)
            return false;
        v = (v << 6 | (unsigned)(d - digits)) & 0xffffff;
        bits += 6;
        count++;
        if (bits >= 8) {
            bits -= 8;
            char c = (char)(v >> bits & 255);
            buf_add(out, &c, 1);
        }
    }
    return text[strspn(text, "= \t\r\n")] == 0 && count % 4 != 1;
}

void url_add(struct buf *out, const char *s) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c < 0x80 && isalnum(c)) || strchr("-._~", c))
            buf_add(out, s, 1);
        else
            buf_printf(out, "%%%02X", c);
    }
}
