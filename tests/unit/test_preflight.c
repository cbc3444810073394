/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cluster/cluster.h"
#include "fault/fault.h"
#include "preflight.h"
#include "probe/probe.h"

#include <errno.h>
#include <string.h>

static const struct kind_set kinds = {.groups = {
    [KIND_FAULT] = (const struct kind_row *const *)fault_kinds,
    [KIND_LOAD] = (const struct kind_row *const *)load_kinds,
    [KIND_PROBE] = (const struct kind_row *const *)probe_kinds,
    [KIND_CLUSTER] = (const struct kind_row *const *)cluster_kinds,
}};

struct asked {
    struct scenario *s;
    struct arena *a;
    struct preflight_load list[4];
    size_t pods;
};

/* The needs of a scenario's loads, as the preflight collects them. */
static void ask(const char *loads, struct asked *ret) {
    static char text[4096];
    struct error err;
    snprintf(text, sizeof text, "name: x\ncluster: {local: {workloads: [{name: web, replicas: 3, labels: {app: web}, command: [sleep, \"9\"]}]}}\n"
             "roles: {leader: {of: {labelSelectors: {app: web}}, http: {get: \"http://${pod.ip}/\"}}}\nduration: 100s\nload:\n%s", loads);
    *ret = (struct asked){.a = arena_new()};
    if (scenario_parse("x", text, strlen(text), &(struct scenario_options){.kinds = &kinds}, &ret->s, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(preflight_collect(ret->s, ret->a, ret->list, &ret->pods), 0);
    assert_int_equal(ret->pods, 3);
}

static void done(struct asked *q) {
    scenario_free(q->s);
    arena_free(q->a);
}

static void an_http_load_says_what_it_needs(void **state) {
    (void)state;
    static const struct {
        const char *http;
        int64_t connections;
        struct { const char *name; int64_t a_second; bool loopback; } want[4];
    } rows[] = {
        {"rate: 100/s, lanes: [reused], targets: {url: \"http://a/\"}, steps: [{get: /}]", 162, {{0}}}, /* 100 + 6 * 10 + 2 */
        {"rate: 100/s, lanes: [fresh], targets: {url: \"http://u:p@a/x\"}, steps: [{get: /}]", 162, {{"a:80", 100, false}}},
        {"rate: 100/s, lanes: [fresh, reused], concurrency: 5, targets: {url: \"https://127.1.2.3?q\"}, steps: [{get: /}]", 5, {{"127.1.2.3:443", 50, true}}},
        {"rate: 100/s, lanes: [fresh], concurrency: 65536, targets: {url: \"http://[::1]/\"}, steps: [{get: /a}, {get: /b}]", 65536, {{"[::1]:80", 200, true}}},
        {"rate: 9000/s, lanes: [fresh], targets: {urls: [\"http://a:1/\", \"http://b:2/\", \"http://a:1/x\"]}, steps: [{get: /}]", 1000,
         {{"a:1", 6000, false}, {"b:2", 3000, false}}},
        {"rate: 9/s, lanes: [fresh], targets: {url: \"http://a:1/\"}, steps: [{get: \"http://localhost:9/\"}, {get: /}]", 29,
         {{"localhost:9", 9, true}, {"a:1", 9, false}}},
        {"rate: 90/s, lanes: [fresh], targets: {selector: {labelSelectors: {app: web}}, base: \"http://${pod.ip}:8080/x\"}, steps: [{get: /}]", 149,
         {{"${pod.ip}:8080 of web-0", 30, false}, {"${pod.ip}:8080 of web-1", 30, false}, {"${pod.ip}:8080 of web-2", 30, false}}},
        {"rate: 90/s, lanes: [fresh], targets: {selector: {role: leader}, base: \"http://${pod.ip}\"}, steps: [{get: /}]", 149, {{"${pod.ip} of web-0", 90, false}}},
        {"rate: 90/s, lanes: [fresh], targets: {selector: {pods: [other]}, base: \"http://${pod.ip}\"}, steps: [{get: /}]", 149, {{0}}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[512];
        struct asked q;
        snprintf(text, sizeof text, "  - {name: l, http: {%s}}\n", rows[i].http);
        ask(text, &q);
        const struct load_needs *n = &q.list[0].needs;
        if (n->connections != rows[i].connections)
            fail_msg("row %zu: %lld connections", i, (long long)n->connections);
        size_t k = 0;
        for (; rows[i].want[k].name; k++) {
            if (k >= n->count || strcmp(n->addresses[k].name, rows[i].want[k].name) != 0 || n->addresses[k].micro_per_s != rows[i].want[k].a_second * 1000000 ||
                n->addresses[k].loopback != rows[i].want[k].loopback)
                fail_msg("row %zu, address %zu: %s at %lld", i, k, k < n->count ? n->addresses[k].name : "absent", k < n->count ? (long long)n->addresses[k].micro_per_s : 0);
        }
        assert_int_equal(n->count, k);
        assert_null(n->warning);
        done(&q);
    }
}

static void a_tcp_load_shares_addresses_with_an_http_load(void **state) {
    (void)state;
    struct asked q;
    ask("  - {name: t, tcp: {rate: 90/s, targets: {selector: {labelSelectors: {app: web}}, port: 8080}}}\n"
        "  - {name: h, http: {rate: 90/s, lanes: [fresh], targets: {selector: {labelSelectors: {app: web}}, base: \"http://${pod.ip}:8080\"}, steps: [{get: /}]}}\n"
        "  - {name: a, tcp: {rate: 100/s, concurrency: 7, targets: {address: [\"10.0.0.1:80\", \"127.0.0.1:80\"]}}}\n", &q);
    assert_int_equal(q.list[0].needs.connections, 149);
    assert_int_equal(q.list[0].needs.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(q.list[0].needs.addresses[i].name, q.list[1].needs.addresses[i].name);
        assert_int_equal(q.list[0].needs.addresses[i].micro_per_s, 30000000);
    }
    assert_int_equal(q.list[2].needs.connections, 7);
    assert_int_equal(q.list[2].needs.count, 2);
    assert_true(!q.list[2].needs.addresses[0].loopback && q.list[2].needs.addresses[1].loopback);
    assert_int_equal(q.list[2].needs.addresses[1].micro_per_s, 50000000);
    done(&q);
}

static const struct preflight_limits usual = {.files = 1024, .ports = {28232, 60 * NS_PER_S, NS_PER_S}};

static void ports_that_do_not_last_are_refused(void **state) {
    (void)state;
    static const struct { const char *loads, *wide, *want; } rows[] = {
        {"  - {name: w, http: {rate: 900/s, lanes: [fresh], targets: {url: \"http://a\"}, steps: [{get: /}]}}\n", NULL,
         "load w: 900 fresh connections a second to one address (a:80) exhaust 28,232 local ports after 31 s; lower the rate, add targets, or widen net.ipv4.ip_local_port_range"},
        {"  - {name: w, for: 30s, http: {rate: 900/s, lanes: [fresh], targets: {url: \"http://a\"}, steps: [{get: /}]}}\n", NULL, NULL},
        {"  - {name: w, http: {rate: 900/s, lanes: [reused], targets: {url: \"http://a\"}, steps: [{get: /}]}}\n", NULL, NULL},
        {"  - {name: w, http: {rate: 900/s, lanes: [fresh, reused], targets: {url: \"http://a\"}, steps: [{get: /}]}}\n", NULL, NULL},
        {"  - {name: w, http: {rate: 900/s, lanes: [fresh], targets: {urls: [\"http://a\", \"http://b\"]}, steps: [{get: /}]}}\n", NULL, NULL},
        {"  - {name: w, http: {rate: 9000/s, lanes: [fresh], targets: {url: \"http://127.0.0.1\"}, steps: [{get: /}]}}\n", NULL, NULL},
        {"  - {name: w, http: {rate: 300/s, lanes: [fresh], targets: {url: \"http://a\"}, steps: [{get: /}]}}\n"
         "  - {name: r, http: {rate: 300/s, lanes: [fresh], targets: {url: \"http://a\"}, steps: [{get: /}]}}\n", NULL,
         "load w: 300 fresh connections a second to one address (a:80, other loads too) exhaust 28,232 local ports after 47 s; lower the rate, add targets, or widen net.ipv4.ip_local_port_range"},
        {"  - {name: w, http: {rate: 2000/s, lanes: [fresh], targets: {url: \"http://a\"}, steps: [{get: /}]}}\n", "wide",
         "load w: 2,000 fresh connections a second to one address (a:80) exhaust 64,512 local ports after 32 s; lower the rate, add targets or use the reused lane"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct asked q;
        struct error err = {""};
        struct preflight_limits l = usual;
        ask(rows[i].loads, &q);
        if (rows[i].wide)
            l = (struct preflight_limits){1024, {64512, 60 * NS_PER_S, NS_PER_S}, true};
        int rc = preflight_ports(q.list, q.s->loads.count, 0, &l, &err);
        if (rows[i].want ? rc >= 0 || strcmp(err.text, rows[i].want) != 0 : rc < 0)
            fail_msg("row %zu: %d, %s", i, rc, err.text);
        done(&q);
    }
}

static void files_that_do_not_suffice_are_refused(void **state) {
    (void)state;
    struct asked q;
    struct error err;
    ask("  - {name: a, http: {rate: 1/s, concurrency: 500, targets: {url: \"http://a\"}, steps: [{get: /}]}}\n"
        "  - {name: b, http: {rate: 1/s, concurrency: 65536, targets: {url: \"http://a\"}, steps: [{get: /}]}}\n", &q);
    assert_int_equal(preflight_files(q.list, 2, 3, 1024, &err), -EMFILE);
    assert_string_equal(err.text, "load b: 66,036 connections at once (all loads together) and 152 files for chaosd itself do not fit into a limit of 1,024 open "
                                  "files; raise the limit (ulimit -Hn, LimitNOFILE=) or lower concurrency");
    assert_int_equal(preflight_files(q.list, 1, 3, 651, &err), -EMFILE);
    assert_int_equal(preflight_files(q.list, 1, 3, 652, &err), 0);
    assert_int_equal(preflight_files(q.list, 0, 0, 3, &err), 0);
    done(&q);
}

static void insecure_is_told(void **state) {
    (void)state;
    struct asked q;
    ask("  - {name: a, http: {rate: 1/s, insecure: true, targets: {url: \"https://a\"}, steps: [{get: /}]}}\n", &q);
    assert_non_null(strstr(q.list[0].needs.warning, "insecure: true"));
    done(&q);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_http_load_says_what_it_needs),
        cmocka_unit_test(a_tcp_load_shares_addresses_with_an_http_load),
        cmocka_unit_test(ports_that_do_not_last_are_refused),
        cmocka_unit_test(files_that_do_not_suffice_are_refused),
        cmocka_unit_test(insecure_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
