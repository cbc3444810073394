/* SPDX-License-Identifier: Apache-2.0 */
#include "report/probes.h"

#include "base/json.h"
#include "check/words.h"
#include "report/grid.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *probe_length(const struct probe_stretch *s, char *out, size_t size) {
    char min[WORDS_SIZE], point[WORDS_SIZE], max[WORDS_SIZE];
    if (s->max != UNKNOWN_NS)
        snprintf(out, size, "%s..%s..%s", words_ms_bare(words_ns_ms(s->min), min), words_ms_bare(words_ns_ms(s->point), point),
                 words_ms_bare(words_ns_ms(s->max), max));
    else if (s->point != UNKNOWN_NS)
        snprintf(out, size, "%s..%s..?", words_ms_bare(words_ns_ms(s->min), min), words_ms_bare(words_ns_ms(s->point), point));
    else
        snprintf(out, size, "not right again");
    return out;
}

const char *probe_asked_of(const struct probe_figures *p, char *out, size_t size) {
    if (p->target_count > 1)
        snprintf(out, size, "%zu pods", p->target_count);
    else
        snprintf(out, size, "%s", p->target_count ? p->targets[0].name : "");
    return out;
}

/* --- summary.json --- */

enum { STRETCHES_MOST = 100 }; /* of one target; first_wrong and longest_wrong are of all */

static json_t *stretch_json(const struct probe_stretch *s) {
    return s ? json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:s}", "start_ms", json_ms(s->start), "seen_ms", json_ms(s->seen), "end_ms", json_ms(s->end),
                         "min_ms", json_ms(s->min), "point_ms", json_ms(s->point), "max_ms", json_ms(s->max), "why", s->why)
             : json_null();
}

static json_t *count_json(int64_t n) { return n < 0 ? json_null() : json_integer(n); }

static json_t *share_json(int64_t good, int64_t bad) {
    return good < 0 || bad < 0 || good + bad == 0 ? json_null() : json_real(round((double)good / (double)(good + bad) * 1e9) / 1e9);
}

static json_t *target_json(const struct probe_target *t) {
    json_t *stretches = json_array();
    for (size_t i = 0; i < t->stretch_count && i < STRETCHES_MOST; i++)
        json_array_append_new(stretches, stretch_json(&t->stretches[i]));
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:I}", "target", *t->name ? json_string(t->name) : json_null(), "asked", count_json(t->asked), "good",
                     count_json(t->good), "bad", count_json(t->bad), "unsure", count_json(t->unsure), "wrong", stretches, "wrong_total",
                     (json_int_t)t->stretch_count, "unwritten", (json_int_t)t->unwritten);
}

json_t *probe_json(const struct judgement *j, size_t i) {
    const struct probe_figures *p = &j->probes[i];
    json_t *targets = json_array();
    for (size_t k = 0; k < p->target_count; k++)
        json_array_append_new(targets, target_json(&p->targets[k]));
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "name", p->name, "kind", p->kind, "mode", p->mode, "verdict",
                     verdict_names[p->verdict], "asked", count_json(p->asked), "good", count_json(p->good), "bad", count_json(p->bad), "unsure",
                     count_json(p->unsure), "success", share_json(p->good, p->bad), "first_wrong", stretch_json(p->first), "longest_wrong",
                     stretch_json(p->longest), "targets", targets);
}

/* --- text --- */

static const char *figure(int64_t n, char *out) { return n < 0 ? "?" : words_count(n, out); }

static void put_row(struct grid *g, const struct judgement *j, const struct probe_figures *p) {
    char text[160], n[WORDS_SIZE];
    grid_cell(g, "%s", p->name);
    grid_cell(g, "%s", p->mode);
    grid_cell(g, "%s", probe_asked_of(p, text, sizeof text));
    grid_cell(g, "%s", figure(p->asked, n));
    grid_cell(g, "%s", figure(p->bad, n));
    grid_cell(g, "%s", p->good < 0 || p->bad < 0 || p->good + p->bad == 0 ? "?" : words_percent((double)p->good / (double)(p->good + p->bad), n));
    if (p->first && (j->schedule_t == UNKNOWN_NS || p->first->start < j->schedule_t))
        grid_cell(g, "before");
    else if (p->first)
        grid_cell(g, "%.2f", (double)(p->first->start - j->schedule_t) / 1e9);
    else
        grid_cell(g, "-");
    grid_cell(g, "%s", p->longest ? probe_length(p->longest, text, sizeof text) : "none");
}

void probes_text(const struct judgement *j, struct arena *a, size_t width, struct buf *out) {
    static const struct { const char *title; bool right; } columns[] = {
        {"probe", false}, {"mode", false}, {"asked of", false}, {"answers", true}, {"wrong", true}, {"right", true}, {"first wrong", true}, {"longest wrong", true},
    };
    struct grid g = {.arena = a};
    if (!j->probe_count)
        return;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        grid_column(&g, columns[i].title, columns[i].right, i == 0 || i == 2);
    for (size_t i = 0; i < j->probe_count; i++)
        put_row(&g, j, &j->probes[i]);
    buf_str(out, "\nProbes (first wrong: seconds of the schedule; longest wrong: ms, as least..likely..most)\n");
    grid_render(&g, width, out);
}
