# SPDX-License-Identifier: Apache-2.0
"""How long packets wait where they leave: queue_time.py ADDRESS PORT COUNT PAUSE   in the sender's network; the far end need not answer.

UDP packets, one at a time, PAUSE seconds apart. The kernel writes down itself when each was handed to the device's queue and when the device's driver
got it (SO_TIMESTAMPING: SCHED, SOFTWARE), both by one clock: no program has to wake up for it, which an emulated or busy machine does late.
Prints a JSON list, ms for each packet; null for one that never left within two seconds."""
import json
import select
import socket
import struct
import sys
import time

SO_TIMESTAMPING = 37  # and linux/net_tstamp.h
TX_SOFTWARE, SOFTWARE, OPT_ID, TX_SCHED, OPT_TSONLY = 1 << 1, 1 << 4, 1 << 7, 1 << 8, 1 << 11
SENT, SCHEDULED = 0, 1  # linux/errqueue.h: SCM_TSTAMP_SND, SCM_TSTAMP_SCHED
WAIT_S = 2


def stamp(messages):
    """What one message of the error queue says: (which packet, which stamp, ns)."""
    ns = kind = number = None
    for level, _, data in messages:
        if level == socket.SOL_SOCKET:
            s, n = struct.unpack_from("qq", data)
            ns = s * 1_000_000_000 + n
        elif level == socket.SOL_IP:
            _, _, _, _, _, kind, number = struct.unpack_from("IBBBBII", data)  # struct sock_extended_err
    return number, kind, ns


def one(sock, to, number):
    seen = {}
    sock.sendto(b"queue_time", to)  # not connected: that nobody listens there is no matter then
    poll, end = select.poll(), time.monotonic() + WAIT_S
    poll.register(sock, 0)  # an error is told in any case
    while SENT not in seen or SCHEDULED not in seen:
        left = end - time.monotonic()
        if left <= 0:
            return None
        if not poll.poll(left * 1000):
            continue
        try:
            of, kind, ns = stamp(sock.recvmsg(100, 500, socket.MSG_ERRQUEUE)[1])
        except BlockingIOError:
            continue
        if of == number and kind is not None:
            # The first hand-over: one that is redirected on its way is handed over again.
            seen[kind] = ns if kind == SENT else seen.get(kind, ns)
    return (seen[SENT] - seen[SCHEDULED]) / 1e6


def main():
    address, port, count, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SOFTWARE | TX_SCHED | SOFTWARE | OPT_ID | OPT_TSONLY)
    took = []
    for number in range(count):
        took.append(one(sock, (address, port), number))
        time.sleep(pause)
    print(json.dumps(took))


main()
