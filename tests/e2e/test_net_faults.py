# SPDX-License-Identifier: Apache-2.0
"""Network faults in drills on the local cluster, as far as they go without netem: what is hit and what is not is seen by packets of the
test's own and by tc, not by chaosd's word."""
import json
import math
import os
import signal
import subprocess
import time

import tap
from netdrill import Drill, TooSlow, fault, has_netem, patient, scenario
from tap import Scratch, Skip, chaosd, expect_exit

ZERO = "selector: {pods: [web-0]}"
ONE = "target: {selector: {pods: [web-1]}}"
IP = {"web-0": "10.77.1.1", "web-1": "10.77.2.1", "web-2": "10.77.1.2"}


def no_netem():
    if has_netem():
        raise Skip("this kernel has netem; what is skipped without it is looked at where it has none")


def in_turn(*rows):
    """Rows of (name, kind, fields, checks), each held for a second on its own; checks: (source, to, arrives, port)."""
    faults = [fault(name, kind, fields, f"{1 + 1.6 * i:.1f}s") for i, (name, kind, fields, _) in enumerate(rows)]
    with Drill(scenario(*faults, duration=f"{2 + 1.6 * len(rows):.1f}s")) as d:
        for i, (name, _, _, checks) in enumerate(rows):
            d.wait("fault/act", "ok", fault=name)
            for source, to, want, *port in checks:
                n = 5
                got = d.arrives(source, to, n, *port)
                d.still(name)
                assert got == (n if want else 0), f"{name}: {got} of {n} from {source} to {to} {port}"
            d.wait("fault/revert", "ok", fault=name)
            there, back = d.arrives("web-0", "web-1", 5), d.arrives("web-1", "web-0", 5)
            if i + 1 < len(rows) and d.find("fault/act", "invoke", fault=rows[i + 1][0]):
                raise TooSlow("the next fault was in before the last one's end was looked at")
            assert there == back == 5, f"{name} was not over: {there}, {back}"
        p = d.end(0)
        for f in p["faults"]:
            assert f["observed"] and f["reverted"] and f["trouble"] is None and f["affected"]["packets"] > 0, f


@patient
def test_one_way_the_other_both_and_everything():
    in_turn(("to", "net-partition", f"{ZERO}\ndirection: to\n{ONE}", [("web-0", "web-1", False), ("web-1", "web-0", True), ("web-0", "web-2", True)]),
            ("from", "net-partition", f"{ZERO}\ndirection: from\n{ONE}", [("web-0", "web-1", True), ("web-1", "web-0", False), ("web-2", "web-0", True)]),
            ("both", "net-partition", f"{ZERO}\ndirection: both\n{ONE}", [("web-0", "web-1", False), ("web-1", "web-0", False), ("web-0", "web-2", True)]),
            ("total", "net-partition", f"{ZERO}\ndirection: both", [("web-0", "web-2", False), ("web-2", "web-0", False), ("web-1", "web-2", True)]))


@patient
def test_far_ends_by_cidr_name_and_exception():
    in_turn(("cidr", "net-partition", f"{ZERO}\nexternalTargets: [10.77.2.0/24]", [("web-0", "web-1", False), ("web-0", "web-2", True)]),
            ("name", "net-partition", f"{ZERO}\nexternalTargets: [web-1]", [("web-0", "web-1", False), ("web-0", "web-2", True)]),
            ("but", "net-partition", f"{ZERO}\nexternalTargets: [10.77.0.0/16]\nexcept: [{IP['web-2']}, 10.77.0.1]",
             [("web-0", "web-1", False), ("web-0", "web-2", True)]),
            ("others", "net-partition", f"{ZERO}\ndirection: both\ntarget: {{selector: {{labelSelectors: {{app: web}}}}}}",
             [("web-0", "web-1", False), ("web-0", "web-2", False), ("web-1", "web-2", True)]))


