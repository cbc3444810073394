# SPDX-License-Identifier: Apache-2.0
"""The node's agent on this machine, against the fake API server: what it does to pods of real processes, what it says of it, and that nothing is left
whatever dies. What it did is seen by packets, by the kernel's own files and by tc, not by chaosd."""
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import tap  # noqa: E402
from netlab import Pair, sh, until  # noqa: E402
from tap import CHAOSD, ROOT, SLOW, Scratch, chaosd, expect_exit  # noqa: E402

sys.path.insert(0, str(ROOT / "tests" / "fake_api"))
sys.path.insert(0, str(ROOT / "tests" / "kube"))
import objects  # noqa: E402
from fake_api import Close, FakeApi, Status  # noqa: E402
from node_pod import NAMESPACE, NODE, Agent, Group, Pod, hierarchies, own_processes  # noqa: E402

B, B2 = "10.88.0.2", "10.88.0.3"
TICKS = "while :; do echo >>{}; sleep 0.02; done"


class Lab:
    def __init__(self, *options, version=None, network=True, start=True, **pod):
        self.options, self.version, self.network, self.begin, self.pod_fields = options, version, network, start, pod

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.api = stack.enter_context(FakeApi())
            self.api.define(**objects.NODE_FAULTS)
            self.scratch = stack.enter_context(Scratch())
            self.group = stack.enter_context(Group(self.version))
            self.pair = stack.enter_context(Pair(self.scratch)) if self.network else None
            self.pod = Pod(self.group, self.scratch, self.pair and self.pair.a, **self.pod_fields)
            self.agent = Agent(self.api, self.scratch, *self.options)
            if self.begin:
                stack.enter_context(self.agent)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *a):
        return self.stack.__exit__(*a)

    def again(self, heard=True):
        """Another agent, in the place of one that died. heard: it can hear what it has to do."""
        self.agent = Agent(self.api, self.scratch, *self.options)
        self.stack.push(self.agent)
        self.agent.start(heard)
        self.agent.wait(lambda: heard or "cannot be followed just now" in self.agent.log(), "trouble")

    def arrived(self, to=B, count=5):
        return len(self.pair.sent(count, to))

    def nothing_left(self):
        """In the pod's namespace, and in the journal."""
        left = [(link["ifname"]) for link in json.loads(sh("ip", "-n", self.pair.a, "-j", "link")) if link["ifname"] not in ("lo", "eth0")]
        assert not left, left
        assert "clsact" not in sh("tc", "-n", self.pair.a, "qdisc"), sh("tc", "-n", self.pair.a, "qdisc")
        self.no_records()

    def no_records(self):
        assert until(lambda: not any(p.read_text().count('"undo"') > p.read_text().count('"done"') for p in self.agent.state())), [p.read_text() for p in self.agent.state()]


def test_partition_in_effect_and_ended_on_time():
    with Lab() as lab:
        began = time.time()
        name = lab.agent.ask(lab.pod, seconds=2)
        lab.agent.reaches(name, "InEffect")
        assert lab.arrived() == 0
        lab.agent.wait(lambda: lab.agent.status(name).get("proof"), "a proof")
        status = lab.agent.status(name)
        assert status["proof"]["packets"] >= 1 and status["proof"]["proof"] == "packets were dropped" and status["figures"]["device"] == "eth0", status
        lab.agent.reaches(name, "Ended")
        assert 1.8 < time.time() - began < 4 * SLOW, time.time() - began
        assert lab.arrived() == 5
        status = lab.agent.status(name)
        assert status["counters"]["packets"] >= 5 and status["counters"]["seen"] >= 5 and "reason" not in status, status
        assert status["acceptedBootNs"] <= status["inEffectBootNs"] < status["endedBootNs"], status
        assert status["acceptedAt"] and status["untilAt"] <= lab.agent.object(name)["spec"]["deadline"][:-4] + "9999Z", status
        lab.nothing_left()


def test_asked_to_end_and_deleted():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod)
        lab.agent.reaches(name, "InEffect")
        assert lab.arrived() == 0
        lab.agent.change(name, end=True)
        assert lab.agent.reaches(name, "Ended")["reason"] == "Asked"
        assert lab.arrived() == 5
        lab.nothing_left()
        second = lab.agent.ask(lab.pod, act=2)
        lab.agent.reaches(second, "InEffect")
        assert lab.arrived() == 0
        lab.api.delete("nodefaults", second, NAMESPACE)
        assert until(lambda: lab.arrived() == 5)
        lab.nothing_left()


def test_begins_at_its_time_and_not_before():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod, wait=1.5, seconds=1.5)
        said = lab.agent.reaches(name, "Accepted")["message"]
        assert said.startswith("begins at its notBefore, " + lab.agent.object(name)["spec"]["notBefore"]) and "; this node's clock says 20" in said, said
        assert lab.arrived() == 5 and lab.agent.status(name)["phase"] == "Accepted"
        lab.agent.reaches(name, "InEffect")
        assert time.time() + 0.01 > stamp_of(lab.agent.object(name)["spec"]["notBefore"])
        assert "message" not in lab.agent.status(name)
        lab.agent.reaches(name, "Ended")
        early = lab.agent.ask(lab.pod, act=2, wait=20)
        lab.agent.reaches(early, "Accepted")
        lab.agent.change(early, end=True)
        assert "inEffectAt" not in lab.agent.reaches(early, "Ended")
        lab.nothing_left()


def stamp_of(text):
    import datetime
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc).timestamp()


def test_far_ends_change_and_the_deadline_stays():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod, seconds=8, peers=[B, "192.0.2.0/24"])
        status = lab.agent.reaches(name, "InEffect")
        assert status["figures"]["peers"] == 2, status
        assert lab.arrived(B) == 0 and lab.arrived(B2) == 5
        lab.agent.change(name, peers=[B2])
        assert until(lambda: lab.arrived(B2) == 0) and lab.arrived(B) == 5
        many = [f"198.51.{i // 250}.{i % 250 + 1}" for i in range(4000)]
        lab.agent.change(name, peers=[*many, B])  # in steps; the list that comes meanwhile is the one that holds
        lab.agent.change(name, peers=[*many, B, B2])
        assert until(lambda: lab.arrived(B) == 0 and lab.arrived(B2) == 0)
        lab.agent.change(name, peers=["not.an.address"])
        lab.agent.wait(lambda: "the new far ends are not taken, the old ones stay: " in lab.agent.status(name).get("message", ""), "a refusal")
        assert lab.arrived(B2) == 0 and lab.agent.status(name)["phase"] == "InEffect"
        lab.agent.change(name, peers=[B2])
        lab.agent.wait(lambda: "message" not in lab.agent.status(name), "all is as asked again")
        assert until(lambda: lab.arrived(B) == 5) and lab.arrived(B2) == 0
        until_at = stamp_of(status["untilAt"])
        status = lab.agent.reaches(name, "Ended", 10)
        assert abs(stamp_of(status["endedAt"]) - until_at) < 0.5 * SLOW, status
        assert lab.arrived(B) == 5 and lab.arrived(B2) == 5 and "message" not in status
        lab.nothing_left()


