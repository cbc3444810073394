/* SPDX-License-Identifier: Apache-2.0 */
/* Both cgroup versions, as far as this machine has them. */
#include "net_util.h"

#include "cluster/undo.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

static pid_t enter_and_wait(const char *group) {
    char path[CGROUP_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/cgroup.procs", group);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_IGN);
        if (fs_write_sys(path, "0", NULL) < 0)
            _exit(1);
        fork(); /* two of them */
        for (;;)
            pause();
    }
    return pid;
}

static bool frozen_is(const char *group, bool wanted) {
    bool now = !wanted;
    for (int64_t until = loop_now() + 5 * NS_PER_S; now != wanted && loop_now() < until; usleep(1000))
        if (cgroup_frozen(group, &now, NULL) < 0)
            return false;
    return now == wanted;
}

static void one_tree(const struct cgroup_tree *t) {
    struct error err = {{0}};
    char run[CGROUP_PATH_MAX + 32], pod[CGROUP_PATH_MAX + 40], below[CGROUP_PATH_MAX + 48];
    snprintf(run, sizeof run, "%s/test%x", t->path, (unsigned)getpid());
    snprintf(pod, sizeof pod, "%s/pod-0", run);
    snprintf(below, sizeof below, "%s/below", pod);
    OK(cgroup_create(below, &err));
    OK(cgroup_create(below, &err));
    pid_t a = enter_and_wait(pod), b = enter_and_wait(below);
    bool frozen = true;
    OK(cgroup_frozen(pod, &frozen, &err));
    assert_false(frozen);
    usleep(20000);
    OK(cgroup_freeze(pod, true, &err));
    assert_true(frozen_is(pod, true));
    OK(cgroup_freeze(pod, false, &err));
    assert_true(frozen_is(pod, false));
    assert_int_equal(cgroup_remove(run, &err), -EBUSY);
    OK(cgroup_freeze(pod, true, &err));
    assert_true(frozen_is(pod, true));
    OK(cgroup_kill(run, 5 * NS_PER_S, &err)); /* frozen, SIGTERM ignored, children, groups below: all of it */
    int status;
    assert_int_equal(waitpid(a, &status, 0), a);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(waitpid(b, &status, 0), b);
    OK(cgroup_remove(run, &err));
    OK(cgroup_remove(run, &err));
    OK(cgroup_kill(run, NS_PER_S, &err));
    assert_int_equal(cgroup_freeze(pod, true, &err), -ENOENT);
    rmdir(t->path);
}

static void test_each_tree(void **state) {
    (void)state;
    NEED_ROOT();
    struct error err = {{0}};
    struct cgroup_tree trees[16];
    int n = cgroup_trees(trees, 16, &err);
    assert_in_range(n, 1, 16);
    for (int i = 0; i < n; i++)
        one_tree(&trees[i]);
}

static void test_newest_is_preferred(void **state) {
    (void)state;
    NEED_ROOT();
    struct error err = {{0}};
    struct cgroup_tree t, trees[16];
    int n = cgroup_trees(trees, 16, &err), newest = 0;
    OK(cgroup_find(&t, &err));
    for (int i = 0; i < n; i++)
        newest = trees[i].version > newest ? trees[i].version : newest;
    assert_int_equal(t.version, newest);
}

/* A container's group is no run's of ours: the record of a node's agent names several, and they are known by the ID in their names. */
static void test_containers_are_thawed_by_a_record(void **state) {
    (void)state;
    NEED_ROOT();
    struct error err = {{0}};
    struct cgroup_tree t;
    char base[CGROUP_PATH_MAX], pod[2][CGROUP_PATH_MAX + 160];
    pid_t pids[2];
    OK(cgroup_find(&t, &err));
    cgroup_mount(&t, base, sizeof base);
    snprintf(base + strlen(base), sizeof base - strlen(base), "/test%x", (unsigned)getpid());
    for (int i = 0; i < 2; i++) {
        snprintf(pod[i], sizeof pod[i], "%s/%d6ac8250f9c4ef3ad6c36bd7ec3078bda67cc1a6754e55e5a24763d1ce74385a", base, i);
        OK(cgroup_create(pod[i], &err));
        pids[i] = enter_and_wait(pod[i]);
    }
    usleep(20000);
    for (int i = 0; i < 2; i++) {
        OK(cgroup_freeze(pod[i], true, &err));
        assert_true(frozen_is(pod[i], true));
    }
    cleanup_json json_t *undo = json_pack("{s:s, s:[s, s, s]}", "kind", "thaw", "cgroups", pod[0], "/nowhere/66ac8250f9c4ef3ad6c36bd7ec3078bda67cc1a6754e55e5a24763d1ce74385a", pod[1]);
    OK(undo_apply(undo, &err));
    for (int i = 0; i < 2; i++) {
        assert_true(frozen_is(pod[i], false));
        OK(cgroup_freeze(pod[i], true, &err));
        assert_true(frozen_is(pod[i], true));
    }
    cleanup_json json_t *bad = json_pack("{s:s, s:[s, s]}", "kind", "thaw", "cgroups", base, pod[1]);
    assert_int_equal(undo_apply(bad, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is no control group of ours"));
    assert_true(frozen_is(pod[1], false)); /* what can be undone is */
    assert_true(frozen_is(pod[0], true));
    OK(cgroup_kill(base, 5 * NS_PER_S, &err));
    for (int i = 0; i < 2; i++)
        waitpid(pids[i], NULL, 0);
    OK(cgroup_remove(base, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_tree), cmocka_unit_test(test_newest_is_preferred), cmocka_unit_test(test_containers_are_thawed_by_a_record)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
