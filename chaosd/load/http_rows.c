/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/fs.h"
#include "load/http_priv.h"

#include <errno.h>
#include <string.h>

static const char *const http_lanes[] = {[LANE_FRESH] = "fresh", [LANE_REUSED] = "reused", NULL};

#define T(member) offsetof(struct http_targets, member)
static const struct field target_fields[] = {
    {.name = "selector", .type = F_OBJECT, .offset = T(selector), .shape = &selector_shape, .doc = "The pods that requests go to."},
    {.name = "base", .type = F_TEMPLATE, .offset = T(base), .doc = "URL in front of the steps' paths, as \"http://${pod.ip}:2379\"."},
    {.name = "pick", .type = F_ENUM, .offset = T(pick), .def = "round-robin", .values = pick_names,
     .doc = "Which of several targets is next: each in turn, or at random from the run's seed."},
    {.name = "ready", .type = F_BOOL, .offset = T(ready), .doc = "Only pods that are ready, as a Service would; when false, all."},
    {.name = "url", .type = F_TEMPLATE, .offset = T(url), .doc = "One fixed base URL instead of pods."},
    {.name = "urls", .type = F_TEMPLATES, .offset = T(urls), .doc = "Several fixed base URLs."},
    {0},
};
#undef T

/* A port that is written out must be one: libcurl would say so only for each request. */
static int check_port(const struct template *t, const struct schema_at *at, const char *field, struct error *err) {
    const char *host = strstr(template_text(t), "://"), *stop = host ? host + 3 + strcspn(host + 3, "/?#") : NULL;
    const char *at_sign = host ? memrchr(host, '@', (size_t)(stop - host)) : NULL;
    host = at_sign ? at_sign : host;
    const char *port = host ? memrchr(host + 1, ':', (size_t)(stop - host - 1)) : NULL;
    if (!port || memchr(port, ']', (size_t)(stop - port)) || memchr(host, '$', (size_t)(stop - host)))
        return 0;
    char *end;
    unsigned long n = strtoul(port + 1, &end, 10);
    if (n >= 1 && n <= 65535 && end == stop)
        return 0;
    return schema_bad(at, field, err, "port %.*s: expected a number from 1 to 65535", (int)(stop - port - 1), port + 1);
}

static int check_base(const struct template *t, const struct schema_at *at, const char *field, struct error *err) {
    const char *text = template_text(t);
    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0 || strncmp(text, "${", 2) == 0)
        return check_port(t, at, field, err);
    return schema_bad(at, field, err, "expected a URL that begins with http:// or https://");
}

static int check_targets(void *value, const struct schema_at *at, struct error *err) {
    const struct http_targets *t = value;
    int given = !!t->selector + !!t->url + (t->urls.count > 0);
    if (given != 1)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "expected %s of selector, url and urls", given ? "only one" : "one");
    if (t->selector && !t->base)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "a selector needs base, the URL of a pod: \"http://${pod.ip}:8080\"");
    if (!t->selector && t->base)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "base goes with selector; here the URL itself is the base");
    if (!t->selector && t->ready)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "ready goes with selector: nobody says whether a fixed URL is ready");
    int rc = t->base ? check_base(t->base, at, "base", err) : t->url ? check_base(t->url, at, "url", err) : 0;
    for (size_t i = 0; rc == 0 && i < t->urls.count; i++)
        rc = check_base(t->urls.items[i], at, "urls", err);
    return rc;
}

static const struct shape targets_shape = {
    .name = "targets", .size = sizeof(struct http_targets), .fields = target_fields, .check = check_targets, .doc = "Where requests go.",
};

int http_expect_templates(const struct step_expect *e, int (*fn)(const struct template *t, void *arg), void *arg) {
    int rc = e && e->contains ? fn(e->contains, arg) : 0;
    for (size_t i = 0; rc == 0 && e && i < e->json.count; i++)
        rc = fn(e->json.items[i].value, arg);
    return rc;
}

