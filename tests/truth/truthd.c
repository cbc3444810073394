/* SPDX-License-Identifier: Apache-2.0 */
/* truthd: a server whose one outage is known to the nanosecond, to hold chaosd's measurements against. It shares no code with chaosd.
 *
 *   truthd --port P --kind refuse|hang|503|reset|blackhole --at-ns T --for MS
 *
 * An HTTP/1.1 server on 127.0.0.1 (port 0: any) that answers every request with 200 "ok", except during one outage that begins
 * at T (CLOCK_MONOTONIC, so that many servers can be stratified against one clock) and lasts --for:
 *   refuse     nobody listens (the port stays ours, so a connection is refused) and every connection is closed
 *   hang       requests are read and answered all at once when it is over
 *   503        answers 503
 *   reset      every connection that is made or asks is reset
 *   blackhole  nothing is accepted or read; all of it is served when it is over
 * Prints {"ready":PORT} first and, when the outage is over, {"kind":"...","begin":[before,after],"end":[before,after]}: CLOCK_MONOTONIC ns
 * around the system calls (refuse) or the flip of the flag (others) that made the edge: the true instant lies between the two.
 * Serves until it is killed or its standard input ends. Exit: 0, 64 bad usage, 70 trouble. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum kind { REFUSE, HANG, ANSWER_503, RESET, BLACKHOLE, KIND_COUNT };
static const char *const kind_names[] = {"refuse", "hang", "503", "reset", "blackhole"};
enum phase { BEFORE, DURING, OVER };
enum { BATCH = 64, MS = 1000000 };
#define SPIN_NS INT64_C(200000) /* a timer may be late; the last stretch is waited for by looking at the clock */

struct conn {
    size_t len;       /* bytes held */
    size_t skip;      /* bytes of a body still to come */
    unsigned waiting; /* requests read and not answered */
    char data[4096];  /* headers; bodies are skipped as they come */
};

struct bracket {
    int64_t before, after;
};

static struct {
    enum kind kind;
    int64_t at_ns, for_ns;
    int port;
} options = {.kind = KIND_COUNT, .at_ns = -1, .for_ns = -1, .port = -1};

static enum phase phase;
static struct bracket edges[2];
static int64_t next_edge; /* 0: none */
static int listener = -1, reserve = -1, epoll_fd = -1, timer_fd = -1;
static struct conn **conns; /* by fd */
static size_t conn_room;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "truthd: %s: %s\n", what, strerror(errno));
    exit(70);
}

/* --- connections --- */

static bool watch(int fd) {
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0;
}

static void drop(int fd, bool reset) {
    if (reset) {
        const struct linger l = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    close(fd);
    if ((size_t)fd < conn_room) {
        free(conns[fd]);
        conns[fd] = NULL;
    }
}

static struct conn *conn_add(int fd) {
    if ((size_t)fd >= conn_room) {
        size_t room = conn_room ? conn_room : 256;
        while (room <= (size_t)fd)
            room *= 2;
        struct conn **p = realloc(conns, room * sizeof *p);
        if (!p)
            return NULL;
        memset(p + conn_room, 0, (room - conn_room) * sizeof *p);
        conns = p;
        conn_room = room;
    }
    return conns[fd] = calloc(1, sizeof(struct conn));
}

static void accept_all(void) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        const int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (phase == DURING && options.kind == RESET)
            drop(fd, true);
        else if (!conn_add(fd) || !watch(fd))
            drop(fd, false);
    }
}

