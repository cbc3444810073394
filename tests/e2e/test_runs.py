# SPDX-License-Identifier: Apache-2.0
"""`chaosd runs`: what it lists, that its index is only a cache, and that nothing wrong with the index or a folder breaks the list."""
import json
import os
import shutil
import sqlite3

import tap
from tap import Scratch, chaosd, expect_exit


def summary_of(scenario="web", verdict="pass", wall=1795301521, share=0.5, windows=((10.0, 20.5),), seed=7, **more):
    loads = [{"load": "gets", "availability": {"requests": share}, "downtime": [{"min_ms": a, "max_ms": b} for a, b in windows]},
             {"load": "other", "availability": {"requests": None}, "downtime": []}]
    return json.dumps({"schema": 1, "scenario": scenario, "seed": seed, "verdict": verdict, "why": "so", "wall_ns": wall * 10**9, "loads": loads, **more})


def make(s, name, **kw):
    folder = s.dir / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(summary_of(**kw))
    return folder


def listed(s, *args):
    p = expect_exit(chaosd("runs", "--json", *args, cwd=s.dir), 0)
    return {r["run"]: r for r in json.loads(p.stdout)}, p.stderr


def index(s):
    return s.dir / "runs" / ".index.sqlite"


def rows(s):
    with sqlite3.connect(index(s)) as db:
        return sorted(r[0] for r in db.execute("SELECT folder FROM runs"))


def test_lists():
    with Scratch() as s:
        make(s, "a", wall=1795301521, share=0.9912345)
        make(s, "b", wall=1795301621, scenario="etcd", verdict="fail", windows=((1, 2), (5, None)), seed=2**63 - 1)
        make(s, "c", wall=1795301421, windows=())
        os.symlink("a", s.dir / "runs/latest")
        (s.dir / "runs/not-a-run").mkdir()
        (s.dir / "runs/file").write_text("x")
        p = expect_exit(chaosd("runs", cwd=s.dir), 0)
        assert p.stdout == (
            "  when (UTC)           scenario                 seed  verdict  available  worst downtime  run\n"
            "  2026-11-21 22:53:41  etcd      9223372036854775807  fail          50 %       over 5 ms  b\n"
            "  2026-11-21 22:52:01  web                         7  pass      99.123 %         20.5 ms  a\n"
            "  2026-11-21 22:50:21  web                         7  pass          50 %            none  c\n"), p.stdout
        assert p.stderr == "", p.stderr
        got, _ = listed(s)
        assert got["a"] == {"run": "a", "when": "2026-11-21T22:52:01Z", "scenario": "web", "seed": "7", "verdict": "pass", "why": "so",
                            "availability": 0.9912345, "worst_downtime_ms": 20.5, "downtime_open": False}, got["a"]
        assert got["b"]["downtime_open"] and got["b"]["worst_downtime_ms"] == 5
        assert list(listed(s, "-n", "2")[0]) == ["b", "a"]
        assert rows(s) == ["a", "b", "c"]


def test_stays_fresh():
    with Scratch() as s:
        make(s, "a")
        make(s, "b")
        listed(s)
        make(s, "a", verdict="fail")          # judged again
        make(s, "c", verdict="aborted")       # new
        shutil.rmtree(s.dir / "runs/b")       # gone
        got, _ = listed(s)
        assert {k: v["verdict"] for k, v in got.items()} == {"a": "fail", "c": "aborted"}, got
        assert rows(s) == ["a", "c"]
        # It does come from the index: what is changed there shows, and --rebuild forgets it.
        with sqlite3.connect(index(s)) as db:
            db.execute("UPDATE runs SET verdict='from the index' WHERE folder='a'")
        assert listed(s)[0]["a"]["verdict"] == "from the index"
        assert listed(s, "--rebuild")[0]["a"]["verdict"] == "fail"
        index(s).unlink()
        assert listed(s)[0]["a"]["verdict"] == "fail"


def other_database(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE runs(something)")


def other_version(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])


def scribble(path):
    data = bytearray(path.read_bytes())
    data[100:4000] = os.urandom(3900)
    path.write_bytes(data)


def test_a_broken_index_is_made_anew():
    breaks = {"garbage": lambda p: p.write_bytes(os.urandom(5000)), "cut": cut, "scribble": scribble, "version": other_version,
              "other": lambda p: (p.unlink(), other_database(p)), "empty": lambda p: p.write_bytes(b"")}
    for name, damage in breaks.items():
        with Scratch() as s:
            make(s, "a")
            make(s, "b")
            listed(s)
            damage(index(s))
            got, err = listed(s)
            assert set(got) == {"a", "b"} and got["a"]["verdict"] == "pass", (name, got, err)
            assert name == "empty" or "index" in err, (name, err)
            assert listed(s)[1] == "", name  # the next time all is well
            assert rows(s) == ["a", "b"], name


