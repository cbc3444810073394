/* SPDX-License-Identifier: Apache-2.0 */
/* The reaper is this same program, or the one that CHAOSD_EXE names. */
#include "local_util.h"

#include "cluster/reaper.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

static json_t *harmless(void) { return json_pack("{s:s,s:s,s:s}", "kind", "thaw", "cgroup", "/nowhere/chaosd/x/y", "pod", "y"); }

static pid_t pid_of(const struct reaper *r) {
    cleanup_json json_t *u = reaper_undo(r);
    return (pid_t)json_integer_value(json_object_get(u, "pid"));
}

static bool alive(pid_t pid) {
    uint64_t start;
    return proc_start_time(pid, &start, NULL) == 0;
}

static bool is_gone(void *arg) { return !alive(*(pid_t *)arg); }

static void test_dismissed(void **state) {
    (void)state;
    struct error err = {{0}};
    struct reaper *r;
    cleanup_json json_t *u = harmless();
    OK(reaper_start(u, clock_boot_ns() + 600 * NS_PER_S, &r, &err));
    pid_t pid = pid_of(r);
    assert_true(alive(pid));
    assert_int_equal(getsid(pid), pid); /* no terminal of ours ends it */
    int64_t from = loop_now();
    reaper_dismiss(r);
    assert_true(loop_now() - from < 2 * NS_PER_S);
    assert_false(alive(pid));
    reaper_dismiss(NULL);
}

static int open_files(pid_t pid) {
    char path[64];
    struct dirent **list = NULL;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    int n = scandir(path, &list, visible, NULL);
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
    return n;
}

static void test_holds_nothing_of_ours(void **state) {
    (void)state;
    struct error err = {{0}};
    struct reaper *r;
    cleanup_json json_t *u = harmless();
    int leak = dup2(1, 60); /* not close-on-exec, on purpose */
    OK(reaper_start(u, clock_boot_ns() + 600 * NS_PER_S, &r, &err));
    assert_in_range(open_files(pid_of(r)), 3, 5); /* 0, 1, 2, timer, signals */
    close(leak);
    reaper_dismiss(r);
}

static void test_start_fails_clearly(void **state) {
    (void)state;
    struct error err = {{0}};
    struct reaper *r = NULL;
    cleanup_json json_t *u = harmless();
    cleanup_free char *before = getenv("CHAOSD_EXE") ? strdup(getenv("CHAOSD_EXE")) : NULL;
    setenv("CHAOSD_EXE", "/no/such/chaosd", 1);
    assert_int_equal(reaper_start(u, 1, &r, &err), -ENOENT);
    assert_non_null(strstr(err.text, "reaper"));
    setenv("CHAOSD_EXE", "/bin/true", 1); /* starts, and never gets ready */
    assert_int_equal(reaper_start(u, 1, &r, &err), -EIO);
    assert_null(r);
    if (before)
        setenv("CHAOSD_EXE", before, 1);
    else
        unsetenv("CHAOSD_EXE");
}

static void test_bad_arguments(void **state) {
    (void)state;
    char *none[] = {(char *)"__reap", NULL}, *text[] = {(char *)"__reap", (char *)"soon", (char *)"{}", NULL},
         *torn[] = {(char *)"__reap", (char *)"1", (char *)"{\"kind\"", NULL};
    assert_int_equal(reaper_main(1, none), 64);
    assert_int_equal(reaper_main(3, text), 64);
    assert_int_equal(reaper_main(3, torn), 64);
}

static void frozen_pod(struct bench *b, json_t **ret_undo) {
    bench_new(b);
    if (bench_start(b, "{nodes: 1, workloads: [" SLEEPER "]}") < 0)
        fail_msg("%s", b->err.text);
    const char *uid = pod_named(b, "s-0")->uid;
    assert_int_equal(cluster_local.undo_freeze(b->cluster, uid, ret_undo, &b->err), 0);
    assert_int_equal(cluster_local.freeze(b->cluster, uid, true, &b->err), 0);
    wait_for(b, CL_POD_FROZEN, "s-0");
}

static void test_thaws_at_the_deadline(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    struct reaper *r;
    cleanup_json json_t *undo = NULL;
    frozen_pod(&b, &undo);
    const int64_t from = loop_now(), deadline = clock_boot_ns() + 300 * NS_PER_MS;
    if (reaper_start(undo, deadline, &r, &b.err) < 0)
        fail_msg("%s", b.err.text);
    wait_for(&b, CL_POD_THAWED, "s-0");
    assert_in_range(loop_now() - from, 300 * NS_PER_MS, 1300 * NS_PER_MS); /* not before */
    reaper_dismiss(r); /* after it acted: just collects it */
    bench_free(&b);
}

