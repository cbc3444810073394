/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/answer.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const encoding_names[] = {[ENCODING_TEXT] = "text", [ENCODING_HEX] = "hex", NULL};

#define A(member) offsetof(struct answer_spec, member)
static const struct field answer_fields[] = {
    {.name = "equals", .type = F_TEMPLATE, .offset = A(equals), .doc = "The answer, from its first byte to its last."},
    {.name = "prefix", .type = F_TEMPLATE, .offset = A(prefix), .doc = "How it begins."},
    {.name = "contains", .type = F_TEMPLATE, .offset = A(contains), .doc = "What stands in it, anywhere."},
    {.name = "regex", .type = F_STRING, .offset = A(regex), .doc = "A POSIX extended regular expression that finds something in it."},
    {.name = "compare", .type = F_STRING, .offset = A(compare),
     .doc = "Its first line is a number, and compares so: \"> 0\", \"<= 2.5\", \"== 3\", \"!= 0\"."},
    {.name = "max", .type = F_BYTES, .offset = A(max), .def = "64KiB", .min = 1, .max = 16 << 20,
     .doc = "How long it may become before it is given up as wrong."},
    {0},
};
#undef A

static const struct {
    const char *text;
    enum number_compare operator;
} operators[] = {{"<=", NUMBER_LE}, {">=", NUMBER_GE}, {"==", NUMBER_EQ}, {"!=", NUMBER_NE}, {"<", NUMBER_LT}, {">", NUMBER_GT}};

/* A whole text that is one number. */
static bool parse_number(const char *s, double *ret) {
    char *end;
    errno = 0;
    *ret = strtod(s, &end);
    if (end == s || errno || !isfinite(*ret))
        return false;
    while (isspace((unsigned char)*end))
        end++;
    return !*end;
}

static int compile_compare(struct answer_spec *s, const struct schema_at *at, struct error *err) {
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
        size_t len = strlen(operators[i].text);
        if (strncmp(s->compare, operators[i].text, len) != 0)
            continue;
        s->operator = operators[i].operator;
        if (parse_number(s->compare + len, &s->number))
            return 0;
        break;
    }
    return doc_error(at->doc, at->path, 0, err, -EINVAL, "compare \"%.60s\": expected <, <=, >, >=, == or != and a number, as in \"> 0\"", s->compare);
}

static void free_regex(void *r) { regfree(r); }

static int compile_regex(struct answer_spec *s, const struct schema_at *at, struct error *err) {
    char why[160];
    s->compiled = arena_alloc(at->arena, sizeof *s->compiled);
    if (!s->compiled)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = regcomp(s->compiled, s->regex, REG_EXTENDED);
    if (rc) {
        regerror(rc, s->compiled, why, sizeof why);
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "regex \"%.60s\": %s", s->regex, why);
    }
    if (arena_defer(at->arena, free_regex, s->compiled) == 0)
        return 0;
    regfree(s->compiled);
    return error_set(err, -ENOMEM, "out of memory");
}

static int answer_check(void *value, const struct schema_at *at, struct error *err) {
    struct answer_spec *s = value;
    int given = !!s->equals + !!s->prefix + !!s->contains + !!s->regex + !!s->compare;
    if (given != 1)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "expected %s of equals, prefix, contains, regex and compare", given ? "only one" : "one");
    if (s->compare)
        return compile_compare(s, at, err);
    return s->regex ? compile_regex(s, at, err) : 0;
}

const struct shape answer_shape = {
    .name = "answer", .size = sizeof(struct answer_spec), .fields = answer_fields, .check = answer_check, .doc = "What a right answer of bytes is.",
};

/* --- bytes --- */

static int hex_digit(char c) {
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return at ? (int)(at - digits) : -1;
}

static int add_hex(const char *text, struct buf *out, struct error *err) {
    for (const char *p = text; *p;) {
        if (isspace((unsigned char)*p) || *p == ':') {
            p++;
            continue;
        }
        int high = hex_digit(p[0]), low = high < 0 ? -1 : hex_digit(p[1]);
        if (low < 0)
            return error_set(err, -EINVAL, "\"%.60s\": expected pairs of hex digits, as in \"00 1f\"", text);
        buf_add(out, &(char){(char)(high << 4 | low)}, 1);
        p += 2;
    }
    return buf_ok(out) ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int bytes_render(const struct template *t, enum encoding encoding, const struct template_vars *vars, struct buf *out, struct error *err) {
    if (encoding == ENCODING_TEXT)
        return template_render(t, vars, out, err);
    cleanup_buf struct buf text = {0};
    int rc = template_render(t, vars, &text, err);
    return rc < 0 ? rc : add_hex(text.data, out, err);
}

const char *bytes_shown(const char *data, size_t len, char out[SHOWN_SIZE]) {
    size_t n = 0;
    while (len && isspace((unsigned char)data[len - 1]))
        len--;
    for (; n < len && n < SHOWN_SIZE - 4; n++)
        out[n] = data[n] >= 0x20 && data[n] < 0x7f ? data[n] : '.';
    strcpy(out + n, n < len ? "..." : "");
    return out;
}

/* --- rows --- */

int exchange_templates(const struct exchange_spec *s, int (*fn)(const struct template *t, void *arg), void *arg) {
    const struct answer_spec *e = s->expect;
    const struct template *const all[] = {s->send, e ? e->equals : NULL, e ? e->prefix : NULL, e ? e->contains : NULL};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(all); i++)
        rc = all[i] ? fn(all[i], arg) : 0;
    return rc;
}

struct literal_check { const struct exchange_spec *s; const struct schema_at *at; struct error *err; };

