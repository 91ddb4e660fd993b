"""Ending members: nothing that others have seen is taken back, and what is written after is for those who remain."""

import pytest

from moot_protocol.errors import Code
from moot_protocol.ids import key_text, key_word
from moot_protocol.merge.kinds import Role
from moot_testkit.refusals import refusal, refusal_code
from moot_testkit.towns.carrying import founder, joined, log_of, newcomer, plane_of, send
from moot_testkit.towns.federating import (
    DAYS_MS,
    bring,
    copy_of,
    epochs,
    federation,
    feed,
    invites,
    machine,
    machine_ticket,
    meet,
    role,
    town_key,
    town_ticket,
    towns,
    twin,
    write,
    write_ahead,
)
from moot_testkit.towns.town import Member
from mootd.engine.exchange.receive import receive
from mootd.engine.membership import epochs as membership_epochs
from mootd.engine.membership.forks import branch_meant, forks_of, settle_fork
from mootd.engine.membership.joining import present_epoch
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.removing import Removed, Retired, remove_town, retire
from mootd.engine.membership.towns import acting_admins
from mootd.engine.stored.log_snapshot import LogSnapshot


def remove(member: Member, plane: bytes, town: bytes, *, drops: bool = False) -> Removed:
    standing = towns(member, plane)[town]
    return member.commit(lambda unit: remove_town(unit, plane_of(member, plane), standing, drops=drops))


def can_read(member: Member, plane: bytes, epoch: bytes) -> bool:
    return PlaneKeys(member.replica.keys, plane).key_of(epoch) is not None


def test_a_removed_town_ends_with_all_its_machines_at_what_is_accepted_here() -> None:
    plane, (one, two, three) = federation(Role.ADMIN, Role.WRITER)
    further = machine(two, plane, one, three)
    write(two, plane, "seen")
    meet(plane, one, two, three, further)
    write(two, plane, "not seen by who removes it")
    before = feed(one, plane, two.id).n
    removed = remove(one, plane, town_key(two))
    assert set(removed.replicas) == {two.id, further.id}
    assert removed.events == before + 1
    meet(plane, one, two, three, further)
    for member in (one, two, three, further):
        assert feed(member, plane, two.id).n == before
        assert towns(member, plane)[town_key(two)].ended
        with member.replica.read() as reader:
            assert acting_admins(LogSnapshot(reader), plane_of(member, plane)) == [town_key(one)]
    assert refusal_code(lambda: write(two, plane)) is Code.DENIED
    assert refusal_code(lambda: write(further, plane)) is Code.DENIED
    assert role(one, plane, town_key(three)) == Role.WRITER


def test_what_a_town_wrote_stays_though_another_than_its_admitter_removes_it() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    three = founder("town 3")
    joined(three, town_ticket(two, plane).ticket)
    meet(plane, two, three, one)
    write(three, plane, "stays")
    meet(plane, one, two, three)
    assert towns(one, plane)[town_key(three)].depth == 3
    remove(one, plane, town_key(three))
    meet(plane, one, two, three)
    for member in (one, two, three):
        assert feed(member, plane, three.id).n == 2


def test_what_a_machine_wrote_stays_that_ended_before_its_town_was_removed() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(two, plane, one)
    write(further, plane, "stays")
    meet(plane, one, two, further)
    before = feed(one, plane, further.id).n
    two.commit(lambda unit: retire(unit, plane_of(two, plane), further.id))
    meet(plane, one, two)
    remove(one, plane, town_key(two))
    meet(plane, one, two)
    assert [feed(member, plane, further.id).n for member in (one, two)] == [before] * 2


def test_what_is_written_after_a_removal_is_for_those_who_remain() -> None:
    plane, (one, two, three) = federation(Role.ADMIN, Role.WRITER)
    made = machine_ticket(two, plane)
    meet(plane, one, two, three)
    removed = remove(one, plane, town_key(two))
    meet(plane, one, two, three)
    assert can_read(three, plane, removed.epoch)
    assert not can_read(two, plane, removed.epoch)
    assert made.key not in epochs(one, plane).live[-1].value.wraps
    positions = {log_of(each, plane_of(each, plane)).position() for each in (one, three)}
    assert len(positions) == 1


def test_the_invite_that_a_removed_town_came_with_is_closed_though_nobody_had_got_to_it() -> None:
    plane, (one,) = federation()
    opened, two = town_ticket(one, plane), founder("town 1")
    joined(two, opened.ticket)
    bring(one, two, plane)
    row = plane_of(two, plane).number
    batches = [batch for author in (town_key(two), two.id) for batch in two.batches(author, row)]
    one.commit(lambda unit: [receive(unit, batch) for batch in batches])
    assert invites(one, plane)[opened.key].counting is None
    remove(one, plane, town_key(two))
    assert invites(one, plane)[opened.key].counting is not None
    assert opened.key not in epochs(one, plane).live[-1].value.wraps


