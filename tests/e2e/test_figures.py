# SPDX-License-Identifier: Apache-2.0
"""The figures by another hand: windows, baseline and limit by the definitions of docs/DEFINITIONS.md in a plain and slow way, statistics of several
runs from exact fractions and Python's own modules, on histories drawn at random. And, in real drills, a hang shorter than the deadline, two faults
at once, a control beside them."""
import json
import os
import random
import statistics
import struct
from decimal import Decimal, getcontext
from fractions import Fraction
from math import comb

import tap
from tap import Scratch, chaosd, events, expect_exit, summary

MS, S = 10**6, 10**9
SAMPLE = struct.Struct("<3qH4BHHBBI4II4x")
LANES = ("fresh", "reused")
getcontext().prec = 40


def sample(start, latency, lane=0, bad=False, load=0):
    return SAMPLE.pack(int(start), int(start), int(start) + int(latency), load, lane, int(bad), int(bad), 1, 200, 65535, 1, 0, 100, 0, 0, 0, 0, 0)


def event(t, op, phase="info", kind="", target="", **data):
    return {"t": int(t), "actor": "run", "op": op, "phase": phase, "kind": kind, "target": target, "data": data}


def act(t, number, fault="kill"):
    names = dict(id=number, fault=fault, occurrence=number)
    return [event(t, "fault/act", "invoke", "pod-kill", "db-0", **names), event(t, "fault/act", "ok", "pod-kill", "db-0", **names),
            event(t, "fault/observed", id=number)]


def store(folder, samples, acts=(), loads=None, **more):
    folder.mkdir(parents=True)
    head = {"schema": 1, "run": folder.name, "scenario": "s", "seed": 1, "wall_ns": 1, "digest": "d", "faults": [{"name": "kill", "kind": "pod-kill", "holds": False}],
            "loads": loads or [{"name": "gets", "kind": "http", "lanes": list(LANES), "deadline_ns": 500 * MS, "goods": 5, "over_ns": 300 * MS}], "expect": [], **more}
    lines = [event(0, "run/schedule")] + [e for a in acts for e in a] + [event(100 * S, "run/end")]
    (folder / "history.jsonl").write_text("\n".join(json.dumps(x) for x in [head] + [dict(e, seq=i) for i, e in enumerate(lines)]) + "\n")
    (folder / "samples.bin").write_bytes(b"CHAOSD-S" + struct.pack("<II48x", 1, 64) + b"".join(samples))
    return folder


def judged(folder):
    p = chaosd("report", "--json", folder)
    assert p.returncode in (0, 1, 2), p.stderr
    return json.loads(p.stdout)


# --- windows, baseline, limit ---

def nearest(values, share):
    """The smallest value that at least this share does not exceed."""
    values = sorted(values)
    return next(v for i, v in enumerate(values, 1) if Fraction(i, len(values)) >= share)


def limit_of(requests, act_at):
    before = [(e - s, bad) for s, e, _, bad in requests if s >= requests[0][0] + S and e <= act_at]
    if len(before) < 100:
        return None
    latencies = [float("inf") if bad else d for d, bad in before]
    p99 = nearest(latencies, Fraction(99, 100))
    return None if p99 == float("inf") else max(3 * p99, p99 + 10 * MS, max(d for d, bad in before if not bad))


def closes(run, goods, over):
    """A streak of (start, end), in order: whether its ends span enough."""
    return len(run) >= goods and max(e for _, e in run) - run[0][1] >= over


def windows_of(requests, trouble, also_open=lambda i: False, goods=5, over=300 * MS):
    """[first, last, index of the closing streak's first or None, index at which it closed or None] by indices."""
    found, i = [], 0
    while i < len(requests):
        if not trouble[i]:
            i += 1
            continue
        first, last, k = i, i, i + 1
        while k < len(requests):
            if trouble[k]:
                last = k
            elif closes([r[:2] for r in requests[last + 1:k + 1]], goods, over) and not also_open(k):
                break
            k += 1
        shut = k < len(requests)
        found.append((first, last, last + 1 if shut else None, k if shut else None))
        i = k + 1
    return found


def bracket(requests, trouble, w):
    first, last, after, _ = w
    before = [r[0] for i, r in enumerate(requests[:first]) if not trouble[i]]
    end = requests[after][1] if after is not None else None
    return {"start": requests[first][0], "end": end, "min": max(0, requests[last][0] - requests[first][1]), "before": before[-1] if before else None}


