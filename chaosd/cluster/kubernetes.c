/* SPDX-License-Identifier: Apache-2.0 */
/* Start, watches and end of a Kubernetes as a provider of pods. Everything is asynchronous: start returns at once, and nothing is told
 * before every kind has been listed once, so that what is told first is consistent. */
#include "cluster/kubernetes_access.h"
#include "cluster/kubernetes_priv.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define SWEEP_NS (10 * NS_PER_S) /* of one object: a run does not wait for long */

const struct follower kubernetes_followers[] = {
    {KUBE_PODS, .needed = true, .annotated = true, .told = kubernetes_pod_told},
    {KUBE_REPLICASETS, .needed = true, .annotated = true, .told = kubernetes_load_told},
    {KUBE_DEPLOYMENTS, .needed = true, .annotated = true, .told = kubernetes_load_told},
    {KUBE_STATEFULSETS, .needed = true, .annotated = true, .told = kubernetes_load_told},
    {KUBE_DAEMONSETS, .needed = true, .told = kubernetes_load_told},
    {KUBE_ENDPOINTSLICES, .told = kubernetes_slice_told},
    {KUBE_PDBS, .told = kubernetes_quiet},
    {KUBE_EVENTS, .told = kubernetes_event_told},
    {KUBE_NODES, .everywhere = true, .annotated = true, .told = kubernetes_node_told},
    {KUBE_NAMESPACES, .everywhere = true, .told = kubernetes_namespace_told},
    {0},
};
static const struct follower lease_follower = {KUBE_LEASES, .told = kubernetes_lease_told};

