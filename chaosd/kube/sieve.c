/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/sieve.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
    MAX_KEPT = 1 << 20,
    MAX_LEVELS = 24,  /* as deep as tables of what to keep go */
    MAX_DEPTH = 16384, /* of what is copied or left out whole: an API server takes 10,000 */
    MAX_KEY = 256,    /* longer ones are in no table */
    IDLE_BYTES = 64 << 10,
};

/* What the next byte that is no blank has to be. */
enum state { DOCUMENT, VALUE, VALUE_OR_END, KEY, KEY_OR_END, COLON, NEXT, IN_KEY, IN_STRING, IN_WORD, IN_BRACKETS, OVER };

struct level {
    const struct keep *keep;
    bool array, items, any; /* items: each element is told; any: a member or element was written */
};

struct sieve {
    struct sieve_spec spec;
    struct level levels[MAX_LEVELS];
    size_t depth;
    enum state state;
    const struct keep *sub; /* of the value that comes */
    bool keeping, whole;    /* the value that comes is written at all; without looking into it */
    bool items_next;        /* it is the list's items */
    char key[MAX_KEY];
    size_t key_len;
    bool escaped, in_string; /* after a backslash; in a string within brackets */
    unsigned brackets;       /* open ones of a value taken whole */
    uint8_t square[MAX_DEPTH / 8];
    struct buf object, rest, *out;
    uint64_t before; /* bytes of earlier pieces */
    const char *piece;
    struct error *err;
};

int sieve_new(const struct sieve_spec *spec, struct sieve **ret, struct error *err) {
    struct sieve *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, -ENOMEM, "out of memory");
    s->spec = *spec;
    if (!s->spec.max_kept)
        s->spec.max_kept = MAX_KEPT;
    s->out = spec->mode == SIEVE_LIST ? &s->rest : &s->object;
    *ret = s;
    return 0;
}

void sieve_free(struct sieve *s) {
    if (!s)
        return;
    buf_free(&s->object);
    buf_free(&s->rest);
    free(s);
}

static int bad(struct sieve *s, const char *at, const char *expected) {
    unsigned long long offset = s->before + (uint64_t)(at - s->piece);
    if (isprint((unsigned char)*at))
        return error_set(s->err, -EPROTO, "no JSON: at byte %llu is '%c' where %s was expected", offset, *at, expected);
    return error_set(s->err, -EPROTO, "no JSON: at byte %llu is 0x%02x where %s was expected", offset, (unsigned char)*at, expected);
}

static int put(struct sieve *s, const char *text, size_t len) {
    if (s->out->len + len > s->spec.max_kept)
        return error_set(s->err, -EFBIG, "an object with more than %zu bytes of what is wanted of it", s->spec.max_kept);
    buf_add(s->out, text, len);
    return buf_ok(s->out) ? 0 : error_set(s->err, -ENOMEM, "out of memory");
}

static int tell(struct sieve *s) {
    int rc = s->spec.object(s->object.data ? s->object.data : "", s->object.len, s->spec.arg, s->err);
    if (s->object.cap > IDLE_BYTES)
        buf_free(&s->object);
    buf_clear(&s->object);
    return rc;
}

static int value_ended(struct sieve *s) {
    struct level *l = s->depth ? &s->levels[s->depth - 1] : NULL;
    s->state = l ? NEXT : s->spec.mode == SIEVE_LIST ? OVER : DOCUMENT;
    if (l && l->items) {
        int rc = tell(s);
        s->out = &s->rest;
        return rc;
    }
    return !l && s->spec.mode == SIEVE_STREAM ? tell(s) : 0;
}

static int push(struct sieve *s, bool array) {
    if (s->depth == MAX_LEVELS)
        return error_set(s->err, -EPROTO, "nested deeper than %d levels", MAX_LEVELS);
    s->levels[s->depth++] = (struct level){.keep = s->sub, .array = array, .items = s->items_next};
    s->state = array ? VALUE_OR_END : KEY_OR_END;
    if (s->items_next) {
        s->items_next = false;
        return 0;
    }
    return put(s, array ? "[" : "{", 1);
}

static int pop(struct sieve *s) {
    const struct level *l = &s->levels[--s->depth];
    if (!l->items) {
        int rc = put(s, l->array ? "]" : "}", 1);
        return rc < 0 ? rc : value_ended(s);
    }
    s->state = NEXT; /* the list's own value: not an element of anything */
    return 0;
}

static void bracket_open(struct sieve *s, bool square) {
    uint8_t bit = (uint8_t)(1u << s->brackets % 8), *byte = &s->square[s->brackets / 8];
    *byte = square ? *byte | bit : (uint8_t)(*byte & ~bit);
    s->brackets++;
}

