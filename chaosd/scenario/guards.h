/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What chaosd refuses to do, as rows; and what of it is pure. */
#include "scenario/schema.h"

#define CHAOSD_EXCLUDE_LABEL "chaosd.io/exclude" /* "true" on a pod, or on its namespace: never a candidate */
#define CHAOSD_INCLUDE_LABEL "chaosd.io/include" /* "true": a candidate where guards.optIn is set */

enum quorum_guard { QUORUM_STATEFULSETS, QUORUM_MAJORITY, QUORUM_NONE };
enum budget_guard { BUDGETS_RESPECT, BUDGETS_IGNORE };
enum permission { PERMIT_REFUSE, PERMIT_ALLOW };

struct steady_guard { int64_t timeout_ns, interval_ns; }; /* timeout 0: not waited for */

struct guards {
    int quorum;             /* never leave fewer ready pods of a workload than a majority of its replicas */
    int64_t min_ready;      /* nor fewer than this */
    int64_t max_concurrent; /* pods under a fault at once; 0: no limit */
    int64_t max_ppm;        /* of a workload's wanted replicas under a fault at once; 0: no limit */
    int budgets;            /* enum budget_guard */
    int unowned, self;      /* enum permission: pods that nobody would make anew; chaosd's own pod and node */
    bool opt_in;
    struct strings protected_namespaces, contexts; /* globs; no contexts: any */
    struct steady_guard *steady; /* never NULL once a scenario is loaded */
    bool steady_given;           /* else it is for clusters of objects only */
};
extern const struct shape guards_shape, steady_shape;

/* The rule by which no fault may touch a pod, with a sentence in why; NULL: none. labels: an object of strings, or NULL. */
const char *guards_bar(const struct guards *g, const char *name, const char *namespace, const json_t *labels, char *why, size_t size);
bool guards_glob(const struct strings *globs, const char *name); /* does one of them match? */
/* 0 where the kubeconfig context may be used. NULL or "": there is none, chaosd is a pod of the cluster: it goes by the name "in-cluster". */
int guards_check_context(const struct guards *g, const struct doc *doc, const char *context, struct error *err);
