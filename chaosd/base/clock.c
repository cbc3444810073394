/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t monotonic_now(void *arg) {
    (void)arg;
    return read_ns(CLOCK_MONOTONIC);
}

const struct clock clock_monotonic = {.now = monotonic_now};

int64_t clock_boot_ns(void) { return read_ns(CLOCK_BOOTTIME); }
int64_t clock_wall_ns(void) { return read_ns(CLOCK_REALTIME); }
