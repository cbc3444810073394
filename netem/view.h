/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What stands in a namespace, as the kernel tells it: links, queues, filters, whole or an error. And what of it is ours. */
#include "msg.h"
#include "program.h"
#include "talk.h"

struct netem { struct program *program; };
struct netem_ns {
    struct netem *n; /* may be NULL */
    struct talk talk;
};

struct view {
    struct msg_link *links;
    size_t link_count, link_room;
    struct msg_queue *queues; /* options point into replies */
    size_t queue_count, queue_room;
    struct msg_filter *filters;
    size_t filter_count, filter_room;
    struct nlattr **options; /* copies, one a queue of ours */
    size_t option_count, option_room;
    struct reached reached;
};

/* Of one device: itself, the ifb of that fault, its clsact and filters. -ENODEV is only an empty view when gone_is_fine. */
int view_device(struct netem_ns *ns, const char *dev, uint32_t id, bool gone_is_fine, struct view *v, char *why);
int view_all(struct netem_ns *ns, struct view *v, char *why);
/* Only the filters of one device. */
int view_filters(struct netem_ns *ns, int index, struct view *v, char *why);
void view_free(struct view *v);

enum view_whose { VIEW_FOREIGN, VIEW_FAULT, VIEW_ANCHOR };
enum view_whose view_whose(const struct msg_filter *f, uint32_t *ret_id, char ret_run[NETEM_RUN_SIZE]);
/* An ifb of ours; run empty: one that was never given its alias. */
bool view_is_ifb(const struct msg_link *l, uint32_t *ret_id, char ret_run[NETEM_RUN_SIZE]);

const struct msg_link *view_link(const struct view *v, const char *name);
const struct msg_link *view_link_at(const struct view *v, int index);
const struct msg_link *view_ifb(const struct view *v, uint32_t id);
const struct msg_queue *view_root(const struct view *v, int index);
const struct msg_queue *view_clsact(const struct view *v, int index); /* or an ingress qdisc in its place */
const struct msg_filter *view_filter(const struct view *v, int index, uint32_t id, bool ingress);

/* Filters of others on the device that see packets of these directions before ours do. */
unsigned view_before(const struct view *v, int index, unsigned directions);

/* The state of one fault, from all that is there of it. dev_index 0: only its ifb. */
void view_state(struct netem_ns *ns, struct view *v, int dev_index, uint32_t id, const struct netem_params *asked, struct netem_state *ret);
/* The maps and slot behind a filter of ours; NULL: unknown. */
struct maps *view_maps(struct netem_ns *ns, struct view *v, const struct msg_filter *f);
static inline unsigned view_slot(const struct msg_filter *f) { return f->class_id & CLASSIFY_SLOT; }
