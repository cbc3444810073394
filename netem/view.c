/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* --- gathering --- */

/* One more of a list; NULL: out of memory. */
static void *grow(void **list, size_t *count, size_t *room, size_t size) {
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 16;
        void *p = realloc(*list, more * size);
        if (!p)
            return NULL;
        *list = p;
        *room = more;
    }
    return (char *)*list + (*count)++ * size;
}
#define GROW(v, kind) grow((void **)&(v)->kind##s, &(v)->kind##_count, &(v)->kind##_room, sizeof *(v)->kind##s)

static int on_link(struct nlmsghdr *h, void *arg) {
    struct view *v = arg;
    if (!h) {
        v->link_count = 0;
        return 0;
    }
    struct msg_link *l = GROW(v, link);
    return l ? msg_read_link(h, l) : -ENOMEM;
}

static int keep_options(struct view *v, struct msg_queue *q) {
    if (q->handle != MSG_QUEUE_HANDLE || !q->options) {
        q->options = NULL;
        return 0;
    }
    struct nlattr **slot = GROW(v, option), *copy = malloc((size_t)q->options->nla_len);
    if (!slot || !copy) {
        free(copy);
        if (slot)
            v->option_count--;
        return -ENOMEM;
    }
    memcpy(copy, q->options, q->options->nla_len);
    *slot = q->options = copy;
    return 0;
}

static int on_queue(struct nlmsghdr *h, void *arg) {
    struct view *v = arg;
    if (!h) {
        v->queue_count = 0;
        return 0;
    }
    struct msg_queue *q = GROW(v, queue);
    int rc = q ? msg_read_queue(h, q) : -ENOMEM;
    return rc < 0 ? rc : keep_options(v, q);
}

struct filters_of { struct view *v; size_t from; };

static int on_filter(struct nlmsghdr *h, void *arg) {
    struct filters_of *o = arg;
    struct view *v = o->v;
    if (!h) {
        v->filter_count = o->from;
        return 0;
    }
    struct msg_filter *f = GROW(v, filter);
    int rc = f ? msg_read_filter(h, f) : -ENOMEM;
    if (rc == 0 && !f->whole)
        v->filter_count--;
    return rc;
}

static int gather_filters(struct netem_ns *ns, struct view *v, int index, char *why) {
    int rc = 0;
    for (int ingress = 0; ingress < 2 && rc == 0; ingress++) {
        struct filters_of o = {v, v->filter_count};
        rc = talk_dump(&ns->talk, msg_filter_dump(index, ingress), "list filters", on_filter, &o, why);
        if (rc == -ENODEV || rc == -EINVAL) /* the device or its clsact went in between */
            rc = 0;
    }
    return rc;
}

int view_filters(struct netem_ns *ns, int index, struct view *v, char *why) {
    memset(v, 0, sizeof *v);
    return gather_filters(ns, v, index, why);
}

static bool is_clsact(const struct msg_queue *q) { return q->handle == 0xffff0000u && q->parent == MSG_CLSACT_PARENT; }

int view_device(struct netem_ns *ns, const char *dev, uint32_t id, bool gone_is_fine, struct view *v, char *why) {
    struct talk *t = &ns->talk;
    char ifb[NETEM_DEV_SIZE];
    memset(v, 0, sizeof *v);
    msg_ifb_name(ifb, id);
    talk_begin(t);
    unsigned device = talk_add(t, msg_link_get(dev), gone_is_fine ? NULL : "interface", dev), queue = talk_add(t, msg_link_get(ifb), NULL, ifb);
    int rc = talk_send(t, why);
    if (rc == 0)
        rc = talk_outcome(t, why);
    for (unsigned i = device; rc == 0 && i <= queue; i++) {
        if (t->answers[i].rc == 0 && t->answers[i].reply)
            rc = on_link(t->answers[i].reply, v);
        else if (t->answers[i].rc == 0)
            rc = netem_why(why, -EPROTO, "interface %s: the kernel answered without it: what is there is unknown", t->answers[i].subject);
        else if (t->answers[i].rc != -ENODEV)
            rc = talk_sentence(&t->answers[i], why); /* unknown, not none */
    }
    if (rc < 0 || v->link_count == 0)
        return rc;
    bool there = t->answers[device].rc == 0;
    int device_index = v->links[0].index; /* of the ifb when the device is gone: it has no clsact */
    talk_begin(t);
    talk_add(t, msg_clsact_get(device_index), NULL, dev);
    if (view_ifb(v, id))
        talk_add(t, msg_queue_get(view_ifb(v, id)->index), NULL, ifb);
    rc = talk_send(t, why);
    for (unsigned i = 0; rc == 0 && i < t->count; i++)
        if (t->answers[i].rc == 0 && t->answers[i].reply)
            rc = on_queue(t->answers[i].reply, v);
        else if (t->answers[i].rc < 0 && t->answers[i].rc != -ENOENT && t->answers[i].rc != -ENODEV)
            rc = talk_sentence(&t->answers[i], why);
    return rc == 0 && there && view_clsact(v, device_index) ? gather_filters(ns, v, device_index, why) : rc;
}

