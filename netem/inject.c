/* SPDX-License-Identifier: Apache-2.0 */
/* Putting a fault in, or changing it. The order makes it safe to die anywhere: peers, then all that stands in the namespace, led to by a slot
 * that is still off, and last the one store that switches it on. A change has its new slot on before the filters go over to it. */
#include "undo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct netem_job {
    struct netem_ns *ns;
    const struct netem_fault *fault;
    unsigned slot; /* 0: none (any more) */
    bool filled;
};

/* What is there before, and what it is to become. */
struct site {
    struct netem_job *job;
    const struct netem_fault *f;
    struct view view;
    int device, ifb; /* indices; ifb 0: none */
    const struct msg_filter *old[2];
    bool has_clsact, anchored, anchor_mine, made_ifb, made_clsact, old_shaped, filters_touched;
    char tag[MSG_NAME_SIZE], anchor_tag[MSG_NAME_SIZE], ifb_name[NETEM_DEV_SIZE];
};

static struct program *program_of(struct netem_job *j) { return j->ns->n->program; }

/* --- the slot --- */

static void copy_ranges(struct classify_range out[CLASSIFY_RANGES], const struct netem_range *in, size_t count) {
    for (size_t i = 0; i < CLASSIFY_RANGES; i++)
        out[i] = i < count ? (struct classify_range){in[i].first, in[i].last} : (struct classify_range){1, 0};
}

static void write_slot(struct netem_job *j) {
    const struct netem_fault *f = j->fault;
    struct classify_slot s = {.fault = f->id, .protocol = f->protocol, .directions = (uint8_t)f->directions, .act = (uint8_t)f->act};
    s.flags = (f->peer_count ? CLASSIFY_PEERS : 0) | (f->protocol ? CLASSIFY_PROTOCOL : 0) | (f->local_count ? CLASSIFY_LOCAL_PORTS : 0) |
              (f->peer_port_count ? CLASSIFY_PEER_PORTS : 0);
    if (f->act == NETEM_DROP && f->drop_ppm < NETEM_PPM) {
        s.flags |= CLASSIFY_SHARE;
        s.share = (uint32_t)(((uint64_t)f->drop_ppm << 32) / NETEM_PPM);
    }
    copy_ranges(s.local, f->local_ports, f->local_count);
    copy_ranges(s.peer, f->peer_ports, f->peer_port_count);
    memcpy(s.run, f->run, strlen(f->run));
    program_maps(program_of(j))->slots[j->slot] = s;
}

static void switch_on(struct netem_job *j, struct netem_effect *ret) {
    struct maps *m = program_maps(program_of(j));
    ret->since_ns = netem_now();
    ret->until_ns = ret->since_ns + j->fault->for_ns;
    m->slots[j->slot].since_ns = (uint64_t)ret->since_ns;
    maps_switch(m, j->slot, (uint64_t)ret->until_ns);
}

/* --- looking --- */

static int look_at_filters(struct site *s, char *why) {
    char run[NETEM_RUN_SIZE];
    uint32_t id;
    for (size_t i = 0; i < s->view.filter_count; i++) {
        const struct msg_filter *f = &s->view.filters[i];
        bool ingress = f->parent == MSG_IN_PARENT;
        enum view_whose whose = view_whose(f, &id, run);
        if (whose == VIEW_FOREIGN && f->chain == 0 && f->priority == MSG_PRIORITY && f->handle == s->f->id)
            return netem_why(why, -EEXIST, "%s: a filter of another's has priority %d and handle 0x%x, where ours would stand", s->f->dev, MSG_PRIORITY, s->f->id);
        if (whose == VIEW_ANCHOR) {
            s->anchored = true;
            s->anchor_mine |= strcmp(run, s->f->run) == 0;
        }
        if (whose == VIEW_FAULT && id == s->f->id) {
            if (strcmp(run, s->f->run) != 0)
                return netem_why(why, -EEXIST, "fault %u on %s is run %s's", id, s->f->dev, run);
            s->old[ingress] = f;
        }
    }
    return 0;
}

