/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Requests and replies of routing netlink that faults need: links, queues, filters. Builders return NULL when out of memory. */
#include "netem.h"

#include <netlink/msg.h>

enum {
    MSG_PRIORITY = 0xc4a0,     /* of our filters: behind 0xc000, which the kernel gives to filters that name none, so that we share with nobody */
    MSG_ANCHOR_CHAIN = 0xc4a0, /* a chain that no packet enters: who attached clsact is written there */
    MSG_GROUP = 0xc4a0,        /* link group of our ifbs: set as they are made, before they can be given an alias */
    MSG_NAME_SIZE = 128,
};
#define MSG_QUEUE_HANDLE 0xc4a00000u
#define MSG_CLSACT_PARENT 0xfffffff1u
#define MSG_OUT_PARENT 0xfffffff3u
#define MSG_IN_PARENT 0xfffffff2u

/* "chaosd:0000002a:run", "chaosd:clsact:run": the alias of an ifb, the name of a filter. */
void msg_tag(char out[MSG_NAME_SIZE], uint32_t id, const char *run);
void msg_anchor_tag(char out[MSG_NAME_SIZE], const char *run);
/* Is it one of ours? id 0: an anchor's. */
bool msg_read_tag(const char *tag, uint32_t *ret_id, char ret_run[NETEM_RUN_SIZE]);
void msg_ifb_name(char out[NETEM_DEV_SIZE], uint32_t id);
uint32_t msg_anchor_handle(const char *run);

struct nl_msg *msg_link_get(const char *name);
struct nl_msg *msg_link_dump(void);
struct nl_msg *msg_ifb_new(const char *name);
struct nl_msg *msg_link_alias(const char *name, const char *alias);
struct nl_msg *msg_link_no_ip6(const char *name); /* no link-local address, so no chatter of the kernel's own */
struct nl_msg *msg_link_up(int index);
struct nl_msg *msg_link_del(int index);
struct nl_msg *msg_group_del(void); /* every link of MSG_GROUP */

struct nl_msg *msg_clsact_new(int index);
struct nl_msg *msg_clsact_del(int index);
struct nl_msg *msg_queue_dump(void); /* all devices, clsact too */
struct nl_msg *msg_clsact_get(int index);
struct nl_msg *msg_queue_get(int index);
struct nl_msg *msg_netem(int index, bool change, const struct netem_params *p, char *why); /* NULL with why empty: out of memory */
struct nl_msg *msg_plain_queue(int index);

struct msg_filter_spec {
    int index;
    bool ingress, anchor, replace;
    uint32_t handle, class_id;
    int program_fd;
    const char *tag;
    int redirect_to; /* index of the ifb; 0: the program decides (direct action) */
};
struct nl_msg *msg_filter_new(const struct msg_filter_spec *s);
struct nl_msg *msg_filter_del(int index, bool ingress, bool anchor, uint32_t handle);
struct nl_msg *msg_filter_dump(int index, bool ingress);

/* Parsed replies: 0 or -EPROTO for what cannot be understood. */
struct msg_link {
    int index;
    bool up, is_ifb, loopback;
    uint32_t group;
    char name[NETEM_DEV_SIZE], alias[MSG_NAME_SIZE];
};
int msg_read_link(struct nlmsghdr *h, struct msg_link *ret);

struct msg_queue {
    int index;
    uint32_t parent, handle;
    char kind[NETEM_DEV_SIZE];
    uint64_t packets;
    uint32_t dropped, queued;
    struct nlattr *options; /* in the message */
    bool shared;            /* clsact with a block that other devices use too */
};
int msg_read_queue(struct nlmsghdr *h, struct msg_queue *ret);

struct msg_filter {
    int index;
    uint32_t parent, handle, chain, class_id, program;
    uint16_t priority;
    char kind[NETEM_DEV_SIZE];
    bool bpf, whole, table, direct; /* whole: a filter, not only the head of its priority. table: u32's own, which matches nothing by itself. direct: the program decides, no action */
    int redirect_to;
    char tag[MSG_NAME_SIZE];
};
int msg_read_filter(struct nlmsghdr *h, struct msg_filter *ret);
