/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What run, plan and check share: a scenario opened with every kind there is and checked by them, secrets, seed and plan. */
#include "cmd.h"
#include "scenario/plan.h"

enum { DRILL_MAX_SETTINGS = 64 };

struct drill_options { /* filled by DRILL_OPTIONS rows */
    struct option_strings set, set_secret;
    const char *seed;
};
#define DRILL_OPTIONS(base)                                                                                                           \
    {"seed", 0, OPT_STRING, (base) + offsetof(struct drill_options, seed), "N", "Seed of the plan and of every random draw (default: a fresh one, printed)."},  \
        {"set", 0, OPT_STRINGS, (base) + offsetof(struct drill_options, set), "NAME=VALUE", "Sets a parameter that the scenario declares; repeatable."},        \
        {"set-secret", 0, OPT_STRINGS, (base) + offsetof(struct drill_options, set_secret), "NAME=VALUE",                                                       \
         "Sets a secret; NAME=@FILE reads it. Else from CHAOSD_SECRET_<NAME>. Never stored."}

struct drill {
    struct scenario *scenario;
    struct plan plan;
    struct setting secrets[DRILL_MAX_SETTINGS];
    size_t secret_count;
    const char **unable; /* for each fault why this machine cannot do it, or NULL; filled by drill_preflight */
    struct arena *arena; /* of the settings */
};

/* Errors carry their position; EXIT_USAGE is the fitting exit code for all of them but -ENOMEM. */
int drill_open(const char *path, const struct drill_options *o, struct drill *ret, struct error *err);
void drill_close(struct drill *d); /* NULL-safe on its parts */
/* What the kinds have to say of it; part of drill_open. drill_check.c */
int drill_check(const struct scenario *s, struct error *err);
/* Can it run here: one line a fact on stdout ("ok"/"no" and the reason); returns the first failure, with its text in err.
 * A fault that this machine cannot do is skipped by the run, and a failure only if strict. */
int drill_preflight(struct drill *d, bool strict, bool print, struct error *err);
/* Does the cluster allow what the scenario will do? Asks it, where there is one to ask, and prints as drill_preflight does; what is to be
 * added is printed last. */
int drill_access(struct drill *d, struct error *err);
/* The plan, for people, with the candidates that are declared and whom the draw would take of them all. */
void drill_print_plan(const struct drill *d);
