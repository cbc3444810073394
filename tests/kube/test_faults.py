# SPDX-License-Identifier: Apache-2.0
"""Faults on an API server's objects, by whole runs against the fake API server with a small controller beside it: what is asked, what is
proven, what is refused, and that afterwards everything is as it was."""
import copy
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import tap  # noqa: E402
from tap import CHAOSD, ROOT, SLOW, Scratch, events  # noqa: E402

sys.path.insert(0, str(ROOT / "tests" / "fake_api"))
import objects  # noqa: E402
from fake_api import Close, FakeApi, Stall, Status  # noqa: E402

KEY = "chaosd.io/undo"
SELECT = "selector: {labelSelectors: {app: web}}"


class Shop(FakeApi):
    """A Deployment of three with its ReplicaSet, two nodes, and who keeps their number: every 20 ms, as the controllers would."""

    def __init__(self, *a, kind="Deployment", replicas=3, **kw):
        super().__init__(*a, **kw)
        self.kind, self.made, self.revision, self.stamp = kind, 0, 1, None
        self.put("namespaces", {"metadata": {"name": "shop"}})
        for i in (1, 2):
            self.put("nodes", {"metadata": {"name": f"node-{i}"}, "spec": {"podCIDR": f"10.0.{i}.0/24"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
        self.plural = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}[kind]
        self.put(self.plural, {"metadata": {"name": "web", "namespace": "shop", "uid": "uid-web", "generation": 1, "annotations": {"mine": "kept"}},
                               "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}}},
                               "status": {"observedGeneration": 1}})
        if kind == "Deployment":
            self.put_set()
        self.reconcile()
        threading.Thread(target=self.keep, daemon=True).start()

    @property
    def web(self):
        return self.get(self.plural, "web", "shop")

    @property
    def owner(self):
        return {"kind": "ReplicaSet", "name": f"web-r{self.revision}", "uid": f"uid-r{self.revision}"} if self.kind == "Deployment" else {"kind": self.kind, "name": "web", "uid": "uid-web"}

    def put_set(self):
        self.put("replicasets", {"metadata": {"name": self.owner["name"], "namespace": "shop", "uid": self.owner["uid"], "labels": {"app": "web"}, "generation": 1,
                                              "annotations": dict(self.web["metadata"]["annotations"]),
                                              "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web", "controller": True}]},
                                 "spec": {"replicas": self.web["spec"]["replicas"]}, "status": {"observedGeneration": 1}})

    def pods(self):
        return [o for o in self.objects("pods") if o["metadata"]["labels"].get("app") == "web"]

    def new_pod(self):
        nodes = [n["metadata"]["name"] for n in self.objects("nodes") if not n["spec"].get("unschedulable")]
        if not nodes:
            return False
        self.made += 1
        self.put("pods", objects.pod(f"web-{self.made:03d}", node=nodes[self.made % len(nodes)], labels={"app": "web", "revision": str(self.revision)},
                                      ownerReferences=[dict(self.owner, apiVersion="apps/v1", controller=True)]))
        return True

    def reconcile(self):
        with self.lock:
            web, stamp = self.web, self.web["spec"]["template"]["metadata"].get("annotations", {}).get("kubectl.kubernetes.io/restartedAt")
            if stamp != self.stamp:
                self.stamp, self.revision = stamp, self.revision + 1
                if self.kind == "Deployment":
                    self.put_set()
            elif self.kind == "Deployment":  # annotations are copied, and never taken back
                rs = self.get("replicasets", self.owner["name"], "shop")
                if not set(web["metadata"]["annotations"].items()) <= set(rs["metadata"]["annotations"].items()):
                    self.put("replicasets", dict(rs, metadata=dict(rs["metadata"], annotations={**rs["metadata"]["annotations"], **web["metadata"]["annotations"]})))
            old = [p for p in self.pods() if p["metadata"]["labels"]["revision"] != str(self.revision)]
            for p in old[:1]:
                self.delete("pods", p["metadata"]["name"], "shop")
            while len(self.pods()) > web["spec"]["replicas"]:
                self.delete("pods", self.pods()[-1]["metadata"]["name"], "shop")
            while len(self.pods()) < web["spec"]["replicas"] and self.new_pod():
                pass
            n = len(self.pods())
            status = {"observedGeneration": 1, "replicas": n, "readyReplicas": n, "updatedReplicas": n, "desiredNumberScheduled": web["spec"]["replicas"], "numberReady": n, "updatedNumberScheduled": n}
            if web["status"] != status:
                self.put(self.plural, dict(web, status=status))

    def keep(self):
        while not self.stopping.wait(0.02):
            self.reconcile()

    def state(self):
        """Everything but pods, without what every change of it changes."""
        all_of = {p: copy.deepcopy(self.objects(p)) for p in ("deployments", "statefulsets", "replicasets", "nodes")}
        for list_of in all_of.values():
            for o in list_of:
                del o["metadata"]["resourceVersion"]
        return all_of


