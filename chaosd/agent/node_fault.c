/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node_fault.h"

#include "agent/pod_cgroup.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "base/units.h"

#include <errno.h>
#include <string.h>

const char *const node_fault_phase_names[] = {
    [NODE_FAULT_PENDING] = "Pending", [NODE_FAULT_ACCEPTED] = "Accepted", [NODE_FAULT_IN_EFFECT] = "InEffect",
    [NODE_FAULT_ENDED] = "Ended",     [NODE_FAULT_FAILED] = "Failed",     [NODE_FAULT_PHASE_COUNT] = NULL};

/* --- rows: the fields, read and written by the same table --- */

enum type { TEXT, NUMBER, TIME, FLAG, OBJECT, ARRAY };
static const char *const expected[] = {[TEXT] = "a string",
                                       [NUMBER] = "a whole number",
                                       [TIME] = "a time as in 2026-11-21T22:52:01.5Z",
                                       [FLAG] = "true or false",
                                       [OBJECT] = "an object",
                                       [ARRAY] = "a list"};

struct row {
    const char *key;
    enum type type;
    size_t offset;
    bool required;
};
enum { ROWS_MOST = 16 };
#define IN(type_, member) offsetof(struct type_, member)

static const struct row spec_rows[] = {
    {"protocol", NUMBER, IN(node_fault, protocol), true},
    {"run", TEXT, IN(node_fault, run), true},
    {"fault", TEXT, IN(node_fault, fault), true},
    {"act", NUMBER, IN(node_fault, act), false},
    {"kind", TEXT, IN(node_fault, kind), true},
    {"params", OBJECT, IN(node_fault, params), false},
    {"node", TEXT, IN(node_fault, node), true},
    {"notBefore", TIME, IN(node_fault, not_before_wall_ns), true},
    {"deadline", TIME, IN(node_fault, deadline_wall_ns), true},
    {"peers", ARRAY, IN(node_fault, peers), false},
    {"end", FLAG, IN(node_fault, end), false},
    {NULL, TEXT, 0, false},
};
static const struct row pod_rows[] = {
    {"namespace", TEXT, IN(node_fault, pod_namespace), true},
    {"name", TEXT, IN(node_fault, pod_name), true},
    {"uid", TEXT, IN(node_fault, pod_uid), true},
    {"hostNetwork", FLAG, IN(node_fault, host_network), false},
    {NULL, TEXT, 0, false},
};
static const struct row container_rows[] = {
    {"name", TEXT, IN(node_fault, container_name), true},
    {"id", TEXT, IN(node_fault, container_id), true},
    {NULL, TEXT, 0, false},
};
static const char *const parts[] = {"pod", "container", NULL}; /* of spec, with rows of their own */
static const struct row status_rows[] = {
    {"reason", TEXT, IN(node_fault_status, reason), false},
    {"message", TEXT, IN(node_fault_status, message), false},
    {"acceptedAt", TIME, IN(node_fault_status, accepted_wall_ns), false},
    {"inEffectAt", TIME, IN(node_fault_status, in_effect_wall_ns), false},
    {"endedAt", TIME, IN(node_fault_status, ended_wall_ns), false},
    {"untilAt", TIME, IN(node_fault_status, until_wall_ns), false},
    {"acceptedBootNs", NUMBER, IN(node_fault_status, accepted_boot_ns), false},
    {"inEffectBootNs", NUMBER, IN(node_fault_status, in_effect_boot_ns), false},
    {"endedBootNs", NUMBER, IN(node_fault_status, ended_boot_ns), false},
    {"proof", OBJECT, IN(node_fault_status, proof), false},
    {"figures", OBJECT, IN(node_fault_status, figures), false},
    {"agentVersion", TEXT, IN(node_fault_status, agent_version), false},
    {NULL, TEXT, 0, false},
};
static const struct row counter_rows[] = {
    {"seen", NUMBER, IN(node_fault_status, seen), true},
    {"packets", NUMBER, IN(node_fault_status, packets), true},
    {"bytes", NUMBER, IN(node_fault_status, bytes), true},
    {NULL, TEXT, 0, false},
};

