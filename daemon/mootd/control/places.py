"""Places on the control socket: who is connected at the other end, and who makes room where all places are taken.

Invariant: nobody loses a place while something is under way on it. A program that leaks connections, or that stops in
the middle of a frame, holds no place that somebody else asks for: the connection that has been idle longest ends with
an error that says so (`rpc.idle_error`), and clients connect again without a word.
"""

import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any, Protocol

from moot_protocol.control import rpc
from moot_protocol.errors import Code, MootError, RefusedError
from mootd.control.ports import Settings


class Placed(Protocol):
    """A connection, as far as its place goes."""

    @property
    def uid(self) -> int | None:
        """The client's user id, where the system can tell."""

    @property
    def is_closing(self) -> bool:
        """Whether it was told to end."""

    @property
    def idle_since(self) -> float | None:
        """Since when it is idle, on the loop's clock, in seconds; None while something is under way on it."""

    def refuse(self, error: MootError) -> None:
        """Tell the client why, and close."""


def make_room(newcomer: Placed, connections: Iterable[Placed], settings: Settings, now: float) -> None:
    """See that a new connection finds a place, of its user's and of all; the one idle longest may have to go for it.

    Args:
        newcomer: who has connected.
        connections: all there are; the newcomer may be among them.
        settings: how many there may be.
        now: on the loop's clock, in seconds.

    Raises:
        RefusedError: `busy`: all places are taken, and something is under way on each, or was a moment ago.
    """
    others = [each for each in connections if each is not newcomer and not each.is_closing]
    own = [each for each in others if each.uid == newcomer.uid]
    if newcomer.uid not in {None, settings.owner} and len(own) >= settings.clients_per_user:
        taken = f"{settings.clients_per_user} clients of user {newcomer.uid} are connected already"
        _take_place(own, settings, now, taken)
    elif len(others) >= settings.clients:
        _take_place(others, settings, now, f"{settings.clients} clients are connected already")


def _take_place(taken: list[Placed], settings: Settings, now: float, else_told: str) -> None:
    """End the connection that has been idle longest."""
    idle = [(since, each) for each in taken if (since := each.idle_since) is not None and now - since >= settings.idle]
    if not idle:
        raise busy(else_told)
    min(idle, key=lambda each: each[0])[1].refuse(rpc.idle_error())


def busy(what: str) -> RefusedError:
    """The refusal of what is too much just now."""
    return RefusedError(what, code=Code.BUSY, hint="try again when some have ended", retryable=True)


def peer_uid(connection: Any) -> int | None:
    """The user id at the other end of a Unix socket; None where the system can't tell."""
    if sys.platform != "linux":
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
