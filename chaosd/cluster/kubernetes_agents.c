/* SPDX-License-Identifier: Apache-2.0 */
/* Before a drill: are there agents on the nodes whose pods it may strike? */
#include "cluster/kubernetes_access.h"
#include "cluster/kubernetes_priv.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#define LIMIT_NS (30 * NS_PER_S)

struct agents {
    const struct kubernetes_agents_spec *spec;
    json_t *list; /* of pods */
    bool done;
    enum kube_trouble trouble;
    char why[512];
    size_t missing, without, with; /* missing: lines that say no */
};

static bool asks_agents(const struct cluster_need *n) {
    for (const struct kube_where *w = n->rules; w && w->verb; w++)
        if (strcmp(w->resource, kube_kinds[KUBE_NODEFAULTS].resource) == 0)
            return true;
    return false;
}

static void on_list(const struct kube_answer *answer, void *arg) {
    struct agents *a = arg;
    a->done = true;
    a->trouble = answer->trouble;
    a->list = json_incref(answer->json);
    snprintf(a->why, sizeof a->why, "%s", answer->why);
}

static int list(struct agents *a, struct error *err) {
    struct kube_call *call = NULL;
    const struct kube_request r = {.verb = "list", .kind = &kube_kinds[KUBE_PODS], .namespace = a->spec->namespace,
                                   .query = "labelSelector=app.kubernetes.io%2Fname%3Dchaosd-agent", .done = on_list, .arg = a};
    int rc = kube_start(kubernetes_session_client(a->spec->session), &r, &call, err);
    if (rc == 0 && (rc = kubernetes_session_wait(a->spec->session, &a->done, LIMIT_NS, err)) < 0)
        kube_cancel(call);
    return rc;
}

static bool is_ready(const json_t *pod) {
    size_t i;
    json_t *c;
    json_array_foreach(json_at(pod, "status.conditions"), i, c)
        if (strcmp(json_str_or(c, "type", ""), "Ready") == 0)
            return strcmp(json_str_or(c, "status", ""), "True") == 0;
    return false;
}

/* A ready one before one that is not. */
static const json_t *agent_on(const struct agents *a, const char *node) {
    const json_t *found = NULL;
    size_t i;
    json_t *pod;
    json_array_foreach(json_object_get(a->list, "items"), i, pod)
        if (strcmp(json_str_or(json_object_get(pod, "spec"), "nodeName", ""), node) == 0 && !json_at(pod, "metadata.deletionTimestamp") &&
            (!found || is_ready(pod)))
            found = pod;
    return found;
}

/* Whatever else was put into the pod. */
static const json_t *agents_container(const json_t *pod) {
    size_t i;
    json_t *c;
    json_array_foreach(json_at(pod, "spec.containers"), i, c)
        if (strcmp(json_str_or(c, "name", ""), "agent") == 0)
            return c;
    return NULL;
}

static bool is_version(const char *s) { /* three numbers */
    for (int i = 0; i < 3; i++) {
        const size_t digits = strspn(s, "0123456789");
        if (!digits || s[digits] != (i < 2 ? '.' : 0))
            return false;
        s += digits + 1;
    }
    return true;
}

/* An overlay gives the image another tag, and leaves the label: a tag that is a version counts first. */
static const char *version_of(const json_t *pod) {
    const char *image = json_str_or(agents_container(pod), "image", ""), *name = strrchr(image, '/');
    const char *tag = strchr(name ? name : image, ':');
    tag = tag && tag[1] == 'v' ? tag + 2 : tag ? tag + 1 : "";
    if (is_version(tag))
        return tag;
    return json_str_or(json_at(pod, "metadata.labels"), "app.kubernetes.io/version", "");
}

static void tell_version(struct agents *a, const char *node, const json_t *pod) {
    const char *version = version_of(pod);
    if (strcmp(version, CHAOSD_VERSION) != 0)
        buf_printf(a->spec->out, "!!  the agent on node %s is of version %s, and this is " CHAOSD_VERSION ": it refuses what it does not know\n", node,
                   *version ? version : "unknown (no tag of its image, no label app.kubernetes.io/version)");
}

static void tell_node(struct agents *a, const char *node, bool last_word) {
    const json_t *pod = agent_on(a, node);
    const bool ready = pod && is_ready(pod);
    a->with += ready;
    a->without += !ready;
    if (ready) {
        tell_version(a, node, pod);
        return;
    }
    a->missing += last_word;
    buf_printf(a->spec->out, "%s  node %s has %s: faults on its pods will fail (kubectl get pods -n %s)\n", last_word ? "no" : "!!", node,
               pod ? "an agent that is not ready" : "no agent", a->spec->namespace);
}

/* The nodes that selected pods are on just now, each once; in the arena. */
static size_t nodes_of(const struct agents *a, const struct candidate *pods, size_t n, const char **ret) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        bool wanted = false, known = !pods[i].node || !*pods[i].node;
        for (size_t k = 0; k < a->spec->need_count && !wanted; k++)
            wanted = asks_agents(&a->spec->needs[k]) && a->spec->needs[k].selector && selector_may_match(a->spec->needs[k].selector, &pods[i]);
        for (size_t k = 0; k < count && !known; k++)
            known = strcmp(ret[k], pods[i].node) == 0;
        if (wanted && !known)
            ret[count++] = pods[i].node;
    }
    return count;
}

static int tell_nodes(struct agents *a, struct arena *arena, struct error *err) {
    struct candidate *pods = NULL;
    size_t n = 0;
    int rc = kubernetes_present(a->spec->scenario, arena, &pods, &n, err);
    const char **nodes = rc == 0 ? arena_alloc(arena, (n + 1) * sizeof *nodes) : NULL;
    if (rc < 0 || !nodes)
        return rc < 0 ? rc : error_set(err, -ENOMEM, "out of memory");
    n = nodes_of(a, pods, n, nodes);
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *pod = agent_on(a, nodes[i]);
        any |= pod && is_ready(pod);
    }
    for (size_t i = 0; i < n; i++)
        tell_node(a, nodes[i], !any);
    if (n && !a->without)
        buf_printf(a->spec->out, "ok  an agent is ready on %s%zu node%s of the selected pods\n", n > 1 ? "each of the " : "the ", n, n == 1 ? "" : "s");
    return 0;
}

int kubernetes_agents_review(const struct kubernetes_agents_spec *s, size_t *ret_missing, struct error *err) {
    struct agents a = {.spec = s};
    bool asked = false;
    for (size_t i = 0; i < s->need_count; i++)
        asked |= asks_agents(&s->needs[i]);
    *ret_missing = 0;
    if (!asked)
        return 0;
    if (!s->api->versions[KUBE_NODEFAULTS]) {
        buf_printf(s->out, "no  NodeFaults of chaosd.io/v1alpha1 are not served: no agent could be asked (kubectl apply -k deploy/agent)\n");
        *ret_missing = 1;
        return 0;
    }
    struct arena *arena = arena_new();
    int rc = arena ? list(&a, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc == 0 && a.trouble != KUBE_OK)
        buf_printf(s->out, "!!  whether there is an agent on each node cannot be seen: %s\n", a.why);
    else if (rc == 0)
        rc = tell_nodes(&a, arena, err);
    json_decref(a.list);
    arena_free(arena);
    *ret_missing = a.missing;
    return rc;
}
