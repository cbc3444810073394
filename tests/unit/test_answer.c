/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "scenario/answer.h"

struct holder { struct exchange_spec x; };
static const struct field fields[] = {EXCHANGE_FIELDS(struct holder, x), {0}};
static int check(void *value, const struct schema_at *at, struct error *err) { return exchange_check(&((struct holder *)value)->x, at, err); }
static const struct shape shape = {.name = "holder", .size = sizeof(struct holder), .fields = fields, .check = check, .doc = "Holds."};

struct decoded { struct doc *doc; struct arena *arena; struct holder h; };

static int decode(struct decoded *d, const char *text, struct error *err) {
    *d = (struct decoded){.arena = arena_new()};
    int rc = doc_parse("t.yaml", text, strlen(text), &d->doc, err);
    return rc < 0 ? rc : schema_decode(d->doc, "", &shape, NULL, d->arena, &d->h, err);
}

static void release(struct decoded *d) {
    doc_free(d->doc);
    arena_free(d->arena);
}

static const char *var(void *arg, const char *name) {
    (void)arg;
    return strcmp(name, "pod.name") == 0 ? "web-0" : strcmp(name, "pod.ip") == 0 ? "0a0b" : NULL;
}
static const struct template_vars vars = {var, NULL};

#define M ANSWER_MORE
#define R ANSWER_RIGHT
#define W ANSWER_WRONG
#define C ANSWER_CUT
#define B ANSWER_TOO_BIG

