/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "http_server.h"
#include "io/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

static struct test_server server;
static struct loop *loop;
static struct http *http;

struct answer {
    struct http_result r;
    char body[20000], detail[256];
    int told;
    bool stop; /* the loop, when told */
    struct http_op *cancel;
    void (*then)(struct answer *a);
};

static void on_done(const struct http_result *r, void *arg) {
    struct answer *a = arg;
    a->r = *r;
    a->told++;
    snprintf(a->body, sizeof a->body, "%s", r->body);
    snprintf(a->detail, sizeof a->detail, "%s", r->detail);
    if (a->then)
        a->then(a);
    if (a->stop)
        loop_stop(loop);
}

static const char *url_of(const char *path) {
    static char url[300];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server.port, path);
    return url;
}

static struct http_request request(const char *url, struct answer *a) {
    return (struct http_request){.method = "GET", .url = url, .timeout_ns = 2 * NS_PER_S, .netns_fd = -1, .done = on_done, .arg = a};
}

static void fetch(struct http_request *q, struct answer *a) {
    struct error err = {{0}};
    a->stop = true;
    a->told = 0;
    q->arg = a;
    int64_t before = loop_now();
    assert_return_code(http_start(http, q, NULL, &err), 0);
    assert_int_equal(a->told, 0); /* never inside http_start */
    loop_run(loop);
    assert_int_equal(a->told, 1);
    assert_true(a->r.start_ns >= before);
    assert_true(a->r.end_ns >= a->r.start_ns);
    assert_true(a->r.end_ns <= loop_now());
}

static struct answer get(const char *path) {
    static struct answer a;
    a = (struct answer){0};
    struct http_request q = request(url_of(path), &a);
    fetch(&q, &a);
    return a;
}

static int setup(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    server = server_start(0, false);
    if (server.pid < 0 || loop_new(&loop, NULL) < 0 || http_new(loop, 8, &http, NULL) < 0)
        return -1;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    http_free(http);
    loop_free(loop);
    server_stop(&server);
    return 0;
}

static void errors_are_told_apart(void **state) {
    (void)state;
    static const struct {
        const char *path;
        enum http_error error;
        int status;
    } rows[] = {
        {"/ok", HTTP_OK, 200},           {"/status/503", HTTP_OK, 503},   {"/status/404", HTTP_OK, 404},
        {"/redirect", HTTP_OK, 302},     {"/no-body", HTTP_OK, 204},      {"/reset", HTTP_RESET, 0},
        {"/close", HTTP_RESET, 0},       {"/half", HTTP_RESET, 200},      {"/half-chunk", HTTP_RESET, 200},
        {"/garbage", HTTP_PROTOCOL, 0},  {"/chunk", HTTP_PROTOCOL, 200},  {"/endless", HTTP_PROTOCOL, 200},
        {"/long-line", HTTP_PROTOCOL, 200}, {"/big", HTTP_TOO_BIG, 200},  {"/a b", HTTP_OTHER, 0},
        {"/ok", HTTP_OK, 200},
    };
    for (int fresh = 0; fresh < 2; fresh++)
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            struct answer a = {0};
            struct http_request q = request(url_of(rows[i].path), &a);
            q.fresh = fresh;
            fetch(&q, &a);
            if (a.r.error != rows[i].error || a.r.status != rows[i].status)
                fail_msg("%s: %s (%s), status %d", rows[i].path, http_error_name(a.r.error), a.detail, a.r.status);
            assert_true((a.detail[0] != 0) == (rows[i].error != HTTP_OK));
        }
}

static void a_kernels_errno_does_not_leak_into_the_next_request(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(get("/reset").r.error, HTTP_RESET);
        assert_int_equal(get("/chunk").r.error, HTTP_PROTOCOL);
        assert_int_equal(get("/close").r.error, HTTP_RESET);
    }
}

