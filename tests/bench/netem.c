/* SPDX-License-Identifier: Apache-2.0 */
/* What a network fault costs: from the call to the first affected packet at the peer (beside ip and tc doing the same), on 500 interfaces,
 * with 10,000 peers, a packet. In brief in `make check`, on this kernel and in the lab; in full with CHAOSD_FULL, for `make bench`. */
#include "../net/netem_util.h"

#include "program.h"

#include <bpf/bpf.h>
#include <math.h>
#include <netinet/in.h>

enum { PORT = 4000, TIMES_MOST = 200, TC_TIMES_MOST = 20, DEVICES = 500, PEERS = 10000, ADDRESSES = 256 };

static bool has_netem;
static const struct netem_params twice = {.duplicate_ppm = NETEM_PPM};

/* In brief what is far off fails, as no noise explains it: an emulated machine alone is some 13 times slower. */
static void judged(const char *name, double value, const char *unit, double most) {
    char must[32];
    snprintf(must, sizeof must, "<= %g", most);
    figure(name, value, unit, must);
    if (!getenv("CHAOSD_FULL") && !getenv("SAN") && value > most * (in_lab() ? 60 : 6))
        fail_msg("%s: %g %s", name, value, unit);
}

/* --- from the call to the effect --- */

/* Sends one and waits for it at the peer, both copies where it is doubled: the arrival of the first, CLOCK_REALTIME. */
static int64_t at_the_peer(int out, int fd, uint32_t number, bool doubled) {
    int64_t first = 0, at = 0;
    struct datagram d;
    assert_int_equal(send_one(out, "10.77.0.2", PORT, number), 0);
    for (int copies = 0; copies < 1 + doubled; copies++) {
        assert_true(captured(fd, PORT, 2000, &d, &at, NULL, 0) > 0);
        assert_int_equal(d.number, number);
        first = first ? first : at;
    }
    return first;
}

/* kept: its ifb stands there from the time before, as it does for a fault that comes again and again. */
static double by_call(enum netem_act act, int times, bool kept) {
    int64_t took[TIMES_MOST];
    int out = udp_at(wire.a_path, "10.77.0.1", 40000), sink = udp_at(wire.b_path, "10.77.0.2", PORT), fd = capture_at_b();
    for (int i = 0; i < times; i++) {
        struct netem_fault f = fault_on_a0(kept ? 1 : (uint32_t)i + 1, act);
        struct netem_state s;
        f.params = &twice;
        f.protocol = IPPROTO_UDP;
        int64_t began = now_ns(CLOCK_REALTIME);
        in_effect(&f);
        if (act == NETEM_DROP) { /* what the peer sees of it is that nothing comes */
            send_one(out, "10.77.0.2", PORT, (uint32_t)i);
            took[i] = now_ns(CLOCK_REALTIME) - began;
        } else {
            took[i] = at_the_peer(out, fd, (uint32_t)i, act == NETEM_SHAPE) - began;
        }
        DID(netem_read(wire.ns, "a0", f.id, NULL, &s, why));
        assert_int_equal(s.out.packets, 1); /* it was the first affected one */
        DID(netem_remove(wire.ns, "a0", f.id, kept ? NETEM_KEEP : 0, why));
    }
    close(out);
    close(sink);
    close(fd);
    return median_ms(took, times);
}

/* The same path by the tools, each command started as an operator's script does. */
static double by_tools(int times) {
    int64_t took[TC_TIMES_MOST];
    int out = udp_at(wire.a_path, "10.77.0.1", 40000), sink = udp_at(wire.b_path, "10.77.0.2", PORT), fd = capture_at_b();
    for (int i = 0; i < times; i++) {
        int64_t began = now_ns(CLOCK_REALTIME);
        sh("ip netns exec %s ip link add x0 type ifb && ip netns exec %s tc qdisc add dev x0 root %s && ip netns exec %s ip link set x0 up && "
           "ip netns exec %s tc filter add dev a0 egress protocol ip prio 9 u32 match ip protocol 17 0xff action mirred egress redirect dev x0", wire.a, wire.a,
           has_netem ? "netem duplicate 100%" : "pfifo limit 1000", wire.a, wire.a);
        took[i] = at_the_peer(out, fd, (uint32_t)i, has_netem) - began;
        sh("tc -n %s filter del dev a0 egress prio 9; ip -n %s link del x0", wire.a, wire.a);
    }
    close(out);
    close(sink);
    close(fd);
    return median_ms(took, times);
}

