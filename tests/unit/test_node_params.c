/* SPDX-License-Identifier: Apache-2.0 */
/* What a NodeFault asks for, as its fault kind has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "agent/node_params.h"
#include "base/cleanup.h"
#include "fault/net.h"

#include <errno.h>
#include <string.h>

static json_t *parse(const char *text) { /* with ' for " */
    char *s = strdup(text);
    for (char *p = s; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *o = json_loads(s, JSON_DECODE_ANY, NULL);
    free(s);
    assert_non_null(o);
    return o;
}

static const struct {
    const char *kind, *params, *peers, *container;
    int rc;
    const char *why;
} cases[] = {
    {"net-partition", NULL, NULL, NULL, 0, ""},
    {"net-partition", "{}", "['10.0.0.1', 'fd00::/64']", NULL, 0, ""},
    {"net-partition", "{'externalTargets': 7}", "['10.0.0.2']", NULL, -EINVAL, "expected an address"},
    {"net-partition", "{'except': ['10.0.0.1']}", "['10.0.0.0/8']", NULL, 0, ""},
    {"net-partition", "{'except': ['10.0.0.1']}", NULL, NULL, -EINVAL, "except takes from what is named"},
    {"net-partition", "{'protocol': 'icmp'}", "['fd00::1']", NULL, -EINVAL, "icmpv6"},
    {"net-partition", "{'externalTargets': ['etcd.shop']}", NULL, NULL, -EINVAL, "\"etcd.shop\" is a name"},
    {"net-partition", NULL, "['10.0.0.0.1']", NULL, -EINVAL, "10.0.0.0.1"},
    {"net-partition", "{'selector': {}}", NULL, NULL, -EINVAL, "selector"},
    {"net-partition", "{'target': {'selector': {}}}", NULL, NULL, -EINVAL, "target"},
    {"net-partition", "{'measure': true}", NULL, NULL, -EINVAL, "measure"},
    {"net-delay", "{'delay': {'latency': '50ms'}}", NULL, NULL, 0, ""},
    {"net-delay", "{'delay': {'latency': 'soon'}}", NULL, NULL, -EINVAL, "soon"},
    {"net-delay", NULL, NULL, NULL, -EINVAL, "delay"},
    {"net-partition", NULL, NULL, "0123456789ab", -EINVAL, "the pod as a whole"},
    {"pod-kill", "{'signal': 'SIGTERM'}", NULL, NULL, 0, ""},
    {"pod-kill", "{'signal': 'SIGTREM'}", NULL, NULL, -EINVAL, "SIGTREM"},
    {"pod-kill", "{'mode': 'one'}", NULL, NULL, -EINVAL, "mode"},
    {"pod-kill", NULL, "['10.0.0.1']", NULL, -EINVAL, "has no far ends"},
    {"pod-pause", "{}", NULL, NULL, 0, ""},
    {"container-kill", NULL, NULL, "0123456789ab", 0, ""},
    {"container-pause", NULL, NULL, NULL, -EINVAL, "spec.container is missing"},
    {"pod-delete", NULL, NULL, NULL, -EOPNOTSUPP, "agents cannot do \"pod-delete\""},
    {"net-dely", NULL, NULL, NULL, -EOPNOTSUPP, "net-dely"},
};

static void params_are_read_by_the_kinds_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err = {{0}};
        struct node_params p;
        cleanup_json json_t *params = cases[i].params ? parse(cases[i].params) : NULL, *peers = cases[i].peers ? parse(cases[i].peers) : NULL;
        const struct node_fault f = {.kind = cases[i].kind, .fault = "x", .params = params, .peers = peers, .container_id = cases[i].container};
        int rc = node_params_read(&f, &p, &err);
        if (rc != cases[i].rc || !strstr(err.text, cases[i].why))
            fail_msg("%s %s: %d \"%s\", not %d \"%s\"", cases[i].kind, cases[i].params ? cases[i].params : "", rc, err.text, cases[i].rc, cases[i].why);
        if (rc == 0)
            assert_string_equal(p.kind->row.name, cases[i].kind);
        node_params_free(&p);
    }
}

static void far_ends_change_in_place(void **state) {
    (void)state;
    struct error err = {{0}};
    struct node_params p;
    cleanup_json json_t *params = parse("{'externalTargets': ['192.0.2.1'], 'device': 'eth1'}"), *one = parse("['10.0.0.1']"),
                        *two = parse("['10.0.0.2', '10.0.0.3']"), *bad = parse("['here']");
    struct node_fault f = {.kind = "net-partition", .fault = "x", .params = params, .peers = one};
    assert_int_equal(node_params_read(&f, &p, &err), 0);
    const struct net_fault *n = p.spec.kind.params;
    assert_true(p.device);
    assert_int_equal(n->fixed_count, 2);
    assert_int_equal(n->fixed[1].address[15], 1);
    f.peers = two;
    assert_int_equal(node_params_again(&p, &f, &err), 0);
    assert_ptr_equal(p.spec.kind.params, n);
    assert_int_equal(n->fixed_count, 3);
    assert_int_equal(n->fixed[2].address[15], 3);
    assert_string_equal(n->device, "eth1");
    f.peers = bad;
    assert_int_equal(node_params_again(&p, &f, &err), -EINVAL);
    assert_int_equal(n->fixed_count, 3);
    assert_int_equal(json_array_size(json_object_get(params, "externalTargets")), 1); /* the object's own is left alone */
    node_params_free(&p);
}

static void one_far_end_may_stand_without_brackets(void **state) {
    (void)state;
    struct error err = {{0}};
    struct node_params p;
    cleanup_json json_t *params = parse("{'externalTargets': '192.0.2.1'}"), *peers = parse("['10.0.0.1']");
    const struct node_fault f = {.kind = "net-partition", .fault = "x", .params = params, .peers = peers};
    assert_int_equal(node_params_read(&f, &p, &err), 0);
    assert_int_equal(((const struct net_fault *)p.spec.kind.params)->fixed_count, 2);
    node_params_free(&p);
}

static void agents_do_what_needs_no_api(void **state) {
    (void)state;
    static const char *const expected[] = {"pod-kill",  "pod-pause",     "container-kill", "container-pause", "net-delay", "net-loss",
                                           "net-duplicate", "net-corrupt", "net-reorder",    "net-rate",        "net-partition"};
    for (int turn = 0; turn < 2; turn++) { /* the list is made once */
        const char *const *names = node_params_kinds();
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
            assert_string_equal(names[i], expected[i]);
        assert_null(names[ARRAY_SIZE(expected)]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(params_are_read_by_the_kinds_rows),
        cmocka_unit_test(far_ends_change_in_place),
        cmocka_unit_test(one_far_end_may_stand_without_brackets),
        cmocka_unit_test(agents_do_what_needs_no_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
