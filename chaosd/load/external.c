/* SPDX-License-Identifier: Apache-2.0 */
#include "load/external.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "history/event.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

const char *const external_format_names[] = {
    [EXTERNAL_NONE] = "none", [EXTERNAL_JSONL] = "jsonl", [EXTERNAL_H2LOAD] = "h2load",
    [EXTERNAL_K6] = "k6",     [EXTERNAL_RALLY] = "rally", NULL,
};

#define TIME_LIMIT_S 4e9 /* in the year 2096 */

__attribute__((format(printf, 2, 3))) static enum external_word unreadable(char why[EXTERNAL_WHY], const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, EXTERNAL_WHY, format, ap);
    va_end(ap);
    return EXTERNAL_UNREADABLE;
}

bool external_seconds(double s, int64_t *ret_ns) {
    if (!isfinite(s) || s < 0 || s > TIME_LIMIT_S)
        return false;
    *ret_ns = (int64_t)(s * 1e9);
    return true;
}

uint8_t external_reason(const char *words) {
    static const struct { const char *word; uint8_t reason; } rows[] = {
        {"timeout", REASON_TIMEOUT},      {"timed out", REASON_TIMEOUT},     {"deadline", REASON_TIMEOUT},
        {"refused", REASON_REFUSED},      {"reset", REASON_RESET},           {"broken pipe", REASON_RESET},
        {"unreachable", REASON_UNREACHABLE}, {"no route", REASON_UNREACHABLE}, {"name or service not known", REASON_DNS},
        {"no such host", REASON_DNS},     {"name resolution", REASON_DNS},   {"certificate", REASON_TLS},
        {"ssl", REASON_TLS},              {"tls", REASON_TLS},               {"status", REASON_STATUS},
        {"disconnected", REASON_RESET},   {"aborted", REASON_RESET},         {"incomplete", REASON_PROTOCOL},
        {"protocol", REASON_PROTOCOL},    {"body", REASON_BODY},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcasestr(words, rows[i].word))
            return rows[i].reason;
    return REASON_OTHER;
}

static void set_status(struct external_sample *s, int64_t status) { s->status = status > 0 && status <= UINT16_MAX ? (uint16_t)status : 0; }

/* The last check of every format. */
static enum external_word sound(struct external_sample *s, char why[EXTERNAL_WHY]) {
    if (s->end_ns < s->start_ns)
        return unreadable(why, "it ended before it started");
    if (s->good)
        s->reason = REASON_NONE;
    else if (s->reason == REASON_NONE)
        s->reason = s->status ? REASON_STATUS : REASON_OTHER;
    return EXTERNAL_SAMPLE;
}

/* --- jsonl: our own --- */

/* A moment: RFC 3339 text, or seconds since 1970. False with why: it is there and no time; *found tells whether it was there. */
static bool moment(const json_t *o, const char *key, int64_t *ret, bool *found, char why[EXTERNAL_WHY]) {
    const json_t *v = json_object_get(o, key);
    *found = v && !json_is_null(v);
    if (!*found)
        return true;
    if (json_is_number(v) && external_seconds(json_number_value(v), ret))
        return true;
    if (json_is_string(v) && timestamp_find(json_string_value(v), ret) && *ret >= 0)
        return true;
    unreadable(why, "\"%s\" is no time: seconds since 1970, or 2026-11-21T22:52:01.123Z", key);
    return false;
}

/* The lengths that a request can be given by: by its end, or in ms. */
static bool length(const json_t *o, struct external_sample *s, char why[EXTERNAL_WHY]) {
    const json_t *ms = json_object_get(o, "duration_ms");
    bool found;
    if (!moment(o, "end", &s->end_ns, &found, why))
        return false;
    if (found && !s->relative)
        return true;
    int64_t ns;
    if (found || !json_is_number(ms) || !external_seconds(json_number_value(ms) / 1e3, &ns)) {
        unreadable(why, found ? "\"end\" goes with \"start\"; beside \"at\" stands \"duration_ms\""
                              : "neither \"end\" nor a \"duration_ms\" that is a length");
        return false;
    }
    s->end_ns = s->start_ns + ns;
    return true;
}

static bool jsonl_times(const json_t *o, struct external_sample *s, char why[EXTERNAL_WHY]) {
    const json_t *at = json_object_get(o, "at");
    bool found;
    if (!moment(o, "start", &s->start_ns, &found, why))
        return false;
    s->relative = !found;
    if (!found && (!json_is_number(at) || !external_seconds(json_number_value(at), &s->start_ns))) {
        unreadable(why, "neither \"start\" nor \"at\" (seconds since the program's start)");
        return false;
    }
    return length(o, s, why);
}

static enum external_word from_jsonl(const json_t *o, struct external_sample *s, char why[EXTERNAL_WHY]) {
    const json_t *ok = json_object_get(o, "ok"), *status = json_object_get(o, "status"), *error = json_object_get(o, "error");
    const char *target = json_string_value(json_object_get(o, "target"));
    if (!jsonl_times(o, s, why))
        return EXTERNAL_UNREADABLE;
    if (status && !json_is_null(status) && !json_is_integer(status))
        return unreadable(why, "\"status\" is no integer");
    if (error && !json_is_null(error) && !json_is_string(error))
        return unreadable(why, "\"error\" is no text");
    if (!json_is_boolean(ok))
        return unreadable(why, "\"ok\" must be true or false");
    s->good = json_is_true(ok);
    set_status(s, json_integer_value(status));
    s->reason = json_is_string(error) ? external_reason(json_string_value(error)) : REASON_NONE;
    snprintf(s->target, sizeof s->target, "%s", target ? target : "");
    return sound(s, why);
}

