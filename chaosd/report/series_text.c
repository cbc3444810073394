/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "check/words.h"
#include "report/grid.h"
#include "report/series.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

enum { TEXT_SIZE = 3 * WORDS_SIZE };

static void columns(struct grid *g, const char *const *titles, size_t count, size_t texts) {
    for (size_t i = 0; i < count; i++)
        grid_column(g, titles[i], i >= texts, i == 0);
}

static const char *ms_or(double v, const char *other, char *out) { return isnan(v) || isinf(v) ? other : words_ms_bare(v, out); }

static void heading(struct buf *out, const char *text, size_t width) {
    buf_str(out, "\n");
    text_wrap(out, text, 0, 2, width);
}

/* Shared beginnings say nothing in a narrow column. */
static const char *folder_of(const struct series_run *r) {
    const char *slash = strrchr(r->folder, '/');
    return slash && slash[1] ? slash + 1 : r->folder;
}

static void put_head(const struct series *s, struct arena *a, size_t width, struct buf *out) {
    char share[3][WORDS_SIZE];
    const char *name = text_clean(a, s->run_count ? s->runs[0].scenario : "");
    bool mixed = false;
    for (size_t i = 1; i < s->run_count; i++)
        mixed |= strcmp(s->runs[i].scenario, s->runs[0].scenario) != 0;
    for (const char *c = verdict_names[s->verdict]; *c; c++)
        buf_printf(out, "%c", toupper((unsigned char)*c));
    buf_printf(out, "  %s  (%zu runs together; the verdict is the worst of them)\n  ", mixed ? "several scenarios" : name ? name : "", s->run_count);
    cleanup_buf struct buf line = {0};
    size_t open = s->run_count - s->decided;
    if (s->decided)
        buf_printf(&line, "%zu of %zu passed: %s, 95 %% interval %s to %s.", s->passed, s->decided,
                   words_percent((double)s->passed / (double)s->decided, share[0]), words_percent(s->passed_low, share[1]),
                   words_percent(s->passed_high, share[2]));
    if (open)
        buf_printf(&line, "%s%zu run%s neither passed nor failed and %s not counted.", s->decided ? " " : "", open, open == 1 ? "" : "s", open == 1 ? "is" : "are");
    if (buf_ok(&line))
        text_wrap(out, line.data ? line.data : "", 2, 2, width);
    else
        out->failed = true;
}

static void put_runs(const struct series *s, struct arena *a, size_t width, struct buf *out) {
    static const char *const titles[] = {"run", "seed", "verdict", "available", "downtime", "acts", "recovery"};
    struct grid g = {.arena = a};
    columns(&g, titles, ARRAY_SIZE(titles), 1);
    for (size_t i = 0; i < s->run_count; i++) {
        const struct series_run *r = &s->runs[i];
        struct series_value v = {.available = NAN, .down_ms = NAN};
        char n[WORDS_SIZE];
        for (size_t k = 0; k < s->load_count; k++) { /* the worst of the loads */
            const struct series_value *one = &s->loads[k].values[i];
            if (s->loads[k].control)
                continue;
            v.available = fmin(v.available, one->available);
            v.down_ms = fmax(v.down_ms, one->down_ms);
            v.down_open |= one->down_open;
            v.doubt |= one->doubt;
        }
        grid_cell(&g, "%s", folder_of(r));
        grid_cell(&g, "%s", r->seed ? r->seed : "?");
        grid_cell(&g, "%s", verdict_names[r->verdict]);
        grid_cell(&g, "%s", isnan(v.available) ? "?" : words_percent(v.available, n));
        grid_cell(&g, "%s%s%s", v.down_open ? "over " : "", v.down_ms == 0 && !v.down_open ? "none" : ms_or(v.down_ms, "?", n), v.doubt ? " !" : "");
        grid_cell(&g, "%zu", r->acts);
        grid_cell(&g, "%s%s", r->slowest_open ? "over " : "", ms_or(r->slowest_ms, "-", n));
    }
    heading(out, "Runs (the longest downtime and the slowest recovery of each, in ms; !: a window is not to be judged)", width);
    grid_render(&g, width, out);
}

static void put_loads(const struct series *s, struct arena *a, size_t width, struct buf *out) {
    static const char *const titles[] = {"load", "runs", "worst", "median", "its interval", "best", "downtime", "most"};
    struct grid g = {.arena = a};
    if (!s->load_count)
        return;
    columns(&g, titles, ARRAY_SIZE(titles), 1);
    for (size_t i = 0; i < s->load_count; i++) {
        const struct series_load *l = &s->loads[i];
        char n[2][WORDS_SIZE];
        grid_cell(&g, l->control ? "%s (control)" : "%s", l->name);
        grid_cell(&g, "%zu", l->count);
        grid_cell(&g, "%s", isnan(l->worst) ? "?" : words_percent(l->worst, n[0]));
        grid_cell(&g, "%s", isnan(l->median) ? "?" : words_percent(l->median, n[0]));
        if (isnan(l->low))
            grid_cell(&g, "from 6 runs");
        else
            grid_cell(&g, "%s..%s", words_percent(l->low, n[0]), words_percent(l->high, n[1]));
        grid_cell(&g, "%s", isnan(l->best) ? "?" : words_percent(l->best, n[0]));
        grid_cell(&g, "%s", ms_or(l->down_median, "?", n[0]));
        grid_cell(&g, "%s%s%s", l->down_open ? "over " : "", ms_or(l->down_most, "?", n[0]), l->doubt ? " !" : "");
    }
    heading(out, "Loads (availability by requests, a run each; downtime: the median and the most of the runs' longest windows, ms)", width);
    grid_render(&g, width, out);
}