static void from_call_to_effect(void **state) {
    (void)state;
    const int times = brief_or_full(40, TIMES_MOST), tc_times = brief_or_full(5, TC_TIMES_MOST);
    struct netem_fault anchor = fault_on_a0(0xffff, NETEM_DROP);
    anchor.peers = &(struct netem_peer){.bits = 128};
    anchor.peer_count = 1;
    in_effect(&anchor); /* clsact is there: attaching it is once a device and run */
    judged("cost: from the call until a packet is dropped, median", by_call(NETEM_DROP, times, false), "ms", 1);
    enum netem_act act = has_netem ? NETEM_SHAPE : NETEM_PASS;
    double path = by_call(act, times, false), again = by_call(act, times, true), tools = by_tools(tc_times);
    judged("cost: from the call to the first affected packet at the peer, over an ifb, median", path, "ms", 1);
    judged("cost: the same where its ifb was kept, median", again, "ms", 1);
    figure("cost: the same by 4 times ip netns exec with ip and tc, median", tools, "ms", NULL);
    figure("cost: the tools take longer", tools / path, "times", ">= 10");
    assert_true(getenv("CHAOSD_FULL") || getenv("SAN") || tools > 2 * path);
}

/* --- many --- */

static void on_many(enum netem_act act, const char *name, int devices) {
    char text[96];
    int64_t began = now_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < devices; i++) {
        char dev[16];
        snprintf(dev, sizeof dev, "d%d", i);
        struct netem_fault f = fault_on_a0((uint32_t)i + 1, act);
        f.dev = dev;
        f.params = &twice;
        in_effect(&f);
    }
    double put = (double)(now_ns(CLOCK_MONOTONIC) - began) / 1e9;
    struct netem_state *list;
    began = now_ns(CLOCK_MONOTONIC);
    assert_int_equal(netem_list(wire.ns, NULL, &list, why), devices);
    free(list);
    double listed = (double)(now_ns(CLOCK_MONOTONIC) - began) / 1e9;
    began = now_ns(CLOCK_MONOTONIC);
    DID(netem_sweep(wire.ns, NULL, 0, why));
    print_message("# %s on %d interfaces: listed in %.3f s, swept in %.3f s\n", name, devices, listed, (double)(now_ns(CLOCK_MONOTONIC) - began) / 1e9);
    snprintf(text, sizeof text, "cost: %d interfaces, one fault each, %s", devices, name);
    judged(text, put, "s", 0.5 * devices / DEVICES);
}

static void many_interfaces(void **state) {
    (void)state;
    const int devices = brief_or_full(in_lab() ? 50 : 100, DEVICES);
    sh("for i in $(seq 0 %d); do echo link add d$i type veth peer name e$i; echo link set d$i group 99; echo link set d$i up; done | ip -n %s -batch -", devices - 1, wire.a);
    on_many(NETEM_DROP, "partition", devices);
    on_many(has_netem ? NETEM_SHAPE : NETEM_PASS, "over an ifb", devices);
    sh("ip -n %s link del group 99", wire.a);
}

static void ten_thousand_peers(void **state) {
    (void)state;
    enum { TIMES = 5 };
    cleanup_free struct netem_peer *peers = calloc(PEERS, sizeof *peers);
    struct netem_fault f = fault_on_a0(1, NETEM_DROP);
    struct netem_effect e;
    struct netem_job *job;
    int64_t took[TIMES], longest[TIMES] = {0};
    f.peers = peers;
    f.peer_count = PEERS;
    for (int i = 0; i < PEERS; i++)
        peers[i] = (struct netem_peer){.address = {[10] = 0xff, 0xff, 11, (unsigned char)(i >> 8), (unsigned char)i}, .bits = 96 + 24};
    for (int k = 0; k < TIMES; k++) {
        int64_t began = now_ns(CLOCK_MONOTONIC), at = began;
        int rc;
        DID(netem_begin(wire.ns, &f, &job, why));
        do {
            rc = netem_step(job, &e, why);
            int64_t now = now_ns(CLOCK_MONOTONIC);
            longest[k] = now - at > longest[k] ? now - at : longest[k];
            at = now;
        } while (rc > 0);
        DID(rc);
        netem_cancel(job);
        took[k] = at - began;
        DID(netem_remove(wire.ns, "a0", 1, 0, why));
        while (netem_tidy(engine))
            ;
    }
    judged("cost: 10,000 CIDRs in effect, median", median_ms(took, TIMES), "ms", 100);
    judged("cost: the longest step of that, median", median_ms(longest, TIMES), "ms", 10);
}

