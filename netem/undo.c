/* SPDX-License-Identifier: Apache-2.0 */
#include "undo.h"

#include <errno.h>
#include <string.h>

/* What is gone already is as good as removed. */
static int outcome_of_removal(const struct talk *t, char *why) {
    for (unsigned i = 0; i < t->count; i++)
        if (t->answers[i].rc < 0 && t->answers[i].rc != -ENOENT && t->answers[i].rc != -ENODEV && t->answers[i].rc != -EINVAL)
            return talk_sentence(&t->answers[i], why);
    return 0;
}

static void switch_off(struct netem_ns *ns, struct view *v, int dev_index, uint32_t id) {
    for (int i = 0; i < 2; i++) {
        const struct msg_filter *f = view_filter(v, dev_index, id, i);
        struct maps *m = f ? view_maps(ns, v, f) : NULL;
        if (m)
            maps_switch(m, view_slot(f), 0);
    }
}

static int remove_filters(struct netem_ns *ns, struct view *v, int dev_index, uint32_t id, char *why) {
    const struct msg_filter *filters[2] = {view_filter(v, dev_index, id, false), view_filter(v, dev_index, id, true)};
    talk_begin(&ns->talk);
    for (int i = 0; i < 2; i++)
        if (filters[i])
            talk_add(&ns->talk, msg_filter_del(dev_index, i, false, id), "remove our filter", "");
    int rc = talk_send(&ns->talk, why);
    if (rc == 0)
        rc = outcome_of_removal(&ns->talk, why);
    for (int i = 0; i < 2 && rc == 0; i++)
        if (filters[i] && ns->n && program_is(ns->n->program, filters[i]->program))
            program_release(ns->n->program, view_slot(filters[i]));
    return rc;
}

/* 1: packets are still on their way. The filters stay for them: one that comes back from the ifb after they are gone carries a mark that makes
 * the next interface skip its own classifiers and taps. */
static int drains(struct netem_ns *ns, int index, char *why) {
    struct msg_queue q;
    talk_begin(&ns->talk);
    talk_add(&ns->talk, msg_queue_get(index), NULL, "");
    int rc = talk_send(&ns->talk, why);
    const struct talk_answer *a = &ns->talk.answers[0];
    return rc < 0 ? rc : a->rc == 0 && a->reply && msg_read_queue(a->reply, &q) == 0 && q.queued > 0;
}

static int remove_ifb(struct netem_ns *ns, int index, char *why) {
    talk_begin(&ns->talk);
    talk_add(&ns->talk, msg_link_del(index), "remove our ifb", "");
    int rc = talk_send(&ns->talk, why);
    return rc < 0 ? rc : outcome_of_removal(&ns->talk, why);
}

/* Is the ifb led to from another device too? Only then is it left (an id was used twice). */
static bool used_elsewhere(const struct view *v, int dev_index, int ifb_index) {
    char run[NETEM_RUN_SIZE];
    uint32_t id;
    for (size_t i = 0; i < v->filter_count; i++)
        if (v->filters[i].redirect_to == ifb_index && v->filters[i].index != dev_index && view_whose(&v->filters[i], &id, run) == VIEW_FAULT)
            return true;
    return false;
}

int undo_fault(struct netem_ns *ns, struct view *v, int dev_index, uint32_t id, unsigned flags, char *why) {
    const struct msg_link *ifb = view_ifb(v, id);
    switch_off(ns, v, dev_index, id);
    int rc = ifb && (flags & NETEM_DRAIN) ? drains(ns, ifb->index, why) : 0;
    if (rc == 0)
        rc = remove_filters(ns, v, dev_index, id, why);
    if (rc || !ifb || (flags & NETEM_KEEP) || used_elsewhere(v, dev_index, ifb->index))
        return rc;
    return remove_ifb(ns, ifb->index, why);
}

int netem_remove(struct netem_ns *ns, const char *dev, uint32_t id, unsigned flags, char *why) {
    struct view v;
    int rc = view_device(ns, dev, id, true, &v, why);
    const struct msg_link *l = rc == 0 ? view_link(&v, dev) : NULL;
    int index = l ? l->index : 0;
    if (rc == 0 && view_ifb(&v, id) && !(l && (view_filter(&v, index, id, false) || view_filter(&v, index, id, true)))) {
        view_free(&v); /* an ifb without filters here: perhaps it serves another device */
        rc = view_all(ns, &v, why);
    }
    if (rc == 0)
        rc = undo_fault(ns, &v, index, id, flags, why);
    view_free(&v);
    if (ns->n)
        program_tidy(ns->n->program);
    return rc;
}

/* --- clsact --- */

struct users { unsigned marks, others; }; /* of these runs; anchors of other runs, faults, filters of others */

static bool wanted(const char *run, const char *whose) { return !run || strcmp(run, whose) == 0; }

static struct users count_users(const struct view *v, const char *run) {
    struct users u = {0};
    char whose[NETEM_RUN_SIZE];
    uint32_t id;
    for (size_t i = 0; i < v->filter_count; i++)
        if (view_whose(&v->filters[i], &id, whose) == VIEW_ANCHOR && wanted(run, whose))
            u.marks++;
        else
            u.others++;
    return u;
}

