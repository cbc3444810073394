/* SPDX-License-Identifier: Apache-2.0 */
/* netem itself: every parameter read back, and measured against what was asked. Needs a kernel with sch_netem (the lab has one).
 * Shares and rates: 99.99 % intervals (3.89 deviations). Correlated loss is compared with netem's own model, simulated here. */
#include "netem_util.h"

#include "base/rng.h"

#include <math.h>
#include <netinet/in.h>
#include <netinet/ip.h>

enum { MANY = 10000, BULK = 1000, PORT = 4000 };
#define MS INT64_C(1000000)
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

static struct netem_fault shape(const struct netem_params *p) {
    struct netem_fault f = fault_on_a0(1, NETEM_SHAPE);
    f.params = p;
    f.protocol = IPPROTO_UDP;
    return f;
}

static struct netem_effect shaped(const struct netem_params *p) {
    struct netem_fault f = shape(p);
    return in_effect(&f);
}

struct flow { int sent, got, copies; int64_t *way_ns, *at_ns; int *order; }; /* way: 0 for what never came */

static void flow_free(struct flow *f) {
    free(f->way_ns);
    free(f->at_ns);
    free(f->order);
}

/* n datagrams, gap apart; what came, until nothing does for quiet_ms. */
static struct flow flow(int n, int gap_us, int size, int quiet_ms) {
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

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t quantile(const struct flow *f, double q) {
    cleanup_free int64_t *v = calloc((size_t)f->sent, sizeof *v);
    int n = 0;
    for (int i = 0; i < f->sent; i++)
        if (f->way_ns[i])
            v[n++] = f->way_ns[i];
    qsort(v, (size_t)n, sizeof *v, by_size);
    return n ? v[(int)(q * (n - 1))] : 0;
}

static void check_share(const char *what, int hits, int n, double p, double inflation) {
    double spread = SIGMAS * sqrt(n * p * (1 - p) * inflation);
    print_message("# %s: %.3f %% of %d, asked %.3f ± %.3f %%\n", what, 100.0 * hits / n, n, 100 * p, 100 * spread / n);
    assert_true(fabs(hits - n * p) <= spread);
}

/* --- reading back --- */

static const struct netem_params rows[] = {
    {.delay_ns = 100 * MS},
    {.delay_ns = 123456789, .jitter_ns = 12345678, .delay_corr_ppm = 250000, .dist = NETEM_NORMAL},
    {.delay_ns = 10 * MS, .jitter_ns = 3 * MS, .dist = NETEM_PARETO},
    {.delay_ns = 10 * MS, .jitter_ns = 3 * MS, .dist = NETEM_PARETONORMAL},
    {.delay_ns = 10 * MS, .jitter_ns = 3 * MS}, /* back to uniform */
    {.loss = NETEM_LOSS_RANDOM, .loss_ppm = 50000, .loss_corr_ppm = 250000, .ecn = true},
    {.loss = NETEM_LOSS_STATES, .states_ppm = {10000, 500000, 100000, 200000, 1000}},
    {.loss = NETEM_LOSS_GILBERT_ELLIOTT, .ge_ppm = {10000, 100000, 700000, 1000}},
    {.loss = NETEM_LOSS_RANDOM, .loss_ppm = 1}, /* and no model, no ecn any more */
    {.duplicate_ppm = 10000, .duplicate_corr_ppm = 20000},
    {.corrupt_ppm = 1000, .corrupt_corr_ppm = 30000},
    {.delay_ns = 50 * MS, .reorder_ppm = 250000, .reorder_corr_ppm = 500000, .gap = 5},
    {.delay_ns = 50 * MS, .reorder_ppm = 250000},
    {.rate_bps = 125000, .packet_overhead = -4, .cell_size = 53, .cell_overhead = 5},
    {.rate_bps = UINT64_C(12500000000)},
    {.slot = {.min_ns = 1 * MS, .max_ns = 2 * MS, .packets = 3, .bytes = 4000}},
    {.slot = {.delay_ns = 5 * MS, .jitter_ns = 2 * MS}},
    {.delay_ns = 1, .limit = 77}, /* no slot any more */
    {.delay_ns = INT64_C(3600000000000), .limit = 1000000},
    {.delay_ns = 100 * MS, .jitter_ns = 20 * MS, .delay_corr_ppm = 250000, .loss = NETEM_LOSS_RANDOM, .loss_ppm = 50000, .loss_corr_ppm = 100000, .ecn = true,
     .duplicate_ppm = 10000, .duplicate_corr_ppm = 20000, .corrupt_ppm = 1000, .corrupt_corr_ppm = 30000, .reorder_ppm = 250000, .reorder_corr_ppm = 500000,
     .gap = 5, .rate_bps = 125000, .packet_overhead = 4, .cell_size = 53, .cell_overhead = 5,
     .slot = {.min_ns = 1 * MS, .max_ns = 2 * MS, .packets = 3, .bytes = 4000}, .limit = 1234},
    {.limit = 1000}, /* nothing at all any more */
};

static void reads_back(void **state, bool fresh) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct netem_state s;
        struct netem_effect e = shaped(&rows[i]);
        assert_int_equal(e.changed, !fresh && i > 0);
        DID(netem_read(wire.ns, "a0", 1, &rows[i], &s, why));
        if (*s.broken)
            fail_msg("row %zu: %s", i, s.broken);
        if (fresh)
            DID(netem_remove(wire.ns, "a0", 1, 0, why));
    }
}
static void every_parameter_reads_back(void **state) {
    NEED_NETEM();
    reads_back(state, true);
}
static void a_change_leaves_nothing_of_what_was(void **state) {
    NEED_NETEM();
    reads_back(state, false);
}

