"""A hosted command's terminal: its worker thread on one side, the event loop and the client's socket on the other.

Invariants:

* What a command does reaches the client in the order in which it did it: there is one queue, and only the loop empties
  it. Output waits there to be sent together, for at most `FLUSH_SECONDS`.
* The queue is bounded: a command that writes faster than its client reads waits.
* After the connection has closed, every call of the command raises (`cancelled`), so that its thread ends.
* Commands that wait for news or for input don't take all the places: there is a `WaitingRoom` for them.
"""

import threading
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError, Future
from typing import Any, Final, Generic, Protocol, TypeVar

from moot_protocol.access.rules import Asker
from moot_protocol.control import rpc
from moot_protocol.control.effects import LATER, Effects, refusal
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import RPC_BUFFER_BYTES, RPC_CHUNK_BYTES

F = TypeVar("F")
T = TypeVar("T")

FLUSH_SECONDS: Final = 0.1
"""How long output may wait for more: progress still looks smooth, and most commands end sooner."""
FLUSH_BYTES: Final = 64 * 1024
"""How much output waits at most: a socket's buffer holds about twice as much."""


INPUT_SECONDS: Final = 0.5
"""How long input may be on its way before a command counts as one that waits for it."""
_INPUT: Final = frozenset({"read", "more"})
"""Effects that bring input, which may be somebody's who doesn't write, as at the other end of a pipe."""
_PEOPLE: Final = frozenset({"edit"})
"""Effects that people are waited for with: what they have done must not be refused afterwards."""


class StoppingError(RefusedError):
    """A command waits for news of a daemon that is stopping."""

    def __init__(self) -> None:
        super().__init__("the daemon is stopping", code=Code.UNREACHABLE, retryable=True)


