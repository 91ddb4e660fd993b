"""What a command can ask of the daemon: one call that takes any request and gives its typed answer."""

from typing import Protocol, TypeVar

from moot_protocol.requests.base import Request

R = TypeVar("R")


class Api(Protocol):
    """The daemon, seen from a command. Implemented in-process by the daemon and over the socket by `moot.rpc`."""

    def call(self, request: Request[R]) -> R:
        """Carry out a request and wait for its answer.

        Raises:
            MootError: with the code, message and hint of what went wrong; a failed request changed nothing.
        """