static void tc_reads_the_same(void **state) {
    (void)state;
    NEED_NETEM();
    int code;
    shaped(&rows[19]);
    cleanup_free char *text = shell_code(&code, "tc -n %s qdisc show dev chaosd-00000001", wire.a);
    print_message("# %s", text);
    assert_non_null(strstr(text, "qdisc netem c4a0: root refcnt 2 limit 1234 delay 100ms  20ms 25% loss 5% 10% duplicate 1% 2% reorder 25% 50% corrupt 0.1% 3% "
                                 "rate 1Mbit packetoverhead 4 cellsize 53 celloverhead 5 slot 1ms 2ms packets 3 bytes 4000 ecn  gap 5"));
}

/* --- measuring --- */

/* A busy machine makes a delay longer, never shorter than it is: of three measurements the best one counts. */
enum { ATTEMPTS = 3 };

static bool delay_is(int64_t asked, int n) {
    struct flow f = flow(n, 200, 64, 500 + (int)(asked / MS));
    double off = (double)(quantile(&f, 0.5) - without_ns - asked);
    print_message("# delay %g ms: off by %.3f ms (%d of %d arrived, p99 %.3f ms)\n", (double)asked / 1e6, off / 1e6, f.got, f.sent, (double)quantile(&f, 0.99) / 1e6);
    assert_int_equal(f.got, f.sent);
    assert_true(quantile(&f, 0) >= asked);
    flow_free(&f);
    return fabs(off) <= fmax(1e6, 0.02 * (double)asked);
}

static void delay_is_what_was_asked(void **state) {
    (void)state;
    NEED_NETEM();
    static const int64_t asked[] = {1 * MS, 10 * MS, 80 * MS, 250 * MS};
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
        const struct netem_params p = {.delay_ns = asked[i]};
        bool is = false;
        shaped(&p);
        for (int k = 0; k < ATTEMPTS && !is; k++)
            is = delay_is(asked[i], i == 2 ? MANY : BULK);
        assert_true(is);
    }
}

static void delay_coming_in(void **state) {
    (void)state;
    NEED_NETEM();
    const struct netem_params p = {.delay_ns = 40 * MS};
    struct netem_fault f = shape(&p);
    f.directions = NETEM_IN;
    in_effect(&f);
    int out = udp_at(wire.b_path, "10.77.0.2", 40000), in = udp_at(wire.a_path, "10.77.0.1", PORT), n = 0;
    int64_t least = INT64_MAX, at = 0;
    struct datagram d;
    for (int i = 0; i < 200; i++)
        send_one(out, "10.77.0.1", PORT, (uint32_t)i);
    while (receive_one(in, 200, &d, &at)) {
        n++;
        least = at - d.sent_ns < least ? at - d.sent_ns : least;
    }
    assert_int_equal(n, 200);
    assert_true(least >= 40 * MS && least < 60 * MS);
    assert_int_equal(a_to_b("10.77.0.2", PORT, 50), 50);
    close(out);
    close(in);
}

