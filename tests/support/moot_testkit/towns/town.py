"""Replicas of one town in memory, and a daemon's service without its process: all that they do follows from a seed."""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from threading import Lock, get_ident
from typing import Any, TypeVar, cast

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code
from moot_protocol.log.batch import Batch, decode_batch
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import InitProject
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.refusals import refusal_code
from mootd.edges.clock import ManualClock
from mootd.edges.entropy import SeededEntropy
from mootd.edges.keys import MemoryKeyStore
from mootd.edges.paths import Places
from mootd.engine.exchange.plane_exchange import Exchange
from mootd.engine.exchange.receive import Outcome, receive
from mootd.engine.membership.charter_writing import adopt_plane, certify, enter_plane, found_town
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.stored.log import LogReader, PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.service.machine.own_machine import Machine
from mootd.service.service import Service
from mootd.store.memory_store import Faults, MemoryStore
from mootd.writer import Writer

R = TypeVar("R")

PROJECT = "demo"
START_MS = 1_700_000_000_000
"""What every clock shows at first, in milliseconds since 1970."""


class Member:
    """A machine of a town: its store, keys, clock and entropy outlive the process, which is `replica`."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._writing = Lock()
        """What is known between transactions is brought up to date before the next one begins."""
        self.entropy = SeededEntropy(f"{seed} {name}".encode())
        self.keys = MemoryKeyStore(SeededEntropy(f"{seed} {name} keys".encode()))
        self.keys.create(REPLICA_KEY)
        self.clock = ManualClock(START_MS)
        self.store = MemoryStore()
        self.replica = Replica(self.store, self.keys, self.clock, self.entropy)

    @property
    def id(self) -> bytes:
        """Its replica key."""
        return self.replica.id

    @property
    def ledger(self) -> PlaneRow:
        """The plane that issues stand on."""
        return self.replica.ledger

    def restart(self, faults: Faults | None = None) -> None:
        """Go on with what was committed, as after a crash."""
        self.store = self.store.reopen(faults)
        self.replica = Replica(self.store, self.keys, self.clock, self.entropy)

    def commit(self, work: Callable[[Unit], R], /) -> R:
        """Carry out work in one write transaction, from whatever thread; what a daemon's writer does."""
        with self._writing, self.replica.transaction() as unit:
            return work(unit)

    def take(self, *batches: Batch) -> list[Outcome]:
        """Receive batches in one transaction."""
        return self.commit(lambda unit: [receive(unit, batch) for batch in batches])

    def exchange(self) -> Exchange:
        """The exchange of its ledger."""
        return Exchange(self.replica, SharedPlane(self.ledger), self.commit)

    def batches(self, author: bytes | None = None, plane: int | None = None, *, after: int = 0) -> list[Batch]:
        """The wholly accepted batches of an author (its own, if none is named) on a plane (the ledger).

        Args:
            author: whose.
            plane: the plane's local number.
            after: only those that begin beyond this number.
        """
        number = self.replica.feed_number(plane or self.ledger.number, author or self.id)
        with self.replica.read() as reader:
            log = LogReader(reader)
            return [
                decode_batch(log.batch_bytes(stored), verify=False)
                for _, stored in log.batches(number or 0, after + 1)
                if stored.accepted == stored.header.count
            ]


def make_town(count: int, seed: int = 0, roles: Sequence[Role] = ()) -> list[Member]:
    """Members of one town that hold its charter and have opened their feeds; the first founded it.

    Args:
        count: how many.
        seed: what keys, ids and salts follow from.
        roles: roles of the members after the first; writers where left out.
    """
    founder, *others = [Member(f"member {number}", seed) for number in range(count)]
    recovery = SeedSigner(SeededEntropy(f"{seed} recovery".encode()).bytes(32))
    founder.commit(lambda unit: found_town(unit, recovery.public))
    for member, role in zip(others, [*roles, *[Role.WRITER] * count], strict=False):
        join(member, founder, role)
    return [founder, *others]


def join(member: Member, founder: Member, role: Role = Role.WRITER) -> None:
    """Let a machine into a town's ledger, as an administrator at the founder's machine may."""
    ledger, town = founder.ledger, founder.replica.signer(TOWN_KEY)
    charter = founder.batches(town.public)
    certificate = certify(town, ledger.id, member.id, member.keys, role)

    def enter(unit: Unit) -> None:
        number = adopt_plane(unit, ledger.id, PlaneKind(ledger.kind), ledger.name, ledger.town)
        for batch in charter:
            receive(unit, batch)
        enter_plane(unit, number, certificate)

    member.commit(enter)


class _Writer:
    """What the service asks of the writer, carried out at once."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._working: set[int] = set()
        self._next: list[Callable[[], object]] = []

    def submit(self, job: Callable[[Unit], R], *, bulk: bool = False, atomic: bool = False) -> "Future[R]":
        """Carry out a job in a transaction of its own; one that a job submits, after that."""
        future: Future[R] = Future()
        if get_ident() in self._working:
            self._next.append(lambda: self.submit(job, bulk=bulk, atomic=atomic))
            return future

        def work(unit: Unit) -> R:
            if not atomic:
                return job(unit)
            with unit.savepoint():
                return job(unit)

        self._working.add(get_ident())
        try:
            future.set_result(self._member.commit(work))
        except Exception as error:
            future.set_exception(error)
        finally:
            self._working.discard(get_ident())
        while self._next:
            self._next.pop(0)()
        return future


class Api:
    """The daemon's service on a member of a town, called directly.

    Args:
        member: the member.
        folder: what the service takes for its data folder; nothing is written there.
    """

    def __init__(self, member: Member, folder: Path | None = None) -> None:
        self.member = member
        self.stopped = False
        """Whether something asked the daemon to end."""
        data = folder or Path(tempfile.gettempdir())
        places = Places(data, data / "config.toml", data / "state", data / "run")
        self.machine = Machine(places, member.clock, member.entropy, self._stop)
        writer = cast("Writer[Unit]", _Writer(member))
        self._service = Service(member.replica, writer, self.machine, cast("Executor", None))

    def _stop(self) -> None:
        self.stopped = True

    @property
    def clock(self) -> ManualClock:
        """The machine's clock, which stands still until told."""
        return self.member.clock

    def call(self, request: Request[R], key: str = "") -> R:
        """Carry out a request.

        Raises:
            MootError: as the daemon would answer.
        """
        return self._service.call(request, key)

    def refusal(self, request: Request[Any]) -> Code:
        """The code with which a request is refused."""
        return refusal_code(lambda: self.call(request))


def make_api(*, seed: int = 0, folder: Path | None = None) -> Api:
    """A service with a founded town and the project `demo`."""
    api = Api(make_town(1, seed)[0], folder)
    opened: dict[str, Any] = api.call(InitProject(actor="founder", prefix=PROJECT))
    assert opened["created"]
    return api
