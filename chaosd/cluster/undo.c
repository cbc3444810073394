/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/undo.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "cluster/cgroup.h"
#include "cluster/kubernetes_undo.h"
#include "cluster/local_net.h"
#include "cluster/netns.h"

#include "netem.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define KILL_TIMEOUT_NS (10 * NS_PER_S)
#define THAW_TIMEOUT_NS (5 * NS_PER_S)
#define DRAIN_TIMEOUT_NS (5 * NS_PER_S)
#define UNREAD_PAUSE_NS (100 * NS_PER_MS)
enum { UNREAD_MOST = 50, CONTAINER_DIGITS = 32 };

static const char *text_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static bool run_fits(const char *run) {
    size_t n = strlen(run);
    return n >= 1 && n <= 8 && strspn(run, "abcdefghijklmnopqrstuvwxyz0123456789") == n;
}

/* Goes on after a failure: the first text is kept, the rest is still tried. */
static void note(int rc, const struct error *one, int *first, struct error *err) {
    if (rc >= 0 || *first < 0)
        return;
    *first = rc;
    error_set(err, rc, "%s", one->text);
}

/* ---- local-cluster: {"run":"ab12cd34","state":"/var/lib/chaosd/..."}; everything is found by the run's name */

static void pause_ms(int64_t ms) {
    struct timespec pause = {.tv_nsec = ms * NS_PER_MS};
    nanosleep(&pause, NULL);
}

/* A child that its parent, killed just now, had not yet put into its group may still get in after the sweep: sweep again. */
static int end_group(const char *path, struct error *err) {
    const int64_t deadline = clock_now(&clock_monotonic) + KILL_TIMEOUT_NS;
    for (;;) {
        int rc = cgroup_kill(path, KILL_TIMEOUT_NS, err);
        if (rc == 0)
            rc = cgroup_remove(path, err);
        if (rc != -EBUSY || clock_now(&clock_monotonic) >= deadline)
            return rc;
        pause_ms(5);
    }
}

static int undo_groups(const char *run, struct error *err) {
    struct cgroup_tree trees[16];
    int n = cgroup_trees(trees, ARRAY_SIZE(trees), err), rc = n < 0 ? n : 0;
    for (int i = 0; i < n; i++) {
        char path[CGROUP_PATH_MAX + 16];
        struct error one = {{0}};
        snprintf(path, sizeof path, "%s/%s", trees[i].path, run);
        if (access(path, F_OK) == 0)
            note(end_group(path, &one), &one, &rc, err);
        rmdir(trees[i].path); /* shared by all runs: goes with the last */
    }
    return rc;
}

static int undo_folders(const char *state, const char *run, struct error *err) {
    char path[4096];
    const char *base = strrchr(state, '/');
    if (*state != '/' || !base || strcmp(base + 1, run) != 0)
        return error_set(err, -EINVAL, "'%s' is no folder of run %s", state, run);
    int rc = 0;
    struct error one = {{0}};
    if (snprintf(path, sizeof path, "%s/pods", state) < (int)sizeof path)
        note(fs_remove_tree(path, &one), &one, &rc, err);
    rmdir(state); /* the journal may live in it: then it goes with the journal */
    return rc;
}

static int undo_local(const json_t *undo, struct error *err) {
    const char *run = text_of(undo, "run");
    if (!run_fits(run))
        return error_set(err, -EINVAL, "'%s' is no name of a run", run);
    int rc = 0;
    struct error one = {{0}};
    note(undo_groups(run, &one), &one, &rc, err);
    note(local_net_remove(run, &one), &one, &rc, err);
    note(undo_folders(text_of(undo, "state"), run, &one), &one, &rc, err);
    return rc;
}

static void describe_local(const json_t *undo, char *out, size_t size) {
    snprintf(out, size, "remove local cluster %s", text_of(undo, "run"));
}

/* ---- thaw: {"cgroup":"/sys/fs/cgroup/chaosd/RUN/POD","pod":"etcd-1"}; of a Kubernetes' pod {"cgroups":[".../ID", ...],...} */

/* A group of ours, or a container's, which has its ID in its name. */
static bool may_thaw(const char *path) {
    const char *last = strrchr(path, '/');
    size_t most = 0;
    for (const char *p = last; p && *p; p++) {
        const size_t n = strspn(p, "0123456789abcdef");
        most = n > most ? n : most;
    }
    return *path == '/' && !strstr(path, "/../") && (strstr(path, "/chaosd/") || most >= CONTAINER_DIGITS);
}

