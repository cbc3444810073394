/* SPDX-License-Identifier: Apache-2.0 */
#include "load/needs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_loopback(const char *name) {
    return strncmp(name, "127.", 4) == 0 || strncmp(name, "[::1]", 5) == 0 || strncmp(name, "localhost:", 10) == 0;
}

void needs_add(struct load_needs *n, const char *name, double micro_per_s) {
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->addresses[i].name, name) == 0) {
            n->addresses[i].micro_per_s += (int64_t)micro_per_s;
            return;
        }
    n->addresses[n->count++] = (struct load_address){name, is_loopback(name), (int64_t)micro_per_s};
}

/* A role has one holder; whoever has it gets all. */
size_t needs_matching(const struct selector *s, const struct candidate *pods, size_t pod_count, const struct candidate **ret) {
    size_t n = 0;
    for (size_t i = 0; i < pod_count; i++)
        if (selector_matches(s, &pods[i]))
            ret[n++] = &pods[i];
    return s->role && !selector_role_negated(s) && n > 1 ? 1 : n;
}

/* Random arrivals bunch: six standard deviations. */
int64_t needs_connections(int64_t micro_per_s, int64_t deadline_ns, int64_t concurrency, const char *path, const struct doc *doc) {
    char pointer[512];
    snprintf(pointer, sizeof pointer, "%s/concurrency", path);
    double mean = (double)micro_per_s / 1e6 * (double)deadline_ns / 1e9, most = ceil(mean + 6 * sqrt(mean)) + 2;
    return doc_value(doc, pointer) || most > (double)concurrency ? concurrency : (int64_t)most;
}
