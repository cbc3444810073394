/* SPDX-License-Identifier: Apache-2.0 */
/* summary.md, for the pages of CI jobs: GitHub's and GitLab's Markdown. */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/notes.h"
#include "check/words.h"
#include "report/effect.h"
#include "report/external.h"
#include "report/grid.h"
#include "report/kinds.h"
#include "report/probes.h"
#include "report/ledger.h"
#include "report/timeline.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

enum { TIMELINES_MOST = 10, ROWS_MOST = 100 }; /* a job page takes 1 MiB; the rest is in the other reports */

struct page {
    const struct judgement *j;
    struct arena *a;
    struct buf *out;
};

/* Nothing in text from outside may start Markdown or HTML, break a table's cell, or call a user, an issue or an address to life.
 * References are resolved only after the structure is read, so they are safe everywhere; the word joiner (no width) breaks what sites
 * make links of in finished text. */
static void put_escaped(struct page *p, const char *s, const char *links) {
    const char *clean = text_clean(p->a, s);
    if (!clean) {
        p->out->failed = true;
        return;
    }
    for (const char *c = clean; *c; c++) {
        if (*c == '&')
            buf_str(p->out, "&amp;");
        else if (*c == '<')
            buf_str(p->out, "&lt;");
        else if (*c == '>')
            buf_str(p->out, "&gt;");
        else if (strchr("\\`*_~[]|$", *c))
            buf_printf(p->out, "&#%d;", *c);
        else
            buf_add(p->out, c, 1);
        if ((strchr(links, *c) && (isalnum((unsigned char)c[1]) || (c[1] && strchr("_/\"{", c[1])))) || (*c == '.' && c - clean >= 3 && strncasecmp(c - 3, "www", 3) == 0))
            buf_str(p->out, "&#8288;");
    }
}

static void put_text(struct page *p, const char *s) { put_escaped(p, s, "@#!%&~$:"); }

/* A name, as code: sites look for no references in it, only for addresses. */
static void put_name(struct page *p, const char *s) {
    buf_str(p->out, "<code>");
    put_escaped(p, *s ? s : "-", "@:");
    buf_str(p->out, "</code>");
}

static const char *ms_of(int64_t ns, char *out) { return ns == UNKNOWN_NS ? "?" : words_ms_bare(words_ns_ms(ns), out); }

static const char *quantile(double ms, char *out) { return isnan(ms) ? "?" : isinf(ms) ? "bad" : words_ms_bare(ms, out); }

static void put_bracket(struct page *p, const struct downtime *d) {
    char min[WORDS_SIZE], point[WORDS_SIZE], max[WORDS_SIZE];
    buf_printf(p->out, "%s .. %s .. %s%s", ms_of(d->min, min), ms_of(d->point, point), ms_of(d->max, max), d->stalled ? " (chaosd stalled)" : d->suspect ? " (a control failed too)" : "");
}

static const struct downtime *longer(const struct downtime *a, const struct downtime *b) {
    return !a || downtime_known(b) > downtime_known(a) ? b : a;
}

static bool whole_load(const struct lane_figures *f) { return f->lane < 0 && !f->target; }

static void put_head(struct page *p) {
    static const struct { const char *sign, *word; } words[] = {
        [VERDICT_PASS] = {"✅", "Passed"},  [VERDICT_FAIL] = {"❌", "Failed"},   [VERDICT_INCONCLUSIVE] = {"❔", "Inconclusive"},
        [VERDICT_SKIPPED] = {"⏩", "Skipped"}, [VERDICT_ABORTED] = {"⏹", "Aborted"},
    };
    const json_t *h = p->j->history->header;
    char tmp[64];
    const char *seed = json_text(json_object_get(h, "seed"), tmp, sizeof tmp);
    buf_printf(p->out, "## %s %s: ", words[p->j->verdict].sign, words[p->j->verdict].word);
    put_text(p, json_str_or(h, "scenario", "unnamed"));
    buf_str(p->out, "\n\n**");
    put_text(p, p->j->why);
    buf_str(p->out, "**\n\nRun ");
    put_name(p, json_str_or(h, "run", "unnamed"));
    buf_str(p->out, ", seed ");
    put_name(p, seed ? seed : "unknown");
    if (p->j->end_t > 0)
        buf_printf(p->out, ", %.1f s", (double)p->j->end_t / 1e9);
    buf_str(p->out, ".\n");
    if (p->j->history->torn)
        buf_str(p->out, "\nThe record's last piece was torn and has been left out.\n");
}