size_t http_step_count(const struct http_load *p) { return p->steps.count + (p->ledger ? p->ledger->read.count : 0); }

const struct step *http_step(const struct http_load *p, size_t i) {
    return i < p->steps.count ? &HTTP_STEPS(p)[i] : &HTTP_READ(p)[i - p->steps.count];
}

int http_step_templates(const struct step *s, int (*fn)(const struct template *t, void *arg), void *arg) {
    const struct template *const single[] = {s->url, s->json, s->body};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(single); i++)
        rc = single[i] ? fn(single[i], arg) : 0;
    for (size_t i = 0; rc == 0 && i < s->headers.count; i++)
        rc = fn(s->headers.items[i].value, arg);
    return rc ? rc : http_expect_templates(s->expect, fn, arg);
}

/* --- each name used must be one that a request can answer --- */

struct name_check {
    const struct http_load *p;
    const struct list *steps;
    size_t step; /* captures of the steps before count */
    bool key, value; /* the ledger's were used */
    const struct schema_at *at;
    char path[512];
    struct error *err;
};

static bool captured_before(const struct name_check *c, const char *name) {
    const struct step *steps = c->steps ? c->steps->items : NULL;
    for (size_t i = 0; i < c->step; i++)
        for (size_t k = 0; k < steps[i].capture.count; k++)
            if (strcmp(steps[i].capture.items[k].key, name) == 0)
                return true;
    return false;
}

static int check_name(const char *name, void *arg) {
    struct name_check *c = arg;
    if (strncmp(name, "capture.", 8) == 0 && !captured_before(c, name + 8))
        return doc_error(c->at->doc, c->path, 0, c->err, -EINVAL, "${%s}: no earlier step captures \"%s\"", name, name + 8);
    if (strncmp(name, "pod.", 4) == 0 && !c->p->targets->selector)
        return doc_error(c->at->doc, c->path, 0, c->err, -EINVAL, "${%s}: with a fixed URL there is no pod; use targets.selector", name);
    if (strncmp(name, "load.", 5) == 0)
        return doc_error(c->at->doc, c->path, 0, c->err, -EINVAL, "${%s}: only an exec load has a folder and a name of its own", name);
    if (strncmp(name, "ledger.", 7) == 0 && !c->p->ledger)
        return doc_error(c->at->doc, c->path, 0, c->err, -EINVAL,
                         "${%s}: this load keeps no ledger; ledger: {read: [...]} says how an entry is read back", name);
    c->key |= strcmp(name, "ledger.key") == 0;
    c->value |= strcmp(name, "ledger.value") == 0;
    return 0;
}

static int check_template(const struct template *t, void *arg) { return template_names(t, check_name, arg); }

static int check_bases(struct name_check *c) {
    const struct http_targets *t = c->p->targets;
    int rc = t->base ? check_template(t->base, c) : t->url ? check_template(t->url, c) : 0;
    for (size_t i = 0; rc == 0 && i < t->urls.count; i++)
        rc = check_template(t->urls.items[i], c);
    return rc;
}

static int check_rate(const struct http_load *p, const struct schema_at *at, struct error *err) {
    if (!p->rate && !p->saturate)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "missing \"rate\": how many requests a second, as \"200/s\" (or saturate: true)");
    if (p->rate && p->saturate)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "rate and saturate exclude each other: saturate sends as fast as the answers come");
    if (p->saturate && p->arrival != ARRIVAL_CONSTANT)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "arrival goes with rate: to saturate, requests follow the answers");
    for (size_t i = 0; p->saturate && i < p->lanes.count; i++)
        if (p->lanes.items[i] == LANE_FRESH)
            return doc_error(at->doc, at->path, 0, err, -EINVAL,
                             "saturate goes with reused connections: fresh ones would use up this machine's ports within seconds");
    return 0;
}

