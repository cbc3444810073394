# SPDX-License-Identifier: Apache-2.0
"""The lab: a command under Debian's kernel keeps its words, its exit status and the folders asked for; what keeps it from booting is one
sentence, and in CI a failure."""
import os
import platform
import subprocess

import tap
from tap import ROOT, Scratch

VM = ROOT / "tests/lab/vm.sh"


def lab(*command, **env):
    return subprocess.run(["bash", VM, *map(str, command)], capture_output=True, text=True, timeout=240, env={**os.environ, **env})


def boots():
    if os.environ.get("CHAOSD_LAB"):
        raise tap.Skip("this is the lab")
    if platform.machine() != "x86_64":
        raise tap.Skip(f"the lab boots x86_64 only, this is {platform.machine()}")


def test_a_command_is_as_if_run_here():
    boots()
    with Scratch() as s:
        (s.dir / "kept").mkdir()
        inside = ROOT / "build" / f"lab-test-{os.getpid()}"
        script = f"""uname -v; echo words >&2; pwd; echo in >{inside}; echo also >{s.dir}/kept/file; echo lost >{s.dir}/file
            while [ $# -gt 0 ]; do [ "$1" != --out ] || {{ echo run >"$2/history"; ln -s history "$2/latest"; }}; shift; done
            bash tests/lab/has_netem.sh && exit 37"""
        p = lab("bash", "-c", script, "_", "--out", s.dir / "new" / "run", LAB_KEEP=f"{s.dir}/kept")
        assert p.returncode == 37, (p.returncode, p.stdout, p.stderr)
        lines = p.stdout.splitlines()
        assert "Debian" in lines[0] and lines[1] == os.getcwd(), p.stdout
        assert p.stderr == "words\n", p.stderr
        assert inside.read_text() == "in\n"
        inside.unlink()
        assert (s.dir / "kept/file").read_text() == "also\n"
        assert (s.dir / "new/run/latest").read_text() == "run\n"
        assert not (s.dir / "file").exists()


def fails(word, **env):
    p = lab("true", **env)
    assert p.returncode == 125, (p.returncode, p.stderr)
    last = p.stderr.strip().splitlines()[-1]
    assert last.startswith("lab: ") and word in last, p.stderr


def test_what_keeps_it_from_booting_is_said():
    boots()
    with Scratch() as s:
        (s.dir / "bin").mkdir()
        uname = s.write("bin/uname", "#!/bin/sh\necho riscv64\n")
        uname.chmod(0o755)
        fails("riscv64", PATH=f"{s.dir}/bin:{os.environ['PATH']}")
        apt = s.write("apt.conf", f'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "/dev/null"; Dir::State::Lists "{s.dir}/lists"; '
                                  f'Dir::State::status "/dev/null"; Dir::Cache "{s.dir}/cache";\n')
        (s.dir / "lists").mkdir()
        fails("linux-image-amd64", CHAOSD_CACHE=str(s.dir / "kernels"), APT_CONFIG=str(apt))
        assert not list((s.dir / "kernels/lab").iterdir())
        if os.geteuid() != 0:
            fails("CHAOSD_CACHE", CHAOSD_CACHE="/proc/nowhere")


def test_no_lab_is_a_skip_and_in_ci_a_failure():
    boots()
    with Scratch() as s:
        (s.dir / "bin").mkdir()
        s.write("bin/uname", "#!/bin/sh\necho riscv64\n").chmod(0o755)
        env = {**os.environ, "PATH": f"{s.dir}/bin:{os.environ['PATH']}"}
        for ci, code, count in ("", 0, "0 passed, 0 failed, 1 skipped"), ("true", 1, "0 passed, 1 failed, 0 skipped"):
            p = subprocess.run(["bash", ROOT / "tests/run.sh", "lab"], capture_output=True, text=True, timeout=60, env={**env, "CI": ci})
            assert p.returncode == code and p.stdout.splitlines()[-1] == count, p.stdout + p.stderr
            assert "riscv64" in p.stdout, p.stdout


tap.main()
