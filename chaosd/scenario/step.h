/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One HTTP exchange as scenarios write it, for loads, readiness probes and roles alike: a request from templates, what
 * a right answer is, and values captured from it. Pure: sending is io/http's. */
#include "scenario/schema.h"

struct step_expect {
    int64_t status; /* 0: any 2xx */
    const struct template *contains;
    struct template_pairs json; /* dotted path -> value, compared as text */
    struct strings missing;     /* dotted paths that must not be there */
};

struct step {
    const struct template *get, *post, *put, *delete, *head; /* exactly one: URL, or path under a base */
    const struct template *json, *body;                      /* at most one */
    struct template_pairs headers;
    struct step_expect *expect; /* NULL: any 2xx */
    struct pairs capture;       /* name -> dotted path; the value is ${capture.name} afterwards */
    const char *method;         /* filled by the shape's check */
    const struct template *url; /* likewise */
};

extern const struct shape step_shape, expect_shape;

/* NULL when the answer is right, else why not ("status 503, wanted 2xx"), in tmp. on_capture gets each captured value;
 * a path that is absent is a wrong answer. Captures are handed over before expect.json is compared, which may so name them
 * (vars must then know them); an answer that turns out wrong only there has been captured from. vars may be NULL. */
const char *step_judge(const struct step *s, const struct template_vars *vars, int status, const char *body, size_t len,
                       void (*on_capture)(const char *name, const char *value, void *arg), void *arg, char *tmp, size_t size);
