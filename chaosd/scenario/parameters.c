/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/units.h"
#include "scenario/refs.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define MAX_FILLED_BYTES (4 * DOC_MAX_BYTES) /* a long value named often would fill the memory */

struct replacement {
    char *path;
    json_t *value;
};

struct filling {
    struct doc *doc;
    json_t *declared; /* borrowed from the doc, NULL: none */
    const char **names; /* NULL-terminated, for did_you_mean */
    struct replacement *list; /* applied after the walk, so that the tree stands still during it */
    size_t count, room;
    size_t bytes; /* of all filled in texts */
    struct error *err;
};

static void filling_clear(struct filling *f) {
    for (size_t i = 0; i < f->count; i++) {
        free(f->list[i].path);
        json_decref(f->list[i].value);
    }
    free(f->list);
    free(f->names);
}

static bool is_scalar(const json_t *v) { return json_is_string(v) || json_is_number(v) || json_is_boolean(v); }

static bool is_parameter_name(const char *s) {
    if (!isalpha((unsigned char)*s) && *s != '_')
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_' && *s != '-')
            return false;
    return true;
}

/* Names first, since a --set may give a value to a parameter that has none. */
static int read_names(struct filling *f) {
    f->declared = json_object_get(doc_root(f->doc), "parameters");
    if (f->declared && json_is_null(f->declared))
        f->declared = NULL;
    if (f->declared && !json_is_object(f->declared))
        return doc_error(f->doc, "/parameters", 0, f->err, -EINVAL, "expected a map of parameters to their defaults, as in {rate: 200/s}");
    f->names = calloc(json_object_size(f->declared) + 1, sizeof *f->names);
    if (!f->names)
        return error_set(f->err, -ENOMEM, "out of memory");
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach(f->declared, key, value) {
        cleanup_buf struct buf path = {0};
        buf_str(&path, "/parameters");
        pointer_add(&path, key);
        f->names[n++] = key;
        if (buf_ok(&path) && !is_parameter_name(key))
            return doc_error(f->doc, path.data, 1, f->err, -EINVAL, "parameter \"%s\": a name starts with a letter, and letters, digits, "
                             "_ and - follow (dotted names belong to the run)", key);
        if (buf_ok(&path) && !is_scalar(value) && !json_is_null(value))
            return doc_error(f->doc, path.data, 0, f->err, -EINVAL, "parameter \"%s\" must be a single value", key);
    }
    return 0;
}

static void name_all(const struct filling *f, struct buf *out) {
    for (size_t i = 0; f->names[i]; i++)
        buf_printf(out, "%s%s", i ? ", " : "", f->names[i]);
    if (!f->names[0])
        buf_str(out, "none");
}

/* Typed as the same text would be in the file: a plain scalar where it is one, else a string. New reference. */
static json_t *typed(const char *text) {
    bool plain = *text && !strchr("%@&*!|>?-", *text);
    for (const char *p = text; *p && plain; p++)
        plain = isalnum((unsigned char)*p) || strchr("._+-/%~", *p);
    if (!plain && *text == '-' && isdigit((unsigned char)text[1]))
        plain = strspn(text + 1, "0123456789.eE+-") == strlen(text + 1);
    struct doc *d = NULL;
    cleanup_buf struct buf yaml = {0};
    buf_printf(&yaml, "v: %s\n", text);
    json_t *value = NULL;
    if (plain && buf_ok(&yaml) && doc_parse("--set", yaml.data, yaml.len, &d, NULL) == 0)
        value = json_object_get(doc_root(d), "v");
    value = is_scalar(value) ? json_copy(value) : json_string(text);
    doc_free(d);
    return value;
}

static int apply_settings(struct filling *f, const struct scenario_options *o) {
    for (size_t i = 0; o && i < o->set_count; i++) {
        const struct setting *s = &o->set[i];
        if (!json_object_get(f->declared, s->name)) {
            const char *meant = did_you_mean(s->name, f->names);
            cleanup_buf struct buf all = {0};
            name_all(f, &all);
            return error_set(f->err, -EINVAL, "--set %s: %s declares no such parameter%s%s%s; declared: %s", s->name, doc_name(f->doc),
                             meant ? ", did you mean \"" : "", meant ? meant : "", meant ? "\"?" : "", buf_ok(&all) ? all.data : "");
        }
        cleanup_buf struct buf path = {0};
        buf_str(&path, "/parameters");
        pointer_add(&path, s->name);
        json_t *value = typed(s->value);
        if (!value)
            return error_set(f->err, -EINVAL, "--set %s: the value is not valid UTF-8 (or memory ran out)", s->name);
        if (!buf_ok(&path)) {
            json_decref(value);
            return error_set(f->err, -ENOMEM, "out of memory");
        }
        int r = doc_replace(f->doc, path.data, value);
        if (r < 0)
            return error_set(f->err, r, "--set %s: cannot replace the value: %s", s->name, strerror(-r));
    }
    return 0;
}

