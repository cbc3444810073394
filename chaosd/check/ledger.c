/* SPDX-License-Identifier: Apache-2.0 */
/* What became of acknowledged writes. The samples say what was acknowledged and when, the events of the readings which of it was not there;
 * counted as set-full checkers do: by elements, each with the time of its acknowledgement. */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/thresholds.h"
#include "check/words.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* What was acknowledged shortly before an act may not have been copied yet: it counts to that act, not to the one before. */
#define JUST_BEFORE_NS INT64_C(1000000000)

struct range { int64_t from, to; };
struct ranges { struct range *list; size_t count, cap; };

struct seen_missing { int act; struct ranges ranges; }; /* at the reading after an act */

struct ledger_work {
    struct ledger_figures *f;
    struct ranges lost, unread;
    struct seen_missing *seen;
    size_t seen_count, seen_cap, loss_cap;
    struct ledger_loss *losses;
    int *acts; /* those that were done, by time */
    size_t act_count;
};

/* --- ranges of entries --- */

static int by_start(const void *a, const void *b) {
    const struct range *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static void sort_ranges(struct ranges *r) {
    size_t to = 0;
    if (r->count)
        qsort(r->list, r->count, sizeof *r->list, by_start);
    for (size_t i = 0; i < r->count; i++) {
        if (to && r->list[i].from <= r->list[to - 1].to + 1)
            r->list[to - 1].to = r->list[i].to > r->list[to - 1].to ? r->list[i].to : r->list[to - 1].to;
        else
            r->list[to++] = r->list[i];
    }
    r->count = to;
}

static bool in_ranges(const struct ranges *r, int64_t entry) {
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (r->list[mid].to < entry)
            low = mid + 1;
        else
            high = mid;
    }
    return low < r->count && r->list[low].from <= entry;
}

static int add_ranges(struct ranges *r, const json_t *entries) {
    size_t i;
    json_t *pair;
    json_array_foreach(entries, i, pair) {
        const json_t *from = json_array_get(pair, 0), *to = json_array_get(pair, 1);
        if (!json_is_integer(from) || !json_is_integer(to) || json_integer_value(from) < 1 || json_integer_value(to) > UINT32_MAX ||
            json_integer_value(from) > json_integer_value(to))
            continue;
        if (grow(&r->list, r->count, &r->cap, sizeof *r->list) < 0)
            return -ENOMEM;
        r->list[r->count++] = (struct range){json_integer_value(from), json_integer_value(to)};
    }
    return 0;
}

/* --- events --- */

static int act_of_id(const struct judgement *j, int64_t id) {
    for (size_t i = 0; i < j->act_count; i++)
        if (j->acts[i].id == id && j->acts[i].acted)
            return (int)i;
    return -1;
}

static struct ranges *seen_after(struct work *w, struct ledger_work *l, const json_t *data) {
    int act = act_of_id(w->j, json_int_or(data, "act", -1));
    for (size_t i = 0; i < l->seen_count; i++)
        if (l->seen[i].act == act)
            return &l->seen[i].ranges;
    if (act < 0 || grow(&l->seen, l->seen_count, &l->seen_cap, sizeof *l->seen) < 0)
        return NULL;
    l->seen[l->seen_count] = (struct seen_missing){.act = act};
    return &l->seen[l->seen_count++].ranges;
}

static int read_missing(struct work *w, struct ledger_work *l, const struct event *e) {
    struct ranges *to = !strcmp(e->kind, "lost")      ? &l->lost
                        : !strcmp(e->kind, "unknown") ? &l->unread
                        : !strcmp(e->kind, "missing") ? seen_after(w, l, e->data)
                                                      : NULL;
    return to ? add_ranges(to, json_object_get(e->data, "entries")) : 0;
}

static int64_t count_or(const json_t *data, const char *key) {
    int64_t n = json_int_or(data, key, 0);
    return n < 0 || n > UINT32_MAX ? 0 : n;
}

static void read_end(struct ledger_figures *f, const json_t *d) {
    f->read = true;
    f->present = count_or(d, "present");
    f->lost = count_or(d, "lost");
    f->stale = count_or(d, "stale");
    f->other = count_or(d, "other");
    f->recovered = count_or(d, "recovered");
    f->truncated = json_is_true(json_object_get(d, "truncated"));
    f->why = json_str_or(d, "why", NULL);
    f->keys = json_object_get(d, "keys");
}

