/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying out a network fault on a pod, whatever its kind: in, proof, watched, out. The kernel ends it by itself; what is done here then
 * is to see it over, let the queue drain, and say what it did. */
#include "fault/net.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PROOF_FIRST_NS NS_PER_MS
#define PROOF_MOST_NS (50 * NS_PER_MS)
#define WATCH_NS (500 * NS_PER_MS) /* once seen: is it still whole? */
#define DRAIN_LOOK_NS (5 * NS_PER_MS)
#define DRAIN_MORE_NS (2 * NS_PER_S) /* beyond what delay and rate explain */
#define DRAIN_RATE_NS (30 * NS_PER_S) /* a slow link's backlog may take for ever: so long at most, then it is dropped, and said */
#define DRAIN_PACKET 1600             /* bytes of a packet that waits, as far as one may guess */
enum { UNREAD_MOST = 4 };

struct net_act {
    struct fault_act *act;
    const struct net_fault *rows;
    struct netem_fault fault;
    struct netem_params params;
    struct netem_peer *peers;
    char dev[NETEM_DEV_SIZE];
    int netns_fd;         /* the provider's */
    struct netem_ns *ns;  /* while peers are written */
    struct netem_job *job;
    struct timer *timer, *drain; /* drain: there from the start, so that ending it wants for nothing */
    struct net_measure *measure; /* NULL: none was asked for */
    struct net_renew *renew;     /* its names, while it is held */
    int64_t pause_ns, drain_until, ended_ns, cut; /* cut: packets that were still queued when that was enough */
    struct netem_effect effect;
    bool observed, troubled, to_end; /* to_end: the kernel was not told yet that it is over */
    int unread; /* looks in a row that were not answered */
    struct netem_state last; /* as last read; its id is 0 where it never was */
};

const struct pod_target *net_target(const void *params) { return &((const struct net_fault *)params)->target; }

/* The share of packets that come to nothing, in the long run: of a model the stationary one, of two causes either. */
static double lost_share(const struct net_fault *n) {
    const double of = NETEM_PPM;
    double lost = (double)n->params.loss_ppm / of;
    const struct net_gilbert *g = n->loss ? n->loss->gilbert : NULL;
    const struct net_states *s = n->loss ? n->loss->states : NULL;
    if (g) { /* (1-k) r/(p+r) + (1-h) p/(p+r) */
        double p = (double)g->p_ppm / of, r = (double)g->r_ppm / of;
        lost = ((1 - (double)g->k_ppm / of) * r + (1 - (double)g->h_ppm / of) * p) / (p + r);
    } else if (s) { /* weights of the four states: 1, p13/p31 in a burst, of it p32/p23 received, p14 alone */
        double burst = s->p13_ppm ? (double)s->p13_ppm / (s->p31_ppm ? (double)s->p31_ppm : 1e-9) : 0, lone = (double)s->p14_ppm / of;
        double within = s->p32_ppm ? burst * (double)s->p32_ppm / (s->p23_ppm ? (double)s->p23_ppm : 1e-9) : 0;
        lost = (burst + lone) / (1 + within + burst + lone);
    }
    return 1 - (1 - lost) * (1 - (double)n->params.corrupt_ppm / of);
}

/* Who is cut off, or loses most of what it sends, serves nobody. */
bool net_takes(const void *params) {
    const struct net_fault *n = params;
    return !n->shapes || lost_share(n) >= 0.5;
}

static void end_ns(struct net_act *n) {
    netem_cancel(take_ptr(n->job));
    netem_ns_close(take_ptr(n->ns));
}

void net_release(struct fault_act *a) {
    struct net_act *n = take_ptr(a->own);
    if (!n)
        return;
    net_renew_stop(n->renew);
    timer_free(n->timer);
    timer_free(n->drain);
    net_measure_free(n->measure);
    end_ns(n);
    free(n->peers);
    free(n);
}

static int open_ns(struct net_act *n, struct netem_ns **ret, char *why) { return netem_ns_open_fd(n->act->env->netem, n->netns_fd, ret, why); }

static const struct netem_params *asked(const struct net_act *n) { return n->fault.act == NETEM_SHAPE ? &n->params : NULL; }

/* --- proof: the classifier counted, and the queue reads back as asked --- */

