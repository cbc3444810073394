/* SPDX-License-Identifier: Apache-2.0 */
#include "io/loop.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct loop {
    struct ev_loop *ev;
};

struct watch {
    ev_io io; /* first: libev hands it back */
    struct ev_loop *ev;
    void (*fn)(int events, void *arg);
    void *arg;
};

struct timer {
    struct watch *watch;
    int fd;
    void (*fn)(void *arg);
    void *arg;
};

int loop_new(struct loop **ret, struct error *err) {
    struct loop *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, -ENOMEM, "out of memory");
    l->ev = ev_loop_new(EVFLAG_NOENV);
    if (!l->ev) {
        free(l);
        return error_set(err, -EIO, "libev found no usable backend");
    }
    *ret = l;
    return 0;
}

void loop_free(struct loop *l) {
    if (!l)
        return;
    ev_loop_destroy(l->ev);
    free(l);
}

void loop_run(struct loop *l) { ev_run(l->ev, 0); }
void loop_once(struct loop *l) { ev_run(l->ev, EVRUN_ONCE); }
void loop_stop(struct loop *l) { ev_break(l->ev, EVBREAK_ALL); }

static void on_io(EV_P_ ev_io *io, int revents) {
    (void)loop;
    struct watch *w = (struct watch *)io;
    int events = ((revents & EV_READ) ? WATCH_READ : 0) | ((revents & EV_WRITE) ? WATCH_WRITE : 0);
    w->fn(events, w->arg);
}

static int to_ev(int events) { return ((events & WATCH_READ) ? EV_READ : 0) | ((events & WATCH_WRITE) ? EV_WRITE : 0); }

int watch_new(struct loop *l, int fd, int events, void (*fn)(int events, void *arg), void *arg, struct watch **ret, struct error *err) {
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(err, -ENOMEM, "out of memory");
    w->ev = l->ev;
    w->fn = fn;
    w->arg = arg;
    ev_io_init(&w->io, on_io, fd, to_ev(events));
    if (events)
        ev_io_start(w->ev, &w->io);
    *ret = w;
    return 0;
}

void watch_set(struct watch *w, int events) {
    if (ev_is_active(&w->io) && (w->io.events & (EV_READ | EV_WRITE)) == to_ev(events))
        return;
    ev_io_stop(w->ev, &w->io);
    ev_io_set(&w->io, w->io.fd, to_ev(events));
    if (events)
        ev_io_start(w->ev, &w->io);
}

void watch_free(struct watch *w) {
    if (!w)
        return;
    ev_io_stop(w->ev, &w->io);
    free(w);
}

static void on_timerfd(int events, void *arg) {
    (void)events;
    struct timer *t = arg;
    uint64_t expired;
    /* Nothing to read: the timer was re-armed or stopped after it had fired in this turn. */
    if (read(t->fd, &expired, sizeof expired) != sizeof expired)
        return;
    t->fn(t->arg);
}

int timer_new(struct loop *l, void (*fn)(void *arg), void *arg, struct timer **ret, struct error *err) {
    struct timer *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, -ENOMEM, "out of memory");
    t->fn = fn;
    t->arg = arg;
    t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (t->fd < 0) {
        int rc = error_errno(err, "timerfd_create");
        free(t);
        return rc;
    }
    int rc = watch_new(l, t->fd, WATCH_READ, on_timerfd, t, &t->watch, err);
    if (rc < 0) {
        close(t->fd);
        free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

void timer_at(struct timer *t, int64_t when_ns) {
    if (when_ns <= 0)
        when_ns = 1; /* 0 would disarm */
    struct itimerspec spec = {.it_value = {.tv_sec = when_ns / NS_PER_S, .tv_nsec = when_ns % NS_PER_S}};
    timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void timer_after(struct timer *t, int64_t delay_ns) { timer_at(t, loop_now() + (delay_ns > 0 ? delay_ns : 0)); }

void timer_stop(struct timer *t) {
    if (!t)
        return;
    struct itimerspec spec = {0};
    timerfd_settime(t->fd, 0, &spec, NULL);
}

void timer_free(struct timer *t) {
    if (!t)
        return;
    watch_free(t->watch);
    close(t->fd);
    free(t);
}
