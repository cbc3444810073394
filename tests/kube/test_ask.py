# SPDX-License-Identifier: Apache-2.0
"""Faults that a node's agent carries out, from the run's side: the fake API server, and the test itself as the agent. What a run asks for, what
it makes of each answer and of none, that far ends are followed, and that nothing stays behind."""
import http.server
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
from tap import CHAOSD, SLOW, Scratch, expect_exit  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from test_faults import SELECT, Acts, Shop, environment, nothing_left, objects, run, scenario  # noqa: E402
from fake_api import Close, Stall, Status  # noqa: E402

NS = "chaosd-agent"
PARTITION = f"net-partition: {{{SELECT}, mode: one}}\n    for: 1s"
DELAY = f"net-delay: {{{SELECT}, mode: one, delay: {{latency: 100ms, jitter: 1.10ms}}, targetPorts: [2379, 80-90]}}\n    for: 1s"
KILL = f"pod-kill: {{{SELECT}, mode: one}}"


def stamp(at=None):
    at = time.time() if at is None else at
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1e6):06d}Z"


class Nodes(Shop):
    """With agents, as far as the test says: `say` is asked of each new object and of each that changed, and answers with steps of a status and
    the seconds before each."""

    def __init__(self, *a, served=True, **kw):
        super().__init__(*a, **kw)
        if served:
            self.define(**objects.NODE_FAULTS)
        self.put("namespaces", {"metadata": {"name": NS}})
        self.asked_for, self.said, self.ended = [], set(), {}

    def begin(self, say):
        threading.Thread(target=self.look, args=(say,), daemon=True).start()
        return self

    def look(self, say):
        seen = {}
        while not self.stopping.wait(0.005):
            for o in self.objects("nodefaults"):
                name, spec = o["metadata"]["name"], o["spec"]
                if seen.get(name) != spec:
                    if name not in seen:
                        self.asked_for.append(o)
                    seen[name] = spec
                    threading.Thread(target=self.tell, args=(o, say(o) or ()), daemon=True).start()

    def tell(self, o, steps):
        for pause, status in steps:
            if self.stopping.wait(pause):
                return
            self.status(o, status)

    def status(self, o, status):
        with self.lock:
            now = self.get("nodefaults", o["metadata"]["name"], NS)
            if now and now["metadata"]["uid"] == o["metadata"]["uid"] and (now.get("status") or {}).get("phase") not in ("Ended", "Failed"):
                self.patch_status("nodefaults", o["metadata"]["name"], NS, status)


class Answers(http.server.ThreadingHTTPServer):
    """Says 200 at /NAME of whoever is `yes`."""
    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == f"/{self.server.yes}" else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *a):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.port, self.yes = self.server_address[1], None

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *a):
        self.shutdown()
        self.server_close()


def accepted():
    return {"phase": "Accepted", "acceptedAt": stamp(), "acceptedBootNs": time.monotonic_ns(), "agentVersion": "9.9"}


def in_effect(**more):
    return {"phase": "InEffect", "inEffectAt": stamp(), "inEffectBootNs": time.monotonic_ns(), **more}


def ended(reason=None, **more):
    return {"phase": "Ended", "endedAt": stamp(), "counters": {"seen": 9, "packets": 7, "bytes": 700}, "figures": {"drain_ns": 12345, "queue_dropped": 0}, **({"reason": reason} if reason else {}), **more}


PROOF = {"packets": 3, "bytes": 300, "proof": "packets were dropped"}


def left(o):
    """Seconds to its deadline."""
    import calendar
    day, _, fraction = o["spec"]["deadline"].rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(day, "%Y-%m-%dT%H:%M:%S")) + float("0." + (fraction or "0")) - time.time()


def good(o):
    """An agent without trouble."""
    if o["spec"].get("end"):
        return [(0.02, ended("Asked"))]
    if o["spec"]["kind"].endswith("-kill"):
        return [(0.01, accepted()), (0.02, in_effect(proof={"proof": "exited"})), (0.01, ended())]
    if o["metadata"].get("generation", 1) > 1:
        return []
    return [(0.01, accepted()), (0.02, in_effect()), (0.05, {"proof": PROOF}), (max(0, left(o) - 0.03), ended())]


def failed(reason, message):
    return lambda o: [(0.02, {"phase": "Failed", "reason": reason, "message": message})]


def gone(api):
    return not api.objects("nodefaults")


