/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/auth.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "kube/plugin.h"

#include <errno.h>
#include <string.h>

enum { MAX_TOKEN = 64 << 10, MAX_CA = 1 << 20, EARLY_S = 10 };
#define READ_AGAIN_NS (50 * NS_PER_S) /* at least each minute */
#define ASK_AGAIN_NS NS_PER_S

struct kube_auth {
    struct loop *loop;
    const struct kube_config *config;
    struct kube_credentials *now; /* NULL: none yet, or refused */
    int64_t read_ns;              /* when the token's file was read, or the program answered */
    struct plugin *plugin;        /* being asked */
    int64_t plugin_limit_ns, failed_ns; /* failed_ns: when it failed; 0: it did not */
    int failed_rc;
    struct error failed;
    void (*changed)(void *arg);
    void *arg;
};

void kube_credentials_release(struct kube_credentials *c) {
    if (!c || --c->holds > 0)
        return;
    free(c->authorization);
    free(c->cert_pem);
    free(c->key_pem);
    free(c->ca_pem);
    free(c);
}

static char *copy_or_null(const char *s) { return s ? strdup(s) : NULL; }

/* Puts them in place of what was there. */
static int put(struct kube_auth *a, const char *scheme, const char *secret, const char *cert_pem, const char *key_pem, int64_t expires_s,
               struct error *err) {
    struct kube_credentials *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, -ENOMEM, "out of memory");
    *c = (struct kube_credentials){
        .holds = 1, .cert_pem = copy_or_null(cert_pem), .key_pem = copy_or_null(key_pem), .expires_s = expires_s};
    if (secret && asprintf(&c->authorization, "Authorization: %s %s", scheme, secret) < 0)
        c->authorization = NULL;
    if ((secret && !c->authorization) || (cert_pem && !c->cert_pem) || (key_pem && !c->key_pem)) {
        kube_credentials_release(c);
        return error_set(err, -ENOMEM, "out of memory");
    }
    kube_credentials_release(a->now);
    a->now = c;
    return 0;
}

int kube_auth_new(struct loop *l, const struct kube_config *config, int64_t plugin_limit_ns, void (*changed)(void *arg), void *arg,
                  struct kube_auth **ret, struct error *err) {
    struct kube_auth *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(err, -ENOMEM, "out of memory");
    *a = (struct kube_auth){.loop = l, .config = config, .plugin_limit_ns = plugin_limit_ns, .changed = changed, .arg = arg};
    *ret = a;
    return 0;
}

void kube_auth_free(struct kube_auth *a) {
    if (!a)
        return;
    plugin_free(a->plugin);
    kube_credentials_release(a->now);
    free(a);
}

/* The cluster's certificate authority may be replaced while we run. One that is no certificate is not taken: what we have goes on. */
static char *read_ca(const struct kube_auth *a) {
    const char *had = a->now ? a->now->ca_pem : NULL;
    cleanup_buf struct buf text = {0};
    if (!a->config->user.ca_file)
        return NULL;
    if (fs_read(a->config->user.ca_file, MAX_CA, &text, NULL) == 0 && text.len && strstr(text.data, "-----BEGIN CERTIFICATE-----"))
        return strdup(text.data);
    return copy_or_null(had);
}

static int read_token(struct kube_auth *a, struct error *err) {
    const struct kube_user *u = &a->config->user;
    cleanup_buf struct buf text = {0};
    a->read_ns = loop_now();
    int rc = fs_read(u->token_file, MAX_TOKEN, &text, err);
    if (rc < 0)
        return a->now || u->token ? 0 : error_wrap(err, rc, "the token's file"); /* it may be back the next time */
    while (text.len && strchr(" \t\r\n", text.data[text.len - 1]))
        text.data[--text.len] = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
            return error_set(err, -EINVAL, "the token's file %s: no token: blanks or control characters in it", u->token_file);
    if (!text.len)
        return error_set(err, -EINVAL, "the token's file %s is empty", u->token_file);
    const char *had = a->now && a->now->authorization ? strrchr(a->now->authorization, ' ') + 1 : "";
    cleanup_free char *ca = read_ca(a);
    if (strcmp(had, text.data) == 0 && (!ca || (a->now->ca_pem && strcmp(ca, a->now->ca_pem) == 0)))
        return 0;
    rc = put(a, "Bearer", text.data, u->cert_pem, u->key_pem, 0, err);
    if (rc == 0)
        a->now->ca_pem = take_ptr(ca);
    return rc;
}

