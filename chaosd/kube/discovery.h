/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What this API server serves: its version, and of each kind the newest version that both sides know. */
#include "kube/client.h"

struct kube_api {
    char version[64];                          /* "v1.20.2" */
    int minor;                                 /* 20; 0: not understood */
    const char *versions[KUBE_KIND_COUNT];     /* NULL: it does not serve the kind in a version that is understood */
};

struct kube_discovery;
/* done is told once: api, or NULL and why. */
int kube_discover(struct kube *k, void (*done)(const struct kube_api *api, enum kube_trouble trouble, const char *why, void *arg),
                  void *arg, struct kube_discovery **ret, struct error *err);
void kube_discovery_cancel(struct kube_discovery *d); /* no callback follows; not after done. NULL-safe */

/* Pure: the answers of /version, /apis and /api/v1. */
void kube_api_version(struct kube_api *api, const json_t *version);
void kube_api_groups(struct kube_api *api, const json_t *groups);
void kube_api_core(struct kube_api *api, const json_t *resources);