int view_all(struct netem_ns *ns, struct view *v, char *why) {
    memset(v, 0, sizeof *v);
    int rc = talk_dump(&ns->talk, msg_link_dump(), "list interfaces", on_link, v, why);
    if (rc == 0)
        rc = talk_dump(&ns->talk, msg_queue_dump(), "list queues", on_queue, v, why);
    for (size_t i = 0; rc == 0 && i < v->queue_count; i++)
        if (is_clsact(&v->queues[i]))
            rc = gather_filters(ns, v, v->queues[i].index, why);
    return rc;
}

void view_free(struct view *v) {
    for (size_t i = 0; i < v->option_count; i++)
        free(v->options[i]);
    free(v->options);
    free(v->links);
    free(v->queues);
    free(v->filters);
    reached_free(&v->reached);
    memset(v, 0, sizeof *v);
}

/* --- whose --- */

enum view_whose view_whose(const struct msg_filter *f, uint32_t *ret_id, char ret_run[NETEM_RUN_SIZE]) {
    *ret_id = 0;
    *ret_run = 0;
    if (!f->bpf || f->priority != MSG_PRIORITY || f->class_id >> 16 != CLASSIFY_MAJOR || !msg_read_tag(f->tag, ret_id, ret_run))
        return VIEW_FOREIGN;
    if (*ret_id == 0)
        return f->chain == MSG_ANCHOR_CHAIN ? VIEW_ANCHOR : VIEW_FOREIGN;
    return f->chain == 0 && f->handle == *ret_id ? VIEW_FAULT : VIEW_FOREIGN;
}

bool view_is_ifb(const struct msg_link *l, uint32_t *ret_id, char ret_run[NETEM_RUN_SIZE]) {
    char name[NETEM_DEV_SIZE];
    *ret_run = 0;
    if (!l->is_ifb || strncmp(l->name, "chaosd-", 7) != 0)
        return false;
    *ret_id = (uint32_t)strtoul(l->name + 7, NULL, 16);
    msg_ifb_name(name, *ret_id);
    if (strcmp(name, l->name) != 0)
        return false;
    uint32_t id;
    if (*l->alias)
        return msg_read_tag(l->alias, &id, ret_run) && id == *ret_id;
    return l->group == MSG_GROUP && !l->up;
}

const struct msg_link *view_link(const struct view *v, const char *name) {
    for (size_t i = 0; i < v->link_count; i++)
        if (strcmp(v->links[i].name, name) == 0)
            return &v->links[i];
    return NULL;
}

const struct msg_link *view_link_at(const struct view *v, int index) {
    for (size_t i = 0; i < v->link_count; i++)
        if (v->links[i].index == index)
            return &v->links[i];
    return NULL;
}

const struct msg_link *view_ifb(const struct view *v, uint32_t id) {
    char run[NETEM_RUN_SIZE];
    uint32_t got;
    for (size_t i = 0; i < v->link_count; i++)
        if (view_is_ifb(&v->links[i], &got, run) && got == id)
            return &v->links[i];
    return NULL;
}

const struct msg_queue *view_root(const struct view *v, int index) {
    for (size_t i = 0; i < v->queue_count; i++)
        if (v->queues[i].index == index && v->queues[i].parent == TC_H_ROOT)
            return &v->queues[i];
    return NULL;
}

const struct msg_queue *view_clsact(const struct view *v, int index) {
    for (size_t i = 0; i < v->queue_count; i++)
        if (v->queues[i].index == index && is_clsact(&v->queues[i]))
            return &v->queues[i];
    return NULL;
}

const struct msg_filter *view_filter(const struct view *v, int index, uint32_t id, bool ingress) {
    char run[NETEM_RUN_SIZE];
    uint32_t got;
    for (size_t i = 0; i < v->filter_count; i++) {
        const struct msg_filter *f = &v->filters[i];
        if (f->index == index && (f->parent == MSG_IN_PARENT) == ingress && view_whose(f, &got, run) == VIEW_FAULT && got == id)
            return f;
    }
    return NULL;
}

unsigned view_before(const struct view *v, int index, unsigned directions) {
    char run[NETEM_RUN_SIZE];
    unsigned count = 0;
    uint32_t id;
    for (size_t i = 0; i < v->filter_count; i++) {
        const struct msg_filter *f = &v->filters[i];
        count += f->index == index && !f->table && f->chain == 0 && f->priority < MSG_PRIORITY && directions & (f->parent == MSG_IN_PARENT ? NETEM_IN : NETEM_OUT) &&
                 view_whose(f, &id, run) == VIEW_FOREIGN;
    }
    return count;
}

struct maps *view_maps(struct netem_ns *ns, struct view *v, const struct msg_filter *f) {
    struct maps *m = reach(&v->reached, ns->n ? ns->n->program : NULL, f->program);
    return m && view_slot(f) > 0 && view_slot(f) < m->count && m->slots[view_slot(f)].fault == f->handle ? m : NULL;
}
