/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Taking away what is ours, and nothing else. */
#include "view.h"

/* The faults' filters with this id at the device, their slots ended; and the ifb, unless it is still used or (NETEM_DRAIN) holds packets: 1. */
int undo_fault(struct netem_ns *ns, struct view *v, int dev_index, uint32_t id, unsigned flags, char *why);
/* Anchors of the run (NULL: all) at the device; then clsact itself when the last anchor went and nobody uses it. */
int undo_clsact(struct netem_ns *ns, int dev_index, const char *run, char *why);
