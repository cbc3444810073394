/* SPDX-License-Identifier: Apache-2.0 */
/* Every field as a table a shape, behind the introduction. */
#include "words/words.h"

#include "base/cleanup.h"
#include "words/fields.h"

#include <errno.h>
#include <string.h>

/* A cell of a table, in which "|" would end it. */
static void cell(struct buf *out, const char *text) {
    for (const char *p = text; *p; p++)
        if (*p == '|')
            buf_str(out, "\\|");
        else if (*p == '<') /* a placeholder, not a tag */
            buf_str(out, "&lt;");
        else
            buf_add(out, p, 1);
}

/* GitHub's anchor of a heading: dots fall out. */
static void anchor(struct buf *out, const char *name) {
    for (const char *p = name; *p; p++)
        if (*p != '.')
            buf_add(out, p, 1);
}

static void link_to(struct buf *out, const struct named_shapes *shapes, const struct shape *shape) {
    const char *name = shapes_name(shapes, shape);
    buf_printf(out, "[%s](#", name);
    anchor(out, name);
    buf_str(out, ")");
}

static void type_cell(struct buf *out, const struct named_shapes *shapes, const struct field *f) {
    const struct type_words *t = type_words(f->type);
    if (f->values) {
        buf_str(out, t->form == FORM_LIST ? "list of " : "");
        for (size_t i = 0; f->values[i]; i++)
            buf_printf(out, "%s`%s`", i ? ", " : "", f->values[i]);
        return;
    }
    if (!f->shape) {
        buf_str(out, t->word);
        return;
    }
    buf_str(out, f->type == F_LIST ? "list of " : f->type == F_MAP ? "by name: " : "");
    link_to(out, shapes, f->shape);
}

static void default_cell(struct buf *out, const struct field *f) {
    if (f->required)
        buf_str(out, "required");
    else if (f->def)
        buf_printf(out, "`%s`", f->def);
    else if (f->type == F_BOOL)
        buf_str(out, "`false`");
}

static void field_row(struct buf *out, const struct named_shapes *shapes, const struct field *f) {
    buf_printf(out, "| `%s` | ", f->name);
    type_cell(out, shapes, f);
    buf_str(out, " | ");
    default_cell(out, f);
    buf_str(out, " | ");
    field_limits(f, out);
    buf_str(out, " | ");
    cell(out, f->doc ? f->doc : "");
    buf_str(out, " |\n");
}

static void kind_rows(struct buf *out, const struct named_shapes *shapes, const struct kind_set *kinds, const struct field *f) {
    const struct kind_row *const *k = shapes_kinds(kinds, f);
    bool alone = k[0] && !k[1];
    for (; *k; k++) {
        buf_printf(out, "| `%s` | ", (*k)->name);
        if ((*k)->shape)
            link_to(out, shapes, (*k)->shape);
        buf_printf(out, " | %s | | ", !f->required ? "" : alone ? "required" : "one of these");
        cell(out, (*k)->doc);
        buf_str(out, " |\n");
    }
}

static void shape_section(struct buf *out, const struct named_shape *n, const struct named_shapes *shapes, const struct kind_set *kinds) {
    const struct field *f = n->shape->fields;
    buf_printf(out, "\n### %s\n\n", n->name);
    cell(out, n->doc ? n->doc : "");
    buf_str(out, "\n");
    if (!f || !f->name)
        return;
    buf_str(out, "\n| key | type | default | limits | |\n| --- | --- | --- | --- | --- |\n");
    for (; f->name; f++)
        if (f->type == F_KIND)
            kind_rows(out, shapes, kinds, f);
        else
            field_row(out, shapes, f);
}

int words_scenarios(const struct shape *root, const struct kind_set *kinds, struct buf *out, struct error *err) {
    struct named_shapes shapes = {0};
    int rc = shapes_collect(root, kinds, &shapes, err);
    if (rc < 0)
        return rc;
    buf_str(out, words_introduction);
    buf_str(out, "\n## Every key\n");
    for (size_t i = 0; i < shapes.count; i++)
        shape_section(out, &shapes.items[i], &shapes, kinds);
    shapes_free(&shapes);
    return buf_ok(out) ? 0 : error_set(err, -ENOMEM, "out of memory");
}
