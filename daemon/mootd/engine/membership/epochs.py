"""Epochs of a plane: who may begin one, whom it is wrapped for, and which is sealed under now.

Invariant: only admins begin epochs; a new one is wrapped for every replica that counts, of whatever town, and for every
open invite that counts; and nothing is sealed under an epoch that is wrapped for somebody who was removed. A plane's
first key is made with its first epoch, before anything is sealed. What ends somebody never waits for the epoch that is
to follow: where too many count for one (`Crowd`), that is begun as soon as they fit (`tending.py`).
"""

from typing import Final, NamedTuple

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_from_text, key_text
from moot_protocol.limits import EPOCH_PREDECESSORS, EPOCH_RECIPIENTS
from moot_protocol.log.event import Dot
from moot_protocol.merge.kinds import CHARTER, INVITE, Role
from moot_protocol.sealing.epoch import build_epoch
from moot_protocol.sealing.frame import epoch_id
from moot_protocol.trust.charter import epoch_drafts
from moot_protocol.trust.charter_reading import Epoch
from mootd.engine.exchange.outbox import empty_queues
from mootd.engine.membership.charters import charter_events, charters_of, epochs_of, invites_of, members_of
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.towns import check_own, entrances_of, is_admin, is_own
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit

_KEY_BYTES: Final = 32
_KEY_SHOWN: Final = 12
"""Characters of a town's key in words, as `moot town list` shows them."""


class Crowd(NamedTuple):
    """More replicas and open invites than one epoch can be wrapped for."""

    size: int
    town: bytes
    """The town of which most of them are."""
    of_town: int
    """How many."""


def may_begin(unit: Unit, plane: PlaneRow) -> bool:
    """Whether this machine may begin epochs of a plane."""
    unit.seal()
    return is_own(unit, plane) and is_admin(unit, plane)


def check_admin(unit: Unit, plane: PlaneRow) -> None:
    """Refuse what only an admin's own machine can do.

    Raises:
        RefusedError: `denied`.
    """
    check_own(unit, plane)
    if not may_begin(unit, plane):
        raise RefusedError(
            f"this town is no admin of plane {plane.name}",
            code=Code.DENIED,
            hint=f"ask an admin: `moot town list --plane {plane.name}` shows them",
        )


def begin_epoch(unit: Unit, plane: PlaneRow, keys: PlaneKeys) -> bytes:
    """Begin a new epoch over all that are live, for everybody that counts; its 8 bytes.

    Of the live epochs some may have been begun without sight of this replica, so that it can't open them: those who
    can keep their keys, and whoever comes later asks them for what was sealed so. So it is with the oldest of more keys
    than an epoch holds: an admin that begins that many keeps nobody from a new one.

    Raises:
        RefusedError: `denied`: this machine may not begin epochs; `limit`: too many members for one.
    """
    check_admin(unit, plane)
    crowd = crowd_of(unit, plane)
    if crowd is not None:
        raise RefusedError(crowd_told(plane, crowd), code=Code.LIMIT, hint=way_out_of(plane, crowd))
    key = unit.replica.entropy.bytes(_KEY_BYTES)
    known = epochs_of(unit, plane)
    before = dict.fromkeys(secret for epoch in known.live if (secret := keys.key_of(epoch.id)) is not None)
    over: dict[bytes, list[Dot]] = {}
    for epoch in known.live:
        over.setdefault(epoch.id, []).append(epoch.dot)
    value = build_epoch(plane.id, key, recipients_of(unit, plane), list(before)[-EPOCH_PREDECESSORS:])
    keys.keep(key)
    charter = unit.feed_number(plane.number, plane.town)
    for draft in epoch_drafts(epoch_id(key), value, "", over):
        unit.append(plane.number, draft, feed=charter)
    unit.seal()
    empty_queues(unit, plane.number)
    return epoch_id(key)


def renew(unit: Unit, plane: PlaneRow) -> bytes:
    """Begin a new epoch where this machine may, the plane was ever sealed and everybody fits; its 8 bytes, or none."""
    if not _may_renew(unit, plane) or crowd_of(unit, plane) is not None:
        return b""
    return begin_epoch(unit, plane, PlaneKeys(unit.replica.keys, plane.id))


def awaits_room(unit: Unit, plane: PlaneRow) -> Crowd | None:
    """Who keeps this machine from beginning a new epoch that it may begin; None where nobody does."""
    return crowd_of(unit, plane) if _may_renew(unit, plane) else None


def _may_renew(unit: Unit, plane: PlaneRow) -> bool:
    return PlaneKeys(unit.replica.keys, plane.id).has_topic and may_begin(unit, plane)


# -- Whom they are for -------------------------------------------------------------------------------------------
def recipients_of(source: Source, plane: PlaneRow) -> dict[bytes, bytes]:
    """Everybody that counts: replicas and open invites, by Ed25519 key: their X25519 keys."""
    return {key: hpke_key for keys in _recipients_by_town(source, plane).values() for key, hpke_key in keys.items()}


