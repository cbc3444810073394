/* SPDX-License-Identifier: Apache-2.0 */
/* One fault's life on its node: accepted, in, proof, watched, out. The kind does it; what is seen is said in the object's status. */
#include "agent/agent_priv.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "base/units.h"
#include "cluster/undo.h"

#include "netem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BEGINS "begins at its notBefore, "
#define UNDONE_NS (5 * NS_PER_S) /* until an end that was not seen counts as failed */

/* --- the end --- */

void held_forget(struct held *h) {
    if (h->params.kind && h->params.kind->release && h->pub.spec)
        h->params.kind->release(&h->pub);
    timer_free(take_ptr(h->timer));
    json_decref(take_ptr(h->pub.told));
    json_decref(take_ptr(h->proof));
    json_decref(take_ptr(h->figures));
    node_cluster_remove(h->agent->cluster, h->fault.uid);
    h->pub.spec = NULL;
    node_params_free(&h->params);
    h->state = HELD_NOTHING;
}

/* undone: nothing of it is left, so that nobody has to stand by any more. */
static void finish(struct held *h, bool undone, enum node_fault_phase phase, const char *reason, const char *message) {
    struct agent *a = h->agent;
    *h->standing = 0;
    h->said.ended_wall_ns = clock_wall_ns();
    h->said.ended_boot_ns = clock_boot_ns();
    if (h->params.kind && h->params.kind->layer == FAULT_NETWORK && h->held)
        held_sweep_network(h);
    if (undone)
        held_stand_down(h);
    else
        reaper_leave(take_ptr(h->reaper)); /* undo record and reaper stay: they are what is left to help */
    held_say(h, phase, reason, message && *message ? message : NULL);
    held_forget(h);
    agent_step(a);
}

void held_refuse(struct held *h, const char *reason, const char *message) {
    const bool was_in = h->adopted && h->said.phase == NODE_FAULT_IN_EFFECT;
    const bool over = strcmp(reason, node_fault_refusal(-ETIME)) == 0, asked = strcmp(reason, "Asked") == 0, gone = strcmp(reason, "NoPod") == 0;
    char text[sizeof((struct error *)0)->text];
    snprintf(text, sizeof text, "%s", message);
    if (h->adopted)
        leftover_thaw(h);
    if (was_in && (over || gone || asked || strcmp(reason, "Stopped") == 0)) /* it was carried out, and is over */
        finish(h, true, NODE_FAULT_ENDED, over ? NULL : gone ? "PodGone" : reason, "its end was not seen: the agent started anew");
    else if (asked)
        finish(h, true, NODE_FAULT_ENDED, reason, text);
    else
        finish(h, true, NODE_FAULT_FAILED, reason, text);
}

static bool is_failure(const char *reason) { return reason && (strcmp(reason, "Lost") == 0 || strcmp(reason, "Error") == 0); }

static void ended(struct held *h) {
    char message[sizeof h->message];
    memcpy(message, h->message, sizeof message);
    finish(h, true, is_failure(h->reason) ? NODE_FAULT_FAILED : NODE_FAULT_ENDED, h->reason, message);
}

static void not_undone(struct held *h, const char *why) { finish(h, false, NODE_FAULT_FAILED, "NotUndone", why); }

static void on_not_undone(struct held *h) {
    char why[96], limit[32];
    format_duration(h->pub.revert_ns ? h->pub.revert_ns : UNDONE_NS, limit, sizeof limit);
    snprintf(why, sizeof why, "the end of the effect was not seen within %s", limit);
    not_undone(h, why);
}

static void look_before_the_end(struct held *h) {
    struct pod_network net;
    struct netem_ns *ns = NULL;
    cleanup_free struct netem_state *list = NULL;
    struct cluster *c = h->agent->cluster;
    if (h->params.kind->layer != FAULT_NETWORK || c->kind->network(c, h->fault.uid, &net, NULL) < 0 ||
        netem_ns_open_fd(h->env.netem, net.netns_fd, &ns, NULL) < 0)
        return;
    int n = netem_list(ns, h->run, &list, NULL);
    for (int i = 0; i < n; i++)
        if (list[i].id == h->pub.id)
            held_count(h, &list[i]);
    netem_ns_close(ns);
}

