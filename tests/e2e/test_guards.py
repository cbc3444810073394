# SPDX-License-Identifier: Apache-2.0
"""Guards and the steady state on real pods: whom nobody may strike, acts that wait until all is whole again, and drills with nobody to strike."""
import time

import tap
from tap import Scratch, chaosd, events, expect_exit, summary, web

KILL = "pod-kill: {selector: {labelSelectors: {app: web}}, mode: one}"


def of(folder, op, phase=None):
    return [e for e in events(folder) if e["op"] == op and (phase is None or e["phase"] == phase)]


def guarded(text, guards):
    return text.replace("duration:", f"guards: {guards}\nduration:", 1)


def slow_back(text, delay):
    return text.replace("delay: 200ms", f"delay: {delay}")


def test_an_act_waits_for_the_steady_state():
    with Scratch() as s:
        text = slow_back(web(fault=KILL + "\n    at: [1s, 2s]", replicas=3, duration="7s"), "2s")
        expect_exit(s.run(s.write("a.yaml", guarded(text, "{steady: {timeout: 20s, interval: 100ms}}")), "--out", s.dir / "run"), 0)
        acts, waits = of(s.dir / "run", "fault/act", "invoke"), of(s.dir / "run", "run/steady")
        ready = {e["t"] for e in of(s.dir / "run", "cluster/pod") if e["kind"] == "ready"}
        assert len(acts) == 2, acts
        before = [e for e in waits if e["data"]["when"] == "before"]
        assert [e["phase"] for e in before] == ["invoke", "ok"] and before[0]["data"]["fault"] == "hit" and before[0]["data"]["occurrence"] == 2, before
        assert before[0]["data"]["why"], before
        assert before[1]["data"]["took_ns"] > 5e8 and acts[1]["t"] >= before[1]["t"], (before, acts)
        assert any(before[0]["t"] < t <= before[1]["t"] for t in ready), "nothing became ready meanwhile"
        end = [e for e in waits if e["data"]["when"] == "end"]
        assert end and end[-1]["phase"] == "ok", waits
        check = [c for c in summary(s.dir / "run")["checks"] if c["name"] == "steady"]
        assert check and check[0]["verdict"] == "pass" and "longest wait" in check[0]["why"], check


def test_acts_of_one_moment_do_not_wait_for_each_other():
    with Scratch() as s:
        text = web(fault=KILL + "\n    at: [1s]", replicas=3).replace("duration:", f"  - name: too\n    {KILL}\n    at: [1s]\nduration:", 1)
        s.run(s.write("a.yaml", guarded(text, "{steady: {timeout: 20s, interval: 100ms}}")), "--out", s.dir / "run")  # none may be sent between them
        acts = of(s.dir / "run", "fault/act", "invoke")
        assert len(acts) == 2 and acts[1]["t"] - acts[0]["t"] < 100e6, acts


def test_without_being_asked_for_nothing_waits_here():
    with Scratch() as s:
        text = slow_back(web(fault=KILL + "\n    at: [1s, 2s]", replicas=3, duration="4s"), "1500ms")
        expect_exit(s.run(s.write("a.yaml", text), "--out", s.dir / "run"), 0)
        assert len(of(s.dir / "run", "fault/act", "invoke")) == 2 and not of(s.dir / "run", "run/steady")
        assert not [c for c in summary(s.dir / "run")["checks"] if c["name"] == "steady"]


def test_never_steady_again_stops_the_run():
    with Scratch() as s:
        text = web(fault=KILL + "\n    at: [1s, 2s]", replicas=3, duration="30s").replace("policy: always, delay: 200ms", "policy: never")
        began = time.monotonic()
        p = expect_exit(s.run(s.write("a.yaml", guarded(text, "{steady: {timeout: 1500ms, interval: 100ms}}")), "--out", s.dir / "run"), 4)
        assert time.monotonic() - began < 25, "it went on to the end"
        assert "not steady within 1.5s: web-" in p.stdout, p.stdout
        failed = of(s.dir / "run", "run/steady", "fail")
        assert len(failed) == 1 and failed[0]["data"]["took_ns"] >= 15e8, failed
        assert summary(s.dir / "run")["verdict"] == "aborted" and len(of(s.dir / "run", "fault/act", "invoke")) == 1


