/* SPDX-License-Identifier: Apache-2.0 */
/* Real programs, small ones, as loads: how they end, what is read of them, and that nothing of them stays. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "load/exec_priv.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

extern const struct load_kind load_exec;

struct drill { /* a load from its text, run to its end */
    struct arena *arena;
    struct doc *doc;
    struct load_spec spec;
    struct exec_load params;
    struct load_context ctx;
    struct load *load;
    struct loop *loop;
    struct timer *limit;
    struct buf history;
    struct sample samples[64];
    size_t count;
    int64_t begun, ended;
    int changes;
    bool never, timed_out;
    char dir[64], why[512];
};

static void on_limit(void *arg) {
    struct drill *d = arg;
    d->timed_out = true;
    loop_stop(d->loop);
}

static void on_ended(void *arg) {
    struct drill *d = arg;
    d->ended = loop_now();
    loop_stop(d->loop);
}

static const char *secret(void *arg, const char *name) {
    (void)arg;
    return !strcmp(name, "secret.word") ? "s3cret" : NULL;
}
static const struct template_vars secrets = {secret, NULL};

static int decode(struct drill *d, const char *text, struct error *err) {
    d->arena = arena_new();
    int rc = doc_parse("load.yaml", text, strlen(text), &d->doc, err);
    if (rc == 0)
        rc = schema_decode(d->doc, "", &exec_load_shape, NULL, d->arena, &d->params, err);
    d->spec = (struct load_spec){.name = "tool", .kind = {.kind = &load_exec.row, .params = &d->params, .path = ""}};
    return rc;
}

static void begin(struct drill *d) {
    int64_t now = loop_now();
    d->begun = now;
    d->load->kind->begin(d->load, now, now + d->ctx.length_ns);
}

static void on_changed(void *arg) {
    struct drill *d = arg;
    struct buf why = {0};
    int rc = d->load->kind->ready(d->load, &why);
    snprintf(d->why, sizeof d->why, "%s", why.len ? why.data : "");
    buf_free(&why);
    d->changes++;
    if (rc > 0 && !d->begun)
        begin(d);
    if (rc < 0) {
        d->never = true;
        loop_stop(d->loop);
    }
}

static void drill_start(struct drill *d, int64_t length_ms, const char *text) {
    struct error err = {{0}};
    *d = (struct drill){0};
    if (decode(d, text, &err) < 0)
        fail_msg("%s", err.text);
    strcpy(d->dir, "/tmp/chaosd-test-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    assert_return_code(loop_new(&d->loop, &err), 0);
    assert_return_code(timer_new(d->loop, on_limit, d, &d->limit, &err), 0);
    timer_after(d->limit, 60 * NS_PER_S);
    d->ctx = (struct load_context){.loop = d->loop, .seed = 7, .netns_fd = -1, .cgroup_fd = -1, .dir = d->dir, .length_ns = length_ms * NS_PER_MS,
                                   .secrets = &secrets, .changed = on_changed, .ended = on_ended, .ended_arg = d};
    cleanup_json json_t *header = json_object();
    assert_return_code(recorder_open(&d->ctx.recorder, d->dir, header, &clock_monotonic, &err), 0);
    if (load_exec.new(&d->spec, &d->ctx, &d->load, &err) < 0)
        fail_msg("%s", err.text);
    on_changed(d);
}

static json_t *drill_end(struct drill *d) {
    char path[100];
    d->load->kind->free(d->load);
    assert_return_code(recorder_close(d->ctx.recorder, NULL), 0);
    timer_free(d->limit);
    loop_free(d->loop);
    snprintf(path, sizeof path, "%s/samples.bin", d->dir);
    cleanup_fclose FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 64, SEEK_SET), 0);
    d->count = fread(d->samples, sizeof d->samples[0], 64, f);
    snprintf(path, sizeof path, "%s/history.jsonl", d->dir);
    assert_return_code(fs_read(path, 1 << 20, &d->history, NULL), 0);
    json_t *exit = NULL;
    for (char *line = strtok(d->history.data, "\n"); line; line = strtok(NULL, "\n")) {
        cleanup_json json_t *e = json_loads(line, 0, NULL);
        if (!strcmp(json_str_or(e, "op", ""), "load/exit")) {
            assert_null(exit); /* told once */
            exit = json_incref(json_object_get(e, "data"));
            json_object_set(exit, "phase", json_object_get(e, "phase"));
        }
    }
    return exit;
}

