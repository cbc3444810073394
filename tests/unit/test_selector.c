/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "fake_kinds.h"

/* Decodes YAML by a shape; the values live in the returned arena. */
static int decode(const char *yaml, const struct shape *shape, struct arena **ret_arena, void *out, struct error *err) {
    struct doc *d = NULL;
    struct arena *a = arena_new();
    assert_non_null(a);
    int r = doc_parse("t", yaml, strlen(yaml), &d, err);
    if (r == 0)
        r = schema_decode(d, "", shape, &fake_kinds, a, out, err);
    doc_free(d);
    *ret_arena = a;
    return r;
}

/* The pods of every row below, as a string of their letters. Unsorted on purpose. */
static struct {
    const char *letter, *namespace, *name, *node, *phase, *labels, *annotations;
} const pods[] = {
    {"f", "web", "front-0", "n2", "Running", "{\"app\":\"front\",\"tier\":\"edge\"}", NULL},
    {"c", "db", "etcd-2", "n3", "Pending", "{\"app\":\"etcd\",\"tier\":\"core\"}", "{\"team\":\"b\"}"},
    {"a", "db", "etcd-0", "n1", "Running", "{\"app\":\"etcd\",\"tier\":\"core\"}", "{\"team\":\"a\",\"x\":\"1\"}"},
    {"g", "web", "plain", "n3", "Running", NULL, NULL},
    {"b", "db", "etcd-1", "n2", "Running", "{\"app\":\"etcd\"}", "{\"team\":\"a\"}"},
    {"e", "web", "etcd-1", "n1", "Running", "{\"app\":\"etcd\",\"tier\":\"edge\"}", NULL},
    {"d", "db", "redis-0", "n1", "Running", "{\"app\":\"redis\"}", NULL},
};

static size_t candidates(struct candidate *list, json_t **keep) {
    *keep = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(pods); i++) {
        json_t *labels = pods[i].labels ? json_loads(pods[i].labels, 0, NULL) : NULL;
        json_t *annotations = pods[i].annotations ? json_loads(pods[i].annotations, 0, NULL) : NULL;
        list[i] = (struct candidate){.uid = pods[i].letter, .name = pods[i].name, .namespace = pods[i].namespace, .node = pods[i].node,
                                     .phase = pods[i].phase, .labels = labels, .annotations = annotations, .tag = &pods[i]};
        json_array_append_new(*keep, labels);
        json_array_append_new(*keep, annotations);
    }
    return ARRAY_SIZE(pods);
}

static void filters(void **state) {
    (void)state;
    static const struct { const char *yaml, *want; } rows[] = {
        {"{}", "abcdefg"}, /* by namespace, then name */
        {"namespaces: db", "abcd"},
        {"namespaces: [db, web]", "abcdefg"},
        {"namespaces: [none]", ""},
        {"labelSelectors: {app: etcd}", "abce"},
        {"labelSelectors: {app: etcd, tier: core}", "ac"},
        {"labelSelectors: {app: \"\"}", ""},
        {"annotationSelectors: {team: a}", "ab"},
        {"annotationSelectors: {team: a, x: 1}", "a"},
        {"nodes: [n1]", "ade"},
        {"nodes: [n1, n3]\nnamespaces: web", "eg"},
        {"pods: etcd-1", "be"},
        {"pods: [db/etcd-1, plain]", "bg"},
        {"pods: [d/etcd-1, dbx/etcd-1]", ""},
        {"fieldSelectors: {metadata.name: etcd-1}", "be"},
        {"fieldSelectors: {metadata.name: etcd-1, metadata.namespace: web}", "e"},
        {"fieldSelectors: {spec.nodeName: n3}", "cg"},
        {"fieldSelectors: {status.phase: Pending}", "c"},
        {"expressionSelectors: [{key: app, operator: In, values: [etcd, redis]}]", "abcde"},
        {"expressionSelectors: [{key: tier, operator: NotIn, values: [edge]}]", "abcdg"}, /* absent counts as not in */
        {"expressionSelectors: [{key: tier, operator: Exists}]", "acef"},
        {"expressionSelectors: [{key: tier, operator: DoesNotExist}]", "bdg"},
        {"expressionSelectors: [{key: tier, operator: Exists}, {key: app, operator: NotIn, values: etcd}]", "f"},
        {"expressionSelectors: [{key: app, operator: In, values: [etcd]}]\nlabelSelectors: {tier: edge}", "e"},
        {"labelSelectors: {app: etcd}\nrole: leader", "abce"}, /* the role takes a probe: not here */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arena *a;
        struct selector s;
        struct error err = {""};
        if (decode(rows[i].yaml, &selector_shape, &a, &s, &err) < 0)
            fail_msg("%s: %s", rows[i].yaml, err.text);
        struct candidate list[ARRAY_SIZE(pods)];
        json_t *keep;
        size_t n = selector_filter(&s, list, candidates(list, &keep));
        char got[16] = "";
        for (size_t k = 0; k < n; k++)
            strcat(got, list[k].uid);
        if (strcmp(got, rows[i].want))
            fail_msg("%s selects \"%s\", not \"%s\"", rows[i].yaml, got, rows[i].want);
        json_decref(keep);
        arena_free(a);
    }
}

