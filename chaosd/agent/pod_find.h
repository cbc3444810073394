/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A pod of this node by its UID, from /proc alone: no runtime's socket is asked. A process that ends, or whose pid is taken by another,
 * while it is looked at counts as gone. To see other users' namespaces CAP_SYS_PTRACE is needed, and the node's own /proc (hostPID). */
#include "agent/pod_cgroup.h"
#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct pod_process {
    pid_t pid;
    uint64_t start_ticks; /* with the pid it names the process for good, as proc_start_time in base/fs.h */
    uint64_t netns;       /* inode of its network namespace */
    unsigned depth;       /* in how many pid namespaces it has a pid, as far as the reader sees */
    pid_t inner;          /* its pid in the innermost of these */
    bool nested;          /* in a group that the container made below its own */
};

struct pod_container {
    char id[CONTAINER_ID_SIZE];
    const char *runtime;       /* as in struct pod_cgroup */
    bool sandbox;              /* started first and named pause: holds the pod's namespaces; not all runtimes have one */
    struct pod_process first;  /* that started first: pid 1 of its pid namespace, unless the pod shares one. It ends: the container does */
    struct pod_process *processes; /* first among them; by pid */
    size_t process_count;
};

struct pod_found {
    char uid[POD_UID_SIZE];
    struct pod_container *containers; /* by their start, the sandbox too */
    size_t container_count, process_count;
    uint64_t netns;            /* inode: that of every container's first process */
    struct pod_process holder; /* one of them: the sandbox where there is one, since it stays when containers start anew */
    bool host_network;         /* it is that of process 1, as far as that can be seen */
};

/* A pod in the node's own network is not refused, nor one of which this cannot be told since process 1 is out of sight. */
enum { POD_FIND_HOST_NETWORK = 1 };
/* proc_fd: of /proc, or of a folder like it. On success ret is to be freed.
 * -EINVAL: no UID; -ENOENT: no process of it is here (any more); -EAGAIN: only its sandbox is: ret is filled, and to be freed, too;
 * -EPERM: it is in the node's own network; -EXDEV: its containers are in different networks; -EACCES: not allowed to look, be it at process 1
 * alone; -ENOMEM. */
int pod_find(int proc_fd, const char *uid, unsigned flags, struct pod_found *ret, struct error *err);
void pod_found_free(struct pod_found *p); /* NULL-safe, leaves a zeroed struct */
/* By the API's containerID, "containerd://<id>", or the ID itself. NULL: it is not there. */
const struct pod_container *pod_container_find(const struct pod_found *p, const char *id);
/* Its network namespace, held open by a descriptor that the caller closes: for netem_ns_open_fd and net_socket. -ENOENT: the pod is gone
 * meanwhile, whatever has its holder's pid by now. */
int pod_netns_open(int proc_fd, const struct pod_found *p, struct error *err);

enum { POD_DEVICE_SIZE = 16 };
/* The pod's interface: that of its default route with the lowest metric, IPv4 before IPv6, else the only one beside lo (ifbs left out, ours
 * are such). -ENODEV: there is none; -ENOTUNIQ: several, and no default route: the names are in err. */
int pod_device(int netns_fd, char ret[POD_DEVICE_SIZE], struct error *err);
