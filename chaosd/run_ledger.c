/* SPDX-License-Identifier: Apache-2.0 */
/* Reading ledgers back: the latest entries once the load is served for good again after a fault, and all of them at the end. At the end an
 * entry without an answer is asked for again until there is one or the time is over, and one that is not there is asked for twice. */
#include "base/cleanup.h"
#include "load/ledger.h"
#include "run_internal.h"

#include <errno.h>
#include <string.h>

#define LOOK_NS (100 * NS_PER_MS)
#define AGAIN_NS (500 * NS_PER_MS)     /* between two passes, and after a row of reads without an answer */
enum { RANGES_AN_EVENT = 500, RANGES_MOST = 100000, KEYS_MOST = 20 };

enum stage {
    READ_IDLE,
    READ_RECENT, /* after a recovery */
    READ_OPEN,   /* at the end: writes without an answer may be there */
    READ_KEPT,   /* at the end: what was acknowledged */
    READ_OVER,
};

struct reading { /* of one load's ledger */
    struct run *run;
    struct load *load;
    struct ledger *g;
    const struct load_spec *spec;
    struct timer *timer;
    enum stage stage;
    bool ending;     /* the last reading is wanted */
    uint32_t next, to;
    int64_t under_way, silent; /* reads now; without an answer, in a row */
    int64_t until_ns, open_until_ns;
    int64_t act, act_read;      /* id of the latest act; of the one that is, or was last, read after */
    int64_t calm_since_ns;      /* when the latest act came, or ended; CLOCK_MONOTONIC */
    int64_t pass, unknown, fresh_missing; /* of this pass: without an answer, not there for the first time */
    int64_t asked, present, lost, stale, other, recovered, open_asked;
    bool stopped;
    uint32_t *missing; /* READ_RECENT: as many as are asked */
    size_t missing_count;
    char why[160]; /* of the first read without an answer */
};

struct ledgers {
    struct reading *list;
    size_t count;
    struct timer *timer;
};

static void pump(struct reading *d);

/* --- what is written down --- */

struct ranges {
    struct reading *d;
    const char *kind;
    json_t *list;
    uint32_t from, to; /* the one that grows; 0: none */
    size_t count;
};

static const char *when(const struct reading *d) { return d->stage == READ_RECENT ? "recovery" : "end"; }

static json_t *act_json(const struct reading *d) { return d->stage == READ_RECENT ? json_integer(d->act_read) : json_null(); }

static void put_ranges(struct ranges *x) {
    if (json_array_size(x->list))
        recorder_event(x->d->run->rec, "load", "ledger/missing", "info", x->kind, x->d->spec->name,
                       json_pack("{s:s, s:o, s:O}", "when", when(x->d), "act", act_json(x->d), "entries", x->list));
    json_decref(x->list);
    x->list = json_array();
}

static void end_range(struct ranges *x) {
    if (x->from && x->count++ < RANGES_MOST)
        json_array_append_new(x->list, json_pack("[I, I]", (json_int_t)x->from, (json_int_t)x->to));
    x->from = 0;
    if (json_array_size(x->list) >= RANGES_AN_EVENT)
        put_ranges(x);
}

static void add_entry(struct ranges *x, uint32_t entry) {
    if (x->from && entry != x->to + 1)
        end_range(x);
    x->from = x->from ? x->from : entry;
    x->to = entry;
}

static bool finish_ranges(struct ranges *x) {
    end_range(x);
    put_ranges(x);
    json_decref(x->list);
    return x->count > RANGES_MOST;
}

static void record_read(struct reading *d, bool truncated, json_t *keys) {
    recorder_event(d->run->rec, "load", "ledger/read", "ok", NULL, d->spec->name,
                   json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:s*, s:o}", "when", when(d), "act", act_json(d),
                             "asked", (json_int_t)d->asked, "present", (json_int_t)d->present, "lost", (json_int_t)d->lost, "stale",
                             (json_int_t)d->stale, "unknown", (json_int_t)(d->asked - d->present - d->lost), "other", (json_int_t)d->other,
                             "recovered", (json_int_t)d->recovered, "unanswered_asked", (json_int_t)d->open_asked, "stopped", d->stopped,
                             "truncated", truncated, "why", d->asked > d->present + d->lost && *d->why ? d->why : NULL, "keys", keys));
}

