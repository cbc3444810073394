/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/store_priv.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/timestamp.h"

#include <errno.h>
#include <string.h>

struct container {
    const char *name, *reason; /* interned */
    uint32_t restarts, started_s, finished_s;
    int16_t exit_code;
    uint8_t state;
    bool ready;
    char id[12]; /* no NUL when it is full */
};

struct pod {
    const char *node, *reason, *container; /* interned */
    uint32_t ready_s, scheduled_s, started_s;
    uint8_t phase;
    bool ready, scheduled, mirror;
    struct container containers[];
};

const char *const kube_phase_names[] = {"Unknown", "Pending", "Running", "Succeeded", "Failed"};

static struct pod *pod_of(const struct kube_object *o) { return (struct pod *)(void *)(o + 1); }

/* "2026-11-22T05:33:11Z", as the API server writes nearly all of its stamps; another spelling takes the slow way. 0: none. */
static uint32_t stamp(const json_t *object, const char *key) {
    const char *t = json_string_value(json_object_get(object, key));
    int64_t ns;
    if (!t)
        return 0;
    int d[14];
    static const uint8_t at[14] = {0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18};
    bool plain = strlen(t) == 20 && t[19] == 'Z';
    for (size_t i = 0; plain && i < ARRAY_SIZE(at); i++) {
        d[i] = t[at[i]] - '0';
        plain = d[i] >= 0 && d[i] <= 9;
    }
    if (!plain)
        return timestamp_find(t, &ns) && ns > 0 ? (uint32_t)(ns / 1000000000) : 0;
    int64_t year = d[0] * 1000 + d[1] * 100 + d[2] * 10 + d[3], month = d[4] * 10 + d[5], day = d[6] * 10 + d[7];
    /* Days since 1970 in the Gregorian calendar, years counted from March so that a leap day is the last (Fliegel and Van Flandern 1968) */
    int64_t y = year - (month <= 2), m = (month + 9) % 12;
    int64_t days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
    int64_t s = days * 86400 + (d[8] * 10 + d[9]) * 3600 + (d[10] * 10 + d[11]) * 60 + d[12] * 10 + d[13];
    return s > 0 && s <= UINT32_MAX ? (uint32_t)s : 0;
}

static const json_t *condition(const json_t *status, const char *type) {
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(status, "conditions"), i, c) {
        if (strcmp(json_str_or(c, "type", ""), type) == 0)
            return c;
    }
    return NULL;
}

static bool is_true(const json_t *condition) { return strcmp(json_str_or(condition, "status", ""), "True") == 0; }

static const char *group_of(const char *api_version, char *tmp, size_t size) {
    const char *slash = strchr(api_version, '/');
    snprintf(tmp, size, "%.*s", slash ? (int)(slash - api_version) : 0, api_version);
    return tmp;
}

/* The controller's, as there is at most one. */
static const struct kube_owner *owner_of(struct intern *in, const json_t *metadata, bool *ret_ok) {
    size_t i;
    json_t *r;
    char group[128];
    *ret_ok = true;
    json_array_foreach(json_object_get(metadata, "ownerReferences"), i, r) {
        if (!json_is_true(json_object_get(r, "controller")))
            continue;
        const struct kube_owner o = {json_str_or(r, "kind", ""), json_str_or(r, "name", ""), json_str_or(r, "uid", ""),
                                     group_of(json_str_or(r, "apiVersion", ""), group, sizeof group)};
        const struct kube_owner *held = intern_owner(in, &o);
        *ret_ok = held != NULL;
        return held;
    }
    return NULL;
}

/* "containerd://0123456789ab..." */
static void short_id(const char *id, char out[12]) {
    const char *slashes = strstr(id, "://");
    id = slashes ? slashes + 3 : id;
    memcpy(out, id, strnlen(id, 12));
}

static void pack_container(struct intern *in, const json_t *status, struct container *c) {
    static const char *const states[] = {[KUBE_WAITING] = "waiting", [KUBE_STARTED] = "running", [KUBE_ENDED] = "terminated"};
    const json_t *all = json_object_get(status, "state"), *state = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(states) && !state; i++)
        if ((state = json_object_get(all, states[i])))
            c->state = (uint8_t)i;
    int64_t restarts = json_int_or(status, "restartCount", 0), exit_code = json_int_or(state, "exitCode", 0);
    c->name = intern_text(in, json_str_or(status, "name", ""));
    c->reason = intern_text(in, json_str_or(state, "reason", ""));
    c->restarts = restarts < 0 ? 0 : restarts > UINT32_MAX ? UINT32_MAX : (uint32_t)restarts;
    c->exit_code = exit_code < INT16_MIN || exit_code > INT16_MAX ? INT16_MAX : (int16_t)exit_code;
    c->started_s = stamp(state, "startedAt");
    c->finished_s = stamp(state, "finishedAt");
    c->ready = json_is_true(json_object_get(status, "ready"));
    short_id(json_str_or(status, "containerID", ""), c->id);
}

