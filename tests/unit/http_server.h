/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A small HTTP server for tests, forked, on 127.0.0.1: what it does depends on the path. It dies with its parent. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct test_server {
    pid_t pid;
    int port;
};

static inline void server_write(int fd, const char *data, size_t len) {
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

static inline void server_answer(int fd, const char *status, const char *body) {
    char text[20000];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
    server_write(fd, text, (size_t)n);
}

static inline void server_endless(int fd) {
    server_write(fd, "HTTP/1.1 200 OK\r\n", 17);
    for (int i = 0; i < 40000; i++)
        server_write(fd, "X-Filler: 0123456789\r\n", 22);
}

static inline void server_big(int fd, size_t len) {
    char head[100], zeros[4096];
    memset(zeros, 'z', sizeof zeros);
    server_write(fd, head, (size_t)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len));
    for (size_t done = 0; done < len; done += sizeof zeros)
        server_write(fd, zeros, sizeof zeros);
}

static inline void server_long_line(int fd) {
    server_write(fd, "HTTP/1.1 200 OK\r\nX-Long: ", 25);
    char x[4096];
    memset(x, 'x', sizeof x);
    for (int i = 0; i < 50; i++)
        server_write(fd, x, sizeof x);
    server_write(fd, "\r\nContent-Length: 0\r\n\r\n", 23);
}

static _Atomic unsigned server_connections;

/* Returns false when the connection is to be closed. */
static inline bool server_serve(int fd, const char *path, const char *request, bool *stale, unsigned number) {
    char text[16384];
    if (*stale)
        return false; /* the request is read, the connection closed: what a restarted server looks like */
    if (strncmp(path, "/status/", 8) == 0) {
        snprintf(text, sizeof text, "%.3s Whatever", path + 8);
        server_answer(fd, text, "no");
    } else if (strncmp(path, "/echo", 5) == 0) {
        snprintf(text, sizeof text, "%.16000s", request);
        server_answer(fd, "200 OK", text);
    } else if (strcmp(path, "/conn") == 0 || strcmp(path, "/stale") == 0) {
        snprintf(text, sizeof text, "%u", number);
        server_answer(fd, "200 OK", text);
        *stale = path[1] == 's';
    } else if (strcmp(path, "/json") == 0) {
        server_answer(fd, "200 OK", "{\"id\":\"abc\",\"n\":{\"term\":7}}");
    } else if (strncmp(path, "/mirror/", 8) == 0) {
        snprintf(text, sizeof text, "{\"x\":\"%.200s\"}", path + 8);
        server_answer(fd, "200 OK", text);
    } else if (strcmp(path, "/hang") == 0) {
        pause();
    } else if (strncmp(path, "/slow/", 6) == 0) {
        usleep((useconds_t)atoi(path + 6) * 1000);
        server_answer(fd, "200 OK", "slow");
    } else if (strcmp(path, "/reset") == 0) {
        struct linger l = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
        return false;
    } else if (strcmp(path, "/close") == 0) {
        return false;
    } else if (strcmp(path, "/half") == 0) {
        server_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", 43);
        return false;
    } else if (strcmp(path, "/garbage") == 0) {
        server_write(fd, "220 mail ready\r\n\r\n", 18);
        return false;
    } else if (strcmp(path, "/chunk") == 0) {
        server_write(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", 57);
        pause();
    } else if (strcmp(path, "/half-chunk") == 0) {
        server_write(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc", 54);
        return false;
    } else if (strcmp(path, "/endless") == 0) {
        server_endless(fd);
        return false;
    } else if (strcmp(path, "/long-line") == 0) {
        server_long_line(fd);
    } else if (strcmp(path, "/big") == 0) {
        server_big(fd, 2 << 20);
    } else if (strcmp(path, "/redirect") == 0) {
        server_write(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", 57);
    } else if (strcmp(path, "/no-body") == 0) {
        server_write(fd, "HTTP/1.1 204 No Content\r\n\r\n", 27);
    } else if (strcmp(path, "/head") == 0) {
        server_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 38);
    } else {
        server_answer(fd, "200 OK", "ok");
    }
    return true;
}

static inline void *server_connection(void *arg) {
    int fd = (int)(intptr_t)arg;
    unsigned number = atomic_fetch_add(&server_connections, 1);
    static const size_t max = 64 << 10;
    char *in = malloc(max);
    size_t len = 0;
    bool stale = false, open = in != NULL;
    while (open) {
        ssize_t n = recv(fd, in + len, max - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        in[len] = 0;
        char *end = strstr(in, "\r\n\r\n"), *cl = strcasestr(in, "\r\nContent-Length:"), path[256];
        size_t want = end ? (size_t)(end + 4 - in) + (cl && cl < end ? (size_t)atoi(cl + 17) : 0) : 0;
        if (!end || len < want || sscanf(in, "%*s %255s", path) != 1)
            continue;
        open = server_serve(fd, path, in, &stale, number);
        len = 0;
    }
    close(fd);
    free(in);
    return NULL;
}

static inline void server_loop(int fd) {
    for (;;) {
        int c = accept(fd, NULL, NULL);
        if (c < 0)
            continue;
        pthread_t t;
        if (pthread_create(&t, NULL, server_connection, (void *)(intptr_t)c) == 0)
            pthread_detach(t);
    }
}

static inline int server_listen(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1024) < 0)
        return -1;
    return fd;
}

static inline int server_port(int fd) {
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    return getsockname(fd, (struct sockaddr *)&a, &len) < 0 ? -1 : ntohs(a.sin_port);
}

static inline void server_lo_up(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    ioctl(fd, SIOCSIFFLAGS, &r);
    close(fd);
}

/* port 0: any. own_netns: in a network namespace of its own; -1 in pid when that is not allowed here. */
static inline struct test_server server_start(int port, bool own_netns) {
    struct test_server s = {.pid = -1};
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return s;
    s.pid = fork();
    if (s.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (own_netns && unshare(CLONE_NEWNET) < 0)
            _exit(1);
        if (own_netns)
            server_lo_up();
        int fd = server_listen(port), got = fd < 0 ? -1 : server_port(fd);
        if (got < 0 || write(p[1], &got, sizeof got) != sizeof got)
            _exit(1);
        server_loop(fd);
    }
    close(p[1]);
    if (s.pid > 0 && read(p[0], &s.port, sizeof s.port) != sizeof s.port) {
        waitpid(s.pid, NULL, 0);
        s.pid = -1;
    }
    close(p[0]);
    return s;
}

static inline void server_stop(struct test_server *s) {
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = -1;
}
