/* SPDX-License-Identifier: Apache-2.0 */
#include "io/child.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct child {
    struct watch *watch;
    pid_t pid;
    int pidfd;
    uint64_t start_time;
    void (*exited)(const struct child_exit *e, void *arg);
    void *arg;
};

/* What the new process has to do. Another thread (libcurl's resolver) may hold any lock at the moment of the clone, so the child
 * allocates nothing: all is made before. */
struct launch {
    const struct child_spec *spec;
    const char *program;
    int fds[3];
    int report; /* close-on-exec: its end without a word says that exec succeeded */
    int other;  /* the parent's end of it, closed in the child */
    bool enter; /* the clone could not put it into its control group: it enters by itself */
};

#define OWN_NICE (-10)

static struct rlimit files_before; /* our limit of open files as it was; zero: never raised */

void child_raise_files(void) {
    struct rlimit now;
    if (files_before.rlim_max || getrlimit(RLIMIT_NOFILE, &now) < 0)
        return;
    files_before = now;
    now.rlim_cur = now.rlim_max;
    setrlimit(RLIMIT_NOFILE, &now);
}

static int nice_before;
static bool nice_raised;

void child_raise_priority(void) {
    errno = 0;
    int now = getpriority(PRIO_PROCESS, 0);
    if (nice_raised || errno || now <= OWN_NICE || setpriority(PRIO_PROCESS, 0, OWN_NICE) < 0)
        return; /* not allowed to: it goes without */
    nice_before = now;
    nice_raised = true;
    /* Where the kernel groups tasks by session, nice counts within the session alone, and the session's own among sessions. */
    cleanup_close int group = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    ssize_t n = group >= 0 && getsid(0) == getpid() ? dprintf(group, "%d", OWN_NICE) : 0;
    (void)n;
}

struct report {
    int rc;
    char text[sizeof(((struct error *)0)->text)];
};

