/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "history/reader.h"
#include "history/recorder.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static int64_t now_value = 1000;
static int64_t fake_now(void *arg) {
    (void)arg;
    return now_value;
}
static const struct clock fake = {fake_now, NULL};

static char dir[64];

static int setup(void **state) {
    (void)state;
    strcpy(dir, "/tmp/chaosd-recorder-XXXXXX");
    now_value = 1000;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static struct recorder *start(void) {
    struct recorder *r = NULL;
    struct error err = {""};
    json_t *header = json_pack("{s:s,s:I,s:[{s:s}],s:i}", "run", "r1", "seed", (json_int_t)7, "loads", "name", "writes", "schema", 99);
    if (recorder_open(&r, dir, header, &fake, &err) < 0)
        fail_msg("%s", err.text);
    json_decref(header);
    return r;
}

static char *slurp(const char *name) {
    char path[128];
    struct buf b = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(fs_read(path, 1 << 24, &b, NULL), 0);
    return buf_take(&b);
}

static void test_round_trip(void **state) {
    (void)state;
    struct recorder *r = start();
    assert_int_equal(recorder_now(r), 0);
    now_value = 1500;
    assert_int_equal(recorder_now(r), 500);
    assert_int_equal(recorder_from_monotonic(r, 900), -100);
    assert_int_equal(recorder_event(r, "run", "run/schedule", "info", NULL, NULL, NULL), 0);
    assert_int_equal(recorder_event_at(r, 42, "fault", "fault/act", "ok", "pod-kill", "etcd-1", json_pack("{s:i}", "id", 3)), 1);
    struct sample s = {.planned_ns = 1, .start_ns = 2, .end_ns = 3, .status = 200, .target = SAMPLE_NO_TARGET};
    recorder_sample(r, &s);
    assert_int_equal(recorder_sync(r, NULL), 0);
    s.end_ns = 4;
    recorder_sample(r, &s);
    assert_int_equal(recorder_close(r, NULL), 0);
    struct history *h = NULL;
    struct error err = {""};
    if (history_load(dir, &h, &err) < 0)
        fail_msg("%s", err.text);
    assert_false(h->torn);
    assert_int_equal(json_integer_value(json_object_get(h->header, "schema")), HISTORY_SCHEMA); /* ours, not the caller's */
    assert_int_equal(json_integer_value(json_object_get(h->header, "seed")), 7);
    assert_true(json_integer_value(json_object_get(h->header, "wall_ns")) > INT64_C(1600000000000000000));
    assert_int_equal(h->event_count, 2);
    assert_int_equal(h->events[0].t, 500);
    assert_string_equal(h->events[0].target, "");
    assert_int_equal(json_object_size(h->events[0].data), 0);
    assert_int_equal(h->events[1].t, 42);
    assert_string_equal(h->events[1].kind, "pod-kill");
    assert_int_equal(json_integer_value(json_object_get(h->events[1].data, "id")), 3);
    assert_int_equal(h->sample_count, 2);
    assert_int_equal(h->samples[0].end_ns, 3);
    assert_int_equal(h->samples[1].end_ns, 4);
    history_free(h);
}

/* The line's bytes are part of the contract, key order and all. */
static void test_line(void **state) {
    (void)state;
    struct recorder *r = start();
    recorder_event_at(r, 5, "note", "note/x", "info", "k", "a\nb \xff\xc3\xa9 \xed\xa0\x80", NULL);
    recorder_close(r, NULL);
    cleanup_free char *text = slurp("history.jsonl");
    const char *line = strchr(text, '\n') + 1;
    assert_string_equal(line, "{\"seq\":0,\"t\":5,\"actor\":\"note\",\"op\":\"note/x\",\"phase\":\"info\",\"kind\":\"k\","
                              "\"target\":\"a\\nb \xef\xbf\xbd\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\"data\":{}}\n");
}

/* More than any buffer holds, in one line too, and in order. */
static void test_large(void **state) {
    (void)state;
    enum { SAMPLES = 9000, EVENTS = 3000 };
    struct recorder *r = start();
    char *big = malloc(200001);
    memset(big, 'x', 200000);
    big[200000] = 0;
    for (int i = 0; i < EVENTS; i++)
        recorder_event(r, "run", "note/x", "info", NULL, i == 17 ? big : "t", NULL);
    for (int i = 0; i < SAMPLES; i++)
        recorder_sample(r, &(struct sample){.planned_ns = i, .start_ns = i, .end_ns = i + 1});
    assert_int_equal(recorder_close(r, NULL), 0);
    struct history *h = NULL;
    assert_int_equal(history_load(dir, &h, NULL), 0);
    assert_int_equal(h->event_count, EVENTS);
    assert_string_equal(h->events[17].target, big);
    assert_int_equal(h->sample_count, SAMPLES);
    for (int i = 0; i < SAMPLES; i++)
        assert_int_equal(h->samples[i].planned_ns, i);
    history_free(h);
    free(big);
}

static int heard;
static void listener(const json_t *event, void *arg) {
    heard += *(int *)arg;
    assert_true(json_is_object(event));
}

/* A file that may not grow past a limit is a disk that is full: the first failure stays, what is on disk stays readable. */
static void test_full_disk(void **state) {
    (void)state;
    struct rlimit before, tight;
    getrlimit(RLIMIT_FSIZE, &before);
    struct recorder *r = start();
    int one = 1;
    heard = 0;
    recorder_listen(r, listener, &one);
    signal(SIGXFSZ, SIG_IGN);
    tight = before;
    tight.rlim_cur = 5000;
    setrlimit(RLIMIT_FSIZE, &tight);
    for (int i = 0; i < 500; i++)
        recorder_event(r, "run", "note/x", "info", NULL, "t", NULL);
    struct error first = {""}, second = {""};
    assert_int_equal(recorder_flush(r, &first), -EFBIG);
    setrlimit(RLIMIT_FSIZE, &before);
    recorder_event(r, "run", "run/end", "info", NULL, NULL, NULL);
    recorder_sample(r, &(struct sample){.end_ns = 1});
    assert_int_equal(recorder_sync(r, NULL), -EFBIG);
    assert_int_equal(recorder_error(r, &second), -EFBIG);
    assert_string_equal(first.text, second.text);
    assert_non_null(strstr(first.text, "history.jsonl"));
    assert_int_equal(heard, 501); /* a person still hears what goes on */
    assert_int_equal(recorder_close(r, NULL), -EFBIG);
    struct history *h = NULL;
    assert_int_equal(history_load(dir, &h, NULL), 0);
    assert_true(h->torn);
    assert_true(h->event_count > 40 && h->event_count < 70);
    history_free(h);
}

static void test_bad_folder(void **state) {
    (void)state;
    struct recorder *r = NULL;
    struct error err = {""};
    assert_int_equal(recorder_open(&r, "/nowhere/at/all", NULL, &fake, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nowhere/at/all/history.jsonl"));
    assert_null(r);
    struct recorder *one = start();
    assert_int_equal(recorder_open(&r, dir, NULL, &fake, &err), -EEXIST); /* a run's history is not written over */
    assert_int_equal(recorder_close(one, NULL), 0);
    assert_int_equal(recorder_close(NULL, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown), cmocka_unit_test_setup_teardown(test_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),      cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_folder, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
