/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cgroup.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define OUR_FOLDER "chaosd"

static int join(char *out, size_t size, const char *folder, const char *name, struct error *err) {
    if (snprintf(out, size, "%s/%s", folder, name) >= (int)size)
        return error_set(err, -ENAMETOOLONG, "%s/%s: path too long", folder, name);
    return 0;
}

static bool exists(const char *folder, const char *name) {
    char path[CGROUP_PATH_MAX];
    return join(path, sizeof path, folder, name, NULL) == 0 && access(path, F_OK) == 0;
}

/* mountinfo writes blanks as \040. */
static void unescape(char *s) {
    char *out = s;
    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
            *out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 3;
        } else {
            *out++ = *s;
        }
    }
    *out = 0;
}

static bool has_option(const char *options, const char *wanted) {
    size_t n = strlen(wanted);
    for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, wanted, n) == 0 && (p[n] == ',' || p[n] == 0))
            return true;
    return false;
}

/* "36 25 0:31 / /sys/fs/cgroup/freezer rw,relatime shared:9 - cgroup cgroup rw,freezer". any: also hierarchies that have no freezer */
static int parse_mount(char *line, bool any, struct cgroup_tree *ret) {
    line[strcspn(line, "\n")] = 0;
    char *dash = strstr(line, " - ");
    if (!dash)
        return 0;
    *dash = 0;
    char *save = NULL, *point = NULL, *root = NULL, *type, *source, *options;
    int i = 0;
    for (char *w = strtok_r(line, " ", &save); w && i <= 4; w = strtok_r(NULL, " ", &save), i++)
        *(i == 3 ? &root : &point) = w;
    type = strtok_r(dash + 3, " ", &save);
    source = strtok_r(NULL, " ", &save);
    options = strtok_r(NULL, " ", &save);
    if (!point || !type || !source || !options)
        return 0;
    int version = strcmp(type, "cgroup2") == 0 ? 2 : strcmp(type, "cgroup") == 0 && (any || has_option(options, "freezer")) ? 1 : 0;
    if (!version || (any && strcmp(root, "/") != 0))
        return 0;
    unescape(point);
    ret->version = version;
    return join(ret->path, sizeof ret->path, point, OUR_FOLDER, NULL) == 0;
}

static int trees(bool any, struct cgroup_tree *list, int max, struct error *err) {
    cleanup_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
    if (!f)
        return error_errno(err, "/proc/self/mountinfo");
    int n = 0;
    cleanup_free char *line = NULL;
    size_t size = 0;
    while (n < max && getline(&line, &size, f) > 0)
        n += parse_mount(line, any, &list[n]);
    return n;
}

int cgroup_trees(struct cgroup_tree *list, int max, struct error *err) { return trees(false, list, max, err); }

void cgroup_mount(const struct cgroup_tree *t, char *out, size_t n) {
    snprintf(out, n, "%.*s", (int)(strlen(t->path) - strlen("/" OUR_FOLDER)), t->path);
}

void cgroup_see_all(void) {
    cleanup_close int fd = open("/proc/1/ns/cgroup", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && setns(fd, CLONE_NEWCGROUP) < 0)
        return;
}

/* Each hierarchy's line of /proc/self/cgroup ends in its group: ":/" is the root. */
static int check_left(struct error *err) {
    cleanup_fclose FILE *f = fopen("/proc/self/cgroup", "re");
    cleanup_free char *line = NULL;
    size_t size = 0;
    if (!f)
        return error_errno(err, "/proc/self/cgroup");
    while (getline(&line, &size, f) > 0) {
        line[strcspn(line, "\n")] = 0;
        const char *group = strstr(line, ":/");
        if (group && group[2])
            return error_set(err, -EPERM, "the control group %s could not be left: the machine's /sys/fs/cgroup is not mounted here", line);
    }
    return 0;
}

enum { HIERARCHIES = 32 };

