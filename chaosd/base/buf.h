/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A growable byte string, always NUL-terminated once anything was added. Zero-initialise; free with buf_free.
 * Allocation failure is sticky: further adds do nothing and buf_ok() turns false, so a chain needs one check. */
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len, cap;
    bool failed;
};

void buf_add(struct buf *b, const void *data, size_t len);
void buf_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_clear(struct buf *b); /* keeps the memory */
void buf_free(struct buf *b);  /* NULL-safe, leaves a zeroed struct */
static inline bool buf_ok(const struct buf *b) { return !b->failed; }
/* Hands over the string (never NULL unless failed); the buffer is empty after. */
char *buf_take(struct buf *b);
#define cleanup_buf __attribute__((__cleanup__(buf_free)))
