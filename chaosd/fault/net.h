/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the net-* kinds share: their rows, and one way to carry them out, by netem/. Sections and fields are named as in Chaos Mesh's
 * NetworkChaos; one fault may combine what netem combines. Each kind is a file of rows that says which section it cannot be without. */
#include "fault/fault.h"

#include "netem.h"

struct net_delay { int64_t latency_ns, jitter_ns, correlation_ppm; int distribution; };
struct net_states { int64_t p13_ppm, p31_ppm, p32_ppm, p23_ppm, p14_ppm; };
struct net_gilbert { int64_t p_ppm, r_ppm, h_ppm, k_ppm; }; /* as in Gilbert and Elliott: h and k are shares that come through */
struct net_loss {
    int64_t loss_ppm, correlation_ppm;
    struct net_states *states;
    struct net_gilbert *gilbert;
    bool ecn;
};
struct net_share { int64_t share_ppm, correlation_ppm; }; /* duplicate, corrupt */
struct net_reorder { int64_t share_ppm, correlation_ppm, gap; };
struct net_rate { int64_t bits_per_s, packet_overhead, cell_size, cell_overhead; };
struct net_slot { int64_t min_ns, max_ns, packets, bytes; };

struct net_fault {
    struct pod_target target; /* the victims */
    int direction;            /* index of net_directions */
    struct pod_target *peers; /* NULL: not by selector */
    struct strings external, except, ports, peer_ports;
    int protocol;       /* index of net_protocols */
    const char *device; /* NULL: the pod's own */
    struct net_delay *delay;
    struct net_loss *loss;
    struct net_share *duplicate, *corrupt;
    struct net_reorder *reorder;
    struct net_rate *rate;
    struct net_slot *slot;
    int64_t limit;
    const char *seed;
    bool measure, host_network;

    /* Filled by net_check. */
    bool shapes;                   /* a section is there; else everything named is dropped */
    struct netem_params params;
    struct netem_fault named;      /* directions, protocol, ports */
    struct netem_peer *fixed;      /* external and except, as far as they are addresses */
    size_t fixed_count;
    struct strings names;          /* external that are names, to be looked up */
};

enum net_section { NET_DELAY = 1, NET_LOSS, NET_DUPLICATE, NET_CORRUPT, NET_REORDER, NET_RATE };
extern const char *const net_directions[], *const net_protocols[];
extern const struct shape net_delay_shape, net_loss_shape, net_duplicate_shape, net_corrupt_shape, net_reorder_shape, net_rate_shape, net_slot_shape,
    net_peers_shape;

#define NET_AT(member) .offset = offsetof(struct net_fault, member)
/* Which pods, and which of their packets. */
#define NET_NAMED_FIELDS                                                                                                                          \
    POD_TARGET_FIELDS(struct net_fault, target),                                                                                                  \
        {.name = "direction", .type = F_ENUM, NET_AT(direction), .def = "to", .values = net_directions,                                           \
         .doc = "Packets from the pods to the far end, from it to the pods, or both."},                                                           \
        {.name = "target", .type = F_OBJECT, NET_AT(peers), .shape = &net_peers_shape,                                                            \
         .doc = "The far end: other pods. Without target and externalTargets every far end is meant."},                                           \
        {.name = "externalTargets", .type = F_STRINGS, NET_AT(external), .doc = "The far end: addresses, CIDRs and names, IPv4 and IPv6."},       \
        {.name = "except", .type = F_STRINGS, NET_AT(except), .doc = "Addresses and CIDRs that are left alone; the longest prefix decides."},     \
        {.name = "ports", .type = F_STRINGS, NET_AT(ports), .doc = "Only these ports of the pods themselves, each as 2379 or 2379-2380."},        \
        {.name = "targetPorts", .type = F_STRINGS, NET_AT(peer_ports), .doc = "Only these ports of the far end."},                                \
        {.name = "protocol", .type = F_ENUM, NET_AT(protocol), .def = "any", .values = net_protocols, .doc = "Only packets of this protocol."},   \
        {.name = "device", .type = F_STRING, NET_AT(device), .max = NETEM_DEV_SIZE - 1, .doc = "The interface in the pod (default: the pod's own, eth0)."},                                               \
        {.name = "measure", .type = F_BOOL, NET_AT(measure),                                                                                      \
         .doc = "Sends echo requests (ping) to at most 8 of the far ends, every 20 ms while it lasts and as many after it: what it really did. Not in a Kubernetes."},      \
        FAULT_HOST_NETWORK_FIELD(struct net_fault, host_network)
/* What netem does to them; needs: the section that the kind is about. */
#define NET_QUEUE_FIELDS(needs)                                                                                                                   \
    {.name = "delay", .type = F_OBJECT, NET_AT(delay), .required = (needs) == NET_DELAY || (needs) == NET_REORDER, .shape = &net_delay_shape,     \
     .doc = "Packets come later."},                                                                                                               \
        {.name = "loss", .type = F_OBJECT, NET_AT(loss), .required = (needs) == NET_LOSS, .shape = &net_loss_shape, .doc = "Packets are lost."},  \
        {.name = "duplicate", .type = F_OBJECT, NET_AT(duplicate), .required = (needs) == NET_DUPLICATE, .shape = &net_duplicate_shape,           \
         .doc = "Packets come twice."},                                                                                                           \
        {.name = "corrupt", .type = F_OBJECT, NET_AT(corrupt), .required = (needs) == NET_CORRUPT, .shape = &net_corrupt_shape,                   \
         .doc = "One bit of a packet is flipped."},                                                                                               \
        {.name = "reorder", .type = F_OBJECT, NET_AT(reorder), .required = (needs) == NET_REORDER, .shape = &net_reorder_shape,                   \
         .doc = "Some packets are not delayed, and so overtake the others."},                                                                     \
        {.name = "rate", .type = F_OBJECT, NET_AT(rate), .required = (needs) == NET_RATE, .shape = &net_rate_shape,                               \
         .doc = "The link is only so fast."},                                                                                                     \
        {.name = "slot", .type = F_OBJECT, NET_AT(slot), .shape = &net_slot_shape, .doc = "Packets leave in bursts, as from a radio link."},      \
        {.name = "limit", .type = F_INT, NET_AT(limit), .max = INT32_MAX, .doc = "Packets that are held at most (default: so many that a delay does not become loss)."}, \
        {.name = "seed", .type = F_STRING, NET_AT(seed), .doc = "Seed of netem's own draws, where the kernel knows it (from 6.6)."}

