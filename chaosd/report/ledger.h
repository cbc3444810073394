/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What became of acknowledged writes, for the reports. */
#include "base/buf.h"
#include "check/judge.h"

json_t *ledger_json(const struct judgement *j); /* "ledger" of summary.json; new reference, NULL: out of memory */
/* "812 lost: acknowledged between 12.31 s and 20.44 s, 8,130..8,150 ms" */
void ledger_loss_words(const struct judgement *j, const struct ledger_loss *l, struct buf *out);
/* The longest time within which writes were lost, least and most; UNKNOWN_NS: not known. */
void ledger_rpo(const struct ledger_figures *f, int64_t *ret_least, int64_t *ret_most);
