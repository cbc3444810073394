/* SPDX-License-Identifier: Apache-2.0 */
/* Marks beside the acts: what the pods' own logs say of the same moments. */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/internal.h"

#include <stdlib.h>
#include <string.h>

enum { MARKS_MOST = 8 }; /* names an act keeps */

static bool before(const struct mark *a, const struct mark *b) { return a->at != b->at ? a->at < b->at : strcmp(a->name, b->name) < 0; }

struct noted { int64_t at; const struct event *event; };

static int by_at(const void *a, const void *b) {
    const struct noted *x = a, *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : (x->event > y->event) - (x->event < y->event);
}

/* Marks are noted after the run, pod by pod: their own stamps count. */
static int collect(const struct work *w, struct noted **ret, size_t *ret_count) {
    size_t cap = 0;
    for (size_t i = 0; i < w->h->event_count; i++) {
        const struct event *e = &w->h->events[i];
        int64_t at = strcmp(e->op, "note/mark") == 0 ? time_or(e->data, "at", UNKNOWN_NS) : UNKNOWN_NS;
        if (at == UNKNOWN_NS)
            continue;
        if (grow(ret, *ret_count, &cap, sizeof **ret) < 0)
            return -1;
        (*ret)[(*ret_count)++] = (struct noted){at, e};
    }
    if (*ret_count)
        qsort(*ret, *ret_count, sizeof **ret, by_at);
    return 0;
}

static size_t first_at(const struct noted *list, size_t count, int64_t t) {
    size_t lo = 0, hi = count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (list[mid].at < t)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The first mark of each name from the act until the next one. */
static int marks_of_act(struct work *w, struct act_figures *f, int64_t next, const struct noted *noted, size_t count) {
    struct mark *list = arena_alloc(w->a, MARKS_MOST * sizeof *list);
    if (!list)
        return -1;
    f->marks = list;
    for (size_t i = first_at(noted, count, f->at); i < count && noted[i].at < next; i++) {
        const struct event *e = noted[i].event;
        size_t k = 0;
        while (k < f->mark_count && strcmp(list[k].name, e->kind) != 0)
            k++;
        if (k == f->mark_count && k < MARKS_MOST)
            list[f->mark_count++] = (struct mark){.name = e->kind, .pod = e->target, .at = noted[i].at - f->at};
    }
    for (size_t i = 1; i < f->mark_count; i++) /* those of one moment by name; few enough for insertion */
        for (size_t k = i; k > 0 && before(&list[k], &list[k - 1]); k--) {
            struct mark swap = list[k];
            list[k] = list[k - 1];
            list[k - 1] = swap;
        }
    return 0;
}

int acts_marks(struct work *w, struct error *err) {
    cleanup_free struct noted *noted = NULL;
    size_t count = 0;
    int rc = collect(w, &noted, &count);
    for (size_t i = 0; i < w->j->act_count && count && rc == 0; i++)
        if (w->j->acts[i].acted)
            rc = marks_of_act(w, &w->j->acts[i], w->acts[i].next, noted, count);
    return rc < 0 ? out_of_memory(err) : 0;
}
