"""Forks: both histories are told, one is pinned, and every machine comes to the same, whichever it saw first."""

import copy
import re
from functools import partial

import pytest

from moot_protocol.errors import Code
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_testkit.refusals import refusal, refusal_code
from moot_testkit.towns.carrying import joined, log_of, newcomer, plane_of, send
from moot_testkit.towns.federating import (
    DAYS_MS,
    copy_of,
    federation,
    feed,
    invites,
    machine,
    machine_ticket,
    meet,
    put_back,
    town_key,
    towns,
    twin,
    write,
    write_ahead,
)
from moot_testkit.towns.town import Member
from mootd.engine.membership.forks import Fork, Settled, branch_meant, forks_of, settle_fork
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.stored.aside import decode_aside
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.store.port import Table


def forks(member: Member, plane: bytes) -> list[Fork]:
    with member.replica.read() as reader:
        return list(forks_of(LogSnapshot(reader), plane_of(member, plane)))


def settle(member: Member, plane: bytes, author: bytes, branch: bytes, *without: bytes, drops: bool = False) -> Settled:
    (fork,) = (each for each in forks(member, plane) if each.row.author == author)
    chosen = branch_meant(fork, branch.hex())
    return member.commit(lambda unit: settle_fork(unit, plane_of(member, plane), fork, chosen, without, drops=drops))


def head_of(member: Member, plane: bytes, author: bytes) -> bytes:
    return feed(member, plane, author).head


def tell_all(plane: bytes, *members: Member) -> None:
    """Everything that anyone holds of a plane comes to everyone, each of whom has seen something else first."""
    first, *others = members
    for _ in range(2):
        for other in others:
            send(other, first, plane)
        for other in others:
            send(first, other, plane)


def states(plane: bytes, *members: Member) -> set[object]:
    """Where members stand: one element where they agree on what counts and what it comes to."""
    positions = {
        (at.frontier, at.digest) for at in (log_of(each, plane_of(each, plane)).position() for each in members)
    }
    assert len({tuple(sorted(towns(each, plane).items())) for each in members}) == 1
    return set(positions)


class Stolen:
    """A plane on which a guest's town key was stolen, and charter and thief have each written on."""

    def __init__(self) -> None:
        self.plane, (self.one, self.two, self.three) = federation(Role.WRITER, Role.ADMIN)
        self.town = town_key(self.two)
        thief = copy_of(self.two, "thief")
        self.further = machine(self.two, self.plane, name="further")  # came with an invite that only one branch has
        write(self.further, self.plane, "honest work")
        meet(self.plane, self.two, self.further)
        self.honest = head_of(self.two, self.plane, self.town)
        self.strange = machine(thief, self.plane, name="strange")
        write(self.strange, self.plane, "a stranger's")
        self.stolen = head_of(thief, self.plane, self.town)
        send(self.two, self.one, self.plane)  # two histories to two peers
        send(thief, self.three, self.plane)
        send(self.further, self.one, self.plane)
        send(self.strange, self.three, self.plane)

    @property
    def everybody(self) -> list[Member]:
        return [self.one, self.two, self.three, self.further, self.strange]


@pytest.fixture(scope="module")
def world() -> Stolen:
    return Stolen()


@pytest.fixture
def stolen(world: Stolen) -> Stolen:
    """The same for each test, and its own."""
    made = copy.copy(world)
    made.one, made.two, made.three, made.further, made.strange = (twin(member) for member in world.everybody)
    return made


def test_both_histories_are_told_with_what_each_does(stolen: Stolen) -> None:
    send(stolen.three, stolen.one, stolen.plane)
    fork = next(each for each in forks(stolen.one, stolen.plane) if each.is_charter)
    assert (fork.row.author, fork.town) == (stolen.town, stolen.town)
    assert {branch.head.id for branch in fork.branches} == {stolen.honest, stolen.stolen}
    assert [branch.counts for branch in fork.branches] == [False, False]
    for branch in fork.branches:
        assert {event.skeleton.kind for batch in branch.batches for event in batch.events} <= {"invite", "epoch"}


