/* SPDX-License-Identifier: Apache-2.0 */
#include "check/expect.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "history/event.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#define QUANTILE_MAX 1000000

/* Every metric there is. A name that ends in the word "p" takes its quantile: p(99). */
static const struct form {
    const char *name;
    enum metric metric;
    enum milestone milestone;
    enum expect_unit unit;
    const char *example;
} forms[] = {
    {"availability", METRIC_AVAILABILITY, 0, UNIT_PPM, "availability >= 99.9%"},
    {"availability.time", METRIC_AVAILABILITY_TIME, 0, UNIT_PPM, "availability.time >= 99%"},
    {"errors", METRIC_ERRORS, 0, UNIT_PPM, "errors < 1%"},
    {"downtime.max", METRIC_DOWNTIME_MAX, 0, UNIT_NS, "downtime.max < 3s"},
    {"downtime.total", METRIC_DOWNTIME_TOTAL, 0, UNIT_NS, "downtime.total < 5s"},
    {"downtime.count", METRIC_DOWNTIME_COUNT, 0, UNIT_COUNT, "downtime.count <= 3"},
    {"stale_retries", METRIC_STALE_RETRIES, 0, UNIT_COUNT, "stale_retries == 0"},
    {"degradation.max", METRIC_DEGRADATION_MAX, 0, UNIT_NS, "degradation.max < 2s"},
    {"degradation.total", METRIC_DEGRADATION_TOTAL, 0, UNIT_NS, "degradation.total < 5s"},
    {"degradation.count", METRIC_DEGRADATION_COUNT, 0, UNIT_COUNT, "degradation.count <= 3"},
    {"recovery.max", METRIC_RECOVERY, MILESTONE_SUSTAINED, UNIT_NS, "recovery.max < 15s"},
    {"recovery.p", METRIC_RECOVERY, MILESTONE_SUSTAINED, UNIT_NS, "recovery.p(50) < 5s"},
    {"recovery.detect.max", METRIC_RECOVERY, MILESTONE_DETECT, UNIT_NS, "recovery.detect.max < 1s"},
    {"recovery.detect.p", METRIC_RECOVERY, MILESTONE_DETECT, UNIT_NS, "recovery.detect.p(50) < 1s"},
    {"recovery.first_good.max", METRIC_RECOVERY, MILESTONE_FIRST_GOOD, UNIT_NS, "recovery.first_good.max < 3s"},
    {"recovery.first_good.p", METRIC_RECOVERY, MILESTONE_FIRST_GOOD, UNIT_NS, "recovery.first_good.p(50) < 3s"},
    {"recovery.sustained.max", METRIC_RECOVERY, MILESTONE_SUSTAINED, UNIT_NS, "recovery.sustained.max < 5s"},
    {"recovery.sustained.p", METRIC_RECOVERY, MILESTONE_SUSTAINED, UNIT_NS, "recovery.sustained.p(50) < 5s"},
    {"recovery.redundancy.max", METRIC_RECOVERY, MILESTONE_REDUNDANCY, UNIT_NS, "recovery.redundancy.max < 30s"},
    {"recovery.redundancy.p", METRIC_RECOVERY, MILESTONE_REDUNDANCY, UNIT_NS, "recovery.redundancy.p(50) < 30s"},
    {"p", METRIC_LATENCY, 0, UNIT_NS, "p(99) < 300ms"},
    {"latency.p", METRIC_LATENCY, 0, UNIT_NS, "latency.p(99) < 300ms"},
    {"latency.max", METRIC_LATENCY, 0, UNIT_NS, "latency.max < 1s"},
    {"probe", METRIC_PROBE, 0, UNIT_PPM, "probe(pings) >= 99%"},
    {"ledger.lost", METRIC_LEDGER_LOST, 0, UNIT_COUNT, "ledger.lost == 0"},
    {"ledger.stale", METRIC_LEDGER_STALE, 0, UNIT_COUNT, "ledger.stale <= 5"},
    {"ledger.unknown", METRIC_LEDGER_UNKNOWN, 0, UNIT_COUNT, "ledger.unknown == 0"},
    {"rpo.max", METRIC_RPO, 0, UNIT_NS, "rpo.max < 1s"},
};

static const struct {
    const char *text;
    enum compare compare;
} operators[] = {{"<=", CMP_LE}, {">=", CMP_GE}, {"==", CMP_EQ}, {"<", CMP_LT}, {">", CMP_GT}}; /* the longer ones first */