static bool take(const json_t *v, const struct row *row, void *out) {
    char *at = (char *)out + row->offset;
    switch (row->type) {
    case TEXT:
        if (json_is_string(v))
            *(const char **)at = json_string_value(v);
        return json_is_string(v);
    case NUMBER:
        if (json_is_integer(v))
            *(int64_t *)at = json_integer_value(v);
        return json_is_integer(v);
    case TIME:
        return json_is_string(v) && timestamp_parse(json_string_value(v), (int64_t *)at);
    case FLAG:
        *(bool *)at = json_is_true(v);
        return json_is_boolean(v);
    case OBJECT:
        if (json_is_object(v))
            *(const json_t **)at = v;
        return json_is_object(v);
    case ARRAY:
        if (json_is_array(v))
            *(const json_t **)at = v;
        return json_is_array(v);
    }
    return false;
}

static int take_rows(const json_t *in, const char *where, const struct row *rows, void *out, struct error *err) {
    for (; rows->key; rows++) {
        const json_t *v = json_object_get(in, rows->key);
        if ((!v || json_is_null(v)) && rows->required)
            return error_set(err, -EINVAL, "%s.%s is missing", where, rows->key);
        if (v && !json_is_null(v) && !take(v, rows, out))
            return error_set(err, -EINVAL, "%s.%s: expected %s", where, rows->key, expected[rows->type]);
    }
    return 0;
}

/* also: more keys, NULL-terminated; NULL: none. */
static int refuse_unknown(const json_t *in, const char *where, const struct row *rows, const char *const *also, struct error *err) {
    const char *names[ROWS_MOST + 1] = {0}, *key;
    char clip[CLIP_SIZE];
    const json_t *v;
    size_t n = 0;
    for (; rows->key; rows++)
        names[n++] = rows->key;
    for (; also && *also; also++)
        names[n++] = *also;
    json_object_foreach((json_t *)in, key, v) {
        bool known = false;
        for (size_t i = 0; names[i]; i++)
            known |= strcmp(key, names[i]) == 0;
        const char *near = known ? NULL : did_you_mean(key, names);
        if (!known) /* a fault of which a part is left out may hit more than was meant */
            return error_set(err, -EINVAL, "%s.%s is not known%s%s%s", where, text_clip(key, clip), near ? ": did you mean \"" : "",
                             near ? near : "", near ? "\"?" : "");
    }
    return 0;
}

static json_t *value_of(const struct row *row, const void *in) {
    const char *at = (const char *)in + row->offset;
    char stamp[TIMESTAMP_SIZE];
    switch (row->type) {
    case TEXT:
        return *(const char *const *)at ? json_string(*(const char *const *)at) : NULL;
    case NUMBER:
        return *(const int64_t *)at || row->required ? json_integer(*(const int64_t *)at) : NULL;
    case TIME:
        if (*(const int64_t *)at == 0)
            return NULL;
        timestamp_format(*(const int64_t *)at, stamp);
        return json_string(stamp);
    case FLAG:
        return *(const bool *)at ? json_true() : NULL;
    case OBJECT:
    case ARRAY:
        return json_incref(*(json_t *const *)at);
    }
    return NULL;
}

static json_t *put_rows(const struct row *rows, const void *in) {
    json_t *out = json_object();
    for (; rows->key; rows++) {
        json_t *v = value_of(rows, in);
        if (v)
            json_object_set_new(out, rows->key, v);
    }
    return out;
}

/* --- decode --- */

static bool run_ok(const char *run) {
    size_t n = strspn(run, "abcdefghijklmnopqrstuvwxyz0123456789");
    return n >= 1 && n <= 8 && run[n] == 0;
}

static bool container_id_ok(const char *id) {
    const size_t n = strspn(id, "0123456789abcdef");
    return n >= 12 && n < CONTAINER_ID_SIZE && id[n] == 0;
}

static int check_container(const struct node_fault *f, struct error *err) {
    char clip[CLIP_SIZE];
    if (!f->container_name)
        return 0;
    if (!*f->container_name || strlen(f->container_name) > 253)
        return error_set(err, -EINVAL, "spec.container.name: expected 1 to 253 characters");
    if (!container_id_ok(f->container_id))
        return error_set(err, -EINVAL, "spec.container.id: expected 12 to 64 hexadecimal digits, not \"%s\"", text_clip(f->container_id, clip));
    return 0;
}

