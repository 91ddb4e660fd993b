"""Checking digests: whether what is kept of each plane is the sum over its records.

A sum means something of one moment only, so it is made in one go; a record takes some microseconds.
"""

from collections.abc import Iterator

import msgspec

from moot_protocol.digest import Digest, place_prefix, place_suffix, terms
from mootd.engine import layout
from mootd.engine.entities import Entities
from mootd.engine.log import PlaneRow
from mootd.engine.record import Record, decode_record
from mootd.store.port import Table


def wrong_digests(entities: Entities, planes: list[PlaneRow]) -> Iterator[PlaneRow]:
    """The planes whose digest is not that of their records, in one snapshot."""
    sums = _sums(entities)
    for plane in planes:
        kept = entities.reader.get(Table.META, layout.digest_key(entities.views.generation, plane.number))
        if sums.get(plane.number, Digest()).digest() != (kept or bytes(32)):
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
