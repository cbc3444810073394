/* SPDX-License-Identifier: Apache-2.0 */
/* The rows as JSON Schema. It says no more than the rows do: what a shape's check knows beyond them (both at and every) stays with
 * `chaosd check`. Every single value may be a parameter, "${rate}": each pattern lets that through. */
#include "words/words.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "scenario/doc.h"
#include "words/fields.h"

#include <errno.h>
#include <string.h>

#define PARAMETER ".*\\$\\{.*"
#define WHOLE_PARAMETER "^\\$\\{[^}]*\\}$"

static const struct { unsigned bit; const char *name; } json_types[] = {
    {JSON_STRING_BIT, "string"}, {JSON_INTEGER_BIT, "integer"}, {JSON_NUMBER_BIT, "number"}, {JSON_BOOLEAN_BIT, "boolean"}};

/* Steals value; jansson's own failures all end in a NULL somewhere, which json_object_set_new then refuses. */
static bool put(json_t *object, const char *key, json_t *value) { return json_object_set_new(object, key, value) == 0; }

static json_t *type_list(unsigned bits, const char *more, bool null) {
    if (!bits && !null)
        return json_string(more);
    json_t *list = json_array();
    if (more)
        json_array_append_new(list, json_string(more));
    for (size_t i = 0; i < ARRAY_SIZE(json_types); i++)
        if (bits & json_types[i].bit)
            json_array_append_new(list, json_string(json_types[i].name));
    if (null)
        json_array_append_new(list, json_string("null"));
    return list;
}

static json_t *words_list(const char *const *values) {
    json_t *list = json_array();
    for (size_t i = 0; values[i]; i++)
        json_array_append_new(list, json_string(values[i]));
    return list;
}

static void put_pattern(json_t *s, const struct type_words *t) {
    cleanup_buf struct buf pattern = {0};
    if (!t->pattern)
        return;
    buf_printf(&pattern, "^(%s|%s)$", t->pattern, PARAMETER);
    put(s, "pattern", json_string(buf_ok(&pattern) ? pattern.data : NULL));
}

/* One element; limits: whether the row's are its own. */
static json_t *scalar(const struct field *f, bool limits) {
    const struct type_words *t = type_words(f->type);
    if (f->values)
        return json_pack("{s:[{s:o}, {s:s, s:s}]}", "anyOf", "enum", words_list(f->values), "type", "string", "pattern", WHOLE_PARAMETER);
    json_t *s = json_object();
    put(s, "type", type_list(t->json, NULL, false));
    put_pattern(s, t);
    bool length = t->json == (JSON_STRING_BIT | JSON_NUMBER_BIT | JSON_BOOLEAN_BIT), whole = f->type == F_INT;
    if ((t->json & JSON_INTEGER_BIT) && f->type != F_NAME)
        put(s, "minimum", json_integer(limits && whole ? f->min : 0));
    if (limits && whole && field_has_max(f))
        put(s, "maximum", json_integer(f->max));
    else if (!whole && (t->json & JSON_INTEGER_BIT) && f->type != F_NAME && f->type != F_BYTES)
        put(s, "maximum", json_integer(0)); /* a number without unit is no duration, unless it is 0 */
    if (limits && length && f->min > 0)
        put(s, "minLength", json_integer(f->min));
    if (limits && length && field_has_max(f))
        put(s, "maxLength", json_integer(f->max));
    return s;
}

static void put_length(json_t *s, const struct field *f, const char *min, const char *max) {
    if (f->min > 0)
        put(s, min, json_integer(f->min));
    if (field_has_max(f))
        put(s, max, json_integer(f->max));
}

/* A list of scalars, which may be written as its only element. */
static json_t *scalars(const struct field *f) {
    bool own = f->type == F_DURATIONS;
    json_t *list = json_object();
    put(list, "type", json_string("array"));
    put(list, "items", scalar(f, own));
    if (!own)
        put_length(list, f, "minItems", "maxItems");
    return json_pack("{s:[o, o]}", "anyOf", scalar(f, own), list);
}

static json_t *ref_to(const struct named_shapes *shapes, const struct shape *shape) {
    return json_pack("{s:s+}", "$ref", "#/definitions/", shapes_name(shapes, shape));
}

static json_t *container(const char *type, const char *member, json_t *of) {
    json_t *s = json_object();
    put(s, "type", type_list(0, type, false));
    put(s, member, of);
    return s;
}

