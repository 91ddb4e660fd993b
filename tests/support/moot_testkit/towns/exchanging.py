"""Towns whose machines exchange planes: replicas that joined by tickets, each with the daemon's hub, in one process.

A peer's store, keys and clock outlive `die`, which is the end of its process at whatever point it stands. With the
settings `STILL` nothing happens unless asked for by name (`sync`); with `QUICK` everything happens soon.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from moot_protocol.crypto import SeedSigner
from moot_protocol.exchange.frontier import summary
from moot_protocol.exchange.sync import Position
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.actions import Erase
from moot_protocol.requests.exchange import Sync
from moot_protocol.requests.issues import Create, InitProject, IssueFields
from moot_protocol.trust.ticket import decode_ticket, encode_ticket
from moot_testkit.machines.mqtt_broker import speaks
from moot_testkit.towns.town import PROJECT, START_MS, Member
from mootd.edges.clock import ManualClock
from mootd.edges.entropy import SeededEntropy
from mootd.edges.git.remote import GitRemote
from mootd.edges.memory_line import MemoryBroker, MemoryRemote
from mootd.edges.memory_remote import MemoryRefRemote, MemoryRefs
from mootd.edges.mqtt.address import parse_address
from mootd.edges.mqtt.remote import MqttRemote
from mootd.edges.mqtt.settings import Options
from mootd.engine.exchange.outbox import Gauge, OutboxReader
from mootd.engine.exchange.stored_log import StoredLog
from mootd.engine.machine.remotes import RemoteRow, add_remote, remote_named
from mootd.engine.membership.charter_writing import OPERATIONAL_ONLY, found_town
from mootd.engine.membership.inviting import invite
from mootd.engine.membership.joining import join
from mootd.engine.replica import Replica
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.exchange.git_worker import GitWorker
from mootd.exchange.hub import Hub, Settings
from mootd.exchange.live_plane import LivePlane
from mootd.exchange.live_worker import LiveWorker
from mootd.exchange.plane_on_remote import PlaneOnRemote
from mootd.exchange.progress import Progress
from mootd.exchange.ref_exchange import MESSAGE_BYTES, RefExchange
from mootd.exchange.served import Worker
from mootd.remotes import LiveRemote, RefRemote
from mootd.service.writing.writes import carry_out

R = TypeVar("R")
Way = Callable[[RemoteRow, Hub], Worker]
"""Makes what exchanges with a remote."""

WAIT_S: Final = 240.0
"""Seconds after which a test gives up waiting for what must come; nothing is measured by it."""
QUICK: Final = Settings(debounce_s=0.0, poll_s=0.2, base_s=0.01, cap_s=0.1)
STILL: Final = Settings(debounce_s=3600.0, poll_s=3600.0, base_s=3600.0, cap_s=3600.0)
HASTY: Final = Options(speaks(), connect_s=2, publish_s=2)
"""A broker that says nothing for so long is given up."""


class TickingClock(ManualClock):
    """A wall clock that goes on by a millisecond whenever somebody looks at it, from whatever thread."""

    def __init__(self, now_ms: int) -> None:
        super().__init__(now_ms)
        self._lock = Lock()

    def advance(self, ms: int) -> None:
        """Let time pass; a jump must not get lost between two looks of other threads."""
        with self._lock:
            super().advance(ms)

    def now_ms(self) -> int:
        """What the wall shows."""
        self.advance(1)
        return super().now_ms()


class Peer:
    """A machine that exchanges planes.

    Args:
        name: its name.
        settings: how patient its hub is.
    """

    def __init__(self, name: str, settings: Settings = STILL) -> None:
        self.name = name
        self.member = Member(name, 0)
        self.member.clock = TickingClock(START_MS)
        self.member.restart()
        self.ways: dict[str, Way] = {}
        """A remote's name → how it is reached."""
        self._settings = settings
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(4, name)
        self._task: asyncio.Task[None] | None = None
        self.commits = 0
        """Transactions so far."""
        self.hub = self._make_hub()

    def _make_hub(self) -> Hub:
        return Hub(
            self.replica, self.commit, self._threads, lambda row, hub: self.ways[row.name](row, hub), self._settings
        )

    @property
    def replica(self) -> Replica:
        """Its replica."""
        return self.member.replica

    @property
    def clock(self) -> ManualClock:
        """Its clock."""
        return self.member.clock

    def commit(self, work: Callable[[Unit], R], /) -> R:
        """Carry out work in a transaction of its own, as the daemon's writer does."""
        with self._lock:
            answer = self.member.commit(work)
            self.commits += 1
        self.hub.happened()
        return answer

    # -- What it holds -------------------------------------------------------------------------------------------
    def plane(self, name: str = "ledger") -> PlaneRow:
        """A plane by its name."""
        return self.replica.plane_named(name)

    def position(self, plane: str = "ledger") -> Position:
        """Where it stands on a plane."""
        return StoredLog(self.replica, SharedPlane(self.plane(plane)), self.commit).position()

    def events(self, plane: str = "ledger") -> int:
        """How many events it has accepted."""
        return sum(entry.n for entry in self.position(plane).frontier)

    def withheld(self) -> int:
        """How many batches of its ledger it has accepted some of whose values are missing."""
        return len(StoredLog(self.replica, SharedPlane(self.plane("ledger")), self.commit).missing(100))

    def own_n(self, plane: str = "ledger") -> int:
        """The number of its own last event."""
        return next((entry.n for entry in self.position(plane).frontier if entry.author == self.replica.id), 0)

    def number(self, remote: str) -> int:
        """A remote's number here."""
        with self.replica.read() as reader:
            return remote_named(reader, remote).number

    def progress(self, remote: str = "origin") -> Progress:
        """How the exchange with a remote goes."""
        return self.hub.progress(self.number(remote))

    def gauge(self, remote: str = "origin") -> Gauge:
        """How full a remote's queue is."""
        with self.replica.read() as reader:
            return OutboxReader(reader, self.number(remote)).gauge()

    def on_remote(self, remote: str = "origin", plane: str = "ledger") -> PlaneOnRemote:
        """A plane on a remote, as the hub's own."""
        return PlaneOnRemote(
            self.replica, self.plane(plane), self.number(remote), self.commit, message_bytes=MESSAGE_BYTES
        )

    # -- What it does --------------------------------------------------------------------------------------------
    def write(self, count: int = 1, plane: str = "") -> None:
        """Create issues, each in a commit of its own."""
        for _ in range(count):
            self.commit(self._create(plane))

    def write_at_once(self, count: int) -> None:
        """Create issues in one commit."""
        create = self._create("")
        self.commit(lambda unit: [create(unit) for _ in range(count)])

    def say(self, text: str) -> str:
        """Create an issue whose description says something, all in one commit; its id."""
        fields = IssueFields(title="an issue", description=text)
        made: dict[str, Any] = self.commit(
            lambda unit: carry_out(unit, Create(actor=self.name, project=PROJECT, fields=fields))
        )
        return str(made["id"])

    def erase(self, issue: str) -> None:
        """Erase all that an issue says."""
        self.commit(lambda unit: carry_out(unit, Erase(actor=self.name, id=issue)))

    def _create(self, plane: str) -> Callable[[Unit], Any]:
        fields = IssueFields(title=f"an issue of {self.name}'s")
        return lambda unit: carry_out(unit, Create(actor=self.name, project=PROJECT, plane=plane, fields=fields))

    def add(self, way: Way, name: str = "origin", kind: str = "git", mode: str = "auto") -> None:
        """Add a remote."""
        self.ways[name] = way
        self.commit(lambda unit: add_remote(unit, name, kind, f"test://{name}", mode, {}))

    def join(self, founder: "Peer", plane: str = "ledger") -> None:
        """Join a founder's plane with a ticket as people hand it over."""
        made = founder.commit(lambda unit: invite(unit, founder.plane(plane), Role.WRITER, 0, ()))
        ticket = decode_ticket(encode_ticket(made.ticket))
        self.commit(lambda unit: join(unit, ticket))

    def start(self) -> None:
        """Let its hub run."""
        self._task = asyncio.get_running_loop().create_task(self.hub.run(), name=self.name)

    async def die(self) -> None:
        """End, at whatever point it stands."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._task = None

    async def live_again(self) -> None:
        """Die, and begin anew with what was committed."""
        await self.die()
        with self._lock:
            self.member.restart()
        self.hub = self._make_hub()
        self.start()

    async def sync(self, plane: str = "") -> list[dict[str, Any]]:
        """Exchange now, and wait for the end of it; what became of each remote."""
        async with asyncio.timeout(WAIT_S):
            answer = await self.hub.sync(Sync(plane=plane))
            while not answer["done"]:
                answer = await self.hub.sync(Sync(cursor=answer["cursor"], wait_ms=1000))
        remotes: list[dict[str, Any]] = answer["remotes"]
        return remotes

    def close(self) -> None:
        """Let its threads end."""
        self._threads.shutdown(cancel_futures=True)


@asynccontextmanager
async def peers(
    count: int, settings: Settings = STILL, *, joined: bool = True, running: bool = True
) -> AsyncIterator[list[Peer]]:
    """Machines whose hubs run; the first has founded a town and the project `demo`.

    Args:
        count: how many.
        settings: how patient their hubs are.
        joined: whether the others have joined the first one's ledger.
        running: whether the hubs run.
    """
    made = [Peer(f"peer-{number}", settings) for number in range(count)]
    founder, *others = made
    found(founder)
    for other in others:
        found(other, OPERATIONAL_ONLY)
        if joined:
            other.join(founder)
    try:
        for peer in made if running else ():
            peer.start()
        yield made
    finally:
        await asyncio.gather(*(peer.die() for peer in made))
        for peer in made:
            peer.close()


def found(peer: Peer, planes: Sequence[Any] | None = None) -> None:
    """Found a town; with its first planes and the project `demo`, or with these planes."""
    recovery = SeedSigner(SeededEntropy(f"{peer.name} recovery".encode()).bytes(32)).public
    if planes is not None:
        peer.commit(lambda unit: found_town(unit, recovery, planes))
        return
    peer.commit(lambda unit: found_town(unit, recovery))
    peer.commit(lambda unit: carry_out(unit, InitProject(actor=peer.name, prefix=PROJECT)))


# -- Ways ----------------------------------------------------------------------------------------------------------
class RefWorker:
    """Exchanges planes with any remote that keeps frames in refs."""

    debounce_s = None
    poll_s = None
    linger_s = 0.0
    is_settled = True

    def __init__(self, remote: RefRemote, number: int, hub: Hub) -> None:
        self._remote = remote
        self._number = number
        self._hub = hub
        self._exchange = RefExchange(remote, number, hub.replica, hub.commit, hub.in_thread)

    async def round(self, planes: Sequence[PlaneRow], progress: Progress, *, is_asked: bool) -> None:
        """As the port's."""
        del is_asked
        hub = self._hub
        await self._exchange.round(
            [
                PlaneOnRemote(hub.replica, each, self._number, hub.commit, message_bytes=MESSAGE_BYTES)
                for each in planes
            ],
            progress,
        )

    async def close(self) -> None:
        """As the port's."""

    async def check(self) -> list[dict[str, Any]]:
        """As the port's."""
        return []


