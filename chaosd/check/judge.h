/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* From a history to a verdict: pure, no clock, no cluster, no files beside the history. Definitions in docs/DEFINITIONS.md. */
#include "base/error.h"
#include "history/reader.h"

#include <stdbool.h>

enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_INCONCLUSIVE, VERDICT_SKIPPED, VERDICT_ABORTED };
extern const char *const verdict_names[];
int verdict_exit_code(enum verdict v);

#define UNKNOWN_NS INT64_MIN /* rendered as null */
extern const char stalled_text[]; /* why something is unknown: chaosd itself stalled */

enum { SHARED_MOST = 8 };

struct downtime { /* one window, of downtime or of degradation; ns on the run's clock. point and max UNKNOWN_NS when it never closed (censored) */
    int64_t start, end;       /* start of the first bad (or slow); end of the first good (and fast) after, or UNKNOWN_NS */
    int64_t min, point, max;
    int64_t bad, slow;        /* requests; slow: degradation only */
    size_t down;              /* degradation: downtime windows that lie in it, and their brackets' sums */
    int64_t down_min, down_max;
    int64_t short_by;         /* never closed, though goods came at the end: end of the load - end of their first, ns; else UNKNOWN_NS */
    int64_t late;             /* what end would be if all that chaosd missed by stalling was bad; UNKNOWN_NS: it missed nothing */
    int act;                  /* index of the act it is attributed to, -1: none */
    int begun_in;             /* the same by its start: its first bad one may have been under way when the act came */
    int shared[SHARED_MOST];  /* further acts that were in effect in it or had not been recovered from before it */
    size_t shared_count;
    bool shared_more;         /* and there are yet more of them */
    bool censored;
    bool stalled;        /* chaosd itself stalled inside: not to be judged */
    const char *suspect; /* why else it is not to be judged (a control failed as well), or NULL */
    int64_t certain;     /* of one not to be judged: it lasted so long at least */
};

/* Whether the window is the act's, alone or shared. */
static inline bool downtime_of(const struct downtime *d, int act) {
    for (size_t i = 0; i < d->shared_count; i++)
        if (d->shared[i] == act)
            return true;
    return d->act == act;
}

/* For "the worst": an unknown end counts from its least, so that a short open window never hides a long closed one. */
static inline int64_t downtime_known(const struct downtime *d) { return d->max != UNKNOWN_NS ? d->max : d->min; }

struct baseline { /* requests planned and ended before the first act, without the load's first second */
    int64_t planned, bad;
    double p50_ms, p99_ms, max_ms; /* INFINITY: a bad one; NaN: no request */
};

struct lane_figures {
    const char *load; /* borrowed from the history */
    int load_index, lane; /* lane -1: all lanes of the load together */
    const char *target;   /* NULL: all targets */
    bool control;         /* a load off the fault's path: shown, and believed when it doubts the others */
    bool closed;          /* loop: the next request waits for the last one's answer, so that latency counts from the send */
    bool silent;          /* by its nature: a program that tells of no requests. Not judged */
    int64_t planned, good, bad, unsent, stale_retry;
    int64_t stalled_unsent;             /* not sent, or not to be judged, as chaosd itself stalled; not in planned */
    int64_t own_unsent;                 /* of stalled_unsent: no file, port or memory for them */
    int64_t late;                       /* of planned: sent late (SAMPLE_LATE) */
    bool insecure;                      /* any TLS certificate was accepted */
    double by_requests;                 /* NaN: no samples */
    double by_time, time_low, time_high; /* NaN: not known */
    double p50_ms, p90_ms, p99_ms, p999_ms, max_ms; /* over all planned; INFINITY when a bad one falls there; NaN: none */
    int64_t reasons[REASON_COUNT];
    struct downtime *downtime;
    size_t downtime_count;
    struct baseline baseline;  /* loads and lanes */
    bool slow_known;           /* whether there is a limit beyond which a good request is slow; without one, degradation is unknown */
    int64_t slow_limit;        /* UNKNOWN_NS: unknown, or the lanes have different ones */
    const char *slow_unknown;  /* why, or NULL */
    struct downtime *degradation; /* requests slow or bad; every downtime window lies in one of these */
    size_t degradation_count;
};

