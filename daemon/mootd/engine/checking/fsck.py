"""Checking everything: hashes, links and signatures of the log, every record against its events, and digests.

Invariant: nothing is changed, and every byte of the log that acceptance rests on has been recomputed from. LMDB has no
checksums of its own, so this is what finds a flipped bit.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol.codec import encode
from moot_protocol.errors import MootError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import Header, decode_batch, decode_header
from mootd.engine.checking.digest_check import sum_stretch
from mootd.engine.checking.row_check import RowCheck, number_in
from mootd.engine.stored import layout
from mootd.engine.stored.aside import AsideReader, decode_aside
from mootd.engine.stored.batch_check import NOT_SIGNED, Stand, batch_problems
from mootd.engine.stored.erased import erased_in, is_named, lacks
from mootd.engine.stored.log import FeedRow, StoredBatch, damaged, decode_plane, unpack_batch
from mootd.engine.unit import role_of
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Merge, Record, decode_record, is_write
from mootd.store.port import Table

STRETCH: Final = 200
"""Batches, or records, checked for one answer."""
INDEX_STRETCH: Final = 2000
"""Keys of INDEX checked for one answer."""
_LOG_HINT: Final = "restore the data from a backup, or from another machine: see docs/security.md"
VIEW_HINT: Final = "run `moot rebuild`"
"""What to do where only views are damaged."""


class Problem(NamedTuple):
    """Something that isn't as it should be."""

    where: str
    problem: str
    hint: str

    @property
    def is_of_views(self) -> bool:
        """Whether the log is sound there, and views made anew from it are too."""
        return self.hint == VIEW_HINT


class Stretch(NamedTuple):
    """What was found in a part of a table."""

    after: bytes
    """Where to go on: the last key that was checked, mostly. Empty at the end."""
    checked: int
    problems: list[Problem]


