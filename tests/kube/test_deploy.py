# SPDX-License-Identifier: Apache-2.0
"""deploy/kubernetes in a real cluster: it is taken as it stands, its roles allow what a scenario needs and nothing else, and its Jobs carry a
drill and a sweep out as a user that is not root, on a root file system that cannot be written."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from lab import Lab, until

import tap

if os.geteuid() != 0:
    print("1..1\nok lab # SKIP (ci) needs root")
    raise SystemExit
DEPLOY = tap.ROOT / "deploy" / "kubernetes"
IMAGE = "chaosd.lab/chaosd:deploy"
LAB = Lab()
SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="chaosd-deploy-"))
# What every authenticated user may do, wherever.
ANYBODY = {("selfsubjectaccessreviews.authorization.k8s.io", "create"), ("selfsubjectrulesreviews.authorization.k8s.io", "create")}
FOLLOWED = ("pods", "events", "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps", "endpointslices.discovery.k8s.io",
            "poddisruptionbudgets.policy", "leases.coordination.k8s.io")
EDITED = {(r + ".apps", v) for r in ("deployments", "replicasets", "statefulsets", "daemonsets") for v in ("get", "patch")}
OBSERVED = {(r, v) for r in FOLLOWED for v in ("list", "watch")}
EVERYWHERE = {(r, v) for r in ("nodes", "namespaces") for v in ("list", "watch")}
STRUCK = {("pods", "delete"), ("pods/eviction", "create")}
FOUND = {(r, "list") for r in ("nodes", "deployments.apps", "replicasets.apps", "statefulsets.apps")}

SHOP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      dnsPolicy: Default
      terminationGracePeriodSeconds: 2
      containers:
        - name: web
          image: chaosd.lab/busybox:1
          imagePullPolicy: Never
          args: [sh, -c, "hostname >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
          readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.97, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""
# As overlays/example-drill has it, but brief, and by address: the lab has no names.
DRILL = """
name: shop-gate
cluster: {kubernetes: {namespaces: [shop]}}
load:
  - name: front
    http:
      rate: 40/s
      targets: {url: "http://10.96.0.97"}
      steps: [{get: /, expect: {status: 200}}]
      deadline: 1s
faults:
  - name: lose-a-pod
    pod-delete: {selector: {namespaces: [shop]}, mode: one}
    at: [8s]
guards: {minReady: 1, contexts: [in-cluster]}
duration: 40s
expect: ["availability(front) >= 40%"]
"""


def copy():
    """deploy/kubernetes with the lab's image, the scenario above, and no registry."""
    shutil.copytree(DEPLOY, SCRATCH / "kubernetes")
    for k in (SCRATCH / "kubernetes" / "overlays").glob("*/kustomization.yaml"):
        k.write_text(k.read_text().replace("registry.example/chaosd", IMAGE.split(":")[0]).replace("newTag: 0.1.0", f"newTag: {IMAGE.split(':')[1]}"))
    (SCRATCH / "kubernetes/overlays/example-drill/scenario.yaml").write_text(DRILL)
    (SCRATCH / "shop.yaml").write_text(SHOP)
    return SCRATCH / "kubernetes"


def may(account, *where):
    """What it may do there: {(resource, verb)}, less what anybody may."""
    said = LAB.kubectl("auth", "can-i", "--list", "--no-headers", f"--as=system:serviceaccount:chaosd:{account}", *where)
    pairs = set()
    for line in said.splitlines():
        m = re.match(r"(\S+) +\[(.*?)\] +\[(.*?)\] +\[(.*?)\]$", line)
        if m:
            assert not m[2] and not m[3], line
            pairs |= {(m[1], v) for v in m[4].split()}
    return pairs - ANYBODY


def access_review(account, scenario):
    """chaosd check, as the account."""
    config = json.loads(LAB.kubectl("config", "view", "--raw", "-o", "json"))
    config["users"][0]["user"]["as"] = f"system:serviceaccount:chaosd:{account}"
    path = SCRATCH / "as.json"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    p = LAB.run("env", f"KUBECONFIG={path}", tap.CHAOSD, "check", scenario, check=False)
    return p.returncode, p.stdout


