/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Network faults on one interface of one network namespace, that hit only what is named and end by themselves.
 *
 * A classifier at the device's clsact picks the packets named and drops them, or takes them through an ifb of ours whose root is netem. The
 * device's own root queue is never touched. Where faults name the same packet, the newest that does decides. The deadline is part of the classifier: past it nothing matches, whoever is still alive.
 *
 * Nothing is remembered: what is ours is found again from the kernel, by anybody. A fault is known by (namespace, device, id). Each answer to
 * "whose is this" is ours, foreign or unknown: unknown (a dump that failed or kept being interrupted) is an error, never "nothing there".
 *
 * Every call returns 0 (or what it says) or -errno with a sentence in why (NETEM_ERROR_SIZE bytes), and waits for nothing. One handle serves
 * one thread. Times are ns of CLOCK_BOOTTIME. */
#include "params.h"

struct netem;    /* the classifier and its maps, loaded once a process. Faults outlive it */
struct netem_ns; /* one network namespace. An open one keeps the namespace alive: close it soon */

/* slots: most faults at once by this process (0: 1024, at most 16000). -EPERM, -ENOSYS, -ENOMEM. */
int netem_open(unsigned slots, struct netem **ret, char *why);
void netem_close(struct netem *n);

/* n may be NULL for who only looks, ends and removes. path: /run/netns/web1, /proc/PID/ns/net; NULL: the caller's own. -ENOENT: gone. */
int netem_ns_open(struct netem *n, const char *path, struct netem_ns **ret, char *why);
int netem_ns_open_fd(struct netem *n, int ns_fd, struct netem_ns **ret, char *why);
/* A NETLINK_ROUTE socket that was opened in the namespace; taken over, also on failure. */
int netem_ns_open_socket(struct netem *n, int fd, struct netem_ns **ret, char *why);
void netem_ns_close(struct netem_ns *ns);

/* --- what a fault is --- */

enum { NETEM_RUN_SIZE = 64, NETEM_DEV_SIZE = 16, NETEM_RANGES = 8, NETEM_SLOTS = 1024, NETEM_SLOTS_MOST = 16000, NETEM_PEERS_MOST = 1000000, NETEM_BROKEN_SIZE = 120 };
enum netem_act {
    NETEM_SHAPE, /* netem by the parameters */
    NETEM_DROP,  /* drop: a partition, or plain random loss where the kernel has no netem */
    NETEM_PASS,  /* through an ifb with a plain queue, unaltered: shows what the path itself costs */
    NETEM_ACT_COUNT
};
enum { NETEM_OUT = 1, NETEM_IN = 2, NETEM_BOTH = 3 }; /* as the device sees it */

struct netem_peer { /* IPv4 as ::ffff:a.b.c.d with 96 bits more; host bits are ignored. A network of IPv6 holds no IPv4: ::/0 is not everything */
    uint8_t address[16], bits;
    bool except; /* not this one; the longest prefix decides */
};
struct netem_range { uint16_t first, last; };

struct netem_fault {
    uint32_t id;     /* from 1, once in a namespace; the same again changes the fault */
    const char *run; /* whose: letters, digits, '.', '_', '-', less than NETEM_RUN_SIZE */
    const char *dev;
    enum netem_act act;
    unsigned directions;
    const struct netem_params *params; /* NETEM_SHAPE */
    uint32_t drop_ppm;                 /* NETEM_DROP; NETEM_PPM: every packet */
    int64_t for_ns;                    /* from its switching on */

    /* Nothing named: every packet, those that are not IP too. Peer: the far end, target going out and source coming in. */
    uint8_t protocol; /* IPPROTO_TCP, ...; 0: any */
    struct netem_range local_ports[NETEM_RANGES], peer_ports[NETEM_RANGES];
    size_t local_count, peer_port_count;
    const struct netem_peer *peers; /* borrowed until in effect */
    size_t peer_count;
};

/* "10.0.0.0/8", "fd00::/8", "192.0.2.1"; -EINVAL. */
int netem_peer_parse(const char *text, struct netem_peer *ret, char *why);
/* 0, or -EINVAL with what is wrong. */
int netem_fault_check(const struct netem_fault *f, char *why);

struct netem_effect {
    int64_t since_ns, until_ns; /* switched on: no packet before since is affected */
    bool changed;               /* the id was there */
    bool attached;              /* we attached clsact, which resets the device's queues once */
    unsigned before;            /* filters of others that see the packets first, and may keep them from ours. Over packets that are shaped on
                                   their way out they run twice: the kernel classifies what comes back from an ifb anew, before our own match ends it */
};

/* In effect when it returns; a failure leaves nothing of it behind (of a change: the fault as it was, or none). */
int netem_inject(struct netem_ns *ns, const struct netem_fault *f, struct netem_effect *ret, char *why);

/* The same in steps for many peers, so that a loop can turn in between: 1 while there is more to do, 0 in effect, -errno undone. Each step
 * writes at most NETEM_STEP peers. f, its peers and ns live until the end. The job is freed by cancel in every case. */
struct netem_job;
enum { NETEM_STEP = 512 };
int netem_begin(struct netem_ns *ns, const struct netem_fault *f, struct netem_job **ret, char *why);
int netem_step(struct netem_job *j, struct netem_effect *ret, char *why);
void netem_cancel(struct netem_job *j);

