"""Salvage: a machine whose feed was forked or ended goes on under a new key, and loses nothing that it wrote."""

from functools import partial
from typing import Any

import pytest

from moot_protocol.errors import Code, MootError
from moot_protocol.kinds import Role
from moot_protocol.listing import Filter
from moot_protocol.requests import Create, IssueFields, ListIssues, Update
from moot_testkit.carrying import create, founder, joined, log_of, plane_of, send
from moot_testkit.federating import bring, copy_of, federation, feed, machine, machine_ticket, meet, write
from moot_testkit.refusals import refusal_code
from moot_testkit.town import PROJECT, Api, Member
from mootd.engine import layout
from mootd.engine.home import note_home
from mootd.engine.removing import retire
from mootd.engine.salvaging import Salvage, salvage
from mootd.ports import Home
from mootd.service.writes import carry_out
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
    one.commit(lambda unit: retire(unit, one.ledger, before))
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
    with one.replica.read() as reader:
        conflicts = list(reader.scan(Table.INDEX_0, layout.CONFLICT, layout.after(layout.CONFLICT)))
    assert conflicts == []


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