static int check_literal(const struct template *t, void *arg) {
    const struct literal_check *c = arg;
    struct error why = {""};
    cleanup_buf struct buf out = {0};
    if (!template_is_literal(t))
        return 0;
    if (bytes_render(t, (enum encoding)c->s->encoding, NULL, &out, &why) < 0)
        return doc_error(c->at->doc, c->at->path, 0, c->err, -EINVAL, "%s", why.text);
    if (t != c->s->send && c->s->expect && out.len > (size_t)c->s->expect->max)
        return doc_error(c->at->doc, c->at->path, 0, c->err, -EINVAL, "expect: %zu bytes are awaited, but max is %lld: no answer can be right", out.len,
                         (long long)c->s->expect->max);
    return 0;
}

static bool is_empty(const struct template *t) { return t && !*template_text(t); }

int exchange_check(const struct exchange_spec *s, const struct schema_at *at, struct error *err) {
    if (is_empty(s->send))
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "send is empty: leave it out where nothing is sent");
    if (s->expect && (is_empty(s->expect->equals) || is_empty(s->expect->prefix) || is_empty(s->expect->contains)))
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "expect: an empty text is in every answer, and in none");
    return exchange_templates(s, check_literal, &(struct literal_check){s, at, err});
}

/* --- judging --- */

int answer_prepare(const struct answer_spec *s, enum encoding encoding, const struct template_vars *vars, struct answer *ret, struct error *err) {
    const struct template *t = s->equals ? s->equals : s->prefix ? s->prefix : s->contains;
    ret->spec = s;
    ret->searched = 0;
    buf_clear(&ret->bytes);
    return t ? bytes_render(t, encoding, vars, &ret->bytes, err) : 0;
}

void answer_free(struct answer *a) { buf_free(&a->bytes); }

static bool meets(enum number_compare c, double value, double limit) {
    switch (c) {
    case NUMBER_LT: return value < limit;
    case NUMBER_LE: return value <= limit;
    case NUMBER_GT: return value > limit;
    case NUMBER_GE: return value >= limit;
    case NUMBER_EQ: return value == limit;
    case NUMBER_NE: return value != limit;
    }
    return false;
}

static enum answer_state judge_bytes(const struct answer *a, const char *data, size_t len, bool closed) {
    size_t want = a->bytes.len, n = len < want ? len : want;
    if (n && memcmp(data, a->bytes.data, n) != 0)
        return ANSWER_WRONG;
    if (len < want)
        return closed ? ANSWER_CUT : ANSWER_MORE;
    return a->spec->equals && len > want ? ANSWER_WRONG : ANSWER_RIGHT;
}

/* Each byte is looked at once, however small the pieces come. */
static bool search(struct answer *a, const char *data, size_t len) {
    size_t want = a->bytes.len, from = a->searched < want ? 0 : a->searched - want + 1;
    a->searched = len;
    return memmem(data + from, len - from, a->bytes.data, want);
}

static bool matches(const struct answer_spec *s, const char *data, size_t len) {
    regmatch_t all = {.rm_so = 0, .rm_eo = (regoff_t)len};
    return regexec(s->compiled, data, 1, &all, REG_STARTEND) == 0;
}

static enum answer_state judge_number(const struct answer_spec *s, const char *data, size_t len, bool closed) {
    char line[64];
    const char *end = memchr(data, '\n', len);
    size_t n = end ? (size_t)(end - data) : len;
    double value;
    if (n >= sizeof line)
        return ANSWER_WRONG;
    if (!end && !closed)
        return ANSWER_MORE;
    memcpy(line, data, n);
    line[n] = 0;
    return parse_number(line, &value) && meets(s->operator, value, s->number) ? ANSWER_RIGHT : ANSWER_WRONG;
}

static const char *wanted(const struct answer *a, char *out, size_t size) {
    const struct answer_spec *s = a->spec;
    char shown[SHOWN_SIZE];
    const char *text = s->regex ? s->regex : s->compare ? s->compare : bytes_shown(a->bytes.data, a->bytes.len, shown);
    snprintf(out, size, s->equals ? "\"%s\"" : s->prefix ? "\"%s...\"" : s->contains ? "\"...%s...\"" : s->regex ? "/%.80s/" : "a number %.40s", text);
    return out;
}

enum answer_state answer_judge(struct answer *a, const char *data, size_t len, bool closed, char *why, size_t size) {
    const struct answer_spec *s = a->spec;
    enum answer_state state;
    char shown[SHOWN_SIZE], want[SHOWN_SIZE + 16];
    if (!data)
        data = "";
    if (s->equals || s->prefix)
        state = judge_bytes(a, data, len, closed);
    else if (s->compare && (len || !closed))
        state = judge_number(s, data, len, closed);
    else if (!s->compare && (s->regex ? matches(s, data, len) : search(a, data, len)))
        state = ANSWER_RIGHT;
    else
        state = !closed ? ANSWER_MORE : len ? ANSWER_WRONG : ANSWER_CUT;
    if (state == ANSWER_MORE && len > (size_t)s->max)
        state = ANSWER_TOO_BIG;
    if (state == ANSWER_WRONG)
        snprintf(why, size, "answered \"%s\", wanted %s", bytes_shown(data, len, shown), wanted(a, want, sizeof want));
    else if (state == ANSWER_CUT && len)
        snprintf(why, size, "ended after \"%s\", wanted %s", bytes_shown(data, len, shown), wanted(a, want, sizeof want));
    else if (state == ANSWER_CUT)
        snprintf(why, size, "ended without an answer, wanted %s", wanted(a, want, sizeof want));
    else if (state == ANSWER_TOO_BIG)
        snprintf(why, size, "over %zu bytes without %s", (size_t)s->max, wanted(a, want, sizeof want));
    return state;
}