def test_an_unusable_index_is_done_without():
    with Scratch() as s:
        make(s, "a")
        for damage in ("folder", "link", "locked"):
            if damage == "folder":
                index(s).mkdir()
            elif damage == "link":
                os.symlink("/dev/full", index(s))
            else:
                listed(s)
                db = sqlite3.connect(index(s), isolation_level=None)
                db.execute("BEGIN EXCLUSIVE")
            got, err = listed(s)
            assert got["a"]["verdict"] == "pass" and "the folders themselves were read" in err, (damage, err)
            if damage == "folder":
                index(s).rmdir()
            elif damage == "link":
                index(s).unlink()
            else:
                db.close()


def test_odd_folders():
    with Scratch() as s:
        for name, text in {"empty": "", "array": "[]", "cut": summary_of()[:100], "types": '{"verdict": 5, "seed": [], "loads": {"a": 1}, "wall_ns": "x"}',
                           "binary": "\0\1\2", "loads": '{"verdict":"pass","loads":[1,{"downtime":5},{"availability":{"requests":"x"},"downtime":[{}]}]}'}.items():
            make(s, name)
            (s.dir / "runs" / name / "summary.json").write_text(text)
        hostile = make(s, "esc\x1b[31m\n", scenario="\x1b]0;x\x07 | evil", verdict="\x1b[2J")
        make(s, "turned", scenario="a\u202eb\u009b2Jc")
        odd = os.fsencode(s.dir / "runs") + b"/bad\xff"
        os.mkdir(odd)
        (s.dir / "runs" / "pipe").mkdir()
        os.mkfifo(s.dir / "runs" / "pipe" / "history.jsonl")
        with open(odd + b"/history.jsonl", "w") as f:
            f.write('{"schema":1}\n')
        running = s.dir / "runs/running"
        running.mkdir()
        (running / "history.jsonl").write_text('{"schema":1,"scenario":"web","seed":3,"wall_ns":1795301521000000000}\n{"seq":0,')
        got, _ = listed(s)
        assert len(got) == 10 and got["running"]["verdict"] is None and got["running"]["seed"] == "3", got
        assert got["empty"]["availability"] is None and got["empty"]["worst_downtime_ms"] is None
        out = expect_exit(chaosd("runs", cwd=s.dir), 0).stdout
        assert out.count("\n") == 11, out
        assert not set("\x1b\x07\u202e\u009b") & set(out), out
        assert "unfinished" in out and hostile.exists()


def test_bad_usage():
    with Scratch() as s:
        p = expect_exit(chaosd("runs", cwd=s.dir), 64)
        assert "runs: No such file" in p.stderr, p.stderr
        (s.dir / "runs").mkdir()
        p = expect_exit(chaosd("runs", cwd=s.dir), 0)
        assert p.stdout == "" and "no runs in runs" in p.stderr
        assert json.loads(expect_exit(chaosd("runs", "--json", cwd=s.dir), 0).stdout) == []
        expect_exit(chaosd("runs", "-n", "0", cwd=s.dir), 64)
        expect_exit(chaosd("runs", "-n", "x", cwd=s.dir), 64)
        expect_exit(chaosd("runs", "--dir", "nowhere", cwd=s.dir), 64)


def test_a_run_adds_itself():
    with Scratch() as s:
        scenario = s.write("web.yaml", tap.web(duration="2500ms"))
        expect_exit(s.run(scenario), 0)
        (folder,) = [p.name for p in (s.dir / "runs").iterdir() if p.is_dir() and not p.is_symlink()]
        assert rows(s) == [folder]
        md = (s.dir / "runs" / folder / "summary.md").read_text()
        assert md.startswith("## ✅ Passed: web\n"), md[:200]
        got, err = listed(s)
        assert got[folder]["verdict"] == "pass" and err == "", (got, err)
        # Elsewhere no index is left behind unasked.
        expect_exit(s.run(scenario, "--out", s.dir / "elsewhere/one"), 0)
        assert [p.name for p in (s.dir / "elsewhere").iterdir()] == ["one"]


def test_many():
    with Scratch() as s:
        for i in range(2000):
            make(s, f"run-{i}", wall=1795301521 + i)
        got, err = listed(s, "-n", "3")
        assert list(got) == ["run-1999", "run-1998", "run-1997"] and err == ""
        assert len(rows(s)) == 2000


tap.main()
