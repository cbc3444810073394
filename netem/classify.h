/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the classifier in the kernel and its loader share. A filter's class id says which slot it stands for, and which way it looks.
 *
 * Slots lie in an array that is mapped into memory: a fault begins, is extended and ends by one aligned 64-bit store to until_ns. */
#include <linux/types.h>

enum {
    CLASSIFY_MAJOR = 0xc4a0,   /* of the class ids of our filters; the minor is the slot */
    CLASSIFY_INGRESS = 0x8000, /* set in the minor of a filter at ingress */
    CLASSIFY_SLOT = 0x7fff,    /* the kernel hands a program 16 bits of its filter's class id; slot 0 is never a fault's */
    CLASSIFY_RANGES = 8,
};

enum { /* flags: what is named. Nothing named is every packet, those that are not IP included. */
    CLASSIFY_PEERS = 1,
    CLASSIFY_PROTOCOL = 2,
    CLASSIFY_LOCAL_PORTS = 4,
    CLASSIFY_PEER_PORTS = 8,
    CLASSIFY_SHARE = 16, /* only a random share of what matches, in 2^-32 */
};

struct classify_range { __u16 first, last; }; /* host order; unused ones are 1 to 0 */

struct classify_slot {
    __u64 until_ns; /* CLOCK_BOOTTIME; past it nothing matches. 0: off */
    __u32 flags, share, fault, ifb;
    __u8 protocol, directions, act, unused[5];
    struct classify_range local[CLASSIFY_RANGES], peer[CLASSIFY_RANGES];
    char run[64]; /* whose fault, for who finds only the slot; not NUL-terminated when full */
    __u64 since_ns;
};

/* One trie holds the peers of all faults. The value says whether they are meant (1) or excepted (0); the longest prefix decides.
 * An IPv4 address stands in front, so that with the slot it is 64 bits: the kernel compares those at once at each node. */
struct classify_peer {
    __u32 prefix; /* bits: 32 of the slot, then those of the address */
    __be32 slot;  /* and CLASSIFY_IP4 */
    __u8 address[16];
};
#define CLASSIFY_IP4 0x80000000u
enum { CLASSIFY_PEER_MAX = 1 << 20 };

/* One a slot and direction: slot * 2 + ingress. A packet is what the device's queue sees: a large one not yet cut up is one. */
struct classify_counters { __u64 seen, packets, bytes; };
