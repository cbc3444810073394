/* SPDX-License-Identifier: Apache-2.0 */
#include "base/harmful.h"

#include <stdbool.h>

size_t utf8_length(const char *s) {
    const unsigned char *p = (const unsigned char *)s;
    size_t n = *p < 0x80 ? 1 : *p >= 0xc2 && *p <= 0xdf ? 2 : (*p & 0xf0) == 0xe0 ? 3 : *p >= 0xf0 && *p <= 0xf4 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

size_t harmful(const char *s) {
    const unsigned char *p = (const unsigned char *)s;
    size_t n = utf8_length(s);
    if (n == 0)
        return 1;
    bool control = *p < 0x20 || *p == 0x7f || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
    /* U+2028..202E: separators and directions; U+2066..2069: isolates; U+200E, U+200F: marks */
    bool turns = n == 3 && p[0] == 0xe2 &&
                 ((p[1] == 0x80 && ((p[2] >= 0xa8 && p[2] <= 0xae) || p[2] == 0x8e || p[2] == 0x8f)) || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
    return control || turns ? n : 0;
}
