/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: what an act may not take, by the state of this moment. */
#include "run_internal.h"

#include <inttypes.h>
#include <string.h>

static int64_t others_under_fault(const struct run *r, const struct pod *victim) {
    int64_t n = 0;
    for (const struct act *a = r->acts; a; a = a->next)
        n += a->uid && strcmp(a->uid, victim->uid) != 0 && acts_busy(r, a->uid);
    return n;
}

static int64_t ready_without(struct run *r, const struct pod *victim) {
    const struct pod *pods[MAX_PODS];
    size_t n = r->cluster->kind->pods(r->cluster, pods, MAX_PODS);
    int64_t left = 0;
    for (size_t i = 0; i < n; i++)
        left += pods[i] != victim && strcmp(pods[i]->workload, victim->workload) == 0 && pods[i]->ready && !pods[i]->frozen &&
                !acts_busy(r, pods[i]->uid);
    return left;
}

const char *guard_refuses(struct run *r, const struct pod *victim, char *why, size_t size) {
    const struct guards *g = r->s->guards;
    int64_t busy = others_under_fault(r, victim), left = ready_without(r, victim), majority = victim->replicas / 2 + 1;
    if (g->max_concurrent > 0 && busy >= g->max_concurrent) {
        snprintf(why, size, "%" PRId64 " pods are under a fault already, maxConcurrent is %" PRId64, busy, g->max_concurrent);
        return "maxConcurrent";
    }
    if (g->quorum == QUORUM_MAJORITY && left < majority) {
        snprintf(why, size, "%s: %" PRId64 " ready pods would be left of %s, a majority is %" PRId64, victim->name, left, victim->workload, majority);
        return "quorum";
    }
    if (left < g->min_ready) {
        snprintf(why, size, "%s: %" PRId64 " ready pods would be left of %s, minReady is %" PRId64, victim->name, left, victim->workload, g->min_ready);
        return "minReady";
    }
    return NULL;
}
