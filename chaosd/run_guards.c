/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: what an act may not take, by the state of this moment. */
#include "base/buf.h"
#include "kube/status.h"
#include "run_internal.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define BUDGET_LAG_NS (3 * NS_PER_S) /* its controller takes a moment to count what was taken */

/* An act about to be done, and whom it would take out of service. */
struct strike {
    const struct fault_spec *spec;
    const struct fault_kind *kind;
    const struct pod *victim;
    const struct pod *pods[MAX_PODS];
    size_t count;
    bool takes;
};

static bool takes(const struct fault_spec *spec) {
    const struct fault_kind *k = (const struct fault_kind *)spec->kind.kind;
    return k->takes && k->takes(spec->kind.params);
}

size_t guard_struck(struct run *r, const struct fault_spec *spec, const struct pod *victim, const struct pod **list, size_t max) {
    const struct fault_kind *k = (const struct fault_kind *)spec->kind.kind;
    if (k->struck && takes(spec))
        return k->struck(&r->env, spec, victim, list, max);
    list[0] = victim;
    return 1;
}

int guard_sees(struct run *r, const char *what, struct buf *why) {
    int (*sees)(struct cluster *c, const char *what, struct buf *why) = r->cluster->kind->sees;
    return sees ? sees(r->cluster, what, why) : 1;
}

static bool among(const char *uid, const struct strike *s) {
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->pods[i]->uid, uid) == 0)
            return true;
    return false;
}

static bool is_under(const struct run *r, const struct pod *p, enum acts_which which, bool (*also)(const struct act *a, const struct pod *p)) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (act_busy(a, p->uid, which) && (!also || also(a, p)))
            return true;
    return false;
}

/* Others, of the workload or of any, that are under a fault, be it with the victim of one; a pod under two is one. also: NULL, or what must
 * hold of it and its act too. */
static int64_t others(struct run *r, const struct strike *s, const char *workload, enum acts_which which,
                      bool (*also)(const struct act *a, const struct pod *p)) {
    const struct pod *pods[MAX_PODS];
    size_t n = r->acts ? r->cluster->kind->pods(r->cluster, pods, MAX_PODS) : 0;
    int64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (!workload || strcmp(pods[i]->workload, workload) == 0) && is_under(r, pods[i], which, also) && !among(pods[i]->uid, s);
    return count;
}

/* Of the workload, once all that are struck are gone. */
static int64_t ready_without(struct run *r, const char *workload, const struct strike *s) {
    const struct pod *pods[MAX_PODS];
    size_t n = r->cluster->kind->pods(r->cluster, pods, MAX_PODS);
    int64_t left = 0;
    for (size_t i = 0; i < n; i++)
        left += strcmp(pods[i]->workload, workload) == 0 && pods[i]->ready && !pods[i]->frozen && !pods[i]->terminating &&
                !acts_busy(r, pods[i]->uid, ACTS_TAKING) && !among(pods[i]->uid, s);
    return left;
}

static bool is_owned_by(const struct pod *p, const char *kind) {
    for (size_t i = 0; p->owners && i < p->owners->count; i++)
        if (strcasecmp(p->owners->items[i].kind, kind) == 0)
            return true;
    return false;
}

/* --- whom no act may touch --- */

const char *guard_bars(const struct run *r, const struct pod *p, char *why, size_t size) {
    const char *rule = guards_bar(r->s->guards, p->name, p->namespace, p->labels, why, size);
    if (rule)
        return rule;
    if (p->excluded) {
        snprintf(why, size, "%s: its namespace opts out with the label %s", p->name, CHAOSD_EXCLUDE_LABEL);
        return "exclude";
    }
    if (r->s->guards->self == PERMIT_REFUSE && kubernetes_self_is(&r->self, p)) {
        snprintf(why, size, "%s: chaosd itself runs in this pod (guards.self)", p->name);
        return "self";
    }
    return NULL;
}

const char *guard_barred(struct fault_env *env, const struct pod *p) {
    static char why[256]; /* one loop, one run */
    const struct run *r = (const struct run *)((const char *)env - offsetof(struct run, env));
    return guard_bars(r, p, why, sizeof why) ? why : NULL;
}

/* --- rules; each: the name of itself, with why, or NULL --- */

static const char *text_of(const struct buf *b) { return buf_ok(b) && b->len ? b->data : "it is not followed just now"; }

