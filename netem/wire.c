/* SPDX-License-Identifier: Apache-2.0 */
/* netem's parameters on the wire. One row an attribute: how it is written, how it is read, how long it is. */
#include "params.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <stdio.h>
#include <string.h>

enum { ATTR_PRNG_SEED = 14 /* TCA_NETEM_PRNG_SEED, in headers from 6.6 */, ATTR_MAX = 14, TICK_NS = 64, TABLE_SCALE = 8192, ATTR_HEADER = 4, NESTED = 0x8000, TYPE_MASK = 0x3fff };

/* --- shares: the kernel counts to 2^32 - 1 --- */

static uint32_t to_wire(uint32_t ppm) { return (uint32_t)(((uint64_t)ppm * UINT32_MAX + NETEM_PPM / 2) / NETEM_PPM); }
static uint32_t to_ppm(uint32_t wire) { return (uint32_t)(((uint64_t)wire * NETEM_PPM + UINT32_MAX / 2) / UINT32_MAX); }
static uint32_t to_ticks(int64_t ns) { return ns / TICK_NS > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / TICK_NS); }

/* --- writing --- */

struct out {
    unsigned char *at;
    size_t len, room;
    bool full;
};

static size_t aligned(size_t n) { return (n + 3) & ~(size_t)3; }

static void put(struct out *o, const void *data, size_t len) {
    size_t padded = aligned(len);
    if (o->full || padded > o->room - o->len) {
        o->full = true;
        return;
    }
    memset(o->at + o->len, 0, padded);
    memcpy(o->at + o->len, data, len);
    o->len += padded;
}

static void put_attr(struct out *o, unsigned type, const void *data, size_t len) {
    const uint16_t header[2] = {(uint16_t)(len + ATTR_HEADER), (uint16_t)type};
    put(o, header, sizeof header);
    put(o, data, len);
}

static void put_loss(struct out *o, const struct netem_params *p) {
    struct {
        uint16_t len, type;
        union { struct tc_netem_gimodel gi; struct tc_netem_gemodel ge; };
    } nested;
    size_t len = ATTR_HEADER + (p->loss == NETEM_LOSS_STATES ? sizeof nested.gi : sizeof nested.ge);
    nested.len = (uint16_t)len;
    nested.type = p->loss == NETEM_LOSS_STATES ? NETEM_LOSS_GI : NETEM_LOSS_GE;
    if (p->loss == NETEM_LOSS_STATES)
        nested.gi = (struct tc_netem_gimodel){.p13 = to_wire(p->states_ppm.p13), .p31 = to_wire(p->states_ppm.p31),
            .p32 = to_wire(p->states_ppm.p32), .p14 = to_wire(p->states_ppm.p14), .p23 = to_wire(p->states_ppm.p23)};
    else /* the kernel's h is the share that gets through while bad */
        nested.ge = (struct tc_netem_gemodel){.p = to_wire(p->ge_ppm.to_bad), .r = to_wire(p->ge_ppm.to_good),
            .h = UINT32_MAX - to_wire(p->ge_ppm.loss_in_bad), .k1 = to_wire(p->ge_ppm.loss_in_good)};
    put_attr(o, TCA_NETEM_LOSS | NESTED, &nested, len);
}

static void put_rate(struct out *o, const struct netem_params *p) {
    const struct tc_netem_rate rate = {.rate = p->rate_bps > UINT32_MAX ? UINT32_MAX : (uint32_t)p->rate_bps,
        .packet_overhead = p->packet_overhead, .cell_size = p->cell_size, .cell_overhead = p->cell_overhead};
    if (p->rate_bps > UINT32_MAX)
        put_attr(o, TCA_NETEM_RATE64, &p->rate_bps, sizeof p->rate_bps);
    put_attr(o, TCA_NETEM_RATE, &rate, sizeof rate);
}

