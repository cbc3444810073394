/* SPDX-License-Identifier: Apache-2.0 */
/* Probes: from the changes of their answers to stretches, shares and a check each. */
#include "base/cleanup.h"
#include "base/json.h"
#include "check/thresholds.h"
#include "check/words.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Room for one more in an arena's list: as many again each time it is full. */
static void *room(struct work *w, void *list, size_t count, size_t size) {
    if (count & (count - 1) || count == 1) /* full at 0 and at each power of two from 2 on; one entry has room for two */
        return list;
    void *more = arena_alloc(w->a, (count ? 2 * count : 2) * size);
    if (more && count)
        memcpy(more, list, count * size);
    return more;
}

static struct probe_figures *probe_of(struct work *w, const json_t *data) {
    const char *name = json_str_or(data, "probe", "");
    for (size_t i = 0; i < w->j->probe_count; i++)
        if (!strcmp(w->j->probes[i].name, name))
            return &w->j->probes[i];
    return NULL;
}

static struct probe_target *target_of(struct work *w, struct probe_figures *p, const struct event *e) {
    int64_t id = json_int_or(e->data, "id", -1);
    for (size_t i = 0; i < p->target_count; i++)
        if (p->targets[i].id == id)
            return &p->targets[i];
    struct probe_target *list = room(w, p->targets, p->target_count, sizeof *list);
    if (!list)
        return NULL;
    p->targets = list;
    list[p->target_count] = (struct probe_target){
        .id = id, .name = e->target, .asked = -1, .good = -1, .bad = -1, .unsure = -1, .first_seen = UNKNOWN_NS, .ok = true,
    };
    return &list[p->target_count++];
}

/* "at most" reaches back to the last right answer's question, "at least" is what lies between wrong ones. */
static void close_stretch(struct probe_stretch *s, int64_t last_bad, int64_t seen) {
    s->end = seen;
    s->point = seen - s->start;
    s->max = s->before == UNKNOWN_NS ? UNKNOWN_NS : seen - s->before;
    s->min = last_bad > s->seen ? last_bad - s->seen : 0;
}

static int add_answer(struct work *w, struct probe_target *t, const struct event *e) {
    int64_t asked = time_or(e->data, "asked", e->t), seen = time_or(e->data, "seen", e->t);
    bool ok = json_is_true(json_object_get(e->data, "ok")), first = t->first_seen == UNKNOWN_NS, again = false;
    struct probe_stretch *last = t->stretch_count ? &t->stretches[t->stretch_count - 1] : NULL;
    if (first)
        t->first_seen = seen;
    if (ok && last && last->end == UNKNOWN_NS)
        close_stretch(last, time_or(e->data, "before_asked", last->start), seen);
    if (!ok && last && last->end == UNKNOWN_NS) { /* asked anew after a pause: nobody knows what was in between */
        int64_t until = time_or(e->data, "before_asked", last->seen);
        last->min = until > last->seen ? until - last->seen : 0;
        again = true;
    }
    if (!ok && (!last || last->end != UNKNOWN_NS || again)) {
        struct probe_stretch *list = room(w, t->stretches, t->stretch_count, sizeof *list);
        if (!list)
            return -ENOMEM;
        t->stretches = list;
        list[t->stretch_count++] = (struct probe_stretch){
            .start = asked, .end = UNKNOWN_NS, .seen = seen, .before = first || again ? UNKNOWN_NS : time_or(e->data, "before_asked", UNKNOWN_NS),
            .point = UNKNOWN_NS, .max = UNKNOWN_NS, .why = json_str_or(e->data, "why", "no reason given"),
        };
    }
    t->ok = ok;
    return 0;
}

/* What no run can have counted is not known: sums must not overflow. */
static int64_t count_of(const struct event *e, const char *key) {
    int64_t n = json_int_or(e->data, key, -1);
    return n < 0 || n > INT64_C(1) << 40 ? -1 : n;
}

static void add_summary(struct probe_target *t, const struct event *e) {
    t->asked = count_of(e, "asked");
    t->good = count_of(e, "good");
    t->bad = count_of(e, "bad");
    t->unsure = count_of(e, "unsure");
    t->unwritten = count_of(e, "unwritten") > 0 ? count_of(e, "unwritten") : 0;
    struct probe_stretch *last = t->stretch_count ? &t->stretches[t->stretch_count - 1] : NULL;
    int64_t until = time_or(e->data, "last_asked", UNKNOWN_NS);
    if (last && last->end == UNKNOWN_NS && !t->unwritten && until != UNKNOWN_NS && until > last->seen)
        last->min = until - last->seen;
}

