/* SPDX-License-Identifier: Apache-2.0 */
/* Far ends that change while a fault is held: its names have new addresses, or another list comes in their place. */
#include "fault/net.h"

#include "base/cleanup.h"

#include <errno.h>

#define AGAIN_NS NS_PER_S /* after a change that failed */

struct net_renew {
    struct net_renew_site site;
    struct timer *timer;
    struct net_again *names; /* NULL: there are none to look up */
    size_t added;            /* peers since the fault was last changed */
    struct netem_ns *ns;     /* while it is changed */
    struct netem_fault fault;
    struct netem_job *job;
    struct netem_peer *later; /* to go over to once the job is done; heap */
    size_t later_count;
    bool has_later, looked; /* looked: names may have addresses that the peers lack. The peers stay as they are while a job goes by them */
};

static void end_change(struct net_renew *r) {
    netem_cancel(take_ptr(r->job));
    netem_ns_close(take_ptr(r->ns));
    if (r->has_later || r->looked)
        timer_after(r->timer, 0);
    else if (r->added)
        timer_after(r->timer, AGAIN_NS);
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

static void add_names(struct net_renew *r) {
    r->looked = false;
    r->added += net_names_add(r->site.env, &r->site.rows->names, r->site.peers, &r->site.fault->peer_count);
    r->site.fault->peers = *r->site.peers;
}

static void on_looked(void *arg) {
    struct net_renew *r = arg;
    r->looked = true;
    if (!r->job)
        timer_after(r->timer, 0);
}

static void go_over(struct net_renew *r) {
    free(*r->site.peers);
    r->site.fault->peers = *r->site.peers = take_ptr(r->later);
    r->site.fault->peer_count = r->later_count;
    r->has_later = false;
    r->added++;
}

static void on_time(void *arg) {
    struct net_renew *r = arg;
    if (r->job) {
        step(r);
        return;
    }
    if (r->has_later)
        go_over(r);
    if (r->looked)
        add_names(r);
    change(r);
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
    if (!r->job)
        timer_after(r->timer, 0);
    return 0;
}

int net_renew_start(const struct net_renew_site *site, struct net_renew **ret, struct error *err) {
    struct net_renew *r = NULL;
    bool any = false;
    size_t count;
    for (size_t i = 0; i < site->rows->names.count; i++)
        any |= net_name_peers(site->env, site->rows->names.items[i], &count) != NULL;
    if (!any)
        return 0;
    int rc = make(site, &r, err);
    if (rc < 0)
        return rc;
    if ((rc = net_again_start(site->env, &site->rows->names, on_looked, r, &r->names, err)) < 0)
        net_renew_stop(r);
    else
        *ret = r;
    return rc;
}

void net_renew_stop(struct net_renew *r) {
    if (!r)
        return;
    net_again_stop(r->names);
    timer_free(r->timer);
    netem_cancel(r->job);
    netem_ns_close(r->ns);
    free(r->later);
    free(r);
}
