/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "report/kinds.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* Text for XML 1.0: the five, and U+FFFD for what XML cannot hold at all (control characters, also as references). */
static void xml(struct buf *b, const char *s) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        switch (c) {
        case '&': buf_str(b, "&amp;"); break;
        case '<': buf_str(b, "&lt;"); break;
        case '>': buf_str(b, "&gt;"); break;
        case '"': buf_str(b, "&quot;"); break;
        case '\'': buf_str(b, "&apos;"); break;
        case '\t':
        case '\n':
        case '\r': buf_printf(b, "&#%u;", c); break; /* a bare one would be folded into a space within an attribute */
        default:
            if (c < 0x20 || c == 0x7f)
                buf_str(b, "\xef\xbf\xbd");
            else if (!strncmp(s, "\xef\xbf\xbe", 3) || !strncmp(s, "\xef\xbf\xbf", 3)) {
                buf_str(b, "\xef\xbf\xbd"); /* U+FFFE and U+FFFF are no characters either */
                s += 2;
            } else
                buf_add(b, s, 1);
        }
    }
}

static void attribute(struct buf *b, const char *name, const char *value) {
    buf_printf(b, " %s=\"", name);
    xml(b, value);
    buf_str(b, "\"");
}

/* JUnit's word for a verdict: a failure is the system's, an error is that nobody knows. */
static const struct { const char *element; bool message_type; } elements[] = {
    [VERDICT_PASS] = {NULL, false},          [VERDICT_FAIL] = {"failure", true}, [VERDICT_INCONCLUSIVE] = {"error", true},
    [VERDICT_SKIPPED] = {"skipped", false}, [VERDICT_ABORTED] = {"error", true},
};

static void testcase(struct buf *b, const struct check_result *c, const char *scenario) {
    const char *element = elements[c->verdict].element;
    buf_str(b, "  <testcase classname=\"chaosd.");
    xml(b, scenario);
    buf_str(b, "\"");
    attribute(b, "name", c->name);
    buf_str(b, " time=\"0.000\"");
    if (element) {
        buf_printf(b, ">\n    <%s", element);
        attribute(b, "message", c->why);
        if (elements[c->verdict].message_type)
            attribute(b, "type", verdict_names[c->verdict]);
        buf_str(b, "/>\n  </testcase>\n");
    } else {
        buf_str(b, ">\n    <system-out>");
        xml(b, c->why);
        buf_str(b, "</system-out>\n  </testcase>\n");
    }
}

static void property(struct buf *b, const char *name, const json_t *value) {
    char tmp[64];
    const char *text = json_text(value, tmp, sizeof tmp);
    if (!text)
        return;
    buf_str(b, "    <property");
    attribute(b, "name", name);
    attribute(b, "value", text);
    buf_str(b, "/>\n");
}

static size_t count(const struct judgement *j, enum verdict v) {
    size_t n = 0;
    for (size_t i = 0; i < j->check_count; i++)
        n += j->checks[i].verdict == v;
    return n;
}

static int render(const struct judgement *j, struct buf *out, struct error *err) {
    const json_t *h = j->history->header;
    const char *scenario = json_str_or(h, "scenario", "unnamed");
    double seconds = j->end_t > 0 ? (double)j->end_t / 1e9 : 0;
    char stamp[32];
    time_t wall = (time_t)(json_int_or(h, "wall_ns", 0) / 1000000000);
    struct tm tm;
    if (!gmtime_r(&wall, &tm) || !strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm))
        strcpy(stamp, "1970-01-01T00:00:00");
    buf_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite");
    attribute(out, "name", scenario);
    buf_printf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"%.3f\" timestamp=\"%s\">\n", j->check_count,
               count(j, VERDICT_FAIL), count(j, VERDICT_INCONCLUSIVE) + count(j, VERDICT_ABORTED), count(j, VERDICT_SKIPPED), seconds,
               stamp);
    buf_str(out, "  <properties>\n");
    property(out, "run", json_object_get(h, "run"));
    property(out, "seed", json_object_get(h, "seed"));
    property(out, "version", json_object_get(h, "version"));
    buf_printf(out, "    <property name=\"verdict\" value=\"%s\"/>\n  </properties>\n", verdict_names[j->verdict]);
    for (size_t i = 0; i < j->check_count; i++)
        testcase(out, &j->checks[i], scenario);
    buf_str(out, "  <system-out>");
    xml(out, j->why);
    buf_str(out, "</system-out>\n</testsuite>\n</testsuites>\n");
    return buf_ok(out) ? 0 : error_set(err, -ENOMEM, "junit: out of memory");
}

const struct report_kind report_junit = {.name = "junit", .file = "junit.xml", .render = render};
