"""Recovery from paper: the founder is replaced on all its planes, by whoever has the words and has read the rest."""

from collections.abc import Sequence
from functools import partial

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.documents.document import ROLE
from moot_protocol.errors import Code
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.documents import NewDocument
from moot_protocol.requests.memories import Remember
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.towns import TownReason
from moot_testkit.bytes.feeds import seed
from moot_testkit.refusals import refusal
from moot_testkit.towns.carrying import founder, joined, log_of, plane_of, send
from moot_testkit.towns.documents import role_text
from moot_testkit.towns.federating import (
    DAYS_MS,
    bring,
    copy_of,
    epochs,
    federation,
    feed,
    machine,
    machine_ticket,
    meet,
    role,
    town_key,
    towns,
    twin,
    write,
    write_ahead,
)
from moot_testkit.towns.town import PROJECT, Api, Member
from mootd.engine.exchange.receive import receive
from mootd.engine.membership.charter_writing import found_plane
from mootd.engine.membership.inviting import invite_town
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.membership.towns import check_own, name_town
from mootd.engine.recovery.recovering import Recovered, recover
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.stored import layout
from mootd.store.port import Table

PAPER = SeedSigner(seed("town 0 recovery"))
"""The recovery key of the town that founds every federation."""


def recovered(
    member: Member, plane: bytes, paper: SeedSigner = PAPER, *, branches: Sequence[str] = (), drops: bool = False
) -> Recovered:
    return member.commit(lambda unit: recover(unit, plane_of(member, plane), paper, branches=branches, drops=drops))


def test_the_founder_s_own_machine_goes_on_under_new_keys_and_the_stolen_ones_count_no_more() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    write(one, plane, "before")
    meet(plane, one, two)
    stolen_town, stolen_machine = town_key(one), one.id
    before = feed(two, plane, stolen_machine).n
    done = recovered(one, plane)
    assert (done.removed, done.town, done.recovery) == ([stolen_town], town_key(one), PAPER.public)
    assert {each.name for each in done.planes} == {"ledger", "operational"}
    write(one, plane, "after")
    one.restart()
    write(one, plane, "after a restart")
    meet(plane, one, two)
    for member in (one, two):
        standings = towns(member, plane)
        assert (standings[town_key(one)].role, standings[town_key(one)].depth) == (Role.ADMIN, 1)
        assert standings[stolen_town].ended
        assert feed(member, plane, stolen_machine).n == before
        assert role(member, plane, town_key(two)) == Role.ADMIN  # whom the founder had admitted stays
    assert log_of(two, plane_of(two, plane)).position() == log_of(one).position()
    assert stolen_machine not in epochs(two, plane).live[-1].value.wraps


class PutBack:
    """A founder of which an old copy was put back, and a guest that had seen what it has forgotten; they have met."""

    def __init__(self) -> None:
        self.plane, (founder_then, self.two) = federation(Role.ADMIN)
        self.old = founder_then
        self.one = copy_of(founder_then)
        write(founder_then, self.plane, "sent and seen")
        meet(self.plane, founder_then, self.two)
        self.key, self.town = self.one.id, town_key(self.one)
        self.forgotten = feed(self.two, self.plane, self.key).head
        self.n = feed(self.two, self.plane, self.key).n
        write(self.one, self.plane, "after")
        send(self.one, self.two, self.plane)
        send(self.two, self.one, self.plane)


def test_a_forked_machine_of_the_founder_s_keeps_the_history_that_is_named() -> None:
    world = PutBack()
    recovered(world.one, world.plane, branches=[world.forgotten.hex()[:8]])
    meet(world.plane, world.one, world.two)
    for member in (world.one, world.two):
        row = feed(member, world.plane, world.key)
        assert (row.n, row.head, row.ended) == (world.n, world.forgotten, True)
    done = world.one.commit(salvage)
    assert sum(each.salvaged for each in done.planes) == 1


