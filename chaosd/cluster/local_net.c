/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/local_net.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_NETNS "/proc/thread-self/ns/net"

/* ---- addresses */

int subnet_parse(const char *text, struct subnet *ret, struct error *err) {
    char ip[64] = "";
    const char *slash = strchr(text, '/');
    if (slash && (size_t)(slash - text) < sizeof ip)
        memcpy(ip, text, (size_t)(slash - text));
    struct in_addr a;
    char *end = NULL;
    long prefix = slash && slash[1] >= '0' && slash[1] <= '9' ? strtol(slash + 1, &end, 10) : -1;
    if (inet_pton(AF_INET, ip, &a) != 1 || prefix < 0 || prefix > 32 || *end)
        return error_set(err, -EINVAL, "'%s' is no IPv4 subnet; expected one like 10.77.0.0/16", text);
    if (prefix < 8 || prefix > 28)
        return error_set(err, -EINVAL, "subnet %s: its prefix must be from /8 to /28", text);
    uint32_t base = ntohl(a.s_addr), host = (uint32_t)((UINT64_C(1) << (32 - prefix)) - 1);
    if (base & host)
        return error_set(err, -EINVAL, "subnet %s: bits are set behind the prefix", text);
    *ret = (struct subnet){base, (int)prefix};
    return 0;
}

int subnet_address(const struct subnet *s, int nodes, int node, int k, char *out, size_t size, struct error *err) {
    const uint32_t room = (uint32_t)(UINT64_C(1) << (32 - s->prefix));
    /* .NODE.K reads well where there is room for it; a small subnet is cut into even shares. */
    uint32_t share = room / (uint32_t)(nodes + 1);
    if (share > 256)
        share = 256;
    const uint32_t most = share == 256 ? 254 : share ? share - 1 : 0;
    const uint32_t offset = node == 0 ? 1 : (uint32_t)node * share + (uint32_t)k;
    if (node > 0 && ((uint32_t)k > most || offset >= room - 1))
        return error_set(err, -ERANGE, "the subnet is too small: no address for pod %d of node %d", k, node);
    struct in_addr a = {.s_addr = htonl(s->base + offset)};
    return inet_ntop(AF_INET, &a, out, (socklen_t)size) ? 0 : error_errno(err, "address");
}

/* ---- namespaces */

static int enter(int netns_fd, int *ret_before, struct error *err) {
    int before = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);
    if (before < 0)
        return error_errno(err, OWN_NETNS);
    if (netns_fd >= 0 ? setns(netns_fd, CLONE_NEWNET) < 0 : unshare(CLONE_NEWNET) < 0) {
        int rc = error_errno(err, netns_fd >= 0 ? "entering a network namespace" : "making a network namespace");
        close(before);
        return rc;
    }
    *ret_before = before;
    return 0;
}

static int leave(int before, int rc, struct error *err) {
    if (setns(before, CLONE_NEWNET) < 0)
        rc = error_errno(err, "returning to the host's network namespace");
    close(before);
    return rc;
}

/* /run/netns is a shared mount of its own, as `ip netns add` makes it: unmounting here then shows everywhere. */
static int keep_folder(struct error *err) {
    int rc = fs_mkdirs(LOCAL_NETNS_DIR, err);
    if (rc < 0)
        return rc;
    if (mount("", LOCAL_NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) == 0)
        return 0;
    if (errno != EINVAL) /* EINVAL: not a mount yet */
        return error_errno(err, "mount --make-shared " LOCAL_NETNS_DIR);
    if (mount(LOCAL_NETNS_DIR, LOCAL_NETNS_DIR, "none", MS_BIND | MS_REC, NULL) < 0)
        return error_errno(err, "mount --bind " LOCAL_NETNS_DIR);
    if (mount("", LOCAL_NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) < 0)
        return error_errno(err, "mount --make-shared " LOCAL_NETNS_DIR);
    return 0;
}

static int nl_failed(int nle, struct error *err, const char *what) {
    static const struct { int nle, rc; } codes[] = {
        {NLE_PERM, -EPERM}, {NLE_EXIST, -EEXIST}, {NLE_OPNOTSUPP, -EOPNOTSUPP}, {NLE_NOMEM, -ENOMEM}};
    int rc = -EIO;
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i].nle == -nle)
            rc = codes[i].rc;
    return error_set(err, rc, "%s: %s%s", what, nl_geterror(nle), rc == -EOPNOTSUPP ? ": does this kernel have veth and bridge?" : "");
}

