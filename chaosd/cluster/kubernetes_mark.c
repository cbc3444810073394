/* SPDX-License-Identifier: Apache-2.0 */
/* The mark on an object: what chaosd changed, and how it is undone. Whoever may edit the object may edit the mark, so that no more is ever
 * taken from it than a change of the fields that a fault can change. */
#include "base/cleanup.h"
#include "base/json.h"
#include "cluster/kubernetes_undo.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define ANNOTATION_POINTER "/metadata/annotations/chaosd.io~1undo"
#define LABEL_POINTER "/metadata/labels/chaosd.io~1undo"

static const struct {
    const char *pointer, *path;
} fields[] = {
    {"/spec/replicas", "spec.replicas"},
    {"/spec/unschedulable", "spec.unschedulable"},
};

static const char *annotation_of(const json_t *object) {
    return json_str_or(json_at(object, "metadata.annotations"), CHAOSD_UNDO_ANNOTATION, NULL);
}

static const char *label_of(const json_t *object) { return json_str_or(json_at(object, "metadata.labels"), CHAOSD_UNDO_LABEL, ""); }

json_t *kubernetes_mark(const json_t *object) {
    const char *text = annotation_of(object);
    json_t *mark = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (mark && (!json_is_object(mark) || !*json_str_or(mark, "run", "") || !json_is_array(json_object_get(mark, "undo")))) {
        json_decref(mark);
        mark = NULL;
    }
    return mark;
}

bool kubernetes_mark_run(const json_t *object, char *run, size_t size) {
    cleanup_json json_t *mark = kubernetes_mark(object);
    const char *label = label_of(object);
    snprintf(run, size, "%s", *label ? label : json_str_or(mark, "run", ""));
    return *label || annotation_of(object);
}

bool kubernetes_mark_is(const json_t *mark, const char *run, int64_t id) {
    return mark && strcmp(json_str_or(mark, "run", ""), run) == 0 && json_int_or(mark, "id", -1) == id;
}

/* --- the change --- */

static json_t *undo_of(const json_t *object, const struct kubernetes_change *c) {
    char pointer[64];
    snprintf(pointer, sizeof pointer, "/spec/%s", c->field);
    json_t *before = json_object_get(json_object_get(object, "spec"), c->field);
    return json_pack("[{s:s, s:s, s:O}, {s:s, s:s, s:O*}, {s:s, s:s}, {s:s, s:s}]", "op", "test", "path", pointer, "value", c->to, "op",
                     before ? "replace" : "remove", "path", pointer, "value", before, "op", "remove", "path", ANNOTATION_POINTER, "op", "remove",
                     "path", LABEL_POINTER);
}

static char *mark_text(const json_t *object, const struct kubernetes_change *c) {
    char stamp[32] = "";
    struct tm tm;
    const time_t at = c->deadline_s;
    if (gmtime_r(&at, &tm))
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    cleanup_json json_t *mark = json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "run", c->run, "fault", c->fault, "id", (json_int_t)c->id, "kind",
                                          c->kind, "deadline", stamp, "undo", undo_of(object, c));
    return mark ? json_dumps(mark, JSON_COMPACT) : NULL;
}

json_t *kubernetes_change_patch(const json_t *object, const struct kubernetes_change *c) {
    cleanup_free char *mark = mark_text(object, c);
    const json_t *metadata = json_object_get(object, "metadata");
    return mark ? json_pack("{s:{s:s*, s:s*, s:{s:s}, s:{s:s}}, s:{s:O}}", "metadata", "uid", json_str_or(metadata, "uid", NULL),
                            "resourceVersion", json_str_or(metadata, "resourceVersion", NULL), "annotations", CHAOSD_UNDO_ANNOTATION, mark,
                            "labels", CHAOSD_UNDO_LABEL, c->run, "spec", c->field, c->to)
                : NULL;
}

/* --- its undoing --- */

static const char *field_of(const char *pointer) {
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (strcmp(fields[i].pointer, pointer) == 0)
            return fields[i].path;
    return NULL;
}

static bool of_mark(const char *pointer) { return strcmp(pointer, ANNOTATION_POINTER) == 0 || strcmp(pointer, LABEL_POINTER) == 0; }

static bool understood(const json_t *step) {
    const char *op = json_str_or(step, "op", ""), *path = json_str_or(step, "path", "");
    const json_t *value = json_object_get(step, "value");
    if (of_mark(path))
        return strcmp(op, "remove") == 0;
    if (!field_of(path))
        return false;
    const bool sets = strcmp(op, "test") == 0 || strcmp(op, "replace") == 0;
    return strcmp(op, "remove") == 0 || (sets && (json_is_integer(value) || json_is_boolean(value)));
}

/* False: a test of it does not hold on the object; says what is there instead. */
static bool holds(const json_t *object, const json_t *step, char *note, size_t size) {
    const char *path = json_str_or(step, "path", "");
    if (strcmp(json_str_or(step, "op", ""), "test") != 0)
        return true;
    json_t *there = json_at(object, field_of(path));
    if (there && json_equal(there, json_object_get(step, "value")))
        return true;
    char tmp[64];
    const char *text = there ? json_text(there, tmp, sizeof tmp) : "gone";
    snprintf(note, size, "%s was changed by somebody else and is %s now: left as it is", field_of(path), text ? text : "something else");
    return false;
}

