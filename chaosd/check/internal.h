/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the parts of a judgement share while it is made. Nobody outside check/ includes this. */
#include "base/arena.h"
#include "check/expect.h"
#include "check/judge.h"
#include "check/latency.h"
#include "check/reach.h"
#include "check/windows.h"

struct interval { int64_t from, to; };

struct load_work {
    const char *name;
    int64_t goods, over_ns, deadline_ns;
    const struct sample **order; /* by start */
    size_t count;
    bool insecure, saturate;
    int64_t longest, last_end;   /* longest request; end of the last one */
    const char *not_judged;      /* why it cannot be judged, or NULL */
};

struct row { /* beside each lane_figures */
    struct windows windows;
    struct latencies latencies;  /* sorted; kept for loads and lanes */
    int64_t touched;             /* requests under way, or due, while chaosd stalled */
    int64_t stalled_bad;         /* bad requests in windows not to be judged */
    int64_t from, to;            /* observed */
    int64_t last_good;           /* start; UNKNOWN_NS: none yet */
    int64_t blind_since, blind_last; /* nothing was sent as chaosd stalled: last good before, last unsent; UNKNOWN_NS: none */
    int64_t blind_max, blind_count;  /* what such gaps outside of windows may hide, ns */
    double blind_total;              /* ns */
    bool blind_end;                  /* such a gap has no end: how much it hides is unknown */
};

struct act_work { /* beside each act_figures */
    int64_t invoked, ok;
    bool failed, revert_failed;
    const char *role;
    int64_t role_seen;
    size_t event; /* index of its last fault/act event */
    const json_t *role_data;
    int64_t next;       /* when the next planned act was injected; INT64_MAX: none. Victims of one planned act do not end each other */
    int64_t next_begin; /* when such a one was invoked */
    const char *silent; /* a load that sent nothing after it, though it had before; NULL: none */
};

struct work {
    const struct history *h;
    struct judgement *j;
    struct arena *a;
    struct load_work *loads;
    size_t load_count;
    struct row *rows; /* as many as j->lanes; the first load_count are the loads as a whole */
    struct act_work *acts;
    struct reach *reach;
    struct interval *stalls; /* sorted, disjoint */
    size_t stall_count;
    size_t lane_cap, act_cap, stall_cap;
    int64_t first_act; /* UNKNOWN_NS: none */
    int64_t top_id;    /* the highest act's */
    int64_t samples;   /* as many the run says it wrote; -1: it does not say */
    const char *aborted, *skipped, *trouble, *left; /* why, or NULL */
};

/* measure.c: requests to figures. After the acts are known. */
int measure_loads(struct work *w, struct error *err);
/* acts.c: events to acts. */
int acts_collect(struct work *w, struct error *err);
int acts_redundancy(struct work *w, struct error *err);
int acts_marks(struct work *w, struct error *err);
/* Index of the act that a window is attributed to, -1: none. first_end: end of its first bad. */
int act_of_window(const struct work *w, int64_t first_end);
bool act_same(const struct judgement *j, size_t a, size_t b); /* victims of one planned act */
/* recovery.c */
int recovery_measure(struct work *w, struct error *err);
/* thresholds.c: appends to the checks. */
int thresholds_check(struct work *w, struct error *err);
/* verdict.c: the checks that every run has, and the verdict. */
int verdict_basics(struct work *w, struct error *err);
int verdict_conclude(struct work *w, struct error *err);
/* judge.c */
/* A time of an event's data. What is absent, no integer or beyond all clocks (differences must not overflow) is the fallback. */
int64_t time_or(const json_t *data, const char *key, int64_t fallback);
struct check_result *check_add(struct work *w, const char *name, struct error *err); /* NULL: out of memory */
int out_of_memory(struct error *err);
/* Doubles *cap when count has reached it. The pointer behind list moves; 0 or -ENOMEM. */
int grow(void *list, size_t count, size_t *cap, size_t size);
