/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "cluster/kubernetes.h"
#include "fake_kinds.h"
#include "kube/status.h"
#include "run_internal.h"

/* A cluster of pods that are just so: two web tiers, a StatefulSet of three, a pod by hand, and one of the system's. */

static const struct pod_owners deployment = {2, {{"ReplicaSet", "web-5d8", "rs"}, {"Deployment", "web", "d"}}}, stateful = {1, {{"StatefulSet", "etcd", "s"}}};

#define POD(id, ns, of, n, made_by, ...)                                                                                                   \
    {.uid = id, .name = id, .namespace = ns, .node = "n1", .workload = of, .replicas = n, .phase = POD_RUNNING, .ready = true, .owners = made_by, __VA_ARGS__}

static struct pod pods[] = {
    POD("web-0", "shop", "shop/web", 4, &deployment), POD("web-1", "shop", "shop/web", 4, &deployment), POD("web-2", "shop", "shop/web", 4, &deployment),
    POD("web-3", "shop", "shop/web", 4, &deployment), POD("etcd-0", "shop", "shop/etcd", 3, &stateful), POD("etcd-1", "shop", "shop/etcd", 3, &stateful),
    POD("etcd-2", "shop", "shop/etcd", 3, &stateful), POD("alone", "shop", "shop/alone", 1, NULL),      POD("dns", "kube-system", "kube-system/dns", 1, &deployment),
    POD("old", "shop", "shop/old", 0, &deployment),
};
enum { PODS = sizeof pods / sizeof *pods };

static const char *gone = ""; /* names of pods that are no more */

static size_t all_pods(struct cluster *c, const struct pod **list, size_t max) {
    size_t n = 0;
    (void)c;
    for (size_t i = 0; i < PODS && n < max; i++)
        if (!strstr(gone, pods[i].name))
            list[n++] = &pods[i];
    return n;
}

static const struct pod *by_uid(struct cluster *c, const char *uid) {
    (void)c;
    for (size_t i = 0; i < PODS; i++)
        if (!strcmp(pods[i].uid, uid) && !strstr(gone, uid))
            return &pods[i];
    return NULL;
}

static const char *unseen = ""; /* what is not followed just now */

static int sees(struct cluster *c, const char *what, struct buf *why) {
    (void)c;
    if (!strstr(unseen, what))
        return 1;
    buf_printf(why, "the watch of %s broke off", what);
    return 0;
}

static const struct cluster_kind fake_cluster = {.abilities = CLUSTER_OBJECTS, .pods = all_pods, .pod = by_uid, .sees = sees};

static int64_t allowed; /* by the budget of web, as it was last told */
static const char *of_web(struct cluster *c, const struct pod *p, int64_t *ret_left) {
    (void)c;
    *ret_left = allowed;
    return !strcmp(p->workload, "shop/web") ? "web-pdb" : NULL;
}

static bool yes(const void *params) {
    (void)params;
    return true;
}

/* A node with web-0, etcd-0 and the system's own. */
static size_t on_node(const struct fault_env *env, const struct fault_spec *f, const struct pod *victim, const struct pod **list, size_t max) {
    static const char *const names[] = {"web-0", "etcd-0", "dns"};
    (void)env, (void)f, (void)victim, (void)max;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        list[i] = by_uid(NULL, names[i]);
    return ARRAY_SIZE(names);
}

static void node_of(const struct fault_env *env, const struct pod *victim, char *out, size_t size) {
    (void)env;
    snprintf(out, size, "%s", victim->node);
}

static void workload_of(const struct fault_env *env, const struct pod *victim, char *out, size_t size) {
    (void)env;
    snprintf(out, size, "Deployment %s", strchr(victim->workload, '/') + 1);
}

static const struct kube_where eviction[] = {{.verb = "create", .resource = "pods", .subresource = "eviction"}, {0}};
static const struct fault_kind kill_kind = {.row = {"kill", NULL, ""}, .takes = yes, .needs = CLUSTER_OBJECTS},
                               evict_kind = {.row = {"evict", NULL, ""}, .takes = yes, .needs = CLUSTER_OBJECTS, .rules = eviction},
                               slow_kind = {.row = {"slow", NULL, ""}, .layer = FAULT_NETWORK},
                               cordon_kind = {.row = {"cordon", NULL, ""}, .place = node_of, .needs = CLUSTER_OBJECTS},
                               restart_kind = {.row = {"restart", NULL, ""}, .takes = yes, .place = workload_of, .needs = CLUSTER_OBJECTS},
                               drain_kind = {.row = {"drain", NULL, ""}, .takes = yes, .struck = on_node, .place = node_of, .rules = eviction, .needs = CLUSTER_OBJECTS};

