/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "check/internal.h"
#include "check/words.h"

#include <math.h>
#include <string.h>

/* Ends a check; why is from the arena (NULL: out of memory) or a literal. */
static int settle(struct check_result *c, enum verdict v, const char *why, struct error *err) {
    if (!c || !why)
        return out_of_memory(err);
    c->verdict = v;
    c->why = (char *)why;
    return 0;
}

static int check_complete(struct work *w, struct error *err) {
    struct check_result *c = check_add(w, "complete", err);
    if (w->aborted)
        return settle(c, VERDICT_INCONCLUSIVE, arena_printf(w->a, "The run was aborted: %s.", w->aborted), err);
    if (w->trouble)
        return settle(c, VERDICT_INCONCLUSIVE, arena_printf(w->a, "The run is not to be trusted: %s.", w->trouble), err);
    if (!w->ended)
        return settle(c, VERDICT_INCONCLUSIVE, "The history has no end: chaosd was killed, or could not write.", err);
    return settle(c, VERDICT_PASS, "The run went to its end.", err);
}

static int check_baseline(struct work *w, struct error *err) {
    struct check_result *c = check_add(w, "baseline", err);
    for (size_t i = 0; i < w->load_count; i++)
        if (w->loads[i].not_judged)
            return settle(c, VERDICT_INCONCLUSIVE, arena_printf(w->a, "%s.", w->loads[i].not_judged), err);
    return settle(c, VERDICT_PASS,
                  w->first_act == UNKNOWN_NS ? "Every load had successes." : "Every load had successes before the first fault.", err);
}

/* A fault of the scenario that was never in: none of its acts went through. */
static const char *never_acted(struct work *w, const char *fault) {
    const char *why = "it was never due";
    for (size_t i = 0; i < w->j->act_count; i++) {
        const struct act_figures *f = &w->j->acts[i];
        if (strcmp(f->fault, fault))
            continue;
        if (f->acted)
            return NULL;
        why = f->why ? f->why : w->acts[i].failed ? "it failed" : "its outcome is unknown";
    }
    return arena_printf(w->a, "%s was never carried out: %s.", fault, why);
}

static int check_observed(struct work *w, struct error *err) {
    struct check_result *c = check_add(w, "observed", err);
    if (!c)
        return out_of_memory(err);
    for (size_t i = 0; i < w->j->act_count; i++) {
        const struct act_figures *f = &w->j->acts[i];
        if (w->acts[i].failed && !f->acted)
            return settle(c, VERDICT_INCONCLUSIVE,
                          arena_printf(w->a, "%s #%u on %s failed: %s.", f->fault, f->occurrence, *f->target ? f->target : "no pod",
                                       f->why ? f->why : "no reason given"), err);
        if (!f->skipped && !f->observed)
            return settle(
                c, VERDICT_INCONCLUSIVE,
                arena_printf(w->a, "%s #%u on %s was never seen in effect.", f->fault, f->occurrence, *f->target ? f->target : "no pod"),
                err);
    }
    for (size_t i = 0; i < w->j->act_count && w->load_count; i++) {
        const struct act_figures *f = &w->j->acts[i];
        if (f->acted && !f->noticed && !f->watched)
            return settle(c, VERDICT_INCONCLUSIVE,
                          arena_printf(w->a, "No request was sent after %s #%u on %s: nobody could have noticed it.", f->fault, f->occurrence, f->target), err);
    }
    size_t i;
    json_t *fault;
    json_array_foreach(json_object_get(w->h->header, "faults"), i, fault) {
        const char *why = never_acted(w, json_str_or(fault, "name", ""));
        if (why)
            return settle(c, VERDICT_INCONCLUSIVE, why, err);
    }
    return settle(c, VERDICT_PASS, w->j->act_count ? "Every fault was seen in effect." : "There was no fault.", err);
}

static int check_reverted(struct work *w, struct error *err) {
    struct check_result *c = check_add(w, "reverted", err);
    size_t held = 0;
    for (size_t i = 0; i < w->j->act_count; i++) {
        const struct act_figures *f = &w->j->acts[i];
        bool tried = w->acts[i].revert_failed;
        held += f->holds && f->acted;
        if (!f->holds || f->reverted || (!f->acted && !tried))
            continue;
        /* A history that just ends says nothing of what a reaper or `chaosd revert` did afterwards. */
        enum verdict v = tried || w->ended ? VERDICT_FAIL : VERDICT_INCONCLUSIVE;
        return settle(c, v,
                      arena_printf(w->a, "%s #%u on %s was not %s%s%s.", f->fault, f->occurrence, f->target,
                                   v == VERDICT_FAIL ? "reverted" : "seen reverted", tried && f->why ? ": " : "",
                                   tried && f->why ? f->why : ""),
                      err);
    }
    return settle(c, VERDICT_PASS, held ? "Every fault was reverted." : "There was nothing to revert.", err);
}

int verdict_basics(struct work *w, struct error *err) {
    int rc = check_complete(w, err);
    if (rc == 0)
        rc = check_baseline(w, err);
    if (rc == 0)
        rc = check_observed(w, err);
    return rc ? rc : check_reverted(w, err);
}

static const char *all_skipped(const struct work *w) {
    const char *why = NULL;
    for (size_t i = 0; i < w->j->act_count; i++) {
        if (!w->j->acts[i].skipped)
            return NULL;
        if (!why)
            why = w->j->acts[i].why ? w->j->acts[i].why : "no act was applicable";
    }
    return why;
}

