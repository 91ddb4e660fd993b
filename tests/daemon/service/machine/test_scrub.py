"""The scrub: finds what is damaged, one machine of a town at a time, and stops when it has lost its turn."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import msgspec
import pytest

from moot_protocol.exchange.task_lease import CLAIMS
from moot_protocol.limits import LEASE_MS
from moot_protocol.merge.kinds import LEASE
from moot_protocol.requests.leases import Leases, PromoteTown
from moot_testkit.towns.engine import Desk, exchange, town_of
from mootd.engine.checking import fsck
from mootd.engine.editor import Editor
from mootd.engine.stored import layout
from mootd.engine.task_leases import fenced, view_in
from mootd.engine.unit import Unit
from mootd.service.machine import scrub
from mootd.service.machine.damage import Damages, Finding
from mootd.service.machine.scrub import EVERY_MS, FIRST_MS, PAUSE_MS, Scrub, Scrubbed, last_scrub
from mootd.store.port import Table

R = TypeVar("R")


class Scrubber:
    """The scrub of a desk, stepped by hand."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.told: list[str] = []
        self.damages = Damages(desk.replica, self._commit)
        self.scrub = Scrub(desk.replica, self._commit, ThreadPoolExecutor(1), self._note, self.damages)

    def _note(self, event: str, /, **_: object) -> None:
        self.told.append(event)

    def _commit(self, work: Callable[[Unit], R]) -> R:
        with self.desk.replica.transaction() as unit:
            return work(unit)

    def finish(self, most: int = 200) -> None:
        """Go on until it waits for long."""
        for _ in range(most):
            if self.scrub.step() == FIRST_MS:
                return
        raise AssertionError("it never ends")

    def found(self) -> scrub.Scrubbed | None:
        with self.desk.replica.read() as reader:
            return last_scrub(reader)

    def alarms(self) -> list[str]:
        return [alarm["message"] for alarm in self.damages.alarms()]


@pytest.fixture(autouse=True)
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsck, "STRETCH", 2)


@pytest.fixture
def desk() -> Desk:
    desk = Desk().found()
    for number in range(4):
        desk.create(f"mt-{number}")
    return desk


def test_a_whole_store_is_gone_through_and_then_left_alone_for_a_week(desk: Desk) -> None:
    one = Scrubber(desk)
    one.finish()
    found = one.found()
    assert found is not None
    assert (found.problems, found.at_ms) == (0, desk.clock.now_ms())
    assert found.checked >= len(desk.rows(Table.BATCHES)) - 2 + len(desk.rows(Table.RECORDS_0))
    assert one.told == ["scrub.begun", "scrub.done"]
    assert desk.ask(Leases())[0]["state"] == "released"
    events = len(desk.rows(Table.EVENTS))
    assert one.scrub.step() == FIRST_MS
    assert len(desk.rows(Table.EVENTS)) == events
    desk.clock.advance(EVERY_MS)
    assert one.scrub.step() == PAUSE_MS


def test_a_flipped_bit_is_found_and_told_in_an_alarm(desk: Desk) -> None:
    key, value = next(reversed(desk.rows(Table.EVENTS).items()))
    desk.put(Table.EVENTS, key, value[:-1] + bytes([value[-1] ^ 1]))
    one = Scrubber(desk)
    one.finish()
    found = one.found()
    assert found is not None
    assert found.problems
    assert found.told[0][1]
    (told,) = one.alarms()
    assert told.startswith(f"the scrub found {found.problems} problem")
    assert told.endswith(f"the first: {': '.join(found.told[0])}")
    assert "scrub.problem" in one.told


def test_a_digest_that_is_not_that_of_the_records_is_found(desk: Desk) -> None:
    one = Scrubber(desk)
    one.finish()
    assert one.alarms() == []
    desk.clock.advance(EVERY_MS)
    operational = desk.replica.plane_named("operational").number
    desk.put(Table.META, layout.digest_key(desk.replica.generation, operational), bytes(31) + b"\1")
    one.finish()
    found = one.found()
    assert found is not None
    assert [problem for _, problem in found.told] == ["its digest is not that of its records"]


def test_what_stands_aside_and_in_lists_is_looked_at_too(desk: Desk) -> None:
    key, value = next(reversed(desk.rows(Table.INDEX_0).items()))
    desk.put(Table.INDEX_0, key + b"\1", value)
    desk.put(Table.ASIDE, layout.aside_key(1, 1, bytes(32)), b"nothing")
    one = Scrubber(desk)
    one.finish()
    found = one.found()
    assert found is not None
    assert {where.split(" ")[0] for where, _ in found.told} == {"batch", "key"}


def test_damage_that_it_can_not_get_past_is_told_of(desk: Desk) -> None:
    key, value = next(reversed(desk.rows(Table.BATCHES).items()))
    desk.put(Table.BATCHES, key, value[:5])
    one = Scrubber(desk)
    one.finish()
    (told,) = one.alarms()
    assert told.startswith("the scrub found at least 1 problem in the store")
    assert told.endswith("the log is damaged: a batch can't be read")
    assert one.told[-1] == "scrub.problem"


