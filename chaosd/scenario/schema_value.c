/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario/schema_internal.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef int (*decode_fn)(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out);

static void format_int(int64_t v, char *out, size_t size) {
    snprintf(out, size, "%" PRId64, v);
}

/* v / unit with its fraction, without trailing zeros; unit is a power of ten. */
static void format_decimal(int64_t v, int64_t unit, int width, const char *suffix, char *out, size_t size) {
    char frac[24];
    int n = snprintf(frac, sizeof frac, ".%0*" PRId64, width, v % unit);
    while (frac[n - 1] == '0')
        frac[--n] = '\0';
    snprintf(out, size, "%" PRId64 "%s%s", v / unit, n > 1 ? frac : "", suffix);
}

static void format_rate(int64_t v, char *out, size_t size) {
    format_decimal(v, 1000000, 6, "/s", out, size);
}

static void format_percent(int64_t v, char *out, size_t size) {
    format_decimal(v, 10000, 4, "%", out, size);
}

/* In the largest unit that leaves a whole number. */
static void format_whole(int64_t v, int64_t step, const char *const units[5], char *out, size_t size) {
    size_t i = 0;
    for (; v && v % step == 0 && i < 4; i++)
        v /= step;
    snprintf(out, size, "%" PRId64 "%s", v, units[i]);
}

static void format_bytes(int64_t v, char *out, size_t size) {
    format_whole(v, 1024, (const char *const[5]){"", "KiB", "MiB", "GiB", "TiB"}, out, size);
}

static void format_bandwidth(int64_t v, char *out, size_t size) {
    format_whole(v, 1000, (const char *const[5]){"bit", "kbit", "mbit", "gbit", "tbit"}, out, size);
}

/* Types that are one integer: how to read it, how to write a limit. */
static const struct quantity {
    int (*parse)(const char *s, int64_t *ret, struct error *err);
    void (*format)(int64_t v, char *out, size_t size);
} quantities[] = {
    [F_INT] = {parse_int, format_int},
    [F_DURATION] = {parse_duration, format_duration},
    [F_RATE] = {parse_rate, format_rate},
    [F_PERCENT] = {parse_percent, format_percent},
    [F_BYTES] = {parse_bytes, format_bytes},
    [F_BANDWIDTH] = {parse_bandwidth, format_bandwidth},
};

/* What a scalar type looks like, for whoever wrote something else. */
static const char *const examples[] = {
    [F_STRING] = "a string",
    [F_NAME] = "a name such as kill-leader",
    [F_TEMPLATE] = "a string",
    [F_BOOL] = "true or false",
    [F_INT] = "a whole number such as 3",
    [F_DURATION] = "a duration such as 1m30s",
    [F_DURATION_RANGE] = "a duration such as 20s, or a range such as 15s..25s",
    [F_DURATIONS] = "a duration such as 10s, or a list such as [10s, 30s]",
    [F_RATE] = "a rate such as 200/s",
    [F_PERCENT] = "a percentage such as 5%",
    [F_BYTES] = "a size such as 64KiB",
    [F_BANDWIDTH] = "a bandwidth such as 10mbit",
    [F_ENUM] = "one of its words",
    [F_STRINGS] = "a string, or a list of strings such as [a, b]",
    [F_TEMPLATES] = "a string, or a list of strings such as [a, b]",
    [F_STRING_MAP] = "a mapping of strings such as {app: etcd}",
    [F_TEMPLATE_MAP] = "a mapping of strings such as {app: etcd}",
    [F_ENUMS] = "a word, or a list of words",
};

int decode_expected(const struct decoder *d, const struct field *f, const json_t *v, const char *path, const char *expected) {
    char tmp[40], clip[CLIP_SIZE];
    const char *text = json_text(v, tmp, sizeof tmp);
    if (text)
        return decode_fail(d, path, 0, "%s: expected %s, got \"%s\"", f->name, expected, text_clip(text, clip));
    return decode_fail(d, path, 0, "%s: expected %s, got %s", f->name, expected,
                       json_is_array(v) ? "a list" : json_is_object(v) ? "a mapping" : "nothing");
}

/* A scalar's text, numbers and booleans as they were written; NULL: error set in *rc. */
static const char *text_of(const struct decoder *d, const struct field *f, const json_t *v, const char *path, int *rc) {
    char tmp[40];
    const char *text = json_is_string(v) || json_is_null(v) ? NULL : doc_written(d->doc, path);
    if (!text)
        text = json_text(v, tmp, sizeof tmp);
    if (!text) {
        *rc = decode_expected(d, f, v, path, examples[f->type]);
        return NULL;
    }
    const char *copy = arena_strdup(d->arena, text);
    if (!copy)
        *rc = decode_no_memory(d);
    return copy;
}