static int read_events(struct work *w, struct ledger_work *l) {
    struct ledger_figures *f = l->f;
    int rc = 0;
    for (size_t i = 0; i < w->h->event_count && rc == 0; i++) {
        const struct event *e = &w->h->events[i];
        if (strncmp(e->op, "ledger/", 7) != 0 || strcmp(e->target, f->load) != 0)
            continue;
        bool end = !strcmp(json_str_or(e->data, "when", ""), "end");
        int act = end ? -1 : act_of_id(w->j, json_int_or(e->data, "act", -1));
        if (!strcmp(e->op, "ledger/missing"))
            rc = read_missing(w, l, e);
        else if (strcmp(e->op, "ledger/read") != 0 || strcmp(e->phase, "ok") != 0)
            continue;
        else if (end)
            read_end(f, e->data);
        else if (act >= 0 && !json_is_true(json_object_get(e->data, "stopped")))
            w->acts[act].ledgers_read++;
    }
    sort_ranges(&l->lost);
    sort_ranges(&l->unread);
    for (size_t i = 0; i < l->seen_count; i++)
        sort_ranges(&l->seen[i].ranges);
    return rc;
}

/* --- losses --- */

static int by_at(const void *a, const void *b, void *arg) {
    const struct judgement *j = arg;
    int x = *(const int *)a, y = *(const int *)b;
    int64_t at = j->acts[x].at, bt = j->acts[y].at;
    return at != bt ? (at > bt) - (at < bt) : (x > y) - (x < y);
}

static int sort_acts(struct work *w, struct ledger_work *l) {
    l->acts = calloc(w->j->act_count + 1, sizeof *l->acts);
    for (size_t i = 0; l->acts && i < w->j->act_count; i++)
        if (w->j->acts[i].acted)
            l->acts[l->act_count++] = (int)i;
    if (l->act_count)
        qsort_r(l->acts, l->act_count, sizeof *l->acts, by_at, w->j);
    return l->acts ? 0 : -ENOMEM;
}

/* The last act before t or just after it; without one, the first that there is. */
static int act_by_time(const struct judgement *j, const struct ledger_work *l, int64_t t) {
    size_t low = 0, high = l->act_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (j->acts[l->acts[mid]].at <= t + JUST_BEFORE_NS)
            low = mid + 1;
        else
            high = mid;
    }
    return l->act_count ? l->acts[low ? low - 1 : 0] : -1;
}

/* The first act after which it was seen to be missing; where nobody looked then, the one its acknowledgement points to. */
static int act_of_entry(const struct work *w, const struct ledger_work *l, const struct sample *s) {
    int act = -1;
    for (size_t i = 0; i < l->seen_count; i++)
        if (in_ranges(&l->seen[i].ranges, s->entry) && (act < 0 || w->j->acts[l->seen[i].act].at < w->j->acts[act].at))
            act = l->seen[i].act;
    return act >= 0 ? act : act_by_time(w->j, l, s->end_ns);
}

static int add_lost(const struct work *w, struct ledger_work *l, const struct sample *s) {
    int act = act_of_entry(w, l, s);
    struct ledger_loss *loss = NULL;
    for (size_t i = 0; i < l->f->loss_count; i++)
        if (l->losses[i].act == act)
            loss = &l->losses[i];
    if (!loss) {
        if (grow(&l->losses, l->f->loss_count, &l->loss_cap, sizeof *l->losses) < 0)
            return -ENOMEM;
        loss = &l->losses[l->f->loss_count++];
        *loss = (struct ledger_loss){.act = act, .first = INT64_MAX, .last = INT64_MIN, .before = UNKNOWN_NS, .after = UNKNOWN_NS};
    }
    loss->lost++;
    loss->first = s->end_ns < loss->first ? s->end_ns : loss->first;
    loss->last = s->end_ns > loss->last ? s->end_ns : loss->last;
    return 0;
}

/* The nearest writes that were kept bound what was lost from both sides. */
static void bound(struct ledger_work *l, const struct sample *s) {
    for (size_t i = 0; i < l->f->loss_count; i++) {
        struct ledger_loss *x = &l->losses[i];
        if (s->end_ns <= x->first && s->end_ns > x->before)
            x->before = s->end_ns;
        if (s->end_ns >= x->last && (x->after == UNKNOWN_NS || s->end_ns < x->after))
            x->after = s->end_ns;
    }
}

static bool acknowledged(const struct ledger_work *l, const struct sample *s) {
    return s->load == l->f->load_index && s->entry && s->outcome == OUTCOME_GOOD;
}

