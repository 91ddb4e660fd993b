"""Acceptance: which events of a plane count. One pure function of the set of batches held.

Invariant: `settle` looks only at what is held (headers, links, openings, charters), never at the order in which it
came, at a clock, or at an earlier answer. So replicas that hold the same batches accept the same events.

A feed counts from its first event on, as far as its batches are linked, up to the first fork, and where its town's
charter pins it (`end`), up to the pins: along the longest common prefix, by batches, of the branches that lead to all
effective pins, up to the lowest of their numbers. A replica that came with an invite counts as long as the invite is
open, and beyond that if the close names it. Here stand the rules within the founder's town; another town's feeds wait
outside until there are rules between towns.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import reduce
from typing import Final, NamedTuple, Protocol

from moot_protocol import kinds
from moot_protocol.batch import ZEROS, Batch
from moot_protocol.certificate import Certificate, decode_certificate
from moot_protocol.charter import OPENS_CHARTER, End, end_of, opening_value
from moot_protocol.charter_reading import Invitation, read_ends, read_invites
from moot_protocol.errors import Code, MalformedError, MootError
from moot_protocol.event import Event
from moot_protocol.fold import Placed
from moot_protocol.genesis import Genesis, decode_genesis, plane_id
from moot_protocol.ids import key_text
from moot_protocol.kinds import Role


class FeedKind(StrEnum):
    """What a feed's first event makes it."""

    UNKNOWN = ""
    CHARTER = "charter"
    REPLICA = "replica"


class Reason(StrEnum):
    """Why no more of a feed is accepted; a stable word for status texts."""

    NONE = ""
    """All that is linked is accepted."""
    NO_GENESIS = "no_genesis"
    """The plane's genesis isn't held yet."""
    NO_OPENING = "no_opening"
    """The feed's first batch isn't held yet, or not with all its values."""
    NO_CERTIFICATE = "no_certificate"
    """The feed opens with neither a certificate nor this plane's genesis."""
    OTHER_TOWN = "other_town"
    """Its certificate names a town that is no member."""
    VOID_CERTIFICATE = "void_certificate"
    """Its certificate is malformed, or for another key or plane."""
    NO_INVITE = "no_invite"
    """Its certificate is signed neither by its town nor by an invite of it that is held."""
    INVITE_CLOSED = "invite_closed"
    """Its town's charter has closed the invite it used, and doesn't name it among those that count."""
    FORKED = "forked"
    """Its author signed two different batches with the same number, and no pin says which counts."""
    ENDED = "ended"
    """Its town's charter has ended it."""
    READER = "reader"
    """Its role may not write: only its certificate counts."""


class BatchRef(NamedTuple):
    """A held batch without its events."""

    id: bytes
    prev: bytes
    """Id of the author's previous batch, or zeros."""
    first: int
    last: int
    hlc_last: int


class Opening(NamedTuple):
    """The first event of a feed, or of one branch of it."""

    batch: bytes
    """Id of the batch that holds it."""
    event: Event


class Feeds(Protocol):
    """What is held of one plane.

    A batch is *linked* when it and all before it, back to number 1, are held, each following the other (`follows`),
    with all their values where they must have them (`needs_values`), and none of them parked. The *trunk* is what is
    linked and begins before the first fork; below it no number is held twice.
    """

    def authors(self) -> Iterable[bytes]:
        """Every author that anything is known of."""

    def forked_at(self, author: bytes) -> int:
        """The lowest `first` of which two different header ids are known, parked and unlinked ones too; 0 for none."""

    def tip(self, author: bytes) -> BatchRef | None:
        """The last batch of the trunk."""

    def get(self, author: bytes, batch_id: bytes) -> BatchRef | None:
        """A linked batch, on whatever branch."""

    def holding(self, author: bytes, n: int) -> BatchRef | None:
        """The batch of the trunk that holds an event's number."""

    def heads(self, author: bytes) -> Iterable[BatchRef]:
        """The last linked batch of every branch; asked of charters only."""

    def openings(self, author: bytes) -> Sequence[Opening]:
        """The first events of all linked batches that begin at 1; more than one only where the feed forks there."""

    def events(self, author: bytes, batch_id: bytes) -> Iterable[Placed]:
        """The events from number 1 up to and with those of a linked batch; asked of charters only."""


