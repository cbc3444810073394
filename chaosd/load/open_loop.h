/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The open loop of every load that sends requests of its own: planned arrivals from one timer, whatever the answers do; each handed over
 * in time or recorded as unsent; one sample for each; at the end what is under way drains. A kind has one as its first member.
 * To saturate is the one exception: there each answer brings about the next request. */
#include "base/rng.h"
#include "load/arrivals.h"
#include "load/load.h"

enum pick { PICK_ROUND_ROBIN, PICK_RANDOM };
extern const char *const arrival_names[], *const pick_names[]; /* NULL-terminated */

struct open_loop_plan { /* what the scenario says */
    int64_t rate; /* events a second * 10^6 */
    bool saturate; /* closed loop: `concurrency` requests always under way, each planned when it is sent; no rate */
    enum arrival_kind arrival;
    struct ints lanes; /* enum lane; borrowed */
    enum pick pick;
    int64_t deadline_ns, late_ns;
    int64_t concurrency;
};

/* Rows for a kind's struct whose members are rate, arrival, deadline_ns, concurrency and late_ns (int64_t, arrival int). */
#define OPEN_LOOP_RATE_ROWS(owner)                                                                                                    \
    {.name = "rate", .type = F_RATE, .offset = offsetof(owner, rate), .required = true, .min = 1, .max = INT64_C(1000000000000),        \
     .doc = "Requests planned, as \"200/s\"; the lanes share it evenly."},                                                          \
        {.name = "arrival", .type = F_ENUM, .offset = offsetof(owner, arrival), .def = "constant", .values = arrival_names,             \
         .doc = "Gaps between requests: all the same, or random as those of many independent users are."}
#define OPEN_LOOP_LIMIT_ROWS(owner, deadline_doc)                                                                                     \
    {.name = "deadline", .type = F_DURATION, .offset = offsetof(owner, deadline_ns), .def = "1s", .min = NS_PER_MS,                    \
     .max = 3600 * NS_PER_S, .doc = deadline_doc},                                                                                      \
        {.name = "concurrency", .type = F_INT, .offset = offsetof(owner, concurrency), .def = "1000", .min = 1, .max = 100000,          \
         .doc = "Requests under way at once; one planned beyond it is recorded as unsent, which counts as bad."},                      \
        {.name = "late", .type = F_DURATION, .offset = offsetof(owner, late_ns), .def = "100ms", .min = NS_PER_MS,                     \
         .max = 3600 * NS_PER_S,                                                                                                        \
         .doc = "A request that chaosd itself is later with than this is recorded as unsent instead of sent in a burst."}

struct arrival { /* one planned request */
    uint64_t index, random, turn;
    int64_t planned_ns; /* CLOCK_MONOTONIC */
    int64_t time_ms;    /* ${request.time_ms}, the same however often it is asked; 0: not yet */
    uint8_t lane;
};

enum open_loop_state { OPEN_LOOP_NEW, OPEN_LOOP_SENDING, OPEN_LOOP_DRAINING, OPEN_LOOP_ENDED };

struct open_loop {
    struct load load; /* first */
    struct load_context ctx;
    struct open_loop_plan plan;
    void (*send)(struct open_loop *o, const struct arrival *a); /* calls open_loop_admit, and what follows from it */
    struct timer *timer;
    struct arrivals arrivals;
    struct rng rng;
    uint64_t id_key;
    int64_t start_ns, end_ns; /* CLOCK_MONOTONIC */
    enum open_loop_state state;
    bool refilling;
    struct load_figures figures;
};

int open_loop_init(struct open_loop *o, const struct load_kind *kind, const struct load_spec *spec, const struct load_context *ctx,
                   const struct open_loop_plan *plan, void (*send)(struct open_loop *o, const struct arrival *a), struct error *err);
void open_loop_free(struct open_loop *o); /* its ledger too, but not the memory of o itself */

/* For a kind's descriptor. */
void open_loop_begin(struct load *load, int64_t start_mono_ns, int64_t end_mono_ns);
void open_loop_stop(struct load *load);
void open_loop_figures(const struct load *load, struct load_figures *ret);

/* In time, with a target (selector NULL: a fixed one) and below the cap: the request is under way then, until one of the two functions below
 * ends it. Else its sample is written and nothing follows. */
bool open_loop_admit(struct open_loop *o, const struct arrival *a, const struct selector *selector, bool ready_only, struct load_target *ret);
struct sample open_loop_sample(const struct open_loop *o, const struct arrival *a, uint16_t target); /* lane, target and times filled */
/* Good or, with a reason, bad. start_ns 0: it never started. */
void open_loop_finish(struct open_loop *o, const struct arrival *a, struct sample *s, enum reason reason, int64_t start_ns, int64_t end_ns);
/* Our own trouble (no descriptor, no port, no memory) says nothing of the target: unsent. */
void open_loop_give_up(struct open_loop *o, const struct arrival *a, uint16_t target);
/* It was admitted, but who would take it has more than it can do: unsent, as beyond the cap. */
void open_loop_full(struct open_loop *o, const struct arrival *a, uint16_t target);

uint64_t open_loop_id(const struct open_loop *o, uint64_t index); /* unique among the requests of a run */
/* Value of request.NAME ("seq", "id", "random", "time_ms"), written into tmp; NULL: there is no such. */
enum { ARRIVAL_VALUE_SIZE = 32 };
const char *open_loop_value(const struct open_loop *o, struct arrival *a, const char *name, char tmp[ARRIVAL_VALUE_SIZE]);
