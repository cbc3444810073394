/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config_priv.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#define ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
enum { MAX_FILES = 64 };

static void sources_free(struct sources *s) {
    for (size_t i = 0; i < s->count; i++) {
        doc_free(s->items[i].doc);
        free(s->items[i].path);
        free(s->items[i].dir);
    }
    free(s->items);
}

void kube_config_free(struct kube_config *c) {
    struct loaded *l = (struct loaded *)c;
    if (!l)
        return;
    arena_free(l->arena);
    free(l);
}
static void configp_free(struct kube_config **c) { kube_config_free(*c); }

static bool holds_nothing(const char *text) {
    for (; *text; text += strcspn(text, "\n")) {
        text += strspn(text, " \t\r\n");
        if (*text && *text != '#' && strncmp(text, "---", 3) != 0)
            return false;
    }
    return true;
}

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* must: it has to be there. */
static int add_source(struct sources *s, const char *path, bool must, struct error *err) {
    cleanup_buf struct buf text = {0};
    struct error why;
    int rc = fs_read(path, DOC_MAX_BYTES, &text, &why);
    if (rc == -ENOENT && !must)
        return 0;
    if (rc < 0)
        return error_set(err, rc, "kubeconfig %s", why.text);
    struct source *items = reallocarray(s->items, s->count + 1, sizeof *items);
    if (!items)
        return error_set(err, -ENOMEM, "out of memory");
    s->items = items;
    struct source *one = &s->items[s->count++];
    *one = (struct source){.path = strdup(path), .dir = folder_of(path)};
    if (!one->path || !one->dir)
        return error_set(err, -ENOMEM, "out of memory");
    if (holds_nothing(text.data))
        return 0;
    if ((rc = doc_parse(path, text.data, text.len, &one->doc, err)) < 0)
        return error_wrap(err, rc, "kubeconfig");
    return json_is_object(doc_root(one->doc))
               ? 0
               : error_set(err, -EINVAL, "kubeconfig %s: expected a mapping with clusters, users and contexts", path);
}

static int add_sources(struct sources *s, const struct kube_config_spec *spec, struct error *err) {
    const char *list = spec->list ? spec->list : getenv("KUBECONFIG"), *home = getenv("HOME");
    cleanup_free char *copy = NULL;
    if (spec->path)
        return add_source(s, spec->path, true, err);
    if (spec->list || (list && *list)) {
        if (!(copy = strdup(list)))
            return error_set(err, -ENOMEM, "out of memory");
        char *rest = copy;
        for (char *one; (one = strsep(&rest, ":")) && s->count < MAX_FILES;) {
            int rc = *one ? add_source(s, one, false, err) : 0;
            if (rc < 0)
                return rc;
        }
        return 0;
    }
    if (asprintf(&copy, "%s/.kube/config", home && *home ? home : "/root") < 0) {
        copy = NULL;
        return error_set(err, -ENOMEM, "out of memory");
    }
    return add_source(s, copy, false, err);
}

static int find_context(const struct sources *s, const char *wanted, struct entry *ret, struct error *err) {
    for (size_t i = 0; !wanted && i < s->count; i++) {
        const char *current = s->items[i].doc ? json_str_or(doc_root(s->items[i].doc), "current-context", "") : "";
        wanted = *current ? current : NULL;
    }
    if (!wanted)
        return error_set(err, -EINVAL, "%s: no current-context: set one (kubectl config use-context NAME), or name a context",
                         s->items[0].path);
    return entry_find(s, "contexts", "context", wanted, ret, err);
}

static const char *environment(const char *upper, const char *lower) {
    const char *v = getenv(upper);
    if (!v || !*v)
        v = getenv(lower);
    return v && *v ? v : NULL;
}