static void answers_are_judged_as_they_grow(void **state) {
    (void)state;
    static const struct {
        const char *text, *data;
        size_t len;
        enum answer_state open, closed; /* while more may come; when no more will */
        const char *why;                /* of closed */
    } rows[] = {
        {"{expect: {equals: \"+PONG\\r\\n\"}}", "", 0, M, C, "ended without an answer, wanted \"+PONG\""},
        {"{expect: {equals: \"+PONG\\r\\n\"}}", "+PO", 3, M, C, "ended after \"+PO\", wanted \"+PONG\""},
        {"{expect: {equals: \"+PONG\\r\\n\"}}", "+PONG\r\n", 7, R, R, ""},
        {"{expect: {equals: \"+PONG\\r\\n\"}}", "+PONG\r\nx", 8, W, W, "answered \"+PONG..x\", wanted \"+PONG\""},
        {"{expect: {equals: \"+PONG\\r\\n\"}}", "-E", 2, W, W, "answered \"-E\", wanted \"+PONG\""}, /* no need to wait for the rest */
        {"{expect: {equals: \"${pod.name}\"}}", "web-0", 5, R, R, ""},
        {"{expect: {prefix: \"220 \"}}", "220 mail ready\r\n", 16, R, R, ""},
        {"{expect: {prefix: \"220 \"}}", "22", 2, M, C, "ended after \"22\", wanted \"220...\""},
        {"{expect: {prefix: \"220 \"}}", "554 no", 6, W, W, "answered \"554 no\", wanted \"220...\""},
        {"{expect: {contains: \"slaves:2\"}}", "x slaves:2 y", 12, R, R, ""},
        {"{expect: {contains: \"slaves:2\"}}", "x slaves:1", 10, M, W, "answered \"x slaves:1\", wanted \"...slaves:2...\""},
        {"{expect: {contains: \"slaves:2\"}}", "", 0, M, C, "ended without an answer, wanted \"...slaves:2...\""},
        {"{expect: {regex: \"^role:(master|slave)\"}}", "role:slave", 10, R, R, ""},
        {"{expect: {regex: \"^role:(master|slave)\"}}", "xrole:slave", 11, M, W, "answered \"xrole:slave\", wanted /^role:(master|slave)/"},
        {"{expect: {regex: \"c$\"}}", "a\0b\0c", 5, R, R, ""}, /* a NUL ends nothing */
        {"{expect: {compare: \"> 3\"}}", "4", 1, M, R, ""},
        {"{expect: {compare: \"> 3\"}}", "4\n", 2, R, R, ""},
        {"{expect: {compare: \"> 3\"}}", "3\nrest", 6, W, W, "answered \"3.rest\", wanted a number > 3"},
        {"{expect: {compare: \"<= 2.5\"}}", " 2.5 \n", 6, R, R, ""},
        {"{expect: {compare: \"!= 0\"}}", "0\n", 2, W, W, "answered \"0\""},
        {"{expect: {compare: \"== 0\"}}", "0x\n", 3, W, W, "answered \"0x\""},
        {"{expect: {compare: \"== 0\"}}", "", 0, M, C, "ended without an answer"},
        {"{expect: {compare: \"< 1\"}}", "nan\n", 4, W, W, "answered \"nan\""},
        {"{encoding: hex, expect: {equals: \"00 ff:0A\"}}", "\0\xff\n", 3, R, R, ""},
        {"{encoding: hex, expect: {prefix: \"00${pod.ip}\"}}", "\0\n\v", 3, R, R, ""},
        {"{expect: {contains: z, max: 4}}", "abcd", 4, M, W, "answered \"abcd\""},
        {"{expect: {contains: z, max: 4}}", "abcde", 5, B, W, "answered \"abcde\""},
        {"{expect: {contains: e, max: 4}}", "abcde", 5, R, R, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct decoded d;
        struct error err = {""};
        if (decode(&d, rows[i].text, &err) < 0)
            fail_msg("%s: %s", rows[i].text, err.text);
        for (int closed = 0; closed < 2; closed++) {
            struct answer a = {0};
            char why[200] = "";
            assert_return_code(answer_prepare(d.h.x.expect, (enum encoding)d.h.x.encoding, &vars, &a, &err), 0);
            enum answer_state got = answer_judge(&a, rows[i].data, rows[i].len, closed, why, sizeof why);
            if (got != (closed ? rows[i].closed : rows[i].open) || (closed && (strncmp(why, rows[i].why, strlen(rows[i].why)) || !*why != !*rows[i].why)))
                fail_msg("%s of \"%s\", closed %d: %d \"%s\"", rows[i].text, rows[i].data, closed, got, why);
            answer_free(&a);
        }
        release(&d);
    }
}

/* However it is cut into pieces, the end is the same. */
static void pieces_do_not_matter(void **state) {
    (void)state;
    struct decoded d;
    struct error err;
    char data[600], why[200];
    assert_return_code(decode(&d, "{expect: {contains: \"needle in here\", max: 1KiB}}", &err), 0);
    memset(data, 'n', sizeof data);
    memcpy(data + 500, "needle in here", 14);
    for (size_t step = 1; step < 40; step++) {
        struct answer a = {0};
        size_t len = 0;
        assert_return_code(answer_prepare(d.h.x.expect, ENCODING_TEXT, &vars, &a, &err), 0);
        while (answer_judge(&a, data, len, false, why, sizeof why) == ANSWER_MORE && len < sizeof data)
            len = len + step < sizeof data ? len + step : sizeof data;
        assert_in_range(len, 514, 514 + step);
        answer_free(&a);
    }
    release(&d);
}

static void values_that_are_missing(void **state) {
    (void)state;
    struct decoded d;
    struct error err = {""};
    struct answer a = {0};
    cleanup_buf struct buf out = {0};
    assert_return_code(decode(&d, "{encoding: hex, send: \"${pod.name}\", expect: {equals: \"${pod.node}\"}}", &err), 0);
    assert_int_equal(bytes_render(d.h.x.send, ENCODING_HEX, &vars, &out, &err), -EINVAL); /* "web-0" is no hex */
    assert_non_null(strstr(err.text, "hex"));
    assert_int_equal(answer_prepare(d.h.x.expect, ENCODING_TEXT, &vars, &a, &err), -ENOENT);
    answer_free(&a);
    release(&d);
}

static void bad_rows_are_refused(void **state) {
    (void)state;
    static const struct { const char *text, *says; } rows[] = {
        {"{expect: {}}", "expected one of equals, prefix, contains, regex and compare"},
        {"{expect: {equals: a, prefix: b}}", "expected only one of"},
        {"{expect: {regex: \"(\"}}", "regex \"(\""},
        {"{expect: {compare: \"3\"}}", "compare \"3\": expected <, <="},
        {"{expect: {compare: \"> x\"}}", "and a number"},
        {"{expect: {compare: \"> inf\"}}", "and a number"},
        {"{expect: {contains: \"\"}}", "empty"},
        {"{expect: {contains: x, max: 0}}", "max"},
        {"{expect: {contain: x}}", "did you mean \"contains\""},
        {"{send: \"\"}", "send is empty"},
        {"{encoding: hex, send: \"0\"}", "pairs of hex digits"},
        {"{encoding: hex, send: \"zz\"}", "pairs of hex digits"},
        {"{encoding: hex, expect: {prefix: \"12 3\"}}", "pairs of hex digits"},
        {"{encoding: base64}", "encoding"},
        {"{expect: {equals: abcdef, max: 5}}", "expect: 6 bytes are awaited, but max is 5"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct decoded d;
        struct error err = {""};
        int rc = decode(&d, rows[i].text, &err);
        if (rc >= 0 || !strstr(err.text, rows[i].says) || strncmp(err.text, "t.yaml:1:", 9))
            fail_msg("%s: %s", rows[i].text, rc < 0 ? err.text : "accepted");
        release(&d);
    }
}

static void bytes_are_shown_safely(void **state) {
    (void)state;
    char out[SHOWN_SIZE], many[500];
    memset(many, 'x', sizeof many);
    assert_string_equal(bytes_shown("a\x1b[2J\xff\0z\r\n", 10, out), "a.[2J..z");
    assert_string_equal(bytes_shown(" \r\n", 3, out), "");
    assert_string_equal(bytes_shown(many, sizeof many, out) + SHOWN_SIZE - 5, "x...");
    assert_int_equal(strlen(out), SHOWN_SIZE - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_judged_as_they_grow), cmocka_unit_test(pieces_do_not_matter), cmocka_unit_test(values_that_are_missing),
        cmocka_unit_test(bad_rows_are_refused),            cmocka_unit_test(bytes_are_shown_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
