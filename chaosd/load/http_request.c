/* SPDX-License-Identifier: Apache-2.0 */
/* One request of the http load: its target, its values, its steps one after the other, its sample. */
#include "base/cleanup.h"
#include "load/http_priv.h"

#include <errno.h>
#include <string.h>

struct value {
    struct buf text;
    bool known;
};

struct request {
    struct http_run *run;
    struct request *next, *next_all;
    struct arrival a;
    struct sample s;
    int64_t start_ns; /* of the first step, CLOCK_MONOTONIC; 0: not yet */
    const struct step *steps; /* the load's, or those that read its ledger */
    size_t step_count, step;
    int64_t until_ns;  /* of the last step, CLOCK_MONOTONIC */
    ledger_done *told; /* a read of the ledger: it leaves no sample; NULL: a request of the load */
    void *told_arg;
    struct buf base;
    char number[LEDGER_TEXT];
    struct value values[]; /* as run->names */
};

static const uint8_t reason_of[HTTP_ERROR_COUNT] = {
    [HTTP_TIMEOUT] = REASON_TIMEOUT, [HTTP_REFUSED] = REASON_REFUSED, [HTTP_RESET] = REASON_RESET,
    [HTTP_UNREACHABLE] = REASON_UNREACHABLE, [HTTP_DNS] = REASON_DNS, [HTTP_TLS] = REASON_TLS,
    [HTTP_PROTOCOL] = REASON_PROTOCOL, [HTTP_TOO_BIG] = REASON_TOO_BIG, [HTTP_OTHER] = REASON_OTHER, [HTTP_LOCAL] = REASON_OTHER,
};

/* --- values --- */

static const char *entry_value(struct request *r, const char *name) {
    const struct ledger *g = r->run->open.load.ledger;
    uint32_t entry = ledger_entry(g, r->a.index);
    if (!entry)
        return NULL;
    if (strcmp(name, "key") == 0)
        ledger_key(g, entry, r->number);
    else if (strcmp(name, "value") == 0)
        ledger_value(g, entry, r->number);
    else
        return NULL;
    return r->number;
}

static const char *get_value(void *arg, const char *name) {
    struct request *r = arg;
    const struct http_run *l = r->run;
    if (strncmp(name, "ledger.", 7) == 0)
        return entry_value(r, name + 7);
    if (strncmp(name, "request.", 8) == 0)
        return open_loop_value(&l->open, &r->a, name + 8, r->number);
    for (size_t i = 0; i < l->name_count; i++)
        if (strcmp(l->names[i], name) == 0)
            return r->values[i].known ? r->values[i].text.data : NULL;
    return l->open.ctx.secrets ? l->open.ctx.secrets->get(l->open.ctx.secrets->arg, name) : NULL;
}

static void set_value(struct value *v, const char *text) {
    buf_clear(&v->text);
    buf_str(&v->text, text);
    v->known = buf_ok(&v->text);
    if (!v->known)
        buf_free(&v->text);
}

static void on_capture(const char *name, const char *text, void *arg) {
    struct request *r = arg;
    for (size_t i = r->run->pod_names; i < r->run->name_count; i++)
        if (strcmp(r->run->names[i] + strlen("capture."), name) == 0)
            set_value(&r->values[i], text);
}

/* --- pool --- */

static struct request *request_get(struct http_run *l) {
    struct request *r = l->idle;
    if (r) {
        l->idle = r->next;
    } else {
        r = calloc(1, sizeof *r + l->name_count * sizeof r->values[0]);
        if (!r)
            return NULL;
        r->run = l;
        r->next_all = l->all;
        l->all = r;
    }
    r->next = NULL;
    r->start_ns = 0;
    r->step = 0;
    r->steps = HTTP_STEPS(l->p);
    r->step_count = l->p->steps.count;
    r->told = NULL;
    for (size_t i = 0; i < l->name_count; i++)
        r->values[i].known = false;
    return r;
}

void http_requests_free(struct http_run *l) {
    for (struct request *r = l->all, *next; r; r = next) {
        next = r->next_all;
        for (size_t i = 0; i < l->name_count; i++)
            buf_free(&r->values[i].text);
        buf_free(&r->base);
        free(r);
    }
}

/* --- the end of a request --- */

static void put_back(struct request *r) {
    r->next = r->run->idle;
    r->run->idle = r;
}

static void end_read(struct request *r, enum ledger_answer answer, const char *why) {
    ledger_done *told = r->told;
    uint32_t entry = ledger_entry(r->run->open.load.ledger, r->a.index);
    void *arg = r->told_arg;
    put_back(r);
    told(answer, why, entry, arg);
}

static void finish(struct request *r, enum reason reason, int64_t end_ns) {
    if (r->told) {
        end_read(r, LEDGER_UNKNOWN, reason_names[reason]);
        return;
    }
    open_loop_finish(&r->run->open, &r->a, &r->s, reason, r->start_ns, end_ns);
    put_back(r);
}

