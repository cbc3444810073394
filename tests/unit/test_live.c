/* SPDX-License-Identifier: Apache-2.0 */
/* The live view without a terminal: events and samples in, lines of text out. */
#include "base/clock.h"
#include "live_render.h"
#include "live_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MS NS_PER_MS

static const struct live_style plain = {.utf8 = true}, ascii = {0}, coloured = {.utf8 = true, .colour = true};

struct world {
    struct load_spec loads[12];
    struct fault_spec faults[2];
    struct role roles[1];
    struct plan_act acts[3];
    struct scenario s;
    struct plan p;
    struct live_model m;
    struct live_frame f;
};

static void event(struct world *w, int64_t t_ms, const char *op, const char *phase, const char *kind, const char *target, const char *data) {
    json_t *d = json_loads(data, 0, NULL);
    assert_non_null(d);
    json_t *e = json_pack("{s:I, s:s, s:s, s:s, s:s, s:o}", "t", (json_int_t)(t_ms * MS), "op", op, "phase", phase, "kind", kind, "target", target, "data", d);
    live_model_event(&w->m, e);
    json_decref(e);
}

static void sample(struct world *w, int load, int64_t end_ms, double latency_ms, int outcome) {
    struct sample s = {.planned_ns = end_ms * MS - (int64_t)(latency_ms * 1e6), .end_ns = end_ms * MS, .load = (uint16_t)load, .outcome = (uint8_t)outcome};
    live_model_sample(&w->m, &s);
}

static void start(struct world *w, const char *scenario, const char *load, size_t loads) {
    memset(w, 0, sizeof *w);
    for (size_t i = 0; i < loads; i++)
        w->loads[i].name = load;
    w->faults[0].name = "kill-leader";
    w->faults[1].name = "pause";
    w->roles[0].name = "leader";
    w->acts[0] = (struct plan_act){.fault = 0, .occurrence = 1, .at_ns = 10 * NS_PER_S};
    w->acts[1] = (struct plan_act){.fault = 1, .occurrence = 1, .at_ns = 40 * NS_PER_S, .for_ns = 5 * NS_PER_S};
    w->s = (struct scenario){.name = scenario, .duration_ns = 70 * NS_PER_S, .loads = {.items = w->loads, .count = loads},
                             .faults = {.items = w->faults, .count = 2}, .roles = {.items = w->roles, .count = 1}};
    w->p = (struct plan){.seed = 7, .acts = w->acts, .count = 2};
    assert_int_equal(live_model_init(&w->m, &w->s, &w->p), 0);
}

static void finish(struct world *w) {
    live_model_free(&w->m);
    live_frame_free(&w->f);
}

/* Three pods, ready at 2 s when the schedule starts; a hundred requests a second until 12.5 s, a third of them bad from 12 s on. */
static void drill(struct world *w) {
    start(w, "etcd-leader-kill", "writes", 1);
    event(w, 0, "run/ready", "invoke", "", "", "{}");
    for (int i = 0; i < 3; i++) {
        char name[] = "etcd-0";
        name[5] += (char)i;
        event(w, 10, "cluster/pod", "info", "created", name, "{\"restarts\":0}");
        event(w, 20, "cluster/pod", "info", "started", name, "{\"restarts\":0}");
        event(w, 1000 + i, "cluster/pod", "info", "ready", name, "{\"restarts\":0}");
    }
    event(w, 1500, "role/now", "info", "leader", "etcd-1", "{\"data\":{\"term\":2}}");
    event(w, 2000, "run/schedule", "info", "", "", "{}");
    for (int t = 2000; t < 12500; t += 10)
        sample(w, 0, t, 2, t >= 12000 && t % 30 == 0 ? OUTCOME_BAD : OUTCOME_GOOD);
}

static void draw(struct world *w, size_t width, size_t height, const struct live_style *style) {
    assert_int_equal(live_render(&w->m, width, height, style, &w->f), 0);
}

