/* SPDX-License-Identifier: Apache-2.0 */
/* A heartbeat for whoever watches a run: what the loads say of themselves, some ten times a second. Off when nobody watches. */
#include "run_internal.h"

#include <errno.h>
#include <stdlib.h>

#define TICK_NS (100 * NS_PER_MS)

static void on_tick(void *arg) {
    struct run *r = arg;
    for (size_t i = 0; i < r->s->loads.count; i++)
        r->loads[i]->kind->figures(r->loads[i], &r->figures[i]);
    r->o->tick(recorder_now(r->rec), r->figures, r->o->arg);
    timer_after(r->tick_timer, TICK_NS); /* from now: a watcher that is late is not to catch up */
}

int ticks_start(struct run *r, struct error *err) {
    if (!r->o->tick)
        return 0;
    r->figures = calloc(r->s->loads.count + 1, sizeof *r->figures);
    if (!r->figures)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = timer_new(r->loop, on_tick, r, &r->tick_timer, err);
    if (rc == 0)
        timer_after(r->tick_timer, 0);
    return rc;
}

void ticks_stop(struct run *r) {
    timer_free(r->tick_timer);
    r->tick_timer = NULL;
    free(r->figures);
    r->figures = NULL;
}
