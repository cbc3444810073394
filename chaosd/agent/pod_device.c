/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pod_find.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "io/netsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>

static void nl_socket_freep(struct nl_sock **s) { nl_socket_free(*s); }
static void nl_cache_freep(struct nl_cache **c) { nl_cache_free(*c); }
#define cleanup_sock cleanup(nl_socket_freep)
#define cleanup_cache cleanup(nl_cache_freep)

static int failed(int nle, const char *what, struct error *err) {
    int rc = nle == -NLE_PERM ? -EPERM : nle == -NLE_NOMEM ? -ENOMEM : -EIO;
    return error_set(err, rc, "asking for a pod's %s: %s", what, nl_geterror(nle));
}

/* A socket that was opened in the namespace stays there; the thread does not. */
static int open_socket(int netns_fd, struct nl_sock **ret, struct error *err) {
    cleanup_close int fd = net_socket(netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, err);
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};
    if (fd < 0)
        return fd;
    /* The kernel answers at once, so that waiting is no wait; libnl takes "not now" for the end of an answer. */
    if (bind(fd, (struct sockaddr *)&own, sizeof own) < 0 || fcntl(fd, F_SETFL, 0) < 0)
        return error_errno(err, "a netlink socket in a pod's network");
    *ret = nl_socket_alloc();
    if (!*ret)
        return error_set(err, -ENOMEM, "out of memory");
    int nle = nl_socket_set_fd(*ret, NETLINK_ROUTE, fd);
    if (nle < 0)
        return failed(nle, "network", err);
    take_fd(&fd);
    return 0;
}

struct best {
    int index; /* 0: none */
    bool ipv6;
    uint32_t metric;
};

static void weigh(struct nl_object *object, void *arg) {
    struct rtnl_route *r = (struct rtnl_route *)object;
    struct best *b = arg;
    struct nl_addr *to = rtnl_route_get_dst(r);
    struct rtnl_nexthop *hop = rtnl_route_nexthop_n(r, 0);
    if (!to || nl_addr_get_prefixlen(to) || rtnl_route_get_type(r) != RTN_UNICAST || rtnl_route_get_table(r) != RT_TABLE_MAIN || !hop ||
        rtnl_route_nh_get_ifindex(hop) == 0)
        return;
    struct best one = {rtnl_route_nh_get_ifindex(hop), rtnl_route_get_family(r) == AF_INET6, rtnl_route_get_priority(r)};
    if (b->index == 0 || one.ipv6 < b->ipv6 || (one.ipv6 == b->ipv6 && one.metric < b->metric))
        *b = one;
}

struct seen {
    size_t count;
    char name[POD_DEVICE_SIZE];
    struct buf names;
};

static void see(struct nl_object *object, void *arg) {
    struct rtnl_link *l = (struct rtnl_link *)object;
    struct seen *s = arg;
    const char *name = rtnl_link_get_name(l), *type = rtnl_link_get_type(l);
    if (!name || (rtnl_link_get_flags(l) & IFF_LOOPBACK) || (type && strcmp(type, "ifb") == 0))
        return;
    if (s->count++ == 0)
        snprintf(s->name, sizeof s->name, "%s", name);
    buf_printf(&s->names, "%s%s", s->count > 1 ? ", " : "", name);
}

static int only_one(struct nl_cache *links, char ret[POD_DEVICE_SIZE], struct error *err) {
    struct seen s = {0};
    nl_cache_foreach(links, see, &s);
    int rc = 0;
    if (s.count == 0)
        rc = error_set(err, -ENODEV, "the pod's network has no interface but lo");
    else if (s.count > 1)
        rc = error_set(err, -ENOTUNIQ, "the pod has several interfaces (%.200s) and no default route: name one as \"device\"",
                       s.names.data ? s.names.data : "");
    else
        snprintf(ret, POD_DEVICE_SIZE, "%s", s.name);
    buf_free(&s.names);
    return rc;
}

int pod_device(int netns_fd, char ret[POD_DEVICE_SIZE], struct error *err) {
    cleanup_sock struct nl_sock *sock = NULL;
    cleanup_cache struct nl_cache *routes = NULL, *links = NULL;
    struct best best = {0};
    int nle, rc = open_socket(netns_fd, &sock, err);
    if (rc < 0)
        return rc;
    if ((nle = rtnl_link_alloc_cache(sock, AF_UNSPEC, &links)) < 0)
        return failed(nle, "interfaces", err);
    if ((nle = rtnl_route_alloc_cache(sock, AF_UNSPEC, 0, &routes)) < 0)
        return failed(nle, "routes", err);
    nl_cache_foreach(routes, weigh, &best);
    return best.index && rtnl_link_i2name(links, best.index, ret, POD_DEVICE_SIZE) ? 0 : only_one(links, ret, err);
}
