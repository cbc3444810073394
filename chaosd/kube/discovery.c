/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/discovery.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

struct kube_discovery {
    struct kube *kube;
    struct kube_call *call;
    struct kube_api api;
    size_t step;
    void (*done)(const struct kube_api *api, enum kube_trouble trouble, const char *why, void *arg);
    void *arg;
};

void kube_api_version(struct kube_api *api, const json_t *version) {
    snprintf(api->version, sizeof api->version, "%s", json_str_or(version, "gitVersion", "?"));
    int major;
    if (sscanf(api->version, "v%d.%d", &major, &api->minor) != 2 || major != 1)
        api->minor = 0;
}

static bool group_serves(const json_t *groups, const char *group, const char *version) {
    size_t i, k;
    json_t *g, *v;
    json_array_foreach(json_object_get(groups, "groups"), i, g) {
        if (strcmp(json_str_or(g, "name", ""), group) != 0)
            continue;
        json_array_foreach(json_object_get(g, "versions"), k, v) {
            if (strcmp(json_str_or(v, "version", ""), version) == 0)
                return true;
        }
    }
    return false;
}

void kube_api_groups(struct kube_api *api, const json_t *groups) {
    for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
        const struct kube_kind *kind = &kube_kinds[i];
        for (const char *const *v = kind->versions; i != KUBE_EVICTIONS && *v && !api->versions[i]; v++)
            if (!*kind->group || group_serves(groups, kind->group, *v))
                api->versions[i] = *v;
    }
}

/* Which Eviction a pod's eviction takes is said with the subresource alone: policy/v1 came a release before it was taken. */
void kube_api_core(struct kube_api *api, const json_t *resources) {
    size_t i;
    json_t *r;
    const char *const *known = kube_kinds[KUBE_EVICTIONS].versions;
    json_array_foreach(json_object_get(resources, "resources"), i, r) {
        if (strcmp(json_str_or(r, "name", ""), "pods/eviction") != 0)
            continue;
        const char *version = json_str_or(r, "version", "v1beta1"); /* older servers leave it out */
        for (const char *const *v = known; *v; v++)
            if (strcmp(*v, version) == 0)
                api->versions[KUBE_EVICTIONS] = *v;
    }
}

static int next(struct kube_discovery *d, struct error *err);

static void finish(struct kube_discovery *d, const struct kube_api *api, enum kube_trouble trouble, const char *why) {
    d->done(api, trouble, why, d->arg);
    free(d);
}

static const struct {
    const char *path;
    void (*read)(struct kube_api *api, const json_t *answer);
} steps[] = {{"/version", kube_api_version}, {"/apis", kube_api_groups}, {"/api/v1", kube_api_core}};

static void on_answer(const struct kube_answer *a, void *arg) {
    struct kube_discovery *d = arg;
    struct error err = {{0}};
    d->call = NULL;
    if (a->trouble != KUBE_OK) {
        finish(d, NULL, a->trouble, a->why);
        return;
    }
    steps[d->step++].read(&d->api, a->json);
    if (d->step == ARRAY_SIZE(steps))
        finish(d, &d->api, KUBE_OK, "");
    else if (next(d, &err) < 0)
        finish(d, NULL, KUBE_LOCAL, err.text);
}

static int next(struct kube_discovery *d, struct error *err) {
    const struct kube_request r = {.verb = "get", .path = steps[d->step].path, .done = on_answer, .arg = d};
    return kube_start(d->kube, &r, &d->call, err);
}

int kube_discover(struct kube *k, void (*done)(const struct kube_api *api, enum kube_trouble trouble, const char *why, void *arg),
                  void *arg, struct kube_discovery **ret, struct error *err) {
    struct kube_discovery *d = calloc(1, sizeof *d);
    if (!d)
        return error_set(err, -ENOMEM, "out of memory");
    *d = (struct kube_discovery){.kube = k, .done = done, .arg = arg};
    int rc = next(d, err);
    if (rc < 0)
        free(d);
    else if (ret)
        *ret = d;
    return rc;
}

void kube_discovery_cancel(struct kube_discovery *d) {
    if (!d)
        return;
    kube_cancel(d->call);
    free(d);
}
