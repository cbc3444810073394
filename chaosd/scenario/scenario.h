/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A scenario, loaded, validated and decoded. Immutable once loaded. */
#include "scenario/guards.h"
#include "scenario/selector.h"
#include "scenario/step.h"

struct role {
    const char *name;
    struct selector *of;
    struct step *http;    /* the role holds when this step's answer is right */
    int64_t interval_ns;  /* how often it is looked up during the run */
    int64_t timeout_ns;
};

struct window_spec { int64_t goods, over_ns; }; /* K, H of the downtime window */

struct load_spec {
    const char *name;
    struct kind_value kind;
    int64_t start_ns, for_ns; /* for 0: until the end */
    struct window_spec *window; /* NULL: 5 goods over 1s (defaults are in the rows) */
    int64_t slow_ns; /* a good answer that takes longer is slow; 0: the baseline tells */
    bool control;    /* off the fault's path: where it fails too, the others' windows are not judged */
};

struct fault_spec {
    const char *name;
    struct kind_value kind;
    struct durations at; /* either at ... */
    struct duration_range every; /* ... or every, from which count acts are drawn */
    int64_t count;       /* 0 with every: as many as fit the duration */
    int64_t for_ns;      /* how long it is held; kinds that hold nothing refuse it */
    const char *path;    /* JSON pointer */
};

enum probe_mode { PROBE_START, PROBE_END, PROBE_EDGE, PROBE_CONTINUOUS, PROBE_ON_FAULT };
extern const char *const probe_mode_names[]; /* NULL-terminated */
struct probe_spec { /* the steady state, asked beside the loads */
    const char *name;
    struct kind_value kind;
    int mode; /* enum probe_mode */
    struct selector *selector; /* NULL: asked once, of no pod */
    int64_t interval_ns, timeout_ns, delay_ns;
    int64_t attempts;
    bool stop;
};

struct scenario {
    const char *name, *description;
    struct kind_value cluster; /* kind NULL: none (loads of fixed URLs only) */
    struct list roles;         /* struct role */
    struct list loads;         /* struct load_spec */
    struct list faults;        /* struct fault_spec */
    struct list probes;        /* struct probe_spec */
    struct guards *guards;     /* never NULL */
    int64_t duration_ns;
    int64_t ready_timeout_ns;  /* bounded wait for every pod ready before the schedule starts */
    int64_t settle_ns;         /* load goes on this long after the last fault ended, within duration */
    struct strings expect;     /* as written; validated at load */
    struct strings secrets;    /* declared names; values come from outside and never enter the doc */
    struct doc *doc;           /* resolved: parameters filled in, secrets not */
    struct arena *arena;
};

struct setting { const char *name, *value; }; /* --set rate=500/s */

struct scenario_options {
    const struct kind_set *kinds;
    const struct setting *set;
    size_t set_count;
};

int scenario_load(const char *path, const struct scenario_options *o, struct scenario **ret, struct error *err);
int scenario_parse(const char *name, const char *text, size_t len, const struct scenario_options *o, struct scenario **ret, struct error *err);
void scenario_free(struct scenario *s); /* NULL-safe */
extern const struct shape scenario_shape, probe_spec_shape;

#define SCENARIO_LOADS(s) ((const struct load_spec *)(s)->loads.items)
#define SCENARIO_FAULTS(s) ((const struct fault_spec *)(s)->faults.items)
#define SCENARIO_PROBES(s) ((const struct probe_spec *)(s)->probes.items)
#define SCENARIO_ROLES(s) ((const struct role *)(s)->roles.items)
