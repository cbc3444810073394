/* SPDX-License-Identifier: Apache-2.0 */
/* The path over an ifb, moved deadlines, changes, and what belongs to others. */
#include "netem_util.h"

static struct netem_peer third; /* 10.77.0.3, which nobody else talks to */

static struct netem_fault pass(uint32_t id) {
    struct netem_fault f = fault_on_a0(id, NETEM_PASS);
    DID(netem_peer_parse("10.77.0.3", &third, why));
    f.peers = &third;
    f.peer_count = 1;
    return f;
}

static struct netem_state state_of(uint32_t id) {
    struct netem_state s;
    DID(netem_read(wire.ns, "a0", id, NULL, &s, why));
    return s;
}

static void takes_the_ifb(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = pass(0xbeef);
    int code;
    f.directions = NETEM_BOTH;
    in_effect(&f);
    assert_int_equal(a_to_b("10.77.0.3", 4000, 1000), 1000);
    assert_int_equal(b_to_a("10.77.0.3", 4000, 1000), 1000);
    assert_int_equal(a_to_b("10.77.0.2", 4000, 1000), 1000);
    struct netem_state s = state_of(0xbeef);
    assert_string_equal(s.broken, "");
    assert_true(s.known && s.has_queue && s.act == NETEM_PASS);
    assert_int_equal(s.out.packets, 1000);
    assert_int_equal(s.in.packets, 1000);
    assert_int_equal(s.queue_sent, 2000); /* the classifier and the queue agree, and nothing else uses it */
    assert_int_equal(s.queue_dropped, 0);
    cleanup_free char *text = shell_code(&code, "ip -n %s -d link show chaosd-0000beef; tc -n %s -s qdisc show dev chaosd-0000beef; tc -n %s qdisc show dev a0", wire.a, wire.a, wire.a);
    assert_int_equal(code, 0);
    assert_non_null(strstr(text, "alias chaosd:0000beef:test"));
    assert_non_null(strstr(text, "Sent 58000 bytes 1000 pkt") ? "" : strstr(text, "2000 pkt"));
    assert_non_null(strstr(text, "qdisc noqueue 0: root"));
    DID(netem_remove(wire.ns, "a0", 0xbeef, NETEM_DRAIN, why));
    free(shell_code(&code, "ip -n %s link show chaosd-0000beef 2>&1", wire.a));
    assert_int_not_equal(code, 0);
    in_effect(&f);
    DID(netem_remove(wire.ns, "a0", 0xbeef, NETEM_KEEP, why));
    free(shell_code(&code, "ip -n %s link show chaosd-0000beef", wire.a));
    assert_int_equal(code, 0);
    in_effect(&f); /* finds it */
    assert_string_equal(state_of(0xbeef).broken, "");
    DID(netem_remove(wire.ns, "a0", 0xbeef, NETEM_KEEP, why));
    assert_int_equal(a_to_b("10.77.0.3", 4000, 100), 100);
}

static void is_extended_and_ended(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = fault_on_a0(3, NETEM_DROP);
    f.for_ns = 50 * NS_PER_MS;
    struct netem_effect e = in_effect(&f);
    DID(netem_extend(wire.ns, "a0", 3, e.until_ns + INT64_C(60000000000), why));
    while (netem_now() < e.until_ns + 10 * NS_PER_MS)
        poll(NULL, 0, 5);
    assert_int_equal(a_to_b("10.77.0.2", 4000, 10), 0);
    assert_true(state_of(3).left_ns > INT64_C(50000000000));
    DID(netem_end(wire.ns, "a0", 3, why));
    assert_int_equal(a_to_b("10.77.0.2", 4000, 10), 10);
    assert_int_equal(state_of(3).left_ns, 0);
    assert_int_equal(netem_end(wire.ns, "a0", 4, why), -ENOENT);
}

static void twice_is_one_changed(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = pass(5);
    struct netem_state *list;
    f.act = NETEM_DROP;
    assert_false(in_effect(&f).changed);
    assert_int_equal(a_to_b("10.77.0.3", 4000, 10), 0);
    f.directions = NETEM_IN;
    assert_true(in_effect(&f).changed);
    assert_int_equal(a_to_b("10.77.0.3", 4000, 10), 10);
    assert_int_equal(b_to_a("10.77.0.3", 4000, 10), 0);
    f.directions = NETEM_BOTH;
    f.act = NETEM_PASS;
    assert_true(in_effect(&f).changed);
    assert_int_equal(b_to_a("10.77.0.3", 4000, 10), 10);
    struct netem_state s = state_of(5);
    assert_string_equal(s.broken, "");
    assert_int_equal(s.in.packets, 20); /* its figures go on */
    assert_int_equal(netem_list(wire.ns, NULL, &list, why), 1);
    assert_int_equal(list[0].id, 5);
    free(list);
    f.act = NETEM_DROP;
    assert_true(in_effect(&f).changed);
    assert_int_equal(a_to_b("10.77.0.3", 4000, 10), 0);
    f.run = "another";
    struct netem_effect e;
    assert_int_equal(netem_inject(wire.ns, &f, &e, why), -EEXIST);
    assert_non_null(strstr(why, "test"));
}

