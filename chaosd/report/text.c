/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/notes.h"
#include "check/words.h"
#include "report/effect.h"
#include "report/external.h"
#include "report/grid.h"
#include "report/kinds.h"
#include "report/probes.h"
#include "report/text_windows.h"
#include "report/timeline.h"
#include "report/worst.h"
#include "report/ledger.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 100 };

static void arena_freep(struct arena **a) { arena_free(*a); }

static const char *known_ms(double v, char *out) {
    if (isnan(v))
        return strcpy(out, "?");
    if (isinf(v))
        return strcpy(out, "bad");
    return words_ms_bare(v, out);
}

static const char *ms_of(int64_t ns, char *out) { return known_ms(words_ns_ms(ns), out); }

static void verdict_word(struct buf *out, enum verdict v) {
    for (const char *s = verdict_names[v]; *s; s++)
        buf_printf(out, "%c", toupper((unsigned char)*s));
}

static int put_header(const struct judgement *j, struct arena *a, struct buf *out) {
    const json_t *h = j->history->header;
    char seed[64];
    const char *s = json_text(json_object_get(h, "seed"), seed, sizeof seed);
    const char *scenario = text_clean(a, json_str_or(h, "scenario", "unnamed")), *run = text_clean(a, json_str_or(h, "run", "unnamed"));
    const char *why = text_clean(a, j->why), *clean_seed = text_clean(a, s ? s : "unknown");
    if (!scenario || !run || !why || !clean_seed)
        return -ENOMEM;
    verdict_word(out, j->verdict);
    buf_printf(out, "  %s  (run %s, seed %s)\n  ", scenario, run, clean_seed);
    text_wrap(out, why, 2, 2, WIDTH);
    if (j->history->torn)
        buf_str(out, "  The record's last piece was torn and has been left out.\n");
    return 0;
}

static void bracket(const struct downtime *d, char *out, size_t size) {
    char min[WORDS_SIZE], point[WORDS_SIZE], max[WORDS_SIZE];
    snprintf(out, size, "%s..%s..%s%s%s", ms_of(d->min, min), ms_of(d->point, point), ms_of(d->max, max),
             d->stalled || d->suspect ? " !" : "", d->shared_count ? " &" : "");
}

/* The window of a list that is known to have lasted longest; NULL: none. act -2: any. */
static const struct downtime *longest(const struct lane_figures *f, int act, const struct downtime *best) {
    for (size_t i = 0; i < f->downtime_count; i++) {
        const struct downtime *d = &f->downtime[i];
        if (act != -2 && !downtime_of(d, act))
            continue;
        if (!best || downtime_known(d) > downtime_known(best))
            best = d;
    }
    return best;
}

static void put_load_row(struct grid *g, const struct lane_figures *f) {
    char n[4][WORDS_SIZE], down[160] = "";
    const struct downtime *d = longest(f, -2, NULL);
    if (d)
        bracket(d, down, sizeof down);
    if (f->target)
        grid_cell(g, "  at %s", f->target);
    else if (f->lane >= 0)
        grid_cell(g, "  %s", lane_names[f->lane]);
    else
        grid_cell(g, f->control ? "%s (control)" : "%s", f->load);
    grid_cell(g, "%s", words_count(f->planned, n[0]));
    grid_cell(g, "%s", words_count(f->good, n[0]));
    grid_cell(g, "%s", isnan(f->by_requests) ? "?" : words_percent(f->by_requests, n[0]));
    grid_cell(g, "%s", known_ms(f->p50_ms, n[0]));
    grid_cell(g, "%s", known_ms(f->p99_ms, n[1]));
    grid_cell(g, "%s", known_ms(f->max_ms, n[2]));
    bool unknown = !f->planned && !d; /* who asked nothing saw no downtime, and no uptime either */
    grid_cell(g, "%s", unknown ? "?" : words_count((int64_t)f->downtime_count, n[3]));
    grid_cell(g, "%s", unknown ? "?" : d ? down : "none");
}

