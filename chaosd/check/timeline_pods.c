/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the pods that an act struck and of those that came in their place, and what had to come and did not. */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/telling.h"
#include "check/words.h"

enum { MISSING_MOST = 40 };
#define END_WARNING "FailedKillPod" /* of others, an ending pod has some that explain nothing: its probe fails */

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* --- one pod --- */

struct seen { bool ended, unready, stamped, started, scheduled, ready, gone, endpoint, endpoint_off, endpoint_gone; };

static const struct pod_row {
    const char *op, *kind, *victim, *fresh; /* what it is called of a victim, of a replacement; NULL: nothing */
    size_t sets, needs;                      /* of struct seen; needs: a victim's counts only after that. 0: nothing */
} pod_rows[] = {
#define SEEN(member) (offsetof(struct seen, member) + 1)
    {"cluster/pod", "terminating", "deletion stamped", "replacement deleted", SEEN(stamped), 0},
    {"cluster/pod", "unready", "not ready", NULL, SEEN(unready), 0},
    {"cluster/pod", "exited", "containers ended", "replacement ended", SEEN(ended), 0},
    {"cluster/pod", "removed", "pod gone", "replacement gone", SEEN(gone), 0},
    {"cluster/pod", "failed", "pod failed", "replacement failed", SEEN(ended), 0},
    {"cluster/pod", "backoff", "held back from restarting", "replacement held back", 0, 0},
    {"cluster/pod", "created", NULL, "replacement created", 0, 0},
    {"cluster/pod", "scheduled", NULL, "scheduled", SEEN(scheduled), 0},
    {"cluster/pod", "started", "started", "started", SEEN(started), SEEN(ended)},
    {"cluster/pod", "ready", "ready", "ready", SEEN(ready), SEEN(unready)},
    {"cluster/endpoint", "unready", "endpoint not ready", NULL, SEEN(endpoint_off), 0},
    {"cluster/endpoint", "removed", "endpoint gone", NULL, SEEN(endpoint_gone), 0},
    {"cluster/endpoint", "ready", "endpoint added", "endpoint added", SEEN(endpoint), SEEN(endpoint_off)},
    {"cluster/endpoint", "added", "endpoint added", "endpoint added", SEEN(endpoint), SEEN(endpoint_off)},
};

static bool *seen_at(struct seen *s, size_t member) { return (bool *)((char *)s + member - 1); }

static const struct pod_row *row_of(const struct event *e) {
    for (size_t i = 0; i < ARRAY_SIZE(pod_rows); i++)
        if (!strcmp(pod_rows[i].op, e->op) && !strcmp(pod_rows[i].kind, e->kind))
            return &pod_rows[i];
    return NULL;
}

/* An address that is listed and not ready takes no traffic: it is not there yet. */
static bool listed_only(const struct event *e) {
    return !strcmp(e->op, "cluster/endpoint") && !strcmp(e->kind, "added") && json_is_false(json_object_get(e->data, "ready"));
}

static const char *note_of(const struct event *e) {
    if (!strcmp(e->op, "cluster/endpoint"))
        return filled(json_str_or(e->data, "service", NULL));
    return filled(json_str_or(e->data, !strcmp(e->kind, "scheduled") ? "node" : "why", NULL));
}

static void pod_event(struct telling *t, const struct event *e, bool fresh, size_t since, struct seen *s) {
    const struct pod_row *row = row_of(e);
    if (!row || listed_only(e) || (!fresh && row->needs && !*seen_at(s, row->needs) && !s->ended))
        return;
    if (row->sets)
        *seen_at(s, row->sets) = true;
    const char *what = fresh ? row->fresh : row->victim;
    if (what)
        telling_add(t, e, since, what, e->target, note_of(e));
}

/* Whether it is on its way from one state to another: until it has arrived, nothing of it is too late to belong to the act. */
static bool under_way(bool fresh, const struct seen *s) {
    if (s->stamped || s->gone)
        return !s->gone;
    return fresh ? !s->ready : (s->ended || s->unready) && !s->ready;
}

static bool reopens(const struct event *e) { return !strcmp(e->op, "cluster/pod") && (!strcmp(e->kind, "exited") || !strcmp(e->kind, "unready")); }

