/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong is said, and nothing of ours stays; frames of every make; many peers. */
#include "netem_util.h"

#include <linux/capability.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/syscall.h>

static int refused(const struct netem_fault *f) {
    struct netem_effect e;
    *why = 0;
    int rc = netem_inject(wire.ns, f, &e, why);
    if (rc < 0 && !*why)
        fail_msg("no sentence for %d", rc);
    return rc;
}
#define SAYS(word)                                  \
    do {                                            \
        if (!strstr(why, word))                     \
            fail_msg("\"%s\" is not in: %s", word, why); \
    } while (0)

static void nonsense_is_refused(void **state) {
    (void)state;
    NEED_ROOT();
    cleanup_free char *before = scene();
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    struct netem_peer p;
#define REFUSE(change, word)                       \
    do {                                           \
        f = fault_on_a0(1, NETEM_DROP);            \
        change;                                    \
        assert_int_equal(refused(&f), -EINVAL);    \
        SAYS(word);                                \
    } while (0)
    REFUSE(f.id = 0, "id");
    REFUSE(f.run = "a b", "run");
    REFUSE(f.run = "", "run");
    REFUSE(f.dev = "a-name-that-is-too-long", "interface");
    REFUSE(f.directions = 0, "direction");
    REFUSE(f.directions = 4, "direction");
    REFUSE(f.for_ns = 0, "duration");
    REFUSE(f.drop_ppm = 1010000, "loss");
    REFUSE(f.act = NETEM_SHAPE, "parameters");
    REFUSE(f.act = 9, "act");
    REFUSE((f.local_count = 1, f.local_ports[0] = (struct netem_range){2, 1}), "ports");
    REFUSE((f.peer_port_count = 1, f.protocol = IPPROTO_ICMP), "protocol");
    REFUSE(f.peer_port_count = NETEM_RANGES + 1, "ranges");
    REFUSE((f.peers = &p, f.peer_count = 1, p = (struct netem_peer){.bits = 129}), "128 bits");
    REFUSE((f.peers = &p, f.peer_count = 1, p = (struct netem_peer){.bits = 0, .except = true}), "exceptions");
    static const char *const bad[] = {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "::/129", "10.0.0", "example.org", "1.2.3.4/ 8"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(netem_peer_parse(bad[i], &p, why), -EINVAL);
    assert_int_equal(netem_peer_parse("10.1.2.3/8", &p, why), 0);
    assert_int_equal(p.bits, 104);
    const struct netem_params jitter = {.delay_ns = 1, .jitter_ns = 2};
    REFUSE((f.act = NETEM_SHAPE, f.params = &jitter), "jitter");
    cleanup_free char *after = scene();
    assert_string_equal(before, after);
}

static void what_is_not_there_is_said(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = fault_on_a0(1, NETEM_PASS);
    struct netem_ns *ns;
    struct netem_state s;
    f.dev = "eth77";
    assert_int_equal(refused(&f), -ENODEV);
    SAYS("eth77");
    assert_int_equal(netem_read(wire.ns, "eth77", 1, NULL, &s, why), -ENODEV);
    assert_int_equal(netem_ns_open(engine, "/run/netns/chaosd-no-such", &ns, why), -ENOENT);
    SAYS("no such network namespace");
    assert_int_equal(netem_ns_open(engine, "/dev/null", &ns, why), -EINVAL);
    assert_int_equal(netem_end(wire.ns, "a0", 99, why), -ENOENT);
}

static void an_interface_goes_in_mid_fault(void **state) {
    (void)state;
    NEED_ROOT();
    int code;
    struct netem_fault f = fault_on_a0(2, NETEM_PASS);
    struct netem_state s;
    sh("ip -n %s link add gone0 type veth peer name gone1", wire.a);
    f.dev = "gone0";
    in_effect(&f);
    sh("ip -n %s link del gone0", wire.a);
    assert_int_equal(netem_read(wire.ns, "gone0", 2, NULL, &s, why), -ENODEV);
    DID(netem_remove(wire.ns, "gone0", 2, 0, why));
    cleanup_free char *left = shell_code(&code, "ip -n %s link | grep -c 'chaosd-0'", wire.a);
    assert_string_equal(left, "0\n");
}

/* A namespace goes while a fault stands in it: nothing keeps it, and it is said. */
static void a_namespace_goes_in_mid_fault(void **state) {
    (void)state;
    NEED_ROOT();
    char name[32], path[64];
    snprintf(name, sizeof name, "chaosd-tn%x-c", getpid());
    snprintf(path, sizeof path, "/run/netns/%s", name);
    sh("ip netns add %s; ip -n %s link add c0 type veth peer name c1 netns %s", name, name, wire.b);
    struct netem_ns *ns;
    struct netem_effect e;
    struct netem_fault f = fault_on_a0(1, NETEM_PASS);
    f.dev = "c0";
    DID(netem_ns_open(engine, path, &ns, why));
    DID(netem_inject(ns, &f, &e, why));
    netem_ns_close(ns);
    sh("ip netns delete %s", name);
    assert_int_equal(netem_ns_open(engine, path, &ns, why), -ENOENT);
    int there = 0;
    for (int i = 0; i < 500 && there == 0; i++) { /* its end of the pair takes the other with it, once the kernel has cleaned up */
        free(shell_code(&there, "ip -n %s link show c1 2>&1", wire.b));
        poll(NULL, 0, 10);
    }
    assert_int_not_equal(there, 0);
}

static void in_the_way(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    sh("tc -n %s qdisc add dev a0 ingress", wire.a);
    cleanup_free char *before = scene();
    assert_int_equal(refused(&f), -EBUSY);
    SAYS("ingress qdisc");
    f.directions = NETEM_IN; /* reachable there too */
    in_effect(&f);
    assert_int_equal(b_to_a("10.77.0.2", 4000, 10), 0);
    DID(netem_sweep(wire.ns, NULL, 0, why));
    cleanup_free char *after = scene();
    assert_string_equal(before, after);
    sh("tc -n %s qdisc del dev a0 ingress && tc -n %s qdisc add dev a0 ingress_block 7 clsact", wire.a, wire.a);
    assert_int_equal(refused(&f), -EBUSY);
    SAYS("block");
    sh("tc -n %s qdisc del dev a0 clsact", wire.a);
}

/* In a child without this capability: 0, or the code of what failed; why comes through a pipe. */
static int without_capability(int capability, char *ret_why) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct netem *n;
        struct netem_ns *ns;
        struct netem_effect e;
        struct netem_can can;
        struct netem_fault f = fault_on_a0(1, NETEM_DROP);
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2];
        /* CAP_SYS_ADMIN would stand in for CAP_BPF */
        const int drop[] = {capability, capability == CAP_BPF ? CAP_SYS_ADMIN : capability};
        if (syscall(SYS_capget, &header, data) < 0)
            _exit(1);
        for (int i = 0; i < 2; i++) {
            data[drop[i] / 32].effective &= ~(1u << drop[i] % 32);
            data[drop[i] / 32].permitted &= ~(1u << drop[i] % 32);
        }
        if (syscall(SYS_capset, &header, data) < 0)
            _exit(1);
        *why = 0;
        netem_can(&can);
        int rc = netem_open(0, &n, why);
        if (rc == 0)
            rc = netem_ns_open(n, wire.a_path, &ns, why);
        if (rc == 0)
            rc = netem_inject(ns, &f, &e, why);
        bool could = can.can[NETEM_CAN_DROP];
        if (write(ends[1], why, sizeof why) != sizeof why || write(ends[1], can.why_not[NETEM_CAN_DROP], NETEM_ERROR_SIZE) < 0)
            _exit(1);
        _exit(could ? 2 : rc == -EPERM ? 0 : 3);
    }
    int status;
    char can_why[NETEM_ERROR_SIZE];
    assert_int_equal(read(ends[0], ret_why, NETEM_ERROR_SIZE), NETEM_ERROR_SIZE);
    assert_int_equal(read(ends[0], can_why, NETEM_ERROR_SIZE), NETEM_ERROR_SIZE);
    close(ends[0]);
    close(ends[1]);
    waitpid(child, &status, 0);
    assert_true(strlen(can_why) > 0);
    return WEXITSTATUS(status);
}

