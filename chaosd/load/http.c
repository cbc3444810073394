/* SPDX-License-Identifier: Apache-2.0 */
/* The http load: its life. Arrivals are the open loop's, requests http_request.c's. */
#include "base/cleanup.h"
#include "load/http_priv.h"

#include <errno.h>
#include <string.h>

const struct load_kind load_http;

static struct http_run *run_of(struct load *l) { return (struct http_run *)(void *)l; }

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
    for (size_t i = 0; rc == 0 && i < http_step_count(p); i++) {
        const struct step *s = http_step(p, i);
        rc = http_step_templates(s, keep_pod_names, l);
        if (s->headers.count > *ret_headers)
            *ret_headers = s->headers.count;
    }
    if (rc == 0 && p->ledger)
        rc = http_expect_templates(p->ledger->absent, keep_pod_names, l);
    l->pod_names = l->name_count;
    for (size_t i = 0; rc == 0 && i < http_step_count(p); i++)
        for (size_t k = 0; rc == 0 && k < http_step(p, i)->capture.count; k++) {
            cleanup_buf struct buf name = {0};
            buf_printf(&name, "capture.%s", http_step(p, i)->capture.items[k].key);
            rc = buf_ok(&name) ? keep_name(l, name.data) : -ENOMEM;
        }
    return rc;
}

static void run_free(struct load *load) {
    struct http_run *l = run_of(load);
    if (!l)
        return;
    http_free(l->http); /* what is under way is cancelled and leaves no sample */
    open_loop_free(&l->open);
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

static int run_new(const struct load_spec *spec, const struct load_context *ctx, struct load **ret, struct error *err) {
    struct http_run *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, -ENOMEM, "out of memory");
    const struct http_load *p = l->p = spec->kind.params;
    const struct open_loop_plan plan = {
        .rate = p->rate, .saturate = p->saturate, .arrival = (enum arrival_kind)p->arrival, .lanes = p->lanes, .pick = (enum pick)p->targets->pick,
        .deadline_ns = p->deadline_ns, .late_ns = p->late_ns, .concurrency = p->concurrency,
    };
    size_t headers = 0;
    int rc = open_loop_init(&l->open, &load_http, spec, ctx, &plan, http_run_request, err);
    if (rc < 0) {
        free(l);
        return rc;
    }
    rc = keep_names(l, &headers);
    if (rc == 0 && !(l->headers = calloc(headers + 2, sizeof *l->headers))) /* a content type, and the end */
        rc = -ENOMEM;
    if (rc < 0)
        error_set(err, rc, "out of memory");
    else
        rc = http_new(ctx->loop, (size_t)l->p->concurrency, &l->http, err);
    if (rc == 0 && p->ledger) {
        rng_derive(&l->reads, ctx->seed, "ledger/reads");
        rc = ledger_new(&p->ledger->limits, ctx, &l->open.load.ledger, err);
    }
    if (rc < 0) {
        run_free(&l->open.load);
        return rc;
    }
    *ret = &l->open.load;
    return 0;
}

const struct load_kind load_http = {
    .row = {"http", &http_load_shape, "HTTP requests at planned times, over fresh and reused connections."},
    .new = run_new,
    .begin = open_loop_begin,
    .stop = open_loop_stop,
    .figures = open_loop_figures,
    .describe = http_load_describe,
    .read = http_run_read,
    .needs = http_load_needs,
    .free = run_free,
};