def test_peers_can_t_remove_one_another_and_nobody_removes_a_founder_or_itself() -> None:
    plane, (one, two, three) = federation(Role.ADMIN, Role.WRITER)
    assert refusal_code(lambda: remove(two, plane, town_key(three))) is Code.DENIED
    assert refusal_code(lambda: remove(two, plane, town_key(one))) is Code.DENIED
    assert refusal_code(lambda: remove(three, plane, town_key(two))) is Code.DENIED
    assert refusal_code(lambda: remove(one, plane, town_key(one))) is Code.CONFLICT
    remove(one, plane, town_key(two))
    assert refusal_code(lambda: remove(one, plane, town_key(two))) is Code.CONFLICT


# -- What a removal would drop -----------------------------------------------------------------------------------
class Shared:
    """A founder, and a writer's town of whose further machine an old copy was put back; the founder has seen both."""

    def __init__(self) -> None:
        self.plane, (self.one, self.two) = federation(Role.WRITER)
        self.further = machine(self.two, self.plane, self.one)
        self.old = copy_of(self.further)
        write(self.further, self.plane, "sent and seen")
        meet(self.plane, self.one, self.two, self.further)
        write(self.old, self.plane, "after")
        send(self.old, self.one, self.plane)
        self.seen = feed(self.further, self.plane, self.further.id).head

    def remove(self, *, drops: bool = False) -> Removed:
        return remove(self.one, self.plane, town_key(self.two), drops=drops)


def test_a_town_with_a_forked_machine_is_not_removed_unasked_and_both_histories_are_told() -> None:
    world = Shared()
    told = refusal(world.remove)
    name = key_text(world.further.id)
    assert told.code is Code.CONFLICT
    assert f"{name} has signed two histories on plane ledger" in told.message
    assert f"1 of {world.seen.hex()[:8]}" in told.message
    assert f"1 of {feed(world.old, world.plane, world.old.id).head.hex()[:8]}" in told.message
    assert f"`moot fork settle --branch NAME {key_word(name)}`" in told.hint
    assert not towns(world.one, world.plane)[town_key(world.two)].ended
    assert world.further.id in world.remove(drops=True).replicas
    assert feed(world.one, world.plane, world.further.id).n == 1


def test_once_one_history_was_chosen_its_town_is_removed_and_that_one_stays() -> None:
    world = Shared()
    row = plane_of(world.one, world.plane)
    with world.one.replica.read() as reader:
        fork = next(forks_of(LogSnapshot(reader), row))
    chosen = branch_meant(fork, world.seen.hex())
    world.one.commit(lambda unit: settle_fork(unit, row, fork, chosen, frozenset()))
    world.remove()
    assert feed(world.one, world.plane, world.further.id).head == world.seen


def test_a_town_of_which_something_waits_for_its_time_is_not_removed_unasked() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(two, plane, one)
    for each in (two, further):
        write_ahead(each, plane)
    bring(further, one, plane)
    bring(two, one, plane)
    told = refusal(lambda: remove(one, plane, town_key(two)))
    assert told.code is Code.CONFLICT
    for each in (two, further):  # all of it at once, for with one word all of it goes
        assert f"of {key_text(each.id)} 1 batch waits on plane ledger" in told.message
    assert told.hint == "`moot status` says when what waits counts: end it after that; --drop drops all"
    hasty = twin(one)
    remove(hasty, plane, town_key(two), drops=True)
    one.clock.advance(DAYS_MS)
    remove(one, plane, town_key(two))
    for each in (two, further):
        assert [feed(seen, plane, each.id).n for seen in (hasty, one)] == [1, 2]


def test_a_town_whose_charter_has_two_histories_is_removed_by_choosing_one_of_them() -> None:
    plane, (one, two) = federation(Role.WRITER)
    thief = copy_of(two)
    machine_ticket(two, plane)
    machine(thief, plane)
    for each in (two, thief):
        send(each, one, plane)
    told = refusal(lambda: remove(one, plane, town_key(two)))
    assert f"{key_text(town_key(two))} has signed two histories" in told.message
    assert "`moot fork settle --branch NAME TOWN` removes the town, too" in told.hint
    assert "salvage" not in told.hint
    remove(one, plane, town_key(two), drops=True)
    assert towns(one, plane)[town_key(two)].ended


def test_what_would_not_count_without_the_removal_either_does_not_stand_in_its_way() -> None:
    plane, (one, two) = federation(Role.WRITER)
    for title in ("not seen", "seen without what comes before"):
        write(two, plane, title)
    one.take(two.batches(plane=plane_of(two, plane).number)[-1])
    assert feed(one, plane, two.id).is_aside
    remove(one, plane, town_key(two))
    assert feed(one, plane, two.id).ended


def test_what_went_with_a_machine_that_its_own_town_retired_is_not_told_of_again() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(two, plane, one)
    write_ahead(further, plane)
    bring(further, one, plane)
    two.commit(lambda unit: retire(unit, plane_of(two, plane), further.id))
    bring(two, one, plane)
    assert feed(one, plane, further.id).is_aside
    remove(one, plane, town_key(two))


