/* SPDX-License-Identifier: Apache-2.0 */
/* net-corrupt: netem's corruption; a program at the classifier could not leave a wrong checksum honestly. */
#include "fault/net.h"

static const struct field fields[] = {NET_NAMED_FIELDS, NET_QUEUE_FIELDS(NET_CORRUPT), {0}};

static const struct shape shape = {
    .name = "net-corrupt", .size = sizeof(struct net_fault), .fields = fields, .check = net_check,
    .doc = "A bit of the selected pods' packets is flipped, under a checksum that no longer fits.",
};

const struct fault_kind fault_net_corrupt = {.row = {"net-corrupt", &shape, "Corrupts selected pods' packets."}, NET_KIND};
