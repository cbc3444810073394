# SPDX-License-Identifier: Apache-2.0
"""Pods of a node, made up of real processes: in control groups named as the kubelet names them, in a network namespace of their own. And an agent that
takes this machine for its node."""
import datetime
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import time
import uuid

from tap import CHAOSD, SLOW, Skip

NAMESPACE, NODE, RUN = "chaosd-agent", "node-1", "k3x9"
TERMINAL = ("Ended", "Failed")


def own_processes():
    """The test goes on in a pid namespace of its own, as process 1 of what is its node: there an agent sees only what the test made, and all of it."""
    if os.geteuid() == 0 and os.getpid() != 1:
        os.execvp("unshare", ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, *sys.argv])
    if os.geteuid() == 0:
        os.makedirs("/run/netns", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)


def hierarchies():
    """Of the freezer: [(version, where it is mounted)], version 1 first."""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        kind, _, options = right.split(" ")[:3]
        if kind == "cgroup2" or (kind == "cgroup" and "freezer" in options.split(",")):
            found.append((2 if kind == "cgroup2" else 1, pathlib.Path(left.split(" ")[4])))
    return sorted(found)


class Group:
    """A control group of the test's own, with what is below it; gone at the end."""

    def __init__(self, version=None):
        if os.geteuid() != 0:
            raise Skip("needs root")
        fit = [h for h in hierarchies() if version in (None, h[0])]
        if not fit:
            raise Skip(f"no control groups of version {version}")
        self.version, mount = fit[0]
        self.root = mount / f"chaosd-test-{secrets.token_hex(4)}"

    def __enter__(self):
        self.root.mkdir()
        return self

    def __exit__(self, *a):
        for _ in range(100):
            left = [int(pid) for d, _, _ in os.walk(self.root) for pid in (pathlib.Path(d) / "cgroup.procs").read_text().split()]
            for d, _, _ in os.walk(self.root):
                self.freeze(pathlib.Path(d), False)
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not left:
                break
            time.sleep(0.02)
        for d, _, _ in os.walk(self.root, topdown=False):
            for _ in range(100):
                try:
                    os.rmdir(d)
                    break
                except OSError:
                    time.sleep(0.02)

    def freeze(self, group, on):
        file = group / ("cgroup.freeze" if self.version == 2 else "freezer.state")
        if file.exists():
            file.write_text(("1" if on else "0") if self.version == 2 else ("FROZEN" if on else "THAWED"))

    def frozen(self, group):
        if self.version == 2:
            return "frozen 1" in (group / "cgroup.events").read_text()
        return (group / "freezer.state").read_text() == "FROZEN\n"


class Pod:
    """netns: a name, or None: this machine's own network. Its containers are programs of sh, by name."""

    def __init__(self, group, scratch, netns, name="web-0", sandbox=True, **containers):
        self.group, self.scratch, self.netns, self.name, self.uid = group, scratch, netns, name, str(uuid.uuid4())
        self.folder = group.root / "kubepods" / "besteffort" / f"pod{self.uid}"
        self.processes, self.ids = {}, {}
        if sandbox:
            self.start("pause", "while :; do sleep 1000; done")
        for container, program in (containers or {"app": "while :; do sleep 1000; done"}).items():
            self.start(container, program)

    def start(self, container, program):
        self.ids[container] = secrets.token_hex(32)
        place = self.folder / self.ids[container]
        place.mkdir(parents=True)
        shell = self.scratch.dir / container  # a process is called as its file
        if not shell.exists():
            shutil.copy("/bin/sh", shell)
        enter = ["ip", "netns", "exec", self.netns] if self.netns else []
        self.processes[container] = subprocess.Popen([*enter, shell, "-c", program], preexec_fn=lambda: (place / "cgroup.procs").write_text(str(os.getpid())),
                                                     start_new_session=True)
        time.sleep(0.03)  # two ticks: who started first is told by these

    def place(self, container="app"):
        return self.folder / self.ids[container]

    def frozen(self, container="app"):
        return self.group.frozen(self.place(container))

    def kill(self, container):
        for pid in map(int, (self.place(container) / "cgroup.procs").read_text().split()):
            os.kill(pid, signal.SIGKILL)
        self.processes[container].wait(10)

    def end(self):
        for container in list(self.processes)[::-1]:
            self.kill(container)