def finished(job):
    """The Job's pod once it has ended, and what it printed."""
    def ended():
        pods = LAB.get("pods", "--namespace", "chaosd", "--selector", f"job-name={job}")["items"]
        return pods[0] if pods and pods[0]["status"]["phase"] in ("Succeeded", "Failed") else None
    pod, _ = until(f"{job} ends", ended, 150, 1)
    return pod, LAB.kubectl("logs", "--namespace", "chaosd", f"job/{job}")


def exit_code(pod):
    return pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]


def test_everything_is_taken_by_the_server():
    for d in ("base", "overlays/example-1.20", "overlays/example-drill"):
        LAB.kubectl("apply", "--dry-run=server", "-k", HERE / d)
    # batch/v1 has a CronJob from 1.21 on; this server is older, and says so of nothing else.
    p = LAB.run("kubectl", "apply", "--dry-run=server", "-k", HERE / "overlays/example", check=False)
    assert p.returncode and set(re.findall(r'no matches for kind "(\w+)" in version "([\w/]+)"', p.stderr)) == {("CronJob", "batch/v1")}, p.stderr
    keep = HERE / "overlays/keep"
    shutil.copytree(HERE / "overlays/example", keep)
    k = keep / "kustomization.yaml"
    k.write_text(re.sub(r"^resources:\n  - bindings.yaml\n", "", k.read_text(), flags=re.M).replace("#resources", "resources").replace("#patches", "patches"))
    shown = LAB.kubectl("kustomize", keep)
    assert re.search(r"- name: data\n\s+persistentVolumeClaim:\n\s+claimName: chaosd-runs|- persistentVolumeClaim|claimName: chaosd-runs\n\s+name: data", shown), shown
    assert "emptyDir: null" not in shown and "kind: PersistentVolumeClaim" in shown


def test_without_bindings_an_account_may_nothing():
    for account in ("chaosd", "chaosd-sweep"):
        for ns in ("shop", "chaosd", "kube-system"):
            assert may(account, "--namespace", ns) == set(), (account, ns)


def test_the_roles_allow_just_what_is_listed():
    LAB.kubectl("apply", "-k", HERE / "overlays/example-1.20")
    LAB.kubectl("patch", "cronjob", "--namespace", "chaosd", "chaosd-soak", "--patch", '{"spec": {"suspend": true}}')
    LAB.kubectl("patch", "cronjob", "--namespace", "chaosd", "chaosd-sweep", "--patch", '{"spec": {"suspend": true}}')
    assert may("chaosd", "--namespace", "shop") == OBSERVED | STRUCK | EDITED | EVERYWHERE
    assert may("chaosd-sweep", "--namespace", "shop") == EDITED | FOUND
    for ns in ("chaosd", "default", "kube-system", "lab"):
        assert may("chaosd", "--namespace", ns) == EVERYWHERE, ns
        assert may("chaosd-sweep", "--namespace", ns) == FOUND, ns
    LAB.kubectl("create", "clusterrolebinding", "chaosd-node-faults", "--clusterrole=chaosd-node-faults", "--serviceaccount=chaosd:chaosd")
    try:
        assert may("chaosd", "--namespace", "default") == EVERYWHERE | {("nodes", v) for v in ("get", "list", "patch")}
    finally:
        LAB.kubectl("delete", "clusterrolebinding", "chaosd-node-faults")
    LAB.kubectl("create", "rolebinding", "--namespace", "default", "chaosd-agent-faults", "--clusterrole=chaosd-agent-faults", "--serviceaccount=chaosd:chaosd")
    try:
        assert may("chaosd", "--namespace", "default") == EVERYWHERE | {("pods", "list")} | {("nodefaults.chaosd.io", v) for v in ("create", "get", "list", "watch", "patch", "delete")}
        assert may("chaosd", "--namespace", "lab") == EVERYWHERE
    finally:
        LAB.kubectl("delete", "rolebinding", "--namespace", "default", "chaosd-agent-faults")


def test_check_finds_all_that_the_example_needs():
    for overlay in ("example", "example-drill"):
        code, said = access_review("chaosd", DEPLOY / "overlays" / overlay / "scenario.yaml")
        lines = said.splitlines()
        assert code == 0 and all(line.startswith("ok  ") for line in lines), said
        assert "ok  Kubernetes v1.20.2 at https://10.200.0.254:6443, context lab" in lines and "ok  fault lose-a-pod: may delete pods in shop" in lines, said