def test_loss_is_a_share():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod, kind="net-loss", params={"loss": {"loss": "50%"}})
        assert lab.agent.reaches(name, "InEffect")["figures"]["share_ppm"] == 500000
        assert 100 < lab.arrived(count=400) < 300
        lab.agent.change(name, end=True)
        lab.agent.reaches(name, "Ended")


def test_who_holds_the_pod_is_not_disturbed():
    with Lab() as lab, Group() as other:
        beside = Pod(other, lab.scratch, lab.pair.a, name="beside")  # another pod in the same network
        name = lab.agent.ask(lab.pod)
        lab.agent.reaches(name, "InEffect")
        lab.agent.refused(lab.agent.ask(lab.pod, act=2), "Busy", "k3x9-1", "holds the pod")
        lab.agent.refused(lab.agent.ask(beside, act=3, run="other"), "Busy", "holds the pod's network")
        paused = lab.agent.ask(lab.pod, act=4, kind="pod-pause")  # of another layer
        lab.agent.reaches(paused, "InEffect")
        lab.agent.refused(lab.agent.ask(lab.pod, act=5, kind="pod-kill"), "Busy", "k3x9-4")
        assert lab.arrived() == 0
        for each in (name, paused):
            lab.agent.change(each, end=True)
            lab.agent.reaches(each, "Ended")
        lab.nothing_left()
        expect_exit(chaosd("inject", "net-partition", "--netns", lab.pair.a, "--for", "20s", env=lab.scratch.env), 0)
        lab.agent.refused(lab.agent.ask(lab.pod, act=6), "Busy", "inject-net-partition")
        expect_exit(chaosd("revert", "--all", env=dict(lab.scratch.env)), 1)  # the agent is alive, its journal is not touched


def test_who_came_while_it_waited_is_not_disturbed_either():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod, wait=1.5)
        lab.agent.reaches(name, "Accepted")
        expect_exit(chaosd("inject", "net-partition", "--netns", lab.pair.a, "--for", "20s", env=lab.scratch.env), 0)
        lab.agent.refused(name, "Busy", "inject-net-partition")


def test_no_more_than_the_cap():
    with Lab("--max-faults", "1") as lab:
        lab.agent.reaches(lab.agent.ask(lab.pod), "InEffect")
        lab.agent.refused(lab.agent.ask(lab.pod, kind="pod-pause", act=2), "TooMany", "--max-faults")
    with Lab("--max-length", "20s") as lab:
        lab.agent.refused(lab.agent.ask(lab.pod, wait=60, seconds=6), "TooLong", "--max-length")
        lab.agent.reaches(lab.agent.ask(lab.pod, act=2, seconds=15), "InEffect")


def test_what_is_refused_is_said():
    with Lab() as lab, Group() as other, Group() as third:
        ask, host = lab.agent.ask, Pod(other, lab.scratch, None, name="host")
        gone = Pod(third, lab.scratch, lab.pair.a, name="gone")
        gone.end()
        lab.agent.refused(ask(gone, act=1), "NoPod", gone.uid)
        lab.agent.refused(ask(host, act=2), "HostNetwork", "node's own network")
        for act, kind in ((21, "pod-pause"), (22, "pod-kill")):
            lab.agent.refused(ask(host, act=act, kind=kind, pod_fields={"hostNetwork": False}), "HostNetwork", "node's own network")
        lab.agent.refused(ask(lab.pod, act=23, kind="pod-kill", params={"signal": "SIGSTOP"}), "Invalid", "SIGSTOP stops a process")
        lab.agent.refused(ask(lab.pod, act=3, protocol=2), "UnknownVersion", "older than the run")
        lab.agent.refused(ask(lab.pod, act=4, parms={}), "Invalid", "spec.parms is not known")
        lab.agent.refused(ask(lab.pod, act=5, kind="net-dely"), "UnknownKind", "net-delay")
        lab.agent.refused(ask(lab.pod, act=6, kind="pod-delete"), "UnknownKind")
        lab.agent.refused(ask(lab.pod, act=7, seconds=-1, wait=-5), "Invalid", "deadline")
        lab.agent.refused(ask(lab.pod, act=8, wait=-50), "DeadlinePast")
        lab.agent.refused(ask(lab.pod, act=9, params={"externalTargets": ["etcd-1"]}), "Invalid", "etcd-1", "is a name")
        lab.agent.refused(ask(lab.pod, act=10, params={"directon": "to"}), "Invalid", "direction")
        lab.agent.refused(ask(lab.pod, act=11, params={"selector": {}}), "Invalid", "selector")
        lab.agent.refused(ask(lab.pod, act=12, kind="container-kill"), "Invalid", "spec.container is missing")
        lab.agent.refused(ask(lab.pod, act=13, container={"name": "app", "id": lab.pod.ids["app"]}), "Invalid", "as a whole")
        lab.agent.refused(ask(lab.pod, act=14, kind="container-kill", container={"name": "app", "id": "0123456789ab"}), "NoPod", "app")
        lab.agent.refused(ask(lab.pod, act=15, kind="pod-kill", peers=[B]), "Invalid", "far ends")
        lab.agent.refused(ask(lab.pod, act=16, params={"device": "eth7"}), "Error", "eth7")
        lab.agent.refused(ask(lab.pod, act=19, params={"device": "eth0\x00"}), "Invalid", "NUL")
        lab.agent.refused(ask(lab.pod, act=20, params={"device": "x" * 1500000}), "Invalid", "spec.params.device", "too long")
        elsewhere = ask(lab.pod, act=17, node="node-2")
        lab.agent.reaches(ask(lab.pod, act=18, seconds=1), "InEffect")
        assert lab.agent.status(elsewhere) == {}
        lab.agent.reaches("k3x9-18", "Ended")
        lab.nothing_left()


