# SPDX-License-Identifier: Apache-2.0
"""How long packets wait where they leave: queue_time.py ADDRESS PORT COUNT PAUSE [DEVICE]   in the sender's network; the far end need not answer.

UDP packets, one at a time, PAUSE seconds apart. The kernel writes down itself when each was handed to the device's queue (SO_TIMESTAMPING: SCHED) and
when it went out of the device (eth0), where a capture sees it, both by one clock: no program has to wake up for it, which an emulated or busy machine
does late. (The stamp of the driver would be nearer, but a packet that is redirected on its way is a copy that no socket is told of.)
Prints a JSON list, ms for each packet; null for one that never left within two seconds."""
import json
import select
import socket
import struct
import sys
import time

SO_TIMESTAMPNS, SO_TIMESTAMPING = 35, 37  # and linux/net_tstamp.h
SOFTWARE, OPT_ID, TX_SCHED, OPT_TSONLY = 1 << 4, 1 << 7, 1 << 8, 1 << 11
ETH_P_ALL, SCM_TSTAMP_SCHED = 3, 1  # linux/if_ether.h, linux/errqueue.h
WAIT_S = 2


def nanoseconds(data):
    s, n = struct.unpack_from("qq", data)
    return s * 1_000_000_000 + n


def handed_over(sock, number):
    """The next message of the error queue: ns, if it is this packet's first hand-over."""
    ns = kind = of = None
    for level, _, data in sock.recvmsg(100, 500, socket.MSG_ERRQUEUE)[1]:
        if level == socket.SOL_SOCKET:
            ns = nanoseconds(data)
        elif level == socket.SOL_IP:
            _, _, _, _, _, kind, of = struct.unpack_from("IBBBBII", data)  # struct sock_extended_err
    return ns if of == number and kind == SCM_TSTAMP_SCHED else None


def went_out(capture, mark):
    """The next packet that the device saw: ns, if it is this one on its way out."""
    data, more, _, (_, _, which, *_) = capture.recvmsg(2000, 500)
    return nanoseconds(more[0][2]) if which == socket.PACKET_OUTGOING and data.endswith(mark) else None


def one(sock, capture, to, number):
    mark = struct.pack("!10sI", b"queue_time", number)
    poll, end, handed, out = select.poll(), time.monotonic() + WAIT_S, None, None
    poll.register(sock, 0)  # an error is told in any case
    poll.register(capture, select.POLLIN)
    sock.sendto(mark, to)  # not connected: that nobody listens there is no matter then
    while handed is None or out is None:
        left = end - time.monotonic()
        if left <= 0:
            return None
        for fd, _ in poll.poll(left * 1000):
            if fd == sock.fileno():
                ns = handed_over(sock, number)
                handed = ns if handed is None else handed
            else:
                out = went_out(capture, mark) or out
    return (out - handed) / 1e6


def main():
    address, port, count, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    device = sys.argv[5] if len(sys.argv) > 5 else "eth0"
    capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    capture.bind((device, ETH_P_ALL))
    capture.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SCHED | SOFTWARE | OPT_ID | OPT_TSONLY)
    took = []
    for number in range(count):
        took.append(one(sock, capture, (address, port), number))
        time.sleep(pause)
    print(json.dumps(took))


main()
