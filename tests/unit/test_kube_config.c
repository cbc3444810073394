/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "kube/config.h"
#include "kube/plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CERT "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
#define KEY "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"

static char dir[64];
static struct error err;

static const char *in_dir(const char *name) {
    static char path[4][160];
    static unsigned at;
    char *p = path[at++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void write_text(const char *name, const char *text) { assert_int_equal(fs_write_in(dir, name, text, strlen(text), &err), 0); }

static int load(const char *path, const char *context, struct kube_config **ret) {
    const struct kube_config_spec s = {.path = path, .context = context, .account_dir = in_dir("account")};
    err.text[0] = 0;
    *ret = NULL;
    return kube_config_load(&s, ret, &err);
}

static int setup(void **unused) {
    (void)unused;
    static const char *const names[] = {"KUBECONFIG",
                                        "HTTPS_PROXY",
                                        "https_proxy",
                                        "HTTP_PROXY",
                                        "http_proxy",
                                        "NO_PROXY",
                                        "no_proxy",
                                        "KUBERNETES_SERVICE_HOST",
                                        "KUBERNETES_SERVICE_PORT"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        unsetenv(names[i]);
    snprintf(dir, sizeof dir, "/tmp/chaosd-kubeconfig-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    setenv("HOME", dir, 1);
    return 0;
}

static int teardown(void **unused) {
    (void)unused;
    return fs_remove_tree(dir, &err);
}

static const char first[] =
    "apiVersion: v1\nkind: Config\ncurrent-context: one\n"
    "clusters:\n- name: c\n  cluster: {server: \"https://first:6443/\", certificate-authority: pki/ca.crt}\n"
    "contexts:\n- name: one\n  context: {cluster: c, user: u}\n- name: lost\n  context: {cluster: c, user: nobody}\n";
static const char second[] =
    "current-context: two\n"
    "clusters:\n- name: c\n  cluster: {server: \"https://second:6443\"}\n- name: d\n  cluster: {server: \"https://d/k8s/clusters/c-1\", "
    "insecure-skip-tls-verify: true, tls-server-name: api.lab, proxy-url: \"socks5://p:1080\"}\n"
    "users:\n- name: u\n  user: {token: 12345}\n- name: v\n  user: {client-certificate: v.crt, client-key: /nowhere/v.key}\n"
    "contexts:\n- name: two\n  context: {cluster: d, user: u, namespace: shop}\n- name: three\n  context: {cluster: d, user: v}\n";

static void files_are_merged_and_the_first_wins(void **unused) {
    (void)unused;
    cleanup_buf struct buf list = {0};
    struct kube_config *c;
    write_text("a/config", first);
    write_text("a/pki/ca.crt", CERT);
    write_text("b/config", second);
    write_text("empty", "# nothing yet\n---\n");
    buf_printf(&list, "%s::%s:%s:%s", in_dir("missing"), in_dir("empty"), in_dir("a/config"), in_dir("b/config"));
    setenv("KUBECONFIG", list.data, 1);
    assert_int_equal(load(NULL, NULL, &c), 0);
    assert_string_equal(c->context, "one");
    assert_string_equal(c->server, "https://first:6443");
    assert_string_equal(c->ca_pem, CERT); /* from the folder of its file */
    assert_string_equal(c->user.token, "12345"); /* from the other file, and no number */
    assert_string_equal(c->namespace, "default");
    assert_null(c->proxy);
    kube_config_free(c);
    assert_int_equal(load(NULL, "two", &c), 0);
    assert_string_equal(c->server, "https://d/k8s/clusters/c-1");
    assert_string_equal(c->tls_name, "api.lab");
    assert_string_equal(c->proxy, "socks5://p:1080");
    assert_string_equal(c->namespace, "shop");
    assert_true(c->insecure);
    kube_config_free(c);
    assert_int_equal(load(NULL, "three", &c), -EINVAL);
    assert_non_null(strstr(err.text, "b/config:11:"));
    assert_non_null(strstr(err.text, "v.crt: No such file"));
    assert_int_equal(load(NULL, "tow", &c), -ENOENT);
    assert_non_null(strstr(err.text, "no context \"tow\", did you mean \"two\"?: there are one, lost, two, three"));
    assert_int_equal(load(NULL, "lost", &c), -ENOENT);
    assert_non_null(strstr(err.text, "no user \"nobody\""));
    unsetenv("KUBECONFIG");
}

static void the_homes_file_is_taken(void **unused) {
    (void)unused;
    struct kube_config *c;
    assert_int_equal(load(NULL, NULL, &c), -ENOENT);
    assert_non_null(strstr(err.text, "no kubeconfig"));
    write_text(".kube/config", second);
    setenv("HTTPS_PROXY", "proxy:3128", 1);
    setenv("NO_PROXY", "10.0.0.0/8", 1);
    assert_int_equal(load(NULL, NULL, &c), 0);
    assert_string_equal(c->context, "two");
    assert_string_equal(c->proxy, "socks5://p:1080"); /* the file's before the environment's */
    assert_null(c->no_proxy);
    kube_config_free(c);
    cleanup_buf struct buf b = {0};
    buf_printf(&b, "%s",
               "clusters: [{name: c, cluster: {server: \"https://h\"}}]\nusers: []\ncontexts: [{name: x, context: {cluster: "
               "c}}]\ncurrent-context: x\n");
    write_text("plain", b.data);
    assert_int_equal(load(in_dir("plain"), NULL, &c), 0);
    assert_string_equal(c->proxy, "http://proxy:3128");
    assert_string_equal(c->no_proxy, "localhost,127.0.0.0/8,::1,10.0.0.0/8");
    kube_config_free(c);
    unsetenv("HTTPS_PROXY");
    unsetenv("NO_PROXY");
    assert_int_equal(load(in_dir("none"), NULL, &c), -ENOENT);
}

/* One cluster, one user of this text. */
static int load_user(const char *user, struct kube_config **ret) {
    cleanup_buf struct buf b = {0};
    buf_printf(&b,
               "clusters: [{name: c, cluster: {server: \"https://h\"}}]\ncontexts: [{name: x, context: {cluster: c, user: "
               "u}}]\ncurrent-context: x\n"
               "users:\n- name: u\n  user:\n    %s\n",
               user);
    write_text("user", b.data);
    return load(in_dir("user"), NULL, ret);
}

static void who_we_are(void **unused) {
    (void)unused;
    struct kube_config *c;
    cleanup_buf struct buf cert = {0}, key = {0}, user = {0};
    base64_add(&cert, CERT, strlen(CERT));
    base64_add(&key, KEY, strlen(KEY));
    buf_printf(&user, "{client-certificate-data: %s, client-key-data: %s, client-key: ignored}", cert.data, key.data);
    assert_int_equal(load_user(user.data, &c), 0);
    assert_string_equal(c->user.cert_pem, CERT);
    assert_string_equal(c->user.key_pem, KEY);
    kube_config_free(c);
    assert_int_equal(load_user("{tokenFile: t/token, token: old, as: bob, as-groups: [g, h]}", &c), 0);
    assert_string_equal(c->user.token_file, in_dir("t/token"));
    assert_string_equal(c->user.act_as, "bob");
    assert_string_equal(c->user.act_as_groups[1], "h");
    kube_config_free(c);
    assert_int_equal(load_user("{exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: bin/login, args: [a, 1], env: [{name: "
                               "N, value: v}], provideClusterInfo: true}}",
                               &c),
                     0);
    assert_string_equal(c->user.exec->command, in_dir("bin/login"));
    assert_string_equal(c->user.exec->args[1], "1");
    assert_null(c->user.exec->args[2]);
    assert_string_equal(c->user.exec->env[0], "N=v");
    assert_true(c->user.exec->cluster_info);
    kube_config_free(c);
    assert_int_equal(load_user("{exec: {apiVersion: client.authentication.k8s.io/v1, command: login}}", &c), 0);
    assert_string_equal(c->user.exec->command, "login"); /* looked up in PATH */
    kube_config_free(c);
}

static void bad_input_is_one_clear_sentence_without_a_secret(void **unused) {
    (void)unused;
    static const struct { const char *user, *say; } users[] = {
        {"{client-certificate-data: \"s3cret!!\", client-key-data: x}", "user:7:31: user \"u\": client-certificate-data: not base64"},
        {"{client-certificate-data: czNjcmV0}", "not in PEM: no \"-----BEGIN CERTIFICATE-----\""},
        {"{client-key: no.key}", "no.key: No such file"},
        {"{token: [s3cret]}", "token: expected a text"},
        {"{token: \"s3cret\\ns3cret\"}", "token: more than one line"},
        {"{as: bob, as-uid: \"7\"}", "not understood here"},
        {"{auth-provider: {name: gcp}}", "use an exec plugin"},
        {"{exec: {command: x, apiVersion: client.authentication.k8s.io/v1alpha1}}", "expected client.authentication.k8s.io/v1 or v1beta1"},
        {"{exec: {apiVersion: client.authentication.k8s.io/v1}}", "which program"},
        {"{exec: {command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always}}", "terminal"},
        {"{exec: {command: x, apiVersion: client.authentication.k8s.io/v1, env: [{value: s3cret}]}}", "list of {name, value}"},
        {"{exec: {command: x, apiVersion: client.authentication.k8s.io/v1}, token: s3cret}", "beside a token"},
    };
    struct kube_config *c;
    for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
        assert_int_equal(load_user(users[i].user, &c), -EINVAL);
        if (!strstr(err.text, users[i].say) || strstr(err.text, "s3cret") || strstr(err.text, "czNj"))
            fail_msg("%s\n%s", users[i].user, err.text);
    }
    static const struct { const char *text, *say;
    } files[] = {
        {"clusters: [", "kubeconfig"},
        {"- a\n", "expected a mapping"},
        {"{}\n", "no current-context"},
        {"current-context: x\n", "no context \"x\": there are none"},
        {"current-context: x\ncontexts: [{name: x}]\n", "expected a mapping \"context:\""},
        {"current-context: x\ncontexts: [{name: x, context: {user: u}}]\n", "cluster: missing"},
        {"current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {}}]\n", "server: missing"},
        {"current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: h:6443}}]\n",
         "begins with https://"},
        {"current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: "
         "\"https://a:s3cret@h\"}}]\n",
         "put it under users"},
        {"current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: \"https://h\", "
         "proxy-url: \"h:1\"}}]\n",
         "proxy"},
        {"current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: \"https://\"}}]\n",
         "no host"},
        {"current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: \"https://h\", "
         "insecure-skip-tls-verify: 3}}]\n",
         "true or false"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        write_text("bad", files[i].text);
        int rc = load(in_dir("bad"), NULL, &c);
        if (rc == 0 || !strstr(err.text, files[i].say) || strstr(err.text, "s3cret"))
            fail_msg("%s\n%d %s", files[i].text, rc, err.text);
    }
}

static void a_pod_has_its_service_account(void **unused) {
    (void)unused;
    struct kube_config *c;
    char home[200];
    snprintf(home, sizeof home, "%s/nobody", dir);
    setenv("HOME", home, 1);
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "6443", 1);
    assert_int_equal(load(NULL, NULL, &c), -ENOENT);
    assert_non_null(strstr(err.text, "automountServiceAccountToken"));
    write_text("account/ca.crt", CERT);
    write_text("account/namespace", "chaos\n");
    assert_int_equal(load(NULL, NULL, &c), 0);
    assert_string_equal(c->server, "https://[fd00::1]:6443");
    assert_string_equal(c->namespace, "chaos");
    assert_string_equal(c->user.token_file, in_dir("account/token"));
    assert_string_equal(c->ca_pem, CERT);
    kube_config_free(c);
    unsetenv("KUBERNETES_SERVICE_HOST");
    setenv("HOME", dir, 1);
}

static void what_a_credential_program_prints(void **unused) {
    (void)unused;
#define V1 "client.authentication.k8s.io/v1"
#define HEAD "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":"
    static const struct { const char *text, *say; } bad[] = {
        {"", "no JSON"},
        {"s3cret-token", "no JSON"},
        {"{\"token\":\"s3cret-token\"", "no JSON"},
        {"{\"kind\":\"s3cret-token\"}", "another kind"},
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\"}", "another version than " V1},
        {HEAD "{}}", "neither a token nor a certificate"},
        {HEAD "{\"clientCertificateData\":\"s3cret-token\"}}", "without its key"},
        {HEAD "{\"token\":\"s3cret-token\\r\\nX: y\"}}", "blanks or line ends"},
        {HEAD "{\"token\":\"s3cret-token\",\"expirationTimestamp\":\"soon\"}}", "no time"},
    };
    struct plugin_credential c = {0};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(plugin_credential_parse(bad[i].text, strlen(bad[i].text), V1, &c, &err), -EINVAL);
        if (!strstr(err.text, bad[i].say) || strstr(err.text, "s3cret"))
            fail_msg("%s: %s", bad[i].text, err.text);
    }
    const char *good = HEAD "{\"token\":\"t\",\"expirationTimestamp\":\"2026-11-21T08:15:09Z\"}}";
    assert_int_equal(plugin_credential_parse(good, strlen(good), V1, &c, &err), 0);
    assert_string_equal(c.token, "t");
    assert_int_equal(c.expires_s, 1795248909);
    plugin_credential_free(&c);
    char said[] = "login failed for token eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.abcdefghijkl at /home/u/.aws/credentials \x1b[31m";
    assert_string_equal(plugin_hide(said), "login failed for token *** at /home/u/.aws/credentials ?[31m");
}

static void base64_both_ways(void **unused) {
    (void)unused;
    for (size_t len = 0; len < 40; len++) {
        cleanup_buf struct buf text = {0}, back = {0};
        unsigned char data[40];
        for (size_t i = 0; i < len; i++)
            data[i] = (unsigned char)(i * 37 + len * 11);
        buf_str(&text, "");
        base64_add(&text, data, len);
        assert_true(base64_decode(text.data, &back));
        assert_int_equal(back.len, len);
        if (len)
            assert_memory_equal(back.data, data, len);
    }
    static const char *const bad[] = {"A", "AAAAA", "AA*A", "AA=A", "\xff\xff"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        cleanup_buf struct buf back = {0};
        assert_false(base64_decode(bad[i], &back));
    }
    cleanup_buf struct buf back = {0};
    assert_true(base64_decode(" Z2\n9v ZA ", &back));
    assert_string_equal(back.data, "good");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_merged_and_the_first_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(the_homes_file_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(who_we_are, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_input_is_one_clear_sentence_without_a_secret, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pod_has_its_service_account, setup, teardown),
        cmocka_unit_test(what_a_credential_program_prints),
        cmocka_unit_test(base64_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
