# SPDX-License-Identifier: Apache-2.0
"""Exit codes, each shown by a drill."""
import os
import signal
import subprocess
import time

import tap
from tap import CHAOSD, Scratch, chaosd, events, expect_exit, summary, web


def test_pass_is_0():
    with Scratch() as s:
        p = expect_exit(s.run(s.write("a.yaml", web()), "--out", s.dir / "run"), 0)
        got = summary(s.dir / "run")
        assert got["verdict"] == "pass" and got["faults"][0]["observed"] is True, got
        assert "pass" in p.stdout.lower()


def test_threshold_of_1ms_is_1():
    with Scratch() as s:
        expect_exit(s.run(s.write("a.yaml", web(expect='"downtime.max(gets) < 1ms"')), "--out", s.dir / "run"), 1)
        got = summary(s.dir / "run")
        bad = [c for c in got["checks"] if c["verdict"] == "fail"]
        assert got["verdict"] == "fail" and len(bad) == 1 and bad[0]["value"] > 1, got["checks"]
        assert bad[0]["limit"] == 1


def test_target_that_never_answers_is_2():
    text = web().replace('base: "http://${pod.ip}:8080"', 'base: "http://${pod.ip}:9"')
    with Scratch() as s:
        expect_exit(s.run(s.write("a.yaml", text), "--out", s.dir / "run"), 2)
        got = summary(s.dir / "run")
        assert got["verdict"] == "inconclusive" and got["lanes"][0]["good"] == 0, got


def test_no_candidate_is_3():
    with Scratch() as s:
        fault = "pod-kill: {selector: {labelSelectors: {app: nothing-like-it}}}\n    at: [1s]"
        expect_exit(s.run(s.write("a.yaml", web(fault=fault)), "--out", s.dir / "run"), 3)
        assert summary(s.dir / "run")["verdict"] == "skipped"


def test_guard_refuses_and_is_3():
    with Scratch() as s:
        text = web().replace("duration:", "guards: {minReady: 1}\nduration:")
        expect_exit(s.run(s.write("a.yaml", text), "--out", s.dir / "run"), 3)
        skip = [e for e in events(s.dir / "run") if e["op"] == "fault/act"]
        assert skip[0]["kind"] == "skip" and skip[0]["data"]["guard"] == "minReady", skip


def interrupted(s, sig, fault, after_op):
    path = s.write("a.yaml", web(fault=fault, duration="60s").replace("- name: web", "- name: lone"))
    p = subprocess.Popen([CHAOSD, "run", path, "--yes", "--out", s.dir / "run"], env=s.env, cwd=s.dir, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 60
    history = s.dir / "run" / "history.jsonl"
    while time.monotonic() < deadline and not (history.exists() and after_op in history.read_text()):
        time.sleep(0.02)
    time.sleep(0.3)
    began = time.monotonic()
    p.send_signal(sig)
    out, _ = p.communicate(timeout=60)
    return p.returncode, out, time.monotonic() - began


def test_ctrl_c_is_4_and_reverts():
    with Scratch() as s:
        fault = "pod-pause: {selector: {labelSelectors: {app: web}}}\n    at: [1s]\n    for: 40s"
        code, out, took = interrupted(s, signal.SIGINT, fault, "fault/observed")
        assert code == 4, (code, out)
        got = summary(s.dir / "run")
        assert got["verdict"] == "aborted" and got["faults"][0]["reverted"] is True, got
        assert took < 10, took
        assert chaosd("revert", "--all", env=s.env).stdout == "nothing to revert\n"
        assert not any(n.startswith("chaosd-") and "-lone-" in n for n in os.listdir("/run/netns"))


def test_sigterm_is_4():
    with Scratch() as s:
        code, out, _ = interrupted(s, signal.SIGTERM, "pod-kill: {selector: {pods: [lone-0]}}\n    at: [40s]", "run/schedule")
        assert code == 4, (code, out)


def test_typo_is_64_with_its_line():
    with Scratch() as s:
        path = s.write("typo.yaml", web().replace("duration: 4s", "duraton: 4s"))
        p = expect_exit(s.run(path), 64)
        line = path.read_text().splitlines().index("duraton: 4s") + 1
        assert f"typo.yaml:{line}:1:" in p.stderr and 'did you mean "duration"' in p.stderr, p.stderr


def test_usage_is_64():
    for args in (["rum"], ["run"], ["run", "--sed=3", "x.yaml"], ["report", "/nonexistent"], [], ["run", "/nonexistent.yaml"], ["revert"], ["run", "--seed", "-1", "x"]):
        p = expect_exit(chaosd(*args), 64)
        assert len(p.stderr.strip()) > 10, (args, p.stderr)
    assert 'did you mean "run"' in chaosd("rum").stderr
    assert "did you mean --seed" in chaosd("run", "--sed=3", "x.yaml").stderr


def test_help_names_every_command_and_option():
    p = expect_exit(chaosd("--help"), 0)
    for word in ("run", "plan", "check", "report", "revert", "version"):
        assert f"  {word} " in p.stdout
        assert "usage: chaosd " + word in expect_exit(chaosd(word, "--help"), 0).stdout
    for option in ("--seed", "--set", "--set-secret", "--out", "--yes", "--json"):
        assert option in chaosd("run", "--help").stdout
    assert "__reap" not in p.stdout


def test_asks_on_no_terminal():
    with Scratch() as s:
        p = chaosd("run", s.write("a.yaml", web()), env=s.env, cwd=s.dir)
        expect_exit(p, 64)
        assert "--yes" in p.stderr


def test_root_is_needed_and_said_in_one_line():
    with Scratch() as s:
        path = s.write("a.yaml", web())
        os.chmod(s.dir, 0o777)
        p = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", CHAOSD, "run", path, "--yes"], capture_output=True, text=True, cwd=s.dir)
        expect_exit(p, 64)
        assert len(p.stderr.strip().splitlines()) == 1 and "root" in p.stderr, p.stderr


tap.main()
