/* SPDX-License-Identifier: Apache-2.0 */
/* The tcp load: at each planned time a connection, some bytes, an answer; for whatever does not speak HTTP. */
#include "base/cleanup.h"
#include "io/tcp.h"
#include "load/needs.h"
#include "load/open_loop.h"
#include "scenario/answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct load_kind load_tcp;

/* --- what a scenario says --- */

struct tcp_targets { /* selector and port, or addresses */
    struct selector *selector;
    int64_t port;
    bool ready;
    struct strings addresses;
    int pick; /* enum pick */
    struct tcp_address *parsed; /* filled by the check, as many as addresses */
};

struct tcp_load {
    int64_t rate;
    int arrival;
    struct tcp_targets *targets;
    struct exchange_spec exchange;
    int64_t deadline_ns, concurrency, late_ns;
};

#define T(member) offsetof(struct tcp_targets, member)
static const struct field target_fields[] = {
    {.name = "selector", .type = F_OBJECT, .offset = T(selector), .shape = &selector_shape, .doc = "The pods that connections go to."},
    {.name = "port", .type = F_INT, .offset = T(port), .min = 1, .max = 65535, .doc = "Their port."},
    {.name = "ready", .type = F_BOOL, .offset = T(ready), .doc = "Only pods that are ready, as a Service would; when false, all."},
    {.name = "address", .type = F_STRINGS, .offset = T(addresses), .max = 1000,
     .doc = "Fixed addresses instead of pods, one or several: \"10.0.0.1:6379\", \"[::1]:6379\"; no name is looked up."},
    {.name = "pick", .type = F_ENUM, .offset = T(pick), .def = "round-robin", .values = pick_names,
     .doc = "Which of several targets is next: each in turn, or at random from the run's seed."},
    {0},
};
#undef T

static int parse_addresses(struct tcp_targets *t, const struct schema_at *at, struct error *err) {
    t->parsed = arena_alloc(at->arena, (t->addresses.count + 1) * sizeof *t->parsed);
    if (!t->parsed)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < t->addresses.count; i++) {
        struct error why = {""};
        if (tcp_address_parse(t->addresses.items[i], &t->parsed[i], &why) < 0)
            return schema_bad(at, "address", err, "%s", why.text);
    }
    return 0;
}

static int check_targets(void *value, const struct schema_at *at, struct error *err) {
    struct tcp_targets *t = value;
    if (!!t->selector + !!t->addresses.count != 1)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "expected %s of selector and address", t->selector ? "only one" : "one");
    if (t->selector && !t->port)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "a selector needs port, where the pods listen");
    if (!t->selector && t->port)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "port goes with selector; an address has its own");
    if (!t->selector && t->ready)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "ready goes with selector: nobody says whether a fixed address is ready");
    return parse_addresses(t, at, err);
}

static const struct shape targets_shape = {
    .name = "tcp-targets", .size = sizeof(struct tcp_targets), .fields = target_fields, .check = check_targets, .doc = "Where connections go.",
};

struct name_check { const struct tcp_load *p; const struct schema_at *at; struct error *err; };

static int check_name(const char *name, void *arg) {
    const struct name_check *c = arg;
    if (strncmp(name, "pod.", 4) == 0 && !c->p->targets->selector)
        return doc_error(c->at->doc, c->at->path, 0, c->err, -EINVAL, "${%s}: with a fixed address there is no pod; use targets.selector", name);
    if (strncmp(name, "capture.", 8) == 0 || strncmp(name, "ledger.", 7) == 0)
        return doc_error(c->at->doc, c->at->path, 0, c->err, -EINVAL, "${%s}: a tcp load captures nothing and keeps no ledger", name);
    return 0;
}

static int check_template(const struct template *t, void *arg) { return template_names(t, check_name, arg); }

static int check_load(void *value, const struct schema_at *at, struct error *err) {
    const struct tcp_load *p = value;
    int rc = exchange_check(&p->exchange, at, err);
    return rc < 0 ? rc : exchange_templates(&p->exchange, check_template, &(struct name_check){p, at, err});
}

#define L(member) offsetof(struct tcp_load, member)
static const struct field load_fields[] = {
    OPEN_LOOP_RATE_ROWS(struct tcp_load),
    {.name = "targets", .type = F_OBJECT, .offset = L(targets), .required = true, .shape = &targets_shape, .doc = "Where connections go."},
    EXCHANGE_FIELDS(struct tcp_load, exchange),
    OPEN_LOOP_LIMIT_ROWS(struct tcp_load, "From the planned time to the last byte of the answer; slower is bad."),
    {0},
};
#undef L

