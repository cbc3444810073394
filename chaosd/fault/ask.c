/* SPDX-License-Identifier: Apache-2.0 */
/* A kind whose pods are not at hand: the same rows, checks and guards, and other functions. */
#include "fault/ask.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "fault/net.h"
#include "fault/object.h"

#include <errno.h>
#include <string.h>

#define DRAIN_NS (2 * NS_PER_S)       /* beyond what delay and rate explain, as on this machine */
#define DRAIN_RATE_NS (30 * NS_PER_S)
#define WORD_NS (5 * NS_PER_S)        /* an agent says an end within this, once its queues are empty */
#define PAST_NS NS_PER_S

/* --- in --- */

/* Created, it may have been carried out by an agent that cannot say so. */
static void on_silence(struct ask *a) {
    struct fault_act *act = a->act;
    if (!act)
        return;
    if (a->call && !a->created) { /* its own limit is about to come */
        timer_after(a->timer, NS_PER_S);
        return;
    }
    if (*a->all->blind)
        object_refused(act, -EINPROGRESS, "what the agent on node %s says cannot be followed: %s", a->node, a->all->blind);
    else if (a->accepted)
        object_refused(act, -EINPROGRESS, "the agent on node %s took it, and did not say within 10 s that it is in effect%s%s", a->node,
                       *a->message ? ": " : "", a->message);
    else
        object_refused(act, -EINPROGRESS, "no agent answered on node %s: is one there? kubectl get pods -n %s", a->node, a->all->namespace);
    if (!a->holds) /* nobody waits for it any more: it is not to come later */
        ask_delete(a);
}

static void on_timer(void *arg) {
    struct ask *a = arg;
    if (a->due && !a->gone)
        a->due(a);
}

static int64_t drain_of(const struct fault_spec *f) {
    if (((const struct fault_kind *)f->kind.kind)->layer != FAULT_NETWORK)
        return 0;
    const struct netem_params *p = &((const struct net_fault *)f->kind.params)->params;
    return p->delay_ns + 4 * p->jitter_ns + (p->rate_bps ? DRAIN_RATE_NS : 0) + DRAIN_NS;
}

static int fill(struct ask *a, const struct pod *victim, json_t **ret, struct error *err) {
    struct fault_act *act = a->act;
    const struct fault_kind *k = (const struct fault_kind *)act->spec->kind.kind;
    if (!*victim->node)
        return error_set(err, -EBUSY, "%s is on no node", victim->name);
    snprintf(a->node, sizeof a->node, "%s", victim->node);
    a->holds = k->holds;
    a->drain_ns = drain_of(act->spec);
    a->deadline_ns = loop_now() + (act->for_ns ? act->for_ns : ASK_ONCE_NS);
    int rc = k->layer == FAULT_NETWORK ? ask_peers(act, &a->peers, err) : 0;
    return rc < 0 ? rc : ask_spec(a, victim, ret, err);
}

static int inject(struct fault_act *act, const struct pod *victim, struct error *err) {
    cleanup_json json_t *object = NULL;
    int rc = asks_open(act->env, err);
    struct ask *a = rc == 0 ? calloc(1, sizeof *a) : NULL;
    if (rc < 0 || !a)
        return rc < 0 ? rc : error_set(err, -ENOMEM, "out of memory");
    a->all = act->env->asks;
    a->act = act;
    a->due = on_silence;
    a->next = a->all->first;
    a->all->first = a;
    a->gone = true; /* until it is asked for */
    act->own = a;
    act->proof_ns = ASK_ONCE_NS;
    rc = timer_new(act->env->loop, on_timer, a, &a->timer, err);
    if (rc == 0)
        rc = fill(a, victim, &object, err);
    if (rc == 0)
        rc = ask_create(a, object, err);
    if (rc < 0)
        return rc;
    timer_after(a->timer, ASK_NS);
    return FAULT_LATER;
}

/* --- out --- */

static void on_no_word(struct ask *a) {
    char why[ASK_WHY];
    struct fault_act *act = a->act;
    const int64_t last = a->deadline_ns + a->drain_ns + PAST_NS;
    if (!act)
        return;
    const int64_t now = loop_now();
    if (now >= last) {
        ask_unheard(a, NULL);
        return;
    }
    ask_say_end(a, NULL, why);
    if (!a->call) /* it may not have arrived; and by the node's clock the deadline, or even the beginning, may be still to come */
        ask_end(a);
    timer_at(a->timer, now + WORD_NS < last ? now + WORD_NS : last);
    act->trouble(act, why);
}