class Accepted(NamedTuple):
    """What is accepted of one author's feed."""

    n: int
    """Number of the last accepted event, 0 for none."""
    batch: bytes
    """Id of the batch that holds it, 32 zeros for none."""
    kind: FeedKind
    town: bytes
    """The author's town, empty while unknown."""
    role: Role | None
    """The author's effective role; None while unknown."""
    forked_at: int
    """The lowest forked number that is known, 0 for none."""
    ended: bool
    """Whether a pin, or the end of its town, bounds it."""
    reason: Reason

    def allows(self, kind: str, key: str) -> bool:
        """Whether the author's changes to a key of a kind of entity count."""
        if self.kind is FeedKind.CHARTER:
            return kind in kinds.CHARTER_KINDS
        if self.role is None or kind in kinds.CHARTER_KINDS:
            return False
        return kind == kinds.CERTIFICATE or self.role.rank >= kinds.field_of(kind, key).writer.rank


class Charter(NamedTuple):
    """The founder's charter as far as it is accepted, and what it says of its town's feeds."""

    plane: bytes
    genesis: Genesis
    own: Accepted
    ends: Mapping[bytes, tuple[End, ...]]
    """author → live pins."""
    invites: Mapping[bytes, Invitation]
    """invite key → the invite, of whatever town it lets in."""

    @property
    def is_ended(self) -> bool:
        """Whether the town has ended its charter, which removes it: replicas that it doesn't list end at 0."""
        return self.own.ended


class Settlement(NamedTuple):
    """What is accepted of a plane."""

    genesis: Genesis | None
    accepted: Mapping[bytes, Accepted]
    """author → how much of its feed counts, for every author that anything is known of."""


class _Pin(NamedTuple):
    """An effective pin: the branch it leads along and its number."""

    branch: BatchRef | None
    n: int


_NOTHING: Final = Accepted(0, ZEROS, FeedKind.UNKNOWN, b"", None, 0, ended=False, reason=Reason.NO_GENESIS)


def follows(batch: Batch, previous: BatchRef | None) -> bool:
    """Whether a batch comes right after another one of its author: by id, by number, and by time.

    Args:
        batch: the later batch.
        previous: the linked batch that it names as its predecessor, or None at the feed's beginning.
    """
    header = batch.header
    if previous is None:
        return header.first == 1
    return (
        header.prev == previous.id
        and header.first == previous.last + 1
        and batch.events[0].skeleton.hlc > previous.hlc_last
    )


def needs_values(opening: Event, first: int) -> bool:
    """Whether a batch counts as held only with all its values: in a charter, and where it holds a certificate.

    Args:
        opening: the first event of the branch that the batch stands on.
        first: number of the batch's first event.
    """
    kind = opening.skeleton.kind
    return kind in OPENS_CHARTER or (first == 1 and kind == kinds.CERTIFICATE)


def settle(plane: bytes, feeds: Feeds) -> Settlement:
    """Settle every feed of a plane.

    Args:
        plane: the plane's 16 bytes.
        feeds: what is held of it.
    """
    charter = read_charter(plane, feeds)
    accepted = {author: settle_author(charter, feeds, author) for author in feeds.authors()}
    return Settlement(charter.genesis if charter else None, accepted)