static int remove_marks(struct netem_ns *ns, const struct view *v, const char *run, char *why) {
    char whose[NETEM_RUN_SIZE];
    uint32_t id;
    int rc = 0;
    for (size_t i = 0; i < v->filter_count && rc == 0; i++) {
        const struct msg_filter *f = &v->filters[i];
        if (view_whose(f, &id, whose) != VIEW_ANCHOR || !wanted(run, whose))
            continue;
        talk_begin(&ns->talk);
        talk_add(&ns->talk, msg_filter_del(f->index, f->parent == MSG_IN_PARENT, true, f->handle), "remove our mark of clsact", "");
        rc = talk_send(&ns->talk, why);
        if (rc == 0)
            rc = outcome_of_removal(&ns->talk, why);
    }
    return rc;
}

/* The marks go with clsact in one request: were they gone first, a kill -9 in between would leave a clsact that nobody owns. Where others have
 * moved in it is theirs from now on. */
int undo_clsact(struct netem_ns *ns, int dev_index, const char *run, char *why) {
    struct view v;
    int rc = view_filters(ns, dev_index, &v, why);
    struct users u = count_users(&v, run);
    if (rc == 0 && u.marks && u.others) {
        rc = remove_marks(ns, &v, run, why);
    } else if (rc == 0 && u.marks) {
        talk_begin(&ns->talk);
        talk_add(&ns->talk, msg_clsact_del(dev_index), "remove clsact", "");
        rc = talk_send(&ns->talk, why);
        rc = rc < 0 ? rc : outcome_of_removal(&ns->talk, why);
    }
    view_free(&v);
    return rc;
}

/* --- everything --- */

static int sweep_faults(struct netem_ns *ns, struct view *v, const char *run, unsigned flags, char *why) {
    char whose[NETEM_RUN_SIZE];
    bool left = false;
    uint32_t id;
    for (size_t i = 0; i < v->filter_count; i++) {
        if (view_whose(&v->filters[i], &id, whose) != VIEW_FAULT || !wanted(run, whose))
            continue;
        int rc = undo_fault(ns, v, v->filters[i].index, id, flags | NETEM_KEEP, why);
        if (rc < 0)
            return rc;
        left |= rc == 1;
    }
    return left;
}

/* May all go in one request? When nothing else has their group. */
static bool group_is_ours(const struct view *v, const char *run) {
    char whose[NETEM_RUN_SIZE];
    uint32_t id;
    for (size_t i = 0; i < v->link_count; i++)
        if (v->links[i].group == MSG_GROUP && !(view_is_ifb(&v->links[i], &id, whose) && wanted(run, whose)))
            return false;
    return true;
}

static int remove_group(struct netem_ns *ns, char *why) {
    talk_begin(&ns->talk);
    talk_add(&ns->talk, msg_group_del(), "remove our ifbs", "");
    int rc = talk_send(&ns->talk, why);
    return rc < 0 ? rc : outcome_of_removal(&ns->talk, why);
}

/* By now they have no filters, unless they drain. */
static int sweep_ifbs(struct netem_ns *ns, struct view *v, const char *run, unsigned flags, char *why) {
    char whose[NETEM_RUN_SIZE];
    size_t ours = 0, left = 0;
    uint32_t id;
    int rc = 0;
    for (size_t i = 0; i < v->link_count && rc >= 0; i++)
        if (view_is_ifb(&v->links[i], &id, whose) && wanted(run, whose)) {
            ours++;
            rc = flags & NETEM_DRAIN ? drains(ns, v->links[i].index, why) : 0;
            left += rc == 1;
        }
    if (rc >= 0 && ours > 1 && !left && group_is_ours(v, run))
        return remove_group(ns, why);
    for (size_t i = 0; i < v->link_count && rc >= 0; i++)
        if (view_is_ifb(&v->links[i], &id, whose) && wanted(run, whose)) {
            rc = flags & NETEM_DRAIN ? drains(ns, v->links[i].index, why) : 0;
            rc = rc == 0 ? remove_ifb(ns, v->links[i].index, why) : rc;
        }
    return rc < 0 ? rc : left > 0;
}

int netem_sweep(struct netem_ns *ns, const char *run, unsigned flags, char *why) {
    char whose[NETEM_RUN_SIZE];
    struct view v;
    uint32_t id;
    int rc = view_all(ns, &v, why);
    if (rc == 0)
        rc = sweep_faults(ns, &v, run, flags, why);
    if (rc == 0)
        rc = sweep_ifbs(ns, &v, run, flags, why);
    for (size_t i = 0; i < v.filter_count && rc == 0; i++)
        if (view_whose(&v.filters[i], &id, whose) == VIEW_ANCHOR && wanted(run, whose))
            rc = undo_clsact(ns, v.filters[i].index, run, why);
    view_free(&v);
    if (ns->n)
        program_tidy(ns->n->program);
    return rc;
}
