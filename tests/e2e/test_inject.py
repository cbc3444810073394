# SPDX-License-Identifier: Apache-2.0
"""chaosd inject, as far as it needs no netem: in effect, changed, over on time, reverted, proven; and nothing left behind."""
import json
import os
import shutil
import signal
import subprocess
import time

import tap
from netlab import Pair, sh, until
from tap import CHAOSD, Scratch, Skip, chaosd, expect_exit


def start(pair, *args, env=None):
    """chaosd inject in the background, in effect."""
    p = subprocess.Popen([CHAOSD, "inject", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env or pair.scratch.env)
    line = p.stdout.readline()
    assert "in effect" in line or '"in-effect"' in line, (line, p.stderr.read())
    return p


def run_of(text):
    return text.split("chaosd revert ")[1].split()[0]


def test_a_partition_hits_only_what_is_named_and_ends_by_itself():
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        began = time.monotonic()
        out = expect_exit(p.inject("net-partition", "--netns", p.a, "--dev", "eth0", "--to", "10.88.0.2", "--to", "fd88::/64", "--for", "6500ms"), 0).stdout
        assert out.count("\n") == 1 and "net-partition on eth0 of " + p.a in out and "6.5s" in out and "UTC" in out, out
        assert len(p.filters()) == 1 and p.filters()[0]["kind"] == "bpf"
        assert p.sent(50, "10.88.0.2") == [] and p.sent(50, "fd88::2") == []
        assert len(p.sent(50, "10.88.0.3")) == 50
        assert time.monotonic() - began < 6.5, "the machine is too slow for this test"
        time.sleep(max(0, began + 6.6 - time.monotonic()))
        assert len(p.sent(50, "10.88.0.2")) == 50
        assert until(lambda: p.scene() == before), (before, p.scene())


def test_from_and_ports():
    with Scratch() as s, Pair(s) as p:
        expect_exit(p.inject("net-partition", "--netns", p.b, "--direction", "from", "--port", "7000-7001", "--protocol", "udp", "--for", "20s"), 0)
        assert p.sent(20, "10.88.0.2", port=7001) == []
        assert len(p.sent(20, "10.88.0.2", port=7002)) == 20


def test_loss_is_what_was_asked_and_what_is_told():
    with Scratch() as s, Pair(s) as p:
        fault = start(p, "net-loss", "--netns", p.a, "--loss", "30%", "--to", "10.88.0.2", "--for", "1m", "--wait", "--json")
        arrived = len(p.sent(4000, "10.88.0.2"))
        listed = json.loads(expect_exit(p.inject("--list", "--json"), 0).stdout)
        assert [f["packets"] for f in listed if f.get("netns") == "/run/netns/" + p.a] == [4000 - arrived], listed
        fault.send_signal(signal.SIGINT)
        last = json.loads(fault.communicate(timeout=10)[0].splitlines()[-1])
        assert fault.returncode == 4 and last["packets"] == last["dropped"] == 4000 - arrived and last["event"] == "ended early", last
        assert abs((4000 - arrived) / 4000 - 0.30) < 0.0282, arrived  # 99.99 %: 3.89 standard deviations


def test_the_same_again_changes_it():
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        first = expect_exit(p.inject("net-partition", "--netns", p.a, "--for", "1s"), 0).stdout
        began = time.monotonic()
        second = expect_exit(p.inject("net-partition", "--netns", p.a, "--to", "10.88.0.2", "--for", "1m"), 0).stdout
        assert " in effect" in first and " changed" in second and run_of(first) == run_of(second), (first, second)
        assert len(p.filters()) == 1
        third = expect_exit(p.inject("net-partition", "--netns", p.a, "--name", "other", "--for", "1m"), 0).stdout
        assert " in effect" in third and run_of(third) != run_of(first) and len(p.filters()) == 2
        expect_exit(chaosd("revert", run_of(third), env=s.env), 0)
        time.sleep(max(0, began + 1.8 - time.monotonic()))  # the first one's deadline and its reaper's are past
        assert p.sent(20, "10.88.0.2") == [] and len(p.sent(20, "10.88.0.3")) == 20
        expect_exit(chaosd("revert", run_of(first), env=s.env), 0)
        assert p.scene() == before, p.scene()


def test_a_change_that_fails_leaves_it_as_it_was():
    with Scratch() as s, Pair(s) as p:
        if "ok  net-delay" in chaosd("check").stdout:
            raise Skip("this kernel has netem: there is nothing to fail")
        before = p.scene()
        expect_exit(p.inject("net-partition", "--netns", p.a, "--name", "x", "--for", "10s"), 0)
        failed = expect_exit(p.inject("net-delay", "--netns", p.a, "--name", "x", "--latency", "5ms", "--for", "1m"), 1)
        assert "modprobe sch_netem" in failed.stderr and failed.stderr.count("\n") == 1, failed.stderr
        assert p.sent(20, "10.88.0.2") == []
        assert until(lambda: p.scene() == before, 20), p.scene()  # by a reaper for the old deadline


def test_revert_finds_it_by_journal_and_by_kernel():
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        out = p.inject("net-partition", "--netns", p.a, "--for", "20s").stdout
        assert "end net-partition on eth0 of " + p.a in expect_exit(chaosd("revert", run_of(out), env=s.env), 0).stdout
        assert p.scene() == before
        assert "nothing to revert" in expect_exit(chaosd("revert", run_of(out), env=s.env), 0).stdout
        p.inject("net-partition", "--netns", p.a, "--for", "20s")
        expect_exit(chaosd("revert", "--all", env=s.env), 0)
        assert p.scene() == before
        for word in (run_of(out), "--all"):
            p.inject("net-partition", "--netns", p.a, "--for", "5s")
            shutil.rmtree(s.dir / "state")
            assert p.sent(20, "10.88.0.2") == []
            assert p.a in expect_exit(chaosd("revert", word, env=s.env), 0).stdout
            assert len(p.sent(20, "10.88.0.2")) == 20 and p.scene() == before


def test_revert_leaves_who_is_alive():
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        fault = start(p, "net-partition", "--netns", p.a, "--for", "30s", "--wait")
        assert "alive" in expect_exit(chaosd("revert", "--all", env=s.env), 1).stderr
        assert "held by another" in expect_exit(p.inject("net-partition", "--netns", p.a, "--for", "1s"), 1).stderr
        elsewhere = dict(s.env, CHAOSD_STATE_DIR=str(s.dir / "elsewhere"))
        left = expect_exit(chaosd("revert", "--all", env=elsewhere), 0).stdout
        assert f"process {fault.pid} holds them" in left, left
        assert p.sent(20, "10.88.0.2") == []
        expect_exit(chaosd("revert", "--all", "--force", env=s.env), 0)
        _, err = fault.communicate(timeout=10)
        assert fault.returncode == 1 and "gone before its end" in err, (fault.returncode, err)
        assert p.scene() == before


def test_killed_it_ends_all_the_same():
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        fault = start(p, "net-partition", "--netns", p.a, "--for", "1s", "--wait")
        began = time.monotonic()
        fault.kill()
        fault.wait()
        assert p.sent(20, "10.88.0.2") == []
        time.sleep(max(0, began + 1.05 - time.monotonic()))
        assert len(p.sent(20, "10.88.0.2")) == 20
        assert until(lambda: p.scene() == before), p.scene()


def test_proof():
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        nobody = expect_exit(p.inject("net-partition", "--netns", p.a, "--to", "10.88.0.77", "--for", "300ms", "--wait"), 2)
        assert "no packet matched" in nobody.stderr and "--to" in nobody.stderr
        expect_exit(p.inject("net-partition", "--netns", p.a, "--to", "10.88.0.77", "--for", "300ms", "--prove"), 2)
        fault = subprocess.Popen([CHAOSD, "inject", "net-partition", "--netns", p.a, "--for", "10s", "--prove", "--name", "proof", "--to", "10.88.0.2"], stdout=subprocess.PIPE,
                                 text=True, env=s.env)
        assert "in effect" in fault.stdout.readline()
        p.sent(20, "10.88.0.2")
        assert "proven: it met" in fault.communicate(timeout=10)[0] and fault.returncode == 0
        expect_exit(chaosd("revert", "--all", env=s.env), 0)
        assert until(lambda: p.scene() == before), p.scene()


def test_others_keep_what_is_theirs():
    with Scratch() as s, Pair(s) as p:
        sh("tc", "-n", p.a, "qdisc", "add", "dev", "eth0", "clsact")
        sh("tc", "-n", p.a, "filter", "add", "dev", "eth0", "egress", "prio", "7", "protocol", "ip", "u32", "match", "ip", "dst", "10.99.0.0/16", "flowid", "1:1")
        before = p.scene()
        out = expect_exit(p.inject("net-partition", "--netns", p.a, "--for", "20s"), 0).stdout
        assert "1 filter of others stands before it" in out, out
        listed = json.loads(p.inject("--list", "--json").stdout)
        mine = [f for f in listed if f["where"] == p.a]
        assert [f.get("foreign") for f in mine if "foreign" in f][0] == "u32" and [f for f in mine if f.get("does") == "drop"], mine
        text = p.inject("--list").stdout
        assert "foreign: a u32 filter of another's for packets going out, priority 7" in text and "left" in text, text
        expect_exit(chaosd("revert", "--all", env=s.env), 0)
        assert p.scene() == before, (before, p.scene())


def test_namespace_and_interface_gone_in_mid_fault():
    with Scratch() as s, Pair(s) as p:
        sh("ip", "-n", p.a, "link", "add", "gone0", "type", "veth", "peer", "name", "gone1")
        sh("ip", "-n", p.a, "link", "set", "gone0", "up")
        before = p.scene()
        fault = start(p, "net-partition", "--netns", p.a, "--dev", "gone0", "--for", "30s", "--wait")
        sh("ip", "-n", p.a, "link", "del", "gone0")
        _, err = fault.communicate(timeout=10)
        assert fault.returncode == 1 and "gone" in err and err.count("\n") == 1, err
        after = p.scene()
        assert after[-1] == before[-1] == [] and not p.filters()
        fault = start(p, "net-partition", "--netns", p.a, "--for", "30s", "--wait")
        left = expect_exit(p.inject("net-partition", "--netns", p.a, "--name", "other", "--for", "1s"), 0)
        assert run_of(left.stdout)
        sh("ip", "netns", "del", p.a)
        _, err = fault.communicate(timeout=10)
        assert fault.returncode == 1 and "the network namespace is gone" in err, err
        state = s.dir / "state"
        assert until(lambda: not state.exists() or not list(state.iterdir())), list(state.iterdir())


def test_by_pid():
    with Scratch() as s, Pair(s) as p:
        other = subprocess.Popen(["unshare", "-n", "sleep", "100"])
        try:
            assert until(lambda: os.stat(f"/proc/{other.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino)
            sh("ip", "-n", p.b, "link", "add", "out0", "type", "veth", "peer", "name", "in0", "netns", str(other.pid))
            out = expect_exit(p.inject("net-partition", "--pid", other.pid, "--for", "700ms"), 0).stdout
            assert f"on in0 of process {other.pid} (sleep)" in out, out
        finally:
            other.kill()
            other.wait()
        state = s.dir / "state"
        assert until(lambda: not list(state.iterdir())), list(state.iterdir())


def test_the_way_in_is_not_cut_by_accident():
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        sh("ip", "-n", p.a, "route", "add", "default", "via", "10.88.0.2")
        within = ["nsenter", f"--net=/run/netns/{p.a}", CHAOSD, "inject", "net-partition", "--for", "200ms"]
        for more in ([], ["--netns", p.a]):
            q = subprocess.run(within + ["--dev", "eth0"] + more, capture_output=True, text=True, env=s.env)
            assert q.returncode == 64 and "eth0 carries this machine's default route" in q.stderr and "--yes" in q.stderr, q
        q = subprocess.run(within, capture_output=True, text=True, env=s.env)
        assert q.returncode == 64 and "--dev is missing" in q.stderr and "lo, eth0" not in q.stderr, q
        assert p.scene() == before
        q = subprocess.run(within + ["--dev", "eth0", "--yes"], capture_output=True, text=True, env=s.env)
        assert q.returncode == 0 and "on eth0 of this machine" in q.stdout, q
        sh("ip", "-n", p.a, "route", "del", "default")
        assert until(lambda: p.scene() == before), p.scene()
        q = subprocess.run(within + ["--dev", "eth0"], capture_output=True, text=True, env=s.env)
        assert q.returncode == 0, q
        assert until(lambda: p.scene() == before), p.scene()


# Arguments, what the error says, and (where it is not 64) the exit code. A is put in for NS.
WRONG = [
    ("", "wants a fault's kind"),
    ("net-dely --netns NS --for 1s", 'did you mean "net-delay"?'),
    ("pod-kill --netns NS --for 1s", "inject can do net-delay, net-loss"),
    ("tea --netns NS --for 1s", 'unknown fault "tea": inject can do'),
    ("net-partition --netns NS", "--for is missing"),
    ("net-partition --netns NS --for 0", "--for: more than nothing"),
    ("net-partition --netns NS --for 5", '--for: "5" is not a duration'),
    ("net-partition --netns NS --for 9000h", "at most a year"),
    ("net-partition --netns NSX --for 1s", "did you mean"),
    ("net-partition --netns /dev/null --for 1s", "/dev/null is no network namespace"),
    ("net-partition --netns NS --pid 1 --for 1s", "either --netns or --pid"),
    ("net-partition --pid 0 --for 1s", "--pid: expected"),
    ("net-partition --pid 4194303 --for 1s", "no process 4194303"),
    ("net-partition --for 1s", "--dev is missing"),
    ("net-partition --netns NS --dev eth9 --for 1s", 'no interface "eth9", did you mean "eth0"?'),
    ("net-partition --netns NS --dev a-name-that-is-too-long --for 1s", "--dev: "),
    ("net-partition --netns NS --lateny 5ms --for 1s", "did you mean --latency?"),
    ("net-partition --netns NS --latency 5ms --for 1s", "net-partition takes no --latency"),
    ("net-rate --netns NS --rate 1mbit --correlation 5% --for 1s", "net-rate takes no --correlation"),
    ("net-delay --netns NS --for 1s", "net-delay needs --latency"),
    ("net-delay --netns NS --jitter 5ms --for 1s", "--jitter also needs --latency"),
    ("net-delay --netns NS --latency 5ms --jitter 6ms --for 1s", "jitter: 6 ms is more than the delay of 5 ms"),
    ("net-delay --netns NS --latency 5 --for 1s", "--latency: "),
    ("net-delay --netns NS --latency 5ms --distribution norml --jitter 1ms --for 1s", '--distribution: unknown value "norml", did you mean "normal"?'),
    ("net-loss --netns NS --for 1s", "net-loss needs --loss"),
    ("net-loss --netns NS --loss 101% --for 1s", "--loss: "),
    ("net-loss --netns NS --correlation 5% --for 1s", "--correlation also needs --loss"),
    ("net-loss --netns NS --set loss.gilbertEliott.p=1% --for 1s", 'did you mean "gilbertElliott"?'),
    ("net-loss --netns NS --set loss.gilbertElliott.p=1% --for 1s", "loss.gilbertElliott.r"),
    ("net-loss --netns NS --set loss --for 1s", "expected KEY=VALUE"),
    ("net-reorder --netns NS --reorder 5% --for 1s", "net-reorder needs --latency"),
    ("net-partition --netns NS --port 70000 --for 1s", "--port: expected a port"),
    ("net-partition --netns NS --target-port 9-8 --for 1s", "--target-port: expected a port"),
    ("net-partition --netns NS --protocol tpc --for 1s", '--protocol: unknown value "tpc", did you mean "tcp"?'),
    ("net-partition --netns NS --protocol icmp --port 5 --for 1s", "--protocol: protocol icmp has no ports"),
    ("net-partition --netns NS --protocol icmp --to fd00::/8 --for 1s", "icmp goes with IPv4 addresses only"),
    ("net-partition --netns NS --protocol icmpv6 --to 10.0.0.0/8 --for 1s", "icmpv6 goes with IPv6 addresses only"),
    ("net-partition --netns NS --to 10.0.0.0/33 --for 1s", "--to: "),
    ("net-partition --netns NS --to 10.0.0 --for 1s", "--to: "),
    ("net-partition --netns NS --to no-such-name.invalid --for 1s", "--to: no-such-name.invalid: "),
    ("net-partition --netns NS --except 10.0.0.1 --for 1s", "add --to 0.0.0.0/0"),
    ("net-partition --netns NS --to 10.0.0.0/8 --except web --for 1s", "--except: "),
    ("net-partition --netns NS --direction out --for 1s", "--direction: "),
    ("net-partition --netns NS --name A_b --for 1s", "--name: "),
    ("net-partition --netns NS --set selector.pods=web-0 --for 1s", 'unknown key "selector"'),
]


def test_bad_input_is_one_line_and_leaves_nothing():
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        for args, says in WRONG:
            q = expect_exit(p.inject(*args.replace("NS", p.a).split()), 64)
            lines = q.stderr.splitlines()
            assert says in lines[0] and len(lines) <= (2 if "usage: " in q.stderr else 1) and not q.stdout, (args, q.stderr, q.stdout)
        assert p.scene() == before, p.scene()


def test_without_privileges_it_is_said():
    rows = [("-net_admin", "CAP_NET_ADMIN"), ("-bpf,-sys_admin,-perfmon", "CAP_BPF"), ("-net_admin,-sys_admin,-bpf,-perfmon", "CAP_")]
    with Scratch() as s, Pair(s) as p:
        before = p.scene()
        for drop, word in rows:
            q = subprocess.run(["nsenter", f"--net=/run/netns/{p.a}", "setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", CHAOSD, "inject", "net-partition",
                                "--dev", "eth0", "--for", "1s"], capture_output=True, text=True, env=s.env)
            assert q.returncode == 1 and word in q.stderr and q.stderr.count("\n") == 1, (drop, q)
            assert p.scene() == before, (drop, p.scene())
        q = subprocess.run(["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", CHAOSD, "inject", "net-partition", "--netns", p.a, "--for", "1s"],
                           capture_output=True, text=True, env=s.env)
        assert q.returncode == 1 and "CAP_SYS_ADMIN" in q.stderr, q
        assert p.scene() == before


def test_names_are_looked_up_again_while_it_is_held():
    with Scratch() as s, Pair(s) as p:
        hosts = s.write("hosts", "10.88.0.2 far.test\n")
        sh("unshare", "-m", "true")
        script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
        env = dict(s.env, CHAOSD_RENEW_MS="100")
        fault = subprocess.Popen(["unshare", "-m", "bash", "-c", script, "bash", str(hosts), CHAOSD, "inject", "net-partition", "--netns", p.a, "--to", "far.test", "--for", "30s",
                                  "--wait", "--json"], stdout=subprocess.PIPE, text=True, env=env)
        assert '"in-effect"' in fault.stdout.readline()
        assert p.sent(20, "10.88.0.2") == [] and len(p.sent(20, "10.88.0.3")) == 20
        hosts.write_text("10.88.0.3 far.test\n")
        assert until(lambda: p.sent(5, "10.88.0.3") == []), "the new address is not met"
        assert p.sent(20, "10.88.0.2") == [], "the old address is let go"
        hosts.write_text("")  # a look-up that fails
        time.sleep(0.4)
        assert p.sent(20, "10.88.0.2") == [] and p.sent(20, "10.88.0.3") == []
        fault.send_signal(signal.SIGTERM)
        last = json.loads(fault.communicate(timeout=10)[0].splitlines()[-1])
        assert last["packets"] >= 65, last
        assert len(p.sent(20, "10.88.0.3")) == 20


def test_check_says_what_this_machine_can_do():
    out = expect_exit(chaosd("check"), 0).stdout.splitlines()
    assert "ok  pod-delete: in a Kubernetes" in out, out
    assert "ok  container-kill: in a Kubernetes, by the nodes' agents" in out, out
    kinds = [line[4:].split(":")[0] for line in out[1:] if ": in a Kubernetes" not in line]
    assert os.uname().release in out[0] and kinds[:3] == ["pod-kill", "pod-pause", "net-delay"] and "net-partition" in kinds, out
    assert all(line.startswith("ok  ") or (line.startswith("no  ") and ": " in line) for line in out[1:]), out
    if os.geteuid() == 0:
        assert "ok  net-partition" in out and "ok  pod-pause" in out, out
    poor = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", CHAOSD, "check", "--strict"], capture_output=True, text=True)
    assert poor.returncode == 1 and poor.stdout.count("\nno  ") == len(kinds) and "root" in poor.stdout and "CAP_NET_ADMIN" in poor.stdout, poor


tap.main()
