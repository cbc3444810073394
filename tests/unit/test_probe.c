/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "http_server.h"
#include "probe/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct test_server server;
static struct loop *loop;
static struct http *http;
static char port[16];
static bool gone; /* the pod: no variables any more */

static const char *pod(void *arg, const char *name) {
    (void)arg;
    if (gone)
        return NULL;
    if (strcmp(name, "pod.index") == 0)
        return port;
    return strcmp(name, "pod.ip") == 0 ? "127.0.0.1" : NULL;
}
static const struct template_vars vars = {pod, NULL};

struct answer {
    int told;
    char why[300];
    json_t *captured;
    int64_t asked, seen;
    struct probe_op *op; /* cancelled in the answer, as a caller may */
};

static void on_done(const char *why, const json_t *captured, int64_t asked_ns, int64_t seen_ns, void *arg) {
    struct answer *a = arg;
    a->told++;
    snprintf(a->why, sizeof a->why, "%s", why ? why : "right");
    a->captured = json_deep_copy(captured);
    a->asked = asked_ns;
    a->seen = seen_ns;
    probe_cancel(a->op);
    loop_stop(loop);
}

static struct probe_context context(struct answer *a, int64_t timeout_ns) {
    return (struct probe_context){.loop = loop, .http = http, .netns_fd = -1, .cgroup_fd = -1, .timeout_ns = timeout_ns, .vars = &vars, .done = on_done,
                                  .arg = a};
}

static const struct probe_kind *kind(const char *name) {
    for (size_t i = 0; probe_kinds[i]; i++)
        if (strcmp(probe_kinds[i]->row.name, name) == 0)
            return probe_kinds[i];
    fail_msg("no probe kind %s", name);
    return NULL;
}

struct asked {
    struct doc *doc;
    struct arena *arena;
    void *params;
};

static int decode(struct asked *q, const struct shape *shape, const char *text, struct error *err) {
    *q = (struct asked){.arena = arena_new()};
    q->params = arena_alloc(q->arena, shape->size);
    int rc = doc_parse("probe.yaml", text, strlen(text), &q->doc, err);
    return rc < 0 ? rc : schema_decode(q->doc, "", shape, NULL, q->arena, q->params, err);
}

static void release(struct asked *q) {
    doc_free(q->doc);
    arena_free(q->arena);
}

