# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium spoken to over its DevTools pipe: no port, nothing but the standard library."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-default-apps", "--disable-extensions", "--no-default-browser-check", "--disable-dev-shm-usage", "--hide-scrollbars",
         "--font-render-hinting=none", "--remote-debugging-pipe"]


class Browser:
    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="chaosd-chromium-")
        to_read, self.to = os.pipe()
        self.back, from_write = os.pipe()

        def pipes():  # Chromium reads from 3 and writes to 4; ours may be those very numbers
            a, b = os.dup(to_read), os.dup(from_write)
            a, b = (os.dup(f) if f in (3, 4) else f for f in (a, b))
            os.dup2(a, 3)
            os.dup2(b, 4)

        env = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TZ")} | {"HOME": self.dir}
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen([PROGRAM, *FLAGS, f"--user-data-dir={self.dir}/profile", "about:blank"], preexec_fn=pipes, close_fds=False, env=env,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        os.close(to_read)
        os.close(from_write)
        self.buffer, self.number, self.events, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *a):
        try:
            session, self.session = self.session, None
            self.call("Browser.close", wait=10)
        except Exception:
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        os.close(self.to)
        os.close(self.back)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def read(self, until):
        """The next message, or None when the time is up."""
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.back], [], [], max(0, until - time.monotonic()))
            if not ready:
                return None
            piece = os.read(self.back, 1 << 20)
            if not piece:
                raise RuntimeError("Chromium ended: " + open(self.log.name, errors="replace").read()[-2000:])
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, wait=60, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        until = time.monotonic() + wait
        while (got := self.read(until)) is not None:
            if got.get("id") == self.number:
                if "error" in got:
                    raise RuntimeError(f"{method}: {got['error']}")
                return got["result"]
            self.events.append(got)
        raise TimeoutError(method)

    def wait_for(self, method, wait=60):
        until = time.monotonic() + wait
        seen = 0
        while True:
            for e in self.events[seen:]:
                if e.get("method") == method:
                    return e
            seen = len(self.events)
            got = self.read(until)
            if got is None:
                raise TimeoutError(method)
            self.events.append(got)

    def size(self, width, height, scale=1, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)

    def prefer(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def load(self, path, wait=60):
        self.eval("1")  # what the page before still had to say is read, and forgotten
        self.events = []
        self.call("Page.navigate", url=path if "://" in str(path) else f"file://{path}")
        self.wait_for("Page.loadEventFired", wait)

    def open(self, path, wait=60):
        """Opens a file; returns the seconds from navigation to the load event, two frames drawn."""
        began = time.monotonic()
        self.load(path, wait)
        self.eval("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
        return time.monotonic() - began

    def eval(self, expression, wait=60):
        got = self.call("Runtime.evaluate", wait, expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in got:
            raise RuntimeError(json.dumps(got["exceptionDetails"])[:2000])
        return got["result"].get("value")

    def complaints(self):
        """Console errors and warnings, exceptions, and policy violations since the page was opened."""
        self.eval("1")
        out = []
        for e in self.events:
            p = e.get("params", {})
            if e.get("method") == "Runtime.exceptionThrown":
                out.append(json.dumps(p["exceptionDetails"])[:600])
            elif e.get("method") == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
                out.append(json.dumps(p["args"])[:600])
            elif e.get("method") == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
                out.append(p["entry"]["text"][:600])
        return out

    def requests(self):
        """Every address asked for since the page was opened, data: ones aside."""
        self.eval("1")
        urls = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [u for u in urls if not u.startswith("data:")]

    def mouse(self, kind, x, y, buttons=0, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if kind != "mouseMoved" or buttons else "none", buttons=buttons, **more)

    def drag(self, x1, y1, x2, y2):
        self.mouse("mouseMoved", x1, y1)
        self.mouse("mousePressed", x1, y1, 1, clickCount=1)
        for k in range(1, 6):
            self.mouse("mouseMoved", x1 + (x2 - x1) * k / 5, y1 + (y2 - y1) * k / 5, 1)
        self.mouse("mouseReleased", x2, y2, 0, clickCount=1)
        self.eval("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def key(self, key, code=None, text=None):
        number = {"Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "+": 187, "-": 189}.get(key, 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=code or key, windowsVirtualKeyCode=number, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=code or key, windowsVirtualKeyCode=number)
        self.eval("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def picture(self, full=False):
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full, **({"clip": self.whole()} if full else {}))["data"])

    def whole(self):
        s = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": s["width"], "height": s["height"], "scale": 1}
