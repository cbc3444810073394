# SPDX-License-Identifier: Apache-2.0
"""Acts under difficult circumstances: slow roles, several victims, signals at bad moments, helpers that must not be left."""
import glob
import http.server
import json
import os
import signal
import subprocess
import threading
import time

import tap
from tap import CHAOSD, Scratch, chaosd, events, expect_exit, summary, web

# Answers /role after the pod's own delay, anything else at once.
SERVER = """
import http.server, os, socketserver, sys, time
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/role": time.sleep(float(os.environ["DELAY"]) / 1000)
        body = b"ok"
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
class S(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True; request_queue_size = 128
S((os.environ["POD_IP"], 8080), H).serve_forever()
"""


def roles(s, delays, fault, at="[1s]", duration="6s"):
    workloads = "\n".join(f"""      - name: {name}
        replicas: 1
        labels: {{app: boss}}
        env: {{DELAY: "{ms}"}}
        command: [python3, "${{pod.dir}}/server.py"]
        files: {{server.py: {json.dumps(SERVER)}}}
        ready: {{http: {{url: "http://${{pod.ip}}:8080/"}}}}
        restart: {{policy: always, delay: 100ms}}""" for name, ms in delays.items())
    return s.write("roles.yaml", f"""
name: roles
cluster:
  local:
    nodes: 1
    workloads:
{workloads}
roles:
  boss: {{of: {{labelSelectors: {{app: boss}}}}, http: {{get: "http://${{pod.ip}}:8080/role"}}}}
load:
  - name: gets
    http: {{rate: 50/s, targets: {{selector: {{labelSelectors: {{app: boss}}}}, base: "http://${{pod.ip}}:8080"}}, steps: [{{get: /}}]}}
faults:
  - name: hit
    {fault}
    at: {at}
duration: {duration}
settle: 1s
""")


def invoked(folder):
    return [e for e in events(folder) if e["op"] == "fault/act" and e["phase"] == "invoke"]


def skipped(folder):
    return [e["data"]["why"] for e in events(folder) if e["op"] == "fault/act" and e["kind"] == "skip"]


def test_a_planned_act_strikes_a_pod_once():
    with Scratch() as s:
        path = roles(s, {"fast": 0, "slow": 150}, "pod-kill: {selector: {labelSelectors: {app: boss}, role: boss}, mode: all}")
        s.run(path, "--out", s.dir / "run")
        assert [e["target"] for e in invoked(s.dir / "run")] == ["fast-0"], invoked(s.dir / "run")
        why = skipped(s.dir / "run")
        assert len(why) == 1 and "slow-0 did not confirm the role" in why[0], why


def test_a_role_that_is_never_confirmed_is_a_skip_with_its_reason():
    with Scratch() as s:
        path = roles(s, {"slow": 200}, "pod-pause: {selector: {labelSelectors: {app: boss}, role: boss}}\n    for: 500ms")
        expect_exit(s.run(path, "--out", s.dir / "run"), 3)
        why = skipped(s.dir / "run")
        assert len(why) == 1 and "did not confirm the role" in why[0] and "100 ms" in why[0], why


def test_an_act_cut_off_by_the_end_leaves_a_trace():
    with Scratch() as s:
        path = roles(s, {"slow": 200}, "pod-kill: {selector: {labelSelectors: {app: boss}, role: boss}}", at="[1500ms]", duration="2600ms")
        expect_exit(s.run(path, "--out", s.dir / "run"), 3)
        assert "run ended" in skipped(s.dir / "run")[0], skipped(s.dir / "run")


def test_a_role_by_its_victims_own_word():
    with Scratch() as s:
        path = roles(s, {"fast": 0}, "pod-kill: {selector: {labelSelectors: {app: boss}, role: boss}}")
        expect_exit(s.run(path, "--out", s.dir / "run"), 0)
        e = invoked(s.dir / "run")[0]
        assert 0 <= e["t"] - e["data"]["role_asked"] <= 100e6, e


def test_victims_of_one_act_do_not_end_each_other():
    with Scratch() as s:
        fault = "pod-kill: {selector: {labelSelectors: {app: web}}, mode: all}\n    at: [1s]"
        expect_exit(s.run(s.write("a.yaml", web(fault=fault, replicas=3, expect="recovery.sustained.max < 4s")), "--out", s.dir / "run"), 0)
        faults = summary(s.dir / "run")["faults"]
        assert len(faults) == 3
        for f in faults:
            assert f["observed"] and f["recovery"]["redundancy_ms"] > 100 and f["recovery"]["sustained_ms"] > 50, f


