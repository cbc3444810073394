/* SPDX-License-Identifier: Apache-2.0 */
#include "net_util.h"

#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

struct seen {
    struct child *child;
    bool ended;
    struct child_exit exit;
};

static struct loop *loop;
static struct error err;
static char *const plain_env[] = {(char *)"PATH=/usr/bin:/bin", (char *)"WORD=hello", NULL};

static int set_up(void **state) {
    (void)state;
    return loop_new(&loop, &err);
}

static int tear_down(void **state) {
    (void)state;
    loop_free(loop);
    return 0;
}

static void on_exited(const struct child_exit *e, void *arg) {
    struct seen *s = arg;
    assert_false(s->ended);
    s->ended = true;
    s->exit = *e;
}

static bool has_ended(void *arg) { return ((struct seen *)arg)->ended; }

static struct child_spec spec_of(char *const *argv, struct seen *s) {
    return (struct child_spec){.argv = argv, .envp = plain_env, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .netns_fd = -1,
                               .cgroup_fd = -1, .exited = on_exited, .arg = s};
}

/* What the command says on stdout, when it has ended. */
static void run_sh(const char *script, const struct child_spec *changes, struct seen *s, char *out, size_t size) {
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
    struct child_spec spec = *changes;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    spec.argv = argv;
    spec.stdout_fd = ends[1];
    OK(child_spawn(loop, &spec, &s->child, &err));
    close(ends[1]);
    assert_true(turn_until(loop, has_ended, s, 5 * NS_PER_S));
    ssize_t n = read(ends[0], out, size - 1);
    out[n > 0 ? n : 0] = 0;
    close(ends[0]);
    child_free(s->child);
}

static void test_exit_code_and_environment(void **state) {
    (void)state;
    struct seen s = {0};
    char out[256];
    struct child_spec spec = spec_of(NULL, &s);
    spec.cwd = "/usr";
    run_sh("echo $WORD $(pwd); cat; exit 7", &spec, &s, out, sizeof out); /* cat ends: stdin is /dev/null */
    assert_string_equal(out, "hello /usr\n");
    assert_false(s.exit.signalled);
    assert_int_equal(s.exit.code, 7);
}

static void test_no_descriptor_leaks(void **state) {
    (void)state;
    struct seen s = {0};
    char out[256];
    int leak = dup2(1, 50); /* not close-on-exec, on purpose */
    struct child_spec spec = spec_of(NULL, &s);
    run_sh("[ -e /proc/$$/fd/50 ] && echo leaked || echo clean", &spec, &s, out, sizeof out);
    close(leak);
    assert_string_equal(out, "clean\n");
}