static void drill_free(struct drill *d) {
    assert_return_code(fs_remove_tree(d->dir, NULL), 0);
    buf_free(&d->history);
    doc_free(d->doc);
    arena_free(d->arena);
}

static json_t *drill(struct drill *d, int64_t length_ms, const char *text) {
    drill_start(d, length_ms, text);
    loop_run(d->loop);
    json_t *exit = drill_end(d);
    assert_false(d->timed_out);
    return exit;
}

static bool running(const char *mark) { /* a process with the word in its command line; zombies have none */
    DIR *dir = opendir("/proc");
    bool any = false;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[300], text[4096] = "";
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        cleanup_fclose FILE *f = fopen(path, "rb");
        size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
        any = any || (n && memmem(text, n, mark, strlen(mark)));
    }
    closedir(dir);
    return any;
}

static void check_file(const struct drill *d, const char *name, const char *wanted) {
    char path[200];
    cleanup_buf struct buf b = {0};
    snprintf(path, sizeof path, "%s/%s", d->dir, name);
    assert_return_code(fs_read(path, 64 << 20, &b, NULL), 0);
    assert_string_equal(b.len ? b.data : "", wanted);
}

static void test_a_program_that_ends_by_itself(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 300, "command: [sh, -c, 'echo out of ${load.name}; echo to err >&2; cat notes/a; exit 0']\nfiles: {notes/a: 'for ${load.seconds} s'}\n");
    assert_string_equal(json_str_or(e, "phase", ""), "ok");
    assert_int_equal(json_int_or(e, "code", -1), 0);
    assert_true(json_is_false(json_object_get(e, "asked")));
    assert_true(json_int_or(e, "to", 0) > json_int_or(e, "from", 0));
    assert_int_equal(d.count, 0);
    check_file(&d, "logs/tool.out", "out of tool\nfor 0.3 s\n");
    check_file(&d, "logs/tool.err", "to err\n");
    drill_free(&d);
}

static void test_status_and_last_words(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 300, "command: [sh, -c, 'printf \"it broke \\\\377\\\\033[0m\" >&2; exit 7']");
    assert_string_equal(json_str_or(e, "phase", ""), "fail");
    assert_int_equal(json_int_or(e, "code", -1), 7);
    assert_string_equal(json_str_or(e, "last_words", ""), "it broke ??[0m");
    drill_free(&d);
}

static void test_samples_from_stdout(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 1500,
        "command: [sh, -c, 'sleep 0.3; echo \"{\\\"at\\\": 0.1, \\\"duration_ms\\\": 20, \\\"ok\\\": true}\"; "
        "echo \"{\\\"at\\\": 0.2, \\\"duration_ms\\\": 70, \\\"ok\\\": true}\"; "
        "echo \"{\\\"at\\\": 0.2, \\\"duration_ms\\\": 5, \\\"ok\\\": false, \\\"error\\\": \\\"refused\\\"}\"; "
        "echo \"{\\\"at\\\": 3600, \\\"duration_ms\\\": 5, \\\"ok\\\": true}\"; echo \"{\\\"start\\\": 5, \\\"duration_ms\\\": 5, \\\"ok\\\": true}\"; "
        "echo junk; printf \"{\\\"at\\\": 0.25\"']\nsamples: jsonl\ndeadline: 50ms\n");
    int64_t from = json_int_or(e, "from", 0);
    assert_int_equal(json_int_or(e, "samples", -1), 3);
    assert_int_equal(d.count, 3);
    assert_int_equal(d.samples[0].start_ns - from, 100 * NS_PER_MS);
    assert_int_equal(d.samples[0].planned_ns, d.samples[0].start_ns);
    assert_int_equal(d.samples[0].end_ns - d.samples[0].start_ns, 20 * NS_PER_MS);
    assert_int_equal(d.samples[0].outcome, OUTCOME_GOOD);
    assert_int_equal(d.samples[0].lane, LANE_EXEC);
    assert_int_equal(d.samples[1].outcome, OUTCOME_BAD); /* its own word was good: it was too slow */
    assert_int_equal(d.samples[1].reason, REASON_TIMEOUT);
    assert_int_equal(d.samples[2].reason, REASON_REFUSED);
    assert_int_equal(json_int_or(e, "unreadable", -1), 4); /* the future, the past, junk, half a line */
    assert_int_equal(json_int_or(e, "unreadable_first", -1), 4);
    assert_string_equal(json_str_or(e, "unreadable_why", ""), "its time is in the future");
    drill_free(&d);
}

