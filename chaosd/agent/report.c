/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/report.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

#define PAUSE_MOST_NS (15 * NS_PER_S)
enum { CONFLICTS_MOST = 3 }; /* writers that meet are one once; what stays one is not ours */

struct report {
    struct report_spec spec;
    char *namespace, *name, *uid;
    json_t *next, *sent; /* the status' fields: still to be sent; under way */
    struct kube_call *call;
    struct timer *timer;
    unsigned failures, conflicts; /* in a row */
    bool told, over;   /* told: of these failures */
    bool plain;        /* its schema would not have all of it */
};

static void send_it(struct report *r);

static void on_time(void *arg) { send_it(arg); }

int report_new(const struct report_spec *s, struct report **ret, struct error *err) {
    struct report *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, -ENOMEM, "out of memory");
    *r = (struct report){.spec = *s, .namespace = strdup(s->namespace), .name = strdup(s->name), .uid = strdup(s->uid)};
    int rc = r->namespace && r->name && r->uid ? timer_new(kube_loop(s->kube), on_time, r, &r->timer, err)
                                               : error_set(err, -ENOMEM, "out of memory");
    if (rc < 0)
        report_free(r);
    else
        *ret = r;
    return rc;
}

void report_free(struct report *r) {
    if (!r)
        return;
    kube_cancel(r->call);
    timer_free(r->timer);
    json_decref(r->next);
    json_decref(r->sent);
    free(r->namespace);
    free(r->name);
    free(r->uid);
    free(r);
}

/* Of a CRD of another version the phase and its times may still be said: the run waits for them. */
static void leave_out(json_t *status) {
    static const char *const spare[] = {"proof", "figures", "counters", "agentVersion"};
    for (size_t i = 0; i < ARRAY_SIZE(spare); i++)
        json_object_del(status, spare[i]);
    json_object_set_new(status, "message", json_null()); /* what was taken of an earlier one does not stay */
}

/* The server may have closed a connection that nobody used for long: that is no trouble yet, and the same once more does no harm. */
static void again(struct report *r, bool stale, int64_t asked_ns /* for a pause, by the server */, const char *why) {
    json_t *newer = r->next;
    r->next = take_ptr(r->sent);
    if (newer)
        json_object_update(r->next, newer);
    json_decref(newer);
    r->failures++;
    stale &= r->failures == 1;
    const int64_t pause = kube_pause_ns(r->spec.kube, r->failures), wanted = asked_ns < PAUSE_MOST_NS ? asked_ns : PAUSE_MOST_NS;
    timer_after(r->timer, stale ? 0 : pause > wanted ? pause : wanted);
    if (!stale && !r->told)
        r->spec.trouble(why, r->spec.arg);
    r->told |= !stale;
}

static void on_done(const struct kube_answer *a, void *arg) {
    struct report *r = arg;
    r->call = NULL;
    r->conflicts = a->trouble == KUBE_CONFLICT ? r->conflicts + 1 : 0;
    if (a->trouble == KUBE_NOT_FOUND || r->conflicts == CONFLICTS_MOST) {
        r->over = true;
        r->spec.gone(r->spec.arg);
    } else if (a->trouble != KUBE_OK) {
        r->plain |= a->trouble == KUBE_INVALID;
        again(r, a->trouble == KUBE_UNREACHABLE, a->retry_after_ns, a->why);
    } else {
        r->failures = 0;
        r->told = false;
        json_decref(take_ptr(r->sent));
        if (r->next)
            send_it(r);
        else
            r->spec.said(r->spec.arg);
    }
}

static void send_it(struct report *r) {
    struct error err;
    if (r->call || !r->next || r->over)
        return;
    r->sent = take_ptr(r->next);
    if (r->plain)
        leave_out(r->sent);
    cleanup_json json_t *patch = json_pack("{s:{s:s}, s:O}", "metadata", "uid", r->uid, "status", r->sent);
    const struct kube_request request = {.verb = "patch", .kind = &kube_kinds[KUBE_NODEFAULTS], .namespace = r->namespace, .name = r->name,
                                         .subresource = "status", .body = patch, .content_type = "application/merge-patch+json",
                                         .single = true, .done = on_done, .arg = r};
    int rc = patch ? kube_start(r->spec.kube, &request, &r->call, &err) : error_set(&err, -ENOMEM, "out of memory");
    if (rc < 0)
        again(r, false, 0, err.text);
}

void report_say(struct report *r, const struct node_fault_status *s) {
    json_t *made = NULL;
    if (r->over || node_fault_status_patch(r->uid, s, &made, NULL) < 0)
        return;
    cleanup_json json_t *patch = made;
    if (!r->next)
        r->next = json_object();
    json_object_update(r->next, json_object_get(patch, "status"));
    if (!r->failures)
        send_it(r);
}

void report_stop(struct report *r) {
    r->over = true;
    timer_stop(r->timer);
    kube_cancel(take_ptr(r->call));
}

bool report_idle(const struct report *r) { return r->over || (!r->next && !r->call); }
