"""The blocking client for programs: issues as typed values, one method a verb.

    with Client() as moot:
        issue = moot.create("Log in with a passkey", priority=1)

Guarantees: it connects at the first call and starts the daemon if none runs; a write is durable when its method
returns; where the connection is lost it connects again and repeats the call, and a write is then still done once,
because each carries an idempotency key. What a verb means stands in `verbs.py`, what it answers in `answers.py`.
Threads may share a client: their calls follow one another. A child process after a fork gets a connection of its own.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, Unpack

from moot import answers, rpc, verbs
from moot.answers import Comment, Event, Issue, Issues, Memory, Stats
from moot.held import Held, keep
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


class Client:
    """A program's access to this user's daemon.

    Args:
        folder: where it works; its project is that of the workspace found upward from there. By default this process's.
        actor: who acts: goes into every event. By default as the command line finds it: MOOT_ACTOR, BD_ACTOR,
            BEADS_ACTOR, git's user.name, USER, the name of this process's user.
        project: the project, where it is not the workspace's.
        socket: the daemon's control socket; by default this user's.
        timeout: seconds that a call may take.
        autostart: start the daemon if none runs.
        token: an API token, which binds all that it does to its user's rules (docs/access.md). By default MOOT_TOKEN,
            or the content of the file that MOOT_TOKEN_FILE names. Who acts is then its user, where nobody is named.

    All its methods raise `MootError`: `code` says what went wrong and never changes its name, `hint` what to do next,
    `retryable` whether the same call, under the same `key` if one was given, is safe to make again and may succeed
    then. `key` makes a write idempotent across processes: under one key it is done once, and whoever repeats it within
    24 hours gets the same answer.
    """

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
        self._connecting = threading.Lock()
        self._connection: rpc.Client | None = None
        self._process = os.getpid()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        """End the connection; the client is of no further use. The verb `close` closes issues."""
        with self._connecting:
            self._is_closed = True
            if self._connection is not None:
                self._connection.close()

    @property
    def actor(self) -> str:
        """Who acts; empty for the user of the token that is presented."""
        return self._settings.place.actor

    def project(self) -> str:
        """The project that lists are about and new issues go to; empty where the folder belongs to none."""
        return self._where().project

    # -- Anything ------------------------------------------------------------------------------------------------
    def call(self, request: Request[R], *, key: str = "", timeout: float | None = None) -> R:
        """Carry out any request of `moot_protocol` and wait for its answer, for `timeout` seconds at most.

        It is repeated after a lost connection if it only reads or `key` is given: `unreachable` otherwise means that it
        may or may not have been done.
        """
        deadline_ms = self._settings.deadline_ms(request, timeout)
        left, is_sent = TRIES, False
        while True:
            left -= 1
            connection = None
            try:
                connection = self._connected()
                return connection.call(request, key=key, deadline_ms=deadline_ms)
            except RefusedError as error:
                if not is_lost(error) or (connection is not None and connection.is_open):
                    raise
                was_begun = connection is not None and not isinstance(error, rpc.UnheardError)
                is_sent = is_sent or was_begun
                if not (left and connection is not None and (may_repeat(request, key) or not was_begun)):
                    if is_sent and type(request).writes:
                        raise rpc.told_of(error, request, key) from error
                    raise
            time.sleep(pause_s(left))

    def _write(self, request: Request[R], key: str) -> R:
        try:
            return self.call(request, key=key or new_key())
        except rpc.UnansweredError as error:
            if key:
                raise
            raise error.without_key() from error  # the key that was made is known to nobody

    def _connected(self) -> rpc.Client:
        if self._process != os.getpid():
            self._begin_anew()
        with self._connecting:
            if self._is_closed:
                raise RefusedError("this client is closed", code=Code.USAGE)
            if self._connection is None or not self._connection.is_open:
                settings = self._settings
                self._connection = rpc.Client(settings.path, autostart=settings.autostart, token=settings.token())
            return self._connection

    def _begin_anew(self) -> None:
        """After a fork: the connection is the parent's, and one of its threads may have had the lock."""
        if self._connection is not None:
            self._connection.forsake()
        self._connecting, self._connection, self._process = threading.Lock(), None, os.getpid()

    def token_user(self) -> str:
        """The user that the API token binds to; empty where none is presented."""
        connection = self._connected()
        connection.authenticate()
        return connection.user

    def _beside(self) -> "Client":
        """A client with a connection of its own, for what goes on beside the program: it starts no daemon."""
        settings = self._settings
        return Client(actor=self.actor, socket=settings.path, autostart=False, token=settings.given_token)

    def _where(self) -> Settings:
        if not self._settings.is_found:
            self._settings.found(self.call(issue_requests.WorkspaceInfo(workspace=self._settings.place.workspace)))
        return self._settings

    # -- Writing -------------------------------------------------------------------------------------------------
    def create(self, title: str, *, key: str = "", **new: Unpack[verbs.NewIssue]) -> Issue:
        """Create an issue in the client's project; `NewIssue` lists what else it takes.

        Raises:
            RefusedError: `not_found`: the folder belongs to no project, or a parent or dependency isn't there.
        """
        where = self._where()
        request = verbs.create(self.actor, where.need_project(), where.plane, title, new)
        return answers.issue_of(self._write(request, key))

    def update(self, issue: str, *, key: str = "", **changes: Unpack[verbs.Changes]) -> Issue:
        """Change an issue; `Changes` lists what can be changed. What isn't named stays as it is."""
        return answers.issue_of(self._write(verbs.update(self.actor, issue, changes), key))

    def claim(self, issue: str, *, ttl_s: float = 0, key: str = "") -> Issue:
        """Take an issue: make the actor its assignee and put it in progress, as one step.

        Args:
            issue: its id.
            ttl_s: how long it is held unless `heartbeat` renews it, in seconds; 0: until it is given back.
            key: makes repeating the call harmless.

        Raises:
            RefusedError: `lost_race`: somebody else holds it.
        """
        return answers.issue_of(self._write(verbs.claim(self.actor, issue, ttl_s), key))

    @contextmanager
    def hold(self, issue: str, *, ttl_s: float, key: str = "") -> Iterator[Held]:
        """Claim an issue, and renew the claim for as long as the block runs.

        A thread renews it over a connection of its own whenever half of its time is over: one event each. At the end
        of the block the claim stays as it is and, unless the issue was closed or given back, ends by itself.

        Args:
            issue: its id.
            ttl_s: how long the claim outlives this program, in seconds.
            key: makes repeating the call harmless.

        Raises:
            RefusedError: `lost_race`: somebody else holds it. Lost later it is told by `check` of what is given.
        """
        request = verbs.claim(self.actor, issue, ttl_s, ends=True)
        held = Held(answers.issue_of(self._write(request, key)), ttl_s)
        stop = threading.Event()
        with self._beside() as own:
            thread = threading.Thread(
                target=keep,
                args=(held, lambda: bool(own.heartbeat(held.issue.id)), stop.wait),
                name=f"claim of {held.issue.id}",
                daemon=True,
            )
            thread.start()
            try:
                yield held
            finally:
                stop.set()
                thread.join()

    def unclaim(self, issue: str, *, if_holder: str = "", key: str = "") -> Issue:
        """Give an issue back: nobody's, and open if it was in progress.

        Raises:
            RefusedError: `lost_race`: `if_holder` is named, and somebody else holds it.
        """
        request = claim_requests.Unclaim(actor=self.actor, id=issue, if_holder=if_holder)
        return answers.issue_of(self._write(request, key))

    def heartbeat(self, issue: str = "", *, key: str = "") -> int:
        """Renew the claim of an issue, or every claim of the actor's made on this machine that ends by itself.

        Returns:
            How many were renewed now; those that have more than half of their time left need it not.

        Raises:
            RefusedError: `lost_race`: somebody else holds the issue; `conflict`: its claim has no end.
        """
        renewed = self._write(claim_requests.Heartbeat(actor=self.actor, id=issue), key)
        return sum(1 for each in renewed if each["renewed"])

    def close(self, issue: str, reason: str = "", *, force: bool = False, key: str = "") -> Issue:
        """Close an issue; `unblocked` of the answer names those that became ready.

        Raises:
            RefusedError: `conflict`: something open blocks it; `force` closes it all the same.
        """
        request = issue_requests.Close(actor=self.actor, id=issue, reason=reason, force=force)
        return answers.issue_of(self._write(request, key))

    def reopen(self, issue: str, reason: str = "", *, key: str = "") -> Issue:
        """Open a closed issue again; a reason becomes a comment."""
        request = issue_requests.Reopen(actor=self.actor, id=issue, reason=reason)
        return answers.issue_of(self._write(request, key))

    def delete(self, issue: str, reason: str = "", *, key: str = "") -> Issue:
        """Delete an issue: it leaves every list, its record stays."""
        request = issue_requests.Delete(actor=self.actor, id=issue, reason=reason)
        return answers.issue_of(self._write(request, key))

    def undelete(self, issue: str, *, key: str = "") -> Issue:
        """Bring a deleted issue back."""
        return answers.issue_of(self._write(issue_requests.Undelete(actor=self.actor, id=issue), key))

    def comment(self, issue: str, text: str, *, key: str = "") -> Comment:
        """Comment on an issue."""
        request = issue_requests.AddComment(actor=self.actor, id=issue, text=text)
        return answers.comment_of(self._write(request, key))

    def depend(self, issue: str, on: str, dependency_type: str = BLOCKS, *, key: str = "") -> bool:
        """Make an issue depend on another; False if it did already.

        Raises:
            RefusedError: `conflict`: it would close a cycle of blockers.
        """
        request = issue_requests.AddEdge(actor=self.actor, id=issue, edge=issue_requests.Edge(on, dependency_type))
        return bool(self._write(request, key)["created"])

    def undepend(self, issue: str, on: str, dependency_type: str = "", *, key: str = "") -> int:
        """Remove a dependency, of every type if none is given; how many were removed."""
        request = issue_requests.RemoveEdge(actor=self.actor, id=issue, to=on, type=dependency_type)
        return int(self._write(request, key)["removed"])

    def remember(self, key: str, text: str) -> None:
        """Keep a text for everybody in the project, over what stood under its key."""
        where = self._where()
        project, plane = where.need_project(), where.plane
        self._write(memory_requests.Remember(actor=self.actor, project=project, plane=plane, key=key, text=text), "")

    def forget(self, key: str) -> None:
        """Take a memory away.

        Raises:
            RefusedError: `not_found`: there is none.
        """
        where = self._where()
        project, plane = where.need_project(), where.plane
        self._write(memory_requests.Forget(actor=self.actor, project=project, plane=plane, key=key), "")

    # -- Reading -------------------------------------------------------------------------------------------------
    def show(self, issue: str) -> Issue:
        """An issue in full, by its id or the unique start of it.

        Raises:
            RefusedError: `not_found`, `ambiguous`.
        """
        (shown,) = self.call(issue_requests.Show(ids=(issue,)))
        return answers.issue_of(shown)

    def list(self, *, sort: str = "priority", limit: int = LIST_LIMIT, **wanted: Unpack[verbs.Listed]) -> Issues:
        """Issues of the project in an order; `Listed` says how they are chosen. Without a project: of all.

        Args:
            sort: priority, created, updated, closed, status, id, title, type or assignee.
            limit: at most so many; 0 for all.
            wanted: which ones.

        Raises:
            RefusedError: `limit`: so many don't fit one answer, which holds some 20,000; it says how many do. All of a
                large project come by `moot export`, and what changes in it by `events`.
        """
        request = verbs.listed(self.project(), wanted, sort=sort, limit=limit)
        return answers.issues_of(self.call(request))

    def search(self, text: str, *, limit: int = LIST_LIMIT, **wanted: Unpack[verbs.Listed]) -> Issues:
        """Issues with a text in the title, or whose id begins so."""
        request = verbs.listed(self.project(), wanted, limit=limit, title_or_id=text)
        return answers.issues_of(self.call(request))

    def ready(self, *, sort: str = "priority", limit: int = READY_LIMIT, **wanted: Unpack[verbs.Wanted]) -> Issues:
        """Issues that can be worked on now: nothing blocks them. `sort` is priority, oldest or hybrid."""
        request = verbs.ready(self.project(), wanted, sort=sort, limit=limit)
        return answers.issues_of(self.call(request))

    def blocked(self, *, limit: int = READY_LIMIT, **wanted: Unpack[verbs.Wanted]) -> Issues:
        """Issues that something blocks; `blocked_by` says what."""
        return answers.issues_of(self.call(verbs.blocked(self.project(), wanted, limit=limit)))

    def children(self, issue: str) -> Issues:
        """The direct children of an issue."""
        return answers.issues_of(self.call(issue_requests.Children(id=issue)))

    def memories(self, search: str = "") -> tuple[Memory, ...]:
        """What the project remembers, by key; those with a text in key or text, if one is given."""
        where = self._where()
        project, plane = where.need_project(), where.plane
        found = self.call(memory_requests.Memories(project=project, plane=plane, search=search))
        return tuple(map(answers.memory_of, found))

    def stats(self) -> Stats:
        """Totals of the project; without one, of all."""
        project = self.project()
        return answers.stats_of(self.call(issue_requests.Stats(projects=(project,) if project else ())))

    def events(self, since: int | None = None, *, kind: str = "", wait: bool = True) -> Iterator[Event]:
        """The log, event by event, in the order in which they arrived at this replica.

        It has a connection of its own, survives a restart of the daemon, and misses and repeats nothing.

        Args:
            since: go on after the event with this `arrival`; 0 for all of the log. By default what comes after now.
            kind: only events of this kind of entity (`issue`…).
            wait: wait for news for ever; False ends where the log does.
        """
        if since is None:
            since = int(self.call(machine_requests.Events(since=None))["next"])
        return self._follow(since, kind, wait=wait)

    def _follow(self, since: int, kind: str, *, wait: bool) -> Iterator[Event]:
        settings = self._settings
        own = Client(socket=settings.path, autostart=settings.autostart, token=settings.given_token)
        with own:
            while True:
                page = own.call(machine_requests.Events(since=since, kind=kind, wait_ms=verbs.LOOK_MS if wait else 0))
                yield from map(answers.event_of, page["events"])
                if not wait and page["next"] == since:
                    return
                since = int(page["next"])
