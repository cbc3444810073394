/* SPDX-License-Identifier: Apache-2.0 */
#include "base/harmful.h"

#include "base/utf8.h"

#include <stdbool.h>

size_t harmful(const char *s) {
    uint32_t c;
    size_t n = utf8_decode(s, UTF8_MOST, &c);
    if (n == 0)
        return 1;
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    bool turns = (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f; /* separators and directions; isolates; marks */
    return control || turns ? n : 0;
}
