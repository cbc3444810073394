/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Is the API server there, and may its user do what a scenario asks of it? Every right is asked of the server itself
 * (SelfSubjectAccessReview), one by one, so that what RBAC, webhooks and the like say together is what is told. Nothing is changed. */
#include "cluster/cluster.h"

/* As `access` of struct cluster_kind. After the lines comes, where something is not allowed, a Role or ClusterRole with all that the
 * scenario needs there: YAML up to the end of out. */
int kubernetes_access_review(const struct scenario *s, const struct cluster_need *needs, size_t count, struct buf *out, struct error *err);

/* kubernetes_agents.c: where faults are asked of nodes' agents, are there some? A line a fact; *ret_missing: how many say "no". */
struct kubernetes_session;
struct kube_api;
struct kubernetes_agents_spec {
    struct kubernetes_session *session;
    const struct scenario *scenario;
    const struct kube_api *api;
    const char *namespace;
    const struct cluster_need *needs;
    size_t need_count;
    struct buf *out;
};
int kubernetes_agents_review(const struct kubernetes_agents_spec *s, size_t *ret_missing, struct error *err);
