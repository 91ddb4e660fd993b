"""Taking the claims of machines that are gone: theirs and no others, all or none, by ordinary updates."""

from functools import partial
from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import KEY_BEGINNING_CHARS, key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import Close
from moot_protocol.requests.leases import Rebalance
from moot_testkit.refusals import refusal
from moot_testkit.towns.engine import Desk, exchange, town_of
from moot_testkit.towns.federating import federation, meet, town_key, write
from moot_testkit.towns.town import Member
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.membership.towns import keep_name
from mootd.engine.rebalancing import machines_meant
from mootd.store.port import Table


@pytest.fixture
def town() -> tuple[Desk, Desk]:
    ada, bob = town_of("ada", "bob")
    ada.create("mt-1", assignee="alice", status="in_progress")
    for name in ("mt-2", "mt-3", "mt-4"):
        ada.create(name)
    exchange(ada, bob)
    bob.update("mt-2", assignee="bob/claude", status="in_progress")
    bob.update("mt-3", assignee="bob")
    bob.update("mt-4", assignee="bob")
    bob.do(Close(actor="bob", id="mt-4"))
    bob.update("mt-1", title="edited by bob, claimed by alice")
    exchange(ada, bob)
    return ada, bob


def request(bob: Desk, **parts: Any) -> Rebalance:
    return Rebalance(actor="alice", source=key_text(bob.replica.id)[:8], **parts)


def test_open_issues_claimed_on_that_machine_are_given_back_and_no_others(town: tuple[Desk, Desk]) -> None:
    ada, bob = town
    done = ada.do(request(bob))
    assert done["replicas"] == [key_text(bob.replica.id)]
    told = {(each["id"], each["was"], each["now"]) for each in done["issues"]}
    assert told == {("mt-2", "bob/claude", ""), ("mt-3", "bob", "")}
    assert not ada.show("mt-2").get("assignee")
    assert ada.show("mt-2")["status"] == "open"
    assert ada.show("mt-1")["assignee"] == "alice"
    assert ada.show("mt-4")["assignee"] == "bob"
    exchange(ada, bob)
    assert not bob.show("mt-2").get("assignee")


def test_they_can_be_given_to_somebody(town: tuple[Desk, Desk]) -> None:
    ada, bob = town
    ada.do(request(bob, to="alice"))
    assert ada.show("mt-3")["assignee"] == "alice"


def test_only_tried_nothing_changes(town: tuple[Desk, Desk]) -> None:
    ada, bob = town
    before = ada.rows(Table.EVENTS), ada.digest()
    assert len(ada.do(request(bob, dry_run=True))["issues"]) == 2
    assert (ada.rows(Table.EVENTS), ada.digest()) == before


def test_done_again_there_is_nothing_left(town: tuple[Desk, Desk]) -> None:
    ada, bob = town
    ada.do(request(bob, to="alice"))
    assert ada.do(request(bob))["issues"] == []


def test_a_town_means_all_its_machines_and_this_one_is_never_gone(town: tuple[Desk, Desk]) -> None:
    ada, bob = town
    for typed in (key_text(ada.replica.ledger.town), key_text(ada.replica.id)):
        with pytest.raises(RefusedError) as caught:
            ada.do(Rebalance(actor="alice", source=typed))
        assert caught.value.code is Code.CONFLICT
    with pytest.raises(RefusedError) as nobody:
        ada.do(Rebalance(actor="alice", source="nobody"))
    assert nobody.value.code is Code.NOT_FOUND
    assert bob.replica.id != ada.replica.id


# -- Who is meant ------------------------------------------------------------------------------------------------
def meant(member: Member, typed: str) -> set[bytes]:
    return member.commit(lambda unit: machines_meant(unit, typed))


def test_a_town_that_changed_its_key_is_one_by_its_name_and_each_key_means_its_own_machines() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    write(two, plane, "before")
    meet(plane, one, two)
    old, before = town_key(two), two.id
    one.commit(partial(keep_name, town=old, name="river"))
    two.commit(rotate_town)
    write(two, plane, "after")
    meet(plane, one, two)
    assert meant(one, "river") == {before, two.id}
    one.commit(partial(keep_name, town=town_key(two), name="river"))
    assert meant(one, "river") == {before, two.id}
    beginning = key_text(old)[:KEY_BEGINNING_CHARS]
    for typed in (key_text(old), beginning, f"river {beginning}"):
        assert meant(one, typed) == {before}
    assert meant(one, key_text(town_key(two))[:12]) == {two.id}


def test_other_towns_of_one_name_are_several_and_the_refusal_tells_their_keys() -> None:
    plane, (one, two, three) = federation(Role.ADMIN, Role.WRITER)
    for town in (two, three):
        write(town, plane, "theirs")
        one.commit(partial(keep_name, town=town_key(town), name="river"))
    meet(plane, one, two, three)
    error = refusal(partial(meant, one, "river"))
    assert error.code is Code.AMBIGUOUS
    shown = sorted(key_text(town_key(town))[:12] for town in (two, three))
    assert error.message == f"river may mean several machines or towns: {', '.join(shown)}"
    assert (error.hint or "").startswith("name it by its key")
    assert error.discreet == "river may mean several machines or towns"


def test_no_name_means_no_town_though_towns_may_have_none() -> None:
    _, (one, _) = federation(Role.WRITER)
    assert refusal(partial(meant, one, "")).code is Code.NOT_FOUND
