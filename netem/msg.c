/* SPDX-License-Identifier: Apache-2.0 */
#include "msg.h"

#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NO_LINK_ADDRESS = 1 /* IN6_ADDR_GEN_MODE_NONE */, PLAIN_LIMIT = 100000 };

/* A message being made: the first attribute that does not fit frees it, and what follows does nothing. */
struct making { struct nl_msg *m; };

static void spoil(struct making *k) {
    nlmsg_free(k->m);
    k->m = NULL;
}

static struct making make(int type, int flags, const void *header, size_t len, size_t room) {
    struct making k = {nlmsg_alloc_size(room + 1024)};
    if (!k.m)
        return k;
    if (!nlmsg_put(k.m, NL_AUTO_PORT, NL_AUTO_SEQ, type, 0, flags) || nlmsg_append(k.m, (void *)(uintptr_t)header, len, NLMSG_ALIGNTO) < 0)
        spoil(&k);
    return k;
}

static void put(struct making *k, int type, const void *data, size_t len) {
    if (k->m && nla_put(k->m, type, (int)len, data) < 0)
        spoil(k);
}
static void put_text(struct making *k, int type, const char *s) { put(k, type, s, strlen(s) + 1); }
static void put_u32(struct making *k, int type, uint32_t v) { put(k, type, &v, sizeof v); }
static struct nlattr *open_nest(struct making *k, int type) {
    struct nlattr *a = k->m ? nla_nest_start(k->m, type | NLA_F_NESTED) : NULL;
    if (k->m && !a)
        spoil(k);
    return a;
}
static void close_nest(struct making *k, struct nlattr *a) {
    if (k->m)
        nla_nest_end(k->m, a);
}

/* --- tags --- */

static const char prefix[] = "chaosd:", anchor_word[] = "clsact";

void msg_tag(char out[MSG_NAME_SIZE], uint32_t id, const char *run) { snprintf(out, MSG_NAME_SIZE, "%s%08x:%s", prefix, id, run); }
void msg_anchor_tag(char out[MSG_NAME_SIZE], const char *run) { snprintf(out, MSG_NAME_SIZE, "%s%s:%s", prefix, anchor_word, run); }
void msg_ifb_name(char out[NETEM_DEV_SIZE], uint32_t id) { snprintf(out, NETEM_DEV_SIZE, "chaosd-%08x", id); }

bool msg_read_tag(const char *tag, uint32_t *ret_id, char ret_run[NETEM_RUN_SIZE]) {
    unsigned id = 0;
    size_t at = sizeof prefix - 1;
    if (strncmp(tag, prefix, at) != 0)
        return false;
    const char *colon = strchr(tag + at, ':');
    if (!colon || strlen(colon + 1) >= NETEM_RUN_SIZE || !colon[1])
        return false;
    size_t word = (size_t)(colon - tag) - at;
    bool anchor = word == sizeof anchor_word - 1 && memcmp(tag + at, anchor_word, word) == 0;
    if (!anchor && (word != 8 || strspn(tag + at, "0123456789abcdef") != 8 || sscanf(tag + at, "%8x", &id) != 1 || id == 0))
        return false;
    *ret_id = id;
    strcpy(ret_run, colon + 1);
    return true;
}

uint32_t msg_anchor_handle(const char *run) { /* FNV-1a */
    uint32_t h = 2166136261u;
    for (; *run; run++)
        h = (h ^ (unsigned char)*run) * 16777619u;
    return h ? h : 1;
}

/* --- links --- */

static struct making link_message(int type, int flags, int index, const char *name) {
    const struct ifinfomsg i = {.ifi_index = index};
    struct making k = make(type, flags, &i, sizeof i, 512);
    if (name)
        put_text(&k, IFLA_IFNAME, name);
    return k;
}

struct nl_msg *msg_link_get(const char *name) { return link_message(RTM_GETLINK, 0, 0, name).m; }
struct nl_msg *msg_link_dump(void) { return link_message(RTM_GETLINK, 0, 0, NULL).m; }
struct nl_msg *msg_link_del(int index) { return link_message(RTM_DELLINK, 0, index, NULL).m; }

