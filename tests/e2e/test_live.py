# SPDX-License-Identifier: Apache-2.0
"""The live view on a real (pseudo) terminal: drawn, resized, left again whatever happens, and absent where it does not belong."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import tap
from tap import CHAOSD, SLOW, Scratch

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """chaosd run on a pseudo-terminal, and what a terminal would show: it knows just the sequences the view is allowed to use."""

    def __init__(self, s, *args, width=100, height=30, env=None, **kw):
        self.master, slave = pty.openpty()
        self.slave = slave  # kept open, to ask for its modes afterwards
        self.bytes = b""
        self.resize(width, height)
        self.before = termios.tcgetattr(slave)
        self.p = subprocess.Popen([CHAOSD, "run", *map(str, args)], stdin=slave, stdout=slave, stderr=slave, cwd=s.dir,
                                  env={**s.env, "TERM": "xterm", "LC_ALL": "C.UTF-8", "NO_COLOR": "", **(env or {})}, start_new_session=True,
                                  preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0), **kw)

    def __enter__(self):
        return self

    def __exit__(self, *a):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, width, height):
        self.width, self.height = width, height
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            if ready:
                self.bytes += os.read(self.master, 65536)

    def until(self, want, seconds=20):
        """Reads until want(self) or the end of patience."""
        end = time.monotonic() + seconds * SLOW
        while not want(self):
            assert time.monotonic() < end, f"never came to be; the screen:\n{self.screen()}\n{self.bytes[-1500:]!r}"
            self.read(0.05)

    def wait(self, seconds=40):
        end = time.monotonic() + seconds * SLOW
        while self.p.poll() is None:
            assert time.monotonic() < end, f"does not end; the screen:\n{self.screen()}"
            self.read(0.05)
        self.read(0.2)
        return self.p.returncode

    def screen(self):
        """The second screen as it stands; fails on a sequence that is none of the view's, or a line that is too wide."""
        text = self.bytes.split(ENTER)[-1].split(b"\x18")[0].decode(errors="replace")
        rows, row, col = {}, 1, 1
        for m in re.finditer(r"\x1b\[(\??)([\d;]*)([A-Za-z])|([^\x1b])|(\x1b)", text):
            private, args, what, char, lone = m.groups()
            if char:
                assert char >= " ", f"control character {char!r}"
                rows.setdefault(row, {})[col] = char
                col += 1
            elif lone:
                break  # the rest of it has not come yet
            elif what == "H":
                row, col = map(int, args.split(";"))
            elif what == "K":
                rows[row] = {k: v for k, v in rows.get(row, {}).items() if k < col}
            elif what == "J":
                rows = {}
            else:
                assert what in "mhl", f"sequence {m.group()!r}"
        assert all(c <= self.width for r in rows.values() for c in r) or self.resized, rows
        return "\n".join("".join(rows.get(r, {}).get(c, " ") for c in range(1, self.width + 1)).rstrip() for r in range(1, max(rows, default=0) + 1))

    resized = False

    def restored(self):
        assert self.bytes.count(ENTER) == self.bytes.count(LEAVE) >= 1, (self.bytes.count(ENTER), self.bytes.count(LEAVE))
        assert self.bytes.rindex(LEAVE) > self.bytes.rindex(ENTER)
        tail = self.bytes[:self.bytes.rindex(LEAVE)][-40:]
        assert b"\x1b[?25h" in tail and b"\x1b[?7h" in tail and b"\x1b[0m" in tail, tail
        assert termios.tcgetattr(self.slave) == self.before, "the terminal's modes are not what they were"


def scenario(s, **kw):
    return s.write("web.yaml", tap.web(**kw))


def running(t):
    return re.search(r"web +seed \d+ +running", t.screen()) is not None


def test_a_drill():
    with Scratch() as s, Terminal(s, scenario(s, duration="5s"), "--yes", "--seed", "3") as t:
        t.until(running)
        t.until(lambda t: "hit #1" in t.screen() and "not ready" in t.screen())
        screen = t.screen()
        assert re.search(r"^ 0:0\d of 0:05 █", screen, re.M), screen
        assert re.search(r"^ gets +\d+/s +\d+/s +\d+/s", screen, re.M), screen
        assert re.search(r"^ web-0 +(exited|backoff|running) +not ready", screen, re.M), screen
        assert re.search(r"^ +1\.\d{3}  web-0 exited by signal 9$", screen, re.M), screen
        assert t.wait() == 0
        t.restored()
        after = t.bytes[t.bytes.rindex(LEAVE):].decode()
        # The plain lines and the report stay on the first screen.
        assert "web-0 exited by signal 9\r\n" in after and "load ends\r\n" in after and "PASS  web" in after, after


