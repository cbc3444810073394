/* SPDX-License-Identifier: Apache-2.0 */
#include "live_render.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "check/words.h"
#include "live_draw.h"
#include "live_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { ROOMY = 22 }; /* rows from which sections are set apart */

static int64_t since_schedule(const struct live_model *m, int64_t t) { return m->schedule_t < 0 ? 0 : t - m->schedule_t; }

/* "0:07", "12:30", "3:02:11", "4d 3:02:11" */
static const char *span(int64_t ns, char out[48]) {
    int64_t s = ns > 0 ? ns / NS_PER_S : 0, d = s / 86400, h = s / 3600 % 24;
    int n = d ? snprintf(out, 48, "%" PRId64 "d ", d) : 0;
    if (h || d)
        snprintf(out + n, 48 - (size_t)n, "%" PRId64 ":%02d:%02d", h, (int)(s / 60 % 60), (int)(s % 60));
    else
        snprintf(out + n, 48 - (size_t)n, "%d:%02d", (int)(s / 60), (int)(s % 60));
    return out;
}

/* "4.2 s" while it matters, "29 s", then as span. */
static const char *left(int64_t ns, char out[48]) {
    if (ns < 10 * NS_PER_S)
        snprintf(out, 48, "%.1f s", ns > 0 ? (double)ns / 1e9 : 0.0);
    else if (ns < 60 * NS_PER_S)
        snprintf(out, 48, "%d s", (int)(ns / NS_PER_S));
    else
        span(ns, out);
    return out;
}

/* The head: what runs, and how far it is. */

static size_t ready_count(const struct live_model *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->pod_count; i++)
        n += m->pods[i].ready;
    return n;
}

static void put_title(struct live_canvas *c, const struct live_model *m) {
    static const char *const phases[] = {"starting", "waiting for pods", "running", "last answers", "undoing"};
    const char *phase = m->aborted ? "aborted, reverting" : phases[m->phase];
    enum live_tone tone = m->aborted ? TONE_BAD : m->phase == LIVE_RUNNING ? TONE_GOOD : TONE_WARN;
    size_t w = live_columns(phase, c->style->utf8), name = c->width > w + 3 ? c->width - w - 3 : 1;
    struct buf text = {0};
    live_put(&text, m->scenario, name, c->style->utf8);
    canvas_to(c, 1);
    canvas_put(c, TONE_BOLD, "%s", text.data ? text.data : "");
    buf_free(&text);
    char seed[48];
    int n = snprintf(seed, sizeof seed, "  seed %" PRIu64, m->seed);
    if (c->column + (size_t)n + 2 + w < c->width)
        canvas_put(c, TONE_DIM, "%s", seed);
    canvas_to(c, c->width > w + 1 ? c->width - w - 1 : 0);
    canvas_put(c, tone, "%s", phase);
    canvas_end(c);
}

/* The first act after t, of the schedule; acts are in order, and there may be a million. */
static const struct plan_act *first_after(const struct live_model *m, int64_t t) {
    size_t low = 0, high = m->plan ? m->plan->count : 0;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (m->plan->acts[mid].at_ns <= t)
            low = mid + 1;
        else
            high = mid;
    }
    return m->plan && low < m->plan->count ? &m->plan->acts[low] : NULL;
}

/* Acts still to come stand in the bar where they will happen. */
static bool act_in(const struct live_model *m, size_t cell, size_t cells, int64_t now) {
    double each = (double)m->duration_ns / (double)cells;
    int64_t from = (int64_t)(each * (double)cell) - 1, to = (int64_t)(each * (double)(cell + 1));
    const struct plan_act *a = first_after(m, from > now ? from : now);
    return a && a->at_ns < to;
}

static void put_bar(struct live_canvas *c, const struct live_model *m, size_t cells, int64_t now) {
    static const char *const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    double share = m->duration_ns > 0 ? (double)now / (double)m->duration_ns : 0;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    size_t full = (size_t)(share * (double)cells), part = (size_t)((share * (double)cells - (double)full) * 8);
    for (size_t i = 0; i < cells; i++) {
        if (i < full)
            canvas_sign(c, TONE_GOOD, "█", "#");
        else if (i == full && part)
            canvas_sign(c, TONE_GOOD, eighths[part], "-");
        else if (act_in(m, i, cells, now))
            canvas_sign(c, TONE_WARN, "╂", "!");
        else
            canvas_sign(c, TONE_DIM, "─", "-");
    }
}