static size_t two_of_etcd(const struct fault_env *env, const struct fault_spec *f, const struct pod *victim, const struct pod **list, size_t max) {
    (void)env, (void)f, (void)max;
    list[0] = victim;
    list[1] = by_uid(NULL, "etcd-2");
    return 2;
}
static const struct fault_kind held_drain_kind = {.row = {"drain", NULL, ""}, .takes = yes, .holds = true, .struck = on_node, .place = node_of},
                               scale_kind = {.row = {"scale", NULL, ""}, .takes = yes, .holds = true, .struck = two_of_etcd, .place = workload_of};

struct world {
    struct scenario *s;
    struct cluster cluster;
    struct run run;
    struct fault_spec spec;
    struct act acts[PODS];
    struct fault_spec under, more;
    struct act held; /* of the kind `more` */
    char why[256];
};

/* busy: names of pods that are under a fault. */
static void make_world(struct world *w, const char *guards, const struct fault_kind *kind, const char *busy) {
    struct error err = {""};
    cleanup_buf struct buf text = {0};
    *w = (struct world){.cluster = {&fake_cluster}, .spec = {.kind = {.kind = &kind->row}}, .under = {.kind = {.kind = &kill_kind.row}}};
    buf_printf(&text, "name: x\nduration: 10s\nload: [{name: a, http: {}}]\nguards: {%s}\n", guards);
    const struct scenario_options o = {.kinds = &fake_kinds};
    if (scenario_parse("t.yaml", text.data, text.len, &o, &w->s, &err) < 0)
        fail_msg("%s: %s", guards, err.text);
    w->run.s = w->s;
    w->run.cluster = &w->cluster;
    for (size_t i = 0; busy && i < PODS; i++)
        if (strstr(busy, pods[i].name)) {
            w->acts[i] = (struct act){.next = w->run.acts, .uid = (char *)pods[i].uid, .state = ACT_INJECTED, .kind = &kill_kind, .spec = &w->under};
            w->run.acts = &w->acts[i];
        }
}

static const char *refused(struct world *w, const char *pod) { return guard_refuses(&w->run, &w->spec, by_uid(NULL, pod), w->why, sizeof w->why); }