static void put_loads(const struct judgement *j, struct arena *a, struct buf *out) {
    struct grid g = {.arena = a};
    static const struct { const char *title; bool right; } columns[] = {
        {"load", false}, {"planned", true}, {"good", true}, {"available", true}, {"p50", true}, {"p99", true}, {"max", true},
        {"windows", true}, {"worst downtime", true},
    };
    if (!j->lane_count)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        grid_column(&g, columns[i].title, columns[i].right, i == 0);
    for (size_t load = 0; load < j->lane_count && j->lanes[load].lane < 0 && !j->lanes[load].target; load++)
        for (size_t i = 0; i < j->lane_count; i++)
            if (j->lanes[i].load_index == j->lanes[load].load_index && !j->lanes[i].silent)
                put_load_row(&g, &j->lanes[i]);
    buf_str(out, "\nLoad (latency and downtime in ms, downtime as least..likely..most; bad: a bad request)\n");
    grid_render(&g, WIDTH, out);
}

/* Why requests were bad, and what the figures leave out. */
static void put_trouble(const struct judgement *j, struct arena *a, struct buf *out) {
    char n[WORDS_SIZE];
    for (size_t i = 0; i < j->lane_count; i++) {
        const struct lane_figures *f = &j->lanes[i];
        if (f->lane >= 0 || f->target || f->planned + f->stalled_unsent - f->own_unsent == f->good)
            continue;
        const char *before = ": ";
        const char *load = text_clean(a, f->load);
        buf_printf(out, "  bad %s", load ? load : "");
        for (int r = REASON_NONE + 1; r < REASON_COUNT; r++)
            if (f->reasons[r]) {
                buf_printf(out, "%s%s %s", before, words_count(f->reasons[r], n), reason_names[r]);
                before = ", ";
            }
        if (f->stalled_unsent > f->own_unsent)
            buf_printf(out, "; %s not sent or not judged as chaosd itself stalled (not counted)", words_count(f->stalled_unsent - f->own_unsent, n));
        buf_str(out, "\n");
    }
}

static void put_load_notes(const struct judgement *j, struct arena *a, struct buf *out) {
    char notes[NOTES_MOST][NOTE_SIZE];
    for (size_t i = 0; i < j->lane_count; i++)
        for (size_t k = 0, n = notes_of(&j->lanes[i], notes); k < n; k++) {
            const char *clean = text_clean(a, notes[k]);
            buf_str(out, "  ");
            text_wrap(out, clean ? clean : "", 2, 4, WIDTH);
        }
}

/* What the figures of other programs' loads rest on. */
static int put_externals(const struct judgement *j, struct arena *a, struct buf *out) {
    for (size_t i = 0; i < j->external_count; i++) {
        cleanup_buf struct buf line = {0};
        external_say(&j->externals[i], &line);
        const char *clean = buf_ok(&line) ? text_clean(a, line.data) : NULL;
        if (!clean)
            return -ENOMEM;
        buf_str(out, "  ");
        text_wrap(out, clean, 2, 4, WIDTH);
    }
    return 0;
}

/* The captured value worth a column: "term" where there is one, else the first. */
static const char *data_key(const struct judgement *j) {
    const char *first = NULL, *key;
    for (size_t i = 0; i < j->act_count; i++) {
        const json_t *sets[] = {j->acts[i].role_before_data, j->acts[i].role_after_data};
        for (size_t k = 0; k < ARRAY_SIZE(sets); k++) {
            json_t *value;
            if (json_object_get(sets[k], "term"))
                return "term";
            json_object_foreach((json_t *)sets[k], key, value) first = first ? first : key;
        }
    }
    return first;
}

static void put_data_cell(struct grid *g, const struct act_figures *f, const char *key) {
    char a[64], b[64];
    const char *before = key ? json_text(json_object_get(f->role_before_data, key), a, sizeof a) : NULL;
    const char *after = key ? json_text(json_object_get(f->role_after_data, key), b, sizeof b) : NULL;
    if (!before && !after)
        grid_cell(g, "%s", "");
    else
        grid_cell(g, "%.20s→%.20s", before ? before : "?", after ? after : "?");
}