def expected(requests, act_at, limits):
    """(downtime, degradation or None) as lists of start, min, point, max, and requests."""
    bad = [r[3] for r in requests]
    down = windows_of(requests, bad)
    lists = [(bad, down)]
    if all(limits[r[2]] is not None for r in requests):
        slow = [r[3] or r[1] - r[0] > limits[r[2]] for r in requests]
        is_open = lambda i: any(f <= i and (shut is None or i < shut) for f, _, _, shut in down)
        lists.append((slow, windows_of(requests, slow, is_open)))
    out = []
    for trouble, ws in lists:
        rows = []
        for w in ws:
            b = bracket(requests, trouble, w)
            end = b["end"]
            if end is not None and trouble is not bad:  # a downtime lies in it, its end too
                end = max([end] + [requests[d[2]][1] for d in down if w[0] <= d[0] and d[0] <= w[3] and d[2] is not None])
            inside = range(w[0], w[1] + 1)
            rows.append((b["start"], b["min"], None if end is None else max(0, end - b["start"]),
                         None if end is None or b["before"] is None else max(0, end - b["before"]), sum(bad[i] for i in inside),
                         sum(trouble[i] and not bad[i] for i in inside) if trouble is not bad else 0))
        out.append(rows)
    return out[0], out[1] if len(out) > 1 else None


def as_rows(windows):
    ns = lambda v: None if v is None else round(v * MS)
    return None if windows is None else [(ns(w["start_ms"]), ns(w["min_ms"]), ns(w["point_ms"]), ns(w["max_ms"]), w["bad"], w.get("slow", 0)) for w in windows]


def random_history(rng):
    """Requests each 10 to 50 ms on two lanes, spells of slow and of bad ones after the act."""
    t, out, mode = 0, [], "fast"
    act_at = rng.choice([3, 5, 8]) * S
    step = rng.choice([10, 20, 50]) * MS
    while t < 16 * S:
        t += step + rng.randrange(-3, 4) * 1000
        if t > act_at and rng.random() < 0.04:
            mode = rng.choice(["fast", "fast", "slow", "bad", "mixed"])
        kind = rng.choice(["fast", "slow", "bad"]) if mode == "mixed" else mode
        kind = "bad" if kind == "fast" and rng.random() < 0.003 else kind
        latency = {"fast": rng.randrange(1000, 9000), "slow": rng.randrange(5000, 400_000), "bad": rng.randrange(1000, 500_000)}[kind] * 1000
        out.append((t, t + latency, rng.randrange(2), kind == "bad"))
    return out, act_at


def test_windows_by_another_hand():
    rng, degraded, unknown = random.Random(20261121), 0, 0
    with Scratch() as s:
        for n in range(60):
            requests, act_at = random_history(rng)
            lanes = [[r for r in requests if r[2] == lane] for lane in range(2)]
            whole = limit_of(requests, act_at)
            # A lane's first second is the load's: what a lane's own limit rests on is cut by the same clock.
            own = [limit_of([(requests[0][0],) * 2 + (0, True)] + lane, act_at) for lane in lanes]
            enough = [sum(r[0] >= requests[0][0] + S and r[1] <= act_at for r in lane) >= 100 for lane in lanes]
            limits = [None if not ok and whole is None else own[i] if ok else whole for i, ok in enumerate(enough)]
            limits = [None if v is None or v >= 500 * MS else v for v in limits]
            folder = store(s.dir / str(n), [sample(a, b - a, lane, bad) for a, b, lane, bad in requests], [act(act_at, 1)])
            got = judged(folder)
            if any(r[0] < act_at and not r[3] for r in requests):
                for row, mine in [(got["loads"][0], requests)] + list(zip(got["lanes"], lanes)):
                    down, slow = expected(mine, act_at, limits)
                    assert as_rows(row["downtime"]) == down, (n, row["downtime"], down)
                    assert as_rows(row["degradation"]) == slow, (n, row.get("lane"), limits, as_rows(row["degradation"]), slow)
                    degraded += len(slow or [])
                    unknown += slow is None
                for lane in range(2):
                    assert got["lanes"][lane]["slow_ms"] == (None if limits[lane] is None else limits[lane] / MS), (n, got["lanes"][lane]["slow_ms"], limits)
            before = [float("inf") if bad else b - a for a, b, _, bad in requests if a >= requests[0][0] + S and b <= act_at]
            base = got["loads"][0]["baseline"]
            assert base["planned"] == len(before) and base["bad"] == before.count(float("inf")), (n, base)
            for key, share in (("p50_ms", Fraction(1, 2)), ("p99_ms", Fraction(99, 100)), ("max_ms", Fraction(1))):
                want = nearest(before, share)
                assert base[key] == (None if want == float("inf") else want / MS), (n, key, base, want)
    print(f"# {degraded} windows of degradation compared, {unknown} rows without a limit")
    assert degraded > 200 and unknown > 5


