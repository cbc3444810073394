/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What schema.c (objects, lists of them, kinds) and schema_value.c (everything smaller) share. */
#include "scenario/schema.h"

struct decoder {
    const struct doc *doc;
    const struct kind_set *kinds; /* NULL: none */
    struct arena *arena;
    struct error *err;
    unsigned depth;
};

/* An error at the value (or, key = 1, the key) at the path; returns -EINVAL. */
int decode_fail(const struct decoder *d, const char *path, int key, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int decode_no_memory(const struct decoder *d);
/* path/key, the key escaped; in the arena, NULL: out of memory. */
const char *decode_join(const struct decoder *d, const char *path, const char *key);
const char *decode_join_index(const struct decoder *d, const char *path, size_t index);
/* "every: expected ..., got a list" */
int decode_expected(const struct decoder *d, const struct field *f, const json_t *v, const char *path, const char *expected);
/* Whether a list's or map's length is within the row's limits. */
int decode_length(const struct decoder *d, const struct field *f, size_t count, const char *path);
/* Every type but F_OBJECT, F_LIST, F_MAP and F_KIND. */
int decode_value(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out);