static void begin_revert(struct held *h) {
    struct error err;
    const struct fault_kind *kind = h->params.kind;
    if (h->state != HELD_IN_EFFECT || !kind->holds) {
        ended(h);
        return;
    }
    look_before_the_end(h);
    h->state = HELD_REVERTING;
    int rc = kind->revert(&h->pub, &err);
    if (rc == -ESRCH || rc == -ENOENT)
        ended(h);
    else if (rc < 0)
        not_undone(h, err.text);
    else
        timer_after(h->timer, h->pub.revert_ns ? h->pub.revert_ns : UNDONE_NS);
}

void held_end(struct held *h, const char *reason, const char *message) {
    if (h->state == HELD_NOTHING || h->state == HELD_REVERTING)
        return;
    h->reason = reason;
    snprintf(h->message, sizeof h->message, "%s", message ? message : "");
    begin_revert(h);
}

/* --- what the kind, and the pod, tell --- */

static void became_effective(struct held *h) {
    h->state = HELD_IN_EFFECT;
    if (!h->said.in_effect_boot_ns) { /* else it has been for long: it was adopted */
        h->said.in_effect_wall_ns = clock_wall_ns();
        h->said.in_effect_boot_ns = clock_boot_ns();
    }
    h->said.until_wall_ns = held_wall_at(h->end_boot_ns);
    h->figures = take_ptr(h->pub.told);
    if (strncmp(h->standing, BEGINS, strlen(BEGINS)) == 0)
        *h->standing = 0;
    held_say(h, NODE_FAULT_IN_EFFECT, NULL, NULL);
    timer_after(h->timer, h->end_boot_ns - clock_boot_ns());
    if (h->peers_changed)
        held_peers(h);
}

static void failed(struct held *h, int rc, const char *why) {
    char text[sizeof((struct error *)0)->text];
    snprintf(text, sizeof text, "%s", why);
    finish(h, true, NODE_FAULT_FAILED, held_reason(rc), text);
}

static void kind_in_effect(struct fault_act *pub, int rc, const struct error *why) {
    struct held *h = (struct held *)pub;
    if (h->state != HELD_INJECTING)
        return;
    if (rc < 0)
        failed(h, rc, why->text);
    else
        became_effective(h);
}

static void prove(struct held *h, json_t *proof) {
    if (h->proven) {
        json_decref(proof);
        return;
    }
    h->proven = true;
    h->proof = proof;
}

static void kind_observed(struct fault_act *pub, json_t *proof) {
    struct held *h = (struct held *)pub;
    prove(h, proof);
    if (h->state == HELD_IN_EFFECT)
        held_say(h, NODE_FAULT_IN_EFFECT, NULL, NULL);
}

/* What stands in the pod's namespace and is in effect: of our run's act, and of anybody else. */
static int look_at_network(struct held *h, bool *ret_ours, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    struct pod_network net;
    struct netem_ns *ns = NULL;
    cleanup_free struct netem_state *list = NULL;
    struct cluster *c = h->agent->cluster;
    int rc = c->kind->network(c, h->fault.uid, &net, err), n = 0;
    if (rc < 0)
        return rc;
    rc = netem_ns_open_fd(h->env.netem, net.netns_fd, &ns, why);
    if (rc == 0)
        rc = n = netem_list(ns, NULL, &list, why);
    netem_ns_close(ns);
    for (int i = 0; i < n; i++) {
        const bool ours = strcmp(list[i].run, h->run) == 0 && list[i].id == h->pub.id, lasts = list[i].left_ns > 0 || !list[i].known;
        *ret_ours |= ours && lasts;
        if (!ours && lasts && list[i].left_ns > 0)
            return error_set(err, -EBUSY, "a network fault of %s is in effect in the pod already", list[i].run);
    }
    return rc < 0 ? error_set(err, rc, "%s", why) : 0;
}

/* Gone is gone; of what is still there, and not as asked, the status says so. */
static void kind_trouble(struct fault_act *pub, const char *why) {
    struct held *h = (struct held *)pub;
    bool ours = false;
    if (h->state != HELD_IN_EFFECT)
        return;
    if (why && look_at_network(h, &ours, NULL) == 0 && !ours)
        held_end(h, "Lost", why);
    else
        held_stands(h, why);
}

