# SPDX-License-Identifier: Apache-2.0
"""Drills that agents carry out on a real Kubernetes: what they do to a pod is seen by the pod's own answers and by the node's kernel, not by chaosd's
word. What needs netem is in test_agent_netem.py, what dies in test_agent_crash.py."""
import os
import re
import signal
import statistics
import time

from agents import NAMESPACE, Agents, annotate, etcd_scenario, frozen, networks, read, stamp
from kubedrill import KubeDrill
from lab import Lab, is_ready, until
from prober import Prober, outages

import tap
from tap import ROOT

if os.geteuid() != 0:
    print("1..1\nok lab # SKIP (ci) needs root")
    raise SystemExit
LAB = Lab().__enter__()
AGENTS = None
FABRIC = "10.200.0.254"  # where the tests' own requests come from

HEAD = """
name: agents
cluster: {kubernetes: {namespaces: [lab]}}
load:
  - name: gets
    http: {rate: 20/s, targets: {url: "http://10.96.0.80"}, steps: [{get: /}], deadline: 500ms}
faults:
"""


def scenario(*faults, duration="8s", more=""):
    return HEAD + "".join(faults) + f"duration: {duration}\nsettle: 0s\nguards: {{steady: {{timeout: 30s}}}}\n{more}"


def fault(name, kind, fields, at="1s", hold="3s"):
    return f"  - {{name: {name}, {kind}: {{{fields}}}, at: {at}{f', for: {hold}' if hold else ''}}}\n"


def web():
    return sorted(LAB.pods("web"), key=lambda p: p["metadata"]["name"])


def only(pod):
    return f"selector: {{pods: [{pod['metadata']['name']}]}}"


def cut_from_here(pod):
    return f"{only(pod)}, direction: both, externalTargets: [{FABRIC}]"


def address(pod):
    return pod["status"]["podIP"]


def asked(d, victim, control):
    return Prober(LAB, d.scratch.dir / "asks", victim=address(victim), control=address(control))


def act(summary, name, number=0):
    return [f for f in summary["faults"] if f["name"] == name][number]


def whole(*apps):
    for app in apps or ("web", "etcd"):
        until(f"three of {app} are Ready and none is going", lambda app=app: sum(is_ready(p) for p in LAB.pods(app)) == 3 == len(LAB.pods(app)), 90)


def exec_in(pod, *command, namespace="lab", **kw):
    return LAB.run("kubectl", "exec", "--namespace", namespace, pod["metadata"]["name"], "--", *command, check=False, **kw)


def reaches(source, to):
    """Does one pod get an answer from another?"""
    return exec_in(source, "curl", "-sS", "--max-time", "1", "-o", "/dev/null", f"http://{to}:8080/").returncode == 0


# --- drills ---

def test_a_leader_is_cut_off_and_its_recovery_timed():
    whole("etcd")
    with KubeDrill(LAB, etcd_scenario("etcd-partition-leader"), "--quiet", "--set", "rate=60/s") as d:
        done = d.end(0, 1, 2)
        for name in ("cut-outgoing", "cut-incoming"):
            f = act(done, name)
            assert f["observed"] and f["reverted"] and f["affected"]["packets"] > 0 and f["target"].startswith("etcd-"), f
        f = act(done, "cut-both-ways")
        assert f["observed"] and f["reverted"] and f["affected"]["packets"] > 0 and f["target"].startswith("etcd-"), f
        assert not f["recovery"]["censored"] and f["recovery"]["sustained_ms"] > 0, f["recovery"]
        lost = next(c for c in done["checks"] if c["name"].startswith("ledger.lost"))
        assert lost["verdict"] == "pass", lost
        print(f"# figure: a leader cut off from its followers: {f['affected']['packets']} packets, sustained again {f['recovery']['sustained_ms'] / 1e3:.1f} s after the act, none of the writes lost")
        print("#", *(f"{f['name']} of {f['target']}: sustained again after {f['recovery']['sustained_ms'] / 1e3:.1f} s;" for f in done["faults"] if f["recovery"]["sustained_ms"] is not None))
        cut = d.acts("ok")[0]["t"], d.find("fault/revert", "ok")["t"]
        led = {e["target"] for e in d.events() if e["op"] == "role/now" and cut[0] < e["t"] < cut[1]}
        assert led - {"", f["target"]}, ("nobody else led meanwhile", led)
    whole("etcd")
    AGENTS.gone()


def restarts(pod):
    p = LAB.get("pod", "--namespace", "lab", pod["metadata"]["name"])
    return p["status"]["containerStatuses"][0]["restartCount"], p["metadata"]["uid"]


