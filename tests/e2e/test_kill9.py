# SPDX-License-Identifier: Apache-2.0
"""kill -9 of chaosd at random moments, then `revert --all`: the machine is as it was, each time. And the reaper without any revert."""
import glob
import json
import os
import pathlib
import random
import subprocess
import time

import tap
from tap import CHAOSD, Scratch, chaosd, expect_exit, web

MARK = "86398.25"  # seconds nobody else sleeps
DRILL = """
name: restless
cluster:
  local:
    nodes: 2
    workloads:
      - name: idle
        replicas: 3
        labels: {app: idle}
        command: [sleep, "%s"]
        restart: {policy: always, delay: 100ms}
load:
  - name: knocks
    http: {rate: 100/s, targets: {selector: {labelSelectors: {app: idle}}, base: "http://${pod.ip}:9"}, steps: [{get: /}]}
faults:
  - name: kill
    pod-kill: {selector: {labelSelectors: {app: idle}}}
    every: 100ms..300ms
  - name: pause
    pod-pause: {selector: {labelSelectors: {app: idle}}, mode: random-max-percent, value: "70%%"}
    every: 150ms..250ms
    for: 200ms
duration: 60s
settle: 1s
""" % MARK


def listing(path):
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


def processes():
    found = []
    for p in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = open(p, "rb").read().split(b"\0")
            exe = os.path.realpath(os.path.dirname(p) + "/exe")
        except OSError:
            continue
        if MARK.encode() in words or exe == os.path.realpath(CHAOSD):
            found.append(b" ".join(words).decode(errors="replace"))
    return sorted(found)


def machine(state):
    cgroups = sorted(p for p in glob.glob("/sys/fs/cgroup/**/*chaosd*", recursive=True) if os.path.isdir(p))
    mounts = sorted(line for line in open("/proc/self/mountinfo") if "chaosd" in line)
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.count("\n")
    return {
        "netns": listing("/run/netns"), "cgroups": cgroups, "mounts": mounts, "links": links, "processes": processes(),
        "state": listing(state), "run": listing("/run/chaosd"),
    }


def test_kill_minus_9_at_50_random_moments():
    rng = random.Random(int(os.environ.get("SEED", "20")))
    with Scratch() as s:
        path = s.write("restless.yaml", DRILL)
        chaosd("revert", "--all", env=s.env)
        before = machine(s.dir / "state")
        dirty = 0
        for i in range(50):
            p = subprocess.Popen([CHAOSD, "run", path, "--yes", "--quiet", "--out", s.dir / f"run{i}"], env=s.env, cwd=s.dir, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # Half of them while the cluster comes up, half in the midst of faults.
            time.sleep(rng.uniform(0, 0.25) if i % 2 else rng.uniform(0.3, 1.8))
            p.kill()
            p.wait()
            dirty += machine(s.dir / "state") != before
            expect_exit(chaosd("revert", "--all", env=s.env), 0)
            after = machine(s.dir / "state")
            assert after == before, f"run {i}: {after} instead of {before}"
        assert dirty > 25, f"only {dirty} of 50 kills left anything to revert: the test saw too little"


def frozen(cgroup):
    c = pathlib.Path(cgroup)
    if (c / "cgroup.events").exists():
        return "frozen 1" in (c / "cgroup.events").read_text()
    return (c / "freezer.state").read_text().strip() == "FROZEN"


def test_a_paused_pod_thaws_at_its_deadline_without_revert():
    with Scratch() as s:
        path = s.write("a.yaml", web(fault="pod-pause: {selector: {labelSelectors: {app: web}}}\n    at: [300ms]\n    for: 2500ms", duration="60s"))
        p = subprocess.Popen([CHAOSD, "run", path, "--yes", "--quiet", "--out", s.dir / "run"], env=s.env, cwd=s.dir, stdin=subprocess.DEVNULL)
        history = s.dir / "run" / "history.jsonl"
        end = time.monotonic() + 60
        while time.monotonic() < end and not (history.exists() and '"fault/observed"' in history.read_text()):
            time.sleep(0.01)
        seen = time.monotonic()
        p.kill()
        p.wait()
        records = [json.loads(x) for x in next((s.dir / "state").glob("*/undo.jsonl")).read_text().splitlines()]
        thaw = [r for r in records if "thaw" in json.dumps(r)][0]
        cgroup = (thaw.get("undo") or thaw)["cgroup"]
        assert frozen(cgroup)
        time.sleep(max(0, seen + 1.9 - time.monotonic()))
        assert frozen(cgroup), "thawed too early"
        while frozen(cgroup):
            assert time.monotonic() - seen < 4, "not thawed at its deadline"
            time.sleep(0.01)
        took = time.monotonic() - seen
        assert 2.0 < took < 3.2, took
        time.sleep(0.2)
        assert not [c for c in processes() if "__reap" in c], "the reaper is still there"


def test_revert_refuses_a_run_that_is_alive():
    with Scratch() as s:
        path = s.write("a.yaml", web(duration="60s"))
        p = subprocess.Popen([CHAOSD, "run", path, "--yes", "--quiet", "--out", s.dir / "run"], env=s.env, cwd=s.dir, stdin=subprocess.DEVNULL)
        try:
            history = s.dir / "run" / "history.jsonl"
            end = time.monotonic() + 60
            while time.monotonic() < end and not (history.exists() and "run/schedule" in history.read_text()):
                time.sleep(0.02)
            r = expect_exit(chaosd("revert", "--all", env=s.env), 1)
            assert "alive" in r.stderr, r.stderr
            assert p.poll() is None
        finally:
            p.terminate()
            p.wait(timeout=60)


tap.main()
