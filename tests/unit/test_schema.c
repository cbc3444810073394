/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "scenario/schema.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void docp_free(struct doc **d) {
    doc_free(*d);
}
static void arenap_free(struct arena **a) {
    arena_free(*a);
}
#define cleanup_doc __attribute__((__cleanup__(docp_free)))
#define cleanup_arena __attribute__((__cleanup__(arenap_free)))

struct inner { const char *name; int64_t n; };
struct window { int64_t goods, over_ns; };
struct kill { const char *signal; struct window *window; };
struct part { const char *name; struct kind_value kind; struct kind_value load; };
struct chain { struct chain *next; };

struct all {
    const char *string, *name;
    const struct template *template;
    bool flag;
    int64_t count, number, signed_number, wait_ns, rate, ppm, bytes;
    struct duration_range every;
    struct durations at;
    int mode;
    struct ints modes;
    struct strings words;
    struct templates command;
    struct pairs labels;
    struct template_pairs headers;
    const struct template *body;
    json_t *raw;
    struct window *window, *given;
    struct list list, map, parts;
};

static const char *const modes[] = {"one", "all", "fixed", NULL};

static const struct field inner_fields[] = {
    {.name = "n", .type = F_INT, .offset = offsetof(struct inner, n), .def = "3", .min = 1, .max = 9, .doc = "A number."},
    {0},
};

static int inner_check(void *value, const struct schema_at *at, struct error *err) {
    const struct inner *i = value;
    if (i->n == 7)
        return doc_error(at->doc, at->path, 0, err, -EINVAL, "%s may not be 7 (%s)", i->name ? i->name : "it", at->path);
    return 0;
}

static const struct shape inner_shape = {.name = "inner", .size = sizeof(struct inner), .fields = inner_fields, .check = inner_check};

static const struct field window_fields[] = {
    {.name = "goods", .type = F_INT, .offset = offsetof(struct window, goods), .def = "5", .min = 1, .doc = "In a row."},
    {.name = "over", .type = F_DURATION, .offset = offsetof(struct window, over_ns), .def = "1s", .doc = "At least so long."},
    {0},
};
static const struct shape window_shape = {.name = "window", .size = sizeof(struct window), .fields = window_fields};

static const struct field kill_fields[] = {
    {.name = "signal", .type = F_STRING, .offset = offsetof(struct kill, signal), .def = "SIGKILL", .doc = "Which."},
    {.name = "window", .type = F_OBJECT, .offset = offsetof(struct kill, window), .shape = &window_shape, .doc = "A window."},
    {0},
};
static const struct shape kill_shape = {.name = "pod-kill", .size = sizeof(struct kill), .fields = kill_fields};
static const struct kind_row kill_row = {.name = "pod-kill", .shape = &kill_shape}, pause_row = {.name = "pod-pause"},
    http_row = {.name = "http"};
static const struct kind_row *const faults[] = {&kill_row, &pause_row, NULL}, *const loads[] = {&http_row, NULL};
static const struct kind_set kinds = {.groups = {[KIND_FAULT] = faults, [KIND_LOAD] = loads}};

static const struct field part_fields[] = {
    {.name = "name", .type = F_NAME, .offset = offsetof(struct part, name), .required = true, .doc = "What it is called."},
    {.name = "", .type = F_KIND, .offset = offsetof(struct part, kind), .required = true, .kinds = KIND_FAULT, .doc = "What it does."},
    {.name = "", .type = F_KIND, .offset = offsetof(struct part, load), .kinds = KIND_LOAD, .doc = "What it sends."},
    {0},
};
static const struct shape part_shape = {.name = "fault", .size = sizeof(struct part), .fields = part_fields};

