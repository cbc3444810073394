/* SPDX-License-Identifier: Apache-2.0 */
#include "words/fields.h"

#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER "[0-9]+(\\.[0-9]+)?"
#define DURATION "(" NUMBER "(ns|us|\xc2\xb5s|\xce\xbcs|ms|s|m|h))+|0"
#define TEXT_BITS (JSON_STRING_BIT | JSON_NUMBER_BIT | JSON_BOOLEAN_BIT)

/* An integer stands beside a string where a bare number can be right, as in `delay: 0`. */
static const struct type_words types[] = {
    [F_STRING] = {"text", NULL, TEXT_BITS, FORM_SCALAR},
    [F_NAME] = {"name", "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", JSON_STRING_BIT | JSON_INTEGER_BIT, FORM_SCALAR},
    [F_TEMPLATE] = {"template", NULL, TEXT_BITS, FORM_SCALAR},
    [F_BOOL] = {"true or false", "true|false", JSON_STRING_BIT | JSON_BOOLEAN_BIT, FORM_SCALAR},
    [F_INT] = {"number", "[0-9]+", JSON_STRING_BIT | JSON_INTEGER_BIT, FORM_SCALAR},
    [F_DURATION] = {"duration", DURATION, JSON_STRING_BIT | JSON_INTEGER_BIT, FORM_SCALAR},
    [F_DURATION_RANGE] = {"duration or range", "(" DURATION ")(\\.\\.(" DURATION "))?", JSON_STRING_BIT | JSON_INTEGER_BIT, FORM_SCALAR},
    [F_DURATIONS] = {"list of durations", DURATION, JSON_STRING_BIT | JSON_INTEGER_BIT, FORM_LIST},
    [F_RATE] = {"rate", NUMBER "/[smh]|0", JSON_STRING_BIT | JSON_INTEGER_BIT, FORM_SCALAR},
    [F_PERCENT] = {"percentage", NUMBER "%|0", JSON_STRING_BIT | JSON_INTEGER_BIT, FORM_SCALAR},
    [F_BYTES] = {"size", NUMBER "(B|[kKMGT]B|[KMGT]iB?)?", JSON_STRING_BIT | JSON_INTEGER_BIT, FORM_SCALAR},
    [F_BANDWIDTH] = {"bandwidth", NUMBER "([kKmMgGtT]i?)?(bit|bps)", JSON_STRING_BIT, FORM_SCALAR},
    [F_ENUM] = {"word", NULL, JSON_STRING_BIT, FORM_SCALAR},
    [F_ENUMS] = {"list of words", NULL, JSON_STRING_BIT, FORM_LIST},
    [F_STRINGS] = {"list of texts", NULL, TEXT_BITS, FORM_LIST},
    [F_TEMPLATES] = {"list of templates", NULL, TEXT_BITS, FORM_LIST},
    [F_STRING_MAP] = {"name: text", NULL, TEXT_BITS, FORM_MAP},
    [F_TEMPLATE_MAP] = {"name: template", NULL, TEXT_BITS, FORM_MAP},
    [F_JSON_TEMPLATE] = {"any value, its texts templates", NULL, 0, FORM_ANY},
    [F_JSON] = {"any value", NULL, 0, FORM_ANY},
    [F_OBJECT] = {"mapping", NULL, 0, FORM_OBJECT},
    [F_LIST] = {"list", NULL, 0, FORM_OBJECTS},
    [F_MAP] = {"by name", NULL, 0, FORM_NAMED},
    [F_KIND] = {"kind", NULL, 0, FORM_KIND},
};

const struct type_words *type_words(enum field_type type) { return &types[type]; }

/* v / unit without the zeros that say nothing; %g would turn small ones into 1e-06. */
static void decimal(int64_t v, int64_t unit, int digits, const char *suffix, struct buf *out) {
    char text[48];
    int n = snprintf(text, sizeof text, "%" PRId64 ".%0*" PRId64, v / unit, digits, v % unit);
    while (text[n - 1] == '0')
        text[--n] = 0;
    if (text[n - 1] == '.')
        text[--n] = 0;
    buf_printf(out, "%s%s", text, suffix);
}

/* ---- limits, as check_range and decode_length of the schema have them */

