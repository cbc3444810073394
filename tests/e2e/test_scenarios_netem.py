# SPDX-License-Identifier: Apache-2.0
"""The scenarios that need netem, each once. Needs a kernel with sch_netem: in the lab, emulated, with fewer writes and longer limits, as `make demo` runs there."""
import os

import tap
from tap import ROOT, Scratch, events, expect_exit, summary

LAB = {"rate": "20/s", "deadline": "3s", "heartbeat": 200, "election": 2000, "longest": "40s", "least": "20%"} if os.environ.get("CHAOSD_LAB") else {}


def drill(name, **more):
    """An emulated machine that has to share its host may be too slow for a verdict (inconclusive); what was done and seen holds there too."""
    text = (ROOT / "scenarios" / f"{name}.yaml").read_text()
    settings = [w for k, v in {**LAB, **more}.items() if f"\n  {k}:" in text for w in ("--set", f"{k}={v}")]
    with Scratch() as s:
        p = s.run(ROOT / "scenarios" / f"{name}.yaml", "--strict", "--quiet", "--out", s.dir / "r", *settings, timeout=240)
        if not LAB or p.returncode != 2:
            expect_exit(p, 0)
        done = summary(s.dir / "r")
        acted = [f for f in done["faults"] if f["at_ms"] is not None]
        assert acted and all(f["observed"] and f["reverted"] is not False for f in acted), done["faults"]
        print(f"# {name}: seed {done['seed']}, {done['verdict']}, availability {[row['availability']['requests'] for row in done['lanes'][:1]]}")
        return done, [e for e in events(s.dir / "r") if e["op"].startswith("fault/")]


def test_lossy_wan():
    done, told = drill("lossy-wan")
    wan = [f for f in done["faults"] if f["kind"] == "net-delay"]
    kills = [f for f in done["faults"] if f["kind"] == "pod-kill"]
    assert len(wan) == 3 and len(kills) == 3 or (LAB and done["verdict"] == "inconclusive"), done["faults"]  # no leader, no victim
    assert not done["ledger"]["lost"] and done["ledger"]["acknowledged"] > 100, done["ledger"]
    for e in told:
        if e["op"] == "fault/revert" and e["phase"] == "ok" and e["kind"] == "net-delay":
            assert e["data"]["packets"] > 200 and 0 < e["data"]["queue_dropped"] < e["data"]["packets"] / 10, e


def test_etcd_slow_follower():
    done, told = drill("etcd-slow-follower")
    assert len(done["faults"]) == 2 and not done["ledger"]["lost"], done
    assert all(e["data"].get("by") == "netem" for e in told if e["op"] == "fault/act" and e["phase"] == "ok"), told


tap.main()
