# SPDX-License-Identifier: Apache-2.0
"""The scenarios that people recognise: each runs once here, passes, and saw every one of its faults in effect."""
import importlib.util
import pathlib
import re
import shutil

import tap
from tap import ROOT, Scratch, Skip, chaosd, events, expect_exit, summary

PG = "/usr/lib/postgresql/15/bin/postgres"


def need(*programs):
    missing = [p for p in programs if not (shutil.which(p) or pathlib.Path(p).exists())]
    if missing:
        raise Skip(f"(ci) not installed: {', '.join(missing)}")


def roles(folder, name):
    """Who held the role, in order, without the gaps."""
    return [e["target"] for e in events(folder) if e["op"] == "role/now" and e["kind"] == name and e["target"]]


def drill(name, acts):
    """Runs it with a seed drawn afresh, so that no threshold rests on one lucky plan."""
    with Scratch() as s:
        p = expect_exit(s.run(ROOT / "scenarios" / f"{name}.yaml", "--quiet", "--out", s.dir / "r", timeout=120), 0)
        done = summary(s.dir / "r")
        assert done["verdict"] == "pass", p.stdout
        assert len(done["faults"]) == acts, done["faults"]
        assert all(f["observed"] for f in done["faults"]), done["faults"]
        whole = next(row for row in done["lanes"] if row["availability"]["requests"] is not None)
        print(f"# {name}: seed {done['seed']}, availability {whole['availability']['requests']}, sustained "
              f"{[f['recovery']['sustained_ms'] for f in done['faults']]} ms")
        last = max(e["t"] for e in events(s.dir / "r")) / 1e9
        assert last < 90, f"{name} took {last:.0f} s"
        return done, {r: roles(s.dir / "r", r) for r in ("leader", "master")}


def test_web_behind_haproxy():
    need("haproxy", "nginx")
    done, _ = drill("web-behind-haproxy", 2)
    kill, pause = sorted(done["faults"], key=lambda f: f["at_ms"])
    assert pause["reverted"], pause
    control = next(row for row in done["loads"] if row.get("control"))
    assert control["load"] == "still" and control["planned"] > 500, control
    # What it teaches: the pause costs, by the health check and not by the six seconds.
    assert kill["recovery"]["sustained_ms"] < 500 < pause["recovery"]["sustained_ms"] < 4000, (kill, pause)


def test_rolling_restart():
    need("haproxy", "/usr/bin/python3")
    done, _ = drill("rolling-restart", 3)
    assert {f["target"] for f in done["faults"]} == {"web-0", "web-1", "web-2"}, done["faults"]


def test_redis_sentinel_failover():
    need("redis-server", "redis-sentinel", "redis-cli", "/usr/bin/python3")
    done, held = drill("redis-sentinel-failover", 2)
    victims = [f["target"] for f in sorted(done["faults"], key=lambda f: f["at_ms"])]
    assert victims[0] == "redis-0" and victims[1] != "redis-0", victims  # the second one was the master of then
    assert len(set(held["master"])) > 1, held


def test_postgres_patroni_failover():
    need("etcd", "patroni", PG, "setpriv")
    if importlib.util.find_spec("psycopg2") is None and not pathlib.Path("/usr/lib/python3/dist-packages/psycopg2").exists():
        raise Skip("(ci) python3-psycopg2 is not installed")
    done, held = drill("postgres-patroni-failover", 1)
    fault = done["faults"][0]
    assert held["leader"][-1] != fault["target"], (held, fault)  # another one leads now
    assert 1000 < fault["recovery"]["sustained_ms"] < 18000, fault  # and not before the lease had run out


def test_etcd_partition_leader():
    need("etcd")
    done, held = drill("etcd-partition-leader", 3)
    cuts = sorted(done["faults"], key=lambda f: f["at_ms"])
    assert all(f["reverted"] and f["kind"] == "net-partition" for f in cuts), cuts
    assert len(held["leader"]) >= 4, held  # each cut made another one lead
    assert done["ledger"]["lost"] == 0 and done["ledger"]["acknowledged"] > 1000, done["ledger"]


def test_redis_split_brain():
    need("redis-server", "redis-sentinel", "/usr/bin/python3")
    done, held = drill("redis-split-brain", 1)
    assert held["master"][-1] != done["faults"][0]["target"], held
    # Nobody noticed, and the writes are gone: that is the drill.
    writes = next(row for row in done["lanes"] if row["load"] == "writes")
    assert writes["availability"]["requests"] > 0.9 and done["ledger"]["lost"] > 500, (writes, done["ledger"])


def test_all_scenarios_are_valid():
    paths = sorted((ROOT / "scenarios").glob("*.yaml"))
    assert len(paths) >= 6, paths
    for path in paths:
        p = chaosd("plan", path, "--seed", 1)
        assert p.returncode == 0 and p.stdout, (path.name, p.stderr)
        text = path.read_text()
        assert re.match(r"# SPDX-License-Identifier: Apache-2.0\n# [A-Z].*\.\n#\n", text) or text.count("\n#") > 4, f"{path.name} teaches nothing"
        if re.search(r"^  kubernetes:", text, re.M):
            continue  # of a cluster of the user's: as long as it takes there
        seconds = re.search(r"^duration: (\d+)s", text, re.M)
        assert seconds and int(seconds.group(1)) <= 75, f"{path.name}: longer than its 90 s allow"


tap.main()
