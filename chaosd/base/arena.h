/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Memory that lives and dies with one owner: a loaded scenario, a judgement. No single frees. */
#include <stddef.h>

struct arena;
struct arena *arena_new(void);                             /* NULL: out of memory */
void arena_free(struct arena *a);                          /* NULL-safe */
void *arena_alloc(struct arena *a, size_t size);           /* zeroed, aligned for any type; NULL: out of memory */
char *arena_strdup(struct arena *a, const char *s);        /* NULL: out of memory */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Calls fn(ptr) when the arena goes: for what needs more than free (json_decref, regfree). */
int arena_defer(struct arena *a, void (*fn)(void *), void *ptr);