static void put_progress(struct live_canvas *c, const struct live_model *m) {
    char now_text[48], all[48], text[128];
    canvas_to(c, 1);
    if (m->schedule_t < 0) {
        snprintf(text, sizeof text, "%zu of %zu pods ready", ready_count(m), m->pod_count);
        canvas_put(c, TONE_PLAIN, "%s %s", span(m->now - m->began_waiting, now_text), m->pod_count ? text : "");
        canvas_end(c);
        return;
    }
    int64_t now = since_schedule(m, m->now);
    int percent = m->duration_ns > 0 ? (int)(100.0 * (double)(now < m->duration_ns ? now : m->duration_ns) / (double)m->duration_ns) : 100;
    snprintf(text, sizeof text, "%s of %s", span(now, now_text), span(m->duration_ns, all));
    canvas_put(c, TONE_PLAIN, "%s ", text);
    size_t used = c->column + 6; /* " 100 %" */
    if (c->width > used + 1)
        put_bar(c, m, c->width - used - 1, now);
    canvas_put(c, TONE_PLAIN, " %3d %%", percent);
    canvas_end(c);
}

/* Loads. */

static void load_cells(struct live_table *t, const struct live_model *m, const struct live_load *l) {
    char n[WORDS_SIZE], p99[WORDS_SIZE + 8] = "-";
    struct live_now now;
    live_window_now(&l->window, m->now, &now);
    uint64_t planned = l->window.good + l->window.bad;
    if (isinf(now.p99_ms))
        snprintf(p99, sizeof p99, "bad");
    else if (!isnan(now.p99_ms))
        snprintf(p99, sizeof p99, "%.*f ms", now.p99_ms < 9.95 ? 1 : 0, now.p99_ms);
    table_cell(t, TONE_PLAIN, l->control ? "%s (control)" : "%s", l->name);
    if (l->external && !planned) { /* it may tell of its requests only when it has ended, or never */
        for (int i = 0; i < 7; i++)
            table_cell(t, TONE_DIM, "-");
        return;
    }
    table_cell(t, TONE_PLAIN, "%s/s", words_count((int64_t)now.good + now.bad, n));
    table_cell(t, now.good ? TONE_GOOD : TONE_PLAIN, "%s/s", words_count(now.good, n));
    table_cell(t, now.bad ? TONE_BAD : TONE_DIM, "%s/s", words_count(now.bad, n));
    table_cell(t, isinf(now.p99_ms) ? TONE_BAD : TONE_PLAIN, "%s", p99);
    table_cell(t, TONE_PLAIN, "%s", l->external ? "-" : words_count(l->in_flight, n));
    table_cell(t, TONE_PLAIN, "%s", planned ? words_percent((double)l->window.good / (double)planned, n) : "-");
    table_cell(t, l->window.bad ? TONE_PLAIN : TONE_DIM, "%s", words_count((int64_t)l->window.bad, n));
}

/* The last minutes at a second a sign: how full the load was, and where requests were bad. */
static void put_strip(struct live_canvas *c, const struct live_model *m, const struct live_load *l) {
    static const char *const levels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇"};
    int64_t room = c->width > 2 ? (int64_t)c->width - 2 : 0, most = 1, first = 0;
    uint32_t good, bad;
    room = room < LIVE_SECONDS - 2 ? room : LIVE_SECONDS - 2;
    for (int64_t ago = room; ago > 0; ago--)
        if (live_window_second(&l->window, m->now, ago, &good, &bad)) {
            first = first ? first : ago;
            most = (int64_t)good + bad > most ? (int64_t)good + bad : most;
        }
    canvas_to(c, 1);
    for (int64_t ago = first; ago > 0; ago--) {
        if (!live_window_second(&l->window, m->now, ago, &good, &bad)) {
            canvas_sign(c, TONE_DIM, "·", ".");
            continue;
        }
        size_t level = (size_t)(6 * ((int64_t)good + bad) / most);
        enum live_tone tone = !bad ? TONE_GOOD : bad * 10 < good ? TONE_WARN : TONE_BAD;
        /* Without colour the shape must tell: a cross where anything was bad. */
        if (bad && !c->style->colour)
            canvas_sign(c, tone, good ? "x" : "X", good ? "x" : "X");
        else
            canvas_sign(c, tone, levels[level], "#");
    }
    canvas_end(c);
}

