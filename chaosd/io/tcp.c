/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tcp.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "io/netsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16384, WHY_SIZE = 320 };

struct tcp_op {
    struct tcp *tcp;
    struct tcp_op *prev, *next; /* by deadline; next alone in the pool */
    struct tcp_request q;
    int fd;
    struct watch *watch;
    struct buf out, in;
    size_t sent;
    bool connected, known; /* known: the outcome waits for the loop */
    int64_t start_ns, end_ns, due_ns;
    uint32_t connect_us, first_byte_us;
    enum tcp_error error;
    char why[WHY_SIZE];
};

struct tcp {
    struct loop *loop;
    struct timer *timer;
    struct tcp_op *first, *last, *idle;
    int64_t armed_ns; /* INT64_MAX: not */
    int telling;      /* callbacks under way */
    bool dying;       /* freed in one of them */
};

/* --- addresses --- */

int tcp_address(const char *host, int64_t port, struct tcp_address *ret, struct error *err) {
    *ret = (struct tcp_address){0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->to;
    if (port < 1 || port > 65535)
        return error_set(err, -EINVAL, "port %lld: expected 1 to 65535", (long long)port);
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        ret->len = sizeof *v4;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        ret->len = sizeof *v6;
    } else {
        return error_set(err, -EINVAL, "host \"%.100s\": expected an IPv4 or IPv6 address; no name is looked up", host);
    }
    return 0;
}

int tcp_address_parse(const char *text, struct tcp_address *ret, struct error *err) {
    char host[INET6_ADDRSTRLEN + 16];
    const char *colon = strrchr(text, ':');
    int64_t port;
    size_t len = colon ? (size_t)(colon - text) : 0, bracket = len && text[0] == '[' && text[len - 1] == ']';
    bool bare_v6 = !bracket && len && memchr(text, ':', len); /* "fe80::1:6379": where would its port begin */
    if (!len || len >= sizeof host || bare_v6 || parse_int(colon + 1, &port, NULL) < 0)
        return error_set(err, -EINVAL, "\"%.100s\": expected an address and a port, as in 10.0.0.1:6379 or [::1]:6379", text);
    snprintf(host, sizeof host, "%.*s", (int)(len - 2 * bracket), text + bracket);
    return tcp_address(host, port, ret, err);
}

/* --- the list by deadline --- */

/* A timer that is early costs one look; one that was moved at each end of an exchange would cost a system call each. */
static void arm(struct tcp *t) {
    if (!t->first || t->first->due_ns >= t->armed_ns)
        return;
    t->armed_ns = t->first->due_ns;
    timer_at(t->timer, t->armed_ns);
}

/* From the end: a load's deadlines come in order. */
static void enlist(struct tcp_op *o, int64_t due_ns) {
    struct tcp *t = o->tcp;
    struct tcp_op *after = t->last;
    o->due_ns = due_ns;
    while (after && after->due_ns > due_ns)
        after = after->prev;
    o->prev = after;
    o->next = after ? after->next : t->first;
    *(o->next ? &o->next->prev : &t->last) = o;
    *(after ? &after->next : &t->first) = o;
    arm(t);
}

static void delist(struct tcp_op *o) {
    struct tcp *t = o->tcp;
    *(o->next ? &o->next->prev : &t->last) = o->prev;
    *(o->prev ? &o->prev->next : &t->first) = o->next;
}

/* --- the end --- */

static void close_op(struct tcp_op *o) {
    watch_free(o->watch);
    o->watch = NULL;
    if (o->fd >= 0)
        close(o->fd);
    o->fd = -1;
}

static void put_back(struct tcp_op *o) {
    if (!buf_ok(&o->in) || o->in.cap > 4 * CHUNK)
        buf_free(&o->in);
    if (!buf_ok(&o->out))
        buf_free(&o->out);
    o->next = o->tcp->idle;
    o->tcp->idle = o;
}