static int read_samples(struct work *w, struct ledger_work *l) {
    struct ledger_figures *f = l->f;
    int rc = 0;
    for (size_t i = 0; i < w->h->sample_count && rc == 0; i++) {
        const struct sample *s = &w->h->samples[i];
        if (s->load != f->load_index || !s->entry)
            continue;
        f->written += s->outcome == OUTCOME_GOOD || s->outcome == OUTCOME_BAD;
        f->acknowledged += s->outcome == OUTCOME_GOOD;
        if (acknowledged(l, s) && in_ranges(&l->lost, s->entry))
            rc = add_lost(w, l, s);
    }
    for (size_t i = 0; i < w->h->sample_count && rc == 0 && f->loss_count; i++) {
        const struct sample *s = &w->h->samples[i];
        if (acknowledged(l, s) && !in_ranges(&l->lost, s->entry) && !in_ranges(&l->unread, s->entry))
            bound(l, s);
    }
    return rc;
}

static int by_first(const void *a, const void *b) {
    const struct ledger_loss *x = a, *y = b;
    return x->first != y->first ? (x->first > y->first) - (x->first < y->first) : (x->act > y->act) - (x->act < y->act);
}

static int keep_losses(struct work *w, struct ledger_work *l) {
    struct ledger_figures *f = l->f;
    int64_t known = 0;
    f->losses = arena_alloc(w->a, (f->loss_count + 1) * sizeof *f->losses);
    if (!f->losses)
        return -ENOMEM;
    if (f->loss_count)
        memcpy(f->losses, l->losses, f->loss_count * sizeof *f->losses);
    qsort(f->losses, f->loss_count, sizeof *f->losses, by_first);
    for (size_t i = 0; i < f->loss_count; i++) {
        struct ledger_loss *x = &f->losses[i];
        known += x->lost;
        x->rpo_min = x->last - x->first;
        x->rpo_max = (x->after == UNKNOWN_NS ? x->last : x->after) - (x->before == UNKNOWN_NS ? x->first : x->before);
    }
    f->truncated |= known != f->lost;
    return 0;
}

static int measure(struct work *w, struct ledger_figures *f) {
    struct ledger_work l = {.f = f};
    int rc = sort_acts(w, &l);
    if (rc == 0)
        rc = read_events(w, &l);
    if (rc == 0)
        rc = read_samples(w, &l);
    if (rc == 0)
        rc = keep_losses(w, &l);
    int64_t settled = f->present + f->lost;
    f->unknown = f->acknowledged > settled ? f->acknowledged - settled : 0;
    free(l.lost.list);
    free(l.unread.list);
    for (size_t i = 0; i < l.seen_count; i++)
        free(l.seen[i].ranges.list);
    free(l.seen);
    free(l.losses);
    free(l.acts);
    return rc;
}

int ledgers_measure(struct work *w, struct error *err) {
    struct judgement *j = w->j;
    json_t *loads = json_object_get(w->h->header, "loads"), *spec;
    size_t i;
    j->ledgers = arena_alloc(w->a, (w->load_count + 1) * sizeof *j->ledgers);
    if (!j->ledgers)
        return out_of_memory(err);
    json_array_foreach(loads, i, spec) {
        if (!json_is_true(json_object_get(spec, "ledger")))
            continue;
        struct ledger_figures *f = &j->ledgers[j->ledger_count++];
        *f = (struct ledger_figures){.load = w->loads[i].name, .load_index = (int)i};
        if (measure(w, f) < 0)
            return out_of_memory(err);
    }
    return 0;
}

/* --- what thresholds look at --- */

static const char *unread(struct work *w, const struct ledger_figures *f) {
    char n[WORDS_SIZE], m[WORDS_SIZE];
    if (!f->read)
        return "the ledger was not read back at the end of the run";
    return arena_printf(w->a, "%s of %s acknowledged writes could not be read back%s%s", words_count(f->unknown, n),
                        words_count(f->acknowledged, m), f->why ? ": " : "", f->why ? f->why : "");
}

/* An act after which nobody looked may have hidden anything for a while. */
static const char *not_read_after(struct work *w) {
    const struct judgement *j = w->j;
    for (size_t i = 0, end; i < j->act_count; i = end) { /* the victims of one planned act stand together: one look is for all */
        size_t acted = 0, read = 0;
        for (end = i; end < j->act_count && (end == i || act_same(j, i, end)); end++) {
            acted += j->acts[end].acted;
            read += w->acts[end].ledgers_read;
        }
        if (acted && !read)
            return arena_printf(w->a, "the ledger was not read after the recovery from %s #%u", j->acts[i].fault, j->acts[i].occurrence);
    }
    return NULL;
}

