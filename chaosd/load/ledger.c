/* SPDX-License-Identifier: Apache-2.0 */
#include "load/ledger.h"
#include "load/unique.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 4096, STATES_A_BYTE = 4 };

struct ledger {
    struct ledger_spec spec;
    uint64_t key;
    uint16_t load;
    uint8_t *states; /* two bits an entry */
    size_t cap;      /* bytes */
    uint32_t top;
    bool broken;
    int64_t since_ns, goods, over_ns; /* what is watched for; goods 0: nothing */
    int64_t streak, first_end;        /* goods in a row, and the end of their first */
    bool served;
};

int ledger_new(const struct ledger_spec *spec, const struct load_context *ctx, struct ledger **ret, struct error *err) {
    struct ledger *g = calloc(1, sizeof *g);
    if (!g)
        return error_set(err, -ENOMEM, "out of memory");
    *g = (struct ledger){.spec = *spec, .key = unique_key(ctx), .load = ctx->index};
    *ret = g;
    return 0;
}

void ledger_free(struct ledger *g) {
    if (!g)
        return;
    free(g->states);
    free(g);
}

const struct ledger_spec *ledger_spec(const struct ledger *g) { return &g->spec; }

static uint64_t id(const struct ledger *g, uint32_t entry) { return unique_id(g->key, g->load, (uint64_t)entry - 1); }

void ledger_key(const struct ledger *g, uint32_t entry, char out[LEDGER_TEXT]) {
    snprintf(out, LEDGER_TEXT, "chaosd-%016" PRIx64, id(g, entry));
}

/* Not the key over again: a store that gives back what it was asked for must not pass. */
void ledger_value(const struct ledger *g, uint32_t entry, char out[LEDGER_TEXT]) {
    snprintf(out, LEDGER_TEXT, "%" PRIu32 "-%016" PRIx64, entry, ~id(g, entry));
}

uint32_t ledger_entry(const struct ledger *g, uint64_t index) { return g && index < UINT32_MAX ? (uint32_t)index + 1 : 0; }

static bool reach(struct ledger *g, uint32_t entry) {
    size_t need = (size_t)entry / STATES_A_BYTE + 1, cap = g->cap ? g->cap : FIRST_BYTES;
    while (cap < need)
        cap *= 2;
    uint8_t *p = cap > g->cap ? realloc(g->states, cap) : g->states;
    if (!p)
        return false;
    if (cap > g->cap)
        memset(p + g->cap, 0, cap - g->cap);
    g->states = p;
    g->cap = cap;
    return true;
}

static void note_streak(struct ledger *g, const struct sample *s) {
    if (s->outcome == OUTCOME_UNSENT_STALL || s->start_ns < g->since_ns)
        return;
    if (s->outcome != OUTCOME_GOOD) {
        g->streak = 0;
        return;
    }
    if (!g->streak++)
        g->first_end = s->end_ns;
    g->served |= g->goods && g->streak >= g->goods && s->end_ns - g->first_end >= g->over_ns;
}

void ledger_note(struct ledger *g, const struct sample *s) {
    if (!g || !s->entry)
        return;
    note_streak(g, s);
    if (s->outcome != OUTCOME_GOOD && s->outcome != OUTCOME_BAD)
        return;
    if (!reach(g, s->entry)) {
        g->broken = true;
        return;
    }
    if (s->entry > g->top)
        g->top = s->entry;
    ledger_set(g, s->entry, s->outcome == OUTCOME_GOOD ? LEDGER_KEPT : LEDGER_OPEN);
}

uint32_t ledger_top(const struct ledger *g) { return g->top; }
bool ledger_broken(const struct ledger *g) { return g->broken; }

enum ledger_state ledger_get(const struct ledger *g, uint32_t entry) {
    if (entry > g->top)
        return LEDGER_NONE;
    return (enum ledger_state)(g->states[entry / STATES_A_BYTE] >> entry % STATES_A_BYTE * 2 & 3);
}

void ledger_set(struct ledger *g, uint32_t entry, enum ledger_state state) {
    if (entry > g->top)
        return;
    uint8_t *byte = &g->states[entry / STATES_A_BYTE];
    unsigned shift = entry % STATES_A_BYTE * 2;
    *byte = (uint8_t)((*byte & ~(3u << shift)) | (unsigned)state << shift);
}

void ledger_watch(struct ledger *g, int64_t since_ns, int64_t goods, int64_t over_ns) {
    g->since_ns = since_ns;
    g->goods = goods;
    g->over_ns = over_ns;
    g->streak = 0;
    g->served = false;
}

bool ledger_served(const struct ledger *g) { return g->served; }