static void connecting_fails(void **state) {
    (void)state;
    int fd = server_listen(0), port = server_port(fd);
    close(fd); /* nobody there any more */
    char url[100];
    struct answer a = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
    struct http_request q = request(url, &a);
    for (int i = 0; i < 2; i++, q.fresh = true) {
        fetch(&q, &a);
        assert_int_equal(a.r.error, HTTP_REFUSED);
        assert_int_equal(a.r.status, 0);
        assert_true(a.detail[0]);
    }
    q.url = "http://255.255.255.255:9/"; /* the kernel refuses a TCP connection to the broadcast address */
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_UNREACHABLE);
    q.url = "ftp://127.0.0.1/";
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_OTHER);
    q.url = "http://name.invalid/";
    q.timeout_ns = 300 * NS_PER_MS; /* where no name server answers */
    fetch(&q, &a);
    assert_true(a.r.error == HTTP_DNS || a.r.error == HTTP_TIMEOUT);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", server.port);
    q.url = url;
    q.timeout_ns = 300 * NS_PER_MS; /* the server waits for a request that never comes */
    fetch(&q, &a);
    assert_true(a.r.error == HTTP_TLS || a.r.error == HTTP_TIMEOUT);
}

static void time_limits_hold(void **state) {
    (void)state;
    static const int64_t limits[] = {1, 1 * NS_PER_MS, 7 * NS_PER_MS, 40 * NS_PER_MS};
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        struct answer a = {0};
        struct http_request q = request(url_of("/hang"), &a);
        q.timeout_ns = limits[i];
        fetch(&q, &a);
        assert_int_equal(a.r.error, HTTP_TIMEOUT);
        assert_true(a.r.end_ns - a.r.start_ns >= limits[i]);
        if (a.r.end_ns - a.r.start_ns >= limits[i] + 30 * NS_PER_MS)
            fail_msg("a limit of %lld ns took %lld ns", (long long)limits[i], (long long)(a.r.end_ns - a.r.start_ns));
    }
    int fd = server_listen(0); /* connects, but nobody accepts */
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", server_port(fd));
    struct answer a = {0};
    struct http_request q = request(url, &a);
    q.timeout_ns = 10 * NS_PER_MS;
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_TIMEOUT);
    close(fd);
}

static void connections_are_reused_or_not(void **state) {
    (void)state;
    struct answer first = get("/conn"), second = get("/conn");
    assert_string_equal(first.body, second.body);
    assert_false(second.r.new_connection);
    assert_int_equal(second.r.connect_us, 0);
    assert_true(second.r.first_byte_us > 0);
    struct answer a = {0};
    struct http_request q = request(url_of("/conn"), &a);
    q.fresh = true;
    char last[20] = "";
    for (int i = 0; i < 5; i++) {
        fetch(&q, &a);
        assert_true(a.r.new_connection);
        assert_true(a.r.connect_us > 0 && a.r.connect_us <= a.r.first_byte_us);
        assert_string_not_equal(a.body, last);
        assert_string_not_equal(a.body, first.body);
        snprintf(last, sizeof last, "%.19s", a.body);
    }
    q.fresh = false;
    fetch(&q, &a);
    assert_string_equal(a.body, first.body); /* the fresh ones left it alone */
}

static void a_silent_retry_is_told(void **state) {
    (void)state;
    struct answer a = get("/stale");
    assert_false(a.r.stale_retry);
    a = get("/ok"); /* the server reads it on the old connection and closes */
    assert_int_equal(a.r.error, HTTP_OK);
    assert_true(a.r.stale_retry);
    assert_true(a.r.new_connection);
    a = get("/ok");
    assert_false(a.r.stale_retry);
}

