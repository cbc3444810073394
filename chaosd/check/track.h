/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The windows of one row, and beside them what chaosd missed while it stalled itself: nobody looked then, so an outage in there would
 * have gone unseen. In an open window, the window knows. All times in ns. */
#include "check/windows.h"

struct track {
    struct windows windows;
    int64_t last_good;               /* start; WINDOW_UNKNOWN: none yet */
    int64_t blind_since, blind_last; /* nothing was seen as chaosd stalled: last good before, last such request; WINDOW_UNKNOWN: none */
    int64_t blind_max, blind_count;  /* what such gaps outside of windows may hide */
    double blind_total;
    bool blind_end;                  /* such a gap has no end: how much it hides is unknown */
    int64_t stalled_bad;             /* bad requests in windows not to be judged, in doubt themselves */
    const char *suspect;             /* why a window of it is suspect, or NULL */
};

void track_init(struct track *t, int64_t goods, int64_t over_ns);
/* One request after the other, ordered by start. 0 or -ENOMEM. */
int track_add(struct track *t, size_t ordinal, enum request what, int64_t start, int64_t end);
void track_end(struct track *t); /* after the last one */
void track_free(struct track *t);
/* What its windows' marks (stalled, suspect) come to. */
void track_sum(struct track *t);
