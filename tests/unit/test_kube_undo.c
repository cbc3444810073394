/* SPDX-License-Identifier: Apache-2.0 */
/* The mark of a change on an object: what is sent with it, and what is decided when it is undone. */
#include "base/cleanup.h"
#include "base/json.h"
#include "cluster/kubernetes_undo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const deployment = "{'metadata': {'name': 'web', 'namespace': 'shop', 'uid': 'u1', 'resourceVersion': '7', 'labels': {'app': 'web'}},"
                                      " 'spec': {'replicas': 3, 'paused': false}}";
static const char *const node = "{'metadata': {'name': 'n1', 'uid': 'u2', 'resourceVersion': '9'}, 'spec': {}}";

static json_t *parse(const char *text) {
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_error_t why;
    json_t *o = json_loads(copy, JSON_DECODE_ANY, &why);
    if (!o)
        fail_msg("%s: %s", why.text, copy);
    return o;
}

static json_t *change(const json_t *object, const char *field, json_t *to) {
    const struct kubernetes_change c = {.run = "ab12cd", .fault = "fewer", .kind = "scale", .id = 3, .deadline_s = 1795342230, .field = field, .to = to};
    json_t *patch = kubernetes_change_patch(object, &c);
    assert_non_null(patch);
    json_decref(to);
    return patch;
}

/* As the server would: what is in the patch is in the object. */
static json_t *changed(const char *text, const char *field, json_t *to) {
    json_t *object = parse(text);
    cleanup_json json_t *patch = change(object, field, to);
    json_object_update_recursive(object, patch);
    return object;
}

static void expect_json(const json_t *is, const char *wanted) {
    cleanup_json json_t *want = parse(wanted);
    cleanup_free char *text = json_dumps(is, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!json_equal(is, want))
        fail_msg("%s\nis not\n%s", text, wanted);
}

static const char *annotation(const json_t *object) { return json_str_or(json_at(object, "metadata.annotations"), CHAOSD_UNDO_ANNOTATION, ""); }

static void a_change_and_its_mark_are_one_patch(void **state) {
    (void)state;
    cleanup_json json_t *object = parse(deployment);
    cleanup_json json_t *patch = change(object, "replicas", json_integer(1));
    expect_json(json_object_get(patch, "spec"), "{'replicas': 1}");
    const json_t *metadata = json_object_get(patch, "metadata");
    assert_string_equal(json_str_or(metadata, "uid", ""), "u1");
    assert_string_equal(json_str_or(metadata, "resourceVersion", ""), "7");
    expect_json(json_object_get(metadata, "labels"), "{'chaosd.io/undo': 'ab12cd'}");
    cleanup_json json_t *mark = kubernetes_mark(patch);
    expect_json(mark, "{'run': 'ab12cd', 'fault': 'fewer', 'id': 3, 'kind': 'scale', 'deadline': '2026-11-22T10:10:30Z', 'undo': ["
                      "{'op': 'test', 'path': '/spec/replicas', 'value': 1}, {'op': 'replace', 'path': '/spec/replicas', 'value': 3},"
                      "{'op': 'remove', 'path': '/metadata/annotations/chaosd.io~1undo'}, {'op': 'remove', 'path': '/metadata/labels/chaosd.io~1undo'}]}");
}

static void a_field_that_was_not_there_is_removed(void **state) {
    (void)state;
    cleanup_json json_t *object = changed(node, "unschedulable", json_true());
    cleanup_json json_t *mark = kubernetes_mark(object);
    expect_json(json_array_get(json_object_get(mark, "undo"), 1), "{'op': 'remove', 'path': '/spec/unschedulable'}");
}

static enum kubernetes_undo_plan plan(const json_t *object, const char *run, int64_t id, json_t **patch, char note[256]) {
    return kubernetes_undo_plan(object, &(struct kubernetes_changed){.run = run, .id = id}, patch, note, 256);
}

