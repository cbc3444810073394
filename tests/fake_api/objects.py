# SPDX-License-Identifier: Apache-2.0
"""What the fake API server serves: pods as large as real ones, rendered from a template; and discovery as three releases answer it."""
import json
import uuid

NAMESPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")

GROUPS = {  # what matters of each release
    "1.20": {"apps": ["v1"], "policy": ["v1beta1"], "discovery.k8s.io": ["v1beta1"], "coordination.k8s.io": ["v1", "v1beta1"], "authorization.k8s.io": ["v1", "v1beta1"]},
    "1.28": {"apps": ["v1"], "policy": ["v1"], "discovery.k8s.io": ["v1"], "coordination.k8s.io": ["v1"], "authorization.k8s.io": ["v1"]},
    "1.34": {"apps": ["v1"], "policy": ["v1"], "discovery.k8s.io": ["v1"], "coordination.k8s.io": ["v1", "v1alpha2"], "authorization.k8s.io": ["v1"], "resource.k8s.io": ["v1", "v1beta2"]},
}
NODE_FAULTS = {"group": "chaosd.io", "version": "v1alpha1", "plural": "nodefaults", "kind": "NodeFault",  # as deploy/agent/crd.yaml has it, for FakeApi.define
               "required": ("protocol", "run", "fault", "kind", "node", "pod", "notBefore", "deadline")}
PATCHES = {"1.20": "1.20.2", "1.28": "1.28.15", "1.34": "1.34.1"}


def version(release):
    major, minor = release.split(".")
    return {"major": major, "minor": minor, "gitVersion": f"v{PATCHES[release]}", "platform": "linux/amd64"}


def group_list(release, custom=()):
    def one(name, versions):
        all_of = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
        return {"name": name, "versions": all_of, "preferredVersion": all_of[0]}
    served = list(GROUPS[release].items()) + [(group, [version]) for group, version in custom]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [one(n, v) for n, v in served]}


def legacy(release):
    """What kubectl asks first."""
    return {"kind": "APIVersions", "versions": ["v1"]}


