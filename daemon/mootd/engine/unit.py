"""The unit of work: one write transaction on the log and its views, shared by every command of a group commit.

Invariant: whatever a unit appends or accepts goes into the log and into the views in the same transaction. Own events
are collected into batches that are signed when the unit is sealed; nothing of it can be seen outside before commit.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

from msgspec.structs import replace

from moot_protocol import limits
from moot_protocol.clock import HybridClock, clock_ahead, is_ahead
from moot_protocol.crypto import Signer
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import Batch, BatchBuilder
from moot_protocol.log.event import Draft, Event, NewEntity, PlainDraft, check_names, plain_event
from moot_protocol.merge.kinds import ADMIN_KINDS, CHARTER, ERASE, Role
from moot_protocol.trust.acceptance import Reason
from mootd.engine.learnt import Learnt
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.aside import AsideReader
from mootd.engine.stored.erased import lacks
from mootd.engine.stored.layout import Views
from mootd.engine.stored.log import FeedRow, LogReader, PlaneRow, encode_row, pack_batch, pack_event, said_by
from mootd.engine.views.entities import Entities, Said
from mootd.engine.views.graph import pack_arrival
from mootd.engine.views.record import OwnCharter, Record, Speaker, is_write, may_say_all
from mootd.engine.views.writing import ViewWriter
from mootd.store.port import Table, WriteTransaction

R = TypeVar("R")

FLUSH_AFTER: Final = 250
"""Entities after which bulk work writes out what is derived of them: few enough to stay in a processor's cache."""
_SAID_KEPT: Final = 256
"""Events of this unit whose values are kept at hand."""
_SILENCED: Final[Mapping[str, tuple[str, str]]] = {
    Reason.ENDED: ("it was retired, or its town removed", "`moot status` says how it can write again"),
    Reason.FORKED: ("its key has signed two histories", "`moot salvage` gives this machine a new key"),
    Reason.OTHER_TOWN: ("its town has no part in that, or not any more", "`moot status` says how it can write again"),
    Reason.NO_INVITE: ("the invite it came with counts no more", "ask for a new ticket, then `moot join`"),
    Reason.INVITE_CLOSED: ("the invite it came with was closed without it", "ask for a new ticket, then `moot join`"),
    Reason.READER: ("it may only read", "ask an admin of the plane"),
}
"""Why nothing counts that a feed would go on with → that in words, and what to do."""


def role_of(row: FeedRow) -> Speaker:
    """As whom a feed speaks: with a replica's effective role, or as a town's charter."""
    if row.kind != CHARTER:
        return Role(row.role)
    return OwnCharter.OWN_CHARTER if row.role in {Role.WRITER, Role.READER} else None


