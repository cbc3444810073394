/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/doc_internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

struct writer {
    yaml_emitter_t emitter;
    const struct doc *doc;
    struct buf out;
};

static int write_node(struct writer *w, const json_t *v, const struct position *at);

/* Hands the event over, whatever comes of it. */
static int emit(struct writer *w, int made, yaml_event_t *e) {
    return made && yaml_emitter_emit(&w->emitter, e) ? 0 : -ENOMEM;
}

static int on_write(void *data, unsigned char *buffer, size_t size) {
    struct buf *out = data;
    buf_add(out, buffer, size);
    return buf_ok(out);
}

/* Words that other readers of YAML, those of version 1.1, take for something else. */
static bool is_old_word(const char *s) {
    static const char *const words[] = {"yes", "no", "on", "off", "y", "n", "=", "<<", ".inf", "-.inf", ".nan", NULL};
    for (size_t i = 0; words[i]; i++)
        if (strcasecmp(s, words[i]) == 0)
            return true;
    return false;
}

/* Plain where that reads back as the same string; literal for clean lines of text; else quoted. */
static yaml_scalar_style_t style_of(const char *s, size_t len) {
    static const char blanks[] = " \n";
    bool number = len && strchr("+-.0123456789", s[0]) && strspn(s, "0123456789+-.eE_xob") == len;
    if (scalar_type(s) != SCALAR_STRING || is_old_word(s) || number)
        return YAML_SINGLE_QUOTED_SCALAR_STYLE;
    if (strstr(s, "\xc2\x85") || strstr(s, "\xe2\x80\xa8") || strstr(s, "\xe2\x80\xa9"))
        return YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 && *p != '\n')
            return YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    if (!strchr(s, '\n'))
        return YAML_PLAIN_SCALAR_STYLE;
    if (strchr(blanks, s[0]) || strstr(s, " \n") || strstr(s, "\n ") || s[len - 1] == ' ')
        return YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    return YAML_LITERAL_SCALAR_STYLE;
}

static int write_text(struct writer *w, const char *s, yaml_scalar_style_t style) {
    yaml_event_t e;
    return emit(w, yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)s, (int)strlen(s), 1, 1, style), &e);
}

static int write_key(struct writer *w, const char *s) {
    yaml_scalar_style_t style = style_of(s, strlen(s));
    return write_text(w, s, style == YAML_LITERAL_SCALAR_STYLE ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : style);
}

static int write_scalar(struct writer *w, const json_t *v, const struct position *at) {
    char tmp[40];
    if (json_is_string(v))
        return write_text(w, json_string_value(v), style_of(json_string_value(v), json_string_length(v)));
    if (json_is_null(v))
        return write_text(w, "null", YAML_PLAIN_SCALAR_STYLE);
    const char *text = at && at->written ? at->written : json_text(v, tmp, sizeof tmp - 2);
    if (json_is_real(v) && text == tmp && !strpbrk(tmp, ".e"))
        strcat(tmp, ".0");
    return write_text(w, text, YAML_PLAIN_SCALAR_STYLE);
}

static bool all_scalars(const json_t *list) {
    size_t i;
    const json_t *v;
    json_array_foreach(list, i, v) {
        if (json_is_array(v) || json_is_object(v))
            return false;
    }
    return true;
}

static int write_list(struct writer *w, const json_t *list, const struct position *at) {
    yaml_event_t e;
    size_t i;
    const json_t *v;
    yaml_sequence_style_t style = all_scalars(list) ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE;
    int rc = emit(w, yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, style), &e);
    json_array_foreach(list, i, v) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        if (rc < 0 || (rc = write_node(w, v, at ? positions_child(&w->doc->positions, at, key) : NULL)) < 0)
            return rc;
    }
    return rc < 0 ? rc : emit(w, yaml_sequence_end_event_initialize(&e), &e);
}

static int write_map(struct writer *w, const json_t *map, const struct position *at) {
    yaml_event_t e;
    const char *key;
    json_t *v;
    int rc = emit(w, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE), &e);
    json_object_foreach((json_t *)map, key, v) {
        if (rc < 0 || (rc = write_key(w, key)) < 0 || (rc = write_node(w, v, at ? positions_child(&w->doc->positions, at, key) : NULL)) < 0)
            return rc;
    }
    return rc < 0 ? rc : emit(w, yaml_mapping_end_event_initialize(&e), &e);
}

static int write_node(struct writer *w, const json_t *v, const struct position *at) {
    return json_is_array(v) ? write_list(w, v, at) : json_is_object(v) ? write_map(w, v, at) : write_scalar(w, v, at);
}

static int write_document(struct writer *w) {
    yaml_event_t e;
    int rc = emit(w, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING), &e);
    if (rc == 0)
        rc = emit(w, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1), &e);
    if (rc == 0)
        rc = write_node(w, w->doc->root, &w->doc->positions.root);
    if (rc == 0)
        rc = emit(w, yaml_document_end_event_initialize(&e, 1), &e);
    if (rc == 0)
        rc = emit(w, yaml_stream_end_event_initialize(&e), &e);
    return rc;
}

char *doc_to_yaml(const struct doc *d) {
    struct writer w = {.doc = d};
    if (!yaml_emitter_initialize(&w.emitter))
        return NULL;
    yaml_emitter_set_output(&w.emitter, on_write, &w.out);
    yaml_emitter_set_unicode(&w.emitter, 1);
    yaml_emitter_set_width(&w.emitter, -1); /* folding would hide a string's own blanks */
    yaml_emitter_set_indent(&w.emitter, 2);
    int rc = write_document(&w);
    yaml_emitter_delete(&w.emitter);
    char *text = rc == 0 ? buf_take(&w.out) : NULL;
    buf_free(&w.out);
    return text;
}
