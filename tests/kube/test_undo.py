# SPDX-License-Identifier: Apache-2.0
"""What a fault holds on an API server's objects is put back by whoever comes: from the journal's record, by a reaper alone, by a sweep of the
cluster; and what somebody else changed meanwhile stays. Against the fake API server."""
import copy
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import tap  # noqa: E402
from tap import CHAOSD, ROOT, SLOW, Scratch  # noqa: E402

sys.path.insert(0, str(ROOT / "tests" / "fake_api"))
from fake_api import Close, FakeApi, Status  # noqa: E402

RUN = "ab12cd34"
KEY, TOUCH = "chaosd.io/undo", "chaosd.io/touch"
PAST, FUTURE = "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z"
scratch = tempfile.TemporaryDirectory(prefix="chaosd-undo-")
DIR = pathlib.Path(scratch.name)


def kubeconfig(api, namespace="shop", name="config"):
    path = DIR / name
    path.write_text(json.dumps({"current-context": "lab", "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
                                "clusters": [{"name": "c", "cluster": {"server": api.url}}], "users": [{"name": "u", "user": {"token": "t"}}]}))
    return path


def environment(s=None):
    e = {k: v for k, v in os.environ.items() if "PROXY" not in k.upper() and not k.startswith("KUBE")}
    return dict(e, HOME=str(DIR / "nobody"), **({"CHAOSD_STATE_DIR": s.env["CHAOSD_STATE_DIR"]} if s else {}))


def mark(to, back, field="replicas", run=RUN, number=3, deadline=PAST):
    steps = [{"op": "test", "path": f"/spec/{field}", "value": to},
             {"op": "remove", "path": f"/spec/{field}"} if back is None else {"op": "replace", "path": f"/spec/{field}", "value": back},
             {"op": "remove", "path": "/metadata/annotations/chaosd.io~1undo"}, {"op": "remove", "path": "/metadata/labels/chaosd.io~1undo"}]
    return json.dumps({"run": run, "fault": "fewer", "id": number, "kind": "scale", "deadline": deadline, "undo": steps}, separators=(",", ":"))


def deployment(api, name="web", replicas=1, namespace="shop", annotation=None, plural="deployments", label=RUN, uid="uid-web"):
    """As it is while a fault holds it."""
    o = {"metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": {"app": name}, "annotations": {"mine": "kept"}},
         "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {}}, "status": {}}
    if annotation:
        o["metadata"]["labels"][KEY] = label
        o["metadata"]["annotations"][KEY] = annotation
    return api.put(plural, o)


def replicaset(api, annotation, owner="uid-web", name="web-5d8"):
    return api.put("replicasets", {"metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}, "annotations": {KEY: annotation, "mine": "kept"},
                                                "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": owner, "controller": True}]}, "spec": {"replicas": 1}})


def record(api, resource="deployments", name="web", uid="uid-web", namespace="shop", number=3, config=None):
    r = {"kind": "kube-patch", "access": {"kubeconfig": str(config or kubeconfig(api)), "context": "lab"}, "resource": resource, "name": name, "uid": uid,
         "what": f"scale Deployment {name} back to 3", "run": RUN, "id": number, "field": "replicas", "from": 3, "to": 1}
    return dict(r, namespace=namespace) if namespace else r


def unscaled(r):
    """As an older chaosd wrote it: only the mark says what was changed."""
    return {k: v for k, v in r.items() if k not in ("field", "from", "to")}


def touches(api, name="web"):
    return [r["body"]["metadata"]["labels"][TOUCH] for r in api.asked("PATCH", name) if TOUCH in str(r["body"])]


def plain(api, plural="deployments", name="web", namespace="shop"):
    """The object without what every change of it changes."""
    o = copy.deepcopy(api.get(plural, name, namespace))
    del o["metadata"]["resourceVersion"]
    return o


def journal(s, *records, run="20260101T000000Z-test"):
    folder = s.dir / "state" / run
    folder.mkdir(parents=True)
    (folder / "undo.jsonl").write_text("".join(json.dumps({"id": i + 1, "undo": r}) + "\n" for i, r in enumerate(records)))
    return run, folder


def revert(s, *args, code=0, timeout=90):
    return tap.expect_exit(subprocess.run([CHAOSD, "revert", *map(str, args)], capture_output=True, text=True, timeout=timeout * SLOW, env=environment(s)), code)


def without_mark(api):
    m = plain(api)["metadata"]
    return KEY not in m["annotations"] and KEY not in m["labels"]


# --- the record ---