def test_not_steady_at_the_end_is_a_fail():
    with Scratch() as s:
        text = web(fault=KILL + "\n    at: [1s]", replicas=3, duration="3s").replace("policy: always, delay: 200ms", "policy: never")
        p = expect_exit(s.run(s.write("a.yaml", guarded(text, "{steady: {timeout: 1s, interval: 100ms}}")), "--out", s.dir / "run"), 1)
        assert "At the end it was not steady within 1s: web-" in p.stdout, p.stdout
        check = [c for c in summary(s.dir / "run")["checks"] if c["name"] == "steady"]
        assert check and check[0]["verdict"] == "fail", check


def test_an_act_that_the_end_overtakes_is_skipped_by_name():
    with Scratch() as s:
        text = web(fault=KILL + "\n    at: [1s, 2s]", replicas=3, duration="4s").replace("policy: always, delay: 200ms", "policy: never")
        p = s.run(s.write("a.yaml", guarded(text, "{steady: {timeout: 5s, interval: 100ms}}")), "--out", s.dir / "run")
        skips = [e["data"] for e in of(s.dir / "run", "fault/act", "info") if e["kind"] == "skip"]
        assert len(skips) == 1 and skips[0]["guard"] == "steady" and skips[0]["occurrence"] == 2, (skips, p.stdout)
        assert [e["phase"] for e in of(s.dir / "run", "run/steady")] == ["invoke", "unknown", "invoke", "fail"]


def test_an_act_does_not_wait_for_what_is_held():
    with Scratch() as s:
        fault = "pod-pause: {selector: {pods: [web-0]}}\n    for: 4s\n    at: [1s]\n  - name: then\n    pod-kill: {selector: {pods: [web-1]}}\n    at: [1500ms]"
        text = guarded(web(fault=fault, replicas=3, duration="8s"), "{steady: {timeout: 1500ms, interval: 100ms}}")
        s.run(s.write("a.yaml", text), "--out", s.dir / "run")
        waits, thawed = of(s.dir / "run", "run/steady"), of(s.dir / "run", "fault/revert", "ok")
        assert summary(s.dir / "run")["verdict"] != "aborted", waits
        assert [(e["phase"], e["data"]["fault"]) for e in waits if e["data"].get("held")] == [("ok", "then")], waits
        kill = [e for e in of(s.dir / "run", "fault/act", "invoke") if e["data"]["fault"] == "then"]
        assert kill and kill[0]["t"] < thawed[0]["t"], (kill, thawed)
        check = [c for c in summary(s.dir / "run")["checks"] if c["name"] == "steady"]
        assert "Before 1 act nothing was waited for" in check[0]["why"], check


def test_nobody_to_strike_ends_at_once():
    with Scratch() as s:
        fault = "pod-kill: {selector: {labelSelectors: {app: wbe}, namespaces: [shop]}}\n    at: [1s]"
        began = time.monotonic()
        p = expect_exit(s.run(s.write("a.yaml", web(fault=fault, duration="60s")), "--out", s.dir / "run"), 3)
        assert time.monotonic() - began < 30, "the load ran for nothing"
        why = "no fault has a candidate: hit: no pod matches label app=wbe, in namespace shop; there is 1 pod, in default"
        assert why in p.stdout, p.stdout
        d = summary(s.dir / "run")
        assert d["verdict"] == "skipped" and not of(s.dir / "run", "load/start") and of(s.dir / "run", "run/skip")[0]["data"]["why"] == why