/* What they mean is for who carries it out; none at all would mean every far end. */
static int check_peers(const json_t *peers, struct error *err) {
    const size_t n = json_array_size(peers);
    if (peers && (n < 1 || n > NODE_FAULT_PEERS_MOST))
        return error_set(err, -EINVAL, "spec.peers: expected 1 to %d, not %zu", NODE_FAULT_PEERS_MOST, n);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(peers, i));
        if (!text || !*text || strlen(text) > 64)
            return error_set(err, -EINVAL, "spec.peers[%zu]: expected an address or a CIDR", i);
    }
    return 0;
}

static int check_forms(const struct node_fault *f, struct error *err) {
    char clip[CLIP_SIZE];
    const struct {
        const char *key, *value;
    } filled[] = {
        {"fault", f->fault}, {"kind", f->kind}, {"node", f->node}, {"pod.namespace", f->pod_namespace}, {"pod.name", f->pod_name}};
    for (size_t i = 0; i < ARRAY_SIZE(filled); i++)
        if (!*filled[i].value || strlen(filled[i].value) > 253)
            return error_set(err, -EINVAL, "spec.%s: expected 1 to 253 characters", filled[i].key);
    if (!run_ok(f->run))
        return error_set(err, -EINVAL, "spec.run: expected 1 to 8 small letters and digits, not \"%s\"", text_clip(f->run, clip));
    if (!pod_uid_ok(f->pod_uid))
        return error_set(err, -EINVAL, "spec.pod.uid: expected a pod's UID, not \"%s\"", text_clip(f->pod_uid, clip));
    if (f->act < 0 || f->act > UINT32_MAX)
        return error_set(err, -EINVAL, "spec.act: expected a number from 1 to %u", UINT32_MAX);
    if (f->deadline_wall_ns <= f->not_before_wall_ns)
        return error_set(err, -EINVAL, "spec.deadline is not after spec.notBefore");
    int rc = check_container(f, err);
    return rc == 0 ? check_peers(f->peers, err) : rc;
}

