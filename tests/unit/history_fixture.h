/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A history in memory, for tests of what is judged from it. Times in ms. */
#include "check/judge.h"
#include "history/event.h"
#include "history/reader.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)

struct fixture {
    struct history h;
    struct sample *samples;
};

static inline void fixture_init(struct fixture *f, const char *header) {
    json_error_t e;
    memset(f, 0, sizeof *f);
    f->h.header = json_loads(header, 0, &e);
    if (!f->h.header)
        fail_msg("header: %s", e.text);
    f->h.dir = strdup("runs/test");
}

static inline void fixture_free(struct fixture *f) {
    for (size_t i = 0; i < f->h.event_count; i++)
        json_decref(f->h.events[i].json);
    free(f->h.events);
    free(f->samples);
    free(f->h.dir);
    json_decref(f->h.header);
}

/* data: JSON text. */
static inline void fixture_event(struct fixture *f, double t_ms, const char *op, const char *phase, const char *kind, const char *target,
                                 const char *data) {
    json_error_t e;
    json_t *d = json_loads(data, 0, &e);
    if (!d)
        fail_msg("data: %s", e.text);
    struct history *h = &f->h;
    h->events = realloc(h->events, (h->event_count + 1) * sizeof *h->events);
    h->events[h->event_count] = (struct event){(int64_t)h->event_count, (int64_t)(t_ms * 1e6), "test", op, phase, kind, target, d, d};
    h->event_count++;
}

static inline struct sample *fixture_sample(struct fixture *f, int load, int lane, int target, double start_ms, double latency_ms,
                                            int outcome) {
    struct history *h = &f->h;
    f->samples = realloc(f->samples, (h->sample_count + 1) * sizeof *f->samples);
    h->samples = f->samples;
    struct sample *s = &f->samples[h->sample_count++];
    *s = (struct sample){
        .planned_ns = (int64_t)(start_ms * 1e6),
        .start_ns = (int64_t)(start_ms * 1e6),
        .end_ns = (int64_t)((start_ms + latency_ms) * 1e6),
        .load = (uint16_t)load,
        .lane = (uint8_t)lane,
        .target = (uint16_t)target,
        .outcome = (uint8_t)outcome,
        .reason = outcome == OUTCOME_GOOD         ? REASON_NONE
                  : outcome == OUTCOME_BAD        ? REASON_TIMEOUT
                  : outcome == OUTCOME_UNSENT_CAP ? REASON_CAP
                                                  : REASON_STALL,
    };
    return s;
}

/* One request each 100 ms in [from_ms, to_ms). */
static inline void fixture_requests(struct fixture *f, double from_ms, double to_ms, double latency_ms, int outcome) {
    for (double t = from_ms; t < to_ms; t += 100)
        fixture_sample(f, 0, LANE_REUSED, SAMPLE_NO_TARGET, t, latency_ms, outcome);
}

/* The verdict of a hand-made history; fails the test when there is none. */
static inline struct judgement *judged(struct fixture *f) {
    struct judgement *j = NULL;
    struct error err = {""};
    if (judge(&f->h, &j, &err) < 0)
        fail_msg("%s", err.text);
    return j;
}

static inline const struct check_result *check(const struct judgement *j, const char *name) {
    for (size_t i = 0; i < j->check_count; i++)
        if (!strcmp(j->checks[i].name, name))
            return &j->checks[i];
    fail_msg("no check %s", name);
    return NULL;
}

struct want { const char *text; enum verdict verdict; };

/* Each threshold on its own, on what build makes of a history with this header that ends at end_ms, has the verdict wanted. */
static inline void expect_verdicts(const char *header, void (*build)(struct fixture *f), double end_ms, const struct want *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct fixture f;
        fixture_init(&f, header);
        json_object_set_new(f.h.header, "expect", json_pack("[s]", rows[i].text));
        build(&f);
        fixture_event(&f, end_ms, "run/end", "info", "", "", "{}");
        struct judgement *j = judged(&f);
        const struct check_result *c = check(j, rows[i].text);
        if (c->verdict != rows[i].verdict)
            fail_msg("%s: %s, %f: %s", rows[i].text, verdict_names[c->verdict], c->value, c->why);
        judgement_free(j);
        fixture_free(&f);
    }
}
