/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod goes through: exits, restarts, readiness, freezing, the end. */
#include "local_util.h"

#include <sys/stat.h>

/* ---- exits */

static void test_kill_and_restart(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    bench_new(&b);
    if (bench_start(&b, "{nodes: 1, workloads: [{name: s, command: [sleep, '600'], restart: {delay: 20ms}, stopTimeout: 10ms}]}") < 0)
        fail_msg("%s", b.err.text);
    wait_for(&b, CL_POD_READY, "s-0");
    const struct pod *p = pod_named(&b, "s-0");
    const pid_t pid = p->pid;
    const uint64_t start = p->start_time;
    char uid[64];
    snprintf(uid, sizeof uid, "%s", p->uid);
    assert_int_equal(cluster_local.signal(b.cluster, uid, SIGKILL, &b.err), 0);
    const struct told *t = wait_for(&b, CL_POD_EXITED, "s-0");
    assert_int_equal(number(t, "signal"), SIGKILL);
    assert_null(json_object_get(t->data, "code"));
    assert_int_equal(number(t, "pid"), pid);
    assert_int_equal(number(t, "start_time"), start);
    t = wait_for(&b, CL_POD_BACKOFF, "s-0");
    assert_string_equal(json_string_value(json_object_get(t->data, "why")), "restart in 20ms");
    t = wait_for(&b, CL_POD_STARTED, "s-0");
    assert_int_equal(number(t, "restarts"), 1);
    assert_string_equal(json_string_value(json_object_get(t->data, "uid")), uid); /* the same pod, another process */
    assert_true(p->pid != pid || p->start_time != start);
    wait_for(&b, CL_POD_READY, "s-0");
    for (size_t i = 0; i < b.count; i++)
        assert_true(b.told[i].e != CL_POD_UNREADY); /* the exit says that already */
    assert_int_equal(cluster_local.signal(b.cluster, "no-such-uid", SIGKILL, &b.err), -ENOENT);
    bench_free(&b);
}

static void test_back_off_doubles(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    bench_new(&b);
    if (bench_start(&b, "{nodes: 1, workloads: [{name: s, command: [sh, -c, 'exit 3'],"
                        "restart: {delay: 40ms, maxDelay: 130ms}, stopTimeout: 10ms}]}") < 0)
        fail_msg("%s", b.err.text);
    static const char *const delays[] = {"restart in 40ms", "restart in 100ms", "restart in 130ms", "restart in 130ms"};
    for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
        const struct told *t = wait_for(&b, CL_POD_EXITED, "s-0");
        assert_int_equal(number(t, "code"), 3);
        assert_int_equal(number(t, "restarts"), i);
        t = wait_for(&b, CL_POD_BACKOFF, "s-0");
        assert_string_equal(json_string_value(json_object_get(t->data, "why")), delays[i]);
        assert_int_equal(pod_named(&b, "s-0")->phase, POD_BACKOFF);
        assert_int_equal(cluster_local.signal(b.cluster, pod_named(&b, "s-0")->uid, SIGKILL, &b.err), -ESRCH);
        assert_int_equal(cluster_local.freeze(b.cluster, pod_named(&b, "s-0")->uid, true, &b.err), -ESRCH);
    }
    bench_free(&b);
}

static void test_restart_policies(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    bench_new(&b);
    int rc = bench_start(&b, "{nodes: 1, workloads: ["
                             "{name: never, command: [sh, -c, 'exit 1'], restart: {policy: never}, stopTimeout: 10ms},"
                             "{name: good, command: ['true'], restart: {policy: on-failure, delay: 10ms}, stopTimeout: 10ms},"
                             "{name: bad, command: ['false'], restart: {policy: on-failure, delay: 10ms}, stopTimeout: 10ms}]}");
    if (rc < 0)
        fail_msg("%s", b.err.text);
    wait_for(&b, CL_POD_BACKOFF, "bad-0");
    wait_for(&b, CL_POD_BACKOFF, "bad-0");
    assert_int_equal(pod_named(&b, "never-0")->phase, POD_ENDED);
    assert_int_equal(pod_named(&b, "good-0")->phase, POD_ENDED);
    for (size_t i = 0; i < b.count; i++)
        if (b.told[i].e == CL_POD_BACKOFF)
            assert_string_equal(b.told[i].pod, "bad-0");
    bench_free(&b);
}