def environment(s):
    return dict({k: v for k, v in os.environ.items() if "PROXY" not in k.upper() and not k.startswith("KUBE")}, CHAOSD_STATE_DIR=s.env["CHAOSD_STATE_DIR"])


def scenario(s, api, fault, rest="at: [300ms]", duration="3s", guards="guards: {quorum: none}"):
    s.write("config", json.dumps({"current-context": "lab", "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
                                  "clusters": [{"name": "c", "cluster": {"server": api.url}}], "users": [{"name": "u", "user": {"token": "t"}}]}))
    return s.write("s.yaml", f"name: drill\ncluster: {{kubernetes: {{kubeconfig: {s.dir}/config}}}}\nfaults:\n  - name: hit\n    {fault}\n    {rest}\n{guards}\nduration: {duration}\nsettle: 0s\n")


def run(s, api, *args, code=None, **kw):
    p = subprocess.run([CHAOSD, "run", scenario(s, api, *args, **kw), "--yes", "--out", s.dir / "out"], capture_output=True, text=True, timeout=60 * SLOW, env=environment(s), cwd=s.dir)
    assert (s.dir / "out/history.jsonl").exists(), p.stdout + p.stderr
    assert p.returncode in ((0, 1, 2, 3) if code is None else (code,)) and "Sanitizer" not in p.stderr, f"exit {p.returncode}\n{p.stdout}\n{p.stderr}"
    return Acts(s)


class Acts:
    def __init__(self, s):
        self.all = [e for e in events(s.dir / "out") if e["op"].startswith("fault/")]

    def of(self, op, phase=None):
        return [e for e in self.all if e["op"] == f"fault/{op}" and phase in (None, e["phase"])]

    def one(self, op, phase=None):
        found = self.of(op, phase)
        assert len(found) == 1, f"{op} {phase}: {json.dumps(self.all, indent=1)}"
        return found[0]


def nothing_left(s):
    state = s.dir / "state"
    assert not state.exists() or not list(state.iterdir()), list(state.iterdir())


# --- pods ---

def test_pod_delete():
    with Shop() as api, Scratch() as s:
        a = run(s, api, f"pod-delete: {{{SELECT}, gracePeriod: 2s}}")
        ok = a.one("act", "ok")
        asked = api.asked("DELETE")
        assert len(asked) == 1 and asked[0]["body"]["gracePeriodSeconds"] == 2 and asked[0]["body"]["preconditions"]["uid"] == a.one("act", "invoke")["data"]["uid"], asked
        assert ok["data"]["tries"] == 1 and ok["data"]["date"] and ok["data"]["asked"] < ok["data"]["seen"] <= ok["t"], ok
        assert a.one("observed")["data"]["proof"] == "exited"
        print(f"# from invoke to accepted: {(ok['data']['seen'] - a.one('act', 'invoke')['t']) / 1e6:.2f} ms")