def started(s, path, until, *command):
    p = subprocess.Popen([*command, CHAOSD, "run", path, "--yes", "--out", s.dir / "run"], env=s.env, cwd=s.dir, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    history, end = s.dir / "run" / "history.jsonl", time.monotonic() + 60
    while time.monotonic() < end and not (history.exists() and until in history.read_text()):
        time.sleep(0.02)
    return p


def test_signals_while_all_is_undone_do_not_cost_the_verdict():
    with Scratch() as s:
        # Deaf to SIGTERM, so that tearing down takes its two seconds.
        text = web(duration="60s").replace('[python3, -m, http.server, --bind, "${pod.ip}", "8080"]', '[sh, -c, "trap : TERM; while :; do sleep 1; done"]')
        text = text.replace('        ready: {http: {url: "http://${pod.ip}:8080/"}}\n', "")
        p = started(s, s.write("a.yaml", text), "run/schedule")
        time.sleep(0.3)
        for _ in range(3):
            p.send_signal(signal.SIGTERM)
            time.sleep(0.4)
        out, _ = p.communicate(timeout=60)
        assert p.returncode == 4, (p.returncode, out)
        assert summary(s.dir / "run")["verdict"] == "aborted" and (s.dir / "run" / "junit.xml").exists()


def test_acts_that_are_over_are_let_go():
    """Thirty pauses: descriptors (a timer an act, a pipe to its reaper) do not pile up with them."""
    with Scratch() as s:
        path = s.write("w.yaml", web("pod-pause: {selector: {labelSelectors: {app: web}}}\n    every: 250ms\n    for: 100ms", duration="9s"))
        p = subprocess.Popen([CHAOSD, "run", str(path), "--yes", "--quiet", "--out", str(s.dir / "o")], env=s.env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        seen = []
        while p.poll() is None:
            try:
                acts = (s.dir / "o/history.jsonl").read_text().count('"fault/revert","phase":"ok"')
                seen.append((acts, len(os.listdir(f"/proc/{p.pid}/fd"))))
            except OSError:
                pass
            time.sleep(0.05)
        most = max(acts for acts, _ in seen)
        assert most >= 15, f"{most} pauses only"
        early = max(fds for acts, fds in seen if 2 <= acts <= most // 2)
        late = max(fds for acts, fds in seen if acts > most // 2)
        assert late <= early + 3, f"{early} descriptors in the first half, {late} in the second, {most} pauses"


def test_nohup_is_respected():
    with Scratch() as s:
        p = started(s, s.write("a.yaml", web(duration="4s")), "run/schedule", "nohup")
        p.send_signal(signal.SIGHUP)
        out, _ = p.communicate(timeout=60)
        assert p.returncode == 0, (p.returncode, out)


def test_probe_programs_are_not_left():
    mark = "86397.75"
    def line(path):
        try:
            return open(path, "rb").read()
        except OSError:  # it ended in between
            return b""
    def left():
        return [p for p in glob.glob("/proc/[0-9]*/cmdline") if mark.encode() in line(p)]
    with Scratch() as s:
        ready = 'ready: {exec: {command: [sh, -c, "sleep %s & sleep %s"]}, timeout: 30s}' % (mark, mark)
        text = web(duration="60s").replace('ready: {http: {url: "http://${pod.ip}:8080/"}}', ready)
        p = started(s, s.write("a.yaml", text), '"run/ready"')
        end = time.monotonic() + 20
        while time.monotonic() < end and len(left()) < 2:
            time.sleep(0.02)
        assert left()
        p.kill()
        p.wait()
        p.stdout.close()
        expect_exit(chaosd("revert", "--all", env=s.env), 0)
        time.sleep(0.1)
        assert not left()


def test_a_pod_without_a_readiness_probe_is_a_target_from_the_first_request():
    with Scratch() as s:
        text = web(fault="pod-kill: {selector: {pods: [web-9]}}\n    at: [1s]").replace('        ready: {http: {url: "http://${pod.ip}:8080/"}}\n', "")
        s.run(s.write("a.yaml", text), "--out", s.dir / "run")
        assert "no-target" not in summary(s.dir / "run")["loads"][0]["reasons"]


def test_a_load_of_urls_needs_no_root():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("H", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *a: None}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Scratch() as s:
        os.chmod(s.dir, 0o777)
        path = s.write("a.yaml", f"""
name: plain
load:
  - name: gets
    http: {{rate: 20/s, targets: {{url: "http://127.0.0.1:{server.server_port}/"}}, steps: [{{get: /}}]}}
duration: 1s
expect: ["availability(gets) >= 99%"]
""")
        env = {k: v for k, v in s.env.items() if k != "CHAOSD_STATE_DIR"}
        p = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", CHAOSD, "run", path, "--yes", "--out", s.dir / "run"],
                           capture_output=True, text=True, cwd=s.dir, env=env)
        expect_exit(p, 0)
    server.shutdown()


def test_a_secret_is_in_no_message():
    secret = "s3cr3tXYZ"
    with Scratch() as s:
        text = web().replace("load:", "secrets: [token]\nload:").replace("[python3, -m, http.server", '["/nonexistent/${secret.token}", -m, http.server')
        p = s.run(s.write("a.yaml", text), "--set-secret", f"token={secret}", "--out", s.dir / "run")
        assert p.returncode not in (0, 1) and secret not in p.stdout + p.stderr and "/nonexistent/*" in p.stderr, p.stderr
        text = web().replace("load:", "secrets: [token]\nload:").replace("[python3, -m, http.server", '[sh, -c, "echo 2026-01-01T00:00:00Z my ${secret.token}; exec sleep 9", x')
        text = text.replace("restart:", "marks: {said: my}\n        restart:").replace("settle: 1s", "settle: 1s\nreadyTimeout: 1s")
        p = s.run(s.write("b.yaml", text), "--set-secret", f"token={secret}", "--out", s.dir / "run2")
        assert secret not in p.stdout + p.stderr and "my ****" in p.stderr, p.stderr
        assert secret not in (s.dir / "run2" / "history.jsonl").read_text()


tap.main()