/* Uniform as it is without a table, delay ± jitter: the only way to be rid of a table that a queue has. */
static void put_uniform(struct out *o) {
    int16_t table[NETEM_TABLE];
    for (int i = 0; i < NETEM_TABLE; i++)
        table[i] = (int16_t)(TABLE_SCALE * (2 * i + 1) / NETEM_TABLE - TABLE_SCALE);
    put_attr(o, TCA_NETEM_DELAY_DIST, table, sizeof table);
}

static void put_table(struct out *o, const struct netem_params *p, bool over) {
    int16_t table[NETEM_TABLE];
    if (p->dist == NETEM_UNIFORM && over && p->jitter_ns)
        put_uniform(o);
    if (p->dist == NETEM_CUSTOM) {
        put_attr(o, TCA_NETEM_DELAY_DIST, p->table, p->table_len * sizeof *p->table);
    } else if (p->dist != NETEM_UNIFORM) {
        netem_dist_table(p->dist, table);
        put_attr(o, TCA_NETEM_DELAY_DIST, table, sizeof table);
    }
}

static void put_slot(struct out *o, const struct netem_params *p, bool over) {
    const struct tc_netem_slot s = {.min_delay = p->slot.min_ns, .max_delay = p->slot.max_ns, .max_packets = p->slot.packets,
        .max_bytes = p->slot.bytes, .dist_delay = p->slot.delay_ns, .dist_jitter = p->slot.jitter_ns};
    if (s.max_delay || s.dist_delay || over)
        put_attr(o, TCA_NETEM_SLOT, &s, sizeof s);
}

static void put_qopt(struct out *o, const struct netem_params *p) {
    const struct tc_netem_qopt q = {
        .latency = to_ticks(p->delay_ns), .jitter = to_ticks(p->jitter_ns), .limit = p->limit ? p->limit : netem_limit(p),
        .loss = p->loss == NETEM_LOSS_RANDOM ? to_wire(p->loss_ppm) : 0, .duplicate = to_wire(p->duplicate_ppm),
        .gap = p->reorder_ppm && !p->gap ? 1 : p->gap,
    };
    put(o, &q, sizeof q);
}

int netem_encode(const struct netem_params *p, unsigned flags, void *buf, size_t room, char *why) {
    struct out o = {.at = buf, .room = room};
    int rc = netem_check(p, why);
    if (rc < 0)
        return rc;
    const struct tc_netem_corr corr = {to_wire(p->delay_corr_ppm), to_wire(p->loss_corr_ppm), to_wire(p->duplicate_corr_ppm)};
    const struct tc_netem_reorder reorder = {to_wire(p->reorder_ppm), to_wire(p->reorder_corr_ppm)};
    const struct tc_netem_corrupt corrupt = {to_wire(p->corrupt_ppm), to_wire(p->corrupt_corr_ppm)};
    const uint32_t ecn = p->ecn;
    const bool over = flags & NETEM_ENCODE_OVER;
    put_qopt(&o, p);
    /* Always all of them: a change leaves what it does not name as it was. */
    put_attr(&o, TCA_NETEM_LATENCY64, &p->delay_ns, sizeof p->delay_ns);
    put_attr(&o, TCA_NETEM_JITTER64, &p->jitter_ns, sizeof p->jitter_ns);
    put_attr(&o, TCA_NETEM_CORR, &corr, sizeof corr);
    put_attr(&o, TCA_NETEM_REORDER, &reorder, sizeof reorder);
    put_attr(&o, TCA_NETEM_CORRUPT, &corrupt, sizeof corrupt);
    put_rate(&o, p);
    if (p->ecn || over)
        put_attr(&o, TCA_NETEM_ECN, &ecn, sizeof ecn);
    if (p->loss >= NETEM_LOSS_STATES)
        put_loss(&o, p);
    put_slot(&o, p, over);
    put_table(&o, p, over);
    if (p->seeded && (flags & NETEM_ENCODE_SEED))
        put_attr(&o, ATTR_PRNG_SEED, &p->seed, sizeof p->seed);
    return o.full ? -ENOSPC : (int)o.len;
}

