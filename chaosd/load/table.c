/* SPDX-License-Identifier: Apache-2.0 */
/* Every load kind, a row each. */
#include "load/load.h"

#define KINDS(ROW) ROW(load_http) ROW(load_exec) ROW(load_tcp) ROW(load_driver)

#define DECLARE(kind) extern const struct load_kind kind;
#define POINT(kind) &kind,
KINDS(DECLARE)
const struct load_kind *const load_kinds[] = {KINDS(POINT) NULL};
