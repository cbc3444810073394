/* SPDX-License-Identifier: Apache-2.0 */
/* The NodeFaults of this node: which is begun, refused, changed, ended; and which objects nobody takes away. */
#include "agent/agent_priv.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/timestamp.h"

#include <errno.h>
#include <string.h>

#define LEFT_AFTER_NS (60 * NS_PER_S) /* its run would have taken the object away by then */
#define AGAIN_NS NS_PER_S             /* what could not be deleted: twice as long each time, */
#define AGAIN_MOST_NS (60 * NS_PER_S) /* up to this */

static struct held *find(const struct agent *a, const char *uid) {
    for (struct held *h = a->held; h; h = h->next)
        if (strcmp(h->fault.uid, uid) == 0)
            return h;
    return NULL;
}

static void held_free(struct held *h) {
    held_forget(h);
    reaper_leave(h->reaper);
    report_free(h->report);
    json_decref(h->object);
    free(h);
}

void held_drop(struct agent *a) {
    for (struct held **at = &a->held, *h; (h = *at);) {
        if (h->gone && h->state == HELD_NOTHING) {
            *at = h->next;
            held_free(h);
        } else {
            at = &h->next;
        }
    }
}

void held_free_all(struct agent *a) {
    for (struct held *h; (h = a->held);) {
        a->held = h->next;
        held_free(h);
    }
}

bool held_quiet(const struct agent *a, bool said) {
    for (const struct held *h = a->held; h; h = h->next)
        if (h->state != HELD_NOTHING || (said && !h->gone && h->report && !report_idle(h->report)))
            return false;
    return true;
}

/* --- a new one --- */

static void on_object_gone(void *arg) {
    struct held *h = arg;
    agent_log(h, "the object is gone");
    held_end(h, NULL, NULL);
}

static void on_said(void *arg) { held_said(arg); }

static void on_not_said(const char *why, void *arg) { agent_log(arg, "its status could not be said, and is tried again: %s", why); }

static size_t count_active(const struct agent *a) {
    size_t n = 0;
    for (const struct held *h = a->held; h; h = h->next)
        n += h->state != HELD_NOTHING;
    return n;
}

static void consider(struct held *h, int decoded, const char *why) {
    struct agent *a = h->agent;
    if (h->fault.deleting)
        return;
    if (decoded < 0)
        held_refuse(h, node_fault_refusal(decoded) ? node_fault_refusal(decoded) : "Error", why);
    else if (a->stopped)
        held_refuse(h, "Stopped", "the node's annotation " AGENT_STOP_ANNOTATION " says that nothing may be done here");
    else if (count_active(a) >= (size_t)a->o.max_faults)
        held_refuse(h, "TooMany", "as many faults as the agent's --max-faults allows are going on at this node");
    else if (!h->adopted && h->fault.deadline_wall_ns - clock_wall_ns() > a->o.max_length_ns)
        held_refuse(h, "TooLong", "its deadline is further away than the agent's --max-length allows");
    else if (strcmp(h->fault.pod_uid, a->own_pod) == 0)
        held_refuse(h, "NotAllowed", "the pod is the agent's own");
    else if (h->fault.end)
        held_refuse(h, "Asked", "it was asked to end before it began");
    else
        held_accept(h);
}

static void take_new(struct agent *a, json_t *object /* taken over */, const struct node_fault_status *status) {
    struct error err;
    struct held *h = calloc(1, sizeof *h);
    const struct node_fault_wanted wanted = {.node = a->o.node, .kinds = node_params_kinds(), .now_wall_ns = clock_wall_ns()};
    if (!h) {
        json_decref(object);
        return;
    }
    *h = (struct held){.agent = a, .object = object, .said = *status, .adopted = status->phase != NODE_FAULT_PENDING,
                       .had_peers = json_object_get(status->figures, "peers") != NULL, .journal_id = -1,
                       .reaper_journal_id = -1};
    h->said.proof = h->said.figures = NULL;
    const int decoded = node_fault_decode(object, &wanted, &h->fault, &err);
    const struct report_spec spec = {.kube = a->kube, .namespace = h->fault.namespace ? h->fault.namespace : a->namespace, .name = h->fault.name,
                                     .uid = h->fault.uid, .gone = on_object_gone, .said = on_said, .trouble = on_not_said, .arg = h};
    if (report_new(&spec, &h->report, NULL) < 0) {
        held_free(h);
        return;
    }
    h->next = a->held;
    a->held = h;
    consider(h, decoded, err.text);
}

/* --- one that is known --- */