static bool bracket_close(struct sieve *s, bool square) {
    s->brackets--;
    return square == ((s->square[s->brackets / 8] >> s->brackets % 8 & 1) != 0);
}

/* The first byte of a value. Strings, words and what is not looked into are taken by the loops below, this byte included. */
static int begin_value(struct sieve *s, const char **p) {
    char c = **p;
    bool brackets = c == '{' || c == '[';
    if (brackets && ((s->keeping && !s->whole) || (s->items_next && c == '['))) {
        (*p)++;
        return push(s, c == '[');
    }
    s->items_next = false;
    if (brackets) {
        s->brackets = 0;
        s->in_string = s->escaped = false;
        s->state = IN_BRACKETS;
    } else if (c == '"') {
        s->escaped = false;
        s->state = IN_STRING;
        int rc = s->keeping ? put(s, p[0], 1) : 0;
        (*p)++;
        return rc;
    } else if (c == '-' || isalnum((unsigned char)c)) {
        s->state = IN_WORD;
    } else {
        return bad(s, *p, "a value");
    }
    return 0;
}

/* An element of an array that is looked into. */
static int begin_element(struct sieve *s, const char **p) {
    struct level *l = &s->levels[s->depth - 1];
    s->sub = l->keep;
    s->keeping = true;
    s->whole = !l->keep;
    if (l->items) {
        s->out = &s->object;
        s->sub = s->spec.keep;
        s->whole = !s->spec.keep;
    } else if (l->any) {
        int rc = put(s, ",", 1);
        if (rc < 0)
            return rc;
    }
    l->any = true;
    return begin_value(s, p);
}

static const struct keep *find_key(const struct keep *k, const char *key, size_t len) {
    for (; k && k->key; k++)
        if (k->key[0] == key[0] && strlen(k->key) == len && memcmp(k->key, key, len) == 0) /* there may be NULs in key */
            return k;
    return NULL;
}

static int key_ended(struct sieve *s) {
    struct level *l = &s->levels[s->depth - 1];
    s->state = COLON;
    s->items_next = s->spec.mode == SIEVE_LIST && s->depth == 1 && s->key_len == 5 && memcmp(s->key, "items", 5) == 0;
    const struct keep *k = s->items_next || s->key_len > MAX_KEY ? NULL : find_key(l->keep, s->key, s->key_len);
    s->keeping = k != NULL;
    if (!k)
        return 0;
    s->sub = k->sub;
    s->whole = !k->sub;
    int rc = l->any ? put(s, ",", 1) : 0;
    l->any = true;
    if (rc == 0 && (rc = put(s, "\"", 1)) == 0 && (rc = put(s, s->key, s->key_len)) == 0)
        rc = put(s, "\":", 2);
    return rc;
}

static int in_key(struct sieve *s, const char **p, const char *end) {
    for (; *p < end; (*p)++) {
        char c = **p;
        if (c == '"' && !s->escaped) {
            (*p)++;
            return key_ended(s);
        }
        s->escaped = c == '\\' && !s->escaped;
        if (s->key_len < MAX_KEY)
            s->key[s->key_len] = c;
        s->key_len += s->key_len <= MAX_KEY; /* one more than fits: in no table */
    }
    return 0;
}

/* Past the string's end; NULL: it does not end in here. Strings are short, and nearly none has a backslash. */
static const char *string_end(struct sieve *s, const char *p, const char *end) {
    if (s->escaped && p < end) {
        s->escaped = false;
        p++;
    }
    while (p < end) {
        const char *quote = memchr(p, '"', (size_t)(end - p)), *stop = quote ? quote : end, *slash = stop;
        while (slash > p && slash[-1] == '\\')
            slash--;
        bool odd = (stop - slash) % 2 != 0; /* as many backslashes before it: the last one takes the next byte */
        if (!quote) {
            s->escaped = odd;
            return NULL;
        }
        if (!odd)
            return quote + 1;
        p = quote + 1;
    }
    return NULL;
}

static int in_string(struct sieve *s, const char **p, const char *end) {
    const char *from = *p, *past = string_end(s, from, end);
    *p = past ? past : end;
    int rc = s->keeping ? put(s, from, (size_t)(*p - from)) : 0;
    return rc < 0 || !past ? rc : value_ended(s);
}

static int in_word(struct sieve *s, const char **p, const char *end) {
    const char *from = *p;
    while (*p < end && (isalnum((unsigned char)**p) || **p == '.' || **p == '-' || **p == '+'))
        (*p)++;
    int rc = s->keeping ? put(s, from, (size_t)(*p - from)) : 0;
    return rc < 0 || *p == end ? rc : value_ended(s);
}

