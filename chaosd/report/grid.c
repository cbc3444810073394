/* SPDX-License-Identifier: Apache-2.0 */
#include "report/grid.h"
#include "base/harmful.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { GAP = 2, INDENT = 2, LEAST = 8 };

const char *text_clean(struct arena *a, const char *s) {
    char *out = arena_alloc(a, strlen(s) * 4 + 1), *to = out;
    if (!out)
        return NULL;
    while (*s) {
        size_t bad = harmful(s), n = bad ? bad : utf8_decode(s, UTF8_MOST, NULL);
        for (size_t i = 0; i < n; i++, s++) {
            if (bad)
                to += sprintf(to, "\\x%02x", (unsigned char)*s);
            else
                *to++ = *s;
        }
    }
    *to = 0;
    return out;
}

size_t text_width(const char *s) {
    size_t n = 0;
    for (; *s; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

/* Bytes of the next word, cut where it is wider than room columns; its columns in *ret_width. */
static size_t next_word(const char *s, size_t room, size_t *ret_width) {
    size_t len = 0;
    *ret_width = 0;
    for (; s[len] && s[len] != ' '; len++) {
        bool starts = (s[len] & 0xc0) != 0x80;
        if (starts && *ret_width == room)
            break;
        *ret_width += starts;
    }
    return len;
}

void text_wrap(struct buf *out, const char *s, size_t column, size_t indent, size_t width) {
    bool gap = false;
    for (s += strspn(s, " "); *s;) {
        size_t w, len = next_word(s, width > indent ? width - indent : 1, &w);
        if (column + gap + w > width) {
            buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
            gap = false;
        }
        buf_printf(out, "%s%.*s", gap ? " " : "", (int)len, s);
        column += w + gap;
        s += len;
        gap = *s == ' ';
        s += strspn(s, " ");
    }
    buf_str(out, "\n");
}

void grid_column(struct grid *g, const char *title, bool right, bool shrink) {
    if (g->column_count == GRID_COLUMNS) {
        g->failed = true;
        return;
    }
    g->columns[g->column_count].title = title;
    g->columns[g->column_count].right = right;
    g->columns[g->column_count++].shrink = shrink;
}

void grid_cell(struct grid *g, const char *fmt, ...) {
    char raw[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    if (g->count == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        const char **cells = arena_alloc(g->arena, cap * sizeof *cells); /* the old ones stay in the arena: a table is small */
        if (!cells) {
            g->failed = true;
            return;
        }
        if (g->count)
            memcpy(cells, g->cells, g->count * sizeof *cells);
        g->cells = cells;
        g->cap = cap;
    }
    const char *clean = text_clean(g->arena, raw);
    g->failed |= !clean;
    g->cells[g->count++] = clean ? clean : "";
}

static size_t line_width(const struct grid *g, const size_t *widths) {
    size_t sum = INDENT;
    for (size_t i = 0; i < g->column_count; i++)
        sum += widths[i] ? widths[i] + GAP : 0;
    return sum - GAP;
}

static void measure(const struct grid *g, size_t width, size_t *widths) {
    for (size_t i = 0; i < g->column_count; i++) {
        widths[i] = 0;
        for (size_t k = i; k < g->count; k += g->column_count) {
            size_t w = text_width(g->cells[k]);
            widths[i] = w > widths[i] ? w : widths[i];
        }
        size_t title = text_width(g->columns[i].title);
        if (widths[i] && widths[i] < title)
            widths[i] = title;
    }
    while (line_width(g, widths) > width) {
        size_t widest = g->column_count;
        for (size_t i = 0; i < g->column_count; i++)
            if (g->columns[i].shrink && widths[i] > LEAST && (widest == g->column_count || widths[i] > widths[widest]))
                widest = i;
        if (widest == g->column_count)
            break; /* figures are never cut: better a long line than a wrong number */
        widths[widest]--;
    }
}

static void put_cell(struct buf *out, const char *s, size_t width, bool right) {
    size_t w = text_width(s);
    if (w > width) {
        size_t bytes = 0;
        for (size_t n = 0; s[bytes]; bytes++) { /* to the start of the character whose place the ellipsis takes */
            n += (s[bytes] & 0xc0) != 0x80;
            if (n == width)
                break;
        }
        buf_add(out, s, bytes);
        buf_str(out, "…");
        return;
    }
    if (right)
        buf_printf(out, "%*s%s", (int)(width - w), "", s);
    else
        buf_printf(out, "%s%*s", s, (int)(width - w), "");
}

static void put_line(const struct grid *g, const char *const *cells, const size_t *widths, struct buf *out) {
    buf_printf(out, "%*s", INDENT, "");
    bool first = true;
    for (size_t i = 0; i < g->column_count; i++) {
        if (!widths[i])
            continue;
        buf_printf(out, "%*s", first ? 0 : GAP, "");
        put_cell(out, cells[i], widths[i], g->columns[i].right);
        first = false;
    }
    while (out->len && buf_ok(out) && out->data[out->len - 1] == ' ') /* no trailing blanks: they show in diffs */
        out->data[--out->len] = 0;
    buf_str(out, "\n");
}

void grid_render(const struct grid *g, size_t width, struct buf *out) {
    size_t widths[GRID_COLUMNS];
    const char *titles[GRID_COLUMNS];
    if (g->failed) {
        out->failed = true;
        return;
    }
    measure(g, width, widths);
    for (size_t i = 0; i < g->column_count; i++)
        titles[i] = g->columns[i].title;
    put_line(g, titles, widths, out);
    for (size_t k = 0; k + g->column_count <= g->count; k += g->column_count)
        put_line(g, g->cells + k, widths, out);
}