static void put_act_row(struct grid *g, const struct judgement *j, size_t i, const char *key) {
    const struct act_figures *f = &j->acts[i];
    char n[WORDS_SIZE], down[160] = "";
    const struct downtime *d = NULL;
    for (size_t k = 0; k < j->lane_count; k++)
        if (j->lanes[k].lane < 0 && !j->lanes[k].target && !j->lanes[k].control)
            d = longest(&j->lanes[k], (int)i, d);
    if (d)
        bracket(d, down, sizeof down);
    if (f->acted)
        grid_cell(g, "%.2f", (double)(f->at - (j->schedule_t == UNKNOWN_NS ? 0 : j->schedule_t)) / 1e9);
    else
        grid_cell(g, "-");
    grid_cell(g, "%s #%u", f->fault, f->occurrence);
    if (f->role_before)
        grid_cell(g, "%s→%s", f->target, f->role_after ? f->role_after : "?");
    else
        grid_cell(g, "%s", *f->target ? f->target : "-");
    put_data_cell(g, f, key);
    bool quiet = f->acted && !f->noticed && f->sustained == 0;
    grid_cell(g, "%s", !f->acted || quiet ? "-" : ms_of(f->detect, n));
    grid_cell(g, "%s", !f->acted || quiet ? "-" : ms_of(f->first_good, n));
    grid_cell(g, "%s", !f->acted ? "-" : ms_of(f->sustained, n));
    grid_cell(g, "%s", d ? down : f->acted && j->lane_count ? "none" : "-");
    grid_cell(g, "%s", !f->acted ? "-" : ms_of(f->redundancy, n));
}

static int put_note(struct arena *a, struct buf *out, const struct act_figures *f, const char *text, const char *why) {
    char line[1024];
    snprintf(line, sizeof line, "%s #%u %s%s%s", f->fault, f->occurrence, text, why ? ": " : "", why ? why : "");
    const char *clean = text_clean(a, line);
    if (!clean)
        return -ENOMEM;
    buf_str(out, "  ");
    text_wrap(out, clean, 2, 4, WIDTH);
    return 0;
}

static int put_notes(const struct judgement *j, const size_t *told, size_t n, struct arena *a, struct buf *out) {
    for (size_t i = 0; i < n; i++) {
        const struct act_figures *f = &j->acts[told[i]];
        int rc = 0;
        if (f->skipped)
            rc = put_note(a, out, f, "was skipped", f->why);
        else if (!f->acted)
            rc = put_note(a, out, f, f->unclear ? "may have been carried out, unseen" : "was not carried out", f->why);
        else if (!f->observed)
            rc = put_note(a, out, f, "was never seen in effect", act_unseen_why(f));
        if (rc == 0 && f->stuck)
            rc = put_note(a, out, f, "was NOT REVERTED", f->revert_why);
        else if (rc == 0 && (f->acted || f->unclear) && f->holds && !f->reverted)
            rc = put_note(a, out, f, "was held: its end was not seen", "the history stops before");
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What network faults did to packets. */
static int put_effects(const struct judgement *j, const size_t *told, size_t n, struct arena *a, struct buf *out) {
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct act_figures *f = &j->acts[told[i]];
        cleanup_buf struct buf line = {0};
        if (f->trouble && f->observed)
            rc = put_note(a, out, f, "was not in effect as asked", f->trouble);
        if (rc == 0 && effect_say(f, &line))
            rc = buf_ok(&line) ? put_note(a, out, f, line.data, NULL) : -ENOMEM;
    }
    return rc;
}

/* What the pods' own logs say of the same moments, in the same measure. */
static int put_marks(const struct judgement *j, const size_t *told, size_t count, struct arena *a, struct buf *out) {
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const struct act_figures *f = &j->acts[told[i]];
        cleanup_buf struct buf line = {0};
        for (size_t k = 0; k < f->mark_count; k++) {
            char n[WORDS_SIZE];
            buf_printf(&line, "%s%s %s (%s)", k ? ", " : "", f->marks[k].name, ms_of(f->marks[k].at, n), f->marks[k].pod);
        }
        if (!line.len)
            continue;
        if (!any)
            buf_str(out, "  The pods' own logs, ms from the act by their own stamps:\n");
        any = true;
        if (put_note(a, out, f, line.data, NULL) < 0)
            return -ENOMEM;
    }
    return 0;
}

