/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A line server for tests: what a client says first is what it gets. */
#include "http_server.h"

#include <poll.h>

static inline bool talk(int fd, const char *data, size_t len) { return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len; }

static inline void tcp_serve(int fd, const char *said) {
    static const char pong[] = "+PONG\r\n";
    char junk[4096];
    for (size_t i = 0; i < sizeof junk; i++)
        junk[i] = (char)(i * 7 + 128);
    if (!strncmp(said, "echo ", 5)) {
        talk(fd, said + 5, strlen(said + 5));
    } else if (!strncmp(said, "PING", 4)) {
        talk(fd, pong, 7);
    } else if (!strncmp(said, "half", 4)) {
        talk(fd, pong, 3);
        return;
    } else if (!strncmp(said, "dribble", 7)) {
        for (int i = 0; i < 7 && talk(fd, pong + i, 1); i++)
            usleep(1000);
    } else if (!strncmp(said, "late", 4)) {
        usleep(120000);
        talk(fd, pong, 7);
    } else if (!strncmp(said, "garbage", 7)) {
        talk(fd, junk, 200);
    } else if (!strncmp(said, "endless", 7)) {
        while (talk(fd, junk, sizeof junk))
            ;
    } else if (!strncmp(said, "close", 5)) {
        return;
    } else if (!strncmp(said, "reset", 5)) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        return;
    } else if (!*said) {
        talk(fd, "220 hello\r\n", 11);
    }
    char more;
    while (recv(fd, &more, 1, 0) > 0) /* until the client goes */
        ;
}

static inline void *tcp_connection(void *arg) {
    int fd = (int)(intptr_t)arg;
    char said[1000] = "";
    size_t len = 0;
    struct pollfd in = {.fd = fd, .events = POLLIN};
    while (len + 1 < sizeof said && !memchr(said, '\n', len) && poll(&in, 1, len ? 2000 : 30) > 0) {
        ssize_t n = recv(fd, said + len, sizeof said - 1 - len, 0);
        if (n <= 0)
            break;
        said[len += (size_t)n] = 0;
    }
    tcp_serve(fd, said);
    close(fd);
    return NULL;
}

static inline struct test_server tcp_server_start(void) {
    struct test_server s = {.pid = -1};
    int fd = server_listen(0);
    s.port = server_port(fd);
    s.pid = fork();
    if (s.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        for (;;) {
            int c = accept(fd, NULL, NULL);
            pthread_t t;
            if (c >= 0 && pthread_create(&t, NULL, tcp_connection, (void *)(intptr_t)c) == 0)
                pthread_detach(t);
        }
    }
    close(fd);
    return s;
}