static void look_again(struct held *h, json_t *object) {
    struct error err;
    struct node_fault now;
    const struct node_fault_wanted wanted = {.node = h->agent->o.node, .kinds = node_params_kinds()};
    int rc = node_fault_decode(object, &wanted, &now, &err);
    if (h->state == HELD_NOTHING)
        return;
    if (now.deleting) {
        held_end(h, NULL, "the object is being deleted");
        return;
    }
    if (rc < 0) {
        held_not_taken(h, "a change of the object is not understood, and changes nothing", err.text);
        return;
    }
    if (now.end) {
        held_end(h, "Asked", NULL);
        return;
    }
    if (now.peers && !json_equal(now.peers, h->fault.peers)) {
        json_t *spec = json_object_get(h->object, "spec");
        json_object_set(spec, "peers", (json_t *)(uintptr_t)now.peers);
        h->fault.peers = json_object_get(spec, "peers");
        held_peers(h);
    }
}

void held_told(struct agent *a, const struct kube_object *o) {
    struct error err;
    struct node_fault_status status;
    json_t *object = node_fault_of(o);
    const char *uid = json_str_or(json_object_get(object, "metadata"), "uid", "");
    struct held *h = find(a, uid);
    int rc = object && !h ? node_fault_status_decode(object, &status, &err) : 0;
    if (h) {
        look_again(h, object);
    } else if (object && rc == 0 && status.phase != NODE_FAULT_ENDED && status.phase != NODE_FAULT_FAILED && !a->leaving) {
        take_new(a, object, &status);
        object = NULL;
    }
    json_decref(object);
    agent_step(a);
}

void held_deleted(struct agent *a, const char *uid) {
    struct held *h = find(a, uid);
    if (!h)
        return;
    h->gone = true;
    if (h->report)
        report_stop(h->report);
    agent_log(h, "the object is deleted");
    held_end(h, NULL, NULL);
    agent_step(a);
}

void held_end_all(struct agent *a, const char *reason, const char *why) {
    for (struct held *h = a->held; h; h = h->next)
        held_end(h, reason, why);
}

/* --- objects that nobody takes away --- */

static void on_deleted(const struct kube_answer *answer, void *arg) {
    struct agent *a = arg;
    const bool done = answer->trouble == KUBE_OK || answer->trouble == KUBE_NOT_FOUND || answer->trouble == KUBE_CONFLICT;
    if (!done && !a->not_deleted && !a->delete_failed)
        agent_log(NULL, "an object that is long over could not be deleted, and that is tried again: %s", answer->why);
    else if (answer->trouble == KUBE_OK)
        agent_log(NULL, "an object that is long over is deleted");
    a->delete_failed |= !done;
    if (--a->deleting == 0) {
        a->not_deleted = a->delete_failed ? a->not_deleted + 1 : 0;
        a->delete_failed = false;
    }
}

static int64_t again_ns(const struct agent *a) {
    return a->not_deleted < 6 ? AGAIN_NS << a->not_deleted : AGAIN_MOST_NS;
}

/* With nothing to say of it, or nobody who would hear it. */
static bool is_left(const struct held *h, int64_t late_ns) {
    return !h || (h->state == HELD_NOTHING && (!h->report || report_idle(h->report) || late_ns >= LEFT_AFTER_NS));
}

static void delete_object(struct agent *a, const struct kube_view *v) {
    struct error err;
    struct kube_call *call;
    const struct kube_deletion d = {.uid = v->uid, .grace_s = -1};
    if (kube_delete(a->kube, &kube_kinds[KUBE_NODEFAULTS], v->namespace, v->name, &d, on_deleted, a, &call, &err) < 0)
        agent_log(NULL, "%s: %s", v->name, err.text);
    else
        a->deleting++;
}

/* Also of what is not understood otherwise. */
static int64_t left_at(const json_t *object, const struct kube_view *v) {
    int64_t deadline;
    if (!timestamp_parse(json_str_or(json_object_get(object, "spec"), "deadline", ""), &deadline))
        deadline = v->created_s * NS_PER_S;
    return deadline + LEFT_AFTER_NS;
}

int64_t held_sweep(struct agent *a) {
    const struct kube_store *store = kube_watch_store(a->faults);
    const int64_t now = clock_wall_ns();
    int64_t wait = a->swept_ns ? a->swept_ns + again_ns(a) - loop_now() : 0, next = 0;
    const bool again = a->deleting || wait > 0; /* each event brings us here */
    if (!again) {
        a->swept_ns = loop_now();
        wait = again_ns(a);
    }
    for (const struct kube_object *o = kube_store_next(store, NULL); o; o = kube_store_next(store, o)) {
        struct kube_view v;
        cleanup_json json_t *object = node_fault_of(o);
        kube_object_view(o, &v);
        const struct held *h = find(a, v.uid);
        const int64_t due = left_at(object, &v);
        if (due <= now && !again && is_left(h, now - due) && !v.deleting_s)
            delete_object(a, &v);
        const int64_t then = due > now ? due : now + (wait > 0 ? wait : 0);
        if (!next || then < next)
            next = then;
    }
    return next;
}