/* What was never read is left out. */
static json_t *figures(const struct netem_state *s) {
    json_t *j = json_object();
    if (s->id && s->known) {
        json_object_set_new(j, "packets", json_integer((json_int_t)(s->out.packets + s->in.packets)));
        json_object_set_new(j, "bytes", json_integer((json_int_t)(s->out.bytes + s->in.bytes)));
    }
    if (s->has_queue && s->act == NETEM_SHAPE) {
        json_object_set_new(j, "queue_sent", json_integer((json_int_t)s->queue_sent));
        json_object_set_new(j, "queue_dropped", json_integer((json_int_t)s->queue_dropped));
    }
    return j;
}

static int read_state(struct net_act *n, char *why) {
    struct netem_ns *ns = NULL;
    struct netem_state s;
    int rc = open_ns(n, &ns, why);
    if (rc == 0)
        rc = netem_read(ns, n->dev, n->fault.id, asked(n), &s, why);
    netem_ns_close(ns);
    if (rc == 0)
        n->last = s;
    return rc;
}

static bool took_packets(const struct net_act *n) { return n->last.id && n->last.known && n->last.out.packets + n->last.in.packets > 0; }

static void saw(struct net_act *n) {
    n->observed = true;
    json_t *proof = figures(&n->last);
    json_object_set_new(proof, "proof", json_string(asked(n) ? "packets were taken and the queue reads back as asked" : "packets were dropped"));
    n->act->observed(n->act, proof);
}

/* A query that failed says nothing (a dump may be interrupted again and again); that nothing is there any more does. */
static const char *what_is_wrong(struct net_act *n, int rc, const char *why) {
    bool gone = rc == -ENOENT || rc == -ENODEV;
    n->unread = rc < 0 && !gone ? n->unread + 1 : 0;
    if (gone || n->unread >= UNREAD_MOST)
        return why;
    return rc == 0 && *n->last.broken ? n->last.broken : NULL;
}

static void look(void *arg) {
    struct net_act *n = arg;
    struct fault_act *a = n->act;
    char why[NETEM_ERROR_SIZE];
    int rc = read_state(n, why);
    const char *wrong = what_is_wrong(n, rc, why);
    n->pause_ns = n->pause_ns * 2 < PROOF_MOST_NS ? n->pause_ns * 2 : PROOF_MOST_NS;
    timer_after(n->timer, n->observed || wrong ? WATCH_NS : n->pause_ns);
    if (wrong || (rc == 0 && n->troubled)) {
        n->troubled = wrong != NULL;
        a->trouble(a, wrong);
    } else if (rc == 0 && !wrong && !n->observed && took_packets(n)) {
        saw(n);
    }
}

/* --- in --- */

/* A share and nothing else: the classifier can do that too. */
static bool plain_loss(const struct net_fault *n) {
    const struct net_loss *l = n->loss;
    return l && l->loss_ppm && !l->correlation_ppm && !l->ecn && !n->delay && !n->duplicate && !n->corrupt && !n->reorder && !n->rate && !n->slot && !n->seed;
}

static bool kernel_has_netem(void);
static void on_drain(void *arg);

void net_to_netem(const struct net_fault *n, bool alone, struct netem_fault *ret) {
    *ret = n->named;
    ret->act = !n->shapes || (alone && plain_loss(n)) ? NETEM_DROP : NETEM_SHAPE;
    ret->drop_ppm = n->shapes ? n->params.loss_ppm : NETEM_PPM;
    ret->params = &n->params;
}

static int fill(struct net_act *n, const struct pod *victim, struct error *err) {
    struct fault_act *a = n->act;
    struct pod_network net;
    int rc = a->env->cluster->kind->network(a->env->cluster, victim->uid, &net, err);
    n->params = n->rows->params;
    net_to_netem(n->rows, plain_loss(n->rows) && !kernel_has_netem(), &n->fault);
    if (rc < 0 || (rc = net_peers(a, n->rows, &n->peers, &n->fault.peer_count, err)) < 0)
        return rc;
    n->netns_fd = net.netns_fd;
    snprintf(n->dev, sizeof n->dev, "%s", n->rows->device ? n->rows->device : net.dev);
    n->fault.id = a->id;
    n->fault.run = a->env->run;
    n->fault.dev = n->dev;
    n->fault.for_ns = a->for_ns;
    n->fault.peers = n->peers;
    return 0;
}

