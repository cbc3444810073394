/* SPDX-License-Identifier: Apache-2.0 */
/* Others that manage filters and clsact of the same device while a fault of ours stands there, each in its own way: Cilium replaces its filter at
 * priority 1, handle 1, and makes clsact anew when it starts; Calico makes clsact anew, lists all filters, deletes those with its names one
 * by one and lets the kernel choose a priority. Theirs are programs of two instructions here, put in by libbpf. */
#include "netem_util.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

enum { GO_ON = -1, PASS = 0 }; /* what such a program answers: TC_ACT_UNSPEC, TC_ACT_OK */

static struct netem_peer third; /* 10.77.0.3 */

static int index_of_a0(void) {
    int code;
    cleanup_free char *text = shell_code(&code, "ip -n %s -o link show a0 | cut -d: -f1", wire.a);
    return atoi(text);
}

/* In A, by a process of its own; the code it ended with. priority 0: the kernel chooses. */
static int attach(const char *name, bool ingress, unsigned priority, unsigned handle, int answer) {
    const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = answer}, {.code = BPF_JMP | BPF_EXIT}};
    int index = index_of_a0(), status;
    pid_t child = fork();
    if (child == 0) {
        int ns = open(wire.a_path, O_RDONLY | O_CLOEXEC), program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "GPL", code, 2, NULL);
        LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = index, .attach_point = ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
        LIBBPF_OPTS(bpf_tc_opts, o, .prog_fd = program, .handle = handle, .priority = priority, .flags = priority ? BPF_TC_F_REPLACE : 0);
        if (ns < 0 || program < 0 || setns(ns, CLONE_NEWNET) < 0)
            _exit(1);
        _exit(bpf_tc_attach(&hook, &o) == 0 ? 0 : 2);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

static void new_clsact(void) { sh("tc -n %s qdisc del dev a0 clsact && tc -n %s qdisc add dev a0 clsact", wire.a, wire.a); }

static void cilium(int answer) {
    for (int ingress = 0; ingress < 2; ingress++)
        assert_int_equal(attach(ingress ? "cil_from_netdev" : "cil_to_netdev", ingress, 1, 1, answer), 0);
}

static void calico(int answer) {
    for (int ingress = 0; ingress < 2; ingress++)
        assert_int_equal(attach(ingress ? "cali_from_wep" : "cali_to_wep", ingress, 0, 0, answer), 0);
}

/* All of them that carry this name, found in what tc lists. */
static void delete_by_name(const char *name) {
    sh("for way in ingress egress; do tc -n %s filter show dev a0 $way | sed -nE 's/.* pref ([0-9]+) bpf.* handle (0x[0-9a-f]+) %s.*/\\1 \\2/p' | while read -r pref handle; do "
       "tc -n %s filter del dev a0 $way pref $pref handle $handle bpf || exit 1; done; done", wire.a, name, wire.a);
}

static char *filters(void) {
    int code;
    return shell_code(&code, "for way in ingress egress; do tc -n %s filter show dev a0 $way; done; tc -n %s qdisc show dev a0", wire.a, wire.a);
}

static struct netem_fault fault(enum netem_act act) {
    struct netem_fault f = fault_on_a0(4, act);
    f.directions = NETEM_BOTH;
    f.peers = &third;
    f.peer_count = 1;
    return f;
}

static struct netem_state state_now(void) {
    struct netem_state s;
    DID(netem_read(wire.ns, "a0", 4, NULL, &s, why));
    return s;
}

static void hits(bool does) {
    assert_int_equal(a_to_b("10.77.0.3", 4000, 10), does ? 0 : 10);
    assert_int_equal(b_to_a("10.77.0.3", 4000, 10), does ? 0 : 10);
}

static void cilium_replaces_its_filter(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = fault(NETEM_DROP);
    assert_true(in_effect(&f).attached);
    hits(true);
    sh("tc -n %s qdisc replace dev a0 clsact", wire.a); /* as it does for each endpoint */
    cilium(GO_ON);
    hits(true);
    assert_int_equal(state_now().before, 2);
    cilium(PASS); /* its packets are not ours any more: that is said, and the counters stand still */
    uint64_t had = state_now().out.packets;
    hits(false);
    assert_int_equal(state_now().out.packets, had);
    assert_int_equal(state_now().before, 2);
    assert_int_equal(in_effect(&f).before, 2);
    delete_by_name("cil_");
    hits(true);
    assert_int_equal(state_now().before, 0);
    cilium(PASS);
    DID(netem_sweep(wire.ns, NULL, 0, why));
    cleanup_free char *text = filters();
    assert_null(strstr(text, "chaosd"));
    assert_non_null(strstr(text, "cil_to_netdev"));
    assert_non_null(strstr(text, "cil_from_netdev"));
    assert_non_null(strstr(text, "clsact")); /* who moved in keeps it */
    sh("tc -n %s qdisc del dev a0 clsact", wire.a);
}

