/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/positions.h"

#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Over the parent's id and the key. */
static uint64_t hash_of(uint32_t parent, const char *key) {
    uint64_t h = HASH_SEED;
    for (unsigned i = 0; i < 32; i += 8)
        h = hash_byte(h, (unsigned char)(parent >> i & 0xff));
    return hash_text(h, key);
}

int positions_init(struct positions *p, struct arena *a) {
    *p = (struct positions){.arena = a, .bucket_count = 64, .root = {.line = 1, .column = 1}};
    p->buckets = calloc(p->bucket_count, sizeof *p->buckets);
    return p->buckets ? 0 : -ENOMEM;
}

void positions_free(struct positions *p) {
    free(p->buckets);
    p->buckets = NULL;
}

static int grow(struct positions *p) {
    size_t count = p->bucket_count * 2;
    struct position **buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return -ENOMEM;
    for (size_t i = 0; i < p->bucket_count; i++) {
        for (struct position *at = p->buckets[i], *next; at; at = next) {
            next = at->next;
            at->next = buckets[at->hash % count];
            buckets[at->hash % count] = at;
        }
    }
    free(p->buckets);
    p->buckets = buckets;
    p->bucket_count = count;
    return 0;
}

struct position *positions_add(struct positions *p, const struct position *parent, const char *key) {
    if (p->count >= p->bucket_count && grow(p) < 0)
        return NULL;
    struct position *at = arena_alloc(p->arena, sizeof *at);
    if (!at || !(at->key = arena_strdup(p->arena, key)))
        return NULL;
    at->parent = parent->id;
    at->id = ++p->last_id;
    at->hash = hash_of(at->parent, key);
    at->next = p->buckets[at->hash % p->bucket_count];
    p->buckets[at->hash % p->bucket_count] = at;
    p->count++;
    return at;
}

struct position *positions_child(const struct positions *p, const struct position *parent, const char *key) {
    uint64_t h = hash_of(parent->id, key);
    for (struct position *at = p->buckets[h % p->bucket_count]; at; at = at->next)
        if (at->hash == h && at->parent == parent->id && strcmp(at->key, key) == 0)
            return at;
    return NULL;
}

void positions_forget_children(struct positions *p, struct position *at) {
    at->id = ++p->last_id; /* children name their parent by id: under a new one nobody finds them */
}

const char *pointer_next(const char *path, char *out) {
    if (*path != '/')
        return NULL;
    for (path++; *path && *path != '/'; path++) {
        if (path[0] == '~' && (path[1] == '0' || path[1] == '1'))
            *out++ = *++path == '0' ? '~' : '/';
        else
            *out++ = *path;
    }
    *out = '\0';
    return path;
}
