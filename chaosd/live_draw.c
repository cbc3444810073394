/* SPDX-License-Identifier: Apache-2.0 */
#include "live_draw.h"
#include "live_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { GAP = 2, INDENT = 1, FIRST_LEAST = 6 };

static const char *const codes[] = {[TONE_DIM] = "2", [TONE_BOLD] = "1", [TONE_GOOD] = "32", [TONE_WARN] = "33", [TONE_BAD] = "31"};

static struct buf *line(struct live_canvas *c) { return c->frame->count < c->height ? &c->frame->lines[c->frame->count] : NULL; }

static void colour(struct live_canvas *c, struct buf *b, enum live_tone tone) {
    if (!c->style->colour || tone == c->tone)
        return;
    if (c->tone != TONE_PLAIN)
        buf_str(b, "\x1b[0m");
    if (tone != TONE_PLAIN)
        buf_printf(b, "\x1b[%sm", codes[tone]);
    c->tone = tone;
}

static void put(struct live_canvas *c, enum live_tone tone, const char *text, size_t room) {
    struct buf *b = line(c);
    room = c->column + room > c->width ? c->width - c->column : room;
    if (!b || !room || !*text)
        return;
    colour(c, b, tone);
    c->column += live_put(b, text, room, c->style->utf8);
}

void canvas_put(struct live_canvas *c, enum live_tone tone, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put(c, tone, text, c->width);
}

void canvas_to(struct live_canvas *c, size_t column) {
    column = column < c->width ? column : c->width;
    struct buf *b = line(c);
    if (b && c->column < column) {
        colour(c, b, TONE_PLAIN);
        buf_printf(b, "%*s", (int)(column - c->column), "");
        c->column = column;
    }
}

void canvas_end(struct live_canvas *c) {
    struct buf *b = line(c);
    c->column = 0;
    if (!b)
        return;
    colour(c, b, TONE_PLAIN);
    while (b->len && buf_ok(b) && b->data[b->len - 1] == ' ')
        b->data[--b->len] = 0;
    c->frame->count++;
}

void canvas_sign(struct live_canvas *c, enum live_tone tone, const char *utf8, const char *ascii) {
    put(c, tone, c->style->utf8 ? utf8 : ascii, 1);
}

void table_cell(struct live_table *t, enum live_tone tone, const char *fmt, ...) {
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (t->count == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 128;
        void *cells = arena_alloc(t->canvas->arena, cap * sizeof *t->cells);
        if (!cells) {
            t->canvas->frame->lines[0].failed = true;
            return;
        }
        if (t->count)
            memcpy(cells, t->cells, t->count * sizeof *t->cells);
        t->cells = cells;
        t->cap = cap;
    }
    const char *copy = arena_strdup(t->canvas->arena, text);
    t->cells[t->count].text = copy ? copy : "";
    t->cells[t->count++].tone = tone;
}

static size_t total(const struct live_table *t, const size_t *widths) {
    size_t sum = INDENT;
    for (size_t i = 0; i < t->column_count; i++)
        sum += widths[i] ? widths[i] + (i ? GAP : 0) : 0;
    return sum;
}

void table_fit(struct live_table *t, size_t *widths) {
    bool utf8 = t->canvas->style->utf8;
    size_t width = t->canvas->width;
    for (size_t i = 0; i < t->column_count; i++) {
        size_t title = strlen(t->columns[i].title);
        bool filled = false;
        widths[i] = t->columns[i].least > title ? t->columns[i].least : title;
        for (size_t k = i; k < t->count; k += t->column_count) {
            size_t w = live_columns(t->cells[k].text, utf8);
            filled |= w > 0;
            widths[i] = w > widths[i] ? w : widths[i];
        }
        widths[i] = filled ? widths[i] : 0;
    }
    for (unsigned drop = 1; drop <= TABLE_COLUMNS && total(t, widths) > width; drop++) {
        size_t over = total(t, widths) - width, spare = widths[0] > 2 * FIRST_LEAST ? widths[0] - 2 * FIRST_LEAST : 0;
        if (over <= spare)
            break; /* a shorter name tells more than a figure less */
        for (size_t i = 1; i < t->column_count; i++)
            if (t->columns[i].drop == drop)
                widths[i] = 0;
    }
    size_t over = total(t, widths) > width ? total(t, widths) - width : 0;
    widths[0] = widths[0] > over + FIRST_LEAST ? widths[0] - over : widths[0] < FIRST_LEAST ? widths[0] : over ? FIRST_LEAST : widths[0];
}

static void cell(struct live_table *t, size_t i, enum live_tone tone, const char *text, const size_t *widths, size_t *at) {
    struct live_canvas *c = t->canvas;
    if (!widths[i])
        return;
    size_t w = live_columns(text, c->style->utf8), from = *at + (i ? GAP : 0);
    if (from >= c->width) {
        *at = c->width;
        return;
    }
    canvas_to(c, t->columns[i].right && w < widths[i] ? from + widths[i] - w : from);
    put(c, tone, text, widths[i]);
    *at = from + widths[i];
}

void table_title(struct live_table *t, const size_t *widths) {
    size_t at = INDENT;
    canvas_to(t->canvas, at);
    for (size_t i = 0; i < t->column_count; i++)
        cell(t, i, TONE_DIM, t->columns[i].title, widths, &at);
    canvas_end(t->canvas);
}

void table_row(struct live_table *t, const size_t *widths, size_t row) {
    size_t at = INDENT;
    canvas_to(t->canvas, at);
    for (size_t i = 0; i < t->column_count; i++) {
        size_t k = row * t->column_count + i;
        if (k < t->count)
            cell(t, i, t->cells[k].tone, t->cells[k].text, widths, &at);
    }
    canvas_end(t->canvas);
}