def test_an_object_that_cannot_be_read_blinds_nobody():
    """A key with a NUL in it, and brackets deeper than a reader goes: what an API server takes, since params are the kind's own."""
    deep = {"a": 0}
    for _ in range(1100):
        deep = [{"a": deep}]
    sys.setrecursionlimit(20000)
    with Lab() as lab:
        before = lab.agent.ask(lab.pod, act=8, seconds=60)
        lab.agent.reaches(before, "InEffect")
        lab.agent.refused(lab.agent.ask(lab.pod, params={"a\x00b": 1}), "Invalid")
        lab.api.put("nodefaults", {"metadata": {"name": "deep", "namespace": NAMESPACE, "labels": {"chaosd.io/node": NODE}}, "spec": {"params": deep}})
        lab.agent.refused("deep", "Invalid")
        lab.agent.change(before, end=True)
        assert lab.agent.reaches(before, "Ended")["reason"] == "Asked" and lab.arrived() == 5
        lab.agent.die()
        lab.again()  # in a list, too
        lab.agent.reaches(lab.agent.ask(lab.pod, act=9, seconds=60), "InEffect")
        assert lab.arrived() == 0 and "cannot be followed" not in lab.agent.log()


def test_the_pod_ends_meanwhile():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod)
        lab.agent.reaches(name, "InEffect")
        lab.pod.kill("app")  # the sandbox holds the network
        time.sleep(0.3)
        assert lab.agent.status(name)["phase"] == "InEffect" and lab.arrived() == 0
        lab.pod.kill("pause")
        assert lab.agent.reaches(name, "Ended")["reason"] == "PodGone"
        lab.nothing_left()


def other_name(lab):
    for step in (("down",), ("name", "net1"), ("up",)):
        sh("ip", "-n", lab.pair.a, "link", "set", "net1" if step == ("up",) else "eth0", *step)
    sh("ip", "-n", lab.pair.a, "addr", "replace", "10.88.0.1/24", "dev", "net1")


def test_what_is_lost_after_a_trouble_is_said():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod, seconds=60)
        lab.agent.reaches(name, "InEffect")
        other_name(lab)
        lab.agent.wait(lambda: "eth0" in lab.agent.status(name).get("message", ""), "word")
        sh("tc", "-n", lab.pair.a, "qdisc", "del", "dev", "net1", "clsact")
        lab.agent.wait(lambda: lab.agent.status(name)["phase"] == "Failed", "the loss", 15)
        assert lab.agent.status(name)["reason"] == "Lost" and lab.arrived() == 5, lab.agent.status(name)


def test_an_interface_that_is_renamed():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod)
        lab.agent.reaches(name, "InEffect")
        for step in (("down",), ("name", "net1"), ("up",)):
            sh("ip", "-n", lab.pair.a, "link", "set", "net1" if step == ("up",) else "eth0", *step)
        sh("ip", "-n", lab.pair.a, "addr", "replace", "10.88.0.1/24", "dev", "net1")
        lab.agent.wait(lambda: "eth0" in lab.agent.status(name).get("message", ""), "word of it")
        assert lab.agent.status(name)["phase"] == "InEffect" and lab.arrived() == 0  # the filter went with the interface
        lab.agent.change(name, end=True)
        assert "message" not in lab.agent.reaches(name, "Ended")
        assert "clsact" not in sh("tc", "-n", lab.pair.a, "qdisc")
        assert until(lambda: lab.arrived() == 5)
        lab.no_records()


def test_the_kill_switch():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod)
        lab.agent.reaches(name, "InEffect")
        lab.api.put("nodes", {"metadata": {"name": NODE, "annotations": {"chaosd.io/stop": "please"}}})
        assert lab.agent.reaches(name, "Ended")["reason"] == "Stopped"
        assert lab.arrived() == 5
        lab.agent.refused(lab.agent.ask(lab.pod, act=2), "Stopped", "chaosd.io/stop")
        lab.api.put("nodes", {"metadata": {"name": NODE, "annotations": {"chaosd.io/stop": "false"}}})
        lab.agent.wait(lambda: "is gone" in lab.agent.log(), "the switch")
        lab.agent.reaches(lab.agent.ask(lab.pod, act=3), "InEffect")


def test_asked_to_end_it_ends_all_first():
    with Lab() as lab:
        names = [lab.agent.ask(lab.pod), lab.agent.ask(lab.pod, kind="pod-pause", act=2), lab.agent.ask(lab.pod, act=3, wait=30)]
        for n in names[:2]:
            lab.agent.reaches(n, "InEffect")
        assert lab.pod.frozen()
        assert lab.agent.term() == 0
        assert not lab.pod.frozen() and lab.arrived() == 5
        for n in names[:2]:
            assert lab.agent.status(n)["phase"] == "Ended" and lab.agent.status(n)["reason"] == "Terminated", lab.agent.status(n)
        lab.nothing_left()


def test_asked_to_end_while_nobody_listens():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod)
        lab.agent.reaches(name, "InEffect")
        lab.api.fault("PATCH", "/nodefaults", Close(), times=None)
        began = time.monotonic()
        assert lab.agent.term() == 0
        assert time.monotonic() - began < 6 * SLOW
        assert lab.arrived() == 5 and lab.agent.status(name)["phase"] == "InEffect"
        lab.nothing_left()


def test_killed_a_new_agent_takes_over():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod, seconds=6, peers=[B])
        status = lab.agent.reaches(name, "InEffect")
        paused = lab.agent.ask(lab.pod, kind="pod-pause", act=2, seconds=6)
        lab.agent.reaches(paused, "InEffect")
        lab.agent.die()
        assert lab.arrived() == 0 and lab.pod.frozen()
        lab.api.patch_status("nodefaults", name, NAMESPACE, {"message": "what stood when it died"})
        lab.again()
        assert lab.arrived() == 0 and lab.pod.frozen()
        lab.agent.change(name, peers=[B2])
        assert until(lambda: lab.arrived(B2) == 0) and lab.arrived(B) == 5
        now = lab.agent.reaches(name, "Ended", 10)
        assert "message" not in now and now["inEffectAt"] == status["inEffectAt"] and abs(stamp_of(now["endedAt"]) - stamp_of(status["untilAt"])) < 0.5 * SLOW, (status, now)
        lab.agent.reaches(paused, "Ended")
        assert not lab.pod.frozen() and lab.arrived(B2) == 5
        assert reapers() == []
        lab.nothing_left()


