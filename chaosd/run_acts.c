/* SPDX-License-Identifier: Apache-2.0 */
/* Faults: selection at the act, confirmation of a role, undo record and reaper before the act, proof after it. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "run_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ROLE_RETRY_NS (50 * NS_PER_MS)
#define ROLE_FOR_NS (3 * NS_PER_S) /* an election may be under way when a leader is wanted */
#define CONFIRM_NS (100 * NS_PER_MS)
#define PROOF_NS (5 * NS_PER_S)
#define SEEN_WITHIN_NS (30 * NS_PER_S) /* an orderly shutdown takes its time */
#define REAPER_GRACE_NS (500 * NS_PER_MS) /* the reaper stands behind our own deadline, which counts from the act */

static void carry_out(struct run *r, const struct plan_act *p, int64_t give_up, size_t most);

/* A pod is under an act from its selection until it is undone, or, where nothing is held, until its end was seen. A signal that
 * ended nothing for SEEN_WITHIN_NS lets it go. */
bool acts_busy(const struct run *r, const char *uid) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (a->uid && strcmp(a->uid, uid) == 0 &&
            (a->state != ACT_OVER || (!a->kind->holds && a->injected_ns && !a->observed && loop_now() - a->injected_ns < SEEN_WITHIN_NS)))
            return true;
    return false;
}

bool acts_felt(struct run *r) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (a->uid && a->injected_ns && acts_busy(r, a->uid))
            return true;
    r->fault_felt = r->fault_felt && !pods_all_ready(r, NULL);
    return r->fault_felt;
}

bool acts_idle(const struct run *r) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (a->state != ACT_OVER)
            return false;
    return true;
}

static const struct fault_spec *spec_of(const struct run *r, const struct plan_act *p) { return &SCENARIO_FAULTS(r->s)[p->fault]; }

static json_t *describe_plan(struct run *r, const struct plan_act *p) {
    char draw[20];
    snprintf(draw, sizeof draw, "%016" PRIx64, p->draw);
    return json_pack("{s:s,s:i,s:I,s:s}", "fault", spec_of(r, p)->name, "occurrence", (int)p->occurrence, "planned_ns",
                     (json_int_t)recorder_from_monotonic(r->rec, r->schedule_mono + p->at_ns), "draw", draw);
}

static void skip(struct run *r, const struct plan_act *p, const char *target, const char *guard, const char *why) {
    json_t *data = describe_plan(r, p);
    json_object_set_new(data, "id", json_integer(++r->act_seq));
    json_object_set_new(data, "why", json_string(why));
    if (guard)
        json_object_set_new(data, "guard", json_string(guard));
    recorder_event(r->rec, "fault", "fault/act", "info", "skip", target, data);
}

/* The life of one act. */

static struct act *act_new(struct run *r, const struct plan_act *p) {
    struct act *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    *a = (struct act){.next = r->acts, .run = r, .planned = p, .spec = spec_of(r, p), .journal_id = -1, .reaper_journal_id = -1};
    a->kind = (const struct fault_kind *)a->spec->kind.kind;
    r->acts = a;
    return a;
}

static void act_free(struct act *a) {
    probe_cancel(a->op);
    timer_free(a->timer);
    /* What could not be reverted keeps its reaper; the pipe's end tells it to act at the deadline. */
    if (a->reaper && a->journal_id < 0)
        reaper_dismiss(a->reaper);
    json_decref(a->data);
    free(a->uid);
    free(a->target);
    free(a);
}

static void act_finish(struct act *a) {
    probe_cancel(a->op);
    a->op = NULL;
    timer_stop(a->timer);
    a->state = ACT_OVER;
}

/* What stood ready to undo the act goes: the act did not happen, or is undone. */
static void stand_down(struct act *a) {
    struct error err;
    reaper_dismiss(take_ptr(a->reaper));
    if (a->reaper_journal_id >= 0)
        journal_done(a->run->journal, a->reaper_journal_id, &err);
    if (a->journal_id >= 0)
        journal_done(a->run->journal, a->journal_id, &err);
    a->journal_id = a->reaper_journal_id = -1;
}