def test_a_killed_container_is_started_again():
    whole("web")
    victim, *_, control = web()
    for kind, more in (("container-kill", ", container: web"), ("pod-kill", "")):
        before, uid = restarts(victim)
        with KubeDrill(LAB, scenario(fault("die", kind, only(victim) + more, hold=None), duration="25s")) as d, asked(d, victim, control) as p:
            done = d.end(0, 1, 2)
            f = act(done, "die")
            assert f["observed"], (f, d.said()[-1500:])
            ready = [e for e in d.events() if e["op"] == "cluster/pod" and e["kind"] == "ready" and e["target"] == f["target"]]
            assert restarts(victim) == (before + 1, uid), (before, restarts(victim))
            out = outages(p.asks("victim"), p.asks("control"))
            assert out, "the kill was not felt"
            print(f"# {kind}: the pod did not answer for {(out[0][1] - out[0][0]) / 1e9:.2f} s; Ready again {ready[-1]['t'] / 1e9 - d.acts('ok')[0]['t'] / 1e9:.2f} s after the act")
        whole("web")
    AGENTS.gone()


def test_a_paused_pod_is_frozen_and_thawed():
    whole("web")
    victim, *_, control = web()
    for kind, more in (("pod-pause", ""), ("container-pause", ", container: web")):
        with KubeDrill(LAB, scenario(fault("ice", kind, only(victim) + more, hold="3s"))) as d, asked(d, victim, control) as p:
            d.wait("fault/act", "ok", fault="ice")
            groups = frozen(LAB)
            assert groups and all(victim["metadata"]["uid"] in g for g in groups), groups
            f = act(d.end(0, 1, 2), "ice")
            assert f["observed"] and f["reverted"] and 2900 < f["reverted_ms"] < 4000, f
            out = outages(p.asks("victim"), p.asks("control"))
            felt = sum(b - a for a, b, _ in out) / 1e9
            assert 2.5 < felt < 3.6, (felt, out)
            print(f"# {kind} of 3 s: no answer for {felt:.2f} s, {len(groups)} group frozen")
        AGENTS.gone(5)
        assert restarts(victim)[1] == victim["metadata"]["uid"]
        whole("web")


def test_two_runs_want_the_same_pod():
    whole("web")
    victim = web()[0]
    with KubeDrill(LAB, scenario(fault("first", "net-partition", cut_from_here(victim), "1s", "8s"), duration="10s")) as one:
        one.wait("fault/act", "ok", fault="first")
        with KubeDrill(LAB, scenario(fault("second", "net-partition", cut_from_here(victim), "1s", "2s"), duration="4s").replace("steady: {timeout: 30s}", "steady: {timeout: 1s}")) as two:
            done = two.end(0, 1, 2, 3)
            f = act(done, "second")
            said = " ".join(str(x) for x in (f.get("why"), f.get("unable"), two.said()))
            assert not f["observed"] and ("another fault" in said or "Busy" in said), (f, two.said()[-1500:])
            print(f"# the second run: {f.get('why') or f.get('unable')}")
        f = act(one.end(0, 1, 2), "first")
        assert f["observed"] and f["reverted"] and 7900 < f["reverted_ms"] < 9500, f
    AGENTS.gone()


def test_a_pod_ends_between_its_selection_and_the_act():
    """The agent is frozen when it is asked, and thawed when the pod is gone."""
    whole("web")
    victim = web()[0]
    node = victim["spec"]["nodeName"]
    pid = AGENTS.pid(node)
    with KubeDrill(LAB, scenario(fault("late", "net-partition", only(victim) + ", direction: both", "1s", "6s"), duration="10s")) as d:
        d.wait("run/schedule")
        os.kill(pid, signal.SIGSTOP)
        try:
            until("it is asked", lambda: [f for f in AGENTS.faults() if f["spec"]["pod"]["uid"] == victim["metadata"]["uid"]], 30)
            LAB.kubectl("delete", "pod", "--namespace", "lab", victim["metadata"]["name"], "--grace-period=0", "--force")
            until("its network is gone", lambda: victim["metadata"]["uid"] not in "".join(read(f"/proc/{p}/cgroup") for p in networks(LAB).values()), 30)
        finally:
            os.kill(pid, signal.SIGCONT)
        done = d.end(0, 1, 2, 3)
        f = act(done, "late")
        assert not f["observed"], f
        said = " ".join(str(x) for x in (f.get("why"), f.get("unable"), d.said()))
        assert re.search(r"NoPod|no process of|is gone|not here", said), said[-2000:]
    whole("web")
    AGENTS.gone()