def test_names_are_looked_up_again_while_it_is_held():
    cut = fault("far", "net-partition", f"{ZERO}\nexternalTargets: [far.test]", "500ms", "30s")
    with Drill(scenario(cut, duration="40s"), hosts=f"{IP['web-1']} far.test\n") as d:
        d.wait("fault/act", "ok", fault="far")
        assert d.arrives("web-0", "web-1", 5) == 0 and d.arrives("web-0", "web-2", 5) == 5
        d.hosts.write_text(f"{IP['web-2']} far.test\n")
        end = time.monotonic() + 10
        while d.arrives("web-0", "web-2", 5) and time.monotonic() < end:
            time.sleep(0.05)
        d.hosts.write_text("")  # a look-up that fails
        time.sleep(0.3)
        assert d.arrives("web-0", "web-2", 5) == 0 and d.arrives("web-0", "web-1", 5) == 0 and d.arrives("web-1", "web-2", 5) == 5
        filters = [f for f in d.tc("web-0", "filter", "show", "dev", "eth0", "egress") if "options" in f and f.get("chain", 0) == 0]
        assert len(filters) == 1, filters
        d.p.send_signal(signal.SIGINT)
        f = d.end(4)["faults"][0]
        assert f["observed"] and f["reverted"] and f["trouble"] is None and f["affected"]["packets"] >= 20, f


@patient
def test_ports_and_protocols():
    with Drill(scenario(fault("own", "net-partition", f"{ZERO}\ndirection: from\nports: 7001-7002\n{ONE}", "1s"),
                        fault("far", "net-partition", f'{ZERO}\ndirection: to\ntargetPorts: ["7001"]\nprotocol: udp\n{ONE}', "2600ms"),
                        fault("tcp", "net-partition", f"{ZERO}\ndirection: to\nprotocol: tcp\n{ONE}", "4200ms"), duration="6s")) as d:
        d.wait("fault/act", "ok", fault="own")
        got = [d.arrives("web-1", "web-0", 5, port) for port in (7001, 7002, 7003)]
        d.still("own")
        assert got == [0, 0, 5], got
        d.wait("fault/act", "ok", fault="far")
        got = [d.arrives("web-0", "web-1", 5, port) for port in (7001, 7002)] + [d.connects("web-0", "web-1")]
        d.still("far")
        assert got == [0, 5, True], got
        d.wait("fault/act", "ok", fault="tcp")
        got = [d.arrives("web-0", "web-1", 5), d.connects("web-0", "web-1")]
        d.still("tcp")
        assert got == [5, False], got
        d.end(0)


@patient
def test_tc_sees_the_filter_and_the_root_is_left_alone():
    with Drill(scenario(fault("cut", "net-partition", f"{ZERO}\ndirection: both", "1s", "1200ms"))) as d:
        before = d.wait("run/schedule") and d.tc("web-0", "qdisc", "show", "dev", "eth0")
        d.wait("fault/act", "ok")
        for way in ("ingress", "egress"):
            found = d.filters("web-0", way)
            assert len(found) == 1 and found[0]["prog"]["name"] == "chaosd_drop", found
            assert not d.filters("web-1", way)
        root = [q for q in d.tc("web-0", "qdisc", "show", "dev", "eth0") if q["kind"] != "clsact"]
        assert [q["kind"] for q in root] == [q["kind"] for q in before], (before, root)
        d.wait("fault/revert", "ok")
        assert not d.filters("web-0", "ingress") and not d.filters("web-0", "egress")
        f = d.end(0)["faults"][0]
        assert 0 < f["affected"]["packets"] < f["affected"]["bytes"] and f["affected"]["queue_sent"] is None and f["affected"]["drain_ms"] < 1000, f
        assert 1190 < f["reverted_ms"] < 1700 and f["unable"] is None and f["measured"] is None, f
        assert f"cut #1 hit {f['affected']['packets']} packets" in d.said(), d.said()


