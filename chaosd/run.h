/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The interpreter: carries a plan out on a cluster while the loads run, and writes everything down. It judges nothing. */
#include "base/error.h"
#include "scenario/plan.h"

#include <stdbool.h>

struct load_figures;
struct sample;

struct run_options {
    const struct scenario *scenario;
    const struct plan *plan;
    const char *name;     /* of the run: the folder's last part, the journal's name */
    const char *dir;      /* run folder, absolute; exists and is empty */
    const char *const *unable; /* for each fault: why it cannot be carried out here and is skipped, or NULL; NULL: all can */
    const struct setting *secrets;
    size_t secret_count;
    void (*event)(const json_t *event, void *arg); /* every event as it is written; NULL: none */
    void (*sample)(const struct sample *s, void *arg); /* every sample as it is written: at full rate, so cheap; NULL: none */
    /* Some ten times a second of the run's clock, with what each load says of itself; NULL: none. */
    void (*tick)(int64_t now_ns, const struct load_figures *loads, void *arg);
    void *arg;
};

struct run_outcome {
    bool aborted;  /* by a person or a guard */
    bool left;     /* something could not be undone: `chaosd revert` has it */
    bool tool_trouble; /* the history is incomplete: disk full, for one */
    bool never_ready;
    bool refused; /* guards.contexts forbids this cluster: nothing was done, and run_execute's error says so */
    struct error trouble; /* text for the last three */
};

/* 0 also when the drill went badly; negative when it could not be started at all (nothing is left behind then). */
int run_execute(const struct run_options *o, struct run_outcome *ret, struct error *err);
