/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "http_server.h"
#include "load/http_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct test_server server;
static struct loop *loop;

struct drill { /* a load from its text, run to its end */
    struct arena *arena;
    struct doc *doc;
    struct load_spec spec;
    struct http_load params;
    struct load_context ctx;
    struct load *load;
    struct load_figures figures;
    struct timer *stop_timer;
    char dir[64];
    struct sample *samples;
    size_t count;
    int ended, resolved;
    int resolve_rc;
    bool gone; /* the pod: no variables any more */
    char port[16];
};

static const char *drill_var(void *arg, const char *name) {
    struct drill *d = arg;
    if (strcmp(name, "pod.ip") == 0 && !d->gone)
        return "127.0.0.1";
    if (strcmp(name, "pod.index") == 0 && !d->gone)
        return d->port;
    return strcmp(name, "secret.word") == 0 ? "s3cret" : NULL;
}

static struct template_vars drill_vars;
static int drill_resolve(void *arg, const struct selector *s, bool ready_only, uint64_t turn, struct load_target *ret) {
    struct drill *d = arg;
    assert_non_null(s);
    assert_true(ready_only);
    d->resolved++;
    *ret = (struct load_target){.name = "pod", .id = (uint16_t)(turn % 3), .vars = &drill_vars};
    return d->resolve_rc;
}

static void drill_ended(void *arg) {
    struct drill *d = arg;
    d->ended++;
    d->load->kind->figures(d->load, &d->figures);
    d->load->kind->free(d->load); /* allowed here */
    d->load = NULL;
    loop_stop(loop);
}

static int decode(struct drill *d, const char *text, struct error *err) {
    d->arena = arena_new();
    int rc = doc_parse("load.yaml", text, strlen(text), &d->doc, err);
    if (rc == 0)
        rc = schema_decode(d->doc, "", &http_load_shape, NULL, d->arena, &d->params, err);
    d->spec = (struct load_spec){.name = "writes", .kind = {.kind = &load_kinds[0]->row, .params = &d->params, .path = ""}};
    return rc;
}

__attribute__((format(printf, 2, 3))) static void prepare(struct drill *d, const char *format, ...) {
    char text[2000];
    struct error err = {{0}};
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (decode(d, text, &err) < 0)
        fail_msg("%s", err.text);
    strcpy(d->dir, "/tmp/chaosd-test-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    snprintf(d->port, sizeof d->port, "%d", server.port);
    drill_vars = (struct template_vars){drill_var, d};
    d->ctx = (struct load_context){.loop = loop, .seed = 7, .index = 3, .netns_fd = -1, .resolve = drill_resolve, .resolve_arg = d,
                                   .secrets = &drill_vars, .ended = drill_ended, .ended_arg = d};
    cleanup_json json_t *header = json_object();
    assert_return_code(recorder_open(&d->ctx.recorder, d->dir, header, &clock_monotonic, &err), 0);
    if (load_kinds[0]->new(&d->spec, &d->ctx, &d->load, &err) < 0)
        fail_msg("%s", err.text);
}

static int by_planned(const void *a, const void *b) {
    const struct sample *x = a, *y = b;
    return (x->planned_ns > y->planned_ns) - (x->planned_ns < y->planned_ns);
}

static void read_samples(struct drill *d) {
    char path[100], header[64];
    snprintf(path, sizeof path, "%s/samples.bin", d->dir);
    cleanup_fclose FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(header, sizeof header, 1, f), 1);
    d->samples = calloc(5000, sizeof *d->samples);
    d->count = fread(d->samples, sizeof *d->samples, 5000, f);
    qsort(d->samples, d->count, sizeof *d->samples, by_planned);
}

static void finish_drill(struct drill *d) {
    if (d->load)
        d->load->kind->free(d->load);
    assert_return_code(recorder_close(d->ctx.recorder, NULL), 0);
    read_samples(d);
    char path[100];
    static const char *const files[] = {"/samples.bin", "/history.jsonl", ""};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof path, "%s%s", d->dir, files[i]);
        remove(path);
    }
}

