/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 at random moments of inject, hold and revert: past the deadline nothing is affected, and whatever was done is found by somebody who
 * knows nothing of it, and goes. Also under a kernel with sch_netem. */
#include "netem_third.h"

enum { NAMED = 20 };
static const struct netem_params late = {.delay_ns = 2000 * MS};

enum phase { INJECT, HOLD, REVERT, PHASES };
/* How long a phase takes, about: within it the kill falls. To take an ifb away waits for all CPUs, which takes the most of a revert. */
static int64_t window_ns(enum phase p, int i) {
    static const int64_t us[PHASES] = {1200, 4000, 1500};
    return us[p] * 1000 * (in_lab() ? 12 : 1) * (p == REVERT && i % 2 ? 15 : 1);
}

static struct netem_fault fault_of(int i) {
    static const enum netem_act acts[] = {NETEM_PASS, NETEM_DROP, NETEM_SHAPE};
    struct netem_fault f = fault_on_a0((uint32_t)i + 1, acts[(i / PHASES) % 3]);
    if (f.act == NETEM_SHAPE && !has_netem)
        f.act = NETEM_PASS;
    f.params = &late;
    f.directions = NETEM_BOTH;
    f.peers = &third;
    f.peer_count = 1;
    f.for_ns = (in_lab() ? 200 : 50) * MS;
    return f;
}

/* Never returns: it is killed. Says when its phase begins. */
static void live(int i, int go) {
    struct netem_fault f = fault_of(i);
    struct netem *n;
    struct netem_ns *ns;
    struct netem_effect e;
    struct netem_state s;
    enum phase p = i % PHASES;
    if (netem_open(0, &n, why) < 0 || netem_ns_open(n, wire.a_path, &ns, why) < 0)
        _exit(1);
    if ((p == INJECT && write(go, "", 1) != 1) || netem_inject(ns, &f, &e, why) < 0 || (p != INJECT && write(go, "", 1) != 1))
        _exit(1);
    for (int k = 0; p == HOLD; k++) { /* looked at, prolonged, changed */
        netem_read(ns, "a0", f.id, NULL, &s, why);
        netem_extend(ns, "a0", f.id, netem_now() + f.for_ns, why);
        f.directions = k % 2 ? NETEM_BOTH : NETEM_OUT;
        netem_inject(ns, &f, &e, why);
    }
    if (p == REVERT && i % 4 < 2)
        netem_remove(ns, "a0", f.id, 0, why);
    else if (p == REVERT)
        netem_sweep(ns, NULL, i % 8 < 4 ? NETEM_DRAIN : 0, why);
    for (;;)
        pause();
}

static void killed_at_random(int i, unsigned *seed) {
    int ends[2];
    char c;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        live(i, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &c, 1), 1);
    close(ends[0]);
    for (int64_t until = netem_now() + rand_r(seed) % window_ns(i % PHASES, i); netem_now() < until;)
        ;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void nothing_is_left(void **state) {
    (void)state;
    NEED_ROOT();
    const int times = in_lab() ? brief_or_full(12, 60) : brief_or_full(40, 200); /* an emulated machine loads a classifier in a second */
    unsigned seed = (unsigned)getpid();
    int found = 0, whole = 0, affected = 0, left = 0;
    struct netem_ns *ns; /* knows nothing of a classifier, as a later process would not */
    cleanup_free char *before = scene();
    DID(netem_ns_open(NULL, wire.a_path, &ns, why));
    print_message("# seed %u\n", seed);
    for (int i = 0; i < times; i++) {
        struct netem_state *list;
        killed_at_random(i, &seed);
        int64_t over = netem_now() + fault_of(i).for_ns + MS; /* no deadline can be later */
        int n = netem_list(ns, NULL, &list, why);
        DID(n);
        found += n > 0;
        whole += n == 1 && list[0].known && !*list[0].broken && *list[0].dev && list[0].left_ns > 0;
        free(list);
        while (netem_now() < over)
            poll(NULL, 0, 1);
        affected += NAMED - a_to_b("10.77.0.3", 4000, NAMED);
        affected += NAMED - b_to_a("10.77.0.3", 4000, NAMED);
        int rc;
        while ((rc = netem_sweep(ns, NULL, NETEM_DRAIN, why)) == 1)
            poll(NULL, 0, 10);
        DID(rc);
        cleanup_free char *after = scene();
        left += strcmp(before, after) != 0;
    }
    netem_ns_close(ns);
    figure("kill -9: at random moments of inject, hold and revert", times, "times", NULL);
    print_message("# %d left something, %d a whole fault\n", found, whole);
    figure("kill -9: packets affected past the deadline", affected, "", "<= 0");
    figure("kill -9: times that anything was left after the sweep", left, "", "<= 0");
    assert_int_equal(affected, 0);
    assert_int_equal(left, 0);
    assert_true(found > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(nothing_is_left, sweep_up)};
    return cmocka_run_group_tests(tests, third_up, wire_down);
}
