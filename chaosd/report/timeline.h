/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the control plane said after each act, for every report. Acts that have no timeline add nothing. */
#include "base/arena.h"
#include "base/buf.h"
#include "check/judge.h"

#include <jansson.h>

/* One line of a short table: what came, of one object or of several. */
struct timeline_row {
    const char *what;
    int64_t first, last; /* offsets; from `from` on where it lies in a bracket */
    int64_t from;        /* UNKNOWN_NS: it was seen as it came */
    const char *object, *stamp, *note; /* of the first; stamp, note: NULL where there is none */
    size_t count;
    bool late;
};
/* By first moment; NULL: out of memory. */
struct timeline_row *timeline_rows(const struct act_figures *f, struct arena *a, size_t *ret_count);
/* "-4.8..0.1", "990", "90..2,990 (late)" */
void timeline_when(const struct timeline_row *r, char *out, size_t size);
/* "web-d"; "web-a +4": and of four more */
void timeline_whose(const struct timeline_row *r, struct buf *out);
/* "scheduled of web-d (0/2 nodes are available), then started, ready; pod gone of web-a (the record ends 3 s after the act)"; false: nothing is missing. */
bool timeline_missing(const struct act_figures *f, struct buf *out);

/* "timeline", "timeline_left_out" and "not_reached" of an act in summary.json. 0 or -1: out of memory. */
int timeline_json(const struct act_figures *f, json_t *act);
/* A table of the acts told. 0 or -ENOMEM. */
int timeline_text(const struct judgement *j, const size_t *told, size_t n, struct arena *a, size_t width, struct buf *out);
