/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "fake_kinds.h"

#define CLUSTER "cluster: {local: {}}\n"
#define LOAD "load: [{name: writes, http: {rate: 200/s}}]\n"
#define KILL "pod-kill: {selector: {labelSelectors: {app: etcd}}}"

static int parse(const char *text, const struct setting *set, size_t set_count, struct scenario **ret, struct error *err) {
    struct scenario_options o = {.kinds = &fake_kinds, .set = set, .set_count = set_count};
    return scenario_parse("t.yaml", text, strlen(text), &o, ret, err);
}

static struct scenario *must(const char *text, const struct setting *set, size_t set_count) {
    struct scenario *s = NULL;
    struct error err = {""};
    if (parse(text, set, set_count, &s, &err) < 0)
        fail_msg("%s\n%s", err.text, text);
    assert_non_null(s);
    return s;
}

static const char whole[] = "name: etcd-leader-kill\n"
                            "description: Three members.\n"
                            "parameters: {rate: 200/s, app: etcd, wait: 15}\n"
                            "secrets: [token]\n"
                            "cluster:\n"
                            "  local: {nodes: 5}\n"
                            "roles:\n"
                            "  leader:\n"
                            "    of: {labelSelectors: {app: \"${app}\"}}\n"
                            "    http: {get: \"http://${pod.ip}:2379/status\", expect: {json: {leader: \"${pod.name}\"}}}\n"
                            "load:\n"
                            "  - name: writes\n"
                            "    http:\n"
                            "      rate: ${rate}\n"
                            "      targets: {selector: {labelSelectors: {app: etcd}}}\n"
                            "      steps:\n"
                            "        - post: /v3/kv/put\n"
                            "          json: {key: \"${request.id|base64}\", selector: {role: any}, literal: \"$${rate}\"}\n"
                            "          headers: {Authorization: \"Bearer ${secret.token}\"}\n"
                            "    window: {goods: 3}\n"
                            "  - name: reads\n"
                            "    http: {url: \"http://x/?t=${wait}s&app=${app}\"}\n"
                            "    start: 2s\n"
                            "faults:\n"
                            "  - name: kill-leader\n"
                            "    pod-kill: {selector: {labelSelectors: {app: etcd}, role: leader}, mode: fixed, value: 2}\n"
                            "    every: 15s..25s\n"
                            "    count: 3\n"
                            "  - name: pause\n"
                            "    pod-pause: {selector: {}}\n"
                            "    at: [10s, 30s]\n"
                            "    for: 1m\n"
                            "guards: {minReady: 1}\n"
                            "duration: 95s\n"
                            "expect:\n"
                            "  - availability(writes) >= 95%\n"
                            "  - recovery.sustained.max(kill-leader) < 5s\n";

static void decodes_all(void **state) {
    (void)state;
    struct scenario *s = must(whole, NULL, 0);
    assert_string_equal(s->name, "etcd-leader-kill");
    assert_string_equal(s->description, "Three members.");
    assert_ptr_equal(s->cluster.kind, &fake_local_row);
    assert_int_equal(((const struct fake_local *)s->cluster.params)->nodes, 5);
    assert_int_equal(s->duration_ns, 95 * NS_PER_S);
    assert_int_equal(s->ready_timeout_ns, 60 * NS_PER_S);
    assert_int_equal(s->settle_ns, 5 * NS_PER_S);
    assert_int_equal(s->secrets.count, 1);
    assert_int_equal(s->expect.count, 2);

    assert_int_equal(s->roles.count, 1);
    const struct role *role = SCENARIO_ROLES(s);
    assert_string_equal(role->name, "leader");
    assert_string_equal(role->of->label_selectors.items[0].value, "etcd"); /* the parameter */
    assert_string_equal(role->http->method, "GET");
    assert_int_equal(role->interval_ns, 100 * NS_PER_MS);
    assert_int_equal(role->timeout_ns, NS_PER_S);

    assert_int_equal(s->loads.count, 2);
    const struct load_spec *l = SCENARIO_LOADS(s);
    const struct fake_http *h = l[0].kind.params;
    assert_int_equal(h->rate, 200000000);
    assert_string_equal(l[0].kind.path, "/load/0/http");
    assert_int_equal(l[0].window->goods, 3);
    assert_int_equal(l[0].window->over_ns, NS_PER_S);
    assert_int_equal(l[1].window->goods, 5);
    assert_int_equal(l[1].window->over_ns, NS_PER_S);
    assert_int_equal(l[1].start_ns, 2 * NS_PER_S);
    assert_string_equal(template_text(((const struct fake_http *)l[1].kind.params)->url), "http://x/?t=15s&app=etcd");
    const struct step *step = h->steps.items;
    assert_string_equal(step->method, "POST");
    assert_non_null(strstr(template_text(step->json), "$${rate}")); /* left for the template compiler */

    const struct fault_spec *f = SCENARIO_FAULTS(s);
    assert_int_equal(s->faults.count, 2);
    assert_string_equal(f[0].path, "/faults/0");
    assert_int_equal(f[0].every.from_ns, 15 * NS_PER_S);
    assert_int_equal(f[0].every.to_ns, 25 * NS_PER_S);
    assert_int_equal(f[0].count, 3);
    assert_int_equal(((const struct fake_kill *)f[0].kind.params)->target.fixed, 2);
    assert_int_equal(f[1].at.count, 2);
    assert_int_equal(f[1].for_ns, 60 * NS_PER_S);

    assert_int_equal(s->guards->quorum, QUORUM_STATEFULSETS);
    assert_int_equal(s->guards->min_ready, 1);
    assert_int_equal(s->guards->max_concurrent, 0);
    scenario_free(s);
}

