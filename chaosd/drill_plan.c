/* SPDX-License-Identifier: Apache-2.0 */
/* The plan as people read it. */
#include "base/cleanup.h"
#include "base/units.h"
#include "cluster/cluster.h"
#include "drill.h"
#include "fault/fault.h"

#include <inttypes.h>
#include <string.h>

static void join(struct buf *out, const struct candidate *list, size_t n) {
    for (size_t i = 0; i < n && i < 8; i++)
        buf_printf(out, "%s%s", i ? ", " : "", list[i].name);
    if (n > 8)
        buf_printf(out, " and %zu more", n - 8);
}

/* Whom the guards let be struck; the first that they do not is told of. */
static size_t unbarred(const struct guards *g, struct candidate *list, size_t n, char *why, size_t size) {
    char another[256];
    size_t kept = 0;
    *why = 0;
    for (size_t i = 0; i < n; i++)
        if (!guards_bar(g, list[i].name, list[i].namespace, list[i].labels, *why ? another : why, *why ? sizeof another : size))
            list[kept++] = list[i];
    return kept;
}

static void print_act(const struct drill *d, const struct plan_act *act, const struct candidate *all, size_t all_count, bool known) {
    const struct fault_spec *f = &SCENARIO_FAULTS(d->scenario)[act->fault];
    const struct fault_kind *k = (const struct fault_kind *)f->kind.kind;
    const struct pod_target *t = k->target(f->kind.params);
    char at[32], held[40] = "", what[64];
    format_duration(act->at_ns, at, sizeof at);
    k->describe(f->kind.params, what, sizeof what);
    if (act->for_ns) {
        char span[32];
        format_duration(act->for_ns, span, sizeof span);
        snprintf(held, sizeof held, " for %s", span);
    }
    printf("  %9s  %s #%u: %s %s%s, draw %016" PRIx64, at, f->name, act->occurrence, k->row.name, what, held, act->draw);
    cleanup_buf struct buf text = {0};
    cleanup_free struct candidate *list = calloc(all_count + 1, sizeof *list);
    if (known && list) {
        size_t met = 0;
        for (size_t i = 0; i < all_count; i++)
            if (fault_meets(k, &all[i]))
                list[met++] = all[i];
        char why[256];
        size_t matched = selector_filter(t->selector, list, met), n = unbarred(d->scenario->guards, list, matched, why, sizeof why);
        const size_t barred = matched - n;
        join(&text, list, n);
        printf("\n             of %s", n ? text.data : "no candidate");
        buf_clear(&text);
        if (t->selector->role)
            printf(": whoever has the role \"%s\" then", t->selector->role);
        else if ((n = selector_draw(t, act->draw, list, n)) > 0) {
            join(&text, list, n);
            printf(": %s, if all are candidates then", text.data);
        }
        if (barred)
            printf("\n             %zu %s out by a guard; %s", barred, barred == 1 ? "is" : "are", why);
    }
    printf("\n");
}

void drill_print_plan(const struct drill *d) {
    const struct scenario *s = d->scenario;
    char span[32];
    format_duration(s->duration_ns, span, sizeof span);
    printf("%s, seed %" PRIu64 ", %s\n", s->name, d->plan.seed, span);
    if (s->description)
        printf("%s\n", s->description);
    const struct cluster_kind *ck = (const struct cluster_kind *)s->cluster.kind;
    struct arena *a = arena_new();
    struct candidate *all = NULL;
    size_t n = a && ck && ck->declared ? ck->declared(&s->cluster, a, &all) : 0;
    bool known = ck && ck->declared;
    if (a && ck && ck->present && d->plan.count) {
        struct error why;
        known = ck->present(s, a, &all, &n, &why) == 0;
        if (!known)
            printf("  candidates are not known: %s\n", why.text);
    }
    for (size_t i = 0; i < d->plan.count; i++)
        print_act(d, &d->plan.acts[i], all, n, known);
    if (d->plan.count == 0)
        printf("  no fault is planned: the load runs alone\n");
    arena_free(a);
}
