"""Salvage: a machine whose feed was forked or ended goes on under a new key, and loses nothing that it wrote."""

from functools import partial
from typing import Any

import pytest

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import Create, IssueFields, ListIssues, Update
from moot_protocol.requests.listing import Filter
from moot_testkit.refusals import refusal, refusal_code
from moot_testkit.towns.carrying import create, founder, joined, log_of, plane_of, send
from moot_testkit.towns.federating import (
    bring,
    copy_of,
    federation,
    feed,
    machine,
    machine_ticket,
    meet,
    put_back,
    town_key,
    town_ticket,
    write,
)
from moot_testkit.towns.town import PROJECT, Api, Member, make_town
from mootd.engine.audit import Entry, note
from mootd.engine.exchange.cut import cut
from mootd.engine.machine.home import note_home
from mootd.engine.membership.charters import towns_of
from mootd.engine.membership.forks import branch_meant, forks_of, settle_fork
from mootd.engine.membership.inviting import invite
from mootd.engine.membership.joining import join
from mootd.engine.membership.removing import remove_town, retire
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.recovery import salvaging
from mootd.engine.recovery.salvaging import INVITE, ROTATE, Salvage, salvage
from mootd.engine.stored import layout
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit
from mootd.ports import Home
from mootd.service.writing.writes import carry_out
from mootd.store.port import Table


def salvaged(member: Member) -> Salvage:
    return member.commit(salvage)


def titles(member: Member) -> list[str]:
    answer: Any = Api(member).call(ListIssues(filter=Filter(), limit=0))
    return sorted(issue["title"] for issue in answer.issues)


def forked() -> tuple[Member, Member, Member]:
    """A town whose second machine was cloned, both of which wrote; the first knows of it."""
    one = founder("one")
    plane = one.ledger.id
    two = machine(one, plane)
    create(two, "before")
    meet(plane, one, two)
    clone = copy_of(two)
    create(two, "of the machine")
    create(clone, "of the clone")
    send(two, one)
    send(clone, one)
    return one, two, clone


def test_both_of_a_forked_pair_lose_nothing() -> None:
    one, two, clone = forked()
    plane = one.ledger.id
    send(clone, two, plane)
    send(two, clone, plane)
    assert titles(two) == ["before"]
    assert refusal_code(lambda: create(two)) is Code.DENIED
    for each, number in ((two, 1), (clone, 2)):
        done = salvaged(each)
        assert [(each.plane.id, each.state) for each in done.planes if each.plane.id == plane] == [(plane, "invite")]
        joined(each, machine_ticket(one, plane).ticket)
        bring(one, each, plane)
        again = salvaged(each)
        assert [(each.salvaged, each.skipped) for each in again.planes if each.plane.id == plane] == [(1, 0)]
        assert len(titles(each)) == 1 + number
        send(each, one, plane)
    assert titles(one) == ["before", "of the clone", "of the machine"]


def test_where_the_town_s_key_is_it_takes_one_step() -> None:
    one = founder("one")
    create(one, "before")
    clone = copy_of(one)
    create(one, "mine")
    create(clone, "the clone's")
    send(clone, one)
    assert titles(one) == ["before"]
    before = one.id
    done = salvaged(one)
    assert (done.before, done.replica) == (before, one.id)
    assert before != one.id
    assert titles(one) == ["before", "mine"]
    create(one, "goes on")
    assert feed(one, one.ledger.id, before).forked_at
    one.commit(lambda unit: retire(unit, one.ledger, before, drops=True))
    assert feed(one, one.ledger.id, before).ended
    assert titles(one) == ["before", "goes on", "mine"]
    assert refusal_code(lambda: salvaged(one)) is Code.CONFLICT


def test_an_edit_of_a_lost_edit_stands_over_what_is_written_for_it() -> None:
    one = founder("one")
    made = one.commit(
        lambda unit: carry_out(unit, Create(actor="ada", project=PROJECT, fields=IssueFields(title="first")))
    )
    clone = copy_of(one)
    for title in ("second", "third"):
        one.commit(partial(carry_out, request=Update(actor="ada", id=made["id"], fields=IssueFields(title=title))))
    create(clone, "of the clone")
    send(clone, one)
    assert titles(one) == ["first"]
    salvaged(one)
    assert titles(one) == ["third"]
    assert feed(one, one.ledger.id, one.id).n == 3, "the certificate and two titles: nothing had to be taken back"
    with one.replica.read() as reader:
        conflicts = list(reader.scan(Table.INDEX_0, layout.CONFLICT, layout.after(layout.CONFLICT)))
    assert conflicts == []


