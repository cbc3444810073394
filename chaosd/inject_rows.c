/* SPDX-License-Identifier: Apache-2.0 */
/* Options become the fields of the kind's own rows, which say what may be; and what they say names the option. */
#include "inject.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MOST_GIVEN = 400, PATH_SIZE = 96 };

/* Options that are fields; "*" is the section that the kind is named after. */
static const struct { const char *option, *path; } fields[] = {
    {"dev", "device"}, {"latency", "delay.latency"}, {"jitter", "delay.jitter"}, {"distribution", "delay.distribution"}, {"loss", "loss.loss"},
    {"duplicate", "duplicate.duplicate"}, {"corrupt", "corrupt.corrupt"}, {"reorder", "reorder.reorder"}, {"gap", "reorder.gap"}, {"rate", "rate.rate"},
    {"correlation", "*.correlation"}, {"direction", "direction"}, {"to", "externalTargets"}, {"except", "except"}, {"port", "ports"},
    {"target-port", "targetPorts"}, {"protocol", "protocol"}, {"limit", "limit"}, {"seed", "seed"},
};

struct asked {
    const struct fault_kind *kind;
    struct shape shape;
    json_t *root;
    struct given { char path[PATH_SIZE], option[PATH_SIZE]; } *given; /* path: "/delay/latency" */
    size_t count;
};

int inject_kind(const char *name, const struct fault_kind **ret, struct error *err) {
    const char *names[64];
    cleanup_buf struct buf list = {0};
    char clip[CLIP_SIZE];
    bool other = false;
    size_t n = 0;
    for (size_t i = 0; fault_kinds[i] && n + 1 < ARRAY_SIZE(names); i++) {
        bool fits = fault_kinds[i]->layer == FAULT_NETWORK, same = strcmp(fault_kinds[i]->row.name, name) == 0;
        if (fits && same) {
            *ret = fault_kinds[i];
            return 0;
        }
        other |= same;
        if (!fits)
            continue;
        buf_printf(&list, "%s%s", n ? ", " : "", fault_kinds[i]->row.name);
        names[n++] = fault_kinds[i]->row.name;
    }
    names[n] = NULL;
    text_clip(name, clip);
    const char *near = other ? NULL : did_you_mean(name, names), *all = buf_ok(&list) && list.data ? list.data : "";
    if (near)
        return error_set(err, -EINVAL, "unknown fault \"%s\", did you mean \"%s\"?", clip, near);
    return error_set(err, -EINVAL, other ? "%s is for the pods of a scenario (chaosd run): inject can do %s" : "unknown fault \"%s\": inject can do %s", clip, all);
}

static const struct field *field_of(const struct shape *s, const char *name, size_t len) {
    for (const struct field *f = s ? s->fields : NULL; f && f->name; f++)
        if (strlen(f->name) == len && memcmp(f->name, name, len) == 0)
            return f;
    return NULL;
}

/* Puts the text at "delay.latency"; what is no field goes in all the same, for the rows to refuse. Returns whether it is one. */
static bool put(struct asked *q, const char *path, const char *value) {
    const struct shape *shape = &q->shape;
    const struct field *f = NULL;
    json_t *at = q->root;
    for (const char *part = path;; part += strcspn(part, ".") + 1) {
        size_t len = strcspn(part, ".");
        char key[PATH_SIZE];
        snprintf(key, sizeof key, "%.*s", (int)len, part);
        f = field_of(shape, part, len);
        shape = f && f->type == F_OBJECT ? f->shape : NULL;
        json_t *there = json_object_get(at, key);
        if (part[len]) {
            if (!json_is_object(there))
                json_object_set_new(at, key, there = json_object());
            at = there;
            continue;
        }
        if (f && f->type == F_STRINGS && !there)
            json_object_set_new(at, key, there = json_array());
        if (json_is_array(there))
            json_array_append_new(there, json_string(value));
        else
            json_object_set_new(at, key, json_string(value));
        return f != NULL;
    }
}

static void remember(struct asked *q, const char *path, const char *option) {
    struct given *g = &q->given[q->count++];
    snprintf(g->path, sizeof g->path, "/%s", path);
    for (char *p = g->path; *p; p++)
        if (*p == '.')
            *p = '/';
    snprintf(g->option, sizeof g->option, "%s", option);
}

/* Errors at a field, at one of its parts or at what holds it are those of the option. */
static const char *origin(const char *path, void *arg) {
    const struct asked *q = arg;
    for (size_t i = q->count; i-- > 0;) {
        const char *have = q->given[i].path;
        size_t len = strlen(have);
        if (strncmp(path, have, len) == 0 && (path[len] == 0 || path[len] == '/'))
            return q->given[i].option;
    }
    for (size_t i = 0; *path && i < q->count; i++)
        if (strncmp(q->given[i].path, path, strlen(path)) == 0 && q->given[i].path[strlen(path)] == '/')
            return q->given[i].option;
    return NULL;
}

