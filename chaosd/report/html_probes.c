/* SPDX-License-Identifier: Apache-2.0 */
/* The probes' swimlanes: one a target, each change of its answers. */
#include "base/json.h"
#include "report/html_model.h"

#include <string.h>

enum { ROWS_MOST = 40, CHANGES_MOST = 500 };

static bool is_of(const struct event *e, const struct probe_figures *p, const struct probe_target *t) {
    return json_int_or(e->data, "id", -1) == t->id && !strcmp(json_str_or(e->data, "probe", ""), p->name);
}

/* A time of an event's data; what is not there is null. */
static void put_time(struct page *p, const struct event *e, const char *key) {
    const json_t *v = json_object_get(e->data, key);
    page_time(p, json_is_integer(v) ? json_integer_value(v) : UNKNOWN_NS);
}

static void put_change(struct page *p, const struct event *e) {
    bool ok = json_is_true(json_object_get(e->data, "ok"));
    jw_begin(&p->w, '[');
    put_time(p, e, "asked");
    put_time(p, e, "seen");
    jw_bool(&p->w, ok);
    jw_text(&p->w, json_str_or(e->data, ok ? "value" : "why", NULL));
    put_time(p, e, "before_asked");
    jw_text(&p->w, json_str_or(e->data, "pod", NULL));
    jw_end(&p->w, ']');
}

static void put_target(struct page *p, const struct probe_figures *f, const struct probe_target *t) {
    const struct history *h = p->j->history;
    const struct event *last = NULL;
    size_t n = 0;
    jw_begin(&p->w, '{');
    jw_text(jw_key(&p->w, "name"), f->name);
    jw_text(jw_key(&p->w, "mode"), f->mode);
    jw_text(jw_key(&p->w, "target"), *t->name ? t->name : NULL);
    jw_begin(jw_key(&p->w, "changes"), '[');
    for (size_t i = 0; i < h->event_count; i++) {
        const struct event *e = &h->events[i];
        bool answer = !strcmp(e->op, "probe/answer");
        if ((!answer && strcmp(e->op, "probe/summary")) || !is_of(e, f, t))
            continue;
        last = e;
        if (answer && n++ < CHANGES_MOST)
            put_change(p, e);
    }
    jw_end(&p->w, ']');
    jw_key(&p->w, "until");
    if (last)
        put_time(p, last, strcmp(last->op, "probe/answer") ? "last_seen" : "seen");
    else
        jw_null(&p->w);
    jw_int(jw_key(&p->w, "left_out"), (int64_t)(n > CHANGES_MOST ? n - CHANGES_MOST : 0) + t->unwritten);
    jw_end(&p->w, '}');
}

void page_probes(struct page *p) {
    size_t rows = 0;
    jw_begin(jw_key(&p->w, "probes"), '[');
    for (size_t i = 0; i < p->j->probe_count; i++)
        for (size_t k = 0; k < p->j->probes[i].target_count; k++)
            if (rows++ < ROWS_MOST)
                put_target(p, &p->j->probes[i], &p->j->probes[i].targets[k]);
    jw_end(&p->w, ']');
    jw_int(jw_key(&p->w, "probes_left_out"), rows > ROWS_MOST ? (int64_t)(rows - ROWS_MOST) : 0);
}