struct cursor {
    const char *text, *p;
    const char *example;
    char name[64]; /* the words read so far, joined by dots */
    bool of_seen;
};

static int __attribute__((format(printf, 3, 4))) bad(const struct cursor *c, struct error *err, const char *fmt, ...) {
    char why[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return error_set(err, -EINVAL, "\"%.120s\": %s, as in \"%s\"", c->text, why, c->example);
}

static void skip(struct cursor *c) {
    while (isspace((unsigned char)*c->p))
        c->p++;
}

/* Text up to one of the stops, spaces trimmed, into out; false when it is empty, too long, or no stop comes. */
static bool until(struct cursor *c, const char *stops, char *out, size_t size) {
    skip(c);
    size_t len = strcspn(c->p, stops);
    const char *end = c->p + len;
    if (!*end)
        return false;
    while (len && isspace((unsigned char)c->p[len - 1]))
        len--;
    if (!len || len >= size)
        return false;
    memcpy(out, c->p, len);
    out[len] = 0;
    c->p = end;
    return true;
}

static int parse_quantile(struct cursor *c, struct expect *e, struct error *err) {
    char number[24], percent[32];
    skip(c);
    if (*c->p != '(')
        return bad(c, err, "a quantile is written p(99) or p(99.9)");
    c->p++;
    if (!until(c, ")", number, sizeof number))
        return bad(c, err, "expected a number and \")\" after \"p(\"");
    c->p++;
    snprintf(percent, sizeof percent, "%s%%", number);
    if (!isdigit((unsigned char)*number) || parse_percent(percent, &e->quantile_ppm, NULL) < 0 || e->quantile_ppm <= 0 ||
        e->quantile_ppm > QUANTILE_MAX)
        return bad(c, err, "the quantile in p(%s) must be a number above 0 and at most 100", number);
    return 0;
}

static bool is_name(const char *s) {
    for (const char *p = s; *p; p++)
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-')
            return false;
    return *s;
}

/* "(writes)" or "(writes, fresh)"; the cursor is after the bracket. */
static int parse_of(struct cursor *c, struct expect *e, struct error *err) {
    if (c->of_seen)
        return bad(c, err, "only one (NAME) may be given");
    c->of_seen = true;
    if (!until(c, ",)", e->of, sizeof e->of) || !is_name(e->of))
        return bad(c, err, "expected the name of a load, fault or probe and \")\" after \"(\"");
    if (*c->p++ == ')')
        return 0;
    if (!until(c, ")", e->lane, sizeof e->lane))
        return bad(c, err, "expected a lane (fresh, reused, exec or tcp) and \")\" after \",\"");
    c->p++;
    for (int i = 0; i < LANE_COUNT; i++)
        if (!strcmp(lane_names[i], e->lane))
            return 0;
    return bad(c, err, "\"%s\" is no lane: fresh, reused, exec or tcp", e->lane);
}

static int parse_word(struct cursor *c, struct expect *e, struct error *err) {
    skip(c);
    size_t len = 0, used = strlen(c->name);
    while (islower((unsigned char)c->p[len]) || isdigit((unsigned char)c->p[len]) || c->p[len] == '_')
        len++;
    if (!len)
        return bad(c, err, used ? "expected a word after \"%s.\"" : "expected a metric%s", c->name);
    if (used + len + 2 > sizeof c->name)
        return bad(c, err, "\"%s.%.*s\" is no metric", c->name, (int)len, c->p);
    snprintf(c->name + used, sizeof c->name - used, "%s%.*s", used ? "." : "", (int)len, c->p);
    bool quantile = len == 1 && *c->p == 'p';
    if (len > 1 && *c->p == 'p' && strspn(c->p + 1, "0123456789") == len - 1)
        return bad(c, err, "a quantile is written p(%.*s)", (int)len - 1, c->p + 1);
    c->p += len;
    return quantile ? parse_quantile(c, e, err) : 0;
}

static int find_form(struct cursor *c, const struct form **ret, struct error *err) {
    const char *names[ARRAY_SIZE(forms) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        names[i] = forms[i].name;
        if (!strcmp(forms[i].name, c->name)) {
            *ret = &forms[i];
            c->example = forms[i].example;
            return 0;
        }
    }
    size_t len = strlen(c->name);
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
        if (!strncmp(forms[i].name, c->name, len) && forms[i].name[len] == '.') {
            c->example = forms[i].example;
            return bad(c, err, "\"%s\" needs to say which figure of it", c->name);
        }
    const char *meant = did_you_mean(c->name, names);
    for (size_t i = 0; meant && i < ARRAY_SIZE(forms); i++)
        if (forms[i].name == meant) {
            c->example = forms[i].example;
            return bad(c, err, "unknown metric \"%s\", did you mean \"%s\"", c->name, meant);
        }
    return bad(c, err, "unknown metric \"%s\"; there are availability, availability.time, errors, downtime.max|total|count, stale_retries, "
               "degradation.max|total|count, "
               "recovery[.detect|.first_good|.sustained|.redundancy].max|p(N), p(N), probe(NAME), ledger.lost|stale|unknown, rpo.max", c->name);
}

static int parse_metric(struct cursor *c, struct expect *e, struct error *err) {
    for (;;) {
        int r = parse_word(c, e, err);
        if (r < 0)
            return r;
        skip(c);
        while (*c->p == '(') {
            c->p++;
            if ((r = parse_of(c, e, err)) < 0)
                return r;
            skip(c);
        }
        if (*c->p != '.')
            break;
        c->p++;
    }
    const struct form *form = NULL;
    int r = find_form(c, &form, err);
    if (r < 0)
        return r;
    e->metric = form->metric;
    e->milestone = form->milestone;
    e->unit = form->unit;
    if (e->metric == METRIC_RECOVERY && *e->lane)
        return bad(c, err, "a recovery belongs to a fault and has no lane");
    if (e->metric == METRIC_PROBE && *e->lane)
        return bad(c, err, "a probe has no lanes");
    if (e->metric >= METRIC_LEDGER_LOST && *e->lane)
        return bad(c, err, "a ledger belongs to a load and has no lane");
    return 0;
}

static int parse_operator(struct cursor *c, struct expect *e, struct error *err) {
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
        size_t len = strlen(operators[i].text);
        if (!strncmp(c->p, operators[i].text, len)) {
            c->p += len;
            e->compare = operators[i].compare;
            return 0;
        }
    }
    return bad(c, err, "expected <, <=, >, >= or == after the metric but found \"%.20s\"", c->p);
}

