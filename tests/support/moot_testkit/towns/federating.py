"""Several towns on one plane, in memory: who invites whom, and everything that one holds brought to the others."""

import copy
from collections.abc import Mapping
from functools import cache

from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import Create, IssueFields
from moot_protocol.time_units import DAY_MS
from moot_protocol.trust.charter_reading import Epochs, Invitation
from moot_protocol.trust.towns import TownStanding
from moot_testkit.towns.carrying import create, founder, joined, log_of, newcomer, plane_of, send
from moot_testkit.towns.town import PROJECT, Member
from mootd.edges.clock import ManualClock
from mootd.engine.exchange.receive import receive
from mootd.engine.membership.charters import epochs_of, invites_of, towns_of
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.membership.inviting import Invited, close_invite, invite, invite_town
from mootd.engine.membership.joining import advance
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.replica import Replica
from mootd.engine.state import TOWN_KEY
from mootd.engine.stored.log import FeedRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.service.writing.writes import carry_out
from mootd.store.port import Table

DAYS_MS = 5 * DAY_MS
"""How far a clock is ahead, in milliseconds."""


def town_key(member: Member) -> bytes:
    """The key of a machine's own town."""
    return member.replica.signer(TOWN_KEY).public


def town_ticket(member: Member, plane: bytes, role: Role = Role.WRITER) -> Invited:
    """An invite for another town."""
    return member.commit(lambda unit: invite_town(unit, plane_of(member, plane), role, 0, ()))


def machine_ticket(member: Member, plane: bytes) -> Invited:
    """An invite for another machine of a town, which may write."""
    return member.commit(lambda unit: invite(unit, plane_of(member, plane), Role.WRITER, 0, ()))


def meet(plane: bytes, *members: Member, rounds: int = 2) -> None:
    """Bring everything of a plane to everybody, and let each do what then becomes possible."""
    for _ in range(rounds):
        for source in members:
            for target in members:
                if source is not target and not _agree(source, target, plane):
                    bring(source, target, plane)


def _agree(source: Member, target: Member, plane: bytes) -> bool:
    return _frontier(source, plane) == _frontier(target, plane)


def _frontier(member: Member, plane: bytes) -> object:
    return log_of(member, plane_of(member, plane)).position().frontier


def bring(source: Member, target: Member, plane: bytes) -> None:
    """Bring what one holds of a plane to the other in one commit, and do there what then becomes possible."""
    row, held = plane_of(source, plane), plane_of(target, plane)
    known = _heads(target, plane)
    lacking = [head for head in log_of(source, row).position().frontier if (head.author, head.head) not in known]
    for entry in lacking:
        if entry.forked_at:
            send(source, target, plane)
            return
    batches = [batch for entry in lacking for batch in source.batches(entry.author, row.number)]
    target.commit(lambda unit: [receive(unit, batch) for batch in batches])
    advance(target.replica, held.number, PlaneKeys(target.replica.keys, plane), target.commit)


def _heads(member: Member, plane: bytes) -> set[tuple[bytes, bytes]]:
    return {(entry.author, entry.head) for entry in log_of(member, plane_of(member, plane)).position().frontier}


def federation(*roles: Role) -> tuple[bytes, list[Member]]:
    """A plane with its founder and a town for each role, every one of which has been admitted; the plane's id."""
    plane, members = _federation(roles)
    return plane, [twin(member) for member in members]


@cache
def _federation(roles: tuple[Role, ...]) -> tuple[bytes, list[Member]]:
    """Made once for all tests that begin with it: each gets a copy."""
    one = founder("town 0")
    plane = one.ledger.id
    members = [one]
    for number, role in enumerate(roles, start=1):
        other = founder(f"town {number}")
        joined(other, town_ticket(one, plane, role).ticket)
        members.append(other)
        meet(plane, one, other)
    meet(plane, *members)
    return plane, members