/* What this machine adds by itself to a plain delay, one value a packet. */
static int64_t *own_spread(const struct flow *f, int64_t delay_ns) {
    int64_t *v = calloc((size_t)f->sent, sizeof *v);
    for (int i = 0; i < f->sent; i++)
        v[i] = f->way_ns[i] - delay_ns;
    return v;
}

static double drawn(struct rng *r, bool normal) { /* in units of the jitter */
    return normal ? sqrt(-2 * log(1 - rng_unit(r))) * cos(2 * M_PI * rng_unit(r)) : 2 * rng_unit(r) - 1;
}

/* Quantiles of what came beside those of what was asked with the machine's own spread added; each within 99.99 % of its own sampling error
 * (density: of the distribution there, a millisecond) and half a millisecond. */
static bool spreads(const struct netem_params *p, const int64_t *own, bool normal) {
    static const struct { double q, normal_density, uniform_density; } at[] = {
        {0.025, 0.0585, 0.5}, {0.1587, 0.242, 0.5}, {0.5, 0.3989, 0.5}, {0.8413, 0.242, 0.5}, {0.975, 0.0585, 0.5}};
    struct flow model = {.sent = MANY, .way_ns = calloc(MANY, 8)}, f = flow(MANY, 100, 64, 500);
    struct rng r;
    bool all = true;
    rng_seed(&r, 9);
    for (int i = 0; i < MANY; i++)
        model.way_ns[i] = own[rng_below(&r, MANY)] + p->delay_ns + (int64_t)(drawn(&r, normal) * (double)p->jitter_ns);
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        double got = (double)quantile(&f, at[i].q) / 1e6, want = (double)quantile(&model, at[i].q) / 1e6;
        double density = (normal ? at[i].normal_density : at[i].uniform_density) / ((double)p->jitter_ns / 1e6);
        double near = SIGMAS * sqrt(2 * at[i].q * (1 - at[i].q) / MANY) / density + 0.5;
        print_message("# %s 40 ± 8 ms, quantile %.3f: %.2f, asked %.2f ± %.2f\n", normal ? "normal" : "uniform", at[i].q, got, want, near);
        all &= fabs(got - want) <= near;
    }
    assert_int_equal(f.got, MANY);
    flow_free(&f);
    flow_free(&model);
    return all;
}

static void jitter_spreads(void **state) {
    (void)state;
    NEED_NETEM();
    const struct netem_params kinds[] = {{.delay_ns = 40 * MS, .jitter_ns = 8 * MS, .dist = NETEM_NORMAL}, {.delay_ns = 40 * MS, .jitter_ns = 8 * MS}}; /* the change forgets the table */
    const struct netem_params plain = {.delay_ns = 40 * MS};
    bool fits[2] = {false, false};
    for (int k = 0; k < ATTEMPTS && !(fits[0] && fits[1]); k++) { /* a machine whose own spread changes in between is asked again */
        shaped(&plain);
        struct flow f = flow(MANY, 100, 64, 500);
        cleanup_free int64_t *own = own_spread(&f, plain.delay_ns);
        flow_free(&f);
        for (int i = 0; i < 2; i++) {
            shaped(&kinds[i]);
            fits[i] = fits[i] || spreads(&kinds[i], own, i == 0);
        }
    }
    assert_true(fits[0] && fits[1]);
}

