# SPDX-License-Identifier: Apache-2.0
"""Asks pods every 50 ms, all at the same moments, each on a connection of its own, and follows the NodeFaults meanwhile: what of a fault was felt, and
when by the wall clock that deadlines are told in. `with Prober(LAB, out, victim=URL, control=URL) as p`, then outages(p.asks(...), ...).

Run as a program it is the half that asks, in the lab's network: prober.py OUT PKI NAME=ADDRESS..., until its stdin ends."""
import asyncio
import http.client
import json
import pathlib
import ssl
import subprocess
import sys
import threading
import time

EVERY, LIMIT = 0.05, 0.25  # s
SLOW_MS = 100  # an answer that was held back for so long met the fault
TOGETHER_NS = 300_000_000  # what befell another at most so long before or after befell the machine
PORT = 8080


class Prober:
    def __init__(self, lab, out, **targets):
        self.out = pathlib.Path(out)
        self.p = subprocess.Popen(["bash", str(pathlib.Path(__file__).resolve().parents[1] / "lab" / "kube.sh"), "exec", str(lab.dir), sys.executable,
                                   str(pathlib.Path(__file__).resolve()), str(self.out), str(lab.dir / "pki"), *(f"{k}={v}" for k, v in targets.items())],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.p.stdin.close()
        self.p.wait(20)

    def lines(self):
        """Whole lines only: it may still be writing."""
        text = self.out.read_text() if self.out.exists() else ""
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def asks(self, name):
        """Of one target, by their start: [{"at": ns, "ok", "ms"}]."""
        return sorted((x for x in self.lines() if x.get("name") == name), key=lambda x: x["at"])

    def faults(self):
        """Every NodeFault that was seen, as it was last, by its UID; "seen": all phases, in their order."""
        found = {}
        for o in (x["fault"] for x in self.lines() if "fault" in x):
            seen = found.get(o["metadata"]["uid"], {}).get("seen", [])
            found[o["metadata"]["uid"]] = dict(o, seen=seen + [o.get("status", {}).get("phase", "Pending")])
        return found


def affected(ask):
    return not ask["ok"] or ask["ms"] > SLOW_MS


def outages(asks, control, blips=False):
    """[(from, to, asks)] in ns: at least two in a row were affected, at two moments of asking, and the control was not. Until: the last one's start where no
    answer came, else when it came. blips: instead, those whose asks all began at one moment, since the prober had been held up: for milliseconds."""
    noise = [a["at"] for a in control if affected(a)]
    found, row = [], []
    for a in [*asks, None]:
        if a and affected(a):
            row += [] if any(abs(a["at"] - n) < TOGETHER_NS for n in noise) else [a]
            continue
        if len(row) >= 2 and (row[-1]["at"] - row[0]["at"] < EVERY * 0.8e9) == blips:
            found.append((row[0]["at"], max(x["at"] + (int(x["ms"] * 1e6) if x["ok"] else 0) for x in row), len(row)))
        row = []
    return found


# --- the half that asks ---

async def answer(address):
    reader, writer = await asyncio.open_connection(address, PORT)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        return b" 200 " in await reader.readline()
    finally:
        writer.transport.abort()


async def ask(name, address, write):
    at, began = time.time_ns(), time.monotonic()
    try:
        ok = await asyncio.wait_for(answer(address), LIMIT)
    except (OSError, asyncio.TimeoutError):
        ok = False
    write({"name": name, "at": at, "ok": ok, "ms": round((time.monotonic() - began) * 1e3, 2)})


async def ask_all(targets, write, over):
    pending, due = set(), time.monotonic()
    while not over.is_set():
        for name, address in targets:
            t = asyncio.ensure_future(ask(name, address, write))
            pending.add(t)
            t.add_done_callback(pending.discard)
        due = max(due + EVERY, time.monotonic())
        await asyncio.sleep(due - time.monotonic())
    await asyncio.gather(*pending)


def follow_faults(pki, write, over):
    """Each change of a NodeFault, seen 100 ms late at most; while the API server is away, nothing."""
    context = ssl.create_default_context(cafile=pki / "ca.crt")
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    seen, connection = {}, None
    while not over.wait(0.1):
        try:
            connection = connection or http.client.HTTPSConnection("10.200.0.254", 6443, timeout=2, context=context)
            connection.request("GET", "/apis/chaosd.io/v1alpha1/nodefaults")
            body = connection.getresponse().read()
            for o in json.loads(body).get("items", []):
                if seen.get(o["metadata"]["uid"]) != o["metadata"]["resourceVersion"]:
                    seen[o["metadata"]["uid"]] = o["metadata"]["resourceVersion"]
                    write({"fault": o})
        except (OSError, http.client.HTTPException, ValueError):
            connection = None


def main(out, pki, *targets):
    over, lock = threading.Event(), threading.Lock()
    with open(out, "w", buffering=1) as f:
        def write(o):
            with lock:
                f.write(json.dumps(o) + "\n")
        follower = threading.Thread(target=follow_faults, args=(pathlib.Path(pki), write, over))
        follower.start()
        threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
        asyncio.run(ask_all([t.split("=") for t in targets], write, over))
        follower.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
