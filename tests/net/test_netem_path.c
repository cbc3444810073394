/* SPDX-License-Identifier: Apache-2.0 */
/* The path over an ifb, deadlines, changes, what belongs to others, and kill -9. Where the kernel has no netem the ifb's queue is a plain one. */
#include "netem_util.h"

#include <netinet/in.h>

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

/* A process injects and is killed with -9; the fault stays, and ends on time by itself. A packet whose send began behind the deadline was
 * classified behind it, one whose send ended before it was classified before: so no pause of this machine can make a right kernel look wrong. */
static void ends_on_time_though_all_are_dead(void **state) {
    (void)state;
    NEED_ROOT();
    enum { FOR_MS = 300, MOST = 20000 };
    struct netem_effect e;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct netem_fault f = fault_on_a0(7, NETEM_DROP);
    f.for_ns = FOR_MS * INT64_C(1000000);
    f.protocol = IPPROTO_UDP; /* neighbours stay known: a lost ARP would be asked again after a second */
    pid_t child = fork();
    if (child == 0) {
        struct netem *n;
        struct netem_ns *ns;
        if (netem_open(0, &n, why) < 0 || netem_ns_open(n, wire.a_path, &ns, why) < 0 || netem_inject(ns, &f, &e, why) < 0)
            e.until_ns = 0;
        if (write(ends[1], &e, sizeof e) != sizeof e)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &e, sizeof e), sizeof e);
    close(ends[0]);
    close(ends[1]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(e.until_ns > 0);
    int out = udp_at(wire.a_path, "10.77.0.1", 40000), in = udp_at(wire.b_path, "10.77.0.2", 4000);
    cleanup_free int64_t *began = calloc(MOST, sizeof *began), *ended = calloc(MOST, sizeof *ended);
    cleanup_free bool *came = calloc(MOST, sizeof *came);
    int n = 0, wrong = 0, first = -1, before = 0;
    for (; n < MOST && now_ns(CLOCK_BOOTTIME) < e.until_ns + 20 * NS_PER_MS; n++) {
        began[n] = now_ns(CLOCK_BOOTTIME);
        send_one(out, "10.77.0.2", 4000, (uint32_t)n);
        ended[n] = now_ns(CLOCK_BOOTTIME);
        if (e.until_ns - ended[n] > 2 * NS_PER_MS)
            poll(NULL, 0, 1);
    }
    struct datagram d;
    while (receive_one(in, 100, &d, NULL))
        came[d.number] = true;
    for (int i = 0; i < n; i++) {
        wrong += ended[i] < e.until_ns && came[i];
        wrong += began[i] >= e.until_ns && !came[i];
        before += ended[i] < e.until_ns;
        if (first < 0 && came[i])
            first = i;
    }
    close(out);
    close(in);
    assert_true(before > 10 && first > 0);
    print_message("# first packet through %.3f ms after the deadline, %d before it were lost\n", (double)(began[first] - e.until_ns) / 1e6, before);
    assert_int_equal(wrong, 0);
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

/* 10^4 packets to a peer that no fault names, while faults come and go; clsact is there before. */
static void leaves_others_alone(void **state) {
    (void)state;
    NEED_ROOT();
    enum { N = 10000, FAULTS = 20 };
    struct netem_fault f = pass(1);
    in_effect(&f);
    int out = udp_at(wire.a_path, "10.77.0.1", 40000), in = udp_at(wire.b_path, "10.77.0.2", 4000), got = 0, injected = 0;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < N; i++) {
            if (send_one(out, "10.77.0.2", 4000, (uint32_t)i) < 0)
                _exit(1);
            if (i % 20 == 0)
                poll(NULL, 0, 1);
        }
        _exit(0);
    }
    int status = 0;
    struct datagram d;
    while (waitpid(child, &status, WNOHANG) == 0 || injected < FAULTS) {
        f = pass((uint32_t)(100 + injected % 7));
        f.act = injected % 2 ? NETEM_PASS : NETEM_DROP;
        f.directions = NETEM_BOTH;
        in_effect(&f);
        DID(netem_remove(wire.ns, "a0", f.id, 0, why));
        injected++;
        while (receive_one(in, 0, &d, NULL))
            got++;
    }
    while (receive_one(in, 100, &d, NULL))
        got++;
    assert_int_equal(status, 0);
    print_message("# %d faults came and went\n", injected);
    assert_int_equal(got, N);
    close(out);
    close(in);
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

/* Killed at random moments of inject and remove, whatever was done by then is found and goes, clsact too. */
static void killed_anywhere_it_is_found(void **state) {
    (void)state;
    NEED_ROOT();
    const int times = getenv("CHAOSD_LAB") ? 8 : 50; /* an emulated machine loads a classifier in a second */
    cleanup_free char *before = scene();
    struct netem_ns *ns; /* knows nothing of the classifier, as a later process would not */
    DID(netem_ns_open(NULL, wire.a_path, &ns, why));
    int found = 0, whole = 0;
    unsigned seed = (unsigned)getpid();
    print_message("# seed %u\n", seed);
    for (int i = 0; i < times; i++) {
        struct netem_fault f = pass((uint32_t)i + 1);
        struct netem_state *list;
        struct netem_effect e;
        int go[2];
        f.directions = NETEM_BOTH;
        assert_int_equal(pipe(go), 0);
        pid_t child = fork();
        if (child == 0) {
            struct netem *n;
            struct netem_ns *mine;
            if (netem_open(0, &n, why) < 0 || netem_ns_open(n, wire.a_path, &mine, why) < 0)
                _exit(1);
            for (int k = 0;; k++) {
                if (k == i % 2 && write(go[1], "", 1) != 1) /* counted from before the first inject, or behind it */
                    _exit(1);
                f.act = k % 3 ? NETEM_PASS : NETEM_DROP;
                netem_inject(mine, &f, &e, why);
                if (k % 4 == 3)
                    netem_remove(mine, "a0", f.id, NETEM_KEEP, why); /* else it would mostly be killed waiting for its ifb to go */
            }
        }
        char c;
        close(go[1]);
        assert_int_equal(read(go[0], &c, 1), 1);
        close(go[0]);
        for (int64_t until = netem_now() + rand_r(&seed) % (getenv("CHAOSD_LAB") ? 30000 : 3000) * INT64_C(1000); netem_now() < until;)
            ;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        int n = netem_list(ns, NULL, &list, why);
        DID(n);
        found += n;
        whole += n == 1 && list[0].known && !*list[0].broken && *list[0].dev;
        free(list);
        DID(netem_sweep(ns, NULL, 0, why));
        cleanup_free char *after = scene();
        assert_string_equal(before, after);
    }
    netem_ns_close(ns);
    print_message("# %d of %d left something, %d a whole fault\n", found, times, whole);
    assert_true(found > 0);
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
        cmocka_unit_test_teardown(ends_on_time_though_all_are_dead, sweep_up),
        cmocka_unit_test_teardown(is_extended_and_ended, sweep_up),
        cmocka_unit_test_teardown(twice_is_one_changed, sweep_up),
        cmocka_unit_test_teardown(leaves_others_alone, sweep_up),
        cmocka_unit_test_teardown(what_is_foreign_stays, sweep_up),
        cmocka_unit_test_teardown(who_moved_in_keeps_clsact, sweep_up),
        cmocka_unit_test_teardown(others_take_ours_away, sweep_up),
        cmocka_unit_test_teardown(killed_anywhere_it_is_found, sweep_up),
        cmocka_unit_test_teardown(another_process_takes_over, sweep_up),
    };
    return cmocka_run_group_tests(tests, wire_up, wire_down);
}
