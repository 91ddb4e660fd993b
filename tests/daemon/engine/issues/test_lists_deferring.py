"""What is put off, until some time or for good: when `ready` holds it."""

import pytest

from moot_protocol.claim_requests import ClaimReady
from moot_protocol.requests import Stats
from moot_protocol.times import format_ms
from moot_testkit.engine import START_MS, Desk

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
