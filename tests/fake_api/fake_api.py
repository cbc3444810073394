# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API server for what a real one won't do on demand. It keeps objects, versions and a history of changes, serves lists in pages and
watches with bookmarks, and misbehaves as told: see Fault. It records what it was asked. In a test:

    api = FakeApi(release="1.28").start()
    api.put("pods", objects.pod("web-1"))
    api.fault("GET", "/pods", Status(410, "Expired"), times=1)
    api.define(**objects.NODE_FAULTS)  # a custom resource
    ... api.asked("GET", "/pods") ...

By hand: python3 tests/fake_api/fake_api.py --pods 100000 --port 8001"""
import argparse
import base64
import copy
import http.server
import json
import re
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
import uuid

import objects

PLURALS = {"pods": ("", "Pod"), "nodes": ("", "Node"), "namespaces": ("", "Namespace"), "events": ("", "Event"), "configmaps": ("", "ConfigMap"),
           "deployments": ("apps", "Deployment"), "statefulsets": ("apps", "StatefulSet"), "daemonsets": ("apps", "DaemonSet"), "replicasets": ("apps", "ReplicaSet"),
           "endpointslices": ("discovery.k8s.io", "EndpointSlice"), "leases": ("coordination.k8s.io", "Lease"), "poddisruptionbudgets": ("policy", "PodDisruptionBudget")}
PATH = re.compile(r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))(?:/namespaces/(?P<ns>[^/]+))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?$")


class Fault:
    """What is done instead of an answer. act(handler) -> True when the request is dealt with, False to answer it after all."""

    def act(self, handler):
        raise NotImplementedError


class Status(Fault):
    def __init__(self, code, reason="", message="as the test wants it", retry_after=None, **more):
        self.code, self.reason, self.message, self.retry_after, self.more = code, reason, message, retry_after, more

    def act(self, h):
        h.status(self.code, self.reason, self.message, self.retry_after, **self.more)
        return True


class Answer(Fault):
    """Any bytes as a body."""

    def __init__(self, code, body, content_type="application/json"):
        self.code, self.body, self.content_type = code, body if isinstance(body, bytes) else body.encode(), content_type

    def act(self, h):
        h.answer(self.code, self.body, self.content_type)
        return True


class Stall(Fault):
    """Silent for so long, then as if nothing had been; by default for ever."""

    def __init__(self, seconds=3600):
        self.seconds = seconds

    def act(self, h):
        h.api.stopping.wait(self.seconds)
        return h.api.stopping.is_set()


class Close(Fault):
    """The connection goes without an answer, before or after the request was carried out."""

    def __init__(self, carry_out=False):
        self.carry_out = carry_out

    def act(self, h):
        if self.carry_out:
            h.mute = True
            return False
        h.reset()
        return True


class Cut(Fault):
    """So many bytes of the answer's body, then the connection goes (or, silent, stays)."""

    def __init__(self, after, silent=False):
        self.after, self.silent = after, silent

    def act(self, h):
        h.left, h.silent = self.after, self.silent
        return False