static void release(struct drill *d) {
    free(d->samples);
    doc_free(d->doc);
    arena_free(d->arena);
}
/* for_ns from now (or from `late` ns ago); each planned arrival must have given one sample. */
static void run_drill(struct drill *d, int64_t ago_ns, int64_t for_ns) {
    int64_t start = loop_now() - ago_ns;
    d->load->kind->begin(d->load, start, start + for_ns);
    loop_run(loop);
    assert_int_equal(d->ended, 1);
    finish_drill(d);
    assert_int_equal(d->figures.in_flight, 0);
    assert_int_equal(d->figures.planned, d->count);
    assert_int_equal(d->figures.good + d->figures.bad + d->figures.unsent, d->count);
    for (size_t i = 0; i < d->count; i++) {
        const struct sample *s = &d->samples[i];
        assert_int_equal(s->load, 3);
        assert_true(s->planned_ns <= s->start_ns && s->start_ns <= s->end_ns);
        assert_true((s->outcome == OUTCOME_GOOD) == (s->reason == REASON_NONE));
        assert_true(i == 0 || s->planned_ns > d->samples[i - 1].planned_ns);
    }
}

static size_t count_of(const struct drill *d, enum outcome outcome, enum reason reason) {
    size_t n = 0;
    for (size_t i = 0; i < d->count; i++)
        n += d->samples[i].outcome == outcome && d->samples[i].reason == reason;
    return n;
}

static void arm(struct drill *d, void (*fn)(void *arg), void *arg, int64_t ms) {
    assert_return_code(timer_new(loop, fn, arg, &d->stop_timer, NULL), 0);
    timer_after(d->stop_timer, ms * NS_PER_MS);
}

static int setup(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    server = server_start(0, false);
    return server.pid < 0 ? -1 : loop_new(&loop, NULL);
}

static int teardown(void **state) {
    (void)state;
    loop_free(loop);
    server_stop(&server);
    return 0;
}

static void every_arrival_gives_one_sample(void **state) {
    (void)state;
    struct drill d = {0};
    prepare(&d, "rate: 500/s\nlanes: [fresh, reused]\ntargets: {url: \"http://127.0.0.1:%d/\"}\nsteps: [{get: /ok}]\n", server.port);
    run_drill(&d, 0, 100 * NS_PER_MS);
    assert_int_equal(d.count, 50); /* at 0, 2, ... 98 ms; the one at 100 ms is past the end */
    assert_int_equal(count_of(&d, OUTCOME_GOOD, REASON_NONE), 50);
    for (size_t i = 0; i < d.count; i++) {
        const struct sample *s = &d.samples[i];
        assert_int_equal(s->planned_ns - d.samples[0].planned_ns, (int64_t)i * 2 * NS_PER_MS);
        assert_int_equal(s->lane, i % 2 ? LANE_REUSED : LANE_FRESH);
        assert_int_equal(s->status, 200);
        assert_int_equal(s->steps, 1);
        assert_int_equal(s->bytes, 2);
        assert_int_equal(s->target, SAMPLE_NO_TARGET);
        assert_true(s->first_byte_us > 0);
        if (s->lane == LANE_FRESH)
            assert_true((s->flags & SAMPLE_NEW_CONNECTION) && s->connect_us > 0);
        assert_true(!!(s->flags & SAMPLE_LATE) == (s->start_ns - s->planned_ns > 5 * NS_PER_MS));
    }
    size_t reused = 0; /* not each: one that takes longer than 4 ms, on a machine that hiccups, makes the next one open another */
    for (size_t i = 0; i < d.count; i++)
        reused += d.samples[i].lane == LANE_REUSED && !(d.samples[i].flags & SAMPLE_NEW_CONNECTION);
    assert_true(reused >= 12);
    release(&d);
}

