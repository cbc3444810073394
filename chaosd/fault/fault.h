/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A fault kind: one file ending in its descriptor, one row in table.c. The interpreter (run_acts.c, run_act.c) does everything that kinds
 * share: selection, guards, journal, reaper, deadlines. A kind says what to do to one pod, and what proves it.
 * docs/ADDING-A-FAULT.md leads through adding one. */
#include "cluster/cluster.h"

struct kube_where;
struct netem;
struct net_name;
struct asks;
struct doc;

/* What all acts of a run share. */
struct fault_env {
    struct loop *loop;
    struct cluster *cluster;
    const char *run;     /* short unique id, [a-z0-9]{1,8} */
    struct netem *netem; /* opened by the first network fault's prepare; NULL: none is planned */
    struct net_name *names; /* that network faults speak of */
    const struct doc *doc;  /* the scenario's: rows as they were written. NULL: nobody asks agents */
    struct asks *asks;      /* opened by the first act that asks an agent; NULL: there was none */
    void (*changed)(struct fault_env *env); /* what asks_settled says may have changed; NULL: nobody waits for it */
    /* Why a guard lets no fault have this pod, of kinds that find pods by themselves after the act was decided on; NULL: none does. The text
     * is borrowed until the next call. The callback NULL: nobody asks. */
    const char *(*barred)(struct fault_env *env, const struct pod *p);
};
void fault_env_close(struct fault_env *env); /* what kinds opened; faults outlive it */

/* One act on one pod, as its kind sees it: from inject until release. */
struct fault_act {
    struct fault_env *env;
    const struct fault_spec *spec; /* its rows: spec->kind.params */
    const char *uid, *target;      /* the victim; target: its name */
    uint32_t id;                   /* once in a run, from 1 */
    int64_t for_ns;
    int64_t until_ns; /* CLOCK_BOOTTIME, however long it takes to put in; 0: for_ns counts from when it is in effect */
    uint64_t draw;
    void *own;         /* the kind's; freed by its release */
    int64_t revert_ns; /* how long undoing may take until it counts as failed; 0: 5 s. The kind may set it */
    int64_t proof_ns;  /* how long its effect may take to be seen; 0: 30 s. The kind may set it */
    bool measuring;    /* a baseline goes on after its end: set by the kind before it tells reverted, and then it tells measured */
    json_t *told;      /* more for the history's "ok", an object; the kind may set it, it is taken over */
    const char *rule;  /* by which it is refused, where in_effect says -EBUSY: "Stopped". NULL: by none that has a name */

    /* What the kind tells the interpreter; each may end the act, so nothing of it is touched afterwards. */
    void (*in_effect)(struct fault_act *a, int rc, const struct error *why); /* after inject returned FAULT_LATER: 0 or why not. -EBUSY,
        as from inject and undo: nothing was done, and it is no failure (a budget forbade it): skipped. -EINPROGRESS: it may have been done: unknown */
    void (*observed)(struct fault_act *a, json_t *proof);                    /* the effect was seen; taken over */
    void (*trouble)(struct fault_act *a, const char *why);                   /* it is not in effect as asked (any more): at each look, the same again is heard once. NULL: it is again */
    void (*reverted)(struct fault_act *a, const char *why, json_t *figures); /* its end was seen; why: NULL, or who did it. Taken over */
    void (*revert_failed)(struct fault_act *a, const char *why);
    void (*measured)(struct fault_act *a); /* the baseline is complete */
    /* Another target's pods at this moment, the victim left out; borrowed until the loop turns. Asked again, who was drawn stays while it is there. */
    size_t (*select)(struct fault_act *a, const struct pod_target *t, const struct pod **list, size_t max);
};
enum { FAULT_LATER = 1 };

/* Two faults on one pod never stack within a layer; one of each may. FAULT_OBJECT: what is done to an API server's objects;
 * it does not strike a pod that is under a fault of a process, nor the other way round. */
