/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What doc.c, doc_build.c and doc_yaml.c share. */
#include "scenario/doc.h"
#include "scenario/positions.h"
#include "scenario/yaml_items.h"
#include "scenario/yaml_text.h"

struct doc {
    char *name;
    json_t *root;
    struct arena *arena;
    struct positions positions;
    doc_origin *origin; /* NULL: a text, whose values have positions */
    void *origin_arg;
};

/* Aliases may repeat texts: together they hold at most so many bytes. */
enum { DOC_MAX_EXPANDED_BYTES = 4 * DOC_MAX_BYTES };

/* Second pass: items to d->root and d->positions. */
int doc_build(struct doc *d, const struct items *items, struct error *err);
