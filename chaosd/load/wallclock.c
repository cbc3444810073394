/* SPDX-License-Identifier: Apache-2.0 */
#include "load/wallclock.h"

#include <errno.h>

#define SAME_NS 200000 /* two clocks are not read at the same moment, and slewing is slow */

int wallclock_note(struct wallclock *w, int64_t wall_ns, int64_t run_ns) {
    if (w->count) {
        const struct wallclock_point *last = &w->points[w->count - 1];
        int64_t step = llabs((wall_ns - run_ns) - (last->wall_ns - last->run_ns));
        if (step < SAME_NS)
            return 0;
        w->largest_step_ns = step > w->largest_step_ns ? step : w->largest_step_ns;
    }
    if (w->count == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 16;
        struct wallclock_point *points = realloc(w->points, cap * sizeof *points);
        if (!points)
            return -ENOMEM;
        w->points = points;
        w->cap = cap;
    }
    w->points[w->count++] = (struct wallclock_point){wall_ns, run_ns};
    return 0;
}

/* The latest note that the stamp does not precede. Where the clock was set back a stamp may fit two times: the later one is taken, and
 * the step is told beside the figures. */
int64_t wallclock_map(const struct wallclock *w, int64_t wall_ns) {
    if (!w->count)
        return wall_ns;
    size_t i = w->count - 1;
    while (i && w->points[i].wall_ns > wall_ns)
        i--;
    return wall_ns - (w->points[i].wall_ns - w->points[i].run_ns);
}

void wallclock_free(struct wallclock *w) {
    free(w->points);
    *w = (struct wallclock){0};
}