def test_far_ends_are_followed_as_they_are_replaced():
    whole("web")
    victim, target, *_ = web()
    with KubeDrill(LAB, scenario(fault("apart", "net-partition", f"{only(victim)}, direction: both, target: {{selector: {{labelSelectors: {{app: etcd}}}}}}", "1s", "290s"), duration="300s"), timeout=330) as d:
        etcd = sorted(LAB.pods("etcd"), key=lambda p: p["metadata"]["name"])
        assert curl(victim, address(etcd[0])), "before"
        d.wait("fault/act", "ok", fault="apart")
        assert not curl(victim, address(etcd[0])) and not curl(victim, address(etcd[2])) and reaches(victim, address(target)), "only etcd's are meant"
        old = address(etcd[0])
        LAB.kubectl("delete", "pod", "--namespace", "lab", "etcd-0", "--grace-period=1", "--wait=false")
        new = until("etcd-0 has another address", lambda: next((address(p) for p in LAB.pods("etcd") if p["metadata"]["name"] == "etcd-0" and p["metadata"]["uid"] != etcd[0]["metadata"]["uid"]
                                                              and is_ready(p)), None), 40)[0]
        assert new != old
        until("it is a far end too", lambda: not curl(victim, new), 10, 0)
        d.still("apart")
        d.p.send_signal(signal.SIGINT)  # enough was seen: the rest of it is not waited for
        f = act(d.end(4), "apart")
        assert f["observed"] and f["reverted"], f
    assert curl(victim, new), "over"
    whole()
    AGENTS.gone()


def curl(source, to):
    return exec_in(source, "curl", "-sS", "--max-time", "1", "-o", "/dev/null", f"http://{to}:2379/health").returncode == 0


def test_a_decision_is_in_effect_within_100_ms():
    whole("web")
    times = ", ".join(f"{1000 + 400 * i}ms" for i in range(24))
    with KubeDrill(LAB, scenario(fault("many", "net-partition", f"selector: {{labelSelectors: {{app: web}}}}, mode: one, direction: both, externalTargets: [{FABRIC}]",
                                       f"[{times}]", "150ms"), duration="12s").replace("steady: {timeout: 30s}", "steady: {interval: 10ms, timeout: 30s}")) as d:
        d.end(0, 1, 2)
        begun = {e["data"]["id"]: e for e in d.acts("invoke")}
        took = sorted((e["data"].get("seen", e["t"]) - begun[e["data"]["id"]]["t"]) / 1e6 for e in d.acts("ok"))
        assert len(took) >= 20, (len(took), d.said()[-1500:])
        print(f"# figure: decision to in effect on a pod's node, of {len(took)} partitions: median {statistics.median(took):.0f} ms, {took[0]:.0f} to {took[-1]:.0f} ms")
        assert statistics.median(took) < 100, took
    AGENTS.gone()


# --- the agent itself ---

