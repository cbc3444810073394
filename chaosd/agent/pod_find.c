/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pod_find.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/units.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CGROUP_TEXT_SIZE = 16384, SMALL_TEXT_SIZE = 4096, COMM_SIZE = 32 };

/* Bytes read, NUL behind them; more than size is cut off. */
static ssize_t read_at(int dir_fd, const char *name, char *out, size_t size) {
    cleanup_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    if (fd < 0)
        return -errno;
    while (len < size - 1) {
        ssize_t n = read(fd, out + len, size - 1 - len);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    out[len] = 0;
    return (ssize_t)len;
}

static bool is_gone(ssize_t rc) { return rc == -ENOENT || rc == -ESRCH; }

/* Of a process that is gone the kernel says "not allowed" here, as of one that is not to be looked at. */
static int read_netns(int dir_fd, uint64_t *ret) {
    char text[64], rest;
    ssize_t n = readlinkat(dir_fd, "ns/net", text, sizeof text - 1);
    if (n < 0) {
        int rc = -errno;
        return rc == -EACCES && read_at(dir_fd, "stat", text, sizeof text) < 0 ? -ESRCH : rc;
    }
    text[n] = 0;
    return sscanf(text, "net:[%" SCNu64 "]%c", ret, &rest) == 1 ? 0 : -EIO;
}

/* "NSpid:\t4711\t12\t1": its pid in the reader's namespace, and in each further in. Kernels before 4.1 have no such line. */
static void read_pids(const char *status, struct pod_process *p) {
    const char *line = strstr(status, "\nNSpid:");
    p->depth = 0;
    p->inner = p->pid;
    for (const char *at = line ? line + 7 : "\n"; *at == '\t' || *at == ' ';) {
        char *end = NULL;
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        p->inner = (pid_t)pid;
        p->depth++;
        at = end;
    }
}

/* All that is known of one process. 0: filled; 1: it is not the pod's (any more); -errno. dir_fd pins the process: once it is gone, nothing
 * can be read through it, whoever has its pid by then. */
static int look(int dir_fd, const char *uid, struct pod_process *p, struct pod_cgroup *group, bool *ret_pause) {
    char text[CGROUP_TEXT_SIZE], comm[COMM_SIZE], state;
    ssize_t n = read_at(dir_fd, "cgroup", text, sizeof text);
    if (n >= 0 && (!pod_cgroup_parse(text, group) || strcmp(group->uid, uid) != 0 || !*group->container))
        return 1;
    if (n >= 0 && (n = read_at(dir_fd, "stat", text, sizeof text)) >= 0) {
        n = proc_stat_parse(text, &state, &p->start_ticks);
        if (n == 0 && (state == 'Z' || state == 'X'))
            return 1;
    }
    if (n >= 0)
        n = read_netns(dir_fd, &p->netns);
    if (n >= 0 && (n = read_at(dir_fd, "status", text, sizeof text)) >= 0)
        read_pids(text, p);
    if (n >= 0 && (n = read_at(dir_fd, "comm", comm, sizeof comm)) >= 0)
        *ret_pause = strcmp(comm, "pause\n") == 0;
    p->nested = group->nested;
    return is_gone(n) ? 1 : n < 0 ? (int)n : 0;
}

/* --- putting it together --- */

struct scan {
    int proc_fd;
    const char *uid;
    struct pod_found *found;
    char systemd_uid[POD_UID_SIZE];
};

static void *grow(void *list, size_t count, size_t size) { /* room for one more, doubling at each power of two */
    return count & (count - 1) ? list : realloc(list, (count ? 2 * count : 1) * size);
}

static struct pod_container *container_of(struct pod_found *f, const struct pod_cgroup *group) {
    for (size_t i = 0; i < f->container_count; i++)
        if (strcmp(f->containers[i].id, group->container) == 0)
            return &f->containers[i];
    void *more = grow(f->containers, f->container_count, sizeof *f->containers);
    if (!more)
        return NULL;
    f->containers = more;
    struct pod_container *c = &f->containers[f->container_count++];
    *c = (struct pod_container){.runtime = group->runtime};
    memcpy(c->id, group->container, sizeof c->id);
    return c;
}

/* Whatever else is in a container's group came after its first process: what that started, a command that was run in it (a probe's, at first
 * not even in its namespaces), a container within. Where all of it falls into one tick, the first is pid 1 of its namespace, and not
 * further in. */
static bool comes_before(const struct pod_process *a, const struct pod_process *b) {
    if (a->start_ticks != b->start_ticks)
        return a->start_ticks < b->start_ticks;
    if ((a->inner == 1) != (b->inner == 1))
        return a->inner == 1;
    return a->depth != b->depth ? a->depth < b->depth : a->pid < b->pid;
}

static int add(struct scan *s, const struct pod_cgroup *group, const struct pod_process *p, bool pause) {
    struct pod_container *c = container_of(s->found, group);
    void *more = c ? grow(c->processes, c->process_count, sizeof *c->processes) : NULL;
    if (!more)
        return -ENOMEM;
    c->processes = more;
    c->processes[c->process_count++] = *p;
    s->found->process_count++;
    if (c->process_count == 1 || comes_before(p, &c->first)) {
        c->first = *p;
        c->sandbox = pause;
    }
    return 0;
}

/* One of /proc's entries. Nearly all are somebody else's, so that their groups' text is searched before anything is taken apart. */
static int consider(struct scan *s, const char *name, char *text) {
    char path[64];
    struct pod_process p = {.pid = (pid_t)strtol(name, NULL, 10)};
    struct pod_cgroup group;
    bool pause = false;
    snprintf(path, sizeof path, "%.20s/cgroup", name);
    ssize_t n = read_at(s->proc_fd, path, text, CGROUP_TEXT_SIZE);
    if (n < 0)
        return is_gone(n) ? 0 : (int)n;
    if (!strstr(text, s->uid) && !strstr(text, s->systemd_uid))
        return 0;
    cleanup_close int dir_fd = openat(s->proc_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return is_gone(-errno) ? 0 : -errno;
    int rc = look(dir_fd, s->uid, &p, &group, &pause);
    return rc < 0 ? rc : rc > 0 ? 0 : add(s, &group, &p, pause);
}

static int scan(struct scan *s, struct error *err) {
    char text[CGROUP_TEXT_SIZE];
    int rc = 0, fd = openat(s->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        rc = error_errno(err, "looking through the processes");
        closep(&fd);
        return rc;
    }
    for (struct dirent *e; rc == 0 && (errno = 0, e = readdir(dir));) {
        if (*e->d_name < '1' || *e->d_name > '9')
            continue;
        rc = consider(s, e->d_name, text);
        if (rc < 0)
            error_set(err, rc, "looking at process %.20s: %s%s", e->d_name, strerror(-rc),
                      rc == -EACCES || rc == -EPERM ? " (CAP_SYS_PTRACE is needed to see the namespaces of other users' processes)" : "");
    }
    if (rc == 0 && errno)
        rc = error_errno(err, "looking through the processes");
    closedir(dir);
    return rc == -EPERM ? -EACCES : rc;
}

static int by_start(const void *a, const void *b) {
    const struct pod_process *x = &((const struct pod_container *)a)->first, *y = &((const struct pod_container *)b)->first;
    return x->start_ticks != y->start_ticks ? (x->start_ticks > y->start_ticks) - (x->start_ticks < y->start_ticks)
                                            : (x->pid > y->pid) - (x->pid < y->pid);
}

static int by_pid(const void *a, const void *b) {
    pid_t x = ((const struct pod_process *)a)->pid, y = ((const struct pod_process *)b)->pid;
    return (x > y) - (x < y);
}

/* Any container may call its program pause: the sandbox is the one that was there before the others. */
static void settle(struct pod_found *f) {
    qsort(f->containers, f->container_count, sizeof *f->containers, by_start);
    for (size_t i = 0; i < f->container_count; i++) {
        qsort(f->containers[i].processes, f->containers[i].process_count, sizeof *f->containers[i].processes, by_pid);
        f->containers[i].sandbox &= i == 0;
    }
    f->holder = f->containers[0].first;
    f->netns = f->holder.netns;
}

static int check_network(struct scan *s, unsigned flags, struct error *err) {
    struct pod_found *f = s->found;
    uint64_t init;
    int rc;
    for (size_t i = 1; i < f->container_count; i++)
        if (f->containers[i].first.netns != f->netns)
            return error_set(err, -EXDEV, "the containers of pod %s are in different network namespaces (processes %d and %d)", f->uid,
                             (int)f->holder.pid, (int)f->containers[i].first.pid);
    cleanup_close int dir_fd = openat(s->proc_fd, "1", O_PATH | O_DIRECTORY | O_CLOEXEC);
    rc = dir_fd < 0 ? -errno : read_netns(dir_fd, &init);
    if (rc < 0 && !(flags & POD_FIND_HOST_NETWORK)) /* without it nobody knows whether a fault would hit the whole node */
        return error_set(err, -EACCES, "the network namespace of process 1: %s (CAP_SYS_PTRACE is needed)",
                         strerror(-rc));
    f->host_network = rc == 0 && f->netns == init;
    if (f->host_network && !(flags & POD_FIND_HOST_NETWORK))
        return error_set(err, -EPERM, "pod %s is in the node's own network (hostNetwork): a fault on it would be one on the node", f->uid);
    return 0;
}

int pod_find(int proc_fd, const char *uid, unsigned flags, struct pod_found *ret, struct error *err) {
    char clip[CLIP_SIZE];
    struct scan s = {.proc_fd = proc_fd, .uid = uid, .found = ret};
    *ret = (struct pod_found){0};
    if (!pod_uid_ok(uid))
        return error_set(err, -EINVAL, "\"%s\" is no UID of a pod: expected a UUID in lower case, as metadata.uid has it",
                         text_clip(uid, clip));
    snprintf(ret->uid, sizeof ret->uid, "%s", uid);
    for (size_t i = 0; i <= strlen(uid); i++)
        s.systemd_uid[i] = uid[i] == '-' ? '_' : uid[i];
    int rc = scan(&s, err);
    if (rc == 0 && ret->container_count == 0)
        rc = error_set(err, -ENOENT, "no process of pod %s is on this node (any more)", uid);
    if (rc == 0) {
        settle(ret);
        rc = check_network(&s, flags, err);
    }
    if (rc == 0 && ret->container_count == 1 && ret->containers[0].sandbox)
        return error_set(err, -EAGAIN, "of pod %s only the sandbox runs: its containers are not up (yet)", uid);
    if (rc < 0)
        pod_found_free(ret);
    return rc;
}

void pod_found_free(struct pod_found *p) {
    for (size_t i = 0; p && i < p->container_count; i++)
        free(p->containers[i].processes);
    if (p) {
        free(p->containers);
        *p = (struct pod_found){0};
    }
}

const struct pod_container *pod_container_find(const struct pod_found *p, const char *id) {
    const char *scheme = strstr(id, "://");
    id = scheme ? scheme + 3 : id;
    for (size_t i = 0; i < p->container_count; i++)
        if (strcmp(p->containers[i].id, id) == 0)
            return &p->containers[i];
    return NULL;
}

int pod_netns_open(int proc_fd, const struct pod_found *p, struct error *err) {
    char name[16], text[SMALL_TEXT_SIZE], state;
    uint64_t start = 0, inode = 0;
    snprintf(name, sizeof name, "%d", (int)p->holder.pid);
    cleanup_close int dir_fd = openat(proc_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = dir_fd < 0 ? -errno : read_netns(dir_fd, &inode);
    cleanup_close int fd = rc < 0 ? -1 : openat(dir_fd, "ns/net", O_RDONLY | O_CLOEXEC);
    if (rc == 0 && fd < 0)
        rc = errno == EACCES ? -ESRCH : -errno; /* it could be read just before */
    ssize_t n = rc < 0 ? rc : read_at(dir_fd, "stat", text, sizeof text);
    rc = n < 0 ? (int)n : proc_stat_parse(text, &state, &start);
    if (is_gone(rc) || (rc == 0 && (start != p->holder.start_ticks || inode != p->netns)))
        return error_set(err, -ENOENT, "pod %s ended while it was looked at", p->uid);
    return rc < 0 ? error_set(err, rc, "the network namespace of pod %s (process %s): %s", p->uid, name, strerror(-rc)) : take_fd(&fd);
}