static int used_elsewhere(struct site *s, int ifb, char *why) {
    struct view all;
    int rc = view_all(s->job->ns, &all, why);
    for (size_t i = 0; rc == 0 && i < all.filter_count; i++)
        if (all.filters[i].redirect_to == ifb)
            rc = netem_why(why, -EEXIST, "fault %u stands on another interface of this namespace: an id is used once", s->f->id);
    view_free(&all);
    return rc;
}

/* An ifb with our fault's name: its own, what is left of it, or in our way. */
static int look_at_ifb(struct site *s, char *why) {
    char run[NETEM_RUN_SIZE];
    uint32_t id;
    const struct msg_link *l = view_link(&s->view, s->ifb_name);
    bool change = s->old[0] || s->old[1];
    if (!l)
        return 0;
    if (!view_is_ifb(l, &id, run))
        return netem_why(why, -EEXIST, "an interface of another's has the name %s", s->ifb_name);
    if (*run && strcmp(run, s->f->run) != 0)
        return netem_why(why, -EEXIST, "fault %u is run %s's: its ifb %s is there", id, run, s->ifb_name);
    int rc = change ? 0 : used_elsewhere(s, l->index, why);
    if (rc < 0)
        return rc;
    const struct msg_queue *q = view_root(&s->view, l->index);
    bool ours = q && q->handle == MSG_QUEUE_HANDLE;
    s->old_shaped = ours && strcmp(q->kind, "netem") == 0;
    s->ifb = l->index;
    if (s->f->act == NETEM_DROP || (*run && (!ours || s->old_shaped == (s->f->act == NETEM_SHAPE))))
        return 0;
    if (change)
        return netem_why(why, -EBUSY, "fault %u on %s shapes or passes already: remove it before it becomes the other", s->f->id, s->f->dev);
    s->ifb = 0;
    talk_begin(&s->job->ns->talk);
    talk_add(&s->job->ns->talk, msg_link_del(l->index), "remove a remnant of ours,", s->ifb_name);
    rc = talk_send(&s->job->ns->talk, why);
    return rc < 0 ? rc : talk_outcome(&s->job->ns->talk, why);
}

static int look(struct site *s, char *why) {
    int rc = view_device(s->job->ns, s->f->dev, s->f->id, false, &s->view, why);
    if (rc < 0)
        return rc;
    s->device = view_link(&s->view, s->f->dev)->index;
    const struct msg_queue *c = view_clsact(&s->view, s->device);
    s->has_clsact = c != NULL;
    if (c && strcmp(c->kind, "clsact") != 0 && (s->f->directions & NETEM_OUT))
        return netem_why(why, -EBUSY, "%s: an %s qdisc of another's stands where clsact would, and with it packets going out cannot be reached", s->f->dev, c->kind);
    if (c && c->shared)
        return netem_why(why, -EBUSY, "%s: its clsact shares a filter block with other devices: a filter there would hit them too", s->f->dev);
    rc = look_at_filters(s, why);
    return rc < 0 ? rc : look_at_ifb(s, why);
}

/* --- building --- */

static int make_ifb(struct site *s, char *why) {
    struct talk *t = &s->job->ns->talk;
    struct msg_link l;
    talk_begin(t);
    talk_add(t, msg_ifb_new(s->ifb_name), "make", s->ifb_name);
    talk_add(t, msg_link_alias(s->ifb_name, s->tag), "name", s->ifb_name);
    talk_add(t, msg_link_no_ip6(s->ifb_name), NULL, "");
    unsigned at = talk_add(t, msg_link_get(s->ifb_name), "find", s->ifb_name);
    int rc = talk_send(t, why);
    s->made_ifb = rc < 0 || t->answers[0].rc == 0;
    if (rc == 0)
        rc = talk_outcome(t, why);
    if (rc == 0 && (!t->answers[at].reply || msg_read_link(t->answers[at].reply, &l) < 0))
        rc = netem_why(why, -EPROTO, "%s: the kernel's answer is not understood", s->ifb_name);
    if (rc == 0)
        s->ifb = l.index;
    return rc;
}

