"""Clocks that were ahead, told to people: what this machine may not write yet, and whose batches wait for their time.

Invariant: what is told follows from the times in the log and the wall clock alone, and goes away by itself. No machine
can tell which of two clocks is wrong, so both are named.
"""

from collections.abc import Iterator
from typing import Any, Final

from moot_protocol.clock import due_ms, is_ahead, shown_minute
from moot_protocol.ids import key_text
from mootd.engine.membership.towns import name_of
from mootd.engine.replica import Replica
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.store.port import Reader, Table

_DUE_BYTES: Final = 8
_FEED_BYTES: Final = 4


def clock_alarms(replica: Replica, reader: Reader) -> Iterator[dict[str, Any]]:
    """An alarm where this machine's clock was ahead, and one for each feed of which batches wait for their time."""
    now_ms = replica.wall.now_ms()
    if is_ahead(replica.clock.last, now_ms):
        yield {
            "code": "clock_ahead",
            "severity": "alarm",
            "message": "the last write here is dated ahead of this machine's clock: nothing can be written before "
            f"{shown_minute(due_ms(replica.clock.last))}",
            "hint": own_hint(replica),
        }
    source = LogSnapshot(reader)
    for row, (count, last) in _awaited(replica, reader):
        plane = replica.planes[row.plane]
        town = name_of(source, plane, row.town) if row.town else ""
        of = f" of town {town}" if town else ""
        yield {
            "code": "parked",
            "severity": "warning",
            "message": f"{count:,} {'batch' if count == 1 else 'batches'} of {key_text(row.author)}{of} on plane "
            f"{plane.name} {'is' if count == 1 else 'are'} dated ahead of this machine's clock, and "
            f"{'counts' if count == 1 else 'count'} here from {shown_minute(due_ms(last))} on",
            "hint": "the clock of that machine was ahead; if this machine's is behind, set it right",
        }


def own_hint(replica: Replica) -> str:
    """What to do where this machine's clock is behind its log."""
    if not is_ahead(replica.clock.last, replica.wall.now_ms()):
        return "set the machine's clock right, if it is behind; writes are dated as the last one was until then"
    until = shown_minute(due_ms(replica.clock.last))
    return (
        "if the machine's clock is behind, set it right; if it was ahead and is right now, wait until "
        f"{until}, or go on under a new key: `moot salvage --clock`"
    )


def parked(replica: Replica, reader: Reader) -> int:
    """How many batches wait for their time."""
    return sum(count for _, (count, _) in _awaited(replica, reader))


def _awaited(replica: Replica, reader: Reader) -> Iterator[tuple[FeedRow, tuple[int, int]]]:
    """Feeds of which batches will count when it is time, with what `_parked` says: what an end left out never does."""
    source = LogSnapshot(reader)
    for feed, waiting in sorted(_parked(reader).items()):
        row = source.feed(feed)
        if row.plane in replica.planes and not row.ended:
            yield row, waiting


def _parked(reader: Reader) -> dict[int, tuple[int, int]]:
    """Feed → how many of its batches wait for their time, and the latest time of them."""
    found: dict[int, tuple[int, int]] = {}
    for key, _ in reader.scan(Table.META, layout.PARKED, layout.after(layout.PARKED)):
        rest = key[len(layout.PARKED) :]
        due, feed = int.from_bytes(rest[:_DUE_BYTES], "big"), rest[_DUE_BYTES : _DUE_BYTES + _FEED_BYTES]
        number = int.from_bytes(feed, "big")
        count, last = found.get(number, (0, 0))
        found[number] = count + 1, max(last, due)
    return found
