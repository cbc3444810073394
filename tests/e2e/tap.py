# SPDX-License-Identifier: Apache-2.0
"""Tests as plain functions named test_*, reported as TAP. Shared helpers around the chaosd binary."""
import json
import mmap
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHAOSD = os.environ.get("CHAOSD", str(ROOT / "build" / "chaosd"))
BUILD = pathlib.Path(os.environ.get("B", ROOT / "build"))
SLOW = 4 if os.environ.get("SAN") else 1  # sanitizers cost; limits on our own waiting stretch with them, limits on results never


class Skip(Exception):
    pass


def chaosd(*args, timeout=200, **kw):
    return subprocess.run([CHAOSD, *map(str, args)], capture_output=True, text=True, timeout=timeout * SLOW, errors="replace", stdin=subprocess.DEVNULL, **kw)


def expect_exit(p, code):
    assert p.returncode == code, f"exit {p.returncode}, wanted {code}\n--- stdout\n{p.stdout[-3000:]}\n--- stderr\n{p.stderr[-3000:]}"
    return p


class Scratch:
    """A folder for one test, with its own state folder for chaosd's journal."""

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="chaosd-test-"))
        self.env = dict(os.environ, CHAOSD_STATE_DIR=str(self.dir / "state"))
        return self

    def __exit__(self, *a):
        if not os.environ.get("NO_SWEEP"):
            chaosd("revert", "--all", "--force", env=self.env)
        shutil.rmtree(self.dir, ignore_errors=True)

    def write(self, name, text):
        path = self.dir / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def run(self, scenario, *args, **kw):
        return chaosd("run", scenario, "--yes", *args, env=self.env, cwd=self.dir, **kw)


def summary(folder):
    return json.loads((pathlib.Path(folder) / "summary.json").read_text())