def private_kb(pid):
    """What is its own and no file's: the lab's nodes have their files on a tmpfs, where pages of a program count as written to."""
    return int(re.search(r"^Anonymous: +(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.M)[1])


def switches(pid):
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", read(f"/proc/{pid}/status"), re.M)[1])


def test_an_agent_at_rest_costs_next_to_nothing():
    AGENTS.gone()
    AGENTS.forget()
    time.sleep(3)
    pids = [AGENTS.pid(n) for n in AGENTS.nodes()]
    before = [switches(p) for p in pids]
    time.sleep(10)
    woken = [switches(p) - b for p, b in zip(pids, before)]
    kb = [private_kb(p) for p in pids]
    threads = [len(os.listdir(f"/proc/{p}/task")) for p in pids]
    print(f"# figure: an agent at rest: {max(kb) / 1024:.1f} MB private memory, {max(woken)} wake-ups in 10 s")
    # Its Node's status comes with the kubelet's report, each 4 s here, and a watch may hear a bookmark.
    assert max(kb) < 3 * 1024 and min(kb) > 100 and max(woken) <= 12 and threads == [1, 1], (kb, woken, threads)


def test_the_kill_switch_ends_all_of_a_node():
    whole("web")
    victim = web()[0]
    node = victim["spec"]["nodeName"]
    name = AGENTS.ask(victim, "net-partition", 30, {"direction": "both", "externalTargets": [FABRIC]}, act=1)
    also = AGENTS.ask(victim, "pod-pause", 30, act=2)
    for n in (name, also):
        AGENTS.reaches(n, "InEffect")
    try:
        began = time.monotonic()
        annotate(LAB, node, True)
        for n in (name, also):
            ended = AGENTS.reaches(n, "Ended", seconds=5)
            assert ended["status"]["reason"] == "Stopped", ended["status"]
        assert not AGENTS.left().keys() & {"frozen"} and not [f for f in AGENTS.left().get("network", []) if "ifb" in f], AGENTS.left()
        print(f"# the kill switch: both ended {time.monotonic() - began:.1f} s after it was turned")
        refused = AGENTS.reaches(AGENTS.ask(victim, "net-partition", 30, {"direction": "both"}, act=3), "Failed")
        assert refused["status"]["reason"] == "Stopped" and refused["status"]["message"], refused["status"]
    finally:
        annotate(LAB, node, False)
    again = AGENTS.ask(victim, "net-partition", 2, {"direction": "both", "externalTargets": [FABRIC]}, act=4)
    AGENTS.reaches(again, "InEffect")
    AGENTS.reaches(again, "Ended")
    AGENTS.forget()
    AGENTS.gone()
    whole("web")


def test_what_it_waits_for_is_said_and_taken_back():
    """By the API server's own idea of what may be written, and what a patch takes away."""
    whole("web")
    victim, *_ = web()
    name = AGENTS.ask(victim, "net-partition", 6, {"direction": "both", "externalTargets": [FABRIC]}, act=8, notBefore=stamp(time.time() + 3))
    said = AGENTS.reaches(name, "Accepted")["status"]["message"]
    assert said.startswith("begins at its notBefore, "), said
    for phase in ("InEffect", "Ended"):
        assert "message" not in AGENTS.reaches(name, phase)["status"], AGENTS.words()
    assert "could not be said" not in AGENTS.words(), AGENTS.words()
    AGENTS.forget(name)


def test_deleting_the_object_ends_it():
    whole("web")
    victim, *_, control = web()
    for kind, params in (("net-partition", {"direction": "both", "externalTargets": [FABRIC]}), ("pod-pause", {})):
        name = AGENTS.ask(victim, kind, 60, params, act=7)
        AGENTS.reaches(name, "InEffect")
        AGENTS.forget(name)
        until("nothing of it is left", lambda: not AGENTS.left(), 10)
        assert curl_here(victim)


def curl_here(pod):
    return LAB.run("curl", "-sS", "--max-time", "1", "-o", "/dev/null", f"http://{address(pod)}:8080/", check=False).returncode == 0


def test_everything_can_be_taken_away_from_within_the_agents_pod():
    whole("web")
    victim = web()[0]
    agent = AGENTS.pods()[victim["spec"]["nodeName"]]
    names = [AGENTS.ask(victim, kind, 40, params, act=20 + i) for i, (kind, params) in enumerate((("net-partition", {"direction": "both", "externalTargets": [FABRIC]}), ("pod-pause", {})))]
    for n in names:
        AGENTS.reaches(n, "InEffect")
    listed = exec_in(agent, "/usr/local/bin/chaosd", "inject", "--list", namespace=NAMESPACE)
    assert listed.returncode == 0 and "node-hand" in listed.stdout, listed
    p = exec_in(agent, "/usr/local/bin/chaosd", "revert", "--all", "--force", namespace=NAMESPACE, timeout=60)
    assert p.returncode == 0, p.stdout + p.stderr
    until("the kernel has nothing of it", lambda: not AGENTS.left().keys() & {"network", "frozen"}, 10)
    assert curl_here(victim)
    print("# revert in the agent's pod: " + "; ".join(p.stdout.strip().splitlines()))
    for n in names:  # and the agent notices
        said = AGENTS.reaches(n, "Ended", "Failed", seconds=20)["status"]
        print(f"# {n}: {said['phase']} {said.get('reason')}: {said.get('message')}")
    AGENTS.forget()
    AGENTS.gone()


def test_chaosd_check_knows_the_agents():
    with tap.Scratch() as s:
        path = s.write("check.yaml", scenario(fault("cut", "net-partition", "selector: {labelSelectors: {app: web}}, direction: both")))
        p = LAB.run(tap.CHAOSD, "check", path, check=False)
        assert p.returncode == 0 and re.search(r"^ok  .*agent", p.stdout, re.M), p.stdout


try:
    LAB.deploy("web", "etcd")
    with Agents(LAB, "agent") as AGENTS:
        tap.main()
finally:
    LAB.__exit__()
