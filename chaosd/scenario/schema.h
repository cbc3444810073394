/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Rows that say what a scenario may hold: they validate, decode into C structs, give defaults, and are the source
 * of every generated text (docs, schema.json, completion). A kind (fault, load, probe, cluster) brings its own rows. */
#include "base/arena.h"
#include "base/error.h"
#include "base/template.h"
#include "scenario/doc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_type {
    F_STRING,         /* const char *                    */
    F_NAME,           /* const char *; [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63: a DNS label */
    F_TEMPLATE,       /* const struct template *         */
    F_BOOL,           /* bool                            */
    F_INT,            /* int64_t, min..max               */
    F_DURATION,       /* int64_t ns, min..max            */
    F_DURATION_RANGE, /* struct duration_range; "15s..25s" or "20s" */
    F_DURATIONS,      /* struct durations; "10s" or [10s, 30s] */
    F_RATE,           /* int64_t, events a second * 10^6 */
    F_PERCENT,        /* int64_t ppm                     */
    F_BYTES,          /* int64_t                         */
    F_BANDWIDTH,      /* int64_t, bits a second          */
    F_ENUM,           /* int: index into values          */
    F_STRINGS,        /* struct strings; a single string is a list of one */
    F_TEMPLATES,      /* struct templates                */
    F_STRING_MAP,     /* struct pairs                    */
    F_TEMPLATE_MAP,   /* struct template_pairs           */
    F_JSON_TEMPLATE,  /* const struct template *: any value, serialised, its strings rendered with JSON escaping */
    F_JSON,           /* json_t *, borrowed from the doc */
    F_OBJECT,         /* pointer to the shape's struct, NULL when absent */
    F_LIST,           /* struct list of the shape's structs */
    F_MAP,            /* struct list of the shape's structs, whose first member `const char *name` is the key */
    F_KIND,           /* struct kind_value: the object holds exactly one key of a kind table */
    F_ENUMS,          /* struct ints: list of indices into values */
};

struct duration_range { int64_t from_ns, to_ns; };
struct durations { const int64_t *ns; size_t count; };
struct ints { const int *items; size_t count; };
struct strings { const char *const *items; size_t count; };
struct templates { const struct template *const *items; size_t count; };
struct pair { const char *key, *value; };
struct pairs { const struct pair *items; size_t count; };
struct template_pair { const char *key; const struct template *value; };
struct template_pairs { const struct template_pair *items; size_t count; };
struct list { void *items; size_t count; };

struct shape;
struct field {
    const char *name;
    enum field_type type;
    size_t offset;            /* into the shape's struct */
    bool required;
    const char *def;          /* default as a user would write it; NULL: zero */
    int64_t min, max;         /* inclusive, in the type's unit; both 0: the type's own (never negative). Lists: length */
    const char *const *values; /* F_ENUM(S): NULL-terminated */
    const struct shape *shape; /* F_OBJECT, F_LIST, F_MAP */
    int kinds;                 /* F_KIND: enum kind_group */
    const char *doc;           /* one sentence, ends with a period */
};

/* What a check may look at beside the struct: it adds errors at "path/field" by schema_bad. */
struct schema_at {
    const struct doc *doc;
    const char *path;
    struct arena *arena;
};

/* A check's error at the field of its value; -EINVAL. */
int schema_bad(const struct schema_at *at, const char *field, struct error *err, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

struct shape {
    const char *name; /* for docs and messages: "workload" */
    size_t size;
    const struct field *fields; /* ends with a row without name */
    /* What rows cannot say (either a or b, b needs a). NULL: nothing. Errors by doc_error(at->doc, ...). */
    int (*check)(void *value, const struct schema_at *at, struct error *err);
    const char *doc;
};

enum kind_group { KIND_FAULT, KIND_LOAD, KIND_PROBE, KIND_CLUSTER, KIND_GROUP_COUNT };

/* The part of a kind that the schema knows; a fault_kind, load_kind ... starts with it. */
struct kind_row {
    const char *name; /* "pod-kill" */
    const struct shape *shape;
    const char *doc;
};

struct kind_set {
    const struct kind_row *const *groups[KIND_GROUP_COUNT]; /* each NULL-terminated; NULL: empty */
};

struct kind_value {
    const struct kind_row *kind; /* NULL: absent */
    const void *params;          /* struct of kind->shape */
    const char *path;            /* JSON pointer, for later messages */
};

/* Decodes the value at path into out (shape->size bytes, zeroed by the callee). Strings live in the arena. */
int schema_decode(const struct doc *d, const char *path, const struct shape *shape, const struct kind_set *kinds, struct arena *a,
                  void *out, struct error *err);
