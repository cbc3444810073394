/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever runs left on the objects of an API server, found by the label: listed kind by kind, then undone one after the other. */
#include "base/cleanup.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "cluster/kubernetes_undo.h"

#include <errno.h>
#include <string.h>

static const enum kube_kind_id kinds[KUBERNETES_SWEEP_KINDS + 1] = {KUBE_DEPLOYMENTS, KUBE_STATEFULSETS, KUBE_REPLICASETS, KUBE_NODES, KUBE_NODEFAULTS};

#define NODE_FAULT_SLACK_NS (60 * NS_PER_S)

struct found {
    struct found *next;
    const struct kube_kind *kind;
    json_t *object, *mark; /* mark NULL: there is only the label; of a NodeFault its spec */
};

struct kubernetes_sweep {
    struct kube *kube;
    struct kubernetes_sweep_spec spec;
    char **namespaces, *agent_namespace; /* namespaces: ends with NULL */
    bool own;          /* of this kind all namespaces may not be listed: the context's own */
    size_t kind, namespace;
    struct found *found, **last;
    struct kube_call *call;
    struct kubernetes_undo *undo;
    struct timer *timer;
};

static void list_next(struct kubernetes_sweep *s);
static void undo_next(struct kubernetes_sweep *s);

static void found_free(struct found *f) {
    json_decref(f->object);
    json_decref(f->mark);
    free(f);
}

void kubernetes_sweep_cancel(struct kubernetes_sweep *s) {
    if (!s)
        return;
    kube_cancel(s->call);
    kubernetes_undo_cancel(s->undo);
    timer_free(s->timer);
    for (struct found *f; (f = s->found);) {
        s->found = f->next;
        found_free(f);
    }
    for (char **n = s->namespaces; n && *n; n++)
        free(*n);
    free(s->namespaces);
    free(s->agent_namespace);
    free(s);
}

static bool is_node_fault(const struct kube_kind *k) { return k == &kube_kinds[KUBE_NODEFAULTS]; }

static void finish(struct kubernetes_sweep *s) {
    void (*done)(void *arg) = s->spec.done;
    void *arg = s->spec.arg;
    kubernetes_sweep_cancel(s);
    done(arg);
}

/* --- finding --- */

static void next_list(struct kubernetes_sweep *s) {
    const struct kube_kind *kind = s->kind < ARRAY_SIZE(kinds) ? &kube_kinds[kinds[s->kind]] : NULL;
    if (kind && kind->namespaced && !is_node_fault(kind) && s->namespaces && s->namespaces[s->namespace + 1]) {
        s->namespace++;
    } else {
        s->namespace = 0;
        s->kind++;
        s->own = false;
    }
    list_next(s);
}

static int keep(struct kubernetes_sweep *s, const json_t *list) {
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(list, "items"), i, o) {
        struct found *f = calloc(1, sizeof *f);
        if (!f)
            return -ENOMEM;
        const struct kube_kind *kind = &kube_kinds[kinds[s->kind]];
        *f = (struct found){.kind = kind, .object = json_incref(o), .mark = is_node_fault(kind) ? json_incref(json_object_get(o, "spec")) : kubernetes_mark(o)};
        *s->last = f;
        s->last = &f->next;
    }
    return 0;
}

static void on_list(const struct kube_answer *a, void *arg) {
    struct kubernetes_sweep *s = arg;
    const struct kube_kind *kind = &kube_kinds[kinds[s->kind]];
    s->call = NULL;
    if (is_node_fault(kind) && (a->trouble == KUBE_NOT_FOUND || (a->trouble == KUBE_FORBIDDEN && (s->own || s->agent_namespace)))) {
        next_list(s); /* there are no agents, or whoever this is never asked one */
        return;
    }
    if (a->trouble == KUBE_FORBIDDEN && kind->namespaced && !(is_node_fault(kind) ? s->agent_namespace : (char *)s->namespaces) && !s->own) {
        s->own = true;
        list_next(s);
        return;
    }
    const bool refused = a->trouble == KUBE_FORBIDDEN || a->trouble == KUBE_NOT_FOUND;
    if (a->trouble != KUBE_OK || keep(s, a->json) < 0)
        s->spec.told(refused ? KUBERNETES_UNSEEN : KUBERNETES_STUCK, a->trouble == KUBE_OK ? "out of memory" : a->why, s->spec.arg);
    if (a->trouble != KUBE_OK && !refused)
        s->kind = ARRAY_SIZE(kinds); /* the others would fare no better */
    next_list(s);
}