static void without_capabilities(void **state) {
    (void)state;
    NEED_ROOT();
    char text[NETEM_ERROR_SIZE];
    cleanup_free char *before = scene();
    assert_int_equal(without_capability(CAP_NET_ADMIN, text), 0);
    assert_non_null(strstr(text, "CAP_NET_ADMIN"));
    assert_int_equal(without_capability(CAP_BPF, text), 0);
    assert_non_null(strstr(text, "CAP_"));
    assert_int_equal(without_capability(CAP_SYS_ADMIN, text), 0);
    assert_non_null(strstr(text, "CAP_SYS_ADMIN"));
    cleanup_free char *after = scene();
    assert_string_equal(before, after);
}

/* The kernel's answers do not fit: the outcome is unknown, which is said; a later look finds whatever was done. */
static void lost_answers_are_unknown(void **state) {
    (void)state;
    NEED_ROOT();
    cleanup_free char *before = scene();
    struct netem_ns *ns;
    struct netem_fault f = fault_on_a0(1, NETEM_PASS);
    struct netem_effect e;
    struct netem_state *list;
    const int least = 1;
    f.directions = NETEM_BOTH;
    int fd = socket_in(wire.a_path, AF_NETLINK, SOCK_RAW, 0);
    DID(netem_ns_open_socket(engine, fd, &ns, why));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least), 0);
    int rc = netem_inject(ns, &f, &e, why);
    assert_int_equal(rc, -ENOBUFS);
    SAYS("unknown");
    if (netem_list(ns, NULL, &list, why) >= 0)
        free(list);
    netem_ns_close(ns);
    DID(netem_sweep(wire.ns, NULL, 0, why));
    cleanup_free char *after = scene();
    assert_string_equal(before, after);
}

