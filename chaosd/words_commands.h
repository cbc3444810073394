/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Texts that are made from the command and option rows, as words/ makes those of the scenario's rows. Hidden commands are left out. */
#include "base/buf.h"
#include "cmd.h"

/* chaosd.1 */
int words_man(const struct command *const *list, struct buf *out, struct error *err);
/* Completion for bash; zsh takes it too, by bashcompinit. */
int words_bash(const struct command *const *list, struct buf *out, struct error *err);
