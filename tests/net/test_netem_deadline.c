/* SPDX-License-Identifier: Apache-2.0 */
/* A fault ends by itself, on time: it is put in by a process that is killed with -9 at once, and what comes through when is seen by a packet
 * capture at the peer, by the kernel's counters and by tc. Also under a kernel with sch_netem, for delay and rate.
 *
 * One flow, one sender: the packets affected are the first so many that were sent, and the counters say how many. A packet whose send ended
 * before the deadline was classified before it, one whose send began behind it behind it: no pause of this machine makes a right kernel look
 * wrong. Times are judged where the machine kept still: a run that was late, or whose sender stood still at that moment, is done once more. */
#include "netem_util.h"

#include <netinet/in.h>

enum { PORT = 4000, MOST = 8192, SIZE = 958 /* 1000 bytes with its headers */ };
#define STEP_NS (MS / 5)
#define STALL_NS (3 * MS)
#define ON_TIME_NS (5 * MS)

static const struct kind {
    const char *name;
    enum netem_act act;
    struct netem_params params;
} kinds[] = {
    {"partition", NETEM_DROP, {0}},
    {"plain queue", NETEM_PASS, {0}},
    {"delay", NETEM_SHAPE, {.delay_ns = 40 * MS}},
    {"rate", NETEM_SHAPE, {.rate_bps = 2000000, .limit = 10000}},
};

static struct {
    int64_t began[MOST], ended[MOST], came[MOST]; /* CLOCK_BOOTTIME; came 0: never */
    int n, affected, behind; /* sent; the first of them that were affected; of these, that came after the deadline */
    struct netem_effect e;
} run;

static struct { int64_t first[1000], over[1000]; int runs, lost, wrong, stalled, late; } sum;

/* By a process that does nothing else, and is dead when this returns. */
static void injected_by_the_dead(struct netem_fault *f) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct netem *n;
        struct netem_ns *ns;
        if (netem_open(0, &n, why) < 0 || netem_ns_open(n, wire.a_path, &ns, why) < 0 || netem_inject(ns, f, &run.e, why) < 0)
            run.e.until_ns = 0;
        if (write(ends[1], &run.e, sizeof run.e) != sizeof run.e)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &run.e, sizeof run.e), sizeof run.e);
    close(ends[0]);
    close(ends[1]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(run.e.until_ns > 0);
}

static void send_through(int64_t until_ns) {
    unsigned char packet[SIZE] = {0};
    struct sockaddr_storage to;
    socklen_t len = address("10.77.0.2", PORT, &to);
    int out = udp_at(wire.a_path, "10.77.0.1", 40000);
    for (run.n = 0; run.n < MOST && netem_now() < until_ns; run.n++) {
        struct datagram d = {.number = (uint32_t)run.n};
        memcpy(packet, &d, sizeof d);
        run.began[run.n] = netem_now();
        if (sendto(out, packet, sizeof packet, 0, (struct sockaddr *)&to, len) < 0)
            fail_msg("send: %s", strerror(errno));
        run.ended[run.n] = netem_now();
        while (netem_now() < run.began[run.n] + STEP_NS)
            ;
    }
    close(out);
    assert_true(run.n < MOST);
}

static void read_capture(int fd) {
    int64_t at = 0, skew = now_ns(CLOCK_REALTIME) - netem_now();
    struct datagram d;
    memset(run.came, 0, sizeof run.came);
    while (captured(fd, PORT, in_lab() ? 300 : 100, &d, &at, NULL, 0) >= 0) {
        assert_true(d.number < (uint32_t)run.n && !run.came[d.number]); /* once each */
        run.came[d.number] = at - skew;
    }
}

/* Did the sender stand still in this time? */
static bool stalled(int64_t from, int64_t to) {
    if (run.began[run.n - 1] < to || run.began[0] > from)
        return true;
    for (int i = 1; i < run.n; i++)
        if (run.began[i] > from && run.began[i - 1] < to && run.began[i] - run.began[i - 1] > STALL_NS)
            return true;
    return false;
}

/* How many were affected: by the classifier's counter, read from the dead one's maps, and by tc. */
static void count_affected(const struct kind *k) {
    struct netem_state s;
    DID(netem_read(wire.ns, "a0", 1, NULL, &s, why));
    assert_true(s.known && s.left_ns == 0);
    assert_string_equal(s.broken, "");
    run.affected = (int)s.out.packets;
    if (k->act != NETEM_DROP) {
        assert_int_equal(tc_says("chaosd-00000001", "packets"), run.affected);
        assert_int_equal(tc_says("chaosd-00000001", "drops"), 0);
    }
}

