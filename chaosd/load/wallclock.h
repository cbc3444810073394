/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* From stamps of the wall clock, which may be slewed or set while a run goes on, to the run's own clock: both are noted side by
 * side now and then, and a stamp is mapped by the offset last noted before it. Exact to 0.2 ms and to what was set in between. Pure. */
#include "base/error.h"

#include <stdint.h>
#include <stdlib.h>

struct wallclock { /* zero-initialise */
    struct wallclock_point { int64_t wall_ns, run_ns; } *points; /* by run_ns, each with another offset than the one before */
    size_t count, cap;
    int64_t largest_step_ns; /* the largest change of the offset between two notes, either way: 0 or more */
};

int wallclock_note(struct wallclock *w, int64_t wall_ns, int64_t run_ns); /* 0 or -ENOMEM */
int64_t wallclock_map(const struct wallclock *w, int64_t wall_ns);        /* without a note: unchanged */
void wallclock_free(struct wallclock *w);
