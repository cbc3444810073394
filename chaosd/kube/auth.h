/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who we are to the API server, kept fresh: tokens in files are read again each minute, programs are asked again when what they gave
 * expires, and either when the server refuses it. */
#include "base/error.h"
#include "io/loop.h"
#include "kube/config.h"

struct kube_auth;

struct kube_credentials { /* one state of it, counted: a request keeps what it was sent with */
    unsigned holds;
    char *authorization;      /* "Authorization: Bearer ..."; NULL: none */
    char *cert_pem, *key_pem; /* NULL: none */
    char *ca_pem;             /* NULL: the configuration's */
    int64_t expires_s;        /* wall clock; 0: never */
};

/* config is borrowed. changed is told on the loop when kube_auth_get, which said -EAGAIN, is worth another call. */
int kube_auth_new(struct loop *l, const struct kube_config *config, int64_t plugin_limit_ns, void (*changed)(void *arg), void *arg,
                  struct kube_auth **ret, struct error *err);
void kube_auth_free(struct kube_auth *a); /* NULL-safe; credentials that are held stay */
/* *ret is held for the caller. -EAGAIN: a program is being asked. Else why there are none; a program that failed is asked again a
 * second later at the earliest. */
int kube_auth_get(struct kube_auth *a, struct kube_credentials **ret, struct error *err);
/* The server did not take these. True: kube_auth_get may have others. */
bool kube_auth_refused(struct kube_auth *a, const struct kube_credentials *c);
/* The server's certificate is not of the authority that they name. True: the file that it was read from says another by now. No program is asked. */
bool kube_auth_reread(struct kube_auth *a, const struct kube_credentials *c);
void kube_credentials_release(struct kube_credentials *c); /* NULL-safe */