def test_a_charter_is_not_settled_over_a_fork_of_a_machine_of_its_town_that_is_not(stolen: Stolen) -> None:
    clone = copy_of(stolen.two, "clone")
    write(stolen.two, stolen.plane, "here")
    write(clone, stolen.plane, "there")
    for source in (stolen.three, stolen.two, clone):
        send(source, stolen.one, stolen.plane)
    told = refusal(lambda: settle(stolen.one, stolen.plane, stolen.town, stolen.honest))
    assert told.code is Code.CONFLICT
    assert key_text(clone.id) in told.message
    assert told.hint.endswith("`--without REPLICA` leaves out a machine that isn't the town's own; --drop drops all")
    settle(stolen.one, stolen.plane, clone.id, head_of(clone, stolen.plane, clone.id))
    settled = settle(stolen.one, stolen.plane, stolen.town, stolen.honest)
    assert clone.id in settled.replicas
    assert feed(stolen.one, stolen.plane, clone.id).head == head_of(clone, stolen.plane, clone.id)


def test_a_pinned_history_counts_on_every_machine_and_the_other_on_none(stolen: Stolen) -> None:
    send(stolen.three, stolen.one, stolen.plane)
    send(stolen.further, stolen.one, stolen.plane)
    machine_ticket(stolen.two, stolen.plane)  # written on that history, and unseen by who pins it
    settled = settle(stolen.one, stolen.plane, stolen.town, stolen.honest)
    assert stolen.further.id in settled.replicas
    tell_all(stolen.plane, *stolen.everybody)
    assert len(states(stolen.plane, *stolen.everybody)) == 1
    for member in stolen.everybody:
        assert head_of(member, stolen.plane, stolen.town) == stolen.honest
        assert feed(member, stolen.plane, stolen.further.id).n == 2
        assert feed(member, stolen.plane, stolen.strange.id).n == 0
        assert towns(member, stolen.plane)[stolen.town].ended


def test_the_thief_s_history_can_be_chosen_as_well_and_counts_alike_everywhere(stolen: Stolen) -> None:
    send(stolen.one, stolen.three, stolen.plane)
    send(stolen.three, stolen.one, stolen.plane)
    settle(stolen.one, stolen.plane, stolen.town, stolen.stolen)
    tell_all(stolen.plane, *stolen.everybody)
    assert len(states(stolen.plane, *stolen.everybody)) == 1
    assert {head_of(member, stolen.plane, stolen.town) for member in stolen.everybody} == {stolen.stolen}
    assert feed(stolen.two, stolen.plane, stolen.further.id).n == 0


def test_a_machine_that_is_left_out_counts_for_nothing(stolen: Stolen) -> None:
    send(stolen.three, stolen.one, stolen.plane)
    settled = settle(stolen.one, stolen.plane, stolen.town, stolen.honest, stolen.further.id, stolen.two.id)
    assert stolen.further.id not in settled.replicas
    tell_all(stolen.plane, *stolen.everybody)
    assert len(states(stolen.plane, *stolen.everybody)) == 1
    assert {feed(member, stolen.plane, stolen.further.id).n for member in stolen.everybody} == {0}
    assert {feed(member, stolen.plane, stolen.two.id).n for member in stolen.everybody} == {0}


def test_a_machine_that_is_left_out_may_be_forked_and_not_settled(stolen: Stolen) -> None:
    clone = copy_of(stolen.two, "clone")
    write(stolen.two, stolen.plane, "here")
    write(clone, stolen.plane, "there")
    for source in (stolen.three, stolen.two, clone):
        send(source, stolen.one, stolen.plane)
    settled = settle(stolen.one, stolen.plane, stolen.town, stolen.honest, clone.id)
    assert clone.id not in settled.replicas
    assert feed(stolen.one, stolen.plane, clone.id).n == 0


def test_what_waits_of_a_town_s_machines_and_behind_its_charter_is_told_before_its_charter_is_settled(
    stolen: Stolen,
) -> None:
    send(stolen.three, stolen.one, stolen.plane)
    for member, author in ((stolen.two, stolen.two.id), (stolen.further, stolen.further.id)):
        write_ahead(member, stolen.plane)
        stolen.one.take(*member.batches(author, plane_of(member, stolen.plane).number)[-1:])
    stolen.two.clock.advance(DAYS_MS)
    machine_ticket(stolen.two, stolen.plane)
    stolen.one.take(*stolen.two.batches(stolen.town, plane_of(stolen.two, stolen.plane).number)[-1:])
    told = refusal(lambda: settle(stolen.one, stolen.plane, stolen.town, stolen.honest))
    assert told.code is Code.CONFLICT
    for author in (stolen.two.id, stolen.further.id, stolen.town):  # all at once, for with one word all of it goes
        assert re.search(f"of {key_text(author)} .* for the clock", told.message), told.message
    left = [stolen.two.id, stolen.further.id]
    told = refusal(lambda: settle(stolen.one, stolen.plane, stolen.town, stolen.honest, *left))
    assert key_text(stolen.town) in told.message
    assert key_text(stolen.further.id) not in told.message
    assert stolen.further.id in settle(stolen.one, stolen.plane, stolen.town, stolen.honest, drops=True).replicas