/* --- reading --- */

struct attr { const unsigned char *data; size_t len; };

static int refuse(char *why, const char *text) {
    snprintf(why, NETEM_ERROR_SIZE, "netem's options as the kernel sent them: %s", text);
    return -EINVAL;
}

static int split(const unsigned char *at, size_t len, struct attr *list, size_t max, char *why) {
    while (len) {
        uint16_t header[2];
        if (len < ATTR_HEADER)
            return refuse(why, "cut short between attributes");
        memcpy(header, at, sizeof header);
        if (header[0] < ATTR_HEADER || header[0] > len)
            return refuse(why, "an attribute is longer than what was sent");
        unsigned type = header[1] & TYPE_MASK;
        if (type <= max)
            list[type] = (struct attr){at + ATTR_HEADER, header[0] - (size_t)ATTR_HEADER};
        size_t step = aligned(header[0]);
        at += step < len ? step : len;
        len -= step < len ? step : len;
    }
    return 0;
}

/* The first size bytes; longer is a newer kernel, shorter is not understood. */
static int take(const struct attr *a, void *ret, size_t size, bool *there, char *why) {
    *there = a->data != NULL;
    if (!*there)
        return 0;
    if (a->len < size)
        return refuse(why, "an attribute is shorter than it should be");
    memcpy(ret, a->data, size);
    return 0;
}

static int read_loss(const struct attr *a, struct netem_params *p, char *why) {
    struct attr models[NETEM_LOSS_GE + 1] = {0};
    struct tc_netem_gimodel gi;
    struct tc_netem_gemodel ge;
    bool has_gi = false, has_ge = false;
    int rc = split(a->data, a->len, models, NETEM_LOSS_GE, why);
    if (rc == 0)
        rc = take(&models[NETEM_LOSS_GI], &gi, sizeof gi, &has_gi, why);
    if (rc == 0)
        rc = take(&models[NETEM_LOSS_GE], &ge, sizeof ge, &has_ge, why);
    if (rc < 0)
        return rc;
    if (has_gi) {
        p->loss = NETEM_LOSS_STATES;
        p->states_ppm.p13 = to_ppm(gi.p13);
        p->states_ppm.p31 = to_ppm(gi.p31);
        p->states_ppm.p32 = to_ppm(gi.p32);
        p->states_ppm.p23 = to_ppm(gi.p23);
        p->states_ppm.p14 = to_ppm(gi.p14);
    } else if (has_ge) {
        p->loss = NETEM_LOSS_GILBERT_ELLIOTT;
        p->ge_ppm.to_bad = to_ppm(ge.p);
        p->ge_ppm.to_good = to_ppm(ge.r);
        p->ge_ppm.loss_in_bad = to_ppm(UINT32_MAX - ge.h);
        p->ge_ppm.loss_in_good = to_ppm(ge.k1);
    }
    return 0;
}

static int read_times(const struct attr *list, struct netem_params *p, char *why) {
    bool there;
    int rc = take(&list[TCA_NETEM_LATENCY64], &p->delay_ns, sizeof p->delay_ns, &there, why);
    return rc < 0 ? rc : take(&list[TCA_NETEM_JITTER64], &p->jitter_ns, sizeof p->jitter_ns, &there, why);
}