/* libcurl would send any method again; a POST may have been carried out already. */
static void what_may_not_be_repeated_is_not_sent_twice(void **state) {
    (void)state;
    static const struct { const char *method; bool again; } rows[] = {
        {"GET", true}, {"HEAD", true}, {"PUT", true}, {"DELETE", true}, {"OPTIONS", true}, {"POST", false}, {"PATCH", false}, {"GET", true}, {"PUT", true},
    }; /* more of them than libcurl grants to one handle */
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct answer a = get("/stale");
        struct http_request q = request(url_of(strcmp(rows[i].method, "HEAD") ? "/echo" : "/head"), &a);
        bool body = rows[i].method[0] == 'P';
        q.method = rows[i].method;
        q.body = body ? "x=1" : NULL;
        q.body_len = body ? 3 : 0;
        fetch(&q, &a);
        if (!a.r.stale_retry)
            fail_msg("%s: %s, status %d", rows[i].method, a.detail, a.r.status);
        assert_int_equal(a.r.error, rows[i].again ? HTTP_OK : HTTP_RESET);
        assert_int_equal(a.r.status, rows[i].again ? 200 : 0);
        assert_int_equal(strstr(a.detail, "not sent twice") != NULL, !rows[i].again);
        fetch(&q, &a); /* and the next one is none the worse for it */
        assert_int_equal(a.r.error, HTTP_OK);
        assert_false(a.r.stale_retry);
    }
}

static void check_echo(const char *method, const char *body, const char *const *headers, const char *want, const char *unwanted) {
    static struct answer a;
    a = (struct answer){0};
    struct http_request q = request(url_of(strcmp(method, "HEAD") == 0 ? "/head" : "/echo"), &a);
    q.method = method;
    q.body = body;
    q.body_len = body ? strlen(body) : 0;
    q.headers = headers;
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_OK);
    if (want && !strstr(a.body, want))
        fail_msg("%s: \"%s\" is missing in:\n%s", method, want, a.body);
    if (unwanted && strstr(a.body, unwanted))
        fail_msg("%s: \"%s\" is not wanted in:\n%s", method, unwanted, a.body);
}

/* One pooled handle serves them all, so each row also shows that nothing is left of the row before. */
static void requests_are_sent_as_asked(void **state) {
    (void)state;
    static const char *const json[] = {"Content-Type: application/json", "X-Empty:", NULL};
    static const char *const expect[] = {"X-One: 1", NULL};
    check_echo("GET", NULL, NULL, "GET /echo HTTP/1.1\r\n", "Content-Length");
    check_echo("POST", "{\"a\":1}", json, "{\"a\":1}", "x-www-form");
    check_echo("POST", "{\"a\":2}", json, "Content-Type: application/json\r\n", "{\"a\":1}");
    check_echo("POST", "{\"a\":2}", json, "X-Empty:\r\n", "Expect");
    check_echo("POST", "raw", NULL, "Content-Length: 3\r\n", "Content-Type");
    check_echo("GET", NULL, NULL, "GET /echo", "Content-");
    check_echo("HEAD", NULL, NULL, NULL, "x");
    check_echo("PUT", "v", expect, "PUT /echo HTTP/1.1\r\n", "Content-Type");
    check_echo("DELETE", NULL, expect, "DELETE /echo HTTP/1.1\r\n", "Content-Length");
    check_echo("DELETE", "b", NULL, "DELETE /echo HTTP/1.1\r\n", "X-One");
    check_echo("POST", NULL, NULL, "Content-Length: 0\r\n", "Transfer-Encoding");
    check_echo("PATCH", "p", NULL, "PATCH /echo HTTP/1.1\r\n", NULL);
    check_echo("GET", NULL, NULL, "User-Agent: chaosd\r\n", "Accept-Encoding");
    char *large = malloc(30001);
    memset(large, 'q', 30000);
    large[30000] = 0;
    check_echo("POST", large, NULL, "Content-Length: 30000\r\n", "Expect:");
    free(large);
}

