/* SPDX-License-Identifier: Apache-2.0 */
/* The closed loop: as many under way as asked for, each answer brings about the next request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "load/http_priv.h"

#include <errno.h>
#include <string.h>

enum { MOST = 3 };

struct fake { /* a load whose answers come a ms later */
    struct open_loop open; /* first */
    struct loop *loop;
    struct timer *answers, *stopper;
    struct arrival waiting[MOST + 1];
    size_t count, most;
    int ended, resolve_rc;
    bool local_trouble;
    int64_t last_planned, stopped_at;
    char dir[64];
};

static void on_answers(void *arg) {
    struct fake *f = arg;
    struct arrival now[MOST + 1];
    size_t n = f->count;
    memcpy(now, f->waiting, sizeof now);
    f->count = 0;
    for (size_t i = 0; i < n; i++) {
        struct sample s = open_loop_sample(&f->open, &now[i], SAMPLE_NO_TARGET);
        open_loop_finish(&f->open, &now[i], &s, REASON_NONE, now[i].planned_ns, loop_now());
    }
}

static void fake_send(struct open_loop *o, const struct arrival *a) {
    struct fake *f = (struct fake *)(void *)o;
    struct load_target target;
    f->last_planned = a->planned_ns;
    if (!open_loop_admit(o, a, f->resolve_rc ? (const struct selector *)(const void *)f : NULL, false, &target))
        return;
    if (f->local_trouble) {
        open_loop_give_up(o, a, SAMPLE_NO_TARGET);
        return;
    }
    assert_true(f->count < MOST);
    f->waiting[f->count++] = *a;
    f->most = f->count > f->most ? f->count : f->most;
    timer_after(f->answers, NS_PER_MS);
}

static int no_target(void *arg, const struct selector *s, bool ready_only, uint64_t turn, struct load_target *ret) {
    (void)s;
    (void)ready_only;
    (void)turn;
    (void)ret;
    return ((struct fake *)arg)->resolve_rc;
}

static void on_ended(void *arg) {
    struct fake *f = arg;
    f->ended++;
    loop_stop(f->loop);
}

