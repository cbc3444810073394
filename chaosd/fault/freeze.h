/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What pod-pause and container-pause share: which containers it is, the cluster knows. */
#include "fault/fault.h"

int freeze_inject(struct fault_act *a, const struct pod *victim, struct error *err);
int freeze_revert(struct fault_act *a, struct error *err);
int freeze_undo(struct fault_act *a, const struct pod *victim, json_t **ret, struct error *err);
void freeze_describe(const void *params, char *out, size_t size);
