# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the agent, the kubelet, the API server, the run, and pairs of them, at random moments around a fault. A prober asks the victim every 50 ms,
and a control beside it that nobody means: a second after the deadline the victim answers, whoever died; and once an agent runs again, nothing is left.
CHAOSD_CRASH_ROUNDS=100 and CHAOSD_CRASH_SEED=N: so many, the same again; OUT=FILE: the table as JSON."""
import datetime
import json
import os
import random
import signal
import statistics
import time

from agents import NAMESPACE, RESOURCE, Agents
from kubedrill import KubeDrill
from lab import Lab, until
from prober import Prober, outages

import tap

if os.geteuid() != 0:
    print("1..1\nok lab # SKIP (ci) needs root")
    raise SystemExit
LAB = Lab().__enter__()
AGENTS = None
NODE = "node-1"
ROUNDS = int(os.environ.get("CHAOSD_CRASH_ROUNDS", 4))
SEED = int(os.environ.get("CHAOSD_CRASH_SEED", random.randrange(1 << 31)))
WHO = [("agent",), ("run",), ("apiserver",), ("kubelet",), ("agent", "run"), ("agent", "apiserver")]
FAULTS = {"net-partition": "direction: both, externalTargets: [10.200.0.254]",  # from where the prober asks
          "pod-pause": ""}
GRACE_NS = 1_000_000_000
AT = 1.0  # s of the schedule
STALE = 75  # s after its deadline: by then somebody has taken a NodeFault away

# Both on one node, so that what befalls it befalls both.
PODS = "".join(f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: crash}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      dnsPolicy: Default
      enableServiceLinks: false
      terminationGracePeriodSeconds: 1
      nodeSelector: {{kubernetes.io/hostname: {NODE}}}
      containers:
        - {{name: web, image: "chaosd.lab/busybox:1", imagePullPolicy: Never, args: [sh, -c, "echo ok >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"]}}
---""" for name in ("victim", "control")) + """
apiVersion: v1
kind: Service
metadata: {name: control, namespace: crash}
spec: {clusterIP: 10.96.0.95, selector: {app: control}, ports: [{port: 80, targetPort: 8080}]}
"""
SCENARIO = """
name: crash
cluster: {kubernetes: {namespaces: [crash]}}
load:
  - name: gets
    http: {rate: 10/s, targets: {url: "http://10.96.0.95"}, steps: [{get: /}], deadline: 500ms}
faults:
  - {name: hit, KIND: {selector: {labelSelectors: {app: victim}}, mode: one, HOW}, at: AT, for: HOLD}
duration: LONG
settle: 0s
guards: {steady: {timeout: 20s}}
"""


class Round:
    """What is drawn for one: all of it before anything is done."""

    def __init__(self, number, who, kind, rng):
        self.number, self.who, self.kind = number, who, kind
        self.hold = round(rng.uniform(3, 5), 2)
        self.moment = round(rng.uniform(0.3, AT + self.hold + 0.5), 3)  # s of the schedule
        self.apart = round(rng.uniform(0, 0.3), 3)  # between the two of a pair
        self.away = round(rng.choice([rng.uniform(0.2, 2), self.hold + 3]), 2)  # how long an API server, a kubelet stays dead: back in between, or after all
        self.hit, self.last_ms, self.late, self.left, self.blips = False, None, [], [], 0

    def said(self):
        return (f"{self.number}: {self.kind} of {self.hold} s, {' and '.join(self.who)} at {self.moment} s (apart {self.apart}, away {self.away})" +
                (f", last effect {self.last_ms:+.0f} ms from the deadline" if self.hit else ", not in effect") +
                "".join(f"; LATE: {x}" for x in self.late) + "".join(f"; LEFT: {x}" for x in self.left))


