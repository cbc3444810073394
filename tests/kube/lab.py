# SPDX-License-Identifier: Apache-2.0
"""A real cluster for tests: `with Lab() as lab`. With CHAOSD_KUBE=DIR it is the one that `tests/lab/kube.sh up DIR` has made, and stays. With
KUBE_VM=1 its nodes run in an emulated machine: everything takes longer there, and the nodes' pids are that machine's."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
KUBE = ROOT / "tests" / "lab" / "kube.sh"
FILES = ROOT / "tests" / "lab" / "kube"
GIVEN = os.environ.get("CHAOSD_KUBE")
IN_VM = (pathlib.Path(GIVEN) / "vm").exists() if GIVEN else bool(os.environ.get("KUBE_VM"))
PATIENCE = int(os.environ.get("KUBE_PATIENCE") or (5 if IN_VM else 1))  # limits on our own waiting stretch with it, limits on results never


class Lab:
    def __init__(self, nodes=2):
        self.given = os.environ.get("CHAOSD_KUBE")
        self.dir = pathlib.Path(self.given or tempfile.mkdtemp(prefix="chaosd-kube-"))
        self.nodes = nodes
        self.kubeconfig = self.dir / "kubeconfig"

    def __enter__(self):
        try:
            return self if self.given else self.up()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *a):
        if not self.given:
            self.down()
            shutil.rmtree(self.dir, ignore_errors=True)

    def up(self):
        p = self.sh("up", self.nodes, timeout=1500, check=False)  # the first time it compiles Kubernetes
        assert p.returncode == 0, p.stderr[-6000:]
        self.said = p.stderr
        return self

    def down(self):
        return self.sh("down", timeout=120)

    def sh(self, command, *args, timeout=120, check=True, **kw):
        """kube.sh COMMAND DIR ARGS...: the finished process."""
        p = subprocess.run(["bash", KUBE, command, self.dir, *map(str, args)], capture_output=True, text=True, timeout=timeout * PATIENCE, errors="replace",
                           **({} if "input" in kw else {"stdin": subprocess.DEVNULL}), **kw)
        assert not check or p.returncode == 0, f"kube.sh {command} {args}: exit {p.returncode}\n{p.stdout[-2000:]}{p.stderr[-4000:]}"
        return p

    def run(self, *command, **kw):
        """A command where the API server, the pods and the Services are reached."""
        return self.sh("exec", *command, **kw)

    def node(self, node, *command, **kw):
        """A command in a node: its network, its mounts, its processes."""
        return self.sh("node", node.removeprefix("node-"), *command, **kw)

    def in_pod(self, pod, *command, **kw):
        """A command of this machine's, not of the image's, in a pod's network; pod as the API server has it."""
        node, container = pod["spec"]["nodeName"], pod["status"]["containerStatuses"][0]["containerID"].split("://")[1]
        tasks = [line.split() for line in self.node(node, "ctr", "--namespace", "k8s.io", "tasks", "list").stdout.splitlines()]
        pid = [t[1] for t in tasks if t[0] == container]
        assert pid, (pod["metadata"]["name"], container, tasks)
        return self.node(node, "nsenter", f"--net=/proc/{pid[0]}/ns/net", *command, **kw)

    def kubectl(self, *args, **kw):
        return self.run("kubectl", *args, **kw).stdout

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def pods(self, app):
        return self.get("pods", "--namespace", "lab", "--selector", f"app={app}")["items"]

    def deploy(self, *names, ready=120):
        """tests/lab/kube/NAME.yaml, until all of it is ready."""
        for n in names:
            self.kubectl("apply", "--filename", FILES / f"{n}.yaml")
        for n in names:
            kind = "statefulset" if n == "etcd" else "deployment"
            self.kubectl("rollout", "status", "--namespace", "lab", f"{kind}/{n}", f"--timeout={ready * PATIENCE}s", timeout=ready + 30)

    def set_clock(self):
        """Gives the nodes this machine's time, as a real one's time service does: an emulated clock loses what its host had no time for. s that it was off."""
        if not IN_VM:
            return 0.0
        before = time.time()
        there = float(self.node("node-1", "date", "+%s.%N").stdout)
        after = time.time()
        off = there - (before + after) / 2
        if abs(off) <= (after - before) / 2 + 0.1:  # as near as it can be known
            return 0.0
        print(f"# figure: the nodes' clock was off by {off:+.1f} s, and is set", flush=True)
        self.node("node-1", "python3", "-c", f"import time; time.clock_settime(time.CLOCK_REALTIME, time.time() - {off!r})")
        return off

    def pid(self, part):
        return int(self.sh("pid", part).stdout)


def until(what, fn, seconds=60, pause=0.1):
    """The first true answer of fn and the seconds it took."""
    seconds *= PATIENCE
    began = time.monotonic()
    while True:
        answer = fn()
        took = time.monotonic() - began
        if answer:
            return answer, took
        assert took < seconds, f"not within {seconds} s: {what}"
        time.sleep(pause)


def is_ready(pod):
    return "deletionTimestamp" not in pod["metadata"] and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