static void answers_are_judged(void **state) {
    (void)state;
    static const struct {
        const char *step;
        enum reason reason;
        int status;
    } rows[] = {
        {"{get: /ok, expect: {status: 200, contains: ok}}", REASON_NONE, 200},
        {"{get: /status/503}", REASON_STATUS, 503},
        {"{get: /status/503, expect: {status: 503}}", REASON_NONE, 503},
        {"{get: /ok, expect: {status: 201}}", REASON_STATUS, 200},
        {"{get: /ok, expect: {contains: nope}}", REASON_BODY, 200},
        {"{get: /json, expect: {json: {n.term: \"7\"}}}", REASON_NONE, 200},
        {"{get: /json, expect: {json: {n.term: \"8\"}}}", REASON_BODY, 200},
        {"{get: /reset}", REASON_RESET, 0},
        {"{get: /garbage}", REASON_PROTOCOL, 0},
        {"{get: /big}", REASON_TOO_BIG, 200},
        {"{get: /hang}", REASON_TIMEOUT, 0},
        {"{get: /slow/60}", REASON_TIMEOUT, 0},
        {"{get: \"http://127.0.0.1:1/\"}", REASON_REFUSED, 0},
        {"{get: \"/mirror/${request.id}\", expect: {json: {x: \"${request.id}\"}}}", REASON_NONE, 200},
        {"{get: \"mirror/${request.seq}\", expect: {json: {x: \"0\"}}}", REASON_NONE, 200},
        {"{get: \"/mirror/${secret.word}\", expect: {contains: s3cret}}", REASON_NONE, 200},
        {"{get: \"/mirror/${secret.other}\"}", REASON_OTHER, 0},
        {"{get: /ok, headers: {X-Bad: \"a\\r\\nb: c\"}}", REASON_OTHER, 0},
        {"{post: /echo, json: {a: [1, \"${request.time_ms}\"]}, expect: {contains: \"Content-Type: application/json\"}}", REASON_NONE, 200},
        {"{post: /echo, json: {a: 1}, headers: {content-type: text/x}, expect: {contains: \"content-type: text/x\"}}", REASON_NONE, 200},
        {"{put: /echo, body: \"v=${request.random}\", expect: {contains: \"v=\"}}", REASON_NONE, 200},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct drill d = {0};
        prepare(&d, "{rate: 1/s, deadline: 40ms, targets: {url: \"http://127.0.0.1:%d\"}, steps: [%s]}", server.port, rows[i].step);
        run_drill(&d, 0, NS_PER_MS);
        assert_int_equal(d.count, 1);
        if (d.samples[0].reason != rows[i].reason || d.samples[0].status != rows[i].status)
            fail_msg("%s: %s, status %d", rows[i].step, reason_names[d.samples[0].reason], d.samples[0].status);
        if (rows[i].reason == REASON_TIMEOUT)
            assert_true(d.samples[0].end_ns - d.samples[0].planned_ns >= 40 * NS_PER_MS);
        release(&d);
    }
}

static void steps_follow_each_other(void **state) {
    (void)state;
    struct drill d = {0};
    prepare(&d, "rate: 200/s\ndeadline: 500ms\n"
                "targets: {selector: {pods: [x]}, base: \"http://${pod.ip}:${pod.index}\", ready: true}\n"
                "steps:\n"
                "  - {get: /json, capture: {token: n.term}}\n"
                "  - {get: \"/mirror/${capture.token}-${pod.ip}\", "
                "expect: {json: {x: \"${capture.token}-${pod.ip}\"}}, capture: {all: x}}\n"
                "  - {post: /echo, json: {v: \"${capture.all}\"}, expect: {contains: '{\"v\":\"7-127.0.0.1\"}'}}\n");
    run_drill(&d, 0, 30 * NS_PER_MS);
    assert_int_equal(d.count, 6);
    for (size_t i = 0; i < d.count; i++) {
        assert_int_equal(d.samples[i].reason, REASON_NONE);
        assert_int_equal(d.samples[i].steps, 3);
        assert_int_equal(d.samples[i].target, i % 3); /* in turn */
    }
    assert_int_equal(d.resolved, 6); /* once a request: a pod does not change under it */
    release(&d);
}

static void pod_goes(void *arg) { ((struct drill *)arg)->gone = true; }

static void values_outlive_the_pod(void **state) {
    (void)state;
    struct drill d = {0};
    prepare(&d, "{rate: 1/s, targets: {selector: {pods: [x]}, base: \"http://${pod.ip}:${pod.index}\", ready: true},"
                "steps: [{get: /slow/20}, {get: \"/mirror/${pod.index}\", expect: {json: {x: \"${pod.index}\"}}}]}");
    arm(&d, pod_goes, &d, 5);
    run_drill(&d, 0, NS_PER_MS);
    assert_true(d.gone);
    assert_int_equal(d.samples[0].reason, REASON_NONE);
    timer_free(d.stop_timer);
    release(&d);
}

static void the_deadline_is_over_all_steps(void **state) {
    (void)state;
    struct drill d = {0};
    prepare(&d, "{rate: 1/s, deadline: 50ms, targets: {url: \"http://127.0.0.1:%d\"}, steps: [{get: /slow/30}, {get: /slow/30}]}",
            server.port);
    run_drill(&d, 0, NS_PER_MS);
    assert_int_equal(d.samples[0].reason, REASON_TIMEOUT);
    assert_int_equal(d.samples[0].steps, 1);
    assert_in_range(d.samples[0].end_ns - d.samples[0].planned_ns, 50 * NS_PER_MS, 80 * NS_PER_MS);
    release(&d);
}

