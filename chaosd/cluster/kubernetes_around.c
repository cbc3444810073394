/* SPDX-License-Identifier: Apache-2.0 */
/* What stands around the pods: addresses behind Services, nodes, leases, budgets, the API's own Events. */
#include "cluster/kubernetes_priv.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#define EVENTS_MOST 20000 /* of one run's history: a cluster in trouble says the same thing for hours */

const struct kube_store *kubernetes_store(struct kubernetes *k, enum kube_kind_id kind, const char *namespace) {
    for (const struct following *f = k->followings; f; f = f->next)
        if (f->what->kind == kind && f->watch && (!f->namespace || (namespace && strcmp(f->namespace, namespace) == 0)))
            return kube_watch_store(f->watch);
    return NULL;
}

void kubernetes_quiet(struct following *f, const struct kube_event *e) { (void)f, (void)e; }

static json_t *body_of(const struct kube_object *o) {
    struct kube_view v;
    if (!o)
        return NULL;
    kube_object_view(o, &v);
    return json_loads(v.body, 0, NULL);
}

/* --- EndpointSlices --- */

/* The endpoint of a pod in a slice; -1: not there, 0: not ready, 1: ready. Without a word it is ready, as the API has it. */
static int endpoint_state(const json_t *slice, const char *uid) {
    size_t i;
    json_t *endpoint;
    json_array_foreach(json_object_get(slice, "endpoints"), i, endpoint)
        if (strcmp(json_str_or(json_object_get(endpoint, "targetRef"), "uid", ""), uid) == 0)
            return !json_is_false(json_object_get(json_object_get(endpoint, "conditions"), "ready"));
    return -1;
}

static void tell_endpoint(struct kubernetes *k, const json_t *target, const char *service, int was, int is, int64_t at_ns) {
    const char *kind = is < 0 ? "removed" : was < 0 ? "added" : is ? "ready" : "unready";
    json_t *data = json_pack("{s:s,s:s,s:b}", "uid", json_str_or(target, "uid", ""), "service", service, "ready", is > 0);
    kubernetes_tell(k, "cluster/endpoint", kind, json_str_or(target, "name", ""), at_ns, data);
}

void kubernetes_slice_told(struct following *f, const struct kube_event *e) {
    struct kubernetes *k = f->k;
    cleanup_json json_t *was = body_of(e->before), *is = e->what == KUBE_DELETED ? NULL : body_of(e->object);
    struct kube_view v;
    if (!k->synced)
        return;
    kube_object_view(e->object ? e->object : e->before, &v);
    const char *name = kube_pairs_get(v.labels, "kubernetes.io/service-name"), *service = name ? name : v.name;
    const json_t *sides[] = {was, is};
    for (size_t side = 0; side < ARRAY_SIZE(sides); side++) {
        size_t i;
        json_t *endpoint;
        json_array_foreach(json_object_get(sides[side], "endpoints"), i, endpoint) {
            const json_t *target = json_object_get(endpoint, "targetRef");
            const char *uid = json_str_or(target, "uid", "");
            int before = endpoint_state(was, uid), after = endpoint_state(is, uid);
            if (*uid && before != after && (side == 0 || before < 0)) /* what was there is told of from the first side */
                tell_endpoint(k, target, service, before, after, e->seen_ns);
        }
    }
}

/* --- nodes --- */

struct node_state { const char *ready, *reason, *stamp; bool unschedulable; };

static struct node_state node_state(const json_t *body) {
    struct node_state s = {"", "", "", json_is_true(json_at(body, "spec.unschedulable"))};
    size_t i;
    json_t *condition;
    json_array_foreach(json_at(body, "status.conditions"), i, condition)
        if (strcmp(json_str_or(condition, "type", ""), "Ready") == 0)
            s = (struct node_state){json_str_or(condition, "status", ""), json_str_or(condition, "reason", ""),
                                    json_str_or(condition, "lastTransitionTime", ""), s.unschedulable};
    return s;
}

static void tell_node(struct kubernetes *k, const char *kind, const char *name, const struct node_state *s, int64_t at_ns) {
    kubernetes_tell(k, "cluster/node", kind, name, at_ns, json_pack("{s:s,s:s}", "stamp", s->stamp, "reason", s->reason));
}

