/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "check/internal.h"
#include "check/words.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int settle(struct check_result *c, enum verdict v, const char *why, struct error *err) {
    if (!c || !why)
        return out_of_memory(err);
    c->verdict = v;
    c->why = (char *)why;
    return 0;
}

/* With one full stop. */
static const char *sentence(struct work *w, const char *text) {
    size_t len = strlen(text);
    return len && text[len - 1] == '.' ? text : arena_printf(w->a, "%s.", text);
}

static int check_complete(struct work *w, struct error *err) {
    struct check_result *c = check_add(w, "complete", err);
    char wrote[WORDS_SIZE], have[WORDS_SIZE];
    if (w->aborted)
        return settle(c, VERDICT_INCONCLUSIVE, arena_printf(w->a, "The run was aborted: %s.", w->aborted), err);
    if (w->trouble)
        return settle(c, VERDICT_INCONCLUSIVE, arena_printf(w->a, "The run is not to be trusted: %s.", w->trouble), err);
    if (!w->j->ended)
        return settle(c, VERDICT_INCONCLUSIVE, "The history has no end: chaosd was killed, or could not write.", err);
    if (w->h->torn)
        return settle(c, VERDICT_INCONCLUSIVE, "The record is torn: its last piece is missing.", err);
    if (w->samples >= 0 && (uint64_t)w->samples != w->h->sample_count)
        return settle(c, VERDICT_INCONCLUSIVE,
                      arena_printf(w->a, "The run wrote %s samples, the record has %s.", words_count(w->samples, wrote),
                                   words_count((int64_t)w->h->sample_count, have)), err);
    for (size_t i = 0; i < w->load_count; i++)
        if (w->j->lanes[i].own_unsent)
            return settle(c, VERDICT_INCONCLUSIVE,
                          arena_printf(w->a, "chaosd had no file, port or memory left for %s of %s's requests.", words_count(w->j->lanes[i].own_unsent, have),
                                       w->loads[i].name), err);
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

static const char *who(const struct act_figures *f) { return *f->target ? f->target : "no pod"; }

/* NULL, or what is wrong with it. */
static const char *act_unseen(struct work *w, size_t i) {
    const struct act_figures *f = &w->j->acts[i];
    const char *silent = w->acts[i].silent;
    if (w->acts[i].failed && !f->acted)
        return arena_printf(w->a, "%s #%u on %s failed: %s.", f->fault, f->occurrence, who(f), f->why ? f->why : "no reason given");
    const char *unseen = act_unseen_why(f);
    if (!f->skipped && !f->observed)
        return arena_printf(w->a, "%s #%u on %s was never seen in effect%s%s.", f->fault, f->occurrence, who(f), unseen ? ": " : "",
                            unseen ? unseen : "");
    if (f->trouble)
        return arena_printf(w->a, "%s #%u on %s was not in effect as asked: %s.", f->fault, f->occurrence, who(f), f->trouble);
    if (f->acted && silent && w->load_count - w->control_count == 1)
        return arena_printf(w->a, "No request was sent after %s #%u on %s: nobody could have noticed it.", f->fault, f->occurrence, who(f));
    if (f->acted && silent)
        return arena_printf(w->a, "%s sent no request after %s #%u on %s: it could not have noticed it.", silent, f->fault, f->occurrence,
                            who(f));
    return NULL;
}

static int act_order(const void *a, const void *b) {
    const struct act_figures *x = *(struct act_figures *const *)a, *y = *(struct act_figures *const *)b;
    int rc = strcmp(x->fault, y->fault);
    return rc ? rc : (x->occurrence > y->occurrence) - (x->occurrence < y->occurrence);
}

struct traces { const struct act_figures **acts; size_t count, *planned, *missing; /* the last two by fault of the header */ };

static void traces_free(struct traces *t) {
    free(t->acts);
    free(t->planned);
    free(t->missing);
}

static void count_traces(struct traces *t, const json_t *plan, const json_t *faults) {
    size_t i, n = json_array_size(faults);
    json_t *one;
    json_array_foreach(plan, i, one) {
        int64_t fault = json_int_or(one, "fault", -1), occurrence = json_int_or(one, "occurrence", -1);
        if (fault < 0 || (size_t)fault >= n || occurrence < 0 || occurrence > UINT_MAX)
            continue;
        const char *name = json_str_or(json_array_get(faults, (size_t)fault), "name", "");
        struct act_figures key = {.fault = name, .occurrence = (unsigned)occurrence};
        const struct act_figures *at = &key;
        t->planned[fault]++;
        t->missing[fault] += !t->count || !bsearch(&at, t->acts, t->count, sizeof *t->acts, act_order);
    }
}

/* An act of the plan of which the history has no word, though it goes to its end. *ret is NULL where there is none. */
static int untraced(struct work *w, const char **ret, struct error *err) {
    const json_t *plan = json_object_get(w->h->header, "plan"), *faults = json_object_get(w->h->header, "faults");
    size_t n = json_array_size(faults);
    *ret = NULL;
    if (w->aborted || w->skipped || !w->j->ended || !n)
        return 0;
    cleanup(traces_free) struct traces t = {.acts = calloc(w->j->act_count + 1, sizeof *t.acts), .count = w->j->act_count,
                                            .planned = calloc(n, sizeof *t.planned), .missing = calloc(n, sizeof *t.missing)};
    if (!t.acts || !t.planned || !t.missing)
        return out_of_memory(err);
    for (size_t i = 0; i < t.count; i++)
        t.acts[i] = &w->j->acts[i];
    qsort(t.acts, t.count, sizeof *t.acts, act_order);
    count_traces(&t, plan, faults);
    for (size_t i = 0; i < n && !*ret; i++)
        if (t.missing[i] && !(*ret = arena_printf(w->a, "%zu of %zu planned acts of %s left no trace.", t.missing[i], t.planned[i],
                                                  json_str_or(json_array_get(faults, i), "name", "a fault"))))
            return out_of_memory(err);
    return 0;
}

static int check_observed(struct work *w, struct error *err) {
    struct check_result *c = check_add(w, "observed", err);
    const char *why = NULL;
    if (!c)
        return out_of_memory(err);
    for (size_t i = 0; i < w->j->act_count; i++)
        if ((why = act_unseen(w, i)))
            return settle(c, VERDICT_INCONCLUSIVE, why, err);
    if (untraced(w, &why, err) < 0)
        return -ENOMEM;
    if (why)
        return settle(c, VERDICT_INCONCLUSIVE, why, err);
    size_t i;
    json_t *fault;
    json_array_foreach(json_object_get(w->h->header, "faults"), i, fault)
        if (!json_object_get(fault, "unable") && (why = never_acted(w, json_str_or(fault, "name", ""))))
            return settle(c, VERDICT_INCONCLUSIVE, why, err);
    bool any = false, unable = false;
    for (size_t k = 0; k < w->j->act_count; k++) {
        any |= w->j->acts[k].observed;
        unable |= w->j->acts[k].unable != NULL;
    }
    const char *seen = unable ? "Every fault that this machine can do was seen in effect." : "Every fault was seen in effect.";
    return settle(c, VERDICT_PASS, any || (w->j->act_count && !unable) ? seen : unable ? "No fault could be done here." : "There was no fault.", err);
}

/* What this machine could not do was skipped: said, and no part of the verdict; `run --strict` does not even begin. */
static int check_able(struct work *w, struct error *err) {
    size_t i;
    json_t *fault;
    json_array_foreach(json_object_get(w->h->header, "faults"), i, fault) {
        const char *unable = json_str_or(fault, "unable", NULL);
        if (!unable)
            continue;
        struct check_result *c = check_add(w, arena_printf(w->a, "possible(%s)", json_str_or(fault, "name", "")), err);
        if (!c || settle(c, VERDICT_SKIPPED, arena_printf(w->a, "%s was skipped: %s.", json_str_or(fault, "name", ""), unable), err) < 0)
            return out_of_memory(err);
    }
    return 0;
}

static int check_reverted(struct work *w, struct error *err) {
    struct check_result *c = check_add(w, "reverted", err);
    size_t held = 0;
    if (w->left)
        return settle(c, VERDICT_FAIL, sentence(w, w->left), err);
    for (size_t i = 0; i < w->j->act_count; i++) {
        const struct act_figures *f = &w->j->acts[i];
        held += f->holds && (f->acted || f->unclear);
        if (!f->stuck)
            continue;
        const char *why = f->revert_why;
        return settle(c, VERDICT_FAIL,
                      arena_printf(w->a, "%s #%u on %s was not reverted%s%s.", f->fault, f->occurrence, f->target, why ? ": " : "",
                                   why ? why : ""),
                      err);
    }
    for (size_t i = 0; i < w->j->act_count; i++) {
        const struct act_figures *f = &w->j->acts[i];
        /* A history that just ends says nothing of what a reaper or `chaosd revert` did afterwards. */
        if (f->holds && (f->acted || f->unclear) && !f->reverted)
            return settle(c, VERDICT_INCONCLUSIVE,
                          arena_printf(w->a, "%s #%u on %s%s: its end was not seen: the history stops before.", f->fault, f->occurrence,
                                       who(f), f->unclear ? " may have been carried out" : ""),
                          err);
    }
    return settle(c, VERDICT_PASS, held ? "Every fault was reverted." : "There was nothing to revert.", err);
}

int verdict_basics(struct work *w, struct error *err) {
    int rc = check_complete(w, err);
    if (rc == 0)
        rc = externals_check(w, err); /* before what comes of a tool's trouble */
    if (rc == 0)
        rc = check_baseline(w, err);
    if (rc == 0)
        rc = check_observed(w, err);
    if (rc == 0)
        rc = check_reverted(w, err);
    if (rc == 0)
        rc = steady_check(w, err);
    if (rc == 0)
        rc = check_able(w, err);
    return rc ? rc : ledgers_check(w, err);
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
    const char *name = NULL;
    for (size_t i = 0; i < w->load_count; i++) {
        if (w->loads[i].control)
            continue;
        planned += w->j->lanes[i].planned;
        good += w->j->lanes[i].good;
        name = w->loads[i].name;
    }
    if (planned)
        buf_printf(b, ", %s of %s %s good", words_percent((double)good / (double)planned, share), words_count(planned, count),
                   w->load_count - w->control_count == 1 ? name : "requests");
}

static void say_downtime(const struct work *w, struct buf *b) {
    const struct downtime *worst = NULL;
    char min[WORDS_SIZE], max[WORDS_SIZE];
    for (size_t i = 0; i < w->load_count; i++)
        for (size_t k = 0; !w->loads[i].control && k < w->j->lanes[i].downtime_count; k++) {
            const struct downtime *d = &w->j->lanes[i].downtime[k];
            bool longer = worst && (d->max == UNKNOWN_NS ? worst->max != UNKNOWN_NS : worst->max != UNKNOWN_NS && d->max > worst->max);
            worst = !worst || longer ? d : worst;
        }
    if (worst && worst->max != UNKNOWN_NS)
        buf_printf(b, ", worst downtime %s..%s", words_ms_bare(words_ns_ms(worst->min), min), words_ms(words_ns_ms(worst->max), max));
    else if (worst)
        buf_printf(b, ", worst downtime at least %s", words_ms(words_ns_ms(worst->min), min));
    else if (w->load_count > w->control_count)
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

static void say_ledgers(const struct work *w, struct buf *b) {
    int64_t acknowledged = 0, lost = 0;
    char n[WORDS_SIZE], m[WORDS_SIZE];
    for (size_t i = 0; i < w->j->ledger_count; i++) {
        acknowledged += w->j->ledgers[i].acknowledged;
        lost += w->j->ledgers[i].lost;
    }
    if (w->j->ledger_count && lost)
        buf_printf(b, ", %s of %s acknowledged writes LOST", words_count(lost, n), words_count(acknowledged, m));
    else if (w->j->ledger_count)
        buf_printf(b, ", none of %s acknowledged writes lost", words_count(acknowledged, m));
}

/* "All 7 checks passed: 99.2 % of 16,000 writes good, worst downtime 812..1,420 ms, slowest recovery 1,400 ms." */
static char *say_passed(struct work *w) {
    cleanup_buf struct buf b = {0};
    say_availability(w, &b);
    say_downtime(w, &b);
    say_recovery(w, &b);
    say_ledgers(w, &b);
    if (!buf_ok(&b))
        return NULL;
    const char *rest = b.len ? b.data + 2 : "";
    size_t passed, skipped;
    first_of(w->j, VERDICT_PASS, &passed);
    first_of(w->j, VERDICT_SKIPPED, &skipped);
    if (skipped)
        return arena_printf(w->a, "%zu checks passed, %zu skipped%s%s.", passed, skipped, *rest ? ": " : "", rest);
    return arena_printf(w->a, "All %zu checks passed%s%s.", passed, *rest ? ": " : "", rest);
}

int verdict_conclude(struct work *w, struct error *err) {
    struct judgement *j = w->j;
    size_t fails, opens;
    const struct check_result *fail = first_of(j, VERDICT_FAIL, &fails), *open = first_of(j, VERDICT_INCONCLUSIVE, &opens),
                              *reverted = NULL;
    for (size_t i = 0; i < j->check_count; i++)
        if (!strcmp(j->checks[i].name, "reverted"))
            reverted = &j->checks[i];
    const char *skipped = w->skipped ? w->skipped : w->j->ended && !w->trouble ? all_skipped(w) : NULL;
    if (reverted && reverted->verdict == VERDICT_FAIL)
        fail = reverted; /* whatever else there is: something is still broken out there */
    else if (w->aborted)
        fail = NULL;
    if (!fail && w->aborted) {
        j->verdict = VERDICT_ABORTED;
        j->why = arena_printf(w->a, "Aborted: %s.", w->aborted);
    } else if (!fail && skipped) { /* what could be checked nevertheless has its own verdict */
        j->verdict = VERDICT_SKIPPED;
        j->why = arena_printf(w->a, "Skipped: %s.", skipped);
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
