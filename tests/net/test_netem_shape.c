/* SPDX-License-Identifier: Apache-2.0 */
/* netem itself: every parameter read back, and times and rates measured against what was asked. Needs a kernel with sch_netem (the lab has
 * one). */
#include "netem_flow.h"

#include "base/rng.h"

#include <netinet/ip.h>

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

static bool delay_is(int64_t asked, int n, double *ret_off_ms) {
    struct flow f = flow(n, 200, 64, 500 + (int)(asked / MS));
    double off = (double)(quantile(&f, 0.5) - without_ns - asked);
    print_message("# delay %g ms: off by %.3f ms (%d of %d arrived, p99 %.3f ms)\n", (double)asked / 1e6, off / 1e6, f.got, f.sent, (double)quantile(&f, 0.99) / 1e6);
    *ret_off_ms = off / 1e6;
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
        double off = 0;
        shaped(&p);
        for (int k = 0; k < ATTEMPTS && !is; k++)
            is = delay_is(asked[i], i == 2 ? MANY : brief_or_full(BULK, MANY), &off);
        char name[64], must[32];
        snprintf(name, sizeof name, "accuracy: delay %g ms, medians, off by", (double)asked[i] / 1e6);
        snprintf(must, sizeof must, "within ± %g", fmax(1, 0.02 * (double)asked[i] / 1e6));
        figure(name, off, "ms", must);
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
    int judged = 0;
    for (int k = 0; k < ATTEMPTS && !(fits[0] && fits[1]); k++) { /* a machine whose own spread changes in between is asked again */
        shaped(&plain);
        struct flow f = flow(MANY, 100, 64, 500);
        cleanup_free int64_t *own = own_spread(&f, plain.delay_ns);
        judged += quantile(&f, 0.975) - quantile(&f, 0.025) < 3 * MS;
        flow_free(&f);
        for (int i = 0; i < 2; i++) {
            shaped(&kinds[i]);
            fits[i] = fits[i] || spreads(&kinds[i], own, i == 0);
        }
    }
    if (judged < ATTEMPTS && !(fits[0] && fits[1]))
        print_message("# the machine itself spreads a plain delay by more than 3 ms: not judged\n");
    else
        assert_true(fits[0] && fits[1]);
}

static void rate_is_what_was_asked(void **state) {
    (void)state;
    NEED_NETEM();
    enum { SIZE = 958, N = MANY }; /* 1000 bytes with its headers */
    const struct netem_params p = {.rate_bps = 2500000, .limit = 2 * N};
    const double want = (N - 1) * 1000 / 2.5e6;
    double took = 0;
    shaped(&p);
    for (int k = 0; k < ATTEMPTS && fabs(took - want) > 0.02 * want; k++) {
        struct flow f = flow(N, 0, SIZE, 500);
        assert_int_equal(f.got, N);
        took = (double)(f.at_ns[N - 1] - f.at_ns[0]) / 1e9;
        flow_free(&f);
    }
    figure("accuracy: rate 20 Mbit/s, measured", 20 * want / took, "Mbit/s", "20 ± 0.4");
    assert_true(fabs(took - want) <= 0.02 * want);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_parameter_reads_back, sweep_up),
        cmocka_unit_test_teardown(a_change_leaves_nothing_of_what_was, sweep_up),
        cmocka_unit_test_teardown(tc_reads_the_same, sweep_up),
        cmocka_unit_test_teardown(delay_is_what_was_asked, sweep_up),
        cmocka_unit_test_teardown(delay_coming_in, sweep_up),
        cmocka_unit_test_teardown(jitter_spreads, sweep_up),
        cmocka_unit_test_teardown(rate_is_what_was_asked, sweep_up),
        cmocka_unit_test_teardown(slots_make_bursts, sweep_up),
        cmocka_unit_test_teardown(marks_instead_of_losing, sweep_up),
        cmocka_unit_test_teardown(delay_is_not_loss, sweep_up),
        cmocka_unit_test_teardown(drains_at_the_deadline, sweep_up),
    };
    return cmocka_run_group_tests(tests, shape_up, wire_down);
}