def test_pod_delete_by_force():
    with Shop() as api, Scratch() as s:
        a = run(s, api, f"pod-delete: {{{SELECT}, force: true}}")
        assert api.asked("DELETE")[0]["body"]["gracePeriodSeconds"] == 0 and a.one("act", "ok")["data"]["forced"] is True


def test_a_deletion_whose_answer_was_lost():
    with Shop() as api, Scratch() as s:
        api.fault("DELETE", "/pods/", Close(carry_out=True))
        a = run(s, api, f"pod-delete: {{{SELECT}}}")
        unknown = a.one("act", "unknown")
        assert "whose answer was lost, or by somebody else" in json.dumps(unknown) and not a.of("act", "ok") and not a.of("act", "fail"), a.all
        assert len(api.asked("DELETE")) == 2 and len({r["path"] for r in api.asked("DELETE")}) == 1


def test_a_pod_that_is_another_by_now():
    with Shop() as api, Scratch() as s:
        api.fault("DELETE", "/pods/", Status(409, "Conflict", "Precondition failed: UID in precondition"))
        a = run(s, api, f"pod-delete: {{{SELECT}}}")
        assert "gone, or another one by now" in a.one("act", "info")["data"]["why"] and not a.of("act", "fail")


def test_an_eviction_that_a_budget_blocks():
    with Shop() as api, Scratch() as s:
        api.budget |= {f"web-{i:03d}" for i in range(99)}
        a = run(s, api, f"pod-evict: {{{SELECT}}}")
        skip = a.one("act", "info")
        assert skip["kind"] == "skip" and "blocked by PodDisruptionBudget" in skip["data"]["why"] and "disruption budget web needs 2" in skip["data"]["why"], skip
        assert not a.of("act", "ok") and not a.of("act", "fail") and len(api.asked("POST", "eviction")) == 1


def test_an_eviction_that_is_tried_again():
    for release, version in (("1.20", "policy/v1beta1"), ("1.28", "policy/v1")):
        with Shop(release) as api, Scratch() as s:
            api.budget |= {f"web-{i:03d}" for i in range(99)}
            threading.Timer(2, api.budget.clear).start()
            a = run(s, api, f"pod-evict: {{{SELECT}, onBlocked: retry}}", duration="5s")
            assert a.one("act", "ok")["data"]["blocked"] >= 1 and a.one("observed"), a.all
            assert {r["body"]["apiVersion"] for r in api.asked("POST", "eviction")} == {version}


def test_a_right_that_is_missing_is_named():
    with Shop() as api, Scratch() as s:
        api.forbidden.add(("create", "pods/eviction"))
        a = run(s, api, f"pod-evict: {{{SELECT}}}", code=2)
        assert 'resources: ["pods/eviction"], verbs: ["create"]' in a.one("act", "fail")["data"]["why"], a.all


# --- workloads ---

def test_rollout_restart():
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        with Shop(kind=kind) as api, Scratch() as s:
            before = {p["metadata"]["uid"] for p in api.pods()}
            a = run(s, api, f"rollout-restart: {{{SELECT}}}")
            stamp = a.one("act", "ok")["data"]["stamp"]
            assert a.one("act", "ok")["target"] == f"{kind} shop/web" and a.one("observed")["data"]["pods"] == 3, a.all
            assert api.web["spec"]["template"]["metadata"] == {"labels": {"app": "web"}, "annotations": {"kubectl.kubernetes.io/restartedAt": stamp}}, api.web
            assert not before & {p["metadata"]["uid"] for p in api.pods()} and KEY not in api.web["metadata"]["annotations"]


