/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "load/open_loop.h"
#include "tcp_server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct test_server server;
static struct loop *loop;

struct drill {
    struct arena *arena;
    struct doc *doc;
    struct load_spec spec;
    struct load_context ctx;
    struct load *load;
    struct load_figures figures;
    int resolve_rc;
    char dir[64];
    struct sample samples[2000];
    size_t count;
};

static const struct load_kind *tcp_kind(void) {
    for (size_t i = 0; load_kinds[i]; i++)
        if (!strcmp(load_kinds[i]->row.name, "tcp"))
            return load_kinds[i];
    fail_msg("there is no tcp load");
    return NULL;
}

static const char *var(void *arg, const char *name) {
    (void)arg;
    return !strcmp(name, "pod.ip") ? "127.0.0.1" : !strcmp(name, "pod.name") ? "web-0" : !strcmp(name, "secret.word") ? "s3cret" : NULL;
}
static const struct template_vars vars = {var, NULL};

static int resolve(void *arg, const struct selector *s, bool ready_only, uint64_t turn, struct load_target *ret) {
    struct drill *d = arg;
    assert_non_null(s);
    assert_false(ready_only);
    *ret = (struct load_target){.name = "web", .id = (uint16_t)(turn % 3), .vars = &vars};
    return d->resolve_rc;
}

static void ended(void *arg) {
    struct drill *d = arg;
    d->load->kind->figures(d->load, &d->figures);
    d->load->kind->free(d->load); /* allowed here */
    d->load = NULL;
    loop_stop(loop);
}

static int decode(struct drill *d, const char *text, struct error *err) {
    const struct load_kind *k = tcp_kind();
    d->arena = arena_new();
    void *params = arena_alloc(d->arena, k->row.shape->size);
    int rc = doc_parse("load.yaml", text, strlen(text), &d->doc, err);
    if (rc == 0)
        rc = schema_decode(d->doc, "", k->row.shape, NULL, d->arena, params, err);
    d->spec = (struct load_spec){.name = "pings", .kind = {.kind = &k->row, .params = params, .path = ""}};
    return rc;
}

static void release(struct drill *d) {
    doc_free(d->doc);
    arena_free(d->arena);
    free(d);
}

static void read_samples(struct drill *d) {
    char path[100], header[64];
    snprintf(path, sizeof path, "%s/samples.bin", d->dir);
    cleanup_fclose FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(header, sizeof header, 1, f), 1);
    d->count = fread(d->samples, sizeof d->samples[0], 2000, f);
    remove(path);
    snprintf(path, sizeof path, "%s/history.jsonl", d->dir);
    remove(path);
    rmdir(d->dir);
}

