"""Epochs of a plane: who may begin one, whom it is wrapped for, and which is sealed under now.

Invariant: only admins begin epochs; a new one is wrapped for every replica that counts, of whatever town, and for every
open invite that counts; and nothing is sealed under an epoch that is wrapped for somebody who was removed. A plane's
first key is made with its first epoch, before anything is sealed.
"""

from typing import Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.log.event import Dot
from moot_protocol.merge.kinds import Role
from moot_protocol.sealing.epoch import build_epoch
from moot_protocol.sealing.frame import epoch_id
from moot_protocol.trust.charter import epoch_drafts
from moot_protocol.trust.charter_reading import Epoch
from mootd.engine.exchange.outbox import empty_queues
from mootd.engine.membership.charters import charters_of, epochs_of, invites_of, members_of
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.towns import check_own, is_admin, is_own
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit

_KEY_BYTES: Final = 32


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
    can keep their keys, and whoever comes later asks them for what was sealed so.

    Raises:
        RefusedError: `denied`: this machine may not begin epochs; `limit`: too many members for one.
    """
    check_admin(unit, plane)
    key = unit.replica.entropy.bytes(_KEY_BYTES)
    known = epochs_of(unit, plane)
    before = dict.fromkeys(secret for epoch in known.live if (secret := keys.key_of(epoch.id)) is not None)
    over: dict[bytes, list[Dot]] = {}
    for epoch in known.live:
        over.setdefault(epoch.id, []).append(epoch.dot)
    value = build_epoch(plane.id, key, recipients_of(unit, plane), list(before))
    keys.keep(key)
    charter = unit.feed_number(plane.number, plane.town)
    for draft in epoch_drafts(epoch_id(key), value, "", over):
        unit.append(plane.number, draft, feed=charter)
    unit.seal()
    empty_queues(unit, plane.number)
    return epoch_id(key)


# -- Whom they are for -------------------------------------------------------------------------------------------
def recipients_of(source: Source, plane: PlaneRow) -> dict[bytes, bytes]:
    """Everybody that counts: replicas and open invites, by Ed25519 key: their X25519 keys."""
    recipients = {
        member.row.author: member.certificate.body.hpke_key
        for member in members_of(source, plane)
        if not member.row.ended
    }
    for charter in charters_of(source, plane):
        recipients |= _invited_by(source, plane, charter)
    return recipients


def _invited_by(source: Source, plane: PlaneRow, charter: FeedRow) -> dict[bytes, bytes]:
    if charter.ended:
        return {}
    return {
        key: invite.hpke_key
        for key, (invite, counting) in invites_of(source, plane, charter.author).items()
        if counting is None and (invite.town == charter.author or charter.role == Role.ADMIN)
    }


def present_of(source: Source, plane: PlaneRow) -> Epoch | None:
    """The epoch to seal under: the newest live one that isn't wrapped for anybody who was removed."""
    live = epochs_of(source, plane).live
    if not live:
        return None
    removed = _removed(source, plane)
    return next((epoch for epoch in reversed(live) if removed.isdisjoint(epoch.value.wraps)), None)


def _removed(source: Source, plane: PlaneRow) -> set[bytes]:
    """Whoever must not read what is written from now on: replicas that were ended, invites that were revoked."""
    rows = (source.feed(source.feed_number(plane.number, author)) for author in source.authors(plane.number))
    removed = {row.author for row in rows if row.ended}
    for charter in charters_of(source, plane):
        invites = invites_of(source, plane, charter.author)
        removed |= {key for key, invitation in invites.items() if invitation.counting == frozenset()}
    return removed
