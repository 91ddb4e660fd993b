"""What the control socket needs of the rest of the daemon, and the limits it keeps."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from moot_protocol import limits
from moot_protocol.access.rules import Asker
from moot_protocol.control.rpc import Call
from moot_protocol.requests.base import Request
from mootd.control.hosting import HostedTerminal

Answered = Callable[[Any, BaseException | None], object]
"""Called with an answer and None, or with None and an error."""


class Dispatcher(Protocol):
    """Answers requests. All of it is called in the event loop.

    A MootError it raises is the request's answer; any other exception is answered with `internal` and observed.
    """

    def is_quick(self, request: Request[Any]) -> bool:
        """Whether `handle` answers this one in well under a millisecond, without waiting for disk or anyone."""

    def handle(self, request: Request[Any], key: str) -> Any:
        """Answer a quick request at once. `key` is its idempotency key, or empty."""

    def begin(
        self, request: Request[Any], key: str, deadline: float, answered: Answered
    ) -> Callable[[], object] | None:
        """Begin a request that needs no task to wait for it.

        Args:
            request: what is asked.
            key: its idempotency key, or empty.
            deadline: as for `handle_async`; it is the caller's to end what has begun by then.
            answered: called in the event loop, after this has returned, once; not after what is returned was called.

        Returns:
            What cancels it, or None for one that `handle_async` has to answer.
        """

    async def handle_async(self, request: Request[Any], key: str, deadline: float) -> Any:
        """Answer any other request.

        It is cancelled when the deadline passes, when the client cancels and when the connection closes; what a
        cancelled write has done by then is the dispatcher's to decide, and its key tells a later try.

        Args:
            request: what is asked.
            key: its idempotency key, or empty.
            deadline: on the loop's clock (`loop.time()`), in seconds.
        """


class Grant(Protocol):
    """What a gate says of a request that it lets pass."""

    @property
    def request(self) -> Request[Any]:
        """What is to be carried out."""


class Gate(Protocol):
    """Says whose requests are carried out, where the socket lets in others than the daemon's user."""

    def lets_in(self, uid: int) -> bool:
        """Whether a user id may connect. Called in the event loop; quick."""

    def binds(self, uid: int) -> bool:
        """Whether each request of a user id has to be admitted. Called in the event loop; quick."""

    async def user_async(self, asker: Asker) -> str:
        """The user whose rules bind somebody. Called in the event loop.

        Raises:
            RefusedError: `denied`; `bad_token`.
        """

    async def admit_async(self, asker: Asker, request: Request[Any], *, again: bool = False) -> Grant:
        """Let a request pass, as it is to be carried out. Called in the event loop.

        Args:
            asker: who asks.
            request: what for.
            again: whether it is another look of a subscription, whose first was let pass.

        Raises:
            RefusedError: `denied`; `bad_token`.
        """

    def telling(self, grant: Any) -> AbstractContextManager[None]:
        """Around carrying out what was granted: a refusal says only what may be known. Entered anywhere; quick."""

    async def narrow_async(self, grant: Any, answer: Any) -> Any:
        """What of an answer is shown to whom its request was granted. Called in the event loop."""


class ConsoleHost(Protocol):
    """Runs commands for clients."""

    def facts(self, call: Call) -> Any:
        """Decode what the client says of itself (`rpc.decode_params(call, Facts)`). Called in the event loop.

        Raises:
            RefusedError: it doesn't fit.
        """

    def is_urgent(self, facts: Any) -> bool:
        """Whether a command is let in though all places are taken, as what ends the daemon.

        Called in the event loop, and only once they are.

        Args:
            facts: what `facts` gave.
        """

    def run(self, terminal: HostedTerminal[Any]) -> int:
        """Run the command that the terminal's facts name, in a worker thread, and return its exit code.

        The thread has no other bound than this function's: where it waits, it waits through the terminal.
        """


class Observer(Protocol):
    """Is told what happens; never what a request or its answer holds. Called in the loop and in worker threads."""

    def note(self, what: str, **facts: str | int) -> None:
        """Something worth a log line: `rpc.done` (request, method, outcome, microseconds), `rpc.closed` (…)."""

    def crashed(self, what: str, error: BaseException, **facts: str | int) -> None:
        """A defect of ours, an exception that is no MootError: `rpc.crashed` (request, method)."""


class Settings(NamedTuple):
    """What one control socket allows. Times are seconds."""

    version: str = ""
    """The release that the hello names."""
    owner: int = os.geteuid()
    """The user id that may connect; others only where a gate lets them in."""
    clients: int = limits.RPC_CLIENTS
    clients_per_user: int = limits.RPC_CLIENTS_PER_USER
    """Of a user id other than the owner's."""
    idle: float = 1.0
    """For how long nothing may happen on a connection before it can lose its place: more than any program needs to
    say hello, to send a frame or to ask for the next thing."""
    in_flight: int = limits.RPC_IN_FLIGHT
    consoles: int = limits.RPC_CONSOLES
    reserved: int = 4
    """Places for urgent commands, beside those."""
    frame_bytes: int = limits.RPC_FRAME_BYTES
    buffer_bytes: int = limits.RPC_BUFFER_BYTES
    deadline: float = limits.DEADLINE_MS / 1000
    hello: float = limits.DEADLINE_MS / 1000
    """How long a client may take to say hello."""
    stall: float = limits.RPC_STALL_MS / 1000
    pager: float = limits.RPC_PAGER_MS / 1000
    grace: float = limits.RPC_GRACE_MS / 1000
