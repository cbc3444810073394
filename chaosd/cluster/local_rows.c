/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of `cluster: {local: ...}`, and what rows cannot say. */
#include "cluster/local_rows.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cluster/local_net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define W(member) offsetof(struct workload, member)

static const char *const policy_names[] = {
    [RESTART_ALWAYS] = "always", [RESTART_ON_FAILURE] = "on-failure", [RESTART_NEVER] = "never", NULL};

static const struct field restart_fields[] = {
    {.name = "policy", .type = F_ENUM, .offset = offsetof(struct restart_policy, policy), .def = "always", .values = policy_names,
     .doc = "Whether a pod whose program ended starts again."},
    {.name = "delay", .type = F_DURATION, .offset = offsetof(struct restart_policy, delay_ns), .def = "1s",
     .doc = "Wait before the first restart; it doubles with each, and starts again after 10s alive."},
    {.name = "maxDelay", .type = F_DURATION, .offset = offsetof(struct restart_policy, max_delay_ns), .def = "30s",
     .doc = "The longest wait."},
    {0},
};
static const struct shape restart_shape = {
    .name = "restart", .size = sizeof(struct restart_policy), .fields = restart_fields, .doc = "What happens when a pod's program ends.",
};

static const struct field ready_fields[] = {
    {.name = "kind", .type = F_KIND, .offset = offsetof(struct ready_spec, kind), .kinds = KIND_PROBE, .required = true,
     .doc = "How it is asked."},
    {.name = "interval", .type = F_DURATION, .offset = offsetof(struct ready_spec, interval_ns), .def = "500ms", .min = 10 * NS_PER_MS,
     .max = 3600 * NS_PER_S, .doc = "How often it is asked."},
    {.name = "timeout", .type = F_DURATION, .offset = offsetof(struct ready_spec, timeout_ns), .def = "1s", .min = NS_PER_MS,
     .max = 3600 * NS_PER_S, .doc = "How long an answer may take."},
    {.name = "failures", .type = F_INT, .offset = offsetof(struct ready_spec, failures), .def = "3", .min = 1, .max = 1000,
     .doc = "Wrong answers in a row that make a ready pod unready."},
    {0},
};
static const struct shape ready_shape = {
    .name = "ready", .size = sizeof(struct ready_spec), .fields = ready_fields, .doc = "When a pod counts as ready.",
};

static const struct field workload_fields[] = {
    {.name = "name", .type = F_NAME, .offset = W(name), .required = true, .doc = "Its pods are name-0, name-1, and so on."},
    {.name = "namespace", .type = F_NAME, .offset = W(namespace), .def = "default", .doc = "For selectors; it separates nothing."},
    {.name = "replicas", .type = F_INT, .offset = W(replicas), .def = "1", .min = 1, .max = 200, .doc = "How many pods."},
    {.name = "labels", .type = F_STRING_MAP, .offset = W(labels), .doc = "Labels of each pod."},
    {.name = "annotations", .type = F_STRING_MAP, .offset = W(annotations), .doc = "Annotations of each pod."},
    {.name = "marks", .type = F_STRING_MAP, .offset = W(marks),
     .doc = "Name to text: lines of the log that have the text stand beside the faults in the report, by their own time stamp."},
    {.name = "command", .type = F_TEMPLATES, .offset = W(command), .required = true, .min = 1, .max = 1000,
     .doc = "Program and arguments; pod.name, pod.ip, pod.dir, pod.node and pod.index may stand in them."},
    {.name = "env", .type = F_TEMPLATE_MAP, .offset = W(env),
     .doc = "Environment, beside PATH, HOME, HOSTNAME, POD_NAME, POD_IP and POD_NODE."},
    {.name = "files", .type = F_TEMPLATE_MAP, .offset = W(files),
     .doc = "Files written into the pod's folder before its first start: relative path to contents."},
    {.name = "ready", .type = F_OBJECT, .offset = W(ready), .shape = &ready_shape,
     .doc = "When a pod is ready; as soon as it runs when not given."},
    {.name = "restart", .type = F_OBJECT, .offset = W(restart), .shape = &restart_shape, .doc = "What happens when its program ends."},
    {.name = "stopTimeout", .type = F_DURATION, .offset = W(stop_timeout_ns), .def = "2s", .max = 600 * NS_PER_S,
     .doc = "From SIGTERM to SIGKILL when the run ends."},
    {0},
};

