/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kinds.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

#define KEEP(...) ((const struct keep[]){__VA_ARGS__, {NULL, NULL}})
#define ALL(key) {key, NULL}
#define CONDITIONS {"conditions", KEEP(ALL("type"), ALL("status"), ALL("reason"), ALL("message"), ALL("lastTransitionTime"))}

static const struct keep state_keep[] = {
    {"running", KEEP(ALL("startedAt"))},
    {"waiting", KEEP(ALL("reason"))},
    {"terminated", KEEP(ALL("reason"), ALL("exitCode"), ALL("startedAt"), ALL("finishedAt"))},
    {NULL, NULL},
};

static const struct keep pod_body[] = {
    {"spec", KEEP(ALL("nodeName"), {"containers", KEEP(ALL("name"))})},
    {"status",
     KEEP(ALL("phase"), ALL("reason"), ALL("podIP"), {"podIPs", KEEP(ALL("ip"))}, ALL("startTime"), CONDITIONS,
          {"containerStatuses", KEEP(ALL("name"), ALL("containerID"), ALL("ready"), ALL("restartCount"), {"state", state_keep})})},
    {NULL, NULL},
};

static const struct keep node_body[] = {
    {"spec", KEEP(ALL("unschedulable"), ALL("taints"))},
    {"status", KEEP(CONDITIONS, ALL("addresses"), {"nodeInfo", KEEP(ALL("kubeletVersion"), ALL("containerRuntimeVersion"))})},
    {NULL, NULL},
};

static const struct keep namespace_body[] = {{"status", KEEP(ALL("phase"))}, {NULL, NULL}};

static const struct keep workload_body[] = {
    {"spec", KEEP(ALL("replicas"), ALL("selector"), ALL("paused"), ALL("strategy"), ALL("updateStrategy"))},
    {"status", KEEP(ALL("replicas"), ALL("readyReplicas"), ALL("availableReplicas"), ALL("updatedReplicas"), ALL("observedGeneration"),
                    ALL("currentRevision"), ALL("updateRevision"), ALL("desiredNumberScheduled"), ALL("numberReady"),
                    ALL("numberAvailable"), ALL("updatedNumberScheduled"), CONDITIONS)},
    {NULL, NULL},
};

static const struct keep slice_body[] = {
    ALL("addressType"),
    ALL("ports"),
    {"endpoints", KEEP(ALL("addresses"), ALL("conditions"), {"targetRef", KEEP(ALL("kind"), ALL("namespace"), ALL("name"), ALL("uid"))})},
    {NULL, NULL},
};

static const struct keep lease_body[] = {ALL("spec"), {NULL, NULL}};

static const struct keep pdb_body[] = {
    {"spec", KEEP(ALL("minAvailable"), ALL("maxUnavailable"), ALL("selector"))},
    {"status", KEEP(ALL("disruptionsAllowed"), ALL("currentHealthy"), ALL("desiredHealthy"), ALL("expectedPods"))},
    {NULL, NULL},
};

static const struct keep event_body[] = {
    ALL("type"), ALL("reason"), ALL("message"), ALL("count"), ALL("firstTimestamp"), ALL("lastTimestamp"), ALL("eventTime"),
    {"involvedObject", KEEP(ALL("kind"), ALL("namespace"), ALL("name"), ALL("uid"))}, {"source", KEEP(ALL("component"), ALL("host"))},
    ALL("reportingComponent"),
    {NULL, NULL},
};

static const struct keep configmap_body[] = {ALL("data"), {NULL, NULL}};

static const struct keep nodefault_body[] = {ALL("spec"), ALL("status"), {NULL, NULL}};