static void in(struct net_act *n) {
    json_t *told = json_pack("{s:s,s:s}", "device", n->dev, "by", n->fault.act == NETEM_SHAPE ? "netem" : "drop");
    if (n->peers)
        json_object_set_new(told, "peers", json_integer((json_int_t)n->fault.peer_count));
    if (n->fault.act == NETEM_DROP && n->fault.drop_ppm < NETEM_PPM)
        json_object_set_new(told, "share_ppm", json_integer(n->fault.drop_ppm));
    if (n->effect.before)
        json_object_set_new(told, "filters_before", json_integer(n->effect.before));
    n->act->told = told;
    end_ns(n);
    net_measure_begin(n->act, n->rows, n->netns_fd, &n->fault, n->effect.until_ns, &n->measure);
    n->pause_ns = PROOF_FIRST_NS;
}

/* 1: more to write. */
static int step(struct net_act *n, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    if (n->act->until_ns) /* the kernel counts from the switching on, which comes with the last step */
        n->fault.for_ns = n->act->until_ns - netem_now();
    if (n->fault.for_ns <= 0)
        return error_set(err, -ETIME, "its deadline passed while it was put in");
    int rc = netem_step(n->job, &n->effect, why);
    return rc < 0 ? error_set(err, rc, "%s", why) : rc;
}

static struct net_renew_site site_of(struct net_act *n) {
    return (struct net_renew_site){n->act->env, n->rows, n->netns_fd, &n->fault, &n->peers, &n->effect};
}

static void watch_it(struct net_act *n) {
    struct error ignored;
    const struct net_renew_site site = site_of(n);
    net_renew_start(&site, &n->renew, &ignored);
    if (n->timer || timer_new(n->act->env->loop, look, n, &n->timer, &ignored) == 0)
        timer_after(n->timer, PROOF_FIRST_NS);
}

/* Many peers are written in steps, so that the load goes on in between. */
static void on_step(void *arg) {
    struct net_act *n = arg;
    struct fault_act *a = n->act;
    struct error err;
    int rc = step(n, &err);
    if (rc == 1) {
        timer_after(n->timer, 0);
        return;
    }
    timer_free(take_ptr(n->timer));
    if (rc == 0) {
        in(n);
        watch_it(n);
    }
    a->in_effect(a, rc, &err);
}

int net_inject(struct fault_act *a, const struct pod *victim, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    struct net_act *n = calloc(1, sizeof *n);
    if (!n)
        return error_set(err, -ENOMEM, "out of memory");
    a->own = n;
    n->act = a;
    n->rows = a->spec->kind.params;
    int rc = fill(n, victim, err);
    if (rc < 0 || (rc = timer_new(a->env->loop, on_drain, n, &n->drain, err)) < 0)
        return rc;
    if ((rc = open_ns(n, &n->ns, why)) < 0 || (rc = netem_begin(n->ns, &n->fault, &n->job, why)) < 0)
        return error_set(err, rc, "%s", why);
    rc = step(n, err);
    if (rc == 1) {
        rc = timer_new(a->env->loop, on_step, n, &n->timer, err);
        if (rc == 0)
            timer_after(n->timer, 0);
        return rc < 0 ? rc : FAULT_LATER;
    }
    if (rc == 0) {
        in(n);
        watch_it(n);
    }
    return rc;
}

int net_change(struct fault_act *a, struct error *err) {
    struct net_act *n = a->own;
    const struct net_renew_site site = site_of(n);
    struct netem_peer *peers = NULL;
    size_t count = 0;
    int rc = net_peers(a, n->rows, &peers, &count, err);
    return rc < 0 ? rc : net_renew_peers(&site, &n->renew, peers, count, err);
}

/* --- out --- */

static void drained(struct net_act *n, const char *why) {
    struct fault_act *a = n->act;
    if (!n->observed && !n->troubled && !*n->last.broken && took_packets(n)) /* the first came after the last look */
        saw(n);
    json_t *j = figures(&n->last);
    json_object_set_new(j, "drain_ns", json_integer((json_int_t)(loop_now() - n->ended_ns)));
    if (n->cut)
        json_object_set_new(j, "cut", json_integer(n->cut));
    timer_free(take_ptr(n->timer));
    timer_free(take_ptr(n->drain));
    a->measuring = net_measure_calm(n->measure);
    a->reverted(a, why, j);
}

