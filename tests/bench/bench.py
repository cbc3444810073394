#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chaosd beside its peers, on this machine, in this run: saturation on one core as ratios, lateness of planned sends, memory, and how long
it takes to judge a large history. A table for people, JSON for programs; nothing is asserted here: figures of a busy machine say little.
The server has one core, whatever is measured has another. Repetitions are interleaved, so that a slow spell of the machine hits all alike."""
import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("B", ROOT / "build")).resolve()
CHAOSD = os.environ.get("CHAOSD", str(BUILD / "chaosd"))
SAMPLE = struct.Struct("<qqqHBBBBHHBBIIIIII4x")
UNSENT = (2, 3)  # outcomes: cap, stall
PARTS = ("saturation", "lateness", "memory", "soak", "judging", "netem")
NETEM = ("net/test_netem_shape", "net/test_netem_share", "net/test_netem_deadline", "net/test_netem_others", "net/test_netem_kill9", "bench/netem")
FIGURE = re.compile(r"^# figure: (.+?) = (\S+) ?(.*?)(?:, must be (.*))?$", re.M)

NGINX = """
daemon off; worker_processes 1; pid {dir}/pid; worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {dir}/t; proxy_temp_path {dir}/t; fastcgi_temp_path {dir}/t; uwsgi_temp_path {dir}/t; scgi_temp_path {dir}/t;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "hello\\n"; }} }}
}}
"""

LOAD = """
name: bench
load:
  - name: gets
    http: {{{how}, targets: {{url: "{url}"}}, steps: [{{get: /}}], deadline: {deadline}}}
duration: {duration}s
settle: 0s
"""

SOAK = """
name: soak
cluster:
  local:
    nodes: 3
    workloads:
      - name: web
        replicas: 3
        labels: {{app: web}}
        command: [nginx, -p, "${{pod.dir}}", -c, "${{pod.dir}}/nginx.conf", -e, stderr]
        files:
          nginx.conf: |
            daemon off;
            pid nginx.pid;
            worker_processes 1;
            events {{}}
            http {{
              access_log off;
              client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
              server {{ listen ${{pod.ip}}:8080; location / {{ return 200 "hello\\n"; }} }}
            }}
        ready: {{http: {{url: "http://${{pod.ip}}:8080/"}}}}
        restart: {{policy: always, delay: 100ms}}
load:
  - name: gets
    http:
      rate: {rate}/s
      concurrency: {cap}
      targets: {{selector: {{labelSelectors: {{app: web}}}}, base: "http://${{pod.ip}}:8080"}}
      steps: [{{get: /}}]
      deadline: 100ms
{faults}
duration: {duration}s
settle: 1s
"""
FAULTS = """faults:
  - name: kill
    pod-kill: {selector: {labelSelectors: {app: web}}}
    every: 2s
  - name: pause
    pod-pause: {selector: {labelSelectors: {app: web}}}
    every: 3s
    for: 300ms
