# SPDX-License-Identifier: Apache-2.0
"""Commands in a guest from outside it: remote.py serve ADDRESS PORT in there, remote.py call ADDRESS PORT COMMAND... here.

Standard input, output, error and the exit status are the command's own; a caller that dies ends it. Nobody is asked who they are: for a network
of the lab's own. One server with one connection a command, because an emulated machine takes long to start anything."""
import json
import os
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading

OUT, ERR, END = 1, 2, 0


def receive(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


class Command(socketserver.BaseRequestHandler):
    def handle(self):
        words = json.loads(receive(self.request, struct.unpack("!I", receive(self.request, 4))[0]))
        self.lock = threading.Lock()
        try:
            # What follows the words on the connection is the command's standard input.
            p = subprocess.Popen(words, stdin=self.request.fileno(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        except OSError as e:
            self.send(ERR, f"{words[0]}: {e.strerror}\n".encode())
            return self.send(END, bytes([127]))
        pumps = [threading.Thread(target=self.pump, args=(p, kind, f)) for kind, f in ((OUT, p.stdout), (ERR, p.stderr))]
        for t in pumps:
            t.start()
        for t in pumps:
            t.join()
        status = p.wait()
        self.send(END, bytes([status if status >= 0 else 128 - status]))

    def pump(self, p, kind, f):
        while data := os.read(f.fileno(), 65536):
            try:
                self.send(kind, data)
            except OSError:  # the caller is gone
                os.killpg(p.pid, signal.SIGKILL)
                return

    def send(self, kind, data):
        with self.lock:
            self.request.sendall(struct.pack("!BI", kind, len(data)) + data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


def give_input(sock):
    while data := os.read(0, 65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def call(address, words):
    sock = socket.create_connection(address)
    data = json.dumps(words).encode()
    sock.sendall(struct.pack("!I", len(data)) + data)
    threading.Thread(target=give_input, args=(sock,), daemon=True).start()
    while True:
        kind, n = struct.unpack("!BI", receive(sock, 5))
        data = receive(sock, n)
        if kind == END:
            os._exit(data[0])  # not held up by a standard input that does not end
        while data:
            data = data[os.write(kind, data):]


where = sys.argv[2], int(sys.argv[3])
try:
    Server(where, Command).serve_forever() if sys.argv[1] == "serve" else call(where, sys.argv[4:])
except (OSError, EOFError) as e:
    sys.exit(f"remote: {where[0]}: {e or 'the connection ended without an answer'}")