int cgroup_leave(struct error *err) {
    cgroup_see_all();
    cleanup_free struct cgroup_tree *list = calloc(HIERARCHIES, sizeof *list);
    if (!list)
        return error_set(err, -ENOMEM, "out of memory");
    int n = trees(true, list, HIERARCHIES, err), rc = n < 0 ? n : 0;
    for (int i = 0; i < n && rc == 0; i++) {
        char mount[CGROUP_PATH_MAX], procs[CGROUP_PATH_MAX + 16];
        cgroup_mount(&list[i], mount, sizeof mount);
        snprintf(procs, sizeof procs, "%s/cgroup.procs", mount);
        rc = fs_write_sys(procs, "0", err);
    }
    return rc < 0 ? rc : check_left(err);
}

/* A root group has no freezer of its own: only a group below it shows whether there is one. */
static int try_tree(const struct cgroup_tree *t, struct error *err) {
    bool was = access(t->path, F_OK) == 0;
    if (!was && mkdir(t->path, 0755) < 0 && errno != EEXIST)
        return error_errno(err, "%s", t->path);
    bool ok = exists(t->path, t->version == 2 ? "cgroup.freeze" : "freezer.state");
    if (!was)
        rmdir(t->path);
    return ok ? 0 : error_set(err, -ENOTSUP, "%s: no freezer", t->path);
}

int cgroup_find(struct cgroup_tree *ret, struct error *err) {
    struct cgroup_tree list[16];
    int n = cgroup_trees(list, ARRAY_SIZE(list), err);
    if (n < 0)
        return n;
    struct error why = {"no cgroup2 and no cgroup freezer hierarchy is mounted"};
    for (int version = 2; version >= 1; version--)
        for (int i = 0; i < n; i++)
            if (list[i].version == version && try_tree(&list[i], &why) == 0) {
                *ret = list[i];
                return 0;
            }
    return error_set(err, -ENOTSUP, "cgroups: cannot freeze processes here: %s", why.text);
}

int cgroup_create(const char *path, struct error *err) {
    /* Another run that ends may take the common parent away between the two mkdirs: try again. */
    for (int i = 0; i < 20; i++) {
        int rc = fs_mkdirs(path, err);
        if (rc != -ENOENT)
            return rc;
    }
    return -ENOENT;
}

/* Calls fn for each child group; stops at the first error. */
static int each_child(const char *path, int (*fn)(const char *child, void *arg, struct error *err), void *arg, struct error *err) {
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? 0 : error_errno(err, "%s", path);
    int rc = 0;
    struct dirent *e;
    while (rc == 0 && (e = readdir(dir))) {
        char child[CGROUP_PATH_MAX];
        if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        rc = join(child, sizeof child, path, e->d_name, err);
        if (rc == 0)
            rc = fn(child, arg, err);
    }
    closedir(dir);
    return rc;
}

enum { REMOVE_TRIES = 1000, REMOVE_WAIT_NS = 5000000 }; /* 5 s */

static int remove_one(const char *path, void *arg, struct error *err) {
    int rc = each_child(path, remove_one, arg, err);
    if (rc < 0)
        return rc;
    /* A process with many threads is off cgroup.procs before its last thread is off the cgroup. */
    for (int tries = 0; rmdir(path) < 0 && errno != ENOENT; tries++) {
        if (errno != EBUSY || tries == REMOVE_TRIES)
            return error_errno(err, "%s", path);
        nanosleep(&(struct timespec){.tv_nsec = REMOVE_WAIT_NS}, NULL);
    }
    return 0;
}

int cgroup_remove(const char *path, struct error *err) { return remove_one(path, NULL, err); }

int cgroup_freeze(const char *path, bool on, struct error *err) {
    char file[CGROUP_PATH_MAX];
    bool v2 = exists(path, "cgroup.freeze");
    int rc = join(file, sizeof file, path, v2 ? "cgroup.freeze" : "freezer.state", err);
    return rc < 0 ? rc : fs_write_sys(file, v2 ? (on ? "1" : "0") : (on ? "FROZEN" : "THAWED"), err);
}

