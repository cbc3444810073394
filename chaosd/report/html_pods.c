/* SPDX-License-Identifier: Apache-2.0 */
/* Each pod's life as spans of one state, and the marks of its own log. */
#include "base/cleanup.h"
#include "base/json.h"
#include "report/html_model.h"

#include <string.h>

enum { PODS_MOST = 60, SPANS_MOST = 400, MARKS_MOST = 100 };

enum state { GONE, STARTING, READY, UNREADY, DOWN, FROZEN };

struct span { int64_t from; enum state state; };

struct life {
    const char *name, *workload, *node;
    int64_t restarts;
    bool victim, shown;
    enum state state; /* without regard to frozen */
    bool frozen;
    struct span *spans;
    size_t count, cap, left_out;
};

struct lives {
    json_t *index; /* name -> place */
    struct life *list;
    size_t count, cap;
};

static void lives_free(struct lives *l) {
    for (size_t i = 0; i < l->count; i++)
        free(l->list[i].spans);
    free(l->list);
    json_decref(l->index);
}

static struct life *find(struct lives *l, const char *name) {
    size_t at = (size_t)json_int_or(l->index, name, (int64_t)l->count);
    if (at < l->count)
        return &l->list[at];
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct life *list = realloc(l->list, cap * sizeof *list);
        if (!list)
            return NULL;
        l->list = list;
        l->cap = cap;
    }
    if (json_object_set_new(l->index, name, json_integer((json_int_t)l->count)) < 0)
        return NULL;
    l->list[l->count] = (struct life){.name = name, .workload = "", .node = ""};
    return &l->list[l->count++];
}

static void change(struct life *f, const char *kind) {
    static const struct { const char *kind; int state, frozen; /* -1: as it was */ } rows[] = {
        {"created", STARTING, 0}, {"started", STARTING, 0}, {"exited", DOWN, 0}, {"ready", READY, -1},  {"unready", UNREADY, -1},
        {"frozen", -1, 1},        {"thawed", -1, 0},        {"backoff", DOWN, 0}, {"failed", DOWN, 0},  {"removed", GONE, 0},
        {"terminating", UNREADY, -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (!strcmp(rows[i].kind, kind)) {
            f->state = rows[i].state < 0 ? f->state : (enum state)rows[i].state;
            f->frozen = rows[i].frozen < 0 ? f->frozen : rows[i].frozen;
        }
}

static int add_span(struct life *f, int64_t t) {
    enum state now = f->frozen ? FROZEN : f->state;
    if (f->count && f->spans[f->count - 1].state == now)
        return 0;
    if (f->count == SPANS_MOST) {
        f->left_out++;
        return 0;
    }
    if (f->count == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 8;
        struct span *list = realloc(f->spans, cap * sizeof *list);
        if (!list)
            return -1;
        f->spans = list;
        f->cap = cap;
    }
    f->spans[f->count++] = (struct span){t, now};
    return 0;
}

static int collect(const struct history *h, struct lives *l) {
    for (size_t i = 0; i < h->event_count; i++) {
        const struct event *e = &h->events[i];
        if (strcmp(e->op, "cluster/pod"))
            continue;
        struct life *f = find(l, e->target);
        if (!f)
            return -1;
        f->workload = json_str_or(e->data, "workload", f->workload);
        f->node = json_str_or(e->data, "node", f->node);
        f->restarts = json_int_or(e->data, "restarts", f->restarts);
        change(f, e->kind);
        if (add_span(f, e->t) < 0)
            return -1;
    }
    return 0;
}

/* Where there are too many, victims first, then those that changed most, are shown. */
static void choose(const struct page *p, struct lives *l) {
    for (size_t i = 0; i < p->j->act_count; i++) {
        size_t at = (size_t)json_int_or(l->index, p->j->acts[i].target, (int64_t)l->count);
        if (at < l->count)
            l->list[at].victim = true;
    }
    for (size_t n = 0; n < PODS_MOST && n < l->count; n++) {
        struct life *best = NULL;
        for (size_t i = 0; i < l->count; i++) {
            struct life *f = &l->list[i];
            if (!f->shown && (!best || f->victim > best->victim || (f->victim == best->victim && f->count > best->count)))
                best = f;
        }
        best->shown = true;
    }
}

static void put_marks(struct page *p, const char *pod) {
    const struct history *h = p->j->history;
    size_t n = 0;
    jw_begin(jw_key(&p->w, "marks"), '[');
    for (size_t i = 0; i < h->event_count && n < MARKS_MOST; i++) {
        const struct event *e = &h->events[i];
        const json_t *at = json_object_get(e->data, "at");
        if (strcmp(e->op, "note/mark") || strcmp(e->target, pod) || !json_is_integer(at))
            continue;
        n++;
        jw_begin(&p->w, '[');
        page_time(p, json_integer_value(at));
        jw_text(&p->w, e->kind);
        jw_end(&p->w, ']');
    }
    jw_end(&p->w, ']');
}

static void put_life(struct page *p, const struct life *f) {
    static const char *const names[] = {
        [GONE] = "gone", [STARTING] = "starting", [READY] = "ready", [UNREADY] = "unready", [DOWN] = "down", [FROZEN] = "frozen",
    };
    struct jw *w = &p->w;
    jw_begin(w, '{');
    jw_text(jw_key(w, "name"), f->name);
    jw_text(jw_key(w, "workload"), f->workload);
    jw_text(jw_key(w, "node"), f->node);
    jw_int(jw_key(w, "restarts"), f->restarts);
    jw_begin(jw_key(w, "spans"), '[');
    for (size_t i = 0; i < f->count; i++) {
        jw_begin(w, '[');
        page_time(p, f->spans[i].from);
        jw_text(w, names[f->spans[i].state]);
        jw_end(w, ']');
    }
    jw_end(w, ']');
    put_marks(p, f->name);
    jw_int(jw_key(w, "left_out"), (int64_t)f->left_out);
    jw_end(w, '}');
}

void page_pods(struct page *p) {
    cleanup(lives_free) struct lives l = {.index = json_object()};
    if (!l.index || collect(p->j->history, &l) < 0 || !(p->pods = arena_alloc(p->a, PODS_MOST * sizeof *p->pods))) {
        p->failed = true;
        return;
    }
    choose(p, &l);
    jw_begin(jw_key(&p->w, "pods"), '[');
    for (size_t i = 0; i < l.count; i++)
        if (l.list[i].shown) {
            p->pods[p->pod_count++] = l.list[i].name;
            put_life(p, &l.list[i]);
        }
    jw_end(&p->w, ']');
    jw_int(jw_key(&p->w, "pods_left_out"), (int64_t)(l.count - p->pod_count));
}
