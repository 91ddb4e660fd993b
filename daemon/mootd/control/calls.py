"""The requests of one client that are under way: begun in order, each answered exactly once, in any order.

Guarantees: whatever becomes of a request, its client gets one answer, unless it is gone: then all that it had begun is
cancelled. A client that doesn't read what it is sent has nothing new begun for it, and its commands wait.
"""

import asyncio
from asyncio import AbstractEventLoop, TaskGroup
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Protocol

from moot_protocol.access.rules import Asker
from moot_protocol.control import rpc
from moot_protocol.errors import Code, MalformedError, MootError, RefusedError, defect
from moot_protocol.requests.base import Request
from moot_protocol.requests.machine import Events
from mootd.control.hosting import ConsoleChannel, HostedTerminal, WaitingRoom
from mootd.control.places import busy
from mootd.control.ports import ConsoleHost, Dispatcher, Gate, Observer, Settings
from mootd.control.work import Work, answer_frame, nothing, took_too_long

SUBSCRIPTION_WAIT_MS: Final = 30_000
"""How long one look for news waits: a subscription is a chain of them."""
MICROSECONDS: Final = 1_000_000


class Hub(Protocol):
    """What the requests of all connections share."""

    dispatcher: Dispatcher
    console: ConsoleHost
    observer: Observer
    settings: Settings
    gate: Gate | None
    tasks: TaskGroup
    threads: ThreadPoolExecutor
    hosted: "set[Future[None]]"
    """The commands whose threads have not ended. Changed in the loop only."""
    room: WaitingRoom
    """Which of them wait for news or input."""

    def ended(self) -> None:
        """A request, a command's thread or a connection has ended, or a command waits for news."""


