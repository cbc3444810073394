/* SPDX-License-Identifier: Apache-2.0 */
/* What a run asks for: from a fault's rows and its victim to a NodeFault. */
#include "base/cleanup.h"
#include "base/json.h"
#include "fault/ask.h"
#include "fault/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* What speaks of pods stands elsewhere in the object, or is the run's own affair. */
static bool of_the_run(const char *key) {
    static const char *const keys[] = {"selector", "mode", "value", "target", "measure", "container", FAULT_HOST_NETWORK};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

/* --- rows --- */

static json_t *written(const struct doc *d, const char *path, const json_t *v);

static json_t *written_members(const struct doc *d, const char *path, const json_t *v) {
    json_t *out = json_object(), *member;
    const char *key;
    json_object_foreach((json_t *)v, key, member) {
        char at[512];
        snprintf(at, sizeof at, "%s/%s", path, key);
        json_object_set_new(out, key, written(d, at, member));
    }
    return out;
}

static json_t *written_items(const struct doc *d, const char *path, const json_t *v) {
    json_t *out = json_array(), *item;
    size_t i;
    json_array_foreach(v, i, item) {
        char at[512];
        snprintf(at, sizeof at, "%s/%zu", path, i);
        json_array_append_new(out, written(d, at, item));
    }
    return out;
}

/* A value as it stands in the scenario: "1.10" is a text to who reads it, and a number to nobody but YAML. */
static json_t *written(const struct doc *d, const char *path, const json_t *v) {
    if (json_is_object(v))
        return written_members(d, path, v);
    if (json_is_array(v))
        return written_items(d, path, v);
    const char *text = json_is_number(v) ? doc_written(d, path) : NULL;
    const bool plain = text && strspn(text, "-.0123456789") == strlen(text);
    return plain ? json_string(text) : json_incref((json_t *)v);
}

static bool is_name(const struct net_fault *n, const char *text) {
    for (size_t i = 0; i < n->names.count; i++)
        if (strcmp(n->names.items[i], text) == 0)
            return true;
    return false;
}

/* Names are looked up here, and go as addresses. */
static void leave_names_out(json_t *params, const struct net_fault *n) {
    json_t *external = json_object_get(params, "externalTargets"), *kept = json_array(), *item;
    size_t i;
    if (json_is_array(external))
        json_array_foreach(external, i, item)
            if (!is_name(n, json_string_value(item) ? json_string_value(item) : ""))
                json_array_append(kept, item);
    if (json_is_string(external) && !is_name(n, json_string_value(external)))
        json_array_append(kept, external);
    if (json_array_size(kept))
        json_object_set(params, "externalTargets", kept);
    else
        json_object_del(params, "externalTargets");
    json_decref(kept);
}

static json_t *params_of(const struct fault_act *act) {
    const struct fault_spec *f = act->spec;
    json_t *params = json_object(), *member;
    const char *key;
    cleanup_json json_t *rows = written(act->env->doc, f->kind.path, doc_value(act->env->doc, f->kind.path));
    json_object_foreach(rows, key, member)
        if (!of_the_run(key) && !json_is_null(member))
            json_object_set(params, key, member);
    for (const struct field *row = f->kind.kind->shape->fields; row->name; row++) /* a default is said: another version may have another */
        if (row->def && row->type == F_STRING && !of_the_run(row->name) && !json_object_get(params, row->name))
            json_object_set_new(params, row->name, json_string(row->def));
    if (((const struct fault_kind *)f->kind.kind)->layer == FAULT_NETWORK)
        leave_names_out(params, f->kind.params);
    return params;
}

/* --- far ends --- */

static json_t *address_of(const struct netem_peer *p) {
    static const uint8_t v4[12] = {[10] = 0xff, 0xff};
    const bool four = p->bits >= 96 && memcmp(p->address, v4, sizeof v4) == 0;
    const int bits = four ? p->bits - 96 : p->bits, all = four ? 32 : 128;
    char text[INET6_ADDRSTRLEN + 8];
    if (!inet_ntop(four ? AF_INET : AF_INET6, four ? p->address + 12 : p->address, text, INET6_ADDRSTRLEN))
        return NULL;
    if (bits < all)
        snprintf(text + strlen(text), 8, "/%d", bits);
    return json_string(text);
}

static int by_address(const void *a, const void *b) { return memcmp(a, b, sizeof(struct netem_peer)); }

int ask_peers(struct fault_act *act, json_t **ret, struct error *err) {
    struct net_fault of = *(const struct net_fault *)act->spec->kind.params;
    cleanup_free struct netem_peer *list = NULL;
    size_t count = 0;
    *ret = NULL;
    if (!of.peers && !of.names.count)
        return 0;
    of.fixed_count = 0; /* these go with the rows */
    int rc = net_peers(act, &of, &list, &count, err);
    if (rc < 0 || count == 0)
        return rc < 0 ? rc : error_set(err, -ENOENT, "none of its far ends has an address now");
    qsort(list, count, sizeof *list, by_address);
    cleanup_json json_t *out = json_array();
    for (size_t i = 0; i < count; i++)
        if (i == 0 || by_address(&list[i - 1], &list[i]) != 0)
            json_array_append_new(out, address_of(&list[i]));
    if (json_array_size(out) > NODE_FAULT_PEERS_MOST)
        return error_set(err, -E2BIG, "%zu far ends that are pods or names: a NodeFault takes %d", json_array_size(out), NODE_FAULT_PEERS_MOST);
    *ret = take_ptr(out);
    return 0;
}

/* --- all of it --- */

/* Set by the scenario, whatever kind it is. */
static bool host_network(const struct fault_spec *f) {
    for (const struct field *row = f->kind.kind->shape->fields; row->name; row++)
        if (strcmp(row->name, FAULT_HOST_NETWORK) == 0)
            return *(const bool *)((const char *)f->kind.params + row->offset);
    return false;
}

static int fill_container(const struct fault_act *act, const struct pod *victim, struct kubernetes_container *ret, struct error *err) {
    const struct fault_kind *k = (const struct fault_kind *)act->spec->kind.kind;
    return kubernetes_container(act->env->cluster, victim, k->container(act->spec->kind.params), ret, err);
}

int ask_spec(struct ask *a, const struct pod *victim, json_t **ret, struct error *err) {
    const struct fault_act *act = a->act;
    const struct fault_kind *k = (const struct fault_kind *)act->spec->kind.kind;
    struct kubernetes_container container = {{0}, {0}};
    char uid[64];
    const int64_t now = clock_wall_ns();
    int rc = k->container ? fill_container(act, victim, &container, err) : 0;
    if (rc < 0)
        return rc;
    kubernetes_group_uid(act->env->cluster, victim, uid, sizeof uid);
    a->deadline_wall_ns = now + (act->for_ns ? act->for_ns : ASK_ONCE_NS);
    cleanup_json json_t *params = params_of(act);
    const struct node_fault f = {
        .namespace = a->all->namespace, .run = act->env->run, .fault = act->spec->name, .kind = k->row.name, .node = a->node, .act = act->id,
        .params = params, .pod_namespace = victim->namespace, .pod_name = victim->name, .pod_uid = uid,
        .host_network = host_network(act->spec), .container_name = k->container ? container.name : NULL,
        .container_id = k->container ? container.id : NULL, .not_before_wall_ns = now, .deadline_wall_ns = a->deadline_wall_ns, .peers = a->peers};
    node_fault_name(&f, a->name);
    return node_fault_build(&f, ret, err);
}
