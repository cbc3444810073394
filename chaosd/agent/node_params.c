/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node_params.h"

#include "base/cleanup.h"
#include "fault/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { KINDS_MOST = 63 };

static bool can(const struct fault_kind *k) { return k->needs && !(k->needs & ~(unsigned)(CLUSTER_SIGNAL | CLUSTER_NETWORK | CLUSTER_CONTAINERS)); }

const char *const *node_params_kinds(void) {
    static const char *names[KINDS_MOST + 1];
    size_t n = 0;
    const bool known = names[0];
    for (size_t i = 0; !known && fault_kinds[i] && n < KINDS_MOST; i++)
        if (can(fault_kinds[i]))
            names[n++] = fault_kinds[i]->row.name;
    return names;
}

static const struct fault_kind *kind_of(const char *name) {
    for (size_t i = 0; fault_kinds[i]; i++)
        if (can(fault_kinds[i]) && strcmp(fault_kinds[i]->row.name, name) == 0)
            return fault_kinds[i];
    return NULL;
}

/* Which pods are meant stands beside the params. */
static int shape_here(const struct fault_kind *k, struct arena *a, struct shape *ret, struct error *err) {
    if (k->layer == FAULT_NETWORK)
        return net_shape_here(k, a, ret, err);
    cleanup_free char *some = calloc(1, k->row.shape->size);
    if (!some)
        return error_set(err, -ENOMEM, "out of memory");
    const size_t from = (size_t)((const char *)k->target(some) - some), to = from + sizeof(struct pod_target);
    size_t count = 0;
    for (const struct field *f = k->row.shape->fields; f->name; f++)
        count++;
    struct field *fields = arena_alloc(a, (count + 1) * sizeof *fields);
    if (!fields)
        return error_set(err, -ENOMEM, "out of memory");
    *ret = *k->row.shape;
    ret->fields = fields;
    for (const struct field *f = k->row.shape->fields; f->name; f++)
        if (f->offset < from || f->offset >= to)
            *fields++ = *f;
    return 0;
}

struct place { char text[160]; };

/* "/delay/latency" */
static const char *origin(const char *path, void *arg) {
    struct place *p = arg;
    snprintf(p->text, sizeof p->text, "spec.params%s", path);
    for (char *c = p->text; (c = strchr(c, '/'));)
        *c = '.';
    return p->text;
}

/* Those of params and those that the run found are one list: so all that the rows know of far ends holds for both. */
static json_t *whole_params(const struct node_fault *f) {
    json_t *all = f->params ? json_deep_copy(f->params) : json_object();
    json_t *ends = json_object_get(all, "externalTargets"), *list = json_is_array(ends) ? json_incref(ends) : json_array();
    if (!f->peers || (ends && !json_is_array(ends) && !json_is_string(ends))) { /* what is wrong there the rows will say */
        json_decref(list);
        return all;
    }
    if (json_is_string(ends)) /* one may stand without brackets */
        json_array_append(list, ends);
    json_object_set_new(all, "externalTargets", ends = list);
    json_array_extend(ends, (json_t *)(uintptr_t)f->peers);
    return all;
}

static int decode(const struct node_fault *f, const struct fault_kind *k, struct arena *a, void *values, struct error *err) {
    struct shape shape;
    struct doc *doc = NULL;
    struct place place;
    int rc = shape_here(k, a, &shape, err);
    if (rc == 0)
        rc = doc_of("spec.params", whole_params(f), origin, &place, &doc, err);
    if (rc == 0)
        rc = schema_decode(doc, "", &shape, NULL, a, values, err);
    doc_free(doc);
    const struct net_fault *n = values;
    if (rc == 0 && k->layer == FAULT_NETWORK && n->names.count)
        return error_set(err, -EINVAL, "far end \"%s\" is a name: a run looks it up, a node does not", n->names.items[0]);
    return rc;
}

static int check(const struct node_fault *f, const struct fault_kind *k, struct error *err) {
    if (f->peers && k->layer != FAULT_NETWORK)
        return error_set(err, -EINVAL, "spec.peers: %s has no far ends", k->row.name);
    if (f->container_id && !k->container)
        return error_set(err, -EINVAL, "spec.container: %s means the pod as a whole", k->row.name);
    if (!f->container_id && k->container)
        return error_set(err, -EINVAL, "spec.container is missing: %s wants to know which", k->row.name);
    return 0;
}

int node_params_read(const struct node_fault *f, struct node_params *ret, struct error *err) {
    *ret = (struct node_params){.kind = kind_of(f->kind)};
    if (!ret->kind)
        return error_set(err, -EOPNOTSUPP, "agents cannot do \"%.63s\"", f->kind);
    int rc = check(f, ret->kind, err);
    if (rc < 0)
        return rc;
    ret->arena = arena_new();
    ret->values = calloc(1, ret->kind->row.shape->size);
    rc = ret->arena && ret->values ? decode(f, ret->kind, ret->arena, ret->values, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc < 0) {
        node_params_free(ret);
        return rc;
    }
    ret->device = ret->kind->layer == FAULT_NETWORK && ((const struct net_fault *)ret->values)->device;
    ret->spec = (struct fault_spec){.name = f->fault, .kind = {.kind = &ret->kind->row, .params = ret->values, .path = ""}};
    return 0;
}

int node_params_again(struct node_params *p, const struct node_fault *f, struct error *err) {
    struct arena *arena = arena_new();
    cleanup_free void *values = calloc(1, p->kind->row.shape->size);
    int rc = check(f, p->kind, err);
    if (rc == 0)
        rc = arena && values ? decode(f, p->kind, arena, values, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc == 0) {
        memcpy(p->values, values, p->kind->row.shape->size);
        struct arena *old = p->arena;
        p->arena = arena;
        arena = old;
    }
    arena_free(arena);
    return rc;
}

void node_params_free(struct node_params *p) {
    arena_free(p->arena);
    free(p->values);
    *p = (struct node_params){0};
}
