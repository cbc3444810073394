/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kubernetes_access.h"
#include "cluster/kubernetes_priv.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#define FIRST_LIMIT_NS (45 * NS_PER_S) /* a program that fetches credentials may take 30 s */
#define LIMIT_NS (60 * NS_PER_S)

enum answer { ANSWER_PENDING, ANSWER_YES, ANSWER_NO, ANSWER_UNKNOWN };

struct ask { /* one right */
    struct ask *next;
    struct access *of;
    struct kube_where where; /* namespace NULL: all, or none */
    const char *who;         /* NULL: to follow the cluster */
    bool optional, told;
    enum answer answer;
    const char *why; /* of UNKNOWN */
};

struct access {
    struct kubernetes_session *session;
    const struct scenario *scenario;
    const struct kubernetes_config *config;
    struct arena *arena;
    struct kube_api api;
    struct ask *asks, **last;
    const char **namespaces; /* followed; NULL: all of them */
    size_t namespace_count, missing, pending;
    bool done; /* with what is under way */
    int rc;    /* of it */
    struct error why;
    struct buf *out;
};

static bool same(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : "") == 0; }
static bool same_object(const struct kube_where *a, const struct kube_where *b) {
    return same(a->group, b->group) && same(a->resource, b->resource) && same(a->subresource, b->subresource) && same(a->namespace, b->namespace) &&
           same(a->name, b->name);
}
static bool of_cluster(const struct kube_where *w) {
    const struct kube_kind *k = kube_kind_find(w->resource);
    return k && !k->namespaced;
}

/* --- what to ask --- */

/* A right that several need is asked for once; who needs it more stands for it. */
static int want(struct access *a, const struct kube_where *w, const char *who, bool optional) {
    for (struct ask *k = a->asks; k; k = k->next) {
        if (!same_object(&k->where, w) || strcmp(k->where.verb, w->verb) != 0)
            continue;
        if (k->optional && !optional) {
            k->optional = false;
            k->who = who;
        }
        return 0;
    }
    struct ask *k = arena_alloc(a->arena, sizeof *k);
    if (!k)
        return -ENOMEM;
    *k = (struct ask){.of = a, .where = *w, .who = who, .optional = optional};
    *a->last = k;
    a->last = &k->next;
    return 0;
}

static int want_follower(struct access *a, const struct follower *f, const char *namespace, const char *name) {
    static const char *const verbs[] = {"list", "watch"};
    const struct kube_kind *kind = &kube_kinds[f->kind];
    int rc = 0;
    for (size_t v = 0; v < ARRAY_SIZE(verbs) && rc == 0; v++) {
        const struct kube_where w = {.verb = verbs[v], .group = kind->group, .resource = kind->resource, .namespace = namespace, .name = name};
        rc = want(a, &w, NULL, !f->needed);
    }
    return rc;
}

static int want_leases(struct access *a) {
    static const struct follower lease = {.kind = KUBE_LEASES};
    int rc = 0;
    for (size_t i = 0; i < a->config->leases.count && rc == 0; i++) {
        const char *both = a->config->leases.items[i], *slash = strchr(both, '/');
        const char *namespace = arena_strndup(a->arena, both, (size_t)(slash - both));
        rc = namespace ? want_follower(a, &lease, namespace, slash + 1) : -ENOMEM;
    }
    return rc;
}

static bool not_served(struct access *a, const struct follower *f) {
    if (a->api.versions[f->kind])
        return false;
    buf_printf(a->out, "%s  %s serves no %s in a version that is understood%s\n", f->needed ? "no" : "!!", a->api.version, kube_kinds[f->kind].resource,
               f->needed ? "" : "; the run goes without them");
    a->missing += f->needed;
    return true;
}

static int want_following(struct access *a) {
    int rc = 0;
    for (const struct follower *f = kubernetes_followers; f->told && rc == 0; f++)
        for (size_t i = 0; i < (f->everywhere ? 1 : a->namespace_count) && rc == 0; i++)
            if (i > 0 || !not_served(a, f))
                rc = want_follower(a, f, f->everywhere ? NULL : a->namespaces[i], NULL);
            else
                break;
    return rc < 0 ? rc : want_leases(a);
}

static bool followed(const struct access *a, const char *namespace) {
    for (size_t i = 0; i < a->namespace_count; i++)
        if (strcmp(a->namespaces[i], namespace) == 0)
            return true;
    return false;
}

