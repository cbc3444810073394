/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent says of a NodeFault, and what of it a run is told. */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "base/units.h"
#include "fault/ask.h"
#include "fault/object.h"

#include <errno.h>
#include <string.h>

#define KEPT_NS (10 * NS_PER_S)  /* of what is done once: until its agent has said that it is over */

static void on_kept(struct ask *a) { ask_delete(a); }

static json_t *figures_of(const struct node_fault_status *s, const json_t *more) {
    json_t *j = more ? json_deep_copy(more) : json_object();
    if (s->counted) {
        json_t *counted = json_pack("{s:I,s:I}", "packets", (json_int_t)s->packets, "bytes", (json_int_t)s->bytes);
        json_object_update_missing(j, counted);
        json_decref(counted);
    }
    return j;
}

/* Asked and seen by our clock; what the node says stands beside it by its own, and neither is computed from the other. */
static json_t *told_of(const struct ask *a, const struct node_fault_status *s, int64_t seen_ns) {
    char stamp[TIMESTAMP_SIZE] = "";
    if (s->in_effect_wall_ns)
        timestamp_format(s->in_effect_wall_ns, stamp);
    json_t *told = json_pack("{s:I,s:I,s:s,s:s*,s:s*,s:s*}", "asked_mono", (json_int_t)a->asked_ns, "seen_mono", (json_int_t)seen_ns, "node", a->node,
                             "node_in_effect", *stamp ? stamp : NULL, "agent", s->agent_version, "nodefault", a->name);
    if (s->in_effect_boot_ns)
        json_object_set_new(told, "node_in_effect_boot_ns", json_integer(s->in_effect_boot_ns));
    if (a->peers)
        json_object_set_new(told, "peers", json_integer((json_int_t)json_array_size(a->peers)));
    if (s->figures) /* by what: as the kind itself tells it */
        json_object_update_missing(told, (json_t *)s->figures);
    return told;
}

/* What is no failure: the node would not have it just now. */
static bool by_rule(const char *reason) {
    static const char *const words[] = {"Busy", "TooMany", "Stopped"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(words[i], reason) == 0)
            return true;
    return false;
}

static void refused(struct ask *a, const struct node_fault_status *s) {
    const char *reason = s->reason ? s->reason : node_fault_phase_names[s->phase];
    struct fault_act *act = a->act;
    a->over = true;
    if (a->leaving) {
        act->reverted(act, "it was never in effect", NULL);
        return;
    }
    act->rule = by_rule(reason) ? reason : NULL;
    const bool unclear = !a->holds && strcmp(reason, "Lost") == 0; /* its agent began anew, and does not know whether the signal was sent */
    object_refused(act, act->rule ? -EBUSY : unclear ? -EINPROGRESS : -EIO, "the agent on node %s: %s%s%s", a->node, reason, s->message ? ": " : "", s->message ? s->message : "");
}

/* A node that is behind begins later by as much, and all figures count from when it was asked. */
static void say_late(struct ask *a, const struct node_fault_status *s) {
    const int64_t late = s->in_effect_boot_ns - s->accepted_boot_ns;
    char text[2 * ASK_WHY], took[32];
    if (!a->act || !a->holds || !*a->message || !s->accepted_boot_ns || late < NODE_FAULT_OFF_NS)
        return;
    format_duration(late / NS_PER_MS * NS_PER_MS, took, sizeof took);
    snprintf(text, sizeof text, "it began %s after node %s had taken it: %s", took, a->node, a->message);
    a->act->trouble(a->act, text);
}

/* And one that is ahead ends sooner. */
static void say_early(struct ask *a, const struct node_fault_status *s) {
    const int64_t early = a->deadline_ns - loop_now();
    char text[ASK_WHY], took[32];
    if (s->phase != NODE_FAULT_ENDED || (s->reason && *s->reason) || (s->message && *s->message) || early < NODE_FAULT_OFF_NS)
        return;
    format_duration(early / NS_PER_MS * NS_PER_MS, took, sizeof took);
    snprintf(text, sizeof text, "it ended %s before its deadline: the clock of node %s is ahead of this machine's", took, a->node);
    a->act->trouble(a->act, text);
}

