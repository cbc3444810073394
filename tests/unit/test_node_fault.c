/* SPDX-License-Identifier: Apache-2.0 */
/* NodeFaults: what is taken, what is refused and why, and that rows and schema say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "agent/node_fault.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "scenario/doc.h"

#include <errno.h>
#include <string.h>

#define UID "decce252-3c75-4e78-9b28-eb021623d09e"
#define GOOD                                                                                                                               \
    "{'apiVersion': 'chaosd.io/v1alpha1', 'kind': 'NodeFault', 'metadata': {'name': 'k3x9-12', 'namespace': 'chaosd', 'uid': 'u-1', "      \
    "'resourceVersion': '77'},"                                                                                                            \
    " 'spec': {'protocol': 1, 'run': 'k3x9', 'fault': 'slow-follower', 'act': 12, 'kind': 'net-delay', 'params': {'delay': {'latency': "   \
    "'50ms'}},"                                                                                                                            \
    " 'node': 'node-1', 'pod': {'namespace': 'lab', 'name': 'etcd-1', 'uid': '" UID "'},"                                                  \
    " 'notBefore': '2026-11-21T22:52:01.5Z', 'deadline': '2026-11-21T22:53:01.5Z'}}"
#define NOT_BEFORE INT64_C(1795301521500000000)

static const char *const kinds[] = {"net-delay", "net-partition", NULL};
static const struct node_fault_wanted wanted = {.node = "node-1", .kinds = kinds, .now_wall_ns = NOT_BEFORE - NS_PER_S};

static json_t *parse(const char *text) { /* with ' for " */
    char *s = strdup(text);
    for (char *p = s; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *o = json_loads(s, 0, NULL);
    free(s);
    assert_non_null(o);
    return o;
}

