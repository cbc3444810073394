/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Small pieces share a block; one allocation each would cost a header per string. */
#define BLOCK_SIZE 16384

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(max_align_t) char data[];
};

struct deferred {
    struct deferred *next;
    void (*fn)(void *);
    void *ptr;
};

struct arena {
    struct block *blocks;
    struct deferred *deferred;
};

struct arena *arena_new(void) { return calloc(1, sizeof(struct arena)); }

void arena_free(struct arena *a) {
    if (!a)
        return;
    for (struct deferred *d = a->deferred; d; d = d->next)
        d->fn(d->ptr);
    for (struct block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

void *arena_alloc(struct arena *a, size_t size) {
    const size_t align = _Alignof(max_align_t);
    if (size > (size_t)-1 - BLOCK_SIZE - sizeof(struct block))
        return NULL;
    size = (size + align - 1) / align * align;
    struct block *b = a->blocks;
    if (!b || b->size - b->used < size) {
        size_t want = size > BLOCK_SIZE / 4 ? size : BLOCK_SIZE;
        b = calloc(1, sizeof *b + want);
        if (!b)
            return NULL;
        b->size = want;
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = b->data + b->used;
    b->used += size;
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n) {
    char *p = arena_alloc(a, n + 1);
    if (p)
        memcpy(p, s, n);
    return p;
}

char *arena_strdup(struct arena *a, const char *s) { return arena_strndup(a, s, strlen(s)); }

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

int arena_defer(struct arena *a, void (*fn)(void *), void *ptr) {
    struct deferred *d = arena_alloc(a, sizeof *d);
    if (!d)
        return -ENOMEM;
    *d = (struct deferred){a->deferred, fn, ptr};
    a->deferred = d;
    return 0;
}