def test_nothing_of_a_forked_machine_is_dropped_unasked() -> None:
    world = PutBack()
    told = refusal(lambda: recovered(world.one, world.plane))
    assert told.code is Code.CONFLICT
    assert "signed two histories" in told.message
    assert world.forgotten.hex()[:8] in told.message
    assert "; --branch NAME ends it too" in told.hint
    assert refusal(lambda: recovered(world.one, world.plane, branches=["0" * 64])).code is Code.CONFLICT
    assert refusal(lambda: recovered(world.one, world.plane, branches=["0" * 64], drops=True)).code is Code.NOT_FOUND
    assert town_key(world.one) == world.town
    recovered(world.one, world.plane, drops=True)
    assert feed(world.one, world.plane, world.key).n < world.n


def test_what_the_thief_writes_afterwards_counts_nowhere_and_it_reads_nothing_new() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    thief = copy_of(one)
    done = recovered(one, plane)
    write(thief, plane, "by the thief")
    thief.commit(lambda unit: invite_town(unit, plane_of(thief, plane), Role.ADMIN, 0, ()))
    meet(plane, one, two)
    bring(thief, two, plane)
    bring(one, thief, plane)
    assert log_of(two, plane_of(two, plane)).position().digest == log_of(one).position().digest
    assert PlaneKeys(thief.replica.keys, plane).key_of(done.epoch) is None
    assert PlaneKeys(two.replica.keys, plane).key_of(done.epoch) is not None


def test_another_machine_of_the_founder_s_town_can_do_it_where_the_founder_s_is_lost() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(one, plane, two)
    write(further, plane, "of the machine that is left")
    lost = town_key(one)
    done = recovered(further, plane)
    assert done.removed == [lost]
    assert done.town == town_key(further)
    write(further, plane, "after")
    meet(plane, further, two)
    assert role(two, plane, town_key(further)) == Role.ADMIN
    assert role(two, plane, town_key(two)) == Role.WRITER
    further.commit(lambda unit: invite_town(unit, plane_of(further, plane), Role.WRITER, 0, ()))


def test_another_town_that_is_handed_the_words_becomes_an_admin_under_its_own_key() -> None:
    plane, (one, two) = federation(Role.WRITER)
    key, machine_key = town_key(two), two.id
    recovered(two, plane)
    assert (town_key(two), two.id) == (key, machine_key)
    meet(plane, one, two)
    assert (towns(one, plane)[key].role, towns(one, plane)[key].depth) == (Role.ADMIN, 1)
    assert refusal(lambda: write(one, plane)).code is Code.DENIED


def test_words_of_another_plane_are_refused() -> None:
    plane, (one, _) = federation(Role.WRITER)
    assert refusal(lambda: recovered(one, plane, SeedSigner(seed("town 1 recovery")))).code is Code.DENIED


def test_a_recovery_key_that_has_written_two_histories_settles_nothing_any_more() -> None:
    plane, (one, two) = federation(Role.WRITER)
    recovered(one, plane)
    recovered(two, plane)  # without having read the other
    bring(one, two, plane)
    raised = refusal(lambda: recovered(two, plane))
    assert raised.code is Code.CONFLICT
    assert "two histories" in raised.message


def test_what_the_recovery_key_wrote_before_has_to_have_come_whole() -> None:
    plane, (one, two) = federation(Role.WRITER)
    recovered(one, plane)
    written = one.batches(PAPER.public, plane_of(one, plane).number)
    two.commit(lambda unit: receive(unit, written[-1]))
    assert refusal(lambda: recovered(two, plane)).code is Code.NOT_READY


def test_a_founder_that_had_changed_its_key_and_a_successor_are_recovered_too() -> None:
    plane, (one, two) = federation(Role.WRITER)
    founder_key = town_key(one)
    write(one, plane, "under the first key")
    machines = [one.id]
    one.commit(rotate_town)
    machines.append(one.id)
    rotated = town_key(one)
    write(one, plane, "under the changed key")
    assert set(recovered(one, plane).removed) == {founder_key, rotated}
    first = town_key(one)
    machines.append(one.id)
    write(one, plane, "after the first")
    assert recovered(one, plane).removed == [first]
    machines.append(one.id)
    write(one, plane, "after the second")
    meet(plane, one, two)
    assert towns(two, plane)[town_key(one)].depth == 1
    assert sum(feed(two, plane, author).n for author in machines) == 9  # of each a certificate and an issue; a project
    assert all(towns(two, plane)[key].ended for key in (founder_key, rotated, first))
    assert log_of(two, plane_of(two, plane)).position() == log_of(one).position()