def test_a_new_agent_does_not_widen_it():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod, seconds=60, peers=[B])
        lab.agent.reaches(name, "InEffect")
        lab.agent.die()
        o = lab.agent.object(name)
        lab.api.put("nodefaults", dict(o, spec={k: v for k, v in o["spec"].items() if k != "peers"}))
        lab.again()
        lab.agent.refused(name, "Invalid", "far ends")
        assert lab.arrived(B) == 5 and lab.arrived(B2) == 5
        lab.nothing_left()


def reapers():
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"__reap" in (p / "cmdline").read_bytes() and "Z" not in (p / "stat").read_text().rpartition(")")[2].split()[0]:
                found.append(int(p.name))
    return found


def test_killed_what_nobody_asks_for_any_more_goes():
    with Lab() as lab:
        for act, kind in ((1, "net-partition"), (2, "pod-pause")):
            lab.agent.reaches(lab.agent.ask(lab.pod, kind=kind, act=act, seconds=60), "InEffect")
        lab.agent.die()
        for act in (1, 2):
            lab.api.delete("nodefaults", f"k3x9-{act}", NAMESPACE)
        assert lab.arrived() == 0 and lab.pod.frozen() and len(reapers()) == 1
        lab.again()
        assert until(lambda: not lab.pod.frozen()) and lab.arrived() == 5
        assert until(lambda: reapers() == [])
        lab.nothing_left()


def test_killed_what_ends_meanwhile_was_carried_out():
    with Lab() as lab:
        for act, kind in ((1, "net-partition"), (2, "pod-pause")):
            lab.agent.reaches(lab.agent.ask(lab.pod, kind=kind, act=act, seconds=60), "InEffect")
        lab.agent.die()
        for act in (1, 2):
            lab.agent.change(f"k3x9-{act}", end=True)
        lab.again()
        for act in (1, 2):
            assert lab.agent.reaches(f"k3x9-{act}", "Ended")["reason"] == "Asked"
        assert not lab.pod.frozen() and lab.arrived() == 5 and not reapers()
        lab.nothing_left()
        lab.agent.reaches(lab.agent.ask(lab.pod, act=3, seconds=60), "InEffect")
        lab.agent.die()
        lab.pod.end()
        lab.again()
        assert lab.agent.reaches("k3x9-3", "Ended")["reason"] == "PodGone"


def test_killed_the_deadlines_hold():
    with Lab() as lab:
        for act, kind in ((1, "net-partition"), (2, "pod-pause")):
            lab.agent.reaches(lab.agent.ask(lab.pod, kind=kind, act=act, seconds=2), "InEffect")
        lab.agent.die()
        assert lab.arrived() == 0 and lab.pod.frozen()
        assert until(lambda: not lab.pod.frozen(), 6 * SLOW) and lab.arrived() == 5
        lab.again()
        for act in (1, 2):
            assert lab.agent.reaches(f"k3x9-{act}", "Ended").get("reason") is None
        lab.nothing_left()


def test_killed_with_its_reaper_the_next_agent_thaws():
    with Lab() as lab:
        paused = lab.agent.ask(lab.pod, kind="pod-pause", seconds=1.5)
        lab.agent.reaches(paused, "InEffect")
        for pid in reapers():
            os.kill(pid, signal.SIGKILL)
        lab.agent.die()
        for p in lab.agent.state():  # and nothing is on the disk either
            p.unlink()
        time.sleep(1.8)
        assert lab.pod.frozen()
        lab.again()
        lab.agent.reaches(paused, "Ended")
        assert not lab.pod.frozen()


def test_killed_at_any_moment():
    """A partition and a pause each time, and the agent dies somewhere between its start and their end; now and then the objects go meanwhile."""
    draw = random.Random(os.environ.get("SEED", "7"))
    with Lab() as lab:
        act = 0
        for _ in range(20):
            asked = []
            for kind in ("net-partition", "pod-pause"):
                act += 1
                asked.append(lab.agent.ask(lab.pod, kind=kind, act=act, seconds=120))
            time.sleep(draw.uniform(0, 0.12))
            if draw.random() < 0.5:
                lab.agent.change(draw.choice(asked), end=True)
                time.sleep(draw.uniform(0, 0.03))
            lab.agent.die()
            kept = [n for n in asked if draw.random() < 0.5]
            for n in set(asked) - set(kept):
                lab.api.delete("nodefaults", n, NAMESPACE)
            lab.again()
            phases = [(n, lab.agent.status(n).get("phase")) for n in kept]
            assert lab.agent.wait(lambda: all(lab.agent.status(n).get("phase") in ("InEffect", "Ended", "Failed") for n in kept)) is None, phases
            for n in kept:
                lab.api.delete("nodefaults", n, NAMESPACE)
            assert until(lambda: not lab.pod.frozen() and reapers() == []), (lab.pod.frozen(), reapers())
            assert until(lambda: "clsact" not in sh("tc", "-n", lab.pair.a, "qdisc"))
        assert lab.arrived() == 5
        lab.nothing_left()


def test_what_a_newer_agent_had_is_refused_and_undone():
    with Lab() as lab:
        paused = lab.agent.ask(lab.pod, kind="pod-pause", seconds=60)
        lab.agent.reaches(paused, "InEffect")
        lab.agent.die()
        lab.agent.change(paused, protocol=2)
        half = lab.agent.ask(lab.pod, act=2, kind=None, status={"phase": "Accepted"})
        lab.again()
        lab.agent.refused(paused, "UnknownVersion", "older than the run")
        lab.agent.refused(half, "Invalid", "spec.kind")
        assert until(lambda: not lab.pod.frozen() and reapers() == [])
        lab.no_records()


