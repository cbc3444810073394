# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes client against the fake API server: what a real one won't do on demand."""
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import tap  # noqa: E402
from tap import BUILD, ROOT, SLOW  # noqa: E402

sys.path.insert(0, str(ROOT / "tests" / "fake_api"))
import certs  # noqa: E402
import objects  # noqa: E402
from fake_api import Answer, Close, Cut, FakeApi, Stall, Status  # noqa: E402

PROBE = BUILD / "tests" / "kube" / "kubeprobe"
SECRET = "s3cret-token-of-the-test-0123456789"
scratch = tempfile.TemporaryDirectory(prefix="chaosd-kube-")
DIR = pathlib.Path(scratch.name)
_certs = {}


def pki():
    if not _certs:
        _certs.update(certs.make(DIR / "pki"))
    return _certs


def kubeconfig(api, cluster=None, user=None, name="config"):
    c = {"server": api if isinstance(api, str) else api.url, **(cluster or {})}
    text = {"current-context": "lab", "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u"}}], "clusters": [{"name": "c", "cluster": c}],
            "users": [{"name": "u", "user": {"token": SECRET} if user is None else user}]}
    path = DIR / name
    path.write_text(json.dumps(text))
    return path


def environment():
    return {k: v for k, v in os.environ.items() if "PROXY" not in k.upper() and not k.startswith("KUBE")}


def probe(config, *args, options=(), env=None, timeout=30):
    """One command's answer."""
    p = subprocess.run([PROBE, "--kubeconfig", str(config), *map(str, options), *map(str, args)], capture_output=True, text=True, timeout=timeout * SLOW, env=dict(environment(), **(env or {})))
    assert SECRET not in p.stdout + p.stderr, "a secret was printed"
    lines = p.stdout.splitlines()
    assert p.returncode in (0, 1) and lines, f"exit {p.returncode}\n{p.stdout}\n{p.stderr}"
    return json.loads(lines[-1])


class Watch:
    """A watch that runs beside the test, its events in order."""

    def __init__(self, config, *args, options=(), env=None):
        """config None: a pod's own account, by options and env."""
        options = [*(["--kubeconfig", str(config)] if config else []), *map(str, options)]
        self.p = subprocess.Popen([PROBE, *options, "watch", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env or environment())
        self.lines, self.all = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.p.stdout:
            assert SECRET not in line
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def next(self, timeout=10):
        e = self.lines.get(timeout=timeout * SLOW)
        assert e is not None, f"the probe ended: {self.p.stderr.read()}"
        self.all.append(e)
        return e

    def until(self, what, name=None, timeout=10):
        """Past the next such event; returns it."""
        while True:
            e = self.next(timeout)
            if e["what"] == what and name in (None, ((e.get("object") or e.get("before") or {}).get("name"))):
                return e

    def quiet(self, seconds=0.3):
        try:
            e = self.lines.get(timeout=seconds)
        except queue.Empty:
            return
        raise AssertionError(f"nothing was to come: {e}")

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()
        self.p.stderr.close()


def shop(api, n=3):
    for i in range(n):
        api.put("pods", objects.pod(f"web-{i}", uid=f"uid-{i}"))
    return api


def eventually(what, seconds=5):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.01)
    assert what()


# --- requests ---

