# SPDX-License-Identifier: Apache-2.0
"""A pod's packets delayed by a drill, on a node whose kernel has netem (KUBE_VM=1 where this machine's has not): 50 ms, by the kernel's own clock, and by
ping. Beside it what tc's own netem does there: what can be measured at all."""
import json
import os
import re
import statistics
import subprocess

from agents import Agents, etcd_scenario
from kubedrill import KubeDrill
from lab import PATIENCE, Lab, until

import tap

if os.geteuid() != 0:
    print("1..1\nok lab # SKIP (ci) needs root")
    raise SystemExit
LAB = AGENTS = None
MS = 50
OFF = max(1, MS * 0.02)  # ms that it may be off
QUEUE_TIME = tap.ROOT / "tests" / "lab" / "queue_time.py"
PACKETS, PAUSE = 60, 0.1
OTHER = "10.200.0.254"  # whence the load asks; to the pod that sends packets it is no far end
HOLD = 30 * PATIENCE  # s: long enough to measure in, also where a program takes ten times as long

SCENARIO = """
name: delay
cluster: {{kubernetes: {{namespaces: [lab]}}}}
load:
  - name: gets
    http: {{rate: 5/s, targets: {{url: "http://{address}:8080"}}, steps: [{{get: /}}], deadline: 10s}}
faults:
  - name: slow
    net-delay: {{selector: {{pods: [{pod}]}}, target: {{selector: {{pods: [{far}]}}}}, delay: {{latency: {ms}ms}}}}
    at: 4s
    for: {hold}s
  - name: answers
    net-delay: {{selector: {{pods: [{far}]}}, externalTargets: [{client}], delay: {{latency: {ms}ms}}}}
    at: 4s
    for: {hold}s
duration: {end}s
settle: 0s
guards: {{steady: {{timeout: {hold}s}}}}
"""


def ends():
    """A web server on each node: who asks, who is asked."""
    pods = {p["spec"]["nodeName"]: p for p in LAB.pods("web")}
    return pods["node-1"], pods["node-2"]


def queued(pod, to):
    """ms that packets of a pod to an address wait where they leave it."""
    p = LAB.in_pod(pod, "python3", "-", to, 9, PACKETS, PAUSE, input=QUEUE_TIME.read_text())
    took = json.loads(p.stdout)
    assert None not in took, f"{took.count(None)} of {PACKETS} packets never left"
    return took


def pinged(pod, far):
    """ms there and back, as a program in the pod sees it; one that sleeps as long in between, with a delay or without."""
    name = pod["metadata"]["name"]
    said = LAB.kubectl("exec", "--namespace", "lab", name, "--", "ping", "-c", PACKETS, "-i", PAUSE, far["status"]["podIP"])
    took = [float(ms) for ms in re.findall(r"time=([\d.]+) ms", said)]
    assert len(took) == PACKETS, said[-300:]
    return took


class Figures:
    """Nothing lets a packet go early, and an emulated or busy machine lets it go late: the first quarter says what the delay is, the median what it came to."""

    def __init__(self, pod, far):
        took = queued(pod, far["status"]["podIP"])
        self.quarter, self.median, _ = statistics.quantiles(took, n=4)
        self.ping = statistics.median(pinged(pod, far))

    def more_than(self, without):
        return f"{self.quarter:.2f} ms in the queue (median {self.median:.2f}; {without.median:.2f} without), ping {self.ping - without.ping:.2f} ms more ({without.ping:.2f} without)"

    def as_asked(self, without, like=None):
        """like: tc's own in the same pod. Where that comes to more as well, it is the emulator that is measured, and as much is granted."""
        assert abs(self.quarter - MS) <= OFF and without.median < OFF, self.more_than(without)
        assert self.ping - without.ping > MS - OFF, self.more_than(without)
        emulated = like and like.median - MS > OFF / 2 and abs(self.median - like.median) <= OFF
        assert not like or abs(self.median - MS) <= OFF or emulated, self.more_than(without)


def tcs_own(pod, far):
    """The same asked of netem by tc, with nothing of ours in between."""
    LAB.in_pod(pod, "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", f"{MS}ms")
    try:
        return Figures(pod, far)
    finally:
        LAB.in_pod(pod, "tc", "qdisc", "del", "dev", "eth0", "root")


def left(pod):
    """What of a delay is in the pod's network: by tc or by chaosd."""
    said = LAB.in_pod(pod, "sh", "-c", "tc qdisc show; ip -br link show type ifb").stdout
    return [line for line in said.splitlines() if "netem" in line or "ifb" in line or "clsact" in line]


