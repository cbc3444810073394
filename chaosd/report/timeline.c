/* SPDX-License-Identifier: Apache-2.0 */
#include "report/timeline.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "check/words.h"
#include "report/grid.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { TEXT_ACTS_MOST = 20 }; /* tables of this kind; the rest is in summary.json */

static void add_to(struct timeline_row *r, const struct sighting *m) {
    if (!r->count++)
        *r = (struct timeline_row){.what = m->what, .first = m->at, .last = m->at, .from = UNKNOWN_NS, .object = m->object, .stamp = m->stamp, .note = m->note, .count = 1};
    r->last = m->at > r->last ? m->at : r->last;
    if (m->from != UNKNOWN_NS && (r->from == UNKNOWN_NS || m->from < r->from))
        r->from = m->from;
    r->late |= m->late;
}

struct timeline_row *timeline_rows(const struct act_figures *f, struct arena *a, size_t *ret_count) {
    struct timeline_row *rows = arena_alloc(a, (f->timeline_count + 1) * sizeof *rows);
    *ret_count = 0;
    for (size_t i = 0; rows && i < f->timeline_count; i++) {
        size_t at = 0;
        while (at < *ret_count && strcmp(rows[at].what, f->timeline[i].what) != 0)
            at++;
        *ret_count += at == *ret_count;
        add_to(&rows[at], &f->timeline[i]);
    }
    return rows;
}

void timeline_when(const struct timeline_row *r, char *out, size_t size) {
    char from[WORDS_SIZE], to[WORDS_SIZE];
    int64_t first = r->from != UNKNOWN_NS && r->from < r->first ? r->from : r->first;
    words_ms_bare(words_ns_ms(first), from);
    words_ms_bare(words_ns_ms(r->last), to);
    if (first == r->last)
        snprintf(out, size, "%s%s", to, r->late ? " (late)" : "");
    else
        snprintf(out, size, "%s..%s%s", from, to, r->late ? " (late)" : "");
}

void timeline_whose(const struct timeline_row *r, struct buf *out) {
    buf_str(out, r->object);
    if (r->count > 1)
        buf_printf(out, " +%zu", r->count - 1);
}

bool timeline_missing(const struct act_figures *f, struct buf *out) {
    const char *object = NULL;
    for (size_t i = 0; i < f->not_reached_count; i++) {
        const struct missing *m = &f->not_reached[i];
        bool same = object && !strcmp(object, m->object);
        buf_printf(out, "%s%s", !object ? "" : same ? ", " : "; ", m->what);
        if (!same)
            buf_printf(out, " of %s", m->object);
        if (m->why)
            buf_printf(out, " (%s)", m->why);
        object = m->object;
    }
    return f->not_reached_count > 0;
}

/* --- summary.json --- */

static json_t *offset(int64_t ns) { return ns == UNKNOWN_NS ? json_null() : json_real(round((double)ns / 1e3) / 1e3); }

static json_t *sighting_json(const struct sighting *m) {
    return json_pack("{s:s,s:o,s:o,s:o,s:s,s:o,s:b}", "what", m->what, "at_ms", offset(m->at), "from_ms", offset(m->from), "stamp", json_string_or_null(m->stamp),
                     "object", m->object, "note", json_string_or_null(m->note), "late", m->late);
}

static json_t *missing_json(const struct missing *m) {
    return json_pack("{s:s,s:s,s:o}", "what", m->what, "object", m->object, "why", json_string_or_null(m->why));
}

int timeline_json(const struct act_figures *f, json_t *act) {
    if (!f->timeline_count && !f->not_reached_count)
        return 0;
    json_t *list = json_array(), *missing = json_array();
    int failed = 0;
    for (size_t i = 0; i < f->timeline_count; i++)
        failed |= json_array_append_new(list, sighting_json(&f->timeline[i]));
    for (size_t i = 0; i < f->not_reached_count; i++)
        failed |= json_array_append_new(missing, missing_json(&f->not_reached[i]));
    failed |= json_object_set_new(act, "timeline", list);
    failed |= json_object_set_new(act, "timeline_left_out", json_integer((json_int_t)f->timeline_left_out));
    failed |= json_object_set_new(act, "not_reached", missing);
    return failed ? -1 : 0;
}

/* --- text --- */

/* An answer's "Sun, 22 Nov 2026 09:45:54 GMT" without what a narrow column need not say. */
static void put_stamp(struct grid *g, const char *stamp) {
    size_t len = strlen(stamp);
    if (len > 9 && !strncmp(stamp + 3, ", ", 2) && !strcmp(stamp + len - 4, " GMT"))
        grid_cell(g, "%.*s", (int)(len - 9), stamp + 5);
    else
        grid_cell(g, "%s", stamp);
}

static int put_table(const struct act_figures *f, struct arena *a, size_t width, struct buf *out) {
    static const struct { const char *title; bool right, shrink; } columns[] = {
        {"ms", true, false}, {"what", false, false}, {"of", false, false}, {"server's time", false, false}, {"", false, true},
    };
    struct grid g = {.arena = a};
    size_t n = 0;
    struct timeline_row *rows = timeline_rows(f, a, &n);
    if (!rows)
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        grid_column(&g, columns[i].title, columns[i].right, columns[i].shrink);
    for (size_t i = 0; i < n; i++) {
        char when[3 * WORDS_SIZE];
        cleanup_buf struct buf whose = {0};
        timeline_when(&rows[i], when, sizeof when);
        timeline_whose(&rows[i], &whose);
        grid_cell(&g, "%s", when);
        grid_cell(&g, "%s", rows[i].what);
        grid_cell(&g, "%s", buf_ok(&whose) ? whose.data : "");
        put_stamp(&g, rows[i].stamp ? rows[i].stamp : "");
        grid_cell(&g, "%s", rows[i].note ? rows[i].note : "");
    }
    grid_render(&g, width, out);
    return 0;
}

static int put_act(const struct act_figures *f, struct arena *a, size_t width, struct buf *out) {
    cleanup_buf struct buf missing = {0};
    const char *fault = text_clean(a, f->fault), *target = text_clean(a, f->target);
    if (!fault || !target)
        return -ENOMEM;
    buf_printf(out, " %s #%u on %s\n", fault, f->occurrence, target);
    if (put_table(f, a, width, out) < 0)
        return -ENOMEM;
    if (timeline_missing(f, &missing)) {
        const char *clean = buf_ok(&missing) ? text_clean(a, missing.data) : NULL;
        if (!clean)
            return -ENOMEM;
        buf_str(out, "  Not reached: ");
        text_wrap(out, clean, 15, 4, width);
    }
    return 0;
}

int timeline_text(const struct judgement *j, const size_t *told, size_t n, struct arena *a, size_t width, struct buf *out) {
    size_t all = 0;
    for (size_t i = 0; i < n; i++) {
        const struct act_figures *f = &j->acts[told[i]];
        if (!f->timeline_count && !f->not_reached_count)
            continue;
        if (!all++)
            buf_str(out, "\nThe control plane (ms from the act, as chaosd saw it; beside it the server's own time, never computed\n"
                         "with. +2: and of two more)\n");
        if (all <= TEXT_ACTS_MOST && put_act(f, a, width, out) < 0)
            return -ENOMEM;
    }
    if (all > TEXT_ACTS_MOST)
        buf_printf(out, "  and of %zu more acts, in summary.json\n", all - TEXT_ACTS_MOST);
    return 0;
}
