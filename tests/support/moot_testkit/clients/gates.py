"""A gate that is made up: it knows one token, and notes whom it was asked about."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moot_protocol.access.rules import Asker
from moot_protocol.access.tokens import bad_token
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.base import Request
from mootd.service.access.gate import Grant

GOOD = "good"
"""The token that it knows."""
STALE = "stale"
"""One that it doesn't know."""
USER = "alice"
"""Whose it is."""


class StubGate:
    """A gate that lets everybody in, or nobody, and refuses one method."""

    def __init__(self, denied: str = "", *, open_to_all: bool = True, binding: bool = True) -> None:
        self._denied, self._open, self._binding = denied, open_to_all, binding
        self.asked: list[tuple[Asker, str]] = []
        """Who asked for what."""
        self.looks_again = 0
        """How many of these were further looks of a subscription."""

    def lets_in(self, uid: int) -> bool:
        return self._open

    def binds(self, uid: int) -> bool:
        return self._binding

    async def user_async(self, asker: Asker) -> str:
        if asker.token != GOOD:
            raise bad_token()
        return USER

    async def admit_async(self, asker: Asker, request: Request[Any], *, again: bool = False) -> Grant:
        self.asked.append((asker, request.method))
        self.looks_again += again
        if request.method == self._denied:
            raise RefusedError("not you", code=Code.DENIED)
        return Grant(request, request)

    @contextmanager
    def telling(self, grant: Grant) -> Iterator[None]:
        del grant
        try:
            yield
        except MootError as error:
            if not error.discreet:
                raise
            raise RefusedError(error.discreet, code=error.code) from None

    async def narrow_async(self, grant: Grant, answer: Any) -> Any:
        return answer | {"narrowed": True} if isinstance(answer, dict) else answer