/* Before the ifb is up: a queue that is attached to one that is up waits for all CPUs. */
static int set_queue(struct site *s, char *why) {
    struct talk *t = &s->job->ns->talk;
    struct nl_msg *m = s->f->act == NETEM_SHAPE ? msg_netem(s->ifb, s->old_shaped, s->f->params, why) : msg_plain_queue(s->ifb);
    talk_begin(t);
    talk_add(t, m, s->f->act == NETEM_SHAPE ? "attach netem to" : "attach a plain queue to", s->ifb_name);
    talk_add(t, msg_link_up(s->ifb), "bring up", s->ifb_name);
    int rc = talk_send(t, why);
    return rc < 0 ? rc : talk_outcome(t, why);
}

static void add_filter(struct site *s, bool ingress) {
    const struct netem_fault *f = s->f;
    struct program *p = program_of(s->job);
    if (!(f->directions & (ingress ? NETEM_IN : NETEM_OUT))) {
        if (s->old[ingress])
            talk_add(&s->job->ns->talk, msg_filter_del(s->device, ingress, false, f->id), "remove our filter from", f->dev);
        return;
    }
    const struct msg_filter_spec spec = {
        .index = s->device, .ingress = ingress, .replace = s->old[ingress] != NULL, .handle = f->id,
        .class_id = (uint32_t)CLASSIFY_MAJOR << 16 | (ingress ? CLASSIFY_INGRESS : 0) | s->job->slot,
        .program_fd = program_fd(p, f->act != NETEM_DROP), .tag = s->tag, .redirect_to = f->act != NETEM_DROP ? s->ifb : 0,
    };
    talk_add(&s->job->ns->talk, msg_filter_new(&spec), ingress ? "add our filter for packets coming in to" : "add our filter for packets going out to", f->dev);
}

static int set_filters(struct site *s, char *why) {
    struct talk *t = &s->job->ns->talk;
    const struct netem_fault *f = s->f;
    bool anchor = s->has_clsact ? s->anchored && !s->anchor_mine : true;
    const struct msg_filter_spec mark = {.index = s->device, .anchor = true, .replace = true, .handle = msg_anchor_handle(f->run),
        .class_id = (uint32_t)CLASSIFY_MAJOR << 16, .program_fd = program_fd(program_of(s->job), false), .tag = s->anchor_tag};
    talk_begin(t);
    unsigned clsact = s->has_clsact ? TALK_MOST : talk_add(t, msg_clsact_new(s->device), NULL, f->dev);
    if (anchor)
        talk_add(t, msg_filter_new(&mark), "mark clsact as ours on", f->dev);
    add_filter(s, false);
    add_filter(s, true);
    int rc = talk_send(t, why);
    if (rc < 0)
        return rc;
    int made = clsact < TALK_MOST ? t->answers[clsact].rc : -EEXIST;
    s->made_clsact = made == 0;
    if (made < 0 && made != -EEXIST) {
        t->answers[clsact].what = "attach clsact to";
        return talk_sentence(&t->answers[clsact], why);
    }
    rc = talk_outcome(t, why);
    if (made == -EEXIST && clsact < TALK_MOST) { /* somebody was faster: it is not ours */
        talk_begin(t);
        talk_add(t, msg_filter_del(s->device, false, true, mark.handle), NULL, "");
        int sent = talk_send(t, rc == 0 ? why : NULL);
        rc = rc < 0 ? rc : sent;
    }
    return rc;
}

static int build(struct site *s, struct netem_effect *ret, char *why) {
    bool change = s->old[0] || s->old[1];
    int rc = s->f->act != NETEM_DROP && !s->ifb ? make_ifb(s, why) : 0;
    if (rc == 0 && s->f->act != NETEM_DROP)
        rc = set_queue(s, why);
    program_maps(program_of(s->job))->slots[s->job->slot].ifb = s->f->act != NETEM_DROP ? (uint32_t)s->ifb : 0;
    if (rc == 0 && change)
        switch_on(s->job, ret);
    s->filters_touched = rc == 0;
    return rc < 0 ? rc : set_filters(s, why);
}

