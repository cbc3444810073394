/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <stdlib.h>

bool table_reserve(struct table *t) {
    if (t->count < t->bucket_count)
        return true;
    size_t count = t->bucket_count ? t->bucket_count * 2 : 64;
    struct table_link **buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return false;
    for (size_t i = 0; i < t->bucket_count; i++)
        for (struct table_link *l = t->buckets[i], *next; l; l = next) {
            next = l->next;
            l->next = buckets[l->hash % count];
            buckets[l->hash % count] = l;
        }
    free(t->buckets);
    t->buckets = buckets;
    t->bucket_count = count;
    return true;
}

void table_add(struct table *t, struct table_link *l, uint32_t hash) {
    struct table_link **bucket = &t->buckets[hash % t->bucket_count];
    *l = (struct table_link){.next = *bucket, .hash = hash};
    *bucket = l;
    t->count++;
}

struct table_link **table_find(const struct table *t, uint32_t hash, struct table_link **after) {
    if (!t->count)
        return NULL;
    for (struct table_link **at = after ? &(*after)->next : &t->buckets[hash % t->bucket_count]; *at; at = &(*at)->next)
        if ((*at)->hash == hash)
            return at;
    return NULL;
}

struct table_link *table_take(struct table *t, struct table_link **at) {
    struct table_link *l = *at;
    *at = l->next;
    l->next = NULL;
    t->count--;
    return l;
}

void table_replace(struct table_link **at, struct table_link *l) {
    struct table_link *before = *at;
    *l = *before;
    *at = l;
    before->next = NULL;
}

struct table_link *table_next(const struct table *t, const struct table_link *after) {
    if (after && after->next)
        return after->next;
    for (size_t i = after ? after->hash % t->bucket_count + 1 : 0; i < t->bucket_count; i++)
        if (t->buckets[i])
            return t->buckets[i];
    return NULL;
}

void table_free(struct table *t, void (*entry_free)(void *entry)) {
    for (size_t i = 0; entry_free && i < t->bucket_count; i++)
        for (struct table_link *l = t->buckets[i], *next; l; l = next) {
            next = l->next;
            entry_free(l);
        }
    free(t->buckets);
    *t = (struct table){0};
}
