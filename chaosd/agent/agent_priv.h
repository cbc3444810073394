/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Theirs alone: agent.c (watches, start, end), held.c (what is done with which object), held_act.c (one fault's life), held_say.c (its status), held_safety.c (journal and reaper),
 * leftover.c (what an earlier agent left). */
#include "agent/agent.h"
#include "agent/node_cluster.h"
#include "agent/node_params.h"
#include "agent/pod_cgroup.h"
#include "agent/report.h"
#include "cluster/reaper.h"
#include "history/journal.h"
#include "kube/watch.h"

#define AGENT_RUN "node-" /* before the run's name, in the kernel: whose network faults these are */
#define AGENT_JOURNAL "agent-"
#define AGENT_STOP_ANNOTATION "chaosd.io/stop"
enum { AGENT_RUN_SIZE = 16 };

struct agent {
    struct agent_options o;
    char *namespace;
    struct loop *loop;
    struct http *http;
    struct kube_config *config;
    struct kube *kube;
    struct kube_watch *faults, *self; /* our NodeFaults; our Node */
    struct cluster *cluster;
    struct fault_env env;
    struct journal *journal;
    struct held *held;
    struct timer *sweep, *ending;
    int proc_fd;
    int64_t swept_ns; /* when objects were last deleted */
    unsigned not_deleted; /* sweeps in a row that failed */
    unsigned deleting;    /* calls that are to delete them, under way */
    bool delete_failed;   /* one of this sweep's did */
    bool faults_told, self_told; /* by the watches: all that there is */
    unsigned faults_missed, self_missed; /* attempts to follow them that failed, in a row; 0: they are followed */
    bool unknown;    /* the cluster has no node of our name, and that is said */
    bool ready;      /* the file says so */
    bool begun;      /* both watches were synced, and what stood about is dealt with */
    bool stopped;    /* the kill switch */
    bool leaving;    /* TERM */
    bool ended;      /* and all is ended: it is only to be said */
    char own_pod[POD_UID_SIZE]; /* its UID; "": it runs in none */
    bool contained;  /* it runs in a pod's container, which its reapers must leave */
    bool hidden;     /* it runs in a pod, and does not see in which group */
};

enum held_state {
    HELD_NOTHING,   /* nothing is done for it (any more) */
    HELD_WAITING,   /* for its notBefore */
    HELD_INJECTING,
    HELD_IN_EFFECT,
    HELD_REVERTING,
};

/* A NodeFault of ours, as long as it is there or something is done for it. */
struct held {
    struct fault_act pub; /* first: kinds are given this */
    struct held *next;
    struct agent *agent;
    json_t *object; /* of its texts */
    struct node_fault fault;
    struct report *report;
    bool gone; /* the object is deleted */
    enum held_state state;
    bool adopted;  /* an earlier agent had it */
    bool had_peers; /* and that one had far ends to go by */
    bool held;     /* it is, or was, something to undo */
    bool proven, peers_changed;
    bool unsaid; /* what is done once waits until its Accepted is said, so that no later agent does it again */
    struct node_params params;
    struct fault_env env;
    char run[AGENT_RUN_SIZE];
    struct timer *timer;
    int64_t start_boot_ns, end_boot_ns;
    int64_t journal_id, reaper_journal_id; /* -1: none */
    struct reaper *reaper;
    const char *reason; /* why it ends before its deadline; NULL: it does not */
    char message[512];
    char standing[256]; /* its status' message until another comes: what is not as asked. "": nothing */
    struct node_fault_status said; /* times and phase; texts are not kept */
    json_t *proof, *figures;
};

void agent_log(const struct held *h, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* h NULL: of the agent itself */
void agent_step(struct agent *a); /* something ended: may it go, what is to be swept */

/* held.c */
void held_told(struct agent *a, const struct kube_object *o); /* new, or changed */
void held_deleted(struct agent *a, const char *uid);
void held_end_all(struct agent *a, const char *reason, const char *why);
void held_drop(struct agent *a); /* frees those that are over */
bool held_quiet(const struct agent *a, bool said); /* nothing is done for any; said: and all is said */
void held_free_all(struct agent *a);
int64_t held_sweep(struct agent *a); /* deletes objects that nobody takes away; returns when to look again, wall clock; 0: nothing there */

/* held_act.c */
void held_accept(struct held *h);
void held_said(struct held *h); /* the API server has its status */
void held_refuse(struct held *h, const char *reason, const char *message); /* and nothing of it is left */
void held_end(struct held *h, const char *reason, const char *message);
void held_peers(struct held *h); /* h->fault.peers are others now */
void held_event(struct held *h, enum cluster_event e);
void held_forget(struct held *h); /* frees what the act had */

/* held_say.c */
void held_say(struct held *h, enum node_fault_phase phase, const char *reason, const char *message); /* with its times, proof and figures. message NULL: what stands */
void held_stands(struct held *h, const char *message); /* from now on; NULL: all is as asked */
void held_not_taken(struct held *h, const char *what, const char *why); /* a change of the object */
int64_t held_wall_at(int64_t boot_ns);
struct netem_state;
void held_count(struct held *h, const struct netem_state *s); /* what the classifier saw, while its filters stand */
void held_count_figures(struct held *h); /* what h->figures has of packets and bytes */

/* held_safety.c */
int held_make_safe(struct held *h, const struct pod *victim, struct error *err);
void held_stand_down(struct held *h);
const char *held_reason(int rc); /* a refusal's word, for what is no refusal by node_fault_refusal */
void held_sweep_network(struct held *h); /* all that the run has in the pod's namespace */

/* leftover.c */
struct leftover;
int leftover_find(struct agent *a, struct leftover **ret, struct error *err);
void leftover_thaw(struct held *h); /* of an earlier agent's pause nothing is remembered but the object */
void leftover_clear(struct agent *a, struct leftover *l); /* what no held fault took over; frees */
/* Before the API server has told what is asked for: what ends by nobody else is ended at its deadline. Returns how long until there is more of it to do; -1: there is none. */
int64_t leftover_overdue(struct agent *a);