/* A chaosd that starts a reaper and dies: the pod is thawed at the deadline all the same. */
/* chaosd dies between the reaper's start and the act: nothing is undone, and nobody is left that no journal knows. */
static void test_unarmed_goes_with_its_parent(void **state) {
    (void)state;
    cleanup_json json_t *undo = json_pack("{s:s,s:s,s:s}", "kind", "thaw", "cgroup", "/sys/fs/cgroup/chaosd/none/none", "pod", "none");
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t chaosd = fork();
    if (chaosd == 0) {
        struct reaper *r;
        if (reaper_start(undo, clock_boot_ns() + 600 * NS_PER_S, &r, NULL) < 0)
            _exit(1);
        pid_t reaper = pid_of(r);
        _exit(write(ends[1], &reaper, sizeof reaper) != sizeof reaper); /* the line closes */
    }
    pid_t reaper = 0;
    int status;
    assert_int_equal(read(ends[0], &reaper, sizeof reaper), sizeof reaper);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(waitpid(chaosd, &status, 0), chaosd);
    for (int64_t until = loop_now() + 5 * NS_PER_S; alive(reaper) && loop_now() < until;)
        usleep(1000);
    assert_false(alive(reaper));
}

static void test_outlives_its_parent(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    cleanup_json json_t *undo = NULL;
    frozen_pod(&b, &undo);
    const int64_t from = loop_now(), deadline = clock_boot_ns() + 400 * NS_PER_MS;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t chaosd = fork();
    if (chaosd == 0) {
        struct reaper *r;
        if (reaper_start(undo, deadline, &r, NULL) < 0 || reaper_arm(r, NULL) < 0)
            _exit(1);
        pid_t reaper = pid_of(r);
        if (write(ends[1], &reaper, sizeof reaper) != sizeof reaper)
            _exit(1);
        for (;;)
            pause();
    }
    pid_t reaper = 0;
    int status;
    assert_int_equal(read(ends[0], &reaper, sizeof reaper), sizeof reaper);
    close(ends[0]);
    close(ends[1]);
    kill(chaosd, SIGKILL);
    assert_int_equal(waitpid(chaosd, &status, 0), chaosd);
    kill(reaper, SIGHUP); /* as when the terminal goes */
    kill(reaper, SIGINT);
    turn_until(b.loop, NULL, NULL, 50 * NS_PER_MS);
    assert_true(alive(reaper));
    assert_true(pod_named(&b, "s-0")->frozen); /* its parent's death alone is no reason to act */
    wait_for(&b, CL_POD_THAWED, "s-0");
    assert_true(loop_now() - from >= 400 * NS_PER_MS);
    bench_free(&b);
}

static void test_term_acts_at_once(void **state) {
    (void)state;
    NEED_ROOT();
    struct bench b;
    struct reaper *r;
    cleanup_json json_t *undo = NULL;
    frozen_pod(&b, &undo);
    if (reaper_start(undo, clock_boot_ns() + 600 * NS_PER_S, &r, &b.err) < 0)
        fail_msg("%s", b.err.text);
    kill(pid_of(r), SIGTERM);
    wait_for(&b, CL_POD_THAWED, "s-0");
    reaper_dismiss(r);
    bench_free(&b);
}

static void test_revert_ends_it(void **state) {
    (void)state;
    struct error err = {{0}};
    struct reaper *r;
    struct loop *l;
    cleanup_json json_t *u = harmless();
    OK(loop_new(&l, &err));
    OK(reaper_start(u, clock_boot_ns() + 600 * NS_PER_S, &r, &err));
    cleanup_json json_t *end = reaper_undo(r), *other = json_deep_copy(end);
    pid_t pid = pid_of(r);
    /* A recycled pid: same number, another start. Not touched. */
    json_object_set_new(other, "start_time", json_integer(json_integer_value(json_object_get(end, "start_time")) + 1));
    assert_int_equal(undo_apply(other, &err), 0);
    assert_true(alive(pid));
    OK(undo_apply(end, &err));
    reaper_dismiss(r);
    assert_true(turn_until(l, is_gone, &pid, 2 * NS_PER_S));
    assert_int_equal(undo_apply(end, &err), 0);
    loop_free(l);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "__reap") == 0)
        return reaper_main(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, bench_clean)
        T(test_dismissed), T(test_holds_nothing_of_ours), T(test_start_fails_clearly), T(test_bad_arguments), T(test_thaws_at_the_deadline),
        T(test_unarmed_goes_with_its_parent), T(test_outlives_its_parent), T(test_term_acts_at_once), T(test_revert_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
