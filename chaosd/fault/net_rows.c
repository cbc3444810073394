/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the net-* kinds' sections, and what of them goes to netem. */
#include "fault/net.h"

#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define SHARE_MAX NETEM_PPM
#define AT(owner, member) .offset = offsetof(struct owner, member)
#define CORRELATION(owner)                                                                                                                 \
    {.name = "correlation", .type = F_PERCENT, AT(owner, correlation_ppm), .max = SHARE_MAX,                                                \
     .doc = "How much a draw depends on the one before. It changes the share itself: docs/NETEM.md."}

const char *const net_directions[] = {"to", "from", "both", NULL};
static const unsigned directions[] = {NETEM_OUT, NETEM_IN, NETEM_BOTH};
const char *const net_protocols[] = {"any", "tcp", "udp", "icmp", "icmpv6", "sctp", NULL};
static const uint8_t protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_SCTP};

static const char *const distributions[] = {[NETEM_UNIFORM] = "uniform", [NETEM_NORMAL] = "normal", [NETEM_PARETO] = "pareto", [NETEM_PARETONORMAL] = "paretonormal", NULL};

static const struct field delay_fields[] = {
    {.name = "latency", .type = F_DURATION, AT(net_delay, latency_ns), .required = true, .min = 1, .max = 3600 * INT64_C(1000000000), .doc = "How much later."},
    {.name = "jitter", .type = F_DURATION, AT(net_delay, jitter_ns), .max = 3600 * INT64_C(1000000000),
     .doc = "By how much it varies: uniform around latency, or a distribution's standard deviation. At most latency."},
    CORRELATION(net_delay),
    {.name = "distribution", .type = F_ENUM, AT(net_delay, distribution), .def = "uniform", .values = distributions, .doc = "Of the jitter."},
    {0},
};
const struct shape net_delay_shape = {.name = "net-delay.delay", .size = sizeof(struct net_delay), .fields = delay_fields, .doc = "netem's delay."};

static const struct field states_fields[] = {
    {.name = "p13", .type = F_PERCENT, AT(net_states, p13_ppm), .required = true, .max = SHARE_MAX, .doc = "From good reception to losing in a burst."},
    {.name = "p31", .type = F_PERCENT, AT(net_states, p31_ppm), .required = true, .max = SHARE_MAX, .doc = "And back."},
    {.name = "p32", .type = F_PERCENT, AT(net_states, p32_ppm), .max = SHARE_MAX, .doc = "From losing to receiving within a burst."},
    {.name = "p23", .type = F_PERCENT, AT(net_states, p23_ppm), .def = "100%", .max = SHARE_MAX, .doc = "And back."},
    {.name = "p14", .type = F_PERCENT, AT(net_states, p14_ppm), .max = SHARE_MAX, .doc = "From good reception to a lone loss."},
    {0},
};
static const struct shape states_shape = {
    .name = "states", .size = sizeof(struct net_states), .fields = states_fields, .doc = "A Markov chain of four states, as netem's `loss state`; probabilities a packet.",
};
static const struct field gilbert_fields[] = {
    {.name = "p", .type = F_PERCENT, AT(net_gilbert, p_ppm), .required = true, .min = 1, .max = SHARE_MAX, .doc = "From the good state to the bad one."},
    {.name = "r", .type = F_PERCENT, AT(net_gilbert, r_ppm), .required = true, .min = 1, .max = SHARE_MAX, .doc = "And back."},
    {.name = "h", .type = F_PERCENT, AT(net_gilbert, h_ppm), .max = SHARE_MAX, .doc = "The share that comes through in the bad state."},
    {.name = "k", .type = F_PERCENT, AT(net_gilbert, k_ppm), .def = "100%", .max = SHARE_MAX, .doc = "The share that comes through in the good state."},
    {0},
};
static const struct shape gilbert_shape = {
    .name = "gilbert-elliott", .size = sizeof(struct net_gilbert), .fields = gilbert_fields,
    .doc = "Losses in bursts; the share lost is (1-k) r/(p+r) + (1-h) p/(p+r).",
};

