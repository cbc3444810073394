/* SPDX-License-Identifier: Apache-2.0 */
#include "report/text_windows.h"

#include "base/cleanup.h"
#include "check/words.h"
#include "report/grid.h"

#include <math.h>

enum { LINES_MOST = 20 };

static bool whole(const struct lane_figures *f) { return f->lane < 0 && !f->target; }

static const char *ms_of(int64_t ns, char *out) { return ns == UNKNOWN_NS ? "?" : words_ms_bare(words_ns_ms(ns), out); }

static const char *quantile(double ms, char *out) { return isnan(ms) ? "?" : isinf(ms) ? "bad" : words_ms_bare(ms, out); }

/* One paragraph, indented by two. */
static void put_line(struct arena *a, struct buf *out, const struct buf *line, size_t width) {
    const char *clean = line->data ? text_clean(a, line->data) : NULL;
    if (!clean) {
        out->failed = true;
        return;
    }
    buf_str(out, "  ");
    text_wrap(out, clean, 2, 4, width);
}

static void put_baseline(const struct lane_figures *f, bool faulted, struct arena *a, struct buf *out, size_t width) {
    cleanup_buf struct buf line = {0};
    char n[5][WORDS_SIZE];
    const struct baseline *b = &f->baseline;
    if (!b->planned)
        return;
    buf_printf(&line, "baseline %s: p50 %s, p99 %s, max %s%s, %s bad, of %s requests %s", f->load, quantile(b->p50_ms, n[0]),
               quantile(b->p99_ms, n[1]), quantile(b->max_ms, n[2]), isinf(b->max_ms) ? "" : " ms", words_count(b->bad, n[3]), words_count(b->planned, n[4]), faulted ? "before the first fault" : "in all, as there was no fault");
    put_line(a, out, &line, width);
}

/* "; slow is over 12 ms", or by lane where they differ. */
static void say_limit(const struct judgement *j, const struct lane_figures *f, struct buf *line) {
    char ms[WORDS_SIZE];
    const char *before = "; slow is over ";
    if (f->slow_limit != UNKNOWN_NS) {
        buf_printf(line, "%s%s", before, words_ms(words_ns_ms(f->slow_limit), ms));
        return;
    }
    for (size_t i = 0; i < j->lane_count; i++) {
        const struct lane_figures *l = &j->lanes[i];
        if (l->load_index != f->load_index || l->lane < 0 || l->slow_limit == UNKNOWN_NS)
            continue;
        buf_printf(line, "%s%s (%s)", before, words_ms(words_ns_ms(l->slow_limit), ms), lane_names[l->lane]);
        before = ", ";
    }
}

/* Where nothing was slow, all of it is downtime, which was said already. */
static bool any_slow(const struct lane_figures *f) {
    for (size_t i = 0; i < f->degradation_count; i++)
        if (f->degradation[i].slow)
            return true;
    return false;
}

static void say_worst(const struct lane_figures *f, struct buf *line) {
    const struct downtime *d = NULL;
    char n[4][WORDS_SIZE];
    for (size_t i = 0; i < f->degradation_count; i++)
        d = !d || downtime_known(&f->degradation[i]) > downtime_known(d) ? &f->degradation[i] : d;
    if (!d || !any_slow(f)) {
        buf_str(line, d ? "only while it was down" : "never");
        return;
    }
    buf_printf(line, "%s window%s, worst %s..", words_count((int64_t)f->degradation_count, n[0]), f->degradation_count == 1 ? "" : "s", ms_of(d->min, n[1]));
    buf_printf(line, "%s..%s ms%s%s", ms_of(d->point, n[2]), ms_of(d->max, n[3]), d->stalled || d->suspect ? " !" : "", d->shared_count ? " &" : "");
    if (d->down)
        buf_printf(line, ", down for %s..%s ms of it", ms_of(d->down_min, n[0]), ms_of(d->down_max, n[1]));
    else
        buf_str(line, ", never down in it");
}

void text_degradation(const struct judgement *j, struct arena *a, struct buf *out, size_t width) {
    size_t n = 0;
    bool faulted = false;
    for (size_t i = 0; i < j->act_count; i++)
        faulted |= j->acts[i].acted;
    for (size_t i = 0; i < j->lane_count && n < LINES_MOST; i++) {
        const struct lane_figures *f = &j->lanes[i];
        cleanup_buf struct buf line = {0};
        if (!whole(f) || !f->planned || (f->control && !f->degradation_count))
            continue;
        n++;
        put_baseline(f, faulted, a, out, width);
        buf_printf(&line, "degraded %s: ", f->load);
        if (f->slow_known) {
            say_worst(f, &line);
            say_limit(j, f, &line);
        } else {
            buf_printf(&line, "unknown: %s", f->slow_unknown ? f->slow_unknown : "there is no limit");
        }
        put_line(a, out, &line, width);
    }
}

