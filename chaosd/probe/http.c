/* SPDX-License-Identifier: Apache-2.0 */
/* The http probe: a step of a scenario, asked once. Its own rows are a short form of a step, so there is one judge. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "probe/probe.h"

#include <errno.h>
#include <string.h>

const struct probe_kind probe_http;

static const char *const method_names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", NULL};

struct http_probe {
    const struct template *url, *body;
    int method; /* index into method_names */
    struct template_pairs headers;
    bool insecure;
    struct step_expect expect;
    struct step step; /* filled by the check from the above */
};

static const struct field fields[] = {
    {.name = "url", .type = F_TEMPLATE, .offset = offsetof(struct http_probe, url), .required = true,
     .doc = "What is asked, as \"http://${pod.ip}:8080/health\"."},
    {.name = "method", .type = F_ENUM, .offset = offsetof(struct http_probe, method), .def = "GET", .values = method_names,
     .doc = "The method."},
    {.name = "headers", .type = F_TEMPLATE_MAP, .offset = offsetof(struct http_probe, headers),
     .doc = "Headers beside those that chaosd sets."},
    {.name = "body", .type = F_TEMPLATE, .offset = offsetof(struct http_probe, body), .doc = "The body, as text."},
    {.name = "insecure", .type = F_BOOL, .offset = offsetof(struct http_probe, insecure), .doc = "Accept any TLS certificate."},
    {.name = "status", .type = F_INT, .offset = offsetof(struct http_probe, expect.status), .min = 100, .max = 599,
     .doc = "The status that is right; any 2xx when not given."},
    {.name = "contains", .type = F_TEMPLATE, .offset = offsetof(struct http_probe, expect.contains), .doc = "Text the body must hold."},
    {.name = "json", .type = F_TEMPLATE_MAP, .offset = offsetof(struct http_probe, expect.json),
     .doc = "Values the JSON body must hold: dotted path to value, compared as text."},
    {0},
};

static int check(void *value, const struct schema_at *at, struct error *err) {
    struct http_probe *p = value;
    bool head = strcmp(method_names[p->method], "HEAD") == 0;
    const char *url = template_text(p->url);
    if (strncmp(url, "http://", 7) && strncmp(url, "https://", 8) && strncmp(url, "${", 2))
        return schema_bad(at, "url", err, "expected a URL that begins with http:// or https://");
    if (head && p->body)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "HEAD carries no body");
    if (head && (p->expect.contains || p->expect.json.count))
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "the answer to HEAD has no body to look into");
    p->step = (struct step){.method = method_names[p->method], .url = p->url, .body = p->body, .headers = p->headers, .expect = &p->expect};
    return 0;
}

static const struct shape shape = {
    .name = "http", .size = sizeof(struct http_probe), .fields = fields, .check = check, .doc = "Asks over HTTP.",
};

/* --- one probe under way --- */

struct pair_kept {
    char *name, *value;
};

struct http_probe_op {
    struct probe_op op; /* first */
    const struct step *step;
    struct probe_context ctx;
    struct http_op *http;
    struct pair_kept *kept; /* values that the judging needs: ctx.vars is gone by then */
    size_t kept_count;
    json_t *captured;
    bool telling;
};

static void op_free(struct http_probe_op *o) {
    for (size_t i = 0; i < o->kept_count; i++) {
        free(o->kept[i].name);
        free(o->kept[i].value);
    }
    free(o->kept);
    json_decref(o->captured);
    free(o);
}

static const char *kept_value(void *arg, const char *name) {
    const struct http_probe_op *o = arg;
    for (size_t i = 0; i < o->kept_count; i++)
        if (strcmp(o->kept[i].name, name) == 0)
            return o->kept[i].value;
    return strncmp(name, "capture.", 8) == 0 ? json_string_value(json_object_get(o->captured, name + 8)) : NULL;
}

