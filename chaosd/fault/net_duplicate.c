/* SPDX-License-Identifier: Apache-2.0 */
/* net-duplicate: netem's duplication. */
#include "fault/net.h"

static const struct field fields[] = {NET_NAMED_FIELDS, NET_QUEUE_FIELDS(NET_DUPLICATE), {0}};

static const struct shape shape = {
    .name = "net-duplicate", .size = sizeof(struct net_fault), .fields = fields, .check = net_check,
    .doc = "Packets of the selected pods come twice.",
};

const struct fault_kind fault_net_duplicate = {.row = {"net-duplicate", &shape, "Duplicates selected pods' packets."}, NET_KIND};
