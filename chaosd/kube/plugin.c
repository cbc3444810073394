/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/plugin.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/harmful.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "io/child.h"
#include "io/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

enum {
    MAX_OUTPUT = 1 << 20,
    MAX_SAID = 300,   /* of the last line on stderr */
    MAX_WORD = 24,    /* longer ones may be a secret */
    REAP_MS = 100,
};

struct plugin {
    const struct kube_exec *x;
    struct child *child;
    struct line_reader *out, *said;
    struct timer *timer;
    struct buf text;
    char last[MAX_SAID + 1];
    int64_t limit_ns;
    bool timed_out, too_big, over;
    void (*done)(int rc, struct plugin_credential *c, const struct error *why, void *arg);
    void *arg;
};

void plugin_credential_free(struct plugin_credential *c) {
    free(c->token);
    free(c->cert_pem);
    free(c->key_pem);
    *c = (struct plugin_credential){0};
}

static bool header_safe(const char *token) {
    for (; *token; token++)
        if (*token <= ' ' || *token >= 0x7f)
            return false;
    return true;
}

static char *copy(const json_t *status, const char *key) {
    const char *s = json_str_or(status, key, "");
    return *s ? strdup(s) : NULL;
}

static int check_credential(const struct plugin_credential *c, const json_t *status, struct error *err) {
    const char *expires = json_str_or(status, "expirationTimestamp", "");
    if (!c->token && !c->cert_pem)
        return error_set(
            err, -EINVAL,
            "neither a token nor a certificate is in its ExecCredential: expected status.token or status.clientCertificateData");
    if (!c->cert_pem != !c->key_pem)
        return error_set(err, -EINVAL, "a certificate without its key, or the other way round, is in its ExecCredential");
    if (c->token && !header_safe(c->token))
        return error_set(err, -EINVAL, "the token in its ExecCredential has blanks or line ends in it");
    if (*expires && !c->expires_s)
        return error_set(err, -EINVAL, "expirationTimestamp in its ExecCredential is no time: expected one as 2026-11-22T05:33:11Z");
    return 0;
}

int plugin_credential_parse(const char *text, size_t len, const char *api_version, struct plugin_credential *ret, struct error *err) {
    json_error_t why;
    cleanup_json json_t *root = json_loadb(text, len, 0, &why);
    if (!root) /* jansson's words quote the text */
        return error_set(err, -EINVAL, "it printed no JSON (line %d, column %d): expected an ExecCredential", why.line, why.column);
    if (strcmp(json_str_or(root, "kind", ""), "ExecCredential") != 0)
        return error_set(err, -EINVAL, "it printed JSON of another kind than ExecCredential");
    if (strcmp(json_str_or(root, "apiVersion", ""), api_version) != 0)
        return error_set(err, -EINVAL, "it answered in another version than %s, which the kubeconfig asks for", api_version);
    const json_t *status = json_object_get(root, "status");
    int64_t ns;
    struct plugin_credential c = {copy(status, "token"), copy(status, "clientCertificateData"), copy(status, "clientKeyData"), 0};
    if (timestamp_find(json_str_or(status, "expirationTimestamp", ""), &ns))
        c.expires_s = ns / 1000000000;
    int rc = check_credential(&c, status, err);
    if (rc < 0)
        plugin_credential_free(&c);
    else
        *ret = c;
    return rc;
}

char *plugin_hide(char *text) {
    for (char *p = text; *p;) {
        size_t n = strcspn(p, " \t\"'/,;:()=");
        if (n > MAX_WORD) {
            memcpy(p, "***", 3);
            memmove(p + 3, p + n, strlen(p + n) + 1);
            n = 3;
        }
        p += n;
        p += *p != 0;
    }
    for (char *p = text; *p; p++)
        if (harmful(p))
            *p = '?';
    return text;
}

static void on_line(const char *line, size_t len, bool cut, void *arg) {
    struct plugin *p = arg;
    if (!p->too_big && p->text.len + len < MAX_OUTPUT && !cut) {
        buf_add(&p->text, line, len);
        buf_str(&p->text, "\n");
    } else {
        p->too_big = true;
    }
}

static void on_said(const char *line, size_t len, bool cut, void *arg) {
    (void)cut;
    struct plugin *p = arg;
    if (len)
        snprintf(p->last, sizeof p->last, "%s", line);
}

static void kill_all(struct plugin *p) {
    if (child_signal(p->child, SIGKILL, NULL) == 0) /* it is there, so its number is its own; it leads a session */
        kill(-child_pid(p->child), SIGKILL);
}

static void on_timer(void *arg) {
    struct plugin *p = arg;
    p->timed_out = true;
    kill_all(p);
}

static int judge(struct plugin *p, const struct child_exit *e, struct plugin_credential *c, struct error *err) {
    const char *said = plugin_hide(p->last);
    if (p->timed_out)
        return error_set(err, -ETIMEDOUT, "no end within %.0f s: does it wait for somebody? Run it by hand once, or give a token",
                         (double)p->limit_ns / 1e9);
    if (e->signalled || e->code != 0)
        return error_set(err, -EIO, "%s %d%s%s", e->signalled ? "ended by signal" : "exit status", e->code, *said ? ": " : "", said);
    if (p->too_big || !buf_ok(&p->text))
        return error_set(err, -EFBIG, "it printed over %d bytes", MAX_OUTPUT);
    return plugin_credential_parse(p->text.data ? p->text.data : "", p->text.len, p->x->api_version, c, err);
}