static void put_loads(struct live_canvas *c, const struct live_model *m, size_t rows, bool strips) {
    static const struct { const char *title; unsigned least, drop; } columns[] = {
        {"load", 8, 0}, {"rate", 7, 4}, {"good", 7, 0}, {"bad", 6, 0}, {"p99", 8, 5}, {"in flight", 0, 1}, {"good so far", 0, 3}, {"bad so far", 0, 2},
    };
    struct live_table t = {.canvas = c};
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        t.columns[i].title = columns[i].title;
        t.columns[i].right = i > 0;
        t.columns[i].least = columns[i].least;
        t.columns[i].drop = columns[i].drop;
    }
    t.column_count = ARRAY_SIZE(columns);
    bool all = rows >= m->load_count;
    size_t shown = all ? m->load_count : rows - 1, widths[TABLE_COLUMNS];
    for (size_t i = 0; i < shown; i++)
        load_cells(&t, m, &m->loads[i]);
    table_fit(&t, widths);
    table_title(&t, widths);
    for (size_t i = 0; i < shown; i++) {
        table_row(&t, widths, i);
        if (strips)
            put_strip(c, m, &m->loads[i]);
    }
    if (!all) {
        canvas_put(c, TONE_DIM, " and %zu loads more", m->load_count - shown);
        canvas_end(c);
    }
}

/* Faults. */

static void put_next(struct live_canvas *c, const struct live_model *m) {
    char text[48];
    int64_t now = since_schedule(m, m->now);
    const struct plan_act *next = first_after(m, m->schedule_t < 0 ? -1 : now);
    if (next && m->phase <= LIVE_RUNNING && !m->aborted && m->schedule_t < 0)
        canvas_put(c, TONE_DIM, " first fault: %s #%u, %s after the start", m->fault_specs[next->fault].name, next->occurrence, left(next->at_ns, text));
    else if (next && m->phase == LIVE_RUNNING && !m->aborted)
        canvas_put(c, TONE_DIM, " next fault in %s: %s #%u", left(next->at_ns - now, text), m->fault_specs[next->fault].name, next->occurrence);
    else
        canvas_put(c, TONE_DIM, m->fault_count ? " then no more" : m->plan && m->plan->count ? " no more faults" : " no faults planned");
    canvas_end(c);
}

static void put_fault(struct live_canvas *c, const struct live_model *m, const struct live_fault *f) {
    char text[48], state[96], what[600];
    const char *more = f->troubled ? ", not as asked" : !f->observed ? ", not seen yet" : f->down ? ", not back" : "";
    snprintf(what, sizeof what, "%s  %s", f->what ? f->what : "", f->target ? f->target : "");
    if (live_columns(what, c->style->utf8) + 32 > c->width)
        more = ""; /* whom it hit tells more */
    if (f->reverting)
        snprintf(state, sizeof state, "reverting");
    else if (f->until)
        snprintf(state, sizeof state, "%s left%s", left(f->until - m->now, text), more);
    else
        snprintf(state, sizeof state, "%s ago%s", left(m->now - f->since, text), more);
    size_t w = strlen(state);
    struct buf name = {0};
    live_put(&name, what, c->width > w + 6 ? c->width - w - 6 : 0, c->style->utf8);
    canvas_to(c, 1);
    canvas_sign(c, TONE_BAD, "●", "*");
    canvas_put(c, TONE_PLAIN, " %s  ", name.data ? name.data : "");
    buf_free(&name);
    canvas_put(c, f->until && f->observed ? TONE_BAD : TONE_WARN, "%s", state);
    if (c->column + strlen(f->kind) + 4 < c->width)
        canvas_put(c, TONE_DIM, "  %s", f->kind);
    canvas_end(c);
}