struct nl_msg *msg_group_del(void) {
    struct making k = link_message(RTM_DELLINK, 0, 0, NULL);
    put_u32(&k, IFLA_GROUP, MSG_GROUP);
    return k.m;
}

struct nl_msg *msg_ifb_new(const char *name) {
    struct making k = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, name);
    put_u32(&k, IFLA_GROUP, MSG_GROUP);
    struct nlattr *info = open_nest(&k, IFLA_LINKINFO);
    put_text(&k, IFLA_INFO_KIND, "ifb");
    close_nest(&k, info);
    return k.m;
}

struct nl_msg *msg_link_alias(const char *name, const char *alias) {
    struct making k = link_message(RTM_SETLINK, 0, 0, name);
    put(&k, IFLA_IFALIAS, alias, strlen(alias));
    return k.m;
}

struct nl_msg *msg_link_no_ip6(const char *name) {
    struct making k = link_message(RTM_SETLINK, 0, 0, name);
    const uint8_t mode = NO_LINK_ADDRESS;
    struct nlattr *families = open_nest(&k, IFLA_AF_SPEC), *ip6 = open_nest(&k, AF_INET6);
    put(&k, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof mode);
    close_nest(&k, ip6);
    close_nest(&k, families);
    return k.m;
}

struct nl_msg *msg_link_up(int index) {
    const struct ifinfomsg i = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    return make(RTM_SETLINK, 0, &i, sizeof i, 64).m;
}

/* --- queues --- */

static struct making queue_message(int type, int flags, int index, uint32_t parent, uint32_t handle, const char *kind, size_t room) {
    const struct tcmsg t = {.tcm_ifindex = index, .tcm_parent = parent, .tcm_handle = handle};
    struct making k = make(type, flags, &t, sizeof t, room);
    if (kind)
        put_text(&k, TCA_KIND, kind);
    return k;
}

struct nl_msg *msg_clsact_new(int index) {
    return queue_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0), "clsact", 64).m;
}
struct nl_msg *msg_clsact_del(int index) { return queue_message(RTM_DELQDISC, 0, index, TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0), NULL, 64).m; }
/* Without "echo" the answer to a get goes to listeners alone. */
struct nl_msg *msg_clsact_get(int index) { return queue_message(RTM_GETQDISC, NLM_F_ECHO, index, TC_H_CLSACT, 0, NULL, 64).m; }
struct nl_msg *msg_queue_get(int index) { return queue_message(RTM_GETQDISC, NLM_F_ECHO, index, TC_H_ROOT, 0, NULL, 64).m; }
struct nl_msg *msg_queue_dump(void) { return queue_message(RTM_GETQDISC, 0, 0, 0, 0, NULL, 64).m; }

struct nl_msg *msg_netem(int index, bool change, const struct netem_params *p, char *why) {
    netem_cleanup_free unsigned char *wire = malloc(NETEM_WIRE_MAX);
    *why = 0;
    if (!wire)
        return NULL;
    int len = netem_encode(p, NETEM_ENCODE_SEED | (change ? NETEM_ENCODE_OVER : 0), wire, NETEM_WIRE_MAX, why);
    if (len < 0)
        return NULL;
    struct making k = queue_message(RTM_NEWQDISC, NLM_F_CREATE | (change ? NLM_F_REPLACE : NLM_F_EXCL), index, TC_H_ROOT, MSG_QUEUE_HANDLE, "netem", (size_t)len);
    put(&k, TCA_OPTIONS, wire, (size_t)len);
    return k.m;
}

struct nl_msg *msg_plain_queue(int index) {
    const struct tc_fifo_qopt limit = {.limit = PLAIN_LIMIT};
    struct making k = queue_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index, TC_H_ROOT, MSG_QUEUE_HANDLE, "pfifo", 64);
    put(&k, TCA_OPTIONS, &limit, sizeof limit);
    return k.m;
}

/* --- filters --- */

