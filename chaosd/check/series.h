/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Several runs of one scenario together: how many passed, how available each load was, how long recoveries take. Runs and recoveries
 * are the independent things; requests within a run are not. Pure: from judgements alone, which may go once they are added. */
#include "base/arena.h"
#include "check/judge.h"
#include "check/recoveries.h"

struct series_run {
    const char *folder, *name, *scenario, *digest, *seed, *why; /* digest, seed: NULL where the history does not say */
    int64_t wall_ns;
    enum verdict verdict;
    size_t acts;       /* carried out */
    double slowest_ms; /* sustained recovery; NaN: no act */
    bool slowest_open; /* one was not reached, or is not to be judged: at least so long */
};

struct series_value { /* a load in one run */
    double available; /* by requests; NaN: not there */
    double down_ms;   /* its longest downtime; 0: none, NaN: not there */
    bool down_open;   /* a window has no known length: at least so long */
    bool doubt;       /* a window is not to be judged */
};

struct series_load {
    const char *name;
    bool control;
    struct series_value *values; /* a run each */
    size_t count;                /* runs in which it was there */
    double worst, median, best;  /* availability; the lower of two in the middle */
    double low, high;            /* interval of the median; NaN: the runs are too few */
    double down_median, down_most;
    bool down_open, doubt;       /* the longest may have been longer; a window is not to be judged */
};

struct series_bound { /* an upper bound of a quantile of all recoveries; NaN: unknown */
    double at_most;
    size_t missing; /* so many more recoveries are needed; 0: enough */
};

struct series_recoveries {
    const char *fault; /* NULL: of all faults */
    enum milestone milestone;
    struct recoveries of;
    double least, most;         /* most INFINITY: one was not reached */
    double median, low, high;   /* the longer of two in the middle, and its interval; NaN: not known */
    size_t median_missing;      /* so many more are needed for the interval */
    struct series_bound p95, p99;
};

struct series {
    struct series_run *runs;
    size_t run_count, run_cap;
    struct series_load *loads;
    size_t load_count, load_cap;
    struct series_recoveries *recoveries;
    size_t recovery_count, recovery_cap;
    size_t passed, decided;     /* decided: passed or failed */
    double passed_low, passed_high; /* Wilson, of the decided */
    enum verdict verdict;       /* the worst: fail, inconclusive, aborted, skipped, pass */
    struct arena *arena;
};

extern const char *const milestone_names[];

struct series *series_new(size_t runs); /* the most that will be added; NULL: out of memory */
/* folder: how the run is called in messages. mixed: other scenarios are welcome, else -EXDEV. A run that is in it already: -EEXIST. */
int series_add(struct series *s, const char *folder, const struct judgement *j, bool mixed, struct error *err);
int series_conclude(struct series *s, struct error *err); /* fills in what is of all runs together */
void series_free(struct series *s); /* NULL-safe */