static int64_t stretch_known(const struct probe_stretch *s) {
    return s->max != UNKNOWN_NS ? s->max : s->point != UNKNOWN_NS ? s->point : s->min;
}

static void sum_up(struct probe_figures *p) {
    int64_t *const sums[] = {&p->asked, &p->good, &p->bad, &p->unsure};
    for (size_t i = 0; i < p->target_count; i++) {
        struct probe_target *t = &p->targets[i];
        const int64_t parts[] = {t->asked, t->good, t->bad, t->unsure};
        for (size_t k = 0; k < ARRAY_SIZE(sums); k++)
            *sums[k] = *sums[k] < 0 || parts[k] < 0 ? -1 : *sums[k] + parts[k];
        for (size_t k = 0; k < t->stretch_count; k++) {
            struct probe_stretch *s = &t->stretches[k];
            if (!p->first || s->start < p->first->start) {
                p->first = s;
                p->first_target = t;
            }
            if (!p->longest || stretch_known(s) > stretch_known(p->longest))
                p->longest = s;
        }
    }
}

int probes_collect(struct work *w, struct error *err) {
    struct judgement *j = w->j;
    json_t *list = json_object_get(w->h->header, "probes"), *spec;
    size_t i;
    if (!json_array_size(list))
        return 0;
    if (!(j->probes = arena_alloc(w->a, json_array_size(list) * sizeof *j->probes)))
        return out_of_memory(err);
    json_array_foreach(list, i, spec)
        j->probes[j->probe_count++] = (struct probe_figures){
            .name = json_str_or(spec, "name", ""), .kind = json_str_or(spec, "kind", ""), .mode = json_str_or(spec, "mode", ""),
        };
    for (i = 0; i < w->h->event_count; i++) {
        const struct event *e = &w->h->events[i];
        bool answer = !strcmp(e->op, "probe/answer");
        struct probe_figures *p = answer || !strcmp(e->op, "probe/summary") ? probe_of(w, e->data) : NULL;
        struct probe_target *t = p ? target_of(w, p, e) : NULL;
        if (p && (!t || (answer && add_answer(w, t, e) < 0)))
            return out_of_memory(err);
        if (p && !answer)
            add_summary(t, e);
    }
    for (i = 0; i < j->probe_count; i++)
        sum_up(&j->probes[i]);
    return 0;
}

/* --- the check --- */

static bool has_threshold(const struct work *w, const char *name) {
    size_t i;
    json_t *text;
    json_array_foreach(json_object_get(w->h->header, "expect"), i, text) {
        struct expect e;
        if (json_is_string(text) && expect_parse(json_string_value(text), &e, NULL) == 0 && e.metric == METRIC_PROBE && !strcmp(e.of, name))
            return true;
    }
    return false;
}

static bool any_acted(const struct judgement *j) {
    for (size_t i = 0; i < j->act_count; i++)
        if (j->acts[i].acted)
            return true;
    return false;
}

/* Why its answers tell nothing, or NULL. */
static const char *not_known(struct work *w, const struct probe_figures *p) {
    if (!p->target_count && w->aborted)
        return "it was not asked, as the run was aborted before that";
    if (!p->target_count)
        return w->j->ended ? "it was never asked" : "it was not asked, as the history stops before that";
    if (p->asked < 0)
        return "the history stops before its end";
    if (!p->asked || (p->good + p->bad == 0 && !p->unsure))
        return "no answer came before the run ended";
    if (p->good + p->bad == 0)
        return "chaosd itself stalled whenever it was asked";
    for (size_t i = 0; i < p->target_count; i++)
        if (!p->targets[i].good && !p->targets[i].bad)
            return arena_printf(w->a, "%s was never asked to an end", *p->targets[i].name ? p->targets[i].name : "one of those asked");
    return NULL;
}