static void what_is_foreign_stays(void **state) {
    (void)state;
    NEED_ROOT();
    sh("tc -n %s qdisc add dev a0 clsact; tc -n %s filter add dev a0 egress protocol all prio 10 bpf bytecode '1,6 0 0 0';"
       "tc -n %s filter add dev a0 ingress protocol all prio 50336 handle 0x77 bpf bytecode '1,6 0 0 0';"
       "ip -n %s link add chaosd-00000009 type ifb; ip -n %s link add ifb7 type ifb; ip -n %s link set ifb7 up group 50336 alias chaosd:00000007:test", wire.a, wire.a, wire.a, wire.a, wire.a, wire.a);
    cleanup_free char *before = scene();
    struct netem_fault f = pass(8);
    f.directions = NETEM_BOTH;
    struct netem_effect e = in_effect(&f);
    assert_false(e.attached);
    assert_int_equal(e.before, 1);
    assert_int_equal(a_to_b("10.77.0.3", 4000, 10), 10);
    f.id = 0x78;
    in_effect(&f); /* two of ours: they would go by their group, were it ours alone */
    f.id = 0x77; /* a filter of another's is there */
    assert_int_equal(netem_inject(wire.ns, &f, &e, why), -EEXIST);
    f.id = 9; /* an ifb of another's has its name */
    assert_int_equal(netem_inject(wire.ns, &f, &e, why), -EEXIST);
    assert_non_null(strstr(why, "chaosd-00000009"));
    DID(netem_remove(wire.ns, "a0", 9, 0, why));
    DID(netem_remove(wire.ns, "a0", 0x77, 0, why));
    DID(netem_sweep(wire.ns, NULL, 0, why));
    cleanup_free char *after = scene();
    assert_string_equal(before, after);
    sh("tc -n %s qdisc del dev a0 clsact; ip -n %s link del ifb7; ip -n %s link del chaosd-00000009", wire.a, wire.a, wire.a);
}

/* Our clsact, and somebody moves in: it is left to them. */
static void who_moved_in_keeps_clsact(void **state) {
    (void)state;
    NEED_ROOT();
    int code;
    struct netem_fault f = pass(1);
    assert_true(in_effect(&f).attached);
    sh("tc -n %s filter add dev a0 egress protocol all prio 10 bpf bytecode '1,6 0 0 0'", wire.a);
    DID(netem_sweep(wire.ns, NULL, 0, why));
    cleanup_free char *text = shell_code(&code, "tc -n %s filter show dev a0 egress", wire.a);
    assert_non_null(strstr(text, "pref 10 bpf"));
    assert_null(strstr(text, "chaosd"));
    sh("tc -n %s qdisc del dev a0 clsact", wire.a);
}

static void others_take_ours_away(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = pass(6);
    f.directions = NETEM_BOTH;
    in_effect(&f);
    sh("tc -n %s filter del dev a0 ingress", wire.a);
    assert_non_null(strstr(state_of(6).broken, "taken away"));
    in_effect(&f); /* once more mends it */
    assert_string_equal(state_of(6).broken, "");
    sh("ip -n %s link set chaosd-00000006 down", wire.a);
    assert_non_null(strstr(state_of(6).broken, "down"));
    sh("ip -n %s link del chaosd-00000006", wire.a);
    assert_non_null(strstr(state_of(6).broken, "ifb was taken away"));
    assert_int_equal(a_to_b("10.77.0.3", 4000, 10), 0);
    in_effect(&f);
    assert_int_equal(a_to_b("10.77.0.3", 4000, 10), 10);
    sh("tc -n %s qdisc del dev a0 clsact", wire.a);
    struct netem_state s;
    assert_int_equal(netem_read(wire.ns, "a0", 6, NULL, &s, why), -ENOENT);
    DID(netem_remove(wire.ns, "a0", 6, 0, why)); /* the ifb alone */
    struct netem_state *list;
    assert_int_equal(netem_list(wire.ns, NULL, &list, why), 0);
    free(list);
}

/* What another process put in is listed, read, extended and ended. */
static void another_process_takes_over(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = pass(11);
    pid_t child = fork();
    if (child == 0) {
        struct netem *n;
        struct netem_ns *ns;
        struct netem_effect e;
        f.act = NETEM_DROP;
        _exit(netem_open(0, &n, why) < 0 || netem_ns_open(n, wire.a_path, &ns, why) < 0 || netem_inject(ns, &f, &e, why) < 0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(a_to_b("10.77.0.3", 4000, 10), 0);
    struct netem_state s = state_of(11);
    assert_true(s.known);
    assert_int_equal(s.out.packets, 10);
    DID(netem_extend(wire.ns, "a0", 11, netem_now() + INT64_C(5000000000000), why));
    assert_true(state_of(11).left_ns > INT64_C(4000000000000));
    assert_true(in_effect(&f).changed); /* with our own classifier in its place */
    assert_int_equal(a_to_b("10.77.0.3", 4000, 10), 10);
    assert_int_equal(state_of(11).out.packets, 20);
    DID(netem_end(wire.ns, "a0", 11, why));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(takes_the_ifb, sweep_up),
        cmocka_unit_test_teardown(is_extended_and_ended, sweep_up),
        cmocka_unit_test_teardown(twice_is_one_changed, sweep_up),
        cmocka_unit_test_teardown(what_is_foreign_stays, sweep_up),
        cmocka_unit_test_teardown(who_moved_in_keeps_clsact, sweep_up),
        cmocka_unit_test_teardown(others_take_ours_away, sweep_up),
        cmocka_unit_test_teardown(another_process_takes_over, sweep_up),
    };
    return cmocka_run_group_tests(tests, wire_up, wire_down);
}
