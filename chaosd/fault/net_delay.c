/* SPDX-License-Identifier: Apache-2.0 */
/* net-delay: netem's delay, with whatever else netem does besides. */
#include "fault/net.h"

static const struct field fields[] = {NET_NAMED_FIELDS, NET_QUEUE_FIELDS(NET_DELAY), {0}};

static const struct shape shape = {
    .name = "net-delay", .size = sizeof(struct net_fault), .fields = fields, .check = net_check,
    .doc = "Packets of the selected pods come later; the kernel itself ends it after `for`.",
};

const struct fault_kind fault_net_delay = {.row = {"net-delay", &shape, "Delays selected pods' packets."}, NET_KIND};
