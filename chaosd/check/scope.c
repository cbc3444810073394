/* SPDX-License-Identifier: Apache-2.0 */
#include "check/scope.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void scoped_free(struct scoped *s) {
    for (size_t i = 0; s && i < s->count; i++) {
        free(s->list[i].groups.items);
        free(s->list[i].victims.items);
        free(s->list[i].fresh.items);
    }
    if (s) {
        objects_free(&s->objects);
        free(s->list);
    }
    free(s);
}

static int by_begin(const void *a, const void *b) {
    const struct scope *x = a, *y = b;
    return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin) : (x->act > y->act) - (x->act < y->act);
}

/* --- whom it strikes --- */

static int add_victims(const struct objects *o, struct scope *s, const struct places *pods) {
    for (size_t i = 0; pods && i < pods->count; i++)
        if (places_add(&s->victims, pods->items[i]) < 0 || places_add_once(&s->groups, (size_t)o->pods[pods->items[i]].group) < 0)
            return -ENOMEM;
    return pods ? 0 : -ENOMEM;
}

static int find_victims(const struct work *w, struct objects *o, struct scope *s) {
    const struct act_work *a = &w->acts[s->act];
    const char *target = w->j->acts[s->act].target;
    int64_t group = a->workload ? objects_group(o, a->workload) : OBJECT_NONE;
    int64_t pod = objects_pod(o, a->uid ? a->uid : "", a->pod ? a->pod : target);
    s->node = a->pod ? objects_node(o, target) : OBJECT_NONE;
    s->workload = a->pod && s->node < 0 && group >= 0;
    if (group >= 0 && places_add_once(&s->groups, (size_t)group) < 0)
        return -ENOMEM;
    if (s->node >= 0)
        return add_victims(o, s, roster_at(o, &o->nodes[s->node].pods, s->begin, true));
    if (s->workload)
        return add_victims(o, s, roster_at(o, &o->groups[group].pods, s->begin, false));
    return pod < 0 ? 0 : add_victims(o, s, &(struct places){.items = &(size_t){(size_t)pod}, .count = 1});
}

/* --- until when it is looked at: from the last to the first --- */

struct lasts { struct least *groups, *nodes; }; /* begins of the acts that come after */

static void end_by(const struct work *w, struct scope *s, const struct least *l) {
    int k = least_other(w->j, l, s->act);
    if (l->t[k] < s->until) {
        s->until = l->t[k];
        s->next = (int64_t)l->act[k];
    }
}

/* Acts that were asked for before an earlier one was answered are of the same moment: they do not end each other. */
static void find_moments(const struct work *w, const struct scope *list, size_t count, size_t *first) {
    int64_t answered = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        int64_t at = w->acts[list[i].act].answered;
        first[i] = i && list[i].begin <= answered && list[i].begin - list[i - 1].begin <= MOMENT_NS ? first[i - 1] : i;
        answered = at > answered ? at : answered;
    }
}

static void find_untils(const struct work *w, struct scope *list, size_t count, const size_t *first, struct lasts *l) {
    for (size_t to = count, from; to; to = from) {
        from = first[to - 1];
        for (size_t i = from; i < to; i++) {
            list[i].until = INT64_MAX;
            list[i].next = OBJECT_NONE;
            for (size_t k = 0; k < list[i].groups.count; k++)
                end_by(w, &list[i], &l->groups[list[i].groups.items[k]]);
            if (list[i].node >= 0)
                end_by(w, &list[i], &l->nodes[list[i].node]);
        }
        for (size_t i = from; i < to; i++) {
            for (size_t k = 0; k < list[i].groups.count; k++)
                least_add(w->j, &l->groups[list[i].groups.items[k]], list[i].act, list[i].begin);
            if (list[i].node >= 0)
                least_add(w->j, &l->nodes[list[i].node], list[i].act, list[i].begin);
        }
    }
}

static int find_ends(const struct work *w, const struct objects *o, struct scope *list, size_t count) {
    cleanup_free struct least *groups = calloc(o->group_count + 1, sizeof *groups), *nodes = calloc(o->node_count + 1, sizeof *nodes);
    cleanup_free size_t *first = calloc(count + 1, sizeof *first);
    if (!groups || !nodes || !first)
        return -ENOMEM;
    for (size_t i = 0; i < o->group_count; i++)
        groups[i] = (struct least)LEAST_NONE;
    for (size_t i = 0; i < o->node_count; i++)
        nodes[i] = (struct least)LEAST_NONE;
    find_moments(w, list, count, first);
    find_untils(w, list, count, first, &(struct lasts){groups, nodes});
    return 0;
}