static int take_out(struct net_act *n, bool drain, char *why) {
    struct netem_ns *ns = NULL;
    int rc = open_ns(n, &ns, why);
    if (rc == 0) /* an empty ifb stays until the namespace goes or is swept: taking one away stops the loop for 20 ms. A full one goes, with what it holds */
        rc = netem_remove(ns, n->dev, n->fault.id, drain ? NETEM_DRAIN | NETEM_KEEP : 0, why);
    netem_ns_close(ns);
    return rc;
}

/* False: the query failed, which says nothing; it is asked again. */
static bool told_over(struct net_act *n, char *why) {
    struct netem_ns *ns = NULL;
    int rc = open_ns(n, &ns, why);
    if (rc == 0)
        rc = netem_end(ns, n->dev, n->fault.id, why);
    netem_ns_close(ns);
    return rc == 0 || rc == -ENOENT || rc == -ENODEV;
}

static void on_drain(void *arg) {
    struct net_act *n = arg;
    struct fault_act *a = n->act;
    char why[NETEM_ERROR_SIZE], unread[NETEM_ERROR_SIZE];
    bool late = loop_now() >= n->drain_until;
    if (n->to_end && (n->to_end = !told_over(n, why)) && !late) {
        timer_after(n->drain, DRAIN_LOOK_NS);
        return;
    }
    bool queued = read_state(n, unread) == 0 && n->last.has_queue && n->last.queued;
    n->cut = late && queued ? n->last.queued : 0;
    int rc = queued && !late ? 1 : take_out(n, !late, why); /* so that the last figures are of an empty queue */
    if (rc == 0)
        drained(n, NULL);
    else if (rc == -ENODEV || rc == -ENOENT)
        drained(n, "the interface is gone");
    else if (rc == 1 || !late)
        timer_after(n->drain, DRAIN_LOOK_NS);
    else
        a->revert_failed(a, why);
}

/* How long what is in the queue may take to leave it. */
static int64_t drain_most(struct net_act *n) {
    char why[NETEM_ERROR_SIZE];
    int64_t by_rate = 0;
    if (n->params.rate_bps && read_state(n, why) == 0 && n->last.has_queue)
        by_rate = (int64_t)((double)n->last.queued * DRAIN_PACKET * NS_PER_S / (double)n->params.rate_bps);
    return n->params.delay_ns + 4 * n->params.jitter_ns + (by_rate < DRAIN_RATE_NS ? by_rate : DRAIN_RATE_NS) + DRAIN_MORE_NS;
}

int net_revert(struct fault_act *a, struct error *err) {
    struct net_act *n = a->own;
    char why[NETEM_ERROR_SIZE];
    net_renew_stop(take_ptr(n->renew));
    (void)err;
    timer_free(take_ptr(n->timer));
    n->to_end = !told_over(n, why);
    net_measure_over(n->measure);
    n->ended_ns = loop_now();
    n->drain_until = n->ended_ns + drain_most(n);
    a->revert_ns = n->drain_until - n->ended_ns + NS_PER_S;
    timer_after(n->drain, 0);
    return 0;
}

json_t *net_measured(struct fault_act *a) {
    struct net_act *n = a->own;
    return n && n->measure ? net_measure_result(n->measure) : NULL;
}

