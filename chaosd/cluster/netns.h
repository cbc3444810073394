/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Network namespaces of this machine, as far as they can be seen: the caller's own, those with a name, those of processes. */
#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

enum { NETNS_PATH_SIZE = 300, NETNS_SAID_SIZE = 96 };
struct netns {
    char path[NETNS_PATH_SIZE]; /* "/run/netns/web1", "/proc/1234/ns/net", "/proc/self/ns/net" */
    char said[NETNS_SAID_SIZE]; /* "web1", "process 1234 (nginx)", "this machine" (the caller's own) */
    uint64_t inode;             /* the same for two paths: the same namespace */
};

/* name: of /run/netns, or a path. -ENOENT with the names that there are. */
int netns_named(const char *name, struct netns *ret, struct error *err);
int netns_of_process(pid_t pid, struct netns *ret, struct error *err); /* -ESRCH: no such process */
/* What netem_ns_open takes: NULL for the caller's own, which may be entered without a privilege. */
const char *netns_to_open(const char *path);
int netns_own(struct netns *ret, struct error *err);
/* Each once, the own first, then the named. Array to free(), returns their number. */
int netns_all(struct netns **ret, struct error *err);
/* By its inode, wherever it is seen now; path (may be NULL) is looked at first. -ENOENT: gone. */
int netns_find(uint64_t inode, const char *path, struct netns *ret);
