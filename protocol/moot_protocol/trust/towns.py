"""Towns: where each stands on a plane, whose replica a feed is, and what pins it as that.

Invariant: nothing is decided here that rests on more than the towns as they were evaluated (`levels.py`). An end counts
against a town's replica only if the town itself wrote it, or an admin that is strictly shallower; and each town that
has removed another one pins at nothing whom it doesn't list.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from moot_protocol.errors import MalformedError
from moot_protocol.ids import key_text
from moot_protocol.log.event import Event
from moot_protocol.merge import kinds
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.branches import BatchRef, Feeds, Pin, opening_of
from moot_protocol.trust.certificate import Certificate, decode_certificate
from moot_protocol.trust.charter import End, opening_value
from moot_protocol.trust.charter_reading import Reading
from moot_protocol.trust.genesis import Genesis

RECOVERY_DEPTH: Final = 0
FOUNDER_DEPTH: Final = 1


class TownReason(StrEnum):
    """Why a town has no part in a plane, or no more of one; a stable word for status texts."""

    NONE = ""
    """It is a member, and all of its charter that is linked counts."""
    NO_CHARTER = "no_charter"
    """It is let in, but the first event of its charter isn't held yet. It has no role until then."""
    NOT_ADMITTED = "not_admitted"
    """Nobody lets it in who may: there is no admission, or the one there was has fallen. It has no role."""
    INVITE_CLOSED = "invite_closed"
    """The invite it came with is closed, and the close doesn't name it. It has no role."""
    REMOVED = "removed"
    """A shallower town has ended its charter. Where that left an admission standing it keeps its role, for what counts
    up to the pins; else it has none."""
    ENDED = "ended"
    """It has ended its own charter, and keeps its role for what counts up to the pins."""
    FORKED = "forked"
    """Its charter is forked and stands before the fork, until a shallower town (or itself) pins it. It keeps its
    role."""
    REPLICA = "replica"
    """Its key is a replica's: its feed opens as one, or a shallower town has pinned that branch. It has no role."""


class TownStanding(NamedTuple):
    """Where a town stands on a plane."""

    key: bytes
    """Its 32-byte key, the author of its charter."""
    name: str
    """What its admitter calls it, else what it calls itself; of the founder what the recovery key's charter or its own
    admits it as, which may be nothing; `recovery` of the recovery key. Where a town's key stands for a name it has
    none."""
    role: Role | None
    """The most that its replicas may do; None where it has no part in the plane. The recovery key's is admin, but it
    only admits and removes."""
    depth: int
    """0 for the recovery key, 1 for the founder, else one more than its shallowest effective admitter's; -1 where it
    has no role. It may act against deeper towns only."""
    admitter: bytes
    """The town that lets it in (of several equally shallow ones the lowest key); empty for the founder, the recovery
    key, and where it has no role."""
    ended: bool
    """Whether an effective pin bounds its charter: it is removed, or has ended itself."""
    reason: TownReason


class Charter(NamedTuple):
    """A town that has a role, and its charter as far as it counts."""

    standing: TownStanding
    last: BatchRef | None
    """The batch that holds its last accepted event; None where nothing counts."""
    n: int
    """Number of its last accepted event."""
    reading: Reading
    """What those events say."""
    removers: tuple[bytes, ...] = ()
    """The towns whose end of it counts, ascending; itself where it has ended itself."""
    is_tied: bool = False
    """Whether its key's feed is another town's as much as its own."""

    @property
    def is_admin(self) -> bool:
        """Whether its admissions and its ends of others count."""
        return self.standing.role is Role.ADMIN

    @property
    def writes_epochs(self) -> bool:
        """Whether its epochs count, and its invites for other towns: the recovery key only admits and removes."""
        return self.is_admin and self.standing.depth != RECOVERY_DEPTH


class Towns(NamedTuple):
    """All towns of a plane."""

    plane: bytes
    genesis: Genesis
    charters: Mapping[bytes, Charter]
    """Town key → its charter, of the towns that have a role."""
    standings: Mapping[bytes, TownStanding]
    """Town key → where it stands: all that have a role, all that an admin admits, and whoever opens a charter."""
    ends: Mapping[bytes, Sequence[tuple[bytes, End]]]
    """author → (writer, end) in charters that count; against whom each counts is for `pins_of` to say."""


def certified(towns: Towns, author: bytes, opening: Event) -> Certificate | None:
    """The certificate of a first event, if it is one for this author and plane, whoever signed it.

    Raises:
        MalformedError: it is none for this author and plane.
    """
    value = opening_value(opening, kinds.CERTIFICATE)
    if value is None:
        return None
    certificate = _verified(*value) if _is_parts(value) else decode_certificate(value)
    body, genesis = certificate.body, towns.genesis
    is_own = body.subject == author and opening.skeleton.entity == key_text(author)
    if not is_own or body.plane != towns.plane or author in {genesis.town, genesis.recovery}:
        raise MalformedError("a certificate for another key or plane")
    return certificate


def _is_parts(value: Any) -> bool:
    return isinstance(value, list) and [type(part) for part in value] == [bytes, bytes, bytes]


@lru_cache(maxsize=4096)
def _verified(body: bytes, signature: bytes, signer: bytes) -> Certificate:
    """A certificate, verified once: it is asked for whenever something changes that concerns its replica."""
    return decode_certificate([body, signature, signer])


def speaks_for(charter: Charter, certificate: Certificate) -> bool:
    """Whether a certificate's signer may certify replicas of its town: the town's key, or an invite for its own.

    Nobody may for the recovery key: it has none.
    """
    if charter.standing.depth == RECOVERY_DEPTH:
        return False
    if certificate.signer == charter.standing.key:
        return True
    invitation = charter.reading.invitation(certificate.signer)
    return invitation is not None and invitation.invite.town == charter.standing.key


def town_of(towns: Towns, author: bytes, opening: Event) -> bytes:
    """The town that a first event makes its author a replica of; empty where it makes it none of a town with a role."""
    try:
        certificate = certified(towns, author, opening)
    except MalformedError:
        return b""
    charter = None if certificate is None else towns.charters.get(certificate.body.town)
    if charter is None or certificate is None or not speaks_for(charter, certificate):
        return b""
    return charter.standing.key


def pins_of(towns: Towns, feeds: Feeds, author: bytes, town: bytes, *, of_peers: bool = True) -> tuple[Pin, ...]:
    """What bounds a replica's feed as one of a town that has a role: pins by the town itself and by shallower admins.

    Each town that has removed this one pins the authors that it doesn't list at nothing.

    Args:
        towns: the towns.
        feeds: what is held.
        author: the replica's key.
        town: the town it is taken to be of.
        of_peers: whether the town's own pins count, or only those by strictly shallower towns.
    """
    charter = towns.charters[town]
    pins: list[Pin] = []
    listing: set[bytes] = set()
    for writer, end in towns.ends.get(author, ()):
        may_end = (writer == town and of_peers) or is_above(towns.charters[writer], charter.standing.depth)
        if end.town != town or not may_end:
            continue
        pin = pin_on(feeds, author, end, lambda opening: town_of(towns, author, opening) == town)
        if pin is not None:
            pins.append(pin)
            listing.add(writer)
    removers = (each for each in charter.removers if each != town or of_peers)
    return (*pins, *(Pin(None, 0) for remover in removers if remover not in listing))


def pin_on(feeds: Feeds, author: bytes, end: End, is_own: Callable[[Event], bool]) -> Pin | None:
    """What an end comes to, or None where it is void.

    Args:
        feeds: what is held.
        author: whom it ends.
        end: the end.
        is_own: whether a first event opens a feed of the kind and town that the end names.
    """
    if end.n == 0:
        return Pin(None, 0)
    batch = feeds.get(author, end.batch)
    if batch is None:
        tip = feeds.tip(author)
        return Pin(tip, end.n) if tip is None or is_own(opening_of(feeds, author, tip)) else None
    if not batch.first <= end.n <= batch.last:
        return None
    return Pin(batch, end.n) if is_own(opening_of(feeds, author, batch)) else None


def is_above(writer: Charter, depth: int) -> bool:
    """Whether a town may act against those of a depth."""
    return writer.is_admin and writer.standing.depth < depth
