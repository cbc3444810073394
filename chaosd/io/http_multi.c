/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "io/http_priv.h"
#include "io/netsock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { REAP_MOST = 64 };

/* A socket that libcurl uses. The watch of a connection of ours stays while the connection rests in the cache, so that the
 * next request on it costs no epoll_ctl. */
struct sock {
    struct http_net *net;
    curl_socket_t fd;
    struct watch *watch;
    int events;  /* libcurl's last wish */
    bool ours;   /* opened by us, so its close is told to us */
    bool parked; /* no request is interested */
};

static void enter(struct http *h) { h->depth++; }

static void leave(struct http *h) {
    if (--h->depth == 0 && h->dying)
        http_destroy(h);
}

/* Requests that are made in here may be answered at once, and bring about others: after some the loop must turn. */
static void reap(struct http_net *n) {
    bool more = true;
    for (int told = 0; told < REAP_MOST && more && !n->http->dying; told++) {
        int left;
        CURLMsg *m = curl_multi_info_read(n->multi, &left);
        more = m != NULL;
        if (!more || m->msg != CURLMSG_DONE)
            continue;
        struct http_op *op = NULL;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&op);
        http_op_ended(op, code, loop_now());
    }
    n->reap = more;
}

/* Pieces of bodies, outside of libcurl. */
static void deliver(struct http_net *n) {
    while (n->fresh && !n->http->dying)
        http_op_data(n->fresh);
}

/* The timer is left alone when it fires early enough: with one deadline a request it would be set again for each. */
static void sync_timer(struct http_net *n) {
    if (n->acting || n->http->dying)
        return; /* once, when all is done */
    int64_t want = n->reap || n->fresh ? 1 : n->want_ns, deadline = http_deadline_next(n);
    if (deadline && (!want || deadline < want))
        want = deadline;
    if (want && (!n->armed_ns || want < n->armed_ns)) {
        timer_at(n->timer, want);
        n->armed_ns = want;
    }
}

static void act(struct http_net *n, curl_socket_t fd, int flags) {
    int running = 0;
    struct http *h = n->http;
    enter(h);
    n->acting++;
    curl_multi_socket_action(n->multi, fd, flags, &running);
    bool ended = n->reap || running < n->under_way; /* before anybody starts or cancels another */
    deliver(n);
    if (ended)
        reap(n);
    n->acting--;
    sync_timer(n);
    leave(h);
}

/* After a stall of our own an answer may lie in the socket that came in time: it is taken before the request is declared late. */
static bool look_once_more(struct http_op *op) {
    struct pollfd p = {.fd = op->fd, .events = POLLIN};
    if (op->looked || op->fd == CURL_SOCKET_BAD || poll(&p, 1, 0) <= 0)
        return false;
    op->looked = true;
    act(op->net, op->fd, CURL_CSELECT_IN);
    return true;
}

static void expire(struct http_net *n) {
    int64_t now = loop_now(), next;
    while (!n->http->dying && (next = http_deadline_next(n)) && next <= now) {
        struct http_op *op = n->heap[0];
        if (look_once_more(op))
            continue; /* it may be gone */
        op->timed_out = true;
        http_op_ended(op, CURLE_OPERATION_TIMEDOUT, loop_now());
    }
}

static void on_timer(void *arg) {
    struct http_net *n = arg;
    struct http *h = n->http;
    n->armed_ns = 0;
    enter(h);
    n->acting++;
    if (n->reap || n->fresh || (n->want_ns && n->want_ns <= loop_now())) {
        n->want_ns = 0; /* libcurl asks again when something is left */
        act(n, CURL_SOCKET_TIMEOUT, 0);
    }
    expire(n);
    n->acting--;
    sync_timer(n);
    leave(h);
}

/* libcurl must not be called from in here: only note when it wants to be called. */
static int timer_wanted(CURLM *multi, long timeout_ms, void *arg) {
    (void)multi;
    struct http_net *n = arg;
    n->want_ns = timeout_ms < 0 ? 0 : loop_now() + timeout_ms * NS_PER_MS;
    return 0;
}

static void on_socket(int events, void *arg) {
    struct sock *s = arg;
    if (s->parked) { /* the peer closed a resting connection: libcurl finds out when it looks at it */
        watch_set(s->watch, 0);
        return;
    }
    act(s->net, s->fd, ((events & WATCH_READ) ? CURL_CSELECT_IN : 0) | ((events & WATCH_WRITE) ? CURL_CSELECT_OUT : 0));
}

static void sock_free(struct http_net *n, curl_socket_t fd) {
    if ((size_t)fd >= n->sock_count || !n->socks[fd])
        return;
    watch_free(n->socks[fd]->watch);
    free(n->socks[fd]);
    n->socks[fd] = NULL;
}