static int revert(struct fault_act *act, struct error *err) {
    struct ask *a = act->own;
    const int64_t now = loop_now(), word = now + WORD_NS + a->drain_ns, last = a->deadline_ns + a->drain_ns + PAST_NS;
    (void)err;
    if (a->gone)
        return -ENOENT;
    a->leaving = true;
    a->due = on_no_word;
    act->revert_ns = (word > last ? word : last) - now + 2 * NS_PER_S; /* our own limits are before it */
    timer_at(a->timer, word);
    if (!a->accepted)
        ask_delete(a);
    else if (now < a->deadline_ns || !a->in) /* past its deadline a node ends it by itself; one whose clock is behind would yet begin it */
        ask_end(a);
    return 0;
}

/* The object is nobody's any more: its agent ends what is still in effect. */
static void release(struct fault_act *act) {
    struct ask *a = take_ptr(act->own);
    if (!a)
        return;
    a->act = NULL;
    if (a->holds || !a->in)
        ask_delete(a);
}

/* Nobody pings from the pod: an agent has no right to, and this machine is not there. */
static json_t *measured(struct fault_act *act) {
    const struct fault_kind *k = (const struct fault_kind *)act->spec->kind.kind;
    const bool wanted = k->layer == FAULT_NETWORK && ((const struct net_fault *)act->spec->kind.params)->measure;
    return wanted ? json_pack("{s:s}", "why", "a node's agent sends no echo requests") : NULL;
}

static int undo(struct fault_act *act, const struct pod *victim, json_t **ret, struct error *err) {
    const struct node_fault f = {.run = act->env->run, .act = act->id};
    char name[NODE_FAULT_NAME_SIZE];
    node_fault_name(&f, name);
    *ret = json_pack("{s:s,s:o,s:s,s:s,s:s,s:s,s:s,s:s}", "kind", "node-fault", "access", kubernetes_access(act->env->cluster), "namespace",
                     kubernetes_agent_namespace(act->env->cluster), "name", name, "run", act->env->run, "what", act->spec->kind.kind->name, "pod",
                     victim->name, "node", victim->node);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* --- standing in --- */

static int prepare(struct fault_env *env, const struct fault_spec *f, struct error *err) {
    const struct fault_kind *k = (const struct fault_kind *)f->kind.kind;
    const struct net_fault *n = f->kind.params;
    int rc = 0;
    for (size_t i = 0; k->layer == FAULT_NETWORK && i < n->names.count && rc == 0; i++) {
        const struct net_fault one = {.names = {&n->names.items[i], 1}};
        rc = net_look_up(env, &one, err);
        rc = rc == -ENOENT ? 0 : rc; /* it may be a pod's, and these are not known yet: the act tells */
    }
    return rc;
}

static const struct kube_where rules[] = {{.verb = "create", .group = "chaosd.io", .resource = "nodefaults"},
                                          {.verb = "get", .group = "chaosd.io", .resource = "nodefaults"},
                                          {.verb = "list", .group = "chaosd.io", .resource = "nodefaults"},
                                          {.verb = "watch", .group = "chaosd.io", .resource = "nodefaults"},
                                          {.verb = "patch", .group = "chaosd.io", .resource = "nodefaults"},
                                          {.verb = "delete", .group = "chaosd.io", .resource = "nodefaults"},
                                          {0}};

enum { KINDS_MOST = 64 };

/* A kind, asked for; made at its first use. */
static const struct fault_kind *asked(const struct fault_kind *k) {
    static struct fault_kind list[KINDS_MOST];
    static size_t count;
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].row.name, k->row.name) == 0)
            return &list[i];
    if (count == KINDS_MOST)
        return NULL;
    struct fault_kind *as = &list[count++];
    *as = *k;
    as->needs = CLUSTER_AGENTS;
    as->bounded = true; /* the node's kernel, or its reaper there */
    as->proof = as->proof_reverted = CL_EVENT_COUNT;
    as->rules = rules;
    as->preflight = NULL; /* what this machine's kernel can do says nothing of the node's */
    as->able = NULL;
    as->prepare = prepare;
    as->inject = inject;
    as->revert = k->holds ? revert : NULL;
    as->undo = k->holds ? undo : NULL;
    as->measured = k->measured ? measured : NULL;
    as->release = release;
    return as;
}

const struct fault_kind *fault_in(const struct fault_kind *k, unsigned abilities) {
    const unsigned by_agents = CLUSTER_SIGNAL | CLUSTER_NETWORK | CLUSTER_CONTAINERS;
    if ((abilities & k->needs) == k->needs)
        return k;
    return (abilities & CLUSTER_AGENTS) && !(k->needs & ~by_agents) ? asked(k) : NULL;
}
