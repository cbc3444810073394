/* SPDX-License-Identifier: Apache-2.0 */
#include "report/external.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "check/words.h"

#include <inttypes.h>
#include <string.h>

static void say_end(const struct external *x, struct buf *out) {
    char ms[WORDS_SIZE];
    if (!x->reported)
        buf_str(out, "how it ended is not known");
    else if (!x->started)
        buf_printf(out, "could not be started%s%s", x->why ? ": " : "", x->why ? x->why : "");
    else
        buf_printf(out, "%s %" PRId64 " after %s%s", x->signalled ? "signal" : "status", x->code, words_ms((double)(x->to - x->from) / 1e6, ms),
                   x->killed ? ", killed as it did not end when asked to" : x->asked ? ", asked to end" : "");
}

void external_say(const struct external *x, struct buf *out) {
    char n[WORDS_SIZE];
    buf_printf(out, "%s: ", x->load);
    say_end(x, out);
    if (strcmp(x->samples_format, "none"))
        buf_printf(out, "; %s sample%s", words_count(x->samples, n), x->samples == 1 ? "" : "s");
    if (x->no_samples)
        buf_printf(out, "; %s", x->no_samples);
    if (x->unreadable) {
        buf_printf(out, "; %s line%s unreadable", words_count(x->unreadable, n), x->unreadable == 1 ? "" : "s");
        buf_printf(out, ", the first is line %s%s%s", words_count(x->unreadable_first, n), x->unreadable_why ? ": " : "",
                   x->unreadable_why ? x->unreadable_why : "");
    }
    if (x->left)
        buf_printf(out, "; %s of its processes outlived it and were killed", words_count(x->left, n));
    if (x->cut)
        buf_str(out, "; its log is cut at 16 MiB");
    if (x->started)
        buf_printf(out, "; logs/%s.out, logs/%s.err", x->load, x->load);
}

static json_t *slas_json(const struct external *x) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < x->sla_count; i++) {
        const struct sla *s = &x->slas[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s}", "scenario", s->scenario, "criterion", s->criterion, "success", s->success,
                                              "detail", s->detail));
    }
    return list;
}

static json_t *external_json(const struct external *x) {
    const struct { const char *key; json_t *value; } members[] = {
        {"load", json_string(x->load)},
        {"format", json_string(x->samples_format)},
        {"started", x->reported ? json_boolean(x->started) : json_null()},
        {"from_ms", json_ms(x->from)},
        {"to_ms", json_ms(x->to)},
        {"status", x->started && !x->signalled ? json_integer(x->code) : json_null()},
        {"signal", x->started && x->signalled ? json_integer(x->code) : json_null()},
        {"asked_to_end", json_boolean(x->asked)},
        {"killed", json_boolean(x->killed)},
        {"left_running", json_integer(x->left)},
        {"samples", x->reported ? json_integer(x->samples) : json_null()},
        {"unreadable", x->reported ? json_integer(x->unreadable) : json_null()},
        {"unreadable_first", x->unreadable ? json_integer(x->unreadable_first) : json_null()},
        {"unreadable_why", json_string_or_null(x->unreadable_why)},
        {"no_samples", json_string_or_null(x->no_samples)},
        {"log_cut", json_boolean(x->cut)},
        {"clock_step_ms", json_ms(x->clock_step)},
        {"why", json_string_or_null(x->why)},
        {"last_words", json_string_or_null(x->last_words)},
        {"sla", slas_json(x)},
    };
    json_t *o = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        json_object_set_new(o, members[i].key, members[i].value);
    return o;
}

json_t *externals_json(const struct judgement *j) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < j->external_count; i++)
        json_array_append_new(list, external_json(&j->externals[i]));
    return list;
}
