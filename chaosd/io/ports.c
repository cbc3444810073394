/* SPDX-License-Identifier: Apache-2.0 */
#include "io/ports.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#include <inttypes.h>

#define TIME_WAIT_NS (60 * NS_PER_S) /* TCP_TIMEWAIT_LEN, fixed in the kernel */
#define REUSE_NS NS_PER_S            /* tcp_tw_reuse: once the peer's timestamps have moved on */
#define IPV4 "/proc/sys/net/ipv4/"

static int64_t read_number(const char *path, int64_t fallback) {
    cleanup_buf struct buf text = {0};
    int64_t v;
    return fs_read(path, 256, &text, NULL) == 0 && text.data && sscanf(text.data, "%" SCNd64, &v) == 1 ? v : fallback;
}

void ports_read(struct ports *ret) {
    cleanup_buf struct buf text = {0};
    int64_t low = 0, high = -1;
    *ret = (struct ports){.hold_ns = TIME_WAIT_NS, .loopback_hold_ns = TIME_WAIT_NS};
    if (fs_read(IPV4 "ip_local_port_range", 256, &text, NULL) == 0 && text.data && sscanf(text.data, "%" SCNd64 " %" SCNd64, &low, &high) == 2)
        ret->count = high >= low ? high - low + 1 : 0;
    int64_t reuse = read_number(IPV4 "tcp_timestamps", 1) ? read_number(IPV4 "tcp_tw_reuse", 0) : 0;
    if (reuse == 1)
        ret->hold_ns = REUSE_NS;
    if (reuse == 1 || reuse == 2)
        ret->loopback_hold_ns = REUSE_NS;
    if (read_number(IPV4 "tcp_max_tw_buckets", INT64_MAX) < ret->count) /* beyond so many the kernel keeps none back */
        ret->hold_ns = ret->loopback_hold_ns = 0;
}

int ports_widen(struct error *err) { return fs_write_sys(IPV4 "ip_local_port_range", "1024 65535", err); }

/* Ports in use at t: what was opened in the last hold_ns. */
static double in_use(int64_t t, int64_t hold_ns, const struct port_demand *list, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t from = t - hold_ns > list[i].from_ns ? t - hold_ns : list[i].from_ns, to = t < list[i].to_ns ? t : list[i].to_ns;
        if (to > from)
            sum += (double)(to - from) / 1e9 * ((double)list[i].micro_per_s / 1e6);
    }
    return sum;
}

/* The next time after t at which the sum begins to change in another way; between two such it is a straight line. */
static int64_t next_bend(int64_t t, int64_t hold_ns, const struct port_demand *list, size_t n) {
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        const int64_t bends[] = {list[i].from_ns, list[i].to_ns, list[i].from_ns + hold_ns, list[i].to_ns + hold_ns};
        for (size_t k = 0; k < ARRAY_SIZE(bends); k++)
            if (bends[k] > t && bends[k] < next)
                next = bends[k];
    }
    return next;
}

int64_t ports_exhausted_ns(int64_t count, int64_t hold_ns, const struct port_demand *list, size_t n) {
    double before = 0, limit = (double)count;
    if (count <= 0)
        return INT64_MAX;
    for (int64_t t = -1, next; (next = next_bend(t, hold_ns, list, n)) != INT64_MAX; t = next) {
        double after = in_use(next, hold_ns, list, n);
        if (after > limit) {
            int64_t from = t < 0 ? 0 : t;
            return from + (int64_t)((double)(next - from) * (limit - before) / (after - before));
        }
        before = after;
    }
    return INT64_MAX;
}
