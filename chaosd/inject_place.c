/* SPDX-License-Identifier: Apache-2.0 */
/* Where: a namespace that is there, an interface of it, and not the one that leads to whoever asks, unless that is meant. */
#include "inject.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MOST_DEVICES = 1024 };

static int find_namespace(const struct inject_options *o, struct netns *ret, bool *ret_own, struct error *err) {
    struct netns own;
    int64_t pid;
    int rc = netns_own(&own, err);
    if (rc < 0)
        return rc;
    if (o->netns && o->pid)
        return error_set(err, -EINVAL, "either --netns or --pid: both name a network namespace");
    *ret = own;
    if (o->netns && (rc = netns_named(o->netns, ret, err)) < 0)
        return error_wrap(err, rc, "--netns");
    if (o->pid && (parse_int(o->pid, &pid, NULL) < 0 || pid < 1 || pid > INT32_MAX))
        return error_set(err, -EINVAL, "--pid: expected a process's number, not \"%.40s\"", o->pid);
    if (o->pid && (rc = netns_of_process((pid_t)pid, ret, err)) < 0)
        return error_wrap(err, rc == -ESRCH ? -ENOENT : rc, "--pid");
    *ret_own = ret->inode == own.inode;
    if (*ret_own)
        *ret = own;
    return 0;
}

static void name_them(const struct netem_device *list, int count, bool loopback, struct buf *out) {
    for (int i = 0; i < count && i < 12; i++)
        if (loopback || !list[i].loopback)
            buf_printf(out, "%s%s", out->len ? ", " : "", list[i].name);
    if (count > 12)
        buf_str(out, ", ...");
}

static int choose(const struct netns *ns, bool own, const char *asked, const struct netem_device *list, int count, char *dev, struct error *err) {
    const char *names[MOST_DEVICES + 1] = {0};
    const struct netem_device *only = NULL;
    cleanup_buf struct buf all = {0};
    int real = 0;
    for (int i = 0; i < count; i++) {
        if (i < MOST_DEVICES)
            names[i] = list[i].name;
        if (asked && strcmp(list[i].name, asked) == 0) {
            snprintf(dev, NETEM_DEV_SIZE, "%s", asked);
            return 0;
        }
        if (!list[i].loopback)
            only = &list[i], real++;
    }
    name_them(list, count, asked != NULL, &all);
    const char *near = asked ? did_you_mean(asked, names) : NULL, *have = all.data ? all.data : "none";
    char clip[CLIP_SIZE];
    if (near)
        return error_set(err, -EINVAL, "--dev: %s has no interface \"%s\", did you mean \"%s\"?", ns->said, text_clip(asked, clip), near);
    if (asked)
        return error_set(err, -EINVAL, "--dev: %s has no interface \"%s\": it has %s", ns->said, text_clip(asked, clip), have);
    if (own)
        return error_set(err, -EINVAL, "--dev is missing: which interface of this machine? It has %s (--netns or --pid name another namespace)", have);
    if (real != 1)
        return error_set(err, -EINVAL, "--dev is missing: which interface of %s? It has %s", ns->said, have);
    snprintf(dev, NETEM_DEV_SIZE, "%s", only->name);
    return 0;
}

static int find_device(const struct inject_options *o, const struct netns *ns, bool own, char *dev, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    struct netem_ns *handle = NULL;
    cleanup_free struct netem_device *list = NULL;
    int rc = netem_ns_open(NULL, netns_to_open(ns->path), &handle, why), count = 0;
    if (rc == 0)
        rc = count = netem_devices(handle, &list, why);
    netem_ns_close(handle);
    return rc < 0 ? error_set(err, rc, "%s: %s", ns->said, why) : choose(ns, own, o->dev, list, count, dev, err);
}

/* IPv4: interface, target, gateway, flags, ..., mask as its eighth word. IPv6: target, its bits, ..., the interface as its last. */
static bool default_route(const char *dev) {
    char line[400], name[64], target[64], mask[64], bits[8];
    bool found = false;
    cleanup_fclose FILE *v4 = fopen("/proc/self/net/route", "re"), *v6 = fopen("/proc/self/net/ipv6_route", "re");
    while (v4 && fgets(line, sizeof line, v4))
        found |= sscanf(line, "%63s %63s %*s %*s %*s %*s %*s %63s", name, target, mask) == 3 && strcmp(name, dev) == 0 && strcmp(target, "00000000") == 0 &&
                 strcmp(mask, "00000000") == 0;
    while (v6 && fgets(line, sizeof line, v6))
        found |= sscanf(line, "%63s %7s %*s %*s %*s %*s %*s %*s %*s %63s", target, bits, name) == 3 && strcmp(name, dev) == 0 && strcmp(bits, "00") == 0 &&
                 strspn(target, "0") == strlen(target);
    return found;
}

int inject_place(const struct inject_options *o, struct netns *ret, char *dev, struct error *err) {
    bool own = false;
    int rc = find_namespace(o, ret, &own, err);
    if (rc == 0)
        rc = find_device(o, ret, own, dev, err);
    if (rc == 0 && own && !o->yes && default_route(dev))
        return error_set(err, -EINVAL, "%s carries this machine's default route: a fault there may lock you out of it (until its end); add --yes if that is meant", dev);
    return rc;
}
