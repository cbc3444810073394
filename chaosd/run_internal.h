/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* State shared by the parts of the interpreter: run.c (phases), run_pods.c (what is known of pods: readiness, roles, targets),
 * run_acts.c (faults), run_ledger.c (what was written). Nobody else includes this. */
#include "cluster/cluster.h"
#include "cluster/reaper.h"
#include "fault/fault.h"
#include "history/recorder.h"
#include "io/http.h"
#include "load/load.h"
#include "probe/probe.h"
#include "run.h"

/* CHECKING: start probes are asked. ENDING: all is reverted, end probes are asked, ledgers read back. */
enum phase { PHASE_STARTING, PHASE_WAITING, PHASE_CHECKING, PHASE_RUNNING, PHASE_DRAINING, PHASE_ENDING, PHASE_DONE };

/* A pod as the interpreter follows it; made at the first sight of its uid, kept to the end. */
struct follow {
    struct run *run;
    char *uid, *name;
    struct template_vars vars; /* pod.*, secret.* of this pod; valid as long as the run */
    int target_id;             /* -1: no load has asked for it yet */
    struct poller *pollers;    /* readiness and roles, a list */
    struct follow *next;
};

/* Asks one question again and again. */
struct poller {
    struct poller *next;
    struct follow *pod;
    const struct ready_spec *ready; /* readiness ... */
    const struct role *role;        /* ... or role */
    size_t role_index;
    struct timer *timer;
    struct probe_op *op;
    int64_t failures;
    bool holds;
};

struct role_state { /* who has the role, as last seen */
    char *holder_uid;
    json_t *data;
};

enum act_state { ACT_CONFIRMING, ACT_INJECTED, ACT_REVERTING, ACT_OVER };

/* One victim of one planned act. */
struct act {
    struct act *next;
    struct run *run;
    int64_t id;
    const struct plan_act *planned;
    const struct fault_spec *spec;
    const struct fault_kind *kind;
    char *uid, *target;
    json_t *data; /* of the invoke event, as it grows */
    enum act_state state;
    bool observed;
    int64_t journal_id, reaper_journal_id; /* -1: none */
    struct reaper *reaper;
    struct timer *timer;
    struct probe_op *op;
    int64_t give_up_ns; /* looking for the role ends then */
    int64_t injected_ns, reaper_until; /* reaper_until: CLOCK_BOOTTIME */
    bool retries_one; /* looks again for one victim, not for the whole act */
    const char *spec_role;
};

struct named_target { /* of a load, and no pod */
    struct named_target *next;
    char *name;
    uint16_t id;
};

struct load_end { /* what a load's end is told with */
    struct run *run;
    const struct load_spec *spec;
};

struct ledgers;
struct run {
    const struct run_options *o;
    const struct scenario *s;
    struct run_outcome *out;
    enum phase phase;
    struct loop *loop;
    struct http *http;
    struct recorder *rec;
    struct journal *journal;
    struct cluster *cluster; /* NULL: none */
    struct load **loads;
    struct load_end *load_ends;
    size_t loads_running;
    struct follow *pods;
    struct role_state *roles;
    struct act *acts;
    size_t next_act;
    int64_t act_seq;
    int next_target_id;
    unsigned generation; /* of the pod list: selections are cached by it */
    struct selection *selections;
    struct named_target *targets;
    struct template_vars vars; /* secret.*, run.* */
    char seed_text[24];
    int64_t schedule_mono, quick_until; /* roles are asked quickly until then */
    struct timer *phase_timer, *act_timer, *lag_timer;
    struct asker *askers;          /* run_probes.c */
    int64_t asker_seq;
    bool fault_felt;               /* an act came, and not all pods have been ready since */
    struct timer *tick_timer;      /* run_tick.c */
    struct load_figures *figures;
    struct ledgers *ledgers;       /* run_ledger.c; NULL: no load keeps one */
    int64_t last_act, calm_since_ns; /* id of the latest act that was done; when one came or was undone, CLOCK_MONOTONIC */
    int64_t lag_due, stall_ns; /* next look at the loop; how late it may be */
    int64_t stalled_since;     /* the loop does not turn since then, CLOCK_MONOTONIC; 0: it turns */
    int64_t stalled_until;     /* the end of the last such time; 0: it always turned */
    int signal_fd;
    struct watch *signal_watch;
    int interrupts;
};

/* run_pods.c */
void pods_event(struct run *r, enum cluster_event e, const struct pod *p, json_t *data);
bool pods_all_ready(struct run *r, struct buf *waiting);
void pods_hurry_roles(struct run *r); /* ask roles quickly for a while, to time a change */
/* As last seen. A pod lacks a role only while another has it: nobody is "not the leader" without one. */
bool pods_fit_role(struct run *r, const char *uid, const struct selector *s);
struct follow *pods_find(struct run *r, const char *uid);
int pods_resolve(void *run, const struct selector *s, bool ready_only, uint64_t turn, struct load_target *ret);
uint16_t pods_target(void *run, const char *name); /* number of a pod's name, or of one that is no pod's */
size_t pods_candidates(struct run *r, const struct selector *s, struct candidate *list, size_t max);
void pods_free(struct run *r);
const struct role *run_role(const struct run *r, const char *name, size_t *ret_index);

/* run_acts.c */
void acts_due(struct run *r); /* carries out what is due and arms the timer for the next */
void acts_event(struct run *r, enum cluster_event e, const struct pod *p);
void acts_revert_all(struct run *r);
bool acts_idle(const struct run *r); /* nothing held, nothing being decided */
void acts_free(struct run *r);
bool acts_busy(const struct run *r, const char *uid);
bool acts_felt(struct run *r); /* from an act until it is undone, its effect seen and every pod ready again */

/* run_guards.c: the name of the rule that forbids the act, with a sentence in why; NULL: none does. */
const char *guard_refuses(struct run *r, const struct pod *victim, char *why, size_t size);

/* run_marks.c */
void marks_collect(struct run *r); /* after the loads, while the pods are known */

/* run_probes.c: the scenario's probes. Those asked once are over when probes_asking says so; each tells run_step. */
void probes_start(struct run *r);    /* modes start and edge */
void probes_schedule(struct run *r); /* continuous */
void probes_act(struct run *r);      /* on-fault: an act is in */
void probes_stop(struct run *r);     /* the schedule is over */
void probes_end(struct run *r);      /* end and edge */
bool probes_asking(const struct run *r);
void probes_summarise(struct run *r);
void probes_free(struct run *r);

/* run_ledger.c: reads back what the loads were told is kept. */
int ledgers_start(struct run *r, struct error *err); /* after the loads are made; reads after each recovery */
void ledgers_read_all(struct run *r);                /* the last reading, once nothing is held; run_step is told of its end */
bool ledgers_done(const struct run *r);
void ledgers_free(struct run *r);                    /* before the loads; NULL-safe */

/* run_tick.c */
int ticks_start(struct run *r, struct error *err); /* after the loads are made */
void ticks_stop(struct run *r);

/* run.c */
void run_step(struct run *r); /* something changed: see whether the phase is over */
void run_abort(struct run *r, const char *why);
bool run_stalled(const struct run *r, int64_t since); /* the loop did not turn, at some time since */
enum { MAX_PODS = 1024 };
