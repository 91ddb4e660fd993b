"""One replica's real engine in memory, for tests: a manual clock, seeded entropy, no threads and no sockets."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

import msgspec
import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MootError
from moot_protocol.log.batch import Batch, decode_batch
from moot_protocol.merge.kinds import ISSUE, Role
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.issues import AddEdge, Blocked, Create, Edge, IssueFields, Ready, Show, Update
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit import tables
from moot_testkit.bytes.feeds import Town, seed
from mootd.edges.clock import ManualClock
from mootd.edges.entropy import SeededEntropy
from mootd.edges.keys import MemoryKeyStore
from mootd.engine.exchange.receive import Outcome, receive
from mootd.engine.issues.first_lines import FirstLines
from mootd.engine.issues.importing import Importer, parse
from mootd.engine.issues.reading import Issues
from mootd.engine.membership.charter_writing import adopt_plane, certify, enter_plane, found_town
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.stored import layout
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Record
from mootd.service.reading.reads import READS
from mootd.service.snapshot import Snapshot
from mootd.service.writing.writes import carry_out
from mootd.store.memory_store import MemoryStore
from mootd.store.port import Table

R = TypeVar("R")

START_MS = 1_700_000_000_000
"""When every desk's clock begins."""
PROJECT = "mt"


class Desk:
    """One replica. It belongs to no town until `found`, `join` or `watch` is called.

    Args:
        name: what its keys, salts and ids follow from.
        clock: its clock; by default one that stands at START_MS.
        store: where its data lies; by default in memory.
    """

    def __init__(self, name: str = "desk", clock: ManualClock | None = None, store: Any = None) -> None:
        self.clock = clock or ManualClock(START_MS)
        self.entropy = SeededEntropy(name.encode())
        self.keys = MemoryKeyStore(self.entropy)
        self.store = store or MemoryStore()
        self.replica = Replica(self.store, self.keys, self.clock, self.entropy)

    def reopen(self) -> None:
        """Forget everything that doesn't lie in the store, as a restart does."""
        self.replica = Replica(self.store, self.keys, self.clock, self.entropy)

    # -- Membership ----------------------------------------------------------------------------------------------
    def found(self) -> Self:
        """Found a town."""
        with self.replica.transaction() as unit:
            found_town(unit, SeedSigner(seed("recovery")).public)
        return self

    def join(self, other: "Desk", role: Role = Role.WRITER) -> Self:
        """Join the ledger of another's town, certified by its town key."""
        self.keys.create(REPLICA_KEY)
        ledger = other.replica.ledger
        with self.replica.transaction() as unit:
            number = adopt_plane(unit, ledger.id, PlaneKind.LEDGER, ledger.name, ledger.town)
            for batch in other.batches():
                receive(unit, batch)
            town = other.replica.signer(TOWN_KEY)
            own = self.keys.signer(REPLICA_KEY).public
            enter_plane(unit, number, certify(town, ledger.id, own, self.keys, role))
        return self

    def watch(self, town: Town) -> Self:
        """Hold the plane of a town made by hand, without writing to it."""
        with self.replica.transaction() as unit:
            adopt_plane(unit, town.plane, PlaneKind.LEDGER, "ledger", town.key.public)
        return self

    # -- Requests ------------------------------------------------------------------------------------------------
    def do(self, request: Mutation[R]) -> R:
        """Carry out a mutation in a transaction of its own."""
        with self.replica.transaction() as unit:
            answer: R = carry_out(unit, request)
        return answer

    def ask(self, request: Request[R]) -> R:
        """Answer a reading request."""
        with self.replica.read() as reader:
            answer: R = READS[type(request)](Snapshot(self.replica, reader, self.clock.now_ms()), request)
        return answer

    def refusal(self, request: Request[Any]) -> Code:
        """The code with which a request is refused; nothing may have been written."""
        before = self.tables()
        with pytest.raises(MootError) as raised:
            self.do(request) if isinstance(request, Mutation) else self.ask(request)
        assert self.tables() == before
        assert raised.value.message
        return raised.value.code

    def create(self, name: str, title: str = "", **fields: Any) -> IssueDoc:
        """Create an issue of this id; `labels`, `parent` and `edges` may be given beside fields."""
        others = {part: fields.pop(part) for part in ("labels", "parent", "edges", "metadata") if part in fields}
        actor, project = fields.pop("actor", "alice"), fields.pop("project", PROJECT)
        shown = IssueFields(title=title or f"Title of {name}", **fields)
        return self.do(Create(actor=actor, project=project, id=name, fields=shown, **others))

    def update(self, name: str, **fields: Any) -> IssueDoc:
        """Set fields of an issue; parts of `Update` that are no fields may be given beside them."""
        shown = {part: fields.pop(part) for part in list(fields) if part in IssueFields.__struct_fields__}
        actor = fields.pop("actor", "alice")
        return self.do(Update(actor=actor, id=name, fields=IssueFields(**shown), **fields))

    def link(self, source: str, target: str, edge_type: str = "blocks", metadata: str = "", **parts: Any) -> Any:
        """Make an issue depend on another."""
        return self.do(AddEdge(actor="alice", id=source, edge=Edge(target, edge_type, metadata), **parts))

    def show(self, name: str, as_of: int | None = None) -> IssueDoc:
        """An issue in full."""
        return self.ask(Show(ids=(name,), as_of=as_of))[0]

    def ready(self, **parts: Any) -> list[str]:
        """Ids of ready issues in order."""
        return ids_of(self.ask(Ready(limit=0, **parts)).issues)

    def blocked(self) -> list[str]:
        """Ids of blocked issues."""
        return ids_of(self.ask(Blocked(limit=0)).issues)

    # -- The log -------------------------------------------------------------------------------------------------
    def batches(self, plane: str = "ledger") -> list[Batch]:
        """All accepted batches of a plane, charter first, each feed in order."""
        row = self.replica.plane_named(plane)
        feeds = [(each.author != row.town, number) for number, each in self.replica.feeds.items()]
        found = []
        with self.replica.read() as reader:
            log = self.entities(reader).log
            for _, number in sorted(feeds):
                if self.replica.feeds[number].plane == row.number:
                    found += [decode_batch(log.batch_bytes(stored)) for _, stored in log.batches(number, 1)]
        return found

    def log_length(self) -> int:
        """How many events this desk has written on the ledger."""
        return self.replica.feeds[self.replica.own_feed(self.replica.ledger.number)].n

    def receive(self, batches: Iterable[Batch]) -> list[Outcome]:
        """Take in batches, all in one transaction."""
        with self.replica.transaction() as unit:
            return [receive(unit, batch) for batch in batches]

    def entities(self, reader: Any) -> Entities:
        """The entities as a transaction sees them."""
        return Snapshot(self.replica, reader, self.clock.now_ms()).entities

    def issues(self, reader: Any) -> Issues:
        """The ledger's issues as a transaction sees them."""
        return Issues(self.entities(reader), self.replica.ledger.number)

    def records(self, kind: str = ISSUE) -> dict[str, Record]:
        """All records of a kind by id."""
        with self.replica.read() as reader:
            entities = self.entities(reader)
            keys = [key for key, _ in reader.scan(entities.views.records, b"\0")]
            found = [entities.record(int.from_bytes(key, "big")) for key in keys]
        return {record.entity: record for record in found if record is not None and record.kind == kind}

    def digest(self, plane: int = 1) -> bytes:
        """A plane's digest."""
        with self.replica.read() as reader:
            key = layout.digest_key(self.replica.generation, plane)
            return reader.get(Table.META, key) or bytes(32)

    def rows(self, table: Table) -> dict[bytes, bytes]:
        """A table's rows."""
        return tables.rows(self.replica, table)

    def tables(self) -> dict[str, dict[bytes, bytes]]:
        """Everything in the store."""
        return {table.name: self.rows(table) for table in Table}

    def index(self, *prefixes: bytes) -> set[bytes]:
        """The keys of INDEX that begin with one of these bytes."""
        rows = self.rows((Table.INDEX_0, Table.INDEX_1)[self.replica.generation])
        return {key for key in rows if key[:1] in prefixes}

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Overwrite a row behind the engine's back."""
        tables.put(self.store, table, key, value)