def test_from_the_journal():
    with FakeApi() as api, Scratch() as s:
        deployment(api, replicas=3)
        before = plain(api)
        deployment(api, annotation=mark(1, 3))
        replicaset(api, mark(1, 3))
        replicaset(api, mark(1, 3), owner="another", name="web-other")
        run, folder = journal(s, record(api))
        p = revert(s, run)
        assert p.stdout == f"{run}: scale Deployment web back to 3 in namespace shop\n", p.stdout
        assert plain(api) == before and not folder.exists()
        assert api.get("replicasets", "web-5d8", "shop")["metadata"]["annotations"] == {"mine": "kept"}, "the copy that the Deployment's controller made"
        assert KEY in api.get("replicasets", "web-other", "shop")["metadata"]["annotations"]
        steps = next(r["body"] for r in api.asked("PATCH") if "deployments" in r["path"])
        assert [x["op"] for x in steps] == ["test", "test", "replace", "remove", "remove"], steps


def test_a_field_that_was_not_there_goes():
    with FakeApi() as api, Scratch() as s:
        node = {"metadata": {"name": "n1", "uid": "uid-n1"}, "spec": {"podCIDR": "10.0.0.0/24"}}
        api.put("nodes", copy.deepcopy(node))
        before = plain(api, "nodes", "n1", "")
        node["metadata"].update(labels={KEY: RUN}, annotations={KEY: mark(True, None, "unschedulable")})
        node["spec"]["unschedulable"] = True
        api.put("nodes", node)
        run, _ = journal(s, {**unscaled(record(api, "nodes", "n1", "uid-n1", None)), "what": "uncordon n1", "field": "unschedulable", "to": True})
        assert revert(s, run).stdout == f"{run}: uncordon n1\n"
        assert plain(api, "nodes", "n1", "") == before, plain(api, "nodes", "n1", "")


def test_undone_already_is_success():
    for change in ("undone", "another run's", "another act's", "gone", "another one"):
        with FakeApi() as api, Scratch() as s:
            o = {"undone": None, "another run's": mark(1, 3, run="ffffff"), "another act's": mark(1, 3, number=4), "another one": mark(1, 3)}
            if change != "gone":
                deployment(api, annotation=o[change], uid="uid-new" if change == "another one" else "uid-web")
            if change == "undone":
                deployment(api, replicas=3)
            before = plain(api) if change != "gone" else None
            run, folder = journal(s, record(api))
            p = revert(s, run)
            assert not folder.exists() and (change == "gone" or plain(api) == before) and "record" not in p.stdout, change
            assert len(api.asked("PATCH", "deployments")) == (2 if change == "undone" else 0), "only what no other act has seen since is touched"


def test_a_lost_mark_is_no_undoing():
    """`kubectl rollout undo` replaces the annotations, and leaves the label: the record knows what it was."""
    for label in (True, False):
        with FakeApi() as api, Scratch() as s:
            deployment(api, replicas=3)
            before = plain(api)
            o = deployment(api, replicas=1, annotation=mark(1, 3))
            del o["metadata"]["annotations"][KEY]
            if not label:
                del o["metadata"]["labels"][KEY]
            api.put("deployments", o)
            run, folder = journal(s, record(api))
            p = revert(s, run)
            assert plain(api) == before and "put back from the record" in p.stdout and not folder.exists(), p.stdout
            steps = [(x["op"], x["path"].split("/")[1], x.get("value")) for x in next(r["body"] for r in api.asked("PATCH") if "deployments" in r["path"])]
            assert ("test", "spec", 1) in steps and steps.index(("test", "spec", 1)) < steps.index(("replace", "spec", 3)), steps


def test_a_lost_mark_of_a_field_that_was_not_there():
    with FakeApi() as api, Scratch() as s:
        api.put("nodes", {"metadata": {"name": "n1", "uid": "uid-n1"}, "spec": {"unschedulable": True}})
        run, _ = journal(s, {**unscaled(record(api, "nodes", "n1", "uid-n1", None)), "what": "uncordon n1", "field": "unschedulable", "to": True})
        p = revert(s, run)
        assert "put back from the record" in p.stdout and api.get("nodes", "n1")["spec"] == {}, p.stdout


def test_a_lost_mark_and_a_field_that_another_changed():
    with FakeApi() as api, Scratch() as s:
        o = deployment(api, replicas=5, annotation=mark(1, 3))
        del o["metadata"]["annotations"][KEY]
        api.put("deployments", o)
        run, folder = journal(s, record(api))
        p = revert(s, run)
        assert "spec.replicas was changed by somebody else and is 5 now" in p.stdout, p.stdout
        assert plain(api)["spec"]["replicas"] == 5 and without_mark(api) and not folder.exists()