static void bad_requests_are_refused(void **state) {
    (void)state;
    struct answer a = {0};
    static const char *const split[] = {"X: a\r\nEvil: b", NULL}, *const nameless[] = {": x", NULL}, *const plain[] = {"word", NULL};
    const char *const *const headers[] = {split, nameless, plain};
    struct error err;
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        struct http_request q = request(url_of("/ok"), &a);
        q.headers = headers[i];
        assert_int_equal(http_start(http, &q, NULL, &err), -EINVAL);
        assert_non_null(strstr(err.text, "Name: value"));
    }
    static const char *const methods[] = {"", "GET / HTTP/1.1\r\n", "A-METHOD-THAT-IS-TOO-LONG", NULL};
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        struct http_request q = request(url_of("/ok"), &a);
        q.method = methods[i];
        assert_int_equal(http_start(http, &q, NULL, &err), -EINVAL);
    }
    struct http_request q = request(url_of("/ok"), &a);
    q.timeout_ns = 0;
    assert_int_equal(http_start(http, &q, NULL, &err), -EINVAL);
    assert_int_equal(a.told, 0);
    fetch(&(struct http_request){.method = "GET", .url = url_of("/ok"), .timeout_ns = NS_PER_S, .netns_fd = -1, .done = on_done}, &a);
    assert_string_equal(a.body, "ok");
}

static void a_body_is_kept_up_to_its_limit(void **state) {
    (void)state;
    struct answer a = {0};
    struct http_request q = request(url_of("/conn?"), &a);
    q.url = url_of("/ok");
    q.max_body = 2;
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_OK);
    q.max_body = 1;
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_TOO_BIG);
    assert_string_equal(a.body, "o");
    q.url = url_of("/big");
    q.max_body = 3 << 20;
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_OK);
    assert_int_equal(a.r.body_len, 2 << 20);
}

/* Re-entrancy: a callback cancels its sibling, itself, and starts the next. */
static struct answer chain[3];

static void cancel_and_go_on(struct answer *a) {
    http_cancel(a->cancel);
    struct http_request q = request(url_of("/ok"), &chain[2]);
    chain[2].stop = true;
    assert_return_code(http_start(http, &q, NULL, NULL), 0);
    assert_int_equal(chain[2].told, 0);
}

static void callbacks_may_start_and_cancel(void **state) {
    (void)state;
    for (int round = 0; round < 20; round++) {
        memset(chain, 0, sizeof chain);
        struct http_op *ops[2];
        for (int i = 0; i < 2; i++) { /* whichever ends first cancels the other, and then itself */
            struct http_request q = request(url_of("/slow/1"), &chain[i]);
            chain[i].then = cancel_and_go_on;
            assert_return_code(http_start(http, &q, &ops[i], NULL), 0);
        }
        chain[0].cancel = ops[1];
        chain[1].cancel = ops[0];
        loop_run(loop);
        assert_int_equal(chain[0].told + chain[1].told, 1);
        assert_int_equal(chain[2].told, 1);
    }
    struct answer a = {0};
    struct http_op *self;
    struct http_request q = request(url_of("/ok"), &a);
    a.then = cancel_and_go_on;
    assert_return_code(http_start(http, &q, &self, NULL), 0);
    a.cancel = self;
    memset(chain, 0, sizeof chain);
    loop_run(loop);
    assert_int_equal(a.told, 1);
    assert_int_equal(chain[2].told, 1);
    http_cancel(NULL);
}

static struct http *doomed;
static void free_it(struct answer *a) {
    (void)a;
    http_free(doomed);
    struct http_request q = request(url_of("/ok"), a);
    assert_int_equal(http_start(doomed, &q, NULL, NULL), -ECANCELED);
}