static void a_full_house_leaves_requests_unsent(void **state) {
    (void)state;
    struct drill d = {0};
    prepare(&d, "{rate: 100/s, deadline: 200ms, concurrency: 3, targets: {selector: {pods: [x]}, base: \"http://${pod.ip}:${pod.index}\","
                "ready: true}, steps: [{get: /hang}]}");
    run_drill(&d, 0, 100 * NS_PER_MS);
    assert_int_equal(d.count, 10);
    assert_int_equal(count_of(&d, OUTCOME_BAD, REASON_TIMEOUT), 3);
    assert_int_equal(count_of(&d, OUTCOME_UNSENT_CAP, REASON_CAP), 7);
    for (size_t i = 3; i < 10; i++) {
        assert_int_equal(d.samples[i].start_ns, d.samples[i].planned_ns);
        assert_int_equal(d.samples[i].end_ns, d.samples[i].planned_ns);
        assert_int_equal(d.samples[i].target, i % 3);
    }
    release(&d);
}

static void no_target_is_bad(void **state) {
    (void)state;
    struct drill d = {.resolve_rc = -ENOENT};
    prepare(&d, "{rate: 1000/s, targets: {selector: {pods: [x]}, base: \"http://${pod.ip}\", ready: true}, steps: [{get: /}]}");
    run_drill(&d, 0, 10 * NS_PER_MS);
    assert_int_equal(d.count, 10);
    assert_int_equal(count_of(&d, OUTCOME_BAD, REASON_NO_TARGET), 10);
    assert_int_equal(d.samples[4].end_ns, d.samples[4].planned_ns);
    release(&d);
}

static void a_stall_of_our_own_is_no_burst(void **state) {
    (void)state;
    struct drill d = {0};
    prepare(&d, "{rate: 100/s, late: 50ms, targets: {url: \"http://127.0.0.1:%d\"}, steps: [{get: /ok}]}", server.port);
    run_drill(&d, 205 * NS_PER_MS, 250 * NS_PER_MS); /* as if the loop had not turned for 205 ms */
    assert_int_equal(d.count, 25);
    size_t unsent = count_of(&d, OUTCOME_UNSENT_STALL, REASON_STALL);
    assert_in_range(unsent, 16, 19); /* planned at 0 ... 150 ms; a few more when this machine is slow */
    assert_int_equal(count_of(&d, OUTCOME_GOOD, REASON_NONE), 25 - unsent);
    assert_true(d.samples[unsent].flags & SAMPLE_LATE);
    release(&d);
}

static void stop_it(void *arg) {
    struct drill *d = arg;
    d->load->kind->stop(d->load);
    d->load->kind->stop(d->load);
    assert_int_equal(d->ended, 0); /* never from within */
}

static void stop_waits_for_what_is_under_way(void **state) {
    (void)state;
    struct drill d = {0};
    prepare(&d, "{rate: 100/s, targets: {url: \"http://127.0.0.1:%d\"}, steps: [{get: /slow/60}]}", server.port);
    arm(&d, stop_it, &d, 35);
    run_drill(&d, 0, 10 * NS_PER_S);
    timer_free(d.stop_timer);
    assert_in_range(d.count, 4, 6);
    size_t good = count_of(&d, OUTCOME_GOOD, REASON_NONE), missed = count_of(&d, OUTCOME_UNSENT_STALL, REASON_STALL); /* a hiccup of the machine */
    assert_true(good > 0 && good + missed == d.count);
    release(&d);
}

static void a_load_never_begun_ends_too(void **state) {
    (void)state;
    struct drill d = {0};
    prepare(&d, "{rate: 100/s, targets: {urls: [\"http://127.0.0.1:%d\"]}, steps: [{get: /ok}]}", server.port);
    stop_it(&d);
    loop_run(loop);
    assert_int_equal(d.ended, 1);
    finish_drill(&d);
    assert_int_equal(d.count, 0);
    release(&d);
}

static void stop_loop(void *l) { loop_stop(l); }