static void say_act(const struct judgement *j, int act, const char *before, struct buf *line) {
    buf_printf(line, "%s%s #%u", before, j->acts[act].fault, j->acts[act].occurrence);
    if (*j->acts[act].target)
        buf_printf(line, " on %s", j->acts[act].target);
}

static double seconds(const struct judgement *j, int64_t t) { return (double)(t - (j->schedule_t == UNKNOWN_NS ? 0 : j->schedule_t)) / 1e9; }

/* Lines about windows of one sort, and how many there are. */
struct lines {
    const struct judgement *j;
    struct arena *a;
    struct buf *out;
    size_t width, count;
    bool (*is)(const struct downtime *d);
    void (*say)(const struct judgement *j, const struct lane_figures *f, const struct downtime *d, struct buf *line);
};

static bool is_shared(const struct downtime *d) { return d->shared_count > 0; }
static bool is_doubtful(const struct downtime *d) { return d->suspect; }

static void say_shared(const struct judgement *j, const struct lane_figures *f, const struct downtime *d, struct buf *line) {
    buf_printf(line, "& %s%s at %.2f s: ", f->load, d->slow ? ", degraded" : "", seconds(j, d->start));
    if (d->act >= 0)
        say_act(j, d->act, "", line);
    for (size_t i = 0; i < d->shared_count; i++)
        say_act(j, d->shared[i], i ? ", " : d->act >= 0 ? ", shared with " : "begun before any fault, shared with ", line);
    if (d->shared_more)
        buf_str(line, " and more");
}

static void say_doubt(const struct judgement *j, const struct lane_figures *f, const struct downtime *d, struct buf *line) {
    buf_printf(line, "! %s%s at %.2f s is not judged, for %s", f->load, d->slow ? ", degraded," : "", seconds(j, d->start), d->suspect);
}

static bool put_window(struct lines *l, const struct lane_figures *f, const struct downtime *d) {
    cleanup_buf struct buf line = {0};
    if (!l->is(d))
        return false;
    if (l->count++ < LINES_MOST) {
        l->say(l->j, f, d, &line);
        put_line(l->a, l->out, &line, l->width);
    }
    return true;
}

/* A downtime speaks for the degradation that it lies in. Without a limit there is only downtime. */
static void put_windows(struct lines *l, const struct lane_figures *f) {
    size_t k = 0;
    for (size_t i = 0; i < f->degradation_count; i++) {
        const struct downtime *d = &f->degradation[i];
        bool told = false;
        for (size_t n = 0; n < d->down && k < f->downtime_count; n++, k++)
            told |= put_window(l, f, &f->downtime[k]);
        if (!told && d->slow)
            put_window(l, f, d);
    }
    for (; k < f->downtime_count; k++)
        put_window(l, f, &f->downtime[k]);
}

static void put_all(struct lines *l, const char *what) {
    for (size_t i = 0; i < l->j->lane_count; i++)
        if (whole(&l->j->lanes[i]))
            put_windows(l, &l->j->lanes[i]);
    if (l->count > LINES_MOST)
        buf_printf(l->out, "  and %zu more %s, in summary.json\n", l->count - LINES_MOST, what);
}

void text_shared(const struct judgement *j, struct arena *a, struct buf *out, size_t width) {
    put_all(&(struct lines){.j = j, .a = a, .out = out, .width = width, .is = is_shared, .say = say_shared}, "shared windows");
}

void text_control(const struct judgement *j, struct arena *a, struct buf *out, size_t width) {
    char n[2][WORDS_SIZE];
    put_all(&(struct lines){.j = j, .a = a, .out = out, .width = width, .is = is_doubtful, .say = say_doubt}, "windows that are not judged");
    for (size_t i = 0; i < j->lane_count; i++) {
        const struct lane_figures *f = &j->lanes[i];
        cleanup_buf struct buf line = {0};
        if (!whole(f) || !f->control)
            continue;
        if (f->planned && f->good == f->planned)
            buf_printf(&line, "control %s: good throughout, %s requests%s", f->load, words_count(f->planned, n[0]),
                       f->stalled_unsent ? ", but for those that chaosd itself was too stalled to send" : "");
        else
            buf_printf(&line, "control %s: %s of %s requests bad", f->load, words_count(f->planned - f->good, n[0]), words_count(f->planned, n[1]));
        put_line(a, out, &line, width);
    }
}
