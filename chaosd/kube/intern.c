/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/intern.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/table.h"

#include <stdint.h>
#include <string.h>

enum what { TEXT, PAIRS, OWNER };

/* The payload follows. Sets and owners hold pointers to interned texts, so bytes that are equal mean things that are equal. */
struct entry {
    struct table_link link;
    uint32_t holds, len;
    enum what what;
    _Alignas(void *) char data[];
};

struct intern { struct table entries; };

struct intern *intern_new(void) {
    struct intern *in = calloc(1, sizeof *in);
    return in;
}

void intern_free(struct intern *in) {
    if (in)
        table_free(&in->entries, free);
    free(in);
}

size_t intern_count(const struct intern *in) { return in->entries.count; }

static struct entry *entry_of(const void *data) { return (struct entry *)((char *)data - offsetof(struct entry, data)); }

/* *ret_new: it was not there; the caller's holds on what it consists of are then the entry's. */
static struct entry *hold(struct intern *in, const void *data, size_t len, enum what what, bool *ret_new) {
    uint64_t h = HASH_SEED;
    for (size_t i = 0; i < len; i++)
        h = hash_byte(h, ((const unsigned char *)data)[i]);
    uint32_t hash = table_hash(h);
    *ret_new = false;
    for (struct table_link **at = table_find(&in->entries, hash, NULL); at; at = table_find(&in->entries, hash, at)) {
        struct entry *e = (struct entry *)*at;
        if (e->len == len && e->what == what && memcmp(e->data, data, len) == 0) {
            e->holds++;
            return e;
        }
    }
    struct entry *e = table_reserve(&in->entries) ? malloc(sizeof *e + len) : NULL;
    if (!e)
        return NULL;
    *e = (struct entry){.holds = 1, .len = (uint32_t)len, .what = what};
    memcpy(e->data, data, len);
    table_add(&in->entries, &e->link, hash);
    *ret_new = true;
    return e;
}

const char *intern_text(struct intern *in, const char *text) {
    bool fresh;
    struct entry *e = hold(in, text, strlen(text) + 1, TEXT, &fresh);
    return e ? e->data : NULL;
}

/* The texts that a set or an owner consists of. */
static const char **parts_of(struct entry *e, size_t *ret_count) {
    size_t before = e->what == PAIRS ? sizeof(struct kube_pairs) : 0;
    *ret_count = (e->len - before) / sizeof(char *);
    return (const char **)(void *)(e->data + before);
}

static void release_parts(struct intern *in, const char **parts, size_t count) {
    for (size_t i = 0; i < count; i++)
        intern_release(in, parts[i]);
}

void intern_release(struct intern *in, const void *held) {
    if (!held)
        return;
    struct entry *e = entry_of(held);
    if (--e->holds > 0)
        return;
    struct table_link **at = table_find(&in->entries, e->link.hash, NULL);
    while (*at != &e->link)
        at = table_find(&in->entries, e->link.hash, at);
    table_take(&in->entries, at);
    if (e->what != TEXT) {
        size_t count;
        const char **parts = parts_of(e, &count);
        release_parts(in, parts, count);
    }
    free(e);
}

/* parts: holds of the caller's, all of them given up here. */
static const void *hold_set(struct intern *in, enum what what, const void *data, size_t len, const char **parts, size_t count) {
    bool fresh = false, whole = true;
    for (size_t i = 0; i < count; i++)
        whole = whole && parts[i];
    struct entry *e = whole ? hold(in, data, len, what, &fresh) : NULL;
    if (!fresh)
        release_parts(in, parts, count);
    return e ? e->data : NULL;
}

static int by_key(const void *a, const void *b) { return strcmp(((const struct kube_pair *)a)->key, ((const struct kube_pair *)b)->key); }

const struct kube_pairs *intern_pairs(struct intern *in, const json_t *object) {
    size_t most = json_object_size(object), size = sizeof(struct kube_pairs) + most * sizeof(struct kube_pair);
    cleanup_free struct kube_pairs *p = calloc(1, size);
    if (!p)
        return NULL;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        if (json_is_string(value))
            p->items[p->count++] = (struct kube_pair){key, json_string_value(value)};
    }
    qsort(p->items, p->count, sizeof p->items[0], by_key);
    for (size_t i = 0; i < p->count; i++) {
        p->items[i].key = intern_text(in, p->items[i].key);
        p->items[i].value = intern_text(in, p->items[i].value);
    }
    size = sizeof *p + p->count * sizeof(struct kube_pair);
    return hold_set(in, PAIRS, p, size, (const char **)(void *)p->items, 2 * p->count);
}

const struct kube_owner *intern_owner(struct intern *in, const struct kube_owner *o) {
    struct kube_owner own = {intern_text(in, o->kind), intern_text(in, o->name), intern_text(in, o->uid), intern_text(in, o->group)};
    return hold_set(in, OWNER, &own, sizeof own, (const char **)(void *)&own, sizeof own / sizeof(char *));
}