/* A victim that was asked to end is followed to its end, also when the next act has begun: what ends it is this one. */
static struct seen tell_pod(struct telling *t, size_t index, bool fresh) {
    const struct object_pod *p = &t->o->pods[index];
    struct seen s = {0};
    int64_t calm = fresh ? INT64_MIN : act_answers_until(t->f);
    size_t since = t->count;
    for (size_t i = places_from(t->o, &p->events, t->s->begin); i < p->events.count; i++) {
        const struct event *e = event_at(t, p->events.items[i]);
        bool open = under_way(fresh, &s);
        if ((e->t >= t->s->until && (fresh || !s.stamped)) || (!open && e->t > calm))
            break;
        if (reopens(e))
            s.ready = false;
        if (!strcmp(e->op, "cluster/event"))
            telling_add_api(t, e, since);
        else
            pod_event(t, e, fresh, since, &s);
        if (open && !under_way(fresh, &s))
            calm = max64(calm, e->t > INT64_MAX - ATTRIBUTION_NS ? e->t : e->t + ATTRIBUTION_NS);
        t->last = max64(t->last, e->t);
    }
    t->open |= under_way(fresh, &s);
    return s;
}

/* --- what is missing --- */

/* The last warning about it within the observation; of the scheduler where it was not scheduled. NULL: none. */
static const char *warning(const struct telling *t, const struct places *events, const char *reason) {
    const char *message = NULL;
    for (size_t i = places_from(t->o, events, t->s->begin); i < events->count; i++) {
        const struct event *e = event_at(t, events->items[i]);
        if (e->t >= t->s->until)
            break;
        if (!strcmp(e->op, "cluster/event") && (reason ? !strcmp(e->kind, reason) : !strcmp(json_str_or(e->data, "type", ""), "Warning")))
            message = filled(json_str_or(e->data, "message", e->kind));
        else if (!strcmp(e->op, "cluster/pod") && (!strcmp(e->kind, "created") || !strcmp(e->kind, "backoff") || !strcmp(e->kind, "failed")) && !message)
            message = filled(json_str_or(e->data, "why", NULL));
    }
    return message;
}

/* What a watch was last heard of within the observation, where that is trouble without an end. NULL: all is well. */
static const char *deaf(const struct telling *t) {
    const char *why = NULL;
    for (size_t i = places_from(t->o, &t->o->api, t->s->begin); i < t->o->api.count; i++) {
        const struct event *e = event_at(t, t->o->api.items[i]);
        if (e->t >= t->s->until)
            break;
        if (!telling_follows(e->target, "cluster/pod"))
            continue;
        if (is_gap(e))
            why = NULL;
        else if (!strcmp(e->kind, "troubled") || !strcmp(e->kind, "denied"))
            why = json_str_or(e->data, "why", "its API server did not answer");
    }
    return why;
}

/* Of what could have been seen at all; victims' ends are awaited until the record's. */
static const char *end_of_sight(struct telling *t, bool to_the_end) {
    char ms[WORDS_SIZE];
    const char *why = deaf(t), *text;
    int64_t end = t->w->j->end_t;
    if (why)
        text = arena_printf(t->w->a, "pods could not be followed any more: %s", why);
    else if (t->s->next >= 0 && !to_the_end)
        text = arena_printf(t->w->a, "the next act, %s #%u, began %s after this one", t->w->j->acts[t->s->next].fault, t->w->j->acts[t->s->next].occurrence,
                            words_ms(words_ns_ms(t->s->until - t->f->at), ms));
    else
        text = arena_printf(t->w->a, "the record ends %s after the act", words_ms(words_ns_ms(max64(end - t->f->at, 0)), ms));
    t->failed |= !text;
    return text;
}

void telling_lacks(struct chain *c, bool is_missing, const char *what, const char *reason) {
    struct telling *t = c->t;
    if (!is_missing || t->missing_count == MISSING_MOST)
        return;
    if (grow(&t->missing, t->missing_count, &t->missing_cap, sizeof *t->missing) < 0) {
        t->failed = true;
        return;
    }
    const char *why = c->told ? NULL : c->why ? c->why : warning(t, c->events, reason);
    t->missing[t->missing_count++] = (struct missing){.what = what, .object = c->object, .why = why || c->told ? why : end_of_sight(t, reason && !strcmp(reason, END_WARNING))};
    c->told = true;
}

