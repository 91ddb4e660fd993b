"""The wires between the nodes of a network and its switch: a program of its own, for `namespaces.py`.

A wire has a TAP interface at either end and carries frames between the two, in order, each late by the same time. Where
the kernel has no `netem`, this is what makes a network slow. The program says `ready` once all ends are there, then
reads how late the wires are from now on, in milliseconds, a line each; the wires are gone when it ends, as it does
with its standard input.

    python wires.py SWITCH-NAMESPACE NODE=NAMESPACE...
"""

import ctypes
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_TUNSETIFF: Final = 0x400454CA
_TAP_WITHOUT_HEADER: Final = 0x0002 | 0x1000
_FRAME_BYTES: Final = 1 << 16
_LINE_BYTES: Final = 64
_MOST_WAITING: Final = 10_000
"""Frames on their way in one direction; beyond that the wire drops, as a switch's queue does."""
NEAR: Final = "eth0"
"""A node's own end."""
FAR: Final = "to-{}"
"""The switch's end, by the node's name."""


def open_end(namespace: str, name: str) -> int:
    """Make a TAP interface in a namespace; the descriptor through which its frames come and go."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.open(Path("/run/netns") / namespace, os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(place, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    os.close(place)
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_WITHOUT_HEADER))
    return end


class Direction:
    """One direction of a wire, and the frames on it."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.delay_s = 0.0
        self._sink = sink
        self._waiting: deque[tuple[float, bytes]] = deque()
        """When each frame is due, and the frame, in order: none overtakes another."""

    @property
    def due_s(self) -> float | None:
        """When the next frame arrives; None while the wire is empty."""
        return self._waiting[0][0] if self._waiting else None

    def take(self) -> None:
        """Take the frames that are there."""
        while True:
            try:
                frame = os.read(self.source, _FRAME_BYTES)
            except BlockingIOError:
                return
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append((time.monotonic() + self.delay_s, frame))

    def deliver(self) -> None:
        """Hand over what is due."""
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, frame = self._waiting.popleft()
            try:
                os.write(self._sink, frame)
            except OSError:
                continue  # the interface is down, or full: the frame is lost, as on any wire


def carry(directions: list[Direction], control: int) -> None:
    """Carry frames until the end of what controls it."""
    while True:
        due = [direction.due_s for direction in directions if direction.due_s is not None]
        wait = max(0.0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select([control, *(direction.source for direction in directions)], [], [], wait)
        if control in readable:
            lines = os.read(control, _LINE_BYTES).split()
            if not lines:
                return
            for direction in directions:
                direction.delay_s = int(lines[-1]) / 1000
        for direction in directions:
            if direction.source in readable:
                direction.take()
            direction.deliver()


def main(switch: str, *nodes: str) -> None:
    """Be the wires."""
    directions = []
    for node in nodes:
        name, _, namespace = node.partition("=")
        near, far = open_end(namespace, NEAR), open_end(switch, FAR.format(name))
        directions += [Direction(near, far), Direction(far, near)]
    print("ready", flush=True)
    carry(directions, sys.stdin.fileno())


if __name__ == "__main__":
    main(*sys.argv[1:])