static int check_wanted(const struct node_fault *f, const struct node_fault_wanted *w, struct error *err) {
    char clip[CLIP_SIZE];
    bool known = !w->kinds;
    if (w->node && strcmp(w->node, f->node) != 0)
        return error_set(err, -EREMOTE, "it is for node \"%s\", and this is \"%.64s\"", text_clip(f->node, clip), w->node);
    for (const char *const *k = w->kinds; k && *k; k++)
        known |= strcmp(*k, f->kind) == 0;
    if (!known) {
        const char *near = did_you_mean(f->kind, w->kinds);
        return error_set(err, -EOPNOTSUPP, "spec.kind: agents cannot do \"%s\"%s%s%s", text_clip(f->kind, clip),
                         near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    if (w->now_wall_ns && f->deadline_wall_ns <= w->now_wall_ns) {
        char now[TIMESTAMP_SIZE], deadline[TIMESTAMP_SIZE];
        timestamp_format(w->now_wall_ns, now);
        timestamp_format(f->deadline_wall_ns, deadline);
        return error_set(err, -ETIME, "its deadline, %s, is past: this node's clock says %s", deadline, now);
    }
    return 0;
}

static void take_metadata(const json_t *object, struct node_fault *f) {
    const json_t *m = json_object_get(object, "metadata");
    f->namespace = json_str_or(m, "namespace", NULL);
    f->name = json_str_or(m, "name", NULL);
    f->uid = json_str_or(m, "uid", NULL);
    f->version = json_str_or(m, "resourceVersion", NULL);
    f->deleting = json_is_string(json_object_get(m, "deletionTimestamp"));
}

/* A protocol that is newer may have fields that are unknown here: it is asked for first. */
static int check_version(const json_t *object, const json_t *spec, struct error *err) {
    char clip[CLIP_SIZE];
    const char *api = json_str_or(object, "apiVersion", NODE_FAULT_API);
    const json_t *protocol = json_object_get(spec, "protocol");
    if (strcmp(api, NODE_FAULT_API) != 0)
        return error_set(err, -EPROTONOSUPPORT, "apiVersion \"%s\": only " NODE_FAULT_API " is understood", text_clip(api, clip));
    if (strcmp(json_str_or(object, "kind", "NodeFault"), "NodeFault") != 0)
        return error_set(err, -EINVAL, "expected a NodeFault, not kind \"%s\"", text_clip(json_str_or(object, "kind", ""), clip));
    if (!json_is_object(spec))
        return error_set(err, -EINVAL, "spec is missing");
    if (json_is_integer(protocol) && json_integer_value(protocol) > NODE_FAULT_PROTOCOL)
        return error_set(err, -EPROTONOSUPPORT,
                         "spec.protocol is %" JSON_INTEGER_FORMAT
                         ", and this program understands %d: the node's agent is older than the run",
                         json_integer_value(protocol), NODE_FAULT_PROTOCOL);
    if (json_is_integer(protocol) && json_integer_value(protocol) < 1)
        return error_set(err, -EINVAL, "spec.protocol: expected 1 or more");
    return 0;
}

/* Such a text is read as one that is shorter, and what is shorter may mean more. */
static bool has_nul(const json_t *v) {
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_string(v))
        return strlen(json_string_value(v)) != json_string_length(v);
    json_array_foreach(v, i, member)
        if (has_nul(member))
            return true;
    json_object_foreach((json_t *)v, key, member)
        if (has_nul(member))
            return true;
    return false;
}

/* A part of spec that has rows of its own. */
static int take_part(const json_t *spec, const char *key, const struct row *rows, bool required, struct node_fault *ret, struct error *err) {
    const json_t *part = json_object_get(spec, key);
    char where[32];
    snprintf(where, sizeof where, "spec.%s", key);
    if (!part || json_is_null(part))
        return required ? error_set(err, -EINVAL, "%s is missing", where) : 0;
    if (!json_is_object(part))
        return error_set(err, -EINVAL, "%s: expected an object", where);
    int rc = take_rows(part, where, rows, ret, err);
    return rc == 0 ? refuse_unknown(part, where, rows, NULL, err) : rc;
}

int node_fault_decode(const json_t *object, const struct node_fault_wanted *w, struct node_fault *ret, struct error *err) {
    *ret = (struct node_fault){0};
    take_metadata(object, ret);
    const json_t *spec = json_object_get(object, "spec");
    int rc = check_version(object, spec, err);
    if (rc == 0 && has_nul(spec))
        rc = error_set(err, -EINVAL, "spec: a text with a NUL character in it");
    if (rc == 0)
        rc = take_rows(spec, "spec", spec_rows, ret, err);
    if (rc == 0)
        rc = take_part(spec, "pod", pod_rows, true, ret, err);
    if (rc == 0)
        rc = take_part(spec, "container", container_rows, false, ret, err);
    if (rc == 0)
        rc = refuse_unknown(spec, "spec", spec_rows, parts, err);
    if (rc == 0)
        rc = check_forms(ret, err);
    return rc == 0 ? check_wanted(ret, w, err) : rc;
}

const char *node_fault_refusal(int rc) {
    static const struct {
        int rc;
        const char *word;
    } words[] = {{-EPROTONOSUPPORT, "UnknownVersion"},
                 {-EINVAL, "Invalid"},
                 {-EOPNOTSUPP, "UnknownKind"},
                 {-EREMOTE, "OtherNode"},
                 {-ETIME, "DeadlinePast"}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i].rc == rc)
            return words[i].word;
    return NULL;
}

int node_fault_status_decode(const json_t *object, struct node_fault_status *ret, struct error *err) {
    char clip[CLIP_SIZE];
    const json_t *status = json_object_get(object, "status"), *counters = json_object_get(status, "counters");
    const char *phase = json_str_or(status, "phase", node_fault_phase_names[NODE_FAULT_PENDING]);
    *ret = (struct node_fault_status){0};
    for (const struct row *r = status_rows; r->key; r++)
        take(json_object_get(status, r->key), r, ret);
    ret->counted = take_rows(counters, "status.counters", counter_rows, ret, NULL) == 0;
    while (ret->phase < NODE_FAULT_PHASE_COUNT && strcmp(node_fault_phase_names[ret->phase], phase) != 0)
        ret->phase++;
    return ret->phase < NODE_FAULT_PHASE_COUNT ? 0 : error_set(err, -EPROTO, "status.phase \"%s\" is not known", text_clip(phase, clip));
}

