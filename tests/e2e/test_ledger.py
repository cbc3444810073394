# SPDX-License-Identifier: Apache-2.0
"""Acknowledged writes are read back: what a store loses, hides, refuses to say, or kept without saying so, is counted as that, and nothing else."""
import json
import pathlib
import signal
import struct
import subprocess
import time

import tap
from tap import CHAOSD, ROOT, SLOW, Scratch, events, expect_exit, summary

GOOD = 0
SAMPLE = struct.Struct("<qqqHBBBBHHBBIIIIII")

# A store behind HTTP. What it acknowledges it keeps in memory and, but for `forget`, in a file. Each tenth write it keeps and then denies.
STORE = """
import http.server, os, sys, time
MODE, ADDRESS, started, seen = sys.argv[1], sys.argv[2], time.monotonic(), 0
again = os.path.exists("born")
open("born", "w").close()
kept = {}
late = again and MODE == "late"
def load():
    if os.path.exists("data") and MODE != "forget":
        kept.update(line.rstrip("\\n").split("=", 1) for line in open("data"))
if not late:
    load()
data = open("data", "a", buffering=1)
class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def say(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_PUT(self):
        global seen
        value = self.rfile.read(int(self.headers["Content-Length"])).decode()
        kept[self.path] = value
        data.write(f"{self.path}={value}\\n")
        seen += 1
        self.say(500 if seen % 10 == 0 else 200)
    def do_GET(self):
        global late
        if self.path == "/":
            return self.say(200)
        if again and MODE == "refuse":
            return self.say(503)
        if late and time.monotonic() - started > 3.5:   # what was on disk comes back, after a while
            load()
            late = False   # not before: another thread would miss what is not there yet
        value = kept.get(self.path)
        if MODE == "wrong" and again and self.path[-1] in "01":
            value = "somebody else's"
        self.say(404) if value is None else self.say(200, value.encode())
    def log_message(self, *a): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server((ADDRESS, 8080), Store).serve_forever()
"""

SCENARIO = """
name: store
cluster:
  local:
    nodes: 1
    workloads:
      - name: store
        labels: {{app: store}}
        command: [python3, store.py, {mode}, "${{pod.ip}}"]
        files:
          store.py: |
{code}
        ready: {{http: {{url: "http://${{pod.ip}}:8080/"}}}}
        restart: {{policy: always, delay: 100ms}}
load:
  - name: writes
    http:
      rate: 100/s
      targets: {{selector: {{labelSelectors: {{app: store}}}}, base: "http://${{pod.ip}}:8080"}}
      steps: [{{put: "/${{ledger.key}}", body: "${{ledger.value}}"}}]
      deadline: 400ms
      ledger: {{limit: {limit}, read: [{{get: "/${{ledger.key}}", expect: {{contains: "${{ledger.value}}"}}}}]}}
    window: {{goods: 3, over: 50ms}}
faults:
  - name: kill
    pod-kill: {{selector: {{labelSelectors: {{app: store}}}}}}
    at: [2s]
duration: 7s
settle: 3s
expect: [{expect}]
"""


