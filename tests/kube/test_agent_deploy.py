# SPDX-License-Identifier: Apache-2.0
"""deploy/agent in a real cluster: what it asks for is just what docs/AGENT.md says, an agent runs on each node, and taking it away ends what it did."""
import json
import os
import re
import subprocess
import time

from agents import NAMESPACE, RESOURCE, Agents, read
from kubedrill import in_lab
from lab import Lab, until

import tap
from tap import CHAOSD, ROOT, Scratch

if os.geteuid() != 0:
    print("1..1\nok lab # SKIP (ci) needs root")
    raise SystemExit
LAB = Lab().__enter__()
AGENTS = Agents(LAB, "agent-deploy")
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:chaosd-agent"
# What every authenticated user may do, wherever.
ANYBODY = {("selfsubjectaccessreviews.authorization.k8s.io", "create"), ("selfsubjectrulesreviews.authorization.k8s.io", "create")}
OF_NODES = {("nodes", v) for v in ("get", "list", "watch")}
OF_FAULTS = {(RESOURCE, v) for v in ("get", "list", "watch", "delete")} | {("nodefaults.chaosd.io/status", "patch")}
CAPABILITIES = {"SYS_PTRACE": 19, "SYS_ADMIN": 21, "NET_ADMIN": 12, "KILL": 5}  # by their numbers in linux/capability.h
COLUMNS = ["NAME", "NODE", "POD", "FAULT", "PHASE", "DEADLINE", "REASON", "AGE"]
WIDE = ["RUN", "NAMESPACE OF POD", "PACKETS", "AGENT", "MESSAGE"]
CUT = {"direction": "both", "externalTargets": ["10.200.0.254"]}


