# SPDX-License-Identifier: Apache-2.0
"""Programs beside the faults: Rally, h2load, scripts; good ones, broken ones, and ones that will not go."""
import glob
import http.server
import json
import shutil
import subprocess
import threading
import time

import tap
from tap import CHAOSD, ROOT, SLOW, Scratch, Skip, chaosd, events, expect_exit, summary, web

# One request after the other, each told as a line: what any load generator can be made to do.
CLIENT = """
import json, sys, time, urllib.request
while True:
    start, ok, why = time.time(), False, None
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=0.5) as r:
            ok = r.status == 200
    except Exception as e:
        why = str(e)
    print(json.dumps({"start": start, "end": time.time(), "ok": ok, "error": why, "target": "web-0"}), flush=True)
    time.sleep(0.02)
"""


def need(*programs):
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        raise Skip(f"(ci) not installed: {', '.join(missing)}")


def load(name, exec_block):
    return f"load:\n  - name: {name}\n    exec:\n" + "".join(f"      {line}\n" for line in exec_block.strip().splitlines()) + "    window: {goods: 5, over: 300ms}\n"


def beside(exec_block, name="tool", **kw):
    """The web drill of the other tests, with a program as its only load."""
    kw.setdefault("expect", "")
    text = web(**kw).replace("expect: []", "")
    before, rest = text.split("load:\n", 1)
    return before + load(name, exec_block) + "faults:\n" + rest.split("faults:\n", 1)[1]


def alone(exec_block, name="tool", duration="1s", more=""):
    return f"name: alone\n{load(name, exec_block)}duration: {duration}\nsettle: 0s\n{more}"


def check(folder, name):
    return next(c for c in summary(folder)["checks"] if c["name"] == name)


def left(mark):
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if mark.encode() in open(path, "rb").read():
                found.append(path)
        except OSError:
            pass
    return found


def gone(mark):
    end = time.monotonic() + 5
    while left(mark) and time.monotonic() < end:
        time.sleep(0.05)
    return not left(mark)


def test_rally_beside_kills():
    need("rally", "haproxy", "nginx")
    with Scratch() as s:
        p = expect_exit(s.run(ROOT / "scenarios" / "rally-beside-kills.yaml", "--out", s.dir / "r"), 0)
        done = summary(s.dir / "r")
        rally = done["externals"][0]
        assert rally["status"] == 0 and rally["unreadable"] == 0 and not rally["killed"], rally
        report = json.loads((s.dir / "r/loads/rally/report.json").read_text())
        data = report["tasks"][0]["subtasks"][0]["workloads"][0]["data"]
        row = next(r for r in done["loads"] if r["load"] == "rally")
        # As many as Rally has itself, good and bad; each of its outages is one of ours.
        assert row["planned"] == len(data) > 300 and row["bad"] == sum(bool(i["error"]) for i in data), (row, len(data))
        assert row["closed_loop"] and row["availability"]["requests"] < 1
        visits = next(r for r in done["loads"] if r["load"] == "visits")
        assert not visits["closed_loop"]
        # Same clock: its outages lie where the other load's do. (A busy machine may add one of its own, or hide one of the three.)
        shared = [w for w in row["downtime"] if w["fault"] == "kill-any" and any(
            w["start_ms"] < v["start_ms"] + v["max_ms"] and v["start_ms"] < w["start_ms"] + w["max_ms"] for v in visits["downtime"])]
        assert len(shared) >= 2, (row["downtime"], visits["downtime"])
        assert [x["success"] for x in rally["sla"]] == [True, True] and check(s.dir / "r", "sla(rally, failure_rate)")["verdict"] == "pass"
        # It was waited for: no kill before its load, and its load covers the schedule.
        ready = next(e["t"] for e in events(s.dir / "r") if e["op"] == "run/schedule")
        assert all(f["observed"] for f in done["faults"]) and len(done["faults"]) == 3
        assert rally["from_ms"] * 1e6 < ready and row["good"] > 0
        assert "CLOSED LOOP" in p.stdout and "logs/rally.err" in p.stdout
        assert "rally" not in {x.name for x in s.dir.iterdir()} and not left("rally.conf")
        page = (s.dir / "r" / "report.html").read_text()
        assert "rally.err" in page and "CLOSED LOOP" in page
        print(f"# rally {row['availability']['requests']}, visits {visits['availability']['requests']}, seed {done['seed']}")
        # Judged again, from the folder alone.
        again = chaosd("report", s.dir / "r", env=s.env)
        assert expect_exit(again, 0).stdout.splitlines()[1:12] == p.stdout[p.stdout.index("PASS"):].splitlines()[1:12]


