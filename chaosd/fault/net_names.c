/* SPDX-License-Identifier: Apache-2.0 */
/* Names of far ends: looked up before the run, and again while a fault is held. An address that is new is added, one that is known stays,
 * since a server of many addresses names a few of them at a time; a look-up that fails changes nothing. */
#include "fault/net.h"

#include "base/cleanup.h"
#include "io/resolve.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define PERIOD_NS (30 * NS_PER_S)

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

static const struct net_name *known(const struct fault_env *env, const char *name) {
    for (const struct net_name *n = env->names; n; n = n->next)
        if (strcmp(n->name, name) == 0)
            return n;
    return NULL;
}

const struct netem_peer *net_name_peers(const struct fault_env *env, const char *name, size_t *ret_count) {
    const struct net_name *n = known(env, name);
    *ret_count = n ? n->count : 0;
    return n ? n->list : NULL;
}

static bool has(const struct netem_peer *list, size_t count, const struct netem_peer *p) {
    for (size_t i = 0; i < count; i++)
        if (list[i].bits == p->bits && list[i].except == p->except && memcmp(list[i].address, p->address, sizeof p->address) == 0)
            return true;
    return false;
}

/* Grows the list by what it lacks. */
static int learn(struct netem_peer **list, size_t *count, const struct netem_peer *more, size_t more_count, struct error *err) {
    for (size_t i = 0; i < more_count; i++) {
        if (has(*list, *count, &more[i]))
            continue;
        struct netem_peer *grown = realloc(*list, (*count + 1) * sizeof **list);
        if (!grown)
            return error_set(err, -ENOMEM, "out of memory");
        *list = grown;
        grown[(*count)++] = more[i];
    }
    return 0;
}

static bool peer_of(const struct addrinfo *a, struct netem_peer *ret) {
    *ret = (struct netem_peer){.bits = 128};
    if (a->ai_family == AF_INET6) {
        memcpy(ret->address, &((const struct sockaddr_in6 *)a->ai_addr)->sin6_addr, sizeof ret->address);
    } else if (a->ai_family == AF_INET) {
        ret->address[10] = ret->address[11] = 0xff;
        memcpy(ret->address + 12, &((const struct sockaddr_in *)a->ai_addr)->sin_addr, 4);
    }
    return a->ai_family == AF_INET6 || a->ai_family == AF_INET;
}

static int take_answer(struct net_name *n, const struct addrinfo *found, struct error *err) {
    struct netem_peer p;
    int rc = 0;
    for (; found && rc == 0; found = found->ai_next)
        if (peer_of(found, &p))
            rc = learn(&n->list, &n->count, &p, 1, err);
    return rc;
}

size_t net_names_add(const struct fault_env *env, const struct strings *names, struct netem_peer **peers, size_t *peer_count) {
    const size_t before = *peer_count;
    for (size_t i = 0; i < names->count; i++) {
        const struct net_name *n = known(env, names->items[i]);
        if (n) /* what there is no memory for comes with a later look */
            learn(peers, peer_count, n->list, n->count, NULL);
    }
    return *peer_count - before;
}

/* --- before the run: a look-up may take seconds, and an act may not --- */

static int look_up(struct fault_env *env, const char *name, struct error *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int e = getaddrinfo(name, NULL, &hints, &found);
    if (e)
        return error_set(err, -ENOENT, "%s: %s", name, e == EAI_SYSTEM ? strerror(errno) : gai_strerror(e));
    struct net_name *n = calloc(1, sizeof *n);
    int rc = !n || !(n->name = strdup(name)) ? error_set(err, -ENOMEM, "out of memory") : take_answer(n, found, err);
    freeaddrinfo(found);
    if (rc < 0) {
        if (n)
            name_free(n);
        return rc;
    }
    n->next = env->names;
    env->names = n;
    return 0;
}

int net_look_up(struct fault_env *env, const struct net_fault *n, struct error *err) {
    int rc = 0;
    for (size_t i = 0; i < n->names.count && rc == 0; i++)
        if (!net_pod_named(env, n->names.items[i]) && !known(env, n->names.items[i]))
            rc = look_up(env, n->names.items[i], err);
    return rc;
}

/* --- again --- */

struct net_again {
    struct fault_env *env;
    const struct strings *names;
    void (*looked)(void *arg);
    void *arg;
    struct timer *timer;
    struct resolve *resolve;
    struct net_name *at; /* looked up now */
};

static int64_t period_ns(void) {
    const char *ms = getenv("CHAOSD_RENEW_MS"); /* tests have no half minute */
    return ms && atoi(ms) > 0 ? atoi(ms) * NS_PER_MS : PERIOD_NS;
}

static bool wanted(const struct net_again *g, const struct net_name *n) {
    for (size_t i = 0; g->names && i < g->names->count; i++)
        if (strcmp(g->names->items[i], n->name) == 0)
            return true;
    return !g->names;
}

static void ask(struct net_again *g);

static void on_found(const struct addrinfo *found, const char *why, void *arg) {
    struct net_again *g = arg;
    (void)why;
    take_answer(g->at, found, NULL);
    resolve_free(take_ptr(g->resolve));
    g->at = g->at->next;
    ask(g);
}

/* One after the other, from g->at on. */
static void ask(struct net_again *g) {
    for (; g->at; g->at = g->at->next)
        if (wanted(g, g->at) && resolve_start(g->env->loop, g->at->name, on_found, g, &g->resolve, NULL) == 0)
            return;
    timer_after(g->timer, period_ns());
    g->looked(g->arg);
}

static void on_period(void *arg) {
    struct net_again *g = arg;
    g->at = g->env->names;
    ask(g);
}

int net_again_start(struct fault_env *env, const struct strings *names, void (*looked)(void *arg), void *arg, struct net_again **ret, struct error *err) {
    struct net_again *g = calloc(1, sizeof *g);
    if (!g)
        return error_set(err, -ENOMEM, "out of memory");
    *g = (struct net_again){.env = env, .names = names, .looked = looked, .arg = arg};
    int rc = timer_new(env->loop, on_period, g, &g->timer, err);
    if (rc < 0) {
        free(g);
        return rc;
    }
    timer_after(g->timer, period_ns());
    *ret = g;
    return 0;
}

void net_again_stop(struct net_again *g) {
    if (!g)
        return;
    resolve_free(g->resolve);
    timer_free(g->timer);
    free(g);
}