static void became_effective(struct ask *a, const struct node_fault_status *s, int64_t seen_ns) {
    a->in = true;
    if (a->leaving) /* it came too late to be told, and the timer is that of its end */
        return;
    if (!a->pausing && !a->deletion) { /* else it is on its way out already, and the timer is that of the next try */
        a->due = a->holds ? NULL : on_kept;
        if (a->holds)
            timer_stop(a->timer);
        else
            timer_after(a->timer, KEPT_NS);
    }
    a->act->told = told_of(a, s, seen_ns);
    a->act->in_effect(a->act, 0, NULL);
    say_late(a, s);
}

/* Why it ended, where that was neither its deadline nor ourselves. */
static void why_ended(const struct ask *a, const struct node_fault_status *s, char *out, size_t size) {
    static const struct {
        const char *reason, *words;
    } rows[] = {{"Stopped", "the node's kill switch is on"}, {"Terminated", "the node's agent was ended"}, {"PodGone", "the pod is gone"}};
    const char *words = s->reason;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (s->reason && strcmp(rows[i].reason, s->reason) == 0)
            words = rows[i].words;
    const bool wanted = !words || !*words || strcmp(s->reason, "Asked") == 0;
    snprintf(out, size, "%s%s%s", wanted ? "" : words, wanted || !s->message ? "" : ": ", wanted || !s->message ? "" : s->message);
    if (s->phase == NODE_FAULT_FAILED)
        snprintf(out, size, "undone on node %s: %s%s%s", a->node, s->reason ? s->reason : "Failed", s->message ? ": " : "", s->message ? s->message : "");
}

static bool was_in(const struct node_fault_status *s) { return s->in_effect_boot_ns || s->in_effect_wall_ns; }

/* Its agent could not undo it, and has let go of it: the effect may still be there. */
static bool not_undone(const struct ask *a, const struct node_fault_status *s) {
    const char *reason = s->phase == NODE_FAULT_FAILED && s->reason ? s->reason : "";
    return a->holds && (strcmp(reason, "NotUndone") == 0 || (strcmp(reason, "Error") == 0 && (a->in || was_in(s))));
}

static void stays_in(struct ask *a, const struct node_fault_status *s) {
    char why[2 * ASK_WHY], stamp[TIMESTAMP_SIZE];
    timestamp_format(a->deadline_wall_ns, stamp);
    snprintf(why, sizeof why, "the agent on node %s: %s%s%s; the node ends it by itself at %s by its own clock", a->node, s->reason, s->message ? ": " : "",
             s->message ? s->message : "", stamp);
    a->act->revert_failed(a->act, why);
}

static void ended(struct ask *a, const struct node_fault_status *s) {
    char why[600];
    a->over = true;
    why_ended(a, s, why, sizeof why);
    if (a->act && not_undone(a, s))
        stays_in(a, s);
    else if (a->act && a->holds) {
        say_early(a, s);
        a->act->reverted(a->act, *why ? why : NULL, figures_of(s, s->figures));
    }
}

static void troubled(struct ask *a, const struct node_fault_status *s) {
    const char *text = s->message && *s->message ? s->message : s->reason;
    if (a->act && text && *text)
        a->act->trouble(a->act, text);
}

void ask_told(struct ask *a, const struct node_fault_status *s, int64_t seen_ns) {
    const bool over = s->phase == NODE_FAULT_ENDED || s->phase == NODE_FAULT_FAILED;
    a->accepted |= s->phase != NODE_FAULT_PENDING;
    if (s->phase == NODE_FAULT_ACCEPTED)
        snprintf(a->message, sizeof a->message, "%s", s->message ? s->message : "");
    if (a->over)
        return;
    if (a->act && !a->in && over && !was_in(s) && !not_undone(a, s))
        refused(a, s);
    if (a->act && !a->in && !a->over && (s->phase == NODE_FAULT_IN_EFFECT || over))
        became_effective(a, s, seen_ns);
    if (a->act && a->in && !a->observed && json_object_size(s->proof)) {
        a->observed = true;
        a->act->observed(a->act, figures_of(s, s->proof));
    }
    if (s->phase == NODE_FAULT_IN_EFFECT)
        troubled(a, s);
    if (over && !a->over)
        ended(a, s);
    if (a->over)
        ask_delete(a);
}
