# SPDX-License-Identifier: Apache-2.0
"""The truth harness, `make truth`: servers whose one outage each is known to the nanosecond (truthd), against what chaosd says of it.

A cell is one such outage: kind, length N, deadline, sampling period T of a lane, and phase of the outage within that period. Many cells
run beside each other in one run of chaosd. What each can see is said beforehand (`sees`):
  bad    the outage shows as bad requests in both lanes: exactly one downtime window, and the truth lies in its bracket
  slow   hang and blackhole shorter than the deadline: every request is answered in time, so no downtime may be claimed
Some claims hold whatever the machine does, and are demanded of every cell of every attempt; for others the machine must have left the cell's
edges alone. Cells that were disturbed are run again, so that in the end each has been seen undisturbed. Disturbances are told by those
whom they hit: stalls of chaosd (its own events), stalls of truthd, and a control server without an outage.

    B=build python3 tests/truth/harness.py [--phases 100] [--rate 2500] [--minutes 18] [--json FILE]

Exit: 0 when the truth lay in the bracket every time and each cell was seen undisturbed, else 1."""
import argparse
import bisect
import dataclasses
import heapq
import json
import pathlib
import random
import resource
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import tap  # noqa: E402
from tap import BUILD, Scratch, summary  # noqa: E402

MS = 1_000_000
HOLDS = ("hang", "blackhole")  # a request that came in between is answered when it is over
SAMPLE = struct.Struct("<qqqHBBBBHHBBIIIIII4x")
FIELDS = ("planned", "start", "end", "load", "lane", "outcome", "reason", "steps", "status", "target", "flags")
GOOD, BAD, UNSENT_CAP, UNSENT_STALL = range(4)
MACHINE = (1, 12, 13)  # timeout, cap, stall: reasons that a slow machine can be to blame for; others are an answer of the target
LANES = ("fresh", "reused")
GOODS, OVER_MS = 5, 300  # what closes a window here
ROUNDING = 2_000  # ns; the summary's times are whole us
NEAR = 20 * MS
LATENCIES_MS = (0, 20)
SPARE_MS = 20  # between the answer of a request that was held and its deadline
LATE = 10 * MS  # allowed for in every claim; more than this is no figure for a table
CONTROL_RATE = 100
CONCURRENCY = 45


def sees(kind, n_ms, deadline_ms, period_ms):
    if kind not in HOLDS:
        return "bad" if n_ms > period_ms else None
    if n_ms > deadline_ms + period_ms:
        return "bad"
    return "slow" if n_ms + max(LATENCIES_MS) + SPARE_MS <= deadline_ms else None  # between the two it depends on the phase