static void kind_reverted(struct fault_act *pub, const char *why, json_t *figures) {
    struct held *h = (struct held *)pub;
    if (h->figures)
        json_object_update(h->figures, figures);
    else
        h->figures = json_incref(figures);
    json_decref(figures);
    held_count_figures(h);
    if (why && !*h->message)
        snprintf(h->message, sizeof h->message, "%s", why);
    ended(h);
}

static void kind_revert_failed(struct fault_act *pub, const char *why) { not_undone((struct held *)pub, why); }

static void kind_measured(struct fault_act *pub) { (void)pub; }

static size_t kind_select(struct fault_act *pub, const struct pod_target *t, const struct pod **list, size_t max) {
    (void)pub, (void)t, (void)list, (void)max;
    return 0; /* other pods are the run's to find */
}

/* One container at least: the others are still to be thawed. */
static void was_thawed(struct held *h) {
    if (h->state == HELD_REVERTING)
        ended(h);
    else if (clock_boot_ns() < h->end_boot_ns)
        held_end(h, "Lost", "it was thawed from outside");
    else
        held_end(h, NULL, NULL);
}

static void pod_gone(struct held *h, const char *why) {
    h->reason = "PodGone";
    snprintf(h->message, sizeof h->message, "%s", why);
    ended(h);
}

/* What of it is frozen cannot end by itself, whoever takes it for gone. */
static void pod_removed(struct held *h) {
    const struct fault_kind *kind = h->params.kind;
    if (kind->layer == FAULT_PROCESS && kind->holds && h->state == HELD_IN_EFFECT)
        held_end(h, "PodGone", "the pod ended");
    else
        pod_gone(h, "the pod ended");
}

void held_event(struct held *h, enum cluster_event e) {
    const struct fault_kind *kind = h->params.kind;
    const bool in = h->state == HELD_IN_EFFECT;
    if (h->state == HELD_NOTHING)
        return;
    if (e == kind->proof && in) {
        prove(h, json_pack("{s:s}", "proof", cluster_event_names[e]));
        if (kind->holds)
            held_say(h, NODE_FAULT_IN_EFFECT, NULL, NULL);
        else
            ended(h);
    } else if (e == kind->proof_reverted && kind->holds && (in || h->state == HELD_REVERTING)) {
        was_thawed(h);
    } else if (e == CL_POD_EXITED && kind->layer == FAULT_PROCESS && kind->holds && in) {
        held_end(h, "PodGone", "the containers ended"); /* other processes of theirs may still be frozen */
    } else if (e == CL_POD_EXITED && kind->layer == FAULT_PROCESS && h->state != HELD_REVERTING) {
        pod_gone(h, "the containers ended");
    } else if (e == CL_POD_REMOVED && (kind->holds || !in)) {
        pod_removed(h);
    }
}

/* --- in --- */

static void strike(struct held *h) {
    struct error err;
    struct cluster *c = h->agent->cluster;
    const struct pod *victim = c->kind->pod(c, h->fault.uid);
    h->pub.until_ns = h->end_boot_ns;
    h->pub.for_ns = h->end_boot_ns - clock_boot_ns();
    if (h->pub.for_ns <= 0) {
        finish(h, true, NODE_FAULT_FAILED, node_fault_refusal(-ETIME), "its deadline passed before it could be begun");
        return;
    }
    int rc = h->params.kind->holds ? held_make_safe(h, victim, &err) : 0;
    if (rc == 0) {
        h->state = HELD_INJECTING;
        h->held = true;
        rc = h->params.kind->inject(&h->pub, victim, &err);
    }
    if (rc < 0)
        failed(h, rc, err.text);
    else if (rc != FAULT_LATER)
        became_effective(h);
}

static int find_pod(struct held *h, struct error *err) {
    const struct fault_kind *kind = h->params.kind;
    const struct node_victim_spec s = {.fault = &h->fault, .network = kind->layer == FAULT_NETWORK, .device = h->params.device,
                                       .freezes = kind->layer == FAULT_PROCESS && kind->holds, .adopt = h->adopted};
    node_cluster_remove(h->agent->cluster, h->fault.uid);
    return node_cluster_add(h->agent->cluster, &s, err);
}