/* Where the kernel has no netem: a new fault leaves nothing, a change leaves the fault as it was. (With netem there is nothing to fail.) */
static void no_netem_is_said_and_nothing_changes(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_can can;
    const struct netem_params p = {.delay_ns = 1000000};
    struct netem_fault f = fault_on_a0(1, NETEM_SHAPE), drop = fault_on_a0(1, NETEM_DROP);
    netem_can(&can);
    if (can.can[NETEM_CAN_NETEM])
        return;
    assert_non_null(strstr(can.why_not[NETEM_CAN_DELAY], "sch_netem"));
    assert_true(can.can[NETEM_CAN_DROP] && can.can[NETEM_CAN_REDIRECT]);
    f.params = &p;
    cleanup_free char *before = scene();
    assert_int_equal(refused(&f), -ENOENT);
    SAYS("sch_netem");
    cleanup_free char *after = scene();
    assert_string_equal(before, after);
    drop.protocol = IPPROTO_UDP;
    in_effect(&drop);
    cleanup_free char *dropping = scene();
    assert_int_equal(refused(&f), -ENOENT);
    cleanup_free char *still = scene();
    assert_string_equal(dropping, still);
    assert_int_equal(a_to_b("10.77.0.2", 4000, 10), 0);
}

/* While links come and go a list is whole or says that it is unknown: it never misses what stands there all the time. */
static void interrupted_dumps_are_not_nothing(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = fault_on_a0(1, NETEM_PASS);
    int status, whole = 0, unknown = 0;
    in_effect(&f);
    sh("for i in $(seq 150); do echo link add t$i group 77 type ifb; done | ip -n %s -batch -", wire.a);
    pid_t child = fork();
    if (child == 0) {
        int code;
        free(shell_code(&code, "for i in $(seq 60); do echo link add u$i type ifb; echo link del u$i; done | ip -n %s -batch -", wire.a));
        _exit(code);
    }
    while (waitpid(child, &status, WNOHANG) == 0) {
        struct netem_state *list = NULL;
        int n = netem_list(wire.ns, NULL, &list, why);
        whole += n == 1 && list[0].id == 1 && !*list[0].broken;
        unknown += n == -EAGAIN;
        if (n != 1 && n != -EAGAIN)
            fail_msg("%d: %s", n, n < 0 ? why : "not one fault");
        free(list);
    }
    assert_int_equal(status, 0);
    print_message("# %d lists were whole, %d unknown\n", whole, unknown);
    assert_true(whole > 0);
    sh("ip -n %s link del group 77", wire.a);
}

/* --- frames --- */

static uint64_t hits(void) {
    struct netem_state s;
    DID(netem_read(wire.ns, "a0", 1, NULL, &s, why));
    return s.out.packets;
}

