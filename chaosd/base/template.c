/* SPDX-License-Identifier: Apache-2.0 */
#include "base/template.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

typedef void (*filter_fn)(struct buf *out, const char *s);

struct part {
    const char *text; /* a literal, or a variable's name */
    size_t len;       /* of a literal; 0 for a variable */
    bool variable;
    filter_fn filter; /* NULL: as it is */
};

struct template {
    const char *text;
    struct part *parts;
    size_t count, room;
    bool json;
};

static void filter_base64(struct buf *out, const char *s) { base64_add(out, s, strlen(s)); }

static void filter_json(struct buf *out, const char *s) {
    static const char named[256] = {['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (named[c])
            buf_add(out, (char[]){'\\', named[c]}, 2);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_add(out, s, 1);
    }
}

static const char *const filter_names[] = {"base64", "json", "url", NULL};
static const filter_fn filters[] = {filter_base64, filter_json, url_add};

static struct part *add_part(struct arena *a, struct template *t) {
    if (t->count == t->room) {
        size_t room = t->room ? t->room * 2 : 4;
        struct part *parts = arena_alloc(a, room * sizeof *parts);
        if (!parts)
            return NULL;
        if (t->count)
            memcpy(parts, t->parts, t->count * sizeof *parts);
        t->parts = parts;
        t->room = room;
    }
    return &t->parts[t->count++];
}

static int add_literal(struct arena *a, struct template *t, const char *s, size_t len, struct error *err) {
    if (len == 0)
        return 0;
    struct part *p = add_part(a, t);
    char *text = arena_strndup(a, s, len);
    if (!p || !text)
        return error_set(err, -ENOMEM, "out of memory");
    *p = (struct part){.text = text, .len = len};
    return 0;
}

static size_t name_length(const char *s) {
    size_t n = 0;
    if (isalpha((unsigned char)s[0]) || s[0] == '_')
        while (isalnum((unsigned char)s[n]) || (s[n] && strchr("_.-", s[n])))
            n++;
    return n;
}

static int find_filter(const char *name, size_t len, int column, filter_fn *ret, struct error *err) {
    char word[32] = "";
    if (len < sizeof word)
        memcpy(word, name, len);
    for (size_t i = 0; filter_names[i]; i++) {
        if (strcmp(filter_names[i], word) == 0) {
            *ret = filters[i];
            return 0;
        }
    }
    const char *near = did_you_mean(word, filter_names);
    if (near)
        return error_set(err, -EINVAL, "column %d: unknown filter \"%s\", did you mean \"%s\"?", column, word, near);
    return error_set(err, -EINVAL, "column %d: unknown filter \"%s\": there are base64, json and url", column, word);
}

/* Columns count characters, as an editor shows them. */
static int column_of(const char *text, const char *at) {
    int column = 1;
    for (; text < at; text++)
        column += ((unsigned char)*text & 0xc0) != 0x80;
    return column;
}

/* *s stands at "${"; moves it behind the "}". */
static int add_variable(struct arena *a, struct template *t, const char **s, struct error *err) {
    const char *name = *s + 2;
    int column = column_of(t->text, *s);
    filter_fn filter = NULL;
    const char *close = strchr(name, '}');
    if (!close)
        return error_set(err, -EINVAL, "column %d: \"${\" without its \"}\" (a literal \"${\" is written \"$${\")", column);
    size_t len = name_length(name), whole = (size_t)(close - name);
    if (len > 0 && name[len] == '|') {
        const char *f = name + len + 1;
        int rc = find_filter(f, (size_t)(close - f), column_of(t->text, f), &filter, err);
        if (rc < 0)
            return rc;
    } else if (len == 0 || len != whole) {
        char *shown = arena_strndup(a, name, whole), clip[CLIP_SIZE];
        return error_set(err, -EINVAL,
                         "column %d: \"%s\" is not a name: letters, digits, \"_\", \".\" and \"-\", without blanks, as in ${pod.name}",
                         column, shown ? text_clip(shown, clip) : "");
    }
    struct part *p = add_part(a, t);
    char *copy = arena_strndup(a, name, len);
    if (!p || !copy)
        return error_set(err, -ENOMEM, "out of memory");
    *p = (struct part){.text = copy, .variable = true, .filter = filter};
    *s = close + 1;
    return 0;
}

int template_compile(struct arena *a, const char *text, unsigned flags, const struct template **ret, struct error *err) {
    struct template *t = arena_alloc(a, sizeof *t);
    if (!t || !(t->text = arena_strdup(a, text)))
        return error_set(err, -ENOMEM, "out of memory");
    t->json = flags & TEMPLATE_JSON;
    const char *s = t->text, *start = s;
    while ((s = strchr(s, '$'))) {
        int rc = 0;
        if (strncmp(s, "$${", 3) == 0) {
            rc = add_literal(a, t, start, (size_t)(s - start), err); /* the first "$" goes, "${" stays */
            start = s + 1;
            s += 3;
        } else if (s[1] == '{') {
            rc = add_literal(a, t, start, (size_t)(s - start), err);
            if (rc == 0)
                rc = add_variable(a, t, &s, err);
            start = s;
        } else {
            s++;
        }
        if (rc < 0)
            return rc;
    }
    int rc = add_literal(a, t, start, strlen(start), err);
    if (rc < 0)
        return rc;
    *ret = t;
    return 0;
}

/* Escaping for JSON comes after the filter: what a filter makes stands inside the string too. */
static void render_value(const struct template *t, const struct part *p, const char *value, struct buf *out) {
    cleanup_buf struct buf tmp = {0};
    if (p->filter && t->json) {
        p->filter(&tmp, value);
        if (!buf_ok(&tmp))
            out->failed = true;
        else if (tmp.data)
            filter_json(out, tmp.data);
    } else if (p->filter || t->json) {
        (p->filter ? p->filter : filter_json)(out, value);
    } else {
        buf_str(out, value);
    }
}

int template_render(const struct template *t, const struct template_vars *vars, struct buf *out, struct error *err) {
    size_t before = out->len;
    for (size_t i = 0; i < t->count; i++) {
        const struct part *p = &t->parts[i];
        if (!p->variable) {
            buf_add(out, p->text, p->len);
            continue;
        }
        const char *value = vars && vars->get ? vars->get(vars->arg, p->text) : NULL;
        if (!value) {
            out->len = before;
            if (out->data)
                out->data[before] = '\0';
            return error_set(err, -ENOENT, "${%s} has no value here", p->text);
        }
        render_value(t, p, value, out);
    }
    buf_add(out, "", 0); /* an empty text is a text, not a NULL */
    return buf_ok(out) ? 0 : error_set(err, -ENOMEM, "out of memory");
}

const char *template_text(const struct template *t) {
    return t->text;
}

bool template_is_literal(const struct template *t) {
    for (size_t i = 0; i < t->count; i++)
        if (t->parts[i].variable)
            return false;
    return true;
}

int template_names(const struct template *t, int (*fn)(const char *name, void *arg), void *arg) {
    for (size_t i = 0; i < t->count; i++) {
        int rc = t->parts[i].variable ? fn(t->parts[i].text, arg) : 0;
        if (rc)
            return rc;
    }
    return 0;
}