static void stores_it_resolved(void **state) {
    (void)state;
    const struct setting set[] = {{"rate", "500/s"}};
    struct scenario *s = must(whole, set, 1);
    char *yaml = doc_to_yaml(s->doc);
    assert_non_null(yaml);
    assert_non_null(strstr(yaml, "500/s"));
    assert_null(strstr(yaml, "200/s"));
    assert_non_null(strstr(yaml, "${secret.token}"));
    assert_non_null(strstr(yaml, "$${rate}"));
    scenario_free(s);
    /* and what was stored loads again to the same */
    s = must(yaml, NULL, 0);
    assert_int_equal(((const struct fake_http *)SCENARIO_LOADS(s)[0].kind.params)->rate, 500000000);
    char *again = doc_to_yaml(s->doc);
    assert_string_equal(again, yaml);
    free(again);
    free(yaml);
    scenario_free(s);
}

static void guards_have_defaults(void **state) {
    (void)state;
    struct scenario *s = must("name: x\nduration: 10s\n" LOAD, NULL, 0);
    assert_non_null(s->guards);
    assert_int_equal(s->guards->quorum, QUORUM_STATEFULSETS);
    assert_int_equal(s->guards->max_ppm, 0);
    assert_int_equal(s->guards->budgets, BUDGETS_RESPECT);
    assert_int_equal(s->guards->unowned, PERMIT_REFUSE);
    assert_int_equal(s->guards->self, PERMIT_REFUSE);
    assert_false(s->guards->opt_in);
    assert_int_equal(s->guards->contexts.count, 0);
    assert_true(guards_glob(&s->guards->protected_namespaces, "kube-system"));
    assert_false(guards_glob(&s->guards->protected_namespaces, "kube"));
    assert_false(guards_glob(&s->guards->protected_namespaces, NULL));
    assert_false(s->guards->steady_given);
    assert_int_equal(s->guards->steady->timeout_ns, 60 * NS_PER_S);
    assert_int_equal(s->guards->steady->interval_ns, NS_PER_S);
    assert_null(s->cluster.kind);
    assert_string_equal(s->secrets.count ? "some" : "none", "none");
    scenario_free(s);
    scenario_free(NULL);
}

static void guards_as_given(void **state) {
    (void)state;
    struct scenario *s = must("name: x\nduration: 10s\nguards: {maxPercent: 30%, budgets: ignore, protectedNamespaces: [], optIn: true, self: allow, unowned: allow,\n"
                              "  contexts: staging-*, quorum: none, steady: {interval: 250ms}}\n" LOAD, NULL, 0);
    const struct guards *g = s->guards;
    assert_int_equal(g->max_ppm, 300000);
    assert_int_equal(g->budgets, BUDGETS_IGNORE);
    assert_int_equal(g->protected_namespaces.count, 0);
    assert_true(g->opt_in);
    assert_int_equal(g->self, PERMIT_ALLOW);
    assert_int_equal(g->unowned, PERMIT_ALLOW);
    assert_int_equal(g->quorum, QUORUM_NONE);
    assert_true(guards_glob(&g->contexts, "staging-1"));
    assert_true(g->steady_given);
    assert_int_equal(g->steady->timeout_ns, 60 * NS_PER_S);
    assert_int_equal(g->steady->interval_ns, 250 * NS_PER_MS);
    scenario_free(s);
    s = must("name: x\nduration: 10s\nguards: {steady: {timeout: 0}}\n" LOAD, NULL, 0);
    assert_true(s->guards->steady_given); /* and not waited for, whatever the cluster */
    assert_int_equal(s->guards->steady->timeout_ns, 0);
    scenario_free(s);
}

