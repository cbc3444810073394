/* SPDX-License-Identifier: Apache-2.0 */
/* One request of the http load: its target, its values, its steps one after the other, its sample. */
#include "base/cleanup.h"
#include "load/http_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { LATE_NS = 5 * 1000 * 1000 };

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
    int64_t time_ms;  /* ${request.time_ms}, the same in every step; 0: not asked yet */
    size_t step;
    struct buf base;
    char number[32];
    struct value values[]; /* as run->names */
};

static const uint8_t reason_of[HTTP_ERROR_COUNT] = {
    [HTTP_TIMEOUT] = REASON_TIMEOUT, [HTTP_REFUSED] = REASON_REFUSED, [HTTP_RESET] = REASON_RESET,
    [HTTP_UNREACHABLE] = REASON_UNREACHABLE, [HTTP_DNS] = REASON_DNS, [HTTP_TLS] = REASON_TLS,
    [HTTP_PROTOCOL] = REASON_PROTOCOL, [HTTP_TOO_BIG] = REASON_TOO_BIG, [HTTP_OTHER] = REASON_OTHER, [HTTP_LOCAL] = REASON_OTHER,
};

/* --- values --- */

static const char *own_value(struct request *r, const char *name) {
    if (strcmp(name, "seq") == 0) {
        snprintf(r->number, sizeof r->number, "%" PRIu64, r->a.index);
    } else if (strcmp(name, "id") == 0) {
        snprintf(r->number, sizeof r->number, "%016" PRIx64, http_run_id(r->run, r->a.index));
    } else if (strcmp(name, "random") == 0) {
        snprintf(r->number, sizeof r->number, "%" PRIu64, r->a.random);
    } else if (strcmp(name, "time_ms") == 0) {
        if (!r->time_ms)
            r->time_ms = clock_wall_ns() / NS_PER_MS;
        snprintf(r->number, sizeof r->number, "%" PRId64, r->time_ms);
    } else {
        return NULL;
    }
    return r->number;
}

static const char *get_value(void *arg, const char *name) {
    struct request *r = arg;
    const struct http_run *l = r->run;
    if (strncmp(name, "request.", 8) == 0)
        return own_value(r, name + 8);
    for (size_t i = 0; i < l->name_count; i++)
        if (strcmp(l->names[i], name) == 0)
            return r->values[i].known ? r->values[i].text.data : NULL;
    return l->ctx.secrets ? l->ctx.secrets->get(l->ctx.secrets->arg, name) : NULL;
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
    r->start_ns = r->time_ms = 0;
    r->step = 0;
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

static int64_t on_run_clock(const struct http_run *l, int64_t mono_ns) { return recorder_from_monotonic(l->ctx.recorder, mono_ns); }

static struct sample new_sample(const struct http_run *l, const struct arrival *a, uint16_t target) {
    int64_t planned = on_run_clock(l, a->planned_ns);
    return (struct sample){.planned_ns = planned, .start_ns = planned, .end_ns = planned, .lane = a->lane, .target = target};
}

/* Never sent: start = end = planned. */
static void record_unsent(struct http_run *l, const struct arrival *a, uint16_t target, enum outcome outcome, enum reason reason) {
    struct sample s = new_sample(l, a, target);
    s.outcome = (uint8_t)outcome;
    s.reason = (uint8_t)reason;
    http_run_record(l, &s);
}

static void put_back(struct request *r) {
    struct http_run *l = r->run;
    r->next = l->idle;
    l->idle = r;
    if (--l->figures.in_flight == 0)
        http_run_idle(l);
}

static void finish(struct request *r, enum reason reason, int64_t end_ns) {
    struct http_run *l = r->run;
    r->s.outcome = reason == REASON_NONE ? OUTCOME_GOOD : OUTCOME_BAD;
    r->s.reason = (uint8_t)reason;
    r->s.start_ns = on_run_clock(l, r->start_ns ? r->start_ns : end_ns);
    r->s.end_ns = on_run_clock(l, end_ns);
    if (r->start_ns - r->a.planned_ns > LATE_NS)
        r->s.flags |= SAMPLE_LATE;
    http_run_record(l, &r->s);
    put_back(r);
}

/* Our own trouble (no descriptor, no port, no memory) says nothing of the target. */
static void finish_local(struct request *r) {
    record_unsent(r->run, &r->a, r->s.target, OUTCOME_UNSENT_STALL, REASON_OTHER);
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
    s->flags |= (uint8_t)((res->new_connection ? SAMPLE_NEW_CONNECTION : 0) | (res->stale_retry ? SAMPLE_STALE_RETRY : 0));
    if (r->start_ns)
        return;
    r->start_ns = res->start_ns;
    s->dns_us = res->dns_us;
    s->connect_us = res->connect_us;
    s->tls_us = res->tls_us;
    s->first_byte_us = res->first_byte_us;
}

static void on_done(const struct http_result *res, void *arg) {
    struct request *r = arg;
    const struct http_load *p = r->run->p;
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
    enum reason reason = judge(r, &HTTP_STEPS(p)[r->step], res);
    if (reason == REASON_NONE && res->end_ns - r->a.planned_ns > p->deadline_ns)
        reason = REASON_TIMEOUT; /* right, but too late */
    if (reason == REASON_NONE && ++r->step < p->steps.count)
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
        .timeout_ns = timeout_ns, .fresh = r->a.lane == LANE_FRESH, .insecure = l->p->insecure, .ca_file = l->p->ca_file, .netns_fd = l->ctx.netns_fd,
        .done = on_done, .arg = r,
    };
    return http_start(l->http, &q, NULL, err);
}

