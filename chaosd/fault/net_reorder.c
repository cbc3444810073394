/* SPDX-License-Identifier: Apache-2.0 */
/* net-reorder: netem's reordering, which is a delay that some packets do not get. */
#include "fault/net.h"

static const struct field fields[] = {NET_NAMED_FIELDS, NET_QUEUE_FIELDS(NET_REORDER), {0}};

static const struct shape shape = {
    .name = "net-reorder", .size = sizeof(struct net_fault), .fields = fields, .check = net_check,
    .doc = "Packets of the selected pods overtake each other: a share is sent at once while the rest is delayed.",
};

const struct fault_kind fault_net_reorder = {.row = {"net-reorder", &shape, "Reorders selected pods' packets."}, NET_KIND};
