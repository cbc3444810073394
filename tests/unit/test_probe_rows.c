/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "fake_kinds.h"

static const struct field tcp_fields[] = {
    {.name = "host", .type = F_TEMPLATE, .offset = 0, .def = "${pod.ip}", .doc = "Where."},
    {.name = "port", .type = F_TEMPLATE, .offset = sizeof(void *), .required = true, .doc = "Which."},
    {0},
};
static const struct shape tcp_shape = {.name = "tcp", .size = 2 * sizeof(void *), .fields = tcp_fields, .doc = "Asks."};
static const struct kind_row tcp_row = {"tcp", &tcp_shape, "Asks."};
static const struct kind_row *const probes[] = {&tcp_row, NULL};

#define BASE "name: x\ncluster: {local: {}}\nload: [{name: l, http: {}}]\nduration: 1m\nsettle: 1s\nroles: {leader: {of: {}, http: {get: /}}}\n"
#define FAULT "faults: [{name: f, pod-kill: {selector: {}}, at: 1s}]\n"

static int parse(const char *text, struct scenario **ret, struct error *err) {
    struct kind_set kinds = fake_kinds;
    kinds.groups[KIND_PROBE] = probes;
    struct scenario_options o = {.kinds = &kinds};
    return scenario_parse("t.yaml", text, strlen(text), &o, ret, err);
}

static void decodes(void **state) {
    (void)state;
    static const char text[] = BASE FAULT "probes:\n"
        "  - {name: a, mode: start, tcp: {host: 10.0.0.1, port: 80}}\n"
        "  - {name: b, mode: on-fault, selector: {role: leader}, tcp: {port: 80}, interval: 50ms, timeout: 20ms, initialDelay: 1s, attempts: 3, stopOnFailure: true}\n"
        "expect: [\"probe(b) >= 99.5%\"]\n";
    struct scenario *s = NULL;
    struct error err = {""};
    if (parse(text, &s, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(s->probes.count, 2);
    const struct probe_spec *a = &SCENARIO_PROBES(s)[0], *b = &SCENARIO_PROBES(s)[1];
    assert_true(a->mode == PROBE_START && !a->selector && a->interval_ns == NS_PER_S && a->timeout_ns == NS_PER_S && a->attempts == 1 && !a->stop);
    assert_true(b->mode == PROBE_ON_FAULT && b->selector && b->interval_ns == 50 * NS_PER_MS && b->timeout_ns == 20 * NS_PER_MS);
    assert_true(b->delay_ns == NS_PER_S && b->attempts == 3 && b->stop);
    assert_ptr_equal(b->kind.kind, &tcp_row);
    scenario_free(s);
}

static void says_what_is_wrong_and_where(void **state) {
    (void)state;
    static const struct { const char *text, *where, *says; } rows[] = {
        {BASE "probes: [{name: a, tcp: {port: 1}}]\n", "t.yaml:7:10:", "mode"},
        {BASE "probes: [{name: a, mode: start}]\n", "t.yaml:7:10:", "probe needs one of tcp"},
        {BASE "probes: [{name: a, mode: SOT, tcp: {port: 1}}]\n", "t.yaml:7:26:", "start"},
        {BASE "probes: [{name: a, mode: on-fault, selector: {}, tcp: {port: 1}}]\n", "t.yaml:7:26:", "the scenario has no faults"},
        {BASE "probes: [{name: a, mode: end, stopOnFailure: true, selector: {}, tcp: {port: 1}}]\n", "t.yaml:7:31:", "nothing left to stop"},
        {BASE "probes: [{name: a, mode: continuous, initialDelay: 1m, selector: {}, tcp: {port: 1}}]\n", "t.yaml:7:52:", "initialDelay 1m is not before the end"},
        {BASE "probes: [{name: a, mode: end, tcp: {port: 1}}]\n", "t.yaml:7:10:", "asks no pod: give it a selector, or tcp.host"},
        {BASE "probes: [{name: a, mode: end, tcp: {host: \"${pod.ip}\", port: 1}}]\n", "t.yaml:7:43:", "asks no pod"},
        {BASE "probes: [{name: a, mode: end, selector: {}, tcp: {port: \"${request.seq}\"}}]\n", "t.yaml:7:57:", "a probe knows pod, run and secret only"},
        {BASE "probes: [{name: a, mode: end, selector: {role: chief}, tcp: {port: 1}}]\n", "t.yaml:7:48:", "role \"chief\" is not declared"},
        {BASE "probes: [{name: a, mode: end, selector: {role: \"!leader\"}, tcp: {port: 1}}]\n", "t.yaml:7:48:", "who has it not"},
        {BASE "probes:\n  - {name: a, mode: end, selector: {}, tcp: {port: 1}}\n  - {name: a, mode: end, selector: {}, tcp: {port: 1}}\n", "t.yaml:9:12:",
         "there is already a probe named \"a\""},
        {BASE "probes: [{name: a, mode: end, interval: 1ms, selector: {}, tcp: {port: 1}}]\n", "t.yaml:7:41:", "interval"},
        {BASE "probes: [{name: a, mode: end, atempts: 2, selector: {}, tcp: {port: 1}}]\n", "t.yaml:7:31:", "did you mean \"attempts\""},
        {BASE "probes: [{name: pings, mode: end, selector: {}, tcp: {port: 1}}]\nexpect: [\"probe(ping) >= 1%\"]\n", "t.yaml:8:10:",
         "there is no probe \"ping\", did you mean \"pings\"?"},
        {BASE "probes: [{name: pings, mode: end, selector: {}, tcp: {port: 1}}]\nexpect: [\"probe >= 1%\"]\n", "t.yaml:8:10:", "as in probe(pings) >= 99%"},
        {BASE "expect: [\"probe(x) >= 1%\"]\n", "t.yaml:7:10:", "needs a probe, and there is none"},
        {"name: x\nload: [{name: l, http: {}}]\nduration: 1m\nprobes: [{name: a, mode: end, selector: {}, tcp: {port: 1}}]\n", "t.yaml:4:41:", "needs a cluster"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scenario *s = NULL;
        struct error err = {""};
        int rc = parse(rows[i].text, &s, &err);
        if (rc >= 0 || strncmp(err.text, rows[i].where, strlen(rows[i].where)) || !strstr(err.text, rows[i].says))
            fail_msg("%d \"%s\", wanted %s ... %s, of\n%s", rc, err.text, rows[i].where, rows[i].says, rows[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(decodes), cmocka_unit_test(says_what_is_wrong_and_where)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
