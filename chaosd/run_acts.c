/* SPDX-License-Identifier: Apache-2.0 */
/* Faults by the plan: what is due, and whom it strikes. One act's own life is in run_act.c. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "run_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <string.h>

#define ROLE_FOR_NS (3 * NS_PER_S) /* an election may be under way when a leader is wanted */

/* A pod is under an act from its selection until it is undone, or, where nothing is held, until its end was seen. A signal that
 * ended nothing for SEEN_WITHIN_NS lets it go. */
static bool is_of(const struct act *a, enum acts_which which) {
    unsigned layer = a->kind->layer == FAULT_NETWORK ? ACTS_NETWORK : ACTS_PROCESS;
    return (which & layer) || (which == ACTS_TAKING && a->kind->takes && a->kind->takes(a->spec->kind.params));
}

static int by_uid(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Whom a controller takes is its own choice: what stands untouched once the effect was seen was not struck. */
static bool strikes(const struct act *a, const char *uid) {
    if (strcmp(a->uid, uid) == 0)
        return true;
    if (!a->struck_count || !bsearch(&uid, a->struck, a->struck_count, sizeof *a->struck, by_uid))
        return false;
    const struct pod *p = a->observed ? a->run->cluster->kind->pod(a->run->cluster, uid) : NULL;
    return !p || p->terminating;
}

bool act_busy(const struct act *a, const char *uid, enum acts_which which) {
    bool over = a->state == ACT_OVER || a->state == ACT_MEASURING;
    return a->uid && is_of(a, which) && (!over || act_proof_open(a)) && strikes(a, uid);
}

bool acts_busy(const struct run *r, const char *uid, enum acts_which which) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (act_busy(a, uid, which))
            return true;
    return false;
}

void act_forget(struct act *a) {
    while (a->struck_count)
        free(a->struck[--a->struck_count]);
    free(take_ptr(a->struck));
    free(take_ptr(a->workload));
}

int act_note(struct act *a, const struct pod *victim) {
    const struct pod *list[MAX_PODS];
    act_forget(a);
    size_t n = guard_struck(a->run, a->spec, victim, list, MAX_PODS);
    a->replicas = victim->replicas;
    if (!(a->workload = strdup(victim->workload)) || (n && !(a->struck = calloc(n, sizeof *a->struck))))
        return -ENOMEM;
    for (; a->struck_count < n; a->struck_count++)
        if (!(a->struck[a->struck_count] = strdup(list[a->struck_count]->uid)))
            return -ENOMEM;
    qsort(a->struck, n, sizeof *a->struck, by_uid);
    return 0;
}

bool acts_hold(const struct run *r) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (a->kind->holds && (a->state == ACT_INJECTING || a->state == ACT_INJECTED))
            return true;
    return false;
}

/* Members of a quorum that our own act scaled away are members still. What could not be undone is held. */
int64_t acts_wanted(const struct run *r, const struct pod *p) {
    int64_t most = p->replicas;
    for (const struct act *a = r->acts; a; a = a->next) {
        bool held = a->kind->holds && a->state != ACT_MEASURING && (a->state != ACT_OVER || a->journal_id >= 0);
        if (held && a->workload && a->replicas > most && is_of(a, ACTS_TAKING) && strcmp(a->workload, p->workload) == 0)
            most = a->replicas;
    }
    return most;
}

bool acts_felt(struct run *r) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (a->uid && a->injected_ns && acts_busy(r, a->uid, ACTS_ANY))
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

/* A planned act strikes a pod once, however often it looks again. */
static bool struck(const struct run *r, const struct plan_act *p, const char *uid) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (a->planned == p && a->injected_ns && a->uid && strcmp(a->uid, uid) == 0)
            return true;
    return false;
}

/* Why the pods that a selector matches are no candidates. */
struct unfit {
    size_t matched, taken, barred; /* taken: under a fault; barred: by a guard */
    const char *rule;              /* of the first that is barred, with why */
    char why[256];
};