/* In the namespaces that the need's selector names, as far as they are followed. */
static int want_rule(struct access *a, const struct cluster_need *n, const struct kube_where *rule) {
    struct kube_where w = *rule;
    const bool named = n->namespaces && n->namespaces->count, all = !a->namespaces[0];
    const char *const *list = named ? n->namespaces->items : a->namespaces;
    const size_t count = named ? n->namespaces->count : a->namespace_count;
    int rc = 0;
    if (strcmp(rule->resource, kube_kinds[KUBE_NODEFAULTS].resource) == 0)
        w.namespace = a->config->agent_namespace;
    if (of_cluster(rule) || w.namespace)
        return want(a, &w, n->who, false);
    for (size_t i = 0; i < count && rc == 0; i++) {
        w.namespace = list[i];
        rc = all || followed(a, w.namespace) ? want(a, &w, n->who, false) : 0;
    }
    return rc;
}

static int want_all(struct access *a, const struct cluster_need *needs, size_t count, struct error *err) {
    int rc = want_following(a);
    for (size_t i = 0; i < count && rc == 0; i++)
        for (const struct kube_where *r = needs[i].rules; r && r->verb && rc == 0; r++)
            rc = want_rule(a, &needs[i], r);
    return rc < 0 ? error_set(err, rc, "out of memory") : 0;
}

/* --- asking --- */

static void on_version(const struct kube_answer *answer, void *arg) {
    struct access *a = arg;
    a->done = true;
    if (answer->trouble != KUBE_OK)
        a->rc = error_set(&a->why, -EHOSTUNREACH, "%s: %s", kube_config_of(kubernetes_session_client(a->session))->origin, answer->why);
}

static void on_discovered(const struct kube_api *api, enum kube_trouble trouble, const char *why, void *arg) {
    struct access *a = arg;
    (void)trouble;
    a->done = true;
    if (api)
        a->api = *api;
    else
        a->rc = error_set(&a->why, -EHOSTUNREACH, "%s: %s", kube_config_of(kubernetes_session_client(a->session))->origin, why);
}

static int waited(struct access *a, int64_t limit_ns, struct error *err) {
    int rc = kubernetes_session_wait(a->session, &a->done, limit_ns, err);
    return rc < 0 || a->rc == 0 ? rc : error_set(err, a->rc, "%s", a->why.text);
}

/* One try that fails at once, where discovery would go on trying: who asks stands before a terminal. */
static int reach(struct access *a, struct error *err) {
    struct kube *k = kubernetes_session_client(a->session);
    const struct kube_request r = {.verb = "get", .path = "/version", .single = true, .limit_ns = FIRST_LIMIT_NS, .done = on_version, .arg = a};
    struct kube_call *call = NULL;
    struct kube_discovery *d = NULL;
    int rc = kube_start(k, &r, &call, err);
    if (rc < 0 || (rc = waited(a, FIRST_LIMIT_NS, err)) < 0)
        return rc;
    a->done = false;
    rc = kube_discover(k, on_discovered, a, &d, err);
    if (rc == 0 && (rc = waited(a, LIMIT_NS, err)) < 0 && !a->done)
        kube_discovery_cancel(d);
    return rc;
}

static void answered(struct access *a) { a->done = --a->pending == 0; }

static void on_review(const struct kube_answer *answer, void *arg) {
    struct ask *k = arg;
    k->answer = answer->trouble != KUBE_OK ? ANSWER_UNKNOWN : kube_allowed(answer) ? ANSWER_YES : ANSWER_NO;
    k->why = answer->trouble != KUBE_OK ? arena_strdup(k->of->arena, answer->why) : NULL;
    answered(k->of);
}

struct there { struct access *of; const char *namespace; };

static void on_namespace(const struct kube_answer *answer, void *arg) {
    struct there *t = arg;
    if (answer->trouble == KUBE_NOT_FOUND) { /* who may not look is not told */
        buf_printf(t->of->out, "no  namespace %s: it is not there\n", t->namespace);
        t->of->missing++;
    }
    answered(t->of);
}

static int look_for_namespaces(struct access *a, struct error *err) {
    int rc = 0;
    for (size_t i = 0; i < a->namespace_count && a->namespaces[i] && rc == 0; i++) {
        struct there *t = arena_alloc(a->arena, sizeof *t);
        const struct kube_request r = {.verb = "get", .kind = &kube_kinds[KUBE_NAMESPACES], .name = a->namespaces[i], .repeat = true,
                                       .done = on_namespace, .arg = t};
        if (!t)
            return error_set(err, -ENOMEM, "out of memory");
        *t = (struct there){a, a->namespaces[i]};
        rc = kube_start(kubernetes_session_client(a->session), &r, NULL, err);
        a->pending += rc == 0;
    }
    return rc;
}

