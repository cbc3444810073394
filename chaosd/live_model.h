/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a person watching a run wants to know of it now: followed from the run's own events and samples. No terminal, no clock. */
#include "live_window.h"
#include "load/load.h"
#include "scenario/plan.h"

enum { LIVE_EVENTS = 64, LIVE_FAULTS = 64, LIVE_ROLES = 16 };

enum live_phase { LIVE_STARTING, LIVE_WAITING, LIVE_RUNNING, LIVE_DRAINING, LIVE_ENDED };
enum live_tone { TONE_PLAIN, TONE_DIM, TONE_BOLD, TONE_GOOD, TONE_WARN, TONE_BAD };

struct live_load {
    const char *name;
    struct live_window window;
    uint32_t in_flight;
    bool control, external; /* external: another program's, whose requests are known when it tells of them */
};

struct live_pod {
    char *name, *state; /* state: the last of created, started, exited ... that says what it does */
    bool running, ready, frozen;
    int64_t restarts;
};

struct live_fault { /* an act that is in, or that its victim has not come back from */
    int64_t id;
    char *what, *target; /* what: "kill-leader #1" */
    char kind[32];
    int64_t since, until; /* until 0: nothing is held */
    bool observed, reverting, down, troubled;
};

struct live_event {
    int64_t t;
    enum live_tone tone;
    char *text;
};

struct live_role {
    const char *name;
    char *holder;
};

struct live_model {
    const char *scenario; /* borrowed, like plan and names of loads, faults and roles */
    uint64_t seed;
    int64_t duration_ns;
    const struct plan *plan;
    const struct fault_spec *fault_specs;
    enum live_phase phase;
    int64_t now, schedule_t, began_waiting; /* ns on the run's clock; schedule_t -1: not started */
    char *aborted;
    struct live_load *loads;
    size_t load_count;
    struct live_pod *pods; /* by name */
    size_t pod_count, pod_cap;
    struct live_fault faults[LIVE_FAULTS];
    size_t fault_count;
    struct live_role roles[LIVE_ROLES];
    size_t role_count;
    struct live_event events[LIVE_EVENTS]; /* a ring */
    uint64_t event_count;
};

/* s and p must outlive the model. -ENOMEM. */
int live_model_init(struct live_model *m, const struct scenario *s, const struct plan *p);
void live_model_free(struct live_model *m);
void live_model_event(struct live_model *m, const json_t *event);
void live_model_sample(struct live_model *m, const struct sample *s);
void live_model_tick(struct live_model *m, int64_t now_ns, const struct load_figures *loads);
