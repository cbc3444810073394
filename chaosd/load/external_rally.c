/* SPDX-License-Identifier: Apache-2.0 */
/* Rally's JSON report: tasks, subtasks, workloads, and of each workload its iterations ("data") and what its SLA came to. An
 * iteration is one sample: from the beginning of its first atomic action to the end of its last one, so that a pause around them is
 * not taken for an answer; without any, from "timestamp" (seconds since 1970) for "duration" and "idle_duration". "error" is
 * empty where it succeeded, else the exception's name, its words and the traceback. */
#include "base/cleanup.h"
#include "base/json.h"
#include "history/event.h"
#include "load/external.h"

#include <limits.h>
#include <string.h>

struct walk {
    const struct external_report *r;
    size_t nth, workloads;
    bool several; /* workloads: then each is a target of its own */
};

/* The name of a workload's scenario, the only key of its object. */
static const char *scenario_of(const json_t *workload) {
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(workload, "scenario"), key, value) return key;
    return "";
}

static uint8_t reason_of(const json_t *error) {
    for (size_t i = 0; i < 2; i++) { /* the words say more than the exception's name, where both say something */
        const char *words = json_string_value(json_array_get(error, 1 - i));
        uint8_t reason = words ? external_reason(words) : REASON_OTHER;
        if (reason != REASON_OTHER)
            return reason;
    }
    return REASON_OTHER;
}

/* What the actions span, within what is there of them. */
static const char *read_actions(const json_t *actions, struct external_sample *s) {
    size_t i;
    json_t *one;
    int64_t from, to;
    json_array_foreach(actions, i, one) {
        const json_t *started = json_object_get(one, "started_at"), *finished = json_object_get(one, "finished_at");
        if (!json_is_number(started) || !external_seconds(json_number_value(started), &from) || !json_is_number(finished) ||
            !external_seconds(json_number_value(finished), &to) || to < from)
            return "an atomic action has no times";
        s->start_ns = i && s->start_ns < from ? s->start_ns : from;
        s->end_ns = i && s->end_ns > to ? s->end_ns : to;
    }
    s->steps = i > UINT8_MAX ? UINT8_MAX : (uint8_t)i;
    return NULL;
}

static const char *read_iteration(const json_t *o, struct external_sample *s) {
    const json_t *at = json_object_get(o, "timestamp"), *took = json_object_get(o, "duration"), *idle = json_object_get(o, "idle_duration");
    const json_t *error = json_object_get(o, "error");
    double whole = json_number_value(took) + json_number_value(idle); /* an absent idle_duration is none */
    int64_t ns;
    if (!json_is_number(at) || !external_seconds(json_number_value(at), &s->start_ns))
        return "its \"timestamp\" is no time";
    if (!json_is_number(took) || !external_seconds(whole, &ns))
        return "its \"duration\" is no length";
    if (!json_is_array(error))
        return "it has no \"error\" list";
    s->end_ns = s->start_ns + ns;
    s->good = json_array_size(error) == 0;
    s->reason = s->good ? REASON_NONE : reason_of(error);
    return read_actions(json_object_get(o, "atomic_actions"), s);
}

static void walk_data(struct walk *w, const json_t *workload) {
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(workload, "data"), i, one) {
        struct external_sample s = {0};
        const char *wrong = read_iteration(one, &s);
        w->nth++;
        if (w->several)
            snprintf(s.target, sizeof s.target, "%s", scenario_of(workload));
        if (wrong)
            w->r->unreadable(w->nth, wrong, w->r->arg);
        else
            w->r->sample(&s, w->r->arg);
    }
}

static void walk_sla(struct walk *w, const json_t *workload) {
    const json_t *results = json_object_get(json_object_get(workload, "sla_results"), "sla");
    size_t i;
    json_t *one;
    json_array_foreach(results, i, one) {
        const json_t *success = json_object_get(one, "success");
        struct external_sla s = {.scenario = scenario_of(workload), .criterion = json_str_or(one, "criterion", ""),
                                 .detail = json_str_or(one, "detail", ""), .success = json_is_true(success)};
        if (json_is_boolean(success) && *s.criterion)
            w->r->sla(&s, w->r->arg);
        else
            w->r->unreadable(i + 1, "an SLA result has no criterion, or no word on its success", w->r->arg);
    }
}

/* Every workload of the report. */
static void walk_tasks(struct walk *w, const json_t *tasks, void (*fn)(struct walk *w, const json_t *workload)) {
    size_t i, k, m;
    json_t *task, *subtask, *workload;
    json_array_foreach(tasks, i, task)
        json_array_foreach(json_object_get(task, "subtasks"), k, subtask)
            json_array_foreach(json_object_get(subtask, "workloads"), m, workload)
                fn(w, workload);
}

static void count_workload(struct walk *w, const json_t *workload) {
    (void)workload;
    w->workloads++;
}

bool external_rally(const char *text, size_t len, const struct external_report *r, char why[EXTERNAL_WHY]) {
    json_error_t where;
    cleanup_json json_t *o = json_loadb(text, len, 0, &where);
    const json_t *tasks = json_object_get(o, "tasks");
    struct walk w = {.r = r};
    if (!o)
        snprintf(why, EXTERNAL_WHY, "line %d: not JSON: %.*s", where.line, EXTERNAL_WHY - 40, where.text);
    else if (!json_is_array(tasks))
        snprintf(why, EXTERNAL_WHY, "it has no \"tasks\": is it what `rally task report --json` wrote?");
    if (!json_is_array(tasks))
        return false;
    walk_tasks(&w, tasks, count_workload);
    w.several = w.workloads > 1;
    walk_tasks(&w, tasks, walk_data);
    walk_tasks(&w, tasks, walk_sla);
    return true;
}