def crowd_of(source: Source, plane: PlaneRow) -> Crowd | None:
    """Those whom an epoch would have to be wrapped for, where they are too many for one; else None."""
    rows = [source.feed(source.feed_number(plane.number, author)) for author in source.authors(plane.number)]
    # A charter has no more invites than events, so that of most planes nothing has to be read.
    if sum(row.n if row.kind == CHARTER else row.n > 0 and not row.ended for row in rows) <= EPOCH_RECIPIENTS:
        return None
    found = _recipients_by_town(source, plane)
    size = len({key for keys in found.values() for key in keys})
    town = max(found, key=lambda each: (len(found[each]), each), default=b"")
    return Crowd(size, town, len(found[town])) if size > EPOCH_RECIPIENTS else None


def crowd_told(plane: PlaneRow, crowd: Crowd) -> str:
    """Why no new epoch can be begun, in words."""
    return (
        f"plane {plane.name} can't have a new key: {crowd.size:,} machines and open invites count there, and a key is "
        f"made for {EPOCH_RECIPIENTS} at most"
    )


def way_out_of(plane: PlaneRow, crowd: Crowd) -> str:
    """How a new epoch can be begun again, in words. A town is named by its key, since what it is called it chose."""
    if crowd.town == plane.town:
        most, way = "this town", "`moot replica retire` ends a machine that isn't yours"
    else:
        most, way = f"town {key_text(crowd.town)[:_KEY_SHOWN]}", "`moot member remove` removes a town"
    then = "once they fit, the new key is made by itself"
    return f"most of them ({crowd.of_town:,}) are of {most}: {way}, its key given after --; {then}"


def _recipients_by_town(source: Source, plane: PlaneRow) -> dict[bytes, dict[bytes, bytes]]:
    found: dict[bytes, dict[bytes, bytes]] = {}
    for member in members_of(source, plane):
        if not member.row.ended:
            found.setdefault(member.row.town, {})[member.row.author] = member.certificate.body.hpke_key
    for charter in charters_of(source, plane):
        found.setdefault(charter.author, {}).update(_invited_by(source, plane, charter))
    return found


def _invited_by(source: Source, plane: PlaneRow, charter: FeedRow) -> dict[bytes, bytes]:
    if charter.ended:
        return {}
    return {
        key: invite.hpke_key
        for key, (invite, counting) in invites_of(source, plane, charter.author).items()
        if counting is None and (invite.town == charter.author or charter.role == Role.ADMIN)
    }


def present_of(source: Source, plane: PlaneRow) -> Epoch | None:
    """The epoch to seal under: the newest live one that nobody who was removed can open."""
    live = epochs_of(source, plane).live
    removed = _removed(source, plane) if live else set()
    return next((epoch for epoch in reversed(live) if not _can_open(source, plane, epoch, removed)), None)


def _can_open(source: Source, plane: PlaneRow, epoch: Epoch, removed: set[bytes]) -> bool:
    """Whether an epoch is wrapped for any of these, or its key stands in the ticket of any."""
    return not removed.isdisjoint(epoch.value.wraps) or (
        bool(removed) and not removed.isdisjoint(_may_hold(source, plane, epoch))
    )


def _may_hold(source: Source, plane: PlaneRow, epoch: Epoch) -> set[bytes]:
    """The invites, of whatever town, whose tickets may hold an epoch's key: they were made after it.

    Whoever puts a key into a ticket has heard of its epoch, so that the invite has the later timestamp.
    """
    author, n, leaf8 = epoch.dot
    begun = source.log.event_named(source.feed_number(plane.number, author), n, leaf8)
    since = begun.skeleton.hlc if begun else 0
    return {
        key_from_text(event.skeleton.entity) or b""
        for charter in charters_of(source, plane)
        for _, event, _ in charter_events(source, plane, charter.author)
        if event.skeleton.kind == INVITE and event.skeleton.hlc > since
    }


def invited_after(source: Source, plane: PlaneRow, epoch: Epoch) -> set[bytes]:
    """The invites that the charter with an epoch has made since: their tickets hold its key."""
    events = charter_events(source, plane, epoch.dot.author)
    return {
        key_from_text(event.skeleton.entity) or b""
        for _, event, _ in events
        if event.n > epoch.dot.n and event.skeleton.kind == INVITE
    }


def _removed(source: Source, plane: PlaneRow) -> set[bytes]:
    """Whoever must not read what is written from now on: replicas that were ended, invites that were revoked.

    With a replica that was ended goes the invite that it came with, whose seed it has, unless that is still open: no
    epoch is ever wrapped for it again.
    """
    rows = (source.feed(source.feed_number(plane.number, author)) for author in source.authors(plane.number))
    removed = {row.author for row in rows if row.ended}
    entrances = entrances_of(source, plane) if removed else {}
    theirs = {entrances.get(author, b"") for author in removed}
    for charter in charters_of(source, plane):
        for key, (_, counting) in invites_of(source, plane, charter.author).items():
            is_over = counting is not None or bool(charter.ended)
            if counting == frozenset() or (is_over and key in theirs):
                removed.add(key)
    return removed