static void null_and_nothing_select_all(void **state) {
    (void)state;
    struct candidate list[ARRAY_SIZE(pods)], bare = {.uid = "x"};
    json_t *keep;
    assert_int_equal(selector_filter(NULL, list, candidates(list, &keep)), 7);
    assert_int_equal(selector_filter(NULL, list, 0), 0);
    assert_true(selector_matches(NULL, &bare));
    static const char *const none[] = {"n1"};
    const struct selector by_node = {.nodes = {none, 1}}, by_pod = {.pods = {none, 1}}, by_namespace = {.namespaces = {none, 1}};
    assert_false(selector_matches(&by_node, &bare)); /* nothing known is no match, and no crash */
    assert_false(selector_matches(&by_pod, &bare));
    assert_false(selector_matches(&by_namespace, &bare));
    json_decref(keep);
}

static void same_names_sort_by_uid(void **state) {
    (void)state;
    struct candidate list[] = {
        {.uid = "2", .name = "p", .namespace = "n"}, {.uid = "1", .name = "p", .namespace = "n"}, {.uid = "0", .name = "q"},
    };
    selector_filter(NULL, list, 3);
    assert_string_equal(list[0].uid, "0"); /* no namespace sorts first */
    assert_string_equal(list[1].uid, "1");
    assert_string_equal(list[2].uid, "2");
}

/* What made pods of each kind, as a cluster's controllers do; born at 1000 s. */
static const struct { const char *letter, *phase, *node; struct pod_owners owners; int64_t created_s; } owned_pods[] = {
    {"d", "Running", "n1", {2, {{"ReplicaSet", "web-5d8", "1"}, {"Deployment", "web", "2"}}}, 1000},
    {"e", "Pending", NULL, {2, {{"ReplicaSet", "pay-77f", "3"}, {"Deployment", "pay", "4"}}}, 1290},
    {"s", "Running", "n2", {1, {{"StatefulSet", "etcd", "5"}}}, 700},
    {"t", "CrashLoopBackOff", "n1", {1, {{"DaemonSet", "agent", "6"}}}, 1001},
    {"x", "Ended", "n2", {0}, 0}, /* by hand, and nobody knows when */
};

static size_t select_owned(const char *yaml, int64_t now_s, bool may, char *got) {
    struct arena *a;
    struct selector s;
    struct error err = {""};
    if (decode(yaml, &selector_shape, &a, &s, &err) < 0)
        fail_msg("%s: %s", yaml, err.text);
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(owned_pods); i++) {
        struct candidate c = {.uid = owned_pods[i].letter, .name = owned_pods[i].letter, .namespace = "shop", .node = owned_pods[i].node, .phase = owned_pods[i].phase,
                              .owners = owned_pods[i].owners.count ? &owned_pods[i].owners : NULL, .created_s = owned_pods[i].created_s, .now_s = now_s};
        if (may ? selector_may_match(&s, &c) : selector_matches(&s, &c))
            got[n++] = *owned_pods[i].letter;
    }
    got[n] = 0;
    arena_free(a);
    return n;
}

