/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* State shared by the parts of the interpreter: run.c (phases), run_pods.c (what is known of pods: readiness, roles, targets),
 * run_acts.c and run_act.c (faults), run_ledger.c (what was written). Nobody else includes this. */
#include "cluster/cluster.h"
#include "cluster/kubernetes_self.h"
#include "cluster/reaper.h"
#include "fault/fault.h"
#include "history/recorder.h"
#include "io/http.h"
#include "load/load.h"
#include "probe/probe.h"
#include "run.h"

/* CHECKING: start probes are asked. SETTLING: all is reverted, and must be steady again. ENDING: end probes are asked, ledgers read back. */
enum phase { PHASE_STARTING, PHASE_WAITING, PHASE_CHECKING, PHASE_RUNNING, PHASE_DRAINING, PHASE_SETTLING, PHASE_ENDING, PHASE_DONE };

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

enum act_state { ACT_CONFIRMING, ACT_INJECTING, ACT_INJECTED, ACT_REVERTING, ACT_MEASURING, ACT_OVER }; /* MEASURING: undone, its kind compares with how things are without it */

/* One victim of one planned act. */
struct act {
    struct fault_act pub; /* what its kind sees of it; first */
    struct act *next;
    struct run *run;
    int64_t id;
    const struct plan_act *planned;
    const struct fault_spec *spec;
    const struct fault_kind *kind;
    char *uid, *target;
    char trouble[256]; /* as told last */
    char **struck; /* uids of all that it takes, sorted: by its kind, as far as that tells them; else the victim */
    size_t struck_count;
    char *workload;   /* of the victim, of which so many were wanted when it was struck */
    int64_t replicas;
    json_t *data; /* of the invoke event, as it grows */
    json_t *far_ends; /* uids, as keys, of the pods that its target means, drawn so far; NULL: nobody asked yet */
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
    void *pods_by_uid, *pods_by_name; /* of tsearch(3) */
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
    char id[9]; /* in the kernel's names */
    struct fault_env env;
    struct kubernetes_self self;
    const char *(*budget)(struct cluster *c, const struct pod *p, int64_t *ret_left); /* kubernetes_budget_left; NULL: no such thing */
    struct steady {                /* run_steady.c */
        struct timer *timer;
        int64_t since; /* a wait began then, CLOCK_MONOTONIC; 0: there is none */
        const struct plan_act *act; /* that waits; NULL: the end does */
        bool over; /* at the end */
    } steady;
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
void pods_event(struct run *r, enum cluster_event e, const struct pod *p, int64_t at_ns, json_t *data);
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

/* run_act.c: one act. What is called act_ may end it, but frees nothing but in act_free. */
#define SEEN_WITHIN_NS (30 * NS_PER_S) /* an orderly shutdown takes its time */
struct act *act_new(struct run *r, const struct plan_act *p);
void act_free(struct act *a);
void act_skip(struct run *r, const struct plan_act *p, const char *target, const char *guard, const char *why);
void act_strike(struct run *r, const struct plan_act *p, const struct pod *victim, json_t *names, const struct role *role, int64_t give_up);
void act_look_again(struct act *a, int64_t give_up); /* shortly: nobody has the role just now */
bool act_proof_open(const struct act *a);            /* nothing is held, and its effect may still be seen */
void act_event(struct act *a, enum cluster_event e); /* of its victim */
void act_end(struct act *a);                         /* undoes it, whatever it has come to */

/* run_far_ends.c: as select of struct fault_act. Who was drawn stays as long as it is there; who is missing is drawn anew. */
size_t act_far_ends(struct fault_act *pub, const struct pod_target *t, const struct pod **list, size_t max);

/* run_acts.c */
void acts_carry_out(struct run *r, const struct plan_act *p, int64_t give_up, size_t most);
void acts_due(struct run *r); /* carries out what is due and arms the timer for the next */
void acts_event(struct run *r, enum cluster_event e, const struct pod *p);
void acts_revert_all(struct run *r);
bool acts_hopeless(struct run *r, struct buf *why); /* no fault that can be done here has any candidate, with whom they asked for */
bool acts_idle(const struct run *r); /* nothing held, nothing being decided */
void acts_free(struct run *r);
enum acts_which { ACTS_PROCESS = 1, ACTS_NETWORK = 2, ACTS_ANY = 3, ACTS_TAKING = 4 }; /* by layer; those that keep the pod from serving */
bool acts_busy(const struct run *r, const char *uid, enum acts_which which);
bool act_busy(const struct act *a, const char *uid, enum acts_which which); /* this one, with this pod: its victim, or one that is struck with it */
int act_note(struct act *a, const struct pod *victim); /* whom it is about to strike, for guards to count; -ENOMEM */
void act_forget(struct act *a);
bool acts_hold(const struct run *r); /* one is held, and not being undone */
int64_t acts_wanted(const struct run *r, const struct pod *p); /* of its workload; as before an act that holds it scaled down, or else just now */
bool acts_felt(struct run *r); /* from an act until it is undone, its effect seen and every pod ready again */

/* run_guards.c: the name of the rule that forbids the act, with a sentence in why; NULL: none does. */
const char *guard_refuses(struct run *r, const struct fault_spec *spec, const struct pod *victim, char *why, size_t size);
size_t guard_struck(struct run *r, const struct fault_spec *spec, const struct pod *victim, const struct pod **list, size_t max); /* whom it takes */
int guard_sees(struct run *r, const char *what, struct buf *why); /* struct cluster_kind's sees */
const char *guard_barred(struct fault_env *env, const struct pod *p); /* a run's env, as its barred */
const char *guard_bars(const struct run *r, const struct pod *p, char *why, size_t size); /* the rule by which it is no candidate of any fault, likewise */

/* run_steady.c: whether all that was selected is whole. The answer no begins a wait, which has acts_due or run_step called again, and which
 * stops the run when it takes too long. */
int steady_start(struct run *r, struct error *err);
bool steady_before(struct run *r, const struct plan_act *p);
bool steady_after(struct run *r); /* true also when it was waited for in vain */
void steady_event(struct run *r); /* something became ready */
void steady_stop(struct run *r, bool aborted); /* the schedule is over: acts that still wait are skipped */
static inline bool steady_waited_for(const struct run *r) { return r->steady.since != 0; }

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

/* run_header.c */
json_t *run_header(const struct run_options *o, const char *yaml); /* NULL: out of memory */

/* run_cluster.c */
int cluster_start(struct run *r, struct error *err);
void run_clock_of(const struct run *r, json_t *data); /* times of CLOCK_MONOTONIC, told as "x_mono", become "x" on the run's clock; NULL-safe */

/* run.c */
void run_never_ready(struct run *r, const char *why); /* why NULL: the time is over */
void run_step(struct run *r); /* something changed: see whether the phase is over */
void run_abort(struct run *r, const char *why);
bool run_stalled(const struct run *r, int64_t since); /* the loop did not turn, at some time since */
enum { MAX_PODS = CLUSTER_PODS_MOST };
