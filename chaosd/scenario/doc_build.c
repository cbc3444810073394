/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/doc_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

struct builder {
    struct doc *doc;
    const struct item *items;
    size_t nodes, bytes;
    struct error *err;
};

static int build(struct builder *b, size_t index, struct position *at, unsigned depth, json_t **ret);

static int fail(const struct builder *b, const struct item *it, int rc, const char *what) {
    return item_error(b->doc->name, it->line, it->column, b->err, rc, "%s", what);
}

static int out_of_memory(const struct builder *b) {
    return error_set(b->err, -ENOMEM, "%s: out of memory", b->doc->name);
}

/* Counts what aliases expand to: a few lines can stand for billions. */
static int count_node(struct builder *b, const struct item *it) {
    b->bytes += it->len;
    if (++b->nodes > DOC_MAX_NODES)
        return item_error(b->doc->name, it->line, it->column, b->err, -E2BIG,
                          "aliases and merge keys expand to more than %d values: write out less through them", DOC_MAX_NODES);
    if (b->bytes > DOC_MAX_EXPANDED_BYTES)
        return item_error(b->doc->name, it->line, it->column, b->err, -E2BIG,
                          "aliases expand to more than %d bytes of text: write out less through them", DOC_MAX_EXPANDED_BYTES);
    return 0;
}

static json_t *int_value(const char *text) {
    int octal = text[0] == '0' && text[1] == 'o';
    int hex = text[0] == '0' && text[1] == 'x';
    return json_integer(strtoll(octal ? text + 2 : text, NULL, octal ? 8 : hex ? 16 : 10));
}

static json_t *scalar_value(const struct item *it) {
    switch (it->plain ? scalar_type(it->text) : SCALAR_STRING) {
    case SCALAR_NULL:
        return json_null();
    case SCALAR_BOOL:
        return json_boolean(it->text[0] == 't' || it->text[0] == 'T');
    case SCALAR_INT:
        return int_value(it->text);
    case SCALAR_REAL:
        return json_real(strtod(it->text, NULL));
    default:
        return json_stringn(it->text, it->len);
    }
}

static int build_scalar(const struct builder *b, const struct item *it, struct position *at, json_t **ret) {
    json_t *v = scalar_value(it);
    if (!v) /* never for its bytes: the text is checked, and libyaml refuses escapes that are not Unicode */
        return out_of_memory(b);
    if (!json_is_string(v) && !(at->written = arena_strdup(b->doc->arena, it->text))) {
        json_decref(v);
        return out_of_memory(b);
    }
    *ret = v;
    return 0;
}

static int build_list(struct builder *b, size_t index, struct position *at, unsigned depth, json_t **ret) {
    cleanup_json json_t *list = json_array();
    if (!list)
        return out_of_memory(b);
    const struct item *items = b->items;
    for (size_t i = index + 1; items[i].type != ITEM_END; i = items[i].end + 1) {
        char key[24];
        json_t *v;
        snprintf(key, sizeof key, "%zu", json_array_size(list));
        struct position *child = positions_add(&b->doc->positions, at, key);
        if (!child)
            return out_of_memory(b);
        int rc = build(b, i, child, depth + 1, &v);
        if (rc < 0)
            return rc;
        if (json_array_append_new(list, v) < 0)
            return out_of_memory(b);
    }
    *ret = take_ptr(list);
    return 0;
}

static bool is_merge(const struct item *key) {
    return key->plain && strcmp(key->text, "<<") == 0;
}

static int build_member(struct builder *b, size_t key, json_t *map, const struct position *at, unsigned depth) {
    json_t *v;
    const struct item *k = &b->items[key];
    struct position *child = positions_add(&b->doc->positions, at, k->text);
    if (!child)
        return out_of_memory(b);
    child->key_line = k->line;
    child->key_column = k->column;
    int rc = build(b, key + 1, child, depth + 1, &v);
    if (rc < 0)
        return rc;
    return json_object_set_new(map, k->text, v) < 0 ? out_of_memory(b) : 0;
}

