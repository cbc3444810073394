/* SPDX-License-Identifier: Apache-2.0 */
/* netem's shares measured against what was asked: loss in all its models, duplicate, corrupt, reorder. Needs a kernel with sch_netem (the lab
 * has one). Loss is compared with netem's own model, simulated here: correlation changes the share itself. */
#include "netem_flow.h"

#include "base/rng.h"

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
    share_figure(what, 100.0 * lost / n, 100 * mean / n, 100 * SIGMAS * deviation * 1.1 / n);
    assert_true(fabs(lost - mean) <= SIGMAS * deviation * 1.1); /* the deviation itself is known to some percent */
}

static void loss_is_what_was_asked(void **state) {
    (void)state;
    NEED_NETEM();
    static const struct netem_params random = {.loss = NETEM_LOSS_RANDOM, .loss_ppm = 50000}, correlated = {.loss = NETEM_LOSS_RANDOM, .loss_ppm = 300000, .loss_corr_ppm = 250000},
        ge = {.loss = NETEM_LOSS_GILBERT_ELLIOTT, .ge_ppm = {20000, 200000, 800000, 5000}}, four = {.loss = NETEM_LOSS_STATES, .states_ppm = {20000, 300000, 100000, 200000, 5000}};
    check_loss("loss 5 %", &random, MANY);
    check_loss("loss 30 % correlated 25 %, netem's model", &correlated, MANY);
    check_loss("loss Gilbert-Elliott, netem's model", &ge, MANY);
    check_loss("loss in four states, netem's model", &four, MANY);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(loss_is_what_was_asked, sweep_up),
        cmocka_unit_test_teardown(duplicates, sweep_up),
        cmocka_unit_test_teardown(corrupts, sweep_up),
        cmocka_unit_test_teardown(reorders, sweep_up),
    };
    return cmocka_run_group_tests(tests, shape_up, wire_down);
}