def test_a_signal_is_not_sent_twice():
    with Lab() as lab:
        hits = lab.scratch.dir / "hits"
        lab.pod.start("deaf", f"trap 'echo x >>{hits}' TERM; while :; do sleep 0.05; done")
        time.sleep(0.3)
        name = lab.agent.ask(lab.pod, kind="container-kill", params={"signal": "SIGTERM"}, container={"name": "deaf", "id": lab.pod.ids["deaf"][:12]}, seconds=20)
        lab.agent.reaches(name, "InEffect")
        assert until(lambda: hits.exists() and hits.read_text() == "x\n")
        lab.agent.die()
        lab.again()
        lab.agent.refused(name, "Lost", "not known")
        time.sleep(0.3)
        assert hits.read_text() == "x\n"


def test_a_signal_waits_until_it_is_said():
    """Else an agent that comes after this one would find the object untouched, and send it again."""
    with Lab() as lab:
        hits = lab.scratch.dir / "hits"
        lab.pod.start("deaf", f"trap 'echo x >>{hits}' TERM; while :; do sleep 0.05; done")
        time.sleep(0.3)
        lab.api.fault("PATCH", "/nodefaults", Status(403, "Forbidden"), times=1000)
        name = lab.agent.ask(lab.pod, kind="container-kill", params={"signal": "SIGTERM"}, container={"name": "deaf", "id": lab.pod.ids["deaf"][:12]}, seconds=30)
        lab.agent.wait(lambda: "is tried again" in lab.agent.log(), "a refusal")
        lab.agent.die()
        lab.api.faults.clear()
        assert not hits.exists() and "phase" not in lab.agent.status(name)
        lab.again()
        lab.agent.reaches(name, "InEffect")
        assert until(lambda: hits.exists() and hits.read_text() == "x\n")


def test_status_that_is_refused_is_said_later():
    with Lab() as lab:
        lab.api.fault("PATCH", "/nodefaults", Status(403, "Forbidden"), times=4)
        name = lab.agent.ask(lab.pod, seconds=3)
        assert until(lambda: lab.arrived() == 0)
        assert "phase" not in lab.agent.status(name)
        lab.agent.wait(lambda: lab.agent.status(name).get("phase") == "Ended", "the end", 20)
        status = lab.agent.status(name)
        assert status["acceptedAt"] <= status["inEffectAt"] < status["endedAt"] and status["proof"], status
        assert "is tried again" in lab.agent.log()


def test_status_that_is_refused_for_good_leaves_nothing():
    with Lab() as lab:
        lab.api.fault("PATCH", "/nodefaults", Status(403, "Forbidden"), times=None)
        lab.agent.ask(lab.pod, seconds=2)
        paused = lab.agent.ask(lab.pod, act=2, kind="pod-pause", seconds=2)
        assert until(lambda: lab.arrived() == 0 and lab.pod.frozen())
        assert until(lambda: lab.arrived() == 5 and not lab.pod.frozen(), 5 * SLOW) and lab.agent.status(paused) == {}
        assert until(lambda: not reapers())
        lab.nothing_left()
        assert lab.agent.log().count("is tried again") == 2, lab.agent.log()


def test_status_of_which_a_part_is_refused_is_said_without_it():
    with Lab() as lab:
        lab.api.custom["nodefaults"].refuses = ("figures", "proof", "message")
        name = lab.agent.ask(lab.pod, wait=1, seconds=3)
        lab.agent.reaches(name, "InEffect")
        status = lab.agent.reaches(name, "Ended", 10)
        assert status["acceptedAt"] < status["inEffectAt"] < status["endedAt"] and not {"proof", "figures", "message"} & status.keys(), status
        assert lab.agent.log().count("is tried again") == 1, lab.agent.log()


def test_an_object_that_is_another_by_now_ends_the_fault():
    with Lab() as lab:
        lab.api.fault("PATCH", "/nodefaults", Status(409, "Conflict"), times=None)
        lab.agent.ask(lab.pod)
        lab.agent.wait(lambda: "the object is gone" in lab.agent.log(), "a conflict")
        assert until(lambda: lab.arrived() == 5)
        lab.nothing_left()


def test_a_writer_that_came_between_ends_nothing():
    with Lab() as lab:
        lab.api.fault("PATCH", "/nodefaults", Status(409, "Conflict"), times=2)
        name = lab.agent.ask(lab.pod, seconds=60)
        lab.agent.reaches(name, "InEffect", 20)
        assert lab.arrived() == 0


def dead_with_its_reapers(lab, seconds):
    """A pod that nobody would thaw, and an agent that hears nothing of the API server."""
    paused = lab.agent.ask(lab.pod, kind="pod-pause", seconds=seconds)
    lab.agent.reaches(paused, "InEffect")
    for pid in reapers():
        os.kill(pid, signal.SIGKILL)
    lab.agent.die()
    lab.api.fault("GET", "/", Close(), times=None)
    return paused


def test_killed_with_its_reaper_the_deadline_holds_without_an_api_server():
    with Lab(network=False) as lab:
        paused = dead_with_its_reapers(lab, 4)
        deadline = stamp_of(lab.agent.object(paused)["spec"]["deadline"])
        lab.again(heard=False)
        if time.time() < deadline - 0.5:
            assert lab.pod.frozen()
        assert until(lambda: not lab.pod.frozen(), 8 * SLOW) and deadline - 0.01 < time.time() < deadline + SLOW
        lab.api.faults.clear()
        assert lab.agent.reaches(paused, "Ended", 30).get("reason") is None
        lab.no_records()


def test_asked_to_end_before_it_heard_anything_it_leaves_nothing():
    with Lab() as lab:
        cut = lab.agent.ask(lab.pod, act=2, seconds=60)
        lab.agent.reaches(cut, "InEffect")
        dead_with_its_reapers(lab, 60)
        lab.again(heard=False)
        assert lab.pod.frozen() and lab.arrived() == 0
        assert lab.agent.term() == 0
        assert not lab.pod.frozen() and lab.arrived() == 5
        lab.nothing_left()


def test_an_api_server_that_is_away():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod, seconds=3)
        lab.agent.reaches(name, "InEffect")
        lab.api.fault("GET", "/", Close(), times=None)
        lab.api.fault("PATCH", "/", Close(), times=None)
        lab.api.cut_watches()
        assert lab.arrived() == 0
        assert until(lambda: lab.arrived() == 5, 6 * SLOW), "it ends all the same"
        assert lab.agent.status(name)["phase"] == "InEffect"
        second = lab.agent.ask(lab.pod, act=2, seconds=60)
        lab.api.faults.clear()
        lab.agent.reaches(name, "Ended", 30)
        lab.agent.reaches(second, "InEffect", 30)
        assert lab.arrived() == 0