/* netem's own algorithms (net/sched/sch_netem.c), told in our words: what share it loses of n, and how much that varies. */
static int lost_by_model(const struct netem_params *p, struct rng *r, int n) {
    int lost = 0, at = 1;
    bool bad = false;
    uint32_t last = (uint32_t)rng_u64(r);
    for (int i = 0; i < n; i++) {
        uint32_t draw = (uint32_t)rng_u64(r);
        if (p->loss == NETEM_LOSS_RANDOM) {
            uint64_t rho = (uint64_t)p->loss_corr_ppm * UINT32_MAX / NETEM_PPM + 1;
            last = p->loss_corr_ppm ? (uint32_t)((draw * ((UINT64_C(1) << 32) - rho) + last * rho) >> 32) : draw;
            lost += last <= (uint64_t)p->loss_ppm * UINT32_MAX / NETEM_PPM;
        } else if (p->loss == NETEM_LOSS_GILBERT_ELLIOTT) {
            double u = draw / 4294967296.0, v = (uint32_t)rng_u64(r) / 4294967296.0;
            bad = bad ? !(u < p->ge_ppm.to_good / 1e6) : u < p->ge_ppm.to_bad / 1e6;
            lost += v < (bad ? p->ge_ppm.loss_in_bad : p->ge_ppm.loss_in_good) / 1e6;
        } else {
            uint32_t u = (uint32_t)(draw / 4294967296.0 * 1e6), p14 = p->states_ppm.p14, p13 = p->states_ppm.p13, p31 = p->states_ppm.p31, p32 = p->states_ppm.p32, p23 = p->states_ppm.p23;
            bool gone = false; /* 1 good, 2 good in a burst, 3 lost in a burst, 4 lost alone */
            if (at == 1) {
                gone = u < p14 + p13;
                at = u < p14 ? 4 : gone ? 3 : 1;
            } else if (at == 2) {
                gone = u < p23;
                at = gone ? 3 : 2;
            } else if (at == 3) {
                gone = u >= p31 + p32;
                at = u < p32 ? 2 : u < p31 + p32 ? 1 : 3;
            } else {
                at = 1;
            }
            lost += gone;
        }
    }
    return lost;
}

static void check_loss(const char *what, const struct netem_params *p, int n) {
    struct rng r;
    enum { RUNS = 400 };
    double sum = 0, squares = 0;
    rng_seed(&r, 5);
    for (int i = 0; i < RUNS; i++) {
        double lost = lost_by_model(p, &r, n);
        sum += lost;
        squares += lost * lost;
    }
    double mean = sum / RUNS, deviation = sqrt(squares / RUNS - mean * mean);
    shaped(p);
    int lost = 0;
    for (int i = 0; i < n / BULK; i++) {
        struct flow f = flow(BULK, 0, 64, 60);
        lost += f.sent - f.got;
        flow_free(&f);
    }
    print_message("# %s: lost %.3f %%, netem's model %.3f ± %.3f %%\n", what, 100.0 * lost / n, 100 * mean / n, 100 * SIGMAS * deviation / n);
    assert_true(fabs(lost - mean) <= SIGMAS * deviation * 1.1); /* the deviation itself is known to some percent */
}

static void loss_is_what_was_asked(void **state) {
    (void)state;
    NEED_NETEM();
    static const struct netem_params random = {.loss = NETEM_LOSS_RANDOM, .loss_ppm = 50000}, correlated = {.loss = NETEM_LOSS_RANDOM, .loss_ppm = 300000, .loss_corr_ppm = 250000},
        ge = {.loss = NETEM_LOSS_GILBERT_ELLIOTT, .ge_ppm = {20000, 200000, 800000, 5000}}, four = {.loss = NETEM_LOSS_STATES, .states_ppm = {20000, 300000, 100000, 200000, 5000}};
    check_loss("loss 5 %", &random, MANY);
    check_loss("loss 30 % correlated 25 %", &correlated, MANY);
    check_loss("Gilbert-Elliott", &ge, MANY);
    check_loss("four states", &four, MANY);
}

static void duplicates(void **state) {
    (void)state;
    NEED_NETEM();
    const struct netem_params p = {.duplicate_ppm = 100000};
    int copies = 0;
    shaped(&p);
    for (int i = 0; i < MANY / BULK; i++) {
        struct flow f = flow(BULK, 0, 64, 60);
        assert_int_equal(f.got, f.sent);
        copies += f.copies;
        flow_free(&f);
    }
    check_share("duplicate 10 %", copies, MANY, 0.1, 1);
}

