"""What members last said of themselves on a plane: when, and where they stood. Bookkeeping of this machine.

Invariant: a member is whoever has a feed of which something counts here. Of another key nothing is noted, and for it
nobody waits: whoever has had a key of the plane's can sign and seal as anybody.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from moot_protocol.clock import to_ms
from moot_protocol.exchange.frontier import FrontierBody
from moot_protocol.time_units import DAY_MS
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """The last that was heard from a member."""

    at_ms: int
    """When it was heard here, by the wall clock."""
    counter: int
    """The number of its message: a lower one is stale."""
    summary: bytes
    """Of the frontier it told."""
    in_step_ms: int = 0
    """When it last stood where this replica stood."""


MONTH_MS: Final = 30 * DAY_MS
"""Members not heard of for so long are waited for no more."""


_decode: Final[Callable[[bytes], Seen]] = msgspec.msgpack.Decoder(Seen).decode


def is_member(reader: Reader, plane: int, key: bytes) -> bool:
    """Whether anything counts of a key's feed."""
    source = LogSnapshot(reader)
    return source.feed(source.feed_number(plane, key)).n > 0


def is_stale(reader: Reader, plane: int, message: FrontierBody) -> bool:
    """Whether a member has said something later than this."""
    kept = reader.get(Table.META, layout.seen_key(plane, message.sender))
    return kept is not None and _decode(kept).counter >= message.counter


def note_seen(unit: Unit, plane: int, message: FrontierBody) -> bool:
    """Note a frontier that a member signed; False for one that is stale, or a stranger's."""
    if not is_member(unit.transaction, plane, message.sender):
        return False
    key = layout.seen_key(plane, message.sender)
    kept = unit.transaction.get(Table.META, key)
    before = Seen(0, 0, b"") if kept is None else _decode(kept)
    if before.counter >= message.counter:
        return False
    row = Seen(unit.now_ms, message.counter, message.summary, before.in_step_ms)
    unit.transaction.put(Table.META, key, msgspec.msgpack.encode(row))
    return True


def note_in_step(unit: Unit, plane: int, member: bytes) -> None:
    """Note that a member stands where this replica stands; of a stranger nothing."""
    if not is_member(unit.transaction, plane, member):
        return
    key = layout.seen_key(plane, member)
    kept = unit.transaction.get(Table.META, key)
    row = Seen(unit.now_ms, 0, b"") if kept is None else _decode(kept)
    row = msgspec.structs.replace(row, at_ms=unit.now_ms, in_step_ms=unit.now_ms)
    unit.transaction.put(Table.META, key, msgspec.msgpack.encode(row))


def covered_since(reader: Reader, plane: int, now_ms: int, me: bytes) -> int:
    """The moment up to which every member waited for had all that this replica had then; `now_ms` for none."""
    return next((row.in_step_ms for _, row in awaited(reader, plane, now_ms, me)), now_ms)


def awaited(reader: Reader, plane: int, now_ms: int, me: bytes) -> Iterator[tuple[bytes, Seen]]:
    """(member's key, what was last heard of it) of those who are waited for, who was in step longest ago first.

    Nobody waits for who was silent for a month, nor for who is out: a retired machine, a former key, a removed town.
    """
    source = LogSnapshot(reader)
    heard = [(member, row) for member, row in seen(reader, plane).items() if member != me]
    for member, row in sorted(heard, key=lambda each: each[1].in_step_ms):
        if now_ms - row.at_ms < MONTH_MS and not source.feed(source.feed_number(plane, member)).ended:
            yield member, row


def last_seen_ms(row: FeedRow, heard: Seen | None, now_ms: int) -> int:
    """When a member was last heard of: what it said of itself, or what it wrote and that counts; 0 for never.

    A clock that runs ahead makes nobody seen later than now.
    """
    return max(heard.at_ms if heard else 0, min(to_ms(row.hlc), now_ms))


def seen(reader: Reader, plane: int) -> dict[bytes, Seen]:
    """Member's key → what was last heard from it."""
    return {key: row for key, row in _rows(reader, plane).items() if is_member(reader, plane, key)}


def strangers(reader: Reader, plane: int) -> list[bytes]:
    """Keys of which something is noted and that are no member's: an earlier release noted it, or all was cut since."""
    return sorted(_rows(reader, plane).keys() - seen(reader, plane).keys())


def forget_strangers(unit: Unit, plane: int) -> None:
    """Drop what is noted of them."""
    for key in strangers(unit.transaction, plane):
        unit.transaction.delete(Table.META, layout.seen_key(plane, key))


def _rows(reader: Reader, plane: int) -> dict[bytes, Seen]:
    prefix = layout.seen_key(plane, b"")
    return {key[len(prefix) :]: _decode(value) for key, value in reader.scan(Table.META, prefix, layout.after(prefix))}
