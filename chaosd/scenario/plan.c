/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/plan.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MAX_ACTS 1000000 /* more is a slip of the pen, and would only fill memory */

struct maker {
    const struct scenario *s;
    struct plan plan;
    size_t room;
    struct error *err;
};

static int64_t round_ms(int64_t ns) { return (ns + NS_PER_MS / 2) / NS_PER_MS * NS_PER_MS; }

static int add_act(struct maker *m, size_t fault, unsigned occurrence, int64_t at_ns, uint64_t draw) {
    if (m->plan.count == MAX_ACTS)
        return error_set(m->err, -E2BIG, "fault \"%s\": more than %d acts in one plan", SCENARIO_FAULTS(m->s)[fault].name, MAX_ACTS);
    if (m->plan.count == m->room) {
        size_t room = m->room ? m->room * 2 : 16;
        struct plan_act *acts = realloc(m->plan.acts, room * sizeof *acts);
        if (!acts)
            return error_set(m->err, -ENOMEM, "out of memory");
        m->plan.acts = acts;
        m->room = room;
    }
    m->plan.acts[m->plan.count++] = (struct plan_act){
        .fault = fault, .occurrence = occurrence, .at_ns = at_ns, .for_ns = SCENARIO_FAULTS(m->s)[fault].for_ns, .draw = draw,
    };
    return 0;
}

static int compare_ns(const void *pa, const void *pb) {
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return a < b ? -1 : a > b;
}

/* Occurrences count in time's order, however the list is written. */
static int plan_at(struct maker *m, size_t fault, struct rng *rng) {
    const struct durations *at = &SCENARIO_FAULTS(m->s)[fault].at;
    cleanup_free int64_t *times = malloc(at->count * sizeof *times);
    if (!times)
        return error_set(m->err, -ENOMEM, "out of memory");
    memcpy(times, at->ns, at->count * sizeof *times);
    qsort(times, at->count, sizeof *times, compare_ns);
    for (size_t i = 0; i < at->count; i++) {
        int r = add_act(m, fault, (unsigned)i + 1, round_ms(times[i]), rng_u64(rng));
        if (r < 0)
            return r;
    }
    return 0;
}

/* Gaps in whole ms inside the range, so that times read well and the range is kept. An act is planned only if it can end
 * and settle within the duration; an infinite sequence cut there is the same whatever count says. */
static int plan_every(struct maker *m, size_t fault, struct rng *rng) {
    const struct fault_spec *f = &SCENARIO_FAULTS(m->s)[fault];
    int64_t from = (f->every.from_ns + NS_PER_MS - 1) / NS_PER_MS, to = f->every.to_ns / NS_PER_MS;
    int64_t last = m->s->duration_ns - m->s->settle_ns - f->for_ns;
    if (from < 1)
        from = 1;
    if (to < from)
        to = from;
    int64_t at = 0;
    for (unsigned k = 1; !f->count || k <= f->count; k++) {
        int64_t gap = from + (int64_t)rng_below(rng, (uint64_t)(to - from) + 1);
        uint64_t draw = rng_u64(rng);
        if (gap > (last - at) / NS_PER_MS)
            break;
        at += gap * NS_PER_MS;
        int r = add_act(m, fault, k, at, draw);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compare_acts(const void *pa, const void *pb) {
    const struct plan_act *a = pa, *b = pb;
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    if (a->fault != b->fault)
        return a->fault < b->fault ? -1 : 1;
    return a->occurrence < b->occurrence ? -1 : a->occurrence > b->occurrence;
}

int plan_make(const struct scenario *s, uint64_t seed, struct plan *ret, struct error *err) {
    struct maker m = {.s = s, .plan = {.seed = seed}, .err = err};
    for (size_t i = 0; i < s->faults.count; i++) {
        struct rng rng;
        rng_derive(&rng, seed, SCENARIO_FAULTS(s)[i].name);
        int r = SCENARIO_FAULTS(s)[i].at.count ? plan_at(&m, i, &rng) : plan_every(&m, i, &rng);
        if (r < 0) {
            plan_free(&m.plan);
            return r;
        }
    }
    if (m.plan.count > 1)
        qsort(m.plan.acts, m.plan.count, sizeof *m.plan.acts, compare_acts);
    *ret = m.plan;
    return 0;
}

void plan_free(struct plan *p) {
    if (!p)
        return;
    free(p->acts);
    *p = (struct plan){0};
}

static json_t *text_of(int64_t ns) {
    char text[64];
    format_duration(ns, text, sizeof text);
    return json_string(text);
}

/* JSON integers end at 2^63 - 1: a larger seed is written as text. */
static json_t *seed_of(uint64_t seed) {
    char text[24];
    if (seed <= INT64_MAX)
        return json_integer((json_int_t)seed);
    snprintf(text, sizeof text, "%" PRIu64, seed);
    return json_string(text);
}

/* asked is null where as many as fit were asked for. */
static json_t *fault_to_json(const struct plan *p, const struct scenario *s, size_t index) {
    const struct fault_spec *f = &SCENARIO_FAULTS(s)[index];
    json_int_t planned = 0, asked = f->at.count ? (json_int_t)f->at.count : f->count;
    for (size_t i = 0; i < p->count; i++)
        planned += p->acts[i].fault == index;
    return json_pack("{s:s, s:s?, s:o, s:I}", "name", f->name, "kind", f->kind.kind ? f->kind.kind->name : NULL, "asked",
                     asked ? json_integer(asked) : json_null(), "planned", planned);
}

static json_t *act_to_json(const struct plan_act *a, const struct scenario *s) {
    const struct fault_spec *f = &SCENARIO_FAULTS(s)[a->fault];
    char draw[17];
    snprintf(draw, sizeof draw, "%016" PRIx64, a->draw);
    return json_pack("{s:I, s:s, s:s?, s:I, s:I, s:o, s:I, s:o, s:s}", "fault", (json_int_t)a->fault, "name", f->name, "kind",
                     f->kind.kind ? f->kind.kind->name : NULL, "occurrence", (json_int_t)a->occurrence, "at_ns", (json_int_t)a->at_ns, "at",
                     text_of(a->at_ns), "for_ns", (json_int_t)a->for_ns, "for", a->for_ns ? text_of(a->for_ns) : json_null(), "draw", draw);
}

json_t *plan_to_json(const struct plan *p, const struct scenario *s) {
    cleanup_json json_t *faults = json_array(), *acts = json_array();
    int r = faults && acts ? 0 : -1;
    for (size_t i = 0; r == 0 && i < s->faults.count; i++)
        r = json_array_append_new(faults, fault_to_json(p, s, i));
    for (size_t i = 0; r == 0 && i < p->count; i++)
        r = json_array_append_new(acts, act_to_json(&p->acts[i], s));
    if (r < 0)
        return NULL;
    return json_pack("{s:s, s:o, s:I, s:o, s:I, s:O, s:O}", "scenario", s->name, "seed", seed_of(p->seed), "duration_ns",
                     (json_int_t)s->duration_ns, "duration", text_of(s->duration_ns), "settle_ns", (json_int_t)s->settle_ns, "faults",
                     faults, "acts", acts);
}