/* An allocation that failed is sticky in a buffer: start over with an empty one. */
static void mend(struct buf *b) {
    if (!buf_ok(b))
        buf_free(b);
}

static void send_step(struct request *r) {
    struct http_run *l = r->run;
    int64_t now = loop_now(), left = r->a.planned_ns + l->p->deadline_ns - now;
    if (left <= 0) {
        finish(r, REASON_TIMEOUT, now);
        return;
    }
    int rc = start_step(r, &HTTP_STEPS(l->p)[r->step], left, NULL);
    if (rc == 0)
        return;
    mend(&l->url);
    mend(&l->body);
    mend(&l->head);
    if (rc == -EINVAL || rc == -ENOENT) /* a value that is not there, or no header: not ours, and not to be hidden */
        finish(r, REASON_OTHER, now);
    else
        finish_local(r);
}

/* --- the start of a request --- */

static int find_target(struct http_run *l, const struct arrival *a, struct load_target *ret) {
    const struct http_targets *t = l->p->targets;
    *ret = (struct load_target){.id = SAMPLE_NO_TARGET};
    if (!t->selector)
        return 0;
    return l->ctx.resolve ? l->ctx.resolve(l->ctx.resolve_arg, t->selector, t->ready, a->turn, ret) : -ENOENT;
}

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

void http_run_request(struct http_run *l, const struct arrival *a) {
    int64_t behind = loop_now() - a->planned_ns;
    if (behind > l->p->late_ns || behind >= l->p->deadline_ns) {
        record_unsent(l, a, SAMPLE_NO_TARGET, OUTCOME_UNSENT_STALL, REASON_STALL);
        return;
    }
    struct load_target target;
    int rc = find_target(l, a, &target);
    if (rc < 0) {
        bool none = rc == -ENOENT;
        record_unsent(l, a, SAMPLE_NO_TARGET, none ? OUTCOME_BAD : OUTCOME_UNSENT_STALL, none ? REASON_NO_TARGET : REASON_OTHER);
        return;
    }
    if (l->figures.in_flight >= l->p->concurrency) {
        record_unsent(l, a, target.id, OUTCOME_UNSENT_CAP, REASON_CAP);
        return;
    }
    struct request *r = request_get(l);
    if (!r) {
        record_unsent(l, a, target.id, OUTCOME_UNSENT_STALL, REASON_OTHER);
        return;
    }
    l->figures.in_flight++;
    r->a = *a;
    r->s = new_sample(l, a, target.id);
    rc = take_target(r, &target);
    if (rc == -ENOMEM)
        finish_local(r);
    else if (rc < 0)
        finish(r, REASON_OTHER, loop_now());
    else
        send_step(r);
}