/* Whom the kind can do something to and no guard bars, whatever they are doing just now. */
static size_t permitted(struct run *r, const struct fault_kind *kind, struct candidate *list, size_t n, struct unfit *ret) {
    char another[256];
    size_t kept = 0;
    *ret = (struct unfit){0};
    for (size_t i = 0; i < n; i++) {
        if (!fault_meets(kind, &list[i]))
            continue;
        ret->matched++;
        const char *rule = guard_bars(r, list[i].tag, ret->barred ? another : ret->why, sizeof another);
        if (!rule)
            list[kept++] = list[i];
        else if (!ret->barred++)
            ret->rule = rule;
    }
    return kept;
}

/* Its node, or its workload, is under an act already, though that was drawn by another pod. */
static bool place_taken(const struct run *r, const struct fault_kind *kind, const struct pod *p) {
    char place[256];
    if (!kind->once || !kind->place)
        return false;
    kind->place(&r->env, p, place, sizeof place);
    for (const struct act *a = r->acts; a; a = a->next)
        if (a->kind->once && a->uid && a->target && strcmp(a->target, place) == 0 && acts_busy(r, a->uid, ACTS_PROCESS))
            return true;
    return false;
}

static size_t candidates_now(struct run *r, const struct plan_act *plan, const struct pod_target *t, struct candidate *list, struct unfit *ret) {
    const struct fault_kind *kind = (const struct fault_kind *)spec_of(r, plan)->kind.kind;
    const enum acts_which layer = kind->layer == FAULT_NETWORK ? ACTS_NETWORK : ACTS_PROCESS;
    size_t n = permitted(r, kind, list, pods_candidates(r, t->selector, list, MAX_PODS), ret), kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pod *p = list[i].tag;
        bool taken = (p->frozen && layer == ACTS_PROCESS) || acts_busy(r, p->uid, layer) || place_taken(r, kind, p);
        ret->taken += taken;
        if (p->phase == POD_RUNNING && !p->terminating && !taken && !struck(r, plan, p->uid) && pods_fit_role(r, p->uid, t->selector))
            list[kept++] = list[i];
    }
    return kept;
}

static void say_barred(const struct unfit *u, struct buf *out) {
    if (u->matched == 1)
        buf_str(out, u->why);
    else
        buf_printf(out, "a guard is before each of the selector's %zu pods; %s", u->matched, u->why);
}

static void nobody(struct run *r, const struct plan_act *p, const struct pod_target *t, const struct unfit *u) {
    cleanup_buf struct buf why = {0};
    bool barred = u->matched && u->barred == u->matched;
    buf_str(&why, "no candidate: ");
    if (barred)
        say_barred(u, &why);
    else if (u->taken)
        buf_printf(&why, "%zu of the selector's pods %s under a fault already, no other is fit", u->taken, u->taken == 1 ? "is" : "are");
    else if (t->selector->role)
        buf_printf(&why, "no running pod of the selector had the role \"%s\"", t->selector->role);
    else
        buf_str(&why, "no running pod matches the selector");
    act_skip(r, p, "", barred ? u->rule : NULL, buf_ok(&why) ? why.data : "no candidate");
}

/* Phase, age and node come with time: who has them later is a candidate then. */
static bool may_have_candidates(struct run *r, const struct fault_kind *kind, const struct selector *s, struct candidate *list, struct buf *why) {
    struct unfit u;
    size_t n = pods_candidates(r, NULL, list, MAX_PODS), kept = 0;
    for (size_t i = 0; i < n; i++)
        if (selector_may_match(s, &list[i]))
            list[kept++] = list[i];
    if (permitted(r, kind, list, kept, &u))
        return true;
    if (u.matched) {
        say_barred(&u, why);
    } else {
        buf_str(why, "no pod matches ");
        selector_say(s, why);
    }
    return false;
}

/* For a person to compare with; the list is sorted by namespace. */
static void say_pods(const struct candidate *list, size_t n, struct buf *out) {
    enum { MOST = 8 };
    size_t spaces = 0;
    if (n == 0)
        buf_str(out, "; there is no pod at all");
    else
        buf_printf(out, "; there %s %zu pod%s, in ", n == 1 ? "is" : "are", n, n == 1 ? "" : "s");
    for (size_t i = 0; i < n && spaces <= MOST; i++) {
        if (i > 0 && strcmp(list[i].namespace, list[i - 1].namespace) == 0)
            continue;
        buf_printf(out, "%s%s", spaces ? ", " : "", spaces < MOST ? list[i].namespace : "and more");
        spaces++;
    }
}

