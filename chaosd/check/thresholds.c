/* SPDX-License-Identifier: Apache-2.0 */
#include "check/internal.h"
#include "check/words.h"

#include "check/thresholds.h"

#include <math.h>
#include <string.h>

static bool meets(enum compare c, double value, double limit) {
    switch (c) {
    case CMP_LT: return value < limit;
    case CMP_LE: return value <= limit;
    case CMP_GT: return value > limit;
    case CMP_GE: return value >= limit;
    case CMP_EQ: return value == limit;
    }
    return false;
}

/* What is certain on both ends is decided, the rest is not. */
static enum verdict decide(enum compare c, const struct finding *f, double limit) {
    if (isnan(f->lo) || isnan(f->hi))
        return VERDICT_INCONCLUSIVE;
    bool lo = meets(c, f->lo, limit), hi = meets(c, f->hi, limit);
    if (c == CMP_EQ && f->lo < limit && f->hi > limit)
        return VERDICT_INCONCLUSIVE;
    return lo && hi ? VERDICT_PASS : !lo && !hi ? VERDICT_FAIL : VERDICT_INCONCLUSIVE;
}

static int rank(enum verdict v) { return v == VERDICT_FAIL ? 2 : v == VERDICT_INCONCLUSIVE ? 1 : 0; }

double expect_limit(const struct expect *e) {
    return e->unit == UNIT_PPM ? (double)e->limit / 1e4 : e->unit == UNIT_NS ? (double)e->limit / 1e6 : (double)e->limit;
}

const char *expect_unit_name(const struct expect *e) { return e->unit == UNIT_PPM ? "%" : e->unit == UNIT_NS ? "ms" : ""; }

static const char *in_words(const struct expect *e, double value, char *out) {
    if (e->unit == UNIT_NS)
        return words_ms(value, out);
    if (e->unit == UNIT_PPM)
        return words_percent(value / 100, out);
    return isnan(value) ? strcpy(out, "unknown") : words_count((int64_t)value, out);
}

/* "downtime.max(writes)" of "downtime.max(writes) < 3s", with the load that was worst where the check names none. */
static char *subject(struct work *w, const char *text, const char *load) {
    size_t len = strcspn(text, "<>=");
    while (len && text[len - 1] == ' ')
        len--;
    if (load && w->load_count - w->control_count > 1 && !memchr(text, '(', len))
        return arena_printf(w->a, "%.*s of %s", (int)len, text, load);
    return arena_strndup(w->a, text, len);
}

static bool asks_at_least(const struct expect *e) { return e->compare == CMP_GT || e->compare == CMP_GE; }

static char *explain(struct work *w, const struct expect *e, const char *text, const struct finding *f, enum verdict v) {
    char value[WORDS_SIZE], limit[WORDS_SIZE];
    const char *who = subject(w, text, f->load);
    if (!who)
        return NULL;
    if (v == VERDICT_INCONCLUSIVE)
        return f->unknown ? arena_printf(w->a, "%s cannot be judged: %s.", who, f->unknown) : arena_printf(w->a, "%s is not known.", who);
    in_words(e, expect_limit(e), limit);
    if (isnan(f->value)) {
        bool most = v == VERDICT_FAIL && asks_at_least(e);
        return arena_printf(w->a, "%s was at %s %s, limit %s.", who, most ? "most" : "least", in_words(e, most ? f->hi : f->lo, value),
                            limit);
    }
    if (isinf(f->value))
        return arena_printf(w->a, "%s fell on a bad request, limit %s.", who, limit);
    return arena_printf(w->a, "%s was %s, limit %s.", who, in_words(e, f->value, value), limit);
}

struct worst { struct finding f; enum verdict v; bool any; };

static void consider(struct worst *w, const struct expect *e, const struct finding *f) {
    enum verdict v = f->not_judged ? VERDICT_INCONCLUSIVE : decide(e->compare, f, expect_limit(e));
    bool worse =
        !w->any || rank(v) > rank(w->v) || (rank(v) == rank(w->v) && (asks_at_least(e) ? f->value < w->f.value : f->value > w->f.value));
    if (worse)
        *w = (struct worst){.f = *f, .v = v, .any = true};
}