static void act_failed(struct act *a, const char *why) {
    if (!json_object_get(a->data, "id"))
        json_object_set_new(a->data, "id", json_integer(a->id));
    json_t *data = json_deep_copy(a->data);
    json_object_set_new(data, "why", json_string(why));
    recorder_event(a->run->rec, "fault", "fault/act", "fail", a->kind->row.name, a->target, data);
    a->injected_ns = 0; /* nothing to prove: the pod is free again */
    stand_down(a);
    act_finish(a);
}

static void on_retry(void *arg) {
    struct act *a = arg;
    const struct plan_act *p = a->planned;
    struct run *r = a->run;
    act_finish(a);
    carry_out(r, p, a->give_up_ns, a->retries_one ? 1 : SIZE_MAX);
    run_step(r);
}

static int act_timer(struct act *a, void (*fn)(void *arg), int64_t at, struct error *err) {
    timer_free(take_ptr(a->timer));
    int rc = timer_new(a->run->loop, fn, a, &a->timer, err);
    if (rc == 0)
        timer_at(a->timer, at);
    return rc;
}

/* Nobody has the role just now, or no longer: look again shortly, a few times. */
static void look_again(struct act *a, int64_t give_up) {
    stand_down(a);
    free(take_ptr(a->uid));
    a->state = ACT_CONFIRMING;
    a->give_up_ns = give_up;
    if (act_timer(a, on_retry, loop_now() + ROLE_RETRY_NS, NULL) < 0)
        act_finish(a);
}

static void reverted(struct act *a, const char *why) {
    recorder_event(a->run->rec, "fault", "fault/revert", "ok", a->kind->row.name, a->target,
                   json_pack("{s:I,s:s*}", "id", (json_int_t)a->id, "why", why));
    a->run->calm_since_ns = loop_now();
    stand_down(a);
    act_finish(a);
}

static void revert_failed(struct act *a, const char *why) {
    recorder_event(a->run->rec, "fault", "fault/revert", "fail", a->kind->row.name, a->target,
                   json_pack("{s:I,s:s}", "id", (json_int_t)a->id, "why", why));
    a->run->out->left = true;
    error_set(&a->run->out->trouble, 0, "%s of %s could not be reverted: %s", a->kind->row.name, a->target, why);
    act_finish(a); /* undo record and reaper stay: they are what is left to help */
}

static void on_no_proof(void *arg) {
    struct act *a = arg;
    struct run *r = a->run;
    revert_failed(a, "the end of the effect was not seen within 5s");
    run_step(r);
}

static void begin_revert(struct act *a) {
    struct error err;
    if (a->state != ACT_INJECTED)
        return;
    a->state = ACT_REVERTING;
    recorder_event(a->run->rec, "fault", "fault/revert", "invoke", a->kind->row.name, a->target, json_pack("{s:I}", "id", (json_int_t)a->id));
    int rc = a->kind->revert(a->run->cluster, a->uid, a->spec->kind.params, &err);
    if (rc == -ESRCH || rc == -ENOENT)
        reverted(a, "the pod is gone");
    else if (rc < 0 || (rc = act_timer(a, on_no_proof, loop_now() + PROOF_NS, &err)) < 0)
        revert_failed(a, err.text);
}

static void on_deadline(void *arg) {
    struct act *a = arg;
    struct run *r = a->run;
    begin_revert(a);
    run_step(r);
}

static void drop(struct act *a, const char *guard, const char *why) {
    skip(a->run, a->planned, a->target ? a->target : "", guard, why);
    stand_down(a);
    act_finish(a);
}