static void put_faults(struct live_canvas *c, const struct live_model *m, size_t rows) {
    if (m->fault_count > rows) {
        size_t shown = rows - 1; /* the newest are what a watcher wants */
        canvas_put(c, TONE_WARN, " %zu faults active%s", m->fault_count, shown ? ", the newest:" : "");
        canvas_end(c);
        for (size_t i = m->fault_count - shown; i < m->fault_count; i++)
            put_fault(c, m, &m->faults[i]);
        return;
    }
    for (size_t i = 0; i < m->fault_count; i++)
        put_fault(c, m, &m->faults[i]);
    if (m->fault_count < rows)
        put_next(c, m);
}

/* Pods. */

static void roles_of(const struct live_model *m, const struct live_pod *p, char *out, size_t size) {
    size_t len = 0;
    *out = 0;
    for (size_t i = 0; i < m->role_count && len + 1 < size; i++)
        if (m->roles[i].holder && strcmp(m->roles[i].holder, p->name) == 0)
            len += (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "", m->roles[i].name);
}

static bool in_trouble(const struct live_pod *p) { return !p->ready || p->frozen; }

/* One line for all of them: whoever is in trouble by name, then who has the roles. */
static void put_pods_short(struct live_canvas *c, const struct live_model *m) {
    canvas_put(c, TONE_PLAIN, " %zu of %zu pods ready", ready_count(m), m->pod_count);
    const char *sep = ": ";
    for (size_t i = 0; i < m->pod_count; i++)
        if (in_trouble(&m->pods[i])) {
            canvas_put(c, TONE_BAD, "%s%s %s", sep, m->pods[i].name, m->pods[i].state ? m->pods[i].state : "");
            sep = ", ";
        }
    for (size_t i = 0; i < m->role_count; i++)
        canvas_put(c, TONE_PLAIN, "; %s %s", m->roles[i].name, m->roles[i].holder ? m->roles[i].holder : "nobody");
    canvas_end(c);
}

static void pod_cells(struct live_table *t, const struct live_model *m, const struct live_pod *p) {
    char roles[128];
    roles_of(m, p, roles, sizeof roles);
    table_cell(t, TONE_PLAIN, "%s", p->name);
    table_cell(t, p->frozen || !p->running ? TONE_BAD : TONE_PLAIN, "%s", p->state ? p->state : "");
    table_cell(t, p->ready ? TONE_GOOD : TONE_BAD, "%s", p->ready ? "ready" : "not ready");
    table_cell(t, p->restarts ? TONE_WARN : TONE_DIM, "%" PRId64, p->restarts);
    table_cell(t, TONE_BOLD, "%s", roles);
}

/* Rows of pods to show: all by name, or, where there is no room for all, those in trouble, then those with a role, then the rest. */
static size_t pick_pods(const struct live_model *m, size_t room, struct live_table *t) {
    size_t shown = 0;
    if (m->pod_count <= room) {
        for (; shown < m->pod_count; shown++)
            pod_cells(t, m, &m->pods[shown]);
        return shown;
    }
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < m->pod_count && shown + 1 < room; i++) {
            char roles[128];
            roles_of(m, &m->pods[i], roles, sizeof roles);
            if ((in_trouble(&m->pods[i]) ? 0 : *roles ? 1 : 2) == round) {
                pod_cells(t, m, &m->pods[i]);
                shown++;
            }
        }
    return shown;
}

static void put_pods(struct live_canvas *c, const struct live_model *m, size_t rows) {
    if (rows < 3 && rows < m->pod_count + 1) {
        put_pods_short(c, m);
        return;
    }
    struct live_table t = {.canvas = c, .column_count = 5, .columns = {
        {"pod", false, 8, 0}, {"state", false, 7, 2}, {"ready", false, 9, 0}, {"restarts", true, 0, 1}, {"role", false, 0, 0},
    }};
    size_t widths[TABLE_COLUMNS], shown = pick_pods(m, rows - 1, &t);
    table_fit(&t, widths);
    table_title(&t, widths);
    for (size_t i = 0; i < shown; i++)
        table_row(&t, widths, i);
    if (shown < m->pod_count) {
        canvas_put(c, TONE_DIM, " %zu more; %zu of all %zu are ready", m->pod_count - shown, ready_count(m), m->pod_count);
        canvas_end(c);
    }
}

/* Events. */

