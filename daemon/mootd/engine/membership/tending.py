"""What an admin's machine sees to by itself on a plane: towns that came with its invites, and epochs that have to be.

Invariant: it writes only what its town's charter may, and what it does depends on what is held and on the clock alone,
so that a restart changes nothing. A town that came with an invite is admitted as what the invite was made for, and the
invite closed, when exactly one came; where several came, people decide (`moot invite close --keep`).

A new epoch is begun where two are live at once, where all that are live can be opened by somebody removed, and where
somebody who counts can't open the present one: whoever came with a ticket of another town has the key of when it was
made, which may be an earlier one. Where too many count for one epoch, it is begun once they fit. The shallowest admin
acts at once, each further one a pause later, so that they don't do it against one another; for newcomers everybody
waits that long since the last epoch, so that many of them get one together.
"""

from typing import Final, NamedTuple

from moot_protocol.clock import to_ms
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import CHARTER, Role
from moot_protocol.sealing.epoch import can_wrap_for
from moot_protocol.trust.charter import Admission, admission_draft
from moot_protocol.trust.charter_reading import Epoch
from mootd.engine.commit import Committer
from mootd.engine.exchange.receive import resettle
from mootd.engine.membership.charters import epochs_of, invites_of
from mootd.engine.membership.epochs import begin_epoch, crowd_of, invited_after, present_of, recipients_of
from mootd.engine.membership.inviting import close_invite
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.towns import acting_admins, entrances_of, guests_of, has_key_of, name_of
from mootd.engine.replica import Replica
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit
from mootd.store.port import Table

PAUSE_MS: Final = 60_000
"""How long an epoch is left alone before newcomers get another, and admins give one another precedence."""


class Guest(NamedTuple):
    """A town that came with an invite."""

    invite: bytes
    town: bytes
    role: Role
    """What the invite was made for."""


def tend(replica: Replica, plane: int, keys: PlaneKeys, commit: Committer) -> None:
    """See to a plane, where this machine has its town's key. Nothing is committed where nothing is to be done."""
    row = replica.planes[plane]
    if not has_key_of(replica, row):
        return
    now_ms = replica.wall.now_ms()
    state = _state_of(replica, plane, now_ms)
    if replica.tended.get(plane) == state:
        return
    with replica.read() as reader:
        source = LogSnapshot(reader)
        is_due = bool(guests(source, row)) or needs_epoch(source, row, now_ms)
    if is_due:
        commit(lambda unit: _do(unit, row, keys))
    replica.tended[plane] = state


def _state_of(replica: State, plane: int, now_ms: int) -> tuple[object, ...]:
    """All that what is to be done depends on: it is looked at again only when this has changed."""
    rows = [row for row in list(replica.feeds.values()) if row.plane == plane]
    charters = tuple((row.author, row.head, row.role, row.ended) for row in rows if row.kind == CHARTER)
    return (charters, frozenset(row.author for row in rows if row.n), now_ms // PAUSE_MS)


def _do(unit: Unit, plane: PlaneRow, keys: PlaneKeys) -> None:
    for guest in guests(unit, plane):
        _admit(unit, plane, guest)
    unit.seal()
    if needs_epoch(unit, plane, unit.now_ms):
        begin_epoch(unit, plane, keys)


# -- Towns that came ---------------------------------------------------------------------------------------------
def guests(source: Source, plane: PlaneRow) -> list[Guest]:
    """Who is to be admitted: the only user of each open invite that this machine made for a town."""
    prefix = layout.meant_key(plane.number, b"")
    meant = list(source.transaction.scan(Table.META, prefix, layout.after(prefix)))
    if not meant:
        return []
    invites = invites_of(source, plane)
    found = []
    for key, role in meant:
        invite = key[len(prefix) :]
        is_open = invite in invites and invites[invite].counting is None
        towns = guests_of(source, plane, invite) if is_open else []
        if len(towns) == 1:
            found.append(Guest(invite, towns[0], Role(role.decode())))
    return found


def _admit(unit: Unit, plane: PlaneRow, guest: Guest) -> None:
    name = name_of(unit, plane, guest.town) or key_text(guest.town)
    charter = unit.feed_number(plane.number, plane.town)
    unit.append(plane.number, admission_draft(guest.town, Admission(name, guest.role), ""), feed=charter)
    unit.seal()
    resettle(unit, plane.number, plane.town)
    close_invite(unit, plane, guest.invite, [guest.town])


# -- Epochs ------------------------------------------------------------------------------------------------------
def needs_epoch(source: Source, plane: PlaneRow, now_ms: int) -> bool:
    """Whether this machine's town should begin another epoch of a plane now."""
    live = epochs_of(source, plane).live
    admins = acting_admins(source, plane) if live else []
    if plane.town not in admins or crowd_of(source, plane) is not None:
        return False
    age_ms = now_ms - _begun_ms(source, plane, live[-1])
    turn_ms = admins.index(plane.town) * PAUSE_MS
    if len({epoch.id for epoch in live}) > 1 or present_of(source, plane) is None:
        return not 0 <= age_ms < turn_ms
    return not 0 <= age_ms < turn_ms + PAUSE_MS and _has_forgotten(source, plane, live[-1])


def _begun_ms(source: Source, plane: PlaneRow, epoch: Epoch) -> int:
    author, n, leaf8 = epoch.dot
    event = source.log.event_named(source.feed_number(plane.number, author), n, leaf8)
    return 0 if event is None else to_ms(event.skeleton.hlc)


def _has_forgotten(source: Source, plane: PlaneRow, epoch: Epoch) -> bool:
    """Whether somebody who counts can't open an epoch, which is wrapped neither for them nor for how they came in.

    What its own town invited after it needs no wrap: those tickets were made with its key, beyond doubt.
    """
    recipients = recipients_of(source, plane)
    lacking = recipients.keys() - epoch.value.wraps.keys()
    if not lacking:
        return False
    able = epoch.value.wraps.keys() | invited_after(source, plane, epoch)
    came_with = entrances_of(source, plane)
    return any(came_with.get(each, each) not in able and can_wrap_for(recipients[each]) for each in lacking)
