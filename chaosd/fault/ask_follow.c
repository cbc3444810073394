/* SPDX-License-Identifier: Apache-2.0 */
/* A run's NodeFaults at the API server: created, changed, deleted, and followed by one watch. */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "base/units.h"
#include "fault/ask.h"
#include "fault/net.h"
#include "fault/object.h"

#include <errno.h>
#include <string.h>

#define RENEW_NS (100 * NS_PER_MS)
#define DELETE_NS (5 * NS_PER_S)

static const struct kube_kind *kind(void) { return &kube_kinds[KUBE_NODEFAULTS]; }
static struct kube *client(const struct asks *all) { return kubernetes_client(all->env->cluster); }

static void changed(struct asks *all) {
    if (all->env->changed)
        all->env->changed(all->env);
}

static void ask_free(struct ask *a) {
    kube_cancel(a->call);
    kube_cancel(a->deletion);
    timer_free(a->timer);
    json_decref(a->peers);
    json_decref(a->spec);
    free(a);
}

/* --- gone --- */

static void deleted_unheard(const struct ask *a, const char *what) {
    char why[ASK_WHY], stamp[TIMESTAMP_SIZE];
    timestamp_format(a->deadline_wall_ns, stamp);
    snprintf(why, sizeof why, "%s; an agent that has it and does not hear of that ends it at %s by its own clock", what, stamp);
    a->act->reverted(a->act, why, NULL);
}

void ask_say_end(const struct ask *a, const char *why, char out[ASK_WHY]) {
    char stamp[TIMESTAMP_SIZE];
    why = *a->all->blind || !why ? a->all->blind : why;
    timestamp_format(a->deadline_wall_ns, stamp);
    snprintf(out, ASK_WHY, "no word of its end from the agent on node %s (NodeFault %s/%s)%s%.500s; the node ends it by itself at %s by its own clock", a->node,
             a->all->namespace, a->name, *why ? ": " : "", why, stamp);
}

void ask_unheard(struct ask *a, const char *why) {
    char text[ASK_WHY];
    if (!a->accepted && !*a->all->blind && loop_now() >= a->deadline_ns + a->drain_ns) {
        a->act->reverted(a->act, "no agent answered for it, and its deadline is past", NULL);
        return;
    }
    ask_say_end(a, why, text);
    a->act->revert_failed(a->act, text);
}

/* Of its name and uid there is no object: the conflict is with another's uid. */
static bool is_away(const struct ask *a, const struct kube_answer *answer) {
    return answer->trouble == KUBE_OK || answer->trouble == KUBE_NOT_FOUND || (answer->trouble == KUBE_CONFLICT && *a->uid);
}

/* Nobody will do any more of it. */
static bool is_spent(const struct ask *a) { return a->over || (a->in && !a->holds); }

static void delete_again(struct ask *a) {
    a->pausing = false;
    ask_delete(a);
}

static void on_deleted(const struct kube_answer *answer, void *arg) {
    struct ask *a = arg;
    const bool waited_for = a->act && a->leaving && !a->over, done = is_away(a, answer);
    a->deletion = NULL;
    if (!done && !is_spent(a) && loop_now() < a->deadline_ns + a->drain_ns) { /* it may still be carried out, whoever waits for it */
        a->pausing = true;
        a->due = delete_again;
        timer_after(a->timer, NS_PER_S);
        return;
    }
    a->gone = true; /* or whoever sweeps takes it: it is over, or its deadline is past */
    timer_stop(a->timer);
    if (waited_for && done)
        deleted_unheard(a, "its NodeFault was deleted before anything was heard of it");
    else if (waited_for)
        ask_unheard(a, answer->why);
    changed(a->all);
}

void ask_delete(struct ask *a) {
    const struct kube_deletion how = {.uid = *a->uid ? a->uid : NULL, .grace_s = -1, .limit_ns = DELETE_NS};
    struct error ignored;
    if (a->gone || a->deletion || a->pausing)
        return;
    if (a->call && !a->created) { /* given up, it might still arrive */
        a->unwanted = true;
        return;
    }
    kube_cancel(take_ptr(a->call));
    if (kube_delete(client(a->all), kind(), a->all->namespace, a->name, &how, on_deleted, a, &a->deletion, &ignored) < 0)
        a->gone = true;
}

/* --- the watch --- */

