/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the rows say, in the form that both the schema and the reference need. */
#include "base/buf.h"
#include "scenario/schema.h"

/* Every shape that can be reached, each once and under a name of its own, parents first. */
struct named_shape {
    const struct shape *shape;
    char name[64];   /* "workload"; a kind's: "fault.pod-kill" */
    const char *doc; /* the kind's where it is one, else the shape's */
};
struct named_shapes {
    struct named_shape *items; /* free() */
    size_t count;
};
int shapes_collect(const struct shape *root, const struct kind_set *kinds, struct named_shapes *ret, struct error *err);
void shapes_free(struct named_shapes *s);
const char *shapes_name(const struct named_shapes *s, const struct shape *shape);
const struct kind_row *const *shapes_kinds(const struct kind_set *kinds, const struct field *f); /* never NULL */

enum field_form { FORM_SCALAR, FORM_LIST, FORM_MAP, FORM_ANY, FORM_OBJECT, FORM_OBJECTS, FORM_NAMED, FORM_KIND };
enum { JSON_STRING_BIT = 1, JSON_INTEGER_BIT = 2, JSON_NUMBER_BIT = 4, JSON_BOOLEAN_BIT = 8 };

struct type_words {
    const char *word;    /* "duration" */
    const char *pattern; /* of a value written as a string, without anchors; NULL: any */
    unsigned json;       /* what an element may be in JSON: the bits above */
    enum field_form form;
};
const struct type_words *type_words(enum field_type type);

bool field_has_limits(const struct field *f);
bool field_has_max(const struct field *f);
/* "from 1 to 200", "at least 1ms", "1 to 64 of them"; nothing when there are none worth saying. */
void field_limits(const struct field *f, struct buf *out);