def test_check_names_what_is_missing_and_its_role_mends_it():
    LAB.kubectl("delete", "rolebinding", "--namespace", "shop", "chaosd-pod-faults", "chaosd-observe")
    LAB.kubectl("delete", "clusterrolebinding", "chaosd-observe-cluster")
    scenario = DEPLOY / "overlays/example-drill/scenario.yaml"
    try:
        code, said = access_review("chaosd", scenario)
        assert code == 1, said
        assert 'no  fault lose-a-pod: may not delete pods in shop: add {apiGroups: [""], resources: ["pods"], verbs: ["delete"]}' in said, said
        assert 'no  may not list, watch pods in shop: add {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}' in said, said
        assert '!!  may not list, watch nodes, the run goes without: add' in said, said
        role = SCRATCH / "role.yaml"
        role.write_text(said[said.index("---\n"):])
        LAB.kubectl("apply", "--filename", role)
        for command in re.findall(r"^# Then: kubectl (.*) \(or", role.read_text(), flags=re.M):
            LAB.kubectl(*command.replace("NAMESPACE:NAME", "chaosd:chaosd").split())
        code, said = access_review("chaosd", scenario)
        assert code == 0 and "no  " not in said and "!!" not in said and "---" not in said, said
        assert may("chaosd", "--namespace", "default") == EVERYWHERE
    finally:
        LAB.kubectl("delete", "role,rolebinding", "--namespace", "shop", "chaosd-shop-gate", "--ignore-not-found")
        LAB.kubectl("delete", "clusterrole,clusterrolebinding", "chaosd-shop-gate", "--ignore-not-found")
        LAB.kubectl("apply", "--filename", HERE / "overlays/example/bindings.yaml")


def test_check_says_in_one_sentence_that_no_cluster_is_there():
    config = json.loads(LAB.kubectl("config", "view", "--raw", "-o", "json"))
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = SCRATCH / "dead.json"
    path.write_text(json.dumps(config))
    p = subprocess.run(["env", f"KUBECONFIG={path}", tap.CHAOSD, "check", DEPLOY / "overlays/example/scenario.yaml"], capture_output=True, text=True, timeout=30)
    said = [line for line in p.stdout.splitlines() if not line.startswith("ok  ")]
    assert p.returncode == 1 and len(said) == 1 and said[0].startswith("no  cluster kubernetes: ") and "127.0.0.1:1" in said[0], p.stdout


def test_check_knows_the_contexts_that_are_allowed():
    path = SCRATCH / "contexts.yaml"
    for allowed, code in (("in-cluster", 1), ("l*b", 0)):
        path.write_text(DRILL.replace("in-cluster", allowed))
        p = LAB.run(tap.CHAOSD, "check", path, check=False)
        assert p.returncode == code and (f"guards.contexts allows {allowed} only" in p.stdout) == bool(code), p.stdout


def test_a_laptop_needs_no_root():
    home = SCRATCH / "home"
    home.mkdir()
    shutil.copy(tap.CHAOSD, home / "chaosd")
    shutil.copy(LAB.kubeconfig, home / "config")
    doc = (tap.ROOT / "docs/KUBERNETES.md").read_text()  # its first scenario, as it stands there but for the lab's ways
    brief = doc[doc.index("```yaml") + 7:].split("```")[0].replace("shop.example", "10.96.0.97").replace("staging-*", "lab").replace("60s", "25s").replace("[20s]", "[5s]")
    (home / "first.yaml").write_text(re.sub("availability.*", "availability(front) >= 40%", brief).replace("< 1s", "< 20s"))
    for path in (SCRATCH, home, *home.iterdir()):
        os.chown(path, 65533, 65533)
    LAB.kubectl("apply", "--filename", SCRATCH / "shop.yaml")
    LAB.kubectl("rollout", "status", "--namespace", "shop", "deployment/web", "--timeout=120s", timeout=150)
    as_user = ("env", "-u", "CHAOSD_STATE_DIR", "-u", "XDG_STATE_HOME", "-C", home, f"HOME={home}", f"KUBECONFIG={home}/config",
               "setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", home / "chaosd")
    p = LAB.run(*as_user, "run", "first.yaml", "--yes", check=False)
    # 2: the shop was not well at the end, on a machine with other work; that is no matter of rights.
    assert p.returncode in (0, 2) and "lose-one #1: pod-delete web-" in p.stdout, (p.returncode, p.stdout[-3000:], p.stderr[-2000:])
    assert (home / ".local/state/chaosd").is_dir() and (home / "runs/latest/report.html").exists()


