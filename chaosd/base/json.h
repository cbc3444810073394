/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Short forms over jansson. */
#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

/* Value at a dotted path ("header.member_id", "members.0.name"); borrowed, NULL when absent. */
json_t *json_at(const json_t *root, const char *path);
/* A scalar as text, into a caller's buffer for numbers: strings as they are, true/false, numbers shortest. NULL for other types. */
const char *json_text(const json_t *value, char *tmp, size_t size);
int64_t json_int_or(const json_t *obj, const char *key, int64_t fallback);
const char *json_str_or(const json_t *obj, const char *key, const char *fallback);
json_t *json_string_or_null(const char *text); /* of NULL: null. New reference; NULL: out of memory, or no UTF-8 */
/* As a file for programs and people: indented, with a newline at its end. tree NULL: out of memory. what names it in the error. */
int json_file(const json_t *tree, const char *what, struct buf *out, struct error *err);
/* ms with three decimals from ns; NULL-json when ns < 0 (unknown is null, never 0). New reference. */
json_t *json_ms(int64_t ns);
