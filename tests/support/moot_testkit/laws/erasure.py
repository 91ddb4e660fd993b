"""The laws of erasure: what is erased is nowhere in a store, is not asked for, and nothing else is lost."""

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain
from typing import Final

from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Event
from moot_testkit.laws import replica as laws
from moot_testkit.laws.replica import Acknowledged, require
from moot_testkit.naive.erasure import Name, name_of
from moot_testkit.naive.model import Expected
from moot_testkit.towns.town import Member
from moot_testkit.towns.workload import MARK
from mootd.engine.stored import layout
from mootd.engine.stored.log import LogReader
from mootd.store.port import Table

_MARKED: Final = re.compile(MARK.encode() + rb"[0-9]{6}")


def lost_to_all(held: Iterable[Batch], ever_named: Set[Name], expected: Expected) -> set[Name]:
    """The events that count and that all replicas have to show without their values, though they are not erased.

    An erasure that was cut may have counted for a while, and what was erased in that time is gone where no replica has
    kept it.

    Args:
        held: the batches that any replica holds, copies of one that differ in their values apart.
        ever_named: the events that any erasure names, whether it counts or not.
        expected: what counts, and what is erased.
    """
    present = {name for name, event in _events(held) if event.values_bytes is not None}
    counting = {name_of(placed.author, placed.event) for placed in expected.events.values()}
    return (counting & ever_named) - present - expected.erased


def erased_words(batches: Iterable[Batch], expected: Expected) -> set[bytes]:
    """The texts that only erased events ever said.

    Args:
        batches: every batch that anybody wrote or holds, as whole as it is known.
        expected: what is erased.
    """
    gone: set[bytes] = set()
    kept: set[bytes] = set()
    for batch in batches:
        for name, event in _events([batch]):
            words = gone if name in expected.erased and not _opens(batch) else kept
            words.update(_MARKED.findall(event.values_bytes or b""))
            kept.update(_MARKED.findall(event.skeleton_bytes))
    return gone - kept


def check_erased(member: Member, words: Set[bytes], expected: Expected) -> None:
    """A store knows what is erased, holds nothing of it, and doesn't ask for it.

    Args:
        member: whose store.
        words: the texts that are erased.
        expected: what is erased.
    """
    laws.check_what_is_erased(member, expected)
    batches = [batch for batch, _ in laws.held_of(member)[0]]
    # A key that has opened a charter, too, keeps what doesn't count of it.
    both = {batch.header.author for batch in batches if _opens(batch) and _is_of_charter(batch)}
    held = _events(batch for batch in batches if not _opens(batch) and batch.header.author not in both)
    counting = {name_of(placed.author, placed.event) for placed in expected.events.values()}
    left = [
        name
        for name, event in held
        if name in expected.erased
        and event.values_bytes is not None
        # What only admins may write and doesn't count stays, unless it was an admin who named it.
        and (event.skeleton.kind != "role" or name in counting)
    ]
    require(not left, "no value of an erased event is kept", member.name, *left)
    _check_nothing_is_left(member, words)
    _check_what_is_asked_for(member, expected)


def _check_nothing_is_left(member: Member, words: Set[bytes]) -> None:
    with member.replica.read() as reader:
        for table in Table:
            for key, value in reader.scan(table, b"\0"):
                left = words & {*_MARKED.findall(key), *_MARKED.findall(value)}
                require(not left, "no table holds a word that was erased", member.name, table.name, key, left)


def _check_what_is_asked_for(member: Member, expected: Expected) -> None:
    """A batch is asked for again if it lacks values that are not erased, and only then."""
    replica, plane = member.replica, member.ledger.number
    with replica.read() as reader:
        log = LogReader(reader)
        for number, row in replica.feeds.items():
            if row.plane != plane:
                continue
            for first, stored in log.batches(number, 1):
                events = [each.event for each in log.events_of(stored)]
                absent = {name_of(row.author, event) for event in events if event.values_bytes is None}
                is_marked = reader.get(Table.META, layout.withheld_key(plane, number, first)) is not None
                law = "what is missing is asked for where it isn't erased, and only there"
                require(is_marked == bool(absent - expected.erased), law, member.name, row.author.hex()[:8], first)


def check_kept(
    members: Sequence[Member], acknowledged: Iterable[Acknowledged], expected: Expected, ever_named: Set[Name]
) -> None:
    """The values of every acknowledged write that counts are somewhere, unless an erasure ever named it."""
    held = chain.from_iterable(laws.held_of(member)[0] for member in members)
    present = {name for name, event in _events(batch for batch, _ in held) if event.values_bytes is not None}
    for write in acknowledged:
        placed = expected.events.get((write.author, write.n))
        if placed is not None and placed.event.leaf == write.leaf:
            name = write.author, write.n, write.leaf[:8]
            require(name in present or name in ever_named, "values are lost that nobody erased", write)


def _is_of_charter(batch: Batch) -> bool:
    return batch.events[0].skeleton.kind in {"genesis", "charter"}


def _opens(batch: Batch) -> bool:
    """Whether a batch begins a history, and is held whole or not at all: nothing of it is erased, nor of one beside."""
    return batch.header.first == 1


def _events(batches: Iterable[Batch]) -> Iterator[tuple[Name, Event]]:
    for batch in batches:
        for event in batch.events:
            yield name_of(batch.header.author, event), event
