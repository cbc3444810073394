# SPDX-License-Identifier: Apache-2.0
"""The house keeps its order: arrows go one way, a fault is one file and one row, the other compiler agrees, install puts things in place."""
import os
import pathlib
import re
import subprocess

import tap
from tap import BUILD, ROOT, Scratch

# A folder may include from itself and from what stands at or below these. "" is chaosd/ itself: the commands and the interpreter.
ALLOWED = {
    "base": set(),
    "io": {"base"},
    "history": {"base"},
    "check": {"base", "history"},
    "report": {"base", "history", "check"},
    "scenario": {"base", "check"},
    "kube": {"base", "io", "scenario"},
    "cluster": {"base", "io", "history", "scenario", "kube"},
    "fault": {"base", "io", "scenario", "cluster"},
    "load": {"base", "io", "history", "scenario", "cluster"},
    "probe": {"base", "io", "scenario", "cluster"},
    "agent": {"base", "io", "history", "scenario", "kube", "cluster", "fault"},
    "words": {"base", "scenario", "cluster", "fault", "load", "probe"},
}
EXTERNAL = {"ev.h": "io", "curl/curl.h": "io"}  # the only folder that may include them; the version command aside


def sources():
    return sorted((ROOT / "chaosd").rglob("*.[ch]"))


def library():
    """netem/, what the kernel runs aside."""
    return [p for p in sorted((ROOT / "netem").glob("*.[ch]")) if not p.name.endswith(".bpf.c")]


def includes(path):
    return re.findall(r'^#include ([<"])([^>"]+)[>"]', path.read_text(), re.M)


def test_arrows_go_one_way():
    wrong = []
    for path in sources():
        folder = path.relative_to(ROOT / "chaosd").parent.name
        for mark, name in includes(path):
            if mark == "<":
                home = EXTERNAL.get(name)
                if home and folder != home and path.name != "cmd_version.c":
                    wrong.append(f"{path.name} includes <{name}>")
            elif folder:
                if name == "netem.h" and folder in ("fault", "cluster", "agent"):
                    continue
                if name == "agent/node_fault.h" and folder in ("fault", "cluster"):  # what runs and agents say to each other: pure
                    continue
                to = os.path.dirname(name)
                if to != folder and to not in ALLOWED[folder]:
                    wrong.append(f"{folder}/{path.name} includes {name}")
    assert not wrong, "\n".join(wrong)
    assert len(sources()) > 50


def test_netem_stands_alone():
    own = {p.name for p in library()} | {"classify.skel.h"}
    wrong = [f"netem/{p.name} includes {name}" for p in (ROOT / "netem").glob("*.[ch]") for mark, name in includes(p) if mark == '"' and name not in own]
    assert not wrong, "\n".join(wrong)
    assert len(own) > 10


def test_check_is_pure():
    for path in (ROOT / "chaosd" / "check").glob("*.[ch]"):
        text = path.read_text()
        for banned in ("clock_gettime", "time(NULL)", "getenv", "rand(", "socket(", "fork("):
            assert banned not in text, f"{path.name} uses {banned}"


def test_a_fault_is_one_file_and_one_row():
    table = (ROOT / "chaosd/fault/table.c").read_text()
    files = [p for p in (ROOT / "chaosd/fault").glob("*.c") if "const struct fault_kind fault_" in p.read_text()]
    assert len(files) == table.count("ROW(fault_")
    for p in files:
        name = re.search(r"const struct fault_kind (\w+) =", p.read_text()).group(1)
        assert table.count(name) == 1, f"{name} has not exactly one row"
        kind = p.stem.replace("_", "-")
        for other in sources():
            if other != p and other.suffix == ".c":
                assert f'"{kind}"' not in other.read_text(), f"{other} knows {kind} by name"


def test_every_file_has_a_licence_line():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split() if listed.returncode == 0 else [str(p) for p in sources()]
    for n in names:
        if re.search(r"\.(c|h|py|sh|yaml)$", n) or n in ("Makefile", ".ci/run"):
            assert "SPDX-License-Identifier: Apache-2.0" in "".join((ROOT / n).open().readlines()[:3]), n


def test_clang_agrees():
    """What gcc built, clang parses and checks with the same warnings as errors; code generation is left out: it is the long part."""
    flags = subprocess.run(["pkg-config", "--cflags", "libcurl", "jansson", "libnl-route-3.0", "yaml-0.1", "libbpf"], capture_output=True, text=True, check=True).stdout.split()
    files = [str(p) for p in sources() + library() if p.suffix == ".c"]
    p = subprocess.run(["clang", "-std=gnu17", "-D_GNU_SOURCE", '-DCHAOSD_VERSION="test"', "-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes",
                        "-Wmissing-prototypes", "-Wpointer-arith", "-Wformat=2", "-Werror", "-Ichaosd", "-Inetem", f"-I{BUILD}/gen", *flags, *files],
                       cwd=ROOT, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr[-3000:]


def test_install():
    with Scratch() as s:
        subprocess.run(["make", "-s", "install", f"DESTDIR={s.dir}", "PREFIX=/usr", f"B={BUILD}"] + (["SAN=1"] if os.environ.get("SAN") else []), cwd=ROOT, check=True, capture_output=True)
        out = subprocess.run([s.dir / "usr/bin/chaosd", "version"], capture_output=True, text=True, check=True).stdout
        assert out.startswith("chaosd "), out
        assert (s.dir / "usr/share/chaosd/scenarios/etcd-leader-kill.yaml").exists()


def test_sizes_are_reported():
    long_files = [(p, n) for p in sources() + library() for n in [len(p.read_text().splitlines())] if n > 500]
    for p, n in long_files:
        print(f"# {p.relative_to(ROOT)}: {n} lines, more than 500: is there a seam?")


tap.main()