static int read_pairs(const struct attr *list, struct netem_params *p, char *why) {
    struct tc_netem_corr corr = {0};
    struct tc_netem_reorder reorder = {0};
    struct tc_netem_corrupt corrupt = {0};
    bool there;
    int rc = take(&list[TCA_NETEM_CORR], &corr, sizeof corr, &there, why);
    if (rc == 0)
        rc = take(&list[TCA_NETEM_REORDER], &reorder, sizeof reorder, &there, why);
    if (rc == 0)
        rc = take(&list[TCA_NETEM_CORRUPT], &corrupt, sizeof corrupt, &there, why);
    p->delay_corr_ppm = to_ppm(corr.delay_corr);
    p->loss_corr_ppm = to_ppm(corr.loss_corr);
    p->duplicate_corr_ppm = to_ppm(corr.dup_corr);
    p->reorder_ppm = to_ppm(reorder.probability);
    p->reorder_corr_ppm = to_ppm(reorder.correlation);
    p->corrupt_ppm = to_ppm(corrupt.probability);
    p->corrupt_corr_ppm = to_ppm(corrupt.correlation);
    return rc;
}

static int read_rate(const struct attr *list, struct netem_params *p, char *why) {
    struct tc_netem_rate rate = {0};
    uint64_t rate64;
    bool there;
    int rc = take(&list[TCA_NETEM_RATE], &rate, sizeof rate, &there, why);
    p->rate_bps = rate.rate;
    p->packet_overhead = rate.packet_overhead;
    p->cell_size = rate.cell_size;
    p->cell_overhead = rate.cell_overhead;
    if (rc == 0 && (rc = take(&list[TCA_NETEM_RATE64], &rate64, sizeof rate64, &there, why)) == 0 && there)
        p->rate_bps = rate64;
    return rc;
}

static int read_rest(const struct attr *list, struct netem_params *p, char *why) {
    struct tc_netem_slot s = {0};
    uint32_t ecn = 0;
    bool there;
    int rc = take(&list[TCA_NETEM_SLOT], &s, sizeof s, &there, why);
    p->slot.min_ns = s.min_delay;
    p->slot.max_ns = s.max_delay;
    p->slot.delay_ns = s.dist_delay;
    p->slot.jitter_ns = s.dist_jitter;
    p->slot.packets = s.max_packets;
    p->slot.bytes = s.max_bytes;
    if (rc == 0)
        rc = take(&list[TCA_NETEM_ECN], &ecn, sizeof ecn, &there, why);
    p->ecn = ecn != 0;
    if (rc == 0)
        rc = take(&list[ATTR_PRNG_SEED], &p->seed, sizeof p->seed, &p->seeded, why);
    const struct attr *table = &list[TCA_NETEM_DELAY_DIST];
    if (rc == 0 && table->data && table->len >= sizeof *p->table) {
        p->dist = NETEM_CUSTOM;
        p->table = (const int16_t *)(const void *)table->data; /* aligned: attributes begin at multiples of four */
        p->table_len = table->len / sizeof *p->table;
    }
    return rc;
}

int netem_decode(const void *buf, size_t len, struct netem_params *ret, char *why) {
    struct tc_netem_qopt q;
    struct attr list[ATTR_MAX + 1] = {0};
    struct netem_params p = {0};
    if (len < sizeof q)
        return refuse(why, "shorter than their fixed part");
    memcpy(&q, buf, sizeof q);
    p.delay_ns = (int64_t)q.latency * TICK_NS;
    p.jitter_ns = (int64_t)q.jitter * TICK_NS;
    p.limit = q.limit;
    p.gap = q.gap;
    p.loss_ppm = to_ppm(q.loss);
    p.loss = q.loss ? NETEM_LOSS_RANDOM : NETEM_LOSS_NONE;
    p.duplicate_ppm = to_ppm(q.duplicate);
    int rc = split((const unsigned char *)buf + sizeof q, len - sizeof q, list, ATTR_MAX, why);
    if (rc == 0)
        rc = read_times(list, &p, why);
    if (rc == 0)
        rc = read_pairs(list, &p, why);
    if (rc == 0)
        rc = read_rate(list, &p, why);
    if (rc == 0 && list[TCA_NETEM_LOSS].data)
        rc = read_loss(&list[TCA_NETEM_LOSS], &p, why);
    if (rc == 0)
        rc = read_rest(list, &p, why);
    if (rc == 0)
        *ret = p;
    return rc;
}
