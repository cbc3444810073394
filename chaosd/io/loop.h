/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The event loop. libev stays behind this header: times are ns of CLOCK_MONOTONIC and timers are timerfds, since
 * libev's epoll backend rounds to 1 ms. Everything runs on one thread; callbacks may free their own watcher. */
#include "base/clock.h"
#include "base/error.h"

struct loop;
struct timer;
struct watch;

int loop_new(struct loop **ret, struct error *err);
void loop_free(struct loop *l); /* NULL-safe */
void loop_run(struct loop *l);  /* until loop_stop */
void loop_stop(struct loop *l);
void loop_once(struct loop *l); /* one turn: waits until something happens, and tells it */
static inline int64_t loop_now(void) { return clock_now(&clock_monotonic); }

/* One-shot timer, re-armed by calling timer_at again, also from its own callback. */
int timer_new(struct loop *l, void (*fn)(void *arg), void *arg, struct timer **ret, struct error *err);
void timer_at(struct timer *t, int64_t when_ns); /* a time past fires at once */
void timer_after(struct timer *t, int64_t delay_ns);
void timer_stop(struct timer *t); /* NULL-safe */
void timer_free(struct timer *t); /* NULL-safe */

enum { WATCH_READ = 1, WATCH_WRITE = 2 };
/* Watches a file descriptor that stays the caller's. */
int watch_new(struct loop *l, int fd, int events, void (*fn)(int events, void *arg), void *arg, struct watch **ret, struct error *err);
void watch_set(struct watch *w, int events);
void watch_free(struct watch *w); /* NULL-safe; before the fd is closed */
