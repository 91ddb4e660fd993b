"""What an end drops: events that are held of a feed, would count no more once it ends, and are nowhere else.

Invariant: a feed that is forked and not settled stands before its fork, so that an end there takes away for good what
others had accepted; and so does an end before batches that only wait for their time. Who retires a machine, settles a
fork, recovers or takes a new key for the town is told before; removing a town ends its machines where they stand. What
was written anew under another key isn't dropped.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from moot_protocol.batch import Batch
from moot_protocol.errors import Code, RefusedError
from moot_protocol.event import Event
from moot_protocol.ids import key_text
from moot_protocol.kinds import CERTIFICATE
from mootd.engine.aside import AsideReader, uncounted
from mootd.engine.log import FeedRow, PlaneRow
from mootd.engine.restored import is_there_again
from mootd.engine.stored_feeds import StoredFeeds
from mootd.engine.unit import Unit

_ID_SHOWN = 8
"""Hexadecimal digits that a message shows of a history's name."""


class History(NamedTuple):
    """One history of a forked feed, of which something isn't there again."""

    head: bytes
    """Its last batch, whose id names it."""
    events: list[Event]
    """What doesn't count of it."""


def histories_dropped(unit: Unit, plane: PlaneRow, row: FeedRow) -> list[History]:
    """The histories of a forked feed that an end where it stands would drop; none where it is settled already."""
    if not row.forked_at or row.ended:
        return []
    unit.seal()
    unit.flush()
    number = unit.feed_number(plane.number, row.author)
    found = [History(head, events) for head, events in _histories(unit, plane, row)]
    return [each for each in found if not is_there_again(unit, number, each.events)]


def _histories(unit: Unit, plane: PlaneRow, row: FeedRow) -> Iterator[tuple[bytes, list[Event]]]:
    feeds = StoredFeeds(unit, plane.number)
    for head in sorted(feeds.heads(row.author), key=lambda head: head.id):
        path = [ref for ref in feeds.path(row.author, head.id) if ref.last > row.n]
        events = [event for ref in path for event in feeds.batch(row.author, ref).events if event.n > row.n]
        if any(event.skeleton.kind != CERTIFICATE for event in events):
            yield head.id, events


def left_out(unit: Unit, plane: PlaneRow, author: bytes) -> list[Batch]:
    """The batches of a forked feed that its end left out and that never counted here, which are nowhere else."""
    number = unit.feed_number(plane.number, author)
    row = unit.feed(number)
    if not (row.forked_at and row.ended):
        return []
    unit.flush()
    feeds, aside = StoredFeeds(unit, plane.number), AsideReader(unit.transaction)
    rows = [(key, each) for _, key, each in aside.rows(number) if not each.was_accepted]
    linked = [aside.batch(each) for key, each in rows if feeds.get(author, key) is not None]
    return [batch for batch in linked if not is_there_again(unit, number, _writable(unit, number, batch))]


def _writable(unit: Unit, number: int, batch: Batch) -> list[Event]:
    """Its events that don't count and can be written anew: those with their values."""
    return [event for event in uncounted(unit.log, number, batch) if event.values_bytes is not None]


def is_history_unheld(unit: Unit, plane: PlaneRow, row: FeedRow) -> bool:
    """Whether of a history of a forked feed only the proof is here, so that nobody can tell what it holds."""
    if not row.forked_at or row.ended:
        return False
    proof = AsideReader(unit.transaction).proof(unit.feed_number(plane.number, row.author))
    feeds = StoredFeeds(unit, plane.number)
    return proof is not None and any(feeds.get(row.author, each) is None for each in proof.ids)


def check_end(unit: Unit, plane: PlaneRow, author: bytes, *, keeps: str = "", drops: str = "--drop") -> None:
    """Refuse to end a feed where it stands, where that drops something.

    Args:
        unit: the unit.
        plane: the plane.
        author: whose feed.
        keeps: what to type besides to let one history count; `moot fork settle` where left out.
        drops: what to type besides to drop it all the same.

    Raises:
        RefusedError: `conflict`.
    """
    row = unit.feed(unit.feed_number(plane.number, author))
    if row.ended:
        return
    name = key_text(author)
    dropped = histories_dropped(unit, plane, row)
    if dropped or is_history_unheld(unit, plane, row):
        raise RefusedError(
            f"{name} has signed two histories on plane {plane.name}, and this would drop {told(dropped)}",
            code=Code.CONFLICT,
            hint=f"`moot fork list` tells what each does; {keeps or f'`moot fork settle {name} --branch NAME`'} ends "
            "it too, and keeps one; `moot salvage` where another was written, then `moot sync`, keeps that too; "
            f"{drops} drops all",
        )
    waiting = sum(
        1 for _, _, each in AsideReader(unit.transaction).rows(unit.feed_number(plane.number, author)) if each.parked
    )
    if waiting:
        raise RefusedError(
            f"of {name} {waiting} {'batch waits' if waiting == 1 else 'batches wait'} on plane {plane.name} for the "
            "clock to reach their time, and this would drop them",
            code=Code.CONFLICT,
            hint=f"`moot status` says when they count: end it after that; {drops} drops them",
        )


def told(dropped: Sequence[History]) -> str:
    """Which histories would be dropped, in words."""
    if not dropped:
        return "one that hasn't come here (`moot sync --wait` may bring it)"
    sizes = (f"{len(each.events)} of {each.head.hex()[:_ID_SHOWN]}" for each in dropped)
    return f"events that are nowhere else: {', '.join(sizes)}"