static void finish_local(struct request *r) {
    if (r->told) {
        end_read(r, LEDGER_UNKNOWN, "chaosd's own trouble: no descriptor, port or memory");
        return;
    }
    open_loop_give_up(&r->run->open, &r->a, r->s.target);
    put_back(r);
}

/* --- steps --- */

static void send_step(struct request *r);

static enum reason judge(struct request *r, const struct step *step, const struct http_result *res) {
    const struct template_vars vars = {get_value, r};
    char why[256];
    if (!step_judge(step, &vars, res->status, res->body, res->body_len, on_capture, r, why, sizeof why))
        return REASON_NONE;
    int64_t wanted = step->expect ? step->expect->status : 0;
    return (wanted ? res->status == wanted : res->status / 100 == 2) ? REASON_BODY : REASON_STATUS;
}

static void note_result(struct request *r, const struct http_result *res) {
    struct sample *s = &r->s;
    uint64_t bytes = (uint64_t)s->bytes + res->body_len;
    s->bytes = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
    s->status = (uint16_t)res->status;
    s->flags |= (uint8_t)((res->new_connection ? SAMPLE_NEW_CONNECTION : 0) | (res->stale_retry ? SAMPLE_STALE_RETRY : 0) |
                          (res->sent ? SAMPLE_SENT : 0));
    if (r->start_ns)
        return;
    r->start_ns = res->start_ns;
    s->dns_us = res->dns_us;
    s->connect_us = res->connect_us;
    s->tls_us = res->tls_us;
    s->first_byte_us = res->first_byte_us;
}

static void on_read(struct request *r, const struct http_result *res) {
    const struct template_vars vars = {get_value, r};
    char why[256];
    if (res->error != HTTP_OK) {
        end_read(r, LEDGER_UNKNOWN, http_error_name(res->error));
    } else if (r->step + 1 == r->step_count) {
        enum ledger_answer answer = http_ledger_judge(r->run->p->ledger, &vars, res, on_capture, r, why, sizeof why);
        end_read(r, answer, why);
    } else if (step_judge(&r->steps[r->step], &vars, res->status, res->body, res->body_len, on_capture, r, why, sizeof why)) {
        end_read(r, LEDGER_UNKNOWN, why);
    } else {
        r->step++;
        send_step(r);
    }
}

static void on_done(const struct http_result *res, void *arg) {
    struct request *r = arg;
    const struct http_load *p = r->run->p;
    if (r->told) {
        on_read(r, res);
        return;
    }
    note_result(r, res);
    if (res->error == HTTP_LOCAL) {
        finish_local(r);
        return;
    }
    if (res->error != HTTP_OK) {
        finish(r, reason_of[res->error], res->end_ns);
        return;
    }
    r->s.steps++;
    enum reason reason = judge(r, &r->steps[r->step], res);
    if (reason == REASON_NONE && res->end_ns - r->a.planned_ns > p->deadline_ns)
        reason = REASON_TIMEOUT; /* right, but too late */
    if (reason == REASON_NONE && ++r->step < r->step_count)
        send_step(r);
    else
        finish(r, reason, res->end_ns);
}

static int render(const struct template *t, struct request *r, struct buf *out, struct error *err) {
    const struct template_vars vars = {get_value, r};
    int rc = template_render(t, &vars, out, err);
    buf_add(out, "", 0); /* a string, even when nothing was added */
    return rc < 0 ? rc : buf_ok(out) ? 0 : -ENOMEM;
}

/* The step's own URL when it is absolute, else base and path with one "/" between. */
static int render_url(struct request *r, const struct step *step, struct error *err) {
    struct buf *out = &r->run->url, *path = &r->run->head; /* not needed yet */
    buf_clear(out);
    buf_clear(path);
    int rc = render(step->url, r, path, err);
    if (rc < 0)
        return rc;
    if (strncmp(path->data, "http://", 7) != 0 && strncmp(path->data, "https://", 8) != 0) {
        size_t len = r->base.len;
        while (len && r->base.data[len - 1] == '/')
            len--;
        buf_add(out, r->base.data, len);
        if (!strchr("/?", path->data[0])) /* "" is found too */
            buf_str(out, "/");
    }
    buf_add(out, path->data, path->len);
    return buf_ok(out) ? 0 : -ENOMEM;
}

static int render_headers(struct request *r, const struct step *step, struct error *err) {
    struct http_run *l = r->run;
    buf_clear(&l->head);
    bool typed = false;
    for (size_t i = 0; i < step->headers.count; i++) {
        const struct template_pair *h = &step->headers.items[i];
        buf_str(&l->head, h->key);
        buf_str(&l->head, ": ");
        int rc = render(h->value, r, &l->head, err);
        if (rc < 0)
            return rc;
        buf_add(&l->head, "", 1);
        typed = typed || strcasecmp(h->key, "Content-Type") == 0;
    }
    size_t count = step->headers.count;
    if (step->json && !typed) {
        buf_add(&l->head, "Content-Type: application/json", sizeof "Content-Type: application/json");
        count++;
    }
    if (!buf_ok(&l->head))
        return -ENOMEM;
    const char *p = l->head.data; /* only now: the buffer moves while it grows */
    for (size_t i = 0; i < count; i++, p += strlen(p) + 1)
        l->headers[i] = p;
    l->headers[count] = NULL;
    return 0;
}

