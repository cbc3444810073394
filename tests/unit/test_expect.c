/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "check/expect.h"

#define MS INT64_C(1000000)
#define S (1000 * MS)
#define MAX 1000000

static const struct {
    const char *text;
    struct expect want;
} good[] = {
    {"availability >= 99.9%", {METRIC_AVAILABILITY, 0, MAX, "", "", CMP_GE, UNIT_PPM, 999000}},
    {"availability(writes) >= 95%", {METRIC_AVAILABILITY, 0, MAX, "writes", "", CMP_GE, UNIT_PPM, 950000}},
    {"availability.time(writes) >= 99%", {METRIC_AVAILABILITY_TIME, 0, MAX, "writes", "", CMP_GE, UNIT_PPM, 990000}},
    {"availability(writes, fresh) > 0.01%", {METRIC_AVAILABILITY, 0, MAX, "writes", "fresh", CMP_GT, UNIT_PPM, 100}},
    {"stale_retries(writes, reused) == 0", {METRIC_STALE_RETRIES, 0, MAX, "writes", "reused", CMP_EQ, UNIT_COUNT, 0}},
    {"errors(writes) < 1%", {METRIC_ERRORS, 0, MAX, "writes", "", CMP_LT, UNIT_PPM, 10000}},
    {"downtime.max(writes) < 3s", {METRIC_DOWNTIME_MAX, 0, MAX, "writes", "", CMP_LT, UNIT_NS, 3 * S}},
    {"downtime(writes).max < 3s", {METRIC_DOWNTIME_MAX, 0, MAX, "writes", "", CMP_LT, UNIT_NS, 3 * S}},
    {"downtime.total < 1m30s", {METRIC_DOWNTIME_TOTAL, 0, MAX, "", "", CMP_LT, UNIT_NS, 90 * S}},
    {"downtime.count(writes) <= 3", {METRIC_DOWNTIME_COUNT, 0, MAX, "writes", "", CMP_LE, UNIT_COUNT, 3}},
    {"downtime.count == 0", {METRIC_DOWNTIME_COUNT, 0, MAX, "", "", CMP_EQ, UNIT_COUNT, 0}},
    {"recovery.max < 15s", {METRIC_RECOVERY, MILESTONE_SUSTAINED, MAX, "", "", CMP_LT, UNIT_NS, 15 * S}},
    {"recovery.sustained.max < 5s", {METRIC_RECOVERY, MILESTONE_SUSTAINED, MAX, "", "", CMP_LT, UNIT_NS, 5 * S}},
    {"recovery.sustained.max(kill-leader) < 5s", {METRIC_RECOVERY, MILESTONE_SUSTAINED, MAX, "kill-leader", "", CMP_LT, UNIT_NS, 5 * S}},
    {"recovery(kill-leader).max < 5s", {METRIC_RECOVERY, MILESTONE_SUSTAINED, MAX, "kill-leader", "", CMP_LT, UNIT_NS, 5 * S}},
    {"recovery.detect.p(50) < 1s", {METRIC_RECOVERY, MILESTONE_DETECT, 500000, "", "", CMP_LT, UNIT_NS, S}},
    {"recovery.p(95)(kill) < 1s", {METRIC_RECOVERY, MILESTONE_SUSTAINED, 950000, "kill", "", CMP_LT, UNIT_NS, S}},
    {"recovery.first_good.max < 800ms", {METRIC_RECOVERY, MILESTONE_FIRST_GOOD, MAX, "", "", CMP_LT, UNIT_NS, 800 * MS}},
    {"recovery.redundancy.max < 30s", {METRIC_RECOVERY, MILESTONE_REDUNDANCY, MAX, "", "", CMP_LT, UNIT_NS, 30 * S}},
    {"p(99) < 300ms", {METRIC_LATENCY, 0, 990000, "", "", CMP_LT, UNIT_NS, 300 * MS}},
    {"p(99.9)(writes) < 1s", {METRIC_LATENCY, 0, 999000, "writes", "", CMP_LT, UNIT_NS, S}},
    {"latency.p(50) < 1.5ms", {METRIC_LATENCY, 0, 500000, "", "", CMP_LT, UNIT_NS, 1500000}},
    {"latency.max(writes, reused) < 2s", {METRIC_LATENCY, 0, MAX, "writes", "reused", CMP_LT, UNIT_NS, 2 * S}},
    {"probe(pings) >= 99.5%", {METRIC_PROBE, 0, MAX, "pings", "", CMP_GE, UNIT_PPM, 995000}},
    {"p(100) < 1s", {METRIC_LATENCY, 0, MAX, "", "", CMP_LT, UNIT_NS, S}},
    {"ledger.lost == 0", {METRIC_LEDGER_LOST, 0, MAX, "", "", CMP_EQ, UNIT_COUNT, 0}},
    {"ledger.lost(writes) <= 5", {METRIC_LEDGER_LOST, 0, MAX, "writes", "", CMP_LE, UNIT_COUNT, 5}},
    {"ledger.stale(writes) <= 5", {METRIC_LEDGER_STALE, 0, MAX, "writes", "", CMP_LE, UNIT_COUNT, 5}},
    {"ledger.unknown == 0", {METRIC_LEDGER_UNKNOWN, 0, MAX, "", "", CMP_EQ, UNIT_COUNT, 0}},
    {"rpo.max(writes) < 1s", {METRIC_RPO, 0, MAX, "writes", "", CMP_LT, UNIT_NS, S}},
    /* spaces, or none */
    {"availability>=95%", {METRIC_AVAILABILITY, 0, MAX, "", "", CMP_GE, UNIT_PPM, 950000}},
    {"  availability ( writes )  >=  95 %  ", {METRIC_AVAILABILITY, 0, MAX, "writes", "", CMP_GE, UNIT_PPM, 950000}},
    {"p ( 99 ) ( writes , fresh ) < 300 ms", {METRIC_LATENCY, 0, 990000, "writes", "fresh", CMP_LT, UNIT_NS, 300 * MS}},
    {"recovery . detect . max < 1m 30s", {METRIC_RECOVERY, MILESTONE_DETECT, MAX, "", "", CMP_LT, UNIT_NS, 90 * S}},
};

