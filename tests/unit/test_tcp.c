/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tcp.h"
#include "tcp_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct test_server server;
static struct loop *loop;
static struct tcp *tcp;

struct seen {
    int told, judged, wait_for; /* stop the loop after so many */
    enum tcp_error error;
    char why[400], data[200];
    size_t len;
    int64_t start, end;
    uint32_t connect_us, first_byte_us;
    bool free_in_callback;
};

static int want_pong(const char *data, size_t len, bool closed, char *why, size_t size, void *arg) {
    ((struct seen *)arg)->judged++;
    if (len >= 7)
        return memcmp(data, "+PONG\r\n", 7) == 0 ? TCP_OK : (snprintf(why, size, "not pong"), TCP_WRONG);
    return closed ? (snprintf(why, size, "closed at %zu", len), TCP_RESET) : TCP_MORE;
}

static int want_no_end(const char *data, size_t len, bool closed, char *why, size_t size, void *arg) {
    (void)data;
    (void)arg;
    if (len > 50000)
        return snprintf(why, size, "%zu bytes", len), TCP_TOO_BIG;
    return closed ? TCP_RESET : TCP_MORE;
}

static void on_done(const struct tcp_result *r, void *arg) {
    struct seen *s = arg;
    s->told++;
    s->error = r->error;
    snprintf(s->why, sizeof s->why, "%s", r->why);
    s->len = r->len;
    memcpy(s->data, r->data, r->len < sizeof s->data ? r->len : sizeof s->data);
    s->start = r->start_ns;
    s->end = r->end_ns;
    s->connect_us = r->connect_us;
    s->first_byte_us = r->first_byte_us;
    if (s->free_in_callback) {
        tcp_free(tcp);
        tcp = NULL;
    }
    if (s->told >= s->wait_for)
        loop_stop(loop);
}

static struct tcp_request request(struct seen *s, const char *send, int64_t timeout_ms) {
    struct tcp_request q = {.netns_fd = -1, .send = send, .send_len = send ? strlen(send) : 0, .deadline_ns = loop_now() + timeout_ms * NS_PER_MS,
                            .max = 50000, .judge = want_pong, .done = on_done, .arg = s};
    assert_return_code(tcp_address("127.0.0.1", server.port, &q.address, NULL), 0);
    return q;
}