static const struct check_result *first_of(const struct judgement *j, enum verdict v, size_t *ret_count) {
    const struct check_result *first = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < j->check_count; i++)
        if (j->checks[i].verdict == v) {
            first = first ? first : &j->checks[i];
            ++*ret_count;
        }
    return first;
}

static void say_availability(const struct work *w, struct buf *b) {
    int64_t planned = 0, good = 0;
    char share[WORDS_SIZE], count[WORDS_SIZE];
    for (size_t i = 0; i < w->load_count; i++) {
        planned += w->j->lanes[i].planned;
        good += w->j->lanes[i].good;
    }
    if (planned)
        buf_printf(b, ", %s of %s %s good", words_percent((double)good / (double)planned, share), words_count(planned, count),
                   w->load_count == 1 ? w->loads[0].name : "requests");
}

static void say_downtime(const struct work *w, struct buf *b) {
    const struct downtime *worst = NULL;
    char min[WORDS_SIZE], max[WORDS_SIZE];
    for (size_t i = 0; i < w->load_count; i++)
        for (size_t k = 0; k < w->j->lanes[i].downtime_count; k++) {
            const struct downtime *d = &w->j->lanes[i].downtime[k];
            bool longer = worst && (d->max == UNKNOWN_NS ? worst->max != UNKNOWN_NS : worst->max != UNKNOWN_NS && d->max > worst->max);
            worst = !worst || longer ? d : worst;
        }
    if (worst && worst->max != UNKNOWN_NS)
        buf_printf(b, ", worst downtime %s..%s", words_ms_bare(words_ns_ms(worst->min), min), words_ms(words_ns_ms(worst->max), max));
    else if (worst)
        buf_printf(b, ", worst downtime at least %s", words_ms(words_ns_ms(worst->min), min));
    else if (w->load_count)
        buf_str(b, ", no downtime");
}

static void say_recovery(const struct work *w, struct buf *b) {
    int64_t slowest = UNKNOWN_NS;
    size_t acted = 0, noticed = 0, open = 0;
    char ms[WORDS_SIZE];
    for (size_t i = 0; i < w->j->act_count; i++) {
        const struct act_figures *f = &w->j->acts[i];
        acted += f->acted;
        noticed += f->noticed;
        open += f->acted && f->sustained == UNKNOWN_NS;
        slowest = f->sustained > slowest ? f->sustained : slowest;
    }
    if (!acted || !w->load_count)
        return;
    if (open)
        buf_printf(b, ", %zu of %zu recoveries not reached", open, acted);
    else if (noticed)
        buf_printf(b, ", slowest recovery %s", words_ms(words_ns_ms(slowest), ms));
    else
        buf_str(b, ", no fault was noticed");
}

/* "All 7 checks passed: 99.2 % of 16,000 writes good, worst downtime 812..1,420 ms, slowest recovery 1,400 ms." */
static char *say_passed(struct work *w) {
    cleanup_buf struct buf b = {0};
    say_availability(w, &b);
    say_downtime(w, &b);
    say_recovery(w, &b);
    if (!buf_ok(&b))
        return NULL;
    const char *rest = b.len ? b.data + 2 : "";
    return arena_printf(w->a, "All %zu checks passed%s%s.", w->j->check_count, *rest ? ": " : "", rest);
}

static int skip_checks(struct work *w, const char *why, struct error *err) {
    w->j->verdict = VERDICT_SKIPPED;
    w->j->why = arena_printf(w->a, "Skipped: %s.", why);
    for (size_t i = 0; i < w->j->check_count; i++) {
        w->j->checks[i].verdict = VERDICT_SKIPPED;
        w->j->checks[i].why = w->j->why;
    }
    return w->j->why ? 0 : out_of_memory(err);
}

int verdict_conclude(struct work *w, struct error *err) {
    struct judgement *j = w->j;
    size_t fails, opens;
    const struct check_result *fail = first_of(j, VERDICT_FAIL, &fails), *open = first_of(j, VERDICT_INCONCLUSIVE, &opens),
                              *reverted = NULL;
    for (size_t i = 0; i < j->check_count; i++)
        if (!strcmp(j->checks[i].name, "reverted"))
            reverted = &j->checks[i];
    const char *skipped = w->skipped ? w->skipped : w->ended && !w->trouble ? all_skipped(w) : NULL;
    if (reverted && reverted->verdict == VERDICT_FAIL)
        fail = reverted; /* whatever else there is: something is still broken out there */
    else if (w->aborted)
        fail = NULL;
    if (!fail && w->aborted) {
        j->verdict = VERDICT_ABORTED;
        j->why = arena_printf(w->a, "Aborted: %s.", w->aborted);
    } else if (skipped && fail != reverted) {
        return skip_checks(w, skipped, err);
    } else if (fail) {
        j->verdict = VERDICT_FAIL;
        j->why = fails > 1 ? arena_printf(w->a, "%s %zu of %zu checks failed.", fail->why, fails, j->check_count)
                           : arena_strdup(w->a, fail->why);
    } else if (open) {
        j->verdict = VERDICT_INCONCLUSIVE;
        j->why = arena_strdup(w->a, open->why);
    } else {
        j->verdict = VERDICT_PASS;
        j->why = say_passed(w);
    }
    return j->why ? 0 : out_of_memory(err);
}
