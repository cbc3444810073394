# SPDX-License-Identifier: Apache-2.0
"""Faults that a node's agent carries out, from the run's side: the fake API server, and the test itself as the agent. What a run asks for, what
it makes of each answer and of none, that far ends are followed, and that nothing stays behind."""
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
        a = run(s, api, PARTITION, duration="12s")
        why = a.one("act", "fail")["data"]["why"]
        node = api.asked_for[0]["spec"]["node"]
        assert why == f"no agent answered on node {node}: is one there? kubectl get pods -n {NS}", why
        assert 9.9e9 < a.one("act", "fail")["t"] - a.one("act", "invoke")["t"] < 11e9 * SLOW and gone(api)
        nothing_left(s)


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
    with Nodes().begin(lambda o: [(0.02, in_effect(proof=PROOF)), (0.2, {"phase": "Failed", "reason": "Lost", "message": "its filter is gone"})]) as api, Scratch() as s:
        a = run(s, api, PARTITION)
        assert "Lost: its filter is gone" in a.one("revert", "ok")["data"]["why"] and gone(api), a.all
    with Nodes().begin(lambda o: [(0.02, in_effect(proof=PROOF))]) as api, Scratch() as s:
        threading.Timer(1.2, lambda: api.delete("nodefaults", api.asked_for[0]["metadata"]["name"], NS)).start()
        a = run(s, api, PARTITION.replace("1s", "20s"), duration="22s", rest="at: [100ms]")
        assert a.one("revert", "ok")["data"]["why"] == "its NodeFault was deleted by somebody else", a.all
        assert a.one("revert", "ok")["t"] - a.one("act", "ok")["t"] < 5e9
        nothing_left(s)


def test_trouble_is_told():
    with Nodes().begin(lambda o: [(0.02, in_effect(proof=PROOF)), (0.1, {"message": "the queue is another's"}), (0.1, {"counters": {"seen": 1, "packets": 1, "bytes": 1}}), (0.5, ended())]) as api, Scratch() as s:
        a = run(s, api, PARTITION)
        assert a.one("trouble")["data"]["why"] == "the queue is another's", a.all


if __name__ == "__main__":
    tap.main()