"""


class Missing(Exception):
    pass


def allowed_cores():
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


CLIENT_CORE, SERVER_CORE = allowed_cores()


def on_core(core, command):
    return ["taskset", "-c", str(core), *map(str, command)]


class Nginx:
    """One worker on its own core, on a free port of loopback."""

    def __init__(self, scratch):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        folder = scratch / "nginx"
        folder.mkdir()
        files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 24000)
        conf = folder / "nginx.conf"
        conf.write_text(NGINX.format(dir=folder, port=port, files=files))
        self.proc = subprocess.Popen(on_core(SERVER_CORE, ["nginx", "-e", folder / "errors", "-c", conf]))
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.proc.poll() is not None:
                    break
                time.sleep(0.05)
        raise Missing("nginx did not start: " + (folder / "errors").read_text()[-300:])

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(20)


def status_kb(pid, field):
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.M)
    return int(found.group(1)) if found else None


def text_of(command, seconds, env=None):
    p = subprocess.run(on_core(CLIENT_CORE, command), capture_output=True, text=True, timeout=seconds * 4 + 60, env=env)
    if p.returncode != 0:
        raise Missing(f"{command[0]} ended with {p.returncode}: {(p.stdout + p.stderr)[-300:]}")
    return p.stdout


def figure_in(text, pattern, tool):
    found = re.search(pattern, text)
    if not found:
        raise Missing(f"{tool} printed no rate: {text[-300:]}")
    return float(found.group(1))


class Run:
    """One `chaosd run` on the clients' core. peak_kb is that of the run itself, until the loads ended; judging comes after it."""
    number = 0

    def __init__(self, scratch, scenario, *args):
        Run.number += 1
        self.out = scratch / f"run-{Run.number}"
        path = scratch / f"run-{Run.number}.yaml"
        path.write_text(scenario)
        log = scratch / f"run-{Run.number}.log"
        env = dict(os.environ, CHAOSD_STATE_DIR=str(scratch / "state"))
        command = [CHAOSD, "run", path, "--yes", "--quiet", "--out", self.out, *args]
        with open(log, "w") as f:
            proc = subprocess.Popen(on_core(CLIENT_CORE, command), stdout=f, stderr=f, env=env, stdin=subprocess.DEVNULL)
            self.peak_kb = self.watch(proc)
            _, status, usage = os.wait4(proc.pid, 0)
            proc.returncode = os.waitstatus_to_exitcode(status)
        self.whole_peak_kb = usage.ru_maxrss
        if proc.returncode not in (0, 1, 2):
            raise Missing(f"chaosd ended with {proc.returncode}: {log.read_text()[-500:]}")
        self.summary = json.loads((self.out / "summary.json").read_text())
        self.load = self.summary["loads"][0]
        self.recorded = self.load["planned"] + self.load["unsent_stalled"]

    def ended(self):
        try:
            with open(self.out / "history.jsonl", "rb") as f:
                f.seek(-min(65536, os.fstat(f.fileno()).st_size), os.SEEK_END)
                return b'"run/loads-end"' in f.read()
        except OSError:
            return False

    def watch(self, proc):
        peak = 0
        while os.waitid(os.P_PID, proc.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            now = status_kb(proc.pid, "VmHWM")
            if self.ended():
                break  # what was read just now may be of the judging already
            peak = now or peak
            time.sleep(0.05)
        return peak

    def seconds(self):
        return (self.summary["loads_end_ms"] - self.summary["schedule_ms"]) / 1000

    def samples(self):
        data = (self.out / "samples.bin").read_bytes()[64:]
        return SAMPLE.iter_unpack(data[:len(data) // 64 * 64])

    def drop(self):
        shutil.rmtree(self.out)


# --- saturation ---


def run_chaosd(b, n, seconds):
    r = Run(b.scratch, LOAD.format(how=f"saturate: true, concurrency: {n}", url=b.nginx.url, duration=seconds, deadline="10s"))
    if r.load["bad"] or r.load["unsent"]:
        b.note(f"chaosd at {n} connections: {r.load['bad']} bad and {r.load['unsent']} unsent requests of {r.load['planned']}")
    rate = r.load["good"] / r.seconds()
    r.drop()
    return rate


def run_ceiling(b, n, seconds):
    r = json.loads(text_of([BUILD / "tests/bench/ceiling", b.nginx.url, n, seconds], seconds))
    return r["requests"] / r["seconds"]


def run_wrk(b, n, seconds):
    return figure_in(text_of(["wrk", "-t1", f"-c{n}", f"-d{seconds}s", b.nginx.url], seconds), r"Requests/sec:\s*([\d.]+)", "wrk")


def run_h2load(b, n, seconds):
    return figure_in(text_of(["h2load", "--h1", "-t1", f"-c{n}", "-D", str(seconds), b.nginx.url], seconds), r"([\d.]+) req/s", "h2load")


def run_hey(b, n, seconds):
    env = dict(os.environ, GOMAXPROCS="1")
    return figure_in(text_of(["hey", "-z", f"{seconds}s", "-c", str(n), b.nginx.url], seconds, env), r"Requests/sec:\s*([\d.]+)", "hey")


TOOLS = {"chaosd": run_chaosd, "bare libcurl": run_ceiling, "wrk -t1": run_wrk, "h2load --h1 -t1": run_h2load, "hey, one core": run_hey}


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def saturation(b, o):
    result = {}
    for n in o.connections:
        rates = {name: [] for name in TOOLS}
        for _ in range(o.repeat):
            for name, fn in TOOLS.items():
                rates[name].append(fn(b, n, o.seconds))
        # Neighbours in time are compared with each other, then the middle of those ratios is taken.
        ratios = {name: spread([c / r for c, r in zip(rates["chaosd"], rates[name])]) for name in TOOLS if name != "chaosd"}
        result[str(n)] = {"requests_per_s": {name: spread(v) for name, v in rates.items()}, "chaosd_over": ratios}
        b.table(f"Saturation: {n} connections, {o.repeat} x {o.seconds} s each, interleaved; requests/s on one core",
                ["", "median", "least", "most", "chaosd is", "least", "most"],
                [[name, *(f"{x:,.0f}" for x in spread(v).values()),
                  *(f"{x:.2f} x" for x in (ratios[name].values() if name in ratios else ()))] for name, v in rates.items()])
    return result


# --- lateness of planned sends ---


def quantile(values, q):
    return values[min(len(values) - 1, max(0, -(-int(len(values) * q * 1000) // 1000) - 1))]


def lateness(b, o):
    result, rows = {}, []
    for rate in o.rates:
        r = Run(b.scratch, LOAD.format(how=f"rate: {rate}/s", url=b.nginx.url, duration=o.late_seconds, deadline="500ms"))
        late, unsent = [], 0
        for s in r.samples():
            if s[5] in UNSENT:
                unsent += 1
            else:
                late.append((s[1] - s[0]) / 1e6)
        late.sort()
        one = {"requests": len(late), "unsent": unsent, "p50_ms": quantile(late, 0.5), "p99_ms": quantile(late, 0.99),
               "p999_ms": quantile(late, 0.999), "max_ms": late[-1]}
        result[str(rate)] = one
        rows.append([f"{rate:,}/s", f"{len(late):,}", f"{unsent:,}", *(f"{one[k]:.3f}" for k in ("p50_ms", "p99_ms", "p999_ms", "max_ms"))])
        r.drop()
    b.table(f"Lateness of planned sends (sent - planned, ms), {o.late_seconds} s each", ["rate", "sent", "unsent", "p50", "p99", "p99.9", "max"], rows)
    return result


# --- memory ---


def saturating_peak(b, n, seconds):
    r = Run(b.scratch, LOAD.format(how=f"saturate: true, concurrency: {n}", url=b.nginx.url, duration=seconds, deadline="30s"))
    peak, planned = r.peak_kb, r.load["planned"]
    r.drop()
    return peak, planned


def memory(b, o):
    many = o.kept
    few_peak, _ = saturating_peak(b, 10, o.seconds)
    many_peak, _ = saturating_peak(b, many, max(o.seconds, 5))
    kb = (many_peak - few_peak) / (many - 10)
    b.table("Memory of a run (peak resident, until its loads ended)", ["", "MB"],
            [["10 connections", f"{few_peak / 1024:.1f}"], [f"{many:,} connections", f"{many_peak / 1024:.1f}"],
             ["a connection with a request under way", f"{kb:.1f} KB"]])
    return {"10_connections_kb": few_peak, f"{many}_connections_kb": many_peak, "connection_kb": kb}


def most_under_way(r):
    """Requests under way at once at the most: each takes memory, and how many there are is the targets' and the machine's doing."""
    edges = sorted(e for s in r.samples() if s[5] not in UNSENT for e in ((s[1], 1), (s[2], -1)))
    now = most = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


# Each request under way holds 16 KB: without a cap, the peak would tell of the machine's worst hiccup and not of the run's length.
SOAK_CAP = 50


def soak(b, o):
    result, rows = {}, []
    for name, faults in (("fault-free", ""), ("kills and pauses", FAULTS)):
        if faults and os.geteuid() != 0:
            b.note("the soak with faults needs root: left out")
            continue
        one = {}
        for seconds in (o.soak, o.soak * o.times):
            r = Run(b.scratch, SOAK.format(rate=o.soak_rate, cap=SOAK_CAP, faults=faults, duration=seconds) if faults else
                    LOAD.format(how=f"rate: {o.soak_rate}/s, concurrency: {SOAK_CAP}", url=b.nginx.url, duration=seconds, deadline="100ms"))
            acts = r.summary.get("faults_total", len(r.summary["faults"]))
            most = most_under_way(r)
            one[str(seconds)] = {"most_under_way": most, "peak_kb": r.peak_kb, "with_judging_kb": r.whole_peak_kb, "samples": r.recorded, "acts": acts}
            rows.append([name, f"{seconds} s", f"{r.recorded:,}", f"{acts:,}", most, f"{r.peak_kb / 1024:.2f}", f"{r.whole_peak_kb / 1024:.2f}"])
            r.drop()
        short, long = (one[str(s)]["peak_kb"] for s in (o.soak, o.soak * o.times))
        one["ratio"] = long / short
        rows.append([name, "ratio", "", "", "", f"{long / short:.3f}", ""])
        result[name] = one
    b.table(f"A run {o.times} times as long, {o.soak_rate:,} requests/s (peak resident, MB)", ["", "", "samples", "acts", "most under way", "the run", "with judging"], rows)
    return result


# --- judging ---


def judging(b, o):
    made, result, rows = b.scratch / "made", {}, []
    for samples in (o.samples // 10, o.samples):
        subprocess.run([BUILD / "tests/bench/history", made, str(samples), str(o.acts)], check=True)
        for attempt in range(2):  # the second with the files in the page cache, as right after a run
            began = time.monotonic()
            proc = subprocess.Popen([CHAOSD, "report", str(made)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(proc.pid, 0)
            took = time.monotonic() - began
            proc.returncode = os.waitstatus_to_exitcode(status)
            if proc.returncode not in (0, 1, 2):
                raise Missing(f"chaosd report ended with {proc.returncode}")
        sizes = {f.name: f.stat().st_size for f in made.iterdir() if f.name not in ("samples.bin", "history.jsonl")}
        result[str(samples)] = {"seconds": took, "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_kb": usage.ru_maxrss, "bytes": sizes}
        rows.append([f"{samples:,}", f"{took:.2f}", f"{usage.ru_utime + usage.ru_stime:.2f}", f"{usage.ru_maxrss / 1024:.0f}",
                     f"{sizes['report.html'] / 1e6:.2f}", f"{sizes['summary.json'] / 1e6:.2f}"])
        shutil.rmtree(made)
    less, more = (result[str(s)]["peak_kb"] for s in (o.samples // 10, o.samples))
    result["kb_per_million_samples"] = (more - less) / (o.samples * 0.9) * 1e6
    b.table(f"Judging and rendering everything, {o.acts} acts", ["samples", "s", "cpu s", "peak MB", "report.html MB", "summary.json MB"], rows)
    b.note(f"a million samples more cost the judging {result['kb_per_million_samples'] / 1024:.0f} MB, of which 61 MB are the file itself, mapped")
    return result


# --- network faults ---


def meets(value, must):
    found = re.fullmatch(r"(?:(<=|>=) )?(?:within )?(-?[\d.]+)?(?: ?± ?([\d.]+))?", must)
    sign, middle, spread = found.group(1), float(found.group(2) or 0), float(found.group(3) or 0)
    return value <= middle if sign == "<=" else value >= middle if sign == ">=" else abs(value - middle) <= spread


def figures_of(b, o, where):
    """Each program tells its figures in lines of its own; one boot for all where they run in the lab."""
    programs = [str(BUILD / "tests" / p) for p in o.netem_programs]
    each = ["bash", "-c", 'rc=0; for p; do "$p" || rc=1; done; exit $rc', "_", *programs]
    lab = ["bash", str(ROOT / "tests/lab/vm.sh")] if where == "lab" else []
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", LAB_SECONDS="3000")
    env.update({} if o.netem_brief else {"CHAOSD_FULL": "1"})
    p = subprocess.run(lab + each, capture_output=True, text=True, env=env, cwd=ROOT)
    if lab and p.returncode == 125:
        b.note(p.stderr.strip().splitlines()[-1])
    elif p.returncode != 0:
        b.note(f"{where}: a test failed: " + "; ".join(re.findall(r"^not ok .*", p.stdout, re.M) or [p.stderr[-300:]]))
    return {name: {"value": float(value), "unit": unit, "must": must, "met": meets(float(value), must) if must else None}
            for name, value, unit, must in FIGURE.findall(p.stdout)}


def netem(b, o):
    if os.geteuid() != 0:
        b.note("network faults need root: left out")
        return {}
    here = subprocess.run(["bash", ROOT / "tests/lab/has_netem.sh"]).returncode == 0
    result = {where: figures_of(b, o, where) for where in o.netem_in if where == "host" or not here}
    names = list(dict.fromkeys(name for one in result.values() for name in one))
    cell = lambda one: f"{one['value']:g}{'' if one['met'] is not False else ' MISSED'}" if one else ""
    rows = []
    for name in names:
        some = next(one[name] for one in result.values() if name in one)
        rows.append([name, some["unit"], some["must"], *(cell(one.get(name)) for one in result.values())])
    b.table("Network faults" + (", in brief" if o.netem_brief else ""), ["", "unit", "must be", *result], rows)
    return result


class Bench:
    def __init__(self, scratch):
        self.scratch = scratch
        self.notes = []
        self.nginx = Nginx(scratch)

    def note(self, text):
        self.notes.append(text)
        print(f"  ({text})\n", flush=True)

    def table(self, title, head, rows):
        widths = [max(len(str(r[i])) if i < len(r) else 0 for r in [head, *rows]) for i in range(len(head))]
        print(title)
        for r in [head, *rows]:
            print("  " + "  ".join(str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip())
        print(flush=True)


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"cpu": cpu.group(1) if cpu else None, "cores": len(os.sched_getaffinity(0)), "kernel": os.uname().release, "load_before": os.getloadavg()[0]}


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ints = lambda text: [int(x) for x in text.split(",")]
    p.add_argument("--only", default=",".join(PARTS), help="of: " + ", ".join(PARTS))
    p.add_argument("--json", type=pathlib.Path, help="figures for programs")
    p.add_argument("--repeat", type=int, default=5, help="rounds of the saturation")
    p.add_argument("--seconds", type=int, default=3, help="of each run of a tool")
    p.add_argument("--connections", type=ints, default=[10, 50])
    p.add_argument("--rates", type=ints, default=[1000, 5000, 10000])
    p.add_argument("--late-seconds", type=int, default=10)
    p.add_argument("--kept", type=int, default=10000, help="connections of the memory figure")
    p.add_argument("--soak", type=int, default=20, help="seconds of the shorter run of each pair")
    p.add_argument("--times", type=int, default=10, help="as long is the longer one")
    p.add_argument("--soak-rate", type=int, default=2000)
    p.add_argument("--samples", type=int, default=10_000_000)
    p.add_argument("--acts", type=int, default=60)
    p.add_argument("--netem-brief", action="store_true", help="network faults as `make check` measures them")
    p.add_argument("--netem-in", type=lambda text: text.split(","), default=["host", "lab"], help="of: host, lab (only where this kernel has no netem)")
    p.add_argument("--netem-programs", type=lambda text: text.split(","), default=NETEM, help="of: " + ", ".join(NETEM))
    return p.parse_args()


def main():
    o = options()
    parts = o.only.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        sys.exit(f"bench: unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    result = {"machine": machine()}
    m = result["machine"]
    print(f"{m['cpu']}, {m['cores']} cores, Linux {m['kernel']}, load {m['load_before']:.1f}; clients on core {CLIENT_CORE}, the server on {SERVER_CORE}\n")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="chaosd-bench-"))
    try:
        b = Bench(scratch)
        try:
            for part in PARTS:
                if part in parts:
                    result[part] = globals()[part](b, o)
        finally:
            b.nginx.stop()
    except Missing as why:
        sys.exit(f"bench: {why}")
    finally:
        subprocess.run([CHAOSD, "revert", "--all", "--force"], env=dict(os.environ, CHAOSD_STATE_DIR=str(scratch / "state")), capture_output=True)
        shutil.rmtree(scratch, ignore_errors=True)
    result["notes"] = b.notes
    if o.json:
        o.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
