/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/rng.h"
#include "scenario/doc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void docp_free(struct doc **d) {
    doc_free(*d);
}
#define cleanup_doc __attribute__((__cleanup__(docp_free)))

static struct doc *parse(const char *text) {
    struct doc *d = NULL;
    struct error err = {"untouched"};
    int rc = doc_parse("t.yaml", text, strlen(text), &d, &err);
    if (rc != 0)
        fail_msg("%.200s: %s", text, err.text);
    assert_string_equal(err.text, "untouched");
    return d;
}

static void assert_json(const struct doc *d, const char *expected) {
    cleanup_free char *got = json_dumps(doc_root(d), JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(got, expected);
}

static void values(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        {"a: 1\nb: two\n", "{\"a\":1,\"b\":\"two\"}"},
        {"{\"a\": [1, 2.5, true, null, \"x\"]}", "{\"a\":[1,2.5,true,null,\"x\"]}"},
        {"- true\n- True\n- FALSE\n- yes\n- no\n- on\n- off\n- y\n", "[true,true,false,\"yes\",\"no\",\"on\",\"off\",\"y\"]"},
        {"[null, ~, Null, nULL, 'null', \"~\"]", "[null,null,null,\"nULL\",\"null\",\"~\"]"},
        {"[0, -5, +5, 0x1F, 0o17, 010, 1_000, '5']", "[0,-5,5,31,15,\"010\",\"1_000\",\"5\"]"},
        {"[1e3, -1.5, .5, 1., .inf, .nan, 1e999, 1.2.3, 1e, ., -, e5]",
         "[1000.0,-1.5,0.5,1.0,\".inf\",\".nan\",\"1e999\",\"1.2.3\",\"1e\",\".\",\"-\",\"e5\"]"},
        {"[9223372036854775807, 9223372036854775808, 14841639068965178418]",
         "[9223372036854775807,\"9223372036854775808\",\"14841639068965178418\"]"},
        {"a: !!str 5\nb: ! 6\nc: !!int 7\n", "{\"a\":\"5\",\"b\":\"6\",\"c\":7}"},
        {"a:\nb: ''\n", "{\"a\":null,\"b\":\"\"}"},
        {"80: x\n\"81\": y\ntrue: z\n", "{\"80\":\"x\",\"81\":\"y\",\"true\":\"z\"}"},
        {"a: |\n  one\n  two\nb: >\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\",\"b\":\"one two\\n\"}"},
        {"a: 1m30s\nb: ${rate}\nc: 5%\n", "{\"a\":\"1m30s\",\"b\":\"${rate}\",\"c\":\"5%\"}"},
        {"x: &x {k: [1, 2]}\ny: *x\n", "{\"x\":{\"k\":[1,2]},\"y\":{\"k\":[1,2]}}"},
        {"x: &x 1\nx2: &x 2\ny: *x\n", "{\"x\":1,\"x2\":2,\"y\":2}"},
        {"b: &b {p: 1, q: 2}\nm: {<<: *b, q: 3}\n", "{\"b\":{\"p\":1,\"q\":2},\"m\":{\"q\":3,\"p\":1}}"},
        {"a: &a {p: 1}\nb: &b {p: 2, q: 2}\nm: {<<: [*a, *b]}\n", "{\"a\":{\"p\":1},\"b\":{\"p\":2,\"q\":2},\"m\":{\"p\":1,\"q\":2}}"},
        {"a: &a {p: 1}\nb: &b {<<: *a, q: 2}\nm: {<<: *b}\n", "{\"a\":{\"p\":1},\"b\":{\"q\":2,\"p\":1},\"m\":{\"q\":2,\"p\":1}}"},
        {"m: {'<<': 1}\n", "{\"m\":{\"<<\":1}}"},
        {"\xef\xbb\xbf" "a: 1\n", "{\"a\":1}"},
        {"---\na: 1\n...\n", "{\"a\":1}"},
        {"a: 1\r\nb: 2\r\n", "{\"a\":1,\"b\":2}"},
        {"just a text", "\"just a text\""},
        {"a: \"\\u00e9\\x41\"", "{\"a\":\"\xc3\xa9" "A\"}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_doc struct doc *d = parse(rows[i].yaml);
        assert_json(d, rows[i].json);
    }
}

static void refuses(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *says;
    } rows[] = {
        {"", "t.yaml:1:1: nothing in here"},
        {"# only this\n\n", "t.yaml:1:1: nothing in here"},
        {"---\n", "t.yaml:1:1: nothing in here"},
        {"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: key \"a\" is here twice, on line 1 and on line 3"},
        {"x:\n  - {k: 1, \"k\": 2}\n", "t.yaml:2:12: key \"k\" is here twice, on line 2 and on line 2"},
        {"m: {<<: {a: 1, a: 2}}\n", "key \"a\" is here twice"},
        {"a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document"},
        {"a:\n\tb: 1\n", "t.yaml:2:1: found character that cannot start any token"},
        {"a:\n\tb: 1\n", "with spaces, not with tabs"},
        {"a: {rate: ${rate}}\n", "put quotes around"},
        {"a: [1, 2\nb: 3\n", "t.yaml:2:"},
        {"a: b: c\n", "t.yaml:1:5: mapping values are not allowed"},
        {"a: 'open\n", "t.yaml:2:1: found unexpected end of stream"},
        {"[1, 2]: x\n", "t.yaml:1:1: a list cannot be a key"},
        {"? {a: 1}\n: x\n", "t.yaml:1:3: a mapping cannot be a key"},
        {"{: x}\n", "t.yaml:1:2: did not find expected node content"},
        {"? \n: x\n", "the key before"},
        {"a: &a k\n*a : 1\n", "t.yaml:2:1: an alias cannot be a key"},
        {"a: *b\n", "t.yaml:1:4: \"*b\" stands for nothing"},
        {"a: &a [*a]\n", "t.yaml:1:8: \"*a\" is inside what it stands for"},
        {"a: &a {b: {c: *a}}\n", "is inside what it stands for"},
        {"a: {<<: 5}\n", "t.yaml:1:9: \"<<\" merges a mapping"},
        {"a: {<<: [[{b: 1}]]}\n", "\"<<\" merges a mapping"},
        {"a: \"x\\0y\"\n", "t.yaml:1:4: a text with a NUL"},
        {"a: !!binary aGk=\n", "t.yaml:1:4: the tag"},
        {"a: !mine {b: 1}\n", "t.yaml:1:4: the tag \"!mine\""},
        {"ok: 1\nb: \xc3(\n", "t.yaml:2:4: byte 0xc3 is not UTF-8"},
        {"\xc3\xa9\xc3\xa9: \xff", "t.yaml:1:5: byte 0xff is not UTF-8"},
        {"a: \xed\xa0\x80", "is not UTF-8"},
        {"a: \xc0\xaf", "is not UTF-8"},
        {"a: \xf5\x80\x80\x80", "is not UTF-8"},
        {"a: \xe2\x82", "is not UTF-8"},
        {"\xff\xfe" "a", "is not UTF-8"},
        {"a: b\x07\n", "t.yaml:1:5: control character U+0007"},
        {"a: \"\\ud800\"\n", "t.yaml:1:"},
        {"%YAML 9.9\n---\na: 1\n", "incompatible YAML"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct doc *d = NULL;
        struct error err = {""};
        int rc = doc_parse("t.yaml", rows[i].yaml, strlen(rows[i].yaml), &d, &err);
        doc_free(d);
        if (rc >= 0 || d)
            fail_msg("taken: %s", rows[i].yaml);
        if (!strstr(err.text, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].yaml, err.text, rows[i].says);
        assert_true(doc_parse("t.yaml", rows[i].yaml, strlen(rows[i].yaml), &d, NULL) < 0);
    }
    struct doc *d = NULL;
    struct error err;
    assert_int_equal(doc_parse("n", "a: \0", 4, &d, &err), -EILSEQ);
    assert_non_null(strstr(err.text, "n:1:4: a NUL byte"));
}

static void expect_refusal(const struct buf *text, int code, const char *says) {
    struct doc *d = NULL;
    struct error err = {""};
    int rc = doc_parse("t", text->data, text->len, &d, &err);
    doc_free(d);
    assert_int_equal(rc, code);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void repeat(struct buf *b, const char *s, size_t n) {
    while (n-- > 0)
        buf_str(b, s);
}

static void limits(void **state) {
    (void)state;
    cleanup_buf struct buf b = {0};
    repeat(&b, "[", 500000);
    expect_refusal(&b, -E2BIG, "nested deeper than 64");
    buf_clear(&b);
    for (unsigned i = 0; i < 100; i++) {
        repeat(&b, " ", i);
        buf_str(&b, "a:\n");
    }
    expect_refusal(&b, -E2BIG, "t:65:65: nested deeper than 64");
    buf_clear(&b);
    repeat(&b, "x", DOC_MAX_BYTES + 1);
    expect_refusal(&b, -EFBIG, "larger than 1048576 bytes");
    buf_clear(&b);
    repeat(&b, "- 1\n", DOC_MAX_NODES);
    expect_refusal(&b, -E2BIG, "more than 100000 values");
    buf_clear(&b);
    repeat(&b, "- 1\n", DOC_MAX_NODES - 1); /* and the list itself */
    cleanup_doc struct doc *d = parse(b.data);
    assert_int_equal(json_array_size(doc_root(d)), DOC_MAX_NODES - 1);
    buf_clear(&b);
    repeat(&b, "[", DOC_MAX_DEPTH);
    repeat(&b, "]", DOC_MAX_DEPTH);
    cleanup_doc struct doc *deep = parse(b.data);
    assert_non_null(deep);
}

static void bombs(void **state) {
    (void)state;
    cleanup_buf struct buf b = {0};
    buf_str(&b, "a0: &a0 [lol, lol]\n");
    for (int i = 1; i < 40; i++)
        buf_printf(&b, "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1);
    expect_refusal(&b, -E2BIG, "expand to more than 100000 values");
    buf_clear(&b);
    buf_str(&b, "a0: &a0 {k: v}\n");
    for (int i = 1; i < 40; i++)
        buf_printf(&b, "a%d: &a%d {<<: [*a%d, *a%d]}\n", i, i, i - 1, i - 1);
    expect_refusal(&b, -E2BIG, "expand to more than 100000 values");
    buf_clear(&b);
    buf_str(&b, "a: &a ");
    repeat(&b, "x", 500000);
    buf_str(&b, "\nb:\n");
    repeat(&b, "- *a\n", 50000);
    expect_refusal(&b, -E2BIG, "bytes of text");
    buf_clear(&b);
    buf_str(&b, "a0: &a0 [1]\n");
    for (int i = 1; i < 200; i++)
        buf_printf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    expect_refusal(&b, -E2BIG, "nest deeper than 64");
    buf_clear(&b);
    buf_str(&b, "a0: &a0 {k: v}\n");
    for (int i = 1; i < 20000; i++)
        buf_printf(&b, "a%d: &a%d {<<: *a%d}\n", i, i, i - 1);
    expect_refusal(&b, -E2BIG, "too deeply");
}

static void at(const struct doc *d, const char *path, int key, int line, int column) {
    int l, c;
    doc_position(d, path, key, &l, &c);
    if (l != line || c != column)
        fail_msg("%s: %d:%d instead of %d:%d", path, l, c, line, column);
}

static void positions(void **state) {
    (void)state;
    cleanup_doc struct doc *d = parse("name: x\n"
                                      "faults:\n"
                                      "  - name: k\n"
                                      "    every: 15s\n"
                                      "\n"
                                      "  - {\xc3\xa9: 1, b: 2}\n"
                                      "a/b~c: 5\n"
                                      "t: &t {p: 1}\n"
                                      "u: *t\n"
                                      "v:\n"
                                      "  <<: *t\n");
    at(d, "", 0, 1, 1);
    at(d, "/name", 0, 1, 7);
    at(d, "/name", 1, 1, 1);
    at(d, "/faults", 0, 3, 3);
    at(d, "/faults", 1, 2, 1);
    at(d, "/faults/0", 0, 3, 5);
    at(d, "/faults/0", 1, 3, 5); /* an element has no key */
    at(d, "/faults/0/every", 0, 4, 12);
    at(d, "/faults/0/every", 1, 4, 5);
    at(d, "/faults/1/b", 1, 6, 12); /* columns count characters */
    at(d, "/faults/0/nothing/at/all", 1, 3, 5);
    at(d, "/a~1b~0c", 0, 7, 8);
    at(d, "/u", 0, 9, 4);
    at(d, "/u/p", 0, 8, 11);
    at(d, "/v/p", 1, 8, 8);
    at(d, "no pointer", 0, 1, 1);
    struct error err;
    assert_int_equal(doc_error(d, "/faults/0/every", 0, &err, -EDOM, "not %d", 5), -EDOM);
    assert_string_equal(err.text, "t.yaml:4:12: not 5");
    assert_string_equal(doc_name(d), "t.yaml");
    assert_int_equal(json_integer_value(doc_value(d, "/a~1b~0c")), 5);
    assert_int_equal(json_integer_value(doc_value(d, "/faults/1/b")), 2);
    static const char *const absent[] = {"/faults/2", "/faults/x", "/faults/-1", "/faults/", "/name/x", "name", "/faults/0/",
    "/faults/0x1"};
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
        assert_null(doc_value(d, absent[i]));
}

static void written(void **state) {
    (void)state;
    cleanup_doc struct doc *d = parse("a: 1.10\nb: True\nc: '1.10'\nd: [0x1F]\ne: x\n");
    assert_string_equal(doc_written(d, "/a"), "1.10");
    assert_string_equal(doc_written(d, "/b"), "True");
    assert_null(doc_written(d, "/c"));
    assert_string_equal(doc_written(d, "/d/0"), "0x1F");
    assert_null(doc_written(d, "/e"));
    assert_null(doc_written(d, "/nothing"));
}

static void replacing(void **state) {
    (void)state;
    cleanup_doc struct doc *d = parse("a: ${r}\nb:\n  - x\n  - {k: 1.0}\nc: 2\n");
    assert_int_equal(doc_replace(d, "/a", json_string("200/s")), 0);
    assert_int_equal(doc_replace(d, "/b/0", json_integer(7)), 0);
    assert_int_equal(doc_replace(d, "/b/1", json_pack("{s:s}", "k", "new")), 0);
    assert_json(d, "{\"a\":\"200/s\",\"b\":[7,{\"k\":\"new\"}],\"c\":2}");
    at(d, "/a", 0, 1, 4);
    at(d, "/b/1/k", 0, 4, 5); /* what stood there is gone: the parent's position */
    assert_null(doc_written(d, "/b/1/k"));
    assert_int_equal(doc_replace(d, "/nope", json_integer(1)), -ENOENT);
    assert_int_equal(doc_replace(d, "/b/2", json_integer(1)), -ENOENT);
    assert_int_equal(doc_replace(d, "/c", NULL), -ENOMEM);
    assert_int_equal(doc_replace(d, "", json_string("all")), 0);
    assert_json(d, "\"all\"");
}

static void round_trip(const json_t *root) {
    cleanup_doc struct doc *d = parse("x"), *again = NULL;
    struct error err = {""};
    assert_int_equal(doc_replace(d, "", json_deep_copy(root)), 0);
    cleanup_free char *yaml = doc_to_yaml(d);
    assert_non_null(yaml);
    if (doc_parse("again", yaml, strlen(yaml), &again, &err) != 0)
        fail_msg("%s\n%s", err.text, yaml);
    if (!json_equal(doc_root(again), root)) {
        cleanup_free char *want = json_dumps(root, JSON_ENCODE_ANY), *got = json_dumps(doc_root(again), JSON_ENCODE_ANY);
        fail_msg("%s\n%s\n%s", want, got, yaml);
    }
}

static void yaml_strings(void **state) {
    (void)state;
    static const char *const texts[] = {
        "", " ", "a", "yes", "No", "null", "~", "true", "False", "5", "-5", "+5", "010", "0x1F", "0o7", "1e3", "1.10", ".5", "1.",
        "1_000", "-",
        "--- a", "...", "- a", "? a", ": a", "a: b", "a :b", "a #b", "#a", "&a", "*a", "!a", "|", ">", "%a", "@a", "`a", "'a'", "\"a\"",
        "{a}", "[a]", "a,b", "${pod.name}", "$${x}", "a\nb", "a\nb\n", "a\n\nb\n\n", "\na", " a", "a ", "a \nb", "a\n b", "  a\nb",
        "a\tb", "\t",
        "a\r\nb", "\n", "\n\n", " \n", "\xc3\xa9", "\xf0\x9f\x98\x80", "\xc2\x85", "a\xe2\x80\xa8z", "\xef\xbb\xbfz", "\x7f", "\x01", "<<",
        "=", "http://h:2379/v3/kv?a=b#c", "'health':\"true\"", "{\"json\": [1, \"2\"]}", "p(99) < 300ms", "a'b", "a\\b", "15s..25s", "5%",
        "#!/bin/sh\nset -e\nexec \"$@\"\n", "\xc2\xa0", "key: |\n  x\n", "null ", "1:30", ".inf", "-.INF", "2024-01-01", "0", "-0", "1e999",
    };
    cleanup_json json_t *list = json_array(), *map = json_object(), *nested = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        cleanup_json json_t *s = json_string(texts[i]);
        round_trip(s);
        json_array_append(list, s);
        json_object_set(map, texts[i], s);
        json_array_append_new(nested, json_pack("{s:O,s:[O]}", "k", s, "l", s));
    }
    round_trip(list);
    round_trip(map);
    round_trip(nested);
}

static json_t *random_json(struct rng *r, unsigned depth) {
    static const char *const bits[] = {"a", " ", "\n", ":", "#", "-", "'", "\"", "\\", "1", ".", "e", "[", "}", ",", "\t", "\xc3\xa9",
    "~", "|", "true"};
    char text[64] = "";
    uint64_t n = rng_below(r, 8);
    switch (rng_below(r, depth > 4 ? 5 : 8)) {
    case 0:
        return json_integer((json_int_t)rng_u64(r));
    case 1:
        return json_real((double)(int64_t)rng_u64(r) / (double)(1 + rng_below(r, 1000)));
    case 2:
        return rng_below(r, 2) ? json_true() : json_null();
    case 5: {
        json_t *list = json_array();
        while (n-- > 0)
            json_array_append_new(list, random_json(r, depth + 1));
        return list;
    }
    case 6:
    case 7: {
        json_t *map = json_object();
        while (n-- > 0) {
            char key[16];
            snprintf(key, sizeof key, "%s%s%u", bits[rng_below(r, ARRAY_SIZE(bits))], bits[rng_below(r, ARRAY_SIZE(bits))], (unsigned)n);
            json_object_set_new(map, key, random_json(r, depth + 1));
        }
        return map;
    }
    default:
        while (n-- > 0)
            strcat(text, bits[rng_below(r, ARRAY_SIZE(bits))]);
        return json_string(text);
    }
}

static void yaml_random(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 42);
    for (int i = 0; i < 600; i++) {
        cleanup_json json_t *j = random_json(&r, 0);
        round_trip(j);
    }
}

static void yaml_readable(void **state) {
    (void)state;
    static const char text[] = "name: drill\n"
                               "version: 1.10\n"
                               "on: 0x1F\n"
                               "cluster:\n"
                               "  local:\n"
                               "    command: [etcd, --name, '${pod.name}', '10']\n"
                               "    empty: {}\n"
                               "    none: []\n"
                               "faults:\n"
                               "- name: kill\n"
                               "  every: 15s..25s\n"
                               "  script: |\n"
                               "    one\n"
                               "    two\n"
                               "  count: 1000\n"
                               "  ratio: 2.50\n"
                               "  empty: null\n";
    cleanup_doc struct doc *d = parse(text);
    cleanup_free char *yaml = doc_to_yaml(d);
    assert_non_null(yaml);
    /* "on" is a boolean to YAML 1.1's readers, hence quoted; all else is as written. */
    const char *on = strstr(text, "on: 0x1F");
    cleanup_buf struct buf expected = {0};
    buf_add(&expected, text, (size_t)(on - text));
    buf_str(&expected, "'on'");
    buf_str(&expected, on + 2);
    assert_string_equal(yaml, expected.data);
}

static void files(void **state) {
    (void)state;
    char path[] = "/tmp/test_doc.XXXXXX";
    cleanup_close int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: 1\nb\n", 7), 7);
    struct doc *d = NULL;
    struct error err;
    assert_true(doc_load(path, &d, &err) < 0);
    assert_memory_equal(err.text, path, strlen(path));
    assert_int_equal(ftruncate(fd, 5), 0);
    assert_int_equal(doc_load(path, &d, &err), 0);
    assert_json(d, "{\"a\":1}");
    doc_free(d);
    assert_int_equal(ftruncate(fd, 64 << 20), 0);
    assert_int_equal(doc_load(path, &d, &err), -EFBIG);
    unlink(path);
    assert_int_equal(doc_load(path, &d, &err), -ENOENT);
    assert_int_equal(doc_load("/", &d, &err), -EISDIR);
    doc_free(NULL);
}

static void standard_input(void **state) {
    (void)state;
    int pipes[2], saved = dup(STDIN_FILENO);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], "a: [\n", 5), 5);
    close(pipes[1]);
    dup2(pipes[0], STDIN_FILENO);
    close(pipes[0]);
    struct doc *d = NULL;
    struct error err = {""};
    int rc = doc_load("-", &d, &err);
    dup2(saved, STDIN_FILENO);
    close(saved);
    assert_int_equal(rc, -EINVAL);
    assert_memory_equal(err.text, "<stdin>:2:1: ", 13);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),       cmocka_unit_test(refuses),     cmocka_unit_test(limits),        cmocka_unit_test(bombs),
        cmocka_unit_test(positions),    cmocka_unit_test(written),     cmocka_unit_test(replacing),     cmocka_unit_test(yaml_strings),
        cmocka_unit_test(yaml_random),  cmocka_unit_test(yaml_readable), cmocka_unit_test(files),       cmocka_unit_test(standard_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
