/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A probe: one question, one answer. One file a kind, one row in table.c. Readiness and roles use them. */
#include "io/http.h"
#include "io/loop.h"
#include "scenario/scenario.h"

struct probe_op;
struct probe_context {
    struct loop *loop;
    struct http *http;
    int netns_fd;
    int cgroup_fd; /* of programs; -1: none */
    int64_t timeout_ns;
    const struct template_vars *vars; /* read only inside probe_start */
    /* why: NULL when the answer is right; captured: object of strings, borrowed. asked/seen: CLOCK_MONOTONIC ns. */
    void (*done)(const char *why, const json_t *captured, int64_t asked_ns, int64_t seen_ns, void *arg);
    void *arg;
};
struct probe_kind {
    struct kind_row row;
    int (*start)(const void *params, const struct probe_context *ctx, struct probe_op **ret, struct error *err);
    void (*cancel)(struct probe_op *op); /* no callback follows */
    int (*preflight)(const void *params, struct error *err); /* is what it needs on this machine; NULL: it needs nothing */
};
struct probe_op { const struct probe_kind *kind; };
extern const struct probe_kind *const probe_kinds[];
/* The http kind with a step at hand (roles). */
int probe_http_start(const struct step *s, const struct probe_context *ctx, struct probe_op **ret, struct error *err);
void probe_cancel(struct probe_op *op); /* NULL-safe */
