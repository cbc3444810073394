# SPDX-License-Identifier: Apache-2.0
"""What the provider makes of an API server's news, by whole runs against the fake one: who is who, what is not a pod to strike, and what it does
where it may not look, or can no longer."""
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import tap  # noqa: E402
from tap import Scratch  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from test_guards import ALL, SELECT, Drill, Shop, objects  # noqa: E402


def when(seconds, fn, *args):
    """Beside the run, so long after it began."""
    t = threading.Timer(seconds, fn, args)
    t.start()
    return t


def test_two_workloads_by_one_name():
    """A StatefulSet's majority is counted among its own pods, not among those of a Deployment by the same name."""
    with Shop() as api, Scratch() as s:
        api.put("statefulsets", {"metadata": {"name": "web", "namespace": "shop", "uid": "uid-sts", "generation": 1}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "db"}}},
                                 "status": {"observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 3}})
        for i in range(3):
            api.put("pods", objects.pod(f"web-{i}", labels={"app": "db"}, node="node-1",
                                        ownerReferences=[{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "uid-sts", "controller": True}]))
        d = Drill(s, api, "pod-delete: {selector: {labelSelectors: {app: db}}, mode: all}", duration="1s", guards="")
        assert len(d.gone) == 1 and [g for g, _ in d.skips()] == ["quorum", "quorum"], (d.gone, d.skips())
        assert "Deployment shop/web" in {e["target"] for e in d.of("cluster/workload")} and "StatefulSet shop/web" in {e["target"] for e in d.of("cluster/workload")}


def test_a_kubelets_own_pod_that_comes_later():
    with Shop() as api, Scratch() as s:
        mirror = objects.pod("static-node-1", labels={"app": "web", "revision": "1"}, node="node-1", annotations={"kubernetes.io/config.mirror": "x"},
                             ownerReferences=[{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "n", "controller": True}])
        t = when(0.6, api.put, "pods", mirror)
        d = Drill(s, api, ALL, rest="at: [1500ms]", duration="3s")
        t.join()
        assert d.gone and "static-node-1" not in d.gone, d.gone


def test_a_namespace_that_opts_out_in_mid_run():
    with Shop() as api, Scratch() as s:
        t = when(1.0, api.put, "namespaces", {"metadata": {"name": "shop", "labels": {"chaosd.io/exclude": "true"}}})
        d = Drill(s, api, ALL, rest="at: [300ms, 2500ms]", duration="4s")
        t.join()
        assert len(d.gone) == 3 and any("opts out" in why for _, why in d.skips()), (d.gone, d.skips())


def test_a_right_that_is_refused_for_a_moment_is_not_lost():
    """A server that has just started may not know its own rules yet."""
    with Shop() as api, Scratch() as s:
        def hiccup():
            api.forbidden.add(("watch", "nodes"))
            api.forbidden.add(("list", "nodes"))
            api.cut_watches()
            time.sleep(0.6)
            api.forbidden.clear()
        t = when(0.5, hiccup)
        d = Drill(s, api, f"node-cordon: {{{SELECT}}}\n    for: 500ms", rest="at: [3500ms]", duration="6s")
        t.join()
        told = [(e["kind"], e["target"]) for e in d.of("cluster/api")]
        assert ("troubled", "nodes") in told and ("denied", "nodes") not in told, told
        assert [e["kind"] for e in d.of("cluster/node")] == ["cordoned", "uncordoned"], d.of("cluster/node")


def test_what_is_not_needed_is_done_without():
    with Shop() as api, Scratch() as s:
        for what in ("nodes", "endpointslices", "events", "namespaces"):
            api.forbidden.add(("list", what))
        d = Drill(s, api, f"pod-delete: {{{SELECT}}}", duration="2s")
        assert len(d.gone) == 1 and {e["target"] for e in d.of("cluster/api") if e["kind"] == "denied"} == {"nodes", "endpointslices", "events", "namespaces"}, d.of("cluster/api")
    with Shop() as api, Scratch() as s:
        api.forbidden.add(("list", "replicasets"))
        d = Drill(s, api, f"pod-delete: {{{SELECT}}}", duration="2s")
        assert d.p.returncode == 2 and "replicasets" in d.p.stdout and "add the rule {apiGroups:" in " ".join(d.p.stdout.split()), d.p.stdout


def test_a_removal_by_force_is_told_as_one():
    with Shop() as api, Scratch() as s:
        d = Drill(s, api, f"pod-delete: {{{SELECT}, force: true}}", duration="2s")
        proof = [e["data"]["proof"] for e in d.of("fault/observed")]
        assert proof == ["removed, its containers may go on"], proof
        removed = [e for e in d.of("cluster/pod") if e["target"] == d.gone[0] and e["kind"] in ("exited", "removed")]
        assert [e["kind"] for e in removed] == ["removed"] and "by force" in removed[0]["data"]["why"], removed


def test_a_daemon_set_that_does_not_roll():
    """What nobody brings up to date is not waited for."""
    with Shop(kind="DaemonSet") as api, Scratch() as s:
        web = api.web
        api.put("daemonsets", dict(web, spec=dict(web["spec"], updateStrategy={"type": "OnDelete"}), status=dict(web["status"], updatedNumberScheduled=0)))
        api.reconcile = lambda: None
        api.put("daemonsets", dict(api.web, status=dict(web["status"], updatedNumberScheduled=0)))
        d = Drill(s, api, f"pod-delete: {{{SELECT}}}", duration="1s", guards="guards: {quorum: none, steady: {timeout: 3s}}")
        assert len(d.gone) == 1, (d.gone, d.p.stdout)


if __name__ == "__main__":
    tap.main()
