# SPDX-License-Identifier: Apache-2.0
"""What following a Kubernetes costs, beside kubectl in the same run. As root; CHAOSD_KUBE=DIR takes a lab that is there."""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
for part in ("kube", "e2e", "fake_api"):
    sys.path.insert(0, str(ROOT / "tests" / part))
from fake_api import FakeApi  # noqa: E402
from lab import Lab  # noqa: E402

BUILD = pathlib.Path(os.environ.get("B", ROOT / "build")).resolve()
PROBE = BUILD / "tests" / "kube" / "kubeprobe"
ENV = {k: v for k, v in os.environ.items() if "PROXY" not in k.upper() and not k.startswith("KUBE")}
IDLE_S = 60


def row(what, value, unit, must=""):
    print(f"  {what:<66} {value:>10.3f} {unit:<6} {must}", flush=True)


def cpu_of(command, enough):
    """CPU seconds of a command that is ended once it has printed as many lines."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENV) as p:
        for _ in range(enough):
            if not p.stdout.readline():
                raise SystemExit(f"{command}: it ended early")
        p.kill()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def kubectl():
    """The lab's own, of the same release as its server."""
    return subprocess.run(["bash", ROOT / "tests" / "lab" / "kube-build.sh"], capture_output=True, text=True, check=True).stdout.strip() + "/kubectl"


def hundred_thousand(count=100000):
    with tempfile.TemporaryDirectory() as d, FakeApi(bulk=count) as api:
        config = pathlib.Path(d) / "config"
        config.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                                      "clusters": [{"name": "c", "cluster": {"server": api.url}}], "users": [{"name": "u", "user": {"token": "t"}}]}))
        p = subprocess.run([PROBE, "--kubeconfig", config, "watch", "pods", "quiet=1", "memory=1", "until=synced"], capture_output=True, text=True, env=ENV, check=True)
        m = next(json.loads(line) for line in p.stdout.splitlines() if '"MEMORY"' in line)
        ours = m["user_s"] + m["system_s"]
        row(f"{count} pods listed and held: private memory", m["private_kb"] / 1024, "MiB", "must be < 50 MB")
        row("  CPU", ours, "s")
        theirs = cpu_of([kubectl(), "--kubeconfig", str(config), "get", "pods", "--all-namespaces", "--watch", "--no-headers"], count)
        row("  CPU of kubectl get pods --watch, as many lines printed", theirs, "s")
        row("  ours / kubectl's", ours / theirs, "", "must be < 1")


def inside(lab, *command):
    return ["bash", str(ROOT / "tests" / "lab" / "kube.sh"), "exec", str(lab.dir), *map(str, command)]


def idle(lab, count=10000):
    lab.kubectl("create", "namespace", "bulk")
    try:
        began = time.monotonic()
        lab.run("python3", ROOT / "tests" / "bench" / "fill.py", lab.kubeconfig, "bulk", "bulk-", count, timeout=900)
        print(f"  ({count} pods made in {time.monotonic() - began:.0f} s)", flush=True)
        p = subprocess.run(inside(lab, PROBE, "--kubeconfig", lab.kubeconfig, "watch", "pods", "ns=bulk", "quiet=1", "memory=1", f"for={IDLE_S + 15}"),
                           capture_output=True, text=True, check=True)
        first, last = [json.loads(line) for line in p.stdout.splitlines() if '"MEMORY"' in line][:2]
        used = last["user_s"] + last["system_s"] - first["user_s"] - first["system_s"]
        row(f"{first['objects']} pods of a real API server: list, CPU", first["user_s"] + first["system_s"], "s")
        row("  idle watch, of a core", 100 * used / (last["wall_s"] - first["wall_s"]), "%", f"must be < 0.5, over {last['wall_s'] - first['wall_s']:.0f} s")
        row("  private memory", last["private_kb"] / 1024, "MiB")
        # Ended from within: what it has used by then is told by the shell that waited for it.
        said = subprocess.run(inside(lab, "bash", "-c", "timeout 10 kubectl get pods --namespace bulk --watch --no-headers >/dev/null; times"),
                              capture_output=True, text=True, check=True).stdout.split()
        theirs = sum(float(x.split("m")[0]) * 60 + float(x.split("m")[1].rstrip("s")) for x in said[2:4])
        row("  list and 10 s of watching, CPU of kubectl get pods --watch", theirs, "s")
    finally:
        lab.kubectl("delete", "namespace", "bulk", "--wait=false")


def deletes(lab, count=200):
    lab.kubectl("create", "namespace", "quick")
    try:
        lab.run("python3", ROOT / "tests" / "bench" / "fill.py", lab.kubeconfig, "quick", "p-", count, timeout=300)
        time.sleep(2)
        a = json.loads(lab.run(PROBE, "--kubeconfig", lab.kubeconfig, "latency", "quick", "p-", count).stdout.splitlines()[-1])
        row(f"decision to accepted delete, real API server, median of {count}", a["median_ms"], "ms", "must be < 10")
        row("  the worst", a["worst_ms"], "ms")
    finally:
        lab.kubectl("delete", "namespace", "quick", "--wait=false")


print("Following a Kubernetes")
hundred_thousand()
with Lab() as cluster:
    deletes(cluster)
    idle(cluster)