int net_check(void *value, const struct schema_at *at, struct error *err); /* the shape's check */

/* The far ends of one act: addresses that stand in the rows, the selected pods' and the names'. Array to free(). */
int net_peers(struct fault_act *a, const struct net_fault *n, struct netem_peer **ret, size_t *ret_count, struct error *err);

const struct pod *net_pod_named(const struct fault_env *env, const char *name); /* NULL: no pod has that name */

/* net_names.c: names that are no pod's. */
int net_look_up(struct fault_env *env, const struct net_fault *n, struct error *err); /* its names; may block */
const struct netem_peer *net_name_peers(const struct fault_env *env, const char *name, size_t *ret_count); /* borrowed; NULL: it was never looked up */
/* Adds what the list (heap, grown) lacks of the names' addresses. Returns how many. */
size_t net_names_add(const struct fault_env *env, const struct strings *names, struct netem_peer **peers, size_t *peer_count);
void net_names_free(struct net_name *names);
/* These names (NULL: all) are looked up again every 30 s, beside the loop; looked is called each time. Names and env live until stop. */
struct net_again;
int net_again_start(struct fault_env *env, const struct strings *names, void (*looked)(void *arg), void *arg, struct net_again **ret, struct error *err);
void net_again_stop(struct net_again *g); /* NULL-safe; not from looked */

/* net_measure.c: asked for by `measure`. Trouble with it is told by its result, and does not keep the fault from going on. */
struct net_measure;
int net_measure_check(const struct net_fault *n, const struct schema_at *at, struct error *err);
void net_measure_begin(struct fault_act *a, const struct net_fault *n, int netns_fd, const struct netem_fault *f, int64_t until_ns, struct net_measure **ret);
void net_measure_over(struct net_measure *m); /* the fault ends. NULL-safe, as those below */
bool net_measure_calm(struct net_measure *m); /* and its queue is empty: the baseline begins, whose end is told by a->measured. false: there is none */
json_t *net_measure_result(const struct net_measure *m);
void net_measure_free(struct net_measure *m);

/* A fault that is held, whose far ends change without a gap, and whose deadline stays: its names are looked up again every 30 s, new addresses
 * are added; or somebody says other far ends. */
struct net_renew_site {
    struct fault_env *env;
    const struct net_fault *rows;
    int netns_fd;               /* the caller's, as long as this goes on */
    struct netem_fault *fault;  /* as in effect; its peers are *peers */
    struct netem_peer **peers;
    struct netem_effect *effect;
};
struct net_renew;
/* Everything in site lives until stop, which comes before the fault is ended. *ret stays NULL where there are no names. */
int net_renew_start(const struct net_renew_site *site, struct net_renew **ret, struct error *err);
/* Goes over to these (heap, taken over): now, or once a change that is under way is done; what fails is tried again. *at NULL: it is made. */
int net_renew_peers(const struct net_renew_site *site, struct net_renew **at, struct netem_peer *peers, size_t count, struct error *err);
void net_renew_stop(struct net_renew *r); /* NULL-safe */

/* What is done by it, but for whom (id, run, dev), how long and towards which peers. alone: without netem where that is possible. */
void net_to_netem(const struct net_fault *n, bool alone, struct netem_fault *ret);

/* The kind's rows without what speaks of pods, for one interface: shape of struct net_fault too, its fields in the arena. */
int net_shape_here(const struct fault_kind *k, struct arena *a, struct shape *ret, struct error *err);
int net_able(const struct fault_kind *k, struct error *err);

const struct pod_target *net_target(const void *params);
bool net_takes(const void *params);
int net_preflight(const struct fault_spec *f, struct error *err);
int net_prepare(struct fault_env *env, const struct fault_spec *f, struct error *err);
int net_inject(struct fault_act *a, const struct pod *victim, struct error *err);
int net_change(struct fault_act *a, struct error *err);
int net_revert(struct fault_act *a, struct error *err);
int net_undo(struct fault_act *a, const struct pod *victim, json_t **ret, struct error *err);
json_t *net_measured(struct fault_act *a);
void net_release(struct fault_act *a);
void net_describe(const void *params, char *out, size_t size);

#define NET_KIND                                                                                                                                  \
    .layer = FAULT_NETWORK, .needs = CLUSTER_NETWORK, .holds = true, .bounded = true, .proof = CL_EVENT_COUNT, .proof_reverted = CL_EVENT_COUNT, .target = net_target,      \
    .takes = net_takes, .able = net_able, .preflight = net_preflight, .prepare = net_prepare, .inject = net_inject, .change = net_change, .revert = net_revert, .undo = net_undo, \
    .measured = net_measured, .release = net_release, .describe = net_describe
