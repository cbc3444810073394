/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/client.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/rng.h"
#include "kube/auth.h"

#include <errno.h>
#include <string.h>

enum { MAX_BODY = 16 << 20, MOST_TRIES = 100, MAX_HEADERS = 16 };
#define DEFAULT_LIMIT_NS (30 * NS_PER_S)
#define DEFAULT_TRY_NS (10 * NS_PER_S)
#define DEFAULT_PLUGIN_NS (30 * NS_PER_S)
#define FIRST_PAUSE_NS (250 * NS_PER_MS)
#define LONGEST_PAUSE_NS (15 * NS_PER_S)

struct kube {
    struct kube_spec spec;
    struct kube_auth *auth;
    struct rng rng;
    struct kube_call *calls;
};

struct kube_call {
    struct kube *kube;
    struct kube_call *prev, *next;
    struct kube_where where; /* its texts are in `texts` */
    struct buf url, content_type;
    char *body;
    char texts[6][256];
    const char *method;
    bool repeat, single, waiting; /* waiting: for credentials */
    bool renewed;                 /* new credentials were fetched for it */
    bool maybe;                   /* an earlier try may have been carried out */
    unsigned tries;
    int64_t deadline_ns, try_ns;
    struct timer *timer;
    struct http_op *op;
    struct kube_credentials *credentials;
    struct http_via via;
    void (*data)(struct kube_call *call, const char *piece, size_t len, void *arg);
    kube_done *done;
    void *arg;
    enum kube_trouble refused; /* told from the timer: there was nothing to send with */
    struct error why;
    bool *gone; /* on the stack of who tells */
};

static void on_changed(void *arg);

int kube_new(const struct kube_spec *s, struct kube **ret, struct error *err) {
    struct kube *k = calloc(1, sizeof *k);
    if (!k)
        return error_set(err, -ENOMEM, "out of memory");
    k->spec = *s;
    rng_derive(&k->rng, s->seed, "kube/pauses");
    int rc = kube_auth_new(s->loop, s->config, s->plugin_limit_ns ? s->plugin_limit_ns : DEFAULT_PLUGIN_NS, on_changed, k, &k->auth, err);
    if (rc < 0)
        free(k);
    else
        *ret = k;
    return rc;
}

void kube_free(struct kube *k) {
    if (!k)
        return;
    while (k->calls)
        kube_cancel(k->calls);
    kube_auth_free(k->auth);
    free(k);
}

const struct kube_config *kube_config_of(const struct kube *k) { return k->spec.config; }
struct loop *kube_loop(const struct kube *k) { return k->spec.loop; }

int64_t kube_pause_ns(struct kube *k, unsigned n) {
    int64_t pause = FIRST_PAUSE_NS;
    for (; n > 1 && pause < LONGEST_PAUSE_NS; n--)
        pause *= 2;
    pause = pause < LONGEST_PAUSE_NS ? pause : LONGEST_PAUSE_NS;
    return pause / 2 + (int64_t)(rng_unit(&k->rng) * (double)(pause / 2));
}

static void call_free(struct kube_call *c) {
    if (c->prev)
        c->prev->next = c->next;
    else if (c->kube->calls == c)
        c->kube->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (c->gone)
        *c->gone = true;
    http_cancel(c->op);
    timer_free(c->timer);
    kube_credentials_release(c->credentials);
    buf_free(&c->url);
    buf_free(&c->content_type);
    free(c->body);
    free(c);
}

void kube_cancel(struct kube_call *c) {
    if (c)
        call_free(c);
}

const char *kube_call_header(const struct kube_call *c, const char *name) { return c->op ? http_header(c->op, name) : NULL; }

static void tell(struct kube_call *c, struct kube_answer *a) {
    bool gone = false;
    a->tries = c->tries;
    c->gone = &gone;
    c->done(a, c->arg);
    if (!gone) {
        c->gone = NULL;
        call_free(c);
    }
}

/* --- sending --- */

