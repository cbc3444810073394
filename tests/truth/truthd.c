/* SPDX-License-Identifier: Apache-2.0 */
/* truthd: servers whose one outage each is known to the nanosecond, to hold chaosd's measurements against. It shares no code with chaosd.
 *
 *   truthd LATENCY_NS
 *
 * One process serves many cells, each an HTTP/1.1 server on a port of 127.0.0.1 of its own that answers every request with 200 "ok", except
 * during its outage. What is answered is settled when a request is read; the answer goes out LATENCY_NS later. Lines on standard input:
 *   cell ID KIND FOR_NS   opens a port; answered at once with {"cell":ID,"port":PORT}
 *   at ID NS              the outage begins at NS (CLOCK_MONOTONIC), or as soon after as can be, and lasts FOR_NS
 * KIND is what the outage is:
 *   refuse     nobody listens (the port stays ours, so a connection is refused) and every connection is closed
 *   hang       requests are read and answered all at once when it is over
 *   503        answers 503
 *   reset      every connection that is made or asks is reset
 *   blackhole  nothing is accepted or read; all of it is served when it is over
 *   none       there is no outage: a control
 * When its input ends it prints what it knows and exits: for each outage {"cell":ID,"begin":[before,after],"end":[before,after]}, CLOCK_MONOTONIC
 * ns around the system calls (refuse) or the flip of the flag (others) that made the edge, so that the true instant lies between the two; and
 * for each time that it could not do its work itself, {"stall":[from,to]}. Exit: 0, 64 bad input, 70 trouble. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

enum kind { REFUSE, HANG, ANSWER_503, RESET, BLACKHOLE, NONE, KIND_COUNT };
static const char *const kind_names[] = {"refuse", "hang", "503", "reset", "blackhole", "none"};
enum phase { BEFORE, DURING, OVER };
enum { BATCH = 64, CELLS = 2000 };
#define SPIN_NS INT64_C(200000) /* a timer may be late; the last stretch is waited for by looking at the clock */
#define BEAT_NS INT64_C(5000000)
#define STALL_NS INT64_C(10000000) /* a beat later than this is told */

struct bracket {
    int64_t before, after;
};

struct cell {
    long id;
    enum kind kind;
    enum phase phase;
    int port, listener, reserve, epoll_fd; /* listener -1: refuses; reserve: keeps the port meanwhile */
    int64_t for_ns, next_edge;             /* 0: none */
    struct bracket edges[2];
    struct conn *conns;
};

struct conn {
    struct cell *cell;
    struct conn *prev, *next;
    int fd;
    size_t len;       /* bytes held */
    size_t skip;      /* bytes of a body still to come */
    unsigned waiting; /* requests read and not answered */
    int64_t due_ns;   /* when the answer in the queue goes out; 0: none */
    bool good;        /* that answer */
    struct conn *prev_due, *next_due;
    char data[4096];  /* headers; bodies are skipped as they come */
};

static struct cell cells[CELLS];
static size_t cell_count;
static struct cell *first_due; /* whose edge is next; NULL: none */
static struct conn *queue_head, *queue_tail; /* answers to come, by due_ns */
static int64_t latency_ns;
static int main_epoll = -1, edge_timer = -1, beat_timer = -1, answer_timer = -1;
static int64_t last_beat;
static struct bracket *stalls;
static size_t stall_count, stall_room;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "truthd: %s: %s\n", what, strerror(errno));
    exit(70);
}

static void watch(int epoll_fd, int fd, void *what) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

/* --- connections --- */

static void queue_remove(struct conn *c) {
    if (!c->due_ns)
        return;
    *(c->prev_due ? &c->prev_due->next_due : &queue_head) = c->next_due;
    *(c->next_due ? &c->next_due->prev_due : &queue_tail) = c->prev_due;
    c->due_ns = 0;
}

static void drop(struct conn *c, bool reset) {
    queue_remove(c);
    if (reset) {
        const struct linger l = {.l_onoff = 1};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    close(c->fd);
    if (c->prev)
        c->prev->next = c->next;
    else
        c->cell->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c);
}

