/* SPDX-License-Identifier: Apache-2.0 */
#include "params.h"

#include <stdarg.h>
#include <stdio.h>

#include <errno.h>
#include <inttypes.h>

const char *const netem_dist_names[] = {
    [NETEM_UNIFORM] = "uniform", [NETEM_NORMAL] = "normal", [NETEM_PARETO] = "pareto", [NETEM_PARETONORMAL] = "paretonormal",
    [NETEM_CUSTOM] = "custom", [NETEM_DIST_COUNT] = NULL,
};

enum { TABLE_MOST = 16384, LIMIT_LEAST = 1000, LIMIT_MOST = 1000000, FULL_PACKET = 1514 };
#define TIME_MOST (INT64_C(3600) * 1000000000)
#define NS_PER_S 1000000000.0

static int refuse(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(char *why, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, NETEM_ERROR_SIZE, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

static int check_shares(const struct netem_params *p, char *why) {
    const struct { const char *name; uint32_t ppm; } rows[] = {
        {"delay correlation", p->delay_corr_ppm}, {"loss", p->loss_ppm}, {"loss correlation", p->loss_corr_ppm},
        {"loss state p13", p->states_ppm.p13}, {"loss state p31", p->states_ppm.p31}, {"loss state p32", p->states_ppm.p32},
        {"loss state p23", p->states_ppm.p23}, {"loss state p14", p->states_ppm.p14},
        {"probability of turning bad", p->ge_ppm.to_bad}, {"probability of turning good", p->ge_ppm.to_good},
        {"loss while bad", p->ge_ppm.loss_in_bad}, {"loss while good", p->ge_ppm.loss_in_good},
        {"duplicate", p->duplicate_ppm}, {"duplicate correlation", p->duplicate_corr_ppm},
        {"corrupt", p->corrupt_ppm}, {"corrupt correlation", p->corrupt_corr_ppm},
        {"reorder", p->reorder_ppm}, {"reorder correlation", p->reorder_corr_ppm},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].ppm > NETEM_PPM)
            return refuse(why, "%s: %.4g %% is more than 100 %%", rows[i].name, rows[i].ppm / 1e4);
    return 0;
}

static int check_delay(const struct netem_params *p, char *why) {
    if (p->delay_ns < 0 || p->delay_ns > TIME_MOST)
        return refuse(why, "delay: expected 0 to an hour");
    if (p->jitter_ns < 0 || p->jitter_ns > p->delay_ns)
        return refuse(why, "jitter: %g ms is more than the delay of %g ms; a packet cannot leave before it came", (double)p->jitter_ns / 1e6, (double)p->delay_ns / 1e6);
    if (p->delay_corr_ppm && !p->jitter_ns)
        return refuse(why, "delay correlation needs jitter: without it every delay is the same");
    if (p->dist != NETEM_UNIFORM && !p->jitter_ns)
        return refuse(why, "a distribution needs jitter: without it every delay is the same");
    if ((unsigned)p->dist >= NETEM_DIST_COUNT)
        return refuse(why, "unknown distribution");
    if (p->dist == NETEM_CUSTOM && (!p->table || p->table_len < 1 || p->table_len > TABLE_MOST))
        return refuse(why, "a distribution of your own has 1 to %d values", TABLE_MOST);
    if (p->reorder_ppm && !p->delay_ns)
        return refuse(why, "reorder needs delay: packets overtake those that are delayed");
    if (p->gap && !p->reorder_ppm)
        return refuse(why, "gap goes with reorder");
    return 0;
}

static int check_correlations(const struct netem_params *p, char *why) {
    if (p->loss_corr_ppm && (p->loss != NETEM_LOSS_RANDOM || !p->loss_ppm))
        return refuse(why, "loss correlation goes with random loss");
    if (p->duplicate_corr_ppm && !p->duplicate_ppm)
        return refuse(why, "duplicate correlation goes with duplicate");
    if (p->corrupt_corr_ppm && !p->corrupt_ppm)
        return refuse(why, "corrupt correlation goes with corrupt");
    if (p->reorder_corr_ppm && !p->reorder_ppm)
        return refuse(why, "reorder correlation goes with reorder");
    if (p->loss_ppm && p->loss != NETEM_LOSS_RANDOM)
        return refuse(why, "loss: only one model at a time");
    if (p->ecn && p->loss == NETEM_LOSS_NONE)
        return refuse(why, "ecn marks packets instead of losing them: it needs loss");
    return 0;
}

static int check_rate(const struct netem_params *p, char *why) {
    if (!p->rate_bps && (p->packet_overhead || p->cell_size || p->cell_overhead))
        return refuse(why, "packet overhead and cells go with rate");
    if (p->cell_overhead && !p->cell_size)
        return refuse(why, "cell overhead goes with cell size");
    if (p->slot.min_ns < 0 || p->slot.max_ns < p->slot.min_ns || p->slot.max_ns > TIME_MOST)
        return refuse(why, "slot: expected 0 <= min <= max <= an hour");
    if (p->slot.delay_ns < 0 || p->slot.delay_ns > TIME_MOST || p->slot.jitter_ns < 0 || p->slot.jitter_ns > p->slot.delay_ns)
        return refuse(why, "slot: expected 0 <= jitter <= delay <= an hour");
    if (p->slot.delay_ns && !p->slot.jitter_ns)
        return refuse(why, "slot: delay goes with jitter; the kernel leaves out one without");
    if (p->slot.delay_ns && p->slot.max_ns)
        return refuse(why, "slot: either min and max, or delay and jitter");
    if (p->slot.packets < 0 || p->slot.bytes < 0)
        return refuse(why, "slot: a burst has no fewer than 0 packets and bytes");
    if ((p->slot.packets || p->slot.bytes) && !p->slot.max_ns && !p->slot.delay_ns)
        return refuse(why, "slot: a burst's size goes with the pause between bursts");
    return 0;
}

int netem_check(const struct netem_params *p, char *why) {
    int rc = check_shares(p, why);
    if (rc == 0)
        rc = check_delay(p, why);
    if (rc == 0)
        rc = check_correlations(p, why);
    return rc < 0 ? rc : check_rate(p, why);
}

uint32_t netem_limit(const struct netem_params *p) {
    double longest_s = (double)(p->delay_ns + 4 * p->jitter_ns + p->slot.max_ns + p->slot.delay_ns + 4 * p->slot.jitter_ns) / NS_PER_S;
    double packets = p->rate_bps ? (double)p->rate_bps / FULL_PACKET * (longest_s + 0.25) : 1e6 * longest_s;
    double least = p->rate_bps ? 16 : LIMIT_LEAST;
    return (uint32_t)(packets < least ? least : packets > LIMIT_MOST ? LIMIT_MOST : packets);
}

static bool same_loss(const struct netem_params *a, const struct netem_params *b) {
    if (a->loss != b->loss)
        return a->loss_ppm == 0 && b->loss_ppm == 0 && a->loss <= NETEM_LOSS_RANDOM && b->loss <= NETEM_LOSS_RANDOM;
    if (a->loss == NETEM_LOSS_STATES)
        return a->states_ppm.p13 == b->states_ppm.p13 && a->states_ppm.p31 == b->states_ppm.p31 && a->states_ppm.p32 == b->states_ppm.p32 &&
               a->states_ppm.p23 == b->states_ppm.p23 && a->states_ppm.p14 == b->states_ppm.p14;
    if (a->loss == NETEM_LOSS_GILBERT_ELLIOTT)
        return a->ge_ppm.to_bad == b->ge_ppm.to_bad && a->ge_ppm.to_good == b->ge_ppm.to_good &&
               a->ge_ppm.loss_in_bad == b->ge_ppm.loss_in_bad && a->ge_ppm.loss_in_good == b->ge_ppm.loss_in_good;
    return a->loss_ppm == b->loss_ppm && a->loss_corr_ppm == b->loss_corr_ppm;
}

static bool same_slot(const struct netem_params *a, const struct netem_params *b) {
    return a->slot.min_ns == b->slot.min_ns && a->slot.max_ns == b->slot.max_ns && a->slot.delay_ns == b->slot.delay_ns &&
           a->slot.jitter_ns == b->slot.jitter_ns && a->slot.packets == b->slot.packets && a->slot.bytes == b->slot.bytes;
}

const char *netem_differs(const struct netem_params *asked, const struct netem_params *got) {
    const struct netem_params *a = asked, *b = got;
    uint32_t gap = a->reorder_ppm && !a->gap ? 1 : a->gap;
    const struct { bool same; const char *name; } rows[] = {
        {a->delay_ns == b->delay_ns, "delay"},
        {a->jitter_ns == b->jitter_ns, "jitter"},
        {a->delay_corr_ppm == b->delay_corr_ppm, "delay correlation"},
        {same_loss(a, b), "loss"},
        {a->ecn == b->ecn, "ecn"},
        {a->duplicate_ppm == b->duplicate_ppm && a->duplicate_corr_ppm == b->duplicate_corr_ppm, "duplicate"},
        {a->corrupt_ppm == b->corrupt_ppm && a->corrupt_corr_ppm == b->corrupt_corr_ppm, "corrupt"},
        {a->reorder_ppm == b->reorder_ppm && a->reorder_corr_ppm == b->reorder_corr_ppm && gap == b->gap, "reorder"},
        {a->rate_bps == b->rate_bps && a->packet_overhead == b->packet_overhead && a->cell_size == b->cell_size &&
             a->cell_overhead == b->cell_overhead, "rate"},
        {same_slot(a, b), "slot"},
        {(a->limit ? a->limit : netem_limit(a)) == b->limit, "limit"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!rows[i].same)
            return rows[i].name;
    return NULL;
}
