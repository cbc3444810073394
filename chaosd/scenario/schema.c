/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/schema_internal.h"

#include "base/cleanup.h"
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int decode_object(struct decoder *d, const struct shape *shape, json_t *v, const char *path, const char *name, void *out);

int decode_fail(const struct decoder *d, const char *path, int key, const char *fmt, ...) {
    char text[900];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return doc_error(d->doc, path, key, d->err, -EINVAL, "%s", text);
}

int schema_bad(const struct schema_at *at, const char *field, struct error *err, const char *fmt, ...) {
    char path[512], text[900];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snprintf(path, sizeof path, "%s/%s", at->path, field);
    return doc_error(at->doc, path, 0, err, -EINVAL, "%s", text);
}

int decode_no_memory(const struct decoder *d) {
    return error_set(d->err, -ENOMEM, "%s: out of memory", doc_name(d->doc));
}

const char *decode_join(const struct decoder *d, const char *path, const char *key) {
    size_t len = strlen(path), extra = 2;
    for (const char *k = key; *k; k++)
        extra += *k == '~' || *k == '/' ? 2 : 1;
    char *joined = arena_alloc(d->arena, len + extra);
    if (!joined)
        return NULL;
    memcpy(joined, path, len);
    char *o = joined + len;
    *o++ = '/';
    for (; *key; key++) {
        *o++ = *key == '/' ? '~' : *key;
        if (*key == '~' || *key == '/')
            *o++ = *key == '~' ? '0' : '1';
    }
    *o = '\0';
    return joined;
}

const char *decode_join_index(const struct decoder *d, const char *path, size_t index) {
    return arena_printf(d->arena, "%s/%zu", path, index);
}

int decode_length(const struct decoder *d, const struct field *f, size_t count, const char *path) {
    if (f->min > 0 && count < (size_t)f->min)
        return decode_fail(d, path, 0, "%s: too short: its length is %zu, at least %" PRId64 " is wanted", f->name, count, f->min);
    if (f->max > 0 && count > (size_t)f->max)
        return decode_fail(d, path, 0, "%s: too long: its length is %zu, at most %" PRId64 " is wanted", f->name, count, f->max);
    return 0;
}

static const struct field *fields_of(const struct shape *shape) {
    static const struct field none[1];
    return shape->fields ? shape->fields : none;
}

static const struct kind_row *const *group_of(const struct decoder *d, const struct field *f) {
    static const struct kind_row *const none[] = {NULL};
    const struct kind_row *const *group = d->kinds ? d->kinds->groups[f->kinds] : NULL;
    return group ? group : none;
}

static const struct field *find_field(const struct shape *shape, const char *key) {
    for (const struct field *f = fields_of(shape); f->name; f++)
        if (f->type != F_KIND && strcmp(f->name, key) == 0)
            return f;
    return NULL;
}

static const struct kind_row *find_kind(const struct decoder *d, const struct shape *shape, const char *key) {
    for (const struct field *f = fields_of(shape); f->name; f++)
        for (const struct kind_row *const *k = group_of(d, f); f->type == F_KIND && *k; k++)
            if (strcmp((*k)->name, key) == 0)
                return *k;
    return NULL;
}

/* Every key the shape takes, its rows' and its kinds'; NULL-terminated, NULL: out of memory. */
static const char **known_keys(const struct decoder *d, const struct shape *shape) {
    size_t count = 1;
    for (const struct field *f = fields_of(shape); f->name; f++) {
        count++;
        for (const struct kind_row *const *k = group_of(d, f); f->type == F_KIND && *k; k++)
            count++;
    }
    const char **names = arena_alloc(d->arena, count * sizeof *names), **n = names;
    for (const struct field *f = fields_of(shape); names && f->name; f++) {
        if (f->type != F_KIND)
            *n++ = f->name;
        for (const struct kind_row *const *k = group_of(d, f); f->type == F_KIND && *k; k++)
            *n++ = (*k)->name;
    }
    return names;
}

static void list_keys(const char *const *names, struct buf *out) {
    for (size_t i = 0; names[i]; i++)
        buf_printf(out, "%s%s", i ? ", " : "", names[i]);
}

static int unknown_key(const struct decoder *d, const struct shape *shape, const char *key, const char *path) {
    char clip[CLIP_SIZE];
    cleanup_buf struct buf list = {0};
    const char **names = known_keys(d, shape), *at = decode_join(d, path, key);
    if (!names || !at)
        return decode_no_memory(d);
    const char *near = did_you_mean(key, names);
    text_clip(key, clip);
    if (near)
        return decode_fail(d, at, 1, "unknown key \"%s\" in %s, did you mean \"%s\"?", clip, shape->name, near);
    list_keys(names, &list);
    if (!buf_ok(&list))
        return decode_no_memory(d);
    if (!list.data)
        return decode_fail(d, at, 1, "unknown key \"%s\": %s takes no keys", clip, shape->name);
    return decode_fail(d, at, 1, "unknown key \"%s\" in %s: it takes %s", clip, shape->name, list.data);
}

