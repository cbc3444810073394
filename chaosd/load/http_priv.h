/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The http load: http_rows.c (what a scenario says), http_needs.c (what it asks of the machine), http.c (its life),
 * http_request.c (one request), http_ledger.c (what an answer says of an entry of its ledger). */
#include "base/buf.h"
#include "io/http.h"
#include "load/ledger.h"
#include "load/open_loop.h"

/* --- what a scenario says --- */

struct http_targets { /* selector and base, or url, or urls */
    struct selector *selector;
    const struct template *base, *url;
    struct templates urls;
    int pick; /* enum pick */
    bool ready;
};

struct http_ledger {
    struct ledger_spec limits;
    struct list read; /* struct step: the last one's answer tells */
    struct step_expect *absent; /* NULL: status 404 */
};

struct http_load {
    int64_t rate; /* events a second * 10^6 */
    int arrival;  /* enum arrival_kind */
    struct ints lanes; /* enum lane */
    struct http_targets *targets;
    struct list steps; /* struct step */
    int64_t deadline_ns, concurrency, late_ns;
    bool insecure, saturate;
    const char *ca_file; /* NULL: the system's */
    struct http_ledger *ledger; /* NULL: none is kept */
};
extern const struct shape http_load_shape;
#define HTTP_STEPS(p) ((const struct step *)(p)->steps.items)
#define HTTP_READ(p) ((const struct step *)(p)->ledger->read.items)
/* The load's own steps, and after them those that read its ledger. */
size_t http_step_count(const struct http_load *p);
const struct step *http_step(const struct http_load *p, size_t i);

/* Every template of a step, until fn returns non-zero. */
int http_step_templates(const struct step *s, int (*fn)(const struct template *t, void *arg), void *arg);
int http_expect_templates(const struct step_expect *e, int (*fn)(const struct template *t, void *arg), void *arg); /* e may be NULL */
json_t *http_load_describe(const struct load_spec *spec);
int http_load_needs(const struct load_spec *spec, const struct doc *doc, const struct candidate *pods, size_t pod_count, struct arena *a,
                    struct load_needs *ret);

/* --- a load that runs --- */

struct request;
struct http_run {
    struct open_loop open; /* first */
    const struct http_load *p;
    struct http *http;
    struct rng reads; /* reading back draws apart: what is sent does not hang on it */
    uint64_t read_turn;
    /* Values a request keeps: first those of the pod, since a later step may come when the pod is gone, then captures. */
    char **names; /* "pod.ip", "capture.token" */
    size_t name_count, pod_names;
    struct request *idle, *all;
    struct buf url, body, head; /* scratch of the step being sent */
    const char **headers;       /* room for the longest list */
};

/* Sends it, or records at once why not; one sample comes of it, now or later. */
void http_run_request(struct open_loop *l, const struct arrival *a);
void http_requests_free(struct http_run *l);
int http_run_read(struct load *l, uint32_t entry, ledger_done *done, void *arg); /* as load_kind.read */
/* http_ledger.c: what the last read step's answer says of the entry; why for UNKNOWN and OTHER. Captures go to on_capture. */
enum ledger_answer http_ledger_judge(const struct http_ledger *g, const struct template_vars *vars, const struct http_result *res,
                                     void (*on_capture)(const char *name, const char *value, void *arg), void *arg, char *why, size_t size);
