/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* doc.c's memory of where each value stood: one entry a value, found step by step from the root, so that memory is
 * bounded by the number of values, not by the length of their paths. */
#include "base/arena.h"
#include "base/table.h"

#include <stddef.h>
#include <stdint.h>

struct position {
    struct table_link link;
    uint32_t parent, id;
    const char *key;
    int line, column;         /* of the value, from 1 */
    int key_line, key_column; /* 0: no key of its own */
    const char *written;      /* a plain scalar that is no string, as written */
};

struct positions {
    struct arena *arena;
    struct table table;
    uint32_t last_id;
    struct position root;
};

void positions_init(struct positions *p, struct arena *a);
void positions_free(struct positions *p);
struct position *positions_add(struct positions *p, const struct position *parent, const char *key); /* NULL: out of memory */
struct position *positions_child(const struct positions *p, const struct position *parent, const char *key); /* NULL: absent */
void positions_forget_children(struct positions *p, struct position *at);

/* The first segment of a JSON pointer, unescaped into out (at least as long as the pointer); returns what is left, NULL at its end. */
const char *pointer_next(const char *path, char *out);
