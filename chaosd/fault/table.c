/* SPDX-License-Identifier: Apache-2.0 */
/* Every fault kind, a row each. */
#include "fault/ask.h"
#include "fault/net.h"

#define KINDS(ROW)                                                                                                                         \
    ROW(fault_pod_kill)                                                                                                                    \
    ROW(fault_pod_pause)                                                                                                                   \
    ROW(fault_container_kill)                                                                                                              \
    ROW(fault_container_pause)                                                                                                             \
    ROW(fault_pod_delete)                                                                                                                  \
    ROW(fault_pod_evict)                                                                                                                   \
    ROW(fault_rollout_restart)                                                                                                             \
    ROW(fault_scale)                                                                                                                       \
    ROW(fault_node_cordon)                                                                                                                 \
    ROW(fault_node_drain)                                                                                                                  \
    ROW(fault_net_delay)                                                                                                                   \
    ROW(fault_net_loss)                                                                                                                    \
    ROW(fault_net_duplicate)                                                                                                               \
    ROW(fault_net_corrupt)                                                                                                                 \
    ROW(fault_net_reorder)                                                                                                                 \
    ROW(fault_net_rate)                                                                                                                    \
    ROW(fault_net_partition)

#define DECLARE(kind) extern const struct fault_kind kind;
#define POINT(kind) &kind,
KINDS(DECLARE)
const struct fault_kind *const fault_kinds[] = {KINDS(POINT) NULL};

void fault_env_close(struct fault_env *env) {
    asks_free(env->asks);
    netem_close(env->netem);
    net_names_free(env->names);
    env->asks = NULL;
    env->netem = NULL;
    env->names = NULL;
}