static int keep(const char *name, void *arg) {
    struct http_probe_op *o = arg;
    const char *value = o->ctx.vars ? o->ctx.vars->get(o->ctx.vars->arg, name) : NULL;
    if (!value || kept_value(o, name))
        return 0;
    struct pair_kept *more = realloc(o->kept, (o->kept_count + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    o->kept = more;
    struct pair_kept *k = &more[o->kept_count++];
    *k = (struct pair_kept){strdup(name), strdup(value)};
    return k->name && k->value ? 0 : -ENOMEM;
}

static void on_capture(const char *name, const char *value, void *arg) {
    struct http_probe_op *o = arg;
    json_object_set_new(o->captured, name, json_string(value));
}

static void on_done(const struct http_result *r, void *arg) {
    struct http_probe_op *o = arg;
    const struct template_vars vars = {kept_value, o};
    char tmp[256];
    const char *why;
    o->http = NULL;
    if (r->error != HTTP_OK) {
        snprintf(tmp, sizeof tmp, "%s: %.200s", http_error_name(r->error), r->detail);
        why = tmp;
    } else {
        why = step_judge(o->step, &vars, r->status, r->body, r->body_len, on_capture, o, tmp, sizeof tmp);
    }
    o->telling = true;
    o->ctx.done(why, o->captured, r->start_ns, r->end_ns, o->ctx.arg);
    op_free(o);
}

static int render_headers(const struct step *s, const struct template_vars *vars, struct buf *text, const char **list, struct error *err) {
    bool typed = false;
    for (size_t i = 0; i < s->headers.count; i++) {
        buf_printf(text, "%s: ", s->headers.items[i].key);
        int rc = template_render(s->headers.items[i].value, vars, text, err);
        if (rc < 0)
            return rc;
        buf_add(text, "", 1);
        typed = typed || strcasecmp(s->headers.items[i].key, "Content-Type") == 0;
    }
    size_t count = s->headers.count;
    if (s->json && !typed) {
        buf_add(text, "Content-Type: application/json", sizeof "Content-Type: application/json");
        count++;
    }
    if (!buf_ok(text))
        return error_set(err, -ENOMEM, "out of memory");
    const char *p = text->data; /* only now: the buffer moves while it grows */
    for (size_t i = 0; i < count; i++, p += strlen(p) + 1)
        list[i] = p;
    list[count] = NULL;
    return 0;
}

static int send_step(struct http_probe_op *o, bool insecure, struct error *err) {
    const struct step *s = o->step;
    const struct template_vars *vars = o->ctx.vars;
    const struct template *body = s->json ? s->json : s->body;
    cleanup_buf struct buf url = {0}, out = {0}, head = {0};
    cleanup_free const char **headers = calloc(s->headers.count + 2, sizeof *headers);
    if (!headers)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = template_render(s->url, vars, &url, err);
    if (rc == 0 && body)
        rc = template_render(body, vars, &out, err);
    if (rc == 0)
        rc = render_headers(s, vars, &head, headers, err);
    if (rc < 0)
        return rc;
    const struct http_request q = {
        .method = s->method, .url = url.data ? url.data : "", .headers = headers, .body = body ? (out.data ? out.data : "") : NULL,
        .body_len = out.len, .timeout_ns = o->ctx.timeout_ns, .insecure = insecure, .netns_fd = o->ctx.netns_fd, .done = on_done, .arg = o,
    };
    return http_start(o->ctx.http, &q, &o->http, err);
}

static int start_step(const struct step *s, bool insecure, const struct probe_context *ctx, struct probe_op **ret, struct error *err) {
    struct http_probe_op *o = calloc(1, sizeof *o);
    if (!o)
        return error_set(err, -ENOMEM, "out of memory");
    o->op.kind = &probe_http;
    o->step = s;
    o->ctx = *ctx;
    o->captured = json_object();
    int rc = o->captured ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && s->expect && i < s->expect->json.count; i++)
        rc = template_names(s->expect->json.items[i].value, keep, o);
    if (rc < 0)
        error_set(err, rc, "out of memory");
    else
        rc = send_step(o, insecure, err);
    if (rc < 0) {
        op_free(o);
        return rc;
    }
    o->ctx.vars = NULL;
    *ret = &o->op;
    return 0;
}

int probe_http_start(const struct step *s, const struct probe_context *ctx, struct probe_op **ret, struct error *err) {
    return start_step(s, false, ctx, ret, err);
}

static int start(const void *params, const struct probe_context *ctx, struct probe_op **ret, struct error *err) {
    const struct http_probe *p = params;
    return start_step(&p->step, p->insecure, ctx, ret, err);
}

static void cancel(struct probe_op *op) {
    struct http_probe_op *o = (struct http_probe_op *)(void *)op;
    if (o->telling) /* from its own answer: it goes when that returns */
        return;
    http_cancel(o->http);
    op_free(o);
}

const struct probe_kind probe_http = {
    .row = {"http", &shape, "An HTTP request, and what a right answer is."},
    .start = start,
    .cancel = cancel,
};