class Gone(Exception):
    pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def setup(self):
        self.api, self.mute, self.left, self.silent = self.server.api, False, None, False
        if self.api.tls:
            try:
                self.request.do_handshake()
            except OSError as why:
                self.api.handshakes.append(str(why))
                raise Gone from None
        super().setup()
        self.api.connections += 1
        self.number = self.api.connections
        self.api.open.add(self.connection)

    def finish(self):
        self.api.open.discard(self.connection)
        super().finish()

    def log_message(self, *a):
        pass

    # --- answering ---
    def reset(self):
        sock = self.connection
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        raise Gone

    def write(self, data):
        """Counts down to a cut."""
        if self.mute:
            self.reset()
        if self.left is not None and len(data) >= self.left:
            self.wfile.write(data[:self.left])
            self.wfile.flush()
            if self.silent:
                self.api.stopping.wait()
            self.close_connection = True
            raise Gone
        self.wfile.write(data)
        if self.left is not None:
            self.left -= len(data)

    def head(self, code, content_type, length=None, headers=()):
        if self.mute:
            self.reset()
        self.send_response(code)
        self.send_header("Content-Type", self.api.content_type or content_type)
        for name, value in headers:
            self.send_header(name, value)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.flush()

    def answer(self, code, body, content_type="application/json", headers=()):
        self.head(code, content_type, len(body), headers)
        self.write(body)
        self.wfile.flush()

    def json(self, code, value):
        self.answer(code, json.dumps(value, ensure_ascii=False).encode())

    def status(self, code, reason="", message="", retry_after=None, **more):
        headers = [("Retry-After", str(retry_after))] if retry_after is not None else []
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code, **more}
        self.answer(code, json.dumps(body).encode(), headers=headers)

    def chunk(self, data):
        """A chunk of a stream; with a cut under way its length promises all of it, so that the stream ends in the middle."""
        self.wfile.write(b"%x\r\n" % len(data))
        self.write(data)
        self.wfile.write(b"\r\n")
        self.wfile.flush()

    # --- requests ---
    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (Gone, OSError, ssl.SSLError):
            self.close_connection = True

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        self.mute, self.left = False, None
        seen = {"method": self.command, "path": url.path, "query": query, "headers": dict(self.headers), "at": time.monotonic(), "connection": self.number,
                "body": json.loads(body) if body else None, "peer": self.connection.getpeercert() if self.api.tls else None,
                "sni": getattr(self.connection, "asked_name", None)}
        with self.api.lock:
            self.api.requests.append(seen)
            self.epoch = self.api.cut_epoch  # a cut from here on is this request's too
            fault = self.api.take_fault(self.command, url.path, query)
        if fault and fault.act(self):
            return
        user = self.api.user(seen)
        if not user:
            self.status(401, "Unauthorized", "Unauthorized")
        else:
            self.route(url.path, query, seen["body"], user)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def route(self, path, query, body, user):
        api = self.api
        fixed = {"/version": objects.version, "/api": objects.legacy, "/apis": api.group_list, "/api/v1": objects.core_resources}
        fixed.update({f"/apis/{c.group}/{c.version}": c.resources for c in api.custom.values()})
        if path in fixed:
            self.json(200, fixed[path](api.release))
            return
        m = PATH.match(path)
        if not m:
            self.answer(404, b"404 page not found\n", "text/plain; charset=utf-8")
            return
        where = m.groupdict()
        plural, group = where["plural"], where["group"] or ""
        if plural == "selfsubjectaccessreviews":
            self.review(body, user)
            return
        served = ["v1"] if not group else objects.GROUPS[api.release].get(group, []) + [c.version for c in api.custom.values() if c.group == group]
        if group and not served:  # of a group that nobody registered it knows nothing, and says so as any web server would
            self.answer(404, b"404 page not found\n", "text/plain; charset=utf-8")
            return
        if api.kind_of(plural) is None or api.kind_of(plural)[0] != group or (where["version"] or "v1") not in served:
            self.status(404, "NotFound", "the server could not find the requested resource")
            return
        verb = {"GET": "watch" if query.get("watch") == "true" else "get" if where["name"] else "list", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[self.command]
        if api.forbids(verb, plural, where["sub"], where["ns"]):
            what = plural + ("/" + where["sub"] if where["sub"] else "")
            scope = f'in the namespace "{where["ns"]}"' if where["ns"] else "at the cluster scope"
            self.status(403, "Forbidden", f'{plural} "{where["name"]}" is forbidden: User "{user}" cannot {verb} resource "{what}" in API group "{group}" {scope}')
            return
        getattr(self, "do_" + verb)(where, query, body)

    def review(self, body, user):
        a = body["spec"]["resourceAttributes"]
        allowed = not self.api.forbids(a["verb"], a["resource"], a.get("subresource"), a.get("namespace"))
        self.json(201, dict(body, status={"allowed": allowed, "reason": f"for {user}"}))

    def missing(self, where):
        self.status(404, "NotFound", f'{where["plural"]} "{where["name"]}" not found')

    def do_get(self, where, query, body):
        o = self.api.get(where["plural"], where["name"], where["ns"] or "")
        if o is None:
            self.missing(where)
        else:
            self.json(200, o)

    def do_list(self, where, query, body):
        api, plural = self.api, where["plural"]
        limit, start, rv = int(query.get("limit") or 0), 0, api.rv
        if query.get("continue"):
            start, rv = map(int, base64.b64decode(query["continue"]).split(b"/"))
            if rv < api.compacted:
                self.status(410, "Expired", "The provided continue parameter is too old to display a consistent list result.")
                return
        if plural == "pods" and api.bulk:
            items, more = api.bulk_page(start, limit)
        else:
            every = [o for o in api.objects(plural) if selected(o, where["ns"], query)]
            some = every[start:start + limit] if limit else every[start:]
            items, more = [json.dumps(o, ensure_ascii=False) for o in some], start + len(some) < len(every)
        metadata = {"resourceVersion": str(rv)}
        if more:
            metadata["continue"] = base64.b64encode(b"%d/%d" % (start + len(items), rv)).decode()
        kind = api.kind_of(plural)[1] + "List"
        text = '{"kind":"%s","apiVersion":"v1","metadata":%s,"items":[%s]}\n' % (kind, json.dumps(metadata), ",".join(items))
        self.answer(200, text.encode())

    def do_watch(self, where, query, body):
        api, since = self.api, int(query.get("resourceVersion") or 0)
        if since < api.compacted:
            self.status(410, "Expired", f"too old resource version: {since} ({api.compacted})")
            return
        ends = time.monotonic() + min(float(query.get("timeoutSeconds", 3600)), api.watch_seconds)
        self.head(200, "application/json")
        beat = time.monotonic() + (api.bookmark_seconds or 0)
        while not api.stopping.is_set() and time.monotonic() < ends:
            with api.changed:
                news = [e for e in api.history if e[0] > since]
                if not news and self.epoch == api.cut_epoch:
                    api.changed.wait(min(beat, ends) - time.monotonic() if api.bookmark_seconds else ends - time.monotonic())
                    news = [e for e in api.history if e[0] > since]
            for rv, plural, kind, o in news:
                since = rv
                if kind == "RAW":
                    self.chunk(o)
                elif plural == where["plural"] and selected(o, where["ns"], query):
                    self.chunk(json.dumps({"type": kind, "object": o}, ensure_ascii=False).encode() + b"\n")
            if self.epoch != api.cut_epoch:
                self.close_connection = True
                raise Gone
            if api.bookmark_seconds and time.monotonic() >= beat and query.get("allowWatchBookmarks") == "true":
                beat = time.monotonic() + api.bookmark_seconds
                mark = {"kind": api.kind_of(where["plural"])[1], "apiVersion": "v1", "metadata": {"resourceVersion": str(api.rv), "creationTimestamp": None}}
                self.chunk(json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n")
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def do_create(self, where, query, body):
        if where["sub"] == "eviction":
            self.evict(where, body)
            return
        if self.api.get(where["plural"], body["metadata"]["name"], where["ns"] or "") is not None:
            self.status(409, "AlreadyExists", f'{where["plural"]} "{body["metadata"]["name"]}" already exists')
            return
        if where["plural"] in self.api.custom and not self.api.custom[where["plural"]].takes(self, where, body):
            return
        body["metadata"].setdefault("namespace", where["ns"])
        self.json(201, self.api.put(where["plural"], body))

    def evict(self, where, body):
        served = "policy/v1beta1" if self.api.release == "1.20" else "policy/v1"
        if body["apiVersion"] != served:
            self.status(400, "BadRequest", f'no kind "Eviction" is registered for version "{body["apiVersion"]}"')
        elif where["name"] in self.api.budget:
            self.status(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.", retry_after=10,
                        details={"causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods and has 2 currently"}]})
        else:
            self.do_delete(where, {}, body.get("deleteOptions") or {}, 201)

    def do_delete(self, where, query, body, code=200):
        o = self.api.get(where["plural"], where["name"], where["ns"] or "")
        wanted = ((body or {}).get("preconditions") or {}).get("uid")
        if o is None:
            self.missing(where)
        elif wanted and wanted != o["metadata"]["uid"]:
            self.status(409, "Conflict", f'Precondition failed: UID in precondition: {wanted}, UID in object meta: {o["metadata"]["uid"]}')
        elif where["plural"] in self.api.custom:  # at once: nothing has to end first
            self.api.delete(where["plural"], where["name"], where["ns"] or "")
            self.json(code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": {"name": where["name"], "uid": o["metadata"]["uid"]}})
        else:
            o = copy.deepcopy(o)
            o["metadata"].update(deletionTimestamp="2026-11-22T10:00:30Z", deletionGracePeriodSeconds=(body or {}).get("gracePeriodSeconds", 30))
            o = self.api.put(where["plural"], o)
            self.api.delete(where["plural"], where["name"], where["ns"] or "")
            self.json(code, o)

    def do_patch(self, where, query, body):
        o = self.api.get(where["plural"], where["name"], where["ns"] or "")
        if o is None:
            self.missing(where)
            return
        o = copy.deepcopy(o)
        metadata = body.get("metadata", {}) if isinstance(body, dict) else {}
        if self.headers["Content-Type"] == "application/json-patch+json":
            try:
                json_patch(o, body)
            except (KeyError, ValueError):
                self.status(422, "Invalid", "the server rejected our request due to an error in our request")
                return
        elif where["sub"] != "status" and metadata.get("uid", o["metadata"]["uid"]) != o["metadata"]["uid"]:  # a status is written whoever's it is
            self.status(422, "Invalid", f'{o["kind"]} "{where["name"]}" is invalid: metadata.uid: Invalid value: "{metadata["uid"]}": field is immutable')
            return
        elif metadata.get("resourceVersion", o["metadata"]["resourceVersion"]) != o["metadata"]["resourceVersion"]:
            self.status(409, "Conflict", "the object has been modified; please apply your changes to the latest version and try again")
            return
        elif where["plural"] in self.api.custom:
            bad = self.api.custom[where["plural"]].patch(o, body, where["sub"])
            if bad:
                self.status(422, "Invalid", f'{o["kind"]} "{where["name"]}" is invalid: status.{bad}: Invalid value: "null": status.{bad} in body must be of type string: "null"')
                return
        else:
            merge(o, body)
        for key in ("labels", "annotations"):  # what is empty is not there
            if not o["metadata"].get(key, True):
                del o["metadata"][key]
        with self.api.lock:  # as a real one: what changed since it was read is not written over
            now = self.api.get(where["plural"], where["name"], where["ns"] or "")
            if now is None or now["metadata"]["resourceVersion"] != o["metadata"]["resourceVersion"]:
                self.do_patch(where, query, body)
                return
            self.json(200, now if o == now else self.api.put(where["plural"], o))  # what changes nothing makes no new version


class Custom:
    """A kind that a CustomResourceDefinition adds, with the subresource status: each of the two ways to write leaves the other's part alone. drops: fields of
    spec that its schema does not know; refuses: of status, beside those that are empty: a text of "" is none to the validation of Kubernetes 1.20."""

    def __init__(self, group, version, plural, kind, required=()):
        self.group, self.version, self.plural, self.name, self.required = group, version, plural, kind, required
        self.drops, self.refuses = (), ()

    def resources(self, release):
        verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        some = [("", verbs), ("/status", ["get", "patch", "update"])]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{self.group}/{self.version}",
                "resources": [{"name": self.plural + sub, "singularName": self.name.lower(), "namespaced": True, "kind": self.name, "verbs": v} for sub, v in some]}

    def takes(self, handler, where, body):
        """False: it was refused, as a schema's required fields do."""
        missing = [key for key in self.required if key not in (body.get("spec") or {})]
        if missing or body.get("apiVersion") != f"{self.group}/{self.version}":
            handler.status(422, "Invalid", f'{self.name}.{self.group} "{body["metadata"]["name"]}" is invalid: spec.{(missing or ["apiVersion"])[0]}: Required value')
            return False
        body.pop("status", None)
        for key in self.drops:
            body["spec"].pop(key, None)
        body["metadata"].update(generation=1, creationTimestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        return True

    def patch(self, o, body, sub):
        if sub == "status":
            merge(o, {"status": body.get("status") or {}})
            return next((k for k, v in o["status"].items() if v == "" or k in self.refuses), None)
        spec = copy.deepcopy(o.get("spec"))
        merge(o, {k: v for k, v in body.items() if k != "status"})
        if o.get("spec") != spec:
            o["metadata"]["generation"] = o["metadata"].get("generation", 1) + 1
        return None


def json_patch(target, steps):
    """RFC 6902: test, add, replace, remove, of members of objects."""
    for step in steps:
        *path, last = [p.replace("~1", "/").replace("~0", "~") for p in step["path"].strip("/").split("/")]
        at = target
        for key in path:
            at = at[key]
        if step["op"] == "test" and at.get(last) != step["value"]:
            raise ValueError(step)
        if step["op"] in ("replace", "remove"):
            del at[last]
        if step["op"] in ("replace", "add"):
            at[last] = step["value"]


def merge(target, patch):
    for key, value in patch.items():
        if isinstance(value, dict):
            merge(target.setdefault(key, {}), value)
        elif value is None:
            target.pop(key, None)
        else:
            target[key] = value


def selected(o, namespace, query):
    m = o["metadata"]
    if namespace and m.get("namespace") != namespace:
        return False
    labels = m.get("labels") or {}
    for term in filter(None, (query.get("labelSelector") or "").split(",")):
        if "=" not in term:
            if term not in labels:
                return False
            continue
        key, _, value = term.partition("!=" if "!=" in term else "=")
        if (labels.get(key) == value.lstrip("=")) == ("!=" in term):
            return False
    fields = {"metadata.name": m["name"], "metadata.namespace": m.get("namespace"), "spec.nodeName": (o.get("spec") or {}).get("nodeName"), "status.phase": (o.get("status") or {}).get("phase")}
    for term in filter(None, (query.get("fieldSelector") or "").split(",")):
        key, _, value = term.partition("!=" if "!=" in term else "=")
        if (fields[key] == value.lstrip("=")) == ("!=" in term):
            return False
    return True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (Gone, OSError)):
            super().handle_error(request, client_address)


