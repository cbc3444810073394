# SPDX-License-Identifier: Apache-2.0
"""The truth harness in brief: a server that misbehaves for exactly N ms and brackets its own edges, against what chaosd says of it.
All cells of a kind run at the same time; their outages are stratified over the sampling period. What each cell can see is said
beforehand: a hang shows as bad requests when N > deadline + T, so the deadlines below are chosen for that."""
import json
import struct
import subprocess
import time

import tap
from tap import BUILD, Scratch, expect_exit, summary

PERIOD_MS = 50  # of one lane
PHASES = 20
CELLS = {  # kind -> N ms -> deadline ms
    "refuse": {137: 250, 1013: 250},
    "503": {137: 250, 1013: 250},
    "hang": {137: 60, 1013: 250},
}
SAMPLE = struct.Struct("<qqqHBBBBHHBBIIIIII")
GOOD = 0


def scenario(cells, duration_ms, extra):
    loads = []
    for c in cells:
        loads.append(f"""  - name: {c["name"]}
    http: {{rate: {2 * 1000 // PERIOD_MS}/s, lanes: [fresh, reused], targets: {{url: "http://127.0.0.1:{c["port"]}"}}, steps: [{{get: /}}], deadline: {c["deadline"]}ms}}
    window: {{goods: 5, over: 300ms}}""")
    return f"name: truth\nload:\n" + "\n".join(loads) + "\n" + extra + f"duration: {duration_ms}ms\n"


def read_samples(folder):
    data = (folder / "samples.bin").read_bytes()[64:]
    names = ("planned", "start", "end", "load", "lane", "outcome", "reason", "steps", "status", "target", "flags", "z", "bytes", "dns", "conn", "tls", "first", "z2")
    return [dict(zip(names, SAMPLE.unpack_from(data, i))) for i in range(0, len(data) - 63, 64)]


def launch(kind, s):
    cells = [{"n": n, "phase": k, "deadline": d, "name": f"n{n}-p{k}"} for n, d in CELLS[kind].items() for k in range(PHASES)]
    base = time.monotonic_ns() + int(4e9 * tap.SLOW)
    control = subprocess.Popen([BUILD / "tests/truth/truthd", "--port", "0", "--kind", "hang", "--for", "1", "--at-ns", str(base + int(600e9))],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    control_port = json.loads(control.stdout.readline())["ready"]
    for c in cells:
        at = base + c["phase"] * PERIOD_MS * 1_000_000 // PHASES
        c["proc"] = subprocess.Popen([BUILD / "tests/truth/truthd", "--port", "0", "--kind", kind, "--for", str(c["n"]), "--at-ns", str(at)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        c["port"] = json.loads(c["proc"].stdout.readline())["ready"]
    left = (base - time.monotonic_ns()) / 1e6
    assert left > 1500, f"the servers were slow to start, {left} ms left"
    extra = f"""  - name: control
    http: {{rate: 200/s, targets: {{url: "http://127.0.0.1:{control_port}"}}, steps: [{{get: /}}], deadline: {min(CELLS[kind].values())}ms}}
"""
    path = s.write("truth.yaml", scenario(cells, int(left) + 1013 + 1500, extra))
    p = s.run(path, "--quiet", "--out", s.dir / "run", timeout=60)
    assert p.returncode in (0, 1, 2), p.stderr
    control.stdin.close()
    control.wait()
    for c in cells:
        c["truth"] = json.loads(c["proc"].stdout.readline())
        c["proc"].stdin.close()
        c["proc"].terminate()
        c["proc"].wait()
    return cells


def check_lane(cell, lane, samples):
    where = f"{cell['truth']['kind']} {cell['name']} {lane['lane']}"
    (b0, b1), (e0, e1) = cell["truth"]["begin"], cell["truth"]["end"]
    windows = lane["downtime"]
    assert len(windows) == 1, f"{where}: {len(windows)} windows: {windows}"
    w = windows[0]
    least, most = (e0 - b1) / 1e6, (e1 - b0) / 1e6
    assert w["min_ms"] <= most and least <= w["max_ms"], f"{where}: truth {least:.3f}..{most:.3f} ms is outside of {w['min_ms']}..{w['max_ms']}"
    rows = sorted(samples, key=lambda r: (r["start"], r["planned"]))
    bad = [i for i, r in enumerate(rows) if r["outcome"] != GOOD]
    first_bad, first_good = rows[bad[0]], rows[bad[-1] + 1]
    gaps = (first_bad["start"] - rows[bad[0] - 1]["start"]) + (first_good["start"] - rows[bad[-1]]["start"])
    width = w["max_ms"] - w["min_ms"]
    late = sum(max(0, r["start"] - r["planned"]) for r in (rows[bad[0] - 1], first_bad, rows[bad[-1]], first_good))
    limit = (2 * PERIOD_MS * 1e6 + (first_bad["end"] - first_bad["start"]) + (first_good["end"] - first_good["start"]) + late) / 1e6
    assert width <= limit + 0.002, f"{where}: width {width:.3f} ms, at most {limit:.3f}"
    assert gaps / 1e6 <= 2 * PERIOD_MS + late / 1e6 + 0.002, f"{where}: gaps {gaps / 1e6}"
    # The point, when D_min is not clipped: at most T and a good request's latency away from the truth.
    bias = abs(w["point_ms"] - (least + most) / 2)
    if cell["truth"]["kind"] != "hang":
        assert bias <= PERIOD_MS + limit - 2 * PERIOD_MS, f"{where}: point {w['point_ms']} off by {bias:.3f} ms"
    return width


def noisy(folder, got):
    """The machine is shared: a batch in which chaosd's own loop stalled, or a control server without any outage had a bad answer,
    says nothing of chaosd's brackets. Both are said by the run itself."""
    control = next(x for x in got["loads"] if x["load"] == "control")
    stalls = [e["data"] for e in tap.events(folder) if e["op"] == "self/stall"]
    return f"{control['bad']} bad answers of the control, {len(stalls)} stalls of chaosd" if control["good"] < control["planned"] or stalls else None


def kind(name):
    for attempt in range(6):
        with Scratch() as s:
            cells = launch(name, s)
            got = summary(s.dir / "run")
            why = noisy(s.dir / "run", got)
            if why:
                print(f"# {name}: batch {attempt + 1} is not counted: {why}")
                continue
            by = {}
            for r in read_samples(s.dir / "run"):
                by.setdefault((r["load"], r["lane"]), []).append(r)
            lanes = [x for x in got["lanes"] if x["load"] != "control"]
            assert len(lanes) == 2 * len(cells), len(lanes)
            widths = []
            for lane in lanes:
                index, cell = next((i, c) for i, c in enumerate(cells) if c["name"] == lane["load"])
                widths.append(check_lane(cell, lane, by[(index, 0 if lane["lane"] == "fresh" else 1)]))
            print(f"# {name}: {len(widths)} brackets hold the truth; widths {min(widths):.1f}..{max(widths):.1f} ms")
            return
    raise AssertionError("every batch was disturbed by the machine: see the lines above")


def test_refuse():
    kind("refuse")


def test_hang():
    kind("hang")


def test_503():
    kind("503")


tap.main()