def test_a_lost_mark_and_a_record_that_does_not_know():
    with FakeApi() as api, Scratch() as s:
        o = deployment(api, replicas=1, annotation=mark(1, 3))
        del o["metadata"]["annotations"][KEY]
        api.put("deployments", o)
        run, folder = journal(s, unscaled(record(api)))
        p = revert(s, run, code=1)
        assert "no annotation that says how it was" in p.stderr and folder.exists() and plain(api)["spec"]["replicas"] == 1, p.stderr


# --- a patch that comes after it was given up ---

def late(api, version):
    """As an API server that got it before anything else of this: carried out now, if the object is still as it was read."""
    body = {"metadata": {"resourceVersion": version, "annotations": {KEY: mark(1, 3)}, "labels": {KEY: RUN}}, "spec": {"replicas": 1}}
    r = urllib.request.Request(api.url + "/apis/apps/v1/namespaces/shop/deployments/web", json.dumps(body).encode(), {"Content-Type": "application/merge-patch+json"}, method="PATCH")
    try:
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(r).status
    except urllib.error.HTTPError as e:
        return e.code


def test_a_late_patch_is_a_conflict():
    with FakeApi() as api, Scratch() as s:
        version = deployment(api, replicas=3)["metadata"]["resourceVersion"]
        before = plain(api)
        run, folder = journal(s, record(api))
        revert(s, run)
        assert touches(api) == [RUN, None] and plain(api) == before and not folder.exists(), touches(api)
        assert late(api, version) == 409 and plain(api) == before


def test_a_late_patch_that_comes_meanwhile():
    """Between our look and our touch: it is seen, and undone."""
    class Meanwhile(Status):
        def act(self, h):
            assert late(h.api, h.api.get("deployments", "web", "shop")["metadata"]["resourceVersion"]) == 200
            return False
    with FakeApi() as api, Scratch() as s:
        deployment(api, replicas=3)
        before = plain(api)
        api.fault("PATCH", "deployments", Meanwhile(0))
        run, folder = journal(s, record(api))
        revert(s, run)
        assert plain(api) == before and not folder.exists()


def test_what_cannot_be_touched_is_not_undone():
    with FakeApi() as api, Scratch() as s:
        deployment(api, replicas=3)
        api.forbidden.add(("patch", "deployments"))
        run, folder = journal(s, record(api))
        assert "patch" in revert(s, run, code=1).stderr and folder.exists()


def test_a_touch_that_was_left_is_taken_out():
    with FakeApi() as api, Scratch() as s:
        o = deployment(api, replicas=3)
        before = plain(api)
        api.put("deployments", dict(o, metadata=dict(o["metadata"], labels={**o["metadata"]["labels"], TOUCH: RUN})))
        run, _ = journal(s, record(api))
        revert(s, run)
        assert plain(api) == before


def test_what_somebody_else_changed_stays():
    with FakeApi() as api, Scratch() as s:
        deployment(api, replicas=5, annotation=mark(1, 3))
        run, folder = journal(s, record(api))
        p = revert(s, run)
        assert "spec.replicas was changed by somebody else and is 5 now: left as it is" in p.stdout, p.stdout
        assert plain(api)["spec"]["replicas"] == 5 and without_mark(api) and not folder.exists()


def test_changed_between_look_and_patch():
    """An autoscaler between our reading and our patch: the patch's own tests see it."""
    class Meanwhile(Status):
        def act(self, h):
            deployment(api, replicas=4, annotation=mark(1, 3))
            return False
    with FakeApi() as api, Scratch() as s:
        deployment(api, annotation=mark(1, 3))
        api.fault("PATCH", "deployments", Meanwhile(0))
        run, _ = journal(s, record(api))
        p = revert(s, run)
        assert "is 4 now" in p.stdout and plain(api)["spec"]["replicas"] == 4 and without_mark(api), p.stdout


def test_an_edited_mark_is_not_carried_out():
    evil = json.loads(mark(1, 3))
    evil["undo"].append({"op": "replace", "path": "/spec/template", "value": {"x": 1}})
    with FakeApi() as api, Scratch() as s:
        deployment(api, annotation=json.dumps(evil))
        before = plain(api)
        run, folder = journal(s, record(api))
        p = revert(s, run, code=1)
        assert "somebody edited it" in p.stderr and plain(api) == before and folder.exists(), p.stderr