static const struct shape load_shape = {
    .name = "tcp", .size = sizeof(struct tcp_load), .fields = load_fields, .check = check_load,
    .doc = "TCP exchanges at planned times: a connection each, what is sent over it, what a right answer is.",
};

static json_t *describe(const struct load_spec *spec) {
    const struct tcp_load *p = spec->kind.params;
    return json_pack("{s:s, s:I, s:[s], s:I}", "kind", "tcp", "rate_micro", (json_int_t)p->rate, "lanes", lane_names[LANE_TCP], "deadline_ns",
                     (json_int_t)p->deadline_ns);
}

static int needs(const struct load_spec *spec, const struct doc *doc, const struct candidate *pods, size_t pod_count, struct arena *a,
                 struct load_needs *ret) {
    const struct tcp_load *p = spec->kind.params;
    const struct tcp_targets *t = p->targets;
    const struct candidate **mine = arena_alloc(a, (pod_count + 1) * sizeof *mine);
    *ret = (struct load_needs){.connections = needs_connections(p->rate, p->deadline_ns, p->concurrency, spec->kind.path, doc)};
    ret->addresses = arena_alloc(a, (t->addresses.count + pod_count + 1) * sizeof *ret->addresses);
    if (!mine || !ret->addresses)
        return -ENOMEM;
    size_t n = t->selector ? needs_matching(t->selector, pods, pod_count, mine) : 0;
    for (size_t i = 0; i < t->addresses.count; i++)
        needs_add(ret, t->addresses.items[i], (double)p->rate / (double)t->addresses.count);
    for (size_t i = 0; i < n; i++) { /* as an http load of the same pods calls them */
        const char *name = arena_printf(a, "${pod.ip}:%lld of %s", (long long)t->port, mine[i]->name);
        if (!name)
            return -ENOMEM;
        needs_add(ret, name, (double)p->rate / (double)n);
    }
    return 0;
}

/* --- a load that runs --- */

struct request {
    struct tcp_run *run;
    struct request *next, *next_all;
    struct arrival a;
    struct sample s;
    struct answer answer;
    const struct load_target *target; /* while its values are being filled in */
    char number[ARRIVAL_VALUE_SIZE];
};

struct tcp_run {
    struct open_loop open; /* first */
    const struct tcp_load *p;
    struct tcp *tcp;
    struct request *idle, *all;
    struct buf send; /* scratch of the request being started */
};

static struct request *request_get(struct tcp_run *l) {
    struct request *r = l->idle;
    if (r) {
        l->idle = r->next;
        return r;
    }
    if (!(r = calloc(1, sizeof *r)))
        return NULL;
    r->run = l;
    r->next_all = l->all;
    return l->all = r;
}

static void put_back(struct request *r) {
    if (!buf_ok(&r->answer.bytes))
        buf_free(&r->answer.bytes);
    r->next = r->run->idle;
    r->run->idle = r;
}

static const char *get_value(void *arg, const char *name) {
    struct request *r = arg;
    const struct template_vars *secrets = r->run->open.ctx.secrets, *pod = r->target->vars;
    if (strncmp(name, "request.", 8) == 0)
        return open_loop_value(&r->run->open, &r->a, name + 8, r->number);
    if (strncmp(name, "pod.", 4) == 0)
        return pod ? pod->get(pod->arg, name) : NULL;
    return secrets ? secrets->get(secrets->arg, name) : NULL;
}

static enum reason reason_of(const struct request *r, const struct tcp_result *res) {
    static const uint8_t reasons[TCP_ERROR_COUNT] = {
        [TCP_TIMEOUT] = REASON_TIMEOUT, [TCP_REFUSED] = REASON_REFUSED, [TCP_RESET] = REASON_RESET, [TCP_UNREACHABLE] = REASON_UNREACHABLE,
        [TCP_TOO_BIG] = REASON_TOO_BIG, [TCP_WRONG] = REASON_BODY, [TCP_OTHER] = REASON_OTHER, [TCP_LOCAL] = REASON_OTHER,
    };
    if (res->error == TCP_OK && res->end_ns - r->a.planned_ns > r->run->p->deadline_ns)
        return REASON_TIMEOUT; /* right, but too late */
    return (enum reason)reasons[res->error];
}

static void on_done(const struct tcp_result *res, void *arg) {
    struct request *r = arg;
    struct open_loop *o = &r->run->open;
    struct sample *s = &r->s;
    s->bytes = res->len > UINT32_MAX ? UINT32_MAX : (uint32_t)res->len;
    s->connect_us = res->connect_us;
    s->first_byte_us = res->first_byte_us;
    s->flags |= res->connect_us ? SAMPLE_NEW_CONNECTION : 0;
    s->steps = res->error == TCP_OK || res->error == TCP_WRONG;
    if (res->error == TCP_LOCAL)
        open_loop_give_up(o, &r->a, s->target);
    else
        open_loop_finish(o, &r->a, s, reason_of(r, res), res->start_ns, res->end_ns);
    put_back(r);
}

