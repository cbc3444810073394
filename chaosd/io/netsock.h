/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Sockets opened in another network namespace than the caller's: the calling thread steps in for the one system call and back. */
#include "base/error.h"

#include <stdbool.h>
#include <sys/socket.h>

/* A non-blocking, close-on-exec socket; the caller closes it. netns_fd -1: here. -ENOTRECOVERABLE: the thread could not come back
 * to its own namespace, and nothing it opens from now on is to be trusted. */
int net_socket(int netns_fd, int domain, int type, int protocol, struct error *err);
/* Where IPv6 is switched off (many containers), connecting to ::1 fails as if all local ports were taken: that would be called our own
 * trouble, and hide how a name's other address fared. A UDP socket, which needs no port of TCP's, tells the two apart. */
bool net_has_source(int netns_fd, const struct sockaddr *to, socklen_t len);