static void all_is_undone(void **state) {
    (void)state;
    char note[256];
    cleanup_json json_t *object = changed(deployment, "replicas", json_integer(0)), *patch = NULL;
    assert_int_equal(plan(object, "ab12cd", 3, &patch, note), KUBERNETES_UNDO_ALL);
    assert_string_equal(note, "");
    cleanup_json json_t *first = json_pack("{s:s, s:s, s:s}", "op", "test", "path", "/metadata/annotations/chaosd.io~1undo", "value", annotation(object));
    assert_true(json_equal(json_array_get(patch, 0), first)); /* that it is still this mark */
    json_array_remove(patch, 0);
    expect_json(patch, "[{'op': 'test', 'path': '/spec/replicas', 'value': 0}, {'op': 'replace', 'path': '/spec/replicas', 'value': 3},"
                       "{'op': 'remove', 'path': '/metadata/annotations/chaosd.io~1undo'}, {'op': 'remove', 'path': '/metadata/labels/chaosd.io~1undo'}]");
}

static void nothing_is_left_to_undo(void **state) {
    (void)state;
    char note[256];
    cleanup_json json_t *object = changed(deployment, "replicas", json_integer(1)), *bare = parse(deployment), *patch = NULL;
    assert_int_equal(plan(bare, "ab12cd", 3, &patch, note), KUBERNETES_UNDO_ABSENT);
    assert_int_equal(plan(object, "ab12cd", 4, &patch, note), KUBERNETES_UNDO_NOTHING);
    assert_int_equal(plan(object, "ffffff", 3, &patch, note), KUBERNETES_UNDO_NOTHING);
    assert_null(patch);
}

static void a_mark_that_was_taken_out_is_known_from_the_record(void **state) {
    (void)state;
    char note[256];
    cleanup_json json_t *object = changed(deployment, "replicas", json_integer(1)), *patch = NULL, *from = json_integer(3), *to = json_integer(1);
    const struct kubernetes_changed c = {.run = "ab12cd", .id = 3, .field = "replicas", .from = from, .to = to};
    json_object_del(json_at(object, "metadata.annotations"), CHAOSD_UNDO_ANNOTATION);
    assert_int_equal(kubernetes_undo_plan(object, &c, &patch, note, sizeof note), KUBERNETES_UNDO_LOST);
    assert_non_null(strstr(note, "put back from the record"));
    expect_json(patch, "[{'op': 'test', 'path': '/metadata/labels/chaosd.io~1undo', 'value': 'ab12cd'}, {'op': 'test', 'path': '/spec/replicas', 'value': 1},"
                       "{'op': 'replace', 'path': '/spec/replicas', 'value': 3}, {'op': 'remove', 'path': '/metadata/labels/chaosd.io~1undo'}]");
    assert_int_equal(plan(object, "ab12cd", 3, &patch, note), KUBERNETES_UNDO_UNCLEAR); /* nobody knows it */
}

static void what_another_changed_stays(void **state) {
    (void)state;
    char note[256];
    cleanup_json json_t *object = changed(deployment, "replicas", json_integer(1)), *patch = NULL;
    json_object_set_new(json_object_get(object, "spec"), "replicas", json_integer(5));
    assert_int_equal(plan(object, "ab12cd", 3, &patch, note), KUBERNETES_UNDO_MARKS);
    assert_non_null(strstr(note, "spec.replicas was changed by somebody else and is 5 now"));
    assert_int_equal(json_array_size(patch), 3); /* a test, and both marks */
    json_decref(patch);
    json_object_del(json_object_get(object, "spec"), "replicas");
    assert_int_equal(plan(object, "ab12cd", 3, &patch, note), KUBERNETES_UNDO_MARKS);
    assert_non_null(strstr(note, "is gone now"));
}