def told_of_its_fork() -> tuple[Member, Member, bytes, bytes]:
    """As `put_back`, and the machine's key: what it has forgotten has come back to it, as an exchange brings it."""
    one, old, forgotten = put_back()
    send(one, old)
    return one, old, old.id, forgotten


def joined_anew(one: Member, other: Member) -> None:
    salvaged(other)
    joined(other, machine_ticket(one, one.ledger.id).ticket)
    bring(one, other, one.ledger.id)


def test_where_an_old_copy_was_put_back_settling_on_what_others_had_keeps_both() -> None:
    one, two, key, forgotten = told_of_its_fork()
    joined_anew(one, two)
    salvaged(two)
    send(two, one)
    with one.replica.read() as reader:
        fork = next(each for each in forks_of(LogSnapshot(reader), one.ledger) if each.row.author == key)
    assert [branch.counted for branch in fork.branches if branch.head.id == forgotten] == [True]
    settled = one.commit(
        lambda unit: settle_fork(unit, one.ledger, fork, branch_meant(fork, forgotten.hex()), frozenset())
    )
    assert settled.dropped == 0
    send(one, two)
    assert titles(one) == titles(two) == ["after", "sent and seen"]


def test_it_loses_nothing_either_where_it_was_settled_before_it_salvaged() -> None:
    one, two, key, forgotten = told_of_its_fork()
    with one.replica.read() as reader:
        fork = next(each for each in forks_of(LogSnapshot(reader), one.ledger) if each.row.author == key)
    chosen = branch_meant(fork, forgotten.hex())
    settled = one.commit(lambda unit: settle_fork(unit, one.ledger, fork, chosen, frozenset()))
    assert settled.dropped == 1
    bring(one, two, one.ledger.id)
    assert titles(two) == ["sent and seen"]
    joined_anew(one, two)
    salvaged(two)
    send(two, one)
    assert titles(one) == titles(two) == ["after", "sent and seen"]


def test_where_it_was_retired_all_the_same_what_others_had_is_written_again_when_people_say_it_is_its_own() -> None:
    one, two, key, _ = told_of_its_fork()
    joined_anew(one, two)
    salvaged(two)
    assert refusal_code(lambda: two.commit(lambda unit: salvage(unit, takes_both=True))) is Code.CONFLICT  # not ended
    one.commit(lambda unit: retire(unit, one.ledger, key, drops=True))
    bring(one, two, one.ledger.id)
    assert titles(two) == ["after"]
    with pytest.raises(MootError) as raised:
        salvaged(two)
    assert "1 event that counts nowhere" in raised.value.message
    assert "--both" in raised.value.hint
    done = two.commit(lambda unit: salvage(unit, takes_both=True))
    assert sum(each.salvaged for each in done.planes) == 1
    send(two, one)
    assert titles(one) == titles(two) == ["after", "sent and seen"]
    assert refusal_code(lambda: two.commit(lambda unit: salvage(unit, takes_both=True))) is Code.CONFLICT


def test_a_machine_that_was_retired_with_writes_nobody_had_seen_saves_them() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(one, plane, two)
    write(further, plane, "unseen")
    one.commit(lambda unit: retire(unit, plane_of(one, plane), further.id))
    bring(one, further, plane)
    assert titles(further) == []
    salvaged(further)
    joined(further, machine_ticket(one, plane).ticket)
    bring(one, further, plane)
    salvaged(further)
    assert titles(further) == ["unseen"]
    meet(plane, one, two, further)
    assert log_of(one).position() == log_of(further, plane_of(further, plane)).position()


def test_a_machine_that_has_not_heard_of_the_fork_is_told_to_hear_first() -> None:
    one = founder("one")
    copy_of(one)
    with pytest.raises(MootError) as raised:
        salvaged(one)
    assert "nothing is known to be lost" in raised.value.message
    assert "moot sync --wait" in raised.value.hint


DAYS_MS = 5 * 24 * 3_600_000


def hurried() -> tuple[Member, Member]:
    """A founder, and a machine of its town whose clock was days ahead while it wrote, and is right again."""
    one = founder("one")
    two = machine(one, one.ledger.id)
    create(two, "before")
    two.clock.advance(DAYS_MS)
    create(two, "ahead")
    two.clock.set_wall(two.clock.now_ms() - DAYS_MS)
    send(two, one)
    return one, two


