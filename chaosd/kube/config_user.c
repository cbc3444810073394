/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config_priv.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

/* A list of texts, or of what fmt makes of {name, value}. */
static int texts(const struct entry *e, struct arena *a, const char *key, const json_t *list, bool pairs, const char *const **ret,
                 struct error *err) {
    size_t i, count = json_array_size(list);
    json_t *item;
    const char **out = arena_alloc(a, (count + 1) * sizeof *out);
    if (!out)
        return error_set(err, -ENOMEM, "out of memory");
    if (list && !json_is_array(list) && !json_is_null(list))
        return entry_bad(e, key, err, "expected a list");
    json_array_foreach(list, i, item) {
        char number[64];
        const char *name = json_str_or(item, "name", NULL),
                   *text = json_text(pairs ? json_object_get(item, "value") : item, number, sizeof number);
        if (!text || (pairs && (!name || strchr(name, '='))))
            return entry_bad(e, key, err, pairs ? "expected a list of {name, value}" : "expected a list of texts");
        out[i] = pairs ? arena_printf(a, "%s=%s", name, text) : arena_strdup(a, text);
        if (!out[i])
            return error_set(err, -ENOMEM, "out of memory");
    }
    *ret = out;
    return 0;
}

static int check_version(const struct entry *e, const char *version, struct error *err) {
    static const char *const known[] = {"client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"};
    for (size_t i = 0; version && i < ARRAY_SIZE(known); i++)
        if (strcmp(known[i], version) == 0)
            return 0;
    return entry_bad(e, "exec", err, "apiVersion \"%.60s\": expected client.authentication.k8s.io/v1 or v1beta1", version ? version : "");
}

static int read_exec(const struct entry *user, struct arena *a, struct kube_exec *ret, struct error *err) {
    const json_t *body = json_object_get(user->body, "exec");
    struct entry e = *user;
    e.body = body;
    e.what = "user";
    strncat(e.path, "/exec", sizeof e.path - strlen(e.path) - 1);
    const char *mode;
    if (!json_is_object(body))
        return entry_bad(user, "exec", err, "expected a mapping with a \"command\"");
    int rc = entry_text(&e, a, "command", &ret->command, err);
    if (rc == 0 && !ret->command)
        return entry_bad(&e, "command", err, "missing: which program prints the credentials?");
    if (rc == 0 && strchr(ret->command, '/') && !(ret->command = entry_path(&e, a, ret->command)))
        return error_set(err, -ENOMEM, "out of memory");
    if (rc < 0 || (rc = entry_text(&e, a, "apiVersion", &ret->api_version, err)) < 0 ||
        (rc = check_version(user, ret->api_version, err)) < 0 || (rc = entry_text(&e, a, "installHint", &ret->install_hint, err)) < 0 ||
        (rc = entry_text(&e, a, "interactiveMode", &mode, err)) < 0 ||
        (rc = entry_flag(&e, "provideClusterInfo", &ret->cluster_info, err)) < 0)
        return rc;
    if (mode && strcmp(mode, "Always") == 0)
        return entry_bad(&e, "interactiveMode", err,
                         "the program wants to ask at a terminal, and chaosd has none to give: use a token or a certificate");
    if (!ret->install_hint)
        ret->install_hint = "";
    if ((rc = texts(&e, a, "args", json_object_get(body, "args"), false, &ret->args, err)) < 0)
        return rc;
    return texts(&e, a, "env", json_object_get(body, "env"), true, &ret->env, err);
}

int config_user(const struct entry *e, struct arena *a, struct kube_user *ret, struct error *err) {
    const char *file;
    int rc = entry_pem(e, a, "client-certificate", "-----BEGIN CERTIFICATE-----", &ret->cert_pem, err);
    if (rc < 0 || (rc = entry_pem(e, a, "client-key", "PRIVATE KEY-----", &ret->key_pem, err)) < 0 ||
        (rc = entry_text(e, a, "token", &ret->token, err)) < 0 || (rc = entry_text(e, a, "tokenFile", &file, err)) < 0 ||
        (rc = entry_text(e, a, "username", &ret->username, err)) < 0 || (rc = entry_text(e, a, "password", &ret->password, err)) < 0 ||
        (rc = entry_text(e, a, "as", &ret->act_as, err)) < 0 ||
        (rc = texts(e, a, "as-groups", json_object_get(e->body, "as-groups"), false, &ret->act_as_groups, err)) < 0)
        return rc;
    if (!ret->cert_pem != !ret->key_pem)
        return entry_bad(e, ret->cert_pem ? "client-certificate" : "client-key", err, "without its %s",
                         ret->cert_pem ? "client-key" : "client-certificate");
    if (ret->key_pem && strstr(ret->key_pem, "ENCRYPTED")) /* OpenSSL would ask for the password at the terminal */
        return entry_bad(e, "client-key", err, "locked by a password: give the key without one");
    if (file && !(ret->token_file = entry_path(e, a, file)))
        return error_set(err, -ENOMEM, "out of memory");
    if (ret->token && strpbrk(ret->token, "\r\n"))
        return entry_bad(e, "token", err, "more than one line");
    static const char *const unheard[] = {"as-uid", "as-user-extra"}; /* left out, they would make us somebody else */
    for (size_t i = 0; i < ARRAY_SIZE(unheard); i++)
        if (json_object_get(e->body, unheard[i]))
            return entry_bad(e, unheard[i], err, "not understood here: act as a user and groups alone");
    if (json_object_get(e->body, "auth-provider"))
        return entry_bad(e, "auth-provider", err,
                         "no longer part of Kubernetes: use an exec plugin (kubectl itself dropped most of them in 1.26)");
    if (!json_object_get(e->body, "exec"))
        return 0;
    if (ret->token || ret->token_file || ret->username)
        return entry_bad(e, "exec", err, "beside a token or a name: keep one of them");
    struct kube_exec *x = arena_alloc(a, sizeof *x);
    ret->exec = x;
    return x ? read_exec(e, a, x, err) : error_set(err, -ENOMEM, "out of memory");
}
