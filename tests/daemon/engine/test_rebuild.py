"""A rebuild reaches the same views from the log alone, while others go on writing."""

from typing import Any

import pytest

from moot_testkit.bytes.feeds import Town, dot_of, note, stripped
from moot_testkit.laws.erasing import all_but, erasing, forget, marks, told, two_feeds, withheld_at
from moot_testkit.tables import rows
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.planes import TEAM_PROJECT, create_on, make_twins, two_planes
from moot_testkit.towns.town import Member, make_town
from mootd.engine import rebuild as module
from mootd.engine.membership.charter_writing import end_replica
from mootd.engine.rebuild import Rebuild
from mootd.engine.stored import layout
from mootd.engine.stored.log import LogReader, event_feed, with_previous
from mootd.store.port import Table

LEDGER = 1
VIEWS = ((Table.IDS_0, Table.RECORDS_0, Table.INDEX_0), (Table.IDS_1, Table.RECORDS_1, Table.INDEX_1))


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRETCH", 3)


def write(member: Member, *texts: str, entity: str = "mt-1") -> None:
    member.commit(lambda unit: [unit.append(LEDGER, note(text, entity=entity)) for text in texts])


def used_town() -> tuple[Member, Member]:
    """A founder and a member who hold one another's events, some superseded."""
    founder, member = make_town(2)
    first = founder.commit(lambda unit: unit.append(LEDGER, note("first")))
    member.take(*founder.batches())
    member.commit(lambda unit: unit.append(LEDGER, note("second", over=[dot_of(first, founder.id)])))
    write(member, "a", "b", "c", entity="mt-2")
    founder.take(*member.batches())
    write(founder, "last", entity="mt-3")
    return founder, member


def finish(member: Member, rebuild: Rebuild) -> dict[str, Any]:
    """Go on until it is done; what it answers then."""
    for _ in range(100):
        answer = member.commit(rebuild.step)
        if answer["done"]:
            return answer
    raise AssertionError("the rebuild doesn't come to its end")


def content(member: Member) -> list[dict[bytes, bytes]]:
    """Ids, records and index of the views that are served."""
    return [rows(member.replica, table) for table in VIEWS[member.replica.generation]]


def agrees(answer: dict[str, Any]) -> bool:
    """Whether every plane's digest is what it was."""
    return all(plane["before"] == plane["after"] for plane in answer["planes"])


def test_views_and_digests_are_what_they_were() -> None:
    member, _ = used_town()
    before = content(member)
    answer = finish(member, Rebuild())
    assert agrees(answer)
    assert (answer["mended"], member.replica.generation) == (0, 1)
    assert content(member) == before
    assert all(rows(member.replica, table) == {} for table in VIEWS[0]), "the old views are gone"
    assert [plane["events"] for plane in answer["planes"]] == [9, 2]


def test_until_it_is_done_the_old_views_are_served_and_a_restart_forgets_it() -> None:
    member, _ = used_town()
    before = content(member)
    answer = member.commit(Rebuild().step)
    assert (answer["done"], answer["progress"]) == (False, [3, 11])
    member.restart()
    assert (member.replica.generation, content(member)) == (0, before)
    assert agrees(finish(member, Rebuild()))
    member.restart()
    assert (member.replica.generation, content(member)) == (1, before)


def test_what_is_written_between_stretches_is_in_the_new_views() -> None:
    member, _ = used_town()
    rebuild = Rebuild()
    for step in range(3):
        member.commit(rebuild.step)
        write(member, f"meanwhile {step}", entity=f"mt-{step}")
    before = content(member)
    assert agrees(finish(member, rebuild))
    assert content(member) == before


def test_a_cut_between_stretches_begins_it_anew() -> None:
    founder, member = used_town()
    rebuild = Rebuild()
    founder.commit(rebuild.step)
    founder.commit(rebuild.step)
    founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 2))
    assert founder.commit(rebuild.step)["progress"][0] == 3
    assert agrees(finish(founder, rebuild))


def test_after_a_cut_a_rebuild_reaches_the_same_digest() -> None:
    founder, member = used_town()
    founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 2))
    answer = finish(founder, Rebuild())
    assert agrees(answer)
    assert answer["mended"] == 0, "a cut leaves every back-pointer right"


def test_a_broken_back_pointer_is_mended() -> None:
    member, _ = used_town()
    events = rows(member.replica, Table.EVENTS)
    key = max(key for key, value in events.items() if event_feed(value)[0] != member.replica.own_feed(LEDGER))
    with member.store.write() as writer:
        writer.put(Table.EVENTS, key, with_previous(events[key], 0))
    answer = finish(member, Rebuild())
    assert answer["mended"] == 1
    assert rows(member.replica, Table.EVENTS) == events
    with member.replica.read() as reader:
        assert len(LogReader(reader).history(int.from_bytes(key, "big"))) == 3


