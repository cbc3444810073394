/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For tests of netem itself: numbered datagrams through a shaped path, what became of each, and shares within 99.99 % (3.89 deviations). */
#include "netem_util.h"

#include <math.h>
#include <netinet/in.h>

enum { MANY = 10000, BULK = 1000, PORT = 4000 };
#define SIGMAS 3.89

static bool has_netem;
static int64_t without_ns; /* median of the way without a fault */

#define NEED_NETEM()                                                                     \
    do {                                                                                 \
        NEED_ROOT();                                                                     \
        if (!has_netem) {                                                                \
            print_message("# skipped: this kernel has no sch_netem (the lab has one)\n"); \
            skip();                                                                      \
        }                                                                                \
    } while (0)

static inline struct netem_fault shape(const struct netem_params *p) {
    struct netem_fault f = fault_on_a0(1, NETEM_SHAPE);
    f.params = p;
    f.protocol = IPPROTO_UDP;
    return f;
}

static inline struct netem_effect shaped(const struct netem_params *p) {
    struct netem_fault f = shape(p);
    return in_effect(&f);
}

struct flow { int sent, got, copies; int64_t *way_ns, *at_ns; int *order; }; /* way: 0 for what never came */

static inline void flow_free(struct flow *f) {
    free(f->way_ns);
    free(f->at_ns);
    free(f->order);
}

/* n datagrams, gap apart; what came, until nothing does for quiet_ms. */
static inline struct flow flow(int n, int gap_us, int size, int quiet_ms) {
    struct flow f = {.sent = n, .way_ns = calloc((size_t)n, 8), .at_ns = calloc((size_t)n, 8), .order = calloc((size_t)n, sizeof(int))};
    int out = udp_at(wire.a_path, "10.77.0.1", 40000), in = udp_at(wire.b_path, "10.77.0.2", PORT);
    cleanup_free char *packet = calloc(1, (size_t)size);
    struct sockaddr_storage to;
    socklen_t len = address("10.77.0.2", PORT, &to);
    int64_t next = now_ns(CLOCK_MONOTONIC), at = 0;
    for (int i = 0; i < n; i++) {
        struct datagram d = {(uint32_t)i, now_ns(CLOCK_REALTIME)};
        memcpy(packet, &d, sizeof d);
        while (sendto(out, packet, (size_t)size, 0, (struct sockaddr *)&to, len) < 0)
            poll(NULL, 0, 1);
        for (next += gap_us * 1000; gap_us && now_ns(CLOCK_MONOTONIC) < next;)
            if (next - now_ns(CLOCK_MONOTONIC) > 2 * MS)
                poll(NULL, 0, 1);
    }
    struct datagram d;
    while (receive_one(in, quiet_ms, &d, &at))
        if (d.number < (uint32_t)n && f.way_ns[d.number]) {
            f.copies++;
        } else if (d.number < (uint32_t)n) {
            f.way_ns[d.number] = at - d.sent_ns > 0 ? at - d.sent_ns : 1;
            f.at_ns[d.number] = at;
            f.order[f.got++] = (int)d.number;
        }
    close(out);
    close(in);
    return f;
}

static inline int64_t quantile(const struct flow *f, double q) {
    cleanup_free int64_t *v = calloc((size_t)f->sent, sizeof *v);
    int n = 0;
    for (int i = 0; i < f->sent; i++)
        if (f->way_ns[i])
            v[n++] = f->way_ns[i];
    qsort(v, (size_t)n, sizeof *v, by_size);
    return n ? v[(int)(q * (n - 1))] : 0;
}

static inline void share_figure(const char *what, double got, double want, double spread) {
    char name[64], must[64];
    snprintf(name, sizeof name, "accuracy: %s", what);
    snprintf(must, sizeof must, "%.3f ± %.3f", want, spread);
    figure(name, got, "%", must);
}

static inline void check_share(const char *what, int hits, int n, double p, double inflation) {
    double spread = SIGMAS * sqrt(n * p * (1 - p) * inflation);
    share_figure(what, 100.0 * hits / n, 100 * p, 100 * spread / n);
    assert_true(fabs(hits - n * p) <= spread);
}

static inline int shape_up(void **state) {
    struct netem_can can;
    int rc = wire_up(state);
    if (rc < 0 || geteuid() != 0)
        return rc;
    netem_can(&can);
    has_netem = can.can[NETEM_CAN_NETEM];
    for (int i = 0; i < NETEM_CAN_COUNT; i++)
        print_message("# %s: %s%s\n", netem_can_names[i], can.can[i] ? "yes" : "no: ", can.can[i] ? "" : can.why_not[i]);
    struct flow f = flow(BULK, 200, 64, 100);
    without_ns = quantile(&f, 0.5);
    print_message("# without a fault the median is %.3f ms\n", (double)without_ns / 1e6);
    flow_free(&f);
    return 0;
}