/* --- who comes in their place --- */

static size_t came_from(const struct objects *o, const struct places *pods, int64_t t) {
    size_t lo = 0, hi = pods->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (o->pods[pods->items[mid]].created < t)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The first pod of the workload that was created within [from, until) and is nobody's yet. A StatefulSet's has the victim's name. */
static int64_t find_fresh(const struct objects *o, const struct scope *s, const struct object_pod *victim, int64_t from) {
    const struct object_group *g = &o->groups[victim->group];
    bool named = !strcmp(g->kind, "StatefulSet");
    for (size_t i = came_from(o, &g->pods.came, from); i < g->pods.came.count; i++) {
        const struct object_pod *p = &o->pods[g->pods.came.items[i]];
        if (p->created >= s->until)
            break;
        if (!p->taken && p != victim && (!named || !strcmp(p->name, victim->name)))
            return (int64_t)g->pods.came.items[i];
    }
    return OBJECT_NONE;
}

static int take(struct objects *o, struct scope *s, size_t pod) {
    o->pods[pod].taken = true;
    return places_add(&s->fresh, pod);
}

static bool lost_in(const struct object_pod *p, const struct scope *s) { return p->lost != UNKNOWN_NS && p->lost >= s->begin && p->lost < s->until; }

/* After a gap the list tells of the new ones before it is known who is gone: so one that was created before its victim's end was seen is taken
 * where no other is left. A replacement that is lost in its turn has one too. */
static int replace(struct objects *o, struct scope *s, size_t pod) {
    int64_t next = (int64_t)pod;
    while (next >= 0 && lost_in(&o->pods[next], s)) {
        const struct object_pod *victim = &o->pods[next];
        next = find_fresh(o, s, victim, victim->lost);
        if (next < 0)
            next = find_fresh(o, s, victim, s->begin);
        if (next >= 0 && take(o, s, (size_t)next) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int find_replacements(struct objects *o, struct scope *s) {
    for (size_t i = 0; i < s->victims.count; i++)
        if (replace(o, s, s->victims.items[i]) < 0)
            return -ENOMEM;
    for (size_t k = 0; s->workload && k < s->groups.count; k++) {
        const struct places *came = &o->groups[s->groups.items[k]].pods.came;
        for (size_t i = came_from(o, came, s->begin); i < came->count && o->pods[came->items[i]].created < s->until; i++)
            if (!o->pods[came->items[i]].taken && take(o, s, came->items[i]) < 0)
                return -ENOMEM;
    }
    return 0;
}

static int fill(const struct work *w, struct objects *o, struct scope *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (find_victims(w, o, &list[i]) < 0)
            return -ENOMEM;
    if (find_ends(w, o, list, count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (find_replacements(o, &list[i]) < 0)
            return -ENOMEM;
    return 0;
}

int acts_scopes(struct work *w, struct error *err) {
    if (!w->j->act_count || !objects_told(w->h))
        return 0;
    struct scoped *s = w->scoped = calloc(1, sizeof *s);
    if (!s || !(s->list = calloc(w->j->act_count, sizeof *s->list)))
        return out_of_memory(err);
    int rc = objects_collect(w->h, &s->objects, err);
    for (size_t i = 0; i < w->j->act_count && rc == 0; i++) {
        const struct act_work *a = &w->acts[i];
        int64_t at = w->j->acts[i].at;
        if (w->j->acts[i].acted)
            s->list[s->count++] = (struct scope){.act = i, .begin = a->invoked != UNKNOWN_NS && a->invoked < at ? a->invoked : at};
    }
    if (rc < 0)
        return rc;
    qsort(s->list, s->count, sizeof *s->list, by_begin);
    if (fill(w, &s->objects, s->list, s->count) < 0)
        return out_of_memory(err);
    for (size_t i = 0; i < s->count; i++)
        w->acts[s->list[i].act].scope_end = s->list[i].until;
    return 0;
}