def test_damaged_records_are_made_anew_from_the_log() -> None:
    member, _ = used_town()
    good = content(member)
    with member.store.write() as writer:
        for key in list(good[1])[:2]:
            writer.put(Table.RECORDS_0, key, b"\xc1 nothing")
        writer.delete(Table.META, layout.digest_key(0, LEDGER))
    answer = finish(member, Rebuild())
    assert not agrees(answer), "and it tells that they were not what they should have been"
    assert content(member) == good


def test_a_second_rebuild_goes_back_to_the_first_tables() -> None:
    member, _ = used_town()
    before = content(member)
    finish(member, Rebuild())
    assert agrees(finish(member, Rebuild()))
    assert (member.replica.generation, content(member)) == (0, before)


def test_values_that_come_between_stretches_are_in_the_new_views() -> None:
    town = Town()
    one = town.replica("one")
    batch = one.write(note("late"), *(note(f"{number}", entity=f"mt-{number}") for number in range(2, 9)))
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, one.batches[0], stripped(batch)])
    rebuild = Rebuild()
    with desk.replica.transaction() as unit:
        assert not rebuild.step(unit)["done"]
    desk.receive([batch])
    before = desk.index(layout.STATUS, layout.UPDATED), desk.records()
    finish_at(desk, rebuild)
    assert (desk.index(layout.STATUS, layout.UPDATED), desk.records()) == before
    assert desk.show("mt-1")["title"] == "late"


class _FailedError(Exception):
    pass


@pytest.mark.parametrize("failing", [0, 1, 2, 3])
def test_a_stretch_that_was_not_committed_is_not_taken_for_done(failing: int) -> None:
    desk = Desk().found()
    for number in range(8):
        desk.create(f"mt-{number}")
    before = desk.index(layout.READY, layout.STATUS), desk.records()
    rebuild = Rebuild()
    for _ in range(failing):
        with desk.replica.transaction() as unit:
            rebuild.step(unit)
    with pytest.raises(_FailedError):
        fail_after(desk, rebuild)
    finish_at(desk, rebuild)
    assert (desk.index(layout.READY, layout.STATUS), desk.records()) == before


def fail_after(desk: Desk, rebuild: Rebuild) -> None:
    """A stretch whose transaction then fails."""
    with desk.replica.transaction() as unit:
        rebuild.step(unit)
        raise _FailedError


def finish_at(desk: Desk, rebuild: Rebuild) -> None:
    for _ in range(100):
        with desk.replica.transaction() as unit:
            if rebuild.step(unit)["done"]:
                return
    raise AssertionError("the rebuild doesn't come to its end")


def test_what_stands_on_several_planes_is_the_same_after_a_rebuild() -> None:
    desk = two_planes()
    make_twins(desk)
    create_on(desk, "", "tm-a", TEAM_PROJECT, labels=("red",))
    lists, digests = desk.index(b"s", b"l", b"u", b"r"), [desk.digest(plane) for plane in desk.replica.planes]
    rebuild, done = Rebuild(), False
    while not done:
        with desk.replica.transaction() as unit:
            done = rebuild.step(unit)["done"]
    assert desk.replica.generation == 1
    assert [desk.digest(plane) for plane in desk.replica.planes] == digests
    assert desk.index(b"s", b"l", b"u", b"r") == lists


# -- What is erased and withheld -----------------------------------------------------------------------------------
@pytest.mark.parametrize("forgotten", [(), (layout.ERASED,), (layout.WITHHELD,), (layout.ERASED, layout.WITHHELD)])
def test_what_is_erased_and_what_is_asked_for_follows_from_the_log(forgotten: tuple[bytes, ...]) -> None:
    town, one, two, batch = two_feeds()
    more = one.write(note("erased too"), note("withheld"))
    two.write(erasing(batch, 2), erasing(more, 4))
    desk = told(town, *all_but(more, town, one, two), stripped(more, [5]))
    before = marks(desk)
    assert (len(before[0]), before[1]) == (2, {(one.author, 4)})
    if forgotten:
        forget(desk, *forgotten)
    finish_at(desk, Rebuild())
    assert marks(desk) == before
    desk.receive([more])
    assert marks(desk) == (before[0], set())


def test_what_is_called_erased_without_an_erasure_is_asked_for() -> None:
    town, one, two, batch = two_feeds()
    desk = told(town, *all_but(batch, town, one, two))
    number = desk.replica.feed_numbers[1, one.author]
    desk.put(Table.META, layout.erased_key(number, 2, batch.events[0].leaf[:8]), b"")
    desk.receive([batch])
    assert withheld_at(desk) == set()
    finish_at(desk, Rebuild())
    assert marks(desk) == (set(), {(one.author, 2)})
