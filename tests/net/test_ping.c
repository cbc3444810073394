/* SPDX-License-Identifier: Apache-2.0 */
/* Echo requests on the loop, to the loopback and to nobody, in a namespace of the test's own. */
#include "net_util.h"

#include "io/ping.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>

static struct loop *loop;
static struct error err;
static int netns = -1;

/* Two addresses of its loopback answer; 10.99.0.2 lies behind a wire where nobody listens, fd99::2 nowhere. */
static int set_up(void **state) {
    (void)state;
    if (geteuid() != 0)
        return 0;
    int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0 || unshare(CLONE_NEWNET) < 0)
        return -1;
    netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int rc = system("ip link set lo up && ip link add d0 type veth peer name d1 && ip link set d0 up && ip link set d1 up && ip address add 10.99.0.1/24 dev d0 && "
                    "ip neighbour add 10.99.0.2 lladdr 02:00:00:00:00:02 dev d0");
    if (setns(own, CLONE_NEWNET) < 0)
        abort();
    close(own);
    return rc ? -1 : loop_new(&loop, &err);
}

static int tear_down(void **state) {
    (void)state;
    loop_free(loop);
    if (netns >= 0)
        close(netns);
    return 0;
}

static struct ping_host host(const char *text) {
    struct ping_host h = {{[10] = 0xff, [11] = 0xff}};
    if (inet_pton(AF_INET, text, h.address + 12) != 1)
        assert_int_equal(inet_pton(AF_INET6, text, h.address), 1);
    return h;
}

static void on_done(void *arg) { ++*(int *)arg; }
static bool is_done(void *arg) { return *(int *)arg > 0; }

static void test_answers_and_none(void **state) {
    (void)state;
    NEED_ROOT();
    struct ping_host hosts[] = {host("127.0.0.1"), host("::1"), host("10.99.0.2")};
    struct ping_figures f;
    struct ping *p;
    int done = 0;
    const struct ping_request q = {.hosts = hosts, .count = 3, .netns_fd = netns, .rounds = 10, .interval_ns = 5 * NS_PER_MS, .wait_ns = 100 * NS_PER_MS,
                                   .done = on_done, .arg = &done};
    OK(ping_start(loop, &q, &p, &err));
    assert_true(turn_until(loop, is_done, &done, 5 * NS_PER_S));
    ping_read(p, &f);
    assert_int_equal(f.rounds, 10);
    assert_int_equal(f.sent, 30);
    assert_int_equal(f.lost, 10);
    assert_true(f.rtt_ns > 0 && f.rtt_ns < 20 * NS_PER_MS);
    ping_free(p);
    assert_int_equal(done, 1);
}

static void test_stopped_and_read_before_its_end(void **state) {
    (void)state;
    NEED_ROOT();
    struct ping_host hosts[] = {host("10.99.0.2")};
    struct ping_figures f;
    struct ping *p;
    int done = 0, never = 0;
    const struct ping_request q = {.hosts = hosts, .count = 1, .netns_fd = netns, .rounds = 1000, .interval_ns = 5 * NS_PER_MS, .wait_ns = 200 * NS_PER_MS,
                                   .done = on_done, .arg = &done};
    OK(ping_start(loop, &q, &p, &err));
    turn_until(loop, is_done, &never, 50 * NS_PER_MS);
    ping_stop(p);
    ping_read(p, &f); /* nobody knows yet */
    assert_true(f.rounds >= 2 && f.rounds <= 12);
    assert_int_equal(f.sent, 0);
    assert_true(turn_until(loop, is_done, &done, 5 * NS_PER_S));
    size_t rounds = f.rounds;
    ping_read(p, &f);
    assert_int_equal(f.rounds, rounds);
    assert_int_equal(f.sent, rounds);
    assert_int_equal(f.lost, rounds);
    assert_true(f.rtt_ns == INT64_MIN);
    ping_free(p);
}

static void test_until_and_what_cannot_be_sent(void **state) {
    (void)state;
    NEED_ROOT();
    struct ping_host hosts[] = {host("192.0.2.1"), host("fd99::2")};
    struct ping_figures f;
    struct ping *p;
    int done = 0;
    const struct ping_request q = {.hosts = hosts, .count = 2, .netns_fd = netns, .rounds = 1000, .interval_ns = 5 * NS_PER_MS, .wait_ns = 50 * NS_PER_MS,
                                   .until_ns = loop_now() + 30 * NS_PER_MS, .done = on_done, .arg = &done};
    OK(ping_start(loop, &q, &p, &err));
    assert_true(turn_until(loop, is_done, &done, 5 * NS_PER_S));
    ping_read(p, &f);
    assert_true(f.rounds >= 1 && f.rounds <= 7);
    assert_int_equal(f.sent, 0);
    assert_int_equal(f.trouble, ENETUNREACH);
    ping_free(p);
}

static void test_refused(void **state) {
    (void)state;
    NEED_ROOT();
    struct ping_host one = host("127.0.0.1");
    struct ping *p = NULL;
    const struct ping_request q = {.hosts = &one, .count = 1, .netns_fd = netns, .rounds = PING_ROUNDS + 1, .interval_ns = 1, .wait_ns = 1};
    assert_int_equal(ping_start(loop, &q, &p, &err), -EINVAL);
    assert_null(p);
    ping_stop(NULL);
    ping_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_and_none), cmocka_unit_test(test_stopped_and_read_before_its_end),
        cmocka_unit_test(test_until_and_what_cannot_be_sent), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