def stamp(wall):
    return datetime.datetime.fromtimestamp(wall, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Agent:
    """`chaosd agent` on this machine, against a made-up API server."""
    prefix = ()

    def __init__(self, api, scratch, *options, place=None, env=()):
        self.api, self.scratch, self.options, self.place_of = api, scratch, options, place
        self.log_file = scratch.dir / "agent.log"
        self.env = {k: v for k, v in os.environ.items() if "PROXY" not in k.upper() and not k.startswith(("KUBE", "NODE_NAME"))}
        self.env.update(CHAOSD_STATE_DIR=scratch.env["CHAOSD_STATE_DIR"], HOME=str(scratch.dir), **dict(env))
        self.config = scratch.write("kubeconfig", json.dumps({
            "current-context": "lab", "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": api.url}}], "users": [{"name": "u", "user": {"token": "t"}}]}))
        api.put("nodes", {"metadata": {"name": NODE}})

    def start(self, ready=True):
        def enter():
            if self.place_of:
                (self.place_of / "cgroup.procs").write_text(str(os.getpid()))
        self.before = self.log().count("NodeFaults of namespace")
        self.process = subprocess.Popen([*self.prefix, CHAOSD, "agent", "--node", NODE, "--kubeconfig", self.config, "--namespace", NAMESPACE, *self.options],
                                        env=self.env, stderr=self.log_file.open("a"), preexec_fn=enter)
        if ready:
            self.wait(lambda: self.log().count("NodeFaults of namespace") > self.before, "an agent")
        return self

    __enter__ = start

    def __exit__(self, *a):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if a[0]:
            print("\n".join("# " + line for line in self.log().splitlines()[-40:]), flush=True)

    def die(self):
        self.process.kill()
        self.process.wait()

    def term(self):
        self.process.terminate()
        return self.process.wait(20 * SLOW)

    def log(self):
        return self.log_file.read_text() if self.log_file.exists() else ""

    def wait(self, what, said="it", seconds=5.0):
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            if what():
                return
            assert self.process.poll() is None or said == "the end", f"the agent ended: {self.log()[-2000:]}"
            time.sleep(0.02)
        raise AssertionError(f"{said} did not come; the log: {self.log()[-3000:]}")

    # --- NodeFaults ---
    def ask(self, pod, kind="net-partition", seconds=30.0, act=1, params=None, wait=0.0, run=RUN, node=NODE, status=None, pod_fields=(), **spec):
        now = time.time() + wait
        meant = {"hostNetwork": True} if pod.netns is None and not kind.startswith("net-") else {}
        o = {"metadata": {"name": f"{run}-{act}", "namespace": NAMESPACE, "labels": {"chaosd.io/node": node, "chaosd.io/run": run}},
             "spec": dict({"protocol": 1, "run": run, "fault": "cut", "act": act, "kind": kind, "params": params or {}, "node": node, "notBefore": stamp(now),
                           "deadline": stamp(now + seconds), "pod": dict({"namespace": "shop", "name": pod.name, "uid": pod.uid}, **dict(meant, **dict(pod_fields)))}, **spec)}
        if status:
            o["status"] = status
        self.api.put("nodefaults", o)
        return f"{run}-{act}"

    def object(self, name):
        return self.api.get("nodefaults", name, NAMESPACE)

    def change(self, name, **spec):
        o = self.object(name)
        self.api.put("nodefaults", dict(o, spec=dict(o["spec"], **spec)))

    def status(self, name):
        return (self.object(name) or {}).get("status") or {}

    def reaches(self, name, phase, seconds=5.0):
        def there():
            now = self.status(name).get("phase")
            assert now == phase or now not in TERMINAL, f"{name} is {self.status(name)}, wanted {phase}"
            return now == phase
        self.wait(there, f"{name} {phase}", seconds)
        return self.status(name)

    def refused(self, name, reason, *words):
        status = self.reaches(name, "Failed")
        assert status["reason"] == reason, status
        for word in words:
            assert word in status["message"], status
        return status

    def state(self):
        folder = pathlib.Path(self.scratch.env["CHAOSD_STATE_DIR"])
        return [p for p in folder.glob("*/undo.jsonl")] if folder.exists() else []