static void all_fields_are_taken(void **state) {
    (void)state;
    struct error err = {{0}};
    struct node_fault f;
    cleanup_json json_t *o = parse(GOOD);
    if (node_fault_decode(o, &wanted, &f, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(f.namespace, "chaosd");
    assert_string_equal(f.name, "k3x9-12");
    assert_string_equal(f.uid, "u-1");
    assert_string_equal(f.version, "77");
    assert_false(f.deleting || f.host_network);
    assert_string_equal(f.run, "k3x9");
    assert_string_equal(f.fault, "slow-follower");
    assert_int_equal(f.act, 12);
    assert_string_equal(f.kind, "net-delay");
    assert_string_equal(f.node, "node-1");
    assert_string_equal(f.pod_namespace, "lab");
    assert_string_equal(f.pod_name, "etcd-1");
    assert_string_equal(f.pod_uid, UID);
    assert_string_equal(json_str_or(json_object_get(f.params, "delay"), "latency", ""), "50ms");
    assert_int_equal(f.not_before_wall_ns, NOT_BEFORE);
    assert_int_equal(f.deadline_wall_ns, NOT_BEFORE + 60 * NS_PER_S);
}

/* A good one, with one value changed: at a JSON path, to a value; NULL: removed. */
static const struct {
    const char *at, *key, *value;
    int rc;
    const char *why;
} rows[] = {
    {"", "apiVersion", "'chaosd.io/v1beta1'", -EPROTONOSUPPORT, "only chaosd.io/v1alpha1"},
    {"", "kind", "'Pod'", -EINVAL, "expected a NodeFault"},
    {"", "apiVersion", NULL, 0, ""}, /* in a list items have none */
    {"", "kind", NULL, 0, ""},
    {"", "spec", NULL, -EINVAL, "spec is missing"},
    {"", "spec", "[]", -EINVAL, "spec is missing"},
    {"", "status", "{'phase': 'Accepted'}", 0, ""},
    {"metadata", "uid", NULL, 0, ""},
    {"spec", "protocol", "2", -EPROTONOSUPPORT, "agent is older than the run"},
    {"spec", "protocol", "0", -EINVAL, "expected 1 or more"},
    {"spec", "protocol", "'1'", -EINVAL, "spec.protocol: expected a whole number"},
    {"spec", "protocol", NULL, -EINVAL, "spec.protocol is missing"},
    {"spec", "run", NULL, -EINVAL, "spec.run is missing"},
    {"spec", "run", "null", -EINVAL, "spec.run is missing"},
    {"spec", "run", "7", -EINVAL, "spec.run: expected a string"},
    {"spec", "run", "'123456789'", -EINVAL, "1 to 8 small letters"},
    {"spec", "run", "'K3'", -EINVAL, "1 to 8 small letters"},
    {"spec", "fault", "''", -EINVAL, "spec.fault: expected 1 to 253"},
    {"spec", "act", NULL, 0, ""},
    {"spec", "act", "-1", -EINVAL, "spec.act"},
    {"spec", "act", "4294967296", -EINVAL, "spec.act"},
    {"spec", "act", "1.5", -EINVAL, "spec.act: expected a whole number"},
    {"spec", "kind", "'net-dely'", -EOPNOTSUPP, "did you mean \"net-delay\"?"},
    {"spec", "kind", "'scale'", -EOPNOTSUPP, "agents cannot do \"scale\""},
    {"spec", "params", NULL, 0, ""},
    {"spec", "params", "[]", -EINVAL, "spec.params: expected an object"},
    {"spec", "parms", "{}", -EINVAL, "spec.parms is not known: did you mean \"params\"?"},
    {"spec", "peers", "[]", -EINVAL, "spec.peers: expected 1 to 4096, not 0"},
    {"spec", "peers", "'10.0.0.1'", -EINVAL, "spec.peers: expected a list"},
    {"spec", "peers", "['10.0.0.1', 7]", -EINVAL, "spec.peers[1]: expected an address"},
    {"spec", "peers", "['10.0.0.1', '']", -EINVAL, "spec.peers[1]: expected an address"},
    {"spec", "peers", "['10.0.0.1', 'fd00::/64']", 0, ""},
    {"spec", "end", "true", 0, ""},
    {"spec", "end", "'yes'", -EINVAL, "spec.end: expected true or false"},
    {"spec", "container", "{'name': 'etcd', 'id': '0123456789ab'}", 0, ""},
    {"spec", "container", "null", 0, ""},
    {"spec", "container", "'etcd'", -EINVAL, "spec.container: expected an object"},
    {"spec", "container", "{'name': 'etcd'}", -EINVAL, "spec.container.id is missing"},
    {"spec", "container", "{'name': '', 'id': '0123456789ab'}", -EINVAL, "spec.container.name: expected 1 to 253"},
    {"spec", "container", "{'name': 'etcd', 'id': '0123456789a'}", -EINVAL, "spec.container.id: expected 12 to 64"},
    {"spec", "container", "{'name': 'etcd', 'id': '0123456789aB'}", -EINVAL, "spec.container.id: expected 12 to 64"},
    {"spec", "container", "{'name': 'etcd', 'id': '0123456789ab', 'image': 'x'}", -EINVAL, "spec.container.image is not known"},
    {"spec", "node", "'node-2'", -EREMOTE, "it is for node \"node-2\", and this is \"node-1\""},
    {"spec", "notBefore", "'soon'", -EINVAL, "spec.notBefore: expected a time"},
    {"spec", "notBefore", "'2026-11-21 22:52:01Z'", -EINVAL, "spec.notBefore: expected a time"},
    {"spec", "deadline", "1795301521", -EINVAL, "spec.deadline: expected a time"},
    {"spec", "deadline", "'2026-11-21T22:52:01.5Z'", -EINVAL, "not after spec.notBefore"},
    {"spec", "notBefore", "'2026-11-21T20:00:00Z'", 0, ""},
    {"spec", "pod", NULL, -EINVAL, "spec.pod is missing"},
    {"spec", "pod", "'etcd-1'", -EINVAL, "spec.pod: expected an object"},
    {"spec.pod", "uid", "'etcd-1'", -EINVAL, "spec.pod.uid: expected a pod's UID, not \"etcd-1\""},
    {"spec.pod", "uid", NULL, -EINVAL, "spec.pod.uid is missing"},
    {"spec.pod", "uid", "'187bff14cccb94f179e943eacce55bb3'", 0, ""},
    {"spec.pod", "hostNetwork", "true", 0, ""},
    {"spec.pod", "hostNetwork", "'true'", -EINVAL, "spec.pod.hostNetwork: expected true or false"},
    {"spec.pod", "ip", "'10.0.0.1'", -EINVAL, "spec.pod.ip is not known"},
};

static void what_is_wrong_is_said(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = {{0}};
        struct node_fault f;
        cleanup_json json_t *o = parse(GOOD);
        json_t *in = json_at(o, rows[i].at);
        char text[128];
        snprintf(text, sizeof text, "[%s]", rows[i].value ? rows[i].value : "");
        cleanup_json json_t *value = parse(text);
        if (rows[i].value)
            json_object_set(in, rows[i].key, json_array_get(value, 0));
        else
            json_object_del(in, rows[i].key);
        int rc = node_fault_decode(o, &wanted, &f, &err);
        if (rc != rows[i].rc || !strstr(err.text, rows[i].why))
            fail_msg("%s.%s = %s: %d \"%s\", not %d \"%s\"", rows[i].at, rows[i].key, text, rc, err.text, rows[i].rc, rows[i].why);
        assert_int_equal(node_fault_refusal(rc) != NULL, rc < 0);
        assert_string_equal(f.name, "k3x9-12"); /* the refusal can be told */
    }
}

static void a_deadline_that_is_past_is_refused(void **state) {
    (void)state;
    struct error err = {{0}};
    struct node_fault f;
    struct node_fault_wanted late = wanted;
    cleanup_json json_t *o = parse(GOOD);
    late.now_wall_ns = NOT_BEFORE + 60 * NS_PER_S - 1;
    assert_int_equal(node_fault_decode(o, &late, &f, &err), 0);
    late.now_wall_ns++;
    assert_int_equal(node_fault_decode(o, &late, &f, &err), -ETIME);
    assert_string_equal(err.text, "its deadline, 2026-11-21T22:53:01.500000Z, is past: this node's clock says 2026-11-21T22:53:01.500000Z");
    assert_string_equal(node_fault_refusal(-ETIME), "DeadlinePast");
    assert_null(node_fault_refusal(-ENOMEM));
}

static void clocks_that_differ_make_no_longer_fault(void **state) {
    (void)state;
    const struct node_fault f = {.not_before_wall_ns = NOT_BEFORE, .deadline_wall_ns = NOT_BEFORE + 60 * NS_PER_S};
    static const struct {
        int64_t now_s, left_s; /* now: after notBefore */
    } cases[] = {{0, 60}, {10, 50}, {60, 0}, {70, -10}, {-3600, 60}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(node_fault_left_ns(&f, NOT_BEFORE + cases[i].now_s * NS_PER_S), cases[i].left_s * NS_PER_S);
}

static void a_set_clock_moves_a_fault_and_never_stretches_it(void **state) {
    (void)state;
    const struct node_fault f = {.not_before_wall_ns = NOT_BEFORE, .deadline_wall_ns = NOT_BEFORE + 60 * NS_PER_S};
    static const struct {
        int64_t now_s, start_s, end_s; /* now: after notBefore; the others: after the moment that it was accepted */
    } cases[] = {{0, 0, 60}, {10, 0, 50}, {-5, 5, 65}, {-3600, 3600, 3660}, {61, 0, -1}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t start, end;
        node_fault_when(&f, NOT_BEFORE + cases[i].now_s * NS_PER_S, 7 * NS_PER_S, &start, &end);
        assert_int_equal(start, (7 + cases[i].start_s) * NS_PER_S);
        assert_int_equal(end, (7 + cases[i].end_s) * NS_PER_S);
        assert_true(end - start <= 60 * NS_PER_S);
    }
}

static void what_is_built_is_what_is_decoded(void **state) {
    (void)state;
    struct error err = {{0}};
    struct node_fault f, again;
    cleanup_json json_t *o = parse(GOOD);
    assert_int_equal(node_fault_decode(o, &wanted, &f, &err), 0);
    f.host_network = true;
    json_t *made = NULL;
    if (node_fault_build(&f, &made, &err) < 0)
        fail_msg("%s", err.text);
    cleanup_json json_t *built = made;
    assert_string_equal(json_str_or(json_at(built, "metadata.labels"), "chaosd.io/node", ""), "node-1");
    assert_string_equal(json_str_or(json_at(built, "metadata.labels"), "chaosd.io/run", ""), "k3x9");
    assert_int_equal(node_fault_decode(built, &wanted, &again, &err), 0);
    assert_string_equal(again.name, "k3x9-12");
    assert_true(again.host_network);
    json_object_del(json_at(built, "spec.pod"), "hostNetwork");
    cleanup_json json_t *spec = json_deep_copy(json_object_get(o, "spec"));
    json_object_set_new(spec, "notBefore", json_string("2026-11-21T22:52:01.500000Z"));
    json_object_set_new(spec, "deadline", json_string("2026-11-21T22:53:01.500000Z"));
    assert_true(json_equal(json_object_get(built, "spec"), spec));
    f.pod_uid = "etcd-1";
    assert_int_equal(node_fault_build(&f, &made, &err), -EINVAL);
    assert_non_null(strstr(err.text, "spec.pod.uid"));
    f.pod_uid = UID;
    f.fault = NULL;
    assert_int_equal(node_fault_build(&f, &made, &err), -EINVAL);
}

static void what_changes_later_goes_there_and_back(void **state) {
    (void)state;
    struct error err = {{0}};
    struct node_fault f, again;
    cleanup_json json_t *o = parse(GOOD), *peers = parse("['10.0.0.1', 'fd00::/64']"), *many = json_array();
    assert_int_equal(node_fault_decode(o, &wanted, &f, &err), 0);
    assert_true(!f.peers && !f.end && !f.container_name);
    f.peers = peers;
    f.end = true;
    f.container_name = "etcd";
    f.container_id = "0123456789abcdef";
    json_t *made = NULL;
    if (node_fault_build(&f, &made, &err) < 0)
        fail_msg("%s", err.text);
    cleanup_json json_t *built = made;
    assert_int_equal(node_fault_decode(built, &wanted, &again, &err), 0);
    assert_true(json_equal(again.peers, peers) && again.end);
    assert_string_equal(again.container_name, "etcd");
    assert_string_equal(again.container_id, "0123456789abcdef");
    for (int i = 0; i <= NODE_FAULT_PEERS_MOST; i++)
        json_array_append_new(many, json_string("10.0.0.1"));
    f.peers = many;
    assert_int_equal(node_fault_build(&f, &made, &err), -EINVAL);
    assert_non_null(strstr(err.text, "spec.peers: expected 1 to 4096, not 4097"));
}

static void long_node_names_have_a_label(void **state) {
    (void)state;
    char a[NODE_FAULT_LABEL_SIZE], b[NODE_FAULT_LABEL_SIZE], name[80];
    memset(name, 'n', sizeof name);
    name[63] = 0;
    node_fault_label(name, a);
    assert_string_equal(a, name);
    name[63] = 'x';
    name[64] = 0;
    node_fault_label(name, a);
    name[63] = 'y';
    node_fault_label(name, b);
    assert_true(strlen(a) < NODE_FAULT_LABEL_SIZE && strlen(b) < NODE_FAULT_LABEL_SIZE);
    assert_string_not_equal(a, b);
}

static void a_status_goes_there_and_back(void **state) {
    (void)state;
    struct error err = {{0}};
    cleanup_json json_t *proof = json_pack("{s:s}", "device", "eth0"), *figures = json_pack("{s:i}", "drain_ns", 5);
    const struct node_fault_status s = {.phase = NODE_FAULT_IN_EFFECT,
                                        .accepted_wall_ns = NOT_BEFORE,
                                        .accepted_boot_ns = 5,
                                        .in_effect_wall_ns = NOT_BEFORE + 7000,
                                        .in_effect_boot_ns = 12,
                                        .until_wall_ns = NOT_BEFORE + NS_PER_S,
                                        .proof = proof,
                                        .figures = figures,
                                        .counted = true,
                                        .packets = 3,
                                        .agent_version = "0.1.0"};
    struct node_fault_status got;
    json_t *made = NULL;
    assert_int_equal(node_fault_status_patch("u-1", &s, &made, &err), 0);
    cleanup_json json_t *patch = made;
    cleanup_json json_t *expected =
        parse("{'metadata': {'uid': 'u-1'}, 'status': {'phase': 'InEffect', 'acceptedAt': '2026-11-21T22:52:01.500000Z', 'inEffectAt': "
              "'2026-11-21T22:52:01.500007Z',"
              " 'untilAt': '2026-11-21T22:52:02.500000Z', 'acceptedBootNs': 5, 'inEffectBootNs': 12, 'proof': {'device': 'eth0'}, 'figures': {'drain_ns': 5},"
              " 'counters': {'seen': 0, 'packets': 3, 'bytes': 0}, 'agentVersion': '0.1.0'}}");
    assert_true(json_equal(patch, expected));
    assert_int_equal(node_fault_status_decode(patch, &got, &err), 0);
    assert_int_equal(got.phase, s.phase);
    assert_int_equal(got.in_effect_wall_ns, s.in_effect_wall_ns);
    assert_int_equal(got.ended_wall_ns, 0);
    assert_true(got.counted && got.packets == 3 && got.bytes == 0);
    assert_null(got.reason);
    assert_string_equal(json_str_or(got.proof, "device", ""), "eth0");
    assert_true(json_equal(got.figures, figures));
    assert_int_equal(node_fault_status_patch("u-1", &(struct node_fault_status){.phase = NODE_FAULT_PHASE_COUNT}, &made, &err), -EINVAL);
    assert_int_equal(node_fault_status_patch("u-1", &(struct node_fault_status){.phase = NODE_FAULT_ENDED, .message = ""}, &made, &err), 0);
    cleanup_json json_t *taken_back = made;
    assert_true(json_is_null(json_at(taken_back, "status.message")));
}

static void a_status_is_read_with_patience(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int rc, phase;
        bool counted;
    } cases[] = {
        {"{}", 0, NODE_FAULT_PENDING, false},
        {"{'status': null}", 0, NODE_FAULT_PENDING, false},
        {"{'status': {'phase': 'Failed', 'reason': 'PodNotFound', 'more': [1]}}", 0, NODE_FAULT_FAILED, false},
        {"{'status': {'phase': 'Ended', 'endedAt': 'late', 'counters': {'seen': 1, 'packets': 1}}}", 0, NODE_FAULT_ENDED, false},
        {"{'status': {'phase': 'Ended', 'counters': {'seen': 1, 'packets': 1, 'bytes': 60}}}", 0, NODE_FAULT_ENDED, true},
        {"{'status': {'phase': 'Melted'}}", -EPROTO, NODE_FAULT_PHASE_COUNT, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err = {{0}};
        struct node_fault_status got;
        cleanup_json json_t *o = parse(cases[i].text);
        assert_int_equal(node_fault_status_decode(o, &got, &err), cases[i].rc);
        assert_int_equal(got.phase, cases[i].phase);
        assert_int_equal(got.counted, cases[i].counted);
        assert_int_equal(got.ended_wall_ns, 0);
    }
}

static void a_watchs_object_is_decoded_alike(void **state) {
    (void)state;
    struct error err = {{0}};
    struct kube_store *s = NULL;
    struct kube_change c;
    struct node_fault f;
    cleanup_json json_t *o = parse(GOOD);
    json_object_set_new(json_object_get(o, "metadata"), "deletionTimestamp", json_string("2026-11-21T22:52:01Z"));
    assert_int_equal(kube_store_new(kube_kind_find("nodefaults"), &s, &err), 0);
    assert_int_equal(kube_store_put(s, o, &c, &err), 0);
    cleanup_json json_t *kept = node_fault_of(c.after);
    assert_non_null(kept);
    kube_change_end(s, &c);
    assert_int_equal(node_fault_decode(kept, &wanted, &f, &err), 0);
    assert_string_equal(f.uid, "u-1");
    assert_string_equal(f.version, "77");
    assert_true(f.deleting);
    kube_store_free(s);
}

/* --- the schema --- */

static struct doc *schema;

static const json_t *properties(const char *of) {
    char path[128];
    snprintf(path, sizeof path, "/spec/versions/0/schema/openAPIV3Schema/properties/%s", of);
    const json_t *p = doc_value(schema, path);
    assert_non_null(p);
    return p;
}

/* Each key of one is in the other. */
static void same_keys(const char *what, const json_t *fields, const json_t *object) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)fields, key, v) {
        if (!json_object_get(object, key))
            fail_msg("%s.%s is in the schema and nowhere else", what, key);
    }
    json_object_foreach((json_t *)object, key, v) {
        if (!json_object_get(fields, key))
            fail_msg("%s.%s is not in the schema: the API server would drop it", what, key);
    }
}