static void inject(struct act *a) {
    struct run *r = a->run;
    struct error err;
    char why[256];
    const struct pod *victim = r->cluster->kind->pod(r->cluster, a->uid);
    if (!victim || victim->phase != POD_RUNNING || victim->frozen) {
        drop(a, NULL, "the pod ended between selection and act");
        return;
    }
    const char *guard = guard_refuses(r, victim, why, sizeof why); /* again: another member may have gone meanwhile */
    if (guard) {
        drop(a, guard, why);
        return;
    }
    if (a->kind->holds && clock_boot_ns() + a->planned->for_ns > a->reaper_until) {
        act_failed(a, "chaosd itself stalled: the reaper's deadline would come before the fault's");
        return;
    }
    json_object_set_new(a->data, "id", json_integer(a->id));
    json_object_set_new(a->data, "at", json_integer(recorder_now(r->rec)));
    json_object_set_new(a->data, "pid", json_integer(victim->pid));
    json_object_set_new(a->data, "start_time", json_integer((json_int_t)victim->start_time));
    recorder_event(r->rec, "fault", "fault/act", "invoke", a->kind->row.name, a->target, json_deep_copy(a->data));
    recorder_flush(r->rec, NULL);
    a->state = ACT_INJECTED;
    a->injected_ns = loop_now();
    int rc = a->kind->inject(r->cluster, victim, a->spec->kind.params, &err);
    if (rc < 0) {
        act_failed(a, err.text);
        return;
    }
    recorder_event(r->rec, "fault", "fault/act", "ok", a->kind->row.name, a->target, json_pack("{s:I}", "id", (json_int_t)a->id));
    pods_hurry_roles(r);
    probes_act(r);
    r->last_act = a->id;
    r->calm_since_ns = a->injected_ns;
    if (!a->kind->holds)
        a->state = ACT_OVER; /* nothing to revert; proof may still come */
    else if (act_timer(a, on_deadline, a->injected_ns + a->planned->for_ns, &err) < 0)
        begin_revert(a); /* what cannot be timed is not kept; the reaper stands behind it */
}

static void confirm_failed(struct act *a, const char *why) {
    if (loop_now() < a->give_up_ns) {
        a->retries_one = true;
        look_again(a, a->give_up_ns);
        return;
    }
    char text[320];
    snprintf(text, sizeof text, "%s did not confirm the role \"%s\" within %d ms: %s", a->target, a->spec_role, (int)(CONFIRM_NS / NS_PER_MS), why);
    drop(a, NULL, text);
    run_step(a->run);
}

static void on_confirmed(const char *why, const json_t *captured, int64_t asked, int64_t seen, void *arg) {
    struct act *a = arg;
    struct run *r = a->run;
    a->op = NULL;
    if (why || loop_now() - asked > CONFIRM_NS) {
        confirm_failed(a, why ? why : "the answer was read too late");
        return;
    }
    json_object_set_new(a->data, "role_asked", json_integer(recorder_from_monotonic(r->rec, asked)));
    json_object_set_new(a->data, "role_seen", json_integer(recorder_from_monotonic(r->rec, seen)));
    json_object_set_new(a->data, "role_data", json_deep_copy(captured));
    inject(a);
    run_step(r);
}

/* The last question before the act: does the victim still have the role? Its own answer, at most CONFIRM_NS old. */
static void confirm(struct act *a, const struct role *role) {
    struct run *r = a->run;
    struct error err;
    struct follow *f = pods_find(r, a->uid);
    struct probe_context ctx = {.loop = r->loop, .http = r->http, .netns_fd = r->cluster->kind->netns(r->cluster), .timeout_ns = CONFIRM_NS,
                                .vars = &f->vars, .done = on_confirmed, .arg = a};
    if (probe_http_start(role->http, &ctx, &a->op, &err) < 0)
        act_failed(a, err.text);
}