#define ROW(n, t, m, ...) {.name = n, .type = t, .offset = offsetof(struct all, m), .doc = "It.", ##__VA_ARGS__}
static const struct field all_fields[] = {
    ROW("string", F_STRING, string, .def = "plain {text}"),
    ROW("name", F_NAME, name),
    ROW("template", F_TEMPLATE, template, .def = "${a}"),
    ROW("flag", F_BOOL, flag, .def = "true"),
    ROW("count", F_INT, count, .min = 1, .max = 100, .def = "4"),
    ROW("number", F_INT, number),
    ROW("signed", F_INT, signed_number, .min = -5, .max = 5),
    ROW("wait", F_DURATION, wait_ns, .def = "1m30s", .min = 1000000, .max = INT64_C(600000000000)),
    ROW("rate", F_RATE, rate, .min = 500000, .max = INT64_C(1000000000)),
    ROW("percent", F_PERCENT, ppm, .min = 1000, .max = 999500),
    ROW("bytes", F_BYTES, bytes, .max = 1 << 20),
    ROW("every", F_DURATION_RANGE, every, .min = 1),
    ROW("at", F_DURATIONS, at, .max = INT64_C(3600000000000)),
    ROW("mode", F_ENUM, mode, .def = "all", .values = modes),
    ROW("modes", F_ENUMS, modes, .def = "[fixed, one]", .values = modes),
    ROW("words", F_STRINGS, words, .min = 1, .max = 3),
    ROW("command", F_TEMPLATES, command),
    ROW("labels", F_STRING_MAP, labels),
    ROW("headers", F_TEMPLATE_MAP, headers, .def = "{x-id: \"${id}\"}"),
    ROW("body", F_JSON_TEMPLATE, body),
    ROW("raw", F_JSON, raw, .def = "{deep: [1]}"),
    ROW("window", F_OBJECT, window, .shape = &window_shape, .def = "{}"),
    ROW("given", F_OBJECT, given, .shape = &window_shape),
    ROW("list", F_LIST, list, .shape = &inner_shape, .max = 2),
    ROW("map", F_MAP, map, .shape = &inner_shape),
    ROW("parts", F_LIST, parts, .shape = &part_shape),
    {0},
};
static const struct shape all_shape = {.name = "scenario", .size = sizeof(struct all), .fields = all_fields};

static int load(struct arena *a, const char *text, struct doc **ret_doc, struct all *out, struct error *err) {
    int rc = doc_parse("t", text, strlen(text), ret_doc, err);
    if (rc != 0)
        fail_msg("%s: %s", text, err->text);
    return schema_decode(*ret_doc, "", &all_shape, &kinds, a, out, err);
}

#define LOAD(input)                                                                                                                  \
    cleanup_arena struct arena *arena = arena_new();                                                                                 \
    cleanup_doc struct doc *doc = NULL;                                                                                              \
    struct all v;                                                                                                                    \
    struct error err = {"untouched"};                                                                                                \
    memset(&v, 0xff, sizeof v);                                                                                                      \
    if (load(arena, input, &doc, &v, &err) != 0)                                                                                      \
        fail_msg("%s", err.text);                                                                                                    \
    assert_string_equal(err.text, "untouched")

static const char *render(const struct template *t, struct buf *out) {
    buf_clear(out);
    assert_int_equal(template_render(t, NULL, out, NULL), 0);
    return out->data;
}

static void defaults(void **state) {
    (void)state;
    LOAD("{}");
    assert_string_equal(v.string, "plain {text}");
    assert_null(v.name);
    assert_string_equal(template_text(v.template), "${a}");
    assert_true(v.flag);
    assert_int_equal(v.count, 4);
    assert_int_equal(v.wait_ns, INT64_C(90000000000));
    assert_int_equal(v.mode, 1);
    assert_int_equal(v.modes.count, 2);
    assert_int_equal(v.modes.items[0], 2);
    assert_int_equal(v.headers.count, 1);
    assert_string_equal(v.headers.items[0].key, "x-id");
    assert_int_equal(json_integer_value(json_array_get(json_object_get(v.raw, "deep"), 0)), 1);
    assert_int_equal(v.window->goods, 5);
    assert_int_equal(v.window->over_ns, 1000000000);
    assert_null(v.given);
    assert_int_equal(v.list.count + v.map.count + v.parts.count + v.words.count + v.at.count, 0);
    assert_int_equal(v.every.to_ns, 0);
    assert_int_equal(v.rate, 0); /* no default: zero, whatever the limits */
}

static void scalars(void **state) {
    (void)state;
    LOAD("string: 1.10\nname: kill-1\ntemplate: 5\nflag: false\ncount: 0x1F\nnumber: '7'\nsigned: -5\nwait: 0.5s\nrate: 12000/m\n"
         "percent: 99.95%\nbytes: 64KiB\nevery: 15s..25s\nmode: fixed\n");
    cleanup_buf struct buf out = {0};
    assert_string_equal(v.string, "1.10"); /* as written, not 1.1 */
    assert_string_equal(v.name, "kill-1");
    assert_string_equal(render(v.template, &out), "5");
    assert_false(v.flag);
    assert_int_equal(v.count, 31);
    assert_int_equal(v.number, 7);
    assert_int_equal(v.signed_number, -5);
    assert_int_equal(v.wait_ns, 500000000);
    assert_int_equal(v.rate, 200000000);
    assert_int_equal(v.ppm, 999500);
    assert_int_equal(v.bytes, 65536);
    assert_int_equal(v.every.from_ns, INT64_C(15000000000));
    assert_int_equal(v.every.to_ns, INT64_C(25000000000));
    assert_int_equal(v.mode, 2);
}