def test_resizing():
    with Scratch() as s, Terminal(s, scenario(s, duration=f"{6 * SLOW}s"), "--yes") as t:
        t.resized = True
        t.until(running)
        for width, height in ((120, 40), (40, 10), (80, 24), (20, 3), (1, 1), (200, 60), (100, 30)):
            t.resize(width, height)
            mark = len(t.bytes)
            t.until(lambda t: b"\x1b[2J" in t.bytes[mark:])
            t.read(0.3 * SLOW)
            fresh = t.bytes[t.bytes.rindex(b"\x1b[2J"):]
            assert max((int(r) for r in re.findall(rb"\x1b\[(\d+);1H", fresh)), default=0) <= height, (width, height)
            assert all(len(line) <= width for line in re.sub(r"\x1b\[[\d;]*m", "", "\n".join(
                re.findall(r"\x1b\[\d+;1H(.*?)\x1b\[K", fresh.decode(), re.S))).split("\n")), (width, height, fresh)
        assert t.wait() == 0
        t.restored()


def test_ctrl_c():
    with Scratch() as s, Terminal(s, scenario(s, duration="30s"), "--yes") as t:
        t.until(running)
        os.write(t.master, b"typed, not echoed\x03")
        t.until(lambda t: "aborted, reverting" in t.screen() or LEAVE in t.bytes)
        assert t.wait() == 4
        t.restored()
        assert b"typed" not in t.bytes
        assert b"ABORTED  web" in t.bytes


def test_ends_of_other_kinds():
    """Killed by signals that leave no time, or never begun: the terminal is given back, the exit is what it would have been."""
    for sig in (signal.SIGTERM, signal.SIGQUIT, signal.SIGSEGV):
        with Scratch() as s, Terminal(s, scenario(s, duration="30s"), "--yes") as t:
            t.until(running)
            if sig == signal.SIGSEGV and os.environ.get("SAN"):
                continue  # the sanitizer's own handler keeps its place
            os.kill(t.p.pid, sig)
            code = t.wait()
            assert code == (4 if sig == signal.SIGTERM else -sig), code
            t.restored()
    with Scratch() as s:
        text = tap.web().replace("ready: {http: {url: \"http://${pod.ip}:8080/\"}}", "ready: {http: {url: \"http://${pod.ip}:1/\"}}")
        path = s.write("never.yaml", text.replace("duration: 4s", "duration: 4s\nreadyTimeout: 1s"))
        with Terminal(s, path, "--yes") as t:
            assert t.wait() in (2, 64), t.bytes
            if ENTER in t.bytes:
                t.restored()


def test_stopped_and_continued():
    """Ctrl-Z gives the screen back, fg takes it again; meanwhile the run's own watch says that chaosd stood still."""
    with Scratch() as s, Terminal(s, scenario(s, duration="5s"), "--yes") as t:
        t.until(running)
        os.kill(t.p.pid, signal.SIGTSTP)  # as the terminal would send it; a session leader without a shell is in an orphaned group
        t.until(lambda t: t.bytes.count(LEAVE) == 1)
        assert termios.tcgetattr(t.slave) == t.before
        os.kill(t.p.pid, signal.SIGCONT)
        t.until(lambda t: t.bytes.count(ENTER) == 2)
        t.until(running)
        t.wait()
        t.restored()


def test_a_terminal_that_does_not_listen():
    """Ctrl-S: nobody reads what is drawn. The run must not wait for it."""
    with Scratch() as s, Terminal(s, scenario(s, duration="5s"), "--yes", width=300, height=100) as t:
        t.until(running)
        began = time.monotonic()
        os.write(t.master, b"\x13")  # XOFF
        history = next((s.dir / "runs").glob("2*")) / "history.jsonl"
        while "run/loads-end" not in history.read_text():
            assert time.monotonic() - began < 20 * SLOW, "the run waits for the terminal"
            time.sleep(0.05)
        os.write(t.master, b"\x11")
        assert t.wait() in (0, 2) if SLOW > 1 else t.wait() == 0
        t.restored()
        stalls = [e["data"] for e in tap.events(history.parent) if e["op"] == "self/stall"]
        assert all(x["to"] - x["from"] < 1e9 * SLOW for x in stalls), stalls  # a write that waits would last as long as the silence


def test_plain_where_it_belongs():
    with Scratch() as s:
        path = scenario(s, duration="2500ms")
        for args, env in ((["--no-live"], {}), ([], {"TERM": "dumb"}), (["--quiet"], {})):
            with Terminal(s, path, "--yes", *args, env=env) as t:
                assert t.wait() == 0, t.bytes
                assert b"\x1b" not in t.bytes, t.bytes
                assert (b"load ends" in t.bytes) == (args != ["--quiet"]), t.bytes
        p = s.run(path)
        assert p.returncode == 0 and "\x1b" not in p.stdout and "load ends" in p.stdout, p.stdout


def test_colour_and_letters():
    with Scratch() as s:
        path = scenario(s, duration="3s")
        with Terminal(s, path, "--yes") as t:
            t.until(running)
            assert t.wait() == 0
            assert b"\x1b[32m" in t.bytes and "█".encode() in t.bytes
        with Terminal(s, path, "--yes", env={"NO_COLOR": "1", "LC_ALL": "C"}) as t:
            t.until(running)
            assert t.wait() == 0
            view = t.bytes[:t.bytes.rindex(LEAVE)]
            assert not re.search(rb"\x1b\[[1-9]\d*m", view) and all(b < 0x80 for b in view), view


tap.main()