def draw():
    """All six once before one comes again; the agent first, since four rounds without it would show little."""
    rng = random.Random(SEED)
    rounds, kinds = [], rng.sample(list(FAULTS), 2)
    while len(rounds) < ROUNDS:
        block = rng.sample(WHO, len(WHO))
        if not rounds:
            block.sort(key=lambda w: "agent" not in w)
        for who in block:
            rounds.append(Round(len(rounds) + 1, who, kinds[(len(rounds) + len(rounds) // len(WHO)) % 2], rng))
    return rounds[:ROUNDS]


DRAWN = draw()


# --- who is killed, and comes back ---

def pid_of(who, drill):
    if who == "agent":
        return AGENTS.pid(NODE)
    if who == "run":
        return drill.p.pid
    return LAB.pid(f"{NODE}.kubelet" if who == "kubelet" else who)


def sleep_until(moment):
    time.sleep(max(0, moment - time.monotonic()))


def kill(r, drill, began):
    """At the drawn moments; whoever is not there (any more) need not be killed. The pids, so that one that came back is known."""
    found = {w: pid_of(w, drill) for w in r.who}
    for i, w in enumerate(r.who):
        sleep_until(began + r.moment + i * r.apart)
        if found[w]:
            try:
                os.kill(found[w], signal.SIGKILL)
            except ProcessLookupError:
                pass
    return found


def start_the_dead():
    """As whoever runs a cluster does: also those that ended since the API server was away."""
    for line in LAB.sh("status", check=False).stdout.splitlines():
        if line.split()[1:2] == ["dead"]:
            LAB.sh("start", line.split()[0], timeout=60)
    until("the API server is ready", lambda: LAB.run("kubectl", "get", "--raw", "/readyz", check=False).stdout == "ok", 60)


def agent_back(old):
    """The kubelet starts it again; one that it would let wait longer and longer is replaced: dead as it is, it has no say in that."""
    def new():
        return AGENTS.pid(NODE) not in (None, old)

    def replaced():
        start_the_dead()  # who makes pods may lose its lease only now
        return new()
    try:
        until("the agent is back", new, 2)
    except AssertionError:
        pod = AGENTS.pods().get(NODE)
        if pod:
            LAB.kubectl("delete", "pod", "--namespace", NAMESPACE, "--grace-period=0", "--force", "--ignore-not-found", pod["metadata"]["name"], timeout=60)
        until("the agent is replaced", replaced, 120)


# --- what came of it ---

def wall_ns(stamp):
    return int(datetime.datetime.fromisoformat(stamp[:26].rstrip("Z").ljust(26, "0") if "." in stamp else stamp[:19]).replace(tzinfo=datetime.timezone.utc).timestamp() * 1e9)


def judge(r, prober):
    faults = list(prober.faults().values())
    until_ns = max((wall_ns(f["spec"]["deadline"]) for f in faults), default=None)
    from_ns = min((wall_ns(f["spec"]["notBefore"]) for f in faults), default=None)
    # Taking the classifier's hook away empties the device's queues (docs/NETEM.md): told, and no outage.
    r.blips = len(outages(prober.asks("victim"), prober.asks("control"), blips=True))
    for began, ended, asks in outages(prober.asks("victim"), prober.asks("control")):
        if until_ns is None:
            r.late.append(f"an outage of {asks} requests without any NodeFault")
        elif ended > until_ns + GRACE_NS or began < from_ns - GRACE_NS // 10:
            r.late.append(f"an outage of {asks} requests from {(began - until_ns) / 1e6:.0f} to {(ended - until_ns) / 1e6:.0f} ms from the deadline")
        if until_ns is not None and ended > from_ns:
            r.hit, r.last_ms = True, (ended - until_ns) / 1e6


def stale():
    return [f["metadata"]["name"] for f in AGENTS.faults() if time.time() - wall_ns(f["spec"]["deadline"]) / 1e9 > STALE]


def left_over(r):
    try:
        AGENTS.gone(30)
    except AssertionError:
        r.left.append(json.dumps(AGENTS.left()))
    r.left += [f"NodeFault {name}" for name in stale()]


def address(app):
    return LAB.get("pods", "--namespace", "crash", "--selector", f"app={app}")["items"][0]["status"]["podIP"]


def scenario(r):
    return (SCENARIO.replace("KIND", r.kind).replace("mode: one, HOW", ", ".join(filter(None, ("mode: one", FAULTS[r.kind])))).replace("AT", f"{AT}s")
            .replace("HOLD", f"{r.hold}s").replace("LONG", f"{AT + r.hold + 1:.2f}s"))


def carry_out(r):
    start_the_dead()  # what lost its lease while the API server was away may have ended later
    with KubeDrill(LAB, scenario(r), "--quiet") as d, Prober(LAB, d.scratch.dir / "asks", victim=address("victim"), control=address("control")) as prober:
        d.wait("run/schedule")
        began = time.monotonic()
        killed = kill(r, d, began)
        if {"apiserver", "kubelet"} & set(r.who):
            sleep_until(began + r.moment + r.away)
            start_the_dead()
        sleep_until(began + AT + r.hold + 2)
        if "agent" in r.who:
            agent_back(killed["agent"])
        left_over(r)
        d.p.wait(90)
        sleep_until(began + AT + r.hold + 2.5)
        judge(r, prober)
        if r.late or r.left:
            print("# " + f"{AGENTS.log(NODE)[-3000:]}\n{d.said()[-2000:]}".replace("\n", "\n# "))


def table(rounds):
    rows = []
    for who in sorted({r.who for r in rounds}, key=WHO.index):
        of = [r for r in rounds if r.who == who]
        last = sorted(r.last_ms for r in of if r.hit)
        rows.append({"killed": " and ".join(who), "rounds": len(of), "hits": len(last), "late": sum(bool(r.late) for r in of),
                     "left": sum(bool(r.left) for r in of), "blips": sum(r.blips for r in of),
                     "last_ms": {"min": last[0], "median": statistics.median(last), "max": last[-1]} if last else None})
    return rows


def show(rows):
    print("# killed               rounds  in effect  late  left  blips  last effect, ms from the deadline: min/median/max")
    for x in rows:
        m = x["last_ms"]
        print(f"# {x['killed']:<20} {x['rounds']:>6} {x['hits']:>10} {x['late']:>5} {x['left']:>5} {x['blips']:>6}  " +
              (f"{m['min']:+.0f}/{m['median']:+.0f}/{m['max']:+.0f}" if m else "-"), flush=True)
    if any(x["last_ms"] for x in rows):
        print(f"# figure: {sum(x['rounds'] for x in rows)} rounds of kill -9, {sum(x['hits'] for x in rows)} with the fault in effect, last effect at most "
              f"{max(x['last_ms']['max'] for x in rows if x['last_ms']):+.0f} ms from the deadline, {sum(x['late'] for x in rows)} late, {sum(x['left'] for x in rows)} left something")


def keep(done):
    if os.environ.get("OUT"):
        with open(os.environ["OUT"], "w") as f:
            json.dump({"seed": SEED, "rows": table(done), "rounds": [vars(r) for r in done]}, f, indent=1)


def carry_out_all():
    """Before the tests, which only judge: a machine that stands still befalls the control as well, and excuses nothing."""
    print(f"# CHAOSD_CRASH_SEED={SEED} CHAOSD_CRASH_ROUNDS={ROUNDS}", flush=True)
    for r in DRAWN:
        try:
            carry_out(r)
        except AssertionError as e:  # the lab's: what is judged raises nothing
            print(f"# round {r.number} once more: {e}".replace("\n", "\n# "), flush=True)
            carry_out(r)
        print(f"# {r.said()}", flush=True)
        keep(DRAWN[:r.number])
    start_the_dead()
    show(table(DRAWN))


def test_nobody_feels_a_fault_a_second_after_its_deadline():
    late = [r.said() for r in DRAWN if r.late]
    assert not late, "\n".join(late)


def test_nothing_of_it_is_left_once_an_agent_runs():
    left = [r.said() for r in DRAWN if r.left]
    assert not left, "\n".join(left)


def test_enough_rounds_had_the_fault_in_effect():
    assert sum(r.hit for r in DRAWN) >= len(DRAWN) / 3, "too few to show anything"


def test_no_nodefault_stays():
    """Also where the run that would have taken it away is dead: the agent of its node does."""
    until(f"no NodeFault is there ({RESOURCE})", lambda: not AGENTS.faults(), STALE + 15, 1)


try:
    with Agents(LAB, "crash") as AGENTS:
        LAB.kubectl("create", "namespace", "crash")
        LAB.kubectl("apply", "--filename", "-", input=PODS)
        for name in ("victim", "control"):
            LAB.kubectl("rollout", "status", "--namespace", "crash", f"deployment/{name}", "--timeout=60s", timeout=90)
        carry_out_all()
        try:
            tap.main()
        finally:
            start_the_dead()  # what ends only when it finds its lease lost
finally:
    try:
        LAB.kubectl("delete", "namespace", "crash", "--ignore-not-found", "--timeout=60s", timeout=90, check=False)
    finally:
        LAB.__exit__()