struct sla { const char *scenario, *criterion, *detail; bool success; }; /* an external program's own judgement */

struct external { /* a program of an exec load; times on the run's clock. Borrowed from the history */
    const char *load, *samples_format; /* "none": it tells of no requests */
    bool reported;                     /* the history tells of its end */
    bool started, signalled, asked, killed, cut;
    int64_t code;                      /* exit status, or the signal's number */
    int64_t from, to;                  /* UNKNOWN_NS: it never ran */
    int64_t pass_status, fail_status;  /* fail_status 0: none */
    int64_t left, samples, unreadable, unreadable_first, clock_step;
    const char *why, *unreadable_why, *no_samples, *last_words; /* NULL: nothing to say */
    struct sla *slas;
    size_t sla_count;
};

struct mark { /* a line of a pod's own log, by its own stamp */
    const char *name, *pod;
    int64_t at; /* offset from the act */
};

/* What the control plane said after an act, in the order in which chaosd's watches saw it. Offsets from the act on the run's clock; stamp is
 * the server's own time of the thing, as it wrote it: shown, never computed with. Texts are borrowed from the history, or the judgement's. */
struct sighting {
    const char *what;   /* "deletion stamped"; "event Killing" is an Event of the API */
    int64_t at;         /* when it was seen */
    int64_t from;       /* it came about between here and `at`; UNKNOWN_NS: it was seen as it came */
    const char *stamp;  /* or NULL */
    const char *object; /* the name of a pod, node, workload or lease; what was followed, of "API gap" */
    const char *note;   /* the node, Service, holder, or an Event's message; or NULL */
    bool late;          /* seen after a gap in what chaosd could follow */
};

struct missing { /* what had to follow, and was not seen before the observation ended */
    const char *what, *object;
    const char *why; /* NULL: what is missing before it says why */
};

struct act_effect { /* of a network fault, as the kernel counted. -1: not known */
    int64_t packets, bytes;             /* that were named, and taken or dropped */
    int64_t queue_sent, queue_dropped;  /* by netem's queue */
    int64_t drain;                      /* from its end until the queue was empty, ns; UNKNOWN_NS */
    int64_t cut;                        /* still queued when that took too long, and dropped */
};

struct act_measured { /* echo requests from the victim to the far ends, during the fault and as many after it */
    bool known;
    int64_t sent, lost, sent_after, lost_after;
    int64_t rtt, rtt_after, added;      /* medians, ns; UNKNOWN_NS: none came back */
    double loss_low, loss_high;         /* Wilson's interval with 99 % */
    const char *why;                    /* it could not be measured; or NULL */
};

struct act_figures {
    const char *fault, *kind, *target;
    int64_t id;
    unsigned occurrence;
    int64_t at;         /* injected; UNKNOWN_NS: never */
    const char *unable; /* why this machine cannot do it; NULL: it can */
    bool acted, skipped, observed, holds, reverted;
    bool unclear;       /* asked for, and no answer came: it may have been in effect unseen */
    bool stuck;         /* held, and known not to be undone; not where the history just ends */
    int64_t observed_at, reverted_at;
    const char *why;    /* of a skip or failure, or of no answer; or NULL */
    const char *revert_why; /* of an end that failed, or NULL */
    const char *by;     /* of a network fault that was in: "netem" or "drop"; else NULL */
    bool by_share;      /* it dropped a share only of what it named */
    const char *trouble; /* why it was not in effect as asked, or not any more; or NULL */
    struct act_effect affected;
    struct act_measured measured;
    int64_t detect, first_good, sustained, redundancy; /* offsets from at; UNKNOWN_NS */
    bool noticed;       /* a load saw it */
    bool censored;
    bool short_of;      /* redundancy: seen lost, and not seen restored */
    bool stalled;       /* chaosd itself stalled in a window of this act: not to be judged */
    const char *suspect; /* why else a window of this act is not to be judged, or NULL */
    int64_t at_least;   /* censored: sustained is no less than this; otherwise UNKNOWN_NS */
    int64_t certain;    /* stalled or suspect: sustained is no less than this; 0: nothing is certain */
    int64_t late;       /* what sustained would be if all that chaosd missed by stalling was bad; UNKNOWN_NS: it missed nothing */
    const char *role_before, *role_after; /* pod names, NULL: no role asked */
    int64_t role_seen_before;  /* act - last answer that showed the victim in the role, ns */
    int64_t role_after_at;     /* offset of the first answer that showed someone in the role */
    const json_t *role_before_data, *role_after_data; /* captured values */
    struct mark *marks; /* the first of each name until the next act, by time */
    size_t mark_count;
    struct sighting *timeline; /* by time; empty where no control plane was followed */
    size_t timeline_count, timeline_left_out;
    struct missing *not_reached;
    size_t not_reached_count;
};

