"""The daemon put together: the only place that knows every part, and the only one that hosts the console.

Invariant: readiness is told only after a request has gone through the socket and come back; what was accepted before a
stop is finished; the store is closed last. It never serves on without a part that has ended. What neither pings nor
quick reads need is loaded when the socket is served already, but at once and not when it is asked for: another release
may be installed there by then. Only what a single kind of remote needs waits for the first of that kind.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import structlog

from moot.console.terminal import Facts
from moot.facts import ACTORS
from moot_protocol.access.rules import Asker
from moot_protocol.control.rpc import Call, decode_params
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.base import Request
from mootd.config import Config
from mootd.control.hosting import HostedTerminal, StoppingError
from mootd.control.listener import activated, listening
from mootd.control.ports import Settings as ControlSettings
from mootd.control.self_test import answering_pid
from mootd.control.server import ControlServer
from mootd.edges.clock import SystemClock
from mootd.edges.entropy import SystemEntropy
from mootd.edges.home import home_of
from mootd.edges.installed import Installed
from mootd.edges.keys import FileKeyStore
from mootd.edges.notify import Notifier, watchdog_ms
from mootd.edges.paths import Places, private_folder
from mootd.engine.machine.home import Found, is_noted, note_home
from mootd.engine.replica import Replica
from mootd.engine.unit import Unit
from mootd.engine.views.graph import follows_rules
from mootd.service.access.audit_gathering import AuditGathering
from mootd.service.access.gate import Gate
from mootd.service.access.tokens import Tokens
from mootd.service.front import Front
from mootd.service.machine.own_machine import Machine
from mootd.service.reading.quick import QuickReads
from mootd.stopping import Stop
from mootd.store.lmdb_store import LmdbStore
from mootd.troubles import Troubles
from mootd.version import VERSION
from mootd.writer import Commit, Writer

if TYPE_CHECKING:
    from mootd.edges.heap import HeapTrimmer
    from mootd.engine.machine.remotes import RemoteRow
    from mootd.exchange.hub import Hub
    from mootd.exchange.served import Worker
    from mootd.mirror.mirrors import Mirrors
    from mootd.service.following import Following
    from mootd.service.machine.scrub import Scrub
    from mootd.service.service import Service
    from mootd.spool.spools import Spools

R = TypeVar("R")

SWITCH_SECONDS: Final = 0.0002
"""How long a thread may keep the interpreter: a bulk write would else delay every answer by 5 ms."""
COLLECT_AFTER: Final = (60_000, 20, 20)
"""Objects made before garbage is looked for, and how much less often old ones are looked through: the interpreter's own
700 would have it look a hundred times in one bulk write, which leaves next to none. It is some 6 MB at most."""
READERS: Final = 4
"""Threads for long reads."""
EXCHANGERS: Final = 4
"""Threads that seal, open and verify for remotes."""
MIRRORERS: Final = 8
"""Threads that read and write mirrored files."""
_log: Final = structlog.get_logger()


def _console() -> Callable[..., int]:
    """The console's entry. It takes a third of the start to load, and nobody needs it before the daemon serves."""
    from moot.console.main import run

    return run


