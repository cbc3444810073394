/* SPDX-License-Identifier: Apache-2.0 */
/* Holding an ad hoc fault: until its deadline or a signal, with an eye on what it does. */
#include "inject.h"

#include "base/cleanup.h"
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>

#define LOOK_FIRST_NS NS_PER_MS
#define LOOK_MOST_NS (100 * NS_PER_MS)
#define PROOF_NS (5 * NS_PER_S)
#define DRAIN_LOOK_NS NS_PER_MS

struct hold {
    struct inject *inject;
    struct loop *loop;
    struct timer *timer;
    struct watch *watch;
    struct net_renew *renew;
    bool until_proven;
    int signal_fd, netns_fd, outcome;
    int64_t pause_ns, proof_until_ns;
    struct netem_state *last;
    struct error *err;
};

static void stop(struct hold *h, int outcome) {
    h->outcome = outcome;
    loop_stop(h->loop);
}

static void since_asked(const struct inject *j, struct netem_state *s) {
    struct netem_counts *of[] = {&s->out, &s->in};
    uint64_t packets = j->before.packets, bytes = j->before.bytes;
    s->queue_dropped -= j->dropped_before < s->queue_dropped ? j->dropped_before : s->queue_dropped;
    for (int i = 0; i < 2; i++) {
        uint64_t p = packets < of[i]->packets ? packets : of[i]->packets, b = bytes < of[i]->bytes ? bytes : of[i]->bytes;
        of[i]->packets -= p;
        of[i]->bytes -= b;
        packets -= p;
        bytes -= b;
    }
}

static void look(void *arg) {
    struct hold *h = arg;
    struct netem_state s;
    int rc = inject_read(h->inject, &s, h->err);
    if (rc < 0) {
        stop(h, error_wrap(h->err, rc, "%s is gone before its end", h->inject->what));
        return;
    }
    since_asked(h->inject, &s);
    *h->last = s;
    if (*s.broken && s.left_ns > 0) {
        stop(h, error_set(h->err, -EIO, "%s is not whole any more: %s", h->inject->what, s.broken));
        return;
    }
    bool met = s.out.packets + s.in.packets > 0;
    if (h->until_proven && (met || loop_now() >= h->proof_until_ns)) {
        stop(h, INJECT_OVER);
        return;
    }
    int64_t left = h->inject->effect.until_ns - netem_now();
    if (left <= 0) {
        stop(h, INJECT_OVER);
        return;
    }
    h->pause_ns = 2 * h->pause_ns < LOOK_MOST_NS ? 2 * h->pause_ns : LOOK_MOST_NS;
    timer_after(h->timer, left < h->pause_ns ? left : h->pause_ns);
}

static void on_signal(int events, void *arg) {
    (void)events;
    stop(arg, INJECT_INTERRUPTED);
}

static int catch_signals(struct hold *h, sigset_t *ret_before, struct error *err) {
    h->signal_fd = signals_catch(ret_before, err);
    return h->signal_fd < 0 ? h->signal_fd : watch_new(h->loop, h->signal_fd, WATCH_READ, on_signal, h, &h->watch, err);
}

/* The names again, for as long as somebody is there to do it. */
static int renew(struct hold *h, struct error *err) {
    struct inject *j = h->inject;
    j->env.loop = h->loop;
    const struct net_renew_site site = {&j->env, j->rows, h->netns_fd, &j->fault, &j->peers, &j->effect};
    return net_renew_start(&site, &h->renew, err);
}

int inject_hold(struct inject *j, bool until_proven, struct netem_state *last, struct error *err) {
    struct hold h = {.inject = j, .until_proven = until_proven, .signal_fd = -1, .netns_fd = -1, .last = last, .err = err, .pause_ns = LOOK_FIRST_NS, .proof_until_ns = loop_now() + PROOF_NS};
    if (!until_proven && j->rows->names.count) /* it keeps the namespace: only where there is a need */
        h.netns_fd = open(j->ns.path, O_RDONLY | O_CLOEXEC);
    sigset_t before;
    sigprocmask(SIG_BLOCK, NULL, &before);
    int rc = loop_new(&h.loop, err);
    if (rc == 0 && h.netns_fd >= 0)
        rc = renew(&h, err);
    if (rc == 0 && (rc = catch_signals(&h, &before, err)) == 0 && (rc = timer_new(h.loop, look, &h, &h.timer, err)) == 0) {
        timer_after(h.timer, 0);
        loop_run(h.loop);
        rc = h.outcome;
    }
    net_renew_stop(h.renew);
    timer_free(h.timer);
    watch_free(h.watch);
    closep(&h.netns_fd);
    signals_let_go(h.signal_fd, &before); /* a second one, while it drains, ends us: the reaper is there */
    loop_free(h.loop);
    return rc;
}
