/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a reader must not miss where there is too much to tell it all: a soak of weeks has a million acts and windows. */
#include "check/judge.h"

#include <stddef.h>

enum { TOLD_MOST = 1000 }; /* acts, and windows of a row, in summary.json and the text */

/* The higher the worse: not undone, never seen in effect, not recovered, then by length. */
int64_t worst_act(const struct act_figures *f);
/* Indices of the `most` heaviest of n, ties to the earlier, in their own order; all of them where they are no more. To be freed;
 * NULL: out of memory. weight(of, i) is asked for each. */
size_t *worst_of(const void *of, size_t n, size_t most, int64_t (*weight)(const void *of, size_t i), size_t *ret_count);
/* The same for a judgement's acts and a row's windows, of downtime or degradation. */
size_t *worst_acts(const struct judgement *j, size_t most, size_t *ret_count);
size_t *worst_windows(const struct downtime *windows, size_t count, size_t most, size_t *ret_count);