static void freeing_cancels(void **state) {
    (void)state;
    struct answer hang[5] = {0}, last = {.then = free_it, .stop = true};
    assert_return_code(http_new(loop, 0, &doomed, NULL), 0);
    for (int i = 0; i < 5; i++) {
        struct http_request q = request(url_of(i % 2 ? "/hang" : "/slow/200"), &hang[i]);
        assert_return_code(http_start(doomed, &q, NULL, NULL), 0);
    }
    struct http_request q = request(url_of("/slow/5"), &last);
    assert_return_code(http_start(doomed, &q, NULL, NULL), 0);
    loop_run(loop); /* freed in its own callback */
    for (int i = 0; i < 5; i++)
        assert_int_equal(hang[i].told, 0);
    assert_int_equal(last.told, 1);
    http_free(NULL);
}

static int many_left;
static void one_less(struct answer *a) {
    (void)a;
    if (--many_left == 0)
        loop_stop(loop);
}

static void many_at_once(void **state) {
    (void)state;
    enum { MANY = 300 };
    struct answer *a = calloc(MANY, sizeof *a);
    many_left = MANY;
    for (int i = 0; i < MANY; i++) {
        a[i].then = one_less;
        struct http_request q = request(url_of("/conn"), &a[i]);
        q.fresh = i % 2;
        assert_return_code(http_start(http, &q, NULL, NULL), 0);
    }
    loop_run(loop);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(a[i].told, 1);
        assert_int_equal(a[i].r.error, HTTP_OK);
    }
    free(a);
}

enum { STALLED = 8 };
static int stalled_told;

static void count_stalled(struct answer *a) {
    (void)a;
    if (++stalled_told == STALLED)
        loop_stop(loop);
}

static void start_several(struct answer *a, const char *even, const char *odd, int64_t timeout_ns) {
    stalled_told = 0;
    for (int i = 0; i < STALLED; i++) {
        a[i] = (struct answer){.then = count_stalled};
        struct http_request q = request(url_of(i % 2 ? odd : even), &a[i]);
        q.timeout_ns = timeout_ns;
        assert_return_code(http_start(http, &q, NULL, NULL), 0);
    }
}

/* The loop does not turn until all deadlines have passed: what was answered in time lies in the sockets, and is no timeout. */
static void an_answer_is_taken_before_its_request_is_late(void **state) {
    (void)state;
    static struct answer a[STALLED];
    for (int round = 0; round < 3; round++) {
        start_several(a, "/slow/20", "/slow/20", 2 * NS_PER_S); /* as many connections, open */
        loop_run(loop);
        start_several(a, "/slow/10", "/hang", 60 * NS_PER_MS);
        usleep(150 * 1000);
        loop_run(loop);
        for (int i = 0; i < STALLED; i++) {
            assert_int_equal(a[i].told, 1);
            assert_int_equal(a[i].r.error, i % 2 ? HTTP_TIMEOUT : HTTP_OK);
            assert_true(a[i].r.sent);
            assert_true(a[i].r.end_ns - a[i].r.start_ns >= 150 * NS_PER_MS); /* when it was taken; nobody knows when it came */
        }
    }
}

static void a_closed_resting_connection_is_no_trouble(void **state) {
    (void)state;
    struct test_server other = server_start(0, false);
    assert_true(other.pid > 0);
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/ok", other.port);
    struct answer a = {0};
    struct http_request q = request(url, &a);
    fetch(&q, &a);
    server_stop(&other);
    get("/slow/2"); /* the loop turns and sees the resting connection end */
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_REFUSED);
    other = server_start(other.port, false);
    assert_true(other.pid > 0);
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_OK);
    server_stop(&other);
}