def through_git(address: str, folder: Path, environment: Mapping[str, str]) -> Way:
    """A real repository; Moot's own one lies in the folder, which is this peer's alone."""
    return lambda row, hub: GitWorker(GitRemote(address, folder / f"{row.number}.git", environment), row.number, hub)


def through_refs(remote: RefRemote | MemoryRefs) -> Way:
    """Refs in memory, or a remote of any kind."""
    if isinstance(remote, MemoryRefs):
        remote = MemoryRefRemote(remote)
    return lambda row, hub: RefWorker(remote, row.number, hub)


def through_line(remote: LiveRemote | MemoryBroker) -> Way:
    """A broker in memory, or a live remote of any kind."""
    if isinstance(remote, MemoryBroker):
        remote = MemoryRemote(remote)
    return lambda row, hub: LiveWorker(remote, row.number, hub)


def through_broker(port: int, options: Options = HASTY, user: str = "") -> Way:
    """A real broker on loopback."""
    return through_line(MqttRemote(parse_address(f"mqtt://127.0.0.1:{port}")._replace(user=user), options=options))


def live_plane(peer: Peer) -> LivePlane:
    """The ledger of a peer on a line that nobody serves, with nothing handed over so far. Called in the loop."""
    peer.add(through_line(MemoryBroker()), kind="mqtt")
    peer.hub._loop = asyncio.get_running_loop()
    return LivePlane(peer.hub, peer.plane(), peer.number("origin"), Progress())


async def in_place(work: Callable[[], R], /) -> R:
    """Run what blocks where it is asked for."""
    return work()


# -- Waiting -------------------------------------------------------------------------------------------------------
async def until(condition: Callable[[], bool], deadline_s: float = WAIT_S) -> None:
    """Wait for something that nobody reports."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)


def in_step(*some: Peer, plane: str = "ledger") -> bool:
    """Whether all of them hold the same events of a plane, derive the same state, and may write there.

    A machine that joins holds what came a transaction before it enters.
    """
    if any(peer.replica.is_waiting(peer.plane(plane).number) for peer in some):
        return False
    positions = [peer.position(plane) for peer in some]
    stands = {(summary(position.frontier), position.digest) for position in positions}
    return len(stands) == 1 and bool(positions[0].frontier)


def at_rest(*some: Peer) -> bool:
    """Whether all are in step and nothing waits to be confirmed; else a minute passes, after which they tell again."""
    if in_step(*some) and not any(peer.gauge().frames for peer in some):
        return True
    for peer in some:
        peer.clock.advance(61_000)
    return False


async def settle(*some: Peer, rounds: int = 3) -> None:
    """Let machines exchange, one after the other, so many times."""
    for _ in range(rounds):
        for peer in some:
            await peer.sync()
