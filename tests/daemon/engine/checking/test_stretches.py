"""A whole store is gone through in stretches, each of which says where to go on."""

from collections.abc import Iterator

import pytest

from moot_protocol.errors import Code, MootError
from moot_testkit.towns.engine import Desk
from mootd.engine.checking import digest_check, fsck
from mootd.engine.checking.stretches import Checked, check_stretch
from mootd.engine.stored import layout
from mootd.store.port import Table


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(fsck, "STRETCH", 2)
    desk = Desk().found()
    for number in range(4):
        desk.create(f"mt-{number}")
    return desk


def stretches(desk: Desk) -> Iterator[Checked]:
    """All of them, each in a snapshot of its own."""
    cursor, done = "", False
    while not done:
        with desk.replica.read() as reader:
            found = check_stretch(desk.replica, reader, cursor)
        yield found
        cursor, done = found.cursor, found.done


def problems(desk: Desk) -> list[str]:
    return [problem.problem for found in stretches(desk) for problem in found.problems]


def test_everything_is_counted_once_and_records_twice(desk: Desk) -> None:
    *parts, last = stretches(desk)
    assert len(parts) > 8
    tables = (Table.BATCHES, Table.ASIDE, Table.RECORDS_0, Table.INDEX_0, Table.RECORDS_0)
    assert last.checked == last.total == sum(len(desk.rows(table)) for table in tables)
    assert last.events == len(desk.rows(Table.EVENTS))
    assert [each.checked for each in parts] == sorted(each.checked for each in parts)


def test_of_a_sound_store_nothing_is_found_also_while_others_write(desk: Desk) -> None:
    found = []
    for number, each in enumerate(stretches(desk)):
        found += each.problems
        if number % 3 == 0:
            desk.update("mt-0", title=f"edit {number}")
            desk.create(f"more-{number}")
            if number > 40:
                break
    assert found == []
    assert problems(desk) == []


def test_a_digest_that_is_not_that_of_the_records_is_found_by_its_plane_and_a_rebuild_advised(desk: Desk) -> None:
    ledger = desk.replica.ledger
    desk.put(Table.META, layout.digest_key(desk.replica.generation, ledger.number), bytes(31) + b"\1")
    (found,) = [problem for each in stretches(desk) for problem in each.problems]
    assert found == (f"plane {ledger.name}", "its digest is not that of its records", fsck.VIEW_HINT)
    assert found.is_of_views


def test_digests_are_summed_in_stretches_that_tell_how_far_they_are(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest_check, "STRETCH", 2)
    parts = list(stretches(desk))
    summed = [each for each in parts if each.cursor.startswith("digests: ")]
    assert len(summed) == len(desk.rows(Table.RECORDS_0)) // 2
    assert len({each.checked for each in summed}) == len(summed)
    assert {each.total for each in parts} == {parts[-1].checked}


def test_a_feed_s_row_that_can_not_be_read_is_damage(desk: Desk) -> None:
    desk.put(Table.META, layout.feed_key(1), b"\xc1")
    with pytest.raises(MootError) as caught:
        list(stretches(desk))
    assert caught.value.code is Code.STORE_DAMAGED


@pytest.mark.parametrize("cursor", ["x", "log: 1 2", "log: a 0 ", "elsewhere: 0 0 ", "log: 0 0 xyz", "digests: 0 0 ff"])
def test_what_is_no_cursor_is_refused(desk: Desk, cursor: str) -> None:
    with desk.replica.read() as reader, pytest.raises(MootError) as caught:
        check_stretch(desk.replica, reader, cursor)
    assert caught.value.code is Code.INVALID
