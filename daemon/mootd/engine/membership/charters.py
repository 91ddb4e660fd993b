"""What a plane's charters say, read from one state of the log: its towns, their invites and epochs, and who writes.

Only accepted events count. Which charters count how far is acceptance's to say; the founder is whom the genesis names,
whatever town this replica belongs to.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from moot_protocol.errors import MalformedError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Event
from moot_protocol.merge.fold import Placed, placed_in
from moot_protocol.merge.kinds import ADMISSION, CERTIFICATE, CHARTER, END, Role
from moot_protocol.trust.certificate import Certificate, decode_certificate
from moot_protocol.trust.charter import opened_by, opening_value, parse
from moot_protocol.trust.charter_reading import Epochs, Invitation, read_charter, read_epochs
from moot_protocol.trust.levels import read_towns
from moot_protocol.trust.towns import Towns, TownStanding
from mootd.engine.stored.feeds import Source, StoredFeeds
from mootd.engine.stored.log import FeedRow, PlaneRow


class Member(NamedTuple):
    """A replica that has opened a feed on a plane."""

    row: FeedRow
    certificate: Certificate


def towns_of(source: Source, plane: PlaneRow) -> Mapping[bytes, TownStanding]:
    """Where every town stands on a plane, by town key; nothing before the genesis has come.

    Strangers whose feed merely opens as a charter, and towns whose admission has fallen, are in it with no role.
    """
    towns = _towns(source, plane)
    return {} if towns is None else towns.standings


def _towns(source: Source, plane: PlaneRow) -> Towns | None:
    return read_towns(plane.id, StoredFeeds(source, plane.number))


def heirs_of(source: Source, plane: PlaneRow) -> dict[bytes, bytes]:
    """Town key → the key that the town took instead, as far as that can be told from what charters say.

    A key that several claim is nobody's heir: one of them would have its texts taken for the words of another town. Who
    claims a key that spoke already is none of them: whoever takes a new one lets it in before it opens its charter.
    """
    claims = {
        key: [heir for heir in heirs if _let_in_before_it_opened(source, plane, key, heir)]
        for key, heirs in claims_of(source, plane).items()
    }
    claimed = Counter(heir for heirs in claims.values() for heir in heirs)
    return {key: heirs[0] for key, heirs in claims.items() if len(heirs) == 1 and claimed[heirs[0]] == 1}


def claims_of(source: Source, plane: PlaneRow) -> dict[bytes, list[bytes]]:
    """Town key → the keys that it says it took instead; only keys that may be another's heir, and no empty lists.

    It let such a key in under its own name, and ended itself: a town that lets in another one and leaves later calls it
    something else. A town that an admin had to invite again, under a new key, has only its name in common with before.
    Whoever founded the plane, or was put in a founder's place under a key made for that, is nobody's heir either.
    """
    towns = _towns(source, plane)
    if towns is None:
        return {}
    claims: dict[bytes, list[bytes]] = {}
    new = {each.town for each in _recoveries(source, plane, towns.genesis.recovery) if each.is_of_new_key}
    for key, charter in towns.charters.items():
        admitted = charter.reading.admissions.items() if key in charter.removers and charter.is_admin else ()
        # A town that has a name let itself in under it.
        found = [heir for heir, said in admitted if said.name == (charter.standing.name or key_text(heir))]
        found = [heir for heir in found if heir in towns.charters and heir not in {key, towns.genesis.town, *new}]
        found = [heir for heir in found if not proved_by(source, plane, heir)]
        if found:
            claims[key] = found
    return claims


def _let_in_before_it_opened(source: Source, plane: PlaneRow, town: bytes, heir: bytes) -> bool:
    """Whether a town let a key in before that opened its charter."""
    opening = _opening(source, plane, heir)
    said = (each.event.skeleton for each in charter_events(source, plane, town))
    return opening is not None and any(
        each.kind == ADMISSION and each.entity == key_text(heir) and each.hlc < opening.skeleton.hlc for each in said
    )


def recovered_of(source: Source, plane: PlaneRow) -> dict[bytes, frozenset[bytes]]:
    """Town key → the keys of the same town in whose place the recovery key put it.

    Nothing of a town that goes on under the key that it had: what the recovery key removed is another's. Of the keys
    that it removed together with the admission of a new one, the first is that which the recovering machine spoke for,
    unless they ascend, as earlier releases wrote them; those are of its town too that came as it did: with the same
    invite, or with none.
    """
    towns = _towns(source, plane)
    recovery = towns.genesis.recovery if towns else b""
    if towns is None or not source.feed(source.feed_number(plane.number, recovery)).n:
        return {}
    claimants: dict[bytes, list[bytes]] = {}
    for key, heirs in claims_of(source, plane).items():
        for heir in heirs:
            claimants.setdefault(heir, []).append(key)

    def guests(key: bytes) -> frozenset[bytes]:
        """Of a key, and of those whose place it took, the ones that came with an invite."""
        line = [key]
        for each in line:
            line += [before for before in claimants.get(each, ()) if before not in line]
        return frozenset(each for each in line if proved_by(source, plane, each))

    found = {}
    for each in _recoveries(source, plane, recovery):
        if each.is_of_new_key and each.removed:
            own = guests(each.removed[0])
            # Earlier releases wrote them ascending: in whose place it was isn't told, and numbers begin behind all.
            is_told = each.removed != sorted(each.removed)
            found[each.town] = frozenset(key for key in each.removed if not is_told or guests(key) == own)
    return found


class _Recovery(NamedTuple):
    """What the recovery key wrote at once: whom it let in, and whom it removed for that."""

    town: bytes
    is_of_new_key: bool
    """Whether the town's key was made for it; else it went on under the one that it had."""
    removed: list[bytes]
    """In the order in which they stand there."""