enum fault_layer { FAULT_PROCESS, FAULT_NETWORK, FAULT_OBJECT = FAULT_PROCESS };

struct fault_kind {
    struct kind_row row;
    enum fault_layer layer;
    unsigned needs; /* enum cluster_ability, all of them */
    bool holds;   /* stays until reverted: needs for:, gets an undo record */
    bool bounded; /* the kernel ends it at its deadline by itself, so that it needs no reaper */
    bool once;    /* an act takes as many pods as are drawn, but each node, or workload, of theirs only once: by `place` */
    /* The cluster events that show the effect and its end on the victim. CL_EVENT_COUNT: the kind tells, by observed and reverted. */
    enum cluster_event proof, proof_reverted;
    const struct pod_target *(*target)(const void *params);
    /* The container of the pod that is meant; it returns NULL: its default, see kubernetes_container. NULL: the pod as a whole. */
    const char *(*container)(const void *params);
    int (*check)(const struct fault_spec *f, const struct schema_at *at, struct error *err); /* NULL: nothing beyond the rows */
    bool (*takes)(const void *params); /* the victim no longer serves meanwhile, which guards count; NULL: it does not */
    /* Whom an act on this victim would take out of service: the pods of its node, for one that is drained. NULL: the victim alone. */
    size_t (*struck)(const struct fault_env *env, const struct fault_spec *f, const struct pod *victim, const struct pod **list, size_t max);
    /* What the act is told to strike, where that is not the pod itself: "node-2", "Deployment shop/web". NULL: the pod's name. */
    void (*place)(const struct fault_env *env, const struct pod *victim, char *out, size_t size);
    const char *like; /* a word: kinds that share it do the like by other means, for clusters that cannot do this one. NULL: none */
    const struct kube_where *rules; /* what must be allowed in a Kubernetes, ends with verb NULL; NULL: nothing. See kube/status.h */
    int (*preflight)(const struct fault_spec *f, struct error *err);                     /* can this machine do it? NULL: always */
    int (*able)(const struct fault_kind *k, struct error *err);                          /* can it do anything of the kind? NULL: always */
    int (*prepare)(struct fault_env *env, const struct fault_spec *f, struct error *err); /* before the first act, may block; NULL: nothing */
    int (*inject)(struct fault_act *a, const struct pod *victim, struct error *err);      /* 0: in effect; FAULT_LATER; none blocks */
    int (*change)(struct fault_act *a, struct error *err); /* its params are others by now: goes over to them, the deadline stays. NULL: cannot */
    int (*revert)(struct fault_act *a, struct error *err);       /* holds only; its end is told by proof_reverted or reverted. -ENOENT: gone with the pod */
    int (*undo)(struct fault_act *a, const struct pod *victim, json_t **ret, struct error *err); /* holds only */
    json_t *(*measured)(struct fault_act *a); /* what was measured, when the act is over; NULL, or it returns NULL: nothing */
    void (*release)(struct fault_act *a);                         /* over, or never to be: frees own. NULL: nothing is kept */
    void (*describe)(const void *params, char *out, size_t size); /* "SIGKILL" */
};

/* A row of kinds that a node's agent can do, of type bool: what struct the kind has is its own affair. */
#define FAULT_HOST_NETWORK "hostNetwork"
#define FAULT_HOST_NETWORK_FIELD(owner, at)                                                                                                \
    {.name = FAULT_HOST_NETWORK, .type = F_BOOL, .offset = offsetof(owner, at),                                                            \
     .doc = "In a Kubernetes: also pods in their node's own network; else such a pod is refused."}

/* Could the kind do anything to it? A static pod's object is but a mirror. */
static inline bool fault_meets(const struct fault_kind *k, const struct candidate *c) { return !c->of_node || !(k->needs & CLUSTER_OBJECTS); }

/* As takes, whatever the params. */
static inline bool fault_takes(const void *params) {
    (void)params;
    return true;
}
extern const struct fault_kind *const fault_kinds[]; /* NULL-terminated */