static int check_range(const struct decoder *d, const struct field *f, const struct quantity *q, int64_t v, const char *path) {
    char value[64], low[64], high[64];
    int64_t min = f->min, max = f->max < f->min || (f->max == 0 && f->min == 0) ? INT64_MAX : f->max;
    if (v >= min && v <= max)
        return 0;
    q->format(v, value, sizeof value);
    q->format(min, low, sizeof low);
    q->format(max, high, sizeof high);
    if (max == INT64_MAX)
        return decode_fail(d, path, 0, "%s: %s is out of range: at least %s", f->name, value, low);
    return decode_fail(d, path, 0, "%s: %s is out of range: from %s to %s", f->name, value, low, high);
}

static int parse_text(const struct decoder *d, const struct field *f, const struct quantity *q, const char *text, const char *path,
                      int64_t *ret) {
    struct error e;
    if (q->parse(text, ret, &e) < 0)
        return decode_fail(d, path, 0, "%s: %s", f->name, e.text);
    return check_range(d, f, q, *ret, path);
}

static int decode_quantity(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    int rc = 0;
    const struct quantity *q = &quantities[f->type == F_DURATIONS ? F_DURATION : f->type];
    if (f->type == F_INT && json_is_integer(v)) { /* 0x1F is a number, though its text is none to parse_int */
        *(int64_t *)out = json_integer_value(v);
        return check_range(d, f, q, *(int64_t *)out, path);
    }
    const char *text = text_of(d, f, v, path, &rc);
    return text ? parse_text(d, f, q, text, path, out) : rc;
}

static int decode_string(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    int rc = 0;
    const char *text = text_of(d, f, v, path, &rc);
    *(const char **)out = text;
    return text && (f->min || f->max) ? decode_length(d, f, strlen(text), path) : rc;
}

