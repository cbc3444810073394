/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the parts of a judgement share while it is made. Nobody outside check/ includes this. */
#include "base/arena.h"
#include "check/expect.h"
#include "check/judge.h"
#include "check/latency.h"
#include "check/reach.h"
#include "check/track.h"

struct interval { int64_t from, to; };

struct load_work {
    const char *name;
    int64_t goods, over_ns, deadline_ns;
    const struct sample **order; /* by start */
    size_t count;
    bool insecure;
    bool driver;                 /* lane exec, but sent by chaosd and read by it */
    int64_t longest, last_end;   /* longest request; end of the last one */
    bool closed, mute;           /* as lane_figures closed and silent */
    bool missed;                 /* some of it was not sent as chaosd stalled */
    const char *not_judged;      /* why it cannot be judged, or NULL */
    bool control, has_lane[LANE_COUNT];
    int64_t slow_ns;             /* as the scenario says; 0: from the baseline */
    struct baseline whole, lanes[LANE_COUNT];
    struct slow { int64_t ns; const char *unknown; } slow[LANE_COUNT]; /* beyond ns a good request is slow; unknown: why there is no limit */
};

struct row { /* beside each lane_figures */
    struct track down, slow;     /* downtime; degradation: bad or slow */
    struct windows worst;        /* downtime, were all bad that chaosd missed by stalling */
    int64_t last_start;          /* of its last request; UNKNOWN_NS: none */
    struct latencies latencies;  /* sorted; kept for loads and lanes */
    int64_t touched;             /* requests under way, or due, while chaosd stalled */
    int64_t from, to;            /* observed */
};

struct act_work { /* beside each act_figures */
    int64_t invoked, ok, answered; /* ok: from when on it may have been done; answered: it was known by then */
    bool failed, revert_failed;
    const char *uid, *workload, *pod; /* the victim's; NULL: not said. pod: where the target is another thing */
    const char *role;
    int64_t role_seen;
    size_t event; /* index of its last fault/act event */
    const json_t *role_data;
    int64_t next;       /* when the next planned act was injected; INT64_MAX: none. Victims of one planned act do not end each other */
    int64_t next_begin; /* when such a one was invoked */
    int64_t scope_end;  /* where a control plane was followed: when such a one on the same workload or node was; INT64_MAX: none */
    size_t ledgers_read; /* after its recovery */
    const char *silent; /* a load that sent nothing after it, though it had before; NULL: none */
};

struct work {
    const struct history *h;
    struct judgement *j;
    struct arena *a;
    struct load_work *loads;
    size_t load_count, control_count;
    struct row *rows; /* as many as j->lanes; the first load_count are the loads as a whole */
    struct act_work *acts;
    struct reach *reach;
    struct scoped *scoped; /* NULL: no control plane was followed */
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
bool stalled_between(const struct work *w, int64_t from, int64_t to);
/* excuse.c: may a stall of chaosd itself be why this request is bad? Then it says nothing of the target. */
bool stall_excuses(const struct work *w, const struct load_work *l, const struct sample *s);
/* baseline.c: how a load was before any act, and from when on a request counts as slow. Its samples are in order. */
int baseline_measure(struct work *w, size_t load, struct error *err);
/* control.c: windows in which a control failed as well become suspect. All rows are complete, stalls marked. */
void control_mark(struct work *w);
/* certain.c: what of those windows is certain all the same. */
int certain_measure(struct work *w, struct error *err);
/* attribution.c: whose window it is. */
void attribute(const struct work *w, const struct load_work *l, const struct window *win, struct downtime *d);
/* Enough goods in a row to close a window, among the requests that started in [from, to). */
bool seen_well(const struct load_work *l, int64_t from, int64_t to);
/* acts.c: events to acts. */
int acts_collect(struct work *w, struct error *err);
int acts_redundancy(struct work *w, struct error *err);
int acts_marks(struct work *w, struct error *err);
int acts_timeline(struct work *w, struct error *err); /* timeline.c */
/* scope.c: where a control plane was followed, which objects each act concerns; before the two above. */
struct scoped;
int acts_scopes(struct work *w, struct error *err);
void scoped_free(struct scoped *s); /* NULL-safe */
bool act_same(const struct judgement *j, size_t a, size_t b); /* victims of one planned act */
/* Until when an act answers for what happens: some time after it, or after its end where it is held. */
int64_t act_answers_until(const struct act_figures *f);
/* Acts that were asked for before the other was answered are of one moment where they are no further apart than this. */
#define MOMENT_NS INT64_C(1000000000)
/* The least time among acts, and the least among those of another planned act than that one's. */
struct least { int64_t t[2]; size_t act[2]; };
#define LEAST_NONE {.t = {INT64_MAX, INT64_MAX}}
void least_add(const struct judgement *j, struct least *l, size_t act, int64_t t);
/* Which of the two is the least of another planned act; its t is INT64_MAX where there is none. */
int least_other(const struct judgement *j, const struct least *l, size_t act);
/* effect.c: what each event of a network fault's act adds. */
void effect_init(struct act_figures *f);
void effect_learn(struct act_figures *f, const struct event *e);
/* ledger.c: what became of acknowledged writes; the check that every run with a ledger has. */
int ledgers_measure(struct work *w, struct error *err);
int ledgers_check(struct work *w, struct error *err);
/* recovery.c */
int recovery_measure(struct work *w, struct error *err);
/* thresholds.c: appends to the checks. */
int thresholds_check(struct work *w, struct error *err);
/* external.c: programs of exec loads, from events and header; then a check for each, and for each SLA of theirs. */
int externals_collect(struct work *w, struct error *err);
int externals_check(struct work *w, struct error *err);
const char *externals_displaced(struct work *w, const char *load); /* why its samples cannot be placed in time, or NULL */
/* probes.c */
int probes_collect(struct work *w, struct error *err);
int probes_check(struct work *w, struct error *err); /* appends to the checks: one a probe, unless a threshold is on it */
/* steady.c */
int steady_check(struct work *w, struct error *err); /* appends to the checks, of a run that waited for the steady state */
/* verdict.c: the checks that every run has, and the verdict. */
int verdict_basics(struct work *w, struct error *err);
int verdict_conclude(struct work *w, struct error *err);
/* Ends a check; why is from the arena (NULL: out of memory) or a literal. */
int settle(struct check_result *c, enum verdict v, const char *why, struct error *err);
/* judge.c */
/* A time of an event's data. What is absent, no integer or beyond all clocks (differences must not overflow) is the fallback. */
int64_t time_or(const json_t *data, const char *key, int64_t fallback);
struct check_result *check_add(struct work *w, const char *name, struct error *err); /* NULL: out of memory */
int out_of_memory(struct error *err);
/* Doubles *cap when count has reached it. The pointer behind list moves; 0 or -ENOMEM. */
int grow(void *list, size_t count, size_t *cap, size_t size);
