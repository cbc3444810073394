/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The reapers that agents of this node started, as the processes themselves say it: what they would undo is in their arguments. So they are
 * found when journal and API server are both out of reach. */
#include "base/error.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct reaper_seen {
    pid_t pid;
    uint64_t start_time;
    json_t *undo;   /* a "thaw" of containers; its "fault": the NodeFault's UID */
    pid_t agent;    /* who started it, and is alive; 0: nobody is left; -1: a process of another pid namespace, which may be alive */
};
json_t *reaper_agent(void); /* this process, as its reapers' records name it: "by" */
/* Root's processes outside of all pods. Array for reapers_free; returns their number. */
int reapers_seen(struct reaper_seen **ret, struct error *err);
void reapers_free(struct reaper_seen *list, size_t count);
int reaper_seen_end(const struct reaper_seen *r, struct error *err); /* it, and not what it would undo */