/* Adds the members of a map that the target has not: its own first, then those it merges itself. */
static int merge_map(struct builder *b, size_t index, json_t *map, const struct position *at, unsigned depth, bool own);

static int merge(struct builder *b, size_t index, json_t *map, const struct position *at, unsigned depth, bool in_list) {
    const struct item *items = b->items, *where = &items[index];
    int rc = count_node(b, where);
    if (rc < 0)
        return rc;
    if (depth > DOC_MAX_DEPTH)
        return fail(b, where, -E2BIG, "merge keys refer to one another too deeply: flatten them");
    if (where->type == ITEM_ALIAS)
        index = where->target;
    if (items[index].type == ITEM_MAP)
        return merge_map(b, index, map, at, depth, true);
    if (items[index].type != ITEM_LIST || in_list)
        return fail(b, where, -EINVAL, "\"<<\" merges a mapping, or a list of mappings: use an alias to one, or another key");
    for (size_t i = index + 1; items[i].type != ITEM_END; i = items[i].end + 1)
        if ((rc = merge(b, i, map, at, depth + 1, true)) < 0)
            return rc;
    return 0;
}

static int merge_map(struct builder *b, size_t index, json_t *map, const struct position *at, unsigned depth, bool own) {
    const struct item *items = b->items;
    int rc = 0;
    for (size_t i = index + 1; own && rc == 0 && items[i].type != ITEM_END; i = items[i + 1].end + 1) {
        if (is_merge(&items[i]))
            continue;
        rc = count_node(b, &items[i]); /* those not taken cost time too */
        if (rc == 0 && !json_object_get(map, items[i].text))
            rc = build_member(b, i, map, at, depth);
    }
    for (size_t i = index + 1; rc == 0 && items[i].type != ITEM_END; i = items[i + 1].end + 1)
        if (is_merge(&items[i]))
            rc = merge(b, i + 1, map, at, depth + 1, false);
    return rc;
}

static int build_map(struct builder *b, size_t index, struct position *at, unsigned depth, json_t **ret) {
    cleanup_json json_t *map = json_object();
    if (!map)
        return out_of_memory(b);
    const struct item *items = b->items;
    int rc = 0;
    for (size_t i = index + 1; rc == 0 && items[i].type != ITEM_END; i = items[i + 1].end + 1)
        if (!is_merge(&items[i]))
            rc = build_member(b, i, map, at, depth);
    if (rc == 0)
        rc = merge_map(b, index, map, at, depth, false);
    if (rc == 0)
        *ret = take_ptr(map);
    return rc;
}

/* The position of an alias is its own; of what is inside, where that was written. */
static int build(struct builder *b, size_t index, struct position *at, unsigned depth, json_t **ret) {
    const struct item *it = &b->items[index];
    at->line = it->line;
    at->column = it->column;
    int rc = count_node(b, it);
    if (rc < 0)
        return rc;
    if (it->type == ITEM_ALIAS) {
        index = it->target;
        if (b->items[index].type == ITEM_SCALAR)
            b->bytes += b->items[index].len;
    }
    if (depth >= DOC_MAX_DEPTH && b->items[index].type != ITEM_SCALAR)
        return item_error(b->doc->name, it->line, it->column, b->err, -E2BIG, "aliases nest deeper than %d levels: flatten them",
                          DOC_MAX_DEPTH);
    switch (b->items[index].type) {
    case ITEM_LIST:
        return build_list(b, index, at, depth, ret);
    case ITEM_MAP:
        return build_map(b, index, at, depth, ret);
    default:
        return build_scalar(b, &b->items[index], at, ret);
    }
}

int doc_build(struct doc *d, const struct items *items, struct error *err) {
    struct builder b = {.doc = d, .items = items->items, .err = err};
    return build(&b, 0, &d->positions.root, 0, &d->root);
}
