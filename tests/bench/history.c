/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a run folder without a run: history DIR SAMPLES ACTS [RATE]. Two loads, two lanes each, three targets, RATE (5,000) requests a
 * second in all;
 * ACTS kills spread over them, each a second of refusals and time-outs on its victim. For timing what judges and renders. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/rng.h"
#include "history/recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TARGETS = 3, LOADS = 2, DEADLINE_MS = 500, HELD_MOST = 8192 };
#define READY_NS INT64_C(2000000000) /* the schedule's start */

struct maker {
    struct recorder *rec;
    struct rng rng;
    int64_t samples, acts, rate, span_ns;
    struct sample held[HELD_MOST]; /* time-outs, told when they ended: all as long, so a queue */
    size_t first, count;
};

static int64_t act_at(const struct maker *m, int64_t i) { return READY_NS + (int64_t)((double)m->span_ns * ((double)i + 0.5) / (double)m->acts); }

static json_t *make_header(const struct maker *m) {
    json_t *plan = json_array();
    for (int64_t i = 0; i < m->acts; i++)
        json_array_append_new(plan, json_pack("{s:i,s:I,s:I,s:I,s:s}", "fault", 0, "occurrence", (json_int_t)(i + 1), "at_ns",
                                              (json_int_t)(act_at(m, i) - READY_NS), "for_ns", (json_int_t)0, "draw", "00000000000000ff"));
    json_t *loads = json_array();
    for (int i = 0; i < LOADS; i++)
        json_array_append_new(loads, json_pack("{s:s,s:s,s:I,s:[s,s],s:I,s:i,s:I}", "name", i ? "reads" : "writes", "kind", "http", "rate_micro",
                                               (json_int_t)m->rate / LOADS * 1000000, "lanes", "fresh", "reused", "deadline_ns",
                                               (json_int_t)DEADLINE_MS * NS_PER_MS, "goods", 5, "over_ns", (json_int_t)NS_PER_S));
    return json_pack("{s:s,s:s,s:i,s:s,s:I,s:I,s:o,s:[{s:s,s:s,s:b}],s:[{s:s,s:i}],s:[s,s,s],s:o}", "run", "made", "scenario", "made", "seed", 1,
                     "version", "0", "duration_ns", (json_int_t)m->span_ns, "settle_ns", (json_int_t)0, "loads", loads, "faults", "name",
                     "kill", "kind", "pod-kill", "holds", 0, "workloads", "name", "web", "replicas", TARGETS, "expect",
                     "availability >= 50%", "downtime.max < 10s", "p(99) < 1s", "plan", plan);
}

static void pod_event(struct maker *m, int64_t t, const char *kind, const char *pod) {
    recorder_event_at(m->rec, t, "cluster", "cluster/pod", "info", kind, pod, json_pack("{s:s,s:s}", "uid", pod, "workload", "web"));
}

static const char *pod_name(int64_t i, char name[32]) {
    snprintf(name, 32, "web-%" PRId64, i % TARGETS);
    return name;
}

static void begin(struct maker *m) {
    char name[32];
    for (int i = 0; i < TARGETS; i++)
        pod_event(m, 0, "ready", pod_name(i, name));
    recorder_event_at(m->rec, READY_NS, "run", "run/schedule", "info", NULL, NULL, NULL);
    for (int i = 0; i < TARGETS; i++)
        recorder_event_at(m->rec, READY_NS, "load", "load/target", "info", NULL, pod_name(i, name), json_pack("{s:i}", "id", i));
}

static void act(struct maker *m, int64_t i) {
    char name[32];
    int64_t t = act_at(m, i);
    pod_name(i, name);
    recorder_event_at(m->rec, t - 100000, "fault", "fault/act", "invoke", "pod-kill", name,
                      json_pack("{s:I,s:s,s:I,s:I,s:[s,s,s],s:s,s:s}", "id", (json_int_t)(i + 1), "fault", "kill", "occurrence", (json_int_t)(i + 1),
                                "planned_ns", (json_int_t)t, "candidates", "web-0", "web-1", "web-2", "draw", "00000000000000ff", "uid", name));
    recorder_event_at(m->rec, t, "fault", "fault/act", "ok", "pod-kill", name, json_pack("{s:I}", "id", (json_int_t)(i + 1)));
    pod_event(m, t + 1000000, "exited", name);
    recorder_event_at(m->rec, t + 1100000, "fault", "fault/observed", "info", "pod-kill", name,
                      json_pack("{s:I,s:s}", "id", (json_int_t)(i + 1), "proof", "pod exited"));
    pod_event(m, t + 900000000, "started", name);
    pod_event(m, t + 1000000000, "ready", name);
}