static json_t *value_schema(const struct named_shapes *shapes, const struct field *f) {
    json_t *s = NULL;
    switch (type_words(f->type)->form) {
    case FORM_SCALAR:
        return scalar(f, true);
    case FORM_LIST:
        return scalars(f);
    case FORM_ANY:
        return json_object();
    case FORM_OBJECT:
        return ref_to(shapes, f->shape);
    case FORM_OBJECTS:
        s = container("array", "items", ref_to(shapes, f->shape));
        put_length(s, f, "minItems", "maxItems");
        return s;
    case FORM_NAMED:
        s = container("object", "additionalProperties", ref_to(shapes, f->shape));
        put_length(s, f, "minProperties", "maxProperties");
        return s;
    case FORM_MAP:
        s = container("object", "additionalProperties", scalar(f, false));
        put_length(s, f, "minProperties", "maxProperties");
        return s;
    case FORM_KIND:
        break;
    }
    return NULL;
}

static void put_description(json_t *s, const struct field *f) {
    cleanup_buf struct buf text = {0};
    buf_str(&text, f->doc ? f->doc : "");
    if (field_has_limits(f)) {
        buf_str(&text, " (");
        field_limits(f, &text);
        buf_str(&text, ")");
    }
    put(s, "description", json_string(buf_ok(&text) ? text.data : NULL));
}

static void put_default(json_t *s, const struct field *f) {
    struct doc *d = NULL;
    bool text = f->type == F_STRING || f->type == F_TEMPLATE || f->type == F_NAME;
    if (!f->def)
        return;
    if (!text && doc_parse("default", f->def, strlen(f->def), &d, NULL) == 0)
        json_object_set(s, "default", doc_root(d));
    else
        put(s, "default", json_string(f->def));
    doc_free(d);
}

/* A key without value is as good as no key: null goes where the key itself need not be. */
static json_t *or_null(json_t *value, const struct field *f) {
    json_t *types = json_object_get(value, "type"), *any = json_object_get(value, "anyOf");
    if (f->required || type_words(f->type)->form == FORM_ANY)
        return value;
    if (json_is_array(types))
        json_array_append_new(types, json_string("null"));
    else if (any)
        json_array_append_new(any, json_pack("{s:s}", "type", "null"));
    else
        return json_pack("{s:[o, {s:s}]}", "anyOf", value, "type", "null");
    return value;
}

static void put_kinds(json_t *properties, json_t *choices, const struct named_shapes *shapes, const struct kind_set *kinds,
                      const struct field *f) {
    for (const struct kind_row *const *k = shapes_kinds(kinds, f); *k; k++) {
        json_t *value = (*k)->shape ? ref_to(shapes, (*k)->shape) : json_pack("{s:[s, s]}", "type", "object", "null");
        put(value, "description", json_string((*k)->doc));
        put(properties, (*k)->name, value);
        json_array_append_new(choices, json_pack("{s:[s]}", "required", (*k)->name));
    }
}

static json_t *shape_schema(const struct named_shape *n, const struct named_shapes *shapes, const struct kind_set *kinds) {
    json_t *s = json_object(), *properties = json_object(), *required = json_array(), *choices = json_array();
    bool needs_kind = false;
    put(s, "description", json_string(n->doc ? n->doc : ""));
    for (const struct field *f = n->shape->fields; f && f->name; f++) {
        if (f->type == F_KIND) {
            put_kinds(properties, choices, shapes, kinds, f);
            needs_kind |= f->required;
            continue;
        }
        json_t *value = or_null(value_schema(shapes, f), f);
        put_description(value, f);
        put_default(value, f);
        put(properties, f->name, value);
        if (f->required)
            json_array_append_new(required, json_string(f->name));
    }
    bool whole = json_array_size(required) == 0 && !needs_kind; /* all of it may be left out: null will do in a map of names */
    put(s, "type", type_list(0, "object", whole));
    put(s, "properties", properties);
    put(s, "additionalProperties", json_false());
    if (json_array_size(required))
        json_object_set(s, "required", required);
    if (needs_kind) /* of exactly one kind */
        json_object_set(s, "oneOf", choices);
    json_decref(required);
    json_decref(choices);
    return s;
}

int words_schema(const struct shape *root, const struct kind_set *kinds, struct buf *out, struct error *err) {
    struct named_shapes shapes = {0};
    int rc = shapes_collect(root, kinds, &shapes, err);
    if (rc < 0)
        return rc;
    cleanup_json json_t *all = json_object();
    json_t *definitions = json_object();
    put(all, "$comment", json_string("SPDX-License-Identifier: Apache-2.0. Generated by `make words` from the schema rows."));
    put(all, "$schema", json_string("http://json-schema.org/draft-07/schema#"));
    put(all, "title", json_string("chaosd scenario"));
    put(all, "allOf", json_pack("[o]", ref_to(&shapes, root)));
    for (size_t i = 0; i < shapes.count; i++)
        put(definitions, shapes.items[i].name, shape_schema(&shapes.items[i], &shapes, kinds));
    put(all, "definitions", definitions);
    shapes_free(&shapes);
    cleanup_free char *text = json_dumps(all, JSON_INDENT(1));
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    buf_printf(out, "%s\n", text);
    return buf_ok(out) ? 0 : error_set(err, -ENOMEM, "out of memory");
}