/* The workload has fewer pods than it wants, as far as it was told. */
static bool short_of_pods(const struct telling *t, const struct object_group *g) {
    int64_t wanted = -1, alive = 0;
    for (size_t i = 0; i < g->events.count && event_at(t, g->events.items[i])->t < t->s->until; i++)
        if (!strcmp(event_at(t, g->events.items[i])->op, "cluster/workload"))
            wanted = json_int_or(event_at(t, g->events.items[i])->data, "replicas", wanted);
    for (size_t i = 0; i < g->pods.came.count; i++) {
        const struct object_pod *p = &t->o->pods[g->pods.came.items[i]];
        alive += p->created < t->s->until && (p->lost == UNKNOWN_NS || p->lost >= t->s->until);
    }
    return wanted < 0 || alive < wanted;
}

static void victim_lacks(struct telling *t, size_t index, const struct seen *s) {
    const struct object_pod *p = &t->o->pods[index];
    struct chain c = {.t = t, .object = p->name, .events = &p->events};
    if (s->stamped || s->gone) {
        telling_lacks(&c, s->endpoint_off && !s->endpoint_gone, "endpoint gone", END_WARNING);
        telling_lacks(&c, p->ran && !s->ended && !s->gone, "containers ended", END_WARNING);
        telling_lacks(&c, !s->gone, "pod gone", END_WARNING);
        return;
    }
    telling_lacks(&c, s->ended && !s->started, "started", NULL);
    telling_lacks(&c, (s->ended || s->unready) && !s->ready, "ready", NULL);
    telling_lacks(&c, s->endpoint_off && !s->endpoint, "endpoint added", NULL);
}

static void fresh_lacks(struct telling *t, size_t index, const struct seen *s) {
    const struct object_pod *p = &t->o->pods[index];
    struct chain c = {.t = t, .object = p->name, .events = &p->events};
    if (s->stamped || s->gone)
        return; /* another came for it, or is missed */
    telling_lacks(&c, !s->scheduled && !s->started && !s->ready, "scheduled", "FailedScheduling");
    telling_lacks(&c, !s->started && !s->ready, "started", NULL);
    telling_lacks(&c, !s->ready, "ready", NULL);
    telling_lacks(&c, places_has(&t->served, (size_t)p->group) && !s->endpoint, "endpoint added", NULL);
}

struct losses { int64_t owned, orphans; }; /* of a workload's pods, within the observation; owned: less those that came for them */

static struct losses lost_of(const struct telling *t, size_t group) {
    struct losses n = {0};
    const struct places *lists[] = {&t->s->victims, &t->s->fresh};
    for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct object_pod *p = &t->o->pods[lists[l]->items[i]];
            bool lost = p->group == (int64_t)group && p->lost != UNKNOWN_NS && p->lost >= t->s->begin && p->lost < t->s->until;
            n.owned += lost && *p->owner;
            n.orphans += lost && !*p->owner;
            n.owned -= l == 1 && p->group == (int64_t)group;
        }
    return n;
}

/* Of each workload, one word for all that were lost and not replaced. */
static void replacements_lack(struct telling *t) {
    for (size_t k = 0; k < t->s->groups.count; k++) {
        const struct object_group *g = &t->o->groups[t->s->groups.items[k]];
        struct losses n = lost_of(t, t->s->groups.items[k]);
        struct chain c = {.t = t, .object = g->name, .events = &g->events, .why = n.owned > 0 ? NULL : "nothing owns the pod, so that nothing makes it anew"};
        bool missed = n.owned > 0 && short_of_pods(t, g);
        t->open |= missed;
        telling_lacks(&c, missed || n.orphans > 0, "replacement created", NULL);
    }
}

void telling_pods(struct telling *t) {
    for (size_t i = 0; i < t->s->victims.count; i++) {
        struct seen s = tell_pod(t, t->s->victims.items[i], false);
        t->failed |= (s.endpoint_off || s.endpoint_gone) && places_add_once(&t->served, (size_t)t->o->pods[t->s->victims.items[i]].group) < 0;
        victim_lacks(t, t->s->victims.items[i], &s);
    }
    replacements_lack(t);
    for (size_t i = 0; i < t->s->fresh.count; i++) {
        struct seen s = tell_pod(t, t->s->fresh.items[i], true);
        fresh_lacks(t, t->s->fresh.items[i], &s);
    }
}