static int check_ca(const struct http_load *p, const struct schema_at *at, struct error *err) {
    if (p->ca_file && p->insecure)
        return schema_bad(at, "caFile", err, "with insecure, any certificate is accepted: caFile would say nothing");
    if (!p->ca_file)
        return 0;
    cleanup_buf struct buf text = {0};
    struct error why = {""};
    if (fs_read(p->ca_file, 64 << 20, &text, &why) < 0)
        return schema_bad(at, "caFile", err, "%s", why.text);
    if (!memmem(text.data, text.len, "-----BEGIN ", 11))
        return schema_bad(at, "caFile", err, "%s: no certificate in it: expected a file in PEM (-----BEGIN CERTIFICATE-----)", p->ca_file);
    return 0;
}

static int check_steps(struct name_check *c, const struct list *steps, const char *where) {
    int rc = 0;
    c->steps = steps;
    for (c->step = 0; rc == 0 && c->step < steps->count; c->step++) {
        snprintf(c->path, sizeof c->path, "%s/%s/%zu", c->at->path, where, c->step);
        rc = http_step_templates(&((const struct step *)steps->items)[c->step], check_template, c);
    }
    return rc;
}

/* Whether a ledger can tell anything at all. */
static int check_ledger(struct name_check *c) {
    const struct http_load *p = c->p;
    const struct step *last = &HTTP_READ(p)[p->ledger->read.count - 1];
    if (!c->key || !c->value)
        return schema_bad(c->at, "ledger", c->err, "no step writes ${ledger.%s}: there is nothing to read back", c->key ? "value" : "key");
    c->key = c->value = false;
    int rc = check_steps(c, &p->ledger->read, "ledger/read");
    if (rc < 0)
        return rc;
    if (!c->key)
        return schema_bad(c->at, "ledger", c->err, "read asks for no entry: ${ledger.key} is in none of its steps");
    c->value = false;
    rc = http_expect_templates(last->expect, check_template, c);
    if (rc == 0 && !c->value)
        return schema_bad(c->at, "ledger", c->err, "the last step of read must expect ${ledger.value}, in json or contains: else "
                         "any answer would do");
    snprintf(c->path, sizeof c->path, "%.480s/ledger/absent", c->at->path);
    return rc ? rc : http_expect_templates(p->ledger->absent, check_template, c);
}

static int check_load(void *value, const struct schema_at *at, struct error *err) {
    struct http_load *p = value;
    for (size_t i = 0; i < p->lanes.count; i++)
        for (size_t k = 0; k < i; k++)
            if (p->lanes.items[i] == p->lanes.items[k])
                return doc_error(at->doc, at->path, 0, err, -EINVAL, "lanes: \"%s\" is there twice", http_lanes[p->lanes.items[i]]);
    struct name_check c = {.p = p, .at = at, .err = err};
    snprintf(c.path, sizeof c.path, "%s/targets", at->path);
    int rc = check_rate(p, at, err);
    if (rc == 0)
        rc = check_bases(&c);
    if (rc == 0)
        rc = check_steps(&c, &p->steps, "steps");
    if (rc == 0 && p->ledger)
        rc = check_ledger(&c);
    return rc < 0 ? rc : check_ca(p, at, err);
}

static const struct field ledger_fields[] = {
    {.name = "read", .type = F_LIST, .offset = offsetof(struct http_ledger, read), .required = true, .min = 1, .max = 16, .shape = &step_shape,
     .doc = "How one entry is asked for, by ${ledger.key}; the last step's expect holds when ${ledger.value} is there."},
    {.name = "absent", .type = F_OBJECT, .offset = offsetof(struct http_ledger, absent), .shape = &expect_shape,
     .doc = "What that answer looks like when the entry is not there; status 404 when not given."},
    LEDGER_FIELDS(struct http_ledger, limits),
    {0},
};
static const struct shape ledger_shape = {
    .name = "ledger", .size = sizeof(struct http_ledger), .fields = ledger_fields,
    .doc = "Each request writes ${ledger.key} and ${ledger.value}, its own; what was acknowledged is read back after each recovery and at the end.",
};

