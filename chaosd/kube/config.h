/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which API server, and as whom: from kubeconfig files as kubectl reads them, or from the service account that a pod is given. */
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct kube_exec { /* a program that prints credentials (client.authentication.k8s.io) */
    const char *command, *api_version, *install_hint; /* install_hint: "" */
    const char *const *args; /* ends with NULL */
    const char *const *env;  /* "NAME=value", ends with NULL */
    bool cluster_info;       /* it is told of the cluster */
};

struct kube_user { /* what is not there is NULL */
    const char *cert_pem, *key_pem;
    const char *token;
    const char *token_file; /* read again and again: it stands above token */
    const char *ca_file;    /* as often, with it: a pod's; it stands above the cluster's ca_pem */
    const char *username, *password;
    const struct kube_exec *exec;
    const char *act_as; /* impersonated user */
    const char *const *act_as_groups; /* ends with NULL */
};

struct kube_config {
    const char *origin;  /* for messages: "kubeconfig /root/.kube/config, context \"lab\"" */
    const char *context; /* "" in a pod */
    const char *cluster_name, *user_name;
    const char *namespace; /* the context's, else "default" */
    const char *server;    /* "https://10.0.0.1:6443", without a slash at its end; may carry a path */
    const char *ca_pem, *tls_name, *proxy, *no_proxy; /* NULL: none */
    bool insecure;
    struct kube_user user;
    const json_t *cluster_info; /* what a credential program may be told */
};

struct kube_config_spec {
    const char *path;    /* one file; NULL: $KUBECONFIG (a list of them, the first that has something wins), else ~/.kube/config */
    const char *list;    /* without path: files as in $KUBECONFIG, instead of it; "": none. NULL: that one */
    const char *context; /* NULL: the files' current-context */
    /* Where a pod finds its service account; NULL: /var/run/secrets/kubernetes.io/serviceaccount. It is taken when no path is given, no
     * file is there, and KUBERNETES_SERVICE_HOST is set. */
    const char *account_dir;
};

/* Reads $KUBECONFIG, $HOME, $KUBERNETES_SERVICE_{HOST,PORT} and {HTTPS,HTTP,NO}_PROXY. Certificates and keys are read and looked at
 * here; no error text carries what is secret. -ENOENT: nothing there; -EINVAL: not understood, with file, line and column. */
int kube_config_load(const struct kube_config_spec *spec, struct kube_config **ret, struct error *err);
void kube_config_free(struct kube_config *c); /* NULL-safe */