static void destroy(struct tcp *t) {
    while (t->first)
        tcp_cancel(t->first);
    while (t->idle) {
        struct tcp_op *o = t->idle;
        t->idle = o->next;
        buf_free(&o->in);
        buf_free(&o->out);
        free(o);
    }
    timer_free(t->timer);
    free(t);
}

/* False: the last callback freed all of it. */
static bool tell(struct tcp_op *o) {
    struct tcp *t = o->tcp;
    delist(o);
    close_op(o);
    const struct tcp_result r = {
        .error = o->error, .why = o->why, .data = o->in.len ? o->in.data : "", .len = o->in.len, .start_ns = o->start_ns, .end_ns = o->end_ns,
        .connect_us = o->connect_us, .first_byte_us = o->first_byte_us,
    };
    t->telling++;
    o->q.done(&r, o->q.arg);
    put_back(o);
    if (--t->telling || !t->dying)
        return true;
    destroy(t);
    return false;
}

static void set_outcome(struct tcp_op *o, enum tcp_error error) {
    o->known = true;
    o->error = error;
    o->end_ns = loop_now();
}

static void set_errno(struct tcp_op *o, int error) {
    static const struct { int number; enum tcp_error error; } known[] = {
        {ECONNREFUSED, TCP_REFUSED}, {ECONNRESET, TCP_RESET}, {EPIPE, TCP_RESET}, {ECONNABORTED, TCP_RESET}, {ETIMEDOUT, TCP_TIMEOUT},
        {EHOSTUNREACH, TCP_UNREACHABLE}, {ENETUNREACH, TCP_UNREACHABLE}, {ENETDOWN, TCP_UNREACHABLE}, {EHOSTDOWN, TCP_UNREACHABLE},
        {EADDRNOTAVAIL, TCP_LOCAL}, {ENOBUFS, TCP_LOCAL}, {ENOMEM, TCP_LOCAL}, {EAGAIN, TCP_LOCAL},
    };
    enum tcp_error e = TCP_OTHER;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].number == error)
            e = known[i].error;
    const char *text = strerrordesc_np(error);
    snprintf(o->why, sizeof o->why, "%s: %s", o->connected ? "connection" : "connect", text ? text : "unknown error");
    set_outcome(o, e);
}

static void time_out(struct tcp_op *o) {
    double ms = (double)(o->q.deadline_ns - o->start_ns) / (double)NS_PER_MS;
    if (!o->connected)
        snprintf(o->why, sizeof o->why, "connect: no answer within %.0f ms", ms);
    else
        snprintf(o->why, sizeof o->why, "no whole answer within %.0f ms: %zu bytes came", ms, o->in.len);
    set_outcome(o, TCP_TIMEOUT);
}

/* --- the exchange --- */

static uint32_t since_start(const struct tcp_op *o) {
    int64_t us = (loop_now() - o->start_ns) / NS_PER_US;
    return us < 1 ? 1 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static void judge(struct tcp_op *o, bool closed) {
    int verdict = o->q.judge(o->in.len ? o->in.data : "", o->in.len, closed, o->why, sizeof o->why, o->q.arg);
    if (verdict != TCP_MORE)
        set_outcome(o, (enum tcp_error)verdict);
}

/* A piece at a time; the loop comes back for the rest. */
static void read_some(struct tcp_op *o) {
    char chunk[CHUNK];
    size_t room = o->q.max + 1 - o->in.len;
    ssize_t n = recv(o->fd, chunk, room < sizeof chunk ? room : sizeof chunk, 0);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            set_errno(o, errno);
        return;
    }
    if (n > 0 && !o->first_byte_us)
        o->first_byte_us = since_start(o);
    buf_add(&o->in, chunk, (size_t)n);
    if (!buf_ok(&o->in)) {
        set_errno(o, ENOMEM);
        return;
    }
    judge(o, n == 0);
}

static void send_some(struct tcp_op *o) {
    while (o->sent < o->out.len) {
        ssize_t n = send(o->fd, o->out.data + o->sent, o->out.len - o->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EAGAIN)
                set_errno(o, errno);
            return;
        }
        o->sent += (size_t)n;
    }
    if (!o->q.judge)
        set_outcome(o, TCP_OK);
}

