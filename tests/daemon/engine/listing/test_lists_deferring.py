"""What is put off, until some time or for good: when `ready` holds it."""

import pytest

from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.issues import Stats
from moot_protocol.requests.listing import Filter
from moot_protocol.times import format_ms
from moot_testkit.towns.engine import START_MS, Desk

HOUR_MS = 3_600_000


@pytest.fixture
def desk() -> Desk:
    return Desk().found()


def test_what_was_put_off_until_some_time_is_ready_after_it_and_its_status_stays_as_it_was_written(desk: Desk) -> None:
    desk.create("mt-dated", status="deferred", defer_until=format_ms(START_MS + HOUR_MS))
    desk.create("mt-for-good", status="deferred")
    assert desk.ready() == []
    desk.clock.advance(HOUR_MS)
    before = desk.log_length()
    assert desk.ready() == ["mt-dated"]
    assert desk.show("mt-dated")["status"] == "deferred"
    assert desk.log_length() == before
    assert desk.ask(Stats())["ready"] == 1
    claimed = desk.do(ClaimReady(actor="alice"))
    assert claimed is not None
    assert claimed["id"] == "mt-dated"
    assert desk.ready() == []


def test_what_is_deferred_is_ready_only_when_asked_for_with_a_time_or_without(desk: Desk) -> None:
    for name, until in (("mt-dated", format_ms(START_MS + HOUR_MS)), ("mt-for-good", "")):
        desk.create(name, status="deferred", defer_until=until)
    desk.create("mt-blocked", status="deferred")
    desk.link("mt-blocked", "mt-dated")
    desk.create("mt-gate", status="deferred", issue_type="gate")
    for _ in range(2):
        assert sorted(desk.ready(include_deferred=True)) == ["mt-dated", "mt-for-good"]
        desk.clock.advance(HOUR_MS)


def test_what_is_put_off_for_good_comes_in_the_order_of_all_that_is_ready_whatever_its_project(desk: Desk) -> None:
    for name, priority, status in (
        ("mt-3", 3, "deferred"),
        ("other-2", 2, "deferred"),
        ("other-1", 1, "open"),
        ("mt-0", 0, "deferred"),
        ("other-4", 4, "deferred"),
    ):
        desk.create(name, priority=priority, status=status, project=name.partition("-")[0])
    assert desk.ready(include_deferred=True) == ["mt-0", "other-1", "other-2", "mt-3", "other-4"]
    assert desk.ready(include_deferred=True, filter=Filter(projects=("other",))) == ["other-1", "other-2", "other-4"]
    assert desk.ready() == ["other-1"]


def test_what_is_put_off_for_good_and_pinned_or_ephemeral_is_left_out_as_what_is_open_is(desk: Desk) -> None:
    for status in ("open", "deferred"):
        desk.create(f"mt-{status}-pinned", status=status, pinned=True)
        desk.create(f"mt-{status}-wisp", status=status, ephemeral=True)
    assert desk.ready(include_deferred=True) == []
    assert sorted(desk.ready(include_deferred=True, include_ephemeral=True)) == ["mt-deferred-wisp", "mt-open-wisp"]
