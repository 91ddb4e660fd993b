"""A wire between two network namespaces on which every frame is late: a program of its own, for `namespaces.py`.

It makes a TAP interface at either end and carries frames between the two, in order, each after the same time. Where the
kernel has no `netem`, this is what makes a network slow. It says `ready` once both ends are there, and the wire is gone
when the program ends.

    python delayed_link.py NAMESPACE INTERFACE NAMESPACE INTERFACE MILLISECONDS
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
_MOST_WAITING: Final = 10_000
"""Frames on their way in one direction; beyond that the wire drops, as a switch's queue does."""


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
    """One direction of the wire, and the frames on it."""

    def __init__(self, source: int, sink: int, delay_s: float) -> None:
        self.source = source
        self._sink = sink
        self._delay_s = delay_s
        self._waiting: deque[tuple[float, bytes]] = deque()
        """When each frame is due, and the frame; in order, for all are equally late."""

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
                self._waiting.append((time.monotonic() + self._delay_s, frame))

    def deliver(self) -> None:
        """Hand over what is due."""
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, frame = self._waiting.popleft()
            try:
                os.write(self._sink, frame)
            except OSError:
                continue  # the interface is down, or full: the frame is lost, as on any wire


def carry(directions: list[Direction]) -> None:
    """Carry frames until killed."""
    while True:
        due = [direction.due_s for direction in directions if direction.due_s is not None]
        wait = max(0.0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select([direction.source for direction in directions], [], [], wait)
        for direction in directions:
            if direction.source in readable:
                direction.take()
            direction.deliver()


def main(near: str, near_name: str, far: str, far_name: str, delay_ms: str) -> None:
    """Be the wire."""
    ends = open_end(near, near_name), open_end(far, far_name)
    print("ready", flush=True)
    delay_s = int(delay_ms) / 1000
    carry([Direction(ends[0], ends[1], delay_s), Direction(ends[1], ends[0], delay_s)])


if __name__ == "__main__":
    main(*sys.argv[1:])