/* --- a packet --- */

static int map_of(int program, const char *name) {
    uint32_t ids[8] = {0}, len = sizeof(struct bpf_prog_info);
    struct bpf_prog_info info = {.nr_map_ids = 8, .map_ids = (uintptr_t)ids};
    assert_int_equal(bpf_obj_get_info_by_fd(program, &info, &len), 0);
    for (uint32_t i = 0; i < info.nr_map_ids; i++) {
        struct bpf_map_info map = {0};
        len = sizeof map;
        int fd = bpf_map_get_fd_by_id(ids[i]);
        if (bpf_obj_get_info_by_fd(fd, &map, &len) == 0 && strcmp(map.name, name) == 0)
            return fd;
        close(fd);
    }
    return -1;
}

/* The kernel runs the program itself, as slot 0, over packets to 256 addresses; the mean over them, of the best of three. */
static double run_ns(int program) {
    const int repeat = brief_or_full(2000, 20000);
    double sum = 0;
    for (int i = 0; i < ADDRESSES; i++) {
        unsigned at = (unsigned)i * 39 % PEERS;
        unsigned char frame[64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 50, 0, 1, 0, 0, 64, 17, 0, 0, 11, 3, 0, 1,
                                   11, (unsigned char)(at >> 8), (unsigned char)at, 7, 0x9c, 0x40, 0x0f, 0xa0};
        LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = sizeof frame, .repeat = repeat);
        double best = INFINITY;
        for (int k = 0; k < 3; k++) {
            assert_int_equal(bpf_prog_test_run_opts(program, &o), 0);
            best = o.duration < best ? o.duration : best;
        }
        sum += best;
    }
    return sum / ADDRESSES;
}

static void put_peer(int peers, unsigned bits, int i) {
    const uint32_t meant = 1;
    struct classify_peer key = {.prefix = 32 + bits, .slot = htonl(CLASSIFY_IP4), .address = {11, (unsigned char)(i >> 8), (unsigned char)i, 0}};
    assert_int_equal(bpf_map_update_elem(peers, &key, &meant, 0), 0);
}

static void a_packet(void **state) {
    (void)state;
    struct program *p;
    DID(program_open(16, &p, why));
    int program = program_fd(p, false), peers = map_of(program, "chaosd_peers");
    struct classify_slot *s = &program_maps(p)->slots[0];
    double off = run_ns(program);
    s->until_ns = UINT64_MAX;
    double all = run_ns(program);
    s->flags = CLASSIFY_PEERS;
    put_peer(peers, 8, 0); /* one CIDR that all are in */
    double one = run_ns(program);
    for (int i = 0; i < PEERS; i++)
        put_peer(peers, 24, i);
    double many = run_ns(program);
    figure("cost: the classifier, a packet, when over", off, "ns", NULL);
    figure("cost: the classifier, a packet, nothing named", all, "ns", NULL);
    figure("cost: the classifier, a packet, one CIDR", one, "ns", NULL);
    judged("cost: a packet with 10,000 CIDRs, more than with one", many - one, "ns", 150);
    close(peers);
    program_close(p);
}

static int bench_up(void **state) {
    struct netem_can can;
    int rc = wire_up(state);
    if (rc < 0)
        return rc;
    netem_can(&can);
    has_netem = can.can[NETEM_CAN_NETEM];
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(from_call_to_effect, sweep_up),
        cmocka_unit_test_teardown(a_packet, sweep_up),
        cmocka_unit_test_teardown(ten_thousand_peers, sweep_up),
        cmocka_unit_test_teardown(many_interfaces, sweep_up),
    };
    if (geteuid() != 0) {
        print_message("1..1\nok 1 # SKIP needs root\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, bench_up, wire_down);
}
