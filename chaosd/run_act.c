/* SPDX-License-Identifier: Apache-2.0 */
/* One act on one pod: undo record and reaper before it, confirmation of a role, proof, and its end. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "run_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ROLE_RETRY_NS (50 * NS_PER_MS)
#define CONFIRM_NS (100 * NS_PER_MS)
#define PROOF_NS (5 * NS_PER_S)
#define REAPER_GRACE_NS (500 * NS_PER_MS) /* the reaper stands behind our own deadline, which counts from the act */

static const struct fault_spec *spec_of(const struct run *r, const struct plan_act *p) { return &SCENARIO_FAULTS(r->s)[p->fault]; }

static json_t *describe_plan(struct run *r, const struct plan_act *p) {
    char draw[20];
    snprintf(draw, sizeof draw, "%016" PRIx64, p->draw);
    return json_pack("{s:s,s:i,s:I,s:s}", "fault", spec_of(r, p)->name, "occurrence", (int)p->occurrence, "planned_ns",
                     (json_int_t)recorder_from_monotonic(r->rec, r->schedule_mono + p->at_ns), "draw", draw);
}

void act_skip(struct run *r, const struct plan_act *p, const char *target, const char *guard, const char *why) {
    json_t *data = describe_plan(r, p);
    json_object_set_new(data, "id", json_integer(++r->act_seq));
    json_object_set_new(data, "why", json_string(why));
    if (guard)
        json_object_set_new(data, "guard", json_string(guard));
    recorder_event(r->rec, "fault", "fault/act", "info", "skip", target, data);
}

/* The life of one act. */

struct act *act_new(struct run *r, const struct plan_act *p) {
    struct act *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    *a = (struct act){.next = r->acts, .run = r, .planned = p, .spec = spec_of(r, p), .journal_id = -1, .reaper_journal_id = -1};
    a->kind = (const struct fault_kind *)a->spec->kind.kind;
    r->acts = a;
    return a;
}

static void act_release(struct act *a) {
    if (a->kind->release)
        a->kind->release(&a->pub);
    json_decref(take_ptr(a->pub.told));
}

void act_free(struct act *a) {
    act_release(a);
    probe_cancel(a->op);
    timer_free(a->timer);
    /* What could not be reverted keeps its reaper; the pipe's end tells it to act at the deadline. */
    if (a->reaper && a->journal_id < 0)
        reaper_dismiss(a->reaper);
    json_decref(a->data);
    json_decref(a->far_ends);
    act_forget(a);
    free(a->uid);
    free(a->target);
    free(a);
}

