#!/usr/bin/env python3
"""
Connects and leaves some thousand times a second, in a process of its own: by FIN and by RST, with a part of a request, a
whole one, or none. Says "flooding" after the first 500 connections, ends when its standard input does but not before N
connections are made, then says how many they were. Usage: flood.py HOST PORT N
"""

import errno
import select
import socket
import sys
import time

RESET = b"\1\0\0\0\0\0\0\0"
ANNOUNCED = 500


def one(address, i):
    s = socket.socket()
    try:
        s.connect(address)
        if i % 4 == 1:
            s.send(b"GET / HT")
        elif i % 4 == 2:
            s.send(b"GET /bytes/10 HTTP/1.1\r\nHost: flood\r\n\r\n")
        if i % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        return True
    except OSError as e:
        if e.errno != errno.EADDRNOTAVAIL:
            raise
        time.sleep(0.001)  # all local ports are in use: the flood is as dense as it can be
        return False
    finally:
        s.close()


def main():
    address, least = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
    made, told_to_end = 0, False
    while made < least or not told_to_end:
        made += one(address, made)
        if made == ANNOUNCED:
            print("flooding", flush=True)
        # The pause keeps it from filling the accept queues of a gateway that a sanitizer slows down.
        if made % 20 == 0:
            told_to_end = bool(select.select([] if told_to_end else [0], [], [], 0.004)[0]) or told_to_end
    print(made, flush=True)


main()