static int thaw(const char *path, struct error *err) {
    if (!may_thaw(path))
        return error_set(err, -EINVAL, "'%s' is no control group of ours", path);
    const int64_t deadline = clock_now(&clock_monotonic) + THAW_TIMEOUT_NS;
    bool frozen = true;
    int rc = cgroup_freeze(path, false, err);
    while (rc == 0 && (rc = cgroup_frozen(path, &frozen, err)) == 0 && frozen) {
        if (clock_now(&clock_monotonic) >= deadline)
            return error_set(err, -ETIMEDOUT, "%s: still frozen", path);
        pause_ms(1);
    }
    return rc == -ENOENT || rc == -ENODEV ? 0 : rc; /* gone with its pod */
}

static int undo_thaw(const json_t *undo, struct error *err) {
    const json_t *several = json_object_get(undo, "cgroups");
    struct error one = {{0}};
    int rc = several ? 0 : thaw(text_of(undo, "cgroup"), err);
    for (size_t i = 0; i < json_array_size(several); i++) {
        const char *path = json_string_value(json_array_get(several, i));
        note(thaw(path ? path : "", &one), &one, &rc, err);
    }
    return rc;
}

static void describe_thaw(const json_t *undo, char *out, size_t size) { snprintf(out, size, "thaw pod %s", text_of(undo, "pod")); }

/* ---- netem: {"netns":"/run/netns/...","dev":"eth0","id":1,"run":"ab12cd34","drain_ms":2100} */

/* How long what is under way may take to arrive, as the record says. */
static int64_t drain_of(const json_t *undo) {
    const json_int_t ms = json_integer_value(json_object_get(undo, "drain_ms"));
    return ms > 0 ? ms * NS_PER_MS : DRAIN_TIMEOUT_NS;
}

/* Takes out one fault of the run, or with dev NULL all of it; what has not drained in time is dropped. Closes ns. */
static int take_out(struct netem_ns *ns, const char *run, const char *dev, uint32_t id, int64_t drain_ns, char *why) {
    const int64_t deadline = clock_now(&clock_monotonic) + drain_ns;
    for (;;) {
        const unsigned flags = clock_now(&clock_monotonic) < deadline ? NETEM_DRAIN : 0;
        int rc = dev ? netem_remove(ns, dev, id, flags, why) : netem_sweep(ns, run, flags, why);
        if (rc != 1) {
            netem_ns_close(ns);
            return rc;
        }
        pause_ms(5);
    }
}

/* Over in the kernel by its deadline anyway: here it ends at once, what is under way may still arrive, and nothing of it is left. */
static int undo_netem(const json_t *undo, struct error *err) {
    const json_int_t id = json_integer_value(json_object_get(undo, "id"));
    const char *run = text_of(undo, "run");
    char why[NETEM_ERROR_SIZE];
    struct netem_ns *ns = NULL;
    if (id < 1 || id > UINT32_MAX || !*run)
        return error_set(err, -EINVAL, "fault %lld of run '%s' is none of ours", (long long)id, run);
    int rc = netem_ns_open(NULL, text_of(undo, "netns"), &ns, why);
    if (rc == 0)
        rc = take_out(ns, run, text_of(undo, "dev"), (uint32_t)id, drain_of(undo), why);
    return rc == -ENOENT || rc == -ENODEV || rc == 0 ? 0 : error_set(err, rc, "%s", why);
}

static void describe_netem(const json_t *undo, char *out, size_t size) {
    const char *pod = text_of(undo, "pod"), *dev = text_of(undo, "dev");
    snprintf(out, size, "end network fault %lld on %s%s%s", (long long)json_integer_value(json_object_get(undo, "id")), pod, *pod ? " " : "", dev);
}

/* ---- netem-run: {"netns":"/run/netns/web1","inode":4026532201,"run":"inject-...","drain_ms":2100,"what":"net-delay on eth0 of web1"};
 * "only_over": true, a reaper's: not before it is over */

int undo_netem_run(const char *netns, const char *run, int64_t drain_ns, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    struct netem_ns *ns = NULL;
    int rc = netem_ns_open(NULL, netns_to_open(netns), &ns, why);
    if (rc == 0)
        rc = take_out(ns, run, NULL, 0, drain_ns, why);
    return rc == -ENOENT || rc == 0 ? 0 : error_set(err, rc, "%s", why);
}

