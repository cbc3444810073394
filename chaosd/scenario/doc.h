/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A YAML (or JSON) text as a jansson tree whose every value has a position. Anchors and merge keys expand within
 * bounds; duplicate keys, tabs of nesting, non-UTF-8 and several documents are errors with line and column. */
#include "base/error.h"

#include <jansson.h>
#include <stddef.h>

enum { DOC_MAX_BYTES = 1 << 20, DOC_MAX_NODES = 100000, DOC_MAX_DEPTH = 64 };

struct doc;

/* name is for messages: "drill.yaml:12:5: ...". */
int doc_parse(const char *name, const char *text, size_t len, struct doc **ret, struct error *err);
int doc_load(const char *path, struct doc **ret, struct error *err); /* "-" is standard input */
/* A tree that comes from no text, such as a command's options. An error begins with what origin says of the path ("--loss"), with name where
 * that is NULL. root is stolen, name and origin's answer are borrowed. */
typedef const char *doc_origin(const char *path, void *arg);
int doc_of(const char *name, json_t *root, doc_origin *origin, void *arg, struct doc **ret, struct error *err);
void doc_free(struct doc *d);                                       /* NULL-safe */
const char *doc_name(const struct doc *d);
json_t *doc_root(const struct doc *d); /* borrowed */
json_t *doc_value(const struct doc *d, const char *path); /* at a JSON pointer; borrowed, NULL when absent */
/* A number, boolean or null as it was written ("1.10", "0x1F", "True"), where that was without quotes; else NULL. Borrowed. */
const char *doc_written(const struct doc *d, const char *path);
/* Replaces a value in place (parameters); its position stays. path is a JSON pointer: "/faults/0/every".
 * -ENOENT: nothing there. The value is released on failure. */
int doc_replace(struct doc *d, const char *path, json_t *value /* stolen */);
/* Position of the value (or, key = true, of its key) at the path; nearest parent when it has none of its own. */
void doc_position(const struct doc *d, const char *path, int key, int *ret_line, int *ret_column);
/* "name:line:column: text"; returns rc. */
int doc_error(const struct doc *d, const char *path, int key, struct error *err, int rc, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
/* The tree as YAML text, keys in order of appearance, the way it is stored beside a run. Caller frees; NULL: out of memory. */
char *doc_to_yaml(const struct doc *d);
