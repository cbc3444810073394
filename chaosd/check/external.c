/* SPDX-License-Identifier: Apache-2.0 */
/* Programs beside the faults: how they ended, how much of what they said could be read, and what they judged themselves. Trouble of
 * a tool is not the service's: inconclusive. Only what the tool says of the service, by its status or an SLA, fails a run. */
#include "base/json.h"
#include "check/internal.h"
#include "check/words.h"

#include <string.h>

#define STEP_MOST_NS INT64_C(10000000) /* of the wall clock while the program ran */

static struct external *external_of(struct judgement *j, const char *load) {
    for (size_t i = 0; i < j->external_count; i++)
        if (!strcmp(j->externals[i].load, load))
            return &j->externals[i];
    return NULL;
}

static const char *text_or_null(const json_t *data, const char *key) { return json_string_value(json_object_get(data, key)); }

static void read_exit(struct external *x, const struct event *e) {
    const json_t *d = e->data;
    x->reported = true;
    x->from = time_or(d, "from", UNKNOWN_NS);
    x->to = time_or(d, "to", UNKNOWN_NS);
    x->started = x->from != UNKNOWN_NS;
    x->signalled = json_is_integer(json_object_get(d, "signal"));
    x->code = json_int_or(d, x->signalled ? "signal" : "code", 0);
    x->asked = json_is_true(json_object_get(d, "asked"));
    x->killed = json_is_true(json_object_get(d, "killed"));
    x->cut = json_is_true(json_object_get(d, "cut"));
    x->left = json_int_or(d, "left", 0);
    x->samples = json_int_or(d, "samples", 0);
    x->unreadable = json_int_or(d, "unreadable", 0);
    x->unreadable_first = json_int_or(d, "unreadable_first", 0);
    x->clock_step = json_int_or(d, "clock_step", 0);
    x->why = text_or_null(d, "why");
    x->unreadable_why = text_or_null(d, "unreadable_why");
    x->no_samples = text_or_null(d, "no_samples");
    x->last_words = text_or_null(d, "last_words");
}

static int read_sla(struct work *w, struct external *x, const struct event *e, struct error *err) {
    struct sla *list = arena_alloc(w->a, (x->sla_count + 1) * sizeof *list);
    if (!list)
        return out_of_memory(err);
    if (x->sla_count)
        memcpy(list, x->slas, x->sla_count * sizeof *list);
    list[x->sla_count++] = (struct sla){.scenario = json_str_or(e->data, "scenario", ""), .criterion = e->kind,
                                        .detail = json_str_or(e->data, "detail", ""), .success = !strcmp(e->phase, "ok")};
    x->slas = list;
    return 0;
}

int externals_collect(struct work *w, struct error *err) {
    const json_t *loads = json_object_get(w->h->header, "loads");
    struct judgement *j = w->j;
    size_t i;
    json_t *spec;
    j->externals = arena_alloc(w->a, (w->load_count + 1) * sizeof *j->externals);
    if (!j->externals)
        return out_of_memory(err);
    json_array_foreach(loads, i, spec) {
        if (strcmp(json_str_or(spec, "kind", ""), "exec"))
            continue;
        j->externals[j->external_count++] = (struct external){
            .load = json_str_or(spec, "name", ""), .samples_format = json_str_or(spec, "samples", "none"),
            .pass_status = json_int_or(spec, "pass_status", 0), .fail_status = json_int_or(spec, "fail_status", 0),
            .from = UNKNOWN_NS, .to = UNKNOWN_NS,
        };
    }
    for (i = 0; i < w->h->event_count; i++) {
        const struct event *e = &w->h->events[i];
        struct external *x = !strcmp(e->op, "load/exit") || !strcmp(e->op, "load/sla") ? external_of(j, e->target) : NULL;
        if (x && !strcmp(e->op, "load/exit"))
            read_exit(x, e);
        else if (x && read_sla(w, x, e, err) < 0)
            return -1;
    }
    return 0;
}

/* "status 3", "signal 9". */
static const char *ending(struct work *w, const struct external *x) {
    const char *text = arena_printf(w->a, "%s %lld", x->signalled ? "signal" : "status", (long long)x->code);
    return text ? text : "an unknown status";
}

/* With the last line it wrote to its standard error, which mostly says why. */
static const char *with_words(struct work *w, const struct external *x, const char *text) {
    return text && x->last_words ? arena_printf(w->a, "%s Its last words: %s", text, x->last_words) : text;
}