/* What was sent before the deadline was affected, what was sent behind it was not, and nothing is lost. */
static void judge_each(const struct kind *k) {
    int before = 0, up_to = 0, last_of_those = 0;
    run.behind = 0;
    for (int i = 0; i < run.n; i++) {
        before += run.ended[i] < run.e.until_ns;
        up_to += run.began[i] < run.e.until_ns;
    }
    sum.wrong += run.affected < before || run.affected > up_to;
    for (int i = 0; i < run.n; i++) {
        bool gone = k->act == NETEM_DROP && i < run.affected;
        sum.lost += !gone && !run.came[i];
        sum.wrong += gone && run.came[i];
        if (i < run.affected && run.came[i]) {
            sum.wrong += run.came[i] - run.began[i] < k->params.delay_ns;
            run.behind += run.came[i] > run.e.until_ns;
            last_of_those = i;
        }
    }
    print_message("# %s: %d sent, %d affected (between %d and %d), %d of them came after the deadline, the last %.2f ms after it\n", k->name, run.n, run.affected, before, up_to,
                  run.behind, run.behind ? (double)(run.came[last_of_those] - run.e.until_ns) / 1e6 : 0);
}

/* Times; false: late, or the sender stood still at a moment that is judged. */
static bool judge_times(const struct kind *k) {
    int64_t until = run.e.until_ns, last = 0;
    int64_t bound = k->params.delay_ns + (k->params.rate_bps ? run.behind * INT64_C(1000000000000) / (int64_t)k->params.rate_bps : 0);
    for (int i = 0; i < run.affected; i++)
        last = run.came[i] > last ? run.came[i] : last;
    if (stalled(until - MS, until + ON_TIME_NS) || (run.behind && stalled(last - ON_TIME_NS, last + MS)))
        return sum.stalled++, false;
    sum.first[sum.runs] = run.came[run.affected] - until;
    sum.over[sum.runs] = run.behind ? last - until - bound : 0;
    if (sum.first[sum.runs] <= ON_TIME_NS && sum.over[sum.runs] <= ON_TIME_NS)
        return true;
    print_message("# %s: late, and done once more: the first that was not affected came %.3f ms after the deadline, drained %.3f ms later than %.3f ms\n", k->name,
                  (double)sum.first[sum.runs] / 1e6, (double)sum.over[sum.runs] / 1e6, (double)bound / 1e6);
    sum.late++; /* what else stood still cannot be seen from here */
    return false;
}

static bool once(const struct kind *k, int hold_ms) {
    struct netem_fault f = fault_on_a0(1, k->act);
    f.params = &k->params;
    f.protocol = IPPROTO_UDP; /* neighbours stay known: a lost ARP would be asked again after a second */
    f.for_ns = hold_ms * MS;
    int fd = capture_at_b(), sink = udp_at(wire.b_path, "10.77.0.2", PORT);
    injected_by_the_dead(&f);
    send_through(run.e.until_ns + 20 * MS + k->params.delay_ns + (k->params.rate_bps ? 2 * f.for_ns : 0));
    read_capture(fd);
    count_affected(k);
    judge_each(k);
    bool ok = judge_times(k);
    DID(netem_sweep(wire.ns, NULL, 0, why));
    close(fd);
    close(sink);
    return ok;
}

static double most_ms(const int64_t *v, int n) {
    int64_t most = 0;
    for (int i = 0; i < n; i++)
        most = v[i] > most ? v[i] : most;
    return (double)most / 1e6;
}

static void ends_on_time_though_all_are_dead(void **state) {
    (void)state;
    NEED_ROOT();
    const int runs = brief_or_full(12, 100), hold_ms = in_lab() ? 150 : 60;
    struct netem_can can;
    cleanup_free char *before = scene();
    netem_can(&can);
    const int count = can.can[NETEM_CAN_NETEM] ? (int)ARRAY_SIZE(kinds) : 2; /* the last two are netem's */
    while (sum.runs < runs && sum.stalled + sum.late <= 4 * runs)
        sum.runs += once(&kinds[sum.runs % count], hold_ms);
    if (sum.runs < runs)
        print_message("# the machine never kept still: the times of %d runs alone are judged\n", sum.runs);
    assert_true(sum.runs == runs || sum.late < sum.stalled); /* where it is always late, no number of attempts helps */
    cleanup_free char *after = scene();
    assert_string_equal(before, after);
    figure("deadline: runs, each with all processes killed -9", sum.runs + sum.stalled + sum.late, "", NULL);
    figure("deadline: of these, with times judged (the others: late, or the machine stood still)", sum.runs, "", NULL);
    figure("deadline: first unaffected packet, median", median_ms(sum.first, sum.runs), "ms", NULL);
    figure("deadline: first unaffected packet, latest", most_ms(sum.first, sum.runs), "ms", "<= 5");
    figure("deadline: affected though sent later, or not though earlier", sum.wrong, "packets", "<= 0");
    figure("deadline: lost", sum.lost, "packets", "<= 0");
    if (count > 2)
        figure("deadline: drained later than delay or backlog/rate, most", most_ms(sum.over, sum.runs), "ms", "<= 5");
    assert_int_equal(sum.wrong, 0);
    assert_int_equal(sum.lost, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(ends_on_time_though_all_are_dead, sweep_up)};
    return cmocka_run_group_tests(tests, wire_up, wire_down);
}
