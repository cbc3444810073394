# SPDX-License-Identifier: Apache-2.0
"""chaosd inject with netem itself: what is asked is what packets meet, and nothing of it is left.
Needs a kernel with sch_netem"""
import json
import signal
import subprocess

import tap
from netlab import Pair, sh, until
from tap import CHAOSD, Scratch, Skip, chaosd, expect_exit


def need_netem():
    out = chaosd("check").stdout
    if "ok  net-delay" not in out:
        raise Skip([line for line in out.splitlines() if "net-delay" in line][0])


def median(values):
    return sorted(values)[len(values) // 2]


def delays_ms(pair, count=200, to="10.88.0.2", pause=0.002, linger=0.5):
    return [d * 1e3 for _, d in pair.sent(count, to, pause=pause, linger=linger)]


def queue(pair):
    """The ifb's netem as tc tells it."""
    found = [q for q in json.loads(sh("tc", "-n", pair.a, "-s", "-j", "qdisc")) if q["kind"] == "netem"]
    assert len(found) == 1, found
    return found[0]


def test_delay_is_what_was_asked():
    need_netem()
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        base = median(delays_ms(p))
        out = expect_exit(p.inject("net-delay", "--netns", p.a, "--to", "10.88.0.0/30", "--except", "10.88.0.3", "--latency", "80ms", "--for", "1m"), 0).stdout
        assert "80ms" in out and "in effect" in out, out
        assert abs(queue(p)["options"]["delay"]["delay"] - 0.08) < 1e-6, queue(p)
        assert abs(median(delays_ms(p)) - base - 80) < 2
        assert median(delays_ms(p, to="10.88.0.3", linger=0)) - base < 5
        again = expect_exit(p.inject("net-delay", "--netns", p.a, "--to", "10.88.0.2", "--latency", "30ms", "--jitter", "5ms", "--distribution", "normal", "--for", "1m"), 0).stdout
        assert "changed" in again and "30ms \u00b1 5ms" in again, again
        assert abs(median(delays_ms(p)) - base - 30) < 3
        text = p.inject("--list").stdout
        assert "netem 30ms \u00b1 5ms" in text, text
        expect_exit(chaosd("revert", "--all", env=s.env), 0)
        assert p.scene() == before, p.scene()


def test_what_is_delayed_arrives_after_the_end():
    need_netem()
    with Scratch() as s, Pair(s) as p:
        sh("tc", "-n", p.a, "qdisc", "add", "dev", "eth0", "clsact")  # attaching it resets the device's queues, which may cost a packet; that is not looked at here
        before = p.scene()
        inject = lambda: expect_exit(p.inject("net-delay", "--netns", p.a, "--latency", "600ms", "--for", "1s"), 0)
        met = p.sent(250, "10.88.0.2", pause=0.02, linger=3, during=inject)  # beyond the deadline
        got = [d * 1e3 for _, d in met]
        missing = sorted(set(range(250)) - {n for n, _ in met})
        assert not missing, (missing, [(n, round(d * 1e3)) for n, d in met if d > 0.3])
        assert 590 < max(got) < 1200 and median(got[-50:]) < 100 and len([d for d in got if d > 590]) >= 10, (max(got), got[-50:])
        assert until(lambda: p.scene() == before, 15), p.scene()


def test_bursts_combined_and_told():
    need_netem()
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        fault = subprocess.Popen([CHAOSD, "inject", "net-loss", "--netns", p.a, "--to", "10.88.0.2", "--set", "loss.gilbertElliott.p=5%", "--set", "loss.gilbertElliott.r=25%",
                                  "--latency", "5ms", "--for", "2m", "--wait", "--json"], stdout=subprocess.PIPE, text=True, env=s.env)
        assert '"in-effect"' in fault.stdout.readline()
        arrived = len(p.sent(3000, "10.88.0.2", pause=0.0005, linger=0.3))
        q = queue(p)
        fault.send_signal(signal.SIGINT)
        last = json.loads(fault.communicate(timeout=20)[0].splitlines()[-1])
        assert last["packets"] == 3000 and last["dropped"] == 3000 - arrived == q["drops"], (last, arrived, q)
        assert 0.08 < (3000 - arrived) / 3000 < 0.27, arrived  # 1/6 in the long run, in bursts
        assert p.scene() == before, p.scene()


def test_rate_duplicate_corrupt_reorder():
    need_netem()
    rows = [("net-rate", ["--rate", "8mbit"], "rate"), ("net-duplicate", ["--duplicate", "50%"], "duplicate"), ("net-corrupt", ["--corrupt", "50%"], "corrupt"),
            ("net-reorder", ["--reorder", "25%", "--latency", "20ms", "--gap", "2"], "reorder")]
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        for kind, args, word in rows:
            expect_exit(p.inject(kind, "--netns", p.a, "--to", "10.88.0.2", "--for", "1m", *args), 0)
            assert word in queue(p)["options"], (kind, queue(p))
            n = len(p.sent(400, "10.88.0.2", pause=0.001, linger=0.3))
            assert {"net-rate": n == 400, "net-reorder": n == 400, "net-duplicate": 500 < n < 700, "net-corrupt": n < 400}[kind], (kind, n)
            expect_exit(chaosd("revert", "--all", env=s.env), 0)
            assert p.scene() == before, (kind, p.scene())


def test_from_partition_to_delay_and_back():
    """One name, one fault, whatever it does."""
    need_netem()
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        for kind, args, word in (("net-partition", [], " in effect"), ("net-delay", ["--latency", "5ms"], " changed"), ("net-partition", [], " changed")):
            out = expect_exit(p.inject(kind, "--netns", p.a, "--name", "one", "--to", "10.88.0.2", "--for", "1m", *args), 0).stdout
            assert word in out and len(p.filters()) == 1, out
            n = len(p.sent(20, "10.88.0.2", linger=0.1))
            assert n == (20 if kind == "net-delay" else 0), (kind, n)
        expect_exit(chaosd("revert", "--all", env=s.env), 0)
        assert p.scene() == before, p.scene()


tap.main()
