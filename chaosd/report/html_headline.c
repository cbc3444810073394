/* SPDX-License-Identifier: Apache-2.0 */
/* The first screen, written as HTML: it must be readable where a CI system's viewer allows no scripts. */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/notes.h"
#include "check/words.h"
#include "report/html_model.h"
#include "report/ledger.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const struct { const char *word, *advice; } verdicts[] = {
    [VERDICT_PASS] = {"Pass", "Promote: every limit of this drill was kept."},
    [VERDICT_FAIL] = {"Fail", "Do not promote: a check failed, or a fault was left behind."},
    [VERDICT_INCONCLUSIVE] = {"Inconclusive", "No decision: this drill does not show enough. Mend it and run it again."},
    [VERDICT_SKIPPED] = {"Skipped", "No decision: nothing was applicable."},
    [VERDICT_ABORTED] = {"Aborted", "No decision: the run was stopped before its end."},
};

void html_verdict(const struct judgement *j, struct buf *out) {
    buf_printf(out, "<p class=\"verdict\" id=\"verdict\"><span class=\"badge %s\">%s</span> <span class=\"advice\">%s</span></p>\n",
               verdict_names[j->verdict], verdicts[j->verdict].word, verdicts[j->verdict].advice);
    buf_str(out, "<p class=\"why\" id=\"why\">");
    html_text(out, j->why ? j->why : "");
    buf_str(out, "</p>\n");
    if (j->history->torn)
        buf_str(out, "<p class=\"note\">The record’s last piece was torn and has been left out.</p>\n");
}

struct tile { const char *id, *title, *value; };

static void tile_of(struct buf *out, const char *class, const struct tile *t, const struct buf *more) {
    buf_printf(out, "<div class=\"%s\" id=\"tile-%s\"><dt>%s</dt><dd class=\"figure\">", class, t->id, t->title);
    html_text(out, t->value);
    buf_str(out, "</dd><dd class=\"more\">");
    html_text(out, more->data ? more->data : "");
    buf_str(out, "</dd></div>\n");
}

static void tile(struct buf *out, const struct tile *t, const struct buf *more) { tile_of(out, "tile", t, more); }

/* What the headline speaks of: loads as a whole, controls aside. */
static bool whole(const struct lane_figures *f) { return f->lane < 0 && !f->target && !f->control; }

static void availability(const struct judgement *j, struct buf *out) {
    const struct lane_figures *worst = NULL;
    char value[WORDS_SIZE], n[2][WORDS_SIZE], time[3][WORDS_SIZE];
    cleanup_buf struct buf more = {0};
    size_t loads = 0;
    for (size_t i = 0; i < j->lane_count; i++)
        if (whole(&j->lanes[i]) && ++loads && !isnan(j->lanes[i].by_requests) && (!worst || j->lanes[i].by_requests < worst->by_requests))
            worst = &j->lanes[i];
    if (worst) {
        if (loads > 1)
            buf_printf(&more, "%s (worst of %zu loads): ", worst->load, loads);
        buf_printf(&more, "%s of %s requests good", words_count(worst->good, n[0]), words_count(worst->planned, n[1]));
        if (!isnan(worst->time_low))
            buf_printf(&more, "; by time %s (%s to %s)", words_percent(worst->by_time, time[0]), words_percent(worst->time_low, time[1]),
                       words_percent(worst->time_high, time[2]));
    } else {
        buf_str(&more, "no request was recorded");
    }
    tile(out, &(struct tile){"availability", "Availability", worst ? words_percent(worst->by_requests, value) : "unknown"}, &more);
}

/* The same words as everywhere up to ten seconds; what is longer is read in larger units, never rounded into a better figure. */
static const char *duration(int64_t ns, char *out) {
    if (ns == UNKNOWN_NS)
        return "unknown";
    if (ns < INT64_C(10000000000))
        return words_ms(words_ns_ms(ns), out);
    int64_t tenths = ns / 100000000 + (ns % 100000000 != 0), s = tenths / 10;
    if (s < 120)
        snprintf(out, WORDS_SIZE, "%" PRId64 ".%" PRId64 " s", s, tenths % 10);
    else
        snprintf(out, WORDS_SIZE, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60 + (tenths % 10 != 0));
    return out;
}