static const char *text_of(struct world *w) {
    static char all[100000];
    size_t n = 0;
    for (size_t i = 0; i < w->f.count; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s\n", w->f.lines[i].data ? w->f.lines[i].data : "");
    return all;
}

static void assert_shows(struct world *w, const char *part) {
    if (!strstr(text_of(w), part))
        fail_msg("\"%s\" is not in\n%s", part, text_of(w));
}

static void test_picture(void **state) {
    (void)state;
    struct world w;
    drill(&w);
    event(&w, 12000, "fault/act", "invoke", "pod-kill", "etcd-1", "{\"id\":1,\"fault\":\"kill-leader\",\"occurrence\":1}");
    event(&w, 12003, "cluster/pod", "info", "exited", "etcd-1", "{\"signal\":9,\"restarts\":0}");
    event(&w, 12003, "fault/observed", "info", "", "etcd-1", "{\"id\":1}");
    event(&w, 12004, "role/now", "info", "leader", "", "{}");
    live_model_tick(&w.m, 12500 * MS, &(struct load_figures){.in_flight = 4});
    draw(&w, 80, 24, &plain);
    assert_string_equal(text_of(&w), " etcd-leader-kill  seed 7                                               running\n"
                                     " 0:10 of 1:10 ████████▊────────────────────────╂─────────────────────────  15 %\n"
                                     "\n"
                                     " load         rate     good     bad       p99  good so far  bad so far\n"
                                     " writes      100/s     83/s    17/s       bad      98.38 %          17\n"
                                     " ▇▇▇▇▇▇▇▇▇▇\n"
                                     "\n"
                                     " ● kill-leader #1  etcd-1  0.5 s ago, not back  pod-kill\n"
                                     " next fault in 29 s: pause #1\n"
                                     "\n"
                                     " pod       state    ready      restarts\n"
                                     " etcd-0    running  ready             0\n"
                                     " etcd-1    exited   not ready         0\n"
                                     " etcd-2    running  ready             0\n"
                                     "\n"
                                     "         -  waiting until every pod is ready\n"
                                     "         -  etcd-0 ready\n"
                                     "         -  etcd-1 ready\n"
                                     "         -  etcd-2 ready\n"
                                     "         -  leader is etcd-1, term 2\n"
                                     "     0.000  load and schedule start\n"
                                     "    10.000  kill-leader #1: pod-kill etcd-1\n"
                                     "    10.003  etcd-1 exited by signal 9\n"
                                     "    10.004  leader is nobody\n");
    draw(&w, 44, 12, &ascii);
    assert_string_equal(text_of(&w), " etcd-leader-kill  seed 7           running\n"
                                     " 0:10 of 1:10 ###----------!---------  15 %\n"
                                     " load         good     bad       p99\n"
                                     " writes       83/s    17/s       bad\n"
                                     " * kill-leader #1  etcd-1  0.5 s ago\n"
                                     " next fault in 29 s: pause #1\n"
                                     " 2 of 3 pods ready: etcd-1 exited; leader n~\n"
                                     "     0.0  load and schedule start\n"
                                     "    10.0  kill-leader #1: pod-kill etcd-1\n"
                                     "    10.0  etcd-1 exited by signal 9\n"
                                     "    10.0  leader is nobody\n");
    finish(&w);
}

/* Of another program's requests nothing is known before it tells of them: no zeros. */
static void test_external(void **state) {
    (void)state;
    struct world w;
    drill(&w);
    w.m.loads[0].external = true;
    w.m.loads[0].control = true;
    draw(&w, 100, 30, &plain);
    assert_shows(&w, " writes (control)");
    memset(&w.m.loads[0].window, 0, sizeof w.m.loads[0].window);
    draw(&w, 100, 30, &plain);
    assert_shows(&w, " writes (control)        -        -       -         -          -            -           -\n");
    finish(&w);
}

static void test_follow(void **state) {
    (void)state;
    struct world w;
    drill(&w);
    live_model_tick(&w.m, 11000 * MS, NULL);
    draw(&w, 100, 30, &plain);
    assert_shows(&w, " next fault in 1.0 s: kill-leader #1\n");
    assert_shows(&w, " etcd-1    running  ready             0  leader\n");
    assert_int_equal(w.m.fault_count, 0);
    /* What holds is there until it is reverted, with the time that is left. */
    event(&w, 12000, "fault/act", "invoke", "pod-pause", "etcd-0", "{\"id\":2,\"fault\":\"pause\",\"occurrence\":1,\"for_ns\":5000000000}");
    live_model_tick(&w.m, 13000 * MS, NULL);
    draw(&w, 100, 30, &plain);
    assert_shows(&w, "pause #1  etcd-0  4.0 s left, not seen yet  pod-pause");
    event(&w, 13000, "cluster/pod", "info", "frozen", "etcd-0", "{}");
    event(&w, 13000, "fault/observed", "info", "", "etcd-0", "{\"id\":2}");
    draw(&w, 100, 30, &plain);
    assert_shows(&w, "pause #1  etcd-0  4.0 s left  pod-pause");
    assert_shows(&w, " etcd-0    frozen   ready ");
    event(&w, 17000, "fault/revert", "invoke", "", "etcd-0", "{\"id\":2}");
    draw(&w, 100, 30, &plain);
    assert_shows(&w, "etcd-0  reverting");
    event(&w, 17001, "cluster/pod", "info", "thawed", "etcd-0", "{}");
    event(&w, 17001, "fault/revert", "ok", "", "etcd-0", "{\"id\":2}");
    assert_int_equal(w.m.fault_count, 0);
    /* One that is not reverted stays in sight, one that failed goes, one without effect on readiness goes after a while. */
    event(&w, 18000, "fault/act", "invoke", "k", "etcd-0", "{\"id\":3,\"fault\":\"pause\",\"occurrence\":2,\"for_ns\":1000000}");
    event(&w, 18001, "fault/revert", "fail", "", "etcd-0", "{\"id\":3,\"why\":\"x\"}");
    event(&w, 18000, "fault/act", "invoke", "k", "etcd-1", "{\"id\":4,\"fault\":\"kill\",\"occurrence\":1}");
    event(&w, 18001, "fault/act", "fail", "k", "etcd-1", "{\"id\":4,\"why\":\"x\"}");
    event(&w, 18000, "fault/act", "invoke", "k", "etcd-2", "{\"id\":5,\"fault\":\"kill\",\"occurrence\":2}");
    assert_int_equal(w.m.fault_count, 2);
    live_model_tick(&w.m, 21500 * MS, NULL);
    assert_int_equal(w.m.fault_count, 1);
    event(&w, 22000, "cluster/pod", "info", "removed", "etcd-1", "{}");
    assert_int_equal(w.m.pod_count, 2);
    event(&w, 22000, "run/abort", "info", "", "", "{\"why\":\"SIGINT\"}");
    draw(&w, 100, 30, &plain);
    assert_shows(&w, "aborted, reverting");
    assert_shows(&w, "aborted: SIGINT");
    finish(&w);
}

/* A victim that comes back ends the act that killed it. */
static void test_back(void **state) {
    (void)state;
    struct world w;
    drill(&w);
    event(&w, 12000, "fault/act", "invoke", "k", "etcd-1", "{\"id\":1,\"fault\":\"kill\",\"occurrence\":1}");
    event(&w, 12001, "cluster/pod", "info", "exited", "etcd-1", "{}");
    live_model_tick(&w.m, 60000 * MS, NULL);
    assert_int_equal(w.m.fault_count, 1);
    event(&w, 60001, "cluster/pod", "info", "started", "etcd-1", "{\"restarts\":1}");
    assert_int_equal(w.m.fault_count, 1);
    event(&w, 60002, "cluster/pod", "info", "ready", "etcd-1", "{\"restarts\":1}");
    assert_int_equal(w.m.fault_count, 0);
    finish(&w);
}

static void check_fits(struct world *w, size_t width, size_t height, const struct live_style *style) {
    draw(w, width, height, style);
    if (w->f.count > height)
        fail_msg("%zu lines of %zu", w->f.count, height);
    for (size_t i = 0; i < w->f.count; i++) {
        char bare[20000], *to = bare;
        const char *line = w->f.lines[i].data ? w->f.lines[i].data : "";
        bool open = false;
        for (const char *p = line; *p; p++) {
            if (*p != '\x1b') {
                *to++ = *p;
                continue;
            }
            /* the only sequences are ours: colours */
            size_t n = strspn(p + 2, "0123456789");
            if (!style->colour || p[1] != '[' || p[2 + n] != 'm')
                fail_msg("a sequence of its own: %s", p + 1);
            open = strncmp(p, "\x1b[0m", 4) != 0;
            p += 2 + n;
        }
        *to = 0;
        if (open)
            fail_msg("a colour is left open: %s", bare);
        if (live_columns(bare, true) > width)
            fail_msg("%zu columns of %zu: %s", live_columns(bare, true), width, bare);
        for (to = bare; *to; to++)
            if ((unsigned char)*to < 0x20 || *to == 0x7f || (!style->utf8 && (*to & 0x80)))
                fail_msg("byte %02x: %s", (unsigned char)*to, bare);
    }
}

/* Every size, everything hostile: it fits, and nothing from outside reaches the terminal as a command. */
static void test_sizes(void **state) {
    (void)state;
    static const char evil[] = "a\x1b]0;x\x07\x1b[2J\r\n\x9b\xc2\x9b\xe2\x80\xae\xff\xe6\xbc\xa2\xe5\xad\x97\xf0\x9f\x98\x80 and a very long name that goes on and on and on";
    char data[1000], quoted[500] = "", *to = quoted;
    for (const char *p = "a\\u001b]0;x\\u0007\\u001b[2J\\r\\n\\u009b\\u202e\\u6f22\\u5b57 long long long long long long long"; *p; p++)
        *to++ = *p;
    *to = 0;
    struct world w;
    start(&w, evil, evil, 12);
    event(&w, 0, "run/schedule", "info", "", "", "{}");
    for (int i = 0; i < 300; i++) {
        char name[300];
        snprintf(name, sizeof name, "pod-%d \x1b[31m \xe6\xbc\xa2", i);
        event(&w, i, "cluster/pod", "info", i % 7 ? "ready" : "backoff", name, "{\"restarts\":3}");
        snprintf(data, sizeof data, "{\"id\":%d,\"fault\":\"%s\",\"occurrence\":1,\"for_ns\":5000000000,\"why\":\"%s\"}", i, quoted, quoted);
        event(&w, i, "fault/act", "invoke", "\x1b[31mkind", name, data);
        for (int l = 0; l < 12; l++)
            sample(&w, l, i * 20, i, i % 3);
        event(&w, i, "fault/act", "info", "skip", "", data);
    }
    live_model_tick(&w.m, 5900 * MS, NULL);
    static const size_t widths[] = {1, 2, 5, 10, 20, 39, 40, 41, 60, 79, 80, 100, 120, 250, 500, 5000};
    static const size_t heights[] = {1, 2, 3, 5, 7, 9, 10, 11, 15, 21, 22, 24, 40, 60, 199, 200, 5000};
    const struct live_style *styles[] = {&plain, &ascii, &coloured};
    for (size_t s = 0; s < 3; s++)
        for (size_t x = 0; x < sizeof widths / sizeof *widths; x++)
            for (size_t y = 0; y < sizeof heights / sizeof *heights; y++)
                check_fits(&w, widths[x], heights[y], styles[s]);
    finish(&w);
}

/* What matters is there also in the smallest window promised. */
static void test_small(void **state) {
    (void)state;
    struct world w;
    drill(&w);
    event(&w, 12000, "fault/act", "invoke", "k", "etcd-1", "{\"id\":1,\"fault\":\"kill-leader\",\"occurrence\":1}");
    event(&w, 12003, "cluster/pod", "info", "exited", "etcd-1", "{\"signal\":9}");
    live_model_tick(&w.m, 12500 * MS, NULL);
    static const struct live_style *const styles[] = {&plain, &ascii};
    for (size_t i = 0; i < 2; i++) {
        draw(&w, 40, 10, styles[i]);
        assert_int_equal(w.f.count, 10);
        static const char *const parts[] = {"etcd-leader-kill", "running", "0:10 of 1:10", "83/s", "17/s", "kill-leader #1", "2 of 3 pods ready: etcd-1 exited", "exited by signal 9"};
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            assert_shows(&w, parts[k]);
    }
    finish(&w);
}

static void test_window(void **state) {
    (void)state;
    static struct live_window w; /* zeroed; too large for some stacks */
    struct live_now now;
    live_window_now(&w, 0, &now);
    assert_true(isnan(now.p99_ms) && !now.good && !now.bad);
    for (int i = 0; i < 20000; i++) { /* 10,000/s; the slowest 2 % take 40 ms, the others 1 ms */
        struct sample s = {.end_ns = i * INT64_C(100000), .planned_ns = i * INT64_C(100000) - (i % 50 ? 1 : 40) * MS};
        live_window_add(&w, &s);
    }
    live_window_now(&w, 2000 * MS, &now);
    assert_int_equal(now.good, 10000);
    assert_true(now.p99_ms >= 40 && now.p99_ms <= 40 * 17 / 16.0);
    assert_int_equal(w.good, 20000);
    /* Two in a hundred bad: the 99th falls on one. Stalled ones are nobody's answers. */
    for (int i = 0; i < 100; i++) {
        struct sample s = {.end_ns = 2500 * MS, .planned_ns = 2490 * MS, .outcome = i < 2 ? OUTCOME_BAD : i < 4 ? OUTCOME_UNSENT_STALL : OUTCOME_GOOD};
        live_window_add(&w, &s);
    }
    live_window_now(&w, 3500 * MS, &now);
    assert_int_equal(now.good + now.bad, 98);
    assert_int_equal(now.bad, 2);
    assert_true(isinf(now.p99_ms));
    assert_int_equal(w.stalled, 2);
    uint32_t good, bad;
    assert_true(live_window_second(&w, 3500 * MS, 1, &good, &bad));
    assert_true(good == 96 && bad == 2);
    assert_false(live_window_second(&w, 3500 * MS, 300, &good, &bad));
    live_window_now(&w, 60000 * MS, &now); /* long ago is not now */
    assert_true(!now.good && !now.bad && isnan(now.p99_ms));
    /* Times that cannot be. */
    struct sample odd[] = {{.end_ns = -5}, {.end_ns = INT64_MAX, .planned_ns = INT64_MIN / 2}, {.end_ns = 5, .planned_ns = 50}};
    for (size_t i = 0; i < 3; i++)
        live_window_add(&w, &odd[i]);
}

static void test_text(void **state) {
    (void)state;
    static const struct { const char *in; size_t room; bool utf8; const char *out; size_t columns; } rows[] = {
        {"plain", 10, true, "plain", 5},          {"plain", 5, true, "plain", 5},      {"plain", 4, true, "pla…", 4},
        {"plain", 4, false, "pla~", 4},           {"plain", 0, true, "", 0},           {"a\x1b[2Jb", 10, true, "a?[2Jb", 6},
        {"\xc3\xa9", 4, true, "\xc3\xa9", 1},     {"\xc3\xa9", 4, false, "?", 1},      {"\xc3", 4, true, "?", 1},
        {"漢字", 4, true, "漢字", 4},             {"漢字", 3, true, "漢…", 3},         {"漢字", 2, true, "…", 1},
        {"e\xcc\x81x", 4, true, "ex", 2},         {"a\xe2\x80\xae" "b", 4, true, "ab", 2}, {"\xc2\x9b" "1m", 4, true, "?1m", 3},
        {"\xed\xa0\x80", 4, true, "???", 3},      {"\x7f\t", 4, true, "??", 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = {0};
        size_t n = live_put(&b, rows[i].in, rows[i].room, rows[i].utf8);
        assert_string_equal(b.data ? b.data : "", rows[i].out);
        assert_int_equal(n, rows[i].columns);
        buf_free(&b);
    }
    assert_true(live_locale_utf8(NULL, NULL, "de_DE.UTF-8"));
    assert_true(live_locale_utf8("", "C.utf8", "C"));
    assert_false(live_locale_utf8("C", "en_US.UTF-8", "en_US.UTF-8"));
    assert_false(live_locale_utf8(NULL, NULL, NULL));
}

/* A million acts in the plan cost a picture nothing. */
static void test_many_acts(void **state) {
    (void)state;
    enum { MANY = 1000000 };
    struct world w;
    start(&w, "many", "load", 1);
    struct plan_act *acts = calloc(MANY, sizeof *acts);
    assert_non_null(acts);
    for (int64_t i = 0; i < MANY; i++)
        acts[i].at_ns = i * 70000;
    w.p.acts = acts;
    w.p.count = MANY;
    event(&w, 0, "run/schedule", "info", "", "", "{}");
    live_model_tick(&w.m, 35000 * MS, NULL);
    int64_t began = clock_now(&clock_monotonic);
    for (int i = 0; i < 100; i++)
        draw(&w, 200, 50, &plain);
    assert_true(clock_now(&clock_monotonic) - began < 2 * NS_PER_S);
    assert_shows(&w, "next fault in 0.0 s");
    free(acts);
    finish(&w);
}

/* Whom a network fault hits looks well: what is known of it is said by the act's own events. */
static void test_network_fault(void **state) {
    (void)state;
    struct world w;
    drill(&w);
    event(&w, 12000, "fault/act", "invoke", "net-delay", "etcd-1", "{\"id\":1,\"fault\":\"slow\",\"occurrence\":1,\"for_ns\":8000000000}");
    draw(&w, 90, 30, &plain);
    assert_shows(&w, "● slow #1  etcd-1  8.0 s left, not seen yet  net-delay");
    event(&w, 12003, "fault/observed", "info", "net-delay", "etcd-1", "{\"id\":1,\"packets\":1}");
    draw(&w, 90, 30, &plain);
    assert_shows(&w, "● slow #1  etcd-1  8.0 s left  net-delay");
    assert_shows(&w, "net-delay on etcd-1 is in effect, 1 packet hit");
    event(&w, 13000, "fault/trouble", "info", "net-delay", "etcd-1", "{\"id\":1,\"why\":\"its filters were taken away\"}");
    draw(&w, 90, 30, &plain);
    assert_shows(&w, "● slow #1  etcd-1  7.0 s left, not as asked  net-delay");
    assert_shows(&w, "net-delay on etcd-1 is not in effect as asked: its filters were taken away");
    event(&w, 20000, "fault/revert", "invoke", "net-delay", "etcd-1", "{\"id\":1}");
    draw(&w, 90, 30, &plain);
    assert_shows(&w, "● slow #1  etcd-1  reverting  net-delay");
    event(&w, 20084, "fault/revert", "ok", "net-delay", "etcd-1", "{\"id\":1,\"packets\":1234,\"drain_ns\":84000000}");
    event(&w, 28000, "fault/measured", "info", "net-delay", "etcd-1", "{\"id\":1,\"rtt_ns\":81000000,\"rtt_after_ns\":700000}");
    draw(&w, 90, 30, &plain);
    assert_int_equal(w.m.fault_count, 0);
    assert_shows(&w, "net-delay on etcd-1 is over, 1234 packets hit");
    assert_shows(&w, "net-delay on etcd-1 measured: round trips +80.3 ms");
    finish(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network_fault), cmocka_unit_test(test_picture), cmocka_unit_test(test_follow), cmocka_unit_test(test_external), cmocka_unit_test(test_back), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_small),   cmocka_unit_test(test_window), cmocka_unit_test(test_text), cmocka_unit_test(test_many_acts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
