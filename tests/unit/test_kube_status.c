/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "kube/discovery.h"
#include "kube/status.h"
#include "kube/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const struct kube_where deleting = {.verb = "delete", .group = "", .resource = "pods", .namespace = "shop", .name = "web-1"};
static const struct kube_where listing = {.verb = "list", .group = "", .resource = "nodes"};
static const struct kube_where evicting = {
    .verb = "create", .group = "", .resource = "pods", .subresource = "eviction", .namespace = "shop", .name = "web-1"};
static const struct kube_where patching = {
    .verb = "patch", .group = "apps", .resource = "deployments", .subresource = "scale", .namespace = "shop", .name = "web"};

static void sentences(void **unused) {
    (void)unused;
#define STATUS(reason, message) "{\"kind\":\"Status\",\"reason\":\"" reason "\",\"message\":\"" message "\"}"
    static const struct {
        const struct kube_where *where;
        int status;
        const char *body;
        enum kube_trouble trouble;
        const char *say;
    } rows[] = {
        {&deleting, 200, "{}", KUBE_OK, ""},
        {&deleting, 403,
         STATUS("Forbidden", "pods \\\"web-1\\\" is forbidden: User \\\"system:serviceaccount:chaos:drill\\\" cannot delete resource"),
         KUBE_FORBIDDEN,
         "not allowed to delete pods \"web-1\" in namespace \"shop\": the user is \"system:serviceaccount:chaos:drill\": add the rule "
         "{apiGroups: [\"\"], resources: [\"pods\"], "
         "verbs: [\"delete\"]} to a Role (in that namespace) or ClusterRole bound to it"},
        {&listing, 403, STATUS("Forbidden", "nodes is forbidden: User \\\"bob\\\" cannot list"), KUBE_FORBIDDEN,
         "not allowed to list nodes: the user is \"bob\": add the rule {apiGroups: [\"\"], resources: [\"nodes\"], verbs: [\"list\"]} to a "
         "ClusterRole bound to it"},
        {&patching, 403, STATUS("Forbidden", "User \\\"b\\\" cannot patch"), KUBE_FORBIDDEN,
         "{apiGroups: [\"apps\"], resources: [\"deployments/scale\"], verbs: [\"patch\"]}"},
        {&deleting, 403, STATUS("Forbidden", "admission webhook says no"), KUBE_FORBIDDEN,
         "not allowed to delete pods \"web-1\" in namespace \"shop\": admission webhook says no"},
        {&deleting, 401, STATUS("Unauthorized", "Unauthorized"), KUBE_UNAUTHORIZED, "log in again"},
        {&deleting, 401, NULL, KUBE_UNAUTHORIZED, "status 401"},
        {&deleting, 404, STATUS("NotFound", "pods \\\"web-1\\\" not found"), KUBE_NOT_FOUND,
         "delete pods \"web-1\" in namespace \"shop\": status 404: pods \"web-1\" not found"},
        {&deleting, 404, NULL, KUBE_NOT_API,
         "an answer 404 of type \"text/html\" that is no Kubernetes Status: is this URL an API server's"},
        {&deleting, 409, STATUS("Conflict", "Precondition failed"), KUBE_CONFLICT, "another one by now"},
        {&deleting, 409, STATUS("AlreadyExists", "x"), KUBE_EXISTS, "409"},
        {&listing, 410, STATUS("Expired", "too old"), KUBE_GONE, "too old"},
        {&listing, 410, STATUS("Gone", "too old"), KUBE_GONE, "too old"},
        {&listing, 504, STATUS("Timeout", "Too large resource version"), KUBE_BUSY, "Too large"},
        {&evicting, 429,
         "{\"kind\":\"Status\",\"reason\":\"TooManyRequests\",\"message\":\"m\",\"details\":{\"causes\":[{\"reason\":\"DisruptionBudget\"}]"
         "}}",
         KUBE_BLOCKED, "m"},
        {&evicting, 429, STATUS("TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget."), KUBE_BLOCKED,
         "budget"},
        {&evicting, 429, STATUS("TooManyRequests", "The server has received too many requests"), KUBE_BUSY, "too many"},
        {&deleting, 429, NULL, KUBE_BUSY, "429"},
        {&deleting, 422, STATUS("Invalid", "bad"), KUBE_INVALID, "bad"},
        {&deleting, 400, STATUS("BadRequest", "bad\\u001b[2J"), KUBE_INVALID, "bad [2J"},
        {&deleting, 500, STATUS("InternalError", "etcd"), KUBE_SERVER, "etcd"},
        {&deleting, 500, NULL, KUBE_SERVER, "500"},
        {&deleting, 503, NULL, KUBE_BUSY, "503"},
        {&deleting, 502, NULL, KUBE_BUSY, "502"},
        {&deleting, 302, NULL, KUBE_NOT_API, "302"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = {{0}};
        cleanup_json json_t *body = rows[i].body ? json_loads(rows[i].body, 0, NULL) : NULL;
        assert_true(body || !rows[i].body);
        enum kube_trouble t = kube_status(rows[i].where, rows[i].status, "text/html", body, &err);
        if (t != rows[i].trouble || !strstr(err.text, rows[i].say) || (t != KUBE_OK) != (err.text[0] != 0))
            fail_msg("row %zu: %s: %s", i, kube_trouble_name(t), err.text);
    }
}

static void a_group_that_is_not_served(void **unused) {
    (void)unused;
    static const struct kube_where ours = {.verb = "list", .group = "chaosd.io", .resource = "nodefaults", .namespace = "chaosd-agent"};
    struct error err = {{0}};
    assert_int_equal(kube_status(&ours, 404, "text/plain; charset=utf-8", NULL, &err), KUBE_NOT_FOUND);
    assert_non_null(strstr(err.text, "the server has no nodefaults of chaosd.io, or not in this version"));
    assert_int_equal(kube_status(&ours, 404, "text/html", NULL, &err), KUBE_NOT_API);
    assert_int_equal(kube_status(&ours, 404, NULL, NULL, &err), KUBE_NOT_API);
    assert_int_equal(kube_status(&deleting, 404, "text/plain", NULL, &err), KUBE_NOT_API); /* pods are always served */
}

static void a_path_has_a_rule_of_its_own(void **unused) {
    (void)unused;
    char rule[200];
    kube_where_rule(&(struct kube_where){.verb = "get", .resource = "/version"}, rule, sizeof rule);
    assert_string_equal(rule, "{nonResourceURLs: [\"/version\"], verbs: [\"get\"]}");
}

static void retry_after(void **unused) {
    (void)unused;
    assert_int_equal(kube_retry_after_ns(NULL), -1);
    assert_int_equal(kube_retry_after_ns("0"), 0);
    assert_int_equal(kube_retry_after_ns("12"), 12 * NS_PER_S);
    assert_int_equal(kube_retry_after_ns("-1"), -1);
    assert_int_equal(kube_retry_after_ns("1.5"), -1);
    assert_int_equal(kube_retry_after_ns("Wed, 21 Oct 2015 07:28:00 GMT"), -1);
}

static void versions_that_both_sides_know(void **unused) {
    (void)unused;
    struct kube_api api = {0};
    cleanup_json json_t *v = json_pack("{s:s}", "gitVersion", "v1.34.1+k3s1");
    kube_api_version(&api, v);
    assert_int_equal(api.minor, 34);
    cleanup_json json_t *groups = json_loads(
        "{\"groups\":[{\"name\":\"policy\",\"versions\":[{\"version\":\"v1beta1\"},{\"version\":\"v1\"}]},"
        "{\"name\":\"discovery.k8s.io\",\"versions\":[{\"version\":\"v1beta1\"}]},{\"name\":\"apps\",\"versions\":[{\"version\":\"v2\"}]}]"
        "}",
        0, NULL);
    kube_api_groups(&api, groups);
    assert_string_equal(api.versions[KUBE_PODS], "v1");
    assert_string_equal(api.versions[KUBE_PDBS], "v1");
    assert_string_equal(api.versions[KUBE_ENDPOINTSLICES], "v1beta1");
    assert_null(api.versions[KUBE_DEPLOYMENTS]);
    assert_null(api.versions[KUBE_LEASES]);
    assert_null(api.versions[KUBE_EVICTIONS]); /* said by the pods' subresource alone */
    cleanup_json json_t *core = json_loads("{\"resources\":[{\"name\":\"pods/eviction\",\"group\":\"policy\",\"version\":\"v1beta1\"}]}", 0,
                                           NULL);
    kube_api_core(&api, core);
    assert_string_equal(api.versions[KUBE_EVICTIONS], "v1beta1");
}

static void lines_of_a_watch(void **unused) {
    (void)unused;
    static const struct { const char *text; int line; } rows[] = {
        {"{\"type\":\"ADDED\",\"object\":{}}", KUBE_LINE_ADDED},     {"{\"type\":\"MODIFIED\",\"object\":{}}", KUBE_LINE_MODIFIED},
        {"{\"type\":\"DELETED\",\"object\":{}}", KUBE_LINE_DELETED}, {"{\"type\":\"BOOKMARK\",\"object\":{}}", KUBE_LINE_BOOKMARK},
        {"{\"type\":\"ERROR\",\"object\":{}}", KUBE_LINE_ERROR},     {"{\"type\":\"added\",\"object\":{}}", -1},
        {"{\"type\":\"ADDED\",\"object\":[]}", -1},                  {"{\"type\":\"ADDED\"}", -1},
        {"{\"object\":{}}", -1},                                     {"[]", -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_json json_t *event = json_loads(rows[i].text, 0, NULL);
        enum kube_line line;
        const json_t *o;
        struct error err = {{0}};
        int rc = kube_line_read(event, &line, &o, &err);
        assert_int_equal(rc == 0 ? (int)line : -1, rows[i].line);
        assert_int_equal(rc == 0, o && json_is_object(o) && rows[i].line >= 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences), cmocka_unit_test(a_group_that_is_not_served),
        cmocka_unit_test(a_path_has_a_rule_of_its_own),
        cmocka_unit_test(retry_after),
        cmocka_unit_test(versions_that_both_sides_know),
        cmocka_unit_test(lines_of_a_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
