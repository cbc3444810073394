# SPDX-License-Identifier: Apache-2.0
"""report.html in a real browser: nothing fetched, nothing complained of, the verdict on the first screen, one zoom for all, legible in
the dark, harmless whatever the names and logs hold, small and quick with a million requests."""
import atexit
import json
import os
import pathlib
import struct
import tempfile
import time

import tap
from chromium import PROGRAM, Browser
from tap import Scratch, Skip, chaosd

SIZES = ((1280, 800), (390, 844))
WALL = 1_795_305_435_000_000_000
S = 1_000_000_000
SAMPLE = struct.Struct("<3qH4BHHBBI4II4x")
HOSTILE = "</script><script>window.pwned=1</script><!--<img src=x onerror=window.pwned=2>\u2028\u2029\u202e\x1b[31m\"'&{{data}}`${1}"
browsers = []


def browser():
    if not PROGRAM:
        raise Skip("(ci) needs chromium")
    if not browsers:
        browsers.append(Browser().__enter__())
        atexit.register(browsers[0].__exit__)
    b = browsers[0]
    b.size(1280, 800)
    b.prefer("light")
    return b


def sample(planned, latency, load=0, lane=0, outcome=0, reason=0, target=65535, status=200):
    planned, latency = int(planned), int(latency)
    return SAMPLE.pack(planned, planned, planned + latency, load, lane, outcome, reason, 1, status, target, 1, 0, 100, 0, 0, 0, 0, 0)