static const uint8_t matters[256] = {['"'] = 1, ['{'] = 1, ['}'] = 1, ['['] = 1, [']'] = 1};

/* Most bytes of all go through here. Past the value's end, or end; NULL: error. */
static const char *brackets_end(struct sieve *s, const char *p, const char *end, bool *ret_ended, int *ret_rc) {
    while (p < end) {
        if (s->in_string) {
            const char *past = string_end(s, p, end);
            s->in_string = past == NULL;
            p = past ? past : end;
            continue;
        }
        while (p < end && !matters[(unsigned char)*p])
            p++;
        if (p == end)
            break;
        char c = *p;
        if (c == '"') {
            s->in_string = true;
        } else if (c == '{' || c == '[') {
            if (s->brackets == MAX_DEPTH) {
                *ret_rc = error_set(s->err, -EPROTO, "nested deeper than %d levels", MAX_DEPTH);
                return NULL;
            }
            bracket_open(s, c == '[');
        } else if (!bracket_close(s, c == ']')) {
            *ret_rc = bad(s, p, c == ']' ? "'}'" : "']'");
            return NULL;
        } else if (s->brackets == 0) {
            *ret_ended = true;
            return p + 1;
        }
        p++;
    }
    return end;
}

static int in_brackets(struct sieve *s, const char **p, const char *end) {
    bool ended = false;
    int rc = 0;
    const char *from = *p, *past = brackets_end(s, from, end, &ended, &rc);
    if (!past)
        return rc;
    *p = past;
    rc = s->keeping ? put(s, from, (size_t)(past - from)) : 0;
    return rc < 0 || !ended ? rc : value_ended(s);
}

static int after_value(struct sieve *s, const char **p) {
    const struct level *l = &s->levels[s->depth - 1];
    char c = **p;
    if (c == ',') {
        (*p)++;
        s->state = l->array ? VALUE : KEY;
        return 0;
    }
    if (c != (l->array ? ']' : '}'))
        return bad(s, *p, l->array ? "',' or ']'" : "',' or '}'");
    (*p)++;
    return pop(s);
}

/* Between values: one byte that is no blank. */
static int step(struct sieve *s, const char **p) {
    char c = **p;
    switch (s->state) {
    case DOCUMENT:
        if (c != '{')
            return bad(s, *p, "an object");
        s->sub = s->spec.mode == SIEVE_LIST ? s->spec.list_keep : s->spec.keep;
        s->keeping = true;
        s->whole = !s->sub && s->spec.mode == SIEVE_STREAM;
        return begin_value(s, p);
    case KEY_OR_END:
    case VALUE_OR_END:
        if (c == (s->state == KEY_OR_END ? '}' : ']')) {
            (*p)++;
            return pop(s);
        }
        if (s->state == VALUE_OR_END)
            return begin_element(s, p);
        /* fall through */
    case KEY:
        if (c != '"')
            return bad(s, *p, "a key");
        (*p)++;
        s->key_len = 0;
        s->escaped = false;
        s->state = IN_KEY;
        return 0;
    case COLON:
        if (c != ':')
            return bad(s, *p, "':'");
        (*p)++;
        s->state = VALUE;
        return 0;
    case VALUE:
        return s->levels[s->depth - 1].array ? begin_element(s, p) : begin_value(s, p);
    case NEXT:
        return after_value(s, p);
    default:
        return bad(s, *p, "the end");
    }
}

static bool blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

int sieve_feed(struct sieve *s, const char *data, size_t len, struct error *err) {
    const char *p = data, *end = data + len;
    int rc = 0;
    s->piece = data;
    s->err = err;
    while (p < end && rc == 0) {
        if (s->state == IN_BRACKETS)
            rc = in_brackets(s, &p, end);
        else if (s->state == IN_STRING)
            rc = in_string(s, &p, end);
        else if (s->state == IN_KEY)
            rc = in_key(s, &p, end);
        else if (s->state == IN_WORD)
            rc = in_word(s, &p, end);
        else if (blank(*p))
            p++;
        else
            rc = step(s, &p);
    }
    s->before += len;
    s->err = NULL;
    return rc;
}

int sieve_end(struct sieve *s, struct error *err) {
    if (s->state == OVER || (s->state == DOCUMENT && s->spec.mode == SIEVE_STREAM))
        return 0;
    return error_set(err, -EPIPE, "cut off after %llu bytes, in the middle of an object", (unsigned long long)s->before);
}

const char *sieve_rest(const struct sieve *s) { return s->rest.data ? s->rest.data : "{}"; }
uint64_t sieve_bytes(const struct sieve *s) { return s->before; }
