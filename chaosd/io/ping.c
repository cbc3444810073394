/* SPDX-License-Identifier: Apache-2.0 */
#include "io/ping.h"

#include "base/cleanup.h"
#include "io/netsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* What goes out: an echo request's header has the same form in both protocols. */
struct echo {
    uint8_t type, code;
    uint16_t checksum, id, sequence;
    uint64_t token;     /* of this ping: its id may be another program's too */
    uint8_t filling[40];
};
_Static_assert(sizeof(struct echo) == 56, "an echo request of the usual size");

struct trip { int64_t sent_ns, rtt_ns; }; /* CLOCK_REALTIME, as the kernel's stamps are; rtt 0: no answer yet */

struct side { /* one protocol */
    struct ping *ping;
    int fd;
    struct watch *watch;
};

struct ping {
    struct loop *loop;
    struct timer *timer;
    struct ping_request q;
    struct ping_host hosts[PING_HOSTS];
    struct side v4, v6;
    struct trip *trips; /* rounds x hosts */
    size_t round;
    int64_t next_ns;    /* the next round is due, CLOCK_MONOTONIC */
    uint64_t token;
    uint16_t id;
    int trouble;
    bool stopped, told;
};

static bool is_v4(const struct ping_host *h) { return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)h->address); }

static size_t sent_count(const struct ping *p) { return p->round * p->q.count; }

static bool decided(const struct ping *p, const struct trip *t, int64_t now) { return t->rtt_ns || now - t->sent_ns > p->q.wait_ns; }

/* --- out --- */

