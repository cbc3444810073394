/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Samples by start time, ties by planned time, then by their place in the file. */
#include "history/event.h"

#include <stddef.h>

/* list points into one array of samples. Nearly ordered input, as a history is, takes nearly linear time. 0 or -ENOMEM. */
int order_samples(const struct sample **list, size_t count);
/* Index of the first that starts at or after t. */
size_t order_find(const struct sample *const *list, size_t count, int64_t t);
