/* SPDX-License-Identifier: Apache-2.0 */
#include "check/judge.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "check/internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>

const char *const verdict_names[] = {
    [VERDICT_PASS] = "pass",       [VERDICT_FAIL] = "fail",       [VERDICT_INCONCLUSIVE] = "inconclusive",
    [VERDICT_SKIPPED] = "skipped", [VERDICT_ABORTED] = "aborted", [VERDICT_ABORTED + 1] = NULL,
};

const char stalled_text[] = "chaosd itself stalled in the meantime";

int verdict_exit_code(enum verdict v) {
    static const int codes[] = {
        [VERDICT_PASS] = 0, [VERDICT_FAIL] = 1, [VERDICT_INCONCLUSIVE] = 2, [VERDICT_SKIPPED] = 3, [VERDICT_ABORTED] = 4,
    };
    return (size_t)v < ARRAY_SIZE(codes) ? codes[v] : 70;
}

int out_of_memory(struct error *err) { return error_set(err, -ENOMEM, "judging: out of memory"); }

int grow(void *list, size_t count, size_t *cap, size_t size) {
    if (count < *cap)
        return 0;
    size_t next = *cap ? *cap * 2 : 16;
    void *p, *old;
    memcpy(&old, list, sizeof old);
    if (next > SIZE_MAX / size || !(p = realloc(old, next * size)))
        return -ENOMEM;
    memcpy(list, &p, sizeof p);
    *cap = next;
    return 0;
}

int64_t time_or(const json_t *data, const char *key, int64_t fallback) {
    const int64_t limit = INT64_C(1) << 60;
    const json_t *v = json_object_get(data, key);
    int64_t t = json_is_integer(v) ? json_integer_value(v) : limit;
    return t > -limit && t < limit ? t : fallback;
}

struct check_result *check_add(struct work *w, const char *name, struct error *err) {
    struct judgement *j = w->j;
    struct check_result *list = realloc(j->checks, (j->check_count + 1) * sizeof *list);
    char *copy = arena_strdup(w->a, name);
    if (list)
        j->checks = list;
    if (!list || !copy) {
        out_of_memory(err);
        return NULL;
    }
    list[j->check_count] = (struct check_result){.name = copy, .value = NAN, .limit = NAN, .unit = ""};
    return &list[j->check_count++];
}

static int by_from(const void *a, const void *b) {
    const struct interval *x = a, *y = b;
    return x->from != y->from ? (x->from > y->from) - (x->from < y->from) : (x->to > y->to) - (x->to < y->to);
}

static void join_stalls(struct work *w) {
    if (w->stall_count)
        qsort(w->stalls, w->stall_count, sizeof *w->stalls, by_from);
    size_t to = 0;
    for (size_t i = 0; i < w->stall_count; i++) {
        if (to && w->stalls[i].from <= w->stalls[to - 1].to) {
            if (w->stalls[i].to > w->stalls[to - 1].to)
                w->stalls[to - 1].to = w->stalls[i].to;
        } else {
            w->stalls[to++] = w->stalls[i];
        }
    }
    w->stall_count = to;
}

static int add_stall(struct work *w, const struct event *e, struct error *err) {
    struct interval i = {time_or(e->data, "from", e->t), time_or(e->data, "to", e->t)};
    if (i.to < i.from)
        i.to = i.from;
    if (grow(&w->stalls, w->stall_count, &w->stall_cap, sizeof *w->stalls) < 0)
        return out_of_memory(err);
    w->stalls[w->stall_count++] = i;
    return 0;
}

static void read_ready(struct work *w, const struct event *e) {
    if (!strcmp(e->phase, "fail"))
        w->trouble = json_str_or(e->data, "why", "the pods did not get ready");
}

static void read_end(struct work *w, const struct event *e) {
    w->j->ended = true;
    w->samples = json_int_or(e->data, "samples", -1);
}

static void read_self(struct work *w, const struct event *e) {
    if (!strcmp(e->op, "self/error") && !w->trouble)
        w->trouble = json_str_or(e->data, "why", "chaosd had trouble of its own");
    else if (!strcmp(e->op, "self/left") && !w->left)
        w->left = json_str_or(e->data, "why", "something could not be undone");
}