static void network_namespaces_do_not_share(void **state) {
    (void)state;
    struct test_server inner = server_start(server.port, true); /* same address and port, another world */
    if (inner.pid < 0) {
        print_message("no network namespace may be made here: skipped\n");
        skip();
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", inner.pid);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(ns >= 0);
    struct answer out = get("/conn"), in = {0};
    struct http_request q = request(url_of("/conn"), &in);
    q.netns_fd = ns;
    for (int i = 0; i < 3; i++) { /* the inner server counts from 0; the outer one is far beyond */
        fetch(&q, &in);
        assert_string_equal(in.body, "0");
        assert_true(in.r.new_connection == (i == 0));
        assert_string_equal(get("/conn").body, out.body);
    }
    q.fresh = true;
    fetch(&q, &in);
    assert_string_equal(in.body, "1");
    server_stop(&inner);
    fetch(&q, &in);
    assert_int_equal(in.r.error, HTTP_REFUSED);
    q.netns_fd = 9999;
    struct error err;
    assert_int_equal(http_start(http, &q, NULL, &err), -EBADF);
    assert_string_equal(get("/conn").body, out.body); /* and we are still at home */
    close(ns);
}

/* Where there is no IPv6, ::1 cannot be reached, and of a name's two addresses the other one's end is told: neither is our own trouble. */
static void a_missing_family_is_not_our_trouble(void **state) {
    (void)state;
    int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (unshare(CLONE_NEWNET) < 0) {
        close(own);
        print_message("no network namespace may be made here: skipped\n");
        skip();
    }
    server_lo_up();
    int off = open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY | O_CLOEXEC), ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    bool written = off >= 0 && write(off, "1", 1) == 1;
    close(off);
    assert_return_code(setns(own, CLONE_NEWNET), errno);
    close(own);
    static const struct { const char *url; enum http_error error; } rows[] = {
        {"http://[::1]:1/", HTTP_UNREACHABLE}, {"http://localhost:1/", HTTP_REFUSED}, {"http://127.0.0.1:1/", HTTP_REFUSED}, {"http://10.1.2.3:1/", HTTP_UNREACHABLE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows) && written; i++) {
        struct answer a = {0};
        struct http_request q = request(rows[i].url, &a);
        q.netns_fd = ns;
        fetch(&q, &a);
        if (a.r.error != rows[i].error)
            fail_msg("%s: %s, %s", rows[i].url, http_error_name(a.r.error), a.detail);
    }
    close(ns);
}