static int ask_all(struct access *a, struct error *err) {
    a->done = false;
    a->rc = 0;
    int rc = look_for_namespaces(a, err);
    for (struct ask *k = a->asks; k && rc == 0; k = k->next) {
        rc = kube_review(kubernetes_session_client(a->session), &k->where, on_review, k, NULL, err);
        a->pending += rc == 0;
    }
    return rc < 0 || !a->pending ? rc : waited(a, LIMIT_NS, err);
}

/* --- telling --- */

static bool together(const struct ask *a, const struct ask *b) {
    return same_object(&a->where, &b->where) && a->answer == b->answer && a->optional == b->optional && same(a->who, b->who);
}

/* The verbs of all that are told together with it. */
static void verbs(struct ask *first, const char *between, char *out, size_t size) {
    size_t n = 0;
    for (struct ask *k = first; k && n < size; k = k->next)
        if (together(k, first)) {
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? between : "", k->where.verb);
            k->told = true;
        }
}

static void place(const struct kube_where *w, char *out, size_t size) {
    const bool cluster = of_cluster(w);
    snprintf(out, size, "%s%s%s%s%s%s%s", w->resource, w->subresource ? "/" : "", w->subresource ? w->subresource : "", w->name ? " " : "",
             w->name ? w->name : "", cluster ? "" : w->namespace ? " in " : " in all namespaces", !cluster && w->namespace ? w->namespace : "");
}

static void tell_one(struct access *a, struct ask *k) {
    char which[160], quoted[160], where[600], rule[700];
    struct kube_where w = k->where;
    verbs(k, ", ", which, sizeof which);
    verbs(k, "\", \"", quoted, sizeof quoted); /* between the rule's own quotes */
    place(&k->where, where, sizeof where);
    w.verb = quoted;
    kube_where_rule(&w, rule, sizeof rule);
    a->missing += k->answer == ANSWER_NO && !k->optional;
    if (k->answer == ANSWER_YES)
        buf_printf(a->out, "ok  %s%smay %s %s\n", k->who ? k->who : "", k->who ? ": " : "", which, where);
    else if (k->answer == ANSWER_NO)
        buf_printf(a->out, "%s  %s%smay not %s %s%s: add %s\n", k->optional ? "!!" : "no", k->who ? k->who : "", k->who ? ": " : "", which, where,
                   k->optional ? ", the run goes without" : "", rule);
    else
        buf_printf(a->out, "!!  %s: the server does not say whether one may %s them: %s\n", where, which, k->why ? k->why : "no reason");
}

/* What the cluster is followed by and may be: one line a namespace, or several kinds would fill the screen. */
static bool whole(struct access *a, const struct ask *k) {
    bool all = !k->who && !k->where.name;
    for (const struct ask *i = a->asks; i && all; i = i->next)
        all = i->who || !same_object(&i->where, &k->where) || i->answer == ANSWER_YES;
    return all;
}

static bool beside(const struct ask *a, const struct ask *b) {
    return same(a->where.namespace, b->where.namespace) && of_cluster(&a->where) == of_cluster(&b->where);
}

static void tell_followed(struct access *a, const struct ask *first) {
    const char *last = NULL, *namespace = first->where.namespace;
    buf_str(a->out, "ok  may list and watch ");
    for (struct ask *k = a->asks; k; k = k->next) {
        if (!beside(k, first) || !whole(a, k))
            continue;
        k->told = true;
        if (!same(last, k->where.resource))
            buf_printf(a->out, "%s%s", last ? ", " : "", k->where.resource);
        last = k->where.resource;
    }
    buf_printf(a->out, "%s%s\n", of_cluster(&first->where) ? "" : namespace ? " in " : " in all namespaces", namespace ? namespace : "");
}

/* A namespace's, or the cluster's: what is asked of all namespaces, or of what is in none. */
static bool falls_under(const struct ask *k, const char *namespace) { return same(k->where.namespace, namespace); }

static void rules(struct access *a, const char *namespace) {
    for (struct ask *k = a->asks; k; k = k->next)
        k->told = false;
    for (struct ask *k = a->asks; k; k = k->next) {
        char quoted[160], rule[700];
        size_t n = 0;
        struct kube_where w = k->where;
        if (k->told || !falls_under(k, namespace))
            continue;
        for (struct ask *i = k; i && n < sizeof quoted; i = i->next)
            if (same_object(&i->where, &k->where)) {
                n += (size_t)snprintf(quoted + n, sizeof quoted - n, "%s%s", n ? "\", \"" : "", i->where.verb);
                i->told = true;
            }
        w.verb = quoted;
        kube_where_rule(&w, rule, sizeof rule);
        buf_printf(a->out, "  - %s\n", rule);
    }
}