class Flaky(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0

    def do_GET(self):
        Flaky.count += 1
        self.send_response(500 if Flaky.count % 3 == 0 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *a):
        pass


def test_rally_whose_sla_fails():
    need("rally")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    whole = (ROOT / "scenarios" / "rally-beside-kills.yaml").read_text()
    block = "\n".join(line[6:] for line in whole[whole.index("      command: [sh, run.sh]"):whole.index("\nfaults:")].splitlines())
    block = block.replace("http://lb-0/", f"http://127.0.0.1:{server.server_port}/").replace("${workers}", "2").replace("pause: 0.05", "pause: 0.02")
    block = block.replace('if b"hello" not in answer.read(1000):', "if answer.status != 200:")
    with Scratch() as s:
        p = expect_exit(s.run(s.write("a.yaml", alone(block, "rally", "3s", "readyTimeout: 60s\n")), "--out", s.dir / "r"), 1)
        rally = summary(s.dir / "r")["externals"][0]
        assert rally["status"] == 2 and check(s.dir / "r", "external(rally)")["verdict"] == "fail", rally
        sla = check(s.dir / "r", "sla(rally, failure_rate)")
        assert sla["verdict"] == "fail" and "Failed" in sla["why"], sla
        row = summary(s.dir / "r")["loads"][0]
        assert 0.2 < row["bad"] / row["planned"] < 0.45, row
        assert p.stdout.count("sla(rally") == 2
    server.shutdown()


def test_a_script_that_tells_json_lines():
    with Scratch() as s:
        block = f"""
command: [python3, client.py, "http://web-0:8080/"]
files: {{client.py: {json.dumps(CLIENT)}}}
samples: jsonl
"""
        path = s.write("a.yaml", beside(block, duration="6s", expect='"availability(tool) >= 20%", "downtime.max < 4s"'))
        expect_exit(s.run(path, "--out", s.dir / "r"), 0)
        done = summary(s.dir / "r")
        row = done["loads"][0]
        assert row["reasons"].get("refused", 0) > 0, row  # the pod's name meant the pod, and nobody answered there
        assert len(row["downtime"]) == 1 and row["downtime"][0]["fault"] == "hit", row
        assert [t["target"] for t in done["targets"]] == ["web-0"]
        assert done["externals"][0]["asked_to_end"] and done["externals"][0]["unreadable"] <= 1, done["externals"]


def test_h2load():
    need("h2load", "nginx")
    server = """
command: [nginx, -p, "${pod.dir}", -c, "${pod.dir}/nginx.conf", -e, stderr]
        files:
          nginx.conf: |
            daemon off;
            pid nginx.pid;
            events {}
            http {
              access_log off;
              client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
              server { listen ${pod.ip}:8080; location / { return 200 "hello"; } }
            }""".strip()
    with Scratch() as s:
        block = """
command: [h2load, --h1, -c, "4", --rps, "25", -D, "${load.seconds}", --log-file, h2.log, "http://web-0:8080/"]
samples: h2load
from: h2.log
finish: 10s
deadline: 300ms
"""
        text = beside(block, fault="pod-pause: {selector: {labelSelectors: {app: web}}}\n    at: [2s]\n    for: 1s", duration="6s")
        text = text.replace('command: [python3, -m, http.server, --bind, "${pod.ip}", "8080"]', server)
        p = s.run(s.write("a.yaml", text), "--out", s.dir / "r")
        assert p.returncode == 0, p.stdout + p.stderr
        done = summary(s.dir / "r")
        lines = (s.dir / "r/loads/tool/h2.log").read_text().splitlines()
        row, fault = done["loads"][0], done["faults"][0]
        assert row["planned"] == len(lines) > 100 and done["externals"][0]["unreadable"] == 0, (row, len(lines))
        # Its stamps are of the wall clock: mapped, its worst window holds the pause, which it did not see the beginning of.
        worst = max(row["downtime"], key=lambda w: w["max_ms"])
        assert worst["fault"] == "hit" and worst["start_ms"] <= fault["at_ms"] + 300 and worst["start_ms"] + worst["max_ms"] >= fault["at_ms"] + 700, (worst, fault)
        assert row["reasons"] == {"timeout": row["bad"]}, row


def test_a_wrong_status_is_not_the_services():
    with Scratch() as s:
        path = s.write("a.yaml", alone('command: [sh, -c, "echo no such option >&2; exit 3"]'))
        p = expect_exit(s.run(path, "--out", s.dir / "r"), 2)
        assert "tool ended with status 3" in p.stdout and "Its last words: no such option" in p.stdout, p.stdout
        assert check(s.dir / "r", "external(tool)")["verdict"] == "inconclusive"
        path = s.write("b.yaml", alone('command: [sh, -c, "exit 99"]\nfailStatus: 99'))
        expect_exit(s.run(path, "--out", s.dir / "r2"), 1)
        path = s.write("c.yaml", alone('command: [sh, -c, "exit 3"]\npassStatus: 3'))
        expect_exit(s.run(path, "--out", s.dir / "r3"), 0)


def test_a_tool_that_is_not_there_is_told_before_anything_starts():
    for block in ("command: [no-such-tool, -x]", "command: [sh, a.sh]\nneeds: [no-such-tool]"):
        with Scratch() as s:
            path = s.write("a.yaml", alone(block))
            p = expect_exit(chaosd("check", path, env=s.env), 1)
            assert "no  load tool: no-such-tool: No such file or directory: is it installed, and in PATH?" in p.stdout, p.stdout
            p = s.run(path, "--out", s.dir / "r")
            assert p.returncode not in (0, 1, 2) and "load tool: no-such-tool" in p.stderr, (p.returncode, p.stderr)
            assert not (s.dir / "r" / "history.jsonl").exists()


def test_a_limit_on_a_load_that_tells_nothing_is_refused():
    with Scratch() as s:
        path = s.write("a.yaml", alone("command: [true]", more='expect: ["availability(tool) >= 99%"]\n'))
        p = expect_exit(chaosd("check", path, env=s.env), 64)
        assert 'a.yaml:9:' in p.stderr and 'load "tool" tells of no requests' in p.stderr, p.stderr


def test_binary_junk_is_counted():
    with Scratch() as s:
        block = "command: [sh, -c, \"head -c 200000 /dev/urandom; echo; head -c 300000 /dev/zero; echo; printf '{\\\"at\\\": 0.1'\"]\nsamples: jsonl"
        p = expect_exit(s.run(s.write("a.yaml", alone(block)), "--out", s.dir / "r"), 2)
        tool = summary(s.dir / "r")["externals"][0]
        assert tool["samples"] == 0 and tool["unreadable"] > 100 and tool["unreadable_first"] >= 1 and tool["unreadable_why"], tool
        assert "could not be read" in p.stdout and "\x1b" not in p.stdout and "\x00" not in p.stdout
        assert (s.dir / "r" / "logs" / "tool.out").stat().st_size > 200000


# Deaf to every polite signal, with children in sessions of their own whose pipes are closed.
STUBBORN = """
command:
  - sh
  - -c
  - |
    trap '' TERM INT HUP
    setsid sh -c 'trap "" TERM HUP; sleep {mark} & sleep {mark}' </dev/null >/dev/null 2>&1 &
    (setsid sleep {mark} &)
    while :; do sleep 1; done
stopTimeout: 500ms
"""


def test_a_tool_that_never_ends():
    mark = "86411.5"
    for make in (alone, beside):
        with Scratch() as s:
            kw = {} if make is alone else {"duration": "3s"}
            p = expect_exit(s.run(s.write("a.yaml", make(STUBBORN.format(mark=mark), **kw)), "--out", s.dir / "r"), 2)
            assert "tool did not end when it was asked to, and was killed" in p.stdout, p.stdout
            assert gone(mark), left(mark)


def test_killed_in_mid_run_nothing_of_it_stays():
    mark = "86412.5"
    with Scratch() as s:
        path = s.write("a.yaml", beside(STUBBORN.format(mark=mark), duration="60s", fault="pod-kill: {selector: {labelSelectors: {app: web}}}\n    at: [50s]"))
        p = subprocess.Popen([CHAOSD, "run", path, "--yes", "--out", s.dir / "r"], env=s.env, cwd=s.dir, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30 * SLOW
        while len(left(mark)) < 3 and time.monotonic() < end:
            time.sleep(0.05)
        assert len(left(mark)) >= 3
        p.kill()
        p.wait()
        expect_exit(chaosd("revert", "--all", env=s.env), 0)
        assert gone(mark), left(mark)


def test_interrupted():
    mark = "86413.5"
    with Scratch() as s:
        path = s.write("a.yaml", alone(f'command: [sh, -c, "sleep {mark}"]\nfinish: 600s', duration="60s"))
        p = subprocess.Popen([CHAOSD, "run", path, "--yes", "--out", s.dir / "r"], env=s.env, cwd=s.dir, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        end = time.monotonic() + 30 * SLOW
        while not left(mark + "\0") and time.monotonic() < end:
            time.sleep(0.05)
        began = time.monotonic()
        p.terminate()
        out, _ = p.communicate(timeout=60)
        assert p.returncode == 4 and gone(mark), (p.returncode, out)
        assert time.monotonic() - began < 10 * SLOW, "it was given the time to finish although a person wanted the run to end"


tap.main()