static void act_finish(struct act *a) {
    act_release(a);
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

/* Nothing was done, and that is an outcome: a budget forbade it, somebody else was there first. */
static void act_refused(struct act *a, const char *why) {
    json_t *data = describe_plan(a->run, a->planned);
    json_object_set_new(data, "id", json_integer(a->id));
    json_object_set_new(data, "why", json_string(why));
    if (a->pub.rule)
        json_object_set_new(data, "guard", json_string(a->pub.rule));
    recorder_event(a->run->rec, "fault", "fault/act", "info", "skip", a->target, data);
    a->injected_ns = 0;
    stand_down(a);
    act_finish(a);
}

static void act_not_done(struct act *a, int rc, const char *why) {
    if (rc == -EBUSY)
        act_refused(a, why);
    else
        act_failed(a, why);
}

static void on_retry(void *arg) {
    struct act *a = arg;
    const struct plan_act *p = a->planned;
    struct run *r = a->run;
    act_finish(a);
    acts_carry_out(r, p, a->give_up_ns, a->retries_one ? 1 : SIZE_MAX);
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
void act_look_again(struct act *a, int64_t give_up) {
    stand_down(a);
    act_forget(a);
    free(take_ptr(a->uid));
    a->state = ACT_CONFIRMING;
    a->give_up_ns = give_up;
    if (act_timer(a, on_retry, loop_now() + ROLE_RETRY_NS, NULL) < 0)
        act_finish(a);
}

/* An event of the act; more is taken over, may be NULL. */
static void tell(struct act *a, const char *op, const char *phase, const char *why, json_t *more) {
    json_t *data = json_pack("{s:I,s:s*}", "id", (json_int_t)a->id, "why", why);
    json_object_update_missing(data, more);
    json_decref(more);
    recorder_event(a->run->rec, "fault", op, phase, a->kind->row.name, a->target, data);
}

/* With what there is, also where that was cut short. */
static void end_measuring(struct act *a) {
    json_t *found = a->kind->measured ? a->kind->measured(&a->pub) : NULL;
    if (found)
        tell(a, "fault/measured", "info", NULL, found);
    act_finish(a);
}

static void reverted(struct act *a, const char *why, json_t *more) {
    tell(a, "fault/revert", "ok", why, more);
    a->run->calm_since_ns = loop_now();
    stand_down(a);
    if (a->pub.measuring && !why && a->run->phase == PHASE_RUNNING) {
        timer_stop(a->timer);
        a->state = ACT_MEASURING;
    } else {
        end_measuring(a);
    }
}

/* Another fault of the network would be in the way of a baseline. */
static void make_way(struct run *r, const struct act *by) {
    for (struct act *a = r->acts; a; a = a->next)
        if (a->state == ACT_MEASURING && a->kind->layer == by->kind->layer && strcmp(a->uid, by->uid) == 0)
            end_measuring(a);
}

static void revert_failed(struct act *a, const char *why) {
    tell(a, "fault/revert", "fail", why, NULL);
    a->run->out->left = true;
    error_set(&a->run->out->trouble, 0, "%s of %s could not be reverted: %s", a->kind->row.name, a->target, why);
    act_finish(a); /* undo record and reaper stay: they are what is left to help */
}

static void on_no_proof(void *arg) {
    struct act *a = arg;
    struct run *r = a->run;
    char why[96], limit[32];
    format_duration(a->pub.revert_ns ? a->pub.revert_ns : PROOF_NS, limit, sizeof limit);
    snprintf(why, sizeof why, "the end of the effect was not seen within %s", limit);
    revert_failed(a, why);
    run_step(r);
}

/* What is on its way to somebody else may have arrived: what is held is to be taken back, of what is not the effect may still be seen. */
static void no_answer(struct act *a, const char *why) {
    tell(a, "fault/act", "unknown", why, NULL);
    a->state = a->kind->holds ? ACT_INJECTED : ACT_OVER;
}

static void begin_revert(struct act *a) {
    struct error err;
    if (a->state == ACT_INJECTING && (!a->kind->holds || !a->kind->bounded || a->kind->needs & CLUSTER_AGENTS))
        no_answer(a, "the run ended before it was known to be in effect");
    if (a->state == ACT_INJECTING) {
        act_failed(a, "the run ended before it was in effect");
        return;
    }
    if (a->state != ACT_INJECTED)
        return;
    a->state = ACT_REVERTING;
    tell(a, "fault/revert", "invoke", NULL, NULL);
    int rc = a->kind->revert(&a->pub, &err);
    if (rc == -ESRCH || rc == -ENOENT)
        reverted(a, "the pod is gone", NULL);
    else if (rc < 0 || (rc = act_timer(a, on_no_proof, loop_now() + (a->pub.revert_ns ? a->pub.revert_ns : PROOF_NS), &err)) < 0)
        revert_failed(a, err.text);
}

static void on_deadline(void *arg) {
    struct act *a = arg;
    struct run *r = a->run;
    begin_revert(a);
    run_step(r);
}

static void drop(struct act *a, const char *guard, const char *why) {
    act_skip(a->run, a->planned, a->target ? a->target : "", guard, why);
    stand_down(a);
    act_finish(a);
}

/* --- what the kind tells --- */

static void became_effective(struct act *a) {
    struct run *r = a->run;
    struct error err;
    a->state = ACT_INJECTED;
    a->injected_ns = loop_now();
    run_clock_of(r, a->pub.told);
    tell(a, "fault/act", "ok", NULL, take_ptr(a->pub.told));
    pods_hurry_roles(r);
    probes_act(r);
    r->last_act = a->id;
    r->calm_since_ns = a->injected_ns;
    if (!a->kind->holds)
        a->state = ACT_OVER; /* nothing to revert; proof may still come */
    else if (act_timer(a, on_deadline, a->injected_ns + a->planned->for_ns, &err) < 0)
        begin_revert(a); /* what cannot be timed is not kept; the reaper stands behind it */
}

static void kind_in_effect(struct fault_act *pub, int rc, const struct error *why) {
    struct act *a = (struct act *)pub;
    struct run *r = a->run;
    if (a->state != ACT_INJECTING)
        return;
    if (rc == -EINPROGRESS) {
        no_answer(a, why->text);
        begin_revert(a);
    } else if (rc < 0) {
        act_not_done(a, rc, why->text);
    } else {
        became_effective(a);
    }
    run_step(r);
}

static void seen(struct act *a, json_t *proof) {
    a->observed = true;
    tell(a, "fault/observed", "info", NULL, proof);
}

static void kind_observed(struct fault_act *pub, json_t *proof) {
    struct act *a = (struct act *)pub;
    if (!a->observed)
        seen(a, proof);
    else
        json_decref(proof);
}

static void kind_trouble(struct fault_act *pub, const char *why) {
    struct act *a = (struct act *)pub;
    if (why && strncmp(a->trouble, why, sizeof a->trouble - 1) != 0)
        tell(a, "fault/trouble", "info", why, NULL);
    if (why)
        snprintf(a->trouble, sizeof a->trouble, "%s", why);
}

static void kind_reverted(struct fault_act *pub, const char *why, json_t *figures) {
    struct act *a = (struct act *)pub;
    struct run *r = a->run;
    reverted(a, why, figures);
    run_step(r);
}

static void kind_revert_failed(struct fault_act *pub, const char *why) {
    struct act *a = (struct act *)pub;
    struct run *r = a->run;
    revert_failed(a, why);
    run_step(r);
}

static void kind_measured(struct fault_act *pub) {
    struct act *a = (struct act *)pub;
    if (a->state == ACT_MEASURING)
        end_measuring(a);
}

static void inject(struct act *a) {
    struct run *r = a->run;
    struct error err;
    char why[256];
    const struct pod *victim = r->cluster->kind->pod(r->cluster, a->uid);
    if (!victim || victim->phase != POD_RUNNING || victim->terminating || (victim->frozen && a->kind->layer == FAULT_PROCESS)) {
        drop(a, NULL, "the pod ended between selection and act");
        return;
    }
    act_forget(a);
    const char *guard = guard_refuses(r, a->spec, victim, why, sizeof why); /* again: another member may have gone meanwhile */
    if (guard || act_note(a, victim) < 0) {
        drop(a, guard, guard ? why : "out of memory");
        return;
    }
    if (a->reaper && clock_boot_ns() + a->planned->for_ns > a->reaper_until) {
        act_failed(a, "chaosd itself stalled: the reaper's deadline would come before the fault's");
        return;
    }
    json_object_set_new(a->data, "id", json_integer(a->id));
    json_object_set_new(a->data, "at", json_integer(recorder_now(r->rec)));
    json_object_set_new(a->data, "pid", json_integer(victim->pid));
    json_object_set_new(a->data, "start_time", json_integer((json_int_t)victim->start_time));
    recorder_event(r->rec, "fault", "fault/act", "invoke", a->kind->row.name, a->target, json_deep_copy(a->data));
    recorder_flush(r->rec, NULL);
    make_way(r, a);
    a->state = ACT_INJECTING;
    a->injected_ns = loop_now();
    int rc = a->kind->inject(&a->pub, victim, &err);
    if (rc < 0)
        act_not_done(a, rc, err.text);
    else if (rc != FAULT_LATER)
        became_effective(a);
}

static void confirm_failed(struct act *a, const char *why) {
    if (loop_now() < a->give_up_ns) {
        a->retries_one = true;
        act_look_again(a, a->give_up_ns);
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
    int rc = a->kind->undo(&a->pub, victim, &undo, err);
    if (rc < 0)
        return rc;
    if (a->kind->bounded)
        return journal_add(r->journal, undo, &a->journal_id, err);
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

static void place_of(struct run *r, const struct fault_kind *kind, const struct pod *victim, char *out, size_t size) {
    if (kind->place)
        kind->place(&r->env, victim, out, size);
    else
        snprintf(out, size, "%s", victim->name);
}

void act_strike(struct run *r, const struct plan_act *p, const struct pod *victim, json_t *names, const struct role *role, int64_t give_up) {
    char why[256];
    struct error err;
    const struct fault_kind *kind = (const struct fault_kind *)spec_of(r, p)->kind.kind;
    char target[256];
    place_of(r, kind, victim, target, sizeof target);
    const char *guard = guard_refuses(r, spec_of(r, p), victim, why, sizeof why);
    if (guard) {
        act_skip(r, p, target, guard, why);
        return;
    }
    struct act *a = act_new(r, p);
    if (!a || !(a->uid = strdup(victim->uid)) || !(a->target = strdup(target)) || !(a->data = describe_plan(r, p)) || act_note(a, victim) < 0) {
        act_skip(r, p, target, NULL, "out of memory");
        if (a)
            a->state = ACT_OVER;
        return;
    }
    a->id = ++r->act_seq;
    a->give_up_ns = give_up;
    a->pub = (struct fault_act){.env = &r->env, .spec = a->spec, .uid = a->uid, .target = a->target, .id = (uint32_t)a->id, .for_ns = p->for_ns, .draw = p->draw,
                                .in_effect = kind_in_effect, .observed = kind_observed, .trouble = kind_trouble, .reverted = kind_reverted,
                                .revert_failed = kind_revert_failed, .measured = kind_measured, .select = act_far_ends};
    json_object_set(a->data, "candidates", names);
    json_object_set_new(a->data, "uid", json_string(victim->uid));
    json_object_set_new(a->data, "workload", json_string(victim->workload));
    if (kind->place)
        json_object_set_new(a->data, "pod", json_string(victim->name));
    if (p->for_ns)
        json_object_set_new(a->data, "for_ns", json_integer(p->for_ns));
    if (role)
        json_object_set_new(a->data, "role", json_string(a->spec_role = role->name));
    int rc = make_safe(a, victim, &err);
    if (rc < 0) {
        act_not_done(a, rc, err.text);
        return;
    }
    if (role)
        confirm(a, role);
    else
        inject(a);
}

bool act_proof_open(const struct act *a) {
    return !a->kind->holds && a->injected_ns && !a->observed && loop_now() - a->injected_ns < (a->pub.proof_ns ? a->pub.proof_ns : SEEN_WITHIN_NS);
}

void act_event(struct act *a, enum cluster_event e) {
    bool awaited = a->state == ACT_INJECTING || a->state == ACT_INJECTED || act_proof_open(a);
    if (e == a->kind->proof && !a->observed && a->injected_ns && awaited) {
        seen(a, json_pack("{s:s}", "proof", cluster_event_names[e]));
        return;
    }
    /* Removed by force, nobody says of its containers that they ended; it is out of the cluster's service all the same. */
    if (e == CL_POD_REMOVED && (a->kind->needs & CLUSTER_OBJECTS) && a->kind->proof == CL_POD_EXITED && !a->observed && a->injected_ns && awaited)
        seen(a, json_pack("{s:s}", "proof", "removed, its containers may go on"));
    if (a->state == ACT_MEASURING && e == CL_POD_REMOVED)
        end_measuring(a);
    if (!a->kind->holds || (a->state != ACT_INJECTED && a->state != ACT_REVERTING))
        return;
    if (e == a->kind->proof_reverted)
        reverted(a, a->state == ACT_INJECTED ? "undone from outside, the reaper for one" : NULL, NULL);
    else if (a->kind->place)
        return; /* the node, or workload, outlives the pod by which it was found */
    else if (e == CL_POD_REMOVED || (e == CL_POD_EXITED && a->kind->layer == FAULT_PROCESS)) /* its network outlives a process */
        reverted(a, "the pod ended", NULL);
}

void act_end(struct act *a) {
    if (a->state == ACT_CONFIRMING) /* not yet in */
        drop(a, NULL, "the run ended while the role was being looked for");
    else if (a->state == ACT_MEASURING)
        end_measuring(a);
    else
        begin_revert(a);
}