def test_one_fault_with_candidates_is_enough():
    with Scratch() as s:
        fault = KILL + "\n    at: [1s]\n  - name: nobody\n    pod-kill: {selector: {labelSelectors: {app: wbe}}}\n    at: [2s]"
        s.run(s.write("a.yaml", web(fault=fault, replicas=2)), "--out", s.dir / "run")
        assert len(of(s.dir / "run", "fault/act", "invoke")) == 1 and not of(s.dir / "run", "run/skip")


def test_all_are_protected():
    with Scratch() as s:
        text = guarded(web(fault=KILL + "\n    at: [1s]", replicas=2, duration="60s"), "{protectedNamespaces: [def*]}")
        p = expect_exit(s.run(s.write("a.yaml", text), "--out", s.dir / "run"), 3)
        assert "a guard is before each of the selector's 2 pods; web-0: namespace default is protected" in p.stdout, p.stdout


def test_a_plan_tells_who_is_out():
    with Scratch() as s:
        text = guarded(web(fault=KILL + "\n    at: [1s]", replicas=2), "{protectedNamespaces: [default]}")
        p = expect_exit(chaosd("plan", s.write("a.yaml", text), env=s.env), 0)
        assert "of no candidate" in p.stdout and "2 are out by a guard; web-0: namespace default is protected" in p.stdout, p.stdout


def test_who_opts_out_is_never_struck():
    with Scratch() as s:
        text = web(fault=KILL.replace("one", "all") + "\n    at: [1s]", replicas=2).replace("replicas: 2", "replicas: 2\n        namespace: shop")
        out = text[text.index("      - name: web"):text.index("load:")].replace("name: web", "name: calm").replace("{app: web}", '{app: web, chaosd.io/exclude: "true"}')
        s.run(s.write("a.yaml", text.replace("load:", out + "load:", 1)), "--out", s.dir / "run")
        struck = sorted(e["target"] for e in of(s.dir / "run", "fault/act", "invoke"))
        assert struck == ["web-0", "web-1"], struck
        fault = "pod-kill: {selector: {pods: [calm-0]}}\n    at: [1s]"
        both = web(fault=KILL + "\n    at: [1s]\n  - name: calm\n    " + fault, replicas=2)
        s.run(s.write("b.yaml", both.replace("load:", out + "load:", 1)), "--out", s.dir / "two")
        skips = [e["data"] for e in of(s.dir / "two", "fault/act", "info") if e["kind"] == "skip"]
        assert [d["guard"] for d in skips] == ["exclude"] and "calm-0: it opts out" in skips[0]["why"], skips


def test_age_counts():
    with Scratch() as s:
        fault = 'pod-kill: {selector: {labelSelectors: {app: web}, minAge: 1h}}\n    at: [1s]'
        expect_exit(s.run(s.write("a.yaml", web(fault=fault)), "--out", s.dir / "run"), 3)
        skips = [e["data"]["why"] for e in of(s.dir / "run", "fault/act", "info") if e["kind"] == "skip"]
        assert skips == ["no candidate: no running pod matches the selector"], skips
        young = web(fault='pod-kill: {selector: {labelSelectors: {app: web}, minAge: 1s, phases: [Running]}}\n    at: [2s]')
        expect_exit(s.run(s.write("b.yaml", young), "--out", s.dir / "two"), 0)
        assert len(of(s.dir / "two", "fault/act", "invoke")) == 1


def test_a_share_of_the_workload():
    with Scratch() as s:
        text = guarded(web(fault=KILL.replace("one", "all") + "\n    at: [1s]", replicas=3), '{maxPercent: "34%"}')
        s.run(s.write("a.yaml", text), "--out", s.dir / "run")
        assert len(of(s.dir / "run", "fault/act", "invoke")) == 1
        skips = [e["data"] for e in of(s.dir / "run", "fault/act", "info") if e["kind"] == "skip"]
        assert [d["guard"] for d in skips] == ["maxPercent"] * 2 and "2 of 3 wanted pods of web" in skips[0]["why"], skips


if __name__ == "__main__":
    tap.main()
