"""Shares on a machine that has another key than when they began, or that is a copy: who follows on."""

import copy

import pytest

from moot_protocol.issues.redaction import Rule
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.shares import FollowShare, Unshare
from moot_testkit.towns import documents
from moot_testkit.towns.carrying import plane_of
from moot_testkit.towns.documents import share
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.federating import federation, meet, town_key, write
from moot_testkit.towns.linked import begin, copies, shares, step, two_towns
from mootd.engine.editor import Editor
from mootd.engine.issues import sharing
from mootd.engine.issues.shares import Shared, shares_of
from mootd.engine.issues.sharing import Part, follow
from mootd.engine.membership.charters import towns_of
from mootd.engine.membership.removing import remove_town, retire
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.unit import Unit


@pytest.fixture
def towns() -> list[Desk]:
    return two_towns()


def rotated(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        rotate_town(unit)


def part(desk: Desk) -> Part:
    with desk.replica.transaction() as unit:
        (shared,) = shares_of(unit.entities(), desk.replica.planes.values())
        return sharing.part_in(unit, desk.replica, shared)


def test_copies_follow_their_sources_on_under_the_machine_s_new_key(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada, redact="-issue:private")
    rotated(ada)
    ada.update("mt-one", title="Two")
    assert part(ada) is Part.TAKES_OVER
    assert step(ada) == 1
    assert part(ada) is Part.FOLLOWS
    assert shares(ada)[0]["is_here"]
    share(ada, bea)
    (made,) = copies(ada)
    assert bea.show(made)["title"] == "Two"
    ada.update("mt-one", add_labels=("private",))
    assert step(ada) == 1
    assert copies(ada) == []


def test_what_became_private_meanwhile_is_withdrawn_when_the_new_key_takes_over(towns: list[Desk]) -> None:
    ada, _ = towns
    begin(ada, redact="-issue:private")
    ada.update("mt-one", add_labels=("private",))
    rotated(ada)
    with ada.replica.transaction() as unit:
        assert follow(unit, lambda shared: ()) == 1
    assert copies(ada) == []


def test_what_was_written_into_a_copy_under_the_former_key_is_no_suggestion(towns: list[Desk]) -> None:
    ada, _ = towns
    begin(ada)
    rotated(ada)
    ada.update("mt-one", title="Two")
    step(ada)
    (told,) = shares(ada)[0]["copies"]
    assert (told["state"], told["suggestions"]) == ("in_step", [])


def test_a_share_whose_follower_can_write_no_more_waits_for_a_person_on_every_other_machine(towns: list[Desk]) -> None:
    ada, _ = towns
    made = begin(ada)
    other = Desk("other", ada.clock).join(ada)
    ada.receive(other.batches())
    with ada.replica.transaction() as unit:
        editor = Editor(unit, ada.replica.ledger.number, "share", made["share"], "bob")
        editor.set("follower", other.replica.id)
        editor.save()
    assert part(ada) is Part.NONE
    with ada.replica.transaction() as unit:
        retire(unit, ada.replica.ledger, other.replica.id)
    assert part(ada) is Part.ORPHANED
    assert step(ada) == 0
    ada.do(FollowShare(actor="alice", share=made["share"]))
    assert part(ada) is Part.FOLLOWS
    ada.do(Unshare(actor="alice", id="mt-one"))
    assert part(ada) is Part.NONE


def test_a_share_of_another_town_on_a_plane_of_both_is_that_town_s_to_see_to() -> None:
    plane, (one, two) = federation(Role.WRITER)
    write(two, plane)
    meet(plane, one, two)
    row = plane_of(one, plane)

    def shared_by_two(unit: Unit) -> Part:
        shared = Shared(row, "s", "label", "x", "", b"", Rule(), "p", two.id, False)
        return sharing.part_in(unit, one.replica, shared)

    assert one.commit(shared_by_two) is Part.NONE
    one.commit(lambda unit: remove_town(unit, row, towns_of(unit, row)[town_key(two)]))
    assert one.commit(shared_by_two) is Part.NONE


def test_what_was_followed_under_a_key_with_two_histories_is_taken_over_after_a_salvage(towns: list[Desk]) -> None:
    ada, _ = towns
    begin(ada, label="api")
    (clone,) = documents.copies([ada])
    clone.keys = copy.deepcopy(ada.keys)
    clone.reopen()
    ada.create("mt-mine", labels=("api",))
    clone.create("mt-theirs")
    ada.receive(clone.batches())
    assert step(ada) == 0
    with ada.replica.transaction() as unit:
        salvage(unit)
    assert part(ada) is Part.TAKES_OVER
    step(ada)
    assert part(ada) is Part.FOLLOWS


def test_a_copy_leaves_shares_to_its_original_while_that_can_follow(towns: list[Desk]) -> None:
    ada, _ = towns
    begin(ada)
    (clone,) = documents.copies([ada])
    clone.keys = copy.deepcopy(ada.keys)
    clone.reopen()
    with clone.replica.transaction() as unit:
        salvage(unit, is_copy=True)
    clone.update("mt-one", title="Two")
    assert part(clone) is Part.NONE
    assert step(clone) == 0