def documents(text):
    found, at = [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        o, at = json.JSONDecoder().raw_decode(text, at)
        found += o["items"] if o["kind"] == "List" else [o]
    return found


def rendered(folder):
    """What it would create, by kind."""
    return {o["kind"]: o for o in documents(LAB.kubectl("create", "--dry-run=client", "-o", "json", "-k", folder))}


def may(*where):
    said = LAB.kubectl("auth", "can-i", "--list", "--no-headers", f"--as={ACCOUNT}", *where)
    pairs = set()
    for line in said.splitlines():
        m = re.match(r"(\S+) +\[(.*?)\] +\[(.*?)\] +\[(.*?)\]$", line)
        if m:
            assert not m[2] and not m[3], line
            pairs |= {(m[1], v) for v in m[4].split()}
    return pairs - ANYBODY


def doc(heading):
    """A section of docs/AGENT.md."""
    return (ROOT / "docs/AGENT.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]


def web():
    return sorted(LAB.pods("web"), key=lambda p: p["metadata"]["name"])


# --- as it stands in the files ---

def test_it_renders_with_the_rights_of_the_docs_and_no_others():
    objects = rendered(ROOT / "deploy/agent")
    assert set(objects) == {"Namespace", "CustomResourceDefinition", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "DaemonSet"}, set(objects)
    spec = objects["DaemonSet"]["spec"]["template"]["spec"]
    assert not [k for k in ("hostNetwork", "hostIPC", "initContainers", "priorityClassName") if k in spec] and spec["hostPID"] is True, spec
    container, = spec["containers"]
    security = dict(container["securityContext"])
    assert security.pop("capabilities") == {"drop": ["ALL"], "add": list(CAPABILITIES)}, container
    assert security == {"runAsUser": 0, "runAsGroup": 0, "readOnlyRootFilesystem": True, "seccompProfile": {"type": "RuntimeDefault"}}, security
    assert not container.get("ports"), container
    probe = {k: container["readinessProbe"][k] for k in ("exec", "periodSeconds")}
    assert probe == {"exec": {"command": ["/usr/local/bin/chaosd", "agent", "--ready"]}, "periodSeconds": 10}, container
    assert {v["name"]: (v.get("hostPath") or {}).get("path") for v in spec["volumes"]} == {"cgroup": "/sys/fs/cgroup", "state": None}, spec["volumes"]
    assert {m["mountPath"] for m in container["volumeMounts"]} == {"/sys/fs/cgroup", "/state"}, container
    said = re.search(r"^So: user 0, all capabilities dropped but (.*?)\.", doc("Rights on the node"), re.M)[1]
    assert set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)?\b", said)) == set(CAPABILITIES), said
    rules = [(r["apiGroups"], r["resources"], r["verbs"]) for kind in ("Role", "ClusterRole") for r in objects[kind]["rules"]]
    assert rules == [(["chaosd.io"], ["nodefaults"], ["get", "list", "watch", "delete"]), (["chaosd.io"], ["nodefaults/status"], ["patch"]),
                     ([""], ["nodes"], ["get", "list", "watch"])], rules
    in_doc = {(r, v) for r, verbs in re.findall(r"^\| agent \| `(\S+?)` \| (.+?) \|", doc("Rights in the cluster"), re.M) for v in verbs.split(", ")}
    assert in_doc == {(r, v) for _, (r,), verbs in rules for v in verbs}, in_doc


def test_it_is_of_this_version():
    version = tap.chaosd("version").stdout.split()[1]
    template = rendered(ROOT / "deploy/agent")["DaemonSet"]["spec"]["template"]
    assert template["metadata"]["labels"]["app.kubernetes.io/version"] == version, template["metadata"]
    assert template["spec"]["containers"][0]["image"] == f"chaosd:{version}", template["spec"]["containers"][0]["image"]


def test_the_overlay_names_an_image_and_what_selinux_wants():
    folder = AGENTS.dir / "deploy/kubernetes/overlays/another"
    folder.mkdir()
    for f in (ROOT / "deploy/kubernetes/overlays/example-agent").iterdir():
        (folder / f.name).write_text(f.read_text().replace("#patches", "patches"))
    container, = rendered(folder)["DaemonSet"]["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("registry.example/chaosd:"), container["image"]
    assert container["securityContext"]["seLinuxOptions"] == {"type": "spc_t"} and container["securityContext"]["capabilities"]["drop"] == ["ALL"], container


# --- as it runs ---

def test_it_is_ready_on_both_nodes():
    AGENTS.load().apply()
    pods = AGENTS.pods()
    assert sorted(pods) == AGENTS.nodes(), sorted(pods)
    for node, pod in pods.items():
        status = dict(line.split(":\t") for line in read(f"/proc/{AGENTS.pid(node)}/status").splitlines())
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == sum(1 << n for n in CAPABILITIES.values()), (node, status["CapEff"])
        assert status["Uid"].split() == ["0"] * 4 and status["Seccomp"] == "2", (node, status["Uid"], status["Seccomp"])
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0, pod["status"]


def test_its_account_may_just_what_is_listed():
    assert may("--namespace", NAMESPACE) == OF_FAULTS | OF_NODES, may("--namespace", NAMESPACE)
    for ns in ("default", "kube-system", "lab"):
        assert may("--namespace", ns) == OF_NODES, ns


def test_kubectl_shows_what_is_going_on():
    pod = web()[0]
    name = AGENTS.ask(pod, "net-partition", 4, CUT)
    in_effect = AGENTS.reaches(name, "InEffect")
    header, line = LAB.kubectl("get", "nodefaults", "--namespace", NAMESPACE).splitlines()
    assert re.split(r"  +", header.strip()) == COLUMNS, header
    shown = line.split()
    assert shown[:5] == [name, pod["spec"]["nodeName"], pod["metadata"]["name"], "net-partition", "InEffect"] and shown[5] == in_effect["spec"]["deadline"], line
    assert re.split(r"  +", LAB.kubectl("get", "nf", "--namespace", NAMESPACE, "-o", "wide").splitlines()[0].strip()) == COLUMNS + WIDE
    ended = AGENTS.reaches(name, "Ended")
    assert ended["status"]["agentVersion"] == tap.chaosd("version").stdout.split()[1], ended["status"]
    AGENTS.gone()
    AGENTS.forget(name)


def run_says():
    """What a run and a check say of a cluster that serves the NodeFaults of another version."""
    text = f"""
name: other
cluster: {{kubernetes: {{namespaces: [lab]}}}}
load:
  - {{name: gets, http: {{rate: 5/s, targets: {{url: "http://10.96.0.80"}}, steps: [{{get: /}}]}}}}
faults:
  - {{name: cut, net-partition: {{selector: {{labelSelectors: {{app: web}}}}, direction: both}}, at: 1s, for: 2s}}
duration: 4s
settle: 0s
"""
    with Scratch() as s:
        path = s.write("other.yaml", text)
        check = LAB.run(CHAOSD, "check", path, check=False)
        run = LAB.run("env", f"CHAOSD_STATE_DIR={s.dir}/state", CHAOSD, "run", "--strict", path, "--yes", "--quiet", "--out", s.dir / "run", check=False)
        return check, run


def test_an_agents_crd_of_another_version_is_one_clear_error():
    crd = json.loads(LAB.kubectl("get", "crd", RESOURCE, "-o", "json"))
    LAB.kubectl("delete", "crd", RESOURCE, "--timeout=180s", timeout=210)
    other = {"apiVersion": crd["apiVersion"], "kind": crd["kind"], "metadata": {"name": RESOURCE}, "spec": json.loads(json.dumps(crd["spec"]))}
    other["spec"].pop("conversion", None)
    other["spec"]["versions"][0]["name"] = "v1beta7"
    try:
        LAB.kubectl("create", "--filename", "-", input=json.dumps(other))
        until("the other version is served", lambda: LAB.run("kubectl", "get", "--raw", "/apis/chaosd.io/v1beta7", check=False).returncode == 0, 60)
        LAB.kubectl("delete", "pod", "--namespace", NAMESPACE, "--all", "--timeout=180s", timeout=210)
        until("the agent says it", lambda: "chaosd.io/v1alpha1" in AGENTS.log("node-1"), 30, 0.5)
        said = next(line for line in AGENTS.log("node-1").splitlines() if "chaosd.io/v1alpha1" in line)
        assert "nodefaults" in said.lower(), said
        check, run = run_says()
        assert check.returncode == 1 and "chaosd.io/v1alpha1" in check.stdout, check.stdout + check.stderr
        assert run.returncode not in (0, 70) and "chaosd.io/v1alpha1" in run.stdout + run.stderr, (run.returncode, run.stdout, run.stderr)
        print(f"# {said}")
    finally:
        LAB.kubectl("delete", "crd", RESOURCE, "--timeout=180s", timeout=210)
        AGENTS.apply()
    # The agents that stood before the right one came take their work up without being started anew.
    until("its work is taken up again", lambda: LAB.run("kubectl", "get", "--raw", "/apis/chaosd.io/v1alpha1", check=False).returncode == 0, 60)
    name = AGENTS.ask(web()[0], "net-partition", 60, CUT, act=2, end=True)
    AGENTS.reaches(name, "Ended", "Failed", seconds=60)
    AGENTS.forget(name)


def test_deleting_it_with_faults_in_ends_them_all():
    pods = web()
    hold, began = 15, time.monotonic()
    names = [AGENTS.ask(p, kind, hold, params, act=10 + i) for i, (p, kind, params) in enumerate(zip(pods, ("net-partition", "pod-pause", "net-partition"), (CUT, {}, CUT)))]
    for n in names:
        AGENTS.reaches(n, "InEffect")
    assert {"network", "frozen"} <= AGENTS.left().keys(), "three are in effect"
    last, first, env = began, *in_lab(LAB)
    with subprocess.Popen([*first, LAB.dir / "tools/kubectl", "delete", "-k", AGENTS.folder, "--timeout=180s"], env=env, stdout=subprocess.DEVNULL) as p:
        while p.poll() is None or AGENTS.left():
            if AGENTS.left().keys() & {"frozen", "network"}:
                last = time.monotonic()
            assert time.monotonic() - began < 210, AGENTS.left()
            time.sleep(0.1)
    assert p.returncode == 0 and LAB.run("kubectl", "get", "namespace", NAMESPACE, check=False).returncode, "nothing hangs in its deletion"
    print(f"# kubectl delete -k with three faults in, deadline {hold} s: all ended {last - began:.1f} s after the first was asked for, all gone after {time.monotonic() - began:.1f} s")
    assert last - began < hold + 2, last - began  # each was asked for a little later than the one before


try:
    LAB.deploy("web")
    tap.main()
finally:
    try:
        AGENTS.__exit__()
    finally:
        LAB.__exit__()