static void nl_socket_freep(struct nl_sock **s) { nl_socket_free(*s); }
static void rtnl_link_putp(struct rtnl_link **l) { rtnl_link_put(*l); }
#define cleanup_sock cleanup(nl_socket_freep)
#define cleanup_link cleanup(rtnl_link_putp)

/* A netlink socket stays with the namespace it was opened in: the thread is back at once. */
static int connect_in(int netns_fd, struct nl_sock **ret, struct error *err) {
    cleanup_sock struct nl_sock *s = nl_socket_alloc();
    if (!s)
        return error_set(err, -ENOMEM, "out of memory");
    int before, rc = enter(netns_fd, &before, err);
    if (rc < 0)
        return rc;
    int nle = nl_connect(s, NETLINK_ROUTE);
    rc = leave(before, nle < 0 ? nl_failed(nle, err, "netlink") : 0, err);
    if (rc == 0)
        *ret = take_ptr(s);
    return rc;
}

static int find_link(struct nl_sock *s, const char *name, int *ret_index, struct error *err) {
    cleanup_link struct rtnl_link *l = NULL;
    int nle = rtnl_link_get_kernel(s, 0, name, &l);
    if (nle < 0)
        return nl_failed(nle, err, name);
    *ret_index = rtnl_link_get_ifindex(l);
    return 0;
}

/* Up; and on the bridge, when bridge is not 0. */
static int raise_link(struct nl_sock *s, const char *name, int bridge, int *ret_index, struct error *err) {
    int index, rc = find_link(s, name, &index, err);
    if (rc < 0)
        return rc;
    cleanup_link struct rtnl_link *by = rtnl_link_alloc(), *to = rtnl_link_alloc();
    if (!by || !to)
        return error_set(err, -ENOMEM, "out of memory");
    rtnl_link_set_ifindex(by, index);
    rtnl_link_set_flags(to, IFF_UP);
    if (bridge)
        rtnl_link_set_master(to, bridge);
    int nle = rtnl_link_change(s, by, to, 0);
    if (nle < 0)
        return nl_failed(nle, err, name);
    if (ret_index)
        *ret_index = index;
    return 0;
}

static int add_address(struct nl_sock *s, int index, const char *ip, int prefix, struct error *err) {
    struct in_addr in;
    if (inet_pton(AF_INET, ip, &in) != 1)
        return error_set(err, -EINVAL, "'%s' is no IPv4 address", ip);
    struct in_addr wide = {.s_addr = in.s_addr | htonl((uint32_t)((UINT64_C(1) << (32 - prefix)) - 1))};
    struct rtnl_addr *a = rtnl_addr_alloc();
    struct nl_addr *local = nl_addr_build(AF_INET, &in, sizeof in), *broadcast = nl_addr_build(AF_INET, &wide, sizeof wide);
    int nle = -NLE_NOMEM;
    if (a && local && broadcast) {
        nl_addr_set_prefixlen(local, prefix);
        rtnl_addr_set_ifindex(a, index);
        nle = rtnl_addr_set_local(a, local);
        if (nle == 0)
            nle = rtnl_addr_set_broadcast(a, broadcast);
        if (nle == 0)
            nle = rtnl_addr_add(s, a, 0);
    }
    nl_addr_put(local);
    nl_addr_put(broadcast);
    rtnl_addr_put(a);
    return nle < 0 ? nl_failed(nle, err, ip) : 0;
}

/* In the new namespace: links made from here on speak IPv4 only, so no address waits for duplicate detection. */
static void quiet_ipv6(void) {
    fs_write_sys("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", NULL); /* absent without IPv6: as well */
}

static int keep(const char *path, struct error *err) {
    cleanup_close int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, "%s", path);
    if (mount(OWN_NETNS, path, "none", MS_BIND, NULL) < 0)
        return error_errno(err, "%s: bind mount", path);
    return 0;
}

int local_net_namespace(const char *run, const char *name, int *ret_fd, struct error *err) {
    char path[256];
    if (snprintf(path, sizeof path, LOCAL_NETNS_DIR "/chaosd-%s-%s", run, name) >= (int)sizeof path)
        return error_set(err, -ENAMETOOLONG, "%s: name too long", name);
    int rc = keep_folder(err), before;
    if (rc == 0)
        rc = enter(-1, &before, err);
    if (rc < 0)
        return rc;
    quiet_ipv6();
    cleanup_close int fd = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);
    rc = fd < 0 ? error_errno(err, OWN_NETNS) : keep(path, err);
    rc = leave(before, rc, err);
    if (rc < 0)
        return rc;
    cleanup_sock struct nl_sock *s = NULL;
    rc = connect_in(fd, &s, err);
    if (rc == 0)
        rc = raise_link(s, "lo", 0, NULL, err);
    if (rc == 0)
        *ret_fd = take_fd(&fd);
    return rc;
}