def test_a_deletion_names_the_one_that_is_meant():
    with shop(FakeApi()) as api:
        c = kubeconfig(api)
        a = probe(c, "delete", "pods", "shop", "web-0", "uid=another", "grace=0")
        assert a["trouble"] == "conflict" and "another one by now" in a["why"], a
        a = probe(c, "delete", "pods", "shop", "web-0", "uid=uid-0", "grace=0")
        assert a["trouble"] == "ok" and a["json"]["metadata"]["deletionTimestamp"], a
        asked = api.asked("DELETE")[1]
        assert asked["body"] == {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": "uid-0"}}, asked
        assert asked["headers"]["Authorization"] == f"Bearer {SECRET}"
        assert asked["headers"]["User-Agent"] == "chaosd"
        a = probe(c, "delete", "pods", "shop", "web-0", "uid=uid-0")
        assert a["trouble"] == "not found" and not a["unknown"] and "web-0" in a["why"], a
        assert "gracePeriodSeconds" not in api.asked("DELETE")[2]["body"]


def test_what_may_be_asked_again_is_and_nothing_else():
    with shop(FakeApi()) as api:
        c = kubeconfig(api)
        api.fault("DELETE", "web-0", Close(carry_out=True))
        a = probe(c, "delete", "pods", "shop", "web-0", "uid=uid-0", "grace=0")
        assert a["tries"] == 2 and a["trouble"] == "not found" and a["unknown"], a  # it was our own doing
        api.fault("DELETE", "web-1", Close(), times=None)
        a = probe(c, "delete", "pods", "shop", "web-1")  # by name alone: the next one of that name would go too
        assert a["tries"] == 1 and a["trouble"] == "unreachable" and a["unknown"], a
        assert len(api.asked("DELETE", "web-1")) == 1
        for code in (429, 503):
            api.fault("PATCH", "web-2", Status(code, "TooManyRequests", retry_after=1))
            began = time.monotonic()
            a = probe(c, "patch", "merge", "pods", "shop", "web-2", '{"metadata":{"labels":{"x":"y"}}}')
            assert a["trouble"] == "ok" and a["tries"] == 2 and 1 <= time.monotonic() - began < 3 * SLOW, a
        api.fault("PATCH", "web-2", Status(500, "InternalError"), times=None)
        a = probe(c, "patch", "merge", "pods", "shop", "web-2", "{}")
        assert a["trouble"] == "server error" and a["tries"] == 1 and a["unknown"], a
        api.fault("GET", "web-2", Status(500, "InternalError"), times=2)
        a = probe(c, "get", "pods", "shop", "web-2")
        assert a["trouble"] == "ok" and a["tries"] == 3, a


def test_a_limit_ends_it():
    with shop(FakeApi()) as api:
        c = kubeconfig(api)
        api.fault("GET", "web-0", Status(429, "TooManyRequests", retry_after=60), times=None)
        a = probe(c, "get", "pods", "shop", "web-0", "limit=2")
        assert a["trouble"] == "busy" and a["tries"] == 1, a
        api.fault("GET", "web-1", Stall(), times=None)
        began = time.monotonic()
        a = probe(c, "get", "pods", "shop", "web-1", "limit=1.5", "try=0.5")
        assert a["trouble"] == "unreachable" and "timeout" in a["why"] and 2 <= a["tries"] <= 3, a
        assert time.monotonic() - began < 2.5 * SLOW


def test_no_is_told_in_a_sentence():
    with shop(FakeApi(tokens={SECRET: "system:serviceaccount:chaos:drill"})) as api:
        api.forbidden |= {("delete", "pods"), ("list", "nodes"), ("create", "pods/eviction", "shop")}
        c = kubeconfig(api)
        a = probe(c, "delete", "pods", "shop", "web-0")
        assert a["trouble"] == "forbidden", a
        for part in ('delete pods "web-0" in namespace "shop"', "system:serviceaccount:chaos:drill", 'apiGroups: [""], resources: ["pods"], verbs: ["delete"]', "Role"):
            assert part in a["why"], a
        a = probe(c, "evict", "v1", "shop", "web-0")
        assert 'resources: ["pods/eviction"], verbs: ["create"]' in a["why"], a
        with Watch(c, "nodes") as w:
            e = w.until("TROUBLED")
            assert e["trouble"] == "forbidden" and "ClusterRole" in e["why"], e
        assert probe(c, "may", "delete", "", "pods", "shop")["json"]["status"]["allowed"] is False
        assert probe(c, "may", "get", "", "pods", "shop")["json"]["status"]["allowed"] is True
        asked = api.asked("POST", "selfsubjectaccessreviews")[0]["body"]["spec"]["resourceAttributes"]
        assert asked == {"verb": "delete", "group": "", "resource": "pods", "namespace": "shop"}, asked


def test_an_eviction_that_a_budget_forbids_is_blocked_not_repeated():
    for release, version, other in (("1.20", "v1beta1", "v1"), ("1.28", "v1", "v1beta1")):
        with shop(FakeApi(release)) as api:
            c = kubeconfig(api)
            api.budget.add("web-0")
            a = probe(c, "evict", version, "shop", "web-0", "uid=uid-0")
            assert a["trouble"] == "blocked" and a["tries"] == 1 and "disruption budget" in a["why"], a
            a = probe(c, "evict", version, "shop", "web-1", "uid=uid-1")
            assert a["trouble"] == "ok", a
            body = api.asked("POST", "eviction")[1]["body"]
            assert body["apiVersion"] == f"policy/{version}" and body["deleteOptions"]["preconditions"] == {"uid": "uid-1"}, body
            assert probe(c, "evict", other, "shop", "web-2")["trouble"] == "invalid"
            api.fault("POST", "eviction", Status(429, "TooManyRequests", "The server has received too many requests", retry_after=0))
            assert probe(c, "evict", version, "shop", "web-2")["tries"] == 2


def test_patches():
    with shop(FakeApi()) as api:
        c = kubeconfig(api)
        for kind, patch, content_type in (("merge", '{"spec":{"x":1}}', "application/merge-patch+json"), ("strategic", '{"spec":{"x":2}}', "application/strategic-merge-patch+json"),
                                          ("json", '[{"op":"replace","path":"/spec/x","value":3}]', "application/json-patch+json")):
            a = probe(c, "patch", kind, "pods", "shop", "web-0", patch)
            assert a["trouble"] == "ok" and api.asked("PATCH")[-1]["headers"]["Content-Type"] == content_type, a
        assert api.get("pods", "web-0", "shop")["spec"]["x"] == 3
        a = probe(c, "patch", "merge", "pods", "shop", "web-0", '{"metadata":{"resourceVersion":"1"}}')
        assert a["trouble"] == "conflict" and a["tries"] == 1, a


def test_discovery_of_three_releases():
    for release, eviction, slices, leases, budgets in (("1.20", "v1beta1", "v1beta1", "v1", "v1beta1"), ("1.28", "v1", "v1", "v1", "v1"), ("1.34", "v1", "v1", "v1", "v1")):
        with FakeApi(release) as api:
            a = probe(kubeconfig(api), "discover")
            assert (a["evictions"], a["endpointslices"], a["leases"], a["poddisruptionbudgets"], a["deployments"]) == (eviction, slices, leases, budgets, "v1"), a
            assert a["version"]["minor"] == int(release[2:]), a


def test_what_is_no_api_server_is_named():
    with shop(FakeApi()) as api:
        c = kubeconfig(api)
        for fault, say in ((Answer(200, "<html>login</html>", "text/html"), "of type \"text/html\", not JSON"), (Answer(404, "not here", "text/plain"), "is this URL an API server's"),
                           (Answer(200, '{"kind":', "application/json"), "no JSON"), (Answer(302, "", "text/html"), "302")):
            api.fault("GET", "web-0", fault)
            a = probe(c, "get", "pods", "shop", "web-0")
            assert a["trouble"] == "no API" and say in a["why"], a
        api.content_type = "text/html"
        with Watch(c, "pods") as w:
            e = w.until("TROUBLED")
            assert e["trouble"] == "no API" and "text/html" in e["why"], e
            api.content_type = None
            assert w.until("SYNCED")["objects"] == 3
    a = probe(kubeconfig(api), "get", "pods", "shop", "web-0", "limit=1")
    assert a["trouble"] == "unreachable" and "refused" in a["why"], a


# --- who we are ---

def test_certificates():
    p = pki()
    cert, key = p["server"]
    user = {"client-certificate": "pki/client.crt", "client-key": "pki/client.key"}
    with shop(FakeApi(tls=(cert, key, p["ca"]), tokens={})) as api:
        trusted = {"certificate-authority": "pki/ca.crt"}
        a = probe(kubeconfig(api, trusted, user), "get", "pods", "shop", "web-0")
        assert a["trouble"] == "ok", a
        assert ("commonName", "alice") in [x[0] for x in api.asked()[0]["peer"]["subject"]]
        a = probe(kubeconfig(api, trusted, {"client-certificate": "pki/client-expired.crt", "client-key": "pki/client-expired.key"}), "get", "pods", "shop", "web-0", "limit=1")
        assert a["trouble"] in ("unreachable", "unauthorized"), a
        a = probe(kubeconfig(api, trusted, {"client-certificate": "pki/client.crt", "client-key": "pki/client-expired.key"}), "get", "pods", "shop", "web-0", "limit=1")
        assert a["trouble"] == "unreachable" and "tls" in a["why"], a
        a = probe(kubeconfig(api, {}, user), "get", "pods", "shop", "web-0", "limit=1")
        assert a["trouble"] == "unreachable" and "certificate" in a["why"], a
        a = probe(kubeconfig(api, {"certificate-authority": "pki/foreign.crt"}, user), "get", "pods", "shop", "web-0", "limit=1")
        assert a["trouble"] == "unreachable" and "certificate" in a["why"], a
        assert probe(kubeconfig(api, {"insecure-skip-tls-verify": True}, user), "get", "pods", "shop", "web-0")["trouble"] == "ok"
    for name, say in (("server-expired", "expired"), ("server-foreign", "certificate")):
        with shop(FakeApi(tls=(*p[name], p["ca"]))) as api:
            a = probe(kubeconfig(api, trusted), "get", "pods", "shop", "web-0", "limit=1")
            assert a["trouble"] == "unreachable" and say in a["why"], a


def test_the_name_asked_for_in_tls():
    p = pki()
    with shop(FakeApi(tls=(*p["server"], None))) as api:
        a = probe(kubeconfig(api, {"certificate-authority": "pki/ca.crt", "tls-server-name": "api.lab"}), "get", "pods", "shop", "web-0")
        assert a["trouble"] == "ok", a
        assert api.asked()[0]["sni"] == "api.lab" and api.asked()[0]["headers"]["Host"] == f"127.0.0.1:{api.port}", api.asked()[0]
        a = probe(kubeconfig(api, {"certificate-authority": "pki/ca.crt", "tls-server-name": "other.lab"}), "get", "pods", "shop", "web-0", "limit=1")
        assert a["trouble"] == "unreachable" and "tls" in a["why"], a


def test_a_tokens_file_is_read_again():
    with shop(FakeApi(tokens={"new-token": "bob"})) as api:
        (DIR / "token").write_text("old-token\n")
        c = kubeconfig(api, user={"tokenFile": "token"})
        a = probe(c, "get", "pods", "shop", "web-0")
        assert a["trouble"] == "unauthorized" and a["tries"] == 1 and "log in again" in a["why"], a
        with Watch(c, "pods") as w:
            assert w.until("TROUBLED")["trouble"] == "unauthorized"
            (DIR / "token").write_text("new-token")
            w.until("SYNCED")
        (DIR / "token").write_text("two words")
        a = probe(c, "get", "pods", "shop", "web-0")
        assert a["trouble"] == "credentials" and "no token" in a["why"] and "two words" not in a["why"], a
        (DIR / "token").unlink()
        a = probe(c, "get", "pods", "shop", "web-0")
        assert a["trouble"] == "credentials" and "token: No such file" in a["why"], a


def test_name_and_password_and_act_as():
    with shop(FakeApi(tokens={"Basic Ym9iOnMzY3JldA==": "bob"})) as api:
        a = probe(kubeconfig(api, user={"username": "bob", "password": "s3cret", "as": "alice", "as-groups": ["g1", "g2"]}), "get", "pods", "shop", "web-0")
        assert a["trouble"] == "ok", a
        assert api.asked()[0]["headers"]["Impersonate-User"] == "alice"


def test_a_service_account():
    p = pki()
    account = DIR / "account"
    account.mkdir(exist_ok=True)
    (account / "token").write_text("pod-token")
    (account / "ca.crt").write_bytes((DIR / "pki/ca.crt").read_bytes())
    with shop(FakeApi(tls=(*p["server"], None), tokens={"pod-token": "drill"})) as api:
        env = dict(environment(), HOME=str(DIR / "nobody"), KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=str(api.port))
        r = subprocess.run([PROBE, "--account-dir", account, "get", "pods", "shop", "web-0"], capture_output=True, text=True, env=env, timeout=20 * SLOW)
        assert json.loads(r.stdout)["trouble"] == "ok", r.stdout + r.stderr


def test_an_authority_that_is_replaced_is_read_again():
    """A pod's, while it runs; what is no certificate is not taken for one."""
    p = pki()
    ca = DIR / "account" / "ca.crt"
    ca.parent.mkdir(exist_ok=True)
    (ca.parent / "token").write_text("pod-token")
    ca.write_bytes((DIR / "pki/foreign.crt").read_bytes())
    with shop(FakeApi(tls=(*p["server"], None), tokens={"pod-token": "drill"})) as api:
        env = dict(environment(), HOME=str(DIR / "nobody"), KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=str(api.port))
        with Watch(None, "pods", options=("--account-dir", ca.parent), env=env) as w:
            e = w.until("TROUBLED")
            assert e["trouble"] == "unreachable" and "certificate" in e["why"], e
            ca.write_bytes((DIR / "pki/ca.crt").read_bytes())
            w.until("SYNCED")
            (ca.parent / "token").write_text("pod-token-2")  # both are read anew, and what is no certificate is not taken
            ca.write_text("none yet\n")
            api.tokens = {"pod-token-2": "drill"}
            api.cut_watches()
            api.put("pods", objects.pod("web-9"))
            assert w.until("ADDED", "web-9") and "certificate" not in json.dumps(w.all[-4:]), w.all


PLUGIN = """#!/bin/sh
echo run >>{dir}/runs
{body}
"""


def plugin(api, body, **more):
    (DIR / "runs").write_text("")
    path = DIR / "login"
    path.write_text(PLUGIN.format(dir=DIR, body=body))
    path.chmod(0o755)
    return kubeconfig(api, user={"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login", "interactiveMode": "Never", **more}})