/* Everything that is needed there, not only what is missing: it may be applied again and again, and takes nothing away. */
static void role(struct access *a, const char *namespace) {
    char name[128];
    snprintf(name, sizeof name, "chaosd-%s", a->scenario->name);
    const char *kind = namespace ? "Role" : "ClusterRole", *in = namespace ? ", namespace: " : "", *ns = namespace ? namespace : "";
    buf_printf(a->out, "---\n# Then: kubectl create %s %s%s%s --%s=%s --serviceaccount=NAMESPACE:NAME (or --user=NAME)\n"
               "apiVersion: rbac.authorization.k8s.io/v1\nkind: %s\nmetadata: {name: %s%s%s}\nrules:\n", namespace ? "rolebinding" : "clusterrolebinding",
               name, namespace ? " --namespace=" : "", ns, namespace ? "role" : "clusterrole", name, kind, name, in, ns);
    rules(a, namespace);
}

static void roles(struct access *a) {
    for (const struct ask *k = a->asks; k; k = k->next) {
        bool first = k->answer == ANSWER_NO;
        for (const struct ask *i = a->asks; i != k && first; i = i->next)
            first = !(i->answer == ANSWER_NO && falls_under(i, k->where.namespace));
        if (first)
            role(a, k->where.namespace);
    }
}

static void tell(struct access *a) {
    for (struct ask *k = a->asks; k; k = k->next) {
        if (!k->told && whole(a, k))
            tell_followed(a, k);
        else if (!k->told)
            tell_one(a, k);
    }
}

static void tell_agents(struct access *a, const struct cluster_need *needs, size_t count) {
    const struct kubernetes_agents_spec s = {.session = a->session, .scenario = a->scenario, .api = &a->api, .namespace = a->config->agent_namespace,
                                             .needs = needs, .need_count = count, .out = a->out};
    size_t missing;
    struct error why;
    if (kubernetes_agents_review(&s, &missing, &why) < 0)
        buf_printf(a->out, "!!  whether there is an agent on each node cannot be seen: %s\n", why.text);
    a->missing += missing;
}

static void greet(struct access *a) {
    const struct kube_config *c = kube_config_of(kubernetes_session_client(a->session));
    struct error why;
    buf_printf(a->out, "ok  Kubernetes %s at %s, %s%s\n", a->api.version, c->server, *c->context ? "context " : "in a pod, as its service account",
               c->context);
    if (guards_check_context(a->scenario->guards, a->scenario->doc, *c->context ? c->context : NULL, &why) < 0) {
        buf_printf(a->out, "no  %s\n", why.text);
        a->missing++;
    }
}

/* --- --- */

static int scope(struct access *a, struct error *err) {
    const struct strings *wanted = &a->config->namespaces;
    const bool all = wanted->count && strcmp(wanted->items[0], "*") == 0;
    a->namespace_count = all || !wanted->count ? 1 : wanted->count;
    a->namespaces = arena_alloc(a->arena, a->namespace_count * sizeof *a->namespaces);
    if (!a->namespaces)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < a->namespace_count && !all; i++)
        a->namespaces[i] = wanted->count ? wanted->items[i] : kube_config_of(kubernetes_session_client(a->session))->namespace;
    return 0;
}

static int review(struct access *a, const struct cluster_need *needs, size_t count, struct error *err) {
    cleanup_json json_t *access = json_pack("{s:s*,s:s*}", "kubeconfig", a->config->kubeconfig, "context", a->config->context);
    int rc = kubernetes_session_open(access, &a->session, err);
    if (rc < 0 || (rc = scope(a, err)) < 0 || (rc = reach(a, err)) < 0)
        return rc;
    greet(a);
    if ((rc = want_all(a, needs, count, err)) < 0 || (rc = ask_all(a, err)) < 0)
        return rc;
    tell(a);
    tell_agents(a, needs, count);
    roles(a);
    return a->missing ? error_set(err, -EACCES, "%zu needed on the API server %s missing", a->missing, a->missing == 1 ? "thing is" : "things are") : 0;
}

int kubernetes_access_review(const struct scenario *s, const struct cluster_need *needs, size_t count, struct buf *out, struct error *err) {
    struct access a = {.scenario = s, .config = s->cluster.params, .arena = arena_new(), .out = out};
    a.last = &a.asks;
    int rc = a.arena ? review(&a, needs, count, err) : error_set(err, -ENOMEM, "out of memory");
    kubernetes_session_close(a.session);
    arena_free(a.arena);
    return rc;
}