int net_undo(struct fault_act *a, const struct pod *victim, json_t **ret, struct error *err) {
    const struct net_fault *rows = a->spec->kind.params;
    struct pod_network net;
    int rc = a->env->cluster->kind->network(a->env->cluster, victim->uid, &net, err);
    if (rc < 0)
        return rc;
    const json_int_t drain_ms = (rows->params.delay_ns + 4 * rows->params.jitter_ns + DRAIN_MORE_NS) / NS_PER_MS;
    *ret = json_pack("{s:s,s:s,s:s,s:I,s:s,s:s,s:I}", "kind", "netem", "netns", net.path, "dev", rows->device ? rows->device : net.dev, "id",
                     (json_int_t)a->id, "run", a->env->run, "pod", victim->name, "drain_ms", drain_ms);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* --- what this machine can do --- */

static const struct netem_can *abilities(void) {
    static struct netem_can can; /* tried once a process: a scratch namespace and some 20 queues */
    static bool tried;
    if (!tried)
        netem_can(&can);
    tried = true;
    return &can;
}

static bool kernel_has_netem(void) { return abilities()->can[NETEM_CAN_NETEM]; }

static size_t needs(const struct net_fault *n, enum netem_ability out[NETEM_CAN_COUNT]) {
    const struct netem_params *p = &n->params;
    const struct { bool asked; enum netem_ability ability; } rows[] = {
        {true, NETEM_CAN_PROGRAM}, {true, NETEM_CAN_CLSACT}, {true, NETEM_CAN_FILTER},
        {!n->shapes, NETEM_CAN_DROP},
        {n->shapes, NETEM_CAN_REDIRECT}, {n->shapes, NETEM_CAN_IFB}, {n->shapes, NETEM_CAN_NETEM},
        {p->delay_ns, NETEM_CAN_DELAY}, {p->dist != NETEM_UNIFORM, NETEM_CAN_DISTRIBUTION},
        {p->loss == NETEM_LOSS_RANDOM, NETEM_CAN_LOSS}, {p->loss == NETEM_LOSS_STATES, NETEM_CAN_LOSS_STATES},
        {p->loss == NETEM_LOSS_GILBERT_ELLIOTT, NETEM_CAN_GILBERT_ELLIOTT}, {p->ecn, NETEM_CAN_ECN},
        {p->duplicate_ppm, NETEM_CAN_DUPLICATE}, {p->corrupt_ppm, NETEM_CAN_CORRUPT}, {p->reorder_ppm, NETEM_CAN_REORDER},
        {p->rate_bps, NETEM_CAN_RATE}, {n->slot, NETEM_CAN_SLOT}, {p->seeded, NETEM_CAN_SEED},
    };
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].asked)
            out[count++] = rows[i].ability;
    return count;
}

int net_preflight(const struct fault_spec *f, struct error *err) {
    const struct net_fault *n = f->kind.params;
    const struct netem_can *can = abilities();
    enum netem_ability list[NETEM_CAN_COUNT];
    struct net_fault plain = {0};
    if (plain_loss(n) && !kernel_has_netem())
        n = &plain; /* dropped in the classifier */
    size_t count = needs(n, list);
    for (size_t i = 0; i < count; i++)
        if (!can->can[list[i]]) {
            const char *name = netem_can_names[list[i]], *why = can->why_not[list[i]];
            return strstr(why, name) ? error_set(err, -EOPNOTSUPP, "%s", why) : error_set(err, -EOPNOTSUPP, "%s: %s", name, why);
        }
    return 0;
}

int net_prepare(struct fault_env *env, const struct fault_spec *f, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    int rc = env->netem ? 0 : netem_open(0, &env->netem, why);
    if (rc < 0)
        return error_set(err, rc, "%s", why);
    rc = net_look_up(env, f->kind.params, err);
    return rc < 0 ? error_wrap(err, rc, "externalTargets") : 0;
}

/* --- in words --- */

static void percent(struct buf *b, const char *what, int64_t ppm) {
    if (ppm)
        buf_printf(b, "%s%s %g%%", b->len ? ", " : "", what, (double)ppm / 1e4);
}

static void describe_delay(struct buf *b, const struct net_delay *d) {
    char text[32];
    if (!d)
        return;
    format_duration(d->latency_ns, text, sizeof text);
    buf_printf(b, "%s", text);
    format_duration(d->jitter_ns, text, sizeof text);
    if (d->jitter_ns)
        buf_printf(b, " \u00b1 %s", text);
}

void net_describe(const void *params, char *out, size_t size) {
    const struct net_fault *n = params;
    cleanup_buf struct buf b = {0};
    describe_delay(&b, n->delay);
    if (n->loss)
        percent(&b, "loss", n->loss->loss_ppm);
    if (n->loss && !n->loss->loss_ppm)
        buf_printf(&b, "%sloss in bursts", b.len ? ", " : "");
    percent(&b, "duplicate", n->params.duplicate_ppm);
    percent(&b, "corrupt", n->params.corrupt_ppm);
    percent(&b, "reorder", n->params.reorder_ppm);
    if (n->rate)
        buf_printf(&b, "%s%g Mbit/s", b.len ? ", " : "", (double)n->rate->bits_per_s / 1e6);
    buf_printf(&b, "%s%s", b.len ? " " : "", n->direction == 0 ? "to" : n->direction == 1 ? "from" : "to and from");
    buf_printf(&b, " %s", n->peers ? "the target's pods" : n->external.count ? n->external.items[0] : "everything");
    if (n->external.count > 1 || (n->peers && n->external.count))
        buf_str(&b, " and more");
    snprintf(out, size, "%s", buf_ok(&b) ? b.data : "");
}