static void run(struct tcp_request *q) {
    struct error err = {""};
    struct seen *s = q->arg;
    if (tcp_start(tcp, q, NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(s->told, 0); /* never from within */
    loop_run(loop);
    assert_int_equal(s->told, 1);
    assert_true(s->start <= s->end && s->end <= loop_now());
}

static void exchanges_end_as_they_should(void **state) {
    (void)state;
    static const struct {
        const char *send;
        enum tcp_error error;
        const char *why;
        size_t least, most;
    } rows[] = {
        {"PING\r\n", TCP_OK, "", 7, 7},
        {"dribble\n", TCP_OK, "", 7, 7},
        {"half\n", TCP_RESET, "closed at 3", 3, 3},
        {"close\n", TCP_RESET, "closed at 0", 0, 0},
        {"reset\n", TCP_RESET, "connection: Connection reset by peer", 0, 0},
        {"garbage\n", TCP_WRONG, "not pong", 7, 200},
        {"silent\n", TCP_TIMEOUT, "no whole answer within", 0, 0},
        {"late\n", TCP_TIMEOUT, "no whole answer within", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seen s = {.wait_for = 1};
        bool slow = rows[i].error == TCP_TIMEOUT;
        struct tcp_request q = request(&s, rows[i].send, slow ? 30 : 3000);
        run(&q);
        if (s.error != rows[i].error || strncmp(s.why, rows[i].why, strlen(rows[i].why)) || s.len < rows[i].least || s.len > rows[i].most)
            fail_msg("%s: %d \"%s\", %zu bytes", rows[i].send, s.error, s.why, s.len);
        assert_true(s.connect_us > 0);
        assert_int_equal(s.first_byte_us > 0, s.len > 0);
        assert_true(!s.first_byte_us || s.first_byte_us >= s.connect_us);
        if (slow)
            assert_true(s.end >= q.deadline_ns);
    }
}

/* What never ends is given up at the limit, and no more than that is kept. */
static void endless_answers_are_bounded(void **state) {
    (void)state;
    struct seen s = {.wait_for = 1};
    struct tcp_request q = request(&s, "endless\n", 5000);
    q.judge = want_no_end;
    run(&q);
    assert_int_equal(s.error, TCP_TOO_BIG);
    assert_int_equal(s.len, 50001);
}

static void greetings_and_mere_connections(void **state) {
    (void)state;
    struct seen greeted = {.wait_for = 1}, mere = {.wait_for = 1}, sent = {.wait_for = 1};
    struct tcp_request q = request(&greeted, NULL, 3000);
    run(&q);
    assert_int_equal(greeted.error, TCP_WRONG);
    assert_memory_equal(greeted.data, "220 hello", 9);
    q = request(&mere, NULL, 3000);
    q.judge = NULL;
    run(&q);
    assert_int_equal(mere.error, TCP_OK);
    assert_int_equal(mere.len, 0);
    q = request(&sent, "close\n", 3000);
    q.judge = NULL;
    run(&q);
    assert_int_equal(sent.error, TCP_OK);
}

static void refusals_and_nowhere(void **state) {
    (void)state;
    struct seen s = {.wait_for = 1};
    struct tcp_request q = request(&s, "x", 3000);
    assert_return_code(tcp_address("127.0.0.1", 1, &q.address, NULL), 0);
    run(&q);
    assert_int_equal(s.error, TCP_REFUSED);
    assert_string_equal(s.why, "connect: Connection refused");
    assert_int_equal(s.connect_us, 0);
    s = (struct seen){.wait_for = 1};
    assert_return_code(tcp_address("255.255.255.255", 1, &q.address, NULL), 0);
    run(&q);
    assert_true(s.error == TCP_UNREACHABLE || s.error == TCP_OTHER);
    s = (struct seen){.wait_for = 1}; /* also where there is no IPv6: that is no trouble of ours */
    assert_return_code(tcp_address("::1", 1, &q.address, NULL), 0);
    run(&q);
    assert_true(s.error == TCP_REFUSED || s.error == TCP_UNREACHABLE);
}

/* More is sent than the socket takes at once; the peer reads none of it after the first line. */
static void what_the_peer_does_not_read_times_out(void **state) {
    (void)state;
    size_t len = 32 << 20;
    char *big = malloc(len);
    memset(big, 'x', len);
    memcpy(big, "late\n", 5);
    struct seen s = {.wait_for = 1};
    struct tcp_request q = request(&s, NULL, 40);
    q.send = big;
    q.send_len = len;
    q.judge = NULL;
    run(&q);
    free(big);
    assert_int_equal(s.error, TCP_TIMEOUT);
}

static void many_at_once_by_deadline(void **state) {
    (void)state;
    enum { N = 60 };
    struct seen s[N], late = {.wait_for = 1};
    int64_t order[N];
    for (int i = 0; i < N; i++) { /* deadlines in no order; a third of them answer */
        s[i] = (struct seen){.wait_for = 99};
        struct tcp_request q = request(&s[i], i % 3 ? "silent\n" : "PING\n", i % 3 ? 20 + (i * 37) % N : 3000);
        order[i] = q.deadline_ns;
        assert_return_code(tcp_start(tcp, &q, NULL, NULL), 0);
    }
    struct tcp_request q = request(&late, "silent\n", 200);
    assert_return_code(tcp_start(tcp, &q, NULL, NULL), 0);
    loop_run(loop);
    for (int i = 0; i < N; i++) {
        assert_int_equal(s[i].told, 1);
        assert_int_equal(s[i].error, i % 3 ? TCP_TIMEOUT : TCP_OK);
        for (int k = 0; k < N; k++)
            if (i % 3 && k % 3 && order[i] < order[k])
                assert_true(s[i].end <= s[k].end);
    }
    assert_int_equal(late.error, TCP_TIMEOUT);
}

static void cancelled_ones_stay_silent(void **state) {
    (void)state;
    struct seen gone = {.wait_for = 1}, stays = {.wait_for = 1};
    struct tcp_op *op;
    struct tcp_request q = request(&gone, "PING\n", 20), r = request(&stays, "late\n", 3000);
    assert_return_code(tcp_start(tcp, &q, &op, NULL), 0);
    assert_return_code(tcp_start(tcp, &r, NULL, NULL), 0);
    tcp_cancel(op);
    tcp_cancel(NULL);
    loop_run(loop);
    assert_int_equal(gone.told, 0);
    assert_int_equal(stays.error, TCP_OK);
}

/* A callback may free all of it; what was under way is silent. */
static void freed_in_a_callback(void **state) {
    (void)state;
    for (int by_timer = 0; by_timer < 2; by_timer++) {
        struct seen first = {.wait_for = 1, .free_in_callback = true}, other = {.wait_for = 1};
        struct tcp_request q = request(&first, by_timer ? "silent\n" : "PING\n", by_timer ? 20 : 3000), r = request(&other, "silent\n", 20);
        assert_return_code(tcp_start(tcp, &q, NULL, NULL), 0);
        if (by_timer)
            assert_return_code(tcp_start(tcp, &r, NULL, NULL), 0);
        loop_run(loop);
        assert_int_equal(first.told, 1);
        assert_int_equal(other.told, 0);
        assert_null(tcp);
        assert_return_code(tcp_new(loop, &tcp, NULL), 0);
    }
}

static void addresses_are_read(void **state) {
    (void)state;
    static const struct { const char *text; int family; } good[] = {
        {"10.0.0.1:6379", AF_INET}, {"localhost:80", AF_INET}, {"[::1]:65535", AF_INET6},
    };
    static const char *const bad[] = {"", ":", "a", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:x", "example.org:80", "[::1]80", "[]:80", "::1:80", "fe80::1:6379"};
    struct tcp_address a;
    struct error err = {""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (tcp_address_parse(good[i].text, &a, &err) < 0)
            fail_msg("%s: %s", good[i].text, err.text);
        assert_int_equal(a.to.ss_family, good[i].family);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (tcp_address_parse(bad[i], &a, &err) >= 0)
            fail_msg("\"%s\" was taken", bad[i]);
}

static int setup(void **state) {
    (void)state;
    server = tcp_server_start();
    return server.pid < 0 || loop_new(&loop, NULL) < 0 || tcp_new(loop, &tcp, NULL) < 0 ? -1 : 0;
}

static int teardown(void **state) {
    (void)state;
    tcp_free(tcp);
    tcp_free(NULL);
    loop_free(loop);
    server_stop(&server);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges_end_as_they_should),   cmocka_unit_test(endless_answers_are_bounded),
        cmocka_unit_test(greetings_and_mere_connections), cmocka_unit_test(refusals_and_nowhere),
        cmocka_unit_test(what_the_peer_does_not_read_times_out), cmocka_unit_test(many_at_once_by_deadline),
        cmocka_unit_test(cancelled_ones_stay_silent),     cmocka_unit_test(freed_in_a_callback),
        cmocka_unit_test(addresses_are_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
