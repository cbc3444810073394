/* SPDX-License-Identifier: Apache-2.0 */
/* net-partition: drops in the classifier, so that it needs no netem. */
#include "fault/net.h"

static const struct field fields[] = {NET_NAMED_FIELDS, {0}};

static const struct shape shape = {
    .name = "net-partition", .size = sizeof(struct net_fault), .fields = fields, .check = net_check,
    .doc = "Cuts the selected pods off: from everything, or from the far ends that are named, one way or both.",
};

const struct fault_kind fault_net_partition = {.row = {"net-partition", &shape, "Cuts selected pods off from others."}, NET_KIND};