/* --- k6 --- */

static uint8_t k6_reason(int64_t code) {
    static const struct { int from, to; uint8_t reason; } rows[] = {
        {1050, 1050, REASON_TIMEOUT}, {1100, 1199, REASON_DNS},    {1211, 1211, REASON_TIMEOUT},  {1212, 1212, REASON_REFUSED},
        {1201, 1201, REASON_RESET},   {1220, 1220, REASON_RESET},  {1300, 1399, REASON_TLS},      {1400, 1599, REASON_STATUS},
        {1600, 1699, REASON_PROTOCOL}, {1700, 1799, REASON_BODY},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (code >= rows[i].from && code <= rows[i].to)
            return rows[i].reason;
    return code ? REASON_OTHER : REASON_NONE;
}

static int64_t tag_number(const json_t *tags, const char *key) {
    const char *text = json_string_value(json_object_get(tags, key));
    char *end;
    long long v = text ? strtoll(text, &end, 10) : 0;
    return text && *text && !*end ? v : 0;
}

/* A point's time is that of the answer; its value, in ms, does not count the wait for a connection. */
static enum external_word from_k6(const json_t *o, struct external_sample *s, char why[EXTERNAL_WHY]) {
    const char *type = json_string_value(json_object_get(o, "type")), *metric = json_string_value(json_object_get(o, "metric"));
    const json_t *data = json_object_get(o, "data"), *value = json_object_get(data, "value"), *tags = json_object_get(data, "tags");
    const char *time = json_string_value(json_object_get(data, "time")), *expected = json_string_value(json_object_get(tags, "expected_response"));
    int64_t ns;
    if (!type || !metric)
        return unreadable(why, "no line of k6: it has no \"type\" and \"metric\"");
    if (strcmp(type, "Point") || strcmp(metric, "http_req_duration"))
        return EXTERNAL_OTHER;
    if (!time || !timestamp_find(time, &s->end_ns))
        return unreadable(why, "the point has no \"time\"");
    if (!json_is_number(value) || !external_seconds(json_number_value(value) / 1e3, &ns))
        return unreadable(why, "the point's \"value\" is no length");
    s->start_ns = s->end_ns - ns;
    int64_t status = tag_number(tags, "status"), code = tag_number(tags, "error_code");
    set_status(s, status);
    /* Scripts may leave the tag out; k6's own rule is then 200 to 399. */
    s->good = expected ? !strcmp(expected, "true") : status >= 200 && status < 400 && !code;
    s->reason = k6_reason(code);
    return sound(s, why);
}

/* --- h2load: microseconds since 1970, status (-1: failed), microseconds until the end; more columns may come --- */

static const char *column(const char *p, const char *end, int64_t *ret) {
    char digits[24];
    size_t n = 0;
    while (p < end && *p != '\t' && n < sizeof digits - 1)
        digits[n++] = *p++;
    digits[n] = 0;
    char *stop;
    *ret = strtoll(digits, &stop, 10);
    return n && !*stop && (p == end || *p == '\t') ? p + (p < end) : NULL;
}

static enum external_word from_h2load(const char *line, size_t len, struct external_sample *s, char why[EXTERNAL_WHY]) {
    const int64_t most_us = (int64_t)(TIME_LIMIT_S * 1e6);
    const char *p = line, *end = line + len;
    int64_t start, status, took;
    if (!(p = column(p, end, &start)) || !(p = column(p, end, &status)) || !column(p, end, &took))
        return unreadable(why, "not three columns of numbers");
    if (start < 0 || start > most_us || took < 0 || took > most_us)
        return unreadable(why, "its times are beyond all clocks");
    if (status < -1 || status > 999)
        return unreadable(why, "%" PRId64 " is no status", status);
    s->start_ns = start * 1000;
    s->end_ns = s->start_ns + took * 1000;
    set_status(s, status);
    s->good = status >= 200 && status < 400; /* as h2load counts its own */
    return sound(s, why);
}

/* --- */

static enum external_word from_json(enum external_format f, const char *line, size_t len, struct external_sample *s, char why[EXTERNAL_WHY]) {
    json_error_t where;
    cleanup_json json_t *o = json_loadb(line, len, 0, &where);
    if (!o)
        return unreadable(why, "not JSON: %.*s", EXTERNAL_WHY - 16, where.text);
    if (!json_is_object(o))
        return unreadable(why, "not a JSON object");
    return f == EXTERNAL_K6 ? from_k6(o, s, why) : from_jsonl(o, s, why);
}

enum external_word external_line(enum external_format f, const char *line, size_t len, struct external_sample *ret, char why[EXTERNAL_WHY]) {
    *ret = (struct external_sample){.steps = 1};
    if (len && line[len - 1] == '\r')
        len--;
    if (!len)
        return EXTERNAL_OTHER;
    if (len > EXTERNAL_LINE_MAX)
        return unreadable(why, "longer than %d bytes", EXTERNAL_LINE_MAX);
    switch (f) {
    case EXTERNAL_H2LOAD: return from_h2load(line, len, ret, why);
    case EXTERNAL_JSONL:
    case EXTERNAL_K6: return from_json(f, line, len, ret, why);
    case EXTERNAL_NONE:
    case EXTERNAL_RALLY:
    case EXTERNAL_FORMAT_COUNT: break;
    }
    return EXTERNAL_OTHER;
}