/* Moves the deadline; a time that is past ends the fault at once. One aligned store, once the fault is found. -ENOENT: no such fault (any more). */
int netem_extend(struct netem_ns *ns, const char *dev, uint32_t id, int64_t until_ns, char *why);
int netem_end(struct netem_ns *ns, const char *dev, uint32_t id, char *why);
int64_t netem_now(void);

/* --- what is there --- */

struct netem_counts { uint64_t seen, packets, bytes; }; /* while on: by the filter; of those affected */

struct netem_state {
    uint32_t id;
    char run[NETEM_RUN_SIZE], dev[NETEM_DEV_SIZE]; /* dev empty: only the ifb is left */
    enum netem_act act;
    unsigned directions;                  /* where a filter of it stands */
    bool known;                           /* its slot could be read: the times and counts below hold */
    int64_t since_ns, until_ns, left_ns;  /* left: 0 when over */
    struct netem_counts out, in;
    unsigned before;                      /* filters of others that see the packets first now, as in netem_effect */
    bool has_queue;                       /* its ifb, with the figures of its root */
    uint64_t queue_sent, queue_dropped;
    uint32_t queued;                      /* still on their way */
    struct netem_params params;           /* NETEM_SHAPE: as the kernel says; no table */
    char broken[NETEM_BROKEN_SIZE];       /* what others took away or changed; empty: whole */
};

/* asked NULL: the queue is not compared; else state.broken says where what was read back is not what was asked. */
int netem_read(struct netem_ns *ns, const char *dev, uint32_t id, const struct netem_params *asked, struct netem_state *ret, char *why);
/* All of ours in the namespace, run NULL: of every run. Array to free(); returns their number. */
int netem_list(struct netem_ns *ns, const char *run, struct netem_state **ret, char *why);

struct netem_device { char name[NETEM_DEV_SIZE]; bool loopback; };
/* The interfaces of the namespace, our ifbs left out; array to free(), returns their number. */
int netem_devices(struct netem_ns *ns, struct netem_device **ret, char *why);

struct netem_other {
    char dev[NETEM_DEV_SIZE], kind[NETEM_DEV_SIZE]; /* "u32", "bpf", ...; "netem": a root queue of another's */
    bool filter;
    unsigned direction; /* of a filter: NETEM_OUT or NETEM_IN */
    uint16_t priority;
};
/* What others have where ours stands or could stand: filters at clsact (an ingress qdisc), netem as a root. Array to free(), returns their number. */
int netem_others(struct netem_ns *ns, struct netem_other **ret, char *why);

struct netem_owner {
    char run[NETEM_RUN_SIZE]; /* empty: an ifb that was never given its name */
    int pid;                  /* a process other than the caller that has its classifier open, and so may still hold the faults; 0: none in sight */
};
/* Whose faults, ifbs and clsact stand in the namespace, each run once. Array to free(), returns their number. */
int netem_owners(struct netem_ns *ns, struct netem_owner **ret, char *why);

/* --- undoing --- */

enum {
    NETEM_DRAIN = 1, /* what is on its way in the queue may leave first */
    NETEM_KEEP = 2,  /* its empty ifb stays for netem_sweep, or for the same id again: to take one away makes the caller wait some 20 ms for all
                        CPUs, however many go at once */
};
/* 0: nothing of it is left (also when there was nothing). 1 with NETEM_DRAIN: it is over, packets still drain; call again. */
int netem_remove(struct netem_ns *ns, const char *dev, uint32_t id, unsigned flags, char *why);
/* All of a run's (NULL: of every run's) in the namespace: faults whole and half, and the clsact that we attached where nobody else uses it
 * (removing that resets the device's queues once). Returns as netem_remove does. */
int netem_sweep(struct netem_ns *ns, const char *run, unsigned flags, char *why);

/* Peers of faults that are gone are forgotten in steps, by the calls above too. 1: there is more. */
int netem_tidy(struct netem *n);

/* --- what this kernel can do --- */

enum netem_ability {
    NETEM_CAN_PROGRAM, NETEM_CAN_CLSACT, NETEM_CAN_FILTER, NETEM_CAN_DROP, NETEM_CAN_REDIRECT, NETEM_CAN_IFB, NETEM_CAN_NETEM,
    NETEM_CAN_DELAY, NETEM_CAN_DISTRIBUTION, NETEM_CAN_LOSS, NETEM_CAN_LOSS_STATES, NETEM_CAN_GILBERT_ELLIOTT, NETEM_CAN_ECN,
    NETEM_CAN_DUPLICATE, NETEM_CAN_CORRUPT, NETEM_CAN_REORDER, NETEM_CAN_RATE, NETEM_CAN_SLOT, NETEM_CAN_SEED, NETEM_CAN_COUNT
};
struct netem_can {
    bool can[NETEM_CAN_COUNT];
    char why_not[NETEM_CAN_COUNT][NETEM_ERROR_SIZE];
};
extern const char *const netem_can_names[]; /* "delay", ...; NULL-terminated */
/* Tries each in a scratch namespace, which is gone afterwards. Always fills ret. */
void netem_can(struct netem_can *ret);
