# SPDX-License-Identifier: Apache-2.0
"""A drill that runs beside the test: what its pods' packets do is seen by sockets of the test's own in their namespaces, and by tc."""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import time

from tap import CHAOSD, ROOT, SLOW, Scratch, summary

class TooSlow(Exception):
    """The machine was: what was to be looked at was over by then. Says nothing of chaosd."""


def patient(test):
    """Tries again on a machine that is busy with something else; four times too slow is a failure."""
    def tries():
        for _ in range(3):
            try:
                return test()
            except TooSlow as why:
                print(f"# once more: {why}", flush=True)
        return test()
    return tries


LIBC = ctypes.CDLL(None, use_errno=True)
OWN = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
SUBNET = "10.77.0.0/16"


def has_netem():
    return subprocess.run(["bash", ROOT / "tests" / "lab" / "has_netem.sh"]).returncode == 0


def enter(fd):
    if LIBC.setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def netns_path(netns):
    return netns if "/" in netns else f"/run/netns/{netns}"


def socket_in(netns, *what):
    fd = os.open(netns_path(netns), os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(fd)
        try:
            return socket.socket(*what)
        finally:
            enter(OWN)
    finally:
        os.close(fd)


SCENARIO = """
name: net
cluster:
  local:
    nodes: 2
    subnet: {subnet}
    workloads:
      - name: web
        replicas: {replicas}
        labels: {{app: web}}
        command: [python3, -m, http.server, --bind, "${{pod.ip}}", "8080"]
        ready: {{http: {{url: "http://${{pod.ip}}:8080/"}}, interval: 100ms, failures: 100}}
        restart: {{policy: always, delay: 200ms}}
load:
  - name: gets
    http:
      rate: 50/s
      targets: {{selector: {{labelSelectors: {{app: web}}}}, base: "http://${{pod.ip}}:8080"}}
      steps: [{{get: /}}]
      deadline: 250ms
    window: {{goods: 5, over: 300ms}}
faults:
{faults}
{more}duration: {duration}
settle: 500ms
"""


def fault(name, kind, fields, at, length="1s"):
    rows = "\n".join(f"      {line}" for line in fields.strip().splitlines())
    return f"  - name: {name}\n    {kind}:\n{rows}\n    at: {at}\n    for: {length}\n"


def scenario(*faults, duration="4s", replicas=3, more=""):
    return SCENARIO.format(subnet=SUBNET, replicas=replicas, faults="".join(faults), duration=duration, more=more)


class Drill:
    """chaosd run in the background; stopped and reverted at the end, whatever came."""

    def __init__(self, text, *args, timeout=60, hosts=None):
        """hosts: text of an /etc/hosts that only this drill sees; write it anew by d.hosts."""
        self.text, self.args, self.timeout, self.hosts_text = text, args, timeout * SLOW, hosts

    def __enter__(self):
        self.scratch = Scratch().__enter__()
        self.dir = self.scratch.dir / "run"
        path = self.scratch.write("net.yaml", self.text)
        self.out = open(self.scratch.dir / "out", "w+")
        first = []
        if self.hosts_text is not None:
            self.hosts = self.scratch.write("hosts", self.hosts_text)
            first = ["unshare", "-m", "--propagation", "unchanged", "bash", "-c",
                     'mount --make-private / && mount --bind "$1" /etc/hosts && shift && exec "$@"', "bash", self.hosts]
            # Its pods' namespaces are to be seen here: /run/netns must be a shared mount by now, as ip makes it.
            for what in ("add", "delete"):
                subprocess.run(["ip", "netns", what, f"nd{os.getpid()}-first"], check=True)
            self.scratch.env["CHAOSD_RENEW_MS"] = "100"
        self.p = subprocess.Popen([*first, CHAOSD, "run", path, "--yes", "--out", self.dir, *self.args], env=self.scratch.env, cwd=self.scratch.dir,
                                  stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *a):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGINT)
            try:
                self.p.wait(timeout=20 * SLOW)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        self.out.close()
        self.scratch.__exit__(*a)

    def said(self):
        self.out.flush()
        return (self.scratch.dir / "out").read_text(errors="replace")

    def events(self):
        try:
            lines = (self.dir / "history.jsonl").read_text().splitlines()[1:]
        except OSError:
            return []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                pass  # its last line is being written
        return found

    def find(self, op, phase=None, **data):
        """The first such event, or None. data: of the event's own, or of the act that its id names."""
        acts = {}
        for e in self.events():
            d = e.get("data") or {}
            if e["op"] == "fault/act" and "fault" in d:
                acts.setdefault(d.get("id"), {}).update(d)
            known = {**acts.get(d.get("id"), {}), **d, "target": e.get("target"), "kind": e.get("kind")}
            if e["op"] == op and (phase is None or e["phase"] == phase) and all(known.get(k) == v for k, v in data.items()):
                return e
        return None

    def still(self, name):
        """What was seen up to here was seen while the fault was in effect."""
        if self.find("fault/revert", "invoke", fault=name):
            raise TooSlow(f"{name} was over before it was looked at")

    def wait(self, op, phase=None, **data):
        end = time.monotonic() + self.timeout
        while time.monotonic() < end:
            e = self.find(op, phase, **data)
            if e:
                return e
            if self.p.poll() is not None:
                e = self.find(op, phase, **data)
                assert e, f"the run ended (exit {self.p.returncode}) without {op} {phase} {data}\n{self.said()[-3000:]}"
                return e
            time.sleep(0.01)
        raise AssertionError(f"no {op} {phase} {data} within {self.timeout} s\n{self.said()[-3000:]}")

    def end(self, code):
        """Its summary. Where chaosd itself stalled, nothing is claimed of users, and another verdict is none of this test's."""
        self.p.wait(timeout=self.timeout)
        if code == 0 and self.p.returncode == 2 and self.find("self/stall"):
            raise TooSlow("chaosd itself stalled")
        assert self.p.wait(timeout=self.timeout) == code, f"exit {self.p.returncode}, wanted {code}\n{self.said()[-4000:]}"
        return summary(self.dir)

    # --- as seen from outside ---

    def pod(self, name):
        """Its namespace and address."""
        e = self.wait("cluster/pod", kind="created", target=name)
        run = next(n for n in os.listdir("/run/netns") if n.endswith("-" + name) and self.owns(n))
        return run if self.hosts_text is None else f"/proc/{self.p.pid}/root{netns_path(run)}", e["data"]["ip"]

    def owns(self, netns):
        undo = "".join(p.read_text() for p in (self.scratch.dir / "state").glob("*/undo.jsonl"))
        return netns.split("-")[1] in undo

    def arrives(self, source, to, n=10, port=7001, wait=0.15):
        """How many of n datagrams come through."""
        (a, _), (b, address) = self.pod(source), self.pod(to)
        out, got = socket_in(a, socket.AF_INET, socket.SOCK_DGRAM), 0
        with out, socket_in(b, socket.AF_INET, socket.SOCK_DGRAM) as there:
            there.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
            there.bind((address, port))
            for i in range(n):
                out.sendto(b"x", (address, port))
            while got < n and select.select([there], [], [], wait)[0]:
                there.recv(10)
                got += 1
        return got

    def connects(self, source, to, port=8080, wait=0.3):
        (a, _), (_, address) = self.pod(source), self.pod(to)
        with socket_in(a, socket.AF_INET, socket.SOCK_STREAM) as s:
            s.settimeout(wait)
            try:
                s.connect((address, port))
                return True
            except OSError:
                return False

    def tc(self, pod, *words):
        netns, _ = self.pod(pod)
        p = subprocess.run(["nsenter", f"--net={netns_path(netns)}", "tc", "-j", "-s", *words], capture_output=True, text=True)
        assert p.returncode == 0, p.stderr
        return json.loads(p.stdout) if p.stdout.strip() else []

    def filters(self, pod, way):
        """Our own filters there, as tc tells them."""
        return [f["options"] for f in self.tc(pod, "filter", "show", "dev", "eth0", way)
                if f.get("chain", 0) == 0 and f.get("options", {}).get("bpf_name", "").startswith("chaosd:")]
