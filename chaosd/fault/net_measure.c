/* SPDX-License-Identifier: Apache-2.0 */
/* What a network fault really does to a round trip: echo requests to its far ends while it lasts, and as many after it, as the baseline.
 * The baseline comes after, so that the act waits for nothing. */
#include "fault/net.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "io/ping.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define EVERY_NS (20 * NS_PER_MS)
#define MARGIN_NS NS_PER_MS /* the last requests are sent a little before the end, so that it hits them all */
#define WAIT_NS NS_PER_S /* beyond what the fault explains */
enum { ROUNDS_MOST = 3000 }; /* a longer fault is asked less often, so that its baseline takes a minute at most */

struct net_measure {
    struct fault_act *act;
    struct ping_host hosts[PING_HOSTS];
    size_t count;
    int netns_fd;
    struct ping *during, *after;
    bool during_over, after_over;
    struct error why; /* it could not be measured; empty: it could */
};

static bool fits(uint8_t protocol, const uint8_t address[16]) {
    bool v4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address);
    return protocol == 0 || (protocol == IPPROTO_ICMP && v4) || (protocol == IPPROTO_ICMPV6 && !v4);
}

static bool is_host(const struct net_fault *n, const struct netem_peer *p) {
    return p->bits == 128 && !p->except && fits(n->named.protocol, p->address);
}

int net_measure_check(const struct net_fault *n, const struct schema_at *at, struct error *err) {
    uint8_t protocol = n->named.protocol;
    bool host = n->peers || n->names.count;
    if (!n->measure)
        return 0;
    if (protocol && protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6)
        return schema_bad(at, "measure", err, "measure sends echo requests (ICMP), which protocol %s leaves out: measure without a protocol", net_protocols[n->protocol]);
    if (n->ports.count || n->peer_ports.count)
        return schema_bad(at, "measure", err, "measure sends echo requests (ICMP), which have no ports: measure without ports and targetPorts");
    for (size_t i = 0; i < n->fixed_count; i++)
        host |= is_host(n, &n->fixed[i]);
    return host ? 0 : schema_bad(at, "measure", err, "measure needs a far end to ask that is a single host: a target, or an address or a name in externalTargets");
}

/* Both are over. */
static void complete(struct net_measure *m) {
    if (m->during_over && m->after_over)
        m->act->measured(m->act); /* frees it */
}

static void on_during(void *arg) {
    struct net_measure *m = arg;
    m->during_over = true;
    complete(m);
}

static void on_after(void *arg) {
    struct net_measure *m = arg;
    m->after_over = true;
    complete(m);
}

static int64_t wait_of(const struct net_fault *n) { return WAIT_NS + 2 * (n->params.delay_ns + 4 * n->params.jitter_ns); }

void net_measure_begin(struct fault_act *a, const struct net_fault *n, int netns_fd, const struct netem_fault *f, int64_t until_ns, struct net_measure **ret) {
    struct net_measure *m = n->measure ? calloc(1, sizeof *m) : NULL;
    if (!m)
        return;
    m->act = a;
    m->netns_fd = netns_fd;
    for (size_t i = 0; i < f->peer_count && m->count < PING_HOSTS; i++)
        if (is_host(n, &f->peers[i]))
            memcpy(m->hosts[m->count++].address, f->peers[i].address, sizeof f->peers[i].address);
    int64_t every = a->for_ns / ROUNDS_MOST > EVERY_NS ? a->for_ns / ROUNDS_MOST : EVERY_NS;
    struct ping_request q = {.hosts = m->hosts, .count = m->count, .netns_fd = netns_fd, .rounds = ROUNDS_MOST + 1, .interval_ns = every,
                             .until_ns = loop_now() + until_ns - netem_now() - MARGIN_NS, .wait_ns = wait_of(n), .done = on_during, .arg = m};
    if (!m->count)
        error_set(&m->why, -ENOENT, "no far end of it is a single host now");
    else
        ping_start(a->env->loop, &q, &m->during, &m->why);
    *ret = m;
}

void net_measure_over(struct net_measure *m) {
    if (m)
        ping_stop(m->during);
}

bool net_measure_calm(struct net_measure *m) {
    struct ping_figures f;
    if (!m || !m->during)
        return false;
    ping_read(m->during, &f);
    struct ping_request q = {.hosts = m->hosts, .count = m->count, .netns_fd = m->netns_fd, .rounds = f.rounds, .interval_ns = EVERY_NS,
                             .wait_ns = WAIT_NS, .done = on_after, .arg = m};
    return f.rounds && ping_start(m->act->env->loop, &q, &m->after, &m->why) == 0;
}

static void put(json_t *j, const char *key, int64_t v) { json_object_set_new(j, key, json_integer((json_int_t)v)); }

json_t *net_measure_result(const struct net_measure *m) {
    json_t *j = json_object();
    struct ping_figures f = {.rtt_ns = INT64_MIN}, after = f;
    if (m->during)
        ping_read(m->during, &f);
    if (m->after)
        ping_read(m->after, &after);
    put(j, "hosts", (int64_t)m->count);
    put(j, "sent", f.sent);
    put(j, "lost", f.lost);
    put(j, "sent_after", after.sent);
    put(j, "lost_after", after.lost);
    if (f.rtt_ns != INT64_MIN)
        put(j, "rtt_ns", f.rtt_ns);
    if (after.rtt_ns != INT64_MIN)
        put(j, "rtt_after_ns", after.rtt_ns);
    const char *why = *m->why.text ? m->why.text : !f.sent && f.trouble ? strerror(f.trouble) : NULL;
    if (why)
        json_object_set_new(j, "why", json_string(why));
    return j;
}

void net_measure_free(struct net_measure *m) {
    if (!m)
        return;
    ping_free(m->during);
    ping_free(m->after);
    free(m);
}
