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

static int remove_filters(struct netem_ns *ns, struct view *v, int dev_index, uint32_t id, char *why) {
    const struct msg_filter *filters[2] = {view_filter(v, dev_index, id, false), view_filter(v, dev_index, id, true)};
    for (int i = 0; i < 2; i++) {
        struct maps *m = filters[i] ? view_maps(ns, v, filters[i]) : NULL;
        if (m)
            maps_switch(m, view_slot(filters[i]), 0);
    }
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

static int remove_ifb(struct netem_ns *ns, int index, unsigned flags, char *why) {
    struct msg_queue q;
    if (flags & NETEM_DRAIN) {
        talk_begin(&ns->talk);
        talk_add(&ns->talk, msg_queue_get(index), NULL, "");
        int rc = talk_send(&ns->talk, why);
        if (rc < 0)
            return rc;
        const struct talk_answer *a = &ns->talk.answers[0];
        if (a->rc == 0 && a->reply && msg_read_queue(a->reply, &q) == 0 && q.queued > 0)
            return 1;
    }
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
    int rc = remove_filters(ns, v, dev_index, id, why);
    if (rc < 0 || !ifb || used_elsewhere(v, dev_index, ifb->index))
        return rc;
    return remove_ifb(ns, ifb->index, flags, why);
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

struct users { unsigned anchors, faults, foreign; };

static int count_users(struct netem_ns *ns, int dev_index, struct users *ret, char *why) {
    char run[NETEM_RUN_SIZE];
    uint32_t id;
    struct view v;
    *ret = (struct users){0};
    int rc = view_filters(ns, dev_index, &v, why);
    for (size_t i = 0; rc == 0 && i < v.filter_count; i++)
        switch (view_whose(&v.filters[i], &id, run)) {
        case VIEW_ANCHOR: ret->anchors++; break;
        case VIEW_FAULT: ret->faults++; break;
        case VIEW_FOREIGN: ret->foreign++; break;
        }
    view_free(&v);
    return rc;
}

int undo_clsact(struct netem_ns *ns, int dev_index, const char *run, char *why) {
    char whose[NETEM_RUN_SIZE];
    struct users left;
    struct view v;
    uint32_t id;
    bool went = false;
    int rc = view_filters(ns, dev_index, &v, why);
    for (size_t i = 0; rc == 0 && i < v.filter_count; i++) {
        if (view_whose(&v.filters[i], &id, whose) != VIEW_ANCHOR || (run && strcmp(run, whose) != 0))
            continue;
        talk_begin(&ns->talk);
        talk_add(&ns->talk, msg_filter_del(dev_index, v.filters[i].parent == MSG_IN_PARENT, true, v.filters[i].handle), "remove our mark of clsact", "");
        rc = talk_send(&ns->talk, why);
        if (rc == 0)
            rc = outcome_of_removal(&ns->talk, why);
        went = true;
    }
    view_free(&v);
    if (rc < 0 || !went || (rc = count_users(ns, dev_index, &left, why)) < 0)
        return rc;
    if (left.anchors || left.faults || left.foreign) /* others moved in: it is theirs now */
        return 0;
    talk_begin(&ns->talk);
    talk_add(&ns->talk, msg_clsact_del(dev_index), "remove clsact", "");
    rc = talk_send(&ns->talk, why);
    return rc < 0 ? rc : outcome_of_removal(&ns->talk, why);
}

/* --- everything --- */

static bool wanted(const char *run, const char *whose) { return !run || strcmp(run, whose) == 0; }

static int sweep_faults(struct netem_ns *ns, struct view *v, const char *run, char *why) {
    char whose[NETEM_RUN_SIZE];
    uint32_t id;
    int rc = 0;
    for (size_t i = 0; i < v->filter_count && rc == 0; i++)
        if (view_whose(&v->filters[i], &id, whose) == VIEW_FAULT && wanted(run, whose))
            rc = remove_filters(ns, v, v->filters[i].index, id, why);
    return rc;
}

static int sweep_ifbs(struct netem_ns *ns, struct view *v, const char *run, unsigned flags, char *why) {
    char whose[NETEM_RUN_SIZE];
    bool drains = false;
    uint32_t id;
    for (size_t i = 0; i < v->link_count; i++) {
        if (!view_is_ifb(&v->links[i], &id, whose) || !wanted(run, whose))
            continue;
        int rc = remove_ifb(ns, v->links[i].index, flags, why);
        if (rc < 0)
            return rc;
        drains |= rc == 1;
    }
    return drains;
}

int netem_sweep(struct netem_ns *ns, const char *run, unsigned flags, char *why) {
    char whose[NETEM_RUN_SIZE];
    struct view v;
    uint32_t id;
    int rc = view_all(ns, &v, why);
    if (rc == 0)
        rc = sweep_faults(ns, &v, run, why);
    for (size_t i = 0; i < v.filter_count && rc == 0; i++)
        if (view_whose(&v.filters[i], &id, whose) == VIEW_ANCHOR && wanted(run, whose))
            rc = undo_clsact(ns, v.filters[i].index, run, why);
    if (rc == 0)
        rc = sweep_ifbs(ns, &v, run, flags, why);
    view_free(&v);
    if (ns->n)
        program_tidy(ns->n->program);
    return rc;
}