/* Sends a raw frame out of a0: was it taken? */
static bool taken(int fd, const void *header, size_t header_len, int type, const void *more, size_t more_len) {
    unsigned char frame[256] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, (unsigned char)(type >> 8), (unsigned char)type};
    memcpy(frame + 14, header, header_len);
    memcpy(frame + 14 + header_len, more, more_len);
    uint64_t before = hits();
    assert_true(send(fd, frame, 14 + header_len + more_len, 0) > 0);
    return hits() > before;
}

static const unsigned char udp[] = {0x9c, 0x40, 0x0f, 0xa0, 0, 8, 0, 0}; /* 40000 to 4000 */
static bool takes_ip4(int fd, unsigned char protocol, int fragment_word, bool options) {
    unsigned char ip[24] = {options ? 0x46 : 0x45, 0, 0, options ? 32 : 28, 0, 1, (unsigned char)(fragment_word >> 8), (unsigned char)fragment_word,
                            64, protocol, 0, 0, 10, 77, 0, 1, 10, 77, 0, 9, 1, 1, 1, 0};
    return taken(fd, ip, options ? 24 : 20, 0x0800, udp, sizeof udp);
}
static bool takes_ip6(int fd, unsigned char next, const void *more, size_t len) {
    unsigned char ip[40] = {0x60, 0, 0, 0, 0, (unsigned char)len, next, 64, 0xfd, 0x77, [23] = 1, 0xfd, 0x77, [39] = 9};
    return taken(fd, ip, sizeof ip, 0x86dd, more, len);
}

static void frames_of_every_make(void **state) {
    (void)state;
    NEED_ROOT();
    int own_index, fd = socket_in(wire.a_path, AF_PACKET, SOCK_RAW, 0), code;
    cleanup_free char *index = shell_code(&code, "ip -n %s -o link show a0 | cut -d: -f1", wire.a);
    own_index = atoi(index);
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = own_index};
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    struct netem_peer peers[2];
    DID(netem_peer_parse("10.77.0.9", &peers[0], why));
    DID(netem_peer_parse("fd77::9", &peers[1], why));
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    f.peers = peers;
    f.peer_count = 2;
    f.peer_ports[0] = (struct netem_range){4000, 4000};
    f.peer_port_count = 1;
    f.protocol = IPPROTO_UDP;
    in_effect(&f);
    assert_true(takes_ip4(fd, IPPROTO_UDP, 0, false));
    assert_true(takes_ip4(fd, IPPROTO_UDP, 0, true));
    assert_true(takes_ip4(fd, IPPROTO_UDP, 0x2000, false));  /* a first fragment has ports */
    assert_false(takes_ip4(fd, IPPROTO_UDP, 0x2010, false)); /* a later one has none */
    assert_false(takes_ip4(fd, IPPROTO_TCP, 0, false));
    unsigned char hop[16] = {IPPROTO_UDP, 0, 1, 4}, first[16] = {IPPROTO_UDP, 0, 0, 1}, later[16] = {IPPROTO_UDP, 0, 0, 9}, both[24] = {IPPROTO_DSTOPTS, 0, 1, 4, [8] = IPPROTO_UDP, 0, 1, 4};
    memcpy(hop + 8, udp, 8);
    memcpy(first + 8, udp, 8);
    memcpy(later + 8, udp, 8);
    memcpy(both + 16, udp, 8);
    assert_true(takes_ip6(fd, IPPROTO_UDP, udp, sizeof udp));
    assert_true(takes_ip6(fd, IPPROTO_HOPOPTS, hop, sizeof hop));
    assert_true(takes_ip6(fd, IPPROTO_HOPOPTS, both, sizeof both));
    assert_true(takes_ip6(fd, IPPROTO_FRAGMENT, first, sizeof first));
    assert_false(takes_ip6(fd, IPPROTO_FRAGMENT, later, sizeof later));
    assert_false(takes_ip6(fd, IPPROTO_TCP, udp, sizeof udp));
    assert_false(takes_ip6(fd, IPPROTO_UDP, udp, 2)); /* cut short: no ports */
    assert_false(taken(fd, "\x45", 1, 0x0800, "", 0)); /* and no header at all */
    assert_false(taken(fd, udp, 8, 0x0806, udp, 8));   /* ARP has no peers */
    f.peer_port_count = 0;
    in_effect(&f);
    assert_true(takes_ip4(fd, IPPROTO_UDP, 0x2010, false)); /* no ports named: a later fragment matches */
    assert_true(takes_ip6(fd, IPPROTO_FRAGMENT, later, sizeof later));
    f.protocol = 0;
    f.peer_count = 0;
    in_effect(&f);
    assert_true(taken(fd, udp, 8, 0x0806, udp, 8)); /* nothing named: everything */
    close(fd);
}

