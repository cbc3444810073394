/* SPDX-License-Identifier: Apache-2.0 */
/* Far ends that change while a fault is held. Names are looked up again: an address that is new is added, one that is known stays, since a
 * server of many addresses names a few of them at a time; a look-up that fails changes nothing. Or another list comes in their place. */
#include "fault/net.h"

#include "base/cleanup.h"
#include "io/resolve.h"

#include <errno.h>

#define RENEW_NS (30 * NS_PER_S)
#define AGAIN_NS NS_PER_S /* after a change that failed */

struct net_renew {
    struct net_renew_site site;
    struct timer *timer;
    struct resolve *resolve;
    size_t next;             /* of the names */
    size_t added;            /* peers since the fault was last changed */
    struct netem_ns *ns;     /* while it is changed */
    struct netem_fault fault;
    struct netem_job *job;
    struct netem_peer *later; /* to go over to once the job is done; heap */
    size_t later_count;
    bool has_later;
};

static int64_t period_ns(void) {
    const char *ms = getenv("CHAOSD_RENEW_MS"); /* tests have no half minute */
    return ms && atoi(ms) > 0 ? atoi(ms) * NS_PER_MS : RENEW_NS;
}

static void ask_next(struct net_renew *r);

static void end_change(struct net_renew *r) {
    netem_cancel(take_ptr(r->job));
    netem_ns_close(take_ptr(r->ns));
    r->next = 0;
    if (r->has_later)
        timer_after(r->timer, 0);
    else if (r->added)
        timer_after(r->timer, AGAIN_NS);
    else if (r->site.rows->names.count)
        timer_after(r->timer, period_ns());
}

/* In steps, as at the first time; the kernel goes over from the old peers to the new in one stroke. */
static void step(struct net_renew *r) {
    struct netem_effect effect;
    r->fault.for_ns = r->site.effect->until_ns - netem_now(); /* it counts from switching on, and the deadline stays where it was */
    int rc = r->fault.for_ns > 0 ? netem_step(r->job, &effect, NULL) : -ENOENT;
    if (rc == 1) {
        timer_after(r->timer, 0);
        return;
    }
    if (rc == 0)
        r->added = 0;
    end_change(r);
}

static void change(struct net_renew *r) {
    const struct net_renew_site *s = &r->site;
    r->fault = *s->fault;
    r->fault.for_ns = s->effect->until_ns - netem_now();
    if (!r->added || r->fault.for_ns <= 0 || netem_ns_open_fd(s->env->netem, s->netns_fd, &r->ns, NULL) < 0 || netem_begin(r->ns, &r->fault, &r->job, NULL) < 0)
        end_change(r);
    else
        step(r);
}

static void on_found(const struct addrinfo *found, const char *why, void *arg) {
    struct net_renew *r = arg;
    (void)why;
    int added = found ? net_name_learn(r->site.env, r->site.rows->names.items[r->next], found, r->site.peers, &r->site.fault->peer_count) : 0;
    r->site.fault->peers = *r->site.peers;
    r->added += added > 0 ? (size_t)added : 0;
    r->next++;
    resolve_free(take_ptr(r->resolve));
    ask_next(r);
}

/* One after the other: a name that a pod has needs none. */
static void ask_next(struct net_renew *r) {
    const struct strings *names = &r->site.rows->names;
    while (r->next < names->count && (!net_name_known(r->site.env, names->items[r->next]) ||
                                      resolve_start(r->site.env->loop, names->items[r->next], on_found, r, &r->resolve, NULL) < 0))
        r->next++;
    if (r->next >= names->count)
        change(r);
}

static void go_over(struct net_renew *r) {
    free(*r->site.peers);
    r->site.fault->peers = *r->site.peers = take_ptr(r->later);
    r->site.fault->peer_count = r->later_count;
    r->has_later = false;
    r->added++;
    change(r);
}

static void on_time(void *arg) {
    struct net_renew *r = arg;
    if (r->job)
        step(r);
    else if (r->has_later)
        go_over(r);
    else
        ask_next(r);
}

static int make(const struct net_renew_site *site, struct net_renew **ret, struct error *err) {
    struct net_renew *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, -ENOMEM, "out of memory");
    r->site = *site;
    int rc = timer_new(site->env->loop, on_time, r, &r->timer, err);
    if (rc < 0)
        free(r);
    else
        *ret = r;
    return rc;
}

int net_renew_peers(const struct net_renew_site *site, struct net_renew **at, struct netem_peer *peers, size_t count, struct error *err) {
    int rc = *at ? 0 : make(site, at, err);
    if (rc < 0) {
        free(peers);
        return rc;
    }
    struct net_renew *r = *at;
    free(r->later);
    r->later = peers;
    r->later_count = count;
    r->has_later = true;
    if (!r->job && !r->resolve)
        timer_after(r->timer, 0);
    return 0;
}

int net_renew_start(const struct net_renew_site *site, struct net_renew **ret, struct error *err) {
    struct net_renew *r = NULL;
    bool any = false;
    for (size_t i = 0; i < site->rows->names.count; i++)
        any |= net_name_known(site->env, site->rows->names.items[i]);
    if (!any)
        return 0;
    int rc = make(site, &r, err);
    if (rc < 0)
        return rc;
    timer_after(r->timer, period_ns());
    *ret = r;
    return 0;
}

void net_renew_stop(struct net_renew *r) {
    if (!r)
        return;
    resolve_free(r->resolve);
    timer_free(r->timer);
    netem_cancel(r->job);
    netem_ns_close(r->ns);
    free(r->later);
    free(r);
}
