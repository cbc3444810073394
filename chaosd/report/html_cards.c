/* SPDX-License-Identifier: Apache-2.0 */
/* One card a fault: who was hit and why that one, what its users noticed, what the pods' logs say. */
#include "base/cleanup.h"
#include "base/json.h"
#include "report/effect.h"
#include "report/html_model.h"
#include "report/worst.h"

#include <string.h>

enum { CARDS_MOST = 200, CANDIDATES_MOST = 50, EVIDENCE_BYTES = 1 << 20, WINDOWS_MOST = 8, SIGHTINGS_MOST = 5000, NOTE_MOST = 400 };

void page_choose_cards(struct page *p) {
    cleanup_free size_t *chosen = worst_acts(p->j, CARDS_MOST, &p->card_count);
    p->cards = chosen ? arena_alloc(p->a, (p->card_count + 1) * sizeof *p->cards) : NULL;
    if (!p->cards) {
        p->failed = true;
        return;
    }
    memcpy(p->cards, chosen, p->card_count * sizeof *p->cards);
}

/* The event that says how each card's victim was found: its invocation, or the skip. By card; NULL where there is none. */
static const struct event **selections(struct page *p) {
    const struct history *h = p->j->history;
    const struct event **list = arena_alloc(p->a, (p->card_count + 1) * sizeof *list);
    cleanup_json json_t *card_of = json_object();
    char key[32];
    if (!list || !card_of)
        return NULL;
    for (size_t i = 0; i < p->card_count; i++) {
        snprintf(key, sizeof key, "%" JSON_INTEGER_FORMAT, (json_int_t)p->j->acts[p->cards[i]].id);
        json_object_set_new(card_of, key, json_integer((json_int_t)i));
    }
    for (size_t i = 0; i < h->event_count; i++) {
        const struct event *e = &h->events[i];
        if (strcmp(e->op, "fault/act") || !json_is_integer(json_object_get(e->data, "id")))
            continue;
        snprintf(key, sizeof key, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(e->data, "id")));
        int64_t at = json_int_or(card_of, key, -1);
        if (at >= 0 && (!list[at] || !strcmp(e->phase, "invoke") || !json_object_get(list[at]->data, "draw")))
            list[at] = e;
    }
    return list;
}

static void put_selection(struct page *p, const struct event *e) {
    struct jw *w = &p->w;
    size_t i, n = json_array_size(json_object_get(e->data, "candidates"));
    json_t *name;
    jw_begin(jw_key(w, "candidates"), '[');
    json_array_foreach(json_object_get(e->data, "candidates"), i, name)
        if (i < CANDIDATES_MOST && json_is_string(name))
            jw_text(w, json_string_value(name));
    jw_end(w, ']');
    jw_int(jw_key(w, "candidate_count"), (int64_t)n);
    jw_text(jw_key(w, "draw"), json_str_or(e->data, "draw", NULL));
    jw_text(jw_key(w, "role"), json_str_or(e->data, "role", NULL));
    jw_text(jw_key(w, "guard"), json_str_or(e->data, "guard", NULL));
    jw_key(w, "planned");
    page_time(p, json_int_or(e->data, "planned_ns", UNKNOWN_NS));
    jw_ms(jw_key(w, "for"), json_int_or(e->data, "for_ns", UNKNOWN_NS));
    jw_json(jw_key(w, "pid"), json_object_get(e->data, "pid"));
}

static void put_role(struct page *p, const struct act_figures *f) {
    struct jw *w = &p->w;
    jw_text(jw_key(w, "role_before"), f->role_before);
    jw_text(jw_key(w, "role_after"), f->role_after);
    jw_ms(jw_key(w, "role_after_at"), f->role_after_at);
    jw_json(jw_key(w, "data_before"), f->role_before_data);
    jw_json(jw_key(w, "data_after"), f->role_after_data);
    jw_begin(jw_key(w, "marks"), '[');
    for (size_t i = 0; i < f->mark_count; i++) {
        jw_begin(w, '[');
        jw_ms(w, f->marks[i].at);
        jw_text(w, f->marks[i].name);
        jw_text(w, f->marks[i].pod);
        jw_end(w, ']');
    }
    jw_end(w, ']');
}

