/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of `cluster: {kubernetes: ...}`, and what rows cannot say. */
#include "cluster/kubernetes_priv.h"

#include <errno.h>
#include <string.h>

#define K(member) offsetof(struct kubernetes_config, member)

static const struct field fields[] = {
    {.name = "kubeconfig", .type = F_STRING, .offset = K(kubeconfig),
     .doc = "The file; else $KUBECONFIG, ~/.kube/config, or in a pod its service account."},
    {.name = "context", .type = F_STRING, .offset = K(context), .doc = "The kubeconfig's context; else its current-context."},
    {.name = "namespaces", .type = F_STRINGS, .offset = K(namespaces),
     .doc = "What is followed, and may be struck; else the context's namespace alone. \"*\": all."},
    {.name = "labelSelector", .type = F_STRING, .offset = K(label_selector),
     .doc = "Only pods that match are followed, as kubectl --selector writes it; in clusters with very many pods."},
    {.name = "leases", .type = F_STRINGS, .offset = K(leases), .doc = "Leases whose holder the timeline tells, as namespace/name: who leads what."},
    {.name = "agentNamespace", .type = F_NAME, .offset = K(agent_namespace), .def = KUBERNETES_AGENT_NAMESPACE,
     .doc = "Where the nodes' agents are, and are asked: for faults of processes and networks."},
    {0},
};

static int check(void *value, const struct schema_at *at, struct error *err) {
    const struct kubernetes_config *c = value;
    char field[64];
    for (size_t i = 0; i < c->namespaces.count; i++) {
        const char *n = c->namespaces.items[i];
        size_t len = strlen(n);
        snprintf(field, sizeof field, "namespaces/%zu", i);
        if (strcmp(n, "*") == 0 ? c->namespaces.count > 1
                                : len < 1 || len > 63 || strspn(n, "abcdefghijklmnopqrstuvwxyz0123456789-") != len || n[0] == '-' || n[len - 1] == '-')
            return schema_bad(at, field, err, "\"%s\" is no namespace: expected a name, or \"*\" alone for all", n);
        for (size_t j = 0; j < i; j++)
            if (strcmp(c->namespaces.items[j], n) == 0)
                return schema_bad(at, field, err, "namespace \"%s\" stands there twice", n);
    }
    for (size_t i = 0; i < c->leases.count; i++) {
        const char *slash = strchr(c->leases.items[i], '/');
        snprintf(field, sizeof field, "leases/%zu", i);
        if (!slash || slash == c->leases.items[i] || !slash[1] || strchr(slash + 1, '/'))
            return schema_bad(at, field, err, "\"%s\" is no lease: expected namespace/name", c->leases.items[i]);
    }
    return 0;
}

const struct shape kubernetes_shape = {
    .name = "kubernetes", .size = sizeof(struct kubernetes_config), .fields = fields, .check = check,
    .doc = "A Kubernetes: its pods are followed through the API server, with the rights of the kubeconfig's user.",
};
