/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Thresholds: METRIC[.STAT][(LOAD[, LANE])] OP LIMIT, for example
 *   availability >= 99.9%          availability(writes) >= 95%      availability.time(writes) >= 99%
 *   downtime.max(writes) < 3s      downtime.total(writes) < 5s      downtime.count(writes) <= 3
 *   degradation.max(writes) < 2s   degradation.total(writes) < 5s   degradation.count(writes) <= 3
 *   recovery.max < 15s             recovery.sustained.max < 5s      recovery.detect.p(50) < 1s   recovery.first_good.max, recovery.redundancy.max
 *   p(99) < 300ms                  p(99.9)(writes) < 1s             errors(writes) < 1%
 *   stale_retries(writes) == 0     (requests whose reused connection was dead)
 *   probe(pings) >= 99%            the share of a probe's answers that were right
 *   ledger.lost(writes) == 0       ledger.stale(writes) <= 5        ledger.unknown(writes) == 0      rpo.max < 1s
 * recovery.max is recovery.sustained.max. recovery(FAULT).max looks at one fault's acts only: recovery.sustained.max(kill-leader).
 * OP: < <= > >= == . */
#include "base/error.h"

#include <stdint.h>

enum metric { METRIC_AVAILABILITY, METRIC_AVAILABILITY_TIME, METRIC_ERRORS, METRIC_DOWNTIME_MAX, METRIC_DOWNTIME_TOTAL, METRIC_DOWNTIME_COUNT,
              METRIC_STALE_RETRIES, METRIC_DEGRADATION_MAX, METRIC_DEGRADATION_TOTAL, METRIC_DEGRADATION_COUNT, METRIC_RECOVERY, METRIC_LATENCY, METRIC_PROBE,
              METRIC_LEDGER_LOST, METRIC_LEDGER_STALE, METRIC_LEDGER_UNKNOWN, METRIC_RPO, METRIC_COUNT };
enum milestone { MILESTONE_DETECT, MILESTONE_FIRST_GOOD, MILESTONE_SUSTAINED, MILESTONE_REDUNDANCY };
enum compare { CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_EQ };
enum expect_unit { UNIT_PPM, UNIT_NS, UNIT_COUNT };

struct expect {
    enum metric metric;
    enum milestone milestone; /* METRIC_RECOVERY */
    int64_t quantile_ppm;     /* latency and recovery: 990000 for p(99); 1000000 for max */
    char of[64];              /* load, fault or probe name; "": all */
    char lane[8];             /* one of lane_names; "": all lanes together */
    enum compare compare;
    enum expect_unit unit;
    int64_t limit;
};

int expect_parse(const char *text, struct expect *ret, struct error *err);
