# SPDX-License-Identifier: Apache-2.0
"""Servers that do everything wrong, on loopback, in threads of this process: what a connection gets depends on the path asked for."""
import gzip
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

MOST = 64 << 20  # "endless" ends somewhere
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def reset(c):
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(c):
    """Until the other side has had enough; what it sends is read and forgotten."""
    c.settimeout(20)
    while c.recv(65536):
        pass


def again_and_again(c, piece, pause=0.0):
    for _ in range(1000 if pause else MOST // len(piece)):
        c.sendall(piece)
        if pause:
            time.sleep(pause)


def say(*pieces, then=None):
    def act(c):
        for p in pieces:
            c.sendall(p)
        if then:
            then(c)
    return act


BOMB = gzip.compress(gzip.compress(b"\0" * (64 << 20), 1))
HEAD, CHUNKED = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# What the path gets after its request was read; then the connection is closed (unless the server keeps it: "ok").
PATHS = {
    "garbage": say(bytes(range(256)) * 20),
    "not-http": say(b"220 mail.example ESMTP ready\r\n\r\n"),
    "endless-headers": say(HEAD, then=lambda c: again_and_again(c, b"X-Filler: 0123456789\r\n" * 200)),
    "endless-header-line": say(HEAD, b"X-Long: ", then=lambda c: again_and_again(c, b"x" * 65536)),
    "huge-header": say(HEAD, b"X-Long: " + b"x" * 200_000 + b"\r\nContent-Length: 2\r\n\r\nok"),
    "endless-body": say(HEAD, b"\r\n", then=lambda c: again_and_again(c, b"b" * 65536)),
    "endless-chunks": say(CHUNKED, then=lambda c: again_and_again(c, b"10000\r\n" + b"c" * 65536 + b"\r\n")),
    "half-chunk-close": say(CHUNKED, b"10\r\nabc"),
    "half-chunk-silence": say(CHUNKED, b"10\r\nabc", then=silence),
    "bad-chunk": say(CHUNKED, b"zz\r\nabc\r\n", then=silence),
    "huge-chunk": say(CHUNKED, b"ffffffffffffffffff\r\nabc\r\n", then=silence),
    "length-short": say(HEAD, b"Content-Length: 1\r\n\r\nok and more than was said"),
    "length-long": say(HEAD, b"Content-Length: 100\r\n\r\nok"),
    "length-silence": say(HEAD, b"Content-Length: 100\r\n\r\nok", then=silence),
    "length-negative": say(HEAD, b"Content-Length: -5\r\n\r\nok"),
    "length-absurd": say(HEAD, b"Content-Length: 99999999999999999999999\r\n\r\nok"),
    "redirect-loop": say(b"HTTP/1.1 302 Found\r\nLocation: /redirect-loop\r\nContent-Length: 0\r\n\r\n"),
    "storm-100": lambda c: again_and_again(c, b"HTTP/1.1 100 Continue\r\n\r\n" * 200),
    "slow-102": lambda c: again_and_again(c, b"HTTP/1.1 102 Processing\r\n\r\n", 0.02),
    "gzip-bomb": say(HEAD, b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
    "nul-header": say(HEAD, b"X-A: b\0c\r\nContent-Length: 2\r\n\r\nok"),
    "no-colon": say(HEAD, b"this is no header\r\nContent-Length: 2\r\n\r\nok"),
    "status-000": say(b"HTTP/1.1 000 Nothing\r\nContent-Length: 2\r\n\r\nok"),
    "status-999": say(b"HTTP/1.1 999 Much\r\nContent-Length: 2\r\n\r\nok"),
    "status-abc": say(b"HTTP/1.1 abc What\r\nContent-Length: 2\r\n\r\nok"),
    "version-9": say(b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "http2-only": say(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d\0\x04\0\xa0\0\0\0\x02\0\0\0\0"),
    "slow-loris": say(HEAD, b"Content-Length: 1000\r\n\r\n", then=lambda c: again_and_again(c, b"s", 0.02)),
    "slow-head": lambda c: again_and_again(c, b"H", 0.02),
    "silence": silence,
    "close": lambda c: None,
    "reset": reset,
    "reset-in-body": say(HEAD, b"Content-Length: 1000\r\n\r\nabc", then=lambda c: (time.sleep(0.02), reset(c))),
    "json-garbage": say(HEAD, b"Content-Length: 9\r\n\r\n{\"id\":\xff\xfe\x00"),
    "json-deep": say(HEAD, b"Content-Length: 500000\r\n\r\n" + b"[" * 500_000),
    "json-absent": say(HEAD, b"Content-Length: 4\r\n\r\n[{}]"),
}


class Server:
    """Counts what it was sent: "METHOD path" -> times."""

    def __init__(self, tls=None, early=b"", port=0):
        self.tls, self.early, self.seen, self.lock = tls, early, {}, threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            c, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        try:
            if self.tls == "close":
                c.recv(65536)
                return
            if self.tls == "garbage":
                c.sendall(b"this is no handshake\n" * 10)
                silence(c)
                return
            if self.tls:
                c = self.tls.wrap_socket(c, server_side=True)
            if self.early:
                c.sendall(self.early)
            self.talk(c)
        except (OSError, ssl.SSLError):
            pass
        finally:
            c.close()

    def request(self, c):
        data = b""
        while b"\r\n\r\n" not in data:
            got = c.recv(65536)
            if not got:
                return None
            data += got
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        while length and len(body) < int(length.group(1)):
            body += c.recv(65536)
        method, path = head.split()[:2]
        with self.lock:
            key = (method + b" " + path).decode()
            self.seen[key] = self.seen.get(key, 0) + 1
        return path.decode()

    def talk(self, c):
        served = 0
        while (path := self.request(c)) is not None:
            name = path.strip("/").partition("/")[0]
            if name in PATHS:
                PATHS[name](c)
                return
            if name == "stale" and served:  # read, and closed just then: what a keep-alive limit or a restart looks like
                return
            c.sendall(OK)
            served += 1


def certificates(folder):
    """A CA of our own, and what servers may show: a right certificate, an expired one, one for another name, a self-signed one."""
    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=chaosd test CA", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "self-signed.key", "-out", "self-signed.pem", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    (folder / "ca.conf").write_text("[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n"
                                    "unique_subject=no\nrand_serial=yes\n[p]\ncommonName=supplied\n")
    (folder / "index").touch()
    for name, san, dates in (("right", "IP:127.0.0.1", ["-days", "2"]), ("other-name", "DNS:elsewhere.example", ["-days", "2"]),
                             ("expired", "IP:127.0.0.1", ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"])):
        openssl("req", "-new", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", "-addext", f"subjectAltName={san}")
        openssl("ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext", *dates)
    return folder / "ca.pem"


def tls(folder, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


if __name__ == "__main__":  # in another network namespace: badserver.py PORT, until its standard input ends
    print(Server(port=int(sys.argv[1])).port, flush=True)
    sys.stdin.read()