static int check_loss(void *value, const struct schema_at *at, struct error *err) {
    const struct net_loss *l = value;
    int models = !!l->loss_ppm + !!l->states + !!l->gilbert;
    if (models != 1)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, models ? "loss has one model only: either loss, states or gilbertElliott"
                                                                    : "loss needs a share as in {loss: 5%%}, or states, or gilbertElliott");
    return l->correlation_ppm && !l->loss_ppm ? schema_bad(at, "correlation", err, "correlation goes with a share only, not with a model of states") : 0;
}
static const struct field loss_fields[] = {
    {.name = "loss", .type = F_PERCENT, AT(net_loss, loss_ppm), .max = SHARE_MAX, .doc = "The share that is lost at random."},
    CORRELATION(net_loss),
    {.name = "states", .type = F_OBJECT, AT(net_loss, states), .shape = &states_shape, .doc = "Instead of a share: losses by four states."},
    {.name = "gilbertElliott", .type = F_OBJECT, AT(net_loss, gilbert), .shape = &gilbert_shape, .doc = "Instead of a share: losses in bursts."},
    {.name = "ecn", .type = F_BOOL, AT(net_loss, ecn), .doc = "Marks packets as congested instead of losing them, where their sender can."},
    {0},
};
const struct shape net_loss_shape = {.name = "net-loss.loss", .size = sizeof(struct net_loss), .fields = loss_fields, .check = check_loss, .doc = "netem's loss."};

static const struct field duplicate_fields[] = {
    {.name = "duplicate", .type = F_PERCENT, AT(net_share, share_ppm), .required = true, .min = 1, .max = SHARE_MAX, .doc = "The share that comes twice."},
    CORRELATION(net_share),
    {0},
};
const struct shape net_duplicate_shape = {.name = "net-duplicate.duplicate", .size = sizeof(struct net_share), .fields = duplicate_fields, .doc = "netem's duplication."};
static const struct field corrupt_fields[] = {
    {.name = "corrupt", .type = F_PERCENT, AT(net_share, share_ppm), .required = true, .min = 1, .max = SHARE_MAX, .doc = "The share with a bit flipped."},
    CORRELATION(net_share),
    {0},
};
const struct shape net_corrupt_shape = {.name = "net-corrupt.corrupt", .size = sizeof(struct net_share), .fields = corrupt_fields, .doc = "netem's corruption."};
static const struct field reorder_fields[] = {
    {.name = "reorder", .type = F_PERCENT, AT(net_reorder, share_ppm), .required = true, .min = 1, .max = SHARE_MAX, .doc = "The share that is sent at once."},
    CORRELATION(net_reorder),
    {.name = "gap", .type = F_INT, AT(net_reorder, gap), .max = INT32_MAX, .doc = "Only each gap-th packet may be sent at once."},
    {0},
};
const struct shape net_reorder_shape = {.name = "net-reorder.reorder", .size = sizeof(struct net_reorder), .fields = reorder_fields, .doc = "netem's reordering."};
static const struct field rate_fields[] = {
    {.name = "rate", .type = F_BANDWIDTH, AT(net_rate, bits_per_s), .required = true, .min = 8, .doc = "Bits a second as tc writes them: 10mbit; mbps are bytes."},
    {.name = "packetOverhead", .type = F_INT, AT(net_rate, packet_overhead), .min = -1500, .max = 1500, .doc = "Bytes that each packet counts more (or less)."},
    {.name = "cellSize", .type = F_INT, AT(net_rate, cell_size), .max = 65535, .doc = "Bytes of a cell, where the link has cells."},
    {.name = "cellOverhead", .type = F_INT, AT(net_rate, cell_overhead), .min = -1500, .max = 1500, .doc = "Bytes that each cell counts more."},
    {0},
};
const struct shape net_rate_shape = {.name = "net-rate.rate", .size = sizeof(struct net_rate), .fields = rate_fields, .doc = "netem's rate."};
static const struct field slot_fields[] = {
    {.name = "min", .type = F_DURATION, AT(net_slot, min_ns), .required = true, .doc = "The shortest pause between bursts."},
    {.name = "max", .type = F_DURATION, AT(net_slot, max_ns), .doc = "The longest (default: min)."},
    {.name = "packets", .type = F_INT, AT(net_slot, packets), .max = INT32_MAX, .doc = "Most packets in a burst (default: no limit)."},
    {.name = "bytes", .type = F_INT, AT(net_slot, bytes), .max = INT32_MAX, .doc = "Most bytes in a burst (default: no limit)."},
    {0},
};
const struct shape net_slot_shape = {.name = "slot", .size = sizeof(struct net_slot), .fields = slot_fields, .doc = "netem's slots."};

static int check_peers(void *value, const struct schema_at *at, struct error *err) { return pod_target_check(value, at, err); }
struct net_far { struct pod_target t; };
static const struct field peers_fields[] = {
    {.name = "selector", .type = F_OBJECT, .offset = offsetof(struct net_far, t.selector), .required = true, .shape = &selector_shape, .doc = "Which pods are the far end; a victim is never its own."},
    {.name = "mode", .type = F_ENUM, .offset = offsetof(struct net_far, t.mode), .def = "all", .values = select_mode_names, .doc = "How many of them."},
    {.name = "value", .type = F_STRING, .offset = offsetof(struct net_far, t.value), .doc = "The mode's number or percentage."},
    {0},
};
const struct shape net_peers_shape = {.name = "net-target", .size = sizeof(struct pod_target), .fields = peers_fields, .check = check_peers, .doc = "Pods as the far end of a network fault."};

