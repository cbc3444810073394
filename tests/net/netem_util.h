/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Two namespaces of the test's own, joined by a veth pair, and UDP between them: what leaves "a0" in one arrives at "b0" in the other. */
#include "net_util.h"

#include "netem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DID(call)                             \
    do {                                      \
        if ((call) < 0)                       \
            fail_msg("%s: %s", #call, why);   \
    } while (0)

#define MS INT64_C(1000000)

static char why[NETEM_ERROR_SIZE];
static struct netem *engine;

/* A row of the table of figures, which run.sh shows and bench.py collects. must NULL: told, and judged by nobody. */
static inline void figure(const char *name, double value, const char *unit, const char *must) {
    print_message("# figure: %s = %.6g %s%s%s\n", name, value, unit, must ? ", must be " : "", must ? must : "");
}
/* In brief in `make check`; in full for the table, with CHAOSD_FULL set. */
static inline int brief_or_full(int brief, int full) { return getenv("CHAOSD_FULL") ? full : brief; }
static inline bool in_lab(void) { return getenv("CHAOSD_LAB") != NULL; } /* an emulated machine is some 13 times slower */
static inline int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}
static inline double median_ms(int64_t *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_size);
    return n ? (double)v[n / 2] / 1e6 : 0;
}

struct wire { /* A: 10.77.0.1, fd77::1 on a0. B: 10.77.0.2, .3 and fd77::2, ::3 on b0 */
    char a[32], b[32], a_path[64], b_path[64];
    struct netem_ns *ns; /* A */
};
static struct wire wire;

static inline int64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Runs a command; what it printed, to be freed. */
static inline char *shell_code(int *code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline char *shell_code(int *code, const char *fmt, ...) {
    char command[2048];
    cleanup_buf struct buf out = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buf_printf(&out, "%.*s", (int)n, part);
    int status = pclose(f);
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return out.data ? buf_take(&out) : strdup("");
}
#define sh(...)                                                        \
    do {                                                               \
        int sh_code;                                                   \
        cleanup_free char *sh_out = shell_code(&sh_code, __VA_ARGS__); \
        if (sh_code != 0)                                              \
            fail_msg("%s: exit %d: %s", #__VA_ARGS__, sh_code, sh_out); \
    } while (0)
static inline char *says_(int line, const char *command) {
    int code;
    char *out = shell_code(&code, "%s", command);
    if (code != 0)
        fail_msg("line %d: %s: exit %d: %s", line, command, code, out);
    return out;
}
#define says(command) says_(__LINE__, command)

static inline int socket_in(const char *path, int domain, int type, int protocol) {
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(own >= 0 && there >= 0);
    assert_int_equal(setns(there, CLONE_NEWNET), 0);
    int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
    assert_int_equal(setns(own, CLONE_NEWNET), 0);
    close(own);
    close(there);
    assert_true(fd >= 0);
    return fd;
}

static inline socklen_t address(const char *text, int port, struct sockaddr_storage *ret) {
    struct sockaddr_in *v4 = (void *)ret;
    struct sockaddr_in6 *v6 = (void *)ret;
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof *v4;
    }
    assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return sizeof *v6;
}

static inline int udp_at(const char *path, const char *text, int port) {
    struct sockaddr_storage at;
    socklen_t len = address(text, port, &at);
    const int room = 32 << 20, on = 1;
    int fd = socket_in(path, at.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    return fd;
}

struct datagram { uint32_t number; int64_t sent_ns; };

/* One numbered datagram; -errno. */
static inline int send_one(int fd, const char *to, int port, uint32_t number) {
    struct sockaddr_storage at;
    socklen_t len = address(to, port, &at);
    struct datagram d = {.number = number, .sent_ns = now_ns(CLOCK_REALTIME)};
    return sendto(fd, &d, sizeof d, 0, (struct sockaddr *)&at, len) < 0 ? -errno : 0;
}

/* The next one, with the kernel's stamp of its arrival (CLOCK_REALTIME); false: none within the time. */
static inline bool receive_one(int fd, int wait_ms, struct datagram *ret, int64_t *ret_ns) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char control[256];
    struct iovec iov = {ret, sizeof *ret};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (poll(&p, 1, wait_ms) <= 0 || recvmsg(fd, &m, 0) < (ssize_t)sizeof *ret)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); ret_ns && c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            *ret_ns = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
        }
    return true;
}

/* What a datagram's capture begins with: Ethernet, IPv4 and UDP. */
enum { HEADERS = 42 };

/* A packet capture at b0: what the peer's interface takes in, before anything there could drop it. */
static inline int capture_at_b(void) {
    const int room = 64 << 20, on = 1;
    int code, fd = socket_in(wire.b_path, AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    cleanup_free char *index = shell_code(&code, "ip -n %s -o link show b0 | cut -d: -f1", wire.b);
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(0x0800), .sll_ifindex = atoi(index)};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* The next datagram to this port, with the kernel's stamp (CLOCK_REALTIME) and, more not NULL, its payload; its length, -1: none in time. */
static inline int captured(int fd, int port, int wait_ms, struct datagram *ret, int64_t *ret_ns, unsigned char *more, size_t room) {
    unsigned char frame[2048];
    for (struct pollfd p = {.fd = fd, .events = POLLIN}; poll(&p, 1, wait_ms) > 0;) {
        char control[256];
        struct iovec iov = {frame, sizeof frame};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(fd, &m, 0);
        if (n < HEADERS + (ssize_t)sizeof *ret || frame[23] != 17 || frame[36] << 8 != (port & 0xff00) || frame[37] != (port & 0xff))
            continue;
        memcpy(ret, frame + HEADERS, sizeof *ret);
        if (more)
            memcpy(more, frame + HEADERS, (size_t)n - HEADERS < room ? (size_t)n - HEADERS : room);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
            if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
                struct timespec t;
                memcpy(&t, CMSG_DATA(c), sizeof t);
                *ret_ns = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
            }
        return (int)n - HEADERS;
    }
    return -1;
}

