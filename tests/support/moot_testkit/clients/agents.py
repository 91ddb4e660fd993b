"""What tests of the MCP server share: a daemon that answers as it is told, and a desk before it."""

from typing import Any, TypeVar

from moot.mcp.tools import Desk
from moot_protocol.requests.base import Request
from moot_testkit.clients.canned_api import NOW_MS, CannedApi

R = TypeVar("R")


class CannedCaller:
    """A `Caller` that answers in a fixed way (see `CannedApi`) and keeps what it was asked, and under which keys."""

    def __init__(self, **answers: Any) -> None:
        self._api = CannedApi(**answers)
        self.keys: list[str] = []

    @property
    def asked(self) -> list[Request[Any]]:
        return self._api.asked

    async def call(self, request: Request[R], *, key: str = "") -> R:
        self.keys.append(key)
        return self._api.call(request)


class KeptClaims:
    """A `Keeper` that keeps nothing but what it was told to."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, float]] = []

    def check_room(self) -> None:
        """There is room."""

    def keep(self, issue: str, ttl_s: float) -> None:
        self.kept.append((issue, ttl_s))


def desk(project: str = "demo", **answers: Any) -> tuple[Desk, CannedCaller]:
    """A desk of `ada` in a project, and the daemon behind it."""
    caller = CannedCaller(**answers)
    return Desk(caller, KeptClaims(), "ada", project, "ab", NOW_MS, lambda: "c0ffee1"), caller
