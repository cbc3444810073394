/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The control group of a container, by which it can be frozen: where its first process says that it is, below the mount that this process
 * sees. In a container of its own the machine's /sys/fs/cgroup must be mounted, writable, and cgroup_see_all helps. */
#include "agent/pod_find.h"
#include "cluster/cgroup.h"

/* proc_fd: of /proc. ret: CGROUP_PATH_MAX bytes. -ENOENT: its first process is gone; -ENOTSUP: no freezer's hierarchy has its group here. */
int pod_group(int proc_fd, const struct pod_container *c, char *ret, struct error *err);