static int read_run(struct work *w, struct error *err) {
    struct judgement *j = w->j;
    j->schedule_t = j->loads_end_t = j->end_t = UNKNOWN_NS;
    for (size_t i = 0; i < w->h->event_count; i++) {
        const struct event *e = &w->h->events[i];
        int rc = 0;
        j->end_t = e->t > j->end_t ? e->t : j->end_t;
        if (!strcmp(e->op, "run/schedule"))
            j->schedule_t = e->t;
        else if (!strcmp(e->op, "run/loads-end"))
            j->loads_end_t = e->t;
        else if (!strcmp(e->op, "run/end"))
            read_end(w, e);
        else if (!strcmp(e->op, "run/ready"))
            read_ready(w, e);
        else if (!strcmp(e->op, "run/abort") && !w->aborted)
            w->aborted = json_str_or(e->data, "why", "stopped");
        else if (!strcmp(e->op, "run/skip") && !w->skipped)
            w->skipped = json_str_or(e->data, "why", "nothing was applicable");
        else if (!strcmp(e->op, "self/stall"))
            rc = add_stall(w, e, err);
        else
            read_self(w, e);
        if (rc < 0)
            return rc;
    }
    join_stalls(w);
    return 0;
}

static int read_loads(struct work *w, struct error *err) {
    json_t *loads = json_object_get(w->h->header, "loads"), *spec;
    size_t i, n = json_array_size(loads);
    w->loads = arena_alloc(w->a, (n + 1) * sizeof *w->loads);
    if (!w->loads)
        return out_of_memory(err);
    json_array_foreach(loads, i, spec) {
        struct load_work *l = &w->loads[i];
        l->name = json_str_or(spec, "name", "");
        l->goods = json_int_or(spec, "goods", 5);
        l->over_ns = json_int_or(spec, "over_ns", INT64_C(1000000000));
        l->deadline_ns = json_int_or(spec, "deadline_ns", 0);
        l->driver = !strcmp(json_str_or(spec, "kind", ""), "driver");
        l->insecure = json_is_true(json_object_get(spec, "insecure"));
        l->control = json_is_true(json_object_get(spec, "control"));
        l->slow_ns = json_int_or(spec, "slow_ns", 0);
        w->control_count += l->control;
        l->closed = json_is_true(json_object_get(spec, "closed"));
        l->mute = !strcmp(json_str_or(spec, "samples", ""), "none");
        if (l->goods < 1)
            l->goods = 1;
        if (l->deadline_ns < 0 || l->deadline_ns > INT64_C(1) << 60)
            l->deadline_ns = 0;
        if (l->slow_ns < 0)
            l->slow_ns = 0;
    }
    w->load_count = n;
    return 0;
}

static int work_through(struct work *w, struct error *err) {
    static int (*const steps[])(struct work *, struct error *) = {read_run,      read_loads,      acts_collect,
                                                                     externals_collect, measure_loads, acts_scopes, acts_redundancy, acts_timeline, acts_marks, probes_collect,
                                                                     ledgers_measure};
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(steps) && rc == 0; i++)
        rc = steps[i](w, err);
    if (rc < 0)
        return rc;
    rc = recovery_measure(w, err);
    if (rc == 0)
        rc = verdict_basics(w, err);
    if (rc == 0)
        rc = probes_check(w, err);
    if (rc == 0)
        rc = thresholds_check(w, err);
    return rc ? rc : verdict_conclude(w, err);
}

static void work_free(struct work *w) {
    for (size_t i = 0; i < w->load_count; i++)
        free(w->loads[i].order);
    for (size_t i = 0; w->rows && i < w->j->lane_count; i++) {
        track_free(&w->rows[i].down);
        track_free(&w->rows[i].slow);
        windows_free(&w->rows[i].worst);
        latencies_free(&w->rows[i].latencies);
    }
    free(w->rows);
    free(w->acts);
    reach_free(w->reach);
    scoped_free(w->scoped);
    free(w->stalls);
}

static void judgement_freep(struct judgement **j) { judgement_free(*j); }

int judge(const struct history *h, struct judgement **ret, struct error *err) {
    cleanup(judgement_freep) struct judgement *j = calloc(1, sizeof *j);
    if (!j || !(j->arena = arena_new()))
        return out_of_memory(err);
    j->history = h;
    struct work w = {.h = h, .j = j, .a = j->arena, .top_id = -1, .samples = -1};
    int rc = work_through(&w, err);
    work_free(&w);
    if (rc == 0)
        *ret = take_ptr(j);
    return rc;
}

void judgement_free(struct judgement *j) {
    if (!j)
        return;
    free(j->lanes);
    free(j->acts);
    free(j->checks);
    arena_free(j->arena);
    free(j);
}
