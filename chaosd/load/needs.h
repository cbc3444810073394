/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the kinds need to say what a load asks of the machine. */
#include "load/load.h"

/* Those asked for, where the scenario says so; else those that can be under way when none outlives its deadline. path: the kind's. */
int64_t needs_connections(int64_t micro_per_s, int64_t deadline_ns, int64_t concurrency, const char *path, const struct doc *doc);
/* Pods that a selector will mean; ret has room for all. */
size_t needs_matching(const struct selector *s, const struct candidate *pods, size_t pod_count, const struct candidate **ret);
/* Fresh connections to an address, added to what goes there already. n->addresses has room for it. */
void needs_add(struct load_needs *n, const char *name, double micro_per_s);
