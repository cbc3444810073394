/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Renders a judgement. One file a format, one row in table.c; output depends on nothing but the judgement. */
#include "base/buf.h"
#include "check/judge.h"

struct report_kind {
    const char *name, *file; /* "junit", "junit.xml"; file NULL: for the terminal only */
    int (*render)(const struct judgement *j, struct buf *out, struct error *err);
};
extern const struct report_kind *const report_kinds[]; /* NULL-terminated */
const struct report_kind *report_kind(const char *name);
json_t *report_summary(const struct judgement *j); /* summary.json as a tree; new reference */
/* Writes every kind that has a file into the history's folder. */
int report_write_all(const struct judgement *j, struct error *err);
