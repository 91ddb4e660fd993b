"""Forks: feeds with two histories, what each history does, and which of them is to count.

Invariant: settling writes one pin into the charter of this machine's town, and what counts follows from that on every
machine alike. A pinned charter is a removed town's: whoever settles one lists the town's replicas as they stand here,
those that only the chosen history lets in with them, and leaves out whom people name as a stranger's.
"""

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import CERTIFICATE
from moot_protocol.trust.branches import BatchRef
from moot_protocol.trust.certificate import Certificate, decode_certificate
from moot_protocol.trust.charter import OPENS_CHARTER, End, opening_value
from mootd.engine.exchange.receive import resettle
from mootd.engine.membership.charter_writing import append_end
from mootd.engine.membership.charters import towns_of
from mootd.engine.membership.dropping import (
    Loss,
    check_losses,
    histories_dropped,
    is_history_unheld,
    loss_of,
    replicas_ended,
)
from mootd.engine.membership.epochs import check_admin, renew
from mootd.engine.membership.removing import end_all, shut_entrance
from mootd.engine.membership.towns import check_own
from mootd.engine.stored.feeds import Source, StoredFeeds
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit

_ID_CHARS: Final = 4
"""Least hexadecimal digits that stand for a history."""
_DROPS_OF_TOWN: Final = "`--without REPLICA` leaves out a machine that isn't the town's own; --drop"
"""What to type where machines end with their town."""


class Branch(NamedTuple):
    """One history of a forked feed."""

    head: BatchRef
    """Its last batch, whose id names it."""
    batches: list[Batch]
    """What it holds from the fork on."""
    counts: bool
    """Whether its last event counts."""
    counted: bool
    """Whether something of it counted here before the fork was known."""


class Fork(NamedTuple):
    """A feed with more than one history."""

    row: FeedRow
    is_charter: bool
    town: bytes
    """The town that its author is, or belongs to; empty where nothing held tells."""
    branches: list[Branch]
    """Those that are held whole, by the ids of their last batches: the same order on every machine that holds them."""


class Settled(NamedTuple):
    """What settling came to."""

    n: int
    """The last event of the feed that counts."""
    replicas: list[bytes]
    """Of a charter: the town's replicas that count on, up to where they stand."""
    epoch: bytes
    """The new epoch's 8 bytes; empty where this machine may begin none, or there was none before."""
    dropped: int | None
    """Events of other histories that count no more and are nowhere else, of a replica's feed alone; None where nobody
    can tell, since of a history only the proof is here."""


def forks_of(source: Source, plane: PlaneRow) -> Iterator[Fork]:
    """The forked feeds of a plane, settled ones too."""
    feeds = StoredFeeds(source, plane.number)
    for author in sorted(source.authors(plane.number)):
        row = source.feed(source.feed_number(plane.number, author))
        if row.forked_at:
            yield _fork(feeds, row)


def _fork(feeds: StoredFeeds, row: FeedRow) -> Fork:
    author = row.author
    openings = [opening.event for opening in feeds.openings(author)]
    is_charter = any(opening.skeleton.kind in OPENS_CHARTER for opening in openings)
    towns = [certificate.body.town for opening in openings if (certificate := _certificate(opening)) is not None]
    branches = [
        Branch(head, batches, row.n >= head.last and row.head == head.id, feeds.has_counted(author, batches))
        for head in sorted(feeds.heads(author), key=lambda head: head.id)
        if (batches := [feeds.batch(author, ref) for ref in feeds.path(author, head.id) if ref.first >= row.forked_at])
    ]
    return Fork(row, is_charter, author if is_charter else row.town or min(towns, default=b""), branches)


def _certificate(opening: Event) -> Certificate | None:
    try:
        return decode_certificate(opening_value(opening, CERTIFICATE))
    except MalformedError:
        return None


def branch_meant(fork: Fork, typed: str) -> Branch:
    """The history that is named by the beginning of its id in hexadecimal.

    Raises:
        RefusedError: `not_found`, `ambiguous`.
    """
    found = [each for each in fork.branches if len(typed) >= _ID_CHARS and each.head.id.hex().startswith(typed)]
    if len(found) > 1:
        raise RefusedError(f"several histories begin with {typed}", code=Code.AMBIGUOUS, hint="say more of its id")
    if not found:
        raise RefusedError(
            f"{key_text(fork.row.author)} has no history {typed} here", code=Code.NOT_FOUND, hint="see `moot fork list`"
        )
    return found[0]