def samples(folder):
    raw = (pathlib.Path(folder) / "samples.bin").read_bytes()[64:]
    rows = [SAMPLE.unpack_from(raw, i) for i in range(0, len(raw) // 64 * 64, 64)]
    return [{"end": r[2], "outcome": r[5], "reason": r[6], "status": r[8], "entry": r[17]} for r in rows]


def drill(mode, code, expect='"availability >= 20%"', limit="20s"):
    with Scratch() as s:
        text = SCENARIO.format(mode=mode, limit=limit, expect=expect, code="\n".join(" " * 12 + line for line in STORE.splitlines()))
        expect_exit(s.run(s.write("store.yaml", text), "--out", s.dir / "run", "--seed", "3"), code)
        return summary(s.dir / "run"), events(s.dir / "run"), samples(s.dir / "run"), (s.dir / "run" / "summary.md").read_text()


def of(rows, good, before=None, after=None):
    return [r for r in rows if (r["outcome"] == GOOD) == good and (before is None or r["end"] <= before) and (after is None or r["end"] > after)]


def killed_at(history):
    return [e["t"] for e in history if e["op"] == "cluster/pod" and e["kind"] == "exited"][0]


def missing(history, kind):
    return {n for e in history if e["op"] == "ledger/missing" and e["kind"] == kind for a, b in e["data"]["entries"] for n in range(a, b + 1)}


def check_of(report, name):
    return [c for c in report["checks"] if c["name"] == name][0]


def test_a_store_that_forgets():
    """All that was acknowledged before the kill is lost, to the last entry, and the check that is always there fails."""
    report, history, rows, markdown = drill("forget", 1)
    entry = report["ledger"]["loads"][0]
    before = {r["entry"] for r in of(rows, True, before=killed_at(history))}
    assert len(before) > 100, len(before)
    assert missing(history, "lost") & {r["entry"] for r in of(rows, True)} == before
    assert report["ledger"]["lost"] == entry["lost"] == len(before), (entry, len(before))
    assert report["ledger"]["acknowledged"] == len(of(rows, True)) and entry["unknown"] == 0
    # What it kept and denied after its restart is there; what it had kept and denied before is gone, and nobody was promised it.
    assert entry["recovered"] == len([r for r in of(rows, False, after=killed_at(history)) if r["status"] == 500]) > 10, entry
    assert [loss["fault"] for loss in entry["losses"]] == ["kill"] and len(entry["lost_keys"]) == 20
    acknowledged = sorted(r["end"] for r in of(rows, True))
    lost_last = max(r["end"] for r in rows if r["entry"] in before)
    bracket = entry["rpo_ms"]
    assert abs(bracket["min"] - (lost_last - acknowledged[0]) / 1e6) < 0.001, bracket
    after = min(t for t in acknowledged if t > lost_last)
    assert abs(bracket["max"] - (after - acknowledged[0]) / 1e6) < 0.001, bracket
    assert check_of(report, "ledger")["verdict"] == "fail" and "no limit allows that" in report["why"]
    assert f"**{len(before)}**" in markdown, markdown


def test_a_store_that_hides_for_a_while():
    """What is not there after the recovery, but at the end, is stale and not lost; rpo is 0."""
    report, history, rows, _ = drill("late", 0, '"ledger.lost == 0", "ledger.stale >= 100", "rpo.max < 1ms"')
    reads = [e for e in history if e["op"] == "ledger/read" and e["phase"] == "ok"]
    assert [e["data"]["when"] for e in reads] == ["recovery", "end"], reads
    seen = missing(history, "missing") & {r["entry"] for r in of(rows, True)}
    assert report["ledger"]["stale"] == len(seen) == reads[0]["data"]["lost"] > 100, (report["ledger"], len(seen))
    assert seen == {r["entry"] for r in of(rows, True, before=killed_at(history))}
    assert report["ledger"]["lost"] == 0 and report["ledger"]["unknown"] == 0
    assert report["ledger"]["recovered"] >= len([r for r in of(rows, False) if r["status"] == 500]) > 10


def test_a_store_that_does_not_answer():
    """Unknown is never a pass, and it takes no longer than its limit."""
    began = time.monotonic()
    report, history, rows, _ = drill("refuse", 2, '"ledger.lost <= 5"', limit="2s")
    assert time.monotonic() - began < 60 * SLOW
    entry = report["ledger"]["loads"][0]
    assert entry["unknown"] == entry["acknowledged"] == len(of(rows, True)) and entry["lost"] == 0, entry
    assert "could not be read back: status 503" in check_of(report, "ledger")["why"]
    assert check_of(report, "ledger.lost <= 5")["verdict"] == "inconclusive"
    assert entry["rpo_ms"]["max"] is None


def test_a_store_with_other_values():
    report, history, rows, _ = drill("wrong", 1)
    entry = report["ledger"]["loads"][0]
    share = entry["lost"] / entry["acknowledged"]
    assert entry["lost"] == entry["other_value"] and 0.05 < share < 0.25, entry   # keys that end in 0 or 1: an eighth of them
    assert entry["unknown"] == 0
    assert all(key[-1] in "01" for key in entry["lost_keys"])


def test_interrupted_while_reading():
    """The first Ctrl-C during the reading ends it: what was not read is unknown."""
    with Scratch() as s:
        text = SCENARIO.format(mode="refuse", limit="1h", expect='"availability >= 20%"', code="\n".join(" " * 12 + line for line in STORE.splitlines()))
        run = subprocess.Popen([CHAOSD, "run", s.write("store.yaml", text), "--yes", "--out", s.dir / "run"], env=s.env, cwd=s.dir,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
        told = []
        for line in run.stdout:
            told.append(line)
            if "load ends" in line:
                break
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        told += run.stdout.readlines()
        assert run.wait(60 * SLOW) == 2, "".join(told)
        report = summary(s.dir / "run")
        assert report["ledger"]["lost"] is None and report["ledger"]["unknown"] == report["ledger"]["acknowledged"] > 0, report["ledger"]


# At the end of its stdin, when all has been read back, the client writes down every key that any Redis still has.
DUMP = """
          everything = {}
          for name in ("redis-0", "redis-1", "redis-2"):
              with socket.create_connection((name, 6379), 5) as s:
                  s.sendall(b"KEYS *\\r\\n")
                  text = s.makefile("rb")
                  count = int(text.readline()[1:])
                  everything[name] = [(text.readline(), text.readline())[1].decode().strip() for _ in range(count)]
          json.dump(everything, open("everything.json", "w"))
"""


def test_redis_loses_what_it_acknowledged():
    """The scenario as it stands, but for the dump: what chaosd calls lost is in no Redis, and what it calls kept is in all of them."""
    text = (ROOT / "scenarios" / "redis-lost-writes.yaml").read_text()
    end = "              print(json.dumps(answer), flush=True)\n"
    assert end in text
    text = text.replace(end, end + DUMP.lstrip("\n")).replace("workers: 4", "workers: 1").replace("concurrency: 40", "concurrency: 10")
    with Scratch() as s:
        expect_exit(s.run(s.write("redis.yaml", text), "--out", s.dir / "run", "--seed", "5"), 0)
        report, history = summary(s.dir / "run"), events(s.dir / "run")
        there = json.loads((s.dir / "run" / "driver" / "writes" / "everything.json").read_text())
        rows = samples(s.dir / "run")
    lost, acknowledged = report["ledger"]["lost"], report["ledger"]["acknowledged"]
    assert lost >= 200, report["ledger"]
    assert len(there) == 3 and len({tuple(sorted(keys)) for keys in there.values()}) == 1, {k: len(v) for k, v in there.items()}
    keys = set(there["redis-0"])
    gone = report["ledger"]["loads"][0]["lost_keys"]
    assert len(gone) == 20 and not keys & set(gone), keys & set(gone)
    # Every entry is a key: those that were kept, those that nobody was promised and are there all the same, and no other.
    assert len(keys) == acknowledged - lost + report["ledger"]["recovered"], (len(keys), report["ledger"])
    thawed = [e["t"] for e in history if e["op"] == "cluster/pod" and e["kind"] == "thawed"][0]
    loss = report["ledger"]["loads"][0]["losses"]
    assert [x["fault"] for x in loss] == ["freeze-master"], loss
    entries = missing(history, "lost")
    ends = [r["end"] for r in rows if r["entry"] in entries and r["outcome"] == GOOD]
    assert len(ends) == lost and len([t for t in ends if t > thawed]) > 0.95 * lost, (lost, len(ends))   # the thawed master said OK to them


if __name__ == "__main__":
    tap.main()