static void on_data(const char *piece, size_t len, void *arg) {
    struct kube_call *c = arg;
    c->data(c, piece, len, c->arg);
}

static void on_http(const struct http_result *r, void *arg);

static int send_now(struct kube_call *c, struct error *err) {
    const struct kube_config *g = c->kube->spec.config;
    const char *headers[MAX_HEADERS + 1] = {"Accept: application/json"};
    char act_as[400], groups[MAX_HEADERS][300];
    size_t n = 1;
    if (c->credentials->authorization)
        headers[n++] = c->credentials->authorization;
    if (c->body)
        headers[n++] = c->content_type.data;
    if (g->user.act_as) {
        snprintf(act_as, sizeof act_as, "Impersonate-User: %s", g->user.act_as);
        headers[n++] = act_as;
        for (const char *const *group = g->user.act_as_groups; group && *group && n < MAX_HEADERS; group++, n++) {
            snprintf(groups[n], sizeof groups[n], "Impersonate-Group: %s", *group);
            headers[n] = groups[n];
        }
    }
    c->via = (struct http_via){c->credentials->ca_pem ? c->credentials->ca_pem : g->ca_pem, c->credentials->cert_pem, c->credentials->key_pem, g->tls_name, g->proxy, g->no_proxy};
    int64_t left = c->deadline_ns - loop_now();
    const struct http_request q = {
        .method = c->method,
        .url = c->url.data,
        .headers = headers,
        .body = c->body,
        .body_len = c->body ? strlen(c->body) : 0,
        .timeout_ns = left < c->try_ns ? (left > NS_PER_MS ? left : NS_PER_MS) : c->try_ns,
        .insecure = g->insecure,
        .netns_fd = -1,
        .via = &c->via,
        .once = !c->repeat,
        .max_body = MAX_BODY,
        .data = c->data ? on_data : NULL,
        .done = on_http,
        .arg = c,
    };
    c->tries++;
    return http_start(c->kube->spec.http, &q, &c->op, err);
}

/* From the timer, since nobody is told inside kube_start. */
static void refuse_later(struct kube_call *c, enum kube_trouble t, const struct error *why) {
    c->refused = t;
    c->why = *why;
    timer_at(c->timer, 1);
}

static void go(struct kube_call *c) {
    struct error err = {{0}};
    kube_credentials_release(take_ptr(c->credentials));
    int rc = kube_auth_get(c->kube->auth, &c->credentials, &err);
    c->waiting = rc == -EAGAIN;
    if (c->waiting)
        return;
    if (rc < 0)
        refuse_later(c, KUBE_CREDENTIALS, &err);
    else if (send_now(c, &err) < 0)
        refuse_later(c, KUBE_LOCAL, &err);
}

static void on_changed(void *arg) {
    struct kube *k = arg;
    for (struct kube_call *c = k->calls, *next; c; c = next) {
        next = c->next;
        if (c->waiting)
            go(c); /* tells nobody */
    }
}

static void on_timer(void *arg) {
    struct kube_call *c = arg;
    if (!c->refused) {
        go(c);
        return;
    }
    struct kube_answer a = {.trouble = c->refused,
                            .why = c->why.text,
                            .retry_after_ns = -1,
                            .asked_ns = loop_now(),
                            .seen_ns = loop_now(),
                            .unknown = c->maybe};
    tell(c, &a);
}

/* --- answers --- */

static void fail_text(struct kube_call *c, const char *what, const char *detail) {
    char where[400];
    kube_where_text(&c->where, where, sizeof where);
    error_set(&c->why, 0, "%s: %s: %s%s%s", where, c->kube->spec.config->server, what, *detail ? ": " : "", detail);
}

/* No whole answer. */
static void judge_failure(struct kube_call *c, const struct http_result *r, struct kube_answer *a) {
    a->trouble = r->error == HTTP_LOCAL ? KUBE_LOCAL : r->error == HTTP_PROTOCOL && !r->status ? KUBE_NOT_API : KUBE_UNREACHABLE;
    c->maybe = c->maybe || r->sent;
    fail_text(c, http_error_name(r->error), r->detail);
}

