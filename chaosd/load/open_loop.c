/* SPDX-License-Identifier: Apache-2.0 */
#include "load/open_loop.h"
#include "load/ledger.h"
#include "load/unique.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LATE_NS = 5 * 1000 * 1000, PAUSE_NS = 10 * 1000 * 1000 };

const char *const arrival_names[] = {[ARRIVAL_CONSTANT] = "constant", [ARRIVAL_POISSON] = "poisson", NULL};
const char *const pick_names[] = {[PICK_ROUND_ROBIN] = "round-robin", [PICK_RANDOM] = "random", NULL};

static struct open_loop *loop_of(struct load *l) { return (struct open_loop *)(void *)l; }

/* --- samples --- */

static int64_t on_run_clock(const struct open_loop *o, int64_t mono_ns) { return recorder_from_monotonic(o->ctx.recorder, mono_ns); }

struct sample open_loop_sample(const struct open_loop *o, const struct arrival *a, uint16_t target) {
    int64_t planned = on_run_clock(o, a->planned_ns);
    return (struct sample){.planned_ns = planned, .start_ns = planned, .end_ns = planned, .lane = a->lane, .target = target,
                           .entry = ledger_entry(o->load.ledger, a->index)};
}

static void record(struct open_loop *o, struct sample *s) {
    s->load = o->ctx.index;
    if (s->outcome == OUTCOME_GOOD)
        o->figures.good++;
    else if (s->outcome == OUTCOME_BAD)
        o->figures.bad++;
    else
        o->figures.unsent++;
    ledger_note(o->load.ledger, s);
    recorder_sample(o->ctx.recorder, s);
}

/* Never sent: start = end = planned. */
static void record_unsent(struct open_loop *o, const struct arrival *a, uint16_t target, enum outcome outcome, enum reason reason) {
    struct sample s = open_loop_sample(o, a, target);
    s.outcome = (uint8_t)outcome;
    s.reason = (uint8_t)reason;
    record(o, &s);
}

static void refill(struct open_loop *o);

/* The end is told from a clean stack: the load may be freed in it. */
static void one_less(struct open_loop *o) {
    if (--o->figures.in_flight == 0 && o->state == OPEN_LOOP_DRAINING)
        timer_at(o->timer, loop_now());
    else if (o->plan.saturate)
        refill(o);
}

void open_loop_finish(struct open_loop *o, const struct arrival *a, struct sample *s, enum reason reason, int64_t start_ns, int64_t end_ns) {
    s->outcome = reason == REASON_NONE ? OUTCOME_GOOD : OUTCOME_BAD;
    s->reason = (uint8_t)reason;
    s->start_ns = on_run_clock(o, start_ns ? start_ns : end_ns);
    s->end_ns = on_run_clock(o, end_ns);
    if (start_ns - a->planned_ns > LATE_NS)
        s->flags |= SAMPLE_LATE;
    record(o, s);
    one_less(o);
}

void open_loop_give_up(struct open_loop *o, const struct arrival *a, uint16_t target) {
    record_unsent(o, a, target, OUTCOME_UNSENT_STALL, REASON_OTHER);
    one_less(o);
}

void open_loop_full(struct open_loop *o, const struct arrival *a, uint16_t target) {
    record_unsent(o, a, target, OUTCOME_UNSENT_CAP, REASON_CAP);
    one_less(o);
}

/* --- one arrival --- */

static int find_target(struct open_loop *o, const struct arrival *a, const struct selector *selector, bool ready_only, struct load_target *ret) {
    *ret = (struct load_target){.id = SAMPLE_NO_TARGET};
    if (!selector)
        return 0;
    return o->ctx.resolve ? o->ctx.resolve(o->ctx.resolve_arg, selector, ready_only, a->turn, ret) : -ENOENT;
}

bool open_loop_admit(struct open_loop *o, const struct arrival *a, const struct selector *selector, bool ready_only, struct load_target *ret) {
    int64_t behind = loop_now() - a->planned_ns;
    if (behind > o->plan.late_ns || behind >= o->plan.deadline_ns) {
        record_unsent(o, a, SAMPLE_NO_TARGET, OUTCOME_UNSENT_STALL, REASON_STALL);
        return false;
    }
    int rc = find_target(o, a, selector, ready_only, ret);
    if (rc < 0) {
        bool none = rc == -ENOENT;
        record_unsent(o, a, SAMPLE_NO_TARGET, none ? OUTCOME_BAD : OUTCOME_UNSENT_STALL, none ? REASON_NO_TARGET : REASON_OTHER);
        return false;
    }
    if (o->figures.in_flight >= o->plan.concurrency) {
        record_unsent(o, a, ret->id, OUTCOME_UNSENT_CAP, REASON_CAP);
        return false;
    }
    o->figures.in_flight++;
    return true;
}

uint64_t open_loop_id(const struct open_loop *o, uint64_t index) { return unique_id(o->id_key, o->ctx.index, index); }