def twin(member: Member) -> Member:
    """The same machine once more, which goes on by itself."""
    made = copy_of(member, member.name)
    made.entropy = copy.deepcopy(member.entropy)
    made.replica = Replica(made.store, made.keys, made.clock, made.entropy)
    return made


def machine(member: Member, plane: bytes, *others: Member, name: str = "machine") -> Member:
    """A further machine of a member's town, which everybody knows."""
    made = newcomer(name)
    joined(made, machine_ticket(member, plane).ticket)
    meet(plane, member, made, *others)
    return made


def copy_of(member: Member, name: str = "copy") -> Member:
    """A second machine with a copy of everything that a member has: a cloned disk, or a thief."""
    made = Member(name, 77)
    made.keys = copy.deepcopy(member.keys)
    made.clock = ManualClock(member.clock.now_ms())
    with member.replica.read() as reader, made.store.write() as writer:
        for table in Table:
            for key, value in reader.scan(table, b"\0"):
                writer.put(table, key, value)
    made.replica = Replica(made.store, made.keys, made.clock, made.entropy)
    return made


def put_back() -> tuple[Member, Member, bytes]:
    """A founder, a machine of its town of which an old copy was put back, and the history that this has forgotten.

    What it had forgotten the founder has seen, and what it wrote since; the machine itself knows of no fork yet.
    """
    one = founder("one")
    plane = one.ledger.id
    two = machine(one, plane)
    old = copy_of(two)
    create(two, "sent and seen")
    meet(plane, one, two)
    forgotten = feed(one, plane, two.id).head
    create(old, "after")
    send(old, one)
    return one, old, forgotten


def shut_out() -> tuple[Member, Member]:
    """A founder, and a machine that joined its ledger by an invite that was closed without it."""
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    late = machine_ticket(one, plane)
    joined(two, late.ticket)
    one.commit(lambda unit: close_invite(unit, plane_of(one, plane), late.key, []))
    meet(plane, one, two)
    return one, two


def write(member: Member, plane: bytes, title: str = "a title") -> None:
    """Create an issue on a plane."""
    request = Create(actor="ada", project=PROJECT, plane=plane.hex(), fields=IssueFields(title=title))
    member.commit(lambda unit: carry_out(unit, request))


def write_ahead(member: Member, plane: bytes) -> None:
    """Create an issue on a plane while the machine's clock is days ahead; it is right again afterwards."""
    member.clock.advance(DAYS_MS)
    write(member, plane, "ahead")
    member.clock.set_wall(member.clock.now_ms() - DAYS_MS)


def begin(member: Member, plane: bytes) -> bytes:
    """Begin an epoch of a plane; its id."""
    keys = PlaneKeys(member.replica.keys, plane)
    return member.commit(lambda unit: begin_epoch(unit, plane_of(member, plane), keys))


# -- What one sees -----------------------------------------------------------------------------------------------
def towns(member: Member, plane: bytes) -> Mapping[bytes, TownStanding]:
    """Where every town stands."""
    with member.replica.read() as reader:
        return towns_of(LogSnapshot(reader), plane_of(member, plane))


def role(member: Member, plane: bytes, town: bytes) -> str:
    """A town's role as a member sees it."""
    standing = towns(member, plane).get(town)
    return "" if standing is None or standing.role is None else str(standing.role)


def epochs(member: Member, plane: bytes) -> Epochs:
    """The epochs as a member sees them."""
    with member.replica.read() as reader:
        return epochs_of(LogSnapshot(reader), plane_of(member, plane))


def invites(member: Member, plane: bytes) -> dict[bytes, Invitation]:
    """The invites of a member's own town."""
    with member.replica.read() as reader:
        return invites_of(LogSnapshot(reader), plane_of(member, plane))


def feed(member: Member, plane: bytes, author: bytes) -> FeedRow:
    """An author's feed as a member sees it."""
    with member.replica.read() as reader:
        source = LogSnapshot(reader)
        return source.feed(source.feed_number(plane_of(member, plane).number, author))