static void downtime(const struct judgement *j, struct buf *out) {
    const struct downtime *worst = NULL;
    const struct lane_figures *of = NULL;
    char value[WORDS_SIZE], n[3][WORDS_SIZE];
    cleanup_buf struct buf more = {0};
    size_t count = 0;
    bool open = false, any = false;
    for (size_t i = 0; i < j->lane_count; i++)
        any |= j->lanes[i].planned > 0;
    for (size_t i = 0; i < j->lane_count; i++)
        for (size_t k = 0; k < j->lanes[i].downtime_count && whole(&j->lanes[i]); k++) {
            const struct downtime *d = &j->lanes[i].downtime[k];
            count++;
            open |= d->max == UNKNOWN_NS;
            if (!worst || downtime_known(d) > downtime_known(worst)) {
                worst = d;
                of = &j->lanes[i];
            }
        }
    if (worst && worst->max != UNKNOWN_NS)
        buf_printf(&more, open ? "or more, for another window never closed; likely %s, at least %s" : "at most; likely %s, at least %s", words_ms(words_ns_ms(worst->point), n[1]),
                   words_ms(words_ns_ms(worst->min), n[0]));
    else if (worst)
        buf_printf(&more, "at least %s; the window has no known %s", words_ms(words_ns_ms(worst->min), n[0]),
                   worst->end == UNKNOWN_NS ? "end" : "beginning");
    else
        buf_str(&more, any ? "no request failed" : j->lane_count ? "no request was sent" : "there was no load");
    if (worst)
        buf_printf(&more, "; %s, %s window%s in all%s", of->load, words_count((int64_t)count, n[2]), count == 1 ? "" : "s",
                   worst->stalled ? "; chaosd itself stalled in it" : worst->suspect ? "; a control failed as well" : "");
    tile(out, &(struct tile){"downtime", "Worst downtime", !worst ? (any ? "none" : "unknown") : duration(worst->max, value)},
         &more);
}

static void recovery(const struct judgement *j, struct buf *out) {
    const struct act_figures *worst = NULL;
    char value[WORDS_SIZE], n[2][WORDS_SIZE];
    cleanup_buf struct buf more = {0};
    for (size_t i = 0; i < j->act_count; i++) {
        const struct act_figures *f = &j->acts[i];
        if (f->acted && (!worst || (worst->sustained != UNKNOWN_NS && (f->sustained == UNKNOWN_NS || f->sustained > worst->sustained))))
            worst = f;
    }
    bool quiet = worst && !worst->noticed && worst->sustained == 0;
    if (quiet)
        buf_str(&more, "no user noticed any fault");
    else if (worst)
        buf_printf(&more, "%s #%u on %s", worst->fault, worst->occurrence, *worst->target ? worst->target : "no pod");
    else
        buf_str(&more, "no fault was carried out");
    if (worst && worst->sustained == UNKNOWN_NS)
        buf_printf(&more, ": not seen to recover%s%s", worst->at_least != UNKNOWN_NS && worst->at_least > 0 ? ", at least " : "",
                   worst->at_least != UNKNOWN_NS && worst->at_least > 0 ? words_ms(words_ns_ms(worst->at_least), n[0]) : "");
    if (worst && worst->redundancy != UNKNOWN_NS && worst->redundancy > 0)
        buf_printf(&more, "; every replica ready after %s", words_ms(words_ns_ms(worst->redundancy), n[1]));
    const char *figure = !worst ? "unknown" : quiet ? "none needed" : duration(worst->sustained, value);
    tile(out, &(struct tile){"recovery", "Worst recovery", figure}, &more);
}