static struct sock *sock_get(struct http_net *n, curl_socket_t fd) {
    if ((size_t)fd >= n->sock_count) {
        size_t count = n->sock_count ? n->sock_count : 64;
        while (count <= (size_t)fd)
            count *= 2;
        struct sock **p = realloc(n->socks, count * sizeof *p);
        if (!p)
            return NULL;
        memset(p + n->sock_count, 0, (count - n->sock_count) * sizeof *p);
        n->socks = p;
        n->sock_count = count;
    }
    if (!n->socks[fd]) {
        struct sock *s = calloc(1, sizeof *s);
        if (!s)
            return NULL;
        s->net = n;
        s->fd = fd;
        n->socks[fd] = s;
    }
    return n->socks[fd];
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket) {
    (void)per_socket;
    struct http_net *n = arg;
    struct http_op *op = NULL;
    if (easy && curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&op) == CURLE_OK && op && (what != CURL_POLL_REMOVE || op->fd == fd))
        op->fd = what == CURL_POLL_REMOVE ? CURL_SOCKET_BAD : fd;
    if (what == CURL_POLL_REMOVE) {
        struct sock *s = (size_t)fd < n->sock_count ? n->socks[fd] : NULL;
        /* Only a connection that was made rests: libcurl closes one that is still connecting without telling anybody. */
        if (s && s->ours && s->events == WATCH_READ)
            s->parked = true;
        else
            sock_free(n, fd);
        return 0;
    }
    struct sock *s = sock_get(n, fd);
    if (!s)
        return -1;
    s->parked = false;
    int events = ((what & CURL_POLL_IN) ? WATCH_READ : 0) | ((what & CURL_POLL_OUT) ? WATCH_WRITE : 0);
    s->events = events;
    if (!s->watch)
        return watch_new(n->http->loop, fd, events, on_socket, s, &s->watch, NULL) < 0 ? -1 : 0;
    watch_set(s->watch, events);
    return 0;
}

curl_socket_t http_net_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)purpose;
    struct http_op *op = arg;
    struct http_net *n = op->net;
    int netns_fd = n->here ? -1 : op->netns_fd;
    if (!net_has_source(netns_fd, &address->addr, address->addrlen)) {
        if (!op->opened) /* else the other address knows better why it failed */
            op->socket_errno = ENETUNREACH;
        return CURL_SOCKET_BAD;
    }
    int fd = net_socket(netns_fd, address->family, address->socktype, address->protocol, NULL);
    op->socket_errno = fd < 0 ? -fd : 0; /* of the last address tried */
    op->opened |= fd >= 0;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    sock_free(n, fd); /* what still stands there was closed behind our back */
    struct sock *s = sock_get(n, fd);
    if (!s) {
        close(fd);
        op->socket_errno = ENOMEM;
        return CURL_SOCKET_BAD;
    }
    s->ours = true;
    s->parked = true;
    return fd;
}

int http_net_close_socket(void *arg, curl_socket_t fd) {
    sock_free(arg, fd);
    return close(fd);
}

int http_net_add(struct http_op *op, struct error *err) {
    struct http_net *n = op->net;
    if (http_deadline_reserve(n) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    op->start_ns = loop_now();
    CURLMcode rc = curl_multi_add_handle(n->multi, op->easy);
    if (rc != CURLM_OK)
        return error_set(err, rc == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EIO, "libcurl: %s", curl_multi_strerror(rc));
    op->prev = NULL;
    op->next = n->ops;
    if (n->ops)
        n->ops->prev = op;
    n->ops = op;
    n->under_way++;
    http_deadline_add(op);
    /* Send now instead of after a turn of the loop. What ends in here is told later, from the timer. */
    int running = 0;
    n->want_ns = 0; /* libcurl asks again when something is left */
    curl_multi_socket_action(n->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    if (running < n->under_way)
        n->reap = true;
    sync_timer(n);
    return 0;
}

void http_net_remove(struct http_op *op) {
    struct http_net *n = op->net;
    curl_multi_remove_handle(n->multi, op->easy);
    if (op->prev)
        op->prev->next = op->next;
    else
        n->ops = op->next;
    if (op->next)
        op->next->prev = op->prev;
    op->prev = op->next = NULL;
    n->under_way--;
    http_deadline_remove(op);
    sync_timer(n);
}

void http_net_free(struct http_net *n) {
    if (!n)
        return;
    if (n->multi)
        curl_multi_cleanup(n->multi); /* closes the resting connections, through http_net_close_socket */
    for (size_t i = 0; i < n->sock_count; i++)
        sock_free(n, (curl_socket_t)i);
    free(n->socks);
    free(n->heap);
    timer_free(n->timer);
    free(n);
}

static int net_new(struct http *h, bool here, const struct stat *st, struct http_net **ret, struct error *err) {
    struct http_net *n = calloc(1, sizeof *n);
    if (!n)
        return error_set(err, -ENOMEM, "out of memory");
    n->http = h;
    n->here = here;
    n->dev = st->st_dev;
    n->ino = st->st_ino;
    int rc = timer_new(h->loop, on_timer, n, &n->timer, err);
    if (rc == 0 && !(n->multi = curl_multi_init()))
        rc = error_set(err, -ENOMEM, "out of memory");
    if (rc < 0) {
        http_net_free(n);
        return rc;
    }
    curl_multi_setopt(n->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(n->multi, CURLMOPT_SOCKETDATA, n);
    curl_multi_setopt(n->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(n->multi, CURLMOPT_TIMERDATA, n);
    curl_multi_setopt(n->multi, CURLMOPT_MAXCONNECTS, (long)h->max_reused);
    curl_multi_setopt(n->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    n->next = h->nets;
    h->nets = n;
    *ret = n;
    return 0;
}

int http_net_get(struct http *h, int netns_fd, struct http_net **ret, struct error *err) {
    struct stat st = {0}; /* by identity, since a descriptor's number may come to name another namespace */
    bool here = netns_fd < 0;
    if (!here && fstat(netns_fd, &st) < 0)
        return error_errno(err, "network namespace");
    for (struct http_net *n = h->nets; n; n = n->next)
        if (n->here == here && n->dev == st.st_dev && n->ino == st.st_ino) {
            *ret = n;
            return 0;
        }
    return net_new(h, here, &st, ret, err);
}
