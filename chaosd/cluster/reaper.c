/* SPDX-License-Identifier: Apache-2.0 */
/* Order in the journal: the reaper's own record goes in before the record of what it undoes. Records are undone newest first,
 * so that `chaosd revert` has thawed the pod before it ends the reaper that would have done it. */
#include "cluster/reaper.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "cluster/cgroup.h"
#include "cluster/undo.h"
#include "history/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define READY 'r'
#define ARM 'a'
#define DISMISS 'd'
#define READY_TIMEOUT_MS 5000
#define DISMISS_TIMEOUT_MS 5000
#define BUSY_TIMEOUT_MS 20
#define STARTER_NS (10 * NS_PER_S) /* each look waits a third of a second for the lock */
#define PATIENCE_S 3600 /* of what is undone by asking a server: a process that waits costs nothing, and nobody else comes */

struct reaper {
    pid_t pid;
    uint64_t start_time;
    int64_t deadline_boot_ns;
    int line; /* its standard input: READY comes back on it, DISMISS goes out */
};

/* This very program. By name while the name holds (valgrind shows its client only so), else the file that was deleted or replaced. */
static const char *own_program(char *out, size_t size) {
    const char *named = getenv("CHAOSD_EXE");
    if (named && *named)
        return named;
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 ? n : 0] = 0;
    return n > 0 && access(out, X_OK) == 0 ? out : "/proc/self/exe";
}