def read_charter(plane: bytes, feeds: Feeds) -> Charter | None:
    """The founder's charter, or None while the plane's genesis isn't held."""
    genesis = _find_genesis(plane, feeds)
    if genesis is None:
        return None
    town = genesis.town
    forked_at = feeds.forked_at(town)
    pins = [
        pin
        for head in feeds.heads(town)
        if _genesis_of(plane, town, _opening(feeds, town, head)) and (pin := _own_pin(feeds, town, head))
    ]
    reach, n = _bound(feeds, town, pins)
    last = _holding(feeds, town, reach, n)
    reason = Reason.ENDED if pins else Reason.FORKED if forked_at else Reason.NONE
    own = Accepted(
        n, last.id if last else ZEROS, FeedKind.CHARTER, town, Role.ADMIN, forked_at, ended=bool(pins), reason=reason
    )
    events = [placed for placed in feeds.events(town, last.id) if placed.event.n <= n] if last else []
    return Charter(plane, genesis, own, read_ends(town, events), read_invites(events))


def settle_author(charter: Charter | None, feeds: Feeds, author: bytes) -> Accepted:
    """Settle one author's feed by a charter that `read_charter` has read from the same feeds."""
    forked_at = feeds.forked_at(author)
    if charter is None:
        return _NOTHING._replace(forked_at=forked_at)
    if author == charter.genesis.town:
        return charter.own
    pins = [
        pin for end in charter.ends.get(author, ()) if (pin := _replica_pin(charter, feeds, author, end)) is not None
    ]
    ended = bool(pins) or charter.is_ended
    reach, n = (None, 0) if ended and not pins else _bound(feeds, author, pins)
    if reach is None:
        reason = Reason.ENDED if ended else Reason.FORKED if forked_at == 1 else Reason.NO_OPENING
        return _NOTHING._replace(forked_at=forked_at, ended=ended, reason=reason)
    role = _role(charter, author, _opening(feeds, author, reach))
    if isinstance(role, Reason):
        return _NOTHING._replace(forked_at=forked_at, ended=ended or role is Reason.INVITE_CLOSED, reason=role)
    reason = Reason.ENDED if ended else Reason.FORKED if forked_at else Reason.NONE
    if role is Role.READER and n > 1:
        n, reason = 1, Reason.READER
    last = _holding(feeds, author, reach, n)
    town = charter.genesis.town
    return Accepted(n, last.id if last else ZEROS, FeedKind.REPLICA, town, role, forked_at, ended=ended, reason=reason)


# -- Who opens a feed --------------------------------------------------------------------------------------------
def _find_genesis(plane: bytes, feeds: Feeds) -> Genesis | None:
    for author in feeds.authors():
        for opening in feeds.openings(author):
            genesis = _genesis_of(plane, author, opening.event)
            if genesis is not None:
                return genesis
    return None


def _genesis_of(plane: bytes, author: bytes, opening: Event) -> Genesis | None:
    """The plane's genesis, where this event of this author holds it."""
    document = opening_value(opening, kinds.GENESIS)
    if not isinstance(document, bytes) or plane_id(document) != plane:
        return None
    try:
        genesis = decode_genesis(document)
    except MalformedError:
        return None
    return genesis if genesis.town == author else None


def _certificate(charter: Charter, author: bytes, opening: Event) -> Certificate | Reason:
    """The certificate by which a first event makes its feed a replica's of this town, or why it makes it none."""
    value = opening_value(opening, kinds.CERTIFICATE)
    if value is None:
        return Reason.NO_CERTIFICATE
    try:
        certificate = decode_certificate(value)
    except MalformedError:
        return Reason.VOID_CERTIFICATE
    body, genesis = certificate.body, charter.genesis
    is_own = body.subject == author and opening.skeleton.entity == key_text(author) and author != genesis.recovery
    if not is_own or body.plane != charter.plane:
        return Reason.VOID_CERTIFICATE
    if body.town != genesis.town:
        return Reason.OTHER_TOWN
    invitation = charter.invites.get(certificate.signer)
    is_invited = invitation is not None and invitation.invite.town == genesis.town
    return certificate if certificate.signer == genesis.town or is_invited else Reason.NO_INVITE