static void tell_held(struct maker *m, int64_t until) {
    while (m->count && m->held[m->first].end_ns <= until) {
        recorder_sample(m->rec, &m->held[m->first]);
        m->first = (m->first + 1) % HELD_MOST;
        m->count--;
    }
}

static void request(struct maker *m, int64_t i, int64_t last_act) {
    int64_t t = READY_NS + i * (NS_PER_S / m->rate);
    struct sample s = {.planned_ns = t, .start_ns = t + (int64_t)rng_below(&m->rng, 100000), .load = (uint16_t)(i % LOADS),
                       .lane = i / LOADS % 2 ? LANE_REUSED : LANE_FRESH, .target = (uint16_t)(i / LOADS % TARGETS), .steps = 1, .bytes = 100};
    bool down = last_act >= 0 && s.target == last_act % TARGETS && t > act_at(m, last_act) && t < act_at(m, last_act) + NS_PER_S;
    tell_held(m, t);
    if (down && s.lane == LANE_REUSED && m->count < HELD_MOST) {
        s.outcome = OUTCOME_BAD;
        s.reason = REASON_TIMEOUT;
        s.end_ns = s.planned_ns + DEADLINE_MS * NS_PER_MS + 100000;
        m->held[(m->first + m->count++) % HELD_MOST] = s;
        return;
    }
    s.outcome = down ? OUTCOME_BAD : OUTCOME_GOOD;
    s.reason = down ? REASON_REFUSED : REASON_NONE;
    s.status = down ? 0 : 200;
    s.end_ns = s.start_ns + 200000 + (int64_t)(-log1p(-rng_unit(&m->rng)) * 800000);
    recorder_sample(m->rec, &s);
}

static int make(struct maker *m, const char *dir, struct error *err) {
    cleanup_json json_t *header = make_header(m);
    int rc = mkdir(dir, 0755) < 0 ? error_errno(err, "%s", dir) : recorder_open(&m->rec, dir, header, &clock_monotonic, err);
    if (rc < 0)
        return rc;
    begin(m);
    int64_t done = 0;
    for (int64_t i = 0; i < m->samples; i++) {
        while (done < m->acts && act_at(m, done) <= READY_NS + i * (NS_PER_S / m->rate))
            act(m, done++);
        request(m, i, done - 1);
    }
    tell_held(m, INT64_MAX);
    int64_t end = READY_NS + m->span_ns + NS_PER_S;
    recorder_event_at(m->rec, end, "run", "run/loads-end", "info", NULL, NULL, NULL);
    recorder_event_at(m->rec, end, "run", "run/end", "info", NULL, NULL, json_pack("{s:I}", "samples", (json_int_t)m->samples));
    return recorder_close(m->rec, err);
}

int main(int argc, char **argv) {
    static struct maker m; /* too much for a stack */
    struct error err = {""};
    bool fits = argc == 4 || argc == 5;
    m.samples = fits ? strtoll(argv[2], NULL, 10) : 0;
    m.acts = fits ? strtoll(argv[3], NULL, 10) : 0;
    m.rate = argc == 5 ? strtoll(argv[4], NULL, 10) : 5000;
    if (m.samples < 1 || m.acts < 0 || m.rate < 1) {
        fprintf(stderr, "usage: history DIR SAMPLES ACTS [RATE]\n");
        return 64;
    }
    m.span_ns = m.samples * (NS_PER_S / m.rate);
    rng_seed(&m.rng, 1);
    if (make(&m, argv[1], &err) < 0) {
        fprintf(stderr, "history: %s\n", err.text);
        return 70;
    }
    return 0;
}
