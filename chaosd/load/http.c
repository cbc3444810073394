/* SPDX-License-Identifier: Apache-2.0 */
/* The http load: planned arrivals from one timer, each handed to http_request.c in time or recorded as unsent. */
#include "base/cleanup.h"
#include "load/http_priv.h"

#include <errno.h>
#include <string.h>

const struct load_kind load_http;

static struct http_run *run_of(struct load *l) { return (struct http_run *)(void *)l; }

/* A bijection of 64 bits (the finaliser of splitmix64): different in, different out. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* --- names of the values that requests keep --- */

static int keep_name(struct http_run *l, const char *name) {
    for (size_t i = 0; i < l->name_count; i++)
        if (strcmp(l->names[i], name) == 0)
            return 0;
    char **longer = realloc(l->names, (l->name_count + 1) * sizeof *longer);
    if (!longer)
        return -ENOMEM;
    l->names = longer;
    longer[l->name_count] = strdup(name);
    return longer[l->name_count] ? (l->name_count++, 0) : -ENOMEM;
}

static int keep_pod_name(const char *name, void *arg) { return strncmp(name, "pod.", 4) == 0 ? keep_name(arg, name) : 0; }
static int keep_pod_names(const struct template *t, void *arg) { return template_names(t, keep_pod_name, arg); }

static int keep_names(struct http_run *l, size_t *ret_headers) {
    const struct http_load *p = l->p;
    int rc = p->targets->base ? keep_pod_names(p->targets->base, l) : 0;
    *ret_headers = 0;
    for (size_t i = 0; rc == 0 && i < p->steps.count; i++) {
        rc = http_step_templates(&HTTP_STEPS(p)[i], keep_pod_names, l);
        if (HTTP_STEPS(p)[i].headers.count > *ret_headers)
            *ret_headers = HTTP_STEPS(p)[i].headers.count;
    }
    l->pod_names = l->name_count;
    for (size_t i = 0; rc == 0 && i < p->steps.count; i++)
        for (size_t k = 0; rc == 0 && k < HTTP_STEPS(p)[i].capture.count; k++) {
            cleanup_buf struct buf name = {0};
            buf_printf(&name, "capture.%s", HTTP_STEPS(p)[i].capture.items[k].key);
            rc = buf_ok(&name) ? keep_name(l, name.data) : -ENOMEM;
        }
    return rc;
}

/* --- arrivals --- */

static int64_t next_planned(const struct http_run *l) {
    int64_t offset = arrivals_peek(&l->arrivals), t;
    return __builtin_add_overflow(l->start_ns, offset, &t) ? INT64_MAX : t;
}

/* Draws are made for every arrival, sent or not, so that they depend on its index alone. */
static void arrive(struct http_run *l, int64_t planned_ns) {
    uint64_t lanes = l->p->lanes.count, draw = rng_u64(&l->rng);
    struct arrival a = {.index = l->arrivals.index, .random = rng_u64(&l->rng), .planned_ns = planned_ns};
    a.lane = (uint8_t)l->p->lanes.items[a.index % lanes];
    a.turn = l->p->targets->pick == PICK_RANDOM ? draw : a.index / lanes; /* each lane goes round on its own */
    arrivals_advance(&l->arrivals);
    l->figures.planned++;
    http_run_request(l, &a);
}

static void send_due(struct http_run *l, int64_t now) {
    for (int64_t t; (t = next_planned(l)) <= now && t < l->end_ns;)
        arrive(l, t);
}

void http_run_idle(struct http_run *l) {
    if (l->state == HTTP_DRAINING)
        timer_at(l->timer, loop_now()); /* the end is told from a clean stack: the load may be freed in it */
}

static void on_timer(void *arg) {
    struct http_run *l = arg;
    if (l->state == HTTP_SENDING) {
        int64_t now = loop_now();
        send_due(l, now);
        if (now < l->end_ns) {
            int64_t next = next_planned(l);
            timer_at(l->timer, next < l->end_ns ? next : l->end_ns);
            return;
        }
        l->state = HTTP_DRAINING;
    }
    if (l->state != HTTP_DRAINING || l->figures.in_flight)
        return;
    l->state = HTTP_ENDED;
    if (l->ctx.ended)
        l->ctx.ended(l->ctx.ended_arg);
}