static void list_next(struct kubernetes_sweep *s) {
    struct error err;
    if (s->kind >= ARRAY_SIZE(kinds)) {
        undo_next(s);
        return;
    }
    const struct kube_kind *kind = &kube_kinds[kinds[s->kind]];
    const char *own = s->own ? kube_config_of(s->kube)->namespace : NULL;
    const char *namespace = !kind->namespaced ? NULL : s->namespaces ? s->namespaces[s->namespace] : own;
    if (is_node_fault(kind))
        namespace = s->own ? KUBERNETES_AGENT_NAMESPACE : s->agent_namespace;
    const struct kube_request r = {.verb = "list", .kind = kind, .namespace = namespace, .query = is_node_fault(kind) ? NULL : "labelSelector=chaosd.io%2Fundo",
                                   .done = on_list, .arg = s};
    if (kube_start(s->kube, &r, &s->call, &err) < 0) {
        s->spec.told(KUBERNETES_UNSEEN, err.text, s->spec.arg);
        next_list(s);
    }
}

/* --- undoing --- */

/* "Deployment shop/web: scale by fault "fewer" of run ab12cd34, due 2026-11-22T10:00:30Z" */
static void title(const struct found *f, char *out, size_t size) {
    const json_t *m = json_object_get(f->object, "metadata");
    const char *namespace = json_str_or(m, "namespace", "");
    if (!f->mark) {
        snprintf(out, size, "%s %s%s%s: a change of run %s", f->kind->name, namespace, *namespace ? "/" : "", json_str_or(m, "name", "?"),
                 json_str_or(json_object_get(m, "labels"), CHAOSD_UNDO_LABEL, "?"));
        return;
    }
    snprintf(out, size, "%s %s%s%s: %s by fault \"%s\" of run %s, due %s", f->kind->name, namespace, *namespace ? "/" : "",
             json_str_or(m, "name", "?"), json_str_or(f->mark, "kind", "a change"), json_str_or(f->mark, "fault", "?"), json_str_or(f->mark, "run", "?"),
             json_str_or(f->mark, "deadline", "?"));
}

static void drop_first(struct kubernetes_sweep *s) {
    struct found *f = s->found;
    s->found = f->next;
    found_free(f);
}

static void tell(struct kubernetes_sweep *s, enum kubernetes_swept what, const char *words, const char *more) {
    char line[2048], what_of[1024];
    title(s->found, what_of, sizeof what_of);
    snprintf(line, sizeof line, "%s: %s%s%s", what_of, words, *more ? ": " : "", more);
    s->spec.told(what, line, s->spec.arg);
}

static void on_undone(int rc, const char *text, void *arg) {
    struct kubernetes_sweep *s = arg;
    s->undo = NULL;
    tell(s, rc < 0 ? KUBERNETES_STUCK : KUBERNETES_SWEPT, rc < 0 ? "not undone" : "undone", text);
    drop_first(s);
    undo_next(s);
}

/* Of a NodeFault the run reads the end first, or its agent deletes it. */
static bool due(const struct found *f) {
    int64_t deadline_ns;
    const int64_t slack_ns = is_node_fault(f->kind) ? NODE_FAULT_SLACK_NS : 0;
    return !timestamp_find(json_str_or(f->mark, "deadline", ""), &deadline_ns) || deadline_ns + slack_ns <= clock_wall_ns();
}

