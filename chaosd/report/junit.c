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

/* JUnit's words: a failure is the system's, an error is the tool's. Nobody knows, or nothing applied: skipped, so that no build is blamed
 * on the system's account. The exit code still tells a pass from them. */
static const char *const elements[] = {
    [VERDICT_FAIL] = "failure", [VERDICT_INCONCLUSIVE] = "skipped", [VERDICT_SKIPPED] = "skipped", [VERDICT_ABORTED] = "skipped",
};

/* Trouble of chaosd's own, or a history without an end: nobody ended the run on purpose, so its check is the tool's error. */
static bool tool_trouble(const struct judgement *j) {
    bool ended = false;
    for (size_t i = 0; i < j->history->event_count; i++) {
        const char *op = j->history->events[i].op;
        if (!strcmp(op, "self/error"))
            return true;
        ended |= !strcmp(op, "run/end") || !strcmp(op, "run/abort") || !strcmp(op, "run/skip");
    }
    return !ended;
}

static const char *element_of(const struct judgement *j, const struct check_result *c) {
    if (c->verdict == VERDICT_INCONCLUSIVE && !strcmp(c->name, "complete") && tool_trouble(j))
        return "error";
    return elements[c->verdict];
}

static size_t count(const struct judgement *j, const char *element) {
    size_t n = 0;
    for (size_t i = 0; i < j->check_count; i++) {
        const char *e = element_of(j, &j->checks[i]);
        n += e && !strcmp(e, element);
    }
    return n;
}

/* The reason stands in the attribute (Jenkins and GitHub's reporters show it) and as the element's text (GitLab shows only that). */
static void testcase(struct buf *b, const struct judgement *j, const struct check_result *c, const char *scenario, double seconds) {
    const char *element = element_of(j, c);
    buf_str(b, "  <testcase classname=\"chaosd.");
    xml(b, scenario);
    buf_str(b, "\"");
    attribute(b, "name", c->name);
    buf_printf(b, " time=\"%.3f\">\n    <%s", seconds, element ? element : "system-out");
    if (element) {
        attribute(b, "message", c->why);
        if (strcmp(element, "skipped") != 0)
            attribute(b, "type", verdict_names[c->verdict]);
    }
    buf_str(b, ">");
    if (element && strcmp(element, "skipped") == 0)
        buf_printf(b, "%s: ", verdict_names[c->verdict]);
    xml(b, c->why);
    buf_printf(b, "</%s>\n  </testcase>\n", element ? element : "system-out");
}

/* Sums, for the suite and, as some reporters read only those, for the whole file. */
static void totals(struct buf *b, const struct judgement *j, double seconds) {
    buf_printf(b, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"%.3f\"", j->check_count, count(j, "failure"),
               count(j, "error"), count(j, "skipped"), seconds);
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

static int render(const struct judgement *j, struct buf *out, struct error *err) {
    const json_t *h = j->history->header;
    const char *scenario = json_str_or(h, "scenario", "unnamed");
    double seconds = j->end_t > 0 ? (double)j->end_t / 1e9 : 0;
    char stamp[32];
    time_t wall = (time_t)(json_int_or(h, "wall_ns", 0) / 1000000000);
    struct tm tm;
    if (!gmtime_r(&wall, &tm) || !strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm))
        strcpy(stamp, "1970-01-01T00:00:00");
    buf_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"chaosd\"");
    totals(out, j, seconds);
    buf_str(out, ">\n<testsuite");
    attribute(out, "name", scenario);
    totals(out, j, seconds);
    buf_printf(out, " timestamp=\"%s\">\n", stamp);
    buf_str(out, "  <properties>\n");
    property(out, "run", json_object_get(h, "run"));
    property(out, "seed", json_object_get(h, "seed"));
    property(out, "version", json_object_get(h, "version"));
    buf_printf(out, "    <property name=\"verdict\" value=\"%s\"/>\n  </properties>\n", verdict_names[j->verdict]);
    /* Pages add up the times of the cases: the first check stands for the whole run, the others cost nothing. */
    for (size_t i = 0; i < j->check_count; i++)
        testcase(out, j, &j->checks[i], scenario, i == 0 ? seconds : 0);
    buf_str(out, "  <system-out>");
    xml(out, j->why);
    buf_str(out, "</system-out>\n</testsuite>\n</testsuites>\n");
    return buf_ok(out) ? 0 : error_set(err, -ENOMEM, "junit: out of memory");
}

const struct report_kind report_junit = {.name = "junit", .file = "junit.xml", .render = render};