static enum kube_phase phase_of(const char *name) {
    for (size_t i = 1; i < 5; i++)
        if (strcmp(kube_phase_names[i], name) == 0)
            return (enum kube_phase)i;
    return KUBE_PHASE_UNKNOWN;
}

/* Which is meant where none is named: what the annotation says, if the pod has it, else the first of its spec, as kubectl has it. The kubelet's
 * statuses are no order to go by: it sorts them by name. */
static const char *default_container(const json_t *object, const struct kube_pairs *annotations) {
    const json_t *containers = json_object_get(json_object_get(object, "spec"), "containers");
    const char *said = kube_pairs_get(annotations, KUBE_DEFAULT_CONTAINER);
    size_t i;
    json_t *c;
    json_array_foreach(containers, i, c)
        if (said && strcmp(json_str_or(c, "name", ""), said) == 0)
            return said;
    return json_str_or(json_array_get(containers, 0), "name", "");
}

static void pack_pod(struct intern *in, const json_t *object, struct kube_object *o) {
    const json_t *status = json_object_get(object, "status"), *ready = condition(status, "Ready"),
                 *scheduled = condition(status, "PodScheduled");
    struct pod *p = pod_of(o);
    p->phase = (uint8_t)phase_of(json_str_or(status, "phase", ""));
    p->node = intern_text(in, json_str_or(json_object_get(object, "spec"), "nodeName", ""));
    p->ready = is_true(ready);
    p->ready_s = stamp(ready, "lastTransitionTime");
    p->scheduled = is_true(scheduled);
    p->scheduled_s = stamp(scheduled, "lastTransitionTime");
    p->started_s = stamp(status, "startTime");
    p->mirror = kube_pairs_get(o->annotations, KUBE_MIRROR) != NULL;
    const char *reason = json_str_or(status, "reason", "");
    if (!*reason && scheduled && !p->scheduled)
        reason = json_str_or(scheduled, "message", "");
    p->reason = intern_text(in, reason);
    p->container = intern_text(in, default_container(object, o->annotations));
    const json_t *containers = json_object_get(status, "containerStatuses");
    for (size_t i = 0; i < o->containers; i++)
        pack_container(in, json_array_get(containers, i), &p->containers[i]);
}

void object_free(struct intern *in, struct kube_object *o) {
    if (!o)
        return;
    intern_release(in, o->namespace);
    intern_release(in, o->labels);
    intern_release(in, o->annotations);
    intern_release(in, o->owner);
    if (o->pod) {
        struct pod *p = pod_of(o);
        intern_release(in, p->node);
        intern_release(in, p->reason);
        intern_release(in, p->container);
        for (size_t i = 0; i < o->containers; i++) {
            intern_release(in, p->containers[i].name);
            intern_release(in, p->containers[i].reason);
        }
    }
    free(o);
}

/* What is kept beside metadata. NULL: out of memory. */
static char *body_text(const json_t *object) {
    cleanup_json json_t *rest = json_copy((json_t *)object);
    if (!rest)
        return NULL;
    json_t *generation = json_object_get(json_object_get(rest, "metadata"), "generation");
    if (generation) /* beside status.observedGeneration: has its controller seen the last change? */
        json_object_set(rest, "generation", generation);
    json_object_del(rest, "metadata");
    json_object_del(rest, "kind");
    json_object_del(rest, "apiVersion");
    return json_dumps(rest, JSON_COMPACT);
}

static bool whole(const struct kube_object *o, bool owner_ok) {
    bool ok = o->namespace && o->labels && o->annotations && owner_ok;
    const struct pod *p = pod_of(o);
    if (o->pod)
        ok = ok && p->node && p->reason && p->container;
    for (size_t i = 0; ok && i < o->containers; i++)
        ok = p->containers[i].name && p->containers[i].reason;
    return ok;
}

/* A pod has at most one address of each family: that which podIP is not. */
static const char *second_ip(const json_t *status) {
    const char *first = json_str_or(status, "podIP", "");
    size_t i;
    json_t *address;
    json_array_foreach(json_object_get(status, "podIPs"), i, address)
        if (strcmp(json_str_or(address, "ip", first), first) != 0)
            return json_str_or(address, "ip", "");
    return "";
}

