"""Acceptance in one piece: what counts of a whole plane, and whose changes to what.

A replica asks for less at once: it keeps the answers, settles those authors again that new batches concern, and looks
at roles once for a whole event, or when a document is read. What it keeps and shows is held against these functions.
"""

from collections.abc import Mapping
from typing import NamedTuple

from moot_protocol.merge import kinds
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.acceptance import Accepted, FeedKind, settle_author
from moot_protocol.trust.branches import Feeds
from moot_protocol.trust.genesis import Genesis
from moot_protocol.trust.levels import Readings, read_towns
from moot_protocol.trust.towns import TownStanding


class Settlement(NamedTuple):
    """What is accepted of a plane."""

    genesis: Genesis | None
    accepted: Mapping[bytes, Accepted]
    """author → how much of its feed counts, for every author that anything is known of."""
    towns: Mapping[bytes, TownStanding]
    """Town key → where it stands: the founder, the recovery key, everybody that an admin's charter admits, and every
    author whose feed opens as a charter, strangers' too. Empty before the genesis is held."""


def settle(plane: bytes, feeds: Feeds, readings: Readings | None = None) -> Settlement:
    """Settle every feed of a plane.

    Args:
        plane: the plane's 16 bytes.
        feeds: what is held of it.
        readings: what is remembered of its charters; changes nothing but the time it takes.
    """
    towns = read_towns(plane, feeds, readings)
    accepted = {author: settle_author(towns, feeds, author) for author in feeds.authors()}
    return Settlement(towns.genesis if towns else None, accepted, towns.standings if towns else {})


def allows(accepted: Accepted, kind: str, key: str) -> bool:
    """Whether an author's changes to a key of a kind of entity count."""
    if accepted.kind is FeedKind.CHARTER:
        return kind in (kinds.CHARTER_KINDS if accepted.role is Role.ADMIN else kinds.OWN_CHARTER_KINDS)
    if accepted.role is None or kind in kinds.CHARTER_KINDS:
        return False
    return kind == kinds.CERTIFICATE or accepted.role.rank >= kinds.field_of(kind, key).writer.rank
