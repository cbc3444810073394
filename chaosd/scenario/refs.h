/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The ${...} in a scenario's scalars. An un-dotted name is a declared parameter and is filled in when the scenario is
 * loaded; a dotted one is known only during the run and stays, if it is one there can be. "$${" is a literal "${". */
#include "base/buf.h"
#include "scenario/doc.h"
#include "scenario/scenario.h"

struct ref {
    const char *start, *end; /* "${" up to and with "}" */
    char name[128];          /* without filter */
    bool filtered;
    bool open;               /* no "}" follows; end is the text's end */
};

/* The next reference from *cursor on; false at the end of the text. Names that are too long are cut off. */
bool ref_next(const char **cursor, struct ref *ret);
static inline bool ref_is_parameter(const struct ref *r) {
    for (const char *p = r->name; *p; p++)
        if (*p == '.')
            return false;
    return true;
}

/* Adds "/key" with the escapes of a JSON pointer. */
void pointer_add(struct buf *path, const char *key);
/* Visits every string value of the doc, parameters and secrets left out; stops and returns non-zero when fn does. */
int refs_walk(const struct doc *d, int (*fn)(const char *path, const char *text, void *arg), void *arg, struct error *err);
/* Every reference that is left must be one that a run can answer; secrets must be declared. */
int refs_check(const struct doc *d, const struct strings *secrets, struct error *err);

/* parameters.c: fills the declared parameters in, the doc's values overridden by o->set. */
int parameters_apply(struct doc *d, const struct scenario_options *o, struct error *err);
/* probe_rows.c: what rows cannot say of one probe, its selector and name aside. */
int probe_crosscheck(const struct scenario *s, size_t index, struct error *err);
/* crosscheck.c: what rows cannot say: names, references, times that must fit together. */
int scenario_crosscheck(const struct scenario *s, struct error *err);