static void failed_to_find(struct held *h, int rc, const char *why) {
    if (rc == -EPERM)
        held_refuse(h, "HostNetwork", why);
    else
        held_refuse(h, held_reason(rc == -ENODEV || rc == -ENOTUNIQ ? -EINVAL : rc == -ENOTSUP ? -EOPNOTSUPP : rc), why);
}

static void begin(struct held *h);

static void on_time(void *arg) {
    struct held *h = arg;
    const int64_t now = clock_boot_ns(), due = h->state == HELD_WAITING && !h->unsaid ? h->start_boot_ns : h->end_boot_ns;
    if (h->state == HELD_REVERTING)
        on_not_undone(h);
    else if (now < due)
        timer_after(h->timer, due - now);
    else if (h->state == HELD_WAITING)
        begin(h);
    else if (h->params.kind->holds || h->proven)
        held_end(h, NULL, NULL);
    else
        held_end(h, NULL, "the signal was sent; no exit was seen");
}

/* --- accepting --- */

static const struct held *who_holds(const struct held *h) {
    const uint64_t netns = node_cluster_netns(h->agent->cluster, h->fault.uid);
    for (const struct held *o = h->agent->held; o; o = o->next) {
        if (o == h || o->state == HELD_NOTHING || o->params.kind->layer != h->params.kind->layer)
            continue;
        if (strcmp(o->fault.pod_uid, h->fault.pod_uid) == 0 || (netns && netns == node_cluster_netns(h->agent->cluster, o->fault.uid)))
            return o;
    }
    return NULL;
}

static int check_free(struct held *h, struct error *err) {
    const struct held *other = who_holds(h);
    bool ours = false;
    int rc = other ? error_set(err, -EBUSY, "%s (%s) holds the pod%s", other->fault.name, other->fault.kind,
                               strcmp(other->fault.pod_uid, h->fault.pod_uid) ? "'s network" : "")
                   : 0;
    if (rc == 0 && h->params.kind->layer == FAULT_NETWORK)
        rc = look_at_network(h, &ours, err);
    else if (rc == 0)
        ours = node_cluster_frozen(h->agent->cluster, h->fault.uid);
    if (rc == 0 && h->adopted && h->said.phase == NODE_FAULT_IN_EFFECT && !ours)
        return error_set(err, -ESTALE, "it was not in effect any more when the agent started anew");
    return rc;
}

/* Whichever comes first: what the clock says now, what it said when it was accepted, and its length since it is in effect. */
static void set_times(struct held *h) {
    const int64_t now = clock_boot_ns(), whole = h->fault.deadline_wall_ns - h->fault.not_before_wall_ns;
    const struct node_fault_status s = h->said;
    int64_t start, end;
    node_fault_when(&h->fault, clock_wall_ns(), now, &h->start_boot_ns, &h->end_boot_ns);
    if (!h->adopted || s.accepted_boot_ns <= 0 || s.accepted_boot_ns > now)
        return;
    node_fault_when(&h->fault, s.accepted_wall_ns, s.accepted_boot_ns, &start, &end);
    h->start_boot_ns = start < h->start_boot_ns ? start : h->start_boot_ns;
    h->end_boot_ns = end < h->end_boot_ns ? end : h->end_boot_ns;
    if (s.in_effect_boot_ns > 0 && s.in_effect_boot_ns <= now && s.in_effect_boot_ns + whole < h->end_boot_ns)
        h->end_boot_ns = s.in_effect_boot_ns + whole;
}

static int prepare(struct held *h, struct error *err) {
    struct agent *a = h->agent;
    const struct fault_kind *kind = h->params.kind;
    if (h->fault.act < 1)
        return error_set(err, -EINVAL, "spec.act is missing");
    int rc = kind->preflight ? kind->preflight(&h->params.spec, err) : 0;
    if (rc == 0 && kind->prepare)
        rc = kind->prepare(&a->env, &h->params.spec, err);
    snprintf(h->run, sizeof h->run, AGENT_RUN "%.8s", h->fault.run);
    h->env = a->env;
    h->env.run = h->run;
    h->pub = (struct fault_act){.env = &h->env, .spec = &h->params.spec, .uid = h->fault.uid, .target = h->fault.pod_name,
                                .id = (uint32_t)h->fault.act, .in_effect = kind_in_effect, .observed = kind_observed, .trouble = kind_trouble,
                                .reverted = kind_reverted, .revert_failed = kind_revert_failed, .measured = kind_measured, .select = kind_select};
    return rc == 0 && !h->timer ? timer_new(a->loop, on_time, h, &h->timer, err) : rc;
}

