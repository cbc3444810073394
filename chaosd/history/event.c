/* SPDX-License-Identifier: Apache-2.0 */
#include "history/event.h"

#include <stddef.h>

const char *const lane_names[] = {
    [LANE_FRESH] = "fresh", [LANE_REUSED] = "reused", [LANE_EXEC] = "exec", [LANE_TCP] = "tcp", [LANE_COUNT] = NULL,
};

const char *const reason_names[] = {
    [REASON_NONE] = "none",
    [REASON_TIMEOUT] = "timeout",
    [REASON_REFUSED] = "refused",
    [REASON_RESET] = "reset",
    [REASON_UNREACHABLE] = "unreachable",
    [REASON_DNS] = "dns",
    [REASON_TLS] = "tls",
    [REASON_PROTOCOL] = "protocol",
    [REASON_TOO_BIG] = "too-big",
    [REASON_STATUS] = "status",
    [REASON_BODY] = "body",
    [REASON_NO_TARGET] = "no-target",
    [REASON_CAP] = "cap",
    [REASON_STALL] = "stall",
    [REASON_CANCELLED] = "cancelled",
    [REASON_OTHER] = "other",
    [REASON_COUNT] = NULL,
};