@pytest.mark.parametrize("is_named", [False, True])
def test_of_a_founder_that_took_another_key_also_that_one_is_removed_whoever_recovers(*, is_named: bool) -> None:
    plane, (one, two) = federation(Role.ADMIN)
    if is_named:
        one.commit(lambda unit: name_town(unit, plane_of(one, plane), "hill"))
    keys = [town_key(one)]
    for _ in range(2):
        one.commit(rotate_town)
        keys.append(town_key(one))
    meet(plane, one, two)
    assert role(two, plane, keys[-1]) == Role.ADMIN
    assert set(recovered(two, plane).removed) == set(keys)
    assert towns(two, plane)[keys[-1]].reason is TownReason.REMOVED


def test_the_recovery_key_is_kept_nowhere() -> None:
    plane, (one, _) = federation(Role.WRITER)
    recovered(one, plane)
    kept = [part for key in one.keys._keys.values() for part in (key.signing, key.exchange)]
    assert seed("town 0 recovery") not in kept
    assert refusal(lambda: one.replica.signer_of(PAPER.public)).code is Code.NOT_FOUND


def test_a_plane_that_it_waited_for_under_the_key_before_lets_it_in_with_a_ticket_for_the_new_one_alone() -> None:
    one, two = founder("one"), founder("two")
    plane, before = one.ledger.id, two.id
    joined(two, machine_ticket(one, plane).ticket)
    recovered(two, two.ledger.id, SeedSigner(seed("two recovery")))
    assert two.id != before
    meet(plane, one, two)
    assert (feed(one, plane, before).n, feed(one, plane, two.id).n) == (0, 0)
    joined(two, machine_ticket(one, plane).ticket)
    meet(plane, one, two)
    assert (feed(one, plane, before).n, feed(one, plane, two.id).n) == (0, 1)


# -- What it would drop ------------------------------------------------------------------------------------------
def test_what_waits_for_its_time_of_machines_of_the_founder_s_is_not_dropped_unasked() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    further = machine(one, plane, two)
    write_ahead(further, plane)
    bring(further, two, plane)
    told = refusal(lambda: recovered(two, plane))
    assert told.code is Code.CONFLICT
    assert f"of {key_text(further.id)} 1 batch waits on plane" in told.message
    assert told.hint == "`moot status` says when what waits counts: end it after that; --drop drops all"
    late = twin(two)
    recovered(late, plane, drops=True)
    two.clock.advance(DAYS_MS)
    recovered(two, plane)
    assert [feed(each, plane, further.id).n for each in (late, two)] == [1, 2]


def test_all_that_would_be_dropped_is_told_at_once_whichever_machine_it_is_of() -> None:
    world = PutBack()
    further = machine(world.one, world.plane, world.two)
    write_ahead(further, world.plane)
    send(further, world.one, world.plane)
    for branches in ([], [world.forgotten.hex()[:8]]):
        told = refusal(partial(recovered, world.one, world.plane, branches=branches))
        assert f"of {key_text(further.id)} 1 batch waits on plane ledger" in told.message
        assert ("signed two histories" in told.message) is (not branches)
        assert ("--branch NAME" in told.hint) is (not branches)


def test_what_waits_behind_a_history_that_is_named_is_told_too() -> None:
    world = PutBack()
    write_ahead(world.old, world.plane)
    world.one.take(*world.old.batches(world.key)[-1:])
    told = refusal(lambda: recovered(world.one, world.plane, branches=[world.forgotten.hex()[:8]]))
    assert f"of {key_text(world.key)} 1 batch waits" in told.message
    assert "two histories" not in told.message