def test_the_job_carries_a_drill_out():
    before = {p["metadata"]["uid"] for p in LAB.get("pods", "--namespace", "shop")["items"] if "deletionTimestamp" not in p["metadata"]}
    LAB.kubectl("apply", "-k", HERE / "overlays/example-drill")
    pod, log = finished("chaosd-drill")
    assert exit_code(pod) == 0 and re.search(r"^PASS  shop-gate", log, flags=re.M), log
    c = pod["spec"]["containers"][0]
    assert c["securityContext"]["readOnlyRootFilesystem"] and pod["spec"]["securityContext"]["runAsUser"] == 65532, c
    after = {p["metadata"]["uid"] for p in LAB.get("pods", "--namespace", "shop")["items"] if "deletionTimestamp" not in p["metadata"]}
    assert len(before) == 2 and len(before - after) == 1, (before, after)
    assert LAB.get("job", "--namespace", "chaosd", "chaosd-drill")["status"].get("succeeded") == 1
    print("# " + " ".join(log[log.index("PASS  shop-gate"):].split("\n")[1].split()))


def test_the_sweep_puts_back_what_was_left():
    # As a run leaves it that dies while a fault of kind scale is held.
    undo = [{"op": "test", "path": "/spec/replicas", "value": 1}, {"op": "replace", "path": "/spec/replicas", "value": 2},
            {"op": "remove", "path": "/metadata/annotations/chaosd.io~1undo"}, {"op": "remove", "path": "/metadata/labels/chaosd.io~1undo"}]
    mark = {"run": "0a0b0c", "fault": "fewer", "id": 1, "kind": "scale", "deadline": "2026-01-01T00:00:00Z", "undo": undo}
    change = {"metadata": {"annotations": {"chaosd.io/undo": json.dumps(mark)}, "labels": {"chaosd.io/undo": "0a0b0c"}}, "spec": {"replicas": 1}}
    LAB.kubectl("patch", "deployment", "--namespace", "shop", "web", "--type=merge", "--patch", json.dumps(change))
    LAB.kubectl("create", "job", "--namespace", "chaosd", "--from=cronjob/chaosd-sweep", "sweep-once")
    pod, log = finished("sweep-once")
    assert 'Deployment shop/web: scale by fault "fewer" of run 0a0b0c' in log and ": undone" in log, log
    left = [line for line in log.splitlines() if "shop/" not in line]  # in a cluster that others use too there may be more
    assert exit_code(pod) == (1 if any("not undone" in line for line in left) else 0), log
    web = LAB.get("deployment", "--namespace", "shop", "web")
    assert web["spec"]["replicas"] == 2, web["spec"]
    assert "chaosd.io/undo" not in web["metadata"]["annotations"] and "chaosd.io/undo" not in web["metadata"].get("labels", {}), web["metadata"]


def clean():
    for what in (("namespace", "shop", "chaosd"), ("clusterrole,clusterrolebinding", "--selector", "app.kubernetes.io/name=chaosd"),
                 ("clusterrolebinding", "chaosd-observe-cluster", "chaosd-sweep")):
        LAB.kubectl("delete", *what, "--ignore-not-found", "--timeout=240s", timeout=270)


with LAB:
    try:
        HERE = copy()
        subprocess.run(["bash", tap.ROOT / "tests/lab/kube-image.sh", SCRATCH / "chaosd.tar", IMAGE, '["/usr/local/bin/chaosd"]',
                        f"{tap.CHAOSD}=/usr/local/bin/chaosd"], check=True, timeout=120)
        LAB.sh("load", SCRATCH / "chaosd.tar")
        LAB.kubectl("apply", "-k", HERE / "base")
        LAB.kubectl("create", "namespace", "shop")
        tap.main()
    finally:
        clean()
        shutil.rmtree(SCRATCH, ignore_errors=True)
