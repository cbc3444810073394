/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions and plain loss: who is hit, who is not, and what ip and tc see of it. */
#include "netem_util.h"

#include <math.h>
#include <netinet/in.h>
#include <netinet/ip.h>

enum { MANY = 50 };

static struct netem_peer peer(const char *text) {
    struct netem_peer p;
    DID(netem_peer_parse(text, &p, why));
    return p;
}

static void one_way(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    struct netem_effect e = in_effect(&f);
    assert_false(e.changed);
    assert_true(e.attached);
    assert_int_equal(a_to_b("10.77.0.2", 4000, MANY), 0);
    assert_int_equal(b_to_a("10.77.0.2", 4000, MANY), MANY);
    DID(netem_remove(wire.ns, "a0", 1, 0, why));
    assert_int_equal(a_to_b("10.77.0.2", 4000, MANY), MANY);
    f.directions = NETEM_IN;
    e = in_effect(&f);
    assert_false(e.attached); /* ours from before */
    assert_int_equal(a_to_b("10.77.0.2", 4000, MANY), MANY);
    assert_int_equal(b_to_a("10.77.0.2", 4000, MANY), 0);
}

static void both_ways(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    struct netem_state s;
    f.directions = NETEM_BOTH;
    in_effect(&f);
    assert_int_equal(a_to_b("10.77.0.2", 4000, MANY), 0);
    assert_int_equal(b_to_a("fd77::2", 4000, MANY), 0);
    DID(netem_read(wire.ns, "a0", 1, NULL, &s, why));
    assert_true(s.known);
    assert_string_equal(s.broken, "");
    assert_string_equal(s.run, "test");
    assert_int_equal(s.directions, NETEM_BOTH);
    assert_true(s.out.packets >= MANY && s.in.packets >= MANY && s.out.seen >= s.out.packets);
    assert_true(s.out.bytes >= s.out.packets * 42);
    assert_true(s.left_ns > 0 && s.left_ns <= f.for_ns);
}

static void by_peers(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_peer peers[] = {peer("10.77.0.3"), peer("fd77::3/128"), peer("192.0.2.0/24")};
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    f.directions = NETEM_BOTH;
    f.peers = peers;
    f.peer_count = ARRAY_SIZE(peers);
    in_effect(&f);
    assert_int_equal(a_to_b("10.77.0.3", 4000, MANY), 0);
    assert_int_equal(b_to_a("10.77.0.3", 4000, MANY), 0);
    assert_int_equal(a_to_b("fd77::3", 4000, MANY), 0);
    assert_int_equal(b_to_a("fd77::3", 4000, MANY), 0);
    assert_int_equal(a_to_b("10.77.0.2", 4000, MANY), MANY);
    assert_int_equal(b_to_a("10.77.0.2", 4000, MANY), MANY);
    assert_int_equal(a_to_b("fd77::2", 4000, MANY), MANY);
    assert_int_equal(b_to_a("fd77::2", 4000, MANY), MANY);
}

static void but_not_by_exceptions(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_peer peers[] = {peer("10.0.0.0/8"), peer("10.77.0.2/32"), peer("::/0")};
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    peers[1].except = true;
    f.peers = peers;
    f.peer_count = ARRAY_SIZE(peers);
    in_effect(&f);
    assert_int_equal(a_to_b("10.77.0.3", 4000, MANY), 0);
    assert_int_equal(a_to_b("10.77.0.2", 4000, MANY), MANY);
    f.peers = &peers[2];
    f.peer_count = 1;
    in_effect(&f);
    assert_int_equal(a_to_b("10.77.0.3", 4000, MANY), MANY); /* ::/0 is IPv6 alone */
    assert_int_equal(a_to_b("fd77::2", 4000, MANY), 0);
}

static void by_ports_and_protocol(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    f.directions = NETEM_BOTH;
    f.peer_ports[0] = (struct netem_range){4100, 4199};
    f.peer_ports[1] = (struct netem_range){53, 53};
    f.peer_port_count = 2;
    in_effect(&f);
    assert_int_equal(a_to_b("10.77.0.2", 4000, MANY), MANY);
    assert_int_equal(a_to_b("10.77.0.2", 4200, MANY), MANY);
    assert_int_equal(a_to_b("10.77.0.2", 4100, MANY), 0);
    assert_int_equal(a_to_b("fd77::2", 4199, MANY), 0);
    assert_int_equal(a_to_b("fd77::2", 53, MANY), 0);
    assert_int_equal(b_to_a("10.77.0.2", 4150, MANY), MANY); /* coming in, 4150 is the local port */
    f.peer_port_count = 0;
    f.local_ports[0] = (struct netem_range){4150, 4150};
    f.local_count = 1;
    f.protocol = IPPROTO_UDP;
    assert_true(in_effect(&f).changed);
    assert_int_equal(a_to_b("10.77.0.2", 4100, MANY), MANY);
    assert_int_equal(b_to_a("10.77.0.2", 4150, MANY), 0);
    assert_int_equal(b_to_a("fd77::2", 4151, MANY), MANY);
    f.protocol = IPPROTO_TCP;
    in_effect(&f);
    assert_int_equal(b_to_a("10.77.0.2", 4150, MANY), MANY);
}

