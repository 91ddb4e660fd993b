"""One request under way: what ends it, whether a stop of the daemon waits for it, and its answer as a frame."""

from asyncio import TimerHandle
from collections.abc import Callable
from typing import Any, Final

from moot_protocol import limits
from moot_protocol.control import rpc
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.listing import Page
from mootd.control.hosting import ConsoleChannel

_SAMPLE: Final = 200
"""Issues of a list by which it is told how many fit an answer."""


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


def answer_frame(call_id: int, result: Any) -> bytes:
    """The answer to a request.

    Raises:
        RefusedError: `limit`: it is too large for a frame; of a list it says how many issues would fit.
        TypeError: it holds what MessagePack can't.
    """
    try:
        return rpc.result_frame(call_id, result)
    except RefusedError as error:
        if error.code is not Code.LIMIT or not isinstance(result, Page):
            raise
        raise _too_many(result) from error


def _too_many(page: Page) -> RefusedError:
    some = page.issues[:: -(-len(page.issues) // _SAMPLE)]
    size = sum(len(rpc.result_frame(0, issue)) for issue in some) // len(some)
    fit = max(limits.RPC_FRAME_BYTES // size * 9 // 10, 1)
    return RefusedError(
        f"{len(page.issues)} issues don't fit one answer: about {fit} such as these do",
        code=Code.LIMIT,
        hint="ask for fewer with a limit or a narrower filter; all of a large project come by `moot export`, in pages, "
        "and what changes in it later by `moot events`",
    )


def took_too_long(request: Request[Any], key: str) -> RefusedError:
    """What tells that nobody waits any longer: a write may be done all the same, and only under its key done once."""
    is_safe = not request.writes or bool(key)
    return RefusedError(
        f"`{request.method}` took longer than its deadline",
        code=Code.TIMEOUT,
        hint=_how_to_end_sooner(request)
        if is_safe
        else "it may be done or not: look before you change something again",
        retryable=is_safe,
    )


def _how_to_end_sooner(request: Request[Any]) -> str:
    return "give it more time" + (", or ask for less with a limit" if hasattr(request, "limit") else "")
