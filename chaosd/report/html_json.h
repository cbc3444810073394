/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes compact JSON that may stand inside a <script> element: no < > & and no line separators in it, whatever the texts hold,
 * and always valid UTF-8. Commas come by themselves. Failure is the buffer's, which is sticky. */
#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct jw {
    struct buf *out;
    bool comma; /* a value stands before */
};

void jw_begin(struct jw *w, char bracket); /* '{' or '[' */
void jw_end(struct jw *w, char bracket);
struct jw *jw_key(struct jw *w, const char *key); /* a literal; returns w */
void jw_null(struct jw *w);
void jw_bool(struct jw *w, bool v);
void jw_int(struct jw *w, int64_t v);
void jw_real(struct jw *w, double v, int decimals); /* null where it is no number */
void jw_ms(struct jw *w, int64_t ns);               /* three decimals, trailing zeros dropped; INT64_MIN: null */
void jw_text(struct jw *w, const char *s);          /* NULL: null */
void jw_text_n(struct jw *w, const char *s, size_t len);
void jw_json(struct jw *w, const json_t *v);        /* NULL: null; objects of scalars and scalars, deeper ones as null */

/* Text for HTML, as an element's content or within a quoted attribute. Control characters, and what turns the direction of text,
 * become U+FFFD. */
void html_text(struct buf *out, const char *s);