enum { ACTS_MOST = 200 }; /* the worst; more are in summary.json */

static int put_acts(const struct judgement *j, struct arena *a, struct buf *out) {
    struct grid g = {.arena = a};
    if (!j->act_count)
        return 0;
    const char *key = data_key(j), *title = text_clean(a, key ? key : "");
    if (!title)
        return -ENOMEM;
    grid_column(&g, "at", true, false);
    grid_column(&g, "fault", false, true);
    grid_column(&g, "victim", false, true);
    grid_column(&g, title, false, true);
    static const char *const figures[] = {"detect", "good", "sustained", "downtime", "full"};
    for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
        grid_column(&g, figures[i], true, false);
    size_t n = 0;
    char more[WORDS_SIZE];
    cleanup_free size_t *told = worst_acts(j, ACTS_MOST, &n);
    if (!told)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        put_act_row(&g, j, told[i], key);
    buf_str(out, "\nFaults (at: seconds of the schedule; then ms from the act: first bad answer, first good after it,\n"
                 "lasting good; downtime; every replica ready again. A→B: the role went from A to B)\n");
    grid_render(&g, WIDTH, out);
    if (n < j->act_count)
        buf_printf(out, "  and %s more acts, none of them worse\n", words_count((int64_t)(j->act_count - n), more));
    int rc = put_notes(j, told, n, a, out);
    rc = rc < 0 ? rc : put_effects(j, told, n, a, out);
    rc = rc < 0 ? rc : put_marks(j, told, n, a, out);
    return rc < 0 ? rc : timeline_text(j, told, n, a, WIDTH, out);
}

static void put_ledger_row(struct grid *g, const struct ledger_figures *f) {
    char n[WORDS_SIZE], min[WORDS_SIZE], max[WORDS_SIZE];
    const int64_t known[] = {f->lost, f->stale};
    int64_t least, most;
    ledger_rpo(f, &least, &most);
    grid_cell(g, "%s", f->load);
    grid_cell(g, "%s", words_count(f->written, n));
    grid_cell(g, "%s", words_count(f->acknowledged, n));
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        grid_cell(g, "%s", f->read ? words_count(known[i], n) : "?");
    grid_cell(g, "%s", words_count(f->unknown, n));
    grid_cell(g, "%s", f->read ? words_count(f->recovered, n) : "?");
    if (f->read && !f->lost && !f->unknown)
        grid_cell(g, "none lost");
    else
        grid_cell(g, "%s..%s", ms_of(least, min), ms_of(most, max));
}

static int put_ledgers(const struct judgement *j, struct arena *a, struct buf *out) {
    struct grid g = {.arena = a};
    static const char *const figures[] = {"written", "acknowledged", "lost", "stale", "unknown", "recovered", "rpo"};
    if (!j->ledger_count)
        return 0;
    grid_column(&g, "ledger", false, true);
    for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
        grid_column(&g, figures[i], true, false);
    for (size_t i = 0; i < j->ledger_count; i++)
        put_ledger_row(&g, &j->ledgers[i]);
    buf_str(out, "\nLedger (writes read back at the end; stale: not there at first; recovered: there without an answer;\n"
                 "rpo: ms from the first lost acknowledgement to the last, least..most)\n");
    grid_render(&g, WIDTH, out);
    for (size_t i = 0; i < j->ledger_count; i++)
        for (size_t k = 0; k < j->ledgers[i].loss_count; k++) {
            const struct ledger_loss *l = &j->ledgers[i].losses[k];
            cleanup_buf struct buf line = {0};
            if (l->act >= 0)
                buf_printf(&line, "%s #%u: ", j->acts[l->act].fault, j->acts[l->act].occurrence);
            ledger_loss_words(j, l, &line);
            const char *clean = buf_ok(&line) ? text_clean(a, line.data) : NULL;
            if (!clean)
                return -ENOMEM;
            buf_str(out, "  ");
            text_wrap(out, clean, 2, 4, WIDTH);
        }
    return 0;
}

