/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes a run down. Buffered; recorder_sync puts everything on disk, as is done before every act. The first failure is
 * kept: later calls do nothing and recorder_error tells it, so that a full disk ends in a reverted, inconclusive run. */
#include "base/clock.h"
#include "base/error.h"
#include "history/event.h"

struct recorder;

/* dir exists. header becomes the first line, with "schema", "wall_ns" and "mono_ns" added. The run's clock starts here. header is borrowed. */
int recorder_open(struct recorder **ret, const char *dir, json_t *header, const struct clock *clock, struct error *err);
int64_t recorder_now(const struct recorder *r);                  /* ns since the run's start */
int64_t recorder_from_monotonic(const struct recorder *r, int64_t mono_ns);
/* data is stolen and may be NULL; target and kind may be NULL. Returns the sequence number. */
int64_t recorder_event(struct recorder *r, const char *actor, const char *op, const char *phase, const char *kind, const char *target, json_t *data);
int64_t recorder_event_at(struct recorder *r, int64_t t, const char *actor, const char *op, const char *phase, const char *kind, const char *target, json_t *data);
void recorder_sample(struct recorder *r, const struct sample *s);
int recorder_flush(struct recorder *r, struct error *err);       /* to the kernel */
int recorder_sync(struct recorder *r, struct error *err);        /* to the disk */
int recorder_error(const struct recorder *r, struct error *err); /* 0, or the first failure */
/* Called for every event as it is written, for progress lines and live views. data is borrowed. */
void recorder_listen(struct recorder *r, void (*fn)(const json_t *event, void *arg), void *arg);
/* Called for every sample as it is recorded, at the load's full rate: it must be cheap. */
void recorder_listen_samples(struct recorder *r, void (*fn)(const struct sample *s, void *arg), void *arg);
int64_t recorder_samples(const struct recorder *r);              /* recorded so far */
int recorder_close(struct recorder *r, struct error *err);       /* NULL-safe, frees in any case */
