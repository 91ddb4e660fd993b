"""Planes by what people call them."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.planes import clash, two_planes
from mootd.engine.planes import clashing_prefixes, issue_plane_meant, issue_planes, kept_planes, labels_of, plane_meant
from mootd.engine.stored.log import PlaneRow

ROWS = {
    1: PlaneRow(1, bytes.fromhex("aa11" * 8), "ledger", "ledger", b"t" * 32),
    2: PlaneRow(2, bytes.fromhex("bb22" * 8), "operational", "operational", b"t" * 32),
    4: PlaneRow(4, bytes.fromhex("aa33" * 8), "federation", "ledger", b"u" * 32),
    3: PlaneRow(3, bytes.fromhex("cc44" * 8), "ledger", "aa11", b"u" * 32),
}


def refused(typed: str) -> RefusedError:
    with pytest.raises(RefusedError) as raised:
        plane_meant(ROWS.values(), typed)
    return raised.value


def test_issues_stand_on_ledgers_and_federation_planes_the_oldest_first() -> None:
    assert [row.number for row in issue_planes(ROWS)] == [1, 3, 4]


def test_a_plane_is_named_by_its_name_before_the_beginning_of_an_id() -> None:
    assert plane_meant(ROWS.values(), "aa11").number == 3
    assert plane_meant(ROWS.values(), "aa11a").number == 1
    assert plane_meant(ROWS.values(), "BB22").number == 2
    assert plane_meant(ROWS.values(), ROWS[4].id.hex()).number == 4


def test_three_characters_of_an_id_and_other_words_name_no_plane() -> None:
    assert refused("bb2").code is Code.NOT_FOUND
    assert refused("nosuch").code is Code.NOT_FOUND


def test_a_name_that_two_planes_have_is_ambiguous_and_the_ids_are_told() -> None:
    error = refused("ledger")
    assert error.code is Code.AMBIGUOUS
    assert "aa11aa11" in error.message
    assert "aa33aa33" in error.message


def test_a_plane_without_issues_can_be_named_but_not_for_issues() -> None:
    assert issue_plane_meant(ROWS, "cc44").number == 3
    with pytest.raises(RefusedError, match="operational holds no issues") as raised:
        issue_plane_meant(ROWS, "operational")
    assert raised.value.code is Code.INVALID


def test_a_plane_is_called_by_its_name_unless_another_has_it_and_that_leads_back_to_it() -> None:
    labels = labels_of(list(ROWS.values()))
    assert labels == {1: "aa11aa11", 2: "operational", 3: "aa11", 4: "aa33aa33"}
    assert {plane_meant(ROWS.values(), label).number: label for label in labels.values()} == labels


def test_the_store_has_the_planes_that_the_replica_knows() -> None:
    for desk in (Desk(), two_planes()):
        with desk.replica.read() as reader:
            assert {row.number: row for row in kept_planes(reader)} == desk.replica.planes


def test_prefixes_that_several_planes_have_clash_whether_they_hold_issues_or_not() -> None:
    desk = two_planes()
    first, second = (row.number for row in issue_planes(desk.replica.planes))
    with desk.replica.read() as reader:
        before = clashing_prefixes(desk.replica, reader)
    clash(desk)
    with desk.replica.read() as reader:
        after = clashing_prefixes(desk.replica, reader)
    assert (before, list(after.values())) == ({}, [[first, second]])
