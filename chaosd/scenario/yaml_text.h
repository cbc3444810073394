/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The text itself, before it is YAML: libyaml reports a bad byte without its line, so it is looked for here. */
#include "base/error.h"

#include <stddef.h>

/* UTF-8 without control characters; steps over a byte order mark. */
int text_check(const char *name, const char **text, size_t *len, struct error *err);
/* Offset of a position counted from 1, columns in characters; len when it is past the end. */
size_t text_offset(const char *text, size_t len, int line, int column);

enum scalar_type { SCALAR_STRING, SCALAR_NULL, SCALAR_BOOL, SCALAR_INT, SCALAR_REAL };
/* What a plain scalar is in YAML 1.2's core schema. Integers with leading zeros, and numbers that do not fit, are strings. */
enum scalar_type scalar_type(const char *text);
