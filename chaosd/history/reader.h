/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads a stored run. A torn last line or record is left out and said so; anything else that is off is an error with its line. */
#include "base/error.h"
#include "history/event.h"

#include <stdbool.h>
#include <stddef.h>

struct event {
    int64_t seq, t;
    const char *actor, *op, *phase, *kind, *target; /* never NULL; borrowed from json */
    const json_t *data;                             /* object, never NULL */
    json_t *json;
};

struct history {
    char *dir;
    json_t *header;
    struct event *events; /* by seq, from 0 without a gap */
    size_t event_count;
    const struct sample *samples; /* mapped; in order of completion */
    size_t sample_count;
    bool torn;
    void *map; /* private */
    size_t map_len;
    json_t *none; /* private: the data of events that have none */
};

int history_load(const char *dir, struct history **ret, struct error *err);
void history_free(struct history *h); /* NULL-safe */