static void put_load_row(struct page *p, const struct lane_figures *f) {
    char n[WORDS_SIZE];
    const struct downtime *worst = NULL;
    for (size_t i = 0; i < f->downtime_count; i++)
        worst = longer(worst, &f->downtime[i]);
    buf_str(p->out, "| ");
    if (whole_load(f))
        put_name(p, f->load);
    else
        buf_printf(p->out, "— %s", lane_names[f->lane]);
    if (whole_load(f) && f->control)
        buf_str(p->out, " (control)");
    buf_printf(p->out, " | %s", words_count(f->planned, n));
    buf_printf(p->out, " | %s", words_count(f->planned - f->good, n));
    buf_printf(p->out, " | %s", isnan(f->by_requests) ? "?" : words_percent(f->by_requests, n));
    const double quantiles[] = {f->p50_ms, f->p99_ms, f->max_ms};
    for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
        buf_printf(p->out, " | %s", quantile(quantiles[i], n));
    bool unknown = !f->planned && !worst;
    buf_printf(p->out, " | %s | ", unknown ? "?" : words_count((int64_t)f->downtime_count, n));
    if (unknown)
        buf_str(p->out, "?");
    else if (worst)
        put_bracket(p, worst);
    else
        buf_str(p->out, "none");
    buf_str(p->out, " | ");
    worst = NULL;
    for (size_t i = 0; i < f->degradation_count; i++)
        worst = longer(worst, &f->degradation[i]);
    if (worst)
        put_bracket(p, worst);
    else
        buf_str(p->out, f->slow_known ? "none" : "?");
    buf_str(p->out, " |\n");
}

static void put_more(struct page *p, size_t shown, size_t all) {
    if (shown < all)
        buf_printf(p->out, "\n… and %zu more, in `summary.json`.\n", all - shown);
}