json_t *node_fault_of(const struct kube_object *o) {
    struct kube_view v;
    kube_object_view(o, &v);
    json_t *object = json_loads(v.body, JSON_ALLOW_NUL, NULL);
    json_t *metadata =
        json_pack("{s:s, s:s, s:s, s:s}", "namespace", v.namespace, "name", v.name, "uid", v.uid, "resourceVersion", v.version);
    if (object && metadata && v.deleting_s) {
        char stamp[TIMESTAMP_SIZE];
        timestamp_format(v.deleting_s * NS_PER_S, stamp);
        json_object_set_new(metadata, "deletionTimestamp", json_string(stamp));
    }
    if (!object || !metadata || json_object_set(object, "metadata", metadata) < 0) {
        json_decref(object);
        object = NULL;
    }
    json_decref(metadata);
    return object;
}

int64_t node_fault_left_ns(const struct node_fault *f, int64_t now_wall_ns) {
    int64_t whole = f->deadline_wall_ns - f->not_before_wall_ns, left = f->deadline_wall_ns - now_wall_ns;
    return left < whole ? left : whole;
}

void node_fault_when(const struct node_fault *f, int64_t now_wall_ns, int64_t boot_ns, int64_t *ret_start, int64_t *ret_end) {
    const int64_t wait = f->not_before_wall_ns - now_wall_ns;
    *ret_start = boot_ns + (wait > 0 ? wait : 0);
    *ret_end = *ret_start + node_fault_left_ns(f, now_wall_ns);
}

/* --- build --- */

void node_fault_label(const char *node, char out[NODE_FAULT_LABEL_SIZE]) {
    enum { KEPT = 40 };
    if (strlen(node) < NODE_FAULT_LABEL_SIZE)
        snprintf(out, NODE_FAULT_LABEL_SIZE, "%s", node);
    else
        snprintf(out, NODE_FAULT_LABEL_SIZE, "%.*s_%016llx", KEPT, node, (unsigned long long)hash_text(HASH_SEED, node));
}

void node_fault_name(const struct node_fault *f, char out[NODE_FAULT_NAME_SIZE]) {
    snprintf(out, NODE_FAULT_NAME_SIZE, "%.8s-%u", f->run, (unsigned)f->act);
}

int node_fault_build(const struct node_fault *f, json_t **ret, struct error *err) {
    char label[NODE_FAULT_LABEL_SIZE], name[NODE_FAULT_NAME_SIZE];
    struct node_fault said = *f, same;
    if (!f->run || !f->node || !f->namespace || f->act < 1)
        return error_set(err, -EINVAL, "a NodeFault needs a namespace, a run, an act and a node");
    said.protocol = NODE_FAULT_PROTOCOL;
    node_fault_label(f->node, label);
    node_fault_name(f, name);
    json_t *spec = put_rows(spec_rows, &said), *pod = put_rows(pod_rows, &said);
    json_object_set_new(spec, "pod", pod);
    if (f->container_name)
        json_object_set_new(spec, "container", put_rows(container_rows, &said));
    cleanup_json json_t *object =
        json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s, s:s}}, s:o}", "apiVersion", NODE_FAULT_API, "kind", "NodeFault", "metadata",
                  "namespace", f->namespace, "name", name, "labels", "app.kubernetes.io/managed-by", "chaosd", NODE_FAULT_NODE_LABEL, label,
                  NODE_FAULT_RUN_LABEL, f->run, "spec", spec);
    if (!object)
        return error_set(err, -ENOMEM, "a NodeFault: out of memory, or no UTF-8");
    const struct node_fault_wanted any = {0};
    int rc = node_fault_decode(object, &any, &same, err);
    if (rc == 0)
        *ret = take_ptr(object);
    return rc;
}

int node_fault_status_patch(const char *uid, const struct node_fault_status *s, json_t **ret, struct error *err) {
    if ((unsigned)s->phase >= NODE_FAULT_PHASE_COUNT)
        return error_set(err, -EINVAL, "a NodeFault's status: no such phase");
    json_t *status = put_rows(status_rows, s);
    json_object_set_new(status, "phase", json_string(node_fault_phase_names[s->phase]));
    if (s->message && !*s->message) /* takes back what stood there; an API server may refuse a text that is empty */
        json_object_set_new(status, "message", json_null());
    if (s->counted)
        json_object_set_new(status, "counters", put_rows(counter_rows, s));
    *ret = json_pack("{s:{s:s}, s:o}", "metadata", "uid", uid, "status", status);
    return *ret ? 0 : error_set(err, -ENOMEM, "a NodeFault's status: out of memory");
}
