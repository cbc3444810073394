# SPDX-License-Identifier: Apache-2.0
"""Guards, selectors and the steady state by whole runs against the fake API server: what is never asked of it, and what a skip says."""
import datetime
import json
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import tap  # noqa: E402
from tap import CHAOSD, SLOW, Scratch, events, expect_exit, summary  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from test_faults import SELECT, Shop, environment, objects, scenario  # noqa: E402

ALL = f"pod-delete: {{{SELECT}, mode: all}}"


class Drill:
    def __init__(self, s, api, fault, code=None, env=(), **kw):
        began = time.monotonic()
        self.p = subprocess.run([CHAOSD, "run", scenario(s, api, fault, **kw), "--yes", "--out", s.dir / "out"], capture_output=True, text=True, timeout=90 * SLOW,
                                env=dict(environment(s), **dict(env)), cwd=s.dir)
        self.took = time.monotonic() - began
        if code is not None:
            expect_exit(self.p, code)
        self.events = events(s.dir / "out")
        self.gone = sorted(r["path"].rsplit("/", 1)[1] for r in api.asked("DELETE"))

    def skips(self):
        return [(e["data"].get("guard"), e["data"]["why"]) for e in self.events if e["op"] == "fault/act" and e["kind"] == "skip"]

    def of(self, op):
        return [e for e in self.events if e["op"] == op]


def test_selectors_of_a_cluster():
    owned = "owners: [{kind: deployment, name: web}]"
    rows = [(owned, 3), ("owners: [{kind: ReplicaSet, name: web-r1}]", 3), ("owners: [{kind: StatefulSet}]", 0), (owned + ", minAge: 1h, phases: [Running]", 3),
            (owned + ", exclude: {nodes: [node-1]}", 2), (owned + ", exclude: {pods: [web-001, shop/web-002]}", 1), ("exclude: {owners: [{kind: Deployment}]}", 0)]
    for select, wanted in rows:
        with Shop() as api, Scratch() as s:
            d = Drill(s, api, f"pod-delete: {{selector: {{{select}}}, mode: all}}", duration="1s")
            assert len(d.gone) == wanted, (select, d.gone, d.p.stdout)


def test_an_age_that_nobody_has_yet():
    with Shop() as api, Scratch() as s:
        d = Drill(s, api, f"pod-delete: {{{SELECT[:-1]}, minAge: 10000h}}}}", code=3, duration="1s")
        assert not d.gone and d.skips() == [(None, "no candidate: no running pod matches the selector")], d.skips()