static void test_missing_program(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    bench_new(&b);
    assert_int_equal(bench_start(&b, "{nodes: 1, workloads: [" SLEEPER ", {name: etcd, command: [etcdd]}]}"), -ENOENT);
    assert_string_equal(b.err.text, "pod etcd-0: etcdd: No such file or directory: is it installed, and in PATH?");
    assert_null(b.cluster);
    bench_free(&b); /* the other pod, already running, is gone as well */
}

static void test_program_goes_missing(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    char tool[96], json[512];
    bench_new(&b);
    char dir[] = "/var/tmp/test-tool-XXXXXX", script[] = "#!/bin/sh\nexec sleep 600\n";
    assert_non_null(mkdtemp(dir));
    snprintf(tool, sizeof tool, "%s/tool", dir);
    assert_int_equal(fs_write(tool, script, sizeof script - 1, NULL), 0);
    chmod(tool, 0755);
    snprintf(json, sizeof json, "{nodes: 1, workloads: [{name: w, command: [%s], restart: {delay: 10ms}, stopTimeout: 10ms}]}", tool);
    if (bench_start(&b, json) < 0)
        fail_msg("%s", b.err.text);
    assert_int_equal(unlink(tool), 0);
    cluster_local.signal(b.cluster, pod_named(&b, "w-0")->uid, SIGKILL, NULL);
    const struct told *t = wait_for(&b, CL_POD_FAILED, "w-0");
    assert_non_null(strstr(json_string_value(json_object_get(t->data, "why")), "No such file or directory"));
    assert_int_equal(fs_write(tool, script, sizeof script - 1, NULL), 0);
    chmod(tool, 0755);
    wait_for(&b, CL_POD_STARTED, "w-0"); /* it goes on trying */
    bench_free(&b);
    fs_remove_tree(dir, NULL);
}

static void test_ready_events_on_change_only(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    bench_new(&b);
    if (bench_start(&b, "{nodes: 1, workloads: [" SLEEPER "]}") < 0)
        fail_msg("%s", b.err.text);
    char uid[64];
    snprintf(uid, sizeof uid, "%s", pod_named(&b, "s-0")->uid);
    wait_for(&b, CL_POD_READY, "s-0");
    cluster_local.set_ready(b.cluster, uid, true, NULL);
    assert_int_equal(b.count, 3);
    cluster_local.set_ready(b.cluster, uid, false, "status 503");
    cluster_local.set_ready(b.cluster, uid, false, "status 503");
    assert_int_equal(b.count, 4);
    assert_int_equal(b.told[3].e, CL_POD_UNREADY);
    assert_string_equal(json_string_value(json_object_get(b.told[3].data, "why")), "status 503");
    assert_false(pod_named(&b, "s-0")->ready);
    cluster_local.set_ready(b.cluster, uid, true, NULL);
    assert_int_equal(b.told[4].e, CL_POD_READY);
    cluster_local.set_ready(b.cluster, "no-such-uid", true, NULL);
    assert_int_equal(b.count, 5);
    bench_free(&b);
}

/* ---- freezing */

#define TICKER                                                                                        \
    "{nodes: 1, workloads: [{name: t, command: [sh, -c, 'while :; do echo tick; sleep 0.01; done']," \
    "restart: {delay: 10ms}, stopTimeout: 10ms}]}"

