/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A fault kind: one file ending in its descriptor, one row in table.c. The interpreter (run.c) does everything that kinds
 * share: selection, guards, journal, reaper, deadlines, proof. A kind says what to do to one pod, and what proves it. */
#include "cluster/cluster.h"

struct fault_kind {
    struct kind_row row;
    bool holds; /* stays until reverted: needs for:, gets an undo record and a reaper */
    enum cluster_event proof, proof_reverted; /* the cluster event that shows the effect (and its end) on the victim */
    const struct pod_target *(*target)(const void *params);
    int (*check)(const struct fault_spec *f, const struct schema_at *at, struct error *err); /* NULL: nothing beyond the rows */
    int (*inject)(struct cluster *c, const struct pod *victim, const void *params, struct error *err);
    int (*revert)(struct cluster *c, const char *uid, const void *params, struct error *err);         /* holds only */
    int (*undo)(struct cluster *c, const struct pod *victim, const void *params, json_t **ret, struct error *err); /* holds only */
    void (*describe)(const void *params, char *out, size_t size); /* "SIGKILL" */
};
extern const struct fault_kind *const fault_kinds[]; /* NULL-terminated */