def credential(expires=None, **status):
    if expires is not None:
        status["expirationTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + expires))
    return "printf %s '" + json.dumps({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": status}) + "'"


def runs():
    return len((DIR / "runs").read_text().split())


def test_a_credential_program():
    p = pki()
    with shop(FakeApi(tokens={SECRET: "bob"})) as api:
        c = plugin(api, f'echo "$KUBERNETES_EXEC_INFO" >{DIR}/info; echo "$1 $EXTRA" >{DIR}/args\n' + credential(token=SECRET), provideClusterInfo=True, args=["get-token"],
                   env=[{"name": "EXTRA", "value": "more"}])
        assert probe(c, "discover")["trouble"] == "ok"
        assert runs() == 1, "asked once for three requests"
        info = json.loads((DIR / "info").read_text())
        assert info["spec"] == {"interactive": False, "cluster": {"server": api.url}} and info["kind"] == "ExecCredential", info
        assert (DIR / "args").read_text() == "get-token more\n"
    with shop(FakeApi(tls=(*p["server"], p["ca"]), tokens={})) as api:
        cert, key = (x.read_text() for x in p["client"])
        c = plugin(api, credential(clientCertificateData=cert, clientKeyData=key))
        c.write_text(c.read_text().replace('"server"', '"certificate-authority": "pki/ca.crt", "server"'))
        assert probe(c, "get", "pods", "shop", "web-0")["trouble"] == "ok"


def test_a_credential_that_expires_or_is_refused_is_fetched_anew():
    with shop(FakeApi(tokens={SECRET: "bob"})) as api:
        # The first is refused, the second is good.
        c = plugin(api, f"if [ $(wc -l <{DIR}/runs) = 1 ]; then {credential(token='stale')}; else {credential(token=SECRET)}; fi")
        a = probe(c, "get", "pods", "shop", "web-0")
        assert a["trouble"] == "ok" and a["tries"] == 2 and runs() == 2, a
        c = plugin(api, credential(token="stale"))
        a = probe(c, "get", "pods", "shop", "web-0")
        assert a["trouble"] == "unauthorized" and a["tries"] == 2 and runs() == 2, a  # once, not for ever
        c = plugin(api, credential(token=SECRET, expires=11))  # good for a second: ten are kept in hand
        api.watch_seconds = 0.7
        with Watch(c, "pods") as w:
            w.until("SYNCED")
            eventually(lambda: runs() >= 3, 8)
            assert not [e for e in w.all if e["what"] == "TROUBLED"]


def test_a_credential_program_is_not_asked_because_of_a_certificate():
    p = pki()
    with shop(FakeApi(tls=(*p["server-foreign"], None))) as api:
        c = plugin(api, credential(token=SECRET))
        c.write_text(c.read_text().replace('"server"', '"certificate-authority": "pki/ca.crt", "server"'))
        a = probe(c, "get", "pods", "shop", "web-0")
        assert a["trouble"] == "unreachable" and "certificate" in a["why"] and runs() == 1, (a, runs())


def test_a_credential_program_that_fails():
    with shop(FakeApi(tokens={SECRET: "bob"})) as api:
        for body, say in ((f"echo {SECRET}", "no JSON"), (f"echo 'no session for {SECRET}' >&2; exit 3", "exit status 3: no session for ***"), ("kill -9 $$", "ended by signal 9"),
                          ("head -c 3000000 /dev/zero", "1048576 bytes"), ("exec sleep 60", "no end within 1 s"), ("sleep 60 & wait", "no end within 1 s")):
            began = time.monotonic()
            a = probe(plugin(api, body), "get", "pods", "shop", "web-0", options=["--plugin-limit", "1"])
            assert a["trouble"] == "credentials" and say in a["why"] and "login" in a["why"], a
            assert time.monotonic() - began < 4 * SLOW
        (DIR / "login").unlink()
        a = probe(kubeconfig(api, user={"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-login", "installHint": "get it from example.org"}}), "get", "pods", "shop", "web-0")
        assert a["trouble"] == "credentials" and "no-such-login" in a["why"] and "get it from example.org" in a["why"], a
        assert not api.asked()


class Proxy(threading.Thread):
    """CONNECT and nothing else."""

    def __init__(self, answer=b"HTTP/1.1 200 yes\r\nX-Proxy: 1\r\n\r\n"):
        super().__init__(daemon=True)
        import socket
        self.socket, self.answer, self.asked = socket.create_server(("127.0.0.1", 0)), answer, []
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        import socket
        while True:
            c, _ = self.socket.accept()
            head = b""
            while b"\r\n\r\n" not in head:
                head += c.recv(4096)
            self.asked.append(head.decode())
            c.sendall(self.answer)
            if b" 200 " not in self.answer:
                c.close()
                continue
            host, _, port = head.split()[1].decode().rpartition(":")
            s = socket.create_connection((host, int(port)))

            def pump(a, b):
                while data := a.recv(65536):
                    b.sendall(data)
            threading.Thread(target=pump, args=(c, s), daemon=True).start()
            threading.Thread(target=pump, args=(s, c), daemon=True).start()


def test_a_proxy():
    p, proxy = pki(), Proxy()
    with shop(FakeApi(tls=(*p["server"], None))) as api:
        ca = {"certificate-authority": "pki/ca.crt"}
        a = probe(kubeconfig(api, dict(ca, **{"proxy-url": f"http://me:s3cret@127.0.0.1:{proxy.port}"})), "get", "pods", "shop", "web-0")
        assert a["trouble"] == "ok", a
        assert proxy.asked[0].startswith(f"CONNECT 127.0.0.1:{api.port} ") and "Proxy-Authorization: Basic bWU6czNjcmV0" in proxy.asked[0], proxy.asked
        with Watch(kubeconfig(api, dict(ca, **{"proxy-url": f"http://127.0.0.1:{proxy.port}"})), "pods") as w:
            w.until("SYNCED")
            eventually(lambda: api.asked("GET", "pods", watch=True))
            api.put("pods", objects.pod("late"))
            w.until("ADDED", "late")
        # By the environment, but never for what is on this machine.
        assert probe(kubeconfig(api, ca), "get", "pods", "shop", "web-0", env={"HTTPS_PROXY": "http://127.0.0.1:1"})["trouble"] == "ok"
        no = Proxy(b"HTTP/1.1 407 no\r\n\r\n")
        a = probe(kubeconfig(api, dict(ca, **{"proxy-url": f"http://me:s3cret@127.0.0.1:{no.port}"})), "get", "pods", "shop", "web-0", "limit=1")
        assert a["trouble"] == "unreachable" and "407" in a["why"] and "s3cret" not in a["why"], a


# --- watches ---

def test_a_watch_tells_what_changes():
    with shop(FakeApi()) as api, Watch(kubeconfig(api), "pods", "keep=checksum/config") as w:
        assert [w.next()["object"]["name"] for _ in range(3)] == ["web-0", "web-1", "web-2"]
        assert w.next()["objects"] == 3
        api.put("pods", objects.pod("web-3"))
        e = w.until("ADDED", "web-3")
        assert not e["listed"] and e["object"]["annotations"].keys() == {"checksum/config"}, e
        api.put("pods", objects.pod("web-0", uid="uid-0", ready=False))
        e = w.until("MODIFIED", "web-0")
        assert e["before"]["ready"] and not e["object"]["ready"] and e["object"]["containers"][0]["state"] == "running", e
        api.delete("pods", "web-1", "shop")
        e = w.until("DELETED", "web-1")
        assert e["before"]["uid"] == "uid-1", e
        w.quiet()


def test_selectors_are_the_servers_work():
    with shop(FakeApi()) as api:
        api.put("pods", objects.pod("db-0", labels={"app": "db", "role": "a b&c"}))
        api.put("pods", objects.pod("web-9", namespace="other"))
        with Watch(kubeconfig(api), "pods", "ns=shop", "labels=app=web,role!=a b&c", "fields=status.phase=Running,metadata.name!=web-2") as w:
            assert w.until("SYNCED")["objects"] == 2
            api.put("pods", objects.pod("db-1", labels={"app": "db"}))
            api.put("pods", objects.pod("web-4"))
            assert w.next()["object"]["name"] == "web-4"
        asked = api.asked("GET", "/api/v1/namespaces/shop/pods")
        assert len(asked) == 2 and all(r["query"]["labelSelector"] == "app=web,role!=a b&c" for r in asked), asked
        assert asked[1]["query"]["allowWatchBookmarks"] == "true" and 300 <= int(asked[1]["query"]["timeoutSeconds"]) <= 600


def test_pages_and_a_continue_that_expired():
    with shop(FakeApi(), 25) as api:
        c = kubeconfig(api)
        assert probe(c, "watch", "pods", "page=10", "until=synced", "quiet=1")["objects"] == 25
        assert [r["query"]["limit"] for r in api.asked("GET", "pods", watch=False)] == ["10"] * 3
        api.requests.clear()
        # The second page's token is refused: from the first page again.
        api.fault("GET", "/pods", Status(200), times=0)
        seen = []

        class ExpireSecond(Status):
            def act(self, h):
                seen.append(h.path)
                return super().act(h) if "continue=" in h.path and len([s for s in seen if "continue=" in s]) == 1 else False
        api.fault("GET", "/pods", ExpireSecond(410, "Expired"), times=None)
        assert probe(c, "watch", "pods", "page=10", "until=synced", "quiet=1")["objects"] == 25
        assert len([s for s in seen if "limit=" in s]) == 5, seen  # 1, 2 (410), 1, 2, 3
        # All of them, always: at last all in one.
        api.faults.clear()
        api.requests.clear()

        class ExpireAll(Status):
            def act(self, h):
                return super().act(h) if "continue=" in h.path else False
        api.fault("GET", "/pods", ExpireAll(410, "Expired"), times=None)
        assert probe(c, "watch", "pods", "page=10", "until=synced", "quiet=1")["objects"] == 25
        assert api.asked("GET", "pods", watch=False)[-1]["query"]["limit"] == "0", [r["query"] for r in api.requests]


def test_a_watch_that_was_cut_goes_on_where_it_was():
    with shop(FakeApi()) as api, Watch(kubeconfig(api), "pods") as w:
        w.until("SYNCED")
        for i in range(3):
            eventually(lambda: len(api.asked("GET", "pods", watch=True)) == 1 + 2 * i)
            api.put("pods", objects.pod(f"a-{i}"))
            w.until("ADDED", f"a-{i}")
            api.cut_watches()
            e = w.until("TROUBLED")
            assert e["trouble"] == "unreachable", e
            api.put("pods", objects.pod(f"b-{i}"))
            e = w.until("GAP")
            assert not e["relisted"] and 0 < e["gap_s"] < 3 * SLOW, e
            assert w.until("ADDED", f"b-{i}")["listed"] is False
            api.cut_watches()
            w.until("GAP")
        assert len(api.asked("GET", "pods", watch=False)) == 1, "nothing was listed again"
        watches = api.asked("GET", "pods", watch=True)
        assert watches[1]["query"]["resourceVersion"] == "2004", watches[1]["query"]


def test_lines_cut_anywhere():
    """In the middle of a line and of a character, three at a time and with a silence between; then the connection goes in the middle of one."""
    with shop(FakeApi()) as api, Watch(kubeconfig(api), "pods") as w:
        w.until("SYNCED")
        eventually(lambda: api.asked("GET", "pods", watch=True))
        o = objects.pod("gr\u00fc\u00df-\u65e5\U0001f680", labels={"app": "\u65e5\u672c"})
        o["metadata"].update(resourceVersion="2010", uid="u")
        line = json.dumps({"type": "ADDED", "object": o}, ensure_ascii=False).encode() + b"\n"
        at = line.index("\u65e5".encode()) + 1
        for piece in (line[:5], line[5:at], line[at:at + 1], line[at + 1:]):
            api.raw(piece)
            time.sleep(0.02)
        e = w.until("ADDED")
        assert e["object"]["name"] == "gr\u00fc\u00df-\u65e5\U0001f680" and e["object"]["labels"] == {"app": "\u65e5\u672c"}, e
        api.raw(line.replace(b"2010", b"2011").replace(b"ADDED", b"MODIFIED") + line.replace(b"2010", b"2012").replace(b"ADDED", b"DELETED") + b"\n\n")
        assert w.next()["what"] == "MODIFIED" and w.next()["what"] == "DELETED"
        api.put("pods", objects.pod("before"))
        w.until("ADDED", "before")
        api.raw(line[:at])
        time.sleep(0.1)
        with api.changed:  # what was sent in part is no part of the server's history
            api.history = [e for e in api.history if e[2] != "RAW"]
            api.rv = 3000
        api.cut_watches()
        assert w.until("TROUBLED")["trouble"] == "unreachable"
        w.until("GAP")
        api.put("pods", objects.pod("after"))
        assert w.next()["object"]["name"] == "after"


def test_gone_means_listing_again():
    """What came, changed and went meanwhile is told as changes, against what was known."""
    with shop(FakeApi(), 4) as api, Watch(kubeconfig(api), "pods") as w:
        w.until("SYNCED")
        eventually(lambda: api.asked("GET", "pods", watch=True))
        api.put("pods", objects.pod("web-0", uid="uid-0", ready=False), quiet=True)  # changed
        with api.lock:
            api.store["pods"].pop(("shop", "web-1"))  # gone
        api.put("pods", objects.pod("web-2", uid="uid-new"), quiet=True)  # another one of its name
        api.put("pods", objects.pod("web-9"), quiet=True)  # new
        api.compact()
        api.cut_watches()
        e = w.until("TROUBLED")
        found = []
        while (e := w.next())["what"] != "SYNCED":
            if e["what"] != "TROUBLED":
                found.append((e["what"], (e.get("object") or e["before"])["name"], e["listed"]))
        assert sorted(found) == [("ADDED", "web-2", True), ("ADDED", "web-9", True), ("DELETED", "web-1", True), ("DELETED", "web-2", True), ("MODIFIED", "web-0", True)], found
        e = w.until("GAP")
        assert e["relisted"], e
        api.put("pods", objects.pod("web-3", uid="uid-3", ready=False))
        w.until("MODIFIED", "web-3")


def test_errors_within_a_watch():
    with shop(FakeApi()) as api, Watch(kubeconfig(api), "pods") as w:
        w.until("SYNCED")
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old resource version"}
        for i, (change, trouble) in enumerate(((None, "gone"), ({"reason": "InternalError", "code": 500}, "server error"), ({"reason": "TooManyRequests", "code": 429}, "busy"))):
            eventually(lambda: len(api.asked("GET", "pods", watch=True)) == i + 1)
            with api.changed:
                api.rv += 1
                mark = (api.rv, "", "RAW", json.dumps({"type": "ERROR", "object": dict(status, **(change or {}))}).encode() + b"\n")
                api.history.append(mark)
                api.changed.notify_all()
            e = w.until("TROUBLED")
            with api.changed:
                api.history.remove(mark)
            assert e["trouble"] == trouble, e
            assert w.until("GAP")["relisted"] == (trouble == "gone")
        assert len(api.asked("GET", "pods", watch=False)) == 2
        for garbage in (b"<html>\n", b'{"type":"RENAMED","object":{}}\n', b'{"type":"ADDED","object":{"metadata":{"name":"\xff\xfe"}}}\n', b'{"type":"ADDED","object":{"metadata":{}}}\n', b"}\n"):
            before = len(api.asked("GET", "pods", watch=True))
            api.raw(garbage)
            e = w.until("TROUBLED")
            assert e["trouble"] == "no API", e
            with api.changed:
                api.history = [h for h in api.history if h[2] != "RAW"]
            eventually(lambda: len(api.asked("GET", "pods", watch=True)) > before)
        w.until("GAP", timeout=20)
        api.put("pods", objects.pod("still-there"))
        w.until("ADDED", "still-there", timeout=20)


def test_throttled_lists_and_watches_wait_as_long_as_asked():
    with shop(FakeApi()) as api:
        api.fault("GET", "/pods", Status(429, "TooManyRequests", retry_after=2), watch=False)
        api.fault("GET", "/pods", Status(503, "ServiceUnavailable", retry_after=1), watch=True)
        with Watch(kubeconfig(api), "pods") as w:
            assert w.until("TROUBLED")["trouble"] == "busy"
            w.until("SYNCED")
            assert w.until("TROUBLED")["trouble"] == "busy"
            w.until("GAP")
        lists, watches = api.asked("GET", "pods", watch=False), api.asked("GET", "pods", watch=True)
        assert 2 <= lists[1]["at"] - lists[0]["at"] < 4 * SLOW and 1 <= watches[1]["at"] - watches[0]["at"] < 3 * SLOW


def test_pauses_grow():
    with shop(FakeApi()) as api:
        api.fault("GET", "/pods", Status(500, "InternalError"), times=5)
        with Watch(kubeconfig(api), "pods") as w:
            w.until("SYNCED", timeout=20)
        at = [r["at"] for r in api.asked("GET", "pods", watch=False)]
        for pause, (low, high) in zip((b - a for a, b in zip(at, at[1:])), ((0.12, 0.4), (0.25, 0.7), (0.5, 1.2), (1.0, 2.2), (2.0, 4.2))):
            assert low <= pause <= high * SLOW + 0.3, at


def test_silence_is_not_trusted():
    with shop(FakeApi()) as api:
        api.bookmark_seconds = 0.2
        with Watch(kubeconfig(api), "pods", "idle=1") as w:
            w.until("SYNCED")
            w.quiet(1.6)  # bookmarks are life enough
            assert len(api.asked("GET", "pods", watch=True)) == 1
            api.bookmark_seconds = None
            e = w.until("TROUBLED")
            assert "not even a bookmark" in e["why"], e
            w.until("GAP")
            asked = api.asked("GET", "pods", watch=True)
            assert int(asked[1]["query"]["resourceVersion"]) == api.rv  # the bookmark's
        api.requests.clear()
        with Watch(kubeconfig(api), "pods", "idle=0.5") as w:  # a kind without bookmarks: taken up anew, and no trouble
            w.until("SYNCED")
            eventually(lambda: len(api.asked("GET", "pods", watch=True)) >= 3)
            w.quiet(0.1)
        api.requests.clear()
        api.watch_seconds = 1.2  # the server's own end of it: no trouble either
        with Watch(kubeconfig(api), "pods") as w:
            w.until("SYNCED")
            eventually(lambda: len(api.asked("GET", "pods", watch=True)) >= 2)
            w.quiet(0.1)
        api.requests.clear()
        api.watch_seconds = 0  # but one that ends at once is
        with Watch(kubeconfig(api), "pods") as w:
            assert "as soon as it began" in w.until("TROUBLED")["why"]
            time.sleep(1)
            assert len(api.asked("GET", "pods", watch=True)) <= 5


def test_objects_of_five_megabytes():
    with shop(FakeApi()) as api:
        big = objects.pod("big", uid="big")
        big["spec"]["x"] = "\\\"{[" * (5 << 18)
        api.put("pods", big)
        with Watch(kubeconfig(api), "pods", "memory=1") as w:
            assert w.until("SYNCED")["objects"] == 4
            assert w.until("MEMORY")["private_kb"] < 15000 * SLOW
            api.put("pods", dict(big, metadata=dict(big["metadata"], labels={"v": "2"})))
            assert w.until("MODIFIED", "big", timeout=20)["object"]["labels"] == {"v": "2"}
            big["metadata"]["labels"] = {"x": "y" * (5 << 20)}
            api.put("pods", big)
            assert "more than" in w.until("TROUBLED", timeout=20)["why"]


def test_a_list_that_breaks_off_is_asked_again():
    with shop(FakeApi(), 30) as api:
        for fault in (Cut(3000), Cut(40000), Close(), Answer(200, "{}"), Answer(200, '{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{}}]}'), Answer(200, b'{"items":[\xff')):
            api.fault("GET", "/pods", fault, watch=False)
            with Watch(kubeconfig(api), "pods", "quiet=1") as w:
                w.until("TROUBLED")
                assert w.until("SYNCED")["objects"] == 30


def test_the_server_goes_and_comes_back():
    api = shop(FakeApi()).start()
    with Watch(kubeconfig(api), "pods") as w:
        w.until("SYNCED")
        eventually(lambda: api.asked("GET", "pods", watch=True))
        api.stop()
        e = w.until("TROUBLED")
        time.sleep(1)
        again = FakeApi(port=api.port)
        again.store, again.rv, again.history = api.store, api.rv, api.history
        with again:
            again.put("pods", objects.pod("new"))
            e = w.until("GAP", timeout=20)
            assert e["gap_s"] >= 1 and not e["relisted"], e
            w.until("ADDED", "new")


def test_other_kinds_and_versions():
    with FakeApi("1.20") as api:
        api.put("deployments", {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 3, "template": {"x": 1}}, "status": {"readyReplicas": 2}})
        api.put("endpointslices", {"metadata": {"name": "web-x", "namespace": "shop"}, "addressType": "IPv4",
                                   "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "hostname": "h", "targetRef": {"kind": "Pod", "name": "web-0", "uid": "u"}}]})
        c = kubeconfig(api)
        with Watch(c, "deployments") as w:
            assert w.next()["object"]["body"] == {"spec": {"replicas": 3}, "status": {"readyReplicas": 2}}
        with Watch(c, "endpointslices", "version=v1beta1") as w:
            assert w.next()["object"]["body"]["endpoints"] == [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": "web-0", "uid": "u"}}]
        with Watch(c, "endpointslices") as w:
            assert w.until("TROUBLED")["trouble"] == "not found"


# --- figures ---

def test_a_hundred_thousand_pods_are_held_small():
    count = 20000 if os.environ.get("SAN") else 100000
    with FakeApi(bulk=count) as api, Watch(kubeconfig(api), "pods", "quiet=1", "memory=1") as w:
        assert w.until("SYNCED", timeout=200)["objects"] == count
        m = w.until("MEMORY", timeout=20)
        print(f"# {count} pods listed and held: {m['private_kb'] / 1024:.1f} MiB private, {m['user_s'] + m['system_s']:.1f} s of CPU, {m['wall_s']:.1f} s")
        if not os.environ.get("SAN"):
            assert m["private_kb"] < 50000, m
        assert len(api.asked("GET", "pods", watch=False)) == count // 500
        began = len(w.all)
        # All over again: nothing changed, so nothing is told, and no memory is lost.
        eventually(lambda: api.asked("GET", "pods", watch=True))
        api.compact()
        api.cut_watches()
        w.until("SYNCED", timeout=200)
        again = w.until("MEMORY", timeout=20)
        assert not [e for e in w.all[began:] if e["what"] in ("ADDED", "MODIFIED", "DELETED")]
        if not os.environ.get("SAN"):
            assert again["private_kb"] < 50000, again


def test_a_deletion_takes_milliseconds():
    with FakeApi() as api:
        for i in range(100):
            api.put("pods", objects.pod(f"p-{i}"))
        a = probe(kubeconfig(api), "latency", "shop", "p-", 100)
        print(f"# a deletion on a warm connection: median {a['median_ms']:.2f} ms, worst {a['worst_ms']:.1f} ms")
        assert a["median_ms"] < 10 * SLOW, a
        assert len({r["connection"] for r in api.asked("DELETE")}) == 1, "one connection for all"


tap.main()
