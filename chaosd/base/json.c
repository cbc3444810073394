/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* An array's element by a decimal segment of len bytes; NULL when it is none or out of range. */
static json_t *element_at(const json_t *array, const char *seg, size_t len) {
    size_t index = 0;
    if (len == 0 || len > 9)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (seg[i] < '0' || seg[i] > '9')
            return NULL;
        index = index * 10 + (size_t)(seg[i] - '0');
    }
    return json_array_get(array, index);
}

static json_t *member_at(const json_t *obj, const char *seg, size_t len) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)obj, key, value) {
        if (strncmp(key, seg, len) == 0 && key[len] == '\0')
            return value;
    }
    return NULL;
}

json_t *json_at(const json_t *root, const char *path) {
    json_t *v = (json_t *)root;
    while (v && *path) {
        size_t len = strcspn(path, ".");
        json_t *whole = json_object_get(v, path); /* a key that has dots itself, at the path's end */
        if (whole)
            return whole;
        v = json_is_array(v) ? element_at(v, path, len) : json_is_object(v) ? member_at(v, path, len) : NULL;
        path += len;
        if (*path == '.' && *++path == '\0')
            return NULL;
    }
    return v;
}

const char *json_text(const json_t *value, char *tmp, size_t size) {
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        return json_string_value(value);
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_INTEGER:
        snprintf(tmp, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return tmp;
    case JSON_REAL:
        /* 15 digits are always honest, 17 always enough: the first that reads back the same is the shortest. */
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(tmp, size, "%.*g", digits, json_real_value(value));
            if (strtod(tmp, NULL) == json_real_value(value))
                break;
        }
        return tmp;
    default:
        return NULL;
    }
}

int64_t json_int_or(const json_t *obj, const char *key, int64_t fallback) {
    const json_t *v = json_object_get(obj, key);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

const char *json_str_or(const json_t *obj, const char *key, const char *fallback) {
    const json_t *v = json_object_get(obj, key);
    return json_is_string(v) ? json_string_value(v) : fallback;
}

json_t *json_ms(int64_t ns) {
    if (ns < 0)
        return json_null();
    int64_t us = ns / 1000 + (ns % 1000 >= 500);
    return json_real((double)us / 1000.0);
}

json_t *json_string_or_null(const char *text) { return text ? json_string(text) : json_null(); }

int json_file(const json_t *tree, const char *what, struct buf *out, struct error *err) {
    cleanup_free char *text = tree ? json_dumps(tree, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
    if (text) {
        buf_str(out, text);
        buf_str(out, "\n");
    }
    return text && buf_ok(out) ? 0 : error_set(err, -ENOMEM, "%s: out of memory", what);
}