static void judge_answer(struct kube_call *c, const struct http_result *r, struct kube_answer *a) {
    json_error_t why = {.line = 1};
    const char *type = http_header(r->op, "Content-Type");
    bool json = type && strncmp(type, "application/json", 16) == 0;
    a->json = json && r->body_len ? json_loadb(r->body, r->body_len, JSON_ALLOW_NUL, &why) : NULL;
    a->retry_after_ns = kube_retry_after_ns(http_header(r->op, "Retry-After"));
    a->date = http_header(r->op, "Date");
    a->trouble = kube_status(&c->where, r->status, type, a->json, &c->why);
    if (a->trouble != KUBE_OK) {
        c->maybe = c->maybe || r->status == 500 || r->status == 502 || r->status == 504; /* the server itself may not know */
        return;
    }
    if (!a->json && !c->data) {
        char what[200];
        if (json)
            snprintf(what, sizeof what, "no JSON in the answer: line %d, column %d", why.line, why.column);
        else
            snprintf(what, sizeof what, "an answer of type \"%.60s\", not JSON: is this URL an API server's, or does a proxy answer?",
                     type ? type : "none");
        fail_text(c, what, "");
        a->trouble = KUBE_NOT_API;
        c->maybe = true;
    }
}

static bool may_send_again(const struct kube_call *c, const struct http_result *r) { return c->repeat || !r->sent; }

/* What the server did not do it may be asked again, whatever it is. */
static bool worth_another(const struct kube_call *c, const struct kube_answer *a, const struct http_result *r) {
    if (c->single)
        return false;
    switch (a->trouble) {
    case KUBE_BUSY:
        return c->repeat || (a->status != 504 && a->status != 502);
    case KUBE_SERVER:
        return c->repeat;
    case KUBE_UNREACHABLE:
        return r->error != HTTP_TLS && may_send_again(c, r); /* a certificate does not mend itself soon */
    default:
        return false;
    }
}

/* Once a call. */
static bool has_others(const struct kube_call *c, const struct kube_answer *a, const struct http_result *r) {
    if (c->renewed)
        return false;
    if (a->trouble == KUBE_UNAUTHORIZED)
        return kube_auth_refused(c->kube->auth, c->credentials);
    return r->error == HTTP_TLS && may_send_again(c, r) && kube_auth_reread(c->kube->auth, c->credentials);
}

static bool try_again(struct kube_call *c, const struct kube_answer *a, const struct http_result *r) {
    if (has_others(c, a, r)) {
        c->renewed = true;
        timer_at(c->timer, 1);
        return true;
    }
    if (!worth_another(c, a, r) || c->tries >= MOST_TRIES)
        return false;
    int64_t pause = kube_pause_ns(c->kube, c->tries);
    if (a->retry_after_ns >= 0) /* a little more than asked for, or all come back at once */
        pause = a->retry_after_ns + pause / 4;
    int64_t when = loop_now() + pause;
    if (when >= c->deadline_ns)
        return false;
    timer_at(c->timer, when);
    return true;
}

static void on_http(const struct http_result *r, void *arg) {
    struct kube_call *c = arg;
    struct kube_answer a = {.status = r->status, .retry_after_ns = -1, .asked_ns = r->start_ns, .seen_ns = r->end_ns};
    c->op = NULL;
    c->why.text[0] = 0;
    if (r->error == HTTP_OK)
        judge_answer(c, r, &a);
    else
        judge_failure(c, r, &a);
    json_t *json = a.json; /* outlives c */
    if (!try_again(c, &a, r)) {
        a.unknown = c->maybe && a.trouble != KUBE_OK;
        a.why = a.trouble == KUBE_OK ? "" : c->why.text;
        tell(c, &a);
    }
    json_decref(json);
}

/* --- what is asked --- */