static bool is_program(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static const char *hint(int error) {
    return error == ENOENT ? ": is it installed, and in PATH?" : error == EACCES ? ": is it executable?" : "";
}

int child_find(const char *program, char *const *envp, char **ret, struct error *err) {
    const char *path = DEFAULT_PATH;
    for (char *const *e = envp; e && *e; e++)
        if (strncmp(*e, "PATH=", 5) == 0)
            path = *e + 5;
    if (!*program)
        return error_set(err, -EINVAL, "no program is named");
    if (strchr(program, '/')) {
        *ret = strdup(program);
        return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    bool denied = false;
    for (const char *p = path;; p++) {
        size_t n = strcspn(p, ":");
        char *candidate = NULL;
        if (asprintf(&candidate, "%.*s/%s", n ? (int)n : 1, n ? p : ".", program) < 0)
            return error_set(err, -ENOMEM, "out of memory");
        if (is_program(candidate)) {
            *ret = candidate;
            return 0;
        }
        struct stat st;
        denied = denied || (stat(candidate, &st) == 0 && S_ISREG(st.st_mode));
        free(candidate);
        p += n;
        if (!*p)
            break;
    }
    int error = denied ? EACCES : ENOENT;
    return error_set(err, -error, "%s: %s%s", program, strerrordesc_np(error), hint(error));
}

/* In the child. strerror may allocate and lock; strerrordesc_np does neither. */
static int failed(struct error *err, const char *what) {
    int saved = errno;
    return error_set(err, -saved, "%s: %s", what, strerrordesc_np(saved));
}

static void default_signals(void) {
    /* By the system call: libc keeps two signals to itself, and whoever started us may have ignored those as well. All zero is
     * SIG_DFL, however the kernel's struct is laid out. SIGKILL and SIGSTOP refuse, as they should. */
    const unsigned long dfl[8] = {0};
    for (int s = 1; s < NSIG; s++)
        syscall(SYS_rt_sigaction, s, dfl, NULL, sizeof(uint64_t));
}

/* Until exec the child goes with its parent: one that is killed right now could otherwise leave a child that is in no control
 * group yet, where no undo would find it. A parent that died before the first line is seen by its closed end of the pipe. */
static void die_with_parent(const struct launch *l) {
    close(l->other);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct pollfd p = {.fd = l->report, .events = POLLOUT};
    if (poll(&p, 1, 0) > 0 && (p.revents & POLLERR))
        _exit(127);
}

static int enter_cgroup(int folder) {
    int fd = openat(folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, "0", 1);
    int saved = errno;
    close(fd);
    errno = saved;
    return n == 1 ? 0 : -1;
}

static int prepare(const struct launch *l, struct error *err) {
    const struct child_spec *s = l->spec;
    die_with_parent(l);
    if (l->enter && enter_cgroup(s->cgroup_fd) < 0)
        return failed(err, "joining the control group");
    setsid(); /* a Ctrl-C at the terminal is for chaosd alone */
    if (s->netns_fd >= 0 && setns(s->netns_fd, CLONE_NEWNET) < 0)
        return failed(err, "joining the network namespace");
    int rc = s->setup ? s->setup(s->setup_arg, err) : 0;
    if (rc < 0)
        return rc;
    if (s->cwd && chdir(s->cwd) < 0)
        return failed(err, s->cwd);
    for (int i = 0; i < 3; i++)
        if (dup2(l->fds[i], i) < 0)
            return failed(err, "dup2");
    /* Everything of ours is close-on-exec already; this is for what a caller was started with. */
    if (files_before.rlim_max)
        setrlimit(RLIMIT_NOFILE, &files_before);
    if (nice_raised)
        setpriority(PRIO_PROCESS, 0, nice_before);
    syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    default_signals();
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, 0); /* from here on it outlives a parent that is killed, until it is undone */
    return 0;
}

static void __attribute__((noreturn)) run_child(const struct launch *l) {
    struct error err = {{0}};
    int rc = prepare(l, &err);
    if (rc == 0) {
        execve(l->program, l->spec->argv, l->spec->envp);
        rc = -errno;
        error_set(&err, rc, "%s: %s%s", l->spec->argv[0], strerrordesc_np(-rc), hint(-rc));
    }
    struct report r = {.rc = rc};
    memcpy(r.text, err.text, sizeof r.text);
    ssize_t n = write(l->report, &r, sizeof r); /* under PIPE_BUF: whole or not at all */
    (void)n;
    _exit(127);
}

/* 0: the program runs. Else what it reported, or why nothing came. */
static int read_report(int fd, struct error *err) {
    struct report r;
    size_t have = 0;
    while (have < sizeof r) {
        ssize_t n = read(fd, (char *)&r + have, sizeof r - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "reading from the child");
        if (n == 0)
            break;
        have += (size_t)n;
    }
    if (have == 0)
        return 0;
    if (have < sizeof r)
        return error_set(err, -EIO, "the child ended before exec");
    r.text[sizeof r.text - 1] = 0;
    return error_set(err, r.rc < 0 ? r.rc : -EIO, "%s", r.text);
}

/* false: still running. */
static bool reap(int pidfd, struct child_exit *e) {
    siginfo_t si = {0};
    while (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG | __WALL) < 0)
        if (errno != EINTR) {
            *e = (struct child_exit){.code = 255}; /* somebody else took the status: it is over all the same */
            return true;
        }
    if (si.si_pid == 0)
        return false;
    *e = (struct child_exit){.signalled = si.si_code != CLD_EXITED, .code = si.si_status};
    return true;
}

static void kill_and_reap(int pidfd) {
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    while (poll(&p, 1, 1000) < 0 && errno == EINTR)
        ;
    struct child_exit e;
    reap(pidfd, &e);
}

static void on_exit_seen(int events, void *arg) {
    (void)events;
    struct child *c = arg;
    struct child_exit e;
    if (!reap(c->pidfd, &e))
        return;
    watch_free(c->watch);
    c->watch = NULL;
    c->exited(&e, c->arg); /* may free c */
}

/* The older call, where clone3 is not to be had: in containers whose seccomp filter hides it, and under valgrind. */
static long clone_older(struct launch *l, uint64_t flags, int *pidfd) {
    l->enter = l->spec->cgroup_fd >= 0;
    return syscall(SYS_clone, (unsigned long)flags | CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, NULL);
}

