/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/positions.h"

#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Over the parent's id and the key. */
static uint32_t hash_of(uint32_t parent, const char *key) {
    uint64_t h = HASH_SEED;
    for (unsigned i = 0; i < 32; i += 8)
        h = hash_byte(h, (unsigned char)(parent >> i & 0xff));
    return table_hash(hash_text(h, key));
}

void positions_init(struct positions *p, struct arena *a) { *p = (struct positions){.arena = a, .root = {.line = 1, .column = 1}}; }

void positions_free(struct positions *p) { table_free(&p->table, NULL); }

struct position *positions_add(struct positions *p, const struct position *parent, const char *key) {
    struct position *at = table_reserve(&p->table) ? arena_alloc(p->arena, sizeof *at) : NULL;
    if (!at || !(at->key = arena_strdup(p->arena, key)))
        return NULL;
    at->parent = parent->id;
    at->id = ++p->last_id;
    table_add(&p->table, &at->link, hash_of(at->parent, key));
    return at;
}

struct position *positions_child(const struct positions *p, const struct position *parent, const char *key) {
    const uint32_t hash = hash_of(parent->id, key);
    for (struct table_link **l = table_find(&p->table, hash, NULL); l; l = table_find(&p->table, hash, l)) {
        struct position *at = (struct position *)*l;
        if (at->parent == parent->id && strcmp(at->key, key) == 0)
            return at;
    }
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
