/* SPDX-License-Identifier: Apache-2.0 */
/* The ceiling: what libcurl's multi_socket interface on libev reaches by itself, a closed loop over kept connections with nothing
 * judged and nothing written down. ceiling URL CONNECTIONS SECONDS; one line of JSON. */
#include <curl/curl.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

struct ceiling {
    struct ev_loop *loop;
    CURLM *multi;
    ev_timer timer;
    long requests, failed, under_way;
    ev_tstamp end;
};

static size_t swallow(char *data, size_t one, size_t len, void *arg) {
    (void)data;
    (void)arg;
    return one * len;
}

static void again_or_end(struct ceiling *c, CURL *easy, CURLcode code) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    c->requests++;
    c->failed += code != CURLE_OK || status != 200;
    curl_multi_remove_handle(c->multi, easy);
    if (ev_now(c->loop) < c->end) {
        curl_multi_add_handle(c->multi, easy);
        return;
    }
    curl_easy_cleanup(easy);
    if (--c->under_way == 0)
        ev_break(c->loop, EVBREAK_ALL);
}

static void act(struct ceiling *c, curl_socket_t fd, int events) {
    int running, left;
    curl_multi_socket_action(c->multi, fd, events, &running);
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left));)
        if (m->msg == CURLMSG_DONE)
            again_or_end(c, m->easy_handle, m->data.result);
}

static void on_socket(EV_P_ ev_io *io, int events) {
    act(ev_userdata(EV_A), io->fd, ((events & EV_READ) ? CURL_CSELECT_IN : 0) | ((events & EV_WRITE) ? CURL_CSELECT_OUT : 0));
}

static void on_timer(EV_P_ ev_timer *timer, int events) {
    (void)timer;
    (void)events;
    act(ev_userdata(EV_A), CURL_SOCKET_TIMEOUT, 0);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket) {
    (void)easy;
    struct ceiling *c = arg;
    ev_io *io = per_socket;
    int events = ((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0);
    if (io)
        ev_io_stop(c->loop, io);
    if (what == CURL_POLL_REMOVE) {
        free(io);
        return 0;
    }
    if (!io) {
        io = calloc(1, sizeof *io);
        if (!io)
            return -1;
        curl_multi_assign(c->multi, fd, io);
    }
    ev_io_init(io, on_socket, fd, events);
    ev_io_start(c->loop, io);
    return 0;
}

static int timer_wanted(CURLM *multi, long ms, void *arg) {
    (void)multi;
    struct ceiling *c = arg;
    ev_timer_stop(c->loop, &c->timer);
    if (ms >= 0) {
        ev_timer_set(&c->timer, (double)ms / 1000.0, 0);
        ev_timer_start(c->loop, &c->timer);
    }
    return 0;
}

static int add(struct ceiling *c, const char *url) {
    CURL *easy = curl_easy_init();
    if (!easy)
        return -1;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
    c->under_way++;
    return curl_multi_add_handle(c->multi, easy) == CURLM_OK ? 0 : -1;
}

int main(int argc, char **argv) {
    long connections = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    double seconds = argc == 4 ? strtod(argv[3], NULL) : 0;
    if (connections < 1 || seconds <= 0) {
        fprintf(stderr, "usage: ceiling URL CONNECTIONS SECONDS\n");
        return 64;
    }
    struct ceiling c = {.loop = ev_default_loop(0)};
    if (!c.loop || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c.multi = curl_multi_init()))
        return 70;
    ev_set_userdata(c.loop, &c);
    ev_timer_init(&c.timer, on_timer, 0, 0);
    curl_multi_setopt(c.multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(c.multi, CURLMOPT_SOCKETDATA, &c);
    curl_multi_setopt(c.multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(c.multi, CURLMOPT_TIMERDATA, &c);
    curl_multi_setopt(c.multi, CURLMOPT_MAXCONNECTS, connections);
    ev_tstamp start = ev_time();
    c.end = start + seconds;
    for (long i = 0; i < connections; i++)
        if (add(&c, argv[1]) < 0)
            return 70;
    ev_run(c.loop, 0);
    double took = ev_time() - start;
    printf("{\"requests\": %ld, \"failed\": %ld, \"seconds\": %.6f}\n", c.requests, c.failed, took);
    curl_multi_cleanup(c.multi);
    curl_global_cleanup();
    return c.failed ? 1 : 0;
}