/* --- many peers --- */

static void ten_thousand_peers(void **state) {
    (void)state;
    NEED_ROOT();
    enum { N = 10000 };
    cleanup_free struct netem_peer *peers = calloc(N, sizeof *peers);
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    struct netem_effect e;
    struct netem_job *job;
    for (int i = 0; i < N; i++) {
        peers[i] = (struct netem_peer){.bits = (uint8_t)(i % 2 ? 120 : 128)};
        memcpy(peers[i].address, (unsigned char[16]){[10] = 0xff, 0xff, 11, (unsigned char)(i >> 8), (unsigned char)i, 7}, 16);
    }
    DID(netem_peer_parse("10.77.0.3", &peers[N / 2], why));
    f.peers = peers;
    f.peer_count = N;
    for (int round = 0; round < 3; round++) { /* what was forgotten can be written again */
        int64_t began = now_ns(CLOCK_MONOTONIC), longest = 0, at = began;
        int steps = 0, rc;
        DID(netem_begin(wire.ns, &f, &job, why));
        do {
            rc = netem_step(job, &e, why);
            int64_t now = now_ns(CLOCK_MONOTONIC);
            longest = now - at > longest ? now - at : longest;
            at = now;
            steps++;
        } while (rc > 0);
        DID(rc);
        netem_cancel(job);
        print_message("# %d peers in effect after %.2f ms; %d steps, the longest %.2f ms\n", N, (double)(at - began) / 1e6, steps, (double)longest / 1e6);
        assert_true(steps >= N / NETEM_STEP);
        assert_int_equal(a_to_b("10.77.0.3", 4000, 20), 0);
        assert_int_equal(a_to_b("10.77.0.2", 4000, 20), 20);
        DID(netem_remove(wire.ns, "a0", 1, 0, why));
        assert_int_equal(a_to_b("10.77.0.3", 4000, 20), 20);
        for (steps = 0; netem_tidy(engine); steps++)
            assert_true(steps < N);
    }
    DID(netem_begin(wire.ns, &f, &job, why)); /* begun and given up: nothing happens */
    assert_int_equal(netem_step(job, &e, why), 1);
    netem_cancel(job);
    assert_int_equal(a_to_b("10.77.0.3", 4000, 20), 20);
}

static void only_so_many_at_once(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem *small;
    struct netem_ns *ns;
    struct netem_effect e;
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    f.peers = &(struct netem_peer){.bits = 128};
    f.peer_count = 1;
    DID(netem_open(2, &small, why));
    DID(netem_ns_open(small, wire.a_path, &ns, why));
    for (int round = 0; round < 3; round++) {
        for (f.id = 1; f.id <= 2; f.id++)
            DID(netem_inject(ns, &f, &e, why));
        assert_int_equal(netem_inject(ns, &f, &e, why), -ENOSPC);
        SAYS("2 faults");
        for (f.id = 1; f.id <= 2; f.id++)
            DID(netem_remove(ns, "a0", f.id, 0, why));
    }
    netem_ns_close(ns);
    netem_close(small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nonsense_is_refused, sweep_up),
        cmocka_unit_test_teardown(what_is_not_there_is_said, sweep_up),
        cmocka_unit_test_teardown(an_interface_goes_in_mid_fault, sweep_up),
        cmocka_unit_test_teardown(a_namespace_goes_in_mid_fault, sweep_up),
        cmocka_unit_test_teardown(in_the_way, sweep_up),
        cmocka_unit_test_teardown(without_capabilities, sweep_up),
        cmocka_unit_test_teardown(lost_answers_are_unknown, sweep_up),
        cmocka_unit_test_teardown(no_netem_is_said_and_nothing_changes, sweep_up),
        cmocka_unit_test_teardown(interrupted_dumps_are_not_nothing, sweep_up),
        cmocka_unit_test_teardown(frames_of_every_make, sweep_up),
        cmocka_unit_test_teardown(ten_thousand_peers, sweep_up),
        cmocka_unit_test_teardown(only_so_many_at_once, sweep_up),
    };
    return cmocka_run_group_tests(tests, wire_up, wire_down);
}
