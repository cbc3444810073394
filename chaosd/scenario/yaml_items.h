/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* doc.c's first pass: libyaml's events as a flat, checked list. What is in it is well-formed UTF-8 without NUL, one
 * document, nested within bounds, every key a scalar and there once, every alias known. */
#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum item_type { ITEM_SCALAR, ITEM_LIST, ITEM_MAP, ITEM_END, ITEM_ALIAS };

struct item {
    enum item_type type;
    const char *text; /* scalar */
    size_t len;
    bool plain;       /* neither quoted nor tagged as a string: its text decides its type */
    int line, column; /* from 1 */
    size_t end;       /* the last item that belongs to this one; itself for a scalar or alias */
    size_t target;    /* alias: the item it stands for */
};

struct items {
    struct item *items;
    size_t count, room;
};

/* "name:line:column: text"; returns rc. */
int item_error(const char *name, int line, int column, struct error *err, int rc, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
/* The list is empty when the text holds nothing but comments. Texts live in the arena; free items->items. */
int items_read(const char *name, const char *text, size_t len, struct arena *a, struct items *ret, struct error *err);
