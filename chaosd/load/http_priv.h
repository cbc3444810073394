/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The http load: http_rows.c (what a scenario says), http_needs.c (what it asks of the machine), http.c (its life),
 * http_request.c (one request). */
#include "base/buf.h"
#include "io/http.h"
#include "load/open_loop.h"

/* --- what a scenario says --- */

struct http_targets { /* selector and base, or url, or urls */
    struct selector *selector;
    const struct template *base, *url;
    struct templates urls;
    int pick; /* enum pick */
    bool ready;
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
};
extern const struct shape http_load_shape;
#define HTTP_STEPS(p) ((const struct step *)(p)->steps.items)

/* Every template of a step, until fn returns non-zero. */
int http_step_templates(const struct step *s, int (*fn)(const struct template *t, void *arg), void *arg);
json_t *http_load_describe(const struct load_spec *spec);
int http_load_needs(const struct load_spec *spec, const struct doc *doc, const struct candidate *pods, size_t pod_count, struct arena *a,
                    struct load_needs *ret);

/* --- a load that runs --- */

struct request;
struct http_run {
    struct open_loop open; /* first */
    const struct http_load *p;
    struct http *http;
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