def test_what_is_asked_for():
    with Nodes().begin(good) as api, Scratch() as s:
        a = run(s, api, DELAY, code=0)
        o, = api.asked_for
        spec, invoke = o["spec"], a.one("act", "invoke")
        pod = next(p for p in api.objects("pods") if p["metadata"]["uid"] == invoke["data"]["uid"])
        assert o["metadata"]["namespace"] == NS and o["metadata"]["labels"]["chaosd.io/node"] == spec["node"] == pod["spec"]["nodeName"]
        assert o["metadata"]["name"] == f"{spec['run']}-1" and o["metadata"]["labels"]["chaosd.io/run"] == spec["run"] and spec["act"] == 1 and spec["fault"] == "hit"
        assert spec["kind"] == "net-delay" and spec["pod"] == {"namespace": "shop", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        assert spec["params"] == {"delay": {"latency": "100ms", "jitter": "1.10ms"}, "targetPorts": ["2379", "80-90"]}, spec["params"]
        assert "peers" not in spec and "end" not in spec and 0.8 < left(o) + 3 and spec["protocol"] == 1
        ok, observed, reverted = a.one("act", "ok"), a.one("observed"), a.one("revert", "ok")
        assert ok["data"]["asked"] < ok["data"]["seen"] <= ok["t"] and ok["data"]["node"] == spec["node"] and ok["data"]["node_in_effect_boot_ns"] > 0, ok
        assert ok["data"]["agent"] == "9.9" and ok["data"]["nodefault"] == o["metadata"]["name"] and ok["data"]["node_in_effect"].endswith("Z")
        assert {**PROOF, "id": 1} == observed["data"], observed
        assert reverted["data"]["drain_ns"] == 12345 and reverted["data"]["packets"] == 7 and "why" not in reverted["data"], reverted
        assert 0.8e9 < reverted["t"] - ok["t"] < 1.4e9 * SLOW
        assert gone(api) and not [r for r in api.asked("PATCH") if "nodefaults" in r["path"]], "the deadline is its end"
        assert len(api.asked("DELETE", "/nodefaults/")) == 1 and api.asked("DELETE", "/nodefaults/")[0]["body"]["preconditions"]["uid"] == o["metadata"]["uid"]
        assert len([r for r in api.asked("GET", "/nodefaults", watch=True)]) == 1, "one watch"
        nothing_left(s)
        print(f"# asked to seen: {(ok['data']['seen'] - ok['data']['asked']) / 1e6:.1f} ms, of which the agent took 30")


def test_a_kill():
    with Nodes().begin(good) as api, Scratch() as s:
        a = run(s, api, KILL, code=0)
        assert api.asked_for[0]["spec"]["params"] == {"signal": "SIGKILL"} and a.one("observed")["data"]["proof"] == "exited"
        assert not a.of("revert") and gone(api)
    with Nodes().begin(good) as api, Scratch() as s:
        a = run(s, api, f"container-kill: {{{SELECT}, mode: one, container: main, signal: SIGTERM, hostNetwork: true}}", code=0)
        spec = api.asked_for[0]["spec"]
        pod = next(p for p in api.objects("pods") if p["metadata"]["name"] == spec["pod"]["name"])
        assert spec["container"] == {"name": "main", "id": pod["status"]["containerStatuses"][0]["containerID"].split("//")[1][:12]}, spec
        assert spec["params"] == {"signal": "SIGTERM"} and spec["pod"]["hostNetwork"] is True and a.one("observed")
    with Nodes().begin(good) as api, Scratch() as s:
        a = run(s, api, f"container-kill: {{{SELECT}, mode: one, container: none}}")
        assert "has no container none that runs" in a.one("act", "info")["data"]["why"] and not api.asked_for


def test_a_pause():
    with Nodes().begin(good) as api, Scratch() as s:
        a = run(s, api, f"pod-pause: {{{SELECT}, mode: one}}\n    for: 500ms", code=0)
        assert api.asked_for[0]["spec"].get("params", {}) == {} and a.one("observed") and a.one("revert", "ok") and gone(api)


def test_what_an_agent_refuses():
    rows = [("Busy", "another network fault holds the pod", True), ("TooMany", "32 faults are in effect", True), ("Stopped", "the node has chaosd.io/stop", True),
            ("NotAble", "the kernel has no netem", False), ("NoPod", "no such pod here", False), ("HostNetwork", "it is in the node's own network", False)]
    for reason, message, by_rule in rows:
        with Nodes().begin(failed(reason, message)) as api, Scratch() as s:
            a = run(s, api, PARTITION)
            told = a.one("act", "info") if by_rule else a.one("act", "fail")
            assert f"{reason}: {message}" in told["data"]["why"] and told["data"].get("guard") == (reason if by_rule else None), told
            assert not a.of("act", "ok") and not a.of("revert") and gone(api)
            nothing_left(s)


def test_nobody_answers():
    with Nodes().begin(lambda o: ()) as api, Scratch() as s:
        a = run(s, api, PARTITION, duration="12s", code=2)
        why, spec = a.one("act", "unknown")["data"]["why"], api.asked_for[0]["spec"]
        assert why == f"no agent answered on node {spec['node']}: is one there? kubectl get pods -n {NS}", why
        assert 9.9e9 < a.one("act", "unknown")["t"] - a.one("act", "invoke")["t"] < 14e9 * SLOW and gone(api)
        assert a.one("revert", "ok")["data"]["why"] == ("its NodeFault was deleted before anything was heard of it; an agent that has it and does not hear of that ends it at "
                                                        f"{spec['deadline']} by its own clock"), a.all
        nothing_left(s)
        text = " ".join(tap.chaosd("report", s.dir / "out").stdout.split())
        assert f"hit #1 may have been carried out, unseen: {why}" in text and "was never seen in effect: no agent answered" in text and "There was nothing to revert" not in text, text
    with Nodes().begin(lambda o: ()) as api, Scratch() as s:
        a = run(s, api, f"pod-kill: {{{SELECT}}}", duration="12s", code=2)
        assert "no agent answered" in a.one("act", "unknown")["data"]["why"] and gone(api), a.all


def test_whether_a_signal_was_sent_is_not_known():
    """By an agent that began anew, and where somebody deleted an object that was taken."""
    lost = {"phase": "Failed", "reason": "Lost", "message": "the agent started anew: whether the signal was sent, and what came of it, is not known"}
    with Nodes().begin(lambda o: [(0.02, accepted()), (0.1, lost)]) as api, Scratch() as s:
        a = run(s, api, f"pod-kill: {{{SELECT}}}", code=2)
        assert lost["message"] in a.one("act", "unknown")["data"]["why"] and gone(api), a.all
    for fault in (f"pod-kill: {{{SELECT}}}", PARTITION.replace("1s", "5s")):
        with Nodes().begin(lambda o: [(0.02, accepted())]) as api, Scratch() as s:
            threading.Thread(target=delete_first, args=(api,)).start()
            a = run(s, api, fault, duration="6s", code=2)
            assert "was deleted by somebody else" in a.one("act", "unknown")["data"]["why"], a.all
            assert "pod-kill" in fault or a.one("revert", "ok")["data"]["why"].startswith("its NodeFault was deleted by somebody else; an agent that has it"), a.all
            nothing_left(s)
    with Nodes().begin(lambda o: [(0.02, accepted())]) as api, Scratch() as s:
        a = run(s, api, f"pod-kill: {{{SELECT}}}", duration="2s", code=2)
        assert a.one("act", "unknown")["data"]["why"] == "the run ended before it was known to be in effect" and gone(api), a.all


def delete_first(api):
    until(lambda: api.asked_for, "it is asked")
    time.sleep(0.5)
    api.delete("nodefaults", api.asked_for[0]["metadata"]["name"], NS)


def test_a_signal_that_comes_while_its_object_cannot_be_deleted():
    """The run ends all the same."""
    with Nodes().begin(lambda o: [(0.02, accepted()), (11, in_effect(proof=PROOF)), (0.3, ended())]) as api, Scratch() as s:
        api.fault("DELETE", "/nodefaults", Status(403, "Forbidden"), times=None)
        a = run(s, api, f"pod-kill: {{{SELECT}}}", duration="13s")
        assert a.one("act", "unknown") and a.one("observed", "info") and len(api.asked("DELETE", "/nodefaults")) >= 2, a.all


def test_a_signal_that_nobody_waits_for_is_not_sent_later():
    """By a node whose clock is behind."""
    with Nodes().begin(lambda o: [(0.02, accepted())]) as api, Scratch() as s:
        a = run(s, api, f"pod-kill: {{{SELECT}}}", duration="16s")
        asked, deleted = api.asked("POST", "/nodefaults")[0], api.asked("DELETE", "/nodefaults")[0]
        assert "took it, and did not say within 10 s" in a.one("act", "unknown")["data"]["why"] and gone(api), a.all
        assert 9.9 < deleted["at"] - asked["at"] < 14 * SLOW, (asked, deleted)


def test_an_agent_that_took_it_says_what_it_waits_for():
    said = "it waits for notBefore, which is 40 s ahead by the node's clock"

    def late(o):
        return [(0.02, accepted()), (0.3, {"message": said})] if not o["spec"].get("end") else [(0.05, ended("Asked"))]
    for hold in ("14s", "8s"):  # by the run's clock its deadline is still to come, or past already: the node's may be behind by as much
        with Nodes().begin(late) as api, Scratch() as s:
            a = run(s, api, PARTITION.replace("1s", hold), duration="15s")
            why = a.one("act", "unknown")["data"]["why"]
            node = api.asked_for[0]["spec"]["node"]
            assert why == f"the agent on node {node} took it, and did not say within 10 s that it is in effect: {said}", why
            assert a.one("revert", "ok")["t"] - a.one("act", "unknown")["t"] < 2e9 * SLOW and gone(api), a.all
            text = " ".join(tap.chaosd("report", s.dir / "out").stdout.split())
            assert f"may have been carried out, unseen: {why}" in text and "NOT REVERTED" not in text, text


def test_what_nobody_answered_is_taken_away():
    """An agent that comes later would still carry it out; after its deadline none does."""
    with Nodes().begin(lambda o: ()) as api, Scratch() as s:
        api.fault("DELETE", "/nodefaults", Status(503, "ServiceUnavailable"), times=None)
        threading.Timer(17, api.faults.clear).start()
        a = run(s, api, PARTITION.replace("1s", "20s"), duration="21s")
        assert "no agent answered" in a.one("act", "unknown")["data"]["why"] and a.one("revert", "ok") and gone(api), a.all
        nothing_left(s)
    with Nodes().begin(lambda o: ()) as api, Scratch() as s:
        api.fault("DELETE", "/nodefaults", Status(403, "Forbidden"), times=None)
        began = time.monotonic()
        p = subprocess.Popen([CHAOSD, "run", scenario(s, api, PARTITION.replace("1s", "15s"), duration="60s"), "--yes", "--out", s.dir / "out"], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, env=environment(s), cwd=s.dir)
        until(lambda: api.asked("DELETE", "/nodefaults"), "it is asked to go")
        p.send_signal(signal.SIGINT)  # the end waits, but not for ever
        out = p.communicate(timeout=60 * SLOW)[0]
        took, tries = time.monotonic() - began, len(api.asked("DELETE", "/nodefaults"))
        a = Acts(s)
        assert a.one("act", "unknown") and a.one("revert", "ok")["data"]["why"] == "no agent answered for it, and its deadline is past", a.all
        assert f"net-partition on {a.one('act', 'unknown')['target']} may have been carried out, unseen: no agent answered on node" in out, out
        assert not gone(api) and 15 < took < 15 + 2 + 16 * SLOW and 5 <= tries <= 20, (took, tries, out)


def test_no_agents_at_all():
    with Nodes(served=False) as api, Scratch() as s:
        a = run(s, api, PARTITION)
        assert "there are no agents to ask" in a.one("act", "fail")["data"]["why"] and "kubectl apply -k deploy/agent" in a.one("act", "fail")["data"]["why"]
        nothing_left(s)


def test_it_is_ended_from_outside():
    for reason, words in (("Stopped", "the node's kill switch is on"), ("Terminated", "the node's agent was ended"), ("PodGone", "the pod is gone")):
        with Nodes().begin(lambda o: [(0.02, in_effect(proof=PROOF)), (0.2, ended(reason))]) as api, Scratch() as s:
            a = run(s, api, PARTITION)
            assert a.one("revert", "ok")["data"]["why"] == words and gone(api), a.all
    with Nodes().begin(lambda o: [(0.02, accepted()), (0.05, {"phase": "Ended", "reason": "Stopped", "endedAt": stamp()})]) as api, Scratch() as s:
        a = run(s, api, PARTITION)  # before it was in effect
        assert a.one("act", "info")["data"]["guard"] == "Stopped" and not a.of("act", "ok") and not a.of("revert"), a.all
    with Nodes().begin(lambda o: [(0.02, in_effect(proof=PROOF)), (0.2, {"phase": "Failed", "reason": "Lost", "message": "its filter is gone"})]) as api, Scratch() as s:
        a = run(s, api, PARTITION)
        assert "Lost: its filter is gone" in a.one("revert", "ok")["data"]["why"] and gone(api), a.all
    with Nodes().begin(lambda o: [(0.02, accepted()), (0.2, {**in_effect(), "phase": "Failed", "reason": "Lost", "message": "its filter is gone"})]) as api, Scratch() as s:
        a = run(s, api, PARTITION)  # said at once
        assert a.one("act", "ok") and "Lost: its filter is gone" in a.one("revert", "ok")["data"]["why"], a.all
    with Nodes().begin(lambda o: [(0.02, in_effect(proof=PROOF))]) as api, Scratch() as s:
        threading.Thread(target=delete_first, args=(api,)).start()
        a = run(s, api, PARTITION.replace("1s", "20s"), duration="22s", rest="at: [100ms]")
        assert a.one("revert", "ok")["data"]["why"].startswith("its NodeFault was deleted by somebody else; an agent that has it"), a.all
        assert a.one("revert", "ok")["t"] - a.one("act", "ok")["t"] < 5e9
        nothing_left(s)


def test_what_could_not_be_undone_is_no_revert():
    """Whether or not its beginning was seen, and by whomever the end was asked for."""
    message = "the end of the effect was not seen within 5 s"
    for reason in ("NotUndone", "Error"):
        bad = {"phase": "Failed", "reason": reason, "message": message, "endedAt": stamp()}
        for steps in ([(0.02, in_effect(proof=PROOF)), (0.3, bad)], [(0.02, accepted()), (0.05, {**in_effect(), **bad})]):
            with Nodes().begin(lambda o: steps if not o["spec"].get("end") else []) as api, Scratch() as s:
                a = run(s, api, PARTITION, code=1)
                why, spec = a.one("revert", "fail")["data"]["why"], api.asked_for[0]["spec"]
                assert why.startswith(f"the agent on node {spec['node']}: {reason}: {message}; the node ends it by itself at {spec['deadline'][:19]}"), why
                assert a.one("act", "ok") and not a.of("revert", "ok") and not a.of("act", "fail"), a.all
                assert gone(api) and list((s.dir / "state").iterdir()), "the undo record is what is left to help"
    with Nodes().begin(lambda o: [(0.02, in_effect())] if not o["spec"].get("end") else [(0.05, bad)]) as api, Scratch() as s:
        p = begin(s, api, LONG, duration="60s")
        p.send_signal(signal.SIGINT)
        out = p.communicate(timeout=30 * SLOW)[0]
        a = Acts(s)
        assert message in a.one("revert", "fail")["data"]["why"] and not a.of("revert", "ok") and "could not be reverted" in out and gone(api), out
    with Nodes().begin(failed("Error", "the kernel says no")) as api, Scratch() as s:  # it never was in
        a = run(s, api, PARTITION)
        assert "Error: the kernel says no" in a.one("act", "fail")["data"]["why"] and not a.of("revert"), a.all
        nothing_left(s)


def test_trouble_is_told():
    with Nodes().begin(lambda o: [(0.02, in_effect(proof=PROOF)), (0.1, {"message": "the queue is another's"}), (0.1, {"counters": {"seen": 1, "packets": 1, "bytes": 1}}), (left(o) - 0.3, ended())]) as api, Scratch() as s:
        a = run(s, api, PARTITION)
        assert a.one("trouble")["data"]["why"] == "the queue is another's", a.all


def test_a_clock_that_is_off_is_told():
    began = "begins at its notBefore, 2026-11-23T09:00:00Z; this node's clock says 2026-11-23T08:59:59Z"

    def behind(o):
        took = accepted()
        return [(0.02, {**took, "message": began}), (0.6, {**in_effect(proof=PROOF), "message": None, "inEffectBootNs": took["acceptedBootNs"] + 600_000_000}), (left(o) - 0.6, ended())]
    for steps, words in ((behind, f"it began 600ms after node NODE had taken it: {began}"),
                         (lambda o: [(0.02, in_effect(proof=PROOF)), (1, ended())], "before its deadline: the clock of node NODE is ahead of this machine's")):
        with Nodes().begin(steps) as api, Scratch() as s:
            a = run(s, api, PARTITION.replace("1s", "3s"), duration="4s", code=2)
            why = a.one("trouble")["data"]["why"]
            assert words.replace("NODE", api.asked_for[0]["spec"]["node"]) in why, why
            assert a.one("act", "ok") and a.one("revert", "ok"), a.all


# --- far ends ---

def db(api, i, ip, *more):
    o = objects.pod(f"db-{i}", labels={"app": "db"}, node="node-1", ownerReferences=[{"apiVersion": "apps/v1", "kind": "Job", "name": "db", "uid": "db", "controller": True}])
    o["status"].update(podIP=ip, podIPs=[{"ip": a} for a in (ip, *more)])
    api.put("pods", o)


def patches(api):
    return [r["body"]["spec"] for r in api.asked("PATCH", "/nodefaults/")]


def test_what_the_api_server_drops_is_not_left_out():
    """A fault without its far ends would hit all of them; also where the answer of its creation was lost, and the watch alone has it."""
    to = f"net-partition: {{{SELECT}, mode: one, target: {{selector: {{labelSelectors: {{app: db}}}}}}}}\n    for: 1s"
    for field, fault in (("peers", to), ("container", f"container-pause: {{{SELECT}, mode: one}}\n    for: 1s")):
        for lost in (False, True):
            with Nodes().begin(good) as api, Scratch() as s:
                db(api, 1, "10.1.0.7")
                api.custom["nodefaults"].drops = (field,)
                if lost:
                    api.fault("POST", "/nodefaults", Close(carry_out=True))
                a = run(s, api, fault)
                why = a.one("act", "fail")["data"]["why"]
                assert why == f"the cluster's NodeFault CRD is another version's: it dropped spec.{field} (kubectl apply -k deploy/agent)", why
                assert not a.of("act", "ok") and not a.of("revert") and gone(api), a.all
                asked = [r["at"] for r in api.asked("POST", "/nodefaults") + api.asked("DELETE", "/nodefaults")]
                assert asked[-1] - asked[0] < 0.5 * SLOW, asked
                nothing_left(s)


def test_far_ends_are_followed():
    to = f"net-partition: {{{SELECT}, mode: one, target: {{selector: {{labelSelectors: {{app: db}}}}}}, externalTargets: [10.9.0.0/16, localhost], except: [10.9.1.1]}}\n    for: 4s"
    with Nodes().begin(good) as api, Scratch() as s:
        db(api, 1, "10.1.0.7")
        threading.Timer(1.5, db, (api, 2, "10.1.0.3")).start()
        threading.Timer(2.2, lambda: (api.delete("pods", "db-1", "shop"), db(api, 3, "fd00::9"))).start()
        threading.Timer(3.0, lambda: (api.delete("pods", "db-2", "shop"), api.delete("pods", "db-3", "shop"))).start()
        a = run(s, api, to, duration="6s", rest="at: [100ms]", code=0)
        spec = api.asked_for[0]["spec"]
        local = [p for p in spec["peers"] if p in ("127.0.0.1", "::1")]
        assert local and set(spec["peers"]) == {"10.1.0.7", *local} and len(spec["peers"]) == 1 + len(local), spec
        assert spec["params"] == {"externalTargets": ["10.9.0.0/16"], "except": ["10.9.1.1"]}, spec["params"]
        sets = [set(p["peers"]) - set(local) for p in patches(api)]
        assert sets == [{"10.1.0.7", "10.1.0.3"}, {"10.1.0.3", "fd00::9"}], sets
        assert a.one("act", "ok")["data"]["peers"] == len(spec["peers"]) and a.one("revert", "ok")


def test_far_ends_are_never_none():
    with Nodes().begin(good) as api, Scratch() as s:
        to = f"net-partition: {{{SELECT}, mode: one, target: {{selector: {{labelSelectors: {{app: db}}}}}}}}\n    for: 2s"
        db(api, 1, "10.1.0.7")
        threading.Timer(1.2, api.delete, ("pods", "db-1", "shop")).start()
        run(s, api, to, duration="4s", rest="at: [100ms]", code=0)
        assert api.asked_for[0]["spec"]["peers"] == ["10.1.0.7"] and not patches(api), patches(api)
    with Nodes().begin(good) as api, Scratch() as s:
        a = run(s, api, to)
        assert "no other pod matches" in a.one("act", "fail")["data"]["why"] and not api.asked_for, a.all


def addresses(api):
    return [set(api.asked_for[0]["spec"]["peers"]), *(set(p["peers"]) for p in patches(api))]


def test_far_ends_that_were_drawn_stay():
    """Others come and go; once one that was drawn goes, another comes in its place."""
    for mode, n, n_of_five in (("mode: one", 1, 1), ("mode: fixed, value: \"2\"", 2, 2), ("mode: fixed-percent, value: 34%", 2, 1)):
        to = f"net-partition: {{{SELECT}, mode: one, target: {{selector: {{labelSelectors: {{app: db}}}}, {mode}}}}}\n    for: 3s"
        with Nodes().begin(good) as api, Scratch() as s:
            for i in range(6):
                db(api, i, f"10.1.0.{i}")
            p = subprocess.Popen([CHAOSD, "run", scenario(s, api, to, duration="5s", rest="at: [100ms]"), "--yes", "--out", s.dir / "out"], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, env=environment(s), cwd=s.dir)
            until(lambda: any((o.get("status") or {}).get("phase") == "InEffect" for o in api.objects("nodefaults")), "in effect")
            drawn, = addresses(api)
            others = [i for i in range(6) if f"10.1.0.{i}" not in drawn]
            for k, i in enumerate(others[:3]):  # as many as before, fewer, more: each draw anew would be among others
                api.delete("pods", f"db-{i}", "shop")
                time.sleep(0.15)
                db(api, 6 + k, f"10.1.0.{6 + k}")
                time.sleep(0.15)
            assert addresses(api) == [drawn] and len(drawn) == n, addresses(api)
            goes = sorted(drawn)[0]
            api.delete("pods", f"db-{goes.split('.')[-1]}", "shop")
            out, _ = p.communicate(timeout=60 * SLOW)
            assert p.returncode == 0, out
            _, then = addresses(api)
            there = {o["status"]["podIP"] for o in api.objects("pods") if o["metadata"]["name"].startswith("db-")}
            assert drawn - then == {goes} and len(then) == n_of_five and then <= there, (drawn, then, there)


def test_a_far_end_that_loses_its_role_stays():
    """Which the fault may have brought about; the new one is not the one that was meant."""
    with Answers() as at, Nodes().begin(good) as api, Scratch() as s:
        roles = f"roles:\n  leader:\n    of: {{labelSelectors: {{app: db}}}}\n    http: {{get: 'http://127.0.0.1:{at.port}/${{pod.name}}'}}\n"
        to = f"net-partition: {{{SELECT}, mode: one, target: {{selector: {{labelSelectors: {{app: db}}, role: leader}}}}}}\n    for: 2s"
        for i in range(3):
            db(api, i, f"10.1.0.{i}")
        at.yes = "db-0"
        scenario(s, api, to, duration="4s", rest="at: [1s]")
        path = s.dir / "s.yaml"
        path.write_text(roles + path.read_text())
        p = subprocess.Popen([CHAOSD, "run", path, "--yes", "--out", s.dir / "out"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(s), cwd=s.dir)
        until(lambda: any((o.get("status") or {}).get("phase") == "InEffect" for o in api.objects("nodefaults")) or p.poll() is not None, "in effect")
        at.yes = "db-1"
        time.sleep(0.5)
        db(api, 3, "10.1.0.3")
        time.sleep(0.4)
        seen = addresses(api)
        api.delete("pods", "db-0", "shop")
        out, _ = p.communicate(timeout=60 * SLOW)
        assert p.returncode in (0, 2) and seen == [{"10.1.0.0"}] and addresses(api) == [{"10.1.0.0"}, {"10.1.0.1"}], (seen, addresses(api), out)


def test_far_ends_that_may_not_be_changed():
    """Tried again with growing pauses, and said once."""
    with Nodes().begin(good) as api, Scratch() as s:
        to = f"net-partition: {{{SELECT}, mode: one, target: {{selector: {{labelSelectors: {{app: db}}}}}}}}\n    for: 7s"
        db(api, 1, "10.1.0.7")
        api.forbidden.add(("patch", "nodefaults"))
        threading.Timer(1, db, (api, 2, "10.1.0.3")).start()
        threading.Timer(2.9, api.forbidden.clear).start()
        a = run(s, api, to, duration="9s", rest="at: [100ms]", code=2)
        sent, why = patches(api), a.one("trouble")["data"]["why"]
        assert 2 <= len(sent) <= 7 and all(set(p["peers"]) == {"10.1.0.7", "10.1.0.3"} for p in sent), sent
        assert why.startswith("its far ends could not be changed: ") and "nodefaults" in why and why.endswith("; they stay as they were"), why
        end = next(o for o in reversed([e[3] for e in api.history if e[1] == "nodefaults"]))
        assert set(end["spec"]["peers"]) == {"10.1.0.7", "10.1.0.3"}, end


def test_far_ends_of_two_families():
    with Nodes().begin(good) as api, Scratch() as s:
        db(api, 1, "10.1.0.1", "fd00::1")
        threading.Timer(1.2, db, (api, 2, "fd00::2", "10.1.0.2")).start()
        run(s, api, f"net-partition: {{{SELECT}, mode: one, target: {{selector: {{labelSelectors: {{app: db}}}}}}}}\n    for: 2s", duration="4s", rest="at: [100ms]", code=0)
        assert set(api.asked_for[0]["spec"]["peers"]) == {"10.1.0.1", "fd00::1"}, api.asked_for[0]
        assert [set(p["peers"]) for p in patches(api)] == [{"10.1.0.1", "fd00::1", "fd00::2", "10.1.0.2"}], patches(api)


def test_a_pods_name_is_its_address():
    with Nodes().begin(good) as api, Scratch() as s:
        db(api, 1, "10.1.0.1", "fd00::1")
        threading.Timer(1.2, db, (api, 1, "10.1.0.8")).start()  # another by that name
        a = run(s, api, f"net-partition: {{{SELECT}, mode: one, externalTargets: [db-1]}}\n    for: 2s", duration="4s", rest="at: [100ms]", code=0)
        assert set(api.asked_for[0]["spec"]["peers"]) == {"10.1.0.1", "fd00::1"} and "externalTargets" not in api.asked_for[0]["spec"]["params"], api.asked_for[0]
        assert [p["peers"] for p in patches(api)] == [["10.1.0.8"]], patches(api)
        assert a.one("revert", "ok")
    with Nodes().begin(good) as api, Scratch() as s:
        a = run(s, api, f"net-partition: {{{SELECT}, mode: one, externalTargets: [db-7]}}\n    for: 2s", duration="4s", rest="at: [100ms]")
        assert a.one("act", "fail")["data"]["why"] == "externalTargets: db-7 is no pod's name now, and could not be looked up before the run" and not api.asked_for, a.all


def test_that_nothing_is_measured_is_said():
    with Nodes().begin(lambda o: [(0.02, in_effect(figures={"by": "drop"}))] + good(o)[2:]) as api, Scratch() as s:
        a = run(s, api, f"net-partition: {{{SELECT}, mode: one, externalTargets: [10.9.0.1], measure: true}}\n    for: 1s", code=0)
        assert "measure" not in api.asked_for[0]["spec"]["params"] and a.one("measured")["data"]["why"] == "a node's agent sends no echo requests", a.all
        text = subprocess.run([CHAOSD, "report", s.dir / "out"], capture_output=True, text=True, timeout=60 * SLOW, env=environment(s)).stdout
        assert "measured nothing: a node's agent sends no echo requests" in text, text


def test_names_are_looked_up_again():
    script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
    with Nodes().begin(good) as api, Scratch() as s:
        hosts = s.write("hosts", "10.9.0.1 far.test\n")
        path = scenario(s, api, f"net-partition: {{{SELECT}, mode: one, externalTargets: [far.test]}}\n    for: 3s", duration="5s")
        p = subprocess.Popen(["unshare", "-m", "bash", "-c", script, "bash", hosts, CHAOSD, "run", path, "--yes", "--out", s.dir / "out"], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, env=dict(environment(s), CHAOSD_RENEW_MS="100"), cwd=s.dir)
        until(lambda: api.asked_for, "asked for")
        hosts.write_text("10.9.0.2 far.test\n")
        out, _ = p.communicate(timeout=60 * SLOW)
        assert p.returncode == 0, out
        assert api.asked_for[0]["spec"]["peers"] == ["10.9.0.1"], api.asked_for
        assert [x["peers"] for x in patches(api)] == [["10.9.0.1", "10.9.0.2"]], patches(api)  # once: looked up ten times a second, it is said when it changes


# --- the end ---

def begin(s, api, *args, **kw):
    p = subprocess.Popen([CHAOSD, "run", scenario(s, api, *args, **kw), "--yes", "--out", s.dir / "out"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(s), cwd=s.dir)
    until(lambda: any((o.get("status") or {}).get("phase") == "InEffect" for o in api.objects("nodefaults")), "in effect")
    time.sleep(0.1)
    return p


def until(fn, what, seconds=20):
    ends = time.monotonic() + seconds * SLOW
    while not fn():
        assert time.monotonic() < ends, what
        time.sleep(0.01)


LONG = PARTITION.replace("1s", "50s")


def test_an_interrupt_ends_all():
    with Nodes().begin(good) as api, Scratch() as s:
        p = begin(s, api, LONG.replace("mode: one", "mode: all"), duration="60s", guards="guards: {quorum: none, maxPercent: 100%}")
        n = len(api.objects("nodefaults"))
        began = time.monotonic()
        p.send_signal(signal.SIGINT)
        out = p.communicate(timeout=30 * SLOW)[0]
        a = Acts(s)
        assert n >= 1 and time.monotonic() - began < 5 * SLOW and len(a.of("revert", "ok")) == n and not a.of("revert", "fail"), out
        assert gone(api) and [x for x in patches(api)] == [{"end": True}] * n
        nothing_left(s)


def test_an_end_that_was_refused_once_is_asked_for_again():
    with Nodes().begin(good) as api, Scratch() as s:
        p = begin(s, api, LONG, duration="60s")
        api.fault("PATCH", "/nodefaults", Status(403, "Forbidden"))
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=30 * SLOW)
        a = Acts(s)
        assert a.one("revert", "ok")["t"] - a.one("revert", "invoke")["t"] < 12e9 * SLOW and "no word" in a.one("trouble")["data"]["why"], a.all
        assert gone(api)
        nothing_left(s)


def test_an_interrupt_before_anything_was_heard():
    def unheard(o):
        return []

    def slow(o):
        return [(0.01, accepted())] if not o["spec"].get("end") else [(0.05, ended("Asked"))]

    for say in (unheard, slow):
        with Nodes().begin(say) as api, Scratch() as s:
            p = subprocess.Popen([CHAOSD, "run", scenario(s, api, LONG, duration="60s"), "--yes", "--out", s.dir / "out"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(s), cwd=s.dir)
            until(lambda: api.objects("nodefaults"), "asked for")
            time.sleep(0.4)
            p.send_signal(signal.SIGINT)
            out = p.communicate(timeout=30 * SLOW)[0]
            a = Acts(s)
            assert a.one("act", "unknown") and a.one("revert", "ok") and p.returncode == 4 and gone(api), out
            nothing_left(s)


def test_an_agent_that_says_nothing_of_the_end():
    """Its kernel's deadline is what is left: waited for, told, and then it is a failure."""
    with Nodes().begin(lambda o: [(0.02, in_effect(proof=PROOF))] if not o["spec"].get("end") else []) as api, Scratch() as s:
        a = run(s, api, f"pod-pause: {{{SELECT}, mode: one}}\n    for: 1s", duration="3s", code=1)
        why = a.one("revert", "fail")["data"]["why"]
        node, name = api.asked_for[0]["spec"]["node"], api.asked_for[0]["metadata"]["name"]
        assert why.startswith(f"no word of its end from the agent on node {node} (NodeFault {NS}/{name}); the node ends it by itself at 20") and gone(api), why
        assert 4.9e9 < a.one("revert", "fail")["t"] - a.one("revert", "invoke")["t"] < 6e9 * SLOW
    with Nodes().begin(lambda o: [(0.02, in_effect(proof=PROOF))] if not o["spec"].get("end") else []) as api, Scratch() as s:
        p = begin(s, api, f"pod-pause: {{{SELECT}, mode: one}}\n    for: 9s", duration="20s")
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=40 * SLOW)
        a = Acts(s)
        assert "no word" in a.one("trouble")["data"]["why"] and a.one("revert", "fail")["t"] - a.one("act", "ok")["t"] > 9.5e9, a.all


def test_a_run_that_is_killed():
    with Nodes().begin(good) as api, Scratch() as s:
        p = begin(s, api, LONG, duration="60s")
        p.kill()
        p.communicate()
        assert len(api.objects("nodefaults")) == 1
        state, = (s.dir / "state").iterdir()
        back = expect_exit(subprocess.run([CHAOSD, "revert", state.name], capture_output=True, text=True, timeout=60 * SLOW, env=environment(s)), 0)
        o = api.asked_for[0]["spec"]
        assert back.stdout == f"{state.name}: end net-partition on pod {o['pod']['name']} by its agent on node {o['node']}\n" and gone(api), back.stdout
        nothing_left(s)


def test_the_api_server_goes_away_and_comes_back():
    with Nodes().begin(good) as api, Scratch() as s:
        def away():
            for what in ("GET", "PATCH", "DELETE", "POST"):
                api.fault(what, "/", Status(503, "ServiceUnavailable"), times=None)
            api.cut_watches()
        threading.Timer(1.2, away).start()
        threading.Timer(3.0, lambda: api.faults.clear()).start()
        a = run(s, api, PARTITION.replace("1s", "2s"), duration="7s", rest="at: [100ms]")
        assert a.one("act", "ok") and a.one("revert", "ok") and not a.of("revert", "fail") and gone(api), a.all
        nothing_left(s)


def test_a_creation_whose_answer_was_lost():
    with Nodes().begin(good) as api, Scratch() as s:
        api.fault("POST", "/nodefaults", Close(carry_out=True))
        a = run(s, api, PARTITION, code=0)
        assert len(api.asked("POST", "/nodefaults")) == 2 and a.one("act", "ok") and a.one("revert", "ok") and gone(api)
    with Nodes().begin(good) as api, Scratch() as s:
        api.fault("POST", "/nodefaults", Stall(), times=None)
        api.fault("GET", "/nodefaults", Stall(), times=None, watch=True)
        a = run(s, api, PARTITION, duration="14s")
        assert a.one("act", "unknown") and a.one("revert", "ok") and not a.of("act", "ok"), a.all
        nothing_left(s)


# --- what others left ---

def left_over(api, name, seconds, namespace=NS):
    spec = {"protocol": 1, "run": name.split("-")[0], "fault": "slow", "act": 1, "kind": "net-delay", "node": "node-1", "pod": {"namespace": "shop", "name": "web-1", "uid": "u"},
            "notBefore": stamp(time.time() + seconds - 1), "deadline": stamp(time.time() + seconds)}
    api.put("nodefaults", {"metadata": {"name": name, "namespace": namespace, "labels": {"chaosd.io/run": spec["run"]}}, "spec": spec})


def names(api):
    return sorted(o["metadata"]["name"] for o in api.objects("nodefaults"))


def test_sweep():
    with Nodes() as api, Scratch() as s:
        for name, seconds in (("old-1", -61), ("young-1", -50), ("now-1", 60)):
            left_over(api, name, seconds)
        scenario(s, api, PARTITION)

        def revert(*more):
            return expect_exit(subprocess.run([CHAOSD, "revert", "--cluster", "--kubeconfig", s.dir / "config", *more], capture_output=True, text=True, timeout=60, env=environment(s)), 0)
        p = revert()
        assert names(api) == ["now-1", "young-1"] and f'NodeFault {NS}/old-1: net-delay by fault "slow" of run old' in p.stdout and "undone" in p.stdout, p.stdout
        p = revert("--force")
        assert names(api) == [], p.stdout
        api.forbidden |= {("list", "nodefaults", None)}
        left_over(api, "old-1", -100)
        p = revert()
        assert names(api) == [] and not p.stderr, p.stdout + p.stderr
        api.forbidden |= {("list", "nodefaults")}
        assert revert().stdout == "nothing to revert\n"


def test_a_run_sweeps_too():
    with Nodes().begin(lambda o: good(o) if o["spec"]["fault"] == "hit" else ()) as api, Scratch() as s:
        left_over(api, "old-1", -61)
        left_over(api, "now-1", 60)
        run(s, api, PARTITION)
        assert names(api) == ["now-1"], names(api)


if __name__ == "__main__":
    tap.main()