/* More than one in a hundred of what it said was lost. */
static bool too_unreadable(const struct external *x) { return x->unreadable && x->unreadable * 100 > x->unreadable + x->samples; }

static bool displaced(const struct external *x) { return x->clock_step > STEP_MOST_NS && strcmp(x->samples_format, "none"); }

/* NULL, or why nothing can be concluded from it. */
static const char *trouble(struct work *w, const struct external *x) {
    char n[2][WORDS_SIZE], ms[WORDS_SIZE];
    if (!x->reported)
        return arena_printf(w->a, "The history does not tell how %s ended.", x->load);
    if (!x->started)
        return arena_printf(w->a, "%s could not be started: %s.", x->load, x->why ? x->why : "no reason given");
    if (x->killed)
        return arena_printf(w->a, "%s did not end when it was asked to, and was killed.", x->load);
    if (!x->asked && (x->signalled || x->code != x->pass_status))
        return with_words(w, x, arena_printf(w->a, "%s ended with %s after %s; status %lld was expected.", x->load, ending(w, x),
                                             words_ms((double)(x->to - x->from) / 1e6, ms), (long long)x->pass_status));
    if (x->no_samples)
        return arena_printf(w->a, "%s has no samples: %s.", x->load, x->no_samples);
    if (too_unreadable(x))
        return arena_printf(w->a, "%s of the %s lines of %s could not be read, the first is line %lld: %s.", words_count(x->unreadable, n[0]),
                            words_count(x->unreadable + x->samples, n[1]), x->load, (long long)x->unreadable_first,
                            x->unreadable_why ? x->unreadable_why : "no reason given");
    if (displaced(x))
        return arena_printf(w->a, "The wall clock was set by %s while %s ran: its samples, stamped by that clock, cannot be placed in time.",
                            words_ms((double)x->clock_step / 1e6, ms), x->load);
    return NULL;
}

const char *externals_displaced(struct work *w, const char *load) {
    const struct external *x = external_of(w->j, load);
    if (!x || !displaced(x))
        return NULL;
    const char *why = arena_printf(w->a, "%s cannot be placed in time, as the wall clock was set", load);
    return why ? why : "the wall clock was set";
}

static const char *passed(struct work *w, const struct external *x) {
    char n[WORDS_SIZE], ms[WORDS_SIZE];
    const char *samples = strcmp(x->samples_format, "none") ? arena_printf(w->a, ", %s samples", words_count(x->samples, n)) : "";
    return arena_printf(w->a, "%s %s %s after %s%s.", x->load, x->asked ? "was asked to end, and did with" : "ended with", ending(w, x),
                        words_ms((double)(x->to - x->from) / 1e6, ms), samples ? samples : "");
}

static int check_external(struct work *w, const struct external *x, struct error *err) {
    const char *name = arena_printf(w->a, "external(%s)", x->load);
    struct check_result *c = name ? check_add(w, name, err) : NULL;
    if (!c)
        return out_of_memory(err);
    if (x->started && !x->signalled && x->fail_status && x->code == x->fail_status)
        return settle(c, VERDICT_FAIL, arena_printf(w->a, "%s ended with status %lld: by its own word the service failed it.", x->load,
                                                    (long long)x->code), err);
    const char *why = trouble(w, x);
    return settle(c, why ? VERDICT_INCONCLUSIVE : VERDICT_PASS, why ? why : passed(w, x), err);
}

static int check_sla(struct work *w, const struct external *x, const struct sla *s, struct error *err) {
    const char *name = arena_printf(w->a, "sla(%s, %s)", x->load, s->criterion);
    struct check_result *c = name ? check_add(w, name, err) : NULL;
    if (!c)
        return out_of_memory(err);
    return settle(c, s->success ? VERDICT_PASS : VERDICT_FAIL,
                  arena_printf(w->a, "%s, %s: %s", x->load, *s->scenario ? s->scenario : "its own SLA",
                               *s->detail ? s->detail : s->success ? "passed" : "failed"), err);
}

int externals_check(struct work *w, struct error *err) {
    for (size_t i = 0; i < w->j->external_count; i++) {
        const struct external *x = &w->j->externals[i];
        int rc = check_external(w, x, err);
        for (size_t k = 0; k < x->sla_count && rc == 0; k++)
            rc = check_sla(w, x, &x->slas[k], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
