/* SPDX-License-Identifier: Apache-2.0 */
/* The far ends of one act: addresses as written, pods of a selector, names. */
#include "fault/net.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

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

static int add_pods(struct fault_act *a, const struct pod_target *t, struct far_ends *f, struct error *err) {
    const struct pod *pods[MOST_PODS];
    size_t n = a->select(a, t, pods, MOST_PODS);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        if (pods[i]->ip && *pods[i]->ip)
            rc = add_text(f, pods[i]->ip, err);
    if (rc == 0 && f->count == 0)
        return error_set(err, -ENOENT, "target: no other pod matches its selector now");
    return rc;
}

/* --- names --- */

struct net_name {
    struct net_name *next;
    char *name;
    struct netem_peer *list;
    size_t count;
};

static void name_free(struct net_name *n) {
    free(n->name);
    free(n->list);
    free(n);
}

void net_names_free(struct net_name *names) {
    for (struct net_name *next; names; names = next) {
        next = names->next;
        name_free(names);
    }
}

static struct net_name *known(const struct fault_env *env, const char *name) {
    for (struct net_name *n = env->names; n; n = n->next)
        if (strcmp(n->name, name) == 0)
            return n;
    return NULL;
}

/* Into f, each once. */
static int take_answer(const struct addrinfo *found, struct far_ends *f, struct error *err) {
    int rc = 0;
    for (; found && rc == 0; found = found->ai_next) {
        char text[INET6_ADDRSTRLEN];
        const void *address = found->ai_family == AF_INET ? (const void *)&((const struct sockaddr_in *)found->ai_addr)->sin_addr
                                                          : (const void *)&((const struct sockaddr_in6 *)found->ai_addr)->sin6_addr;
        if ((found->ai_family == AF_INET || found->ai_family == AF_INET6) && inet_ntop(found->ai_family, address, text, sizeof text))
            rc = add_text(f, text, err);
    }
    return rc;
}

bool net_name_known(const struct fault_env *env, const char *name) { return known(env, name) != NULL; }

int net_name_learn(struct fault_env *env, const char *name, const struct addrinfo *found, struct netem_peer **peers, size_t *peer_count) {
    struct net_name *n = known(env, name);
    struct far_ends mine = {n ? n->list : NULL, n ? n->count : 0, n ? n->count : 0}, all = {*peers, *peer_count, *peer_count};
    if (!n)
        return 0;
    take_answer(found, &mine, NULL); /* what there was no memory for comes with a later answer */
    take_answer(found, &all, NULL);
    const size_t before = *peer_count;
    n->list = mine.list;
    n->count = mine.count;
    *peers = all.list;
    *peer_count = all.count;
    return (int)(all.count - before);
}

static int look_up(struct fault_env *env, const char *name, struct error *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int e = getaddrinfo(name, NULL, &hints, &found);
    if (e)
        return error_set(err, -ENOENT, "%s: %s", name, e == EAI_SYSTEM ? strerror(errno) : gai_strerror(e));
    struct net_name *n = calloc(1, sizeof *n);
    struct far_ends f = {0};
    int rc = !n || !(n->name = strdup(name)) ? error_set(err, -ENOMEM, "out of memory") : take_answer(found, &f, err);
    freeaddrinfo(found);
    if (n) {
        n->list = f.list;
        n->count = f.count;
    }
    if (rc < 0 && n)
        name_free(n);
    if (rc < 0)
        return rc;
    n->next = env->names;
    env->names = n;
    return 0;
}

static const struct pod *pod_named(const struct fault_env *env, const char *name) {
    const struct pod *pods[MOST_PODS];
    size_t n = env->cluster ? env->cluster->kind->pods(env->cluster, pods, MOST_PODS) : 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(pods[i]->name, name) == 0)
            return pods[i];
    return NULL;
}

/* Before the run: a look-up may take seconds, and an act may not. */
int net_look_up(struct fault_env *env, const struct net_fault *n, struct error *err) {
    int rc = 0;
    for (size_t i = 0; i < n->names.count && rc == 0; i++)
        if (!pod_named(env, n->names.items[i]) && !known(env, n->names.items[i]))
            rc = look_up(env, n->names.items[i], err);
    return rc;
}

/* A pod's name is its address of the moment; any other was looked up. */
static int add_name(struct fault_act *a, const char *name, struct far_ends *f, struct error *err) {
    const struct pod *p = pod_named(a->env, name);
    const struct net_name *n = p ? NULL : known(a->env, name);
    int rc = 0;
    if (p)
        return p->ip && *p->ip ? add_text(f, p->ip, err) : error_set(err, -ENOENT, "externalTargets: pod %s has no address now", name);
    if (!n)
        return error_set(err, -ENOENT, "externalTargets: %s was never looked up", name);
    for (size_t i = 0; i < n->count && rc == 0; i++)
        rc = add(f, n->list[i], err);
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
