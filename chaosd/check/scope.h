/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which objects of a control plane an act concerns, and for how long. */
#include "check/objects.h"

struct scope {
    size_t act;
    int64_t begin;  /* when it was asked for: what a watch tells may come before the answer */
    int64_t until;  /* when the next act on one of the same workloads, or on the same node, begins; INT64_MAX: never */
    int64_t next;   /* that act, or OBJECT_NONE */
    int64_t node;   /* the node that it strikes, or OBJECT_NONE */
    bool workload;  /* it strikes a workload as a whole: whatever pod that one gets is its doing */
    struct places groups;  /* workloads of its victims; first the one it was chosen by */
    struct places victims; /* pods: the one it struck; those on its node, or of its workload, as it began */
    struct places fresh;   /* pods that came in their place */
};

/* Of all acts that were carried out, by begin. Each pod is the replacement of one act at most. */
struct scoped {
    struct objects objects;
    struct scope *list;
    size_t count;
};