const char *open_loop_value(const struct open_loop *o, struct arrival *a, const char *name, char tmp[ARRIVAL_VALUE_SIZE]) {
    if (strcmp(name, "seq") == 0) {
        snprintf(tmp, ARRIVAL_VALUE_SIZE, "%" PRIu64, a->index);
    } else if (strcmp(name, "id") == 0) {
        snprintf(tmp, ARRIVAL_VALUE_SIZE, "%016" PRIx64, open_loop_id(o, a->index));
    } else if (strcmp(name, "random") == 0) {
        snprintf(tmp, ARRIVAL_VALUE_SIZE, "%" PRIu64, a->random);
    } else if (strcmp(name, "time_ms") == 0) {
        if (!a->time_ms)
            a->time_ms = clock_wall_ns() / NS_PER_MS;
        snprintf(tmp, ARRIVAL_VALUE_SIZE, "%" PRId64, a->time_ms);
    } else {
        return NULL;
    }
    return tmp;
}

/* --- arrivals --- */

static int64_t next_planned(const struct open_loop *o) {
    int64_t offset = arrivals_peek(&o->arrivals), t;
    return __builtin_add_overflow(o->start_ns, offset, &t) ? INT64_MAX : t;
}

/* Draws are made for every arrival, sent or not, so that they depend on its index alone. */
static void arrive(struct open_loop *o, int64_t planned_ns) {
    uint64_t lanes = o->plan.lanes.count, draw = rng_u64(&o->rng);
    struct arrival a = {.index = o->arrivals.index, .random = rng_u64(&o->rng), .planned_ns = planned_ns};
    a.lane = (uint8_t)o->plan.lanes.items[a.index % lanes];
    a.turn = o->plan.pick == PICK_RANDOM ? draw : a.index / lanes; /* each lane goes round on its own */
    if (o->plan.saturate)
        o->arrivals.index++; /* a rate of 0 never advances */
    else
        arrivals_advance(&o->arrivals);
    o->figures.planned++;
    o->send(o, &a);
}

static void send_due(struct open_loop *o, int64_t now) {
    for (int64_t t; (t = next_planned(o)) <= now && t < o->end_ns;)
        arrive(o, t);
}

static void wake_at(struct open_loop *o, int64_t when) { timer_at(o->timer, when < o->end_ns ? when : o->end_ns); }

/* What is over as soon as it is sent (no target, no port left) is tried again after a pause: this must return. */
static void refill(struct open_loop *o) {
    int64_t now;
    if (o->refilling)
        return;
    o->refilling = true;
    while (o->state == OPEN_LOOP_SENDING && o->figures.in_flight < o->plan.concurrency && (now = loop_now()) < o->end_ns) {
        uint32_t before = o->figures.in_flight;
        arrive(o, now);
        if (o->figures.in_flight <= before) {
            wake_at(o, now + PAUSE_NS);
            break;
        }
    }
    o->refilling = false;
}

/* refill sets the timer itself where it has to wait. */
static void send_and_arm(struct open_loop *o, int64_t now) {
    if (o->plan.saturate) {
        wake_at(o, o->end_ns);
        refill(o);
        return;
    }
    send_due(o, now);
    wake_at(o, next_planned(o));
}

static void on_timer(void *arg) {
    struct open_loop *o = arg;
    if (o->state == OPEN_LOOP_SENDING) {
        int64_t now = loop_now();
        send_and_arm(o, now);
        if (now < o->end_ns)
            return;
        o->state = OPEN_LOOP_DRAINING;
    }
    if (o->state != OPEN_LOOP_DRAINING || o->figures.in_flight)
        return;
    o->state = OPEN_LOOP_ENDED;
    if (o->ctx.ended)
        o->ctx.ended(o->ctx.ended_arg);
}

void open_loop_begin(struct load *load, int64_t start_mono_ns, int64_t end_mono_ns) {
    struct open_loop *o = loop_of(load);
    if (o->state != OPEN_LOOP_NEW)
        return;
    o->state = OPEN_LOOP_SENDING;
    o->start_ns = start_mono_ns;
    o->end_ns = end_mono_ns;
    wake_at(o, o->plan.saturate ? start_mono_ns : next_planned(o));
}

void open_loop_stop(struct load *load) {
    struct open_loop *o = loop_of(load);
    if (o->state == OPEN_LOOP_SENDING && !o->plan.saturate)
        send_due(o, loop_now()); /* what was planned before the stop has its sample */
    if (o->state > OPEN_LOOP_SENDING)
        return;
    o->state = OPEN_LOOP_DRAINING;
    timer_stop(o->timer);
    if (!o->figures.in_flight)
        timer_at(o->timer, loop_now());
}

void open_loop_figures(const struct load *load, struct load_figures *ret) { *ret = ((const struct open_loop *)(const void *)load)->figures; }

/* --- life --- */

int open_loop_init(struct open_loop *o, const struct load_kind *kind, const struct load_spec *spec, const struct load_context *ctx,
                   const struct open_loop_plan *plan, void (*send)(struct open_loop *o, const struct arrival *a), struct error *err) {
    *o = (struct open_loop){.load = {.kind = kind}, .ctx = *ctx, .plan = *plan, .send = send, .id_key = unique_key(ctx)};
    arrivals_init(&o->arrivals, plan->arrival, plan->rate, ctx->seed, spec->name);
    char stream[96];
    snprintf(stream, sizeof stream, "load/%s/requests", spec->name);
    rng_derive(&o->rng, ctx->seed, stream);
    return timer_new(ctx->loop, on_timer, o, &o->timer, err);
}

void open_loop_free(struct open_loop *o) {
    timer_free(o->timer);
    ledger_free(o->load.ledger);
}
