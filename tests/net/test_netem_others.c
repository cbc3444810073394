/* SPDX-License-Identifier: Apache-2.0 */
/* Traffic that no fault names, while faults come and go on its device, as a packet capture at the peer sees it. And what the one attaching of
 * clsact costs, counted apart. Also under a kernel with sch_netem, whose faults then come and go too. */
#include "netem_third.h"

enum { PORT = 4000, NAMED_PORT = 3935 /* no single flipped bit makes it the other */, FAULTS = 20, AT_ONCE = 3, SIZE = 200, SIZE_OF_BACKLOG = 958 };

/* Each would be seen: a packet five seconds late, twice, changed or gone. */
static const struct kind { enum netem_act act; struct netem_params params; bool needs_netem; } kinds[] = {
    {NETEM_DROP, {0}, false},
    {NETEM_PASS, {0}, false},
    {NETEM_SHAPE, {.delay_ns = 5000 * MS}, true},
    {NETEM_SHAPE, {.duplicate_ppm = NETEM_PPM}, true},
    {NETEM_SHAPE, {.corrupt_ppm = NETEM_PPM}, true},
    {NETEM_SHAPE, {.loss = NETEM_LOSS_RANDOM, .loss_ppm = NETEM_PPM}, true},
    {NETEM_SHAPE, {.rate_bps = 1000}, true},
};


struct seen { unsigned char *copies; int n, twice, changed, late; };

static void fill(unsigned char *packet, uint32_t number) {
    struct datagram d = {number, now_ns(CLOCK_REALTIME)};
    memset(packet, (int)(number % 251), SIZE);
    memcpy(packet, &d, sizeof d);
}

/* A process that sends n, 20 a millisecond; its pid. */
static pid_t sender(int n) {
    pid_t child = fork();
    if (child == 0) {
        unsigned char packet[SIZE];
        struct sockaddr_storage to;
        socklen_t len = address("10.77.0.2", PORT, &to);
        int out = udp_at(wire.a_path, "10.77.0.1", 40000);
        for (int i = 0; i < n; i++) {
            fill(packet, (uint32_t)i);
            if (sendto(out, packet, sizeof packet, 0, (struct sockaddr *)&to, len) < 0)
                _exit(1);
            if (i % 20 == 0)
                poll(NULL, 0, 1);
        }
        _exit(0);
    }
    return child;
}

static void look(int fd, int wait_ms, struct seen *s) {
    unsigned char packet[SIZE], right[SIZE];
    struct datagram d;
    int64_t at = 0;
    for (int len; (len = captured(fd, PORT, wait_ms, &d, &at, packet, sizeof packet)) >= 0;) {
        if (d.number >= (uint32_t)s->n || len != SIZE) {
            s->changed++;
            continue;
        }
        memset(right, (int)(d.number % 251), sizeof right);
        s->changed += memcmp(packet + sizeof d, right + sizeof d, SIZE - sizeof d) != 0;
        s->twice += s->copies[d.number] > 0;
        s->copies[d.number] = 1;
        s->late += at - d.sent_ns >= 4000 * MS;
    }
}

static int missing(const struct seen *s) {
    int gone = 0;
    for (int i = 0; i < s->n; i++)
        gone += !s->copies[i];
    return gone;
}

static struct netem_fault next_fault(int i) {
    const struct kind *k = &kinds[i % (int)ARRAY_SIZE(kinds)];
    if (k->needs_netem && !has_netem)
        k = &kinds[i % 2];
    struct netem_fault f = fault_on_a0((uint32_t)(100 + i), k->act);
    f.params = &k->params;
    f.directions = NETEM_BOTH;
    f.peers = &third;
    f.peer_count = 1;
    return f;
}

/* The fault works meanwhile: what it names is affected, and the newest fault decides. */
static void hits_what_is_named(int out, uint32_t id) {
    struct netem_state s;
    for (int i = 0; i < 3; i++)
        send_one(out, "10.77.0.3", NAMED_PORT, 0);
    DID(netem_read(wire.ns, "a0", id, NULL, &s, why));
    assert_string_equal(s.broken, "");
    assert_true(s.out.packets >= 3); /* more when one comes back from an older fault's ifb, and is this one's now */
}

