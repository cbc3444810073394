/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* TCP exchanges on the loop: connect, send, read until the caller says that it has seen enough; a connection each, closed after.
 * One timer serves all of them. Every callback runs on the loop, never inside tcp_start. */
#include "base/error.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct tcp;
struct tcp_op;

enum tcp_error {
    TCP_OK = 0,
    TCP_TIMEOUT,
    TCP_REFUSED,
    TCP_RESET, /* reset, or closed before the answer was whole */
    TCP_UNREACHABLE,
    TCP_TOO_BIG,
    TCP_WRONG, /* another answer than the right one */
    TCP_OTHER,
    TCP_LOCAL, /* our own trouble: no free descriptor, port or memory */
    TCP_ERROR_COUNT
};

struct tcp_result {
    enum tcp_error error;
    const char *why;  /* a sentence; "" when all is well */
    const char *data; /* what came, borrowed until the callback returns; never NULL */
    size_t len;
    int64_t start_ns, end_ns;
    uint32_t connect_us, first_byte_us; /* since the start; 0: not reached */
};

struct tcp_address { struct sockaddr_storage to; socklen_t len; };
/* host: IPv4, IPv6 or "localhost"; no name is looked up. -EINVAL with a sentence. */
int tcp_address(const char *host, int64_t port, struct tcp_address *ret, struct error *err);
/* "10.0.0.1:6379", "[::1]:6379", "localhost:80" */
int tcp_address_parse(const char *text, struct tcp_address *ret, struct error *err);

enum { TCP_MORE = -1 };
struct tcp_request {
    struct tcp_address address;
    int netns_fd;      /* as io/netsock.h; -1: here */
    const void *send;  /* copied */
    size_t send_len;
    int64_t deadline_ns; /* CLOCK_MONOTONIC */
    size_t max;        /* no more than this and a byte is ever kept */
    /* Looks at all that came: TCP_MORE, or how it ends (TCP_OK, TCP_WRONG, TCP_RESET, TCP_TOO_BIG), then with a sentence in why.
     * closed: nothing more will come. NULL: an answer is not awaited. */
    int (*judge)(const char *data, size_t len, bool closed, char *why, size_t size, void *arg);
    void (*done)(const struct tcp_result *r, void *arg);
    void *arg;
};

int tcp_new(struct loop *l, struct tcp **ret, struct error *err);
void tcp_free(struct tcp *t); /* NULL-safe, also from within a callback; cancels what is under way without calling back */
/* What only can fail here is ours: descriptors, ports, memory, the namespace. A refusal is told by done. */
int tcp_start(struct tcp *t, const struct tcp_request *q, struct tcp_op **ret, struct error *err);
void tcp_cancel(struct tcp_op *op); /* no callback follows; NULL-safe */