def test_the_next_that_finds_nothing_ends_the_alarm(desk: Desk) -> None:
    key, value = next(reversed(desk.rows(Table.EVENTS).items()))
    desk.put(Table.EVENTS, key, value[:-1] + bytes([value[-1] ^ 1]))
    one = Scrubber(desk)
    one.finish()
    desk.put(Table.EVENTS, key, value)
    desk.clock.advance(EVERY_MS)
    one.finish()
    assert one.alarms() == []


def test_what_was_found_while_it_was_under_way_it_does_not_end(desk: Desk) -> None:
    one = Scrubber(desk)
    one.scrub.step()
    desk.clock.advance(1)
    one.damages.found(Finding("`moot fsck`", 1, "somewhere: something", is_all=True))
    one.finish()
    assert len(one.alarms()) == 1


def test_what_only_its_own_note_tells_is_told_too_until_it_is_gone(desk: Desk) -> None:
    note = Scrubbed(1, 7, 2, [["somewhere", "something"]])
    desk.put(Table.META, layout.SCRUB, msgspec.msgpack.encode(note))
    one = Scrubber(desk)
    assert one.alarms()[0].endswith("the first: somewhere: something")
    desk.clock.advance(1)
    one.damages.sound_since(one.damages.now_ms())
    assert Scrubber(desk).alarms() == []


def test_what_is_written_meanwhile_is_never_taken_for_damage(desk: Desk) -> None:
    one, written = Scrubber(desk), 0
    while one.scrub.step() != FIRST_MS:
        under_way = one.scrub._pass
        if under_way is not None and under_way.cursor.startswith("views:"):
            written += 1
            desk.update("mt-0", title=f"edit {written}")
    assert written > 3
    found = one.found()
    assert found is not None
    assert found.problems == 0


def test_a_machine_waits_while_another_has_its_turn() -> None:
    ada, bob = town_of("ada", "bob")
    first, second = Scrubber(ada), Scrubber(bob)
    assert first.scrub.step() == PAUSE_MS
    exchange(ada, bob)
    assert second.scrub.step() == FIRST_MS
    assert second.told == []
    first.finish()
    exchange(ada, bob)
    assert second.scrub.step() == PAUSE_MS


def test_who_lost_its_turn_stops_and_begins_anew_in_its_next() -> None:
    ada, bob = town_of("ada", "bob")
    one = Scrubber(ada)
    one.scrub.step()
    exchange(ada, bob)
    bob.do(PromoteTown(actor="bob", force=True))
    exchange(ada, bob)
    assert one.scrub.step() == FIRST_MS
    assert one.told == ["scrub.begun", "scrub.fenced"]
    assert one.found() is None
    with ada.replica.transaction() as unit:  # it has stopped: there is nothing to be told any more
        assert fenced(unit.transaction, view_in(unit), {ada.replica.id}) == {}
    ada.clock.advance(2 * LEASE_MS)
    one.finish()
    assert one.found() is not None


def test_a_long_scrub_keeps_its_lease(desk: Desk) -> None:
    one = Scrubber(desk)
    for _ in range(3):
        assert one.scrub.step() == PAUSE_MS
        desk.clock.advance(LEASE_MS // 2)
    assert desk.ask(Leases())[0]["epoch"] == 1
    assert one.told == ["scrub.begun"]


def test_without_a_ledger_there_is_nothing_to_do() -> None:
    one = Scrubber(Desk())
    assert one.scrub.step() == FIRST_MS
    assert one.told == []


async def test_it_goes_on_after_something_unforeseen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "FIRST_MS", 0)
    one, again, calls = Scrubber(desk), asyncio.Event(), 0
    loop = asyncio.get_running_loop()

    def step() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("the disk is gone")
        loop.call_soon_threadsafe(again.set)
        return FIRST_MS

    monkeypatch.setattr(one.scrub, "step", step)
    task = loop.create_task(one.scrub.run())
    async with asyncio.timeout(30):
        await again.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert one.told == ["scrub.failed"]


def test_a_lease_whose_epochs_somebody_has_driven_up_is_waited_for_which_is_told_once(desk: Desk) -> None:
    def drive(unit: Unit) -> None:
        editor = Editor(unit, desk.replica.ledger.number, LEASE, view_in(unit).entity(scrub.NAME), "thief")
        editor.add(CLAIMS, [desk.clock.now_ms(), desk.replica.id])
        editor.save()

    one = Scrubber(desk)
    for _ in range(2):
        with desk.replica.transaction() as unit:
            drive(unit)
        for _ in range(2):
            assert one.scrub.step() == FIRST_MS
        assert one.told == ["scrub.kept_waiting"]
        one.told.clear()
        desk.clock.advance(1)
        one.finish()
        assert one.told == ["scrub.begun", "scrub.done"]
        one.told.clear()
        desk.clock.advance(EVERY_MS)
