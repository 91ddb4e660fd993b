"""One request under way: what ends it, and whether a stop of the daemon waits for it."""

from asyncio import TimerHandle
from collections.abc import Callable
from typing import Any

from moot_protocol import rpc
from moot_protocol.errors import Code, RefusedError
from moot_protocol.request_base import Request
from mootd.control.hosting import ConsoleChannel


class Work:
    """One request under way: `stop` ends it, and nothing is answered for it afterwards but by whoever stopped it."""

    def __init__(self, call: rpc.Call, begun: float) -> None:
        self.call = call
        self.begun = begun
        self.stop: Callable[[], object] = nothing
        self.patience: TimerHandle | None = None
        """Runs out at its deadline, where no task sees to that."""
        self.channel: ConsoleChannel | None = None
        self.is_for_news = False
        """Whether it does nothing but wait for news, as a subscription does."""

    @property
    def holds_up(self) -> bool:
        """Whether a stop waits for its end. Who waits for news loses nothing by coming again."""
        return not (self.is_for_news or (self.channel is not None and self.channel.is_for_news))


def nothing() -> None:
    """Stop what needs no stopping."""


def took_too_long(request: Request[Any], key: str) -> RefusedError:
    """What tells that nobody waits any longer: a write may be done all the same, and only under its key done once."""
    is_safe = not request.writes or bool(key)
    return RefusedError(
        f"`{request.method}` took longer than its deadline",
        code=Code.TIMEOUT,
        hint="give it more time" if is_safe else "it may be done or not: look before you change something again",
        retryable=is_safe,
    )