static int check_keys(const struct decoder *d, const struct shape *shape, json_t *v, const char *path) {
    const char *key;
    json_t *member;
    json_object_foreach(v, key, member) {
        if (!find_field(shape, key) && !find_kind(d, shape, key))
            return unknown_key(d, shape, key, path);
    }
    return 0;
}

static int expect_object(const struct decoder *d, const struct shape *shape, const json_t *v, const char *path) {
    cleanup_buf struct buf list = {0};
    const char **names = known_keys(d, shape);
    if (!names)
        return decode_no_memory(d);
    list_keys(names, &list);
    if (!buf_ok(&list))
        return decode_no_memory(d);
    const struct field f = {.name = shape->name};
    const char *text = arena_printf(d->arena, "a mapping with keys of %s", list.data ? list.data : "none");
    return text ? decode_expected(d, &f, v, path, text) : decode_no_memory(d);
}

static int decode_pointer(struct decoder *d, const struct shape *shape, json_t *v, const char *path, void *out) {
    void *p = arena_alloc(d->arena, shape->size);
    if (!p)
        return decode_no_memory(d);
    *(void **)out = p;
    return decode_object(d, shape, v, path, NULL, p);
}

static int decode_list(struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    size_t count = json_array_size(v);
    if (!json_is_array(v))
        return decode_expected(d, f, v, path, "a list: begin each of its parts with \"- \"");
    int rc = decode_length(d, f, count, path);
    char *items = count ? arena_alloc(d->arena, count * f->shape->size) : NULL;
    if (count && !items)
        return decode_no_memory(d);
    for (size_t i = 0; i < count && rc == 0; i++) {
        const char *at = decode_join_index(d, path, i);
        rc = at ? decode_object(d, f->shape, json_array_get(v, i), at, NULL, items + i * f->shape->size) : decode_no_memory(d);
    }
    *(struct list *)out = (struct list){items, count};
    return rc;
}

static int decode_named(struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    size_t count = json_object_size(v), i = 0;
    const char *key;
    json_t *member;
    if (!json_is_object(v))
        return decode_expected(d, f, v, path, "a mapping, each of its parts under a name of yours");
    int rc = decode_length(d, f, count, path);
    char *items = count ? arena_alloc(d->arena, count * f->shape->size) : NULL;
    cleanup_json json_t *empty = json_object();
    if ((count && !items) || !empty)
        return decode_no_memory(d);
    json_object_foreach(v, key, member) {
        const char *at = decode_join(d, path, key), *name = arena_strdup(d->arena, key);
        if (rc < 0)
            return rc;
        if (!at || !name)
            return decode_no_memory(d);
        if (!*name)
            return decode_fail(d, at, 1, "an empty name in %s: give it one", f->name);
        rc = decode_object(d, f->shape, json_is_null(member) ? empty : member, at, name, items + i++ * f->shape->size);
    }
    *(struct list *)out = (struct list){items, count};
    return rc;
}

static int missing_kind(const struct decoder *d, const struct shape *shape, const struct field *f, const char *path) {
    cleanup_buf struct buf list = {0};
    for (const struct kind_row *const *k = group_of(d, f); *k; k++)
        buf_printf(&list, "%s%s", list.len ? ", " : "", (*k)->name);
    if (!buf_ok(&list))
        return decode_no_memory(d);
    return decode_fail(d, path, 0, "%s needs one of %s", shape->name, list.data ? list.data : "(there are none here)");
}

static int decode_params(struct decoder *d, const struct kind_row *kind, json_t *v, const char *path, struct kind_value *out) {
    static const struct field no_fields[1];
    static const struct shape nothing = {.size = 1, .fields = no_fields};
    struct shape named = nothing;
    cleanup_json json_t *empty = json_object();
    void *params = NULL;
    named.name = kind->name;
    if (!empty)
        return decode_no_memory(d);
    int rc = decode_pointer(d, kind->shape ? kind->shape : &named, json_is_null(v) ? empty : v, path, &params);
    *out = (struct kind_value){.kind = kind, .params = kind->shape ? params : NULL, .path = path};
    return rc;
}

/* The one key of the group that the object holds; the row's own keys go first where a kind is called the same. */
static int decode_kind(struct decoder *d, const struct shape *shape, const struct field *f, json_t *v, const char *path, void *out) {
    const struct kind_row *found = NULL;
    const char *key;
    json_t *member;
    json_object_foreach(v, key, member) {
        const struct kind_row *kind = NULL;
        for (const struct kind_row *const *k = group_of(d, f); *k && !find_field(shape, key); k++)
            if (strcmp((*k)->name, key) == 0)
                kind = *k;
        if (!kind)
            continue;
        const char *at = decode_join(d, path, key);
        if (!at)
            return decode_no_memory(d);
        if (found)
            return decode_fail(d, at, 1, "both \"%s\" and \"%s\" in one %s: make two of it", found->name, key, shape->name);
        found = kind;
    }
    if (!found)
        return f->required ? missing_kind(d, shape, f, path) : 0;
    const char *at = decode_join(d, path, found->name);
    return at ? decode_params(d, found, json_object_get(v, found->name), at, out) : decode_no_memory(d);
}

