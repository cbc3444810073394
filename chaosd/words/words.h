/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Texts that are made from rows and never written by hand: an editor's schema, the scenario reference, the man page, shell completion.
 * Pure: rows in, text out; the same rows give the same bytes. */
#include "base/buf.h"
#include "cmd.h"
#include "scenario/schema.h"

/* JSON Schema (draft-07, which every YAML language server knows) of a scenario. */
int words_schema(const struct shape *root, const struct kind_set *kinds, struct buf *out, struct error *err);
/* docs/SCENARIOS.md: an introduction by hand, then every field. */
int words_scenarios(const struct shape *root, const struct kind_set *kinds, struct buf *out, struct error *err);
/* chaosd.1, of the commands that are not hidden. */
int words_man(const struct command *const *list, struct buf *out, struct error *err);
/* Completion for bash; zsh takes it too, by bashcompinit. */
int words_bash(const struct command *const *list, struct buf *out, struct error *err);

extern const char words_introduction[]; /* the reference's hand-written part */