def test_a_budget_counts_what_it_was_not_told_yet():
    with Shop() as api, Scratch() as s:
        api.put("poddisruptionbudgets", {"metadata": {"name": "web-pdb", "namespace": "shop"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
                                         "status": {"disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3}})
        d = Drill(s, api, ALL, duration="1s")
        assert len(d.gone) == 1 and [g for g, why in d.skips()] == ["budgets"] * 2 and "PodDisruptionBudget web-pdb allows 1 just now" in d.skips()[0][1], (d.gone, d.skips())
    with Shop() as api, Scratch() as s:
        api.put("poddisruptionbudgets", {"metadata": {"name": "web-pdb", "namespace": "shop"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}, "status": {"disruptionsAllowed": 0}})
        d = Drill(s, api, ALL, code=3, duration="1s")
        assert not d.gone and len(d.skips()) == 3 and "web-pdb forbids" in d.skips()[0][1], d.skips()
    with Shop() as api, Scratch() as s:
        api.put("poddisruptionbudgets", {"metadata": {"name": "web-pdb", "namespace": "shop"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}, "status": {"disruptionsAllowed": 0}})
        assert len(Drill(s, api, ALL, duration="1s", guards="guards: {budgets: ignore}").gone) == 3


def test_who_is_never_touched():
    with Shop() as api, Scratch() as s:
        for n, more in (("calm", {"chaosd.io/exclude": "true"}), ("fair", {"chaosd.io/include": "true"})):
            api.put("pods", objects.pod(n, labels={"app": "web", "revision": "1", **more}, node="node-1",
                                        ownerReferences=[{"apiVersion": "apps/v1", "kind": "Job", "name": "x", "uid": "x", "controller": True}]))
        d = Drill(s, api, f"pod-delete: {{selector: {{owners: [{{kind: Job}}]}}, mode: all}}", duration="1s", guards="guards: {optIn: true}")
        assert d.gone == ["fair"], (d.gone, d.p.stdout)
    with Shop() as api, Scratch() as s:
        api.put("namespaces", {"metadata": {"name": "shop", "labels": {"chaosd.io/exclude": "true"}}})
        d = Drill(s, api, ALL, code=3, duration="40s")
        assert not d.gone and d.took < 30 and "its namespace opts out with the label chaosd.io/exclude" in d.p.stdout, d.p.stdout
    with Shop() as api, Scratch() as s:
        d = Drill(s, api, ALL, code=3, duration="40s", guards="guards: {protectedNamespaces: [sh*]}")
        assert not d.gone and "namespace shop is protected" in d.p.stdout, d.p.stdout


def test_never_its_own_pod():
    with Shop() as api, Scratch() as s:
        d = Drill(s, api, ALL, duration="1s", env={"POD_NAME": "web-002", "POD_NAMESPACE": "shop"})
        assert d.gone == ["web-001", "web-003"], d.gone
    with Shop() as api, Scratch() as s:
        d = Drill(s, api, "pod-delete: {selector: {pods: [web-002]}}", code=3, duration="40s", env={"POD_NAME": "web-002", "POD_NAMESPACE": "shop"})
        assert not d.gone and "chaosd itself runs in this pod" in d.p.stdout, d.p.stdout
    with Shop() as api, Scratch() as s:
        d = Drill(s, api, f"node-cordon: {{{SELECT}, mode: all}}\n    for: 500ms", duration="2s", env={"NODE_NAME": "node-1"})
        assert ("self", "node-1: chaosd itself runs on this node (guards.self)") in d.skips() and len(d.skips()) == 1, d.skips()
        assert {r["path"].rsplit("/", 1)[1] for r in api.asked("PATCH")} == {"node-2"}, api.asked("PATCH")


def test_a_pod_that_nobody_would_make_anew():
    for guards, gone in (("", []), ("guards: {unowned: allow}", ["alone"])):
        with Shop() as api, Scratch() as s:
            api.put("pods", objects.pod("alone", labels={"app": "alone"}, node="node-1", ownerReferences=[]))
            d = Drill(s, api, "pod-delete: {selector: {labelSelectors: {app: alone}}}", duration="1s", guards=guards)
            assert d.gone == gone and (gone or d.skips() == [("unowned", "alone: no controller made this pod, and none would make it anew (guards.unowned)")]), (d.gone, d.skips())


def test_a_context_that_is_not_allowed():
    with Shop() as api, Scratch() as s:
        began = len(api.asked("GET"))
        p = subprocess.run([CHAOSD, "run", scenario(s, api, ALL, guards="guards: {contexts: [staging-*]}"), "--yes", "--out", s.dir / "out"], capture_output=True, text=True,
                           timeout=60 * SLOW, env=environment(s), cwd=s.dir)
        expect_exit(p, 64)
        assert "the cluster's context is \"lab\", and guards.contexts allows staging-* only: nothing was done" in p.stderr and len(api.asked("GET")) == began, p.stderr
    with Shop() as api, Scratch() as s:
        assert len(Drill(s, api, ALL, duration="1s", guards="guards: {contexts: [staging-*, la?]}").gone) == 3


def test_nobody_at_all():
    with Shop() as api, Scratch() as s:
        d = Drill(s, api, "pod-delete: {selector: {labelSelectors: {app: wbe}, namespaces: [shop]}}", code=3, duration="50s")
        assert d.took < 40 and not d.gone
        assert "no fault has a candidate: hit: no pod matches label app=wbe, in namespace shop; there are 3 pods, in shop" in d.p.stdout, d.p.stdout
    with Shop(replicas=0) as api, Scratch() as s:
        d = Drill(s, api, ALL, code=3, duration="50s")
        assert d.took < 40 and "there is no pod at all" in d.p.stdout, d.p.stdout


def test_steady_by_default():
    with Shop() as api, Scratch() as s:
        d = Drill(s, api, f"pod-delete: {{{SELECT}}}", rest="at: [300ms, 600ms]", duration="5s")
        waits = [(e["data"]["when"], e["phase"]) for e in d.of("run/steady")]
        assert waits[:2] == [("before", "invoke"), ("before", "ok")] and waits[-1] == ("end", "ok"), waits
        assert len(d.gone) == 2 and [c["verdict"] for c in summary(s.dir / "out")["checks"] if c["name"] == "steady"] == ["pass"], d.gone
        acts = [e["t"] for e in d.of("fault/act") if e["phase"] == "ok"]
        print(f"# the second act waited {(acts[1] - acts[0]) / 1e6 - 300:.0f} ms")


def too(fault, at):
    return f"at: [300ms]\n    for: 3s\n  - name: too\n    {fault}\n    at: [{at}]"


def test_who_goes_with_a_drain_counts():
    with Shop(kind="StatefulSet", replicas=5) as api, Scratch() as s:  # two of them on node-1
        assert sum(p["spec"]["nodeName"] == "node-1" for p in api.pods()) == 2
        d = Drill(s, api, "node-drain: {selector: {nodes: [node-1]}}", rest=too("pod-delete: {selector: {nodes: [node-2]}}", "300ms"), duration="5s",
                  guards="guards: {quorum: majority}")
        assert not d.gone and d.skips()[0][0] == "quorum" and "2 ready pods would be left of" in d.skips()[0][1], (d.gone, d.skips())


def test_a_hold_that_is_longer_than_the_steady_limit():
    with Shop() as api, Scratch() as s:
        d = Drill(s, api, f"scale: {{{SELECT}, replicas: 2}}", rest=too(f"pod-delete: {{{SELECT}}}", "1s"), duration="5s",
                  guards="guards: {quorum: none, steady: {timeout: 1500ms, interval: 100ms}}")
        assert d.p.returncode != 4 and len(d.gone) == 1, (d.p.returncode, d.p.stdout)
        assert [e["phase"] for e in d.of("run/steady") if e["data"].get("held")] == ["ok"], d.of("run/steady")


def test_a_scale_makes_no_smaller_quorum():
    with Shop(kind="StatefulSet", replicas=5) as api, Scratch() as s:
        d = Drill(s, api, f"scale: {{{SELECT}, replicas: 3}}", rest=too(f"pod-delete: {{{SELECT}}}", "1500ms"), guards="guards: {quorum: statefulsets}", duration="5s")
        assert not d.gone and d.skips()[0][0] == "quorum" and "a majority is 3 of the 5 before a fault scaled it" in d.skips()[0][1], (d.gone, d.skips(), d.p.stdout)


def test_budgets_that_may_not_be_seen():
    for guards, code, gone in (("guards: {quorum: none}", 3, 0), ("guards: {quorum: none, budgets: ignore}", None, 3)):
        with Shop() as api, Scratch() as s:
            api.forbidden.add(("list", "poddisruptionbudgets"))
            d = Drill(s, api, ALL, code=code, duration="1s", guards=guards)
            assert len(d.gone) == gone, (d.gone, d.p.stdout)
            assert gone or ([g for g, why in d.skips()] == ["budgets"] * 3 and "grant list and watch of poddisruptionbudgets, or say guards.budgets: ignore" in d.skips()[0][1]), d.skips()


def followed_no_more(what, guard):
    def blind(api, back_s):
        while not api.asked(path="/" + what, watch=True):
            time.sleep(0.02)
        time.sleep(0.5)
        api.forbidden.update({("list", what), ("watch", what)})
        api.cut_watches()
        time.sleep(back_s)
        api.forbidden.clear()

    rows = [("0s", 3, 0), ("1500ms", 4, 0), ("20s", None, 3)]  # not waited for: refused; longer than the limit; shorter
    why = f"{what} cannot be followed just now"
    for timeout, code, gone in rows:
        with Shop() as api, Scratch() as s:
            t = threading.Thread(target=blind, args=(api, 1.5 if gone else 6), daemon=True)
            t.start()
            d = Drill(s, api, ALL, code=code, rest="at: [2s]", duration="5s", guards=f"guards: {{quorum: none, steady: {{timeout: {timeout}}}}}")
            t.join()
            assert len(d.gone) == gone, (timeout, d.gone, d.p.stdout)
            assert gone or why in (d.skips()[0][1] if code == 3 else d.p.stdout), (d.skips(), d.p.stdout)
            assert code != 3 or [g for g, why in d.skips()] == [guard] * 3, d.skips()
            assert not gone or [(e["phase"], e["data"].get("why")) for e in d.of("run/steady")][:2] == [("invoke", why), ("ok", None)], d.of("run/steady")


def test_pods_that_are_followed_no_more():
    followed_no_more("pods", "blind")


def test_budgets_that_are_followed_no_more():
    followed_no_more("poddisruptionbudgets", "budgets")


if __name__ == "__main__":
    tap.main()