static void release(void *j) {
    json_decref(j);
}

/* A row's default, read the way a user's text would be. Owned by the arena. */
static int default_of(const struct decoder *d, const struct field *f, json_t **ret) {
    json_t *v = NULL;
    bool text = f->type == F_STRING || f->type == F_TEMPLATE, json = f->type == F_JSON || f->type == F_JSON_TEMPLATE;
    if (json || (!text && (f->def[0] == '{' || f->def[0] == '['))) {
        struct doc *doc;
        int rc = doc_parse(f->name, f->def, strlen(f->def), &doc, d->err);
        if (rc < 0)
            return rc;
        v = json_incref(doc_root(doc));
        doc_free(doc);
    } else {
        v = json_string(f->def);
    }
    if (!v || arena_defer(d->arena, release, v) < 0) {
        json_decref(v);
        return decode_no_memory(d);
    }
    *ret = v;
    return 0;
}

/* With the words it may be, or the first sentence of what it is for. */
static int missing_key(const struct decoder *d, const struct shape *shape, const struct field *f, const char *path) {
    cleanup_buf struct buf list = {0};
    const char *doc = f->doc ? f->doc : "It is required.", *stop = strstr(doc, ". ");
    for (size_t i = 0; f->type == F_ENUM && f->values[i]; i++)
        buf_printf(&list, "%s%s", i ? ", " : "one of ", f->values[i]);
    if (!list.len)
        buf_add(&list, doc, stop ? (size_t)(stop + 1 - doc) : strlen(doc));
    return buf_ok(&list) ? decode_fail(d, path, 0, "missing key \"%s\" in %s: %s", f->name, shape->name, list.data) : decode_no_memory(d);
}

static int decode_field(struct decoder *d, const struct shape *shape, const struct field *f, json_t *object, const char *path, char *out) {
    bool json = f->type == F_JSON || f->type == F_JSON_TEMPLATE;
    if (f->type == F_KIND)
        return decode_kind(d, shape, f, object, path, out);
    json_t *v = json_object_get(object, f->name);
    if (json_is_null(v) && !json)
        v = NULL; /* "key:" with nothing behind it is as good as no key */
    if (!v && f->required)
        return missing_key(d, shape, f, path);
    if (!v && !f->def)
        return 0;
    int rc = v ? 0 : default_of(d, f, &v);
    if (rc < 0)
        return rc;
    const char *at = decode_join(d, path, f->name);
    if (!at)
        return decode_no_memory(d);
    switch (f->type) {
    case F_OBJECT:
        return decode_pointer(d, f->shape, v, at, out);
    case F_LIST:
        return decode_list(d, f, v, at, out);
    case F_MAP:
        return decode_named(d, f, v, at, out);
    default:
        return decode_value(d, f, v, at, out);
    }
}

/* name: a map's key, for the struct's first member; NULL: none. */
static int decode_object(struct decoder *d, const struct shape *shape, json_t *v, const char *path, const char *name, void *out) {
    memset(out, 0, shape->size);
    if (!json_is_object(v))
        return expect_object(d, shape, v, path);
    if (d->depth >= DOC_MAX_DEPTH)
        return decode_fail(d, path, 0, "%s: nested deeper than %d levels", shape->name, DOC_MAX_DEPTH);
    d->depth++;
    int rc = check_keys(d, shape, v, path);
    for (const struct field *f = fields_of(shape); rc == 0 && f->name; f++)
        rc = decode_field(d, shape, f, v, path, (char *)out + f->offset);
    d->depth--;
    if (rc < 0)
        return rc;
    if (name)
        *(const char **)out = name;
    return shape->check ? shape->check(out, &(struct schema_at){.doc = d->doc, .path = path, .arena = d->arena}, d->err) : 0;
}

int schema_decode(const struct doc *d, const char *path, const struct shape *shape, const struct kind_set *kinds, struct arena *a,
                  void *out, struct error *err) {
    struct decoder decoder = {.doc = d, .kinds = kinds, .arena = a, .err = err};
    memset(out, 0, shape->size);
    const char *copy = arena_strdup(a, path); /* kind_value.path may be it, and outlives the caller's */
    if (!copy)
        return decode_no_memory(&decoder);
    json_t *v = doc_value(d, path);
    return decode_object(&decoder, shape, v, copy, NULL, out);
}