def settle_fork(
    unit: Unit, plane: PlaneRow, fork: Fork, branch: Branch, without: Collection[bytes], *, drops: bool = False
) -> Settled:
    """Pin one history of a forked feed, for good: from then on it counts, and nothing more of its author.

    Args:
        unit: the unit.
        plane: the plane.
        fork: a feed of it that is forked.
        branch: the history that is to count.
        without: replicas of a forked charter's town that are not to count.
        drops: whether events may go with that which are nowhere else (`dropping`), beside the histories not chosen.

    Raises:
        RefusedError: `denied`: it is this town's own charter, or of a town that isn't deeper; or this town's key isn't
            here; `conflict`: it is settled already, or events would be dropped: of all that ends with it at once.
    """
    author, head = fork.row.author, branch.head
    if fork.row.ended:
        raise RefusedError(f"the fork of {key_text(author)} is settled already", code=Code.CONFLICT)
    _check_may(unit, plane, fork)
    if not drops:
        check_losses(_losses(unit, plane, fork, branch, without), drops=_DROPS_OF_TOWN if fork.is_charter else "--drop")
    dropped = 0 if fork.is_charter else _dropped(unit, plane, fork, branch)
    replicas: list[bytes] = []
    if fork.is_charter:
        came = _let_in_by(unit, plane, author, head)
        for replica, tip in came.items():
            if replica not in without:
                append_end(unit, plane, replica, End(tip.last, tip.id, author))
        rows = end_all(unit, plane, author, plane.town, End(head.last, head.id, author), without)
        replicas = sorted({*(row.author for row in rows), *(came.keys() - without)})
    else:
        shut_entrance(unit, plane, author)  # whoever has the other copy has the invite's seed
        append_end(unit, plane, author, End(head.last, head.id, fork.town))
    unit.seal()
    resettle(unit, plane.number, plane.town)
    return Settled(unit.feed(unit.feed_number(plane.number, author)).n, replicas, renew(unit, plane), dropped)


def _losses(
    unit: Unit, plane: PlaneRow, fork: Fork, branch: Branch, without: Collection[bytes]
) -> Iterator[Loss | None]:
    """What goes beside the histories that aren't chosen: what waits behind them, and of machines that end with a town.

    Nobody has seen count what waits for its time, and so nobody could choose it.
    """
    author = fork.row.author
    if fork.is_charter:
        ended = dict.fromkeys([*replicas_ended(unit, plane, author), *_let_in_by(unit, plane, author, branch.head)])
        yield from (loss_of(unit, plane, each) for each in ended if each not in without)
    yield loss_of(unit, plane, author, is_chosen=True)


def _dropped(unit: Unit, plane: PlaneRow, fork: Fork, branch: Branch) -> int | None:
    """How many events only histories of a replica's feed hold that aren't chosen; None where one of them isn't here."""
    if is_history_unheld(unit, plane, fork.row):
        return None
    kept = {event.leaf for batch in branch.batches for event in batch.events}
    dropped = histories_dropped(unit, plane, fork.row)
    return len({event.leaf for each in dropped for event in each.events} - kept)


def _check_may(unit: Unit, plane: PlaneRow, fork: Fork) -> None:
    if fork.town == plane.town and not fork.is_charter:
        check_own(unit, plane)
        return
    towns = towns_of(unit, plane)
    if fork.town == plane.town:
        raise RefusedError(
            "a town can't settle a fork of its own charter",
            code=Code.DENIED,
            hint="a shallower town does; against a founder's there is `moot recover`",
        )
    check_admin(unit, plane)
    theirs = towns.get(fork.town)
    if theirs is None or not 0 <= towns[plane.town].depth < theirs.depth:
        raise RefusedError(
            f"only a town of less depth than that of {key_text(fork.row.author)} can settle this",
            code=Code.DENIED,
            hint="see `moot town list`; against a founder there is `moot recover`",
        )


def _let_in_by(unit: Unit, plane: PlaneRow, town: bytes, head: BatchRef) -> dict[bytes, BatchRef]:
    """Replica → its last batch, of those that count for nothing now and came with an invite of a history."""
    feeds = StoredFeeds(unit, plane.number)
    reading = unit.replica.readings.upto(feeds, town, head, head.last)
    found = {}
    for author in unit.authors(plane.number):
        row = unit.feed(unit.feed_number(plane.number, author))
        if row.n or not row.is_aside or row.forked_at:
            continue
        tip = feeds.tip(author)
        for opening in feeds.openings(author):
            certificate = _certificate(opening.event)
            is_meant = certificate is not None and certificate.body.town == town
            if tip is not None and certificate is not None and is_meant and reading.invitation(certificate.signer):
                found[author] = tip
    return found