bool acts_hopeless(struct run *r, struct buf *why) {
    struct candidate list[MAX_PODS];
    size_t asked = 0;
    for (size_t i = 0; i < r->s->faults.count; i++) {
        const struct fault_spec *f = &SCENARIO_FAULTS(r->s)[i];
        const struct fault_kind *kind = (const struct fault_kind *)f->kind.kind;
        const struct pod_target *t = kind->target(f->kind.params);
        if (r->o->unable && r->o->unable[i])
            continue;
        buf_printf(why, "%s%s: ", asked++ ? "; " : "no fault has a candidate: ", f->name);
        if (may_have_candidates(r, kind, t->selector, list, why))
            return false;
    }
    if (asked)
        say_pods(list, pods_candidates(r, NULL, list, MAX_PODS), why);
    return asked > 0;
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

/* Of victims on one node, or of one workload, the first stands for all where the act is done to that. In their order. */
static size_t one_a_place(struct run *r, const struct fault_kind *kind, struct candidate *list, size_t n) {
    void *places = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        char place[256];
        kind->place(&r->env, list[i].tag, place, sizeof place);
        char *own = strdup(place), **at = own ? tsearch(own, &places, by_text) : NULL;
        if (at && *at == own)
            list[kept++] = list[i];
        else
            free(own);
    }
    tdestroy(places, free);
    return kept;
}

void acts_carry_out(struct run *r, const struct plan_act *p, int64_t give_up, size_t most) {
    const struct fault_spec *spec = spec_of(r, p);
    const struct fault_kind *kind = (const struct fault_kind *)spec->kind.kind;
    const struct pod_target *t = kind->target(spec->kind.params);
    const char *unable = r->o->unable ? r->o->unable[p->fault] : NULL;
    if (unable) {
        act_skip(r, p, "", NULL, unable);
        return;
    }
    size_t ignored;
    const struct role *role = t->selector->role ? run_role(r, selector_role_name(t->selector), &ignored) : NULL;
    struct candidate list[MAX_PODS];
    struct unfit unfit;
    size_t n = candidates_now(r, p, t, list, &unfit);
    if (n == 0 && role && loop_now() < give_up) {
        struct act *a = act_new(r, p);
        if (a) {
            a->retries_one = most == 1;
            act_look_again(a, give_up);
        }
        return;
    }
    if (n == 0) {
        nobody(r, p, t, &unfit);
        return;
    }
    cleanup_json json_t *names = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(names, json_string(list[i].name));
    size_t victims = selector_draw(t, p->draw, list, n);
    if (victims == 0)
        act_skip(r, p, "", NULL, "the draw took none of the candidates");
    if (kind->once && kind->place)
        victims = one_a_place(r, kind, list, victims);
    for (size_t i = 0; i < victims && i < most; i++)
        act_strike(r, p, list[i].tag, names, selector_role_negated(t->selector) ? NULL : role, give_up);
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
    return a->state == ACT_OVER && !act_proof_open(a) && !a->reaper && a->journal_id < 0 && !looked_for_again(r, a->planned);
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
    while (r->phase == PHASE_RUNNING && r->next_act < plan->count && r->schedule_mono + plan->acts[r->next_act].at_ns <= loop_now() &&
           steady_before(r, &plan->acts[r->next_act]))
        acts_carry_out(r, &plan->acts[r->next_act++], loop_now() + ROLE_FOR_NS, SIZE_MAX);
    if (r->phase == PHASE_RUNNING && r->next_act < plan->count && !steady_waited_for(r))
        timer_at(r->act_timer, r->schedule_mono + plan->acts[r->next_act].at_ns);
    run_step(r);
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
        act_end(a);
    }
}

void acts_free(struct run *r) {
    while (r->acts) {
        struct act *a = r->acts;
        r->acts = a->next;
        act_free(a);
    }
}