static void wait_for(struct held *h, int64_t boot_ns) {
    const int64_t wait = boot_ns - clock_boot_ns();
    timer_after(h->timer, wait > 0 ? wait : 0);
}

/* Who asked for it by a clock that is ahead would wait, and not know for what. */
static void say_when(struct held *h) {
    char at[TIMESTAMP_SIZE], now[TIMESTAMP_SIZE];
    if (h->start_boot_ns - clock_boot_ns() < NODE_FAULT_OFF_NS)
        return;
    timestamp_format(h->fault.not_before_wall_ns, at);
    timestamp_format(clock_wall_ns(), now);
    snprintf(h->standing, sizeof h->standing, BEGINS "%s; this node's clock says %s", at, now);
}

static void accepted(struct held *h) {
    if (!h->adopted) {
        h->said.accepted_wall_ns = clock_wall_ns();
        h->said.accepted_boot_ns = clock_boot_ns();
        say_when(h);
        held_say(h, NODE_FAULT_ACCEPTED, NULL, NULL);
    }
    h->state = HELD_WAITING;
    h->unsaid = !h->params.kind->holds;
    if (h->unsaid || h->start_boot_ns > clock_boot_ns())
        wait_for(h, h->unsaid ? h->end_boot_ns : h->start_boot_ns);
    else
        strike(h);
}

void held_said(struct held *h) {
    if (h->state == HELD_WAITING && h->unsaid)
        wait_for(h, h->start_boot_ns);
    h->unsaid = false;
}

/* The pod is there, and nobody else's. False: it was refused. */
static bool is_ready(struct held *h) {
    struct error err;
    int rc = find_pod(h, &err);
    if (rc < 0) {
        failed_to_find(h, rc, err.text);
        return false;
    }
    rc = check_free(h, &err);
    if (rc < 0)
        held_refuse(h, rc == -ESTALE ? "Lost" : held_reason(rc), err.text);
    return rc == 0;
}

/* While it waited the pod's containers may have become others, and somebody may have come who asks no agent. */
static void begin(struct held *h) {
    if (is_ready(h))
        strike(h);
}

void held_accept(struct held *h) {
    struct error err;
    int rc = node_params_read(&h->fault, &h->params, &err);
    if (rc == 0)
        rc = prepare(h, &err);
    if (rc < 0) {
        held_refuse(h, held_reason(rc), err.text);
        return;
    }
    if (h->had_peers && !h->fault.peers && !json_object_get(h->fault.params, "externalTargets")) {
        held_refuse(h, "Invalid", "its far ends are gone from the object: it would hit everything now");
        return;
    }
    if (h->adopted && !h->params.kind->holds) { /* once is enough */
        held_refuse(h, "Lost", "the agent started anew: whether the signal was sent, and what came of it, is not known");
        return;
    }
    if (is_ready(h)) {
        set_times(h);
        accepted(h);
    }
}

/* The deadline stays where it is. */
void held_peers(struct held *h) {
    struct error err;
    h->peers_changed = h->state == HELD_INJECTING;
    if (h->state == HELD_NOTHING || h->state == HELD_REVERTING || h->peers_changed)
        return;
    int rc = h->params.kind->change ? node_params_again(&h->params, &h->fault, &err) : error_set(&err, -EINVAL, "it has no far ends");
    if (rc == 0 && h->state == HELD_IN_EFFECT)
        rc = h->params.kind->change(&h->pub, &err);
    if (rc < 0) {
        held_not_taken(h, "the new far ends are not taken, the old ones stay", err.text);
        return;
    }
    agent_log(h, "%zu far ends from the run now", json_array_size(h->fault.peers));
    held_stands(h, NULL);
}