void kubernetes_node_told(struct following *f, const struct kube_event *e) {
    struct kubernetes *k = f->k;
    struct kube_view v;
    cleanup_json json_t *was = body_of(e->before), *is = body_of(e->object);
    if (!k->synced)
        return;
    kube_object_view(e->object ? e->object : e->before, &v);
    struct node_state before = node_state(was), after = node_state(is);
    if (e->what != KUBE_MODIFIED) {
        tell_node(k, e->what == KUBE_ADDED ? "added" : "removed", v.name, &after, e->seen_ns);
        return;
    }
    if (strcmp(before.ready, after.ready) != 0)
        tell_node(k, strcmp(after.ready, "True") == 0 ? "ready" : strcmp(after.ready, "False") == 0 ? "unready" : "unknown", v.name, &after, e->seen_ns);
    if (before.unschedulable != after.unschedulable)
        tell_node(k, after.unschedulable ? "cordoned" : "uncordoned", v.name, &(struct node_state){"", "", "", false}, e->seen_ns);
}

bool kubernetes_node(struct cluster *c, const char *name, struct kubernetes_node *ret) {
    const struct kube_store *s = kubernetes_store(kubernetes_self(c), KUBE_NODES, NULL);
    const struct kube_object *o = s ? kube_store_get(s, "", name) : NULL;
    struct kube_view v;
    if (!o)
        return false;
    kube_object_view(o, &v);
    cleanup_json json_t *body = json_loads(v.body, 0, NULL);
    struct node_state state = node_state(body);
    *ret = (struct kubernetes_node){.name = v.name, .uid = v.uid, .version = v.version, .ready = strcmp(state.ready, "True") == 0,
                                    .unschedulable = state.unschedulable, .undo = kube_pairs_get(v.annotations, CHAOSD_UNDO_ANNOTATION)};
    return true;
}

const char *kubernetes_agent_namespace(struct cluster *c) { return kubernetes_self(c)->config->agent_namespace; }

int kubernetes_container(struct cluster *c, const struct pod *p, const char *name, struct kubernetes_container *ret, struct error *err) {
    const struct kube_store *s = kubernetes_store(kubernetes_self(c), KUBE_PODS, p->namespace);
    const struct kube_object *o = s ? kube_store_get(s, p->namespace, p->name) : NULL;
    struct kube_view v = {.uid = "", .container = ""};
    if (o)
        kube_object_view(o, &v);
    if (strcmp(v.uid, p->uid) != 0)
        return error_set(err, -EBUSY, "%s is not there any more", p->name);
    const char *wanted = name ? name : v.container;
    for (size_t i = 0; i < v.container_count; i++) {
        const struct kube_container k = kube_object_container(o, i);
        if (strcmp(wanted, k.name) != 0)
            continue;
        if (k.state != KUBE_STARTED || !*k.id)
            return error_set(err, -EBUSY, "%s's container %s does not run", p->name, wanted);
        snprintf(ret->name, sizeof ret->name, "%s", k.name);
        snprintf(ret->id, sizeof ret->id, "%s", k.id);
        return 0;
    }
    return name ? error_set(err, -EBUSY, "%s has no container %s that runs", p->name, name)
                : error_set(err, -EBUSY, "%s's container %s does not run", p->name, wanted);
}

void kubernetes_group_uid(struct cluster *c, const struct pod *p, char *out, size_t size) {
    const char *hash = json_str_or(p->annotations, KUBE_STATIC_UID, NULL);
    (void)c;
    snprintf(out, size, "%s", hash && *hash ? hash : p->uid);
}

size_t kubernetes_on_node(struct cluster *c, const char *node, const struct pod **list, size_t max) {
    struct kubernetes *k = kubernetes_self(c);
    size_t n = 0;
    for (size_t i = 0; i < k->pod_count && n < max; i++)
        if (strcmp(k->pods[i]->pub.node, node) == 0 && !k->pods[i]->pub.of_node)
            list[n++] = &k->pods[i]->pub;
    return n;
}

/* --- leases, Events --- */

