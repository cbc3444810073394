/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Strings with ${name} in them, compiled once, rendered many times. "$${" is a literal "${"; a filter may follow
 * the name: ${request.id|base64}. Filters: base64, json (escaped for the inside of a JSON string), url. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>

struct template;
struct template_vars {
    /* Value of a name, or NULL when there is none (yet): rendering then fails with the name. Borrowed until the next call. */
    const char *(*get)(void *arg, const char *name);
    void *arg;
};
enum template_flags { TEMPLATE_JSON = 1 }; /* every value is escaped for the inside of a JSON string */

int template_compile(struct arena *a, const char *text, unsigned flags, const struct template **ret, struct error *err);
int template_render(const struct template *t, const struct template_vars *vars, struct buf *out, struct error *err);
const char *template_text(const struct template *t);        /* as written */
bool template_is_literal(const struct template *t);
/* Each name used, for checking against what is declared; stops and returns non-zero when fn does. */
int template_names(const struct template *t, int (*fn)(const char *name, void *arg), void *arg);
