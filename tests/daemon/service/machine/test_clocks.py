"""What is told of clocks that were ahead: on the machine whose clock it was, and on those that hold its batches."""

from typing import Any

from moot_protocol.clock import due_ms, shown_minute
from moot_protocol.ids import key_text
from moot_protocol.requests.machine import Doctor, Status
from moot_testkit.towns.carrying import create, founder, plane_of, send
from moot_testkit.towns.federating import machine
from moot_testkit.towns.town import Api, Member
from mootd.engine.membership.removing import retire

DAYS_MS = 5 * 24 * 3_600_000


def hurried(batches: int = 2) -> tuple[Member, Member]:
    """A founder, and a machine of its town whose clock was days ahead while it wrote, and is right again."""
    one = founder("one")
    two = machine(one, one.ledger.id)
    two.clock.advance(DAYS_MS)
    for number in range(batches):
        create(two, f"ahead {number}")
    two.clock.set_wall(two.clock.now_ms() - DAYS_MS)
    send(two, one)
    return one, two


def alarms(member: Member, code: str) -> list[dict[str, Any]]:
    return [alarm for alarm in Api(member).call(Status())["alarms"] if alarm["code"] == code]


def test_the_machine_itself_says_from_when_on_it_can_write_and_what_else_helps() -> None:
    _, two = hurried()
    until = shown_minute(due_ms(two.replica.clock.last))
    (alarm,) = alarms(two, "clock_ahead")
    assert alarm["severity"] == "alarm"
    assert until in alarm["message"]
    assert "moot salvage --clock" in alarm["hint"]
    (check,) = [each for each in Api(two).call(Doctor()) if each["check"] == "clock is not behind the log"]
    assert not check["ok"]
    assert until in check["hint"]
    two.clock.advance(DAYS_MS)
    assert alarms(two, "clock_ahead") == []


def test_others_say_whose_batches_wait_and_until_when() -> None:
    one, two = hurried()
    (alarm,) = alarms(one, "parked")
    assert alarm["message"].startswith(f"2 batches of {key_text(two.id)} on plane ledger are dated ahead")
    assert alarm["message"].endswith(f"and count here from {shown_minute(due_ms(two.replica.clock.last))} on")
    assert alarms(one, "clock_ahead") == []
    one.clock.advance(DAYS_MS)
    with one.replica.transaction():
        pass
    assert alarms(one, "parked") == []


def test_a_single_batch_that_waits_is_told_in_the_singular() -> None:
    one, two = hurried(1)
    (alarm,) = alarms(one, "parked")
    assert alarm["message"].startswith(f"1 batch of {key_text(two.id)} on plane ledger is dated ahead")
    assert ", and counts here from " in alarm["message"]


def test_batches_that_an_end_left_out_are_awaited_by_nobody() -> None:
    one, two = hurried()
    assert Api(one).call(Status())["parked"] == 2
    one.commit(lambda unit: retire(unit, plane_of(one, one.ledger.id), two.id, drops=True))
    assert alarms(one, "parked") == []
    assert Api(one).call(Status())["parked"] == 0


def test_a_clock_that_is_a_little_behind_can_write_and_is_told_by_the_doctor_alone() -> None:
    one = founder("one")
    create(one)
    one.clock.set_wall(one.clock.now_ms() - 5 * 60_000)
    assert alarms(one, "clock_ahead") == []
    (check,) = [each for each in Api(one).call(Doctor()) if each["check"] == "clock is not behind the log"]
    assert check["hint"].startswith("set the machine's clock right")