# --- several runs ---

def binomial(n, q, k):
    return sum(comb(n, i) * q**i * (1 - q)**(n - i) for i in range(k + 1))


def upper_rank(n, q, confidence):
    return next((k for k in range(1, n + 1) if binomial(n, q, k - 1) >= confidence), 0)


def lower_rank(n, q, confidence):
    return max((k for k in range(1, n + 1) if binomial(n, q, k - 1) <= 1 - confidence), default=0)


def wilson(k, n):
    """The two proportions p0 at which |k/n - p0| is exactly z standard errors of p0, as they were defined: found by bisection, not by the formula."""
    z, share = Decimal("1.95996398454005423552"), Decimal(k) / n
    far = lambda p: abs(share - p) - z * (p * (1 - p) / n).sqrt()

    def edge(near, outer):
        if far(outer) <= 0:
            return outer
        for _ in range(100):
            middle = (near + outer) / 2
            near, outer = (near, middle) if far(middle) > 0 else (middle, outer)
        return near

    return edge(share, Decimal(0)) if k else Decimal(0), edge(share, Decimal(1)) if k < n else Decimal(1)


def run_of(rng, folder, wall, acts=3):
    """Acts 6 s apart, each an outage of its own; the load may end before the last one is over."""
    spells, out = [], []
    for i in range(acts):
        spells.append((6 * (i + 1) * S, rng.randrange(50, 2500) * MS))
    end = 6 * (acts + 1) * S - (rng.randrange(3000, 6000) * MS if rng.random() < 0.25 else 0)
    for t in range(0, end, 20 * MS):
        bad = any(a <= t < a + d for a, d in spells)
        out.append(sample(t, rng.randrange(1, 5) * MS, 0, bad))
    expect = [f"downtime.max < {rng.choice([1, 3])}s"]
    return store(folder, out, [act(a - 1, i + 1) for i, (a, _) in enumerate(spells)], wall_ns=wall, seed=wall, expect=expect,
                 loads=[{"name": "gets", "kind": "http", "lanes": ["fresh"], "deadline_ns": 500 * MS, "goods": 5, "over_ns": 300 * MS}])


def together(folders, *args):
    p = chaosd("report", "--json", *args, *folders)
    return json.loads(p.stdout), p.returncode


def close(a, b):
    return (a is None and b is None) or abs(a - float(b)) < 1e-8