/* Decoded from an empty object, so that the defaults stand in the rows alone. */
static int default_restart(const struct schema_at *at, struct restart_policy **ret, struct error *err) {
    struct doc *empty = NULL;
    struct restart_policy *p = arena_alloc(at->arena, sizeof *p);
    int rc = p ? doc_parse("defaults", "{}", 2, &empty, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc == 0)
        rc = schema_decode(empty, "", &restart_shape, NULL, at->arena, p, err);
    doc_free(empty);
    if (rc == 0)
        *ret = p;
    return rc;
}

static bool stays_inside(const char *path) {
    if (!*path || *path == '/' || path[strlen(path) - 1] == '/')
        return false;
    for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
    }
    return true;
}

static int check_workload(void *value, const struct schema_at *at, struct error *err) {
    struct workload *w = value;
    if (strlen(w->name) > 58) /* "-199" must fit a host name */
        return schema_bad(at, "name", err, "\"%s\" is too long: pods are named by it, at most 58 characters", w->name);
    for (size_t i = 0; i < w->files.count; i++)
        if (!stays_inside(w->files.items[i].key))
            return schema_bad(at, "files", err, "\"%s\": expected a relative path that stays inside the pod's folder", w->files.items[i].key);
    for (size_t i = 0; i < w->env.count; i++)
        if (!*w->env.items[i].key || strchr(w->env.items[i].key, '='))
            return schema_bad(at, "env", err, "\"%s\" is no name of a variable", w->env.items[i].key);
    return w->restart ? 0 : default_restart(at, &w->restart, err);
}

static const struct shape workload_shape = {
    .name = "workload", .size = sizeof(struct workload), .fields = workload_fields, .check = check_workload, .doc = "Pods of one kind.",
};

static const struct field local_fields[] = {
    {.name = "nodes", .type = F_INT, .offset = offsetof(struct local_config, nodes), .def = "3", .min = 1, .max = 100,
     .doc = "How many nodes; pods go round them."},
    {.name = "subnet", .type = F_STRING, .offset = offsetof(struct local_config, subnet), .def = "10.77.0.0/16",
     .doc = "IPv4 addresses of the pods; seen by nobody outside."},
    {.name = "workloads", .type = F_LIST, .offset = offsetof(struct local_config, workloads), .required = true, .min = 1, .max = 100,
     .shape = &workload_shape, .doc = "What runs."},
    {0},
};

int local_check_addresses(const struct local_config *c, struct error *err) {
    struct subnet s;
    char ip[16];
    const struct workload *w = c->workloads.items;
    int64_t pods = 0;
    for (size_t i = 0; i < c->workloads.count; i++)
        pods += w[i].replicas;
    int rc = subnet_parse(c->subnet, &s, err);
    for (int64_t i = 0; rc == 0 && i < pods; i++)
        rc = subnet_address(&s, (int)c->nodes, (int)(i % c->nodes) + 1, (int)(i / c->nodes) + 1, ip, sizeof ip, err);
    return rc;
}

static int check_local(void *value, const struct schema_at *at, struct error *err) {
    struct local_config *c = value;
    const struct workload *w = c->workloads.items;
    struct error why;
    for (size_t i = 0; i < c->workloads.count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(w[i].name, w[k].name) == 0) {
                char field[64];
                snprintf(field, sizeof field, "workloads/%zu/name", i);
                return schema_bad(at, field, err, "two workloads are named \"%s\"", w[i].name);
            }
    return local_check_addresses(c, &why) < 0 ? schema_bad(at, "subnet", err, "%s", why.text) : 0;
}

const struct shape local_shape = {
    .name = "local", .size = sizeof(struct local_config), .fields = local_fields, .check = check_local,
    .doc = "The embedded cluster: nodes and pods are namespaces and processes on this machine.",
};
