"""The claims of a session: those with an end are renewed while it lives, and what was lost is told with the next call.

Guarantees: a claim made with an end is renewed, as `moot.held` says, until it is over or the session ends; then it ends
by itself. What can't be told or renewed now fails no call, and is left to the next.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from moot.answers import Issue
from moot.held import Held, keep_awaited
from moot.mcp.tools import Caller
from moot.settings import new_key
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.limits import CLAIMS_WATCHED
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.claims import ClaimsTold, Heartbeat


class Claims:
    """The claims of one session.

    Args:
        caller: the daemon.
        actor: whose they are.
        tasks: where what renews them lives.
    """

    def __init__(self, caller: Caller, actor: str, tasks: asyncio.TaskGroup) -> None:
        self._caller = caller
        self._actor = actor
        self._tasks = tasks
        self._kept: dict[str, asyncio.Task[None]] = {}
        """Issue → what renews its claim."""

    def check_room(self) -> None:
        """Refuse a claim with an end where the session keeps as many as it may.

        Raises:
            RefusedError: `limit`.
        """
        if len(self._kept) >= CLAIMS_WATCHED:
            raise RefusedError(
                f"this session keeps {CLAIMS_WATCHED} claims already", code=Code.LIMIT, hint="close some first"
            )

    def keep(self, issue: str, ttl_s: float) -> None:
        """Renew a claim from now on, in place of what renewed it before."""
        self.drop(issue)
        held = Held(Issue(id=issue), ttl_s)

        async def beat() -> bool:
            renewed = await self._caller.call(Heartbeat(actor=self._actor, id=issue), key=new_key())
            return any(each["renewed"] for each in renewed)

        task = self._tasks.create_task(keep_awaited(held, beat, asyncio.sleep), name=f"mcp.claim.{issue}")
        self._kept[issue] = task
        task.add_done_callback(lambda done: self._over(issue, done))

    def drop(self, issue: str) -> None:
        """Renew a claim no longer, if it was."""
        if (task := self._kept.pop(issue, None)) is not None:
            task.cancel()

    def close(self) -> None:
        """Renew none any longer."""
        for issue in list(self._kept):
            self.drop(issue)

    async def attend(self, claims: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Renew what is due, and give what was lost, `{"id", "holder"}` each; it is then known to have been told.

        Args:
            claims: as `WorkspaceInfo` answers them.
        """
        lost: list[dict[str, Any]] = list(claims.get("lost", ()))
        if lost:
            await self._try(ClaimsTold(actor=self._actor, ids=tuple(each["id"] for each in lost)))
        if claims.get("due"):
            await self._try(Heartbeat(actor=self._actor))
        return lost

    async def _try(self, request: Mutation[Any]) -> None:
        """Ask for something that the tool at hand doesn't depend on."""
        with suppress(MootError):  # the next tool that runs is asked the same again; a claim that ends is told as lost
            await self._caller.call(request, key=new_key())

    def _over(self, issue: str, done: asyncio.Task[None]) -> None:
        if self._kept.get(issue) is done:
            del self._kept[issue]