void kubernetes_lease_told(struct following *f, const struct kube_event *e) {
    cleanup_json json_t *was = body_of(e->before), *is = e->what == KUBE_DELETED ? NULL : body_of(e->object);
    const json_t *spec = json_object_get(is, "spec");
    const char *before = json_str_or(json_object_get(was, "spec"), "holderIdentity", ""), *after = json_str_or(spec, "holderIdentity", "");
    struct kube_view v;
    char name[320];
    if (e->before && strcmp(before, after) == 0)
        return;
    kube_object_view(e->object ? e->object : e->before, &v);
    snprintf(name, sizeof name, "%s/%s", v.namespace, v.name);
    kubernetes_tell(f->k, "cluster/lease", "holder", name, e->seen_ns,
                    json_pack("{s:s,s:s*}", "holder", after, "stamp", json_string_value(json_object_get(spec, "acquireTime"))));
}

void kubernetes_event_told(struct following *f, const struct kube_event *e) {
    struct kubernetes *k = f->k;
    char target[320];
    if (!k->synced || e->what == KUBE_DELETED || e->listed || k->events_told++ > EVENTS_MOST)
        return;
    cleanup_json json_t *o = body_of(e->object);
    const json_t *about = json_object_get(o, "involvedObject"), *source = json_object_get(o, "source");
    const char *stamp = json_str_or(o, "lastTimestamp", json_str_or(o, "eventTime", NULL));
    snprintf(target, sizeof target, "%s/%s", json_str_or(about, "kind", ""), json_str_or(about, "name", ""));
    kubernetes_tell(k, "cluster/event", json_str_or(o, "reason", ""), target, e->seen_ns,
                    json_pack("{s:s,s:s,s:s,s:I,s:s*,s:s,s:s}", "namespace", json_str_or(about, "namespace", ""), "message", json_str_or(o, "message", ""), "type",
                              json_str_or(o, "type", ""), "count", (json_int_t)json_int_or(o, "count", 1), "stamp", stamp, "component",
                              json_str_or(source, "component", json_str_or(o, "reportingComponent", "")), "uid", json_str_or(about, "uid", "")));
}

/* --- budgets --- */

/* A label selector as a PodDisruptionBudget has it. An empty one matches every pod in policy/v1, and none in v1beta1: taken as every. */
static bool expression_holds(const json_t *e, const json_t *labels) {
    const char *op = json_str_or(e, "operator", ""), *have = json_string_value(json_object_get(labels, json_str_or(e, "key", "")));
    bool in = false;
    size_t i;
    json_t *value;
    json_array_foreach(json_object_get(e, "values"), i, value)
        in |= have && strcmp(json_string_value(value), have) == 0;
    return strcmp(op, "In") == 0 ? in : strcmp(op, "NotIn") == 0 ? !in : strcmp(op, "Exists") == 0 ? have != NULL : !have;
}

static bool covers(const json_t *selector, const json_t *labels) {
    const char *key;
    size_t i;
    json_t *value;
    json_object_foreach(json_object_get(selector, "matchLabels"), key, value)
        if (!json_equal(value, json_object_get(labels, key)))
            return false;
    json_array_foreach(json_object_get(selector, "matchExpressions"), i, value)
        if (!expression_holds(value, labels))
            return false;
    return true;
}

const char *kubernetes_budget_left(struct cluster *c, const struct pod *p, int64_t *ret_left) {
    struct kubernetes *k = kubernetes_self(c);
    const struct kube_store *s = kubernetes_store(k, KUBE_PDBS, p->namespace);
    const char *name = NULL;
    for (const struct kube_object *o = s ? kube_store_next(s, NULL) : NULL; o; o = kube_store_next(s, o)) {
        struct kube_view v;
        kube_object_view(o, &v);
        cleanup_json json_t *body = json_loads(v.body, 0, NULL);
        int64_t left = json_int_or(json_object_get(body, "status"), "disruptionsAllowed", 0);
        if (strcmp(v.namespace, p->namespace) != 0 || !covers(json_at(body, "spec.selector"), p->labels) || (name && left >= *ret_left))
            continue;
        snprintf(k->where, sizeof k->where, "%s", v.name);
        name = k->where;
        *ret_left = left;
    }
    return name;
}

const char *kubernetes_budget(struct cluster *c, const struct pod *p) {
    int64_t left = 1;
    const char *name = kubernetes_budget_left(c, p, &left);
    return left > 0 ? NULL : name;
}
