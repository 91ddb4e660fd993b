"""The asynchronous client for programs: the verbs of `client.py`, awaited.

    async with AsyncClient() as moot:
        issue = await moot.create("Log in with a passkey", priority=1)

Guarantees: those of `Client`. Tasks of one event loop may share a client, and many calls are under way at once on its
one connection. A caller that is cancelled has its request cancelled in the daemon; a write may have been done by then.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, Unpack

from moot import answers, verbs
from moot.answers import Comment, Event, Issue, Issues, Memory, Stats
from moot.async_rpc import AsyncConnection
from moot.held import Held, keep_awaited
from moot.rpc import UnansweredError, UnheardError, told_of
from moot.settings import TRIES, Settings, is_lost, may_repeat, new_key, pause_s
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import BLOCKS
from moot_protocol.limits import DEADLINE_MS, LIST_LIMIT, READY_LIMIT
from moot_protocol.requests import claims as claim_requests
from moot_protocol.requests import issues as issue_requests
from moot_protocol.requests import machine as machine_requests
from moot_protocol.requests import memories as memory_requests
from moot_protocol.requests.base import Request

R = TypeVar("R")


class AsyncClient:
    """A program's access to this user's daemon; arguments, verbs and errors are those of `Client`."""

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        actor: str = "",
        project: str = "",
        socket: str | Path | None = None,
        timeout: float = DEADLINE_MS / 1000,
        autostart: bool = True,
        token: str = "",
    ) -> None:
        self._settings = Settings(
            folder, actor=actor, project=project, socket=socket, timeout=timeout, autostart=autostart, token=token
        )
        self._connecting = asyncio.Lock()
        self._connection: AsyncConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def disconnect(self) -> None:
        """End the connection; the client is of no further use."""
        self._is_closed = True
        async with self._connecting:
            if self._connection is not None:
                self._connection.close()

    @property
    def actor(self) -> str:
        """See `Client.actor`."""
        return self._settings.place.actor

    async def project(self) -> str:
        """See `Client.project`."""
        return (await self._where()).project

    # -- Anything ------------------------------------------------------------------------------------------------
    async def call(
        self,
        request: Request[R],
        *,
        key: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 - named as `Client.call` has it
    ) -> R:
        """See `Client.call`."""
        deadline_ms = self._settings.deadline_ms(request, timeout)
        left, is_sent = TRIES, False
        while True:
            left -= 1
            connection = None
            try:
                connection = await self._connected()
                return await connection.call(request, key=key, deadline_ms=deadline_ms)
            except RefusedError as error:
                if not is_lost(error) or (connection is not None and connection.is_open):
                    raise
                is_unheard = isinstance(error, UnheardError)
                is_sent = is_sent or not (connection is None or is_unheard)
                if not (left and (is_unheard or (connection is not None and may_repeat(request, key)))):
                    if is_sent and type(request).writes:
                        raise told_of(error, request, key) from error
                    raise
            await asyncio.sleep(pause_s(left))

    async def _write(self, request: Request[R], key: str) -> R:
        try:
            return await self.call(request, key=key or new_key())
        except UnansweredError as error:
            if key:
                raise
            raise error.without_key() from error  # the key that was made is known to nobody

    async def _connected(self) -> AsyncConnection:
        loop = asyncio.get_running_loop()
        if self._loop not in {None, loop}:
            raise RefusedError("this client is another event loop's", code=Code.USAGE, hint="make one in each loop")
        self._loop = loop
        async with self._connecting:
            if self._is_closed:
                raise RefusedError("this client is closed", code=Code.USAGE)
            if self._connection is None or not self._connection.is_open:
                settings = self._settings
                self._connection = await AsyncConnection.open(
                    settings.path, autostart=settings.autostart, token=settings.token()
                )
            return self._connection

    async def token_user(self) -> str:
        """The user that the API token binds to; empty where none is presented."""
        return (await self._connected()).user

    def _beside(self) -> "AsyncClient":
        """See `Client._beside`."""
        settings = self._settings
        return AsyncClient(actor=self.actor, socket=settings.path, autostart=False, token=settings.given_token)

    async def _where(self) -> Settings:
        if not self._settings.is_found:
            known = await self.call(issue_requests.WorkspaceInfo(workspace=self._settings.place.workspace))
            self._settings.found(known)
        return self._settings

    # -- Writing -------------------------------------------------------------------------------------------------
    async def create(self, title: str, *, key: str = "", **new: Unpack[verbs.NewIssue]) -> Issue:
        """See `Client.create`."""
        where = await self._where()
        request = verbs.create(self.actor, where.need_project(), where.plane, title, new)
        return answers.issue_of(await self._write(request, key))

    async def update(self, issue: str, *, key: str = "", **changes: Unpack[verbs.Changes]) -> Issue:
        """See `Client.update`."""
        return answers.issue_of(await self._write(verbs.update(self.actor, issue, changes), key))

    async def claim(self, issue: str, *, ttl_s: float = 0, key: str = "") -> Issue:
        """See `Client.claim`."""
        return answers.issue_of(await self._write(verbs.claim(self.actor, issue, ttl_s), key))

    @asynccontextmanager
    async def hold(self, issue: str, *, ttl_s: float, key: str = "") -> AsyncIterator[Held]:
        """See `Client.hold`; a task renews the claim, and ends with the block."""
        request = verbs.claim(self.actor, issue, ttl_s, ends=True)
        held = Held(answers.issue_of(await self._write(request, key)), ttl_s)
        async with self._beside() as own:

            async def beat() -> bool:
                return bool(await own.heartbeat(held.issue.id))

            # Not a TaskGroup's: that would wrap whatever the block raises.
            keeping = asyncio.get_running_loop().create_task(
                keep_awaited(held, beat, asyncio.sleep), name=f"claim of {held.issue.id}"
            )
            try:
                yield held
            finally:
                keeping.cancel()
                with suppress(asyncio.CancelledError):  # by the line above
                    await keeping

    async def unclaim(self, issue: str, *, if_holder: str = "", key: str = "") -> Issue:
        """See `Client.unclaim`."""
        request = claim_requests.Unclaim(actor=self.actor, id=issue, if_holder=if_holder)
        return answers.issue_of(await self._write(request, key))

    async def heartbeat(self, issue: str = "", *, key: str = "") -> int:
        """See `Client.heartbeat`."""
        renewed = await self._write(claim_requests.Heartbeat(actor=self.actor, id=issue), key)
        return sum(1 for each in renewed if each["renewed"])

    async def close(self, issue: str, reason: str = "", *, force: bool = False, key: str = "") -> Issue:
        """See `Client.close`."""
        request = issue_requests.Close(actor=self.actor, id=issue, reason=reason, force=force)
        return answers.issue_of(await self._write(request, key))

    async def reopen(self, issue: str, reason: str = "", *, key: str = "") -> Issue:
        """See `Client.reopen`."""
        request = issue_requests.Reopen(actor=self.actor, id=issue, reason=reason)
        return answers.issue_of(await self._write(request, key))

    async def delete(self, issue: str, reason: str = "", *, key: str = "") -> Issue:
        """See `Client.delete`."""
        request = issue_requests.Delete(actor=self.actor, id=issue, reason=reason)
        return answers.issue_of(await self._write(request, key))

    async def undelete(self, issue: str, *, key: str = "") -> Issue:
        """See `Client.undelete`."""
        return answers.issue_of(await self._write(issue_requests.Undelete(actor=self.actor, id=issue), key))

    async def comment(self, issue: str, text: str, *, key: str = "") -> Comment:
        """See `Client.comment`."""
        request = issue_requests.AddComment(actor=self.actor, id=issue, text=text)
        return answers.comment_of(await self._write(request, key))

    async def depend(self, issue: str, on: str, dependency_type: str = BLOCKS, *, key: str = "") -> bool:
        """See `Client.depend`."""
        request = issue_requests.AddEdge(actor=self.actor, id=issue, edge=issue_requests.Edge(on, dependency_type))
        return bool((await self._write(request, key))["created"])

    async def undepend(self, issue: str, on: str, dependency_type: str = "", *, key: str = "") -> int:
        """See `Client.undepend`."""
        request = issue_requests.RemoveEdge(actor=self.actor, id=issue, to=on, type=dependency_type)
        return int((await self._write(request, key))["removed"])

    async def remember(self, key: str, text: str) -> None:
        """See `Client.remember`."""
        where = await self._where()
        project, plane = where.need_project(), where.plane
        await self._write(
            memory_requests.Remember(actor=self.actor, project=project, plane=plane, key=key, text=text), ""
        )

    async def forget(self, key: str) -> None:
        """See `Client.forget`."""
        where = await self._where()
        project, plane = where.need_project(), where.plane
        await self._write(memory_requests.Forget(actor=self.actor, project=project, plane=plane, key=key), "")

    # -- Reading -------------------------------------------------------------------------------------------------
    async def show(self, issue: str) -> Issue:
        """See `Client.show`."""
        (shown,) = await self.call(issue_requests.Show(ids=(issue,)))
        return answers.issue_of(shown)

    async def list(self, *, sort: str = "priority", limit: int = LIST_LIMIT, **wanted: Unpack[verbs.Listed]) -> Issues:
        """See `Client.list`."""
        request = verbs.listed(await self.project(), wanted, sort=sort, limit=limit)
        return answers.issues_of(await self.call(request))

    async def search(self, text: str, *, limit: int = LIST_LIMIT, **wanted: Unpack[verbs.Listed]) -> Issues:
        """See `Client.search`."""
        request = verbs.listed(await self.project(), wanted, limit=limit, title_or_id=text)
        return answers.issues_of(await self.call(request))

    async def ready(
        self, *, sort: str = "priority", limit: int = READY_LIMIT, **wanted: Unpack[verbs.Wanted]
    ) -> Issues:
        """See `Client.ready`."""
        request = verbs.ready(await self.project(), wanted, sort=sort, limit=limit)
        return answers.issues_of(await self.call(request))

    async def blocked(self, *, limit: int = READY_LIMIT, **wanted: Unpack[verbs.Wanted]) -> Issues:
        """See `Client.blocked`."""
        return answers.issues_of(await self.call(verbs.blocked(await self.project(), wanted, limit=limit)))

    async def children(self, issue: str) -> Issues:
        """See `Client.children`."""
        return answers.issues_of(await self.call(issue_requests.Children(id=issue)))

    async def memories(self, search: str = "") -> tuple[Memory, ...]:
        """See `Client.memories`."""
        where = await self._where()
        project, plane = where.need_project(), where.plane
        found = await self.call(memory_requests.Memories(project=project, plane=plane, search=search))
        return tuple(map(answers.memory_of, found))

    async def stats(self) -> Stats:
        """See `Client.stats`."""
        project = await self.project()
        return answers.stats_of(await self.call(issue_requests.Stats(projects=(project,) if project else ())))

    async def events(self, since: int | None = None, *, kind: str = "", wait: bool = True) -> AsyncIterator[Event]:
        """See `Client.events`; awaited, it gives what `async for` goes over, and uses this client's connection."""
        if since is None:
            since = int((await self.call(machine_requests.Events(since=None)))["next"])
        return self._follow(since, kind, wait=wait)

    async def _follow(self, since: int, kind: str, *, wait: bool) -> AsyncIterator[Event]:
        while True:
            page = await self.call(
                machine_requests.Events(since=since, kind=kind, wait_ms=verbs.LOOK_MS if wait else 0)
            )
            for event in page["events"]:
                yield answers.event_of(event)
            if not wait and page["next"] == since:
                return
            since = int(page["next"])
