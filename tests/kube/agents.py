# SPDX-License-Identifier: Apache-2.0
"""deploy/agent in a lab, with an image of this build: `with Agents(LAB) as agents`. And what an agent may leave, as the machine sees it."""
import datetime
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from lab import PATIENCE, until

import tap

NAMESPACE = "chaosd-agent"
IMAGE = "chaosd.lab/chaosd"
RESOURCE = "nodefaults.chaosd.io"


class Agents:
    def __init__(self, lab, tag="agent"):
        self.lab, self.tag = lab, tag
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="chaosd-agents-"))
        shutil.copytree(tap.ROOT / "deploy", self.dir / "deploy")
        self.folder = self.dir / "deploy" / "kubernetes" / "overlays" / "example-agent"
        k = self.folder / "kustomization.yaml"  # with the lab's name for the image
        k.write_text(k.read_text().replace("registry.example/chaosd", IMAGE).replace("newTag: 0.1.0", f"newTag: {tag}"))

    def __enter__(self):
        try:
            return self.load().apply()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *a):
        try:
            self.delete()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def load(self):
        """The image into every node."""
        subprocess.run(["bash", tap.ROOT / "tests/lab/kube-image.sh", self.dir / "chaosd.tar", f"{IMAGE}:{self.tag}", '["/usr/local/bin/chaosd"]',
                        f"{tap.CHAOSD}=/usr/local/bin/chaosd"], check=True, timeout=120)
        self.lab.sh("load", self.dir / "chaosd.tar")
        return self

    def apply(self):
        self.lab.kubectl("apply", "-k", self.folder)
        self.lab.kubectl("rollout", "status", "--namespace", NAMESPACE, "daemonset/chaosd-agent", f"--timeout={180 * PATIENCE}s", timeout=210)
        return self

    def delete(self):
        self.lab.kubectl("delete", "-k", self.folder, "--ignore-not-found", f"--timeout={180 * PATIENCE}s", timeout=210)

    # --- what the API server has ---

    def pods(self):
        """By node: those that are not on their way out."""
        items = self.lab.get("pods", "--namespace", NAMESPACE, "--selector", "app.kubernetes.io/name=chaosd-agent")["items"]
        return {p["spec"]["nodeName"]: p for p in items if "nodeName" in p["spec"] and "deletionTimestamp" not in p["metadata"]}

    def ask(self, pod, kind, hold, params=None, act=1, run="hand", **more):
        """A NodeFault by hand, as a run makes one, from now on. Its name."""
        now, name = time.time(), f"{run}-{act}"
        o = {"apiVersion": "chaosd.io/v1alpha1", "kind": "NodeFault",
             "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"chaosd.io/node": pod["spec"]["nodeName"], "chaosd.io/run": run}},
             "spec": {"protocol": 1, "run": run, "fault": "by-hand", "act": act, "kind": kind, "params": params or {}, "node": pod["spec"]["nodeName"],
                      "pod": {k: pod["metadata"][k] for k in ("namespace", "name", "uid")}, "notBefore": stamp(now), "deadline": stamp(now + hold), **more}}
        self.forget(name)
        self.lab.kubectl("create", "--filename", "-", input=json.dumps(o))
        return name

    def reaches(self, name, *phases, seconds=10):
        """The NodeFault once it is in one of these."""
        def there():
            f = self.fault(name)
            phase = f.get("status", {}).get("phase") if f else None
            assert phase in phases or phase not in ("Ended", "Failed"), f"{name} is not {' or '.join(phases)}: {brief(f)}"
            return f if phase in phases else None
        try:
            return until(f"{name} is {' or '.join(phases)}", there, seconds)[0]
        except AssertionError as e:
            raise AssertionError(f"{e}; it is {brief(self.fault(name))}") from None

    def forget(self, *names):
        self.lab.kubectl("delete", RESOURCE, "--namespace", NAMESPACE, "--ignore-not-found", *(names or ("--all",)), timeout=60)

    def faults(self):
        return self.lab.get(RESOURCE, "--namespace", NAMESPACE)["items"]

    def fault(self, name):
        return next((f for f in self.faults() if f["metadata"]["name"] == name), None)

    def log(self, node):
        return self.lab.kubectl("logs", "--namespace", NAMESPACE, self.pods()[node]["metadata"]["name"], check=False)

    # --- what the machine has ---

    def words(self, lines=12):
        """The last ones of each agent."""
        return "\n".join(f"agent of {n}: {line}" for n in self.pods() for line in self.log(n).splitlines()[-lines:])

    def pid(self, node):
        """As the machine counts. None: no agent runs there."""
        return next(iter(processes_of(self.lab, node, "agent")), None)

    def reapers(self):
        return [p for n in self.nodes() for p in processes_of(self.lab, n, "__reap")]

    def nodes(self):
        return [f"node-{n + 1}" for n in range(int((self.lab.dir / "nodes").read_text()))]

    def left(self):
        """All of an agent's that is in the kernel now; empty: nothing."""
        found = {"network": [what for pid in networks(self.lab).values() for what in foreign_to_a_pod(pid)], "frozen": frozen(self.lab),
                 "reapers": self.reapers()}
        return {k: v for k, v in found.items() if v}

    def gone(self, seconds=30):
        """Waits until nothing of them is in the kernel. The seconds that it took."""
        return until("nothing of an agent is left", lambda: not self.left(), seconds)[1]


def stamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


def all_pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def processes_of(lab, node, command):
    """Those of chaosd COMMAND in the node's own pid namespace, as the machine counts them."""
    space = link(f"/proc/{lab.pid(node)}/ns/pid")
    return [p for p in all_pids() if read(f"/proc/{p}/cmdline").split("\0")[1:2] == [command] and read(f"/proc/{p}/comm").startswith("chaosd") and
            space and link(f"/proc/{p}/ns/pid") == space]


def networks(lab):
    """Each network namespace of a pod of the lab, and a process in it. The nodes' own are not among them."""
    mark = (lab.dir / "id").read_text().strip()
    homes = {link(f"/proc/{lab.pid(p)}/ns/net") for p in ("fabric", *(f"node-{n + 1}" for n in range(int((lab.dir / "nodes").read_text()))))}
    found = {link(f"/proc/{p}/ns/net"): p for p in all_pids() if f"/{mark}/" in (c := read(f"/proc/{p}/cgroup")) and "/kubepods/" in c}
    return {n: p for n, p in found.items() if n and n not in homes}


def foreign_to_a_pod(pid):
    """What nobody but us puts into a pod's namespace here: filters' clsact, ifbs."""
    said = subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-c", "tc qdisc show; ip -br link show type ifb"], capture_output=True, text=True).stdout
    return [f"{pid}: {line}" for line in said.splitlines() if "clsact" in line or "ifb" in line]


def frozen(lab):
    """The lab's groups that are frozen, by either version's file."""
    found = []
    for top in (lab.dir / "cgroups").read_text().split():
        for f in glob.glob(f"{top}/**/freezer.state", recursive=True):
            found += [f] if "FR" in read(f) else []
        for f in glob.glob(f"{top}/**/cgroup.freeze", recursive=True):
            found += [f] if read(f).strip() == "1" else []
    return found


def annotate(lab, node, stop):
    """The kill switch of a node, on or off."""
    lab.kubectl("annotate", "--overwrite", "node", node, "chaosd.io/stop=true" if stop else "chaosd.io/stop-")


def brief(o):
    return json.dumps(o and {k: o.get(k) for k in ("spec", "status")})[:2000]


# --- scenarios ---

def etcd_scenario(name):
    """One of scenarios/ with another cluster block. The lab's members find each other by Services, so that their addresses are far ends too."""
    text = (tap.ROOT / f"scenarios/{name}.yaml").read_text()
    text = re.sub(r"\ncluster:\n.*?\nroles:", "\ncluster: {kubernetes: {namespaces: [lab]}}\n\nroles:", text, flags=re.S)
    services, others = "externalTargets: [10.96.0.100, 10.96.0.101, 10.96.0.102]", "target: {selector: {labelSelectors: {app: etcd}}}"
    text = re.sub(rf"( *){re.escape(others)}( *#.*)?\n", rf"\1{others}\n\1{services}\n", text).replace(f", {others}}}", f", {others}, {services}}}")
    assert text.count(services) == text.count(others) > 0, text
    return text