static int fixed(struct kube_auth *a, struct error *err) {
    const struct kube_user *u = &a->config->user;
    cleanup_buf struct buf pair = {0}, basic = {0};
    if (a->now)
        return 0;
    if (u->token || !u->username)
        return put(a, "Bearer", u->token, u->cert_pem, u->key_pem, 0, err);
    buf_printf(&pair, "%s:%s", u->username, u->password ? u->password : "");
    if (buf_ok(&pair))
        base64_add(&basic, pair.data, pair.len);
    return buf_ok(&pair) && buf_ok(&basic) ? put(a, "Basic", basic.data, u->cert_pem, u->key_pem, 0, err)
                                           : error_set(err, -ENOMEM, "out of memory");
}

static void on_plugin(int rc, struct plugin_credential *c, const struct error *why, void *arg) {
    struct kube_auth *a = arg;
    const struct kube_user *u = &a->config->user;
    a->failed = *why;
    if (rc == 0)
        rc = put(a, "Bearer", c->token, c->cert_pem ? c->cert_pem : u->cert_pem, c->key_pem ? c->key_pem : u->key_pem, c->expires_s,
                 &a->failed);
    plugin_credential_free(c);
    a->failed_rc = rc;
    a->read_ns = loop_now();
    a->failed_ns = rc < 0 ? loop_now() : 0;
    plugin_free(take_ptr(a->plugin));
    a->changed(a->arg);
}

static int ask(struct kube_auth *a, struct error *err) {
    if (a->now && (!a->now->expires_s || clock_wall_ns() / NS_PER_S < a->now->expires_s - EARLY_S))
        return 0;
    if (a->plugin)
        return -EAGAIN;
    if (a->failed_ns && loop_now() - a->failed_ns < ASK_AGAIN_NS)
        return error_set(err, a->failed_rc, "%s", a->failed.text);
    if (a->now && loop_now() - a->read_ns < ASK_AGAIN_NS) /* what expires at once is still good for those who waited for it */
        return 0;
    int rc = plugin_start(a->loop, a->config->user.exec, a->config->cluster_info, a->plugin_limit_ns, on_plugin, a, &a->plugin, err);
    return rc == 0 ? -EAGAIN : rc == -EAGAIN ? -EIO : rc;
}

int kube_auth_get(struct kube_auth *a, struct kube_credentials **ret, struct error *err) {
    const struct kube_user *u = &a->config->user;
    int rc = 0;
    if (u->exec)
        rc = ask(a, err);
    else if (u->token_file && (!a->now || loop_now() - a->read_ns >= READ_AGAIN_NS))
        rc = read_token(a, err);
    if (rc == 0 && !a->now)
        rc = fixed(a, err);
    if (rc == 0) {
        a->now->holds++;
        *ret = a->now;
    }
    return rc;
}

bool kube_auth_reread(struct kube_auth *a, const struct kube_credentials *c) {
    if (c == a->now && a->config->user.token_file && !a->config->user.exec)
        read_token(a, NULL);
    return a->now != c; /* there may be others by now in any case */
}

bool kube_auth_refused(struct kube_auth *a, const struct kube_credentials *c) {
    if (c == a->now && a->config->user.exec) {
        kube_credentials_release(take_ptr(a->now));
        return true;
    }
    return kube_auth_reread(a, c);
}
