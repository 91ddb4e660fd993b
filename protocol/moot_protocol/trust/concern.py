"""Whom a change between towns concerns: the feeds that have to be settled anew when a charter has grown.

Invariant: as long as nothing of its own feed has come, an author whom a change doesn't concern is settled alike by the
towns before and after it. It may concern some for whom nothing changes; what it costs to find out grows with the
charters that changed, and not with all that is held.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from moot_protocol.errors import MalformedError
from moot_protocol.trust.branches import Feeds
from moot_protocol.trust.charter_reading import Reading
from moot_protocol.trust.towns import Charter, Towns, certified


class Concern(NamedTuple):
    """Whom a change concerns."""

    authors: frozenset[bytes]
    """Towns whose charter counts otherwise than before, authors whose ends do, and who came to stand somewhere."""
    named: frozenset[bytes]
    """Towns and invites that their replicas' fate depends on, and that are not what they were."""

    def includes(self, author: bytes, names: frozenset[bytes]) -> bool:
        """Whether an author has to be settled anew; `names` is what `names_of` says of it."""
        return author in self.authors or not self.named.isdisjoint(names)


def names_of(towns: Towns, feeds: Feeds, author: bytes) -> frozenset[bytes]:
    """The towns that a feed's first events name, and the keys that signed their certificates.

    They depend on what is held of the feed and on the plane's genesis only.
    """
    found: set[bytes] = set()
    for opening in feeds.openings(author):
        try:
            certificate = certified(towns, author, opening.event)
        except MalformedError:
            continue  # it names nobody; acceptance refuses it for what is wrong with it
        if certificate is not None:
            found |= {certificate.body.town, certificate.signer}
    return frozenset(found)


def change_between(before: Towns, after: Towns) -> Concern:
    """Whom it concerns that the towns of a plane are not what they were, both read from what is held."""
    authors = {*(before.standings.keys() ^ after.standings.keys()), *_ended_otherwise(before, after)}
    named: set[bytes] = set()
    for town in before.charters.keys() | after.charters.keys():
        one, other = before.charters.get(town), after.charters.get(town)
        if one is other:
            continue
        if one is None or other is None:
            authors.add(town)
            named.add(town)
            continue
        if one._replace(reading=other.reading) != other:
            authors.add(town)
        if _power(one) != _power(other) or one.removers != other.removers:
            named.add(town)
        named.update(_invited_otherwise(one.reading, other.reading))
    return Concern(frozenset(authors), frozenset(named))


def _power(charter: Charter) -> tuple[object, ...]:
    """What decides whom a town may act against, who may act against it, and what its replicas may do."""
    return charter.standing.role, charter.standing.depth


def _invited_otherwise(one: Reading, other: Reading) -> Iterator[bytes]:
    """The invites of which a charter doesn't say what it said."""
    return iter(()) if one is other else _differing(one.invites, other.invites)


def _ended_otherwise(before: Towns, after: Towns) -> Iterator[bytes]:
    """The authors against whom other ends are written than before, or by towns that may do other things."""
    yield from _differing(before.ends, after.ends)
    both = before.charters.keys() & after.charters.keys()
    changed = {town for town in both if _power(before.charters[town]) != _power(after.charters[town])}
    if changed:
        yield from (author for author, each in after.ends.items() if any(writer in changed for writer, _ in each))


def _differing(one: Mapping[bytes, object], other: Mapping[bytes, object]) -> Iterator[bytes]:
    return (key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