static void lists(void **state) {
    (void)state;
    LOAD("every: 20s\nat: [10s, 0, 30s]\nmodes: one\nwords: alone\ncommand: [sleep, 10, true, 1.50, 'x ${p}']\nlabels: {b: 1, a: yes}\n"
         "headers: {h: v}\ngiven:\n");
    cleanup_buf struct buf out = {0};
    assert_int_equal(v.every.from_ns, v.every.to_ns);
    assert_int_equal(v.at.count, 3);
    assert_int_equal(v.at.ns[0], INT64_C(10000000000));
    assert_int_equal(v.at.ns[1], 0);
    assert_int_equal(v.modes.count, 1);
    assert_int_equal(v.modes.items[0], 0);
    assert_int_equal(v.words.count, 1);
    assert_string_equal(v.words.items[0], "alone");
    static const char *const command[] = {"sleep", "10", "true", "1.50"};
    assert_int_equal(v.command.count, 5);
    for (size_t i = 0; i < ARRAY_SIZE(command); i++)
        assert_string_equal(render(v.command.items[i], &out), command[i]);
    assert_string_equal(template_text(v.command.items[4]), "x ${p}");
    assert_int_equal(v.labels.count, 2);
    assert_string_equal(v.labels.items[0].key, "b");
    assert_string_equal(v.labels.items[0].value, "1");
    assert_string_equal(v.labels.items[1].value, "yes");
    assert_string_equal(v.headers.items[0].key, "h");
    assert_null(v.given);
}

static void objects(void **state) {
    (void)state;
    LOAD("list: [{n: 1}, {}]\nmap:\n  zeta: {n: 2}\n  alpha:\nwindow: {goods: 9}\ngiven: {}\n");
    const struct inner *list = v.list.items, *map = v.map.items;
    assert_int_equal(v.list.count, 2);
    assert_int_equal(list[0].n, 1);
    assert_int_equal(list[1].n, 3);
    assert_int_equal(v.map.count, 2);
    assert_string_equal(map[0].name, "zeta"); /* in order of appearance */
    assert_int_equal(map[0].n, 2);
    assert_string_equal(map[1].name, "alpha");
    assert_int_equal(map[1].n, 3);
    assert_int_equal(v.window->goods, 9);
    assert_int_equal(v.window->over_ns, 1000000000);
    assert_int_equal(v.given->goods, 5);
}

static void json_bodies(void **state) {
    (void)state;
    LOAD("body: {key: \"${k|base64}\", n: 0.1, m: 1.0, list: [true, null], q: 'say \"x\"'}\nraw: [1, {a: b}]\n");
    assert_string_equal(template_text(v.body),
    "{\"key\":\"${k|base64}\",\"n\":0.1,\"m\":1.0,\"list\":[true,null],\"q\":\"say \\\"x\\\"\"}");
    assert_ptr_equal(v.raw, doc_value(doc, "/raw"));
    cleanup_arena struct arena *other = arena_new();
    cleanup_doc struct doc *nothing = NULL;
    assert_int_equal(load(other, "body:\nraw: ~\n", &nothing, &v, &err), 0);
    assert_string_equal(template_text(v.body), "null"); /* null is a value of JSON */
    assert_true(json_is_null(v.raw));
}

static void kinds_decode(void **state) {
    (void)state;
    LOAD("parts:\n  - name: a\n    pod-kill: {signal: SIGTERM}\n  - {name: b, pod-kill: }\n  - {name: c, pod-pause: {}, http: null}\n");
    const struct part *p = v.parts.items;
    assert_int_equal(v.parts.count, 3);
    assert_ptr_equal(p[0].kind.kind, &kill_row);
    assert_string_equal(p[0].kind.path, "/parts/0/pod-kill");
    assert_string_equal(((const struct kill *)p[0].kind.params)->signal, "SIGTERM");
    assert_null(p[0].load.kind);
    assert_string_equal(((const struct kill *)p[1].kind.params)->signal, "SIGKILL");
    assert_ptr_equal(p[2].kind.kind, &pause_row);
    assert_null(p[2].kind.params);
    assert_ptr_equal(p[2].load.kind, &http_row);
}