static int decode_name(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    int rc = 0;
    char clip[CLIP_SIZE];
    const char *text = text_of(d, f, v, path, &rc);
    if (!text)
        return rc;
    size_t len = strlen(text);
    if (len == 0 || len > 63 || text[0] == '-' || text[len - 1] == '-' || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return decode_fail(d, path, 0, "%s: \"%s\" is not a name: a to z, 0 to 9 and \"-\" in between, at most 63, such as kill-leader",
                           f->name, text_clip(text, clip));
    *(const char **)out = text;
    return 0;
}

static int compile(const struct decoder *d, const struct field *f, const char *text, unsigned flags, const char *path, void *out) {
    struct error e;
    int rc = template_compile(d->arena, text, flags, out, &e);
    return rc == -ENOMEM ? decode_no_memory(d) : rc < 0 ? decode_fail(d, path, 0, "%s: %s", f->name, e.text) : 0;
}

static int decode_template(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    int rc = 0;
    const char *text = text_of(d, f, v, path, &rc);
    return text ? compile(d, f, text, 0, path, out) : rc;
}

static int decode_bool(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    const char *text = json_string_value(v);
    bool yes = json_is_true(v) || (text && strcmp(text, "true") == 0);
    if (!yes && !json_is_false(v) && !(text && strcmp(text, "false") == 0))
        return decode_expected(d, f, v, path, examples[F_BOOL]);
    *(bool *)out = yes;
    return 0;
}

static int decode_range(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    int rc = 0;
    struct duration_range r;
    const struct quantity *q = &quantities[F_DURATION];
    const char *text = text_of(d, f, v, path, &rc);
    if (!text)
        return rc;
    const char *dots = strstr(text, ".."), *from = text;
    if (dots && !(from = arena_strndup(d->arena, text, (size_t)(dots - text))))
        return decode_no_memory(d);
    if ((rc = parse_text(d, f, q, from, path, &r.from_ns)) < 0 || (rc = parse_text(d, f, q, dots ? dots + 2 : from, path, &r.to_ns)) < 0)
        return rc;
    if (r.from_ns > r.to_ns)
        return decode_fail(d, path, 0, "%s: \"%.63s\" runs backwards: say \"%.63s..%.63s\"", f->name, text, dots + 2, from);
    *(struct duration_range *)out = r;
    return 0;
}

static int decode_enum(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    int rc = 0;
    char clip[CLIP_SIZE];
    const char *text = text_of(d, f, v, path, &rc);
    if (!text)
        return rc;
    for (int i = 0; f->values[i]; i++) {
        if (strcmp(f->values[i], text) == 0) {
            *(int *)out = i;
            return 0;
        }
    }
    const char *near = did_you_mean(text, f->values);
    text_clip(text, clip);
    if (near)
        return decode_fail(d, path, 0, "%s: unknown value \"%s\", did you mean \"%s\"?", f->name, clip, near);
    cleanup_buf struct buf list = {0};
    for (size_t i = 0; f->values[i]; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", f->values[i]);
    return decode_fail(d, path, 0, "%s: unknown value \"%s\": expected one of %s", f->name, clip, list.data ? list.data : "");
}

static int decode_json(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    (void)d, (void)f, (void)path;
    *(json_t **)out = v;
    return 0;
}

/* 15 digits where they read back the same, so that 0.1 is sent as 0.1. */
static char *dump(const json_t *v) {
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    cleanup_json json_t *back = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    if (back && json_equal(back, v))
        return text;
    free(text);
    return json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
}

static int decode_json_template(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    cleanup_free char *text = dump(v);
    return text ? compile(d, f, text, TEMPLATE_JSON, path, out) : decode_no_memory(d);
}

/* Lists and maps of scalars: what one element is, and how large. */
static const struct {
    decode_fn decode;
    size_t size;
    bool value_limits; /* the row's limits are each element's, not the list's length */
} elements[] = {
    [F_STRINGS] = {decode_string, sizeof(const char *), false},
    [F_TEMPLATES] = {decode_template, sizeof(const struct template *), false},
    [F_DURATIONS] = {decode_quantity, sizeof(int64_t), true},
    [F_ENUMS] = {decode_enum, sizeof(int), false},
    [F_STRING_MAP] = {decode_string, sizeof(struct pair), false},
    [F_TEMPLATE_MAP] = {decode_template, sizeof(struct template_pair), false},
};
/* They are all {pointer, count}: written as one. */
_Static_assert(sizeof(struct strings) == sizeof(struct list) && offsetof(struct strings, count) == offsetof(struct list, count), "layout");
_Static_assert(sizeof(struct pairs) == sizeof(struct list) && offsetof(struct pairs, count) == offsetof(struct list, count), "layout");
_Static_assert(sizeof(struct ints) == sizeof(struct list) && offsetof(struct durations, count) == offsetof(struct list, count), "layout");
_Static_assert(offsetof(struct pair, value) == offsetof(struct template_pair, value), "layout");

static int decode_elements(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    struct field one = *f;
    size_t size = elements[f->type].size, count = json_is_array(v) ? json_array_size(v) : 1;
    int rc = 0;
    if (json_is_object(v) || json_is_null(v))
        return decode_expected(d, f, v, path, examples[f->type]);
    if (!elements[f->type].value_limits) {
        if ((rc = decode_length(d, f, count, path)) < 0)
            return rc;
        one.min = one.max = 0;
    }
    char *items = count ? arena_alloc(d->arena, count * size) : NULL;
    if (count && !items)
        return decode_no_memory(d);
    for (size_t i = 0; i < count && rc == 0; i++) {
        json_t *item = json_is_array(v) ? json_array_get(v, i) : v;
        const char *at = json_is_array(v) ? decode_join_index(d, path, i) : path;
        rc = at ? elements[f->type].decode(d, &one, item, at, items + i * size) : decode_no_memory(d);
    }
    memcpy(out, &(struct list){items, count}, sizeof(struct list));
    return rc;
}

static int decode_map(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    struct field one = *f;
    size_t size = elements[f->type].size, count = json_object_size(v), i = 0;
    const char *key;
    json_t *member;
    if (!json_is_object(v))
        return decode_expected(d, f, v, path, examples[f->type]);
    int rc = decode_length(d, f, count, path);
    char *items = count ? arena_alloc(d->arena, count * size) : NULL;
    if (count && !items)
        return decode_no_memory(d);
    one.min = one.max = 0;
    one.type = F_STRING; /* for the message about a member */
    json_object_foreach(v, key, member) {
        const char *at = decode_join(d, path, key), *copy = arena_strdup(d->arena, key);
        if (rc < 0)
            return rc;
        if (!at || !copy)
            return decode_no_memory(d);
        char *item = items + i++ * size;
        *(const char **)item = copy;
        one.name = copy;
        rc = elements[f->type].decode(d, &one, member, at, item + offsetof(struct pair, value));
    }
    memcpy(out, &(struct list){items, count}, sizeof(struct list));
    return rc;
}

static const decode_fn decoders[] = {
    [F_STRING] = decode_string,
    [F_NAME] = decode_name,
    [F_TEMPLATE] = decode_template,
    [F_BOOL] = decode_bool,
    [F_INT] = decode_quantity,
    [F_DURATION] = decode_quantity,
    [F_DURATION_RANGE] = decode_range,
    [F_DURATIONS] = decode_elements,
    [F_RATE] = decode_quantity,
    [F_PERCENT] = decode_quantity,
    [F_BYTES] = decode_quantity,
    [F_BANDWIDTH] = decode_quantity,
    [F_ENUM] = decode_enum,
    [F_ENUMS] = decode_elements,
    [F_STRINGS] = decode_elements,
    [F_TEMPLATES] = decode_elements,
    [F_STRING_MAP] = decode_map,
    [F_TEMPLATE_MAP] = decode_map,
    [F_JSON] = decode_json,
    [F_JSON_TEMPLATE] = decode_json_template,
};

int decode_value(const struct decoder *d, const struct field *f, json_t *v, const char *path, void *out) {
    return decoders[f->type](d, f, v, path, out);
}
