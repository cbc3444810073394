/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Aligned columns of plain text for a terminal. Widths count code points; what comes from outside cannot move the cursor. */
#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>

enum { GRID_COLUMNS = 12 };

struct grid {
    struct arena *arena;
    struct {
        const char *title;
        bool right;  /* figures */
        bool shrink; /* may be cut with "…" where the line is too long */
    } columns[GRID_COLUMNS];
    size_t column_count;
    const char **cells; /* row by row; from the arena */
    size_t count, cap;
    bool failed;
};

void grid_column(struct grid *g, const char *title, bool right, bool shrink);
void grid_cell(struct grid *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends the lines, title first. Columns that no row fills are left out. */
void grid_render(const struct grid *g, size_t width, struct buf *out);

/* Printable text: control characters and broken UTF-8 as \xNN. From the arena; NULL: out of memory. */
const char *text_clean(struct arena *a, const char *s);
size_t text_width(const char *s);
/* Words of s, broken at width; lines after the first begin with indent spaces. column: where the cursor is. Ends the line. */
void text_wrap(struct buf *out, const char *s, size_t column, size_t indent, size_t width);