/* Answers are smaller than any socket buffer: one that does not fit belongs to a client that does not read. */
static bool answer(int fd) {
    static const char good[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
    static const char bad[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    bool ok = !(phase == DURING && options.kind == ANSWER_503);
    const char *text = ok ? good : bad;
    size_t len = ok ? sizeof good - 1 : sizeof bad - 1;
    return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* One whole request; false: the connection is gone. */
static bool asked(int fd, struct conn *c) {
    if (phase == DURING && options.kind == RESET) {
        drop(fd, true);
        return false;
    }
    if (phase == DURING && options.kind == HANG) {
        c->waiting++;
        return true;
    }
    if (answer(fd))
        return true;
    drop(fd, false);
    return false;
}

static size_t body_length(const char *headers) {
    const char *h = strcasestr(headers, "\r\ncontent-length:");
    return h ? strtoul(h + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

/* Takes what is held apart into requests; false: the connection is gone. */
static bool take_requests(int fd, struct conn *c) {
    for (;;) {
        size_t skip = c->skip < c->len ? c->skip : c->len;
        memmove(c->data, c->data + skip, c->len - skip);
        c->len -= skip;
        c->skip -= skip;
        c->data[c->len] = 0;
        char *end = c->skip ? NULL : strstr(c->data, "\r\n\r\n");
        if (!end)
            break;
        end[2] = 0;
        c->skip = (size_t)(end + 4 - c->data) + body_length(c->data);
        if (!asked(fd, c)) /* before its body came whole: bodies say nothing here */
            return false;
    }
    if (c->len < sizeof c->data - 1)
        return true;
    drop(fd, false); /* headers without an end */
    return false;
}

static void read_conn(int fd) {
    struct conn *c = conns[fd];
    for (;;) {
        ssize_t n = recv(fd, c->data + c->len, sizeof c->data - 1 - c->len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            drop(fd, false);
            return;
        }
        c->len += (size_t)n;
        bool all = c->len < sizeof c->data - 1;
        if (!take_requests(fd, c) || all)
            return;
    }
}

/* --- the edges --- */

static struct bracket begin_outage(void) {
    struct bracket b = {.before = now_ns()};
    if (options.kind == REFUSE) {
        close(listener); /* the reserve keeps the port; being bound without listening, it refuses */
        for (size_t fd = 0; fd < conn_room; fd++)
            if (conns[fd])
                drop((int)fd, false);
    }
    phase = DURING;
    b.after = now_ns();
    return b;
}

static struct bracket end_outage(void) {
    struct bracket b = {.before = now_ns()};
    if (options.kind == REFUSE && listen(reserve, SOMAXCONN) < 0)
        die("listen");
    phase = OVER;
    b.after = now_ns();
    if (options.kind == REFUSE) {
        listener = reserve;
        if (!watch(listener))
            die("epoll");
    }
    return b;
}

static void answer_waiting(void) {
    for (size_t fd = 0; fd < conn_room; fd++)
        while (conns[fd] && conns[fd]->waiting) {
            conns[fd]->waiting--;
            if (!answer((int)fd))
                drop((int)fd, false);
        }
}

static void arm_timer(void) {
    int64_t at = next_edge - SPIN_NS;
    if (at < 1)
        at = 1;
    struct itimerspec spec = {.it_value = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000}};
    if (timerfd_settime(timer_fd, next_edge ? TFD_TIMER_ABSTIME : 0, next_edge ? &spec : &(struct itimerspec){0}, NULL) < 0)
        die("timerfd_settime");
}

static void print_truth(void) {
    printf("{\"kind\":\"%s\",\"begin\":[%lld,%lld],\"end\":[%lld,%lld]}\n", kind_names[options.kind], (long long)edges[0].before,
           (long long)edges[0].after, (long long)edges[1].before, (long long)edges[1].after);
    fflush(stdout);
}

/* Waits out the last stretch and makes the edge. */
static void make_edge(void) {
    while (now_ns() < next_edge)
        ;
    if (phase == BEFORE) {
        edges[0] = begin_outage();
        next_edge += options.for_ns;
        if (next_edge < edges[0].after)
            next_edge = edges[0].after;
    } else {
        edges[1] = end_outage();
        next_edge = 0;
        answer_waiting();
        print_truth();
    }
    arm_timer();
}

static bool edge_near(void) { return next_edge && now_ns() >= next_edge - SPIN_NS; }

/* --- the loop --- */

static void serve_batch(void) {
    struct epoll_event events[BATCH];
    int n = epoll_wait(epoll_fd, events, BATCH, 0);
    for (int i = 0; i < n && !edge_near(); i++) { /* after an edge, what is left is asked for again */
        int fd = events[i].data.fd;
        if (fd == listener)
            accept_all();
        else if ((size_t)fd < conn_room && conns[fd])
            read_conn(fd);
    }
}

static void serve(void) {
    for (;;) {
        bool deaf = phase == DURING && options.kind == BLACKHOLE;
        struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {timer_fd, POLLIN, 0}, {deaf ? -1 : epoll_fd, POLLIN, 0}};
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            die("poll");
        if (edge_near())
            make_edge();
        else if (fds[2].revents)
            serve_batch();
        char ignored[64];
        if (fds[0].revents && read(STDIN_FILENO, ignored, sizeof ignored) <= 0)
            return;
    }
}

/* SO_REUSEPORT lets both hold the port. (Listening again on one socket after shutdown() does not do: some kernels then list it
 * as listening and still refuse.) */
static int bound_socket(void) {
    const int one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0)
        die("socket");
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        die("bind");
    options.port = ntohs(a.sin_port);
    return fd;
}

static void start_listening(void) {
    listener = bound_socket();
    reserve = bound_socket();
    if (listen(listener, SOMAXCONN) < 0)
        die("listen");
    if (!watch(listener))
        die("epoll");
}

static int64_t number(const char *text, int64_t max) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    return errno || !*text || *end || v < 0 || v > max ? -1 : v;
}

static int usage(void) {
    fprintf(stderr, "usage: truthd --port P --kind refuse|hang|503|reset|blackhole --at-ns T --for MS\n");
    return 64;
}

static bool parse(int argc, char **argv) {
    static const struct option rows[] = {
        {"port", 1, NULL, 'p'}, {"kind", 1, NULL, 'k'}, {"for", 1, NULL, 'f'}, {"at-ns", 1, NULL, 'a'}, {0},
    };
    for (int o; (o = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        int64_t v = o == '?' || o == 'k' ? 0 : number(optarg, o == 'p' ? 65535 : o == 'a' ? INT64_MAX : 3600000);
        if (o == '?' || v < 0)
            return false;
        if (o == 'p')
            options.port = (int)v;
        else if (o == 'f')
            options.for_ns = v * MS;
        else if (o == 'a')
            options.at_ns = v;
        for (int k = 0; o == 'k' && k < KIND_COUNT; k++)
            if (strcmp(optarg, kind_names[k]) == 0)
                options.kind = (enum kind)k;
    }
    return optind == argc && options.kind != KIND_COUNT && options.port >= 0 && options.for_ns > 0 && options.at_ns >= 0;
}

int main(int argc, char **argv) {
    if (!parse(argc, argv))
        return usage();
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prctl(PR_SET_TIMERSLACK, 1UL);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epoll_fd < 0 || timer_fd < 0)
        die("epoll");
    start_listening();
    printf("{\"ready\":%d}\n", options.port);
    fflush(stdout);
    next_edge = options.at_ns;
    arm_timer();
    serve();
    for (size_t fd = 0; fd < conn_room; fd++)
        free(conns[fd]);
    free(conns);
    return 0;
}