static void put_window(struct page *p, const struct lane_figures *f, const struct downtime *d, int act) {
    struct jw *w = &p->w;
    jw_begin(w, '[');
    jw_text(w, f->load);
    jw_ms(w, d->min);
    jw_ms(w, d->point);
    jw_ms(w, d->max);
    jw_int(w, d->bad);
    jw_bool(w, d->stalled);
    jw_int(w, d->slow);
    page_shared(p, d, act);
    jw_text(w, d->suspect);
    jw_ms(w, d->start - p->j->acts[act].at);
    jw_ms(w, d->end == UNKNOWN_NS ? UNKNOWN_NS : d->end - p->j->acts[act].at);
    jw_end(w, ']');
}

static void put_note(struct jw *w, const char *s) {
    if (s)
        jw_text_n(w, s, strnlen(s, NOTE_MOST));
    else
        jw_null(w);
}

/* What the control plane said. Nothing where none was followed. room: how many all cards may still have. */
static void put_timeline(struct page *p, const struct act_figures *f, size_t *room) {
    struct jw *w = &p->w;
    size_t n = f->timeline_count < *room ? f->timeline_count : *room;
    if (!f->timeline_count && !f->not_reached_count)
        return;
    *room -= n;
    jw_begin(jw_key(w, "timeline"), '[');
    for (size_t i = 0; i < n; i++) {
        const struct sighting *m = &f->timeline[i];
        jw_begin(w, '[');
        jw_text(w, m->what);
        jw_ms(w, m->at);
        jw_ms(w, m->from);
        jw_text(w, m->object);
        jw_text(w, m->stamp);
        put_note(w, m->note);
        jw_bool(w, m->late);
        jw_end(w, ']');
    }
    jw_end(w, ']');
    jw_int(jw_key(w, "timeline_left_out"), (int64_t)(f->timeline_left_out + f->timeline_count - n));
    jw_begin(jw_key(w, "not_reached"), '[');
    for (size_t i = 0; i < f->not_reached_count; i++) {
        jw_begin(w, '[');
        jw_text(w, f->not_reached[i].what);
        jw_text(w, f->not_reached[i].object);
        put_note(w, f->not_reached[i].why);
        jw_end(w, ']');
    }
    jw_end(w, ']');
}

/* The windows of each load that this act has a part in. Of degradations, those that are more than their downtime. */
static void put_windows(struct page *p, int act) {
    for (int slow = 0; slow < 2; slow++) {
        size_t n = 0;
        jw_begin(jw_key(&p->w, slow ? "degradation" : "windows"), '[');
        for (size_t i = 0; i < p->j->lane_count; i++) {
            const struct lane_figures *f = &p->j->lanes[i];
            const struct downtime *list = slow ? f->degradation : f->downtime;
            size_t count = f->lane >= 0 || f->target || f->control ? 0 : slow ? f->degradation_count : f->downtime_count;
            for (size_t k = 0; k < count; k++)
                if (downtime_of(&list[k], act) && (!slow || list[k].slow) && n++ < WINDOWS_MOST)
                    put_window(p, f, &list[k], act);
        }
        jw_end(&p->w, ']');
    }
}

/* What each load lost to this act. */
static void put_losses(struct page *p, size_t act) {
    struct jw *w = &p->w;
    jw_begin(jw_key(w, "losses"), '[');
    for (size_t i = 0; i < p->j->ledger_count; i++)
        for (size_t k = 0; k < p->j->ledgers[i].loss_count; k++) {
            const struct ledger_loss *l = &p->j->ledgers[i].losses[k];
            if (l->act != (int)act)
                continue;
            jw_begin(w, '[');
            jw_text(w, p->j->ledgers[i].load);
            jw_int(w, l->lost);
            page_time(p, l->first);
            page_time(p, l->last);
            jw_ms(w, l->rpo_min);
            jw_ms(w, l->rpo_max);
            jw_end(w, ']');
        }
    jw_end(w, ']');
}

