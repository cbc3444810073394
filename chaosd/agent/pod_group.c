/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pod_group.h"

#include "base/cleanup.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 16384, TREES = 16 };

static int read_groups(int proc_fd, pid_t pid, char *out, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "%d/cgroup", (int)pid);
    cleanup_close int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (n < 0)
        return errno == ESRCH ? -ENOENT : -errno;
    out[n] = 0;
    return 0;
}

/* "9:freezer:/kubepods/...": is this line of the hierarchy? Version 2's has no controllers. */
static const char *group_in(char *line, int version) {
    char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL, *save = NULL;
    if (!group)
        return NULL;
    *group++ = 0;
    if (version == 2)
        return list[1] == 0 ? group : NULL;
    for (char *name = strtok_r(list + 1, ",", &save); name; name = strtok_r(NULL, ",", &save))
        if (strcmp(name, "freezer") == 0)
            return group;
    return NULL;
}

static bool has_process(const char *group, pid_t pid) {
    char procs[CGROUP_PATH_MAX + 16];
    int one;
    snprintf(procs, sizeof procs, "%s/cgroup.procs", group);
    cleanup_fclose FILE *f = fopen(procs, "re");
    while (f && fscanf(f, "%d", &one) == 1)
        if (one == pid)
            return true;
    return false;
}

/* Up to the part with the container's ID: what it made below its own group is frozen with it. */
static bool cut(const char *mount, const char *group, const char *id, char *ret) {
    const char *at = strstr(group, id);
    const size_t len = at ? (size_t)(at - group) + strcspn(at, "/") : 0;
    return at && snprintf(ret, CGROUP_PATH_MAX, "%s%.*s", mount, (int)len, group) < CGROUP_PATH_MAX;
}

static bool can_freeze(const char *group, int version) {
    char file[CGROUP_PATH_MAX + 16];
    snprintf(file, sizeof file, "%s/%s", group, version == 2 ? "cgroup.freeze" : "freezer.state");
    return access(file, F_OK) == 0;
}

/* What stands before the mount's own root is passed over: of a node that is itself in a group, or seen from another cgroup namespace. */
static bool find_below(const struct cgroup_tree *t, const char *group, const struct pod_container *c, char *ret) {
    char mount[CGROUP_PATH_MAX], whole[CGROUP_PATH_MAX];
    cgroup_mount(t, mount, sizeof mount);
    for (const char *part = group; part && strstr(part, c->id); part = strchr(part + 1, '/'))
        if (snprintf(whole, sizeof whole, "%s%s", mount, part) < (int)sizeof whole && has_process(whole, c->first.pid) &&
            cut(mount, part, c->id, ret) && can_freeze(ret, t->version))
            return true;
    return false;
}

static bool find_in(const struct cgroup_tree *t, const char *text, const struct pod_container *c, char *ret) {
    cleanup_free char *copy = strdup(text);
    char *save = NULL;
    for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
        const char *group = group_in(line, t->version);
        if (group && find_below(t, group, c, ret))
            return true;
    }
    return false;
}

int pod_group(int proc_fd, const struct pod_container *c, char *ret, struct error *err) {
    struct cgroup_tree trees[TREES];
    char text[TEXT_SIZE];
    int rc = read_groups(proc_fd, c->first.pid, text, sizeof text), n = rc < 0 ? rc : cgroup_trees(trees, TREES, err);
    if (rc < 0)
        return error_set(err, rc, "the groups of process %d: %s", (int)c->first.pid, strerror(-rc));
    for (int i = 0; i < n; i++)
        if (find_in(&trees[i], text, c, ret))
            return 0;
    return n < 0 ? n
                 : error_set(err, -ENOTSUP, "the control group of container %.12s is not seen in any freezer's hierarchy that is mounted here: "
                                            "the node's /sys/fs/cgroup is needed", c->id);
}