static off_t log_size(const struct bench *b) {
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/t-0.log", b->dir);
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void test_freeze_and_thaw(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    bench_new(&b);
    if (bench_start(&b, TICKER) < 0)
        fail_msg("%s", b.err.text);
    wait_log(&b, "t-0", "tick");
    char uid[64];
    snprintf(uid, sizeof uid, "%s", pod_named(&b, "t-0")->uid);
    assert_int_equal(cluster_local.freeze(b.cluster, uid, true, &b.err), 0);
    assert_false(pod_named(&b, "t-0")->frozen); /* asked is not seen */
    wait_for(&b, CL_POD_FROZEN, "t-0");
    assert_true(pod_named(&b, "t-0")->frozen);
    const off_t size = log_size(&b);
    turn_until(b.loop, NULL, NULL, 100 * NS_PER_MS);
    assert_int_equal(log_size(&b), size); /* it really stands still */
    assert_int_equal(cluster_local.freeze(b.cluster, uid, false, &b.err), 0);
    wait_for(&b, CL_POD_THAWED, "t-0");
    assert_false(pod_named(&b, "t-0")->frozen);
    /* thawed by somebody else, from the record alone: seen too */
    json_t *undo = NULL;
    assert_int_equal(cluster_local.undo_freeze(b.cluster, uid, &undo, &b.err), 0);
    assert_int_equal(cluster_local.freeze(b.cluster, uid, true, &b.err), 0);
    wait_for(&b, CL_POD_FROZEN, "t-0");
    assert_int_equal(undo_apply(undo, &b.err), 0);
    wait_for(&b, CL_POD_THAWED, "t-0");
    assert_int_equal(undo_apply(undo, &b.err), 0);
    bench_free(&b);
    assert_int_equal(undo_apply(undo, NULL), 0); /* the pod is gone: nothing to thaw */
    json_decref(undo);
}

static void test_kill_while_frozen(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    bench_new(&b);
    if (bench_start(&b, TICKER) < 0)
        fail_msg("%s", b.err.text);
    char uid[64];
    snprintf(uid, sizeof uid, "%s", pod_named(&b, "t-0")->uid);
    assert_int_equal(cluster_local.freeze(b.cluster, uid, true, &b.err), 0);
    wait_for(&b, CL_POD_FROZEN, "t-0");
    assert_int_equal(cluster_local.signal(b.cluster, uid, SIGKILL, &b.err), 0);
    wait_for(&b, CL_POD_EXITED, "t-0");
    wait_for(&b, CL_POD_STARTED, "t-0"); /* into a group that is thawed */
    assert_false(pod_named(&b, "t-0")->frozen);
    const off_t size = log_size(&b);
    turn_until(b.loop, NULL, NULL, 100 * NS_PER_MS);
    assert_true(log_size(&b) > size);
    /* stop with a frozen pod */
    assert_int_equal(cluster_local.freeze(b.cluster, uid, true, &b.err), 0);
    wait_for(&b, CL_POD_FROZEN, "t-0");
    bench_free(&b);
}

static void test_stop_is_gentle(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    char path[128];
    bench_new(&b);
    if (bench_start(&b, "{nodes: 1, workloads: [{name: t, "
                        "command: [sh, -c, 'trap \"echo asked; exit 0\" TERM; echo up; while :; do sleep 0.01; done'],"
                        "stopTimeout: 5s}]}") < 0)
        fail_msg("%s", b.err.text);
    wait_log(&b, "t-0", "up");
    int64_t from = loop_now();
    assert_int_equal(cluster_local.stop(b.cluster, &b.err), 0);
    b.cluster = NULL;
    assert_true(loop_now() - from < 4 * NS_PER_S);
    snprintf(path, sizeof path, "%s/t-0.log", b.dir);
    cleanup_buf struct buf log = {0};
    assert_int_equal(fs_read(path, 4096, &log, NULL), 0);
    assert_string_equal(log.data, "up\nasked\n");
    assert_int_equal(b.told[b.count - 1].e, CL_POD_REMOVED);
    bench_free(&b);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, bench_clean)
        T(test_kill_and_restart), T(test_back_off_doubles), T(test_restart_policies), T(test_missing_program),
        T(test_program_goes_missing), T(test_ready_events_on_change_only), T(test_freeze_and_thaw), T(test_kill_while_frozen),
        T(test_stop_is_gentle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