enum { NAME_MOST = 36 }; /* a longer check's sentence goes below it */

static int put_check(const struct check_result *c, size_t verdicts, size_t names, struct arena *a, struct buf *out) {
    const char *name = text_clean(a, c->name), *why = text_clean(a, c->why);
    if (!name || !why)
        return -ENOMEM;
    size_t w = text_width(name), column = 2 + verdicts + 2 + names + 2;
    buf_printf(out, "  %-*s  %s", (int)verdicts, verdict_names[c->verdict], name);
    if (w > names)
        buf_printf(out, "\n%*s", (int)column, "");
    else
        buf_printf(out, "%*s", (int)(names - w + 2), "");
    text_wrap(out, why, column, column, WIDTH);
    return 0;
}

static int put_checks(const struct judgement *j, struct arena *a, struct buf *out) {
    size_t verdicts = 0, names = 0;
    for (size_t i = 0; i < j->check_count; i++) {
        size_t v = strlen(verdict_names[j->checks[i].verdict]), n = text_width(j->checks[i].name);
        verdicts = v > verdicts ? v : verdicts;
        names = n > names && n <= NAME_MOST ? n : names;
    }
    buf_str(out, "\nChecks\n");
    for (size_t i = 0; i < j->check_count; i++) {
        int rc = put_check(&j->checks[i], verdicts, names, a, out);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int put_files(const struct judgement *j, struct arena *a, struct buf *out) {
    const char *dir = j->history->dir ? text_clean(a, j->history->dir) : "";
    if (!dir)
        return -ENOMEM;
    if (!*dir)
        return 0;
    cleanup_buf struct buf names = {0};
    buf_str(&names, "history.jsonl samples.bin");
    for (size_t i = 0; report_kinds[i]; i++)
        if (report_kinds[i]->file)
            buf_printf(&names, " %s", report_kinds[i]->file);
    buf_printf(out, "\nFiles in %s\n  ", dir); /* a line of its own: how the rest wraps does not hang on where the folder is */
    if (buf_ok(&names))
        text_wrap(out, names.data, 2, 2, WIDTH);
    return buf_ok(&names) ? 0 : -ENOMEM;
}

static int render(const struct judgement *j, struct buf *out, struct error *err) {
    cleanup(arena_freep) struct arena *a = arena_new();
    int rc = a ? put_header(j, a, out) : -ENOMEM;
    if (rc == 0) {
        put_loads(j, a, out);
        put_trouble(j, a, out);
        put_load_notes(j, a, out);
        text_degradation(j, a, out, WIDTH);
        rc = put_externals(j, a, out);
    }
    if (rc == 0)
        rc = put_acts(j, a, out);
    if (rc == 0) {
        text_shared(j, a, out, WIDTH);
        text_control(j, a, out, WIDTH);
    }
    if (rc == 0)
        probes_text(j, a, WIDTH, out);
    if (rc == 0)
        rc = put_ledgers(j, a, out);
    if (rc == 0)
        rc = put_checks(j, a, out);
    if (rc == 0)
        rc = put_files(j, a, out);
    return rc == 0 && buf_ok(out) ? 0 : error_set(err, -ENOMEM, "text report: out of memory");
}

const struct report_kind report_text = {.name = "text", .file = NULL, .render = render};
