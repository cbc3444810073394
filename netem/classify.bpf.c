// SPDX-License-Identifier: Apache-2.0
/* The classifier of all faults: is this packet one that the slot names, and is it still time?
 *
 * What matches: with nothing named every packet, ARP and the like too, as a pulled cable would. Else IPv4 and IPv6 alone; a VLAN tag that
 * travels beside the packet (the usual way) is looked through, one inside it is not. IPv6 extension headers are skipped, up to six. A later
 * fragment carries no ports: it matches only when no ports are named. Ports are those of TCP, UDP, UDP-Lite, DCCP and SCTP. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "classify.h"

enum { EXTENSIONS = 6, FRAGMENT_OFFSET = 0x1fff };

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, struct classify_slot);
} chaosd_slots SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, CLASSIFY_PEER_MAX);
    __type(key, struct classify_peer);
    __type(value, __u32);
} chaosd_peers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2048);
    __type(key, __u32);
    __type(value, struct classify_counters);
} chaosd_counters SEC(".maps");

struct packet {
    struct classify_peer source, target;
    __u16 source_port, target_port;
    __u8 protocol;
    bool fragment; /* a later one: no ports */
    __u32 payload; /* offset from the network header */
};

static __always_inline bool read_ip4(struct __sk_buff *skb, struct packet *p) {
    struct iphdr ip;
    if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof ip, BPF_HDR_START_NET) < 0)
        return false;
    __builtin_memcpy(p->source.address, &ip.saddr, 4);
    __builtin_memcpy(p->target.address, &ip.daddr, 4);
    p->source.slot = p->target.slot = CLASSIFY_IP4;
    p->source.prefix = p->target.prefix = 32 + 32;
    p->protocol = ip.protocol;
    p->fragment = (ip.frag_off & bpf_htons(FRAGMENT_OFFSET)) != 0;
    p->payload = ip.ihl * 4;
    return true;
}

static __always_inline bool is_extension(__u8 type) {
    const __u64 set = 1ull << IPPROTO_HOPOPTS | 1ull << IPPROTO_ROUTING | 1ull << IPPROTO_FRAGMENT | 1ull << IPPROTO_AH | 1ull << IPPROTO_DSTOPTS;
    return type < 64 && (set >> type & 1);
}

static __always_inline bool read_ip6(struct __sk_buff *skb, struct packet *p) {
    struct ipv6hdr ip;
    struct { __u8 next, length; __be16 offset; } extension; /* of a fragment header: its offset, in units of eight from bit 3 on */
    if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof ip, BPF_HDR_START_NET) < 0)
        return false;
    __builtin_memcpy(p->source.address, &ip.saddr, 16);
    __builtin_memcpy(p->target.address, &ip.daddr, 16);
    p->source.prefix = p->target.prefix = 32 + 128;
    p->protocol = ip.nexthdr;
    p->payload = sizeof ip;
#pragma unroll
    for (int i = 0; i < EXTENSIONS; i++) {
        __u8 type = p->protocol;
        if (!is_extension(type))
            break;
        if (bpf_skb_load_bytes_relative(skb, p->payload, &extension, sizeof extension, BPF_HDR_START_NET) < 0)
            break;
        p->protocol = extension.next;
        if (type == IPPROTO_FRAGMENT)
            p->fragment = (extension.offset & bpf_htons(0xfff8)) != 0;
        p->payload += type == IPPROTO_FRAGMENT ? 8 : type == IPPROTO_AH ? (extension.length + 2) * 4 : (extension.length + 1) * 8;
        if (p->fragment)
            break;
    }
    return true;
}

static __always_inline bool read_ports(struct __sk_buff *skb, struct packet *p) {
    __be16 ports[2];
    __u8 t = p->protocol;
    if (p->fragment || (t != IPPROTO_TCP && t != IPPROTO_UDP && t != IPPROTO_SCTP && t != IPPROTO_UDPLITE && t != IPPROTO_DCCP))
        return false;
    if (bpf_skb_load_bytes_relative(skb, p->payload, ports, sizeof ports, BPF_HDR_START_NET) < 0)
        return false;
    p->source_port = bpf_ntohs(ports[0]);
    p->target_port = bpf_ntohs(ports[1]);
    return true;
}

