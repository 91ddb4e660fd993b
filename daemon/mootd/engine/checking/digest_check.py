"""Checking digests: whether what is kept of each plane is the sum over its records.

A sum means something of one moment only, and others write while stretches of it are made. So it is that of the moment
at which it was begun: what was kept then is noted, and every record is taken from it, as it is where nothing has been
said of it since, else as its events from before make it. What is left of each plane in the end is nothing. Where events
were taken back meanwhile, or the views made anew, the sum is begun anew, a few times at most.

Invariant: a plane is called wrong only by a sum that was made in one snapshot. That takes some microseconds a record,
and so seconds for a million: it is done where stretches find something wrong, which is rare.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from moot_protocol.errors import MootError, RefusedError
from moot_protocol.merge.digest import DIGEST_BYTES, Digest, place_prefix, place_suffix, terms
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Record, decode_record
from mootd.store.port import Reader, Table

STRETCH: Final = 20_000
"""Records summed for one answer: a tenth of a second."""
REPLAY: Final = 100
"""For how many of them one counts that has to be made anew."""
_MOST_BEGUN: Final = 3
"""How often a sum is begun before it is made in one go, whatever happens meanwhile."""

RecordBefore = Callable[[Record, int], Record]
"""Called with (record, arrival number): the record as its events make it that arrived before."""


class Summed(NamedTuple):
    """What came of a stretch."""

    after: bytes
    """Where to go on, or empty at the end."""
    checked: int
    """Records summed."""
    wrong: list[PlaneRow]
    """At the end, the planes whose digest is not that of their records."""


class _Sum(msgspec.Struct, array_like=True, frozen=True):
    """A sum under way."""

    begun: int
    """How often it was begun."""
    generation: int
    """Of the views."""
    cuts: int
    """How often events had been taken back when it was begun."""
    arrival: int
    """The first arrival number that doesn't count."""
    after: bytes = b""
    """The last record summed."""
    left: dict[int, bytes] = {}
    """Plane → what is left of its digest as it was kept then, as 32 bytes; none where it is nothing."""


_decode: Final = msgspec.msgpack.Decoder(_Sum).decode


def sum_stretch(entities: Entities, planes: list[PlaneRow], cursor: bytes, record_before: RecordBefore) -> Summed:
    """Sum the next stretch.

    Args:
        entities: a snapshot.
        planes: the planes that there are.
        cursor: where the stretch before ended; empty to begin.
        record_before: makes records as they were.

    Raises:
        RefusedError: `invalid`: that is no cursor.
    """
    under_way = _going_on(entities, planes, cursor)
    if under_way.begun > _MOST_BEGUN:
        return Summed(b"", 0, list(wrong_digests(entities, planes)))
    left = {plane: Digest(int.from_bytes(digest, "big")) for plane, digest in under_way.left.items()}
    after, checked, room = under_way.after, 0, STRETCH
    for key, value in entities.reader.scan(entities.views.records, after + b"\0"):
        if room <= 0:
            kept = {plane: digest.digest() for plane, digest in left.items() if digest.value}
            return Summed(
                msgspec.msgpack.encode(msgspec.structs.replace(under_way, after=after, left=kept)), checked, []
            )
        after, checked, room = key, checked + 1, room - 1
        try:
            record = decode_record(value)
            if record.head >= under_way.arrival:
                room -= REPLAY - 1
                record = record_before(record, under_way.arrival)
            removed = _terms(entities, record)
        except (MootError, msgspec.DecodeError, ValueError, LookupError):
            continue  # found by whoever checks records; it is missing in the sum
        left.setdefault(record.plane, Digest()).remove(removed)
    is_wrong = any(digest.value for digest in left.values())
    return Summed(b"", checked, list(wrong_digests(entities, planes)) if is_wrong else [])


def _going_on(entities: Entities, planes: list[PlaneRow], cursor: bytes) -> _Sum:
    """The sum that a cursor tells of; one that is begun now where there is none, or it means nothing any more."""
    begun = 0
    if cursor:
        try:
            known = _decode(cursor)
        except (msgspec.DecodeError, ValueError) as error:
            raise RefusedError("this is no cursor of a check", hint="begin without one") from error
        if (known.generation, known.cuts) == (entities.views.generation, _number(entities.reader, layout.CUTS)):
            return known
        begun = known.begun
    return _Sum(
        begun + 1,
        entities.views.generation,
        _number(entities.reader, layout.CUTS),
        _number(entities.reader, layout.ARRIVAL),
        left={plane.number: _kept(entities, plane) for plane in planes},
    )


def _number(reader: Reader, key: bytes) -> int:
    return int.from_bytes(reader.get(Table.META, key) or b"", "big")


def _kept(entities: Entities, plane: PlaneRow) -> bytes:
    return entities.reader.get(Table.META, layout.digest_key(entities.views.generation, plane.number)) or bytes(
        DIGEST_BYTES
    )


def wrong_digests(entities: Entities, planes: list[PlaneRow]) -> Iterator[PlaneRow]:
    """The planes whose digest is not that of their records, in one snapshot and in one go."""
    sums = _sums(entities)
    for plane in planes:
        if sums.get(plane.number, Digest()).digest() != _kept(entities, plane):
            yield plane


def _sums(entities: Entities) -> dict[int, Digest]:
    sums: dict[int, Digest] = {}
    for _, value in entities.reader.scan(entities.views.records, b"\0"):
        try:
            record = decode_record(value)
            added = _terms(entities, record)
        except (msgspec.DecodeError, ValueError, LookupError):
            continue  # found by whoever checks records; it is missing in the sum
        sums.setdefault(record.plane, Digest()).add(added)
    return sums


def _terms(entities: Entities, record: Record) -> int:
    prefix = place_prefix(record.kind, record.entity)
    suffixes = (
        ([pair[0] for pair in group.pairs], place_suffix(entities.author_of(group.feed), group.n, group.leaf))
        for group in record.groups
    )
    return sum(terms(prefix, keys, suffix) for keys, suffix in suffixes)
