/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config_priv.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/units.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { MAX_FILE = 1 << 20, MAX_LISTED = 20 };

int entry_bad(const struct entry *e, const char *key, struct error *err, const char *fmt, ...) {
    char text[700], path[sizeof e->path + 100];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snprintf(path, sizeof path, "%s/%s", e->path, key);
    return doc_error(e->source->doc, path, 0, err, -EINVAL, "%s \"%s\": %s%s%s", e->what, e->name, key, *key ? ": " : "", text);
}

/* The names there are, and the one that was meant. */
static int unknown(const struct sources *s, const char *list, const char *what, const char *name, struct error *err) {
    const char *names[MAX_LISTED + 1] = {0};
    size_t count = 0;
    char clip[CLIP_SIZE];
    for (size_t i = 0; i < s->count; i++) {
        size_t k;
        json_t *item;
        json_array_foreach(s->items[i].doc ? json_object_get(doc_root(s->items[i].doc), list) : NULL, k, item) {
            const char *n = json_str_or(item, "name", NULL);
            if (n && count < MAX_LISTED)
                names[count++] = n;
        }
    }
    cleanup_buf struct buf b = {0};
    for (size_t i = 0; i < count; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", names[i]);
    const char *near = did_you_mean(name, names);
    return error_set(err, -ENOENT, "%s: no %s \"%s\"%s%s%s: there %s %s", s->items[0].path, what, text_clip(name, clip),
                     near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "", count == 1 ? "is" : "are",
                     count && buf_ok(&b) ? b.data : "none");
}

int entry_find(const struct sources *s, const char *list, const char *what, const char *name, struct entry *ret, struct error *err) {
    for (size_t i = 0; i < s->count; i++) {
        size_t k;
        json_t *item;
        json_array_foreach(s->items[i].doc ? json_object_get(doc_root(s->items[i].doc), list) : NULL, k, item) {
            const char *n = json_str_or(item, "name", NULL);
            if (!n || strcmp(n, name) != 0)
                continue;
            *ret = (struct entry){.source = &s->items[i], .what = what, .name = n, .body = json_object_get(item, what)};
            snprintf(ret->path, sizeof ret->path, "/%s/%zu/%s", list, k, what);
            return json_is_object(ret->body) ? 0 : entry_bad(ret, "", err, "nothing is in it: expected a mapping \"%s:\"", what);
        }
    }
    return unknown(s, list, what, name, err);
}

int entry_text(const struct entry *e, struct arena *a, const char *key, const char **ret, struct error *err) {
    const json_t *v = json_object_get(e->body, key);
    const char *text = json_string_value(v);
    char path[sizeof e->path + 100];
    *ret = NULL;
    if (!v || json_is_null(v))
        return 0;
    snprintf(path, sizeof path, "%s/%s", e->path, key);
    if (!text)
        text = doc_written(e->source->doc, path); /* a token of digits, a password "true" */
    if (!text)
        return entry_bad(e, key, err, "expected a text");
    if (!*text)
        return 0;
    *ret = arena_strdup(a, text);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int entry_flag(const struct entry *e, const char *key, bool *ret, struct error *err) {
    const json_t *v = json_object_get(e->body, key);
    *ret = json_is_true(v);
    return !v || json_is_boolean(v) || json_is_null(v) ? 0 : entry_bad(e, key, err, "expected true or false");
}

const char *entry_path(const struct entry *e, struct arena *a, const char *path) {
    return *path == '/' ? arena_strdup(a, path) : arena_printf(a, "%s/%s", e->source->dir, path);
}

static int check_pem(const char *text, size_t len, const char *mark, struct error *err) {
    if (memchr(text, 0, len) || !strstr(text, mark))
        return error_set(err, -EINVAL, "not in PEM: no \"%s\" in it", mark);
    return 0;
}

int config_file(struct arena *a, const char *path, const char *mark, const char **ret, struct error *err) {
    cleanup_buf struct buf text = {0};
    int rc = fs_read(path, MAX_FILE, &text, err);
    if (rc == 0 && mark && (rc = check_pem(text.data, text.len, mark, err)) < 0)
        return error_wrap(err, rc, "%s", path);
    if (rc < 0)
        return rc;
    *ret = arena_strndup(a, text.data, text.len);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int entry_pem(const struct entry *e, struct arena *a, const char *key, const char *mark, const char **ret, struct error *err) {
    char data_key[64];
    const char *text, *path;
    struct error why;
    snprintf(data_key, sizeof data_key, "%s-data", key);
    int rc = entry_text(e, a, data_key, &text, err);
    if (rc < 0 || (rc = entry_text(e, a, key, &path, err)) < 0)
        return rc;
    *ret = NULL;
    if (text) {
        cleanup_buf struct buf b = {0};
        if (!base64_decode(text, &b) || !buf_ok(&b))
            return entry_bad(e, data_key, err, "not base64");
        if (check_pem(b.data, b.len, mark, &why) < 0)
            return entry_bad(e, data_key, err, "%s", why.text);
        *ret = arena_strndup(a, b.data, b.len);
        return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    if (!path)
        return 0;
    if (!(path = entry_path(e, a, path)))
        return error_set(err, -ENOMEM, "out of memory");
    return config_file(a, path, mark, ret, &why) < 0 ? entry_bad(e, key, err, "%s", why.text) : 0;
}
