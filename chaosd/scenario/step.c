/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/step.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct field expect_fields[] = {
    {.name = "status", .type = F_INT, .offset = offsetof(struct step_expect, status), .min = 100, .max = 599,
     .doc = "The status that is right; any 2xx when not given. Redirects are not followed: a 3xx is a status like any other."},
    {.name = "contains", .type = F_TEMPLATE, .offset = offsetof(struct step_expect, contains), .doc = "Text the body must hold."},
    {.name = "json", .type = F_TEMPLATE_MAP, .offset = offsetof(struct step_expect, json),
     .doc = "Values the JSON body must hold: dotted path to value, compared as text."},
    {.name = "missing", .type = F_STRINGS, .offset = offsetof(struct step_expect, missing),
     .doc = "Dotted paths that the JSON body must not hold."},
    {0},
};
const struct shape expect_shape = {
    .name = "expect", .size = sizeof(struct step_expect), .fields = expect_fields, .doc = "What a right answer looks like.",
};

static const struct {
    const char *key, *method;
    size_t offset;
} methods[] = {
    {"get", "GET", offsetof(struct step, get)},          {"post", "POST", offsetof(struct step, post)},
    {"put", "PUT", offsetof(struct step, put)},          {"delete", "DELETE", offsetof(struct step, delete)},
    {"head", "HEAD", offsetof(struct step, head)},
};

static int check_captures(const struct step *s, const struct schema_at *at, struct error *err) {
    for (size_t i = 0; i < s->capture.count; i++) {
        const char *key = s->capture.items[i].key, *p = key;
        while (isalnum((unsigned char)*p) || *p == '_' || *p == '-')
            p++;
        if (*key && !*p)
            continue;
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "capture \"%s\": a name is of letters, digits, _ and -", key);
    }
    return 0;
}

static int step_check(void *value, const struct schema_at *at, struct error *err) {
    struct step *s = value;
    s->method = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        const struct template *url;
        memcpy(&url, (const char *)value + methods[i].offset, sizeof url);
        if (!url)
            continue;
        if (s->method)
            return doc_error(at->doc, at->path, 0, err, -EINVAL, "a step is one request: it has both %s and %s", s->method,
                             methods[i].method);
        s->method = methods[i].method;
        s->url = url;
    }
    if (!s->method)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "a step needs one of get, post, put, delete or head with a URL or path");
    if (!*template_text(s->url))
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "the URL of %s is empty", s->method);
    if (s->json && s->body)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "a step has either json or body, not both");
    if (s->head && (s->json || s->body))
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "HEAD carries no body");
    if (s->head && (s->capture.count || (s->expect && (s->expect->contains || s->expect->json.count || s->expect->missing.count))))
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "the answer to HEAD has no body to look into");
    return check_captures(s, at, err);
}

static const struct field step_fields[] = {
    {.name = "get", .type = F_TEMPLATE, .offset = offsetof(struct step, get), .doc = "GET this URL, or this path of the target."},
    {.name = "post", .type = F_TEMPLATE, .offset = offsetof(struct step, post), .doc = "POST to this URL or path."},
    {.name = "put", .type = F_TEMPLATE, .offset = offsetof(struct step, put), .doc = "PUT to this URL or path."},
    {.name = "delete", .type = F_TEMPLATE, .offset = offsetof(struct step, delete), .doc = "DELETE this URL or path."},
    {.name = "head", .type = F_TEMPLATE, .offset = offsetof(struct step, head), .doc = "HEAD of this URL or path."},
    {.name = "json", .type = F_JSON_TEMPLATE, .offset = offsetof(struct step, json), .doc = "The body, as a value that is sent as JSON."},
    {.name = "body", .type = F_TEMPLATE, .offset = offsetof(struct step, body), .doc = "The body, as text."},
    {.name = "headers", .type = F_TEMPLATE_MAP, .offset = offsetof(struct step, headers), .doc = "Headers beside those that chaosd sets."},
    {.name = "expect", .type = F_OBJECT, .offset = offsetof(struct step, expect), .shape = &expect_shape,
     .doc = "What a right answer looks like; any 2xx when not given."},
    {.name = "capture", .type = F_STRING_MAP, .offset = offsetof(struct step, capture),
     .doc = "Values to keep from the JSON answer: name to dotted path; ${capture.name} afterwards."},
    {0},
};
const struct shape step_shape = {
    .name = "step", .size = sizeof(struct step), .fields = step_fields, .check = step_check,
    .doc = "One HTTP exchange: the request, what a right answer is, and what to keep from it.",
};