static int read_small(const char *folder, const char *name, char *out, size_t size, struct error *err) {
    char file[CGROUP_PATH_MAX];
    int rc = join(file, sizeof file, folder, name, err);
    if (rc < 0)
        return rc;
    cleanup_close int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (n < 0)
        return error_errno(err, "%s", file);
    out[n] = 0;
    return 0;
}

int cgroup_frozen(const char *path, bool *ret, struct error *err) {
    char text[512];
    bool v2 = exists(path, "cgroup.freeze");
    int rc = read_small(path, v2 ? "cgroup.events" : "freezer.state", text, sizeof text, err);
    if (rc == 0)
        *ret = strstr(text, v2 ? "frozen 1" : "FROZEN") != NULL;
    return rc;
}

int cgroup_freezing(const char *path, bool *ret, struct error *err) {
    char text[64];
    bool v2 = exists(path, "cgroup.freeze");
    int rc = read_small(path, v2 ? "cgroup.freeze" : "freezer.state", text, sizeof text, err);
    if (rc == 0)
        *ret = v2 ? *text == '1' : strncmp(text, "THAWED", 6) != 0;
    return rc;
}

/* Is the pid still listed? Asked once more when its pidfd is held, so that a recycled pid is never hit. */
static bool lists(const char *procs, int pid) {
    cleanup_fclose FILE *f = fopen(procs, "re");
    int one;
    while (f && fscanf(f, "%d", &one) == 1)
        if (one == pid)
            return true;
    return false;
}

struct sweep { int seen; };

static int kill_each(const char *path, void *arg, struct error *err) {
    struct sweep *sweep = arg;
    char procs[CGROUP_PATH_MAX];
    int rc = join(procs, sizeof procs, path, "cgroup.procs", err);
    if (rc < 0)
        return rc;
    cleanup_fclose FILE *f = fopen(procs, "re");
    int pid;
    while (f && fscanf(f, "%d", &pid) == 1) {
        sweep->seen++;
        cleanup_close int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
        if (pidfd >= 0 && lists(procs, pid))
            syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    }
    /* Version 1 keeps a frozen process from dying. */
    if (exists(path, "freezer.state"))
        cgroup_freeze(path, false, NULL);
    return each_child(path, kill_each, arg, err);
}

static int count_each(const char *path, void *arg, struct error *err) {
    struct sweep *sweep = arg;
    char procs[CGROUP_PATH_MAX];
    int rc = join(procs, sizeof procs, path, "cgroup.procs", err);
    if (rc < 0)
        return rc;
    cleanup_fclose FILE *f = fopen(procs, "re");
    int pid;
    while (f && fscanf(f, "%d", &pid) == 1)
        sweep->seen++;
    return each_child(path, count_each, arg, err);
}

int cgroup_kill(const char *path, int64_t timeout_ns, struct error *err) {
    const int64_t deadline = clock_now(&clock_monotonic) + timeout_ns;
    for (int64_t wait_ns = NS_PER_MS;; wait_ns = wait_ns < 20 * NS_PER_MS ? wait_ns * 2 : wait_ns) {
        struct sweep left = {0};
        char file[CGROUP_PATH_MAX];
        bool whole = exists(path, "cgroup.kill"); /* Linux 5.14: the subtree at one stroke, forks in flight too */
        int rc = join(file, sizeof file, path, "cgroup.kill", err);
        if (rc == 0 && whole)
            whole = fs_write_sys(file, "1", NULL) == 0;
        if (rc == 0)
            rc = whole ? count_each(path, &left, err) : kill_each(path, &left, err);
        if (rc < 0)
            return rc;
        if (left.seen == 0)
            return 0;
        if (clock_now(&clock_monotonic) >= deadline)
            return error_set(err, -EBUSY, "%s: %d processes do not die", path, left.seen);
        struct timespec pause = {.tv_nsec = wait_ns};
        nanosleep(&pause, NULL);
    }
}
