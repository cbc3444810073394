/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The live view: a run as it goes, on the terminal's second screen, redrawn where it changed. It never blocks the run (a terminal that
 * does not take its output just falls behind) and gives the terminal back however the program ends, short of SIGKILL. */
#include "base/error.h"
#include "load/load.h"
#include "scenario/plan.h"

#include <stdio.h>

struct live;

/* Can it be shown there: a terminal that understands control sequences, with us in its foreground. */
bool live_possible(FILE *out);
/* One at a time. s and p outlive it. */
int live_open(struct live **ret, FILE *out, const struct scenario *s, const struct plan *p, struct error *err);
/* Callbacks of run_options; arg is the live view. */
void live_on_event(const json_t *event, void *arg);
void live_on_sample(const struct sample *s, void *arg);
void live_on_tick(int64_t now_ns, const struct load_figures *loads, void *arg);
/* Gives the terminal back and leaves the run's last lines on it as plain progress. NULL-safe. */
void live_close(struct live *l);