static void json_is_yaml(void **state) {
    (void)state;
    struct scenario *s = must("{\"name\": \"x\", \"duration\": \"10s\", \"parameters\": {\"r\": \"7/s\"}, "
                              "\"load\": [{\"name\": \"a\", \"http\": {\"rate\": \"${r}\"}}]}", NULL, 0);
    assert_int_equal(((const struct fake_http *)SCENARIO_LOADS(s)[0].kind.params)->rate, 7000000);
    scenario_free(s);
}

/* A parameter alone keeps its type; in a text it is its text, as it was written. */
static void parameters_keep_types(void **state) {
    (void)state;
    static const char text[] = "name: x\nduration: 10s\nparameters: {n: 4, v: 1.10, on: true, t: \"007\"}\n"
                               "cluster: {local: {nodes: \"${n}\"}}\n"
                               "load:\n- name: a\n  http:\n    url: \"http://h/${v}/${on}/${t}/${n}${n}\"\n"
                               "    steps: [{post: /, json: {n: \"${n}\", on: \"${on}\", t: \"${t}\"}}]\n";
    struct scenario *s = must(text, NULL, 0);
    assert_int_equal(((const struct fake_local *)s->cluster.params)->nodes, 4);
    const struct fake_http *h = SCENARIO_LOADS(s)[0].kind.params;
    assert_string_equal(template_text(h->url), "http://h/1.10/true/007/44");
    assert_string_equal(template_text(((const struct step *)h->steps.items)->json), "{\"n\":4,\"on\":true,\"t\":\"007\"}");
    scenario_free(s);

    const struct setting set[] = {{"n", "5"}, {"v", "a b: [c"}, {"on", "false"}, {"t", "8"}};
    s = must(text, set, 4);
    assert_int_equal(((const struct fake_local *)s->cluster.params)->nodes, 5);
    h = SCENARIO_LOADS(s)[0].kind.params;
    assert_string_equal(template_text(h->url), "http://h/a b: [c/false/8/55");
    assert_string_equal(template_text(((const struct step *)h->steps.items)->json), "{\"n\":5,\"on\":false,\"t\":8}");
    scenario_free(s);
}

