# SPDX-License-Identifier: Apache-2.0
"""Drills on a real Kubernetes: what is done, what the timeline says of it, what else changed in the cluster, and what is left when something dies."""
import copy
import datetime
import json
import os
import signal
import subprocess
import threading
import time

from lab import KUBE, Lab, is_ready, until

import tap
from tap import CHAOSD, Scratch, events, expect_exit, summary

if os.geteuid() != 0:
    print("1..1\nok lab # SKIP (ci) needs root")
    raise SystemExit
LAB = Lab().__enter__()

HEAD = """
name: NAME
cluster: {kubernetes: {namespaces: [lab], leases: [kube-system/kube-scheduler]}}
load:
  - name: gets
    http: {rate: 50/s, lanes: [fresh, reused], targets: {url: "http://10.96.0.80"}, steps: [{get: /}], deadline: 500ms}
    window: {goods: 5, over: 500ms}
"""
WEB = "selector: {labelSelectors: {app: web}}"
ETCD = "selector: {labelSelectors: {app: etcd}}"


def scenario(name, faults, duration="20s", settle="3s", more=""):
    return HEAD.replace("NAME", name) + f"faults:\n{faults}\nduration: {duration}\nsettle: {settle}\nguards: {{steady: {{timeout: 60s}}}}\n{more}"


class Drill:
    """One run in the lab's network, its summary and history."""

    def __init__(self, s, text, *args, code=0):
        path = s.write("drill.yaml", text)
        self.out = s.dir / "run"
        self.p = subprocess.run(command(s, "run", path, "--yes", "--quiet", "--out", self.out, *args), capture_output=True, text=True, timeout=300, env=s.env)
        if code is not None:
            expect_exit(self.p, code)
        if (self.out / "summary.json").exists():
            self.summary, self.events = summary(self.out), events(self.out)

    def acts(self, phase, kind=None):
        return [e for e in self.events if e["op"] == "fault/act" and e["phase"] == phase and kind in (None, e["kind"])]

    def of(self, op, kind=None):
        return [e for e in self.events if e["op"] == op and kind in (None, e["kind"])]


def command(s, *args):
    return ["bash", KUBE, "exec", LAB.dir, CHAOSD, *map(str, args)]


# --- the cluster's objects, but for what changes by itself ---

VOLATILE = ("resourceVersion", "managedFields", "generation", "uid", "creationTimestamp", "selfLink")
KINDS = "deployments,statefulsets,daemonsets,services,poddisruptionbudgets,configmaps,serviceaccounts,persistentvolumeclaims"


def steady_state(o, keep_status=False):
    o = copy.deepcopy(o)
    for key in VOLATILE:
        o["metadata"].pop(key, None)
    if not keep_status:
        o.pop("status", None)
    return o


def as_pod(p):
    """What is the same of two pods that one template made."""
    o = steady_state(p)
    owner = [(r["kind"], r["name"]) for r in o["metadata"].get("ownerReferences", [])]
    spec = {k: v for k, v in o["spec"].items() if k not in ("nodeName", "hostname", "volumes")}
    for c in spec["containers"]:
        c.pop("volumeMounts", None)  # the token's volume has a random name
    labels = {k: v for k, v in o["metadata"].get("labels", {}).items() if k != "statefulset.kubernetes.io/pod-name"}
    return json.dumps([owner, labels, o["metadata"].get("annotations", {}), spec], sort_keys=True)


def objects():
    found = {f"{o['kind']}/{o['metadata']['name']}": steady_state(o) for o in LAB.get(KINDS, "--namespace", "lab")["items"]}
    for n in LAB.get("nodes")["items"]:
        # The kubelet's own lease of life on it is no change.
        found[f"Node/{n['metadata']['name']}"] = steady_state(n)
    found["pods"] = sorted(as_pod(p) for p in LAB.get("pods", "--namespace", "lab")["items"] if "deletionTimestamp" not in p["metadata"])
    return found


def differences(a, b):
    return {k: (a.get(k), b.get(k)) for k in set(a) | set(b) if a.get(k) != b.get(k)}


