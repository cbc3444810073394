/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The reaper: a tiny process, started before an act, that outlives chaosd and applies the act's undo record at the deadline.
 * It is the same program (`chaosd __reap`), waits on nothing but a timer and a pipe, and ends early when told to. */
#include "base/error.h"

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

struct reaper;
/* A record with a "journal" (a run's name): the reaper waits 10 s at most while the run is alive, and closes that journal when its work is done.
 * One with "leave": true: it leaves the control groups of the container that it was started in first, so that it outlives that too.
 * Returns once the reaper has said that it stands ready. deadline_boot_ns: CLOCK_BOOTTIME. */
int reaper_start(const json_t *undo, int64_t deadline_boot_ns, struct reaper **ret, struct error *err);
/* After its record and the act's are in the journal, before the act: from now on it outlives chaosd. */
int reaper_arm(struct reaper *r, struct error *err);
json_t *reaper_undo(const struct reaper *r); /* the undo record that removes the reaper itself */
void reaper_leave(struct reaper *r); /* armed, it goes on alone: frees. NULL-safe */
/* Told that the work is done: it ends without acting; waits for it (bounded). Frees. NULL-safe. */
void reaper_dismiss(struct reaper *r);
int reaper_main(int argc, char **argv); /* body of `chaosd __reap DEADLINE_BOOT_NS JSON` */