/* The answer to one probe, or "start: error". */
static struct answer ask(const char *name, const char *text, int64_t timeout_ns) {
    struct asked q;
    struct error err = {{0}};
    struct answer a = {0};
    const struct probe_kind *k = kind(name);
    if (decode(&q, k->row.shape, text, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    struct probe_context ctx = context(&a, timeout_ns);
    if (k->start(q.params, &ctx, &a.op, &err) < 0) {
        snprintf(a.why, sizeof a.why, "start: %.200s", err.text);
    } else {
        assert_ptr_equal(a.op->kind, k);
        assert_int_equal(a.told, 0); /* never inside start */
        gone = true;                 /* variables are read only inside start */
        loop_run(loop);
        gone = false;
        assert_int_equal(a.told, 1);
        assert_true(a.asked <= a.seen && a.seen <= loop_now());
        assert_true(json_is_object(a.captured));
    }
    json_decref(a.captured);
    release(&q);
    return a;
}

static int setup(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    server = server_start(0, false);
    snprintf(port, sizeof port, "%d", server.port);
    return server.pid < 0 || loop_new(&loop, NULL) < 0 || http_new(loop, 4, &http, NULL) < 0 ? -1 : 0;
}

static int teardown(void **state) {
    (void)state;
    http_free(http);
    loop_free(loop);
    server_stop(&server);
    return 0;
}

#define BASE "http://${pod.ip}:${pod.index}"

/* What is written out is looked at before any run. */
static void what_is_written_out_is_checked(void **state) {
    (void)state;
    static const struct { const char *kind, *text, *says; } rows[] = {
        {"http", "{url: \"\"}", "probe.yaml:1:7: expected a URL that begins with http:// or https://"},
        {"http", "{url: /health}", "expected a URL"},
        {"http", "{url: \"ftp://a/\"}", "expected a URL"},
        {"tcp", "{port: 0}", "probe.yaml:1:8: port 0: expected a number from 1 to 65535"},
        {"tcp", "{port: 65536}", "port 65536: expected"},
        {"tcp", "{port: http}", "port http: expected"},
        {"tcp", "{host: example.org, port: 1}", "probe.yaml:1:8: host \"example.org\": expected an IPv4 or IPv6 address"},
        {"tcp", "{host: example.org, port: \"${pod.index}\"}", "host \"example.org\": expected"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct asked q;
        struct error err = {""};
        int rc = decode(&q, kind(rows[i].kind)->row.shape, rows[i].text, &err);
        if (rc >= 0 || !strstr(err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].text, rc < 0 ? err.text : "accepted");
        release(&q);
    }
    struct asked q;
    struct error err = {""};
    assert_return_code(decode(&q, kind("exec")->row.shape, "{command: [no-such-program]}", &err), 0);
    assert_true(kind("exec")->preflight(q.params, &err) < 0);
    assert_non_null(strstr(err.text, "no-such-program"));
    release(&q);
    assert_return_code(decode(&q, kind("exec")->row.shape, "{command: [\"true\"]}", &err), 0);
    assert_return_code(kind("exec")->preflight(q.params, &err), 0);
    release(&q);
}

static void probes_answer(void **state) {
    (void)state;
    static const struct {
        const char *kind, *text, *why; /* why: how it begins */
        int64_t timeout_ms;
    } rows[] = {
        {"http", "{url: \"" BASE "/ok\"}", "right", 1000},
        {"http", "{url: \"" BASE "/ok\", status: 200, contains: ok}", "right", 1000},
        {"http", "{url: \"" BASE "/status/503\"}", "status 503, wanted 2xx", 1000},
        {"http", "{url: \"" BASE "/status/503\", status: 503}", "right", 1000},
        {"http", "{url: \"" BASE "/ok\", contains: nope}", "body without", 1000},
        {"http", "{url: \"" BASE "/json\", json: {n.term: \"7\"}}", "right", 1000},
        {"http", "{url: \"" BASE "/mirror/${pod.ip}\", json: {x: \"${pod.ip}\"}}", "right", 1000},
        {"http", "{url: \"" BASE "/json\", json: {n.term: \"8\"}}", "n.term is \"7\"", 1000},
        {"http", "{url: \"" BASE "/json\", json: {nix: \"8\"}}", "nix is absent", 1000},
        {"http", "{url: \"" BASE "/echo\", method: POST, body: \"b=${pod.ip}\", headers: {X-Y: z}, contains: \"b=127.0.0.1\"}", "right",
         1000},
        {"http", "{url: \"" BASE "/echo\", headers: {X-Y: \"${pod.index}\"}, contains: \"X-Y: \"}", "right", 1000},
        {"http", "{url: \"" BASE "/head\", method: HEAD}", "right", 1000},
        {"http", "{url: \"" BASE "/hang\"}", "timeout: no whole answer within 20.000 ms", 20},
        {"http", "{url: \"" BASE "/reset\"}", "reset: ", 1000},
        {"http", "{url: \"http://127.0.0.1:1/\"}", "refused: ", 1000},
        {"http", "{url: \"http://${pod.dir}/\"}", "start: ${pod.dir}", 1000},
        {"tcp", "{port: \"${pod.index}\"}", "right", 1000},
        {"tcp", "{host: localhost, port: \"${pod.index}\"}", "right", 1000},
        {"tcp", "{port: 1}", "connect: Connection refused", 1000},
        {"tcp", "{host: 255.255.255.255, port: 1}", "connect: ", 1000},
        {"tcp", "{host: \"::1\", port: 1}", "connect: ", 1000},
        {"tcp", "{host: \"x${pod.ip}\", port: 1}", "start: host \"x127.0.0.1\": expected an IPv4 or IPv6 address; no name is looked up", 1000},
        {"tcp", "{port: \"${pod.index}0000\"}", "start: port \"", 1000},
        {"tcp", "{port: \"x${pod.index}\"}", "start: port \"x", 1000},
        {"tcp", "{port: \"${pod.index}\", send: \"GET /ok HTTP/1.0\\r\\n\\r\\n\", expect: {prefix: \"HTTP/1.1 200\"}}", "right", 1000},
        {"tcp", "{port: \"${pod.index}\", send: \"GET /ok HTTP/1.0\\r\\n\\r\\n\", expect: {prefix: \"HTTP/1.1 404\"}}", "answered \"HTTP/1.1 200", 1000},
        {"tcp", "{port: \"${pod.index}\", send: \"GET /hang HTTP/1.0\\r\\n\\r\\n\", expect: {contains: x}}", "no whole answer within", 20},
        {"tcp", "{port: \"${pod.index}\", send: \"${pod.dir}\"}", "start: ${pod.dir}", 1000},
        {"tcp", "{port: 1, send: x, expect: {contains: x}}", "connect: Connection refused", 1000},
        {"exec", "{command: [\"true\"]}", "right", 5000},
        {"exec", "{command: [echo, hello], expect: {equals: hello}}", "right", 5000},
        {"exec", "{command: [echo, hello], expect: {equals: \"${pod.ip}\"}}", "answered \"hello\", wanted \"127.0.0.1\"", 5000},
        {"exec", "{command: [sh, -c, \"echo 3; exit 2\"], status: 2, expect: {compare: \"< 4\"}}", "right", 5000},
        {"exec", "{command: [sh, -c, \"echo 3\"], status: 2, expect: {compare: \"< 4\"}}", "exit status 0, wanted 2", 5000},
        {"exec", "{command: [sh, -c, \"echo 3; exit 1\"], expect: {compare: \"< 4\"}}", "exit status 1", 5000},
        {"exec", "{command: [\"true\"], expect: {contains: x}}", "ended without an answer", 5000},
        {"exec", "{command: [sh, -c, \"echo no >&2\"], expect: {contains: \"no\"}}", "ended without an answer", 5000},
        {"exec", "{command: [cat, /dev/zero], expect: {contains: x, max: 100KiB}}", "printed over 102400 bytes", 5000},
        {"exec", "{command: [sh, -c, \"echo x; sleep 30\"], expect: {contains: x}}", "no end within 60.000 ms", 60},
        {"exec", "{command: [sh, -c, \"sleep 3 & echo x\"], expect: {contains: x}}", "right", 5000}, /* who keeps the pipe open delays nothing */
        {"exec", "{command: \"true\"}", "right", 5000},
        {"exec", "{command: [test, \"${pod.ip}\", \"=\", 127.0.0.1]}", "right", 5000},
        {"exec", "{command: [sh, -c, \"exit 3\"]}", "exit status 3", 5000},
        {"exec", "{command: [sh, -c, \"kill -9 $$\"]}", "ended by signal 9", 5000},
        {"exec", "{command: [sh, -c, \"sleep 30; true\"]}", "no end within 30.000 ms", 30},
        {"exec", "{command: [no-such-program-here]}", "start: ", 5000},
        {"exec", "{command: [\"\"]}", "start: the command's program is empty", 5000},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t before = loop_now();
        struct answer a = ask(rows[i].kind, rows[i].text, rows[i].timeout_ms * NS_PER_MS);
        if (strncmp(a.why, rows[i].why, strlen(rows[i].why)) != 0)
            fail_msg("%s %s: %s", rows[i].kind, rows[i].text, a.why);
        assert_true(loop_now() - before < 900 * NS_PER_MS);
    }
}

static void a_closed_accept_queue_times_out(void **state) {
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), held[16], got = 0;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_return_code(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_return_code(listen(fd, 0), 0);
    a.sin_port = htons((uint16_t)server_port(fd));
    for (; got < 16; got++) { /* fill the queue, so that the kernel leaves further ones unanswered */
        held[got] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(held[got], (struct sockaddr *)&a, sizeof a);
    }
    char text[64];
    snprintf(text, sizeof text, "{host: 127.0.0.1, port: %d}", ntohs(a.sin_port));
    struct answer r = ask("tcp", text, 25 * NS_PER_MS);
    assert_string_equal(r.why, "connect: no answer within 25 ms");
    assert_true(r.seen - r.asked >= 24 * NS_PER_MS);
    while (got > 0)
        close(held[--got]);
    close(fd);
}

static void cancelled_probes_stay_silent(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"http", "{url: \"" BASE "/hang\"}"}, {"tcp", "{port: 1}"}, {"tcp", "{port: \"${pod.index}\"}"},
        {"exec", "{command: [sleep, \"30\"]}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct asked q;
        struct error err = {{0}};
        struct answer a = {0};
        const struct probe_kind *k = kind(rows[i][0]);
        assert_return_code(decode(&q, k->row.shape, rows[i][1], &err), 0);
        struct probe_context ctx = context(&a, NS_PER_S);
        assert_return_code(k->start(q.params, &ctx, &a.op, &err), 0);
        probe_cancel(a.op);
        struct answer other = ask("http", "{url: \"" BASE "/slow/3\"}", NS_PER_S); /* the loop turns meanwhile */
        assert_string_equal(other.why, "right");
        assert_int_equal(a.told, 0);
        release(&q);
    }
    probe_cancel(NULL);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* the server is there, and no zombie beside it */
}

static void a_step_captures(void **state) {
    (void)state;
    struct asked q;
    struct error err;
    struct answer a = {0};
    assert_return_code(decode(&q, &step_shape, "{post: \"" BASE "/json\", json: {}, capture: {id: id, term: n.term}}", &err), 0);
    struct probe_context ctx = context(&a, NS_PER_S);
    struct probe_op *op;
    assert_return_code(probe_http_start(q.params, &ctx, &op, &err), 0);
    loop_run(loop);
    assert_string_equal(a.why, "right");
    cleanup_json json_t *want = json_pack("{s:s, s:s}", "id", "abc", "term", "7");
    assert_true(json_equal(a.captured, want));
    json_decref(a.captured);
    release(&q);
}

static void bad_rows_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *kind, *text, *error;
    } rows[] = {
        {"http", "{}", "url"},
        {"http", "{url: \"http://a\", method: FETCH}", "method"},
        {"http", "{url: \"http://a\", status: 99}", "status"},
        {"http", "{url: \"http://a\", method: HEAD, contains: x}", "HEAD"},
        {"http", "{url: \"http://a\", method: HEAD, body: x}", "HEAD carries no body"},
        {"http", "{url: \"http://a\", contain: x}", "did you mean \"contains\""},
        {"tcp", "{}", "port"},
        {"tcp", "{port: 1, expect: {}}", "expected one of equals"},
        {"exec", "{command: a, expect: {regex: \"[\"}}", "regex"},
        {"exec", "{}", "command"},
        {"exec", "{command: []}", "command"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct asked q;
        struct error err = {{0}};
        int rc = decode(&q, kind(rows[i].kind)->row.shape, rows[i].text, &err);
        if (rc >= 0 || !strstr(err.text, rows[i].error))
            fail_msg("%s: %s", rows[i].text, rc < 0 ? err.text : "accepted");
        release(&q);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probes_answer), cmocka_unit_test(what_is_written_out_is_checked),
        cmocka_unit_test(a_closed_accept_queue_times_out),
        cmocka_unit_test(cancelled_probes_stay_silent),
        cmocka_unit_test(a_step_captures),
        cmocka_unit_test(bad_rows_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
