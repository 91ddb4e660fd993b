"""What a plane's charter says, read from one state of the log: its invites and epochs, and who writes.

Only accepted events count. Here stands the charter of the town that founded the plane.
"""

from collections.abc import Iterator
from typing import NamedTuple

from moot_protocol.certificate import Certificate, decode_certificate
from moot_protocol.charter import opening_value
from moot_protocol.charter_reading import Epochs, Invitation, read_epochs, read_invites
from moot_protocol.errors import MalformedError
from moot_protocol.fold import Placed
from moot_protocol.kinds import CERTIFICATE, CHARTER
from mootd.engine.log import FeedRow, PlaneRow
from mootd.engine.stored_feeds import Source, StoredFeeds


class Member(NamedTuple):
    """A replica that has opened a feed on a plane."""

    row: FeedRow
    certificate: Certificate


def charter_events(source: Source, plane: PlaneRow) -> list[Placed]:
    """The accepted events of the charter of a plane's town, ascending; none before it has come."""
    feed = source.feed(source.feed_number(plane.number, plane.town))
    if not feed.n:
        return []
    events = StoredFeeds(source, plane.number).events(plane.town, feed.head)
    return [placed for placed in events if placed.event.n <= feed.n]


def epochs_of(source: Source, plane: PlaneRow) -> Epochs:
    """The epochs of a plane."""
    return read_epochs(charter_events(source, plane))


def invites_of(source: Source, plane: PlaneRow) -> dict[bytes, Invitation]:
    """Invite key → invite."""
    return read_invites(charter_events(source, plane))


def members_of(source: Source, plane: PlaneRow) -> Iterator[Member]:
    """The replicas of which anything is accepted, by their certificates."""
    for author in source.authors(plane.number):
        row = source.feed(source.feed_number(plane.number, author))
        if not row.n or row.kind == CHARTER:
            continue
        certificate = _certificate(source, plane, row)
        if certificate is not None:
            yield Member(row, certificate)


def _certificate(source: Source, plane: PlaneRow, row: FeedRow) -> Certificate | None:
    number = source.feed_number(plane.number, row.author)
    first = source.log.batch_holding(number, 1)
    if first is None:
        return None
    try:
        return decode_certificate(opening_value(source.log.event(first.arrival).event, CERTIFICATE))
    except MalformedError:
        return None