/* Undo record on disk, reaper standing by: both before the act. */
static int make_safe(struct act *a, const struct pod *victim, struct error *err) {
    struct run *r = a->run;
    if (!a->kind->holds)
        return 0;
    cleanup_json json_t *undo = NULL;
    int rc = a->kind->undo(r->cluster, victim, a->spec->kind.params, &undo, err);
    if (rc < 0)
        return rc;
    int64_t deadline = clock_boot_ns() + a->planned->for_ns + REAPER_GRACE_NS;
    a->reaper_until = deadline;
    rc = reaper_start(undo, deadline, &a->reaper, err);
    if (rc < 0)
        return rc;
    /* The reaper's own removal is written first: what is undone last is added first. */
    cleanup_json json_t *end_reaper = reaper_undo(a->reaper);
    rc = journal_add(r->journal, end_reaper, &a->reaper_journal_id, err);
    if (rc == 0)
        rc = journal_add(r->journal, undo, &a->journal_id, err);
    return rc < 0 ? rc : reaper_arm(a->reaper, err);
}

static void strike(struct run *r, const struct plan_act *p, const struct pod *victim, json_t *names, const struct role *role, int64_t give_up) {
    char why[256];
    struct error err;
    const char *guard = guard_refuses(r, victim, why, sizeof why);
    if (guard) {
        skip(r, p, victim->name, guard, why);
        return;
    }
    struct act *a = act_new(r, p);
    if (!a || !(a->uid = strdup(victim->uid)) || !(a->target = strdup(victim->name)) || !(a->data = describe_plan(r, p))) {
        skip(r, p, victim->name, NULL, "out of memory");
        return;
    }
    a->id = ++r->act_seq;
    a->give_up_ns = give_up;
    json_object_set(a->data, "candidates", names);
    json_object_set_new(a->data, "uid", json_string(victim->uid));
    if (p->for_ns)
        json_object_set_new(a->data, "for_ns", json_integer(p->for_ns));
    if (role)
        json_object_set_new(a->data, "role", json_string(a->spec_role = role->name));
    if (make_safe(a, victim, &err) < 0) {
        act_failed(a, err.text);
        return;
    }
    if (role)
        confirm(a, role);
    else
        inject(a);
}

/* A planned act strikes a pod once, however often it looks again. */
static bool struck(const struct run *r, const struct plan_act *p, const char *uid) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (a->planned == p && a->injected_ns && a->uid && strcmp(a->uid, uid) == 0)
            return true;
    return false;
}

/* ret_taken: how many the selector matches that are under a fault. */
static size_t candidates_now(struct run *r, const struct plan_act *plan, const struct pod_target *t, struct candidate *list, size_t *ret_taken) {
    size_t n = pods_candidates(r, t->selector, list, MAX_PODS), kept = 0;
    *ret_taken = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pod *p = list[i].tag;
        bool taken = p->frozen || acts_busy(r, p->uid);
        *ret_taken += taken;
        if (p->phase == POD_RUNNING && !taken && !struck(r, plan, p->uid) && pods_fit_role(r, p->uid, t->selector))
            list[kept++] = list[i];
    }
    return kept;
}

static void nobody(struct run *r, const struct plan_act *p, const struct pod_target *t, size_t taken) {
    char why[160];
    if (taken)
        snprintf(why, sizeof why, "no candidate: %zu of the selector's pods are under a fault already, no other is fit", taken);
    else if (t->selector->role)
        snprintf(why, sizeof why, "no candidate: no running pod of the selector had the role \"%s\"", t->selector->role);
    else
        snprintf(why, sizeof why, "no candidate: no running pod matches the selector");
    skip(r, p, "", NULL, why);
}

