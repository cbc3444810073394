/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a load wrote and was told to be kept, so that it can be asked for again. Entries are numbered from 1 by their planned request;
 * key and value are a pure function of the number. It costs two bits an entry (250 KB a million), and nothing else grows with the run. */
#include "load/load.h"

#include <stdbool.h>

struct ledger_spec { int64_t limit_ns, timeout_ns, concurrency, recent; };

/* Rows for the shape of a kind that keeps a ledger: struct s has a struct ledger_spec as its member m. */
#define LEDGER_FIELDS(s, m)                                                                                                           \
    {.name = "limit", .type = F_DURATION, .offset = offsetof(s, m.limit_ns), .def = "30s", .min = NS_PER_MS, .max = 24 * 3600 * NS_PER_S,     \
     .doc = "How long the reading back at the end may take; what was not answered by then is unknown, and so is the verdict."},       \
    {.name = "timeout", .type = F_DURATION, .offset = offsetof(s, m.timeout_ns), .def = "2s", .min = NS_PER_MS, .max = 3600 * NS_PER_S,   \
     .doc = "How long one answer may take; then it is asked for again."},                                                             \
    {.name = "concurrency", .type = F_INT, .offset = offsetof(s, m.concurrency), .def = "16", .min = 1, .max = 1000,                  \
     .doc = "Reads under way at once."},                                                                                              \
    {.name = "recent", .type = F_INT, .offset = offsetof(s, m.recent), .def = "1000", .min = 1, .max = 100000,                        \
     .doc = "How many of the latest acknowledged entries are read after the recovery of each fault; at the end it is all of them."}

/* Entries that are of no interest any more, or never were: none. */
enum ledger_state { LEDGER_NONE, LEDGER_KEPT, LEDGER_MISSED, LEDGER_OPEN };
/* KEPT: acknowledged. MISSED: acknowledged, and not there once when asked. OPEN: sent, without a good answer. */

enum { LEDGER_TEXT = 48 };

int ledger_new(const struct ledger_spec *spec, const struct load_context *ctx, struct ledger **ret, struct error *err);
void ledger_free(struct ledger *g); /* NULL-safe */
const struct ledger_spec *ledger_spec(const struct ledger *g);
void ledger_key(const struct ledger *g, uint32_t entry, char out[LEDGER_TEXT]);   /* of [a-z0-9-], as URLs and most stores take it */
void ledger_value(const struct ledger *g, uint32_t entry, char out[LEDGER_TEXT]);
uint32_t ledger_entry(const struct ledger *g, uint64_t index); /* of the request with that index; 0: g is NULL, or it has no more numbers */
/* To be told of every sample as it is recorded; NULL-safe. */
void ledger_note(struct ledger *g, const struct sample *s);

uint32_t ledger_top(const struct ledger *g); /* the highest entry noted */
bool ledger_broken(const struct ledger *g);  /* memory ran out: it does not know all that was acknowledged */
enum ledger_state ledger_get(const struct ledger *g, uint32_t entry);
void ledger_set(struct ledger *g, uint32_t entry, enum ledger_state state);
/* From now on: has the load been served for good, by that many goods in a row over that time, all started at since (run's clock) or later? */
void ledger_watch(struct ledger *g, int64_t since_ns, int64_t goods, int64_t over_ns);
bool ledger_served(const struct ledger *g);