def pause_of(version):
    with Lab(version=version, network=False) as lab:
        ticks = lab.scratch.dir / "ticks"
        lab.pod.start("ticker", TICKS.format(ticks))
        assert until(ticks.exists)
        began = time.time()
        name = lab.agent.ask(lab.pod, kind="pod-pause", seconds=1.5)
        status = lab.agent.reaches(name, "InEffect")
        lab.agent.wait(lambda: lab.agent.status(name).get("proof") == {"proof": "frozen"}, "a proof")
        assert lab.pod.frozen("app") and lab.pod.frozen("ticker") and not lab.pod.frozen("pause")
        size = ticks.stat().st_size
        time.sleep(0.3)
        assert ticks.stat().st_size == size
        status = lab.agent.reaches(name, "Ended")
        assert "reason" not in status and 1.3 < time.time() - began < 4 * SLOW, status
        assert until(lambda: ticks.stat().st_size > size) and not lab.pod.frozen("app")
        one = lab.agent.ask(lab.pod, act=2, kind="container-pause", container={"name": "ticker", "id": lab.pod.ids["ticker"][:12]})
        lab.agent.reaches(one, "InEffect")
        lab.agent.wait(lambda: lab.agent.status(one).get("proof"), "a proof")
        assert lab.pod.frozen("ticker") and not lab.pod.frozen("app")
        lab.group.freeze(lab.pod.place("ticker"), False)  # somebody thaws it
        lab.agent.wait(lambda: lab.agent.status(one).get("phase") == "Failed", "its end")
        assert lab.agent.status(one)["reason"] == "Lost"
        lab.group.freeze(lab.pod.place("ticker"), True)  # somebody freezes it
        assert until(lambda: lab.pod.frozen("ticker"))
        lab.agent.refused(lab.agent.ask(lab.pod, act=3, kind="pod-pause"), "Busy", "frozen already")
        assert lab.pod.frozen("ticker") and not lab.pod.frozen("app")
        lab.no_records()


def test_one_of_two_is_thawed_and_the_other_is_not_left_frozen():
    with Lab(network=False) as lab:
        lab.pod.start("side", "while :; do sleep 1000; done")
        time.sleep(0.1)
        name = lab.agent.ask(lab.pod, kind="pod-pause")
        lab.agent.reaches(name, "InEffect")
        assert until(lambda: lab.pod.frozen("app") and lab.pod.frozen("side"))
        lab.agent.wait(lambda: lab.agent.status(name).get("proof"), "a proof")
        lab.group.freeze(lab.pod.place("side"), False)
        lab.agent.refused(name, "Lost", "thawed from outside")
        assert not lab.pod.frozen("app") and reapers() == []
        lab.no_records()


def test_pause_by_version_1():
    pause_of(1)


def test_pause_by_version_2():
    pause_of(2)


def test_containers_that_end_while_they_are_frozen():
    with Lab(version=max(h[0] for h in hierarchies()), network=False) as lab:
        name = lab.agent.ask(lab.pod, kind="pod-pause")
        lab.agent.reaches(name, "InEffect")
        if lab.group.version == 1:
            lab.group.freeze(lab.pod.place(), False)  # frozen by version 1, nothing dies
        lab.pod.kill("app")
        lab.agent.wait(lambda: lab.agent.status(name).get("phase") in ("Ended", "Failed"), "an end")
        assert lab.agent.status(name)["reason"] in ("PodGone", "Lost"), lab.agent.status(name)
        lab.no_records()
        assert until(lambda: reapers() == [])


def test_who_is_left_in_a_frozen_container_is_thawed():
    """Its first process ends, which another pod's or the node's may see to (shareProcessNamespace); the others are still in the group. Version 1 lets
    nobody end who is frozen."""
    with Lab(version=2, network=False) as lab:
        lab.pod.start("pair", "sleep 1000 & sleep 1001; wait")
        lab.pod.start("other", "while :; do sleep 1000; done")
        for act, container in ((1, "pair"), (2, None)):
            time.sleep(0.3)
            fields = {"container": {"name": container, "id": lab.pod.ids[container]}} if container else {}
            name = lab.agent.ask(lab.pod, act=act, kind="container-pause" if container else "pod-pause", seconds=4, **fields)
            lab.agent.wait(lambda: lab.agent.status(name).get("proof"), "frozen")
            assert lab.pod.frozen("pair")
            os.kill(lab.pod.processes["pair"].pid, signal.SIGKILL)
            lab.pod.processes["pair"].wait(10)
            lab.agent.wait(lambda: lab.agent.status(name).get("phase") == "Ended", "its end", 10)
            assert lab.agent.status(name).get("reason") == ("PodGone" if container else None), lab.agent.status(name)
            assert not lab.pod.frozen("pair") and not lab.pod.frozen("other") and len((lab.pod.place("pair") / "cgroup.procs").read_text().split()) >= 1
            assert reapers() == []
            lab.no_records()
            lab.pod.kill("pair")
            lab.pod.start("pair", "sleep 1000 & sleep 1001; wait")


def test_a_reaper_outlives_the_agents_container():
    with Lab(network=False, start=False) as lab, Group(1) as own:
        places = []
        for version, mount in hierarchies():
            place = mount / own.root.name / "kubepods" / "pod11111111-2222-3333-4444-555555555555" / ("ab" * 32)
            place.mkdir(parents=True, exist_ok=True)
            places.append(place)
        try:
            lab.agent.place_of = places[0]
            with lab.agent:
                (places[-1] / "cgroup.procs").write_text(str(lab.agent.process.pid))
                lab.agent.reaches(lab.agent.ask(lab.pod, kind="pod-pause", seconds=2), "InEffect")
                assert lab.pod.frozen()
                itself = lab.agent.ask(lab.pod, act=2, kind="pod-pause", pod_fields={"uid": "11111111-2222-3333-4444-555555555555"})
                lab.agent.refused(itself, "NotAllowed", "the agent's own")
                everybody = {int(pid) for place in places for pid in (place / "cgroup.procs").read_text().split()}
                assert lab.agent.process.pid in everybody and not everybody & set(reapers()), (everybody, reapers())
                for pid in everybody:  # as a runtime ends a container
                    os.kill(pid, signal.SIGKILL)
                lab.agent.process.wait()
                assert lab.pod.frozen()
                assert until(lambda: not lab.pod.frozen(), 6 * SLOW)
        finally:
            for place in places[1:]:
                for folder in (place, place.parent, place.parent.parent, place.parent.parent.parent):
                    until(lambda: not os.path.exists(folder) or not (folder / "cgroup.procs").read_text())
                    with contextlib.suppress(OSError):
                        folder.rmdir()