class _ServiceApi:
    """The console's `Api` over the service, for one command: it waits only as long as its client is there."""

    def __init__(
        self, service: Front, gate: Gate, terminal: HostedTerminal[Facts], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._service = service
        self._gate = gate
        self._terminal = terminal
        self._loop = loop

    def call(self, request: Request[R]) -> R:
        """Carry out a request, if the access rules let its client's user."""
        return self.call_keyed(request, "")

    def call_keyed(self, request: Request[R], key: str) -> R:
        """The same, a write once under its key."""
        self._terminal.check_alive()
        if getattr(request, "wait_ms", 0):
            self._terminal.linger()
        asker = self._terminal.asker
        if asker is None:
            return self._carried_out(request, key)
        grant = self._gate.admit(asker, request)
        with self._gate.telling(grant):
            answer = self._carried_out(grant.request, key)
        return self._gate.narrow(grant, answer)  # type: ignore[no-any-return]  # of the request's own type

    def _carried_out(self, request: Request[R], key: str) -> R:
        """The answer. News is waited for on the loop: a thread that did so itself would be there until some come."""
        wait_ms: int = getattr(request, "wait_ms", 0)
        if not wait_ms:
            return self._service.call(request, key, wait=self._terminal.wait, check=self._terminal.check_alive)
        coming = self._service.handle_async(request, key, self._loop.time() + wait_ms / 1000)
        try:
            answer: R = self._terminal.wait_for_news(asyncio.run_coroutine_threadsafe(coming, self._loop))
        except StoppingError as error:
            error.hint, error.retryable = _how_to_go_on(self._terminal.facts)
            raise
        return answer


def _how_to_go_on(facts: Facts) -> tuple[str, bool]:
    """How to go on with a command under which the daemon stops, and whether it can just be given again."""
    from moot.console.main import how_to_ask_again, what_may_be_done

    again, may_be = how_to_ask_again(facts), what_may_be_done(facts)
    return again or may_be or "it can be given again", bool(again) or not may_be


class _Console:
    """Hosts the console's commands."""

    def __init__(self, serving: "_Serving", clock: SystemClock, loop: asyncio.AbstractEventLoop) -> None:
        self._service, self._gate, self._installed = serving.front, serving.gate, serving.installed
        self._clock = clock
        self._loop = loop

    def facts(self, call: Call) -> Facts:
        """Decode what the client says of itself."""
        return decode_params(call, Facts)

    @staticmethod
    def is_urgent(facts: Facts) -> bool:
        """Whether a command tells of the daemon or ends it, as the console reads its arguments."""
        from moot.console.main import command_of

        return command_of(facts).partition(" ")[0] == "daemon"

    def run(self, terminal: HostedTerminal[Facts]) -> int:
        """Run the command."""
        _note_replaced(self._installed)
        if terminal.asker is not None:
            _name_actor(terminal.facts, self._gate.user(terminal.asker))
        api = _ServiceApi(self._service, self._gate, terminal, self._loop)
        return _console()(api, terminal, self._clock.now_ms(), self._crashed)

    @staticmethod
    def _crashed(error: Exception) -> str:
        request = os.urandom(6).hex()
        _log.error("console.crashed", request=request, exc_info=error)
        return request


def _note_replaced(installed: Installed) -> None:
    """Say once that what is loaded from now on may not fit what was loaded before."""
    if installed.is_news():
        _log.warning("daemon.replaced", running=VERSION, hint="moot daemon restart")


def _name_actor(facts: Facts, user: str) -> None:
    """Let a client whose requests rules bind act as the user they name, unless it says itself who acts."""
    known = facts.environment
    if user and isinstance(known, dict) and not any(known.get(name, "").strip() for name in ACTORS):
        known[ACTORS[0]] = user


class _Observer:
    """Writes what happens on the control socket to the log."""

    def __init__(self) -> None:
        self._note = _log.bind().debug  # bound once: several lines a request are passed over at most levels

    def note(self, what: str, **facts: str | int) -> None:
        """Something worth a line."""
        self._note(what, **facts)

    def crashed(self, what: str, error: BaseException, **facts: str | int) -> None:
        """A defect of ours."""
        _log.error(what, exc_info=error, **facts)


def _gate(
    machine: Machine, service: Front, replica: Replica, records: AuditGathering, executor: ThreadPoolExecutor
) -> Gate:
    """The gate, with the rules as they stand now."""
    try:
        machine.access.rules()
    except MootError as error:
        _log.warning("access.unreadable", error=error.message)
    uid, tokens = os.geteuid(), Tokens(replica)
    return Gate(machine.access, uid, service.call, records, executor, tokens, service.until_loaded)


def _own(gate: Gate) -> Callable[[Request[object]], None]:
    """Lets requests pass that come through files of this very user, as the gate judges those from the socket."""
    uid = os.geteuid()

    def admit(request: Request[object]) -> None:
        if gate.binds(uid):
            gate.admit(Asker(uid), request)

    return admit


class _Parts(NamedTuple):
    """What works while the daemon serves."""

    service: "Service"
    hub: "Hub"
    mirrors: "Mirrors"
    spools: "Spools"
    following: "Following"
    scrub: "Scrub"
    trimmer: "HeapTrimmer"
    troubles: Troubles

    def happened(self, commit: Commit) -> None:
        """Something was committed. Called from the writer's thread."""
        self.service.commits.happened()
        self.hub.happened()
        self.mirrors.happened()
        self.spools.happened()
        self.following.happened()
        if commit.bulk:
            self.trimmer.happened()


class _Serving(NamedTuple):
    """What there is while the socket is served."""

    front: Front
    gate: Gate
    load: Callable[[], _Parts]
    """Makes what works behind the front, and begins with it; called once, in a thread."""
    executor: ThreadPoolExecutor
    installed: Installed


class Daemon:
    """One daemon on one data directory.

    Args:
        places: where everything lies.
        config: what this machine is told to do otherwise.
        notifier: tells the service manager.
    """

    def __init__(self, places: Places, config: Config, notifier: Notifier) -> None:
        self._places = places
        self._config = config
        self._notifier = notifier
        self._clock = SystemClock()
        self._installed = Installed()
        self._ended = threading.Event()

    def run(self, environment: dict[str, str], pid: int) -> None:
        """Serve until stopped.

        Raises:
            RefusedError: it can't serve; says why.
        """
        sys.setswitchinterval(SWITCH_SECONDS)
        private_folder(self._places.data)
        with ExitStack() as stack:
            store = LmdbStore.open(self._places.data / "log")
            stack.callback(store.close)
            entropy = SystemEntropy()
            replica = Replica(store, FileKeyStore(self._places.keys, entropy), self._clock, entropy)
            replica.outbox_caps = self._config.outbox
            self._note_home(replica)
            self._follow_rules(replica)
            stop = Stop()
            machine = Machine(self._places, self._clock, entropy, stop, self._config, self._installed)
            executor = stack.enter_context(ThreadPoolExecutor(READERS, "reader"))
            serving = stack.enter_context(self._serving(replica, machine, executor))
            _log.info("daemon.starting", pid=pid)  # whose is what the log says from here on
            listener = activated(environment, pid) or stack.enter_context(listening(self._places.socket))
            asyncio.run(self._serve(serving, listener, stop))

    def _note_home(self, replica: Replica) -> None:
        """See whether the data directory is where it was: a copy must not write under its original's key."""
        home = home_of(self._places.data / "log")
        with replica.read() as reader:
            if is_noted(reader, home):
                return
        with replica.transaction() as unit:
            found = note_home(unit, home)
        replica.is_moved = found is Found.MOVED
        if found is not Found.SAME:
            _log.warning("daemon.home", found=str(found))

    @staticmethod
    def _follow_rules(replica: Replica) -> None:
        """Bring readiness that an earlier release kept up to this one's rules before anybody reads it."""
        with replica.read() as reader:
            if follows_rules(reader):
                return
        try:
            with replica.transaction():
                pass  # beginning one is all it takes
        except RefusedError as error:  # no room on the disk, say: what is there can be read, and the next write does it
            _log.warning("readiness.not_brought_up", code=str(error.code))

    @contextmanager
    def _serving(self, replica: Replica, machine: Machine, executor: ThreadPoolExecutor) -> "Iterator[_Serving]":
        made: list[_Parts] = []

        def committed(commit: Commit) -> None:
            if commit.error is not None:
                _log.warning("commit.failed", jobs=commit.jobs, code=str(commit.error.code))
            elif made:
                made[0].happened(commit)

        def load() -> _Parts:
            made.append(self._parts(replica, writer, machine, (executor, exchanging, mirroring), gate))
            return made[0]

        writer = Writer(replica.transaction, observer=committed, clock=self._clock)
        replica.others_wait = writer.others_wait
        # Their own threads: a remote or a file system that hangs must not keep readers waiting.
        exchanging = ThreadPoolExecutor(EXCHANGERS, "exchange")
        mirroring = ThreadPoolExecutor(MIRRORERS, "mirror")
        front = Front(machine.ping, QuickReads(replica))
        records = AuditGathering(partial(writer.submit, atomic=True), self._clock)
        records.start()
        gate = _gate(machine, front, replica, records, executor)
        try:
            yield _Serving(front, gate, load, executor, machine.installed)
        finally:
            front.failed(RefusedError("the daemon is stopping", code=Code.CANCELLED, retryable=True))
            for parts in made:
                parts.service.end_backups()
            executor.shutdown()  # it may be loading still
            for parts in made:
                parts.spools.stop()
                parts.following.stop()
                parts.trimmer.stop()
            exchanging.shutdown(cancel_futures=True)
            mirroring.shutdown(cancel_futures=True)
            records.stop()  # after all that asks the gate
            writer.stop()

    def _parts(
        self,
        replica: Replica,
        writer: Writer[Unit],
        machine: Machine,
        threads: tuple[ThreadPoolExecutor, ThreadPoolExecutor, ThreadPoolExecutor],
        gate: Gate,
    ) -> _Parts:
        """What works behind the front. A third of a start is the loading of it: nobody has to wait for that."""
        from mootd.edges.heap import HeapTrimmer, trimming
        from mootd.edges.mirror_file import DiskFile
        from mootd.edges.watching import SystemWatcher
        from mootd.exchange.hub import Hub, Settings
        from mootd.mirror.mirrors import Mirrors
        from mootd.service.following import Following
        from mootd.service.machine.scrub import Scrub
        from mootd.service.service import Service
        from mootd.spool.spools import Spools

        def commit(work: Callable[[Unit], R], /) -> R:
            return writer.submit(work, bulk=True).result()

        executor, exchanging, mirroring = threads
        pace = self._config.exchange
        patience = Settings(debounce_s=pace.debounce_seconds, poll_s=pace.poll_seconds)
        hub = Hub(replica, commit, exchanging, self._worker, patience)
        mirrors = Mirrors(replica, commit, mirroring, DiskFile, SystemWatcher())
        service = Service(replica, writer, machine, executor, hub, mirrors)
        spools = Spools(replica, writer.submit, _own(gate), SystemWatcher(), self._clock)
        following = Following(replica, writer.submit)
        trimmer = HeapTrimmer(trimming())
        spools.start()
        following.start()
        trimmer.start()
        scrub = Scrub(replica, commit, executor, _log.info, service.damages)
        return _Parts(service, hub, mirrors, spools, following, scrub, trimmer, machine.troubles)

    def _worker(self, row: "RemoteRow", hub: "Hub") -> "Worker":
        """What exchanges with a remote; its libraries are loaded when the first one is there."""
        _note_replaced(self._installed)
        from mootd.exchange.workers import make_worker

        return make_worker(row, hub, self._places, dict(os.environ))

    async def _serve(self, serving: _Serving, listener: socket.socket, stop: Stop) -> None:
        loop = asyncio.get_running_loop()
        console = _Console(serving, self._clock, loop)
        server = ControlServer(serving.front, console, _Observer(), ControlSettings(version=VERSION), serving.gate)
        stop.bind(loop, server.stop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        tested = asyncio.Event()

        def ready() -> None:
            told = (loop, tested, serving.front)
            threading.Thread(target=self._announce, args=told, name="self-test", daemon=True).start()

        work = loop.create_task(_work(serving, tested, server.stop), name="work")
        try:
            await server.run(listener, ready)
        finally:
            self._ended.set()
            work.cancel()
            with suppress(asyncio.CancelledError):  # by the line above
                await work
        self._notifier.stopping()
        _log.info("daemon.stopped")

    def _announce(self, loop: asyncio.AbstractEventLoop, tested: asyncio.Event, front: Front) -> None:
        """Test that the socket answers, and tell the service manager once all is loaded; go on where it wants that."""
        pid = self._answering_pid()
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tested.set)
        if pid is None or not front.is_coming():
            return
        self._notifier.ready(f"serving as {pid}")
        _log.info("daemon.serving", version=VERSION, pid=pid)
        _console()  # before the first command comes, if it leaves us the time
        interval_ms = watchdog_ms()
        while interval_ms and not self._ended.wait(interval_ms / 1000) and self._answering_pid():
            self._notifier.watchdog()

    def _answering_pid(self) -> int | None:
        """Who answers at the socket; None, with a line in the log, where nobody does."""
        try:
            return answering_pid(self._places.socket)
        except MootError as error:
            _log.error("daemon.self_test_failed", code=str(error.code))
            return None


async def _work(serving: _Serving, tested: asyncio.Event, stop: Callable[[], object]) -> None:
    """Load what works behind the front, once the socket was tested, and let it work until cancelled.

    Raises:
        MootError: something of it has ended.
    """
    loop = asyncio.get_running_loop()
    await tested.wait()
    try:
        parts = await loop.run_in_executor(serving.executor, serving.load)
    except Exception as error:
        serving.front.failed(error)
        stop()
        raise
    _collect()
    tasks = [
        loop.create_task(parts.hub.run(parts.troubles, "remotes"), name="exchange"),
        loop.create_task(parts.mirrors.run(parts.troubles, "mirrors"), name="mirrors"),
        loop.create_task(parts.scrub.run(), name="scrub"),
    ]
    try:
        await asyncio.sleep(0)  # they have begun, and can be asked
        serving.front.loaded(parts.service)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        stop()  # before anybody relies on what is gone; who started the daemon starts it anew
        ended = done.pop()
        _log.error("daemon.part_ended", part=ended.get_name(), exc_info=ended.exception())
        raise MootError(f"its part `{ended.get_name()}` ended", code=Code.INTERNAL, hint="its log tells more")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _collect() -> None:
    """Look for garbage from now on, which the loading left next to none of: `mootd.main` has put that off."""
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    gc.enable()
