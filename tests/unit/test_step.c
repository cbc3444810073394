/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "scenario/step.h"

static int decode(const char *yaml, struct arena **ret_arena, struct step *out, struct error *err) {
    struct doc *d = NULL;
    struct arena *a = arena_new();
    assert_non_null(a);
    int r = doc_parse("t", yaml, strlen(yaml), &d, err);
    if (r == 0)
        r = schema_decode(d, "", &step_shape, NULL, a, out, err);
    doc_free(d);
    *ret_arena = a;
    return r;
}

static void methods(void **state) {
    (void)state;
    static const struct { const char *yaml, *method, *url; } rows[] = {
        {"get: /a", "GET", "/a"},
        {"post: \"http://${pod.ip}/b\"\njson: {a: 1}", "POST", "http://${pod.ip}/b"},
        {"put: /c\nbody: text", "PUT", "/c"},
        {"delete: /d", "DELETE", "/d"},
        {"head: /e\nexpect: {status: 204}", "HEAD", "/e"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arena *a;
        struct step s;
        struct error err = {""};
        if (decode(rows[i].yaml, &a, &s, &err) < 0)
            fail_msg("%s: %s", rows[i].yaml, err.text);
        assert_string_equal(s.method, rows[i].method);
        assert_string_equal(template_text(s.url), rows[i].url);
        arena_free(a);
    }
}

static void bad_steps_are_errors(void **state) {
    (void)state;
    static const struct { const char *yaml, *says; } rows[] = {
        {"{}", "needs one of get, post, put, delete or head"},
        {"expect: {status: 200}", "needs one of"},
        {"get: /a\npost: /b", "both GET and POST"},
        {"get: \"\"", "URL of GET is empty"},
        {"post: /a\njson: {}\nbody: x", "either json or body"},
        {"head: /a\nbody: x", "HEAD carries no body"},
        {"head: /a\nexpect: {contains: x}", "answer to HEAD"},
        {"head: /a\ncapture: {x: y}", "answer to HEAD"},
        {"get: /a\nexpect: {status: 99}", "range"},
        {"get: /a\nexpect: {status: 600}", "range"},
        {"get: /a\nexpect: {contain: x}", "did you mean \"contains\""},
        {"get: /a\ncapture: {a b: y}", "capture \"a b\""},
        {"get: \"/${pod.name\"", "}"},
        {"gte: /a", "did you mean \"get\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arena *a;
        struct step s;
        struct error err = {""};
        int r = decode(rows[i].yaml, &a, &s, &err);
        if (r >= 0 || !strstr(err.text, rows[i].says))
            fail_msg("%s: %d \"%s\" does not say \"%s\"", rows[i].yaml, r, err.text, rows[i].says);
        arena_free(a);
    }
}

/* arg: what was captured so far, as collect writes it. */
static const char *var(void *arg, const char *name) {
    if (!strcmp(name, "capture.id") && !strncmp(arg, "id=", 3)) {
        static char id[32];
        snprintf(id, sizeof id, "%.*s", (int)strcspn((char *)arg + 3, ";"), (char *)arg + 3);
        return id;
    }
    return !strcmp(name, "pod.name") ? "etcd-1" : NULL;
}

static void collect(const char *name, const char *value, void *arg) {
    char *all = arg;
    sprintf(all + strlen(all), "%s=%s;", name, value);
}

/* want: NULL for right, else part of why not. captured: what is handed over. */
static const struct { const char *rest; int status; const char *body, *want, *captured; } answers[] = {
    {"", 200, "", NULL, ""},
    {"", 204, NULL, NULL, ""},
    {"", 299, "", NULL, ""},
    {"", 300, "", "status 300, wanted 2xx", ""},
    {"", 503, "", "status 503, wanted 2xx", ""},
    {"", 0, "", "status 0, wanted 2xx", ""},
    {"expect: {status: 404}", 404, "", NULL, ""},
    {"expect: {status: 404}", 200, "", "status 200, wanted 404", ""},
    {"expect: {contains: '\"health\":\"true\"'}", 200, "{\"health\":\"true\"}", NULL, ""},
    {"expect: {contains: '\"health\":\"true\"'}", 200, "{\"health\":\"false\"}", "body without \"\"health\":\"true\"\"", ""},
    {"expect: {contains: x}", 200, NULL, "body without", ""},
    {"expect: {contains: x}", 503, "x", "status 503", ""},
    {"expect: {contains: ''}", 200, NULL, NULL, ""},
    {"expect: {json: {a.b: '1'}}", 200, "{\"a\":{\"b\":1}}", NULL, ""},
    {"expect: {json: {a.b: 1}}", 200, "{\"a\":{\"b\":\"1\"}}", NULL, ""}, /* compared as text */
    {"expect: {json: {ok: true}}", 200, "{\"ok\":true}", NULL, ""},
    {"expect: {json: {l.1: y}}", 200, "{\"l\":[\"x\",\"y\"]}", NULL, ""},
    {"expect: {json: {who: '${pod.name}'}}", 200, "{\"who\":\"etcd-1\"}", NULL, ""},
    {"expect: {json: {who: '${pod.name}'}}", 200, "{\"who\":\"etcd-2\"}", "who is \"etcd-2\", wanted \"etcd-1\"", ""},
    {"expect: {json: {who: '${pod.ip}'}}", 200, "{\"who\":\"etcd-2\"}", "pod.ip", ""},
    {"expect: {json: {a: 1}}", 200, "{}", "a is absent, wanted \"1\"", ""},
    {"expect: {json: {a: 1}}", 200, "{\"a\":{}}", "a is no scalar", ""},
    {"expect: {json: {a: 1}}", 200, "{\"a\":null}", "a is no scalar", ""},
    {"expect: {json: {a: ''}}", 200, "{\"a\":\"\"}", NULL, ""},
    {"expect: {json: {a: 1}}", 200, "<html>", "body is no JSON", ""},
    {"expect: {json: {a: 1}}", 200, "", "body is no JSON: empty", ""},
    {"expect: {json: {a: 1}}", 200, NULL, "body is no JSON: empty", ""},
    {"expect: {json: {a: 1}}", 200, "{\"a\":1", "body is no JSON", ""},
    {"capture: {term: raftTerm, id: header.member_id}", 200, "{\"raftTerm\":\"7\",\"header\":{\"member_id\":9}}", NULL, "term=7;id=9;"},
    {"capture: {term: raftTerm, id: header.member_id}", 200, "{\"raftTerm\":\"7\"}", "capture id: header.member_id is absent", ""},
    {"capture: {h: header}", 200, "{\"header\":{}}", "capture h: header is no scalar", ""},
    {"capture: {a: a}", 503, "{\"a\":1}", "status 503", ""},
    {"expect: {json: {b: 2}}\ncapture: {a: a}", 200, "{\"a\":1,\"b\":3}", "b is \"3\", wanted \"2\"", "a=1;"},
    {"expect: {json: {b: 2}}\ncapture: {a: a}", 200, "{\"a\":1.5,\"b\":2}", NULL, "a=1.5;"},
    {"capture: {a: a}", 200, "not JSON", "body is no JSON", ""},
    /* two parts of one answer compared: the leader's id is its own */
    {"expect: {json: {leader: '${capture.id}'}}\ncapture: {id: header.id}", 200, "{\"header\":{\"id\":\"7\"},\"leader\":\"7\"}",
     NULL, "id=7;"},
    {"expect: {json: {leader: '${capture.id}'}}\ncapture: {id: header.id}", 200, "{\"header\":{\"id\":\"7\"},\"leader\":\"8\"}",
     "leader is \"8\", wanted \"7\"", "id=7;"},
};

static void judges(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct arena *a;
        struct step s;
        struct error err = {""};
        char yaml[256], tmp[200] = "", all[200] = "";
        snprintf(yaml, sizeof yaml, "get: /\n%s\n", answers[i].rest);
        if (decode(yaml, &a, &s, &err) < 0)
            fail_msg("%s: %s", yaml, err.text);
        const struct template_vars vars = {.get = var, .arg = all};
        const char *body = answers[i].body;
        const char *why = step_judge(&s, &vars, answers[i].status, body, body ? strlen(body) : 0, collect, all, tmp, sizeof tmp);
        if (answers[i].want ? !why || !strstr(why, answers[i].want) : why != NULL)
            fail_msg("%s of %s: \"%s\", wanted \"%s\"", body, yaml, why ? why : "right", answers[i].want ? answers[i].want : "right");
        if (strcmp(all, answers[i].captured))
            fail_msg("%s of %s captured \"%s\", not \"%s\"", body, yaml, all, answers[i].captured);
        arena_free(a);
    }
}

/* The body is bytes of a length, with no NUL after it; a NUL inside is a byte like others. */
static void bodies_are_bytes(void **state) {
    (void)state;
    struct arena *a;
    struct step s;
    char tmp[100];
    assert_int_equal(decode("get: /\nexpect: {contains: needle}", &a, &s, NULL), 0);
    const char hay[] = "a\0needle";
    assert_null(step_judge(&s, NULL, 200, hay, sizeof hay - 1, NULL, NULL, tmp, sizeof tmp));
    char *cut = malloc(5); /* reading past it is what the sanitizer would tell */
    assert_non_null(cut);
    memcpy(cut, "needl", 5);
    assert_non_null(step_judge(&s, NULL, 200, cut, 5, NULL, NULL, tmp, sizeof tmp));
    free(cut);
    arena_free(a);
}

static void nobody_need_listen(void **state) {
    (void)state;
    struct arena *a;
    struct step s;
    char tmp[16]; /* small: the reason is cut, not overrun */
    assert_int_equal(decode("get: /\nexpect: {json: {a: '${capture.x}'}}\ncapture: {a: a}", &a, &s, NULL), 0);
    const char *why = step_judge(&s, NULL, 200, "{\"a\":1}", 7, NULL, NULL, tmp, sizeof tmp);
    assert_non_null(why);
    assert_true(strlen(why) < sizeof tmp);
    arena_free(a);
    assert_int_equal(decode("get: /\ncapture: {a: a}", &a, &s, NULL), 0);
    assert_null(step_judge(&s, NULL, 200, "{\"a\":1}", 7, NULL, NULL, tmp, sizeof tmp));
    arena_free(a);
}

static void deep_bodies_do_not_crash(void **state) {
    (void)state;
    struct arena *a;
    struct step s;
    char tmp[100], deep[20000];
    memset(deep, '[', sizeof deep);
    assert_int_equal(decode("get: /\ncapture: {a: a}", &a, &s, NULL), 0);
    assert_non_null(step_judge(&s, NULL, 200, deep, sizeof deep, NULL, NULL, tmp, sizeof tmp));
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods),          cmocka_unit_test(bad_steps_are_errors), cmocka_unit_test(judges),
        cmocka_unit_test(bodies_are_bytes), cmocka_unit_test(nobody_need_listen),   cmocka_unit_test(deep_bodies_do_not_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
