/* SPDX-License-Identifier: Apache-2.0 */
#include "live_text.h"
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

struct range { uint32_t first, last; };

/* Take no column: combining marks, joiners, direction marks (which could turn a line round), variation selectors. */
static const struct range none[] = {
    {0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x610, 0x61a}, {0x61c, 0x61c}, {0x64b, 0x65f}, {0x200b, 0x200f}, {0x2028, 0x202e},
    {0x2060, 0x206f}, {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
};
/* Take two: East Asian wide and full width, emoji. Roughly Unicode's EastAsianWidth W and F. */
static const struct range wide[] = {
    {0x1100, 0x115f}, {0x231a, 0x231b}, {0x23e9, 0x23ec}, {0x25fd, 0x25fe}, {0x2614, 0x2615}, {0x2648, 0x2653}, {0x26a1, 0x26a1},
    {0x2705, 0x2705}, {0x274c, 0x274c}, {0x2753, 0x2755}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff},
    {0xa000, 0xa4cf}, {0xa960, 0xa97f}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6},
    {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd},
};

static bool within(const struct range *r, size_t n, uint32_t c) {
    for (size_t i = 0; i < n; i++)
        if (c >= r[i].first && c <= r[i].last)
            return true;
    return false;
}

/* The character at *p, and past it; UINT32_MAX for a byte that is none. */
static uint32_t next(const unsigned char **p) {
    uint32_t c;
    size_t n = utf8_decode((const char *)*p, UTF8_MOST, &c);
    *p += n ? n : 1;
    return n ? c : UINT32_MAX;
}

static size_t width_of(uint32_t c, bool utf8) {
    if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == UINT32_MAX)
        return 1; /* the '?' */
    if (c < 0x300)
        return 1;
    if (within(none, sizeof none / sizeof *none, c))
        return 0;
    return utf8 && within(wide, sizeof wide / sizeof *wide, c) ? 2 : 1;
}

size_t live_columns(const char *s, bool utf8) {
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)s; *p;)
        n += width_of(next(&p), utf8);
    return n;
}

size_t live_put(struct buf *out, const char *s, size_t room, bool utf8) {
    bool cut = live_columns(s, utf8) > room;
    size_t col = 0;
    if (!room)
        return 0;
    for (const unsigned char *p = (const unsigned char *)s, *from = p; *p; from = p) {
        uint32_t c = next(&p);
        size_t w = width_of(c, utf8);
        if (!w)
            continue;
        if (col + w > room - cut)
            break;
        bool odd = c < 0x20 || (c >= 0x7f && (c < 0xa0 || c == UINT32_MAX || !utf8));
        if (odd)
            buf_str(out, "?");
        else
            buf_add(out, from, (size_t)(p - from));
        col += w;
    }
    if (cut) {
        buf_str(out, utf8 ? "…" : "~");
        col++;
    }
    return col;
}

bool live_locale_utf8(const char *lc_all, const char *lc_ctype, const char *lang) {
    const char *name = lc_all && *lc_all ? lc_all : lc_ctype && *lc_ctype ? lc_ctype : lang ? lang : "";
    return strcasestr(name, "UTF-8") || strcasestr(name, "UTF8");
}