/* "95 %" and "1m 30s" are as good as "95%" and "1m30s", but "9 5%" is a slip. */
static int squeeze(struct cursor *c, char *out, size_t size, struct error *err) {
    size_t n = 0;
    bool gap = false;
    for (skip(c); *c->p; c->p++) {
        if (isspace((unsigned char)*c->p)) {
            gap = true;
            continue;
        }
        bool figure = isdigit((unsigned char)*c->p) || *c->p == '.';
        if ((gap && figure && n && (isdigit((unsigned char)out[n - 1]) || out[n - 1] == '.')) || n + 1 >= size)
            return bad(c, err, "expected one limit after the comparison");
        gap = false;
        out[n++] = *c->p;
    }
    out[n] = 0;
    return n ? 0 : bad(c, err, "expected a limit after the comparison");
}

static int parse_limit(struct cursor *c, struct expect *e, struct error *err) {
    static int (*const parsers[])(const char *, int64_t *, struct error *) = {
        [UNIT_PPM] = parse_percent, [UNIT_NS] = parse_duration, [UNIT_COUNT] = parse_int,
    };
    char limit[48];
    struct error why = {""};
    int r = squeeze(c, limit, sizeof limit, err);
    if (r < 0)
        return r;
    if (parsers[e->unit](limit, &e->limit, &why) < 0)
        return bad(c, err, "the limit %s", why.text);
    return e->limit < 0 ? bad(c, err, "the limit \"%s\" cannot be negative", limit) : 0;
}

int expect_parse(const char *text, struct expect *ret, struct error *err) {
    struct expect e = {.quantile_ppm = QUANTILE_MAX};
    struct cursor c = {.text = text, .p = text, .example = "availability >= 99.9%"};
    int r = parse_metric(&c, &e, err);
    if (r == 0)
        r = parse_operator(&c, &e, err);
    if (r == 0)
        r = parse_limit(&c, &e, err);
    if (r < 0)
        return r;
    *ret = e;
    return 0;
}
