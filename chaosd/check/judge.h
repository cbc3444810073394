/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* From a history to a verdict: pure, no clock, no cluster, no files beside the history. Definitions in docs/MEASURING.md. */
#include "base/error.h"
#include "history/reader.h"

#include <stdbool.h>

enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_INCONCLUSIVE, VERDICT_SKIPPED, VERDICT_ABORTED };
extern const char *const verdict_names[];
int verdict_exit_code(enum verdict v);

#define UNKNOWN_NS INT64_MIN /* rendered as null */

struct downtime { /* one window; ns on the run's clock. point and max UNKNOWN_NS when it never closed (censored) */
    int64_t start, end;       /* start of the first bad; end of the first good after, or UNKNOWN_NS */
    int64_t min, point, max;
    int64_t bad;              /* requests */
    int64_t short_by;         /* never closed, though goods came at the end: end of the load - end of their first, ns; else UNKNOWN_NS */
    int64_t late;             /* what end would be if all that chaosd missed by stalling was bad; UNKNOWN_NS: it missed nothing */
    int act;                  /* index of the act it is attributed to, -1: none */
    int begun_in;             /* the same by its start: its first bad one may have been under way when the act came */
    bool censored;
    bool stalled; /* chaosd itself stalled inside: not to be judged */
};

/* For "the worst": an unknown end counts from its least, so that a short open window never hides a long closed one. */
static inline int64_t downtime_known(const struct downtime *d) { return d->max != UNKNOWN_NS ? d->max : d->min; }

struct lane_figures {
    const char *load; /* borrowed from the history */
    int load_index, lane; /* lane -1: all lanes of the load together */
    const char *target;   /* NULL: all targets */
    int64_t planned, good, bad, unsent, stalled_unsent, stale_retry;
    int64_t own_unsent;                 /* of stalled_unsent: no file, port or memory for them */
    bool insecure;                      /* any TLS certificate was accepted */
    bool saturate;                      /* a closed loop */
    double by_requests;                 /* NaN: no samples */
    double by_time, time_low, time_high; /* NaN: not known */
    double p50_ms, p90_ms, p99_ms, p999_ms, max_ms; /* over all planned; INFINITY when a bad one falls there; NaN: none */
    int64_t reasons[REASON_COUNT];
    struct downtime *downtime;
    size_t downtime_count;
};

struct mark { /* a line of a pod's own log, by its own stamp */
    const char *name, *pod;
    int64_t at; /* offset from the act */
};

struct act_figures {
    const char *fault, *kind, *target;
    int64_t id;
    unsigned occurrence;
    int64_t at;         /* injected; UNKNOWN_NS: never */
    bool acted, skipped, observed, holds, reverted;
    bool stuck;         /* held, and known not to be undone; not where the history just ends */
    int64_t observed_at, reverted_at;
    const char *why;    /* of a skip or failure, or NULL */
    int64_t detect, first_good, sustained, redundancy; /* offsets from at; UNKNOWN_NS */
    bool noticed;       /* a load saw it */
    bool censored;
    bool stalled;       /* chaosd itself stalled in a window of this act: not to be judged */
    int64_t at_least;   /* censored: sustained is no less than this; otherwise UNKNOWN_NS */
    int64_t late;       /* what sustained would be if all that chaosd missed by stalling was bad; UNKNOWN_NS: it missed nothing */
    const char *role_before, *role_after; /* pod names, NULL: no role asked */
    int64_t role_seen_before;  /* act - last answer that showed the victim in the role, ns */
    int64_t role_after_at;     /* offset of the first answer that showed someone in the role */
    const json_t *role_before_data, *role_after_data; /* captured values */
    struct mark *marks; /* the first of each name until the next act, by time */
    size_t mark_count;
};

struct check_result {
    char *name;
    enum verdict verdict;
    double value, limit; /* in unit; NaN: unknown */
    const char *unit;    /* "%", "ms", "" */
    char *why;
};

struct judgement {
    const struct history *history; /* borrowed */
    enum verdict verdict;
    char *why; /* one sentence */
    struct lane_figures *lanes; /* first each load as a whole (lane -1), in order, then its lanes, then its targets */
    size_t lane_count;
    struct act_figures *acts;
    size_t act_count;
    struct check_result *checks;
    size_t check_count;
    int64_t schedule_t, loads_end_t, end_t;
    bool ended; /* the history has run/end */
    void *arena; /* private */
};

int judge(const struct history *h, struct judgement **ret, struct error *err);
void judgement_free(struct judgement *j); /* NULL-safe */