/* By the wall clock, from a file that is read when the program has ended and its time is over. */
static void test_samples_from_a_file(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 700, "command: [sh, -c, 'date +%s%N | sed \"s/...$/\\t200\\t1500/\" >h2.log; echo \"x\" >>h2.log']\nsamples: h2load\nfrom: h2.log\n");
    assert_int_equal(d.count, 1);
    assert_int_equal(d.samples[0].status, 200);
    assert_int_equal(d.samples[0].end_ns - d.samples[0].start_ns, 1500000);
    assert_in_range(d.samples[0].start_ns, json_int_or(e, "from", 0), json_int_or(e, "to", 0));
    assert_int_equal(json_int_or(e, "unreadable", -1), 1);
    assert_true(d.ended - d.begun >= 700 * NS_PER_MS);
    drill_free(&d);
}

static void test_a_report_that_is_none(void **state) {
    (void)state;
    static const struct { const char *text, *why; } rows[] = {
        {"command: [sh, -c, 'exit 0']\nsamples: rally\nfrom: report.json\n", "report.json: the program did not write it"},
        {"command: [sh, -c, 'echo {} >report.json']\nsamples: rally\nfrom: report.json\n", "report.json: it has no \"tasks\""},
        {"command: [sh, -c, 'mkdir report.json']\nsamples: rally\nfrom: report.json\n", "report.json: not a file"},
        {"command: [sh, -c, 'mkfifo a.log']\nsamples: h2load\nfrom: '${load.dir}/a.log'\n", "a.log: not a file"},
        {"command: [sh, -c, 'ln -s /etc/passwd a.log']\nsamples: h2load\nfrom: a.log\n", "a.log: "},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct drill d;
        cleanup_json json_t *e = drill(&d, 100, rows[i].text);
        if (strncmp(json_str_or(e, "no_samples", ""), rows[i].why, strlen(rows[i].why)))
            fail_msg("row %zu: %s", i, json_str_or(e, "no_samples", "none"));
        assert_int_equal(d.count, 0);
        drill_free(&d);
    }
}

static void test_asked_to_end(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 300, "command: [sleep, '8391.25']\n");
    assert_string_equal(json_str_or(e, "phase", ""), "ok");
    assert_int_equal(json_int_or(e, "signal", -1), 15);
    assert_true(json_is_true(json_object_get(e, "asked")) && json_is_false(json_object_get(e, "killed")));
    assert_true(d.ended - d.begun >= 300 * NS_PER_MS);
    drill_free(&d);
}

/* Beyond its time, without a signal, for as long as finish allows. */
static void test_finish(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 200, "command: [sh, -c, 'sleep 0.6; exit 0']\nfinish: 30s\n");
    assert_int_equal(json_int_or(e, "code", -1), 0);
    assert_true(json_is_false(json_object_get(e, "asked")));
    assert_true(json_int_or(e, "to", 0) - json_int_or(e, "from", 0) >= 600 * NS_PER_MS);
    drill_free(&d);
}