class FakeApi:
    def __init__(self, release="1.28", bulk=0, port=0, tls=None, tokens=None):
        """tls: (certificate, key, authority of clients or None). tokens: {token: user}; None: everybody is let in."""
        self.release, self.bulk, self.tls, self.tokens = release, bulk, tls, tokens
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.stopping = threading.Event()
        self.store, self.history, self.requests, self.faults, self.handshakes = {}, [], [], [], []
        self.rv, self.compacted, self.cut_epoch, self.connections = 2000 + bulk, 0, 0, 0
        self.open = set()
        self.forbidden, self.budget, self.content_type = set(), set(), None
        self.custom = {}
        self.bookmark_seconds, self.watch_seconds = 60, 3600
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.api = self
        self.port = self.server.server_address[1]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, tls[:2]))
            if tls[2]:
                context.load_verify_locations(str(tls[2]))
                context.verify_mode = ssl.CERT_OPTIONAL
            context.sni_callback = lambda sock, name, _: setattr(sock, "asked_name", name)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self.stopping.set()
        with self.changed:
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()
        for sock in list(self.open):  # its threads would go on answering
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    __enter__ = start

    def __exit__(self, *a):
        self.stop()

    # --- misbehaviour ---
    def fault(self, method, path, fault, times=1, watch=None):
        """The next requests (times=None: all) whose path holds this. watch: only those that are one, or are none."""
        with self.lock:
            self.faults.append([method, path, fault, times, watch])

    def take_fault(self, method, path, query):
        for f in self.faults:
            if f[0] == method and f[1] in path and (f[3] is None or f[3] > 0) and f[4] in (None, query.get("watch") == "true"):
                f[3] = None if f[3] is None else f[3] - 1
                return f[2]
        return None

    def cut_watches(self):
        """All of them end without a last chunk."""
        with self.changed:
            self.cut_epoch += 1
            self.changed.notify_all()

    def raw(self, data):
        """Bytes in all watches."""
        with self.changed:
            self.rv += 1
            self.history.append((self.rv, "", "RAW", data))
            self.changed.notify_all()

    def compact(self):
        """What was before is known no longer: watches and continue tokens of older versions get a 410."""
        with self.changed:
            self.rv += 1
            self.compacted, self.history = self.rv, []

    def forbids(self, verb, plural, sub, namespace):
        what = plural + ("/" + sub if sub else "")
        return (verb, what) in self.forbidden or (verb, what, namespace) in self.forbidden

    def user(self, seen):
        if seen["peer"]:
            return dict(x[0] for x in seen["peer"]["subject"])["commonName"]
        if self.tokens is None:
            return "anybody"
        scheme, _, secret = (seen["headers"].get("Authorization") or "").partition(" ")
        return self.tokens.get(secret if scheme == "Bearer" else f"{scheme} {secret}")

    # --- kinds of its own ---
    def define(self, group, version, plural, kind, required=()):
        """As a CustomResourceDefinition does; until then the kind is not served."""
        with self.lock:
            self.custom[plural] = Custom(group, version, plural, kind, required)

    def kind_of(self, plural):
        """(group, kind, version); None: it is not served."""
        c = self.custom.get(plural)
        return (c.group, c.name, c.version) if c else (*PLURALS[plural], "v1") if plural in PLURALS else None

    def group_list(self, release):
        return objects.group_list(release, [(c.group, c.version) for c in self.custom.values()])

    # --- objects ---
    def put(self, plural, o, quiet=False):
        with self.changed:
            m = o["metadata"]
            key = (m.get("namespace") or "", m["name"])
            kept = self.store.setdefault(plural, {})
            self.rv += 1
            group, name, version = self.kind_of(plural)
            o = dict(o, kind=name, apiVersion=f"{group}/{version}".lstrip("/"), metadata=dict(m, resourceVersion=str(self.rv), uid=m.get("uid") or str(uuid.uuid4())))
            kind = "MODIFIED" if key in kept else "ADDED"
            kept[key] = o
            if not quiet:
                self.history.append((self.rv, plural, kind, o))
                self.changed.notify_all()
            return o

    def delete(self, plural, name, namespace=""):
        with self.changed:
            o = self.store[plural].pop((namespace, name))
            self.rv += 1
            o = dict(o, metadata=dict(o["metadata"], resourceVersion=str(self.rv)))
            self.history.append((self.rv, plural, "DELETED", o))
            self.changed.notify_all()

    def patch_status(self, plural, name, namespace, status):
        """As the owner of an object's status does by a merge patch of the subresource; None: there is no such object."""
        with self.changed:
            o = copy.deepcopy(self.get(plural, name, namespace))
            if o is None:
                return None
            merge(o, {"status": status})
            return self.put(plural, o)

    def get(self, plural, name, namespace=""):
        with self.lock:
            return self.store.get(plural, {}).get((namespace, name))

    def objects(self, plural):
        with self.lock:
            kept = self.store.get(plural, {})
            return [kept[k] for k in sorted(kept)]

    def bulk_page(self, start, limit):
        end = min(start + (limit or self.bulk), self.bulk)
        return [objects.pod_text(i) for i in range(start, end)], end < self.bulk

    # --- what it was asked ---
    def asked(self, method="GET", path="", watch=None):
        with self.lock:
            return [r for r in self.requests if r["method"] == method and path in r["path"] and watch in (None, r["query"].get("watch") == "true")]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--pods", type=int, default=100)
    p.add_argument("--port", type=int, default=8001)
    p.add_argument("--release", default="1.28", choices=sorted(objects.GROUPS))
    a = p.parse_args()
    api = FakeApi(a.release, bulk=a.pods, port=a.port).start()
    print(f"{api.url}: {a.pods} pods as Kubernetes {a.release}; end with Ctrl-C", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        api.stop()


if __name__ == "__main__":
    main()
