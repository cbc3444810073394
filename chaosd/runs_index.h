/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Stored runs of a folder. The folders are the truth; DIR/.index.sqlite only remembers what their summaries said, by their stamps,
 * so that a thousand runs are not read again each time. */
#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run_row {
    const char *folder; /* its name in DIR */
    const char *scenario, *seed, *verdict, *why; /* NULL: not known; verdict NULL: never judged (running, or killed) */
    int64_t wall_ns;             /* start; 0: not known */
    double availability;         /* of 1, of the worst load, by requests; NaN: not known */
    double downtime_ms;          /* the longest window of any load, its upper end; 0: none; NaN: not known */
    bool downtime_open;          /* one never closed: downtime_ms is at least that long */
};

struct runs {
    struct run_row *rows; /* newest first */
    size_t count;
    char *note;           /* why the index was not used, or NULL */
    struct arena *arena;  /* private */
};

/* rebuild: forgets the index first. Trouble with the index is no error but a note; -ENOENT: there is no such folder. */
int runs_list(const char *dir, bool rebuild, struct runs *ret, struct error *err);
void runs_free(struct runs *r);
/* Brings the index up to date with one run's folder; where create is false only if there is an index. Best effort. */
void runs_index_add(const char *dir, const char *folder, bool create);