/* Deaf to SIGTERM, with children that left its session, its group and its pipes. */
static void test_nothing_stays(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 500,
        "command: [sh, -c, \"trap '' TERM INT HUP; (setsid sleep 8392.25 &); setsid sh -c 'trap \\\"\\\" TERM; sleep 8392.25 & sleep 8392.25' </dev/null >/dev/null 2>&1 & "
        "while :; do sleep 1; done\"]\nstopTimeout: 300ms\n");
    assert_true(json_is_true(json_object_get(e, "killed")));
    assert_int_equal(json_int_or(e, "signal", -1), 9);
    assert_false(running("8392.25"));
    drill_free(&d);
}

static void test_what_outlives_its_program_is_ended(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 300, "command: [sh, -c, 'setsid sleep 8393.25 & sleep 0.2; exit 0']\n");
    assert_int_equal(json_int_or(e, "code", -1), 0);
    assert_true(json_int_or(e, "left", 0) >= 1);
    assert_false(running("8393.25"));
    drill_free(&d);
}

static void test_freed_in_mid_run(void **state) {
    (void)state;
    struct drill d;
    drill_start(&d, 60000, "command: [sh, -c, 'echo here; setsid sleep 8394.25']\nready: here\n");
    loop_stop(d.loop); /* begun by the ready line, in which case the loop runs on until it is seen */
    while (!d.begun) {
        timer_after(d.limit, 20 * NS_PER_MS);
        loop_run(d.loop);
    }
    cleanup_json json_t *e = drill_end(&d);
    assert_true(json_is_true(json_object_get(e, "killed")));
    assert_false(running("8394.25"));
    drill_free(&d);
}

static void test_ready(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 200, "command: [sh, -c, 'sleep 0.3; echo the load RUNS now >&2; sleep 9']\nready: RUNS\n");
    assert_true(d.changes >= 2);
    assert_true(d.begun > 0);
    assert_true(json_int_or(e, "to", 0) - json_int_or(e, "from", 0) >= 500 * NS_PER_MS); /* waited for, then its time */
    drill_free(&d);
}

static void test_never_ready(void **state) {
    (void)state;
    static const struct { const char *text, *why; } rows[] = {
        {"command: [sh, -c, 'echo no such option >&2; exit 3']\nready: RUNS\n", "load tool ended with status 3 before it printed \"RUNS\": no such option"},
        {"command: [/nonexistent/tool]\nready: RUNS\n", "load tool: /nonexistent/tool: No such file or directory"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct drill d;
        drill_start(&d, 200, rows[i].text);
        if (!d.never)
            loop_run(d.loop);
        json_decref(drill_end(&d));
        assert_true(d.never);
        if (!strstr(d.why, rows[i].why))
            fail_msg("row %zu: %s", i, d.why);
        drill_free(&d);
    }
}

static void test_a_program_that_cannot_be_started(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 200, "command: [/nonexistent/tool]\n");
    assert_string_equal(json_str_or(e, "phase", ""), "fail");
    assert_non_null(strstr(json_str_or(e, "why", ""), "/nonexistent/tool: No such file or directory"));
    assert_null(json_object_get(e, "from"));
    drill_free(&d);
}

/* Endless lines and binary: bounded, and said. */
static void test_a_flood(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 60000, "command: [sh, -c, 'head -c 30000000 /dev/zero; echo; head -c 5000 /dev/urandom']\nsamples: jsonl\n");
    assert_int_equal(d.count, 0);
    assert_true(json_int_or(e, "unreadable", 0) >= 2);
    assert_string_equal(json_str_or(e, "unreadable_why", ""), "longer than 65536 bytes");
    drill_free(&d);
    cleanup_json json_t *cut = drill(&d, 60000, "command: [sh, -c, 'yes a line of a hundred bytes | head -c 20000000']\n");
    assert_true(json_is_true(json_object_get(cut, "cut")));
    char path[100];
    cleanup_buf struct buf b = {0};
    snprintf(path, sizeof path, "%s/logs/tool.out", d.dir);
    assert_return_code(fs_read(path, 64 << 20, &b, NULL), 0);
    assert_in_range(b.len, 16 << 20, (16 << 20) + 200);
    assert_non_null(strstr(b.data + b.len - 100, "cut here"));
    drill_free(&d);
}

