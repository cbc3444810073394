/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The local cluster's network: namespaces kept under /run/netns as iproute2 keeps them (`ip netns exec chaosd-RUN-etcd-0 ...`),
 * a bridge in the fabric and in each node, veth pairs between. All of it lies in namespaces of its own: the host sees no link. */
#include "base/error.h"
#include "io/ports.h"

#include <stddef.h>
#include <stdint.h>

#define LOCAL_NETNS_DIR "/run/netns"
#define LOCAL_BRIDGE "br0"
#define LOCAL_POD_DEVICE "eth0"

struct subnet { uint32_t base; int prefix; }; /* host byte order */

/* "10.77.0.0/16"; /8 to /28. */
int subnet_parse(const char *text, struct subnet *ret, struct error *err);
/* Address of the fabric (0, 0) or of pod k (1..) on node n (1..), as text. -ERANGE: the subnet is too small. */
int subnet_address(const struct subnet *s, int nodes, int node, int k, char *out, size_t size, struct error *err);

/* A new namespace with lo up, kept as /run/netns/chaosd-RUN-NAME. *ret_fd is the caller's. The calling thread is back in its own. */
int local_net_namespace(const char *run, const char *name, int *ret_fd, struct error *err);
/* The bridge, up; with an address when ip is not NULL. */
int local_net_bridge(int netns_fd, const char *ip, int prefix, struct error *err);
/* In the fabric, which is ours alone: nearly all ports are for the loads. Where /proc/sys cannot be written it stays as it is. */
void local_net_widen_ports(int netns_fd);
/* What such a fabric will have, found out in one that is gone again at once; count 0: unknown. */
void local_net_ports(struct ports *ret);
/* A veth pair, both ends up: `port` on the bridge of from_fd, `name` in to_fd, there on its bridge (ip NULL) or with the address. */
int local_net_link(int from_fd, const char *port, int to_fd, const char *name, const char *ip, int prefix, struct error *err);
/* Unmounts and unlinks what local_net_namespace made for the run; their links go with them. Idempotent. */
int local_net_remove(const char *run, struct error *err);