static void rules(void **state) {
    (void)state;
    static const struct { const char *guards; const struct fault_kind *kind; const char *pod, *busy, *rule, *why; } rows[] = {
        {"", &kill_kind, "web-0", NULL, NULL, NULL},
        {"", &kill_kind, "dns", NULL, "protectedNamespaces", "dns: namespace kube-system is protected"},
        {"", &slow_kind, "dns", NULL, "protectedNamespaces", NULL}, /* whatever is done */
        {"protectedNamespaces: []", &kill_kind, "dns", NULL, NULL, NULL},
        {"protectedNamespaces: [sh?p]", &kill_kind, "web-0", NULL, "protectedNamespaces", NULL},
        {"optIn: true", &slow_kind, "web-0", NULL, "optIn", "chaosd.io/include"},
        /* a majority of a StatefulSet by default, and of nothing else */
        {"", &kill_kind, "etcd-0", NULL, NULL, NULL},
        {"", &kill_kind, "etcd-0", "etcd-1", "quorum", "etcd-0: 1 ready pods would be left of shop/etcd, a majority is 2"},
        {"", &kill_kind, "etcd-0", "etcd-0", NULL, NULL}, /* what it is under already is not counted twice */
        {"", &kill_kind, "web-0", "web-1 web-2 web-3", NULL, NULL},
        {"quorum: none", &kill_kind, "etcd-0", "etcd-1", NULL, NULL},
        {"quorum: majority", &kill_kind, "web-0", "web-1", "quorum", NULL},
        {"quorum: majority", &slow_kind, "web-0", "web-1 web-2 web-3", NULL, NULL}, /* a slow pod serves on */
        {"minReady: 3", &kill_kind, "web-0", NULL, NULL, NULL},
        {"minReady: 3", &kill_kind, "web-0", "web-1", "minReady", "2 ready pods would be left of shop/web, minReady is 3"},
        {"maxConcurrent: 1", &kill_kind, "web-0", "alone", "maxConcurrent", "1 pods are under a fault already, maxConcurrent is 1"},
        {"maxConcurrent: 2", &kill_kind, "web-0", "alone", NULL, NULL},
        {"maxConcurrent: 1", &slow_kind, "web-0", "web-0", NULL, NULL},
        {"maxConcurrent: 2, quorum: none, protectedNamespaces: []", &drain_kind, "web-0", NULL, "maxConcurrent", "3 pods would be struck, 0 are"},
        /* a share of what is wanted */
        {"maxPercent: 25%", &kill_kind, "web-0", NULL, NULL, NULL},
        {"maxPercent: 24%", &kill_kind, "web-0", NULL, "maxPercent", "web-0: 1 of 4 wanted pods of shop/web would be under a fault, maxPercent is 24%"},
        {"maxPercent: 30%", &kill_kind, "web-0", "web-3", "maxPercent", "2 of 4"},
        {"maxPercent: 50%", &kill_kind, "web-0", "web-3", NULL, NULL},
        {"maxPercent: 50%", &slow_kind, "web-0", "web-1 web-2", "maxPercent", "3 of 4"}, /* across all faults */
        {"maxPercent: 30%", &kill_kind, "web-0", "etcd-0", NULL, NULL},               /* of its own workload */
        {"maxPercent: 1%", &kill_kind, "old", NULL, NULL, NULL},                      /* left over of a workload of none */
        /* by hand: nobody makes it anew */
        {"", &kill_kind, "alone", NULL, "unowned", "no controller made this pod"},
        {"unowned: allow", &kill_kind, "alone", NULL, NULL, NULL},
        {"", &slow_kind, "alone", NULL, NULL, NULL},
        /* whom a drain strikes too */
        {"", &drain_kind, "web-0", NULL, "protectedNamespaces", "dns: "},
        {"protectedNamespaces: []", &drain_kind, "web-0", NULL, NULL, NULL},
        {"protectedNamespaces: []", &drain_kind, "web-0", "etcd-1", "quorum", "etcd-0"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w;
        make_world(&w, rows[i].guards, rows[i].kind, rows[i].busy);
        const char *rule = refused(&w, rows[i].pod);
        if (!rule != !rows[i].rule || (rule && strcmp(rule, rows[i].rule)) || (rows[i].why && !strstr(w.why, rows[i].why)))
            fail_msg("{%s} %s of %s with %s: %s, \"%s\"", rows[i].guards, rows[i].kind->row.name, rows[i].pod, rows[i].busy ? rows[i].busy : "nothing",
                     rule ? rule : "allowed", w.why);
        scenario_free(w.s);
    }
}

static void labels_opt_out_and_in(void **state) {
    (void)state;
    static const struct { const char *labels; bool excluded, opt_in; const char *rule; } rows[] = {
        {"{\"chaosd.io/exclude\": \"true\"}", false, false, "exclude"},
        {"{\"chaosd.io/exclude\": \"false\"}", false, false, NULL},
        {"{}", true, false, "exclude"}, /* by its namespace */
        {"{\"chaosd.io/include\": \"true\"}", false, true, NULL},
        {"{\"chaosd.io/include\": \"yes\"}", false, true, "optIn"},
        {"{\"chaosd.io/include\": \"true\", \"chaosd.io/exclude\": \"true\"}", false, true, "exclude"}, /* out is out */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w;
        make_world(&w, rows[i].opt_in ? "optIn: true" : "", &kill_kind, NULL);
        cleanup_json json_t *labels = json_loads(rows[i].labels, 0, NULL);
        pods[0].labels = labels;
        pods[0].excluded = rows[i].excluded;
        const char *rule = refused(&w, "web-0");
        if (!rule != !rows[i].rule || (rule && strcmp(rule, rows[i].rule)))
            fail_msg("%s: %s, %s", rows[i].labels, rule ? rule : "allowed", w.why);
        pods[0].labels = NULL;
        pods[0].excluded = false;
        scenario_free(w.s);
    }
}

static void budgets_are_respected(void **state) {
    (void)state;
    static const struct { const char *guards; const struct fault_kind *kind; const char *pod, *busy; int64_t allowed; const char *why; } rows[] = {
        {"", &kill_kind, "web-0", NULL, 0, "web-0: the PodDisruptionBudget web-pdb forbids to disrupt it just now"},
        {"", &kill_kind, "web-0", NULL, 1, NULL},
        {"", &kill_kind, "etcd-0", NULL, 0, NULL},
        {"budgets: ignore", &kill_kind, "web-0", NULL, 0, NULL},
        {"", &evict_kind, "web-0", NULL, 0, NULL}, /* the API server says it itself, and that is the act's outcome */
        {"", &slow_kind, "web-0", NULL, 0, NULL},
        {"", &restart_kind, "web-0", NULL, 0, "web-0: the PodDisruptionBudget web-pdb forbids"},
        /* what was taken a moment ago is not in its status yet */
        {"", &kill_kind, "web-0", "web-1", 1, "2 pods of shop/web would be disrupted, the PodDisruptionBudget web-pdb allows 1 just now"},
        {"", &kill_kind, "web-0", "web-1", 2, NULL},
        {"", &kill_kind, "web-0", "etcd-1", 1, NULL},
        {"", &kill_kind, "web-0", "web-0", 1, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w;
        make_world(&w, rows[i].guards, rows[i].kind, rows[i].busy);
        w.run.budget = of_web;
        allowed = rows[i].allowed;
        for (size_t k = 0; k < PODS; k++)
            w.acts[k].injected_ns = loop_now();
        const char *rule = refused(&w, rows[i].pod);
        if (rows[i].why ? !rule || strcmp(rule, "budgets") || !strstr(w.why, rows[i].why) : rule != NULL)
            fail_msg("row %zu: %s, %s", i, rule ? rule : "allowed", w.why);
        /* Long after, and seen to be gone, it is in the status. */
        if (rows[i].busy && rows[i].why) {
            pods[1].ready = false;
            w.acts[1].injected_ns = loop_now() - 10 * NS_PER_S;
            assert_null(refused(&w, rows[i].pod));
            pods[1].ready = true;
        }
        scenario_free(w.s);
    }
}

/* An act that was done to a pod and, by its kind, to others with it. */
static void hold(struct world *w, const struct fault_kind *kind, const char *victim) {
    w->more = (struct fault_spec){.name = "hit", .kind = {.kind = &kind->row}};
    w->held = (struct act){.next = w->run.acts, .run = &w->run, .uid = (char *)victim, .target = (char *)victim, .state = ACT_INJECTED, .kind = kind,
                           .spec = &w->more, .journal_id = -1, .injected_ns = 1};
    assert_int_equal(act_note(&w->held, by_uid(NULL, victim)), 0);
    w->run.acts = &w->held;
}

static void who_is_struck_with_a_victim_counts(void **state) {
    (void)state;
    static const struct { const char *guards, *gone; enum act_state state; const char *rule, *why; bool observed; } rows[] = {
        {"", "", ACT_INJECTED, "quorum", "1 ready pods would be left of shop/etcd", false}, /* etcd-0 goes with the drained web-0 */
        {"", "", ACT_CONFIRMING, "quorum", NULL, false},
        {"", "web-0", ACT_INJECTED, "quorum", NULL, false}, /* the one that was drawn is gone already */
        {"", "web-0", ACT_REVERTING, "quorum", NULL, false},
        {"", "", ACT_OVER, NULL, NULL, false},
        {"", "", ACT_INJECTED, NULL, NULL, true}, /* it was seen to be over, and etcd-0 stayed */
        {"quorum: none, maxConcurrent: 3", "", ACT_INJECTED, "maxConcurrent", "3 pods are under a fault already", false},
        {"quorum: none, maxConcurrent: 3", "web-0", ACT_INJECTED, NULL, NULL, false}, /* no longer under it: 2 are left */
        {"quorum: none, maxConcurrent: 4", "", ACT_INJECTED, NULL, NULL, false},
        {"quorum: none, maxPercent: 60%", "", ACT_INJECTED, "maxPercent", "2 of 3 wanted pods of shop/etcd", false},
        {"quorum: none, maxPercent: 67%", "", ACT_INJECTED, NULL, NULL, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w;
        make_world(&w, rows[i].guards, &kill_kind, NULL);
        hold(&w, &held_drain_kind, "web-0");
        w.held.state = rows[i].state;
        w.held.observed = rows[i].observed;
        gone = rows[i].gone;
        const char *rule = refused(&w, "etcd-1");
        gone = "";
        if (!rule != !rows[i].rule || (rule && strcmp(rule, rows[i].rule)) || (rows[i].why && !strstr(w.why, rows[i].why)))
            fail_msg("row %zu: %s, \"%s\"", i, rule ? rule : "allowed", w.why);
        assert_true(rows[i].state == ACT_OVER || rows[i].observed || acts_busy(&w.run, "etcd-0", ACTS_TAKING));
        act_forget(&w.held);
        assert_false(acts_busy(&w.run, "etcd-0", ACTS_ANY));
        scenario_free(w.s);
    }
}

/* By two acts of which only the older is going on, it is struck all the same. */
static void the_older_of_two_acts_counts(void **state) {
    (void)state;
    struct world w;
    make_world(&w, "maxConcurrent: 1", &kill_kind, "etcd-0");
    struct act over = w.acts[4];
    over.next = w.run.acts;
    over.state = ACT_OVER;
    w.run.acts = &over;
    assert_string_equal(refused(&w, "web-0"), "maxConcurrent");
    scenario_free(w.s);
}

/* Of a StatefulSet of five that we hold at three, three are a majority still. */
static void a_scale_makes_no_smaller_quorum(void **state) {
    (void)state;
    static const struct { const char *guards; int64_t before; enum act_state state; const char *rule, *why; int64_t journal; } rows[] = {
        {"", 5, ACT_INJECTED, "quorum", "2 ready pods would be left of shop/etcd, a majority is 3 of the 5 before a fault scaled it", 1},
        {"", 5, ACT_REVERTING, "quorum", NULL, 1},
        {"", 5, ACT_OVER, "quorum", NULL, 1}, /* it could not be undone */
        {"", 5, ACT_OVER, NULL, NULL, -1},
        {"", 3, ACT_INJECTED, NULL, NULL, 1},
        {"quorum: none, maxPercent: 50%", 5, ACT_INJECTED, "maxPercent", "3 of 5 wanted pods", 1}, /* two are gone, one would go */
        {"quorum: none, maxPercent: 60%", 5, ACT_INJECTED, NULL, NULL, 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w;
        make_world(&w, rows[i].guards, &kill_kind, NULL);
        for (size_t k = 0; k < PODS; k++)
            pods[k].replicas = !strcmp(pods[k].workload, "shop/etcd") ? rows[i].before : pods[k].replicas;
        hold(&w, &scale_kind, "etcd-0");
        for (size_t k = 0; k < PODS; k++)
            pods[k].replicas = !strcmp(pods[k].workload, "shop/etcd") ? 3 : pods[k].replicas;
        w.held.state = rows[i].state;
        w.held.journal_id = rows[i].journal;
        w.held.observed = true; /* others than it thought went: these three stand */
        const char *rule = refused(&w, "etcd-0");
        if (!rule != !rows[i].rule || (rule && strcmp(rule, rows[i].rule)) || (rows[i].why && !strstr(w.why, rows[i].why)))
            fail_msg("row %zu: %s, \"%s\"", i, rule ? rule : "allowed", w.why);
        act_forget(&w.held);
        scenario_free(w.s);
    }
}

static void what_is_not_seen_is_not_judged(void **state) {
    (void)state;
    static const struct { const char *guards; const struct fault_kind *kind; const char *unseen, *rule, *why; } rows[] = {
        {"", &kill_kind, "pods", "blind", "web-0: what is known of pods is not up to date: the watch of pods broke off"},
        {"quorum: none, budgets: ignore", &evict_kind, "pods", "blind", NULL},
        {"", &slow_kind, "pods", NULL, NULL},
        {"", &cordon_kind, "pods", NULL, NULL},
        {"", &kill_kind, "budgets", "budgets",
         "web-0: its budgets are not known: grant list and watch of poddisruptionbudgets, or say guards.budgets: ignore (the watch of budgets broke off)"},
        {"", &restart_kind, "budgets", "budgets", NULL},
        {"budgets: ignore", &kill_kind, "budgets", NULL, NULL},
        {"", &evict_kind, "budgets", NULL, NULL}, /* the API server knows them */
        {"", &slow_kind, "budgets", NULL, NULL},
        {"", &kill_kind, "namespaces", NULL, NULL},
        {"", &kill_kind, "", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w;
        make_world(&w, rows[i].guards, rows[i].kind, NULL);
        w.run.budget = of_web;
        allowed = 4;
        unseen = rows[i].unseen;
        const char *rule = refused(&w, "web-0");
        unseen = "";
        if (!rule != !rows[i].rule || (rule && strcmp(rule, rows[i].rule)) || (rows[i].why && !strstr(w.why, rows[i].why)))
            fail_msg("row %zu: %s, \"%s\"", i, rule ? rule : "allowed", w.why);
        scenario_free(w.s);
    }
}

static void never_itself(void **state) {
    (void)state;
    static const struct { const char *guards; const struct fault_kind *kind; const char *pod, *self, *namespace, *node, *why; } rows[] = {
        {"", &kill_kind, "web-1", "web-1", "shop", "n9", "chaosd itself runs in this pod"},
        {"", &kill_kind, "web-1", "web-1", "else", "n9", NULL},
        {"", &kill_kind, "web-1", "web-2", "shop", "n1", NULL}, /* another on the same node */
        {"self: allow", &kill_kind, "web-1", "web-1", "shop", "n1", NULL},
        {"", &cordon_kind, "web-1", "", "", "n1", "n1: chaosd itself runs on this node"},
        {"", &cordon_kind, "web-1", "", "", "n2", NULL},
        {"self: allow", &cordon_kind, "web-1", "", "", "n1", NULL},
        {"", &restart_kind, "web-1", "web-2", "shop", "n9", "Deployment web: chaosd itself is one of its pods"},
        {"", &restart_kind, "etcd-1", "web-2", "shop", "n9", NULL},
        {"protectedNamespaces: []", &drain_kind, "web-1", "etcd-0", "shop", "", "etcd-0: chaosd itself runs in this pod"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w;
        make_world(&w, rows[i].guards, rows[i].kind, NULL);
        snprintf(w.run.self.pod, sizeof w.run.self.pod, "%s", rows[i].self);
        snprintf(w.run.self.namespace, sizeof w.run.self.namespace, "%s", rows[i].namespace);
        snprintf(w.run.self.node, sizeof w.run.self.node, "%s", rows[i].node);
        const char *rule = refused(&w, rows[i].pod);
        if (rows[i].why ? !rule || strcmp(rule, "self") || !strstr(w.why, rows[i].why) : rule != NULL)
            fail_msg("row %zu: %s, %s", i, rule ? rule : "allowed", w.why);
        scenario_free(w.s);
    }
}

/* --- who it is --- */

static const char *const *environment;
static const char *get(const char *name) {
    for (const char *const *e = environment; *e; e += 2)
        if (!strcmp(e[0], name))
            return e[1];
    return NULL;
}

static void knows_itself(void **state) {
    (void)state;
    char dir[] = "/tmp/chaosd-test-self-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    static const struct { const char *namespace, *env[9], *pod, *in, *node; } rows[] = {
        {NULL, {"HOSTNAME", "laptop"}, "", "", ""}, /* no pod at all */
        {NULL, {"POD_NAME", "c-1", "POD_NAMESPACE", "ops", "NODE_NAME", "n1"}, "c-1", "ops", "n1"},
        {"ops\n", {"HOSTNAME", "c-2"}, "c-2", "ops", ""},
        {"ops", {"HOSTNAME", "c-2", "POD_NAME", "c-3", "NODE_NAME", "n2"}, "c-3", "ops", "n2"},
        {"ops", {"POD_NAME", "", "HOSTNAME", "c-4"}, "c-4", "ops", ""},
        {"", {"HOSTNAME", "c-5"}, "", "", ""},
        {"ops", {NULL}, "", "ops", ""},
    };
    snprintf(path, sizeof path, "%s/namespace", dir);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct kubernetes_self self;
        unlink(path);
        FILE *f = rows[i].namespace ? fopen(path, "w") : NULL;
        if (f) {
            fputs(rows[i].namespace, f);
            fclose(f);
        }
        environment = rows[i].env;
        kubernetes_self_read(get, dir, &self);
        assert_string_equal(self.pod, rows[i].pod);
        assert_string_equal(self.namespace, rows[i].in);
        assert_string_equal(self.node, rows[i].node);
    }
    unlink(path);
    rmdir(dir);
    const struct kubernetes_self nobody = {{""}, {""}, {""}}, half = {"web-0", "", ""}, me = {"web-0", "shop", ""};
    assert_false(kubernetes_self_is(&nobody, &pods[0]));
    assert_false(kubernetes_self_is(&half, &pods[0])); /* without a namespace it could be another's */
    assert_true(kubernetes_self_is(&me, &pods[0]));
}

static void contexts(void **state) {
    (void)state;
    static const struct { const char *guards, *context, *says; } rows[] = {
        {"", "prod-1", NULL},
        {"", NULL, NULL},
        {"contexts: [staging-*, dev]", "staging-eu", NULL},
        {"contexts: [staging-*, dev]", "dev", NULL},
        {"contexts: [staging-*, dev]", "prod-1", "t.yaml:4:20: the cluster's context is \"prod-1\", and guards.contexts allows staging-*, dev only: nothing was done"},
        {"contexts: [staging-*]", "my-staging-1", "allows staging-* only"},
        {"contexts: [staging-*]", NULL, "\"in-cluster\""},
        {"contexts: [staging-*]", "", "\"in-cluster\""},
        {"contexts: [in-cluster]", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world w;
        struct error err = {""};
        make_world(&w, rows[i].guards, &kill_kind, NULL);
        int rc = guards_check_context(w.s->guards, w.s->doc, rows[i].context, &err);
        if (rows[i].says ? rc >= 0 || !strstr(err.text, rows[i].says) : rc < 0)
            fail_msg("{%s} %s: %d %s", rows[i].guards, rows[i].context ? rows[i].context : "none", rc, err.text);
        scenario_free(w.s);
    }
}

/* --- acts, on whom the guards leave --- */

struct heard { char text[1024]; };

static void hear(const json_t *e, void *arg) {
    struct heard *h = arg;
    const json_t *d = json_object_get(e, "data");
    if (strcmp(json_str_or(e, "op", ""), "fault/act"))
        return;
    bool skip = !strcmp(json_str_or(e, "kind", ""), "skip");
    size_t len = strlen(h->text);
    if (skip)
        snprintf(h->text + len, sizeof h->text - len, "[skip %s: %s]", json_str_or(d, "guard", "-"), json_str_or(d, "why", ""));
    else if (!strcmp(json_str_or(e, "phase", ""), "ok"))
        snprintf(h->text + len, sizeof h->text - len, "[%s]", json_str_or(e, "target", ""));
}

static const struct pod_target *the_target;
static const struct pod_target *target_of(const void *params) {
    (void)params;
    return the_target;
}

static int done(struct fault_act *a, const struct pod *victim, struct error *err) {
    (void)a, (void)victim, (void)err;
    return 0;
}

static void no_words(const void *params, char *out, size_t size) {
    (void)params;
    snprintf(out, size, "so");
}

static const struct fault_kind touch_kind = {.row = {"touch", NULL, ""}, .target = target_of, .inject = done, .describe = no_words, .proof = CL_EVENT_COUNT},
                               by_workload_kind = {.row = {"by-workload", NULL, ""}, .target = target_of, .inject = done, .describe = no_words,
                                                   .proof = CL_EVENT_COUNT, .once = true, .place = workload_of};

/* A drill of one fault: carries its act out as often as asked, and closes with what was heard. */
static void carry_out(struct world *w, const struct fault_kind *kind, const char *guards, const struct selector *who, int times, struct heard *h) {
    char dir[] = "/tmp/chaosd-test-guards-XXXXXX", path[96];
    struct error err = {""};
    const struct pod_target target = {.selector = (struct selector *)who, .mode = MODE_ALL};
    struct plan_act planned[2] = {{.occurrence = 1}, {.occurrence = 2}};
    const struct plan plan = {.acts = planned, .count = 2};
    const struct run_options o = {.plan = &plan};
    cleanup_json json_t *header = json_object();
    assert_non_null(mkdtemp(dir));
    make_world(w, guards, kind, NULL);
    *h = (struct heard){""};
    the_target = &target;
    w->spec.name = "hit";
    w->s->faults = (struct list){&w->spec, 1};
    w->run.o = &o;
    assert_int_equal(recorder_open(&w->run.rec, dir, header, &clock_monotonic, &err), 0);
    recorder_listen(w->run.rec, hear, h);
    for (int i = 0; i < times; i++)
        acts_carry_out(&w->run, &planned[i], 0, SIZE_MAX);
    acts_free(&w->run);
    recorder_close(w->run.rec, &err);
    static const char *const files[] = {"history.jsonl", "samples.bin"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
    w->s->faults.count = 0;
    scenario_free(w->s);
}

static void barred_pods_are_no_candidates(void **state) {
    (void)state;
    static const char *const system[] = {"kube-system"}, *const dns_and_web[] = {"dns", "web-0"}, *const nobody[] = {"nobody"}, *const web[] = {"web-1"};
    static const struct { struct selector who; const char *guards, *heard; } rows[] = {
        {{.namespaces = {system, 1}}, "", "[skip protectedNamespaces: no candidate: dns: namespace kube-system is protected (guards.protectedNamespaces)]"},
        {{.pods = {dns_and_web, 2}}, "", "[web-0]"}, /* and no word of the other */
        {{.pods = {dns_and_web, 2}}, "optIn: true",
         "[skip protectedNamespaces: no candidate: a guard is before each of the selector's 2 pods; dns: namespace kube-system is protected (guards.protectedNamespaces)]"},
        {{.pods = {web, 1}}, "optIn: true", "[skip optIn: no candidate: web-1: it has not opted in with the label chaosd.io/include: \"true\" (guards.optIn)]"},
        {{.pods = {nobody, 1}}, "", "[skip -: no candidate: no running pod matches the selector]"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        static struct world w;
        struct heard h;
        carry_out(&w, &touch_kind, rows[i].guards, &rows[i].who, 1, &h);
        if (strcmp(h.text, rows[i].heard))
            fail_msg("row %zu: %s", i, h.text);
    }
}

/* Four pods of one Deployment are one place; it is not struck again while it is under the act, by whichever of its pods. */
static void a_place_is_struck_once(void **state) {
    (void)state;
    static struct world w;
    struct heard h;
    static const char *const names[] = {"web-0", "web-1", "web-2", "web-3", "etcd-0"};
    const struct selector who = {.pods = {names, 5}};
    carry_out(&w, &by_workload_kind, "quorum: none", &who, 1, &h);
    assert_string_equal(h.text, "[Deployment etcd][Deployment web]");
    carry_out(&w, &by_workload_kind, "quorum: none", &who, 2, &h);
    assert_string_equal(h.text, "[Deployment etcd][Deployment web][skip -: no candidate: 5 of the selector's pods are under a fault already, no other is fit]");
    carry_out(&w, &touch_kind, "", &who, 1, &h);
    assert_string_equal(h.text, "[etcd-0][web-0][web-1][web-2][web-3]");
}

struct waits { char text[512]; };

static void hear_waits(const json_t *e, void *arg) {
    struct waits *w = arg;
    const json_t *d = json_object_get(e, "data");
    size_t len = strlen(w->text);
    if (!strcmp(json_str_or(e, "op", ""), "run/steady"))
        snprintf(w->text + len, sizeof w->text - len, "[%s%s%s%s]", json_str_or(e, "phase", ""), json_is_true(json_object_get(d, "held")) ? " held" : "",
                 json_object_get(d, "why") ? ": " : "", json_str_or(d, "why", ""));
}

/* Every pod was ready when it was last seen: asked twice, and then seen again. */
static void what_is_not_seen_is_not_steady(void **state) {
    (void)state;
    static struct world w;
    struct error err = {""};
    struct waits h = {""};
    char dir[] = "/tmp/chaosd-test-steady-XXXXXX", path[96];
    struct plan_act planned[1] = {{.occurrence = 1}};
    const struct plan plan = {.acts = planned, .count = 1};
    const struct run_options o = {.plan = &plan};
    cleanup_json json_t *header = json_object();
    assert_non_null(mkdtemp(dir));
    make_world(&w, "steady: {timeout: 10s}", &kill_kind, NULL);
    w.spec.name = "hit";
    w.s->faults = (struct list){&w.spec, 1};
    w.run.o = &o;
    assert_int_equal(loop_new(&w.run.loop, &err), 0);
    assert_int_equal(recorder_open(&w.run.rec, dir, header, &clock_monotonic, &err), 0);
    recorder_listen(w.run.rec, hear_waits, &h);
    assert_int_equal(steady_start(&w.run, &err), 0);
    unseen = "pods";
    assert_false(steady_before(&w.run, &planned[0]));
    assert_false(steady_before(&w.run, &planned[0]));
    unseen = "";
    assert_true(steady_before(&w.run, &planned[0]));
    assert_string_equal(h.text, "[invoke: the watch of pods broke off][ok]");
    /* With an act that is held nothing is waited for; the guards see to the rest. */
    hold(&w, &held_drain_kind, "web-0");
    unseen = "pods";
    assert_true(steady_before(&w.run, &planned[0]));
    assert_string_equal(refused(&w, "web-1"), "blind");
    w.held.state = ACT_REVERTING;
    assert_false(steady_before(&w.run, &planned[0]));
    unseen = "";
    assert_string_equal(h.text, "[invoke: the watch of pods broke off][ok][ok held][invoke: hit on web-0 is not over]");
    act_forget(&w.held);
    timer_free(w.run.steady.timer);
    recorder_close(w.run.rec, &err);
    loop_free(w.run.loop);
    static const char *const files[] = {"history.jsonl", "samples.bin"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
    w.s->faults.count = 0;
    scenario_free(w.s);
}

/* The words that selectors take are those that pods show. */
static void phases_have_one_name(void **state) {
    (void)state;
    for (int i = 0; i <= POD_PHASE_COUNT; i++)
        if (pod_phase_names[i])
            assert_string_equal(pod_phase_names[i], select_phase_names[i]);
        else
            assert_null(select_phase_names[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),        cmocka_unit_test(labels_opt_out_and_in), cmocka_unit_test(budgets_are_respected), cmocka_unit_test(never_itself),
        cmocka_unit_test(knows_itself), cmocka_unit_test(contexts),              cmocka_unit_test(phases_have_one_name),
        cmocka_unit_test(barred_pods_are_no_candidates), cmocka_unit_test(a_place_is_struck_once),
        cmocka_unit_test(who_is_struck_with_a_victim_counts), cmocka_unit_test(the_older_of_two_acts_counts),
        cmocka_unit_test(a_scale_makes_no_smaller_quorum), cmocka_unit_test(what_is_not_seen_is_not_judged),
        cmocka_unit_test(what_is_not_seen_is_not_steady),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