static int judge(const char *data, size_t len, bool closed, char *why, size_t size, void *arg) {
    static const int ends[] = {
        [ANSWER_MORE] = TCP_MORE, [ANSWER_RIGHT] = TCP_OK, [ANSWER_WRONG] = TCP_WRONG, [ANSWER_CUT] = TCP_RESET, [ANSWER_TOO_BIG] = TCP_TOO_BIG,
    };
    return ends[answer_judge(&((struct request *)arg)->answer, data, len, closed, why, size)];
}

/* 0, or what is wrong with the values: -ENOENT or -EINVAL where one is missing or no address, else our own trouble. */
static int begin_exchange(struct request *r, const struct load_target *target) {
    struct tcp_run *l = r->run;
    const struct tcp_load *p = l->p;
    const struct exchange_spec *x = &p->exchange;
    const struct template_vars vars = {get_value, r};
    struct tcp_request q = {
        .netns_fd = l->open.ctx.netns_fd, .deadline_ns = r->a.planned_ns + p->deadline_ns, .max = x->expect ? (size_t)x->expect->max : 0,
        .judge = x->expect ? judge : NULL, .done = on_done, .arg = r,
    };
    const char *ip = target->vars ? target->vars->get(target->vars->arg, "pod.ip") : NULL;
    int rc = 0;
    r->target = target;
    if (!p->targets->selector)
        q.address = p->targets->parsed[r->a.turn % p->targets->addresses.count];
    else
        rc = ip ? tcp_address(ip, p->targets->port, &q.address, NULL) : -ENOENT;
    buf_clear(&l->send);
    if (rc == 0 && x->send)
        rc = bytes_render(x->send, (enum encoding)x->encoding, &vars, &l->send, NULL);
    if (rc == 0 && x->expect)
        rc = answer_prepare(x->expect, (enum encoding)x->encoding, &vars, &r->answer, NULL);
    if (!buf_ok(&l->send))
        buf_free(&l->send);
    if (rc < 0)
        return rc;
    q.send = l->send.data;
    q.send_len = l->send.len;
    rc = tcp_start(l->tcp, &q, NULL, NULL);
    return rc < 0 ? -ENOMEM : 0;
}

static void send_request(struct open_loop *o, const struct arrival *a) {
    struct tcp_run *l = (struct tcp_run *)(void *)o;
    const struct tcp_targets *t = l->p->targets;
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
    int rc = begin_exchange(r, &target);
    if (rc == 0)
        return;
    if (rc == -EINVAL || rc == -ENOENT) /* a value that is not there: not ours, and not to be hidden */
        open_loop_finish(o, &r->a, &r->s, REASON_OTHER, 0, loop_now());
    else
        open_loop_give_up(o, &r->a, target.id);
    put_back(r);
}

static void run_free(struct load *load) {
    struct tcp_run *l = (struct tcp_run *)(void *)load;
    if (!l)
        return;
    tcp_free(l->tcp); /* what is under way is cancelled and leaves no sample */
    open_loop_free(&l->open);
    for (struct request *r = l->all, *next; r; r = next) {
        next = r->next_all;
        answer_free(&r->answer);
        free(r);
    }
    buf_free(&l->send);
    free(l);
}

static int run_new(const struct load_spec *spec, const struct load_context *ctx, struct load **ret, struct error *err) {
    static const int lane = LANE_TCP;
    struct tcp_run *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, -ENOMEM, "out of memory");
    const struct tcp_load *p = l->p = spec->kind.params;
    const struct open_loop_plan plan = {
        .rate = p->rate, .arrival = (enum arrival_kind)p->arrival, .lanes = {&lane, 1}, .pick = (enum pick)p->targets->pick,
        .deadline_ns = p->deadline_ns, .late_ns = p->late_ns, .concurrency = p->concurrency,
    };
    int rc = open_loop_init(&l->open, &load_tcp, spec, ctx, &plan, send_request, err);
    if (rc == 0)
        rc = tcp_new(ctx->loop, &l->tcp, err);
    if (rc < 0)
        run_free(&l->open.load);
    else
        *ret = &l->open.load;
    return rc;
}

const struct load_kind load_tcp = {
    .row = {"tcp", &load_shape, "TCP exchanges at planned times, a connection each."},
    .new = run_new,
    .begin = open_loop_begin,
    .stop = open_loop_stop,
    .figures = open_loop_figures,
    .needs = needs,
    .describe = describe,
    .free = run_free,
};