def header(**more):
    return {"schema": 1, "run": "r", "scenario": "page-test", "seed": 7, "wall_ns": WALL, "version": "0", "host": {"kernel": "k", "machine": "m"}, "digest": "d",
            "duration_ns": 30 * S, "settle_ns": S, "loads": [{"name": "writes", "kind": "http", "rate_micro": 100_000_000, "lanes": ["fresh"], "deadline_ns": S // 2,
                                                              "goods": 5, "over_ns": S // 2}],
            "faults": [{"name": "kill", "kind": "pod-kill", "holds": False}], "workloads": [{"name": "db", "replicas": 2}],
            "expect": ["availability(writes) >= 99%"], "plan": [{"fault": 0, "occurrence": 1, "at_ns": 9 * S, "for_ns": 0, "draw": "0"}], **more}


def event(t, op, phase="info", kind="", target="", **data):
    return {"t": int(t), "actor": "run", "op": op, "phase": phase, "kind": kind, "target": target, "data": data}


def act(t, number, target, fault="kill", kind="pod-kill"):
    return [event(t, "fault/act", "invoke", kind, target, id=number, fault=fault, occurrence=number, planned_ns=int(t) - 1000, draw="00ff", candidates=[target], pid=7),
            event(t + 1000, "fault/act", "ok", kind, target, id=number), event(t + 2000, "fault/observed", "info", kind, target, id=number, proof="exited")]


def drill(pods=("db-0", "db-1"), fault="kill"):
    """30 s at 100/s, db-0 killed at 10 s, two seconds of failures."""
    up = [event(S // 2, "cluster/pod", kind=k, target=p, workload="db", node="n1", restarts=0) for p in pods for k in ("created", "started", "ready")]
    end = [event(31 * S, "run/loads-end"), event(32 * S, "run/end")]
    hit = act(10 * S, 1, pods[0], fault) + [event(10 * S + 5000, "cluster/pod", kind="exited", target=pods[0], workload="db"),
                                             event(10 * S + 6000, "role/now", kind="leader", target=pods[1], asked=10 * S + 5500, seen=10 * S + 6000, data={"term": "3"}),
                                             event(11 * S, "cluster/pod", kind="started", target=pods[0], workload="db", restarts=1),
                                             event(12 * S, "cluster/pod", kind="ready", target=pods[0], workload="db", restarts=1)]
    events = up + [event(S, "run/schedule"), event(S, "load/target", target=pods[0], id=0)] + hit + end
    samples = [sample(S + i * S // 100, 2_000_000 + i % 7 * 100_000, outcome=int(1000 - 100 <= i < 1100 - 100), reason=int(900 <= i < 1000), target=0) for i in range(3000)]
    return events, samples


def store(folder, head, events, samples, logs=None, torn=b""):
    folder.mkdir(parents=True)
    for i, e in enumerate(events):
        e["seq"] = i
    lines = [json.dumps(x) for x in [head] + events]
    (folder / "history.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "samples.bin").write_bytes(b"CHAOSD-S" + struct.pack("<II48x", 1, 64) + b"".join(samples) + torn)
    (folder / "logs").mkdir()
    for name, text in (logs or {}).items():
        (folder / "logs" / f"{name}.log").write_bytes(text)
    return folder


def page(folder, codes=(0, 1, 2), **kw):
    p = chaosd("report", folder, **kw)
    assert p.returncode in codes and not p.stderr, (p.returncode, p.stderr[-2000:])
    return folder / "report.html"


def clean_open(b, path):
    seconds = b.open(path)
    assert not b.complaints(), b.complaints()
    asked = b.requests()
    assert len(asked) == 1 and asked[0] == f"file://{path}", asked
    return seconds


def stored(s):
    return page(store(s.dir / "run", header(), *drill(), logs={"db-1": b"2026-11-21T23:57:24.500000Z something before\n2026-11-21T23:57:25.100000Z peer lost\n  at stack\n"}))


def test_first_screen_tells_the_verdict():
    with Scratch() as s:
        b, path = browser(), stored(s)
        for width, height in SIZES:
            for scheme in ("light", "dark"):
                b.size(width, height)
                b.prefer(scheme)
                clean_open(b, path)
                for i in ("verdict", "why", "tile-availability", "tile-downtime", "tile-recovery", "tile-faults"):
                    r = b.eval(f"(() => {{ const r = document.getElementById('{i}').getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom, r.height]; }})()")
                    assert r[0] >= 0 and r[1] >= 0 and r[2] <= width and r[3] <= height and r[4] > 10, (i, width, r)
                assert b.eval("document.documentElement.scrollWidth") <= width, "the page is wider than the screen"
        text = b.eval("document.body.innerText")
        assert "FAIL" in text and "1 of 7 checks failed" not in text, text[:300]
        assert "96.66 %" in b.eval("document.getElementById('tile-availability').innerText"), text[:800]
        assert "1 of 1" in b.eval("document.getElementById('tile-faults').innerText")


LABELS = "[...document.querySelectorAll('%s')].map(e => e.textContent).join()"
AXES = ("#rate .dygraph-axis-label-x", "#latency .dygraph-axis-label-x", "#lanes svg > text.axis-text")


def axes(b):
    return [b.eval(LABELS % q) for q in AXES]


def box(b, selector):
    return b.eval(f"(() => {{ const r = document.querySelector('{selector}').getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; }})()")


def test_zoom_on_one_moves_the_others():
    with Scratch() as s:
        b = browser()
        b.size(1280, 1200)
        clean_open(b, stored(s))
        whole = axes(b)
        assert all(whole) and whole[0] == whole[1], whole
        for part in ("#rate", "#latency", "#lanes"):
            x, y, w, h = box(b, part)
            b.drag(x + w * 0.4, y + h * 0.5, x + w * 0.6, y + h * 0.5)
            zoomed = axes(b)
            assert all(a != z for a, z in zip(whole, zoomed)) and zoomed[0] == zoomed[1], (part, zoomed)
            assert "Showing" in b.eval("document.getElementById('range').textContent")
            b.key("Escape")
            assert axes(b) == whole, (part, axes(b), whole)
        b.eval("document.getElementById('plot').focus()")
        b.key("+", "Equal", "+")
        near = axes(b)
        b.key("ArrowRight")
        moved = axes(b)
        b.key("-", "Minus", "-")
        b.key("Escape")
        assert near != whole and moved != near and axes(b) == whole
        x, y, w, h = box(b, "#rate")
        b.mouse("mouseMoved", x + w * 0.5, y + h * 0.5)
        assert "good" in b.eval("document.getElementById('readout').textContent")
        b.eval("document.querySelector('.card button').click()")
        assert axes(b) != whole
        assert not b.complaints(), b.complaints()


def test_keyboard_reaches_everything():
    with Scratch() as s:
        b = browser()
        clean_open(b, stored(s))
        reached = []
        for _ in range(30):
            b.key("Tab")
            reached.append(b.eval("(e => e.id || e.tagName)(document.activeElement)"))
        order = [reached.index(i) for i in ("theme", "prev-fault", "next-fault", "zoom-out", "zoom-in", "zoom-reset", "plot", "BUTTON", "SUMMARY")]
        assert order == sorted(order), reached
        unnamed = b.eval("[...document.querySelectorAll('button, [role=region], [role=img], select')].filter(e => !(e.textContent.trim() || e.ariaLabel)).length")
        assert unnamed == 0


def doubted(folder):
    """A pause and a kill at the same time, then one second of failures and two of slow answers, and a control that failed then as well."""
    events, _ = drill()
    also = act(10 * S, 2, "db-1", "pause", "pod-pause") + [event(12 * S, "fault/revert", "ok", "pod-pause", "db-1", id=2)]
    head = header()
    head["loads"] = [head["loads"][0], {"name": "still", "kind": "http", "rate_micro": 10_000_000, "lanes": ["fresh"], "deadline_ns": S // 2, "goods": 5, "over_ns": S // 2, "control": True}]
    head["faults"].append({"name": "pause", "kind": "pod-pause", "holds": True})
    spell = lambda i: (1, 3_000_000) if 900 <= i < 1000 else (0, 80_000_000) if 1000 <= i < 1200 else (0, 2_000_000)
    samples = [sample(S + i * S // 100, spell(i)[1], outcome=spell(i)[0], reason=spell(i)[0], target=0) for i in range(3000)]
    samples += [sample(S + i * S // 10, 1_000_000, load=1, outcome=int(i == 93), reason=int(i == 93)) for i in range(300)]
    return store(folder, head, events[:-2] + also + events[-2:], samples)


def test_degradation_shared_and_doubted():
    with Scratch() as s:
        b, path = browser(), page(doubted(s.dir / "run"))
        for width, height in SIZES:
            for scheme in ("light", "dark"):
                b.size(width, height)
                b.prefer(scheme)
                clean_open(b, path)
                groups = b.eval("[...document.querySelectorAll('#lanes .lane-group')].map(e => e.textContent)")
                assert groups.index("Degradation") == groups.index("Downtime") + 1, groups
                titles = b.eval("[...document.querySelectorAll('#lanes rect title')].map(e => e.textContent)")
                down, slow = (next(t for t in titles if t.startswith(w)) for w in ("writes: down", "writes: slow or bad"))
                assert "not judged: the control failed as well: still was bad" in down and "shared by " in down and "kill #1 on db-0" in down and "pause #2 on db-1" in down, down
                assert "200 slow, 100 bad" in slow, slow
                assert b.eval("document.querySelectorAll('#lanes rect.s-doubt').length") >= 2
                low = "(document.querySelector('#lanes rect.s-slow-bracket') || document.querySelector('#lanes rect.s-doubt')).getBoundingClientRect()"
                assert b.eval(f"{low}.width") > 3
                n, bad = b.eval(CONTRAST)
                assert n > 80 and not bad, (scheme, n, bad[:10])
                assert b.eval("document.documentElement.scrollWidth") <= width
        text = b.eval("document.getElementById('cards').innerText")
        assert "Degraded, least" in text and "shared with" in text and "a control failed too" in text, text[:1500]
        assert "still (control)" in b.eval("document.getElementById('figures-table').innerText")
        assert "a window that is not judged" in b.eval("document.getElementById('lane-legend').innerText")


CONTRAST = """(() => {
  const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return [m[0], m[1], m[2], m.length > 3 ? m[3] : 1]; };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat([1]);
  const lum = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const back = (e) => { const list = []; for (; e; e = e.parentElement) list.push(parse(getComputedStyle(e).backgroundColor)); return list.reverse().reduce((under, c) => over(c, under), [255, 255, 255, 1]); };
  document.querySelectorAll('details').forEach((d) => { d.open = true; });
  const bad = [], seen = new Set();
  let n = 0;
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim()) || e.closest('script, style, title') || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), inSvg = e instanceof SVGElement;
    let under = back(e);
    if (e.classList.contains('span-text')) under = over(parse(getComputedStyle(e.previousElementSibling).fill), under);
    const fg = over(parse(inSvg ? style.fill : style.color), under), a = lum(fg), b = lum(under), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    n++;
    if (ratio < 4.5) bad.push([e.tagName, e.className.baseVal ?? e.className, e.textContent.slice(0, 30), ratio.toFixed(2)].join(' '));
  }
  return [n, bad];
})()"""


def test_contrast_in_both_themes():
    with Scratch() as s:
        for verdict, events in (("fail", drill()), ("inconclusive", (drill()[0][:-1], drill()[1]))):
            b, path = browser(), page(store(s.dir / verdict, header(), *events))
            for scheme in ("light", "dark"):
                b.prefer(scheme)
                clean_open(b, path)
                n, bad = b.eval(CONTRAST)
                assert n > 80 and not bad, (verdict, scheme, n, bad[:10])
            b.prefer("light")
            clean_open(b, path)
            b.eval("document.getElementById('theme').click()")
            assert b.eval("getComputedStyle(document.body).backgroundColor") == "rgb(14, 18, 24)"
            n, bad = b.eval(CONTRAST)
            assert n > 80 and not bad, ("toggled", bad[:10])
            assert not b.complaints(), b.complaints()


def test_without_scripts_and_printed():
    with Scratch() as s:
        b, path = browser(), stored(s)
        b.call("Emulation.setScriptExecutionDisabled", value=True)
        try:
            b.load(path)
            root = b.call("DOM.getDocument", depth=0)["root"]["nodeId"]
            node = b.call("DOM.querySelector", nodeId=root, selector="#tile-availability")["nodeId"]
            assert "96.66 %" in b.call("DOM.getOuterHTML", nodeId=node)["outerHTML"]
        finally:
            b.call("Emulation.setScriptExecutionDisabled", value=False)
        clean_open(b, path)
        assert len(b.call("Page.printToPDF", printBackground=True)["data"]) > 20000
        assert not b.complaints(), b.complaints()


def kube_pod(t, kind, name, uid, workload, node, **more):
    return event(t, "cluster/pod", kind=kind, target=name, uid=uid, workload=workload, owner="rs", node=node, ip="", restarts=0, **more)


def stamp(t):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((WALL + t) // S))


def kube_came(t, name, uid, workload, node, scheduled, started, ready):
    """A pod from its creation at t to readiness; the rest: ms after it."""
    steps = [("created", 0, ""), ("scheduled", scheduled, node), ("started", started, node), ("ready", ready, node)]
    return [kube_pod(t + ms * 1_000_000, kind, name, uid, workload, n, stamp=stamp(t + ms * 1_000_000)) for kind, ms, n in steps if ms is not None]


def kube_went(t, name, uid, workload, node, service, ended, gone):
    ms = 1_000_000
    return [kube_pod(t + 3 * ms, "terminating", name, uid, workload, node, stamp=stamp(t)), event(t + 21 * ms, "cluster/endpoint", kind="unready", target=name, uid=uid, service=service, ready=False),
            event(t + 34 * ms, "cluster/event", kind="Killing", target=f"Pod/{name}", namespace="shop", message="Stopping container nginx", type="Normal", count=1, stamp=stamp(t), component="kubelet", uid=uid),
            kube_pod(t + ended * ms, "exited", name, uid, workload, node, stamp=stamp(t + ended * ms)), event(t + (ended + 30) * ms, "cluster/endpoint", kind="removed", target=name, uid=uid, service=service, ready=False),
            kube_pod(t + gone * ms, "removed", name, uid, workload, node)]


def kube_act(t, number, fault, kind, target, uid, workload, **more):
    told = dict(id=number, fault=fault, occurrence=1, uid=uid, workload=workload, candidates=[target], draw="0a", **more)
    return [event(t - 6_000_000, "fault/act", "invoke", kind, target, **told), event(t, "fault/act", "ok", kind, target, asked=t - 5_800_000, seen=t - 100_000, date=time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime((WALL + t) // S)), **told),
            event(t + 5_000_000, "fault/observed", "info", kind, target, id=number, proof="terminating")]


SCHEDULER = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."


def kube_run(folder):
    """A Deployment's pod deleted under load with a gap in what could be followed; a node drained; a pod whose replacement finds no node."""
    ms, web, db = 1_000_000, "shop/web", "shop/db"
    events = [e for n, node in (("web-7c9-aa", "node-1"), ("web-7c9-bb", "node-2"), ("web-7c9-cc", "node-2")) for e in kube_came(0, n, n, web, node, 0, 0, 0)]
    events += [e for i in range(3) for e in kube_came(0, f"db-{i}", f"db-{i}", db, f"node-{i % 2 + 1}", 0, 0, 0)]
    events += [event(0, "cluster/workload", kind="Deployment", target=web, replicas=3, ready=3, updated=3), event(0, "cluster/workload", kind="StatefulSet", target=db, replicas=3, ready=3, updated=3), event(S, "run/schedule")]
    a, b, c = 10 * S, 20 * S, 34 * S
    events += kube_act(a, 1, "kill-web", "pod-delete", "web-7c9-aa", "web-7c9-aa", web) + kube_went(a, "web-7c9-aa", "web-7c9-aa", web, "node-1", "web", 620, 710)
    events += kube_came(a + 9 * ms, "web-7c9-dd", "web-7c9-dd", web, "node-1", 14, 1180, 2240) + [event(a + 2290 * ms, "cluster/endpoint", kind="added", target="web-7c9-dd", uid="web-7c9-dd", service="web", ready=True)]
    events += kube_act(b, 2, "drain", "node-drain", "node-2", "db-1", db, pod="db-1", for_ns=10 * S) + [event(b + 2 * ms, "cluster/node", kind="cordoned", target="node-2", stamp="", reason="")]
    for k, n in enumerate(("web-7c9-bb", "web-7c9-cc")):
        events += kube_went(b + (40 + 900 * k) * ms, n, n, web, "node-2", "web", 500, 600) + kube_came(b + (55 + 900 * k) * ms, f"web-7c9-e{k}", f"e{k}", web, "node-1", 8, 900, 1900)
        events += [event(b + (2000 + 900 * k) * ms, "cluster/endpoint", kind="added", target=f"web-7c9-e{k}", uid=f"e{k}", service="web", ready=True)]
    events += kube_went(b + 60 * ms, "db-1", "db-1", db, "node-2", "db", 2100, 2300) + [event(b + 2600 * ms, "cluster/lease", kind="holder", target="shop/db-leader", holder="db-2", stamp=stamp(b + 2600 * ms))]
    events += [e for e in kube_came(b + 2320 * ms, "db-1", "db-1b", db, "node-1", 12, None, None)] + [event(b + 4100 * ms, "cluster/api", kind="troubled", target="pods", why="connection refused"),
               event(b + 7000 * ms, "cluster/api", kind="gap", target="pods", **{"from": b + 4000 * ms, "to": b + 7000 * ms}, relisted=True)]
    events += [kube_pod(b + 7003 * ms, "started", "db-1", "db-1b", db, "node-1", stamp=stamp(b + 4900 * ms)), kube_pod(b + 7004 * ms, "ready", "db-1", "db-1b", db, "node-1", stamp=stamp(b + 6100 * ms))]
    events += [event(b + 10 * S, "fault/revert", "ok", "node-drain", "node-2", id=2), event(b + 10 * S + 8 * ms, "cluster/node", kind="uncordoned", target="node-2", stamp="", reason="")]
    events += kube_act(c, 3, "kill-last", "pod-delete", "web-7c9-dd", "web-7c9-dd", web) + kube_went(c, "web-7c9-dd", "web-7c9-dd", web, "node-1", "web", 480, 560)
    events += [kube_pod(c + 11 * ms, "created", "web-7c9-ff", "ff", web, "", stamp=stamp(c)), event(c + 16 * ms, "cluster/event", kind="FailedScheduling", target="Pod/web-7c9-ff", namespace="shop",
                                                                                                    message=SCHEDULER, type="Warning", count=1, stamp=stamp(c), component="default-scheduler", uid="ff")]
    events += [event(41 * S, "run/loads-end"), event(42 * S, "run/end")]
    events.sort(key=lambda e: e["t"])
    down, slow = ((a + 15 * ms, a + 640 * ms), (b + 2180 * ms, b + 2900 * ms)), ((a, a + 1000 * ms), (b + 2000 * ms, b + 3600 * ms))
    samples = []
    for i in range(4000):
        t = S + i * 10 * ms
        bad, late = (any(x <= t < y for x, y in spans) for spans in (down, slow))
        samples.append(sample(t, (3 if bad else 90 if late else 2) * ms + i % 7 * 100_000, outcome=int(bad and i % 2), reason=int(bad and i % 2), target=0))
    head = header(scenario="web-and-db-on-kubernetes", loads=[dict(header()["loads"][0], slow_ns=50 * ms)], expect=["recovery.sustained.max < 5s"], plan=[],
                  faults=[{"name": "kill-web", "kind": "pod-delete", "holds": False}, {"name": "drain", "kind": "node-drain", "holds": True}, {"name": "kill-last", "kind": "pod-delete", "holds": False}])
    del head["workloads"]
    return store(folder, head, events, samples)


def test_waterfall_of_a_control_plane():
    with Scratch() as s:
        b, path = browser(), page(kube_run(s.dir / "run"))
        for width, height in SIZES:
            for scheme in ("light", "dark"):
                b.size(width, height)
                b.prefer(scheme)
                clean_open(b, path)
                n, bad = b.eval(CONTRAST)
                assert n > 150 and not bad, (scheme, n, bad[:10])
                assert b.eval("document.documentElement.scrollWidth") <= width
                assert b.eval("document.querySelectorAll('.card .wf').length") == 3 and b.eval("document.querySelectorAll('.card .track').length") == 0
                over = b.eval("[...document.querySelectorAll('.wf-plot text')].filter(t => t.getBoundingClientRect().right > innerWidth || t.getBoundingClientRect().left < 0).map(t => t.textContent)")
                assert not over, (width, over)
        names = b.eval("[...document.querySelectorAll('.card')].map(c => [...c.querySelectorAll('.wf-name')].map(e => e.textContent))")
        assert names[0][0] == "writes" and {"accepted", "deletion stamped", "endpoint not ready", "replacement created", "ready", "whole again", "pod gone"} <= set(names[0]), names[0]
        assert {"cordoned", "uncordoned", "lease moved", "API gap"} <= set(names[1]), names[1]
        notes = b.eval("[...document.querySelectorAll('.card')].map(c => c.textContent)")
        assert "Not reached" not in notes[0] and f"scheduled of web-7c9-ff ({SCHEDULER})" in notes[2] and "seen late" in notes[1], notes[2]
        left, right = b.eval("(() => { const r = document.querySelector('.card .wf rect[style*=window]').getBoundingClientRect(), p = document.querySelector('.card .wf-plot').getBoundingClientRect(); return [(r.left - p.left) / p.width, (r.right - p.left) / p.width]; })()")
        assert 0 < left < 0.05 and 0.25 < right < 0.4, ("down from 10 to 731 ms of some 2,300", left, right)
        b.eval("document.querySelector('.wf-box button').click()")
        drawn_out = b.eval("(() => { const r = document.querySelector('.card .wf rect[style*=window]').getBoundingClientRect(), p = document.querySelector('.card .wf-plot').getBoundingClientRect(); return (r.right - p.left) / p.width; })()")
        assert right < drawn_out < 0.7 and "Not to scale" in b.eval("document.querySelector('.wf-box').textContent") and not b.complaints(), drawn_out
        clean_open(b, stored_again(s))
        assert b.eval("!document.querySelector('.wf') && !!document.querySelector('.track')"), "a local cluster's page shows a control plane"


def stored_again(s):
    return page(store(s.dir / "local", header(), *drill()))


def hostile_run(folder):
    pod = "db-0" + HOSTILE.replace("/", "")  # a pod's name is a file's name
    events, samples = drill((pod, "db-1"), HOSTILE)
    events[0]["data"]["node"] = HOSTILE
    events.insert(-1, event(11 * S, "cluster/event", kind=HOSTILE, target=f"Pod/{pod}", type="Warning", message=HOSTILE, stamp=HOSTILE, namespace=HOSTILE, uid=""))
    events.insert(-1, event(11 * S, "cluster/lease", kind="holder", target=HOSTILE, holder=HOSTILE, stamp=HOSTILE))
    events.insert(-1, event(20 * S, "note/mark", kind=HOSTILE, target=pod, at=12 * S, line=HOSTILE))
    events.insert(-1, event(21 * S, "fault/act", "info", "skip", HOSTILE, id=9, fault=HOSTILE, occurrence=2, why=HOSTILE, guard=HOSTILE))
    head = header(scenario=HOSTILE, run=HOSTILE, digest=HOSTILE, version=HOSTILE, host={"kernel": HOSTILE, "machine": HOSTILE}, seed=HOSTILE,
                  loads=[dict(header()["loads"][0], name=HOSTILE)], faults=[{"name": HOSTILE, "kind": HOSTILE, "holds": True}], expect=[])
    stamp = b"2026-11-21T23:57:25.%06dZ "
    log = b"".join(stamp % (i * 1000) + x + b"\n" for i, x in enumerate((HOSTILE.encode(), b"\xff\xfe\xc3( \xed\xa0\x80 invalid", b"\x1b]0;title\x07\x00", b"A" * 100000,
                                                                         b'{"msg":"<b>bold</b>","level":{"a":1}}', b"9999-12-31T23:59:59Z far", b"0000-00-00T00:00:00Z")))
    return store(folder, head, events, samples, logs={"db-1": log})


def test_hostile_texts_are_harmless():
    with Scratch() as s:
        b = browser()
        folder = hostile_run(s.dir / "run")
        (folder / "logs" / "x.log").symlink_to("/etc/hostname")
        path = page(folder)
        raw = path.read_bytes()
        raw.decode()  # valid UTF-8, whatever the logs held
        assert raw.count(b"<script") == 3 and raw.count(b"</script") == 3, "a text broke out of its place"
        assert b"\x1b" not in raw and "\u2028".encode() not in raw.split(b'id="data"')[1].split(b"</script")[0]
        clean_open(b, path)
        b.eval("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert b.eval("window.pwned === undefined && document.querySelectorAll('img, iframe, object, link[rel=stylesheet]').length === 0")
        text = b.eval("document.body.textContent.split('').filter(c => c < ' ' && c !== '\\n').length")
        assert text == 0, "control characters reached the page"
        assert "\u202e" not in b.eval("document.body.innerText"), "a text may turn the page's direction"
        shown = b.eval("document.getElementById('cards').textContent")
        assert "</script>" in shown and "onerror" in shown and "\\x1b[31m" in shown and "\u202e" not in shown, shown[:500]
        assert "<b>bold</b>" in shown, "a log line is missing"
        for scheme in ("light", "dark"):
            b.prefer(scheme)
            b.size(390, 844)
            clean_open(b, path)
            assert b.eval("document.documentElement.scrollWidth") <= 390


def test_little_and_strange_histories():
    events, samples = drill()
    backwards = [dict(e, t=40 * S - e["t"]) for e in drill()[0]]
    stalls = [event(i * S, "self/stall", **{"from": -(1 << 62) + i, "to": (1 << 62)}) for i in range(3)]
    wild = [event(t, "cluster/pod", kind="ready", target="db-0", workload="db") for t in (-(1 << 59), 0, (1 << 59))]
    cases = {
        "nothing": (header(loads=[], faults=[], plan=[], expect=[]), [], []),
        "bare": ({"schema": 1}, [], []),
        "no-samples": (header(), events, []),
        "one-sample": (header(), events, samples[:1]),
        "one-good": (header(), events, [sample(2 * S, 3_000_000)]),
        "backwards": (header(), backwards, [sample(3 * S - i * 10_000_000, 5_000_000 + i) for i in range(200)]),
        "wild-times": (header(), events + stalls + wild, samples),
        "never-ended": (header(), events[:9], samples[:1200]),
        "types": (header(plan=[], host=3, seed=None, run=[1], version={"a": {"b": 1}}, faults=[], workloads=[]), [event(1, "role/now", kind="leader", data=7), event(2, "fault/act", id="x")], samples[:50]),
        "many-loads": (header(loads=[dict(header()["loads"][0], name=f"load-{i}") for i in range(40)]), events, [sample(S + i * 5_000_000, 1_000_000, load=i % 40) for i in range(4000)]),
        "many-pods": (header(), events + [event(S + i * 1000 + k, "cluster/pod", kind=x, target=f"p-{i}", workload="w") for i in range(500) for k, x in enumerate(("started", "ready"))], samples),
    }
    with Scratch() as s:
        b = browser()
        for name, (head, ev, sa) in cases.items():
            path = page(store(s.dir / name, head, ev, sa, torn=b"torn" if name == "one-sample" else b""))
            clean_open(b, path)
            assert b.eval("document.querySelector('.badge').textContent.length > 3 && !document.getElementById('timeline').hidden"), name
            assert b.eval("document.querySelectorAll('#lanes text').length") > 0, name
            assert "NaN" not in (text := b.eval("document.body.innerText")) and "undefined" not in text, name
            b.eval("document.getElementById('zoom-in').click(); document.getElementById('next-fault').click(); document.getElementById('prev-fault').click()")
            assert not b.complaints(), (name, b.complaints())


def test_many_faults_stay_bounded():
    n = 20000
    events, samples = drill()
    more = [e for i in range(n) for e in act(2 * S + i * 1_000_000, i + 10, f"db-{i % 2}")]
    with Scratch() as s:
        b = browser()
        began = time.monotonic()
        path = page(store(s.dir / "run", header(plan=[{"fault": 0, "occurrence": i, "at_ns": i * 1_000_000, "for_ns": 0, "draw": "0"} for i in range(n)]), events[:-2] + more + events[-2:], samples))
        print(f"# {n} faults: page of {path.stat().st_size >> 10} KiB after {time.monotonic() - began:.1f} s")
        assert path.stat().st_size < 5_000_000
        seconds = clean_open(b, path)
        cards = b.eval("document.querySelectorAll('.card').length")
        assert cards == 200 and "of 20,001" in b.eval("document.querySelector('#cards .note').textContent")
        assert b.eval("document.querySelectorAll('#lanes svg *').length") < 20000 and seconds < 4, seconds


def test_a_million_requests():
    n = 1_000_000
    with Scratch() as s:
        b = browser()
        head = header(loads=[dict(header()["loads"][0], rate_micro=n // 30 * 1_000_000)])
        data = [sample(S + i * 30_000, 1_000_000 + i * 7919 % 5_000_000, outcome=int(i % 1000 == 0), reason=int(i % 1000 == 0), target=i % 3) for i in range(n)]
        folder = store(s.dir / "run", head, drill()[0], data)
        path = page(folder, timeout=120)
        size, seconds = path.stat().st_size, min(clean_open(b, path) for _ in range(3))
        print(f"# {n} requests: {size >> 10} KiB, opened in {seconds:.2f} s")
        assert size < 5_000_000 and seconds < 2, (size, seconds)
        drawn = b.eval("document.querySelector('#rate canvas').getContext('2d').getImageData(0, 0, 2000, 400).data.some(v => v > 0)")
        assert drawn, "the chart is empty"


def test_same_bytes_anywhere():
    with Scratch() as s:
        path = page(hostile_run(s.dir / "run"))
        before = path.read_bytes()
        moved = s.dir / "elsewhere" / "x"
        moved.parent.mkdir()
        (s.dir / "run").rename(moved)
        (moved / "report.html").unlink()
        assert page(moved, env=dict(os.environ, TZ="Asia/Kathmandu", LC_ALL="C")).read_bytes() == before


def test_the_folder_is_all_that_is_read():
    """A pod's name or a link must not lead out of the folder."""
    with Scratch() as s, tempfile.TemporaryDirectory() as other:
        line = b"2026-11-21T23:57:25.100000Z SECRET\n"
        (pathlib.Path(other) / "secret.log").write_bytes(line)
        folder = store(s.dir / "run", header(), *drill((f"../../../../../../..{other}/secret", "linked")))
        (folder / "logs" / "linked.log").symlink_to(pathlib.Path(other) / "secret.log")
        assert b"SECRET" not in page(folder).read_bytes()
        again = store(s.dir / "again", header(), *drill(), logs={"db-1": line})
        assert b"SECRET" in page(again).read_bytes()


tap.main()