/* By what was so some time ago nobody is taken: who was ready then may be gone. */
static const char *blind_refuses(struct run *r, const struct pod *p, char *why, size_t size) {
    cleanup_buf struct buf text = {0};
    if (guard_sees(r, "pods", &text) > 0)
        return NULL;
    snprintf(why, size, "%s: what is known of pods is not up to date: %s", p->name, text_of(&text));
    return "blind";
}

/* The node or the workload that is told to be struck, where that is more than the pod. */
static const char *place_refuses(struct run *r, const struct strike *s, char *why, size_t size) {
    char place[256];
    if (r->s->guards->self == PERMIT_ALLOW || !s->kind->place)
        return NULL;
    s->kind->place(&r->env, s->victim, place, sizeof place);
    if (*r->self.node && strcmp(place, r->self.node) == 0) {
        snprintf(why, size, "%s: chaosd itself runs on this node (guards.self)", place);
        return "self";
    }
    if (s->victim->node && strcmp(place, s->victim->node) == 0)
        return NULL;
    const struct pod *pods[MAX_PODS];
    size_t n = *r->self.pod ? r->cluster->kind->pods(r->cluster, pods, MAX_PODS) : 0;
    for (size_t i = 0; i < n; i++)
        if (kubernetes_self_is(&r->self, pods[i]) && strcmp(pods[i]->workload, s->victim->workload) == 0) {
            snprintf(why, size, "%s: chaosd itself is one of its pods (guards.self)", place);
            return "self";
        }
    return NULL;
}

static const char *concurrent_refuses(struct run *r, const struct strike *s, char *why, size_t size) {
    const int64_t most = r->s->guards->max_concurrent, busy = most ? others(r, s, NULL, ACTS_ANY, NULL) : 0;
    if (!most || busy + (int64_t)s->count <= most)
        return NULL;
    if (s->count > 1)
        snprintf(why, size, "%zu pods would be struck, %" PRId64 " are under a fault already, maxConcurrent is %" PRId64, s->count, busy, most);
    else
        snprintf(why, size, "%" PRId64 " pods are under a fault already, maxConcurrent is %" PRId64, busy, most);
    return "maxConcurrent";
}

/* Of a workload that an act of ours holds scaled down: those that are gone, whom no list has any more. */
static int64_t scaled_away(struct run *r, const char *workload, int64_t wanted) {
    const struct pod *pods[MAX_PODS];
    size_t n = r->cluster->kind->pods(r->cluster, pods, MAX_PODS);
    for (size_t i = 0; i < n; i++)
        wanted -= strcmp(pods[i]->workload, workload) == 0;
    return wanted > 0 ? wanted : 0;
}

static const char *percent_refuses(struct run *r, const struct strike *s, const struct pod *p, char *why, size_t size) {
    const int64_t ppm = r->s->guards->max_ppm, wanted = acts_wanted(r, p);
    if (!ppm || wanted <= 0)
        return NULL; /* of none there is no share; the pod that is left over is nobody's to count on */
    int64_t n = others(r, s, p->workload, ACTS_ANY, NULL);
    for (size_t i = 0; i < s->count; i++)
        n += strcmp(s->pods[i]->workload, p->workload) == 0;
    if (wanted > p->replicas)
        n += scaled_away(r, p->workload, wanted);
    if (n * 1000000 <= wanted * ppm)
        return NULL;
    snprintf(why, size, "%s: %" PRId64 " of %" PRId64 " wanted pods of %s would be under a fault, maxPercent is %g%%", p->name, n, wanted,
             p->workload, (double)ppm / 1e4);
    return "maxPercent";
}

/* Who was not made by a controller is not made anew by one. */
static const char *unowned_refuses(struct run *r, const struct strike *s, const struct pod *p, char *why, size_t size) {
    if (r->s->guards->unowned == PERMIT_ALLOW || !(s->kind->needs & CLUSTER_OBJECTS) || (p->owners && p->owners->count))
        return NULL;
    snprintf(why, size, "%s: no controller made this pod, and none would make it anew (guards.unowned)", p->name);
    return "unowned";
}