static void on_exited(const struct child_exit *e, void *arg) {
    struct plugin *p = arg;
    struct plugin_credential c = {0};
    struct error err = {{0}};
    p->over = true;
    timer_stop(p->timer);
    line_reader_drain(p->out);
    line_reader_drain(p->said);
    int rc = judge(p, e, &c, &err);
    if (rc < 0)
        error_wrap(&err, rc, "credential program %s", p->x->command);
    p->done(rc, &c, &err, p->arg); /* may free p */
}

void plugin_free(struct plugin *p) {
    if (!p)
        return;
    if (p->child && !p->over) {
        kill_all(p);
        struct pollfd gone = {.fd = child_pidfd(p->child), .events = POLLIN};
        poll(&gone, 1, REAP_MS);
    }
    child_free(p->child);
    line_reader_free(p->out);
    line_reader_free(p->said);
    timer_free(p->timer);
    buf_free(&p->text);
    free(p);
}

/* A pipe whose one end a reader has; the other is the child's. */
static int reader(struct loop *l, struct plugin *p, size_t max, void (*line)(const char *, size_t, bool, void *), struct line_reader **ret,
                  int *ret_fd, struct error *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, "pipe");
    const struct line_reader_spec spec = {.fd = ends[0], .max_line = max, .line = line, .arg = p};
    int rc = line_reader_new(l, &spec, ret, err);
    if (rc < 0) {
        close(ends[0]);
        close(ends[1]);
        return rc;
    }
    *ret_fd = ends[1];
    return 0;
}

/* What the program is told: who asks, and of which cluster. Caller frees; NULL: out of memory. */
static char *exec_info(const struct kube_exec *x, const json_t *cluster_info) {
    cleanup_json json_t *info = json_pack("{s:s, s:s, s:{s:b, s:O*}}", "apiVersion", x->api_version, "kind", "ExecCredential", "spec",
                                          "interactive", 0, "cluster", x->cluster_info ? cluster_info : NULL);
    cleanup_free char *text = info ? json_dumps(info, JSON_COMPACT) : NULL;
    char *line = NULL;
    return text && asprintf(&line, "KUBERNETES_EXEC_INFO=%s", text) >= 0 ? line : NULL;
}

static size_t count_of(const char *const *list) {
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

static bool names_same(const char *a, const char *b) {
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n + 1) == 0;
}

/* Ours, what the kubeconfig adds instead of or beside it, and the last word. Borrowed texts. */
static const char **environment(const struct kube_exec *x, const char *info) {
    size_t n = 0;
    const char *const *own = (const char *const *)environ;
    const char **env = calloc(count_of(own) + count_of(x->env) + 2, sizeof *env);
    if (!env)
        return NULL;
    for (; own && *own; own++) {
        bool replaced = names_same(info, *own);
        for (const char *const *e = x->env; !replaced && *e; e++)
            replaced = names_same(*e, *own);
        if (!replaced)
            env[n++] = *own;
    }
    for (const char *const *e = x->env; *e; e++)
        env[n++] = *e;
    env[n] = info;
    return env;
}

static int spawn(struct loop *l, struct plugin *p, const json_t *cluster_info, struct error *err) {
    const struct kube_exec *x = p->x;
    cleanup_close int out = -1, said = -1;
    cleanup_free char *info = exec_info(x, cluster_info);
    cleanup_free const char **env = info ? environment(x, info) : NULL;
    cleanup_free const char **argv = calloc(count_of(x->args) + 2, sizeof *argv);
    if (!env || !argv)
        return error_set(err, -ENOMEM, "out of memory");
    argv[0] = x->command;
    for (size_t i = 0; x->args[i]; i++)
        argv[i + 1] = x->args[i];
    int rc = timer_new(l, on_timer, p, &p->timer, err);
    if (rc < 0 || (rc = reader(l, p, MAX_OUTPUT, on_line, &p->out, &out, err)) < 0 ||
        (rc = reader(l, p, MAX_SAID, on_said, &p->said, &said, err)) < 0)
        return rc;
    const struct child_spec spec = {
        .argv = (char *const *)argv,
        .envp = (char *const *)env,
        .stdin_fd = -1,
        .stdout_fd = out,
        .stderr_fd = said,
        .netns_fd = -1,
        .cgroup_fd = -1,
        .exited = on_exited,
        .arg = p,
    };
    rc = child_spawn(l, &spec, &p->child, err);
    if (rc == 0)
        timer_after(p->timer, p->limit_ns);
    return rc;
}

int plugin_start(struct loop *l, const struct kube_exec *x, const json_t *cluster_info, int64_t limit_ns,
                 void (*done)(int rc, struct plugin_credential *c, const struct error *why, void *arg), void *arg, struct plugin **ret,
                 struct error *err) {
    struct plugin *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, -ENOMEM, "out of memory");
    p->x = x;
    p->done = done;
    p->arg = arg;
    p->limit_ns = limit_ns;
    int rc = spawn(l, p, cluster_info, err);
    if (rc < 0) {
        struct error why = err ? *err : (struct error){{0}};
        error_set(err, rc, "credential program %.700s%s%.200s", why.text, *x->install_hint ? "; " : "", x->install_hint);
        plugin_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}
