/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For faults that name one far end which nobody else talks to, and that take netem where this kernel has it. */
#include "netem_util.h"

static struct netem_peer third; /* 10.77.0.3 */
static bool has_netem;

static int third_up(void **state) {
    struct netem_can can;
    int rc = wire_up(state);
    if (rc < 0 || geteuid() != 0)
        return rc;
    netem_can(&can);
    has_netem = can.can[NETEM_CAN_NETEM];
    return netem_peer_parse("10.77.0.3", &third, why);
}