class Calls:
    """What one client has asked for and not been answered. All methods are called in the loop but `_run_console`.

    Args:
        hub: what all connections share.
        number: of the connection, for logs.
        write: sends bytes to the client; nothing happens where it is gone.
    """

    def __init__(self, hub: Hub, number: int, write: Callable[[bytes], None]) -> None:
        self._hub = hub
        self._number = number
        self._write = write
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._works: dict[int, Work] = {}
        self.uid: int | None = None
        """The client's user id, where the system can tell."""
        self.asker: Asker | None = None
        """Who the client is, where its requests have to be admitted."""
        self.effects: Collection[str] = ()
        """What it says that it carries out, of what not every client does."""
        self._asked = False
        """Whether a request was begun."""
        self.writable = asyncio.Event()
        """Set while the client reads what it is sent."""
        self.writable.set()
        self.quiet_since = self._loop.time()
        """When the client last began or ended something, on the loop's clock, in seconds."""

    def __bool__(self) -> bool:
        """Whether anything is under way."""
        return bool(self._works)

    @property
    def holds_up(self) -> bool:
        """Whether a stop waits for something that is under way."""
        return any(work.holds_up for work in self._works.values())

    @property
    def hosts(self) -> bool:
        """Whether a command is among them."""
        return any(work.channel for work in self._works.values())

    # -- What the connection tells ---------------------------------------------------------------------------------
    def take(self, payload: bytes) -> None:
        """Begin what a frame asks for, or hand it to the command that asked for it.

        Raises:
            MalformedError: it is neither, or a request bears the number of one that is under way.
        """
        message = rpc.decode_from_client(payload)
        if isinstance(message, rpc.Reply):
            work = self._works.get(message.id)
            if work is not None and work.channel and not work.channel.deliver(message):
                raise MalformedError(f"a reply that command {message.id} has not asked for")
            return  # what a command that has ended asked for last may still come
        if message.id in self._works:
            raise MalformedError(f"a second request {message.id} while the first is under way")
        self._begin(message)

    def pause(self) -> None:
        """The client reads more slowly than it is answered: its commands wait."""
        self.writable.clear()
        for work in self._works.values():
            if work.channel:
                work.channel.pause()

    def resume(self) -> None:
        """The client has read: go on."""
        self.writable.set()
        for work in list(self._works.values()):
            if work.channel:
                work.channel.resume()

    def dismiss(self) -> None:
        """Tell commands that wait for news that the daemon is stopping."""
        for work in self._works.values():
            if work.channel:
                work.channel.dismiss()

    def abandon(self) -> None:
        """The client is gone: cancel what it had begun."""
        for call_id in list(self._works):
            self._finish(call_id, Code.CANCELLED).stop()
        self.writable.set()

    # -- Requests --------------------------------------------------------------------------------------------------
    def _begin(self, call: rpc.Call) -> None:
        work = Work(call, self._loop.time())
        self._works[call.id] = work
        try:
            self._check_room(call)
            if call.method == rpc.AUTHENTICATE:
                self._authenticate(work)
            elif call.method == rpc.CONSOLE:
                self._host(work)
            elif call.method == rpc.SUBSCRIBE:
                work.is_for_news = True
                self._start(work, self._subscribed(work, rpc.decode_params(call, Events)))
            elif call.method == rpc.CANCEL:
                self._answer(work, self._cancelled(rpc.decode_params(call, rpc.CancelParams).id))
            else:
                self._request(work, rpc.decode_request(call))
        except Exception as error:  # whatever it was, the client gets an answer
            self._fail(work, error)
        self._asked = True

    def _authenticate(self, work: Work) -> None:
        """Bind all that follows to a token's user, from this moment on and whether or not the token is good."""
        gate = self._hub.gate
        token = rpc.decode_params(work.call, rpc.AuthenticateParams).token
        if self._asked or gate is None:
            raise RefusedError("an API token comes with the first request of a connection", code=Code.USAGE)
        self.asker = Asker(self.uid, token)
        self._start(work, self._authenticated(work, gate, self.asker))

    async def _authenticated(self, work: Work, gate: Gate, asker: Asker) -> None:
        try:
            self._answer(work, {"user": await gate.user_async(asker)})
        except Exception as error:  # whatever it was, the client gets an answer
            self._fail(work, error)

    def _check_room(self, call: rpc.Call) -> None:
        if len(self._works) > (most := self._hub.settings.in_flight) and call.method != rpc.CANCEL:
            raise busy(f"{most} requests of this connection are under way already")

    def _request(self, work: Work, request: Request[Any]) -> None:
        dispatcher = self._hub.dispatcher
        work.is_for_news = bool(getattr(request, "wait_ms", 0))
        if self.asker is None and dispatcher.is_quick(request):
            self._answer(work, dispatcher.handle(request, work.call.key))
        elif self.asker is not None or not self._begun(work, request):
            self._start(work, self._worked(work, request))

    def _begun(self, work: Work, request: Request[Any]) -> bool:
        """Begin a request without a task, where that can be."""
        deadline = self._deadline_of(work)
        answered = partial(self._answered, work)
        stop = self._hub.dispatcher.begin(request, work.call.key, deadline, answered)
        if stop is None:
            return False
        work.stop = stop
        work.patience = self._loop.call_at(deadline, self._late, work, request)
        return True

    def _answered(self, work: Work, result: Any, error: BaseException | None) -> None:
        if error is not None:
            self._fail(work, error)
        elif self.writable.is_set():
            self._give(work, result)
        else:
            self._start(work, self._answer_later(work, result))

    async def _answer_later(self, work: Work, result: Any) -> None:
        await self._until_writable()
        self._give(work, result)

    def _late(self, work: Work, request: Request[Any]) -> None:
        if self._is_open(work):
            work.stop()
            self._fail(work, took_too_long(request, work.call.key))

    def _deadline_of(self, work: Work) -> float:
        given = work.call.deadline_ms
        return work.begun + (self._hub.settings.deadline if given is None else given / 1000)

    def _start(self, work: Work, coroutine: Any) -> None:
        task = self._hub.tasks.create_task(coroutine, name=f"rpc.{self._number}.{work.call.id}.{work.call.method}")
        work.stop = task.cancel

    async def _worked(self, work: Work, request: Request[Any]) -> None:
        try:
            result = await self._within(request, work.call.key, self._deadline_of(work))
            await self._until_writable()
            self._answer(work, result)
        except Exception as error:  # whatever it was, the client gets an answer
            self._fail(work, error)

    async def _until_writable(self) -> None:
        """Wait until the client has read enough; of those who wait, each looks again after the others have written."""
        while not self.writable.is_set():
            await self.writable.wait()

    async def _within(self, request: Request[Any], key: str, deadline: float, *, again: bool = False) -> Any:
        try:
            async with asyncio.timeout_at(deadline):
                gate, dispatcher = self._hub.gate, self._hub.dispatcher
                if self.asker is None or gate is None:
                    return await dispatcher.handle_async(request, key, deadline)
                grant = await gate.admit_async(self.asker, request, again=again)
                with gate.telling(grant):
                    answer = await dispatcher.handle_async(grant.request, key, deadline)
                return await gate.narrow_async(grant, answer)
        except TimeoutError as error:
            raise took_too_long(request, key) from error

    async def _subscribed(self, work: Work, first: Events) -> None:
        """Look for news again and again, each event one frame, until cancelled."""
        try:
            since, again = first.since, False
            while True:
                look = Events(since=since, limit=first.limit, wait_ms=SUBSCRIPTION_WAIT_MS, kind=first.kind)
                deadline = self._loop.time() + SUBSCRIPTION_WAIT_MS / 1000 + self._hub.settings.deadline
                page = await self._within(look, "", deadline, again=again)
                for event in page["events"]:
                    await self._until_writable()
                    self._write(rpc.event_frame(work.call.id, event))
                since, again = page["next"], True
        except Exception as error:  # whatever it was, the client gets an answer
            self._fail(work, error)

    def _cancelled(self, call_id: int) -> bool:
        work = self._works.get(call_id)
        if work is None or work.stop is nothing:
            return False
        work.stop()
        self._fail(work, RefusedError("cancelled as asked", code=Code.CANCELLED))
        return True

    # -- Answers ---------------------------------------------------------------------------------------------------
    def _answer(self, work: Work, result: Any) -> None:
        if self._is_open(work):
            answer = answer_frame(work.call.id, result)
            self._finish(work.call.id)
            self._write(answer)

    def _give(self, work: Work, result: Any) -> None:
        try:
            self._answer(work, result)
        except Exception as error:  # whatever it was, the client gets an answer
            self._fail(work, error)

    def _fail(self, work: Work, error: BaseException) -> None:
        if self._is_open(work):
            known = self._known(work, error)
            self._finish(work.call.id, known.code)
            self._write(rpc.error_frame(work.call.id, known))

    def _known(self, work: Work, error: BaseException) -> MootError:
        if isinstance(error, MootError):
            return error
        request = self._name_of(work.call.id)
        self._hub.observer.crashed("rpc.crashed", error, request=request, method=work.call.method)
        return defect(error, f"the daemon failed in a way it should not; its log tells more under request {request}")

    def _name_of(self, call_id: int) -> str:
        """What a request is called in the log."""
        return f"{self._number}.{call_id}"

    def _is_open(self, work: Work) -> bool:
        return self._works.get(work.call.id) is work

    def _finish(self, call_id: int, outcome: Code | None = None) -> Work:
        work = self._works.pop(call_id)
        if work.patience is not None:
            work.patience.cancel()
        self.quiet_since = self._loop.time()
        self._hub.ended()
        self._hub.observer.note(
            "rpc.done",
            request=self._name_of(call_id),
            method=work.call.method,
            outcome=outcome.value if outcome else "ok",
            microseconds=round((self._loop.time() - work.begun) * MICROSECONDS),
        )
        return work

    # -- Commands --------------------------------------------------------------------------------------------------
    def _host(self, work: Work) -> None:
        hub = self._hub
        facts = hub.console.facts(work.call)
        beyond = len(hub.hosted) - hub.settings.consoles
        if beyond >= 0 and not (beyond < hub.settings.reserved and hub.console.is_urgent(facts)):
            raise busy(f"{hub.settings.consoles} commands are running already")
        ended = partial(self._ended, work)
        work.channel = channel = ConsoleChannel(work.call.id, self._loop, self._write, ended, hub)
        work.stop = channel.close
        if not self.writable.is_set():
            channel.pause()
        channel.start()
        thread = hub.threads.submit(self._run_console, work, HostedTerminal(facts, channel, self.asker, self.effects))
        hub.hosted.add(thread)
        thread.add_done_callback(self._thread_ended)

    def _run_console(self, work: Work, terminal: HostedTerminal[Any]) -> None:
        """Run a command to its end. In a worker thread."""
        try:
            last = rpc.effect_frame(work.call.id, "exit", self._hub.console.run(terminal))
        except BaseException as error:  # SystemExit as well: the client waits for an end
            last = rpc.error_frame(work.call.id, self._known(work, error))
        if work.channel:
            work.channel.end(last)

    def _thread_ended(self, thread: "Future[None]") -> None:
        """A command's thread has ended. In that thread, or where it was cancelled before it began."""
        try:
            self._loop.call_soon_threadsafe(self._forget, thread)
        except RuntimeError:
            self._hub.observer.note("rpc.late", connection=self._number)

    def _forget(self, thread: "Future[None]") -> None:
        self._hub.hosted.discard(thread)
        self._hub.ended()

    def _ended(self, work: Work) -> None:
        if self._is_open(work):
            self._finish(work.call.id)