/* A fault that was not there goes without a trace; of a change that failed before its filters nothing was changed. */
static void take_back(struct site *s) {
    struct netem_job *j = s->job;
    bool change = s->old[0] || s->old[1];
    if (!change || s->filters_touched) {
        netem_remove(j->ns, s->f->dev, s->f->id, 0, NULL);
    } else if (s->made_ifb && s->ifb) {
        talk_begin(&j->ns->talk);
        talk_add(&j->ns->talk, msg_link_del(s->ifb), NULL, "");
        talk_send(&j->ns->talk, NULL);
    }
    if (s->made_clsact)
        undo_clsact(j->ns, s->device, s->f->run, NULL);
}

/* Figures go on where the old slot's stopped; then that one may go. */
static void retire_old(struct site *s) {
    struct maps *mine = program_maps(program_of(s->job));
    for (int ingress = 0; ingress < 2; ingress++) {
        const struct msg_filter *f = s->old[ingress];
        struct maps *m = f ? view_maps(s->job->ns, &s->view, f) : NULL;
        struct netem_counts was, now;
        if (m && maps_counts(m, view_slot(f), ingress, &was) == 0 && maps_counts(mine, s->job->slot, ingress, &now) == 0) {
            was.seen += now.seen;
            was.packets += now.packets;
            was.bytes += now.bytes;
            maps_put_counts(mine, s->job->slot, ingress, &was);
        }
    }
    for (int ingress = 0; ingress < 2; ingress++)
        if (s->old[ingress] && program_is(program_of(s->job), s->old[ingress]->program) && view_slot(s->old[ingress]) != s->job->slot)
            program_release(program_of(s->job), view_slot(s->old[ingress]));
}

static int install(struct netem_job *j, struct netem_effect *ret, char *why) {
    struct site s = {.job = j, .f = j->fault};
    *ret = (struct netem_effect){0};
    msg_tag(s.tag, s.f->id, s.f->run);
    msg_anchor_tag(s.anchor_tag, s.f->run);
    msg_ifb_name(s.ifb_name, s.f->id);
    int rc = look(&s, why);
    if (rc == 0 && (rc = build(&s, ret, why)) < 0)
        take_back(&s);
    if (rc == 0) {
        ret->changed = s.old[0] || s.old[1];
        ret->attached = s.made_clsact;
        ret->before = view_before(&s.view, s.device, s.f->directions);
        if (ret->changed)
            retire_old(&s);
        else
            switch_on(j, ret);
        j->slot = 0; /* the fault's now */
    }
    view_free(&s.view);
    return rc;
}

/* --- steps --- */

int netem_begin(struct netem_ns *ns, const struct netem_fault *f, struct netem_job **ret, char *why) {
    int rc = netem_fault_check(f, why);
    if (rc == 0 && !ns->n)
        rc = netem_why(why, -EINVAL, "the classifier is not loaded");
    struct netem_job *j = rc == 0 ? calloc(1, sizeof *j) : NULL;
    if (rc < 0 || !j)
        return rc < 0 ? rc : netem_why(why, -ENOMEM, "out of memory");
    j->ns = ns;
    j->fault = f;
    rc = program_take(program_of(j), f->peer_count, why);
    if (rc < 0) {
        free(j);
        return rc;
    }
    j->slot = (unsigned)rc;
    write_slot(j);
    j->filled = f->peer_count == 0;
    *ret = j;
    return 0;
}

int netem_step(struct netem_job *j, struct netem_effect *ret, char *why) {
    if (!j->slot)
        return netem_why(why, -EINVAL, "this job is done");
    int rc = j->filled ? 0 : program_fill(program_of(j), j->slot, j->fault->peers, j->fault->peer_count, why);
    j->filled = rc == 0;
    return rc ? rc : install(j, ret, why);
}

void netem_cancel(struct netem_job *j) {
    if (j && j->slot)
        program_release(program_of(j), j->slot);
    free(j);
}

int netem_inject(struct netem_ns *ns, const struct netem_fault *f, struct netem_effect *ret, char *why) {
    struct netem_job *j;
    int rc = netem_begin(ns, f, &j, why);
    if (rc < 0)
        return rc;
    do
        rc = netem_step(j, ret, why);
    while (rc > 0);
    netem_cancel(j);
    return rc;
}
