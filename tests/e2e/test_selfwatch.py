# SPDX-License-Identifier: Apache-2.0
"""chaosd stopped in mid-run (SIGSTOP for 2 s): what it did not see is not claimed, what it saw elsewhere is, and nothing of it is blamed on the
target. Servers whose outages are known to the nanosecond stand by (tests/truth)."""
import os
import pathlib
import signal
import subprocess
import sys
import time

import tap
from tap import Scratch, summary

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "truth"))
import harness  # noqa: E402
import quiet  # noqa: E402

MS = harness.MS
STOP_AT_MS, STOP_MS, END_MS = 2500, 2000, 8600
RATE, DEADLINE_MS, LATE_MS = 100, 1000, 100


class Stopped:
    """A run of loads, each with a server of its own, {name: (outage's begin and length in ms of the schedule, or None; window's over in ms)},
    in which chaosd itself stands still."""

    def __init__(self, loads, expect):
        with Scratch() as s, harness.Truthd(0) as truthd:
            ports = [truthd.port(i, "refuse" if outage else "none", outage[1] * MS if outage else 1) for i, (outage, _) in enumerate(loads.values())]
            text = "name: stopped\nload:\n" + "".join(f"""  - name: {name}
    http: {{rate: {RATE}/s, lanes: [fresh, reused], targets: {{url: "http://127.0.0.1:{port}"}}, steps: [{{get: /}}], deadline: {DEADLINE_MS}ms, late: {LATE_MS}ms}}
    window: {{goods: 5, over: {over}ms}}
""" for (name, (_, over)), port in zip(loads.items(), ports))
            text += f"duration: {END_MS}ms\nexpect:\n" + "".join(f'  - "{x}"\n' for x in expect)
            folder = s.dir / "run"
            p = subprocess.Popen([tap.CHAOSD, "run", s.write("stopped.yaml", text), "--yes", "--out", folder], env=s.env, cwd=s.dir,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                mono, zero = harness.schedule_start(folder / "history.jsonl", p)
                truthd.at((i, zero + outage[0] * MS) for i, (outage, _) in enumerate(loads.values()) if outage)
                time.sleep(max(0, zero + STOP_AT_MS * MS - time.monotonic_ns()) / 1e9)
                os.kill(p.pid, signal.SIGSTOP)
                self.stopped = [time.monotonic_ns() - mono]
                time.sleep(STOP_MS / 1e3)
                self.stopped.append(time.monotonic_ns() - mono)
                os.kill(p.pid, signal.SIGCONT)
                self.stdout, self.stderr = p.communicate(timeout=60 * tap.SLOW)
            finally:
                if p.poll() is None:
                    p.kill()
                    p.wait()
            truths, _ = truthd.end()
            self.code, self.summary = p.returncode, summary(folder)
            self.checks = {c["name"]: c for c in self.summary["checks"]}
            self.truth = {name: [t - mono for t in (*truths[i]["begin"], *truths[i]["end"])] for i, name in enumerate(loads) if i in truths}
            self.rows = harness.read_rows(folder, list(loads))
            self.stalls = [e["data"] for e in tap.events(folder) if e["op"] == "self/stall"]

    def lanes(self, load):
        return [x for x in self.summary["loads"] + self.summary["lanes"] if x["load"] == load]

    def windows(self, load, stalled):
        return [(x.get("lane"), w) for x in self.lanes(load) for w in x["downtime"] if w["stalled"] == stalled]

    def verdict(self, check):
        return self.checks[check]["verdict"], self.checks[check]["why"]


def holds(run, load, w):
    """The truth lies in the bracket, by its length and by its ends."""
    b0, b1, e0, e1 = run.truth[load]
    least, most, end, low, high = e0 - b1, e1 - b0, *(w[k] * MS for k in ("end_ms", "min_ms", "max_ms"))
    slack = harness.ROUNDING
    assert low <= most + slack and least <= high + slack, (load, w, least, most)
    assert end + slack >= e0 and end - high <= b1 + slack, (load, w, run.truth[load])


def test_a_stop_is_no_outage():
    expect = ["downtime.max < 1s", "downtime.count == 0", "availability >= 99.9%", "availability.time >= 99%", "p(50) < 900ms", "downtime.max < 1h"]
    run = Stopped({"calm": (None, 300)}, expect)
    assert run.code == 2, (run.code, run.checks)
    # What rests on the time of the stop is nobody's to know; what holds either way is decided.
    for text in expect[:4]:
        verdict, why = run.verdict(text)
        assert verdict == "inconclusive" and "chaosd itself stalled" in why, (text, verdict, why)
    for text in expect[4:]:
        assert run.verdict(text)[0] == "pass", (text, run.verdict(text))
    assert not run.windows("calm", stalled=False), run.windows("calm", stalled=False)
    assert "chaosd itself stalled" in run.stdout, run.stdout
    assert any(x["from"] <= run.stopped[0] + MS and x["to"] >= run.stopped[1] for x in run.stalls), (run.stalls, run.stopped)
    whole = run.lanes("calm")[0]
    missed = (STOP_MS - LATE_MS) * RATE // 1000
    assert whole["unsent_stalled"] >= missed - 2 and whole["bad"] == whole["unsent"] == 0, whole
    assert whole["planned"] + whole["unsent_stalled"] == END_MS * RATE // 1000, whole
    for lane in run.lanes("calm"):
        rows = [r for name in harness.LANES if lane.get("lane") in (None, name) for r in run.rows["calm", name]]
        late = sum(r["outcome"] != harness.UNSENT_STALL and r["start"] - r["planned"] > 5 * MS for r in rows)
        # Those planned in the last LATE_MS of the stop were sent all the same, and are told to be late.
        assert lane["late"] == late >= LATE_MS * RATE // 1000 // (2 if "lane" in lane else 1) - 3, (lane, late)


def test_what_was_seen_is_judged():
    expect = ["downtime.max(elsewhere) < 100ms", "downtime.max(elsewhere) < 20s", "downtime.count(elsewhere) >= 1", "downtime.max(elsewhere) < 1s",
              "downtime.max(covers) < 2s", "downtime.max(patient) < 1s", "downtime.max(begins) < 1h", "downtime.max(ends) < 1h", "downtime.max(covers) < 500ms"]
    for attempt in range(4):
        run = Stopped({
            "elsewhere": ((1000, 500), 300),   # over before the stop
            "covers": ((1500, 4000), 1000),    # around it; a recovery of a second fits into the stop
            "patient": ((1500, 4000), 2500),   # it does not fit
            "begins": ((3000, 2500), 300),     # begins while chaosd is stopped
            "ends": ((1500, 2000), 300),       # ends while chaosd is stopped
        }, expect)
        for load in run.truth:  # whatever it stands by is true, on any machine
            for _, w in run.windows(load, stalled=False):
                holds(run, load, w)
        for load in ("covers", "begins", "ends"):
            assert not run.windows(load, stalled=False), (load, run.windows(load, stalled=False))
        if all(len(run.windows(load, stalled=False)) == 3 for load in ("elsewhere", "patient")):
            break
        print(f"# attempt {attempt + 1}: the machine stalled at an edge as well: {run.stalls}")
    else:
        raise AssertionError("an outage that the stop does not touch was never judged")
    assert run.code == 1, run.checks
    verdicts = {text: run.verdict(text)[0] for text in expect}
    assert verdicts == {
        expect[0]: "fail",          # it was 500 ms
        expect[1]: "pass",          # whatever the stop hid
        expect[2]: "pass",
        expect[3]: "inconclusive",  # the stop may have hidden a longer one
        expect[4]: "inconclusive",
        expect[5]: "fail",          # down for 4 s, seen from both sides
        expect[6]: "inconclusive",
        expect[7]: "inconclusive",
        expect[8]: "fail",          # the second before the stop was down for certain
    }, verdicts
    for load in ("covers", "begins", "ends"):
        assert "chaosd itself stalled" in run.verdict(next(x for x in expect if load in x))[1], load


def test_quiet_runs():
    done = quiet.go(runs=3, rate=200, seconds=6, at_once=3)
    print("# " + ", ".join(f"{q.verdict} (longest gap {q.gap_ms:.0f} ms)" for q in done))
    wrong = [q.wrong for q in done if q.wrong]
    assert not wrong, wrong


if __name__ == "__main__":
    tap.main()
