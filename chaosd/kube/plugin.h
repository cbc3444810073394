/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Credential programs (client.authentication.k8s.io): run, with a limit on their time, and what they print is read. */
#include "base/error.h"
#include "io/loop.h"
#include "kube/config.h"

#include <stdint.h>

struct plugin_credential { /* what is not there is NULL */
    char *token, *cert_pem, *key_pem;
    int64_t expires_s; /* wall clock; 0: it does not say */
};
void plugin_credential_free(struct plugin_credential *c); /* what it points to; leaves it empty */
/* Pure. No error text carries any of the text. */
int plugin_credential_parse(const char *text, size_t len, const char *api_version, struct plugin_credential *ret, struct error *err);
/* A text for people from a program that may know secrets: words that are long enough to be one become "***". In place. */
char *plugin_hide(char *text);

struct plugin;
/* done is told once, on the loop: rc 0 with a credential that is the callee's to free, or what went wrong. cluster_info may be NULL. */
int plugin_start(struct loop *l, const struct kube_exec *x, const json_t *cluster_info, int64_t limit_ns,
                 void (*done)(int rc, struct plugin_credential *c, const struct error *why, void *arg), void *arg, struct plugin **ret,
                 struct error *err);
void plugin_free(struct plugin *p); /* ends it, and all that it started, without a word; also after done. NULL-safe */
