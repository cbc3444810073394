# SPDX-License-Identifier: Apache-2.0
"""Probes in a whole run: each mode at its time, what a wrong answer does, answers that are no answers; and the tcp load beside them."""
import json
import os
import signal
import subprocess
import time

import tap
from tap import CHAOSD, SLOW, Scratch, expect_exit

S, MS = 10**9, 10**6

# A server of several ports: right answers, and every kind of wrong one.
TALKER = r"""
import socket, sys, threading, time
ip = sys.argv[1]
def pong(c):
    c.recv(100); c.sendall(b"+PONG\r\n"); c.recv(1)
def garbage(c):
    c.recv(100); c.sendall(bytes(range(128, 256)) * 4); c.recv(1)
def endless(c):
    c.recv(100)
    while True: c.sendall(b"y" * 65536)
def half(c):
    c.recv(100); c.sendall(b"+PO")
def close(c): c.recv(100)
def slow(c):
    c.recv(100); time.sleep(0.08); c.sendall(b"+PONG\r\n"); c.recv(1)
def silent(c):
    while c.recv(100): pass
def serve(c, what):
    try: what(c)
    except OSError: pass
    finally: c.close()
def listen(port, what):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((ip, port)); s.listen(128)
    while True:
        c, _ = s.accept()
        threading.Thread(target=serve, args=(c, what), daemon=True).start()
for n, what in enumerate((garbage, endless, half, close, silent, slow)):
    threading.Thread(target=listen, args=(7001 + n, what), daemon=True).start()
listen(7000, pong)
"""

HEAD = """
name: talk
cluster:
  local:
    nodes: 2
    workloads:
      - name: talk
        replicas: 2
        labels: {app: talk}
        command: [/usr/bin/python3, talk.py, "${pod.ip}"]
        files: {talk.py: TALKER}
        ready: {tcp: {port: 7000, send: "PING\\r\\n", expect: {equals: "+PONG\\r\\n"}}, interval: 100ms}
        restart: {policy: always, delay: 300ms}
load:
  - name: pings
    tcp:
      rate: 50/s
      targets: {selector: {labelSelectors: {app: talk}}, port: 7000}
      send: "PING\\r\\n"
      expect: {equals: "+PONG\\r\\n"}
      deadline: 500ms
    window: {goods: 3, over: 200ms}
""".replace("TALKER", json.dumps(TALKER))

ASK = 'selector: {labelSelectors: {app: talk}}, tcp: {port: 7000, send: "PING\\r\\n", expect: {equals: "+PONG\\r\\n"}}'
PAUSE = 'faults: [{name: freeze, pod-pause: {selector: {pods: [talk-0]}}, at: [1s], for: 700ms}]\n'


def drill(s, text, code, *args):
    out = s.dir / "run"
    p = expect_exit(s.run(s.write("talk.yaml", HEAD + text), "--out", out, "--seed", "1", *args), code)
    return out, tap.summary(out), tap.events(out), p


def probe(summary, name):
    return next(p for p in summary["probes"] if p["name"] == name)


def check(summary, name):
    return next(c for c in summary["checks"] if c["name"] == name)


def of(events, op, **data):
    return [e for e in events if e["op"] == op and all(e["data"].get(k) == v for k, v in data.items())]