def test_both_nodes_are_there():
    kernel = LAB.node("node-1", "uname", "-r").stdout.strip()
    print(f"# the nodes' kernel: {kernel}")
    assert {p["spec"]["nodeName"] for p in LAB.pods("web")} == {"node-1", "node-2"}


def test_tcs_own_delay_is_measured_true():
    """What a measurement here can show."""
    pod, far = ends()
    without = Figures(pod, far)
    held = tcs_own(pod, far)
    print(f"# figure: tc's {MS} ms in a pod: {held.more_than(without)}")
    held.as_asked(without)
    assert not left(pod)


def test_an_agents_delay_is_as_asked():
    pod, far = ends()
    without, tc = Figures(pod, far), tcs_own(pod, far)
    text = SCENARIO.format(pod=pod["metadata"]["name"], far=far["metadata"]["name"], address=far["status"]["podIP"], client=OTHER, ms=MS, hold=HOLD,
                           end=HOLD + 8)
    with KubeDrill(LAB, text, timeout=HOLD + 120 * PATIENCE) as d:
        d.wait("fault/act", "ok", fault="slow")
        held = Figures(pod, far)
        other = statistics.median(queued(pod, OTHER))
        assert [f["status"]["phase"] for f in AGENTS.faults()] == ["InEffect"] * 2, f"over before it was measured: {AGENTS.faults()}"
        told, said = d.end(0, 1, 2), f"{d.said()[-3000:]}\n{AGENTS.words()}"
    f, load = [f for f in told["faults"] if f["name"] == "slow"][0], told["loads"][0]
    added = load["latency_ms"]["p50"] - load["baseline"]["p50_ms"]
    print(f"# figure: an agent's {MS} ms in a pod: {held.more_than(without)}; {other:.2f} ms to others; tc's own beside it: {tc.more_than(without)}")
    print(f"# figure: the load's median latency: {load['latency_ms']['p50']:.1f} ms, {added:.1f} more than before the fault: a connection a request, so two packets of the pod's come late")
    assert f["observed"] and f["reverted"] and f["affected"] and f["affected"]["packets"] >= 2 * PACKETS, f"{f}\n{said}"
    assert added > 1.5 * MS, (added, load)
    held.as_asked(without, tc)
    assert other < OFF, "others were delayed too"
    until("nothing of it is left", lambda: not left(pod), 10)
    after = statistics.median(queued(pod, far["status"]["podIP"]))
    assert after < OFF, after


def test_one_of_three_gets_a_slow_link():
    """scenarios/etcd-slow-follower.yaml with another cluster block: of an etcd that has agreed on a leader, however slow its machine is."""
    LAB.deploy("etcd")
    with KubeDrill(LAB, etcd_scenario("etcd-slow-follower"), "--quiet", "--set", "rate=6/s", "--set", "deadline=10s", timeout=120 * PATIENCE) as d:
        done, said = d.end(0, 1, 2), f"{d.said()[-3000:]}\n{AGENTS.words()}"
    struck = [f for f in done["faults"] if f["observed"]]
    print("#", *(f"{f['name']} of {f['target']}: {f['affected']['packets']} packets;" for f in struck))
    assert struck and all(f["reverted"] and f["affected"]["packets"] > 0 and f["target"].startswith("etcd-") for f in struck), said
    assert next(c for c in done["checks"] if c["name"].startswith("ledger.lost"))["verdict"] == "pass", said


def started():
    lab = Lab().__enter__()
    try:
        lab.deploy("web")
        return lab
    except BaseException:
        lab.__exit__()
        raise


def come_up():
    """An emulated machine on a busy host may not get up in time: once more, then. One whose host keeps the processor from it proves nothing."""
    watch = tap.Watch()
    patience = tap.Patience(watch, tap.STILL_MS)
    for again in (True, False):
        patience.begin()
        try:
            lab = started()
            watch.end()
            return lab
        except (AssertionError, subprocess.TimeoutExpired) as why:
            print(f"# it did not come up: {str(why)[-3000:]}".replace("\n", "\n# "), flush=True)
            patience.again(again)
    watch.end()
    if patience.hopeless():
        print(f"1..1\nok cluster # SKIP {patience.why()}")
        raise SystemExit
    raise SystemExit("no cluster to test in")


LAB = come_up()
try:
    with Agents(LAB, "netem") as AGENTS:
        tap.main()
finally:
    LAB.__exit__()