/* Plain loss: the share within 99.99 % of what is asked (normal approximation; 3.89 deviations). */
static void a_share(void **state) {
    (void)state;
    NEED_ROOT();
    enum { N = 20000, PPM = 50000 };
    struct netem_peer v4 = peer("0.0.0.0/0"); /* what waited for an IPv6 neighbour in an earlier test is not counted */
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    struct netem_state s;
    f.drop_ppm = PPM;
    f.peers = &v4;
    f.peer_count = 1;
    f.peer_ports[0] = (struct netem_range){4000, 4000};
    f.peer_port_count = 1;
    in_effect(&f);
    int got = 0;
    for (int i = 0; i < N / 1000; i++)
        got += a_to_b("10.77.0.2", 4000, 1000);
    double p = PPM / 1e6, spread = 3.89 * sqrt(N * p * (1 - p));
    assert_true(fabs(N - got - N * p) <= spread);
    DID(netem_read(wire.ns, "a0", 1, NULL, &s, why));
    assert_int_equal(s.out.packets, N - got); /* what the kernel says was dropped is what did not arrive */
    assert_true(s.out.seen >= N);
}

/* To the sender a dropped packet was sent: no error, no local congestion. A packet that is "shot" is the counter-example. */
static void is_a_loss_and_no_failing_send(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    const int on = 1;
    int fd = udp_at(wire.a_path, "10.77.0.1", 40001);
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    in_effect(&f);
    assert_int_equal(send_one(fd, "10.77.0.2", 4000, 0), 0);
    DID(netem_remove(wire.ns, "a0", 1, 0, why));
    sh("tc -n %s filter add dev a0 egress protocol all prio 1 bpf da bytecode '1,6 0 0 2'", wire.a); /* return 2: TC_ACT_SHOT */
    assert_int_equal(send_one(fd, "10.77.0.2", 4000, 0), -ENOBUFS);
    sh("tc -n %s filter del dev a0 egress prio 1", wire.a);
    close(fd);
}

static void tc_and_ip_see_it(void **state) {
    (void)state;
    NEED_ROOT();
    cleanup_free char *before = scene();
    struct netem_fault f = fault_on_a0(0x2a, NETEM_DROP);
    int code;
    in_effect(&f);
    cleanup_free char *text = shell_code(&code, "tc -n %s -s filter show dev a0 egress; tc -n %s qdisc show dev a0; ip -n %s link", wire.a, wire.a, wire.a);
    assert_non_null(strstr(text, "pref 50336"));
    assert_non_null(strstr(text, "chaosd:0000002a:test"));
    assert_non_null(strstr(text, "direct-action"));
    assert_non_null(strstr(text, "qdisc noqueue 0: root"));
    assert_null(strstr(text, "chaosd-0")); /* a drop needs no ifb */
    DID(netem_remove(wire.ns, "a0", 0x2a, 0, why));
    DID(netem_remove(wire.ns, "a0", 0x2a, 0, why)); /* again: nothing there is fine */
    DID(netem_remove(wire.ns, "nowhere", 0x2a, 0, why));
    DID(netem_sweep(wire.ns, "another", 0, why));
    cleanup_free char *held = shell_code(&code, "tc -n %s qdisc show dev a0", wire.a);
    assert_non_null(strstr(held, "clsact")); /* stays for the run: attaching it anew would reset the queues again */
    DID(netem_sweep(wire.ns, "test", 0, why));
    cleanup_free char *after = scene();
    assert_string_equal(before, after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_way, sweep_up),
        cmocka_unit_test_teardown(both_ways, sweep_up),
        cmocka_unit_test_teardown(by_peers, sweep_up),
        cmocka_unit_test_teardown(but_not_by_exceptions, sweep_up),
        cmocka_unit_test_teardown(by_ports_and_protocol, sweep_up),
        cmocka_unit_test_teardown(a_share, sweep_up),
        cmocka_unit_test_teardown(is_a_loss_and_no_failing_send, sweep_up),
        cmocka_unit_test_teardown(tc_and_ip_see_it, sweep_up),
    };
    return cmocka_run_group_tests(tests, wire_up, wire_down);
}