static int put_option(struct asked *q, const char *option, const char *path, const char *value, struct error *err) {
    char whole[PATH_SIZE], dashed[PATH_SIZE];
    const char *section = strchr(q->kind->row.name, '-');
    snprintf(whole, sizeof whole, "%s%s", *path == '*' && section ? section + 1 : "", *path == '*' ? path + 1 : path);
    snprintf(dashed, sizeof dashed, "--%s", option);
    remember(q, whole, dashed);
    return put(q, whole, value) ? 0 : error_set(err, -EINVAL, "%s takes no --%s", q->kind->row.name, option);
}

static int put_options(struct asked *q, const struct option_row *rows, const struct inject_options *o, struct error *err) {
    int rc = 0;
    for (const struct option_row *r = rows; r->name && rc == 0; r++)
        for (size_t i = 0; i < ARRAY_SIZE(fields) && rc == 0; i++) {
            if (strcmp(fields[i].option, r->name) != 0)
                continue;
            const char *at = (const char *)o + r->offset;
            const struct option_strings one = {.items = {*(const char *const *)(const void *)at}, .count = *(const char *const *)(const void *)at != NULL};
            const struct option_strings *list = r->type == OPT_STRINGS ? (const struct option_strings *)(const void *)at : &one;
            for (size_t v = 0; v < list->count && rc == 0; v++)
                rc = put_option(q, r->name, fields[i].path, list->items[v], err);
        }
    return rc;
}

static int put_settings(struct asked *q, const struct option_strings *set, struct error *err) {
    for (size_t i = 0; i < set->count; i++) {
        char path[PATH_SIZE - 8], option[PATH_SIZE];
        const char *equal = strchr(set->items[i], '=');
        size_t len = equal ? (size_t)(equal - set->items[i]) : 0;
        if (!equal || !len || len >= sizeof path)
            return error_set(err, -EINVAL, "--set %.60s: expected KEY=VALUE, as in --set loss.gilbertElliott.p=1%%", set->items[i]);
        snprintf(path, sizeof path, "%.*s", (int)len, set->items[i]);
        snprintf(option, sizeof option, "--set %s", path);
        remember(q, path, option);
        put(q, path, equal + 1);
    }
    return 0;
}

static const char *option_at(const char *path) {
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (strcmp(fields[i].path, path) == 0)
            return fields[i].option;
    return NULL;
}

/* Nothing in a section but what goes with its first field or with a section of its own. */
static bool bare(const struct shape *s, const json_t *object) {
    bool parts = false;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
        parts |= json_is_object(value);
    return !parts && !json_object_get(object, s->fields->name);
}

/* What a row wants and nobody said, in the words of the options. */
static int missing(const struct asked *q, const struct shape *s, const json_t *object, const char *prefix, struct error *err) {
    for (const struct field *f = s->fields; f->name; f++) {
        char path[PATH_SIZE], pointer[PATH_SIZE];
        const json_t *there = json_object_get(object, f->name);
        bool section = f->type == F_OBJECT;
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", f->name);
        if (section && (f->required || json_is_object(there))) {
            int rc = there && !json_is_object(there) ? 0 : missing(q, f->shape, there, path, err);
            if (rc < 0)
                return rc;
        }
        bool alone = section && f->required && bare(f->shape, there); /* it requires no field of its own: its first */
        if (!f->required || (there && !alone))
            continue;
        if (alone)
            snprintf(path + strlen(path), sizeof path - strlen(path), ".%s", f->shape->fields->name);
        snprintf(pointer, sizeof pointer, "/%s", there ? f->name : prefix);
        for (char *dot; (dot = strchr(pointer, '.'));)
            *dot = '/';
        const char *option = option_at(path), *by = pointer[1] ? origin(pointer, (void *)(uintptr_t)q) : NULL;
        return error_set(err, -EINVAL, "%s%s needs %s%s%s: %s", by ? by : q->kind->row.name, by ? " also" : "", option ? "--" : "--set ", option ? option : path,
                         option ? "" : "=...", alone ? f->shape->fields->doc : f->doc);
    }
    return 0;
}

static int decode(struct asked *q, struct arena *a, struct net_fault *out, struct error *err) {
    struct doc *doc = NULL;
    int rc = doc_of(q->kind->row.name, json_incref(q->root), origin, q, &doc, err);
    if (rc == 0)
        rc = schema_decode(doc, "", &q->shape, NULL, a, out, err);
    doc_free(doc);
    return rc;
}

int inject_rows(const struct option_row *rows, const struct inject_options *o, const struct fault_kind *k, struct arena *a, const struct net_fault **ret,
                struct error *err) {
    cleanup_json json_t *root = json_object();
    struct asked q = {.kind = k, .root = root, .given = arena_alloc(a, MOST_GIVEN * sizeof *q.given)};
    struct net_fault *out = arena_alloc(a, sizeof *out);
    if (!root || !q.given || !out)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = net_shape_here(k, a, &q.shape, err);
    if (rc < 0 || (rc = put_options(&q, rows, o, err)) < 0 || (rc = put_settings(&q, &o->set, err)) < 0)
        return rc;
    if (o->except.count && !json_object_get(root, "externalTargets"))
        return error_set(err, -EINVAL, "--except takes from what --to names: add --to 0.0.0.0/0 --to ::/0 for everything");
    if ((rc = missing(&q, &q.shape, root, "", err)) < 0 || (rc = decode(&q, a, out, err)) < 0)
        return rc;
    *ret = out;
    return 0;
}