def test_a_rollout_counts_what_its_strategy_takes():
    """Recreate takes all at once; a share of 70 % of three is two; by default it is one."""
    for kind, strategy, taken in (("Deployment", {"strategy": {"type": "Recreate"}}, 3), ("Deployment", {"strategy": {"rollingUpdate": {"maxUnavailable": "70%"}}}, 2),
                                  ("Deployment", {}, 1), ("DaemonSet", {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}}, 2), ("StatefulSet", {}, 1)):
        with Shop(kind=kind) as api, Scratch() as s:
            api.put(api.plural, dict(api.web, spec={**api.web["spec"], **strategy}))
            a = run(s, api, f"rollout-restart: {{{SELECT}}}", guards="guards: {quorum: majority}")
            if taken > 1:
                assert a.one("act", "info")["data"]["guard"] == "quorum" and not api.asked("PATCH"), a.all
            else:
                assert a.one("act", "ok"), a.all


def test_two_workloads_of_one_name_are_two():
    with Shop() as api, Scratch() as s:
        api.put("deployments", {"metadata": {"name": "web", "namespace": "other", "uid": "uid-other", "generation": 1},
                                "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}}},
                                "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}})
        api.put("replicasets", {"metadata": {"name": "web-o1", "namespace": "other", "uid": "uid-o1", "generation": 1, "labels": {"app": "web"},
                                             "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-other", "controller": True}]},
                                "spec": {"replicas": 1}, "status": {"observedGeneration": 1, "readyReplicas": 1}})
        api.put("pods", objects.pod("web-o1-a", namespace="other", node="node-1", labels={"app": "web2"},
                                    ownerReferences=[{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-o1", "uid": "uid-o1", "controller": True}]))
        path = scenario(s, api, "scale: {selector: {nodes: [node-1, node-2]}, mode: all, by: 1}", "at: [300ms]\n    for: 1s")
        path.write_text(path.read_text().replace("/config}}", "/config, namespaces: [shop, other]}}"))
        subprocess.run([CHAOSD, "run", path, "--yes", "--out", s.dir / "out"], capture_output=True, text=True, timeout=60 * SLOW, env=environment(s), cwd=s.dir)
        assert sorted(e["target"] for e in Acts(s).of("act", "ok")) == ["Deployment other/web", "Deployment shop/web"], Acts(s).all


def test_a_paused_deployment_is_left_alone():
    for fault in (f"rollout-restart: {{{SELECT}}}", f"scale: {{{SELECT}, replicas: 1}}\n    for: 1s"):
        with Shop() as api, Scratch() as s:
            api.put("deployments", dict(api.web, spec=dict(api.web["spec"], paused=True)))
            a = run(s, api, fault)
            assert "paused" in a.one("act", "info")["data"]["why"] and not api.asked("PATCH"), a.all


def test_scale():
    for kind, what, to in (("Deployment", "replicas: 1", 1), ("StatefulSet", "by: -2", 1), ("Deployment", "replicas: 0", 0), ("Deployment", "by: 2", 5)):
        with Shop(kind=kind) as api, Scratch() as s:
            before = api.state()
            seen = []
            api.fault("PATCH", "/web", Seen(seen), times=1)
            a = run(s, api, f"scale: {{{SELECT}, {what}}}", "at: [300ms]\n    for: 1s")
            ok, proof = a.one("act", "ok"), a.one("observed")
            assert (ok["target"], ok["data"]["replicas_before"], ok["data"]["replicas"]) == (f"{kind} shop/web", 3, to) and proof["data"]["to"] == to, a.all
            held = json.loads(seen[0]["metadata"]["annotations"][KEY])
            assert held["fault"] == "hit" and held["kind"] == "scale" and seen[0]["spec"] == {"replicas": to} and seen[0]["metadata"]["labels"] == {KEY: held["run"]}, seen
            assert held["undo"][0] == {"op": "test", "path": "/spec/replicas", "value": to} and held["undo"][1]["value"] == 3, held
            assert a.one("revert", "ok")["t"] - ok["t"] >= 1e9 and "why" not in a.one("revert", "ok")["data"], a.all
            time.sleep(0.2)
            assert api.state() == before and len(api.pods()) == 3
            nothing_left(s)


class Seen(Status):
    """Lets it pass, and keeps what was sent."""

    def __init__(self, to):
        self.to = to

    def act(self, h):
        self.to.append(h.api.requests[-1]["body"])
        return False


def test_scale_beside_an_autoscaler():
    with Shop() as api, Scratch() as s:
        threading.Timer(1.5, lambda: api.put("deployments", dict(api.web, spec=dict(api.web["spec"], replicas=4)))).start()
        a = run(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [100ms]\n    for: 2s", duration="4s")
        assert "changed by somebody else and is 4 now" in a.one("revert", "ok")["data"]["why"], a.all
        assert api.web["spec"]["replicas"] == 4 and KEY not in api.web["metadata"]["annotations"]


LEFT = '{"run":"ffffff","id":1,"deadline":"%s","undo":[{"op":"test","path":"/spec/replicas","value":3},{"op":"replace","path":"/spec/replicas","value":2}]}'


def test_what_an_earlier_run_left_is_undone_first():
    with Shop() as api, Scratch() as s:
        m = api.web["metadata"]
        api.put("deployments", dict(api.web, metadata=dict(m, labels={KEY: "ffffff"}, annotations={**m["annotations"], KEY: LEFT % "2026-01-01T00:00:00Z"})))
        a = run(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 1s")
        assert a.one("act", "ok")["data"]["replicas_before"] == 2 and a.one("revert", "ok"), a.all
        assert api.web["spec"]["replicas"] == 2 and KEY not in api.web["metadata"]["annotations"]


def test_scale_of_what_is_held_by_another_run():
    with Shop() as api, Scratch() as s:
        m = api.web["metadata"]
        api.put("deployments", dict(api.web, metadata=dict(m, labels={KEY: "ffffff"}, annotations={**m["annotations"], KEY: LEFT % "2036-01-01T00:00:00Z"})))
        a = run(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 1s")
        assert "carries a change of run ffffff" in a.one("act", "info")["data"]["why"] and not api.asked("PATCH"), a.all
        nothing_left(s)


def test_scale_of_what_carries_half_a_mark():
    """Either of annotation and label says that it is not as it was."""
    for half in ("label", "annotation"):
        with Shop() as api, Scratch() as s:
            m = api.web["metadata"]
            more = {"labels": {KEY: "ffffff"}} if half == "label" else {"annotations": {**m["annotations"], KEY: LEFT % "2036-01-01T00:00:00Z"}}
            api.put("deployments", dict(api.web, metadata={**m, **more}))
            a = run(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 1s")
            assert "of run ffffff" in a.one("act", "info")["data"]["why"] and not api.asked("PATCH"), a.all


def test_scale_whose_annotations_are_replaced():
    """As `kubectl rollout undo` does it: the mark is gone, the change is not."""
    with Shop() as api, Scratch() as s:
        before = api.state()

        def rollout_undo():
            end = time.monotonic() + 20 * SLOW
            while api.web["spec"]["replicas"] != 1 and time.monotonic() < end:
                time.sleep(0.02)
            with api.lock:
                api.put("deployments", dict(api.web, metadata=dict(api.web["metadata"], annotations={"mine": "kept"})))
        t = threading.Thread(target=rollout_undo)
        t.start()
        a = run(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 1s")
        t.join()
        assert "put back from the record" in a.one("revert", "ok")["data"]["why"], a.all
        time.sleep(0.2)
        assert api.state()["deployments"] == before["deployments"] and len(api.pods()) == 3
        nothing_left(s)


def test_a_patch_that_is_carried_out_after_the_run():
    """The server has it, and does it when nobody waits any more: by then the object is another version."""
    class Later(Status):
        def act(self, h):
            h.api.stopping.wait(9)
            h.api.late = True
            return False
    with Shop() as api, Scratch() as s:
        before, api.late = api.state(), False
        api.fault("PATCH", "/web", Later(0))
        a = run(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 500ms", duration="1s")
        assert not api.late and a.one("revert", "ok"), a.all
        end = time.monotonic() + 20 * SLOW
        while not api.late and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(0.3)
        assert api.late and api.state() == before, api.web
        nothing_left(s)


def test_scale_of_what_cannot_be():
    for kind, what, say in (("DaemonSet", "replicas: 1", "a DaemonSet cannot be scaled"), ("Deployment", "replicas: 3", "has 3 replicas already")):
        with Shop(kind=kind) as api, Scratch() as s:
            a = run(s, api, f"scale: {{{SELECT}, {what}}}", "at: [300ms]\n    for: 1s")
            assert say in a.one("act", "info")["data"]["why"] and not api.asked("PATCH"), a.all


def test_scale_counts_those_that_would_go():
    with Shop() as api, Scratch() as s:
        a = run(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 1s", guards="guards: {quorum: majority}")
        assert a.one("act", "info")["data"]["guard"] == "quorum" and not api.asked("PATCH"), a.all
    with Shop() as api, Scratch() as s:
        a = run(s, api, f"scale: {{{SELECT}, replicas: 2}}", "at: [300ms]\n    for: 1s", guards="guards: {quorum: majority}")
        assert a.one("act", "ok") and a.one("revert", "ok")


def test_a_patch_whose_answer_was_lost():
    with Shop() as api, Scratch() as s:
        api.fault("PATCH", "/web", Close(carry_out=True))
        a = run(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 1s")
        assert a.one("act", "ok") and a.one("observed") and a.one("revert", "ok") and len(api.pods()) == 3


def test_the_run_ends_while_a_patch_is_on_its_way():
    """It is carried out, and its answer never comes: what may have been done is undone all the same."""
    class Late(Close):
        def act(self, h):
            h.api.stopping.wait(2.5)
            return super().act(h)
    with Shop() as api, Scratch() as s:
        before = api.state()
        api.fault("PATCH", "/web", Late(carry_out=True))
        a = run(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 500ms", duration="1s")
        assert a.of("act", "unknown") and a.one("revert", "ok"), a.all
        time.sleep(0.2)
        assert api.state() == before
        nothing_left(s)


def test_the_server_is_away_at_the_deadline():
    """Nothing can be undone while nobody answers: it is tried until somebody does, by the run and by its reaper, and done once."""
    with Shop() as api, Scratch() as s:
        before = api.state()

        def away():
            end = time.monotonic() + 20 * SLOW
            while api.web["spec"]["replicas"] != 1 and time.monotonic() < end:
                time.sleep(0.02)
            for method in ("GET", "PATCH"):
                api.fault(method, "deployments/web", Close(), times=None)
            time.sleep(4)
            api.faults.clear()
        t = threading.Thread(target=away)
        t.start()
        a = run(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 1s", duration="4s")
        t.join()
        reverted = a.one("revert", "ok")
        assert reverted["t"] - a.one("act", "ok")["t"] > 3.5e9 and "why" not in reverted["data"], a.all
        assert api.state() == before
        nothing_left(s)


def test_killed_in_mid_fault():
    """kill -9: the reaper undoes it at the deadline, and nothing is left to revert."""
    with Shop() as api, Scratch() as s:
        before = api.state()
        p = subprocess.Popen([CHAOSD, "run", scenario(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 2s", duration="8s"), "--yes", "--out", s.dir / "out"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(s), cwd=s.dir)
        end = time.monotonic() + 20 * SLOW
        while len(api.pods()) != 1 and time.monotonic() < end:
            time.sleep(0.02)
        p.send_signal(signal.SIGKILL)
        p.wait()
        killed = time.monotonic()
        assert api.web["spec"]["replicas"] == 1 and KEY in api.web["metadata"]["annotations"]
        while len(api.pods()) != 3 and time.monotonic() < end:
            time.sleep(0.02)
        print(f"# undone {time.monotonic() - killed:.1f} s after kill -9, of a fault of 2 s")
        time.sleep(0.2)
        assert api.state() == before and time.monotonic() - killed < 4 * SLOW
        q = subprocess.run([CHAOSD, "revert", "--cluster", "--kubeconfig", s.dir / "config"], capture_output=True, text=True, env=environment(s))
        assert q.stdout == "nothing to revert\n", q.stdout + q.stderr


def test_the_record_says_which_server():
    """Whoever comes from elsewhere and as somebody else finds the same files, and sees that they lead to the same server."""
    for how in ("home", "list", "relative"):
        with Shop() as api, Scratch() as s:
            path = scenario(s, api, f"scale: {{{SELECT}, replicas: 1}}", "at: [300ms]\n    for: 3s", duration="6s")
            text = path.read_text()
            (s.dir / ".kube").mkdir()
            (s.dir / "config").rename(s.dir / ".kube/config")
            path.write_text(text.replace(f"{s.dir}/config", ".kube/config") if how == "relative" else text.replace(f"{{kubeconfig: {s.dir}/config}}", "{}"))
            env = dict(environment(s), HOME=str(s.dir), **({"KUBECONFIG": "missing:.kube/config"} if how == "list" else {}))
            p = subprocess.Popen([CHAOSD, "run", path, "--yes", "--out", s.dir / "out"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, cwd=s.dir)
            end, records = time.monotonic() + 20 * SLOW, []
            while not records and time.monotonic() < end and p.poll() is None:
                time.sleep(0.02)
                lines = [json.loads(x) for f in s.dir.glob("state/*/undo.jsonl") for x in f.read_text().splitlines(keepends=True) if x.endswith("\n")]
                records = [x["undo"] for x in lines if x.get("undo", {}).get("kind") == "kube-patch"]
            p.send_signal(signal.SIGTERM)
            p.wait(timeout=30 * SLOW)
            real = os.path.realpath(s.dir)
            want = f"{real}/missing:{real}/.kube/config" if how == "list" else f"{real}/.kube/config"
            assert records and records[0]["access"] == {"kubeconfig": want, "context": "lab", "server": api.url}, records
            assert (records[0]["field"], records[0]["from"], records[0]["to"]) == ("replicas", 3, 1) and api.web["spec"]["replicas"] == 3, records
            nothing_left(s)


# --- nodes ---

def test_node_cordon():
    with Shop() as api, Scratch() as s:
        before = api.state()
        a = run(s, api, f"node-cordon: {{{SELECT}, mode: all}}", "at: [300ms]\n    for: 1s")
        ok = a.of("act", "ok")
        assert sorted(e["target"] for e in ok) == ["node-1", "node-2"] and len(a.of("observed")) == 2 and len(a.of("revert", "ok")) == 2, a.all
        assert api.state() == before
        assert len([r for r in api.asked("PATCH") if r["headers"]["Content-Type"] == "application/merge-patch+json"]) == 2, "each node once"


def test_a_node_that_is_cordoned_already():
    with Shop() as api, Scratch() as s:
        n = api.get("nodes", "node-1")
        api.put("nodes", dict(n, spec=dict(n["spec"], unschedulable=True)))
        a = run(s, api, "node-cordon: {selector: {nodes: [node-1]}}", "at: [300ms]\n    for: 1s")
        assert "cordoned already" in a.one("act", "info")["data"]["why"] and api.get("nodes", "node-1")["spec"]["unschedulable"] is True, a.all


def test_node_drain():
    with Shop() as api, Scratch() as s:
        api.put("pods", objects.pod("agent", node="node-1", labels={"app": "agent"}, ownerReferences=[{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "d", "controller": True}]))
        bare = objects.pod("bare", node="node-1", labels={"app": "bare"})
        del bare["metadata"]["ownerReferences"]
        api.put("pods", bare)
        before, there = api.state(), [p["metadata"]["name"] for p in api.pods() if p["spec"]["nodeName"] == "node-1"]
        api.budget.add(there[0])
        threading.Timer(2.5, api.budget.clear).start()
        a = run(s, api, "node-drain: {selector: {nodes: [node-1], labelSelectors: {app: web}}}", "at: [300ms]\n    for: 5s", duration="7s")
        assert a.one("act", "ok")["target"] == "node-1" and a.one("act", "ok")["data"]["pods"] == len(there), a.all
        proof = a.one("observed")["data"]
        assert proof["proof"] == "drained" and proof["blocked"] == 1 and "blocked by PodDisruptionBudget" in a.one("trouble")["data"]["why"], a.all
        assert {r["body"]["metadata"]["name"] for r in api.asked("POST", "eviction")} == set(there), "neither the DaemonSet's pod nor the one nobody made"
        assert not [p for p in api.pods() if p["spec"]["nodeName"] == "node-1"] and api.get("pods", "bare", "shop") and api.get("pods", "agent", "shop")
        assert a.one("revert", "ok") and api.state() == before


def test_a_drain_asks_the_guards_again():
    """One that came to the node after they had looked, and opts out."""
    class Comes(Status):
        def act(self, h):
            h.api.put("pods", objects.pod("late", node="node-1", labels={"app": "late", "chaosd.io/exclude": "true"},
                                          ownerReferences=[{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "late", "uid": "l", "controller": True}]))
            h.api.stopping.wait(0.5)
            return False
    with Shop() as api, Scratch() as s:
        api.fault("PATCH", "nodes/node-1", Comes(0))
        a = run(s, api, "node-drain: {selector: {nodes: [node-1]}}", "at: [300ms]\n    for: 2s", duration="4s")
        assert "late" not in {r["body"]["metadata"]["name"] for r in api.asked("POST", "eviction")} and api.asked("POST", "eviction"), a.all
        assert any("left on the node: late: it opts out" in e["data"]["why"] for e in a.of("trouble")) and a.one("revert", "ok"), a.all


def test_a_drain_that_does_not_end_in_time():
    with Shop() as api, Scratch() as s:
        api.budget |= {f"web-{i:03d}" for i in range(99)}
        a = run(s, api, "node-drain: {selector: {nodes: [node-1]}, timeout: 1s}", "at: [300ms]\n    for: 3s", duration="5s")
        assert any("not drained within 1s" in e["data"]["why"] for e in a.of("trouble")) and not a.of("observed"), a.all
        assert "unschedulable" not in api.get("nodes", "node-1")["spec"]


# --- what may be written ---

def test_bad_rows():
    with Shop() as api, Scratch() as s:
        for fault, say in ((f"scale: {{{SELECT}}}\n    for: 1s", "one of replicas: N and by: N"), (f"scale: {{{SELECT}, replicas: 1, by: 1}}\n    for: 1s", "one of"),
                           (f"scale: {{{SELECT}, replicas: -1}}\n    for: 1s", "from 0"), (f"scale: {{{SELECT}, replicas: 1}}", "add `for"),
                           (f"pod-delete: {{{SELECT}, gracePeriod: 1500ms}}", "whole seconds"), (f"pod-delete: {{{SELECT}, gracePeriod: 1s, force: true}}", "no time"),
                           (f"pod-evict: {{{SELECT}, onBlocked: wait}}", "retry"), (f"pod-delete: {{{SELECT}}}\n    for: 1s", "holds nothing")):
            p = tap.expect_exit(subprocess.run([CHAOSD, "run", scenario(s, api, fault), "--yes"], capture_output=True, text=True, env=environment(s), cwd=s.dir), 64)
            assert say in p.stderr and "s.yaml:" in p.stderr, p.stderr


if __name__ == "__main__":
    tap.main()