def check_series(folders):
    runs = [json.loads(chaosd("report", "--json", f).stdout) for f in folders]
    got, code = together(folders)
    verdicts = [r["verdict"] for r in runs]
    assert got["verdict"] == next(v for v in ("fail", "inconclusive", "pass") if v in verdicts) and code == {"fail": 1, "inconclusive": 2, "pass": 0}[got["verdict"]]
    passed, decided = verdicts.count("pass"), verdicts.count("pass") + verdicts.count("fail")
    low, high = wilson(passed, decided) if decided else (0, 1)
    assert (got["passed"]["passed"], got["passed"]["decided"]) == (passed, decided) and close(got["passed"]["low"], low) and close(got["passed"]["high"], high), got["passed"]
    shares = sorted(r["loads"][0]["availability"]["requests"] for r in runs)
    load, n, half, each = got["loads"][0]["availability"], len(runs), Fraction(1, 2), Fraction(975, 1000)
    assert close(load["min"], shares[0]) and close(load["max"], shares[-1]) and close(load["median"], statistics.median_low(shares))
    lower, upper = lower_rank(n, half, each), upper_rank(n, half, each)
    assert close(load["low"], shares[lower - 1] if lower and upper else None) and close(load["high"], shares[upper - 1] if lower and upper else None), load
    # Recoveries: known ones are points, the others reach from what they lasted at least to infinity.
    spans = [(f["recovery"]["sustained_ms"], f["recovery"]["sustained_ms"]) if f["recovery"]["sustained_ms"] is not None else (f["recovery"]["at_least_ms"] or 0, float("inf"))
             for r in runs for f in r["faults"]]
    lo, hi = sorted(a for a, _ in spans), sorted(b for _, b in spans)
    row, n = next(r for r in got["recoveries"] if r["fault"] is None and r["milestone"] == "sustained"), len(spans)
    finite = lambda v: None if v == float("inf") else v
    assert row["count"] == n and row["open"] == hi.count(float("inf")) and close(row["max_ms"], finite(hi[-1]))
    middle = (statistics.median_high(lo), statistics.median_high(hi))
    assert close(row["median"]["ms"], middle[0] if middle[0] == middle[1] else None), (row, middle)
    lower, upper = lower_rank(n, half, each), upper_rank(n, half, each)
    assert close(row["median"]["low_ms"], lo[lower - 1] if lower else None) and close(row["median"]["high_ms"], finite(hi[upper - 1]) if upper else None), row
    for key, q, need in (("p95", Fraction(95, 100), 59), ("p99", Fraction(99, 100), 299)):
        rank = upper_rank(n, q, Fraction(95, 100))
        assert (rank == 0) == (n < need) and row[key]["missing"] == max(0, need - n), (n, row[key])
        assert close(row[key]["at_most_ms"], finite(hi[rank - 1]) if rank else None), (n, key, row[key])
    return row["open"], row["p95"]["at_most_ms"]


def test_series_by_another_hand():
    rng, opened, bounded = random.Random(7), 0, 0
    with Scratch() as s:
        folders = [run_of(rng, s.dir / f"r{i}", i + 1) for i in range(24)]
        whole = [run_of(random.Random(i), s.dir / f"w{i}", 100 + i, acts=4) for i in range(18)]
        for count in (2, 5, 6, 13, 20, 24):
            o, b = check_series(folders[:count])
            opened += o
            bounded += b is not None
        closed = [f for f in whole if all(x["recovery"]["sustained_ms"] is not None for x in judged(f)["faults"])]
        assert len(closed) >= 10
        for count in range(14, len(closed) + 1):
            o, b = check_series(closed[:count])
            assert o == 0
            bounded += b is not None
    print(f"# {opened} open recoveries, {bounded} bounds of P95")
    assert opened > 5


def test_series_usage():
    rng = random.Random(1)
    with Scratch() as s:
        runs = s.dir / "runs"
        a, b, other = (run_of(rng, runs / n, i + 1) for i, n in enumerate("abc"))
        p = chaosd("report", "a", "b", cwd=s.dir)  # by name
        assert p.returncode in (0, 1, 2) and "(2 runs together" in p.stdout and not p.stderr, p.stdout
        assert max(map(len, p.stdout.splitlines())) <= 100, p.stdout
        assert not (a / "summary.json").exists(), "runs together are only looked at"
        p = expect_exit(chaosd("report", a, runs / "." / "a"), 64)
        assert "would count twice" in p.stderr and not p.stdout
        text = (other / "history.jsonl").read_text().replace('"digest": "d"', '"digest": "e"')
        (other / "history.jsonl").write_text(text)
        p = expect_exit(chaosd("report", a, b, other), 64)
        assert "with other contents or parameters (d, e)" in p.stderr and str(other) in p.stderr
        assert chaosd("report", "--mixed", a, b, other).returncode in (0, 1, 2)
        expect_exit(chaosd("report", "--format", "html", a, b), 64)
        expect_exit(chaosd("report", a, s.dir / "nowhere"), 64)


# --- refused before anything is run ---

def test_refused():
    base = tap.web(duration="4s")
    cases = {
        ("[\"availability(gets) >= 10%\"]", "[\"availability(gets, fresh) >= 10%\"]"): ('has no lane fresh; it has: reused', "availability(gets, fresh)"),
        ("duration: 4s", "guards: {minReady: 2}\nduration: 4s"): ("minReady 2 is more than the 1 replica of workload", "minReady: 2"),
        ("    window:", "    slow: 300ms\n    window:"): ("what is slow must be less than its deadline", "slow:"),
        ("    window:", "    control: true\n    window:"): ("every load is a control", "control:"),
    }
    with Scratch() as s:
        expect_exit(chaosd("check", s.write("good.yaml", base)), 0)
        for (old, new), (words, where) in cases.items():
            text = base.replace(old, new)
            assert text != base, old
            path = s.write("bad.yaml", text)
            p = expect_exit(chaosd("check", path), 64)
            line = next(i for i, row in enumerate(text.splitlines(), 1) if where in row)
            assert words in p.stderr and f"bad.yaml:{line}:" in p.stderr, (p.stderr, line)
        # As many as there are, or another workload's floor, is another matter.
        expect_exit(chaosd("check", s.write("equal.yaml", base.replace("duration:", "guards: {minReady: 1}\nduration:"))), 0)