def core_resources(release):
    eviction = {"name": "pods/eviction", "namespaced": True, "kind": "Eviction", "verbs": ["create"], "singularName": "", "group": "policy",
                "version": "v1beta1" if release == "1.20" else "v1"}
    return {"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "pods", "namespaced": True, "kind": "Pod", "singularName": "", "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"]}, eviction]}


POD = {
    "metadata": {
        "name": "@NAME@", "generateName": "@OWNER@-", "namespace": "@NS@", "uid": "@UID@", "resourceVersion": "@RV@", "creationTimestamp": "2026-11-21T08:15:09Z",
        "labels": {"app": "@APP@", "pod-template-hash": "@HASH@", "app.kubernetes.io/managed-by": "Helm", "tier": "backend"},
        "annotations": {"checksum/config": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "prometheus.io/scrape": "true",
                        "cni.projectcalico.org/podIP": "@IP@/32", "cni.projectcalico.org/containerID": "@CID@"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "@OWNER@", "uid": "@OWNERUID@", "controller": True, "blockOwnerDeletion": True}],
        "managedFields": [
            {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": "2026-11-21T08:15:09Z", "fieldsType": "FieldsV1",
             "fieldsV1": {"f:metadata": {"f:annotations": {".": {}, "f:checksum/config": {}, "f:prometheus.io/scrape": {}}, "f:generateName": {},
                                         "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}, "f:app.kubernetes.io/managed-by": {}, "f:tier": {}},
                                         "f:ownerReferences": {".": {}, 'k:{"uid":"@OWNERUID@"}': {}}},
                          "f:spec": {"f:containers": {'k:{"name":"main"}': {".": {}, "f:env": {".": {}, 'k:{"name":"LOG_LEVEL"}': {".": {}, "f:name": {}, "f:value": {}}}, "f:image": {},
                                                                            "f:imagePullPolicy": {}, "f:livenessProbe": {".": {}, "f:httpGet": {".": {}, "f:path": {}, "f:port": {}}},
                                                                            "f:name": {}, "f:ports": {".": {}, 'k:{"containerPort":8080,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                                                                            "f:readinessProbe": {".": {}, "f:httpGet": {".": {}, "f:path": {}, "f:port": {}}}, "f:resources": {}}},
                                     "f:dnsPolicy": {}, "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {},
                                     "f:terminationGracePeriodSeconds": {}}}},
            {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": "2026-11-21T08:15:14Z", "fieldsType": "FieldsV1", "subresource": "status",
             "fieldsV1": {"f:status": {"f:conditions": {'k:{"type":"ContainersReady"}': {".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {}},
                                                        'k:{"type":"Initialized"}': {".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {}},
                                                        'k:{"type":"Ready"}': {".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {}}},
                                       "f:containerStatuses": {}, "f:hostIP": {}, "f:phase": {}, "f:podIP": {}, "f:podIPs": {".": {}, 'k:{"ip":"@IP@"}': {".": {}, "f:ip": {}}}, "f:startTime": {}}}},
        ],
    },
    "spec": {
        "volumes": [{"name": "config", "configMap": {"name": "@APP@-config", "defaultMode": 420}},
                    {"name": "kube-api-access-x7k2p", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                                                                                 {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                                                                                 {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}],
                                                                     "defaultMode": 420}}],
        "containers": [{"name": "main", "image": "registry.example.net/team/@APP@:v1.42.7", "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                        "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
                        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
                        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}, {"name": "kube-api-access-x7k2p", "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
                        "livenessProbe": {"httpGet": {"path": "/live", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 3},
                        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent"}],
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "serviceAccountName": "default", "nodeName": "@NODE@", "securityContext": {},
        "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority",
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
    },
    "status": {
        "phase": "Running",
        "conditions": [{"type": t, "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-11-21T08:15:14Z"} for t in ("Initialized", "Ready", "ContainersReady", "PodScheduled")],
        "hostIP": "10.1.0.17", "podIP": "@IP@", "podIPs": [{"ip": "@IP@"}], "startTime": "2026-11-21T08:15:09Z",
        "containerStatuses": [{"name": "main", "state": {"running": {"startedAt": "2026-11-21T08:15:12Z"}}, "lastState": {}, "ready": True, "restartCount": 0,
                               "image": "registry.example.net/team/@APP@:v1.42.7", "imageID": "registry.example.net/team/@APP@@sha256:@CID@", "containerID": "containerd://@CID@", "started": True}],
        "qosClass": "Burstable",
    },
}
TEMPLATE = json.dumps(POD, separators=(",", ":")).replace("%", "%%")
for key in ("NAME", "OWNERUID", "OWNER", "NS", "UID", "RV", "APP", "HASH", "IP", "CID", "NODE"):
    TEMPLATE = TEMPLATE.replace(f"@{key}@", f"%({key})s")


def fill(i, rv, replicas=10, nodes=None):
    """The values of the i-th of many pods: ten to a ReplicaSet, 5,000 to a namespace."""
    owner, nodes = i // replicas, nodes or 500
    app, hash_ = f"service-{owner % 4096}", f"{(owner * 2654435761) % 2**32:08x}"
    return {"NAME": f"{app}-{hash_}-{i:05x}", "OWNER": f"{app}-{hash_}", "OWNERUID": uuid.UUID(int=(owner + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128), "NS": f"team-{i // 5000}",
            "UID": uuid.UUID(int=(i + 1) * 0xD1342543DE82EF95A0761D6478BD642F % 2**128), "RV": rv, "APP": app, "HASH": hash_,
            "IP": f"10.{64 + i // 65536}.{i // 256 % 256}.{i % 256}", "CID": f"{(i + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835F39CC0605CEDC8351 % 2**256:064x}", "NODE": f"node-{i % nodes:04d}"}


def pod_text(i, rv=None):
    return TEMPLATE % fill(i, rv or 1000 + i)


def pod(name, namespace="shop", labels=None, node="node-0001", phase="Running", ready=True, uid=None, **metadata):
    """One to play with."""
    o = json.loads(pod_text(0))
    o["metadata"].update(name=name, namespace=namespace, uid=uid or str(uuid.uuid4()), labels=labels or {"app": "web"}, **metadata)
    o["spec"]["nodeName"] = node
    o["status"]["phase"] = phase
    for c in o["status"]["conditions"]:
        if c["type"] == "Ready":
            c["status"] = "True" if ready else "False"
    o["status"]["containerStatuses"][0]["ready"] = ready
    return o