static void freeing_cancels_what_is_under_way(void **state) {
    (void)state;
    struct drill d = {0};
    prepare(&d, "{rate: 1000/s, lanes: [reused, fresh], targets: {url: \"http://127.0.0.1:%d\"}, steps: [{get: /hang}]}", server.port);
    arm(&d, stop_loop, loop, 20);
    int64_t now = loop_now();
    d.load->kind->begin(d.load, now, now + NS_PER_S);
    d.load->kind->begin(d.load, now, now + NS_PER_S); /* once only */
    loop_run(loop);
    timer_free(d.stop_timer);
    d.load->kind->figures(d.load, &d.figures);
    assert_true(d.figures.in_flight > 0);
    finish_drill(&d);
    assert_int_equal(d.ended, 0);
    assert_int_equal(d.count, 0);
    load_kinds[0]->free(NULL);
    release(&d);
}

static void random_picks_follow_the_seed(void **state) {
    (void)state;
    uint16_t first[20];
    for (int round = 0; round < 3; round++) {
        struct drill d = {.resolve_rc = 0};
        prepare(&d, "{rate: 2000/s, arrival: poisson, targets: {selector: {pods: [x]}, base: \"http://${pod.ip}:${pod.index}\","
                    "pick: random, ready: true}, steps: [{get: /ok}]}");
        d.load->kind->free(d.load);
        d.ctx.seed = round < 2 ? 7 : 8;
        assert_return_code(load_kinds[0]->new(&d.spec, &d.ctx, &d.load, NULL), 0);
        run_drill(&d, 0, 40 * NS_PER_MS);
        assert_true(d.count >= 20);
        int same = 0;
        for (int i = 0; i < 20; i++) {
            same += d.samples[i].target == first[i];
            first[i] = d.samples[i].target;
        }
        assert_true(round == 0 || (same == 20) == (round == 1));
        release(&d);
    }
}

static int by_u64(const void *a, const void *b) {
    return (*(const uint64_t *)a > *(const uint64_t *)b) - (*(const uint64_t *)a < *(const uint64_t *)b);
}

static void ids_are_unique(void **state) {
    (void)state;
    enum { N = 20000 };
    struct drill d = {0};
    prepare(&d, "{rate: 1/s, targets: {url: \"http://127.0.0.1:%d\"}, steps: [{get: /ok}]}", server.port);
    uint64_t *ids = calloc(2 * N, sizeof *ids), key = ((struct open_loop *)(void *)d.load)->id_key;
    for (int load = 0; load < 2; load++) {
        d.load->kind->free(d.load);
        d.ctx.index = (uint16_t)load;
        assert_return_code(load_kinds[0]->new(&d.spec, &d.ctx, &d.load, NULL), 0);
        assert_int_equal(((struct open_loop *)(void *)d.load)->id_key, key);
        for (uint64_t i = 0; i < N; i++)
            ids[(size_t)load * N + i] = open_loop_id((struct open_loop *)(void *)d.load, i);
    }
    qsort(ids, 2 * N, sizeof *ids, by_u64);
    for (size_t i = 1; i < 2 * N; i++)
        assert_true(ids[i] != ids[i - 1]);
    free(ids);
    finish_drill(&d);
    release(&d);
}