static void connected(struct tcp_op *o) {
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(o->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error) {
        set_errno(o, error);
        return;
    }
    o->connected = true;
    o->connect_us = since_start(o);
}

static void on_socket(int events, void *arg) {
    struct tcp_op *o = arg;
    if (!o->connected)
        connected(o);
    else if (events & WATCH_READ && o->q.judge)
        read_some(o);
    if (!o->known)
        send_some(o); /* also when it was the answer that came first */
    if (o->known)
        tell(o);
    else
        watch_set(o->watch, (o->q.judge ? WATCH_READ : 0) | (o->sent < o->out.len ? WATCH_WRITE : 0));
}

static void on_timer(void *arg) {
    struct tcp *t = arg;
    int64_t now = loop_now();
    t->armed_ns = INT64_MAX;
    while (t->first && t->first->due_ns <= now) {
        if (!t->first->known)
            time_out(t->first);
        if (!tell(t->first))
            return;
    }
    arm(t);
}

/* --- life --- */

static struct tcp_op *op_get(struct tcp *t) {
    struct tcp_op *o = t->idle;
    if (o)
        t->idle = o->next;
    else if (!(o = calloc(1, sizeof *o)))
        return NULL;
    struct buf out = o->out, in = o->in;
    *o = (struct tcp_op){.tcp = t, .fd = -1, .out = out, .in = in};
    buf_clear(&o->out);
    buf_clear(&o->in);
    return o;
}

static int begin(struct tcp_op *o, struct error *err) {
    const struct tcp_request *q = &o->q;
    buf_add(&o->out, q->send, q->send_len);
    if (!buf_ok(&o->out))
        return error_set(err, -ENOMEM, "out of memory");
    o->fd = net_socket(q->netns_fd, q->address.to.ss_family, SOCK_STREAM, 0, err);
    if (o->fd == -EAFNOSUPPORT) { /* not here: no trouble of our own */
        o->start_ns = loop_now();
        set_errno(o, ENETUNREACH);
        return 0;
    }
    if (o->fd < 0)
        return o->fd;
    setsockopt(o->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    o->start_ns = loop_now();
    const struct sockaddr *to = (const struct sockaddr *)&q->address.to;
    if (connect(o->fd, to, q->address.len) < 0 && errno != EINPROGRESS) {
        int error = errno;
        set_errno(o, error == EADDRNOTAVAIL && !net_has_source(q->netns_fd, to, q->address.len) ? ENETUNREACH : error);
        if (o->error == TCP_LOCAL)
            return error_set(err, -EADDRNOTAVAIL, "%s", o->why);
    }
    return o->known ? 0 : watch_new(o->tcp->loop, o->fd, WATCH_WRITE, on_socket, o, &o->watch, err);
}

int tcp_start(struct tcp *t, const struct tcp_request *q, struct tcp_op **ret, struct error *err) {
    struct tcp_op *o = op_get(t);
    if (!o)
        return error_set(err, -ENOMEM, "out of memory");
    o->q = *q;
    int rc = begin(o, err);
    if (rc < 0) {
        close_op(o);
        put_back(o);
        return rc;
    }
    enlist(o, o->known ? o->end_ns : q->deadline_ns);
    if (ret)
        *ret = o;
    return 0;
}

void tcp_cancel(struct tcp_op *o) {
    if (!o)
        return;
    delist(o);
    close_op(o);
    put_back(o);
}

int tcp_new(struct loop *l, struct tcp **ret, struct error *err) {
    struct tcp *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, -ENOMEM, "out of memory");
    t->loop = l;
    t->armed_ns = INT64_MAX;
    int rc = timer_new(l, on_timer, t, &t->timer, err);
    if (rc < 0)
        free(t);
    else
        *ret = t;
    return rc;
}

void tcp_free(struct tcp *t) {
    if (!t)
        return;
    t->dying = true;
    if (!t->telling)
        destroy(t);
}
