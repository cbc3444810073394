/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The one clock of a run, injected so that tests can pretend time. All times are ns of CLOCK_MONOTONIC. */
#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

struct clock {
    int64_t (*now)(void *arg);
    void *arg;
};

extern const struct clock clock_monotonic;
static inline int64_t clock_now(const struct clock *c) { return c->now(c->arg); }
int64_t clock_boot_ns(void); /* CLOCK_BOOTTIME: for deadlines that must hold across a suspend */
int64_t clock_wall_ns(void); /* CLOCK_REALTIME: for the anchor and for names, never for measuring */