static void bad_rows_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"{targets: {url: \"http://a\"}, steps: [{get: /}]}", "rate"},
        {"{rate: 1/s, steps: [{get: /}]}", "targets"},
        {"{rate: 1/s, targets: {url: \"http://a\"}}", "steps"},
        {"{rate: 1/s, targets: {}, steps: [{get: /}]}", "one of selector, url and urls"},
        {"{rate: 1/s, targets: {url: \"http://a\", urls: [\"http://b\"]}, steps: [{get: /}]}", "only one"},
        {"{rate: 1/s, targets: {selector: {pods: [x]}}, steps: [{get: /}]}", "needs base"},
        {"{rate: 1/s, targets: {url: \"http://a\", base: \"http://b\"}, steps: [{get: /}]}", "base goes with selector"},
        {"{rate: 1/s, targets: {url: \"http://a\", ready: true}, steps: [{get: /}]}", "ready goes with selector"},
        {"{rate: 1/s, targets: {url: \"a:80\"}, steps: [{get: /}]}", "http://"},
        {"{rate: 1/s, targets: {urls: [\"http://a\", \"b\"]}, steps: [{get: /}]}", "http://"},
        {"{rate: 1/s, lanes: [fresh, fresh], targets: {url: \"http://a\"}, steps: [{get: /}]}", "twice"},
        {"{rate: 0/s, targets: {url: \"http://a\"}, steps: [{get: /}]}", "rate"},
        {"{rate: 1/s, lanes: [exec], targets: {url: \"http://a\"}, steps: [{get: /}]}", "lanes"},
        {"{rate: 1/s, deadline: 0s, targets: {url: \"http://a\"}, steps: [{get: /}]}", "deadline"},
        {"{rate: 1/s, targets: {url: \"http://a:0\"}, steps: [{get: /}]}", "port 0: expected"},
        {"{rate: 1/s, targets: {url: \"http://[::1]:70000/x:1\"}, steps: [{get: /}]}", "port 70000: expected"},
        {"{rate: 1/s, targets: {urls: [\"http://u:1@a:80x\"]}, steps: [{get: /}]}", "port 80x: expected"},
        {"{rate: 1/s, targets: {selector: {pods: [a]}, base: \"http://a:-1\"}, steps: [{get: /}]}", "port -1: expected"},
        {"{rate: 1/s, insecure: true, caFile: /dev/null, targets: {url: \"https://a\"}, steps: [{get: /}]}", "insecure"},
        {"{rate: 1/s, caFile: /no/such, targets: {url: \"https://a\"}, steps: [{get: /}]}", "/no/such: No such file"},
        {"{rate: 1/s, caFile: /dev/null, targets: {url: \"https://a\"}, steps: [{get: /}]}", "/dev/null: no certificate in it"},
        {"{rate: 1/s, caFile: /, targets: {url: \"https://a\"}, steps: [{get: /}]}", "/: Is a directory"},
        {"{rate: 1/s, concurrency: 100001, targets: {url: \"http://a\"}, steps: [{get: /}]}", "concurrency"},
        {"{rate: 1/s, targets: {url: \"http://a\"}, steps: [{get: \"/${capture.x}\"}]}", "no earlier step captures \"x\""},
        {"{rate: 1/s, targets: {url: \"http://a\"}, steps: [{get: \"/${capture.x}\", capture: {x: y}}]}", "no earlier step"},
        {"{rate: 1/s, targets: {url: \"http://${capture.x}\"}, steps: [{get: /, capture: {x: y}}]}", "no earlier step"},
        {"{rate: 1/s, targets: {url: \"http://a\"}, steps: [{get: \"/${pod.ip}\"}]}", "there is no pod"},
        {"{rate: 1/s, targets: {url: \"http://a\"}, steps: [{post: /, json: {k: \"${ledger.key}\"}}]}", "no ledger"},
        {"{rate: 1/s, lane: fresh, targets: {url: \"http://a\"}, steps: [{get: /}]}", "lane"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct drill d = {0};
        struct error err = {{0}};
        int rc = decode(&d, rows[i].text, &err);
        if (rc >= 0 || !strstr(err.text, rows[i].error) || !strstr(err.text, "load.yaml:1:"))
            fail_msg("%s: %s", rows[i].text, rc < 0 ? err.text : "accepted");
        release(&d);
    }
}

static void the_header_says_what_it_is(void **state) {
    (void)state;
    struct drill d = {0};
    struct error err;
    assert_return_code(decode(&d, "{rate: 2.5/s, targets: {url: \"http://a\"}, steps: [{get: /}]}", &err), 0);
    assert_int_equal(d.params.concurrency, 1000);
    assert_int_equal(d.params.late_ns, 100 * NS_PER_MS);
    cleanup_json json_t *j = load_kinds[0]->describe(&d.spec);
    cleanup_json json_t *want = json_pack("{s:s, s:i, s:[s], s:i, s:b}", "kind", "http", "rate_micro", 2500000, "lanes", "reused", "deadline_ns",
                                          1000000000, "ledger", 0);
    assert_true(json_equal(j, want));
    release(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_arrival_gives_one_sample),
        cmocka_unit_test(answers_are_judged),
        cmocka_unit_test(steps_follow_each_other),
        cmocka_unit_test(values_outlive_the_pod),
        cmocka_unit_test(the_deadline_is_over_all_steps),
        cmocka_unit_test(a_full_house_leaves_requests_unsent),
        cmocka_unit_test(no_target_is_bad),
        cmocka_unit_test(a_stall_of_our_own_is_no_burst),
        cmocka_unit_test(stop_waits_for_what_is_under_way),
        cmocka_unit_test(a_load_never_begun_ends_too),
        cmocka_unit_test(freeing_cancels_what_is_under_way),
        cmocka_unit_test(random_picks_follow_the_seed),
        cmocka_unit_test(ids_are_unique),
        cmocka_unit_test(bad_rows_are_refused),
        cmocka_unit_test(the_header_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