/* Each that is there goes, if it is still as it was read: tests first, NULL when there is none. */
static json_t *marks_out(const json_t *object, const char *run) {
    const char *annotation = annotation_of(object);
    const bool label = strcmp(label_of(object), run) == 0;
    json_t *patch = json_array();
    if (annotation)
        json_array_append_new(patch, json_pack("{s:s, s:s, s:s}", "op", "test", "path", ANNOTATION_POINTER, "value", annotation));
    else if (label)
        json_array_append_new(patch, json_pack("{s:s, s:s, s:s}", "op", "test", "path", LABEL_POINTER, "value", run));
    if (annotation)
        json_array_append_new(patch, json_pack("{s:s, s:s}", "op", "remove", "path", ANNOTATION_POINTER));
    if (label)
        json_array_append_new(patch, json_pack("{s:s, s:s}", "op", "remove", "path", LABEL_POINTER));
    return patch;
}

/* What the API leaves out is false. */
static bool is_value(const json_t *there, const json_t *value) {
    if (!there || !value)
        return !there ? !value || json_is_false(value) : json_is_false(there);
    return json_equal(there, value);
}

/* Test and replacement stand behind the test of the mark, before its removal. */
static void insert_back(json_t *patch, const struct kubernetes_changed *c, const json_t *there) {
    char pointer[64];
    size_t at = json_array_size(patch) ? 1 : 0;
    snprintf(pointer, sizeof pointer, "/spec/%s", c->field);
    json_array_insert_new(patch, at++, json_pack("{s:s, s:s, s:O}", "op", "test", "path", pointer, "value", there));
    json_array_insert_new(patch, at, json_pack("{s:s, s:s, s:O*}", "op", c->from ? "replace" : "remove", "path", pointer, "value", c->from));
}

/* The object carries no mark of this act that can be read: what it changed is known from elsewhere, or not at all. */
static enum kubernetes_undo_plan plan_lost(const json_t *object, const struct kubernetes_changed *c, json_t **ret, char *note, size_t size) {
    const bool left = strcmp(label_of(object), c->run) == 0; /* something of ours is */
    const json_t *there = c->field ? json_object_get(json_object_get(object, "spec"), c->field) : NULL;
    char tmp[64];
    if (!c->field && left) {
        snprintf(note, size, "it has the label %s, but no annotation that says how it was before: somebody took that out, or edited it; put "
                 "the object back by hand, and take the label out", CHAOSD_UNDO_LABEL);
        return KUBERNETES_UNDO_UNCLEAR;
    }
    if (!c->field)
        return KUBERNETES_UNDO_ABSENT;
    *ret = left ? marks_out(object, c->run) : NULL;
    if (is_value(there, c->from))
        return left ? KUBERNETES_UNDO_MARKS : KUBERNETES_UNDO_ABSENT;
    if (!is_value(there, c->to) || !there) {
        const char *text = there ? json_text(there, tmp, sizeof tmp) : "gone";
        snprintf(note, size, "the annotation %s is gone, and spec.%s was changed by somebody else and is %s now: left as it is",
                 CHAOSD_UNDO_ANNOTATION, c->field, text ? text : "something else");
        return left ? KUBERNETES_UNDO_MARKS : KUBERNETES_UNDO_NOTHING;
    }
    snprintf(note, size, "somebody took out the annotation %s, and spec.%s was still as the fault set it: put back from the record",
             CHAOSD_UNDO_ANNOTATION, c->field);
    *ret = *ret ? *ret : json_array();
    insert_back(*ret, c, there);
    return KUBERNETES_UNDO_LOST;
}

enum kubernetes_undo_plan kubernetes_undo_plan(const json_t *object, const struct kubernetes_changed *c, json_t **ret, char *note, size_t size) {
    cleanup_json json_t *mark = kubernetes_mark(object);
    size_t i;
    json_t *step;
    *ret = NULL;
    snprintf(note, size, "%s", "");
    if (mark && !kubernetes_mark_is(mark, c->run, c->id))
        return KUBERNETES_UNDO_NOTHING; /* the object is another act's, which found it as it should be */
    if (!mark)
        return plan_lost(object, c, ret, note, size);
    const json_t *steps = json_object_get(mark, "undo");
    json_array_foreach(steps, i, step) {
        if (!understood(step)) {
            snprintf(note, size, "the annotation %s holds a patch that is none of chaosd's: somebody edited it; put the object "
                     "back by hand", CHAOSD_UNDO_ANNOTATION);
            return KUBERNETES_UNDO_UNCLEAR;
        }
    }
    *ret = marks_out(object, c->run);
    json_array_foreach(steps, i, step) {
        if (!holds(object, step, note, size))
            return KUBERNETES_UNDO_MARKS;
    }
    size_t at = 1; /* after the test that the mark is still this one */
    json_array_foreach(steps, i, step) {
        if (!of_mark(json_str_or(step, "path", "")))
            json_array_insert(*ret, at++, step);
    }
    return KUBERNETES_UNDO_ALL;
}
