/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/guards.h"

#include "base/buf.h"
#include "base/units.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const char *const quorum_names[] = {
    [QUORUM_STATEFULSETS] = "statefulsets", [QUORUM_MAJORITY] = "majority", [QUORUM_NONE] = "none", NULL,
};
static const char *const budget_names[] = {[BUDGETS_RESPECT] = "respect", [BUDGETS_IGNORE] = "ignore", NULL};
static const char *const permission_names[] = {[PERMIT_REFUSE] = "refuse", [PERMIT_ALLOW] = "allow", NULL};

static int steady_check(void *value, const struct schema_at *at, struct error *err) {
    const struct steady_guard *s = value;
    char limit[32], every[32];
    format_duration(s->timeout_ns, limit, sizeof limit);
    format_duration(s->interval_ns, every, sizeof every);
    return s->timeout_ns && s->interval_ns > s->timeout_ns
               ? schema_bad(at, "interval", err, "looking every %s within a timeout of %s: the interval must not be longer", every, limit)
               : 0;
}

static const struct field steady_fields[] = {
    {.name = "timeout", .type = F_DURATION, .offset = offsetof(struct steady_guard, timeout_ns), .def = "60s", .max = 86400000000000,
     .doc = "How long an act waits for it before the run is stopped; 0 to not wait at all."},
    {.name = "interval", .type = F_DURATION, .offset = offsetof(struct steady_guard, interval_ns), .def = "1s", .min = 10000000, .max = 3600000000000,
     .doc = "How often it is looked for, and how long after an act nothing counts as steady."},
    {0},
};
const struct shape steady_shape = {
    .name = "steady", .size = sizeof(struct steady_guard), .fields = steady_fields, .check = steady_check,
    .doc = "What was selected must be whole before each act and after the last: an act that is due waits for it, within a limit; not while another is held.",
};

/* A pattern that no namespace can have would protect nothing, and nobody would notice. */
static int guards_check(void *value, const struct schema_at *at, struct error *err) {
    const struct guards *g = value;
    for (size_t i = 0; i < g->protected_namespaces.count; i++) {
        const char *p = g->protected_namespaces.items[i];
        char field[64];
        snprintf(field, sizeof field, "protectedNamespaces/%zu", i);
        if (!*p || p[strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-*?[]!")])
            return schema_bad(at, field, err, "\"%s\" matches no namespace: expected a name, or a pattern such as kube-*", p);
    }
    for (size_t i = 0; i < g->contexts.count; i++) {
        char field[64];
        snprintf(field, sizeof field, "contexts/%zu", i);
        if (!*g->contexts.items[i])
            return schema_bad(at, field, err, "an empty text matches no context: expected a name, or a pattern such as staging-*");
    }
    return 0;
}

static const struct field guards_fields[] = {
    {.name = "quorum", .type = F_ENUM, .offset = offsetof(struct guards, quorum), .def = "statefulsets", .values = quorum_names,
     .doc = "majority: never leave fewer ready pods of a workload than a majority of its replicas, as before a held scale; statefulsets: only of those; none: no such floor."},
    {.name = "minReady", .type = F_INT, .offset = offsetof(struct guards, min_ready), .def = "0", .min = 0, .max = 1000000,
     .doc = "Never leave fewer ready pods of a workload than this."},
    {.name = "maxConcurrent", .type = F_INT, .offset = offsetof(struct guards, max_concurrent), .def = "0", .min = 0, .max = 1000000,
     .doc = "Pods under a fault at once; 0 for no limit."},
    {.name = "maxPercent", .type = F_PERCENT, .offset = offsetof(struct guards, max_ppm), .min = 1, .max = 1000000,
     .doc = "Of a workload's wanted replicas, how many may be under a fault at once, whichever faults; no limit when not given."},
    {.name = "budgets", .type = F_ENUM, .offset = offsetof(struct guards, budgets), .def = "respect", .values = budget_names,
     .doc = "respect: nothing is taken out of service while a PodDisruptionBudget forbids it, or none can be seen. Evictions leave that to the API server."},
    {.name = "protectedNamespaces", .type = F_STRINGS, .offset = offsetof(struct guards, protected_namespaces), .def = "[kube-*]",
     .doc = "Namespaces, as patterns, whose pods are never touched; an empty list protects none."},
    {.name = "optIn", .type = F_BOOL, .offset = offsetof(struct guards, opt_in), .def = "false",
     .doc = "Only pods with the label chaosd.io/include: \"true\". One with chaosd.io/exclude: \"true\", or in a namespace with it, is never touched."},
    {.name = "unowned", .type = F_ENUM, .offset = offsetof(struct guards, unowned), .def = "refuse", .values = permission_names,
     .doc = "allow: pods of an API server that no controller made, and none would make anew, may be taken out of service too."},
    {.name = "self", .type = F_ENUM, .offset = offsetof(struct guards, self), .def = "refuse", .values = permission_names,
     .doc = "allow: also the pod and the node that chaosd itself runs on."},
    {.name = "contexts", .type = F_STRINGS, .offset = offsetof(struct guards, contexts), .min = 1,
     .doc = "Contexts of a kubeconfig, as patterns, that may be used; with another, nothing is done. In a pod without one it is in-cluster."},
    {.name = "steady", .type = F_OBJECT, .offset = offsetof(struct guards, steady), .shape = &steady_shape,
     .doc = "Waiting for the steady state; where it is not given, only with a Kubernetes, and as its defaults say. No act waits while another fault is held."},
    {0},
};
const struct shape guards_shape = {
    .name = "guards", .size = sizeof(struct guards), .fields = guards_fields, .check = guards_check, .doc = "What chaosd refuses to do.",
};

bool guards_glob(const struct strings *globs, const char *name) {
    for (size_t i = 0; name && i < globs->count; i++)
        if (fnmatch(globs->items[i], name, 0) == 0)
            return true;
    return false;
}

static bool labelled(const json_t *labels, const char *label) {
    const char *value = json_string_value(json_object_get(labels, label));
    return value && strcmp(value, "true") == 0;
}

const char *guards_bar(const struct guards *g, const char *name, const char *namespace, const json_t *labels, char *why, size_t size) {
    if (guards_glob(&g->protected_namespaces, namespace)) {
        snprintf(why, size, "%s: namespace %s is protected (guards.protectedNamespaces)", name, namespace);
        return "protectedNamespaces";
    }
    if (labelled(labels, CHAOSD_EXCLUDE_LABEL)) {
        snprintf(why, size, "%s: it opts out with the label %s", name, CHAOSD_EXCLUDE_LABEL);
        return "exclude";
    }
    if (g->opt_in && !labelled(labels, CHAOSD_INCLUDE_LABEL)) {
        snprintf(why, size, "%s: it has not opted in with the label %s: \"true\" (guards.optIn)", name, CHAOSD_INCLUDE_LABEL);
        return "optIn";
    }
    return NULL;
}

int guards_check_context(const struct guards *g, const struct doc *doc, const char *context, struct error *err) {
    const char *name = context && *context ? context : "in-cluster";
    if (!g->contexts.count || guards_glob(&g->contexts, name))
        return 0;
    cleanup_buf struct buf list = {0};
    for (size_t i = 0; i < g->contexts.count; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", g->contexts.items[i]);
    return doc_error(doc, "/guards/contexts", 0, err, -EPERM, "the cluster's context is \"%s\", and guards.contexts allows %s only: nothing was done",
                     name, buf_ok(&list) ? list.data : "others");
}