def test_what_waits_behind_the_chosen_history_is_told_before_it_goes() -> None:
    one, two, chosen = put_back()
    plane = one.ledger.id
    write_ahead(two, plane)
    one.take(two.batches(plane=plane_of(two, plane).number)[-1])
    told = refusal(lambda: settle(one, plane, two.id, chosen))
    assert told.code is Code.CONFLICT
    assert f"of {key_text(two.id)} 1 batch waits on plane ledger" in told.message
    assert told.hint == "`moot status` says when what waits counts: end it after that; --drop drops all"
    assert not feed(one, plane, two.id).ended
    assert settle(one, plane, two.id, chosen, drops=True).dropped == 1


def test_how_much_a_settled_machine_s_fork_drops_is_known_only_where_its_histories_are_held() -> None:
    one, two, chosen = put_back()
    sees_less = copy_of(one)
    with sees_less.store.write() as writer:
        for key, value in list(writer.scan(Table.ASIDE, b"\0")):
            if not decode_aside(value).was_accepted:
                writer.delete(Table.ASIDE, key)
    plane = one.ledger.id
    assert settle(sees_less, plane, two.id, chosen).dropped is None
    assert settle(one, plane, two.id, chosen).dropped == 1


def test_a_machine_s_fork_is_settled_by_its_own_town() -> None:
    plane, (one, two) = federation(Role.WRITER)
    copied = copy_of(two)
    write(two, plane, "here")
    write(copied, plane, "there")
    chosen = head_of(two, plane, two.id)
    tell_all(plane, one, two, copied)
    (fork,) = forks(two, plane)
    assert (fork.row.author, fork.is_charter, fork.town, len(fork.branches)) == (two.id, False, town_key(two), 2)
    assert settle(two, plane, two.id, chosen).n == feed(two, plane, two.id).n > 1
    tell_all(plane, one, two, copied)
    assert len(states(plane, one, two, copied)) == 1
    assert head_of(one, plane, two.id) == chosen


def test_with_a_forked_machine_s_end_the_ticket_that_it_came_with_is_closed() -> None:
    plane, (one,) = federation()
    ticket, laptop = machine_ticket(one, plane), newcomer("laptop")
    joined(laptop, ticket.ticket)
    meet(plane, one, laptop)
    clone = copy_of(laptop)
    for machine_, title in ((laptop, "here"), (clone, "there")):
        write(machine_, plane, title)
        meet(plane, one, machine_)
    (fork,) = forks(one, plane)
    settled = settle(one, plane, laptop.id, fork.branches[0].head.id, drops=True)
    assert invites(one, plane)[ticket.key].counting is not None
    meet(plane, one, clone)
    assert settled.epoch
    assert PlaneKeys(clone.replica.keys, plane).key_of(settled.epoch) is None


def test_who_may_not_settle_a_fork_is_told_why(stolen: Stolen) -> None:
    send(stolen.one, stolen.two, stolen.plane)
    tell_all(stolen.plane, stolen.one, stolen.two, stolen.three)
    for member in (stolen.two, stolen.three):  # its own town; a peer of it
        assert refusal_code(partial(settle, member, stolen.plane, stolen.town, stolen.honest)) is Code.DENIED
    settle(stolen.one, stolen.plane, stolen.town, stolen.honest)
    assert refusal_code(lambda: settle(stolen.one, stolen.plane, stolen.town, stolen.stolen)) is Code.CONFLICT


def test_a_history_is_named_by_enough_of_its_name_and_has_to_be_here(stolen: Stolen) -> None:
    send(stolen.three, stolen.one, stolen.plane)
    fork = next(each for each in forks(stolen.one, stolen.plane) if each.is_charter)
    assert branch_meant(fork, stolen.honest.hex()[:6]).head.id == stolen.honest
    for typed in ("", "abc", "ffffffffffff"):
        assert refusal_code(partial(branch_meant, fork, typed)) is Code.NOT_FOUND