class Unit(Learnt):
    """One write transaction of a replica.

    Args:
        replica: whose.
        transaction: the store's.
        now_ms: the wall clock.
        waiters: what the replica knows of them (`Graph.waiters`); the unit takes away what no longer holds.
    """

    def __init__(
        self, replica: State, transaction: WriteTransaction, now_ms: int, waiters: dict[int, list[int]] | None = None
    ) -> None:
        super().__init__(replica)
        self.replica = replica
        self.transaction = transaction
        self.now_ms = now_ms
        self._lent: dict[bytes, Signer] = {}
        self.generation = replica.generation
        self.clock = HybridClock(replica.clock.last)
        self.log = LogReader(transaction)
        self._builder: BatchBuilder | None = None
        self._builder_feed = 0
        self._builder_arrival = 0
        self._event_puts: list[tuple[bytes, bytes]] = []
        """Events of the batch under way that EVENTS doesn't hold yet: written together they take half the time."""
        self._said: dict[int, Said] = {}
        """What events appended one by one said, by arrival: whoever asked for them is shown it right away."""
        self._unsaid = False
        """Whether `_event_puts` holds others."""
        self._progress: tuple[int, int] = (0, 0)
        self._late = 0
        """Of the transaction's writes, those that bring up what was appended or changed before."""
        self.erasures: dict[tuple[int, str], list[tuple[int, Event]] | None] = {}
        """(plane, entity) → the (feed, event) of erasures that have come; None where earlier ones may count otherwise
        than before. Settled before the commit."""
        self.waiters: dict[int, list[int]] = {} if waiters is None else waiters
        self.found_waiters: dict[int, list[int]] = {}
        """More of them, once finished: true if this is committed."""
        self.views = self._view_writer()

    def _view_writer(self) -> ViewWriter:
        views = Views(self.generation)
        made = ViewWriter(self.transaction, views, self.author_of, self._has_come, self.project_number, self.now_ms)
        made.graph.waiters = self.waiters
        return made

    def note_erasure(self, plane: int, entity: str, come: tuple[int, Event] | None = None) -> None:
        """Let what erasures of this entity erase be settled before the commit.

        Args:
            plane: the plane's number.
            entity: the entity.
            come: the (feed, event) of one that has come; None where all have to be looked at again.
        """
        noted = self.erasures.setdefault((plane, entity), [])
        if come is None:
            self.erasures[plane, entity] = None
        elif noted is not None:
            noted.append(come)

    # -- Feeds ---------------------------------------------------------------------------------------------------
    def feed(self, number: int) -> FeedRow:
        """A feed as this unit sees it."""
        return self.feeds.get(number) or self.replica.feeds[number]

    def author_of(self, number: int) -> bytes:
        """A feed's author."""
        return self.feed(number).author

    def feed_number(self, plane: int, author: bytes) -> int:
        """The number of an author's feed, given now if it is new here."""
        number = self.replica.feed_numbers.get((plane, author)) or self.new_feeds.get((plane, author))
        if number is None:
            number = len(self.replica.feeds) + len(self.new_feeds) + 1
            self.new_feeds[plane, author] = number
            self.transaction.put(Table.META, layout.feed_of_key(plane, author), number.to_bytes(4, "big"))
            self.set_feed(number, FeedRow(plane, author))
        return number

    def plane(self, number: int) -> PlaneRow:
        """A plane by its local number."""
        known = self.changed_planes.get(number) or self.replica.planes.get(number)
        return known or next(row for row in self.new_planes if row.number == number)

    def change_plane(self, row: PlaneRow) -> None:
        """Change the row of a plane that is held already."""
        self.changed_planes[row.number] = row
        self.transaction.put(Table.META, layout.plane_key(row.number), encode_row(row))

    def change_key(self, name: str, number: int) -> None:
        """Let a name stand for another private key from this unit's commit on."""
        self.new_keys[name] = number
        self.transaction.put(Table.META, layout.key_number_key(name), bytes([number]))

    def disown(self) -> None:
        """Leave the town's key to another machine, from this unit's commit on."""
        self.is_disowned = True
        self.transaction.put(Table.META, layout.DISOWNED, b"")

    def plane_number(self, plane: bytes) -> int | None:
        """The local number of a plane, or None where it isn't held."""
        rows = (*self.replica.planes.values(), *self.new_planes)
        return next((row.number for row in rows if row.id == plane), None)

    def authors(self, plane: int) -> list[bytes]:
        """Every author that anything is known of on a plane."""
        return [author for number, author in (*self.replica.feed_numbers, *self.new_feeds) if number == plane]

    def set_feed(self, number: int, row: FeedRow) -> None:
        """Change a feed's row."""
        self.feeds[number] = row
        self.transaction.put(Table.META, layout.feed_key(number), encode_row(row))

    def project_number(self, plane: int, project: str) -> int:
        """The local number of a plane's project, given now if it is new here."""
        number = self.replica.projects.get((plane, project)) or self.new_projects.get((plane, project))
        if number is None:
            number = min(len(self.replica.projects) + len(self.new_projects) + 1, layout.OTHER_PROJECTS)
            self.new_projects[plane, project] = number
            self.transaction.put(Table.META, layout.project_key(plane, project), encode_row((number, plane, project)))
        return number

    def _has_come(self, record: Record, key: str, feed: int, n: int, leaf8: bytes) -> bool:
        """Whether a write was applied before the event that is being applied."""
        under_way, last = self._progress
        if feed and n <= self.feed(feed).n:
            return is_write(self.log.event_named(feed, n, leaf8), record, key)
        if feed != under_way or n > last:
            return False
        # Events of one batch have arrival numbers in a row; the batch itself is written after them.
        self._put_events()
        event = self.log.event(self.arrival - (last + 1 - n)).event
        return event.leaf[:8] == leaf8 and is_write(event, record, key)

    def record(self, plane: int, kind: str, entity: str) -> Record | None:
        """An entity's record as this unit has left it so far, not to be changed; its events can be read.

        Cheaper than a flush where all that is asked for is what was just written.
        """
        if self._unsaid:
            self._put_events()
        eid = self.views.find(plane, kind, entity)
        return None if eid is None else self.views.record(eid)

    def entities(self) -> Entities:
        """Reads entities as this unit's transaction sees them, once flushed."""
        return Entities(self.transaction, self.views.views, self.author_of, self.known_feed, self._said)

    def known_feed(self, plane: int, author: bytes) -> int | None:
        """The number of an author's feed, or None for one that nothing has named yet."""
        return self.replica.feed_numbers.get((plane, author)) or self.new_feeds.get((plane, author))

    # -- Appending own events ------------------------------------------------------------------------------------
    def append(
        self, plane: int, draft: Draft | PlainDraft, *, feed: int | None = None, salt: bytes | None = None
    ) -> Event:
        """Write an event of this replica (or of the town, by `feed`) and apply it.

        Args:
            plane: the plane's number.
            draft: what to write.
            feed: the number of the feed, where it isn't this replica's.
            salt: that of an event with the same values which this one is written for; a new one where left out.

        Raises:
            RefusedError: the event passes a limit, the clock refuses, or this replica may not write there.
        """
        number = self.replica.own_feed(plane) if feed is None else feed
        role = self._role_to_write(number)
        event, builder = self._build(number, draft, salt or self.replica.entropy.bytes(limits.SALT_BYTES))
        feeds = [number]
        if event.plain_keys is None:
            feeds = [self.feed_number(plane, author) for author in builder.authors]
        self._progress = (number, event.n - 1)
        values = event.own_values()
        if len(self._said) == _SAID_KEPT:
            self._put_events()
            self._said.clear()
        self._said[self.arrival] = said_by(event.skeleton, values), event.skeleton.actor
        self._apply(plane, event, values, feeds, role)
        return event

    def append_new(self, feed: int, entity: NewEntity) -> None:
        """Write the events of an entity that nothing is known of here: as `append` for each, at half the cost.

        Args:
            feed: this replica's feed on the plane.
            entity: what to write, of a kind that any writer may write.

        Raises:
            RefusedError: as `append`; then none of them is written.
        """
        if not may_say_all(self._role_to_write(feed), entity.kind):
            raise ValueError("events that not every writer may write")
        check_names(entity)
        builder = self._builder_for(feed)
        n, tick = builder.next_n, self.clock.tick
        size = limits.SALT_BYTES
        salts = self.replica.entropy.bytes(size * len(entity.events))
        events: list[Event] = []
        for at, (shape, values) in enumerate(entity.events):
            salt = salts[size * at : size * (at + 1)]
            events.append(plain_event(n + at, entity, shape, values, tick(self.now_ms), salt))
        first, previous = self.arrival, 0
        for arrival, event in enumerate(events, first):
            if not builder.take(event):
                self.seal()
                builder = self._builder_for(feed)
                builder.take(event)
            self._event_puts.append((layout.arrival_key(arrival), pack_event(previous, feed, event)))
            previous = arrival
            self.arrival = arrival + 1
        self.views.add_new(self.feed(feed).plane, entity, events, feed, first)
        self._unsaid = True

    def _role_to_write(self, number: int) -> Speaker:
        """An own feed's effective role, once it is known that the feed may be written to."""
        builder = self._builder_for(number)
        role = role_of(self.feed(number))
        if builder.next_n > 1 and role is Role.READER:
            raise RefusedError("this replica may only read here", code=Code.DENIED)
        return role

    def _build(self, number: int, draft: Draft | PlainDraft, salt: bytes) -> tuple[Event, BatchBuilder]:
        """Make an event of an own feed and put it into a batch, a new one where it has no room."""
        builder = self._builder_for(number)
        hlc = self.clock.tick(self.now_ms)
        event = builder.add(draft, hlc, salt)
        if event is None:
            self.seal()
            builder = self._builder_for(number)
            event = builder.add(draft, hlc, salt)
            if event is None:
                raise RefusedError("this write fits no batch", code=Code.LIMIT)
        return event, builder

    def _builder_for(self, feed: int) -> BatchBuilder:
        if self._builder is not None and self._builder_feed == feed:
            return self._builder
        self.seal()
        row = self.feed(feed)
        if self.transaction.get(Table.META, layout.COPIED) is not None:
            raise RefusedError(
                "this data directory is a copy: writing here as well would fork what both have written",
                code=Code.DENIED,
                hint="`moot salvage` gives this machine its own key; with --moved it goes on under the old one, which "
                "is right only if the other is gone and nobody has anything that it wrote since",
            )
        if row.reason or row.forked_at:
            why, hint = _SILENCED.get(row.reason or Reason.FORKED, (row.reason, "see `moot status`"))
            plane = self.plane(row.plane).name
            raise RefusedError(f"this replica can't write on plane {plane}: {why}", code=Code.DENIED, hint=hint)
        if row.is_aside and any(True for _ in AsideReader(self.transaction).at(feed, row.n + 1)):
            # It was signed elsewhere and doesn't count yet. Another event with this number would be a fork.
            raise RefusedError(
                "this replica can't write: somebody else writes under its key",
                code=Code.DENIED,
                hint="see `moot status`",
            )
        self._follow(row)
        self._builder = BatchBuilder(self.plane(row.plane).id, row.author, row.n + 1, row.head)
        self._builder_feed, self._builder_arrival = feed, self.arrival
        return self._builder

    def _follow(self, row: FeedRow) -> None:
        """Let the clock, which may have begun anew (`salvaging`), stand where a feed's times go on ascending."""
        if is_ahead(row.hlc, self.now_ms):
            raise clock_ahead(row.hlc, self.now_ms)
        self.clock.last = max(self.clock.last, row.hlc)

    def _apply(self, plane: int, event: Event, values: list[Any] | None, feeds: list[int], role: Speaker) -> None:
        arrival = self.arrival
        previous = self.views.apply(plane, event, values, feeds, arrival, role)
        kind = event.skeleton.kind
        if kind == ERASE:
            self.note_erasure(plane, event.skeleton.entity, (feeds[0], event))
        elif kind in ADMIN_KINDS:
            self.note_erasure(plane, key_text(self.author_of(feeds[0])))
        self._event_puts.append((layout.arrival_key(arrival), pack_event(previous, feeds[0], event)))
        self.arrival = arrival + 1

    def _put_events(self) -> None:
        if self._event_puts:
            before = self.transaction.writes
            self.transaction.put_many(Table.EVENTS, self._event_puts)
            self._late += self.transaction.writes - before
            self._event_puts.clear()
            self._unsaid = False

    def seal(self) -> None:
        """Sign what was appended since the last batch."""
        builder, self._builder = self._builder, None
        if builder is None or not builder.events:
            return
        number = self._builder_feed
        signer = self._lent.get(builder.author) or self.replica.signer_of(builder.author)
        batch = builder.seal(signer.sign)
        self._put_events()
        before = self.transaction.writes
        self._put_accepted(number, batch, self._builder_arrival, batch.header.count)
        self._late += self.transaction.writes - before

    def lend(self, signer: Signer) -> None:
        """Let this unit write as an author whose private key is kept nowhere."""
        self._lent[signer.public] = signer

    # -- Accepting batches ---------------------------------------------------------------------------------------
    def accept(self, number: int, batch: Batch, upto: int | None = None) -> None:
        """Apply a batch that acceptance lets in.

        Args:
            number: its feed.
            batch: the batch; must follow the feed's accepted head.
            upto: the last number to accept, where a pin cuts the batch.
        """
        self.seal()
        row = self.feed(number)
        accepted = batch.header.count if upto is None else upto - batch.header.first + 1
        feeds = [number, *(self.feed_number(row.plane, author) for author in batch.header.authors)]
        arrival, role = self.arrival, role_of(row)
        for start in range(0, accepted, FLUSH_AFTER):
            if self.views.collected >= FLUSH_AFTER:
                self.flush()
            for event in batch.events[start : min(start + FLUSH_AFTER, accepted)]:
                self._progress = (number, event.n - 1)
                self._apply(row.plane, event, event.values(), feeds, role)
        self._put_accepted(number, batch, arrival, accepted)
        if not batch.is_complete and lacks(self.transaction, number, batch.events[:accepted]):
            self.transaction.put(Table.META, layout.withheld_key(row.plane, number, batch.header.first), b"")

    def _put_accepted(self, number: int, batch: Batch, arrival: int, accepted: int) -> None:
        self._put_events()
        header = batch.header
        key = layout.batch_key(number, header.first)
        self.transaction.put(Table.BATCHES, key, pack_batch(batch.header_bytes, batch.signature, arrival, accepted))
        hlc = batch.events[accepted - 1].skeleton.hlc
        self._progress = (0, 0)
        row = self.feed(number)
        self.set_feed(number, replace(row, n=header.first + accepted - 1, head=batch.id, hlc=hlc))

    # -- Ending --------------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """Bring views up to date inside the transaction, so that reads see what was written."""
        self._put_events()
        before = self.transaction.writes
        self.views.flush()
        self._late += self.transaction.writes - before

    def mark(self) -> tuple[int, int]:
        """Where this unit stands: equal to an earlier one as long as nothing was written since and kept."""
        return self.arrival, self.transaction.writes - self._late

    def finish(self) -> None:
        """Seal and flush: what must happen before the transaction commits."""
        self.seal()
        self.flush()
        meta = self.transaction.put
        meta(Table.META, layout.ARRIVAL, pack_arrival(self.arrival))
        meta(Table.META, layout.CLOCK, self.clock.last.to_bytes(8, "big"))
        if self.cuts != self.replica.cuts:
            meta(Table.META, layout.CUTS, self.cuts.to_bytes(8, "big"))
        self.found_waiters = self.views.graph.found_waiters

    def release(self) -> None:
        """Forget what was kept at hand, once the transaction is over.

        A unit and its parts name one another, so that they stay until garbage is looked for, which is seldom.
        """
        self._said.clear()
        self._event_puts.clear()
        self.views.forget()

    def change_generation(self, generation: int) -> None:
        """Go over to another generation of views, which must be complete."""
        self.flush()
        self.generation = generation
        self.transaction.put(Table.META, layout.GENERATION, generation.to_bytes(1, "big"))
        self.waiters = {}  # numbers of entities are others now
        self.views = self._view_writer()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Writes inside the block vanish if it raises; the unit goes on either way."""
        self.seal()
        self.flush()
        kept, clock, (_, mark) = self.kept(), self.clock.last, self.mark()
        erasures = {name: None if come is None else [*come] for name, come in self.erasures.items()}
        try:
            with self.transaction.nested():
                yield
                self.seal()
                self.flush()
        except BaseException:
            self._builder = None
            self._event_puts.clear()
            self._said.clear()
            self._progress = (0, 0)
            self.views.forget()
            self.views.graph.waiters = self.waiters
            # But not the clock: timestamps that were issued and taken back are not issued again. Nobody has seen them,
            # but a clock that only moves forward is simpler to trust. One that began anew inside didn't.
            self.take_back(kept)
            self.erasures = erasures
            self._late = self.transaction.writes - mark
            self.clock.last = max(clock, self.clock.last)
            raise

    def try_out(self, work: "Callable[[Unit], R]") -> R:
        """Do something, take it back, and return what it would have returned."""
        try:
            with self.savepoint():
                _taken_back(work(self))
        except _TriedError as tried:
            answer: R = tried.answer
        return answer


def _taken_back(answer: Any) -> NoReturn:
    raise _TriedError(answer)


class _TriedError(Exception):
    """Ends the savepoint of something tried out, with its answer."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer
