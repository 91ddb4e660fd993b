"""What is known to be damaged outlives the process that found it, and ends when it is known to be gone."""

from collections.abc import Callable

import msgspec
import pytest

from moot_protocol.times import format_ms
from moot_testkit.towns.engine import Desk
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.service.machine.damage import Damages, Finding
from mootd.store.port import Table

FOUND = Finding("`moot fsck`", 3, "somewhere: something", is_all=True)


ROW = [1, "`moot fsck`", 1, 0, 3, "somewhere: something", True, False]
"""A finding as the store keeps it."""


def damages(desk: Desk) -> Damages:
    """As a start of the daemon finds them; what is to be kept is committed at once."""

    def begin(work: Callable[[Unit], None]) -> None:
        with desk.replica.transaction() as unit:
            work(unit)

    return Damages(desk.replica, begin)


def told(known: Damages) -> list[str]:
    return [alarm["message"] for alarm in known.alarms()]


@pytest.fixture
def desk() -> Desk:
    return Desk().found()


def test_of_nothing_nothing_is_told(desk: Desk) -> None:
    assert told(damages(desk)) == []


def test_what_was_found_is_told_with_when_how_many_and_the_first_and_after_a_restart_just_so(desk: Desk) -> None:
    when = format_ms(desk.clock.now_ms())
    damages(desk).found(FOUND)
    desk.clock.advance(60_000)
    desk.reopen()
    assert told(damages(desk)) == [
        f"`moot fsck` found 3 problems in the store at {when}, the first: somewhere: something"
    ]


def test_what_is_found_later_takes_its_place(desk: Desk) -> None:
    known = damages(desk)
    known.found(FOUND)
    known.found(Finding("the scrub", 1, "elsewhere: else", is_all=False))
    for each in known, damages(desk):
        (message,) = told(each)
        assert message.startswith("the scrub found at least 1 problem in")


def test_it_ends_for_good_with_a_check_of_the_whole_that_began_later(desk: Desk) -> None:
    known = damages(desk)
    before = known.now_ms()
    desk.clock.advance(1)
    known.found(FOUND)
    known.sound_since(before)
    assert told(known) != []
    known.sound_since(known.now_ms())
    assert told(known) == told(damages(desk)) == []


def test_a_check_that_began_before_a_restart_does_not_end_what_was_found_since(desk: Desk) -> None:
    before = damages(desk).now_ms()
    desk.clock.advance(1)
    damages(desk).found(FOUND)
    known = damages(desk)
    known.sound_since(before)
    assert told(known) != []


def test_a_clock_that_began_anew_with_the_machine_does_not_keep_it_for_ever(desk: Desk) -> None:
    known = damages(desk)
    desk.clock.advance(10**9)
    known.found(FOUND)
    desk.clock._monotonic_ms = 0
    again = damages(desk)
    again.sound_since(again.now_ms())
    assert told(again) == []


@pytest.mark.parametrize("is_of_views", [True, False])
def test_views_made_anew_end_what_was_wrong_with_views_alone(desk: Desk, is_of_views: bool) -> None:
    known = damages(desk)
    known.found(FOUND._replace(is_of_views=is_of_views))
    known.rebuilt_since(known.now_ms() - 1)
    assert told(known) != []
    known.rebuilt_since(known.now_ms())
    assert (told(known) == []) is is_of_views
    assert told(known) == told(damages(desk))


def test_how_many_more_a_check_has_found_so_far_is_told_and_not_written_each_time(desk: Desk) -> None:
    written: list[object] = []
    known = Damages(desk.replica, written.append)
    for problems in (1, 2, 3):
        known.found(Finding("`moot fsck`", problems, "a: b" if problems == 1 else "", is_all=False))
    assert len(written) == 1
    assert "at least 3 problems" in told(known)[0]
    known.found(Finding("`moot fsck`", 3, "", is_all=True))
    assert len(written) == 2
    assert told(known)[0].endswith("the first: a: b")


def test_what_an_earlier_start_kept_is_told(desk: Desk) -> None:
    desk.put(Table.META, layout.DAMAGE, msgspec.msgpack.encode(ROW))
    assert len(told(damages(desk))) == 1


@pytest.mark.parametrize("kept", [b"\xc1", msgspec.msgpack.encode([2, *ROW[1:]]), msgspec.msgpack.encode(ROW[:2])])
def test_what_can_not_be_read_is_no_reason_not_to_start(desk: Desk, kept: bytes) -> None:
    desk.put(Table.META, layout.DAMAGE, kept)
    assert told(damages(desk)) == []