def test_a_lost_answer_is_looked_at():
    with FakeApi() as api, Scratch() as s:
        deployment(api, annotation=mark(1, 3))
        api.fault("PATCH", "deployments", Close(carry_out=True))
        run, _ = journal(s, record(api))
        revert(s, run)
        assert plain(api)["spec"]["replicas"] == 3 and without_mark(api)


def test_forbidden_names_the_rule_and_keeps_the_record():
    with FakeApi() as api, Scratch() as s:
        deployment(api, annotation=mark(1, 3))
        api.forbidden.add(("patch", "deployments"))
        run, folder = journal(s, record(api))
        p = revert(s, run, code=1)
        assert 'resources: ["deployments"], verbs: ["patch"]' in p.stderr and folder.exists(), p.stderr
        api.forbidden.clear()
        api.forbidden.add(("list", "replicasets"))
        p = revert(s, run)
        assert "copies of the annotation are left" in p.stdout and plain(api)["spec"]["replicas"] == 3, p.stdout


def test_a_server_that_comes_back():
    down = FakeApi()
    down.server.server_close()
    with Scratch() as s:
        run, folder = journal(s, record(down))
        again = FakeApi.__new__(FakeApi)
        began = time.monotonic()

        def come_back():
            time.sleep(3)
            again.__init__(port=down.port)
            deployment(again, annotation=mark(1, 3))
            again.start()
        t = threading.Thread(target=come_back)
        t.start()
        try:
            revert(s, run)
            t.join()
            assert time.monotonic() - began >= 3 and plain(again)["spec"]["replicas"] == 3 and not folder.exists()
        finally:
            t.join()
            again.stop()


def test_a_record_without_its_kubeconfig():
    with FakeApi() as api, Scratch() as s:
        run, folder = journal(s, record(api, config=DIR / "nowhere"))
        p = revert(s, run, code=1)
        assert "nowhere" in p.stderr and folder.exists(), p.stderr


def test_another_server_by_now():
    """Of another one nothing is asked: that the object is not there says nothing."""
    with FakeApi() as api, FakeApi() as other, Scratch() as s:
        deployment(api, annotation=mark(1, 3))
        r = record(api)
        r["access"]["server"] = api.url
        kubeconfig(other)
        run, folder = journal(s, r)
        p = revert(s, run, code=1)
        assert api.url in p.stderr and other.url in p.stderr and folder.exists() and not other.requests, p.stderr
        kubeconfig(api)
        revert(s, run)
        assert plain(api)["spec"]["replicas"] == 3 and not folder.exists()


# --- the reaper, whatever became of chaosd ---

def test_a_reaper_alone():
    with FakeApi() as api, Scratch() as s:
        deployment(api, annotation=mark(1, 3))
        ours, theirs = socket.socketpair()
        deadline = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 1_500_000_000
        p = subprocess.Popen([CHAOSD, "__reap", str(deadline), json.dumps(record(api))], stdin=theirs, env=environment(s))
        theirs.close()
        assert ours.recv(1) == b"r"
        ours.send(b"a")
        ours.close()  # chaosd is killed
        time.sleep(0.7)
        assert plain(api)["spec"]["replicas"] == 1, "before its deadline"
        assert p.wait(timeout=20 * SLOW) == 0
        assert time.clock_gettime_ns(time.CLOCK_BOOTTIME) >= deadline
        assert plain(api)["spec"]["replicas"] == 3 and without_mark(api)


def test_a_reaper_is_patient():
    """It goes on where `chaosd revert` gives up: nobody else comes. Here the record says 2 s, of which the reaper makes an hour."""
    down = FakeApi()
    down.server.server_close()
    r = dict(record(down), patience_s=2)
    with Scratch() as s:
        run, folder = journal(s, r)
        began = time.monotonic()
        revert(s, run, code=1, timeout=30)
        assert folder.exists() and time.monotonic() - began < 20 * SLOW
    ours, theirs = socket.socketpair()
    p = subprocess.Popen([CHAOSD, "__reap", str(time.clock_gettime_ns(time.CLOCK_BOOTTIME)), json.dumps(r)], stdin=theirs, env=environment())
    theirs.close()
    assert ours.recv(1) == b"r"
    ours.send(b"a")
    ours.close()
    time.sleep(9)
    assert p.poll() is None, "it gave up"
    again = FakeApi.__new__(FakeApi)
    again.__init__(port=down.port)
    deployment(again, annotation=mark(1, 3))
    with again:
        assert p.wait(timeout=40 * SLOW) == 0 and plain(again)["spec"]["replicas"] == 3 and without_mark(again)


# --- the sweep ---

