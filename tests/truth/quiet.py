# SPDX-License-Identifier: Apache-2.0
"""Quiet runs, `make quiet`: nothing is broken, so no downtime may be claimed, and nothing may be inconclusive but for the machine's sake.

    B=build python3 tests/truth/quiet.py [--runs 50] [--seconds 60] [--rate 500] [--at-once 10] [--json FILE]

Whether the machine was in the way is not taken from chaosd's word: its samples show when it last did anything, and truthd watches itself. Exit: 0 or 1."""
import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys
import time

import harness
from harness import LANES, MS, GOOD, Scratch, Truthd, read_rows, summary, tap

DEADLINE_MS = 250
STALL_MS = DEADLINE_MS / 4  # what could turn a good answer into a late one: chaosd's own definition, in run.c
AWAY_MS = DEADLINE_MS / 2  # of the server, which may then miss the deadline: an outage indeed
EXPECT = ("downtime.count == 0", "downtime.max < 1ms", "availability >= 100%", "availability.time >= 100%")


@dataclasses.dataclass
class Quiet:
    verdict: str = ""
    good: int = 0
    planned: int = 0
    not_judged: int = 0   # not sent, or not judged, as chaosd stalled
    late: int = 0
    windows: int = 0      # that chaosd stands by
    unsure: int = 0       # that it calls inconclusive itself
    stalls: int = 0
    gap_ms: float = 0.0   # the longest time in which chaosd did nothing, by its samples
    server_ms: float = 0.0  # the longest stall of the server
    wrong: str = ""


def scenario(port, rate, seconds):
    expect = "".join(f'  - "{x}"\n' for x in EXPECT)
    return f"""name: quiet
load:
  - name: gets
    http: {{rate: {rate}/s, lanes: [fresh, reused], targets: {{url: "http://127.0.0.1:{port}"}}, steps: [{{get: /}}], deadline: {DEADLINE_MS}ms}}
duration: {seconds}s
expect:
{expect}"""


def longest_gap(rows):
    times = sorted({r["start"] for r in rows if r["outcome"] == GOOD} | {r["end"] for r in rows if r["outcome"] == GOOD})
    return max((b - a for a, b in zip(times, times[1:])), default=0) / MS


def judge(folder, code, server_ms):
    got, q = summary(folder), Quiet(server_ms=server_ms)
    lanes = [x for x in got["lanes"] if x.get("lane") in LANES]
    q.verdict = got["verdict"]
    for key, name in (("good", "good"), ("planned", "planned"), ("not_judged", "unsent_stalled"), ("late", "late")):
        setattr(q, key, sum(x[name] for x in lanes))
    q.windows = sum(not w["stalled"] for x in lanes for w in x["downtime"])
    q.unsure = sum(w["stalled"] for x in lanes for w in x["downtime"])
    q.stalls = sum(e["op"] == "self/stall" for e in tap.events(folder))
    q.gap_ms = longest_gap([r for rows in read_rows(folder, ["gets"]).values() for r in rows])
    machine = q.gap_ms >= STALL_MS - 10 or server_ms >= STALL_MS  # lateness of two neighbours blurs a gap a little
    if code != {"pass": 0, "fail": 1, "inconclusive": 2}.get(q.verdict):
        q.wrong = f"exit {code}, {q.verdict}"
    elif q.planned + q.not_judged < 1:
        q.wrong = "nothing was sent"
    elif q.verdict != "pass" and not machine:
        q.wrong = f"{q.verdict}, and nothing was in the way: " + "; ".join(c["why"] for c in got["checks"] if c["verdict"] != "pass")
    elif (q.windows or q.verdict == "fail") and server_ms < AWAY_MS:
        q.wrong = "a downtime was claimed, or a check failed, and the server was never away: " + "; ".join(c["why"] for c in got["checks"] if c["verdict"] == "fail")
    return q


def batch(count, rate, seconds):
    with Scratch() as s, Truthd(0) as truthd:
        runs = []
        for i in range(count):
            path = s.write(f"quiet-{i}.yaml", scenario(truthd.port(i, "none", 1), rate, seconds))
            runs.append((s.dir / f"run-{i}", subprocess.Popen([tap.CHAOSD, "run", path, "--yes", "--quiet", "--out", s.dir / f"run-{i}"], env=s.env, cwd=s.dir,
                                                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)))
        try:
            ended = [(folder, p.communicate(timeout=seconds + 60 * tap.SLOW)[1], p.returncode) for folder, p in runs]
        finally:
            for _, p in runs:
                if p.poll() is None:
                    p.kill()
                    p.wait()
        _, stalls = truthd.end()
        server_ms = max((b - a for a, b in stalls), default=0) / MS
        for folder, err, code in ended:
            assert (folder / "summary.json").exists(), f"chaosd: exit {code}: {err[-2000:]}"
        return [judge(folder, code, server_ms) for folder, _, code in ended]


def go(runs, rate, seconds, at_once):
    """Runs whose server stood still for long were not quiet: they are run again, as often as there are batches."""
    done, again = [], -(-runs // at_once)
    while len(done) < runs:
        some = batch(min(at_once, runs - len(done)), rate, seconds)
        if some[0].server_ms >= AWAY_MS and not any(q.wrong for q in some) and again:
            again -= 1
            print(f"# the server itself stood still for {some[0].server_ms:.0f} ms: {len(some)} runs again", flush=True)
            continue
        done += some
        print(f"# {len(done)} of {runs} runs", flush=True)
    return done


def verdict(done):
    wrong = [f"run {i + 1}: {q.wrong}" for i, q in enumerate(done) if q.wrong]
    if wrong:
        return "\n".join(wrong)
    return None if any(q.verdict == "pass" for q in done) else "no run was left alone by the machine long enough to pass"


def main():
    a = argparse.ArgumentParser(description="Runs in which nothing is broken.")
    a.add_argument("--runs", type=int, default=50)
    a.add_argument("--seconds", type=int, default=60)
    a.add_argument("--rate", type=int, default=500)
    a.add_argument("--at-once", type=int, default=10)
    a.add_argument("--json", type=pathlib.Path)
    o = a.parse_args()
    began = time.monotonic()
    done = go(o.runs, o.rate, o.seconds, o.at_once)
    rows = [dict(run=i + 1, **{k: round(v, 1) if isinstance(v, float) else v for k, v in dataclasses.asdict(q).items() if k != "wrong"}) for i, q in enumerate(done)]
    harness.print_table(rows)
    why = verdict(done)
    counts = {v: sum(q.verdict == v for q in done) for v in ("pass", "inconclusive", "fail")}
    if o.json:
        o.json.write_text(json.dumps({"seconds": round(time.monotonic() - began), "ok": not why, "why": why, "verdicts": counts, "runs": rows}, indent=1) + "\n")
    print(f"# {counts}; downtime windows: {sum(q.windows for q in done)}; " + ("FAILED: " + why if why else "none of it false") + f"; {(time.monotonic() - began) / 60:.1f} minutes")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