static void carry_out(struct run *r, const struct plan_act *p, int64_t give_up, size_t most) {
    const struct fault_spec *spec = spec_of(r, p);
    const struct fault_kind *kind = (const struct fault_kind *)spec->kind.kind;
    const struct pod_target *t = kind->target(spec->kind.params);
    size_t ignored;
    const struct role *role = t->selector->role ? run_role(r, selector_role_name(t->selector), &ignored) : NULL;
    struct candidate list[MAX_PODS];
    size_t taken, n = candidates_now(r, p, t, list, &taken);
    if (n == 0 && role && loop_now() < give_up) {
        struct act *a = act_new(r, p);
        if (a) {
            a->retries_one = most == 1;
            look_again(a, give_up);
        }
        return;
    }
    if (n == 0) {
        nobody(r, p, t, taken);
        return;
    }
    cleanup_json json_t *names = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(names, json_string(list[i].name));
    size_t victims = selector_draw(t, p->draw, list, n);
    if (victims == 0)
        skip(r, p, "", NULL, "the draw took none of the candidates");
    for (size_t i = 0; i < victims && i < most; i++)
        strike(r, p, list[i].tag, names, selector_role_negated(t->selector) ? NULL : role, give_up);
}

static bool looked_for_again(const struct run *r, const struct plan_act *p) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (a->planned == p && a->state == ACT_CONFIRMING)
            return true;
    return false;
}

/* Nobody asks for it any more: it is undone or nothing was held, its proof came or comes no more, and no look for another victim must
 * pass over this one. What could not be undone stays. */
static bool is_history(const struct run *r, const struct act *a) {
    bool proof_open = a->injected_ns && !a->observed && !a->kind->holds && loop_now() - a->injected_ns < SEEN_WITHIN_NS;
    return a->state == ACT_OVER && !proof_open && !a->reaper && a->journal_id < 0 && !looked_for_again(r, a->planned);
}

/* A run of weeks has as many acts as fit; it keeps those that are not over. Not from within an act's own callback. */
static void sweep(struct run *r) {
    for (struct act **at = &r->acts, *a; (a = *at);) {
        if (is_history(r, a)) {
            *at = a->next;
            act_free(a);
        } else {
            at = &a->next;
        }
    }
}

void acts_due(struct run *r) {
    const struct plan *plan = r->o->plan;
    sweep(r);
    while (r->phase == PHASE_RUNNING && r->next_act < plan->count && r->schedule_mono + plan->acts[r->next_act].at_ns <= loop_now())
        carry_out(r, &plan->acts[r->next_act++], loop_now() + ROLE_FOR_NS, SIZE_MAX);
    if (r->phase == PHASE_RUNNING && r->next_act < plan->count)
        timer_at(r->act_timer, r->schedule_mono + plan->acts[r->next_act].at_ns);
    run_step(r);
}

static void act_event(struct act *a, enum cluster_event e) {
    struct run *r = a->run;
    bool awaited = a->state == ACT_INJECTED || (!a->kind->holds && loop_now() - a->injected_ns < SEEN_WITHIN_NS);
    if (e == a->kind->proof && !a->observed && a->injected_ns && awaited) {
        a->observed = true;
        recorder_event(r->rec, "fault", "fault/observed", "info", a->kind->row.name, a->target,
                       json_pack("{s:I,s:s}", "id", (json_int_t)a->id, "proof", cluster_event_names[e]));
        return;
    }
    if (!a->kind->holds || (a->state != ACT_INJECTED && a->state != ACT_REVERTING))
        return;
    if (e == a->kind->proof_reverted)
        reverted(a, a->state == ACT_INJECTED ? "undone from outside, the reaper for one" : NULL);
    else if (e == CL_POD_EXITED || e == CL_POD_REMOVED)
        reverted(a, "the pod ended");
}

void acts_event(struct run *r, enum cluster_event e, const struct pod *p) {
    for (struct act *a = r->acts, *next; a; a = next) {
        next = a->next;
        if (a->uid && strcmp(a->uid, p->uid) == 0)
            act_event(a, e);
    }
}

void acts_revert_all(struct run *r) {
    for (struct act *a = r->acts, *next; a; a = next) {
        next = a->next;
        if (a->state == ACT_CONFIRMING) { /* not yet in */
            drop(a, NULL, "the run ended while the role was being looked for");
        } else {
            begin_revert(a);
        }
    }
}

void acts_free(struct run *r) {
    while (r->acts) {
        struct act *a = r->acts;
        r->acts = a->next;
        act_free(a);
    }
}
