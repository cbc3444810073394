/* SPDX-License-Identifier: Apache-2.0 */
/* What a drill asks of the API server, beside watching. */
#include "kube/client.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>

static int no_memory(struct error *err) { return error_set(err, -ENOMEM, "out of memory"); }

/* DeleteOptions; preconditions make a second try harmless: the one that is meant is gone by then. */
static json_t *deletion(const struct kube_deletion *d) {
    json_t *o = json_pack("{s:s, s:s}", "apiVersion", "v1", "kind", "DeleteOptions");
    bool bad = !o || (d->grace_s >= 0 && json_object_set_new(o, "gracePeriodSeconds", json_integer(d->grace_s)) < 0) ||
               (d->uid && json_object_set_new(o, "preconditions", json_pack("{s:s}", "uid", d->uid)) < 0);
    if (bad)
        json_decref(o);
    return bad ? NULL : o;
}

int kube_delete(struct kube *k, const struct kube_kind *kind, const char *namespace, const char *name, const struct kube_deletion *d,
                kube_done *done, void *arg, struct kube_call **ret, struct error *err) {
    cleanup_json json_t *body = deletion(d);
    if (!body)
        return no_memory(err);
    const struct kube_request r = {.verb = "delete",
                                   .kind = kind,
                                   .namespace = namespace,
                                   .name = name,
                                   .body = body,
                                   .repeat = d->uid != NULL,
                                   .limit_ns = d->limit_ns,
                                   .done = done,
                                   .arg = arg};
    return kube_start(k, &r, ret, err);
}

int kube_evict(struct kube *k, const char *version, const char *namespace, const char *name, const struct kube_deletion *d, kube_done *done,
               void *arg, struct kube_call **ret, struct error *err) {
    json_t *options = deletion(d);
    char api[64];
    snprintf(api, sizeof api, "policy/%s", version);
    cleanup_json json_t *body = options ? json_pack("{s:s, s:s, s:{s:s, s:s}, s:o}", "apiVersion", api, "kind", "Eviction", "metadata",
                                                    "name", name, "namespace", namespace, "deleteOptions", options)
                                        : NULL;
    if (!body)
        return no_memory(err);
    const struct kube_request r = {.verb = "create",
                                   .kind = &kube_kinds[KUBE_PODS],
                                   .namespace = namespace,
                                   .name = name,
                                   .subresource = "eviction",
                                   .body = body,
                                   .repeat = d->uid != NULL,
                                   .limit_ns = d->limit_ns,
                                   .done = done,
                                   .arg = arg};
    return kube_start(k, &r, ret, err);
}

int kube_patch(struct kube *k, const struct kube_kind *kind, const char *namespace, const char *name, const char *subresource,
               enum kube_patch_type type, const json_t *patch, bool repeat, kube_done *done, void *arg, struct kube_call **ret,
               struct error *err) {
    static const char *const types[] = {
        [KUBE_PATCH_MERGE] = "application/merge-patch+json",
        [KUBE_PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
        [KUBE_PATCH_JSON] = "application/json-patch+json",
    };
    const struct kube_request r = {.verb = "patch",
                                   .kind = kind,
                                   .namespace = namespace,
                                   .name = name,
                                   .subresource = subresource,
                                   .body = patch,
                                   .content_type = types[type],
                                   .repeat = repeat,
                                   .done = done,
                                   .arg = arg};
    return kube_start(k, &r, ret, err);
}

int kube_review(struct kube *k, const struct kube_where *w, kube_done *done, void *arg, struct kube_call **ret, struct error *err) {
    static const struct kube_kind review = {.group = "authorization.k8s.io", .versions = {"v1"}, .resource = "selfsubjectaccessreviews"};
    cleanup_json json_t *body = json_pack("{s:s, s:s, s:{s:{s:s, s:s, s:s, s:s*, s:s*, s:s*}}}", "apiVersion", "authorization.k8s.io/v1",
                                          "kind", "SelfSubjectAccessReview", "spec", "resourceAttributes", "verb", w->verb, "group",
                                          w->group ? w->group : "", "resource", w->resource, "subresource", w->subresource, "namespace",
                                          w->namespace, "name", w->name);
    if (!body)
        return no_memory(err);
    const struct kube_request r = {.verb = "create", .kind = &review, .body = body, .repeat = true, .done = done, .arg = arg};
    return kube_start(k, &r, ret, err);
}

bool kube_allowed(const struct kube_answer *a) { return a->trouble == KUBE_OK && json_is_true(json_at(a->json, "status.allowed")); }