static void settings_are_typed_like_yaml(void **state) {
    (void)state;
    static const struct { const char *value, *json; } rows[] = {
        {"5", "[5]"}, {"-5", "[-5]"}, {"1.5", "[1.5]"}, {"true", "[true]"}, {"200/s", "[\"200/s\"]"}, {"5%", "[\"5%\"]"}, {"", "[\"\"]"},
        {"10:30", "[\"10:30\"]"}, {"- x", "[\"- x\"]"}, {"{a: 1}", "[\"{a: 1}\"]"}, {"x # y", "[\"x # y\"]"}, {"\"5\"", "[\"\\\"5\\\"\"]"},
        {"*a", "[\"*a\"]"}, {"&a", "[\"&a\"]"}, {"%x", "[\"%x\"]"}, {"---", "[\"---\"]"}, {"null", "[\"null\"]"}, {"a\nb", "[\"a\\nb\"]"},
        {"${pod.name}", "[\"${pod.name}\"]"}, {"-", "[\"-\"]"}, {"...", "[\"...\"]"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct setting set[] = {{"p", rows[i].value}};
        struct scenario *s = must("name: x\nduration: 10s\nparameters: {p: 1}\n"
                                  "load: [{name: a, http: {steps: [{post: /, json: [\"${p}\"]}]}}]\n", set, 1);
        const struct fake_http *h = SCENARIO_LOADS(s)[0].kind.params;
        const char *json = template_text(((const struct step *)h->steps.items)->json);
        if (strcmp(json, rows[i].json))
            fail_msg("--set p=%s gives %s, not %s", rows[i].value, json, rows[i].json);
        scenario_free(s);
    }
}

#define FAULT_AT(rest) "name: x\n" CLUSTER "duration: 80s\nfaults:\n- name: k\n  " KILL "\n" rest
#define EXPECTING(text) "name: x\n" CLUSTER LOAD "faults: [{name: k, " KILL ", at: 5s}]\nduration: 20s\nexpect:\n- " text "\n"
#define STEP(text) "name: x\nduration: 10s\nparameters: {rate: 5, host: h, d: a$}\nsecrets: [token]\n" \
                   "load: [{name: a, http: {steps: [{get: '" text "'}]}}]\n"

static const struct { const char *text, *where, *says; } bad[] = {
    {"[a, b]", "t.yaml:1:1:", "map"},
    {"name: x\nduration: 10s\n", "t.yaml:1:1:", "at least one load or fault"},
    {"duration: 10s\n" LOAD, "t.yaml:1:1:", "name"},
    {"name: x\n" LOAD, "t.yaml:1:1:", "duration"},
    {"name: x\nduratoin: 10s\n" LOAD, "t.yaml:2:1:", "duration"},
    {"name: x\nduration: 0s\n" LOAD, "t.yaml:2:11:", "range"},
    {"name: x\nduration: -5s\n" LOAD, "t.yaml:2:11:", "negative"},
    /* names */
    {"name: x\nduration: 9s\nload:\n- {name: a, http: {}}\n- {name: a, http: {}}\n", "t.yaml:5:10:", "already a load named \"a\""},
    {"name: x\n" CLUSTER "duration: 9s\nfaults:\n- {name: k, " KILL ", at: 1s}\n- {name: k, " KILL ", at: 1s}\n", "t.yaml:6:10:",
     "already a fault named \"k\""},
    /* when */
    {FAULT_AT(""), "t.yaml:5:3:", "needs a time"},
    {FAULT_AT("  at:\n"), "t.yaml:5:3:", "needs a time"},
    {FAULT_AT("  at: []\n"), "t.yaml:5:3:", "empty list"},
    {FAULT_AT("  at: 5s\n  every: 10s\n"), "t.yaml:5:3:", "both at and every"},
    {FAULT_AT("  at: 5s\n  count: 2\n"), "t.yaml:8:3:", "count goes with every"},
    {FAULT_AT("  at: [5s, 80s]\n"), "t.yaml:7:12:", "not before the end"},
    {FAULT_AT("  at: 75s\n  for: 6s\n"), "t.yaml:7:7:", "ends after the duration"},
    {FAULT_AT("  at: 5s\n  for: 81s\n"), "t.yaml:8:8:", "longer than the duration"},
    {FAULT_AT("  every: 25s..15s\n"), "t.yaml:7:10:", "15s..25s"},
    {FAULT_AT("  every: 0s\n"), "t.yaml:7:10:", "1ms"},
    {FAULT_AT("  every: 25s..30s\n  count: 4\n"), "t.yaml:8:10:",
     "4 acts at the longest gap of 30s, held 0s, with 5s to settle, take 2m5s"},
    {FAULT_AT("  every: 15s..20s\n  count: 3\n  for: 16s\n"), "t.yaml:8:10:", "take 1m21s"},
    {FAULT_AT("  every: 76s\n"), "t.yaml:7:10:", "1 act at the shortest"},
    {FAULT_AT("  every: 10s\n  count: 0\n"), "t.yaml:8:10:", "range"},
    {FAULT_AT("  every: 80000h\n  count: 1000000\n"), "t.yaml:", "do not fit"},
    {"name: x\nduration: 10s\nload:\n- {name: a, http: {}, start: 10s}\n", "t.yaml:4:30:", "not before the end"},
    {"name: x\nduration: 10s\nload:\n- {name: a, http: {}, start: 5s, for: 6s}\n", "t.yaml:4:39:", "ends after the duration"},
    /* roles and clusters */
    {"name: x\n" CLUSTER "duration: 9s\nroles: {leader: {of: {}, http: {get: /}}}\nfaults:\n"
     "- {name: k, pod-kill: {selector: {role: leeder}}, at: 1s}\n", "t.yaml:6:41:", "did you mean \"leader\""},
    {"name: x\n" CLUSTER "duration: 9s\nroles: {leader: {of: {}, http: {get: /}}}\nfaults:\n"
     "- {name: k, pod-kill: {selector: {role: '!leeder'}}, at: 1s}\n", "t.yaml:6:41:", "role \"leeder\" is not declared, did you mean"},
    {"name: x\n" CLUSTER "duration: 9s\nfaults:\n- {name: k, pod-kill: {selector: {role: leader}}, at: 1s}\n",
     "t.yaml:5:41:", "declared: none"},
    {"name: x\n" CLUSTER "duration: 9s\nload:\n- {name: a, http: {targets: {selector: {role: boss}}}}\n",
     "t.yaml:5:47:", "role \"boss\" is not declared"},
    {"name: x\n" CLUSTER "duration: 9s\nroles: {a: {of: {role: b}, http: {get: /}}, b: {of: {}, http: {get: /}}}\n" LOAD,
     "t.yaml:4:24:", "by a role"},
    {"name: x\nduration: 9s\nfaults:\n- {name: k, " KILL ", at: 1s}\n", "t.yaml:4:34:", "needs a cluster"},
    {"name: x\ncluster: {}\nduration: 9s\n" LOAD, "t.yaml:2:10:", "local"},
    /* thresholds */
    {EXPECTING("availabilty >= 95%"), "t.yaml:7:3:", "did you mean \"availability\""},
    {EXPECTING("availability(write) >= 95%"), "t.yaml:7:3:", "there is no load \"write\", did you mean \"writes\"?"},
    {EXPECTING("recovery.max(writes) < 3s"), "t.yaml:7:3:", "there is no fault \"writes\""},
    {EXPECTING("downtime.max(k) < 3s"), "t.yaml:7:3:", "there is no load \"k\""},
    {FAULT_AT("  at: 5s\nexpect: p(99) < 1s\n"), "t.yaml:8:9:", "needs a load"},
    {FAULT_AT("  at: 5s\nexpect: recovery.max < 1s\n"), "t.yaml:8:9:", "needs a load"},
    {"name: x\nduration: 9s\n" LOAD "expect: ledger.lost == 0\n", "t.yaml:4:9:", "\"ledger.lost == 0\" needs a load that keeps a ledger: ledger: {...} in one"},
    {"name: x\nduration: 9s\n" LOAD "expect: rpo.max(nobody) < 1s\n", "t.yaml:4:9:", "there is no load \"nobody\""},
    {"name: x\nduration: 9s\n" LOAD "expect: recovery.max < 1s\n", "t.yaml:4:9:", "needs a fault"},
    /* references */
    {STEP("${rte}"), "t.yaml:5:39:", "${rte} is not declared, did you mean ${rate}?"},
    {STEP("/a${HOME}"), "t.yaml:5:39:", "declared: rate, host, d"},
    {STEP("${rate|url}"), "t.yaml:5:39:", "filter"},
    {STEP("/${pod.nme}"), "t.yaml:5:39:", "did you mean ${pod.name}?"},
    {STEP("/${pod.label}"), "t.yaml:5:39:", "name, ip, dir, node, namespace, uid, index"},
    {STEP("/${request.sq}"), "t.yaml:5:39:", "did you mean ${request.seq}?"},
    {STEP("/${run.}"), "t.yaml:5:39:", "names nothing"},
    {STEP("/${pods.name}"), "t.yaml:5:39:", "did you mean \"pod\"?"},
    {STEP("/${weather.today}"), "t.yaml:5:39:", "unknown \"weather\""},
    {STEP("/${secret.key}"), "t.yaml:5:39:", "secret \"key\" is not declared"},
    {STEP("/${rate"), "t.yaml:5:39:", "}"},
    {STEP("/${}"), "t.yaml:5:39:", "not declared"},
    {STEP("/${d}{x}"), "t.yaml:5:39:", "another reference"},
    {"name: x\nduration: 9s\ndescription: \"${pod.nam}\"\n" LOAD, "t.yaml:3:14:", "did you mean ${pod.name}?"},
    /* parameters and secrets */
    {"name: x\nduration: 9s\nparameters: [a]\n" LOAD, "t.yaml:3:13:", "map of parameters"},
    {"name: x\nduration: 9s\nparameters: {a: [1]}\n" LOAD, "t.yaml:3:17:", "single value"},
    {"name: x\nduration: 9s\nparameters: {a.b: 1}\n" LOAD, "t.yaml:3:14:", "a name starts with"},
    {"name: x\nduration: 9s\nparameters: {a: }\n" LOAD, "t.yaml:3:14:", "--set a="},
    {"name: x\nduration: 9s\nparameters: {a: 1, b: \"${a}\"}\n" LOAD, "t.yaml:3:23:", "may not refer"},
    {"name: x\nduration: 9s\nsecrets: [\"a b\"]\n" LOAD, "t.yaml:3:11:", "letters"},
    {"name: x\nduration: 9s\nsecrets: [a, a]\n" LOAD, "t.yaml:3:14:", "twice"},
    /* guards, kinds */
    {"name: x\nduration: 9s\nguards: {quorum: most}\n" LOAD, "t.yaml:3:18:", "majority"},
    {"name: x\nduration: 9s\nguards: {maxpercent: 30%}\n" LOAD, "t.yaml:3:10:", "did you mean \"maxPercent\""},
    {"name: x\nduration: 9s\nguards: {maxPercent: 30}\n" LOAD, "t.yaml:3:22:", "%"},
    {"name: x\nduration: 9s\nguards: {maxPercent: 0%}\n" LOAD, "t.yaml:3:22:", "out of range"},
    {"name: x\nduration: 9s\nguards: {maxPercent: 101%}\n" LOAD, "t.yaml:3:22:", "at most 100%"},
    {"name: x\nduration: 9s\nguards: {budgets: no}\n" LOAD, "t.yaml:3:19:", "respect"},
    {"name: x\nduration: 9s\nguards: {protectedNamespaces: [shop, Kube_System]}\n" LOAD, "t.yaml:3:38:", "matches no namespace"},
    {"name: x\nduration: 9s\nguards: {protectedNamespaces: [\"\"]}\n" LOAD, "t.yaml:3:32:", "matches no namespace"},
    {"name: x\nduration: 9s\nguards: {contexts: []}\n" LOAD, "t.yaml:3:20:", "too short"},
    {"name: x\nduration: 9s\nguards: {contexts: [a, \"\"]}\n" LOAD, "t.yaml:3:24:", "empty text"},
    {"name: x\nduration: 9s\nguards: {self: yes}\n" LOAD, "t.yaml:3:16:", "allow"},
    {"name: x\nduration: 9s\nguards: {optIn: maybe}\n" LOAD, "t.yaml:3:17:", "true"},
    {"name: x\nduration: 9s\nguards: {steady: {timeout: 1s, interval: 2s}}\n" LOAD, "t.yaml:3:42:", "must not be longer"},
    {"name: x\nduration: 9s\nguards: {steady: {limit: 1s}}\n" LOAD, "t.yaml:3:19:", "timeout"},
    {"name: x\nduration: 9s\nload: [{name: a, htpp: {}}]\n", "t.yaml:3:18:", "did you mean \"http\""},
    {"name: x\n" CLUSTER "duration: 9s\nfaults: [{name: k, pod-kill: {selector: {}}, pod-pause: {selector: {}}, at: 1s}]\n",
     "t.yaml:4:", "both"},
};

static void says_what_is_wrong_and_where(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct scenario *s = NULL;
        struct error err = {""};
        int r = parse(bad[i].text, NULL, 0, &s, &err);
        if (r >= 0 || s || strncmp(err.text, bad[i].where, strlen(bad[i].where)) || !strstr(err.text, bad[i].says))
            fail_msg("%d \"%s\", wanted %s ... %s, of\n%s", r, err.text, bad[i].where, bad[i].says, bad[i].text);
        assert_true(parse(bad[i].text, NULL, 0, &s, NULL) < 0);
    }
}