/* Sends n from one end to an address of the other and counts those that arrive. A veth pair delivers within the send, or nearly so: after a
 * tenth of a second of quiet nothing comes any more. */
static inline int arrive(const char *from_path, const char *from, const char *to_path, const char *to, int port, int n) {
    int out = udp_at(from_path, from, 40000), in = udp_at(to_path, to, port), got = 0;
    struct datagram d;
    for (int i = 0; i < n; i++)
        send_one(out, to, port, (uint32_t)i);
    while (receive_one(in, got == n ? 0 : 100, &d, NULL))
        got++;
    close(out);
    close(in);
    return got;
}
static inline int a_to_b(const char *to, int port, int n) { return arrive(wire.a_path, strchr(to, ':') ? "fd77::1" : "10.77.0.1", wire.b_path, to, port, n); }
static inline int b_to_a(const char *from, int port, int n) { return arrive(wire.b_path, from, wire.a_path, strchr(from, ':') ? "fd77::1" : "10.77.0.1", port, n); }

static inline int wire_up(void **state) {
    (void)state;
    if (geteuid() != 0)
        return 0;
    snprintf(wire.a, sizeof wire.a, "chaosd-tn%x-a", getpid());
    snprintf(wire.b, sizeof wire.b, "chaosd-tn%x-b", getpid());
    snprintf(wire.a_path, sizeof wire.a_path, "/run/netns/%s", wire.a);
    snprintf(wire.b_path, sizeof wire.b_path, "/run/netns/%s", wire.b);
    sh("ip netns add %s && ip netns add %s && ip -n %s link add a0 type veth peer name b0 netns %s", wire.a, wire.b, wire.a, wire.b);
    sh("ip -n %s -batch - <<END\nlink set lo up\nlink set a0 up\naddress add 10.77.0.1/24 dev a0\naddress add fd77::1/64 dev a0 nodad\nEND", wire.a);
    sh("ip -n %s -batch - <<END\nlink set lo up\nlink set b0 up\naddress add 10.77.0.2/24 dev b0\naddress add 10.77.0.3/24 dev b0\n"
       "address add fd77::2/64 dev b0 nodad\naddress add fd77::3/64 dev b0 nodad\nEND", wire.b);
    if (netem_open(0, &engine, why) < 0 || netem_ns_open(engine, wire.a_path, &wire.ns, why) < 0) {
        print_message("%s\n", why);
        return -1;
    }
    for (int i = 0; i < 50 && (a_to_b("10.77.0.2", 4000, 1) != 1 || a_to_b("fd77::2", 4000, 1) != 1); i++)
        poll(NULL, 0, 20); /* neighbours are found */
    return 0;
}

static inline int wire_down(void **state) {
    (void)state;
    if (!*wire.a)
        return 0;
    netem_ns_close(wire.ns);
    netem_close(engine);
    sh("ip netns delete %s; ip netns delete %s", wire.a, wire.b);
    return 0;
}

/* All links, queues and filters of A as ip and tc tell them, without figures that move. */
static inline char *scene(void) {
    int code;
    return shell_code(&code, "{ ip -n %s -d link; tc -n %s qdisc; for d in $(ip -n %s -o link | sed 's/^[0-9]*: //; s/[:@].*//'); do echo $d; "
                      "tc -n %s filter show dev $d ingress; tc -n %s filter show dev $d egress; done; } | sed 's/qlen [0-9]*//; s/numtxqueues.*//'",
                      wire.a, wire.a, wire.a, wire.a, wire.a);
}

/* A figure of a device's root queue as tc tells it ("packets", "drops", "qlen"); -1: no such queue. */
static inline int64_t tc_says(const char *dev, const char *key) {
    int code;
    int64_t value = -1;
    cleanup_free char *text = shell_code(&code, "tc -n %s -s -j qdisc show dev %s", wire.a, dev);
    json_t *all = json_loads(text, 0, NULL), *one;
    size_t i;
    json_array_foreach(all, i, one)
        if (json_is_true(json_object_get(one, "root")))
            value = json_integer_value(json_object_get(one, key));
    json_decref(all);
    return value;
}

static inline struct netem_fault fault_on_a0(uint32_t id, enum netem_act act) {
    return (struct netem_fault){.id = id, .run = "test", .dev = "a0", .act = act, .directions = NETEM_OUT, .drop_ppm = NETEM_PPM,
                                .for_ns = INT64_C(600000000000)};
}

static inline struct netem_effect in_effect(const struct netem_fault *f) {
    struct netem_effect e;
    DID(netem_inject(wire.ns, f, &e, why));
    return e;
}

/* After each test: nothing of ours may be left once it is swept. */
static inline int sweep_up(void **state) {
    (void)state;
    if (!wire.ns)
        return 0;
    for (int i = 0; i < 2000; i++) { /* what drains takes its time, and an emulated machine more */
        int rc = netem_sweep(wire.ns, NULL, NETEM_DRAIN, why);
        if (rc < 0)
            print_message("# sweep: %s\n", why);
        if (rc <= 0)
            return rc;
        poll(NULL, 0, 10);
    }
    print_message("# sweep: something drains for more than 20 s\n");
    return -1;
}
