/* SPDX-License-Identifier: Apache-2.0 */
/* A client of its own for who comes later: `chaosd revert`, a reaper. It has nothing but the access record and the files that it names. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "cluster/kubernetes_priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS = 8 };

struct kubernetes_session {
    struct loop *loop;
    struct http *http;
    struct kube_config *config;
    struct kube *kube;
    struct timer *limit;
};

static void on_limit(void *arg) { (void)arg; } /* that the loop turned is all */

/* One that is not there is kept too: it may come. */
static void add_file(struct buf *out, const char *path) {
    cleanup_free char *real = realpath(path, NULL), *cwd = real || *path == '/' ? NULL : getcwd(NULL, 0);
    buf_printf(out, "%s%s%s%s", out->len ? ":" : "", cwd ? cwd : "", cwd ? "/" : "", real ? real : path);
}

char *kubernetes_config_files(const char *path) {
    const char *list = getenv("KUBECONFIG"), *home = getenv("HOME");
    struct buf out = {0};
    cleanup_free char *copy = NULL;
    if (path) {
        add_file(&out, path);
    } else if (list && *list) {
        char *rest = copy = strdup(list);
        for (char *one; (one = strsep(&rest, ":"));)
            if (*one)
                add_file(&out, one);
    } else if (asprintf(&copy, "%s/.kube/config", home && *home ? home : "/root") >= 0) {
        add_file(&out, copy);
    }
    if (out.len && buf_ok(&out))
        return out.data;
    buf_free(&out);
    return NULL;
}

static int same_server(const json_t *access, const struct kube_config *config, struct error *err) {
    const char *server = json_str_or(access, "server", config->server); /* an older record names none */
    if (strcmp(server, config->server) == 0)
        return 0;
    return error_set(err, -EXDEV, "the change was made at %s, and %s leads to %s: nothing was asked there, and the record stays; have it lead "
                     "to the first again, or: chaosd revert --cluster --kubeconfig FILE", server, config->origin, config->server);
}

/* A record that names neither files nor an account: what kubectl would find. */
static int load_config(const json_t *access, struct kube_config **ret, struct error *err) {
    const char *files = json_str_or(access, "kubeconfig", NULL);
    const bool list = files && strchr(files, ':');
    const bool account = json_is_true(json_object_get(access, "account"));
    const struct kube_config_spec spec = {.path = list ? NULL : files,
                                          .list = list ? files : account ? "" : NULL,
                                          .context = account ? NULL : json_str_or(access, "context", NULL)};
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    if (account && !(host && *host))
        return error_set(err, -ENOENT, "the run used a pod's service account, and this is no pod: name a kubeconfig");
    return kube_config_load(&spec, ret, err);
}

static int fill(struct kubernetes_session *s, const json_t *access, struct error *err) {
    int rc = load_config(access, &s->config, err);
    if (rc < 0 || (rc = same_server(access, s->config, err)) < 0 || (rc = loop_new(&s->loop, err)) < 0 || (rc = http_new(s->loop, CONNECTIONS, &s->http, err)) < 0 ||
        (rc = timer_new(s->loop, on_limit, NULL, &s->limit, err)) < 0)
        return rc;
    const struct kube_spec spec = {.loop = s->loop, .http = s->http, .config = s->config, .seed = (uint64_t)clock_boot_ns()};
    return kube_new(&spec, &s->kube, err);
}

int kubernetes_session_open(const json_t *access, struct kubernetes_session **ret, struct error *err) {
    struct kubernetes_session *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = fill(s, access, err);
    if (rc < 0)
        kubernetes_session_close(s);
    else
        *ret = s;
    return rc;
}

void kubernetes_session_close(struct kubernetes_session *s) {
    if (!s)
        return;
    timer_free(s->limit);
    kube_free(s->kube);
    http_free(s->http);
    kube_config_free(s->config);
    loop_free(s->loop);
    free(s);
}

struct kube *kubernetes_session_client(struct kubernetes_session *s) { return s->kube; }

int kubernetes_session_wait(struct kubernetes_session *s, const bool *done, int64_t limit_ns, struct error *err) {
    const int64_t deadline = loop_now() + limit_ns;
    timer_at(s->limit, deadline);
    while (!*done && loop_now() < deadline)
        loop_once(s->loop);
    timer_stop(s->limit);
    return *done ? 0 : error_set(err, -ETIMEDOUT, "%s did not answer in time", kube_config_of(s->kube)->server);
}
