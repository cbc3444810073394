/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/doc_internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

static void docp_free(struct doc **d) {
    doc_free(*d);
}

void doc_free(struct doc *d) {
    if (!d)
        return;
    json_decref(d->root);
    positions_free(&d->positions);
    arena_free(d->arena);
    free(d->name);
    free(d);
}

static int doc_new(const char *name, struct doc **ret) {
    cleanup(docp_free) struct doc *d = calloc(1, sizeof *d);
    if (!d || !(d->name = strdup(name)) || !(d->arena = arena_new()))
        return -ENOMEM;
    positions_init(&d->positions, d->arena);
    *ret = take_ptr(d);
    return 0;
}

int doc_parse(const char *name, const char *text, size_t len, struct doc **ret, struct error *err) {
    cleanup(docp_free) struct doc *d = NULL;
    if (len > DOC_MAX_BYTES)
        return error_set(err, -EFBIG, "%s: larger than %d bytes: split it, or keep data in files of their own", name, DOC_MAX_BYTES);
    if (doc_new(name, &d) < 0)
        return error_set(err, -ENOMEM, "%s: out of memory", name);
    struct items items = {0};
    struct arena *texts = arena_new();
    int rc = texts ? items_read(name, text, len, texts, &items, err) : error_set(err, -ENOMEM, "%s: out of memory", name);
    const struct item *first = items.items;
    if (rc == 0 && (items.count == 0 || (first->type == ITEM_SCALAR && first->plain && first->len == 0)))
        rc = item_error(name, 1, 1, err, -EINVAL, "nothing in here but blanks and comments: begin with a line such as \"name: my-first\"");
    if (rc == 0)
        rc = doc_build(d, &items, err);
    free(items.items);
    arena_free(texts);
    if (rc == 0)
        *ret = take_ptr(d);
    return rc;
}

int doc_of(const char *name, json_t *root, doc_origin *origin, void *arg, struct doc **ret, struct error *err) {
    cleanup_json json_t *tree = root;
    if (!tree || doc_new(name, ret) < 0)
        return error_set(err, -ENOMEM, "%s: out of memory", name);
    (*ret)->root = take_ptr(tree);
    (*ret)->origin = origin;
    (*ret)->origin_arg = arg;
    return 0;
}

/* To the end of the file, or one byte past the limit, which doc_parse then refuses. */
static int read_all(int fd, const char *name, struct buf *out, struct error *err) {
    char chunk[16384];
    while (out->len <= DOC_MAX_BYTES) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "%s", name);
        if (n == 0)
            break;
        buf_add(out, chunk, (size_t)n);
        if (!buf_ok(out))
            return error_set(err, -ENOMEM, "%s: out of memory", name);
    }
    return 0;
}

int doc_load(const char *path, struct doc **ret, struct error *err) {
    cleanup_buf struct buf text = {0};
    cleanup_close int fd = -1;
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "<stdin>" : path;
    if (!standard && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return error_errno(err, "%s", path);
    int rc = read_all(standard ? STDIN_FILENO : fd, name, &text, err);
    return rc < 0 ? rc : doc_parse(name, text.data ? text.data : "", text.len, ret, err);
}

const char *doc_name(const struct doc *d) {
    return d->name;
}

json_t *doc_root(const struct doc *d) {
    return d->root;
}

static json_t *child_of(const json_t *v, const char *key) {
    if (!json_is_array(v))
        return json_object_get(v, key);
    char *end;
    if (*key < '0' || *key > '9')
        return NULL;
    errno = 0;
    unsigned long i = strtoul(key, &end, 10);
    return *end || errno ? NULL : json_array_get(v, i);
}

/* Room for the path's longest segment: small where it fits, so that a message's position needs no memory. */
enum { SMALL_PATH = 512 };
static char *segment_room(const char *path, char small[SMALL_PATH], char **big) {
    size_t size = strlen(path) + 1;
    return size <= SMALL_PATH ? small : (*big = malloc(size));
}

/* The value at the path, its parent and its last segment (in key, as large as the path). */
static json_t *walk(const struct doc *d, const char *path, char *key, json_t **ret_parent) {
    json_t *v = d->root;
    const char *rest;
    *ret_parent = NULL;
    for (; v && *path; path = rest) {
        if (!(rest = pointer_next(path, key)))
            return NULL;
        *ret_parent = v;
        v = child_of(v, key);
    }
    return v;
}

json_t *doc_value(const struct doc *d, const char *path) {
    cleanup_free char *big = NULL;
    char small[SMALL_PATH], *key = segment_room(path, small, &big);
    json_t *parent;
    return key ? walk(d, path, key, &parent) : NULL;
}

/* The position at the path; *ret_exact tells whether it is the path's own or a parent's. */
static struct position *find(const struct doc *d, const char *path, bool *ret_exact) {
    struct position *at = (struct position *)&d->positions.root;
    cleanup_free char *big = NULL;
    char small[SMALL_PATH], *key = segment_room(path, small, &big);
    *ret_exact = false;
    for (const char *rest; key && *path; path = rest) {
        rest = pointer_next(path, key);
        struct position *child = rest ? positions_child(&d->positions, at, key) : NULL;
        if (!child)
            return at;
        at = child;
    }
    *ret_exact = key != NULL;
    return at;
}

const char *doc_written(const struct doc *d, const char *path) {
    bool exact;
    const struct position *at = find(d, path, &exact);
    return exact ? at->written : NULL;
}

int doc_replace(struct doc *d, const char *path, json_t *value) {
    cleanup_json json_t *v = value;
    cleanup_free char *big = NULL;
    char small[SMALL_PATH], *key = segment_room(path, small, &big);
    json_t *parent;
    bool exact;
    if (!v || !key)
        return -ENOMEM;
    if (!walk(d, path, key, &parent))
        return -ENOENT;
    struct position *at = find(d, path, &exact);
    if (!parent) {
        json_decref(d->root);
        d->root = take_ptr(v);
    } else if (json_is_array(parent)) {
        if (json_array_set(parent, strtoul(key, NULL, 10), v) < 0)
            return -ENOMEM;
    } else if (json_object_set(parent, key, v) < 0) {
        return -ENOMEM;
    }
    if (exact) {
        at->written = NULL;
        positions_forget_children(&d->positions, at);
    }
    return 0;
}

void doc_position(const struct doc *d, const char *path, int key, int *ret_line, int *ret_column) {
    bool exact;
    const struct position *at = find(d, path, &exact);
    bool of_key = key && exact && at->key_line > 0;
    *ret_line = of_key ? at->key_line : at->line;
    *ret_column = of_key ? at->key_column : at->column;
}

/* "--loss: 101% is out of range", without the field's name, which the origin says better. */
static int origin_error(const struct doc *d, const char *path, const char *text, struct error *err, int rc) {
    char field[64];
    const char *from = d->origin(path, d->origin_arg), *colon = strstr(text, ": ");
    int len = snprintf(field, sizeof field, "/%.*s", colon ? (int)(colon - text) : 0, text);
    const char *at = from && len > 1 && len < (int)sizeof field ? strstr(path, field) : NULL;
    bool again = at && (at[len] == 0 || at[len] == '/');
    return error_set(err, rc, "%s: %s", from ? from : d->name, again ? colon + 2 : text);
}

int doc_error(const struct doc *d, const char *path, int key, struct error *err, int rc, const char *fmt, ...) {
    char text[900];
    int line, column;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (d->origin)
        return origin_error(d, path, text, err, rc);
    doc_position(d, path, key, &line, &column);
    return error_set(err, rc, "%s:%d:%d: %s", d->name, line, column, text);
}
