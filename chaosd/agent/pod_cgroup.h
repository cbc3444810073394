/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Whose process it is, by /proc/PID/cgroup alone. Pure. The forms are those that the kubelet and the runtimes write:
 *   cgroupfs  .../kubepods/burstable/pod<uid>/<id>                     <id> alone, or crio-<id>
 *   systemd   .../kubepods-burstable-pod<uid with _>.slice/cri-containerd-<id>.scope     or crio-<id>.scope, docker-<id>.scope
 *             .../kubepods-burstable-pod<uid with _>.slice:cri-containerd:<id>           (a runtime that was not told of systemd)
 * Whatever stands before is passed over: a kubelet with its own root group (kind: kubelet-kubepods-...), a lab in a group, and the "/../.."
 * of a reader in a cgroup namespace of its own, who may see no "kubepods" at all. Of the pod that the reader itself runs in it then sees
 * nothing but "/../<id>": that pod is not found, which is as well. */
#include <stdbool.h>
#include <stddef.h>

enum {
    POD_UID_SIZE = 37,      /* a UUID, or 32 digits: of a static pod, where the API's object has another UID, and this one as the
                               annotation kubernetes.io/config.hash */
    CONTAINER_ID_SIZE = 65, /* 32 to 64 hexadecimal digits */
};

struct pod_cgroup {
    char uid[POD_UID_SIZE];            /* as the API writes it */
    char container[CONTAINER_ID_SIZE]; /* "": in the pod's group but in no container's: CRI-O's conmon, a sandboxed runtime's own */
    const char *runtime;               /* "containerd", "cri-o", "docker"; "": the form does not tell */
    bool nested;                       /* in a group that the container made below its own */
};

/* text: all of /proc/PID/cgroup, NUL-terminated. Of the lines (version 1 has one a controller) the first that names a container counts,
 * then the first that names a pod. Where pods are in pods (a cluster whose nodes are pods), the innermost. false: in no pod. */
bool pod_cgroup_parse(const char *text, struct pod_cgroup *ret);
/* A UID of a form that is found in cgroups. */
bool pod_uid_ok(const char *uid);
