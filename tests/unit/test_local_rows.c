/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cluster/local.h"
#include "cluster/local_net.h"
#include "cluster/undo.h"

#include <errno.h>
#include <string.h>

#define SLEEPER "{name: s, command: [sleep, '600'], stopTimeout: 10ms}"

#define OK(call)                              \
    do {                                      \
        if ((call) < 0)                       \
            fail_msg("%s: %s", #call, err.text); \
    } while (0)

static void test_addresses(void **state) {
    (void)state;
    static const struct { const char *subnet; int nodes, node, k; const char *ip; } rows[] = {
        {"10.77.0.0/16", 3, 0, 0, "10.77.0.1"},     {"10.77.0.0/16", 3, 1, 1, "10.77.1.1"},   {"10.77.0.0/16", 3, 3, 254, "10.77.3.254"},
        {"10.77.0.0/16", 3, 1, 255, NULL},          {"10.0.0.0/8", 100, 100, 7, "10.0.100.7"}, {"192.168.7.0/24", 3, 0, 0, "192.168.7.1"},
        {"192.168.7.0/24", 3, 1, 1, "192.168.7.65"}, {"192.168.7.0/24", 3, 3, 62, "192.168.7.254"}, {"192.168.7.0/24", 3, 3, 63, NULL},
        {"10.0.0.240/28", 3, 3, 2, "10.0.0.254"},   {"10.0.0.240/28", 3, 3, 3, NULL},         {"10.0.0.240/28", 20, 1, 1, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = {{0}};
        struct subnet s;
        char ip[16];
        OK(subnet_parse(rows[i].subnet, &s, &err));
        int rc = subnet_address(&s, rows[i].nodes, rows[i].node, rows[i].k, ip, sizeof ip, &err);
        assert_int_equal(rc, rows[i].ip ? 0 : -ERANGE);
        if (rows[i].ip)
            assert_string_equal(ip, rows[i].ip);
    }
    static const char *const bad[] = {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/x", "10.0.0/8", "10.0.0.0/33",
                                       "10.0.0.0/-1", "10.0.0.0/16x", "10.0.0.1/16", "::1/64"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct subnet s;
        assert_int_equal(subnet_parse(bad[i], &s, NULL), -EINVAL);
    }
}

static void test_bad_scenarios(void **state) {
    (void)state;
    static const struct { const char *json, *text; } rows[] = {
        {"{nodes: 0, workloads: [" SLEEPER "]}", "nodes"},
        {"{workloads: []}", "workloads"},
        {"{subnet: 10.77.0.0, workloads: [" SLEEPER "]}", "10.77.0.0"},
        {"{subnet: 10.77.0.1/16, workloads: [" SLEEPER "]}", "behind the prefix"},
        {"{subnet: 10.0.0.0/29, workloads: [" SLEEPER "]}", "/8 to /28"},
        {"{subnet: 10.0.0.0/28, nodes: 3, workloads: [{name: s, replicas: 10, command: [x]}]}", "too small"},
        {"{workloads: [" SLEEPER ", " SLEEPER "]}", "two workloads"},
        {"{workloads: [{name: s}]}", "command"},
        {"{workloads: [{name: s, command: []}]}", "command"},
        {"{workloads: [{name: s, command: [x], files: {../x: y}}]}", "../x"},
        {"{workloads: [{name: s, command: [x], files: {/etc/passwd: y}}]}", "/etc/passwd"},
        {"{workloads: [{name: s, command: [x], files: {a/../../x: y}}]}", "a/../../x"},
        {"{workloads: [{name: s, command: [x], env: {'A=B': y}}]}", "A=B"},
        {"{workloads: [{name: s, command: [x], restart: {policy: sometimes}}]}", "sometimes"},
        {"{workloads: [{name: a123456789b123456789c123456789d123456789e123456789f12345678, command: [x]}]}", "too long"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = {{0}};
        struct doc *d = NULL;
        struct local_config c;
        struct arena *a = arena_new();
        int rc = doc_parse("t", rows[i].json, strlen(rows[i].json), &d, &err);
        if (rc == 0)
            rc = schema_decode(d, "", cluster_local.row.shape, NULL, a, &c, &err);
        if (rc != -EINVAL || !strstr(err.text, rows[i].text))
            fail_msg("%s: %d, %s", rows[i].json, rc, err.text);
        doc_free(d);
        arena_free(a);
    }
}

static void test_defaults(void **state) {
    (void)state;
    struct error err = {{0}};
    struct doc *d = NULL;
    struct local_config c;
    struct arena *a = arena_new();
    static const char json[] = "{workloads: [{name: s, command: [x]}]}";
    OK(doc_parse("t", json, strlen(json), &d, &err));
    OK(schema_decode(d, "", cluster_local.row.shape, NULL, a, &c, &err));
    const struct workload *w = c.workloads.items;
    assert_int_equal(c.nodes, 3);
    assert_string_equal(c.subnet, "10.77.0.0/16");
    assert_int_equal(w->replicas, 1);
    assert_non_null(w->restart);
    assert_int_equal(w->restart->policy, RESTART_ALWAYS);
    assert_int_equal(w->restart->delay_ns, NS_PER_S);
    assert_int_equal(w->restart->max_delay_ns, 30 * NS_PER_S);
    assert_int_equal(w->stop_timeout_ns, 2 * NS_PER_S);
    doc_free(d);
    arena_free(a);
}

static void test_undo_refuses_what_is_not_ours(void **state) {
    (void)state;
    static const char *const records[] = {
        "{\"kind\":\"local-cluster\",\"run\":\"../..\",\"state\":\"/\"}",
        "{\"kind\":\"local-cluster\",\"run\":\"\",\"state\":\"/var/lib/chaosd/\"}",
        "{\"kind\":\"local-cluster\",\"run\":\"nosuch1\",\"state\":\"/var/lib/other\"}",
        "{\"kind\":\"thaw\",\"cgroup\":\"/sys/fs/cgroup/system.slice\",\"pod\":\"x\"}",
        "{\"kind\":\"thaw\",\"cgroup\":\"/x/chaosd/../../y\",\"pod\":\"x\"}",
        "{\"kind\":\"reaper\",\"pid\":1,\"start_time\":0}",
        "{\"kind\":\"reaper\",\"pid\":-1,\"start_time\":0}",
        "{\"kind\":\"from-the-future\"}",
        "{}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        struct error err = {{0}};
        cleanup_json json_t *o = json_loads(records[i], 0, NULL);
        assert_non_null(o);
        assert_int_equal(undo_apply(o, &err), -EINVAL);
        assert_true(strlen(err.text) > 10);
    }
    /* a pid that is alive but started at another time is somebody else's */
    cleanup_json json_t *o = json_pack("{s:s,s:i,s:i}", "kind", "reaper", "pid", (int)getpid(), "start_time", 1);
    assert_int_equal(undo_apply(o, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test(f)
        T(test_addresses), T(test_bad_scenarios), T(test_defaults), T(test_undo_refuses_what_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