static const char *no_variable(void *arg, const char *name) {
    (void)arg;
    (void)name;
    return NULL;
}
static const struct template_vars no_variables = {.get = no_variable};

static const char *judge_status(const struct step_expect *e, int status, char *tmp, size_t size) {
    int64_t wanted = e ? e->status : 0;
    if (wanted ? status == wanted : status / 100 == 2)
        return NULL;
    if (wanted)
        snprintf(tmp, size, "status %d, wanted %d", status, (int)wanted);
    else
        snprintf(tmp, size, "status %d, wanted 2xx", status);
    return tmp;
}

static const char *judge_text(const struct step_expect *e, const struct template_vars *vars, const char *body, size_t len, char *tmp, size_t size) {
    cleanup_buf struct buf wanted = {0};
    struct error why = {""};
    if (!e || !e->contains)
        return NULL;
    if (template_render(e->contains, vars, &wanted, &why) < 0 || !buf_ok(&wanted)) {
        snprintf(tmp, size, "contains: %s", *why.text ? why.text : "out of memory");
        return tmp;
    }
    if (!wanted.len || (body && memmem(body, len, wanted.data, wanted.len)))
        return NULL;
    snprintf(tmp, size, "body without \"%.60s\"", wanted.data);
    return tmp;
}

static const char *judge_missing(const struct step_expect *e, const json_t *root, char *tmp, size_t size) {
    for (size_t i = 0; i < e->missing.count; i++)
        if (json_at(root, e->missing.items[i])) {
            snprintf(tmp, size, "%s is there", e->missing.items[i]);
            return tmp;
        }
    return NULL;
}

static const char *judge_json(const struct step_expect *e, const struct template_vars *vars, const json_t *root, char *tmp, size_t size) {
    for (size_t i = 0; i < e->json.count; i++) {
        const char *path = e->json.items[i].key;
        cleanup_buf struct buf wanted = {0};
        struct error why = {""};
        char number[64];
        if (template_render(e->json.items[i].value, vars, &wanted, &why) < 0 || !buf_ok(&wanted)) {
            snprintf(tmp, size, "%s: %s", path, *why.text ? why.text : "out of memory");
            return tmp;
        }
        const json_t *value = json_at(root, path);
        const char *text = value ? json_text(value, number, sizeof number) : NULL, *want = wanted.data ? wanted.data : "";
        if (text && !strcmp(text, want))
            continue;
        if (text)
            snprintf(tmp, size, "%s is \"%.60s\", wanted \"%.60s\"", path, text, want);
        else
            snprintf(tmp, size, "%s is %s, wanted \"%.60s\"", path, value ? "no scalar" : "absent", want);
        return tmp;
    }
    return NULL;
}

/* First all are looked up, then all are handed over: an answer that lacks one leaves nothing behind. */
static const char *take_captures(const struct step *s, const json_t *root, void (*on_capture)(const char *, const char *, void *),
                                 void *arg, char *tmp, size_t size) {
    char number[64];
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < s->capture.count; i++) {
            const struct pair *c = &s->capture.items[i];
            const json_t *value = json_at(root, c->value);
            const char *text = value ? json_text(value, number, sizeof number) : NULL;
            if (!text) {
                snprintf(tmp, size, "capture %s: %s is %s", c->key, c->value, value ? "no scalar" : "absent");
                return tmp;
            }
            if (pass && on_capture)
                on_capture(c->key, text, arg);
        }
    return NULL;
}

const char *step_judge(const struct step *s, const struct template_vars *vars, int status, const char *body, size_t len,
                       void (*on_capture)(const char *name, const char *value, void *arg), void *arg, char *tmp, size_t size) {
    const struct step_expect *e = s->expect;
    const char *why = judge_status(e, status, tmp, size);
    if (why)
        return why;
    vars = vars ? vars : &no_variables;
    why = judge_text(e, vars, body, len, tmp, size);
    if (why || (!s->capture.count && !(e && (e->json.count || e->missing.count))))
        return why;
    json_error_t where;
    cleanup_json json_t *root = body ? json_loadb(body, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where) : NULL;
    if (!root) {
        snprintf(tmp, size, "body is no JSON: %.60s", body && len ? where.text : "empty");
        return tmp;
    }
    /* Captures first: an expectation may compare two parts of one answer ("the leader's id is my own"). */
    why = take_captures(s, root, on_capture, arg, tmp, size);
    if (!why && e)
        why = judge_json(e, vars, root, tmp, size);
    return why || !e ? why : judge_missing(e, root, tmp, size);
}