def test_kill_is_proven_by_the_exit():
    with Lab(network=False) as lab:
        lab.pod.start("side", "while :; do sleep 1000; done")
        one = lab.agent.ask(lab.pod, kind="container-kill", container={"name": "side", "id": lab.pod.ids["side"]})
        status = lab.agent.reaches(one, "Ended")
        assert status["proof"] == {"proof": "exited"} and status["inEffectAt"] <= status["endedAt"], status
        assert lab.pod.processes["side"].wait(5) == -signal.SIGKILL and lab.pod.processes["app"].poll() is None
        both = lab.agent.ask(lab.pod, act=2, kind="pod-kill", params={"signal": "SIGTERM"})
        lab.agent.reaches(both, "Ended")
        assert lab.pod.processes["app"].wait(5) == -signal.SIGTERM and lab.pod.processes["pause"].poll() is None
        lab.pod.start("deaf", "trap '' TERM; while :; do sleep 1; done")
        time.sleep(0.3)
        deaf = lab.agent.ask(lab.pod, act=3, kind="pod-kill", params={"signal": "SIGTERM"}, seconds=1.5)
        status = lab.agent.reaches(deaf, "Ended")
        assert "proof" not in status and "no exit was seen" in status["message"], status


def test_objects_that_nobody_takes_away_go():
    with Lab() as lab:
        over = lab.agent.ask(lab.pod, act=1, wait=-120, seconds=30, status={"phase": "Ended"})
        late = lab.agent.ask(lab.pod, act=2, wait=-120, seconds=30)
        young = lab.agent.ask(lab.pod, act=3, wait=-20, seconds=10, status={"phase": "Ended"})
        foreign = lab.agent.ask(lab.pod, act=4, wait=-120, seconds=30, node="node-2")
        lab.agent.wait(lambda: not lab.agent.object(over) and not lab.agent.object(late), "their deletion", 10)
        assert lab.agent.object(young) and lab.agent.object(foreign)


def test_objects_that_may_not_be_deleted_are_asked_for_ever_less_often():
    with Lab(start=False) as lab:
        lab.api.fault("DELETE", "/nodefaults", Status(403, "Forbidden"), times=None)
        over = lab.agent.ask(lab.pod, wait=-120, seconds=30, status={"phase": "Ended"})
        with lab.agent:
            lab.agent.wait(lambda: "could not be deleted, and that is tried again" in lab.agent.log(), "the refusal")
            lab.agent.wait(lambda: len(lab.api.asked("DELETE", "/nodefaults")) == 3, "the third", 30)
            one, two, three = [r["at"] for r in lab.api.asked("DELETE", "/nodefaults")]
            assert two - one > 1.9 and three - two > 3.9 and lab.agent.log().count("could not be deleted") == 1, (one, two, three, lab.agent.log())
            lab.api.faults.clear()
            lab.agent.wait(lambda: not lab.agent.object(over), "its deletion", 30)


def test_a_server_that_asks_for_a_pause_has_it():
    with Lab() as lab:
        lab.api.fault("PATCH", "/nodefaults", Status(429, "TooManyRequests", retry_after=3))
        name = lab.agent.ask(lab.pod, seconds=20)
        lab.agent.reaches(name, "InEffect", 10)
        first, second = [r["at"] for r in lab.api.asked("PATCH", "/nodefaults")][:2]
        assert second - first > 2.9, (first, second)
        assert lab.arrived() == 0


def test_nothing_is_said_of_an_object_that_is_deleted():
    """Another may have its name."""
    with Lab() as lab:
        lab.api.fault("PATCH", "/nodefaults", Status(503, "ServiceUnavailable"), times=None)
        name = lab.agent.ask(lab.pod)
        assert until(lambda: lab.arrived() == 0)
        lab.api.delete("nodefaults", name, NAMESPACE)
        assert until(lambda: lab.arrived() == 5)
        lab.api.faults.clear()
        said = len(lab.api.asked("PATCH", "/nodefaults"))
        lab.api.put("nodefaults", {"kind": "NodeFault", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"node": "node-2"}})
        time.sleep(3)
        assert len(lab.api.asked("PATCH", "/nodefaults")) == said and not lab.agent.status(name), lab.agent.object(name)


def test_revert_on_the_node():
    with Lab() as lab:
        for act, kind in ((1, "net-partition"), (2, "pod-pause")):
            lab.agent.reaches(lab.agent.ask(lab.pod, kind=kind, act=act, seconds=60), "InEffect")
        p = chaosd("revert", "--all", env=lab.scratch.env)
        assert p.returncode == 1 and lab.pod.frozen() and lab.arrived() == 0, p
        p = chaosd("revert", "--all", "--force", env=lab.scratch.env)
        assert p.returncode == 0, p
        assert not lab.pod.frozen() and lab.arrived() == 5, p
        for act in (1, 2):
            lab.agent.wait(lambda: lab.agent.status(f"k3x9-{act}").get("phase") == "Failed", "its end")
            assert lab.agent.status(f"k3x9-{act}")["reason"] == "Lost"
        for act, kind in ((3, "net-partition"), (4, "pod-pause")):
            lab.agent.reaches(lab.agent.ask(lab.pod, kind=kind, act=act, seconds=60), "InEffect")
        lab.agent.die()
        with Scratch() as s:  # from a shell of the node, that knows nothing of the agent's folder
            p = chaosd("revert", "--all", env=s.env)
        assert p.returncode == 0 and "thaw pod shop/web-0" in p.stdout and "node-k3x9" in p.stdout, p
        assert not lab.pod.frozen() and lab.arrived() == 5 and reapers() == []


