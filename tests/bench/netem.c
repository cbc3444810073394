/* SPDX-License-Identifier: Apache-2.0 */
/* What a network fault costs: from the call to its effect (beside ip and tc doing the same), on 500 interfaces, with 10,000 peers, a packet.
 * make bench-netem; as root, with the machine to itself. */
#include "../net/netem_util.h"

#include "program.h"

#include <bpf/bpf.h>
#include <math.h>

enum { TIMES = 200, TC_TIMES = 20, DEVICES = 500, PEERS = 10000, REPEAT = 1000000 };

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}
static double median_ms(int64_t *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_size);
    return (double)v[n / 2] / 1e6;
}

static double by_call(enum netem_act act, const struct netem_params *p) {
    int64_t took[TIMES];
    int out = udp_at(wire.a_path, "10.77.0.1", 40000);
    for (int i = 0; i < TIMES; i++) {
        struct netem_fault f = fault_on_a0((uint32_t)i + 1, act);
        struct netem_state s;
        f.params = p;
        f.protocol = 17;
        int64_t began = now_ns(CLOCK_MONOTONIC);
        in_effect(&f);
        send_one(out, "10.77.0.2", 4000, 1);
        took[i] = now_ns(CLOCK_MONOTONIC) - began;
        DID(netem_read(wire.ns, "a0", f.id, NULL, &s, why));
        assert_int_equal(s.out.packets, 1); /* it was the first affected one */
        DID(netem_remove(wire.ns, "a0", f.id, 0, why));
    }
    close(out);
    return median_ms(took, TIMES);
}

/* The same path by the tools, each command started as an operator's script does. */
static double by_tools(const char *queue) {
    int64_t took[TC_TIMES];
    for (int i = 0; i < TC_TIMES; i++) {
        int64_t began = now_ns(CLOCK_MONOTONIC);
        sh("ip netns exec %s ip link add x0 type ifb && ip netns exec %s tc qdisc add dev x0 root %s && ip netns exec %s ip link set x0 up && "
           "ip netns exec %s tc filter add dev a0 egress protocol ip prio 9 u32 match ip protocol 17 0xff action mirred egress redirect dev x0", wire.a, wire.a, queue, wire.a, wire.a);
        took[i] = now_ns(CLOCK_MONOTONIC) - began;
        sh("tc -n %s filter del dev a0 egress prio 9; ip -n %s link del x0", wire.a, wire.a);
    }
    return median_ms(took, TC_TIMES);
}

static void from_call_to_effect(void **state) {
    (void)state;
    const struct netem_params p = {.delay_ns = 1000000};
    struct netem_fault anchor = fault_on_a0(0xffff, NETEM_DROP);
    struct netem_can can;
    netem_can(&can);
    bool netem = can.can[NETEM_CAN_NETEM];
    anchor.peers = &(struct netem_peer){.bits = 128};
    anchor.peer_count = 1;
    in_effect(&anchor); /* clsact is there: attaching it is once a device and run */
    double drop = by_call(NETEM_DROP, NULL), path = by_call(netem ? NETEM_SHAPE : NETEM_PASS, &p), tools = by_tools(netem ? "netem delay 1ms" : "pfifo limit 1000");
    print_message("# from the call until a packet is affected, median of %d: drop %.3f ms, %s %.3f ms\n", TIMES, drop, netem ? "netem" : "plain queue", path);
    print_message("# the same by ip netns exec with ip and tc (4 commands), median of %d: %.3f ms, %.0f times longer\n", TC_TIMES, tools, tools / path);
}

static void on_many(enum netem_act act, const struct netem_params *p, const char *name) {
    int64_t began = now_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < DEVICES; i++) {
        char dev[16];
        snprintf(dev, sizeof dev, "d%d", i);
        struct netem_fault f = fault_on_a0((uint32_t)i + 1, act);
        f.dev = dev;
        f.params = p;
        in_effect(&f);
    }
    double put = (double)(now_ns(CLOCK_MONOTONIC) - began) / 1e9;
    struct netem_state *list;
    began = now_ns(CLOCK_MONOTONIC);
    assert_int_equal(netem_list(wire.ns, NULL, &list, why), DEVICES);
    free(list);
    double listed = (double)(now_ns(CLOCK_MONOTONIC) - began) / 1e9;
    began = now_ns(CLOCK_MONOTONIC);
    DID(netem_sweep(wire.ns, NULL, 0, why));
    print_message("# %s on %d interfaces: in after %.3f s, listed in %.3f s, swept in %.3f s\n", name, DEVICES, put, listed, (double)(now_ns(CLOCK_MONOTONIC) - began) / 1e9);
}

static void many_interfaces(void **state) {
    (void)state;
    const struct netem_params p = {.delay_ns = 1000000};
    struct netem_can can;
    netem_can(&can);
    sh("for i in $(seq 0 %d); do echo link add d$i type veth peer name e$i; echo link set d$i up; done | ip -n %s -batch -", DEVICES - 1, wire.a);
    on_many(NETEM_DROP, NULL, "drop");
    on_many(can.can[NETEM_CAN_NETEM] ? NETEM_SHAPE : NETEM_PASS, &p, can.can[NETEM_CAN_NETEM] ? "netem" : "plain queue");
}

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

/* The kernel runs the program itself, a million times over one packet, as slot 0. */
static double run_ns(int program) {
    unsigned char frame[64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 50, 0, 1, 0, 0, 64, 17, 0, 0, 11, 3, 0, 1, 11, 3, 9, 7, 0x9c, 0x40, 0x0f, 0xa0};
    LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = sizeof frame, .repeat = REPEAT);
    double best = INFINITY;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(bpf_prog_test_run_opts(program, &o), 0);
        best = o.duration < best ? o.duration : best;
    }
    return best;
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
    uint32_t meant = 1;
    struct classify_peer key = {.prefix = 32 + 24, .slot = htonl(CLASSIFY_IP4), .address = {11, 3, 9, 0}};
    assert_int_equal(bpf_map_update_elem(peers, &key, &meant, 0), 0);
    double one = run_ns(program);
    for (int i = 0; i < PEERS; i++) {
        key = (struct classify_peer){.prefix = 32 + 24, .slot = htonl(CLASSIFY_IP4), .address = {11, (unsigned char)(i >> 8), (unsigned char)i, 0}};
        assert_int_equal(bpf_map_update_elem(peers, &key, &meant, 0), 0);
    }
    double many = run_ns(program);
    print_message("# the classifier: %.0f ns a packet when over, %.0f when all are meant, %.0f with one peer, %.0f with %d: %.0f more\n", off, all, one, many, PEERS, many - one);
    close(peers);
    program_close(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(from_call_to_effect, sweep_up),
        cmocka_unit_test_teardown(a_packet, sweep_up),
        cmocka_unit_test_teardown(many_interfaces, sweep_up),
    };
    return geteuid() == 0 ? cmocka_run_group_tests(tests, wire_up, wire_down) : 1;
}