static const char *floor_refuses(struct run *r, const struct strike *s, const struct pod *p, char *why, size_t size) {
    const struct guards *g = r->s->guards;
    bool quorum = g->quorum == QUORUM_MAJORITY || (g->quorum == QUORUM_STATEFULSETS && is_owned_by(p, "StatefulSet"));
    if ((!quorum && !g->min_ready) || !r->cluster->kind->pod(r->cluster, p->uid))
        return NULL; /* of what is not followed, as others on a node that is drained, nobody knows who is ready */
    int64_t left = ready_without(r, p->workload, s), wanted = acts_wanted(r, p), majority = wanted / 2 + 1;
    if (quorum && left < majority) {
        int len = snprintf(why, size, "%s: %" PRId64 " ready pods would be left of %s, a majority is %" PRId64, p->name, left, p->workload, majority);
        if (wanted > p->replicas && (size_t)len < size)
            snprintf(why + len, size - (size_t)len, " of the %" PRId64 " before a fault scaled it", wanted);
        return "quorum";
    }
    if (left < g->min_ready) {
        snprintf(why, size, "%s: %" PRId64 " ready pods would be left of %s, minReady is %" PRId64, p->name, left, p->workload, g->min_ready);
        return "minReady";
    }
    return NULL;
}

/* An eviction is the API server's own question to the budgets: its answer is the act's. */
static bool evicts(const struct fault_kind *k) {
    for (const struct kube_where *w = k->rules; w && w->verb; w++)
        if (w->subresource && strcmp(w->subresource, "eviction") == 0)
            return true;
    return false;
}

/* Taken by us, of which a budget's status may not speak yet. */
static bool lately_taken(const struct act *a, const struct pod *p) {
    return a->injected_ns && (loop_now() - a->injected_ns < BUDGET_LAG_NS || (p->ready && !p->terminating));
}

static const char *budget_refuses(struct run *r, const struct strike *s, const struct pod *p, char *why, size_t size) {
    int64_t left = 0, going = 0;
    if (r->s->guards->budgets == BUDGETS_IGNORE || !r->budget || evicts(s->kind))
        return NULL;
    cleanup_buf struct buf text = {0};
    if (guard_sees(r, "budgets", &text) <= 0) {
        snprintf(why, size, "%s: its budgets are not known: grant list and watch of poddisruptionbudgets, or say guards.budgets: ignore (%s)", p->name,
                 text_of(&text));
        return "budgets";
    }
    const char *budget = r->budget(r->cluster, p, &left);
    for (size_t i = 0; i < s->count; i++)
        going += strcmp(s->pods[i]->workload, p->workload) == 0;
    int64_t more = others(r, s, p->workload, ACTS_TAKING, lately_taken);
    if (!budget || left >= going + more)
        return NULL;
    if (going + more > 1 && left > 0)
        snprintf(why, size, "%s: %" PRId64 " pods of %s would be disrupted, the PodDisruptionBudget %s allows %" PRId64 " just now", p->name,
                 going + more, p->workload, budget, left);
    else
        snprintf(why, size, "%s: the PodDisruptionBudget %s forbids to disrupt it just now", p->name, budget);
    return "budgets";
}

static const char *bars(struct run *r, const struct strike *s, const struct pod *p, char *why, size_t size) {
    return p != s->victim ? guard_bars(r, p, why, size) : NULL; /* the victim itself was asked of before */
}

const char *guard_refuses(struct run *r, const struct fault_spec *spec, const struct pod *victim, char *why, size_t size) {
    static const char *(*const of_each[])(struct run *r, const struct strike *s, const struct pod *p, char *why, size_t size) = {
        bars, percent_refuses, unowned_refuses, floor_refuses, budget_refuses,
    };
    struct strike s = {.spec = spec, .kind = (const struct fault_kind *)spec->kind.kind, .victim = victim};
    s.takes = takes(spec);
    s.count = guard_struck(r, spec, victim, s.pods, MAX_PODS);
    const char *rule = guard_bars(r, victim, why, size);
    if (!rule && s.takes)
        rule = blind_refuses(r, victim, why, size);
    if (!rule)
        rule = place_refuses(r, &s, why, size);
    if (!rule)
        rule = concurrent_refuses(r, &s, why, size);
    if (!s.takes) /* it goes on serving, under a fault all the same */
        return rule ? rule : percent_refuses(r, &s, victim, why, size);
    for (size_t i = 0; i < s.count && !rule; i++)
        for (size_t k = 0; k < sizeof of_each / sizeof *of_each && !rule; k++)
            rule = of_each[k](r, &s, s.pods[i], why, size);
    return rule;
}
