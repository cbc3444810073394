/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a netem qdisc does to packets, in SI units, and its form on the wire: pure functions, no socket, no allocation.
 *
 * Shares are in millionths (1000000 = every packet). Times are ns, rates bytes a second. What is zero is not asked for.
 * The wire form is the value of TCA_OPTIONS: struct tc_netem_qopt, then attributes (linux/pkt_sched.h). The kernel does not give its
 * distribution table back, nor the seed before 6.6: those two cannot be read back. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NETEM_PPM = 1000000, NETEM_ERROR_SIZE = 256 };
enum netem_dist { NETEM_UNIFORM, NETEM_NORMAL, NETEM_PARETO, NETEM_PARETONORMAL, NETEM_CUSTOM, NETEM_DIST_COUNT };
enum netem_loss { NETEM_LOSS_NONE, NETEM_LOSS_RANDOM, NETEM_LOSS_STATES, NETEM_LOSS_GILBERT_ELLIOTT };
extern const char *const netem_dist_names[]; /* as tc spells them; NULL-terminated */

struct netem_params {
    int64_t delay_ns, jitter_ns; /* jitter: uniform in delay ± jitter, or the standard deviation of a distribution */
    uint32_t delay_corr_ppm;
    enum netem_dist dist;
    const int16_t *table; /* NETEM_CUSTOM: inverse cumulative distribution, scaled by 8192; borrowed */
    size_t table_len;     /* 1 to 16384 */

    enum netem_loss loss;
    uint32_t loss_ppm, loss_corr_ppm;                        /* random */
    struct { uint32_t p13, p31, p32, p23, p14; } states_ppm; /* four states: good reception, good in a burst, loss in a burst (3), lone loss (4) */
    struct { uint32_t to_bad, to_good, loss_in_bad, loss_in_good; } ge_ppm; /* tc: p, r, 1-h, 1-k */
    bool ecn; /* mark instead of dropping where the sender can */

    uint32_t duplicate_ppm, duplicate_corr_ppm;
    uint32_t corrupt_ppm, corrupt_corr_ppm; /* one bit flipped */
    uint32_t reorder_ppm, reorder_corr_ppm; /* this share is sent at once, the rest delayed */
    uint32_t gap;                           /* every gap-th is a candidate; 0: 1 with reorder */

    uint64_t rate_bps; /* bytes a second */
    int32_t packet_overhead;
    uint32_t cell_size;
    int32_t cell_overhead;

    struct { /* packets leave in bursts, a random pause apart: between min and max, or around delay by a distribution */
        int64_t min_ns, max_ns, delay_ns, jitter_ns;
        int32_t packets, bytes; /* most in one burst; 0: no such limit */
    } slot;

    uint32_t limit; /* packets held; 0: netem_limit() */
    bool seeded;
    uint64_t seed; /* kernels from 6.6 */
};

/* 0, or -EINVAL with what is wrong in why (NETEM_ERROR_SIZE bytes). */
int netem_check(const struct netem_params *p, char *why);

/* Packets that the queue must hold so that a delay does not become loss: the kernel's 1000 drop above 10,000 packets a second at 100 ms.
 * Without a rate for a million packets a second; with one for its full-sized packets and a quarter of a second more, so that it drains soon. */
uint32_t netem_limit(const struct netem_params *p);

/* Wire form into buf. Returns its length, or -EINVAL (why is set as by netem_check), -ENOSPC. NETEM_WIRE_MAX always does.
 * SEED: the seed too. OVER: to change a queue that is there, whatever it was: a kernel leaves what is not named as it was. */
enum { NETEM_WIRE_MAX = 36 * 1024, NETEM_ENCODE_SEED = 1, NETEM_ENCODE_OVER = 2 };
int netem_encode(const struct netem_params *p, unsigned flags, void *buf, size_t room, char *why);

/* The opposite, of what a kernel sent: any bytes, hostile ones included. 0 or -EINVAL with why. Distribution tables are not sent: dist is
 * NETEM_UNIFORM, or NETEM_CUSTOM with a table that points into buf where one was given. */
int netem_decode(const void *buf, size_t len, struct netem_params *ret, char *why);

/* Says where got (decoded) is not what was asked; NULL: nowhere. Static text. What the kernel does not tell is left out. */
const char *netem_differs(const struct netem_params *asked, const struct netem_params *got);

/* Inverse cumulative distribution for the named ones, NETEM_TABLE values scaled by 8192; same bytes on every machine.
 * normal: Acklam-like rational forms are avoided, it is bisected from erfc. pareto: (u^(-1/3) - 1.5) * 4/3, the form that tc uses
 * (shape 3, mean 0, deviation 1). paretonormal: a quarter normal, three quarters pareto. */
enum { NETEM_TABLE = 4096 };
void netem_dist_table(enum netem_dist dist, int16_t out[NETEM_TABLE]);
