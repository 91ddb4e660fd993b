"""What an end drops: events that are held of a feed, would count no more once it ends, and are nowhere else.

Invariant: a feed that is forked and not settled stands before its fork, so that an end there takes away for good what
others had accepted; and so does an end before batches that only wait for their time. Nobody writes such an end without
being told. What was written anew under another key isn't dropped.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from moot_protocol.errors import Code, RefusedError
from moot_protocol.event import Event
from moot_protocol.ids import key_text
from moot_protocol.kinds import CERTIFICATE
from moot_protocol.messages import header_ids
from mootd.engine.aside import AsideReader
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


def is_history_unheld(unit: Unit, plane: PlaneRow, row: FeedRow) -> bool:
    """Whether of a history of a forked feed only the proof is here, so that nobody can tell what it holds."""
    if not row.forked_at or row.ended:
        return False
    proof = AsideReader(unit.transaction).proof(unit.feed_number(plane.number, row.author))
    feeds = StoredFeeds(unit, plane.number)
    return proof is not None and any(feeds.get(row.author, each) is None for each in header_ids(proof))


def check_end(unit: Unit, plane: PlaneRow, author: bytes) -> None:
    """Refuse to end a feed where it stands, where that drops something.

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
            hint=f"`moot fork list` tells what each does, `moot fork settle {name} --branch NAME` ends it too, and "
            "keeps one; what was written anew by `moot salvage` isn't dropped; --drop drops the rest",
        )
    waiting = sum(1 for _, _, each in AsideReader(unit.transaction).rows(unit.feed_number(plane.number, author)) if each.parked)
    if waiting:
        raise RefusedError(
            f"of {name} {waiting} {'batch waits' if waiting == 1 else 'batches wait'} on plane {plane.name} for the "
            "clock to reach their time, and this would drop them",
            code=Code.CONFLICT,
            hint="`moot status` says when they count: end it after that; --drop drops them",
        )


def told(dropped: Sequence[History]) -> str:
    """Which histories would be dropped, in words."""
    if not dropped:
        return "one that hasn't come here (`moot sync --wait` may bring it)"
    sizes = (f"{len(each.events)} of {each.head.hex()[:_ID_SHOWN]}" for each in dropped)
    return f"events that are nowhere else: {', '.join(sizes)}"
