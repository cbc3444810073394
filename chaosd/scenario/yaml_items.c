/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/yaml_items.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "scenario/doc.h"
#include "scenario/yaml_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* An object or list that is not closed yet. */
struct open {
    size_t item;
    json_t *keys; /* of a map: name -> line */
    bool value;   /* of a map: a key was read, its value is next */
};

struct reader {
    const char *name, *text;
    size_t len;
    yaml_parser_t parser;
    struct items *out;
    struct arena *arena;
    json_t *anchors; /* name -> item */
    struct open stack[DOC_MAX_DEPTH];
    size_t depth;
    size_t nodes, documents;
    struct error *err;
};

int item_error(const char *name, int line, int column, struct error *err, int rc, const char *fmt, ...) {
    char text[800];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return error_set(err, rc, "%s:%d:%d: %s", name, line, column, text);
}

#define FAIL_AT(r, line, column, rc, ...) item_error((r)->name, line, column, (r)->err, rc, __VA_ARGS__)

static int out_of_memory(struct reader *r) {
    return error_set(r->err, -ENOMEM, "%s: out of memory", r->name);
}

/* libyaml's own words, with what to do where its words are known to puzzle. */
static int parser_error(struct reader *r) {
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return out_of_memory(r);
    int line = (int)p->problem_mark.line + 1, column = (int)p->problem_mark.column + 1;
    size_t at = text_offset(r->text, r->len, line, column);
    const char *hint = "";
    if (at < r->len && r->text[at] == '\t')
        hint = ": indent with spaces, not with tabs";
    else if (at > 0 && at < r->len && r->text[at] == '{' && r->text[at - 1] == '$')
        hint = ": inside [ ] and { } put quotes around \"${...}\"";
    return FAIL_AT(r, line, column, -EINVAL, "%s%s%s%s%s", p->problem ? p->problem : "not YAML", p->context ? " " : "",
                   p->context ? p->context : "", hint, *hint ? "" : ": correct the YAML here or just above");
}

static struct item *add_item(struct reader *r, enum item_type type, const yaml_mark_t *mark) {
    struct items *o = r->out;
    if (o->count == o->room) {
        size_t room = o->room ? o->room * 2 : 64;
        struct item *items = reallocarray(o->items, room, sizeof *items);
        if (!items)
            return NULL;
        o->items = items;
        o->room = room;
    }
    struct item *it = &o->items[o->count];
    *it = (struct item){.type = type, .line = (int)mark->line + 1, .column = (int)mark->column + 1, .end = o->count};
    o->count++;
    return it;
}

static int check_key(struct reader *r, struct open *top, const struct item *it) {
    char clip[CLIP_SIZE];
    if (it->type == ITEM_ALIAS)
        return FAIL_AT(r, it->line, it->column, -EINVAL, "an alias cannot be a key: write the key out");
    if (it->type != ITEM_SCALAR)
        return FAIL_AT(r, it->line, it->column, -EINVAL, "a %s cannot be a key: keys are plain texts",
                       it->type == ITEM_LIST ? "list" : "mapping");
    if (it->len == 0 && it->plain)
        return FAIL_AT(r, it->line, it->column, -EINVAL, "the key before this \":\" is missing");
    const json_t *first = json_object_get(top->keys, it->text);
    if (first)
        return FAIL_AT(r, it->line, it->column, -EINVAL, "key \"%s\" is here twice, on line %d and on line %d: keep one",
                       text_clip(it->text, clip), (int)json_integer_value(first), it->line);
    return json_object_set_new(top->keys, it->text, json_integer(it->line)) < 0 ? out_of_memory(r) : 0;
}

/* Counts the node, and checks it where it stands as a key. */
static int check_node(struct reader *r, const struct item *it) {
    if (++r->nodes > DOC_MAX_NODES)
        return FAIL_AT(r, it->line, it->column, -E2BIG, "more than %d values: split the file", DOC_MAX_NODES);
    struct open *top = r->depth ? &r->stack[r->depth - 1] : NULL;
    if (!top || !top->keys)
        return 0;
    top->value = !top->value;
    return top->value ? check_key(r, top, it) : 0;
}

static int set_anchor(struct reader *r, const yaml_char_t *anchor, size_t item) {
    if (!anchor)
        return 0;
    return json_object_set_new(r->anchors, (const char *)anchor, json_integer((json_int_t)item)) < 0 ? out_of_memory(r) : 0;
}

static int check_tag(struct reader *r, const struct item *it, const yaml_char_t *tag, const char *wanted) {
    static const char prefix[] = "tag:yaml.org,2002:";
    char clip[CLIP_SIZE];
    if (!tag || strcmp((const char *)tag, "!") == 0)
        return 0;
    const char *name = (const char *)tag;
    if (strncmp(name, prefix, sizeof prefix - 1) == 0) {
        name += sizeof prefix - 1;
        for (const char *w = wanted; *w; w += strlen(w) + 1)
            if (strcmp(w, name) == 0)
                return 0;
    }
    return FAIL_AT(r, it->line, it->column, -EINVAL, "the tag \"%s\" means nothing here: leave it out", text_clip((const char *)tag, clip));
}

