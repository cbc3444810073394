/* SPDX-License-Identifier: Apache-2.0 */
#include "report/html_json.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void next(struct jw *w) {
    if (w->comma)
        buf_str(w->out, ",");
    w->comma = true;
}

void jw_begin(struct jw *w, char bracket) {
    next(w);
    buf_add(w->out, &bracket, 1);
    w->comma = false;
}

void jw_end(struct jw *w, char bracket) {
    buf_add(w->out, &bracket, 1);
    w->comma = true;
}

struct jw *jw_key(struct jw *w, const char *key) {
    next(w);
    buf_printf(w->out, "\"%s\":", key);
    w->comma = false;
    return w;
}

static void raw(struct jw *w, const char *s) {
    next(w);
    buf_str(w->out, s);
}

void jw_null(struct jw *w) { raw(w, "null"); }

void jw_bool(struct jw *w, bool v) { raw(w, v ? "true" : "false"); }

void jw_int(struct jw *w, int64_t v) {
    next(w);
    buf_printf(w->out, "%" PRId64, v);
}

static void number(struct jw *w, char *text) {
    char *end = text + strlen(text);
    while (strchr(text, '.') && end[-1] == '0')
        *--end = 0;
    if (end > text && end[-1] == '.')
        *--end = 0;
    raw(w, strcmp(text, "-0") ? text : "0");
}

void jw_real(struct jw *w, double v, int decimals) {
    char text[64];
    if (!isfinite(v) || fabs(v) > 1e18) {
        jw_null(w);
        return;
    }
    snprintf(text, sizeof text, "%.*f", decimals, v);
    number(w, text);
}

void jw_ms(struct jw *w, int64_t ns) {
    char text[64];
    if (ns == INT64_MIN) {
        jw_null(w);
        return;
    }
    uint64_t us = ((ns < 0 ? -(uint64_t)ns : (uint64_t)ns) + 500) / 1000;
    snprintf(text, sizeof text, "%s%" PRIu64 ".%03" PRIu64, ns < 0 ? "-" : "", us / 1000, us % 1000);
    number(w, text);
}

/* What must not stand in a script element, or not in JSON. */
static bool escaped(uint32_t c) {
    return c < 0x20 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f || c == 0x2028 || c == 0x2029 ||
           c == 0xfffe || c == 0xffff;
}

void jw_text_n(struct jw *w, const char *s, size_t len) {
    next(w);
    buf_str(w->out, "\"");
    for (size_t i = 0, plain = 0; i <= len; i++) {
        uint32_t c = 0;
        size_t n = i < len ? utf8_decode(s + i, len - i, &c) : 0;
        if (n && !escaped(c)) {
            i += n - 1;
            continue;
        }
        buf_add(w->out, s + plain, i - plain); /* what stood before goes in one piece */
        if (i < len && n)
            buf_printf(w->out, "\\u%04x", c);
        else if (i < len)
            buf_str(w->out, UTF8_REPLACEMENT);
        i += n ? n - 1 : 0;
        plain = i + 1;
    }
    buf_str(w->out, "\"");
}

void jw_text(struct jw *w, const char *s) {
    if (s)
        jw_text_n(w, s, strlen(s));
    else
        jw_null(w);
}

static void scalar(struct jw *w, const json_t *v) {
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_STRING:
        jw_text_n(w, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        jw_int(w, json_integer_value(v));
        break;
    case JSON_REAL:
        jw_real(w, json_real_value(v), 6);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        jw_bool(w, json_is_true(v));
        break;
    default:
        jw_null(w);
    }
}

void jw_json(struct jw *w, const json_t *v) {
    const char *key;
    json_t *value;
    if (!json_is_object(v)) {
        scalar(w, v);
        return;
    }
    jw_begin(w, '{');
    json_object_foreach((json_t *)v, key, value) {
        jw_text(w, key);
        buf_str(w->out, ":");
        w->comma = false;
        scalar(w, value);
    }
    jw_end(w, '}');
}

/* Controls, invisible characters, and what would show a text in another order than it is. */
static bool unsafe(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x2069) || c == 0xfeff;
}

void html_text(struct buf *out, const char *s) {
    static const struct { char c; const char *entity; } rows[] = {
        {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"},
    };
    size_t left = strlen(s);
    while (left) {
        uint32_t c = 0;
        size_t n = utf8_decode(s, left, &c), step = n ? n : 1;
        const char *entity = !n || unsafe(c) ? UTF8_REPLACEMENT : NULL;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            entity = *s == rows[i].c ? rows[i].entity : entity;
        if (entity)
            buf_str(out, entity);
        else
            buf_add(out, s, step);
        s += step;
        left -= step;
    }
}