static const char *bound(const struct series_bound *b, char *out) {
    char n[WORDS_SIZE];
    if (b->missing)
        snprintf(out, TEXT_SIZE, "%s more", words_count((int64_t)b->missing, n));
    else
        snprintf(out, TEXT_SIZE, "%s", ms_or(b->at_most, "unknown", n));
    return out;
}

static void put_recovery_row(struct grid *g, const struct series_recoveries *r) {
    static const char *const words[] = {
        [MILESTONE_DETECT] = "detect", [MILESTONE_FIRST_GOOD] = "good", [MILESTONE_SUSTAINED] = "sustained", [MILESTONE_REDUNDANCY] = "full",
    };
    char n[2][WORDS_SIZE], text[TEXT_SIZE];
    grid_cell(g, "%s", r->fault ? r->fault : "all");
    grid_cell(g, "%s", words[r->milestone]);
    grid_cell(g, "%zu", r->of.count);
    grid_cell(g, "%zu", r->of.open);
    grid_cell(g, "%s", ms_or(r->least, "?", n[0]));
    grid_cell(g, "%s", ms_or(r->median, "?", n[0]));
    if (r->median_missing)
        grid_cell(g, "%zu more", r->median_missing);
    else
        grid_cell(g, "%s..%s", ms_or(r->low, "?", n[0]), ms_or(r->high, "?", n[1]));
    grid_cell(g, "%s", bound(&r->p95, text));
    grid_cell(g, "%s", bound(&r->p99, text));
    grid_cell(g, "%s", ms_or(r->most, "?", n[0]));
}

/* A fault's own rows where there are several; what nothing is known of is left out. */
static bool shown(const struct series *s, const struct series_recoveries *r) {
    bool several = false;
    const char *first = NULL;
    for (size_t i = 0; i < s->recovery_count; i++)
        if (s->recoveries[i].fault) {
            several |= first && strcmp(first, s->recoveries[i].fault) != 0;
            first = s->recoveries[i].fault;
        }
    return r->of.count && r->of.unmeasured < r->of.count && (!r->fault || (several && r->milestone == MILESTONE_SUSTAINED));
}

static void put_recoveries(const struct series *s, struct arena *a, size_t width, struct buf *out) {
    static const char *const titles[] = {"fault", "until", "n", "open", "least", "median", "its interval", "P95 ≤", "P99 ≤", "most"};
    struct grid g = {.arena = a};
    size_t n = 0;
    columns(&g, titles, ARRAY_SIZE(titles), 2);
    for (int own = 0; own < 2; own++)
        for (size_t i = 0; i < s->recovery_count; i++)
            if ((s->recoveries[i].fault != NULL) == own && shown(s, &s->recoveries[i])) {
                put_recovery_row(&g, &s->recoveries[i]);
                n++;
            }
    if (!n)
        return;
    heading(out, "Recoveries of all runs (ms from the act; open: not reached, or not to be judged; bounds and intervals hold with 95 % "
                 "confidence, \"N more\": so many more recoveries are needed for one)", width);
    grid_render(&g, width, out);
}

static void put_trouble(const struct series *s, struct arena *a, size_t width, struct buf *out) {
    bool any = false;
    for (size_t i = 0; i < s->run_count; i++) {
        const struct series_run *r = &s->runs[i];
        cleanup_buf struct buf line = {0};
        if (r->verdict == VERDICT_PASS)
            continue;
        if (!any)
            buf_str(out, "\nWhat did not pass\n");
        any = true;
        buf_printf(&line, "%s: %s: %s", folder_of(r), verdict_names[r->verdict], r->why);
        const char *clean = line.data ? text_clean(a, line.data) : NULL;
        if (!clean) {
            out->failed = true;
            return;
        }
        buf_str(out, "  ");
        text_wrap(out, clean, 2, 4, width);
    }
}

static void arena_freep(struct arena **a) { arena_free(*a); }

int series_text(const struct series *s, size_t width, struct buf *out, struct error *err) {
    cleanup(arena_freep) struct arena *a = arena_new();
    if (a) {
        put_head(s, a, width, out);
        put_runs(s, a, width, out);
        put_loads(s, a, width, out);
        put_recoveries(s, a, width, out);
        put_trouble(s, a, width, out);
    }
    return a && buf_ok(out) ? 0 : error_set(err, -ENOMEM, "runs together: out of memory");
}