const struct kube_kind kube_kinds[KUBE_KIND_COUNT] = {
    [KUBE_PODS] = {"", {"v1"}, "pods", "Pod", true, true, pod_body},
    [KUBE_NODES] = {"", {"v1"}, "nodes", "Node", false, false, node_body},
    [KUBE_NAMESPACES] = {"", {"v1"}, "namespaces", "Namespace", false, false, namespace_body},
    [KUBE_DEPLOYMENTS] = {"apps", {"v1"}, "deployments", "Deployment", true, false, workload_body},
    [KUBE_STATEFULSETS] = {"apps", {"v1"}, "statefulsets", "StatefulSet", true, false, workload_body},
    [KUBE_DAEMONSETS] = {"apps", {"v1"}, "daemonsets", "DaemonSet", true, false, workload_body},
    [KUBE_REPLICASETS] = {"apps", {"v1"}, "replicasets", "ReplicaSet", true, false, workload_body},
    [KUBE_ENDPOINTSLICES] = {"discovery.k8s.io", {"v1", "v1beta1"}, "endpointslices", "EndpointSlice", true, false, slice_body},
    [KUBE_LEASES] = {"coordination.k8s.io", {"v1", "v1beta1"}, "leases", "Lease", true, false, lease_body},
    [KUBE_PDBS] = {"policy", {"v1", "v1beta1"}, "poddisruptionbudgets", "PodDisruptionBudget", true, false, pdb_body},
    [KUBE_EVENTS] = {"", {"v1"}, "events", "Event", true, false, event_body},
    [KUBE_CONFIGMAPS] = {"", {"v1"}, "configmaps", "ConfigMap", true, false, configmap_body},
    [KUBE_NODEFAULTS] = {"chaosd.io", {"v1alpha1"}, "nodefaults", "NodeFault", true, false, nodefault_body},
    [KUBE_EVICTIONS] = {"policy", {"v1", "v1beta1"}, "evictions", "Eviction", true, false, NULL},
};

const struct kube_kind *kube_kind_find(const char *resource) {
    for (size_t i = 0; i < KUBE_EVICTIONS; i++)
        if (strcmp(kube_kinds[i].resource, resource) == 0)
            return &kube_kinds[i];
    return NULL;
}

static const struct keep owner_keep[] = {ALL("apiVersion"), ALL("kind"), ALL("name"), ALL("uid"), ALL("controller"), {NULL, NULL}};

const struct keep kube_list_keep[] = {
    ALL("kind"), ALL("apiVersion"), {"metadata", KEEP(ALL("resourceVersion"), ALL("continue"))}, ALL("code"), ALL("reason"), ALL("message"),
    {NULL, NULL},
};

int kube_tables_init(struct kube_tables *t, const struct kube_kind *kind, const char *const *annotations, struct error *err) {
    static const char *const metadata[] = {"name",
                                           "namespace",
                                           "uid",
                                           "resourceVersion",
                                           "generation",
                                           "creationTimestamp",
                                           "deletionTimestamp",
                                           "deletionGracePeriodSeconds",
                                           "labels"};
    static const char *const object[] = {"kind", "apiVersion", "code", "reason", "message"}; /* an ERROR's object is a Status */
    size_t n = 0;
    *t = (struct kube_tables){0};
    t->annotations[n++].key = KUBE_MIRROR;
    t->annotations[n++].key = KUBE_STATIC_UID;
    t->annotations[n++].key = KUBE_DEFAULT_CONTAINER;
    for (; annotations && *annotations; annotations++) {
        if (n > KUBE_ANNOTATIONS_MOST + 2)
            return error_set(err, -E2BIG, "more than %d annotations asked for", KUBE_ANNOTATIONS_MOST);
        t->annotations[n++].key = *annotations;
    }
    for (n = 0; n < ARRAY_SIZE(metadata); n++)
        t->metadata[n].key = metadata[n];
    t->metadata[n++] = (struct keep){"ownerReferences", owner_keep};
    t->metadata[n] = (struct keep){"annotations", t->annotations};
    for (n = 0; n < ARRAY_SIZE(object); n++)
        t->bare_object[n].key = t->object[n].key = object[n];
    t->bare_object[n] = (struct keep){"metadata", t->metadata};
    t->object[n++] = (struct keep){"metadata", t->metadata};
    for (const struct keep *k = kind->body; k && k->key && n < ARRAY_SIZE(t->object) - 1; k++)
        t->object[n++] = *k;
    t->event[0].key = "type";
    t->event[1] = (struct keep){"object", t->object};
    t->bare_event[0].key = "type";
    t->bare_event[1] = (struct keep){"object", t->bare_object};
    return 0;
}
