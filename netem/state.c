/* SPDX-License-Identifier: Apache-2.0 */
/* What is there of a fault: read, list, and the moving of its deadline. */
#include "view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t netem_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void broken(struct netem_state *s, const char *text) {
    if (!*s->broken)
        snprintf(s->broken, sizeof s->broken, "%s", text);
}

static void read_slot(struct netem_ns *ns, struct view *v, const struct msg_filter *f, struct netem_state *s) {
    struct maps *m = view_maps(ns, v, f);
    if (!m)
        return;
    const struct classify_slot *slot = &m->slots[view_slot(f)];
    s->since_ns = (int64_t)slot->since_ns;
    s->until_ns = (int64_t)__atomic_load_n(&slot->until_ns, __ATOMIC_ACQUIRE);
    s->left_ns = s->until_ns - netem_now();
    if (s->left_ns < 0)
        s->left_ns = 0;
    s->act = slot->act;
    if (slot->directions != s->directions && s->left_ns > 0)
        broken(s, s->directions & slot->directions ? "one of its two filters was taken away" : "its filters were taken away");
    s->known = maps_counts(m, view_slot(f), false, &s->out) == 0 && maps_counts(m, view_slot(f), true, &s->in) == 0;
}

static void read_queue(struct view *v, const struct msg_link *ifb, const struct netem_params *asked, struct netem_state *s) {
    const struct msg_queue *q = view_root(v, ifb->index);
    char why[NETEM_ERROR_SIZE];
    s->has_queue = true;
    if (q) {
        s->queue_sent = q->packets;
        s->queue_dropped = q->dropped;
        s->queued = q->queued;
    }
    if (!ifb->up)
        broken(s, "its ifb is down: the packets named are lost");
    if (!q || q->handle != MSG_QUEUE_HANDLE) {
        broken(s, "its ifb's queue was taken away or replaced");
        return;
    }
    if (strcmp(q->kind, "netem") != 0) {
        if (!s->known) /* no slot tells: the queue does */
            s->act = NETEM_PASS;
        return;
    }
    if (!q->options || netem_decode((char *)q->options + NLA_HDRLEN, (size_t)q->options->nla_len - NLA_HDRLEN, &s->params, why) < 0) {
        broken(s, "its queue's parameters cannot be read");
        return;
    }
    s->params.table = NULL;
    const char *differs = asked ? netem_differs(asked, &s->params) : NULL;
    if (differs && !*s->broken)
        snprintf(s->broken, sizeof s->broken, "read back, its queue's %s is not what was asked", differs);
}

void view_state(struct netem_ns *ns, struct view *v, int dev_index, uint32_t id, const struct netem_params *asked, struct netem_state *ret) {
    const struct msg_filter *filters[2] = {view_filter(v, dev_index, id, false), view_filter(v, dev_index, id, true)};
    const struct msg_link *ifb = view_ifb(v, id), *dev = view_link_at(v, dev_index);
    const struct msg_filter *any = filters[0] ? filters[0] : filters[1];
    uint32_t same;
    *ret = (struct netem_state){.id = id, .directions = (filters[0] ? NETEM_OUT : 0) | (filters[1] ? NETEM_IN : 0)};
    if (ifb)
        view_is_ifb(ifb, &same, ret->run);
    if (dev)
        snprintf(ret->dev, sizeof ret->dev, "%s", dev->name);
    ret->before = view_before(v, dev_index, ret->directions);
    if (any) {
        msg_read_tag(any->tag, &same, ret->run);
        ret->act = any->direct ? NETEM_DROP : NETEM_SHAPE;
        read_slot(ns, v, any, ret);
    }
    for (int i = 0; i < 2; i++)
        if (filters[i] && !filters[i]->direct && (!ifb || filters[i]->redirect_to != ifb->index))
            broken(ret, "its ifb was taken away: the packets named are lost until the deadline");
    if (ifb)
        read_queue(v, ifb, asked, ret);
}

int netem_read(struct netem_ns *ns, const char *dev, uint32_t id, const struct netem_params *asked, struct netem_state *ret, char *why) {
    struct view v;
    int rc = view_device(ns, dev, id, false, &v, why);
    const struct msg_link *l = rc == 0 ? view_link(&v, dev) : NULL;
    if (l && (view_filter(&v, l->index, id, false) || view_filter(&v, l->index, id, true)))
        view_state(ns, &v, l->index, id, asked, ret);
    else if (rc == 0)
        rc = netem_why(why, -ENOENT, "no fault %u of ours stands on %s (any more)", id, dev);
    view_free(&v);
    return rc;
}

static bool listed(const struct netem_state *list, int count, uint32_t id, const char *dev) {
    for (int i = 0; i < count; i++)
        if (list[i].id == id && (!dev || strcmp(list[i].dev, dev) == 0))
            return true;
    return false;
}

static int fill_list(struct netem_ns *ns, struct view *v, const char *run, struct netem_state *list) {
    char whose[NETEM_RUN_SIZE];
    int count = 0;
    uint32_t id;
    for (size_t i = 0; i < v->filter_count; i++) {
        const struct msg_link *dev = view_link_at(v, v->filters[i].index);
        if (view_whose(&v->filters[i], &id, whose) == VIEW_FAULT && (!run || strcmp(run, whose) == 0) && dev && !listed(list, count, id, dev->name))
            view_state(ns, v, dev->index, id, NULL, &list[count++]);
    }
    for (size_t i = 0; i < v->link_count; i++)
        if (view_is_ifb(&v->links[i], &id, whose) && (!run || strcmp(run, whose) == 0) && !listed(list, count, id, NULL))
            view_state(ns, v, 0, id, NULL, &list[count++]);
    return count;
}

int netem_list(struct netem_ns *ns, const char *run, struct netem_state **ret, char *why) {
    struct view v;
    int rc = view_all(ns, &v, why);
    *ret = NULL;
    if (rc == 0) {
        struct netem_state *list = calloc(v.filter_count + v.link_count + 1, sizeof *list);
        rc = list ? fill_list(ns, &v, run, list) : netem_why(why, -ENOMEM, "out of memory");
        *ret = list;
    }
    view_free(&v);
    return rc;
}

int netem_extend(struct netem_ns *ns, const char *dev, uint32_t id, int64_t until_ns, char *why) {
    struct view v;
    int found = 0, unknown = 0, rc = view_device(ns, dev, id, false, &v, why);
    const struct msg_link *l = rc == 0 ? view_link(&v, dev) : NULL;
    for (int ingress = 0; l && ingress < 2; ingress++) {
        const struct msg_filter *f = view_filter(&v, l->index, id, ingress);
        struct maps *m = f ? view_maps(ns, &v, f) : NULL;
        found += f != NULL;
        unknown += f && !m;
        if (m)
            maps_switch(m, view_slot(f), until_ns > 0 ? (uint64_t)until_ns : 0);
    }
    if (rc == 0 && !found)
        rc = netem_why(why, -ENOENT, "no fault %u of ours stands on %s (any more)", id, dev);
    else if (rc == 0 && unknown)
        rc = netem_why(why, -EPERM, "fault %u on %s belongs to another process, and its deadline cannot be reached (it needs CAP_SYS_ADMIN and the same version); it can be removed", id, dev);
    view_free(&v);
    return rc;
}

int netem_end(struct netem_ns *ns, const char *dev, uint32_t id, char *why) { return netem_extend(ns, dev, id, netem_now(), why); }