static const struct {
    const char *verb, *method;
    bool harmless;
} verbs[] = {
    {"get", "GET", true},       {"list", "GET", true},     {"watch", "GET", true},      {"create", "POST", false},
    {"update", "PUT", false},   {"patch", "PATCH", false}, {"delete", "DELETE", false},
};

/* A path's segment: names are checked by the server, but "." and ".." would be another path. */
static int add_segment(struct buf *b, const char *what, const char *s, struct error *err) {
    if (!*s || strlen(s) > 253 || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
        return error_set(err, -EINVAL, "\"%.60s\" cannot be a %s", s, what);
    buf_str(b, "/");
    url_add(b, s);
    return 0;
}

static int build_url(struct kube *k, const struct kube_request *r, struct buf *b, struct error *err) {
    const struct kube_kind *kind = r->kind;
    int rc = 0;
    buf_str(b, k->spec.config->server);
    if (r->path) {
        buf_str(b, r->path);
    } else {
        buf_printf(b, *kind->group ? "/apis/%s/%s" : "/api%s/%s", kind->group, r->version ? r->version : kind->versions[0]);
        if (r->namespace && *r->namespace) {
            buf_str(b, "/namespaces");
            rc = add_segment(b, "namespace", r->namespace, err);
        }
        buf_printf(b, "/%s", kind->resource);
        if (rc == 0 && r->name)
            rc = add_segment(b, "name", r->name, err);
        if (rc == 0 && r->subresource)
            rc = add_segment(b, "subresource", r->subresource, err);
    }
    if (r->query && *r->query)
        buf_printf(b, "?%s", r->query);
    return rc == 0 && !buf_ok(b) ? error_set(err, -ENOMEM, "out of memory") : rc;
}

static const char *keep_text(char to[256], const char *text) {
    snprintf(to, 256, "%s", text ? text : "");
    return to;
}

static void set_where(struct kube_call *c, const struct kube_request *r) {
    c->where = (struct kube_where){
        .verb = keep_text(c->texts[0], r->verb),
        .group = keep_text(c->texts[1], r->kind ? r->kind->group : ""),
        .resource = keep_text(c->texts[2], r->path ? r->path : r->kind->resource),
        .subresource = keep_text(c->texts[3], r->subresource),
        .namespace = keep_text(c->texts[4], r->namespace),
        .name = keep_text(c->texts[5], r->name),
    };
}

static int fill(struct kube_call *c, const struct kube_request *r, struct error *err) {
    int rc = build_url(c->kube, r, &c->url, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(verbs) && !c->method; i++)
        if (strcmp(verbs[i].verb, r->verb) == 0) {
            c->method = verbs[i].method;
            c->repeat = r->repeat || verbs[i].harmless;
        }
    if (!c->method || !r->done)
        return error_set(err, -EINVAL, "not a verb: \"%.40s\"", r->verb);
    set_where(c, r);
    buf_printf(&c->content_type, "Content-Type: %s", r->content_type ? r->content_type : "application/json");
    if (!buf_ok(&c->content_type) || (r->body && !(c->body = json_dumps(r->body, JSON_COMPACT | JSON_ENCODE_ANY))))
        return error_set(err, -ENOMEM, "out of memory");
    c->single = r->single || r->data;
    c->try_ns = r->try_ns ? r->try_ns : DEFAULT_TRY_NS;
    c->deadline_ns = loop_now() + (r->limit_ns ? r->limit_ns : DEFAULT_LIMIT_NS);
    c->data = r->data;
    c->done = r->done;
    c->arg = r->arg;
    return timer_new(c->kube->spec.loop, on_timer, c, &c->timer, err);
}

int kube_start(struct kube *k, const struct kube_request *r, struct kube_call **ret, struct error *err) {
    struct kube_call *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, -ENOMEM, "out of memory");
    c->kube = k;
    c->next = k->calls;
    if (k->calls)
        k->calls->prev = c;
    k->calls = c;
    int rc = fill(c, r, err);
    if (rc < 0) {
        call_free(c);
        return rc;
    }
    go(c);
    if (ret)
        *ret = c;
    return 0;
}