/* --- from rows to netem --- */

static void to_params(const struct net_fault *n, struct netem_params *p) {
    *p = (struct netem_params){.limit = (uint32_t)n->limit};
    if (n->delay) {
        p->delay_ns = n->delay->latency_ns;
        p->jitter_ns = n->delay->jitter_ns;
        p->delay_corr_ppm = (uint32_t)n->delay->correlation_ppm;
        p->dist = (enum netem_dist)n->delay->distribution;
    }
    if (n->loss) {
        p->loss = n->loss->states ? NETEM_LOSS_STATES : n->loss->gilbert ? NETEM_LOSS_GILBERT_ELLIOTT : NETEM_LOSS_RANDOM;
        p->loss_ppm = (uint32_t)n->loss->loss_ppm;
        p->loss_corr_ppm = (uint32_t)n->loss->correlation_ppm;
        p->ecn = n->loss->ecn;
    }
    const struct net_states *s = n->loss ? n->loss->states : NULL;
    if (s) {
        p->states_ppm.p13 = (uint32_t)s->p13_ppm;
        p->states_ppm.p31 = (uint32_t)s->p31_ppm;
        p->states_ppm.p32 = (uint32_t)s->p32_ppm;
        p->states_ppm.p23 = (uint32_t)s->p23_ppm;
        p->states_ppm.p14 = (uint32_t)s->p14_ppm;
    }
    const struct net_gilbert *g = n->loss ? n->loss->gilbert : NULL;
    if (g) {
        p->ge_ppm.to_bad = (uint32_t)g->p_ppm;
        p->ge_ppm.to_good = (uint32_t)g->r_ppm;
        p->ge_ppm.loss_in_bad = (uint32_t)(SHARE_MAX - g->h_ppm);
        p->ge_ppm.loss_in_good = (uint32_t)(SHARE_MAX - g->k_ppm);
    }
}

static void to_params_rest(const struct net_fault *n, struct netem_params *p) {
    if (n->duplicate) {
        p->duplicate_ppm = (uint32_t)n->duplicate->share_ppm;
        p->duplicate_corr_ppm = (uint32_t)n->duplicate->correlation_ppm;
    }
    if (n->corrupt) {
        p->corrupt_ppm = (uint32_t)n->corrupt->share_ppm;
        p->corrupt_corr_ppm = (uint32_t)n->corrupt->correlation_ppm;
    }
    if (n->reorder) {
        p->reorder_ppm = (uint32_t)n->reorder->share_ppm;
        p->reorder_corr_ppm = (uint32_t)n->reorder->correlation_ppm;
        p->gap = (uint32_t)n->reorder->gap;
    }
    if (n->rate) {
        p->rate_bps = (uint64_t)n->rate->bits_per_s / 8;
        p->packet_overhead = (int32_t)n->rate->packet_overhead;
        p->cell_size = (uint32_t)n->rate->cell_size;
        p->cell_overhead = (int32_t)n->rate->cell_overhead;
    }
    if (n->slot) {
        p->slot.min_ns = n->slot->min_ns;
        p->slot.max_ns = n->slot->max_ns ? n->slot->max_ns : n->slot->min_ns;
        p->slot.packets = (int32_t)n->slot->packets;
        p->slot.bytes = (int32_t)n->slot->bytes;
    }
}

static int check_seed(struct net_fault *n, const struct schema_at *at, struct error *err) {
    int64_t v;
    if (!n->seed)
        return 0;
    if (parse_int(n->seed, &v, NULL) < 0 || v < 0)
        return schema_bad(at, "seed", err, "seed: expected a whole number from 0 on, not \"%s\"", n->seed);
    n->params.seeded = true;
    n->params.seed = (uint64_t)v;
    return 0;
}

/* "2379", "2379-2380". */
static bool parse_range(const char *text, struct netem_range *ret) {
    int64_t first, last;
    char from[24];
    const char *dash = strchr(text, '-');
    snprintf(from, sizeof from, "%.*s", dash ? (int)(dash - text) : (int)strlen(text), text);
    if (parse_int(from, &first, NULL) < 0 || parse_int(dash ? dash + 1 : text, &last, NULL) < 0 || first < 0 || last > 65535 || first > last)
        return false;
    *ret = (struct netem_range){(uint16_t)first, (uint16_t)last};
    return true;
}

static int check_ports(const struct strings *list, const char *field, struct netem_range *out, size_t *ret, const struct schema_at *at, struct error *err) {
    char one[32];
    if (list->count > NETEM_RANGES)
        return schema_bad(at, field, err, "%s: at most %d ports or ranges", field, NETEM_RANGES);
    for (size_t i = 0; i < list->count; i++) {
        snprintf(one, sizeof one, "%s/%zu", field, i);
        if (!parse_range(list->items[i], &out[i]))
            return schema_bad(at, one, err, "%s: expected a port or a range within 0 to 65535, such as 2379 or 2379-2380, not \"%s\"", field, list->items[i]);
    }
    *ret = list->count;
    return 0;
}