def exchange(*desks: Desk) -> None:
    """Let every desk receive all that the others have."""
    for desk in desks:
        for other in desks:
            if other is not desk:
                desk.receive(other.batches())


def town_of(*names: str) -> list[Desk]:
    """Desks of one town on one clock: the first founded it, the others joined, and all know one another."""
    clock = ManualClock(START_MS)
    first = Desk(names[0], clock).found()
    desks = [first, *(Desk(name, clock).join(first) for name in names[1:])]
    exchange(*desks)
    return desks


def in_conflict() -> list[Desk]:
    """Two machines of a town that hold two titles, A and B, of one issue `mt-1`."""
    one, two = town_of("one", "two")
    one.create("mt-1", "T")
    exchange(one, two)
    one.update("mt-1", title="A")
    two.update("mt-1", title="B")
    exchange(one, two)
    return [one, two]


def imported(desk: Desk, *lines: dict[str, Any], project: str = "mt") -> None:
    """Import lines into a desk's ledger."""
    parsed = parse([json.dumps(line).encode() for line in lines], 1, FirstLines())
    with desk.replica.transaction() as unit:
        Importer(unit, desk.replica.ledger.number, project, "importer").take(parsed)


def counts(answer: dict[str, Any]) -> dict[str, int]:
    """The counts of an import's answer that are not 0."""
    return {name: count for name, count in answer.items() if name != "problems" and count}


def ids_of(issues: Iterable[IssueDoc]) -> list[str]:
    """The ids of documents in order."""
    return [issue["id"] for issue in issues]


def flipped(value: bytes) -> Iterator[bytes]:
    """A value with each of its bits flipped in turn."""
    for position in range(8 * len(value)):
        changed = bytearray(value)
        changed[position // 8] ^= 1 << position % 8
        yield bytes(changed)


def plain(value: Any) -> Any:
    """A value as it comes back from the wire."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value))
