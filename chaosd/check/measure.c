/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/internal.h"
#include "check/order.h"

#include <math.h>
#include <string.h>

/* Rows that one sample goes into: its load, its lane, its target. */
struct places {
    size_t whole, lanes[LANE_COUNT];
    size_t *targets; /* by target number */
    const char **names;
};
#define NOWHERE SIZE_MAX
#define LATE_SEEN_NS INT64_C(100000000) /* sent later than this, a request leaves a gap as one that was not sent does */
enum { TARGETS = 65536 };

static int add_row(struct work *w, size_t load, int lane, const char *target, size_t *ret, struct error *err) {
    struct judgement *j = w->j;
    size_t cap = w->lane_cap;
    if (grow(&j->lanes, j->lane_count, &w->lane_cap, sizeof *j->lanes) < 0 || grow(&w->rows, j->lane_count, &cap, sizeof *w->rows) < 0)
        return out_of_memory(err);
    *ret = j->lane_count++;
    j->lanes[*ret] = (struct lane_figures){.load = w->loads[load].name, .load_index = (int)load, .lane = lane, .target = target,
                                            .insecure = w->loads[load].insecure,
                                            .control = w->loads[load].control, .slow_limit = UNKNOWN_NS,
                                            .closed = w->loads[load].closed, .silent = w->loads[load].mute};
    w->rows[*ret] = (struct row){.from = INT64_MAX, .to = INT64_MIN, .last_start = UNKNOWN_NS};
    windows_init(&w->rows[*ret].worst, w->loads[load].goods, w->loads[load].over_ns);
    track_init(&w->rows[*ret].down, w->loads[load].goods, w->loads[load].over_ns);
    track_init(&w->rows[*ret].slow, w->loads[load].goods, w->loads[load].over_ns);
    return 0;
}

static void read_names(const struct work *w, struct places *p) {
    for (size_t i = 0; i < w->h->event_count; i++) {
        const struct event *e = &w->h->events[i];
        int64_t id = strcmp(e->op, "load/target") == 0 ? json_int_or(e->data, "id", -1) : -1;
        if (id >= 0 && id < TARGETS && !p->names[id])
            p->names[id] = e->target;
    }
}

static bool lane_declared(const struct work *w, size_t load, int lane) {
    json_t *spec = json_array_get(json_object_get(w->h->header, "loads"), load), *name;
    size_t i;
    json_array_foreach(json_object_get(spec, "lanes"), i, name)
        if (json_is_string(name) && !strcmp(json_string_value(name), lane_names[lane]))
            return true;
    return false;
}

static int make_rows(struct work *w, size_t load, struct places *p, struct error *err) {
    struct load_work *l = &w->loads[load];
    for (size_t i = 0; i < TARGETS; i++)
        p->targets[i] = NOWHERE;
    for (size_t i = 0; i < l->count; i++) {
        l->has_lane[l->order[i]->lane] = true;
        p->targets[l->order[i]->target] = 0;
    }
    p->whole = load;
    int rc = 0;
    for (int i = 0; i < LANE_COUNT && rc == 0; i++) {
        p->lanes[i] = NOWHERE;
        l->has_lane[i] = l->has_lane[i] || lane_declared(w, load, i);
        if (l->has_lane[i])
            rc = add_row(w, load, i, NULL, &p->lanes[i], err);
    }
    p->targets[SAMPLE_NO_TARGET] = NOWHERE;
    for (unsigned i = 0; i < SAMPLE_NO_TARGET && rc == 0; i++) {
        if (p->targets[i] == NOWHERE)
            continue;
        const char *name = p->names[i] ? p->names[i] : arena_printf(w->a, "target-%u", i);
        rc = name ? add_row(w, load, -1, name, &p->targets[i], err) : out_of_memory(err);
    }
    return rc;
}

