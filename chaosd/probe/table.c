/* SPDX-License-Identifier: Apache-2.0 */
/* Every probe kind, a row each. */
#include "probe/probe.h"

#define KINDS(ROW)                                                                                                                         \
    ROW(probe_http)                                                                                                                        \
    ROW(probe_tcp)                                                                                                                         \
    ROW(probe_exec)

#define DECLARE(kind) extern const struct probe_kind kind;
#define POINT(kind) &kind,
KINDS(DECLARE)
const struct probe_kind *const probe_kinds[] = {KINDS(POINT) NULL};

void probe_cancel(struct probe_op *op) {
    if (op)
        op->kind->cancel(op);
}