/* The row of a load, or of one lane of it. */
static bool find_row(const struct work *w, size_t load, const char *lane, size_t *ret) {
    for (size_t i = 0; i < w->j->lane_count; i++) {
        const struct lane_figures *f = &w->j->lanes[i];
        if (f->load_index == (int)load && !f->target && (*lane ? f->lane >= 0 && !strcmp(lane_names[f->lane], lane) : f->lane < 0)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool of_ledger(const struct expect *e) {
    return e->metric == METRIC_LEDGER_LOST || e->metric == METRIC_LEDGER_STALE || e->metric == METRIC_LEDGER_UNKNOWN || e->metric == METRIC_RPO;
}

static void over_loads(struct work *w, const struct expect *e, struct worst *worst) {
    for (size_t i = 0, row = 0; i < w->load_count; i++) {
        const struct load_work *l = &w->loads[i];
        const struct ledger_figures *g = of_ledger(e) ? ledger_of(w->j, i) : NULL;
        if (*e->of ? strcmp(e->of, l->name) != 0 : l->control || l->mute || (of_ledger(e) && !g)) /* a control is judged only where it is named */
            continue;
        struct finding f = {.lo = NAN, .hi = NAN, .value = NAN, .load = l->name};
        if (l->mute) {
            f.unknown = "the program tells of no requests (samples)";
            f.not_judged = true;
        } else if (l->not_judged) {
            f.unknown = l->not_judged;
            f.not_judged = true;
        } else if (g) {
            find_ledger(w, e, g, &f);
        } else if (of_ledger(e)) {
            f.unknown = "the load keeps no ledger";
        } else if (!find_row(w, i, e->lane, &row)) {
            f.unknown = "the load has no such lane";
        } else {
            find_in_row(w, e, row, &f);
        }
        consider(worst, e, &f);
    }
    if (!worst->any) {
        const char *why = *e->of ? arena_printf(w->a, "there is no load \"%s\"", e->of)
                          : w->load_count && of_ledger(e) ? "no load keeps a ledger" : "the run has no load that tells of requests";
        worst->f = (struct finding){.lo = NAN, .hi = NAN, .value = NAN, .unknown = why};
        worst->v = VERDICT_INCONCLUSIVE;
    }
}

static int check_one(struct work *w, const char *text, struct error *err) {
    struct expect e;
    struct check_result *c = check_add(w, text, err);
    if (!c)
        return out_of_memory(err);
    struct error why = {""};
    if (expect_parse(text, &e, &why) < 0) { /* a history of another version may ask what this one does not know */
        c->verdict = VERDICT_INCONCLUSIVE;
        c->why = arena_strdup(w->a, why.text);
        return c->why ? 0 : out_of_memory(err);
    }
    struct worst worst = {.v = VERDICT_INCONCLUSIVE};
    if (e.metric == METRIC_RECOVERY) {
        struct finding f = {.lo = NAN, .hi = NAN, .value = NAN};
        int rc = find_recovery(w, &e, &f, err);
        if (rc < 0)
            return rc;
        consider(&worst, &e, &f);
    } else if (e.metric == METRIC_PROBE) {
        struct finding f = {.lo = NAN, .hi = NAN, .value = NAN};
        find_probe(w, &e, &f);
        consider(&worst, &e, &f);
    } else {
        over_loads(w, &e, &worst);
    }
    c->verdict = worst.v;
    c->limit = expect_limit(&e);
    c->unit = expect_unit_name(&e);
    c->value = worst.f.value;
    if (isnan(c->value) && worst.v == VERDICT_FAIL)
        c->value = asks_at_least(&e) ? worst.f.hi : worst.f.lo;
    c->why = explain(w, &e, text, &worst.f, worst.v);
    return c->why ? 0 : out_of_memory(err);
}

int thresholds_check(struct work *w, struct error *err) {
    size_t i;
    json_t *text;
    json_array_foreach(json_object_get(w->h->header, "expect"), i, text) {
        int rc = json_is_string(text) ? check_one(w, json_string_value(text), err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}