static void test_secrets_do_not_stay(void **state) {
    (void)state;
    struct drill d;
    cleanup_json json_t *e = drill(&d, 200, "command: [sh, -c, 'cat key | wc -c']\nfiles: {key: '${secret.word}', plain: x}\n");
    char path[100];
    assert_int_equal(json_int_or(e, "code", -1), 0);
    check_file(&d, "logs/tool.out", "6\n");
    snprintf(path, sizeof path, "%s/loads/tool/key", d.dir);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/loads/tool/plain", d.dir);
    assert_int_equal(access(path, F_OK), 0);
    drill_free(&d);
}

static void test_what_is_refused(void **state) {
    (void)state;
    static const struct { const char *text, *why; } rows[] = {
        {"command: [a, '${pod.ip}']", "load.yaml:1:10: ${pod.ip}: a program of its own knows load, run and secret"},
        {"command: [a]\nfiles: {../b: x}", "\"../b\": a path below the program's folder is wanted"},
        {"command: [a]\nfiles: {/b: x}", "\"/b\": a path below"},
        {"command: [a]\nfiles: {b/..: x}", "\"b/..\": a path below"},
        {"command: [a]\nfrom: b", "from goes with samples"},
        {"command: [a]\nsamples: rally", "Rally's report is a file"},
        {"command: [a]\nsamples: xml", "xml"},
        {"command: [a]\ndeadline: 1s", "deadline goes with samples"},
        {"command: [a]\nready: ''", "ready is empty"},
        {"command: [a]\npassStatus: 3\nfailStatus: 3", "3 is passStatus too"},
        {"command: []", "command"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct drill d = {0};
        struct error err = {{0}};
        assert_true(decode(&d, rows[i].text, &err) < 0);
        if (!strstr(err.text, rows[i].why))
            fail_msg("row %zu: %s", i, err.text);
        doc_free(d.doc);
        arena_free(d.arena);
    }
}

static void test_preflight(void **state) {
    (void)state;
    static const struct { const char *text, *why; } rows[] = {
        {"command: [sh]\nneeds: [cat]", NULL},
        {"command: [no-such-tool]", "load tool: no-such-tool: No such file or directory: is it installed, and in PATH?"},
        {"command: [/no/such/tool]", "load tool: /no/such/tool: No such file or directory"},
        {"command: [sh, x.sh]\nneeds: [no-such-tool]", "load tool: no-such-tool"},
        {"command: ['${load.dir}/made']", NULL}, /* comes with its files */
        {"command: [no-such-tool]\nenv: {PATH: /opt}", NULL}, /* a PATH of its own */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct drill d = {0};
        struct error err = {{0}};
        assert_return_code(decode(&d, rows[i].text, &err), 0);
        int rc = load_exec.preflight(&d.spec, &err);
        if ((rc < 0) != (rows[i].why != NULL) || (rc < 0 && !strstr(err.text, rows[i].why)))
            fail_msg("row %zu: %d %s", i, rc, err.text);
        doc_free(d.doc);
        arena_free(d.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_program_that_ends_by_itself), cmocka_unit_test(test_status_and_last_words),
        cmocka_unit_test(test_samples_from_stdout),           cmocka_unit_test(test_samples_from_a_file),
        cmocka_unit_test(test_a_report_that_is_none),         cmocka_unit_test(test_asked_to_end),
        cmocka_unit_test(test_finish),                        cmocka_unit_test(test_nothing_stays),
        cmocka_unit_test(test_what_outlives_its_program_is_ended),
        cmocka_unit_test(test_freed_in_mid_run),              cmocka_unit_test(test_ready),
        cmocka_unit_test(test_never_ready),                   cmocka_unit_test(test_a_program_that_cannot_be_started),
        cmocka_unit_test(test_a_flood),                       cmocka_unit_test(test_secrets_do_not_stay),
        cmocka_unit_test(test_what_is_refused),               cmocka_unit_test(test_preflight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
