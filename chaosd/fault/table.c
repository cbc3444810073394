/* SPDX-License-Identifier: Apache-2.0 */
/* Every fault kind, a row each. */
#include "fault/fault.h"

#define KINDS(ROW)                                                                                                                         \
    ROW(fault_pod_kill)                                                                                                                    \
    ROW(fault_pod_pause)

#define DECLARE(kind) extern const struct fault_kind kind;
#define POINT(kind) &kind,
KINDS(DECLARE)
const struct fault_kind *const fault_kinds[] = {KINDS(POINT) NULL};