def test_a_sweep_of_the_cluster():
    with FakeApi() as api, Scratch() as s:
        deployment(api, annotation=mark(1, 3))
        deployment(api, "later", replicas=0, namespace="other", annotation=mark(0, 2, deadline=FUTURE), uid="uid-later")
        deployment(api, "db", replicas=2, annotation=mark(2, 5, run="ffffff"), label="ffffff", plural="statefulsets", uid="uid-db")
        api.put("nodes", {"metadata": {"name": "n1", "labels": {KEY: RUN}, "annotations": {KEY: mark(True, None, "unschedulable")}}, "spec": {"unschedulable": True}})
        config = ["--cluster", "--kubeconfig", kubeconfig(api)]
        p = revert(s, *config)
        lines = p.stdout.splitlines()
        assert len(lines) == 4 and not p.stderr, p.stdout + p.stderr
        for line, part in zip(lines, ("Deployment other/later: scale by fault \"fewer\" of run ab12cd34, due 2036-01-01T00:00:00Z: left: its deadline is still to come",
                                      "Deployment shop/web: ", "StatefulSet shop/db: ", "Node n1: ")):
            assert part in line and (line.endswith(": undone") or "later" in line), p.stdout
        assert plain(api)["spec"]["replicas"] == 3 and plain(api, "statefulsets", "db")["spec"]["replicas"] == 5
        assert "unschedulable" not in plain(api, "nodes", "n1", "")["spec"] and plain(api, name="later", namespace="other")["spec"]["replicas"] == 0
        p = revert(s, *config, "--force")
        assert "Deployment other/later" in p.stdout and p.stdout.strip().endswith("undone") and plain(api, name="later", namespace="other")["spec"]["replicas"] == 2, p.stdout
        assert revert(s, *config).stdout == "nothing to revert\n"


def test_a_sweep_with_few_rights():
    with FakeApi() as api, Scratch() as s:
        deployment(api, annotation=mark(1, 3))
        deployment(api, "hidden", namespace="other", annotation=mark(1, 3), uid="uid-hidden")
        config = ["--cluster", "--kubeconfig", kubeconfig(api)]
        real = api.forbids
        api.forbids = lambda verb, plural, sub, namespace: (verb == "list" and not namespace) or real(verb, plural, sub, namespace)
        p = revert(s, *config)
        assert "Deployment shop/web" in p.stdout and "hidden" not in p.stdout and "not looked for: not allowed to list nodes" in p.stderr, p.stdout + p.stderr
        api.forbids = lambda verb, *a: verb == "list"
        assert "nothing" not in revert(s, *config, code=1).stdout


def test_a_sweep_tells_what_it_cannot_do():
    with FakeApi() as api, Scratch() as s:
        o = deployment(api, annotation=mark(1, 3))
        del o["metadata"]["annotations"][KEY]
        api.put("deployments", o)
        config = kubeconfig(api)
        p = revert(s, "--cluster", "--kubeconfig", config, code=1)
        assert "Deployment shop/web: a change of run ab12cd34: not undone: " in p.stderr and "no annotation that says how" in p.stderr, p.stderr
        assert "cannot be known" in p.stderr and plain(api)["spec"]["replicas"] == 1 and plain(api)["metadata"]["labels"][KEY] == RUN, p.stderr


def test_a_sweep_without_a_server():
    api = FakeApi()
    config = kubeconfig(api)
    api.server.server_close()
    with Scratch() as s:
        p = revert(s, "--cluster", "--kubeconfig", config, code=1)
        assert "refused" in p.stderr and p.stderr.count("chaosd:") == 1, p.stderr


def test_bad_usage():
    with FakeApi() as api, Scratch() as s:
        config = kubeconfig(api)
        for args, say in ((["--cluster", "--all"], "either"), (["--cluster", "some-run"], "either"), ([], "either"), (["--all", "--context", "lab"], "go with --cluster"),
                          (["--cluster", "--kubeconfig", DIR / "nowhere"], "nowhere"), (["--cluster", "--kubeconfig", config, "--context", "lba"], "lba"),
                          (["--cluster"], "no kubeconfig")):
            p = revert(s, *args, code=64)
            assert say in p.stderr, p.stderr
        env = dict(environment(s), KUBECONFIG=f"{DIR / 'nowhere'}:{config}")
        p = subprocess.run([CHAOSD, "revert", "--cluster"], capture_output=True, text=True, env=env, timeout=30 * SLOW)
        assert p.returncode == 0 and p.stdout == "nothing to revert\n", p.stderr


tap.main()