static int start_step(struct request *r, const struct step *step, int64_t timeout_ns, struct error *err) {
    struct http_run *l = r->run;
    const struct template *body = step->json ? step->json : step->body;
    buf_clear(&l->body);
    int rc = render_url(r, step, err);
    if (rc == 0 && body)
        rc = render(body, r, &l->body, err);
    if (rc == 0)
        rc = render_headers(r, step, err);
    if (rc < 0)
        return rc;
    const struct http_request q = {
        .method = step->method, .url = l->url.data, .headers = l->headers,
        .body = body ? (l->body.data ? l->body.data : "") : NULL, .body_len = l->body.len,
        .timeout_ns = timeout_ns, .fresh = r->a.lane == LANE_FRESH, .insecure = l->p->insecure, .ca_file = l->p->ca_file, .netns_fd = l->open.ctx.netns_fd,
        .done = on_done, .arg = r,
    };
    return http_start(l->http, &q, NULL, err);
}

/* An allocation that failed is sticky in a buffer: start over with an empty one. */
static void mend(struct buf *b) {
    if (!buf_ok(b))
        buf_free(b);
}

static int try_step(struct request *r, int64_t left) {
    struct http_run *l = r->run;
    int rc = start_step(r, &r->steps[r->step], left, NULL);
    if (rc < 0) {
        mend(&l->url);
        mend(&l->body);
        mend(&l->head);
    }
    return rc;
}

static void send_step(struct request *r) {
    int64_t now = loop_now(), left = r->until_ns - now;
    if (left <= 0) {
        finish(r, REASON_TIMEOUT, now);
        return;
    }
    int rc = try_step(r, left);
    if (rc == 0)
        return;
    if (rc == -EINVAL || rc == -ENOENT) /* a value that is not there, or no header: not ours, and not to be hidden */
        finish(r, REASON_OTHER, now);
    else
        finish_local(r);
}

/* --- the start of a request --- */

static int take_target(struct request *r, const struct load_target *target) {
    const struct http_run *l = r->run;
    const struct http_targets *t = l->p->targets;
    for (size_t i = 0; i < l->pod_names && target->vars; i++) {
        const char *text = target->vars->get(target->vars->arg, l->names[i]);
        if (text)
            set_value(&r->values[i], text);
    }
    const struct template *base = t->base ? t->base : t->url ? t->url : t->urls.items[r->a.turn % t->urls.count];
    mend(&r->base);
    buf_clear(&r->base);
    return render(base, r, &r->base, NULL);
}

void http_run_request(struct open_loop *o, const struct arrival *a) {
    struct http_run *l = (struct http_run *)(void *)o;
    const struct http_targets *t = l->p->targets;
    struct load_target target;
    if (!open_loop_admit(o, a, t->selector, t->ready, &target))
        return;
    struct request *r = request_get(l);
    if (!r) {
        open_loop_give_up(o, a, target.id);
        return;
    }
    r->a = *a;
    r->s = open_loop_sample(o, a, target.id);
    r->until_ns = a->planned_ns + l->p->deadline_ns;
    int rc = take_target(r, &target);
    if (rc == -ENOMEM)
        finish_local(r);
    else if (rc < 0)
        finish(r, REASON_OTHER, loop_now());
    else
        send_step(r);
}

/* --- reading the ledger back --- */

int http_run_read(struct load *load, uint32_t entry, ledger_done *done, void *arg) {
    struct http_run *l = (struct http_run *)(void *)load;
    const struct http_ledger *g = l->p->ledger;
    const struct http_targets *t = l->p->targets;
    const struct load_context *ctx = &l->open.ctx;
    const struct arrival a = {.index = (uint64_t)entry - 1, .random = rng_u64(&l->reads), .turn = l->read_turn++,
                              .planned_ns = loop_now(), .lane = LANE_REUSED};
    struct load_target target = {.id = SAMPLE_NO_TARGET};
    int rc = t->selector ? ctx->resolve(ctx->resolve_arg, t->selector, t->ready, a.turn, &target) : 0;
    if (rc < 0)
        return rc;
    struct request *r = request_get(l);
    if (!r)
        return -ENOMEM;
    r->a = a;
    r->steps = HTTP_READ(l->p);
    r->step_count = g->read.count;
    r->until_ns = a.planned_ns + g->limits.timeout_ns;
    r->told = done;
    r->told_arg = arg;
    rc = take_target(r, &target);
    if (rc == 0)
        rc = try_step(r, g->limits.timeout_ns);
    if (rc < 0)
        put_back(r);
    return rc;
}
