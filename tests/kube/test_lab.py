# SPDX-License-Identifier: Apache-2.0
"""The cluster that the other tests stand on: it is a real one, it recovers as one, and the machine is after it as before."""
import contextlib
import glob
import json
import os
import signal
import subprocess
import time

from lab import Lab, is_ready, until

import tap
from tap import Skip

if os.geteuid() != 0:
    print("1..1\nok lab # SKIP (ci) needs root")
    raise SystemExit
os.environ.pop("CHAOSD_KUBE", None)  # its own, also where the others share one
LAB = Lab()
FOLDERS = ("/opt", "/etc/cni", "/run/containerd", "/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/volumes", "/var/log/pods",
           "/usr/libexec/kubernetes", "/root/.kube")
SYSCTLS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "net/ipv4/ip_forward",
           "net/netfilter/nf_conntrack_max", "net/ipv4/conf/all/route_localnet")
NAMESPACES = ("net", "mnt", "pid", "uts", "ipc")


def said(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def text(path):
    try:
        return open(path).read()
    except OSError:
        return None


def machine():
    """What the lab must not change, neither while it is up nor for later. Counters left out."""
    return {
        "links": sorted(line.split(": ")[1] for line in said("ip", "-o", "link").splitlines()),
        "addresses": said("ip", "-br", "addr"),
        "routes": said("ip", "route", "show", "table", "all"),
        "qdiscs": said("tc", "qdisc", "show"),
        "rules": [line for line in said("iptables-save").splitlines() if line.startswith("-")],
        # /run/netns: another program's may come and go meanwhile; those that CNI makes have names of their own.
        "mounts": sorted(x for x in (line.split(" - ")[0].split(" ", 3)[3] for line in open("/proc/self/mountinfo")) if " /run/netns/" not in x or "cni-" in x),
        "netns": [n for n in os.listdir("/run/netns") if n.startswith("cni-")] if os.path.isdir("/run/netns") else [],
        "folders": {f: sorted(os.listdir(f)) if os.path.isdir(f) else None for f in FOLDERS},
        "sysctls": {s: text(f"/proc/sys/{s}") for s in SYSCTLS},
    }


def differences(a, b):
    return {k: sorted(set(a[k]) ^ set(b[k])) if isinstance(a[k], list) else (a[k], b[k]) for k in a if a[k] != b[k]}


def members(lab):
    """Every process in the lab's control groups, as (pid, start time)."""
    found = set()
    for top in (lab.dir / "cgroups").read_text().split():
        for procs in glob.glob(f"{top}/**/cgroup.procs", recursive=True):
            for pid in (text(procs) or "").split():
                if start_of(pid):
                    found.add((int(pid), start_of(pid)))
    return found


def start_of(pid):
    """The start time of a process that runs; None for one that only waits to be reaped."""
    stat = (text(f"/proc/{pid}/stat") or ") Z").rsplit(") ", 1)[1].split()
    return stat[19] if stat[0] != "Z" else None


def namespaces(pid):
    found = set()
    for kind in NAMESPACES:
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
        except OSError:
            pass
    return found


class Inhabitants:
    """The lab's processes, its namespaces, and everybody who is there now: a namespace's number may be given anew once it is gone."""

    def __init__(self, lab):
        self.groups = (lab.dir / "cgroups").read_text().split()
        self.members = members(lab)
        self.spaces = set().union(*(namespaces(pid) for pid, _ in self.members)) - namespaces(1) - namespaces(os.getpid())
        self.everybody = [(pid, start_of(pid)) for pid in (int(p[6:]) for p in glob.glob("/proc/[0-9]*")) if start_of(pid)]

    def alive(self):
        return [pid for pid, start in self.members if start == start_of(pid)]

    def left(self):
        inside = [pid for pid, start in self.everybody if start_of(pid) == start and namespaces(pid) & self.spaces]
        return {"processes": self.alive(), "in its namespaces": inside, "control groups": [g for g in self.groups if os.path.exists(g)]}


def assert_as_before(seen):
    left = seen.left()
    assert not any(left.values()), left
    changed = differences(BEFORE, machine())
    assert not changed, changed


BEFORE = machine()


def test_comes_up():
    began = time.monotonic()
    LAB.up()
    up = time.monotonic() - began
    LAB.deploy("web", "etcd")
    print(f"# {LAB.said.strip().splitlines()[-1]}; with six pods Ready after {time.monotonic() - began:.1f} s (the lab {up:.1f} s)")
    assert LAB.sh("status").stdout.count(" runs ") >= 6 + 2 * 4
    assert json.loads(LAB.kubectl("get", "--raw", "/version"))["gitVersion"] == "v1.20.2"
    for n in LAB.get("nodes")["items"]:
        assert n["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://"), n["status"]["nodeInfo"]
    assert {p["spec"]["nodeName"] for p in LAB.pods("web")} == {"node-1", "node-2"}


def test_nothing_of_it_shows_on_the_machine():
    changed = differences(BEFORE, machine())
    assert not changed, changed


def test_web_answers_through_its_service():
    names = {p["metadata"]["name"] for p in LAB.pods("web")}
    ask = ("curl", "-sS", "--max-time", "2", "http://10.96.0.80/")
    until("all three answer", lambda: {LAB.run(*ask, check=False).stdout.strip() for _ in range(40)} == names, 30)  # a node's rules come a little later than Ready
    # And from a pod, a neighbour on the same node among those behind the Service.
    pod = sorted(names)[0]
    ask = ("exec", "--namespace", "lab", pod, "--", "curl", "-sS", "--max-time", "2", "http://10.96.0.80/")
    until("its node knows them, too", lambda: {LAB.kubectl(*ask).strip() for _ in range(30)} == names, 30)


def leader():
    found = {}
    for p in LAB.pods("etcd"):
        answer = LAB.run("curl", "-sS", "--max-time", "2", "-d", "{}", f"http://{p['status'].get('podIP')}:2379/v3/maintenance/status", check=False).stdout
        if answer:
            status = json.loads(answer)
            found[p["metadata"]["name"]] = (status["header"]["member_id"], status.get("leader"))
    leaders = {v[1] for v in found.values()}
    return [name for name, v in found.items() if len(found) == 3 and len(leaders) == 1 and v[0] == v[1]]


def test_etcd_has_a_leader_and_a_member_that_moves_keeps_its_data():
    first, _ = until("one leader in the eyes of all three", leader, 30)
    etcdctl = ("exec", "--namespace", "lab", "etcd-0", "--", "etcdctl")
    LAB.kubectl(*etcdctl, "put", "kept", "yes")
    victim = [p for p in LAB.pods("etcd") if p["metadata"]["name"] == first[0]][0]
    LAB.kubectl("cordon", victim["spec"]["nodeName"])
    LAB.kubectl("delete", "pod", "--namespace", "lab", first[0])
    until("the member is Ready again", lambda: sum(is_ready(p) and p["metadata"]["uid"] != victim["metadata"]["uid"] for p in LAB.pods("etcd")) == 3, 60)
    LAB.kubectl("uncordon", victim["spec"]["nodeName"])
    moved = [p for p in LAB.pods("etcd") if p["metadata"]["name"] == first[0]][0]
    assert moved["spec"]["nodeName"] != victim["spec"]["nodeName"]
    until("one leader again", leader, 30)
    held = LAB.kubectl("exec", "--namespace", "lab", first[0], "--", "etcdctl", "get", "--consistency=s", "--print-value-only", "kept")
    assert held.strip() == "yes", held


def test_roles_are_enforced_and_pods_have_their_account():
    pod = LAB.pods("web")[0]["metadata"]["name"]
    token = LAB.kubectl("exec", "--namespace", "lab", pod, "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token").strip()
    ask = ("curl", "-sS", "--cacert", LAB.dir / "pki/ca.crt", "-H", f"Authorization: Bearer {token}", "https://10.200.0.254:6443/api/v1/namespaces/lab/pods")
    refused = json.loads(LAB.run(*ask).stdout)
    assert refused.get("code") == 403 and "system:serviceaccount:lab:default" in refused["message"], refused
    LAB.kubectl("create", "rolebinding", "--namespace", "lab", "viewer", "--clusterrole=view", "--serviceaccount=lab:default")
    until("the account may list pods", lambda: json.loads(LAB.run(*ask).stdout)["kind"] == "PodList", 10)
    LAB.kubectl("delete", "rolebinding", "--namespace", "lab", "viewer")


def test_a_deleted_pod_is_replaced():
    before = {p["metadata"]["uid"] for p in LAB.pods("web")}
    victim = LAB.pods("web")[0]["metadata"]
    LAB.kubectl("delete", "pod", "--namespace", "lab", victim["name"], "--wait=false")
    _, took = until("three are Ready and one is new", lambda: sum(is_ready(p) for p in LAB.pods("web")) == 3 and
                    victim["uid"] not in {p["metadata"]["uid"] for p in LAB.pods("web")}, 60)
    after = {p["metadata"]["uid"] for p in LAB.pods("web")}
    assert len(after - before) == 1 and len(before - after) == 1, (before, after)
    print(f"# a deleted pod is replaced and gone after {took:.1f} s")


def test_a_budget_forbids_the_second_eviction():
    pods = [p["metadata"]["name"] for p in LAB.pods("web")]
    LAB.kubectl("patch", "pdb", "--namespace", "lab", "web", "--type=merge", "--patch", '{"spec": {"minAvailable": 3}}')
    until("the budget says 0", lambda: LAB.get("pdb", "--namespace", "lab", "web")["status"]["disruptionsAllowed"] == 0, 20)
    body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": pods[0], "namespace": "lab"}}
    p = LAB.run("kubectl", "create", "--raw", f"/api/v1/namespaces/lab/pods/{pods[0]}/eviction", "--filename", "-", input=json.dumps(body), check=False)
    assert p.returncode != 0 and "disruption budget" in p.stderr, p
    LAB.kubectl("patch", "pdb", "--namespace", "lab", "web", "--type=merge", "--patch", '{"spec": {"minAvailable": 2}}')
    assert pods == [p["metadata"]["name"] for p in LAB.pods("web")]


def node_ready(name):
    return {c["type"]: c["status"] for c in LAB.get("node", name)["status"]["conditions"]}["Ready"]


def test_a_frozen_kubelet_is_noticed_and_comes_back():
    pid = LAB.pid("node-2.kubelet")
    os.kill(pid, signal.SIGSTOP)
    try:
        _, noticed = until("node-2 is not Ready", lambda: node_ready("node-2") != "True", 40)
        assert "frozen" in LAB.sh("status", check=False).stdout
    finally:
        os.kill(pid, signal.SIGCONT)
    _, back = until("node-2 is Ready again", lambda: node_ready("node-2") == "True", 30)
    print(f"# a frozen kubelet: NotReady after {noticed:.1f} s, Ready {back:.1f} s after the thaw")
    assert noticed > 10, "sooner than the grace period"
    until("all web servers are Ready again", lambda: sum(is_ready(p) for p in LAB.pods("web")) == 3, 60)


def test_a_killed_api_server_is_started_again():
    LAB.sh("signal", "apiserver", "KILL")
    assert LAB.run("kubectl", "get", "--raw", "/readyz", check=False).returncode != 0
    assert LAB.run("curl", "-sS", "--max-time", "2", "http://10.96.0.80/").stdout.strip(), "the Service needs no API server"
    LAB.sh("start", "apiserver")
    _, took = until("the API server is ready", lambda: LAB.run("kubectl", "get", "--raw", "/readyz", check=False).stdout == "ok", 60)
    print(f"# the API server: ready {took:.1f} s after its start")
    assert len(LAB.pods("web")) == 3


def test_a_node_that_died_comes_back():
    seen = Inhabitants(LAB)
    LAB.sh("signal", "node-1", "KILL")
    until("its processes are gone", lambda: len(seen.alive()) <= len(seen.members) - 4, 20)
    until("node-1 is not Ready", lambda: node_ready("node-1") != "True", 40)
    LAB.sh("start", "node-1")
    _, took = until("node-1 is Ready again", lambda: node_ready("node-1") == "True", 60)
    until("all web servers are Ready again", lambda: sum(is_ready(p) for p in LAB.pods("web")) == 3, 90)
    print(f"# a node started again: Ready after {took:.1f} s")


def test_down_leaves_nothing():
    seen = Inhabitants(LAB)
    assert len(seen.members) > 20 and len(seen.spaces) > 20, (len(seen.members), len(seen.spaces))
    began = time.monotonic()
    LAB.down()
    print(f"# {len(seen.members)} processes and {len(seen.spaces)} namespaces gone after {time.monotonic() - began:.1f} s")
    assert_as_before(seen)
    assert not (LAB.dir / "pki").exists() and (LAB.dir / "parts/apiserver/log").exists()
    assert LAB.down().returncode == 0, "down a second time"


def test_down_after_everything_was_killed():
    """In the midst of coming up, `up` and half of what it had started get kill -9; a pod's group is frozen as a fault would leave it."""
    p = subprocess.Popen(["bash", tap.ROOT / "tests/lab/kube.sh", "up", LAB.dir], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid = LAB.dir / "parts/node-1.containerd/pid"
    until("containerd of node-1 is started", pid.exists, 60, 0.02)
    p.kill()
    p.wait()
    time.sleep(0.5)  # what up had begun begins
    seen = Inhabitants(LAB)
    assert len(seen.members) > 5, seen.members
    for q, _ in sorted(seen.members)[::2]:
        with contextlib.suppress(ProcessLookupError):  # one that had its own end meanwhile
            os.kill(q, signal.SIGKILL)
    frozen = [f for top in (LAB.dir / "cgroups").read_text().split() for f in glob.glob(f"{top}/node-1/daemons/freezer.state") + glob.glob(f"{top}/node-1/daemons/cgroup.freeze")]
    for f in frozen:
        open(f, "w").write("FROZEN" if f.endswith("state") else "1")
    assert frozen
    LAB.down()
    assert_as_before(seen)


def test_bad_input_is_one_clear_error():
    for args, words in ((("up", LAB.dir, "none"), "NODES"), (("exec", LAB.dir, "true"), "no lab runs"), (("status", "/nowhere"), "no such folder"),
                        (("pid", LAB.dir, "kubelet"), "does not run"), (("start", LAB.dir, "etcd9"), "no part")):
        r = subprocess.run(["bash", tap.ROOT / "tests/lab/kube.sh", *map(str, args)], capture_output=True, text=True)
        assert r.returncode and words in r.stderr and len(r.stderr.splitlines()) == 1, (args, r)


try:
    tap.main()
finally:
    LAB.__exit__()