static struct ask *find(const struct asks *all, const char *name) {
    for (struct ask *a = all->first; a; a = a->next)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

/* An API server leaves out what its schema does not know: without its far ends or its container a fault would hit more than was meant. It
 * goes before anybody is told that it is there. False: it is not as it was sent. */
static bool is_whole(struct ask *a, const json_t *object) {
    const json_t *spec = json_object_get(object, "spec");
    const char *key;
    json_t *value;
    if (!a->act || a->leaving || a->in)
        return true;
    json_object_foreach(a->spec, key, value) {
        if (json_object_get(spec, key))
            continue;
        object_refused(a->act, -EIO, "the cluster's NodeFault CRD is another version's: it dropped spec.%s (kubectl apply -k deploy/agent)", key);
        return false;
    }
    return true;
}

/* Somebody took the object: that ends the fault, and its agent has nowhere to say so. */
static void vanished(struct ask *a) {
    if (a->deletion) /* ours: its answer is about to come */
        return;
    if (a->act && !a->in && !a->leaving) /* an agent may have begun, and had no time to say so */
        object_refused(a->act, -EINPROGRESS, "its NodeFault %s/%s was deleted by somebody else", a->all->namespace, a->name);
    a->gone = true;
    if (a->act && a->holds && !a->over)
        deleted_unheard(a, "its NodeFault was deleted by somebody else");
    changed(a->all);
}

static void on_object(struct asks *all, const struct kube_event *e) {
    struct kube_view v;
    struct node_fault_status s;
    struct error why;
    kube_object_view(e->object ? e->object : e->before, &v);
    struct ask *a = find(all, v.name);
    if (!a || a->gone || (*a->uid && strcmp(a->uid, v.uid) != 0))
        return;
    if (e->what == KUBE_DELETED) {
        vanished(a);
        return;
    }
    a->created = true;
    snprintf(a->uid, sizeof a->uid, "%s", v.uid);
    cleanup_json json_t *object = node_fault_of(e->object);
    if (object && is_whole(a, object) && node_fault_status_decode(object, &s, &why) == 0)
        ask_told(a, &s, e->seen_ns);
}

static void on_told(const struct kube_event *e, void *arg) {
    struct asks *all = arg;
    if (e->what == KUBE_TROUBLED)
        snprintf(all->blind, sizeof all->blind, "%s", e->why);
    else if (e->what == KUBE_SYNCED || e->what == KUBE_GAP)
        *all->blind = 0;
    else
        on_object(all, e);
}

/* --- creating and changing --- */

static void not_created(struct ask *a, const struct kube_answer *answer) {
    a->gone = !answer->unknown; /* what may be there after all is deleted: of what is held when the act is taken back */
    if (a->leaving && !a->gone)
        return;
    if (a->leaving)
        a->act->reverted(a->act, "it was never in effect", NULL);
    else if (answer->trouble == KUBE_NOT_FOUND)
        object_refused(a->act, -EIO, "there are no agents to ask: NodeFaults of " NODE_FAULT_API " are not served, or there is no namespace %s (kubectl apply -k deploy/agent)",
                       a->all->namespace);
    else
        object_refused(a->act, answer->unknown ? -EINPROGRESS : -EIO, "%s", answer->why);
    if (!a->gone && !a->holds)
        ask_delete(a);
}

static void on_created(const struct kube_answer *answer, void *arg) {
    struct ask *a = arg;
    a->call = NULL;
    const bool there = answer->trouble == KUBE_OK || (answer->trouble == KUBE_EXISTS && answer->unknown);
    if (answer->trouble == KUBE_OK)
        snprintf(a->uid, sizeof a->uid, "%s", json_str_or(json_object_get(answer->json, "metadata"), "uid", ""));
    a->created |= there;
    if (!there && !a->created && a->act)
        not_created(a, answer);
    else if (!there && !a->created && !answer->unknown)
        a->gone = true;
    if (a->unwanted)
        ask_delete(a);
    else if (answer->trouble == KUBE_OK)
        is_whole(a, answer->json);
    changed(a->all);
}

int ask_create(struct ask *a, const json_t *object, struct error *err) {
    const struct kube_request r = {.verb = "create", .kind = kind(), .namespace = a->all->namespace, .body = object, .repeat = true,
                                   .limit_ns = ASK_NS, .done = on_created, .arg = a};
    a->asked_ns = loop_now();
    a->spec = json_incref(json_object_get(object, "spec"));
    int rc = kube_start(client(a->all), &r, &a->call, err);
    a->gone = rc < 0;
    asks_pods_changed(a->all->env); /* and those that are gone are tidied up then */
    return rc;
}

/* Tried again with growing pauses, and told once until one of them is taken. */
static void not_changed(struct ask *a, const char *answer) {
    char why[ASK_WHY];
    a->stale = true;
    a->change_ns = loop_now() + kube_pause_ns(client(a->all), ++a->refusals);
    asks_pods_changed(a->all->env);
    snprintf(why, sizeof why, "its far ends could not be changed: %s; they stay as they were", answer);
    if (a->act && a->refusals == 1)
        a->act->trouble(a->act, why);
}

static void on_changed(const struct kube_answer *answer, void *arg) {
    struct ask *a = arg;
    a->call = NULL;
    if (answer->trouble == KUBE_NOT_FOUND && !a->gone)
        vanished(a);
    else if (answer->trouble != KUBE_OK && !a->leaving)
        not_changed(a, answer->why);
    else if (answer->trouble == KUBE_OK)
        a->refusals = 0;
}

static void change(struct ask *a, json_t *spec /* stolen */) {
    cleanup_json json_t *patch = json_pack("{s:o}", "spec", spec);
    struct error ignored;
    kube_cancel(take_ptr(a->call));
    if (patch && *a->uid)
        json_object_set_new(patch, "metadata", json_pack("{s:s}", "uid", a->uid));
    kube_patch(client(a->all), kind(), a->all->namespace, a->name, NULL, KUBE_PATCH_MERGE, patch, true, on_changed, a, &a->call, &ignored);
}

void ask_end(struct ask *a) { change(a, json_pack("{s:b}", "end", 1)); }

/* --- far ends that come and go --- */

static bool may_change(const struct ask *a) { return a->act && a->peers && a->created && !a->leaving && !a->over && !a->gone; }

static void renew(struct ask *a) {
    struct error ignored;
    json_t *peers = NULL;
    if (!may_change(a) || (a->refusals && loop_now() < a->change_ns) || ask_peers(a->act, &peers, &ignored) < 0)
        return; /* none at all would mean every far end: it stays as it was */
    if (peers && (a->stale || !json_equal(peers, a->peers))) {
        a->stale = false;
        json_decref(a->peers);
        a->peers = json_incref(peers);
        change(a, json_pack("{s:O}", "peers", peers));
    }
    json_decref(peers);
}

/* Not from within a callback of theirs. */
static void tidy(struct asks *all) {
    for (struct ask **at = &all->first, *a; (a = *at);) {
        if (a->gone && !a->act && !a->call && !a->deletion) {
            *at = a->next;
            ask_free(a);
        } else {
            at = &a->next;
        }
    }
}

static void on_renew(void *arg) {
    struct asks *all = arg;
    all->renewing = false;
    tidy(all);
    const int64_t now = loop_now();
    int64_t next = 0;
    for (struct ask *a = all->first; a; a = a->next) {
        renew(a);
        if (a->stale && may_change(a) && a->change_ns > now && (!next || a->change_ns < next))
            next = a->change_ns;
    }
    if (next)
        timer_at(all->renew, next);
}

void asks_pods_changed(struct fault_env *env) {
    if (!env->asks || env->asks->renewing)
        return;
    env->asks->renewing = true;
    timer_after(env->asks->renew, RENEW_NS);
}

/* --- all of a run --- */

static void on_looked(void *arg) {
    struct asks *all = arg;
    asks_pods_changed(all->env);
}

int asks_open(struct fault_env *env, struct error *err) {
    if (env->asks)
        return 0;
    char selector[64];
    struct asks *all = calloc(1, sizeof *all);
    if (!all)
        return error_set(err, -ENOMEM, "out of memory");
    *all = (struct asks){.env = env, .namespace = kubernetes_agent_namespace(env->cluster)};
    snprintf(selector, sizeof selector, NODE_FAULT_RUN_LABEL "=%s", env->run);
    const struct kube_watch_spec w = {.kind = kind(), .namespace = all->namespace, .label_selector = selector, .told = on_told, .arg = all};
    int rc = timer_new(env->loop, on_renew, all, &all->renew, err);
    if (rc == 0)
        rc = kube_watch_start(client(all), &w, &all->watch, err);
    if (rc == 0 && env->names)
        rc = net_again_start(env, NULL, on_looked, all, &all->names, err);
    if (rc < 0)
        asks_free(all);
    else
        env->asks = all;
    return rc;
}

bool asks_settled(struct fault_env *env) {
    bool settled = true;
    for (struct ask *a = env->asks ? env->asks->first : NULL; a; a = a->next) {
        ask_delete(a);
        settled &= a->gone;
    }
    return settled;
}

void asks_free(struct asks *all) {
    if (!all)
        return;
    net_again_stop(all->names);
    kube_watch_free(all->watch);
    timer_free(all->renew);
    for (struct ask *a; (a = all->first);) {
        all->first = a->next;
        ask_free(a);
    }
    free(all);
}