/* Each planned arrival must have given one sample. */
static struct drill *drilled(const char *text, int64_t for_ms, int resolve_rc) {
    struct drill *d = calloc(1, sizeof *d);
    struct error err = {""};
    char filled[1000];
    const char *at = strstr(text, "PORT");
    int before = at ? (int)(at - text) : (int)strlen(text);
    snprintf(filled, sizeof filled, at ? "%.*s%d%s" : "%.*s", before, text, server.port, at ? at + 4 : "");
    if (decode(d, filled, &err) < 0)
        fail_msg("%s: %s", filled, err.text);
    strcpy(d->dir, "/tmp/chaosd-test-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    d->resolve_rc = resolve_rc;
    d->ctx = (struct load_context){.loop = loop, .seed = 7, .index = 2, .netns_fd = -1, .resolve = resolve, .resolve_arg = d, .secrets = &vars,
                                   .ended = ended, .ended_arg = d};
    cleanup_json json_t *header = json_object();
    assert_return_code(recorder_open(&d->ctx.recorder, d->dir, header, &clock_monotonic, &err), 0);
    if (tcp_kind()->new(&d->spec, &d->ctx, &d->load, &err) < 0)
        fail_msg("%s", err.text);
    int64_t start = loop_now();
    d->load->kind->begin(d->load, start, start + for_ms * NS_PER_MS);
    loop_run(loop);
    assert_return_code(recorder_close(d->ctx.recorder, NULL), 0);
    read_samples(d);
    assert_int_equal(d->figures.in_flight, 0);
    assert_int_equal(d->figures.planned, d->count);
    for (size_t i = 0; i < d->count; i++) {
        const struct sample *s = &d->samples[i];
        assert_true(s->load == 2 && s->lane == LANE_TCP);
        assert_true(s->planned_ns <= s->start_ns && s->start_ns <= s->end_ns);
        assert_true((s->outcome == OUTCOME_GOOD) == (s->reason == REASON_NONE));
    }
    return d;
}

static size_t count_of(const struct drill *d, enum outcome outcome, enum reason reason) {
    size_t n = 0;
    for (size_t i = 0; i < d->count; i++)
        n += d->samples[i].outcome == outcome && d->samples[i].reason == reason;
    return n;
}

static void reasons_are_told(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum outcome outcome;
        enum reason reason;
    } rows[] = {
#define TO "rate: 200/s\ntargets: {address: \"127.0.0.1:PORT\"}\nlate: 2s\n"
        {TO "deadline: 3s\nsend: \"PING\\r\\n\"\nexpect: {equals: \"+PONG\\r\\n\"}\n", OUTCOME_GOOD, REASON_NONE},
        {TO "deadline: 3s\nsend: \"echo ${request.id} ${request.seq}\\n\"\nexpect: {equals: \"${request.id} ${request.seq}\\n\"}\n", OUTCOME_GOOD, REASON_NONE},
        {TO "deadline: 3s\nsend: \"echo ${secret.word}\\n\"\nexpect: {contains: s3cret}\n", OUTCOME_GOOD, REASON_NONE},
        {TO "deadline: 3s\nencoding: hex\nsend: \"50494e470a\"\nexpect: {prefix: \"2b50\"}\n", OUTCOME_GOOD, REASON_NONE},
        {TO "deadline: 3s\nexpect: {regex: \"^220 \"}\n", OUTCOME_GOOD, REASON_NONE},
        {TO "deadline: 3s\n", OUTCOME_GOOD, REASON_NONE},
        {TO "deadline: 3s\nsend: \"echo no\\n\"\nexpect: {equals: \"+PONG\\r\\n\"}\n", OUTCOME_BAD, REASON_BODY},
        {TO "deadline: 3s\nsend: \"garbage\\n\"\nexpect: {prefix: ok}\n", OUTCOME_BAD, REASON_BODY},
        {TO "deadline: 3s\nsend: \"half\\n\"\nexpect: {prefix: \"+PONG\"}\n", OUTCOME_BAD, REASON_RESET},
        {TO "deadline: 3s\nsend: \"close\\n\"\nexpect: {prefix: \"+PONG\"}\n", OUTCOME_BAD, REASON_RESET},
        {TO "deadline: 3s\nsend: \"reset\\n\"\nexpect: {prefix: \"+PONG\"}\n", OUTCOME_BAD, REASON_RESET},
        {TO "deadline: 3s\nsend: \"endless\\n\"\nexpect: {contains: never, max: 10000}\n", OUTCOME_BAD, REASON_TOO_BIG},
        {TO "deadline: 80ms\nsend: \"silent\\n\"\nexpect: {contains: x}\n", OUTCOME_BAD, REASON_TIMEOUT},
#undef TO
        {"rate: 200/s\ntargets: {address: \"127.0.0.1:1\"}\ndeadline: 3s\nlate: 2s\n", OUTCOME_BAD, REASON_REFUSED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct drill *d = drilled(rows[i].text, 50, 0);
        assert_int_equal(d->count, 10);
        if (count_of(d, rows[i].outcome, rows[i].reason) != 10)
            fail_msg("%s: %d %s", rows[i].text, d->samples[0].outcome, reason_names[d->samples[0].reason]);
        for (size_t k = 0; k < d->count; k++) {
            const struct sample *s = &d->samples[k];
            assert_int_equal(s->target, SAMPLE_NO_TARGET);
            assert_int_equal(!!(s->flags & SAMPLE_NEW_CONNECTION), rows[i].reason != REASON_REFUSED);
            assert_int_equal(s->connect_us > 0, rows[i].reason != REASON_REFUSED);
        }
        release(d);
    }
}

/* Pods in turn; a value of the pod in what is sent. */
static void pods_are_targets(void **state) {
    (void)state;
    struct drill *d = drilled("rate: 300/s\ntargets: {selector: {pods: [web-0]}, port: PORT}\nsend: \"echo ${pod.name}\\n\"\nexpect: {prefix: web-0}\n"
                              "deadline: 3s\nlate: 2s\n", 50, 0);
    assert_int_equal(count_of(d, OUTCOME_GOOD, REASON_NONE), 15);
    size_t per_target[3] = {0};
    for (size_t i = 0; i < d->count; i++)
        per_target[d->samples[i].target]++;
    for (int i = 0; i < 3; i++)
        assert_int_equal(per_target[i], 5);
    release(d);
    d = drilled("rate: 100/s\ntargets: {selector: {pods: [web-0]}, port: PORT}\n", 30, -ENOENT);
    assert_int_equal(count_of(d, OUTCOME_BAD, REASON_NO_TARGET), 3);
    release(d);
    d = drilled("rate: 100/s\ntargets: {selector: {pods: [web-0]}, port: PORT}\nsend: \"${pod.node}\"\n", 30, 0);
    assert_int_equal(count_of(d, OUTCOME_BAD, REASON_OTHER), 3); /* a value that is not there */
    release(d);
}

/* What hangs fills the cap; the rest is unsent, and all of it ends by the deadline. */
static void the_cap_holds(void **state) {
    (void)state;
    struct drill *d = drilled("rate: 400/s\ntargets: {address: \"127.0.0.1:PORT\"}\nsend: \"silent\\n\"\nexpect: {contains: x}\nconcurrency: 5\n"
                              "deadline: 900ms\nlate: 800ms\n", 100, 0);
    assert_int_equal(d->count, 40);
    assert_int_equal(count_of(d, OUTCOME_BAD, REASON_TIMEOUT), 5);
    assert_int_equal(count_of(d, OUTCOME_UNSENT_CAP, REASON_CAP), 35);
    release(d);
}

static void bad_rows_are_refused(void **state) {
    (void)state;
    static const struct { const char *text, *says; } rows[] = {
        {"{targets: {address: \"127.0.0.1:1\"}}", "rate"},
        {"{rate: 1/s}", "targets"},
        {"{rate: 1/s, targets: {}}", "expected one of selector and address"},
        {"{rate: 1/s, targets: {selector: {}, port: 1, address: \"127.0.0.1:1\"}}", "only one of"},
        {"{rate: 1/s, targets: {selector: {}}}", "needs port"},
        {"{rate: 1/s, targets: {address: \"127.0.0.1:1\", port: 1}}", "port goes with selector"},
        {"{rate: 1/s, targets: {address: \"127.0.0.1:1\", ready: true}}", "ready goes with selector"},
        {"{rate: 1/s, targets: {address: \"db.example.org:1\"}}", "expected an IPv4 or IPv6 address; no name is looked up"},
        {"{rate: 1/s, targets: {address: [\"127.0.0.1:1\", \"127.0.0.1\"]}}", "expected an address and a port"},
        {"{rate: 1/s, targets: {address: \"127.0.0.1:1\"}, send: \"${pod.ip}\"}", "there is no pod"},
        {"{rate: 1/s, targets: {address: \"127.0.0.1:1\"}, expect: {prefix: \"${capture.x}\"}}", "captures nothing"},
        {"{rate: 1/s, targets: {address: \"127.0.0.1:1\"}, send: \"${ledger.key}\"}", "no ledger"},
        {"{rate: 1/s, targets: {address: \"127.0.0.1:1\"}, lanes: [fresh]}", "lanes"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct drill *d = calloc(1, sizeof *d);
        struct error err = {""};
        int rc = decode(d, rows[i].text, &err);
        if (rc >= 0 || !strstr(err.text, rows[i].says))
            fail_msg("%s: %s", rows[i].text, rc < 0 ? err.text : "accepted");
        release(d);
    }
}

static void the_header_says_what_it_is(void **state) {
    (void)state;
    struct drill *d = calloc(1, sizeof *d);
    assert_return_code(decode(d, "{rate: 2.5/s, targets: {address: [\"127.0.0.1:1\", \"[::1]:2\"]}}", NULL), 0);
    cleanup_json json_t *j = tcp_kind()->describe(&d->spec);
    cleanup_json json_t *want = json_pack("{s:s, s:i, s:[s], s:i}", "kind", "tcp", "rate_micro", 2500000, "lanes", "tcp", "deadline_ns", 1000000000);
    assert_true(json_equal(j, want));
    release(d);
}

static int setup(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    server = tcp_server_start();
    return server.pid < 0 ? -1 : loop_new(&loop, NULL);
}

static int teardown(void **state) {
    (void)state;
    loop_free(loop);
    server_stop(&server);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_are_told),    cmocka_unit_test(pods_are_targets),          cmocka_unit_test(the_cap_holds),
        cmocka_unit_test(bad_rows_are_refused), cmocka_unit_test(the_header_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
