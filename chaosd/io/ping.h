/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Echo requests (ICMP and ICMPv6) to a few hosts from one network namespace, at a fixed pace: how long a round trip takes, how many are lost.
 * Arrivals carry the kernel's own stamp, so that a loop that turns late lengthens no round trip. Needs CAP_NET_RAW. */
#include "base/error.h"
#include "io/loop.h"

#include <stddef.h>
#include <stdint.h>

enum { PING_HOSTS = 8, PING_ROUNDS = 8000 };

struct ping;
struct ping_host { uint8_t address[16]; }; /* IPv4 as ::ffff:a.b.c.d */

struct ping_request {
    const struct ping_host *hosts; /* copied */
    size_t count;        /* 1 to PING_HOSTS */
    int netns_fd;        /* as io/netsock.h; -1: here */
    size_t rounds;       /* one request to each host; 1 to PING_ROUNDS */
    int64_t interval_ns; /* between rounds. Rounds that the loop missed are left out, not caught up */
    int64_t until_ns;    /* nothing is sent from then on, CLOCK_MONOTONIC; 0: no such time */
    int64_t wait_ns;     /* for an answer; later it is lost */
    void (*done)(void *arg); /* every request was answered or waited for; may free the ping. NULL: nobody waits */
    void *arg;
};

struct ping_figures {
    size_t rounds;      /* begun */
    int64_t sent, lost; /* of requests that were answered or waited for */
    int64_t rtt_ns;     /* median of those answered; INT64_MIN: none was */
    int trouble;        /* errno of the last that could not be sent (not counted in sent); 0: all could */
};

/* -EPERM, -EINVAL, -ENOMEM, or as net_socket. */
int ping_start(struct loop *l, const struct ping_request *q, struct ping **ret, struct error *err);
void ping_stop(struct ping *p); /* sends no more; answers are still waited for. NULL-safe */
void ping_read(const struct ping *p, struct ping_figures *ret); /* as it stands now */
void ping_free(struct ping *p); /* NULL-safe; no callback follows */