static void understands(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct expect e;
        struct error err = {""};
        if (expect_parse(good[i].text, &e, &err) != 0)
            fail_msg("%s: %s", good[i].text, err.text);
        const struct expect *w = &good[i].want;
        if (e.metric != w->metric || e.milestone != w->milestone || e.quantile_ppm != w->quantile_ppm || strcmp(e.of, w->of) ||
            strcmp(e.lane, w->lane) || e.compare != w->compare || e.unit != w->unit || e.limit != w->limit)
            fail_msg("%s: understood as metric %d milestone %d q %ld of \"%s\" lane \"%s\" compare %d unit %d limit %ld", good[i].text,
                     (int)e.metric, (int)e.milestone, (long)e.quantile_ppm, e.of, e.lane, (int)e.compare, (int)e.unit, (long)e.limit);
        assert_string_equal(err.text, "");
    }
}

static const struct {
    const char *text, *says; /* says: part of the message */
} bad[] = {
    {"", "expected a metric"},
    {"   ", "expected a metric"},
    {"availability", "expected <"},
    {"availability >=", "expected a limit"},
    {"availability => 95%", "expected <"},
    {"availability = 95%", "expected <"},
    {"availability >= 95", "is not a percentage"},
    {"availability >= 3s", "is not a percentage"},
    {"availability >= 101%", "at most 100%"},
    {"availability >= -5%", "is not a percentage"},
    {"availability >= 9 5%", "expected one limit"},
    {"availability >= 95% or more", "is not a percentage"},
    {"availabilty >= 95%", "did you mean \"availability\""},
    {"downtime < 3s", "which figure"},
    {"recovery < 3s", "which figure"},
    {"recovery.detect < 3s", "which figure"},
    {"downtime.max < 3", "is not a duration"},
    {"downtime.max < 3%", "is not a duration"},
    {"downtime.max < -3s", "is not a duration"},
    {"downtime.count <= 3s", "is not a whole number"},
    {"downtime.count <= 1.5", "is not a whole number"},
    {"downtime.count <= -1", "cannot be negative"},
    {"p(0) < 1s", "above 0"},
    {"p(101) < 1s", "at most 100"},
    {"p(x) < 1s", "above 0"},
    {"p() < 1s", "expected a number"},
    {"p(99 < 1s", "expected a number"},
    {"p < 1s", "p(99)"},
    {"p99 < 1s", "p(99)"},
    {"p(99)(a)(b) < 1s", "only one"},
    {"availability() >= 95%", "expected the name"},
    {"availability(Writes) >= 95%", "expected the name"},
    {"availability(writes >= 95%", "expected the name"},
    {"availability(writes, slow) >= 95%", "\"slow\" is no lane"},
    {"availability(writes,) >= 95%", "expected a lane"},
    {"recovery.max(kill, fresh) < 1s", "no lane"},
    {"ledger.lost(writes, exec) == 0", "no lane"},
    {"ledger < 3", "which figure"},
    {"ledger.lots == 0", "did you mean \"ledger.lost\""},
    {"ledger.lost < 1%", "is not a whole number"},
    {"rpo.max < 3", "is not a duration"},
    {"availability. >= 95%", "expected a word"},
    {"throughput >= 95%", "unknown metric"},
    {"availability.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa >= 1%", "no metric"},
    {"availability(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) >= 1%", "expected the name"},
    {"downtime.max < 99999999999999999999999999999999999999999999999999999s", "expected one limit"},
    {"downtime.max < 99999999999999999h", "too large"},
};

static void refuses(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct expect e = {.limit = 4711};
        struct error err = {""};
        int r = expect_parse(bad[i].text, &e, &err);
        if (r >= 0 || !strstr(err.text, bad[i].says))
            fail_msg("%s: %d, \"%s\" does not say \"%s\"", bad[i].text, r, err.text, bad[i].says);
        if (!strstr(err.text, "as in \""))
            fail_msg("%s: \"%s\" shows no example", bad[i].text, err.text);
        assert_int_equal(e.limit, 4711); /* untouched */
        assert_true(expect_parse(bad[i].text, &e, NULL) < 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(understands), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
