/* SPDX-License-Identifier: Apache-2.0 */
/* The swimlanes that are not pods: faults planned and in effect, roles, downtime windows, chaosd's own stalls. */
#include "base/json.h"
#include "report/html_model.h"

#include <string.h>

enum {
    FAULTS_MOST = 20, ACTS_MOST = 1000, PLANNED_MOST = 1000, ROLES_MOST = 8, SPANS_MOST = 500,
    WINDOW_ROWS_MOST = 40, DEGRADATION_ROWS_MOST = 12, WINDOWS_MOST = 500, STALLS_MOST = 500,
};

static void left_out(struct page *p, size_t n) { jw_int(jw_key(&p->w, "left_out"), (int64_t)n); }

void page_shared(struct page *p, const struct downtime *d, int but) {
    char name[160];
    jw_begin(&p->w, '[');
    for (size_t i = 0; i <= d->shared_count; i++) {
        int act = i ? d->shared[i - 1] : d->act;
        if (act < 0 || act == but || !d->shared_count)
            continue;
        snprintf(name, sizeof name, "%s #%u%s%s", p->j->acts[act].fault, p->j->acts[act].occurrence, *p->j->acts[act].target ? " on " : "", p->j->acts[act].target);
        jw_text(&p->w, name);
    }
    if (d->shared_more)
        jw_text(&p->w, "more");
    jw_end(&p->w, ']');
}

/* When the plan wanted each act of the fault. */
static void put_planned(struct page *p, size_t fault) {
    size_t i, n = 0;
    json_t *act;
    jw_begin(jw_key(&p->w, "planned"), '[');
    json_array_foreach(json_object_get(p->j->history->header, "plan"), i, act) {
        const json_t *at = json_object_get(act, "at_ns");
        if (json_int_or(act, "fault", -1) == (int64_t)fault && json_is_integer(at) && n++ < PLANNED_MOST)
            jw_ms(&p->w, json_integer_value(at));
    }
    jw_end(&p->w, ']');
}

static const char *act_state(const struct act_figures *f) {
    return f->skipped                                ? "skipped"
           : !f->acted                               ? "failed"
           : f->stuck                                ? "held"
           : f->holds && !f->reverted                ? "open"
           : !f->observed                            ? "unseen"
                                                     : "seen";
}

static void put_fault_acts(struct page *p, const char *name) {
    size_t n = 0;
    jw_begin(jw_key(&p->w, "acts"), '[');
    for (size_t i = 0; i < p->j->act_count; i++) {
        const struct act_figures *f = &p->j->acts[i];
        if (strcmp(f->fault, name) || !f->acted || n++ >= ACTS_MOST)
            continue;
        jw_begin(&p->w, '[');
        jw_int(&p->w, (int64_t)i);
        page_time(p, f->at);
        page_time(p, f->holds ? (f->reverted ? f->reverted_at : p->j->end_t) : f->at);
        jw_text(&p->w, act_state(f));
        jw_text(&p->w, f->target);
        jw_int(&p->w, f->occurrence);
        jw_end(&p->w, ']');
    }
    jw_end(&p->w, ']');
    left_out(p, n > ACTS_MOST ? n - ACTS_MOST : 0);
}

static bool has_acts(const struct page *p, const char *name) {
    for (size_t i = 0; i < p->j->act_count; i++)
        if (p->j->acts[i].acted && !strcmp(p->j->acts[i].fault, name))
            return true;
    return false;
}

static void put_fault(struct page *p, size_t i, const json_t *fault) {
    const char *name = json_str_or(fault, "name", "");
    jw_begin(&p->w, '{');
    jw_text(jw_key(&p->w, "name"), name);
    jw_text(jw_key(&p->w, "kind"), json_str_or(fault, "kind", ""));
    put_planned(p, i);
    put_fault_acts(p, name);
    jw_end(&p->w, '}');
}

/* Where there are more than a page bears, those that did something come first. */
static void put_faults(struct page *p) {
    const json_t *list = json_object_get(p->j->history->header, "faults");
    size_t all = json_array_size(list), n = 0;
    jw_begin(jw_key(&p->w, "faults"), '[');
    for (int acted = 1; acted >= 0; acted--)
        for (size_t i = 0; i < all && n < FAULTS_MOST; i++) {
            const json_t *fault = json_array_get(list, i);
            if (all <= FAULTS_MOST ? !acted : has_acts(p, json_str_or(fault, "name", "")) != (bool)acted)
                continue;
            put_fault(p, i, fault);
            n++;
        }
    jw_end(&p->w, ']');
    jw_int(jw_key(&p->w, "faults_left_out"), (int64_t)(all - n));
}

/* A role's holder is who an answer named, from when it was seen until the next one. */
static void put_role(struct page *p, const char *name) {
    const struct history *h = p->j->history;
    size_t n = 0;
    jw_begin(&p->w, '{');
    jw_text(jw_key(&p->w, "name"), name);
    jw_begin(jw_key(&p->w, "changes"), '[');
    for (size_t i = 0; i < h->event_count; i++) {
        const struct event *e = &h->events[i];
        if (strcmp(e->op, "role/now") || strcmp(e->kind, name) || n++ >= SPANS_MOST)
            continue;
        jw_begin(&p->w, '[');
        page_time(p, e->t);
        jw_text(&p->w, *e->target ? e->target : NULL);
        jw_json(&p->w, json_is_object(json_object_get(e->data, "data")) ? json_object_get(e->data, "data") : NULL);
        jw_end(&p->w, ']');
    }
    jw_end(&p->w, ']');
    left_out(p, n > SPANS_MOST ? n - SPANS_MOST : 0);
    jw_end(&p->w, '}');
}