/* ---- links */

int local_net_bridge(int netns_fd, const char *ip, int prefix, struct error *err) {
    cleanup_sock struct nl_sock *s = NULL;
    int index, rc = connect_in(netns_fd, &s, err);
    if (rc < 0)
        return rc;
    cleanup_link struct rtnl_link *l = rtnl_link_bridge_alloc();
    if (!l)
        return error_set(err, -ENOMEM, "out of memory");
    rtnl_link_set_name(l, LOCAL_BRIDGE);
    int nle = rtnl_link_add(s, l, NLM_F_CREATE | NLM_F_EXCL);
    if (nle < 0)
        return nl_failed(nle, err, "bridge");
    rc = raise_link(s, LOCAL_BRIDGE, 0, &index, err);
    return rc == 0 && ip ? add_address(s, index, ip, prefix, err) : rc;
}

int local_net_link(int from_fd, const char *port, int to_fd, const char *name, const char *ip, int prefix, struct error *err) {
    cleanup_sock struct nl_sock *from = NULL, *to = NULL;
    int bridge, index, rc = connect_in(from_fd, &from, err);
    if (rc == 0)
        rc = connect_in(to_fd, &to, err);
    if (rc < 0)
        return rc;
    cleanup_link struct rtnl_link *l = rtnl_link_veth_alloc();
    if (!l)
        return error_set(err, -ENOMEM, "out of memory");
    struct rtnl_link *peer = rtnl_link_veth_get_peer(l); /* holds a reference of its own */
    rtnl_link_set_name(l, port);
    rtnl_link_set_name(peer, name);
    rtnl_link_set_ns_fd(peer, to_fd);
    int nle = rtnl_link_add(from, l, NLM_F_CREATE | NLM_F_EXCL);
    rtnl_link_put(peer);
    if (nle < 0)
        return nl_failed(nle, err, "veth");
    rc = find_link(from, LOCAL_BRIDGE, &bridge, err);
    if (rc == 0)
        rc = raise_link(from, port, bridge, NULL, err);
    if (rc == 0 && !ip)
        rc = find_link(to, LOCAL_BRIDGE, &bridge, err);
    if (rc == 0)
        rc = raise_link(to, name, ip ? 0 : bridge, &index, err);
    return rc == 0 && ip ? add_address(to, index, ip, prefix, err) : rc;
}

/* ---- ports */

void local_net_widen_ports(int netns_fd) {
    int before;
    if (enter(netns_fd, &before, NULL) < 0)
        return;
    ports_widen(NULL);
    leave(before, 0, NULL);
}

void local_net_ports(struct ports *ret) {
    int p[2];
    *ret = (struct ports){0};
    if (pipe2(p, O_CLOEXEC) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        struct ports there = {0};
        if (unshare(CLONE_NEWNET) == 0) {
            ports_widen(NULL);
            ports_read(&there);
        }
        _exit(write(p[1], &there, sizeof there) != sizeof there);
    }
    close(p[1]);
    struct ports got;
    if (pid > 0 && read(p[0], &got, sizeof got) == sizeof got)
        *ret = got;
    close(p[0]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* ---- removal */

static int remove_namespace(const char *name, struct error *err) {
    char path[sizeof LOCAL_NETNS_DIR + 1 + NAME_MAX];
    snprintf(path, sizeof path, LOCAL_NETNS_DIR "/%s", name);
    while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        ;
    if (errno != EINVAL && errno != ENOENT)
        return error_errno(err, "%s: unmount", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_errno(err, "%s", path);
    return 0;
}

int local_net_remove(const char *run, struct error *err) {
    char prefix[64];
    int rc = 0, n = snprintf(prefix, sizeof prefix, "chaosd-%s-", run);
    DIR *dir = opendir(LOCAL_NETNS_DIR);
    if (!dir)
        return errno == ENOENT ? 0 : error_errno(err, LOCAL_NETNS_DIR);
    struct dirent *e;
    while ((e = readdir(dir)))
        if (strncmp(e->d_name, prefix, (size_t)n) == 0) {
            int one = remove_namespace(e->d_name, err);
            if (one < 0)
                rc = one;
        }
    closedir(dir);
    return rc;
}