bool field_has_max(const struct field *f) { return f->max > 0 && f->max >= f->min; }
bool field_has_limits(const struct field *f) { return f->min > 0 || field_has_max(f); }

static void one_limit(const struct field *f, int64_t v, struct buf *out) {
    char text[64];
    switch (f->type) {
    case F_DURATION:
    case F_DURATION_RANGE:
    case F_DURATIONS:
        format_duration(v, text, sizeof text);
        buf_str(out, text);
        break;
    case F_RATE:
        decimal(v, 1000000, 6, "/s", out);
        break;
    case F_PERCENT:
        decimal(v, 10000, 4, "%", out);
        break;
    default:
        buf_printf(out, "%" PRId64, v);
    }
}

void field_limits(const struct field *f, struct buf *out) {
    bool most = field_has_max(f), own = f->type == F_DURATIONS; /* its limits are each element's */
    enum field_form form = types[f->type].form;
    bool length = !own && form != FORM_SCALAR;
    if (!field_has_limits(f))
        return;
    buf_str(out, most && f->min > 0 ? "from " : most ? "at most " : "at least ");
    if (f->min > 0 || !most)
        one_limit(f, f->min, out);
    if (most && f->min > 0)
        buf_str(out, " to ");
    if (most)
        one_limit(f, f->max, out);
    if (length)
        buf_str(out, " of them");
    else if (f->type == F_STRING || f->type == F_TEMPLATE)
        buf_str(out, " characters");
}

/* ---- shapes */

const struct kind_row *const *shapes_kinds(const struct kind_set *kinds, const struct field *f) {
    static const struct kind_row *const none[] = {NULL};
    const struct kind_row *const *group = kinds ? kinds->groups[f->kinds] : NULL;
    return group ? group : none;
}

static bool name_taken(const struct named_shapes *s, const char *name) {
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->items[i].name, name) == 0)
            return true;
    return false;
}

static int add(struct named_shapes *s, const struct shape *shape, const char *group, const char *name, const char *doc, struct error *err) {
    if (!shape || shapes_name(s, shape))
        return 0;
    struct named_shape *more = realloc(s->items, (s->count + 1) * sizeof *more);
    if (!more)
        return error_set(err, -ENOMEM, "out of memory");
    s->items = more;
    struct named_shape n = {.shape = shape, .doc = doc ? doc : shape->doc};
    snprintf(n.name, sizeof n.name, "%s%s%.40s", group, *group ? "." : "", name);
    for (int i = 2; name_taken(s, n.name); i++)
        snprintf(n.name, sizeof n.name, "%s%s%.40s-%d", group, *group ? "." : "", name, i);
    s->items[s->count++] = n;
    return 0;
}

static int add_children(struct named_shapes *s, const struct shape *shape, const struct kind_set *kinds, struct error *err) {
    static const char *const groups[KIND_GROUP_COUNT] = {
        [KIND_FAULT] = "fault", [KIND_LOAD] = "load", [KIND_PROBE] = "probe", [KIND_CLUSTER] = "cluster"};
    int rc = 0;
    for (const struct field *f = shape->fields; f && f->name && rc == 0; f++) {
        if (f->shape)
            rc = add(s, f->shape, "", f->shape->name, NULL, err);
        for (const struct kind_row *const *k = shapes_kinds(kinds, f); f->type == F_KIND && *k && rc == 0; k++)
            rc = add(s, (*k)->shape, groups[f->kinds], (*k)->name, (*k)->doc, err);
    }
    return rc;
}

int shapes_collect(const struct shape *root, const struct kind_set *kinds, struct named_shapes *ret, struct error *err) {
    struct named_shapes s = {0};
    int rc = add(&s, root, "", root->name, NULL, err);
    for (size_t i = 0; i < s.count && rc == 0; i++) /* it grows while we walk it */
        rc = add_children(&s, s.items[i].shape, kinds, err);
    if (rc < 0)
        shapes_free(&s);
    else
        *ret = s;
    return rc;
}

void shapes_free(struct named_shapes *s) {
    free(s->items);
    *s = (struct named_shapes){0};
}

const char *shapes_name(const struct named_shapes *s, const struct shape *shape) {
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].shape == shape)
            return s->items[i].name;
    return NULL;
}
