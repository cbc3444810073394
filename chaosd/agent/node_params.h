/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a NodeFault asks for, as its fault kind has it: spec.params read by the kind's own rows, those about which pods left out. */
#include "agent/node_fault.h"
#include "base/arena.h"
#include "fault/fault.h"

struct node_params {
    const struct fault_kind *kind;
    struct fault_spec spec; /* as in a scenario; its params stay where they are when the far ends change */
    struct arena *arena;
    void *values;
    bool device; /* an interface is named */
};

/* Names of the kinds that an agent does, ends with NULL. */
const char *const *node_params_kinds(void);
/* Texts of f are borrowed. -EINVAL: what is wrong; -EOPNOTSUPP: no such kind. */
int node_params_read(const struct node_fault *f, struct node_params *ret, struct error *err);
/* The far ends as f has them now; on failure they stay as they were. */
int node_params_again(struct node_params *p, const struct node_fault *f, struct error *err);
void node_params_free(struct node_params *p); /* leaves a zeroed struct */