/* Why an act was never seen in effect, as far as that is known; or NULL. */
const char *act_unseen_why(const struct act_figures *f);

struct probe_stretch { /* wrong answers in a row; ns on the run's clock, bracketed as a downtime is */
    int64_t start, end;      /* asked for the first wrong one; seen the first right one after, or UNKNOWN_NS */
    int64_t seen;            /* the first wrong one was known */
    int64_t before;          /* asked for the last right one before; UNKNOWN_NS: none */
    int64_t min, point, max; /* UNKNOWN_NS: not known */
    const char *why;         /* of the first wrong one */
};

struct probe_target { /* one that was asked, or whoever had the role */
    int64_t id;
    const char *name; /* of the pod; "": none in particular */
    int64_t asked, good, bad, unsure; /* answers; unsure: wrong while chaosd itself stalled. -1: not known */
    int64_t first_seen; /* the first answer; UNKNOWN_NS: none */
    int64_t unwritten;  /* changes that the history leaves out, beyond its limit */
    bool ok;            /* the last decided answer was right */
    struct probe_stretch *stretches;
    size_t stretch_count;
};

struct probe_figures {
    const char *name, *kind, *mode; /* borrowed from the history */
    enum verdict verdict;           /* by its own check; thresholds on it aside */
    struct probe_target *targets;
    size_t target_count;
    int64_t asked, good, bad, unsure; /* sums; -1: not known */
    const struct probe_stretch *first, *longest; /* NULL: no wrong answer */
    const struct probe_target *first_target;
};

struct ledger_loss { /* acknowledged writes lost to one act; ns on the run's clock */
    int act;             /* index, -1: none */
    int64_t lost;
    int64_t first, last;   /* acknowledgements of the first and the last of them */
    int64_t before, after; /* of the nearest ones that were kept; UNKNOWN_NS: there is none */
    int64_t rpo_min, rpo_max; /* last - first; after - before */
};

struct ledger_figures { /* of a load that keeps one */
    const char *load;
    int load_index;
    int64_t written, acknowledged; /* sent; answered good */
    bool read;                     /* read back at the end: only then the rest is known */
    int64_t present, lost, stale, unknown; /* of the acknowledged; unknown: no answer when read back */
    int64_t other;                 /* another value was there */
    int64_t recovered;             /* without a good answer, but there */
    bool truncated;                /* not all lost ones are listed: losses are incomplete */
    const char *why;               /* why some are unknown, or NULL */
    const json_t *keys;            /* of the first lost ones; NULL: none */
    struct ledger_loss *losses;    /* an act each, by time */
    size_t loss_count;
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
    struct external *externals; /* in the order of their loads */
    size_t external_count;
    struct probe_figures *probes;
    size_t probe_count;
    struct ledger_figures *ledgers; /* loads without one are left out */
    size_t ledger_count;
    struct check_result *checks;
    size_t check_count;
    int64_t schedule_t, loads_end_t, end_t;
    bool ended; /* the history has run/end */
    void *arena; /* private */
};

int judge(const struct history *h, struct judgement **ret, struct error *err);
void judgement_free(struct judgement *j); /* NULL-safe */
