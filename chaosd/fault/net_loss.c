/* SPDX-License-Identifier: Apache-2.0 */
/* net-loss: random loss, in bursts by netem's models; a plain share needs no netem. */
#include "fault/net.h"

static const struct field fields[] = {NET_NAMED_FIELDS, NET_QUEUE_FIELDS(NET_LOSS), {0}};

static const struct shape shape = {
    .name = "net-loss", .size = sizeof(struct net_fault), .fields = fields, .check = net_check,
    .doc = "Packets of the selected pods are lost. A share without more is also there where the kernel has no netem.",
};

const struct fault_kind fault_net_loss = {.row = {"net-loss", &shape, "Loses selected pods' packets."}, NET_KIND};
