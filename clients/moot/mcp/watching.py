"""Subscriptions: who subscribed to a resource is told when the daemon's log has news of it.

Guarantees: what arrives after `subscribe` has returned is told, at least once, in one message for a burst of events; a
daemon that goes away is waited for, and the log gone on with where it was left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from moot.mcp.resources import ANY
from moot.mcp.tools import Caller
from moot.verbs import LOOK_MS
from moot_protocol.errors import MootError
from moot_protocol.requests.machine import Events

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between tries while the daemon can't be reached: the first, and the longest after doubling."""

Tell = Callable[[str], Awaitable[object]]


class Watch:
    """The subscriptions of one session.

    Args:
        caller: the daemon.
        tell: tells the session that the resource with a URI has changed.
        pause: waits so many seconds.
    """

    def __init__(self, caller: Caller, tell: Tell, pause: Callable[[float], Awaitable[Any]] = asyncio.sleep) -> None:
        self._caller = caller
        self._tell = tell
        self._pause = pause
        self._uris: dict[str, set[str]] = {}
        """Entity, or `ANY` for what may change with each → the URIs that it was subscribed to by."""
        self._since: int | None = None

    async def subscribe(self, entity: str, uri: str) -> bool:
        """Tell of a resource's news from now on.

        Returns:
            Whether this was the first subscription: `follow` has to be begun then.
        """
        self._uris.setdefault(entity, set()).add(uri)
        if self._since is not None:
            return False
        self._since = int((await self._caller.call(Events(since=None)))["next"])
        return True

    def unsubscribe(self, uri: str) -> None:
        """Tell of a resource's news no longer."""
        for uris in self._uris.values():
            uris.discard(uri)

    async def follow(self) -> None:
        """Follow the log until cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                page = await self._caller.call(Events(since=self._since, kind="issue", wait_ms=LOOK_MS))
            except MootError:  # told to whoever calls a tool; here it means to wait
                await self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            self._since = int(page["next"])
            for uri in self._touched(str(event["entity"]) for event in page["events"]):
                await self._tell(uri)

    def _touched(self, entities: Iterable[str]) -> list[str]:
        changed = set(entities)
        if changed:
            changed.add(ANY)
        return sorted(set[str]().union(*(self._uris.get(entity, ()) for entity in changed)))
