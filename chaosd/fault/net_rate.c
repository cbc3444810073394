/* SPDX-License-Identifier: Apache-2.0 */
/* net-rate: netem's rate. */
#include "fault/net.h"

static const struct field fields[] = {NET_NAMED_FIELDS, NET_QUEUE_FIELDS(NET_RATE), {0}};

static const struct shape shape = {
    .name = "net-rate", .size = sizeof(struct net_fault), .fields = fields, .check = net_check,
    .doc = "The selected pods' link is only so fast; what waits leaves at that rate also after the end.",
};

const struct fault_kind fault_net_rate = {.row = {"net-rate", &shape, "Slows selected pods' link down."}, NET_KIND};
