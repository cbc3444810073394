/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a threshold looks at: a value, and what it lies between where something is uncertain. In the check's unit (%, ms, count). */
#include "check/internal.h"

struct finding {
    double lo, hi;       /* the same where all is known; NaN: nothing is */
    double value;        /* to be shown; NaN: unknown; INFINITY: a bad request */
    const char *unknown; /* why lo and hi differ, or NULL */
    const char *load;    /* whose value it is, or NULL */
    bool not_judged;
};

void find_in_row(struct work *w, const struct expect *e, size_t row, struct finding *ret);
/* ledger.c */
const struct ledger_figures *ledger_of(const struct judgement *j, size_t load); /* NULL: it keeps none */
void find_ledger(struct work *w, const struct expect *e, const struct ledger_figures *f, struct finding *ret);
int find_recovery(struct work *w, const struct expect *e, struct finding *ret, struct error *err);
void find_probe(struct work *w, const struct expect *e, struct finding *ret); /* probes.c */
double expect_limit(const struct expect *e);          /* in the check's unit */
const char *expect_unit_name(const struct expect *e); /* "%", "ms", "" */
