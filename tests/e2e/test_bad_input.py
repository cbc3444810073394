# SPDX-License-Identifier: Apache-2.0
"""Whatever is fed in: one clear error that names what, where and what to do, or a repaired read. Never a crash."""
import json
import os
import shutil
import subprocess

import tap
from tap import Scratch, chaosd, events, expect_exit, summary, web


def refused(text, *words, name="bad.yaml"):
    with Scratch() as s:
        p = chaosd("plan", s.write(name, text), env=s.env, timeout=20)
        expect_exit(p, 64)
        assert len(p.stderr) < 1500 and p.stdout == "", p.stderr
        for w in words:
            assert w in p.stderr, f"{w!r} is not in: {p.stderr}"


def test_empty_file():
    refused("", "bad.yaml:1:1:", "nothing in here")
    refused("# only a comment\n", "nothing in here")


def test_ten_megabytes_of_nesting():
    refused("[" * 10_000_000, "bad.yaml")
    refused("a: " + "[" * 500_000, "bad.yaml:1:", "nest")


def test_duplicate_keys():
    refused(web() + "duration: 9s\n", "duration", "bad.yaml:28:1:", "twice", "line 25")


def test_exploding_anchors():
    text = 'a: &a ["x","x","x","x","x","x","x","x","x"]\n'
    for prev, cur in zip("abcdefgh", "bcdefghi"):
        text += f"{cur}: &{cur} [" + ",".join(["*" + prev] * 9) + "]\n"
    refused(text, "bad.yaml:")


def test_not_utf8():
    refused(b"name: \xff\xfe\xfa\n", "bad.yaml")
    refused(b"name: a\x00b\n", "bad.yaml")


def test_messages_carry_nothing_harmful_to_the_terminal():
    with Scratch() as s:
        for p in (chaosd("check", s.write("x.yaml", 'name: a\n"foo\\e[31m\\u202e\\u009b": 1\n')), chaosd("report", "no\x1b[31mfile"), chaosd("fo\x1b[31mo"),
                  chaosd("run", "--\x1b[31m"), chaosd("run", "no\x1b[31mfile.yaml")):
            expect_exit(p, 64)
            assert not set("\x1b\u202e\u009b") & set(p.stderr), repr(p.stderr)


def test_durations():
    refused(web(duration="-4s"), "duration", "-4s")
    refused(web(duration="99999999999h"), "duration", "99999999999h")
    refused(web(duration="4"), "duration")
    refused(web(duration="4 parsecs"), "4 parsecs")


def test_unknown_kind():
    refused(web(fault="pod-kil: {selector: {pods: [web-0]}}\n    at: [1s]"), 'did you mean "pod-kill"')


def test_containers_where_pods_have_none():
    why = "needs pods of containers, which a local cluster does not give; "
    refused(web(fault="container-kill: {selector: {pods: [web-0]}}\n    at: [1s]"), "container-kill", why + "pod-kill does the like there")
    refused(web(fault="container-pause: {selector: {pods: [web-0]}}\n    at: [1s]\n    for: 1s"), why + "pod-pause does the like there")


def test_unknown_signal_and_mode():
    refused(web(fault="pod-kill: {selector: {pods: [web-0]}, signal: SIGKIL}\n    at: [1s]"), "SIGKIL")
    for stops in ("SIGSTOP", "tstp", "19"):
        refused(web(fault=f"pod-kill: {{selector: {{pods: [web-0]}}, signal: {stops}}}\n    at: [1s]"), f"{stops} stops a process, and nothing would start it again")
    refused(web(fault="pod-kill: {selector: {pods: [web-0]}, mode: on}\n    at: [1s]"), "mode")


def test_unknown_parameter_and_variable():
    refused(web(duration="${durations}"), "durations")
    refused(web().replace("${pod.ip}", "${pod.ipp}"), "pod.ipp")


def test_expectation():
    refused(web(expect='"availabilty(gets) > 1%"'), "availabilty")
    refused(web(expect='"availability(nobody) > 1%"'), "nobody")


def test_undeclared_setting_and_secret():
    with Scratch() as s:
        path = s.write("a.yaml", web())
        assert "rate" in expect_exit(chaosd("plan", path, "--set", "rate=1/s"), 64).stderr
        assert "token" in expect_exit(chaosd("plan", path, "--set-secret", "token=x"), 64).stderr


