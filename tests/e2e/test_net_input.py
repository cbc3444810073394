# SPDX-License-Identifier: Apache-2.0
"""Network faults that cannot be meant: refused before anything is done, with file, line and column; or, where only the moment can tell,
an act that fails with one sentence."""
import re

import tap
from netdrill import Drill, fault, has_netem, scenario
from tap import Scratch, chaosd, expect_exit

ZERO = "selector: {pods: [web-0]}"
LINE = 25  # of the selector, the first field of the fault in the scenario

# kind, its fields, the field's line from the first, words of the error
REFUSED = [
    ("net-loss", "loss: {loss: 101%}", 1, "101%", "100%"),
    ("net-loss", "loss: {loss: -1%}", 1, "-1%"),
    ("net-loss", "loss: {}", 1, "loss needs a share"),
    ("net-loss", "loss: {loss: 5%, states: {p13: 1%, p31: 1%}}", 1, "one model only"),
    ("net-loss", "loss: {states: {p13: 1%, p31: 1%}, correlation: 5%}", 1, "correlation goes with a share only"),
    ("net-loss", "delay: {latency: 10ms}", 0, '"loss"'),
    ("net-delay", "delay: {latency: 10ms, jitter: 20ms}", 0, "jitter"),
    ("net-delay", "delay: {latency: 0.5}", 1, "latency", "0.5"),
    ("net-delay", "delay: {latency: 2h}", 1, "latency", "2h"),
    ("net-delay", "delay: {latency: 10ms, distribution: gauss}", 1, "gauss", "normal"),
    ("net-delay", "delay: {latency: 10ms, correlation: 200%}", 1, "200%"),
    ("net-delay", "latency: 10ms", 1, "latency"),
    ("net-reorder", "reorder: {reorder: 5%}", 0, '"delay"'),
    ("net-rate", "rate: {rate: 10}", 1, "unit is missing"),
    ("net-rate", "rate: {rate: 10mb}", 1, "10mb"),
    ("net-corrupt", "corrupt: {corrupt: 0%}", 1, "corrupt"),
    ("net-partition", "ports: 70000", 1, "70000", "65535"),
    ("net-partition", "ports: [80, 90-80]", 1, "90-80"),
    ("net-partition", "ports: [-5]", 1, "-5"),
    ("net-partition", "targetPorts: [http]", 1, "http"),
    ("net-partition", "ports: 80\nprotocol: icmp", 2, "protocol icmp has no ports"),
    ("net-partition", "protocol: ipx", 1, "ipx", "tcp"),
    ("net-partition", "direction: out", 1, "out", "both"),
    ("net-partition", "except: 10.0.0.1", 1, "except takes from what is named", "0.0.0.0/0"),
    ("net-partition", "externalTargets: 10.0.0.0/33", 1, "10.0.0.0/33"),
    ("net-partition", "externalTargets: [10.0.0]", 1, "10.0.0"),
    ("net-partition", "externalTargets: ['fd00::/129']", 1, "fd00::/129"),
    ("net-partition", "externalTargets: [10.0.0.0/8]\nexcept: [db]", 2, "db"),
    ("net-partition", "target: {mode: one}", 1, "selector"),
    ("net-partition", "device: a-name-that-is-too-long", 1, "device"),
    ("net-partition", "loss: {loss: 5%}", 1, "loss"),
    ("net-partition", "measure: true", 1, "measure needs a far end", "single host"),
    ("net-partition", "measure: true\nexternalTargets: [10.0.0.0/8]", 1, "measure needs a far end", "single host"),
    ("net-partition", "measure: true\nexternalTargets: [10.0.0.1]\nprotocol: tcp", 1, "measure", "ICMP", "tcp"),
    ("net-partition", "externalTargets: [10.0.0.1]\nprotocol: icmpv6", 2, "icmpv6", "say icmp"),
    ("net-partition", "measure: true\nexternalTargets: [10.0.0.1]\nports: 80", 1, "measure", "ports"),
]


def test_what_cannot_be_meant_is_refused():
    with Scratch() as s:
        for i, (kind, fields, line, *words) in enumerate(REFUSED):
            path = s.write(f"bad{i}.yaml", scenario(fault("bad", kind, f"{ZERO}\n{fields}", "1s")))
            p = chaosd("plan", path, env=s.env, timeout=20)
            assert p.returncode == 64 and p.stdout == "", (kind, fields, p.returncode, p.stdout, p.stderr)
            at = re.match(r"chaosd: .*bad%d\.yaml:(\d+):(\d+): " % i, p.stderr)
            assert at and p.stderr.count("\n") == 1 and len(p.stderr) < 600, (fields, p.stderr)
            begins = int(at.group(1)) - LINE
            assert begins == line or (line == 0 and begins in (-1, 0)), (fields, begins, p.stderr)
            for w in words:
                assert w in p.stderr, f"{fields}: {w!r} is not in: {p.stderr}"


def test_for_is_needed():
    with Scratch() as s:
        text = scenario(fault("cut", "net-partition", ZERO, "1s")).replace("    for: 1s\n", "")
        assert "for" in expect_exit(chaosd("plan", s.write("a.yaml", text), env=s.env), 64).stderr


def test_a_name_that_nobody_knows_ends_the_run_before_it_begins():
    with Scratch() as s:
        text = scenario(fault("cut", "net-partition", f"{ZERO}\nexternalTargets: [no-such-host.invalid]", "1s"))
        p = s.run(s.write("a.yaml", text), "--out", s.dir / "run")
        assert p.returncode in (2, 64, 70), (p.returncode, p.stderr)
        assert "fault cut: externalTargets: no-such-host.invalid:" in p.stderr, p.stderr
        assert chaosd("revert", "--all", env=s.env).stdout == "nothing to revert\n"


def fails(fields, *words, kind="net-partition"):
    with Drill(scenario(fault("bad", kind, f"{ZERO}\n{fields}", "1s"), duration="3s")) as d:
        s = d.end(2)
        f = s["faults"][0]
        assert not f["observed"], f
        for w in words:
            assert w in s["why"], f"{fields}: {w!r} is not in: {s['why']}"
        return s


def test_a_device_that_the_pod_does_not_have():
    assert not fails("device: eth7", "bad #1 on web-0 failed", "eth7")["faults"][0]["injected"]


def test_a_target_that_matches_nobody():
    assert not fails("target: {selector: {labelSelectors: {app: nobody}}}", "bad #1 on web-0 failed", "target: no other pod matches")["faults"][0]["injected"]


def test_only_itself_is_no_far_end():
    fails("target: {selector: {pods: [web-0]}}", "bad #1 on web-0 failed", "target: no other pod matches")


def test_the_other_family_matches_nothing():
    s = fails("direction: both\nexternalTargets: ['::/0']", "bad #1 on web-0 was never seen in effect: no packet matched")
    assert s["faults"][0]["injected"] and s["faults"][0]["reverted"], s["faults"]


def test_no_share_was_drawn():
    if not has_netem():  # there one of a million is netem's to draw, and the packets pass through it
        fails("loss: {loss: 0.0001%}", "never seen in effect: no packet was dropped", kind="net-loss")


tap.main()