static void refuses(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *says;
    } rows[] = {
        {"a text", "t:1:1: scenario: expected a mapping with keys of string, name,"},
        {"[]", "got a list"},
        {"~", "got nothing"},
        {"strng: x\n", "t:1:1: unknown key \"strng\" in scenario, did you mean \"string\"?"},
        {"flag: true\nzzzzz: 1\n", "t:2:1: unknown key \"zzzzz\" in scenario: it takes string, name, template,"},
        {"list: [{m: 1}]\n", "t:1:9: unknown key \"m\" in inner: it takes n"},
        {"parts: [{name: a, pod-kil: {}}]\n", "t:1:19: unknown key \"pod-kil\" in fault, did you mean \"pod-kill\"?"},
        {"parts: [{name: a, pod-kill: {sgnal: x}}]\n", "unknown key \"sgnal\" in pod-kill, did you mean \"signal\"?"},
        {"parts:\n  - pod-kill: {}\n", "t:2:5: missing key \"name\" in fault: What it is called."},
        {"parts: [{name: , pod-kill: {}}]\n", "missing key \"name\" in fault"},
        {"parts: [{name: a}]\n", "t:1:9: fault needs one of pod-kill, pod-pause"},
        {"parts: [{name: a, pod-kill: {}, pod-pause: {}}]\n", "t:1:33: both \"pod-kill\" and \"pod-pause\" in one fault"},
        {"parts: [{name: a, pod-kill: fast}]\n", "t:1:29: pod-kill: expected a mapping with keys of signal, window, got \"fast\""},
        {"parts: [{name: a, pod-pause: {for: 1s}}]\n", "unknown key \"for\": pod-pause takes no keys"},
        {"parts: [{name: a, pod-pause: 5}]\n", "expected a mapping with keys of none"},
        {"parts: {name: a}\n", "parts: expected a list: begin each of its parts with \"- \", got a mapping"},
        {"parts: [a]\n", "t:1:9: fault: expected a mapping"},
        {"list: [{}, ]\nmap: []\n", "map: expected a mapping, each of its parts under a name"},
        {"list: [{}, {}, {}]\n", "t:1:7: list: too long: its length is 3, at most 2"},
        {"list: [{n: 10}]\n", "t:1:12: n: 10 is out of range: from 1 to 9"},
        {"map: {a: {n: 7}}\n", "t:1:10: a may not be 7 (/map/a)"},
        {"map: {\"\": {}}\n", "t:1:7: an empty name in map"},
        {"map: {a/b~: {x: 1}}\n", "t:1:14: unknown key \"x\" in inner: it takes n"},
        {"string: [a]\n", "string: expected a string, got a list"},
        {"name: Kill\n", "name: \"Kill\" is not a name"},
        {"name: a-\n", "is not a name"},
        {"name: -a\n", "is not a name"},
        {"name: ''\n", "is not a name"},
        {"name: a234567890123456789012345678901234567890123456789012345678901234\n", "is not a name"},
        {"template: 'x${y'\n", "t:1:11: template: column 2:"},
        {"flag: yes\n", "flag: expected true or false, got \"yes\""},
        {"flag: 1\n", "flag: expected true or false, got \"1\""},
        {"count: 0\n", "t:1:8: count: 0 is out of range: from 1 to 100"},
        {"count: 1.5\n", "count: \"1.5\" is not a whole number"},
        {"count: {a: 1}\n", "count: expected a whole number such as 3, got a mapping"},
        {"count: 99999999999999999999\n", "count: \"99999999999999999999\" is too large"},
        {"number: -1\n", "number: -1 is out of range: at least 0"},
        {"signed: -6\n", "signed: -6 is out of range: from -5 to 5"},
        {"wait: 10\n", "t:1:7: wait: \"10\" is not a duration, its unit is missing: say \"10s\""},
        {"wait: 0\n", "wait: 0 is out of range: from 1ms to 10m"},
        {"wait: 11m\n", "wait: 11m is out of range: from 1ms to 10m"},
        {"wait: -1s\n", "negative"},
        {"wait: [1s]\n", "wait: expected a duration such as 1m30s, got a list"},
        {"wait: soon\n", "wait: \"soon\" is not a duration: expected"},
        {"rate: 200\n", "say \"200/s\""},
        {"rate: 0.1/s\n", "rate: 0.1/s is out of range: from 0.5/s to 1000/s"},
        {"percent: 5\n", "say \"5%\""},
        {"percent: 100%\n", "percent: 100% is out of range: from 0.1% to 99.95%"},
        {"bytes: 2MiB\n", "bytes: 2MiB is out of range: from 0 to 1MiB"},
        {"every: 25s..15s\n", "every: \"25s..15s\" runs backwards: say \"15s..25s\""},
        {"every: 15s..\n", "every: an empty text"},
        {"every: 0s..1s\n", "every: 0 is out of range: at least 1ns"},
        {"every: 1s..2s..3s\n", "is not a duration"},
        {"at: [1s, 2]\n", "t:1:10: at: \"2\" is not a duration"},
        {"at: 2h\n", "at: 2h is out of range"},
        {"at: [[1s]]\n", "at: expected a duration such as 10s, or a list"},
        {"mode: fixd\n", "mode: unknown value \"fixd\", did you mean \"fixed\"?"},
        {"mode: zz\n", "mode: unknown value \"zz\": expected one of one, all, fixed"},
        {"modes: [one, non]\n", "t:1:14: modes: unknown value \"non\""},
        {"words: []\n", "words: too short"},
        {"words: [a, b, c, d]\n", "words: too long"},
        {"words: [a, ~]\n", "t:1:12: words: expected a string, or a list of strings such as [a, b], got nothing"},
        {"words: {a: b}\n", "words: expected a string, or a list"},
        {"labels: [a]\n", "labels: expected a mapping of strings such as {app: etcd}, got a list"},
        {"labels: {app: }\n", "t:1:15: app: expected a string, got nothing"},
        {"labels: {app: {x: y}}\n", "app: expected a string, got a mapping"},
        {"headers: {h: '${'}\n", "h: column 1:"},
        {"body: {k: '${'}\n", "body: column"},
        {"window: 5\n", "window: expected a mapping with keys of goods, over, got \"5\""},
        {"window: {goods: 0}\n", "goods: 0 is out of range: at least 1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_arena struct arena *a = arena_new();
        cleanup_doc struct doc *d = NULL;
        struct all v;
        struct error err = {""};
        if (load(a, rows[i].yaml, &d, &v, &err) != -EINVAL)
            fail_msg("taken: %s", rows[i].yaml);
        if (!strstr(err.text, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].yaml, err.text, rows[i].says);
        assert_int_equal(schema_decode(d, "", &all_shape, &kinds, a, &v, NULL), -EINVAL);
    }
}