def events(folder):
    lines = (pathlib.Path(folder) / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


class Watch:
    """A process of its own that sleeps and looks how much too long: the longest so far, so that a machine that stood still is known from a defect."""

    def __init__(self):
        self.seen = mmap.mmap(-1, 8)
        self.pid = os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            parent = os.getppid()
            while os.getppid() == parent:
                began = time.monotonic_ns()
                time.sleep(0.005)
                over = time.monotonic_ns() - began - 5_000_000
                if over > struct.unpack("q", self.seen[:])[0]:
                    self.seen[:] = struct.pack("q", over)
            os._exit(0)

    def took(self):
        """The longest since the last call, in ms."""
        over = struct.unpack("q", self.seen[:])[0]
        self.seen[:] = bytes(8)
        return over / 1e6

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


STILL_MS = 50 * SLOW  # a machine that did not run a waiting process for this long, or whose host kept so much from it, proves nothing by a failure
STOLEN = 0.1
HOPELESS_MS, HOPELESS = 250 * SLOW, 0.25  # and one that does so again and again nothing at all
ATTEMPTS = 3
SECOND_CHANCES = 3  # in all tests together: of thousands on real servers, one may fail for a reason that neither chaosd nor the machine's clock shows


def processor_time():
    """s of all processors since boot: what was asked for, and what of it the host kept for itself (proc(5): steal)."""
    user, nice, system, _, _, irq, soft, stolen = (int(n) / os.sysconf("SC_CLK_TCK") for n in pathlib.Path("/proc/stat").read_text().split()[1:9])
    return user + nice + system + irq + soft + stolen, stolen


class Patience:
    """Waits for a machine that runs again, 30 s each time at most, and in all tests together (CHAOSD_PATIENCE: a file that counts) ten minutes."""

    def __init__(self, watch, still_ms):
        self.watch, self.still_ms, self.seen = watch, still_ms, []
        self.file = pathlib.Path(os.environ.get("CHAOSD_PATIENCE", os.devnull))
        self.second = pathlib.Path(os.environ.get("CHAOSD_SECOND", os.devnull))  # a line for each that was given

    def spent(self):
        return float(self.file.read_text() or 0)

    def begin(self):
        self.watch.took()
        self.before = processor_time()

    def look(self):
        """Since begin: ms that it stood still, and the share of processor time that was kept from it."""
        time.sleep(0.1)  # the watch, too, has to run before it tells
        asked, stolen = (now - was for now, was in zip(processor_time(), self.before))
        return self.watch.took(), stolen / asked if stolen > 0.2 else 0.0

    def again(self, left):
        """After a failure: is it worth another attempt?"""
        self.seen.append(self.look())
        still, stolen = self.seen[-1]
        if not left or (still < self.still_ms and stolen < STOLEN) or (self.hopeless() and self.spent() > 600):
            return False
        print(f"# {self.why()}: again", flush=True)
        began = time.monotonic()
        while time.monotonic() - began < 30 and self.spent() < 600:
            self.begin()
            time.sleep(2)
            still, stolen = self.look()
            if still < self.still_ms and stolen < STOLEN:
                break
        self.file.write_text(str(self.spent() + time.monotonic() - began))
        return True

    def second_chance(self, name):
        """A failure on a machine that ran: few of them are tried once more, and run.sh tells which. One that fails twice is broken, and so are many."""
        given = self.second.read_text().splitlines()
        if name in given or len(given) >= SECOND_CHANCES or str(self.second) == os.devnull:
            return False
        with self.second.open("a") as f:
            f.write(name + "\n")
        return True

    def hopeless(self):
        """So it was at each attempt, and badly: they say nothing of what was tested."""
        return all(still >= HOPELESS_MS or stolen >= HOPELESS for still, stolen in self.seen)

    def why(self):
        return "the machine stood still for " + ", ".join(f"{still:.0f} ms (without {100 * stolen:.0f} % of its time)" for still, stolen in self.seen)


def attempt(name, fn, watch):
    """A test's line of TAP. One that fails while the machine stood still is run again, and says so; one that is broken fails every time."""
    patience = Patience(watch, STILL_MS)
    for left in reversed(range(ATTEMPTS)):
        patience.begin()
        try:
            fn()
            return f"ok {name}"
        except Skip as why:
            return f"ok {name} # SKIP {why}"
        except Exception:
            said = "\n".join("# " + line for line in traceback.format_exc().splitlines())
            if not patience.again(left) and not (left and not patience.hopeless() and patience.second_chance(f"{pathlib.Path(sys.argv[0]).stem} {name}")):
                return f"{said}\nok {name} # SKIP {patience.why()}" if patience.hopeless() else f"not ok {name}\n{said}"
            print(f"{said}\n# {name}", flush=True)


def main():
    tests = [(k, v) for k, v in sys.modules["__main__"].__dict__.items() if k.startswith("test_") and callable(v)]
    only = sys.argv[1:]
    failed = 0
    print(f"1..{len(tests)}")
    watch = Watch()
    for name, fn in tests:
        if only and name not in only:
            continue
        line = attempt(name, fn, watch)
        failed += line.startswith("not ok ")
        print(line, flush=True)
    watch.end()
    sys.exit(1 if failed else 0)


WEB = """
name: web
cluster:
  local:
    nodes: 2
    workloads:
      - name: web
        replicas: {replicas}
        labels: {{app: web}}
        command: [python3, -m, http.server, --bind, "${{pod.ip}}", "8080"]
        ready: {{http: {{url: "http://${{pod.ip}}:8080/"}}}}
        restart: {{policy: always, delay: 200ms}}
load:
  - name: gets
    http:
      rate: 50/s
      targets: {{selector: {{labelSelectors: {{app: web}}}}, base: "http://${{pod.ip}}:8080"}}
      steps: [{{get: /}}]
      deadline: 300ms
    window: {{goods: 5, over: 300ms}}
faults:
  - name: hit
    {fault}
duration: {duration}
settle: 1s
expect: [{expect}]
"""


def web(fault="pod-kill: {selector: {labelSelectors: {app: web}}}\n    at: [1s]", duration="4s", expect='"availability(gets) >= 10%"', replicas=1):
    return WEB.format(fault=fault, duration=duration, expect=expect, replicas=replicas)