def test_who_may_not_remove_a_town_is_not_told_what_that_would_drop() -> None:
    world = Shared()
    send(world.one, world.two, world.plane)
    assert refusal_code(lambda: remove(world.two, world.plane, town_key(world.two))) is Code.DENIED


# -- Machines of one's own ---------------------------------------------------------------------------------------
def test_a_machine_is_retired_by_its_own_town_alone_and_never_by_itself() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(two, plane, one)
    write(further, plane)
    meet(plane, one, two, further)
    assert refusal_code(lambda: two.commit(lambda unit: retire(unit, plane_of(two, plane), two.id))) is Code.CONFLICT
    assert (
        refusal_code(lambda: further.commit(lambda unit: retire(unit, plane_of(further, plane), two.id))) is Code.DENIED
    )
    retired = two.commit(lambda unit: retire(unit, plane_of(two, plane), further.id))
    assert (retired.n, retired.epoch) == (feed(two, plane, further.id).n, b"")
    meet(plane, two, one)
    assert feed(one, plane, further.id).ended
    assert feed(one, plane, further.id).n == retired.n
    assert (
        refusal_code(lambda: two.commit(lambda unit: retire(unit, plane_of(two, plane), further.id))) is Code.CONFLICT
    )


def test_the_invite_of_a_machine_that_is_retired_is_closed_and_its_other_users_stay() -> None:
    plane, (one, two) = federation(Role.WRITER)
    lost = machine(one, plane, two)
    key = next(key for key, invitation in invites(one, plane).items() if invitation.counting is None)
    retired = one.commit(lambda unit: retire(unit, plane_of(one, plane), lost.id))
    assert invites(one, plane)[key].counting == frozenset({lost.id})
    meet(plane, one, lost)
    assert retired.epoch
    assert not can_read(lost, plane, retired.epoch)


def test_the_other_machines_that_came_with_the_ticket_of_one_that_is_retired_are_told() -> None:
    one = founder("one")
    plane, ticket = one.ledger.id, machine_ticket(one, one.ledger.id).ticket
    came = [newcomer(name) for name in ("gone", "lost", "known", "a thief's")]
    for each in came:
        joined(each, ticket)
        meet(plane, one, each)
    machine(one, plane)  # with a ticket of its own
    gone, lost, *others = (each.id for each in came)
    row = plane_of(one, plane)
    assert set(one.commit(lambda unit: retire(unit, row, gone)).same_ticket) == {lost, *others}
    assert set(one.commit(lambda unit: retire(unit, row, lost)).same_ticket) == set(others)  # the invite is closed now
    assert all(feed(one, plane, each).n for each in others)


def test_of_a_machine_that_came_with_a_ticket_of_its_own_no_others_are_told() -> None:
    plane, (one, two) = federation(Role.WRITER)
    ticket, other = machine_ticket(two, plane).ticket, newcomer("other")
    joined(other, ticket)
    meet(plane, one, two, other)
    assert two.commit(lambda unit: retire(unit, plane_of(two, plane), other.id)).same_ticket == []


# -- More than an epoch can be wrapped for -----------------------------------------------------------------------
class Crowded:
    """A founder with a laptop on a plane that a writer's town has filled with machines: 5, and 4 fit an epoch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plane, (self.one, self.two) = federation(Role.WRITER)
        self.laptop = machine(self.one, self.plane, self.two)
        self.others = [machine(self.two, self.plane, self.one, name=f"machine {each}") for each in range(2)]
        self.row = plane_of(self.one, self.plane)
        self.before = present(self.one, self.plane)
        monkeypatch.setattr(membership_epochs, "EPOCH_RECIPIENTS", 3)

    def retire(self) -> Retired:
        return self.one.commit(lambda unit: retire(unit, self.row, self.laptop.id))


def present(member: Member, plane: bytes) -> bytes | None:
    return present_epoch(member.replica, plane_of(member, plane))


def test_a_machine_is_ended_though_too_many_remain_for_a_new_epoch_and_nothing_is_sealed_for_it_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Crowded(monkeypatch)
    assert world.before
    assert world.retire().epoch == b""
    assert feed(world.one, world.plane, world.laptop.id).ended
    assert present(world.one, world.plane) is None


def test_once_the_town_that_filled_a_plane_is_removed_everybody_who_remains_has_a_new_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Crowded(monkeypatch)
    world.retire()
    removed = remove(world.one, world.plane, town_key(world.two))
    assert removed.epoch == present(world.one, world.plane) != world.before
    assert world.laptop.id not in epochs(world.one, world.plane).live[-1].value.wraps


def test_a_town_is_removed_though_another_has_filled_the_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, (one, two, three) = federation(Role.WRITER, Role.WRITER)
    monkeypatch.setattr(membership_epochs, "EPOCH_RECIPIENTS", 1)
    assert remove(one, plane, town_key(two)).epoch == b""
    assert towns(one, plane)[town_key(two)].ended
    assert present(one, plane) is None
    assert remove(one, plane, town_key(three)).epoch == present(one, plane)
