/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Control groups, for one purpose: to hold a set of processes so that it can be frozen, and killed to the last one. Version 2
 * where the kernel has its freezer (5.2), else the freezer hierarchy of version 1. Ours are MOUNT/chaosd/RUN/POD. */
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CGROUP_PATH_MAX = 1024 };

struct cgroup_tree {
    int version;               /* 1 or 2 */
    char path[CGROUP_PATH_MAX]; /* MOUNT/chaosd */
};

/* The tree to use. -ENOTSUP: no freezer here. */
int cgroup_find(struct cgroup_tree *ret, struct error *err);
/* Every tree that a run may have left groups in. Returns the number written. */
int cgroup_trees(struct cgroup_tree *list, int max, struct error *err);
int cgroup_create(const char *path, struct error *err);           /* with its parents */
int cgroup_remove(const char *path, struct error *err);           /* with its children; absent is fine; -EBUSY: processes in it */
int cgroup_freeze(const char *path, bool on, struct error *err);  /* asks only; -ENOENT: no such group */
int cgroup_frozen(const char *path, bool *ret, struct error *err); /* as the kernel says now, for every process in it */
/* It was asked to be frozen, and not to be thawed since. Beside a process that dies in it the kernel says for a moment that it is not frozen. */
int cgroup_freezing(const char *path, bool *ret, struct error *err);
/* Of a freezer's hierarchy: where it is mounted. n: CGROUP_PATH_MAX. */
void cgroup_mount(const struct cgroup_tree *t, char *out, size_t n);
/* From now on groups are read and written as the machine has them, not as a container shows them. Of a process that may not: it stays. */
void cgroup_see_all(void);
/* The calling process moves to the root of every hierarchy, so that it does not end with a container that it was started in. -EPERM, -EROFS:
 * the machine's /sys/fs/cgroup is not writable here. */
int cgroup_leave(struct error *err);
/* SIGKILL to everything in it and below, frozen or not, until it is empty. Blocks up to timeout_ns; absent is fine. */
int cgroup_kill(const char *path, int64_t timeout_ns, struct error *err);