static void on_deleted(const struct kube_answer *a, void *arg) {
    struct kubernetes_sweep *s = arg;
    s->call = NULL;
    on_undone(a->trouble == KUBE_OK || a->trouble == KUBE_NOT_FOUND || a->trouble == KUBE_CONFLICT ? 0 : -EIO, a->trouble == KUBE_OK ? "" : a->why, s);
}

static int begin_delete(struct kubernetes_sweep *s, const struct found *f, struct error *err) {
    const json_t *m = json_object_get(f->object, "metadata");
    const struct kube_deletion how = {.uid = json_str_or(m, "uid", NULL), .grace_s = -1, .limit_ns = s->spec.limit_ns};
    return kube_delete(s->kube, f->kind, json_str_or(m, "namespace", ""), json_str_or(m, "name", ""), &how, on_deleted, s, &s->call, err);
}

/* True: on_undone goes on. */
static bool begin_undo(struct kubernetes_sweep *s, const struct found *f) {
    struct error err = {{0}};
    const json_t *m = json_object_get(f->object, "metadata");
    const struct kubernetes_undo_spec u = {.kind = f->kind, .namespace = json_str_or(m, "namespace", NULL), .name = json_str_or(m, "name", ""),
                                           .uid = json_str_or(m, "uid", NULL), .change = {.run = json_str_or(f->mark, "run", ""), .id = json_int_or(f->mark, "id", -1)},
                                           .limit_ns = s->spec.limit_ns, .done = on_undone, .arg = s};
    if (!f->mark)
        tell(s, KUBERNETES_STUCK, "not undone",
             "it has the label " CHAOSD_UNDO_LABEL ", but no annotation that says how: somebody took it out, or edited it. What was changed, how it "
             "was before and until when cannot be known from here, and nothing was touched: the run's journal knows (`chaosd revert` on the "
             "machine that it ran on); without one, see to the object, then take the label out");
    else if (!s->spec.all && !due(f))
        tell(s, KUBERNETES_KEPT, "left", "its deadline is still to come");
    else if ((is_node_fault(f->kind) ? begin_delete(s, f, &err) : kubernetes_undo_start(s->kube, &u, &s->undo, &err)) < 0)
        tell(s, KUBERNETES_STUCK, "not undone", err.text);
    else
        return true;
    return false;
}

static void undo_next(struct kubernetes_sweep *s) {
    for (; s->found; drop_first(s))
        if (begin_undo(s, s->found))
            return;
    finish(s);
}

/* --- */

static void on_begin(void *arg) { list_next(arg); }

static int copy_namespaces(struct kubernetes_sweep *s, const char *const *namespaces) {
    size_t n = 0;
    while (namespaces[n])
        n++;
    if (!n)
        return 0;
    s->namespaces = calloc(n + 1, sizeof *s->namespaces);
    for (size_t i = 0; s->namespaces && i < n; i++)
        if (!(s->namespaces[i] = strdup(namespaces[i])))
            return -1;
    return s->namespaces ? 0 : -1;
}

int kubernetes_sweep_start(struct kube *k, const struct kubernetes_sweep_spec *spec, struct kubernetes_sweep **ret, struct error *err) {
    struct kubernetes_sweep *s = calloc(1, sizeof *s);
    if (!s || (spec->namespaces && copy_namespaces(s, spec->namespaces) < 0) ||
        (spec->agent_namespace && !(s->agent_namespace = strdup(spec->agent_namespace)))) {
        kubernetes_sweep_cancel(s);
        return error_set(err, -ENOMEM, "out of memory");
    }
    s->kube = k;
    s->spec = *spec;
    s->last = &s->found;
    int rc = timer_new(kube_loop(k), on_begin, s, &s->timer, err);
    if (rc < 0) {
        kubernetes_sweep_cancel(s);
        return rc;
    }
    timer_at(s->timer, 1); /* nobody is told inside this call */
    *ret = s;
    return 0;
}