static void find_rpo(const struct ledger_figures *f, struct finding *ret) {
    ret->lo = ret->hi = 0;
    for (size_t i = 0; i < f->loss_count; i++) {
        ret->lo = fmax(ret->lo, (double)f->losses[i].rpo_min / 1e6);
        ret->hi = fmax(ret->hi, (double)f->losses[i].rpo_max / 1e6);
    }
}

const struct ledger_figures *ledger_of(const struct judgement *j, size_t load) {
    for (size_t i = 0; i < j->ledger_count; i++)
        if (j->ledgers[i].load_index == (int)load)
            return &j->ledgers[i];
    return NULL;
}

void find_ledger(struct work *w, const struct expect *e, const struct ledger_figures *f, struct finding *ret) {
    bool known = f->read && !f->unknown;
    ret->unknown = unread(w, f);
    if (!f->read && e->metric != METRIC_LEDGER_UNKNOWN)
        return;
    if (e->metric == METRIC_RPO) {
        find_rpo(f, ret);
        ret->hi = known && !f->truncated ? ret->hi : INFINITY;
        ret->value = isinf(ret->hi) ? NAN : e->compare == CMP_GT || e->compare == CMP_GE ? ret->lo : ret->hi;
        if (known && !f->truncated) { /* "at most" is judged on the upper end, "at least" on the lower one */
            ret->lo = ret->hi = ret->value;
        }
        return;
    }
    const char *skipped = e->metric == METRIC_LEDGER_STALE ? not_read_after(w) : NULL;
    int64_t n = e->metric == METRIC_LEDGER_LOST ? f->lost : e->metric == METRIC_LEDGER_STALE ? f->stale : f->unknown;
    bool certain = e->metric == METRIC_LEDGER_UNKNOWN || known;
    ret->lo = ret->value = (double)n;
    ret->hi = skipped ? INFINITY : certain ? (double)n : (double)(n + f->unknown);
    if (skipped)
        ret->unknown = skipped;
}

/* --- the check that is always there --- */

static bool asked_about(const struct work *w, const struct ledger_figures *f) {
    size_t i;
    json_t *text;
    struct expect e;
    json_array_foreach(json_object_get(w->h->header, "expect"), i, text)
        if (json_is_string(text) && expect_parse(json_string_value(text), &e, NULL) == 0 &&
            (e.metric == METRIC_LEDGER_LOST || e.metric == METRIC_RPO) && (!*e.of || !strcmp(e.of, f->load)))
            return true;
    return false;
}

static const char *say_lost(struct work *w, const struct ledger_figures *f) {
    char n[WORDS_SIZE], m[WORDS_SIZE];
    return arena_printf(w->a, "%s: %s of %s acknowledged writes are lost", f->load, words_count(f->lost, n), words_count(f->acknowledged, m));
}

/* Worse than what was said of another load. */
static void settle_worse(struct check_result *c, enum verdict v, const char *why) {
    bool worse = v == VERDICT_FAIL ? c->verdict != VERDICT_FAIL : v == VERDICT_INCONCLUSIVE && c->verdict == VERDICT_PASS;
    if (!worse && c->why)
        return;
    c->verdict = v;
    c->why = (char *)why;
}

int ledgers_check(struct work *w, struct error *err) {
    const struct judgement *j = w->j;
    if (!j->ledger_count)
        return 0;
    struct check_result *c = check_add(w, "ledger", err);
    if (!c)
        return out_of_memory(err);
    for (size_t i = 0; i < j->ledger_count; i++) {
        const struct ledger_figures *f = &j->ledgers[i];
        char n[WORDS_SIZE];
        const char *lost = f->lost ? say_lost(w, f) : NULL, *open = unread(w, f), *why;
        if (f->lost && !asked_about(w, f)) {
            why = arena_printf(w->a, "%s, and no limit allows that (ledger.lost or rpo.max).", lost);
            settle_worse(c, VERDICT_FAIL, why);
        } else if (!f->read || f->unknown) {
            why = open ? arena_printf(w->a, "%s: %s.", f->load, open) : NULL;
            settle_worse(c, VERDICT_INCONCLUSIVE, why);
        } else {
            why = f->lost ? arena_printf(w->a, "%s; the scenario's own limits judge that.", lost)
                          : arena_printf(w->a, "%s: all %s acknowledged writes are there.", f->load, words_count(f->acknowledged, n));
            settle_worse(c, VERDICT_PASS, why);
        }
        if (!why)
            return out_of_memory(err);
    }
    return 0;
}