/* What is not said in the file the environment says, as for kubectl; and what is on this machine is never asked for elsewhere. */
static int set_proxy(struct arena *a, struct kube_config *c, struct error *err) {
    static const char *const known[] = {"http://", "https://", "socks5://", "socks5h://"};
    bool tls = strncmp(c->server, "https://", 8) == 0, ok = false;
    if (!c->proxy) {
        c->proxy = tls ? environment("HTTPS_PROXY", "https_proxy") : environment("HTTP_PROXY", "http_proxy");
        const char *no = environment("NO_PROXY", "no_proxy");
        if (!c->proxy)
            return 0;
        c->proxy = arena_printf(a, "%s%s", strstr(c->proxy, "://") ? "" : "http://", c->proxy);
        c->no_proxy = arena_printf(a, "localhost,127.0.0.0/8,::1%s%s", no ? "," : "", no ? no : "");
        if (!c->proxy || !c->no_proxy)
            return error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        ok = ok || strncmp(c->proxy, known[i], strlen(known[i])) == 0;
    return ok ? 0 : error_set(err, -EINVAL, "%s: the proxy's URL must begin with http://, https:// or socks5://", c->origin);
}

static int set_server(struct arena *a, const struct entry *e, struct kube_config *c, struct error *err) {
    const char *server = c->server;
    if (!server)
        return entry_bad(e, "server", err, "missing: expected the API server's URL");
    if (strncmp(server, "https://", 8) != 0 && strncmp(server, "http://", 7) != 0)
        return entry_bad(e, "server", err, "expected a URL that begins with https://");
    const char *host = strstr(server, "://") + 3;
    size_t len = strlen(server);
    if (!host[strcspn(host, "/")] && !*host)
        return entry_bad(e, "server", err, "no host in it");
    if (memchr(host, '@', strcspn(host, "/")))
        return entry_bad(e, "server", err, "a name or password in the URL: put it under users:");
    if (strpbrk(server, "?# \t"))
        return entry_bad(e, "server", err, "expected a plain URL, without blanks, \"?\" or \"#\"");
    while (server[len - 1] == '/')
        len--;
    c->server = arena_strndup(a, server, len);
    return c->server ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static const json_t *exec_extension(const json_t *cluster) {
    size_t i;
    json_t *x;
    json_array_foreach(json_object_get(cluster, "extensions"), i, x) {
        if (strcmp(json_str_or(x, "name", ""), "client.authentication.k8s.io/exec") == 0)
            return json_object_get(x, "extension");
    }
    return NULL;
}

static void decref(void *v) { json_decref(v); }

/* As client.authentication.k8s.io's Cluster: certificates as data, whatever the file has. */
static int set_cluster_info(struct arena *a, const json_t *cluster, struct kube_config *c, struct error *err) {
    cleanup_buf struct buf ca = {0};
    if (c->ca_pem)
        base64_add(&ca, c->ca_pem, strlen(c->ca_pem));
    const json_t *config = exec_extension(cluster);
    json_t *info = json_pack("{s:s, s:s*, s:s*, s:s*, s:O*}", "server", c->server, "tls-server-name", c->tls_name,
                             "certificate-authority-data", ca.data, "proxy-url", json_str_or(cluster, "proxy-url", NULL), "config", config);
    if (info && c->insecure)
        json_object_set_new(info, "insecure-skip-tls-verify", json_true());
    if (!info || !buf_ok(&ca) || arena_defer(a, decref, info) < 0) {
        json_decref(info);
        return error_set(err, -ENOMEM, "out of memory");
    }
    c->cluster_info = info;
    return 0;
}

static int read_cluster(const struct entry *e, struct arena *a, struct kube_config *c, struct error *err) {
    int rc = entry_text(e, a, "server", &c->server, err);
    if (rc < 0 || (rc = entry_pem(e, a, "certificate-authority", "-----BEGIN CERTIFICATE-----", &c->ca_pem, err)) < 0 ||
        (rc = entry_flag(e, "insecure-skip-tls-verify", &c->insecure, err)) < 0 ||
        (rc = entry_text(e, a, "tls-server-name", &c->tls_name, err)) < 0 || (rc = entry_text(e, a, "proxy-url", &c->proxy, err)) < 0 ||
        (rc = set_server(a, e, c, err)) < 0)
        return rc;
    if (c->insecure && c->ca_pem)
        return entry_bad(e, "insecure-skip-tls-verify", err, "beside a certificate authority: keep one of them");
    rc = set_proxy(a, c, err);
    return rc < 0 ? rc : set_cluster_info(a, e->body, c, err);
}

static int resolve(const struct sources *s, const char *context_name, struct arena *a, struct kube_config *c, struct error *err) {
    struct entry context, cluster, user;
    const char *cluster_name, *user_name;
    int rc = find_context(s, context_name, &context, err);
    if (rc < 0 || (rc = entry_text(&context, a, "cluster", &cluster_name, err)) < 0 ||
        (rc = entry_text(&context, a, "user", &user_name, err)) < 0 || (rc = entry_text(&context, a, "namespace", &c->namespace, err)) < 0)
        return rc;
    if (!cluster_name)
        return entry_bad(&context, "cluster", err, "missing");
    c->context = arena_strdup(a, context.name);
    c->cluster_name = cluster_name;
    c->user_name = user_name ? user_name : "";
    c->origin = arena_printf(a, "kubeconfig %s, context \"%s\"", context.source->path, context.name);
    if (!c->context || !c->origin)
        return error_set(err, -ENOMEM, "out of memory");
    if (!c->namespace)
        c->namespace = "default";
    if ((rc = entry_find(s, "clusters", "cluster", cluster_name, &cluster, err)) < 0 || (rc = read_cluster(&cluster, a, c, err)) < 0)
        return rc;
    if (!user_name)
        return 0;
    if ((rc = entry_find(s, "users", "user", user_name, &user, err)) < 0)
        return rc;
    return config_user(&user, a, &c->user, err);
}

int config_in_pod(const char *dir, struct arena *a, struct kube_config *c, struct error *err) {
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    bool v6 = strchr(host, ':') && host[0] != '[';
    const char *ca_path = arena_printf(a, "%s/ca.crt", dir), *ns_path = arena_printf(a, "%s/namespace", dir), *ns = NULL;
    c->origin = arena_printf(a, "service account in %s", dir);
    c->server = arena_printf(a, "https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port && *port ? port : "443");
    c->user.token_file = arena_printf(a, "%s/token", dir);
    c->user.ca_file = ca_path;
    if (!ca_path || !ns_path || !c->origin || !c->server || !c->user.token_file)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = config_file(a, ca_path, "-----BEGIN CERTIFICATE-----", &c->ca_pem, err);
    if (rc < 0)
        return error_wrap(err, rc, "the pod's service account: is automountServiceAccountToken off?");
    rc = config_file(a, ns_path, NULL, &ns, NULL);
    c->namespace = rc == 0 && *ns ? arena_strndup(a, ns, strcspn(ns, "\r\n")) : "default";
    c->context = c->cluster_name = c->user_name = "";
    return c->namespace ? set_cluster_info(a, NULL, c, err) : error_set(err, -ENOMEM, "out of memory");
}

int kube_config_load(const struct kube_config_spec *spec, struct kube_config **ret, struct error *err) {
    cleanup(sources_free) struct sources s = {0};
    struct loaded *l = calloc(1, sizeof *l);
    cleanup(configp_free) struct kube_config *c = l ? &l->config : NULL;
    if (!l || !(l->arena = arena_new()))
        return error_set(err, -ENOMEM, "out of memory");
    int rc = add_sources(&s, spec, err);
    if (rc < 0)
        return rc;
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    if (s.count > 0)
        rc = resolve(&s, spec->context, l->arena, c, err);
    else if (host && *host && !spec->context)
        rc = config_in_pod(spec->account_dir ? spec->account_dir : ACCOUNT_DIR, l->arena, c, err);
    else
        rc = error_set(err, -ENOENT,
                       "no kubeconfig: neither $KUBECONFIG nor ~/.kube/config names a file that is there, and this is no pod");
    if (rc == 0)
        *ret = take_ptr(c);
    return rc;
}