def test_after_a_clock_that_was_ahead_a_new_key_writes_at_once_and_what_was_written_counts_when_it_is_due() -> None:
    one, two = hurried()
    old = two.id
    assert refusal_code(lambda: create(two)) is Code.CLOCK_AHEAD
    assert titles(one) == ["before"]
    two.commit(lambda unit: salvage(unit, resets_clock=True))
    joined(two, machine_ticket(one, one.ledger.id).ticket)
    bring(one, two, one.ledger.id)
    create(two, "goes on")
    send(two, one)
    assert titles(one) == ["before", "goes on"]
    assert titles(two) == ["ahead", "before", "goes on"]
    told = refusal(lambda: one.commit(lambda unit: retire(unit, one.ledger, old)))
    assert "wait on plane ledger" in told.message.replace("waits", "wait")
    one.clock.advance(DAYS_MS)
    with one.replica.transaction():
        pass
    assert titles(one) == ["ahead", "before", "goes on"]
    one.commit(lambda unit: retire(unit, one.ledger, old))
    assert titles(one) == ["ahead", "before", "goes on"]


def test_a_charter_that_was_written_on_by_a_clock_that_was_ahead_still_waits() -> None:
    one = founder("one")
    one.clock.advance(DAYS_MS)
    machine_ticket(one, one.ledger.id)
    one.clock.set_wall(one.clock.now_ms() - DAYS_MS)
    one.commit(lambda unit: unit.try_out(lambda unit: salvage(unit, resets_clock=True)))
    assert refusal_code(lambda: create(one)) is Code.CLOCK_AHEAD  # it was only tried
    one.commit(lambda unit: salvage(unit, resets_clock=True))
    create(one, "goes on")
    assert refusal_code(lambda: machine_ticket(one, one.ledger.id)) is Code.CLOCK_AHEAD

    def tries_a_ticket(unit: Unit) -> None:
        with pytest.raises(MootError), unit.savepoint():
            invite(unit, one.ledger, Role.WRITER, 0, ())

    one.commit(tries_a_ticket)  # as one of several writes in one transaction
    create(one, "and on")
    assert titles(one) == ["and on", "goes on"]
    one.clock.advance(DAYS_MS)
    machine_ticket(one, one.ledger.id)


def test_a_clock_that_is_not_ahead_keeps_its_key() -> None:
    one = founder("one")
    assert refusal_code(lambda: one.commit(lambda unit: salvage(unit, resets_clock=True))) is Code.CONFLICT


def test_nothing_is_done_where_nothing_is_lost() -> None:
    one = founder("one")
    create(one)
    assert refusal_code(lambda: salvaged(one)) is Code.CONFLICT


def noticed(member: Member) -> Member:
    """A copy of a machine, which its start has found to be one."""
    made = copy_of(member)
    made.commit(lambda unit: note_home(unit, Home(b"a machine", b"a folder")))
    made.commit(lambda unit: note_home(unit, Home(b"another", b"another")))
    return made


def test_a_copy_that_was_noticed_gets_a_key_of_its_own_and_leaves_the_town_s_to_its_original() -> None:
    one = founder("one")
    create(one, "before")
    made = noticed(one)
    assert refusal_code(lambda: create(made)) is Code.DENIED
    salvaged(made)
    assert made.id != one.id
    create(made, "of the copy")
    create(one, "of the original")
    send(made, one)
    send(one, made)
    assert titles(one) == titles(made) == ["before", "of the copy", "of the original"]
    for _ in range(2):
        assert refusal_code(lambda: machine_ticket(made, one.ledger.id)) is Code.DENIED
        made.restart()


def test_that_something_was_moved_is_no_news_once_it_is_said_whatever_is_lost() -> None:
    one, _ = make_town(2)
    one.replica.is_moved = True
    with pytest.raises(RefusedError, match="nothing is known to be lost"):
        one.commit(salvage)
    assert one.replica.is_moved
    assert one.commit(lambda unit: salvage(unit, is_only=True)) == (one.id, one.id, [])
    assert not one.replica.is_moved


def test_what_was_only_moved_keeps_its_key() -> None:
    one = founder("one")
    made = noticed(one)
    assert made.commit(lambda unit: salvage(unit, is_only=True)).replica == one.id
    create(made)
    machine_ticket(made, one.ledger.id)


def test_a_copy_that_nobody_noticed_is_one_when_people_say_so() -> None:
    one = founder("one")
    made = copy_of(one)
    made.commit(lambda unit: salvage(unit, is_copy=True))
    assert made.id != one.id
    create(made)
    create(one)
    send(made, one)
    assert not feed(one, one.ledger.id, one.id).forked_at


def records(member: Member) -> bool:
    """Whether a record for the audit is written."""
    return member.commit(lambda unit: note(unit, Entry("deleted", "ada", "delete", "demo-1", "done")))