# -- On a copy ---------------------------------------------------------------------------------------------------
def disowned(member: Member) -> Member:
    """A copy of a machine that people have said is one: the town's key is its original's to use."""
    made = copy_of(member)
    made.commit(lambda unit: salvage(unit, is_copy=True))
    return made


def test_a_copy_of_the_founder_s_machine_invites_once_it_has_taken_the_founder_s_place() -> None:
    plane, (one, two) = federation(Role.WRITER)
    founder_key, made = town_key(one), disowned(one)
    assert refusal(lambda: made.commit(lambda unit: check_own(unit, plane_of(made, plane)))).code is Code.DENIED
    done = recovered(made, plane)
    assert (done.removed, done.town) == ([founder_key], town_key(made))
    assert done.epoch, "what is written from now on is closed to the machine that was replaced"
    for _ in range(2):
        machine(made, plane, two)
        write(made, plane, "of the copy")
        assert made.replica.own_towns() == {town_key(made)}
        made.restart()
    meet(plane, made, two)
    assert role(two, plane, town_key(made)) == Role.ADMIN
    assert one.id not in epochs(two, plane).live[-1].value.wraps


def test_a_copy_leaves_its_original_s_key_to_it_on_planes_that_were_not_recovered() -> None:
    _, (one, _) = federation(Role.WRITER)
    other = SeedSigner(seed("other recovery")).public
    number = one.commit(lambda unit: found_plane(unit, PlaneKind.LEDGER, "other", other))
    made = disowned(one)
    recovered(made, one.ledger.id)
    made.restart()
    assert made.replica.is_waiting(number)
    assert refusal(lambda: made.commit(lambda unit: check_own(unit, unit.plane(number)))).code is Code.DENIED
    one.commit(lambda unit: check_own(unit, unit.plane(number)))


def test_a_copy_does_not_take_a_founder_s_place_with_its_original_s_key() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = founder("further")  # a town of its own, and a machine of the founder's
    key = town_key(further)
    joined(further, machine_ticket(one, plane).ticket)
    meet(plane, one, two, further)
    made = disowned(further)
    assert recovered(made, plane).town != key
    assert town_key(further) == key
    assert not made.replica.is_waiting(made.replica.plane_named("operational").number)


def test_a_copy_of_a_successor_is_again_one_that_may_not_invite() -> None:
    plane, (one, _) = federation(Role.WRITER)
    made = disowned(one)
    recovered(made, plane)
    again = disowned(made)
    for _ in range(2):
        assert again.replica.own_towns() == frozenset()
        assert refusal(lambda: again.commit(lambda unit: check_own(unit, plane_of(again, plane)))).code is Code.DENIED
        again.restart()


# -- What else changes with it -----------------------------------------------------------------------------------
def test_a_town_that_had_no_name_gets_none() -> None:
    one = founder("one")
    done = recovered(one, one.ledger.id, SeedSigner(seed("one recovery")))
    with one.replica.read() as reader:
        assert reader.get(Table.META, layout.town_name_key(done.town)) is None
    assert towns(one, one.ledger.id)[done.town].name == ""


def test_what_is_no_longer_the_town_s_own_word_is_counted() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    api = Api(one)
    for key in ("a", "b"):
        api.call(Remember(actor="ada", project=PROJECT, key=key, text="kept"))
    api.call(NewDocument(actor="ada", kind=ROLE, name="reviewer", plane="ledger", text=role_text()))
    one.commit(rotate_town)
    meet(plane, one, two)
    done = recovered(one, plane)
    assert (done.lost_memories, done.lost_documents) == (2, 1)
    again = recovered(two, plane)  # another town that takes its place has lost nothing of its own
    assert (again.lost_memories, again.lost_documents) == (0, 0)


def test_what_was_dropped_is_told() -> None:
    world = PutBack()
    done = recovered(world.one, world.plane, drops=True)
    (loss,) = done.dropped
    assert (loss.row.author, len(loss.histories)) == (world.key, 2)
    plane, (one, _) = federation(Role.ADMIN)
    assert recovered(one, plane).dropped == []