static void put_events(struct live_canvas *c, const struct live_model *m, size_t rows) {
    uint64_t kept = m->event_count < LIVE_EVENTS ? m->event_count : LIVE_EVENTS, n = rows < kept ? rows : kept;
    for (uint64_t i = m->event_count - n; i < m->event_count; i++) {
        const struct live_event *e = &m->events[i % LIVE_EVENTS];
        if (m->schedule_t < 0 || e->t < m->schedule_t)
            canvas_put(c, TONE_DIM, " %*s  ", c->width < 60 ? 7 : 9, "-");
        else
            canvas_put(c, TONE_DIM, " %*.*f  ", c->width < 60 ? 7 : 9, c->width < 60 ? 1 : 3, (double)(e->t - m->schedule_t) / 1e9);
        canvas_put(c, e->tone, "%s", e->text ? e->text : "");
        canvas_end(c);
    }
}

/* Who gets how many rows. Everything has one first, then grows in the order of what a watcher would miss most. */

struct rows { size_t loads, faults, pods, events, gaps; bool strips; };

static void grow(size_t *rows, size_t want, size_t *spare) {
    size_t more = want > *rows ? want - *rows : 0;
    more = more < *spare ? more : *spare;
    *rows += more;
    *spare -= more;
}

static struct rows share(const struct live_model *m, size_t height) {
    struct rows r = {.loads = m->load_count > 0, .faults = 1, .pods = m->pod_count > 0, .events = 1};
    size_t fixed = 2 + (m->load_count > 0), used = fixed + r.loads + r.faults + r.pods + r.events, spare = height > used ? height - used : 0;
    size_t gaps = 2 + (m->load_count > 0) + (m->pod_count > 0), strips = 0, kept = m->event_count < LIVE_EVENTS ? m->event_count : LIVE_EVENTS;
    grow(&r.faults, m->fault_count + 1 < 4 ? m->fault_count + 1 : 4, &spare);
    grow(&r.loads, m->load_count < 4 ? m->load_count : 4, &spare);
    grow(&r.events, 3, &spare);
    if (height >= ROOMY && spare >= gaps)
        grow(&r.gaps, gaps, &spare);
    size_t pods = spare * 2 / 3 + r.pods;
    grow(&r.pods, m->pod_count + 1 < pods || !m->pod_count ? m->pod_count + (m->pod_count > 0) : pods, &spare);
    grow(&r.loads, m->load_count, &spare);
    if (r.loads == m->load_count && spare >= r.loads + 3)
        grow(&strips, r.loads, &spare);
    r.strips = strips > 0;
    grow(&r.faults, m->fault_count + 1, &spare);
    grow(&r.events, kept, &spare);
    return r;
}

static void gap(struct live_canvas *c, const struct rows *r) {
    if (r->gaps)
        canvas_end(c);
}

int live_render(const struct live_model *m, size_t width, size_t height, const struct live_style *style, struct live_frame *ret) {
    struct arena *arena = arena_new();
    if (!arena)
        return -ENOMEM;
    for (size_t i = 0; i < LIVE_ROWS; i++)
        buf_clear(&ret->lines[i]);
    ret->count = 0;
    struct live_canvas c = {.frame = ret, .arena = arena, .style = style, .width = width < LIVE_COLUMNS ? width : LIVE_COLUMNS,
                            .height = height < LIVE_ROWS ? height : LIVE_ROWS};
    struct rows r = share(m, c.height);
    put_title(&c, m);
    put_progress(&c, m);
    if (r.loads) {
        gap(&c, &r);
        put_loads(&c, m, r.loads, r.strips);
    }
    gap(&c, &r);
    put_faults(&c, m, r.faults);
    if (r.pods) {
        gap(&c, &r);
        put_pods(&c, m, r.pods);
    }
    gap(&c, &r);
    put_events(&c, m, r.events);
    arena_free(arena);
    int rc = 0;
    for (size_t i = 0; i < LIVE_ROWS; i++)
        rc = buf_ok(&ret->lines[i]) ? rc : -ENOMEM;
    return rc;
}

void live_frame_free(struct live_frame *f) {
    for (size_t i = 0; i < LIVE_ROWS; i++)
        buf_free(&f->lines[i]);
    *f = (struct live_frame){0};
}