static void add_conn(struct cell *cell, int fd) {
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        die("memory");
    c->cell = cell;
    c->fd = fd;
    c->next = cell->conns;
    if (c->next)
        c->next->prev = c;
    cell->conns = c;
    if (cell->phase == DURING && cell->kind == RESET)
        drop(c, true);
    else
        watch(cell->epoll_fd, fd, c);
}

/* Where files run out, as so many came while this process stood still, the rest waits until those before are through. */
static void accept_all(struct cell *cell) {
    int fd;
    while ((fd = accept4(cell->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        add_conn(cell, fd);
}

/* Answers are smaller than any socket buffer: one that does not fit belongs to a client that does not read. */
static bool send_answer(struct conn *c, bool ok) {
    static const char good[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
    static const char bad[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    const char *text = ok ? good : bad;
    size_t len = ok ? sizeof good - 1 : sizeof bad - 1;
    return send(c->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* at 0: disarms; a time past fires at once */
static void arm(int timer, int64_t at, int64_t every) {
    struct itimerspec spec = {.it_value = {at / 1000000000, at % 1000000000}, .it_interval = {every / 1000000000, every % 1000000000}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
        die("timerfd_settime");
}

static bool answer(struct conn *c) {
    bool ok = !(c->cell->phase == DURING && c->cell->kind == ANSWER_503);
    if (!latency_ns)
        return send_answer(c, ok);
    if (c->due_ns)
        return false; /* asked again before it was answered: nobody here does */
    c->due_ns = now_ns() + latency_ns;
    c->good = ok;
    c->prev_due = queue_tail;
    c->next_due = NULL;
    *(queue_tail ? &queue_tail->next_due : &queue_head) = c;
    queue_tail = c;
    if (queue_head == c)
        arm(answer_timer, c->due_ns, 0);
    return true;
}

static void answer_due(void) {
    uint64_t ignored;
    if (read(answer_timer, &ignored, sizeof ignored) < 0)
        return;
    for (struct conn *c; (c = queue_head) && c->due_ns <= now_ns();) {
        queue_remove(c);
        if (!send_answer(c, c->good))
            drop(c, false);
    }
    if (queue_head)
        arm(answer_timer, queue_head->due_ns, 0);
}

/* One whole request; false: the connection is gone. */
static bool asked(struct conn *c) {
    bool during = c->cell->phase == DURING;
    if (during && c->cell->kind == HANG) {
        c->waiting++;
        return true;
    }
    bool reset = during && c->cell->kind == RESET;
    if (!reset && answer(c))
        return true;
    drop(c, reset);
    return false;
}

static size_t body_length(const char *headers) {
    const char *h = strcasestr(headers, "\r\ncontent-length:");
    return h ? strtoul(h + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

/* Takes what is held apart into requests; false: the connection is gone. */
static bool take_requests(struct conn *c) {
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
        if (!asked(c)) /* before its body came whole: bodies say nothing here */
            return false;
    }
    if (c->len < sizeof c->data - 1)
        return true;
    drop(c, false); /* headers without an end */
    return false;
}

static void read_conn(struct conn *c) {
    for (;;) {
        ssize_t n = recv(c->fd, c->data + c->len, sizeof c->data - 1 - c->len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            drop(c, false);
            return;
        }
        c->len += (size_t)n;
        bool all = c->len < sizeof c->data - 1;
        if (!take_requests(c) || all)
            return;
    }
}

/* --- the edges --- */

static void find_due(void) {
    first_due = NULL;
    for (struct cell *c = cells; c < cells + cell_count; c++)
        if (c->next_edge && (!first_due || c->next_edge < first_due->next_edge))
            first_due = c;
    int64_t at = first_due ? first_due->next_edge - SPIN_NS : 0;
    arm(edge_timer, first_due && at < 1 ? 1 : at, 0);
}

static bool edge_near(void) { return first_due && now_ns() >= first_due->next_edge - SPIN_NS; }

static void begin_outage(struct cell *c) {
    c->edges[0].before = now_ns();
    if (c->kind == REFUSE) {
        close(c->listener); /* the reserve keeps the port; being bound without listening, it refuses */
        while (c->conns)
            drop(c->conns, false);
    }
    c->phase = DURING;
    c->edges[0].after = now_ns();
    if (c->kind == REFUSE)
        c->listener = -1;
    if (c->kind == BLACKHOLE && epoll_ctl(main_epoll, EPOLL_CTL_DEL, c->epoll_fd, NULL) < 0)
        die("epoll_ctl");
    c->next_edge = c->edges[0].after + c->for_ns; /* of its full length, also where it began late */
}

static void answer_waiting(struct cell *cell) {
    for (struct conn *c = cell->conns, *next; c; c = next) {
        next = c->next;
        bool whole = true;
        for (; whole && c->waiting; c->waiting--)
            whole = answer(c);
        if (!whole)
            drop(c, false);
    }
}

static void end_outage(struct cell *c) {
    c->edges[1].before = now_ns();
    if (c->kind == REFUSE && listen(c->reserve, SOMAXCONN) < 0)
        die("listen");
    c->phase = OVER;
    c->edges[1].after = now_ns();
    c->next_edge = 0;
    if (c->kind == REFUSE) {
        c->listener = c->reserve;
        watch(c->epoll_fd, c->listener, NULL);
    }
    if (c->kind == BLACKHOLE)
        watch(main_epoll, c->epoll_fd, c);
    answer_waiting(c);
}

/* Waits out the last stretch and makes the edge. */
static void make_edge(void) {
    struct cell *c = first_due;
    while (now_ns() < c->next_edge)
        ;
    if (c->phase == BEFORE)
        begin_outage(c);
    else
        end_outage(c);
    find_due();
}

/* --- input and output --- */

/* SO_REUSEPORT lets both hold the port. (Listening again on one socket after shutdown() does not do: some kernels then list it
 * as listening and still refuse.) */
static int bound_socket(int *port) {
    const int one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0)
        die("socket");
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        die("bind");
    *port = ntohs(a.sin_port);
    return fd;
}

static void open_cell(struct cell *c) {
    c->listener = bound_socket(&c->port);
    c->reserve = c->kind == REFUSE ? bound_socket(&c->port) : -1;
    if (listen(c->listener, SOMAXCONN) < 0 || (c->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("listen");
    watch(c->epoll_fd, c->listener, NULL);
    watch(main_epoll, c->epoll_fd, c);
    printf("{\"cell\":%ld,\"port\":%d}\n", c->id, c->port);
    fflush(stdout);
}

static bool take_line(const char *line) {
    long id;
    char kind[16];
    int64_t ns;
    if (sscanf(line, "at %ld %" SCNd64, &id, &ns) == 2) {
        for (struct cell *c = cells; c < cells + cell_count; c++)
            if (c->id == id && c->kind != NONE && c->phase == BEFORE && ns > 0) {
                c->next_edge = ns;
                find_due();
                return true;
            }
        return false;
    }
    if (sscanf(line, "cell %ld %15s %" SCNd64, &id, kind, &ns) != 3 || ns <= 0 || cell_count == CELLS)
        return false;
    for (int k = 0; k < KIND_COUNT; k++)
        if (strcmp(kind, kind_names[k]) == 0) {
            cells[cell_count] = (struct cell){.id = id, .kind = (enum kind)k, .for_ns = ns};
            open_cell(&cells[cell_count++]);
            return true;
        }
    return false;
}

/* False at the end of the input. */
static bool read_input(void) {
    static char data[1 << 16];
    static size_t len;
    ssize_t n = read(STDIN_FILENO, data + len, sizeof data - 1 - len);
    if (n <= 0)
        return n < 0 && (errno == EINTR || errno == EAGAIN);
    len += (size_t)n;
    data[len] = 0;
    char *line = data;
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        if (!take_line(line)) {
            fprintf(stderr, "truthd: expected `cell ID KIND FOR_NS` or `at ID NS`: %s\n", line);
            exit(64);
        }
    }
    len -= (size_t)(line - data);
    memmove(data, line, len);
    return true;
}

static void print_truth(void) {
    for (const struct cell *c = cells; c < cells + cell_count; c++)
        if (c->phase == OVER)
            printf("{\"cell\":%ld,\"begin\":[%" PRId64 ",%" PRId64 "],\"end\":[%" PRId64 ",%" PRId64 "]}\n", c->id, c->edges[0].before,
                   c->edges[0].after, c->edges[1].before, c->edges[1].after);
    for (size_t i = 0; i < stall_count; i++)
        printf("{\"stall\":[%" PRId64 ",%" PRId64 "]}\n", stalls[i].before, stalls[i].after);
}

/* A late beat: since the last one this process did not serve. */
static void beat(void) {
    uint64_t ignored;
    int64_t now = now_ns();
    if (read(beat_timer, &ignored, sizeof ignored) < 0)
        return;
    if (now - last_beat > BEAT_NS + STALL_NS) {
        if (stall_count == stall_room) {
            stall_room = stall_room ? 2 * stall_room : 256;
            stalls = realloc(stalls, stall_room * sizeof *stalls);
            if (!stalls)
                die("memory");
        }
        stalls[stall_count++] = (struct bracket){last_beat, now};
    }
    last_beat = now;
}

/* --- the loop --- */

static void serve_cell(struct cell *cell) {
    struct epoll_event events[BATCH];
    int n = epoll_wait(cell->epoll_fd, events, BATCH, 0);
    for (int i = 0; i < n && !edge_near(); i++) { /* after an edge, what is left is asked for again */
        struct conn *c = events[i].data.ptr;
        if (c)
            read_conn(c);
        else
            accept_all(cell);
    }
}

static bool serve(void) {
    struct epoll_event events[BATCH];
    int n = epoll_wait(main_epoll, events, BATCH, -1);
    if (n < 0 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < n && !edge_near(); i++) {
        void *what = events[i].data.ptr;
        if (what == &last_beat)
            beat();
        else if (what == &queue_head)
            answer_due();
        else if (what == &cell_count && !read_input())
            return false;
        else if (what >= (void *)cells && what < (void *)(cells + CELLS))
            serve_cell(what);
    }
    uint64_t ignored;
    if (edge_near()) {
        (void)!read(edge_timer, &ignored, sizeof ignored);
        make_edge();
    }
    return true;
}

int main(int argc, char **argv) {
    char end;
    if (argc != 2 || sscanf(argv[1], "%" SCNd64 "%c", &latency_ns, &end) != 1 || latency_ns < 0) {
        fprintf(stderr, "usage: truthd LATENCY_NS, with lines on standard input: `cell ID refuse|hang|503|reset|blackhole|none FOR_NS`, `at ID NS`\n");
        return 64;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prctl(PR_SET_TIMERSLACK, 1UL);
    main_epoll = epoll_create1(EPOLL_CLOEXEC);
    edge_timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    beat_timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    answer_timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (main_epoll < 0 || edge_timer < 0 || answer_timer < 0 || beat_timer < 0 || fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) < 0)
        die("epoll");
    watch(main_epoll, STDIN_FILENO, &cell_count);
    watch(main_epoll, edge_timer, &first_due);
    watch(main_epoll, beat_timer, &last_beat);
    watch(main_epoll, answer_timer, &queue_head);
    last_beat = now_ns();
    arm(beat_timer, last_beat + BEAT_NS, BEAT_NS);
    while (serve())
        ;
    print_truth();
    for (struct cell *c = cells; c < cells + cell_count; c++)
        while (c->conns)
            drop(c->conns, false);
    free(stalls);
    return 0;
}