static void are_left_alone(void **state) {
    (void)state;
    NEED_ROOT();
    const int n = brief_or_full(10000, 100000);
    cleanup_free unsigned char *copies = calloc((size_t)n, 1);
    struct seen s = {.n = n, .copies = copies};
    struct netem_fault anchor = fault_on_a0(1, NETEM_PASS);
    int status = 0, faults = 0;
    anchor.peers = &third;
    anchor.peer_count = 1;
    in_effect(&anchor); /* clsact is there */
    int fd = capture_at_b(), sink = udp_at(wire.b_path, "10.77.0.2", PORT), named = udp_at(wire.a_path, "10.77.0.1", 40001);
    pid_t child = sender(n);
    for (; waitpid(child, &status, WNOHANG) == 0 || faults < FAULTS; faults++) {
        struct netem_fault f = next_fault(faults);
        in_effect(&f);
        hits_what_is_named(named, f.id);
        if (faults >= AT_ONCE)
            DID(netem_remove(wire.ns, "a0", f.id - AT_ONCE, 0, why));
        look(fd, 0, &s);
    }
    look(fd, 200, &s);
    assert_int_equal(status, 0);
    figure("others: packets not named", n, "", NULL);
    figure("others: faults that came and went meanwhile", faults, "", ">= 20");
    figure("others: lost", missing(&s), "packets", "<= 0");
    print_message("# %d twice, %d changed, %d late\n", s.twice, s.changed, s.late);
    figure("others: twice, changed or late", s.twice + s.changed + s.late, "packets", "<= 0");
    assert_int_equal(missing(&s), 0);
    assert_int_equal(s.twice + s.changed + s.late, 0);
    close(fd);
    close(sink);
    close(named);
}

/* Each round attaches clsact to a device under traffic, and takes it away. */
static void attaching_is_counted_apart(void **state) {
    (void)state;
    NEED_ROOT();
    enum { N = 4000, MOST = 10 };
    cleanup_free unsigned char *copies = calloc(N, 1);
    struct seen s = {.n = N, .copies = copies};
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    int status = 0, rounds = 0, fd = capture_at_b(), sink = udp_at(wire.b_path, "10.77.0.2", PORT);
    f.peers = &third;
    f.peer_count = 1;
    pid_t child = sender(N);
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (rounds < MOST) {
            assert_true(in_effect(&f).attached);
            DID(netem_sweep(wire.ns, NULL, 0, why));
            rounds++;
        }
        look(fd, 5, &s);
    }
    look(fd, 200, &s);
    assert_int_equal(status, 0);
    figure("others: lost while clsact was attached and removed 10 times, device without a queue", missing(&s), "packets", NULL);
    close(fd);
    close(sink);
}

static int through_a_shaped_root(bool attaches) {
    enum { N = 50 };
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    unsigned char packet[SIZE_OF_BACKLOG] = {0};
    struct sockaddr_storage to;
    socklen_t len = address("10.77.0.2", PORT, &to);
    int out = udp_at(wire.a_path, "10.77.0.1", 40000), sink = udp_at(wire.b_path, "10.77.0.2", PORT), fd = capture_at_b(), got = 0;
    struct datagram d;
    int64_t at;
    f.peers = &third;
    f.peer_count = 1;
    for (int i = 0; i < N; i++)
        assert_int_equal(sendto(out, packet, sizeof packet, 0, (struct sockaddr *)&to, len), sizeof packet);
    assert_true(tc_says("a0", "qlen") > N / 2);
    assert_int_equal(in_effect(&f).attached, attaches);
    DID(netem_remove(wire.ns, "a0", 1, 0, why));
    while (captured(fd, PORT, 400, &d, &at, NULL, 0) >= 0)
        got++;
    close(out);
    close(sink);
    close(fd);
    return N - got;
}

/* The device has a root of somebody's, with a backlog: a fault that comes and goes leaves it alone; the attaching before it does not. */
static void a_foreign_backlog_stays(void **state) {
    (void)state;
    NEED_ROOT();
    int code;
    sh("tc -n %s qdisc add dev a0 root handle 77: tbf rate 200kbit burst 2k limit 1m", wire.a);
    figure("others: of a backlog of 50 packets, lost by the one attaching of clsact", through_a_shaped_root(true), "packets", NULL);
    int lost = through_a_shaped_root(false);
    figure("others: of a backlog of 50 packets, lost by a fault that comes and goes", lost, "packets", "<= 0");
    cleanup_free char *root = shell_code(&code, "tc -n %s qdisc show dev a0 root; tc -n %s qdisc del dev a0 root", wire.a, wire.a);
    assert_non_null(strstr(root, "qdisc tbf 77: root"));
    assert_int_equal(lost, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(are_left_alone, sweep_up),
        cmocka_unit_test_teardown(attaching_is_counted_apart, sweep_up),
        cmocka_unit_test_teardown(a_foreign_backlog_stays, sweep_up),
    };
    return cmocka_run_group_tests(tests, third_up, wire_down);
}
