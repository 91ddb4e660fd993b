"""What an end drops: events that are held of a feed, would count no more once it ends, and are nowhere else.

Invariant: a feed that is forked and not settled stands before its fork, so that an end there takes away for good what
others had accepted; and so does an end before batches that only wait for their time. Who ends a feed is told before, of
all that ends with it at once, whatever the reason: a machine is retired, a town removed or given a new key, a fork
settled, a plane recovered. What was written anew under another key isn't dropped. Nor is what would not count even
without the end: a batch whose predecessor hasn't come, a machine that nobody let in.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.ids import key_text, key_word
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import CERTIFICATE, CHARTER
from moot_protocol.trust.certificate import decode_certificate
from moot_protocol.trust.charter import opening_value
from moot_protocol.trust.charter_reading import Invitation
from mootd.engine.membership.charters import invites_of
from mootd.engine.stored.aside import AsideReader
from mootd.engine.stored.feeds import StoredFeeds
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit
from mootd.engine.views.restored import is_there_again

_ID_SHOWN: Final = 8
"""Hexadecimal digits that a message shows of a history's name."""
_FEEDS_TOLD: Final = 8
"""Feeds that a message tells of."""


class History(NamedTuple):
    """One history of a forked feed, of which something isn't there again."""

    head: bytes
    """Its last batch, whose id names it."""
    events: list[Event]
    """What doesn't count of it."""


class Loss(NamedTuple):
    """What the end of a feed where it stands would drop."""

    plane: PlaneRow
    row: FeedRow
    is_forked: bool
    """Whether histories go of which nothing counts yet."""
    histories: list[History]
    """Those of them that are held."""
    waiting: int
    """Batches that wait for their time."""


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
        yield head.id, events


def is_history_unheld(unit: Unit, plane: PlaneRow, row: FeedRow) -> bool:
    """Whether of a history of a forked feed only the proof is here, so that nobody can tell what it holds."""
    if not row.forked_at or row.ended:
        return False
    proof = AsideReader(unit.transaction).proof(unit.feed_number(plane.number, row.author))
    feeds = StoredFeeds(unit, plane.number)
    return proof is not None and any(feeds.get(row.author, each) is None for each in proof.ids)


def replicas_ended(unit: Unit, plane: PlaneRow, town: bytes) -> list[bytes]:
    """The machines that end with a town: those that count, and those that it let in of which nothing does yet."""
    invites = invites_of(unit, plane, town)
    aside = AsideReader(unit.transaction)
    found = []
    for author in unit.authors(plane.number):
        number = unit.feed_number(plane.number, author)
        row = unit.feed(number)
        if row.n:
            is_of = row.kind != CHARTER and row.town == town
        else:
            is_of = any(_is_let_in(aside.batch(each), town, invites) for each in aside.at(number, 1))
        if is_of:
            found.append(author)
    return found


def _is_let_in(opening: Batch, town: bytes, invites: Mapping[bytes, Invitation]) -> bool:
    """Whether a town lets in whose feed a batch opens, as far as its charter counts here."""
    try:
        certificate = decode_certificate(opening_value(opening.events[0], CERTIFICATE))
    except MalformedError:
        return False
    if certificate.body.town != town:
        return False
    if certificate.signer == town:
        return True
    invitation = invites.get(certificate.signer)
    return invitation is not None and (invitation.counting is None or opening.header.author in invitation.counting)


def loss_of(unit: Unit, plane: PlaneRow, author: bytes, *, is_chosen: bool = False) -> Loss | None:
    """What the end of a feed would drop; None where that is nothing.

    Args:
        unit: the unit.
        plane: the plane.
        author: whose feed.
        is_chosen: whether people have chosen which of its histories counts, and so know what becomes of the others.
    """
    number = unit.feed_number(plane.number, author)
    row = unit.feed(number)
    if row.ended:
        return None
    histories = [] if is_chosen else histories_dropped(unit, plane, row)
    is_forked = bool(histories) or (not is_chosen and is_history_unheld(unit, plane, row))
    waiting = sum(1 for _, _, each in AsideReader(unit.transaction).rows(number) if each.parked)
    return Loss(plane, row, is_forked, histories, waiting) if is_forked or waiting else None


def check_losses(found: Iterable[Loss | None], *, keeps: str = "", drops: str = "--drop") -> None:
    """Refuse what would end feeds, where that drops something; all that it would drop is told.

    Args:
        found: what the end of each would drop.
        keeps: what to type besides to let one history of a machine count; `moot fork settle` where left out.
        drops: what to type besides to drop all the same.

    Raises:
        RefusedError: `conflict`.
    """
    losses = [each for each in found if each is not None]
    if not losses:
        return
    told = [said for each in losses[:_FEEDS_TOLD] for said in _told(each)]
    if len(losses) > _FEEDS_TOLD:
        told.append(f"so it is with {len(losses) - _FEEDS_TOLD} more")
    raise RefusedError(
        "; ".join(told), code=Code.CONFLICT, hint="; ".join([*_ways(losses, keeps), f"{drops} drops all"])
    )


def _told(loss: Loss) -> Iterator[str]:
    """What would be dropped of one feed, in words."""
    name, where = key_text(loss.row.author), f"on plane {loss.plane.name}"
    if loss.is_forked:
        yield f"{name} has signed two histories {where}, and this would drop {_histories_told(loss.histories)}"
    if loss.waiting:
        waiting = "1 batch waits" if loss.waiting == 1 else f"{loss.waiting} batches wait"
        yield f"of {name} {waiting} {where} for the clock to reach their time, and this would drop them"


def _histories_told(dropped: Sequence[History]) -> str:
    if not dropped:
        return "one that hasn't come here (`moot sync --wait` may bring it)"
    sizes = (f"{len(each.events)} of {each.head.hex()[:_ID_SHOWN]}" for each in dropped)
    return f"events that are nowhere else: {', '.join(sizes)}"


def _ways(losses: Collection[Loss], keeps: str) -> Iterator[str]:
    """What can be done instead, as what goes asks for it."""
    forked = [each for each in losses if each.is_forked]
    if forked:
        yield "`moot fork list` tells what each does"
    machines = [each for each in forked if each.row.kind != CHARTER]
    if machines:
        name = key_word(key_text(machines[0].row.author)) if len(machines) == 1 else "REPLICA"
        yield f"{keeps or f'`moot fork settle --branch NAME {name}`'} ends it too, and keeps one"
        yield "`moot salvage` where another was written, then `moot sync`, keeps that too"
    if len(machines) < len(forked):
        yield "`moot fork settle --branch NAME TOWN` removes the town, too, and keeps one history of its charter"
    if any(each.waiting for each in losses):
        yield "`moot status` says when what waits counts: end it after that"