static void put_milestones(struct page *p, const struct act_figures *f) {
    struct jw *w = &p->w;
    const struct { const char *key; int64_t ns; } rows[] = {
        {"detect", f->detect}, {"first_good", f->first_good}, {"sustained", f->sustained},
        {"redundancy", f->redundancy}, {"at_least", f->at_least},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        jw_ms(jw_key(w, rows[i].key), rows[i].ns);
    jw_ms(jw_key(w, "observed_after"), f->observed && f->acted ? f->observed_at - f->at : UNKNOWN_NS);
    jw_ms(jw_key(w, "reverted_after"), f->reverted && f->acted ? f->reverted_at - f->at : UNKNOWN_NS);
}

/* Only what is true is said: there may be many acts. */
static void put_flags(struct page *p, const struct act_figures *f) {
    const struct { const char *key; bool on; } rows[] = {
        {"acted", f->acted}, {"skipped", f->skipped}, {"observed", f->observed}, {"holds", f->holds}, {"reverted", f->reverted},
        {"stuck", f->stuck}, {"unclear", f->unclear}, {"noticed", f->noticed}, {"censored", f->censored}, {"stalled", f->stalled},
        {"suspect", f->suspect != NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].on)
            jw_bool(jw_key(&p->w, rows[i].key), true);
}

/* Of a network fault; only what there is. */
static void put_effect(struct page *p, const struct act_figures *f) {
    cleanup_buf struct buf line = {0};
    if (effect_say(f, &line))
        jw_text(jw_key(&p->w, "effect"), buf_ok(&line) ? line.data : NULL);
    if (f->trouble)
        jw_text(jw_key(&p->w, "trouble"), f->trouble);
    if (f->acted && !f->observed && act_unseen_why(f))
        jw_text(jw_key(&p->w, "unseen"), act_unseen_why(f));
    if (f->revert_why)
        jw_text(jw_key(&p->w, "revert_why"), f->revert_why);
    if (f->unable)
        jw_bool(jw_key(&p->w, "unable"), true);
}

static void put_lines(struct page *p, const struct evidence *e, size_t *budget) {
    struct jw *w = &p->w;
    jw_begin(jw_key(w, "log"), '[');
    for (size_t i = 0; i < e->count; i++) {
        size_t len = strlen(e->lines[i].text);
        if (len > *budget)
            break;
        *budget -= len;
        jw_begin(w, '[');
        jw_ms(w, e->lines[i].at);
        jw_text(w, e->lines[i].pod);
        jw_text(w, e->lines[i].text);
        jw_end(w, ']');
    }
    jw_end(w, ']');
}

void page_cards(struct page *p) {
    struct evidence *evidence = page_evidence(p);
    const struct event **events = selections(p);
    size_t budget = EVIDENCE_BYTES, room = SIGHTINGS_MOST;
    if (!evidence || !events) {
        p->failed = true;
        return;
    }
    jw_begin(jw_key(&p->w, "cards"), '[');
    for (size_t i = 0; i < p->card_count; i++) {
        const struct act_figures *f = &p->j->acts[p->cards[i]];
        jw_begin(&p->w, '{');
        jw_int(jw_key(&p->w, "act"), (int64_t)p->cards[i]);
        jw_text(jw_key(&p->w, "fault"), f->fault);
        jw_text(jw_key(&p->w, "kind"), f->kind);
        jw_text(jw_key(&p->w, "target"), *f->target ? f->target : NULL);
        jw_int(jw_key(&p->w, "occurrence"), f->occurrence);
        jw_key(&p->w, "at");
        page_time(p, f->at);
        jw_text(jw_key(&p->w, "why"), f->why);
        put_flags(p, f);
        put_effect(p, f);
        put_milestones(p, f);
        put_role(p, f);
        if (events[i])
            put_selection(p, events[i]);
        put_windows(p, (int)p->cards[i]);
        put_losses(p, p->cards[i]);
        put_timeline(p, f, &room);
        put_lines(p, &evidence[i], &budget);
        jw_end(&p->w, '}');
    }
    jw_end(&p->w, ']');
    jw_int(jw_key(&p->w, "cards_left_out"), (int64_t)(p->j->act_count - p->card_count));
}