static void own_limits_are_not_the_targets_fault(void **state) {
    (void)state;
    struct answer a = get("/conn");
    struct rlimit before, none = {0};
    assert_return_code(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max; /* not one descriptor more */
    assert_return_code(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct http_request q = request(url_of("/ok"), &a);
    q.fresh = true;
    fetch(&q, &a);
    assert_return_code(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(a.r.error, HTTP_LOCAL);
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_OK);
}

static void names_are_whole(void **state) {
    (void)state;
    for (int e = 0; e < HTTP_ERROR_COUNT; e++)
        assert_true(http_error_name((enum http_error)e)[0] > ' ' && http_error_name((enum http_error)e)[0] != '?');
    assert_string_equal(http_error_name(HTTP_ERROR_COUNT), "?");
}

/* --- pieces --- */

struct pieces {
    struct answer a;
    size_t count, bytes, most;
    struct http_op *op;
    bool cancel;
    char type[64];
};

static void on_piece(const char *piece, size_t len, void *arg) {
    struct pieces *p = arg;
    assert_int_equal(piece[len], 0);
    p->count++;
    p->bytes += len;
    p->most = len > p->most ? len : p->most;
    const char *length = http_header(p->op, "content-length");
    snprintf(p->type, sizeof p->type, "%s", length ? length : "none");
    if (p->cancel && len) {
        http_cancel(p->op);
        assert_int_equal(piece[0], 'z'); /* still there */
        loop_stop(loop);
    }
}

static void fetch_pieces(const char *path, struct pieces *p) {
    struct http_request q = request(url_of(path), &p->a);
    q.data = on_piece;
    q.arg = p;
    p->a.stop = true;
    assert_return_code(http_start(http, &q, &p->op, NULL), 0);
    loop_run(loop);
}

static void a_good_answers_body_may_be_told_in_pieces(void **state) {
    (void)state;
    struct pieces p = {0};
    fetch_pieces("/big", &p); /* more than would be kept whole */
    assert_int_equal(p.a.r.error, HTTP_OK);
    assert_int_equal(p.bytes, 2 << 20);
    assert_int_equal(p.a.r.body_len, 0);
    assert_true(p.count >= 8 && p.most <= 256 << 10); /* it waits for us */
    assert_string_equal(p.type, "2097152");
    p = (struct pieces){0};
    fetch_pieces("/status/404", &p); /* what else is answered is in the result */
    assert_int_equal(p.count, 0);
    assert_string_equal(p.a.body, "no");
    p = (struct pieces){0};
    fetch_pieces("/half", &p);
    assert_int_equal(p.a.r.error, HTTP_RESET);
    assert_int_equal(p.bytes, 3); /* all that came, before its end is told */
    p = (struct pieces){0};
    fetch_pieces("/no-body", &p);
    assert_int_equal(p.bytes, 0);
    assert_true(p.count >= 1); /* the headers are there */
    p = (struct pieces){.cancel = true};
    fetch_pieces("/big", &p);
    assert_int_equal(p.a.told, 0);
    assert_int_equal(get("/ok").r.error, HTTP_OK);
}

/* --- the way --- */

static void a_way_is_taken_and_forgotten_again(void **state) {
    (void)state;
    struct answer a = {0};
    struct http_via via = {.tls_name = "other.name"};
    char expected[64];
    struct http_request q = request(url_of("/echo"), &a);
    q.via = &via;
    fetch(&q, &a);
    snprintf(expected, sizeof expected, "Host: 127.0.0.1:%d\r\n", server.port);
    assert_int_equal(a.r.error, HTTP_OK);
    assert_non_null(strstr(a.body, expected)); /* the real one, once */
    assert_null(strstr(strstr(a.body, expected) + 1, "Host:"));
    via = (struct http_via){.proxy = "http://127.0.0.1:1"};
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_REFUSED);
    via.no_proxy = "127.0.0.0/8";
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_OK);
    q.via = NULL;
    fetch(&q, &a);
    assert_int_equal(a.r.error, HTTP_OK);
    assert_non_null(strstr(a.body, expected));
}

static void what_must_be_sent_once_is(void **state) {
    (void)state;
    for (int once = 0; once < 2; once++) {
        struct answer a = {0};
        get("/stale"); /* its connection is dead from here on */
        struct http_request q = request(url_of("/ok"), &a);
        q.method = "DELETE";
        q.once = once;
        fetch(&q, &a);
        assert_int_equal(a.r.error, once ? HTTP_RESET : HTTP_OK);
        assert_true(a.r.stale_retry);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_told_apart),
        cmocka_unit_test(a_kernels_errno_does_not_leak_into_the_next_request),
        cmocka_unit_test(connecting_fails),
        cmocka_unit_test(time_limits_hold),
        cmocka_unit_test(connections_are_reused_or_not),
        cmocka_unit_test(a_silent_retry_is_told),
        cmocka_unit_test(what_may_not_be_repeated_is_not_sent_twice),
        cmocka_unit_test(requests_are_sent_as_asked),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(a_body_is_kept_up_to_its_limit),
        cmocka_unit_test(callbacks_may_start_and_cancel),
        cmocka_unit_test(freeing_cancels),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(an_answer_is_taken_before_its_request_is_late),
        cmocka_unit_test(a_closed_resting_connection_is_no_trouble),
        cmocka_unit_test(network_namespaces_do_not_share),
        cmocka_unit_test(a_missing_family_is_not_our_trouble),
        cmocka_unit_test(own_limits_are_not_the_targets_fault),
        cmocka_unit_test(names_are_whole),
        cmocka_unit_test(a_good_answers_body_may_be_told_in_pieces),
        cmocka_unit_test(a_way_is_taken_and_forgotten_again),
        cmocka_unit_test(what_must_be_sent_once_is),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
