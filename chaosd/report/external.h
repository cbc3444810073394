/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Programs that ran beside the faults, as the reports say them. */
#include "base/buf.h"
#include "check/judge.h"

/* "rally: status 0 after 40,804 ms; 2,408 samples; its output is in logs/rally.out and logs/rally.err". Texts in it are foreign. */
void external_say(const struct external *x, struct buf *out);
json_t *externals_json(const struct judgement *j); /* of summary.json; NULL: out of memory */