static void undeclared_settings_are_errors(void **state) {
    (void)state;
    static const struct { const char *name, *says; } rows[] = {{"rte", "did you mean \"rate\"?"}, {"zzzzz", "declared: rate, app, wait"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct setting set[] = {{rows[i].name, "1"}};
        struct scenario *s = NULL;
        struct error err = {""};
        assert_int_equal(parse(whole, set, 1, &s, &err), -EINVAL);
        if (!strstr(err.text, rows[i].says) || !strstr(err.text, "--set"))
            fail_msg("%s", err.text);
    }
    const struct setting set[] = {{"a", "1"}};
    struct scenario *s = NULL;
    struct error err = {""};
    assert_int_equal(parse("name: x\nduration: 9s\n" LOAD, set, 1, &s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "declared: none"));
    const struct setting bytes[] = {{"rate", "\xff\xfe"}};
    assert_int_equal(parse(whole, bytes, 1, &s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "UTF-8"));
    const struct setting other[] = {{"app", "${rate}"}};
    assert_int_equal(parse(whole, other, 1, &s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "may not refer"));
}

static void a_set_gives_what_has_no_default(void **state) {
    (void)state;
    const struct setting set[] = {{"url", "http://h/"}};
    struct scenario *s = must("name: x\nduration: 9s\nparameters: {url: }\nload: [{name: a, http: {url: \"${url}\"}}]\n", set, 1);
    assert_string_equal(template_text(((const struct fake_http *)SCENARIO_LOADS(s)[0].kind.params)->url), "http://h/");
    scenario_free(s);
}

static void redundancy_needs_no_load(void **state) {
    (void)state;
    scenario_free(must(FAULT_AT("  at: 5s\nexpect: recovery.redundancy.max < 30s\n"), NULL, 0));
}

static void just_fits(void **state) {
    (void)state;
    scenario_free(must(FAULT_AT("  every: 20s..25s\n  count: 3\n"), NULL, 0));          /* 75 + 5 = 80 */
    scenario_free(must(FAULT_AT("  every: 15s..20s\n  count: 3\n  for: 15s\n"), NULL, 0)); /* 60 + 15 + 5 */
    scenario_free(must(FAULT_AT("  every: 75s\n"), NULL, 0));
    scenario_free(must(FAULT_AT("  at: 65s\n  for: 10s\n"), NULL, 0));
}

/* A long value named often must not fill the memory. */
static void filling_in_is_bounded(void **state) {
    (void)state;
    cleanup_buf struct buf text = {0};
    buf_str(&text, "name: x\nduration: 9s\nparameters: {a: ");
    for (int i = 0; i < 40000; i++)
        buf_str(&text, "0123456789");
    buf_str(&text, "x}\nload: [{name: a, http: {steps: [{post: /, json: [");
    for (int i = 0; i < 10000; i++)
        buf_str(&text, i % 2 ? "'${a}'," : "'b${a}',");
    buf_str(&text, "1]}]}}]\n");
    struct scenario *s = NULL;
    struct error err = {""};
    assert_true(buf_ok(&text));
    assert_int_equal(parse(text.data, NULL, 0, &s, &err), -EFBIG);
    assert_non_null(strstr(err.text, "larger than"));
}

static void a_role_may_be_negated(void **state) {
    (void)state;
    struct scenario *s = must("name: x\n" CLUSTER "duration: 9s\nroles: {leader: {of: {}, http: {get: /}}}\nfaults:\n"
                              "- {name: k, pod-kill: {selector: {role: \"!leader\"}}, at: 1s}\n", NULL, 0);
    const struct selector *sel = ((const struct fake_kill *)SCENARIO_FAULTS(s)[0].kind.params)->target.selector;
    assert_true(selector_role_negated(sel));
    assert_string_equal(selector_role_name(sel), "leader");
    scenario_free(s);
}

static void a_missing_file_is_an_error(void **state) {
    (void)state;
    struct scenario *s = NULL;
    struct error err = {""};
    struct scenario_options o = {.kinds = &fake_kinds};
    assert_int_equal(scenario_load("/nonexistent/x.yaml", &o, &s, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/x.yaml"));
    assert_null(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_all),
        cmocka_unit_test(stores_it_resolved),
        cmocka_unit_test(guards_have_defaults),
        cmocka_unit_test(guards_as_given),
        cmocka_unit_test(json_is_yaml),
        cmocka_unit_test(parameters_keep_types),
        cmocka_unit_test(settings_are_typed_like_yaml),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(undeclared_settings_are_errors),
        cmocka_unit_test(a_set_gives_what_has_no_default),
        cmocka_unit_test(redundancy_needs_no_load),
        cmocka_unit_test(just_fits),
        cmocka_unit_test(filling_in_is_bounded),
        cmocka_unit_test(a_role_may_be_negated),
        cmocka_unit_test(a_missing_file_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