static void the_schema_has_these_fields(void **state) {
    (void)state;
    struct error err = {{0}};
    if (doc_load("deploy/agent/crd.yaml", &schema, &err) < 0)
        fail_msg("%s", err.text);
    struct node_fault f;
    cleanup_json json_t *good = parse(GOOD);
    json_t *made = NULL;
    assert_int_equal(node_fault_decode(good, &wanted, &f, &err), 0);
    cleanup_json json_t *peers = parse("['10.0.0.1']");
    f.host_network = f.end = true;
    f.peers = peers;
    f.container_name = "etcd";
    f.container_id = "0123456789ab";
    assert_int_equal(node_fault_build(&f, &made, &err), 0);
    cleanup_json json_t *built = made;
    same_keys("spec", properties("spec/properties"), json_object_get(built, "spec"));
    same_keys("spec.pod", properties("spec/properties/pod/properties"), json_at(built, "spec.pod"));
    same_keys("spec.container", properties("spec/properties/container/properties"), json_at(built, "spec.container"));
    assert_int_equal(json_integer_value(doc_value(schema, "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/peers/maxItems")),
                     NODE_FAULT_PEERS_MOST);
    const struct node_fault_status s = {.reason = "r",
                                        .message = "m",
                                        .accepted_wall_ns = 1,
                                        .in_effect_wall_ns = 1,
                                        .ended_wall_ns = 1,
                                        .until_wall_ns = 1,
                                        .accepted_boot_ns = 1,
                                        .in_effect_boot_ns = 1,
                                        .ended_boot_ns = 1,
                                        .proof = good,
                                        .figures = good,
                                        .counted = true,
                                        .agent_version = "v"};
    assert_int_equal(node_fault_status_patch("u", &s, &made, &err), 0);
    cleanup_json json_t *patch = made;
    same_keys("status", properties("status/properties"), json_object_get(patch, "status"));
    same_keys("status.counters", properties("status/properties/counters/properties"), json_at(patch, "status.counters"));
    const json_t *phases = properties("status/properties/phase/enum");
    assert_int_equal(json_array_size(phases), NODE_FAULT_PHASE_COUNT);
    for (size_t i = 0; i < NODE_FAULT_PHASE_COUNT; i++)
        assert_string_equal(json_string_value(json_array_get(phases, i)), node_fault_phase_names[i]);
    const struct kube_kind *kind = &kube_kinds[KUBE_NODEFAULTS];
    assert_string_equal(json_string_value(doc_value(schema, "/spec/group")), kind->group);
    assert_string_equal(json_string_value(doc_value(schema, "/spec/versions/0/name")), kind->versions[0]);
    assert_string_equal(json_string_value(doc_value(schema, "/spec/names/plural")), kind->resource);
    assert_string_equal(json_string_value(doc_value(schema, "/spec/names/kind")), kind->name);
    assert_int_equal(strcmp(json_string_value(doc_value(schema, "/spec/scope")), "Namespaced") == 0, kind->namespaced);
    doc_free(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fields_are_taken),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(a_deadline_that_is_past_is_refused),
        cmocka_unit_test(clocks_that_differ_make_no_longer_fault),
        cmocka_unit_test(a_set_clock_moves_a_fault_and_never_stretches_it),
        cmocka_unit_test(what_is_built_is_what_is_decoded),
        cmocka_unit_test(what_changes_later_goes_there_and_back),
        cmocka_unit_test(long_node_names_have_a_label),
        cmocka_unit_test(a_status_goes_there_and_back),
        cmocka_unit_test(a_status_is_read_with_patience),
        cmocka_unit_test(a_watchs_object_is_decoded_alike),
        cmocka_unit_test(the_schema_has_these_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