static const char *say_length(const struct probe_stretch *s, char *out, size_t size) {
    char min[WORDS_SIZE], point[WORDS_SIZE], max[WORDS_SIZE];
    if (s->max != UNKNOWN_NS)
        snprintf(out, size, "; the longest stretch %s..%s..%s", words_ms_bare(words_ns_ms(s->min), min), words_ms_bare(words_ns_ms(s->point), point),
                 words_ms(words_ns_ms(s->max), max));
    else if (s->point != UNKNOWN_NS)
        snprintf(out, size, "; the longest stretch at least %s", words_ms(words_ns_ms(s->min), min));
    else
        snprintf(out, size, "; it was not right again");
    return out;
}

static char *say_failed(struct work *w, const struct probe_figures *p) {
    char bad[WORDS_SIZE], all[WORDS_SIZE], length[200] = "", at[64] = "before the schedule";
    const struct probe_stretch *s = p->first;
    if (w->j->schedule_t != UNKNOWN_NS && s->start >= w->j->schedule_t)
        snprintf(at, sizeof at, "at %.2f s", (double)(s->start - w->j->schedule_t) / 1e9);
    const char *on = p->first_target->name, *sep = *on ? " on " : "";
    if (!strcmp(p->mode, "continuous") || !strcmp(p->mode, "on-fault"))
        say_length(p->longest, length, sizeof length);
    if (p->bad < 0)
        return arena_printf(w->a, "Probe %s: wrong answers, the first %s%s%s: %s%s.", p->name, at, sep, on, s->why, length);
    return arena_printf(w->a, "Probe %s: %s of %s answers wrong, the first %s%s%s: %s%s.", p->name, words_count(p->bad, bad), words_count(p->good + p->bad, all), at, sep,
                        on, s->why, length);
}

static char *say_passed(struct work *w, const struct probe_figures *p) {
    char n[WORDS_SIZE], pods[WORDS_SIZE];
    if (p->good == 1)
        return arena_strdup(w->a, "The answer was right.");
    if (p->target_count == 1)
        return arena_printf(w->a, "All %s answers were right.", words_count(p->good, n));
    return arena_printf(w->a, "All %s answers of %s pods were right.", words_count(p->good, n), words_count((int64_t)p->target_count, pods));
}

static double share(const struct probe_figures *p) {
    return p->good < 0 || p->bad < 0 || p->good + p->bad == 0 ? NAN : 100 * (double)p->good / (double)(p->good + p->bad);
}

static int check_probe(struct work *w, struct probe_figures *p, struct error *err) {
    char name[96];
    const char *why;
    char *text;
    bool told = !has_threshold(w, p->name);
    snprintf(name, sizeof name, "probe %.80s", p->name);
    if (p->first) {
        p->verdict = VERDICT_FAIL;
        text = say_failed(w, p);
    } else if (!p->target_count && !strcmp(p->mode, "on-fault") && w->j->ended && !any_acted(w->j)) {
        p->verdict = VERDICT_SKIPPED;
        text = arena_strdup(w->a, "No fault was carried out, so it was not asked.");
    } else if ((why = not_known(w, p))) {
        p->verdict = VERDICT_INCONCLUSIVE;
        text = arena_printf(w->a, "%s cannot be judged: %s.", name, why);
    } else {
        p->verdict = VERDICT_PASS;
        text = say_passed(w, p);
    }
    if (!told)
        return 0;
    struct check_result *c = text ? check_add(w, name, err) : NULL;
    if (!c)
        return out_of_memory(err);
    c->verdict = p->verdict;
    c->value = share(p);
    c->limit = 100;
    c->unit = "%";
    c->why = text;
    return 0;
}

int probes_check(struct work *w, struct error *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->j->probe_count; i++)
        rc = check_probe(w, &w->j->probes[i], err);
    return rc;
}

/* --- thresholds --- */

void find_probe(struct work *w, const struct expect *e, struct finding *ret) {
    const struct probe_figures *p = NULL;
    for (size_t i = 0; i < w->j->probe_count; i++)
        if (!strcmp(w->j->probes[i].name, e->of))
            p = &w->j->probes[i];
    ret->unknown = p ? not_known(w, p) : "there is no such probe";
    if (ret->unknown)
        return;
    double all = (double)(p->good + p->bad + p->unsure);
    ret->value = share(p);
    ret->lo = 100 * (double)p->good / all;
    ret->hi = 100 * (double)(p->good + p->unsure) / all;
    ret->unknown = "chaosd itself stalled in the meantime";
}
