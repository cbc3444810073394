/* SPDX-License-Identifier: Apache-2.0 */
/* Network faults without pods: the same rows, for one interface. */
#include "fault/net.h"

#include "base/cleanup.h"

#include <errno.h>

/* Whom it hits, other pods as the far end, and what a run measures. */
static bool of_pods(const struct field *f) {
    const size_t from = offsetof(struct net_fault, target), to = from + sizeof(struct pod_target);
    return (f->offset >= from && f->offset < to) || f->offset == offsetof(struct net_fault, peers) || f->offset == offsetof(struct net_fault, measure) ||
           f->offset == offsetof(struct net_fault, host_network);
}

int net_shape_here(const struct fault_kind *k, struct arena *a, struct shape *ret, struct error *err) {
    size_t count = 0;
    for (const struct field *f = k->row.shape->fields; f->name; f++)
        count++;
    struct field *fields = arena_alloc(a, (count + 1) * sizeof *fields);
    *ret = *k->row.shape;
    ret->fields = fields;
    if (!fields)
        return error_set(err, -ENOMEM, "out of memory");
    for (const struct field *f = k->row.shape->fields; f->name; f++)
        if (!of_pods(f))
            *fields++ = *f;
    return 0;
}

/* The least that a section may hold: what it requires, else its first row. */
static json_t *least_of(const struct shape *s, bool any);

static json_t *least_value(const struct field *f) {
    static const char *const values[] = {[F_DURATION] = "10ms", [F_PERCENT] = "1%", [F_BANDWIDTH] = "1mbit", [F_INT] = "1", [F_STRING] = "1"};
    if (f->type == F_OBJECT)
        return least_of(f->shape, true);
    return json_string(f->type < (int)ARRAY_SIZE(values) && values[f->type] ? values[f->type] : "");
}

static json_t *least_of(const struct shape *s, bool any) {
    json_t *o = json_object();
    for (const struct field *f = s->fields; f->name; f++)
        if (f->required)
            json_object_set_new(o, f->name, least_value(f));
    if (any && json_object_size(o) == 0)
        json_object_set_new(o, s->fields->name, least_value(s->fields));
    return o;
}

static const char *no_origin(const char *path, void *arg) {
    (void)path, (void)arg;
    return NULL;
}

static int try_least(const struct fault_kind *k, struct arena *a, struct error *err) {
    struct shape shape;
    struct doc *doc = NULL;
    struct fault_spec spec = {.name = k->row.name, .kind = {.kind = &k->row}};
    void *params = arena_alloc(a, k->row.shape->size);
    int rc = params ? net_shape_here(k, a, &shape, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc == 0)
        rc = doc_of(k->row.name, least_of(&shape, false), no_origin, NULL, &doc, err);
    if (rc == 0)
        rc = schema_decode(doc, "", &shape, NULL, a, params, err);
    doc_free(doc);
    spec.kind.params = params;
    return rc < 0 ? rc : k->preflight(&spec, err);
}

int net_able(const struct fault_kind *k, struct error *err) {
    struct arena *a = arena_new();
    int rc = a ? try_least(k, a, err) : error_set(err, -ENOMEM, "out of memory");
    arena_free(a);
    return rc;
}