static void put_loads(struct page *p) {
    size_t shown = 0, all = 0;
    for (size_t i = 0; i < p->j->lane_count; i++)
        all += !p->j->lanes[i].target && !p->j->lanes[i].silent;
    if (!all)
        return;
    buf_str(p->out, "\n### Load\n\n| load | planned | bad | available | p50 ms | p99 ms | max ms | windows | worst downtime, ms | worst degradation, ms |\n"
                    "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (size_t l = 0; l < p->j->lane_count && whole_load(&p->j->lanes[l]); l++)
        for (size_t i = 0; i < p->j->lane_count && shown < ROWS_MOST; i++)
            if (!p->j->lanes[i].target && !p->j->lanes[i].silent && p->j->lanes[i].load_index == p->j->lanes[l].load_index) {
                put_load_row(p, &p->j->lanes[i]);
                shown++;
            }
    put_more(p, shown, all);
    char notes[NOTES_MOST][NOTE_SIZE];
    for (size_t i = 0; i < p->j->lane_count; i++)
        for (size_t k = 0, n = notes_of(&p->j->lanes[i], notes); k < n; k++) {
            buf_str(p->out, "\n**");
            put_text(p, notes[k]);
            buf_str(p->out, "**\n");
        }
    buf_str(p->out, "\nDowntime and degradation (slow or bad) as least .. likely .. most; \"at most\" is judged on the last. A figure that says *bad* falls on a bad request.\n");
}

static void put_externals(struct page *p) {
    for (size_t i = 0; i < p->j->external_count; i++) {
        cleanup_buf struct buf line = {0};
        external_say(&p->j->externals[i], &line);
        buf_str(p->out, "\n");
        put_text(p, buf_ok(&line) ? line.data : "");
        buf_str(p->out, "\n");
    }
}

static const char *state_of(const struct act_figures *f) {
    if (f->skipped)
        return f->unable ? "cannot be done here" : "skipped";
    if (!f->acted)
        return f->unclear ? f->stuck ? "**perhaps carried out, not reverted**" : "perhaps carried out" : "not carried out";
    if (f->holds && !f->reverted)
        return "**not reverted**";
    if (!f->observed)
        return "never seen in effect";
    if (f->trouble)
        return "not in effect as asked";
    return f->stalled ? "chaosd stalled" : f->noticed ? f->censored ? "not recovered" : "recovered" : f->censored ? "unknown" : "not noticed";
}

static void put_act_row(struct page *p, size_t i) {
    const struct act_figures *f = &p->j->acts[i];
    const struct downtime *worst = NULL;
    char n[WORDS_SIZE];
    for (size_t l = 0; l < p->j->lane_count; l++)
        for (size_t k = 0; whole_load(&p->j->lanes[l]) && !p->j->lanes[l].control && k < p->j->lanes[l].downtime_count; k++)
            if (downtime_of(&p->j->lanes[l].downtime[k], (int)i))
                worst = longer(worst, &p->j->lanes[l].downtime[k]);
    buf_str(p->out, "| ");
    if (f->acted)
        buf_printf(p->out, "%.2f", (double)(f->at - (p->j->schedule_t == UNKNOWN_NS ? 0 : p->j->schedule_t)) / 1e9);
    buf_str(p->out, " | ");
    put_name(p, f->fault);
    buf_printf(p->out, " %u | ", f->occurrence);
    put_name(p, f->target);
    if (f->role_before && f->role_after) {
        buf_str(p->out, " → ");
        put_name(p, f->role_after);
    }
    const int64_t figures[] = {f->detect, f->first_good, f->sustained, f->redundancy};
    bool quiet = !f->noticed && f->sustained == 0;
    for (size_t k = 0; k < ARRAY_SIZE(figures); k++)
        buf_printf(p->out, " | %s", !f->acted || (quiet && k < 2) ? "-" : ms_of(figures[k], n));
    buf_str(p->out, " | ");
    if (worst)
        put_bracket(p, worst);
    else
        buf_str(p->out, f->acted ? "none" : "-");
    buf_printf(p->out, " | %s", state_of(f));
    const char *why = f->why ? f->why : f->revert_why ? f->revert_why : f->acted && !f->observed ? act_unseen_why(f) : f->trouble;
    if (why) {
        buf_str(p->out, ": ");
        put_text(p, why);
    }
    if (f->revert_why && why != f->revert_why) {
        buf_str(p->out, "; ");
        put_text(p, f->revert_why);
    }
    cleanup_buf struct buf effect = {0};
    if (effect_say(f, &effect)) {
        buf_str(p->out, "; ");
        put_text(p, buf_ok(&effect) ? effect.data : "");
    }
    buf_str(p->out, " |\n");
}

static void put_acts(struct page *p) {
    size_t n = p->j->act_count < ROWS_MOST ? p->j->act_count : ROWS_MOST;
    if (!n)
        return;
    buf_str(p->out, "\n### Faults\n\n| at s | fault | victim | detected | first good | sustained | full | downtime | |\n"
                    "| ---: | :--- | :--- | ---: | ---: | ---: | ---: | ---: | :--- |\n");
    for (size_t i = 0; i < n; i++)
        put_act_row(p, i);
    put_more(p, n, p->j->act_count);
    buf_str(p->out, "\nMilliseconds from the act; full: every replica ready again.\n");
}

static void put_timeline(struct page *p, const struct act_figures *f) {
    size_t n = 0;
    struct timeline_row *rows = timeline_rows(f, p->a, &n);
    cleanup_buf struct buf missing = {0};
    p->out->failed |= !rows;
    buf_str(p->out, "\n");
    put_name(p, f->fault);
    buf_printf(p->out, " %u on ", f->occurrence);
    put_name(p, f->target);
    buf_str(p->out, "\n\n| ms | what | of | server's time | |\n| ---: | :--- | :--- | :--- | :--- |\n");
    for (size_t i = 0; rows && i < n; i++) {
        char when[3 * WORDS_SIZE];
        cleanup_buf struct buf whose = {0};
        timeline_when(&rows[i], when, sizeof when);
        timeline_whose(&rows[i], &whose);
        buf_printf(p->out, "| %s | ", when);
        put_text(p, rows[i].what);
        buf_str(p->out, " | ");
        put_name(p, buf_ok(&whose) ? whose.data : "");
        buf_str(p->out, " | ");
        put_text(p, rows[i].stamp ? rows[i].stamp : "");
        buf_str(p->out, " | ");
        put_text(p, rows[i].note ? rows[i].note : "");
        buf_str(p->out, " |\n");
    }
    if (timeline_missing(f, &missing)) {
        buf_str(p->out, "\nNot reached: ");
        put_text(p, buf_ok(&missing) ? missing.data : "");
        buf_str(p->out, ".\n");
    }
}

static void put_timelines(struct page *p) {
    size_t all = 0;
    for (size_t i = 0; i < p->j->act_count; i++) {
        const struct act_figures *f = &p->j->acts[i];
        if (!f->timeline_count && !f->not_reached_count)
            continue;
        if (!all++)
            buf_str(p->out, "\n### The control plane\n");
        if (all <= TIMELINES_MOST)
            put_timeline(p, f);
    }
    put_more(p, all < TIMELINES_MOST ? all : TIMELINES_MOST, all);
    if (all)
        buf_str(p->out, "\nMilliseconds from the act, as chaosd saw it; the server's own clock stands beside it and is never computed with.\n");
}

static void put_probe_row(struct page *p, const struct probe_figures *f) {
    char text[160], n[WORDS_SIZE];
    buf_str(p->out, "| ");
    put_name(p, f->name);
    buf_printf(p->out, " | %s | ", f->mode);
    put_text(p, probe_asked_of(f, text, sizeof text));
    buf_printf(p->out, " | %s", f->asked < 0 ? "?" : words_count(f->asked, n));
    buf_printf(p->out, " | %s", f->bad < 0 ? "?" : words_count(f->bad, n));
    buf_printf(p->out, " | %s | ", f->longest ? probe_length(f->longest, text, sizeof text) : "none");
    if (f->first)
        put_text(p, f->first->why);
    buf_str(p->out, " |\n");
}

static void put_probes(struct page *p) {
    size_t n = p->j->probe_count < ROWS_MOST ? p->j->probe_count : ROWS_MOST;
    if (!n)
        return;
    buf_str(p->out, "\n### Probes\n\n| probe | mode | asked of | answers | wrong | longest wrong, ms | first |\n"
                    "| :--- | :--- | :--- | ---: | ---: | ---: | :--- |\n");
    for (size_t i = 0; i < n; i++)
        put_probe_row(p, &p->j->probes[i]);
    put_more(p, n, p->j->probe_count);
}

static void put_ledgers(struct page *p) {
    char n[WORDS_SIZE], min[WORDS_SIZE], max[WORDS_SIZE];
    if (!p->j->ledger_count)
        return;
    buf_str(p->out, "\n### Ledger\n\n| load | acknowledged | lost | stale | unknown | recovered | rpo ms |\n"
                    "| :--- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < p->j->ledger_count && i < ROWS_MOST; i++) {
        const struct ledger_figures *f = &p->j->ledgers[i];
        int64_t least, most;
        ledger_rpo(f, &least, &most);
        buf_str(p->out, "| ");
        put_name(p, f->load);
        buf_printf(p->out, " | %s", words_count(f->acknowledged, n));
        buf_printf(p->out, f->lost ? " | **%s**" : " | %s", f->read ? words_count(f->lost, n) : "?");
        buf_printf(p->out, " | %s", f->read ? words_count(f->stale, n) : "?");
        buf_printf(p->out, " | %s", words_count(f->unknown, n));
        buf_printf(p->out, " | %s", f->read ? words_count(f->recovered, n) : "?");
        buf_printf(p->out, " | %s .. %s |\n", ms_of(least, min), ms_of(most, max));
    }
    buf_str(p->out, "\nWrites read back at the end; rpo: from the first lost acknowledgement to the last, least .. most.\n");
}

/* What is not a pass comes first: whoever opens the page looks for it. */
static void put_checks(struct page *p) {
    static const enum verdict order[] = {VERDICT_FAIL, VERDICT_ABORTED, VERDICT_INCONCLUSIVE, VERDICT_SKIPPED, VERDICT_PASS};
    size_t shown = 0;
    buf_str(p->out, "\n### Checks\n\n| | check | why |\n| :--- | :--- | :--- |\n");
    for (size_t v = 0; v < ARRAY_SIZE(order); v++)
        for (size_t i = 0; i < p->j->check_count && shown < ROWS_MOST; i++)
            if (p->j->checks[i].verdict == order[v]) {
                buf_printf(p->out, "| %s | ", verdict_names[order[v]]);
                put_name(p, p->j->checks[i].name);
                buf_str(p->out, " | ");
                put_text(p, p->j->checks[i].why);
                buf_str(p->out, " |\n");
                shown++;
            }
    put_more(p, shown, p->j->check_count);
}

static void arena_freep(struct arena **a) { arena_free(*a); }

static int render(const struct judgement *j, struct buf *out, struct error *err) {
    cleanup(arena_freep) struct arena *a = arena_new();
    struct page p = {.j = j, .a = a, .out = out};
    if (a) {
        put_head(&p);
        put_loads(&p);
        put_externals(&p);
        put_acts(&p);
        put_timelines(&p);
        put_probes(&p);
        put_ledgers(&p);
        put_checks(&p);
    }
    return a && buf_ok(out) ? 0 : error_set(err, -ENOMEM, "Markdown summary: out of memory");
}

const struct report_kind report_markdown = {.name = "markdown", .file = "summary.md", .render = render};
