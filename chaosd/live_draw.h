/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the picture is drawn with: lines that know their column, and tables that give up columns where it gets narrow. */
#include "base/arena.h"
#include "live_render.h"

struct live_canvas {
    struct live_frame *frame;
    struct arena *arena; /* of one picture */
    size_t width, height, column;
    const struct live_style *style;
    enum live_tone tone; /* as the terminal has it */
};

void canvas_put(struct live_canvas *c, enum live_tone tone, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void canvas_to(struct live_canvas *c, size_t column); /* blanks up to there */
void canvas_end(struct live_canvas *c);               /* the line is done */
/* One sign of the picture itself, of one column: the first where the terminal speaks UTF-8. */
void canvas_sign(struct live_canvas *c, enum live_tone tone, const char *utf8, const char *ascii);

enum { TABLE_COLUMNS = 8 };
struct live_table {
    struct live_canvas *canvas;
    struct { const char *title; bool right; unsigned least, drop; } columns[TABLE_COLUMNS]; /* least: columns taken anyway, so that
        nothing jumps; drop: given up in this order where it gets narrow, 0: never. The first one shrinks. */
    size_t column_count;
    struct { const char *text; enum live_tone tone; } *cells; /* in the canvas' arena */
    size_t count, cap;
};
void table_cell(struct live_table *t, enum live_tone tone, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Decides what is shown; then the title and each row can be put, between other lines. */
void table_fit(struct live_table *t, size_t *ret_widths);
void table_title(struct live_table *t, const size_t *widths);
void table_row(struct live_table *t, const size_t *widths, size_t row);