static uint16_t checksum_of(const void *data, size_t len) { /* RFC 1071 */
    const uint8_t *b = data;
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(b[i] << 8 | b[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static void send_one(struct ping *p, size_t host) {
    const struct ping_host *h = &p->hosts[host];
    const bool v4 = is_v4(h);
    const size_t at = p->round * p->q.count + host;
    struct echo e = {.type = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST, .id = htons(p->id), .sequence = htons((uint16_t)at), .token = p->token};
    struct sockaddr_in to4 = {.sin_family = AF_INET};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
    memcpy(&to4.sin_addr, h->address + 12, 4);
    memcpy(&to6.sin6_addr, h->address, 16);
    if (v4)
        e.checksum = checksum_of(&e, sizeof e); /* ICMPv6's is the kernel's to fill in */
    p->trips[at].sent_ns = clock_wall_ns();
    ssize_t n = v4 ? sendto(p->v4.fd, &e, sizeof e, 0, (const struct sockaddr *)&to4, sizeof to4)
                   : sendto(p->v6.fd, &e, sizeof e, 0, (const struct sockaddr *)&to6, sizeof to6);
    if (n < 0) {
        p->trouble = errno;
        p->trips[at].sent_ns = 0;
    }
}

/* --- in --- */

static int64_t stamp_of(struct msghdr *m) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            return t.tv_sec * NS_PER_S + t.tv_nsec;
        }
    return clock_wall_ns();
}

static void take(struct ping *p, const uint8_t *data, size_t len, bool v4, int64_t at_ns) {
    struct echo e;
    size_t skip = v4 && len >= sizeof(struct iphdr) ? (size_t)(data[0] & 15) * 4 : 0;
    if (len < skip + sizeof e)
        return;
    memcpy(&e, data + skip, sizeof e);
    size_t at = ntohs(e.sequence);
    if (e.type != (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) || ntohs(e.id) != p->id || e.token != p->token || at >= sent_count(p))
        return;
    struct trip *t = &p->trips[at];
    if (t->sent_ns && !t->rtt_ns) /* a duplicate's second says nothing of the time */
        t->rtt_ns = at_ns > t->sent_ns ? at_ns - t->sent_ns : 1;
}

static void pace(struct ping *p);

static void on_answer(int events, void *arg) {
    (void)events;
    struct side *s = arg;
    struct ping *p = s->ping;
    uint8_t data[512], control[256];
    for (;;) {
        struct iovec iov = {data, sizeof data};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(s->fd, &m, 0);
        if (n < 0)
            break;
        take(p, data, (size_t)n, s == &p->v4, stamp_of(&m));
    }
    if (p->stopped)
        pace(p); /* perhaps it was the last */
}

/* --- the pace --- */

static bool all_decided(const struct ping *p) {
    int64_t now = clock_wall_ns();
    for (size_t i = 0; i < sent_count(p); i++)
        if (p->trips[i].sent_ns && !decided(p, &p->trips[i], now))
            return false;
    return true;
}

static void pace(struct ping *p) {
    int64_t now = loop_now();
    p->stopped |= p->q.until_ns && now >= p->q.until_ns;
    if (!p->stopped && now >= p->next_ns) {
        for (size_t i = 0; i < p->q.count; i++)
            send_one(p, i);
        p->round++;
        p->next_ns += p->q.interval_ns;
        if (p->next_ns < now)
            p->next_ns = now + p->q.interval_ns;
    }
    p->stopped |= p->round == p->q.rounds;
    if (!p->stopped) {
        timer_at(p->timer, p->next_ns);
    } else if (!all_decided(p)) {
        timer_after(p->timer, p->q.wait_ns / 10);
    } else if (!p->told) {
        p->told = true;
        timer_stop(p->timer);
        if (p->q.done)
            p->q.done(p->q.arg); /* may free it */
    }
}

static void on_timer(void *arg) { pace(arg); }

/* --- life --- */

static int open_side(struct ping *p, struct side *s, int domain, struct error *err) {
    const int on = 1;
    struct icmp_filter only4 = {~(1u << ICMP_ECHOREPLY)};
    struct icmp6_filter only6;
    ICMP6_FILTER_SETBLOCKALL(&only6);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &only6);
    s->ping = p;
    s->fd = net_socket(p->q.netns_fd, domain, SOCK_RAW, domain == AF_INET ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6, err);
    if (s->fd < 0)
        return error_wrap(err, s->fd, "echo requests (they need CAP_NET_RAW)");
    int rc = domain == AF_INET ? setsockopt(s->fd, SOL_RAW, ICMP_FILTER, &only4, sizeof only4)
                               : setsockopt(s->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &only6, sizeof only6);
    if (rc < 0 || setsockopt(s->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0)
        return error_errno(err, "echo requests");
    return watch_new(p->loop, s->fd, WATCH_READ, on_answer, s, &s->watch, err);
}

static void close_side(struct side *s) {
    watch_free(s->watch);
    if (s->fd >= 0)
        close(s->fd);
}

void ping_free(struct ping *p) {
    if (!p)
        return;
    timer_free(p->timer);
    close_side(&p->v4);
    close_side(&p->v6);
    free(p->trips);
    free(p);
}

int ping_start(struct loop *l, const struct ping_request *q, struct ping **ret, struct error *err) {
    if (!q->count || q->count > PING_HOSTS || !q->rounds || q->rounds > PING_ROUNDS || q->interval_ns <= 0)
        return error_set(err, -EINVAL, "echo requests: 1 to %d hosts, 1 to %d rounds, a pause between them", PING_HOSTS, PING_ROUNDS);
    struct ping *p = calloc(1, sizeof *p);
    if (!p || !(p->trips = calloc(q->rounds * q->count, sizeof *p->trips))) {
        free(p);
        return error_set(err, -ENOMEM, "out of memory");
    }
    p->loop = l;
    p->q = *q;
    p->v4.fd = p->v6.fd = -1;
    p->next_ns = loop_now();
    bool v4 = false, v6 = false;
    for (size_t i = 0; i < q->count; i++) {
        p->hosts[i] = q->hosts[i];
        *(is_v4(&q->hosts[i]) ? &v4 : &v6) = true;
    }
    int rc = getrandom(&p->token, sizeof p->token, 0) == sizeof p->token ? 0 : error_errno(err, "getrandom");
    p->id = (uint16_t)p->token;
    if (rc == 0 && v4)
        rc = open_side(p, &p->v4, AF_INET, err);
    if (rc == 0 && v6)
        rc = open_side(p, &p->v6, AF_INET6, err);
    if (rc == 0)
        rc = timer_new(l, on_timer, p, &p->timer, err);
    if (rc < 0) {
        ping_free(p);
        return rc;
    }
    timer_after(p->timer, 0);
    *ret = p;
    return 0;
}

void ping_stop(struct ping *p) {
    if (!p || p->stopped)
        return;
    p->stopped = true;
    timer_after(p->timer, 0);
}

static int by_length(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void ping_read(const struct ping *p, struct ping_figures *ret) {
    int64_t now = clock_wall_ns();
    size_t answered = 0;
    *ret = (struct ping_figures){.rounds = p->round, .rtt_ns = INT64_MIN, .trouble = p->trouble};
    cleanup_free int64_t *rtt = calloc(sent_count(p) + 1, sizeof *rtt);
    for (size_t i = 0; rtt && i < sent_count(p); i++) {
        const struct trip *t = &p->trips[i];
        if (!t->sent_ns || !decided(p, t, now))
            continue;
        ret->sent++;
        ret->lost += !t->rtt_ns;
        if (t->rtt_ns)
            rtt[answered++] = t->rtt_ns;
    }
    if (!answered)
        return;
    qsort(rtt, answered, sizeof *rtt, by_length);
    ret->rtt_ns = answered % 2 ? rtt[answered / 2] : (rtt[answered / 2 - 1] + rtt[answered / 2]) / 2;
}