static void put_roles(struct page *p) {
    const struct history *h = p->j->history;
    const char *names[ROLES_MOST];
    size_t n = 0;
    for (size_t i = 0; i < h->event_count && n < ROLES_MOST; i++) {
        size_t k = 0;
        if (strcmp(h->events[i].op, "role/now"))
            continue;
        while (k < n && strcmp(names[k], h->events[i].kind))
            k++;
        if (k == n)
            names[n++] = h->events[i].kind;
    }
    jw_begin(jw_key(&p->w, "roles"), '[');
    for (size_t i = 0; i < n; i++)
        put_role(p, names[i]);
    jw_end(&p->w, ']');
}

/* from: the bracket's outer beginning, the start of the last good request before. */
static void put_window(struct page *p, const struct downtime *d) {
    jw_begin(&p->w, '[');
    page_time(p, d->max != UNKNOWN_NS && d->end != UNKNOWN_NS ? d->end - d->max : d->start);
    page_time(p, d->start);
    page_time(p, d->end);
    jw_ms(&p->w, d->min);
    jw_ms(&p->w, d->point);
    jw_ms(&p->w, d->max);
    jw_int(&p->w, d->bad);
    jw_int(&p->w, d->act);
    jw_bool(&p->w, d->stalled);
    jw_int(&p->w, d->slow);
    page_shared(p, d, -1);
    jw_text(&p->w, d->suspect);
    jw_end(&p->w, ']');
}

static void put_window_row(struct page *p, const struct lane_figures *f, const struct downtime *list, size_t count) {
    jw_begin(&p->w, '{');
    jw_text(jw_key(&p->w, "load"), f->load);
    jw_text(jw_key(&p->w, "target"), f->target);
    jw_bool(jw_key(&p->w, "control"), f->control);
    jw_begin(jw_key(&p->w, "windows"), '[');
    for (size_t k = 0; k < count && k < WINDOWS_MOST; k++)
        put_window(p, &list[k]);
    jw_end(&p->w, ']');
    left_out(p, count > WINDOWS_MOST ? count - WINDOWS_MOST : 0);
}

static void put_downtime(struct page *p) {
    size_t rows = 0;
    jw_begin(jw_key(&p->w, "downtime"), '[');
    for (size_t i = 0; i < p->j->lane_count; i++) {
        const struct lane_figures *f = &p->j->lanes[i];
        if ((f->lane >= 0 && !f->target) || rows++ >= WINDOW_ROWS_MOST)
            continue;
        put_window_row(p, f, f->downtime, f->downtime_count);
        jw_end(&p->w, '}');
    }
    jw_end(&p->w, ']');
    jw_int(jw_key(&p->w, "downtime_left_out"), rows > WINDOW_ROWS_MOST ? (int64_t)(rows - WINDOW_ROWS_MOST) : 0);
}

/* The limit of a load: one number, or one for each of its lanes. */
static void put_limits(struct page *p, const struct lane_figures *f) {
    jw_begin(jw_key(&p->w, "limits"), '[');
    for (size_t i = 0; i < p->j->lane_count; i++) {
        const struct lane_figures *l = &p->j->lanes[i];
        if (l->load_index != f->load_index || l->slow_limit == UNKNOWN_NS || l->target || (l->lane < 0) != (f->slow_limit != UNKNOWN_NS))
            continue;
        jw_begin(&p->w, '[');
        jw_text(&p->w, l->lane < 0 ? NULL : lane_names[l->lane]);
        jw_ms(&p->w, l->slow_limit);
        jw_end(&p->w, ']');
    }
    jw_end(&p->w, ']');
}

/* Of loads as a whole; their targets' are in summary.json. */
static void put_degradation(struct page *p) {
    size_t rows = 0;
    jw_begin(jw_key(&p->w, "degradation"), '[');
    for (size_t i = 0; i < p->j->lane_count; i++) {
        const struct lane_figures *f = &p->j->lanes[i];
        if (f->lane >= 0 || f->target || rows++ >= DEGRADATION_ROWS_MOST)
            continue;
        put_window_row(p, f, f->degradation, f->degradation_count);
        put_limits(p, f);
        jw_text(jw_key(&p->w, "unknown"), f->slow_known ? NULL : f->slow_unknown ? f->slow_unknown : "there is no limit");
        jw_end(&p->w, '}');
    }
    jw_end(&p->w, ']');
    jw_int(jw_key(&p->w, "degradation_left_out"), rows > DEGRADATION_ROWS_MOST ? (int64_t)(rows - DEGRADATION_ROWS_MOST) : 0);
}

static void put_stalls(struct page *p) {
    const struct history *h = p->j->history;
    size_t n = 0;
    jw_begin(jw_key(&p->w, "stalls"), '[');
    for (size_t i = 0; i < h->event_count; i++) {
        const struct event *e = &h->events[i];
        if (strcmp(e->op, "self/stall") || n++ >= STALLS_MOST)
            continue;
        jw_begin(&p->w, '[');
        page_time(p, json_int_or(e->data, "from", e->t));
        page_time(p, json_int_or(e->data, "to", e->t));
        jw_end(&p->w, ']');
    }
    jw_end(&p->w, ']');
    jw_int(jw_key(&p->w, "stall_count"), (int64_t)n);
}

void page_lanes(struct page *p) {
    put_faults(p);
    put_roles(p);
    put_downtime(p);
    put_degradation(p);
    put_stalls(p);
}
