/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Requests to one API server as one user. What may be repeated is, with growing pauses and as long as the server asks for, until its
 * limit; what may have been done although no answer came is told as unknown, never as failed. A refusal of our credentials fetches new
 * ones, once. Every callback runs on the loop, never inside kube_start. */
#include "io/http.h"
#include "kube/config.h"
#include "kube/kinds.h"
#include "kube/status.h"

#include <jansson.h>

struct kube;
struct kube_call;

struct kube_spec {
    struct loop *loop;
    struct http *http;                /* its connections are used; not shared with measured loads, whose pool must stay theirs */
    const struct kube_config *config; /* borrowed */
    int64_t plugin_limit_ns;          /* 0: 30 s */
    uint64_t seed;                    /* of the pauses' jitter */
};

int kube_new(const struct kube_spec *s, struct kube **ret, struct error *err);
void kube_free(struct kube *k); /* NULL-safe; cancels what is under way. Not from within a callback of its own */
const struct kube_config *kube_config_of(const struct kube *k);
struct loop *kube_loop(const struct kube *k);
/* A pause before try n (from 1): 250 ms, doubled each time up to 15 s, between half and all of it. */
int64_t kube_pause_ns(struct kube *k, unsigned n);

struct kube_answer {
    enum kube_trouble trouble;
    const char *why;       /* a sentence; "" when all is well */
    int status;            /* 0: no answer came */
    json_t *json;          /* of the answer, borrowed; NULL: none, or told in pieces */
    bool unknown;          /* a try of it may have been carried out: NOT_FOUND or CONFLICT are then most likely our own doing */
    unsigned tries;
    int64_t retry_after_ns; /* that the server asked for with its last answer; -1: it did not */
    int64_t asked_ns, seen_ns; /* of the last try: handed over, and its last byte */
    const char *date;      /* the server's own clock, as in the header; NULL: none */
};

struct kube_request {
    const char *verb;             /* as in RBAC rules: get, list, watch, create, update, patch, delete */
    const struct kube_kind *kind;
    const char *version;          /* of its group; NULL: the newest that is understood */
    const char *namespace, *name, *subresource; /* NULL: none */
    const char *path;             /* instead of all these but verb: "/version" */
    const char *query;            /* without "?", escaped; NULL: none */
    const json_t *body;           /* read before kube_start returns */
    const char *content_type;     /* of the body; NULL: application/json */
    bool repeat;                  /* doing it twice is as good as once. What the server said it did not do (429, 503) is repeated anyway */
    bool single;                  /* one try and nothing more, but for new credentials: the caller has its own pauses */
    int64_t limit_ns, try_ns;     /* of all tries, of one; 0: 30 s, 10 s */
    /* Pieces of a good answer's body, instead of answer->json. Only with `single`. */
    void (*data)(struct kube_call *call, const char *piece, size_t len, void *arg);
    void (*done)(const struct kube_answer *a, void *arg);
    void *arg;
};

/* -EINVAL: a name that cannot be one. */
int kube_start(struct kube *k, const struct kube_request *r, struct kube_call **ret, struct error *err);
void kube_cancel(struct kube_call *c); /* no callback follows; NULL-safe, also from its own callbacks */
/* Of the answer that comes, within data: NULL: no such header. */
const char *kube_call_header(const struct kube_call *c, const char *name);

/* --- what a drill asks for --- */

typedef void kube_done(const struct kube_answer *a, void *arg);

struct kube_deletion {
    const char *uid; /* of the one that is meant: another of its name is left alone (conflict). NULL: whichever, and never asked twice */
    int64_t grace_s;      /* < 0: the object's own; 0: at once */
    int64_t limit_ns;     /* of all tries; 0: 30 s */
};
int kube_delete(struct kube *k, const struct kube_kind *kind, const char *namespace, const char *name, const struct kube_deletion *d,
                kube_done *done, void *arg, struct kube_call **ret, struct error *err);
/* version: which Eviction the server takes, see kube/discovery.h: "v1" or "v1beta1". A budget's no is KUBE_BLOCKED. */
int kube_evict(struct kube *k, const char *version, const char *namespace, const char *name, const struct kube_deletion *d, kube_done *done,
               void *arg, struct kube_call **ret, struct error *err);
enum kube_patch_type { KUBE_PATCH_MERGE, KUBE_PATCH_STRATEGIC, KUBE_PATCH_JSON };
/* One that carries a resourceVersion, or sets what it sets however often it is sent, may say repeat. */
int kube_patch(struct kube *k, const struct kube_kind *kind, const char *namespace, const char *name, const char *subresource,
               enum kube_patch_type type, const json_t *patch, bool repeat, kube_done *done, void *arg, struct kube_call **ret,
               struct error *err);
/* May we? (SelfSubjectAccessReview). answer->json: status.allowed, status.reason; kube_allowed reads it. */
int kube_review(struct kube *k, const struct kube_where *w, kube_done *done, void *arg, struct kube_call **ret, struct error *err);
bool kube_allowed(const struct kube_answer *a);