static void part_of_a_document(void **state) {
    (void)state;
    LOAD("map: {a: {n: 4}}\n");
    struct inner inner;
    assert_int_equal(schema_decode(doc, "/map/a", &inner_shape, NULL, arena, &inner, &err), 0);
    assert_int_equal(inner.n, 4);
    assert_int_equal(schema_decode(doc, "/map/b", &inner_shape, NULL, arena, &inner, &err), -EINVAL);
    struct part part; /* without a kind table every kind is unknown */
    cleanup_doc struct doc *other = NULL;
    assert_int_equal(doc_parse("t", "{name: a, pod-kill: {}}", 23, &other, NULL), 0);
    assert_int_equal(schema_decode(other, "", &part_shape, NULL, arena, &part, &err), -EINVAL);
    assert_non_null(strstr(err.text, "unknown key \"pod-kill\""));
}

static const struct shape chain_shape;
static const struct field chain_fields[] = {
    {.name = "next", .type = F_OBJECT, .offset = offsetof(struct chain, next), .shape = &chain_shape, .def = "{}", .doc = "Itself."},
    {0},
};
static const struct shape chain_shape = {.name = "chain", .size = sizeof(struct chain), .fields = chain_fields};

static void endless_defaults_end(void **state) {
    (void)state;
    LOAD("{}");
    struct chain c;
    assert_int_equal(schema_decode(doc, "", &chain_shape, NULL, arena, &c, &err), -EINVAL);
    assert_non_null(strstr(err.text, "nested deeper than 64"));
}

static void long_words_are_clipped(void **state) {
    (void)state;
    cleanup_arena struct arena *a = arena_new();
    cleanup_doc struct doc *d = NULL;
    cleanup_buf struct buf text = {0};
    struct all v;
    struct error err;
    for (int i = 0; i < 5000; i++)
        buf_str(&text, "\xc3\xa9");
    buf_str(&text, ": 1\n");
    /* Longer than a simple key may be, it takes the long form. */
    cleanup_buf struct buf yaml = {0};
    buf_printf(&yaml, "? %.*s\n: 1\n", (int)text.len - 4, text.data);
    assert_int_equal(load(a, yaml.data, &d, &v, &err), -EINVAL);
    cleanup_json json_t *j = json_string(err.text);
    assert_non_null(j); /* still UTF-8 */
    assert_true(strlen(err.text) < 600);
    assert_non_null(strstr(err.text, "...\" in scenario"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(scalars),
        cmocka_unit_test(lists),
        cmocka_unit_test(objects),
        cmocka_unit_test(json_bodies),
        cmocka_unit_test(kinds_decode),
        cmocka_unit_test(refuses),
        cmocka_unit_test(part_of_a_document),
        cmocka_unit_test(endless_defaults_end),
        cmocka_unit_test(long_words_are_clipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