/* Letters, digits, dots, dashes, with one that is no digit behind the last dot: "10.0.0" is a mistake, not a name. */
static bool is_name(const char *s) {
    const char *last = strrchr(s, '.');
    size_t n = strlen(s);
    return n && n < 254 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == n &&
           strspn(last ? last + 1 : s, "0123456789") < strlen(last ? last + 1 : s);
}

static int check_addresses(struct net_fault *n, const struct strings *list, const char *field, bool except, const char **names, size_t *name_count,
                           const struct schema_at *at, struct error *err) {
    char why[NETEM_ERROR_SIZE], one[40];
    for (size_t i = 0; i < list->count; i++) {
        struct netem_peer *p = &n->fixed[n->fixed_count];
        snprintf(one, sizeof one, "%s/%zu", field, i);
        if (netem_peer_parse(list->items[i], p, why) == 0) {
            p->except = except;
            n->fixed_count++;
        } else if (!except && is_name(list->items[i])) {
            names[(*name_count)++] = list->items[i];
        } else {
            return schema_bad(at, one, err, "%s: %s%s", field, why, except ? "" : ", or a name");
        }
    }
    return 0;
}

/* A protocol of one family never meets an address of the other. */
static int check_family(const struct net_fault *n, const struct schema_at *at, struct error *err) {
    static const uint8_t v4[12] = {[10] = 0xff, 0xff};
    bool wants_v4 = n->named.protocol == IPPROTO_ICMP, met = n->names.count || n->peers || !n->external.count;
    if (!wants_v4 && n->named.protocol != IPPROTO_ICMPV6)
        return 0;
    for (size_t i = 0; i < n->fixed_count; i++)
        met |= !n->fixed[i].except && (memcmp(n->fixed[i].address, v4, sizeof v4) == 0) == wants_v4;
    return met ? 0
               : schema_bad(at, "protocol", err, "%s goes with %s addresses only, and none is named: say %s", net_protocols[n->protocol], wants_v4 ? "IPv4" : "IPv6",
                            wants_v4 ? "icmpv6" : "icmp");
}

static int check_far_ends(struct net_fault *n, const struct schema_at *at, struct error *err) {
    size_t name_count = 0;
    const char **names = arena_alloc(at->arena, (n->external.count + 1) * sizeof *names);
    n->fixed = arena_alloc(at->arena, (n->external.count + n->except.count + 1) * sizeof *n->fixed);
    if (!names || !n->fixed)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = check_addresses(n, &n->external, "externalTargets", false, names, &name_count, at, err);
    if (rc == 0)
        rc = check_addresses(n, &n->except, "except", true, names, &name_count, at, err);
    n->names = (struct strings){names, name_count};
    if (rc == 0 && n->except.count && !n->external.count && !n->peers)
        return schema_bad(at, "except", err, "except takes from what is named: add externalTargets, [0.0.0.0/0, \"::/0\"] for everything");
    return rc < 0 ? rc : check_family(n, at, err);
}

int net_check(void *value, const struct schema_at *at, struct error *err) {
    struct net_fault *n = value;
    struct netem_fault *f = &n->named;
    char why[NETEM_ERROR_SIZE];
    int rc = pod_target_check(&n->target, at, err);
    if (rc < 0)
        return rc;
    n->shapes = n->delay || n->loss || n->duplicate || n->corrupt || n->reorder || n->rate || n->slot;
    to_params(n, &n->params);
    to_params_rest(n, &n->params);
    if ((rc = check_seed(n, at, err)) < 0)
        return rc;
    if (n->shapes && netem_check(&n->params, why) < 0)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "%s", why);
    f->directions = directions[n->direction];
    f->protocol = protocols[n->protocol];
    if ((rc = check_ports(&n->ports, "ports", f->local_ports, &f->local_count, at, err)) < 0 ||
        (rc = check_ports(&n->peer_ports, "targetPorts", f->peer_ports, &f->peer_port_count, at, err)) < 0)
        return rc;
    bool has_ports = f->protocol == 0 || f->protocol == IPPROTO_TCP || f->protocol == IPPROTO_UDP || f->protocol == IPPROTO_SCTP;
    if ((f->local_count || f->peer_port_count) && !has_ports)
        return schema_bad(at, "protocol", err, "protocol %s has no ports", net_protocols[n->protocol]);
    rc = check_far_ends(n, at, err);
    return rc < 0 ? rc : net_measure_check(n, at, err);
}