static void test_signals_are_default_and_unblocked(void **state) {
    (void)state;
    struct seen s = {0};
    char out[256];
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &before);
    signal(SIGPIPE, SIG_IGN);
    struct child_spec spec = spec_of(NULL, &s);
    run_sh("grep -E '^Sig(Blk|Ign)' /proc/self/status", &spec, &s, out, sizeof out);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_string_equal(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void test_signal_by_pidfd(void **state) {
    (void)state;
    struct seen s = {0};
    char *argv[] = {(char *)"sleep", (char *)"60", NULL};
    struct child_spec spec = spec_of(argv, &s);
    uint64_t start = 0;
    OK(child_spawn(loop, &spec, &s.child, &err));
    OK(proc_start_time(child_pid(s.child), &start, &err));
    assert_int_equal(child_start_time(s.child), start);
    assert_true(child_pidfd(s.child) > 2);
    OK(child_signal(s.child, SIGKILL, &err));
    assert_true(turn_until(loop, has_ended, &s, 5 * NS_PER_S));
    assert_true(s.exit.signalled);
    assert_int_equal(s.exit.code, SIGKILL);
    assert_int_equal(child_signal(s.child, SIGKILL, &err), -ESRCH);
    child_free(s.child);
    child_free(NULL);
}

static void test_exit_code_although_sigchld_is_ignored(void **state) {
    (void)state;
    struct seen s = {0};
    char out[16];
    struct child_spec spec = spec_of(NULL, &s);
    signal(SIGCHLD, SIG_IGN);
    run_sh("exit 9", &spec, &s, out, sizeof out);
    assert_int_equal(s.exit.code, 9);
    signal(SIGCHLD, SIG_DFL);
}

static void test_dead_but_unseen_takes_no_signal(void **state) {
    (void)state;
    struct seen s = {0};
    char *argv[] = {(char *)"true", NULL};
    struct child_spec spec = spec_of(argv, &s);
    OK(child_spawn(loop, &spec, &s.child, &err));
    struct pollfd p = {.fd = child_pidfd(s.child), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(child_signal(s.child, SIGTERM, &err), -ESRCH); /* a zombie */
    pid_t pid = child_pid(s.child);
    child_free(s.child); /* reaps: no zombie is left */
    assert_int_equal(kill(pid, 0), -1);
}

static void test_exec_failures(void **state) {
    (void)state;
    static const struct { const char *program; int rc; const char *text; } rows[] = {
        {"etcdd-is-not-there", -ENOENT, "etcdd-is-not-there: No such file or directory: is it installed, and in PATH?"},
        {"/no/such/program", -ENOENT, "/no/such/program: No such file or directory: is it installed, and in PATH?"},
        {"/etc/passwd", -EACCES, "/etc/passwd: Permission denied: is it executable?"},
        {"/usr", -EACCES, "/usr: Permission denied: is it executable?"},
        {"", -EINVAL, "no program is named"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct seen s = {0};
        char *argv[] = {(char *)rows[i].program, NULL};
        struct child_spec spec = spec_of(argv, &s);
        assert_int_equal(child_spawn(loop, &spec, &s.child, &err), rows[i].rc);
        assert_string_equal(err.text, rows[i].text);
        assert_false(s.ended);
    }
}

static int refuse(void *arg, struct error *e) {
    (void)arg;
    return error_set(e, -EXDEV, "the setup says no");
}

static void test_setup_failure_is_carried_over(void **state) {
    (void)state;
    struct seen s = {0};
    char *argv[] = {(char *)"true", NULL};
    struct child_spec spec = spec_of(argv, &s);
    spec.setup = refuse;
    assert_int_equal(child_spawn(loop, &spec, &s.child, &err), -EXDEV);
    assert_string_equal(err.text, "the setup says no");
    spec.setup = NULL;
    spec.cwd = "/no/such/folder";
    assert_int_equal(child_spawn(loop, &spec, &s.child, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/no/such/folder"));
}

static void test_namespaces(void **state) {
    (void)state;
    NEED_ROOT();
    struct seen s = {0};
    char out[256];
    struct child_spec spec = spec_of(NULL, &s);
    spec.clone_flags = CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWNS;
    run_sh("echo $$; kill -KILL $$; exit 3", &spec, &s, out, sizeof out); /* pid 1 cannot kill itself */
    assert_string_equal(out, "1\n");
    assert_int_equal(s.exit.code, 3);
}

static void test_program_is_found_in_its_own_path(void **state) {
    (void)state;
    char dir[] = "/tmp/test-child-XXXXXX", path[64], env[64], *found = NULL;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/tool", dir);
    snprintf(env, sizeof env, "PATH=/nowhere:%s", dir);
    char *const envp[] = {env, NULL};
    OK(fs_write(path, "#!/bin/sh\n", 10, &err));
    assert_int_equal(child_find("tool", envp, &found, &err), -EACCES);
    chmod(path, 0755);
    OK(child_find("tool", envp, &found, &err));
    assert_string_equal(found, path);
    free(found);
    assert_int_equal(child_find("tool", plain_env, &found, &err), -ENOENT);
    fs_remove_tree(dir, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(test_exit_code_and_environment), T(test_no_descriptor_leaks), T(test_signals_are_default_and_unblocked), T(test_signal_by_pidfd),
        T(test_dead_but_unseen_takes_no_signal), T(test_exec_failures), T(test_setup_failure_is_carried_over), T(test_namespaces),
        T(test_program_is_found_in_its_own_path), T(test_exit_code_although_sigchld_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
