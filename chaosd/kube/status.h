/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the API server said no with, as something to act by and as a sentence for people. Pure. */
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum kube_trouble {
    KUBE_OK,
    KUBE_FORBIDDEN,    /* not allowed: the sentence has the rule to add */
    KUBE_UNAUTHORIZED, /* not known, or known no longer */
    KUBE_NOT_FOUND,
    KUBE_EXISTS,
    KUBE_CONFLICT,     /* it changed meanwhile, or is another by now (preconditions.uid) */
    KUBE_GONE,         /* 410: the version or the continue token is too old */
    KUBE_INVALID,      /* the request was wrong */
    KUBE_BLOCKED,      /* an eviction that a PodDisruptionBudget forbids for now */
    KUBE_BUSY,         /* 429, 503 and their like: later */
    KUBE_SERVER,       /* 500 and their like */
    KUBE_UNREACHABLE,  /* no whole answer came */
    KUBE_NOT_API,      /* an answer, but not an API server's */
    KUBE_CREDENTIALS,  /* we have none to send */
    KUBE_LOCAL,        /* our own trouble */
    KUBE_TROUBLE_COUNT
};
const char *kube_trouble_name(enum kube_trouble t); /* "forbidden", ... */

/* What was asked of what. Texts may be NULL. */
struct kube_where {
    const char *verb;            /* as in RBAC rules: "get", "delete" */
    const char *group, *resource, *subresource, *namespace, *name;
};

/* status: of the answer; body: parsed, NULL when it is no JSON. content_type may be NULL. The sentence goes to *err. */
enum kube_trouble kube_status(const struct kube_where *w, int status, const char *content_type, const json_t *body, struct error *err);
/* "deleting pod \"web-1\" in namespace \"shop\"", for the front of sentences. */
void kube_where_text(const struct kube_where *w, char *out, size_t size);
/* The rule that allows it, as it is written in a Role: {apiGroups: [""], resources: [pods/eviction], verbs: [create]}. */
void kube_where_rule(const struct kube_where *w, char *out, size_t size);
/* Retry-After in ns; -1: none, or none in seconds. */
int64_t kube_retry_after_ns(const char *header);
