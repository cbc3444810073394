# SPDX-License-Identifier: Apache-2.0
"""Around faults that a node's agent carries out: what `chaosd check` looks at before, which guards count them, which pods they may strike, and how
a container that comes back is timed. Against the fake API server, with the test as the agent."""
import copy
import json
import pathlib
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import tap  # noqa: E402
from tap import CHAOSD, ROOT, SLOW, Scratch, events, expect_exit  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from test_ask import NS, PARTITION, Nodes, ended, good, in_effect  # noqa: E402
from test_faults import SELECT, environment, objects, run, scenario  # noqa: E402


def agent(api, node, version=None, ready=True, image="registry.lab:5000/chaosd", suffix="", **metadata):
    if version is None:
        version = subprocess.run([CHAOSD, "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    pod = objects.pod(f"chaosd-agent-{node}{suffix}", namespace=NS, node=node, ready=ready, labels={"app.kubernetes.io/name": "chaosd-agent", "app.kubernetes.io/version": version}, **metadata)
    pod["spec"]["containers"].append({"name": "agent", "image": image})  # after what somebody else put there
    api.put("pods", pod)


def check(s, api, code, fault=PARTITION):
    path = scenario(s, api, fault, duration="10s")
    return expect_exit(subprocess.run([CHAOSD, "check", path], capture_output=True, text=True, timeout=60 * SLOW, env=environment(s)), code).stdout.splitlines()


def test_check_looks_for_agents():
    with Nodes() as api, Scratch() as s:
        said = check(s, api, 1)
        for n in (1, 2):
            assert f"no  node node-{n} has no agent: faults on its pods will fail (kubectl get pods -n {NS})" in said, said
        agent(api, "node-1")
        said = check(s, api, 0)
        assert "!!  node node-2 has no agent: faults on its pods will fail (kubectl get pods -n chaosd-agent)" in said and not any("node-1" in x for x in said), said
        agent(api, "node-2", ready=False)
        assert any("!!  node node-2 has an agent that is not ready" in x for x in check(s, api, 0))
        agent(api, "node-2", version="0.0.9")
        assert any("!!  the agent on node node-2 is of version 0.0.9, and this is " in x for x in check(s, api, 0))
        for image, version in (("chaosd:0.0.8", "0.0.8"), ("registry.lab:5000/tools/chaosd:v0.0.7", "0.0.7"), ("chaosd:nightly", None), ("chaosd:0.0.8@sha256:" + 64 * "7", None)):
            agent(api, "node-2", image=image)  # an overlay's tag stands above the label, where it is a version
            said = [x for x in check(s, api, 0) if x.startswith("!!")]
            assert (f"!!  the agent on node node-2 is of version {version}, and this is " in said[0]) if version else not said, (image, said)
        agent(api, "node-2", version="0.0.9", suffix="-old", deletionTimestamp="2026-11-23T09:00:00Z")  # a roll-out's
        agent(api, "node-2")
        said = check(s, api, 0)
        assert "ok  an agent is ready on each of the 2 nodes of the selected pods" in said and not any(x.startswith(("!!", "no")) for x in said), said
        assert "ok  fault hit: may create, get, list, watch, patch, delete nodefaults in chaosd-agent" in said, said
        api.forbidden |= {("list", "pods", NS)}
        assert any("!!  whether there is an agent on each node cannot be seen: " in x for x in check(s, api, 0))
        said = check(s, api, 0, fault=f"pod-delete: {{{SELECT}}}")
        assert not any("agent" in x or "nodefaults" in x for x in said), said


def test_check_names_the_rights():
    with Nodes() as api, Scratch() as s:
        agent(api, "node-1"), agent(api, "node-2")
        api.forbidden |= {("create", "nodefaults"), ("patch", "nodefaults")}
        said = check(s, api, 1)
        assert 'no  fault hit: may not create, patch nodefaults in chaosd-agent: add {apiGroups: ["chaosd.io"], resources: ["nodefaults"], verbs: ["create", "patch"]}' in said, said
        role = said[said.index("---"):]
        assert "metadata: {name: chaosd-drill, namespace: chaosd-agent}" in role
        assert '  - {apiGroups: ["chaosd.io"], resources: ["nodefaults"], verbs: ["create", "get", "list", "watch", "patch", "delete"]}' in role, role
    with Nodes(served=False) as api, Scratch() as s:
        said = check(s, api, 1)
        assert "no  NodeFaults of chaosd.io/v1alpha1 are not served: no agent could be asked (kubectl apply -k deploy/agent)" in said, said


def test_guards_count_what_agents_do():
    """Whoever is paused or cut off serves nobody, and a quorum is kept."""
    for kind in (f"pod-pause: {{{SELECT}, mode: all}}\n    for: 1s", f"net-partition: {{{SELECT}, mode: all}}\n    for: 1s", f"pod-kill: {{{SELECT}, mode: all}}",
                 f"container-pause: {{{SELECT}, mode: all}}\n    for: 1s"):
        with Nodes(kind="StatefulSet").begin(good) as api, Scratch() as s:
            a = run(s, api, kind, guards="")
            skips = [e["data"].get("guard") for e in a.of("act", "info")]
            assert len(api.asked_for) == 1 and skips == ["quorum", "quorum"], (kind, skips)
    with Nodes(kind="StatefulSet").begin(good) as api, Scratch() as s:
        run(s, api, f"net-delay: {{{SELECT}, mode: all, delay: {{latency: 10ms}}}}\n    for: 1s", guards="")
        assert len(api.asked_for) == 3


def test_a_local_scenario_with_another_cluster():
    """docs/KUBERNETES.md says that no more is needed."""
    doc = (ROOT / "docs/KUBERNETES.md").read_text()
    doc = doc[doc.index("## Faults by the nodes' agents"):]
    block = doc[doc.index("```yaml\n") + 8:].split("```")[0]
    assert block.startswith("cluster:\n  kubernetes:\n    namespaces: [etcd]"), block
    for name in ("etcd-partition-leader", "etcd-slow-follower"):
        with Nodes() as api, Scratch() as s:
            scenario(s, api, PARTITION)  # for the kubeconfig
            local = (ROOT / f"scenarios/{name}.yaml").read_text()
            text = re.sub(r"^cluster:\n(?:[ ].*\n|\n)+", block + "\n", local, flags=re.M)
            assert "local:" not in text and "\nroles:" in text
            path = s.write("other.yaml", text.replace("namespaces: [etcd]", f"namespaces: [etcd]\n    kubeconfig: {s.dir}/config"))
            for i in range(3):
                api.put("pods", objects.pod(f"etcd-{i}", namespace="etcd", labels={"app": "etcd"}, node=f"node-{i % 2 + 1}",
                                            ownerReferences=[{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "etcd", "uid": "e", "controller": True}]))
            api.put("namespaces", {"metadata": {"name": "etcd"}})
            agent(api, "node-1"), agent(api, "node-2")
            p = expect_exit(subprocess.run([CHAOSD, "check", path], capture_output=True, text=True, timeout=60 * SLOW, env=environment(s)), 0)
            assert "ok  an agent is ready on each of the 2 nodes of the selected pods" in p.stdout, p.stdout
            p = expect_exit(subprocess.run([CHAOSD, "plan", path], capture_output=True, text=True, timeout=60 * SLOW, env=environment(s)), 0)
            assert "of etcd-0, etcd-1, etcd-2" in p.stdout, p.stdout


# --- whom it may strike ---

def static(api, name="etcd-node-1"):
    return api.put("pods", objects.pod(name, labels={"app": "etcd"}, node="node-1", annotations={"kubernetes.io/config.mirror": "5f1c", "kubernetes.io/config.hash": "5f1c0a6b8b7d4e1f9a0b1c2d3e4f5061"},
                                       ownerReferences=[{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "n", "controller": True}]))


def test_a_static_pod_is_found_by_its_groups():
    select = "selector: {labelSelectors: {app: etcd}}"
    with Nodes().begin(good) as api, Scratch() as s:
        static(api)
        a = run(s, api, f"net-partition: {{{select}, hostNetwork: true}}\n    for: 500ms", code=0)
        spec = api.asked_for[0]["spec"]
        assert spec["pod"] == {"namespace": "shop", "name": "etcd-node-1", "uid": "5f1c0a6b8b7d4e1f9a0b1c2d3e4f5061", "hostNetwork": True} and a.one("revert", "ok"), spec
    with Nodes().begin(good) as api, Scratch() as s:  # its object is but a mirror
        static(api)
        p = subprocess.run([CHAOSD, "run", scenario(s, api, f"pod-delete: {{{select}}}"), "--yes", "--out", s.dir / "out"], capture_output=True, text=True, timeout=60 * SLOW, env=environment(s), cwd=s.dir)
        assert p.returncode == 3 and not api.asked("DELETE"), p.stdout + p.stderr
        p = subprocess.run([CHAOSD, "plan", s.dir / "s.yaml"], capture_output=True, text=True, timeout=60 * SLOW, env=environment(s), cwd=s.dir)
        assert p.returncode == 0 and "of no candidate" in p.stdout, p.stdout + p.stderr


# --- which container ---

DEFAULT = "kubectl.kubernetes.io/default-container"
RUNS = {"running": {"startedAt": "2026-11-21T08:15:12Z"}}
DOWN = {"terminated": {"reason": "Error", "exitCode": 1, "startedAt": "2026-11-21T08:15:12Z", "finishedAt": "2026-11-21T08:15:13Z"}}


def of_two(api, states, annotations):
    """web, and beside it one that the kubelet, which sorts by name, tells first."""
    for o in api.pods():
        o = copy.deepcopy(o)
        main, status = o["spec"]["containers"][0], o["status"]["containerStatuses"][0]
        o["spec"]["containers"] = [dict(main, name="web"), dict(main, name="a-sidecar")]
        o["status"]["containerStatuses"] = [dict(status, name=n, containerID=f"containerd://{c * 64}", state=states[n], ready=n in states) for n, c in (("a-sidecar", "a"), ("web", "b")) if n in states]
        o["metadata"]["annotations"] = annotations
        api.put("pods", o)


def test_a_container_that_is_not_named_is_the_first_of_the_spec():
    default = {DEFAULT: "a-sidecar"}
    for annotations, row, wanted in (({}, "", ("web", "b" * 12)), (default, "", ("a-sidecar", "a" * 12)), ({DEFAULT: "renamed"}, "", ("web", "b" * 12)), (default, ", container: web", ("web", "b" * 12))):
        for kind in (f"container-kill: {{{SELECT}, mode: one{row}}}", f"container-pause: {{{SELECT}, mode: one{row}}}\n    for: 500ms"):
            with Nodes().begin(good) as api, Scratch() as s:
                of_two(api, {"web": RUNS, "a-sidecar": RUNS}, annotations)
                run(s, api, kind, code=0)
                asked = api.asked_for[0]["spec"]["container"]
                assert (asked["name"], asked["id"]) == wanted, (kind, annotations, asked)


def test_no_other_container_is_taken_in_its_place():
    default = {DEFAULT: "a-sidecar"}
    for states, annotations, row, said in (({"web": DOWN, "a-sidecar": RUNS}, {}, "", "'s container web does not run"),
                                           ({"a-sidecar": RUNS}, {}, "", "'s container web does not run"),
                                           ({"web": RUNS, "a-sidecar": DOWN}, default, "", "'s container a-sidecar does not run"),
                                           ({"web": DOWN, "a-sidecar": RUNS}, {}, ", container: web", "'s container web does not run")):
        with Nodes().begin(good) as api, Scratch() as s:
            of_two(api, states, annotations)
            a = run(s, api, f"container-kill: {{{SELECT}, mode: one{row}}}")
            why = a.one("act", "info")["data"]
            assert why["why"].endswith(said) and why["why"].startswith("web-0") and not api.asked_for, (states, why)


# --- and how it comes back ---

def container(api, name, state, restarts, ready):
    with api.lock:
        o = copy.deepcopy(api.get("pods", name, "shop"))
        o["status"]["containerStatuses"][0].update(state=state, restartCount=restarts, ready=ready)
        for c in o["status"]["conditions"]:
            if c["type"] in ("Ready", "ContainersReady"):
                c["status"] = "True" if ready else "False"
        api.put("pods", o)


def kubelet(api, o):
    """After a kill: the container has ended, runs again, is ready."""
    name, now = o["spec"]["pod"]["name"], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    time.sleep(0.1)
    container(api, name, {"terminated": {"reason": "Error", "exitCode": 137, "startedAt": now, "finishedAt": now}}, 0, False)
    time.sleep(0.2)
    container(api, name, {"running": {"startedAt": now}}, 1, False)
    time.sleep(0.2)
    container(api, name, {"running": {"startedAt": now}}, 1, True)


def test_a_restart_is_timed():
    for kind in ("pod-kill", "container-kill"):
        with Nodes() as api, Scratch() as s:
            def kills(o):
                threading.Thread(target=kubelet, args=(api, o), daemon=True).start()
                return [(0.02, in_effect(proof={"proof": "exited"})), (0.01, ended())]
            api.begin(kills)
            a = run(s, api, f"{kind}: {{{SELECT}, mode: one}}", code=0)
            ok, victim = a.one("act", "ok"), a.one("act", "ok")["target"]
            told = [e for e in events(s.dir / "out") if e["op"] == "cluster/pod" and e["target"] == victim and e["t"] > ok["data"]["asked"]]
            assert [e["kind"] for e in told] == ["exited", "started", "ready"] and {e["data"]["uid"] for e in told} == {a.one("act", "invoke")["data"]["uid"]}, told
            assert told[1]["data"]["restarts"] == 1, told
            act, = json.loads((s.dir / "out/summary.json").read_text())["faults"]
            full = act["recovery"]["redundancy_ms"]
            wanted = (told[2]["t"] - ok["data"]["asked"]) / 1e6
            assert full and abs(full - wanted) < 1, (kind, act, wanted)


if __name__ == "__main__":
    tap.main()