class Checker:
    """Checks one snapshot.

    Args:
        entities: the snapshot.
        feeds: every feed by number.
    """

    def __init__(self, entities: Entities, feeds: dict[int, FeedRow]) -> None:
        self._entities = entities
        self._feeds = feeds
        self._aside = AsideReader(entities.reader)
        planes = entities.reader.scan(Table.META, layout.PLANES, layout.after(layout.PLANES))
        self._planes = {row.number: row for row in (decode_plane(value) for _, value in planes)}
        self._rows = RowCheck(entities)

    # -- The log -------------------------------------------------------------------------------------------------
    def check_batches(self, after: bytes) -> tuple[bytes, int, int, list[Problem]]:
        """Check the batches behind a key of BATCHES: (last key or empty at the end, batches, events, problems)."""
        problems: list[Problem] = []
        batches = events = 0
        for key, value in self._entities.reader.scan(Table.BATCHES, after + b"\0"):
            if batches == STRETCH:
                return after, batches, events, problems
            feed, first, _ = layout.batch_place(key)
            batch = unpack_batch(value)
            row = self._feeds.get(feed)
            where = f"batch from event {first} on of {key_text(row.author) if row else f'feed {feed}'}"
            found = [Problem(where, problem, _LOG_HINT) for problem in self._batch_problems(feed, first, batch)]
            # What is erased, and what is to be asked for, follows from events that were found to be sound.
            problems += found or [Problem(where, each, VIEW_HINT) for each in self._value_problems(feed, first, batch)]
            after, batches, events = key, batches + 1, events + batch.accepted
        return b"", batches, events, problems

    def _batch_problems(self, feed: int, first: int, batch: StoredBatch) -> Iterator[str]:
        row = self._feeds.get(feed)
        if row is None:
            yield "its feed is unknown"
            return
        try:
            header = decode_header(batch.header_bytes)
            events = self._entities.log.events_of(batch)
        except MootError as error:
            yield error.message
            return
        plane = self._planes.get(row.plane)
        stand = Stand(feed, first, row.author, b"" if plane is None else plane.id)
        yield from batch_problems(stand, batch, header, events)
        if batch.accepted != header.count:
            yield from self._cut_problems(stand, batch, header, [each.event.leaf for each in events])
        yield from self._link_problems(feed, header)

    def _cut_problems(self, stand: Stand, batch: StoredBatch, header: Header, leaves: list[bytes]) -> Iterator[str]:
        """What is wrong with a batch that a pin cuts: it is its feed's last, and the whole of it lies aside."""
        feed, row = stand.feed, self._feeds[stand.feed]
        if not 0 < batch.accepted < header.count or header.first + batch.accepted - 1 != row.n:
            yield "it is not accepted as far as its feed is"
        whole = self._aside.get(feed, header.first, batch.id)
        if whole is None:
            yield "a pin cuts it, and the whole of it is missing"
        elif [event.leaf for event in self._aside.batch(whole).events[: batch.accepted]] != leaves:
            yield NOT_SIGNED

    def _link_problems(self, feed: int, header: Header) -> Iterator[str]:
        if header.first == 1:
            return
        before = self._entities.log.batch_holding(feed, header.first - 1)
        if before is None:
            yield "the batch before it is missing"
        elif before.id != header.prev:
            yield "it doesn't follow the batch before it"

    def _value_problems(self, feed: int, first: int, batch: StoredBatch) -> Iterator[str]:
        """What is wrong with which values are here."""
        reader, plane = self._entities.reader, self._feeds[feed].plane
        events = [each.event for each in self._entities.log.events_of(batch)]
        names = erased_in(reader, feed, first, first + batch.accepted - 1)
        if any(event.values_bytes is not None and is_named(event, names) for event in events):
            yield "values that were erased are still here"
        if lacks(reader, feed, events) and reader.get(Table.META, layout.withheld_key(plane, feed, first)) is None:
            yield "values are missing from it, and are not asked for"

    def check_head(self, number: int) -> Iterator[Problem]:
        """Check that a feed ends where its row says."""
        row = self._feeds[number]
        if not row.n:
            return
        last = self._entities.log.batch_holding(number, row.n)
        if last is None or last.id != row.head:
            yield Problem(f"feed of {key_text(row.author)}", "its last batch is not the one it names", _LOG_HINT)

    # -- What is held without counting ---------------------------------------------------------------------------
    def check_aside(self, after: bytes) -> Stretch:
        """Check the batches behind a key of ASIDE."""
        return self._check(Table.ASIDE, after, STRETCH, self._aside_problems)

    def _aside_problems(self, key: bytes, value: bytes) -> Iterator[Problem]:
        feed, first, batch_id = layout.batch_place(key)
        row = self._feeds.get(feed)
        if problem := _aside_problem(b"" if row is None else row.author, first, batch_id, value):
            whose = key_text(row.author) if row else f"feed {feed}"
            yield Problem(f"batch from event {first} on of {whose}, held aside", problem, _LOG_HINT)

    # -- The views -----------------------------------------------------------------------------------------------
    def check_records(self, after: bytes) -> Stretch:
        """Check the records behind a key of RECORDS against their events."""
        return self._check(self._entities.views.records, after, STRETCH, self._record_problems)

    def check_index(self, after: bytes) -> Stretch:
        """Look for keys of INDEX that stand for nothing, behind a key."""
        scanned = self._entities.reader.scan(self._entities.views.index, after + b"\0")
        keys = [key for key, _ in islice(scanned, INDEX_STRETCH + 1)]
        is_last = len(keys) <= INDEX_STRETCH
        keys = keys[:INDEX_STRETCH]
        # Issue by issue: each record is read once, however many labels and so keys an issue has.
        problems = [problem for key in sorted(keys, key=number_in) for problem in self._index_problems(key)]
        return Stretch(b"" if is_last else keys[-1], len(keys), problems)

    def check_digests(self, after: bytes) -> Stretch:
        """Compare every plane's digest with its records; `after` says more than a key here."""
        summed = sum_stretch(self._entities, list(self._planes.values()), after, self._replay)
        problem = "its digest is not that of its records"
        return Stretch(
            summed.after, summed.checked, [Problem(f"plane {plane.name}", problem, VIEW_HINT) for plane in summed.wrong]
        )

    def _check(
        self, table: Table, after: bytes, most: int, problems_of: Callable[[bytes, bytes], Iterator[Problem]]
    ) -> Stretch:
        problems: list[Problem] = []
        checked = 0
        for key, value in self._entities.reader.scan(table, after + b"\0"):
            if checked == most:
                return Stretch(after, checked, problems)
            problems.extend(problems_of(key, value))
            after, checked = key, checked + 1
        return Stretch(b"", checked, problems)

    def _index_problems(self, key: bytes) -> Iterator[Problem]:
        try:
            problem = self._rows.surplus(key)
        except (msgspec.DecodeError, ValueError):
            problem = "the record that it leads to can't be read"
        if problem:
            yield Problem(f"key {key.hex()} of the index", problem, VIEW_HINT)

    def _record_problems(self, key: bytes, value: bytes) -> Iterator[Problem]:
        try:
            record = decode_record(value)
        except (msgspec.DecodeError, ValueError):  # ValueError: text that is not UTF-8
            yield Problem(f"entity {int.from_bytes(key, 'big')}", "its record can't be read", VIEW_HINT)
            return
        where = f"{record.kind} {record.entity}"
        name = layout.id_key(record.plane, record.kind, record.entity)
        if self._entities.reader.get(self._entities.views.ids, name) != key:
            yield Problem(where, "its record stands in another's place", VIEW_HINT)
        try:
            fresh = self._replay(record)
        except MootError as error:
            yield Problem(where, error.message, _LOG_HINT)
            return
        if self._content(fresh) != self._content(record):
            yield Problem(where, "its record is not what its events make", VIEW_HINT)
        elif problem := self._rows.problem(int.from_bytes(key, "big"), record):
            yield Problem(where, problem, VIEW_HINT)

    def _content(self, record: Record) -> Any:
        """All of a record that means something, in an order that does not depend on how it came to be."""
        named = self._entities.log.event_named
        pending = {tuple(each) for each in record.pending if not is_write(named(*each[1:]), record, each[0])}
        return (record.head, record.created, record.updated, sorted(map(encode, record.groups)), pending)

    def _replay(self, record: Record, before: int | None = None) -> Record:
        """The record as its events make it: all of them, or those that arrived before."""
        fresh = Record(record.plane, record.kind, record.entity)
        merge = Merge(lambda *_: False, lambda *_: None, lambda *_: None)
        for stored in reversed(self._entities.log.history(record.head)):
            if before is not None and stored.arrival >= before:
                break
            skeleton = stored.event.skeleton
            feeds = self._entities.feeds_of(record.plane, stored)
            named = max((index for change in skeleton.changes for index, _, _ in change.over), default=0)
            if stored.feed not in self._feeds or named >= len(feeds):
                raise damaged(f"event {stored.arrival} stands in no batch")
            if (skeleton.kind, skeleton.entity) != (record.kind, record.entity):
                raise damaged(f"event {stored.arrival} is of another entity")
            role = role_of(self._feeds[stored.feed])
            merge.apply(fresh, stored.event, stored.event.values(), feeds, stored.arrival, role)
        return fresh


def _aside_problem(author: bytes, first: int, batch_id: bytes, value: bytes) -> str:
    try:
        batch = decode_batch(decode_aside(value).raw)
    except (MootError, msgspec.DecodeError) as error:
        return f"it can't be read: {error}"
    is_named = (batch.header.author, batch.header.first, batch.id) == (author, first, batch_id)
    return "" if is_named else "it stands in another's place"