class WaitingRoom:
    """Who waits for news or input: so many may, that short commands always find a place.

    Args:
        most: how many may.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changing = threading.Lock()
        self._waiting: set[object] = set()

    def enter(self, command: object) -> None:
        """Count a command as one that waits, from now on until it leaves. Any thread.

        Raises:
            RefusedError: `busy`: there are as many as may be.
        """
        with self._changing:
            if command not in self._waiting and len(self._waiting) >= self._most:
                raise RefusedError(
                    f"{self._most} commands are waiting already",
                    code=Code.BUSY,
                    hint="commands that wait for news or for input (`wait`, `events --follow`, --watch, a pipe that "
                    "nobody writes to) stay until they end: end some, or try again later",
                    retryable=True,
                )
            self._waiting.add(command)

    def leave(self, command: object) -> None:
        """A command has ended. Any thread."""
        with self._changing:
            self._waiting.discard(command)


class Host(Protocol):
    """What all commands share."""

    room: WaitingRoom
    """Where those are counted that wait."""

    def ended(self) -> None:
        """A command has ended, or waits for news. Loop."""


class ConsoleChannel:
    """Where the two sides meet. Methods say which side may call them.

    Args:
        call_id: the request that started the command.
        loop: the event loop.
        write: sends bytes to the client; called in the loop only.
        on_end: called in the loop when the command's last frame has been written.
        hub: what commands share.
    """

    def __init__(
        self,
        call_id: int,
        loop: AbstractEventLoop,
        write: Callable[[bytes], None],
        on_end: Callable[[], None],
        hub: Host,
    ) -> None:
        self._id = call_id
        self._room = hub.room
        self._on_wait = hub.ended
        self.is_for_news = False
        """Whether the command waits for news and does nothing else."""
        self._stopping = False
        """Whether no news are waited for any more."""
        self._loop = loop
        self._write = write
        self._on_end = on_end
        self._changed = threading.Condition()
        self._frames: list[bytes] = []
        self._stream = ""
        self._run: list[bytes] = []
        """Output to one stream that is not yet made into frames."""
        self._size = 0
        self._pump_due = False
        self._paused = False
        self._closed = False
        self._ended = False
        self._asking = False
        self._refused: RefusedError | None = None
        """Why an effect was no longer waited for: what the client replies to it is for nobody, and none follows."""
        self._reply: rpc.Reply | None = None
        self._awaited: Future[Any] | None = None
        self._timer: TimerHandle | None = None
        self._timed = False
        """Whether a timer is about to send what waits."""

    # -- The loop's side -------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begin to time the output. Loop."""
        self._timed = True
        self._arm()

    def pump(self) -> None:
        """Write what waits, unless the client reads too slowly. Loop."""
        with self._changed:
            self._pump_due = False
            if self._paused or self._closed:
                return
            self._seal()
            frames, self._frames, self._size = self._frames, [], 0
            ended = self._ended
            self._changed.notify_all()
        if frames:
            self._write(b"".join(frames))
        if ended:
            self._stop_timer()
            self._on_end()

    def pause(self) -> None:
        """Hold everything back: the client reads too slowly. Loop."""
        with self._changed:
            self._paused = True

    def resume(self) -> None:
        """Go on writing. Loop."""
        with self._changed:
            self._paused = False
        self.pump()

    def deliver(self, reply: rpc.Reply) -> bool:
        """Hand over the client's reply; False if the command has asked for none. Loop."""
        with self._changed:
            if not self._asking or self._reply is not None:
                return False
            self._reply = reply
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """The client has gone or has cancelled: make every call of the command raise. Loop."""
        self._stop_timer()
        with self._changed:
            self._closed = True
            awaited = self._awaited
            self._changed.notify_all()
        if awaited is not None:
            awaited.cancel()

    def dismiss(self) -> None:
        """The daemon is stopping: make the command's wait for news raise, this one or the next. Loop."""
        with self._changed:
            self._stopping = True
            awaited = self._awaited if self.is_for_news else None
            self.is_for_news = False
        if awaited is not None:
            awaited.cancel()

    def _arm(self) -> None:
        if not self._closed:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._tick)

    def _tick(self) -> None:
        self._timed = False
        self.pump()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # -- The command's side ----------------------------------------------------------------------------------------
    def put(self, stream: str, data: bytes) -> None:
        """Send output, soon; waits while too much is on its way. Thread.

        Raises:
            RefusedError: `cancelled`: the client has gone.
        """
        with self._changed:
            self._check()
            if stream != self._stream:
                self._seal()
                self._stream = stream
            self._run.append(data)
            self._size += len(data)
            if self._size >= FLUSH_BYTES:
                self._ask_pump()
            elif not self._timed:
                self._timed = True
                self._post(self._arm)
            while self._size >= RPC_BUFFER_BYTES and not self._closed:
                self._changed.wait()
            self._check()

    def ask(self, effect: str, *details: int | str | bytes) -> bytes:
        """Have an effect done and return what the client replies. Thread.

        Raises:
            RefusedError: the client's code and reason why it couldn't; `cancelled`; `busy`: it would wait for somebody,
                as too many do.
        """
        if effect in _PEOPLE:
            self.linger()
        with self._changed:
            self._check()
            if self._refused is not None:
                raise self._refused
            self._asking = True
            self._queue(rpc.effect_frame(self._id, effect, *details))
            if effect in _INPUT and not self._changed.wait_for(self._is_told, INPUT_SECONDS):
                self._wait_on()
            self._changed.wait_for(self._is_told)
            self._check()
            reply, self._reply, self._asking = self._reply, None, False
        if reply is None:
            raise refusal(b"no reply")
        if reply.kind == "fail":
            raise refusal(reply.data, reply.code)
        return reply.data

    def tell(self, effect: str, *details: int | str | bytes) -> None:
        """Have an effect done that is not replied to; does nothing once the client has gone. Thread."""
        with self._changed:
            if not self._closed:
                self._queue(rpc.effect_frame(self._id, effect, *details))

    def wait(self, future: "Future[T]", *, for_news: bool = False) -> T:
        """Wait for something that others work on, and cancel it if the client goes away. Thread.

        Args:
            future: what is waited for.
            for_news: whether it is news, for which no stop of the daemon waits.

        Raises:
            RefusedError: `cancelled`.
            StoppingError: it is news, and the daemon is stopping.
            Exception: what the future holds.
        """
        with self._changed:
            if self._closed or (for_news and self._stopping):
                future.cancel()
            self._awaited = future
            self.is_for_news = for_news and not self._stopping
        try:
            if for_news:
                self._post(self._on_wait)
            return future.result()
        except CancelledError as error:
            raise (StoppingError() if for_news and self._stopping and not self._closed else _cancelled()) from error
        finally:
            self._awaited, self.is_for_news = None, False

    def check(self) -> None:
        """Raise if the client has gone. Thread.

        Raises:
            RefusedError: `cancelled`.
        """
        with self._changed:
            self._check()

    def end(self, last: bytes) -> None:
        """Send the last frame, and everything before it. Thread; nothing may follow."""
        self._room.leave(self)
        with self._changed:
            if not self._closed:
                self._ended = True
                self._queue(last)

    def linger(self) -> None:
        """Say that the command may wait for long. Thread.

        Raises:
            RefusedError: `busy`: too many do.
        """
        self._room.enter(self)

    def _wait_on(self) -> None:
        try:
            self.linger()
        except RefusedError as error:
            self._refused = error
            raise

    def _is_told(self) -> bool:
        return self._reply is not None or self._closed

    def _check(self) -> None:
        if self._closed:
            raise _cancelled()

    def _queue(self, frame: bytes) -> None:
        self._seal()
        self._frames.append(frame)
        self._ask_pump()

    def _seal(self) -> None:
        """Make frames of the output so far. Under the lock."""
        if self._run:
            data = b"".join(self._run)
            self._run.clear()
            for start in range(0, len(data), RPC_CHUNK_BYTES):
                piece = data[start : start + RPC_CHUNK_BYTES]
                self._frames.append(rpc.effect_frame(self._id, self._stream, piece))

    def _ask_pump(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._post(self.pump)

    def _post(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError as error:  # the loop has been closed under a command that outlived the grace
            self._closed = True
            raise _cancelled() from error


class HostedTerminal(Effects, Generic[F]):
    """The terminal of a command that runs here for a client elsewhere (`Terminal` of the console, by its shape).

    Args:
        facts: what the client said of itself.
        channel: the way to it.
        asker: who the client is where access rules bind what it asks for; else None.
        knows: the effects that the client says it knows of those that not every release does.
    """

    def __init__(self, facts: F, channel: ConsoleChannel, asker: Asker | None, knows: Collection[str]) -> None:
        super().__init__(self._ask_known, channel.tell)
        self._knows = knows
        self.asker = asker
        self._facts = facts
        self._channel = channel

    def _ask_known(self, effect: str, *details: int | str | bytes) -> bytes:
        """Have an effect done, if the client's release knows it: one that doesn't would end the command.

        Raises:
            RefusedError: `bad_version`, or as `ConsoleChannel.ask`.
        """
        if effect in LATER and effect not in self._knows:
            raise RefusedError(
                "this client is of an earlier release than the daemon and can't do all that the command needs",
                code=Code.BAD_VERSION,
                hint="upgrade it: install here what the daemon runs",
            )
        return self._channel.ask(effect, *details)

    @property
    def facts(self) -> F:
        """What the client said of itself."""
        return self._facts

    def out(self, text: str) -> None:
        """Write to the client's standard output."""
        self._channel.put("out", text.encode("utf-8", "replace"))

    def err(self, text: str) -> None:
        """Write to the client's standard error."""
        self._channel.put("err", text.encode("utf-8", "replace"))

    def linger(self) -> None:
        """Say that the command may wait for long now, for news.

        Raises:
            RefusedError: `busy`: too many do.
        """
        self._channel.linger()

    def check_alive(self) -> None:
        """Raise if the client has gone.

        Raises:
            RefusedError: `cancelled`.
        """
        self._channel.check()

    def wait(self, future: "Future[T]") -> T:
        """Wait for what others work on; it is cancelled if the client goes away.

        Raises:
            RefusedError: `cancelled`.
            Exception: what the future holds.
        """
        return self._channel.wait(future)

    def wait_for_news(self, future: "Future[T]") -> T:
        """As `wait`, of what a stop of the daemon doesn't wait for."""
        return self._channel.wait(future, for_news=True)


def _cancelled() -> RefusedError:
    return RefusedError("the client has gone away", code=Code.CANCELLED)