def _recoveries(source: Source, plane: PlaneRow, recovery: bytes) -> list[_Recovery]:
    found: list[_Recovery] = []
    for placed in charter_events(source, plane, recovery):
        kind = placed.event.skeleton.kind
        parsed = parse(placed.event) if kind in {ADMISSION, END} else None
        if parsed is None:
            continue
        if kind == ADMISSION and parsed.values:
            opening = _opening(source, plane, parsed.entity)
            # A new key opens its charter once it was let in. Both stand in feeds of whoever recovers.
            is_new = opening is not None and opening.skeleton.hlc > placed.event.skeleton.hlc
            found.append(_Recovery(parsed.entity, is_new, []))
        elif kind == END and parsed.values and parsed.values[END].town == parsed.entity and found:
            if not found[-1].removed and found[-1].town == parsed.entity and len(found) > 1:
                found.pop()  # who is removed was let in before that, for what it wrote to stay
            found[-1].removed.append(parsed.entity)
    return found


def proved_by(source: Source, plane: PlaneRow, town: bytes) -> bytes:
    """The invite that a town proved in the first event of its charter; empty where it came with none."""
    opening = _opening(source, plane, town)
    opened = None if opening is None else opened_by(opening, town)
    return b"" if opened is None or opened.proof is None else opened.proof.invite


def _opening(source: Source, plane: PlaneRow, author: bytes) -> Event | None:
    """The accepted first event of a feed."""
    first = source.log.batch_holding(source.feed_number(plane.number, author), 1)
    return None if first is None else source.log.event(first.arrival).event


def charter_events(source: Source, plane: PlaneRow, town: bytes | None = None) -> list[Placed]:
    """The accepted events of a town's charter, ascending; none before it has come.

    Args:
        source: one state of the log.
        plane: the plane.
        town: the town's key; for None the town that this replica belongs to there (`plane.town`).
    """
    batches, n = _charter(source, plane, plane.town if town is None else town)
    return [placed for batch in batches for placed in placed_in(batch) if placed.event.n <= n]


def _charter(source: Source, plane: PlaneRow, town: bytes) -> tuple[Iterator[Batch], int]:
    """The batches of a town's charter and the number of its last accepted event; none before it has come."""
    feed = source.feed(source.feed_number(plane.number, town))
    if not feed.n or feed.kind != CHARTER:
        return iter(()), 0
    feeds = StoredFeeds(source, plane.number)
    return (feeds.batch(town, ref) for ref in feeds.path(town, feed.head)), feed.n


def charters_of(source: Source, plane: PlaneRow) -> list[FeedRow]:
    """The charters of a plane of which anything is accepted, of whatever town and role."""
    rows = (source.feed(source.feed_number(plane.number, author)) for author in source.authors(plane.number))
    return [row for row in rows if row.n and row.kind == CHARTER]


def epochs_of(source: Source, plane: PlaneRow) -> Epochs:
    """The epochs of a plane: those in the charters of all towns that are admins, and in no others."""
    admins = sorted(row.author for row in charters_of(source, plane) if row.role == Role.ADMIN)
    if len(admins) > 1:  # the recovery key only admits and removes
        towns = _towns(source, plane)
        writers = {key for key, charter in towns.charters.items() if charter.writes_epochs} if towns else set()
        admins = [key for key in admins if key in writers]
    return read_epochs(event for town in admins for event in charter_events(source, plane, town))


def invites_of(source: Source, plane: PlaneRow, town: bytes | None = None) -> dict[bytes, Invitation]:
    """Invite key → invite, in a town's charter; for None in that of the town that this replica belongs to.

    Those whose `invite.town` is the town itself let in its own replicas; the others let in towns, if it is an admin.
    """
    return read_charter(*_charter(source, plane, plane.town if town is None else town)).invites


def members_of(source: Source, plane: PlaneRow) -> Iterator[Member]:
    """The replicas of all towns of which anything is accepted, by their certificates; `row.town` is whose each is."""
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