static __always_inline bool in_ranges(const struct classify_range *r, __u16 port) {
    __u64 outside = ~0ull; /* its sign bit. No branches: each would double what the verifier walks, and loading take a tenth of a second */
#pragma unroll
    for (int i = 0; i < CLASSIFY_RANGES; i++) {
        outside &= ((__u64)port - r[i].first) | ((__u64)r[i].last - port);
        asm volatile("" : "+r"(outside));
    }
    return !(outside >> 63);
}

static __always_inline bool is_peer(struct classify_peer *p, __u32 slot) {
    p->slot = bpf_htonl(slot | p->slot);
    const __u32 *meant = bpf_map_lookup_elem(&chaosd_peers, p);
    return meant && *meant;
}

static __always_inline bool is_named(struct __sk_buff *skb, const struct classify_slot *s, __u32 slot, bool ingress) {
    struct packet p = {};
    if (skb->protocol == bpf_htons(ETH_P_IP) ? !read_ip4(skb, &p) : skb->protocol == bpf_htons(ETH_P_IPV6) ? !read_ip6(skb, &p) : true)
        return false;
    if ((s->flags & CLASSIFY_PROTOCOL) && p.protocol != s->protocol)
        return false;
    if (s->flags & (CLASSIFY_LOCAL_PORTS | CLASSIFY_PEER_PORTS)) {
        if (!read_ports(skb, &p))
            return false;
        if ((s->flags & CLASSIFY_LOCAL_PORTS) && !in_ranges(s->local, ingress ? p.target_port : p.source_port))
            return false;
        if ((s->flags & CLASSIFY_PEER_PORTS) && !in_ranges(s->peer, ingress ? p.source_port : p.target_port))
            return false;
    }
    return !(s->flags & CLASSIFY_PEERS) || is_peer(ingress ? &p.source : &p.target, slot);
}

static __always_inline bool is_affected(struct __sk_buff *skb) {
    __u32 slot = skb->tc_classid & CLASSIFY_SLOT;
    bool ingress = (skb->tc_classid & CLASSIFY_INGRESS) != 0;
    __u32 at = slot * 2 + ingress;
    const struct classify_slot *s = bpf_map_lookup_elem(&chaosd_slots, &slot);
    if (s && s->ifb && !ingress && skb->ingress_ifindex == s->ifb)
        return true; /* back from our ifb and on its way out: the kernel takes this match for a pass, once, whatever the time */
    if (!s || bpf_ktime_get_boot_ns() >= *(const volatile __u64 *)&s->until_ns)
        return false;
    struct classify_counters *c = bpf_map_lookup_elem(&chaosd_counters, &at);
    if (!c)
        return false;
    c->seen++;
    if ((s->flags & ~CLASSIFY_SHARE) && !is_named(skb, s, slot, ingress))
        return false;
    if ((s->flags & CLASSIFY_SHARE) && bpf_get_prandom_u32() >= s->share)
        return false;
    c->packets++;
    c->bytes += skb->len;
    return true;
}

/* -1: the filter matches, and its action takes the packet to our ifb. (bpf_redirect would not do: an ifb takes only what mirred marked.) */
SEC("tc")
int chaosd_redirect(struct __sk_buff *skb) { return is_affected(skb) ? -1 : 0; }

/* Swallowed, not "shot": to the sender that is a packet lost on its way, as with netem. A shot one is a send that failed here, after which
 * TCP tries again without backing off and never gives up. */
SEC("tc")
int chaosd_drop(struct __sk_buff *skb) { return is_affected(skb) ? TC_ACT_STOLEN : TC_ACT_UNSPEC; }

char LICENSE[] SEC("license") = "Apache-2.0";