#define L(member) offsetof(struct http_load, member)
static const struct field load_fields[] = {
    {.name = "rate", .type = F_RATE, .offset = L(rate), .min = 1, .max = INT64_C(1000000000000),
     .doc = "Requests planned, as \"200/s\"; the lanes share it evenly. Required, unless the load is to saturate."},
    {.name = "saturate", .type = F_BOOL, .offset = L(saturate),
     .doc = "Instead of a rate: as many requests under way as concurrency says, each answer brings about the next one. For finding a "
            "limit; its latency and availability say little, as a slow answer slows the questions down."},
    {.name = "arrival", .type = F_ENUM, .offset = L(arrival), .def = "constant", .values = arrival_names,
     .doc = "Gaps between requests: all the same, or random as those of many independent users are."},
    {.name = "lanes", .type = F_ENUMS, .offset = L(lanes), .def = "[reused]", .min = 1, .max = 2, .values = http_lanes,
     .doc = "Connections: fresh for each request, reused, or both side by side, since they fail differently."},
    {.name = "targets", .type = F_OBJECT, .offset = L(targets), .required = true, .shape = &targets_shape, .doc = "Where requests go."},
    {.name = "steps", .type = F_LIST, .offset = L(steps), .required = true, .min = 1, .max = 64, .shape = &step_shape,
     .doc = "What a request does, in order; it is good when every answer is right and the last came within the deadline."},
    {.name = "deadline", .type = F_DURATION, .offset = L(deadline_ns), .def = "1s", .min = NS_PER_MS, .max = 3600 * NS_PER_S,
     .doc = "From the planned time to the end of the last step; slower is bad."},
    {.name = "concurrency", .type = F_INT, .offset = L(concurrency), .def = "1000", .min = 1, .max = 100000,
     .doc = "Requests under way at once; one planned beyond it is recorded as unsent, which counts as bad. To saturate, as many are always under way."},
    {.name = "late", .type = F_DURATION, .offset = L(late_ns), .def = "100ms", .min = NS_PER_MS, .max = 3600 * NS_PER_S,
     .doc = "A request that chaosd itself is later with than this is recorded as unsent instead of sent in a burst."},
    {.name = "insecure", .type = F_BOOL, .offset = L(insecure), .doc = "Accept any TLS certificate; every report says so."},
    {.name = "caFile", .type = F_STRING, .offset = L(ca_file), .doc = "File of the certificates (PEM) to trust, instead of the system's."},
    {.name = "ledger", .type = F_OBJECT, .offset = L(ledger), .shape = &ledger_shape, .doc = "Look for lost writes."},
    {0},
};
#undef L

const struct shape http_load_shape = {
    .name = "http", .size = sizeof(struct http_load), .fields = load_fields, .check = check_load,
    .doc = "HTTP requests at planned times, whatever the answers do.",
};

json_t *http_load_describe(const struct load_spec *spec) {
    const struct http_load *p = spec->kind.params;
    cleanup_json json_t *lanes = json_array();
    for (size_t i = 0; i < p->lanes.count; i++)
        if (json_array_append_new(lanes, json_string(lane_names[p->lanes.items[i]])) < 0)
            return NULL;
    json_t *rate = p->saturate ? json_null() : json_integer((json_int_t)p->rate);
    json_t *o = json_pack("{s:s, s:o, s:O, s:I, s:b}", "kind", "http", "rate_micro", rate, "lanes", lanes, "deadline_ns", (json_int_t)p->deadline_ns,
                          "ledger", p->ledger != NULL);
    if (o && p->saturate)
        json_object_set_new(o, "closed", json_true());
    if (o && p->insecure)
        json_object_set_new(o, "insecure", json_true());
    return o;
}
