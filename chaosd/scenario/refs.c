/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/refs.h"

#include "base/cleanup.h"
#include "base/units.h"

#include <errno.h>
#include <string.h>

bool ref_next(const char **cursor, struct ref *ret) {
    const char *s = *cursor;
    while ((s = strchr(s, '$'))) {
        if (!strncmp(s, "$${", 3)) {
            s += 3;
        } else if (s[1] == '{') {
            const char *name = s + 2, *close = strchr(name, '}');
            size_t whole = close ? (size_t)(close - name) : strlen(name), len = strcspn(name, "|}");
            *ret = (struct ref){.start = s, .end = name + whole + (close != NULL), .filtered = len < whole, .open = !close};
            if (len > whole)
                len = whole;
            if (len >= sizeof ret->name)
                len = sizeof ret->name - 1;
            memcpy(ret->name, name, len);
            *cursor = ret->end;
            return true;
        } else {
            s++;
        }
    }
    return false;
}

void pointer_add(struct buf *path, const char *key) {
    buf_add(path, "/", 1);
    for (; *key; key++) {
        if (*key == '~' || *key == '/')
            buf_str(path, *key == '~' ? "~0" : "~1");
        else
            buf_add(path, key, 1);
    }
}

struct walk {
    struct buf path;
    int (*fn)(const char *path, const char *text, void *arg);
    void *arg;
    struct error *err;
};

static int walk_value(struct walk *w, json_t *value);

static int walk_child(struct walk *w, const char *key, json_t *value) {
    size_t before = w->path.len;
    pointer_add(&w->path, key);
    if (!buf_ok(&w->path))
        return error_set(w->err, -ENOMEM, "out of memory");
    int r = walk_value(w, value);
    w->path.len = before;
    w->path.data[before] = 0;
    return r;
}

/* As deep as the doc's own limit lets it be. */
static int walk_value(struct walk *w, json_t *value) {
    const char *key;
    char index[24];
    json_t *child;
    size_t i;
    int r = 0;
    if (json_is_string(value))
        return w->fn(w->path.data, json_string_value(value), w->arg);
    json_object_foreach(value, key, child) {
        bool declared = !w->path.len && (!strcmp(key, "parameters") || !strcmp(key, "secrets"));
        if (!declared && (r = walk_child(w, key, child)))
            return r;
    }
    json_array_foreach(value, i, child) {
        snprintf(index, sizeof index, "%zu", i);
        if ((r = walk_child(w, index, child)))
            return r;
    }
    return 0;
}

int refs_walk(const struct doc *d, int (*fn)(const char *path, const char *text, void *arg), void *arg, struct error *err) {
    struct walk w = {.fn = fn, .arg = arg, .err = err};
    buf_add(&w.path, "", 0);
    int r = buf_ok(&w.path) ? walk_value(&w, doc_root(d)) : error_set(err, -ENOMEM, "out of memory");
    buf_free(&w.path);
    return r;
}

/* What a run can answer. NULL members: any name after the dot. */
static const char *const pod_members[] = {"name", "ip", "dir", "node", "namespace", "uid", "index", NULL};
static const char *const request_members[] = {"seq", "id", "random", "time_ms", NULL};
static const char *const ledger_members[] = {"key", "value", NULL};
static const char *const run_members[] = {"id", "seed", NULL};
static const char *const load_members[] = {"dir", "name", "seconds", NULL};
static const struct {
    const char *name;
    const char *const *members;
} namespaces[] = {
    {"pod", pod_members}, {"request", request_members}, {"run", run_members}, {"load", load_members}, {"capture", NULL}, {"ledger", ledger_members}, {"secret", NULL},
};

struct check {
    const struct doc *doc;
    const struct strings *secrets;
    struct error *err;
};

static bool among(const char *word, const char *const *list, size_t count) {
    for (size_t i = 0; i < count && list[i]; i++)
        if (!strcmp(list[i], word))
            return true;
    return false;
}

static int unknown_namespace(const struct check *c, const char *path, const struct ref *r, const char *space) {
    const char *names[ARRAY_SIZE(namespaces) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
        names[i] = namespaces[i].name;
    const char *meant = did_you_mean(space, names);
    if (meant)
        return doc_error(c->doc, path, 0, c->err, -EINVAL, "${%s}: unknown \"%s\", did you mean \"%s\"?", r->name, space, meant);
    return doc_error(c->doc, path, 0, c->err, -EINVAL, "${%s}: unknown \"%s\"; there are pod, request, run, load, capture, ledger and secret "
                     "(a literal \"${\" is written \"$${\")", r->name, space);
}

static int unknown_member(const struct check *c, const char *path, const struct ref *r, const char *space, const char *member,
                          const char *const *members) {
    const char *meant = did_you_mean(member, members);
    cleanup_buf struct buf all = {0};
    for (size_t i = 0; members[i]; i++)
        buf_printf(&all, "%s%s", i ? ", " : "", members[i]);
    if (meant)
        return doc_error(c->doc, path, 0, c->err, -EINVAL, "${%s}: %s has no \"%s\", did you mean ${%s.%s}?", r->name, space, member, space,
                         meant);
    return doc_error(c->doc, path, 0, c->err, -EINVAL, "${%s}: %s has no \"%s\"; it has %s", r->name, space, member,
                     buf_ok(&all) ? all.data : "others");
}

static int check_secret(const struct check *c, const char *path, const struct ref *r, const char *name) {
    if (among(name, c->secrets->items, c->secrets->count))
        return 0;
    return doc_error(c->doc, path, 0, c->err, -EINVAL, "${%s}: secret \"%s\" is not declared; add it to secrets", r->name, name);
}

static int check_ref(const struct check *c, const char *path, const struct ref *r) {
    if (r->open)
        return doc_error(c->doc, path, 0, c->err, -EINVAL, "\"${\" without its \"}\" (a literal \"${\" is written \"$${\")");
    char space[sizeof r->name];
    size_t len = strcspn(r->name, ".");
    snprintf(space, sizeof space, "%.*s", (int)len, r->name);
    const char *member = r->name[len] ? r->name + len + 1 : "";
    if (!*member)
        return doc_error(c->doc, path, 0, c->err, -EINVAL, "${%s} names nothing that a run knows, as ${pod.name} does", r->name);
    for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
        if (strcmp(namespaces[i].name, space))
            continue;
        if (!strcmp(space, "secret"))
            return check_secret(c, path, r, member);
        const char *const *members = namespaces[i].members;
        return !members || among(member, members, SIZE_MAX) ? 0 : unknown_member(c, path, r, space, member, members);
    }
    return unknown_namespace(c, path, r, space);
}

static int check_text(const char *path, const char *text, void *arg) {
    struct ref r;
    while (ref_next(&text, &r)) {
        int rc = check_ref(arg, path, &r);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int refs_check(const struct doc *d, const struct strings *secrets, struct error *err) {
    struct check c = {d, secrets, err};
    return refs_walk(d, check_text, &c, err);
}