static int pack(struct intern *in, const json_t *object, const char *last, const char *ip2, struct kube_object *o, struct error *err) {
    const json_t *metadata = json_object_get(object, "metadata");
    const char *texts[] = {json_str_or(metadata, "name", ""), json_str_or(metadata, "uid", ""),
                           json_str_or(metadata, "resourceVersion", ""), last};
    uint16_t *at[] = {&o->text_at, &o->uid_at, &o->version_at, &o->last_at};
    size_t offset = o->pod ? sizeof *o + sizeof(struct pod) + o->containers * sizeof(struct container) : sizeof *o;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        *at[i] = (uint16_t)offset;
        offset = (size_t)(stpcpy((char *)o + offset, texts[i]) + 1 - (char *)o);
    }
    if (o->pod)
        strcpy((char *)o + offset, ip2);
    int64_t grace = json_int_or(metadata, "deletionGracePeriodSeconds", -1);
    bool owner_ok;
    o->grace_s = grace < 0 || grace > INT32_MAX ? -1 : (int32_t)grace;
    o->created_s = stamp(metadata, "creationTimestamp");
    o->deleting_s = stamp(metadata, "deletionTimestamp");
    o->namespace = intern_text(in, json_str_or(metadata, "namespace", ""));
    o->labels = intern_pairs(in, json_object_get(metadata, "labels"));
    o->annotations = intern_pairs(in, json_object_get(metadata, "annotations"));
    o->owner = owner_of(in, metadata, &owner_ok);
    if (o->pod && o->annotations)
        pack_pod(in, object, o);
    return whole(o, owner_ok) ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int object_pack(struct intern *in, const struct kube_kind *kind, const json_t *object, struct kube_object **ret, struct error *err) {
    const json_t *metadata = json_object_get(object, "metadata"), *status = json_object_get(object, "status");
    cleanup_free char *body = kind->pod ? NULL : body_text(object);
    if (!kind->pod && !body)
        return error_set(err, -ENOMEM, "out of memory");
    const char *last = kind->pod ? json_str_or(status, "podIP", "") : body;
    const char *ip2 = kind->pod ? second_ip(status) : "";
    size_t containers = kind->pod ? json_array_size(json_object_get(status, "containerStatuses")) : 0;
    size_t fixed = sizeof(struct kube_object) + (kind->pod ? sizeof(struct pod) : 0) + containers * sizeof(struct container);
    size_t names = strlen(json_str_or(metadata, "name", "")) + strlen(json_str_or(metadata, "uid", "")) +
                   strlen(json_str_or(metadata, "resourceVersion", "")) + 3;
    if (containers > UINT16_MAX || fixed + names > UINT16_MAX)
        return error_set(err, -EPROTO, "an object with %zu containers and names of %zu bytes: more than any server allows", containers,
                         names);
    struct kube_object *o = calloc(1, fixed + names + strlen(last) + 1 + strlen(ip2) + 1);
    if (!o)
        return error_set(err, -ENOMEM, "out of memory");
    o->pod = kind->pod;
    o->containers = (uint16_t)containers;
    int rc = pack(in, object, last, ip2, o, err);
    if (rc < 0)
        object_free(in, o);
    else
        *ret = o;
    return rc;
}

bool object_is(const struct kube_object *o, const char *uid, const char *version) {
    return (!uid || strcmp(object_uid(o), uid) == 0) && (!version || strcmp((const char *)o + o->version_at, version) == 0);
}

void kube_object_view(const struct kube_object *o, struct kube_view *ret) {
    const char *texts = (const char *)o;
    *ret = (struct kube_view){
        .namespace = o->namespace, .name = object_name(o), .uid = object_uid(o), .version = texts + o->version_at, .labels = o->labels,
        .annotations = o->annotations, .owner = o->owner, .created_s = o->created_s, .deleting_s = o->deleting_s, .grace_s = o->grace_s,
        .node = "", .ip = "", .ip2 = "", .container = "", .reason = "", .body = "",
    };
    if (!o->pod) {
        ret->body = texts + o->last_at;
        return;
    }
    const struct pod *p = pod_of(o);
    ret->phase = (enum kube_phase)p->phase;
    ret->node = p->node;
    ret->reason = p->reason;
    ret->container = p->container;
    ret->ip = texts + o->last_at;
    ret->ip2 = ret->ip + strlen(ret->ip) + 1;
    ret->ready = p->ready;
    ret->scheduled = p->scheduled;
    ret->mirror = p->mirror;
    ret->ready_s = p->ready_s;
    ret->scheduled_s = p->scheduled_s;
    ret->started_s = p->started_s;
    ret->container_count = o->containers;
}

struct kube_container kube_object_container(const struct kube_object *o, size_t i) {
    const struct container *c = &pod_of(o)->containers[i];
    struct kube_container ret = {.name = c->name,
                                 .reason = c->reason,
                                 .state = (enum kube_container_state)c->state,
                                 .ready = c->ready,
                                 .restarts = c->restarts,
                                 .exit_code = c->exit_code,
                                 .started_s = c->started_s,
                                 .finished_s = c->finished_s};
    memcpy(ret.id, c->id, sizeof c->id);
    return ret;
}

const char *kube_pairs_get(const struct kube_pairs *p, const char *key) {
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->items[i].key, key) == 0)
            return p->items[i].value;
    return NULL;
}

json_t *kube_pairs_json(const struct kube_pairs *p) {
    cleanup_json json_t *o = json_object();
    for (size_t i = 0; o && i < p->count; i++)
        if (json_object_set_new(o, p->items[i].key, json_string(p->items[i].value)) < 0)
            return NULL;
    return take_ptr(o);
}