static void begin(struct load *load, int64_t start_mono_ns, int64_t end_mono_ns) {
    struct http_run *l = run_of(load);
    if (l->state != HTTP_NEW)
        return;
    l->state = HTTP_SENDING;
    l->start_ns = start_mono_ns;
    l->end_ns = end_mono_ns;
    int64_t next = next_planned(l);
    timer_at(l->timer, next < end_mono_ns ? next : end_mono_ns);
}

static void stop(struct load *load) {
    struct http_run *l = run_of(load);
    if (l->state == HTTP_SENDING)
        send_due(l, loop_now()); /* what was planned before the stop has its sample */
    if (l->state > HTTP_SENDING)
        return;
    l->state = HTTP_DRAINING;
    timer_stop(l->timer);
    if (!l->figures.in_flight)
        http_run_idle(l);
}

void http_run_record(struct http_run *l, struct sample *s) {
    s->load = l->ctx.index;
    if (s->outcome == OUTCOME_GOOD)
        l->figures.good++;
    else if (s->outcome == OUTCOME_BAD)
        l->figures.bad++;
    else
        l->figures.unsent++;
    recorder_sample(l->ctx.recorder, s);
}

static void figures(const struct load *load, struct load_figures *ret) { *ret = ((const struct http_run *)(const void *)load)->figures; }

static void run_free(struct load *load) {
    struct http_run *l = run_of(load);
    if (!l)
        return;
    http_free(l->http); /* what is under way is cancelled and leaves no sample */
    timer_free(l->timer);
    http_requests_free(l);
    for (size_t i = 0; i < l->name_count; i++)
        free(l->names[i]);
    free(l->names);
    free(l->headers);
    buf_free(&l->url);
    buf_free(&l->body);
    buf_free(&l->head);
    free(l);
}

/* The same for the loads of a run, different in the next run, whatever its seed. */
static uint64_t id_key(const struct load_context *ctx) {
    uint64_t run_start = (uint64_t)recorder_from_monotonic(ctx->recorder, 0);
    return mix(ctx->seed ^ mix(run_start ^ (uint64_t)getpid() << 40));
}

uint64_t http_run_id(const struct http_run *l, uint64_t index) { return mix(((uint64_t)l->ctx.index << 48 ^ index) ^ l->id_key); }

static int run_new(const struct load_spec *spec, const struct load_context *ctx, struct load **ret, struct error *err) {
    struct http_run *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, -ENOMEM, "out of memory");
    l->load.kind = &load_http;
    l->p = spec->kind.params;
    l->ctx = *ctx;
    l->id_key = id_key(ctx);
    arrivals_init(&l->arrivals, (enum arrival_kind)l->p->arrival, l->p->rate, ctx->seed, spec->name);
    char stream[96];
    snprintf(stream, sizeof stream, "load/%s/requests", spec->name);
    rng_derive(&l->rng, ctx->seed, stream);
    size_t headers = 0;
    int rc = keep_names(l, &headers);
    if (rc == 0 && !(l->headers = calloc(headers + 2, sizeof *l->headers))) /* a content type, and the end */
        rc = -ENOMEM;
    if (rc < 0)
        error_set(err, rc, "out of memory");
    else if ((rc = timer_new(ctx->loop, on_timer, l, &l->timer, err)) == 0)
        rc = http_new(ctx->loop, (size_t)l->p->concurrency, &l->http, err);
    if (rc < 0) {
        run_free(&l->load);
        return rc;
    }
    *ret = &l->load;
    return 0;
}

const struct load_kind load_http = {
    .row = {"http", &http_load_shape, "HTTP requests at planned times, over fresh and reused connections."},
    .new = run_new,
    .begin = begin,
    .stop = stop,
    .figures = figures,
    .describe = http_load_describe,
    .needs = http_load_needs,
    .free = run_free,
};