static void fake_begin(struct fake *f, int64_t for_ns) {
    static const int lanes[] = {LANE_REUSED};
    struct error err = {""};
    strcpy(f->dir, "/tmp/test-saturate-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_return_code(loop_new(&f->loop, &err), 0);
    struct load_context ctx = {.loop = f->loop, .seed = 7, .netns_fd = -1, .resolve = no_target, .resolve_arg = f, .ended = on_ended, .ended_arg = f};
    cleanup_json json_t *header = json_object();
    assert_return_code(recorder_open(&ctx.recorder, f->dir, header, &clock_monotonic, &err), 0);
    const struct load_spec spec = {.name = "gets"};
    const struct open_loop_plan plan = {.saturate = true, .lanes = {lanes, 1}, .deadline_ns = NS_PER_S, .late_ns = NS_PER_S, .concurrency = MOST};
    assert_return_code(open_loop_init(&f->open, load_kinds[0], &spec, &ctx, &plan, fake_send, &err), 0);
    assert_return_code(timer_new(f->loop, on_answers, f, &f->answers, &err), 0);
    open_loop_begin(&f->open.load, loop_now(), loop_now() + for_ns);
}

static struct load_figures fake_end(struct fake *f) {
    struct load_figures figures;
    loop_run(f->loop);
    assert_int_equal(f->ended, 1);
    open_loop_figures(&f->open.load, &figures);
    assert_int_equal(figures.in_flight, 0);
    assert_int_equal(figures.planned, figures.good + figures.bad + figures.unsent);
    assert_return_code(recorder_close(f->open.ctx.recorder, NULL), 0);
    open_loop_free(&f->open);
    timer_free(f->answers);
    timer_free(f->stopper);
    loop_free(f->loop);
    assert_return_code(fs_remove_tree(f->dir, NULL), 0);
    return figures;
}

static void test_each_answer_brings_the_next(void **state) {
    (void)state;
    struct fake f = {0};
    fake_begin(&f, 60 * NS_PER_MS);
    int64_t end = f.open.end_ns;
    struct load_figures figures = fake_end(&f);
    assert_int_equal(f.most, MOST);
    assert_int_equal(figures.good, figures.planned);
    assert_in_range(figures.planned, 2 * MOST, 61 * MOST); /* at the most every ms; few on a busy machine */
    assert_true(f.last_planned < end);
}

static void test_nowhere_to_go_is_no_busy_loop(void **state) {
    (void)state;
    struct fake f = {.resolve_rc = -ENOENT};
    fake_begin(&f, 55 * NS_PER_MS);
    struct load_figures figures = fake_end(&f);
    assert_int_equal(figures.bad, figures.planned);
    assert_in_range(figures.planned, 1, 6); /* one each 10 ms */
    struct fake g = {.local_trouble = true};
    fake_begin(&g, 55 * NS_PER_MS);
    figures = fake_end(&g);
    assert_int_equal(figures.unsent, figures.planned);
    assert_in_range(figures.planned, 1, 6);
}

static void stop_it(void *arg) {
    struct fake *f = arg;
    f->stopped_at = loop_now();
    open_loop_stop(&f->open.load);
    assert_int_equal(f->ended, 0);
}

static void test_stop_sends_no_more(void **state) {
    (void)state;
    struct fake f = {0};
    fake_begin(&f, 10 * NS_PER_S);
    assert_return_code(timer_new(f.loop, stop_it, &f, &f.stopper, NULL), 0);
    timer_after(f.stopper, 20 * NS_PER_MS);
    struct load_figures figures = fake_end(&f);
    assert_int_equal(figures.good, figures.planned);
    assert_true(f.last_planned <= f.stopped_at);
}

static int decode(const char *text, struct http_load *ret, struct arena *a, struct doc **doc, struct error *err) {
    int rc = doc_parse("load.yaml", text, strlen(text), doc, err);
    return rc < 0 ? rc : schema_decode(*doc, "", &http_load_shape, NULL, a, ret, err);
}

static void test_rate_or_saturate(void **state) {
    (void)state;
    static const struct { const char *text, *error; } rows[] = {
        {"{targets: {url: \"http://a\"}, steps: [{get: /}]}", "missing \"rate\""},
        {"{saturate: false, targets: {url: \"http://a\"}, steps: [{get: /}]}", "missing \"rate\""},
        {"{rate: 5/s, saturate: true, targets: {url: \"http://a\"}, steps: [{get: /}]}", "exclude each other"},
        {"{saturate: true, arrival: poisson, targets: {url: \"http://a\"}, steps: [{get: /}]}", "arrival goes with rate"},
        {"{saturate: true, lanes: [reused, fresh], targets: {url: \"http://a\"}, steps: [{get: /}]}", "goes with reused connections"},
        {"{saturate: true, concurrency: 5, targets: {url: \"http://a\"}, steps: [{get: /}]}", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arena *a = arena_new();
        struct doc *doc = NULL;
        struct http_load p = {0};
        struct error err = {""};
        int rc = decode(rows[i].text, &p, a, &doc, &err);
        if (rows[i].error ? rc >= 0 || !strstr(err.text, rows[i].error) || !strstr(err.text, "load.yaml:1:") : rc < 0)
            fail_msg("%s: %s", rows[i].text, rc < 0 ? err.text : "accepted");
        if (rc == 0) {
            const struct load_spec spec = {.name = "gets", .kind = {.kind = &load_kinds[0]->row, .params = &p, .path = ""}};
            cleanup_json json_t *j = load_kinds[0]->describe(&spec);
            assert_true(json_is_true(json_object_get(j, "closed")));
            assert_true(json_is_null(json_object_get(j, "rate_micro"))); /* unknown beforehand, not 0 */
        }
        doc_free(doc);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_answer_brings_the_next),
        cmocka_unit_test(test_nowhere_to_go_is_no_busy_loop),
        cmocka_unit_test(test_stop_sends_no_more),
        cmocka_unit_test(test_rate_or_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
