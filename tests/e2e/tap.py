# SPDX-License-Identifier: Apache-2.0
"""Tests as plain functions named test_*, reported as TAP. Shared helpers around the chaosd binary."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
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


def main():
    tests = [(k, v) for k, v in sys.modules["__main__"].__dict__.items() if k.startswith("test_") and callable(v)]
    only = sys.argv[1:]
    failed = 0
    print(f"1..{len(tests)}")
    for name, fn in tests:
        if only and name not in only:
            continue
        try:
            fn()
            print(f"ok {name}", flush=True)
        except Skip as why:
            print(f"ok {name} # SKIP {why}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {name}", flush=True)
            print("\n".join("# " + line for line in traceback.format_exc().splitlines()), flush=True)
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