/* Seen by a capture at the other end, as the kernel there would throw most of them away. Payload only: a flip elsewhere may hide. */
static void corrupts(void **state) {
    (void)state;
    NEED_NETEM();
    enum { SIZE = 1000, FRAME = SIZE + 42 };
    const struct netem_params p = {.corrupt_ppm = 100000};
    int capture = socket_in(wire.b_path, AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(3 /* ETH_P_ALL */)), out = udp_at(wire.a_path, "10.77.0.1", 40000), wrong = 0, seen = 0;
    const int room = 64 << 20;
    setsockopt(capture, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    unsigned char frame[2048], payload[SIZE] = {0};
    struct sockaddr_storage to;
    socklen_t len = address("10.77.0.2", PORT, &to);
    shaped(&p);
    for (int i = 0; i < MANY; i++) {
        while (sendto(out, payload, sizeof payload, 0, (struct sockaddr *)&to, len) < 0)
            poll(NULL, 0, 1);
        if (i % 100 && i != MANY - 1)
            continue;
        struct pollfd q = {.fd = capture, .events = POLLIN};
        while (poll(&q, 1, i == MANY - 1 ? 200 : 0) > 0) {
            if (recv(capture, frame, sizeof frame, 0) != FRAME)
                continue;
            seen++;
            for (int k = 42; k < FRAME; k++)
                if (frame[k]) {
                    wrong++;
                    break;
                }
        }
    }
    close(capture);
    close(out);
    assert_int_equal(seen, MANY);
    check_share("corrupt 10 %, in the payload", wrong, MANY, 0.1 * SIZE / FRAME, 1);
}

static void reorders(void **state) {
    (void)state;
    NEED_NETEM();
    const struct netem_params p = {.delay_ns = 60 * MS, .reorder_ppm = 250000};
    shaped(&p);
    struct flow f = flow(MANY, 50, 64, 500);
    int early = 0;
    for (int i = 0; i < f.sent; i++)
        early += f.way_ns[i] && f.way_ns[i] < 30 * MS;
    assert_int_equal(f.got, f.sent);
    check_share("reorder 25 %", early, MANY, 0.25, 1);
    flow_free(&f);
}

static void rate_is_what_was_asked(void **state) {
    (void)state;
    NEED_NETEM();
    enum { SIZE = 958, N = 2000 }; /* 1000 bytes with its headers */
    const struct netem_params p = {.rate_bps = 1000000, .limit = 3000};
    shaped(&p);
    struct flow f = flow(N, 0, SIZE, 500);
    assert_int_equal(f.got, N);
    double took = (double)(f.at_ns[N - 1] - f.at_ns[0]) / 1e9, want = (N - 1) * 1000 / 1e6;
    print_message("# rate 1 MB/s: %.4f s for %.4f s\n", took, want);
    assert_true(fabs(took - want) <= 0.02 * want);
    flow_free(&f);
}

static void slots_make_bursts(void **state) {
    (void)state;
    NEED_NETEM();
    enum { N = 100, EACH = 5 };
    const struct netem_params p = {.slot = {.min_ns = 20 * MS, .max_ns = 20 * MS, .packets = EACH}};
    shaped(&p);
    struct flow f = flow(N, 0, 64, 500);
    assert_int_equal(f.got, N);
    double took = (double)(f.at_ns[N - 1] - f.at_ns[0]) / 1e6, want = (N / EACH - 1) * 20;
    print_message("# slots of 5 packets each 20 ms: %.1f ms for %.1f\n", took, want);
    assert_true(took >= want - 21 && took <= want * 1.1 + 21);
    flow_free(&f);
}

static void marks_instead_of_losing(void **state) {
    (void)state;
    NEED_NETEM();
    const struct netem_params p = {.loss = NETEM_LOSS_RANDOM, .loss_ppm = NETEM_PPM, .ecn = true};
    const int ect = 2, on = 1;
    int out = udp_at(wire.a_path, "10.77.0.1", 40000), in = udp_at(wire.b_path, "10.77.0.2", PORT), marked = 0;
    setsockopt(out, IPPROTO_IP, IP_TOS, &ect, sizeof ect);
    setsockopt(in, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    shaped(&p);
    for (int i = 0; i < 100; i++)
        send_one(out, "10.77.0.2", PORT, (uint32_t)i);
    struct pollfd q = {.fd = in, .events = POLLIN};
    while (poll(&q, 1, 200) > 0) {
        char data[64], control[256];
        struct iovec iov = {data, sizeof data};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        recvmsg(in, &m, 0);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
            if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
                marked += (*CMSG_DATA(c) & 3) == 3;
    }
    assert_int_equal(marked, 100);
    close(out);
    close(in);
}

/* The limit is computed: at 100 ms the kernel's own 1000 packets would turn this into loss. */
static void delay_is_not_loss(void **state) {
    (void)state;
    NEED_NETEM();
    const struct netem_params p = {.delay_ns = 400 * MS};
    shaped(&p);
    struct flow f = flow(MANY, 0, 64, 800);
    assert_int_equal(f.got, MANY);
    flow_free(&f);
}

/* Past the deadline nothing is delayed; what was before drains, and nothing is lost; removal waits for it. */
static void drains_at_the_deadline(void **state) {
    (void)state;
    NEED_NETEM();
    enum { N = 600 };
    const struct netem_params p = {.delay_ns = 300 * MS};
    struct netem_fault f = shape(&p);
    f.for_ns = 150 * MS;
    struct netem_effect e = in_effect(&f);
    int out = udp_at(wire.a_path, "10.77.0.1", 40000), in = udp_at(wire.b_path, "10.77.0.2", PORT), got = 0, wrong = 0;
    cleanup_free int64_t *began = calloc(N, 8), *ended = calloc(N, 8);
    int64_t skew = now_ns(CLOCK_REALTIME) - netem_now(), at = 0;
    for (int i = 0; i < N; i++) {
        began[i] = netem_now();
        send_one(out, "10.77.0.2", PORT, (uint32_t)i);
        ended[i] = netem_now();
        while (netem_now() < began[i] + MS / 2)
            ;
    }
    assert_true(ended[N - 1] > e.until_ns);
    assert_int_equal(netem_remove(wire.ns, "a0", 1, NETEM_DRAIN, why), 1);
    struct datagram d;
    while (receive_one(in, 500, &d, &at)) {
        at -= skew;
        got++;
        wrong += ended[d.number] < e.until_ns && at - began[d.number] < 299 * MS;
        wrong += began[d.number] >= e.until_ns && at - ended[d.number] > 100 * MS;
    }
    assert_int_equal(got, N);
    assert_int_equal(wrong, 0);
    assert_int_equal(netem_remove(wire.ns, "a0", 1, NETEM_DRAIN, why), 0);
    close(out);
    close(in);
}

static int shape_up(void **state) {
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_parameter_reads_back, sweep_up),
        cmocka_unit_test_teardown(a_change_leaves_nothing_of_what_was, sweep_up),
        cmocka_unit_test_teardown(tc_reads_the_same, sweep_up),
        cmocka_unit_test_teardown(delay_is_what_was_asked, sweep_up),
        cmocka_unit_test_teardown(delay_coming_in, sweep_up),
        cmocka_unit_test_teardown(jitter_spreads, sweep_up),
        cmocka_unit_test_teardown(loss_is_what_was_asked, sweep_up),
        cmocka_unit_test_teardown(duplicates, sweep_up),
        cmocka_unit_test_teardown(corrupts, sweep_up),
        cmocka_unit_test_teardown(reorders, sweep_up),
        cmocka_unit_test_teardown(rate_is_what_was_asked, sweep_up),
        cmocka_unit_test_teardown(slots_make_bursts, sweep_up),
        cmocka_unit_test_teardown(marks_instead_of_losing, sweep_up),
        cmocka_unit_test_teardown(delay_is_not_loss, sweep_up),
        cmocka_unit_test_teardown(drains_at_the_deadline, sweep_up),
    };
    return cmocka_run_group_tests(tests, shape_up, wire_down);
}