static int on_scalar(struct reader *r, const yaml_event_t *e) {
    struct item *it = add_item(r, ITEM_SCALAR, &e->start_mark);
    if (!it)
        return out_of_memory(r);
    const char *tag = (const char *)e->data.scalar.tag;
    it->len = e->data.scalar.length;
    it->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !(tag && (strcmp(tag, "!") == 0 || strcmp(tag, YAML_STR_TAG) == 0));
    it->text = arena_strndup(r->arena, (const char *)e->data.scalar.value, it->len);
    if (!it->text)
        return out_of_memory(r);
    if (memchr(it->text, 0, it->len))
        return FAIL_AT(r, it->line, it->column, -EINVAL, "a text with a NUL byte in it: leave out the \"\\0\"");
    int rc = check_tag(r, it, e->data.scalar.tag, "str\0int\0float\0bool\0null\0");
    if (rc < 0 || (rc = check_node(r, it)) < 0)
        return rc;
    return set_anchor(r, e->data.scalar.anchor, it->end);
}

static int on_open(struct reader *r, const yaml_event_t *e, enum item_type type) {
    struct item *it = add_item(r, type, &e->start_mark);
    if (!it)
        return out_of_memory(r);
    bool map = type == ITEM_MAP;
    size_t index = it->end;
    it->end = 0; /* not closed yet: an alias in here that names it would never end */
    int rc = check_tag(r, it, map ? e->data.mapping_start.tag : e->data.sequence_start.tag, map ? "map\0" : "seq\0");
    if (rc < 0 || (rc = check_node(r, it)) < 0)
        return rc;
    if (r->depth == DOC_MAX_DEPTH)
        return FAIL_AT(r, it->line, it->column, -E2BIG, "nested deeper than %d levels: flatten it", DOC_MAX_DEPTH);
    json_t *keys = map ? json_object() : NULL;
    if (map && !keys)
        return out_of_memory(r);
    r->stack[r->depth++] = (struct open){.item = index, .keys = keys};
    return set_anchor(r, map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor, index);
}

static int on_close(struct reader *r, const yaml_event_t *e) {
    struct item *it = add_item(r, ITEM_END, &e->start_mark);
    if (!it)
        return out_of_memory(r);
    struct open *top = &r->stack[--r->depth];
    r->out->items[top->item].end = it->end;
    json_decref(top->keys);
    return 0;
}

static int on_alias(struct reader *r, const yaml_event_t *e) {
    char clip[CLIP_SIZE];
    struct item *it = add_item(r, ITEM_ALIAS, &e->start_mark);
    if (!it)
        return out_of_memory(r);
    const char *name = (const char *)e->data.alias.anchor;
    const json_t *target = json_object_get(r->anchors, name);
    if (!target)
        return FAIL_AT(r, it->line, it->column, -EINVAL, "\"*%s\" stands for nothing: put \"&%s\" at a value before it",
                       text_clip(name, clip), clip);
    it->target = (size_t)json_integer_value(target);
    const struct item *t = &r->out->items[it->target];
    if ((t->type == ITEM_LIST || t->type == ITEM_MAP) && t->end == 0)
        return FAIL_AT(r, it->line, it->column, -EINVAL, "\"*%s\" is inside what it stands for: it would never end", text_clip(name, clip));
    return check_node(r, it);
}

static int on_event(struct reader *r, const yaml_event_t *e) {
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++r->documents > 1)
            return FAIL_AT(r, (int)e->start_mark.line + 1, (int)e->start_mark.column + 1, -EINVAL,
                           "a second document begins here: one file holds one, put the other in a file of its own");
        return 0;
    case YAML_SCALAR_EVENT:
        return on_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(r, e, ITEM_LIST);
    case YAML_MAPPING_START_EVENT:
        return on_open(r, e, ITEM_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(r, e);
    case YAML_ALIAS_EVENT:
        return on_alias(r, e);
    default:
        return 0;
    }
}

static int read_events(struct reader *r) {
    for (bool end = false; !end;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&r->parser, &e))
            return parser_error(r);
        end = e.type == YAML_STREAM_END_EVENT;
        int rc = on_event(r, &e);
        yaml_event_delete(&e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int items_read(const char *name, const char *text, size_t len, struct arena *a, struct items *ret, struct error *err) {
    struct reader r = {.name = name, .text = text, .len = len, .arena = a, .out = ret, .err = err};
    int rc = text_check(name, &r.text, &r.len, err);
    if (rc < 0)
        return rc;
    if (!(r.anchors = json_object()))
        return out_of_memory(&r);
    if (!yaml_parser_initialize(&r.parser)) {
        json_decref(r.anchors);
        return out_of_memory(&r);
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)r.text, r.len);
    rc = read_events(&r);
    yaml_parser_delete(&r.parser);
    while (r.depth > 0)
        json_decref(r.stack[--r.depth].keys);
    json_decref(r.anchors);
    return rc;
}