static void faults(const struct judgement *j, struct buf *out) {
    int64_t acted = 0, seen = 0, skipped = 0, held = 0, open = 0, stuck = 0;
    char n[4][WORDS_SIZE], value[2 * WORDS_SIZE + 8];
    cleanup_buf struct buf more = {0};
    for (size_t i = 0; i < j->act_count; i++) {
        const struct act_figures *f = &j->acts[i];
        acted += !f->skipped;
        seen += f->acted && f->observed;
        skipped += f->skipped;
        held += (f->acted || f->unclear) && f->holds;
        open += (f->acted || f->unclear) && f->holds && !f->reverted && !f->stuck;
        stuck += f->stuck;
    }
    snprintf(value, sizeof value, "%s of %s", words_count(seen, n[0]), words_count(acted, n[1]));
    buf_str(&more, !acted ? "none was carried out" : seen == acted ? "every one seen in effect" : "seen in effect");
    if (skipped)
        buf_printf(&more, "; %s skipped", words_count(skipped, n[2]));
    if (stuck)
        buf_printf(&more, "; %s NOT REVERTED", words_count(stuck, n[3]));
    if (open)
        buf_printf(&more, "; %s not seen reverted", words_count(open, n[3]));
    if (held && !stuck && !open)
        buf_str(&more, "; all reverted");
    tile(out, &(struct tile){"faults", "Faults in effect", value}, &more);
}

/* Only where a load keeps a ledger: no other run can say anything of lost writes. */
static void data(const struct judgement *j, struct buf *out) {
    int64_t acknowledged = 0, lost = 0, stale = 0, unknown = 0, least = 0, most = 0;
    char n[4][WORDS_SIZE], value[WORDS_SIZE + 8], min[WORDS_SIZE], max[WORDS_SIZE];
    cleanup_buf struct buf more = {0};
    bool read = true;
    for (size_t i = 0; i < j->ledger_count; i++) {
        const struct ledger_figures *f = &j->ledgers[i];
        int64_t a, b;
        read &= f->read;
        acknowledged += f->acknowledged;
        lost += f->lost;
        stale += f->stale;
        unknown += f->unknown;
        ledger_rpo(f, &a, &b);
        least = a > least ? a : least;
        most = most == UNKNOWN_NS || b == UNKNOWN_NS ? UNKNOWN_NS : b > most ? b : most;
    }
    if (!j->ledger_count)
        return;
    snprintf(value, sizeof value, "%s", !read || (unknown && !lost) ? "unknown" : lost ? words_count(lost, n[0]) : "none");
    buf_printf(&more, "of %s acknowledged writes", words_count(acknowledged, n[1]));
    if (read && lost)
        buf_printf(&more, "; RPO %s to %s", words_ms(words_ns_ms(least), min), words_ms(words_ns_ms(most), max));
    if (!read)
        buf_str(&more, "; they were not read back");
    else if (unknown)
        buf_printf(&more, "; %s could not be read back", words_count(unknown, n[2]));
    if (read && stale)
        buf_printf(&more, "; %s not there at first", words_count(stale, n[3]));
    tile_of(out, lost ? "tile alarm" : "tile", &(struct tile){"data", "Writes lost", value}, &more);
}

void html_headline(const struct judgement *j, struct buf *out) {
    buf_str(out, "<dl class=\"tiles\" id=\"tiles\">\n");
    availability(j, out);
    downtime(j, out);
    recovery(j, out);
    data(j, out);
    faults(j, out);
    buf_str(out, "</dl>\n");
    char notes[NOTES_MOST][NOTE_SIZE];
    for (size_t i = 0; i < j->lane_count; i++)
        for (size_t k = 0, n = notes_of(&j->lanes[i], notes); k < n; k++) {
            buf_str(out, "<p class=\"note\">");
            html_text(out, notes[k]);
            buf_str(out, "</p>\n");
        }
}
