/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Faults of processes and networks in a cluster whose pods are not at hand: the run asks the agent of the pod's node, by a NodeFault
 * (agent/node_fault.h), and follows what that one says of it. A kind that is asked for is the same kind with other functions. */
#include "cluster/kubernetes.h"
#include "fault/fault.h"

/* The kind as a cluster with these abilities (enum cluster_ability) does it: itself, or one that asks. NULL: it cannot. */
const struct fault_kind *fault_in(const struct fault_kind *k, unsigned abilities);

struct asks;                                  /* all of a run: fault_env.asks */
void asks_pods_changed(struct fault_env *env); /* far ends that are pods may have come or gone */
/* Nothing of ours is left at the API server, as far as it answers: what is not held is asked to be deleted. env->changed tells when to ask again. */
bool asks_settled(struct fault_env *env);
void asks_free(struct asks *all); /* NULL-safe; before the cluster goes */

/* --- between ask.c, ask_spec.c, ask_follow.c and ask_told.c --- */

#include "agent/node_fault.h"

enum { ASK_TEXT = 254, ASK_WHY = 1200 };
#define ASK_NS (10 * NS_PER_S)      /* an agent that did not answer in this time is none */
#define ASK_ONCE_NS (30 * NS_PER_S) /* deadline of what is done once, and held by nobody */

struct ask { /* one NodeFault; outlives its act until the object is gone */
    struct ask *next;
    struct asks *all;
    struct fault_act *act; /* NULL: it is over */
    bool holds;
    char name[NODE_FAULT_NAME_SIZE], node[ASK_TEXT], target[ASK_TEXT], uid[64]; /* uid: the object's; "": not known */
    struct kube_call *call; /* creating, changing */
    struct kube_call *deletion;
    struct timer *timer;
    void (*due)(struct ask *a);     /* the timer's */
    json_t *spec;                   /* as it was created */
    json_t *peers;                  /* as last asked for; NULL: none */
    bool created, accepted, in, observed, leaving, gone;
    bool over;     /* the agent said so */
    bool unwanted; /* to be deleted once it is created */
    bool pausing;  /* before it is deleted again */
    bool stale;    /* the last change of peers did not arrive */
    unsigned refusals; /* of changes of peers, in a row */
    int64_t change_ns; /* with refusals: not to be changed before, CLOCK_MONOTONIC */
    int64_t asked_ns, deadline_ns, drain_ns; /* deadline: CLOCK_MONOTONIC */
    int64_t deadline_wall_ns;
    char message[ASK_WHY]; /* of its agent, that took it, and has it not in effect; "": it said no more than that */
};

struct asks {
    struct fault_env *env;
    const char *namespace;
    struct kube_watch *watch;
    struct ask *first;
    struct timer *renew; /* of far ends; and of what is gone */
    struct net_again *names; /* NULL: nothing was looked up */
    bool renewing;
    char blind[512]; /* why the statuses cannot be followed just now; "": they can */
};

int asks_open(struct fault_env *env, struct error *err); /* env->asks, once a run */

/* The NodeFault; a->node, peers and times are filled. New reference. */
int ask_spec(struct ask *a, const struct pod *victim, json_t **ret, struct error *err);
/* Far ends that are pods or names, as they are now: sorted, each once. *ret NULL: the fault speaks of none. New reference. */
int ask_peers(struct fault_act *act, json_t **ret, struct error *err);

int ask_create(struct ask *a, const json_t *object, struct error *err);
/* That nobody told of it, and when it ends by itself. why: what stood in the way; NULL: not known. */
void ask_say_end(const struct ask *a, const char *why, char out[ASK_WHY]);
void ask_unheard(struct ask *a, const char *why); /* the act's end, of which nothing will be heard any more; why: as above */
/* Each of its calls to the act may end it, or the run's phase; the ask itself stays. */
void ask_told(struct ask *a, const struct node_fault_status *s, int64_t seen_ns);
void ask_end(struct ask *a);       /* asks its agent to end it now */
void ask_delete(struct ask *a);    /* whoever said what: it is to be gone */
