/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Local ports of outgoing connections. Who closes first keeps its port in TIME_WAIT for 60 s, so fresh connections to one address
 * and port can run out of them. Resetting instead (SO_LINGER 0) would free the port, but it is not what users do, and the server
 * sees it; binding late (IP_BIND_ADDRESS_NO_PORT) matters only to sockets that are bound, which ours are not. */
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ports { /* of one network namespace */
    int64_t count;                      /* for connections to one address and port; 0: unknown */
    int64_t hold_ns, loopback_hold_ns;  /* how long one that was used cannot be used again; loopback: to 127.0.0.0/8 and ::1 */
};

struct port_demand { int64_t micro_per_s, from_ns, to_ns; }; /* fresh connections, evenly from .. to */

void ports_read(struct ports *ret); /* of the namespace the caller is in */
/* In the caller's own namespace, which must be ours alone: all ports that need no privilege. */
int ports_widen(struct error *err);

/* Pure. When the demands, all to one address, have used up count ports that are each held for hold_ns; INT64_MAX: never. */
int64_t ports_exhausted_ns(int64_t count, int64_t hold_ns, const struct port_demand *list, size_t n);
