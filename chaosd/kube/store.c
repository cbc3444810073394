/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/store.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "kube/store_priv.h"

#include <errno.h>
#include <string.h>

struct kube_store {
    const struct kube_kind *kind;
    struct intern *intern;
    struct table objects;
    uint32_t round;
    const struct kube_object *young; /* of this round, as are all before it; while old ones are taken */
    struct kube_object *deleted; /* its last words, until kube_change_end */
};

int kube_store_new(const struct kube_kind *kind, struct kube_store **ret, struct error *err) {
    struct kube_store *s = calloc(1, sizeof *s);
    if (!s || !(s->intern = intern_new())) {
        free(s);
        return error_set(err, -ENOMEM, "out of memory");
    }
    s->kind = kind;
    *ret = s;
    return 0;
}

void kube_store_free(struct kube_store *s) {
    if (!s)
        return;
    table_free(&s->objects, free); /* what they hold goes with the texts */
    free(s->deleted);
    intern_free(s->intern);
    free(s);
}

size_t kube_store_count(const struct kube_store *s) { return s->objects.count; }

static uint32_t hash_of(const char *namespace, const char *name) {
    return table_hash(hash_text(hash_byte(hash_text(HASH_SEED, namespace), '/'), name));
}

static struct kube_object *object_at(struct table_link **at) { return at ? (struct kube_object *)*at : NULL; }

static struct table_link **find(const struct kube_store *s, uint32_t hash, const char *namespace, const char *name) {
    for (struct table_link **at = table_find(&s->objects, hash, NULL); at; at = table_find(&s->objects, hash, at))
        if (strcmp(object_at(at)->namespace, namespace) == 0 && strcmp(object_name(object_at(at)), name) == 0)
            return at;
    return NULL;
}

const struct kube_object *kube_store_get(const struct kube_store *s, const char *namespace, const char *name) {
    return object_at(find(s, hash_of(namespace, name), namespace, name));
}

const struct kube_object *kube_store_next(const struct kube_store *s, const struct kube_object *after) {
    return (const struct kube_object *)table_next(&s->objects, after ? &after->link : NULL);
}

static int names_of(const json_t *object, const char **ret_namespace, const char **ret_name, struct error *err) {
    const json_t *metadata = json_object_get(object, "metadata");
    const char *name = json_string_value(json_object_get(metadata, "name")),
               *ns = json_string_value(json_object_get(metadata, "namespace"));
    if (!name || !*name)
        return error_set(err, -EPROTO, "an object without a metadata.name");
    *ret_namespace = ns ? ns : "";
    *ret_name = name;
    return 0;
}

int kube_store_put(struct kube_store *s, const json_t *object, struct kube_change *ret, struct error *err) {
    const char *ns, *name;
    int rc = names_of(object, &ns, &name, err);
    if (rc < 0)
        return rc;
    *ret = (struct kube_change){0};
    uint32_t hash = hash_of(ns, name);
    struct table_link **at = find(s, hash, ns, name);
    const json_t *metadata = json_object_get(object, "metadata");
    const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));
    if (at && version && object_is(object_at(at), json_string_value(json_object_get(metadata, "uid")), version)) {
        object_at(at)->round = s->round;
        *ret = (struct kube_change){.after = object_at(at), .same = true};
        return 0;
    }
    struct kube_object *o = NULL;
    if (!at && !table_reserve(&s->objects))
        return error_set(err, -ENOMEM, "out of memory");
    if ((rc = object_pack(s->intern, s->kind, object, &o, err)) < 0)
        return rc;
    o->round = s->round;
    ret->before = object_at(at);
    if (at)
        table_replace(at, &o->link);
    else
        table_add(&s->objects, &o->link, hash);
    ret->after = o;
    return 0;
}

int kube_store_delete(struct kube_store *s, const json_t *object, struct kube_change *ret, struct error *err) {
    const char *ns, *name;
    int rc = names_of(object, &ns, &name, err);
    if (rc < 0)
        return rc;
    *ret = (struct kube_change){0};
    struct kube_object *last = NULL;
    if ((rc = object_pack(s->intern, s->kind, object, &last, err)) < 0)
        return rc;
    object_free(s->intern, s->deleted);
    s->deleted = last;
    struct table_link **at = find(s, hash_of(ns, name), ns, name);
    if (at && object_is(object_at(at), object_uid(last), NULL)) /* a later one of the same name stays */
        ret->before = (struct kube_object *)table_take(&s->objects, at);
    ret->after = last;
    return 0;
}

void kube_change_end(struct kube_store *s, struct kube_change *c) {
    object_free(s->intern, c->before);
    if (c->after && c->after == s->deleted) {
        object_free(s->intern, s->deleted);
        s->deleted = NULL;
    }
    *c = (struct kube_change){0};
}

void kube_store_mark(struct kube_store *s) {
    s->round++;
    s->young = NULL;
}

bool kube_store_take_old(struct kube_store *s, struct kube_change *ret) {
    for (const struct kube_object *o; (o = kube_store_next(s, s->young)); s->young = o)
        if (o->round != s->round) {
            *ret = (struct kube_change){.before = (struct kube_object *)table_take(&s->objects, find(s, o->link.hash, o->namespace, object_name(o)))};
            return true;
        }
    return false;
}