def test_for_where_nothing_is_held():
    refused(web(fault="pod-kill: {selector: {pods: [web-0]}}\n    at: [1s]\n    for: 1s"), "for")
    refused(web(fault="pod-pause: {selector: {pods: [web-0]}}\n    at: [1s]"), "for")


def no_start(command, *words, code=2, extra=""):
    with Scratch() as s:
        text = web().replace('[python3, -m, http.server, --bind, "${pod.ip}", "8080"]', command).replace("settle: 1s", "settle: 1s\nreadyTimeout: 2s" + extra)
        p = s.run(s.write("a.yaml", text), "--out", s.dir / "run", timeout=30)
        expect_exit(p, code)
        for w in words:
            assert w in p.stderr, f"{w!r} is not in: {p.stderr}"
        assert chaosd("revert", "--all", env=s.env).stdout == "nothing to revert\n"


def test_program_that_does_not_exist():
    no_start("[no-such-program-here]", "no-such-program-here", "workload web", "No such file", code=64)


def test_program_that_ends_at_once():
    no_start('[sh, -c, "echo some last words; exit 3"]', "web-0", "not ready within 2s", "some last words")


def test_pod_that_never_gets_ready():
    no_start('[sh, -c, "echo starting up; exec sleep 1000"]', "web-0", "not ready within 2s", "starting up")


def test_unwritable_output_folder():
    with Scratch() as s:
        p = s.run(s.write("a.yaml", web()), "--out", "/proc/chaosd-run")
        expect_exit(p, 64)
        assert "/proc/chaosd-run" in p.stderr
        os.makedirs(s.dir / "full")
        (s.dir / "full" / "x").write_text("x")
        assert "not empty" in expect_exit(s.run(s.dir / "a.yaml", "--out", s.dir / "full"), 64).stderr


def test_full_disk_in_mid_run():
    with Scratch() as s:
        small = s.dir / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", small], check=True)
        try:
            fault = "pod-pause: {selector: {labelSelectors: {app: web}}}\n    at: [500ms]\n    for: 50s"
            text = web(fault=fault, duration="60s").replace("rate: 50/s", "rate: 1000/s")
            p = s.run(s.write("a.yaml", text), "--out", small / "run", timeout=100)
            expect_exit(p, 2)
            assert "No space left on device" in p.stderr, p.stderr
            assert chaosd("revert", "--all", env=s.env).stdout == "nothing to revert\n"
        finally:
            subprocess.run(["umount", small], check=True)


def test_torn_history_is_repaired():
    with Scratch() as s:
        expect_exit(s.run(s.write("a.yaml", web()), "--out", s.dir / "run"), 0)
        whole = (s.dir / "run" / "history.jsonl").read_bytes()
        samples = (s.dir / "run" / "samples.bin").read_bytes()
        for cut in (7, 40, len(whole) // 2):
            (s.dir / "run" / "history.jsonl").write_bytes(whole[:-cut])
            (s.dir / "run" / "samples.bin").write_bytes(samples[: len(samples) - cut % 64])
            expect_exit(chaosd("report", s.dir / "run"), 2)
            got = summary(s.dir / "run")
            assert got["verdict"] == "inconclusive" and got["torn"] is (True), (cut, got["why"], got["torn"])
        (s.dir / "run" / "history.jsonl").write_bytes(b"")
        expect_exit(chaosd("report", s.dir / "run"), 64)
        (s.dir / "run" / "history.jsonl").write_bytes(whole.replace(b'"seq":3', b'"seq":garbage'))
        p = expect_exit(chaosd("report", s.dir / "run"), 64)
        assert "history.jsonl:" in p.stderr


def test_secrets_are_used_and_never_stored():
    with Scratch() as s:
        text = web().replace("load:", "secrets: [token]\nload:").replace("{get: /}", '{get: /, headers: {Authorization: "Bearer ${secret.token}"}}')
        path = s.write("a.yaml", text)
        assert "CHAOSD_SECRET_TOKEN" in expect_exit(chaosd("plan", path), 64).stderr
        secret = "s3cr3t-nobody-may-read"
        expect_exit(s.run(path, "--set-secret", "token=" + secret, "--out", s.dir / "run"), 0)
        for root, _, files in os.walk(s.dir / "run"):
            for f in files:
                data = open(os.path.join(root, f), "rb").read()
                assert secret.encode() not in data, f
        assert "${secret.token}" in (s.dir / "run" / "scenario.yaml").read_text()


tap.main()
