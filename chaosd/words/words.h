/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Texts that are made from the schema rows: an editor's schema and the scenario reference. (Of commands: words_commands.h.)
 * Pure: rows in, text out; the same rows give the same bytes. */
#include "base/buf.h"
#include "scenario/schema.h"

/* JSON Schema (draft-07, which every YAML language server knows) of a scenario. */
int words_schema(const struct shape *root, const struct kind_set *kinds, struct buf *out, struct error *err);
/* docs/SCENARIOS.md: an introduction by hand, then every field. */
int words_scenarios(const struct shape *root, const struct kind_set *kinds, struct buf *out, struct error *err);
extern const char words_introduction[]; /* the reference's hand-written part */