def test_each_mode_has_its_time():
    with Scratch() as s:
        out, summary, events, p = drill(s, PAUSE + f"""
duration: 4s
settle: 1s
probes:
  - {{name: first, mode: start, {ASK}}}
  - {{name: last, mode: end, {ASK}}}
  - {{name: both, mode: edge, initialDelay: 300ms, exec: {{command: [echo, "42"], expect: {{compare: "> 41"}}}}}}
  - {{name: through, mode: continuous, interval: 50ms, timeout: 150ms, {ASK}}}
  - name: broken
    mode: on-fault
    interval: 50ms
    selector: {{pods: [talk-1]}}
    tcp: {{port: 7000, send: "PING\\r\\n", expect: {{prefix: "+PONG"}}}}
expect: ["probe(through) >= 20%", "availability(pings) >= 20%"]
""", 0)
        ready, schedule, loads_end = (of(events, op)[-1]["t"] for op in ("run/ready", "run/schedule", "run/loads-end"))
        act, thaw = (next(e["t"] for e in of(events, op) if e["phase"] == "ok") for op in ("fault/act", "fault/revert"))
        thawing = next(e["t"] for e in of(events, "fault/revert") if e["phase"] == "invoke")  # it may answer before "ok" is written
        starts = of(events, "probe/answer", probe="first")
        assert [e["target"] for e in starts] == ["talk-0", "talk-1"] or [e["target"] for e in starts] == ["talk-1", "talk-0"], starts
        assert all(ready <= e["data"]["asked"] <= e["data"]["seen"] <= schedule and e["data"]["value"] == "+PONG" for e in starts), starts
        ends = of(events, "probe/answer", probe="last")
        assert len(ends) == 2 and all(e["data"]["asked"] >= max(loads_end, thaw) for e in ends), ends
        before, after = of(events, "probe/answer", probe="both")
        assert before["data"]["asked"] - ready >= 300 * MS and before["data"]["seen"] <= schedule and before["data"]["value"] == "42", before
        assert after["data"]["asked"] - loads_end >= 300 * MS, after
        assert schedule - ready >= 300 * MS  # nothing begins before the last start probe has answered

        # continuous: the frozen pod goes wrong within the fault, is right again after it, and the other one never changes
        frozen = of(events, "probe/answer", probe="through")
        other = [e for e in frozen if e["target"] == "talk-1"]
        frozen = [e["data"] for e in frozen if e["target"] == "talk-0"]
        assert [e["data"]["ok"] for e in other] == [True], other
        assert [e["ok"] for e in frozen] == [True, False, True] and "no whole answer within" in frozen[1]["why"], frozen
        assert frozen[1]["before_asked"] <= act <= frozen[1]["seen"] and frozen[2]["seen"] >= thawing, (frozen, act, thawing)
        stretch = probe(summary, "through")["longest_wrong"]
        assert stretch["min_ms"] <= 700 <= stretch["max_ms"] + 1 and stretch["point_ms"] >= 400, stretch
        asked = {t["target"]: t["asked"] for t in probe(summary, "through")["targets"]}
        assert asked["talk-1"] >= 30 and asked["talk-0"] >= 10, asked

        # on-fault: silent before the act, and over when all is well again
        broken = of(events, "probe/answer", probe="broken")
        last = of(events, "probe/summary", probe="broken")[0]["data"]
        ready_again = max([e["t"] for e in events if e["op"] == "cluster/pod" and e["kind"] == "ready"] + [thaw])
        assert len(broken) == 1 and act <= broken[0]["data"]["asked"] < thaw, broken
        assert last["last_asked"] <= ready_again + 50 * MS and 3 <= last["asked"] <= (ready_again - act) / (50 * MS) + 2, (last, ready_again, act)
        assert check(summary, "probe broken")["verdict"] == "pass" and not [c for c in summary["checks"] if c["name"] == "probe through"]
        assert "probe through on talk-0: WRONG" in p.stdout + p.stderr
        for name, what in (("report.html", '"probes":[{'), ("summary.md", "### Probes"), ("junit.xml", 'name="probe first"')):
            assert what in (out / name).read_text(), name


def test_a_failing_start_probe_stops_before_any_harm():
    with Scratch() as s:
        out, summary, events, p = drill(s, PAUSE + """
duration: 4s
settle: 1s
probes:
  - {name: later, mode: end, exec: {command: ["true"]}}
  - {name: steady, mode: start, attempts: 3, interval: 50ms, selector: {pods: [talk-1]}, tcp: {port: 7000, send: "PING\\r\\n", expect: {prefix: "-ERR"}}}
""", 4)
        assert summary["verdict"] == "aborted" and 'probe steady on talk-1: answered "+PONG"' in summary["why"], summary["why"]
        assert not of(events, "fault/act") and not of(events, "load/start") and not of(events, "run/schedule"), events
        assert check(summary, "probe steady")["verdict"] == "fail" and check(summary, "probe later")["verdict"] == "inconclusive"
        answer = of(events, "probe/answer", probe="steady")[0]["data"]
        assert answer["seen"] - answer["asked"] >= 100 * MS, answer  # three attempts, one wrong answer
        assert of(events, "probe/summary", probe="steady")[0]["data"]["bad"] == 1


def test_stop_on_failure_reverts_and_ends():
    with Scratch() as s:
        out, summary, events, p = drill(s, PAUSE.replace("700ms", "20s") + f"""
duration: 30s
settle: 1s
probes: [{{name: guard, mode: continuous, interval: 50ms, timeout: 100ms, stopOnFailure: true, {ASK}}}]
""", 4)
        assert "probe guard on talk-0" in summary["why"], summary["why"]
        assert [e["phase"] for e in of(events, "fault/revert")] == ["invoke", "ok"] and check(summary, "reverted")["verdict"] == "pass"
        assert of(events, "run/loads-end")[0]["t"] < 20 * S * SLOW