def _role(charter: Charter, author: bytes, opening: Event) -> Role | Reason:
    """The role that a replica's first event gives it, or why it gives none: the least of town's, invite's and its own.

    The founder's town is an admin, so its own never lessens another.
    """
    certificate = _certificate(charter, author, opening)
    if isinstance(certificate, Reason):
        return certificate
    role = certificate.body.role
    if certificate.signer == charter.genesis.town:
        return role
    invite, counting = charter.invites[certificate.signer]
    if counting is not None and author not in counting:
        return Reason.INVITE_CLOSED
    return min(role, invite.role, key=lambda each: each.rank)


def _opening(feeds: Feeds, author: bytes, ref: BatchRef) -> Event:
    """The first event of the branch that leads to a linked batch."""
    openings = feeds.openings(author)
    while len(openings) > 1 and ref.first > 1:
        ref = _previous(feeds, author, ref)
    for opening in openings:
        if len(openings) == 1 or opening.batch == ref.id:
            return opening.event
    raise _broken(author)


# -- Pins --------------------------------------------------------------------------------------------------------
def _replica_pin(charter: Charter, feeds: Feeds, author: bytes, end: End) -> _Pin | None:
    """What a pin of a replica comes to, or None where it is void."""
    if end.n == 0:
        return _Pin(None, 0)
    batch = feeds.get(author, end.batch)
    if batch is None:
        return _Pin(feeds.tip(author), end.n)
    if not batch.first <= end.n <= batch.last:
        return None
    # A branch that opens as something else is none that this town could end.
    opening = _opening(feeds, author, batch)
    return None if isinstance(_certificate(charter, author, opening), Reason) else _Pin(batch, end.n)


def _own_pin(feeds: Feeds, town: bytes, head: BatchRef) -> _Pin | None:
    """Where a branch of a charter ends itself, or None where it doesn't.

    It ends with the first event of a batch that names the event right before it: so the end itself still counts and
    travels with the rest, and can only mean the branch on which it stands.
    """
    for _, event, _ in feeds.events(town, head.id):
        end = end_of(event, town)
        if end is not None and end.n == event.n - 1 and end.town == town:
            batch = _holding(feeds, town, head, event.n)
            if batch is not None and batch.first == event.n and batch.prev == end.batch:
                return _Pin(batch, event.n)
    return None


def _bound(feeds: Feeds, author: bytes, pins: Sequence[_Pin]) -> tuple[BatchRef | None, int]:
    """How far a feed counts: the last batch of the branch to go along, and the last number."""
    if not pins:
        tip = feeds.tip(author)
        return tip, tip.last if tip else 0
    reach = reduce(lambda one, other: _common(feeds, author, one, other), (pin.branch for pin in pins))
    return reach, min(reach.last if reach else 0, *(pin.n for pin in pins))


# -- Branches ----------------------------------------------------------------------------------------------------
def _common(feeds: Feeds, author: bytes, one: BatchRef | None, other: BatchRef | None) -> BatchRef | None:
    """The last batch that the branches leading to two linked batches share."""
    forked_at = feeds.forked_at(author)
    while one is not None and other is not None and one.id != other.id:
        if one.first > other.first:
            one, other = other, one
        if not forked_at or one.first < forked_at:
            return one  # On the trunk, and all that is linked stands on it.
        other = feeds.get(author, other.prev)
    return None if one is None or other is None else one


def _holding(feeds: Feeds, author: bytes, ref: BatchRef | None, n: int) -> BatchRef | None:
    """The batch that holds an event's number on the branch that leads to a linked batch; None for number 0."""
    forked_at = feeds.forked_at(author)
    if ref is None or n == 0:
        return None
    while n < ref.first:
        if not forked_at or ref.first < forked_at:
            return feeds.holding(author, n)
        ref = _previous(feeds, author, ref)
    return ref


def _previous(feeds: Feeds, author: bytes, ref: BatchRef) -> BatchRef:
    previous = feeds.get(author, ref.prev)
    if previous is None:
        raise _broken(author)
    return previous


def _broken(author: bytes) -> MootError:
    """The error for feeds that don't hold what `Feeds` promises."""
    return MootError(f"the feed of {key_text(author)} has lost a batch on its trunk", code=Code.STORE_DAMAGED)