static int clone_child(struct launch *l, pid_t *ret_pid, int *ret_pidfd, struct error *err) {
    const struct child_spec *s = l->spec;
    int pidfd = -1;
    struct clone_args args = {
        .flags = s->clone_flags | CLONE_PIDFD | (s->cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = s->cgroup_fd >= 0 ? (uint64_t)s->cgroup_fd : 0,
    };
    /* No handler of ours may run in the child between clone and exec. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0 && errno == EBADF && s->cgroup_fd >= 0) { /* a folder of version 1: the child goes in by itself */
        l->enter = true;
        args.flags &= ~CLONE_INTO_CGROUP;
        pid = syscall(SYS_clone3, &args, sizeof args);
    }
    if (pid < 0 && errno == ENOSYS)
        pid = clone_older(l, s->clone_flags, &pidfd);
    if (pid == 0)
        run_child(l);
    int saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return error_set(err, -saved, "clone: %s%s", strerrordesc_np(saved), saved == EPERM ? ": this needs root" : "");
    *ret_pid = (pid_t)pid;
    *ret_pidfd = pidfd;
    return 0;
}

static int follow(struct loop *loop, struct child *c, struct error *err) {
    int rc = proc_start_time(c->pid, &c->start_time, err);
    return rc < 0 ? rc : watch_new(loop, c->pidfd, WATCH_READ, on_exit_seen, c, &c->watch, err);
}

/* Started by one who ignores SIGCHLD, we would inherit that, and the kernel would throw exit codes away. */
static void keep_exit_codes(void) {
    struct sigaction sa;
    if (sigaction(SIGCHLD, NULL, &sa) == 0 && (sa.sa_handler == SIG_IGN || (sa.sa_flags & SA_NOCLDWAIT)))
        signal(SIGCHLD, SIG_DFL);
}

int child_spawn(struct loop *l, const struct child_spec *s, struct child **ret, struct error *err) {
    cleanup_free char *program = NULL;
    int rc = child_find(s->argv[0], s->envp, &program, err);
    if (rc < 0)
        return rc;
    cleanup_free struct child *c = calloc(1, sizeof *c);
    cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (!c || null < 0)
        return c ? error_errno(err, "/dev/null") : error_set(err, -ENOMEM, "out of memory");
    keep_exit_codes();
    *c = (struct child){.pidfd = -1, .exited = s->exited, .arg = s->arg};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, "pipe");
    cleanup_close int from = ends[0], to = ends[1];
    /* Above 2, so that putting 0, 1, 2 in place overwrites none of them. */
    struct launch launch = {.spec = s, .program = program, .report = fcntl(to, F_DUPFD_CLOEXEC, 3), .other = from};
    const int wanted[3] = {s->stdin_fd, s->stdout_fd, s->stderr_fd};
    bool ok = launch.report >= 0;
    for (int i = 0; i < 3; i++) {
        launch.fds[i] = fcntl(wanted[i] >= 0 ? wanted[i] : null, F_DUPFD_CLOEXEC, 3);
        ok = ok && launch.fds[i] >= 0;
    }
    rc = ok ? clone_child(&launch, &c->pid, &c->pidfd, err) : error_errno(err, "dup");
    for (int i = 0; i < 3; i++)
        closep(&launch.fds[i]);
    closep(&launch.report);
    close(take_fd(&to));
    if (rc < 0)
        return rc;
    rc = read_report(from, err);
    if (rc == 0)
        rc = follow(l, c, err);
    if (rc < 0) {
        kill_and_reap(c->pidfd);
        close(c->pidfd);
        return rc;
    }
    *ret = take_ptr(c);
    return 0;
}

pid_t child_pid(const struct child *c) { return c->pid; }
int child_pidfd(const struct child *c) { return c->pidfd; }
uint64_t child_start_time(const struct child *c) { return c->start_time; }

int child_signal(struct child *c, int sig, struct error *err) {
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN}; /* a zombie takes signals, and heeds none */
    if (poll(&p, 1, 0) > 0)
        return error_set(err, -ESRCH, "process %d has ended", (int)c->pid);
    int rc = (int)syscall(SYS_pidfd_send_signal, c->pidfd, sig, NULL, 0);
    /* Hidden (valgrind, an old seccomp filter): it is our child and not waited for yet, so its pid is its own. */
    if (rc < 0 && errno == ENOSYS && c->watch)
        rc = kill(c->pid, sig);
    return rc < 0 ? error_errno(err, "sending signal %d to process %d", sig, (int)c->pid) : 0;
}

void child_free(struct child *c) {
    if (!c)
        return;
    struct child_exit e;
    if (c->watch)
        reap(c->pidfd, &e); /* no zombie is left when it ended unseen */
    watch_free(c->watch);
    closep(&c->pidfd);
    free(c);
}