class Unchanged:
    """Everything is afterwards as it was before, but for what `allow` takes out of both."""

    def __init__(self, allow=None):
        self.allow = allow or (lambda o: None)

    def __enter__(self):
        whole()
        self.before = objects()
        return self

    def __exit__(self, kind, *a):
        if kind:
            return
        whole()
        after = objects()
        self.allow(self.before), self.allow(after)
        changed = differences(self.before, after)
        assert not changed, json.dumps(changed, indent=1)[:4000]


def whole():
    for app in ("web", "etcd"):
        until(f"three of {app} are Ready and none is going", lambda app=app: sum(is_ready(p) for p in LAB.pods(app)) == 3 == len(LAB.pods(app)), 90)


def stamp(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


LAB.deploy("web", "etcd")


# --- each kind ---

def milestones(act):
    return {m["what"]: m for m in reversed(act["timeline"])}


def agrees_with_events(act, uid, pod):
    """What the API's own Events say of the victim, to their whole seconds."""
    told = {e["reason"]: e for e in LAB.get("events", "--namespace", "lab", "--field-selector", f"involvedObject.uid={uid}")["items"]}
    assert "Killing" in told, (pod, sorted(told))
    killed = stamp(told["Killing"]["lastTimestamp"])
    stamped = stamp(milestones(act)["deletion stamped"]["stamp"])
    assert -1 <= killed - stamped <= 3, (killed, stamped)


def test_a_pod_is_deleted_and_its_recovery_timed():
    with Scratch() as s, Unchanged():
        d = Drill(s, scenario("delete", f"  - {{name: del, pod-delete: {{{WEB}}}, at: [4s, 15s]}}", duration="30s"), code=None)
        assert d.p.returncode in (0, 1), d.p.stdout + d.p.stderr  # an answer or two may well be lost
        done = d.acts("ok", "pod-delete")
        assert len(done) == 2 and len({e["target"] for e in done}) == 2, done
        for act, e in zip(d.summary["faults"], done):
            uid = next(x["data"]["uid"] for x in d.acts("invoke") if x["data"]["id"] == e["data"]["id"])
            assert act["observed"], act
            what = milestones(act)
            order = ["accepted", "deletion stamped", "endpoint gone", "replacement created", "scheduled", "started", "ready", "endpoint added", "whole again"]
            missing = [w for w in order if w not in what]
            assert not missing, (missing, act["timeline"])
            assert what["accepted"]["at_ms"] <= what["deletion stamped"]["at_ms"] + 50 and what["replacement created"]["at_ms"] <= what["scheduled"]["at_ms"] <= what["started"]["at_ms"] <= what["ready"]["at_ms"], what
            assert what["containers ended"]["at_ms"] > what["deletion stamped"]["at_ms"], what
            agrees_with_events(act, uid, act["target"])
            print(f"# {act['target']}: " + ", ".join(f"{w} {what[w]['at_ms']:.0f}" for w in [*order, "containers ended"]) + " ms")
        text = (d.out / "report.html").read_text()
        assert "replacement created" in text


def test_a_pod_is_evicted_and_a_budget_forbids_it():
    with Scratch() as s, Unchanged():
        d = Drill(s, scenario("evict", f"  - {{name: ev, pod-evict: {{{ETCD}}}, at: 3s}}", duration="15s"), code=None)
        assert len(d.acts("ok", "pod-evict")) == 1 and d.summary["faults"][0]["observed"], d.acts("fail")
        LAB.kubectl("patch", "pdb", "--namespace", "lab", "web", "--type=merge", "--patch", '{"spec": {"minAvailable": 3}}')
        until("the budget says 0", lambda: LAB.get("pdb", "--namespace", "lab", "web")["status"]["disruptionsAllowed"] == 0, 60)
        try:
            refused = Drill(s, scenario("evict-web", f"  - {{name: ev, pod-evict: {{{WEB}}}, at: 1s}}", duration="4s", settle="0s"), "--out", s.dir / "two", code=None)
            refused.events = events(s.dir / "two")
            said = [e["data"] for e in refused.events if e["op"] == "fault/act" and e["data"].get("why")]
            assert said and "budget" in said[0]["why"].lower() and not refused.acts("ok"), said
            forced = Drill(s, scenario("evict-on", f"  - {{name: ev, pod-evict: {{{WEB}}}, at: 1s}}", duration="4s", settle="0s").replace("guards: {", "guards: {budgets: ignore, "),
                           "--out", s.dir / "three", code=None)
            forced.events = events(s.dir / "three")
            said = [e["data"]["why"] for e in forced.events if e["op"] == "fault/act" and e["data"].get("why")]
            assert said and "budget" in said[0].lower() and not forced.acts("ok"), said  # the API server says so
        finally:
            LAB.kubectl("patch", "pdb", "--namespace", "lab", "web", "--type=merge", "--patch", '{"spec": {"minAvailable": 2}}')


def restarted(found):
    for o in found.values():
        if isinstance(o, dict):
            o["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
            for annotations in (o.get("spec", {}).get("template", {}) or {}).get("metadata", {}).get("annotations", {}),:
                annotations.pop("kubectl.kubernetes.io/restartedAt", None)
            template = (o.get("spec", {}).get("template", {}) or {}).get("metadata", {})
            if template.get("annotations") == {}:
                template.pop("annotations")
    found["pods"] = len(found["pods"])


def test_a_rollout_is_restarted():
    before = {p["metadata"]["uid"] for p in LAB.pods("web")}
    with Scratch() as s, Unchanged(restarted):
        d = Drill(s, scenario("restart", f"  - {{name: roll, rollout-restart: {{{WEB}}}, at: 2s}}", duration="25s"), code=None)
        assert len(d.acts("ok", "rollout-restart")) == 1 and d.summary["faults"][0]["observed"], d.p.stdout
    assert not before & {p["metadata"]["uid"] for p in LAB.pods("web")}


def test_a_workload_is_scaled_and_comes_back():
    with Scratch() as s, Unchanged():
        seen = []
        over = threading.Event()

        def look():
            while not over.is_set():
                seen.append(LAB.get("deployment", "--namespace", "lab", "web")["spec"]["replicas"])
                time.sleep(0.5)
        t = threading.Thread(target=look)
        t.start()
        d = Drill(s, scenario("scale", f"  - {{name: less, scale: {{{WEB}, by: -1}}, at: 2s, for: 8s}}", duration="22s"), code=None)
        over.set()
        t.join()
        assert d.acts("ok", "scale") and d.summary["faults"][0]["observed"] and d.summary["faults"][0]["reverted"], d.p.stdout
        assert 2 in seen and seen[-1] == 3, seen


def test_a_node_is_cordoned_and_open_again():
    with Scratch() as s, Unchanged():
        d = Drill(s, scenario("cordon", f"  - {{name: shut, node-cordon: {{{WEB}}}, at: 1s, for: 4s}}", duration="8s", settle="1s"), code=None)
        act = d.summary["faults"][0]
        assert act["observed"] and act["reverted"] and act["target"].startswith("node-"), act
        assert [e["kind"] for e in d.of("cluster/node")] == ["cordoned", "uncordoned"], d.of("cluster/node")


def test_a_node_is_drained_within_the_budgets():
    with Scratch() as s, Unchanged():
        d = Drill(s, scenario("drain", f"  - {{name: out, node-drain: {{selector: {{labelSelectors: {{app: etcd}}}}}}, at: 2s, for: 80s}}", duration="85s")
                  .replace("guards: {", "guards: {quorum: none, budgets: ignore, "), code=None)
        act = d.summary["faults"][0]
        assert act["observed"] and act["reverted"], (act, d.acts("fail"), d.acts("info"))
        assert d.acts("ok", "node-drain")
        node = act["target"]
        gone = [e for e in d.of("cluster/pod", "terminating") if e["data"]["node"] == node]
        assert len(gone) >= 2, gone
        # Never more than one of etcd at a time: the budget stood above the drain.
        down, most = set(), 0
        for e in d.events:
            if e["op"] == "cluster/pod" and e["target"].startswith("etcd"):
                if e["kind"] == "unready":
                    down.add(e["target"])
                elif e["kind"] == "ready":
                    down.discard(e["target"])
                most = max(most, len(down))
        assert most <= 1, most


# --- what the control plane goes through meanwhile ---

def test_a_frozen_kubelet_is_in_the_timeline():
    pid = LAB.pid("node-2.kubelet")
    with Scratch() as s:
        whole()
        timer = threading.Timer(4, lambda: os.kill(pid, signal.SIGSTOP))
        timer.start()
        try:
            d = Drill(s, scenario("frozen", f"  - {{name: shut, node-cordon: {{{WEB}}}, at: 1s, for: 2s}}", duration="35s", settle="1s").replace("steady: {timeout: 60s}", "steady: {timeout: 1s}"), code=None)
        finally:
            timer.join()
            os.kill(pid, signal.SIGCONT)
        assert ("unknown", "node-2") in [(e["kind"], e["target"]) for e in d.of("cluster/node")], d.of("cluster/node")
        until("node-2 is Ready again", lambda: {c["type"]: c["status"] for c in LAB.get("node", "node-2")["status"]["conditions"]}["Ready"] == "True", 60)
        whole()


def restart_the_dead():
    """What lost its lease meanwhile ends itself, and is started again, as a kubelet would."""
    for part in ("controller-manager", "scheduler"):
        if f"{part} " in "".join(line for line in LAB.sh("status", check=False).stdout.splitlines(True) if " dead" in line):
            LAB.sh("start", part, timeout=60)


def test_the_api_server_is_gone_for_half_a_minute():
    with Scratch() as s:
        whole()
        path = s.write("gone.yaml", scenario("gone", f"  - {{name: del, pod-delete: {{{WEB}}}, at: [3s, 14s, 50s]}}", duration="75s", settle="5s"))
        with subprocess.Popen(command(s, "run", path, "--yes", "--quiet", "--out", s.dir / "run"), env=s.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as p:
            until("the first is deleted", lambda: '"fault/act","phase":"ok"' in (s.dir / "run/history.jsonl").read_text() if (s.dir / "run/history.jsonl").exists() else False, 60)
            time.sleep(7)
            LAB.sh("signal", "apiserver", "KILL")
            time.sleep(30)
            LAB.sh("start", "apiserver", timeout=60)
            restart_the_dead()
            out = p.communicate(timeout=200)[0]
        told, done = events(s.dir / "run"), summary(s.dir / "run")
        assert p.returncode in (0, 1, 2), (p.returncode, out)  # 2: the second could not be deleted in time
        gaps = [e for e in told if e["op"] == "cluster/api" and e["kind"] == "gap" and e["target"] == "pods"]
        # A server that has just started may send its watchers off once more.
        assert gaps and 25e9 < gaps[0]["data"]["to"] - gaps[0]["data"]["from"] < 60e9 and gaps[-1]["data"]["to"] < 75e9, gaps
        terminating = [e["data"]["uid"] for e in told if e["op"] == "cluster/pod" and e["kind"] == "terminating"]
        done_ids = [e["data"]["id"] for e in told if e["op"] == "fault/act" and e["phase"] == "ok"]
        acts = [e["data"]["uid"] for e in told if e["op"] == "fault/act" and e["phase"] == "invoke" and e["data"]["id"] in done_ids]
        assert len(terminating) == len(set(terminating)) and len(acts) == len(set(acts)), (terminating, acts)  # nobody twice
        # What fell due meanwhile waits until all is seen and whole again, which may take to the end.
        assert 2 <= len(acts) <= 3 and set(terminating) == set(acts), (terminating, acts)  # and nobody else
        # What the server has now is what the history ends with.
        alive = {}
        for e in told:
            if e["op"] == "cluster/pod" and e["data"]["workload"] == "Deployment lab/web":
                alive[e["data"]["uid"]] = e["kind"] not in ("removed",)
        whole()
        assert {p["metadata"]["uid"] for p in LAB.pods("web")} <= {u for u, a in alive.items() if a}, alive
        assert any("lat" in json.dumps(f["timeline"]) for f in done["faults"]) or gaps, done["faults"]
        print(f"# API server away for {(gaps[0]['data']['to'] - gaps[0]['data']['from']) / 1e9:.1f} s: {len(acts)} pods deleted, none twice")


# --- what is left when chaosd dies ---

def replicas():
    o = LAB.get("deployment", "--namespace", "lab", "web")
    return o["spec"]["replicas"], o["metadata"].get("annotations", {}).get("chaosd.io/undo"), o["metadata"].get("labels", {}).get("chaosd.io/undo")


def killed_in_mid_scale(s, hold):
    path = s.write("scale.yaml", scenario("killed", f"  - {{name: less, scale: {{{WEB}, by: -1}}, at: 1s, for: {hold}}}", duration="60s"))
    with subprocess.Popen(command(s, "run", path, "--yes", "--quiet", "--out", s.dir / "run"), env=s.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True):
        until("two are wanted", lambda: replicas()[0] == 2, 60)
        assert replicas()[1] and replicas()[2], replicas()
        # chaosd by its own record: the run's journal names its process
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit() and str(s.dir / "scale.yaml") in read(f"/proc/{p}/cmdline") and read(f"/proc/{p}/comm").strip() == "chaosd"]
        assert len(pids) == 1, pids
        os.kill(pids[0], signal.SIGKILL)


def read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def test_a_killed_run_is_undone_at_its_deadline():
    with Scratch() as s, Unchanged():
        killed_in_mid_scale(s, "8s")
        _, took = until("three are wanted again, and no record is left", lambda: replicas() == (3, None, None), 30)
        print(f"# killed -9 in mid-scale: put back {took:.1f} s later, by the reaper")
        expect_exit(subprocess.run(command(s, "revert", "--all"), env=s.env, capture_output=True, text=True), 0)


def test_a_lost_laptop_leaves_nothing_for_ever():
    """Neither its journal nor its reaper is there any more: the record on the object is enough."""
    with Scratch() as s, Unchanged():
        killed_in_mid_scale(s, "20s")
        reapers = [int(p) for p in os.listdir("/proc") if p.isdigit() and "__reap" in read(f"/proc/{p}/cmdline") and str(s.dir) in read(f"/proc/{p}/environ")]
        for p in reapers:
            os.kill(p, signal.SIGKILL)
        other = dict(s.env, CHAOSD_STATE_DIR=str(s.dir / "another"))
        early = subprocess.run(command(s, "revert", "--cluster"), env=other, capture_output=True, text=True)
        assert replicas()[0] == 2, early.stdout + early.stderr  # it is held on purpose, as far as anybody knows
        time.sleep(22)
        late = expect_exit(subprocess.run(command(s, "revert", "--cluster"), env=other, capture_output=True, text=True), 0)
        assert replicas() == (3, None, None), late.stdout + late.stderr
        expect_exit(subprocess.run(command(s, "revert", "--all", "--force"), env=s.env, capture_output=True, text=True), 0)


# --- bad input ---

def test_nobody_matches():
    with Scratch() as s:
        began = time.monotonic()
        d = Drill(s, scenario("nobody", "  - {name: del, pod-delete: {selector: {labelSelectors: {app: nowhere}}}, at: 5s}", duration="60s"), code=3)
        assert time.monotonic() - began < 20 and "nowhere" in d.p.stdout + d.p.stderr, d.p.stdout + d.p.stderr


def test_an_unschedulable_replacement_is_a_censored_recovery_with_the_schedulers_reason():
    nodes = [n["metadata"]["name"] for n in LAB.get("nodes")["items"]]
    with Scratch() as s:
        whole()
        try:
            for n in nodes:
                LAB.kubectl("cordon", n)
            d = Drill(s, scenario("stuck", f"  - {{name: del, pod-delete: {{{WEB}}}, at: 1s}}", duration="12s", settle="1s").replace("steady: {timeout: 60s}", "steady: {timeout: 3s}"), code=None)
        finally:
            for n in nodes:
                LAB.kubectl("uncordon", n)
        act = d.summary["faults"][0]
        assert act["recovery"]["censored"], act
        why = " ".join(str(x.get("why")) for x in act["not_reached"])
        assert "unschedulable" in why or "nodes are available" in why, act
        whole()


def test_wrong_settings_are_one_sentence():
    with Scratch() as s:
        good = scenario("bad", f"  - {{name: del, pod-delete: {{{WEB}}}, at: 1s}}", duration="3s", settle="1s")
        for settings, words in (("context: nowhere, ", "nowhere"), ("kubeconfig: /nowhere/config, ", "/nowhere/config")):
            d = Drill(s, good.replace("{namespaces", "{" + settings + "namespaces"), code=None)
            assert d.p.returncode in (64, 70) and words in d.p.stderr and len(d.p.stderr.strip().splitlines()) == 1, (d.p.returncode, d.p.stderr)


try:
    tap.main()
finally:
    LAB.__exit__()