@patient
def test_a_share_is_lost_without_netem_too():
    n, share = 3000, 0.3
    with Drill(scenario(fault("lossy", "net-loss", f"{ZERO}\n{ONE}\nloss: {{loss: {share:.0%}}}", "1s", "2s"), duration="5s")) as d:
        by = d.wait("fault/act", "ok")["data"]["by"]
        assert by == ("netem" if has_netem() else "drop"), by
        got = 0
        for _ in range(10):
            got += d.arrives("web-0", "web-1", n // 10)
        d.still("lossy")
        room = 3.9 * math.sqrt(n * share * (1 - share))  # 99.99 %
        assert abs(n - got - n * share) < room, f"{n - got} of {n} lost, wanted {n * share:.0f} ± {room:.0f}"
        f = d.end(0)["faults"][0]
        assert f["affected"]["packets"] >= n - got and f["affected"]["packets"] <= n, (f, got)


@patient
def test_what_was_done_is_measured():
    with Drill(scenario(fault("lossy", "net-loss", f"{ZERO}\nmeasure: true\ntarget: {{selector: {{labelSelectors: {{app: web}}}}}}\nloss: {{loss: 30%}}", "1s", "2s"),
                        fault("cut", "net-partition", f"selector: {{pods: [web-2]}}\nmeasure: true\nexternalTargets: [web-1, 10.99.0.0/16]", "1s", "500ms"),  # not web-0, whose requests web-2 is to answer
                        duration="6s")) as d:
        faults = {f["name"]: f for f in d.end(0)["faults"]}
        if d.find("self/stall"):
            raise TooSlow("chaosd itself stalled")
        m = faults["lossy"]["measured"]
        assert 150 <= m["sent"] <= 204 and m["lost_after"] == 0 and abs(m["sent_after"] - m["sent"]) <= 4 and m["why"] is None, m
        assert abs(m["lost"] - 0.3 * m["sent"]) < 3.9 * math.sqrt(m["sent"] * 0.21), m
        assert 0 < m["loss"]["low"] < m["loss"]["share"] == round(m["lost"] / m["sent"], 9) < m["loss"]["high"] < 1 and abs(m["added_ms"]) < 5, m
        m = faults["cut"]["measured"]
        assert m["lost"] == m["sent"] > 15 and m["rtt_ms"]["during"] is None and m["rtt_ms"]["after"] > 0 and m["added_ms"] is None, m
        assert faults["lossy"]["reverted_ms"] < 2500 and "% lost" in d.said() and "no answer at all" in d.said(), d.said()
        assert all((e["phase"], e["data"]["hosts"]) in (("info", 2), ("info", 1)) for e in d.events() if e["op"] == "fault/measured")


@patient
def test_a_baseline_makes_way_for_the_next_fault():
    with Drill(scenario(fault("cut", "net-partition", f"{ZERO}\nmeasure: true\n{ONE}", "[1s, 2200ms]"), duration="4s")) as d:
        first, second = (f["measured"] for f in d.end(0)["faults"])
        if d.find("self/stall"):
            raise TooSlow("chaosd itself stalled")
        assert 0 < first["sent_after"] < 15 and second["sent_after"] > 30, (first, second)


@patient
def test_a_kill_and_a_cut_on_one_pod():
    with Drill(scenario(fault("cut", "net-partition", f"{ZERO}\n{ONE}\ndirection: both", "1s", "2500ms"),
                        "  - name: kill\n    pod-kill: {selector: {pods: [web-0]}}\n    at: 1500ms\n", duration="5s")) as d:
        d.wait("cluster/pod", kind="exited", target="web-0")
        d.wait("fault/observed", fault="kill")
        assert d.arrives("web-0", "web-1", 5) == 0, "its network outlives its process"
        got = d.arrives("web-1", "web-0", 5)
        d.still("cut")
        assert got == 0, got
        d.wait("fault/revert", "ok", fault="cut")
        got = {f["name"]: f for f in d.end(0)["faults"]}
        assert got["cut"]["observed"] and got["kill"]["observed"] and 2490 < got["cut"]["reverted_ms"] < 3000, got


def test_a_frozen_pod_may_be_cut_off_as_well():
    with Drill(scenario(fault("pause", "pod-pause", ZERO, "1s", "2s"), fault("cut", "net-partition", f"{ZERO}\ndirection: both", "1500ms"))) as d:
        got = {f["name"]: f for f in d.end(0)["faults"]}
        assert all(f["observed"] and f["reverted"] for f in got.values()), got


def test_a_second_network_fault_on_a_pod_is_skipped():
    with Drill(scenario(fault("first", "net-partition", f"{ZERO}\n{ONE}", "1s", "1500ms"),
                        fault("second", "net-loss", f"{ZERO}\nloss: {{loss: 5%}}", "1500ms", "500ms"))) as d:
        d.wait("fault/act", "ok", fault="first")
        d.arrives("web-0", "web-1", 5)
        skipped = {f["name"]: f for f in d.end(2)["faults"]}["second"]
        assert skipped["skipped"] and "under a fault already" in skipped["why"], skipped


def test_a_quorum_counts_who_is_cut_off_but_not_who_loses_a_little():
    with Drill(scenario(fault("cut", "net-partition", f"{ZERO}\ndirection: both", "1s", "2500ms"),
                        fault("rain", "net-loss", "selector: {pods: [web-1]}\nloss: {loss: 1%}", "1500ms", "500ms"),
                        fault("more", "net-partition", "selector: {pods: [web-2]}", "2200ms", "500ms"), more="guards: {quorum: majority}\n", duration="5s")) as d:
        d.wait("fault/act", "ok", fault="rain")
        for _ in range(4):
            d.arrives("web-1", "web-2", 200)
        d.wait("run/end")
        got = {f["name"]: f for f in d.end(2)["faults"]}
        assert got["cut"]["observed"] and got["rain"]["injected"] and not got["rain"]["skipped"], got
        assert got["more"]["skipped"] and "majority" in got["more"]["why"], got


def test_an_interrupt_takes_it_back():
    with Drill(scenario(fault("cut", "net-partition", f"{ZERO}\ndirection: both", "1s", "30s"), duration="40s")) as d:
        d.wait("fault/observed")
        began = time.monotonic()
        d.p.send_signal(signal.SIGINT)
        f = d.end(4)["faults"][0]
        assert time.monotonic() - began < 10 * tap.SLOW and f["observed"] and f["reverted"] and f["reverted_ms"] < 10000, f
        assert chaosd("revert", "--all", env=d.scratch.env).stdout == "nothing to revert\n"


def bpftool(*words):
    p = subprocess.run(["bpftool", "-j", *words], capture_output=True, text=True, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
    return json.loads(p.stdout) if p.returncode == 0 else None


def test_kill_minus_9_in_mid_fault():
    with Drill(scenario(fault("cut", "net-partition", f"{ZERO}\ndirection: to\n{ONE}", "1s", "2s"), duration="60s")) as d:
        d.wait("fault/act", "ok")
        seen = time.monotonic()
        assert d.arrives("web-0", "web-1", 5) == 0
        d.p.kill()
        d.p.wait()
        program = d.filters("web-0", "egress")[0]["prog"]["id"]
        maps = bpftool("prog", "show", "id", str(program))["map_ids"]
        assert len(maps) == 3, maps
        came = None
        while not came and time.monotonic() - seen < 4:
            came = d.arrives("web-0", "web-1", 1, wait=0.005) and time.monotonic() - seen
        assert came, "the cut outlived its deadline"
        assert 1.8 < came < 2.1, f"over {came:.3f} s after it was known to be in"
        assert d.arrives("web-0", "web-1", 100) == 100
        run = d.pod("web-0")[0].split("-")[1]
        expect_exit(chaosd("revert", "--all", env=d.scratch.env), 0)
        assert not [n for n in os.listdir("/run/netns") if run in n]
        assert run not in subprocess.run(["ip", "-d", "link"], capture_output=True, text=True, check=True).stdout
        end = time.monotonic() + 5  # the kernel lets go of them by and by
        while time.monotonic() < end and (bpftool("prog", "show", "id", str(program)) or any(bpftool("map", "show", "id", str(m)) for m in maps)):
            time.sleep(0.05)
        assert not bpftool("prog", "show", "id", str(program)) and not any(bpftool("map", "show", "id", str(m)) for m in maps)
        assert chaosd("revert", "--all", env=d.scratch.env).stdout == "nothing to revert\n"


def test_who_deletes_our_filter_is_told_of():
    with Drill(scenario(fault("cut", "net-partition", f"{ZERO}\n{ONE}", "1s", "2s"))) as d:
        d.wait("fault/act", "ok")
        assert d.arrives("web-0", "web-1", 5) == 0
        d.wait("fault/observed")
        netns, _ = d.pod("web-0")
        subprocess.run(["tc", "-n", netns, "filter", "del", "dev", "eth0", "egress"], check=True)
        assert d.arrives("web-0", "web-1", 5) == 5
        d.wait("fault/trouble")
        s = d.end(2)
        f = s["faults"][0]
        assert f["observed"] and f["reverted"] and f["trouble"], f
        assert s["verdict"] == "inconclusive" and f["trouble"] in s["why"], s["why"]
        assert f["trouble"] in d.said(), d.said()


def test_no_packet_matched():
    with Drill(scenario(fault("nowhere", "net-partition", f"{ZERO}\nexternalTargets: 192.0.2.1", "1s"))) as d:
        s = d.end(2)
        assert not s["faults"][0]["observed"] and s["faults"][0]["affected"]["packets"] == 0, s["faults"]
        assert "nowhere #1 on web-0 was never seen in effect: no packet matched" in s["why"], s["why"]
        assert "no packet matched" in d.said()


def test_what_this_kernel_cannot_do_is_skipped():
    no_netem()
    slow = fault("slow", "net-delay", f"{ZERO}\ndelay: {{latency: 10ms}}", "1s")
    text = scenario(slow, "  - name: kill\n    pod-kill: {selector: {pods: [web-1]}}\n    at: 2s\n")
    with Drill(text) as d:
        s = d.end(0)
        checks, f = {c["name"]: c for c in s["checks"]}, {f["name"]: f for f in s["faults"]}
        assert checks["possible(slow)"]["verdict"] == "skipped" and "netem" in checks["possible(slow)"]["why"], checks
        assert f["slow"]["skipped"] and "netem" in f["slow"]["unable"] and f["kill"]["unable"] is None and f["kill"]["observed"], f
        assert "1 skipped" in s["why"] and "slow #1 was skipped" in d.said(), s["why"]
        for name in ("junit.xml", "summary.md", "report.html"):
            assert "netem" in (d.dir / name).read_text(), name
        assert '<testcase classname="chaosd.net" name="possible(slow)"' in (d.dir / "junit.xml").read_text()
    with Drill(scenario(slow)) as d:
        s = d.end(3)
        assert s["verdict"] == "skipped" and "netem" in s["why"], s["why"]
    with Scratch() as s:
        p = expect_exit(s.run(s.write("a.yaml", text), "--strict", "--out", s.dir / "run"), 1)
        assert "fault slow: net-delay cannot be done here" in p.stderr and "netem" in p.stderr, p.stderr
        assert not (s.dir / "run").exists()
        p = chaosd("check", s.dir / "a.yaml", env=s.env)
        assert p.returncode == 0 and "slow: net-delay would be skipped" in p.stdout, p.stdout


tap.main()