static int check_values(const struct filling *f) {
    const char *key;
    json_t *value;
    json_object_foreach(f->declared, key, value) {
        cleanup_buf struct buf path = {0};
        buf_str(&path, "/parameters");
        pointer_add(&path, key);
        if (!buf_ok(&path))
            return error_set(f->err, -ENOMEM, "out of memory");
        if (json_is_null(value))
            return doc_error(f->doc, path.data, 1, f->err, -EINVAL, "parameter \"%s\" has no default: give it one, or --set %s=...", key,
                             key);
        struct ref r;
        for (const char *text = json_string_value(value); text && ref_next(&text, &r);)
            if (ref_is_parameter(&r))
                return doc_error(f->doc, path.data, 0, f->err, -EINVAL, "parameter \"%s\" refers to ${%s}: parameters may not refer to "
                                 "each other", key, r.name);
    }
    return 0;
}

static int undeclared(const struct filling *f, const char *path, const struct ref *r) {
    const char *meant = did_you_mean(r->name, f->names);
    if (meant)
        return doc_error(f->doc, path, 0, f->err, -EINVAL, "parameter ${%s} is not declared, did you mean ${%s}?", r->name, meant);
    cleanup_buf struct buf all = {0};
    name_all(f, &all);
    return doc_error(f->doc, path, 0, f->err, -EINVAL,
                     "parameter ${%s} is not declared; declared: %s (a literal \"${\" is written \"$${\")",
                     r->name, buf_ok(&all) ? all.data : "");
}

static int remember(struct filling *f, const char *path, json_t *value) {
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 16;
        struct replacement *list = realloc(f->list, room * sizeof *list);
        if (list) {
            f->list = list;
            f->room = room;
        }
    }
    char *copy = strdup(path);
    if (!value || !copy || f->count == f->room) {
        free(copy);
        json_decref(value);
        return error_set(f->err, -ENOMEM, "out of memory");
    }
    f->list[f->count++] = (struct replacement){copy, value};
    return 0;
}

/* As it was written, where that is known: 1.10 is not 1.1. */
static void add_value(const struct filling *f, struct buf *out, const char *name, const json_t *value) {
    cleanup_buf struct buf path = {0};
    char number[64];
    buf_str(&path, "/parameters");
    pointer_add(&path, name);
    const char *written = buf_ok(&path) && !json_is_string(value) ? doc_written(f->doc, path.data) : NULL;
    buf_str(out, written ? written : json_text(value, number, sizeof number));
}

/* The parameter's own type where the reference is the whole value, its text where it stands in one. */
static int fill_text(const char *path, const char *text, void *arg) {
    struct filling *f = arg;
    cleanup_buf struct buf out = {0};
    const char *cursor = text, *done = text;
    bool found = false;
    struct ref r;
    while (ref_next(&cursor, &r)) {
        if (!ref_is_parameter(&r) || r.open)
            continue;
        json_t *value = json_object_get(f->declared, r.name);
        if (!value)
            return undeclared(f, path, &r);
        if (r.filtered)
            return doc_error(f->doc, path, 0, f->err, -EINVAL, "${%s}: a filter cannot follow a parameter", r.name);
        bool whole = r.start == text && !*r.end;
        found = true;
        buf_add(&out, done, (size_t)(r.start - done));
        add_value(f, &out, r.name, value);
        done = r.end;
        if (f->bytes + out.len > MAX_FILLED_BYTES)
            return doc_error(f->doc, path, 0, f->err, -EFBIG, "${%s} makes the scenario larger than %d bytes", r.name, MAX_FILLED_BYTES);
        if (whole) {
            f->bytes += out.len;
            return remember(f, path, json_copy(value));
        }
        bool dollar = buf_ok(&out) && out.len && out.data[out.len - 1] == '$';
        if (dollar && (*done == '{' || !strncmp(done, "${", 2)))
            return doc_error(f->doc, path, 0, f->err, -EINVAL, "${%s} ends with \"$\" and would make another reference here", r.name);
    }
    if (!found)
        return 0;
    buf_str(&out, done);
    if (!buf_ok(&out))
        return error_set(f->err, -ENOMEM, "out of memory");
    f->bytes += out.len;
    return remember(f, path, json_stringn(out.data, out.len));
}

static int fill_all(struct filling *f) {
    int r = refs_walk(f->doc, fill_text, f, f->err);
    for (size_t i = 0; r == 0 && i < f->count; i++) {
        r = doc_replace(f->doc, f->list[i].path, f->list[i].value);
        f->list[i].value = NULL; /* stolen */
        if (r < 0)
            return error_set(f->err, r, "%s: cannot fill in %s: %s", doc_name(f->doc), f->list[i].path, strerror(-r));
    }
    return r;
}

int parameters_apply(struct doc *d, const struct scenario_options *o, struct error *err) {
    cleanup(filling_clear) struct filling f = {.doc = d, .err = err};
    int r = read_names(&f);
    if (r == 0)
        r = apply_settings(&f, o);
    if (r == 0)
        r = check_values(&f);
    return r == 0 ? fill_all(&f) : r;
}
