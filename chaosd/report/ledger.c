/* SPDX-License-Identifier: Apache-2.0 */
#include "report/ledger.h"

#include "base/json.h"
#include "check/words.h"

void ledger_rpo(const struct ledger_figures *f, int64_t *ret_least, int64_t *ret_most) {
    *ret_least = *ret_most = f->read ? 0 : UNKNOWN_NS;
    for (size_t i = 0; i < f->loss_count; i++) {
        const struct ledger_loss *l = &f->losses[i];
        *ret_least = l->rpo_min > *ret_least ? l->rpo_min : *ret_least;
        *ret_most = l->rpo_max > *ret_most ? l->rpo_max : *ret_most;
    }
    if (f->unknown || f->truncated)
        *ret_most = UNKNOWN_NS;
}

static json_t *known(const struct ledger_figures *f, int64_t n) { return f->read ? json_integer((json_int_t)n) : json_null(); }

static json_t *rpo_json(int64_t least, int64_t most) { return json_pack("{s:o, s:o}", "min", json_ms(least), "max", json_ms(most)); }

static json_t *loss_json(const struct judgement *j, const struct ledger_loss *l) {
    return json_pack("{s:o, s:o, s:I, s:o, s:o, s:o}", "fault", l->act < 0 ? json_null() : json_string(j->acts[l->act].fault), "act",
                     l->act < 0 ? json_null() : json_integer(l->act), "lost", (json_int_t)l->lost, "first_ms", json_ms(l->first), "last_ms",
                     json_ms(l->last), "rpo_ms", rpo_json(l->rpo_min, l->rpo_max));
}

static json_t *load_json(const struct judgement *j, const struct ledger_figures *f) {
    json_t *losses = json_array();
    int64_t least, most;
    for (size_t i = 0; i < f->loss_count; i++)
        json_array_append_new(losses, loss_json(j, &f->losses[i]));
    ledger_rpo(f, &least, &most);
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "load", f->load, "written", (json_int_t)f->written,
                     "acknowledged", (json_int_t)f->acknowledged, "lost", known(f, f->lost), "stale", known(f, f->stale), "unknown",
                     (json_int_t)f->unknown, "other_value", known(f, f->other), "recovered", known(f, f->recovered), "rpo_ms",
                     rpo_json(least, most), "why", f->why ? json_string(f->why) : json_null(), "losses", losses, "lost_keys",
                     f->keys ? json_deep_copy(f->keys) : json_array());
}

json_t *ledger_json(const struct judgement *j) {
    struct ledger_figures all = {.read = true};
    json_t *loads = json_array();
    int64_t least = 0, most = 0;
    for (size_t i = 0; i < j->ledger_count; i++) {
        const struct ledger_figures *f = &j->ledgers[i];
        int64_t a, b;
        all.read &= f->read;
        all.acknowledged += f->acknowledged;
        all.lost += f->lost;
        all.stale += f->stale;
        all.unknown += f->unknown;
        all.recovered += f->recovered;
        ledger_rpo(f, &a, &b);
        least = a == UNKNOWN_NS || a > least ? a : least;
        most = most == UNKNOWN_NS || b == UNKNOWN_NS ? UNKNOWN_NS : b > most ? b : most;
        if (json_array_append_new(loads, load_json(j, f)) < 0) {
            json_decref(loads);
            return NULL;
        }
    }
    if (!j->ledger_count) /* no load keeps a ledger: unknown, which is not "nothing lost" */
        return json_pack("{s:n, s:n, s:n, s:o}", "acknowledged", "lost", "stale", "loads", loads);
    return json_pack("{s:I, s:o, s:o, s:I, s:o, s:o, s:o}", "acknowledged", (json_int_t)all.acknowledged, "lost", known(&all, all.lost), "stale",
                     known(&all, all.stale), "unknown", (json_int_t)all.unknown, "recovered", known(&all, all.recovered), "rpo_ms",
                     rpo_json(all.read ? least : UNKNOWN_NS, all.read ? most : UNKNOWN_NS), "loads", loads);
}

void ledger_loss_words(const struct judgement *j, const struct ledger_loss *l, struct buf *out) {
    double zero = (double)(j->schedule_t == UNKNOWN_NS ? 0 : j->schedule_t);
    char n[WORDS_SIZE], min[WORDS_SIZE], max[WORDS_SIZE];
    buf_printf(out, "%s lost: acknowledged between %.2f s and %.2f s, %s..%s", words_count(l->lost, n), ((double)l->first - zero) / 1e9,
               ((double)l->last - zero) / 1e9, words_ms_bare(words_ns_ms(l->rpo_min), min), words_ms(words_ns_ms(l->rpo_max), max));
}