static void by_owner_phase_and_age(void **state) {
    (void)state;
    static const struct { const char *yaml, *want, *may; } rows[] = { /* at 1300 s */
        {"{}", "destx", "destx"},
        {"owners: [{kind: Deployment}]", "de", "de"},
        {"owners: [{kind: deployment, name: web}]", "d", "d"},
        {"owners: [{kind: Deployment, name: Web}]", "", ""},
        {"owners: [{kind: ReplicaSet, name: web-5d8}]", "d", "d"}, /* any of the chain */
        {"owners: [{kind: Deployment, name: web}, {kind: StatefulSet}]", "ds", "ds"},
        {"owners: [{kind: StatefulSet, name: web}]", "", ""},
        {"owners: [{kind: Job}]", "", ""},
        {"phases: Running", "ds", "destx"},
        {"phases: [Pending, Ended]", "ex", "destx"},
        {"minAge: 5m", "ds", "destx"}, /* 300 s to the second */
        {"minAge: 301s", "s", "destx"},
        {"minAge: 299500ms", "ds", "destx"},
        {"minAge: 10s", "dest", "destx"},
        {"minAge: 0s", "destx", "destx"},
        {"exclude: {owners: [{kind: DaemonSet}]}", "desx", "desx"},
        {"exclude: {owners: [{kind: Deployment}], phases: [Running]}", "estx", "destx"}, /* both must hold */
        {"exclude: {minAge: 10s}", "x", "destx"},
        {"exclude: {fieldSelectors: {status.phase: Ended}}", "dest", "destx"},
        {"exclude: {nodes: [n1]}", "esx", "esx"},
        {"nodes: [n1]", "dt", "det"}, /* one without a node may come there */
        {"fieldSelectors: {spec.nodeName: n2}", "sx", "esx"},
        {"fieldSelectors: {status.phase: Pending}", "e", "destx"},
        {"owners: [{kind: Deployment}]\nminAge: 1m\nphases: [Running]\nexclude: {pods: [shop/d]}", "", "e"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char got[16];
        select_owned(rows[i].yaml, 1300, false, got);
        if (strcmp(got, rows[i].want))
            fail_msg("%s selects \"%s\", not \"%s\"", rows[i].yaml, got, rows[i].want);
        select_owned(rows[i].yaml, 1300, true, got);
        if (strcmp(got, rows[i].may))
            fail_msg("%s may select \"%s\", not \"%s\"", rows[i].yaml, got, rows[i].may);
    }
}

static void without_a_clock_age_is_not_asked(void **state) {
    (void)state;
    char got[16];
    select_owned("minAge: 5m", 0, false, got);
    assert_string_equal(got, "destx");
    select_owned("exclude: {minAge: 5m}", 0, false, got);
    assert_string_equal(got, "destx");
    select_owned("minAge: 1s", 900, false, got); /* made after now: the clocks differ */
    assert_string_equal(got, "s");
}

static void selectors_are_said_in_words(void **state) {
    (void)state;
    static const struct { const char *yaml, *want; } rows[] = {
        {"{}", "any pod"},
        {"namespaces: [shop, pay]", "any pod, in namespaces shop, pay"},
        {"labelSelectors: {app: web}\nnamespaces: shop", "label app=web, in namespace shop"},
        {"labelSelectors: {app: web, tier: x}\nrole: leader", "labels app=web, tier=x, role leader"},
        {"owners: [{kind: Deployment, name: web}, {kind: Job}]\nminAge: 5m\nphases: [Running]",
         "owner Deployment/web or Job, phase Running, at least 5m old"},
        {"expressionSelectors: [{key: a, operator: In, values: [b, c]}, {key: d, operator: Exists}]", "label a In (b, c), label d Exists"},
        {"nodes: [n1]\nexclude: {pods: [x]}", "on node n1; but not pod x"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arena *a;
        struct selector s;
        struct error err = {""};
        cleanup_buf struct buf b = {0};
        if (decode(rows[i].yaml, &selector_shape, &a, &s, &err) < 0)
            fail_msg("%s: %s", rows[i].yaml, err.text);
        selector_say(&s, &b);
        assert_string_equal(b.data, rows[i].want);
        arena_free(a);
    }
}

static const struct { const char *yaml, *says; } bad_selectors[] = {
    {"owners: [{kind: \"\"}]", "t:1:17: \"\" is no kind of object"},
    {"owners: [{kind: apps/Deployment}]", "\"apps/Deployment\" is no kind of object"},
    {"owners: [{name: web}]", "t:1:10: missing key \"kind\""},
    {"owners: [{kind: Job, name: \"\"}]", "t:1:28: an empty name"},
    {"owners: Deployment", "t:1:9: "},
    {"owner: [{kind: Job}]", "did you mean \"owners\""},
    {"phases: [running]", "t:1:10: "},
    {"phases: [Succeeded]", "CrashLoopBackOff"},
    {"minage: 5m", "did you mean \"minAge\""},
    {"minAge: 5", "t:1:9: "},
    {"minAge: -5m", "t:1:9: "},
    {"exclude: {}", "t:1:10: exclude says nothing"},
    {"exclude: {exclude: {pods: x}}", "unknown key \"exclude\" in exclude"},
    {"exclude: {role: leader}", "unknown key \"role\" in exclude"},
    {"exclude: {pods: [a/b/c]}", "t:1:18: \"a/b/c\" names no pod"},
    {"exclude: {label: {a: b}}", "unknown key \"label\" in exclude"},
    {"labelSelector: {a: b}", "did you mean \"labelSelectors\""},
    {"fieldSelectors: {spec.nodename: n1}", "t:1:18: pods cannot be selected by field \"spec.nodename\", did you mean \"spec.nodeName\""},
    {"fieldSelectors: {spec.restartPolicy: Always}", "metadata.namespace, spec.nodeName and status.phase"},
    {"expressionSelectors: [{key: a, operator: In}]", "In needs values"},
    {"expressionSelectors: [{key: a, operator: NotIn, values: []}]", "NotIn needs values"},
    {"expressionSelectors: [{key: a, operator: Exists, values: [b]}]", "takes no values"},
    {"expressionSelectors: [{key: a, operator: in, values: [b]}]", "In"},
    {"expressionSelectors: [{operator: Exists}]", "key"},
    {"pods: [a/b/c]", "t:1:8: \"a/b/c\" names no pod"},
    {"pods: [x, /b]", "t:1:11: \"/b\" names no pod"},
    {"pods: [\"b/\"]", "names no pod"},
    {"pods: [\"\"]", "names no pod"},
};

static void bad_selectors_are_errors(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad_selectors); i++) {
        struct arena *a;
        struct selector s;
        struct error err = {""};
        int r = decode(bad_selectors[i].yaml, &selector_shape, &a, &s, &err);
        if (r >= 0 || !strstr(err.text, bad_selectors[i].says))
            fail_msg("%s: %d \"%s\" does not say \"%s\"", bad_selectors[i].yaml, r, err.text, bad_selectors[i].says);
        arena_free(a);
    }
}

