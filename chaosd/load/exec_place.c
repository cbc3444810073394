/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that a program started may outlive it: neither what left its session nor what closed its pipes. Where a cluster lends its
 * control group, a group in that; everywhere a mark in the environment, which children inherit. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "cluster/cgroup.h"
#include "load/exec_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define KILL_TIMEOUT_NS (5 * NS_PER_S)
enum { ROUNDS = 500, ROUND_NS = 2000000, ENVIRON_MOST = 1 << 20 };

int exec_place_open(struct exec_place *p, const struct load_context *ctx, struct error *err) {
    uint64_t random;
    char name[32];
    p->cgroup_fd = -1;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return error_errno(err, "getrandom");
    snprintf(p->mark, sizeof p->mark, "CHAOSD_LOAD=%016" PRIx64 "-%u", random, ctx->index);
    if (ctx->cgroup_fd < 0)
        return 0;
    snprintf(name, sizeof name, "load-%u", ctx->index);
    if ((mkdirat(ctx->cgroup_fd, name, 0755) < 0 && errno != EEXIST) ||
        (p->cgroup_fd = openat(ctx->cgroup_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return error_errno(err, "control group %s", name);
    return 0;
}

void exec_place_close(struct exec_place *p) {
    if (p->cgroup_fd >= 0)
        close(take_fd(&p->cgroup_fd));
}

/* A zombie has no environment any more, and of another user's process it cannot be read: neither is ours. */
static bool is_marked(int proc, const char *pid, const char *mark) {
    char path[64];
    size_t len = strlen(mark) + 1;
    snprintf(path, sizeof path, "%.40s/environ", pid);
    cleanup_close int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    cleanup_buf struct buf text = {0};
    char chunk[16384];
    for (ssize_t n; text.len < ENVIRON_MOST && (n = read(fd, chunk, sizeof chunk)) > 0;)
        buf_add(&text, chunk, (size_t)n);
    if (!buf_ok(&text) || !text.len)
        return false;
    for (const char *at = text.data, *end = text.data + text.len; at < end; at += strnlen(at, (size_t)(end - at)) + 1)
        if ((size_t)(end - at) >= len && !memcmp(at, mark, len))
            return true;
    return false;
}

/* The pidfd first, the mark again after it: a recycled number is not hit. */
static void kill_marked(int proc, const char *pid, const char *mark) {
    cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
    if (pidfd >= 0 && is_marked(proc, pid, mark))
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

static size_t kill_round(const char *mark) {
    DIR *dir = opendir("/proc");
    size_t n = 0;
    struct dirent *e;
    while (dir && (e = readdir(dir)))
        if (strspn(e->d_name, "0123456789") == strlen(e->d_name) && is_marked(dirfd(dir), e->d_name, mark)) {
            kill_marked(dirfd(dir), e->d_name, mark);
            n++;
        }
    if (dir)
        closedir(dir);
    return n;
}

static size_t in_group(const struct exec_place *p) {
    cleanup_close int fd = openat(p->cgroup_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    cleanup_fclose FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    size_t n = 0;
    int pid;
    if (f)
        take_fd(&fd);
    while (f && fscanf(f, "%d", &pid) == 1)
        n++;
    return n;
}

size_t exec_place_sweep(const struct exec_place *p) {
    char link[64], path[CGROUP_PATH_MAX];
    size_t first = 0;
    if (p->cgroup_fd >= 0) {
        first = in_group(p);
        snprintf(link, sizeof link, "/proc/self/fd/%d", p->cgroup_fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        if (n > 0) {
            path[n] = 0;
            cgroup_kill(path, KILL_TIMEOUT_NS, NULL);
        }
    }
    for (int round = 0; round < ROUNDS; round++) { /* one may have forked while it was looked for */
        size_t n = kill_round(p->mark);
        if (!round && n > first)
            first = n;
        if (!n)
            break;
        nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
    }
    return first;
}