/* How long the run's faults there still last. A query that fails says nothing: to be asked again soon, some times. */
static int64_t time_left(const char *netns, const char *run, int *unread) {
    struct netem_ns *ns = NULL;
    cleanup_free struct netem_state *list = NULL;
    int64_t left = 0;
    int rc = netem_ns_open(NULL, netns_to_open(netns), &ns, NULL), n = rc == 0 ? netem_list(ns, run, &list, NULL) : rc;
    netem_ns_close(ns);
    bool unsure = n < 0 && n != -ENOENT;
    for (int i = 0; i < n; i++) {
        unsure |= !list[i].known;
        if (list[i].known && list[i].left_ns > left)
            left = list[i].left_ns;
    }
    return left || !unsure || ++*unread > UNREAD_MOST ? left : UNREAD_PAUSE_NS;
}

/* The kernel ends it, which may be later than was planned: it was switched on late on a slow machine, or given more time by another. */
static void wait_until_over(const struct netns *at, const char *run) {
    struct netns now = *at;
    int unread = 0;
    for (int64_t left; netns_find(at->inode, at->path, &now) == 0 && (left = time_left(now.path, run, &unread)) > 0;) {
        struct timespec pause = {.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
        nanosleep(&pause, NULL);
    }
}

/* The path of a process's namespace goes with the process, or becomes another's: the inode says which it was. */
static int undo_run(const json_t *undo, struct error *err) {
    struct netns at;
    const char *run = text_of(undo, "run");
    if (!*run)
        return error_set(err, -EINVAL, "a fault without a run is none of ours");
    int rc = netns_find((uint64_t)json_integer_value(json_object_get(undo, "inode")), text_of(undo, "netns"), &at);
    if (rc == -ENOENT)
        return 0; /* gone, with all that was in it */
    if (rc == 0 && json_is_true(json_object_get(undo, "only_over"))) {
        wait_until_over(&at, run);
        rc = netns_find(at.inode, at.path, &at);
        if (rc == -ENOENT)
            return 0;
    }
    return rc < 0 ? error_set(err, rc, "%s: %s", text_of(undo, "netns"), strerror(-rc))
                  : undo_netem_run(at.path, run, drain_of(undo), err);
}

static void describe_run(const json_t *undo, char *out, size_t size) { snprintf(out, size, "end %s", text_of(undo, "what")); }

/* ---- reaper: {"pid":1234,"start_time":567890} */

static int undo_reaper(const json_t *undo, struct error *err) {
    const json_int_t pid = json_integer_value(json_object_get(undo, "pid"));
    const uint64_t wanted = (uint64_t)json_integer_value(json_object_get(undo, "start_time"));
    if (pid <= 1 || pid > INT32_MAX)
        return error_set(err, -EINVAL, "%lld is no pid of a reaper", (long long)pid);
    cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (pidfd < 0)
        return errno == ESRCH ? 0 : error_errno(err, "process %lld", (long long)pid);
    uint64_t start;
    if (proc_start_time((int)pid, &start, NULL) < 0 || start != wanted)
        return 0; /* it is over, and the pid is someone else's now */
    if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
        return errno == ESRCH ? 0 : error_errno(err, "process %lld", (long long)pid);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    return poll(&p, 1, 2000) > 0 ? 0 : error_set(err, -ETIMEDOUT, "reaper %lld does not die", (long long)pid);
}

static void describe_reaper(const json_t *undo, char *out, size_t size) {
    snprintf(out, size, "end the reaper (process %lld)", (long long)json_integer_value(json_object_get(undo, "pid")));
}

static const struct {
    const char *kind;
    int (*apply)(const json_t *undo, struct error *err);
    void (*describe)(const json_t *undo, char *out, size_t size);
} rows[] = {
    {"local-cluster", undo_local, describe_local},
    {"thaw", undo_thaw, describe_thaw},
    {"netem", undo_netem, describe_netem},
    {"netem-run", undo_run, describe_run},
    {"reaper", undo_reaper, describe_reaper},
    {"kube-patch", undo_kube, undo_kube_describe},
    {"node-fault", undo_node_fault, undo_node_fault_describe},
};

int undo_apply(const json_t *undo, struct error *err) {
    const char *kind = text_of(undo, "kind");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcmp(kind, rows[i].kind) == 0) {
            char what[256];
            rows[i].describe(undo, what, sizeof what);
            int rc = rows[i].apply(undo, err);
            return rc < 0 ? error_wrap(err, rc, "%s", what) : rc;
        }
    return error_set(err, -EINVAL, "unknown undo record '%s': written by a newer chaosd?", kind);
}

void undo_describe(const json_t *undo, char *out, size_t size) {
    const char *kind = text_of(undo, "kind");
    snprintf(out, size, "%s", *kind ? kind : "unknown");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcmp(kind, rows[i].kind) == 0)
            rows[i].describe(undo, out, size);
}
