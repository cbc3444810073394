/* SPDX-License-Identifier: Apache-2.0 */
/* Marks beside the acts: what the pods' own logs say of the same moments. */
#include "base/json.h"
#include "check/internal.h"

#include <string.h>

enum { MARKS_MOST = 8 }; /* names an act keeps */

static bool before(const struct mark *a, const struct mark *b) { return a->at != b->at ? a->at < b->at : strcmp(a->name, b->name) < 0; }

/* The first mark of each name from the act until the next one. Marks are noted after the run, pod by pod: their own stamps count. */
static int marks_of_act(struct work *w, struct act_figures *f, int64_t next) {
    struct mark *list = arena_alloc(w->a, MARKS_MOST * sizeof *list);
    if (!list)
        return -1;
    f->marks = list;
    for (size_t i = 0; i < w->h->event_count; i++) {
        const struct event *e = &w->h->events[i];
        int64_t at = strcmp(e->op, "note/mark") == 0 ? time_or(e->data, "at", UNKNOWN_NS) : UNKNOWN_NS;
        if (at == UNKNOWN_NS || at < f->at || at >= next)
            continue;
        size_t k = 0;
        while (k < f->mark_count && strcmp(list[k].name, e->kind) != 0)
            k++;
        if (k == MARKS_MOST || (k < f->mark_count && list[k].at <= at - f->at))
            continue;
        list[k] = (struct mark){.name = e->kind, .pod = e->target, .at = at - f->at};
        f->mark_count += k == f->mark_count;
    }
    for (size_t i = 1; i < f->mark_count; i++) /* few enough for insertion */
        for (size_t k = i; k > 0 && before(&list[k], &list[k - 1]); k--) {
            struct mark swap = list[k];
            list[k] = list[k - 1];
            list[k - 1] = swap;
        }
    return 0;
}

int acts_marks(struct work *w, struct error *err) {
    bool any = false;
    for (size_t i = 0; i < w->h->event_count && !any; i++)
        any = strcmp(w->h->events[i].op, "note/mark") == 0;
    for (size_t i = 0; i < w->j->act_count && any; i++)
        if (w->j->acts[i].acted && marks_of_act(w, &w->j->acts[i], w->acts[i].next) < 0)
            return out_of_memory(err);
    return 0;
}
