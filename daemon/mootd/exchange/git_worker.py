"""The worker for a Git remote: rounds over refs, and trying it out."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from moot_protocol.checks import checked
from moot_protocol.errors import MootError
from mootd.edges.git.remote import GitRemote
from mootd.engine.stored.log import PlaneRow
from mootd.exchange.hub import Hub
from mootd.exchange.plane_on_remote import PlaneOnRemote
from mootd.exchange.progress import Progress
from mootd.exchange.ref_exchange import MESSAGE_BYTES, RefExchange

UPKEEP_ROUNDS: Final = 50
"""Rounds after which Moot's own repository is packed."""
RELAY_MS: Final = 30_000
"""How long others' batches wait for their authors to push them: several times as long as pushes wait for company."""
_FORBIDDEN: Final = "ask whoever keeps the remote for the right to push"
_TAKES_NOTHING: Final = "the remote is there and takes nothing now: see to it, or ask whoever keeps it"


class GitWorker:
    """Exchanges planes with one Git remote.

    Args:
        remote: the remote.
        number: its number here.
        hub: whose worker it is.
    """

    debounce_s = None
    poll_s = None
    linger_s = 0.0
    is_settled = True

    def __init__(self, remote: GitRemote, number: int, hub: Hub) -> None:
        self._remote = remote
        self._number = number
        self._hub = hub
        self._exchange = RefExchange(remote, number, hub.replica, hub.commit, hub.in_thread)
        self._planes: dict[int, PlaneOnRemote] = {}
        self._alone = asyncio.Lock()
        """Held by whoever uses the remote: it has one caller at a time."""

    async def round(self, planes: Sequence[PlaneRow], progress: Progress, *, is_asked: bool) -> None:
        """Exchange planes once. Every round connects anew, so whoever asked is told of nothing older in any case."""
        if not planes:
            return
        async with self._alone:
            await self._exchange.round([self._on_remote(plane) for plane in planes], progress, is_asked=is_asked)
            if progress.rounds % UPKEEP_ROUNDS == UPKEEP_ROUNDS - 1:
                await self._remote.maintain()

    def _on_remote(self, plane: PlaneRow) -> PlaneOnRemote:
        known = self._planes.get(plane.number)
        if known is None:
            hub = self._hub
            known = PlaneOnRemote(
                hub.replica, plane, self._number, hub.commit, message_bytes=MESSAGE_BYTES, relay_ms=RELAY_MS
            )
            self._planes[plane.number] = known
        return known

    async def close(self) -> None:
        """Stop whatever runs."""
        await self._remote.close()

    async def check(self) -> list[dict[str, Any]]:
        """Try it out."""
        try:
            async with self._alone:
                tested = await self._remote.test(self._hub.replica.entropy)
        except MootError as error:
            return [checked("the remote can be reached", False, error.message, error.hint)]
        hint = _FORBIDDEN if tested.is_denied else _TAKES_NOTHING
        return [
            checked("the remote can be reached", True, f"{tested.refs} {'ref' if tested.refs == 1 else 'refs'}"),
            checked("frames can be pushed", tested.can_push, tested.words, hint),
        ]