# --- real drills ---

DRILL = """
name: hang
cluster:
  local:
    workloads:
      - name: web
        replicas: 2
        labels: {app: web}
        command: [python3, -m, http.server, --bind, "${pod.ip}", "8080"]
        ready: {http: {url: "http://${pod.ip}:8080/"}}
        restart: {policy: always, delay: 300ms}
      - name: still
        labels: {app: still}
        command: [python3, -m, http.server, --bind, "${pod.ip}", "8080"]
        ready: {http: {url: "http://${pod.ip}:8080/"}}
load:
  - name: gets
    slow: 80ms
    http: {rate: 100/s, targets: {selector: {labelSelectors: {app: web}}, base: "http://${pod.ip}:8080"}, steps: [{get: /}], deadline: 2s}
    window: {goods: 5, over: 300ms}
  - name: control
    control: true
    http: {rate: 20/s, targets: {selector: {labelSelectors: {app: still}}, base: "http://${pod.ip}:8080"}, steps: [{get: /}], deadline: 2s}
    window: {goods: 5, over: 300ms}
faults:
FAULTS
duration: 6s
settle: 1s
"""


def drill(s, faults):
    s.run(s.write("hang.yaml", DRILL.replace("FAULTS", faults)), "--quiet", "--out", s.dir / "r")
    return summary(s.dir / "r"), events(s.dir / "r")


def test_a_hang_shorter_than_the_deadline():
    with Scratch() as s:
        done, history = drill(s, '  - {name: pause, pod-pause: {selector: {pods: [web-0]}}, at: 2s, for: 400ms}')
        gets = next(row for row in done["loads"] if row["load"] == "gets")
        own = next(row for row in done["targets"] if row["target"] == "web-0")
        frozen = next(e["t"] for e in history if e["op"] == "cluster/pod" and e["kind"] == "frozen")
        thawed = next(e["t"] for e in history if e["op"] == "cluster/pod" and e["kind"] == "thawed")
        asked = next(e["t"] for e in history if e["op"] == "fault/act" and e["phase"] == "invoke")
        for row, leave in ((gets, 80 * MS), (own, 0)):  # of the load as a whole, every other request goes to the one that is well
            touch = [w for w in row["degradation"] if w["start_ms"] * MS < thawed and (w["end_ms"] is None or w["end_ms"] * MS > frozen)]
            assert len(touch) == 1 and not row["downtime"], row
            w = touch[0]
            # It was frozen for no longer than from the asking to the thaw, and for no less than between what was seen.
            assert w["min_ms"] * MS <= thawed - asked and w["max_ms"] * MS >= thawed - frozen - leave, (w, thawed - frozen)
            assert w["slow"] > 5 and w["fault"] == "pause" and w["down"]["count"] == 0, w
        assert next(row for row in done["loads"] if row["load"] == "control")["control"] is True
        assert done["faults"][0]["recovery"]["noticed"] is False, done["faults"]
        print(f"# frozen {(thawed - frozen) / MS:.1f} ms, degraded {w['min_ms']} .. {w['point_ms']} .. {w['max_ms']} ms")


def test_two_faults_at_once():
    with Scratch() as s:
        done, _ = drill(s, '  - {name: pause, pod-pause: {selector: {pods: [web-0]}}, at: 2s, for: 1s}\n  - {name: kill, pod-kill: {selector: {pods: [web-1]}}, at: 2s}')
        gets = next(row for row in done["loads"] if row["load"] == "gets")
        window = next(w for w in gets["downtime"] if w["fault"])
        assert {f["name"] for f in window["faults"]} == {"pause", "kill"} and window["faults"][0]["name"] == window["fault"], window
        text = chaosd("report", s.dir / "r").stdout
        assert "shared with" in text and " & gets at " in text, text


tap.main()