@dataclasses.dataclass
class Cell:
    kind: str
    n_ms: int
    deadline_ms: int
    period_ms: int  # of one lane
    phase: float    # of the outage's begin within the period, 0..1
    latency_ms: int  # of the server's answers
    seen: set = dataclasses.field(default_factory=set)  # lanes, undisturbed
    tries: int = 0

    @property
    def sees(self):
        return sees(self.kind, self.n_ms, self.deadline_ms, self.period_ms)

    @property
    def group(self):
        return (self.kind, self.n_ms, self.deadline_ms, self.period_ms)

    @property
    def lead_ms(self):  # before the outage: the window's last good, a warm connection
        return self.period_ms * max(6, -(-300 // self.period_ms))

    @property
    def length_ms(self):  # of its load: what is held is bad until its deadline, then goods must close the window
        held = self.deadline_ms if self.kind in HOLDS else 0
        return self.lead_ms + self.n_ms + held + max((GOODS + 3) * self.period_ms, OVER_MS + 6 * self.period_ms) + 150

    def __str__(self):
        return f"{self.kind} {self.n_ms} ms, deadline {self.deadline_ms} ms, phase {self.phase:.2f}"


def stratified(kind, n_ms, deadline_ms, period_ms, phases):
    assert sees(kind, n_ms, deadline_ms, period_ms), (kind, n_ms, deadline_ms, period_ms)
    return [Cell(kind, n_ms, deadline_ms, period_ms, (k + 0.5) / phases, LATENCIES_MS[k % 2]) for k in range(phases)]


# --- one run of chaosd with many cells ---


@dataclasses.dataclass
class Slot:  # a cell in a run; a cell may be there several times
    cell: Cell
    at_ms: int = 0  # its load's start on the schedule
    truth: dict = None
    port: int = 0


def place(cells, rate_limit, apart_ms, first_ms=1500):
    """Starts, one a little after the other so that no stall hits all edges, and so that no more than rate_limit requests are sent a second."""
    slots, running, total, at = [], [], 0, first_ms
    for cell in cells:
        rate = 2000 / cell.period_ms
        while running and (running[0][0] <= at or total + rate > rate_limit):
            end, ended = heapq.heappop(running)
            total -= ended
            at = max(at, end)
        slots.append(Slot(cell, at))
        heapq.heappush(running, (at + cell.length_ms + 200, rate))
        total += rate
        at += apart_ms
    return slots


def concurrency(cell):
    """What a hang needs; chaosd wants files for all of it."""
    return min(CONCURRENCY, 10 + 2 * cell.deadline_ms // cell.period_ms)


def scenario(slots, control_port, deadline_ms):
    end = max(s.at_ms + s.cell.length_ms for s in slots) + 300
    loads = [f"""  - name: c{i}
    http: {{rate: {2000 // s.cell.period_ms}/s, lanes: [fresh, reused], targets: {{url: "http://127.0.0.1:{s.port}"}}, steps: [{{get: /}}], deadline: {deadline_ms}ms, concurrency: {concurrency(s.cell)}}}
    start: {s.at_ms}ms
    for: {s.cell.length_ms}ms
    window: {{goods: {GOODS}, over: {OVER_MS}ms}}
""" for i, s in enumerate(slots)]
    loads.append(f"""  - name: control
    http: {{rate: {CONTROL_RATE}/s, targets: {{url: "http://127.0.0.1:{control_port}"}}, steps: [{{get: /}}], deadline: {deadline_ms}ms}}
""")
    return "name: truth\nload:\n" + "".join(loads) + f"duration: {end}ms\n", end


class Truthd:
    def __init__(self, latency_ns):
        self.p = subprocess.Popen([BUILD / "tests/truth/truthd", str(latency_ns)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def port(self, cell_id, kind, for_ns):
        self.p.stdin.write(f"cell {cell_id} {kind} {for_ns}\n")
        got = json.loads(self.p.stdout.readline())
        assert got["cell"] == cell_id, got
        return got["port"]

    def at(self, times):
        self.p.stdin.write("".join(f"at {i} {ns}\n" for i, ns in times))
        self.p.stdin.flush()

    def end(self):
        out, _ = self.p.communicate(timeout=30)
        assert self.p.returncode == 0, f"truthd: exit {self.p.returncode}"
        lines = [json.loads(line) for line in out.splitlines()]
        return {x["cell"]: x for x in lines if "cell" in x}, [x["stall"] for x in lines if "stall" in x]

    def __enter__(self):
        return self

    def __exit__(self, *a):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()


def schedule_start(history, chaosd):
    """CLOCK_MONOTONIC of the run's start and of its schedule's, as soon as chaosd has written them."""
    limit = time.monotonic() + 30 * tap.SLOW
    while time.monotonic() < limit and chaosd.poll() is None:
        lines = history.read_text().split("\n")[:-1] if history.exists() else []
        at = [e["t"] for e in map(json.loads, lines[1:]) if e["op"] == "run/schedule"]
        if at:
            mono = json.loads(lines[0])["mono_ns"]
            return mono, mono + at[0]
        time.sleep(0.01)
    raise AssertionError(f"chaosd never began; exit {chaosd.poll()}")


@dataclasses.dataclass
class Seen:  # everything known of one run; times in ns on the run's clock
    slots: list
    lanes: dict      # (load, lane) -> the summary's
    rows: dict       # (load, lane) -> requests by start
    disturbed: list  # (from, to, what), sorted
    ends: list       # running maximum of their ends

    def disturbance(self, begin, end):
        i = bisect.bisect_right(self.disturbed, (end + NEAR, 0, ""))
        return next((x for x in reversed(self.disturbed[:i]) if x[1] >= begin - NEAR), None) if i and self.ends[i - 1] >= begin - NEAR else None


def read_rows(folder, loads):
    data = (folder / "samples.bin").read_bytes()[64:]
    rows = {}
    for values in SAMPLE.iter_unpack(data[: len(data) // 64 * 64]):
        r = dict(zip(FIELDS, values))
        rows.setdefault((loads[r["load"]], LANES[r["lane"]]), []).append(r)
    for list_ in rows.values():
        list_.sort(key=lambda r: (r["start"], r["planned"]))
    return rows


def run(slots, deadline_ms, latency_ms):
    with Scratch() as s, Truthd(latency_ms * MS) as truthd:
        for i, slot in enumerate(slots):
            slot.port = truthd.port(i, slot.cell.kind, slot.cell.n_ms * MS)
        text, end_ms = scenario(slots, truthd.port(len(slots), "none", 1), deadline_ms)
        folder = s.dir / "run"
        with open(s.dir / "err", "w+") as err:
            chaosd = subprocess.Popen([tap.CHAOSD, "run", s.write("truth.yaml", text), "--yes", "--quiet", "--out", folder], env=s.env, cwd=s.dir,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, text=True)
            try:
                try:
                    mono, zero = schedule_start(folder / "history.jsonl", chaosd)
                except AssertionError as e:
                    raise AssertionError(f"{e}: {(s.dir / 'err').read_text()[-2000:]}") from None
                truthd.at((i, zero + int((x.at_ms + x.cell.lead_ms + x.cell.phase * x.cell.period_ms) * MS)) for i, x in enumerate(slots))
                code = chaosd.wait(end_ms / 1000 + 60 * tap.SLOW)
            finally:
                if chaosd.poll() is None:
                    chaosd.kill()
                    chaosd.wait()
            err.seek(0)
            assert code in (0, 2), f"chaosd: exit {code}: {err.read()[-2000:]}"
        truths, stalls = truthd.end()
        for i, slot in enumerate(slots):
            slot.truth = {k: [t - mono for t in truths[i][k]] for k in ("begin", "end")}
        return gather(slots, folder, [(a - mono, b - mono, "truthd stalled") for a, b in stalls], latency_ms + deadline_ms // 4)


def gather(slots, folder, disturbed, slow_ms):
    got = summary(folder)
    loads = [f"c{i}" for i in range(len(slots))] + ["control"]
    rows = read_rows(folder, loads)
    disturbed += [(e["data"]["from"], e["data"]["to"], "chaosd stalled") for e in tap.events(folder) if e["op"] == "self/stall"]
    for lane in LANES:
        disturbed += [(r["planned"], r["end"], "the control was slow")
                      for r in rows.get(("control", lane), []) if r["outcome"] != GOOD or r["end"] - r["planned"] > slow_ms * MS]
    disturbed.sort()
    ends = []
    for d in disturbed:
        ends.append(max(d[1], ends[-1]) if ends else d[1])
    return Seen(slots, {(x["load"], x["lane"]): x for x in got["lanes"]}, rows, disturbed, ends)


# --- what must be so ---


class Wrong(Exception):
    """chaosd's figures contradict the truth."""


class Disturbed(Exception):
    """The machine was in the way: this says nothing of chaosd."""


def demand(ok, text):
    if not ok:
        raise Wrong(text)


def unless_disturbed(seen, begin, end, text):
    why = seen.disturbance(begin, end)
    if not why:
        raise Wrong(text + "; nothing disturbed it")
    raise Disturbed(f"{text}; {why[2]}")


def ms(ns):
    return f"{ns / 1e6:.3f}"


def check_requests(seen, cell, rows, begin, end):
    """Of every request, in any noise: none succeeded wholly inside of the outage, and those that failed apart from it have an excuse."""
    inside = [r for r in rows if r["outcome"] == GOOD and r["start"] >= begin[1] and r["end"] <= end[0]]
    demand(not inside, f"a request was good in the outage: {inside[:1]}")
    excused = None
    for r in rows:
        if r["outcome"] not in (BAD, UNSENT_CAP) or (cell.sees == "bad" and r["end"] >= begin[0] and r["start"] <= end[1]):
            continue
        demand(r["reason"] in MACHINE, f"a request failed apart from the outage, which no slow machine explains: {r}")
        why = seen.disturbance(r["planned"], r["end"])
        demand(why, f"a request failed apart from the outage, and nothing disturbed it: {r}")
        excused = why[2]
    return excused


def find_window(seen, cell, windows, rows, begin, end):
    """The one window that is the outage; None where there must be none."""
    mine = []
    for w in windows:
        b, e = w["start_ms"] * MS, (w["end_ms"] * MS if w["end_ms"] is not None else rows[-1]["end"])
        if w["stalled"]:
            raise Disturbed("chaosd calls a window inconclusive")
        if b <= end[1] + ROUNDING and e >= begin[0] - ROUNDING and cell.sees == "bad":
            mine.append(w)
        else:
            unless_disturbed(seen, b, e, f"a window apart from the outage: {w}")
    if cell.sees == "slow":
        return None
    demand(len(mine) <= 1, f"{len(mine)} windows of one outage: {mine}")
    if not mine:
        last = end[0] - (cell.deadline_ms * MS if cell.kind in HOLDS else 0)
        sent = [r for r in rows if begin[1] <= r["start"] < last]
        if not sent and any(begin[1] <= r["planned"] < last for r in rows):
            raise Disturbed("chaosd sent late: no request was sent in the outage")
        if sent and all(r["outcome"] == GOOD for r in sent):  # and ended after it, see check_requests
            raise Disturbed("truthd was slow: it read nothing in the outage")
        near = [{k: r[k] for k in ("planned", "start", "end", "outcome", "reason")} for r in rows if begin[0] - 20 * MS <= r["start"] <= end[1] + 20 * MS]
        unless_disturbed(seen, begin[0], end[1], f"no window for {begin}..{end}: {near}")
    if mine[0]["max_ms"] is None:
        unless_disturbed(seen, begin[0], rows[-1]["end"], "the window never closed")
    return mine[0]


def late(r):
    return max(0, r["start"] - r["planned"])


def check_window(cell, w, rows, begin, end, explained):
    """Returns the bracket's width and the point's bias, ns. explained: each bad request of the window is the outage's."""
    least, most = end[0] - begin[1], end[1] - begin[0]
    # A request that the server left lying until the outage was over, while it failed one that began later: "the last good one before" it is not.
    first_bad = next((r["start"] for r in rows if r["start"] >= w["start_ms"] * MS - ROUNDING and r["outcome"] in (BAD, UNSENT_CAP)), 0)
    if any(r["outcome"] == GOOD and begin[1] <= r["start"] <= first_bad and r["end"] > end[0] for r in rows):
        raise Disturbed("truthd left a request of the outage lying and failed a later one")
    low, point, high = (int(w[k] * MS) for k in ("min_ms", "point_ms", "max_ms"))
    closed = int(w["end_ms"] * MS)
    demand(high + ROUNDING >= least, f"at most {ms(high)} ms: it was {ms(least)}")
    demand(closed + ROUNDING >= end[0], f"its end, {ms(closed)}, lies before the outage's, {ms(end[0])}")
    demand(closed - high <= begin[1] + ROUNDING, f"its earliest begin, {ms(closed - high)}, lies after the outage's, {ms(begin[1])}")
    if not explained:
        return None
    demand(low <= most + ROUNDING, f"at least {ms(low)} ms: it was {ms(most)}")
    sent = [r for r in rows if r["outcome"] != UNSENT_STALL]
    bad = [i for i, r in enumerate(sent) if r["outcome"] != GOOD]
    demand(bad[0] > 0 and bad[-1] + 1 < len(sent), "no good request on both sides")
    last_good, first_bad, last_bad, first_good = sent[bad[0] - 1], sent[bad[0]], sent[bad[-1]], sent[bad[-1] + 1]
    defined = (max(0, last_bad["start"] - first_bad["end"]), first_good["end"] - first_bad["start"], first_good["end"] - last_good["start"])
    demand(all(abs(a - b) <= ROUNDING for a, b in zip((low, point, high), defined)),
           f"{ms(low)}..{ms(point)}..{ms(high)} ms, by the definition {'..'.join(map(ms, defined))}")
    period = cell.period_ms * MS
    width, lateness = high - low, late(first_bad) + late(first_good)
    limit = 2 * period + (first_bad["end"] - first_bad["start"]) + (first_good["end"] - first_good["start"]) + lateness
    demand(width <= limit + ROUNDING, f"{ms(width)} ms wide, at most {ms(limit)} allowed")
    # The point: up to a period late at each edge, and a good request's latency: of the one under way when it began, of the first one after.
    above = period + late(first_good) + first_good["end"] - max(first_good["start"], end[0]) + max(0, begin[1] - first_bad["start"])
    below = period + late(first_bad)
    bias = point - (least + most) // 2
    blur = most - least + ROUNDING
    demand(-below - blur <= bias <= above + blur, f"the point is {ms(bias)} ms off, {ms(-below)}..{ms(above)} allowed")
    return width, bias, lateness


def check_lane(seen, index, lane):
    """(width, bias, lateness) of an undisturbed cell, None where it has no window; raises Wrong or Disturbed."""
    slot, key = seen.slots[index], (f"c{index}", lane)
    cell, rows = slot.cell, seen.rows.get(key, [])
    begin, end = slot.truth["begin"], slot.truth["end"]
    if not rows:
        unless_disturbed(seen, begin[0] - cell.lead_ms * MS, end[1], "no request was sent")
    excused = check_requests(seen, cell, rows, begin, end)
    w = find_window(seen, cell, seen.lanes[key]["downtime"], rows, begin, end)
    figures = check_window(cell, w, rows, begin, end, not excused) if w else None
    if excused:
        raise Disturbed(f"a request failed apart from the outage; {excused}")
    if figures and figures[2] > LATE:
        raise Disturbed("chaosd sent late at an edge")
    edges = ((begin[0] - cell.period_ms * MS, begin[1] + cell.period_ms * MS), (end[0] - cell.period_ms * MS, end[1] + cell.period_ms * MS))
    if w:
        closed, high = w["end_ms"] * MS, w["max_ms"] * MS
        edges = ((closed - high, begin[1] + cell.period_ms * MS), (end[0] - cell.period_ms * MS, closed))
    for a, b in edges:
        why = seen.disturbance(a, b)
        if why:
            raise Disturbed(f"{why[2]} at an edge")
    return figures


# --- many runs ---


@dataclasses.dataclass
class Line:  # of the table: what came out for all cells of a group, lane by lane
    group: tuple
    lane: str
    sees: str
    cells: int = 0
    contained: int = 0
    widest_ns: int = 0
    bias_ns: int = 0
    late_ns: int = 0
    repeated: int = 0


class Harness:
    def __init__(self, cells, rate_limit=600, batch=60, seconds=80, apart_ms=37, copies=12, say=lambda text: print("# " + text, flush=True)):
        self.cells, self.rate_limit, self.batch, self.limit, self.say = cells, rate_limit, batch, time.monotonic() + seconds * tap.SLOW, say
        self.apart_ms, self.copies = apart_ms, copies
        self.wrong, self.why, self.random = [], {}, random.Random(1)
        self.lines = {}
        for c in cells:
            for lane in LANES:
                self.lines.setdefault((*c.group, lane), Line(c.group, lane, c.sees)).cells += 1

    def left(self):
        return [c for c in self.cells if len(c.seen) < len(LANES)]

    def take(self, seen):
        for i, slot in enumerate(seen.slots):
            for lane in LANES:
                line = self.lines[(*slot.cell.group, lane)]
                fresh = lane not in slot.cell.seen
                try:
                    figures = check_lane(seen, i, lane)
                except Wrong as e:
                    self.wrong.append(f"{slot.cell}, {lane}: {e}")
                    self.say("WRONG " + self.wrong[-1])
                    continue
                except Disturbed as e:
                    line.repeated += fresh
                    key = str(e).split("; ")[-1]
                    self.why[key] = self.why.get(key, 0) + 1
                    continue
                if fresh:
                    slot.cell.seen.add(lane)
                    line.contained += 1
                if figures:
                    line.widest_ns = max(line.widest_ns, figures[0])
                    line.bias_ns = max(line.bias_ns, figures[1], key=abs)
                    line.late_ns = max(line.late_ns, figures[2])

    def next_batch(self, cells):
        """The cells that were tried least; where few are left, each several times, so that one stall does not hit all."""
        cells = sorted(cells, key=lambda c: c.tries)[: self.batch]
        many = max(1, min(self.copies, self.batch // len(cells))) if cells[0].tries else 1
        for c in cells:
            c.tries += 1
        self.random.shuffle(cells)
        return place(cells * many, self.rate_limit, self.apart_ms)

    def go(self):
        """Deadlines and latencies in turn, so that one which is disturbed again and again does not use up all the time."""
        while self.left():
            for deadline, latency in sorted({(c.deadline_ms, c.latency_ms) for c in self.left()}):
                if self.wrong or time.monotonic() > self.limit:
                    return self
                slots = self.next_batch([c for c in self.left() if (c.deadline_ms, c.latency_ms) == (deadline, latency)])
                seen = run(slots, deadline, latency)
                self.take(seen)
                self.tell(slots, seen)
        return self

    def tell(self, slots, seen):
        what = {}
        for begin, end, text in seen.disturbed:
            n, longest = what.get(text, (0, 0))
            what[text] = n + 1, max(longest, end - begin)
        noise = ", ".join(f"{text} {n} times (up to {longest // MS} ms)" for text, (n, longest) in what.items())
        self.say(f"deadline {slots[0].cell.deadline_ms} ms, answers after {slots[0].cell.latency_ms} ms: {len(slots)} outages, "
                 f"{len(self.left())} cells still to be seen undisturbed" + (f"; {noise}" if noise else ""))

    def verdict(self):
        """Nothing, or why it failed."""
        if self.wrong:
            return f"{len(self.wrong)} contradictions of the truth:\n" + "\n".join(self.wrong[:20])
        left = self.left()
        if left:
            why = ", ".join(f"{n} times {k}" for k, n in sorted(self.why.items(), key=lambda x: -x[1]))
            return f"{len(left)} of {len(self.cells)} cells were never seen undisturbed: {why}"
        return None

    def table(self):
        return [{"kind": x.group[0], "n_ms": x.group[1], "lane": x.lane, "deadline_ms": x.group[2], "period_ms": x.group[3], "sees": x.sees,
                 "cells": x.cells, "contained": x.contained, "widest_ms": round(x.widest_ns / 1e6, 3) if x.widest_ns else None,
                 "worst_bias_ms": round(x.bias_ns / 1e6, 3) if x.widest_ns else None,
                 "late_ms": round(x.late_ns / 1e6, 3) if x.widest_ns else None, "repeated": x.repeated}
                for x in self.lines.values()]


def print_table(rows):
    heads = list(rows[0])
    text = [[("-" if r[h] is None else str(r[h])) for h in heads] for r in rows]
    widths = [max(len(h), *(len(t[i]) for t in text)) for i, h in enumerate(heads)]
    for t in [heads, *text]:
        print("# " + "  ".join(x.rjust(w) for x, w in zip(t, widths)))


# --- all of it ---

PERIODS_MS = {7: 5, 37: 20, 137: 50, 1013: 100, 4967: 200, 16007: 400}  # by N, so that N is seen
DEADLINES_MS = {7: (60, 250), 37: (80, 250), 137: (60, 250), 1013: (250, 1500), 4967: (250, 1500), 16007: (250, 1500)}
KINDS = ("refuse", "503", "reset", "hang", "blackhole")


def matrix(phases):
    return [c for n, period in PERIODS_MS.items() for deadline in DEADLINES_MS[n] for kind in KINDS
            for c in stratified(kind, n, deadline, period, phases)]


def main():
    a = argparse.ArgumentParser(description="Known outages against what chaosd says of them.")
    a.add_argument("--phases", type=int, default=100)
    a.add_argument("--rate", type=int, default=2500, help="requests a second, all cells together")
    a.add_argument("--minutes", type=float, default=18)
    a.add_argument("--json", type=pathlib.Path)
    o = a.parse_args()
    began, files = time.monotonic(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    h = Harness(matrix(o.phases), rate_limit=o.rate, batch=min(400, (files - 500) // CONCURRENCY), seconds=60 * o.minutes, apart_ms=13, copies=4).go()
    print_table(h.table())
    why = h.verdict()
    if o.json:
        o.json.write_text(json.dumps({"seconds": round(time.monotonic() - began), "ok": not why, "why": why, "disturbances": h.why, "cells": h.table()}, indent=1) + "\n")
    print(f"# {'FAILED: ' + why if why else 'every bracket held the truth'}; {(time.monotonic() - began) / 60:.1f} minutes")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
