"""Which of a feed's values are erased, as the store keeps it.

Invariant: META holds a key for each event of a feed that an erasure which counts names (`erasing.py` sees to that), and
neither EVENTS nor ASIDE holds a value of such an event. One exception: a batch that opens another history of the feed
keeps its values. It holds a certificate, and such a batch can count only while all its values are here. Of what only
admins may write values are taken out where an admin named it: the key's value says so. A key that has also opened a
charter keeps those batches of it that don't count: in a charter every value has to be here.
"""

from collections.abc import Container, Iterable, Mapping
from operator import is_
from typing import Final

from msgspec.structs import replace

from moot_protocol.issues.erasure import Erased
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import LEAF_PREFIX_BYTES, Event
from moot_protocol.merge.kinds import ADMIN_KINDS, ERASE
from moot_protocol.trust.charter import OPENS_CHARTER
from mootd.engine.stored import layout
from mootd.engine.stored.aside import AsideReader
from mootd.engine.stored.layout import Views
from mootd.engine.stored.log import LogReader, StoredEvent
from mootd.store.port import Reader, Table

BY_ADMIN: Final = b"\1"
"""The value of a key whose event an admin erased; of others it is empty."""
_LAST: Final = 2**64 - 1


def erased_in(reader: Reader, feed: int, first: int = 1, last: int = _LAST) -> set[Erased]:
    """The erased events of a feed among these numbers."""
    return {*marks_in(reader, feed, first, last)}


def marks_in(reader: Reader, feed: int, first: int = 1, last: int = _LAST) -> dict[Erased, bool]:
    """As `erased_in`, each with whether an admin erased it."""
    start, stop = layout.erased_key(feed, first, b""), layout.erased_key(feed, last, b"\xff" * LEAF_PREFIX_BYTES)
    rows = reader.scan(Table.META, start, stop + b"\0")
    return {Erased(*layout.erased_parts(key)): value == BY_ADMIN for key, value in rows}


def without(batch: Batch, marks: Mapping[Erased, bool]) -> Batch:
    """A batch without the values of these events, as `marks_in` tells them; one that opens a feed stays whole."""
    if batch.header.first == 1:
        return batch
    events = tuple(event.without_values() if _is_to_strip(event, marks) else event for event in batch.events)
    return batch if all(map(is_, events, batch.events)) else replace(batch, events=events)


def _is_to_strip(event: Event, marks: Mapping[Erased, bool]) -> bool:
    if event.values_bytes is None or not is_named(event, marks):
        return False
    return event.skeleton.kind not in ADMIN_KINDS or marks[name_of(event)]


def lacks(reader: Reader, feed: int, events: Iterable[Event]) -> bool:
    """Whether values of such events are missing that are not erased: withheld."""
    absent = [event for event in events if event.values_bytes is None]
    if not absent:
        return False
    names = erased_in(reader, feed, absent[0].n, absent[-1].n)
    return not all(is_named(event, names) for event in absent)


def as_kept(reader: Reader, number: int, batch: Batch) -> Batch:
    """A batch that has come, without what is erased of it."""
    marks = marks_in(reader, number, batch.header.first, batch.header.last)
    return without(batch, marks) if marks and not opens_charter(reader, number) else batch


def opens_charter(reader: Reader, feed: int) -> bool:
    """Whether any history of a feed that lies aside is a charter's."""
    aside = AsideReader(reader)
    openings = (aside.batch(row).events[0] for row in aside.at(feed, 1))
    return any(opening.skeleton.kind in OPENS_CHARTER for opening in openings)


def was_erased(reader: Reader, stored: StoredEvent) -> bool:
    """Whether an accepted event lacks its values since they were erased, and not since they haven't come."""
    event = stored.event
    return event.values_bytes is None and is_named(event, erased_in(reader, stored.feed, event.n, event.n))


def has_erased(reader: Reader, head: int) -> bool:
    """Whether anything that an entity's accepted events said was erased; `head` is its last event."""
    return any(was_erased(reader, stored) for stored in LogReader(reader).history(head))


def has_erasures(reader: Reader, views: Views, plane: int) -> bool:
    """Whether any erasure ever came on a plane."""
    prefix = layout.id_prefix(plane, ERASE)
    return any(True for _ in reader.scan(views.ids, prefix, layout.after(prefix)))


def is_named(event: Event, names: Container[Erased]) -> bool:
    """Whether an event is among these."""
    return name_of(event) in names


def name_of(event: Event) -> Erased:
    """What an erasure calls an event."""
    return Erased(event.n, event.leaf[:LEAF_PREFIX_BYTES])