def test_answers_that_are_none():
    """Garbage, endless, half, closed and silent: bad with a reason, for a probe and for a load."""
    ports = {7001: ("garbage", "answered", "body"), 7002: ("endless", "over 65536 bytes", "too-big"), 7003: ("half", 'ended after "+PO"', "reset"),
             7004: ("closed", "ended without an answer", "reset"), 7005: ("silent", "no whole answer within", "timeout"), 7999: ("refused", "Connection refused", "refused")}
    one = '{{pods: [talk-0]}}'.replace("{{", "{").replace("}}", "}")
    with Scratch() as s:
        loads = "".join(f"""  - name: {name}
    tcp: {{rate: 20/s, targets: {{selector: {one}, port: {port}}}, send: "PING\\r\\n", expect: {{{"contains" if port == 7002 else "equals"}: "+PONG\\r\\n"}}, deadline: 400ms}}
""" for port, (name, _, _) in ports.items())
        probes = "probes:\n" + "".join(
            f'  - {{name: {name}, mode: end, timeout: 400ms, selector: {one}, tcp: {{port: {port}, send: "PING\\r\\n", expect: {{{"contains" if port == 7002 else "equals"}: "+PONG\\r\\n"}}}}}}\n'
            for port, (name, _, _) in ports.items())
        out, summary, events, p = drill(s, loads + "duration: 2s\n" + probes, 1)
        for port, (name, why, reason) in ports.items():
            c = check(summary, "probe " + name)
            assert c["verdict"] == "fail" and why in c["why"], c
            load = next(x for x in summary["loads"] if x["load"] == name)
            known = {k: v for k, v in load["reasons"].items() if k not in ("stall", "other", "timeout" if reason != "timeout" else "")}
            assert load["good"] == 0 and set(known) == {reason} and known[reason] >= 10, (name, load)
        good = next(x for x in summary["loads"] if x["load"] == "pings")
        assert good["good"] >= 50 and next(x for x in summary["lanes"] if x["load"] == "pings")["lane"] == "tcp", good


def test_a_stall_of_chaosd_is_no_wrong_answer():
    with Scratch() as s:
        path = s.write("talk.yaml", HEAD + f"""
duration: 6s
probes: [{{name: through, mode: continuous, interval: 90ms, timeout: 400ms, selector: {{labelSelectors: {{app: talk}}}}, tcp: {{port: 7006, send: "PING\\r\\n", expect: {{prefix: "+PONG"}}}}}}]
""")
        out = s.dir / "run"
        p = subprocess.Popen([CHAOSD, "run", path, "--yes", "--out", out], env=s.env, cwd=s.dir, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in p.stdout:
            if "load and schedule start" in line:
                break
        time.sleep(1)
        for _ in range(4):  # an answer is nearly always on its way: its time is over before anybody looks
            os.kill(p.pid, signal.SIGSTOP)
            time.sleep(0.6)
            os.kill(p.pid, signal.SIGCONT)
            time.sleep(0.3)
        p.stdout.read()
        assert p.wait(60 * SLOW) in (0, 2), p.returncode
        figures = probe(tap.summary(out), "through")
        assert figures["verdict"] == "pass" and figures["bad"] == 0 and figures["good"] > 20, figures
        print(f"# {figures['unsure']} answers were left open")


def test_secrets_and_wild_output_stay_out():
    with Scratch() as s:
        out, summary, events, p = drill(s, """
secrets: [word]
duration: 1s
probes:
  - {name: tells, mode: end, exec: {command: [echo, "it is ${secret.word}"], expect: {contains: other}}}
  - {name: wild, mode: end, exec: {command: [printf, '\\033[2J\\377\\n"'], expect: {contains: other}}}
""", 1, "--set-secret", "word=hunter22")
        for f in ("history.jsonl", "summary.json", "report.html", "summary.md", "junit.xml"):
            assert "hunter22" not in (out / f).read_text(), f
        assert "hunter22" not in p.stdout + p.stderr
        assert 'answered "it is ********"' in check(summary, "probe tells")["why"], check(summary, "probe tells")
        assert 'answered ".[2J..' in check(summary, "probe wild")["why"], check(summary, "probe wild")


def test_what_cannot_be_is_said_with_its_place():
    with Scratch() as s:
        path = s.write("talk.yaml", HEAD + "duration: 1s\nprobes:\n  - {name: a, mode: on-fault, selector: {}, tcp: {port: 1}}\n")
        line = (HEAD + "duration: 1s\nprobes:\n").count("\n") + 1
        p = expect_exit(tap.chaosd("check", path, env=s.env), 64)
        assert f"talk.yaml:{line}:" in p.stderr and "asked on-fault, but the scenario has no faults" in p.stderr, p.stderr


if __name__ == "__main__":
    tap.main()