static void modes_and_values(void **state) {
    (void)state;
    static const struct { const char *rest, *says; int mode; int64_t fixed, ppm; } rows[] = {
        {"", NULL, MODE_ONE, 0, 0},
        {"mode: one", NULL, MODE_ONE, 0, 0},
        {"mode: all", NULL, MODE_ALL, 0, 0},
        {"mode: fixed\nvalue: 2", NULL, MODE_FIXED, 2, 0},
        {"mode: fixed\nvalue: \"2\"", NULL, MODE_FIXED, 2, 0},
        {"mode: fixed-percent\nvalue: 50%", NULL, MODE_FIXED_PERCENT, 0, 500000},
        {"mode: random-max-percent\nvalue: 100%", NULL, MODE_RANDOM_MAX_PERCENT, 0, 1000000},
        {"mode: one\nvalue: 1", "t:3:1: mode one takes no value", 0, 0, 0},
        {"mode: all\nvalue: 50%", "mode all takes no value", 0, 0, 0},
        {"value: 1", "mode one takes no value", 0, 0, 0},
        {"mode: fixed", "needs a value", 0, 0, 0},
        {"mode: fixed-percent", "needs a value", 0, 0, 0},
        {"mode: fixed\nvalue: 0", "t:3:8: mode fixed needs a whole number", 0, 0, 0},
        {"mode: fixed\nvalue: -1", "needs a whole number", 0, 0, 0},
        {"mode: fixed\nvalue: 1.5", "needs a whole number", 0, 0, 0},
        {"mode: fixed\nvalue: 50%", "needs a whole number", 0, 0, 0},
        {"mode: fixed-percent\nvalue: 50", "needs a percentage", 0, 0, 0},
        {"mode: fixed-percent\nvalue: 0%", "needs a percentage", 0, 0, 0},
        {"mode: random-max-percent\nvalue: 101%", "needs a percentage", 0, 0, 0},
        {"mode: most", "random-max-percent", 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arena *a;
        struct fake_kill k;
        struct error err = {""};
        char yaml[256];
        snprintf(yaml, sizeof yaml, "selector: {}\n%s\n", rows[i].rest);
        int r = decode(yaml, &fake_kill_shape, &a, &k, &err);
        if (rows[i].says ? r >= 0 || !strstr(err.text, rows[i].says) : r < 0)
            fail_msg("%s: %d \"%s\"", yaml, r, err.text);
        if (!rows[i].says) {
            assert_int_equal(k.target.mode, rows[i].mode);
            assert_int_equal(k.target.fixed, rows[i].fixed);
            assert_int_equal(k.target.ppm, rows[i].ppm);
        }
        arena_free(a);
    }
}

enum { MANY = 10 };

static void fill(struct candidate *list, size_t count) {
    static const char *const names[MANY] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    for (size_t i = 0; i < count; i++)
        list[i] = (struct candidate){.uid = names[i], .name = names[i]};
}

static void draws_as_many_as_asked(void **state) {
    (void)state;
    static const struct { int mode; int64_t fixed, ppm; size_t of, want; } rows[] = {
        {MODE_ONE, 0, 0, 10, 1},
        {MODE_ONE, 0, 0, 1, 1},
        {MODE_ONE, 0, 0, 0, 0},
        {MODE_ALL, 0, 0, 10, 10},
        {MODE_ALL, 0, 0, 0, 0},
        {MODE_FIXED, 3, 0, 10, 3},
        {MODE_FIXED, 30, 0, 10, 10},
        {MODE_FIXED, INT64_MAX, 0, 2, 2},
        {MODE_FIXED_PERCENT, 0, 500000, 10, 5},
        {MODE_FIXED_PERCENT, 0, 590000, 10, 5}, /* down */
        {MODE_FIXED_PERCENT, 0, 10000, 10, 1},  /* but not to none */
        {MODE_FIXED_PERCENT, 0, 10000, 0, 0},
        {MODE_FIXED_PERCENT, 0, 1000000, 10, 10},
        {MODE_RANDOM_MAX_PERCENT, 0, 90000, 10, 0}, /* 9 % of 10 is none */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (uint64_t draw = 0; draw < 50; draw++) {
            struct pod_target t = {.mode = rows[i].mode, .fixed = rows[i].fixed, .ppm = rows[i].ppm};
            struct candidate list[MANY];
            fill(list, rows[i].of);
            if (selector_draw(&t, draw, list, rows[i].of) != rows[i].want)
                fail_msg("row %zu", i);
            unsigned seen = 0; /* nobody lost, nobody twice */
            for (size_t k = 0; k < rows[i].of; k++)
                seen |= 1u << (*list[k].uid - '0');
            assert_int_equal(seen, (1u << rows[i].of) - 1);
        }
}

static void the_draw_alone_decides(void **state) {
    (void)state;
    struct pod_target t = {.mode = MODE_FIXED, .fixed = 4};
    struct candidate a[MANY], b[MANY];
    int differ = 0;
    for (uint64_t draw = 0; draw < 100; draw++) {
        fill(a, MANY);
        fill(b, MANY);
        selector_draw(&t, draw, a, MANY);
        selector_draw(&t, draw, b, MANY);
        for (int k = 0; k < MANY; k++)
            assert_ptr_equal(a[k].uid, b[k].uid);
        fill(b, MANY);
        selector_draw(&t, draw + 1, b, MANY);
        differ += strcmp(a[0].uid, b[0].uid) != 0;
    }
    assert_true(differ > 70); /* 90 expected */
}

/* Chi-square, 9 degrees, 99.99 %: 33.72. Each must be hit alike, first or last of the list. */
static void every_candidate_is_hit_alike(void **state) {
    (void)state;
    struct pod_target one = {.mode = MODE_ONE}, three = {.mode = MODE_FIXED, .fixed = 3};
    const int n = 20000;
    int hits[MANY] = {0}, hits3[MANY] = {0};
    struct rng rng;
    rng_seed(&rng, 5);
    for (int i = 0; i < n; i++) {
        struct candidate list[MANY];
        fill(list, MANY);
        selector_draw(&one, rng_u64(&rng), list, MANY);
        hits[*list[0].uid - '0']++;
        fill(list, MANY);
        selector_draw(&three, rng_u64(&rng), list, MANY);
        for (int k = 0; k < 3; k++)
            hits3[*list[k].uid - '0']++;
    }
    double chi = 0, chi3 = 0;
    for (int i = 0; i < MANY; i++) {
        chi += (hits[i] - n / 10.0) * (hits[i] - n / 10.0) / (n / 10.0);
        chi3 += (hits3[i] - n * 0.3) * (hits3[i] - n * 0.3) / (n * 0.3);
    }
    assert_true(chi < 33.72);
    assert_true(chi3 < 33.72); /* without replacement disperses less: the limit holds all the more */
}

static void random_max_percent_covers_its_range(void **state) {
    (void)state;
    struct pod_target t = {.mode = MODE_RANDOM_MAX_PERCENT, .ppm = 400000};
    int seen[MANY + 1] = {0};
    for (uint64_t draw = 0; draw < 1000; draw++) {
        struct candidate list[MANY];
        fill(list, MANY);
        seen[selector_draw(&t, draw, list, MANY)]++;
    }
    for (int i = 0; i <= 4; i++)
        assert_true(seen[i] > 130); /* 200 expected, standard deviation 12.6 */
    for (int i = 5; i <= MANY; i++)
        assert_int_equal(seen[i], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters),
        cmocka_unit_test(null_and_nothing_select_all),
        cmocka_unit_test(same_names_sort_by_uid),
        cmocka_unit_test(by_owner_phase_and_age),
        cmocka_unit_test(without_a_clock_age_is_not_asked),
        cmocka_unit_test(selectors_are_said_in_words),
        cmocka_unit_test(bad_selectors_are_errors),
        cmocka_unit_test(modes_and_values),
        cmocka_unit_test(draws_as_many_as_asked),
        cmocka_unit_test(the_draw_alone_decides),
        cmocka_unit_test(every_candidate_is_hit_alike),
        cmocka_unit_test(random_max_percent_covers_its_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