static void add_key(const struct reading *d, json_t *keys, uint32_t entry) {
    char key[LEDGER_TEXT];
    if (json_array_size(keys) >= KEYS_MOST)
        return;
    ledger_key(d->g, entry, key);
    json_array_append_new(keys, json_string(key));
}

/* --- beginning and end of a reading --- */

static void begin_reading(struct reading *d, enum stage stage) {
    d->stage = stage;
    d->pass = 1;
    d->unknown = d->fresh_missing = d->silent = 0;
    d->asked = d->present = d->lost = d->stale = d->other = d->recovered = d->open_asked = 0;
    d->missing_count = 0;
    d->stopped = false;
    *d->why = 0;
    recorder_event(d->run->rec, "load", "ledger/read", "invoke", NULL, d->spec->name,
                   json_pack("{s:s, s:o}", "when", when(d), "act", act_json(d)));
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void end_recent(struct reading *d) {
    struct ranges x = {.d = d, .kind = "missing", .list = json_array()};
    json_t *keys = json_array();
    qsort(d->missing, d->missing_count, sizeof *d->missing, by_number);
    for (size_t i = 0; i < d->missing_count; i++) {
        add_entry(&x, d->missing[i]);
        add_key(d, keys, d->missing[i]);
    }
    record_read(d, finish_ranges(&x), keys);
    d->stage = READ_IDLE;
}

/* What is left of a kind, once all is settled: MISSED in the ledger is `lost` then. */
static bool put_left(struct reading *d, const char *kind, enum ledger_state state, int64_t *count, json_t *keys) {
    struct ranges x = {.d = d, .kind = kind, .list = json_array()};
    *count = 0;
    for (uint32_t e = 1; e <= ledger_top(d->g) && e; e++)
        if (ledger_get(d->g, e) == state) {
            add_entry(&x, e);
            add_key(d, keys, e);
            ++*count;
        }
    return finish_ranges(&x);
}

/* At the end OPEN says that a right answer did not have the entry: the writes that were open have been dealt with before. */
static void end_kept(struct reading *d) {
    json_t *keys = json_array();
    int64_t kept, missed;
    bool truncated = put_left(d, "lost", LEDGER_OPEN, &d->lost, keys);
    truncated |= put_left(d, "unknown", LEDGER_KEPT, &kept, NULL);
    truncated |= put_left(d, "unknown", LEDGER_MISSED, &missed, NULL);
    d->asked = d->present + d->lost + kept + missed;
    d->stopped = kept + missed > 0;
    if (ledger_broken(d->g))
        snprintf(d->why, sizeof d->why, "chaosd had no memory for the ledger");
    record_read(d, truncated, keys);
    d->stage = READ_OVER;
    run_step(d->run);
}

static void begin_pass(struct reading *d) {
    d->pass++;
    d->unknown = d->fresh_missing = d->silent = 0;
    d->next = 1;
    pump(d);
}

static void begin_kept(struct reading *d) {
    for (uint32_t e = d->next; e <= ledger_top(d->g) && e; e++) /* not reached in time: not looked for */
        if (ledger_get(d->g, e) == LEDGER_OPEN)
            ledger_set(d->g, e, LEDGER_NONE);
    d->stage = READ_KEPT;
    d->pass = 0;
    begin_pass(d);
}

/* A pass has asked for all of its entries and has every answer that came. */
static void end_pass(struct reading *d) {
    if (d->stage == READ_RECENT) {
        end_recent(d);
        if (d->ending)
            ledgers_read_all(d->run);
    } else if (d->stage == READ_OPEN) {
        begin_kept(d);
    } else if ((!d->unknown && !d->fresh_missing) || loop_now() >= d->until_ns) {
        end_kept(d);
    } else {
        timer_after(d->timer, 2 * AGAIN_NS); /* what is not there yet may be on its way */
    }
}

/* --- answers --- */

static void no_answer(struct reading *d, const char *why) {
    d->unknown++;
    d->silent++;
    if (!*d->why)
        snprintf(d->why, sizeof d->why, "%s", why ? why : "no answer");
}

static void on_recent(struct reading *d, enum ledger_answer a, uint32_t entry) {
    d->present += a == LEDGER_PRESENT;
    if (a == LEDGER_PRESENT)
        return;
    d->lost++;
    ledger_set(d->g, entry, LEDGER_MISSED);
    d->missing[d->missing_count++] = entry;
}

static void on_kept(struct reading *d, enum ledger_answer a, uint32_t entry) {
    enum ledger_state was = ledger_get(d->g, entry);
    if (a == LEDGER_PRESENT) {
        d->present++;
        d->stale += was != LEDGER_KEPT;
        ledger_set(d->g, entry, LEDGER_NONE);
    } else if (was != LEDGER_OPEN) {
        d->fresh_missing++;
        ledger_set(d->g, entry, LEDGER_OPEN);
    }
}

static void on_answer(enum ledger_answer a, const char *why, uint32_t entry, void *arg) {
    struct reading *d = arg;
    d->under_way--;
    d->silent = a == LEDGER_UNKNOWN ? d->silent : 0;
    d->other += a == LEDGER_OTHER && d->pass == 1 && d->stage != READ_OPEN;
    if (d->stage == READ_OPEN) {
        d->recovered += a == LEDGER_PRESENT;
        ledger_set(d->g, entry, LEDGER_NONE);
    }
    if (a == LEDGER_UNKNOWN)
        no_answer(d, why);
    else if (d->stage == READ_RECENT)
        on_recent(d, a, entry);
    else if (d->stage == READ_KEPT)
        on_kept(d, a, entry);
    pump(d);
}

/* --- questions --- */

static bool wanted(const struct reading *d, enum ledger_state s) {
    return d->stage == READ_OPEN   ? s == LEDGER_OPEN
           : d->stage == READ_KEPT ? s != LEDGER_NONE
                                   : s == LEDGER_KEPT || s == LEDGER_MISSED;
}

static bool over(const struct reading *d) {
    int64_t now = loop_now();
    return d->stopped || (d->stage == READ_OPEN ? now >= d->open_until_ns : now >= d->until_ns);
}

static uint32_t find_next(struct reading *d) {
    for (; d->next && d->next <= d->to; d->next++)
        if (wanted(d, ledger_get(d->g, d->next)))
            return d->next;
    return 0;
}

static void pump(struct reading *d) {
    const struct ledger_spec *spec = ledger_spec(d->g);
    uint32_t entry;
    while (d->under_way < spec->concurrency && !over(d) && (entry = find_next(d))) {
        if (d->silent >= spec->concurrency) { /* nobody answers: wait a little, and see */
            d->silent = 0;
            timer_after(d->timer, AGAIN_NS);
            return;
        }
        if (d->load->kind->read(d->load, entry, on_answer, d) < 0) {
            no_answer(d, "it could not be asked for: no target, or no program to ask");
            d->silent = spec->concurrency;
            continue;
        }
        d->next++;
        d->under_way++;
        d->asked += d->stage == READ_RECENT;
        d->open_asked += d->stage == READ_OPEN;
    }
    if (!d->under_way && (over(d) || !find_next(d)))
        end_pass(d);
}

static void on_timer(void *arg) {
    struct reading *d = arg;
    if (d->stage == READ_KEPT && !d->under_way && !find_next(d))
        begin_pass(d);
    else if (d->stage != READ_IDLE && d->stage != READ_OVER)
        pump(d);
}

/* --- after a recovery --- */

static void begin_recent(struct reading *d) {
    int64_t most = ledger_spec(d->g)->recent, n = 0;
    d->act_read = d->act;
    begin_reading(d, READ_RECENT);
    d->next = d->to = ledger_top(d->g);
    for (uint32_t e = d->to; e && n < most; e--)
        if (wanted(d, ledger_get(d->g, e))) {
            d->next = e;
            n++;
        }
    d->until_ns = loop_now() + ledger_spec(d->g)->limit_ns;
    pump(d);
}

/* The latest act, and since when what acts do is over. */
static void look_at_acts(struct reading *d) {
    d->act = d->run->last_act;
    d->calm_since_ns = d->run->calm_since_ns;
    for (const struct act *a = d->run->acts; a; a = a->next)
        if (a->kind && a->kind->holds && a->injected_ns && a->state != ACT_OVER)
            d->calm_since_ns = loop_now();
}

static void look(struct reading *d) {
    int64_t calm = d->calm_since_ns;
    look_at_acts(d);
    if (d->calm_since_ns != calm)
        ledger_watch(d->g, recorder_from_monotonic(d->run->rec, d->calm_since_ns), d->spec->window->goods, d->spec->window->over_ns);
    if (d->stage == READ_RECENT && d->act != d->act_read) { /* that recovery is history */
        d->stopped = true;
        pump(d);
    }
    if (d->stage == READ_IDLE && d->act != d->act_read && ledger_served(d->g))
        begin_recent(d);
}

static void on_look(void *arg) {
    struct run *r = arg;
    if (r->phase > PHASE_RUNNING)
        return;
    for (size_t i = 0; i < r->ledgers->count; i++)
        look(&r->ledgers->list[i]);
    timer_after(r->ledgers->timer, LOOK_NS);
}

/* --- for the interpreter --- */

void ledgers_read_all(struct run *r) {
    struct ledgers *all = r->ledgers;
    for (size_t i = 0; all && i < all->count; i++) {
        struct reading *d = &all->list[i];
        d->ending = true;
        d->stopped |= d->stage == READ_RECENT;
        if (d->stage != READ_IDLE)
            continue;
        begin_reading(d, READ_OPEN);
        d->next = 1;
        d->to = ledger_top(d->g);
        d->until_ns = loop_now() + ledger_spec(d->g)->limit_ns;
        d->open_until_ns = loop_now() + ledger_spec(d->g)->limit_ns / 4;
        timer_after(d->timer, 0); /* from a clean stack: it may be over at once */
    }
}

bool ledgers_done(const struct run *r) {
    for (size_t i = 0; r->ledgers && i < r->ledgers->count; i++)
        if (r->ledgers->list[i].stage != READ_OVER)
            return false;
    return true;
}

static int add_reading(struct run *r, size_t load, struct error *err) {
    struct reading *d = &r->ledgers->list[r->ledgers->count++];
    *d = (struct reading){.run = r, .load = r->loads[load], .g = r->loads[load]->ledger, .spec = &SCENARIO_LOADS(r->s)[load]};
    d->missing = calloc((size_t)ledger_spec(d->g)->recent + 1, sizeof *d->missing);
    return d->missing ? timer_new(r->loop, on_timer, d, &d->timer, err) : error_set(err, -ENOMEM, "out of memory");
}

int ledgers_start(struct run *r, struct error *err) {
    size_t n = 0;
    for (size_t i = 0; i < r->s->loads.count; i++)
        n += r->loads[i]->ledger != NULL;
    if (!n)
        return 0;
    r->ledgers = calloc(1, sizeof *r->ledgers);
    if (!r->ledgers || !(r->ledgers->list = calloc(n, sizeof *r->ledgers->list)))
        return error_set(err, -ENOMEM, "out of memory");
    int rc = timer_new(r->loop, on_look, r, &r->ledgers->timer, err);
    for (size_t i = 0; rc == 0 && i < r->s->loads.count; i++)
        if (r->loads[i]->ledger)
            rc = add_reading(r, i, err);
    if (rc == 0)
        timer_after(r->ledgers->timer, LOOK_NS);
    return rc;
}

void ledgers_free(struct run *r) {
    struct ledgers *all = r->ledgers;
    r->ledgers = NULL;
    if (!all)
        return;
    for (size_t i = 0; i < all->count; i++) {
        timer_free(all->list[i].timer);
        free(all->list[i].missing);
    }
    timer_free(all->timer);
    free(all->list);
    free(all);
}
