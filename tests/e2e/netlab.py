# SPDX-License-Identifier: Apache-2.0
"""Two namespaces of the test's own, joined by a veth pair, and UDP between them: what chaosd does there is read by others than chaosd."""
import json
import os
import pathlib
import subprocess
import time

from tap import Skip, chaosd

# Sends or receives numbered datagrams, told by its arguments; prints one JSON object.
UDP = r"""
import json, socket, sys, time, struct
def address(a, port): return (socket.AF_INET6 if ":" in a else socket.AF_INET), (a, port)
def open_at(a, port):
    family, at = address(a, port)
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
    s.bind(at)
    return s
what = sys.argv[1]
if what == "receive":
    s = open_at(sys.argv[2], int(sys.argv[3]))
    print("ready", flush=True)
    got = []
    while True:
        data = s.recv(2048)
        if data == b"end":
            break
        n, sent = struct.unpack("!Id", data[:12])
        got.append([n, time.clock_gettime(time.CLOCK_MONOTONIC) - sent])
    print(json.dumps(got))
else:
    family, to = address(sys.argv[2], int(sys.argv[3]))
    count, pause = int(sys.argv[4]), float(sys.argv[5])
    s = socket.socket(family, socket.SOCK_DGRAM)
    print("ready", flush=True)
    for n in range(count):
        s.sendto(struct.pack("!Id", n, time.clock_gettime(time.CLOCK_MONOTONIC)) + b"x" * 88, to)
        if pause:
            time.sleep(pause)
"""


def sh(*args, ok=True):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True)
    assert p.returncode == 0 or not ok, (args, p.stderr)
    return p.stdout


class Pair:
    """A: 10.88.0.1, fd88::1 on eth0. B: 10.88.0.2, .3 and fd88::2 on eth0."""

    def __init__(self, scratch):
        if os.geteuid() != 0:
            raise Skip("needs root")
        self.scratch = scratch

    def __enter__(self):
        tag = f"chaosd-ti{os.getpid():x}"
        self.a, self.b = tag + "-a", tag + "-b"
        for ns in (self.a, self.b):
            sh("ip", "netns", "add", ns)
            sh("ip", "-n", ns, "link", "set", "lo", "up")
        sh("ip", "-n", self.a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.b)
        for ns, addresses in ((self.a, ["10.88.0.1/24", "fd88::1/64"]), (self.b, ["10.88.0.2/24", "10.88.0.3/24", "fd88::2/64"])):
            for a in addresses:
                sh("ip", "-n", ns, "addr", "add", a, "dev", "eth0", *(["nodad"] if ":" in a else []))
            sh("ip", "-n", ns, "link", "set", "eth0", "up")
        self.sent(5, "10.88.0.2")
        return self

    def __exit__(self, *a):
        for ns in (self.a, self.b):
            sh("ip", "netns", "del", ns, ok=False)

    def python(self, ns, *args):
        return subprocess.Popen(["ip", "netns", "exec", ns, "python3", "-c", UDP, *map(str, args)], stdout=subprocess.PIPE, text=True)

    def sent(self, count, to, port=9999, pause=0, linger=0.0, during=lambda: None):
        """Sends so many from A to an address of B; the numbers and delays of those that arrived. during is called as the first one leaves."""
        receiver = self.python(self.b, "receive", to, port)
        assert receiver.stdout.readline() == "ready\n"
        sender = self.python(self.a, "send", to, port, count, pause)
        assert sender.stdout.readline() == "ready\n"
        during()
        assert sender.wait(60) == 0
        time.sleep(linger)
        # The end is told from B itself, so that no fault can lose it; what is still in the socket comes first.
        subprocess.run(["ip", "netns", "exec", self.b, "python3", "-c", f"import socket; s = socket.socket(socket.AF_INET6 if ':' in '{to}' else socket.AF_INET, "
                        f"socket.SOCK_DGRAM); s.sendto(b'end', ('{to}', {port}))"], check=True)
        return json.loads(receiver.communicate(timeout=60)[0])

    def inject(self, *args, **kw):
        kw.setdefault("env", self.scratch.env)
        return chaosd("inject", *args, **kw)

    def scene(self):
        """Everything that chaosd could leave: links, queues, filters, and its journal."""
        out = []
        for ns in (self.a, self.b):
            links = [link["ifname"] for link in json.loads(sh("ip", "-n", ns, "-j", "link"))]
            out.append((ns, links, sh("tc", "-n", ns, "qdisc")))
            out += [(dev, way, sh("tc", "-n", ns, "filter", "show", "dev", dev, way, ok=False)) for dev in links for way in ("ingress", "egress")]
        state = pathlib.Path(self.scratch.env["CHAOSD_STATE_DIR"])
        out.append(sorted(p.name for p in state.iterdir()) if state.exists() else [])
        return out

    def filters(self, dev="eth0", way="egress"):
        return [f for f in json.loads(sh("tc", "-n", self.a, "-j", "filter", "show", "dev", dev, way) or "[]") if "options" in f and f.get("chain", 0) == 0]


def until(what, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return bool(what())
