/* SPDX-License-Identifier: Apache-2.0 */
/* The far ends of one act: addresses as written, pods of a selector, names. */
#include "fault/net.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

enum { MOST_PODS = 1024 };

struct far_ends {
    struct netem_peer *list;
    size_t count, room;
};

/* Said twice is said once by the kernel's map; to look for it here would take 10,000 networks 100 ms of the loop's time. */
static int add(struct far_ends *f, struct netem_peer p, struct error *err) {
    if (f->count == f->room) {
        size_t room = f->room ? 2 * f->room : 16;
        void *more = realloc(f->list, room * sizeof *f->list);
        if (!more)
            return error_set(err, -ENOMEM, "out of memory");
        f->list = more;
        f->room = room;
    }
    f->list[f->count++] = p;
    return 0;
}

static int add_text(struct far_ends *f, const char *address, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    struct netem_peer p;
    if (netem_peer_parse(address, &p, why) < 0)
        return error_set(err, -EINVAL, "%s", why);
    return add(f, p, err);
}

/* All of them, or what two pods say to each other goes on by the other family. */
static int add_pod(struct far_ends *f, const struct pod *p, struct error *err) {
    const char *const addresses[] = {p->ip, p->ip2};
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(addresses) && rc == 0; i++)
        if (addresses[i] && *addresses[i])
            rc = add_text(f, addresses[i], err);
    return rc;
}

static int add_pods(struct fault_act *a, const struct pod_target *t, struct far_ends *f, struct error *err) {
    const struct pod *pods[MOST_PODS];
    size_t n = a->select(a, t, pods, MOST_PODS);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_pod(f, pods[i], err);
    if (rc == 0 && f->count == 0)
        return error_set(err, -ENOENT, "target: no other pod matches its selector now");
    return rc;
}

/* --- names --- */

const struct pod *net_pod_named(const struct fault_env *env, const char *name) {
    const struct pod *pods[MOST_PODS];
    size_t n = env->cluster ? env->cluster->kind->pods(env->cluster, pods, MOST_PODS) : 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(pods[i]->name, name) == 0)
            return pods[i];
    return NULL;
}

/* A pod's name is its addresses of the moment; any other was looked up. */
static int add_name(struct fault_act *a, const char *name, struct far_ends *f, struct error *err) {
    const struct pod *p = net_pod_named(a->env, name);
    size_t count = 0;
    const struct netem_peer *list = p ? NULL : net_name_peers(a->env, name, &count);
    int rc = 0;
    if (p)
        return p->ip && *p->ip ? add_pod(f, p, err) : error_set(err, -ENOENT, "externalTargets: pod %s has no address now", name);
    if (!list)
        return error_set(err, -ENOENT, "externalTargets: %s is no pod's name now, and could not be looked up before the run", name);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = add(f, list[i], err);
    return rc;
}

int net_peers(struct fault_act *a, const struct net_fault *n, struct netem_peer **ret, size_t *ret_count, struct error *err) {
    struct far_ends f = {0};
    int rc = n->peers ? add_pods(a, n->peers, &f, err) : 0;
    for (size_t i = 0; i < n->names.count && rc == 0; i++)
        rc = add_name(a, n->names.items[i], &f, err);
    for (size_t i = 0; i < n->fixed_count && rc == 0; i++)
        rc = add(&f, n->fixed[i], err);
    if (rc < 0) {
        free(f.list);
        return rc;
    }
    *ret = f.list;
    *ret_count = f.count;
    return 0;
}