/* Its standard input is our line to it; nothing else of ours gets over. A session of its own: no terminal ends it. */
static int spawn(char *const *argv, int line, pid_t *ret_pid, struct error *err) {
    char exe[4096];
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    int e = posix_spawn_file_actions_adddup2(&files, line, 0);
    e = e ? e : posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    e = e ? e : posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    e = e ? e : posix_spawn_file_actions_addclosefrom_np(&files, 3);
    e = e ? e : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    e = e ? e : posix_spawnattr_setsigmask(&attr, &none);
    e = e ? e : posix_spawnattr_setsigdefault(&attr, &all);
    e = e ? e : posix_spawn(ret_pid, own_program(exe, sizeof exe), &files, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return e ? error_set(err, -e, "starting the reaper: %s", strerror(e)) : 0;
}

static bool wait_readable(int fd, int timeout_ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    while ((n = poll(&p, 1, timeout_ms)) < 0 && errno == EINTR)
        ;
    return n > 0;
}

static int wait_ready(struct reaper *r, struct error *err) {
    char c = 0;
    if (!wait_readable(r->line, READY_TIMEOUT_MS))
        return error_set(err, -ETIMEDOUT, "the reaper does not get ready");
    if (read(r->line, &c, 1) != 1 || c != READY)
        return error_set(err, -EIO, "the reaper ended at its start");
    return proc_start_time(r->pid, &r->start_time, err);
}

int reaper_start(const json_t *undo, int64_t deadline_boot_ns, struct reaper **ret, struct error *err) {
    cleanup_free struct reaper *r = calloc(1, sizeof *r);
    cleanup_free char *json = json_dumps(undo, JSON_COMPACT);
    char deadline[32], name[] = "chaosd", verb[] = "__reap";
    snprintf(deadline, sizeof deadline, "%lld", (long long)deadline_boot_ns);
    if (!r || !json)
        return error_set(err, -ENOMEM, "out of memory");
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return error_errno(err, "socketpair");
    cleanup_close int ours = ends[0], theirs = ends[1];
    char *argv[] = {name, verb, deadline, json, NULL};
    int rc = spawn(argv, theirs, &r->pid, err);
    close(take_fd(&theirs)); /* or a reaper that dies at once would not be noticed */
    if (rc < 0)
        return rc;
    r->line = ours;
    rc = wait_ready(r, err);
    if (rc < 0) {
        kill(r->pid, SIGKILL); /* our child, not yet waited for: the pid is its own */
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return rc;
    }
    r->deadline_boot_ns = deadline_boot_ns;
    take_fd(&ours);
    *ret = take_ptr(r);
    return 0;
}

json_t *reaper_undo(const struct reaper *r) {
    return json_pack("{s:s, s:I, s:I}", "kind", "reaper", "pid", (json_int_t)r->pid, "start_time", (json_int_t)r->start_time);
}

int reaper_arm(struct reaper *r, struct error *err) {
    const char word = ARM;
    return send(r->line, &word, 1, MSG_NOSIGNAL) == 1 ? 0 : error_errno(err, "arming the reaper");
}

void reaper_leave(struct reaper *r) {
    if (r)
        close(r->line);
    free(r);
}

void reaper_dismiss(struct reaper *r) {
    if (!r)
        return;
    const char word = DISMISS;
    send(r->line, &word, 1, MSG_NOSIGNAL); /* it may have acted and ended already */
    /* Its end closes the line. Past its deadline it is at work on what is undone by now, and hears no word: an API server may keep it for long. */
    if (!wait_readable(r->line, clock_boot_ns() < r->deadline_boot_ns ? DISMISS_TIMEOUT_MS : BUSY_TIMEOUT_MS))
        kill(r->pid, SIGKILL);
    while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(r->line);
    free(r);
}

/* ---- the reaper itself */

enum { ON_LINE, ON_TIME, ON_TERM };

/* What ends the wait: ON_LINE is the dismissal, the others say act. Once armed, the line's end alone (chaosd died) is no reason yet. */
static int wait_for_work(int64_t deadline_boot_ns) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (deadline_boot_ns <= 0)
        deadline_boot_ns = 1; /* 0 would disarm the timer */
    struct itimerspec at = {.it_value = {.tv_sec = deadline_boot_ns / NS_PER_S, .tv_nsec = deadline_boot_ns % NS_PER_S}};
    struct pollfd fds[] = {[ON_LINE] = {.fd = 0, .events = POLLIN},
                           [ON_TIME] = {.fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC), .events = POLLIN},
                           [ON_TERM] = {.fd = signalfd(-1, &set, SFD_CLOEXEC), .events = POLLIN}};
    if (fds[ON_TIME].fd < 0 || fds[ON_TERM].fd < 0 || timerfd_settime(fds[ON_TIME].fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
        return -1; /* not ready: nothing was promised yet */
    const char word = READY;
    bool armed = false;
    if (write(0, &word, 1) != 1)
        return -1;
    for (;;) {
        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
            return ON_TIME; /* better too early than never */
        if (fds[ON_TIME].revents)
            return ON_TIME;
        if (fds[ON_TERM].revents)
            return ON_TERM;
        char c = 0;
        if (fds[ON_LINE].revents) {
            if (read(0, &c, 1) == 1 && c == DISMISS)
                return ON_LINE;
            armed |= c == ARM;
            if (c == 0 && !armed)
                return ON_LINE; /* chaosd died before the act: there is nothing to undo, and no journal knows of us */
            if (c == 0)
                fds[ON_LINE].fd = -1; /* chaosd is gone: the deadline stays */
        }
    }
}

/* Another reaper stands in it: the journal is that of whoever came after us. */
static bool is_anothers(const json_t *undo) {
    const char *kind = json_string_value(json_object_get(undo, "kind"));
    return kind && strcmp(kind, "reaper") == 0 && json_integer_value(json_object_get(undo, "pid")) != getpid();
}

/* Nobody comes back to a fault that was left to its deadline: its journal holds what was done just now, and us. */
static void close_journal(const char *run) {
    int64_t ids[16];
    const json_t *undos[16];
    struct journal *j = NULL;
    if (!run || journal_reopen(run, false, &j, NULL) < 0)
        return;
    size_t n = journal_pending(j, ids, undos, ARRAY_SIZE(ids));
    bool ours = true;
    for (size_t i = 0; i < n; i++)
        ours &= !is_anothers(undos[i]);
    for (size_t i = 0; i < n && ours; i++)
        journal_done(j, ids[i], NULL);
    journal_close(j, NULL);
}

/* On a slow machine who started us may still be putting in what we are to take away: it holds the journal meanwhile. */
static void wait_for_starter(const char *run) {
    const int64_t deadline = clock_now(&clock_monotonic) + STARTER_NS;
    struct journal *j = NULL;
    while (run && journal_reopen(run, false, &j, NULL) == -EBUSY && clock_now(&clock_monotonic) < deadline)
        ;
    journal_close(j, NULL);
}

int reaper_main(int argc, char **argv) {
    if (argc < 3)
        return 64;
    char *end = NULL;
    const char *when = argv[argc - 2]; /* the last two, whether or not the program's name stands before the command's */
    const long long deadline = strtoll(when, &end, 10);
    cleanup_json json_t *undo = json_loads(argv[argc - 1], 0, NULL);
    if (!undo || *end || end == when)
        return 64;
    if (json_is_true(json_object_get(undo, "leave")) && cgroup_leave(NULL) < 0)
        return 70; /* not ready: it would end with its container */
    int what = wait_for_work(deadline);
    if (what < 0)
        return 70;
    if (what == ON_LINE)
        return 0;
    const char *journal = json_string_value(json_object_get(undo, "journal"));
    wait_for_starter(journal);
    json_object_set_new(undo, "patience_s", json_integer(PATIENCE_S));
    if (undo_apply(undo, NULL) < 0)
        return 70;
    close_journal(journal);
    return 0;
}
