/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "kube/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static struct error err;

static struct kube_store *new_store(enum kube_kind_id kind) {
    struct kube_store *s = NULL;
    assert_int_equal(kube_store_new(&kube_kinds[kind], &s, &err), 0);
    return s;
}

static json_t *parse(const char *text) {
    json_error_t why;
    json_t *o = json_loads(text, 0, &why);
    if (!o)
        fail_msg("%s", why.text);
    return o;
}

static struct kube_change put(struct kube_store *s, const char *text) {
    cleanup_json json_t *o = parse(text);
    struct kube_change c = {0};
    if (kube_store_put(s, o, &c, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

static const char pod[] =
    "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"shop\",\"uid\":\"u1\",\"resourceVersion\":\"7\",\"creationTimestamp\":\"2026-11-"
    "21T08:15:09Z\","
    "\"deletionTimestamp\":\"2026-11-21T08:16:09.25Z\",\"deletionGracePeriodSeconds\":30,\"labels\":{\"tier\":\"b\",\"app\":\"web\","
    "\"odd\":1},"
    "\"annotations\":{\"kubernetes.io/config.mirror\":\"x\"},\"ownerReferences\":[{\"kind\":\"X\",\"name\":\"no\",\"uid\":\"0\"},"
    "{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"web-abc\",\"uid\":\"r1\",\"controller\":true}]},"
    "\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"new\"},{\"name\":\"main\"},{\"name\":\"side\"}]},\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.9\",\"podIPs\":[{\"ip\":\"10.0.0.9\"},{\"ip\":\"fd00::9\"}],\"startTime\":\"1999-12-31T23:59:59Z\","
    "\"conditions\":["
    "{\"type\":\"PodScheduled\",\"status\":\"True\",\"lastTransitionTime\":\"2024-02-29T00:00:00Z\"},{\"type\":\"Ready\",\"status\":"
    "\"False\","
    "\"lastTransitionTime\":\"2100-03-01T12:00:00Z\"}],\"containerStatuses\":[{\"name\":\"main\",\"containerID\":\"containerd://"
    "0123456789abcdef\","
    "\"ready\":true,\"restartCount\":3,\"state\":{\"running\":{\"startedAt\":\"2026-11-21T08:15:12Z\"}}},{\"name\":\"side\","
    "\"containerID\":\"short\","
    "\"state\":{\"terminated\":{\"reason\":\"OOMKilled\",\"exitCode\":137,\"finishedAt\":\"2026-11-21T08:15:13Z\"}}},{\"name\":\"new\"}]}}";

static void a_pod_is_packed_and_read_back(void **unused) {
    (void)unused;
    struct kube_store *s = new_store(KUBE_PODS);
    struct kube_change c = put(s, pod);
    assert_null(c.before);
    kube_change_end(s, &c);
    struct kube_view v;
    kube_object_view(kube_store_get(s, "shop", "web-1"), &v);
    assert_string_equal(v.name, "web-1");
    assert_string_equal(v.namespace, "shop");
    assert_string_equal(v.uid, "u1");
    assert_string_equal(v.version, "7");
    assert_int_equal(v.labels->count, 2);
    assert_string_equal(kube_pairs_get(v.labels, "app"), "web");
    assert_null(kube_pairs_get(v.labels, "odd"));
    assert_string_equal(v.owner->kind, "ReplicaSet");
    assert_string_equal(v.owner->name, "web-abc");
    assert_string_equal(v.owner->uid, "r1");
    assert_string_equal(v.owner->group, "apps");
    assert_int_equal(v.created_s, 1795248909);
    assert_int_equal(v.deleting_s, 1795248969);
    assert_int_equal(v.grace_s, 30);
    assert_int_equal(v.phase, KUBE_RUNNING);
    assert_string_equal(v.node, "n1");
    assert_string_equal(v.ip, "10.0.0.9");
    assert_string_equal(v.ip2, "fd00::9");
    assert_string_equal(v.container, "new");
    assert_true(v.mirror && v.scheduled && !v.ready);
    assert_int_equal(v.started_s, 946684799);
    assert_int_equal(v.scheduled_s, 1709164800);
    assert_int_equal(v.ready_s, 4107585600);
    assert_int_equal(v.container_count, 3);
    struct kube_container one = kube_object_container(kube_store_get(s, "shop", "web-1"), 0),
                          two = kube_object_container(kube_store_get(s, "shop", "web-1"), 1);
    assert_string_equal(one.id, "0123456789ab");
    assert_int_equal(one.state, KUBE_STARTED);
    assert_int_equal(one.restarts, 3);
    assert_int_equal(one.started_s, 1795248912);
    assert_true(one.ready);
    assert_string_equal(two.id, "short");
    assert_string_equal(two.reason, "OOMKilled");
    assert_int_equal(two.exit_code, 137);
    assert_int_equal(two.state, KUBE_ENDED);
    assert_int_equal(kube_object_container(kube_store_get(s, "shop", "web-1"), 2).state, KUBE_WAITING);
    cleanup_json json_t *labels = kube_pairs_json(v.labels);
    assert_int_equal(json_object_size(labels), 2);
    kube_store_free(s);
}

static void an_unscheduled_pod_keeps_the_schedulers_words(void **unused) {
    (void)unused;
    struct kube_store *s = new_store(KUBE_PODS);
    struct kube_change c = put(
        s,
        "{\"metadata\":{\"name\":\"a\"},\"status\":{\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\","
        "\"reason\":\"Unschedulable\",\"message\":\"0/2 nodes are available\"}]}}");
    struct kube_view v;
    kube_object_view(c.after, &v);
    assert_string_equal(v.reason, "0/2 nodes are available");
    assert_false(v.scheduled);
    assert_null(v.owner);
    assert_string_equal(v.namespace, "");
    assert_string_equal(v.ip2, "");
    assert_int_equal(v.grace_s, -1);
    kube_change_end(s, &c);
    kube_store_free(s);
}

static void changes_tell_what_was_before(void **unused) {
    (void)unused;
    struct kube_store *s = new_store(KUBE_NODES);
    struct kube_view v;
    struct kube_change c = put(
        s, "{\"kind\":\"Node\",\"metadata\":{\"name\":\"n\",\"uid\":\"1\",\"resourceVersion\":\"1\"},\"spec\":{\"unschedulable\":true}}");
    kube_object_view(c.after, &v);
    assert_string_equal(v.body, "{\"spec\":{\"unschedulable\":true}}");
    kube_change_end(s, &c);
    c = put(s, "{\"metadata\":{\"name\":\"n\",\"uid\":\"1\",\"resourceVersion\":\"1\"}}");
    assert_true(c.same);
    kube_change_end(s, &c);
    c = put(s, "{\"metadata\":{\"name\":\"n\",\"uid\":\"1\",\"resourceVersion\":\"2\"}}");
    assert_false(c.same);
    kube_object_view(c.before, &v);
    assert_string_equal(v.version, "1");
    kube_change_end(s, &c);
    /* Deleted: another of its name is not it. */
    cleanup_json json_t *other = parse("{\"metadata\":{\"name\":\"n\",\"uid\":\"9\",\"resourceVersion\":\"3\"}}"),
                        *own = parse("{\"metadata\":{\"name\":\"n\",\"uid\":\"1\",\"resourceVersion\":\"4\"}}");
    assert_int_equal(kube_store_delete(s, other, &c, &err), 0);
    assert_null(c.before);
    kube_change_end(s, &c);
    assert_int_equal(kube_store_count(s), 1);
    assert_int_equal(kube_store_delete(s, own, &c, &err), 0);
    assert_non_null(c.before);
    kube_object_view(c.after, &v);
    assert_string_equal(v.version, "4");
    kube_change_end(s, &c);
    assert_int_equal(kube_store_count(s), 0);
    assert_null(kube_store_get(s, "", "n"));
    kube_store_free(s);
}

static void put_many(struct kube_store *s, int from, int to, int version) {
    char text[400];
    for (int i = from; i < to; i++) {
        snprintf(text, sizeof text,
                 "{\"metadata\":{\"name\":\"p-%d\",\"namespace\":\"n-%d\",\"uid\":\"u%d\",\"resourceVersion\":\"%d\",\"labels\":{\"app\":"
                 "\"a%d\",\"v\":\"%d\"}}}",
                 i, i % 7, i, version, i % 10, version);
        struct kube_change c = put(s, text);
        kube_change_end(s, &c);
    }
}

static void what_a_list_no_longer_has_is_found(void **unused) {
    (void)unused;
    struct kube_store *s = new_store(KUBE_PODS);
    put_many(s, 0, 3000, 1);
    kube_store_mark(s);
    put_many(s, 0, 1000, 1);    /* unchanged */
    put_many(s, 1500, 3000, 2); /* changed */
    int gone = 0;
    struct kube_change c;
    struct kube_view v;
    while (kube_store_take_old(s, &c)) {
        kube_object_view(c.before, &v);
        int i = atoi(v.name + 2);
        assert_true(i >= 1000 && i < 1500);
        gone++;
        kube_change_end(s, &c);
    }
    assert_int_equal(gone, 500);
    assert_int_equal(kube_store_count(s), 2500);
    size_t seen = 0;
    for (const struct kube_object *o = kube_store_next(s, NULL); o; o = kube_store_next(s, o))
        seen++;
    assert_int_equal(seen, 2500);
    kube_store_free(s);
}

static void what_is_shared_is_kept_once_and_goes_with_its_last_holder(void **unused) {
    (void)unused;
    struct intern *in = intern_new();
    cleanup_json json_t *a = parse("{\"x\":\"1\",\"y\":\"2\"}"), *b = parse("{\"y\":\"2\",\"x\":\"1\"}");
    const struct kube_pairs *p = intern_pairs(in, a), *q = intern_pairs(in, b);
    assert_ptr_equal(p, q);
    assert_string_equal(p->items[0].key, "x");
    const struct kube_owner o = {"ReplicaSet", "r", "u", "apps"};
    const struct kube_owner *owner = intern_owner(in, &o), *again = intern_owner(in, &o);
    const char *text = intern_text(in, "x");
    assert_ptr_equal(owner, again);
    assert_ptr_equal(text, p->items[0].key);
    assert_ptr_equal(intern_pairs(in, NULL), intern_pairs(in, NULL));
    intern_release(in, intern_pairs(in, NULL));
    intern_release(in, intern_pairs(in, NULL));
    intern_release(in, intern_pairs(in, NULL));
    intern_release(in, intern_pairs(in, NULL));
    size_t with_empty = intern_count(in);
    assert_int_equal(with_empty, 4 + 1 + 4 + 1 + 1); /* x 1 y 2, the set, the owner's texts, the owner, the empty set */
    intern_release(in, p);
    intern_release(in, q);
    intern_release(in, text);
    intern_release(in, owner);
    assert_int_equal(intern_count(in), 4 + 1 + 1);
    intern_release(in, again);
    assert_int_equal(intern_count(in), 1);
    intern_free(in);
}

static void what_no_server_sends_is_refused(void **unused) {
    (void)unused;
    struct kube_store *s = new_store(KUBE_PODS);
    struct kube_change c;
    static const char *const rows[] = {"{}", "{\"metadata\":3}", "{\"metadata\":{\"name\":\"\"}}", "{\"metadata\":{\"name\":1}}"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cleanup_json json_t *o = parse(rows[i]);
        assert_int_equal(kube_store_put(s, o, &c, &err), -EPROTO);
    }
    cleanup_json json_t *o = parse("{\"metadata\":{\"name\":\"a\"}}"), *many = json_array();
    for (int i = 0; i < 70000; i++)
        json_array_append_new(many, json_object());
    json_object_set_new(o, "status", json_pack("{s:O}", "containerStatuses", many));
    assert_int_equal(kube_store_put(s, o, &c, &err), -EPROTO);
    assert_int_equal(kube_store_count(s), 0);
    kube_store_free(s);
}

static void tables_keep_what_they_say(void **unused) {
    (void)unused;
    struct kube_tables t;
    const char *const keys[] = {"a", "b", NULL};
    assert_int_equal(kube_tables_init(&t, &kube_kinds[KUBE_PODS], keys, &err), 0);
    assert_string_equal(t.annotations[0].key, KUBE_MIRROR);
    assert_string_equal(t.annotations[1].key, KUBE_STATIC_UID);
    assert_string_equal(t.annotations[2].key, KUBE_DEFAULT_CONTAINER);
    assert_string_equal(t.annotations[4].key, "b");
    assert_null(t.annotations[5].key);
    const char *many[20] = {0};
    for (int i = 0; i < 16; i++)
        many[i] = "x";
    assert_int_equal(kube_tables_init(&t, &kube_kinds[KUBE_PODS], many, &err), -E2BIG);
    for (size_t i = 0; i < KUBE_KIND_COUNT; i++) { /* each one's body fits */
        size_t n = 0, has = 0;
        while (kube_kinds[i].body && kube_kinds[i].body[n].key)
            n++;
        assert_int_equal(kube_tables_init(&t, &kube_kinds[i], NULL, &err), 0);
        while (t.object[has].key)
            has++;
        assert_int_equal(has, 6 + n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_is_packed_and_read_back),
        cmocka_unit_test(an_unscheduled_pod_keeps_the_schedulers_words),
        cmocka_unit_test(changes_tell_what_was_before),
        cmocka_unit_test(what_a_list_no_longer_has_is_found),
        cmocka_unit_test(what_is_shared_is_kept_once_and_goes_with_its_last_holder),
        cmocka_unit_test(what_no_server_sends_is_refused),
        cmocka_unit_test(tables_keep_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