json_t *kubernetes_stamp(uint32_t wall_s) {
    char text[32];
    struct tm tm;
    time_t t = (time_t)wall_s;
    if (!wall_s || !gmtime_r(&t, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
        return NULL;
    return json_string(text);
}

void kubernetes_tell(struct kubernetes *k, const char *op, const char *kind, const char *target, int64_t at_ns, json_t *data) {
    if (k->o.other)
        k->o.other(op, kind, target, at_ns, data, k->o.arg);
    else
        json_decref(data);
}

/* --- following --- */

static void begin_if_synced(struct kubernetes *k) {
    if (k->synced)
        return;
    for (const struct following *f = k->followings; f; f = f->next)
        if (!f->synced)
            return;
    k->synced = true;
    kubernetes_loads_begin(k);
    kubernetes_pods_begin(k);
    k->begun = true;
    if (k->o.changed)
        k->o.changed(k->o.arg);
}

static void failed(struct kubernetes *k, const char *why) {
    struct error err;
    error_set(&err, 0, "%s: %s", k->access->origin, why);
    k->o.failed(&err, k->o.arg);
}

/* Not allowed, and not needed: it is left out, and the history says what is missing in it. */
static void go_without(struct following *f, const char *why) {
    struct kubernetes *k = f->k;
    kube_watch_free(take_ptr(f->watch));
    f->synced = true;
    kubernetes_tell(k, "cluster/api", "denied", kube_kinds[f->what->kind].resource, 0, json_pack("{s:s,s:s*}", "why", why, "namespace", f->namespace));
    begin_if_synced(k);
}

static void troubled(struct following *f, const struct kube_event *e) {
    struct kubernetes *k = f->k;
    const char *resource = kube_kinds[f->what->kind].resource;
    bool refused = e->trouble == KUBE_FORBIDDEN || e->trouble == KUBE_NOT_FOUND || e->trouble == KUBE_INVALID;
    bool hopeless = refused || e->trouble == KUBE_UNAUTHORIZED || e->trouble == KUBE_CREDENTIALS || e->trouble == KUBE_NOT_API;
    f->troubled = true;
    if (refused && !f->what->needed && !k->begun) /* later it is trouble: a server that just started may not know its own rules yet */
        go_without(f, e->why);
    else if (hopeless && !k->synced)
        failed(k, e->why);
    else if (e->failures == 1)
        kubernetes_tell(k, "cluster/api", "troubled", resource, e->seen_ns, json_pack("{s:s}", "why", e->why));
}

static void on_told(const struct kube_event *e, void *arg) {
    struct following *f = arg;
    struct kubernetes *k = f->k;
    switch (e->what) {
    case KUBE_ADDED:
    case KUBE_MODIFIED:
    case KUBE_DELETED:
        f->what->told(f, e);
        break;
    case KUBE_SYNCED:
        f->synced = true;
        f->troubled = false;
        begin_if_synced(k);
        break;
    case KUBE_TROUBLED:
        troubled(f, e);
        break;
    case KUBE_GAP:
        f->troubled = false;
        kubernetes_tell(k, "cluster/api", "gap", kube_kinds[f->what->kind].resource, e->to_ns,
                        json_pack("{s:I,s:I,s:b}", "from_mono", (json_int_t)e->from_ns, "to_mono", (json_int_t)e->to_ns, "relisted", e->relisted));
        break;
    }
}

static int follow(struct kubernetes *k, const struct follower *what, const char *namespace, const char *field, struct error *err) {
    struct following *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(err, -ENOMEM, "out of memory");
    *f = (struct following){.next = k->followings, .k = k, .what = what, .namespace = namespace ? strdup(namespace) : NULL,
                            .field = field ? strdup(field) : NULL};
    k->followings = f;
    static const char *const undo[] = {CHAOSD_UNDO_ANNOTATION, NULL};
    const struct kube_watch_spec s = {
        .kind = &kube_kinds[what->kind], .version = k->api.versions[what->kind], .namespace = f->namespace, .field_selector = f->field,
        .label_selector = what->kind == KUBE_PODS ? k->config->label_selector : NULL,
        .annotations = !what->annotated ? NULL : what->kind == KUBE_PODS ? k->o.annotations : undo,
        .told = on_told, .arg = f,
    };
    if (!s.version) {
        if (what->needed)
            return error_set(err, -EOPNOTSUPP, "the server (%s) serves no %s in a version that is understood", k->api.version, s.kind->resource);
        f->synced = true;
        kubernetes_tell(k, "cluster/api", "denied", s.kind->resource, 0, json_pack("{s:s}", "why", "the server does not serve them in a version that is understood"));
        return 0;
    }
    return kube_watch_start(k->kube, &s, &f->watch, err);
}

static int follow_leases(struct kubernetes *k, struct error *err) {
    int rc = 0;
    for (size_t i = 0; i < k->config->leases.count && rc == 0; i++) {
        char namespace[256], field[320];
        const char *lease = k->config->leases.items[i], *slash = strchr(lease, '/');
        snprintf(namespace, sizeof namespace, "%.*s", (int)(slash - lease), lease);
        snprintf(field, sizeof field, "metadata.name=%s", slash + 1);
        rc = follow(k, &lease_follower, namespace, field, err);
    }
    return rc;
}

static int follow_all(struct kubernetes *k, struct error *err) {
    int rc = 0;
    for (const struct follower *f = kubernetes_followers; f->told && rc == 0; f++)
        for (size_t i = 0; i < (f->everywhere ? 1 : k->namespace_count) && rc == 0; i++)
            rc = follow(k, f, f->everywhere ? NULL : k->namespaces[i], NULL, err);
    return rc < 0 ? rc : follow_leases(k, err);
}

/* --- what an earlier run left --- */

static void on_swept(enum kubernetes_swept what, const char *line, void *arg) {
    static const char *const kinds[] = {[KUBERNETES_SWEPT] = "undone", [KUBERNETES_KEPT] = "kept", [KUBERNETES_STUCK] = "stuck"};
    if (what != KUBERNETES_UNSEEN) /* who may not look at them may not have changed them either */
        kubernetes_tell(arg, "cluster/undo", kinds[what], "", 0, json_pack("{s:s}", "what", line));
}

static void on_sweep_done(void *arg) {
    struct kubernetes *k = arg;
    struct error err;
    k->sweep = NULL;
    if (follow_all(k, &err) < 0)
        failed(k, err.text);
}

/* Before anything is looked at: what is past its deadline is nobody's any more. */
static int sweep(struct kubernetes *k, struct error *err) {
    const struct kubernetes_sweep_spec s = {.namespaces = k->namespaces[0] ? (const char *const *)k->namespaces : NULL, .limit_ns = SWEEP_NS,
                                            .agent_namespace = k->config->agent_namespace,
                                            .told = on_swept, .done = on_sweep_done, .arg = k};
    return kubernetes_sweep_start(k->kube, &s, &k->sweep, err);
}

static void on_discovered(const struct kube_api *api, enum kube_trouble trouble, const char *why, void *arg) {
    struct kubernetes *k = arg;
    struct error err;
    (void)trouble;
    k->discovery = NULL;
    if (!api) {
        failed(k, why);
        return;
    }
    k->api = *api;
    k->discovered = true;
    kubernetes_tell(k, "cluster/api", "discovered", k->access->server, 0,
                    json_pack("{s:s,s:s,s:s}", "version", api->version, "context", k->access->context, "origin", k->access->origin));
    if (k->o.journal ? sweep(k, &err) < 0 : follow_all(k, &err) < 0) /* without one it is only looked at */
        failed(k, err.text);
}

/* --- start and end --- */

/* "*": one watch over all; else one a namespace. */
static int scope(struct kubernetes *k, struct error *err) {
    const struct strings *wanted = &k->config->namespaces;
    bool all = wanted->count && strcmp(wanted->items[0], "*") == 0;
    k->namespace_count = wanted->count ? wanted->count : 1;
    k->namespaces = calloc(k->namespace_count + 1, sizeof *k->namespaces);
    if (!k->namespaces)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < k->namespace_count && !all; i++)
        if (!(k->namespaces[i] = strdup(wanted->count ? wanted->items[i] : k->access->namespace)))
            return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int stop(struct cluster *c, struct error *err) {
    struct kubernetes *k = kubernetes_self(c);
    (void)err;
    while (k->followings) {
        struct following *f = k->followings;
        k->followings = f->next;
        kube_watch_free(f->watch);
        free(f->namespace);
        free(f->field);
        free(f);
    }
    kube_discovery_cancel(k->discovery);
    kubernetes_sweep_cancel(k->sweep);
    kube_free(k->kube);
    http_free(k->http);
    kubernetes_pods_free(k);
    kubernetes_loads_free(k);
    kube_config_free(k->access);
    for (size_t i = 0; k->namespaces && i < k->namespace_count; i++)
        free(k->namespaces[i]);
    free(k->namespaces);
    free(k);
    return 0;
}

static int open_client(struct kubernetes *k, struct error *err) {
    const struct kube_config_spec spec = {.path = k->config->kubeconfig, .context = k->config->context};
    int rc = kube_config_load(&spec, &k->access, err);
    if (rc == 0)
        rc = http_new(k->o.loop, 32, &k->http, err);
    const struct kube_spec s = {.loop = k->o.loop, .http = k->http, .config = k->access, .seed = (uint64_t)loop_now()};
    return rc < 0 ? rc : kube_new(&s, &k->kube, err);
}

static int start(const struct kind_value *v, const struct cluster_options *o, struct cluster **ret, struct error *err) {
    struct kubernetes *k = calloc(1, sizeof *k);
    if (!k)
        return error_set(err, -ENOMEM, "out of memory");
    k->pub.kind = &cluster_kubernetes;
    k->config = v->params;
    k->o = *o;
    int rc = open_client(k, err);
    if (rc == 0)
        rc = scope(k, err);
    if (rc == 0)
        rc = kube_discover(k->kube, on_discovered, k, &k->discovery, err);
    if (rc < 0) {
        struct error ignored;
        stop(&k->pub, &ignored);
        return rc;
    }
    *ret = &k->pub;
    return 0;
}

static int preflight(const struct scenario *s, struct error *err) {
    const struct kubernetes_config *c = s->cluster.params;
    const struct kube_config_spec spec = {.path = c->kubeconfig, .context = c->context};
    struct kube_config *config = NULL;
    int rc = kube_config_load(&spec, &config, err);
    kube_config_free(config);
    return rc;
}

/* --- what the interpreter asks --- */

static int here(struct cluster *c) {
    (void)c;
    return -1;
}

/* Every workload that a fault may strike is whole. */
static bool waiting(struct cluster *c, struct buf *out) {
    struct kubernetes *k = kubernetes_self(c);
    bool wait = !k->begun;
    if (!k->begun && out)
        buf_printf(out, "%s: %s", k->access->origin, k->discovered ? "its objects are not all listed yet" : "the API server has not answered yet");
    for (const struct kube_load *l = k->loads; l && k->begun; l = l->next) {
        bool selected = false;
        for (size_t i = 0; i < k->pod_count && !selected; i++)
            selected = k->pods[i]->selected && strcmp(k->pods[i]->workload, l->title) == 0 && k->pods[i]->owners.count &&
                       strcmp(k->pods[i]->owners.items[k->pods[i]->owners.count - 1].uid, l->uid) == 0;
        if (!selected || kubernetes_load_settled(l))
            continue;
        bool stale = l->ready >= l->replicas;
        if (out)
            buf_printf(out, "%s%s: %" PRId64 " of %" PRId64 " pods are %s", wait ? ", " : "", l->title, stale ? l->updated : l->ready, l->replicas,
                       stale ? "up to date" : "ready");
        wait = true;
    }
    return wait;
}

/* A bookmark comes each minute: a watch that is silent for longer tells nothing any more. */
#define SILENT_NS (75 * NS_PER_S)

static int sees(struct cluster *c, const char *what, struct buf *why) {
    static const struct { const char *what; enum kube_kind_id kind; } rows[] = {
        {"pods", KUBE_PODS}, {"budgets", KUBE_PDBS}, {"namespaces", KUBE_NAMESPACES},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (const struct following *f = kubernetes_self(c)->followings; f && strcmp(rows[i].what, what) == 0; f = f->next) {
            if (f->what->kind != rows[i].kind)
                continue;
            bool silent = f->watch && kube_watch_seen_ns(f->watch) && loop_now() - kube_watch_seen_ns(f->watch) > SILENT_NS;
            if (f->watch && f->synced && !f->troubled && !silent)
                continue;
            buf_printf(why, "%s %s", kube_kinds[rows[i].kind].resource,
                       !f->watch ? "may not be listed and watched" : silent ? "were not heard of for over a minute" : "cannot be followed just now");
            return f->watch ? 0 : -EACCES;
        }
    return 1;
}

static const char *context(struct cluster *c) {
    const char *name = kubernetes_self(c)->access->context;
    return *name ? name : NULL; /* a pod's service account has none */
}

struct kube *kubernetes_client(struct cluster *c) { return kubernetes_self(c)->kube; }
const struct kube_api *kubernetes_api(struct cluster *c) { return kubernetes_self(c)->discovered ? &kubernetes_self(c)->api : NULL; }

json_t *kubernetes_access(struct cluster *c) {
    const struct kubernetes *k = kubernetes_self(c);
    if (!*k->access->context)
        return json_pack("{s:b,s:s}", "account", 1, "server", k->access->server);
    cleanup_free char *files = kubernetes_config_files(k->config->kubeconfig);
    return json_pack("{s:s*,s:s,s:s}", "kubeconfig", files, "context", k->access->context, "server", k->access->server);
}

static size_t pods(struct cluster *c, const struct pod **list, size_t max) {
    struct kubernetes *k = kubernetes_self(c);
    size_t n = !k->synced ? 0 : k->pod_count < max ? k->pod_count : max;
    for (size_t i = 0; i < n; i++)
        list[i] = &k->pods[i]->pub;
    return n;
}

static const struct pod *pod(struct cluster *c, const char *uid) {
    struct kube_pod *p = kubernetes_pod_find(kubernetes_self(c), uid);
    return p ? &p->pub : NULL;
}

static void set_ready(struct cluster *c, const char *uid, bool ready, const char *why) {
    (void)c, (void)uid, (void)ready, (void)why; /* the kubelet says it */
}

const struct cluster_kind cluster_kubernetes = {
    .row = {"kubernetes", &kubernetes_shape, "The pods of a Kubernetes, through its API server."},
    .abilities = CLUSTER_OBJECTS | CLUSTER_AGENTS,
    .preflight = preflight,
    .at_hand = "its kubeconfig can be read",
    .access = kubernetes_access_review,
    .present = kubernetes_present,
    .start = start,
    .waiting = waiting,
    .sees = sees,
    .context = context,
    .pods = pods,
    .pod = pod,
    .set_ready = set_ready,
    .netns = here,
    .clients_group = here,
    .stop = stop,
};