def test_the_plane_that_never_leaves_a_copy_is_written_to_under_every_key_that_it_takes() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    joined(two, machine_ticket(one, plane).ticket)
    meet(plane, one, two)
    for _ in range(3):
        two.commit(lambda unit: salvage(unit, is_copy=True))
        assert records(two)
        two.restart()
    joined(two, machine_ticket(one, plane).ticket)
    meet(plane, one, two)
    one.commit(lambda unit: retire(unit, plane_of(one, plane), two.id))
    meet(plane, one, two)
    made = two.commit(lambda unit: join(unit, machine_ticket(one, plane).ticket))
    assert made.new_key is not None
    assert "operational" not in {row.name for row in made.left}
    assert records(two)


def test_a_certificate_that_waits_under_the_old_key_is_dropped() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    joined(two, machine_ticket(one, plane).ticket)
    before = two.id
    two.commit(lambda unit: salvage(unit, is_copy=True))
    meet(plane, one, two)
    assert (feed(one, plane, before).n, feed(one, plane, two.id).n) == (0, 0)
    joined(two, machine_ticket(one, plane).ticket)
    meet(plane, one, two)
    assert feed(one, plane, two.id).n == 1


# -- A town that is removed, and comes back under a new key --------------------------------------------------------
def removed(one: Member, two: Member, plane: bytes, town: bytes) -> None:
    """Let the first town remove the second, by the key it knows of it."""
    row = plane_of(one, plane)
    one.commit(lambda unit: remove_town(unit, row, towns_of(unit, row)[town]))
    meet(plane, one, two)


def back(one: Member, two: Member, plane: bytes) -> None:
    two.commit(rotate_town)
    joined(two, town_ticket(one, plane, Role.ADMIN).ticket)
    meet(plane, one, two)


@pytest.mark.parametrize("has_salts", [True, False], ids=["with their salts", "as earlier releases did"])
def test_what_a_later_end_cuts_of_a_feed_that_was_salvaged_before_is_written_anew_too(
    monkeypatch: pytest.MonkeyPatch, *, has_salts: bool
) -> None:
    if not has_salts:
        monkeypatch.setattr(salvaging, "salt_of", lambda _: None)
    plane, (one, two) = federation(Role.ADMIN)
    write(two, plane, "never seen by the other town")
    clone = copy_of(two)
    clone.keys.create("another")
    write(two, plane, "behind the fork")
    write(clone, plane, "of the clone")
    send(clone, two, plane)
    salvaged(two)
    assert titles(two) == ["behind the fork", "never seen by the other town"]
    removed(one, two, plane, town_key(two))
    assert titles(two) == []
    back(one, two, plane)
    assert sum(each.salvaged for each in salvaged(two).planes) == 2
    assert titles(two) == ["behind the fork", "never seen by the other town"]
    assert refusal_code(lambda: salvaged(two)) is Code.CONFLICT


def test_what_was_written_under_several_keys_is_written_anew_key_by_key() -> None:
    """Numbers begin anew with a key, and what was written under a later one may supersede what comes first."""
    plane, (one, two) = federation(Role.ADMIN)
    for number in range(3):
        write(two, plane, f"seen {number}")
    bring(two, one, plane)
    town = town_key(two)
    fields = IssueFields(title="first")
    create_it = Create(actor="ada", project=PROJECT, plane=plane.hex(), fields=fields)
    name = two.commit(lambda unit: carry_out(unit, create_it))["id"]

    def rename(title: str) -> None:
        update = Update(actor="ada", id=name, fields=IssueFields(title=title))
        two.commit(lambda unit: carry_out(unit, update))

    rename("second")
    two.commit(rotate_town)
    rename("third")
    removed(one, two, plane, town)
    back(one, two, plane)
    salvaged(two)
    assert titles(two) == ["seen 0", "seen 1", "seen 2", "third"]
    with two.replica.read() as reader:
        assert list(reader.scan(Table.INDEX_0, layout.CONFLICT, layout.after(layout.CONFLICT))) == []


def test_a_copy_leaves_it_to_the_original_to_give_a_removed_town_a_new_key() -> None:
    plane, (one, two) = federation(Role.WRITER)
    clone = copy_of(two)
    removed(one, two, plane, town_key(two))
    bring(one, clone, plane)
    states = {}
    for member, is_copy in ((two, False), (clone, True)):
        done = member.commit(partial(salvage, is_copy=is_copy))
        states[member] = next(each.state for each in done.planes if each.plane.id == plane)
    assert (states[two], states[clone]) == (ROTATE, INVITE)


def test_a_feed_that_is_held_and_does_not_count_yet_is_not_opened_a_second_time() -> None:
    one = founder("one")
    create(one, "before")
    one.commit(lambda unit: cut(unit, unit.feed_number(one.ledger.number, one.id), 0))
    batches = one.batches()
    assert next(each.state for each in salvaged(one).planes if each.plane.id == one.ledger.id) == INVITE
    assert one.batches() == batches
