/* SPDX-License-Identifier: Apache-2.0 */
#include "io/netsock.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/socket.h>

static int own_fd = -1; /* our own namespace, kept open: going back must not depend on a free descriptor */
static bool lost;

static int own_netns(struct error *err) {
    if (own_fd < 0)
        own_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return own_fd < 0 ? error_errno(err, "/proc/thread-self/ns/net") : 0;
}

static int open_socket(int domain, int type, int protocol, struct error *err) {
    int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    return fd < 0 ? error_errno(err, "socket") : fd;
}

int net_socket(int netns_fd, int domain, int type, int protocol, struct error *err) {
    if (netns_fd < 0 && !lost)
        return open_socket(domain, type, protocol, err);
    if (!lost) {
        int rc = own_netns(err);
        if (rc < 0)
            return rc;
        if (setns(netns_fd, CLONE_NEWNET) < 0)
            return error_errno(err, "enter network namespace");
        cleanup_close int fd = open_socket(domain, type, protocol, err);
        int failed = fd; /* keeps the code, since fd is closed unless taken */
        if (setns(own_fd, CLONE_NEWNET) == 0)
            return fd < 0 ? failed : take_fd(&fd);
        lost = true;
    }
    return error_set(err, -ENOTRECOVERABLE, "this thread could not return to its own network namespace");
}

bool net_has_source(int netns_fd, const struct sockaddr *to, socklen_t len) {
    if (to->sa_family != AF_INET6)
        return true;
    cleanup_close int fd = net_socket(netns_fd, AF_INET6, SOCK_DGRAM, 0, NULL);
    return fd < 0 || connect(fd, to, len) == 0 || errno != EADDRNOTAVAIL;
}