static void a_label_that_is_gone_or_anothers_is_left(void **state) {
    (void)state;
    char note[256];
    cleanup_json json_t *object = changed(deployment, "replicas", json_integer(1)), *patch = NULL;
    json_object_del(json_at(object, "metadata.labels"), CHAOSD_UNDO_LABEL);
    assert_int_equal(plan(object, "ab12cd", 3, &patch, note), KUBERNETES_UNDO_ALL);
    assert_int_equal(json_array_size(patch), 4);
    char run[16];
    assert_true(kubernetes_mark_run(object, run, sizeof run)); /* an annotation alone is a mark too */
    assert_string_equal(run, "ab12cd");
    json_decref(patch);
    json_object_set_new(json_at(object, "metadata.labels"), CHAOSD_UNDO_LABEL, json_string("ffffff"));
    assert_int_equal(plan(object, "ab12cd", 3, &patch, note), KUBERNETES_UNDO_ALL);
    assert_int_equal(json_array_size(patch), 4);
}

static void a_mark_is_no_way_in(void **state) {
    (void)state;
    static const char *const steps[] = {
        "{'op': 'replace', 'path': '/spec/template', 'value': {}}",  "{'op': 'replace', 'path': '/spec/replicas', 'value': 'many'}",
        "{'op': 'replace', 'path': '/spec/replicas', 'value': {}}",  "{'op': 'add', 'path': '/metadata/finalizers', 'value': []}",
        "{'op': 'copy', 'path': '/spec/replicas', 'from': '/spec'}", "{'op': 'replace', 'path': '/metadata/labels/chaosd.io~1undo', 'value': 'x'}",
        "{'path': '/spec/replicas'}",                                "7",
    };
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        char note[256];
        cleanup_json json_t *object = changed(deployment, "replicas", json_integer(1)), *patch = NULL, *mark = kubernetes_mark(object);
        json_array_append_new(json_object_get(mark, "undo"), parse(steps[i]));
        cleanup_free char *text = json_dumps(mark, 0);
        json_object_set_new(json_at(object, "metadata.annotations"), CHAOSD_UNDO_ANNOTATION, json_string(text));
        assert_int_equal(plan(object, "ab12cd", 3, &patch, note), KUBERNETES_UNDO_UNCLEAR);
        assert_null(patch);
        assert_non_null(strstr(note, "edited"));
    }
}

static void what_is_no_mark(void **state) {
    (void)state;
    static const char *const texts[] = {"", "{", "[]", "7", "{\"run\":\"\"}", "{\"run\":\"a\",\"id\":1}", "{\"run\":7,\"undo\":[]}", "{\"run\":\"a\",\"undo\":{}}"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        cleanup_json json_t *object = json_pack("{s:{s:{s:s}}}", "metadata", "annotations", CHAOSD_UNDO_ANNOTATION, texts[i]);
        assert_null(kubernetes_mark(object));
    }
    assert_null(kubernetes_mark(NULL));
    assert_false(kubernetes_mark_is(NULL, "a", 1));
}

static void records_that_cannot_be(void **state) {
    (void)state;
    static const char *const records[] = {"{'resource': 'widgets', 'name': 'a', 'run': 'b'}", "{'resource': 'nodes', 'run': 'b'}", "{'resource': 'nodes', 'name': 'a'}"};
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        struct error err = {{0}};
        cleanup_json json_t *r = parse(records[i]);
        assert_true(undo_kube(r, &err) < 0);
        assert_non_null(strstr(err.text, "names no object"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_and_its_mark_are_one_patch), cmocka_unit_test(a_field_that_was_not_there_is_removed), cmocka_unit_test(all_is_undone),
        cmocka_unit_test(nothing_is_left_to_undo), cmocka_unit_test(what_another_changed_stays),
        cmocka_unit_test(a_mark_that_was_taken_out_is_known_from_the_record), cmocka_unit_test(a_label_that_is_gone_or_anothers_is_left),
        cmocka_unit_test(a_mark_is_no_way_in), cmocka_unit_test(what_is_no_mark), cmocka_unit_test(records_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
