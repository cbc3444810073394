# SPDX-License-Identifier: Apache-2.0
"""A pod's packets delayed, on a node whose kernel has netem (KUBE_VM=1 where this machine's has not): 50 ms, by the kernel's own clock, and by ping."""
import json
import os
import re
import statistics

from lab import Lab

import tap

if os.geteuid() != 0:
    print("1..1\nok lab # SKIP (ci) needs root")
    raise SystemExit
LAB = Lab()
MS = 50
OFF = max(1, MS * 0.02)  # ms that it may be off
QUEUE_TIME = tap.ROOT / "tests" / "lab" / "queue_time.py"
PACKETS, PAUSE = 60, 0.1


def ends():
    """A web server on each node: who asks, who is asked."""
    pods = {p["spec"]["nodeName"]: p for p in LAB.pods("web")}
    return pods["node-1"], pods["node-2"]


def queued(pod, far):
    """ms that packets of a pod wait where they leave it."""
    p = LAB.in_pod(pod, "python3", "-", far["status"]["podIP"], 9, PACKETS, PAUSE, input=QUEUE_TIME.read_text())
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


def figures(pod, far):
    return statistics.median(queued(pod, far)), statistics.median(pinged(pod, far))


def delayed(pod):
    return "netem" in LAB.in_pod(pod, "tc", "qdisc", "show").stdout


def test_comes_up_with_netem():
    LAB.__enter__()
    LAB.deploy("web")
    kernel = LAB.node("node-1", "uname", "-r").stdout.strip()
    print(f"# the nodes' kernel: {kernel}")
    assert {p["spec"]["nodeName"] for p in LAB.pods("web")} == {"node-1", "node-2"}


def test_tcs_own_delay_is_measured_true():
    """What a measurement here can show: asked of netem by tc, with nothing of ours in between."""
    pod, far = ends()
    without = figures(pod, far)
    LAB.in_pod(pod, "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", f"{MS}ms")
    try:
        held = figures(pod, far)
    finally:
        LAB.in_pod(pod, "tc", "qdisc", "del", "dev", "eth0", "root")
    after = statistics.median(queued(pod, far))
    print(f"# figure: tc's {MS} ms in a pod: {held[0]:.2f} ms in the queue ({without[0]:.2f} without), ping {held[1] - without[1]:.2f} ms more ({without[1]:.2f} without)")
    assert without[0] < OFF and after < OFF, (without, after)
    assert abs(held[0] - MS) <= OFF, held
    assert held[1] - without[1] > MS - OFF, (held, without)  # it can only come later than that: a program has to wake up for it
    assert not delayed(pod)


try:
    tap.main()
finally:
    LAB.__exit__()