def test_with_the_rights_of_its_daemonset_and_no_more():
    """As user 0 with four capabilities. What is done to another user's container is done to whom the kernel protects from it."""
    with Lab(start=False) as lab:
        lab.agent.prefix = ["setpriv", "--bounding-set=-all,+sys_ptrace,+sys_admin,+net_admin,+kill", "--inh-caps=-all", "--no-new-privs"]
        lab.pod.start("web", "exec setpriv --reuid=65534 --regid=65534 --clear-groups sleep 1000")
        time.sleep(0.3)
        container = {"name": "web", "id": lab.pod.ids["web"]}
        with lab.agent:
            caps = pathlib.Path(f"/proc/{lab.agent.process.pid}/status").read_text()
            assert "CapEff:\t0000000000281020" in caps, caps
            lab.agent.reaches(lab.agent.ask(lab.pod, seconds=60), "InEffect")
            lab.agent.reaches(lab.agent.ask(lab.pod, act=2, kind="container-pause", container=container, seconds=60), "InEffect")
            assert until(lambda: lab.pod.frozen("web")) and lab.arrived() == 0
            lab.agent.change("k3x9-2", end=True)
            lab.agent.reaches("k3x9-2", "Ended")
            lab.agent.reaches(lab.agent.ask(lab.pod, act=3, kind="container-kill", container=container), "Ended")
            assert lab.pod.processes["web"].wait(5) == -signal.SIGKILL
            lab.agent.change("k3x9-1", end=True)
            lab.agent.reaches("k3x9-1", "Ended")
            assert lab.arrived() == 5
            lab.nothing_left()


def test_what_is_not_allowed_is_said():
    with Lab(start=False) as lab:
        lab.agent.prefix = ["setpriv", "--bounding-set=-all,+sys_ptrace,+sys_admin", "--inh-caps=-all", "--no-new-privs"]
        with lab.agent:
            lab.agent.wait(lambda: lab.agent.process.poll() is None, "an agent")
            lab.agent.ask(lab.pod)
            lab.agent.wait(lambda: lab.agent.status("k3x9-1").get("phase") == "Failed", "a refusal")
            assert lab.agent.status("k3x9-1")["reason"] in ("NotAllowed", "NotAble"), lab.agent.status("k3x9-1")
            lab.nothing_left()


def test_two_agents_of_one_node():
    with Lab() as lab:
        second = subprocess.run([CHAOSD, "agent", "--node", NODE, "--kubeconfig", lab.agent.config], env=lab.agent.env, capture_output=True, text=True, timeout=20)
        assert second.returncode == 70 and "another agent" in second.stderr, second


# --- whether it is ready ---

def ready(lab):
    p = subprocess.run([CHAOSD, "agent", "--ready", "--node", NODE], env=lab.agent.env, capture_output=True, text=True, timeout=20)
    assert (p.returncode, p.stdout) in ((0, ""), (1, f"the agent of node {NODE} is not ready: its log says why\n")) and not p.stderr, p
    return p.returncode == 0


def ready_file(lab):
    return pathlib.Path(lab.agent.env["CHAOSD_STATE_DIR"]) / f"agent-{NODE}" / "ready"


def becomes(lab, wanted, seconds=40):
    assert until(lambda: ready(lab) == wanted, seconds * SLOW), (wanted, lab.agent.log()[-1500:])


def test_ready_is_who_follows_both():
    with Lab(network=False) as lab:
        becomes(lab, True, 5)
        for path in ("/nodefaults", "/nodes"):
            lab.api.fault("GET", path, Close(), times=None)
            lab.api.cut_watches()
            becomes(lab, False)
            time.sleep(0.5)
            assert not ready(lab), "the other watch is followed, and that is not enough"
            lab.api.faults.clear()
            becomes(lab, True)
        before, said = ready_file(lab).stat(), lab.agent.log().count("are followed again")
        lab.api.fault("GET", "/", Close(), times=1)
        lab.api.cut_watches()
        lab.agent.wait(lambda: lab.agent.log().count("are followed again") >= said + 2, "the watches", 20)
        after = ready_file(lab).stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns), "one attempt that fails is no news"
        assert lab.agent.term() == 0 and not ready(lab) and not ready_file(lab).parent.exists()


def test_what_a_killed_agent_left_is_not_ready():
    with Lab(network=False) as lab:
        becomes(lab, True, 5)
        lab.agent.die()
        assert ready_file(lab).exists()
        lab.api.fault("GET", "/", Close(), times=None)
        lab.again(heard=False)
        becomes(lab, False, 5)
        lab.api.faults.clear()
        becomes(lab, True)
        lab.agent.die()
        p = expect_exit(chaosd("revert", "--all", env=dict(lab.agent.env)), 0)
        assert not ready_file(lab).parent.exists() and not ready(lab), p.stdout + p.stderr


def test_a_node_that_the_cluster_does_not_have():
    with Lab(start=False) as lab:
        lab.api.delete("nodes", NODE)
        lab.stack.push(lab.agent)
        lab.agent.start(False)
        name = lab.agent.ask(lab.pod)
        lab.agent.wait(lambda: f"the cluster has no node {NODE}: nothing is begun until it has" in lab.agent.log(), "a word")
        time.sleep(1)
        assert not ready(lab) and lab.arrived() == 5 and not lab.agent.status(name), lab.agent.object(name)
        lab.api.put("nodes", {"metadata": {"name": NODE, "annotations": {"chaosd.io/stop": "yes"}}})
        lab.agent.refused(name, "Stopped", "chaosd.io/stop")
        becomes(lab, True)
        lab.api.delete("nodes", NODE)  # which lifts no switch
        becomes(lab, False)
        lab.agent.refused(lab.agent.ask(lab.pod, act=2), "Stopped", "chaosd.io/stop")
        lab.api.put("nodes", {"metadata": {"name": NODE}})
        becomes(lab, True)
        lab.agent.reaches(lab.agent.ask(lab.pod, act=3), "InEffect")


def test_at_rest_it_is_small_and_still():
    with Lab() as lab:
        name = lab.agent.ask(lab.pod, seconds=1)
        lab.agent.reaches(name, "Ended")
        lab.api.delete("nodefaults", name, NAMESPACE)
        time.sleep(1)
        pid = lab.agent.process.pid
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        private = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_Dirty"))
        timers = [line for f in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir() for line in f.read_text().splitlines() if line.startswith("it_value")]
        armed = [t for t in timers if "(0, 0)" not in t]
        print(f"# {private} kB of its own, {len(armed)} timers")
        assert private < 3000 or tap.SLOW > 1, rollup
        assert len(armed) <= 3, armed  # the watches' silence, and the connections'


own_processes()
tap.main()
