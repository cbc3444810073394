/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The undo journal: what must be undone if nobody comes back. One folder a run under the state folder
 * (/var/lib/chaosd; of a user that is not root $XDG_STATE_HOME/chaosd or ~/.local/state/chaosd; or $CHAOSD_STATE_DIR), holding undo.jsonl,
 * lock and perhaps ready. A record is on disk (fsync) before the act that it undoes; a run's folder goes when all its records are done. The lock is held (flock) as long as the run lives. */
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

const char *journal_state_dir(void);
/* run: a name fit for a folder. Takes the run's lock. */
int journal_open(const char *run, struct journal **ret, struct error *err);
/* {"kind": "...", ...} -> its number. undo is borrowed. Durable on return. */
int journal_add(struct journal *j, const json_t *undo, int64_t *ret_id, struct error *err);
int journal_done(struct journal *j, int64_t id, struct error *err);
bool journal_clean(const struct journal *j); /* nothing left to undo */
/* A file beside it that says that its holder is at work; it is taken away with the folder. What one that died left says nothing: take it away first. */
int journal_mark_ready(struct journal *j, bool ready, struct error *err);
bool journal_is_ready(const char *run); /* takes no lock */
/* Removes the folder when clean; releases the lock; frees. NULL-safe. */
int journal_close(struct journal *j, struct error *err);

/* Opens a run that is over. -EBUSY: it is alive (its lock is held). -ENOENT: unknown. A torn last line is ignored. */
int journal_reopen(const char *run, bool force, struct journal **ret, struct error *err);
/* Undo records not done, newest first: they are undone in reverse. Borrowed. */
size_t journal_pending(const struct journal *j, int64_t *ids, const json_t **undos, size_t max);
/* Names of the runs in the state folder, sorted; free each and the array. */
int journal_runs(char ***ret, size_t *ret_count, struct error *err);
