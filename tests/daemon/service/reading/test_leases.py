"""Requests about leases that only read, and what a machine is told that lost one."""

from moot_protocol.requests.leases import AcquireLease, Leases, PromoteTown
from moot_testkit.towns.engine import Desk, exchange, town_of
from mootd.service.reading.leases import lease_alarms
from mootd.service.snapshot import Snapshot


def alarms(desk: Desk) -> list[str]:
    with desk.replica.read() as reader:
        return [each["code"] for each in lease_alarms(Snapshot(desk.replica, reader, desk.clock.now_ms()))]


def test_leases_are_listed_by_name() -> None:
    desk = Desk().found()
    assert desk.ask(Leases()) == []
    for name in ("weekly", "nightly"):
        desk.do(AcquireLease(actor="ada", name=name))
    assert [each["name"] for each in desk.ask(Leases())] == ["nightly", "weekly"]


def test_who_lost_a_lease_is_told_in_an_alarm() -> None:
    ada, bob = town_of("ada", "bob")
    ada.do(AcquireLease(actor="ada", name="nightly"))
    exchange(ada, bob)
    assert alarms(ada) == []
    bob.do(PromoteTown(actor="bob", force=True))
    exchange(ada, bob)
    assert alarms(ada) == ["fenced"]
    assert alarms(bob) == []
    assert alarms(Desk()) == []