/* The first stall that ends at or after from. */
static size_t first_stall(const struct work *w, int64_t from) {
    size_t lo = 0, hi = w->stall_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (w->stalls[mid].to < from)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool stalled_between(const struct work *w, int64_t from, int64_t to) {
    size_t i = first_stall(w, from);
    return i < w->stall_count && w->stalls[i].from <= to;
}

/* How much of from..to chaosd stalled. */
static int64_t stalled_for(const struct work *w, int64_t from, int64_t to) {
    int64_t sum = 0;
    for (size_t i = first_stall(w, from); i < w->stall_count && w->stalls[i].from <= to; i++)
        sum += (w->stalls[i].to < to ? w->stalls[i].to : to) - (w->stalls[i].from > from ? w->stalls[i].from : from);
    return sum;
}

struct request_view { /* a sample as every row sees it */
    enum request what, speed; /* for downtime; for degradation */
    int64_t end, latency;
    bool touched;
};

static struct request_view view(const struct work *w, const struct load_work *l, const struct sample *s) {
    struct request_view v = {.what = REQUEST_GOOD, .end = s->end_ns, .latency = s->end_ns - s->planned_ns};
    const struct slow *slow = &l->slow[s->lane];
    if (s->outcome == OUTCOME_UNSENT_STALL || stall_excuses(w, l, s)) {
        v.what = v.speed = REQUEST_UNSENT_STALL;
        return v;
    }
    if (s->outcome != OUTCOME_GOOD) {
        v.what = REQUEST_BAD;
        v.latency = LATENCY_BAD;
    }
    if (s->outcome == OUTCOME_UNSENT_CAP)
        v.end = s->planned_ns + l->deadline_ns; /* had it been sent, it would have been known bad then */
    v.touched = stalled_between(w, s->planned_ns, v.end);
    v.speed = v.what;
    /* From its start, not from its planned time: a request that was sent late is no slow answer. */
    int64_t took = s->end_ns - s->start_ns;
    if (v.what == REQUEST_GOOD && !slow->unknown && took > slow->ns) /* a stall adds its own length, no more */
        v.speed = took - stalled_for(w, s->start_ns, s->end_ns) > slow->ns ? REQUEST_SLOW : REQUEST_UNSENT_STALL;
    return v;
}

/* A stall leaves no unsent requests where nothing is planned, or where they may go out late: then it is a gap between starts. */
static bool missed_unseen(const struct work *w, const struct load_work *l, const struct row *r, const struct sample *s, int64_t *from) {
    if ((s->lane == LANE_EXEC && !l->driver) || r->last_start == UNKNOWN_NS || s->outcome == OUTCOME_UNSENT_STALL)
        return false;
    *from = l->closed ? r->last_start + 1 : s->planned_ns;
    return *from > r->last_start && (l->closed || s->start_ns - s->planned_ns > LATE_SEEN_NS) && stalled_between(w, *from, s->start_ns);
}

/* As all would be, were bad what chaosd missed. */
static int add_worst(const struct work *w, const struct load_work *l, struct row *r, size_t ordinal, const struct sample *s, const struct request_view *v) {
    int64_t from;
    if (missed_unseen(w, l, r, s, &from) && windows_add(&r->worst, ordinal, REQUEST_BAD, from, s->start_ns) < 0)
        return -1;
    r->last_start = s->start_ns;
    return windows_add(&r->worst, ordinal, v->what == REQUEST_UNSENT_STALL ? REQUEST_BAD : v->what, s->start_ns, v->end);
}

static int row_add(struct work *w, size_t at, size_t ordinal, const struct sample *s, const struct request_view *v) {
    if (at == NOWHERE)
        return 0;
    struct lane_figures *f = &w->j->lanes[at];
    struct row *r = &w->rows[at];
    if (track_add(&r->down, ordinal, v->what, s->start_ns, v->end) < 0)
        return -1;
    r->slow.windows.hold = r->down.windows.open;
    if (track_add(&r->slow, ordinal, v->speed, s->start_ns, v->end) < 0)
        return -1;
    if (!f->target && (w->stall_count || w->loads[f->load_index].missed) && add_worst(w, &w->loads[f->load_index], r, ordinal, s, v) < 0)
        return -1;
    if (v->what == REQUEST_UNSENT_STALL) {
        f->stalled_unsent++;
        f->own_unsent += s->outcome == OUTCOME_UNSENT_STALL && s->reason == REASON_OTHER;
        return 0;
    }
    f->reasons[s->reason]++;
    f->planned++;
    f->good += s->outcome == OUTCOME_GOOD;
    f->bad += s->outcome == OUTCOME_BAD;
    f->unsent += s->outcome == OUTCOME_UNSENT_CAP;
    f->stale_retry += (s->flags & SAMPLE_STALE_RETRY) != 0;
    f->late += (s->flags & SAMPLE_LATE) != 0;
    r->touched += v->touched;
    r->from = s->start_ns < r->from ? s->start_ns : r->from;
    r->to = s->end_ns > r->to ? s->end_ns : r->to;
    return latencies_add(&r->latencies, v->latency);
}

static double share(double lost, double span) { return lost >= span ? 0 : lost <= 0 ? 1 : 1 - lost / span; }

/* Availability by time: the point where every window has one, between what the brackets allow. */
static void time_figures(struct lane_figures *f, const struct row *r) {
    double span = (double)r->to - (double)r->from, least = 0, point = 0, most = 0;
    bool known = true;
    f->by_time = f->time_low = f->time_high = NAN;
    if (r->from > r->to || span <= 0)
        return;
    for (size_t i = 0; i < r->down.windows.count; i++) {
        const struct window *win = &r->down.windows.list[i];
        int64_t p = window_point(win);
        known &= p != UNKNOWN_NS;
        point += p != UNKNOWN_NS ? (double)p : 0;
        least += (double)window_min(win);
        most += (double)(win->end != UNKNOWN_NS ? win->end : r->to) - (double)(win->before != UNKNOWN_NS ? win->before : r->from);
    }
    if (known)
        f->by_time = share(point, span);
    f->time_low = share(most, span);
    f->time_high = share(least, span);
}

static struct downtime *copy_windows(struct work *w, const struct load_work *l, const struct row *r, const struct windows *list) {
    struct downtime *out = arena_alloc(w->a, (list->count + 1) * sizeof *out);
    for (size_t i = 0; out && i < list->count; i++) {
        const struct window *win = &list->list[i];
        out[i] = (struct downtime){
            .start = win->first_start,
            .end = win->end,
            .min = window_min(win),
            .point = window_point(win),
            .max = window_max(win),
            .bad = win->bad,
            .slow = win->slow,
            .short_by = win->end == UNKNOWN_NS && win->goods_after ? r->to - win->first_good_end : UNKNOWN_NS,
            .late = win->late,
            .censored = window_max(win) == UNKNOWN_NS,
            .stalled = win->stalled,
            .suspect = win->suspect,
            .certain = win->certain,
        };
        attribute(w, l, win, &out[i]);
    }
    return out;
}

/* Every downtime lies in a degradation, its end included: the first good answer may have been slower than the first quick one. */
static void contain(struct row *r) {
    struct windows *slow = &r->slow.windows;
    for (size_t i = 0, k = 0; k < r->down.windows.count; k++) {
        const struct window *down = &r->down.windows.list[k];
        while (i + 1 < slow->count && slow->list[i + 1].first <= down->first)
            i++;
        if (slow->list[i].end != WINDOW_UNKNOWN && down->end > slow->list[i].end)
            slow->list[i].end = down->end;
    }
}

static int64_t plus(int64_t a, int64_t b) { return a == UNKNOWN_NS || b == UNKNOWN_NS ? UNKNOWN_NS : a + b; }

/* Which downtime windows lie in each window of degradation: both lists are by time, and none lies in two. */
static void nest(struct lane_figures *f) {
    for (size_t i = 0, k = 0; i < f->degradation_count; i++) {
        struct downtime *d = &f->degradation[i];
        for (; k < f->downtime_count && (i + 1 == f->degradation_count || f->downtime[k].start < f->degradation[i + 1].start); k++) {
            d->down++;
            d->down_min = plus(d->down_min, f->downtime[k].min);
            d->down_max = plus(d->down_max, f->downtime[k].max);
        }
    }
}

/* The limit of a row: its lane's, or that of all lanes where they agree. */
static void slow_figures(struct lane_figures *f, const struct load_work *l) {
    f->slow_known = true;
    for (int i = 0; i < LANE_COUNT; i++) {
        const struct slow *s = &l->slow[i];
        if (f->lane >= 0 ? f->lane != i : !l->has_lane[i])
            continue;
        bool first = f->slow_known && !f->slow_unknown && f->slow_limit == UNKNOWN_NS;
        f->slow_unknown = f->slow_unknown ? f->slow_unknown : s->unknown;
        f->slow_known &= !s->unknown;
        f->slow_limit = first || f->slow_limit == s->ns ? s->ns : INT64_MAX;
    }
    if (!f->slow_known || f->slow_limit == INT64_MAX)
        f->slow_limit = UNKNOWN_NS;
}

static void end_row(struct work *w, struct row *r) {
    track_end(&r->down);
    track_end(&r->slow);
    contain(r);
    for (size_t i = 0; i < w->stall_count; i++) {
        if (r->down.windows.count)
            windows_stall(&r->down.windows, w->stalls[i].from, w->stalls[i].to, r->to);
        if (r->slow.windows.count)
            windows_stall(&r->slow.windows, w->stalls[i].from, w->stalls[i].to, r->to);
    }
}

static int finish_row(struct work *w, size_t at) {
    struct lane_figures *f = &w->j->lanes[at];
    struct row *r = &w->rows[at];
    const struct load_work *l = &w->loads[f->load_index];
    track_sum(&r->down);
    track_sum(&r->slow);
    if (latencies_sort(&r->latencies) < 0)
        return -1;
    f->by_requests = f->planned ? (double)f->good / (double)f->planned : NAN;
    f->p50_ms = latencies_ms(&r->latencies, 500000);
    f->p90_ms = latencies_ms(&r->latencies, 900000);
    f->p99_ms = latencies_ms(&r->latencies, 990000);
    f->p999_ms = latencies_ms(&r->latencies, 999000);
    f->max_ms = latencies_ms(&r->latencies, 1000000);
    time_figures(f, r);
    if (f->target)
        latencies_free(&r->latencies); /* no threshold asks for a target's quantiles */
    else
        f->baseline = f->lane >= 0 ? l->lanes[f->lane] : l->whole;
    slow_figures(f, l);
    f->downtime_count = r->down.windows.count;
    f->degradation_count = f->slow_known ? r->slow.windows.count : 0;
    f->downtime = copy_windows(w, l, r, &r->down.windows);
    f->degradation = copy_windows(w, l, r, &r->slow.windows);
    if (!f->downtime || !f->degradation)
        return -1;
    nest(f);
    return 0;
}

/* Distributes the samples to their loads. */
static int collect(struct work *w, struct error *err) {
    for (size_t i = 0; i < w->h->sample_count; i++)
        if (w->h->samples[i].load < w->load_count)
            w->loads[w->h->samples[i].load].count++;
    for (size_t i = 0; i < w->load_count; i++) {
        struct load_work *l = &w->loads[i];
        l->order = calloc(l->count + 1, sizeof(struct sample *));
        if (!l->order)
            return out_of_memory(err);
        l->count = 0;
        l->last_end = INT64_MIN;
    }
    for (size_t i = 0; i < w->h->sample_count; i++) {
        const struct sample *s = &w->h->samples[i];
        if (s->load >= w->load_count || s->lane >= LANE_COUNT || s->outcome >= OUTCOME_COUNT || s->reason >= REASON_COUNT)
            continue; /* the reader refuses such; a judgement must not fall over it either */
        struct load_work *l = &w->loads[s->load];
        l->order[l->count++] = s;
        l->missed |= s->outcome == OUTCOME_UNSENT_STALL;
        l->longest = s->end_ns - s->start_ns > l->longest ? s->end_ns - s->start_ns : l->longest;
        l->last_end = s->end_ns > l->last_end ? s->end_ns : l->last_end;
    }
    for (size_t i = 0; i < w->load_count; i++)
        if (order_samples(w->loads[i].order, w->loads[i].count) < 0)
            return out_of_memory(err);
    return 0;
}

/* A load that never worked before the first fault says nothing about the fault. */
static void judge_baseline(struct work *w, size_t load) {
    struct load_work *l = &w->loads[load];
    bool any = false, early = false;
    if (l->mute)
        return;
    for (size_t i = 0; i < l->count && !early; i++) {
        bool good = l->order[i]->outcome == OUTCOME_GOOD;
        any |= good;
        early = good && (w->first_act == UNKNOWN_NS || l->order[i]->end_ns <= w->first_act);
    }
    l->not_judged = externals_displaced(w, l->name);
    if (early || l->not_judged)
        return;
    const char *what = !l->count ? "sent no request" : !any ? "had no success at all" : "had no success before the first fault";
    if (!l->count && w->j->schedule_t == UNKNOWN_NS)
        l->not_judged = arena_printf(w->a, "%s was not begun", l->name);
    else if (!l->count && l->has_lane[LANE_EXEC])
        l->not_judged = arena_printf(w->a, "%s told of no request (see logs/%s.out and .err)", l->name, l->name);
    else
        l->not_judged = arena_printf(w->a, "%s %s (is the target right?)", l->name, what);
    if (!l->not_judged)
        l->not_judged = "not judged";
}

static int measure_load(struct work *w, size_t load, struct places *p, struct error *err) {
    const struct load_work *l = &w->loads[load];
    int rc = make_rows(w, load, p, err);
    if (rc == 0)
        rc = baseline_measure(w, load, err);
    for (size_t i = 0; i < l->count && rc == 0; i++) {
        const struct sample *s = l->order[i];
        struct request_view v = view(w, l, s);
        if (row_add(w, p->whole, i, s, &v) < 0 || row_add(w, p->lanes[s->lane], i, s, &v) < 0 ||
            row_add(w, p->targets[s->target], i, s, &v) < 0)
            rc = out_of_memory(err);
    }
    judge_baseline(w, load);
    return rc;
}

int measure_loads(struct work *w, struct error *err) {
    struct places p = {0};
    cleanup_free size_t *targets = calloc(TARGETS, sizeof *targets);
    cleanup_free const char **names = calloc(TARGETS, sizeof *names);
    p.targets = targets;
    p.names = names;
    if (!targets || !names)
        return out_of_memory(err);
    read_names(w, &p);
    int rc = collect(w, err);
    for (size_t i = 0, row; i < w->load_count && rc == 0; i++)
        rc = add_row(w, i, -1, NULL, &row, err);
    for (size_t i = 0; i < w->load_count && rc == 0; i++)
        rc = measure_load(w, i, &p, err);
    for (size_t i = 0; i < w->j->lane_count && rc == 0; i++)
        end_row(w, &w->rows[i]);
    if (rc == 0)
        control_mark(w);
    if (rc == 0)
        rc = certain_measure(w, err);
    for (size_t i = 0; i < w->j->lane_count && rc == 0; i++)
        rc = finish_row(w, i) < 0 ? out_of_memory(err) : 0;
    return rc;
}
