"""The unit of work: one write transaction on the log and its views, shared by every command of a group commit.

Invariant: whatever a unit appends or accepts goes into the log and into the views in the same transaction. Own events
are collected into batches that are signed when the unit is sealed; nothing of it can be seen outside before commit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from msgspec.structs import replace

from moot_protocol import limits
from moot_protocol.batch import Batch, BatchBuilder
from moot_protocol.clock import HybridClock
from moot_protocol.errors import Code, RefusedError
from moot_protocol.event import Draft, Event
from moot_protocol.kinds import CHARTER, Role
from mootd.engine import layout
from mootd.engine.aside import AsideReader
from mootd.engine.entities import Entities
from mootd.engine.layout import Views
from mootd.engine.log import FeedRow, LogReader, PlaneRow, encode_row, pack_batch, pack_event
from mootd.engine.record import Record, is_write
from mootd.engine.state import State
from mootd.engine.views import ViewWriter
from mootd.store.port import Table, WriteTransaction

R = TypeVar("R")


def role_of(row: FeedRow) -> Role | None:
    """The effective role of a replica; None for a charter."""
    return None if row.kind == CHARTER else Role(row.role)


class Unit:
    """One write transaction of a replica."""

    def __init__(self, replica: State, transaction: WriteTransaction, now_ms: int) -> None:
        self.replica = replica
        self.transaction = transaction
        self.now_ms = now_ms
        self.feeds: dict[int, FeedRow] = {}
        """Feeds changed in this unit."""
        self.new_feeds: dict[tuple[int, bytes], int] = {}
        self.new_planes: list[PlaneRow] = []
        self.new_projects: dict[tuple[int, str], int] = {}
        self.generation = replica.generation
        self.arrival = replica.arrival
        """The next arrival number."""
        self.clock = HybridClock(replica.clock.last)
        self.cuts = replica.cuts
        self.log = LogReader(transaction)
        self._builder: BatchBuilder | None = None
        self._builder_feed = 0
        self._builder_arrival = 0
        self._progress: tuple[int, int] = (0, 0)
        self.views = self._view_writer()

    def _view_writer(self) -> ViewWriter:
        views = Views(self.generation)
        return ViewWriter(self.transaction, views, self.author_of, self._has_come, self.project_number, self.now_ms)

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
        return self.replica.planes.get(number) or next(row for row in self.new_planes if row.number == number)

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
        event = self.log.event(self.arrival - (last + 1 - n)).event
        return event.leaf[:8] == leaf8 and is_write(event, record, key)

    def entities(self) -> Entities:
        """Reads entities as this unit's transaction sees them, once flushed."""
        return Entities(self.transaction, self.views.views, self.author_of, self._known_feed)

    def _known_feed(self, plane: int, author: bytes) -> int | None:
        return self.replica.feed_numbers.get((plane, author)) or self.new_feeds.get((plane, author))

    # -- Appending own events ------------------------------------------------------------------------------------
    def append(self, plane: int, draft: Draft, *, feed: int | None = None) -> Event:
        """Write an event of this replica (or of the town, by `feed`) and apply it.

        Raises:
            RefusedError: the event passes a limit, the clock refuses, or this replica may not write there.
        """
        number = self.replica.own_feed(plane) if feed is None else feed
        builder = self._builder_for(number)
        if builder.next_n > 1 and self.feed(number).role == Role.READER:
            raise RefusedError("this replica may only read here", code=Code.DENIED)
        hlc = self.clock.tick(self.now_ms)
        salt = self.replica.entropy.bytes(limits.SALT_BYTES)
        event = builder.add(draft, hlc, salt)
        if event is None:
            self.seal()
            builder = self._builder_for(number)
            event = builder.add(draft, hlc, salt)
            if event is None:
                raise RefusedError("this write fits no batch", code=Code.LIMIT)
        feeds = [number]
        if any(write.over for write in draft.writes):
            feeds = [self.feed_number(plane, author) for author in builder.authors]
        self._progress = (number, event.n - 1)
        self._apply(plane, event, event.own_values(), feeds, role_of(self.feed(number)))
        return event

    def _builder_for(self, feed: int) -> BatchBuilder:
        if self._builder is not None and self._builder_feed == feed:
            return self._builder
        self.seal()
        row = self.feed(feed)
        if row.reason or row.forked_at:
            raise RefusedError(
                f"this replica can't write: {row.reason or 'its feed is forked'}",
                code=Code.DENIED,
                hint="see `moot status`",
            )
        if row.is_aside and any(True for _ in AsideReader(self.transaction).at(feed, row.n + 1)):
            # It was signed elsewhere and doesn't count yet. Another event with this number would be a fork.
            raise RefusedError(
                "this replica can't write: somebody else writes under its key",
                code=Code.DENIED,
                hint="see `moot status`",
            )
        self._builder = BatchBuilder(self.plane(row.plane).id, row.author, row.n + 1, row.head)
        self._builder_feed, self._builder_arrival = feed, self.arrival
        return self._builder

    def _apply(self, plane: int, event: Event, values: list[Any] | None, feeds: list[int], role: Role | None) -> None:
        arrival = self.arrival
        previous = self.views.apply(plane, event, values, feeds, arrival, role)
        self.transaction.put(Table.EVENTS, layout.arrival_key(arrival), pack_event(previous, feeds[0], event))
        self.arrival = arrival + 1

    def seal(self) -> None:
        """Sign what was appended since the last batch."""
        builder, self._builder = self._builder, None
        if builder is None or not builder.events:
            return
        number = self._builder_feed
        batch = builder.seal(self.replica.signer_of(builder.author).sign)
        self._put_accepted(number, batch, self._builder_arrival, batch.header.count)

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
        for event in batch.events[:accepted]:
            self._progress = (number, event.n - 1)
            self._apply(row.plane, event, event.values(), feeds, role)
        self._put_accepted(number, batch, arrival, accepted)
        if not batch.is_complete:
            self.transaction.put(Table.META, layout.withheld_key(row.plane, number, batch.header.first), b"")

    def _put_accepted(self, number: int, batch: Batch, arrival: int, accepted: int) -> None:
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
        self.views.flush()

    def finish(self) -> None:
        """Seal and flush: what must happen before the transaction commits."""
        self.seal()
        self.flush()
        meta = self.transaction.put
        meta(Table.META, layout.ARRIVAL, self.arrival.to_bytes(8, "big"))
        meta(Table.META, layout.CLOCK, self.clock.last.to_bytes(8, "big"))
        if self.cuts != self.replica.cuts:
            meta(Table.META, layout.CUTS, self.cuts.to_bytes(8, "big"))

    def change_generation(self, generation: int) -> None:
        """Go over to another generation of views, which must be complete."""
        self.flush()
        self.generation = generation
        self.transaction.put(Table.META, layout.GENERATION, generation.to_bytes(1, "big"))
        self.views = self._view_writer()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Writes inside the block vanish if it raises; the unit goes on either way."""
        self.seal()
        self.flush()
        kept = (
            dict(self.feeds), dict(self.new_feeds), list(self.new_planes), dict(self.new_projects),
            self.arrival, self.cuts,
        )  # fmt: skip
        clock = self.clock.last
        try:
            with self.transaction.nested():
                yield
                self.seal()
                self.flush()
        except BaseException:
            self._builder = None
            self._progress = (0, 0)
            self.views.forget()
            (self.feeds, self.new_feeds, self.new_planes, self.new_projects, self.arrival, self.cuts) = kept
            # Timestamps that were issued and taken back are not issued again: nobody has seen them, but a clock
            # that only moves forward is simpler to trust.
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
