"""Acceptance: which events of a plane count. Pure functions of the set of batches held.

Invariant: `read_towns` and `settle_author` look only at what is held (headers, links, openings, charters), never at the
order in which it came, at a clock, or at an earlier answer. So replicas that hold the same batches accept the same
events.

A feed counts from its first event on, as far as its batches are linked, up to the first fork, and where charters that
may do so pin it (`end`), up to the pins: along the longest common prefix, by batches, of the branches that lead to all
effective pins, up to the lowest of their numbers. Charters come first, depth by depth (`levels.py`); then each
replica's feed follows from them alone:

- A replica belongs to the town that its certificate names, and has a part once that town has. Its role is the least of
  its town's, its invite's and its certificate's; of a reader's feed only the certificate counts.
- A replica that came with an invite counts as long as the invite is open, and beyond that if the close names it.
- Pins count by the replica's own town, whatever its role, and by admins that are shallower than its town.
- Where a feed forks at its first batch and branches are pinned as replicas of two towns, the shallower town's holds; of
  two equally shallow ones none. Which of a town key's branches is its charter's is decided with the charters.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from moot_protocol.errors import MalformedError
from moot_protocol.log.batch import ZEROS
from moot_protocol.log.event import Event
from moot_protocol.merge import kinds
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.branches import BatchRef, Feeds, bound, holding_of, opening_of
from moot_protocol.trust.certificate import Certificate
from moot_protocol.trust.towns import Charter, Towns, certified, pins_of, speaks_for, town_of


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
    """The feed opens with neither a certificate nor as the charter of a town that has a part."""
    OTHER_TOWN = "other_town"
    """It is of a town that is no member: never let in, or not any more."""
    VOID_CERTIFICATE = "void_certificate"
    """Its certificate is malformed, or for another key or plane."""
    NO_INVITE = "no_invite"
    """Its certificate is signed neither by its town nor by an invite of it that is held."""
    INVITE_CLOSED = "invite_closed"
    """Its town's charter has closed the invite it used, and doesn't name it among those that count."""
    FORKED = "forked"
    """Its author signed two different batches with the same number, and no pin says which counts."""
    ENDED = "ended"
    """A charter that may do so has ended it."""
    READER = "reader"
    """Its role may not write: only its certificate counts."""


class Accepted(NamedTuple):
    """What is accepted of one author's feed."""

    n: int
    """Number of the last accepted event, 0 for none."""
    batch: bytes
    """Id of the batch that holds it, 32 zeros for none."""
    kind: FeedKind
    town: bytes
    """The author's town, itself for a charter, empty while unknown."""
    role: Role | None
    """The author's effective role, a charter's town's for a charter; None while unknown."""
    forked_at: int
    """The lowest forked number that is known, 0 for none."""
    ended: bool
    """Whether a pin, or the end of its town, bounds it."""
    reason: Reason


_NOTHING: Final = Accepted(0, ZEROS, FeedKind.UNKNOWN, b"", None, 0, ended=False, reason=Reason.NO_GENESIS)


def settle_author(towns: Towns | None, feeds: Feeds, author: bytes) -> Accepted:
    """Settle one author's feed by towns that `levels.read_towns` has read from the same feeds."""
    forked_at = feeds.forked_at(author)
    if towns is None:
        return _NOTHING._replace(forked_at=forked_at)
    charter = towns.charters.get(author)
    if charter is not None and (charter.n or charter.is_tied or _is_charter_only(towns, feeds, author)):
        return _of_charter(charter, forked_at)
    reach, n, ended = _reach(towns, feeds, author)
    if reach is None:
        reason = Reason.ENDED if ended else Reason.FORKED if forked_at == 1 else Reason.NO_OPENING
        return _NOTHING._replace(forked_at=forked_at, ended=ended, reason=reason)
    member = _member(towns, author, opening_of(feeds, author, reach))
    if isinstance(member, Reason):
        ended = ended or member is Reason.INVITE_CLOSED
        return _NOTHING._replace(forked_at=forked_at, ended=ended, reason=member)
    reason = Reason.ENDED if ended else Reason.FORKED if forked_at else Reason.NONE
    if member.role is Role.READER and n > 1:
        n, reason = 1, Reason.READER
    last = holding_of(feeds, author, reach, n)
    return Accepted(
        n, last.id if last else ZEROS, FeedKind.REPLICA, member.town, member.role, forked_at, ended=ended, reason=reason
    )


def _of_charter(charter: Charter, forked_at: int) -> Accepted:
    standing = charter.standing
    reason = Reason.ENDED if standing.ended else Reason.FORKED if forked_at else Reason.NONE
    batch = charter.last.id if charter.last else ZEROS
    return Accepted(
        charter.n, batch, FeedKind.CHARTER, standing.key, standing.role, forked_at, ended=standing.ended, reason=reason
    )


# -- How far -----------------------------------------------------------------------------------------------------
def _is_charter_only(towns: Towns, feeds: Feeds, author: bytes) -> bool:
    """Whether a town's feed of which nothing counts as its charter couldn't count as anything else either."""
    openings = feeds.openings(author)
    if author == towns.genesis.town:
        return True
    return bool(openings) and not any(opening.event.skeleton.kind == kinds.CERTIFICATE for opening in openings)


def _reach(towns: Towns, feeds: Feeds, author: bytes) -> tuple[BatchRef | None, int, bool]:
    """The last batch of the branch that a replica's feed goes along, its last number, and whether a pin bounds it."""
    claims = {town_of(towns, author, opening.event) for opening in feeds.openings(author)} - {b""}
    pinned = {town: pins for town in claims if (pins := pins_of(towns, feeds, author, town))}
    if not pinned:
        return (*bound(feeds, author, ()), False)
    bounds = [(towns.charters[town].standing.depth, *bound(feeds, author, pins)) for town, pins in pinned.items()]
    left = [each for each in bounds if each[1] is not None]
    depth = min((depth for depth, _, _ in left), default=0)
    shallowest = [(reach, n) for its_depth, reach, n in left if its_depth == depth]
    return (*shallowest[0], True) if len(shallowest) == 1 else (None, 0, True)


# -- Whose replica, and with which role --------------------------------------------------------------------------
class _Member(NamedTuple):
    """What a replica's first event makes it."""

    town: bytes
    role: Role


def _member(towns: Towns, author: bytes, opening: Event) -> _Member | Reason:
    """Whose replica a first event makes its author, with which role, or why it makes it none."""
    try:
        certificate = certified(towns, author, opening)
    except MalformedError:
        return Reason.VOID_CERTIFICATE
    if certificate is None:
        return Reason.OTHER_TOWN if author in towns.standings else Reason.NO_CERTIFICATE
    charter = towns.charters.get(certificate.body.town)
    if charter is None:
        return Reason.OTHER_TOWN
    return _role(charter, certificate) if speaks_for(charter, certificate) else Reason.NO_INVITE


def _role(charter: Charter, certificate: Certificate) -> _Member | Reason:
    """The least role of the town's, the invite's and the certificate's, where the invite counts."""
    standing, body = charter.standing, certificate.body
    roles = [body.role, standing.role or Role.READER]
    invitation = charter.reading.invitation(certificate.signer)
    if certificate.signer != standing.key and invitation is not None:
        invite, counting = invitation
        if counting is not None and body.subject not in counting:
            return Reason.INVITE_CLOSED
        roles.append(invite.role)
    return _Member(standing.key, min(roles, key=lambda role: role.rank))