/* clsact goes with all that hangs on it, ours too: the fault is over, says so, and does not come between the new filters and its packets. */
static void made_anew(void (*owner)(int), const char *name) {
    struct netem_fault f = fault(NETEM_PASS);
    struct netem_state s, *list;
    cleanup_free char *before = scene();
    in_effect(&f);
    new_clsact();
    owner(GO_ON);
    cleanup_free char *theirs = filters();
    assert_int_equal(netem_read(wire.ns, "a0", 4, NULL, &s, why), -ENOENT);
    assert_int_equal(netem_end(wire.ns, "a0", 4, why), -ENOENT);
    assert_int_equal(netem_list(wire.ns, NULL, &list, why), 1); /* its ifb */
    assert_string_equal(list[0].dev, "");
    assert_true(list[0].has_queue);
    free(list);
    hits(false);
    f.act = NETEM_DROP;
    struct netem_effect e = in_effect(&f); /* once more: beside them, on their clsact */
    assert_false(e.attached);
    assert_int_equal(e.before, 2);
    hits(true);
    owner(GO_ON); /* they go on managing theirs */
    hits(true);
    delete_by_name(name);
    assert_string_equal(state_now().broken, "");
    hits(true);
    owner(GO_ON);
    DID(netem_sweep(wire.ns, NULL, 0, why));
    cleanup_free char *after = filters(), *has = strdup(after);
    assert_null(strstr(has, "chaosd"));
    assert_non_null(strstr(has, name));
    assert_non_null(strstr(theirs, name));
    sh("tc -n %s qdisc del dev a0 clsact", wire.a);
    cleanup_free char *end = scene();
    assert_string_equal(before, end);
}

static void cilium_makes_clsact_anew(void **state) {
    (void)state;
    NEED_ROOT();
    made_anew(cilium, "cil_");
}

static void calico_makes_clsact_anew(void **state) {
    (void)state;
    NEED_ROOT();
    made_anew(calico, "cali_");
}

/* What the kernel chooses for a filter without a priority is never where ours stand. */
static void a_chosen_priority_is_not_ours(void **state) {
    (void)state;
    NEED_ROOT();
    struct netem_fault f = fault(NETEM_DROP);
    in_effect(&f);
    for (int i = 0; i < 5; i++)
        calico(GO_ON);
    cleanup_free char *text = filters();
    int ours = 0, theirs = 0;
    for (const char *at = text; (at = strstr(at, "pref 50336 bpf chain 0 handle")); at++)
        ours++;
    for (const char *at = text; (at = strstr(at, "wep:[")); at++)
        theirs++;
    assert_int_equal(ours, 2);
    assert_int_equal(theirs, 10);
    assert_int_equal(state_now().before, 10);
    hits(true);
    DID(netem_remove(wire.ns, "a0", 4, 0, why));
    delete_by_name("cali_");
    DID(netem_sweep(wire.ns, NULL, 0, why));
    cleanup_free char *end = filters();
    assert_null(strstr(end, "clsact")); /* ours, and nobody else is there */
}

/* clsact comes and goes under inject, all the time: in effect or refused with a sentence, and a sweep finds what there is. */
static void clsact_comes_and_goes_meanwhile(void **state) {
    (void)state;
    NEED_ROOT();
    enum { ROUNDS = 100 };
    cleanup_free char *before = scene();
    int code, in = 0, refused = 0, status;
    pid_t child = fork();
    if (child == 0) {
        free(shell_code(&code, "for i in $(seq 4000); do echo qdisc add dev a0 clsact; echo qdisc del dev a0 clsact; done | tc -n %s -force -batch - 2>&1", wire.a));
        _exit(0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        struct netem_fault f = fault(i % 2 ? NETEM_DROP : NETEM_PASS);
        struct netem_effect e;
        *why = 0;
        int rc = netem_inject(wire.ns, &f, &e, why);
        in += rc == 0;
        refused += rc < 0;
        if (rc < 0 && !*why)
            fail_msg("%d without a sentence", rc);
        DID(netem_sweep(wire.ns, NULL, 0, why));
    }
    waitpid(child, &status, 0);
    DID(netem_sweep(wire.ns, NULL, 0, why));
    free(shell_code(&code, "tc -n %s qdisc del dev a0 clsact 2>&1", wire.a));
    print_message("# %d went in, %d were refused\n", in, refused);
    cleanup_free char *after = scene();
    assert_string_equal(before, after);
}

static int foreign_up(void **state) {
    int rc = wire_up(state);
    libbpf_set_print(NULL);
    return rc < 0 ? rc : netem_peer_parse("10.77.0.3", &third, why);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(cilium_replaces_its_filter, sweep_up),
        cmocka_unit_test_teardown(cilium_makes_clsact_anew, sweep_up),
        cmocka_unit_test_teardown(calico_makes_clsact_anew, sweep_up),
        cmocka_unit_test_teardown(a_chosen_priority_is_not_ours, sweep_up),
        cmocka_unit_test_teardown(clsact_comes_and_goes_meanwhile, sweep_up),
    };
    return cmocka_run_group_tests(tests, foreign_up, wire_down);
}
