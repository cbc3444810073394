/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A hash table of entries that hold their own link as their first member, so that an entry's address is its link's. Who looks for one walks its
 * bucket and compares; the table owns no entry. Zeroed: empty. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_link { struct table_link *next; uint32_t hash; };

struct table {
    struct table_link **buckets;
    size_t bucket_count, count;
};

static inline uint32_t table_hash(uint64_t h) { return (uint32_t)(h ^ h >> 32); } /* of base/hash.h's */

/* Makes room for one more, so that the next table_add cannot fail; false: out of memory. */
bool table_reserve(struct table *t);
void table_add(struct table *t, struct table_link *l, uint32_t hash);
/* The place that leads to the first of the hash from *at on; NULL: none. For `for (at = table_find(t, hash, NULL); at; at = table_find(t, hash, at))`. */
struct table_link **table_find(const struct table *t, uint32_t hash, struct table_link **after);
struct table_link *table_take(struct table *t, struct table_link **at); /* out of it; the caller's now */
void table_replace(struct table_link **at, struct table_link *l);       /* by another of the same hash */
/* All, in no order: NULL first; NULL at the end. What was returned last may not be freed before the next is asked for. */
struct table_link *table_next(const struct table *t, const struct table_link *after);
void table_free(struct table *t, void (*entry_free)(void *entry)); /* NULL: the entries stay */
