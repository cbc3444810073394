/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which acts a moment may concern, found without looking at all of them: a soak of weeks has a hundred thousand. What is given is never
 * too little and may be too much: the caller's own conditions decide. */
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* A fault answers for what happens up to this long after its injection or its end. */
#define ATTRIBUTION_NS INT64_C(30000000000)

struct work;
struct reach;
struct span { size_t from, to; }; /* indices of acts, `to` not included; from >= to: none */

int reach_make(struct work *w, struct error *err); /* once times and reverts of all acts are known */
void reach_free(struct reach *r);                  /* NULL-safe */
/* Has each act that was injected at `to` or before and answers for something at `from` or after. */
struct span reach_of(const struct work *w, int64_t from, int64_t to);
/* Has each act that was injected within [from, to]. */
struct span reach_within(const struct work *w, int64_t from, int64_t to);
/* Has each victim of the planned act that this one belongs to. */
struct span reach_same(const struct work *w, size_t act);