static struct making filter_message(int type, int flags, int index, bool ingress, bool anchor, uint32_t handle) {
    const struct tcmsg t = {.tcm_ifindex = index, .tcm_parent = ingress ? MSG_IN_PARENT : MSG_OUT_PARENT, .tcm_handle = handle,
                            .tcm_info = handle ? TC_H_MAKE((uint32_t)MSG_PRIORITY << 16, htons(ETH_P_ALL)) : 0};
    struct making k = make(type, flags, &t, sizeof t, 1024);
    if (handle)
        put_text(&k, TCA_KIND, "bpf");
    if (anchor)
        put_u32(&k, TCA_CHAIN, MSG_ANCHOR_CHAIN);
    return k;
}

static void put_redirect(struct making *k, int to) {
    const struct tc_mirred m = {.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to};
    struct nlattr *actions = open_nest(k, TCA_BPF_ACT), *first = open_nest(k, 1);
    put_text(k, TCA_ACT_KIND, "mirred");
    struct nlattr *options = open_nest(k, TCA_ACT_OPTIONS);
    put(k, TCA_MIRRED_PARMS, &m, sizeof m);
    close_nest(k, options);
    close_nest(k, first);
    close_nest(k, actions);
}

struct nl_msg *msg_filter_new(const struct msg_filter_spec *s) {
    struct making k = filter_message(RTM_NEWTFILTER, NLM_F_CREATE | (s->replace ? 0 : NLM_F_EXCL), s->index, s->ingress, s->anchor, s->handle);
    struct nlattr *options = open_nest(&k, TCA_OPTIONS);
    if (s->redirect_to)
        put_redirect(&k, s->redirect_to);
    else
        put_u32(&k, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
    put_u32(&k, TCA_BPF_CLASSID, s->class_id);
    put_u32(&k, TCA_BPF_FD, (uint32_t)s->program_fd);
    put_text(&k, TCA_BPF_NAME, s->tag);
    close_nest(&k, options);
    return k.m;
}

struct nl_msg *msg_filter_del(int index, bool ingress, bool anchor, uint32_t handle) {
    return filter_message(RTM_DELTFILTER, 0, index, ingress, anchor, handle).m;
}
struct nl_msg *msg_filter_dump(int index, bool ingress) { return filter_message(RTM_GETTFILTER, 0, index, ingress, false, 0).m; }

/* --- replies --- */

static void take_text(struct nlattr *a, char *out, size_t size) {
    *out = 0;
    if (a)
        nla_strlcpy(out, a, size);
}
static uint32_t take_u32(struct nlattr *a) { return a && nla_len(a) >= (int)sizeof(uint32_t) ? nla_get_u32(a) : 0; }

int msg_read_link(struct nlmsghdr *h, struct msg_link *ret) {
    struct nlattr *list[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1] = {0};
    memset(ret, 0, sizeof *ret);
    if (h->nlmsg_type != RTM_NEWLINK || nlmsg_parse(h, sizeof(struct ifinfomsg), list, IFLA_MAX, NULL) < 0)
        return -EPROTO;
    const struct ifinfomsg *i = nlmsg_data(h);
    ret->index = i->ifi_index;
    ret->up = (i->ifi_flags & IFF_UP) != 0;
    ret->loopback = (i->ifi_flags & IFF_LOOPBACK) != 0;
    take_text(list[IFLA_IFNAME], ret->name, sizeof ret->name);
    take_text(list[IFLA_IFALIAS], ret->alias, sizeof ret->alias);
    ret->group = take_u32(list[IFLA_GROUP]);
    if (list[IFLA_LINKINFO] && nla_parse_nested(info, IFLA_INFO_MAX, list[IFLA_LINKINFO], NULL) == 0 && info[IFLA_INFO_KIND])
        ret->is_ifb = nla_strcmp(info[IFLA_INFO_KIND], "ifb") == 0;
    return 0;
}

static void take_stats(struct nlattr *stats, struct msg_queue *ret) {
    struct nlattr *list[TCA_STATS_MAX + 1];
    struct gnet_stats_basic basic = {0};
    struct gnet_stats_queue queue = {0};
    if (!stats || nla_parse_nested(list, TCA_STATS_MAX, stats, NULL) < 0)
        return;
    if (list[TCA_STATS_BASIC])
        nla_memcpy(&basic, list[TCA_STATS_BASIC], sizeof basic);
    if (list[TCA_STATS_QUEUE])
        nla_memcpy(&queue, list[TCA_STATS_QUEUE], sizeof queue);
    ret->packets = basic.packets;
    ret->dropped = queue.drops;
    ret->queued = queue.qlen;
}

int msg_read_queue(struct nlmsghdr *h, struct msg_queue *ret) {
    struct nlattr *list[TCA_MAX + 1];
    memset(ret, 0, sizeof *ret);
    if (h->nlmsg_type != RTM_NEWQDISC || nlmsg_parse(h, sizeof(struct tcmsg), list, TCA_MAX, NULL) < 0)
        return -EPROTO;
    const struct tcmsg *t = nlmsg_data(h);
    ret->index = t->tcm_ifindex;
    ret->parent = t->tcm_parent;
    ret->handle = t->tcm_handle;
    take_text(list[TCA_KIND], ret->kind, sizeof ret->kind);
    ret->options = list[TCA_OPTIONS];
    ret->shared = take_u32(list[TCA_INGRESS_BLOCK]) || take_u32(list[TCA_EGRESS_BLOCK]);
    take_stats(list[TCA_STATS2], ret);
    return 0;
}

static int take_redirect(struct nlattr *actions) {
    struct nlattr *list[2] = {0}, *one[TCA_ACT_MAX + 1] = {0}, *options[TCA_MIRRED_MAX + 1] = {0};
    struct tc_mirred m = {0};
    if (!actions || nla_parse_nested(list, 1, actions, NULL) < 0 || !list[1] || nla_parse_nested(one, TCA_ACT_MAX, list[1], NULL) < 0)
        return 0;
    if (!one[TCA_ACT_KIND] || nla_strcmp(one[TCA_ACT_KIND], "mirred") != 0 || !one[TCA_ACT_OPTIONS] ||
        nla_parse_nested(options, TCA_MIRRED_MAX, one[TCA_ACT_OPTIONS], NULL) < 0 || !options[TCA_MIRRED_PARMS])
        return 0;
    nla_memcpy(&m, options[TCA_MIRRED_PARMS], sizeof m);
    return (int)m.ifindex;
}

int msg_read_filter(struct nlmsghdr *h, struct msg_filter *ret) {
    struct nlattr *list[TCA_MAX + 1], *options[TCA_BPF_MAX + 1] = {0};
    memset(ret, 0, sizeof *ret);
    if (h->nlmsg_type != RTM_NEWTFILTER || nlmsg_parse(h, sizeof(struct tcmsg), list, TCA_MAX, NULL) < 0)
        return -EPROTO;
    const struct tcmsg *t = nlmsg_data(h);
    ret->index = t->tcm_ifindex;
    ret->parent = t->tcm_parent;
    ret->handle = t->tcm_handle;
    ret->priority = (uint16_t)(t->tcm_info >> 16);
    ret->chain = take_u32(list[TCA_CHAIN]);
    ret->whole = list[TCA_OPTIONS] != NULL && t->tcm_handle != 0;
    take_text(list[TCA_KIND], ret->kind, sizeof ret->kind);
    ret->bpf = strcmp(ret->kind, "bpf") == 0;
    ret->table = strcmp(ret->kind, "u32") == 0 && TC_U32_NODE(ret->handle) == 0;
    if (!ret->bpf || !list[TCA_OPTIONS] || nla_parse_nested(options, TCA_BPF_MAX, list[TCA_OPTIONS], NULL) < 0)
        return 0;
    ret->class_id = take_u32(options[TCA_BPF_CLASSID]);
    ret->program = take_u32(options[TCA_BPF_ID]);
    take_text(options[TCA_BPF_NAME], ret->tag, sizeof ret->tag);
    ret->direct = take_u32(options[TCA_BPF_FLAGS]) & TCA_BPF_FLAG_ACT_DIRECT;
    ret->redirect_to = take_redirect(options[TCA_BPF_ACT]);
    return 0;
}
