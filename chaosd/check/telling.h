/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One act's timeline while it is made: timeline.c and timeline_pods.c. */
#include "check/scope.h"

#include <string.h>

struct telling {
    const struct work *w;
    const struct objects *o;
    const struct scope *s;
    struct act_figures *f;
    struct sighting *list;
    struct missing *missing;
    size_t count, cap, missing_count, missing_cap;
    bool open;            /* something has begun and not ended */
    struct places served; /* workloads of victims whose address stood behind a Service */
    int64_t last;         /* of what the pods did; on the run's clock */
    bool failed;          /* out of memory */
};

static inline const struct event *event_at(const struct telling *t, size_t i) { return &t->w->h->events[i]; }
static inline const char *filled(const char *s) { return s && *s ? s : NULL; }
static inline bool is_gap(const struct event *e) { return !strcmp(e->kind, "gap"); }

/* Whether a watch of that resource tells of such events. A gap that names none is one of all. */
bool telling_follows(const char *resource, const char *op);
/* Adds what an event shows, once each object and note, from the place `since` in the list on. */
void telling_add(struct telling *t, const struct event *e, size_t since, const char *what, const char *object, const char *note);
/* The same of an Event of the API, where it is notable: warnings, and what tells of a pod's end; of each reason the first. */
void telling_add_api(struct telling *t, const struct event *e, size_t since);
/* timeline_pods.c: victims and their replacements, and what they lack. */
void telling_pods(struct telling *t);

/* What is missing of one object: the first says why. */
struct chain {
    struct telling *t;
    const char *object;
    const struct places *events; /* its own, for a reason */
    const char *why;             /* known beforehand, or NULL */
    bool told;
};
void telling_lacks(struct chain *c, bool is_missing, const char *what, const char *reason); /* reason: of an Event that explains it; NULL: any warning */
